/* In which months a client bought and how far its visits went. Packed only where it is not what the other facts lead to
 * expect: purchases in the months of the first and the last one, visits without a stage in one month. */
#ifndef RFM_CLIENT_ACTIVITY_H
#define RFM_CLIENT_ACTIVITY_H

#include "packing.h"

/* A purchase after the first one; last_day is still that of before it. */
void rfm__note_purchase(rfm_client *client, int32_t day);
/* Before the visit is counted. */
void rfm__note_visit(rfm_client *client, const rfm_event *event, int32_t day);
/* The event's stages as bits: a visit, and what its action says. */
unsigned rfm__stages_of(const rfm_event *event);

void rfm__expect_activity(rfm_client *client);
bool rfm__activity_is_expected(const rfm_client *client);
uint8_t *rfm__put_activity(uint8_t *at, const rfm_client *client);
void rfm__get_activity(struct cursor *cursor, rfm_client *client);

#endif
