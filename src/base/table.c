#include <rfm/base/table.h>

#include <rfm/base/error.h>
#include <rfm/base/pages.h>

#include <stdlib.h>
#include <string.h>

enum { SLOTS_MIN = 16 };

static rfm_table_slot *slots_new(size_t slot_count)
{
    size_t size;
    if (__builtin_mul_overflow(slot_count, sizeof(rfm_table_slot), &size))
        return NULL;
    rfm_table_slot *slots = rfm_pages_alloc(size);
    if (slots)
        memset(slots, 0xff, size); /* index: RFM_TABLE_NONE */
    return slots;
}

int rfm_table_init(rfm_table *table, size_t count_expected)
{
    size_t slot_count = SLOTS_MIN;
    *table = (rfm_table){NULL, 0, 0};
    while (slot_count / 4 * 3 < count_expected) {
        if (__builtin_mul_overflow(slot_count, (size_t)2, &slot_count))
            return RFM_E_NO_MEMORY;
    }
    table->slots = slots_new(slot_count);
    if (!table->slots)
        return RFM_E_NO_MEMORY;
    table->mask = slot_count - 1;
    return 0;
}

void rfm_table_release(rfm_table *table)
{
    free(table->slots);
    *table = (rfm_table){NULL, 0, 0};
}

uint32_t rfm_table_find(const rfm_table *table, uint64_t hash, size_t *cursor)
{
    size_t at = (*cursor == RFM_TABLE_START ? (size_t)hash : *cursor + 1) & table->mask;
    for (; table->slots[at].index != RFM_TABLE_NONE; at = (at + 1) & table->mask) {
        if (table->slots[at].hash != hash)
            continue;
        *cursor = at;
        return table->slots[at].index;
    }
    *cursor = (at - 1) & table->mask; /* asked again, the walk ends again */
    return RFM_TABLE_NONE;
}

static void place(rfm_table_slot *slots, size_t mask, rfm_table_slot slot)
{
    size_t at = (size_t)slot.hash & mask;
    while (slots[at].index != RFM_TABLE_NONE)
        at = (at + 1) & mask;
    slots[at] = slot;
}

static int grow(rfm_table *table)
{
    size_t slot_count = table->mask + 1, slot_count_new;
    if (__builtin_mul_overflow(slot_count, (size_t)2, &slot_count_new))
        return RFM_E_NO_MEMORY;
    rfm_table_slot *slots = slots_new(slot_count_new);
    if (!slots)
        return RFM_E_NO_MEMORY;
    for (size_t at = 0; at < slot_count; at++) {
        if (table->slots[at].index != RFM_TABLE_NONE)
            place(slots, slot_count_new - 1, table->slots[at]);
    }
    free(table->slots);
    table->slots = slots;
    table->mask = slot_count_new - 1;
    return 0;
}

int rfm_table_add(rfm_table *table, uint64_t hash, uint32_t index)
{
    RFM_ASSERT(index != RFM_TABLE_NONE);
    if (table->count >= (table->mask + 1) / 4 * 3) {
        int code = grow(table);
        if (code)
            return code;
    }
    place(table->slots, table->mask, (rfm_table_slot){hash, index});
    table->count++;
    return 0;
}

/* Backward shift: what probing had pushed past the hole moves into it, so that no tombstones are needed. */
static void close_hole(rfm_table *table, size_t hole)
{
    for (size_t at = (hole + 1) & table->mask; table->slots[at].index != RFM_TABLE_NONE; at = (at + 1) & table->mask) {
        size_t home = (size_t)table->slots[at].hash & table->mask;
        if (((at - home) & table->mask) < ((at - hole) & table->mask))
            continue; /* its home lies after the hole */
        table->slots[hole] = table->slots[at];
        hole = at;
    }
    table->slots[hole].index = RFM_TABLE_NONE;
}

bool rfm_table_remove(rfm_table *table, uint64_t hash, uint32_t index)
{
    size_t cursor = RFM_TABLE_START;
    for (uint32_t found; (found = rfm_table_find(table, hash, &cursor)) != RFM_TABLE_NONE;) {
        if (found != index)
            continue;
        close_hole(table, cursor);
        table->count--;
        return true;
    }
    return false;
}
