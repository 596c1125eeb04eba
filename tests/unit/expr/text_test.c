#include "expr/text.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t duration_ms;
    } rows[] = {
        {"0", 0},
        {"-0", 0},
        {"1s", 1000},
        {"+1s", 1000},
        {"-1.5h", -5400000},
        {"1h30m", 5400000},
        {"1d12h", 129600000},
        {"90d", INT64_C(7776000000)},
        {".5s", 500},
        {"1.s", 1000},
        {"1000us", 1},
        {"1500000ns500us", 2},
        {"1000\xc2\xb5s", 1},
        {"1000\xce\xbcs", 1},
        {"0.001s", 1},
        {"0.5d", 43200000},
        {"87660000h", RFM__DURATION_MAX_MS},
        {"-3652500d", -RFM__DURATION_MAX_MS},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t duration_ms;
        assert_true(rfm__text_to_duration(rfm_text(rows[i].text), &duration_ms));
        assert_true(duration_ms == rows[i].duration_ms);
    }
    static const char *const bad[] = {"",
                                      "-",
                                      "1",
                                      "s",
                                      "1x",
                                      "1 s",
                                      "1h 30m",
                                      "1hh",
                                      "--1s",
                                      "1us",
                                      "0.0001s",
                                      "00",
                                      "87660000h1ms",
                                      ".s",
                                      "1e3s",
                                      "1.5",
                                      "9999999999999999999h",
                                      "1m-5s",
                                      "999999999999999999d",
                                      "4444444444444444444444444444444444444444444d", /* beyond 128 bits */
                                      "0.4444444444444444444444444444444444444444444d"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t duration_ms = 7;
        assert_false(rfm__text_to_duration(rfm_text(bad[i]), &duration_ms));
        assert_int_equal(duration_ms, 7);
    }
}

static void duration_texts(void **state)
{
    (void)state;
    static const struct {
        int64_t duration_ms;
        const char *text;
    } rows[] = {
        {0, "0s"}, {1, "0.001s"}, {-1500, "-1.5s"}, {5400000, "5400s"}, {RFM__DURATION_MAX_MS, "315576000000s"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[RFM__VALUE_TEXT];
        assert_int_equal(rfm__duration_to_text(rows[i].duration_ms, text), strlen(rows[i].text));
        assert_string_equal(text, rows[i].text);
    }
}

static void numbers(void **state)
{
    (void)state;
    double number;
    int64_t integer;
    static const char *const good[] = {"1", "-1.5", "+.5", "1.", "1e5", "1E-5", "inf", "-Infinity", "NaN"};
    static const char *const bad[] = {"",   "-",  ".",    "e5",   "1e",    "1e+", "0x10",
                                      "1 ", " 1", "+nan", "infi", "1e999", "1_0", "--1"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(rfm__text_to_double(rfm_text(good[i]), &number));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(rfm__text_to_double(rfm_text(bad[i]), &number));
    assert_true(rfm__text_to_double(rfm_text("-infinity"), &number) && isinf(number) && number < 0);
    char zeros[200];
    memset(zeros, '0', sizeof zeros);
    assert_true(rfm__text_to_double(rfm_bytes_of(zeros, 128), &number));
    assert_false(rfm__text_to_double(rfm_bytes_of(zeros, 129), &number));
    assert_true(rfm__text_to_int(rfm_text("-9223372036854775808"), &integer) && integer == INT64_MIN);
    assert_false(rfm__text_to_int(rfm_text("9223372036854775808"), &integer));
    assert_false(rfm__text_to_int(rfm_text("1.0"), &integer));
    assert_false(rfm__text_to_int(rfm_text("+"), &integer));
}

static void offsets(void **state)
{
    (void)state;
    int32_t offset_s;
    assert_true(rfm__text_to_offset(rfm_text("+02:00"), &offset_s) && offset_s == 7200);
    assert_true(rfm__text_to_offset(rfm_text("-8:30"), &offset_s) && offset_s == -30600);
    assert_true(rfm__text_to_offset(rfm_text("-00:30"), &offset_s) && offset_s == -1800);
    static const char *const bad[] = {"", "UTC", "+24:00", "+1:60", "+1:6", "+100:00", "+:00", "02"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(rfm__text_to_offset(rfm_text(bad[i]), &offset_s));
}

static void times(void **state)
{
    (void)state;
    int64_t time_ms;
    char text[RFM__VALUE_TEXT];
    assert_true(rfm__text_to_time(rfm_text("0001-01-01T00:00:00Z"), &time_ms) && time_ms == RFM__TIME_MIN_MS);
    assert_false(rfm__text_to_time(rfm_text("0001-01-01T00:00:00+00:01"), &time_ms));
    assert_false(rfm__text_to_time(rfm_text("9999-12-31T23:59:59-00:01"), &time_ms));
    rfm__time_to_text(RFM_TIME_MAX_MS, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999Z");
    rfm__time_to_text(-1500, text);
    assert_string_equal(text, "1969-12-31T23:59:58.5Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations), cmocka_unit_test(duration_texts), cmocka_unit_test(numbers),
        cmocka_unit_test(offsets),   cmocka_unit_test(times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
