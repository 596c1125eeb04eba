/* An experiment's figures from tasks' hashes. Statistics by SciPy 1.17: two proportions and Newcombe's interval from
 * its Wilson ones, Welch's t, chi-square; the salt's hash by Python's xxhash: xxh3_64_intdigest(b"one") & 0xffffff. */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <rfm/rule/evaluation.h>

#include <math.h>
#include <rfm/base/json.h>
#include <stdio.h>

#define SALT    "2089376"
#define SALT_16 "57760" /* its low 16 bits */

static rfm_rule rule_of(uint16_t control_buckets)
{
    rfm_rule rule = {.name = "hello", .experiment = {.given = true, .salt = "one", .variant_count = 1}};
    rule.experiment.control_buckets = control_buckets;
    rule.experiment.variant[0] = (rfm_variant){"a", (uint16_t)(RFM_BUCKETS_OF_CLIENTS - control_buckets)};
    return rule;
}

/* A task that knows the names by these numbers, and its cells: "e", ".1", value, ... */
static void add_task(rfm_kpi_sums *sums, const char *const texts[], const char *const cells[][2])
{
    rfm_names *names = rfm_names_new();
    rfm_bytes values[32];
    size_t count = 0;
    for (size_t i = 0; texts[i] != NULL; i++)
        (void)rfm_names_number(names, rfm_text(texts[i]));
    for (size_t i = 0; cells[i][0] != NULL; i++) {
        values[count++] = rfm_text(cells[i][0]);
        values[count++] = rfm_text(cells[i][1]);
    }
    assert_int_equal(rfm_kpi_sums_add(sums, names, values, count), RFM_OK);
    rfm_names_free(names);
}

/* Control 1: 1000 clients, 100 bought for 5000.00, squares 60,000; a: 2100 clients in two tasks, 273 for 13,000.00,
 * 200,000. */
static void add_shop(rfm_kpi_sums *sums)
{
    add_task(sums, (const char *const[]){"hello", "control", "a", NULL},
             (const char *const[][2]){{"i" SALT ".2:1", "1100"},
                                      {"e" SALT ".2:1", "1000"},
                                      {"y" SALT ".2:1", "100"},
                                      {"k" SALT ".2:1", "120"},
                                      {"u" SALT ".2:1", "500000"},
                                      {"q" SALT ".2:1", "600000000"},
                                      {"e" SALT ".3:1", "2000"},
                                      {"y" SALT ".3:1", "270"},
                                      {"u" SALT ".3:1", "1200000"},
                                      {"Q" SALT ".3:1", "1"},
                                      {"J0:1", "300"},
                                      {NULL, NULL}});
    add_task(sums, (const char *const[]){"a", "other", "hello", NULL},
             (const char *const[][2]){
                 {"e" SALT ".1:3", "100"},
                 {"y" SALT ".1:3", "3"},
                 {"u" SALT ".1:3", "100000"},
                 {"q" SALT ".1:3", "-2294967296"}, /* of 2,000,000,000 what the other task's 2^32 lacks */
                 {"e1.1:3", "7777"},               /* another salt */
                 {"e" SALT ".1:2", "7777"},        /* another rule */
                 {"J0:3", "12"},
                 {"A0:3", "4500"},
                 {NULL, NULL}});
}

static void assert_near(double value, double expected)
{
    if (!(fabs(value - expected) <= 1e-9 * fabs(expected)))
        fail_msg("%.17g is not %.17g", value, expected);
}

static void test_tasks_add_up(void **state)
{
    (void)state;
    rfm_kpi_sums sums;
    rfm_rule rule = rule_of(5000);
    rfm_evaluation evaluation;
    rfm_kpi_sums_init(&sums);
    add_shop(&sums);
    rfm_evaluate(&rule, &sums, 2, 0, &evaluation);
    assert_int_equal(evaluation.arm_count, 2);
    const rfm_arm_result *control = &evaluation.arm[0], *a = &evaluation.arm[1];
    assert_int_equal(control->exposed, 1100);
    assert_int_equal(control->orders, 120);
    assert_int_equal(control->sums.clients, 1000);
    assert_int_equal(a->sums.clients, 2100);
    assert_int_equal(a->sums.converted, 273);
    assert_int_equal(a->revenue_minor, 1300000);
    assert_near(control->sums.squares, 60000);
    assert_near(a->sums.squares, 200000);
    assert_near(control->figure[RFM_ARM_CONVERSION], 0.1);
    assert_true(isnan(control->figure[RFM_ARM_CONVERSION_P]));
    assert_near(a->figure[RFM_ARM_CONVERSION_Z], 2.400019465674606);
    assert_near(a->figure[RFM_ARM_CONVERSION_P], 0.016394200020278017);
    assert_near(a->figure[RFM_ARM_CONVERSION_P_HOLM], 0.016394200020278017);
    assert_near(a->figure[RFM_ARM_CONVERSION_LOW], 0.005626079436662872);
    assert_near(a->figure[RFM_ARM_CONVERSION_HIGH], 0.05278049380883813);
    assert_near(a->figure[RFM_ARM_CONVERSION_LIFT], 0.3);
    assert_near(a->figure[RFM_ARM_REVENUE_T], 4.775261627153985);
    assert_near(a->figure[RFM_ARM_REVENUE_P], 1.9007211085697916e-06);
    assert_near(a->figure[RFM_ARM_REVENUE_LOW], 0.7016138769601736);
    assert_true(evaluation.suspicious); /* 1000 and 2100 are no halves */
    rfm_attributed attributed = rfm_attributed_to(&rule, &sums);
    assert_int_equal(attributed.orders, 312);
    assert_int_equal(attributed.revenue_minor, 4500);
    rfm_kpi_sums_release(&sums);
}

static void test_sizes_by_their_shares(void **state)
{
    (void)state;
    rfm_kpi_sums sums;
    rfm_rule rule = rule_of(3226); /* 1000 of 3100 */
    rfm_evaluation evaluation;
    rfm_kpi_sums_init(&sums);
    add_shop(&sums);
    rfm_evaluate(&rule, &sums, 2, 0, &evaluation);
    assert_true(evaluation.sample_ratio_p > 0.9);
    assert_false(evaluation.suspicious);
    rfm_kpi_sums_release(&sums);
}

/* Control's conversion is .1: by SciPy 57,763 clients an arm show +5 %, 14,751 +10 %, 3,841 +20 %. */
static void test_days_needed(void **state)
{
    enum { TODAY = 20454 };
    (void)state;
    rfm_kpi_sums sums;
    rfm_rule rule = rule_of(2000);
    rfm_evaluation evaluation;
    char cells[3][32];
    for (int i = 0; i < 3; i++)
        snprintf(cells[i], sizeof cells[i], "I%d." SALT_16 ":1", TODAY - (i == 0 ? 0 : i == 1 ? 1 : 5));
    rfm_kpi_sums_init(&sums);
    add_task(&sums, (const char *const[]){"hello", "control", "a", NULL},
             (const char *const[][2]){{"i" SALT ".2:1", "4000"},
                                      {"e" SALT ".2:1", "3900"},
                                      {"y" SALT ".2:1", "390"},
                                      {"i" SALT ".3:1", "16000"},
                                      {"e" SALT ".3:1", "16000"},
                                      {cells[0], "10000"}, /* today is not over */
                                      {cells[1], "6000"},
                                      {cells[2], "4000"},
                                      {NULL, NULL}});
    rule.attribution_ms = 3 * RFM_DAY_MS;
    rfm_evaluate(&rule, &sums, 2, TODAY * RFM_DAY_MS + 5, &evaluation);
    assert_near(evaluation.exposed_per_day, 2000); /* 10,000 in the 5 days since the first */
    assert_near(evaluation.clients_needed[0], 57763);
    assert_near(evaluation.days_needed[0], (57763 - 4000) / 400. + 3); /* 400 of control's a day, 1600 of a's */
    assert_near(evaluation.days_needed[1], (14751 - 4000) / 400. + 3); /* a has them */
    assert_near(evaluation.days_needed[2], 0);
    rfm_evaluate(&rule, &sums, 2, (TODAY + 20) * RFM_DAY_MS, &evaluation);
    assert_near(evaluation.exposed_per_day, 20000. / 25);
    rfm_evaluate(&rule, &sums, 2, (TODAY + 26) * RFM_DAY_MS, &evaluation);
    assert_near(evaluation.exposed_per_day, 16000. / 28); /* the first 4,000 lie before the four weeks */
    rfm_evaluate(&rule, &sums, 2, (TODAY + 60) * RFM_DAY_MS, &evaluation);
    assert_near(evaluation.exposed_per_day, 0);
    assert_true(isnan(evaluation.days_needed[0]));
    rfm_kpi_sums_release(&sums);
}

static void test_json_of_nothing(void **state)
{
    (void)state;
    rfm_kpi_sums sums;
    rfm_rule rule = rule_of(0);
    rfm_rules rules = {.rule = &rule, .count = 1};
    rfm_client_conf conf;
    char text[4096] = "";
    rfm_buffer json = rfm_buffer_over(text, sizeof text - 1);
    rfm_client_conf_defaults(&conf);
    rfm_kpi_sums_init(&sums);
    rfm_experiments_json(&rules, &sums, &conf.money, 0, &json);
    assert_false(json.bad);
    const char *const parts[] = {
        "{\"as_of\":\"1970-01-01T00:00:00.000Z\"",
        "\"experiments\":[{\"rule\":\"hello\",\"salt\":\"one\",\"attribution_days\":14,\"arms\":[{\"arm\":\"control\","
        "\"exposed\":0,\"clients\":0,\"converted\":0,\"orders\":0,\"revenue\":\"0.00\",\"share\":0,\"conversion\":null,",
        "\"revenue_p_holm\":null}],\"sample_ratio_p\":null,\"suspicious\":false,"
        "\"clients_needed\":{\"5%\":null,\"10%\":null,\"20%\":null},\"exposed_per_day\":null,"
        "\"days_needed\":{\"5%\":null,\"10%\":null,\"20%\":null}}]",
        ",\"attribution\":[{\"rule\":\"hello\",\"orders\":0,\"revenue\":\"0.00\"}]}",
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (strstr(text, parts[i]) == NULL)
            fail_msg("no %s in %s", parts[i], text);
    }
    rfm_kpi_sums_release(&sums);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tasks_add_up),
        cmocka_unit_test(test_sizes_by_their_shares),
        cmocka_unit_test(test_days_needed),
        cmocka_unit_test(test_json_of_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
