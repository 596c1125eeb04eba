#include "fetcher.h"

#include "offsets.h"

#include <rfm/base/arena.h>
#include <rfm/base/time.h>
#include <rfm/event/headers.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    BATCH = 1000,
    BATCHES_A_TURN = 16, /* then the loop's other handles have their turn */
    ASK_MS = 100,
    ASK_SOON_MS = 20,
    PARTITIONS_A_MS = 4, /* asked for at most that many ends a millisecond */
    LAG_MS = 1000,
};

/* One input partition. */
typedef struct lane {
    int64_t next;          /* everything below is fed; RFM_OFFSET_NONE: not known yet */
    int64_t end, asked_ms; /* a log end not reached yet and when it was asked for, steady; INT64_MAX: none */
    atomic_int_fast64_t lag;
} lane;

typedef struct task {
    bool started;
    uint64_t since; /* batches before this one hold messages of an earlier start */
} task;

/* One batch in the hands of the owner; what it did not take stays. */
typedef struct batch {
    uint64_t number;
    rd_kafka_message_t *messages[BATCH];
    rfm_record records[BATCH];
    size_t at, count;
    rfm_arena headers;
} batch;

struct rfm__fetcher {
    const rfm_kafka_conf *conf;
    rfm_kafka_owner owner;
    rfm__wake *wake;
    rd_kafka_t *client;
    rfm__asker *asker;
    rd_kafka_topic_t *topics[RFM_INPUTS_MAX];
    rd_kafka_queue_t *queue, *answers;
    lane *lanes; /* task * input_count + input */
    task *tasks;
    size_t started;
    batch batch;
    rfm_buffer header_block;
    bool full, resumed, serving, failed;
    bool asking, ask_soon; /* an answer is awaited; some lane seems to be at its end */
    int64_t asked_ms, lag_ms;
    atomic_uint_fast64_t records;
};

static lane *lane_at(const rfm__fetcher *fetcher, uint32_t number, size_t input)
{
    return &fetcher->lanes[(size_t)number * fetcher->conf->input_count + input];
}

static void fail(rfm__fetcher *fetcher, rfm_error *error)
{
    if (fetcher->failed)
        return;
    fetcher->failed = true;
    fetcher->owner.fatal(fetcher->owner.self, error);
}

/* -- the end */

static void tell_at_end(rfm__fetcher *fetcher, uint32_t number, size_t input, lane *at)
{
    /* By the steady clock: the other may have been set meanwhile. 1: both are rounded. */
    int64_t asked_ms = rfm_clock_wall_ms() - (rfm_clock_steady_ms() - at->asked_ms + 1);
    rfm_input told = {
        .kind = RFM_IN_AT_END, .task = number, .now_ms = asked_ms, .input = (uint8_t)input, .next = at->next};
    at->end = INT64_MAX;
    fetcher->owner.tell(fetcher->owner.self, &told);
}

static void see_end(rfm__fetcher *fetcher, uint32_t number, size_t input, lane *at)
{
    if (at->next >= at->end)
        tell_at_end(fetcher, number, input, at);
}

/* Lanes that have not reached the last end asked for are not asked for again: their promise is still to come. */
static rd_kafka_topic_partition_list_t *lanes_to_ask(const rfm__fetcher *fetcher)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(64);
    for (uint32_t number = 0; number < fetcher->conf->partition_count; number++) {
        if (!fetcher->tasks[number].started)
            continue;
        for (size_t input = 0; input < fetcher->conf->input_count; input++)
            if (lane_at(fetcher, number, input)->end == INT64_MAX)
                rd_kafka_topic_partition_list_add(list, fetcher->conf->input_topic[input], (int32_t)number);
    }
    return list;
}

static void ask(rfm__fetcher *fetcher)
{
    rd_kafka_topic_partition_list_t *list = lanes_to_ask(fetcher);
    fetcher->ask_soon = false;
    fetcher->asked_ms = rfm_clock_steady_ms();
    if (list->cnt > 0) {
        fetcher->asking = true;
        rfm__offsets_ask(fetcher->asker, list, RFM__LOG_END, 0, fetcher->answers);
    }
    rd_kafka_topic_partition_list_destroy(list);
}

static void ask_if_due(rfm__fetcher *fetcher)
{
    if (fetcher->asking || fetcher->started == 0)
        return;
    int64_t pause_ms = ASK_MS, lanes = (int64_t)(fetcher->started * fetcher->conf->input_count);
    if (fetcher->ask_soon)
        pause_ms = ASK_SOON_MS;
    if (pause_ms < lanes / PARTITIONS_A_MS)
        pause_ms = lanes / PARTITIONS_A_MS;
    if (rfm_clock_steady_ms() - fetcher->asked_ms >= pause_ms && rfm__asker_ready(fetcher->asker))
        ask(fetcher);
}

static void take_end(rfm__fetcher *fetcher, const rd_kafka_topic_partition_t *end)
{
    size_t input;
    uint32_t number = (uint32_t)end->partition;
    if (end->err != RD_KAFKA_RESP_ERR_NO_ERROR || end->offset < 0 ||
        !rfm__kafka_find_input(fetcher->conf, end->topic, &input))
        return;
    if (number >= fetcher->conf->partition_count || !fetcher->tasks[number].started)
        return;
    lane *at = lane_at(fetcher, number, input);
    if (at->end != INT64_MAX)
        return;
    at->end = end->offset;
    at->asked_ms = fetcher->asked_ms;
    see_end(fetcher, number, input, at);
}

static void take_answers(rfm__fetcher *fetcher)
{
    rd_kafka_event_t *event;
    while ((event = rd_kafka_queue_poll(fetcher->answers, 0)) != NULL) {
        fetcher->asking = false;
        size_t count = 1;
        for (size_t i = 0; i < count; i++) {
            const rd_kafka_topic_partition_t *end = rfm__offsets_at(fetcher->asker, event, i, &count);
            if (end)
                take_end(fetcher, end);
        }
        rd_kafka_event_destroy(event);
    }
}

/* -- lag */

static void see_lag(rfm__fetcher *fetcher, uint32_t number, size_t input)
{
    lane *at = lane_at(fetcher, number, input);
    int64_t low, high, lag = -1;
    if (rd_kafka_get_watermark_offsets(fetcher->client, fetcher->conf->input_topic[input], (int32_t)number, &low,
                                       &high) == RD_KAFKA_RESP_ERR_NO_ERROR &&
        high >= 0 && at->next >= 0)
        lag = high > at->next ? high - at->next : 0;
    atomic_store_explicit(&at->lag, lag, memory_order_relaxed);
}

static void see_lags_if_due(rfm__fetcher *fetcher)
{
    int64_t now_ms = rfm_clock_steady_ms();
    if (now_ms - fetcher->lag_ms < LAG_MS)
        return;
    fetcher->lag_ms = now_ms;
    for (uint32_t number = 0; number < fetcher->conf->partition_count; number++)
        for (size_t input = 0; fetcher->tasks[number].started && input < fetcher->conf->input_count; input++)
            see_lag(fetcher, number, input);
}

/* -- records */

static rfm_bytes headers_of(rfm__fetcher *fetcher, const rd_kafka_message_t *message)
{
    rd_kafka_headers_t *headers;
    if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return RFM_BYTES_NONE;
    const char *name;
    const void *value;
    size_t len;
    rfm_buffer_clear(&fetcher->header_block);
    for (size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &len) == RD_KAFKA_RESP_ERR_NO_ERROR; i++)
        rfm_headers_add(&fetcher->header_block, name, rfm_bytes_of(value, len));
    return rfm_arena_copy(&fetcher->batch.headers, rfm_buffer_view(&fetcher->header_block));
}

static void record_of(rfm__fetcher *fetcher, const rd_kafka_message_t *message, rfm_record *record)
{
    rd_kafka_timestamp_type_t type;
    *record = (rfm_record){
        .task = (uint32_t)message->partition,
        .input = (uint8_t)(uintptr_t)rd_kafka_topic_opaque(message->rkt),
        .offset = message->offset,
        .append_ms = rd_kafka_message_timestamp(message, &type),
        .key = rfm_bytes_of(message->key, message->key_len),
        .value = rfm_bytes_of(message->payload, message->len),
        .headers = headers_of(fetcher, message),
    };
}

static bool is_stale(const rfm__fetcher *fetcher, const rd_kafka_message_t *message)
{
    const task *of = &fetcher->tasks[message->partition];
    return !of->started || fetcher->batch.number < of->since;
}

static void drop_message(batch *held)
{
    rd_kafka_message_destroy(held->messages[held->at]);
    held->messages[held->at++] = NULL;
}

/* Everything below the offset is fed: by records, or because there is nothing there (control records, aborted ones). */
static void advance(rfm__fetcher *fetcher, uint32_t number, size_t input, int64_t next)
{
    lane *at = lane_at(fetcher, number, input);
    if (next > at->next)
        at->next = next;
    see_end(fetcher, number, input, at);
}

static void on_partition_error(rfm__fetcher *fetcher, const rd_kafka_message_t *message)
{
    const char *topic = rd_kafka_topic_name(message->rkt);
    rfm_error error;
    if (rfm__kafka_passes(message->err)) {
        rfm__kafka_log(fetcher->conf, RFM_KAFKA_LOG_WARNING, "%s [%d]: %s", topic, (int)message->partition,
                       rd_kafka_message_errstr(message));
        return;
    }
    if (rfm__kafka_denied(message->err))
        rfm_fail(&error, RFM_E_DENIED, "%s: %s; grant READ on the topic", topic, rd_kafka_message_errstr(message));
    else if (message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
             message->err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE)
        rfm_fail(&error, RFM_E_REFUSED,
                 "%s [%d]: the next offset to read is not in the log any more: records were deleted "
                 "before they were read (%s); raise the topic's retention, then accept the loss by moving the group's "
                 "offset",
                 topic, (int)message->partition, rd_kafka_message_errstr(message));
    else
        rfm_fail(&error, RFM_E_REFUSED, "%s [%d] from offset %lld on cannot be read: %s", topic,
                 (int)message->partition, (long long)message->offset, rd_kafka_message_errstr(message));
    fail(fetcher, &error);
}

/* What is no record: the end of a partition, an error. */
static void take_notice(rfm__fetcher *fetcher, const rd_kafka_message_t *message)
{
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        advance(fetcher, (uint32_t)message->partition, (size_t)(uintptr_t)rd_kafka_topic_opaque(message->rkt),
                message->offset);
        fetcher->ask_soon = true;
    } else {
        on_partition_error(fetcher, message);
    }
}

/* The records from batch.at on that go to the owner in one call. */
static size_t run_length(const rfm__fetcher *fetcher)
{
    const batch *held = &fetcher->batch;
    size_t end = held->at;
    while (end < held->count && held->messages[end]->err == RD_KAFKA_RESP_ERR_NO_ERROR &&
           !is_stale(fetcher, held->messages[end]))
        end++;
    return end - held->at;
}

/* Marks what was taken. A promise may be due by it; and the owner may stop tasks when it hears of that. */
static void taken(rfm__fetcher *fetcher, size_t count)
{
    batch *held = &fetcher->batch;
    for (size_t i = 0; i < count; i++) {
        const rfm_record *record = &held->records[held->at];
        bool stale = is_stale(fetcher, held->messages[held->at]);
        uint32_t number = record->task;
        size_t input = record->input;
        int64_t next = record->offset + 1;
        drop_message(held);
        if (!stale)
            advance(fetcher, number, input, next);
    }
    atomic_fetch_add_explicit(&fetcher->records, count, memory_order_relaxed);
}

/* Feeds the batch; false: the owner is full. */
static bool feed_batch(rfm__fetcher *fetcher)
{
    batch *held = &fetcher->batch;
    while (held->at < held->count) {
        rd_kafka_message_t *message = held->messages[held->at];
        if (message->partition < 0 || (uint32_t)message->partition >= fetcher->conf->partition_count ||
            is_stale(fetcher, message)) {
            drop_message(held);
            continue;
        }
        if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            take_notice(fetcher, message);
            drop_message(held);
            continue;
        }
        size_t count = run_length(fetcher);
        size_t took = fetcher->owner.feed(fetcher->owner.self, held->records + held->at, count, rfm_clock_wall_ms());
        RFM_ASSERT(took <= count);
        taken(fetcher, took);
        if (took < count)
            return false;
    }
    return true;
}

static bool next_batch(rfm__fetcher *fetcher)
{
    batch *held = &fetcher->batch;
    ssize_t count = rd_kafka_consume_batch_queue(fetcher->queue, 0, held->messages, BATCH);
    if (count <= 0)
        return false;
    held->number++;
    held->at = 0;
    held->count = (size_t)count;
    rfm_arena_reset(&held->headers);
    for (size_t i = 0; i < held->count; i++)
        if (held->messages[i]->err == RD_KAFKA_RESP_ERR_NO_ERROR)
            record_of(fetcher, held->messages[i], &held->records[i]);
    return true;
}

static void feed_all(rfm__fetcher *fetcher)
{
    for (int i = 0; i < BATCHES_A_TURN; i++) {
        fetcher->resumed = false;
        bool fed = feed_batch(fetcher);
        fetcher->full = !fed && !fetcher->resumed; /* the owner may have made room while it was called */
        if (fetcher->full || fetcher->failed)
            return;
        if (!fed)
            break;
        if (!next_batch(fetcher)) {
            fetcher->ask_soon = fetcher->ask_soon || i > 0; /* all that was fetched is fed */
            return;
        }
    }
    rfm__wake_now(fetcher->wake);
}

void rfm__fetcher_serve(rfm__fetcher *fetcher)
{
    if (fetcher->serving || fetcher->failed)
        return;
    fetcher->serving = true;
    rd_kafka_poll(fetcher->client, 0);
    if (!fetcher->full)
        feed_all(fetcher);
    take_answers(fetcher);
    ask_if_due(fetcher);
    see_lags_if_due(fetcher);
    fetcher->serving = false;
}

void rfm__fetcher_resume(rfm__fetcher *fetcher)
{
    fetcher->resumed = true;
    if (!fetcher->full)
        return;
    fetcher->full = false;
    rfm__wake_now(fetcher->wake);
}

/* -- start and stop */

static void start_lane(rfm__fetcher *fetcher, uint32_t number, size_t input, int64_t from)
{
    lane *at = lane_at(fetcher, number, input);
    at->next = from;
    at->end = INT64_MAX;
    int64_t offset = from == RFM_OFFSET_NONE ? (int64_t)RD_KAFKA_OFFSET_BEGINNING : from;
    if (rd_kafka_consume_start_queue(fetcher->topics[input], (int32_t)number, offset, fetcher->queue) == 0)
        return;
    rfm_error error;
    rfm_fail(&error, RFM_E_REFUSED, "%s [%u]: cannot read from offset %lld: %s", fetcher->conf->input_topic[input],
             number, (long long)from, rd_kafka_err2str(rd_kafka_last_error()));
    fail(fetcher, &error);
}

void rfm__fetcher_start(rfm__fetcher *fetcher, uint32_t number, const rfm_position *from)
{
    task *of = &fetcher->tasks[number];
    rfm__fetcher_stop(fetcher, number);
    of->started = true;
    of->since = fetcher->batch.number + 1;
    fetcher->started++;
    for (size_t input = 0; input < fetcher->conf->input_count; input++)
        start_lane(fetcher, number, input, from->next[input]);
    fetcher->ask_soon = true;
    rfm__wake_now(fetcher->wake);
}

void rfm__fetcher_stop(rfm__fetcher *fetcher, uint32_t number)
{
    task *of = &fetcher->tasks[number];
    if (!of->started)
        return;
    of->started = false;
    fetcher->started--;
    for (size_t input = 0; input < fetcher->conf->input_count; input++) {
        rd_kafka_consume_stop(fetcher->topics[input], (int32_t)number);
        atomic_store_explicit(&lane_at(fetcher, number, input)->lag, -1, memory_order_relaxed);
    }
    rfm__fetcher_resume(fetcher); /* what is held may be of this task alone */
}

rd_kafka_t *rfm__fetcher_client(rfm__fetcher *fetcher)
{
    return fetcher->client;
}

int64_t rfm__fetcher_lag(const rfm__fetcher *fetcher, uint32_t number, size_t input)
{
    if (number >= fetcher->conf->partition_count || input >= fetcher->conf->input_count)
        return -1;
    return atomic_load_explicit(&lane_at(fetcher, number, input)->lag, memory_order_relaxed);
}

uint64_t rfm__fetcher_records(const rfm__fetcher *fetcher)
{
    return atomic_load_explicit(&fetcher->records, memory_order_relaxed);
}

/* -- life */

static int open_topic(rfm__fetcher *fetcher, size_t input, rfm_error *error)
{
    rd_kafka_topic_conf_t *topic_conf = rd_kafka_default_topic_conf_dup(fetcher->client);
    rd_kafka_topic_conf_set_opaque(topic_conf, (void *)(uintptr_t)input);
    fetcher->topics[input] = rd_kafka_topic_new(fetcher->client, fetcher->conf->input_topic[input], topic_conf);
    if (fetcher->topics[input])
        return RFM_OK;
    return rfm_fail(error, RFM_E_MALFORMED, "kafka.inputs: topic '%s': %s", fetcher->conf->input_topic[input],
                    rd_kafka_err2str(rd_kafka_last_error()));
}

static int open_client(rfm__fetcher *fetcher, rfm_error *error)
{
    rd_kafka_conf_t *client_conf;
    int code = rfm__client_conf(&fetcher->conf, RFM__FETCHER, &client_conf, error);
    if (code == RFM_OK)
        code = rfm__client_new(RFM__FETCHER, client_conf, &fetcher->client, error);
    for (size_t input = 0; code == RFM_OK && input < fetcher->conf->input_count; input++)
        code = open_topic(fetcher, input, error);
    if (code != RFM_OK)
        return code;
    fetcher->queue = rd_kafka_queue_new(fetcher->client);
    fetcher->answers = rd_kafka_queue_new(fetcher->asker->client);
    rfm__wake_watch(fetcher->wake, fetcher->queue);
    rfm__wake_watch(fetcher->wake, fetcher->answers);
    return RFM_OK;
}

int rfm__fetcher_new(const rfm_kafka_conf *conf, const rfm_kafka_owner *owner, rfm__asker *asker, rfm__wake *wake,
                     rfm__fetcher **made, rfm_error *error)
{
    rfm__fetcher *fetcher = calloc(1, sizeof *fetcher);
    RFM_NEED(fetcher);
    fetcher->conf = conf;
    fetcher->owner = *owner;
    fetcher->wake = wake;
    fetcher->asker = asker;
    size_t lanes = (size_t)conf->partition_count * conf->input_count;
    fetcher->lanes = calloc(lanes, sizeof *fetcher->lanes);
    fetcher->tasks = calloc(conf->partition_count, sizeof *fetcher->tasks);
    RFM_NEED(fetcher->lanes && fetcher->tasks);
    for (size_t i = 0; i < lanes; i++) {
        fetcher->lanes[i].end = INT64_MAX;
        atomic_init(&fetcher->lanes[i].lag, -1);
    }
    rfm_arena_init(&fetcher->batch.headers);
    rfm_buffer_init(&fetcher->header_block, SIZE_MAX);
    int code = open_client(fetcher, error);
    if (code != RFM_OK) {
        rfm__fetcher_free(fetcher);
        return code;
    }
    *made = fetcher;
    return RFM_OK;
}

void rfm__fetcher_free(rfm__fetcher *fetcher)
{
    if (fetcher == NULL)
        return;
    for (uint32_t number = 0; number < fetcher->conf->partition_count; number++)
        rfm__fetcher_stop(fetcher, number);
    while (fetcher->batch.at < fetcher->batch.count)
        drop_message(&fetcher->batch);
    if (fetcher->queue)
        rd_kafka_queue_destroy(fetcher->queue);
    if (fetcher->answers)
        rd_kafka_queue_destroy(fetcher->answers);
    for (size_t input = 0; input < fetcher->conf->input_count; input++)
        if (fetcher->topics[input])
            rd_kafka_topic_destroy(fetcher->topics[input]);
    if (fetcher->client)
        rd_kafka_destroy(fetcher->client);
    rfm_arena_release(&fetcher->batch.headers);
    rfm_buffer_release(&fetcher->header_block);
    free(fetcher->lanes);
    free(fetcher->tasks);
    free(fetcher);
}
