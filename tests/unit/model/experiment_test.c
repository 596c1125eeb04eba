/* Expected values by scipy and statsmodels: proportions_ztest, confint_proportions_2indep (newcomb), ttest_ind,
 * multipletests (holm), chisquare, power_proportions_2indep. */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <math.h>
#include <rfm/model/experiment.h>

static void assert_near(double value, double expected)
{
    double tolerance = 1e-9 * fmax(1, fabs(expected));
    if (!(fabs(value - expected) <= tolerance))
        fail_msg("%.15g, not %.15g", value, expected);
}

static void assert_comparison(const rfm_comparison *of, const rfm_comparison *expected)
{
    assert_near(of->difference, expected->difference);
    assert_near(of->low, expected->low);
    assert_near(of->high, expected->high);
    assert_near(of->statistic, expected->statistic);
    assert_near(of->p, expected->p);
}

typedef struct row {
    rfm_arm_sums control, variant;
    rfm_comparison expected;
} row;

static void test_conversion(void **state)
{
    (void)state;
    static const row rows[] = {
        {{1000, 100, 0, 0},
         {1000, 130, 0, 0},
         {0.03, 0.0020023487152830075, 0.05807048502220285, 2.102740605622114, 0.03548845046647471}},
        {{50, 3, 0, 0},
         {40, 9, 0, 0},
         {0.165, 0.0207429521622641, 0.3201143827842008, 2.2881383094290704, 0.022129467900418462}},
        {{100000, 5000, 0, 0},
         {20000, 1100, 0, 0},
         {0.0049999999999999975, 0.001634372929439523, 0.0085091814289528, 2.938656644497578, 0.003296380346341491}},
        {{10, 0, 0, 0},
         {12, 3, 0, 0},
         {0.25, -0.0708804156994084, 0.5323053349335658, 1.7013926184468013, 0.08886928647264575}},
        {{30, 30, 0, 0},
         {30, 29, 0, 0},
         {-0.033333333333333326, -0.1667039099140919, 0.08344597543254358, -1.0084389681792196, 0.3132437734013086}},
        {{7, 0, 0, 0}, {9, 0, 0, 0}, {0.0, -0.3543304350666875, 0.29914504841954415, 0, 1}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        rfm_comparison comparison = rfm_compare_conversion(&rows[i].control, &rows[i].variant);
        assert_comparison(&comparison, &rows[i].expected);
    }
    assert_true(isnan(rfm_compare_conversion(&(rfm_arm_sums){0}, &rows[0].variant).p));
}

/* The published interval: Newcombe 1998, table II, method 10: 56/70 and 48/80. */
static void test_newcombe(void **state)
{
    (void)state;
    rfm_comparison comparison = rfm_compare_conversion(&(rfm_arm_sums){80, 48, 0, 0}, &(rfm_arm_sums){70, 56, 0, 0});
    assert_true(fabs(comparison.low - 0.0524) < 5e-5 && fabs(comparison.high - 0.3339) < 5e-5);
}

static void test_revenue(void **state)
{
    (void)state;
    static const row rows[] = {
        {{6, 0, 135.4, 10730.260000000002},
         {7, 0, 269.5, 42700.25},
         {15.933333333333334, -56.03463638723122, 87.90130305389789, 0.49756320241803864, 0.6302179663288008}},
        {{3, 0, 6.0, 14.0},
         {3, 0, 18.0, 122.0},
         {4.0, -1.740656389274684, 9.740656389274683, 2.449489742783178, 0.10636671602031073}},
        {{2, 0, 2.5, 3.25},
         {2, 0, 12.0, 90.0},
         {4.75, -32.284521758567664, 41.784521758567664, 1.5778641172210595, 0.3571621838646688}},
        {{5000, 0, 62500.0, 8779650.0},
         {4800, 0, 66720.0, 10218272.0},
         {1.4, -0.2671396104298225, 3.067139610429823, 1.6461097835062035, 0.09977382131326423}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        rfm_comparison comparison = rfm_compare_revenue(&rows[i].control, &rows[i].variant);
        assert_comparison(&comparison, &rows[i].expected);
    }
    rfm_comparison same = rfm_compare_revenue(&(rfm_arm_sums){2, 0, 4, 8}, &(rfm_arm_sums){2, 0, 6, 18});
    assert_true(same.difference == 1 && isnan(same.p) && isnan(same.low)); /* nothing varies: nothing can be said */
    assert_true(isnan(rfm_compare_revenue(&(rfm_arm_sums){1, 0, 4, 16}, &rows[0].variant).difference));
}

static void test_holm(void **state)
{
    (void)state;
    double five[] = {0.01, 0.04, 0.03, 0.005, 0.9}, of_five[] = {0.04, 0.09, 0.09, 0.025, 0.9};
    double ties[] = {0.02, NAN, 0.02, 0.5}, of_ties[] = {0.06, NAN, 0.06, 0.5};
    rfm_holm(five, 5);
    rfm_holm(ties, 4);
    for (size_t i = 0; i < 5; i++)
        assert_near(five[i], of_five[i]);
    assert_true(isnan(ties[1]));
    for (size_t i = 0; i < 4; i += i == 0 ? 2 : 1)
        assert_near(ties[i], of_ties[i]);
}

static void test_sample_ratio(void **state)
{
    (void)state;
    static const struct {
        uint64_t clients[4];
        double share[4];
        size_t count;
        double p;
    } rows[] = {
        {{5000, 5100}, {.5, .5}, 2, 0.3197181768128675},
        {{1000, 4500, 4300}, {.1, .45, .45}, 3, 0.08255165455437365},
        {{10, 95}, {.1, .9}, 2, 0.8707940072579602},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_near(rfm_sample_ratio_p(rows[i].clients, rows[i].share, rows[i].count), rows[i].p);
    uint64_t wrong[] = {100, 120, 90, 400}, none[] = {5, 0};
    double quarters[] = {.25, .25, .25, .25}, half[] = {.5, .5}, one[] = {0, 1};
    double p = rfm_sample_ratio_p(wrong, quarters, 4);
    assert_true(fabs(p / 7.356210483706133e-81 - 1) < 1e-6);
    assert_true(isnan(rfm_sample_ratio_p(none, one, 2)));
    assert_true(rfm_sample_ratio_p((uint64_t[]){7, 7}, half, 2) == 1);
}

/* The fewest clients with a power of 80 % by statsmodels, where one fewer has less. */
static void test_clients_needed(void **state)
{
    (void)state;
    static const double rows[][3] = {{.05, .1, 31234}, {.1, .2, 3841}, {.02, .5, 3826}, {.3, -.1, 3554}};
    for (size_t i = 0; i < 4; i++)
        assert_true(rfm_clients_needed(rows[i][0], rows[i][1]) == rows[i][2]);
    assert_true(isinf(rfm_clients_needed(.05, 0)) && isinf(rfm_clients_needed(0, .1)) &&
                isinf(rfm_clients_needed(.6, 1)));
}

static uint64_t random_state = 88172645463325252u;

static double uniform(void)
{
    random_state ^= random_state << 13, random_state ^= random_state >> 7, random_state ^= random_state << 17;
    return (double)(random_state >> 11) * 0x1p-53;
}

/* The least p of 100 looks, over experiments in which `lift` is true: how many fall to .05. */
static int found(double lift, int experiments)
{
    int count = 0;
    for (int e = 0; e < experiments; e++) {
        rfm_arm_sums control = {0}, variant = {0};
        double least = 1;
        for (int look = 0; look < 100; look++) {
            for (int i = 0; i < 50; i++) {
                control.clients++, variant.clients++;
                control.converted += uniform() < 0.1;
                variant.converted += uniform() < 0.1 + lift;
            }
            least = fmin(least, rfm_sequential_p(&control, &variant, 0.02));
        }
        count += least <= 0.05;
    }
    return count;
}

static void test_one_may_look_at_any_time(void **state)
{
    (void)state;
    assert_true(found(0, 1000) <= 50 + 21); /* three standard deviations */
    assert_true(found(0.03, 200) > 150);
    rfm_arm_sums control = {1000, 100, 0, 0}, variant = {1000, 130, 0, 0}, none = {0};
    /* Johari et al., equation of the mixture for a normal mean: V = .09/1000 + .1131/1000, tau .02. */
    double v = 0.09 / 1000 + 0.1131 / 1000, t = 0.0004;
    assert_near(rfm_sequential_p(&control, &variant, 0.02),
                1 / (sqrt(v / (v + t)) * exp(t * 0.0009 / (2 * v * (v + t)))));
    assert_true(isnan(rfm_sequential_p(&none, &variant, 0.02)));
    assert_true(rfm_sequential_p(&(rfm_arm_sums){5, 0, 0, 0}, &(rfm_arm_sums){5, 0, 0, 0}, 0.02) == 1);
}

/* What the issue asks for, in small: the interval covers the truth, and no effect is rarely found. */
static void test_intervals_cover_the_truth(void **state)
{
    (void)state;
    int covered = 0, wrong = 0;
    for (int e = 0; e < 2000; e++) {
        rfm_arm_sums arms[3] = {{.clients = 500}, {.clients = 500}, {.clients = 500}};
        for (int i = 0; i < 500; i++) {
            arms[0].converted += uniform() < 0.1;
            arms[1].converted += uniform() < 0.15;
            arms[2].converted += uniform() < 0.1;
        }
        rfm_comparison effect = rfm_compare_conversion(&arms[0], &arms[1]);
        covered += effect.low <= 0.05 && 0.05 <= effect.high;
        wrong += rfm_compare_conversion(&arms[0], &arms[2]).p <= 0.05;
    }
    assert_in_range(covered, 2000 * 0.935, 2000 * 0.965);
    assert_in_range(wrong, 0, 2000 * 0.06);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conversion),
        cmocka_unit_test(test_newcombe),
        cmocka_unit_test(test_revenue),
        cmocka_unit_test(test_holm),
        cmocka_unit_test(test_sample_ratio),
        cmocka_unit_test(test_clients_needed),
        cmocka_unit_test(test_one_may_look_at_any_time),
        cmocka_unit_test(test_intervals_cover_the_truth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
