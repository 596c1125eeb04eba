/* Redo: the only way anything reaches Redis. Physical and self-contained: whoever applies it needs to know nothing of
 * clients. A record has one or more parts, each a WAL message's value: a header (version, part k of K, the WAL offset
 * of the record before it, next input offsets), then operations on keys (without prefix). Idempotent only under the
 * fence of `wal`. */
#ifndef RFM_ENGINE_REDO_H
#define RFM_ENGINE_REDO_H

#include <rfm/base/arena.h>
#include <rfm/engine/ports.h>

enum { RFM_REDO_PART_BYTES_MAX = 900 * 1024, RFM_REDO_PARTS_MAX = 4096 };

typedef enum rfm_redo_op {
    RFM_REDO_SET = 1,         /* SET key value */
    RFM_REDO_DELETE = 2,      /* DEL key */
    RFM_REDO_HASH_SET = 3,    /* HSET key field value */
    RFM_REDO_HASH_DELETE = 4, /* HDEL key field */
    RFM_REDO_LIST_ADD = 5,    /* RPUSH key value */
    RFM_REDO_LIST_TRIM = 6,   /* LTRIM key n -1; n is the value in decimal */
    RFM_REDO_LIST_REMOVE = 7, /* LREM key 0 value: wherever it stands */
} rfm_redo_op;
typedef struct rfm_redo_item {
    rfm_redo_op op;
    rfm_bytes key, field, value;
} rfm_redo_item;

typedef struct rfm_redo_header {
    uint16_t part, parts; /* part 1..parts */
    int64_t before;
    uint8_t input_count;
    int64_t next[RFM_INPUTS_MAX];
} rfm_redo_header;

/* Reads a part's header and leaves *rest at its operations. RFM_E_CORRUPT, RFM_E_VERSION. */
int rfm_redo_open(rfm_bytes part, rfm_redo_header *header, rfm_bytes *rest);
/* The next operation; false at the end, or where it is broken (then rest->len > 0). */
bool rfm_redo_next(rfm_bytes *rest, rfm_redo_item *item);

/* Writing: begin, operations, end. Parts are split by size between operations; the header is known last. */
typedef struct rfm_redo {
    rfm_buffer buffer; /* all parts one after the other */
    size_t part_at[RFM_REDO_PARTS_MAX + 1];
    size_t part_count, part_bytes_max;
    uint8_t input_count;
} rfm_redo;
void rfm_redo_init(rfm_redo *redo, size_t part_bytes_max); /* 0: RFM_REDO_PART_BYTES_MAX */
void rfm_redo_release(rfm_redo *redo);
void rfm_redo_begin(rfm_redo *redo, size_t input_count);
void rfm_redo_put(rfm_redo *redo, const rfm_redo_item *item);
static inline size_t rfm_redo_bytes(const rfm_redo *redo)
{
    return redo->buffer.len;
}
/* Gives the parts, copied into the arena, with the headers filled in: `before` is the WAL offset of the task's record
 * before this one, `next` its next input offsets. */
size_t rfm_redo_end(rfm_redo *redo, int64_t before, const int64_t *next, rfm_arena *arena, const rfm_bytes **parts);

/* The text of the Redis key `wal`: "<offset> <next 0> <next 1> ...". */
enum { RFM_WAL_VALUE_MAX = 24 * (RFM_INPUTS_MAX + 1) };
size_t rfm_wal_value_format(const rfm_position *position, size_t input_count, char text[RFM_WAL_VALUE_MAX]);
int64_t rfm_wal_value_parse(rfm_bytes value); /* RFM_OFFSET_NONE: absent; INT64_MIN: not readable */

#endif
