/* A task's counters as the redo keeps them: the population (clients per last-purchase day, monetary bucket, number of
 * orders) and the named sums (rfm/client/tally.h), absolute values, of which each step writes those that it touched,
 * once. */
#ifndef RFM_ENGINE_COUNTERS_H
#define RFM_ENGINE_COUNTERS_H

#include <rfm/client/population.h>
#include <rfm/client/tally.h>
#include <rfm/engine/keys.h>
#include <rfm/engine/redo.h>

typedef struct rfm__touched {
    uint8_t kind;
    int32_t field;
} rfm__touched;
typedef struct rfm__counters {
    rfm_population *population;
    rfm_tally *tally;      /* to be added to by whoever has something to count */
    rfm__touched *touched; /* by the step in the making */
    size_t count, size;
    uint32_t stamp; /* of that step; what carries it is in `touched` already */
    uint32_t *stamps[RFM_COUNTERS];
} rfm__counters;

void rfm__counters_init(rfm__counters *counters);
void rfm__counters_release(rfm__counters *counters);
void rfm__counters_clear(rfm__counters *counters);
/* The client stood at `before` and stands at `after`. */
void rfm__counters_move(rfm__counters *counters, const rfm_standing *before, const rfm_standing *after);
void rfm__counters_write(rfm__counters *counters, rfm_redo *redo); /* what was touched; then nothing is */
/* Puts back the hash of the sums as loaded: cell, value, ... RFM_E_CORRUPT. */
int rfm__tally_restore(rfm__counters *counters, const rfm_bytes *values, size_t count);

#endif
