#include "offline.h"

#include "tables.h"
#include <stdlib.h>

enum { BATCH = 4096 };

struct rfm_offline {
    const rfm_config *config;
    uint32_t partition_count;
    rfm_offline_calls calls;
    rfm_worker *worker;
    rfm_view **views;
    int64_t *wal_end;    /* by task */
    int64_t events;      /* taken so far: the next one's offset, in whichever task */
    rfm_record *records; /* not fed yet; their bytes lie in the arena */
    size_t count;
    rfm_arena arena, load_arena;
    int64_t clock_ms, refreshed_ms; /* refreshed: the multiple of rfm.refresh up to which edges are taken */
    rfm_edges edges;
    bool edges_known;
    uint64_t summed_stores;
    rfm_error failure;
};

static void make_worker_conf(const rfm_offline *offline, rfm_format format, rfm_worker_conf *conf)
{
    const rfm_config *config = offline->config;
    *conf = (rfm_worker_conf){.partition_count = offline->partition_count,
                              .input_count = 1,
                              .input_topic = {"events"},
                              .input_reading = {{format, config->amount_field}},
                              .partitioner = RFM_PARTITIONER_NONE,
                              .clock = RFM_CLOCK_RECORD,
                              .cache_bytes_max = config->engine.cache_bytes_max,
                              .dirty_bytes_max = config->engine.dirty_bytes_max,
                              .step_events_max = config->engine.step_events_max,
                              .wal_idle_ms = INT64_MAX / 2,
                              .client = &config->client,
                              .rules = &config->rules};
}

static void tell(rfm_offline *offline, const rfm_effect *effect, rfm_input *input)
{
    input->task = effect->task;
    input->term = effect->term;
    input->now_ms = 1;
    rfm_worker_tell(offline->worker, input);
}

static void publish(rfm_offline *offline, const rfm_effect *effect)
{
    rfm_step *step = effect->step;
    for (size_t i = 0; i < step->message_count; i++) {
        const rfm_message *message = &step->messages[i];
        if (message->topic == RFM_TOPIC_WAL)
            step->changes[message->change].to.wal = offline->wal_end[message->partition]++;
        else if (offline->calls.message != NULL)
            offline->calls.message(offline->calls.owner, message);
    }
    tell(offline, effect, &(rfm_input){.kind = RFM_IN_PUBLISHED, .answer = RFM_DONE, .step = step});
}

static void store(rfm_offline *offline, const rfm_effect *effect)
{
    rfm_view *view = offline->views[effect->task];
    for (size_t i = 0; i < effect->store.redo_count; i++)
        RFM_ASSERT(rfm_view_apply(view, effect->store.redo[i]) == RFM_OK);
    rfm_view_set_wal(view, effect->store.wal_value);
    tell(offline, effect, &(rfm_input){.kind = RFM_IN_STORED, .answer = RFM_DONE, .wal_value = rfm_view_wal(view)});
}

static void load(rfm_offline *offline, const rfm_effect *effect)
{
    const rfm_bytes *values;
    rfm_view *view = offline->views[effect->task];
    rfm_arena_reset(&offline->load_arena);
    size_t count = rfm_view_load(view, effect, &offline->load_arena, &values);
    tell(offline, effect,
         &(rfm_input){
             .kind = RFM_IN_LOADED,
             .loaded = {.load = effect->load.load, .wal_value = rfm_view_wal(view), .values = values, .count = count}});
}

static void position(rfm_offline *offline, const rfm_effect *effect)
{
    rfm_input input = {
        .kind = RFM_IN_POSITION, .answer = RFM_DONE, .position = {.committed = {.wal = RFM_OFFSET_NONE}}};
    for (size_t i = 0; i < RFM_INPUTS_MAX; i++)
        input.position.committed.next[i] = RFM_OFFSET_NONE;
    tell(offline, effect, &input);
}

static void carry_out(rfm_offline *offline, const rfm_effect *effect)
{
    switch (effect->kind) {
    case RFM_OUT_READ_POSITION: position(offline, effect); break;
    case RFM_OUT_OPEN: tell(offline, effect, &(rfm_input){.kind = RFM_IN_OPENED, .answer = RFM_DONE}); break;
    case RFM_OUT_READ_WAL:
        tell(offline, effect, &(rfm_input){.kind = RFM_IN_WAL, .answer = RFM_DONE, .wal = {.last = true}});
        break;
    case RFM_OUT_LOAD: load(offline, effect); break;
    case RFM_OUT_STORE: store(offline, effect); break;
    case RFM_OUT_PUBLISH: publish(offline, effect); break;
    case RFM_OUT_HALT: rfm_fail(&offline->failure, RFM_E_REFUSED, "%s", effect->reason); break;
    default: break;
    }
}

static int drive(rfm_offline *offline, rfm_error *error)
{
    rfm_effect effect;
    while (rfm_worker_next(offline->worker, &effect))
        carry_out(offline, &effect);
    return offline->failure.code == RFM_OK ? RFM_OK
                                           : rfm_fail(error, offline->failure.code, "%s", offline->failure.message);
}

int rfm_offline_new(const rfm_config *config, uint32_t partition_count, rfm_format format,
                    const rfm_offline_calls *calls, rfm_offline **out, rfm_error *error)
{
    rfm_offline *offline = calloc(1, sizeof *offline);
    RFM_NEED(offline != NULL);
    *offline = (rfm_offline){.config = config,
                             .partition_count = partition_count,
                             .calls = *calls,
                             .clock_ms = INT64_MIN,
                             .refreshed_ms = INT64_MIN};
    offline->views = calloc(partition_count, sizeof *offline->views);
    offline->wal_end = calloc(partition_count, sizeof *offline->wal_end);
    offline->records = calloc(BATCH, sizeof *offline->records);
    RFM_NEED(offline->views && offline->wal_end && offline->records);
    rfm_arena_init(&offline->arena);
    rfm_arena_init(&offline->load_arena);
    for (uint32_t i = 0; i < partition_count; i++)
        offline->views[i] = rfm_view_new();
    rfm_worker_conf conf;
    make_worker_conf(offline, format, &conf);
    int code = rfm_worker_new(&conf, &offline->worker, error);
    for (uint32_t i = 0; code == RFM_OK && i < partition_count; i++)
        rfm_worker_tell(offline->worker,
                        &(rfm_input){.kind = RFM_IN_ASSIGNED, .task = i, .now_ms = 1, .assignment = 1});
    if (code == RFM_OK) {
        /* Nobody is known yet: scores by thresholds, as everywhere below rfm.population_min. */
        rfm_worker_tell(offline->worker, &(rfm_input){.kind = RFM_IN_EDGES, .now_ms = 1, .edges = &offline->edges});
        code = drive(offline, error);
    }
    if (code == RFM_OK)
        *out = offline;
    else
        rfm_offline_free(offline);
    return code;
}

void rfm_offline_free(rfm_offline *offline)
{
    if (offline == NULL)
        return;
    rfm_worker_free(offline->worker);
    for (uint32_t i = 0; i < offline->partition_count; i++)
        rfm_view_free(offline->views[i]);
    rfm_arena_release(&offline->arena);
    rfm_arena_release(&offline->load_arena);
    free(offline->views);
    free(offline->wal_end);
    free(offline->records);
    free(offline);
}

static int flush(rfm_offline *offline, rfm_error *error)
{
    for (size_t fed = 0; fed < offline->count;) {
        fed += rfm_worker_feed(offline->worker, offline->records + fed, offline->count - fed, 1);
        int code = drive(offline, error);
        if (code != RFM_OK)
            return code;
    }
    offline->count = 0;
    rfm_arena_reset(&offline->arena);
    return RFM_OK;
}

static int reach(rfm_offline *offline, int64_t clock_ms, rfm_error *error)
{
    int code = flush(offline, error);
    if (code != RFM_OK)
        return code;
    rfm_worker_tell(offline->worker, &(rfm_input){.kind = RFM_IN_CLOCK, .now_ms = clock_ms});
    return drive(offline, error);
}

void rfm_offline_sum_population(rfm_offline *offline)
{
    const rfm_worker_stats *stats = rfm_worker_stats_of(offline->worker);
    if (!rfm_client_conf_needs_population(&offline->config->client) ||
        (offline->edges_known && stats->stores == offline->summed_stores))
        return;
    RFM_NEED(rfm_tables_edges(NULL, offline->views, offline->partition_count, NULL, &offline->edges, NULL) == RFM_OK);
    offline->edges_known = true;
    offline->summed_stores = stats->stores;
    rfm_worker_tell(offline->worker, &(rfm_input){.kind = RFM_IN_EDGES, .now_ms = 1, .edges = &offline->edges});
}

/* Edges are taken when the clock passes a multiple of rfm.refresh: after everything before it, before everything from
 * it on. */
static int pass_refresh(rfm_offline *offline, int64_t clock_ms, rfm_error *error)
{
    int64_t refresh_ms = offline->config->client.rfm.refresh_ms,
            multiple_ms = rfm_div_floor(clock_ms, refresh_ms) * refresh_ms;
    if (!rfm_client_conf_needs_population(&offline->config->client) || multiple_ms <= offline->refreshed_ms)
        return RFM_OK;
    bool first = offline->refreshed_ms == INT64_MIN;
    int64_t next_ms = offline->refreshed_ms + refresh_ms;
    offline->refreshed_ms = multiple_ms;
    if (first)
        return RFM_OK;
    int code = reach(offline, next_ms - 1, error);
    if (code == RFM_OK)
        rfm_offline_sum_population(offline);
    return code;
}

int rfm_offline_event(rfm_offline *offline, rfm_bytes client_id, rfm_bytes value, int64_t clock_ms, rfm_error *error)
{
    int code = clock_ms > offline->clock_ms ? pass_refresh(offline, clock_ms, error) : RFM_OK;
    if (code != RFM_OK)
        return code;
    offline->clock_ms = clock_ms;
    uint32_t task = client_id.len == 0 ? 0
                                       : rfm_partition_of(RFM_PARTITIONER_MURMUR2, client_id, offline->partition_count);
    offline->records[offline->count++] = (rfm_record){.task = task,
                                                      .offset = offline->events++,
                                                      .append_ms = clock_ms,
                                                      .key = client_id.len ? rfm_arena_copy(&offline->arena, client_id)
                                                                           : RFM_BYTES_NONE,
                                                      .value = rfm_arena_copy(&offline->arena, value)};
    return offline->count == BATCH ? flush(offline, error) : RFM_OK;
}

int rfm_offline_until(rfm_offline *offline, int64_t clock_ms, rfm_error *error)
{
    int code = pass_refresh(offline, clock_ms, error);
    if (code == RFM_OK)
        code = reach(offline, clock_ms, error);
    offline->clock_ms = clock_ms;
    return code;
}

const rfm_edges *rfm_offline_edges(const rfm_offline *offline)
{
    return offline->edges_known ? &offline->edges : NULL;
}
const rfm_view *rfm_offline_view(const rfm_offline *offline, uint32_t task)
{
    return offline->views[task];
}
const rfm_worker_stats *rfm_offline_stats(const rfm_offline *offline)
{
    return rfm_worker_stats_of(offline->worker);
}
