/* Blocks in size classes (multiples of 32 bytes up to RFM_POOL_BLOCK_MAX) within a limit, from chunks that are never
 * given back before the end: the memory of the client cache. Blocks are cut from slabs of 64 KiB (16 KiB in a pool
 * under 16 MiB), each of one class while any of its blocks is out; a slab that is whole again serves any class, so a
 * full pool of small blocks can become one of large blocks by giving back enough of them. Blocks are 32-byte aligned.
 * */
#ifndef RFM_BASE_POOL_H
#define RFM_BASE_POOL_H

#include <stddef.h>

enum { RFM_POOL_BLOCK_MAX = 15872, RFM_POOL_CLASS_BYTES = 32 };
typedef struct rfm_pool rfm_pool;

rfm_pool *rfm_pool_new(size_t bytes_max);
void rfm_pool_free(rfm_pool *pool);
void *rfm_pool_take(rfm_pool *pool,
                    size_t len); /* NULL: len > RFM_POOL_BLOCK_MAX, the limit is reached, or no memory */
void rfm_pool_give(rfm_pool *pool, void *block, size_t len); /* `len` as taken (or any of its class); NULL is fine */
/* Brings near what giving the block back will need. */
void rfm_pool_prefetch(const rfm_pool *pool, const void *block);
size_t rfm_pool_used_bytes(const rfm_pool *pool); /* in blocks that are out, rounded to their class */
static inline size_t rfm_pool_class_bytes(size_t len)
{
    return (len + RFM_POOL_CLASS_BYTES - 1) / RFM_POOL_CLASS_BYTES * RFM_POOL_CLASS_BYTES;
}

#endif
