#include "inside.h"

#include <stdio.h>
#include <stdlib.h>

/* Taking a task over, step by step as docs/exactly-once.md has it: (1) the stable committed position names M; (2) Redis
 * holds R, and the WAL from R + 1 to M is stored by the one rule; (3) tables are loaded and the inputs consumed from
 * the position. Whatever does not fit begins again at (1); what does not fit twice stops the program with what to
 * restore. */

static const char *const table_key[] = {RFM_KEY_NAMES, RFM_KEY_DAYS, RFM_KEY_BUCKETS, RFM_KEY_ORDERS,
                                        RFM_KEY_DUE,   RFM_KEY_TASK, RFM_KEY_ERASED,  RFM_KEY_KPI};
enum {
    TABLE_NAMES,
    TABLE_DAY,
    TABLE_BUCKET,
    TABLE_ORDERS,
    TABLE_DUE,
    TABLE_TASK,
    TABLE_ERASED,
    TABLE_KPI,
    TABLE_COUNT
};

static void ask(rfm_worker *worker, rfm__task *task, rfm__phase phase, rfm_effect_kind kind)
{
    task->phase = phase;
    rfm__effect(worker, &(rfm_effect){.kind = kind, .task = task->number, .term = task->term});
}

static void begin_again(rfm_worker *worker, rfm__task *task)
{
    task->term++;
    task->linked = false;
    task->store_under_way = false;
    task->replay_parts.count = task->replay_whole = 0;
    rfm__loads_forget(worker, task);
    rfm__effects_purge(worker);
    rfm_arena_release(&task->replay_arena);
    ask(worker, task, RFM__POSITION, RFM_OUT_READ_POSITION);
}

void rfm__takeover_begin(rfm_worker *worker, rfm__task *task)
{
    task->reread = false;
    worker->stats.takeovers++;
    begin_again(worker, task);
}

static void rest_for(rfm_worker *worker, rfm__task *task, int64_t delay_ms)
{
    task->phase = RFM__RESTING;
    task->retry_ms = worker->now_ms + delay_ms;
}

static void rest(rfm_worker *worker, rfm__task *task)
{
    rest_for(worker, task, RFM__RETRY_MS);
}

void rfm__takeover_begin_later(rfm_worker *worker, rfm__task *task, int64_t delay_ms)
{
    task->reread = false;
    worker->stats.takeovers++;
    rest_for(worker, task, delay_ms);
}

void rfm__takeover_wake(rfm_worker *worker, rfm__task *task)
{
    if (task->phase == RFM__RESTING && worker->now_ms >= task->retry_ms)
        begin_again(worker, task);
}

/* False: the position cannot be gone on from (and the worker has halted). */
static bool position_holds(rfm_worker *worker, rfm__task *task, const rfm_input *input)
{
    const rfm_position *at = &input->position.committed;
    for (size_t i = 0; i < worker->conf.input_count; i++) {
        if (at->next[i] == RFM_OFFSET_NONE || RFM_FAULT(POSITION_RANGE))
            continue;
        if (at->wal == RFM_OFFSET_NONE) {
            rfm__halt(
                worker,
                "%s [%u]: the group's committed offset %lld does not name a WAL offset: another program has committed it; "
                "use a group of rfmd's own, or delete these offsets together with the WAL topic and the Redis prefix",
                worker->conf.input_topic[i], task->number, (long long)at->next[i]);
            return false;
        }
        if (at->next[i] < input->position.begin[i]) {
            rfm__halt(
                worker,
                "%s [%u]: expired: the next record to read is at offset %lld, but the log begins at %lld: records were deleted "
                "before they were read; raise the topic's retention, then accept the loss by moving the group's offset",
                worker->conf.input_topic[i], task->number, (long long)at->next[i], (long long)input->position.begin[i]);
            return false;
        }
        if (at->next[i] > input->position.end[i]) {
            rfm__halt(
                worker,
                "%s [%u]: the committed offset %lld lies beyond the log's end %lld: the topic was made anew or lost records; "
                "a new topic needs a new group, WAL topic and Redis prefix",
                worker->conf.input_topic[i], task->number, (long long)at->next[i], (long long)input->position.end[i]);
            return false;
        }
    }
    return true;
}

static void got_position(rfm_worker *worker, rfm__task *task, const rfm_input *input)
{
    if (input->answer == RFM_BLOCKED) {
        ask(worker, task, RFM__TAIL, RFM_OUT_READ_TAIL);
        return;
    }
    if (input->answer == RFM_REFUSED_FOR_GOOD) {
        rfm__halt(worker, "%s", input->reason ? input->reason : "the committed position was refused");
        return;
    }
    if (input->answer != RFM_DONE) {
        rest(worker, task);
        return;
    }
    if (!worker->conf.at_least_once && !position_holds(worker, task, input))
        return;
    memcpy(task->log_begin, input->position.begin, sizeof task->log_begin);
    memcpy(task->log_end, input->position.end, sizeof task->log_end);
    task->committed = input->position.committed;
    task->target_known = task->committed.wal != RFM_OFFSET_NONE;
    ask(worker, task, RFM__OPENING, RFM_OUT_OPEN);
}

static void got_tail(rfm_worker *worker, rfm__task *task, const rfm_input *input)
{
    task->evictions_left = input->answer == RFM_DONE ? input->tail.count : 0;
    if (task->evictions_left == 0) {
        rest(worker, task);
        return;
    }
    task->phase = RFM__EVICTING;
    for (size_t i = 0; i < input->tail.count; i++)
        rfm__effect(worker, &(rfm_effect){.kind = RFM_OUT_EVICT,
                                          .task = task->number,
                                          .term = task->term,
                                          .transactional_id = rfm_arena_copy(&task->replay_arena, input->tail.ids[i])});
}

static void got_evicted(rfm_worker *worker, rfm__task *task)
{
    if (task->evictions_left > 0 && --task->evictions_left == 0)
        begin_again(worker, task);
}

/* What is read of the WAL leads on from what Redis holds. */
static void set_replayed(rfm__task *task, rfm_bytes wal_value, int64_t wal)
{
    task->replayed.wal = wal;
    size_t at = 0;
    for (size_t i = 0; i < RFM_INPUTS_MAX; i++) {
        while (at < wal_value.len && wal_value.at[at] != ' ')
            at++;
        int64_t next = RFM_OFFSET_NONE;
        if (at < wal_value.len && !RFM_FAULT(NEXT_OF_REDIS))
            next = rfm_wal_value_parse(rfm_bytes_of(wal_value.at + at + 1, wal_value.len - at - 1));
        task->replayed.next[i] = next >= 0 ? next : RFM_OFFSET_NONE;
        at++;
    }
}

static void read_wal(rfm_worker *worker, rfm__task *task)
{
    int64_t until = task->target_known ? task->committed.wal : INT64_MAX;
    task->phase = RFM__REPLAYING;
    rfm__effect(worker, &(rfm_effect){.kind = RFM_OUT_READ_WAL,
                                      .task = task->number,
                                      .term = task->term,
                                      .read_wal = {.from = task->replay_from, .until = until}});
}

static void forget_tables(rfm_worker *worker, rfm__task *task)
{
    worker->owners[task->number].epoch++;
    worker->owners[task->number].stored_step = worker->step_number - 1; /* the step in the making may be its first */
    worker->cache.stuck = false;
    rfm_names_clear(task->names);
    task->names_written = 0;
    rfm__counters_clear(&task->counters);
    rfm__due_clear(&task->due);
    rfm__erased_clear(&task->erased);
    task->buckets_touched.count = 0;
    task->ring_minute = task->ring_minute_written = INT64_MIN;
    task->bundled_minute = task->bundled_minute_written = INT64_MIN;
    task->ring_from = 0;
    memset(task->minute_list, RFM__MINUTE_UNKNOWN, sizeof task->minute_list);
    task->clock_ms = task->closed_ms = INT64_MIN;
    task->last_step = 0;
    task->page.state = RFM__PAGE_NONE;
    task->tables_kept = false;
}

static void load_tables(rfm_worker *worker, rfm__task *task)
{
    forget_tables(worker, task);
    task->phase = RFM__TABLES;
    task->tables_left = TABLE_COUNT;
    for (uint8_t table = 0; table < TABLE_COUNT; table++) {
        rfm__load *load = rfm__load_new(worker, task, RFM__FOR_TABLE, RFM_LOAD_HASH);
        load->table = table;
        rfm__load_key(load, rfm_text(table_key[table]), RFM_BYTES_NONE);
        rfm__load_send(worker, load);
    }
}

static void run(rfm_worker *worker, rfm__task *task)
{
    bool wall = worker->conf.clock == RFM_CLOCK_WALL;
    if (wall && task->clock_ms > worker->now_ms + RFM__SKEW_MS)
        task->clock_ms = INT64_MIN;
    rfm__bind_rules(worker, task); /* also where the tables were kept: the rules may be others by now */
    task->phase = RFM__RUNNING;
    task->consuming = task->tables_kept = false;
    task->catching_up = true;
    task->store_refused = false;
    /* An explicit start, which is committed with the first step even if there are no records: offsets are what fences
     * it. */
    for (size_t i = 0; i < worker->conf.input_count; i++)
        if (task->position.next[i] == RFM_OFFSET_NONE)
            task->position.next[i] = task->log_begin[i];
    memcpy(task->next, task->position.next, sizeof task->next);
    memcpy(task->catch_up_end, task->log_end, sizeof task->catch_up_end);
    for (size_t i = 0; i < RFM_INPUTS_MAX; i++)
        task->seen_ms[i] = task->end_ms[i] = INT64_MIN;
    task->published_ms = task->checked_ms = worker->now_ms;
    task->retry_ms = 0;
    rfm__effect(
        worker,
        &(rfm_effect){.kind = RFM_OUT_CONSUME_FROM, .task = task->number, .term = task->term, .from = task->position});
}

/* Redis holds what the position names. */
static void replay_done(rfm_worker *worker, rfm__task *task)
{
    const rfm_position *at = task->target_known ? &task->committed : &task->replayed;
    bool kept = task->tables_kept && (task->position.wal == at->wal || RFM_FAULT(CACHE_OF_OTHERS));
    rfm_arena_release(&task->replay_arena); /* not kept for the next take-over: that may be weeks away */
    task->position = *at;
    task->stored_wal = RFM_FAULT(REPLAY_TO_STABLE) ? task->replayed.wal : at->wal;
    if (kept)
        run(worker, task);
    else
        load_tables(worker, task);
}

/* What does not fit is read again: an owner may have moved on between two readings, and does so again and again where
 * it is we who have lost the task and have not heard of it yet. Only if it stands still is something wrong. */
static bool may_reread(rfm_worker *worker, rfm__task *task)
{
    if (RFM_FAULT(MISFIT_REREAD) || (task->reread && task->committed.wal == task->misfit_wal))
        return false;
    task->reread = true;
    task->misfit_wal = task->committed.wal;
    begin_again(worker, task);
    return true;
}

static void store_replayed(rfm_worker *worker, rfm__task *task)
{
    char *text = rfm_arena_take(&task->replay_arena, RFM_WAL_VALUE_MAX);
    size_t len = rfm_wal_value_format(&task->replayed, worker->conf.input_count, text);
    task->phase = RFM__RESTORING;
    rfm__effect(worker, &(rfm_effect){.kind = RFM_OUT_STORE,
                                      .task = task->number,
                                      .term = task->term,
                                      .store = {.redo = task->replay_parts.items,
                                                .redo_count = task->replay_whole,
                                                .wal_value = rfm_bytes_of(text, len),
                                                .fenced = !RFM_FAULT(STORE_RULE)}});
}

/* at_least_once: is there still to be read what Redis does not have yet? */
static bool redis_holds(rfm_worker *worker, rfm__task *task)
{
    const rfm_position *at = &task->replayed;
    for (size_t i = 0; i < worker->conf.input_count; i++) {
        bool lost = at->wal == RFM_OFFSET_NONE && task->committed.next[i] != RFM_OFFSET_NONE;
        int64_t next = at->next[i] == RFM_OFFSET_NONE && lost ? 0 : at->next[i];
        if (next == RFM_OFFSET_NONE || (next >= task->log_begin[i] && next <= task->log_end[i]))
            continue;
        task->committed.wal = at->wal;
        if (may_reread(worker, task))
            return false;
        rfm__halt(
            worker,
            "%s [%u]: Redis goes on from offset %lld, but the log has %lld to %lld: restore a newer backup of Redis, or, with a "
            "new topic, start with a new group and Redis prefix",
            worker->conf.input_topic[i], task->number, (long long)next, (long long)task->log_begin[i],
            (long long)task->log_end[i]);
        return false;
    }
    return true;
}

/* at_least_once: Redis says where to go on. */
static void go_on_from_redis(rfm_worker *worker, rfm__task *task)
{
    if (!redis_holds(worker, task))
        return;
    task->committed = task->replayed;
    task->target_known = true;
    if (task->committed.wal != RFM_OFFSET_NONE)
        rfm__effect(
            worker,
            &(rfm_effect){.kind = RFM_OUT_COMMIT, .task = task->number, .term = task->term, .from = task->committed});
    replay_done(worker, task);
}

static void got_opened(rfm_worker *worker, rfm__task *task, const rfm_input *input)
{
    int64_t wal = rfm_wal_value_parse(input->wal_value), target = task->committed.wal;
    if (wal == INT64_MIN) {
        rfm__halt(
            worker,
            "task %u: the Redis key 'wal' does not hold a WAL offset: something else has written under rfmd's prefix",
            task->number);
        return;
    }
    task->linked = true;
    task->stored_wal = wal;
    set_replayed(task, input->wal_value, wal);
    task->replay_parts.count = task->replay_whole = 0;
    task->replay_from = wal + 1;
    if (worker->conf.at_least_once) {
        go_on_from_redis(worker, task);
        return;
    }
    if (task->target_known && wal > target && !RFM_FAULT(REDIS_AHEAD)) {
        if (!may_reread(worker, task))
            rfm__halt(
                worker,
                "task %u: Redis is at WAL offset %lld, beyond the last committed one, %lld: Kafka has lost records or is another "
                "cluster; restore Kafka, or start with a new group, WAL topic and Redis prefix",
                task->number, (long long)wal, (long long)target);
        return;
    }
    if (task->target_known && wal >= target)
        replay_done(worker, task);
    else if (task->target_known && RFM_FAULT(TAKEOVER_REPLAY))
        task->replayed = task->committed, task->replay_last = true, store_replayed(worker, task);
    else
        read_wal(worker, task);
}

static void cannot_replay(rfm_worker *worker, rfm__task *task, int64_t found_before, int64_t begin)
{
    if (may_reread(worker, task))
        return;
    char found[128] = "no record follows";
    if (found_before != INT64_MIN)
        snprintf(found, sizeof found, "the next record found follows offset %lld", (long long)found_before);
    rfm__halt(
        worker,
        "task %u: Redis is at WAL offset %lld and cannot be brought to %lld: %s (the WAL topic begins at %lld): the WAL is too old "
        "or was truncated; restore a newer backup of Redis",
        task->number, (long long)task->stored_wal, task->target_known ? (long long)task->committed.wal : -1LL, found,
        (long long)begin);
}

/* Takes one WAL message. False: it does not lead on (and something else has begun). */
static bool take_part(rfm_worker *worker, rfm__task *task, rfm_bytes part, int64_t offset, int64_t begin)
{
    rfm_redo_header header;
    rfm_bytes rest;
    if (offset < task->replay_from || (task->target_known && offset > task->committed.wal))
        return true;
    int code = rfm_redo_open(part, &header, &rest);
    if (code != RFM_OK) {
        if (code == RFM_E_VERSION)
            rfm__halt(worker,
                      "WAL [%u] offset %lld: it has version %u, which a newer rfmd has written; this one, %s, does not "
                      "know it: run the newer one",
                      task->number, (long long)offset, part.at[0], RFM_VERSION);
        else
            rfm__halt(worker, "WAL [%u] offset %lld: not a redo record: something else wrote to the WAL topic",
                      task->number, (long long)offset);
        return false;
    }
    bool follows = (header.part == task->replay_parts.count - task->replay_whole + 1 || RFM_FAULT(REPLAY_PARTS)) &&
                   (header.before == task->replayed.wal || RFM_FAULT(REPLAY_GAP));
    if (!follows) {
        cannot_replay(worker, task, header.before, begin);
        return false;
    }
    rfm__push(&task->replay_parts, rfm_arena_copy(&task->replay_arena, part));
    task->replay_from = offset + 1;
    if (RFM_FAULT(REPLAY_PARTS))
        task->replay_whole = task->replay_parts.count;
    if (header.part < header.parts)
        return true;
    task->replay_whole = task->replay_parts.count;
    task->replayed.wal = offset;
    memcpy(task->replayed.next, header.next, sizeof header.next);
    return true;
}

/* Nothing is left to store of what was read. */
static void read_on(rfm_worker *worker, rfm__task *task, int64_t begin)
{
    if (!task->replay_last) {
        read_wal(worker, task);
        return;
    }
    bool gone = !task->target_known && task->replayed.wal + 1 < begin;
    if (task->target_known && task->replayed.wal < task->committed.wal)
        cannot_replay(worker, task, INT64_MIN, begin);
    else if (gone)
        rfm__halt(
            worker,
            "task %u: the group has no committed offsets, Redis is %s, and the WAL topic begins at %lld: records before it "
            "are gone; restore Redis from a backup, or start with a new group, WAL topic and Redis prefix",
            task->number, task->replayed.wal == RFM_OFFSET_NONE ? "empty" : "older than that", (long long)begin);
    else
        replay_done(worker, task);
}

static void got_wal(rfm_worker *worker, rfm__task *task, const rfm_input *input)
{
    if (input->answer == RFM_BLOCKED && RFM_FAULT(REPLAY_TO_STABLE)) {
        replay_done(worker, task);
        return;
    }
    if (input->answer == RFM_BLOCKED) {
        ask(worker, task, RFM__TAIL, RFM_OUT_READ_TAIL);
        return;
    }
    if (input->answer == RFM_REFUSED_FOR_GOOD) {
        if (!may_reread(worker, task))
            rfm__halt(worker, "%s", input->reason ? input->reason : "the WAL cannot be read");
        return;
    }
    task->replay_last = input->wal.last;
    task->wal_begin = input->wal.begin;
    for (size_t i = 0; i < input->wal.count; i++)
        if (!take_part(worker, task, input->wal.records[i], input->wal.offsets[i], input->wal.begin))
            return;
    if (task->replay_whole > 0)
        store_replayed(worker, task);
    else
        read_on(worker, task, input->wal.begin);
}

/* What stays is the beginning of a record whose last parts are still to be read. */
static void drop_stored_parts(rfm__task *task)
{
    rfm_arena kept;
    rfm_arena_init(&kept);
    size_t left = task->replay_parts.count - task->replay_whole;
    for (size_t i = 0; i < left; i++)
        task->replay_parts.items[i] = rfm_arena_copy(&kept, task->replay_parts.items[task->replay_whole + i]);
    task->replay_parts.count = left;
    task->replay_whole = 0;
    rfm_arena_release(&task->replay_arena);
    task->replay_arena = kept;
}

static void got_restored(rfm_worker *worker, rfm__task *task, const rfm_input *input)
{
    int64_t wal = rfm_wal_value_parse(input->wal_value);
    /* DONE or not: it is the value read afterwards, which the watch stands on, that counts. */
    if (wal != task->replayed.wal && !RFM_FAULT(RESTORED_ANSWER)) {
        if (wal == task->stored_wal)
            rest(worker, task);
        else
            begin_again(worker, task);
        return;
    }
    task->stored_wal = task->replayed.wal;
    drop_stored_parts(task);
    read_on(worker, task, task->wal_begin);
}

void rfm__takeover_tell(rfm_worker *worker, rfm__task *task, const rfm_input *input)
{
    rfm__phase phase = task->phase;
    if (input->kind == RFM_IN_POSITION && phase == RFM__POSITION)
        got_position(worker, task, input);
    else if (input->kind == RFM_IN_TAIL && phase == RFM__TAIL)
        got_tail(worker, task, input);
    else if (input->kind == RFM_IN_EVICTED && phase == RFM__EVICTING)
        got_evicted(worker, task);
    else if (input->kind == RFM_IN_OPENED && phase == RFM__OPENING)
        got_opened(worker, task, input);
    else if (input->kind == RFM_IN_WAL && phase == RFM__REPLAYING)
        got_wal(worker, task, input);
    else if (input->kind == RFM_IN_STORED && phase == RFM__RESTORING)
        got_restored(worker, task, input);
    else if (input->kind == RFM_IN_CLOSED && phase >= RFM__REPLAYING)
        begin_again(worker, task);
}

static int restore_names(rfm__task *task, const rfm_bytes *values, size_t count)
{
    int code = rfm_names_restore_all(task->names, values, count);
    task->names_written = rfm_names_count(task->names);
    return code;
}

static int restore_due(rfm__task *task, const rfm_bytes *values, size_t count)
{
    for (size_t i = 0; i + 1 < count; i += 2) {
        int64_t second, entries;
        if (rfm_integer_parse(values[i], &second) != RFM_OK || rfm_integer_parse(values[i + 1], &entries) != RFM_OK ||
            entries <= 0)
            return RFM_E_CORRUPT;
        rfm__due_bucket(&task->due, second)->entries = (uint64_t)entries;
    }
    return RFM_OK;
}

static int restore_task(rfm__task *task, const rfm_bytes *values, size_t count)
{
    for (size_t i = 0; i + 1 < count; i += 2) {
        int64_t field, value;
        if (rfm_integer_parse(values[i], &field) != RFM_OK || rfm_integer_parse(values[i + 1], &value) != RFM_OK)
            return RFM_E_CORRUPT;
        if (field == RFM_TASK_MINUTE)
            task->ring_minute = task->ring_minute_written = value;
        if (field == RFM_TASK_CLOCK)
            task->clock_ms = value;
        if (field == RFM_TASK_BUNDLED)
            task->bundled_minute = task->bundled_minute_written = value;
    }
    return RFM_OK;
}

static int restore_table(rfm__task *task, uint8_t table, const rfm_bytes *values, size_t count)
{
    switch (table) {
    case TABLE_NAMES: return restore_names(task, values, count);
    case TABLE_DUE: return restore_due(task, values, count);
    case TABLE_TASK: return restore_task(task, values, count);
    case TABLE_ERASED: return rfm__erased_restore(&task->erased, values, count);
    case TABLE_KPI: return rfm__tally_restore(&task->counters, values, count);
    default: return rfm_population_restore(task->counters.population, (rfm_counter)(table - TABLE_DAY), values, count);
    }
}

/* What a release before 0.2 has left does not say: there everybody is loose, and comes into a bundle with the next
 * look. */
static void know_bundled(rfm__task *task)
{
    enum { ALWAYS = 1 }; /* a minute long ago */
    if (task->bundled_minute == INT64_MIN)
        task->bundled_minute = task->ring_minute == INT64_MIN ? ALWAYS : task->ring_minute + RFM__MINUTES;
}

void rfm__table_loaded(rfm_worker *worker, rfm__task *task, const rfm__load *load, const rfm_bytes *values,
                       size_t count)
{
    if (task->phase != RFM__TABLES)
        return;
    if (restore_table(task, load->table, values, count) != RFM_OK) {
        rfm__halt(worker, "task %u: the Redis key '%s' cannot be read: it is damaged; restore Redis from a backup",
                  task->number, table_key[load->table]);
        return;
    }
    if (--task->tables_left > 0)
        return;
    know_bundled(task);
    run(worker, task);
}

void rfm__bind_rules(rfm_worker *worker, rfm__task *task)
{
    rfm_binding_free(task->binding);
    task->binding = rfm_binding_new(worker->conf.rules, worker->conf.client, task->names);
}
