/* READ_WAL: committed records of a task's WAL partition. Each question gets one answer; the stream stays open behind
 * it, so that the question that goes on where the last one ended costs nothing. A few are open at a time, which bounds
 * what they hold; the others wait their turn, until those have come to their ends or are forgotten. */
#ifndef RFM_KAFKA_WAL_STREAM_H
#define RFM_KAFKA_WAL_STREAM_H

#include "client.h"
#include "consumer.h"
#include "offsets.h"

typedef struct rfm__wal_streams rfm__wal_streams;

/* `client` is read_committed and tells partition ends; `asker` fetches nothing. */
int rfm__wal_streams_new(const rfm_kafka_conf *conf, const rfm_kafka_owner *owner, rd_kafka_t *client,
                         rfm__asker *asker, rfm__wake *wake, rfm__wal_streams **streams, rfm_error *error);
void rfm__wal_streams_free(rfm__wal_streams *streams);
void rfm__wal_streams_ask(rfm__wal_streams *streams, uint32_t task, uint32_t term, int64_t from, int64_t until);
void rfm__wal_streams_forget(rfm__wal_streams *streams, uint32_t task);
void rfm__wal_streams_serve(rfm__wal_streams *streams);

#endif
