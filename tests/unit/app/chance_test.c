#include "app/chance.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* The vectors that go with the reference implementation (seed 1234567). */
static void gives_splitmix64(void **state)
{
    (void)state;
    static const uint64_t expected[] = {UINT64_C(6457827717110365317), UINT64_C(3203168211198807973),
                                        UINT64_C(9817491932198370423), UINT64_C(4593380528125082431),
                                        UINT64_C(16408922859458223821)};
    rfm_chance chance = 1234567;
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_true(rfm_chance_bits(&chance) == expected[i]);
}

static void logs_and_powers_are_libms(void **state)
{
    (void)state;
    for (double x = 1e-300; x < 1e300; x *= 1.7) {
        double expected = log(x), error = fabs(rfm_chance_log(x) - expected);
        assert_true(error <= 1e-12 * fabs(expected) + 1e-15);
    }
    for (double x = -690; x < 690; x += 0.37)
        assert_true(fabs(rfm_chance_exp(x) / exp(x) - 1) < 1e-12);
    assert_true(rfm_chance_log(1) == 0 && rfm_chance_exp(0) == 1);
}

enum { DRAWS = 200000 };

/* Mean and variance of many draws against those of the distribution, within five standard errors of the mean. */
static void check_moments(double (*draw)(rfm_chance *chance), double mean, double variance)
{
    rfm_chance chance = rfm_chance_of(42, 7);
    double sum = 0, squares = 0;
    for (int i = 0; i < DRAWS; i++) {
        double x = draw(&chance);
        sum += x;
        squares += (x - mean) * (x - mean);
    }
    assert_true(fabs(sum / DRAWS - mean) < 5 * sqrt(variance / DRAWS));
    assert_true(fabs(squares / DRAWS / variance - 1) < 0.05);
}

static double small_gamma(rfm_chance *chance)
{
    return rfm_chance_gamma(chance, 0.4);
}
static double large_gamma(rfm_chance *chance)
{
    return rfm_chance_gamma(chance, 3.5);
}
static double a_beta(rfm_chance *chance)
{
    return rfm_chance_beta(chance, 0.7, 2.3);
}
static double a_lognormal(rfm_chance *chance)
{
    return rfm_chance_lognormal(chance, 2, 0.3);
}

static void distributions_have_their_moments(void **state)
{
    (void)state;
    check_moments(rfm_chance_unit, 0.5, 1.0 / 12);
    check_moments(rfm_chance_exponential, 1, 1);
    check_moments(rfm_chance_normal, 0, 1);
    check_moments(small_gamma, 0.4, 0.4);
    check_moments(large_gamma, 3.5, 3.5);
    check_moments(a_beta, 0.7 / 3, 0.7 * 2.3 / (9 * 4));
    check_moments(a_lognormal, 2 * exp(0.045), 4 * exp(0.09) * (exp(0.09) - 1));
}

static void streams_differ(void **state)
{
    (void)state;
    rfm_chance one = rfm_chance_of(1, 0), other = rfm_chance_of(1, 1), seeded = rfm_chance_of(2, 0);
    assert_true(rfm_chance_bits(&one) != rfm_chance_bits(&other) && rfm_chance_bits(&one) != rfm_chance_bits(&seeded));
    for (int i = 0; i < 1000; i++)
        assert_true(rfm_chance_below(&one, 7) < 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_splitmix64),
        cmocka_unit_test(logs_and_powers_are_libms),
        cmocka_unit_test(distributions_have_their_moments),
        cmocka_unit_test(streams_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
