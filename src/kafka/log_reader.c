#include "log_reader.h"

#include "client.h"

#include <rfm/base/grow.h>
#include <rfm/base/time.h>
#include <stdlib.h>

enum { REQUEST_MS = 10000, STALL_MS = 30000, POLL_MS = 250, CHUNK = 512 };

typedef struct part {
    rd_kafka_topic_t *topic;
    int32_t partition;
    int64_t from, next, end; /* next: all that is committed below has been read; at `end` nothing is left */
    bool open;
} part;

struct rfm_log_reader {
    const rfm_kafka_conf *conf; /* first: librdkafka's opaque points here */
    rd_kafka_t *client;
    rd_kafka_queue_t *queue;
    part *parts;
    size_t count, size;
};

static int fail(const rfm_log_reader *reader, rd_kafka_resp_err_t code, const char *topic, const char *why,
                rfm_error *error)
{
    if (rfm__kafka_denied(code) || rfm__kafka_unauthenticated(code))
        return rfm_fail(error, RFM_E_DENIED, "kafka at %s: topic '%s': %s: grant READ on it", reader->conf->brokers,
                        topic, why);
    if (rfm__kafka_passes(code))
        return rfm_fail(error, RFM_E_AWAY, "kafka at %s: topic '%s': %s", reader->conf->brokers, topic, why);
    return rfm_fail(error, RFM_E_REFUSED, "kafka at %s: topic '%s' cannot be read: %s", reader->conf->brokers, topic,
                    why);
}

/* -- which partitions */

static rd_kafka_topic_t *topic_named(rfm_log_reader *reader, const char *name)
{
    rd_kafka_topic_t *topic = rd_kafka_topic_new(reader->client, name, NULL);
    RFM_ASSERT(topic != NULL); /* only a bad configuration of the topic fails, and it has none */
    return topic;
}

int rfm_log_reader_partitions(rfm_log_reader *reader, const char *topic, uint32_t *count, rfm_error *error)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *asked = topic_named(reader, topic);
    rd_kafka_resp_err_t code = rd_kafka_metadata(reader->client, 0, asked, &metadata, REQUEST_MS);
    rd_kafka_topic_destroy(asked);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return fail(reader, code, topic, "no broker answers", error);
    code = metadata->topic_cnt == 1 ? metadata->topics[0].err : RD_KAFKA_RESP_ERR__FAIL;
    uint32_t found = code == RD_KAFKA_RESP_ERR_NO_ERROR ? (uint32_t)metadata->topics[0].partition_cnt : 0;
    rd_kafka_metadata_destroy(metadata);
    if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
        return rfm_fail(error, RFM_E_NOT_FOUND, "kafka at %s: topic '%s' does not exist", reader->conf->brokers, topic);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR || found == 0)
        return fail(reader, code, topic, rd_kafka_err2str(code), error);
    *count = found;
    return RFM_OK;
}

void rfm_log_reader_add(rfm_log_reader *reader, const char *topic, uint32_t partition)
{
    for (size_t i = 0; i < reader->count; i++)
        if ((uint32_t)reader->parts[i].partition == partition &&
            strcmp(rd_kafka_topic_name(reader->parts[i].topic), topic) == 0)
            return;
    reader->parts = rfm_grow(reader->parts, reader->count, &reader->size);
    reader->parts[reader->count++] = (part){.topic = topic_named(reader, topic), .partition = (int32_t)partition};
}

/* -- from where to where */

static int ask_ends(rfm_log_reader *reader, rfm_error *error)
{
    for (size_t i = 0; i < reader->count; i++) {
        part *of = &reader->parts[i];
        const char *topic = rd_kafka_topic_name(of->topic);
        rd_kafka_resp_err_t code = rd_kafka_query_watermark_offsets(reader->client, topic, of->partition, &of->from,
                                                                    &of->end, REQUEST_MS);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
            return fail(reader, code, topic, rd_kafka_err2str(code), error);
    }
    return RFM_OK;
}

/* A partition without a record so late is read from its end: not at all. */
static int ask_times(rfm_log_reader *reader, int64_t since_ms, rfm_error *error)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)reader->count);
    for (size_t i = 0; i < reader->count; i++)
        rd_kafka_topic_partition_list_add(list, rd_kafka_topic_name(reader->parts[i].topic), reader->parts[i].partition)
            ->offset = since_ms < 0 ? 0 : since_ms;
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(reader->client, list, REQUEST_MS);
    int ours = RFM_OK;
    for (size_t i = 0; ours == RFM_OK && i < reader->count; i++) {
        const rd_kafka_topic_partition_t *found = &list->elems[i];
        rd_kafka_resp_err_t own = code != RD_KAFKA_RESP_ERR_NO_ERROR ? code : found->err;
        if (own != RD_KAFKA_RESP_ERR_NO_ERROR)
            ours = fail(reader, own, found->topic, rd_kafka_err2str(own), error);
        else if (found->offset < 0 || found->offset > reader->parts[i].from)
            reader->parts[i].from = found->offset < 0 ? reader->parts[i].end : found->offset;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return ours;
}

/* -- reading */

static int start(rfm_log_reader *reader, rfm_error *error)
{
    for (size_t i = 0; i < reader->count; i++) {
        part *of = &reader->parts[i];
        of->next = of->from;
        if (of->next >= of->end)
            continue;
        if (rd_kafka_consume_start_queue(of->topic, of->partition, of->next, reader->queue) != 0)
            return fail(reader, rd_kafka_last_error(), rd_kafka_topic_name(of->topic),
                        rd_kafka_err2str(rd_kafka_last_error()), error);
        of->open = true;
    }
    return RFM_OK;
}

static void stop(part *of)
{
    if (of->open)
        rd_kafka_consume_stop(of->topic, of->partition);
    of->open = false;
}

static part *part_of(rfm_log_reader *reader, const rd_kafka_message_t *message)
{
    const char *topic = message->rkt ? rd_kafka_topic_name(message->rkt) : "";
    for (size_t i = 0; i < reader->count; i++)
        if (reader->parts[i].partition == message->partition &&
            strcmp(rd_kafka_topic_name(reader->parts[i].topic), topic) == 0)
            return &reader->parts[i];
    return NULL;
}

/* What a reader of committed records is told as the end is the last stable offset: what is open behind it is not for
 * us. */
static int take_message(rfm_log_reader *reader, const rfm_log_wish *wish, const rd_kafka_message_t *message,
                        rfm_error *error)
{
    part *of = part_of(reader, message);
    if (of == NULL || !of->open) /* what was fetched beyond the end; errors of the client, of which we hear otherwise */
        return RFM_OK;
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        of->next = of->end;
    } else if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return rfm__kafka_passes(message->err) ? RFM_OK
                                               : fail(reader, message->err, rd_kafka_topic_name(of->topic),
                                                      rd_kafka_message_errstr(message), error);
    } else if (message->offset < of->end) {
        const rfm_log_record record = {rd_kafka_topic_name(of->topic), (uint32_t)of->partition, message->offset,
                                       rfm_bytes_of(message->key, message->key_len),
                                       rfm_bytes_of(message->payload, message->len)};
        of->next = message->offset + 1;
        int code = wish->each(wish->owner, &record, error);
        if (code != RFM_OK)
            return code;
    } else {
        of->next = of->end;
    }
    if (of->next >= of->end)
        stop(of);
    return RFM_OK;
}

static int take_chunk(rfm_log_reader *reader, const rfm_log_wish *wish, ssize_t *count, rfm_error *error)
{
    rd_kafka_message_t *chunk[CHUNK];
    int code = RFM_OK;
    *count = rd_kafka_consume_batch_queue(reader->queue, POLL_MS, chunk, CHUNK);
    for (ssize_t i = 0; i < *count; i++) {
        if (code == RFM_OK)
            code = take_message(reader, wish, chunk[i], error);
        rd_kafka_message_destroy(chunk[i]);
    }
    return code;
}

static int64_t sum_of(const rfm_log_reader *reader, int64_t *all)
{
    int64_t read = 0;
    *all = 0;
    for (size_t i = 0; i < reader->count; i++) {
        read += reader->parts[i].next - reader->parts[i].from;
        *all += reader->parts[i].end - reader->parts[i].from;
    }
    return read;
}

static int read_all(rfm_log_reader *reader, const rfm_log_wish *wish, rfm_error *error)
{
    ssize_t count;
    int64_t all, read = sum_of(reader, &all), since_ms = rfm_clock_steady_ms();
    while (read < all) {
        int code = take_chunk(reader, wish, &count, error);
        if (code != RFM_OK)
            return code;
        int64_t before = read, now_ms = rfm_clock_steady_ms();
        read = sum_of(reader, &all);
        since_ms = read > before ? now_ms : since_ms;
        if (now_ms - since_ms >= STALL_MS)
            return rfm_fail(error, RFM_E_AWAY, "kafka at %s: nothing came for %d s, %lld of %lld records were read",
                            reader->conf->brokers, STALL_MS / 1000, (long long)read, (long long)all);
        wish->progress(wish->owner, read, all);
    }
    return RFM_OK;
}

int rfm_log_reader_run(rfm_log_reader *reader, const rfm_log_wish *wish, rfm_error *error)
{
    int code = ask_ends(reader, error);
    if (code == RFM_OK && wish->since_ms != INT64_MIN)
        code = ask_times(reader, wish->since_ms, error);
    if (code == RFM_OK)
        code = start(reader, error);
    if (code == RFM_OK)
        code = read_all(reader, wish, error);
    for (size_t i = 0; i < reader->count; i++)
        stop(&reader->parts[i]);
    return code;
}

/* -- the whole */

int rfm_log_reader_new(const rfm_kafka_conf *conf, rfm_log_reader **made, rfm_error *error)
{
    rd_kafka_conf_t *client_conf;
    rfm_log_reader *reader = calloc(1, sizeof *reader);
    RFM_NEED(reader != NULL);
    reader->conf = conf;
    int code = rfm__client_conf(&reader->conf, RFM__FETCHER, &client_conf, error);
    if (code == RFM_OK)
        code = rfm__client_new(RFM__FETCHER, client_conf, &reader->client, error);
    if (code != RFM_OK) {
        free(reader);
        return code;
    }
    reader->queue = rd_kafka_queue_new(reader->client);
    *made = reader;
    return RFM_OK;
}

void rfm_log_reader_free(rfm_log_reader *reader)
{
    if (reader == NULL)
        return;
    for (size_t i = 0; i < reader->count; i++) {
        stop(&reader->parts[i]);
        rd_kafka_topic_destroy(reader->parts[i].topic);
    }
    rd_kafka_queue_destroy(reader->queue);
    rd_kafka_destroy(reader->client);
    free(reader->parts);
    free(reader);
}
