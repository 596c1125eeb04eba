#include <rfm/client/scores.h>

#include <math.h>

#include "world.h"

static rfm_client_conf conf;
static rfm_names *names;
static rfm_client client;

static int set_up(void **state)
{
    (void)state;
    rfm_client_conf_defaults(&conf);
    names = rfm_names_new();
    rfm_client_init(&client);
    return names ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    rfm_names_free(names);
    return 0;
}

static uint64_t next_id;

static void buy(int64_t time_ms, int64_t amount_minor)
{
    rfm_applied applied;
    next_id++;
    rfm_event event = purchase(next_id, next_id, time_ms, amount_minor);
    assert_int_equal(rfm_client_apply(&client, &event, 0, &conf, names, &applied), RFM_APPLIED);
}

static int64_t at(int day, int hour)
{
    return T0 + day * RFM_DAY_MS + hour * RFM_HOUR_MS;
}

static void assert_near(double value, double expected)
{
    if (fabs(value - expected) > 1e-9 * fabs(expected)) {
        print_error("%.17g is not %.17g\n", value, expected);
        fail();
    }
}

static void without_purchases_a_prospect(void **state)
{
    (void)state;
    rfm_scores scores;
    rfm_scores_at(&client, &conf, NULL, at(0, 0), &scores);
    assert_false(scores.buyer);
    assert_int_equal(scores.segment, RFM_SEGMENT_PROSPECT);
    assert_int_equal(scores.lifecycle, RFM_LIFECYCLE_PROSPECT);
    assert_int_equal(rfm_client_segment_at(&client, &conf, NULL, at(0, 0)), RFM_SEGMENT_PROSPECT);
    assert_int_equal(rfm_client_lifecycle_at(&client, &conf, at(0, 0)), RFM_LIFECYCLE_PROSPECT);
    assert_true(rfm_client_ratio_moment_ms(&client, &conf, .3) == INT64_MAX);
    assert_true(rfm_client_risk_moment_ms(&client, &conf, .3) == INT64_MAX);
    assert_true(rfm_client_segment_moment_ms(&client, &conf, at(0, 0)) == INT64_MAX);
}

/* t_x counts calendar days, idle time runs in milliseconds. Figures by mpmath from models' formulas. */
static void the_model_sees_days_and_idle_time(void **state)
{
    (void)state;
    buy(at(0, 23), 1000);
    buy(at(30, 1), 1000);
    rfm_scores scores;
    rfm_scores_at(&client, &conf, NULL, at(90, 1), &scores);
    assert_near(scores.t_x_days, 30);
    assert_near(scores.idle_days, 60);
    assert_near(scores.p_active, 0.28519472246072662);
    assert_near(scores.churn_risk, 1 - 0.28519472246072662);
    assert_near(scores.activity_ratio, 0.56177610690174601);
    assert_near(rfm_client_ratio_at(&client, &conf, at(90, 1)), 0.56177610690174601);
    assert_near(rfm_client_risk_at(&client, &conf, at(90, 1)), 1 - 0.28519472246072662);
    rfm_scores_at(&client, &conf, NULL, at(29, 0), &scores); /* a clock behind the last purchase */
    assert_near(scores.activity_ratio, 1);
}

static void fixed_scores_follow_the_thresholds(void **state)
{
    (void)state;
    buy(at(0, 23), 5000);
    static const struct {
        int day;
        uint8_t r;
    } recency[] = {{0, 5}, {30, 5}, {31, 4}, {90, 4}, {91, 3}, {180, 3}, {181, 2}, {365, 2}, {366, 1}, {4000, 1}};
    rfm_scores scores;
    for (size_t i = 0; i < sizeof recency / sizeof *recency; i++) {
        rfm_scores_at(&client, &conf, NULL, at(recency[i].day, 0), &scores);
        assert_int_equal(scores.r, recency[i].r);
    }
    static const struct {
        uint32_t orders;
        uint8_t f;
    } frequency[] = {{1, 1}, {2, 2}, {3, 3}, {4, 3}, {5, 4}, {9, 4}, {10, 5}, {5000, 5}};
    for (size_t i = 0; i < sizeof frequency / sizeof *frequency; i++) {
        client.orders = frequency[i].orders;
        rfm_scores_at(&client, &conf, NULL, at(0, 0), &scores);
        assert_int_equal(scores.f, frequency[i].f);
    }
    static const struct {
        int64_t minor;
        uint8_t m;
    } monetary[] = {{-5, 1},    {0, 1},     {4999, 1},  {5000, 2},  {9999, 2},
                    {10000, 3}, {24999, 3}, {25000, 4}, {49999, 4}, {50000, 5}};
    for (size_t i = 0; i < sizeof monetary / sizeof *monetary; i++) {
        client.revenue_minor = monetary[i].minor;
        rfm_scores_at(&client, &conf, NULL, at(0, 0), &scores);
        assert_int_equal(scores.m, monetary[i].m);
        assert_int_equal(scores.segment, conf.segments.cell[scores.r - 1][scores.f - 1][scores.m - 1]);
        assert_int_equal(rfm_client_segment_at(&client, &conf, NULL, at(0, 0)), scores.segment);
    }
}

static void populations_decide_where_configured_and_large_enough(void **state)
{
    (void)state;
    buy(at(0, 0), 5000);
    buy(at(1, 0), 5000);
    rfm_edges edges = {.clients = 100,
                       .day = {T0_DAY - 9, T0_DAY + 1, T0_DAY + 2, T0_DAY + 9},
                       .revenue_minor = {1, 2, 3, INT64_MAX},
                       .orders = {1, 2, 3, 4}};
    rfm_scores scores;
    rfm_scores_at(&client, &conf, &edges, at(400, 0), &scores);
    assert_int_equal(scores.r, 3);
    assert_int_equal(scores.f, 2); /* fixed by default: 2 orders */
    assert_int_equal(scores.m, 4);
    conf.rfm.f = RFM_AXIS_POPULATION, conf.rfm.r = conf.rfm.m = RFM_AXIS_FIXED;
    rfm_scores_at(&client, &conf, &edges, at(400, 0), &scores);
    assert_int_equal(scores.r, 1);
    assert_int_equal(scores.f, 3);
    assert_int_equal(scores.m, 3);
    edges.clients = 99;
    rfm_scores_at(&client, &conf, &edges, at(400, 0), &scores);
    assert_int_equal(scores.f, 2);
}

static void the_lifecycle_of_one_purchase(void **state)
{
    (void)state;
    buy(at(0, 12), 1000);
    /* .5 is reached after 65.0399 days, .2 after 226.3295 (mpmath). */
    assert_int_equal(rfm_client_lifecycle_at(&client, &conf, at(0, 12)), RFM_LIFECYCLE_NEW);
    assert_int_equal(rfm_client_lifecycle_at(&client, &conf, at(65, 12)), RFM_LIFECYCLE_NEW);
    assert_int_equal(rfm_client_lifecycle_at(&client, &conf, at(65, 13)), RFM_LIFECYCLE_AT_RISK);
    assert_int_equal(rfm_client_lifecycle_at(&client, &conf, at(226, 19)), RFM_LIFECYCLE_AT_RISK);
    assert_int_equal(rfm_client_lifecycle_at(&client, &conf, at(226, 20)), RFM_LIFECYCLE_LAPSED);
}

static void who_comes_back_after_lapsing_is_reactivated(void **state)
{
    (void)state;
    buy(at(0, 12), 1000);
    buy(at(226, 23), 1000); /* at the day's start .2 was not reached */
    assert_int_equal(rfm_client_lifecycle_at(&client, &conf, at(226, 23)), RFM_LIFECYCLE_ACTIVE);
    rfm_client_init(&client);
    buy(at(0, 12), 1000);
    buy(at(227, 1), 1000);
    assert_int_equal(rfm_client_lifecycle_at(&client, &conf, at(227, 1)), RFM_LIFECYCLE_REACTIVATED);
    buy(at(227, 9), 1000); /* the same day changes nothing */
    assert_int_equal(rfm_client_lifecycle_at(&client, &conf, at(227, 9)), RFM_LIFECYCLE_REACTIVATED);
    int64_t lapses_ms = rfm_client_ratio_moment_ms(&client, &conf, .2);
    assert_int_equal(rfm_client_lifecycle_at(&client, &conf, lapses_ms - 1000), RFM_LIFECYCLE_REACTIVATED);
    assert_int_equal(rfm_client_lifecycle_at(&client, &conf, lapses_ms), RFM_LIFECYCLE_LAPSED);
    buy(at(228, 0), 1000);
    assert_int_equal(rfm_client_lifecycle_at(&client, &conf, at(228, 0)), RFM_LIFECYCLE_ACTIVE);
}

static void random_buyer(uint64_t *seed)
{
    rfm_client_init(&client);
    int day = 0;
    for (uint64_t left = 1 + random_below(seed, 12); left > 0; left--) {
        buy(T0 + day * RFM_DAY_MS + (int64_t)random_below(seed, 86400000), 100);
        day += (int)random_below(seed, 1 + random_below(seed, 300));
    }
}

/* The first whole second: the formula holds there and not a second before. */
static void moments_are_exact_to_the_second(void **state)
{
    (void)state;
    uint64_t seed = 5;
    for (int i = 0; i < 3000; i++) {
        random_buyer(&seed);
        conf.model.evidence_cap = i % 2 ? 5 : INFINITY;
        double threshold = .01 + .98 * (double)random_below(&seed, 1000) / 1000;
        int64_t moment_ms = rfm_client_ratio_moment_ms(&client, &conf, threshold);
        assert_true(moment_ms % 1000 == 0 && moment_ms >= client.last_ms);
        assert_true(rfm_client_ratio_at(&client, &conf, moment_ms) <= threshold);
        assert_true(moment_ms - 1000 < client.last_ms ||
                    rfm_client_ratio_at(&client, &conf, moment_ms - 1000) > threshold);
        moment_ms = rfm_client_risk_moment_ms(&client, &conf, threshold);
        assert_true(moment_ms % 1000 == 0 && moment_ms >= client.last_ms);
        assert_true(rfm_client_risk_at(&client, &conf, moment_ms) >= threshold);
        assert_true(moment_ms - 1000 < client.last_ms ||
                    rfm_client_risk_at(&client, &conf, moment_ms - 1000) < threshold);
    }
}

static void thresholds_at_the_ends(void **state)
{
    (void)state;
    buy(at(0, 12) + 1, 1000);
    assert_int_equal(rfm_client_ratio_moment_ms(&client, &conf, 1), at(0, 12) + 1000);
    assert_true(rfm_client_ratio_moment_ms(&client, &conf, 0) == INT64_MAX);
    assert_true(rfm_client_ratio_moment_ms(&client, &conf, 1e-12) == INT64_MAX); /* beyond the year 9999 */
    assert_int_equal(rfm_client_risk_moment_ms(&client, &conf, 0), at(0, 12) + 1000);
    assert_int_equal(rfm_client_risk_moment_ms(&client, &conf, .5), at(0, 12) + 1000); /* there from the first day */
    assert_true(rfm_client_risk_moment_ms(&client, &conf, 1) == INT64_MAX);
}

/* On a purchase at a whole second, from the figures in models.md: .3 after 141.40607897997974 days. */
static void a_crossing_known_by_hand(void **state)
{
    (void)state;
    buy(at(0, 0), 1000);
    int64_t moment_ms = rfm_client_ratio_moment_ms(&client, &conf, .3);
    assert_int_equal(moment_ms, T0 + (int64_t)ceil(141.40607897997974 * 86400) * 1000);
}

/* What rules put into their timers: at the second of a threshold the lifecycle has left what it was a second before. */
static void lifecycles_change_at_the_moments_of_their_ratios(void **state)
{
    (void)state;
    uint64_t seed = 6;
    int came_back = 0;
    for (int i = 0; i < 3000; i++) {
        random_buyer(&seed);
        int64_t at_risk_ms = rfm_client_ratio_moment_ms(&client, &conf, conf.lifecycle.at_risk);
        int64_t lapsed_ms = rfm_client_ratio_moment_ms(&client, &conf, conf.lifecycle.lapsed);
        assert_true(client.last_ms < at_risk_ms && at_risk_ms < lapsed_ms && lapsed_ms < INT64_MAX);
        rfm_lifecycle first = rfm_client_lifecycle_at(&client, &conf, client.last_ms);
        /* Who has come back stays reactivated until he lapses again. */
        rfm_lifecycle second = first == RFM_LIFECYCLE_REACTIVATED ? first : RFM_LIFECYCLE_AT_RISK;
        came_back += first == RFM_LIFECYCLE_REACTIVATED;
        assert_int_equal(rfm_client_lifecycle_at(&client, &conf, at_risk_ms - 1000), first);
        assert_int_equal(rfm_client_lifecycle_at(&client, &conf, at_risk_ms), second);
        assert_int_equal(rfm_client_lifecycle_at(&client, &conf, lapsed_ms - 1000), second);
        assert_int_equal(rfm_client_lifecycle_at(&client, &conf, lapsed_ms), RFM_LIFECYCLE_LAPSED);
    }
    assert_true(came_back > 5 && came_back < 2900);
}

static void recency_falls_at_midnight(void **state)
{
    (void)state;
    buy(at(0, 12), 1000);
    assert_true(rfm_client_segment_moment_ms(&client, &conf, at(0, 12)) == INT64_MAX); /* by population */
    conf.rfm.r = conf.rfm.m = RFM_AXIS_FIXED;
    static const int days[] = {31, 91, 181, 366};
    int64_t now_ms = at(0, 12);
    for (size_t i = 0; i < 4; i++) {
        int64_t moment_ms = rfm_client_segment_moment_ms(&client, &conf, now_ms);
        assert_int_equal(moment_ms, at(days[i], 0));
        rfm_scores before, after;
        rfm_scores_at(&client, &conf, NULL, moment_ms - 1, &before);
        rfm_scores_at(&client, &conf, NULL, moment_ms, &after);
        assert_int_equal(before.r, after.r + 1);
        now_ms = moment_ms;
    }
    assert_true(rfm_client_segment_moment_ms(&client, &conf, now_ms) == INT64_MAX);
}

static void midnight_is_that_of_the_zone(void **state)
{
    (void)state;
    rfm_zone *zone;
    if (rfm_zone_load("Europe/Berlin", &zone, NULL)) {
        skip();
    }
    conf.zone = zone;
    conf.rfm.r = conf.rfm.m = RFM_AXIS_FIXED;
    buy(at(0, 23), 1000); /* the second of January there */
    assert_int_equal(rfm_client_segment_moment_ms(&client, &conf, at(0, 23)), at(31, 23));
    assert_int_equal(rfm_client_segment_moment_ms(&client, &conf, at(31, 23)),
                     at(91, 22)); /* summer time since day 87 */
    rfm_zone_free(zone);
}

static void names_of_lifecycles(void **state)
{
    (void)state;
    assert_string_equal(rfm_lifecycle_name(RFM_LIFECYCLE_AT_RISK), "at_risk");
    assert_string_equal(rfm_lifecycle_name(RFM_LIFECYCLE_REACTIVATED), "reactivated");
    assert_string_equal(rfm_lifecycle_name(RFM_LIFECYCLE_COUNT), "");
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(without_purchases_a_prospect),
        T(the_model_sees_days_and_idle_time),
        T(fixed_scores_follow_the_thresholds),
        T(populations_decide_where_configured_and_large_enough),
        T(the_lifecycle_of_one_purchase),
        T(who_comes_back_after_lapsing_is_reactivated),
        T(moments_are_exact_to_the_second),
        T(thresholds_at_the_ends),
        T(a_crossing_known_by_hand),
        T(lifecycles_change_at_the_moments_of_their_ratios),
        T(recency_falls_at_midnight),
        T(midnight_is_that_of_the_zone),
        T(names_of_lifecycles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
