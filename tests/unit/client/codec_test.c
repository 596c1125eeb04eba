#include "world.h"

static rfm_client_conf conf;
static rfm_names *names;

static const rfm_trait declared[] = {
    {"age", RFM_TRAIT_INT}, {"ratio", RFM_TRAIT_DOUBLE}, {"tier", RFM_TRAIT_STRING}, {"vip", RFM_TRAIT_BOOL}};

static int set_up(void **state)
{
    (void)state;
    rfm_client_conf_defaults(&conf);
    conf.traits = declared, conf.trait_count = sizeof declared / sizeof *declared;
    conf.money.other[0] = (rfm_currency){"USD", 2, {9, 1}};
    conf.money.other_count = 1;
    names = rfm_names_new();
    return names ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    rfm_names_free(names);
    return 0;
}

static void apply(rfm_client *client, rfm_event event)
{
    rfm_applied applied;
    assert_int_equal(rfm_client_apply(client, &event, UINT64_C(2) << 56 | 123456789, &conf, names, &applied),
                     RFM_APPLIED);
}

static uint64_t random_id(uint64_t *seed)
{
    return random_next(seed) & 0xffffffffffff;
}

/* Encodes, decodes into soiled memory and compares all that a client holds, through its canonical bytes. */
static size_t assert_round_trip(const rfm_client *client)
{
    uint8_t packed[RFM_CLIENT_PACKED_MAX], again[RFM_CLIENT_PACKED_MAX];
    rfm_client decoded;
    memset(&decoded, 0x5a, sizeof decoded);
    size_t len = rfm_client_encode(client, packed);
    assert_int_equal(rfm_client_decode(rfm_bytes_of(packed, len), &decoded), 0);
    assert_true(rfm_client_facts_equal(client, &decoded));
    assert_int_equal(decoded.order_count, client->order_count);
    for (size_t i = 0; i < client->order_count; i++) {
        const rfm_order *a = &client->order[i], *b = &decoded.order[i];
        assert_true(a->id39 == b->id39 && a->time_ms == b->time_ms && a->left_minor == b->left_minor &&
                    a->refunded_minor == b->refunded_minor && a->source == b->source &&
                    a->refunds_full == b->refunds_full && a->waiting == b->waiting && a->currency == b->currency &&
                    a->unnamed.digits == b->unnamed.digits && a->unnamed.scale == b->unnamed.scale);
    }
    assert_int_equal(decoded.seen_count, client->seen_count);
    for (size_t i = 0; i < client->seen_count; i++) {
        assert_int_equal(decoded.seen[i].id39, client->seen[i].id39);
        assert_int_equal(decoded.seen[i].time_ms, client->seen[i].time_ms);
    }
    assert_memory_equal(&decoded.marks, &client->marks, sizeof decoded.marks);
    assert_int_equal(decoded.listed_ms, client->listed_ms);
    assert_int_equal(decoded.met_ms, client->met_ms);
    assert_int_equal(decoded.slots_len, client->slots_len);
    assert_memory_equal(decoded.slots, client->slots, client->slots_len);
    assert_int_equal(rfm_client_encode(&decoded, again), len);
    assert_memory_equal(packed, again, len);
    return len;
}

static void mark(rfm_client *client, int64_t now_ms)
{
    memset(&client->marks, 0, sizeof client->marks); /* padding as well: it is compared */
    client->marks.taken = true;
    client->marks.lifecycle = RFM_LIFECYCLE_ACTIVE;
    client->marks.segment = 7, client->marks.previous = 3;
    client->marks.since_ms = now_ms - 12345;
    client->marks.version = 0xdeadbeef;
}

static void a_client_without_events_has_two_bytes(void **state)
{
    (void)state;
    rfm_client client;
    rfm_client_init(&client);
    assert_int_equal(assert_round_trip(&client), 2);
    rfm_client zero = {0};
    assert_int_equal(assert_round_trip(&zero), 2);
}

static void a_small_client_is_small(void **state)
{
    (void)state;
    uint64_t seed = 1;
    rfm_client client;
    rfm_client_init(&client);
    apply(&client, purchase(random_id(&seed), random_id(&seed), T0 + 1234567, 12990));
    mark(&client, T0 + 1300000);
    size_t len = assert_round_trip(&client);
    print_message("one purchase: %zu bytes\n", len);
    assert_true(len <= 36);
    apply(&client, purchase(random_id(&seed), random_id(&seed), T0 + 20 * RFM_DAY_MS, 2990));
    apply(&client, purchase(random_id(&seed), random_id(&seed), T0 + 47 * RFM_DAY_MS + 777, 45990));
    len = assert_round_trip(&client);
    print_message("three purchases: %zu bytes\n", len);
    assert_true(len <= 80);
    for (int i = 0; i < 10; i++) {
        apply(&client, visit(random_id(&seed), T0 + (40 + i / 3) * RFM_DAY_MS + i * 67890));
    }
    len = assert_round_trip(&client);
    print_message("and ten visits: %zu bytes\n", len);
    assert_true(len <= 155);
}

static rfm_event in(const char *currency, rfm_event event)
{
    event.currency = rfm_text(currency);
    event.amount = (rfm_decimal){event.amount_minor, 2};
    return event;
}

static rfm_event random_profile(rfm_event event, uint64_t *seed)
{
    static const rfm_bytes categories[] = {
        {(const uint8_t *)"a", 1}, {(const uint8_t *)"b", 1}, {(const uint8_t *)"c", 1}};
    static const rfm_trait_value traits[] = {
        {{(const uint8_t *)"age", 3}, RFM_VALUE_NUMBER, {(const uint8_t *)"-12345678901", 12}, false},
        {{(const uint8_t *)"ratio", 5}, RFM_VALUE_NUMBER, {(const uint8_t *)"0.1", 3}, false},
        {{(const uint8_t *)"tier", 4}, RFM_VALUE_TEXT, {(const uint8_t *)"gold", 4}, false},
        {{(const uint8_t *)"tier", 4}, RFM_VALUE_NULL, {NULL, 0}, false},
        {{(const uint8_t *)"vip", 3}, RFM_VALUE_BOOL, {NULL, 0}, true}};
    static const char *const ids[] = {"1", "2", "an id that is longer than what is kept of one, by far"};
    event.id = rfm_text(ids[random_below(seed, 3)]);
    event.categories = categories, event.category_count = random_below(seed, 4);
    event.traits = traits + random_below(seed, 3), event.trait_count = 1 + random_below(seed, 2);
    event.feedback = (rfm_feedback_kind)random_below(seed, RFM_FEEDBACK_COUNT), event.score = 7;
    event.case_id = rfm_text(random_below(seed, 2) ? "" : random_below(seed, 2) ? "A" : "B");
    event.delta = (int64_t)random_below(seed, 1000) - 500;
    event.timezone = rfm_text("UTC"), event.campaign = rfm_text(random_below(seed, 2) ? "" : "spring");
    return event;
}

static rfm_event random_event(uint64_t *seed)
{
    static const char *const channels[] = {"email", "push", "sms", "a", "b", "c", "d", "e", "f", "g"};
    int64_t time_ms = T0 + (int64_t)random_below(seed, UINT64_C(400) * 86400000);
    uint64_t id = random_id(seed), order = random_below(seed, 40);
    const char *channel = channels[random_below(seed, 10)];
    if (random_below(seed, 3) == 0) {
        rfm_event_type type = (rfm_event_type)random_below(seed, RFM_EVENT_ERASE);
        return random_profile(type == RFM_EVENT_PURCHASE  ? purchase(id, 1000 + random_id(seed), time_ms, 5)
                              : type <= RFM_EVENT_CONSENT ? visit(id, time_ms)
                                                          : event_of(type, id, time_ms),
                              seed);
    }
    switch (random_below(seed, 7)) {
    case 0:
        return purchase(id, 1000 + random_id(seed), time_ms,
                        (int64_t)(random_next(seed) >> (34 + random_below(seed, 29))));
    case 1:
        return in(random_below(seed, 2) ? "USD" : "EUR",
                  purchase(id, order, time_ms, (int64_t)random_below(seed, 100000)));
    case 2:
        return in(random_below(seed, 2) ? "" : "EUR", refund(id, order, time_ms, (int64_t)random_below(seed, 100000)));
    case 3: return full_refund(id, order, time_ms);
    case 4: {
        rfm_event event = visit(id, time_ms);
        event.action = rfm_text(random_below(seed, 2) ? "add_to_cart" : "page_view");
        return event;
    }
    case 5: return consent(id, channel, random_below(seed, 2), random_below(seed, 2), time_ms);
    default: return message(id, channel, random_below(seed, RFM_STATUS_COUNT), time_ms);
    }
}

static void histories_survive(void **state)
{
    (void)state;
    uint64_t seed = 3;
    rfm_applied applied;
    for (int history = 0; history < 2000; history++) {
        rfm_client client;
        rfm_client_init(&client);
        for (uint64_t left = random_below(&seed, 80); left > 0; left--) {
            rfm_event event = random_event(&seed);
            (void)rfm_client_apply(&client, &event, random_next(&seed), &conf, names, &applied);
        }
        if (random_below(&seed, 2)) {
            mark(&client, T0 + (int64_t)random_below(&seed, 1u << 30));
        }
        client.listed_ms = random_below(&seed, 2) ? T0 + (int64_t)random_below(&seed, 1u << 30) : 0;
        client.met_ms = random_below(&seed, 4) ? 0 : T0 + (int64_t)random_below(&seed, 1u << 30);
        client.slots_len = (uint16_t)random_below(&seed, 200);
        for (size_t i = 0; i < client.slots_len; i++) {
            client.slots[i] = (uint8_t)random_next(&seed);
        }
        (void)assert_round_trip(&client);
    }
}

static void fill_later_facts(rfm_client *client)
{
    for (uint16_t i = 0; i < RFM_CATEGORIES_MAX; i++)
        client->category[client->category_count++] = (rfm_category){(uint16_t)(60000 + i), UINT32_MAX};
    client->points = client->complaints = INT64_MIN >> 15;
    for (uint64_t i = 0; i < RFM_CASES_MAX; i++)
        client->cases[client->case_count++] = (rfm_case){(UINT64_C(1) << 48) - 9 + i, client->first_ms, true, true};
    client->source = UINT16_MAX, client->source_ms = client->first_ms;
    for (uint8_t i = 0; i < RFM_LATEST_MAX; i++) {
        rfm_stamp *stamp = &client->stamp[client->stamp_count++];
        *stamp = (rfm_stamp){.time_ms = client->first_ms, .id_len = RFM_STAMP_ID_MAX};
        memset(stamp->id, 0xff, sizeof stamp->id);
        stamp->id[0] = i;
        client->latest[client->latest_count++] = (rfm_latest){
            .key = (uint16_t)(RFM_NAMES_MAX - RFM_LATEST_MAX + 1 + i),
            .type = i < 4 ? RFM_TRAIT_STRING : RFM_TRAIT_INT,
            .stamp = i,
            .text_at = (uint16_t)(i < 4 ? i * RFM_TRAIT_TEXT_MAX : 1024),
            .text_len = i < 4 ? RFM_TRAIT_TEXT_MAX : 0};
        if (i >= 4)
            client->latest[i].integer = INT64_MIN;
    }
    client->latest_text_len = RFM_LATEST_TEXT_MAX;
    memset(client->latest_text, 0xff, sizeof client->latest_text);
    for (size_t i = 0; i < RFM_LEFT_MAX; i++)
        client->left_s[client->left_count++] = INT64_MIN;
}

static void the_largest_client_fits(void **state)
{
    (void)state;
    rfm_client client;
    rfm_client_init(&client);
    client.revenue_minor = INT64_MIN, client.first_day_minor = INT64_MAX;
    client.orders = client.refunds = client.x = client.visits = UINT32_MAX;
    client.first_ms = client.before_last_ms = RFM_TIME_1990_MS,
    client.last_ms = client.visit_last_ms = INT64_C(253402300799999);
    client.first_day = (int32_t)(client.first_ms / RFM_DAY_MS) - 1;
    client.last_day = (int32_t)(client.last_ms / RFM_DAY_MS) + 1;
    client.purchase_days = UINT64_MAX;
    client.purchase_months = UINT32_MAX;
    client.stages = UINT16_MAX, client.stage_month = rfm_month_of_day(client.last_day);
    client.order_count = RFM_ORDERS_MAX, client.seen_count = RFM_SEEN_MAX;
    client.channel_count = RFM_CHANNELS_MAX + 1, client.consent_count = RFM_CONSENTS_MAX;
    for (size_t i = 0; i < RFM_ORDERS_MAX; i++) {
        int64_t time_ms = i % 2 ? client.last_ms / 1000 * 1000 : client.first_ms;
        client.order[i] = (rfm_order){.id39 = 0x7fffffffff - i,
                                      .time_ms = time_ms,
                                      .refunded_minor = INT64_MAX,
                                      .source = UINT64_MAX,
                                      .unnamed = {INT64_MAX, 18},
                                      .currency = 17576,
                                      .refunds_full = 1,
                                      .waiting = true};
    }
    for (size_t i = 0; i < RFM_SEEN_MAX; i++) {
        client.seen[i] = (rfm_seen){0x7fffffffff - i, i % 2 ? client.last_ms / 1000 * 1000 : client.first_ms};
    }
    for (size_t i = 0; i <= RFM_CHANNELS_MAX; i++) {
        client.channel[i] = (rfm_channel_stats){
            .name = (uint16_t)(60000 + i), .reach = RFM_REACH_BOUNCED, .reach_ms = client.first_ms};
        memset(client.channel[i].by_status, 0xff, sizeof client.channel[i].by_status);
    }
    for (size_t i = 0; i < RFM_CONSENTS_MAX; i++) {
        client.consent[i] = (rfm_consent){(uint16_t)(60000 + i / 2), i % 2, true, client.first_ms};
    }
    mark(&client, INT64_MAX);
    client.marks.segment = client.marks.previous = UINT16_MAX;
    client.listed_ms = client.met_ms = INT64_MIN;
    client.slots_len = RFM_SLOTS_BYTES_MAX;
    memset(client.slots, 0xff, sizeof client.slots);
    fill_later_facts(&client);
    print_message("the largest: %zu bytes\n", assert_round_trip(&client));
}

static void broken_bytes_are_refused(void **state)
{
    (void)state;
    rfm_client client;
    assert_int_equal(rfm_client_decode(RFM_BYTES_NONE, &client), RFM_E_CORRUPT);
    assert_int_equal(rfm_client_decode(rfm_text("\x01"), &client), RFM_E_CORRUPT);
    assert_int_equal(rfm_client_decode(rfm_bytes_of("\x00\x00", 2), &client), RFM_E_CORRUPT);
    assert_int_equal(rfm_client_decode(rfm_bytes_of("\x04\x00", 2), &client), RFM_E_VERSION);
    assert_int_equal(rfm_client_decode(rfm_bytes_of("\x01\x00x", 3), &client), RFM_E_CORRUPT);
    assert_int_equal(rfm_client_decode(rfm_bytes_of("\x01\x80\x08", 3), &client), RFM_E_CORRUPT); /* no such section */
    assert_int_equal(rfm_client_decode(rfm_bytes_of("\x02\x80\x80\x02", 4), &client), RFM_E_CORRUPT); /* none either */
    assert_int_equal(rfm_client_decode(rfm_bytes_of("\x01\x00", 2), &client), RFM_OK);
}

/* A state as the first version wrote it, on 1 January 2026: two purchases, a visit, a delivered e-mail and a consent,
 * marks. It is read for ever, and written as the newest. */
static void states_of_version_1_are_read(void **state)
{
    (void)state;
    static const uint8_t old[] = {
        0x01, 0x9f, 0x03, 0x02, 0x00, 0x8a, 0x99, 0x02, 0x92, 0xec, 0x82, 0xbd, 0x8e, 0x42, 0x82, 0x91, 0xe5,
        0xbb, 0x05, 0x88, 0x01, 0x10, 0x8e, 0x4e, 0x01, 0x00, 0x01, 0xee, 0xd3, 0xe5, 0xa4, 0x01, 0x05, 0x06,
        0x00, 0x00, 0x00, 0x00, 0x05, 0x80, 0xe2, 0x9c, 0x02, 0x05, 0x00, 0x00, 0x00, 0x00, 0x04, 0xf5, 0xb3,
        0xbc, 0x02, 0x77, 0x07, 0x00, 0x00, 0x00, 0x03, 0xf6, 0xc5, 0x0a, 0x45, 0x23, 0x02, 0x00, 0x00, 0x01,
        0x80, 0x8c, 0x15, 0x89, 0x67, 0x45, 0x23, 0x01, 0x01, 0xdc, 0x92, 0xb3, 0x01, 0x02, 0xf0, 0xcd, 0xab,
        0x00, 0x00, 0x00, 0x1a, 0x87, 0x27, 0xef, 0xcd, 0xab, 0x00, 0x00, 0x00, 0x02, 0xbe, 0x65, 0x01, 0x01,
        0x01, 0xde, 0xf5, 0x97, 0xf7, 0x01, 0x02, 0x01, 0x01, 0x05, 0x91, 0xdc, 0xdd, 0xb0, 0x11, 0x02, 0x07,
        0x03, 0xfc, 0x82, 0x97, 0xf7, 0x01, 0xef, 0xbe, 0xad, 0xde};
    rfm_client client;
    uint8_t again[RFM_CLIENT_PACKED_MAX];
    assert_int_equal(rfm_client_decode(rfm_bytes_of(old, sizeof old), &client), RFM_OK);
    assert_int_equal(client.orders, 2);
    assert_int_equal(client.revenue_minor, 17989);
    assert_int_equal(client.x, 1);
    assert_int_equal(client.visits, 1);
    assert_int_equal(client.channel[0].by_status[RFM_STATUS_DELIVERED], 1);
    assert_int_equal(client.consent_count, 1);
    assert_int_equal(client.marks.segment, 7);
    assert_int_equal(client.category_count + client.latest_count + client.case_count + client.source, 0);
    assert_true(assert_round_trip(&client) < sizeof old);
    assert_int_equal((rfm_client_encode(&client, again), again[0]), 3);
}

/* A state as the second version wrote it: what it says was read by another program. */
static void states_of_version_2_are_read(void **state)
{
    (void)state;
    static const uint8_t old[] = {
        0x02, 0xdf, 0xff, 0x02, 0x02, 0x00, 0xe0, 0x9e, 0x01, 0xa0, 0x91, 0xec, 0x81, 0x84, 0x42, 0xec, 0xb7,
        0xa4, 0xbc, 0x26, 0x88, 0x00, 0x8c, 0x7e, 0x01, 0x00, 0x01, 0xb1, 0x86, 0x10, 0x09, 0x46, 0x78, 0xd9,
        0x7c, 0xa8, 0x64, 0x00, 0x7e, 0x2b, 0xb9, 0x8c, 0x38, 0xaf, 0x88, 0x02, 0xf1, 0x50, 0x6c, 0x82, 0x03,
        0x3c, 0xdc, 0xd3, 0xb4, 0x07, 0xcf, 0x08, 0xe1, 0x3f, 0xa3, 0x75, 0x26, 0x39, 0x5b, 0x5e, 0x20, 0xb7,
        0x80, 0xee, 0xf8, 0xb7, 0x02, 0x44, 0xc0, 0xa6, 0xd6, 0x85, 0xac, 0x02, 0x54, 0x29, 0x77, 0x2e, 0x30,
        0xfc, 0x8e, 0x01, 0x20, 0x2c, 0xda, 0x16, 0xa4, 0x0b, 0x78, 0x30, 0x5b, 0x3a, 0x5d, 0x76, 0x6c, 0x1e,
        0x02, 0x2b, 0xa5, 0x2c, 0xa2, 0xe9, 0x17, 0x02, 0x86, 0x3f, 0x78, 0x7b, 0x6a, 0xf2, 0x7f, 0xfe, 0x22,
        0xaa, 0x10, 0x01, 0x10, 0x01, 0xcf, 0x92, 0xbe, 0xf3, 0x39, 0x03, 0x01, 0x01, 0x02, 0x39, 0x8f, 0xd5,
        0xda, 0xf8, 0x4c, 0x41, 0x97, 0xe1, 0xd8, 0xf8, 0x4c, 0x02, 0x06, 0x05, 0x00, 0x62, 0x5b, 0xfc, 0xdb,
        0x80, 0xe0, 0xfc, 0xb7, 0x06, 0x02, 0x13, 0x01, 0x19, 0x01, 0x50, 0x83, 0xbe, 0xc0, 0xf3, 0x39, 0x01,
        0xd7, 0xbb, 0xd1, 0xf8, 0x4c, 0x0c, 0x76, 0x64, 0x34, 0x69, 0x6e, 0x35, 0x2d, 0x39, 0x36, 0x35, 0x31,
        0x36, 0x02, 0x02, 0x01, 0x50, 0x03, 0x01, 0x52, 0x28, 0x00, 0x00, 0x02, 0x0d, 0x03, 0x33, 0x1b, 0xd0,
        0xb0, 0xd1, 0xb9, 0xb4, 0x33, 0x7a, 0x31, 0x8f, 0xb1, 0x73, 0x9d, 0x24, 0x20, 0xe6, 0xab, 0xe2, 0x71,
        0x81, 0x44, 0x67, 0x70, 0x05, 0xd0, 0x80, 0xd3, 0x9d, 0xb1, 0x33, 0xe4, 0x4a, 0x84, 0x1f, 0xdd, 0xe5,
        0x16, 0x88, 0x0b, 0x08, 0x4b, 0x1f, 0xfb, 0x06, 0x8c, 0x96, 0x07, 0xe4, 0xc8, 0xae, 0xe1, 0x8a, 0x33,
        0x41, 0xc4, 0x0f, 0xeb, 0x82, 0xf4, 0xa6, 0x64, 0x22, 0x3f, 0x20, 0x13, 0xd2, 0x07, 0xc9, 0x93};
    rfm_client client;
    uint8_t again[RFM_CLIENT_PACKED_MAX];
    assert_int_equal(rfm_client_decode(rfm_bytes_of(old, sizeof old), &client), RFM_OK);
    assert_int_equal(client.orders, 2);
    assert_int_equal(client.revenue_minor, 10160);
    assert_int_equal(client.first_day_minor, 2090);
    assert_int_equal(client.first_ms, INT64_C(1755235198052));
    assert_int_equal(client.last_ms, INT64_C(1765562171472));
    assert_int_equal(client.before_last_ms, INT64_C(1755235198052));
    assert_int_equal(client.visits, 1);
    assert_int_equal(client.visit_last_ms, INT64_C(1765562039991));
    assert_int_equal(client.seen_count, 9);
    assert_int_equal(client.seen[8].id39, UINT64_C(110674811910214) & 0x7fffffffff);
    assert_int_equal(client.seen[2].time_ms, INT64_C(1755235127000));
    assert_int_equal(client.order_count, 2);
    assert_int_equal(client.order[0].id39, UINT64_C(279825481366392) & 0x7fffffffff);
    assert_int_equal(client.order[0].left_minor, 2090);
    assert_int_equal(client.order[1].time_ms, INT64_C(1765562171000));
    assert_int_equal(client.channel[0].reach_ms, INT64_C(1757790665640));
    assert_int_equal(client.consent[1].time_ms, INT64_C(1755235067908));
    assert_int_equal(client.marks.lifecycle, RFM_LIFECYCLE_ACTIVE);
    assert_int_equal(client.marks.segment, 6);
    assert_int_equal(client.marks.previous, 5);
    assert_int_equal(client.marks.since_ms, INT64_C(1765562171472));
    assert_int_equal(client.marks.version, 3690748770u);
    assert_int_equal(client.met_ms, INT64_C(1766426171472));
    assert_int_equal(client.category[1].name, 25);
    assert_int_equal(client.source_ms, INT64_C(1757790646478));
    assert_memory_equal(client.stamp[0].id, "vd4in5-96516", client.stamp[0].id_len);
    assert_int_equal(client.latest[1].integer, 41);
    assert_int_equal(client.points, 20);
    assert_int_equal(client.slots[0], 3);
    print_message("%zu bytes of %zu\n", assert_round_trip(&client), sizeof old);
    assert_int_equal((rfm_client_encode(&client, again), again[0]), 3);
}

/* Steps of the window of events about the widths in which they are written, and facts at its seconds or beside. */
static void all_times_of_the_window_survive(void **state)
{
    (void)state;
    static const int64_t steps_s[] = {0,       1,        255,      256,      -1,        -4194304,  -4194305,
                                      4194304, 12582910, 12582911, 12582912, 100000000, -100000000};
    uint64_t seed = 4;
    for (int round = 0; round < 2000; round++) {
        rfm_client client = {.visits = 1};
        int64_t time_s = RFM_TIME_1990_MS / 1000 + (int64_t)random_below(&seed, UINT64_C(1) << (20 + round % 15));
        client.seen_count = (uint8_t)(1 + random_below(&seed, RFM_SEEN_MAX));
        for (size_t i = 0; i < client.seen_count; i++) {
            time_s += steps_s[random_below(&seed, sizeof steps_s / sizeof *steps_s)];
            time_s = time_s < RFM_TIME_1990_MS / 1000 ? RFM_TIME_1990_MS / 1000 : time_s;
            client.seen[i] = (rfm_seen){random_next(&seed) >> 25, time_s * 1000};
        }
        client.visit_last_ms = client.seen[random_below(&seed, client.seen_count)].time_ms +
                               (int64_t)random_below(&seed, 1001);
        client.source = 1, client.source_ms = client.seen[0].time_ms + (int64_t)random_below(&seed, 1001);
        client.marks.taken = true;
        client.marks.since_ms = client.seen[0].time_ms + (int64_t)random_below(&seed, 3) * 1000000;
        client.stages = 1, client.stage_month = rfm_month_of_day((int32_t)(client.visit_last_ms / RFM_DAY_MS));
        (void)assert_round_trip(&client);
    }
}

/* Every prefix and every changed byte: refused or read, never more. */
static void damage_is_harmless(void **state)
{
    (void)state;
    uint64_t seed = 9;
    rfm_client client;
    rfm_client_init(&client);
    rfm_applied applied;
    for (int i = 0; i < 60; i++) {
        rfm_event event = random_event(&seed);
        (void)rfm_client_apply(&client, &event, 1, &conf, names, &applied);
    }
    mark(&client, T0);
    client.slots_len = 0;
    uint8_t packed[RFM_CLIENT_PACKED_MAX], damaged[RFM_CLIENT_PACKED_MAX];
    size_t len = rfm_client_encode(&client, packed);
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *exact = malloc(cut + 1); /* so that a sanitizer sees a read too far */
        memcpy(exact, packed, cut);
        assert_int_equal(rfm_client_decode(rfm_bytes_of(exact, cut), &client), RFM_E_CORRUPT);
        free(exact);
        assert_int_equal(client.seen_count, 0);
    }
    for (int i = 0; i < 200000; i++) {
        memcpy(damaged, packed, len);
        for (uint64_t n = 1 + random_below(&seed, 3); n > 0; n--) {
            damaged[random_below(&seed, len)] = (uint8_t)random_next(&seed);
        }
        if (rfm_client_decode(rfm_bytes_of(damaged, len), &client) == RFM_OK) {
            uint8_t again[RFM_CLIENT_PACKED_MAX], third[RFM_CLIENT_PACKED_MAX];
            size_t again_len = rfm_client_encode(&client, again);
            rfm_client decoded;
            assert_int_equal(rfm_client_decode(rfm_bytes_of(again, again_len), &decoded), RFM_OK);
            assert_int_equal(rfm_client_encode(&decoded, third), again_len);
            assert_memory_equal(again, third, again_len);
        }
    }
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_client_without_events_has_two_bytes),
        T(a_small_client_is_small),
        T(histories_survive),
        T(the_largest_client_fits),
        T(broken_bytes_are_refused),
        T(states_of_version_1_are_read),
        T(states_of_version_2_are_read),
        T(all_times_of_the_window_survive),
        T(damage_is_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
