#include "app/basket.h"
#include "app/shop.h"

#include <math.h>
#include <rfm/base/hash.h>
#include <rfm/client/client.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define START_MS      INT64_C(1735689600000)
#define DAYS_MS(days) ((days)*RFM_DAY_MS)

/* Everything that a shop says within some days, decoded by the real decoder. */
typedef struct tally {
    uint64_t events, types[RFM_EVENT_TYPE_COUNT], hash;
    int64_t last_ms;
    uint32_t *orders; /* by client */
    uint64_t granted;
} tally;

static const rfm_client_conf *client_conf(void)
{
    static rfm_client_conf conf;
    rfm_client_conf_defaults(&conf);
    return &conf;
}

static void look(tally *seen, const rfm_shop_event *said, const rfm_event *event)
{
    assert_true(said->type == event->type && rfm_bytes_equal(said->client_id, event->client_id));
    assert_true(said->time_ms >= seen->last_ms && event->time_ms <= said->time_ms);
    seen->last_ms = said->time_ms;
    seen->events++;
    seen->types[event->type]++;
    seen->hash = seen->hash * 31 + rfm_hash64(said->value);
    seen->granted += event->type == RFM_EVENT_CONSENT && event->granted;
    assert_true(event->client_id.len == 8);
    if (event->type == RFM_EVENT_PURCHASE && seen->orders && event->time_ms == said->time_ms)
        seen->orders[atoi((const char *)event->client_id.at + 1)]++;
    if (event->type == RFM_EVENT_PURCHASE)
        assert_true(event->amount_minor > 0 && event->order_id.len > 0 && event->category.len > 0 &&
                    event->channel.len > 0);
}

static tally run(const rfm_shop_conf *conf, int64_t days, uint32_t *orders)
{
    tally seen = {.orders = orders};
    rfm_shop *shop = rfm_shop_new(conf);
    rfm_decoder *decoder = rfm_decoder_new(&client_conf()->money);
    rfm_shop_event said;
    rfm_event event;
    rfm_fault fault = {0};
    while (rfm_shop_next(shop, conf->start_ms + DAYS_MS(days), 0, &said)) {
        assert_int_equal(rfm_decode(decoder, said.value, said.time_ms, &event, &fault), RFM_REASON_NONE);
        look(&seen, &said, &event);
        rfm_decoder_reset(decoder);
    }
    rfm_decoder_free(decoder);
    rfm_shop_free(shop);
    return seen;
}

static void is_seeded(void **state)
{
    (void)state;
    rfm_shop_conf conf = {.seed = 1, .clients = 300, .start_ms = START_MS, .days = 365};
    tally first = run(&conf, 365, NULL), again = run(&conf, 365, NULL);
    conf.seed = 2;
    tally other = run(&conf, 365, NULL);
    assert_true(first.hash == again.hash && first.events == again.events && first.hash != other.hash);
    for (size_t i = 0; i < RFM_EVENT_TYPE_COUNT; i++)
        assert_true(first.types[i] > 0);
}

/* So many as were asked for come within the days, few or many for each client. */
static void meets_its_number(void **state)
{
    (void)state;
    static const struct {
        uint32_t clients;
        uint64_t events;
    } cases[] = {{50, 1000}, {1000, 5000}, {5000, 5000}, {1000, 100000}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rfm_shop_conf conf = {
            .seed = 3, .clients = cases[i].clients, .start_ms = START_MS, .days = 90, .events = cases[i].events};
        tally seen = run(&conf, 90, NULL);
        assert_true(seen.events >= cases[i].events * 95 / 100 && seen.events <= cases[i].events * 120 / 100);
    }
}

/* All arrive on one day and are watched for ten years. Of the buyers a share of E[p] is gone after the first purchase
 * and E[p (1 - p)] after the second, with p from Beta(0.7, 2.3); those whom gamma gave hardly any rate, (1 + 3650 /
 * 31)^-0.8 of the others, are still to buy again. */
static void buyers_lapse_as_the_model_has_it(void **state)
{
    (void)state;
    enum { CLIENTS = 20000 };
    uint32_t *orders = calloc(CLIENTS, sizeof *orders);
    uint64_t by_orders[3] = {0}, buyers = 0;
    rfm_shop_conf conf = {.seed = 4, .clients = CLIENTS, .start_ms = START_MS, .days = 1};
    run(&conf, 3650, orders);
    for (size_t i = 0; i < CLIENTS; i++) {
        buyers += orders[i] > 0;
        if (orders[i] < 3)
            by_orders[orders[i]]++;
    }
    free(orders);
    double slow = 0.0218, gone = 0.7 / 3, second = 0.7 * 2.3 / (3 * 4);
    double once = gone + (1 - gone) * slow, twice = second * (1 - slow) + (1 - gone - second) * slow * 1.5;
    assert_true(by_orders[0] > CLIENTS * 6 / 100 && by_orders[0] < CLIENTS * 10 / 100);
    assert_true(fabs((double)by_orders[1] / (double)buyers - once) < 0.015);
    assert_true(fabs((double)by_orders[2] / (double)buyers - twice) < 0.02);
}

/* Of 12 categories the k-th has 1 / (k H(12)) of the sales, H(12) = 3.1032; of 200 products 1 / (k H(200)), 5.8780. */
static void sells_by_zipf(void **state)
{
    (void)state;
    enum { ITEMS = 100000 };
    static rfm_catalogue catalogue;
    uint32_t categories[RFM_CATEGORIES] = {0}, products[RFM_PRODUCTS] = {0};
    rfm_chance chance = rfm_chance_of(5, 5);
    rfm_catalogue_init(&catalogue, 5);
    for (int i = 0; i < ITEMS; i++) {
        rfm_taste taste;
        rfm_item item;
        rfm_taste_draw(&catalogue, &chance, &taste);
        rfm_item_draw(&catalogue, &chance, &taste, &item);
        categories[item.category]++;
        products[item.product]++;
        assert_true(item.price_minor > 0 && item.quantity > 0);
    }
    for (int k = 1; k <= RFM_CATEGORIES; k++)
        assert_true(fabs((double)categories[k - 1] / ITEMS - 1 / (k * 3.1032)) < 0.01);
    for (int k = 1; k <= RFM_PRODUCTS; k++)
        assert_true(fabs((double)products[k - 1] / ITEMS - 1 / (k * 5.8780)) < 0.006);
}

static void most_consent_and_few_send_back(void **state)
{
    (void)state;
    rfm_shop_conf conf = {.seed = 5, .clients = 4000, .start_ms = START_MS, .days = 365};
    tally seen = run(&conf, 365, NULL);
    uint64_t purchases = seen.types[RFM_EVENT_PURCHASE], refunds = seen.types[RFM_EVENT_REFUND];
    assert_true(seen.granted * 10 > seen.types[RFM_EVENT_CONSENT] * 7);
    assert_true(refunds * 100 > purchases * 2 && refunds * 100 < purchases * 6);
}

/* Live: after its days a shop with growth goes on, and events are stamped. */
static void goes_on_for_ever(void **state)
{
    (void)state;
    rfm_shop_conf conf = {.seed = 6, .clients = 100, .start_ms = START_MS, .days = 30, .growth = 0.5};
    rfm_shop *shop = rfm_shop_new(&conf);
    rfm_decoder *decoder = rfm_decoder_new(&client_conf()->money);
    rfm_shop_event said;
    rfm_event event;
    uint64_t stamped = 0;
    for (int i = 0; i < 50000; i++) {
        assert_true(rfm_shop_next(shop, INT64_MAX, START_MS + i, &said));
        assert_int_equal(rfm_decode(decoder, said.value, INT64_MAX, &event, NULL), RFM_REASON_NONE);
        stamped += event.time_ms == START_MS + i;
        rfm_decoder_reset(decoder);
    }
    assert_true(stamped > 49000 && stamped < 50000); /* repeats keep their time */
    assert_true(rfm_shop_clients(shop) > 150);
    rfm_decoder_free(decoder);
    rfm_shop_free(shop);
}

static void quiet_clients_do_what_they_are_told(void **state)
{
    (void)state;
    rfm_shop_conf conf = {.seed = 7, .clients = 1, .start_ms = START_MS, .days = 365};
    int64_t bought_ms[] = {START_MS + DAYS_MS(10), START_MS + DAYS_MS(20), START_MS + DAYS_MS(35)};
    rfm_shop *shop = rfm_shop_new(&conf);
    rfm_shop_add_quiet(shop, bought_ms, 3);
    rfm_shop_event said;
    size_t events = 0, purchases = 0;
    while (rfm_shop_next(shop, START_MS + DAYS_MS(365), 0, &said)) {
        if (!rfm_bytes_is(said.client_id, "c0000000"))
            continue;
        events++;
        if (said.type == RFM_EVENT_PURCHASE)
            assert_true(purchases < 3 && said.time_ms == bought_ms[purchases++]);
    }
    assert_true(purchases == 3 && events == 4);
    rfm_shop_free(shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_seeded),
        cmocka_unit_test(meets_its_number),
        cmocka_unit_test(buyers_lapse_as_the_model_has_it),
        cmocka_unit_test(sells_by_zipf),
        cmocka_unit_test(most_consent_and_few_send_back),
        cmocka_unit_test(goes_on_for_ever),
        cmocka_unit_test(quiet_clients_do_what_they_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
