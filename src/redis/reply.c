#include "reply.h"

#include <hiredis/hiredis.h>
#include <stdio.h>

/* A hash of a task may have all the clients that it has erased: 1 << 20, two elements each. */
enum { ELEMENTS_MAX = 1 << 22, VALUE_BYTES_MAX = 16 << 20, REPLY_BYTES_MAX = 256 << 20 };
enum { SCRATCH_BYTES = 32 << 10 }; /* not at each status: chunks that many resets did not need are given back */

/* NULL makes hiredis give the stream up. */
static void *refuse(rfm_reply_reader *reader, const char *why)
{
    reader->refused = why;
    return NULL;
}

static rfm_arena *arena_of(rfm_reply_reader *reader)
{
    return reader->arena ? reader->arena : &reader->scratch;
}

static rfm_reply *begin_reply(rfm_reply_reader *reader, rfm_reply_kind kind)
{
    if (reader->scratch.used_bytes > SCRATCH_BYTES)
        rfm_arena_reset(&reader->scratch);
    reader->reply = (rfm_reply){.kind = kind};
    return &reader->reply;
}

static rfm_bytes *element_of(rfm_reply_reader *reader, const redisReadTask *task)
{
    size_t before = task->parent->parent ? reader->flattened : 0;
    return &reader->reply.elements[before + (size_t)task->idx];
}

static void *create_text(const redisReadTask *task, char *text, size_t len)
{
    rfm_reply_reader *reader = task->privdata;
    if (len > reader->limits.value_bytes_max)
        return refuse(reader, "a value is too large");
    reader->reply_bytes += len;
    if (reader->reply_bytes > reader->limits.reply_bytes_max)
        return refuse(reader, "a reply is too large");
    if (!task->parent) {
        rfm_reply *reply = begin_reply(reader, task->type == REDIS_REPLY_ERROR    ? RFM_REPLY_ERROR
                                               : task->type == REDIS_REPLY_STATUS ? RFM_REPLY_STATUS
                                                                                  : RFM_REPLY_TEXT);
        reply->text = rfm_arena_copy(arena_of(reader), rfm_bytes_of(text, len));
        return reply;
    }
    rfm_bytes *element = element_of(reader, task);
    *element = rfm_arena_copy(arena_of(reader), rfm_bytes_of(text, len));
    if (task->type == REDIS_REPLY_ERROR && !reader->reply.error.at)
        reader->reply.error = *element;
    return &reader->reply;
}

/* The inner array takes the place of the outer one's last element. */
static void *flatten(rfm_reply_reader *reader, const redisReadTask *task, size_t count)
{
    rfm_reply *reply = &reader->reply;
    if (task->parent->parent || task->idx + 1 != task->parent->elements)
        return refuse(reader, "a reply is nested");
    reader->flattened = reply->count - 1;
    rfm_bytes *elements = rfm_arena_take(arena_of(reader), (reader->flattened + count) * sizeof *elements);
    memcpy(elements, reply->elements, reader->flattened * sizeof *elements);
    reply->elements = elements;
    reply->count = reader->flattened + count;
    return reply;
}

static void *create_array(const redisReadTask *task, size_t count)
{
    rfm_reply_reader *reader = task->privdata;
    if (task->type != REDIS_REPLY_ARRAY)
        return refuse(reader, "a reply in another protocol");
    if (count > reader->limits.elements_max)
        return refuse(reader, "a reply has too many elements");
    if (task->parent)
        return flatten(reader, task, count);
    rfm_reply *reply = begin_reply(reader, RFM_REPLY_ARRAY);
    reply->elements = rfm_arena_take(arena_of(reader), count * sizeof *reply->elements);
    reply->count = count;
    return reply;
}

static void *create_number(const redisReadTask *task, long long number)
{
    rfm_reply_reader *reader = task->privdata;
    (void)number;
    if (!task->parent)
        return begin_reply(reader, RFM_REPLY_NUMBER);
    *element_of(reader, task) = rfm_bytes_of("", 0);
    return &reader->reply;
}

static void *create_nil(const redisReadTask *task)
{
    rfm_reply_reader *reader = task->privdata;
    if (!task->parent)
        return begin_reply(reader, RFM_REPLY_NIL);
    *element_of(reader, task) = RFM_BYTES_NONE;
    return &reader->reply;
}

static void *create_double(const redisReadTask *task, double number, char *text, size_t len)
{
    (void)number, (void)text, (void)len;
    return refuse(task->privdata, "a reply in another protocol");
}

static void *create_bool(const redisReadTask *task, int value)
{
    (void)value;
    return refuse(task->privdata, "a reply in another protocol");
}

static void free_nothing(void *reply)
{
    (void)reply;
}

static redisReplyObjectFunctions functions = {
    create_text, create_array, create_number, create_double, create_nil, create_bool, free_nothing,
};

void rfm__reply_reader_init(rfm_reply_reader *reader, const rfm_store_limits *limits)
{
    *reader = (rfm_reply_reader){.limits = *limits};
    if (!reader->limits.elements_max)
        reader->limits.elements_max = ELEMENTS_MAX;
    if (!reader->limits.value_bytes_max)
        reader->limits.value_bytes_max = VALUE_BYTES_MAX;
    if (!reader->limits.reply_bytes_max)
        reader->limits.reply_bytes_max = REPLY_BYTES_MAX;
    rfm_arena_init(&reader->scratch);
    reader->reader = redisReaderCreateWithFunctions(&functions);
    RFM_NEED(reader->reader);
    reader->reader->privdata = reader;
    reader->reader->maxelements = (long long)reader->limits.elements_max;
}

void rfm__reply_reader_release(rfm_reply_reader *reader)
{
    redisReaderFree(reader->reader);
    rfm_arena_release(&reader->scratch);
    reader->reader = NULL;
}

int rfm__reply_feed(rfm_reply_reader *reader, rfm_bytes bytes)
{
    enum { ROOM_FOR_HEADERS = 1 << 16 };
    size_t waiting = reader->reader->len - reader->reader->pos;
    if (waiting > reader->limits.value_bytes_max + ROOM_FOR_HEADERS)
        return RFM_E_TOO_LARGE; /* one value that is still coming in, whatever length it announced */
    return redisReaderFeed(reader->reader, (const char *)bytes.at, bytes.len) == REDIS_OK ? RFM_OK : RFM_E_NO_MEMORY;
}

int rfm__reply_next(rfm_reply_reader *reader, const rfm_reply **reply, rfm_error *error)
{
    void *whole = NULL;
    *reply = NULL;
    if (redisReaderGetReply(reader->reader, &whole) != REDIS_OK) {
        if (reader->refused)
            return rfm_fail(error, RFM_E_TOO_LARGE, "%s", reader->refused);
        return rfm_fail(error, RFM_E_MALFORMED, "not the Redis protocol: %s", reader->reader->errstr);
    }
    if (whole) {
        reader->reply_bytes = 0;
        *reply = whole;
    }
    return RFM_OK;
}

bool rfm__reply_says(rfm_bytes error, const char *code)
{
    size_t len = strlen(code);
    return error.len >= len && memcmp(error.at, code, len) == 0 && (error.len == len || error.at[len] == ' ');
}

void rfm__reply_quote(rfm_bytes error, char *text, size_t size)
{
    static const char arguments[] = ", with args";
    const uint8_t *args = error.len ? memmem(error.at, error.len, arguments, sizeof arguments - 1) : NULL;
    size_t len = args ? (size_t)(args - error.at) : error.len;
    if (len > size - 1)
        len = size - 1;
    for (size_t i = 0; i < len; i++)
        text[i] = error.at[i] < ' ' || error.at[i] >= 0x7f ? '?' : (char)error.at[i];
    text[len] = '\0';
}
