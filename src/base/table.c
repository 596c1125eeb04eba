#include <rfm/base/table.h>

#include <rfm/base/error.h>
#include <rfm/base/pages.h>

#include <stdlib.h>
#include <string.h>

enum { SLOTS_MIN = 16 };

static rfm_table_slot *slots_new(size_t slot_count)
{
    rfm_table_slot *slots = rfm_pages_alloc(slot_count * sizeof *slots);
    RFM_NEED(slots);
    memset(slots, 0xff, slot_count * sizeof *slots); /* index: RFM_TABLE_NONE */
    return slots;
}

void rfm_table_init(rfm_table *table, size_t count_expected)
{
    size_t slot_count = SLOTS_MIN;
    RFM_ASSERT(count_expected < RFM_TABLE_NONE); /* there are no more indexes */
    while (slot_count / 4 * 3 < count_expected)
        slot_count *= 2;
    *table = (rfm_table){.slots = slots_new(slot_count), .mask = slot_count - 1};
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

static void grow(rfm_table *table)
{
    size_t slot_count = table->mask + 1, slot_count_new = 2 * slot_count;
    rfm_table_slot *slots = slots_new(slot_count_new);
    for (size_t at = 0; at < slot_count; at++) {
        if (table->slots[at].index != RFM_TABLE_NONE)
            place(slots, slot_count_new - 1, table->slots[at]);
    }
    free(table->slots);
    table->slots = slots;
    table->mask = slot_count_new - 1;
}

void rfm_table_add(rfm_table *table, uint64_t hash, uint32_t index)
{
    RFM_ASSERT(index != RFM_TABLE_NONE);
    if (table->count >= (table->mask + 1) / 4 * 3)
        grow(table);
    place(table->slots, table->mask, (rfm_table_slot){hash, index});
    table->count++;
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
