/* A task's named sums: what happened by day or month, how many clients are of a kind now. A cell is named by a metric
 * (a letter, see kpi.h), a period, a part of the metric, and the number of a source; it holds an absolute number, and
 * cells of several tasks add up. Sums wrap around, so that taking away what was added gives what was before, whatever
 * its size. A cell that was changed is remembered until it is taken, once: that is what a step writes to its redo. */
#ifndef RFM_CLIENT_TALLY_H
#define RFM_CLIENT_TALLY_H

#include <rfm/base/bytes.h>
#include <rfm/base/error.h>

enum { RFM_TALLY_PERIOD_MAX = (1 << 24) - 1, RFM_TALLY_FIELD_MAX = 32 };
typedef struct rfm_cell {
    char metric;
    int32_t period; /* 0 to RFM_TALLY_PERIOD_MAX */
    uint16_t part, source;
} rfm_cell;

typedef struct rfm_tally rfm_tally;
rfm_tally *rfm_tally_new(void);
void rfm_tally_free(rfm_tally *tally);
void rfm_tally_clear(rfm_tally *tally);
/* A cell as one number, never 0. */
static inline uint64_t rfm_cell_key(rfm_cell cell)
{
    RFM_ASSERT(cell.metric > 0 && cell.period >= 0 && cell.period <= RFM_TALLY_PERIOD_MAX);
    return (uint64_t)(uint8_t)cell.metric << 56 | (uint64_t)cell.period << 32 | (uint64_t)cell.part << 16 | cell.source;
}
void rfm__tally_add(rfm_tally *tally, uint64_t key, int64_t amount);
static inline void rfm_tally_add(rfm_tally *tally, rfm_cell cell, int64_t amount) /* 0 changes nothing */
{
    if (amount != 0)
        rfm__tally_add(tally, rfm_cell_key(cell), amount);
}
int64_t rfm_tally_get(const rfm_tally *tally, rfm_cell cell);
/* Every cell that is not 0, in no order: *cursor starts at 0; false at the end. */
bool rfm_tally_next(const rfm_tally *tally, size_t *cursor, rfm_cell *cell, int64_t *value);
/* The next cell that was changed since it was taken last, with what it holds; false: no more. */
bool rfm_tally_take(rfm_tally *tally, rfm_cell *cell, int64_t *value);
/* What was changed counts as taken: after what is stored was added. */
void rfm_tally_settle(rfm_tally *tally);

/* The cell's name as a field of a hash: "o20454", "H648.3:17" (a period; a part and a source where they are not 0). */
size_t rfm_cell_format(rfm_cell cell, char text[RFM_TALLY_FIELD_MAX]);
int rfm_cell_parse(rfm_bytes text, rfm_cell *cell); /* RFM_E_CORRUPT */

#endif
