/* Causes: what has come about with a client. Marks and the HOLDING slots are how things stood; an event or an instant
 * shows how they stand now, the difference causes rules, and marks and slots move on.
 *
 * Values fall into those that only facts move and those that time moves too. An event compares only what it can have
 * changed: what time alone has changed belongs to its moment, which a look brings. Between looks activity_ratio only
 * falls and churn_risk only rises, so of all thresholds of one score the next to be met is the extreme one. */
#ifndef RFM_RULE_CAUSE_H
#define RFM_RULE_CAUSE_H

#include "binding.h"
#include "slot.h"

/* One client while it is decided on. */
typedef struct rfm_sight rfm_sight;
typedef struct rfm_turn {
    const rfm_rules *rules;
    const rfm_binding *binding;
    const rfm_client_conf *conf;
    const rfm_names *names;
    const rfm_edges *edges;
    rfm_client *client;
    rfm_sight *sight; /* what its expressions see */
    rfm_tally *tally; /* NULL: nothing is added up */
    rfm_slots slots;
    rfm_rule_set holding; /* slots.holding by index of rules */
    uint64_t inside;      /* and of segments by condition */
    bool changed;         /* slots, holding or inside: to be packed again */
    bool ratio_known;     /* several rules ask for it at one instant; facts stand still in a turn */
    int64_t ratio_ms;
    double ratio; /* as good as the ratio for any comparison that is made */
} rfm_turn;

/* Where the client's wall clock is; NULL: UTC. */
const rfm_zone *rfm__zone_of(const rfm_turn *turn);
bool rfm__marks_stale(const rfm_turn *turn);
/* Takes how things stand without causes. */
void rfm__marks_renew(rfm_turn *turn, int64_t at_ms, int64_t now_ms);
/* The moment's event has been applied to the client. */
void rfm__causes_of_event(rfm_turn *turn, const rfm_moment *moment, rfm_rule_set *causes);
/* What time has done up to at_ms, which may lie before an event that has been decided on; until_ms does not. `review`:
 * the segment by population moves, to what it is now. */
void rfm__causes_of_instant(rfm_turn *turn, int64_t at_ms, int64_t now_ms, int64_t until_ms, bool review,
                            rfm_rule_set *causes);
/* The earliest moment before until_ms (also one that is overdue) that will do something by time alone, or INT64_MAX. */
int64_t rfm__next_moment(const rfm_turn *turn, int64_t until_ms);

#endif
