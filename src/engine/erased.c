#include "erased.h"

#include <rfm/base/grow.h>
#include <rfm/base/hash.h>
#include <rfm/engine/keys.h>
#include <stdio.h>
#include <stdlib.h>

enum { SWEPT_AT_ONCE = 16, FIELD_LEN = 32 };

void rfm__erased_init(rfm__erased *erased)
{
    *erased = (rfm__erased){0};
    rfm_table_init(&erased->table, 0);
}

void rfm__erased_release(rfm__erased *erased)
{
    rfm_table_release(&erased->table);
    free(erased->items);
    *erased = (rfm__erased){0};
}

/* The hash is canonical, high half first; its low half finds it in the table. */
static uint64_t key_of(const uint8_t hash[16])
{
    uint64_t key;
    memcpy(&key, hash + 8, sizeof key);
    return key;
}

void rfm__erased_clear(rfm__erased *erased)
{
    for (size_t i = 0; i < erased->count; i++)
        (void)rfm_table_remove(&erased->table, key_of(erased->items[i].hash), (uint32_t)i);
    erased->count = erased->sweep = 0;
}

static uint32_t index_of(const rfm__erased *erased, const uint8_t hash[16])
{
    size_t cursor = RFM_TABLE_START;
    for (uint32_t i; (i = rfm_table_find(&erased->table, key_of(hash), &cursor)) != RFM_TABLE_NONE;)
        if (memcmp(erased->items[i].hash, hash, sizeof erased->items[i].hash) == 0)
            return i;
    return RFM_TABLE_NONE;
}

const rfm__tombstone *rfm__erased_find(const rfm__erased *erased, rfm_bytes client_id, int64_t clock_ms)
{
    uint8_t hash[16];
    if (erased->count == 0)
        return NULL;
    rfm_hash128(client_id, hash);
    uint32_t i = index_of(erased, hash);
    return i != RFM_TABLE_NONE && clock_ms < erased->items[i].until_ms ? &erased->items[i] : NULL;
}

static void write_item(const rfm__tombstone *item, rfm_redo_op op, rfm_redo *redo)
{
    char field[FIELD_LEN + 1], value[72];
    rfm_hex(item->hash, sizeof item->hash, field);
    int len = snprintf(value, sizeof value, "%lld %lld %llu", (long long)item->time_ms, (long long)item->until_ms,
                       (unsigned long long)item->id48);
    rfm_redo_put(redo, &(rfm_redo_item){.op = op,
                                        .key = rfm_text(RFM_KEY_ERASED),
                                        .field = rfm_bytes_of(field, FIELD_LEN),
                                        .value = rfm_bytes_of(value, (size_t)len)});
}

/* The last one takes its place. */
static void remove_at(rfm__erased *erased, uint32_t i)
{
    uint32_t last = (uint32_t)(erased->count - 1);
    (void)rfm_table_remove(&erased->table, key_of(erased->items[i].hash), i);
    if (i != last) {
        (void)rfm_table_remove(&erased->table, key_of(erased->items[last].hash), last);
        erased->items[i] = erased->items[last];
        rfm_table_add(&erased->table, key_of(erased->items[i].hash), i);
    }
    erased->count--;
}

static void make_room(rfm__erased *erased, rfm_redo *redo)
{
    uint32_t first = 0;
    for (uint32_t i = 1; i < erased->count; i++)
        if (erased->items[i].until_ms < erased->items[first].until_ms)
            first = i;
    write_item(&erased->items[first], RFM_REDO_HASH_DELETE, redo);
    remove_at(erased, first);
}

static rfm__tombstone *add(rfm__erased *erased, const uint8_t hash[16])
{
    erased->items = rfm_grow(erased->items, erased->count, &erased->size);
    rfm__tombstone *item = &erased->items[erased->count];
    *item = (rfm__tombstone){0};
    memcpy(item->hash, hash, sizeof item->hash);
    rfm_table_add(&erased->table, key_of(hash), (uint32_t)erased->count++);
    return item;
}

void rfm__erased_put(rfm__erased *erased, rfm_bytes client_id, int64_t time_ms, int64_t until_ms, uint64_t id48,
                     rfm_redo *redo)
{
    uint8_t hash[16];
    rfm_hash128(client_id, hash);
    uint32_t i = index_of(erased, hash);
    if (i == RFM_TABLE_NONE && erased->count == RFM__ERASED_MAX)
        make_room(erased, redo);
    rfm__tombstone *item = i == RFM_TABLE_NONE ? add(erased, hash) : &erased->items[i];
    item->time_ms = time_ms;
    item->until_ms = until_ms;
    item->id48 = id48;
    write_item(item, RFM_REDO_HASH_SET, redo);
}

void rfm__erased_sweep(rfm__erased *erased, int64_t clock_ms, rfm_redo *redo)
{
    for (size_t seen = 0; seen < SWEPT_AT_ONCE && erased->count > 0; seen++) {
        if (erased->sweep >= erased->count)
            erased->sweep = 0;
        if (clock_ms < erased->items[erased->sweep].until_ms) {
            erased->sweep++;
            continue;
        }
        write_item(&erased->items[erased->sweep], RFM_REDO_HASH_DELETE, redo);
        remove_at(erased, (uint32_t)erased->sweep);
    }
}

static bool parse_hash(rfm_bytes text, uint8_t hash[16])
{
    if (text.len != FIELD_LEN)
        return false;
    for (size_t i = 0; i < FIELD_LEN; i++) {
        uint8_t c = text.at[i];
        bool digit = c >= '0' && c <= '9', letter = c >= 'a' && c <= 'f';
        if (!digit && !letter)
            return false;
        uint8_t nibble = (uint8_t)(digit ? c - '0' : c - 'a' + 10);
        hash[i / 2] = (uint8_t)(i % 2 ? hash[i / 2] | nibble : nibble << 4);
    }
    return true;
}

static bool parse_value(rfm_bytes text, rfm__tombstone *item)
{
    char copy[72];
    long long time_ms, until_ms;
    unsigned long long id48;
    int end = 0;
    if (text.len >= sizeof copy)
        return false;
    memcpy(copy, text.at, text.len);
    copy[text.len] = 0;
    if (sscanf(copy, "%lld %lld %llu%n", &time_ms, &until_ms, &id48, &end) != 3 || (size_t)end != text.len)
        return false;
    item->time_ms = time_ms;
    item->until_ms = until_ms;
    item->id48 = id48;
    return true;
}

int rfm__erased_restore(rfm__erased *erased, const rfm_bytes *values, size_t count)
{
    for (size_t i = 0; i + 1 < count; i += 2) {
        rfm__tombstone read = {0};
        if (!parse_hash(values[i], read.hash) || !parse_value(values[i + 1], &read))
            return RFM_E_CORRUPT;
        if (erased->count == RFM__ERASED_MAX || index_of(erased, read.hash) != RFM_TABLE_NONE)
            return RFM_E_CORRUPT;
        *add(erased, read.hash) = read;
    }
    return RFM_OK;
}
