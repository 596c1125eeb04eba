/* What the group's committed offsets say of a task: the next offset of each input, with the WAL offset that goes with
 * them as their metadata, in decimal. A format that is kept. */
#ifndef RFM_KAFKA_COMMITTED_H
#define RFM_KAFKA_COMMITTED_H

#include "client.h"

#include <rfm/engine/ports.h>

/* Adds the inputs whose offsets are known. */
void rfm__committed_add(const rfm_kafka_conf *conf, uint32_t task, const rfm_position *position,
                        rd_kafka_topic_partition_list_t *list);
/* RFM_OFFSET_NONE: the metadata is no WAL offset, so that another program has committed it. */
int64_t rfm__committed_wal(const rd_kafka_topic_partition_t *at);

#endif
