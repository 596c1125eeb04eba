#include "packing.h"

/* The window of events, newest first: the id and a bit as 40 bits, then by how much it lies before the entry after it:
 * a byte or three, as the bit says, since events of a visit follow each other in seconds and visits in days. Any other
 * difference is a varint. */
#define EPOCH_S    (EPOCH_MS / RFM_SECOND_MS)
#define TIME_MAX_S (RFM_TIME_MAX_MS / RFM_SECOND_MS)
enum {
    ID_BYTES = 5,
    FAR = 1,             /* the bit beside the id: the time takes more */
    NEAR_S = 256,        /* up to here before the entry after it: one byte */
    BACK_S = 1 << 22,    /* else three, from so long after it on, arrivals being out of order */
    STEP_MAX = 0xffffff, /* these all set: a varint follows */
    TIME_SHIFT = 8 * ID_BYTES
};
_Static_assert(RFM_ID_BITS + 1 == TIME_SHIFT, "an id and a bit are whole bytes");

static uint8_t *put_newest(uint8_t *at, const rfm_seen *seen)
{
    uint64_t since_s = (uint64_t)(seconds(seen->time_ms) - EPOCH_S);
    bool wide = since_s >> 32 != 0;
    at = put_fixed(at, seen->id39 << 1 | wide, ID_BYTES);
    return put_fixed(at, since_s, wide ? 5 : 4);
}

/* Of a time since 1970, as events have them; of others one that is in no window. */
static inline int64_t second_of(int64_t time_ms)
{
    return (int64_t)((uint64_t)time_ms / RFM_SECOND_MS * RFM_SECOND_MS);
}

/* Near and far come as it happens: no branch between them. */
static uint8_t *put_before(uint8_t *at, uint64_t id39, int64_t before_s)
{
    uint64_t far = (uint64_t)before_s >= NEAR_S, step = (uint64_t)before_s + BACK_S * far;
    if (step >= STEP_MAX) {
        at = put_fixed(at, id39 << 1 | FAR | (uint64_t)STEP_MAX << TIME_SHIFT, ID_BYTES + 3);
        return put_signed(at, before_s);
    }
    return put_fixed(at, id39 << 1 | far | step << TIME_SHIFT, ID_BYTES + 1 + 2 * far);
}

static size_t hash_of(int64_t second_ms)
{
    return (uint64_t)second_ms * UINT64_C(0x9e3779b97f4a7c15) >> 58;
}
_Static_assert(PLACES == 1 << (64 - 58), "a hash is an index");

uint8_t *rfm__put_seen(uint8_t *at, const rfm_client *client, struct places *places)
{
    size_t i = client->seen_count - 1u;
    *at++ = client->seen_count;
    at = put_newest(at, &client->seen[i]);
    for (int64_t after_s = client->seen[i].time_ms / RFM_SECOND_MS; i-- > 0;) {
        int64_t time_s = (int64_t)((uint64_t)client->seen[i].time_ms / RFM_SECOND_MS);
        at = put_before(at, client->seen[i].id39, after_s - time_s);
        after_s = time_s;
    }
    for (i = 0; i < client->seen_count; i++) {
        places->index[hash_of(client->seen[i].time_ms)] = (uint8_t)i;
    }
    return at;
}

static int64_t checked_s(struct cursor *cursor, uint64_t time_s)
{
    bool good = time_s >= EPOCH_S && time_s <= TIME_MAX_S;
    fail_unless(cursor, good);
    return good ? (int64_t)time_s : EPOCH_S;
}

static int64_t get_newest(struct cursor *cursor, rfm_seen *seen)
{
    uint64_t word = get_fixed(cursor, ID_BYTES);
    *seen = (rfm_seen){word >> 1, checked_s(cursor, EPOCH_S + get_fixed(cursor, word & FAR ? 5 : 4)) * RFM_SECOND_MS};
    return seen->time_ms / RFM_SECOND_MS;
}

static int64_t get_before(struct cursor *cursor, rfm_seen *seen, int64_t after_s)
{
    uint64_t word = peek(cursor), far = word & FAR;
    seen->id39 = rfm_id39(word >> 1);
    skip(cursor, ID_BYTES + 1 + 2 * far);
    uint64_t step = word >> TIME_SHIFT & (far ? STEP_MAX : NEAR_S - 1);
    uint64_t before_s = step - BACK_S * far;
    if (far && step == STEP_MAX) {
        before_s = unzigzag(get_varint(cursor));
    }
    int64_t time_s = checked_s(cursor, (uint64_t)after_s - before_s);
    seen->time_ms = time_s * RFM_SECOND_MS;
    return time_s;
}

void rfm__get_seen(struct cursor *cursor, rfm_client *client)
{
    size_t i = client->seen_count = get_u8_max(cursor, RFM_SEEN_MAX);
    fail_unless(cursor, i > 0);
    if (cursor->bad) {
        return;
    }
    int64_t after_s = get_newest(cursor, &client->seen[--i]);
    while (i-- > 0 && !cursor->bad) {
        after_s = get_before(cursor, &client->seen[i], after_s);
    }
}

static int64_t get_time_before_s(struct cursor *cursor, int64_t after_s, uint64_t difference)
{
    return checked_s(cursor, (uint64_t)after_s - unzigzag(difference));
}

void rfm__get_old_seen(struct cursor *cursor, rfm_client *client, int64_t *reference_ms)
{
    int64_t after_s = seconds(*reference_ms);
    client->seen_count = (uint8_t)get_varint_max(cursor, RFM_SEEN_MAX);
    for (size_t i = client->seen_count; i-- > 0 && !cursor->bad;) {
        client->seen[i].id39 = rfm_id39(get_fixed(cursor, 6));
        after_s = get_time_before_s(cursor, after_s, get_varint(cursor));
        client->seen[i].time_ms = after_s * RFM_SECOND_MS;
    }
    if (*reference_ms == EPOCH_MS && client->seen_count > 0 && !cursor->bad) {
        *reference_ms = client->seen[client->seen_count - 1].time_ms;
    }
}

/* Times. */

enum { PLACE_MS = RFM_SECOND_MS, IN_WINDOW = 1 };

/* Among seconds of one hash the table knows one, which leaves the others to a search. */
__attribute__((noinline)) static int search(const rfm_client *client, int64_t second_ms)
{
    int i = client->seen_count - 1;
    while (i >= 0 && client->seen[i].time_ms != second_ms) {
        i--;
    }
    return i;
}

int rfm__place_of(const struct places *places, int64_t time_ms, window_end end)
{
    const rfm_client *client = places->times.client;
    int64_t second_ms = second_of(time_ms);
    int i = places->index[hash_of(second_ms)];
    if (i >= client->seen_count || client->seen[i].time_ms != second_ms) {
        i = search(client, second_ms);
    }
    return i < 0 || end == FROM_OLDEST ? i : client->seen_count - 1 - i;
}

int64_t rfm__time_at(struct cursor *cursor, const rfm_client *client, uint64_t written, window_end end)
{
    uint64_t place = written / PLACE_MS;
    fail_unless(cursor, place < client->seen_count);
    if (cursor->bad) {
        return EPOCH_MS;
    }
    return client->seen[end == FROM_OLDEST ? place : client->seen_count - 1 - place].time_ms +
           (int64_t)(written % PLACE_MS);
}

uint8_t *rfm__put_time(uint8_t *at, const struct places *places, int64_t time_ms, window_end end)
{
    int place = rfm__place_of(places, time_ms, end);
    if (place >= 0) {
        return put_varint(at, (uint64_t)(place * PLACE_MS + time_ms - second_of(time_ms)) << 1 | IN_WINDOW);
    }
    uint64_t written = zigzag((uint64_t)time_ms - (uint64_t)places->times.reference_ms);
    RFM_ASSERT(written >> 63 == 0); /* a time of an event */
    return put_varint(at, written << 1);
}

int64_t rfm__get_time(struct cursor *cursor, const struct times *times, window_end end)
{
    if (times->plain) {
        return get_time(cursor, times->reference_ms);
    }
    uint64_t written = get_varint(cursor);
    if (written & IN_WINDOW) {
        return rfm__time_at(cursor, times->client, written >> 1, end);
    }
    return checked_time(cursor, (int64_t)((uint64_t)times->reference_ms + unzigzag(written >> 1)));
}

/* Orders, newest first: id and a bit as one word of 40 bits. Plainly an order has come by an event of the window, whose
 * time it has, in the base currency: what is left follows, and how many of the window's entries to skip. Else there is
 * a head with the time and what follows; then what is left, or what waits. */
enum { ORDER_HEAD = 1, SKIP_BITS = 4 };
enum { HEAD_WAITS = 1, HEAD_SEEN = 2, HEAD_CURRENCY = 4, HEAD_SHIFT = 3 };
enum { WAITS_FULL = 1, WAITS_UNNAMED = 2 };

/* Goes down from *place to the next event of this time; 0 if there is none. */
static bool seek_seen(const rfm_client *client, int64_t time_ms, size_t *place, uint64_t *skipped)
{
    size_t from = *place;
    while (*place > 0) {
        --*place;
        if (client->seen[*place].time_ms == time_ms) {
            *skipped = from - 1 - *place;
            return true;
        }
    }
    return false;
}

static uint8_t *put_waiting(uint8_t *at, const rfm_order *order)
{
    bool unnamed = order->unnamed.digits != 0;
    at = put_varint(at, (uint64_t)order->refunded_minor);
    *at++ = (uint8_t)((order->refunds_full > 0 ? WAITS_FULL : 0) | (unnamed ? WAITS_UNNAMED : 0));
    if (order->refunds_full > 0) {
        *at++ = (uint8_t)(order->source >> 56);
        at = put_varint(at, order->source & (UINT64_MAX >> 8));
    }
    if (unnamed) {
        *at++ = order->unnamed.scale;
        at = put_varint(at, (uint64_t)order->unnamed.digits);
    }
    return at;
}

/* What is left in front of how many to skip has room. */
static bool is_plain(const rfm_order *order, uint64_t skipped)
{
    return !order->waiting && order->currency == 0 && skipped >> SKIP_BITS == 0 &&
           (uint64_t)order->left_minor >> (64 - SKIP_BITS) == 0;
}

uint8_t *rfm__put_orders(uint8_t *at, const rfm_client *client, int64_t reference_ms)
{
    int64_t after_s = seconds(reference_ms);
    size_t place = client->seen_count;
    *at++ = client->order_count;
    for (size_t i = client->order_count; i-- > 0;) {
        const rfm_order *order = &client->order[i];
        uint64_t flags = (order->waiting ? HEAD_WAITS : 0u) | (order->currency ? HEAD_CURRENCY : 0u), skipped = 0;
        bool seen = seek_seen(client, order->time_ms, &place, &skipped);
        if (seen && is_plain(order, skipped)) {
            at = put_fixed(at, order->id39 << 1, ID_BYTES);
            at = put_varint(at, (uint64_t)order->left_minor << SKIP_BITS | skipped);
            continue;
        }
        at = put_fixed(at, order->id39 << 1 | ORDER_HEAD, ID_BYTES);
        if (seen) {
            at = put_varint(at, skipped << HEAD_SHIFT | HEAD_SEEN | flags);
        } else {
            int64_t time_s = seconds(order->time_ms);
            at = put_varint(at, zigzag((uint64_t)after_s - (uint64_t)time_s) << HEAD_SHIFT | flags);
            after_s = time_s;
        }
        at = order->currency ? put_varint(at, order->currency) : at;
        at = order->waiting ? put_waiting(at, order) : put_varint(at, (uint64_t)order->left_minor);
    }
    return at;
}

static void get_waiting(struct cursor *cursor, rfm_order *order)
{
    order->refunded_minor = (int64_t)get_varint_max(cursor, INT64_MAX);
    uint8_t flags = get_u8_max(cursor, WAITS_FULL | WAITS_UNNAMED);
    if (flags & WAITS_FULL) {
        order->refunds_full = 1;
        uint64_t input = get_fixed(cursor, 1);
        order->source = input << 56 | get_varint_max(cursor, UINT64_MAX >> 8);
    }
    if (flags & WAITS_UNNAMED) {
        order->unnamed.scale = get_u8_max(cursor, 18);
        order->unnamed.digits = (int64_t)get_varint_max(cursor, INT64_MAX);
    }
}

static int64_t time_of_seen(struct cursor *cursor, const rfm_client *client, uint64_t skipped, size_t *place)
{
    fail_unless(cursor, skipped < *place);
    *place = skipped < *place ? *place - 1 - skipped : 0;
    return cursor->bad ? 0 : client->seen[*place].time_ms;
}

static void get_head(struct cursor *cursor, const rfm_client *client, rfm_order *order, size_t *place, int64_t *after_s)
{
    uint64_t head = get_varint(cursor), rest = head >> HEAD_SHIFT;
    order->waiting = head & HEAD_WAITS;
    if (head & HEAD_SEEN) {
        order->time_ms = time_of_seen(cursor, client, rest, place);
    } else {
        *after_s = get_time_before_s(cursor, *after_s, rest);
        order->time_ms = *after_s * RFM_SECOND_MS;
    }
    order->currency = head & HEAD_CURRENCY ? (uint16_t)get_varint_max(cursor, 26 * 26 * 26) : 0;
    if (order->waiting) {
        get_waiting(cursor, order);
    } else {
        order->left_minor = (int64_t)get_varint_max(cursor, INT64_MAX);
    }
}

void rfm__get_orders(struct cursor *cursor, rfm_client *client, int64_t reference_ms)
{
    int64_t after_s = seconds(reference_ms);
    size_t place = client->seen_count;
    client->order_count = get_u8_max(cursor, RFM_ORDERS_MAX);
    for (size_t i = client->order_count; i-- > 0 && !cursor->bad;) {
        rfm_order *order = &client->order[i];
        uint64_t word = get_fixed(cursor, ID_BYTES);
        *order = (rfm_order){.id39 = word >> 1};
        if (word & ORDER_HEAD) {
            get_head(cursor, client, order, &place, &after_s);
        } else {
            uint64_t rest = get_varint(cursor);
            order->left_minor = (int64_t)(rest >> SKIP_BITS);
            order->time_ms = time_of_seen(cursor, client, rest & ((1 << SKIP_BITS) - 1), &place);
        }
    }
}

void rfm__get_old_orders(struct cursor *cursor, rfm_client *client, int64_t reference_ms)
{
    int64_t after_s = seconds(reference_ms);
    size_t place = client->seen_count;
    client->order_count = (uint8_t)get_varint_max(cursor, RFM_ORDERS_MAX);
    for (size_t i = client->order_count; i-- > 0 && !cursor->bad;) {
        client->order[i] = (rfm_order){.id39 = rfm_id39(get_fixed(cursor, 6))};
        get_head(cursor, client, &client->order[i], &place, &after_s);
    }
}
