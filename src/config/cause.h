/* The `on` of a rule, and other keys of rules whose values are names that other layers define. */
#ifndef RFM_CONFIG_CAUSE_H
#define RFM_CONFIG_CAUSE_H

#include "keys.h"

extern const rfm__kind rfm__cause;  /* the `on` of an rfm_rule */
extern const rfm__kind rfm__events; /* uint32_t: a bit per rfm_event_type */

#endif
