#include "fit/fit.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const double TRUE_AT[] = {.8, 400, .6, 2};

static double uniform(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return ((double)(*seed >> 11) + .5) / 9007199254740992.0;
}

static double normal(uint64_t *seed)
{
    double length = sqrt(-2 * log(uniform(seed)));
    return length * cos(2 * acos(-1) * uniform(seed));
}

/* Marsaglia & Tsang 2000. */
static double gamma_of(double shape, uint64_t *seed)
{
    if (shape < 1)
        return gamma_of(shape + 1, seed) * pow(uniform(seed), 1 / shape);
    double d = shape - 1. / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        double x = normal(seed), v = pow(1 + c * x, 3);
        if (v > 0 && log(uniform(seed)) < x * x / 2 + d - d * v + d * log(v))
            return d * v;
    }
}

/* Clients as the model tells: a rate and a chance to go of their own, gone after a purchase, the first included. */
static void simulate(rfm_histories *histories, size_t clients, uint64_t seed)
{
    rfm_histories_init(histories);
    histories->until = 5000;
    for (size_t i = 0; i < clients; i++) {
        double rate = gamma_of(TRUE_AT[0], &seed) / TRUE_AT[1], one = gamma_of(TRUE_AT[2], &seed);
        double gone = one / (one + gamma_of(TRUE_AT[3], &seed)), mean = 40 / gamma_of(4, &seed), sum = 0;
        int32_t first = (int32_t)(1000 * uniform(&seed)), last = first;
        double time = first + uniform(&seed);
        uint32_t x = 0;
        while (uniform(&seed) >= gone && (time -= log(uniform(&seed)) / rate) < histories->until) {
            sum += gamma_of(6, &seed) / 6 * mean;
            x += (int32_t)time > last;
            last = (int32_t)time;
        }
        rfm_histories_add(histories, x, first, last, x, x > 0 ? sum / x : 0, 0);
    }
    rfm_histories_seal(histories);
}

/* At the top no step of a percent of a standard error gains, and the truth lies within a few errors. */
static void the_maximum_of_simulated_clients(void **state)
{
    (void)state;
    rfm_histories histories;
    rfm_maximum maximum;
    simulate(&histories, 4000, 7);
    assert_int_equal(rfm_fit_nbd(RFM_NBD_MBG, &histories, 1, &maximum, NULL), 0);
    for (size_t i = 0; i < 4; i++) {
        for (int sign = -1; sign <= 1; sign += 2) {
            double at[4], gradient[4];
            memcpy(at, maximum.at, sizeof at);
            at[i] += sign * maximum.error[i] / 100;
            rfm_nbd nbd = rfm_nbd_of(RFM_NBD_MBG, at);
            assert_true(rfm_histories_log_likelihood(&nbd, &histories, 1, gradient) < maximum.value);
        }
        assert_true(fabs(maximum.at[i] - TRUE_AT[i]) < 4 * maximum.error[i]);
        assert_true(maximum.error[i] < TRUE_AT[i]);
    }
    assert_int_equal(maximum.starts, maximum.agreed);
    rfm_histories_release(&histories);
}

static void the_unit_moves_alpha_alone(void **state)
{
    (void)state;
    rfm_histories histories;
    rfm_maximum days, weeks;
    simulate(&histories, 2000, 3);
    assert_int_equal(rfm_fit_nbd(RFM_NBD_MBG, &histories, 1, &days, NULL), 0);
    assert_int_equal(rfm_fit_nbd(RFM_NBD_MBG, &histories, 7, &weeks, NULL), 0);
    assert_true(fabs(days.at[1] / weeks.at[1] - 7) < 1e-5);
    for (size_t i = 0; i < 4; i += i == 0 ? 2 : 1)
        assert_true(fabs(days.at[i] / weeks.at[i] - 1) < 1e-5);
    /* A density of a purchase by day is a seventh of that by week. */
    assert_true(fabs(weeks.value - days.value - (double)histories.repeat_days * log(7)) < 1e-4);
    rfm_histories_release(&histories);
}

static void equal_clients_weigh_as_so_many(void **state)
{
    (void)state;
    rfm_histories histories;
    const rfm_nbd nbd = {RFM_NBD_BG, .3, 30, .9, 2};
    double sum = 0, gradient[4], by[4], expected[4] = {0};
    simulate(&histories, 500, 11);
    for (size_t i = 0; i < histories.row_count; i++) {
        const rfm_history *row = &histories.rows[i];
        sum += row->clients * rfm_nbd_log_likelihood(&nbd, row->x, row->t_x / 7., row->age / 7., by);
        for (size_t j = 0; j < 4; j++)
            expected[j] += row->clients * by[j];
    }
    assert_true(fabs(rfm_histories_log_likelihood(&nbd, &histories, 7, gradient) - sum) < 1e-6);
    for (size_t j = 0; j < 4; j++)
        assert_true(fabs(gradient[j] - expected[j]) < 1e-8 * fmax(1, fabs(expected[j])));
    rfm_histories_release(&histories);
}

static void spend_of_simulated_clients(void **state)
{
    (void)state;
    rfm_histories histories;
    rfm_maximum maximum;
    simulate(&histories, 6000, 5);
    assert_int_equal(rfm_fit_spend(&histories, &maximum, NULL), 0);
    static const double expected[] = {6, 4, 40 / 6.};
    /* mean = v' / gamma(q), a purchase gamma(p) / p of it: v = v' / p */
    for (size_t i = 0; i < 3; i++)
        assert_true(fabs(maximum.at[i] - expected[i]) < 4 * maximum.error[i]);
    rfm_histories_release(&histories);
}

static void add(rfm_histories *histories, size_t clients, uint32_t x, int32_t first, int32_t last)
{
    for (size_t i = 0; i < clients; i++)
        rfm_histories_add(histories, x, first, last, 0, 0, 0);
}

static void nobody_who_repeats_is_told(void **state)
{
    (void)state;
    rfm_histories histories;
    rfm_maximum maximum;
    rfm_error error;
    rfm_histories_init(&histories);
    histories.until = 365;
    assert_int_equal(rfm_fit_nbd(RFM_NBD_MBG, &histories, 7, &maximum, &error), RFM_E_RANGE);
    add(&histories, 200, 0, 10, 10);
    rfm_histories_seal(&histories);
    assert_int_equal(rfm_fit_nbd(RFM_NBD_MBG, &histories, 7, &maximum, &error), RFM_E_RANGE);
    assert_non_null(strstr(error.message, "none of the 200 clients bought on a second day"));
    assert_int_equal(rfm_fit_spend(&histories, &maximum, &error), RFM_E_RANGE);
    assert_non_null(strstr(error.message, "0 clients have repeat purchases"));
    rfm_histories_release(&histories);
}

/* All alike (r and alpha without end), never lost (a to 0), a handful: no numbers are made of nothing. */
static void what_data_do_not_tell_is_named(void **state)
{
    (void)state;
    static const struct {
        size_t clients;
        uint32_t x, step;
        int32_t last;
    } shops[] = {{500, 10, 0, 360}, {1, 3, 0, 100}, {3, 1, 0, 20}, {300, 50, 0, 364}};
    for (size_t i = 0; i < sizeof shops / sizeof *shops; i++) {
        rfm_histories histories;
        rfm_maximum maximum;
        rfm_error error;
        rfm_histories_init(&histories);
        histories.until = 365;
        add(&histories, shops[i].clients, shops[i].x, 0, shops[i].last);
        rfm_histories_seal(&histories);
        assert_int_equal(rfm_fit_nbd(RFM_NBD_MBG, &histories, 7, &maximum, &error), RFM_E_RANGE);
        assert_non_null(strstr(error.message, "the data do not tell"));
        rfm_histories_release(&histories);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_maximum_of_simulated_clients), cmocka_unit_test(the_unit_moves_alpha_alone),
        cmocka_unit_test(equal_clients_weigh_as_so_many),   cmocka_unit_test(spend_of_simulated_clients),
        cmocka_unit_test(nobody_who_repeats_is_told),       cmocka_unit_test(what_data_do_not_tell_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
