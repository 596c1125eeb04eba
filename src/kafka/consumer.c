#include "consumer.h"

#include "clients.h"
#include "committed.h"
#include "fetcher.h"
#include "group_metadata.h"
#include "member.h"

#include <rfm/base/time.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { TICK_MS = 50, RELEASE_MS = 20000 };

typedef enum holding {
    NOT_OURS,
    OURS,
    REVOKING, /* told, not released yet */
} holding;

struct rfm_consumer {
    const rfm_kafka_conf *conf;
    rfm_kafka_owner owner;
    rfm__wake wake;
    rfm__member *member;
    rfm__fetcher *fetcher;
    uint8_t *holdings; /* by task, of type holding */
    size_t held, unreleased;
    rfm_group *group;
    uint32_t assignment;
    bool revoking, failed, closing;
    int64_t release_until_ms; /* steady */
    void (*closed)(void *self);
    atomic_uint_fast64_t rebalances, tasks;
    atomic_bool joined;
};

static void tell(rfm_consumer *consumer, rfm_input_kind kind, uint32_t task)
{
    rfm_input told = {.kind = kind, .task = task, .now_ms = rfm_clock_wall_ms()};
    if (kind == RFM_IN_ASSIGNED)
        told.assignment = consumer->assignment;
    consumer->owner.tell(consumer->owner.self, &told);
}

static void fail(void *self, const rfm_error *error)
{
    rfm_consumer *consumer = self;
    if (consumer->failed)
        return;
    consumer->failed = true;
    consumer->owner.fatal(consumer->owner.self, error);
}

static void count_tasks(rfm_consumer *consumer)
{
    atomic_store_explicit(&consumer->tasks, consumer->held, memory_order_relaxed);
}

/* -- assignments */

static void on_assigned(void *self, const uint32_t *tasks, size_t count, rfm_group *group)
{
    rfm_consumer *consumer = self;
    rfm_group_drop(consumer->group);
    consumer->group = group;
    consumer->assignment++;
    consumer->held = count;
    count_tasks(consumer);
    atomic_fetch_add_explicit(&consumer->rebalances, 1, memory_order_relaxed);
    atomic_store_explicit(&consumer->joined, true, memory_order_relaxed);
    rfm__kafka_log(consumer->conf, RFM_KAFKA_LOG_INFO, "group '%s': assignment %u has %zu of %u tasks",
                   consumer->conf->group, consumer->assignment, count, consumer->conf->partition_count);
    for (size_t i = 0; i < count; i++) {
        consumer->holdings[tasks[i]] = OURS;
        tell(consumer, RFM_IN_ASSIGNED, tasks[i]);
    }
}

static void finish_revocation(rfm_consumer *consumer)
{
    consumer->revoking = false;
    consumer->held = 0;
    count_tasks(consumer);
    atomic_store_explicit(&consumer->joined, false, memory_order_relaxed);
    rfm_group_drop(consumer->group);
    consumer->group = NULL;
    rfm__member_give_up(consumer->member);
}

/* Takes every task away that has not been released. */
static void lose_all(rfm_consumer *consumer)
{
    for (uint32_t task = 0; task < consumer->conf->partition_count; task++) {
        if (consumer->holdings[task] == NOT_OURS)
            continue;
        consumer->holdings[task] = NOT_OURS;
        rfm__fetcher_stop(consumer->fetcher, task);
        tell(consumer, RFM_IN_LOST, task);
    }
    consumer->unreleased = 0;
    finish_revocation(consumer);
}

static void ask_for_release(rfm_consumer *consumer)
{
    consumer->revoking = true;
    consumer->release_until_ms = rfm_clock_steady_ms() + RELEASE_MS;
    consumer->unreleased = 0;
    for (uint32_t task = 0; task < consumer->conf->partition_count; task++)
        if (consumer->holdings[task] == OURS) {
            consumer->holdings[task] = REVOKING;
            consumer->unreleased++;
            rfm__fetcher_stop(consumer->fetcher, task);
        }
    for (uint32_t task = 0; task < consumer->conf->partition_count; task++)
        if (consumer->holdings[task] == REVOKING)
            tell(consumer, RFM_IN_REVOKING, task);
}

static void on_revoked(void *self, bool lost)
{
    rfm_consumer *consumer = self;
    if (lost)
        lose_all(consumer);
    else
        ask_for_release(consumer);
    rfm__wake_now(&consumer->wake); /* there may be nothing to release */
}

static void watch_revocation(rfm_consumer *consumer)
{
    if (!consumer->revoking)
        return;
    if (consumer->unreleased == 0) {
        finish_revocation(consumer);
    } else if (rfm__member_is_lost(consumer->member)) {
        lose_all(consumer);
    } else if (rfm_clock_steady_ms() >= consumer->release_until_ms) {
        rfm__kafka_log(consumer->conf, RFM_KAFKA_LOG_WARNING,
                       "group '%s': %zu tasks were not released within %d s and are "
                       "dropped",
                       consumer->conf->group, consumer->unreleased, RELEASE_MS / 1000);
        lose_all(consumer);
    }
}

void rfm_consumer_released(rfm_consumer *consumer, uint32_t task)
{
    if (task >= consumer->conf->partition_count || consumer->holdings[task] != REVOKING)
        return;
    consumer->holdings[task] = NOT_OURS;
    if (--consumer->unreleased == 0)
        rfm__wake_now(&consumer->wake);
}

void rfm_consumer_consume_from(rfm_consumer *consumer, uint32_t task, const rfm_position *from)
{
    if (task < consumer->conf->partition_count && consumer->holdings[task] == OURS)
        rfm__fetcher_start(consumer->fetcher, task, from);
}

void rfm_consumer_resume(rfm_consumer *consumer)
{
    rfm__fetcher_resume(consumer->fetcher);
}

rfm_group *rfm_consumer_group(const rfm_consumer *consumer, uint32_t assignment)
{
    return assignment == consumer->assignment ? rfm_group_take(consumer->group) : NULL;
}

void rfm_consumer_commit(rfm_consumer *consumer, uint32_t task, const rfm_position *position)
{
    rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new((int)consumer->conf->input_count);
    rfm__committed_add(consumer->conf, task, position, offsets);
    if (offsets->cnt > 0)
        rd_kafka_commit(rfm__member_client(consumer->member), offsets, 1);
    rd_kafka_topic_partition_list_destroy(offsets);
}

/* -- life */

static void on_woken(void *self)
{
    rfm_consumer *consumer = self;
    if (consumer->failed)
        return;
    rfm__member_serve(consumer->member);
    if (!consumer->failed)
        watch_revocation(consumer);
    if (!consumer->failed)
        rfm__fetcher_serve(consumer->fetcher);
}

static void on_left(void *self)
{
    rfm_consumer *consumer = self;
    if (consumer->closed)
        consumer->closed(consumer->owner.self);
}

static int open_parts(rfm_consumer *consumer, uv_loop_t *loop, rfm_error *error)
{
    rfm__member_owner member_owner = {consumer, on_assigned, on_revoked, fail, on_left};
    rfm_kafka_owner fetch_owner = consumer->owner;
    int code = rfm__wake_init(&consumer->wake, loop, TICK_MS, on_woken, consumer, error);
    if (code != RFM_OK) {
        free(consumer->holdings);
        free(consumer);
        return code;
    }
    code = rfm__member_new(consumer->conf, &member_owner, &consumer->wake, &consumer->member, error);
    if (code == RFM_OK)
        code = rfm__fetcher_new(consumer->conf, &fetch_owner, rfm__member_asker(consumer->member), &consumer->wake,
                                &consumer->fetcher, error);
    if (code != RFM_OK)
        rfm_consumer_free(consumer);
    return code;
}

int rfm_consumer_new(const rfm_kafka_conf *conf, uv_loop_t *loop, const rfm_kafka_owner *owner, rfm_consumer **made,
                     rfm_error *error)
{
    RFM_ASSERT(conf->partition_count > 0 && conf->partition_count <= RFM_TASKS_MAX);
    RFM_ASSERT(conf->input_count > 0 && conf->input_count <= RFM_INPUTS_MAX);
    rfm_consumer *consumer = calloc(1, sizeof *consumer);
    uint8_t *holdings = calloc(conf->partition_count, sizeof *holdings);
    RFM_NEED(consumer && holdings);
    consumer->conf = conf;
    consumer->owner = *owner;
    consumer->holdings = holdings;
    int code = open_parts(consumer, loop, error);
    if (code == RFM_OK)
        *made = consumer;
    return code;
}

void rfm_consumer_close(rfm_consumer *consumer, void (*closed)(void *self))
{
    if (consumer->closing)
        return;
    consumer->closing = true;
    consumer->closed = closed;
    rfm__member_leave(consumer->member);
    rfm__wake_now(&consumer->wake);
}

static void on_handles_closed(void *self)
{
    free(self);
}

void rfm_consumer_free(rfm_consumer *consumer)
{
    if (consumer == NULL)
        return;
    rfm__fetcher_free(consumer->fetcher);
    rfm__member_free(consumer->member);
    rfm_group_drop(consumer->group);
    free(consumer->holdings);
    rfm__wake_close(&consumer->wake, on_handles_closed);
}

int64_t rfm_consumer_lag(const rfm_consumer *consumer, uint32_t task, size_t input)
{
    return rfm__fetcher_lag(consumer->fetcher, task, input);
}

rfm_consumer_stats rfm_consumer_stats_of(const rfm_consumer *consumer)
{
    return (rfm_consumer_stats){
        .rebalances = atomic_load_explicit(&consumer->rebalances, memory_order_relaxed),
        .tasks = atomic_load_explicit(&consumer->tasks, memory_order_relaxed),
        .records = rfm__fetcher_records(consumer->fetcher),
        .joined = atomic_load_explicit(&consumer->joined, memory_order_relaxed),
    };
}

rd_kafka_t *rfm__consumer_member_client(rfm_consumer *consumer)
{
    return rfm__member_client(consumer->member);
}

rfm__asker *rfm__consumer_asker(rfm_consumer *consumer)
{
    return rfm__member_asker(consumer->member);
}

rd_kafka_t *rfm__consumer_fetch_client(rfm_consumer *consumer)
{
    return rfm__fetcher_client(consumer->fetcher);
}

void rfm__consumer_hold(rfm_consumer *consumer, uint32_t task)
{
    rfm__fetcher_stop(consumer->fetcher, task);
}
