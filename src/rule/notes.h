/* What a client's slots show to others: which rules wait until when, and the last send of each rule, as the client's JSON and
 * as lists for expressions. By time, those of one moment by the rule's name. */
#ifndef RFM_RULE_NOTES_H
#define RFM_RULE_NOTES_H

#include "slot.h"

#include <rfm/client/names.h>

typedef struct rfm_note {
    int64_t time_ms;
    rfm_bytes rule;
    bool has_id; /* of one that was sent, if there was room for it */
    char id[32];
} rfm_note;

/* Return how many. Virtual sends are none. A send's id is kept, or follows from its cause. */
size_t rfm__notes_due(const rfm_slots *slots, const rfm_names *names, rfm_note notes[RFM_PENDING_MAX]);
size_t rfm__notes_sent(const rfm_slots *slots, const rfm_names *names, rfm_bytes client_id,
                       rfm_note notes[RFM_REMEMBERED_MAX]);

/* Their types for expressions, and a list of them in `items`, which has room for as many. */
extern const rfm_expr_type rfm__due_type, rfm__triggers_type;
void rfm__notes_list(const rfm_note *notes, size_t count, rfm_expr_value *items, rfm_expr_value *list);

#endif
