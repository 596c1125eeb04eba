#include <rfm/base/error.h>
#include <rfm/base/time.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

typedef struct expected_time {
    const char *text;
    int64_t time_ms;
    const char *utc;
} expected_time;

static const expected_time rows[] = {
#include "times.inc"
};

static void as_python_s_datetime(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[RFM_TIME_TEXT];
        int64_t time_ms;
        assert_int_equal(rfm_time_parse(rfm_text(rows[i].text), &time_ms), 0);
        assert_true(time_ms == rows[i].time_ms);
        assert_int_equal(rfm_time_format(time_ms, text), strlen(rows[i].utc));
        assert_string_equal(text, rows[i].utc);
    }
}

/* The examples of RFC 3339, section 5.8, and forms that it allows. */
static void forms_of_rfc_3339(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t time_ms;
    } cases[] = {
        {"1985-04-12T23:20:50.52Z", INT64_C(482196050520)},
        {"1996-12-19T16:39:57-08:00", INT64_C(851042397000)},
        {"1990-12-31T23:59:60Z", INT64_C(662687999999)},
        {"1990-12-31T15:59:60-08:00", INT64_C(662687999999)},
        {"1937-01-01T12:00:27.87+00:20", INT64_C(-1041337172130)},
        {"1996-12-19 16:39:57-08:00", INT64_C(851042397000)},
        {"1985-04-12t23:20:50.52z", INT64_C(482196050520)},
        {"1970-01-01T00:00:00.0009999999999999999999999999Z", 0},
        {"1970-01-01T00:00:00.001-00:00", 1},
        {"1969-12-31T23:59:59.999Z", -1},
        {"2024-02-29T00:00:00Z", INT64_C(1709164800000)},
        {"2000-02-29T00:00:00Z", INT64_C(951782400000)},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t time_ms;
        assert_int_equal(rfm_time_parse(rfm_text(cases[i].text), &time_ms), 0);
        assert_true(time_ms == cases[i].time_ms);
    }
}

static void anything_else_is_malformed(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "2024",
        "2024-01-01",
        "2024-01-01T00:00:00",
        "2024-01-01T00:00Z",
        "2024-01-01T00:00:00.Z",
        "2024-01-01T00:00:00+0100",
        "2024-01-01T00:00:00+01",
        "2024-01-01T00:00:00+24:00",
        "2024-01-01T00:00:00+01:60",
        "2024-01-01T24:00:00Z",
        "2024-01-01T00:60:00Z",
        "2024-01-01T00:00:61Z",
        "2024-01-01T00:00:60Z",
        "2024-13-01T00:00:00Z",
        "2024-00-01T00:00:00Z",
        "2024-01-32T00:00:00Z",
        "2024-01-00T00:00:00Z",
        "2024-04-31T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2024-01-01T00:00:00Z ",
        " 2024-01-01T00:00:00Z",
        "2024-01-01T00:00:00ZZ",
        "2024-01-01_00:00:00Z",
        "2024/01/01T00:00:00Z",
        "24-01-01T00:00:00Z",
        "+024-01-01T00:00:00Z",
        "2024-01-01T00:00:00,5Z",
        "2024-01-01T0a:00:00Z",
        "2024-01-01T00:00:00.1",
        "2024-01-01T00:00:00.123456789+01:0",
        "2024-W01-1T00:00:00Z",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t time_ms = 77;
        assert_int_equal(rfm_time_parse(rfm_text(cases[i]), &time_ms), RFM_E_MALFORMED);
        assert_true(time_ms == 77);
    }
}

static void formatting_stays_within_four_digits_of_a_year(void **state)
{
    (void)state;
    char text[RFM_TIME_TEXT];
    rfm_time_format(INT64_MAX, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999Z");
    rfm_time_format(INT64_MIN, text);
    assert_string_equal(text, "0000-01-01T00:00:00.000Z");
    rfm_time_format(-1, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999Z");
}

/* Against counting day by day from 1970, with the Gregorian rule alone. */
static void civil_days_by_counting(void **state)
{
    (void)state;
    static const int lens[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = 1970, month = 1, day_of_month = 1;
    for (int32_t day = 0; day < 400000; day++) {
        int got_year, got_month, got_day;
        assert_int_equal(rfm_day_of_civil(year, month, day_of_month), day);
        rfm_civil_of_day(day, &got_year, &got_month, &got_day);
        assert_true(got_year == year && got_month == month && got_day == day_of_month);
        int leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        if (++day_of_month <= lens[month - 1] + (month == 2 && leap))
            continue;
        day_of_month = 1;
        if (++month > 12)
            month = 1, year++;
    }
}

static void civil_days_come_back(void **state)
{
    (void)state;
    for (int64_t day = INT32_MIN; day <= INT32_MAX; day += 1234567) {
        int year, month, day_of_month;
        rfm_civil_of_day((int32_t)day, &year, &month, &day_of_month);
        assert_int_equal(rfm_day_of_civil(year, month, day_of_month), day);
    }
}

static void dates(void **state)
{
    (void)state;
    int32_t day;
    assert_int_equal(rfm_date_parse(rfm_text("2026-11-22"), &day), 0);
    assert_int_equal(day, 20779);
    assert_int_equal(rfm_date_parse(rfm_text("1969-12-31"), &day), 0);
    assert_int_equal(day, -1);
    assert_int_equal(rfm_date_parse(rfm_text("2026-11-2"), &day), RFM_E_MALFORMED);
    assert_int_equal(rfm_date_parse(rfm_text("2026-11-221"), &day), RFM_E_MALFORMED);
    assert_int_equal(rfm_date_parse(rfm_text("2026-02-29"), &day), RFM_E_MALFORMED);
    assert_int_equal(rfm_date_parse(RFM_BYTES_NONE, &day), RFM_E_MALFORMED);
}

static void durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int code;
        int64_t duration_ms;
    } cases[] = {
        {"90d", 0, INT64_C(7776000000)},
        {"12h", 0, 43200000},
        {"15m", 0, 900000},
        {"30s", 0, 30000},
        {"250ms", 0, 250},
        {"1h30m", 0, 5400000},
        {"1m1ms", 0, 60001},
        {"0s", 0, 0},
        {"", RFM_E_MALFORMED, 0},
        {"90", RFM_E_MALFORMED, 0},
        {"d", RFM_E_MALFORMED, 0},
        {"-1d", RFM_E_MALFORMED, 0},
        {"1.5h", RFM_E_MALFORMED, 0},
        {"1 h", RFM_E_MALFORMED, 0},
        {"1h ", RFM_E_MALFORMED, 0},
        {"1w", RFM_E_MALFORMED, 0},
        {"1hm", RFM_E_MALFORMED, 0},
        {"106751991168d", RFM_E_RANGE, 0},
        {"99999999999999999999d", RFM_E_RANGE, 0},
        {"9223372036854775807ms1ms", RFM_E_RANGE, 0},
        {"9223372036854775807ms", 0, INT64_MAX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t duration_ms = 0;
        assert_int_equal(rfm_duration_parse(rfm_text(cases[i].text), &duration_ms), cases[i].code);
        assert_true(duration_ms == cases[i].duration_ms);
    }
}

static void division_rounds_down(void **state)
{
    (void)state;
    assert_int_equal(rfm_div_floor(7, 2), 3);
    assert_int_equal(rfm_div_floor(-7, 2), -4);
    assert_int_equal(rfm_div_floor(-8, 2), -4);
    assert_int_equal(rfm_div_floor(-1, 86400), -1);
}

static void an_even_clock_goes_on_where_the_system_s_is_set_back(void **state)
{
    (void)state;
    const int64_t start_ms = INT64_C(1700000000000), second_ns = 1000000000;
    rfm_even_clock clock = {0};
    assert_int_equal(rfm_even_clock_at(&clock, start_ms, 5 * second_ns), start_ms);
    assert_int_equal(rfm_even_clock_at(&clock, start_ms + 10000, 15 * second_ns), start_ms + 10000);
    assert_int_equal(rfm_even_clock_at(&clock, start_ms + 90000, 16 * second_ns), start_ms + 90000); /* set on */
    int64_t wall_ms = start_ms + 90000 - 60000, steady_ns = 16 * second_ns, before_ms = start_ms + 90000;
    for (int64_t ms = 1; ms <= 300000; ms++) { /* set back by a minute: caught up after two */
        int64_t now_ms = rfm_even_clock_at(&clock, wall_ms + ms, steady_ns + ms * 1000000);
        int64_t expected_ms = ms < 120000 ? start_ms + 90000 + ms / 2 : wall_ms + ms;
        assert_true(now_ms >= before_ms && llabs(now_ms - expected_ms) <= 1);
        before_ms = now_ms;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_python_s_datetime),
        cmocka_unit_test(forms_of_rfc_3339),
        cmocka_unit_test(anything_else_is_malformed),
        cmocka_unit_test(formatting_stays_within_four_digits_of_a_year),
        cmocka_unit_test(civil_days_by_counting),
        cmocka_unit_test(civil_days_come_back),
        cmocka_unit_test(dates),
        cmocka_unit_test(durations),
        cmocka_unit_test(division_rounds_down),
        cmocka_unit_test(an_even_clock_goes_on_where_the_system_s_is_set_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
