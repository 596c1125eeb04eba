/* Numbers as the packed form has them: LEB128 varints, signed ones zigzag, fixed words little endian; writing goes
 * through a bare pointer into a buffer that is known to be large enough, reading through a cursor that fails once. */
#ifndef RFM_CLIENT_PACKING_H
#define RFM_CLIENT_PACKING_H

#include <rfm/client/client.h>

#define EPOCH_MS RFM_TIME_1990_MS

__attribute__((noinline, unused)) static uint8_t *put_varint_slow(uint8_t *at, uint64_t value)
{
    while (value >= 0x80) {
        *at++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *at++ = (uint8_t)value;
    return at;
}

/* Up to 56 bits without a branch for each byte: the bits are spread to seven a byte, and eight bytes written, of which
 * the length counts. What is written last is therefore never a varint at the end of the buffer (RFM_CLIENT_PACKED_MAX
 * has room). */
static inline uint8_t *put_varint(uint8_t *at, uint64_t value)
{
    if (value < 0x80) {
        *at = (uint8_t)value;
        return at + 1;
    }
    if (value >> 56) {
        return put_varint_slow(at, value);
    }
    unsigned len = (unsigned)(70 - __builtin_clzll(value)) / 7;
    value = (value & 0x0000000fffffff) | (value & 0xfffffff0000000) << 4;
    value = (value & 0x00003fff00003fff) | (value & 0x0fffc0000fffc000) << 2;
    value = (value & 0x007f007f007f007f) | (value & 0x3f803f803f803f80) << 1;
    value |= UINT64_C(0x8080808080808080) & ((UINT64_C(1) << 8 * (len - 1)) - 1);
    memcpy(at, &value, sizeof value);
    return at + len;
}

static inline uint64_t zigzag(uint64_t difference)
{
    return difference << 1 ^ (0 - (difference >> 63));
}

static inline uint64_t unzigzag(uint64_t value)
{
    return value >> 1 ^ (0 - (value & 1));
}

static inline uint8_t *put_signed(uint8_t *at, int64_t value)
{
    return put_varint(at, zigzag((uint64_t)value));
}

static inline uint8_t *put_since(uint8_t *at, int64_t value, int64_t reference)
{
    return put_varint(at, zigzag((uint64_t)value - (uint64_t)reference));
}

static inline uint8_t *put_fixed(uint8_t *at, uint64_t value, size_t len)
{
    memcpy(at, &value, sizeof value); /* little endian */
    return at + len;
}
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words are written as they lie in memory");

static inline int64_t seconds(int64_t time_ms)
{
    return rfm_div_floor(time_ms, RFM_SECOND_MS);
}

/* The first failure makes `bad` and goes to the end; from then on everything reads as 0. */
struct cursor {
    const uint8_t *at, *end;
    bool bad;
};

static inline void fail_unless(struct cursor *cursor, bool good)
{
    if (!good) {
        cursor->bad = true;
        cursor->at = cursor->end;
    }
}

__attribute__((noinline, unused)) static uint64_t get_fixed_slow(struct cursor *cursor, size_t len)
{
    fail_unless(cursor, (size_t)(cursor->end - cursor->at) >= len);
    if (cursor->bad) {
        return 0;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < len; i++) {
        value |= (uint64_t)cursor->at[i] << 8 * i;
    }
    cursor->at += len;
    return value;
}

static inline uint64_t load(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/* The next eight bytes, zeros beyond the end. */
static inline uint64_t peek(const struct cursor *cursor)
{
    uint64_t word = 0;
    size_t left = (size_t)(cursor->end - cursor->at);
    if (left >= sizeof word) {
        return load(cursor->at);
    }
    for (size_t i = 0; i < left; i++) {
        word |= (uint64_t)cursor->at[i] << 8 * i;
    }
    return word;
}

static inline void skip(struct cursor *cursor, size_t len)
{
    bool good = (size_t)(cursor->end - cursor->at) >= len;
    fail_unless(cursor, good);
    cursor->at += good ? len : 0;
}

static inline uint64_t get_fixed(struct cursor *cursor, size_t len)
{
    if (cursor->end - cursor->at < (ptrdiff_t)sizeof(uint64_t)) {
        return get_fixed_slow(cursor, len);
    }
    uint64_t word = load(cursor->at);
    cursor->at += len;
    return word & UINT64_MAX >> (64 - 8 * len);
}

__attribute__((noinline, unused)) static uint64_t get_varint_slow(struct cursor *cursor)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && cursor->at < cursor->end; shift += 7) {
        uint64_t byte = *cursor->at++;
        if (shift == 63 && byte > 1) {
            break;
        }
        value |= (byte & 0x7f) << shift;
        if (byte < 0x80) {
            return value;
        }
    }
    fail_unless(cursor, false);
    return 0;
}

static inline uint64_t get_varint(struct cursor *cursor)
{
    if (cursor->end - cursor->at < (ptrdiff_t)sizeof(uint64_t)) {
        return get_varint_slow(cursor);
    }
    uint64_t word = load(cursor->at), ends = ~word & UINT64_C(0x8080808080808080);
    if (word & 0x80) {
        if (ends == 0) {
            return get_varint_slow(cursor);
        }
        word &= ends ^ (ends - 1);
        cursor->at += (unsigned)__builtin_ctzll(ends) / 8 + 1;
        word = (word & 0x007f007f007f007f) | (word & 0x7f007f007f007f00) >> 1;
        word = (word & 0x00003fff00003fff) | (word & 0x3fff00003fff0000) >> 2;
        return (word & 0x000000000fffffff) | (word & 0x0fffffff00000000) >> 4;
    }
    cursor->at++;
    return word & 0x7f;
}

static inline uint64_t get_varint_max(struct cursor *cursor, uint64_t max)
{
    uint64_t value = get_varint(cursor);
    fail_unless(cursor, value <= max);
    return value <= max ? value : 0;
}

static inline uint8_t get_u8_max(struct cursor *cursor, uint8_t max)
{
    uint8_t value = (uint8_t)get_fixed(cursor, 1);
    fail_unless(cursor, value <= max);
    return value <= max ? value : 0;
}

static inline int64_t get_signed(struct cursor *cursor)
{
    return (int64_t)unzigzag(get_varint(cursor));
}

static inline int64_t get_since(struct cursor *cursor, int64_t reference)
{
    return (int64_t)((uint64_t)reference + unzigzag(get_varint(cursor)));
}

static inline int64_t checked_time(struct cursor *cursor, int64_t time_ms)
{
    bool good = time_ms >= EPOCH_MS && time_ms <= RFM_TIME_MAX_MS;
    fail_unless(cursor, good);
    return good ? time_ms : EPOCH_MS;
}

static inline int64_t get_time(struct cursor *cursor, int64_t reference)
{
    return checked_time(cursor, get_since(cursor, reference));
}

static inline uint64_t get_distance(struct cursor *cursor)
{
    return get_varint_max(cursor, (uint64_t)RFM_TIME_MAX_MS);
}

/* Most times of a client are those of events that its window still holds. Such a one is written as the event's place
 * there and the milliseconds beyond its second, any other as the difference from the reference, the newest event of the
 * window. */
struct times {
    const rfm_client *client;
    int64_t reference_ms;
    bool plain; /* versions 1 and 2: differences alone */
};
/* From which end of the window places count, which are shorter where they are low. */
typedef enum window_end { FROM_OLDEST, FROM_NEWEST } window_end;

/* For writing: where the seconds of the window are, by their hash, the newest of those that have the same. A search
 * would end elsewhere for each time, which processors cannot foresee. */
enum { PLACES = 64 };
struct places {
    struct times times;
    uint8_t index[PLACES];
};

/* codec_window.c: the windows of events and of orders, and times by them. */
uint8_t *rfm__put_seen(uint8_t *at, const rfm_client *client, struct places *places);
void rfm__get_seen(struct cursor *cursor, rfm_client *client);
uint8_t *rfm__put_orders(uint8_t *at, const rfm_client *client, int64_t reference_ms);
void rfm__get_orders(struct cursor *cursor, rfm_client *client, int64_t reference_ms);
void rfm__get_old_seen(struct cursor *cursor, rfm_client *client, int64_t *reference_ms);
void rfm__get_old_orders(struct cursor *cursor, rfm_client *client, int64_t reference_ms);
/* The place of the time's second in the window; -1: it is not there. */
int rfm__place_of(const struct places *places, int64_t time_ms, window_end end);
/* The time of what was written for a place; checked. */
int64_t rfm__time_at(struct cursor *cursor, const rfm_client *client, uint64_t written, window_end end);
uint8_t *rfm__put_time(uint8_t *at, const struct places *places, int64_t time_ms, window_end end);
int64_t rfm__get_time(struct cursor *cursor, const struct times *times, window_end end);

/* codec_latest.c: the sections of profile, feedback, points and categories. */
uint8_t *rfm__put_latest(uint8_t *at, const rfm_client *client, const struct places *places);
void rfm__get_latest(struct cursor *cursor, rfm_client *client, const struct times *times);
uint8_t *rfm__put_balances(uint8_t *at, const rfm_client *client, const struct places *places);
void rfm__get_balances(struct cursor *cursor, rfm_client *client, const struct times *times);
uint8_t *rfm__put_categories(uint8_t *at, const rfm_client *client);
void rfm__get_categories(struct cursor *cursor, rfm_client *client, bool plain);

/* codec.c, codec_old.c: sections that all versions have alike but for their times. */
uint64_t rfm__get_purchase_days(struct cursor *cursor);
void rfm__get_visits(struct cursor *cursor, rfm_client *client, const struct times *times);
void rfm__get_consents(struct cursor *cursor, rfm_client *client, const struct times *times);
void rfm__get_source(struct cursor *cursor, rfm_client *client, const struct times *times);
void rfm__get_left(struct cursor *cursor, rfm_client *client, int64_t reference_ms);
void rfm__get_slots(struct cursor *cursor, rfm_client *client);
/* The sections of versions 1 and 2. */
void rfm__get_old_sections(struct cursor *cursor, rfm_client *client, uint8_t version);

#endif
