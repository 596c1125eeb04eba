/* Blocks in size classes (multiples of 32 bytes up to RFM_POOL_BLOCK_MAX) within a limit, from chunks that are never
 * given back before the end: the memory of the client cache. Freed blocks go to their class's list. */
#ifndef RFM_BASE_POOL_H
#define RFM_BASE_POOL_H

#include <stddef.h>

enum { RFM_POOL_BLOCK_MAX = 8192, RFM_POOL_CLASS_BYTES = 32 };
typedef struct rfm_pool rfm_pool;

rfm_pool *rfm_pool_new(size_t bytes_max); /* NULL: no memory */
void rfm_pool_free(rfm_pool *pool);
void *rfm_pool_take(rfm_pool *pool, size_t len); /* NULL: len > RFM_POOL_BLOCK_MAX, or the limit is reached */
void rfm_pool_give(rfm_pool *pool, void *block, size_t len); /* `len` as taken (or any length of the same class) */
size_t rfm_pool_used_bytes(const rfm_pool *pool); /* in blocks that are out, rounded to their class */
static inline size_t rfm_pool_class_bytes(size_t len) {
    return (len + RFM_POOL_CLASS_BYTES - 1) / RFM_POOL_CLASS_BYTES * RFM_POOL_CLASS_BYTES;
}

#endif
