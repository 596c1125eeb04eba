/* Over which channel: of those that consent allows and that do not bounce the first written, or the one that the client
 * answers on most. */
#ifndef RFM_RULE_CHANNEL_H
#define RFM_RULE_CHANNEL_H

#include "cause.h"

typedef struct rfm_choice {
    rfm_suppression why_not; /* RFM_SENT: there is one */
    uint16_t number;         /* 0: the rule asks for none */
    rfm_bytes text;          /* a view into the rules or the names */
} rfm_choice;
rfm_choice rfm__channel_choose(const rfm_turn *turn, size_t rule);

#endif
