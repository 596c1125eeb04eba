/* The notes of slots that are unpacked already, and as lists for expressions. */
#ifndef RFM_RULE_NOTES_H
#define RFM_RULE_NOTES_H

#include "slot.h"

#include <rfm/rule/notes.h>

_Static_assert((int)RFM_NOTES_DUE_MAX == (int)RFM_PENDING_MAX && (int)RFM_NOTES_SENT_MAX == (int)RFM_REMEMBERED_MAX,
               "a note for each");

/* Return how many. Virtual sends are none. A send's id is kept, or follows from its cause. */
size_t rfm__notes_due(const rfm_slots *slots, const rfm_names *names, rfm_note notes[RFM_PENDING_MAX]);
size_t rfm__notes_sent(const rfm_slots *slots, const rfm_names *names, rfm_bytes client_id,
                       rfm_note notes[RFM_REMEMBERED_MAX]);

/* Their types for expressions, and a list of them in `items`, which has room for as many. */
extern const rfm_expr_type rfm__due_type, rfm__triggers_type;
void rfm__notes_list(const rfm_note *notes, size_t count, rfm_expr_value *items, rfm_expr_value *list);

#endif
