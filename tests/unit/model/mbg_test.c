#include <rfm/model/mbg.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* The figures of Fader, Hardie & Lee's CDNOW sample, in weeks. */
static const rfm_model CDNOW = {
    .r = .52484, .alpha = 6.1831, .a = .89135, .b = 1.61399, .unit_days = 7, .evidence_cap = 5};
static const rfm_model PLAIN = {
    .r = .52484, .alpha = 6.1831, .a = .89135, .b = 1.61399, .unit_days = 7, .evidence_cap = INFINITY};

static void assert_near(double value, double expected, double relative)
{
    if (fabs(value - expected) > relative * fabs(expected)) {
        print_error("%.17g is not %.17g\n", value, expected);
        fail();
    }
}

static void published_p_active(void **state)
{
    (void)state;
    static const struct {
        double x, t_x, age, horizon, plain, capped;
    } rows[] = {
        {0, 0, 272, 39 * 7, .10880286, .10880286},
        {2, 213, 272, 39 * 7, .55994072, .53736360},
        {2, 213, 272, 13 * 7, .33389069, .31827445},
        {10, 20 * 7, 38 * 7, 39 * 7, .05016287, .29437421},
        {29, 38 * 7, 38.5 * 7, 13 * 7, .96048243, .93533285},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double idle = rows[i].age - rows[i].t_x;
        assert_true(fabs(rfm_model_p_active(&PLAIN, rows[i].x, rows[i].t_x, idle, rows[i].horizon) - rows[i].plain) <
                    1e-8);
        assert_true(fabs(rfm_model_p_active(&CDNOW, rows[i].x, rows[i].t_x, idle, rows[i].horizon) - rows[i].capped) <
                    1e-8);
    }
}

static void published_p_alive(void **state)
{
    (void)state;
    double t_x = 30.43 * 7, idle = (38.86 - 30.43) * 7;
    assert_true(fabs(rfm_model_p_alive(&PLAIN, 2, t_x, idle) - .70612735) < 1e-8);
}

static void published_moments(void **state)
{
    (void)state;
    double t_x = 20 * 7, h = 13 * 7;
    assert_near(20 + rfm_model_idle_at_p_alive(&PLAIN, 10, t_x, .2) / 7, 31.937373587, 1e-9);
    assert_near(20 + rfm_model_idle_at_p_alive(&CDNOW, 10, t_x, .2) / 7, 42.953505943, 1e-9);
    assert_near(20 + rfm_model_idle_at_p_active(&PLAIN, 10, t_x, h, .2) / 7, 31.728682794, 1e-9);
    assert_near(20 + rfm_model_idle_at_p_active(&CDNOW, 10, t_x, h, .2) / 7, 39.328766053, 1e-9);
}

/* From the formulas in 40 digits (mpmath), by bisection where a moment is asked. */
static void values_in_forty_digits(void **state)
{
    (void)state;
    static const struct {
        double x, t_x, idle, horizon, cap, active, ratio;
    } rows[] = {
        {0, 0, 100, 90, 5, 0.11091179097114929, 0.38615557228287794},
        {1, 30, 60, 90, 5, 0.28519472246072662, 0.56177610690174601},
        {1000, 3650, 20, 90, 5, 0.97922163091468419, 0.98700359243257511},
        {1000, 3650, 20, 90, INFINITY, 0.83492240211027509, 0.83566541101336335},
        {100000, 100000, 3, 90, 5, 0.99628514787969311, 0.99927968512711936},
        {100000, 100000, 3, 90, INFINITY, 0.99982123985159792, 0.99983015161438437},
        {100000, 100000, 0.001, 1, INFINITY, 0.63195581882692322, 0.99999998526739444},
        {50, 700, 400, 30, 5, 0.0053625456348924669, 0.0076334879563986207},
        {3, 1, 5000, 90, 5, 2.4456437348824947e-6, 3.1338288030366798e-6},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        rfm_model model = CDNOW;
        model.evidence_cap = rows[i].cap;
        assert_near(rfm_model_p_active(&model, rows[i].x, rows[i].t_x, rows[i].idle, rows[i].horizon), rows[i].active,
                    1e-10);
        assert_near(rfm_model_activity_ratio(&model, rows[i].x, rows[i].t_x, rows[i].idle, rows[i].horizon),
                    rows[i].ratio, 1e-10);
    }
}

static void moments_in_forty_digits(void **state)
{
    (void)state;
    static const struct {
        double x, t_x, horizon, cap, threshold, idle;
    } rows[] = {
        {0, 0, 90, 5, 0.3, 141.40607897997974},
        {1, 1, 90, 5, 0.3, 102.49404479809},
        {0, 0, 90, 5, 0.2, 226.3295450916409},
        {0, 0, 90, 5, 0.5, 65.039950660450756},
        {10, 140, 90, 5, 0.5, 78.744467469950967},
        {10, 140, 90, INFINITY, 0.2, 84.835032307097161},
        {100000, 100000, 90, 5, 0.2, 407.24180585382071},
        {100000, 100000, 90, INFINITY, 0.2, 13.020676930922697},
        {5, 300, 30, 5, 0.001, 1747.4607572169192},
        {2, 100, 90, 5, 0.999, 0.14427183509465899},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        rfm_model model = CDNOW;
        model.evidence_cap = rows[i].cap;
        assert_near(rfm_model_idle_at_ratio(&model, rows[i].x, rows[i].t_x, rows[i].horizon, rows[i].threshold),
                    rows[i].idle, 1e-9);
    }
}

static void every_value_falls_with_idle_time(void **state)
{
    (void)state;
    static const double xs[] = {0, 1, 2, 7, 100, 1200, 100000};
    for (size_t i = 0; i < sizeof xs / sizeof *xs; i++) {
        for (int capped = 0; capped < 2; capped++) {
            const rfm_model *model = capped ? &CDNOW : &PLAIN;
            double x = xs[i], t_x = x * 5, alive = 1, active = 1, ratio = 1 + 1e-12;
            for (double idle = 0; idle < 30000; idle = idle * 1.07 + .01) {
                double next_alive = rfm_model_p_alive(model, x, t_x, idle);
                double next_active = rfm_model_p_active(model, x, t_x, idle, 90);
                double next_ratio = rfm_model_activity_ratio(model, x, t_x, idle, 90);
                assert_true(next_alive >= 0 && next_active >= 0 && next_ratio >= 0);
                assert_true(next_alive < alive || next_alive == 0);
                assert_true(next_active < active || next_active == 0);
                assert_true(next_ratio < ratio || next_ratio == 0);
                alive = next_alive, active = next_active, ratio = next_ratio;
            }
        }
    }
}

static double uniform(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (double)(*seed >> 11) / 9007199254740992.0;
}

static void moments_meet_the_formula(void **state)
{
    (void)state;
    uint64_t seed = 1;
    for (int i = 0; i < 20000; i++) {
        rfm_model model = {.r = exp(6 * uniform(&seed) - 4),
                           .alpha = exp(6 * uniform(&seed) - 2),
                           .a = exp(6 * uniform(&seed) - 4),
                           .b = exp(6 * uniform(&seed) - 3),
                           .unit_days = i % 2 ? 7 : 1,
                           .evidence_cap = i % 3 ? 5 : INFINITY};
        double x = floor(exp(8 * uniform(&seed)) - 1), t_x = x * 10 * uniform(&seed);
        double horizon = 1 + 300 * uniform(&seed), threshold = .001 + .998 * uniform(&seed);
        double idle = rfm_model_idle_at_ratio(&model, x, t_x, horizon, threshold);
        if (idle > 0 && idle < 1e12) {
            assert_near(rfm_model_activity_ratio(&model, x, t_x, idle, horizon), threshold, 1e-9);
        }
        idle = rfm_model_idle_at_p_active(&model, x, t_x, horizon, threshold);
        if (idle > 0 && idle < 1e12) {
            assert_near(rfm_model_p_active(&model, x, t_x, idle, horizon), threshold, 1e-9);
        } else if (idle == 0) {
            assert_true(rfm_model_p_active(&model, x, t_x, 0, horizon) <= threshold * (1 + 1e-12));
        }
        idle = rfm_model_idle_at_p_alive(&model, x, t_x, threshold);
        if (idle > 0 && idle < 1e12) {
            assert_near(rfm_model_p_alive(&model, x, t_x, idle), threshold, 1e-9);
        } else if (idle == 0) {
            assert_true(rfm_model_p_alive(&model, x, t_x, 0) <= threshold * (1 + 1e-12));
        }
    }
}

/* Below the ratio always, and near enough to spare the formula for a client who has just bought. */
static void the_least_ratio_is_below_the_ratio(void **state)
{
    (void)state;
    uint64_t seed = 7;
    for (int i = 0; i < 200000; i++) {
        rfm_model model = {.r = exp(6 * uniform(&seed) - 4),
                           .alpha = exp(6 * uniform(&seed) - 2),
                           .a = exp(6 * uniform(&seed) - 4),
                           .b = exp(6 * uniform(&seed) - 3),
                           .unit_days = i % 2 ? 7 : 1,
                           .evidence_cap = i % 3 ? 5 : INFINITY};
        double x = floor(exp(8 * uniform(&seed)) - 1), t_x = x * 10 * uniform(&seed);
        double idle = exp(20 * uniform(&seed) - 13), horizon = .01 + 300 * uniform(&seed);
        assert_true(rfm_model_activity_ratio_least(&model, x, t_x, idle) <
                    rfm_model_activity_ratio(&model, x, t_x, idle, horizon));
    }
    assert_true(rfm_model_activity_ratio_least(&CDNOW, 3, 60, 1) > .9);
}

static void gap_quantile_is_the_waiting_time(void **state)
{
    (void)state;
    /* Given alive, P(no purchase in g) = (beta / (beta + g))^s = 1 - q. */
    double g = rfm_model_gap_days(&PLAIN, 4, 210, .9) / 7, beta = 6.1831 + 30, s = .52484 + 4;
    assert_near(pow(beta / (beta + g), s), .1, 1e-12);
    g = rfm_model_gap_days(&CDNOW, 5, 210, .5) / 7, beta = 6.1831 + 15, s = .52484 + 2.5;
    assert_near(pow(beta / (beta + g), s), .5, 1e-12);
}

static void a_parameter_out_of_range_is_named(void **state)
{
    (void)state;
    rfm_error error;
    assert_int_equal(rfm_model_check(&CDNOW, &error), 0);
    assert_int_equal(rfm_model_check(&PLAIN, &error), 0);
    static const double bad[] = {0, -1, NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rfm_model model = CDNOW;
        model.alpha = bad[i];
        assert_int_equal(rfm_model_check(&model, &error), RFM_E_RANGE);
        assert_non_null(strstr(error.message, "alpha"));
        model = CDNOW;
        model.evidence_cap = bad[i];
        assert_int_equal(rfm_model_check(&model, NULL), bad[i] == INFINITY ? 0 : RFM_E_RANGE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_p_active),
        cmocka_unit_test(published_p_alive),
        cmocka_unit_test(published_moments),
        cmocka_unit_test(values_in_forty_digits),
        cmocka_unit_test(moments_in_forty_digits),
        cmocka_unit_test(every_value_falls_with_idle_time),
        cmocka_unit_test(moments_meet_the_formula),
        cmocka_unit_test(the_least_ratio_is_below_the_ratio),
        cmocka_unit_test(gap_quantile_is_the_waiting_time),
        cmocka_unit_test(a_parameter_out_of_range_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
