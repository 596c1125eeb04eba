/* Any bytes as a message of the WAL topic, or as the Redis key `wal`. What can be read is written again to the same
 * bytes, and a view takes it or refuses it; what a view then holds, dumped and applied to an empty one, dumps the
 * same. */
#include <rfm/engine/redo.h>
#include <rfm/engine/view.h>

#include <stdlib.h>

static bool is_same(const rfm_redo_item *a, const rfm_redo_item *b)
{
    return a->op == b->op && rfm_bytes_equal(a->key, b->key) && rfm_bytes_equal(a->field, b->field) &&
           rfm_bytes_equal(a->value, b->value);
}

/* The operations as written anew: the same, one by one. */
static void check_written_again(const rfm_redo_header *header, rfm_bytes rest, rfm_redo *redo, rfm_arena *arena)
{
    rfm_redo_item item, again;
    rfm_redo_header header_again;
    rfm_bytes whole = rest, rest_again;
    const rfm_bytes *parts;
    rfm_redo_begin(redo, header->input_count);
    while (rfm_redo_next(&rest, &item))
        rfm_redo_put(redo, &item);
    RFM_ASSERT(rfm_redo_end(redo, header->before, header->next, arena, &parts) == 1);
    RFM_ASSERT(rfm_redo_open(parts[0], &header_again, &rest_again) == RFM_OK);
    RFM_ASSERT(header_again.before == header->before && header_again.input_count == header->input_count);
    RFM_ASSERT(memcmp(header_again.next, header->next, sizeof header->next) == 0);
    for (rest = whole; rfm_redo_next(&rest, &item);)
        RFM_ASSERT(rfm_redo_next(&rest_again, &again) && is_same(&item, &again));
    RFM_ASSERT(rest_again.len == 0);
}

static size_t dump(const rfm_view *view, rfm_redo *redo, rfm_arena *arena, const rfm_bytes **parts)
{
    static const int64_t next[RFM_INPUTS_MAX];
    rfm_redo_begin(redo, 1);
    rfm_view_dump(view, redo);
    return rfm_redo_end(redo, 0, next, arena, parts);
}

static void check_view(rfm_bytes part, rfm_redo *redo, rfm_arena *arena)
{
    const rfm_bytes *dumped, *again;
    rfm_view *view = rfm_view_new(), *other = rfm_view_new();
    if (rfm_view_apply(view, part) == RFM_OK) {
        size_t count = dump(view, redo, arena, &dumped);
        for (size_t i = 0; i < count; i++)
            RFM_ASSERT(rfm_view_apply(other, dumped[i]) == RFM_OK);
        RFM_ASSERT(dump(other, redo, arena, &again) == count);
        for (size_t i = 0; i < count; i++)
            RFM_ASSERT(rfm_bytes_equal(dumped[i], again[i]));
    }
    rfm_view_free(view);
    rfm_view_free(other);
}

static void check_wal_value(rfm_bytes text)
{
    char again[RFM_WAL_VALUE_MAX];
    int64_t wal = rfm_wal_value_parse(text);
    if (wal < 0)
        return;
    rfm_position at = {.wal = wal};
    size_t len = rfm_wal_value_format(&at, 1, again);
    RFM_ASSERT(rfm_wal_value_parse(rfm_bytes_of(again, len)) == wal);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rfm_redo_header header;
    rfm_bytes part = rfm_bytes_of(data, size), rest;
    rfm_arena arena;
    static rfm_redo redo;
    if (redo.part_bytes_max == 0)
        rfm_redo_init(&redo, 0);
    if (size > 64 * 1024)
        return 0;
    check_wal_value(part);
    if (rfm_redo_open(part, &header, &rest) != RFM_OK)
        return 0;
    RFM_ASSERT(header.part >= 1 && header.part <= header.parts && header.input_count <= RFM_INPUTS_MAX);
    rfm_arena_init(&arena);
    check_written_again(&header, rest, &redo, &arena);
    check_view(part, &redo, &arena);
    rfm_arena_release(&arena);
    return 0;
}
