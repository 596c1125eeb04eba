/* Input partitions from explicit offsets on, in batches, as fast as the owner takes them. In no group, with a queue of
 * its own: starting and stopping is all there is, and librdkafka drops by version what was fetched for an earlier
 * start.
 *
 * An end is proven, not guessed: every 100 ms (and right after a partition seems to be read up) the brokers are asked
 * for the log ends, those of open transactions included. Once everything below such an end is fed, everything that was
 * on the broker when it was asked for is fed, and AT_END says so with that moment as now_ms. Cached watermarks would
 * not do: they are as old as the last answer to a fetch, and that may have been lost. */
#ifndef RFM_KAFKA_FETCHER_H
#define RFM_KAFKA_FETCHER_H

#include "client.h"
#include "consumer.h"
#include "offsets.h"

typedef struct rfm__fetcher rfm__fetcher;

/* `owner` gets feed, AT_END and fatal. Log ends are asked for by `asker`, a client that fetches nothing: a broker
 * answers one request of a connection after the other, and a fetch may wait for records. */
int rfm__fetcher_new(const rfm_kafka_conf *conf, const rfm_kafka_owner *owner, rfm__asker *asker, rfm__wake *wake,
                     rfm__fetcher **fetcher, rfm_error *error);
void rfm__fetcher_free(rfm__fetcher *fetcher);
/* Feeds what is there, within a bound (then it wakes itself again). */
void rfm__fetcher_serve(rfm__fetcher *fetcher);
void rfm__fetcher_start(rfm__fetcher *fetcher, uint32_t task, const rfm_position *from);
void rfm__fetcher_stop(rfm__fetcher *fetcher, uint32_t task); /* nothing of it is fed any more */
void rfm__fetcher_resume(rfm__fetcher *fetcher);
rd_kafka_t *rfm__fetcher_client(rfm__fetcher *fetcher);
int64_t rfm__fetcher_lag(const rfm__fetcher *fetcher, uint32_t task, size_t input); /* from any thread */
uint64_t rfm__fetcher_records(const rfm__fetcher *fetcher);                         /* that were fed; from any thread */

#endif
