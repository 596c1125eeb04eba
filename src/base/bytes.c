#include <rfm/base/bytes.h>
#include <rfm/base/error.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

int rfm_bytes_compare(rfm_bytes a, rfm_bytes b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common ? memcmp(a.at, b.at, common) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static uint64_t read_fixed(rfm_reader *reader, size_t width)
{
    if (reader->bad || rfm_reader_left(reader) < width) {
        reader->bad = true;
        return 0;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < width; i++)
        value |= (uint64_t)reader->at[i] << 8 * i;
    reader->at += width;
    return value;
}

uint16_t rfm_read_u16(rfm_reader *reader)
{
    return (uint16_t)read_fixed(reader, 2);
}
uint32_t rfm_read_u32(rfm_reader *reader)
{
    return (uint32_t)read_fixed(reader, 4);
}
uint64_t rfm_read_u48(rfm_reader *reader)
{
    return read_fixed(reader, 6);
}
uint64_t rfm_read_u64(rfm_reader *reader)
{
    return read_fixed(reader, 8);
}

uint64_t rfm__read_varint_long(rfm_reader *reader)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = rfm_read_u8(reader);
        if (reader->bad || (shift == 63 && byte > 1))
            break;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return value;
    }
    reader->bad = true;
    return 0;
}

rfm_bytes rfm_read_bytes(rfm_reader *reader, size_t len)
{
    if (reader->bad || rfm_reader_left(reader) < len) {
        reader->bad = true;
        return RFM_BYTES_NONE;
    }
    rfm_bytes bytes = rfm_bytes_of(reader->at, len);
    if (len)
        reader->at += len;
    return bytes;
}

rfm_bytes rfm_read_sized(rfm_reader *reader)
{
    uint64_t len = rfm_read_varint(reader);
    return rfm_read_bytes(reader, len > SIZE_MAX ? SIZE_MAX : (size_t)len);
}

int rfm_integer_parse(rfm_bytes text, int64_t *integer)
{
    bool negative = text.len > 0 && text.at[0] == '-';
    int64_t value = 0; /* below zero, where one number more has room */
    if (text.len == negative)
        return RFM_E_MALFORMED;
    for (size_t i = negative; i < text.len; i++) {
        int digit = text.at[i] - '0';
        if (digit < 0 || digit > 9)
            return RFM_E_MALFORMED;
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_sub_overflow(value, digit, &value))
            return RFM_E_RANGE;
    }
    if (!negative && value == INT64_MIN)
        return RFM_E_RANGE;
    *integer = negative ? value : -value;
    return RFM_OK;
}

void rfm_buffer_init(rfm_buffer *buffer, size_t limit)
{
    *buffer = (rfm_buffer){.limit = limit};
}

void rfm_buffer_release(rfm_buffer *buffer)
{
    free(buffer->at);
    *buffer = (rfm_buffer){.limit = buffer->limit};
}

static bool grow(rfm_buffer *buffer, size_t size_needed)
{
    size_t size = buffer->size < 64 ? 64 : buffer->size;
    while (size < size_needed) {
        if (__builtin_mul_overflow(size, (size_t)2, &size))
            return false;
    }
    if (size > buffer->limit)
        size = buffer->limit;
    if (size < size_needed)
        return false;
    uint8_t *at = realloc(buffer->at, size);
    RFM_NEED(at); /* not as the limit, which the caller expects */
    buffer->at = at;
    buffer->size = size;
    return true;
}

uint8_t *rfm_buffer_reserve(rfm_buffer *buffer, size_t len)
{
    size_t size_needed;
    if (buffer->bad)
        return NULL;
    if (__builtin_add_overflow(buffer->len, len, &size_needed) ||
        ((size_needed > buffer->size || !buffer->at) && !grow(buffer, size_needed ? size_needed : 1))) {
        buffer->bad = true;
        return NULL;
    }
    return buffer->at + buffer->len;
}

static void write_fixed(rfm_buffer *buffer, uint64_t value, size_t width)
{
    uint8_t *at = rfm_buffer_reserve(buffer, width);
    if (!at)
        return;
    for (size_t i = 0; i < width; i++)
        at[i] = (uint8_t)(value >> 8 * i);
    buffer->len += width;
}

void rfm_write_u16(rfm_buffer *buffer, uint16_t value)
{
    write_fixed(buffer, value, 2);
}
void rfm_write_u32(rfm_buffer *buffer, uint32_t value)
{
    write_fixed(buffer, value, 4);
}
void rfm_write_u48(rfm_buffer *buffer, uint64_t value)
{
    write_fixed(buffer, value, 6);
}
void rfm_write_u64(rfm_buffer *buffer, uint64_t value)
{
    write_fixed(buffer, value, 8);
}

void rfm__write_varint_long(rfm_buffer *buffer, uint64_t value)
{
    uint8_t bytes[10];
    size_t len = 0;
    for (; value >= 0x80; value >>= 7)
        bytes[len++] = (uint8_t)(value | 0x80);
    bytes[len++] = (uint8_t)value;
    rfm_write_bytes(buffer, rfm_bytes_of(bytes, len));
}

void rfm_write_bytes(rfm_buffer *buffer, rfm_bytes bytes)
{
    if (bytes.len == 0)
        return;
    uint8_t *at = rfm_buffer_reserve(buffer, bytes.len);
    if (!at)
        return;
    memcpy(at, bytes.at, bytes.len);
    buffer->len += bytes.len;
}

void rfm_write_sized(rfm_buffer *buffer, rfm_bytes bytes)
{
    size_t len_before = buffer->len;
    rfm_write_varint(buffer, bytes.len);
    rfm_write_bytes(buffer, bytes);
    if (buffer->bad)
        buffer->len = len_before;
}

void rfm_write_text(rfm_buffer *buffer, const char *text)
{
    rfm_write_bytes(buffer, rfm_text(text));
}

void rfm_write_integer(rfm_buffer *buffer, int64_t value)
{
    uint8_t text[20];
    size_t at = sizeof text;
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do
        text[--at] = (uint8_t)('0' + left % 10);
    while ((left /= 10) > 0);
    if (value < 0)
        text[--at] = '-';
    rfm_write_bytes(buffer, rfm_bytes_of(text + at, sizeof text - at));
}

void rfm_write_format(rfm_buffer *buffer, const char *format, ...)
{
    char text[256];
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (len < 0) {
        buffer->bad = true;
    } else if ((size_t)len < sizeof text) {
        rfm_write_bytes(buffer, rfm_bytes_of(text, (size_t)len));
    } else { /* apart from the buffer, which may have room for the text but not for its zero */
        char *long_text = malloc((size_t)len + 1);
        RFM_NEED(long_text);
        vsnprintf(long_text, (size_t)len + 1, format, again);
        rfm_write_bytes(buffer, rfm_bytes_of(long_text, (size_t)len));
        free(long_text);
    }
    va_end(again);
}
