#include "host.h"

#include "adapter_conf.h"
#include "kafka/publisher.h"
#include "kafka/wal_reader.h"
#include "log.h"
#include <errno.h>
#include <pthread.h>
#include <rfm/base/grow.h>
#include <rfm/base/time.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

enum {
    REPORT_MS = 1000,
    STOP_MS = 15000,    /* of the promised 25 s: ending may take some more */
    CLOCK_MOVED_S = 60, /* at once: it was set */
};

typedef struct rfm__fed {
    int64_t append_ms;
    uint64_t records;
} rfm__fed; /* fed since the last publish: for latencies */

struct rfm_host {
    rfm_host_conf conf;
    char instance_id[300], transactional_id[600];
    const char *trigger_topics[RFM_TOPICS_MAX];
    rfm_kafka_conf kafka;
    uv_loop_t loop;
    uv_async_t wake;
    uv_timer_t timer, report;
    rfm_even_clock clock;
    int64_t clock_ahead_ms; /* of the steady clock, at the last look; 0: none yet */
    pthread_t thread;
    bool thread_started;
    rfm_worker *worker;
    rfm_consumer *consumer;
    rfm_wal_reader *reader;
    rfm_publisher *publisher;
    rfm_store *store;
    bool pumping, again, stopping, closed, failed;
    uint64_t stop_deadline_ns;
    rfm__fed *fed, *publishing_fed;
    size_t fed_count, fed_size, publishing_count, publishing_size;
    int64_t publish_ns;
    rfm_histogram latency, commit, redis_load, redis_store, steps;
    uint64_t steps_seen;
    rfm_snapshot *snapshot;
    /* shared with other threads */
    _Atomic int64_t moved_ms;
    _Atomic uint64_t rebalances; /* as of the last report */
    _Atomic(const rfm_rules *) rules;
    _Atomic bool ready, stop_asked, ended;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t ended_changed;
    rfm_edges edges;
    bool edges_new;
    const rfm_client_conf *new_conf;
    const rfm_rules *new_rules;
    rfm_worker_stats stats;
    rfm_histogram latency_shared;
    char trouble[256];
};

static void fail(rfm_host *host, const char *reason)
{
    if (host->failed)
        return;
    host->failed = true;
    rfm_log(RFM_LOG_ERROR, "%s", reason);
    host->conf.failed(host->conf.owner, reason);
}

/* -- latencies: what was fed since the last publish is in the step that is published next */

static void note_fed(rfm_host *host, const rfm_record *records, size_t count)
{
    if (count == 0)
        return;
    host->fed = rfm_grow(host->fed, host->fed_count, &host->fed_size);
    host->fed[host->fed_count++] = (rfm__fed){records[count / 2].append_ms, count};
}

static void note_publish(rfm_host *host)
{
    rfm__fed *fed = host->publishing_fed;
    size_t size = host->publishing_size;
    host->publishing_fed = host->fed;
    host->publishing_size = host->fed_size;
    host->publishing_count = host->fed_count;
    host->fed = fed;
    host->fed_size = size;
    host->fed_count = 0;
    host->publish_ns = rfm_clock_steady_ns();
}

static void note_published(rfm_host *host)
{
    int64_t now_ms = rfm_clock_wall_ms();
    rfm_histogram_observe(&host->commit, (double)(rfm_clock_steady_ns() - host->publish_ns) / 1e9, 1);
    for (size_t i = 0; i < host->publishing_count; i++) {
        int64_t waited_ms = now_ms - host->publishing_fed[i].append_ms;
        rfm_histogram_observe(&host->latency, waited_ms > 0 ? (double)waited_ms / 1e3 : 0,
                              host->publishing_fed[i].records);
    }
    host->publishing_count = 0;
}

/* -- effects */

static void watch_clock(rfm_host *host, int64_t ahead_ms)
{
    int64_t moved_s = (ahead_ms - host->clock_ahead_ms) / 1000;
    if (host->clock_ahead_ms != 0 && moved_s >= CLOCK_MOVED_S)
        rfm_log(RFM_LOG_WARN, "the machine's clock was set ahead by %lld s: timers fire early", (long long)moved_s);
    else if (host->clock_ahead_ms != 0 && moved_s <= -CLOCK_MOVED_S)
        rfm_log(
            RFM_LOG_WARN,
            "the machine's clock was set back by %lld s: timers go by one at half its speed until it is there again",
            (long long)-moved_s);
    host->clock_ahead_ms = ahead_ms;
}

static int64_t now_of(rfm_host *host)
{
    int64_t wall_ms = rfm_clock_wall_ms(), steady_ns = rfm_clock_steady_ns();
    watch_clock(host, wall_ms - steady_ns / 1000000);
    return rfm_even_clock_at(&host->clock, wall_ms, steady_ns);
}

/* Adapters go by the machine's clock, the worker by the even one: where that was set back, what has been read up to a
 * moment of the one would seem to lie long before all that is due by the other. */
static int64_t even_of(rfm_host *host, int64_t wall_ms)
{
    return now_of(host) - (rfm_clock_wall_ms() - wall_ms);
}

static void publish(rfm_host *host, const rfm_effect *effect)
{
    rfm_step *step = effect->step;
    note_publish(host);
    for (size_t i = 0; host->conf.published != NULL && i < step->message_count; i++)
        host->conf.published(host->conf.owner, &step->messages[i]);
    rfm_publisher_publish(host->publisher, step, rfm_consumer_group(host->consumer, step->assignment));
}

static void carry_out(rfm_host *host, const rfm_effect *effect)
{
    switch (effect->kind) {
    case RFM_OUT_READ_POSITION: rfm_wal_reader_position(host->reader, effect->task, effect->term); break;
    case RFM_OUT_READ_WAL:
        rfm_wal_reader_wal(host->reader, effect->task, effect->term, effect->read_wal.from, effect->read_wal.until);
        break;
    case RFM_OUT_READ_TAIL: rfm_wal_reader_tail(host->reader, effect->task, effect->term); break;
    case RFM_OUT_EVICT:
        rfm_publisher_evict(host->publisher, effect->task, effect->term, effect->transactional_id);
        break;
    case RFM_OUT_RENEW: rfm_publisher_renew(host->publisher); break;
    case RFM_OUT_PUBLISH: publish(host, effect); break;
    case RFM_OUT_CLOSE: rfm_wal_reader_forget(host->reader, effect->task); /* fall through */
    case RFM_OUT_OPEN:
    case RFM_OUT_LOAD:
    case RFM_OUT_STORE: rfm_store_do(host->store, effect); break;
    case RFM_OUT_CONSUME_FROM: rfm_consumer_consume_from(host->consumer, effect->task, &effect->from); break;
    case RFM_OUT_COMMIT: rfm_consumer_commit(host->consumer, effect->task, &effect->from); break;
    case RFM_OUT_RELEASED: rfm_consumer_released(host->consumer, effect->task); break;
    case RFM_OUT_HALT: fail(host, effect->reason); break;
    }
}

static void on_timer(uv_timer_t *timer);

static void arm_timer(rfm_host *host)
{
    int64_t wake_ms = rfm_worker_wake_ms(host->worker), now_ms = now_of(host);
    uint64_t after_ms = wake_ms == INT64_MAX ? REPORT_MS : wake_ms <= now_ms ? 1 : (uint64_t)(wake_ms - now_ms);
    uv_timer_start(&host->timer, on_timer, after_ms, 0);
}

/* Carries out what the worker wants until it wants nothing; answers that come meanwhile only ask for another round. */
static void pump(rfm_host *host)
{
    rfm_effect effect;
    if (host->worker == NULL || host->closed)
        return;
    host->again = true;
    if (host->pumping)
        return;
    host->pumping = true;
    while (host->again) {
        host->again = false;
        while (rfm_worker_next(host->worker, &effect))
            carry_out(host, &effect);
        if (rfm_worker_takes(host->worker))
            rfm_consumer_resume(host->consumer);
    }
    host->pumping = false;
    arm_timer(host);
}

static void on_timer(uv_timer_t *timer)
{
    rfm_host *host = timer->data;
    rfm_worker_tell(host->worker, &(rfm_input){.kind = RFM_IN_TIME, .now_ms = now_of(host)});
    pump(host);
}

/* -- answers */

static size_t on_feed(void *self, const rfm_record *records, size_t count, int64_t now_ms)
{
    rfm_host *host = self;
    size_t taken = rfm_worker_feed(host->worker, records, count, even_of(host, now_ms));
    note_fed(host, records, taken);
    pump(host);
    return taken;
}

static bool is_beyond(rfm_host *host, const rfm_input *input)
{
    if (input->kind != RFM_IN_ASSIGNED || input->task < host->conf.topics->partition_count)
        return false;
    char reason[200];
    snprintf(reason, sizeof reason,
             "partition %u was assigned, but the topics had %u partitions at start: inputs and WAL must keep "
             "their equal partition counts; a different count needs a new group, WAL topic and Redis prefix",
             input->task, host->conf.topics->partition_count);
    fail(host, reason);
    return true;
}

static void on_tell(void *self, const rfm_input *input)
{
    rfm_host *host = self;
    if (is_beyond(host, input))
        return;
    if (input->kind == RFM_IN_PUBLISHED && input->answer == RFM_DONE)
        note_published(host);
    rfm_input told = *input;
    told.now_ms = even_of(host, input->now_ms);
    rfm_worker_tell(host->worker, &told);
    pump(host);
}

static void on_fatal(void *self, const rfm_error *error)
{
    fail(self, error->message);
}

static void on_store_log(void *self, const char *message)
{
    (void)self;
    rfm_log(RFM_LOG_WARN, "redis: %s", message);
}

static void on_store_timing(void *self, rfm_store_timing what, uint64_t us)
{
    rfm_host *host = self;
    rfm_histogram_observe(what == RFM_STORE_LOADED ? &host->redis_load : &host->redis_store, (double)us / 1e6, 1);
}

/* -- stopping */

static void close_handle(uv_handle_t *handle)
{
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void on_closed(void *self)
{
    rfm_host *host = self;
    host->closed = true;
    close_handle((uv_handle_t *)&host->timer);
    close_handle((uv_handle_t *)&host->report);
    close_handle((uv_handle_t *)&host->wake);
    uv_stop(&host->loop);
}

static void begin_stop(rfm_host *host)
{
    if (host->stopping)
        return;
    host->stopping = true;
    host->stop_deadline_ns = uv_hrtime() + (uint64_t)STOP_MS * 1000000;
    rfm_consumer_close(host->consumer, on_closed);
    if (host->failed) /* it leaves when it is freed, after the publisher, without waiting for the tasks */
        on_closed(host);
}

/* -- other threads' wishes */

static void on_wake(uv_async_t *wake)
{
    rfm_host *host = wake->data;
    pthread_mutex_lock(&host->mutex);
    bool edges_new = host->edges_new;
    rfm_edges edges = host->edges;
    const rfm_client_conf *new_conf = host->new_conf;
    const rfm_rules *new_rules = host->new_rules;
    host->edges_new = false;
    host->new_rules = NULL;
    pthread_mutex_unlock(&host->mutex);
    int64_t now_ms = now_of(host);
    if (edges_new)
        rfm_worker_tell(host->worker, &(rfm_input){.kind = RFM_IN_EDGES, .now_ms = now_ms, .edges = &edges});
    if (new_rules != NULL) {
        for (size_t i = 0; i < new_rules->topic_count; i++)
            host->trigger_topics[i] = new_rules->topic[i];
        rfm_publisher_set_trigger_topics(host->publisher, host->trigger_topics, new_rules->topic_count);
        rfm_worker_tell(host->worker,
                        &(rfm_input){.kind = RFM_IN_RULES, .now_ms = now_ms, .rules = {new_conf, new_rules}});
    }
    if (host->stop_asked)
        begin_stop(host);
    pump(host);
}

void rfm_host_set_edges(rfm_host *host, const rfm_edges *edges)
{
    pthread_mutex_lock(&host->mutex);
    host->edges = *edges;
    host->edges_new = true;
    pthread_mutex_unlock(&host->mutex);
    uv_async_send(&host->wake);
}

void rfm_host_set_rules(rfm_host *host, const rfm_client_conf *conf, const rfm_rules *rules)
{
    pthread_mutex_lock(&host->mutex);
    host->new_conf = conf;
    host->new_rules = rules;
    pthread_mutex_unlock(&host->mutex);
    uv_async_send(&host->wake);
}

void rfm_host_stop(rfm_host *host)
{
    host->stop_asked = true;
    uv_async_send(&host->wake);
}

/* -- reporting */

static void add_decisions(rfm_snapshot *to, const char *rule, const uint64_t decided[RFM_SUPPRESSION_COUNT])
{
    rfm_snapshot_add(to, RFM_METRIC_TRIGGERS, rule, NULL, (double)decided[RFM_SENT]);
    for (size_t i = RFM_SENT + 1; i < RFM_SUPPRESSION_COUNT; i++)
        if (decided[i] > 0)
            rfm_snapshot_add(to, RFM_METRIC_SUPPRESSIONS, rule, rfm_suppression_name((rfm_suppression)i),
                             (double)decided[i]);
}

static void add_counters(rfm_host *host, const rfm_worker_stats *stats)
{
    rfm_snapshot *to = host->snapshot;
    const rfm_rules *rules = host->conf.config->rules.rule ? rfm_worker_rules(host->worker) : NULL;
    for (size_t input = 0; input < host->kafka.input_count; input++)
        for (size_t i = 0; i < RFM_EVENT_TYPE_COUNT; i++)
            rfm_snapshot_add(to, RFM_METRIC_EVENTS, host->kafka.input_topic[input],
                             rfm_event_type_name((rfm_event_type)i), (double)stats->events_by_type[input][i]);
    for (size_t i = 1; i < RFM_REASON_COUNT; i++)
        if (stats->dead_by_reason[i] > 0)
            rfm_snapshot_add(to, RFM_METRIC_DEAD_LETTERS, rfm_reason_name((rfm_reason)i), NULL,
                             (double)stats->dead_by_reason[i]);
    for (size_t i = 0; rules != NULL && i < rules->count; i++) {
        add_decisions(to, rules->rule[i].name, stats->decided_by_rule[i]);
        if (rules->rule[i].when.expr != NULL)
            rfm_snapshot_add(to, RFM_METRIC_RULE_ERRORS, rules->rule[i].name, NULL, (double)stats->errors_by_rule[i]);
    }
    rfm_snapshot_add(to, RFM_METRIC_TRAITS_DROPPED, "undeclared", NULL, (double)stats->traits_undeclared);
    rfm_snapshot_add(to, RFM_METRIC_TRAITS_DROPPED, "refused", NULL, (double)stats->traits_refused);
    rfm_snapshot_add(to, RFM_METRIC_TRAITS_DROPPED, "unknown_zone", NULL, (double)stats->zones_unknown);
    struct {
        rfm_metric metric;
        uint64_t value;
    } plain[] = {{RFM_METRIC_REPEATS, stats->repeats},
                 {RFM_METRIC_IGNORED, stats->ignored},
                 {RFM_METRIC_ERASURES, stats->erasures},
                 {RFM_METRIC_FORGOTTEN, stats->events_forgotten},
                 {RFM_METRIC_STEPS, stats->steps},
                 {RFM_METRIC_ABORTS, stats->aborts},
                 {RFM_METRIC_REDO_BYTES, stats->redo_bytes},
                 {RFM_METRIC_CACHE_HITS, stats->cache_hits},
                 {RFM_METRIC_CACHE_MISSES, stats->cache_misses},
                 {RFM_METRIC_CACHE_EVICTIONS, stats->evictions},
                 {RFM_METRIC_CACHE_BYTES, stats->cache_bytes},
                 {RFM_METRIC_DIRTY_BYTES, stats->dirty_bytes},
                 {RFM_METRIC_LOOKS, stats->looks},
                 {RFM_METRIC_TIMERS_FIRED, stats->timers_fired},
                 {RFM_METRIC_TAKEOVERS, stats->takeovers},
                 {RFM_METRIC_ROLLBACKS, stats->rollbacks},
                 {RFM_METRIC_STALLS, stats->stalls},
                 {RFM_METRIC_CAUSES_TOO_OLD, stats->causes_too_old},
                 {RFM_METRIC_TIMERS_DUE, stats->timers_due}};
    rfm_snapshot_add(to, RFM_METRIC_TIMERS_LATE, NULL, NULL, (double)stats->timers_late_ms / 1e3);
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        rfm_snapshot_add(to, plain[i].metric, NULL, NULL, (double)plain[i].value);
}

static void add_lags(rfm_host *host)
{
    char partition[16];
    for (uint32_t task = 0; task < host->conf.topics->partition_count; task++)
        for (size_t input = 0; input < host->kafka.input_count; input++) {
            int64_t lag = rfm_consumer_lag(host->consumer, task, input);
            if (lag < 0)
                continue;
            snprintf(partition, sizeof partition, "%u", task);
            rfm_snapshot_add(host->snapshot, RFM_METRIC_LAG, host->kafka.input_topic[input], partition, (double)lag);
        }
}

static bool has_trouble(const rfm_host *host)
{
    char text[200] = "";
    rfm_store_trouble(host->store, text, sizeof text);
    return text[0] != 0;
}

static void add_redis(rfm_host *host)
{
    const rfm_store_stats *stats = rfm_store_stats_of(host->store);
    rfm_snapshot *to = host->snapshot;
    rfm_snapshot_add(to, RFM_METRIC_REDIS_CONNECTED, NULL, NULL, has_trouble(host) ? 0 : 1);
    rfm_snapshot_add(to, RFM_METRIC_REDIS_LOST, NULL, NULL, (double)stats->connections_lost);
    rfm_snapshot_add(to, RFM_METRIC_REDIS_REFUSED, NULL, NULL, (double)stats->stores_refused);
    rfm_snapshot_add_histogram(to, RFM_METRIC_REDIS, "load", &host->redis_load);
    rfm_snapshot_add_histogram(to, RFM_METRIC_REDIS, "store", &host->redis_store);
}

static void share_stats(rfm_host *host)
{
    pthread_mutex_lock(&host->mutex);
    host->stats = *rfm_worker_stats_of(host->worker);
    host->latency_shared = host->latency;
    pthread_mutex_unlock(&host->mutex);
}

static void set_trouble(rfm_host *host)
{
    char text[200] = "";
    rfm_consumer_stats joined = rfm_consumer_stats_of(host->consumer);
    host->rebalances = joined.rebalances;
    rfm_store_trouble(host->store, text, sizeof text);
    bool taken_over = rfm_worker_ready(host->worker);
    host->ready = joined.joined && taken_over && text[0] == 0 && rfm_publisher_stats_of(host->publisher).ready &&
                  !host->failed;
    pthread_mutex_lock(&host->mutex);
    if (text[0] != 0)
        snprintf(host->trouble, sizeof host->trouble, "redis: %s", text);
    else
        snprintf(host->trouble, sizeof host->trouble, "%s",
                 !joined.joined ? "the group has not been joined"
                 : !taken_over  ? "tasks are being taken over"
                                : "no producer yet");
    pthread_mutex_unlock(&host->mutex);
}

static void note_steps(rfm_host *host, const rfm_worker_stats *stats)
{
    uint64_t oldest = stats->steps_stored > RFM_STEP_TIMES ? stats->steps_stored - RFM_STEP_TIMES : 0;
    if (host->steps_seen < oldest)
        host->steps_seen = oldest;
    for (; host->steps_seen < stats->steps_stored; host->steps_seen++)
        rfm_histogram_observe(&host->steps, (double)stats->step_ms[host->steps_seen % RFM_STEP_TIMES] / 1e3, 1);
}

static void on_report(uv_timer_t *timer)
{
    rfm_host *host = timer->data;
    share_stats(host);
    host->moved_ms = rfm_clock_steady_ms();
    host->rules = rfm_worker_rules(host->worker);
    set_trouble(host);
    add_counters(host, rfm_worker_stats_of(host->worker));
    add_lags(host);
    rfm_snapshot_add(host->snapshot, RFM_METRIC_REBALANCES, NULL, NULL,
                     (double)rfm_consumer_stats_of(host->consumer).rebalances);
    rfm_snapshot_add(host->snapshot, RFM_METRIC_TASKS, host->ready ? "consuming" : "taking_over", NULL,
                     (double)rfm_consumer_stats_of(host->consumer).tasks);
    add_redis(host);
    note_steps(host, rfm_worker_stats_of(host->worker));
    rfm_snapshot_add_histogram(host->snapshot, RFM_METRIC_STEP, NULL, &host->steps);
    rfm_snapshot_add_histogram(host->snapshot, RFM_METRIC_LATENCY, NULL, &host->latency);
    rfm_snapshot_add_histogram(host->snapshot, RFM_METRIC_COMMIT, NULL, &host->commit);
    host->snapshot = rfm_metrics_publish(host->conf.metrics, host->conf.number, host->snapshot);
    bool late = host->stopping && uv_hrtime() > host->stop_deadline_ns;
    if (host->closed || !(late || (host->stopping && host->failed)))
        return;
    if (late)
        rfm_log(RFM_LOG_WARN, "what is in flight did not end in time: leaving it to the next owner");
    on_closed(host);
}

bool rfm_host_ready(rfm_host *host, rfm_buffer *reason)
{
    if (host->ready)
        return true;
    pthread_mutex_lock(&host->mutex);
    rfm_write_format(reason, "worker %u: %s", host->conf.number, host->trouble);
    pthread_mutex_unlock(&host->mutex);
    return false;
}

rfm_worker_stats rfm_host_stats(rfm_host *host)
{
    pthread_mutex_lock(&host->mutex);
    rfm_worker_stats stats = host->stats;
    pthread_mutex_unlock(&host->mutex);
    return stats;
}

rfm_histogram rfm_host_latency(rfm_host *host)
{
    pthread_mutex_lock(&host->mutex);
    rfm_histogram latency = host->latency_shared;
    pthread_mutex_unlock(&host->mutex);
    return latency;
}

int64_t rfm_host_moved_ms(const rfm_host *host)
{
    return host->moved_ms;
}
const rfm_rules *rfm_host_rules(const rfm_host *host)
{
    return host->rules;
}
uint64_t rfm_host_rebalances(const rfm_host *host)
{
    return host->rebalances;
}

/* -- making */

static void make_names(rfm_host *host)
{
    const rfm_config *config = host->conf.config;
    snprintf(host->instance_id, sizeof host->instance_id, "%s-%u", host->conf.instance, host->conf.number);
    snprintf(host->transactional_id, sizeof host->transactional_id, "%s-%s", config->kafka.group, host->instance_id);
    rfm_kafka_conf_of(config, &host->kafka, host->trigger_topics);
    host->kafka.instance_id = config->kafka.instance_id[0] != 0 ? host->instance_id : NULL;
    bool once = config->kafka.delivery == RFM_DELIVERY_EXACTLY_ONCE;
    host->kafka.transactional_id = once ? host->transactional_id : NULL;
    host->kafka.partition_count = host->conf.topics->partition_count;
}

static int make_worker(rfm_host *host, rfm_error *error)
{
    const rfm_config *config = host->conf.config;
    uint32_t mark;
    if (getrandom(&mark, sizeof mark, 0) != (ssize_t)sizeof mark)
        return rfm_fail(error, RFM_E_IO, "getrandom: %s", strerror(errno));
    rfm_worker_conf conf = {.partition_count = host->conf.topics->partition_count,
                            .input_count = config->kafka.input_count,
                            .partitioner = config->kafka.partitioner,
                            .at_least_once = config->kafka.delivery == RFM_DELIVERY_AT_LEAST_ONCE,
                            .mark = mark,
                            .check_records = true,
                            .clock = config->engine.clock,
                            .cache_bytes_max = config->engine.cache_bytes_max / host->conf.count,
                            .dirty_bytes_max = config->engine.dirty_bytes_max / host->conf.count,
                            .step_events_max = config->engine.step_events_max,
                            .wal_idle_ms = host->conf.topics->wal_idle_ms,
                            .client = &config->client,
                            .rules = &config->rules};
    for (size_t i = 0; i < conf.input_count; i++)
        conf.input_topic[i] = config->kafka.input[i].topic,
        conf.input_reading[i] = (rfm_reading){config->kafka.input[i].format, config->amount_field};
    return rfm_worker_new(&conf, &host->worker, error);
}

static int make_adapters(rfm_host *host, rfm_error *error)
{
    rfm_kafka_owner owner = {host, on_feed, on_tell, on_fatal};
    rfm_store_calls calls = {.answer = on_tell, .log = on_store_log, .timing = on_store_timing, .owner = host};
    rfm_store_conf store;
    rfm_store_conf_of(host->conf.config, host->conf.topics->partition_count, &store);
    store.meta = host->conf.meta;
    store.meta_count = host->conf.meta_count;
    int code = rfm_store_new(&host->loop, &store, &calls, &host->store, error);
    if (code == RFM_OK)
        code = rfm_publisher_new(&host->kafka, &host->loop, &owner, &host->publisher, error);
    if (code == RFM_OK)
        code = rfm_consumer_new(&host->kafka, &host->loop, &owner, &host->consumer, error);
    if (code == RFM_OK)
        code = rfm_wal_reader_new(&host->kafka, &host->loop, &owner, host->consumer, &host->reader, error);
    return code;
}

/* Those that there are; their threads have ended afterwards. */
static void end_adapters(rfm_host *host)
{
    rfm_publisher_free(host->publisher);
    rfm_wal_reader_free(host->reader);
    rfm_consumer_free(host->consumer);
    rfm_store_free(host->store);
    host->publisher = NULL;
    host->reader = NULL;
    host->consumer = NULL;
    host->store = NULL;
    for (int turn = 0; turn < 100 && uv_run(&host->loop, UV_RUN_NOWAIT) != 0; turn++)
        continue;
}

static void *thread_main(void *argument)
{
    rfm_host *host = argument;
    uv_timer_start(&host->report, on_report, 0, REPORT_MS / 4);
    pump(host);
    uv_run(&host->loop, UV_RUN_DEFAULT);
    share_stats(host);
    end_adapters(host);
    pthread_mutex_lock(&host->mutex);
    host->ended = true;
    pthread_cond_broadcast(&host->ended_changed);
    pthread_mutex_unlock(&host->mutex);
    return NULL;
}

/* RFM_E_IO: no descriptors are left; there is no loop then. */
static int open_loop(rfm_host *host, rfm_error *error)
{
    int code = uv_loop_init(&host->loop);
    if (code == 0 && (code = uv_async_init(&host->loop, &host->wake, on_wake)) != 0)
        (void)uv_loop_close(&host->loop);
    if (code != 0)
        return rfm_fail(error, RFM_E_IO, "no event loop for a worker: %s", uv_strerror(code));
    uv_timer_init(&host->loop, &host->timer);
    uv_timer_init(&host->loop, &host->report);
    host->wake.data = host->timer.data = host->report.data = host;
    return RFM_OK;
}

int rfm_host_start(const rfm_host_conf *conf, rfm_host **out, rfm_error *error)
{
    rfm_host *host = calloc(1, sizeof *host);
    RFM_NEED(host != NULL);
    int code = open_loop(host, error);
    if (code != RFM_OK) {
        free(host);
        return code;
    }
    host->conf = *conf;
    host->rules = &conf->config->rules;
    host->moved_ms = rfm_clock_steady_ms();
    host->snapshot = rfm_snapshot_new();
    pthread_mutex_init(&host->mutex, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&host->ended_changed, &monotonic);
    make_names(host);
    code = make_worker(host, error);
    if (code == RFM_OK)
        code = make_adapters(host, error);
    if (code == RFM_OK && pthread_create(&host->thread, NULL, thread_main, host) != 0)
        code = rfm_fail(error, RFM_E_IO, "no thread for a worker");
    *out = host;
    host->thread_started = code == RFM_OK;
    if (code != RFM_OK) {
        end_adapters(host);
        host->ended = true;
    }
    return code;
}

bool rfm_host_join(rfm_host *host, int64_t timeout_ms)
{
    struct timespec until = rfm_steady_after(timeout_ms);
    pthread_mutex_lock(&host->mutex);
    int code = 0;
    while (!host->ended && code == 0)
        code = pthread_cond_timedwait(&host->ended_changed, &host->mutex, &until);
    bool ended = host->ended;
    pthread_mutex_unlock(&host->mutex);
    if (ended && host->thread_started)
        pthread_join(host->thread, NULL);
    if (ended)
        host->thread_started = false;
    return ended;
}

void rfm_host_free(rfm_host *host)
{
    if (host == NULL)
        return;
    RFM_ASSERT(!host->thread_started);
    rfm_worker_free(host->worker);
    rfm_snapshot_free(host->snapshot);
    rfm_kafka_conf_drop(&host->kafka);
    free(host->fed);
    free(host->publishing_fed);
    pthread_mutex_destroy(&host->mutex);
    pthread_cond_destroy(&host->ended_changed);
    if (uv_loop_close(&host->loop) == 0)
        free(host); /* else a look-up of names is still under way, and comes back to the loop */
}
