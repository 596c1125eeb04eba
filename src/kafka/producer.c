#include "producer.h"

#include "client.h"

#include <rfm/base/time.h>
#include <stdio.h>
#include <stdlib.h>

enum { QUEUED_BYTES_MAX_KIB = 65536, FULL_WAIT_MS = 30000 };

struct rfm_producer {
    const rfm_kafka_conf *conf;
    rd_kafka_t *client;
    uint64_t sent, delivered, failed;
    rfm_error failure; /* the first */
};

static int code_of(rd_kafka_resp_err_t err)
{
    if (rfm__kafka_denied(err) || rfm__kafka_unauthenticated(err))
        return RFM_E_DENIED;
    if (err == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC || err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
        return RFM_E_NOT_FOUND;
    if (err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
        return RFM_E_TOO_LARGE;
    return rfm__kafka_passes(err) ? RFM_E_AWAY : RFM_E_IO;
}

static void on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    (void)client, (void)opaque;
    rfm_producer *producer = message->_private;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
        producer->delivered++;
    else if (producer->failed++ == 0)
        rfm_fail(&producer->failure, code_of(message->err), "topic '%s': a record was not delivered: %s",
                 rd_kafka_topic_name(message->rkt), rd_kafka_err2str(message->err));
}

static const char *partitioner_name(rfm_partitioner partitioner)
{
    switch (partitioner) {
    case RFM_PARTITIONER_CRC32: return "consistent_random";
    case RFM_PARTITIONER_MURMUR2:
    case RFM_PARTITIONER_NONE: break;
    }
    return "murmur2_random";
}

int rfm_producer_new(const rfm_kafka_conf *conf, rfm_partitioner partitioner, rfm_producer **out, rfm_error *error)
{
    rfm_producer *producer = calloc(1, sizeof *producer);
    RFM_NEED(producer);
    producer->conf = conf;
    rd_kafka_conf_t *made;
    int code = rfm__client_conf(&producer->conf, RFM__PRODUCER, &made, error);
    if (code == RFM_OK) {
        char kib[16];
        snprintf(kib, sizeof kib, "%d", QUEUED_BYTES_MAX_KIB);
        rfm__client_set(made, "partitioner", partitioner_name(partitioner));
        rfm__client_set(made, "queue.buffering.max.kbytes", kib);
        rd_kafka_conf_set_dr_msg_cb(made, on_delivery);
        code = rfm__client_new(RFM__PRODUCER, made, &producer->client, error);
    }
    if (code == RFM_OK)
        *out = producer;
    else
        free(producer);
    return code;
}

void rfm_producer_free(rfm_producer *producer)
{
    if (producer == NULL)
        return;
    rd_kafka_purge(producer->client, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_flush(producer->client, 1000); /* reports of what was purged */
    rd_kafka_destroy(producer->client);
    free(producer);
}

static rd_kafka_resp_err_t ask_for(rd_kafka_t *client, const char *topic, int64_t timeout_ms)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(client, topic, NULL);
    if (handle == NULL)
        return rd_kafka_last_error();
    rd_kafka_resp_err_t err = rd_kafka_metadata(client, 0, handle, &metadata, (int)timeout_ms);
    rd_kafka_topic_destroy(handle);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
        return err;
    err = metadata->topic_cnt == 1 ? metadata->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    rd_kafka_metadata_destroy(metadata);
    return err;
}

int rfm_producer_check(rfm_producer *producer, const char *topic, int64_t timeout_ms, rfm_error *error)
{
    int64_t until_ns = rfm_clock_steady_ns() + timeout_ms * 1000000, left_ms = timeout_ms;
    rd_kafka_resp_err_t err;
    do {
        err = ask_for(producer->client, topic, left_ms > 0 ? left_ms : 1);
        left_ms = (until_ns - rfm_clock_steady_ns()) / 1000000;
    } while (code_of(err) == RFM_E_AWAY && err != RD_KAFKA_RESP_ERR_NO_ERROR && left_ms > 0);
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
        return RFM_OK;
    if (code_of(err) == RFM_E_AWAY)
        return rfm_fail(error, RFM_E_AWAY, "no Kafka broker at %s answers: %s", producer->conf->brokers,
                        rd_kafka_err2str(err));
    return rfm_fail(error, code_of(err), "topic '%s': %s", topic, rd_kafka_err2str(err));
}

static int failure_of(const rfm_producer *producer, rfm_error *error)
{
    if (producer->failed == 0)
        return RFM_OK;
    return rfm_fail(error, producer->failure.code, "%s (%llu records in all)", producer->failure.message,
                    (unsigned long long)producer->failed);
}

static rd_kafka_resp_err_t produce(rfm_producer *producer, const char *topic, int32_t partition, rfm_bytes key,
                                   rfm_bytes value, int64_t timestamp_ms)
{
    union { /* librdkafka's key and value are not const; it copies them */
        const uint8_t *given;
        void *taken;
    } k = {.given = key.at}, v = {.given = value.at};
    return rd_kafka_producev(producer->client, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
                             RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(k.taken, key.len),
                             RD_KAFKA_V_VALUE(v.taken, value.len), RD_KAFKA_V_TIMESTAMP(timestamp_ms),
                             RD_KAFKA_V_OPAQUE(producer), RD_KAFKA_V_END);
}

int rfm_producer_send(rfm_producer *producer, const char *topic, int32_t partition, rfm_bytes key, rfm_bytes value,
                      int64_t timestamp_ms, rfm_error *error)
{
    int64_t until_ns = rfm_clock_steady_ns() + FULL_WAIT_MS * INT64_C(1000000);
    if (partition < 0)
        partition = RD_KAFKA_PARTITION_UA;
    rd_kafka_resp_err_t err = produce(producer, topic, partition, key, value, timestamp_ms);
    while (err == RD_KAFKA_RESP_ERR__QUEUE_FULL && rfm_clock_steady_ns() < until_ns && producer->failed == 0) {
        rd_kafka_poll(producer->client, 100);
        err = produce(producer, topic, partition, key, value, timestamp_ms);
    }
    if (err == RD_KAFKA_RESP_ERR__QUEUE_FULL && producer->failed == 0)
        return rfm_fail(error, RFM_E_AWAY, "topic '%s': the broker at %s takes nothing for %d s", topic,
                        producer->conf->brokers, FULL_WAIT_MS / 1000);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR && producer->failed == 0)
        return rfm_fail(error, code_of(err), "topic '%s': %s", topic, rd_kafka_err2str(err));
    if (++producer->sent % 64 == 0)
        rd_kafka_poll(producer->client, 0);
    return failure_of(producer, error);
}

int rfm_producer_flush(rfm_producer *producer, int64_t timeout_ms, rfm_error *error)
{
    rd_kafka_resp_err_t err = rd_kafka_flush(producer->client, (int)timeout_ms);
    if (producer->failed == 0 && err != RD_KAFKA_RESP_ERR_NO_ERROR)
        return rfm_fail(error, RFM_E_AWAY, "%d records were not delivered within %lld s: does the broker at %s answer?",
                        rd_kafka_outq_len(producer->client), (long long)timeout_ms / 1000, producer->conf->brokers);
    return failure_of(producer, error);
}
