/* READ_TAIL: whose transactions are open at the end of a task's WAL. From the last stable offset on, read_uncommitted,
 * with a client of its own that is made when it is first needed. */
#ifndef RFM_KAFKA_WAL_TAIL_H
#define RFM_KAFKA_WAL_TAIL_H

#include "client.h"
#include "consumer.h"
#include "offsets.h"

typedef struct rfm__wal_tails rfm__wal_tails;

rfm__wal_tails *rfm__wal_tails_new(const rfm_kafka_conf *conf, const rfm_kafka_owner *owner, rfm__asker *asker,
                                   rfm__wake *wake);
void rfm__wal_tails_free(rfm__wal_tails *tails);
void rfm__wal_tails_ask(rfm__wal_tails *tails, uint32_t task, uint32_t term);
void rfm__wal_tails_forget(rfm__wal_tails *tails, uint32_t task);
void rfm__wal_tails_serve(rfm__wal_tails *tails);

#endif
