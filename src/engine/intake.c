#include "inside.h"

#include <rfm/base/hash.h>
#include <stdio.h>

/* Records as they come: decoded and hashed by windows, their clients found, brought near and applied, or loaded
 * first. */

bool rfm_worker_takes(const rfm_worker *worker)
{
    if (worker->halted || worker->resetting || worker->making->records >= worker->step_size_max)
        return false;
    bool full = worker->dirty_bytes >= worker->conf.dirty_bytes_max && !RFM_FAULT(DIRTY_BOUND);
    if (full || worker->making->arena.used_bytes >= RFM__STEP_BYTES_MAX)
        return false;
    if (rfm__awaits_edges(worker))
        return false;
    if (worker->cache.stuck)
        return false; /* whoever fed would find no room, again and again */
    /* The publisher waits for this step: let its loads come to an end. */
    bool loading = worker->client_loads_left > 0 || worker->loaded.count > 0;
    return !(loading && worker->publishing == NULL && worker->making->records > 0);
}

static int64_t set_wall_clock(const rfm_worker *worker, rfm__task *task)
{
    if (worker->now_ms > task->clock_ms)
        task->clock_ms = worker->now_ms;
    return task->clock_ms;
}

/* A producer may have set a record's timestamp to what is yet to come; what lies behind it in the log is no later for
 * that. */
static void see_record(rfm_worker *worker, rfm__task *task, const rfm_record *record)
{
    int64_t *seen_ms = &task->seen_ms[record->input], append_ms = record->append_ms;
    if (worker->conf.clock == RFM_CLOCK_WALL && append_ms > worker->now_ms)
        append_ms = worker->now_ms;
    if (append_ms > *seen_ms)
        *seen_ms = append_ms;
    task->end_ms[record->input] = INT64_MIN;
    if (worker->conf.clock == RFM_CLOCK_WALL)
        set_wall_clock(worker, task);
    else if (record->append_ms > task->clock_ms)
        task->clock_ms = record->append_ms;
    if (task->ring_minute == INT64_MIN)
        task->ring_minute = rfm_div_floor(task->clock_ms, RFM_MINUTE_MS);
    task->next[record->input] = record->offset + 1;
}

/* A record that waits for its client has been taken, and has not been met: its client's moments wait for it. */
void rfm__see_caught_up(const rfm_worker *worker, rfm__task *task)
{
    bool caught_up = worker->making->waiting.count == 0 || RFM_FAULT(BACKLOG_WAITING);
    for (size_t i = 0; i < worker->conf.input_count; i++)
        if (task->end_ms[i] == INT64_MIN && task->next[i] < task->catch_up_end[i])
            caught_up = false;
    if (caught_up)
        task->catching_up = false;
}

struct window {
    const rfm_record *records;
    size_t count;
    rfm_event events[RFM__WINDOW];
    rfm_fault faults[RFM__WINDOW]; /* reason NONE: the event is good */
    uint64_t hashes[RFM__WINDOW];
};

static void check_key(const rfm_worker *worker, const rfm_record *record, const rfm_event *event, rfm_fault *fault)
{
    if (!worker->conf.check_records)
        return;
    if (record->key.at == NULL || !rfm_bytes_equal(record->key, event->client_id)) {
        fault->reason = RFM_REASON_WRONG_KEY;
        snprintf(fault->detail, sizeof fault->detail, "the record's key is not client_id");
        return;
    }
    uint32_t partition = rfm_partition_of(worker->conf.partitioner, record->key, worker->conf.partition_count);
    if (partition == UINT32_MAX || partition == record->task)
        return;
    fault->reason = RFM_REASON_WRONG_PARTITION;
    snprintf(fault->detail, sizeof fault->detail, "belongs to partition %u", partition);
}

static void decode_record(const rfm_worker *worker, const rfm_record *record, rfm_event *event, rfm_fault *fault)
{
    fault->reason = RFM_REASON_NONE;
    fault->detail[0] = 0;
    int64_t append_ms = worker->conf.check_records ? record->append_ms : INT64_MAX;
    fault->reason = rfm_decode_as(worker->decoder, &worker->conf.input_reading[record->input], record->value,
                                  record->headers, append_ms, event, fault);
    if (fault->reason == RFM_REASON_NONE)
        check_key(worker, record, event, fault);
}

static void decode_window(rfm_worker *worker, struct window *window)
{
    rfm_decoder_reset(worker->decoder);
    for (size_t i = 0; i < window->count; i++) {
        decode_record(worker, &window->records[i], &window->events[i], &window->faults[i]);
        if (window->faults[i].reason != RFM_REASON_NONE)
            continue;
        window->hashes[i] = rfm_hash64(window->events[i].client_id);
        rfm_table_prefetch(&worker->cache.table, window->hashes[i]);
    }
}

/* Entries and their blocks come near while the first of the window are worked on. */
static void prefetch_entries(rfm_worker *worker, const struct window *window)
{
    uint32_t indexes[RFM__WINDOW];
    for (size_t i = 0; i < window->count; i++) {
        size_t cursor = RFM_TABLE_START;
        bool good = window->faults[i].reason == RFM_REASON_NONE;
        indexes[i] = good ? rfm_table_find(&worker->cache.table, window->hashes[i], &cursor) : RFM_TABLE_NONE;
        if (indexes[i] != RFM_TABLE_NONE)
            rfm__cache_prefetch(&worker->cache, indexes[i]);
    }
    for (size_t i = 0; i < window->count; i++) {
        if (indexes[i] == RFM_TABLE_NONE)
            continue;
        rfm__entry_prefetch_block(rfm__cache_at(&worker->cache, indexes[i]));
    }
}

static rfm__load *client_load(rfm_worker *worker, rfm__task *task)
{
    for (size_t i = worker->loads.count; i-- > 0;) {
        rfm__load *load = worker->loads.items[i];
        if (load->task == task->number && load->purpose == RFM__FOR_CLIENTS && !load->sent &&
            load->entries.count < worker->conf.page_entries_max)
            return load;
    }
    return rfm__client_load_new(worker, task);
}

/* The client's entry, found or made (then it is being loaded). RFM_TABLE_NONE: the cache is full. */
static uint32_t entry_of(rfm_worker *worker, rfm__task *task, rfm_bytes id, uint64_t hash)
{
    uint32_t index = rfm__cache_find(&worker->cache, task->number, id, hash);
    if (index != RFM_TABLE_NONE) {
        rfm__cache_at(&worker->cache, index)->recent = true;
        worker->stats.cache_hits++;
        return index;
    }
    index = rfm__cache_add(&worker->cache, task->number, id, hash, false);
    if (index == RFM_TABLE_NONE)
        return index;
    worker->stats.cache_misses++;
    rfm__load_client(worker, client_load(worker, task), index);
    return index;
}

static void wait_for_client(rfm_worker *worker, const rfm__task *task, const rfm_record *record, uint32_t entry)
{
    rfm_arena *arena = &worker->making->arena;
    rfm__waiting waiting = {.record = *record, .entry = entry, .clock_ms = task->clock_ms};
    waiting.record.key = record->key.at ? rfm_arena_copy(arena, record->key) : RFM_BYTES_NONE;
    waiting.record.value = rfm_arena_copy(arena, record->value);
    waiting.record.headers = rfm_arena_copy(arena, record->headers);
    rfm__push(&worker->making->waiting, waiting);
}

/* False: no room for its client now, the record was not taken. */
static bool take_record(rfm_worker *worker, struct window *window, size_t i)
{
    const rfm_record *record = &window->records[i];
    rfm__task *task = rfm__task_at(worker, record->task);
    RFM_ASSERT(record->input < worker->conf.input_count);
    bool ours = task != NULL && (task->consuming || RFM_FAULT(CONSUMING)) && !task->revoking;
    if (!ours || record->offset < task->next[record->input])
        return true; /* fed late: it will be read again from the position */
    const rfm_fault *fault = &window->faults[i];
    uint32_t entry = RFM_TABLE_NONE;
    if (fault->reason == RFM_REASON_NONE) {
        entry = entry_of(worker, task, window->events[i].client_id, window->hashes[i]);
        if (entry == RFM_TABLE_NONE)
            return false;
    }
    see_record(worker, task, record);
    rfm__join_step(worker, task);
    worker->making->records++;
    worker->stats.records++;
    if (fault->reason == RFM_REASON_IGNORED)
        worker->stats.ignored++;
    else if (fault->reason != RFM_REASON_NONE)
        rfm__dead_letter(worker, task, record, fault);
    else if (rfm__cache_at(&worker->cache, entry)->loading)
        wait_for_client(worker, task, record, entry);
    else
        rfm__apply_record(worker, task, record, &window->events[i], entry, task->clock_ms, record->append_ms - 1);
    if (task->catching_up)
        rfm__see_caught_up(worker, task);
    return true;
}

static size_t feed_window(rfm_worker *worker, struct window *window)
{
    decode_window(worker, window);
    prefetch_entries(worker, window);
    for (size_t i = 0; i < window->count; i++)
        if (worker->halted || !take_record(worker, window, i))
            return i;
    return window->count;
}

static void send_client_loads(rfm_worker *worker)
{
    for (size_t i = 0; i < worker->loads.count; i++)
        rfm__load_send(worker, worker->loads.items[i]);
}

void rfm__set_now(rfm_worker *worker, int64_t now_ms)
{
    if (now_ms > worker->now_ms)
        worker->now_ms = now_ms;
}

size_t rfm_worker_feed(rfm_worker *worker, const rfm_record *records, size_t count, int64_t now_ms)
{
    struct window window;
    size_t taken = 0;
    rfm__set_now(worker, now_ms);
    while (taken < count && rfm_worker_takes(worker)) {
        size_t room = worker->step_size_max - worker->making->records;
        window.records = records + taken;
        window.count = count - taken < RFM__WINDOW ? count - taken : RFM__WINDOW;
        if (window.count > room)
            window.count = room;
        size_t done = feed_window(worker, &window);
        taken += done;
        if (done < window.count)
            break;
    }
    send_client_loads(worker);
    return taken;
}

/* Several inputs arrive in any order: what waits behind a later record has been read, and has not been met. No moment
 * that it may change fires before it. */
static void find_earliest(rfm_worker *worker)
{
    rfm__step *step = worker->making;
    for (size_t i = 0; i < worker->owned.count; i++)
        worker->owned.items[i]->earliest_ms = INT64_MAX;
    for (size_t i = step->waiting.count; i-- > 0;) {
        rfm__waiting *waiting = &step->waiting.items[i];
        rfm__task *task = worker->tasks[waiting->record.task];
        if (waiting->record.append_ms < task->earliest_ms)
            task->earliest_ms = waiting->record.append_ms;
        waiting->earliest_ms = task->earliest_ms;
    }
}

void rfm__meet_waiting(rfm_worker *worker)
{
    if (worker->client_loads_left > 0)
        return;
    for (size_t i = 0; i < worker->loaded.count; i++)
        rfm__cache_at(&worker->cache, worker->loaded.items[i])->loading = false;
    worker->loaded.count = 0;
    rfm__step *step = worker->making;
    find_earliest(worker);
    for (size_t i = 0; i < step->waiting.count && !worker->halted; i++) {
        rfm__waiting *waiting = &step->waiting.items[i];
        rfm_event event;
        rfm_fault fault;
        rfm_decoder_reset(worker->decoder);
        decode_record(worker, &waiting->record, &event, &fault);
        RFM_ASSERT(fault.reason == RFM_REASON_NONE);
        rfm__task *task = worker->tasks[waiting->record.task];
        int64_t clock_ms = waiting->clock_ms;
        if (worker->conf.clock == RFM_CLOCK_WALL)
            clock_ms = set_wall_clock(worker, task); /* which has gone on, with the timers */
        rfm__apply_record(worker, task, &waiting->record, &event, waiting->entry, clock_ms, waiting->earliest_ms - 1);
    }
    step->waiting.count = 0;
    worker->cache.stuck = false; /* what was being loaded may go */
    for (size_t i = 0; i < worker->owned.count; i++) {
        if (worker->owned.items[i]->catching_up)
            rfm__see_caught_up(worker, worker->owned.items[i]);
        rfm__timers_advance(worker, worker->owned.items[i]); /* before it does */
    }
}
