/* The group's metadata as it was at an assignment (generation, member): goes with the offsets of the steps of that
 * assignment, and fences them. Immutable, counted, may be handed to another thread. */
#ifndef RFM_KAFKA_GROUP_H
#define RFM_KAFKA_GROUP_H

typedef struct rfm_group rfm_group;

rfm_group *rfm_group_take(rfm_group *group); /* one more reference; NULL ok */
void rfm_group_drop(rfm_group *group);       /* NULL ok */

#endif
