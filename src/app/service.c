#include "service.h"

#include "adapter_conf.h"
#include "file_watch.h"
#include "http/server.h"
#include "kafka/topics.h"
#include "log.h"
#include "process_metrics.h"
#include "signals.h"
#include "tables.h"
#include <errno.h>
#include <pthread.h>
#include <rfm/base/hash.h>
#include <rfm/client/state_format.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

enum {
    TICK_MS = 250,
    TOPICS_TIMEOUT_MS = 5000,
    AGAIN_TIMEOUT_MS = 2000,
    AGAIN_MS = 5000,
    CHECKS_REFUSED_MAX = 3,
    STOP_TIMEOUT_MS = 23000, /* of the workers */
    LEAVE_MS = 24500,        /* of all */
    LIVE_MS = 30000,
    WATCH_MS = 2000,
    REFRESH_AGAIN_MS = 10000,
    FIRST_AGAIN_MS = 1000, /* while there are no edges yet */
    FIRST_EDGES_MS = 10000,
    EDGES_TIMEOUT_MS = 5000, /* a stop waits for it */
};

struct retired {
    rfm_config *config;
    struct retired *next;
};

struct rfm_service {
    rfm_service_conf conf;
    rfm_config *config;
    struct retired *retired; /* older configurations that a worker may still use */
    rfm_topics topics;
    rfm_host_conf host_conf;
    rfm_host *hosts[RFM_ENGINE_WORKERS_MAX];
    size_t host_count;
    rfm_metrics *metrics;
    rfm_snapshot *snapshot;
    rfm_http *http;
    rfm_signals signals;
    rfm_file_watch files; /* of the last load, taken or refused */
    bool misconfigured, edges_known;
    char instance[280], partition_text[16], format_text[32], input_names[RFM_INPUTS_MAX][280];
    char inputs_text[RFM_INPUTS_MAX * 80]; /* the inputs' names in their order */
    char waiting_for[600];                 /* before workers run: why */
    pthread_mutex_t mutex;                 /* waiting_for, hosts */
    _Atomic bool stop, failed, reload;
    _Atomic bool ending; /* either of the first two: what takes long is cut short */
    int64_t started_ms, begun_ms, refreshed_ms, refresh_again_ms, watched_ms, check_again_ms;
    int checks_refused; /* of the topics, one after the other */
    uint64_t rebalances, reloads_taken, reloads_refused;
    rfm_store_reader *reader;
};

/* -- signals, on their thread */

static void on_reload(void *owner)
{
    ((rfm_service *)owner)->reload = true;
}

static void on_stop(void *owner, const char *name)
{
    rfm_service *service = owner;
    service->stop = service->ending = true;
    pthread_mutex_lock(&service->mutex);
    for (size_t i = 0; i < service->host_count; i++)
        rfm_host_stop(service->hosts[i]);
    pthread_mutex_unlock(&service->mutex);
    rfm_log(RFM_LOG_INFO, "%s: finishing what is in flight", name);
}

static void on_late(void *owner)
{
    rfm_log(RFM_LOG_ERROR, "it did not end in time; leaving");
    _exit(((rfm_service *)owner)->host_count > 0 ? RFM_SERVICE_FAILED : 0);
}

/* -- probes and metrics, on the HTTP thread */

static void on_metrics(void *context, rfm_buffer *text)
{
    rfm_metrics_write(((rfm_service *)context)->metrics, text);
}

static bool on_live(void *context, rfm_buffer *reason)
{
    rfm_service *service = context;
    int64_t now_ms = rfm_clock_steady_ms();
    bool live = true;
    pthread_mutex_lock(&service->mutex);
    for (size_t i = 0; i < service->host_count; i++) {
        int64_t still_ms = now_ms - rfm_host_moved_ms(service->hosts[i]);
        if (still_ms <= LIVE_MS)
            continue;
        rfm_write_format(reason, "worker %zu has not moved for %lld s", i, (long long)still_ms / 1000);
        live = false;
        break;
    }
    pthread_mutex_unlock(&service->mutex);
    return live;
}

static bool on_ready(void *context, rfm_buffer *reason)
{
    rfm_service *service = context;
    pthread_mutex_lock(&service->mutex);
    bool ready = service->host_count > 0 && !service->stop && !service->failed;
    if (service->host_count == 0)
        rfm_write_text(reason, service->waiting_for);
    else if (!ready)
        rfm_write_text(reason, "stopping");
    for (size_t i = 0; ready && i < service->host_count; i++)
        ready = rfm_host_ready(service->hosts[i], reason);
    pthread_mutex_unlock(&service->mutex);
    return ready;
}

bool rfm_service_ready(rfm_service *service)
{
    rfm_buffer reason;
    rfm_buffer_init(&reason, 4096);
    bool ready = on_ready(service, &reason);
    rfm_buffer_release(&reason);
    return ready;
}

static void report(rfm_service *service)
{
    rfm_snapshot *to = service->snapshot;
    rfm_snapshot_add(to, RFM_METRIC_BUILD, RFM_VERSION, NULL, 1);
    rfm_snapshot_add(to, RFM_METRIC_RULES_VERSION, service->config->rules.version, NULL, 1);
    rfm_snapshot_add(to, RFM_METRIC_RELOADS, "taken", NULL, (double)service->reloads_taken);
    rfm_snapshot_add(to, RFM_METRIC_RELOADS, "refused", NULL, (double)service->reloads_refused);
    rfm_snapshot_add(to, RFM_METRIC_START, NULL, NULL, (double)service->started_ms / 1e3);
    rfm_process_metrics_add(to);
    service->snapshot = rfm_metrics_publish(service->metrics, service->host_conf.count, to);
}

static int start_http(rfm_service *service, rfm_error *error)
{
    const rfm_config *config = service->config;
    if (config->http.host[0] == 0)
        return RFM_OK;
    rfm_http_conf conf = {.host = config->http.host, .port = config->http.port, .token = config->http.token};
    rfm_http_callbacks callbacks = {service, on_metrics, on_live, on_ready};
    int code = rfm_http_start(&conf, &callbacks, &service->http, error);
    if (code == RFM_OK)
        rfm_log(RFM_LOG_INFO, "http: /metrics, /livez, /readyz on %s port %u", config->http.host,
                rfm_http_port(service->http));
    return code;
}

/* -- topics */

static void say_problem(void *owner, const char *message)
{
    (void)owner;
    rfm_log(RFM_LOG_ERROR, "kafka: %s", message);
}

static void say_waiting(rfm_service *service, const char *text)
{
    pthread_mutex_lock(&service->mutex);
    snprintf(service->waiting_for, sizeof service->waiting_for, "%s", text);
    pthread_mutex_unlock(&service->mutex);
}

/* The topics of the start, since a reload changes no others, and those that the rules name. */
static int check_topics(rfm_service *service, const rfm_rules *rules, int64_t timeout_ms, rfm_topics *topics,
                        rfm_error *error)
{
    const char *trigger_topics[RFM_TOPICS_MAX];
    rfm_kafka_conf kafka;
    rfm_kafka_conf_of(service->conf.config, &kafka, trigger_topics);
    for (size_t i = 0; i < rules->topic_count; i++)
        trigger_topics[i] = rules->topic[i];
    kafka.trigger_topic_count = rules->topic_count;
    rfm_topics_wish wish = {.create = service->conf.create_topics,
                            .partition_count = service->conf.partitions,
                            .timeout_ms = timeout_ms,
                            .problem = say_problem};
    int code = rfm_topics_check(&kafka, &wish, topics, error);
    rfm_kafka_conf_drop(&kafka);
    return code;
}

/* What the configuration cannot know: librdkafka's own properties. */
static int check_properties(rfm_service *service, rfm_error *error)
{
    const char *trigger_topics[RFM_TOPICS_MAX];
    rfm_kafka_conf kafka;
    rfm_kafka_conf_of(service->config, &kafka, trigger_topics);
    int code = rfm_kafka_conf_check(&kafka, error);
    rfm_kafka_conf_drop(&kafka);
    service->misconfigured = code != RFM_OK && code != RFM_E_IO;
    return code;
}

/* Waits for as long as no broker answers. */
static int await_topics(rfm_service *service, rfm_error *error)
{
    if (service->conf.mock) {
        service->topics = (rfm_topics){
            .partition_count = service->conf.partitions, .cluster_id = "mock", .wal_idle_ms = RFM_DAY_MS};
        return RFM_OK;
    }
    int code;
    while ((code = check_topics(service, &service->config->rules, TOPICS_TIMEOUT_MS, &service->topics, error)) ==
               RFM_E_AWAY &&
           !service->stop) {
        rfm_log(RFM_LOG_WARN, "kafka: %s; trying again", error->message);
        say_waiting(service, error->message);
        rfm_signals_rest(&service->signals, 1000);
    }
    return code;
}

/* -- what Redis must have been made for */

static void add_meta(rfm_service *service, const char *name, const char *value)
{
    RFM_ASSERT(service->host_conf.meta_count < RFM_META_FIELDS_MAX);
    service->host_conf.meta[service->host_conf.meta_count++] = (rfm_store_field){.name = name, .value = value};
}

/* States and redo records name an input by its place. */
static void add_order(rfm_service *service)
{
    char *to = service->inputs_text;
    size_t len = 0, size = sizeof service->inputs_text;
    for (size_t i = 0; i < service->config->kafka.input_count; i++)
        len += (size_t)snprintf(to + len, size - len, i ? " %s" : "%s", service->config->kafka.input[i].name);
    RFM_ASSERT(len < size);
    add_meta(service, "inputs", to);
    service->host_conf.meta[service->host_conf.meta_count - 1].is_late = true;
}

static void make_meta(rfm_service *service)
{
    snprintf(service->partition_text, sizeof service->partition_text, "%u", service->topics.partition_count);
    /* The two ways count changes differently, and only one of them has a WAL that leads to the state. */
    bool once = service->config->kafka.delivery == RFM_DELIVERY_EXACTLY_ONCE;
    snprintf(service->format_text, sizeof service->format_text, once ? "%d" : "%d at_least_once", RFM_STATE_FORMAT);
    add_meta(service, "format", service->format_text);
    service->host_conf.meta[0].is_format = true;
    add_meta(service, "group", service->config->kafka.group);
    add_meta(service, "cluster", service->topics.cluster_id);
    add_meta(service, "partitions", service->partition_text);
    add_meta(service, "wal", service->topics.wal_id);
    for (size_t i = 0; i < service->config->kafka.input_count; i++) {
        snprintf(service->input_names[i], sizeof service->input_names[i], "input:%s",
                 service->config->kafka.input[i].name);
        add_meta(service, service->input_names[i], service->topics.input_id[i]);
    }
    add_order(service);
}

static int make_instance(rfm_service *service, rfm_error *error)
{
    uint8_t random[8];
    char host[200] = "", mark[2 * sizeof random + 1];
    if (service->config->kafka.instance_id[0] != 0) {
        snprintf(service->instance, sizeof service->instance, "%s", service->config->kafka.instance_id);
        return RFM_OK;
    }
    gethostname(host, sizeof host - 1);
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return rfm_fail(error, RFM_E_IO, "getrandom: %s", strerror(errno));
    rfm_hex(random, sizeof random, mark);
    snprintf(service->instance, sizeof service->instance, "%s-%s", host, mark);
    return RFM_OK;
}

/* -- workers */

static void on_failed(void *owner, const char *reason)
{
    (void)reason;
    rfm_service *service = owner;
    service->failed = service->ending = true;
}

static void on_published(void *owner, const rfm_message *message)
{
    const rfm_service_conf *conf = &((rfm_service *)owner)->conf;
    conf->published(conf->owner, message);
}

static int start_hosts(rfm_service *service, rfm_error *error)
{
    rfm_host_conf *conf = &service->host_conf;
    service->begun_ms = rfm_clock_steady_ms();
    conf->config = service->config;
    conf->topics = &service->topics;
    conf->instance = service->instance;
    conf->metrics = service->metrics;
    conf->failed = on_failed;
    conf->published = service->conf.published != NULL ? on_published : NULL;
    conf->owner = service;
    for (uint32_t i = 0; i < conf->count; i++) {
        conf->number = i;
        rfm_host *host = NULL;
        int code = rfm_host_start(conf, &host, error);
        pthread_mutex_lock(&service->mutex);
        if (host != NULL)
            service->hosts[service->host_count++] = host;
        pthread_mutex_unlock(&service->mutex);
        if (code != RFM_OK)
            return code;
    }
    return RFM_OK;
}

static bool stop_hosts(rfm_service *service)
{
    int64_t until_ms = rfm_clock_steady_ms() + STOP_TIMEOUT_MS;
    bool ended = true;
    for (size_t i = 0; i < service->host_count; i++)
        rfm_host_stop(service->hosts[i]);
    for (size_t i = 0; i < service->host_count; i++) {
        int64_t left_ms = until_ms - rfm_clock_steady_ms();
        ended = rfm_host_join(service->hosts[i], left_ms > 0 ? left_ms : 0) && ended;
    }
    return ended;
}

rfm_worker_stats rfm_service_stats(rfm_service *service)
{
    rfm_worker_stats sum = {0};
    pthread_mutex_lock(&service->mutex);
    for (size_t i = 0; i < service->host_count; i++) {
        rfm_worker_stats stats = rfm_host_stats(service->hosts[i]);
#define X(name) sum.name += stats.name;
        RFM_WORKER_STATS(X)
#undef X
    }
    pthread_mutex_unlock(&service->mutex);
    return sum;
}

rfm_histogram rfm_service_latency(rfm_service *service)
{
    rfm_histogram sum = {0};
    pthread_mutex_lock(&service->mutex);
    for (size_t i = 0; i < service->host_count; i++) {
        rfm_histogram latency = rfm_host_latency(service->hosts[i]);
        for (size_t k = 0; k < sizeof sum.bucket / sizeof *sum.bucket; k++)
            sum.bucket[k] += latency.bucket[k];
        sum.sum_s += latency.sum_s;
    }
    pthread_mutex_unlock(&service->mutex);
    return sum;
}

/* -- population: all tasks' counters, summed every rfm.refresh of the wall clock */

static int read_edges(rfm_service *service, rfm_edges *edges, rfm_error *error)
{
    if (service->reader == NULL) {
        rfm_store_conf conf;
        rfm_store_conf_of(service->conf.config, service->topics.partition_count, &conf);
        if (conf.timeout_ms > EDGES_TIMEOUT_MS)
            conf.timeout_ms = EDGES_TIMEOUT_MS;
        int code = rfm_store_reader_new(&conf, &service->reader, error);
        if (code != RFM_OK)
            return code;
    }
    return rfm_tables_edges(service->reader, NULL, service->topics.partition_count, &service->ending, edges, error);
}

/* Whether what Redis says now will do. Workers wait for the first edges; those wait until every partition is taken
 * over, since what Redis has lost is missing in its counters before, but not for ever: one of them may be held up. */
static bool may_read_edges(rfm_service *service, bool ready)
{
    return ready || (!service->edges_known && rfm_clock_steady_ms() - service->begun_ms >= FIRST_EDGES_MS);
}

/* At multiples of the interval; after a clock that was ahead and has been set back as well. */
static void refresh_population(rfm_service *service)
{
    int64_t refresh_ms = service->config->client.rfm.refresh_ms;
    int64_t multiple_ms = rfm_div_floor(rfm_clock_wall_ms(), refresh_ms) * refresh_ms;
    bool due = multiple_ms != service->refreshed_ms && rfm_clock_steady_ms() >= service->refresh_again_ms;
    bool ready = due && rfm_service_ready(service);
    if (!due || !rfm_client_conf_needs_population(&service->config->client) || !may_read_edges(service, ready))
        return;
    rfm_error error = {0};
    rfm_edges edges;
    if (read_edges(service, &edges, &error) != RFM_OK) {
        if (service->ending)
            return;
        rfm_log(RFM_LOG_WARN, "population: %s; %s", error.message,
                service->edges_known ? "the edges stay as they were" : "nothing is read until they are known");
        service->refresh_again_ms = rfm_clock_steady_ms() + (service->edges_known ? REFRESH_AGAIN_MS : FIRST_AGAIN_MS);
        return;
    }
    for (size_t i = 0; i < service->host_count; i++)
        rfm_host_set_edges(service->hosts[i], &edges);
    service->edges_known = true;
    if (ready)
        service->refreshed_ms = multiple_ms;
}

/* -- reloading */

/* Trigger topics keep their numbers over a reload, since messages under way carry them. False: too many. */
static bool keep_topic_numbers(const rfm_rules *old, rfm_rules *rules)
{
    rfm_rules joined = *rules;
    memcpy(joined.topic, old->topic, sizeof joined.topic);
    joined.topic_count = old->topic_count;
    for (size_t i = 0; i < rules->count; i++) {
        const char *topic = rules->topic[rules->rule[i].topic];
        size_t at = 0;
        while (at < joined.topic_count && strcmp(joined.topic[at], topic) != 0)
            at++;
        if (at == RFM_TOPICS_MAX)
            return false;
        if (at == joined.topic_count)
            memcpy(joined.topic[joined.topic_count++], topic, sizeof joined.topic[0]);
        rules->rule[i].topic = (uint8_t)at;
    }
    memcpy(rules->topic, joined.topic, sizeof joined.topic);
    rules->topic_count = joined.topic_count;
    return true;
}

/* The first configuration, which is the last here, stays: the adapters' names and the decoders' money are views into
 * it. */
static void free_unused(rfm_service *service)
{
    for (struct retired **at = &service->retired; *at != NULL && (*at)->next != NULL;) {
        struct retired *retired = *at;
        bool used = false;
        for (size_t i = 0; i < service->host_count; i++)
            used = used || rfm_host_rules(service->hosts[i]) != &service->config->rules;
        if (used)
            return;
        *at = retired->next;
        rfm_config_free(retired->config);
        free(retired);
    }
}

static void take_config(rfm_service *service, rfm_config *config)
{
    struct retired *retired = malloc(sizeof *retired);
    RFM_NEED(retired != NULL);
    config->client.money = service->conf.config->client.money; /* both go with the state: only a restart takes others */
    config->client.zone = service->conf.config->client.zone;
    *retired = (struct retired){service->config, service->retired};
    service->retired = retired;
    service->config = config;
    rfm_log_setup(config->log.level, config->log.format);
    for (size_t i = 0; i < service->host_count; i++)
        rfm_host_set_rules(service->hosts[i], &config->client, &config->rules);
    service->reloads_taken++;
    rfm_log(RFM_LOG_INFO, "reloaded: rules version %s", config->rules.version);
}

/* Messages to a topic that does not exist could never be sent, and nothing after them. */
static bool has_topics(rfm_service *service, const rfm_rules *rules)
{
    rfm_topics topics;
    rfm_error error = {0};
    if (service->conf.mock || rules->topic_count == service->config->rules.topic_count)
        return true;
    if (check_topics(service, rules, AGAIN_TIMEOUT_MS, &topics, &error) == RFM_OK)
        return true;
    rfm_log(RFM_LOG_ERROR, "reload refused: %s", error.message);
    return false;
}

static void say_errors(const rfm_config_errors *errors)
{
    for (size_t i = 0; i < errors->count && i < RFM_CONFIG_ERRORS_MAX; i++)
        rfm_log(RFM_LOG_ERROR, "%s:%u:%u: %s", errors->items[i].file, errors->items[i].line, errors->items[i].column,
                errors->items[i].message);
}

static void reload(rfm_service *service)
{
    extern char **environ;
    rfm_config *config = NULL;
    rfm_config_errors errors;
    service->reload = false;
    if (service->conf.config_path == NULL)
        return;
    rfm_config_errors_init(&errors);
    int code = rfm_config_load(service->conf.config_path, environ, &config, &errors);
    rfm_file_watch_set(&service->files, code == RFM_OK ? &config->files : &errors.files);
    if (code != RFM_OK) {
        say_errors(&errors);
        rfm_log(RFM_LOG_ERROR, "reload refused: the configuration in use stays");
        service->reloads_refused++;
    } else if (!keep_topic_numbers(&service->config->rules, &config->rules)) {
        rfm_log(RFM_LOG_ERROR, "reload refused: more than %d trigger topics since the start; restart instead",
                RFM_TOPICS_MAX);
        service->reloads_refused++;
        rfm_config_free(config);
    } else if (!has_topics(service, &config->rules)) {
        service->reloads_refused++;
        rfm_config_free(config);
    } else {
        take_config(service, config);
    }
    rfm_config_errors_release(&errors);
}

static void watch_files(rfm_service *service)
{
    int64_t now_ms = rfm_clock_steady_ms();
    if (service->conf.config_path == NULL || now_ms - service->watched_ms < WATCH_MS)
        return;
    service->watched_ms = now_ms;
    if (rfm_file_watch_differs(&service->files))
        service->reload = true;
}

/* Ids are known from Kafka 2.8 on. */
static bool is_made_anew(const char *id, const char *before)
{
    return *id != 0 && *before != 0 && strcmp(id, before) != 0;
}

/* What has become of the topics that the workers were made for, where that forbids to go on. False: nothing. */
static bool topics_differ(const rfm_service *service, const rfm_topics *topics, char *why, size_t size)
{
    const rfm_topics *before = &service->topics;
    const char *other = "needs a new group, WAL topic and Redis prefix";
    if (topics->partition_count != before->partition_count) {
        snprintf(why, size, "the topics have %u partitions now and had %u at start: a different count %s",
                 topics->partition_count, before->partition_count, other);
        return true;
    }
    const char *anew = is_made_anew(topics->wal_id, before->wal_id) ? service->config->kafka.wal : NULL;
    for (size_t i = 0; i < service->config->kafka.input_count; i++)
        if (is_made_anew(topics->input_id[i], before->input_id[i]))
            anew = service->config->kafka.input[i].topic;
    if (anew != NULL)
        snprintf(why, size, "topic '%s' was deleted and made anew: its offsets begin again, which %s", anew, other);
    return anew != NULL;
}

/* Topics are looked at again at each assignment. */
static void check_after_rebalance(rfm_service *service)
{
    uint64_t rebalances = 0;
    char why[512];
    for (size_t i = 0; i < service->host_count; i++)
        rebalances += rfm_host_rebalances(service->hosts[i]);
    int64_t now_ms = rfm_clock_steady_ms();
    if (rebalances == service->rebalances || service->conf.mock || now_ms < service->check_again_ms)
        return;
    rfm_topics topics;
    rfm_error error = {0};
    int code = check_topics(service, &service->config->rules, AGAIN_TIMEOUT_MS, &topics, &error);
    service->check_again_ms = now_ms + AGAIN_MS;
    if (code == RFM_E_AWAY || code == RFM_E_DENIED) /* denied: a login may fail for a while */
        return;
    /* A broker that has just started may not know a topic yet. */
    if (code != RFM_OK && ++service->checks_refused < CHECKS_REFUSED_MAX)
        return;
    service->checks_refused = 0;
    service->rebalances = rebalances;
    if (code == RFM_OK && !topics_differ(service, &topics, why, sizeof why))
        return;
    rfm_log(RFM_LOG_ERROR, "%s", code != RFM_OK ? error.message : why);
    service->failed = service->ending = true;
}

/* -- life */

/* Who must not touch the state is told before it joins the group, whose members would have to wait for it when it has
 * gone again. Whatever else is wrong with Redis the workers find, and wait for. */
static int check_state(rfm_service *service, rfm_error *error)
{
    rfm_store_conf conf;
    rfm_store_reader *reader = NULL;
    if (service->conf.mock)
        return RFM_OK;
    rfm_store_conf_of(service->config, service->topics.partition_count, &conf);
    conf.meta = service->host_conf.meta;
    conf.meta_count = service->host_conf.meta_count;
    int code = rfm_store_reader_new(&conf, &reader, error);
    rfm_store_reader_free(reader);
    return code == RFM_E_REFUSED ? code : RFM_OK;
}

static void work(rfm_service *service)
{
    while (!service->stop && !service->failed) {
        rfm_signals_rest(&service->signals, TICK_MS);
        watch_files(service);
        if (service->reload)
            reload(service);
        free_unused(service);
        check_after_rebalance(service);
        refresh_population(service);
        report(service);
    }
}

static int start(rfm_service *service, rfm_error *error)
{
    if (!service->signals.watched)
        return rfm_fail(error, RFM_E_IO, "no thread or file descriptor is left for the signals");
    say_waiting(service, "starting");
    if (rfm_zones_count(service->config->zones) <= 1) /* UTC is always known */
        rfm_log(RFM_LOG_WARN,
                "no time zones under /usr/share/zoneinfo: what events say of a client's is dropped, and its "
                "quiet hours go by the default zone; install tzdata");
    rfm_file_watch_set(&service->files, &service->config->files);
    int code = make_instance(service, error);
    if (code == RFM_OK && !service->conf.mock)
        code = check_properties(service, error);
    if (code == RFM_OK)
        code = start_http(service, error);
    if (code == RFM_OK)
        code = await_topics(service, error);
    if (code != RFM_OK || service->stop)
        return code;
    make_meta(service);
    rfm_log(RFM_LOG_INFO, "rfmd %s: group %s, %u partitions, %u workers, %zu rules", RFM_VERSION,
            service->config->kafka.group, service->topics.partition_count, service->host_conf.count,
            service->config->rules.count);
    code = check_state(service, error);
    return code != RFM_OK ? code : start_hosts(service, error);
}

void rfm_service_free(rfm_service *service)
{
    if (service == NULL)
        return;
    rfm_signals_end(&service->signals);
    rfm_http_stop(service->http);
    for (size_t i = 0; i < service->host_count; i++)
        rfm_host_free(service->hosts[i]);
    rfm_store_reader_free(service->reader);
    rfm_snapshot_free(service->snapshot);
    rfm_metrics_free(service->metrics);
    rfm_config_free(service->config);
    while (service->retired != NULL) {
        struct retired *retired = service->retired;
        service->retired = retired->next;
        rfm_config_free(retired->config);
        free(retired);
    }
    rfm_file_watch_release(&service->files);
    pthread_mutex_destroy(&service->mutex);
    free(service);
}

rfm_service *rfm_service_new(const rfm_service_conf *conf)
{
    rfm_service *service = calloc(1, sizeof *service);
    RFM_NEED(service != NULL);
    service->conf = *conf;
    service->config = conf->config;
    rfm_file_watch_init(&service->files);
    service->started_ms = rfm_clock_wall_ms();
    service->host_conf.count = conf->config->engine.workers > 0 ? conf->config->engine.workers : 1;
    service->metrics = rfm_metrics_new(service->host_conf.count + 1);
    service->snapshot = rfm_snapshot_new();
    pthread_mutex_init(&service->mutex, NULL);
    rfm_signals_begin(&service->signals, &(rfm_signal_calls){on_reload, on_stop, on_late, service}, LEAVE_MS);
    return service;
}

int rfm_service_run(rfm_service *service)
{
    rfm_log_setup(service->config->log.level, service->config->log.format);
    rfm_error error = {0};
    int code = start(service, &error);
    if (code != RFM_OK && !service->stop)
        rfm_log(RFM_LOG_ERROR, "%s", error.message);
    if (code == RFM_OK)
        work(service);
    bool started = code == RFM_OK || service->stop;
    if (!stop_hosts(service)) {
        rfm_log(RFM_LOG_ERROR, "a worker did not end in time; leaving");
        _exit(RFM_SERVICE_FAILED);
    }
    bool failed = service->failed || !started; /* workers may have failed while they ended */
    rfm_log(RFM_LOG_INFO, failed ? "stopped by a failure" : "stopped");
    return !failed ? 0 : service->misconfigured ? RFM_SERVICE_MISCONFIGURED : RFM_SERVICE_FAILED;
}

void rfm_service_stop(rfm_service *service)
{
    service->stop = service->ending = true;
}
