/* Tombstones of a task: which clients were erased, by a hash of their ids (XXH3-128), so that what was said before is
 * not taken again while the erasure is remembered. Kept in the redo as the hash `erased`, from which a take-over has
 * it. Bounded: at the limit the one that would be forgotten first makes room. */
#ifndef RFM_ENGINE_ERASED_H
#define RFM_ENGINE_ERASED_H

#include <rfm/base/table.h>
#include <rfm/engine/redo.h>

enum { RFM__ERASED_MAX = 1 << 20 };

typedef struct rfm__tombstone {
    uint8_t hash[16];
    int64_t time_ms;  /* of the erasure: events before it are dropped */
    int64_t until_ms; /* remembered so long, by the task's clock */
    uint64_t id48;    /* of the event that erased, to tell its repeats */
} rfm__tombstone;
typedef struct rfm__erased {
    rfm_table table;
    rfm__tombstone *items;
    size_t count, size, sweep;
} rfm__erased;

void rfm__erased_init(rfm__erased *erased);
void rfm__erased_release(rfm__erased *erased);
void rfm__erased_clear(rfm__erased *erased);
/* NULL: not erased, or not remembered any more. */
const rfm__tombstone *rfm__erased_find(const rfm__erased *erased, rfm_bytes client_id, int64_t clock_ms);
/* The tombstone of a client, new or in the place of an older one; `redo` gets it. */
void rfm__erased_put(rfm__erased *erased, rfm_bytes client_id, int64_t time_ms, int64_t until_ms, uint64_t id48,
                     rfm_redo *redo);
/* Looks at a few more of them, and forgets those whose time is over. */
void rfm__erased_sweep(rfm__erased *erased, int64_t clock_ms, rfm_redo *redo);
int rfm__erased_restore(rfm__erased *erased, const rfm_bytes *values, size_t count); /* RFM_E_CORRUPT */

#endif
