/* Views, and readers and writers over bytes. A view owns nothing. A reader never reads past its end: after the first
 * failure it returns zeroes and stays `bad`, so that a decoder checks once. Varints are LEB128, signed ones zigzag. */
#ifndef RFM_BASE_BYTES_H
#define RFM_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct rfm_bytes {
    const uint8_t *at;
    size_t len;
} rfm_bytes;

#define RFM_BYTES_NONE ((rfm_bytes){NULL, 0})

static inline rfm_bytes rfm_bytes_of(const void *at, size_t len)
{
    return (rfm_bytes){(const uint8_t *)at, len};
}
static inline rfm_bytes rfm_text(const char *text)
{
    return rfm_bytes_of(text, strlen(text));
}
static inline bool rfm_bytes_equal(rfm_bytes a, rfm_bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}
static inline bool rfm_bytes_is(rfm_bytes a, const char *text)
{
    return rfm_bytes_equal(a, rfm_text(text));
}
int rfm_bytes_compare(rfm_bytes a, rfm_bytes b); /* as memcmp, shorter first */

typedef struct rfm_reader {
    const uint8_t *at, *end;
    bool bad;
} rfm_reader;

static inline rfm_reader rfm_reader_of(rfm_bytes bytes)
{
    return (rfm_reader){bytes.at, bytes.len ? bytes.at + bytes.len : bytes.at, false};
}
static inline uint8_t rfm_read_u8(rfm_reader *reader)
{
    if (__builtin_expect(reader->bad || reader->at == reader->end, 0)) {
        reader->bad = true;
        return 0;
    }
    return *reader->at++;
}
uint16_t rfm_read_u16(rfm_reader *reader); /* little endian, as all fixed widths */
uint32_t rfm_read_u32(rfm_reader *reader);
uint64_t rfm_read_u48(rfm_reader *reader);
uint64_t rfm_read_u64(rfm_reader *reader);
uint64_t rfm__read_varint_long(rfm_reader *reader);
static inline uint64_t rfm_read_varint(rfm_reader *reader)
{
    if (__builtin_expect(!reader->bad && reader->at != reader->end && *reader->at < 0x80, 1))
        return *reader->at++;
    return rfm__read_varint_long(reader);
}
static inline int64_t rfm_read_zigzag(rfm_reader *reader)
{
    uint64_t value = rfm_read_varint(reader);
    return (int64_t)(value >> 1 ^ (0 - (value & 1)));
}
rfm_bytes rfm_read_bytes(rfm_reader *reader, size_t len);
rfm_bytes rfm_read_sized(rfm_reader *reader); /* varint length, then the bytes */
static inline size_t rfm_reader_left(const rfm_reader *reader)
{
    return (size_t)(reader->end - reader->at);
}
/* All of `text`: decimal digits, perhaps behind a '-'. RFM_E_MALFORMED; RFM_E_RANGE: beyond 64 bits. */
int rfm_integer_parse(rfm_bytes text, int64_t *integer);

/* A writer over memory that grows up to `limit`; after the first write beyond it, it writes nothing more and stays
 * `bad`. A single write is whole or not there at all. */
typedef struct rfm_buffer {
    uint8_t *at;
    size_t len, size, limit;
    bool bad;
} rfm_buffer;

void rfm_buffer_init(rfm_buffer *buffer, size_t limit); /* allocates nothing yet */
void rfm_buffer_release(rfm_buffer *buffer);
static inline void rfm_buffer_clear(rfm_buffer *buffer)
{
    buffer->len = 0, buffer->bad = false;
}
static inline rfm_bytes rfm_buffer_view(const rfm_buffer *buffer)
{
    return rfm_bytes_of(buffer->at, buffer->len);
}
/* Room for `len` more bytes at `at + len`, or NULL (and bad). The caller advances `len` by what it wrote. */
uint8_t *rfm_buffer_reserve(rfm_buffer *buffer, size_t len);
static inline void rfm_write_u8(rfm_buffer *buffer, uint8_t value)
{
    if (__builtin_expect(!buffer->bad && buffer->len < buffer->size, 1)) {
        buffer->at[buffer->len++] = value;
        return;
    }
    uint8_t *at = rfm_buffer_reserve(buffer, 1);
    if (at)
        *at = value, buffer->len++;
}
void rfm_write_u16(rfm_buffer *buffer, uint16_t value);
void rfm_write_u32(rfm_buffer *buffer, uint32_t value);
void rfm_write_u48(rfm_buffer *buffer, uint64_t value);
void rfm_write_u64(rfm_buffer *buffer, uint64_t value);
void rfm__write_varint_long(rfm_buffer *buffer, uint64_t value);
static inline void rfm_write_varint(rfm_buffer *buffer, uint64_t value)
{
    if (__builtin_expect(value < 0x80, 1))
        rfm_write_u8(buffer, (uint8_t)value);
    else
        rfm__write_varint_long(buffer, value);
}
static inline void rfm_write_zigzag(rfm_buffer *buffer, int64_t value)
{
    rfm_write_varint(buffer, (uint64_t)value << 1 ^ (0 - ((uint64_t)value >> 63)));
}
void rfm_write_bytes(rfm_buffer *buffer, rfm_bytes bytes);
void rfm_write_sized(rfm_buffer *buffer, rfm_bytes bytes);
void rfm_write_text(rfm_buffer *buffer, const char *text); /* without its zero */
void rfm_write_integer(rfm_buffer *buffer, int64_t value); /* in decimal */
void rfm_write_format(rfm_buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same writes into fixed memory, for codecs that know their bound: never grows; not to be released. */
static inline rfm_buffer rfm_buffer_over(void *at, size_t size)
{
    return (rfm_buffer){(uint8_t *)at, 0, size, size, false};
}

#endif
