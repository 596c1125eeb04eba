/* What a take-over asks of Kafka, on the worker's loop, never blocking it. One question of each kind per task at a
 * time: a new one replaces the one before it, which then gets no answer. Broker errors that may pass are tried again
 * for as long as the task asks; answers carry the term of their question. */
#ifndef RFM_KAFKA_WAL_READER_H
#define RFM_KAFKA_WAL_READER_H

#include "consumer.h"

typedef struct rfm_wal_reader rfm_wal_reader;

/* Shares the consumer's clients and must be freed before it. */
int rfm_wal_reader_new(const rfm_kafka_conf *conf, uv_loop_t *loop, const rfm_kafka_owner *owner,
                       rfm_consumer *consumer, rfm_wal_reader **reader, rfm_error *error);
void rfm_wal_reader_free(rfm_wal_reader *reader);

/* Effect READ_POSITION -> IN_POSITION: DONE, BLOCKED (pending commits for 1 s), REFUSED_FOR_GOOD (no
 * permission, or a committed WAL offset that the log does not reach). What the offsets are worth the engine judges. */
void rfm_wal_reader_position(rfm_wal_reader *reader, uint32_t task, uint32_t term);
/* Effect READ_WAL -> IN_WAL: DONE batches, the last with `last`; BLOCKED (no progress for 1 s although the end is not
 * reached: an open transaction), after which the question is over; REFUSED_FOR_GOOD (`until` lies beyond the log). */
void rfm_wal_reader_wal(rfm_wal_reader *reader, uint32_t task, uint32_t term, int64_t from, int64_t until);
/* Effect READ_TAIL -> IN_TAIL. */
void rfm_wal_reader_tail(rfm_wal_reader *reader, uint32_t task, uint32_t term);
/* The task is not ours any more: its questions get no answer. */
void rfm_wal_reader_forget(rfm_wal_reader *reader, uint32_t task);

#endif
