#include <rfm/model/spend.h>

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

static const rfm_spend CDNOW = {6.25, 3.74, 15.44};

static void published_means(void **state)
{
    (void)state;
    assert_true(fabs(rfm_spend_mean(&CDNOW, 2, 22.35) - 24.6637) < 5e-5);
    assert_true(fabs(rfm_spend_mean(&CDNOW, 1, 11.77) - 18.9169) < 5e-5);
    assert_near(rfm_spend_mean(&CDNOW, 0, 0), 6.25 * 15.44 / 2.74, 1e-15);
}

static void an_infinite_mean_is_not_a_number(void **state)
{
    (void)state;
    rfm_spend heavy = {.5, .9, 10};
    assert_true(isnan(rfm_spend_mean(&heavy, 0, 0)));
    assert_near(rfm_spend_mean(&heavy, 1, 20), (10 + 20) * .5 / (.5 + .9 - 1), 1e-12);
}

/* In 40 digits (mpmath); the first two also by integrating over the client's rate. */
static void likelihoods_in_forty_digits(void **state)
{
    (void)state;
    static const struct {
        rfm_spend spend;
        double x, z, log_likelihood;
    } rows[] = {
        {{6.25, 3.74, 15.44}, 2, 22.35, -3.5513167597317047},
        {{6.25, 3.74, 15.44}, 1, 11.77, -3.73770967874084},
        {{0.5, 12, .3}, 40, 199.5, -106.31098363823191},
        {{6.25, 3.74, 15.44}, 100000, 22.35, -3.4289475008643431},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double value = rfm_spend_log_likelihood(&rows[i].spend, rows[i].x, rows[i].z, NULL);
        assert_true(fabs(value - rows[i].log_likelihood) < 1e-8);
    }
}

static double moved(double x, double z, size_t parameter, double factor)
{
    double of[] = {6.25, 3.74, 15.44};
    of[parameter] *= factor;
    return rfm_spend_log_likelihood(&(rfm_spend){of[0], of[1], of[2]}, x, z, NULL);
}

static void gradients_are_those_of_the_likelihood(void **state)
{
    (void)state;
    static const double xs[] = {1, 2, 17, 400}, zs[] = {.5, 22, 900}, parameter[] = {6.25, 3.74, 15.44};
    for (size_t i = 0; i < 12; i++) {
        double x = xs[i % 4], z = zs[i / 4], gradient[3], h = 1e-5;
        rfm_spend_log_likelihood(&CDNOW, x, z, gradient);
        for (size_t j = 0; j < 3; j++) {
            double slope = (moved(x, z, j, 1 + h) - moved(x, z, j, 1 - h)) / (2 * h * parameter[j]);
            assert_true(fabs(gradient[j] - slope) <= 1e-5 * fmax(1, fabs(slope)));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_means),
        cmocka_unit_test(an_infinite_mean_is_not_a_number),
        cmocka_unit_test(likelihoods_in_forty_digits),
        cmocka_unit_test(gradients_are_those_of_the_likelihood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
