/* The clients a worker has at hand, packed. An entry belongs to a task and to that task's epoch: raising the epoch
 * forgets all its entries at once. What Redis does not have yet (changed in a step after the task's last stored one),
 * what is being loaded and what a step in the making has changed stays; the rest goes by second chance when the limit
 * is reached, which only who had a further event has (`recent`): the daily looks at everybody do not push out the busy.
 * Entries are named by index; indexes stay valid until the entry is evicted, pointers only until the next take. */
#ifndef RFM_ENGINE_CACHE_H
#define RFM_ENGINE_CACHE_H

#include <rfm/base/pool.h>
#include <rfm/base/table.h>
#include <rfm/client/client.h>

typedef struct rfm__entry {
    uint64_t hash;
    uint8_t *block;        /* key, then the packed state; packed_len 0: a client without events */
    uint64_t changed_step; /* the last step that changed it; 0: none */
    int64_t touched_ms;    /* looked at up to this moment since it was loaded */
    uint32_t epoch;
    uint16_t task, packed_len;
    uint8_t key_len;
    bool live, loading, recent, in_step; /* in_step: stands in the list of the step in the making */
    bool loose;                          /* Redis has it under a key of its own */
} rfm__entry;
_Static_assert(sizeof(rfm__entry) <= 64, "an entry lies in two cache lines at most");

typedef struct rfm__cache_owner {
    uint32_t epoch;
    uint64_t stored_step;
} rfm__cache_owner; /* one a task */

typedef struct rfm__cache {
    rfm_table table;
    rfm_pool *pool;
    rfm__entry *entries;
    uint32_t *unused;
    size_t count, size, unused_count, hand, bytes_max;
    const rfm__cache_owner *owners; /* by task */
    uint64_t evictions;
    bool stuck; /* nothing could go: no use in looking again before a step is stored or an epoch raised */
} rfm__cache;

void rfm__cache_init(rfm__cache *cache, size_t bytes_max, const rfm__cache_owner *owners);
void rfm__cache_release(rfm__cache *cache);
size_t rfm__cache_bytes(const rfm__cache *cache);
/* RFM_TABLE_NONE: not there (an entry of an old epoch is not). */
uint32_t rfm__cache_find(rfm__cache *cache, uint32_t task, rfm_bytes key, uint64_t hash);
/* A new entry in state loading. RFM_TABLE_NONE: the limit is reached and nothing can go; `pressing` goes beyond it. */
uint32_t rfm__cache_add(rfm__cache *cache, uint32_t task, rfm_bytes key, uint64_t hash, bool pressing);
void rfm__cache_put(rfm__cache *cache, uint32_t index, rfm_bytes packed); /* may go beyond the limit */
/* Back to the limit, or a part of the way, where states have grown: without new clients nobody asks for room. */
void rfm__cache_shrink(rfm__cache *cache);

static inline rfm__entry *rfm__cache_at(rfm__cache *cache, uint32_t index)
{
    return &cache->entries[index];
}
/* Most entries lie across two cache lines. */
static inline void rfm__cache_prefetch(const rfm__cache *cache, uint32_t index)
{
    const char *entry = (const char *)&cache->entries[index];
    __builtin_prefetch(entry);
    __builtin_prefetch(entry + sizeof(rfm__entry) - 1);
}
static inline void rfm__entry_prefetch_block(const rfm__entry *entry)
{
    size_t len = (size_t)entry->key_len + entry->packed_len;
    for (size_t at = 0; at < len; at += 64)
        __builtin_prefetch(entry->block + at);
    __builtin_prefetch(entry->block + len - 1);
}
static inline rfm_bytes rfm__entry_key(const rfm__entry *entry)
{
    return rfm_bytes_of(entry->block, entry->key_len);
}
static inline rfm_bytes rfm__entry_packed(const rfm__entry *entry)
{
    return rfm_bytes_of(entry->block + entry->key_len, entry->packed_len);
}

#endif
