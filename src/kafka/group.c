#include "group_metadata.h"

#include <stdatomic.h>
#include <stdlib.h>

struct rfm_group {
    atomic_int references;
    rd_kafka_consumer_group_metadata_t *metadata;
};

rfm_group *rfm__group_new(rd_kafka_consumer_group_metadata_t *metadata)
{
    rfm_group *group = calloc(1, sizeof *group);
    RFM_NEED(group);
    atomic_init(&group->references, 1);
    group->metadata = metadata;
    return group;
}

rfm_group *rfm_group_take(rfm_group *group)
{
    if (group)
        atomic_fetch_add_explicit(&group->references, 1, memory_order_relaxed);
    return group;
}

void rfm_group_drop(rfm_group *group)
{
    if (group == NULL || atomic_fetch_sub_explicit(&group->references, 1, memory_order_acq_rel) > 1)
        return;
    rd_kafka_consumer_group_metadata_destroy(group->metadata);
    free(group);
}

const rd_kafka_consumer_group_metadata_t *rfm__group_metadata(const rfm_group *group)
{
    return group->metadata;
}
