/* Frequency caps: how many sends, virtual ones of the hold-out included, a client has had within a sliding window. The
 * slots remember just those sends that some cap can still count: of those that match it the newest `max`, none older
 * than its window. So the answer is exact as long as RFM_RECENT_MAX have room. */
#ifndef RFM_RULE_CAP_H
#define RFM_RULE_CAP_H

#include "cause.h"

typedef struct rfm_send {
    size_t rule;      /* index */
    uint16_t channel; /* its name's number; 0: none */
} rfm_send;

/* Would this one be over a cap? */
bool rfm__is_capped(const rfm_turn *turn, const rfm_send *send, int64_t now_ms);
/* Makes room for rfm__caps_note. False: there is none. A transactional one pushes out the oldest instead. */
bool rfm__caps_make_room(rfm_turn *turn, const rfm_send *send, int64_t now_ms);
void rfm__caps_note(rfm_turn *turn, const rfm_send *send, int64_t now_ms);
/* Forgets what no cap can count any more. */
void rfm__caps_prune(rfm_turn *turn, int64_t now_ms);

#endif
