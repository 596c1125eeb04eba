#include "wal_tail.h"

#include "offsets.h"
#include "publisher.h"

#include <rfm/base/time.h>
#include <stdlib.h>

enum { IDS_MAX = 64, CHUNK = 64, GIVE_UP_MS = 3000, ERROR_RETRY_MS = 250 };

typedef enum stage { IDLE, WANT_LOG, ASKED_LOG, READING } stage;

typedef struct tail {
    stage stage;
    uint32_t term;
    int64_t since_ms, retry_ms; /* steady */
    int64_t stable_end, end;
    rd_kafka_queue_t *queue;
    rfm_bytes *ids; /* IDS_MAX, each of its own memory */
    size_t id_count;
} tail;

struct rfm__wal_tails {
    const rfm_kafka_conf *conf;
    rfm_kafka_owner owner;
    rfm__wake *wake;
    rfm__asker *asker;
    rd_kafka_t *client;
    rd_kafka_topic_t *topic;
    rfm__round logs;
    tail *tails;
    size_t open;
};

static void set_stage(rfm__wal_tails *tails, tail *of, stage to)
{
    tails->open += (size_t)(to != IDLE) - (size_t)(of->stage != IDLE);
    of->stage = to;
}

static void close_tail(rfm__wal_tails *tails, uint32_t task)
{
    tail *of = &tails->tails[task];
    if (of->queue) {
        rd_kafka_consume_stop(tails->topic, (int32_t)task);
        rd_kafka_queue_destroy(of->queue);
        of->queue = NULL;
    }
    set_stage(tails, of, IDLE);
}

static void free_ids(tail *of)
{
    for (size_t i = 0; i < of->id_count; i++) {
        union { /* the view is of memory that we own */
            const uint8_t *seen;
            void *owned;
        } id = {.seen = of->ids[i].at};
        free(id.owned);
    }
    free(of->ids);
    of->ids = NULL;
    of->id_count = 0;
}

static void answer(rfm__wal_tails *tails, uint32_t task)
{
    tail *of = &tails->tails[task];
    close_tail(tails, task);
    tail answered = *of;
    of->ids = NULL;
    of->id_count = 0;
    rfm_input told = {
        .kind = RFM_IN_TAIL, .task = task, .term = answered.term, .now_ms = rfm_clock_wall_ms(), .answer = RFM_DONE};
    told.tail.ids = answered.ids;
    told.tail.count = answered.id_count;
    tails->owner.tell(tails->owner.self, &told);
    free_ids(&answered);
}

/* -- reading */

static void add_id(tail *of, rfm_bytes id)
{
    for (size_t i = 0; i < of->id_count; i++)
        if (rfm_bytes_equal(of->ids[i], id))
            return;
    if (of->id_count == IDS_MAX || id.len == 0)
        return;
    if (of->ids == NULL)
        of->ids = calloc(IDS_MAX, sizeof *of->ids);
    uint8_t *copy = malloc(id.len);
    RFM_NEED(of->ids && copy);
    memcpy(copy, id.at, id.len);
    of->ids[of->id_count++] = rfm_bytes_of(copy, id.len);
}

static void take_message(tail *of, const rd_kafka_message_t *message)
{
    rd_kafka_headers_t *headers;
    const void *value;
    size_t len;
    if (rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR &&
        rd_kafka_header_get_last(headers, RFM_WAL_HEADER, &value, &len) == RD_KAFKA_RESP_ERR_NO_ERROR)
        add_id(of, rfm_bytes_of(value, len));
}

/* True: nothing more is to be read. */
static bool take_chunk(rfm__wal_tails *tails, tail *of)
{
    rd_kafka_message_t *chunk[CHUNK];
    ssize_t got;
    bool ended = false;
    while (!ended && (got = rd_kafka_consume_batch_queue(of->queue, 0, chunk, CHUNK)) > 0) {
        for (ssize_t i = 0; i < got; i++) {
            int64_t next = chunk[i]->offset + (chunk[i]->err == RD_KAFKA_RESP_ERR_NO_ERROR);
            if (chunk[i]->err == RD_KAFKA_RESP_ERR_NO_ERROR)
                take_message(of, chunk[i]);
            else if (!rfm__kafka_passes(chunk[i]->err) && chunk[i]->err != RD_KAFKA_RESP_ERR__PARTITION_EOF)
                rfm__kafka_log(tails->conf, RFM_KAFKA_LOG_WARNING, "%s: %s", tails->conf->wal,
                               rd_kafka_message_errstr(chunk[i]));
            bool ends = chunk[i]->err == RD_KAFKA_RESP_ERR_NO_ERROR ||
                        chunk[i]->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;
            ended = ended || (ends && next >= of->end);
            rd_kafka_message_destroy(chunk[i]);
        }
    }
    return ended;
}

static void read_tail(rfm__wal_tails *tails, uint32_t task)
{
    tail *of = &tails->tails[task];
    if (take_chunk(tails, of) || rfm_clock_steady_ms() - of->since_ms >= GIVE_UP_MS)
        answer(tails, task);
}

/* -- the log's ends */

static void take_offset(void *self, rfm__which which, const rd_kafka_topic_partition_t *at)
{
    rfm__wal_tails *tails = self;
    if ((uint32_t)at->partition >= tails->conf->partition_count)
        return;
    tail *of = &tails->tails[at->partition];
    if (of->stage == ASKED_LOG)
        *(which == RFM__STABLE_END ? &of->stable_end : &of->end) = at->offset;
}

static bool open_client(rfm__wal_tails *tails)
{
    rfm_error error;
    rd_kafka_conf_t *client_conf;
    if (tails->client)
        return true;
    int code = rfm__client_conf(&tails->conf, RFM__TAILER, &client_conf, &error);
    if (code == RFM_OK)
        code = rfm__client_new(RFM__TAILER, client_conf, &tails->client, &error);
    if (code == RFM_OK)
        tails->topic = rd_kafka_topic_new(tails->client, tails->conf->wal, NULL);
    else
        rfm__kafka_log(tails->conf, RFM_KAFKA_LOG_ERROR, "reading the WAL's tail: %s", error.message);
    return code == RFM_OK && tails->topic;
}

static void open_tail(rfm__wal_tails *tails, uint32_t task)
{
    tail *of = &tails->tails[task];
    if (!open_client(tails)) {
        answer(tails, task);
        return;
    }
    of->queue = rd_kafka_queue_new(tails->client);
    rfm__wake_watch(tails->wake, of->queue);
    of->since_ms = rfm_clock_steady_ms();
    set_stage(tails, of, READING);
    if (rd_kafka_consume_start_queue(tails->topic, (int32_t)task, of->stable_end, of->queue) == 0)
        return;
    rd_kafka_queue_destroy(of->queue);
    of->queue = NULL;
    answer(tails, task);
}

static void end_log(rfm__wal_tails *tails, uint32_t task)
{
    tail *of = &tails->tails[task];
    if (of->stable_end < 0 || of->end < 0) {
        of->retry_ms = rfm_clock_steady_ms() + ERROR_RETRY_MS;
        set_stage(tails, of, WANT_LOG);
    } else if (of->stable_end >= of->end) {
        answer(tails, task);
    } else {
        open_tail(tails, task);
    }
}

static void ask(rfm__wal_tails *tails)
{
    static const rfm__which both[] = {RFM__STABLE_END, RFM__LOG_END};
    int64_t now_ms = rfm_clock_steady_ms();
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
    for (uint32_t task = 0; task < tails->conf->partition_count; task++) {
        tail *of = &tails->tails[task];
        if (of->stage != WANT_LOG || of->retry_ms > now_ms)
            continue;
        set_stage(tails, of, ASKED_LOG);
        of->stable_end = of->end = RFM_OFFSET_NONE;
        rd_kafka_topic_partition_list_add(list, tails->conf->wal, (int32_t)task);
    }
    if (list->cnt > 0)
        rfm__round_ask(&tails->logs, list, both, 2);
    rd_kafka_topic_partition_list_destroy(list);
}

/* -- interface */

void rfm__wal_tails_serve(rfm__wal_tails *tails)
{
    if (rfm__round_take(&tails->logs, take_offset, tails))
        for (uint32_t task = 0; task < tails->conf->partition_count; task++)
            if (tails->tails[task].stage == ASKED_LOG)
                end_log(tails, task);
    if (tails->client)
        rd_kafka_poll(tails->client, 0);
    for (uint32_t task = 0; tails->open > 0 && task < tails->conf->partition_count; task++)
        if (tails->tails[task].stage == READING)
            read_tail(tails, task);
    if (tails->open > 0 && tails->logs.waiting == 0 && rfm__asker_ready(tails->asker))
        ask(tails);
}

void rfm__wal_tails_ask(rfm__wal_tails *tails, uint32_t task, uint32_t term)
{
    tail *of = &tails->tails[task];
    close_tail(tails, task);
    free_ids(of);
    of->term = term;
    of->retry_ms = 0;
    set_stage(tails, of, WANT_LOG);
}

void rfm__wal_tails_forget(rfm__wal_tails *tails, uint32_t task)
{
    close_tail(tails, task);
    free_ids(&tails->tails[task]);
}

rfm__wal_tails *rfm__wal_tails_new(const rfm_kafka_conf *conf, const rfm_kafka_owner *owner, rfm__asker *asker,
                                   rfm__wake *wake)
{
    rfm__wal_tails *tails = calloc(1, sizeof *tails);
    RFM_NEED(tails);
    tails->conf = conf;
    tails->owner = *owner;
    tails->wake = wake;
    tails->asker = asker;
    rfm__round_init(&tails->logs, asker, wake);
    tails->tails = calloc(conf->partition_count, sizeof *tails->tails);
    RFM_NEED(tails->tails);
    return tails;
}

void rfm__wal_tails_free(rfm__wal_tails *tails)
{
    if (tails == NULL)
        return;
    for (uint32_t task = 0; task < tails->conf->partition_count; task++)
        rfm__wal_tails_forget(tails, task);
    rfm__round_release(&tails->logs);
    if (tails->topic)
        rd_kafka_topic_destroy(tails->topic);
    if (tails->client)
        rd_kafka_destroy(tails->client);
    free(tails->tails);
    free(tails);
}
