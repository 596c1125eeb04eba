/* Segments by condition: which a client is in, and how many clients each has. Membership is remembered in the HOLDING
 * slots, so that the counts (RFM_KPI_NAMED, by source) move by what changes; they are as of each client's last decision
 * or look. */
#ifndef RFM_RULE_NAMED_H
#define RFM_RULE_NAMED_H

#include "cause.h"

/* A number of HOLDING that is no rule's. A segment that is gone has the client no more. */
void rfm__named_take(rfm_turn *turn, uint16_t number);
/* The client is in these now: bit per segment. */
void rfm__named_move(rfm_turn *turn, uint64_t inside);
/* Puts them among the rules that are there already, in ascending order. */
void rfm__named_put(const rfm_turn *turn, rfm_slots *slots);
/* The name's number; RFM_NUMBER_NONE: no room for it, nothing is remembered and counted. */
uint16_t rfm__named_number(const rfm_named *named, rfm_names *names);

#endif
