#include <rfm/engine/redo.h>

#include <stdio.h>
#include <stdlib.h>

/* Versions: 2 with LIST_REMOVE; 3: states lie in bundles, where an older program, that could apply it, would not look
 * for them. A part's header has fixed widths, since its numbers are known last: version, part, parts, before, input
 * count, next. */
enum { VERSION = 3, HEADER_BYTES = 14 };

static size_t header_len(size_t input_count)
{
    return HEADER_BYTES + 8 * input_count;
}

static void write_header(uint8_t *at, size_t part, size_t parts, int64_t before, const int64_t *next,
                         size_t input_count)
{
    rfm_buffer out = rfm_buffer_over(at, header_len(input_count));
    rfm_write_u8(&out, VERSION);
    rfm_write_u16(&out, (uint16_t)part);
    rfm_write_u16(&out, (uint16_t)parts);
    rfm_write_u64(&out, (uint64_t)before);
    rfm_write_u8(&out, (uint8_t)input_count);
    for (size_t i = 0; i < input_count; i++)
        rfm_write_u64(&out, (uint64_t)next[i]);
    RFM_ASSERT(!out.bad);
}

int rfm_redo_open(rfm_bytes part, rfm_redo_header *header, rfm_bytes *rest)
{
    rfm_reader in = rfm_reader_of(part);
    uint8_t version = rfm_read_u8(&in);
    if (!in.bad && version > VERSION)
        return RFM_E_VERSION;
    rfm_redo_header read = {0};
    read.part = rfm_read_u16(&in);
    read.parts = rfm_read_u16(&in);
    read.before = (int64_t)rfm_read_u64(&in);
    read.input_count = rfm_read_u8(&in);
    if (in.bad || version == 0 || read.input_count > RFM_INPUTS_MAX)
        return RFM_E_CORRUPT;
    for (size_t i = 0; i < read.input_count; i++)
        read.next[i] = (int64_t)rfm_read_u64(&in);
    for (size_t i = read.input_count; i < RFM_INPUTS_MAX; i++)
        read.next[i] = RFM_OFFSET_NONE;
    if (in.bad || read.part == 0 || read.part > read.parts)
        return RFM_E_CORRUPT;
    *header = read;
    *rest = rfm_bytes_of(in.at, rfm_reader_left(&in));
    return RFM_OK;
}

static bool has_field(rfm_redo_op op)
{
    return op == RFM_REDO_HASH_SET || op == RFM_REDO_HASH_DELETE;
}
static bool has_value(rfm_redo_op op)
{
    return op != RFM_REDO_DELETE && op != RFM_REDO_HASH_DELETE;
}

bool rfm_redo_next(rfm_bytes *rest, rfm_redo_item *item)
{
    if (rest->len == 0)
        return false;
    rfm_reader in = rfm_reader_of(*rest);
    rfm_redo_item read = {.op = (rfm_redo_op)rfm_read_u8(&in)};
    if (read.op < RFM_REDO_SET || read.op > RFM_REDO_LIST_REMOVE)
        return false;
    read.key = rfm_read_sized(&in);
    if (has_field(read.op))
        read.field = rfm_read_sized(&in);
    if (has_value(read.op))
        read.value = rfm_read_sized(&in);
    if (in.bad || read.key.len == 0)
        return false;
    *item = read;
    *rest = rfm_bytes_of(in.at, rfm_reader_left(&in));
    return true;
}

void rfm_redo_init(rfm_redo *redo, size_t part_bytes_max)
{
    memset(redo, 0, sizeof *redo);
    redo->part_bytes_max = part_bytes_max ? part_bytes_max : RFM_REDO_PART_BYTES_MAX;
    rfm_buffer_init(&redo->buffer, (size_t)RFM_REDO_PART_BYTES_MAX * RFM_REDO_PARTS_MAX);
}

void rfm_redo_release(rfm_redo *redo)
{
    rfm_buffer_release(&redo->buffer);
}

static void begin_part(rfm_redo *redo)
{
    RFM_ASSERT(redo->part_count < RFM_REDO_PARTS_MAX);
    redo->part_at[redo->part_count++] = redo->buffer.len;
    size_t len = header_len(redo->input_count);
    RFM_ASSERT(rfm_buffer_reserve(&redo->buffer, len) != NULL);
    redo->buffer.len += len;
}

void rfm_redo_begin(rfm_redo *redo, size_t input_count)
{
    rfm_buffer_clear(&redo->buffer);
    redo->input_count = (uint8_t)input_count;
    redo->part_count = 0;
    begin_part(redo);
}

void rfm_redo_put(rfm_redo *redo, const rfm_redo_item *item)
{
    size_t bound = item->key.len + item->field.len + item->value.len + 32;
    size_t part_len = redo->buffer.len - redo->part_at[redo->part_count - 1];
    if (part_len + bound > redo->part_bytes_max && part_len > header_len(redo->input_count))
        begin_part(redo);
    rfm_write_u8(&redo->buffer, (uint8_t)item->op);
    rfm_write_sized(&redo->buffer, item->key);
    if (has_field(item->op))
        rfm_write_sized(&redo->buffer, item->field);
    if (has_value(item->op))
        rfm_write_sized(&redo->buffer, item->value);
}

size_t rfm_redo_end(rfm_redo *redo, int64_t before, const int64_t *next, rfm_arena *arena, const rfm_bytes **parts)
{
    RFM_ASSERT(!redo->buffer.bad);
    size_t count = redo->part_count;
    redo->part_at[count] = redo->buffer.len;
    uint8_t *all = rfm_arena_take(arena, redo->buffer.len);
    memcpy(all, redo->buffer.at, redo->buffer.len);
    rfm_bytes *out = rfm_arena_take(arena, count * sizeof *out);
    for (size_t i = 0; i < count; i++) {
        write_header(all + redo->part_at[i], i + 1, count, before, next, redo->input_count);
        out[i] = rfm_bytes_of(all + redo->part_at[i], redo->part_at[i + 1] - redo->part_at[i]);
    }
    *parts = out;
    return count;
}

size_t rfm_wal_value_format(const rfm_position *position, size_t input_count, char text[RFM_WAL_VALUE_MAX])
{
    size_t len = (size_t)snprintf(text, RFM_WAL_VALUE_MAX, "%lld", (long long)position->wal);
    for (size_t i = 0; i < input_count; i++)
        len += (size_t)snprintf(text + len, RFM_WAL_VALUE_MAX - len, " %lld", (long long)position->next[i]);
    return len;
}

int64_t rfm_wal_value_parse(rfm_bytes value)
{
    if (value.at == NULL)
        return RFM_OFFSET_NONE;
    int64_t offset = 0;
    size_t i = 0;
    for (; i < value.len && value.at[i] >= '0' && value.at[i] <= '9'; i++) {
        if (__builtin_mul_overflow(offset, 10, &offset) || __builtin_add_overflow(offset, value.at[i] - '0', &offset))
            return INT64_MIN;
    }
    bool ended = i > 0 && (i == value.len || value.at[i] == ' ');
    return ended ? offset : INT64_MIN;
}
