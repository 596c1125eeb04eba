/* A worker's consumer, on the worker's loop and only there. Two clients: a member of the group that never fetches, and
 * a fetcher that is in no group and starts each partition at an explicit offset. So a rebalance cannot move a position,
 * and what was fetched for a task that is gone is dropped by librdkafka's own versions.
 *
 *   ASSIGNED(task, assignment) -> consume_from -> records by feed, AT_END -> REVOKING -> released -> (next rebalance)
 *
 * AT_END's now_ms is the moment when the log's end was asked for, some ms ago: all that was on the broker by then is
 * fed, also what was in an open transaction then. While a partition stays at its end it comes again every 100 ms or so
 * (less often with over 400 input partitions); one that has records all the time gets it as often as what was asked for
 * is reached.
 *
 * Task i is partition i of all inputs. Assignments are numbered from 1. Nothing below calls its owner before it
 * returns; feed and tell are called from the loop, and may call any of these functions but free.
 *
 * Bounded: librdkafka's queues by fetch_bytes_max, and one batch that the owner did not take. Records are views into
 * librdkafka's buffers and last for the call of feed. */
#ifndef RFM_KAFKA_CONSUMER_H
#define RFM_KAFKA_CONSUMER_H

#include "conf.h"
#include "group.h"

#include <uv.h>

typedef struct rfm_kafka_owner {
    void *self;
    /* Takes records, in the order of each partition; fewer than count: full, the rest comes again after a resume. */
    size_t (*feed)(void *self, const rfm_record *records, size_t count, int64_t now_ms);
    /* ASSIGNED, REVOKING, LOST, AT_END (consumer), POSITION, WAL, TAIL (reader), PUBLISHED, RENEWED, EVICTED
     * (publisher). */
    void (*tell)(void *self, const rfm_input *input);
    /* Nothing can go on: say the reason and stop the process. Called once by each of consumer, reader, publisher. */
    void (*fatal)(void *self, const rfm_error *error);
} rfm_kafka_owner;

typedef struct rfm_consumer rfm_consumer;

/* Subscribes. RFM_E_UNKNOWN_NAME, RFM_E_MALFORMED, RFM_E_REFUSED (properties). */
int rfm_consumer_new(const rfm_kafka_conf *conf, uv_loop_t *loop, const rfm_kafka_owner *owner, rfm_consumer **consumer,
                     rfm_error *error);

/* Effect CONSUME_FROM: records of the task are fed from these offsets on; RFM_OFFSET_NONE: from the log's beginning. */
void rfm_consumer_consume_from(rfm_consumer *consumer, uint32_t task, const rfm_position *from);
/* Effect RELEASED. Once all tasks of a revoked assignment are released, or 20 s after, the group goes on. */
void rfm_consumer_released(rfm_consumer *consumer, uint32_t task);
/* The owner takes records again (rfm_worker_takes). Cheap when nothing waits. */
void rfm_consumer_resume(rfm_consumer *consumer);

/* The metadata taken at that assignment; the caller drops it. NULL: not the current assignment. */
rfm_group *rfm_consumer_group(const rfm_consumer *consumer, uint32_t assignment);

/* Commits positions after Redis has them (at_least_once only): next offsets with the WAL offset as metadata. Does not
 * wait. */
void rfm_consumer_commit(rfm_consumer *consumer, uint32_t task, const rfm_position *position);

/* Leaves: REVOKING for each task, then, when all are released, `closed`, on the loop. A dynamic member leaves the group
 * at once, a static one keeps its place until its session times out. */
void rfm_consumer_close(rfm_consumer *consumer, void (*closed)(void *self));
/* Without close: as if the process died, but for sockets. Blocks shortly. The loop must run once more for its
 * handles. */
void rfm_consumer_free(rfm_consumer *consumer);

/* From any thread. The records between the position and the partition's end; -1: not known (not ours, nothing
 * fetched). */
int64_t rfm_consumer_lag(const rfm_consumer *consumer, uint32_t task, size_t input);
typedef struct rfm_consumer_stats {
    uint64_t rebalances, tasks, records;
    bool joined; /* has an assignment, perhaps an empty one */
} rfm_consumer_stats;
rfm_consumer_stats rfm_consumer_stats_of(const rfm_consumer *consumer);

#endif
