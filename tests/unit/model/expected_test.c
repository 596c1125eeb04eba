#include <rfm/model/expected.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_near(double value, double expected, double relative)
{
    if (!(fabs(value - expected) <= relative * fabs(expected))) {
        print_error("%.17g is not %.17g\n", value, expected);
        fail();
    }
}

/* The integral over the drop-out probability in 60 digits (mpmath), which the closed form confirms but at a = 1. */
static void values_in_sixty_digits(void **state)
{
    (void)state;
    static const struct {
        double s, beta, a, b, t, expected;
    } rows[] = {
        {.52484, 6.1831, .89135, 2.61399, 52, 2.2024811305361474},
        {2.52484, 45, .89135, 4.61399, 39, 1.7895919338570496},
        {12.5, 44, .89135, 12.6, 39, 8.2117889346888012},
        {100000.5, 14300, .89135, 100002.6, 39, 272.3977163379351},
        {5.5, .8, .89135, 100002.6, 52, 356.82891981409017},
        {1200.5, 45, 1.0000000001, 1202.6, 39, 749.63238849183936},
        {1200.5, 45, 1, 1202.6, 39, 749.63238851518735},
        {.5, 6, 0.9999999, 2, 52, 1.8536960638838183},
        {.5, 6, 1, 2, 52, 1.853695966017393},
        {.5, 6, 1.001, 2, 52, 1.8527179774938508},
        {.25, 4.4, .79, 2.4, 1, 0.054952074095470195},
        {.25, .01, .79, 2.4, 100, 24.115859382264821},
        {3, 10, 200, 50, 40, 1.2342687355490703},
        {50, 10, .5, 1.2, 40, 26.53492628206326},
        {.3, 5, 0.01, 3, 50, 2.97077041526694},
        {.3, 5, 0.1, .2, 50, 1.9142571942842266},
        {2, 5, 1000, 2000, 500, 2.9994471707867885},
        {.5, 6, .4, .5, 20, 0.9889828792977986},
        {1, 1, 2, 3, 1e-6, 9.999996000002e-7},
        {1.5, 1e-3, 5, 0.7, 1e5, 1.1749999999983427},
        {40, .5, 29, 3, 9, 1.1071428571428571},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_near(rfm_expected_purchases(rows[i].s, rows[i].beta, rows[i].a, rows[i].b, rows[i].t), rows[i].expected,
                    1e-9);
    }
}

static double uniform(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (double)(*seed >> 11) / 9007199254740992.0;
}

/* Never more than without drop-out; never falls in t, also where the evaluation changes its way. */
static void expectations_are_finite_and_rise(void **state)
{
    (void)state;
    uint64_t seed = 1;
    for (int i = 0; i < 2000; i++) {
        double s = exp(14 * uniform(&seed) - 3), beta = exp(14 * uniform(&seed) - 6);
        double a = exp(12 * uniform(&seed) - 5), b = exp(14 * uniform(&seed) - 3), before = 0;
        for (double t = beta * 1e-4; t < beta * 1e5; t *= 3) {
            double value = rfm_expected_purchases(s, beta, a, b, t);
            assert_true(isfinite(value) && value >= before * (1 - 1e-9));
            assert_true(value > 0 && value <= s * t / beta * (1 + 1e-9));
            before = value;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_in_sixty_digits),
        cmocka_unit_test(expectations_are_finite_and_rise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
