#include <rfm/client/tally.h>

#include <rfm/base/grow.h>
#include <stdio.h>
#include <stdlib.h>

/* Open addressing with linear probing; cells are never taken out, so that a key is 0 only where there is none (a metric
 * is a letter). Doubled at half full. Cells that differ in their metric alone lie side by side: an event changes
 * several of them. */
enum { SLOTS_AT_FIRST = 1024 };
#define CHANGED (UINT64_C(1) << 63) /* a letter has seven bits */
struct slot {
    uint64_t key; /* with CHANGED: not taken since */
    int64_t value;
};
struct rfm_tally {
    struct slot *slots;
    size_t size, count;
    uint64_t *changed; /* keys */
    size_t changed_count, changed_size;
};

static rfm_cell cell_of(uint64_t key)
{
    return (rfm_cell){(char)(key >> 56 & 0x7f), (int32_t)(key >> 32 & RFM_TALLY_PERIOD_MAX), (uint16_t)(key >> 16),
                      (uint16_t)key};
}

rfm_tally *rfm_tally_new(void)
{
    rfm_tally *tally = calloc(1, sizeof *tally);
    struct slot *slots = calloc(SLOTS_AT_FIRST, sizeof *slots);
    RFM_NEED(tally && slots);
    *tally = (rfm_tally){.slots = slots, .size = SLOTS_AT_FIRST};
    return tally;
}

void rfm_tally_free(rfm_tally *tally)
{
    if (tally) {
        free(tally->slots);
        free(tally->changed);
        free(tally);
    }
}

void rfm_tally_clear(rfm_tally *tally)
{
    memset(tally->slots, 0, tally->size * sizeof *tally->slots);
    tally->count = tally->changed_count = 0;
}

/* The key's slot, or the empty one where it would stand. */
static struct slot *find(struct slot *slots, size_t size, uint64_t key)
{
    uint64_t metric = key >> 56 & 31, rest = key & UINT64_MAX >> 8;
    size_t at = (size_t)((rest * UINT64_C(0x9e3779b97f4a7c15) >> 32) + metric) & (size - 1);
    while (slots[at].key != 0 && (slots[at].key & ~CHANGED) != key) {
        at = (at + 1) & (size - 1);
    }
    return &slots[at];
}

static void grow(rfm_tally *tally)
{
    size_t size = tally->size * 2;
    struct slot *slots = calloc(size, sizeof *slots);
    RFM_NEED(slots);
    for (size_t i = 0; i < tally->size; i++) {
        if (tally->slots[i].key != 0) {
            *find(slots, size, tally->slots[i].key & ~CHANGED) = tally->slots[i];
        }
    }
    free(tally->slots);
    tally->slots = slots;
    tally->size = size;
}

static void note_changed(rfm_tally *tally, uint64_t key)
{
    tally->changed = rfm_grow(tally->changed, tally->changed_count, &tally->changed_size);
    tally->changed[tally->changed_count++] = key;
}

void rfm__tally_add(rfm_tally *tally, uint64_t key, int64_t amount)
{
    struct slot *slot = find(tally->slots, tally->size, key);
    if (slot->key == 0) {
        slot->key = key;
        if (++tally->count * 2 > tally->size) {
            grow(tally);
            slot = find(tally->slots, tally->size, key);
        }
    }
    slot->value = (int64_t)((uint64_t)slot->value + (uint64_t)amount);
    if (!(slot->key & CHANGED)) {
        slot->key |= CHANGED;
        note_changed(tally, key);
    }
}

int64_t rfm_tally_get(const rfm_tally *tally, rfm_cell cell)
{
    return find(tally->slots, tally->size, rfm_cell_key(cell))->value;
}

bool rfm_tally_next(const rfm_tally *tally, size_t *cursor, rfm_cell *cell, int64_t *value)
{
    while (*cursor < tally->size) {
        const struct slot *slot = &tally->slots[(*cursor)++];
        if (slot->value != 0) {
            *cell = cell_of(slot->key);
            *value = slot->value;
            return true;
        }
    }
    return false;
}

bool rfm_tally_take(rfm_tally *tally, rfm_cell *cell, int64_t *value)
{
    if (tally->changed_count == 0) {
        return false;
    }
    struct slot *slot = find(tally->slots, tally->size, tally->changed[--tally->changed_count]);
    slot->key &= ~CHANGED;
    *cell = cell_of(slot->key);
    *value = slot->value;
    return true;
}

void rfm_tally_settle(rfm_tally *tally)
{
    rfm_cell cell;
    int64_t value;
    while (rfm_tally_take(tally, &cell, &value)) {
    }
}

size_t rfm_cell_format(rfm_cell cell, char text[RFM_TALLY_FIELD_MAX])
{
    int len = snprintf(text, RFM_TALLY_FIELD_MAX, "%c%ld", cell.metric, (long)cell.period);
    if (cell.part > 0) {
        len += snprintf(text + len, RFM_TALLY_FIELD_MAX - (size_t)len, ".%u", cell.part);
    }
    if (cell.source > 0) {
        len += snprintf(text + len, RFM_TALLY_FIELD_MAX - (size_t)len, ":%u", cell.source);
    }
    return (size_t)len;
}

/* Digits up to one that is none; at least one, and at most `most`. */
static bool take_number(rfm_bytes *text, uint32_t most, uint32_t *number)
{
    size_t i = 0;
    uint64_t value = 0;
    for (; i < text->len && text->at[i] >= '0' && text->at[i] <= '9' && value <= most; i++) {
        value = value * 10 + (uint64_t)(text->at[i] - '0');
    }
    if (i == 0 || value > most) {
        return false;
    }
    *number = (uint32_t)value;
    *text = rfm_bytes_of(text->at + i, text->len - i);
    return true;
}

static bool take_marked(rfm_bytes *text, char mark, uint32_t *number)
{
    *number = 0;
    if (text->len == 0 || text->at[0] != (uint8_t)mark) {
        return true;
    }
    *text = rfm_bytes_of(text->at + 1, text->len - 1);
    return take_number(text, UINT16_MAX, number) && *number > 0;
}

int rfm_cell_parse(rfm_bytes text, rfm_cell *cell)
{
    uint32_t period, part, source;
    if (text.len < 2 || text.at[0] <= ' ' || text.at[0] >= 0x7f) {
        return RFM_E_CORRUPT;
    }
    char metric = (char)text.at[0];
    text = rfm_bytes_of(text.at + 1, text.len - 1);
    if (!take_number(&text, RFM_TALLY_PERIOD_MAX, &period) || !take_marked(&text, '.', &part) ||
        !take_marked(&text, ':', &source) || text.len > 0) {
        return RFM_E_CORRUPT;
    }
    *cell = (rfm_cell){metric, (int32_t)period, (uint16_t)part, (uint16_t)source};
    return RFM_OK;
}
