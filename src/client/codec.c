/* The packed form: version, section mask, sections. Numbers are LEB128 varints, signed ones zigzag; times are places in
 * the window of events or differences from its newest (packing.h). What other sections let expect is written only where
 * it is otherwise. The rarest sections have the highest bits, which make the mask longer. Differences wrap around, so
 * that every state that decodes encodes as well. */
#include "activity.h"
#include "packing.h"

enum { VERSION = 3, DAY_GAPS_MAX = 7, DAYS_RAW = DAY_GAPS_MAX + 1 };
enum {
    SECTION_SEEN = 1,
    SECTION_ORDERS = 2,
    SECTION_MONEY = 4,
    SECTION_VISITS = 8,
    SECTION_MARKS = 16,
    SECTION_SLOTS = 32,
    SECTION_CONSENTS = 64,
    SECTION_CHANNELS = 128,
    SECTION_CATEGORIES = 256,
    SECTION_SOURCE = 512,
    SECTION_LATEST = 1024,
    SECTION_ACTIVITY = 2048,
    SECTION_BALANCES = 4096,
    SECTION_LISTED = 8192,
    SECTION_MET = 16384,
    SECTION_LEFT = 32768,
    SECTIONS_ALL = 65535
};

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

uint64_t rfm__get_purchase_days(struct cursor *cursor)
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

/* Money: a head that says what comes, then that. The order window, while it has all orders, tells what they have
 * brought. */
enum {
    MONEY_NO_ORDERS = 1,
    MONEY_SOLE = 2, /* one order: its time is the only one */
    MONEY_REFUNDS = 4,
    MONEY_REVENUE = 8, /* is not the sum of the order window */
    MONEY_FIRST_DAY = 16,
    MONEY_SHIFTS = 32, /* a zone's days differ from UTC's, by at most 2 */
    MONEY_DAYS = 64,
    MONEY_X = 128, /* is not one for each order after the first */
};
enum { DAY_SHIFT = 8, NO_SHIFTS = DAY_SHIFT << 4 | DAY_SHIFT };

/* What the window's orders have left of all and of the first day's. */
static int64_t sum_of_orders(const rfm_client *client, int64_t *first_day_minor)
{
    uint64_t sum = 0, first_day = 0;
    int64_t day_ms = rfm_div_floor(client->first_ms, RFM_DAY_MS) * RFM_DAY_MS;
    for (size_t i = 0; i < client->order_count; i++) {
        const rfm_order *order = &client->order[i];
        uint64_t left = order->waiting ? 0 : (uint64_t)order->left_minor;
        sum += left;
        first_day += order->time_ms >= day_ms && order->time_ms < day_ms + RFM_DAY_MS ? left : 0;
    }
    *first_day_minor = (int64_t)first_day;
    return (int64_t)sum;
}

static uint8_t shifts_of(const rfm_client *client)
{
    int64_t first = client->first_day - rfm_div_floor(client->first_ms, RFM_DAY_MS) + DAY_SHIFT;
    int64_t last = client->last_day - rfm_div_floor(client->last_ms, RFM_DAY_MS) + DAY_SHIFT;
    RFM_ASSERT(first >= 0 && first < 16 && last >= 0 && last < 16 && client->last_ms >= client->first_ms);
    return (uint8_t)(first << 4 | last);
}

static bool is_sole(const rfm_client *client)
{
    return client->orders == 1 && client->x == 0 && client->first_ms == client->last_ms &&
           client->first_day == client->last_day && client->purchase_days == 1 &&
           client->first_day_minor == client->revenue_minor;
}

static unsigned money_head(const rfm_client *client)
{
    int64_t first_day_minor, sum_minor = sum_of_orders(client, &first_day_minor);
    unsigned head = (client->refunds > 0 ? MONEY_REFUNDS : 0u) |
                    (client->revenue_minor != sum_minor ? MONEY_REVENUE : 0u);
    if (client->orders == 0) {
        return head | MONEY_NO_ORDERS;
    }
    head |= shifts_of(client) != NO_SHIFTS ? MONEY_SHIFTS : 0u;
    if (is_sole(client)) {
        return head | MONEY_SOLE;
    }
    return head | (client->first_day_minor != first_day_minor ? MONEY_FIRST_DAY : 0u) |
           (client->purchase_days != 1 ? MONEY_DAYS : 0u) | (client->x != client->orders - 1 ? MONEY_X : 0u);
}

static uint8_t *put_orders_past_one(uint8_t *at, const rfm_client *client, unsigned head, const struct places *places)
{
    at = put_varint(at, client->orders);
    at = rfm__put_time(at, places, client->first_ms, FROM_OLDEST);
    at = head & MONEY_FIRST_DAY ? put_since(at, client->revenue_minor, client->first_day_minor) : at;
    at = head & MONEY_DAYS ? put_purchase_days(at, client->purchase_days) : at;
    at = head & MONEY_X ? put_varint(at, client->x) : at;
    RFM_ASSERT(client->x == 0 || client->before_last_ms >= client->first_ms);
    return client->x > 0 ? rfm__put_time(at, places, client->before_last_ms, FROM_NEWEST) : at;
}

static uint8_t *put_money(uint8_t *at, const rfm_client *client, const struct places *places)
{
    unsigned head = money_head(client);
    *at++ = (uint8_t)head;
    at = head & MONEY_REFUNDS ? put_varint(at, client->refunds) : at;
    at = head & MONEY_REVENUE ? put_signed(at, client->revenue_minor) : at;
    if (head & MONEY_NO_ORDERS) {
        return at;
    }
    at = rfm__put_time(at, places, client->last_ms, FROM_NEWEST);
    if (head & MONEY_SHIFTS) {
        *at++ = shifts_of(client);
    }
    return head & MONEY_SOLE ? at : put_orders_past_one(at, client, head, places);
}

static void get_orders_past_one(struct cursor *cursor, rfm_client *client, unsigned head, const struct times *times)
{
    client->orders = (uint32_t)get_varint_max(cursor, UINT32_MAX);
    client->first_ms = rfm__get_time(cursor, times, FROM_OLDEST);
    (void)sum_of_orders(client, &client->first_day_minor);
    if (head & MONEY_FIRST_DAY) {
        client->first_day_minor = (int64_t)((uint64_t)client->revenue_minor - unzigzag(get_varint(cursor)));
    }
    client->purchase_days = head & MONEY_DAYS ? rfm__get_purchase_days(cursor) : 1;
    client->x = head & MONEY_X ? (uint32_t)get_varint_max(cursor, UINT32_MAX) : client->orders - 1;
    client->before_last_ms = client->x > 0 ? rfm__get_time(cursor, times, FROM_NEWEST) : 0;
    fail_unless(cursor, client->orders > 0 && client->first_ms <= client->last_ms &&
                            (client->x == 0 || client->before_last_ms >= client->first_ms));
}

static void get_money(struct cursor *cursor, rfm_client *client, const struct times *times)
{
    unsigned head = (unsigned)get_fixed(cursor, 1);
    int64_t first_day_minor, sum_minor = sum_of_orders(client, &first_day_minor);
    client->refunds = head & MONEY_REFUNDS ? (uint32_t)get_varint_max(cursor, UINT32_MAX) : 0;
    client->revenue_minor = head & MONEY_REVENUE ? get_signed(cursor) : sum_minor;
    if (head & MONEY_NO_ORDERS) {
        return;
    }
    client->last_ms = client->first_ms = rfm__get_time(cursor, times, FROM_NEWEST);
    uint8_t shifts = head & MONEY_SHIFTS ? (uint8_t)get_fixed(cursor, 1) : NO_SHIFTS;
    client->orders = 1;
    client->purchase_days = 1;
    client->first_day_minor = client->revenue_minor;
    if (!(head & MONEY_SOLE)) {
        get_orders_past_one(cursor, client, head, times);
    }
    client->first_day = (int32_t)(rfm_div_floor(client->first_ms, RFM_DAY_MS) + (shifts >> 4) - DAY_SHIFT);
    client->last_day = (int32_t)(rfm_div_floor(client->last_ms, RFM_DAY_MS) + (shifts & 15) - DAY_SHIFT);
}

static uint8_t *put_visits(uint8_t *at, const rfm_client *client, const struct places *places)
{
    return rfm__put_time(put_varint(at, client->visits), places, client->visit_last_ms, FROM_NEWEST);
}

void rfm__get_visits(struct cursor *cursor, rfm_client *client, const struct times *times)
{
    client->visits = (uint32_t)get_varint_max(cursor, UINT32_MAX);
    client->visit_last_ms = rfm__get_time(cursor, times, FROM_NEWEST);
}

/* Channels: which statuses have a count, then those counts. Its reach, if it is not what they let expect. */

static uint8_t expected_reach(const rfm_channel_stats *stats)
{
    return stats->by_status[RFM_STATUS_DELIVERED] > 0 ? RFM_REACH_DELIVERED : RFM_REACH_UNKNOWN;
}

static uint8_t *put_channel(uint8_t *at, const rfm_channel_stats *stats, const struct places *places)
{
    bool unexpected = stats->reach != expected_reach(stats);
    at = put_varint(at, (uint64_t)stats->name << 1 | unexpected);
    uint8_t *mask = at++;
    *mask = 0;
    for (size_t status = 0; status < RFM_STATUS_COUNT; status++) {
        if (stats->by_status[status] > 0) {
            *mask |= (uint8_t)(1u << status);
            at = put_varint(at, stats->by_status[status]);
        }
    }
    if (unexpected) {
        *at++ = stats->reach;
    }
    return stats->reach ? rfm__put_time(at, places, stats->reach_ms, FROM_NEWEST) : at;
}
_Static_assert(RFM_STATUS_COUNT <= 8, "statuses are bits of a byte");

static uint8_t *put_channels(uint8_t *at, const rfm_client *client, const struct places *places)
{
    *at++ = client->channel_count;
    for (size_t i = 0; i < client->channel_count; i++) {
        at = put_channel(at, &client->channel[i], places);
    }
    return at;
}

static void get_channel(struct cursor *cursor, rfm_channel_stats *stats, const struct times *times)
{
    uint64_t head = get_varint_max(cursor, UINT16_MAX << 1 | 1);
    uint8_t mask = (uint8_t)get_fixed(cursor, 1);
    *stats = (rfm_channel_stats){.name = (uint16_t)(head >> 1)};
    for (size_t status = 0; status < RFM_STATUS_COUNT; status++) {
        if (mask >> status & 1) {
            stats->by_status[status] = (uint32_t)get_varint_max(cursor, UINT32_MAX);
        }
    }
    stats->reach = head & 1 ? get_u8_max(cursor, RFM_REACH_BOUNCED) : expected_reach(stats);
    stats->reach_ms = stats->reach ? rfm__get_time(cursor, times, FROM_NEWEST) : 0;
}

static void get_channels(struct cursor *cursor, rfm_client *client, const struct times *times)
{
    client->channel_count = get_u8_max(cursor, RFM_CHANNELS_MAX + 1);
    for (size_t i = 0; i < client->channel_count && !cursor->bad; i++) {
        get_channel(cursor, &client->channel[i], times);
        fail_unless(cursor, i == 0 || client->channel[i - 1].name < client->channel[i].name);
    }
}

static uint8_t *put_consents(uint8_t *at, const rfm_client *client, const struct places *places)
{
    at = put_varint(at, client->consent_count);
    for (size_t i = 0; i < client->consent_count; i++) {
        const rfm_consent *consent = &client->consent[i];
        at = put_varint(at, (uint64_t)consent->channel << 2 | (uint64_t)consent->class_ << 1 | consent->granted);
        at = rfm__put_time(at, places, consent->time_ms, FROM_OLDEST);
    }
    return at;
}
_Static_assert(RFM_CLASS_COUNT <= 2, "a class is one bit");

void rfm__get_consents(struct cursor *cursor, rfm_client *client, const struct times *times)
{
    uint64_t key_before = 0;
    client->consent_count = (uint8_t)get_varint_max(cursor, RFM_CONSENTS_MAX);
    for (size_t i = 0; i < client->consent_count && !cursor->bad; i++) {
        uint64_t head = get_varint_max(cursor, (uint64_t)UINT16_MAX << 2 | 3), key = head >> 1;
        fail_unless(cursor, i == 0 || key_before < key);
        key_before = key;
        client->consent[i] = (rfm_consent){
            .channel = (uint16_t)(head >> 2), .class_ = head >> 1 & 1, .granted = head & 1};
        client->consent[i].time_ms = rfm__get_time(cursor, times, FROM_OLDEST);
    }
}

/* Marks. Since when may be any time: of an event of the window, else a difference from the reference, in seconds if it
 * is a whole one as those that time alone brings, else in milliseconds; what is too far is written as it is. */
enum { SINCE_EVENT, SINCE_SECONDS, SINCE_MS, SINCE_RAW, SINCE_BITS = 2, LIFECYCLE_BITS = 3 };
_Static_assert(RFM_LIFECYCLE_COUNT <= 1 << LIFECYCLE_BITS, "a lifecycle fits");

static uint8_t *put_mark_time(uint8_t *at, const struct places *places, int64_t time_ms)
{
    int place = rfm__place_of(places, time_ms, FROM_NEWEST);
    if (place >= 0) {
        uint64_t beyond_ms = (uint64_t)(time_ms - seconds(time_ms) * RFM_SECOND_MS);
        return put_varint(at, ((uint64_t)place * RFM_SECOND_MS + beyond_ms) << SINCE_BITS | SINCE_EVENT);
    }
    uint64_t since_ms = zigzag((uint64_t)time_ms - (uint64_t)places->times.reference_ms);
    if (time_ms % RFM_SECOND_MS == 0) {
        return put_varint(at, zigzag((uint64_t)(seconds(time_ms) - seconds(places->times.reference_ms))) << SINCE_BITS |
                                  SINCE_SECONDS);
    }
    if (since_ms >> (64 - SINCE_BITS) == 0) {
        return put_varint(at, since_ms << SINCE_BITS | SINCE_MS);
    }
    return put_fixed(put_varint(at, SINCE_RAW), (uint64_t)time_ms, 8);
}

static int64_t get_mark_time(struct cursor *cursor, const struct times *times)
{
    uint64_t head = get_varint(cursor), rest = head >> SINCE_BITS;
    switch (head & ((1 << SINCE_BITS) - 1)) {
    case SINCE_EVENT: return rfm__time_at(cursor, times->client, rest, FROM_NEWEST);
    case SINCE_SECONDS: {
        uint64_t time_s = (uint64_t)seconds(times->reference_ms) + unzigzag(rest);
        return (int64_t)(time_s * RFM_SECOND_MS);
    }
    case SINCE_MS: return (int64_t)((uint64_t)times->reference_ms + unzigzag(rest));
    default: return (int64_t)get_fixed(cursor, 8);
    }
}

static uint8_t *put_marks(uint8_t *at, const rfm_client *client, const struct places *places)
{
    at = put_varint(at, (uint64_t)client->marks.segment << LIFECYCLE_BITS | client->marks.lifecycle);
    at = put_varint(at, client->marks.previous);
    at = put_mark_time(at, places, client->marks.since_ms);
    return put_fixed(at, client->marks.version, 4);
}

static void get_marks(struct cursor *cursor, rfm_client *client, const struct times *times)
{
    uint64_t head = get_varint_max(cursor, (uint64_t)UINT16_MAX << LIFECYCLE_BITS | (RFM_LIFECYCLE_COUNT - 1));
    client->marks.taken = true;
    client->marks.lifecycle = head & ((1 << LIFECYCLE_BITS) - 1);
    client->marks.segment = (uint16_t)(head >> LIFECYCLE_BITS);
    client->marks.previous = (uint16_t)get_varint_max(cursor, UINT16_MAX);
    client->marks.since_ms = get_mark_time(cursor, times);
    client->marks.version = (uint32_t)get_fixed(cursor, 4);
    fail_unless(cursor, client->marks.lifecycle < RFM_LIFECYCLE_COUNT);
}

static uint8_t *put_source(uint8_t *at, const rfm_client *client, const struct places *places)
{
    return rfm__put_time(put_varint(at, client->source), places, client->source_ms, FROM_OLDEST);
}

void rfm__get_source(struct cursor *cursor, rfm_client *client, const struct times *times)
{
    client->source = (uint16_t)get_varint_max(cursor, UINT16_MAX);
    client->source_ms = rfm__get_time(cursor, times, FROM_OLDEST);
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

void rfm__get_left(struct cursor *cursor, rfm_client *client, int64_t reference_ms)
{
    client->left_count = (uint8_t)get_varint_max(cursor, RFM_LEFT_MAX);
    fail_unless(cursor, client->left_count > 0);
    for (size_t i = 0; i < client->left_count; i++) {
        client->left_s[i] = get_since(cursor, seconds(reference_ms));
    }
}

static unsigned later_sections_of(const rfm_client *client)
{
    bool balances = client->points != 0 || client->complaints != 0 || client->case_count > 0;
    return (client->category_count > 0 ? SECTION_CATEGORIES : 0u) | (client->source > 0 ? SECTION_SOURCE : 0u) |
           (client->latest_count > 0 ? SECTION_LATEST : 0u) | (balances ? SECTION_BALANCES : 0u) |
           (client->left_count > 0 ? SECTION_LEFT : 0u) | (rfm__activity_is_expected(client) ? 0u : SECTION_ACTIVITY);
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
_Static_assert(4 + 80 + 20 + RFM_ORDERS_MAX * (6 + 10 + 3 + 10 + 1 + 1 + 8 + 1 + 10) + RFM_SEEN_MAX * 18 +
                       (RFM_CHANNELS_MAX + 1) * (3 + 1 + 10 + 1 + 5 * RFM_STATUS_COUNT) + RFM_CONSENTS_MAX * 13 + 34 +
                       20 + RFM_SLOTS_BYTES_MAX + 1 + RFM_CATEGORIES_MAX * 8 + 13 + 2 +
                       RFM_LATEST_MAX * (10 + 1 + RFM_STAMP_ID_MAX + 3 + 2 + 10) + RFM_LATEST_TEXT_MAX + 21 +
                       RFM_CASES_MAX * 17 + 1 + RFM_LEFT_MAX * 10 + 9 <
                   RFM_CLIENT_PACKED_MAX,
               "a full client fits");

static uint8_t *put_later_sections(uint8_t *at, const rfm_client *client, unsigned sections,
                                   const struct places *places)
{
    at = sections & SECTION_LISTED ? put_since(at, client->listed_ms, places->times.reference_ms) : at;
    at = sections & SECTION_MET ? put_since(at, client->met_ms, places->times.reference_ms) : at;
    at = sections & SECTION_CATEGORIES ? rfm__put_categories(at, client) : at;
    at = sections & SECTION_SOURCE ? put_source(at, client, places) : at;
    at = sections & SECTION_LATEST ? rfm__put_latest(at, client, places) : at;
    at = sections & SECTION_BALANCES ? rfm__put_balances(at, client, places) : at;
    at = sections & SECTION_LEFT ? put_left(at, client, places->times.reference_ms) : at;
    return sections & SECTION_ACTIVITY ? rfm__put_activity(at, client) : at;
}

static struct times times_of(const rfm_client *client)
{
    return (struct times){client, client->seen_count > 0 ? client->seen[client->seen_count - 1].time_ms : EPOCH_MS,
                          false};
}

size_t rfm_client_encode(const rfm_client *client, uint8_t packed[RFM_CLIENT_PACKED_MAX])
{
    RFM_ASSERT(client->order_count <= RFM_ORDERS_MAX && client->seen_count <= RFM_SEEN_MAX &&
               client->channel_count <= RFM_CHANNELS_MAX + 1 && client->consent_count <= RFM_CONSENTS_MAX &&
               client->slots_len <= RFM_SLOTS_BYTES_MAX && client->latest_count <= RFM_LATEST_MAX &&
               client->stamp_count <= RFM_LATEST_MAX && client->left_count <= RFM_LEFT_MAX);
    unsigned sections = sections_of(client);
    struct places places = {.times = times_of(client)};
    uint8_t *at = packed;
    *at++ = VERSION;
    at = put_varint(at, sections);
    at = sections & SECTION_SEEN ? rfm__put_seen(at, client, &places) : at;
    at = sections & SECTION_ORDERS ? rfm__put_orders(at, client, places.times.reference_ms) : at;
    at = sections & SECTION_MONEY ? put_money(at, client, &places) : at;
    at = sections & SECTION_VISITS ? put_visits(at, client, &places) : at;
    at = sections & SECTION_CHANNELS ? put_channels(at, client, &places) : at;
    at = sections & SECTION_CONSENTS ? put_consents(at, client, &places) : at;
    at = sections & SECTION_MARKS ? put_marks(at, client, &places) : at;
    at = put_later_sections(at, client, sections, &places);
    if (sections & SECTION_SLOTS) {
        memcpy(at, client->slots, client->slots_len);
        at += client->slots_len;
    }
    return (size_t)(at - packed);
}

void rfm__get_slots(struct cursor *cursor, rfm_client *client)
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

static void get_later_sections(struct cursor *cursor, rfm_client *client, unsigned sections, const struct times *times)
{
    if (sections & SECTION_LISTED) {
        client->listed_ms = get_since(cursor, times->reference_ms);
    }
    if (sections & SECTION_MET) {
        client->met_ms = get_since(cursor, times->reference_ms);
    }
    if (sections & SECTION_CATEGORIES) {
        rfm__get_categories(cursor, client, false);
    }
    if (sections & SECTION_SOURCE) {
        rfm__get_source(cursor, client, times);
    }
    if (sections & SECTION_LATEST) {
        rfm__get_latest(cursor, client, times);
    }
    if (sections & SECTION_BALANCES) {
        rfm__get_balances(cursor, client, times);
    }
    if (sections & SECTION_LEFT) {
        rfm__get_left(cursor, client, times->reference_ms);
    }
    if (sections & SECTION_ACTIVITY) {
        rfm__get_activity(cursor, client);
    }
}

static void get_sections(struct cursor *cursor, rfm_client *client)
{
    unsigned sections = (unsigned)get_varint_max(cursor, SECTIONS_ALL);
    if (sections & SECTION_SEEN) {
        rfm__get_seen(cursor, client);
    }
    struct times times = times_of(client);
    if (sections & SECTION_ORDERS) {
        rfm__get_orders(cursor, client, times.reference_ms);
    }
    if (sections & SECTION_MONEY) {
        get_money(cursor, client, &times);
    }
    if (sections & SECTION_VISITS) {
        rfm__get_visits(cursor, client, &times);
    }
    rfm__expect_activity(client);
    if (sections & SECTION_CHANNELS) {
        get_channels(cursor, client, &times);
    }
    if (sections & SECTION_CONSENTS) {
        rfm__get_consents(cursor, client, &times);
    }
    if (sections & SECTION_MARKS) {
        get_marks(cursor, client, &times);
    }
    get_later_sections(cursor, client, sections, &times);
    if (sections & SECTION_SLOTS) {
        rfm__get_slots(cursor, client);
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
    if (packed.at[0] == VERSION) {
        get_sections(&cursor, client);
    } else {
        rfm__get_old_sections(&cursor, client, packed.at[0]);
    }
    if (cursor.bad || cursor.at != cursor.end) {
        rfm_client_init(client);
        return RFM_E_CORRUPT;
    }
    return RFM_OK;
}
