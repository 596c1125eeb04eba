#include "inside.h"

#include <rfm/base/hash.h>
#include <stdio.h>

int64_t rfm__next_review_ms(uint64_t hash, int64_t after_ms) {
    int64_t minute_ms = (int64_t)(hash % 1440) * RFM_MINUTE_MS;
    int64_t day_ms = rfm_div_floor(after_ms, RFM_DAY_MS) * RFM_DAY_MS;
    return day_ms + minute_ms > after_ms ? day_ms + minute_ms : day_ms + RFM_DAY_MS + minute_ms;
}

int64_t rfm__timer_bound_ms(const rfm_worker *worker, const rfm__task *task) {
    bool wall = worker->conf.clock == RFM_CLOCK_WALL;
    /* By the record clock the instant itself is not over while records of it may come: what is due in it waits for the next. */
    bool over = wall || task->clock_ms == INT64_MIN || task->closed_ms >= task->clock_ms;
    int64_t bound_ms = wall ? worker->now_ms : task->clock_ms - !over;
    if (wall && task->catching_up) return INT64_MIN;
    for (size_t i = 0; i < worker->conf.input_count; i++) {
        int64_t read_ms = task->seen_ms[i] == INT64_MIN ? INT64_MIN : task->seen_ms[i] - 1;
        if (task->end_ms[i] != INT64_MIN) read_ms = wall ? task->end_ms[i] : INT64_MAX;
        if (read_ms < bound_ms) bound_ms = read_ms;
    }
    return bound_ms;
}

static rfm__bucket *touch_bucket(rfm_worker *worker, rfm__task *task, int64_t second) {
    rfm__bucket *bucket = rfm__due_bucket(&task->due, second);
    uint64_t number = worker->making->step.number;
    if (bucket->changed_step != number) rfm__push(&task->buckets_touched, second);
    bucket->changed_step = number;
    return bucket;
}

void rfm__list_client(rfm_worker *worker, rfm__task *task, rfm_bytes client_id, int64_t old_ms, int64_t new_ms) {
    char key[32];
    if (new_ms == 0 || (old_ms != 0 && rfm__due_second(old_ms) == rfm__due_second(new_ms))) return;
    int64_t second = rfm__due_second(new_ms);
    touch_bucket(worker, task, second)->entries++;
    size_t len = (size_t)snprintf(key, sizeof key, "due:%lld", (long long)second);
    rfm_redo_put(&task->redo, &(rfm_redo_item){.op = RFM_REDO_LIST_ADD, .key = rfm_bytes_of(key, len), .value = client_id});
}

/* The next list to read: the next minute's or the first bucket, whichever is earlier. */
static int64_t next_moment_ms(const rfm__task *task, bool *ring) {
    const rfm__bucket *bucket = rfm__due_first(&task->due);
    int64_t minute_ms = (task->ring_minute + 1) * RFM_MINUTE_MS;
    *ring = bucket == NULL || minute_ms < bucket->second * 1000;
    return *ring ? minute_ms : bucket->second * 1000;
}

static void start_page(rfm__task *task, bool ring, int64_t moment_ms) {
    rfm__page *page = &task->page;
    page->state = RFM__PAGE_BARRIER;
    page->ring = ring;
    page->moment_ms = moment_ms;
    page->from = 0;
    /* A minute list must show whoever came before its minute; a bucket whatever was put into it or trimmed. */
    page->barrier_step = ring ? task->last_step : rfm__due_first(&task->due)->changed_step;
}

static void read_list(rfm_worker *worker, rfm__task *task) {
    char key[32];
    rfm__page *page = &task->page;
    if (page->ring) snprintf(key, sizeof key, "ring:%d", (int)((page->moment_ms / RFM_MINUTE_MS) % 1440));
    else snprintf(key, sizeof key, "due:%lld", (long long)(page->moment_ms / 1000));
    rfm__load *load = rfm__load_new(worker, task, RFM__FOR_PAGE, RFM_LOAD_LIST);
    rfm__load_key(load, key, RFM_BYTES_NONE);
    load->from = page->from;
    load->length = RFM__PAGE_ENTRIES;
    page->state = RFM__PAGE_LISTING;
    page->counted = page->ring ? 0 : rfm__due_bucket(&task->due, page->moment_ms / 1000)->entries;
    rfm__load_send(worker, load);
}

/* The page's clients that are not in the cache are loaded with the step's others. */
static void load_page_clients(rfm_worker *worker, rfm__task *task) {
    rfm__page *page = &task->page;
    rfm__load *load = NULL;
    for (size_t i = 0; i < page->ids.count; i++) {
        uint64_t hash = rfm_hash64(page->ids.items[i]);
        if (rfm__cache_find(&worker->cache, task->number, page->ids.items[i], hash) != RFM_TABLE_NONE) continue;
        if (load == NULL) load = rfm__load_new(worker, task, RFM__FOR_CLIENTS, RFM_LOAD_KEYS);
        rfm__push(&load->entries, rfm__cache_add(&worker->cache, task->number, page->ids.items[i], hash, true));
        rfm__load_key(load, "c:", page->ids.items[i]);
    }
    page->state = RFM__PAGE_LOADING;
    if (load == NULL) return;
    worker->client_loads_left++;
    rfm__load_send(worker, load);
}

void rfm__page_loaded(rfm_worker *worker, rfm__task *task, const rfm_bytes *values, size_t count) {
    rfm__page *page = &task->page;
    rfm_arena_reset(&page->arena);
    page->ids.count = 0;
    for (size_t i = 0; i < count; i++) {
        if (values[i].len == 0 || values[i].len > RFM_CLIENT_ID_MAX) continue;
        rfm__push(&page->ids, rfm_arena_copy(&page->arena, values[i]));
    }
    page->read = count; /* what the list gave, also what was skipped */
    load_page_clients(worker, task);
}

static void trim_bucket(rfm_worker *worker, rfm__task *task) {
    char key[32], number[24];
    const rfm__page *page = &task->page;
    rfm__join_step(worker, task);
    rfm__bucket *bucket = touch_bucket(worker, task, page->moment_ms / 1000);
    /* What was added since the list was read stays; of what was counted then, a list that ended early has nothing more. */
    uint64_t added = bucket->entries - page->counted;
    bool ended = page->read < RFM__PAGE_ENTRIES || page->counted <= page->read;
    bucket->entries = added + (ended ? 0 : page->counted - page->read);
    if (bucket->entries == 0) rfm__due_remove(&task->due, page->moment_ms / 1000); /* its count is written as gone */
    if (page->read == 0) return;
    size_t key_len = (size_t)snprintf(key, sizeof key, "due:%lld", (long long)(page->moment_ms / 1000));
    size_t number_len = (size_t)snprintf(number, sizeof number, "%zu", page->read);
    rfm_redo_put(&task->redo, &(rfm_redo_item){.op = RFM_REDO_LIST_TRIM, .key = rfm_bytes_of(key, key_len),
                                               .value = rfm_bytes_of(number, number_len)});
}

/* Looks at the page's clients that are at hand and keeps the others, which were evicted meanwhile: a cache that cannot hold a
 * whole page gets on all the same. */
static void look_at_hand(rfm_worker *worker, rfm__task *task) {
    rfm__page *page = &task->page;
    size_t kept = 0;
    for (size_t i = 0; i < page->ids.count && !worker->halted; i++) {
        rfm_bytes id = page->ids.items[i];
        uint32_t index = rfm__cache_find(&worker->cache, task->number, id, rfm_hash64(id));
        if (index == RFM_TABLE_NONE) page->ids.items[kept++] = id;
        else if (rfm__cache_at(&worker->cache, index)->packed_len > 0) rfm__look(worker, task, index, page->moment_ms);
    }
    page->ids.count = kept;
}

static void finish_page(rfm_worker *worker, rfm__task *task) {
    rfm__page *page = &task->page;
    look_at_hand(worker, task);
    if (page->ids.count > 0) {
        load_page_clients(worker, task);
        return;
    }
    if (page->ring && page->read == RFM__PAGE_ENTRIES) {
        page->from += RFM__PAGE_ENTRIES;
        page->state = RFM__PAGE_BARRIER;
        return;
    }
    if (page->ring) task->ring_minute = page->moment_ms / RFM_MINUTE_MS;
    else trim_bucket(worker, task);
    page->state = RFM__PAGE_NONE;
}

/* Goes on with the lists as far as the bound and what has been stored allow. Returns false if nothing moved. */
static bool advance_once(rfm_worker *worker, rfm__task *task) {
    bool ring;
    int64_t moment_ms;
    switch (task->page.state) {
    case RFM__PAGE_NONE:
        moment_ms = next_moment_ms(task, &ring);
        if (moment_ms > rfm__timer_bound_ms(worker, task)) return false;
        start_page(task, ring, moment_ms);
        return true;
    case RFM__PAGE_BARRIER:
        if (worker->owners[task->number].stored_step < task->page.barrier_step) return false;
        read_list(worker, task);
        return true;
    case RFM__PAGE_LISTING: return false;
    case RFM__PAGE_LOADING:
        if (worker->client_loads_left > 0 || worker->loaded.count > 0) return false;
        finish_page(worker, task);
        return true;
    default: return false;
    }
}

void rfm__timers_advance(rfm_worker *worker, rfm__task *task) {
    if (task->phase != RFM__RUNNING || task->revoking || task->ring_minute == INT64_MIN) return;
    if (worker->dirty_bytes >= worker->conf.dirty_bytes_max) return;
    while (!worker->halted && advance_once(worker, task)) continue;
}

int64_t rfm__timers_wake_ms(const rfm_worker *worker, const rfm__task *task) {
    bool ring;
    if (worker->conf.clock != RFM_CLOCK_WALL || task->phase != RFM__RUNNING || task->page.state != RFM__PAGE_NONE ||
        task->ring_minute == INT64_MIN)
        return INT64_MAX;
    return next_moment_ms(task, &ring);
}
