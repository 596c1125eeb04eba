/* Redo records for tests. */
#ifndef RFM_TESTS_REDIS_CHANGE_H
#define RFM_TESTS_REDIS_CHANGE_H

#include <rfm/engine/redo.h>
#include <stdlib.h>

static inline rfm_redo_item item_of(rfm_redo_op op, const char *key, const char *field, const char *value)
{
    return (rfm_redo_item){op, rfm_text(key), rfm_text(field), rfm_text(value)};
}

/* The parts of a record of these operations, in the arena. */
static inline size_t redo_of(const rfm_redo_item *items, size_t count, rfm_arena *arena, const rfm_bytes **parts)
{
    static const int64_t next[RFM_INPUTS_MAX];
    rfm_redo *redo = malloc(sizeof *redo);
    rfm_redo_init(redo, 0);
    rfm_redo_begin(redo, 1);
    for (size_t i = 0; i < count; i++)
        rfm_redo_put(redo, &items[i]);
    size_t part_count = rfm_redo_end(redo, RFM_OFFSET_NONE, next, arena, parts);
    rfm_redo_release(redo);
    free(redo);
    return part_count;
}

#endif
