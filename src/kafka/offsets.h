/* Asking brokers for log offsets and taking the answers apart. */
#ifndef RFM_KAFKA_OFFSETS_H
#define RFM_KAFKA_OFFSETS_H

#include "client.h"

typedef enum rfm__which {
    RFM__LOG_START,
    RFM__LOG_END,     /* the high watermark */
    RFM__STABLE_END,  /* the last stable offset */
} rfm__which;

/* Asks for one of them of all the partitions; the answer comes to the queue, an event with `tag` as its opaque. */
void rfm__offsets_ask(rd_kafka_t *client, const rd_kafka_topic_partition_list_t *partitions, rfm__which which,
                      uintptr_t tag, rd_kafka_queue_t *queue);
/* A partition of an answer, by index below *count; its err is set where it has no offset. */
const rd_kafka_topic_partition_t *rfm__offsets_at(rd_kafka_event_t *event, size_t i, size_t *count);
uintptr_t rfm__offsets_tag(rd_kafka_event_t *event);

#endif
