/* What only this layer sees of a group. */
#ifndef RFM_KAFKA_GROUP_METADATA_H
#define RFM_KAFKA_GROUP_METADATA_H

#include "group.h"

#include <librdkafka/rdkafka.h>
#include <rfm/base/error.h>

rfm_group *rfm__group_new(rd_kafka_consumer_group_metadata_t *metadata); /* takes it over */
const rd_kafka_consumer_group_metadata_t *rfm__group_metadata(const rfm_group *group);

#endif
