/* The consumer's clients, for the reader. */
#ifndef RFM_KAFKA_CLIENTS_H
#define RFM_KAFKA_CLIENTS_H

#include "client.h"
#include "consumer.h"
#include "offsets.h"

rd_kafka_t *rfm__consumer_member_client(rfm_consumer *consumer);
rfm__asker *rfm__consumer_asker(rfm_consumer *consumer);
rd_kafka_t *rfm__consumer_fetch_client(rfm_consumer *consumer);
/* Nothing of the task is fetched until it is started again: it is being taken over. */
void rfm__consumer_hold(rfm_consumer *consumer, uint32_t task);

#endif
