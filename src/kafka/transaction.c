#include "transaction.h"

#include "committed.h"
#include "group_metadata.h"
#include "publisher.h"

#include <rfm/base/time.h>
#include <rfm/engine/outcome.h>
#include <rfm/event/headers.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    SLICE_MS = 1000,   /* blocking calls look at `stop` that often */
    OFFSETS_MS = 5000, /* but for this one, which gives up for good what it could not do within it */
    BEGIN_MS = 15000,
    SEND_MS = 15000, /* messages and offsets; the broker aborts after transaction.timeout.ms anyway */
    COMMIT_MS = 20000,
    ABORT_MS = 3000,
};

/* What a message carries: where its report belongs. */
typedef struct delivery {
    rfm__producer *producer;
    rfm_change *change; /* NULL: no WAL message */
} delivery;

struct rfm__producer {
    const rfm_kafka_conf *conf; /* first: librdkafka's opaque points here */
    const atomic_bool *stop;
    rd_kafka_t *client;
    rd_kafka_topic_t *topics[RFM__TOPICS_MAX];
    const char *names[RFM__TOPICS_MAX]; /* of those, by address */
    delivery *deliveries; /* of the step under way: one for all that is no WAL message, then one a change */
    size_t delivery_room, delivered;
    rd_kafka_resp_err_t failure; /* of a message */
    char failed_topic[250];
    bool trouble;           /* a transport error or time-out was reported */
    atomic_bool unanswered; /* a transactional request got no answer; written by librdkafka's threads */
};

static int left_ms(int64_t until_ms, int most_ms)
{
    int64_t left_ms = until_ms - rfm_clock_steady_ms();
    return left_ms < 0 ? 0 : left_ms > most_ms ? most_ms : (int)left_ms;
}

static int slice_ms(int64_t until_ms)
{
    return left_ms(until_ms, SLICE_MS);
}

static bool is_stopped(const atomic_bool *stop)
{
    return atomic_load_explicit(stop, memory_order_relaxed);
}

/* -- callbacks */

/* Those that could do harm if they arrived late, in the next transaction: AddOffsetsToTxn, EndTxn, TxnOffsetCommit.
 * Late messages are refused by their sequence numbers. */
static bool is_transactional(int16_t api)
{
    return api == 25 || api == 26 || api == 28;
}

/* Called at least once a request, with a code for one that timed out or whose connection broke: it may still reach the
 * broker. One that was answered, be it by "try again", cannot. */
static rd_kafka_resp_err_t on_response(rd_kafka_t *client, int socket, const char *broker, int32_t id, int16_t api,
                                       int16_t version, int32_t correlation, size_t size, int64_t rtt,
                                       rd_kafka_resp_err_t code, void *self)
{
    (void)client, (void)socket, (void)broker, (void)id, (void)version, (void)correlation, (void)size, (void)rtt;
    rfm__producer *producer = self;
    if (is_transactional(api) && code != RD_KAFKA_RESP_ERR_NO_ERROR)
        atomic_store(&producer->unanswered, true);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t on_new(rd_kafka_t *client, const rd_kafka_conf_t *client_conf, void *self, char *text,
                                  size_t size)
{
    (void)client_conf, (void)text, (void)size;
    rd_kafka_interceptor_add_on_response_received(client, "rfmd", on_response, self);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static void on_delivered(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    (void)client, (void)opaque;
    const delivery *of = message->_private;
    rd_kafka_resp_err_t code = message->err;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && of->change && message->offset < 0)
        code = RD_KAFKA_RESP_ERR_DUPLICATE_SEQUENCE_NUMBER; /* it is there, but nobody says where */
    of->producer->delivered++;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (of->change && message->offset > of->change->to.wal)
            of->change->to.wal = message->offset;
    } else if (of->producer->failure == RD_KAFKA_RESP_ERR_NO_ERROR ||
               of->producer->failure == RD_KAFKA_RESP_ERR__PURGE_QUEUE) {
        of->producer->failure = code;
        snprintf(of->producer->failed_topic, sizeof of->producer->failed_topic, "%s",
                 rd_kafka_topic_name(message->rkt));
    }
}

static void on_error(rd_kafka_t *client, int code, const char *reason, void *opaque)
{
    (void)client, (void)reason;
    rfm__producer *producer = opaque;
    if (code != RD_KAFKA_RESP_ERR__FATAL)
        producer->trouble = true;
}

/* -- making one */

int rfm__producer_new(const rfm_kafka_conf *conf, const atomic_bool *stop, rfm__producer **made, rfm_error *error)
{
    rd_kafka_conf_t *client_conf;
    rfm__producer *producer = calloc(1, sizeof *producer);
    RFM_NEED(producer);
    producer->conf = conf;
    producer->stop = stop;
    int code = rfm__client_conf(&producer->conf, RFM__PRODUCER, &client_conf, error);
    if (code == RFM_OK) {
        rd_kafka_conf_set_dr_msg_cb(client_conf, on_delivered);
        rd_kafka_conf_set_error_cb(client_conf, on_error);
        rd_kafka_conf_interceptor_add_on_new(client_conf, "rfmd", on_new, producer);
        code = rfm__client_new(RFM__PRODUCER, client_conf, &producer->client, error);
    }
    if (code == RFM_OK)
        *made = producer;
    else
        rfm__producer_free(producer);
    return code;
}

void rfm__producer_free(rfm__producer *producer)
{
    if (producer == NULL)
        return;
    for (size_t i = 0; i < RFM__TOPICS_MAX; i++)
        if (producer->topics[i])
            rd_kafka_topic_destroy(producer->topics[i]);
    if (producer->client) {
        rd_kafka_purge(producer->client,
                       RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
        rd_kafka_destroy(producer->client);
    }
    free(producer->deliveries);
    free(producer);
}

static int fail_begin(const char *id, rd_kafka_error_t *cause, rfm_error *error)
{
    rd_kafka_resp_err_t code = rd_kafka_error_code(cause);
    int ours = rfm__kafka_denied(code) ? RFM_E_DENIED : RFM_E_AWAY;
    if (code == RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT)
        ours = RFM_E_REFUSED;
    rfm_fail(error, ours, "transactional id '%s': %s%s", id, rd_kafka_error_string(cause),
             ours == RFM_E_DENIED    ? "; grant WRITE and DESCRIBE on the transactional id"
             : ours == RFM_E_REFUSED ? "; lower transaction.timeout.ms or raise the broker's transaction.max.timeout.ms"
                                     : "");
    return ours;
}

static int init_transactions(rd_kafka_t *client, const char *id, const atomic_bool *stop, rfm_error *error)
{
    int64_t until_ms = rfm_clock_steady_ms() + BEGIN_MS;
    for (;;) {
        rd_kafka_error_t *cause = rd_kafka_init_transactions(client, slice_ms(until_ms));
        if (cause == NULL)
            return RFM_OK;
        bool again = rd_kafka_error_is_retriable(cause) && rfm_clock_steady_ms() < until_ms && !is_stopped(stop);
        int code = again ? RFM_OK : fail_begin(id, cause, error);
        rd_kafka_error_destroy(cause);
        if (!again)
            return code;
    }
}

int rfm__producer_begin(rfm__producer *producer, rfm_error *error)
{
    const char *id = producer->conf->transactional_id;
    return id ? init_transactions(producer->client, id, producer->stop, error) : RFM_OK;
}

static const rfm_kafka_conf *evictor_conf(const rfm_kafka_conf *conf, const char *id, rfm_kafka_conf *copy)
{
    *copy = *conf;
    copy->transactional_id = id;
    return copy;
}

int rfm__producer_evict(const rfm_kafka_conf *conf, const char *id, const atomic_bool *stop, rfm_error *error)
{
    rfm_kafka_conf copy;
    const rfm_kafka_conf *owner = evictor_conf(conf, id, &copy);
    rd_kafka_conf_t *client_conf;
    rd_kafka_t *client;
    int code = rfm__client_conf(&owner, RFM__PRODUCER, &client_conf, error);
    if (code == RFM_OK)
        code = rfm__client_new(RFM__PRODUCER, client_conf, &client, error);
    if (code != RFM_OK)
        return code;
    code = init_transactions(client, id, stop, error);
    rd_kafka_destroy(client);
    return code;
}

void rfm__producer_poll(rfm__producer *producer)
{
    rd_kafka_poll(producer->client, 0);
}

/* -- a step */

/* RFM_E_AWAY: the step may be tried again; other codes: trying again cannot help. Takes over the cause. */
static int fail_step(rd_kafka_error_t *cause, const char *doing, rfm_error *error)
{
    rd_kafka_resp_err_t code = rd_kafka_error_code(cause);
    int ours = rfm__kafka_denied(code) ? RFM_E_DENIED : RFM_E_AWAY;
    rfm_fail(error, ours, "%s: %s: %s", doing, rd_kafka_error_name(cause), rd_kafka_error_string(cause));
    rd_kafka_error_destroy(cause);
    return ours;
}

static int fail_message(rd_kafka_resp_err_t code, const char *topic, size_t len, rfm_error *error)
{
    if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
        return rfm_fail(error, RFM_E_REFUSED,
                        "topic '%s': a message is larger than it allows%s; raise its max.message.bytes "
                        "(and replica.fetch.max.bytes) to at least 2 MiB",
                        topic, len ? "" : " (or its batch)");
    if (rfm__kafka_denied(code))
        return rfm_fail(error, RFM_E_DENIED, "topic '%s': %s; grant WRITE on the topic", topic, rd_kafka_err2str(code));
    if (code == RD_KAFKA_RESP_ERR_INVALID_RECORD || code == RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP ||
        code == RD_KAFKA_RESP_ERR_POLICY_VIOLATION || code == RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION)
        return rfm_fail(error, RFM_E_REFUSED,
                        "topic '%s' refuses our messages: %s; it must not be compacted, nor check their "
                        "schema or timestamps",
                        topic, rd_kafka_err2str(code));
    return rfm_fail(error, RFM_E_AWAY, "topic '%s': %s", topic, rd_kafka_err2str(code));
}

static void begin_step(rfm__producer *producer, rfm_step *step)
{
    if (producer->delivery_room < step->change_count + 1) {
        producer->delivery_room = step->change_count + 1;
        free(producer->deliveries);
        producer->deliveries = calloc(producer->delivery_room, sizeof *producer->deliveries);
        RFM_NEED(producer->deliveries);
    }
    producer->deliveries[0] = (delivery){producer, NULL};
    for (size_t i = 0; i < step->change_count; i++) {
        producer->deliveries[i + 1] = (delivery){producer, &step->changes[i]};
        step->changes[i].to.wal = RFM_OFFSET_NONE;
    }
    producer->delivered = 0;
    producer->failure = RD_KAFKA_RESP_ERR_NO_ERROR;
    producer->trouble = false;
}

static rd_kafka_topic_t *topic_of(rfm__producer *producer, const rfm__publication *publication, uint8_t index)
{
    const char *name = publication->names->at[index];
    RFM_ASSERT(name);
    if (producer->names[index] != name) {
        if (producer->topics[index])
            rd_kafka_topic_destroy(producer->topics[index]);
        producer->topics[index] = rd_kafka_topic_new(producer->client, name, NULL);
        producer->names[index] = name;
    }
    return producer->topics[index];
}

static rd_kafka_headers_t *headers_of(const rfm__producer *producer, const rfm_message *message)
{
    const char *id = producer->conf->transactional_id;
    bool in_transaction = message->topic == RFM_TOPIC_WAL && id;
    if (message->headers.len == 0 && !in_transaction)
        return NULL;
    rd_kafka_headers_t *headers = rd_kafka_headers_new(8);
    rfm_bytes rest = message->headers, name, value;
    while (rfm_headers_next(&rest, &name, &value)) /* librdkafka copies the value */
        rd_kafka_header_add(headers, (const char *)name.at, (ssize_t)name.len, value.at,
                            value.at ? (ssize_t)value.len : 0);
    if (in_transaction)
        rd_kafka_header_add(headers, RFM_WAL_HEADER, -1, id, -1);
    return headers;
}

/* librdkafka takes what it only reads without const. */
static void *unconst(const void *at)
{
    union {
        const void *seen;
        void *given;
    } pointer = {.seen = at};
    return pointer.given;
}

static rd_kafka_resp_err_t produce(rfm__producer *producer, const rfm_message *message, rd_kafka_topic_t *topic)
{
    rd_kafka_headers_t *headers = headers_of(producer, message);
    delivery *of = &producer->deliveries[message->topic == RFM_TOPIC_WAL ? message->change + 1 : 0];
    rd_kafka_resp_err_t code = rd_kafka_producev(producer->client, RD_KAFKA_V_RKT(topic),
                                                 RD_KAFKA_V_PARTITION(message->partition), RD_KAFKA_V_MSGFLAGS(0),
                                                 RD_KAFKA_V_KEY(unconst(message->key.at), message->key.len),
                                                 RD_KAFKA_V_VALUE(unconst(message->value.at), message->value.len),
                                                 RD_KAFKA_V_OPAQUE(of), RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR && headers)
        rd_kafka_headers_destroy(headers);
    return code;
}

static int fail_produce(rfm__producer *producer, rd_kafka_resp_err_t code, const rfm_message *message,
                        const char *topic, rfm_error *error)
{
    char text[256] = "";
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        code = rd_kafka_fatal_error(producer->client, text, sizeof text);
        return rfm_fail(error, RFM_E_AWAY, "topic '%s': %s: %s", topic, rd_kafka_err2name(code), text);
    }
    return fail_message(code, topic, message->key.len + message->value.len, error);
}

/* Queues one message; waits while the queue is full. */
static int queue_message(rfm__producer *producer, const rfm__publication *publication, const rfm_message *message,
                         int64_t until_ms, rfm_error *error)
{
    rd_kafka_topic_t *topic = topic_of(producer, publication, message->topic);
    const char *name = publication->names->at[message->topic];
    if (topic == NULL)
        return rfm_fail(error, RFM_E_REFUSED, "topic '%s': %s", name, rd_kafka_err2str(rd_kafka_last_error()));
    for (;;) {
        rd_kafka_resp_err_t code = produce(producer, message, topic);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
            return RFM_OK;
        if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL || rfm_clock_steady_ms() >= until_ms || is_stopped(producer->stop))
            return fail_produce(producer, code, message, name, error);
        rd_kafka_poll(producer->client, 50);
    }
}

static int send_messages(rfm__producer *producer, const rfm__publication *publication, rfm_error *error)
{
    const rfm_step *step = publication->step;
    int64_t until_ms = rfm_clock_steady_ms() + SEND_MS;
    for (size_t i = 0; i < step->message_count; i++) {
        int code = queue_message(producer, publication, &step->messages[i], until_ms, error);
        if (code != RFM_OK)
            return code;
    }
    while (producer->delivered < step->message_count && producer->failure == RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (rfm_clock_steady_ms() >= until_ms || is_stopped(producer->stop))
            return rfm_fail(error, RFM_E_AWAY, "%zu of %zu messages were not acknowledged in time",
                            step->message_count - producer->delivered, step->message_count);
        rd_kafka_flush(producer->client, slice_ms(until_ms));
    }
    if (producer->failure != RD_KAFKA_RESP_ERR_NO_ERROR)
        return fail_message(producer->failure, producer->failed_topic, 0, error);
    return RFM_OK;
}

/* A log that was made anew begins with low offsets again, which would be taken for records that have been stored. */
static int check_wal(const rfm_kafka_conf *conf, const rfm_step *step, rfm_error *error)
{
    for (size_t i = 0; i < step->change_count; i++) {
        const rfm_change *change = &step->changes[i];
        if (change->to.wal <= change->from.wal)
            return rfm_fail(error, RFM_E_REFUSED,
                            "%s [%u]: a record was given the offset %lld, but %lld is committed: the topic was made "
                            "anew or lost records; restore it, or start with a new group, WAL topic and Redis prefix",
                            conf->wal, change->task, (long long)change->to.wal, (long long)change->from.wal);
    }
    return RFM_OK;
}

/* Each task's offsets, with the WAL record that they stand for; the group's generation fences them. */
static int send_offsets(rfm__producer *producer, const rfm__publication *publication, rfm_error *error)
{
    const rfm_step *step = publication->step;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)(step->change_count * 2 + 1));
    for (size_t i = 0; i < step->change_count; i++)
        rfm__committed_add(producer->conf, step->changes[i].task, &step->changes[i].to, list);
    int64_t until_ms = rfm_clock_steady_ms() + SEND_MS;
    int code = RFM_OK;
    bool again = list->cnt > 0;
    while (again) {
        rd_kafka_error_t *cause = rd_kafka_send_offsets_to_transaction(
            producer->client, list, rfm__group_metadata(publication->group), left_ms(until_ms, OFFSETS_MS));
        again = cause && rd_kafka_error_is_retriable(cause) && !rd_kafka_error_txn_requires_abort(cause) &&
                rfm_clock_steady_ms() < until_ms && !is_stopped(producer->stop);
        if (cause && !again)
            code = fail_step(cause, "sending the offsets", error);
        else if (cause)
            rd_kafka_error_destroy(cause);
    }
    rd_kafka_topic_partition_list_destroy(list);
    return code;
}

/* Nothing else has the transaction's outcome in its hands before the commit is asked for: aborted or just left, it is
 * not committed. Aborting spares readers the wait for its time-out. */
static void abort_step(rfm__producer *producer)
{
    rd_kafka_error_t *cause = rd_kafka_abort_transaction(producer->client, ABORT_MS);
    if (cause)
        rd_kafka_error_destroy(cause);
}

/* Only our slice was over: the same commit goes on. A request that got no answer in time is told by on_response. */
static bool goes_on(const rd_kafka_error_t *cause)
{
    return rd_kafka_error_code(cause) == RD_KAFKA_RESP_ERR__TIMED_OUT;
}

/* Whether a request had no answer, or trouble was reported. */
static bool is_troubled(rfm__producer *producer)
{
    rd_kafka_poll(producer->client, 0);
    return producer->trouble || atomic_load(&producer->unanswered);
}

static void commit_step(rfm__producer *producer, rfm_attempt *attempt, rfm_error *error)
{
    int64_t until_ms = rfm_clock_steady_ms() + COMMIT_MS;
    attempt->asked = true;
    for (;;) {
        rd_kafka_error_t *cause = rd_kafka_commit_transaction(producer->client, slice_ms(until_ms));
        if (cause == NULL)
            break;
        bool again = rd_kafka_error_is_retriable(cause) && rfm_clock_steady_ms() < until_ms &&
                     !is_stopped(producer->stop);
        if (!again) {
            fail_step(cause, "committing", error);
            return;
        }
        producer->trouble = producer->trouble || !goes_on(cause);
        rd_kafka_error_destroy(cause);
    }
    attempt->succeeded = true;
    attempt->troubled = is_troubled(producer);
    if (attempt->troubled)
        rfm_fail(error, RFM_E_AWAY, "the commit succeeded, but not at the first attempt");
}

static void publish_once(rfm__producer *producer, const rfm__publication *publication, rfm_attempt *attempt,
                         rfm_error *error)
{
    rd_kafka_error_t *cause = rd_kafka_begin_transaction(producer->client);
    if (cause) {
        fail_step(cause, "beginning a transaction", error);
        return;
    }
    int code = send_messages(producer, publication, error);
    if (code == RFM_OK)
        code = check_wal(producer->conf, publication->step, error);
    if (code == RFM_OK)
        code = send_offsets(producer, publication, error);
    if (code != RFM_OK) {
        abort_step(producer);
        return;
    }
    /* What had happened before is over: every message is acknowledged, the offsets are taken. */
    producer->trouble = false;
    commit_step(producer, attempt, error);
}

rfm_answer rfm__producer_publish(rfm__producer *producer, const rfm__publication *publication, rfm_error *error)
{
    *error = (rfm_error){0};
    begin_step(producer, publication->step);
    rfm_attempt attempt = {0};
    if (producer->conf->transactional_id)
        publish_once(producer, publication, &attempt, error);
    else
        attempt = (rfm_attempt){.asked = true, .succeeded = send_messages(producer, publication, error) == RFM_OK};
    return rfm_outcome_of(&attempt);
}
