/* What the expressions of one client's rules see at one moment, and what they come to. Values are fetched when an
 * expression first reads them, and shared by all that are asked about the same cause. */
#ifndef RFM_RULE_SIGHT_H
#define RFM_RULE_SIGHT_H

#include "cause.h"
#include "items.h"
#include "notes.h"

struct rfm_sight {
    const rfm_turn *turn;
    rfm_bytes client_id;
    int64_t now_ms;
    const rfm_cause *cause; /* NULL: none */
    bool ready;             /* the frame belongs to the cause */
    bool scored;            /* facts stand still, and so does now */
    rfm_scores scores;
    rfm_expr_value favourites[RFM_CATEGORIES_MAX];
    rfm_note due[RFM_PENDING_MAX], triggers[RFM_REMEMBERED_MAX];
    rfm_items items;
    rfm_expr_value due_items[RFM_PENDING_MAX], trigger_items[RFM_REMEMBERED_MAX];
    rfm_expr_frame frame;
};

void rfm__sight_open(rfm_sight *sight, const rfm_turn *turn, rfm_bytes client_id, int64_t now_ms);
/* From now on about this cause; what was seen is seen anew. */
void rfm__sight_turn_to(rfm_sight *sight, const rfm_cause *cause);

/* What waits or was sent has changed: seen anew. */
void rfm__sight_renew(rfm_sight *sight);

typedef enum rfm_truth { RFM_FALSE, RFM_TRUE, RFM_FAILED } rfm_truth;
rfm_truth rfm__sight_holds(rfm_sight *sight, const rfm_expr *condition);
/* Takes rules out of whose `when` it is quickly told that it does not hold, which is most of them. */
void rfm__sight_sift(rfm_sight *sight, rfm_rule_set *rules);
/* The rule's `data` as a JSON object; what fails is null. */
void rfm__sight_write_data(rfm_sight *sight, const rfm_rule *rule, rfm_buffer *json);

/* What a rule that waits keeps of its cause's event, which is at hand. False: more than RFM_KEPT_VALUES_MAX. */
bool rfm__sight_keep(rfm_sight *sight, const rfm_rule *rule, uint8_t kept[RFM_KEPT_BYTES_MAX], size_t *len);

/* environment.c: a field's value; what is kept of an event: a part's number, then its value; of a trait its name
 * besides. */
bool rfm__environment_fetch(void *context, size_t field, rfm_expr_value *value);
void rfm__environment_keep(rfm_sight *sight, const rfm_rule *rule, rfm_buffer *kept);
/* It may be of other rules, or of a later version: what cannot be read is absent. Any bytes are safe. */
bool rfm__environment_kept(rfm_bytes kept, uint8_t part, rfm_expr_value *value);

#endif
