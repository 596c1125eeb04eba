/* The packed form: version, section mask, sections. Version 2 has sections that version 1 does not know; a state without them is
 * written as version 1. The rarest have the highest bits, which make the mask longer. Numbers are LEB128 varints, signed ones
 * zigzag; times are differences from a reference (the last purchase, else the last visit, else the newest event) or, in lists,
 * from the entry after it, lists being written newest first. Differences wrap around, so that every state that decodes encodes
 * as well. */
#include "activity.h"
#include "packing.h"

enum { VERSION = 2, DAY_GAPS_MAX = 7, DAYS_RAW = DAY_GAPS_MAX + 1 };
enum {
    SECTION_MONEY = 1,
    SECTION_ORDERS = 2,
    SECTION_SEEN = 4,
    SECTION_VISITS = 8,
    SECTION_MARKS = 16,
    SECTION_LISTED = 32,
    SECTION_SLOTS = 64,
    SECTION_CHANNELS = 128,
    SECTION_CONSENTS = 256,
    SECTION_MET = 512,
    SECTIONS_OF_1 = 1023,
    SECTION_CATEGORIES = 1024,
    SECTION_SOURCE = 2048,
    SECTION_LATEST = 4096,
    SECTION_ACTIVITY = 8192,
    SECTION_LEFT = 16384,
    SECTION_BALANCES = 32768,
    SECTIONS_ALL = 65535
};
#define DAY_SHIFT 8 /* a zone's day differs from UTC's by at most 2 */

/* Days: the map without its lowest bit (always set), as the gaps between up to 7 days or as it is. */

static uint8_t *put_days(uint8_t *at, uint64_t days)
{
    days >>= 1;
    size_t count = 0;
    uint8_t *head = at++;
    while (days && count < DAY_GAPS_MAX) {
        int gap = __builtin_ctzll(days);
        *at++ = (uint8_t)gap;
        days = days >> gap >> 1;
        count++;
    }
    *head = (uint8_t)count;
    return days ? NULL : at;
}

static uint8_t *put_purchase_days(uint8_t *at, uint64_t purchase_days)
{
    uint8_t *end = put_days(at, purchase_days);
    if (!end) {
        *at = DAYS_RAW;
        end = put_fixed(at + 1, purchase_days >> 1, 8);
    }
    return end;
}

static uint64_t get_purchase_days(struct cursor *cursor)
{
    uint8_t count = get_u8_max(cursor, DAYS_RAW);
    if (count == DAYS_RAW) {
        uint64_t days = get_fixed(cursor, 8);
        fail_unless(cursor, days >> 63 == 0);
        return days << 1 | 1;
    }
    uint64_t purchase_days = 1;
    unsigned bit = 0;
    for (uint8_t i = 0; i < count; i++) {
        bit += 1u + get_u8_max(cursor, 62);
        fail_unless(cursor, bit <= 63);
        purchase_days |= UINT64_C(1) << (bit & 63);
    }
    return purchase_days;
}

static uint8_t *put_money(uint8_t *at, const rfm_client *client)
{
    at = put_varint(at, client->orders);
    at = put_varint(at, client->refunds);
    at = put_signed(at, client->revenue_minor);
    if (client->orders == 0) {
        return at;
    }
    int64_t first = client->first_day - rfm_div_floor(client->first_ms, RFM_DAY_MS) + DAY_SHIFT;
    int64_t last = client->last_day - rfm_div_floor(client->last_ms, RFM_DAY_MS) + DAY_SHIFT;
    RFM_ASSERT(first >= 0 && first < 16 && last >= 0 && last < 16 && client->last_ms >= client->first_ms);
    at = put_since(at, client->last_ms, EPOCH_MS);
    at = put_varint(at, (uint64_t)(client->last_ms - client->first_ms));
    *at++ = (uint8_t)(first << 4 | last);
    at = put_purchase_days(at, client->purchase_days);
    at = put_since(at, client->revenue_minor, client->first_day_minor);
    at = put_varint(at, client->x);
    if (client->x > 0) {
        RFM_ASSERT(client->before_last_ms >= client->first_ms);
        at = put_varint(at, (uint64_t)(client->before_last_ms - client->first_ms));
    }
    return at;
}

static void get_money(struct cursor *cursor, rfm_client *client)
{
    client->orders = (uint32_t)get_varint_max(cursor, UINT32_MAX);
    client->refunds = (uint32_t)get_varint_max(cursor, UINT32_MAX);
    client->revenue_minor = get_signed(cursor);
    if (client->orders == 0) {
        return;
    }
    client->last_ms = get_time(cursor, EPOCH_MS);
    client->first_ms = checked_time(cursor, client->last_ms - (int64_t)get_distance(cursor));
    uint8_t shifts = (uint8_t)get_fixed(cursor, 1);
    client->first_day = (int32_t)(rfm_div_floor(client->first_ms, RFM_DAY_MS) + (shifts >> 4) - DAY_SHIFT);
    client->last_day = (int32_t)(rfm_div_floor(client->last_ms, RFM_DAY_MS) + (shifts & 15) - DAY_SHIFT);
    client->purchase_days = get_purchase_days(cursor);
    client->first_day_minor = (int64_t)((uint64_t)client->revenue_minor - unzigzag(get_varint(cursor)));
    client->x = (uint32_t)get_varint_max(cursor, UINT32_MAX);
    if (client->x > 0) {
        client->before_last_ms = checked_time(cursor, client->first_ms + (int64_t)get_distance(cursor));
    }
}

static uint8_t *put_visits(uint8_t *at, const rfm_client *client, int64_t *reference_ms)
{
    at = put_varint(at, client->visits);
    at = put_since(at, client->visit_last_ms, *reference_ms);
    *reference_ms = client->orders > 0 ? *reference_ms : client->visit_last_ms;
    return at;
}

static void get_visits(struct cursor *cursor, rfm_client *client, int64_t *reference_ms)
{
    client->visits = (uint32_t)get_varint_max(cursor, UINT32_MAX);
    client->visit_last_ms = get_time(cursor, *reference_ms);
    *reference_ms = client->orders > 0 ? *reference_ms : client->visit_last_ms;
}

static uint8_t *put_seen(uint8_t *at, const rfm_client *client, int64_t *reference_ms)
{
    int64_t after_s = seconds(*reference_ms);
    at = put_varint(at, client->seen_count);
    for (size_t i = client->seen_count; i-- > 0;) {
        int64_t time_s = seconds(client->seen[i].time_ms);
        at = put_fixed(at, client->seen[i].id48, 6);
        at = put_varint(at, zigzag((uint64_t)after_s - (uint64_t)time_s));
        after_s = time_s;
    }
    if (*reference_ms == EPOCH_MS && client->seen_count > 0) {
        *reference_ms = client->seen[client->seen_count - 1].time_ms;
    }
    return at;
}

static int64_t get_time_before_s(struct cursor *cursor, int64_t after_s, uint64_t difference)
{
    int64_t time_s = (int64_t)((uint64_t)after_s - unzigzag(difference));
    bool good = time_s >= EPOCH_MS / RFM_SECOND_MS && time_s <= TIME_MAX_MS / RFM_SECOND_MS;
    fail_unless(cursor, good);
    return good ? time_s : EPOCH_MS / RFM_SECOND_MS;
}

static void get_seen(struct cursor *cursor, rfm_client *client, int64_t *reference_ms)
{
    int64_t after_s = seconds(*reference_ms);
    client->seen_count = (uint8_t)get_varint_max(cursor, RFM_SEEN_MAX);
    for (size_t i = client->seen_count; i-- > 0 && !cursor->bad;) {
        client->seen[i].id48 = get_fixed(cursor, 6);
        after_s = get_time_before_s(cursor, after_s, get_varint(cursor));
        client->seen[i].time_ms = after_s * RFM_SECOND_MS;
    }
    if (*reference_ms == EPOCH_MS && client->seen_count > 0 && !cursor->bad) {
        *reference_ms = client->seen[client->seen_count - 1].time_ms;
    }
}

/* Orders: id; a head with the time and what follows; then what is left, or what waits. An order and the event that brought
 * it have one time: as long as the window of events holds it, the head says how many of its entries to skip. */
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

static uint8_t *put_orders(uint8_t *at, const rfm_client *client, int64_t reference_ms)
{
    int64_t after_s = seconds(reference_ms);
    size_t place = client->seen_count;
    at = put_varint(at, client->order_count);
    for (size_t i = client->order_count; i-- > 0;) {
        const rfm_order *order = &client->order[i];
        uint64_t flags = (order->waiting ? HEAD_WAITS : 0u) | (order->currency ? HEAD_CURRENCY : 0u), skipped;
        at = put_fixed(at, order->id48, 6);
        if (seek_seen(client, order->time_ms, &place, &skipped)) {
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

static void get_orders(struct cursor *cursor, rfm_client *client, int64_t reference_ms)
{
    int64_t after_s = seconds(reference_ms);
    size_t place = client->seen_count;
    client->order_count = (uint8_t)get_varint_max(cursor, RFM_ORDERS_MAX);
    for (size_t i = client->order_count; i-- > 0 && !cursor->bad;) {
        rfm_order *order = &client->order[i];
        *order = (rfm_order){.id48 = get_fixed(cursor, 6)};
        uint64_t head = get_varint(cursor), rest = head >> HEAD_SHIFT;
        order->waiting = head & HEAD_WAITS;
        if (head & HEAD_SEEN) {
            fail_unless(cursor, rest < place);
            place = rest < place ? place - 1 - rest : 0;
            order->time_ms = cursor->bad ? 0 : client->seen[place].time_ms;
        } else {
            after_s = get_time_before_s(cursor, after_s, rest);
            order->time_ms = after_s * RFM_SECOND_MS;
        }
        order->currency = head & HEAD_CURRENCY ? (uint16_t)get_varint_max(cursor, 26 * 26 * 26) : 0;
        if (order->waiting) {
            get_waiting(cursor, order);
        } else {
            order->left_minor = (int64_t)get_varint_max(cursor, INT64_MAX);
        }
    }
}

/* Channels: which statuses have a count, then those counts. */

static uint8_t *put_channels(uint8_t *at, const rfm_client *client, int64_t reference_ms)
{
    at = put_varint(at, client->channel_count);
    for (size_t i = 0; i < client->channel_count; i++) {
        const rfm_channel_stats *stats = &client->channel[i];
        at = put_varint(at, stats->name);
        *at++ = stats->reach;
        at = stats->reach ? put_since(at, stats->reach_ms, reference_ms) : at;
        uint8_t *mask = at++;
        *mask = 0;
        for (size_t status = 0; status < RFM_STATUS_COUNT; status++) {
            if (stats->by_status[status] > 0) {
                *mask |= (uint8_t)(1u << status);
                at = put_varint(at, stats->by_status[status]);
            }
        }
    }
    return at;
}
_Static_assert(RFM_STATUS_COUNT <= 8, "statuses are bits of a byte");

static void get_channels(struct cursor *cursor, rfm_client *client, int64_t reference_ms)
{
    client->channel_count = (uint8_t)get_varint_max(cursor, RFM_CHANNELS_MAX + 1);
    for (size_t i = 0; i < client->channel_count && !cursor->bad; i++) {
        rfm_channel_stats *stats = &client->channel[i];
        *stats = (rfm_channel_stats){.name = (uint16_t)get_varint_max(cursor, UINT16_MAX)};
        fail_unless(cursor, i == 0 || stats[-1].name < stats->name);
        stats->reach = get_u8_max(cursor, RFM_REACH_BOUNCED);
        stats->reach_ms = stats->reach ? get_time(cursor, reference_ms) : 0;
        uint8_t mask = (uint8_t)get_fixed(cursor, 1);
        for (size_t status = 0; status < RFM_STATUS_COUNT; status++) {
            if (mask >> status & 1) {
                stats->by_status[status] = (uint32_t)get_varint_max(cursor, UINT32_MAX);
            }
        }
    }
}

static uint8_t *put_consents(uint8_t *at, const rfm_client *client, int64_t reference_ms)
{
    at = put_varint(at, client->consent_count);
    for (size_t i = 0; i < client->consent_count; i++) {
        const rfm_consent *consent = &client->consent[i];
        at = put_varint(at, (uint64_t)consent->channel << 2 | (uint64_t)consent->class_ << 1 | consent->granted);
        at = put_since(at, consent->time_ms, reference_ms);
    }
    return at;
}
_Static_assert(RFM_CLASS_COUNT <= 2, "a class is one bit");

static void get_consents(struct cursor *cursor, rfm_client *client, int64_t reference_ms)
{
    uint64_t key_before = 0;
    client->consent_count = (uint8_t)get_varint_max(cursor, RFM_CONSENTS_MAX);
    for (size_t i = 0; i < client->consent_count && !cursor->bad; i++) {
        uint64_t head = get_varint_max(cursor, (uint64_t)UINT16_MAX << 2 | 3), key = head >> 1;
        fail_unless(cursor, i == 0 || key_before < key);
        key_before = key;
        client->consent[i] = (rfm_consent){
            .channel = (uint16_t)(head >> 2), .class_ = head >> 1 & 1, .granted = head & 1};
        client->consent[i].time_ms = get_time(cursor, reference_ms);
    }
}

static uint8_t *put_marks(uint8_t *at, const rfm_client *client, int64_t reference_ms)
{
    *at++ = client->marks.lifecycle;
    at = put_varint(at, client->marks.segment);
    at = put_varint(at, client->marks.previous);
    at = put_since(at, client->marks.since_ms, reference_ms);
    return put_fixed(at, client->marks.version, 4);
}

static void get_marks(struct cursor *cursor, rfm_client *client, int64_t reference_ms)
{
    client->marks.taken = true;
    client->marks.lifecycle = get_u8_max(cursor, RFM_LIFECYCLE_COUNT - 1);
    client->marks.segment = (uint16_t)get_varint_max(cursor, UINT16_MAX);
    client->marks.previous = (uint16_t)get_varint_max(cursor, UINT16_MAX);
    client->marks.since_ms = get_since(cursor, reference_ms);
    client->marks.version = (uint32_t)get_fixed(cursor, 4);
}

static uint8_t *put_source(uint8_t *at, const rfm_client *client, int64_t reference_ms)
{
    at = put_varint(at, client->source);
    return put_since(at, client->source_ms, reference_ms);
}

static void get_source(struct cursor *cursor, rfm_client *client, int64_t reference_ms)
{
    client->source = (uint16_t)get_varint_max(cursor, UINT16_MAX);
    client->source_ms = get_time(cursor, reference_ms);
    fail_unless(cursor, client->source > 0);
}

static uint8_t *put_left(uint8_t *at, const rfm_client *client, int64_t reference_ms)
{
    at = put_varint(at, client->left_count);
    for (size_t i = 0; i < client->left_count; i++) {
        at = put_since(at, client->left_s[i], seconds(reference_ms));
    }
    return at;
}

static void get_left(struct cursor *cursor, rfm_client *client, int64_t reference_ms)
{
    client->left_count = (uint8_t)get_varint_max(cursor, RFM_LEFT_MAX);
    fail_unless(cursor, client->left_count > 0);
    for (size_t i = 0; i < client->left_count; i++) {
        client->left_s[i] = get_since(cursor, seconds(reference_ms));
    }
}

/* Sections that only version 2 has. */
static unsigned later_sections_of(const rfm_client *client)
{
    bool balances = client->points != 0 || client->complaints != 0 || client->case_count > 0;
    return (client->category_count > 0 ? SECTION_CATEGORIES : 0u) | (client->source > 0 ? SECTION_SOURCE : 0u) |
           (client->latest_count > 0 ? SECTION_LATEST : 0u) | (balances ? SECTION_BALANCES : 0u) |
           (client->left_count > 0 ? SECTION_LEFT : 0u) | (rfm__activity_is_expected(client) ? 0u : SECTION_ACTIVITY);
}

static uint8_t *put_later_sections(uint8_t *at, const rfm_client *client, unsigned sections, int64_t reference_ms)
{
    at = sections & SECTION_CATEGORIES ? rfm__put_categories(at, client) : at;
    at = sections & SECTION_SOURCE ? put_source(at, client, reference_ms) : at;
    at = sections & SECTION_LATEST ? rfm__put_latest(at, client, reference_ms) : at;
    at = sections & SECTION_BALANCES ? rfm__put_balances(at, client, reference_ms) : at;
    at = sections & SECTION_LEFT ? put_left(at, client, reference_ms) : at;
    return sections & SECTION_ACTIVITY ? rfm__put_activity(at, client) : at;
}

static unsigned sections_of(const rfm_client *client)
{
    bool money = client->orders > 0 || client->refunds > 0 || client->revenue_minor != 0;
    return (money ? SECTION_MONEY : 0u) | (client->order_count > 0 ? SECTION_ORDERS : 0u) |
           (client->seen_count > 0 ? SECTION_SEEN : 0u) | (client->visits > 0 ? SECTION_VISITS : 0u) |
           (client->marks.taken ? SECTION_MARKS : 0u) | (client->listed_ms != 0 ? SECTION_LISTED : 0u) |
           (client->slots_len > 0 ? SECTION_SLOTS : 0u) | (client->channel_count > 0 ? SECTION_CHANNELS : 0u) |
           (client->consent_count > 0 ? SECTION_CONSENTS : 0u) | (client->met_ms != 0 ? SECTION_MET : 0u) |
           later_sections_of(client);
}

/* Each list at its longest; the widest varint has 10 bytes. */
_Static_assert(3 + 70 + 20 + RFM_ORDERS_MAX * (6 + 10 + 3 + 10 + 1 + 1 + 8 + 1 + 10) + RFM_SEEN_MAX * 16 +
                       (RFM_CHANNELS_MAX + 1) * (3 + 1 + 10 + 1 + 5 * RFM_STATUS_COUNT) + RFM_CONSENTS_MAX * 13 + 30 +
                       20 + RFM_SLOTS_BYTES_MAX + 1 + RFM_CATEGORIES_MAX * 8 + 13 + 2 +
                       RFM_LATEST_MAX * (10 + 1 + RFM_STAMP_ID_MAX + 3 + 2 + 10) + RFM_LATEST_TEXT_MAX + 21 +
                       RFM_CASES_MAX * 17 + 1 + RFM_LEFT_MAX * 10 + 9 <
                   RFM_CLIENT_PACKED_MAX,
               "a full client fits");

size_t rfm_client_encode(const rfm_client *client, uint8_t packed[RFM_CLIENT_PACKED_MAX])
{
    RFM_ASSERT(client->order_count <= RFM_ORDERS_MAX && client->seen_count <= RFM_SEEN_MAX &&
               client->channel_count <= RFM_CHANNELS_MAX + 1 && client->consent_count <= RFM_CONSENTS_MAX &&
               client->slots_len <= RFM_SLOTS_BYTES_MAX && client->latest_count <= RFM_LATEST_MAX &&
               client->stamp_count <= RFM_LATEST_MAX && client->left_count <= RFM_LEFT_MAX);
    unsigned sections = sections_of(client);
    int64_t reference_ms = client->orders > 0 ? client->last_ms : EPOCH_MS;
    uint8_t *at = packed;
    *at++ = sections > SECTIONS_OF_1 ? VERSION : 1;
    at = put_varint(at, sections);
    at = sections & SECTION_MONEY ? put_money(at, client) : at;
    at = sections & SECTION_VISITS ? put_visits(at, client, &reference_ms) : at;
    at = sections & SECTION_SEEN ? put_seen(at, client, &reference_ms) : at;
    at = sections & SECTION_ORDERS ? put_orders(at, client, reference_ms) : at;
    at = sections & SECTION_CHANNELS ? put_channels(at, client, reference_ms) : at;
    at = sections & SECTION_CONSENTS ? put_consents(at, client, reference_ms) : at;
    at = sections & SECTION_MARKS ? put_marks(at, client, reference_ms) : at;
    at = sections & SECTION_LISTED ? put_since(at, client->listed_ms, reference_ms) : at;
    at = sections & SECTION_MET ? put_since(at, client->met_ms, reference_ms) : at;
    if (sections > SECTIONS_OF_1) {
        at = put_later_sections(at, client, sections, reference_ms);
    }
    if (sections & SECTION_SLOTS) {
        memcpy(at, client->slots, client->slots_len);
        at += client->slots_len;
    }
    return (size_t)(at - packed);
}

static void get_slots(struct cursor *cursor, rfm_client *client)
{
    size_t len = (size_t)(cursor->end - cursor->at);
    fail_unless(cursor, len <= RFM_SLOTS_BYTES_MAX);
    if (cursor->bad) {
        return;
    }
    memcpy(client->slots, cursor->at, len);
    client->slots_len = (uint16_t)len;
    cursor->at += len;
}

static void get_later_sections(struct cursor *cursor, rfm_client *client, unsigned sections, int64_t reference_ms)
{
    if (sections & SECTION_CATEGORIES) {
        rfm__get_categories(cursor, client);
    }
    if (sections & SECTION_SOURCE) {
        get_source(cursor, client, reference_ms);
    }
    if (sections & SECTION_LATEST) {
        rfm__get_latest(cursor, client, reference_ms);
    }
    if (sections & SECTION_BALANCES) {
        rfm__get_balances(cursor, client, reference_ms);
    }
    if (sections & SECTION_LEFT) {
        get_left(cursor, client, reference_ms);
    }
    if (sections & SECTION_ACTIVITY) {
        rfm__get_activity(cursor, client);
    }
}

static void get_sections(struct cursor *cursor, rfm_client *client, unsigned sections)
{
    if (sections & SECTION_MONEY) {
        get_money(cursor, client);
    }
    int64_t reference_ms = client->orders > 0 ? client->last_ms : EPOCH_MS;
    if (sections & SECTION_VISITS) {
        get_visits(cursor, client, &reference_ms);
    }
    rfm__expect_activity(client);
    if (sections & SECTION_SEEN) {
        get_seen(cursor, client, &reference_ms);
    }
    if (sections & SECTION_ORDERS) {
        get_orders(cursor, client, reference_ms);
    }
    if (sections & SECTION_CHANNELS) {
        get_channels(cursor, client, reference_ms);
    }
    if (sections & SECTION_CONSENTS) {
        get_consents(cursor, client, reference_ms);
    }
    if (sections & SECTION_MARKS) {
        get_marks(cursor, client, reference_ms);
    }
    if (sections & SECTION_LISTED) {
        client->listed_ms = get_since(cursor, reference_ms);
    }
    if (sections & SECTION_MET) {
        client->met_ms = get_since(cursor, reference_ms);
    }
    if (sections > SECTIONS_OF_1) {
        get_later_sections(cursor, client, sections, reference_ms);
    }
    if (sections & SECTION_SLOTS) {
        get_slots(cursor, client);
    }
}

int rfm_client_decode(rfm_bytes packed, rfm_client *client)
{
    rfm_client_init(client);
    if (packed.len < 2 || packed.at[0] == 0) {
        return RFM_E_CORRUPT;
    }
    if (packed.at[0] > VERSION) {
        return RFM_E_VERSION;
    }
    struct cursor cursor = {packed.at + 1, packed.at + packed.len, false};
    unsigned sections = (unsigned)get_varint_max(&cursor, packed.at[0] == 1 ? SECTIONS_OF_1 : SECTIONS_ALL);
    get_sections(&cursor, client, sections);
    if (cursor.bad || cursor.at != cursor.end) {
        rfm_client_init(client);
        return RFM_E_CORRUPT;
    }
    return RFM_OK;
}
