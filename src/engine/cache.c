#include "cache.h"
#include "fault.h"

#include <rfm/base/error.h>
#include <rfm/base/pages.h>
#include <stdlib.h>

/* What an entry costs beside its block: itself and its share of the table at its usual fill. */
enum { ENTRY_BYTES = sizeof(rfm__entry) + 32, ORDINARY_BYTES = ENTRY_BYTES + 256 };

_Static_assert(RFM_CLIENT_ID_MAX + RFM_CLIENT_PACKED_MAX <= (int)RFM_POOL_BLOCK_MAX, "the largest client is a block");

void rfm__cache_init(rfm__cache *cache, size_t bytes_max, const rfm__cache_owner *owners)
{
    *cache = (rfm__cache){.bytes_max = bytes_max, .owners = owners};
    cache->pool = rfm_pool_new(SIZE_MAX); /* the limit is kept here, over blocks and entries together */
    rfm_table_init(&cache->table, 1024);
}

void rfm__cache_release(rfm__cache *cache)
{
    rfm_table_release(&cache->table);
    rfm_pool_free(cache->pool);
    free(cache->entries);
    free(cache->unused);
}

size_t rfm__cache_bytes(const rfm__cache *cache)
{
    return rfm_pool_used_bytes(cache->pool) + (cache->count - cache->unused_count) * (size_t)ENTRY_BYTES;
}

static bool is_current(const rfm__cache *cache, const rfm__entry *entry)
{
    return entry->epoch == cache->owners[entry->task].epoch;
}

static bool may_go(const rfm__cache *cache, const rfm__entry *entry)
{
    if (!is_current(cache, entry))
        return true;
    if (entry->loading || entry->in_step)
        return false;
    return entry->changed_step <= cache->owners[entry->task].stored_step || RFM_FAULT(EVICT_DIRTY);
}

static void evict(rfm__cache *cache, uint32_t index)
{
    rfm__entry *entry = &cache->entries[index];
    bool removed = rfm_table_remove(&cache->table, entry->hash, index);
    RFM_ASSERT(removed);
    rfm_pool_give(cache->pool, entry->block, (size_t)entry->key_len + entry->packed_len);
    *entry = (rfm__entry){0};
    cache->unused[cache->unused_count++] = index;
}

/* Second chance: one turn of the hand takes the mark away, the next the entry. True: it has gone. */
static bool move_hand(rfm__cache *cache)
{
    if (cache->hand >= cache->count)
        cache->hand = 0;
    rfm__entry *entry = &cache->entries[cache->hand++];
    if (!entry->live || !may_go(cache, entry))
        return false;
    if (entry->recent && is_current(cache, entry)) {
        entry->recent = false;
        return false;
    }
    evict(cache, (uint32_t)(entry - cache->entries));
    cache->evictions++;
    return true;
}

static bool evict_one(rfm__cache *cache)
{
    for (size_t seen = 0; !cache->stuck && seen < 2 * cache->count; seen++)
        if (move_hand(cache))
            return true;
    cache->stuck = true;
    return false;
}

/* For another entry of ordinary size, evicting if need be. */
static bool has_room(rfm__cache *cache)
{
    while (rfm__cache_bytes(cache) + ORDINARY_BYTES > cache->bytes_max && !RFM_FAULT(CACHE_BOUND))
        if (!evict_one(cache))
            return false;
    return true;
}

void rfm__cache_shrink(rfm__cache *cache)
{
    for (size_t looks = RFM_FAULT(CACHE_BOUND) ? 0 : cache->count / 8 + 64;
         looks > 0 && rfm__cache_bytes(cache) > cache->bytes_max; looks--)
        (void)move_hand(cache);
}

uint32_t rfm__cache_find(rfm__cache *cache, uint32_t task, rfm_bytes key, uint64_t hash)
{
    size_t cursor = RFM_TABLE_START;
    for (uint32_t i; (i = rfm_table_find(&cache->table, hash, &cursor)) != RFM_TABLE_NONE;) {
        rfm__entry *entry = &cache->entries[i];
        if (entry->task != task || !rfm_bytes_equal(rfm__entry_key(entry), key))
            continue;
        if (is_current(cache, entry))
            return i;
        evict(cache, i);
        return RFM_TABLE_NONE;
    }
    return RFM_TABLE_NONE;
}

static uint32_t unused_index(rfm__cache *cache)
{
    if (cache->unused_count > 0)
        return cache->unused[--cache->unused_count];
    if (cache->count == cache->size) {
        size_t size = cache->size ? cache->size * 2 : 1024;
        rfm__entry *entries = rfm_pages_alloc(size * sizeof *entries);
        uint32_t *unused = realloc(cache->unused, size * sizeof *unused);
        RFM_NEED(entries != NULL && unused != NULL);
        if (cache->count > 0)
            memcpy(entries, cache->entries, cache->count * sizeof *entries);
        free(cache->entries);
        cache->entries = entries;
        cache->unused = unused;
        cache->size = size;
    }
    return (uint32_t)cache->count++;
}

uint32_t rfm__cache_add(rfm__cache *cache, uint32_t task, rfm_bytes key, uint64_t hash, bool pressing)
{
    if (!has_room(cache) && !pressing)
        return RFM_TABLE_NONE;
    uint8_t *block = rfm_pool_take(cache->pool, key.len);
    RFM_NEED(block != NULL);
    memcpy(block, key.at, key.len);
    uint32_t index = unused_index(cache);
    cache->entries[index] = (rfm__entry){.hash = hash,
                                         .block = block,
                                         .epoch = cache->owners[task].epoch,
                                         .touched_ms = INT64_MIN,
                                         .task = (uint16_t)task,
                                         .key_len = (uint8_t)key.len,
                                         .live = true,
                                         .loading = true};
    rfm_table_add(&cache->table, hash, index);
    return index;
}

void rfm__cache_put(rfm__cache *cache, uint32_t index, rfm_bytes packed)
{
    rfm__entry *entry = &cache->entries[index];
    size_t old_len = (size_t)entry->key_len + entry->packed_len, len = entry->key_len + packed.len;
    if (rfm_pool_class_bytes(old_len) != rfm_pool_class_bytes(len)) {
        uint8_t *block = rfm_pool_take(cache->pool, len);
        RFM_NEED(block != NULL);
        memcpy(block, entry->block, entry->key_len);
        rfm_pool_give(cache->pool, entry->block, old_len);
        entry->block = block;
    }
    if (packed.len > 0)
        memcpy(entry->block + entry->key_len, packed.at, packed.len);
    entry->packed_len = (uint16_t)packed.len;
}
