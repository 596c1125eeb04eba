#include "world.h"

#include <rfm/client/kpi_report.h>
#include <rfm/client/scores.h>

#include <math.h>

static rfm_kpi_sums sums;
static rfm_kpi_report report;

static int set_up(void **state)
{
    (void)state;
    rfm_kpi_sums_init(&sums);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rfm_kpi_report_release(&report);
    rfm_kpi_sums_release(&sums);
    return 0;
}

static void add_task(const char *const *texts, size_t count, const rfm_names *names)
{
    rfm_bytes values[64];
    assert_true(count <= 64);
    for (size_t i = 0; i < count; i++) {
        values[i] = rfm_text(texts[i]);
    }
    assert_int_equal(rfm_kpi_sums_add(&sums, names, values, count), RFM_OK);
}
#define ADD(names, ...) \
    add_task((const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *), names)

static void make(int32_t from, int32_t to, bool by_day, const char *source)
{
    rfm_kpi_query query = {.by_day = by_day, .from = from, .to = to, .source = source, .margin = .5, .as_of_ms = T0};
    rfm_error error;
    assert_int_equal(rfm_kpi_report_init(&report, &sums, &query, &error), RFM_OK);
}

static const rfm_sheet *sheet_of(const char *name)
{
    for (size_t i = 0; i < report.sheet_count; i++) {
        if (strcmp(report.sheets[i].name, name) == 0) {
            return &report.sheets[i];
        }
    }
    return NULL;
}

static size_t column_of(const rfm_sheet *sheet, const char *name)
{
    for (size_t i = 0; i < sheet->column_count; i++) {
        if (strcmp(sheet->columns[i].name, name) == 0) {
            return i;
        }
    }
    fail_msg("no column %s", name);
    return 0;
}

static rfm_figure figure(const char *sheet, size_t row, const char *column)
{
    const rfm_sheet *found = sheet_of(sheet);
    assert_true(found && row < found->row_count);
    return found->figures[row * found->column_count + column_of(found, column)];
}

static rfm_figure change(const char *sheet, size_t row, const char *column)
{
    const rfm_sheet *found = sheet_of(sheet);
    assert_true(found && row < found->row_count && found->changes);
    return found->changes[row * found->column_count + column_of(found, column)];
}

static rfm_names *names_of(const char *first, const char *second)
{
    rfm_names *names = rfm_names_new();
    (void)rfm_names_number(names, rfm_text(first));
    (void)rfm_names_number(names, rfm_text(second));
    return names;
}

/* Two tasks know the same names by other numbers. 672: January 2026, whose days begin with 20454. */
static void tasks_add_up_by_their_names(void **state)
{
    (void)state;
    rfm_names *one = names_of("spring", "loyal"), *other = names_of("loyal", "spring");
    ADD(one, "B672:1", "3", "N672:1", "2", "g0.2:1", "5", "l0.2:1", "5", "n20454", "2", "o20454", "7");
    ADD(other, "B672:2", "4", "N672:2", "1", "g0.1:2", "6", "l0.2:2", "6", "n20460", "3", "o20460", "1");
    make(672, 672, false, NULL);
    assert_int_equal(figure("periods", 0, "buyers").whole, 7);
    assert_int_equal(figure("periods", 0, "new_clients").whole, 5);
    assert_int_equal(figure("periods", 0, "orders").whole, 8);
    assert_true(rfm_bytes_is(sheet_of("segments")->keys[0], "loyal"));
    assert_int_equal(figure("segments", 0, "clients").whole, 11);
    assert_true(rfm_bytes_is(sheet_of("sources")->keys[0], "spring"));
    assert_int_equal(figure("sources", 0, "new_clients").whole, 3);
    assert_null(sheet_of("sources")->keys[1].at);
    assert_int_equal(figure("sources", 1, "new_clients").whole, 2); /* what is left of all */
    rfm_kpi_report_release(&report);
    make(672, 672, false, "spring");
    assert_int_equal(figure("periods", 0, "new_clients").whole, 3);
    assert_int_equal(figure("periods", 0, "orders").whole, 0);
    assert_null(sheet_of("sources"));
    assert_null(sheet_of("events"));
    rfm_names_free(one);
    rfm_names_free(other);
}

static void figures_by_hand(void **state)
{
    (void)state;
    rfm_names *names = rfm_names_new();
    /* December: 4 buyers; January: 5, of whom 1 bought in December, 2 have one order; 8 orders, 10.01 in all, cost
     * 1.00. */
    ADD(names, "B671", "4", "B672", "5", "K672", "1", "s20454", "2", "o20454", "8", "r20454", "1001", "n20454", "3",
        "c20460", "100", "o20453", "4", "r20453", "-500", "l0", "1", "l0.2", "9", "b0", "9", "t0", "4500", "p0.10", "3",
        "p0.8", "1", "p0.6", "2", "a0", "4", "m0", "1450");
    make(671, 672, false, NULL);
    assert_int_equal(figure("periods", 1, "average_order").whole, 125); /* 125.125 */
    assert_true(figure("periods", 1, "frequency").number == 8. / 5);
    assert_true(figure("periods", 1, "returning_rate").number == 3. / 5);
    assert_true(figure("periods", 1, "retention").number == 1. / 4);
    assert_true(figure("periods", 1, "churn_rate").number == 3. / 4);
    assert_int_equal(figure("periods", 1, "cac").whole, 33);
    assert_false(figure("periods", 0, "retention").known); /* nobody bought in November */
    assert_true(change("periods", 1, "orders").number == 1);
    assert_true(change("periods", 1, "revenue").number == 1501. / 500); /* up, though from below 0 */
    assert_false(change("periods", 1, "retention").known);
    assert_false(change("periods", 0, "orders").known);
    assert_int_equal(figure("value", 0, "clients").whole, 10);
    assert_int_equal(figure("value", 0, "ltv_historic").whole, 250);
    assert_false(figure("value", 0, "ltv_predicted").known); /* nobody has read the states */
    assert_true(fabs(figure("value", 0, "nps").number - 100. / 6) < 1e-12);
    assert_true(figure("value", 0, "csat").number == 14.5 / 4);
    assert_true(figure("lifecycle", 2, "share").number == .9);
    rfm_names_free(names);
}

static void days_and_their_months(void **state)
{
    (void)state;
    rfm_names *names = rfm_names_new();
    ADD(names, "d20484", "2", "o20484", "3", "s20484", "1", "v20484", "5", "v20484.2", "1", "F672.2", "1", "B672", "2");
    make(20483, 20485, true, NULL); /* 30 January to 1 February */
    assert_true(rfm_bytes_is(sheet_of("periods")->keys[1], "2026-01-31"));
    assert_int_equal(figure("periods", 1, "buyers").whole, 2);
    assert_int_equal(figure("periods", 2, "buyers").whole, 0);
    assert_true(figure("periods", 1, "returning_rate").number == .5);
    assert_int_equal(figure("events", 1, "visits").whole, 5);
    assert_int_equal(figure("events", 1, "add_to_cart").whole, 1);
    assert_null(sheet_of("funnel"));
    rfm_kpi_report_release(&report);
    make(672, 673, false, NULL);
    assert_true(rfm_bytes_is(sheet_of("periods")->keys[0], "2026-01"));
    assert_int_equal(figure("events", 0, "visits").whole, 5);
    assert_int_equal(figure("periods", 0, "orders").whole, 3);
    assert_int_equal(figure("funnel", 0, "add_to_cart").whole, 1);
    rfm_names_free(names);
}

static void cohorts_end_with_the_report(void **state)
{
    (void)state;
    rfm_names *names = rfm_names_new();
    ADD(names, "H648", "8", "H648.1", "4", "H648.23", "2", "H671", "5", "H671.1", "5", "H600", "9");
    make(671, 671, false, NULL);
    const rfm_sheet *cohorts = sheet_of("cohorts");
    assert_int_equal(cohorts->row_count, 2); /* of 24 months those in which somebody came */
    assert_true(rfm_bytes_is(cohorts->keys[0], "2024-01"));
    assert_true(figure("cohorts", 0, "m1").number == .5 && figure("cohorts", 0, "m23").number == .25);
    assert_true(figure("cohorts", 0, "m2").known && figure("cohorts", 0, "m2").number == 0);
    assert_false(figure("cohorts", 1, "m1").known); /* it has not been yet */
    rfm_names_free(names);
}

static int compare_down(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return (a < b) - (a > b);
}

/* Beside a full sort: from equal clients to a few who bring nearly all, some of whom have given all back. */
static void the_top_share_is_that_of_a_sort(void **state)
{
    (void)state;
    enum { CLIENTS = 2000 };
    uint64_t seed = 5;
    for (int spread = 0; spread < 20; spread++) {
        int64_t revenue[CLIENTS], total = 0, reached = 0;
        size_t top = 0;
        for (size_t i = 0; i < CLIENTS; i++) {
            revenue[i] = 1000 + (int64_t)random_below(
                                    &seed, 1 + (UINT64_C(1) << random_below(&seed, 1 + (uint64_t)spread * 2)));
            revenue[i] = random_below(&seed, 20) == 0 ? 0 : revenue[i];
            total += revenue[i];
            rfm_population_add_bucket(sums.population, rfm_monetary_bucket(revenue[i]), 1);
        }
        rfm_tally_add(sums.tally, (rfm_cell){RFM_KPI_TURNOVER, 0, 0, 0}, total);
        rfm_tally_add(sums.tally, (rfm_cell){RFM_KPI_CLIENTS, 0, 0, 0}, CLIENTS);
        qsort(revenue, CLIENTS, sizeof *revenue, compare_down);
        while ((double)reached < .8 * (double)total) {
            reached += revenue[top++];
        }
        make(672, 672, false, NULL);
        double difference = figure("value", 0, "top_share").number - (double)top / CLIENTS;
        assert_true(difference > -.01 && difference < .01);
        tear_down(NULL), set_up(NULL);
    }
    make(672, 672, false, NULL);
    assert_false(figure("value", 0, "top_share").known);
}

static void expectations_need_a_model_of_spend(void **state)
{
    (void)state;
    rfm_client_conf conf;
    rfm_client client = {0};
    rfm_names *names = rfm_names_new();
    rfm_applied applied;
    rfm_event event = purchase(1, 1, T0, 5000);
    rfm_client_conf_defaults(&conf);
    conf.model.spend.p = 0;
    assert_int_equal(rfm_client_apply(&client, &event, 0, &conf, names, &applied), RFM_APPLIED);
    rfm_kpi_sums_expect(&sums, names, &client, &conf, T0);
    ADD(names, "b0", "1", "t0", "5000");
    make(672, 672, false, NULL);
    assert_false(figure("value", 0, "ltv_predicted").known);
    assert_false(figure("value", 0, "ltv").known);
    tear_down(NULL), set_up(NULL);
    conf.model.spend = (rfm_spend){6.25, 3.74, 15.44};
    rfm_kpi_sums_expect(&sums, names, &client, &conf, T0);
    ADD(names, "b0", "1", "t0", "5000");
    make(672, 672, false, NULL);
    double expected = rfm_client_predicted_minor(&client, &conf, rfm_client_expected_orders_at(&client, &conf, T0));
    assert_true(fabs((double)figure("value", 0, "ltv_predicted").whole - expected / 2) <= .51);
    rfm_names_free(names);
}

static void what_cannot_be_made_is_refused(void **state)
{
    (void)state;
    rfm_error error;
    const rfm_bytes bad[][2] = {
        {rfm_text("o"), rfm_text("1")}, {rfm_text("o1"), rfm_text("x")}, {rfm_text("o1"), rfm_text("")}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(rfm_kpi_sums_add(&sums, sums.names, bad[i], 2), RFM_E_CORRUPT);
    }
    const struct {
        rfm_kpi_query query;
        int code;
    } rows[] = {
        {{.from = 2, .to = 1}, RFM_E_RANGE},
        {{.from = -1, .to = RFM_KPI_PERIODS_MAX}, RFM_E_RANGE},
        {{.from = INT32_MIN, .to = INT32_MAX}, RFM_E_RANGE},
        {{.from = 1, .to = 1, .source = "nowhere"}, RFM_E_NOT_FOUND},
        {{.from = -5, .to = 5}, RFM_OK},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(rfm_kpi_report_init(&report, &sums, &rows[i].query, &error), rows[i].code);
        rfm_kpi_report_release(&report);
    }
}

static void json_is_one_object(void **state)
{
    (void)state;
    rfm_names *names = rfm_names_new();
    rfm_client_conf conf;
    rfm_buffer json;
    rfm_client_conf_defaults(&conf);
    ADD(names, "o20454", "2", "r20454", "1050", "B672", "1", "K672", "0");
    make(672, 672, false, NULL);
    rfm_buffer_init(&json, 1 << 20);
    rfm_kpi_report_json(&report, &conf.money, &json);
    rfm_write_u8(&json, 0);
    const char *start =
        "{\"as_of\":\"2026-01-01T00:00:00.000Z\",\"currency\":\"EUR\",\"by\":\"month\",\"from\":\"2026-01\","
        "\"to\":\"2026-01\",\"source\":null,\"periods\":[{\"month\":\"2026-01\",\"orders\":2,"
        "\"revenue\":\"10.50\",\"average_order\":\"5.25\",\"buyers\":1,\"frequency\":2,";
    assert_memory_equal(json.at, start, strlen(start));
    assert_non_null(strstr((char *)json.at, "\"sources\":[{\"source\":null,"));
    rfm_buffer_release(&json);
    rfm_names_free(names);
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(tasks_add_up_by_their_names),     T(figures_by_hand),
        T(days_and_their_months),           T(cohorts_end_with_the_report),
        T(the_top_share_is_that_of_a_sort), T(expectations_need_a_model_of_spend),
        T(what_cannot_be_made_is_refused),  T(json_is_one_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
