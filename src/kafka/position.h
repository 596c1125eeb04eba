/* READ_POSITION: the group's committed offsets of a task, stable, and where its logs begin and end. In this order: what
 * is committed names a WAL record that was there before, so that a log end asked for later must lie beyond it. */
#ifndef RFM_KAFKA_POSITION_H
#define RFM_KAFKA_POSITION_H

#include "client.h"
#include "consumer.h"
#include "offsets.h"

typedef struct rfm__positions rfm__positions;

rfm__positions *rfm__positions_new(const rfm_kafka_conf *conf, const rfm_kafka_owner *owner, rd_kafka_t *member,
                                   rfm__asker *asker, rfm__wake *wake);
void rfm__positions_free(rfm__positions *positions);
void rfm__positions_ask(rfm__positions *positions, uint32_t task, uint32_t term);
void rfm__positions_forget(rfm__positions *positions, uint32_t task);
void rfm__positions_serve(rfm__positions *positions);

#endif
