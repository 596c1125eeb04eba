/* A client's packed form: what can be read is written again in one way only, and says the same; and whatever was read
 * can be scored, shown and changed by further events. */
#include <rfm/client/json.h>

static void check_codec(rfm_client *client)
{
    static rfm_client other;
    static uint8_t packed[RFM_CLIENT_PACKED_MAX], again[RFM_CLIENT_PACKED_MAX];
    size_t len = rfm_client_encode(client, packed);
    RFM_ASSERT(rfm_client_decode(rfm_bytes_of(packed, len), &other) == RFM_OK);
    RFM_ASSERT(rfm_client_facts_equal(client, &other));
    RFM_ASSERT(other.order_count == client->order_count && other.seen_count == client->seen_count);
    RFM_ASSERT(other.slots_len == client->slots_len && other.listed_ms == client->listed_ms);
    RFM_ASSERT(rfm_client_encode(&other, again) == len && memcmp(packed, again, len) == 0);
}

static void check_scores(const rfm_client *client, const rfm_client_conf *conf, const rfm_names *names)
{
    static uint8_t room[65536];
    rfm_buffer json = rfm_buffer_over(room, sizeof room);
    int64_t now_ms = rfm_client_last_event_ms(client) + 12345678;
    (void)rfm_client_response(client, 1);
    if (now_ms > INT64_MIN + 12345678) {
        RFM_ASSERT(rfm_client_json(&json, rfm_text("c"), client, conf, names, NULL, now_ms, NULL) == RFM_OK);
    }
    (void)rfm_client_ratio_moment_ms(client, conf, .3);
    (void)rfm_client_risk_moment_ms(client, conf, .9);
    (void)rfm_client_segment_moment_ms(client, conf, now_ms);
    (void)rfm_client_standing(client);
}

static const rfm_trait declared[] = {{"age", RFM_TRAIT_INT}, {"tier", RFM_TRAIT_STRING}};
static const rfm_trait_value traits[] = {
    {{(const uint8_t *)"tier", 4}, RFM_VALUE_TEXT, {(const uint8_t *)"gold", 4}, false},
    {{(const uint8_t *)"age", 3}, RFM_VALUE_NUMBER, {(const uint8_t *)"41", 2}, false}};

static void check_events(rfm_client *client, const rfm_client_conf *conf, rfm_names *names)
{
    for (uint64_t i = 0; i < 2 * RFM_EVENT_TYPE_COUNT; i++) {
        rfm_event event = {.type = (rfm_event_type)(i % RFM_EVENT_TYPE_COUNT), .id48 = i, .channel = rfm_text("email")};
        event.time_ms = INT64_C(1767225600000) + (int64_t)i * RFM_DAY_MS;
        event.order_id48 = client->order_count > 0 ? client->order[0].id39 : 7;
        event.has_amount = i < 5;
        event.amount_minor = 100;
        event.amount = (rfm_decimal){1, 0};
        event.currency = rfm_text(i % 2 ? "" : "USD");
        event.status = RFM_STATUS_COMPLAINED;
        event.id = rfm_text("7"), event.campaign = rfm_text("spring"), event.language = rfm_text("de");
        event.categories = &event.channel, event.category_count = 1;
        event.traits = traits, event.trait_count = sizeof traits / sizeof *traits;
        event.feedback = (rfm_feedback_kind)(client->orders % RFM_FEEDBACK_COUNT), event.score = 9;
        event.case_id = event.id, event.delta = INT64_C(1) << 40;
        rfm_applied applied;
        (void)rfm_client_apply(client, &event, i, conf, names, &applied);
        check_codec(client);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static rfm_client client;
    static rfm_client_conf conf;
    static rfm_names *names;
    if (!names) {
        rfm_client_conf_defaults(&conf);
        conf.rfm.r = conf.rfm.m = RFM_AXIS_FIXED;
        conf.money.other[0] = (rfm_currency){"USD", 2, {9, 1}};
        conf.money.other_count = 1;
        conf.traits = declared, conf.trait_count = 2;
        names = rfm_names_new();
        RFM_ASSERT(names);
    }
    if (rfm_client_decode(rfm_bytes_of(data, size), &client) != RFM_OK) {
        RFM_ASSERT(client.orders == 0 && client.seen_count == 0 && client.slots_len == 0);
        return 0;
    }
    check_codec(&client);
    check_scores(&client, &conf, names);
    check_events(&client, &conf, names);
    return 0;
}
