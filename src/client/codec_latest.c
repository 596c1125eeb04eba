#include "packing.h"

#include <math.h>

/* Stamps from the earliest, before version 3 each as the difference from the one before; then the facts: key, type with
 * what follows, value. */

static uint8_t *put_stamps(uint8_t *at, const rfm_client *client, const struct places *places)
{
    at = put_varint(at, client->stamp_count);
    for (size_t i = 0; i < client->stamp_count; i++) {
        const rfm_stamp *stamp = &client->stamp[i];
        at = rfm__put_time(at, places, stamp->time_ms, FROM_OLDEST);
        *at++ = stamp->id_len;
        memcpy(at, stamp->id, stamp->id_len);
        at += stamp->id_len;
    }
    return at;
}

static bool follows(const rfm_stamp *stamp, const rfm_stamp *before)
{
    if (stamp->time_ms != before->time_ms) {
        return stamp->time_ms > before->time_ms;
    }
    return rfm_bytes_compare(rfm_bytes_of(stamp->id, stamp->id_len), rfm_bytes_of(before->id, before->id_len)) > 0;
}

static void get_bytes(struct cursor *cursor, uint8_t *to, size_t len)
{
    fail_unless(cursor, (size_t)(cursor->end - cursor->at) >= len);
    if (!cursor->bad && len > 0) {
        memcpy(to, cursor->at, len);
        cursor->at += len;
    }
}

static void get_stamps(struct cursor *cursor, rfm_client *client, struct times times)
{
    client->stamp_count = (uint8_t)get_varint_max(cursor, RFM_LATEST_MAX);
    for (size_t i = 0; i < client->stamp_count && !cursor->bad; i++) {
        rfm_stamp *stamp = &client->stamp[i];
        stamp->time_ms = rfm__get_time(cursor, &times, FROM_OLDEST);
        times.reference_ms = times.plain ? stamp->time_ms : times.reference_ms;
        stamp->id_len = get_u8_max(cursor, RFM_STAMP_ID_MAX);
        get_bytes(cursor, stamp->id, stamp->id_len);
        fail_unless(cursor, i == 0 || follows(stamp, stamp - 1));
    }
}

enum { TYPE_BITS = 3, OWN_KEYS = 16 };

/* The own keys are the most frequent: they come first, so that they take one byte. */
static uint64_t packed_key(uint16_t key)
{
    return key >= RFM_LATEST_NPS ? (uint64_t)key - RFM_LATEST_NPS : (uint64_t)key + OWN_KEYS;
}

static uint16_t unpacked_key(uint64_t packed)
{
    return (uint16_t)(packed < OWN_KEYS ? packed + RFM_LATEST_NPS : packed - OWN_KEYS);
}
_Static_assert(RFM_LATEST_NPS + OWN_KEYS - 1 == UINT16_MAX, "every own key has its number");

uint8_t *rfm__put_latest(uint8_t *at, const rfm_client *client, const struct places *places)
{
    at = put_stamps(at, client, places);
    at = put_varint(at, client->latest_count);
    for (size_t i = 0; i < client->latest_count; i++) {
        const rfm_latest *latest = &client->latest[i];
        at = put_varint(at, packed_key(latest->key));
        at = put_varint(at, (uint64_t)latest->stamp << TYPE_BITS | latest->type);
        if (latest->type == RFM_TRAIT_DOUBLE) {
            at = put_fixed(at, (uint64_t)latest->integer, 8);
        } else if (latest->type == RFM_TRAIT_STRING) {
            at = put_varint(at, latest->text_len);
            memcpy(at, client->latest_text + latest->text_at, latest->text_len);
            at += latest->text_len;
        } else if (latest->type != RFM_LATEST_NOTHING) {
            at = put_signed(at, latest->integer);
        }
    }
    return at;
}

static void get_text(struct cursor *cursor, rfm_client *client, rfm_latest *latest)
{
    latest->text_len = (uint16_t)get_varint_max(cursor, RFM_LATEST_TEXT_MAX - client->latest_text_len);
    get_bytes(cursor, client->latest_text + client->latest_text_len, latest->text_len);
    client->latest_text_len = (uint16_t)(client->latest_text_len + latest->text_len);
}

/* Within what its type can be; what stands under one of the own keys is a number that was put there. */
static bool is_good(const rfm_latest *latest)
{
    double number;
    memcpy(&number, &latest->integer, sizeof number);
    switch (latest->key) {
    case RFM_LATEST_NPS: return latest->type == RFM_TRAIT_INT && latest->integer >= 0 && latest->integer <= 10;
    case RFM_LATEST_CSAT: return latest->type == RFM_TRAIT_INT && latest->integer >= 0 && latest->integer <= 10000;
    case RFM_LATEST_TIMEZONE:
    case RFM_LATEST_LANGUAGE:
        return latest->type == RFM_TRAIT_INT && latest->integer > 0 && latest->integer <= RFM_NAMES_MAX;
    default: break;
    }
    if (latest->key == 0 || latest->key > RFM_NAMES_MAX) {
        return false;
    }
    switch (latest->type) {
    case RFM_TRAIT_DOUBLE: return isfinite(number);
    case RFM_TRAIT_BOOL: return latest->integer == 0 || latest->integer == 1;
    case RFM_TRAIT_DATE: return latest->integer >= -719528 && latest->integer <= 2932896; /* the years 0 to 9999 */
    case RFM_TRAIT_TIMESTAMP: return latest->integer >= RFM_TIME_YEAR_0_MS && latest->integer <= RFM_TIME_MAX_MS;
    default: return latest->type <= RFM_TRAIT_TIMESTAMP || latest->type == RFM_LATEST_NOTHING;
    }
}

static void get_fact(struct cursor *cursor, rfm_client *client, rfm_latest *latest)
{
    *latest = (rfm_latest){.key = unpacked_key(get_varint_max(cursor, RFM_NAMES_MAX + OWN_KEYS)),
                           .text_at = client->latest_text_len};
    uint64_t head = get_varint_max(cursor, UINT8_MAX << TYPE_BITS | RFM_LATEST_NOTHING);
    latest->type = head & RFM_LATEST_NOTHING;
    latest->stamp = (uint8_t)(head >> TYPE_BITS);
    if (latest->type == RFM_TRAIT_DOUBLE) {
        latest->integer = (int64_t)get_fixed(cursor, 8);
    } else if (latest->type == RFM_TRAIT_STRING) {
        get_text(cursor, client, latest);
    } else if (latest->type != RFM_LATEST_NOTHING) {
        latest->integer = get_signed(cursor);
    }
    fail_unless(cursor, latest->stamp < client->stamp_count && is_good(latest));
}
_Static_assert(RFM_LATEST_NOTHING == (1 << TYPE_BITS) - 1 && (int)RFM_TRAIT_TIMESTAMP < RFM_LATEST_NOTHING,
               "types fit");
_Static_assert(RFM_LATEST_MAX < UINT8_MAX, "a stamp's index is a byte");

void rfm__get_latest(struct cursor *cursor, rfm_client *client, const struct times *times)
{
    bool used[RFM_LATEST_MAX] = {false};
    client->latest_text_len = 0;
    get_stamps(cursor, client, *times);
    client->latest_count = (uint8_t)get_varint_max(cursor, RFM_LATEST_MAX);
    fail_unless(cursor, client->latest_count > 0);
    for (size_t i = 0; i < client->latest_count && !cursor->bad; i++) {
        get_fact(cursor, client, &client->latest[i]);
        fail_unless(cursor, i == 0 || client->latest[i - 1].key < client->latest[i].key);
        if (!cursor->bad) {
            used[client->latest[i].stamp] = true;
        }
    }
    for (size_t i = 0; i < client->stamp_count && !cursor->bad; i++) {
        fail_unless(cursor, used[i]);
    }
}

/* Points, complaints, cases. */

uint8_t *rfm__put_balances(uint8_t *at, const rfm_client *client, const struct places *places)
{
    *at++ = (uint8_t)(client->case_count << 1 | (client->complaints != 0));
    at = put_signed(at, client->points);
    at = client->complaints != 0 ? put_signed(at, client->complaints) : at;
    for (size_t i = 0; i < client->case_count; i++) {
        const rfm_case *case_ = &client->cases[i];
        at = put_fixed(at, case_->id48, 6);
        *at++ = (uint8_t)(case_->complained << 1 | case_->open);
        at = rfm__put_time(at, places, case_->time_ms, FROM_NEWEST);
    }
    return at;
}

static void get_cases(struct cursor *cursor, rfm_client *client, const struct times *times)
{
    for (size_t i = 0; i < client->case_count && !cursor->bad; i++) {
        rfm_case *case_ = &client->cases[i];
        case_->id48 = get_fixed(cursor, 6);
        uint8_t flags = get_u8_max(cursor, 3);
        case_->open = flags & 1;
        case_->complained = flags >> 1;
        case_->time_ms = rfm__get_time(cursor, times, FROM_NEWEST);
        fail_unless(cursor, (i == 0 || case_[-1].id48 < case_->id48) && (!case_->open || case_->complained));
    }
}

void rfm__get_balances(struct cursor *cursor, rfm_client *client, const struct times *times)
{
    uint8_t head = times->plain ? 1 : get_u8_max(cursor, RFM_CASES_MAX << 1 | 1);
    client->points = get_signed(cursor);
    client->complaints = head & 1 ? get_signed(cursor) : 0;
    fail_unless(cursor, client->complaints >= -(INT64_C(1) << 48) && client->complaints <= INT64_C(1) << 48);
    client->case_count = times->plain ? (uint8_t)get_varint_max(cursor, RFM_CASES_MAX) : head >> 1;
    get_cases(cursor, client, times);
}

/* Most categories have one order, which is not written. */
uint8_t *rfm__put_categories(uint8_t *at, const rfm_client *client)
{
    *at++ = client->category_count;
    for (size_t i = 0; i < client->category_count; i++) {
        const rfm_category *category = &client->category[i];
        at = put_varint(at, (uint64_t)category->name << 1 | (category->orders != 1));
        at = category->orders != 1 ? put_varint(at, category->orders) : at;
    }
    return at;
}

void rfm__get_categories(struct cursor *cursor, rfm_client *client, bool plain)
{
    client->category_count = get_u8_max(cursor, RFM_CATEGORIES_MAX);
    for (size_t i = 0; i < client->category_count && !cursor->bad; i++) {
        rfm_category *category = &client->category[i];
        uint64_t head = get_varint_max(cursor, plain ? UINT16_MAX : UINT16_MAX << 1 | 1);
        category->name = (uint16_t)(plain ? head : head >> 1);
        category->orders = plain || head & 1 ? (uint32_t)get_varint_max(cursor, UINT32_MAX) : 1;
        fail_unless(cursor,
                    category->name > 0 && category->orders > 0 && (i == 0 || category[-1].name < category->name));
    }
}
