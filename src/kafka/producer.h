/* A plain producer: idempotent, in no transaction, for traffic of our own (`gen`, `demo`). One thread at a time. What
 * could not be delivered is told by the next send or by flush, with the first reason. */
#ifndef RFM_KAFKA_PRODUCER_H
#define RFM_KAFKA_PRODUCER_H

#include "conf.h"

#include <rfm/event/decode.h>

typedef struct rfm_producer rfm_producer;

/* Of `conf` the brokers, properties and log count; it must outlive the producer. `partitioner`: for sends without a
 * partition; records without a key go anywhere. RFM_E_UNKNOWN_NAME, RFM_E_MALFORMED, RFM_E_REFUSED (properties). */
int rfm_producer_new(const rfm_kafka_conf *conf, rfm_partitioner partitioner, rfm_producer **producer,
                     rfm_error *error);
/* Drops what has not been sent; flush first. */
void rfm_producer_free(rfm_producer *producer);

/* Waits until a broker answers and knows the topic. RFM_E_AWAY, RFM_E_NOT_FOUND, RFM_E_DENIED. */
int rfm_producer_check(rfm_producer *producer, const char *topic, int64_t timeout_ms, rfm_error *error);
/* Queues a copy; waits while the queue is full. partition -1: by the key. timestamp_ms 0: now. at NULL: null.
 * RFM_E_IO, RFM_E_TOO_LARGE, or what became of an earlier record. */
int rfm_producer_send(rfm_producer *producer, const char *topic, int32_t partition, rfm_bytes key, rfm_bytes value,
                      int64_t timestamp_ms, rfm_error *error);
/* Waits until all is delivered. RFM_E_AWAY: not within the time. */
int rfm_producer_flush(rfm_producer *producer, int64_t timeout_ms, rfm_error *error);

#endif
