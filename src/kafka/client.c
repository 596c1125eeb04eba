#include "client.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <syslog.h>
#include <unistd.h>

typedef struct setting {
    const char *name, *value;
} setting;

static const setting for_all[] = {
    {"client.id", "rfmd"},
    {"allow.auto.create.topics", "false"},
    {"enable.metrics.push", "false"},
    {"socket.nagle.disable", "true"},
    {"socket.keepalive.enable", "true"},
    {"log.connection.close", "false"},
    {"reconnect.backoff.max.ms", "2000"},
    {NULL, NULL},
};

static const setting for_member[] = {
    {"partition.assignment.strategy", "range"},
    {"enable.auto.commit", "false"},
    {"enable.auto.offset.store", "false"},
    {"auto.offset.reset", "error"},
    {NULL, NULL},
};

/* Partition ends come by message, since an end behind control records cannot be told from offsets. Waiting fetches are
 * answered every 100 ms, because such an end is seen only by an empty answer. */
static const setting for_fetcher[] = {
    {"enable.auto.commit", "false"},       {"enable.auto.offset.store", "false"}, {"auto.offset.reset", "error"},
    {"isolation.level", "read_committed"}, {"enable.partition.eof", "true"},      {"fetch.wait.max.ms", "100"},
    {"fetch.queue.backoff.ms", "5"},       {"fetch.error.backoff.ms", "100"},     {NULL, NULL},
};

/* Batches are bounded by batch.size; a single message may be as large as its topic allows, which the broker decides. */
static const setting for_producer[] = {
    {"enable.idempotence", "true"},
    {"partitioner", "murmur2_random"},
    {"linger.ms", "5"},
    {"message.max.bytes", "16777216"},
    {"queue.buffering.max.messages", "2000000"},
    {"queue.buffering.max.kbytes", "1048576"},
    {NULL, NULL},
};

/* Not for users to change: the promises rest on them. */
static const char *const ours[] = {
    "bootstrap.servers",
    "metadata.broker.list",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "group.remote.assignor",
    "partition.assignment.strategy",
    "transactional.id",
    "enable.idempotence",
    "enable.auto.commit",
    "auto.commit.enable",
    "enable.auto.offset.store",
    "auto.offset.reset",
    "isolation.level",
    "enable.partition.eof",
    "acks",
    "request.required.acks",
    "delivery.report.only.error",
    "allow.auto.create.topics",
    "enable.gapless.guarantee",
    "enabled_events",
    "opaque",
    "interceptors",
    "default_topic_conf",
    "produce.offset.report",
    "offset.store.method",
    "message.copy.max.bytes",
    NULL,
};

static bool is_ours(const char *name)
{
    for (const char *const *each = ours; *each; each++)
        if (strcmp(*each, name) == 0)
            return true;
    return false;
}

static bool is_secret(const char *name)
{
    static const char *const parts[] = {
        "password", "secret", "key.pem", "key.location", "sasl.username", "oauthbearer", "jaas", "ssl_key", NULL};
    for (const char *const *part = parts; *part; part++)
        if (strstr(name, *part))
            return true;
    return false;
}

void rfm__client_set(rd_kafka_conf_t *made, const char *name, const char *value)
{
    char text[256];
    rd_kafka_conf_res_t result = rd_kafka_conf_set(made, name, value, text, sizeof text);
    RFM_ASSERT(result == RD_KAFKA_CONF_OK);
}

static void set_all(rd_kafka_conf_t *made, const setting *settings)
{
    for (; settings->name; settings++)
        rfm__client_set(made, settings->name, settings->value);
}

/* A property may be newer or older than this librdkafka: then it has to do without. */
static void set_if_known(rd_kafka_conf_t *made, const char *name, const char *value)
{
    char text[256];
    (void)rd_kafka_conf_set(made, name, value, text, sizeof text);
}

static int set_users(rd_kafka_conf_t *made, const char *section, rfm_kafka_properties properties, rfm_error *error)
{
    char text[256];
    for (size_t i = 0; i < properties.count; i++) {
        const rfm_kafka_property *property = &properties.at[i];
        if (is_ours(property->name))
            return rfm_fail(error, RFM_E_REFUSED, "kafka.%s: '%s' is set by rfmd itself and cannot be changed", section,
                            property->name);
        rd_kafka_conf_res_t result = rd_kafka_conf_set(made, property->name, property->value, text, sizeof text);
        if (result == RD_KAFKA_CONF_UNKNOWN)
            return rfm_fail(error, RFM_E_UNKNOWN_NAME, "kafka.%s: this librdkafka (%s) knows no property '%s'", section,
                            rd_kafka_version_str(), property->name);
        if (result != RD_KAFKA_CONF_OK && is_secret(property->name))
            return rfm_fail(error, RFM_E_MALFORMED, "kafka.%s: bad value for '%s'", section, property->name);
        if (result != RD_KAFKA_CONF_OK)
            return rfm_fail(error, RFM_E_MALFORMED, "kafka.%s: %s", section, text);
    }
    return RFM_OK;
}

/* What is fetched and not yet fed lies in one queue, and what is read of the WAL in a few more (wal_stream.c): half of
 * the bound is the size of a queue, the rest what may be on its way. */
static void set_fetch_sizes(rd_kafka_conf_t *made, const rfm_kafka_conf *conf)
{
    enum { DEFAULT_BYTES = 64 << 20, LEAST_BYTES = 4 << 20, PARTITION_BYTES = 1 << 20 };
    size_t bytes = conf->fetch_bytes_max ? conf->fetch_bytes_max : DEFAULT_BYTES;
    if (bytes < LEAST_BYTES)
        bytes = LEAST_BYTES;
    size_t response = bytes / 4 > 50 << 20 ? 50 << 20 : bytes / 4;
    char text[32];
    snprintf(text, sizeof text, "%zu", bytes / 2 / 1024 > 2097151 ? (size_t)2097151 : bytes / 2 / 1024);
    rfm__client_set(made, "queued.max.messages.kbytes", text);
    snprintf(text, sizeof text, "%d", (int)PARTITION_BYTES);
    rfm__client_set(made, "fetch.message.max.bytes", text);
    rfm__client_set(made, "message.max.bytes", text); /* raises fetch.max.bytes otherwise */
    snprintf(text, sizeof text, "%zu", response);
    rfm__client_set(made, "fetch.max.bytes", text);
    snprintf(text, sizeof text, "%zu", (size_t)100 << 20); /* one record may be larger than all of that */
    rfm__client_set(made, "receive.message.max.bytes", text);
}

static void set_producer(rd_kafka_conf_t *made, const rfm_kafka_conf *conf)
{
    set_all(made, for_producer);
    set_if_known(made, "compression.codec", "lz4");
    if (conf->transactional_id) {
        rfm__client_set(made, "transaction.timeout.ms", "10000");
        rfm__client_set(made, "transactional.id", conf->transactional_id);
    }
}

static void set_role(rd_kafka_conf_t *made, const rfm_kafka_conf *conf, rfm__role role)
{
    switch (role) {
    case RFM__MEMBER:
        set_all(made, for_member);
        rfm__client_set(made, "group.id", conf->group);
        if (conf->instance_id)
            rfm__client_set(made, "group.instance.id", conf->instance_id);
        break;
    case RFM__FETCHER:
    case RFM__TAILER:
        set_all(made, for_fetcher);
        set_fetch_sizes(made, conf);
        if (role == RFM__TAILER)
            rfm__client_set(made, "isolation.level", "read_uncommitted");
        break;
    case RFM__PRODUCER: set_producer(made, conf); break;
    case RFM__ADMIN: break;
    }
}

static void on_log(const rd_kafka_t *client, int level, const char *facility, const char *text)
{
    const rfm_kafka_conf *const *owner = rd_kafka_opaque(client);
    rfm_kafka_log_level ours_level = level <= LOG_ERR       ? RFM_KAFKA_LOG_ERROR
                                     : level == LOG_WARNING ? RFM_KAFKA_LOG_WARNING
                                     : level <= LOG_INFO    ? RFM_KAFKA_LOG_INFO
                                                            : RFM_KAFKA_LOG_DEBUG;
    rfm__kafka_log(*owner, ours_level, "%s: %s: %s", rd_kafka_name(client), facility, text);
}

static bool is_consumer(rfm__role role)
{
    return role == RFM__MEMBER || role == RFM__FETCHER || role == RFM__TAILER;
}

int rfm__client_conf(const rfm_kafka_conf **owner, rfm__role role, rd_kafka_conf_t **made, rfm_error *error)
{
    const rfm_kafka_conf *conf = *owner;
    rd_kafka_conf_t *fresh = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(fresh, on_log);
    rd_kafka_conf_set_opaque(fresh, owner);
    set_all(fresh, for_all);
    set_role(fresh, conf, role);
    char text[512];
    int code = RFM_OK;
    if (rd_kafka_conf_set(fresh, "bootstrap.servers", conf->brokers, text, sizeof text) != RD_KAFKA_CONF_OK)
        code = rfm_fail(error, RFM_E_MALFORMED, "kafka.brokers: %s", text);
    if (code == RFM_OK)
        code = set_users(fresh, "properties", conf->properties, error);
    if (code == RFM_OK && is_consumer(role))
        code = set_users(fresh, "consumer", conf->consumer, error);
    if (code == RFM_OK && role == RFM__PRODUCER)
        code = set_users(fresh, "producer", conf->producer, error);
    if (code != RFM_OK) {
        rd_kafka_conf_destroy(fresh);
        return code;
    }
    *made = fresh;
    return RFM_OK;
}

int rfm__client_new(rfm__role role, rd_kafka_conf_t *made, rd_kafka_t **client, rfm_error *error)
{
    char text[512];
    rfm__threads_seen();
    rd_kafka_type_t type = is_consumer(role) ? RD_KAFKA_CONSUMER : RD_KAFKA_PRODUCER;
    *client = rd_kafka_new(type, made, text, sizeof text);
    if (*client)
        return RFM_OK;
    bool refused = rd_kafka_last_error() == RD_KAFKA_RESP_ERR__INVALID_ARG;
    rd_kafka_conf_destroy(made);
    if (!refused)
        return rfm_fail(error, RFM_E_IO, "kafka: librdkafka cannot begin: %s", text);
    return rfm_fail(error, RFM_E_MALFORMED, "kafka: librdkafka refuses the configuration: %s", text);
}

/* A client that is made and destroyed at once: what librdkafka checks only as a whole (TLS files, times that must
 * fit). */
static int check_role(const rfm_kafka_conf *conf, rfm__role role, rfm_error *error)
{
    rd_kafka_conf_t *made;
    rd_kafka_t *client;
    int code = rfm__client_conf(&conf, role, &made, error);
    if (code != RFM_OK)
        return code;
    rd_kafka_conf_set_log_cb(made, NULL);
    code = rfm__client_new(role, made, &client, error);
    if (code == RFM_OK)
        rd_kafka_destroy(client);
    return code;
}

int rfm_kafka_conf_check(const rfm_kafka_conf *conf, rfm_error *error)
{
    static const rfm__role roles[] = {RFM__MEMBER, RFM__FETCHER, RFM__PRODUCER};
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        int code = check_role(conf, roles[i], error);
        if (code != RFM_OK)
            return code;
    }
    return RFM_OK;
}

const char *rfm_kafka_version(void)
{
    return rd_kafka_version_str();
}

void rfm__kafka_log(const rfm_kafka_conf *conf, rfm_kafka_log_level level, const char *format, ...)
{
    char message[1024];
    if (conf->log == NULL)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    conf->log(level, message);
}

bool rfm__kafka_unauthenticated(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED || code == RD_KAFKA_RESP_ERR__AUTHENTICATION ||
           code == RD_KAFKA_RESP_ERR__SSL;
}

bool rfm__kafka_find_input(const rfm_kafka_conf *conf, const char *topic, size_t *input)
{
    for (size_t i = 0; i < conf->input_count; i++) {
        if (strcmp(conf->input_topic[i], topic) == 0) {
            *input = i;
            return true;
        }
    }
    return false;
}

/* UNKNOWN is what a broker answers when anything unexpected has befallen it. */
bool rfm__kafka_passes(rd_kafka_resp_err_t code)
{
    if (rfm__kafka_unauthenticated(code))
        return true;
    switch (code) {
    case RD_KAFKA_RESP_ERR_UNKNOWN:
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__RESOLVE:
    case RD_KAFKA_RESP_ERR__WAIT_COORD:
    case RD_KAFKA_RESP_ERR__WAIT_CACHE:
    case RD_KAFKA_RESP_ERR__NODE_UPDATE:
    case RD_KAFKA_RESP_ERR__RETRY:
    case RD_KAFKA_RESP_ERR__UNKNOWN_BROKER:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
    case RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION:
    case RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_COORDINATOR:
    case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS:
    case RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR:
    case RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH:
    case RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH:
    case RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED: return true;
    default: return false;
    }
}

bool rfm__kafka_denied(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED: return true;
    default: return false;
    }
}

/* -- wake */

static void drain(int event)
{
    uint64_t count;
    while (read(event, &count, sizeof count) > 0)
        continue;
}

static void on_event(uv_poll_t *poll, int status, int events)
{
    (void)status, (void)events;
    rfm__wake *wake = poll->data;
    drain(wake->event);
    wake->woken(wake->self);
}

static void on_tick(uv_timer_t *timer)
{
    rfm__wake *wake = timer->data;
    wake->woken(wake->self);
}

int rfm__wake_init(rfm__wake *wake, uv_loop_t *loop, uint64_t tick_ms, void (*woken)(void *self), void *self,
                   rfm_error *error)
{
    *wake = (rfm__wake){.event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), .woken = woken, .self = self};
    if (wake->event < 0)
        return rfm_fail(error, RFM_E_IO, "eventfd: %s", strerror(errno));
    int code = uv_poll_init(loop, &wake->poll, wake->event);
    if (code < 0) {
        close(wake->event);
        return rfm_fail(error, RFM_E_IO, "poll: %s", uv_strerror(code));
    }
    uv_timer_init(loop, &wake->timer);
    wake->poll.data = wake->timer.data = wake;
    uv_poll_start(&wake->poll, UV_READABLE, on_event);
    uv_timer_start(&wake->timer, on_tick, tick_ms, tick_ms);
    return RFM_OK;
}

static const uint64_t one = 1;

void rfm__wake_watch(rfm__wake *wake, rd_kafka_queue_t *queue)
{
    rd_kafka_queue_io_event_enable(queue, wake->event, &one, sizeof one);
}

void rfm__wake_now(rfm__wake *wake)
{
    ssize_t written = write(wake->event, &one, sizeof one);
    (void)written; /* fails only if it is full, and then it wakes */
}

static void on_closed(uv_handle_t *handle)
{
    rfm__wake *wake = handle->data;
    if (--wake->closing > 0)
        return;
    close(wake->event);
    wake->closed(wake->self);
}

void rfm__wake_close(rfm__wake *wake, void (*closed)(void *self))
{
    wake->closing = 2;
    wake->closed = closed;
    uv_close((uv_handle_t *)&wake->poll, on_closed);
    uv_close((uv_handle_t *)&wake->timer, on_closed);
}
