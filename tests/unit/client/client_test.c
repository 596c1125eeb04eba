#include "world.h"

#include <time.h>

static rfm_client_conf conf;
static rfm_names *names;
static rfm_client client;
static rfm_applied applied;

static int set_up(void **state)
{
    (void)state;
    rfm_client_conf_defaults(&conf);
    names = rfm_names_new();
    memset(&client, 0xa5, sizeof client); /* init must not rely on cleared memory */
    rfm_client_init(&client);
    return names ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    rfm_names_free(names);
    return 0;
}

static rfm_applied_kind apply(rfm_event event)
{
    return rfm_client_apply(&client, &event, 0, &conf, names, &applied);
}

static void accept(rfm_event event)
{
    assert_int_equal(apply(event), RFM_APPLIED);
}

static int64_t at(int day, int hour)
{
    return T0 + day * RFM_DAY_MS + hour * RFM_HOUR_MS;
}

/* Purchases */

static void one_purchase(void **state)
{
    (void)state;
    accept(purchase(1, 1, at(3, 12), 1999));
    assert_true(applied.bought);
    assert_int_equal(client.orders, 1);
    assert_int_equal(client.x, 0);
    assert_int_equal(client.revenue_minor, 1999);
    assert_int_equal(client.first_day_minor, 1999);
    assert_int_equal(client.first_ms, at(3, 12));
    assert_int_equal(client.last_ms, at(3, 12));
    assert_int_equal(client.first_day, T0_DAY + 3);
    assert_int_equal(client.last_day, T0_DAY + 3);
    assert_int_equal(client.purchase_days, 1);
}

static void a_day_counts_once(void **state)
{
    (void)state;
    accept(purchase(1, 1, at(0, 0), 100));
    accept(purchase(2, 2, at(0, 23), 100));
    assert_int_equal(client.x, 0);
    accept(purchase(3, 3, at(1, 0), 100));
    accept(purchase(4, 4, at(1, 1), 100));
    assert_int_equal(client.x, 1);
    accept(purchase(5, 5, at(63, 0), 100));
    accept(purchase(6, 6, at(0, 5), 100)); /* 63 days late: still known */
    assert_int_equal(client.x, 2);
    assert_int_equal(client.first_day_minor, 300);
    assert_int_equal(client.before_last_ms, at(1, 1));
}

static void beyond_the_lateness_a_day_is_new_but_for_the_first(void **state)
{
    (void)state;
    accept(purchase(1, 1, at(0, 0), 100));
    accept(purchase(2, 2, at(5, 0), 100));
    accept(purchase(3, 3, at(100, 0), 100));
    assert_int_equal(client.x, 2);
    accept(purchase(4, 4, at(0, 1), 100));
    assert_int_equal(client.x, 2);
    accept(purchase(5, 5, at(5, 1), 100)); /* bought on that day, but nobody remembers */
    assert_int_equal(client.x, 3);
    accept(purchase(6, 6, at(-2, 0), 70));
    assert_int_equal(client.x, 4);
    assert_int_equal(client.first_day_minor, 70);
    assert_int_equal(client.first_ms, at(-2, 0));
}

static void days_are_those_of_the_configured_zone(void **state)
{
    (void)state;
    rfm_zone *zone;
    if (rfm_zone_load("America/New_York", &zone, NULL)) {
        skip();
    }
    conf.zone = zone;
    accept(purchase(1, 1, at(0, 4), 100)); /* 23:00 the day before */
    accept(purchase(2, 2, at(0, 5), 100)); /* midnight */
    assert_int_equal(client.x, 1);
    assert_int_equal(client.first_day, T0_DAY - 1);
    accept(full_refund(3, 1, at(0, 6)));
    assert_int_equal(client.first_day_minor, 0);
    assert_int_equal(client.revenue_minor, 100);
    rfm_zone_free(zone);
}

static void an_order_of_zero_changes_no_fact(void **state)
{
    (void)state;
    rfm_client before = client;
    accept(purchase(1, 1, at(0, 0), 0));
    assert_false(applied.bought);
    assert_true(client.orders == before.orders && client.revenue_minor == before.revenue_minor && client.x == before.x);
    assert_int_equal(client.order_count, 1);
    assert_int_equal(apply(purchase(3, 1, at(0, 0), 0)), RFM_REPEAT);
    assert_int_equal(apply(purchase(1, 1, at(0, 0), 0)), RFM_REPEAT);
    accept(purchase(2, 2, at(0, 0), 50));
    assert_int_equal(apply(purchase(3, 2, at(0, 0), 0)), RFM_REPEAT);
}

/* Repeats */

static void the_last_32_ids_tell_repeats(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 33; i++) {
        accept(visit(i, at(0, 0)));
    }
    assert_int_equal(apply(visit(1, at(0, 0))), RFM_REPEAT);
    assert_int_equal(apply(visit(32, at(0, 0))), RFM_REPEAT);
    assert_int_equal(client.visits, 33);
    accept(visit(0, at(0, 0)));
    accept(message(1, "email", RFM_STATUS_SENT, at(0, 0))); /* the same id, another type */
}

static void beyond_48_hours_an_id_is_no_repeat(void **state)
{
    (void)state;
    accept(visit(1, at(2, 0) + 500));
    assert_int_equal(apply(visit(1, at(4, 0) + 500)), RFM_REPEAT);
    assert_int_equal(apply(visit(1, at(0, 0) + 500)), RFM_REPEAT);
    accept(visit(1, at(4, 0) + 1500));
    accept(visit(1, at(0, 0) - 500));
    assert_int_equal(client.visits, 3);
}

static void the_first_purchase_of_an_order_counts(void **state)
{
    (void)state;
    accept(purchase(1, 7, at(0, 0), 100));
    assert_int_equal(apply(purchase(2, 7, at(3, 0), 900)), RFM_REPEAT);
    assert_int_equal(apply(purchase(3, 7, at(90, 0), 900)), RFM_REPEAT);
    assert_int_equal(client.revenue_minor, 100);
    assert_int_equal(client.seen_count, 1);
    accept(purchase(4, 7, at(90, 0) + 1000, 900));
    assert_int_equal(client.orders, 2);
}

static void the_last_16_orders_tell_repeats(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 17; i++) {
        accept(purchase(i, i, at((int)i, 0), 100));
    }
    assert_int_equal(apply(purchase(101, 1, at(1, 0), 100)), RFM_REPEAT);
    accept(purchase(100, 0, at(0, 0), 100));
    assert_int_equal(client.orders, 18);
}

static void a_repeat_and_a_refusal_change_nothing(void **state)
{
    (void)state;
    accept(purchase(1, 1, at(0, 0), INT64_MAX));
    accept(message(2, "email", RFM_STATUS_SENT, at(0, 0)));
    uint8_t before[RFM_CLIENT_PACKED_MAX], after[RFM_CLIENT_PACKED_MAX];
    size_t len = rfm_client_encode(&client, before), count = rfm_names_count(names);
    assert_int_equal(apply(message(2, "sms", RFM_STATUS_SENT, at(0, 0))), RFM_REPEAT);
    assert_int_equal(apply(purchase(3, 3, at(0, 0), 1)), RFM_REFUSED);
    assert_int_equal(applied.reason, RFM_REASON_BAD_AMOUNT);
    assert_int_equal(apply(visit(4, RFM_TIME_1990_MS - 1)), RFM_REFUSED);
    assert_int_equal(applied.reason, RFM_REASON_TIME_TOO_OLD);
    assert_int_equal(rfm_client_encode(&client, after), len);
    assert_memory_equal(before, after, len);
    assert_int_equal(rfm_names_count(names), count);
}

/* Refunds */

static void next_permutation_from(size_t *order, size_t count, bool *done)
{
    size_t i = count - 1;
    while (i > 0 && order[i - 1] >= order[i]) {
        i--;
    }
    *done = i == 0;
    if (*done) {
        return;
    }
    size_t j = count - 1;
    while (order[j] <= order[i - 1]) {
        j--;
    }
    size_t held = order[i - 1];
    order[i - 1] = order[j], order[j] = held;
    for (size_t low = i, high = count - 1; low < high; low++, high--) {
        held = order[low], order[low] = order[high], order[high] = held;
    }
}

/* Applies the events in every order; each must give these facts. */
static void in_every_order(const rfm_event *events, size_t count, uint32_t orders, uint32_t refunds,
                           int64_t revenue_minor, int64_t first_day_minor)
{
    size_t order[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    for (bool done = false; !done; next_permutation_from(order, count, &done)) {
        rfm_client_init(&client);
        for (size_t i = 0; i < count; i++) {
            accept(events[order[i]]);
            assert_false(applied.lost_refund);
        }
        assert_int_equal(client.orders, orders);
        assert_int_equal(client.refunds, refunds);
        assert_int_equal(client.revenue_minor, revenue_minor);
        assert_int_equal(orders > 0 ? client.first_day_minor : 0, first_day_minor);
    }
}
#define IN_EVERY_ORDER(events, ...) in_every_order(events, sizeof(events) / sizeof *(events), __VA_ARGS__)

static void refunds_are_bounded_by_their_order(void **state)
{
    (void)state;
    const rfm_event partial[] = {purchase(1, 1, at(0, 0), 1000), refund(2, 1, at(1, 0), 300)};
    IN_EVERY_ORDER(partial, 1, 1, 700, 700);
    const rfm_event bounded[] = {purchase(1, 1, at(0, 0), 1000), refund(2, 1, at(1, 0), 300),
                                 refund(3, 1, at(2, 0), 900)};
    IN_EVERY_ORDER(bounded, 1, 2, 0, 0);
    const rfm_event whole[] = {purchase(1, 1, at(0, 0), 1000), refund(2, 1, at(1, 0), 300), full_refund(3, 1, at(2, 0)),
                               refund(4, 1, at(2, 0), 200)};
    IN_EVERY_ORDER(whole, 1, 3, 0, 0);
    const rfm_event twice[] = {purchase(1, 1, at(0, 0), 1000), full_refund(2, 1, at(1, 0)), full_refund(3, 1, at(2, 0)),
                               refund(4, 1, at(3, 0), 1)};
    IN_EVERY_ORDER(twice, 1, 3, 0, 0);
}

static void refunds_keep_to_their_order_and_day(void **state)
{
    (void)state;
    const rfm_event two[] = {purchase(1, 1, at(0, 0), 1000), purchase(2, 2, at(0, 9), 500),
                             purchase(3, 3, at(5, 0), 700),  full_refund(4, 2, at(6, 0)),
                             refund(5, 3, at(7, 0), 100),    refund(6, 1, at(8, 0), 50)};
    IN_EVERY_ORDER(two, 3, 3, 1550, 950);
    const rfm_event earlier[] = {purchase(1, 1, at(4, 0), 1000), refund(2, 1, at(5, 0), 400),
                                 purchase(3, 3, at(2, 0), 30), refund(4, 3, at(5, 0), 10)};
    IN_EVERY_ORDER(earlier, 2, 2, 620, 20);
    const rfm_event unmatched[] = {purchase(1, 1, at(4, 0), 1000), refund(2, 9, at(5, 0), 400),
                                   refund(3, 9, at(5, 0), 0)};
    IN_EVERY_ORDER(unmatched, 1, 2, 600, 1000);
}

static void a_refund_without_amount_waits(void **state)
{
    (void)state;
    accept(full_refund(1, 1, at(0, 0)));
    assert_int_equal(client.refunds, 0);
    assert_int_equal(client.revenue_minor, 0);
    accept(refund(2, 2, at(0, 0), 300));
    assert_int_equal(client.refunds, 1);
    assert_int_equal(client.revenue_minor, -300);
    assert_int_equal(client.orders, 0);
}

static rfm_applied_kind apply_from(rfm_event event, uint64_t source)
{
    return rfm_client_apply(&client, &event, source, &conf, names, &applied);
}

static void a_refund_pushed_out_is_lost(void **state)
{
    (void)state;
    assert_int_equal(apply_from(full_refund(1, 1, at(0, 0)), UINT64_C(1) << 56 | 77), RFM_APPLIED);
    assert_int_equal(apply_from(full_refund(2, 1, at(0, 1)), UINT64_C(1) << 56 | 78), RFM_APPLIED);
    accept(refund(3, 2, at(0, 2), 100));
    for (uint64_t i = 0; i < 13; i++) {
        accept(purchase(100 + i, 100 + i, at(1, 0), 100));
        assert_false(applied.lost_refund);
    }
    accept(purchase(200, 200, at(2, 0), 100));
    assert_true(applied.lost_refund);
    assert_int_equal(applied.lost_source, UINT64_C(1) << 56 | 77);
    assert_int_equal(applied.lost_time_ms, at(0, 0));
    accept(purchase(201, 201, at(2, 0), 100));
    assert_true(applied.lost_refund);
    assert_int_equal(applied.lost_source, UINT64_C(1) << 56 | 78);
    accept(purchase(202, 202, at(2, 0), 100)); /* the one with an amount has counted already */
    assert_false(applied.lost_refund);
    assert_int_equal(client.refunds, 1);
    accept(purchase(203, 1, at(2, 0), 100)); /* too late for its refunds */
    assert_int_equal(client.refunds, 1);
}

static void a_refund_of_a_reused_order_id_goes_by_time(void **state)
{
    (void)state;
    accept(purchase(1, 1, at(0, 0), 100));
    accept(purchase(2, 1, at(100, 0), 500));
    accept(full_refund(3, 1, at(50, 0)));
    assert_int_equal(client.revenue_minor, 500);
    assert_int_equal(client.first_day_minor, 0);
    accept(full_refund(4, 1, at(101, 0)));
    assert_int_equal(client.revenue_minor, 0);
}

/* Other currencies: a refund that names none has its order's. */

static rfm_event in(const char *currency, rfm_event event)
{
    int64_t amount_minor;
    event.currency = rfm_text(currency);
    event.amount = (rfm_decimal){event.amount_minor, 2};
    assert_int_equal(rfm_money_convert(&conf.money, event.amount, event.currency, &amount_minor), 0);
    event.amount_minor = amount_minor;
    return event;
}

static void refunds_have_their_orders_currency(void **state)
{
    (void)state;
    conf.money.other[0] = (rfm_currency){"USD", 2, {9, 1}};
    conf.money.other[1] = (rfm_currency){"JPY", 0, {6, 3}};
    conf.money.other_count = 2;
    const rfm_event one[] = {in("USD", purchase(1, 1, at(0, 0), 10000)), in("", refund(2, 1, at(1, 0), 5000))};
    IN_EVERY_ORDER(one, 1, 1, 4500, 4500);
    const rfm_event more[] = {in("USD", purchase(1, 1, at(0, 0), 10000)), in("", refund(2, 1, at(1, 0), 1005)),
                              in("", refund(3, 1, at(2, 0), 1005)), in("EUR", refund(4, 1, at(3, 0), 100))};
    IN_EVERY_ORDER(more, 1, 3, 9000 - 904 - 904 - 100, 9000 - 904 - 904 - 100); /* 9.045 rounds to 9.04, twice */
    const rfm_event bounded[] = {in("USD", purchase(1, 1, at(0, 0), 10000)), in("", refund(2, 1, at(1, 0), 9999)),
                                 in("USD", refund(3, 1, at(2, 0), 1)), full_refund(4, 1, at(3, 0)),
                                 purchase(5, 5, at(9, 0), 7)};
    IN_EVERY_ORDER(bounded, 2, 3, 7, 0);
    const rfm_event base[] = {in("EUR", purchase(1, 1, at(0, 0), 10000)), in("", refund(2, 1, at(1, 0), 5000)),
                              in("", refund(3, 1, at(1, 0), 1000))};
    IN_EVERY_ORDER(base, 1, 2, 4000, 4000);
    rfm_client_init(&client);
    accept(in("JPY", purchase(1, 1, at(0, 0), 1000000)));
    assert_int_equal(client.revenue_minor, 6000);
    accept(in("", refund(2, 1, at(0, 0), 500000)));
    assert_int_equal(client.revenue_minor, 3000);
    assert_int_equal(apply(in("", refund(3, 1, at(0, 0), 1050))), RFM_REFUSED); /* 10.50 yen */
    assert_int_equal(applied.reason, RFM_REASON_BAD_AMOUNT);
}

/* A refund that its order's currency cannot be is none, whichever of the two has come first. */
static void refunds_that_do_not_fit_are_none(void **state)
{
    (void)state;
    conf.money.other[0] = (rfm_currency){"JPY", 0, {6, 3}};
    conf.money.other_count = 1;
    const rfm_event order = in("JPY", purchase(1, 1, at(0, 0), 100000)), half_yen = in("", refund(2, 1, at(1, 0), 525)),
                    named = in("EUR", refund(3, 1, at(2, 0), 100));
    accept(order);
    assert_int_equal(apply(half_yen), RFM_REFUSED);
    accept(named);
    assert_int_equal(client.revenue_minor, 500);
    assert_int_equal(client.refunds, 1);
    rfm_client_init(&client);
    accept(half_yen);
    accept(named);
    assert_int_equal(client.refunds, 2);
    accept(order);
    assert_int_equal(client.revenue_minor, 500);
    assert_int_equal(client.first_day_minor, 500);
    assert_int_equal(client.refunds, 1);
}

/* What is too fine for the base currency may be right in that of its order. */
static void a_refund_may_have_more_decimals_than_the_base(void **state)
{
    (void)state;
    conf.money.base = (rfm_currency){"JPY", 0, {1, 0}};
    conf.money.other[0] = (rfm_currency){"USD", 2, {150, 0}};
    conf.money.other_count = 1;
    rfm_event fine = refund(3, 1, at(1, 0), RFM_AMOUNT_NOT_BASE);
    fine.amount = (rfm_decimal){525, 2};
    assert_int_equal(apply(fine), RFM_REFUSED); /* its order has not come: it is in yen */
    assert_int_equal(applied.reason, RFM_REASON_BAD_AMOUNT);
    accept(in("USD", purchase(1, 1, at(0, 0), 10000)));
    accept(fine);
    assert_int_equal(client.revenue_minor, 15000 - 788); /* 787.5 to the even */
    assert_int_equal(applied.amount_minor, 788);
    accept(purchase(2, 2, at(0, 0), 10)); /* in yen */
    fine.order_id48 = purchase(2, 2, 0, 0).order_id48, fine.id48++;
    assert_int_equal(apply(fine), RFM_REFUSED);
}

/* Consent, messages, visits */

static rfm_permission permission(const char *channel, rfm_class class_)
{
    return rfm_client_permission(&client, rfm_names_find(names, rfm_text(channel)), class_);
}

static void the_latest_consent_wins_and_a_tie_refuses(void **state)
{
    (void)state;
    assert_int_equal(permission("email", RFM_CLASS_MARKETING), RFM_PERMISSION_UNKNOWN);
    accept(consent(1, "email", RFM_CLASS_MARKETING, true, at(2, 0)));
    assert_int_equal(permission("email", RFM_CLASS_MARKETING), RFM_PERMISSION_GRANTED);
    assert_int_equal(permission("email", RFM_CLASS_TRANSACTIONAL), RFM_PERMISSION_UNKNOWN);
    assert_int_equal(permission("sms", RFM_CLASS_MARKETING), RFM_PERMISSION_UNKNOWN);
    accept(consent(2, "email", RFM_CLASS_MARKETING, false, at(1, 0)));
    assert_int_equal(permission("email", RFM_CLASS_MARKETING), RFM_PERMISSION_GRANTED);
    accept(consent(3, "email", RFM_CLASS_MARKETING, false, at(2, 0)));
    assert_int_equal(permission("email", RFM_CLASS_MARKETING), RFM_PERMISSION_REFUSED);
    accept(consent(4, "email", RFM_CLASS_MARKETING, true, at(2, 0)));
    assert_int_equal(permission("email", RFM_CLASS_MARKETING), RFM_PERMISSION_REFUSED);
    accept(consent(5, "email", RFM_CLASS_MARKETING, true, at(2, 0) + 1));
    assert_int_equal(permission("email", RFM_CLASS_MARKETING), RFM_PERMISSION_GRANTED);
}

static void complaints_and_unsubscriptions_refuse(void **state)
{
    (void)state;
    accept(message(1, "email", RFM_STATUS_UNSUBSCRIBED, at(1, 0)));
    assert_int_equal(permission("email", RFM_CLASS_MARKETING), RFM_PERMISSION_REFUSED);
    assert_int_equal(permission("email", RFM_CLASS_TRANSACTIONAL), RFM_PERMISSION_UNKNOWN);
    accept(message(2, "email", RFM_STATUS_COMPLAINED, at(2, 0)));
    assert_int_equal(permission("email", RFM_CLASS_TRANSACTIONAL), RFM_PERMISSION_REFUSED);
    accept(consent(3, "email", RFM_CLASS_MARKETING, true, at(1, 12)));
    assert_int_equal(permission("email", RFM_CLASS_MARKETING), RFM_PERMISSION_REFUSED);
    accept(consent(4, "email", RFM_CLASS_MARKETING, true, at(3, 0)));
    assert_int_equal(permission("email", RFM_CLASS_MARKETING), RFM_PERMISSION_GRANTED);
    assert_int_equal(permission("email", RFM_CLASS_TRANSACTIONAL), RFM_PERMISSION_REFUSED);
    assert_int_equal(client.channel[0].by_status[RFM_STATUS_COMPLAINED], 1);
}

static void sixteen_consents_fit(void **state)
{
    (void)state;
    static const char *const channels[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    for (uint64_t i = 0; i < 15; i++) {
        accept(consent(i, channels[i / 2], i % 2 ? RFM_CLASS_TRANSACTIONAL : RFM_CLASS_MARKETING, true, at(0, 0)));
    }
    assert_int_equal(apply(message(50, "z", RFM_STATUS_COMPLAINED, at(0, 0))), RFM_REFUSED); /* needs two */
    assert_int_equal(applied.reason, RFM_REASON_STATE_FULL);
    assert_int_equal(client.channel_count, 0);
    accept(message(51, "h", RFM_STATUS_COMPLAINED, at(0, 1)));
    assert_int_equal(client.consent_count, 16);
    assert_int_equal(apply(consent(52, "z", RFM_CLASS_MARKETING, true, at(0, 0))), RFM_REFUSED);
    assert_int_equal(rfm_names_find(names, rfm_text("z")), 0);
    accept(consent(53, "a", RFM_CLASS_MARKETING, false, at(0, 0)));
    accept(message(54, "z", RFM_STATUS_SENT, at(0, 0)));
}

static uint32_t count_of(const char *channel, rfm_message_status status)
{
    uint16_t name = rfm_names_find(names, rfm_text(channel));
    for (size_t i = 0; i < client.channel_count; i++) {
        if (client.channel[i].name == name) {
            return client.channel[i].by_status[status];
        }
    }
    return 0;
}

static void from_the_ninth_on_channels_share_other(void **state)
{
    (void)state;
    static const char *const channels[] = {"c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9"};
    for (uint64_t i = 0; i < 30; i++) {
        accept(message(i, channels[i % 10], RFM_STATUS_SENT, at(0, 0)));
    }
    assert_int_equal(client.channel_count, 9);
    assert_int_equal(count_of("c0", RFM_STATUS_SENT), 3);
    assert_int_equal(count_of("c7", RFM_STATUS_SENT), 3);
    assert_int_equal(count_of("c8", RFM_STATUS_SENT), 0);
    assert_int_equal(count_of("other", RFM_STATUS_SENT), 6);
}

static void a_channel_called_other_takes_no_room(void **state)
{
    (void)state;
    static const char *const channels[] = {"other", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9"};
    for (uint64_t i = 0; i < 10; i++) {
        accept(message(i, channels[i], RFM_STATUS_SENT, at(0, 0)));
    }
    assert_int_equal(count_of("c8", RFM_STATUS_SENT), 1);
    assert_int_equal(count_of("other", RFM_STATUS_SENT), 2);
}

static void a_permanent_bounce_blocks_until_a_delivery(void **state)
{
    (void)state;
    rfm_event soft = message(1, "email", RFM_STATUS_BOUNCED, at(1, 0));
    soft.permanent = false;
    accept(soft);
    uint16_t email = rfm_names_find(names, rfm_text("email"));
    assert_false(rfm_client_bounces(&client, email));
    accept(message(2, "email", RFM_STATUS_BOUNCED, at(3, 0)));
    assert_true(rfm_client_bounces(&client, email));
    accept(message(3, "email", RFM_STATUS_DELIVERED, at(2, 0)));
    assert_true(rfm_client_bounces(&client, email));
    accept(message(4, "email", RFM_STATUS_DELIVERED, at(3, 0)));
    assert_true(rfm_client_bounces(&client, email));
    accept(message(5, "email", RFM_STATUS_DELIVERED, at(4, 0)));
    assert_false(rfm_client_bounces(&client, email));
    accept(message(6, "email", RFM_STATUS_BOUNCED, at(3, 12)));
    assert_false(rfm_client_bounces(&client, email));
    assert_int_equal(client.channel[0].by_status[RFM_STATUS_BOUNCED], 3);
    assert_false(rfm_client_bounces(&client, 99));
}

static void visits_are_counted(void **state)
{
    (void)state;
    assert_int_equal(rfm_client_last_event_ms(&client), INT64_MIN);
    accept(visit(1, at(5, 0)));
    accept(visit(2, at(3, 0)));
    assert_int_equal(client.visits, 2);
    assert_int_equal(client.visit_last_ms, at(5, 0));
    assert_int_equal(rfm_client_last_event_ms(&client), at(5, 0));
}

/* Any order gives the same facts: against facts computed from the set as a whole. */

enum { SET_MAX = 32 };

static int compare_times(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static int64_t net_of(const rfm_event *events, size_t count, const rfm_event *order)
{
    int64_t refunded = 0;
    for (size_t i = 0; i < count; i++) {
        if (events[i].type == RFM_EVENT_REFUND && events[i].order_id48 == order->order_id48) {
            refunded += events[i].has_amount ? events[i].amount_minor : order->amount_minor;
        }
    }
    return refunded > order->amount_minor ? 0 : order->amount_minor - refunded;
}

static const rfm_event *order_in(const rfm_event *events, size_t count, uint64_t order)
{
    for (size_t i = 0; i < count; i++) {
        if (events[i].type == RFM_EVENT_PURCHASE && events[i].order_id48 == order && events[i].amount_minor > 0) {
            return &events[i];
        }
    }
    return NULL;
}

static void money_of_set(const rfm_event *events, size_t count, rfm_client *facts)
{
    for (size_t i = 0; i < count; i++) {
        const rfm_event *event = &events[i];
        if (event->type == RFM_EVENT_PURCHASE && event->amount_minor > 0) {
            facts->orders++;
            facts->revenue_minor += net_of(events, count, event);
        } else if (event->type == RFM_EVENT_REFUND) {
            bool known = order_in(events, count, event->order_id48) != NULL;
            facts->refunds += known || event->has_amount;
            facts->revenue_minor -= known || !event->has_amount ? 0 : event->amount_minor;
        }
    }
}

static int month_of(int64_t time_ms)
{
    time_t time_s = (time_t)(time_ms / 1000);
    const struct tm *civil = gmtime(&time_s);
    return civil->tm_year * 12 + civil->tm_mon;
}

static void days_of_set(const rfm_event *events, size_t count, rfm_client *facts)
{
    int64_t times[SET_MAX];
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        if (events[i].type == RFM_EVENT_PURCHASE && events[i].amount_minor > 0) {
            times[len++] = events[i].time_ms;
        }
    }
    if (len == 0) {
        return;
    }
    qsort(times, len, sizeof *times, compare_times);
    facts->first_ms = times[0], facts->last_ms = times[len - 1];
    facts->first_day = (int32_t)(times[0] / RFM_DAY_MS), facts->last_day = (int32_t)(times[len - 1] / RFM_DAY_MS);
    for (size_t i = 0; i < len; i++) {
        int64_t day = times[i] / RFM_DAY_MS;
        facts->x += i > 0 && day != times[i - 1] / RFM_DAY_MS;
        facts->before_last_ms = day < facts->last_day ? times[i] : facts->before_last_ms;
        facts->purchase_days |= UINT64_C(1) << (facts->last_day - day);
        facts->purchase_months |= UINT32_C(1) << (month_of(facts->last_ms) - month_of(times[i]));
    }
    for (size_t i = 0; i < count; i++) {
        if (events[i].type == RFM_EVENT_PURCHASE && events[i].amount_minor > 0 &&
            events[i].time_ms / RFM_DAY_MS == facts->first_day) {
            facts->first_day_minor += net_of(events, count, &events[i]);
        }
    }
}

static rfm_event random_event(uint64_t *seed, uint64_t id)
{
    static const char *const channels[] = {"email", "push", "sms"};
    int64_t time_ms = T0 + (int64_t)random_below(seed, 63 * 24) * RFM_HOUR_MS + (int64_t)random_below(seed, 3) * 7;
    uint64_t order = random_below(seed, 6);
    const char *channel = channels[random_below(seed, 3)];
    switch (random_below(seed, 8)) {
    case 0:
    case 1: return purchase(id, 100 + id, time_ms, (int64_t)random_below(seed, 20) * 10);
    case 2: return refund(id, order, time_ms, (int64_t)random_below(seed, 100));
    case 3: return full_refund(id, order, time_ms);
    case 4: return visit(id, time_ms);
    case 5:
        return consent(id, channel, random_below(seed, 2), random_below(seed, 2), T0 + (int64_t)random_below(seed, 4));
    default: return message(id, channel, random_below(seed, RFM_STATUS_COUNT), T0 + (int64_t)random_below(seed, 4));
    }
}

/* At most 6 orders that refunds name and 10 others, so that none leaves the window of 16. */
static size_t random_set(uint64_t *seed, rfm_event *events)
{
    size_t count = 0, plain = 0;
    for (uint64_t order = 0; order < 6; order++) {
        int64_t time_ms = T0 + (int64_t)random_below(seed, 40 * 8) * 3 * RFM_HOUR_MS;
        if (random_below(seed, 4) > 0) {
            events[count++] = purchase(900 + order, order, time_ms, 1 + (int64_t)random_below(seed, 150));
        }
    }
    size_t wanted = count + 1 + random_below(seed, SET_MAX / 2);
    int waiting[6] = {0};
    while (count < wanted) {
        rfm_event event = random_event(seed, count);
        if (event.type == RFM_EVENT_PURCHASE && ++plain > 4) {
            continue;
        }
        if (event.type == RFM_EVENT_REFUND && !event.has_amount && ++waiting[event.order_id48] > 1) {
            continue; /* 6 orders, 4 plain ones, at most 6 more entries */
        }
        events[count++] = event;
    }
    return count;
}

static size_t encode_facts(const rfm_client *of, uint8_t packed[RFM_CLIENT_PACKED_MAX])
{
    rfm_client facts = *of;
    facts.order_count = facts.seen_count = 0;
    return rfm_client_encode(&facts, packed);
}

static void apply_all(const rfm_event *events, size_t count, uint64_t *seed)
{
    rfm_client_init(&client);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(apply(events[i]), RFM_APPLIED);
        assert_int_equal(apply(events[random_below(seed, i + 1)]), RFM_REPEAT);
    }
}

static void facts_do_not_depend_on_the_order(void **state)
{
    (void)state;
    uint64_t seed = 42;
    (void)rfm_names_number(names, rfm_text("sms"));
    (void)rfm_names_number(names, rfm_text("email"));
    (void)rfm_names_number(names, rfm_text("push"));
    for (int set = 0; set < 500; set++) {
        rfm_event events[SET_MAX];
        size_t count = random_set(&seed, events);
        rfm_client expected = {0}, first;
        money_of_set(events, count, &expected);
        days_of_set(events, count, &expected);
        uint8_t packed[RFM_CLIENT_PACKED_MAX], again[RFM_CLIENT_PACKED_MAX];
        size_t len = 0;
        for (int permutation = 0; permutation < 20; permutation++) {
            apply_all(events, count, &seed);
            expected.visits = client.visits, expected.visit_last_ms = client.visit_last_ms;
            expected.stages = client.stages, expected.stage_month = client.stage_month;
            expected.channel_count = client.channel_count, expected.consent_count = client.consent_count;
            memcpy(expected.channel, client.channel, sizeof expected.channel);
            memcpy(expected.consent, client.consent, sizeof expected.consent);
            assert_true(rfm_client_facts_equal(&client, &expected));
            if (permutation == 0) {
                first = client;
                len = encode_facts(&client, packed);
            }
            assert_true(rfm_client_facts_equal(&client, &first));
            assert_int_equal(encode_facts(&client, again), len);
            assert_memory_equal(packed, again, len);
            shuffle(events, count, &seed);
        }
    }
}

/* Two years of purchases, each late by up to 63 days after the newest. */
static void facts_do_not_depend_on_lateness(void **state)
{
    (void)state;
    uint64_t seed = 7;
    for (int set = 0; set < 300; set++) {
        enum { COUNT = 200 };
        rfm_event events[COUNT];
        struct {
            int64_t arrival;
            size_t index;
        } arrivals[COUNT];
        for (size_t i = 0; i < COUNT; i++) {
            int64_t day = (int64_t)random_below(&seed, 730);
            events[i] = purchase(i, i, at((int)day, (int)random_below(&seed, 24)),
                                 1 + (int64_t)random_below(&seed, 100));
            arrivals[i].arrival = day + (int64_t)random_below(&seed, 64), arrivals[i].index = i;
        }
        qsort(arrivals, COUNT, sizeof *arrivals, compare_times);
        rfm_client late;
        rfm_client_init(&client);
        for (size_t i = 0; i < COUNT; i++) {
            accept(events[arrivals[i].index]);
        }
        late = client;
        for (size_t i = 0; i < COUNT; i++) {
            arrivals[i].arrival = events[i].time_ms, arrivals[i].index = i;
        }
        qsort(arrivals, COUNT, sizeof *arrivals, compare_times);
        rfm_client_init(&client);
        for (size_t i = 0; i < COUNT; i++) {
            accept(events[arrivals[i].index]);
        }
        assert_true(rfm_client_facts_equal(&client, &late));
    }
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(one_purchase),
        T(a_day_counts_once),
        T(beyond_the_lateness_a_day_is_new_but_for_the_first),
        T(days_are_those_of_the_configured_zone),
        T(an_order_of_zero_changes_no_fact),
        T(the_last_32_ids_tell_repeats),
        T(beyond_48_hours_an_id_is_no_repeat),
        T(the_first_purchase_of_an_order_counts),
        T(the_last_16_orders_tell_repeats),
        T(a_repeat_and_a_refusal_change_nothing),
        T(refunds_are_bounded_by_their_order),
        T(refunds_keep_to_their_order_and_day),
        T(a_refund_without_amount_waits),
        T(a_refund_pushed_out_is_lost),
        T(a_refund_of_a_reused_order_id_goes_by_time),
        T(refunds_have_their_orders_currency),
        T(refunds_that_do_not_fit_are_none),
        T(a_refund_may_have_more_decimals_than_the_base),
        T(the_latest_consent_wins_and_a_tie_refuses),
        T(complaints_and_unsubscriptions_refuse),
        T(sixteen_consents_fit),
        T(from_the_ninth_on_channels_share_other),
        T(a_channel_called_other_takes_no_room),
        T(a_permanent_bounce_blocks_until_a_delivery),
        T(visits_are_counted),
        T(facts_do_not_depend_on_the_order),
        T(facts_do_not_depend_on_lateness),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
