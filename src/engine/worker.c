#include "inside.h"

#include <rfm/base/hash.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void *rfm__grow(void *items, size_t *size, size_t item_bytes)
{
    *size = *size ? *size * 2 : 16;
    void *grown = realloc(items, *size * item_bytes);
    RFM_ASSERT(grown != NULL);
    return grown;
}

/* -- effects */

void rfm__effect(rfm_worker *worker, const rfm_effect *effect)
{
    rfm__push(&worker->effects, *effect);
}

void rfm__halt(rfm_worker *worker, const char *format, ...)
{
    if (worker->halted)
        return;
    worker->halted = true;
    va_list list;
    va_start(list, format);
    vsnprintf(worker->reason, sizeof worker->reason, format, list);
    va_end(list);
    rfm__effect(worker, &(rfm_effect){.kind = RFM_OUT_HALT, .reason = worker->reason});
}

/* Effects that were decided under an older term, and not handed out, are not worth carrying out. */
void rfm__effects_purge(rfm_worker *worker)
{
    size_t kept = worker->effects_at;
    for (size_t i = worker->effects_at; i < worker->effects.count; i++) {
        const rfm_effect *effect = &worker->effects.items[i];
        bool of_task = effect->kind != RFM_OUT_PUBLISH && effect->kind != RFM_OUT_HALT &&
                       effect->kind != RFM_OUT_RENEW && effect->kind != RFM_OUT_RELEASED &&
                       effect->kind != RFM_OUT_CLOSE;
        if (of_task && worker->tasks[effect->task]->term != effect->term)
            continue;
        worker->effects.items[kept++] = *effect;
    }
    worker->effects.count = kept;
}

/* -- loads */

rfm__load *rfm__load_new(rfm_worker *worker, rfm__task *task, rfm__load_purpose purpose, rfm_load_kind what)
{
    rfm__load *load;
    if (worker->spare_loads.count > 0) {
        load = worker->spare_loads.items[--worker->spare_loads.count];
    } else {
        load = calloc(1, sizeof *load);
        RFM_ASSERT(load != NULL);
        rfm_arena_init(&load->arena);
    }
    load->number = ++worker->load_number;
    load->task = task->number;
    load->purpose = purpose;
    load->what = what;
    load->sent = false;
    load->from = load->length = 0;
    load->keys.count = load->entries.count = 0;
    rfm__push(&worker->loads, load);
    return load;
}

void rfm__load_key(rfm__load *load, const char *prefix, rfm_bytes name)
{
    size_t len = strlen(prefix);
    uint8_t *key = rfm_arena_take(&load->arena, len + name.len + 1);
    memcpy(key, prefix, len);
    if (name.len > 0)
        memcpy(key + len, name.at, name.len);
    rfm__push(&load->keys, rfm_bytes_of(key, len + name.len));
}

void rfm__load_send(rfm_worker *worker, rfm__load *load)
{
    rfm__task *task = worker->tasks[load->task];
    if (load->sent || !task->linked)
        return;
    load->sent = true;
    load->known_wal = task->stored_wal;
    worker->stats.loads++;
    rfm__effect(worker, &(rfm_effect){.kind = RFM_OUT_LOAD,
                                      .task = task->number,
                                      .term = task->term,
                                      .load = {.load = load->number,
                                               .what = load->what,
                                               .keys = load->keys.items,
                                               .count = load->keys.count,
                                               .from = load->from,
                                               .length = load->length}});
}

static void drop_load(rfm_worker *worker, size_t at)
{
    rfm__load *load = worker->loads.items[at];
    worker->loads.items[at] = worker->loads.items[--worker->loads.count];
    rfm_arena_reset(&load->arena);
    rfm__push(&worker->spare_loads, load);
}

void rfm__loads_forget(rfm_worker *worker, const rfm__task *task)
{
    for (size_t i = worker->loads.count; i-- > 0;)
        if (worker->loads.items[i]->task == task->number)
            drop_load(worker, i);
}

static void free_load(rfm__load *load)
{
    rfm_arena_release(&load->arena);
    free(load->keys.items);
    free(load->entries.items);
    free(load);
}

/* -- making and unmaking */

static rfm__task *task_new(rfm_worker *worker, uint32_t number)
{
    rfm__task *task = calloc(1, sizeof *task);
    RFM_ASSERT(task != NULL);
    task->number = number;
    task->names = rfm_names_new();
    RFM_ASSERT(task->names != NULL);
    rfm__counters_init(&task->counters);
    rfm__erased_init(&task->erased);
    rfm_redo_init(&task->redo, worker->conf.part_bytes_max);
    rfm_arena_init(&task->page.arena);
    rfm_arena_init(&task->replay_arena);
    worker->tasks[number] = task;
    return task;
}

static void task_free(rfm__task *task)
{
    if (task == NULL)
        return;
    rfm_names_free(task->names);
    rfm_binding_free(task->binding);
    rfm__counters_release(&task->counters);
    rfm__erased_release(&task->erased);
    rfm_redo_release(&task->redo);
    rfm__due_release(&task->due);
    rfm_arena_release(&task->page.arena);
    rfm_arena_release(&task->replay_arena);
    free(task->page.ids.items);
    free(task->page.removals.items);
    free(task->page.lists.items);
    free(task->buckets_touched.items);
    free(task->stores.items);
    free(task->replay_parts.items);
    free(task);
}

static int check_conf(const rfm_worker_conf *conf, rfm_error *error)
{
    if (conf->partition_count == 0 || conf->partition_count > RFM_TASKS_MAX)
        return rfm_fail(error, RFM_E_RANGE, "%u partitions: 1 to %d are supported", conf->partition_count,
                        RFM_TASKS_MAX);
    if (conf->input_count == 0 || conf->input_count > RFM_INPUTS_MAX)
        return rfm_fail(error, RFM_E_RANGE, "%zu inputs: 1 to %d are supported", conf->input_count, RFM_INPUTS_MAX);
    if (conf->step_events_max == 0)
        return rfm_fail(error, RFM_E_RANGE, "engine.step_events_max is 0: at least 1");
    if (conf->cache_bytes_max < 4096)
        return rfm_fail(error, RFM_E_RANGE, "engine.cache_bytes_max is under 4KiB: give it more");
    return RFM_OK;
}

int rfm_worker_new(const rfm_worker_conf *conf, rfm_worker **out, rfm_error *error)
{
    int code = check_conf(conf, error);
    if (code != RFM_OK)
        return code;
    rfm_worker *worker = calloc(1, sizeof *worker);
    if (worker == NULL)
        return rfm_fail(error, RFM_E_NO_MEMORY, "no memory for a worker");
    worker->conf = *conf;
    if (conf->page_entries_max == 0)
        worker->conf.page_entries_max = RFM__PAGE_ENTRIES;
    worker->owners = calloc(conf->partition_count, sizeof *worker->owners);
    worker->tasks = calloc(conf->partition_count, sizeof *worker->tasks);
    worker->decoder = rfm_decoder_new(&conf->client->money);
    worker->decisions.size = RFM_DECISIONS_MAX;
    worker->decisions.items = calloc(RFM_DECISIONS_MAX, sizeof *worker->decisions.items);
    rfm_buffer_init(&worker->value, 1 << 20);
    rfm_buffer_init(&worker->headers, 2 << 20);
    rfm_buffer_init(&worker->data, 4 << 20);
    worker->decisions.data = &worker->data;
    worker->decisions.errors = worker->stats.errors_by_rule;
    code = rfm__cache_init(&worker->cache, conf->cache_bytes_max, worker->owners);
    if (code != RFM_OK || !worker->owners || !worker->tasks || !worker->decoder || !worker->decisions.items) {
        rfm_worker_free(worker);
        return rfm_fail(error, RFM_E_NO_MEMORY, "no memory for a worker");
    }
    worker->making = rfm__step_new(worker);
    *out = worker;
    return RFM_OK;
}

void rfm_worker_free(rfm_worker *worker)
{
    if (worker == NULL)
        return;
    for (size_t i = 0; worker->tasks && i < worker->conf.partition_count; i++)
        task_free(worker->tasks[i]);
    for (size_t i = 0; i < worker->storing.count; i++)
        rfm__step_free(worker->storing.items[i]);
    for (size_t i = 0; i < worker->spare.count; i++)
        rfm__step_free(worker->spare.items[i]);
    for (size_t i = 0; i < worker->loads.count; i++)
        free_load(worker->loads.items[i]);
    for (size_t i = 0; i < worker->spare_loads.count; i++)
        free_load(worker->spare_loads.items[i]);
    rfm__step_free(worker->making);
    rfm__step_free(worker->publishing);
    rfm__cache_release(&worker->cache);
    rfm_decoder_free(worker->decoder);
    rfm_buffer_release(&worker->value);
    rfm_buffer_release(&worker->headers);
    rfm_buffer_release(&worker->data);
    free(worker->owned.items);
    free(worker->storing.items);
    free(worker->spare.items);
    free(worker->loads.items);
    free(worker->spare_loads.items);
    free(worker->loaded.items);
    free(worker->effects.items);
    free(worker->decisions.items);
    free(worker->tasks);
    free(worker->owners);
    free(worker);
}

/* -- resetting: one path for everything that goes wrong */

static void forget_task(rfm_worker *worker, rfm__task *task)
{
    task->term++;
    task->phase = RFM__HELD;
    task->in_step = task->consuming = false;
    task->tables_kept = RFM_FAULT(CACHE_AFTER_RESET);
    task->page.state = RFM__PAGE_NONE;
    rfm__stores_forget(worker, task);
    rfm__loads_forget(worker, task);
    worker->owners[task->number].epoch += !RFM_FAULT(CACHE_AFTER_RESET);
}

void rfm__reset(rfm_worker *worker, bool renew)
{
    worker->resetting = true;
    worker->renew = worker->renew || renew;
    for (size_t i = 0; i < worker->owned.count; i++)
        forget_task(worker, worker->owned.items[i]);
    rfm__effects_purge(worker);
    worker->client_loads_left = 0;
    worker->loaded.count = 0;
    worker->cache.stuck = false;
    rfm__step_drop_changes(worker, worker->making);
    worker->making = rfm__step_new(worker);
}

static void end_reset(rfm_worker *worker)
{
    if (!worker->resetting || worker->publishing != NULL || worker->renewing)
        return;
    if (worker->renew) {
        worker->renew = false;
        worker->renewing = true;
        rfm__effect(worker, &(rfm_effect){.kind = RFM_OUT_RENEW});
        return;
    }
    worker->resetting = false;
    for (size_t i = 0; i < worker->owned.count; i++)
        if (worker->owned.items[i]->phase == RFM__HELD)
            rfm__takeover_begin(worker, worker->owned.items[i]);
}

/* -- owning tasks */

static void assigned(rfm_worker *worker, const rfm_input *input)
{
    RFM_ASSERT(input->task < worker->conf.partition_count);
    rfm__task *task = worker->tasks[input->task] ? worker->tasks[input->task] : task_new(worker, input->task);
    if (task->phase == RFM__IDLE)
        rfm__push(&worker->owned, task);
    task->assignment = input->assignment;
    task->revoking = false;
    if (task->phase != RFM__IDLE)
        return;
    task->phase = RFM__HELD;
    if (!worker->resetting)
        rfm__takeover_begin(worker, task);
}

static void disown(rfm_worker *worker, rfm__task *task)
{
    for (size_t i = 0; i < worker->owned.count; i++)
        if (worker->owned.items[i] == task)
            worker->owned.items[i] = worker->owned.items[--worker->owned.count];
    task->phase = RFM__IDLE;
    task->revoking = task->linked = task->consuming = false;
    task->page.state = RFM__PAGE_NONE;
    task->term++;
    rfm__effect(worker, &(rfm_effect){.kind = RFM_OUT_CLOSE, .task = task->number, .term = task->term});
}

static bool publishes(const rfm_worker *worker, const rfm__task *task)
{
    for (size_t i = 0; worker->publishing != NULL && i < worker->publishing->changes.count; i++)
        if (worker->publishing->changes.items[i].task == task->number)
            return true;
    return false;
}

static bool has_client_loads(const rfm_worker *worker, const rfm__task *task)
{
    for (size_t i = 0; i < worker->loads.count; i++)
        if (worker->loads.items[i]->task == task->number && worker->loads.items[i]->purpose == RFM__FOR_CLIENTS)
            return true;
    return false;
}

static void lost(rfm_worker *worker, rfm__task *task)
{
    bool in_flight = publishes(worker, task);
    bool in_making = task->in_step || has_client_loads(worker, task) || worker->loaded.count > 0;
    rfm__stores_forget(worker, task);
    rfm__loads_forget(worker, task);
    worker->owners[task->number].epoch++;
    worker->cache.stuck = false;
    task->tables_kept = false;
    if ((in_flight || in_making) && !RFM_FAULT(LOST_IN_FLIGHT))
        rfm__reset(worker, in_flight);
    disown(worker, task);
    rfm__effects_purge(worker);
}

/* A task that is to be given up goes when nothing of it is in flight: its steps published, and stored unless Redis is away or full
 * (then its successor replays them from the WAL). */
static void try_release(rfm_worker *worker, rfm__task *task)
{
    if (!task->revoking)
        return;
    if (task->phase == RFM__RUNNING && !RFM_FAULT(RELEASE_IN_FLIGHT)) {
        if (!task->linked && (has_client_loads(worker, task) || task->page.state == RFM__PAGE_LOADING)) {
            rfm__reset(worker, false);
        } else {
            if (task->in_step || publishes(worker, task) || has_client_loads(worker, task) || worker->loaded.count > 0)
                return;
            if (task->linked && task->stores.count > 0 && (task->store_under_way || !task->store_refused))
                return;
        }
    }
    bool kept = task->phase == RFM__RUNNING && task->stores.count == 0;
    rfm__stores_forget(worker, task);
    rfm__loads_forget(worker, task);
    if (!kept)
        worker->owners[task->number].epoch++;
    worker->cache.stuck = false;
    disown(worker, task);
    task->tables_kept = kept;
    rfm__effect(worker, &(rfm_effect){.kind = RFM_OUT_RELEASED, .task = task->number});
}

/* -- answers about loads */

static void used_loaded(rfm_worker *worker);

/* States are checked once, where they come in. */
static bool is_readable(rfm_worker *worker, rfm_bytes packed)
{
    if (packed.len == 0)
        return true;
    if (packed.len > RFM_CLIENT_PACKED_MAX || rfm_client_decode(packed, &worker->client) != RFM_OK)
        return false;
    return rfm_slots_check(rfm_bytes_of(worker->client.slots, worker->client.slots_len)) == RFM_OK;
}

static void clients_loaded(rfm_worker *worker, rfm__load *load, const rfm_bytes *values)
{
    for (size_t i = 0; i < load->entries.count; i++) {
        uint32_t index = load->entries.items[i];
        if (!is_readable(worker, values[i])) {
            rfm_bytes key = load->keys.items[i];
            rfm__halt(
                worker,
                "task %u: the Redis key '%.*s' cannot be read: it is damaged or was written by a newer version; restore Redis "
                "from a backup, or run that version",
                load->task, (int)key.len, (const char *)key.at);
            return;
        }
        rfm__cache_put(&worker->cache, index, values[i]);
        rfm__push(&worker->loaded, index);
    }
    worker->client_loads_left--;
    used_loaded(worker);
}

static size_t find_load(const rfm_worker *worker, uint64_t number)
{
    size_t i = 0;
    while (i < worker->loads.count && worker->loads.items[i]->number != number)
        i++;
    return i;
}

/* at_least_once: no transaction keeps back what follows from another owner's state. */
static bool is_own(const rfm__task *task, const rfm__load *load, int64_t wal)
{
    return wal == load->known_wal || wal == task->stored_wal ||
           (task->store_under_way &&
            wal == task->stores.items[0].step->changes.items[task->stores.items[0].change].to.wal);
}

static void loaded(rfm_worker *worker, rfm__task *task, const rfm_input *input)
{
    size_t at = find_load(worker, input->loaded.load);
    if (at == worker->loads.count || !worker->loads.items[at]->sent)
        return;
    rfm__load *load = worker->loads.items[at];
    int64_t wal = rfm_wal_value_parse(input->loaded.wal_value);
    bool old = wal < load->known_wal || (worker->conf.at_least_once && !is_own(task, load, wal));
    if (old && !RFM_FAULT(LOAD_FENCE)) { /* Redis was rolled back: use nothing */
        worker->stats.rollbacks++;
        rfm__reset(worker, false);
        return;
    }
    RFM_ASSERT(load->what != RFM_LOAD_KEYS || input->loaded.count == load->keys.count);
    task->checked_ms = worker->now_ms;
    if (load->purpose == RFM__FOR_CLIENTS)
        clients_loaded(worker, load, input->loaded.values);
    else if (load->purpose == RFM__FOR_PAGE)
        rfm__page_loaded(worker, task, load->list, input->loaded.values, input->loaded.count);
    else if (load->purpose == RFM__FOR_TABLE)
        rfm__table_loaded(worker, task, load, input->loaded.values, input->loaded.count);
    at = find_load(worker, input->loaded.load);
    if (at < worker->loads.count)
        drop_load(worker, at);
}

/* A running task's connection is back: what Redis holds must be what it held, or what was being stored. */
static void reopened(rfm_worker *worker, rfm__task *task, const rfm_input *input)
{
    int64_t wal = rfm_wal_value_parse(input->wal_value);
    const rfm__pending_store *store = task->store_under_way ? &task->stores.items[0] : NULL;
    task->store_under_way = false;
    if (store != NULL && wal == store->step->changes.items[store->change].to.wal) {
        rfm__store_done(worker, task);
    } else if (wal != task->stored_wal && !RFM_FAULT(STORE_RULE) && !RFM_FAULT(REOPEN_CHECK)) {
        worker->stats.rollbacks++;
        rfm__reset(worker, false);
        return;
    }
    task->linked = true;
    for (size_t i = 0; i < worker->loads.count; i++)
        if (worker->loads.items[i]->task == task->number)
            rfm__load_send(worker, worker->loads.items[i]);
}

static void closed(rfm_worker *worker, rfm__task *task)
{
    task->linked = false;
    for (size_t i = 0; i < worker->loads.count; i++)
        if (worker->loads.items[i]->task == task->number)
            worker->loads.items[i]->sent = false;
}

/* -- records */

bool rfm_worker_takes(const rfm_worker *worker)
{
    if (worker->halted || worker->resetting || worker->making->records >= worker->conf.step_events_max)
        return false;
    if (worker->dirty_bytes >= worker->conf.dirty_bytes_max || worker->making->arena.used_bytes >= RFM__STEP_BYTES_MAX)
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

static void see_record(rfm_worker *worker, rfm__task *task, const rfm_record *record)
{
    int64_t *seen_ms = &task->seen_ms[record->input];
    if (record->append_ms > *seen_ms)
        *seen_ms = record->append_ms;
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
static void see_caught_up(const rfm_worker *worker, rfm__task *task)
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
        snprintf(fault->detail, sizeof fault->detail, "key");
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
            __builtin_prefetch(&worker->cache.entries[indexes[i]]);
    }
    for (size_t i = 0; i < window->count; i++) {
        if (indexes[i] == RFM_TABLE_NONE)
            continue;
        const uint8_t *block = worker->cache.entries[indexes[i]].block;
        __builtin_prefetch(block);
        __builtin_prefetch(block + 64);
        __builtin_prefetch(block + 128);
    }
}

static rfm__load *client_load(rfm_worker *worker, rfm__task *task)
{
    for (size_t i = worker->loads.count; i-- > 0;) {
        rfm__load *load = worker->loads.items[i];
        if (load->task == task->number && load->purpose == RFM__FOR_CLIENTS && !load->sent &&
            load->keys.count < worker->conf.page_entries_max)
            return load;
    }
    worker->client_loads_left++;
    return rfm__load_new(worker, task, RFM__FOR_CLIENTS, RFM_LOAD_KEYS);
}

/* The client's entry, found or made (then it is being loaded). RFM_TABLE_NONE: the cache is full. */
static uint32_t entry_of(rfm_worker *worker, rfm__task *task, rfm_bytes id, uint64_t hash)
{
    uint32_t index = rfm__cache_find(&worker->cache, task->number, id, hash);
    if (index != RFM_TABLE_NONE) {
        worker->stats.cache_hits++;
        return index;
    }
    index = rfm__cache_add(&worker->cache, task->number, id, hash, false);
    if (index == RFM_TABLE_NONE)
        return index;
    worker->stats.cache_misses++;
    rfm__load *load = client_load(worker, task);
    rfm__push(&load->entries, index);
    rfm__load_key(load, "c:", id);
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
        see_caught_up(worker, task);
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

static void set_now(rfm_worker *worker, int64_t now_ms)
{
    if (now_ms > worker->now_ms)
        worker->now_ms = now_ms;
}

size_t rfm_worker_feed(rfm_worker *worker, const rfm_record *records, size_t count, int64_t now_ms)
{
    struct window window;
    size_t taken = 0;
    set_now(worker, now_ms);
    while (taken < count && rfm_worker_takes(worker)) {
        size_t room = worker->conf.step_events_max - worker->making->records;
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

/* Several inputs arrive in any order: what waits behind a later record has been read, and has not been met. No moment that it
 * may change fires before it. */
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

/* All loads have come: the records that waited are applied, in the order in which they arrived. */
static void used_loaded(rfm_worker *worker)
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
            see_caught_up(worker, worker->owned.items[i]);
        rfm__timers_advance(worker, worker->owned.items[i]); /* before it does */
    }
}

/* -- inputs */

static void at_end(rfm_worker *worker, rfm__task *task, const rfm_input *input)
{
    if (!task->consuming && !RFM_FAULT(CONSUMING))
        return;
    RFM_ASSERT(input->input < worker->conf.input_count);
    task->end_ms[input->input] = input->now_ms;
    if (worker->conf.clock == RFM_CLOCK_WALL && task->ring_minute == INT64_MIN)
        task->ring_minute = rfm_div_floor(worker->now_ms, RFM_MINUTE_MS);
    if (task->catching_up)
        see_caught_up(worker, task);
}

/* The clock of records is at least this, and all inputs have been read up to it (replay). */
static void set_record_clock(rfm_worker *worker, int64_t clock_ms)
{
    for (size_t i = 0; i < worker->owned.count; i++) {
        rfm__task *task = worker->owned.items[i];
        if (task->phase != RFM__RUNNING)
            continue;
        if (clock_ms > task->clock_ms)
            task->clock_ms = clock_ms;
        if (clock_ms > task->closed_ms)
            task->closed_ms = clock_ms;
        if (task->ring_minute == INT64_MIN)
            task->ring_minute = rfm_div_floor(clock_ms, RFM_MINUTE_MS);
        for (size_t k = 0; k < worker->conf.input_count; k++)
            task->end_ms[k] = clock_ms;
    }
}

static void tell_task(rfm_worker *worker, const rfm_input *input)
{
    rfm__task *task = rfm__task_at(worker, input->task);
    if (task == NULL || task->phase == RFM__IDLE)
        return;
    if (input->kind == RFM_IN_REVOKING) {
        task->revoking = true;
        return;
    }
    if (input->kind == RFM_IN_LOST) {
        lost(worker, task);
        return;
    }
    if (input->kind == RFM_IN_AT_END) {
        at_end(worker, task, input);
        return;
    }
    /* Of whatever term and in whatever phase: Redis would look fit to go on from, and is not. */
    if (input->kind == RFM_IN_OPENED && input->answer == RFM_REFUSED_FOR_GOOD) {
        rfm__halt(worker, "%s", input->reason ? input->reason : "Redis was refused");
        return;
    }
    if (input->term != task->term && !RFM_FAULT(TERM))
        return;
    if (input->kind == RFM_IN_LOADED)
        loaded(worker, task, input);
    else if (task->phase != RFM__RUNNING)
        rfm__takeover_tell(worker, task, input);
    else if (input->kind == RFM_IN_STORED)
        rfm__stored(worker, task, input);
    else if (input->kind == RFM_IN_OPENED)
        reopened(worker, task, input);
    else if (input->kind == RFM_IN_CLOSED)
        closed(worker, task);
}

void rfm_worker_tell(rfm_worker *worker, const rfm_input *input)
{
    if (worker->conf.clock == RFM_CLOCK_WALL || input->kind != RFM_IN_CLOCK)
        set_now(worker, input->now_ms);
    if (worker->halted && input->kind != RFM_IN_PUBLISHED)
        return;
    switch (input->kind) {
    case RFM_IN_TIME: break;
    case RFM_IN_CLOCK: set_record_clock(worker, input->now_ms); break;
    case RFM_IN_ASSIGNED: assigned(worker, input); break;
    case RFM_IN_PUBLISHED: rfm__step_published(worker, input); break;
    case RFM_IN_RENEWED: worker->renewing = false; break;
    case RFM_IN_EDGES:
        worker->edges = *input->edges;
        worker->edges_known = true;
        break;
    case RFM_IN_RULES:
        worker->new_rules = input->rules.rules;
        worker->new_client = input->rules.conf;
        break;
    default: tell_task(worker, input); break;
    }
}

/* -- progress */

static bool is_being_checked(const rfm_worker *worker, const rfm__task *task)
{
    for (size_t i = 0; i < worker->loads.count; i++)
        if (worker->loads.items[i]->task == task->number && worker->loads.items[i]->purpose == RFM__FOR_CHECK)
            return true;
    return false;
}

static void check_link(rfm_worker *worker, rfm__task *task)
{
    if (task->phase != RFM__RUNNING || !task->linked || worker->now_ms - task->checked_ms < RFM__CHECK_MS)
        return;
    task->checked_ms = worker->now_ms;
    if (is_being_checked(worker, task))
        return;
    rfm__load_send(worker, rfm__load_new(worker, task, RFM__FOR_CHECK, RFM_LOAD_KEYS));
}

static void progress(rfm_worker *worker)
{
    end_reset(worker);
    for (size_t i = 0; i < worker->owned.count && !worker->resetting && !worker->halted; i++) {
        rfm__task *task = worker->owned.items[i];
        rfm__takeover_wake(worker, task);
        rfm__timers_advance(worker, task);
        rfm__stores_advance(worker, task);
        check_link(worker, task);
    }
    rfm__step_try_close(worker);
    for (size_t i = worker->owned.count; i-- > 0;)
        if (i < worker->owned.count)
            try_release(worker, worker->owned.items[i]);
}

bool rfm_worker_next(rfm_worker *worker, rfm_effect *effect)
{
    if (worker->effects_at == worker->effects.count) {
        worker->effects_at = worker->effects.count = 0;
        progress(worker);
    }
    if (worker->effects_at == worker->effects.count)
        return false;
    *effect = worker->effects.items[worker->effects_at++];
    if (effect->kind == RFM_OUT_CONSUME_FROM)
        worker->tasks[effect->task]->consuming = true;
    return true;
}

/* What was due by now and is not done waits for an answer, not for time. */
static void wake_at(const rfm_worker *worker, int64_t time_ms, int64_t *wake_ms)
{
    if (time_ms > worker->now_ms && time_ms < *wake_ms)
        *wake_ms = time_ms;
}

int64_t rfm_worker_wake_ms(const rfm_worker *worker)
{
    int64_t wake_ms = INT64_MAX;
    for (size_t i = 0; i < worker->owned.count; i++) {
        const rfm__task *task = worker->owned.items[i];
        wake_at(worker, task->retry_ms, &wake_ms);
        if (task->phase != RFM__RUNNING)
            continue;
        wake_at(worker, task->checked_ms + RFM__CHECK_MS, &wake_ms);
        if (!worker->conf.at_least_once)
            wake_at(worker, task->published_ms + worker->conf.wal_idle_ms, &wake_ms);
        wake_at(worker, rfm__timers_wake_ms(worker, task), &wake_ms);
    }
    return wake_ms;
}

bool rfm_worker_ready(const rfm_worker *worker)
{
    for (size_t i = 0; i < worker->owned.count; i++)
        if (worker->owned.items[i]->phase != RFM__RUNNING || !worker->owned.items[i]->linked)
            return false;
    return !worker->resetting && !worker->halted;
}

bool rfm_worker_settled(const rfm_worker *worker)
{
    if (worker->resetting || worker->publishing != NULL || worker->storing.count > 0 || worker->loads.count > 0)
        return false;
    return worker->effects_at == worker->effects.count && rfm__step_is_empty(worker);
}

const rfm_rules *rfm_worker_rules(const rfm_worker *worker)
{
    return worker->conf.rules;
}

const rfm_worker_stats *rfm_worker_stats_of(const rfm_worker *worker)
{
    rfm_worker_stats *stats = (rfm_worker_stats *)(uintptr_t)&worker->stats;
    stats->evictions = worker->cache.evictions;
    stats->cache_bytes = rfm__cache_bytes(&worker->cache);
    stats->dirty_bytes = worker->dirty_bytes;
    int64_t late_ms = 0;
    stats->timers_due = 0;
    for (size_t i = 0; i < worker->owned.count; i++)
        stats->timers_due += rfm__timers_due(worker, worker->owned.items[i], &late_ms);
    stats->timers_late_ms = (uint64_t)late_ms;
    return &worker->stats;
}
