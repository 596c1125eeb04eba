#include "inside.h"

#include <rfm/base/hash.h>
#include <stdio.h>

int64_t rfm__next_review_ms(uint64_t hash, int64_t after_ms)
{
    int64_t minute_ms = (int64_t)(hash % RFM__MINUTES) * RFM_MINUTE_MS;
    int64_t day_ms = rfm_div_floor(after_ms, RFM_DAY_MS) * RFM_DAY_MS;
    return day_ms + minute_ms > after_ms ? day_ms + minute_ms : day_ms + RFM_DAY_MS + minute_ms;
}

/* Moments up to it have come, whatever has been read. By the record clock the instant itself is not over while records
 * of it may come: what is due in it waits for the next. */
static int64_t come_ms(const rfm_worker *worker, const rfm__task *task)
{
    bool over = task->clock_ms == INT64_MIN || task->closed_ms >= task->clock_ms || RFM_FAULT(INSTANT);
    return worker->conf.clock == RFM_CLOCK_WALL ? worker->now_ms : task->clock_ms - !over;
}

int64_t rfm__timer_bound_ms(const rfm_worker *worker, const rfm__task *task)
{
    bool wall = worker->conf.clock == RFM_CLOCK_WALL;
    int64_t bound_ms = come_ms(worker, task);
    if (wall && task->catching_up && !RFM_FAULT(BACKLOG))
        return INT64_MIN;
    for (size_t i = 0; i < worker->conf.input_count; i++) {
        int64_t read_ms = task->seen_ms[i] == INT64_MIN ? INT64_MIN : task->seen_ms[i] - 1;
        if (task->end_ms[i] != INT64_MIN)
            read_ms = wall ? task->end_ms[i] : INT64_MAX;
        if (read_ms < bound_ms)
            bound_ms = read_ms;
    }
    return bound_ms;
}

static rfm__bucket *touch_bucket(rfm_worker *worker, rfm__task *task, int64_t second)
{
    rfm__bucket *bucket = rfm__due_bucket(&task->due, second);
    uint64_t number = worker->making->step.number;
    if (bucket->changed_step != number)
        rfm__push(&task->buckets_touched, second);
    bucket->changed_step = number;
    return bucket;
}

enum { LIST_KEY_MAX = 32 };

static rfm_bytes key_of(uint8_t text[LIST_KEY_MAX], const char *kind, int64_t number)
{
    rfm_buffer key = rfm_buffer_over(text, LIST_KEY_MAX);
    rfm_write_text(&key, kind);
    rfm_write_integer(&key, number);
    return rfm_buffer_view(&key);
}

static rfm_bytes key_of_list(uint8_t text[LIST_KEY_MAX], const rfm__list *list)
{
    return list->ring ? key_of(text, RFM_KEY_MINUTE, list->moment_ms / RFM_MINUTE_MS % RFM__MINUTES)
                      : key_of(text, RFM_KEY_SECOND, list->moment_ms / 1000);
}

static void change_list(rfm__task *task, rfm_redo_op op, rfm_bytes key, rfm_bytes value)
{
    rfm_redo_put(&task->redo, &(rfm_redo_item){.op = op, .key = key, .value = value});
}

void rfm__list_client(rfm_worker *worker, rfm__task *task, rfm_bytes client_id, int64_t old_ms, int64_t new_ms)
{
    uint8_t text[LIST_KEY_MAX];
    if (new_ms == 0 || (old_ms != 0 && rfm__due_second(old_ms) == rfm__due_second(new_ms)))
        return;
    int64_t second = rfm__due_second(new_ms);
    touch_bucket(worker, task, second)->entries++;
    if (!RFM_FAULT(DUE_LISTS))
        change_list(task, RFM_REDO_LIST_ADD, key_of(text, RFM_KEY_SECOND, second), client_id);
}

bool rfm__in_page(const rfm__task *task, int64_t second)
{
    const rfm__page *page = &task->page;
    bool read = page->state == RFM__PAGE_LISTING || page->state == RFM__PAGE_LOADING;
    for (size_t i = 0; read && i < page->lists.count; i++)
        if (!page->lists.items[i].ring && page->lists.items[i].moment_ms == second * 1000)
            return true;
    return false;
}

static void remove_from_bucket(rfm_worker *worker, rfm__task *task, rfm_bytes client_id, int64_t second)
{
    uint8_t text[LIST_KEY_MAX];
    if (rfm__due_find(&task->due, second) == NULL)
        return;
    (void)touch_bucket(worker, task, second); /* pages wait until it is stored */
    change_list(task, RFM_REDO_LIST_REMOVE, key_of(text, RFM_KEY_SECOND, second), client_id);
}

/* A page trims as many entries from a bucket as it has read: until then none may go. */
void rfm__unlist_client(rfm_worker *worker, rfm__task *task, rfm_bytes client_id, int64_t second)
{
    rfm__page *page = &task->page;
    if (!rfm__in_page(task, second)) {
        remove_from_bucket(worker, task, client_id, second);
        return;
    }
    size_t list = 0;
    while (page->lists.items[list].ring || page->lists.items[list].moment_ms != second * 1000)
        list++;
    rfm__push(&page->removals, (rfm__listed){rfm_arena_copy(&page->arena, client_id), (uint32_t)list});
}

/* Places in the list have changed: whoever has read a part of it begins again, which looks at nobody twice. */
static void begin_minute_again(rfm_worker *worker, rfm__task *task, uint64_t minute)
{
    rfm__page *page = &task->page;
    if (task->ring_minute != INT64_MIN && (uint64_t)(task->ring_minute + 1) % RFM__MINUTES == minute)
        task->ring_from = 0;
    if (page->state == RFM__PAGE_NONE)
        return;
    for (size_t i = 0; i < page->lists.count; i++) {
        rfm__list *list = &page->lists.items[i];
        if (!list->ring || (uint64_t)(list->moment_ms / RFM_MINUTE_MS) % RFM__MINUTES != minute)
            continue;
        if (page->state == RFM__PAGE_BARRIER)
            list->from = 0, page->barrier_step = worker->making->step.number;
        else
            page->moved = true;
    }
}

void rfm__list_minute(rfm__task *task, rfm_bytes client_id, uint64_t hash)
{
    uint8_t text[LIST_KEY_MAX];
    uint64_t minute = hash % RFM__MINUTES;
    if (!RFM_FAULT(MINUTE_ADDED))
        task->minute_list[minute] = RFM__MINUTE_ADDED;
    change_list(task, RFM_REDO_LIST_ADD, key_of(text, RFM_KEY_MINUTE, (int64_t)minute), client_id);
}

void rfm__unlist_minute(rfm_worker *worker, rfm__task *task, rfm_bytes client_id, uint64_t hash)
{
    uint8_t text[LIST_KEY_MAX];
    uint64_t minute = hash % RFM__MINUTES;
    change_list(task, RFM_REDO_LIST_REMOVE, key_of(text, RFM_KEY_MINUTE, (int64_t)minute), client_id);
    begin_minute_again(worker, task, minute);
}

typedef struct place {
    int64_t minute;
    size_t bucket; /* index into due */
} place;

/* The list to read at this place: the next minute's or the next bucket's, whichever is earlier. */
static rfm__list list_at(const rfm__task *task, const place *at)
{
    const rfm__bucket *bucket = at->bucket < task->due.count ? &task->due.buckets[at->bucket] : NULL;
    int64_t minute_ms = (at->minute + 1) * RFM_MINUTE_MS;
    if (bucket == NULL || minute_ms < bucket->second * 1000)
        return (rfm__list){.ring = true, .moment_ms = minute_ms};
    return (rfm__list){.moment_ms = bucket->second * 1000, .counted = bucket->entries};
}

/* Past minutes that are known to have nobody, as far as time has come and the next bucket allows: a shop with few
 * clients, or a far jump of the clock, has many of them. Not while a record waits or a step is not stored: a client of
 * it may come before its minute, now or when the record is read again. */
static void skip_empty_minutes(const rfm_worker *worker, const rfm__task *task, place *at, int64_t bound_ms)
{
    int64_t until_ms = bound_ms;
    bool unsettled = worker->making->waiting.count > 0 || worker->owners[task->number].stored_step < task->last_step;
    if (unsettled && !RFM_FAULT(MINUTE_STORED))
        return;
    if (at->bucket < task->due.count && task->due.buckets[at->bucket].second * 1000 < until_ms)
        until_ms = task->due.buckets[at->bucket].second * 1000;
    int64_t last = rfm_div_floor(until_ms, RFM_MINUTE_MS);
    while (at->minute < last && task->minute_list[(uint64_t)(at->minute + 1) % RFM__MINUTES] == RFM__MINUTE_EMPTY)
        at->minute++;
}

static int64_t next_moment_ms(const rfm__task *task)
{
    return list_at(task, &(place){.minute = task->ring_minute}).moment_ms;
}

/* A minute list has about as many entries as those read before. */
static uint64_t expected_entries(const rfm__task *task, const rfm__list *list)
{
    if (!list->ring)
        return list->counted;
    return task->ring_lists == 0 ? 16 : task->ring_entries / task->ring_lists + 1;
}

/* A page is as many lists as are due, one after the other, and together expected to fit: one in steady running, many
 * when an outage or a jump of the clock is made up for. */
static bool start_page(const rfm_worker *worker, rfm__task *task)
{
    rfm__page *page = &task->page;
    place at = {.minute = task->ring_minute};
    int64_t bound_ms = rfm__timer_bound_ms(worker, task);
    uint64_t entries = 0;
    page->lists.count = 0;
    page->barrier_step = 0;
    skip_empty_minutes(worker, task, &at, bound_ms);
    task->ring_minute = at.minute;
    while (page->lists.count < RFM__PAGE_LISTS) {
        rfm__list list = list_at(task, &at);
        uint64_t expected = expected_entries(task, &list);
        if (list.moment_ms > bound_ms || (page->lists.count > 0 && entries + expected > worker->conf.page_entries_max))
            break;
        /* A minute list must show whoever came before its minute; a bucket whatever was put into it or trimmed. */
        uint64_t barrier_step = list.ring ? task->last_step : task->due.buckets[at.bucket].changed_step;
        if (barrier_step > page->barrier_step)
            page->barrier_step = barrier_step;
        if (list.ring && at.minute == task->ring_minute)
            list.from = task->ring_from;
        entries += expected;
        if (list.ring)
            at.minute++;
        else
            at.bucket++;
        skip_empty_minutes(worker, task, &at, bound_ms);
        rfm__push(&page->lists, list);
    }
    if (page->lists.count > 0)
        page->state = RFM__PAGE_BARRIER;
    return page->lists.count > 0;
}

static void read_lists(rfm_worker *worker, rfm__task *task)
{
    uint8_t text[LIST_KEY_MAX];
    rfm__page *page = &task->page;
    page->ids.count = page->removals.count = 0;
    page->moved = false;
    rfm_arena_reset(&page->arena);
    page->lists_left = page->lists.count;
    page->state = RFM__PAGE_LISTING;
    for (size_t i = 0; i < page->lists.count; i++) {
        rfm__list *list = &page->lists.items[i];
        if (!list->ring)
            list->counted = rfm__due_bucket(&task->due, list->moment_ms / 1000)->entries;
        rfm__load *load = rfm__load_new(worker, task, RFM__FOR_PAGE, RFM_LOAD_LIST);
        rfm__load_key(load, key_of_list(text, list), RFM_BYTES_NONE);
        load->list = (uint32_t)i;
        load->from = list->from;
        load->length = (int64_t)worker->conf.page_entries_max;
        rfm__load_send(worker, load);
    }
}

/* The page's clients that are not in the cache are loaded with the step's others. */
static void load_page_clients(rfm_worker *worker, rfm__task *task)
{
    rfm__page *page = &task->page;
    rfm__load *load = NULL;
    for (size_t i = 0; i < page->ids.count; i++) {
        rfm_bytes id = page->ids.items[i].id;
        uint64_t hash = rfm_hash64(id);
        if (rfm__cache_find(&worker->cache, task->number, id, hash) != RFM_TABLE_NONE)
            continue;
        if (load == NULL)
            load = rfm__client_load_new(worker, task);
        rfm__load_client(worker, load, rfm__cache_add(&worker->cache, task->number, id, hash, true));
    }
    page->state = RFM__PAGE_LOADING;
    if (load != NULL)
        rfm__load_send(worker, load);
}

void rfm__page_loaded(rfm_worker *worker, rfm__task *task, uint32_t list, const rfm_bytes *values, size_t count)
{
    rfm__page *page = &task->page;
    RFM_ASSERT(page->state == RFM__PAGE_LISTING && list < page->lists.count);
    page->lists.items[list].read = count; /* what the list gave, also what is skipped */
    for (size_t i = 0; i < count; i++)
        if (values[i].len > 0 && values[i].len <= RFM_CLIENT_ID_MAX)
            rfm__push(&page->ids, (rfm__listed){rfm_arena_copy(&page->arena, values[i]), list});
    if (--page->lists_left == 0)
        load_page_clients(worker, task);
}

static void trim_bucket(rfm_worker *worker, rfm__task *task, const rfm__list *list)
{
    uint8_t text[LIST_KEY_MAX];
    char number[24];
    rfm__join_step(worker, task);
    rfm__bucket *bucket = touch_bucket(worker, task, list->moment_ms / 1000);
    /* What was added since the list was read stays; of what was counted then, a list that ended early has nothing
     * more. */
    uint64_t added = bucket->entries - list->counted;
    bool ended = list->read < worker->conf.page_entries_max || list->counted <= list->read;
    bucket->entries = added + (ended ? 0 : list->counted - list->read);
    if (bucket->entries == 0)
        rfm__due_remove(&task->due, list->moment_ms / 1000); /* its count is written as gone */
    if (list->read == 0 || RFM_FAULT(TRIM))
        return;
    uint64_t gone = RFM_FAULT(TRIM_COUNTED) ? list->counted + added : list->read;
    snprintf(number, sizeof number, "%llu", (unsigned long long)gone);
    change_list(task, RFM_REDO_LIST_TRIM, key_of_list(text, list), rfm_text(number));
}

/* As many clients as the step may have, of all its tasks' pages; the next one goes on with the others. */
static bool is_full(const rfm_worker *worker)
{
    const rfm__step *step = worker->making;
    bool full = step->looks >= worker->step_size_max && !RFM_FAULT(STEP_BOUND);
    return full || step->arena.used_bytes >= RFM__STEP_BYTES_MAX;
}

/* Looks at the page's clients that are at hand and keeps the others, which were evicted meanwhile or are for the next
 * step: a cache that cannot hold a whole page gets on all the same. */
static void look_at_hand(rfm_worker *worker, rfm__task *task)
{
    rfm__page *page = &task->page;
    size_t kept = 0;
    for (size_t i = 0; i < page->ids.count && !worker->halted; i++) {
        rfm__listed listed = page->ids.items[i];
        uint32_t index = rfm__cache_find(&worker->cache, task->number, listed.id, rfm_hash64(listed.id));
        if (index == RFM_TABLE_NONE || is_full(worker))
            page->ids.items[kept++] = listed;
        else if (rfm__cache_at(&worker->cache, index)->packed_len > 0)
            rfm__look(worker, task, index, page->lists.items[listed.list].moment_ms);
    }
    page->ids.count = kept;
}

/* A minute list that goes on keeps the clock of minutes where it is; what came after it in the page is looked at
 * again. */
static void finish_lists(rfm_worker *worker, rfm__task *task)
{
    rfm__page *page = &task->page;
    bool goes_on = false;
    for (size_t i = 0; i < page->lists.count; i++) {
        const rfm__list *list = &page->lists.items[i];
        if (!list->ring) {
            trim_bucket(worker, task, list);
            continue;
        }
        task->ring_lists++;
        task->ring_entries += list->read;
        uint8_t *known = &task->minute_list[(uint64_t)(list->moment_ms / RFM_MINUTE_MS) % RFM__MINUTES];
        if (list->read == 0 && list->from == 0 && *known == RFM__MINUTE_UNKNOWN)
            *known = RFM__MINUTE_EMPTY;
        if (goes_on)
            continue;
        goes_on = list->read == worker->conf.page_entries_max;
        task->ring_from = goes_on && !page->moved ? list->from + (int64_t)list->read : 0;
        if (!goes_on)
            task->ring_minute = list->moment_ms / RFM_MINUTE_MS;
    }
    page->state = RFM__PAGE_NONE;
    for (size_t i = 0; i < page->removals.count; i++)
        remove_from_bucket(worker, task, page->removals.items[i].id,
                           page->lists.items[page->removals.items[i].list].moment_ms / 1000);
    page->removals.count = 0;
}

static void finish_page(rfm_worker *worker, rfm__task *task)
{
    look_at_hand(worker, task);
    if (task->page.ids.count > 0)
        load_page_clients(worker, task);
    else
        finish_lists(worker, task);
}

/* A bucket may have been added to while the page waited: what is counted and what the list shows must be the same. */
static bool are_stored(const rfm_worker *worker, rfm__task *task)
{
    const rfm__page *page = &task->page;
    if (RFM_FAULT(LISTS_STORED))
        return true;
    uint64_t stored_step = worker->owners[task->number].stored_step;
    for (size_t i = 0; i < page->lists.count; i++) {
        const rfm__list *list = &page->lists.items[i];
        if (!list->ring && rfm__due_bucket(&task->due, list->moment_ms / 1000)->changed_step > stored_step)
            return false;
    }
    return stored_step >= page->barrier_step;
}

/* Goes on with the lists as far as the bound and what has been stored allow. Returns false if nothing moved. */
static bool advance_once(rfm_worker *worker, rfm__task *task)
{
    switch (task->page.state) {
    case RFM__PAGE_NONE: return start_page(worker, task);
    case RFM__PAGE_BARRIER:
        if (!are_stored(worker, task))
            return false;
        read_lists(worker, task);
        return true;
    case RFM__PAGE_LISTING: return false;
    case RFM__PAGE_LOADING:
        if (worker->client_loads_left > 0 || worker->loaded.count > 0 || is_full(worker))
            return false;
        finish_page(worker, task);
        return true;
    default: return false;
    }
}

void rfm__timers_advance(rfm_worker *worker, rfm__task *task)
{
    if (task->phase != RFM__RUNNING || task->revoking || task->ring_minute == INT64_MIN)
        return;
    if (worker->dirty_bytes >= worker->conf.dirty_bytes_max)
        return;
    while (!worker->halted && advance_once(worker, task))
        continue;
}

int64_t rfm__timers_wake_ms(const rfm_worker *worker, const rfm__task *task)
{
    if (worker->conf.clock != RFM_CLOCK_WALL || task->phase != RFM__RUNNING || task->page.state != RFM__PAGE_NONE ||
        task->ring_minute == INT64_MIN)
        return INT64_MAX;
    return next_moment_ms(task);
}

uint64_t rfm__timers_due(const rfm_worker *worker, const rfm__task *task, int64_t *late_ms)
{
    if (task->phase != RFM__RUNNING || task->ring_minute == INT64_MIN)
        return 0;
    int64_t until_ms = come_ms(worker, task), moment_ms = next_moment_ms(task);
    uint64_t entries = task->page.state != RFM__PAGE_NONE || moment_ms <= until_ms ? 1 : 0;
    for (size_t i = 0; i < task->due.count && task->due.buckets[i].second * 1000 <= until_ms; i++)
        entries += task->due.buckets[i].entries;
    if (moment_ms <= until_ms && until_ms - moment_ms > *late_ms)
        *late_ms = until_ms - moment_ms;
    return entries;
}
