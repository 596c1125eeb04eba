#include "world.h"

static rfm_client_conf conf;
static rfm_names *names;

static int set_up(void **state)
{
    (void)state;
    rfm_client_conf_defaults(&conf);
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
        assert_true(a->id48 == b->id48 && a->time_ms == b->time_ms && a->left_minor == b->left_minor &&
                    a->refunded_minor == b->refunded_minor && a->source == b->source &&
                    a->refunds_full == b->refunds_full && a->waiting == b->waiting && a->currency == b->currency &&
                    a->unnamed.digits == b->unnamed.digits && a->unnamed.scale == b->unnamed.scale);
    }
    assert_int_equal(decoded.seen_count, client->seen_count);
    for (size_t i = 0; i < client->seen_count; i++) {
        assert_int_equal(decoded.seen[i].id48, client->seen[i].id48);
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
    assert_true(len <= 56);
    apply(&client, purchase(random_id(&seed), random_id(&seed), T0 + 20 * RFM_DAY_MS, 2990));
    apply(&client, purchase(random_id(&seed), random_id(&seed), T0 + 47 * RFM_DAY_MS + 777, 45990));
    len = assert_round_trip(&client);
    print_message("three purchases: %zu bytes\n", len);
    assert_true(len <= 110);
    for (int i = 0; i < 10; i++) {
        apply(&client, visit(random_id(&seed), T0 + (40 + i / 3) * RFM_DAY_MS + i * 67890));
    }
    len = assert_round_trip(&client);
    print_message("and ten visits: %zu bytes\n", len);
    assert_true(len <= 200);
}

static rfm_event in(const char *currency, rfm_event event)
{
    event.currency = rfm_text(currency);
    event.amount = (rfm_decimal){event.amount_minor, 2};
    return event;
}

static rfm_event random_event(uint64_t *seed)
{
    static const char *const channels[] = {"email", "push", "sms", "a", "b", "c", "d", "e", "f", "g"};
    int64_t time_ms = T0 + (int64_t)random_below(seed, UINT64_C(400) * 86400000);
    uint64_t id = random_id(seed), order = random_below(seed, 40);
    const char *channel = channels[random_below(seed, 10)];
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
        client.order[i] = (rfm_order){.id48 = 0xffffffffffff - i,
                                      .time_ms = time_ms,
                                      .refunded_minor = INT64_MAX,
                                      .source = UINT64_MAX,
                                      .unnamed = {INT64_MAX, 18},
                                      .currency = 17576,
                                      .refunds_full = 1,
                                      .waiting = true};
    }
    for (size_t i = 0; i < RFM_SEEN_MAX; i++) {
        client.seen[i] = (rfm_seen){0xffffffffffff - i, i % 2 ? client.last_ms / 1000 * 1000 : client.first_ms};
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
    print_message("the largest: %zu bytes\n", assert_round_trip(&client));
}

static void broken_bytes_are_refused(void **state)
{
    (void)state;
    rfm_client client;
    assert_int_equal(rfm_client_decode(RFM_BYTES_NONE, &client), RFM_E_CORRUPT);
    assert_int_equal(rfm_client_decode(rfm_text("\x01"), &client), RFM_E_CORRUPT);
    assert_int_equal(rfm_client_decode(rfm_bytes_of("\x00\x00", 2), &client), RFM_E_CORRUPT);
    assert_int_equal(rfm_client_decode(rfm_bytes_of("\x02\x00", 2), &client), RFM_E_VERSION);
    assert_int_equal(rfm_client_decode(rfm_bytes_of("\x01\x00x", 3), &client), RFM_E_CORRUPT);
    assert_int_equal(rfm_client_decode(rfm_bytes_of("\x01\x80\x08", 3), &client), RFM_E_CORRUPT); /* no such section */
    assert_int_equal(rfm_client_decode(rfm_bytes_of("\x01\x00", 2), &client), RFM_OK);
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
        T(damage_is_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
