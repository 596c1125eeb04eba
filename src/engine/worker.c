#include "inside.h"

#include <rfm/base/hash.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

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

/* -- making and unmaking */

static rfm__task *task_new(rfm_worker *worker, uint32_t number)
{
    rfm__task *task = calloc(1, sizeof *task);
    RFM_NEED(task != NULL);
    task->number = number;
    task->names = rfm_names_new();
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
    RFM_NEED(worker);
    worker->conf = *conf;
    if (conf->page_entries_max == 0)
        worker->conf.page_entries_max = RFM__PAGE_ENTRIES;
    worker->step_size_max = conf->step_events_max;
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
    RFM_NEED(worker->owners && worker->tasks && worker->decisions.items);
    rfm_table_init(&worker->load_places, 0);
    rfm__cache_init(&worker->cache, conf->cache_bytes_max, worker->owners);
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
    for (rfm__step *step; (step = rfm_spares_take(&worker->spare_steps)) != NULL;)
        rfm__step_free(step);
    for (size_t i = 0; i < worker->loads.count; i++)
        rfm__load_free(worker->loads.items[i]);
    for (rfm__load *load; (load = rfm_spares_take(&worker->spare_loads)) != NULL;)
        rfm__load_free(load);
    rfm__step_free(worker->making);
    rfm__step_free(worker->publishing);
    rfm__cache_release(&worker->cache);
    rfm_decoder_free(worker->decoder);
    rfm_buffer_release(&worker->value);
    rfm_buffer_release(&worker->headers);
    rfm_buffer_release(&worker->data);
    free(worker->owned.items);
    free(worker->storing.items);
    rfm_spares_release(&worker->spare_steps);
    rfm_table_release(&worker->load_places);
    free(worker->loads.items);
    rfm_spares_release(&worker->spare_loads);
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
    for (size_t i = 0; i < worker->owned.count; i++) {
        rfm__task *task = worker->owned.items[i];
        if (task->phase == RFM__HELD && task->stalled)
            rfm__takeover_begin_later(worker, task, RFM__STALLED_RETRY_MS);
        else if (task->phase == RFM__HELD)
            rfm__takeover_begin(worker, task);
        task->stalled = false;
    }
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

static void lost(rfm_worker *worker, rfm__task *task)
{
    bool in_flight = publishes(worker, task);
    bool in_making = task->in_step || rfm__has_client_loads(worker, task) || worker->loaded.count > 0;
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

/* A task that is to be given up goes when nothing of it is in flight: its steps published, and stored unless Redis is
 * away or full (then its successor replays them from the WAL). */
static void try_release(rfm_worker *worker, rfm__task *task)
{
    if (!task->revoking)
        return;
    if (task->phase == RFM__RUNNING && !RFM_FAULT(RELEASE_IN_FLIGHT)) {
        if (!task->linked && (rfm__has_client_loads(worker, task) || task->page.state == RFM__PAGE_LOADING)) {
            rfm__reset(worker, false);
        } else {
            if (task->in_step || publishes(worker, task) || rfm__has_client_loads(worker, task) ||
                worker->loaded.count > 0)
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

/* -- the connection to Redis */

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

/* What was to be asked over the connection and has not been handed out. It is asked again over the next one; asked
 * twice, the second might name a load that has been answered. */
static void drop_requests(rfm_worker *worker, const rfm__task *task)
{
    size_t kept = worker->effects_at;
    for (size_t i = worker->effects_at; i < worker->effects.count; i++) {
        const rfm_effect *effect = &worker->effects.items[i];
        bool request = effect->kind == RFM_OUT_LOAD || effect->kind == RFM_OUT_STORE;
        if (!request || effect->task != task->number)
            worker->effects.items[kept++] = *effect;
    }
    worker->effects.count = kept;
}

static void closed(rfm_worker *worker, rfm__task *task)
{
    task->linked = false;
    drop_requests(worker, task);
    for (size_t i = 0; i < worker->loads.count; i++)
        if (worker->loads.items[i]->task == task->number)
            worker->loads.items[i]->sent = false;
}

/* -- inputs */

static void at_end(rfm_worker *worker, rfm__task *task, const rfm_input *input)
{
    if (!task->consuming && !RFM_FAULT(CONSUMING))
        return;
    RFM_ASSERT(input->input < worker->conf.input_count);
    task->end_ms[input->input] = input->now_ms;
    /* Once markers have expired, an offset before them would have too. Of a task that is given up records are
     * dropped. */
    bool drops = task->revoking && !RFM_FAULT(END_OF_REVOKED);
    if (!drops && input->next > task->next[input->input])
        task->next[input->input] = input->next;
    if (worker->conf.clock == RFM_CLOCK_WALL && task->ring_minute == INT64_MIN)
        task->ring_minute = rfm_div_floor(worker->now_ms, RFM_MINUTE_MS);
    if (task->catching_up)
        rfm__see_caught_up(worker, task);
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
        rfm__loaded(worker, task, input);
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
        rfm__set_now(worker, input->now_ms);
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
    rfm__load_send(worker, rfm__load_new(worker, task, RFM__FOR_CHECK, RFM_LOAD_VALUES));
}

static void progress(rfm_worker *worker)
{
    rfm__leave_stalled(worker);
    end_reset(worker);
    for (size_t i = 0; i < worker->owned.count && !worker->resetting && !worker->halted; i++) {
        rfm__task *task = worker->owned.items[i];
        rfm__takeover_wake(worker, task);
        if (!rfm__awaits_edges(worker))
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

const rfm_worker_stats *rfm_worker_stats_of(rfm_worker *worker)
{
    rfm_worker_stats *stats = &worker->stats;
    stats->evictions = worker->cache.evictions;
    stats->cache_bytes = rfm__cache_bytes(&worker->cache);
    stats->dirty_bytes = worker->dirty_bytes;
    int64_t late_ms = 0;
    stats->timers_due = 0;
    for (size_t i = 0; i < worker->owned.count; i++)
        stats->timers_due += rfm__timers_due(worker, worker->owned.items[i], &late_ms);
    stats->timers_late_ms = (uint64_t)late_ms;
    return stats;
}
