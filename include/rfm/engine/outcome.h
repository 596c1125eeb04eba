/* What has become of a step, from what its publisher saw. The one decision that a publisher would otherwise make by
 * itself; the simulator's asks the same function. */
#ifndef RFM_ENGINE_OUTCOME_H
#define RFM_ENGINE_OUTCOME_H

#include <rfm/engine/ports.h>

typedef struct rfm_attempt {
    bool asked;     /* for the commit (at_least_once: messages were sent). Before that nothing else can commit it */
    bool succeeded; /* the last answer said so */
    bool troubled;  /* a request had no answer, or another one first: a copy of it may still be on its way */
} rfm_attempt;

/* DONE, FENCED or UNKNOWN. A commit that succeeded at a second attempt is unknown too: the first request, held up on
 * its way, would commit the transaction that the same producer has begun meanwhile, in the middle. A new producer
 * fences it. */
rfm_answer rfm_outcome_of(const rfm_attempt *attempt);

#endif
