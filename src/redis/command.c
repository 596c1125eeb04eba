#include "command.h"

enum {
    GROUP_MAX = 1000,             /* operations in one command */
    GROUP_BYTES_MAX = 256 * 1024, /* a group ends with the operation that passes this */
    NUMBER_MAX = 24,              /* '$' or '*', a number, CR LF */
};

static inline uint8_t *put_number(uint8_t *at, char kind, size_t number)
{
    uint8_t digits[20];
    size_t len = 0;
    *at++ = (uint8_t)kind;
    do
        digits[len++] = (uint8_t)('0' + number % 10);
    while (number /= 10);
    while (len)
        *at++ = digits[--len];
    *at++ = '\r';
    *at++ = '\n';
    return at;
}

static inline uint8_t *put_bytes(uint8_t *at, rfm_bytes bytes)
{
    at = put_number(at, '$', bytes.len);
    if (bytes.len)
        memcpy(at, bytes.at, bytes.len);
    at += bytes.len;
    *at++ = '\r';
    *at++ = '\n';
    return at;
}

static inline uint8_t *put_key(uint8_t *at, const rfm_keyspace *space, rfm_bytes key)
{
    at = put_number(at, '$', space->start_len + key.len);
    memcpy(at, space->start, space->start_len);
    at += space->start_len;
    if (key.len)
        memcpy(at, key.at, key.len);
    at += key.len;
    *at++ = '\r';
    *at++ = '\n';
    return at;
}

static size_t bound_of(rfm_bytes argument)
{
    return argument.len + NUMBER_MAX + 2;
}

static void advance(rfm_buffer *out, const uint8_t *end)
{
    out->len = (size_t)(end - out->at);
}

void rfm__command_begin(rfm_buffer *out, size_t argument_count)
{
    uint8_t *at = rfm_buffer_reserve(out, NUMBER_MAX);
    if (at)
        advance(out, put_number(at, '*', argument_count));
}

void rfm__command_bytes(rfm_buffer *out, rfm_bytes argument)
{
    uint8_t *at = rfm_buffer_reserve(out, bound_of(argument));
    if (at)
        advance(out, put_bytes(at, argument));
}

void rfm__command_text(rfm_buffer *out, const char *argument)
{
    rfm__command_bytes(out, rfm_text(argument));
}

void rfm__command_number(rfm_buffer *out, int64_t argument)
{
    char text[24];
    rfm_buffer digits = rfm_buffer_over(text, sizeof text);
    rfm_write_format(&digits, "%lld", (long long)argument);
    rfm__command_bytes(out, rfm_buffer_view(&digits));
}

void rfm__command_key(rfm_buffer *out, const rfm_keyspace *space, rfm_bytes key)
{
    uint8_t *at = rfm_buffer_reserve(out, bound_of(key) + space->start_len);
    if (at)
        advance(out, put_key(at, space, key));
}

void rfm__command_words(rfm_buffer *out, const char *words)
{
    size_t count = 1;
    for (const char *at = words; *at; at++)
        count += *at == ' ';
    rfm__command_begin(out, count);
    for (const char *at = words; count; count--) {
        size_t len = strcspn(at, " ");
        rfm__command_bytes(out, rfm_bytes_of(at, len));
        at += len + 1;
    }
}

/* What a command of one or more neighbouring operations is made of. */
typedef struct command_shape {
    const char *name;
    bool one_key; /* the key once, then each operation's rest; else each operation with its key */
    bool field, value;
    const char *last; /* a last argument, or NULL */
    bool alone;
    const char *first; /* an argument after the key, or NULL */
} command_shape;

static const command_shape shapes[] = {
    [RFM_REDO_SET] = {"MSET", false, false, true, NULL, false, NULL},
    [RFM_REDO_DELETE] = {"DEL", false, false, false, NULL, false, NULL},
    [RFM_REDO_HASH_SET] = {"HSET", true, true, true, NULL, false, NULL},
    [RFM_REDO_HASH_DELETE] = {"HDEL", true, true, false, NULL, false, NULL},
    [RFM_REDO_LIST_ADD] = {"RPUSH", true, false, true, NULL, false, NULL},
    [RFM_REDO_LIST_TRIM] = {"LTRIM", true, false, true, "-1", true, NULL},
    [RFM_REDO_LIST_REMOVE] = {"LREM", true, false, true, NULL, true, "0"},
};

typedef struct command_group {
    size_t count, bytes;
    rfm_redo_item items[GROUP_MAX];
} command_group;

static size_t item_bound(const rfm_redo_item *item, const rfm_keyspace *space)
{
    return bound_of(item->key) + space->start_len + bound_of(item->field) + bound_of(item->value);
}

static void write_group(rfm_buffer *out, const rfm_keyspace *space, const command_group *group)
{
    enum { REST_MAX = 64 }; /* count, name, last */
    const command_shape *shape = &shapes[group->items[0].op];
    uint8_t *at = rfm_buffer_reserve(out, group->bytes + REST_MAX);
    if (!at)
        return;
    size_t each = (size_t)!shape->one_key + shape->field + shape->value;
    at = put_number(at, '*', 1 + shape->one_key + each * group->count + (shape->first != NULL) + (shape->last != NULL));
    at = put_bytes(at, rfm_text(shape->name));
    if (shape->one_key)
        at = put_key(at, space, group->items[0].key);
    if (shape->first)
        at = put_bytes(at, rfm_text(shape->first));
    for (size_t i = 0; i < group->count; i++) {
        const rfm_redo_item *item = &group->items[i];
        if (!shape->one_key)
            at = put_key(at, space, item->key);
        if (shape->field)
            at = put_bytes(at, item->field);
        if (shape->value)
            at = put_bytes(at, item->value);
    }
    if (shape->last)
        at = put_bytes(at, rfm_text(shape->last));
    advance(out, at);
}

static bool belongs(const command_group *group, const rfm_redo_item *item)
{
    const rfm_redo_item *first = &group->items[0];
    const command_shape *shape = &shapes[item->op];
    return group->count > 0 && group->count < GROUP_MAX && group->bytes < GROUP_BYTES_MAX && item->op == first->op &&
           !shape->alone && (!shape->one_key || rfm_bytes_equal(item->key, first->key));
}

static void end_group(rfm_buffer *out, const rfm_keyspace *space, command_group *group, size_t *command_count)
{
    if (group->count) {
        write_group(out, space, group);
        ++*command_count;
    }
    group->count = 0;
    group->bytes = 0;
}

static int redo_part(rfm_buffer *out, const rfm_keyspace *space, rfm_bytes part, command_group *group,
                     size_t *command_count)
{
    rfm_redo_header header;
    rfm_redo_item item;
    int code = rfm_redo_open(part, &header, &part);
    if (code)
        return code;
    while (rfm_redo_next(&part, &item)) {
        if (!belongs(group, &item))
            end_group(out, space, group, command_count);
        group->items[group->count++] = item;
        group->bytes += item_bound(&item, space);
    }
    return part.len ? RFM_E_CORRUPT : RFM_OK;
}

int rfm__command_redo(rfm_buffer *out, const rfm_keyspace *space, const rfm_bytes *parts, size_t part_count,
                      size_t *command_count)
{
    command_group group;
    size_t len_before = out->len;
    group.count = 0;
    group.bytes = 0;
    *command_count = 0;
    for (size_t i = 0; i < part_count; i++) {
        int code = redo_part(out, space, parts[i], &group, command_count);
        if (code) {
            out->len = len_before;
            return code;
        }
    }
    end_group(out, space, &group, command_count);
    return RFM_OK;
}
