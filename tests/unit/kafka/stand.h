/* A loop, an owner that remembers what it is told and fed, and the adapter's parts on it. */
#ifndef KAFKA_STAND_H
#define KAFKA_STAND_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kafka/consumer.h"
#include "kafka/publisher.h"
#include "kafka/wal_reader.h"

#include <librdkafka/rdkafka.h>
#include <rfm/base/arena.h>
#include <rfm/base/time.h>
#include <rfm/event/headers.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

enum { STAND_RECORDS = 200000, STAND_INPUTS = 100000 };

/* What was fed, with copies. */
typedef struct fed {
    uint32_t task;
    uint8_t input;
    int64_t offset;
    rfm_bytes key, value, headers;
} fed;

/* What was told; WAL values and ids are copied. */
typedef struct told {
    rfm_input input;
    char reason[512];
} told;

typedef struct stand {
    uv_loop_t loop;
    rfm_arena arena;
    rfm_kafka_conf conf;
    rfm_consumer *consumer;
    rfm_wal_reader *reader;
    rfm_publisher *publisher;
    fed *fed;
    size_t fed_count;
    size_t room;  /* feed takes that many in all, then is full */
    size_t calls; /* of feed */
    told *told;
    size_t told_count;
    bool consume, release; /* what is assigned is consumed from `from`; what is revoked is released */
    rfm_position from;
    uint32_t ours[64], assignment; /* by task: assignments less revocations */
    rfm_error fatal;
    bool has_fatal, closed;
} stand;

static inline rfm_position stand_from(int64_t next)
{
    rfm_position position = {.wal = RFM_OFFSET_NONE};
    for (size_t i = 0; i < RFM_INPUTS_MAX; i++)
        position.next[i] = next;
    return position;
}

static inline size_t stand_feed(void *self, const rfm_record *records, size_t count, int64_t now_ms)
{
    stand *at = self;
    size_t took = count < at->room ? count : at->room;
    assert_true(now_ms > RFM_TIME_1990_MS);
    at->calls++;
    for (size_t i = 0; i < took; i++) {
        assert_true(at->fed_count < STAND_RECORDS);
        at->fed[at->fed_count++] = (fed){records[i].task,
                                         records[i].input,
                                         records[i].offset,
                                         rfm_arena_copy(&at->arena, records[i].key),
                                         rfm_arena_copy(&at->arena, records[i].value),
                                         rfm_arena_copy(&at->arena, records[i].headers)};
    }
    at->room -= took;
    return took;
}

static inline rfm_bytes *stand_copy(stand *at, const rfm_bytes *views, size_t count)
{
    rfm_bytes *copies = rfm_arena_take(&at->arena, count * sizeof *copies + 1);
    for (size_t i = 0; i < count; i++)
        copies[i] = rfm_arena_copy(&at->arena, views[i]);
    return copies;
}

static inline void stand_remember(stand *at, const rfm_input *input)
{
    assert_true(at->told_count < STAND_INPUTS);
    told *of = &at->told[at->told_count++];
    *of = (told){.input = *input};
    if (input->reason)
        snprintf(of->reason, sizeof of->reason, "%s", input->reason);
    if (input->kind == RFM_IN_WAL) {
        of->input.wal.records = stand_copy(at, input->wal.records, input->wal.count);
        of->input.wal.offsets = (const int64_t *)(const void *)rfm_arena_copy(
                                    &at->arena, rfm_bytes_of(input->wal.offsets, input->wal.count * sizeof(int64_t)))
                                    .at;
    }
    if (input->kind == RFM_IN_TAIL)
        of->input.tail.ids = stand_copy(at, input->tail.ids, input->tail.count);
}

static inline void stand_tell(void *self, const rfm_input *input)
{
    stand *at = self;
    assert_true(input->now_ms > RFM_TIME_1990_MS);
    stand_remember(at, input);
    if (input->kind == RFM_IN_ASSIGNED) {
        at->assignment = input->assignment;
        at->ours[input->task]++;
        if (at->consume)
            rfm_consumer_consume_from(at->consumer, input->task, &at->from);
    }
    if (input->kind == RFM_IN_REVOKING || input->kind == RFM_IN_LOST)
        at->ours[input->task]--;
    if (input->kind == RFM_IN_REVOKING && at->release)
        rfm_consumer_released(at->consumer, input->task);
}

static inline void stand_fatal(void *self, const rfm_error *error)
{
    stand *at = self;
    at->fatal = *error;
    at->has_fatal = true;
}

static inline void stand_closed(void *self)
{
    stand *at = self;
    at->closed = true;
}

static inline void stand_log(rfm_kafka_log_level level, const char *message)
{
    if (getenv("KAFKA_TEST_LOG"))
        fprintf(stderr, "%lld %d %s\n", (long long)rfm_clock_wall_ms(), (int)level, message);
}

static inline rfm_kafka_owner stand_owner(stand *at)
{
    return (rfm_kafka_owner){at, stand_feed, stand_tell, stand_fatal};
}

/* The mock waits for a whole session time-out until a rebalance is done. */
static const rfm_kafka_property stand_session[] = {{"session.timeout.ms", "6000"}, {"heartbeat.interval.ms", "500"}};

static inline void stand_init(stand *at, const char *brokers, const char *group, uint32_t partition_count)
{
    memset(at, 0, sizeof *at);
    uv_loop_init(&at->loop);
    rfm_arena_init(&at->arena);
    at->fed = calloc(STAND_RECORDS, sizeof *at->fed);
    at->told = calloc(STAND_INPUTS, sizeof *at->told);
    at->room = SIZE_MAX;
    at->consume = at->release = true;
    at->from = stand_from(RFM_OFFSET_NONE);
    at->conf = (rfm_kafka_conf){.brokers = brokers,
                                .group = group,
                                .partition_count = partition_count,
                                .wal = "wal",
                                .dead_letters = "dead",
                                .audit = "audit",
                                .consumer = {stand_session, 2},
                                .log = stand_log};
}

static inline void stand_start_consumer(stand *at)
{
    rfm_error error = {0};
    rfm_kafka_owner owner = stand_owner(at);
    int code = rfm_consumer_new(&at->conf, &at->loop, &owner, &at->consumer, &error);
    if (code != RFM_OK)
        fail_msg("%s", error.message);
}

static inline void stand_start_reader(stand *at)
{
    rfm_error error = {0};
    rfm_kafka_owner owner = stand_owner(at);
    if (rfm_wal_reader_new(&at->conf, &at->loop, &owner, at->consumer, &at->reader, &error) != RFM_OK)
        fail_msg("%s", error.message);
}

static inline void stand_start_publisher(stand *at)
{
    rfm_error error = {0};
    rfm_kafka_owner owner = stand_owner(at);
    if (rfm_publisher_new(&at->conf, &at->loop, &owner, &at->publisher, &error) != RFM_OK)
        fail_msg("%s", error.message);
}

static inline void stand_release(stand *at)
{
    rfm_publisher_free(at->publisher);
    rfm_wal_reader_free(at->reader);
    rfm_consumer_free(at->consumer);
    uv_run(&at->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&at->loop), 0);
    rfm_arena_release(&at->arena);
    free(at->fed);
    free(at->told);
}

static inline void stand_turn(stand *at)
{
    uv_run(&at->loop, UV_RUN_NOWAIT);
}

/* Turns the loops until the condition holds. */
#define STAND_UNTIL2(a, b, timeout_ms, condition)                                                         \
    do {                                                                                                  \
        int64_t until_ms_ = rfm_clock_steady_ms() + (timeout_ms);                                         \
        while (!(condition)) {                                                                            \
            stand_turn(a);                                                                                \
            stand_turn(b);                                                                                \
            if (rfm_clock_steady_ms() > until_ms_)                                                        \
                fail_msg("not within %d ms: %s (%s)", (int)(timeout_ms), #condition, (a)->fatal.message); \
            uv_sleep(1);                                                                                  \
        }                                                                                                 \
    } while (0)
#define STAND_UNTIL(a, timeout_ms, condition) STAND_UNTIL2(a, a, timeout_ms, condition)

static inline void stand_run_for(stand *at, int64_t ms)
{
    int64_t until_ms = rfm_clock_steady_ms() + ms;
    while (rfm_clock_steady_ms() < until_ms) {
        stand_turn(at);
        uv_sleep(1);
    }
}

static inline size_t stand_count(const stand *at, rfm_input_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < at->told_count; i++)
        count += at->told[i].input.kind == kind;
    return count;
}

static inline const told *stand_last(const stand *at, rfm_input_kind kind)
{
    for (size_t i = at->told_count; i-- > 0;)
        if (at->told[i].input.kind == kind)
            return &at->told[i];
    return NULL;
}

/* A plain producer for the other side. */
static inline rd_kafka_t *other_producer(const char *brokers, const char *transactional_id)
{
    char text[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", brokers, text, sizeof text);
    rd_kafka_conf_set(conf, "linger.ms", "0", text, sizeof text);
    rd_kafka_conf_set(conf, "log_level", "3", text, sizeof text);
    if (transactional_id) {
        rd_kafka_conf_set(conf, "transactional.id", transactional_id, text, sizeof text);
        rd_kafka_conf_set(conf, "transaction.timeout.ms", "30000", text, sizeof text);
    }
    rd_kafka_t *producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    assert_non_null(producer);
    if (transactional_id)
        assert_null(rd_kafka_init_transactions(producer, 20000));
    return producer;
}

static inline void other_send(rd_kafka_t *producer, const char *topic, int32_t partition, const char *key,
                              const char *value, const char *header)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(1);
    if (header)
        rd_kafka_header_add(headers, RFM_WAL_HEADER, -1, header, -1);
    rd_kafka_resp_err_t code = rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
                                                 RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY | RD_KAFKA_MSG_F_BLOCK),
                                                 RD_KAFKA_V_KEY((void *)(uintptr_t)key, key ? strlen(key) : 0),
                                                 RD_KAFKA_V_VALUE((void *)(uintptr_t)value, value ? strlen(value) : 0),
                                                 RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
    if (code)
        fail_msg("%s", rd_kafka_err2str(code));
}

static inline void other_flush(rd_kafka_t *producer)
{
    assert_int_equal(rd_kafka_flush(producer, 20000), 0);
}

static inline void other_fill(const char *brokers, const char *topic, uint32_t partition_count, int count, int size)
{
    rd_kafka_t *producer = other_producer(brokers, NULL);
    char value[4096];
    for (int i = 0; i < count; i++) {
        int len = snprintf(value, sizeof value, "%d ", i);
        while (len < size)
            value[len++] = 'x';
        value[len] = '\0';
        other_send(producer, topic, (int32_t)((uint32_t)i % partition_count), "key", value, NULL);
    }
    other_flush(producer);
    rd_kafka_destroy(producer);
}

#endif
