/* The sums that events move, beside what the sets of events as a whole say: plain loops over them, with the calendar of
 * the C library. */
#include "world.h"

#include <rfm/client/kpi.h>
#include <time.h>

enum { CLIENTS = 12, EVENTS_MAX = 40, DAYS = 900, CELLS_MAX = 20000 };
static rfm_client_conf conf;
static rfm_names *names;
static rfm_tally *tally, *expected;

static int set_up(void **state)
{
    (void)state;
    rfm_client_conf_defaults(&conf);
    names = rfm_names_new();
    tally = rfm_tally_new();
    expected = rfm_tally_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rfm_names_free(names);
    rfm_tally_free(tally);
    rfm_tally_free(expected);
    return 0;
}

static void take(rfm_client *client, rfm_event event)
{
    rfm_applied applied;
    rfm_kpi_standing before = rfm_client_kpi(client);
    before.known = client->seen_count > 0;
    assert_int_equal(rfm_client_apply(client, &event, 0, &conf, names, &applied), RFM_APPLIED);
    rfm_kpi_count(tally, &before, client, &event, &applied, names);
    rfm_kpi_move(tally, &before, client, conf.zone);
}

/* -- the same from whole sets */

static int32_t day_of(int64_t time_ms)
{
    return (int32_t)(time_ms / RFM_DAY_MS);
}

static int32_t month_of(int64_t time_ms)
{
    time_t time_s = (time_t)(time_ms / 1000);
    const struct tm *civil = gmtime(&time_s);
    return (civil->tm_year - 70) * 12 + civil->tm_mon;
}

static void expect(rfm_kpi_metric metric, int32_t period, int part, uint16_t source, int64_t amount)
{
    rfm_tally_add(expected, (rfm_cell){(char)metric, period, (uint16_t)part, source}, amount);
}

static void expect_dated(rfm_kpi_metric metric, rfm_kpi_metric metric_of, int64_t time_ms, uint16_t source,
                         int64_t amount)
{
    expect(metric, day_of(time_ms), 0, 0, amount);
    if (source > 0)
        expect(metric_of, month_of(time_ms), 0, source, amount);
}

/* What an order's refunds take off its day, or off their own. */
static void expect_revenue(const rfm_event *events, size_t count, uint16_t source, int64_t *sum)
{
    for (size_t i = 0; i < count; i++) {
        if (events[i].type != RFM_EVENT_PURCHASE && events[i].type != RFM_EVENT_REFUND)
            continue;
        const rfm_event *order = NULL;
        int64_t refunded = 0, first_ms = INT64_MAX, amount = 0, at_ms = events[i].time_ms;
        for (size_t k = 0; k < count; k++) {
            if (events[k].order_id48 != events[i].order_id48)
                continue;
            if (events[k].type == RFM_EVENT_PURCHASE)
                order = &events[k];
            if (events[k].type != RFM_EVENT_REFUND)
                continue;
            refunded += events[k].has_amount ? events[k].amount_minor : INT32_MAX;
            first_ms = events[k].time_ms < first_ms ? events[k].time_ms : first_ms;
        }
        if (events[i].type == RFM_EVENT_PURCHASE)
            amount = refunded > events[i].amount_minor ? 0 : events[i].amount_minor - refunded;
        else if (order == NULL && events[i].has_amount)
            amount = -events[i].amount_minor, at_ms = first_ms; /* they wait on the first one's day */
        expect_dated(RFM_KPI_REVENUE, RFM_KPI_REVENUE_OF, at_ms, source, amount);
        *sum += amount;
    }
}

static bool is_order(const rfm_event *event)
{
    return event->type == RFM_EVENT_PURCHASE && event->amount_minor > 0;
}

/* Sets of months, as their distance from the first day of the test. */
static void expect_purchases(const rfm_event *events, size_t count, uint16_t source)
{
    bool bought[64] = {false}, day_seen[DAYS + 64] = {false};
    int32_t base = month_of(T0), orders = 0;
    int64_t first_ms = INT64_MAX;
    for (size_t i = 0; i < count; i++) {
        if (!is_order(&events[i]))
            continue;
        orders++;
        first_ms = events[i].time_ms < first_ms ? events[i].time_ms : first_ms;
        bought[month_of(events[i].time_ms) - base] = true;
        expect_dated(RFM_KPI_ORDERS, RFM_KPI_ORDERS_OF, events[i].time_ms, source, 1);
        if (!day_seen[day_of(events[i].time_ms) - T0_DAY])
            expect(RFM_KPI_BUYERS, day_of(events[i].time_ms), 0, 0, 1);
        day_seen[day_of(events[i].time_ms) - T0_DAY] = true;
    }
    if (orders == 0)
        return;
    expect_dated(RFM_KPI_NEW, RFM_KPI_NEW_OF, first_ms, source, 1);
    if (orders == 1)
        expect_dated(RFM_KPI_SOLE, RFM_KPI_SOLE_OF, first_ms, source, 1);
    int32_t first = month_of(first_ms) - base;
    for (int32_t month = 0; month < 64; month++) {
        expect(RFM_KPI_BUYERS_OF, base + month, 0, source, bought[month]);
        expect(RFM_KPI_KEPT, base + month, 0, source, month > 0 && bought[month] && bought[month - 1]);
        if (bought[month] && month - first < RFM_COHORT_MONTHS)
            expect(RFM_KPI_COHORT, base + first, month - first, source, 1);
    }
    expect(RFM_KPI_CLIENTS, 0, 0, source, 1);
}

static void expect_visits(const rfm_event *events, size_t count, uint16_t source)
{
    static const char *const actions[] = {"", "view_item", "add_to_cart", "begin_checkout"};
    bool been[64][RFM_STAGE_COUNT] = {{false}};
    for (size_t i = 0; i < count; i++) {
        if (events[i].type != RFM_EVENT_VISIT)
            continue;
        for (int stage = 0; stage < RFM_STAGE_COUNT; stage++) {
            if (stage > 0 && !rfm_bytes_is(events[i].action, actions[stage]))
                continue;
            expect(RFM_KPI_VISITS, day_of(events[i].time_ms), stage, 0, 1);
            been[month_of(events[i].time_ms) - month_of(T0)][stage] = true;
        }
    }
    for (int32_t month = 0; month < 64; month++)
        for (int stage = 0; stage < RFM_STAGE_COUNT; stage++)
            expect(RFM_KPI_STAGE, month_of(T0) + month, stage, source, been[month][stage]);
}

static void expect_feedback(const rfm_event *events, size_t count, uint16_t source)
{
    const rfm_event *nps = NULL, *csat = NULL;
    int64_t complaints = 0;
    for (size_t i = 0; i < count; i++) {
        if (events[i].type == RFM_EVENT_COST) /* an order of its own each */
            expect_dated(RFM_KPI_COST, RFM_KPI_COST_OF, events[i].time_ms, rfm_names_find(names, events[i].campaign),
                         events[i].amount_minor);
        if (events[i].type != RFM_EVENT_FEEDBACK)
            continue;
        complaints += events[i].feedback == RFM_FEEDBACK_COMPLAINT;
        if (events[i].feedback == RFM_FEEDBACK_NPS && (nps == NULL || events[i].time_ms > nps->time_ms))
            nps = &events[i];
        if (events[i].feedback == RFM_FEEDBACK_CSAT && (csat == NULL || events[i].time_ms > csat->time_ms))
            csat = &events[i];
    }
    if (nps != NULL)
        expect(RFM_KPI_NPS, 0, (int)nps->score, source, 1);
    expect(RFM_KPI_CSAT, 0, 0, source, csat != NULL);
    expect(RFM_KPI_CSAT_SUM, 0, 0, source, csat == NULL ? 0 : (int64_t)(csat->score * 100));
    expect(RFM_KPI_COMPLAINTS, 0, 0, source, complaints);
}

static uint16_t source_of(const rfm_event *events, size_t count)
{
    const rfm_event *first = NULL;
    for (size_t i = 0; i < count; i++)
        if (events[i].campaign.len > 0 && (first == NULL || events[i].time_ms < first->time_ms))
            first = &events[i];
    return first == NULL ? 0 : rfm_names_find(names, first->campaign);
}

static void expect_client(const rfm_event *events, size_t count)
{
    uint16_t source = source_of(events, count);
    int64_t revenue = 0;
    expect_revenue(events, count, source, &revenue);
    expect_purchases(events, count, source);
    expect_visits(events, count, source);
    expect_feedback(events, count, source);
    expect(RFM_KPI_TURNOVER, 0, 0, source, revenue);
    expect(RFM_KPI_LIFECYCLE, 0, 0, source, count > 0); /* nobody has looked */
    expect(RFM_KPI_SEGMENT, 0, 0, source, count > 0);
}

static void check_equal(const rfm_tally *a, const rfm_tally *b)
{
    rfm_cell cell;
    int64_t value;
    char text[RFM_TALLY_FIELD_MAX];
    for (size_t cursor = 0; rfm_tally_next(a, &cursor, &cell, &value);)
        if (rfm_tally_get(b, cell) != value) {
            rfm_cell_format(cell, text);
            fail_msg("%s: %lld beside %lld", text, (long long)value, (long long)rfm_tally_get(b, cell));
        }
}

static void check(void)
{
    check_equal(tally, expected);
    check_equal(expected, tally);
}

/* -- random sets: each time is another, so that nothing is a tie */

static rfm_event feedback(uint64_t id, rfm_feedback_kind kind, double score, int64_t time_ms)
{
    rfm_event event = event_of(RFM_EVENT_FEEDBACK, id, time_ms);
    event.feedback = kind, event.has_score = true, event.score = score;
    return event;
}

static rfm_event random_event(uint64_t *seed, uint64_t id, int64_t time_ms)
{
    static const char *const actions[] = {"page_view", "view_item", "add_to_cart", "begin_checkout", "login"};
    static const char *const campaigns[] = {"spring", "summer", "affiliate"};
    rfm_event event;
    switch (random_below(seed, 9)) {
    case 0:
    case 1:
    case 2: event = purchase(id, id % 13, time_ms, (int64_t)random_below(seed, 12) * 100); break;
    case 3: event = refund(id, random_below(seed, 13), time_ms, 1 + (int64_t)random_below(seed, 900)); break;
    case 4: event = full_refund(id, random_below(seed, 13), time_ms); break;
    case 5: event = visit(id, time_ms), event.action = rfm_text(actions[random_below(seed, 5)]); break;
    case 6: return feedback(id, RFM_FEEDBACK_NPS, (double)random_below(seed, 11), time_ms);
    case 7:
        if (random_below(seed, 2) > 0)
            return feedback(id, RFM_FEEDBACK_COMPLAINT, 0, time_ms);
        return feedback(id, RFM_FEEDBACK_CSAT, (double)random_below(seed, 6), time_ms);
    default: event = event_of(RFM_EVENT_COST, id, time_ms), event.amount_minor = (int64_t)random_below(seed, 500);
    }
    if (random_below(seed, 5) == 0 && event.type != RFM_EVENT_REFUND)
        event.campaign = rfm_text(campaigns[random_below(seed, 3)]);
    return event;
}

/* One purchase, and one refund without amount, an order; 13 orders and as many refunds do not all stand in the window,
 * but of 16 entries none is pushed out: refunds of one order share theirs. */
static size_t random_set(uint64_t *seed, rfm_event *events, int32_t days)
{
    size_t count = 0, wanted = random_below(seed, EVENTS_MAX + 1);
    bool ordered[13] = {false}, whole[13] = {false};
    for (uint64_t id = 0; count < wanted; id++) {
        int64_t time_ms = T0 + (int64_t)random_below(seed, (uint64_t)days) * RFM_DAY_MS + (int64_t)id * RFM_MINUTE_MS;
        rfm_event event = random_event(seed, id, time_ms);
        bool *once = event.type == RFM_EVENT_PURCHASE ? ordered : whole;
        bool limited = event.type == RFM_EVENT_PURCHASE || (event.type == RFM_EVENT_REFUND && !event.has_amount);
        if (limited && once[event.order_id48])
            continue;
        if (limited)
            once[event.order_id48] = true;
        if (event.type == RFM_EVENT_PURCHASE && event.amount_minor == 0)
            event.amount_minor = 50; /* an order of 0 is not told from one that was refunded when a source moves */
        events[count++] = event;
    }
    return count;
}

static void run(rfm_event (*events)[EVENTS_MAX], const size_t *counts, uint64_t *seed)
{
    static rfm_client clients[CLIENTS];
    rfm_tally_clear(tally);
    for (size_t i = 0; i < CLIENTS; i++) {
        rfm_client_init(&clients[i]);
        shuffle(events[i], counts[i], seed);
        for (size_t k = 0; k < counts[i]; k++) {
            uint8_t packed[RFM_CLIENT_PACKED_MAX];
            take(&clients[i], events[i][k]);
            size_t len = rfm_client_encode(&clients[i], packed);
            assert_int_equal(rfm_client_decode(rfm_bytes_of(packed, len), &clients[i]), RFM_OK);
        }
    }
}

static void sums_follow_from_the_set_of_events(void **state)
{
    (void)state;
    uint64_t seed = 11;
    static rfm_event events[CLIENTS][EVENTS_MAX];
    size_t counts[CLIENTS];
    (void)rfm_names_number(names, rfm_text("spring"));
    (void)rfm_names_number(names, rfm_text("summer"));
    (void)rfm_names_number(names, rfm_text("affiliate"));
    for (int set = 0; set < 150; set++) {
        rfm_tally_clear(expected);
        for (size_t i = 0; i < CLIENTS; i++) {
            counts[i] = random_set(&seed, events[i], 63);
            expect_client(events[i], counts[i]);
        }
        for (int permutation = 0; permutation < 10; permutation++) {
            run(events, counts, &seed);
            check();
        }
    }
}

/* Two years, in order, but each purchase up to 63 days late behind the client's newest. */
static void late_purchases_count_where_they_belong(void **state)
{
    (void)state;
    enum { COUNT = 60 };
    uint64_t seed = 3;
    for (int set = 0; set < 300; set++) {
        rfm_client client;
        rfm_event events[COUNT];
        rfm_client_init(&client);
        rfm_tally_clear(tally);
        rfm_tally_clear(expected);
        int64_t newest_day = 64;
        size_t count = 1 + random_below(&seed, COUNT);
        for (size_t i = 0; i < count; i++) {
            int64_t day = newest_day + (int64_t)random_below(&seed, 94) - 63;
            newest_day = day > newest_day ? day : newest_day;
            events[i] = purchase(i, i, T0 + day * RFM_DAY_MS + (int64_t)i, 100);
            take(&client, events[i]);
        }
        assert_true(newest_day < DAYS);
        expect_client(events, count);
        check();
    }
}

static void marks_move_clients(void **state)
{
    (void)state;
    rfm_client client;
    rfm_client_init(&client);
    take(&client, purchase(1, 1, T0, 100));
    rfm_kpi_standing before = rfm_client_kpi(&client);
    client.marks.lifecycle = RFM_LIFECYCLE_LAPSED, client.marks.segment = 3;
    rfm_kpi_move(tally, &before, &client, NULL);
    assert_int_equal(rfm_tally_get(tally, (rfm_cell){RFM_KPI_LIFECYCLE, 0, RFM_LIFECYCLE_LAPSED, 0}), 1);
    assert_int_equal(rfm_tally_get(tally, (rfm_cell){RFM_KPI_LIFECYCLE, 0, RFM_LIFECYCLE_PROSPECT, 0}), 0);
    assert_int_equal(rfm_tally_get(tally, (rfm_cell){RFM_KPI_SEGMENT, 0, 3, 0}), 1);
    assert_int_equal(rfm_tally_get(tally, (rfm_cell){RFM_KPI_SEGMENT, 0, 0, 0}), 0);
    rfm_tally_settle(tally);
    before = rfm_client_kpi(&client);
    rfm_kpi_move(tally, &before, &client, NULL);
    rfm_cell cell;
    int64_t value;
    assert_false(rfm_tally_take(tally, &cell, &value)); /* nothing changed, nothing is written */
}

static void the_erased_are_forgotten_but_what_they_did_is_not(void **state)
{
    (void)state;
    rfm_client client;
    rfm_client_init(&client);
    take(&client, purchase(1, 1, T0, 100));
    take(&client, feedback(2, RFM_FEEDBACK_NPS, 9, T0));
    take(&client, feedback(3, RFM_FEEDBACK_COMPLAINT, 0, T0));
    rfm_kpi_standing before = rfm_client_kpi(&client);
    rfm_kpi_forget(tally, &before);
    rfm_cell cell;
    int64_t value;
    for (size_t cursor = 0; rfm_tally_next(tally, &cursor, &cell, &value);)
        assert_true(cell.period > 0);
    assert_int_equal(rfm_tally_get(tally, (rfm_cell){RFM_KPI_REVENUE, T0_DAY, 0, 0}), 100);
    assert_int_equal(rfm_tally_get(tally, (rfm_cell){RFM_KPI_BUYERS_OF, 672, 0, 0}), 1);
}

static void months_are_those_of_the_configured_zone(void **state)
{
    (void)state;
    rfm_zone *zone;
    rfm_client client;
    if (rfm_zone_load("America/New_York", &zone, NULL))
        skip();
    conf.zone = zone;
    rfm_client_init(&client);
    take(&client, purchase(1, 1, T0 + RFM_HOUR_MS, 100)); /* still December there */
    take(&client, visit(2, T0 + RFM_HOUR_MS));
    assert_int_equal(rfm_tally_get(tally, (rfm_cell){RFM_KPI_BUYERS_OF, 671, 0, 0}), 1);
    assert_int_equal(rfm_tally_get(tally, (rfm_cell){RFM_KPI_ORDERS, T0_DAY - 1, 0, 0}), 1);
    assert_int_equal(rfm_tally_get(tally, (rfm_cell){RFM_KPI_STAGE, 671, RFM_STAGE_VISIT, 0}), 1);
    uint8_t packed[RFM_CLIENT_PACKED_MAX];
    rfm_client again;
    size_t len = rfm_client_encode(&client, packed);
    assert_int_equal(rfm_client_decode(rfm_bytes_of(packed, len), &again), RFM_OK);
    assert_int_equal(again.stage_month, 671);
    rfm_zone_free(zone);
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(sums_follow_from_the_set_of_events),
        T(late_purchases_count_where_they_belong),
        T(marks_move_clients),
        T(the_erased_are_forgotten_but_what_they_did_is_not),
        T(months_are_those_of_the_configured_zone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
