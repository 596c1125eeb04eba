/* States as every version of the format has packed them, since its first. */
#include "fixture.h"

#include <rfm/client/client.h>

static const char *const files[] = {"state-1.ndjson", "state-2.ndjson", "state-3.ndjson"};
static const char *const written[] = {"state-3.ndjson"}; /* by the present code */

static void mirror_orders(mirror *at, rfm_client *client)
{
    mirror list;
    client->order_count = (uint8_t)mirror_list(at, "orders_known", client->order_count, RFM_ORDERS_MAX, &list);
    for (size_t i = 0; i < client->order_count; i++) {
        mirror entry = mirror_entry(&list, i);
        rfm_order *order = &client->order[i];
        mirror_id(&entry, "id39", "id48", &order->id39, RFM_ID_BITS);
        MIRROR(&entry, order, time_ms);
        MIRROR(&entry, order, left_minor);
        MIRROR(&entry, order, refunded_minor);
        MIRROR(&entry, order, source);
        MIRROR(&entry, order, unnamed.digits);
        MIRROR(&entry, order, unnamed.scale);
        MIRROR(&entry, order, currency);
        MIRROR(&entry, order, refunds_full);
        MIRROR(&entry, order, waiting);
    }
}

static void mirror_seen(mirror *at, rfm_client *client)
{
    mirror list;
    client->seen_count = (uint8_t)mirror_list(at, "seen", client->seen_count, RFM_SEEN_MAX, &list);
    for (size_t i = 0; i < client->seen_count; i++) {
        mirror entry = mirror_entry(&list, i);
        mirror_id(&entry, "id39", "id48", &client->seen[i].id39, RFM_ID_BITS);
        MIRROR(&entry, &client->seen[i], time_ms);
    }
}

static void mirror_channels(mirror *at, rfm_client *client)
{
    static const char *const statuses[] = {
#define X(NAME, name) #name,
        RFM_MESSAGE_STATUSES(X)
#undef X
    };
    mirror list;
    client->channel_count = (uint8_t)mirror_list(at, "channels", client->channel_count, RFM_CHANNELS_MAX + 1, &list);
    for (size_t i = 0; i < client->channel_count; i++) {
        mirror entry = mirror_entry(&list, i);
        rfm_channel_stats *stats = &client->channel[i];
        MIRROR(&entry, stats, name);
        MIRROR(&entry, stats, reach);
        MIRROR(&entry, stats, reach_ms);
        for (size_t status = 0; status < RFM_STATUS_COUNT; status++) {
            mirror_number(&entry, statuses[status], &stats->by_status[status], sizeof stats->by_status[status], false);
        }
    }
}

static void mirror_consents(mirror *at, rfm_client *client)
{
    mirror list;
    client->consent_count = (uint8_t)mirror_list(at, "consents", client->consent_count, RFM_CONSENTS_MAX, &list);
    for (size_t i = 0; i < client->consent_count; i++) {
        mirror entry = mirror_entry(&list, i);
        rfm_consent *consent = &client->consent[i];
        MIRROR(&entry, consent, channel);
        MIRROR(&entry, consent, class_);
        MIRROR(&entry, consent, granted);
        MIRROR(&entry, consent, time_ms);
    }
}

static void mirror_categories(mirror *at, rfm_client *client)
{
    mirror list;
    client->category_count = (uint8_t)mirror_list(at, "categories", client->category_count, RFM_CATEGORIES_MAX, &list);
    for (size_t i = 0; i < client->category_count; i++) {
        mirror entry = mirror_entry(&list, i);
        MIRROR(&entry, &client->category[i], name);
        MIRROR(&entry, &client->category[i], orders);
    }
}

static void mirror_cases(mirror *at, rfm_client *client)
{
    mirror list;
    client->case_count = (uint8_t)mirror_list(at, "cases", client->case_count, RFM_CASES_MAX, &list);
    for (size_t i = 0; i < client->case_count; i++) {
        mirror entry = mirror_entry(&list, i);
        MIRROR(&entry, &client->cases[i], id48);
        MIRROR(&entry, &client->cases[i], time_ms);
        MIRROR(&entry, &client->cases[i], complained);
        MIRROR(&entry, &client->cases[i], open);
    }
}

static void mirror_stamps(mirror *at, rfm_client *client)
{
    mirror list;
    client->stamp_count = (uint8_t)mirror_list(at, "stamps", client->stamp_count, RFM_LATEST_MAX, &list);
    for (size_t i = 0; i < client->stamp_count; i++) {
        mirror entry = mirror_entry(&list, i);
        rfm_stamp *stamp = &client->stamp[i];
        MIRROR(&entry, stamp, time_ms);
        stamp->id_len = (uint8_t)mirror_hex(&entry, "id", stamp->id, stamp->id_len, RFM_STAMP_ID_MAX);
    }
}

static void mirror_latest(mirror *at, rfm_client *client)
{
    mirror list;
    client->latest_count = (uint8_t)mirror_list(at, "latest", client->latest_count, RFM_LATEST_MAX, &list);
    client->latest_text_len = (uint16_t)mirror_hex(at, "latest_text", client->latest_text, client->latest_text_len,
                                                   RFM_LATEST_TEXT_MAX);
    for (size_t i = 0; i < client->latest_count; i++) {
        mirror entry = mirror_entry(&list, i);
        rfm_latest *latest = &client->latest[i];
        MIRROR(&entry, latest, key);
        MIRROR(&entry, latest, type);
        MIRROR(&entry, latest, stamp);
        MIRROR(&entry, latest, text_at);
        MIRROR(&entry, latest, text_len);
        MIRROR(&entry, latest, integer); /* a double as its bits */
    }
}

static void mirror_left(mirror *at, rfm_client *client)
{
    mirror list;
    client->left_count = (uint8_t)mirror_list(at, "left", client->left_count, RFM_LEFT_MAX, &list);
    for (size_t i = 0; i < client->left_count; i++) {
        mirror entry = mirror_entry(&list, i);
        mirror_number(&entry, "second", &client->left_s[i], sizeof client->left_s[i], true);
    }
}

static void mirror_money(mirror *at, rfm_client *client)
{
    MIRROR(at, client, revenue_minor);
    MIRROR(at, client, first_day_minor);
    MIRROR(at, client, first_ms);
    MIRROR(at, client, last_ms);
    MIRROR(at, client, first_day);
    MIRROR(at, client, last_day);
    MIRROR(at, client, before_last_ms);
    MIRROR(at, client, purchase_days);
    MIRROR(at, client, orders);
    MIRROR(at, client, refunds);
    MIRROR(at, client, x);
    MIRROR(at, client, purchase_months);
}

static void mirror_marks(mirror *at, rfm_client *client)
{
    MIRROR(at, client, marks.taken);
    MIRROR(at, client, marks.lifecycle);
    MIRROR(at, client, marks.segment);
    MIRROR(at, client, marks.previous);
    MIRROR(at, client, marks.since_ms);
    MIRROR(at, client, marks.version);
    MIRROR(at, client, listed_ms);
    MIRROR(at, client, met_ms);
}

static void mirror_client(mirror *at, rfm_client *client)
{
    mirror_money(at, client);
    MIRROR(at, client, visits);
    MIRROR(at, client, visit_last_ms);
    MIRROR(at, client, stage_month);
    MIRROR(at, client, stages);
    MIRROR(at, client, points);
    MIRROR(at, client, complaints);
    MIRROR(at, client, source);
    MIRROR(at, client, source_ms);
    mirror_marks(at, client);
    mirror_orders(at, client);
    mirror_seen(at, client);
    mirror_channels(at, client);
    mirror_consents(at, client);
    mirror_categories(at, client);
    mirror_cases(at, client);
    mirror_stamps(at, client);
    mirror_latest(at, client);
    mirror_left(at, client);
    client->slots_len = (uint16_t)mirror_hex(at, "slots", client->slots, client->slots_len, RFM_SLOTS_BYTES_MAX);
}

static void take_meaning(yyjson_val *meaning, rfm_client *client)
{
    memset(client, 0, sizeof *client);
    mirror_client(&(mirror){.in = meaning}, client);
}

static size_t pack(yyjson_val *meaning, uint8_t packed[FIXTURE_BYTES_MAX])
{
    static rfm_client client;
    take_meaning(meaning, &client);
    return rfm_client_encode(&client, packed);
}

static void check_read(const fixture *of)
{
    static rfm_client client;
    memset(&client, 0x5a, sizeof client);
    int code = rfm_client_decode(of->packed, &client);
    if (code != RFM_OK) {
        fail_msg("%s, %s: %s", of->file, of->name, rfm_error_text(code));
    }
    mirror wanted = mirror_making(), made = mirror_making();
    mirror_client(&made, &client);
    take_meaning(of->meaning, &client);
    mirror_client(&wanted, &client);
    assert_meaning(of, &wanted, &made);
}

static void check_written(const fixture *of)
{
    static uint8_t packed[FIXTURE_BYTES_MAX];
    static rfm_client taken;
    mirror wanted = mirror_making();
    take_meaning(of->meaning, &taken);
    mirror_client(&wanted, &taken);
    assert_whole(of, &wanted);
    assert_packed(of, rfm_bytes_of(packed, pack(of->meaning, packed)));
}

static void every_version_is_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        assert_true(fixture_each(files[i], check_read) >= 10);
    }
}

static void what_is_written_has_not_changed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof written / sizeof *written; i++) {
        assert_true(fixture_each(written[i], check_written) >= 10);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_version_is_read),
        cmocka_unit_test(what_is_written_has_not_changed),
    };
    if (fixture_wanted(argc, argv)) {
        return fixture_write(argv[2], pack);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
