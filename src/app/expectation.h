/* What a scenario expects beside what has come of it. */
#ifndef RFM_APP_EXPECTATION_H
#define RFM_APP_EXPECTATION_H

#include "config/yaml.h"

/* A trigger, or an audit record: its value, and its `time`. */
typedef struct rfm_scenario_outcome {
    rfm_bytes value;
    int64_t time_ms;
    bool held_back;
} rfm_scenario_outcome;

/* A time, or a duration since the scenario's start. */
bool rfm_scenario_time(const rfm_yaml *node, int64_t start_ms, int64_t *time_ms);
/* Each of `expect` is to be one of the outcomes, and none may be left over; what was held back counts as soon as one
 * such is expected. Writes the differences, a line each. True: there is none. */
bool rfm_expectation_met(const rfm_yaml *expect, int64_t start_ms, const rfm_scenario_outcome *outcomes, size_t count,
                         rfm_buffer *differences);

#endif
