#include "fault.h"

#include <rfm/engine/outcome.h>

rfm_answer rfm_outcome_of(const rfm_attempt *attempt)
{
    if (!attempt->asked)
        return RFM_FENCED;
    bool clean = !attempt->troubled || RFM_FAULT(TROUBLE);
    return attempt->succeeded && clean ? RFM_DONE : RFM_UNKNOWN;
}
