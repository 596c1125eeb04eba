/* The sections of versions 1 and 2, which are read and not written any more. Version 1 has the lowest ten. Their times
 * are differences from a reference: the last purchase, else the last visit, else the newest event. */
#include "activity.h"
#include "packing.h"

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
    SECTIONS_OF_2 = 65535
};
enum { DAY_SHIFT = 8 };

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
    client->purchase_days = rfm__get_purchase_days(cursor);
    client->first_day_minor = (int64_t)((uint64_t)client->revenue_minor - unzigzag(get_varint(cursor)));
    client->x = (uint32_t)get_varint_max(cursor, UINT32_MAX);
    if (client->x > 0) {
        client->before_last_ms = checked_time(cursor, client->first_ms + (int64_t)get_distance(cursor));
    }
}

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

static void get_marks(struct cursor *cursor, rfm_client *client, int64_t reference_ms)
{
    client->marks.taken = true;
    client->marks.lifecycle = get_u8_max(cursor, RFM_LIFECYCLE_COUNT - 1);
    client->marks.segment = (uint16_t)get_varint_max(cursor, UINT16_MAX);
    client->marks.previous = (uint16_t)get_varint_max(cursor, UINT16_MAX);
    client->marks.since_ms = get_since(cursor, reference_ms);
    client->marks.version = (uint32_t)get_fixed(cursor, 4);
}

static void get_later_sections(struct cursor *cursor, rfm_client *client, unsigned sections, const struct times *times)
{
    if (sections & SECTION_CATEGORIES) {
        rfm__get_categories(cursor, client, true);
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

static void get_windows(struct cursor *cursor, rfm_client *client, unsigned sections, struct times *times)
{
    if (sections & SECTION_VISITS) {
        rfm__get_visits(cursor, client, times);
        times->reference_ms = client->orders > 0 ? times->reference_ms : client->visit_last_ms;
    }
    rfm__expect_activity(client);
    if (sections & SECTION_SEEN) {
        rfm__get_old_seen(cursor, client, &times->reference_ms);
    }
    if (sections & SECTION_ORDERS) {
        rfm__get_old_orders(cursor, client, times->reference_ms);
    }
}

void rfm__get_old_sections(struct cursor *cursor, rfm_client *client, uint8_t version)
{
    unsigned sections = (unsigned)get_varint_max(cursor, version == 1 ? SECTIONS_OF_1 : SECTIONS_OF_2);
    if (sections & SECTION_MONEY) {
        get_money(cursor, client);
    }
    struct times times = {client, client->orders > 0 ? client->last_ms : EPOCH_MS, true};
    get_windows(cursor, client, sections, &times);
    if (sections & SECTION_CHANNELS) {
        get_channels(cursor, client, times.reference_ms);
    }
    if (sections & SECTION_CONSENTS) {
        rfm__get_consents(cursor, client, &times);
    }
    if (sections & SECTION_MARKS) {
        get_marks(cursor, client, times.reference_ms);
    }
    if (sections & SECTION_LISTED) {
        client->listed_ms = get_since(cursor, times.reference_ms);
    }
    if (sections & SECTION_MET) {
        client->met_ms = get_since(cursor, times.reference_ms);
    }
    get_later_sections(cursor, client, sections, &times);
    if (sections & SECTION_SLOTS) {
        rfm__get_slots(cursor, client);
    }
}
