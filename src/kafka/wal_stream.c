#include "wal_stream.h"

#include "offsets.h"

#include <rfm/base/time.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    BATCH = 1000,
    BATCH_BYTES = 4 << 20, /* and at most CHUNK records more */
    CHUNK = 16,
    OPEN_MAX = 4, /* each may have fetched up to the client's bound */
    BLOCKED_MS = 1000,
    ERROR_RETRY_MS = 250,
};

typedef enum stage {
    IDLE,     /* no question; a stream may be open */
    WANT_LOG, /* from retry_ms on */
    ASKED_LOG,
    READING,
    WANT_STABLE, /* no progress for a while: is it an open transaction? */
    ASKED_STABLE,
} stage;

typedef struct stream {
    stage stage;
    uint32_t term;
    int64_t from, until;
    int64_t begin, end; /* of the log, when it was asked */
    int64_t next;       /* everything committed below is answered */
    int64_t stable_end;
    int64_t progress_ms, retry_ms; /* steady */
    rd_kafka_queue_t *queue;       /* NULL: not open */
} stream;

struct rfm__wal_streams {
    const rfm_kafka_conf *conf;
    rfm_kafka_owner owner;
    rfm__wake *wake;
    rd_kafka_t *client;
    rd_kafka_topic_t *topic;
    rfm__asker *asker;
    rfm__round logs, stables;
    stream *streams;
    size_t open; /* questions */
    rd_kafka_message_t *messages[BATCH + CHUNK];
    rfm_bytes values[BATCH + CHUNK];
    int64_t offsets[BATCH + CHUNK];
};

static void close_stream(rfm__wal_streams *streams, uint32_t task)
{
    stream *of = &streams->streams[task];
    if (of->queue == NULL)
        return;
    rd_kafka_consume_stop(streams->topic, (int32_t)task);
    rd_kafka_queue_destroy(of->queue);
    of->queue = NULL;
}

static void set_stage(rfm__wal_streams *streams, stream *of, stage to)
{
    streams->open += (size_t)(to != IDLE) - (size_t)(of->stage != IDLE);
    of->stage = to;
}

static void answer(rfm__wal_streams *streams, uint32_t task, rfm_answer given, size_t count, bool last,
                   const char *reason)
{
    stream *of = &streams->streams[task];
    rfm_input told = {.kind = RFM_IN_WAL,
                      .task = task,
                      .term = of->term,
                      .now_ms = rfm_clock_wall_ms(),
                      .answer = given,
                      .reason = reason};
    told.wal.records = streams->values;
    told.wal.offsets = streams->offsets;
    told.wal.count = count;
    told.wal.begin = of->begin;
    told.wal.last = last;
    set_stage(streams, of, IDLE);
    if (last || given != RFM_DONE)
        close_stream(streams, task);
    streams->owner.tell(streams->owner.self, &told);
}

static void refuse(rfm__wal_streams *streams, uint32_t task, const char *what, int64_t offset)
{
    char reason[384];
    snprintf(reason, sizeof reason,
             "%s [%u]: %s %lld: the topic was made anew or lost records; restore it, or start with a "
             "new group, WAL topic and Redis prefix",
             streams->conf->wal, task, what, (long long)offset);
    answer(streams, task, RFM_REFUSED_FOR_GOOD, 0, false, reason);
}

static void refuse_error(rfm__wal_streams *streams, uint32_t task, const char *why)
{
    char reason[384];
    snprintf(reason, sizeof reason, "%s [%u] cannot be read: %s", streams->conf->wal, task, why);
    answer(streams, task, RFM_REFUSED_FOR_GOOD, 0, false, reason);
}

/* -- reading */

static void open_stream(rfm__wal_streams *streams, uint32_t task)
{
    stream *of = &streams->streams[task];
    of->queue = rd_kafka_queue_new(streams->client);
    rfm__wake_watch(streams->wake, of->queue);
    if (rd_kafka_consume_start_queue(streams->topic, (int32_t)task, of->next, of->queue) != 0) {
        rd_kafka_queue_destroy(of->queue);
        of->queue = NULL;
        refuse_error(streams, task, rd_kafka_err2str(rd_kafka_last_error()));
        return;
    }
    of->progress_ms = rfm_clock_steady_ms();
    set_stage(streams, of, READING);
}

/* The end as it was when asked for, whatever a new leader, which may not know of all that is committed yet, says
 * now. */
static bool is_finished(const rfm__wal_streams *streams, uint32_t task)
{
    const stream *of = &streams->streams[task];
    return of->until != INT64_MAX ? of->next > of->until : of->next >= of->end;
}

/* False: the question is over or begins again. */
static bool take_notice(rfm__wal_streams *streams, uint32_t task, const rd_kafka_message_t *message)
{
    stream *of = &streams->streams[task];
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        if (message->offset > of->next)
            of->next = message->offset;
        return true;
    }
    if (rfm__kafka_passes(message->err)) {
        rfm__kafka_log(streams->conf, RFM_KAFKA_LOG_WARNING, "%s [%u]: %s", streams->conf->wal, task,
                       rd_kafka_message_errstr(message));
        return true;
    }
    if (message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET || message->err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE) {
        close_stream(streams, task); /* retention went on meanwhile: ask where the log begins now */
        of->retry_ms = rfm_clock_steady_ms() + ERROR_RETRY_MS;
        set_stage(streams, of, WANT_LOG);
        return false;
    }
    refuse_error(streams, task, rd_kafka_message_errstr(message));
    return false;
}

/* Takes up to a chunk off the queue; *count grows by the records. False: the queue was empty, or the question is
 * over. */
static bool take_chunk(rfm__wal_streams *streams, uint32_t task, size_t *count, size_t *bytes)
{
    stream *of = &streams->streams[task];
    rd_kafka_message_t *chunk[CHUNK];
    ssize_t got = rd_kafka_consume_batch_queue(of->queue, 0, chunk, CHUNK);
    bool goes_on = got > 0;
    for (ssize_t i = 0; i < got; i++) {
        rd_kafka_message_t *message = chunk[i];
        if (goes_on && message->err == RD_KAFKA_RESP_ERR_NO_ERROR && message->offset >= of->next) {
            streams->messages[*count] = message;
            streams->values[*count] = rfm_bytes_of(message->payload, message->len);
            streams->offsets[(*count)++] = message->offset;
            *bytes += message->len;
            of->next = message->offset + 1;
            continue;
        }
        if (goes_on && message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
            goes_on = take_notice(streams, task, message);
        rd_kafka_message_destroy(message);
    }
    return goes_on;
}

static void drop_messages(rfm__wal_streams *streams, size_t count)
{
    for (size_t i = 0; i < count; i++)
        rd_kafka_message_destroy(streams->messages[i]);
}

static void read_stream(rfm__wal_streams *streams, uint32_t task)
{
    stream *of = &streams->streams[task];
    size_t count = 0, bytes = 0;
    int64_t next = of->next;
    while (count < BATCH && bytes < BATCH_BYTES && of->queue && !is_finished(streams, task))
        if (!take_chunk(streams, task, &count, &bytes))
            break;
    if (of->next != next)
        of->progress_ms = rfm_clock_steady_ms();
    bool reading = of->stage == READING || of->stage == WANT_STABLE || of->stage == ASKED_STABLE;
    if (reading && is_finished(streams, task))
        answer(streams, task, RFM_DONE, count, true, NULL);
    else if (reading && count > 0)
        answer(streams, task, RFM_DONE, count, false, NULL);
    else if (of->stage == READING && rfm_clock_steady_ms() - of->progress_ms >= BLOCKED_MS)
        set_stage(streams, of, WANT_STABLE);
    drop_messages(streams, count);
}

/* -- asking for the log's ends */

/* How many more streams may be opened. */
static int room_for_streams(const rfm__wal_streams *streams)
{
    int room = OPEN_MAX;
    for (uint32_t task = 0; task < streams->conf->partition_count; task++)
        room -= streams->streams[task].queue != NULL || streams->streams[task].stage == ASKED_LOG;
    return room;
}

static rd_kafka_topic_partition_list_t *to_ask(rfm__wal_streams *streams, stage from, stage to, int count_max)
{
    int64_t now_ms = rfm_clock_steady_ms();
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
    for (uint32_t task = 0; task < streams->conf->partition_count && list->cnt < count_max; task++) {
        stream *of = &streams->streams[task];
        if (of->stage != from || of->retry_ms > now_ms)
            continue;
        set_stage(streams, of, to);
        if (to == ASKED_LOG)
            of->begin = of->end = RFM_OFFSET_NONE;
        of->stable_end = RFM_OFFSET_NONE;
        rd_kafka_topic_partition_list_add(list, streams->conf->wal, (int32_t)task);
    }
    return list;
}

static void ask(rfm__wal_streams *streams)
{
    static const rfm__which log[] = {RFM__LOG_START, RFM__LOG_END}, stable[] = {RFM__STABLE_END};
    if (streams->logs.waiting == 0) {
        rd_kafka_topic_partition_list_t *list = to_ask(streams, WANT_LOG, ASKED_LOG, room_for_streams(streams));
        if (list->cnt > 0)
            rfm__round_ask(&streams->logs, list, log, 2);
        rd_kafka_topic_partition_list_destroy(list);
    }
    if (streams->stables.waiting == 0) {
        rd_kafka_topic_partition_list_t *list = to_ask(streams, WANT_STABLE, ASKED_STABLE, OPEN_MAX);
        if (list->cnt > 0)
            rfm__round_ask(&streams->stables, list, stable, 1);
        rd_kafka_topic_partition_list_destroy(list);
    }
}

static void take_offset(void *self, rfm__which which, const rd_kafka_topic_partition_t *at)
{
    rfm__wal_streams *streams = self;
    if ((uint32_t)at->partition >= streams->conf->partition_count)
        return;
    stream *of = &streams->streams[at->partition];
    if (of->stage == ASKED_LOG && which != RFM__STABLE_END)
        *(which == RFM__LOG_START ? &of->begin : &of->end) = at->offset;
    if (of->stage == ASKED_STABLE && which == RFM__STABLE_END)
        of->stable_end = at->offset;
}

static void begin_reading(rfm__wal_streams *streams, uint32_t task)
{
    stream *of = &streams->streams[task];
    of->next = of->from > of->begin ? of->from : of->begin;
    if (of->until != INT64_MAX && of->until >= of->end)
        refuse(streams, task, "the committed record lies at or beyond the log's end", of->end);
    else if (of->from > of->end && of->until == INT64_MAX)
        refuse(streams, task, "Redis holds a record beyond the log's end", of->end);
    else if (is_finished(streams, task))
        answer(streams, task, RFM_DONE, 0, true, NULL);
    else
        open_stream(streams, task);
}

static void end_log(rfm__wal_streams *streams, uint32_t task)
{
    stream *of = &streams->streams[task];
    if (rfm__kafka_denied(streams->logs.error)) {
        refuse_error(streams, task, streams->logs.why);
    } else if (of->begin < 0 || of->end < 0) {
        of->retry_ms = rfm_clock_steady_ms() + ERROR_RETRY_MS;
        set_stage(streams, of, WANT_LOG);
    } else {
        begin_reading(streams, task);
    }
}

/* An open transaction hides what is asked for, or the broker is just slow: then wait on. */
static void end_stable(rfm__wal_streams *streams, uint32_t task)
{
    stream *of = &streams->streams[task];
    int64_t needed = of->until != INT64_MAX ? of->until : of->next;
    if (of->stable_end >= 0 && of->stable_end <= needed) {
        answer(streams, task, RFM_BLOCKED, 0, false, NULL);
    } else {
        of->progress_ms = rfm_clock_steady_ms();
        set_stage(streams, of, READING);
    }
}

static void take_answers(rfm__wal_streams *streams)
{
    if (rfm__round_take(&streams->logs, take_offset, streams))
        for (uint32_t task = 0; task < streams->conf->partition_count; task++)
            if (streams->streams[task].stage == ASKED_LOG)
                end_log(streams, task);
    if (rfm__round_take(&streams->stables, take_offset, streams))
        for (uint32_t task = 0; task < streams->conf->partition_count; task++)
            if (streams->streams[task].stage == ASKED_STABLE)
                end_stable(streams, task);
}

/* -- interface */

void rfm__wal_streams_serve(rfm__wal_streams *streams)
{
    take_answers(streams);
    for (uint32_t task = 0; streams->open > 0 && task < streams->conf->partition_count; task++)
        if (streams->streams[task].stage >= READING)
            read_stream(streams, task);
    if (streams->open > 0 && rfm__asker_ready(streams->asker))
        ask(streams);
}

void rfm__wal_streams_ask(rfm__wal_streams *streams, uint32_t task, uint32_t term, int64_t from, int64_t until)
{
    stream *of = &streams->streams[task];
    of->term = term;
    of->until = until;
    of->retry_ms = 0;
    if (of->queue && of->stage == IDLE && from == of->next) {
        of->progress_ms = rfm_clock_steady_ms();
        set_stage(streams, of, READING);
        return;
    }
    close_stream(streams, task);
    of->from = from < 0 ? 0 : from;
    set_stage(streams, of, WANT_LOG);
}

void rfm__wal_streams_forget(rfm__wal_streams *streams, uint32_t task)
{
    close_stream(streams, task);
    set_stage(streams, &streams->streams[task], IDLE);
}

int rfm__wal_streams_new(const rfm_kafka_conf *conf, const rfm_kafka_owner *owner, rd_kafka_t *client,
                         rfm__asker *asker, rfm__wake *wake, rfm__wal_streams **made, rfm_error *error)
{
    rd_kafka_topic_t *topic = rd_kafka_topic_new(client, conf->wal, NULL);
    if (topic == NULL)
        return rfm_fail(error, RFM_E_MALFORMED, "kafka.wal: topic '%s': %s", conf->wal,
                        rd_kafka_err2str(rd_kafka_last_error()));
    rfm__wal_streams *streams = calloc(1, sizeof *streams);
    RFM_NEED(streams);
    streams->conf = conf;
    streams->owner = *owner;
    streams->wake = wake;
    streams->client = client;
    streams->topic = topic;
    streams->asker = asker;
    rfm__round_init(&streams->logs, asker, wake);
    rfm__round_init(&streams->stables, asker, wake);
    streams->streams = calloc(conf->partition_count, sizeof *streams->streams);
    RFM_NEED(streams->streams);
    *made = streams;
    return RFM_OK;
}

void rfm__wal_streams_free(rfm__wal_streams *streams)
{
    if (streams == NULL)
        return;
    for (uint32_t task = 0; task < streams->conf->partition_count; task++)
        close_stream(streams, task);
    rfm__round_release(&streams->logs);
    rfm__round_release(&streams->stables);
    rd_kafka_topic_destroy(streams->topic);
    free(streams->streams);
    free(streams);
}
