/* What came of sends. A client is exposed to an experiment by its first send or control record there; every purchase
 * within the window afterwards, by its time, counts for each of its experiments, and refunds undo it. When a window
 * ends by the clock the client is added to its arm's figures (kpi.h), which what comes late still corrects,
 * RFM_LATENESS_DAYS long: then the exposure is settled. Besides, a purchase is attributed to the last send before it,
 * of all rules with attribution, alone.
 *
 * The slots remember purchases that count only while a refund can still reach them, as long as they are in the client's
 * own window of orders. Of sends the last one of each rule is known: a purchase that comes late is attributed among
 * these. */
#ifndef RFM_RULE_EXPOSURE_H
#define RFM_RULE_EXPOSURE_H

#include "cause.h"

/* The rule of an experiment was sent or held back by control, for the first time or not. Without effect where there is
 * no room: a client is in RFM_EXPOSURES_MAX experiments. */
void rfm__expose(rfm_turn *turn, size_t rule, int arm, int64_t now_ms);
/* An event has been applied to the client. */
void rfm__exposures_of_event(rfm_turn *turn, const rfm_event *event, bool bought);
/* The next end of a window; INT64_MAX: all have ended. */
int64_t rfm__exposures_moment(const rfm_turn *turn);
void rfm__exposures_end(rfm_turn *turn, int64_t at_ms);
/* Settles what is old enough, and forgets what can change nothing any more. */
void rfm__exposures_prune(rfm_turn *turn, int64_t now_ms);

#endif
