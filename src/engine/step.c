#include "inside.h"

#include <stdio.h>
#include <stdlib.h>

rfm__step *rfm__step_new(rfm_worker *worker)
{
    rfm__step *step = rfm_spares_take(&worker->spare_steps);
    if (step == NULL) {
        step = calloc(1, sizeof *step);
        RFM_NEED(step != NULL);
        rfm_arena_init(&step->arena);
    }
    step->step.number = ++worker->step_number;
    return step;
}

static void recycle(rfm_worker *worker, rfm__step *step)
{
    rfm_arena_reset(&step->arena);
    step->messages.count = step->changed.count = step->waiting.count = step->changes.count = 0;
    step->records = step->looks = step->redo_bytes = step->stores_left = 0;
    rfm_spares_give(&worker->spare_steps, step);
    while ((step = rfm_spares_surplus(&worker->spare_steps)) != NULL)
        rfm__step_free(step);
}

void rfm__step_free(rfm__step *step)
{
    if (step == NULL)
        return;
    rfm_arena_release(&step->arena);
    free(step->messages.items);
    free(step->changed.items);
    free(step->waiting.items);
    free(step->changes.items);
    free(step);
}

/* Forgets what a step in the making has changed; the tasks' epochs must have been raised. */
void rfm__step_drop_changes(rfm_worker *worker, rfm__step *step)
{
    for (size_t i = 0; i < worker->owned.count; i++)
        worker->owned.items[i]->in_step = false;
    recycle(worker, step);
}

bool rfm__step_is_empty(const rfm_worker *worker)
{
    if (worker->making->records > 0 || worker->making->messages.count > 0 || worker->making->waiting.count > 0)
        return false;
    for (size_t i = 0; i < worker->owned.count; i++)
        if (worker->owned.items[i]->in_step)
            return false;
    return true;
}

/* A step may be too large for what is between us and the broker: its transaction times out, and would time out again
 * and again. What failed so is half as large the next time, but the limit falls to no less than an eighth at once: a
 * small step may have failed for another reason. It grows again while steps that need it take a small part of the time
 * in which the last one failed. */
static void fit_size(rfm_worker *worker, const rfm__step *step, bool done)
{
    enum { SMALL_PART = 4, FALL_MAX = 8 };
    size_t size = step->records > step->looks ? step->records : step->looks;
    size_t max = worker->step_size_max, half = size / 2, least = max / FALL_MAX;
    int64_t took_ms = worker->now_ms - step->closed_ms;
    if (done && size > max / 2 && took_ms < worker->step_failed_ms / SMALL_PART) {
        max = 2 * max < worker->conf.step_events_max ? 2 * max : worker->conf.step_events_max;
    } else if (!done && took_ms >= RFM__STEP_SLOW_MS && !RFM_FAULT(STEP_SIZE)) {
        max = half > least ? half : least;
        worker->step_failed_ms = took_ms;
    }
    worker->step_size_max = max > 0 ? max : 1;
}

static void put_hash(rfm__task *task, const char *key, int64_t field, int64_t value)
{
    uint8_t text[48];
    rfm_buffer buffer = rfm_buffer_over(text, sizeof text);
    rfm_write_integer(&buffer, field);
    size_t field_len = buffer.len;
    rfm_write_integer(&buffer, value);
    rfm_redo_put(&task->redo, &(rfm_redo_item){.op = value == 0 ? RFM_REDO_HASH_DELETE : RFM_REDO_HASH_SET,
                                               .key = rfm_text(key),
                                               .field = rfm_bytes_of(text, field_len),
                                               .value = rfm_bytes_of(text + field_len, buffer.len - field_len)});
}

/* A step's clients are more than a processor's cache holds: they come near while those before them are written. */
static void prefetch_changed(rfm_worker *worker, const rfm__step *step, size_t i)
{
    enum { ENTRIES_AHEAD = 24, STATES_AHEAD = 12 };
    if (i + ENTRIES_AHEAD < step->changed.count)
        rfm__cache_prefetch(&worker->cache, step->changed.items[i + ENTRIES_AHEAD]);
    if (i + STATES_AHEAD < step->changed.count)
        rfm__entry_prefetch_block(rfm__cache_at(&worker->cache, step->changed.items[i + STATES_AHEAD]));
}

static void write_client(rfm_redo *redo, rfm__entry *entry)
{
    char bundle[RFM_BUNDLE_KEY_MAX];
    uint8_t loose[RFM__LOOSE_KEY_MAX];
    rfm_bytes id = rfm__entry_key(entry);
    bool gone = entry->packed_len == 0; /* erased */
    rfm_redo_put(redo, &(rfm_redo_item){.op = gone ? RFM_REDO_HASH_DELETE : RFM_REDO_HASH_SET,
                                        .key = rfm_bundle_key(rfm_bundle_of(entry->hash), bundle),
                                        .field = id,
                                        .value = rfm__entry_packed(entry)});
    if (entry->loose)
        rfm_redo_put(redo, &(rfm_redo_item){.op = RFM_REDO_DELETE, .key = rfm__loose_key(id, loose)});
    entry->loose = entry->in_step = false;
}

static void write_clients(rfm_worker *worker, rfm__step *step)
{
    for (size_t i = 0; i < step->changed.count; i++) {
        prefetch_changed(worker, step, i);
        rfm__entry *entry = rfm__cache_at(&worker->cache, step->changed.items[i]);
        write_client(&worker->tasks[entry->task]->redo, entry);
    }
}

static void write_names(rfm__task *task)
{
    char field[8];
    size_t count = rfm_names_count(task->names);
    for (size_t number = task->names_written + 1; number <= count && !RFM_FAULT(NAMES); number++) {
        snprintf(field, sizeof field, "%zu", number);
        rfm_redo_put(&task->redo, &(rfm_redo_item){.op = RFM_REDO_HASH_SET,
                                                   .key = rfm_text(RFM_KEY_NAMES),
                                                   .field = rfm_text(field),
                                                   .value = rfm_names_text(task->names, (uint16_t)number)});
    }
    task->names_written = count;
}

static void write_buckets(rfm__task *task)
{
    for (size_t i = 0; i < task->buckets_touched.count && !RFM_FAULT(DUE_COUNTS); i++) {
        int64_t second = task->buckets_touched.items[i];
        const rfm__bucket *bucket = rfm__due_find(&task->due, second);
        put_hash(task, RFM_KEY_DUE, second, bucket ? (int64_t)bucket->entries : 0);
    }
    task->buckets_touched.count = 0;
}

static void write_task(rfm_worker *worker, rfm__task *task)
{
    write_names(task);
    rfm__erased_sweep(&task->erased, task->clock_ms, &task->redo);
    rfm__counters_write(&task->counters, &task->redo);
    write_buckets(task);
    if (task->ring_minute != task->ring_minute_written && task->ring_minute != INT64_MIN && !RFM_FAULT(MINUTE))
        put_hash(task, RFM_KEY_TASK, RFM_TASK_MINUTE, task->ring_minute);
    task->ring_minute_written = task->ring_minute;
    if (task->bundled_minute != task->bundled_minute_written)
        put_hash(task, RFM_KEY_TASK, RFM_TASK_BUNDLED, task->bundled_minute);
    task->bundled_minute_written = task->bundled_minute;
    if (worker->conf.clock == RFM_CLOCK_WALL && worker->now_ms > task->clock_ms)
        task->clock_ms = worker->now_ms;
    if (task->clock_ms != INT64_MIN && !RFM_FAULT(CLOCK))
        put_hash(task, RFM_KEY_TASK, RFM_TASK_CLOCK, task->clock_ms);
}

/* at_least_once: above the present one, and nobody else's, also if another owner goes on from the same state. */
static int64_t next_count(const rfm_worker *worker, const rfm_change *change)
{
    enum { MARK_BITS = 24 };
    int64_t count = change->from.wal == RFM_OFFSET_NONE ? 0 : change->from.wal >> MARK_BITS;
    uint32_t mark = worker->conf.mark * 0x9e3779b1u + change->term * 0x85ebca6bu;
    return (int64_t)((uint64_t)(count + 1) << MARK_BITS | mark >> (32 - MARK_BITS));
}

static void push_redo(rfm__step *step, const rfm_change *change)
{
    for (size_t i = 0; i < change->redo_count; i++)
        rfm__push(&step->messages, (rfm_message){.topic = RFM_TOPIC_WAL,
                                                 .partition = (int32_t)change->task,
                                                 .change = (int32_t)step->changes.count,
                                                 .value = change->redo[i]});
}

/* The task's part: what it publishes and stores, and where it stands afterwards. */
static void close_task(rfm_worker *worker, rfm__step *step, rfm__task *task)
{
    rfm_change change = {.task = task->number, .term = task->term, .from = task->position, .to = task->position};
    memcpy(change.to.next, task->next, sizeof change.to.next);
    for (size_t i = 0; i < RFM_INPUTS_MAX && RFM_FAULT(OFFSETS) && step->records == 0; i++)
        change.to.next[i] = RFM_OFFSET_NONE;
    write_task(worker, task);
    size_t bytes = rfm_redo_bytes(&task->redo);
    change.redo_count = rfm_redo_end(&task->redo, task->position.wal, task->next, &step->arena, &change.redo);
    if (!worker->conf.at_least_once)
        push_redo(step, &change);
    rfm__push(&step->changes, change);
    step->redo_bytes += bytes;
    task->in_step = false;
}

static void close_step(rfm_worker *worker)
{
    rfm__step *step = worker->making;
    write_clients(worker, step);
    for (size_t i = 0; i < worker->owned.count; i++)
        if (worker->owned.items[i]->in_step)
            close_task(worker, step, worker->owned.items[i]);
    RFM_ASSERT(step->changes.count > 0);
    step->step.assignment = worker->owned.items[0]->assignment;
    step->step.messages = step->messages.items;
    step->step.message_count = step->messages.count;
    step->step.changes = step->changes.items;
    step->step.change_count = step->changes.count;
    step->closed_ms = worker->now_ms;
    worker->dirty_bytes += step->redo_bytes;
    worker->stats.redo_bytes += step->redo_bytes;
    worker->stats.steps++;
    worker->publishing = step;
    worker->making = rfm__step_new(worker);
    rfm__effect(worker, &(rfm_effect){.kind = RFM_OUT_PUBLISH, .step = &step->step});
}

static bool is_stale(const rfm_worker *worker, const rfm__task *task)
{
    return task->phase == RFM__RUNNING && !task->revoking && !worker->conf.at_least_once &&
           worker->now_ms - task->published_ms >= worker->conf.wal_idle_ms && !RFM_FAULT(WAL_IDLE);
}

/* What was decided is counted by a rule's place: after a change, by its name's new place. */
static void move_decided(rfm_worker_stats *stats, const rfm_rules *old, const rfm_rules *rules)
{
    uint64_t moved[RFM_RULES_MAX][RFM_SUPPRESSION_COUNT] = {{0}}, errors[RFM_RULES_MAX] = {0};
    for (size_t i = 0; i < rules->count; i++) {
        for (size_t k = 0; k < old->count; k++) {
            if (strcmp(rules->rule[i].name, old->rule[k].name) != 0)
                continue;
            memcpy(moved[i], stats->decided_by_rule[k], sizeof moved[i]);
            errors[i] = stats->errors_by_rule[k];
        }
    }
    memcpy(stats->decided_by_rule, moved, sizeof moved);
    memcpy(stats->errors_by_rule, errors, sizeof errors);
}

/* Rules change only between two steps. */
static void take_new_rules(rfm_worker *worker)
{
    if (worker->new_rules == NULL)
        return;
    move_decided(&worker->stats, worker->conf.rules, worker->new_rules);
    worker->conf.rules = worker->new_rules;
    worker->conf.client = worker->new_client;
    worker->new_rules = NULL;
    rfm_decoder_free(worker->decoder);
    worker->decoder = rfm_decoder_new(&worker->conf.client->money);
    for (size_t i = 0; i < worker->owned.count; i++)
        if (worker->owned.items[i]->phase == RFM__RUNNING)
            rfm__bind_rules(worker, worker->owned.items[i]);
}

void rfm__step_try_close(rfm_worker *worker)
{
    if (worker->publishing != NULL || worker->resetting || worker->halted)
        return;
    if (worker->client_loads_left > 0 || worker->making->waiting.count > 0)
        return;
    for (size_t i = 0; i < worker->owned.count; i++)
        if (is_stale(worker, worker->owned.items[i]))
            rfm__join_step(worker, worker->owned.items[i]);
    if (!rfm__step_is_empty(worker))
        close_step(worker);
    if (rfm__step_is_empty(worker))
        take_new_rules(worker);
}

static void keep_for_storing(rfm_worker *worker, rfm__step *step)
{
    for (size_t i = 0; i < step->changes.count; i++) {
        rfm_change *change = &step->changes.items[i];
        rfm__task *task = rfm__task_at(worker, change->task);
        if (task == NULL || task->term != change->term || task->phase != RFM__RUNNING)
            continue;
        if (worker->conf.at_least_once)
            change->to.wal = next_count(worker, change);
        RFM_ASSERT(change->to.wal > change->from.wal);
        task->position = change->to;
        task->published_ms = worker->now_ms;
        rfm__push(&task->stores, (rfm__pending_store){step, i});
        step->stores_left++;
    }
    if (step->stores_left > 0) {
        rfm__push(&worker->storing, step);
    } else {
        worker->dirty_bytes -= step->redo_bytes;
        recycle(worker, step);
    }
}

void rfm__step_published(rfm_worker *worker, const rfm_input *input)
{
    rfm__step *step = worker->publishing;
    RFM_ASSERT(step != NULL && input->step == &step->step);
    worker->publishing = NULL;
    bool done = input->answer == RFM_DONE || (input->answer == RFM_UNKNOWN && RFM_FAULT(UNKNOWN_AS_DONE));
    fit_size(worker, step, done);
    if (done && !worker->resetting) {
        keep_for_storing(worker, step);
        return;
    }
    worker->dirty_bytes -= step->redo_bytes;
    recycle(worker, step);
    if (input->answer != RFM_DONE)
        worker->stats.aborts++;
    rfm__reset(worker, input->answer != RFM_DONE && !RFM_FAULT(RENEW));
}

void rfm__stores_advance(rfm_worker *worker, rfm__task *task)
{
    if (task->phase != RFM__RUNNING || !task->linked || task->store_under_way || task->stores.count == 0)
        return;
    if (worker->now_ms < task->retry_ms)
        return;
    const rfm__pending_store *store = &task->stores.items[0];
    const rfm_change *change = &store->step->changes.items[store->change];
    size_t len = rfm_wal_value_format(&change->to, worker->conf.input_count, task->wal_value);
    task->store_under_way = true;
    rfm__effect(worker, &(rfm_effect){.kind = RFM_OUT_STORE,
                                      .task = task->number,
                                      .term = task->term,
                                      .store = {.redo = change->redo,
                                                .redo_count = change->redo_count,
                                                .wal_value = rfm_bytes_of(task->wal_value, len),
                                                .fenced = !RFM_FAULT(STORE_RULE)}});
}

static void release_store(rfm_worker *worker, rfm__step *step)
{
    if (--step->stores_left > 0)
        return;
    worker->dirty_bytes -= step->redo_bytes;
    worker->stats.step_ms[worker->stats.steps_stored++ % RFM_STEP_TIMES] = (uint64_t)(worker->now_ms - step->closed_ms);
    for (size_t i = 0; i < worker->storing.count; i++) {
        if (worker->storing.items[i] != step)
            continue;
        memmove(worker->storing.items + i, worker->storing.items + i + 1,
                (--worker->storing.count - i) * sizeof *worker->storing.items);
        break;
    }
    recycle(worker, step);
}

void rfm__store_done(rfm_worker *worker, rfm__task *task)
{
    rfm__pending_store store = task->stores.items[0];
    memmove(task->stores.items, task->stores.items + 1, --task->stores.count * sizeof *task->stores.items);
    task->stored_wal = store.step->changes.items[store.change].to.wal;
    task->checked_ms = worker->now_ms;
    task->store_refused = false;
    worker->owners[task->number].stored_step = store.step->step.number;
    worker->cache.stuck = false;
    rfm__cache_shrink(&worker->cache);
    worker->stats.stores++;
    if (worker->conf.at_least_once)
        rfm__effect(worker, &(rfm_effect){.kind = RFM_OUT_COMMIT,
                                          .task = task->number,
                                          .term = task->term,
                                          .from = store.step->changes.items[store.change].to});
    release_store(worker, store.step);
}

/* The one rule: mine, and it is done; my predecessor's, and it is still to be done; anything else: take the task over
 * again. The value is the one read afterwards, on which the next store stands: Redis may have been rolled back right
 * after it was done. */
void rfm__stored(rfm_worker *worker, rfm__task *task, const rfm_input *input)
{
    if (!task->store_under_way)
        return;
    task->store_under_way = false;
    const rfm__pending_store *store = &task->stores.items[0];
    const rfm_change *change = &store->step->changes.items[store->change];
    int64_t wal = rfm_wal_value_parse(input->wal_value);
    if (wal == change->to.wal || (input->answer == RFM_DONE && RFM_FAULT(STORED_ANSWER)) ||
        (input->answer == RFM_NOT_STORED && RFM_FAULT(REFUSED_AS_STORED)))
        rfm__store_done(worker, task);
    else if (input->answer != RFM_DONE && wal == change->from.wal)
        task->store_refused = true, task->retry_ms = worker->now_ms + RFM__RETRY_MS / 10;
    else
        worker->stats.rollbacks++, rfm__reset(worker, false);
}

void rfm__stores_forget(rfm_worker *worker, rfm__task *task)
{
    while (task->stores.count > 0)
        release_store(worker, task->stores.items[--task->stores.count].step);
    task->store_under_way = false;
}
