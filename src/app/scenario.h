/* A file of scenarios: events and a clock on the one side, the triggers to expect on the other
 * (docs/rules-testing.md). */
#ifndef RFM_APP_SCENARIO_H
#define RFM_APP_SCENARIO_H

#include <rfm/base/bytes.h>

typedef struct rfm_scenario_result {
    size_t scenarios, failed;
    bool unreadable; /* nothing was run */
} rfm_scenario_result;
/* Runs all scenarios of a file, each with a world of its own; what is wrong goes to `report`. */
rfm_scenario_result rfm_scenarios_run(const char *path, rfm_buffer *report);

#endif
