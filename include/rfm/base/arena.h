/* Bump memory for what lives as long as one step: taken piece by piece, given back all at once. Chunks are kept over a
 * reset, so that a steady state allocates nothing; what a burst needed goes when many resets have not. Pieces never
 * move. */
#ifndef RFM_BASE_ARENA_H
#define RFM_BASE_ARENA_H

#include <rfm/base/bytes.h>

typedef struct rfm_arena_chunk rfm_arena_chunk;
typedef struct rfm_arena {
    rfm_arena_chunk *first, *current; /* current NULL: none is used yet */
    size_t used_bytes;                /* since the last reset */
    size_t held_bytes;                /* by all chunks */
    uint32_t resets;
} rfm_arena;

void rfm_arena_init(rfm_arena *arena);
void rfm_arena_release(rfm_arena *arena);
void rfm_arena_reset(rfm_arena *arena);
void *rfm_arena_take(rfm_arena *arena, size_t len); /* 16-byte aligned, not zeroed; no memory: stops the program */
rfm_bytes rfm_arena_copy(rfm_arena *arena, rfm_bytes bytes);

#endif
