/* A map from a 64-bit hash to a 32-bit index, open addressing with linear probing and backward-shift deletion. Equal
 * hashes of different things are kept side by side: the caller compares what the index stands for. Grows by doubling
 * at 3/4 full. `rfm_table_prefetch` brings the line of a hash near, for callers that work in batches. */
#ifndef RFM_BASE_TABLE_H
#define RFM_BASE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct rfm_table_slot {
    uint64_t hash;
    uint32_t index; /* RFM_TABLE_NONE: empty */
} rfm_table_slot;
typedef struct rfm_table {
    rfm_table_slot *slots;
    size_t mask, count;
} rfm_table;
#define RFM_TABLE_NONE UINT32_MAX

void rfm_table_init(rfm_table *table, size_t count_expected);
void rfm_table_release(rfm_table *table);
static inline void rfm_table_prefetch(const rfm_table *table, uint64_t hash)
{
    __builtin_prefetch(&table->slots[hash & table->mask]);
}
/* Walks the indexes kept under `hash`: *cursor starts at RFM_TABLE_START; RFM_TABLE_NONE when there are no more. */
#define RFM_TABLE_START SIZE_MAX
uint32_t rfm_table_find(const rfm_table *table, uint64_t hash, size_t *cursor);
void rfm_table_add(rfm_table *table, uint64_t hash, uint32_t index);
bool rfm_table_remove(rfm_table *table, uint64_t hash, uint32_t index); /* false: was not there */

#endif
