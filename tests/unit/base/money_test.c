#include <rfm/base/money.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static rfm_decimal decimal_of(const char *text)
{
    rfm_decimal decimal = {0, 0};
    assert_int_equal(rfm_decimal_parse(rfm_text(text), &decimal), 0);
    return decimal;
}

static void decimals_as_python_s(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int code;
        int64_t digits;
        int scale;
    } rows[] = {
#include "decimals.inc"
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        rfm_decimal decimal = {0, 0};
        if (rfm_decimal_parse(rfm_text(rows[i].text), &decimal) != rows[i].code || decimal.digits != rows[i].digits ||
            decimal.scale != rows[i].scale)
            fail_msg("%s: %lld, %d", rows[i].text, (long long)decimal.digits, decimal.scale);
    }
}

static void bounds_of_decimals(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int code;
        int64_t digits;
        int scale;
    } cases[] = {
        {"9223372036854775807", 0, INT64_MAX, 0},
        {"-9223372036854775808", 0, INT64_MIN, 0},
        {"9223372036854775808", RFM_E_RANGE, 0, 0},
        {"-9223372036854775809", RFM_E_RANGE, 0, 0},
        {"18446744073709551616", RFM_E_RANGE, 0, 0},
        {"0.000000000000000001", 0, 1, 18},
        {"0.0000000000000000001", RFM_E_RANGE, 0, 0},
        {"1.00000000000000000000000000000000000000", 0, 1, 0},
        {"0.00000000000000000000000000000000000000", 0, 0, 0},
        {"1e18", 0, INT64_C(1000000000000000000), 0},
        {"1e19", RFM_E_RANGE, 0, 0},
        {"0e99999999999999999999999", 0, 0, 0},
        {"1e99999999999999999999999", RFM_E_RANGE, 0, 0},
        {"1e-99999999999999999999999", RFM_E_RANGE, 0, 0},
        {"1000000000000000000000e-21", 0, 1, 0},
        {"-0", 0, 0, 0},
        {"-0.0", 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rfm_decimal decimal = {0, 0};
        assert_int_equal(rfm_decimal_parse(rfm_text(cases[i].text), &decimal), cases[i].code);
        assert_true(decimal.digits == cases[i].digits && decimal.scale == cases[i].scale);
    }
}

static void numbers_are_json_s(void **state)
{
    (void)state;
    static const char *const malformed[] = {"",      "-",   "+1",  ".5",   "5.",  "1..2", "1.2.3", "01",   "-01",
                                            "00",    "1e",  "1e+", "e5",   "1,5", " 1",   "1 ",    "0x10", "NaN",
                                            "1e1.5", "--1", "1-2", "1.e5", "-.5", "1_0",  "12a4",  "1e5x", "."};
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        rfm_decimal decimal;
        assert_int_equal(rfm_decimal_parse(rfm_text(malformed[i]), &decimal), RFM_E_MALFORMED);
    }
}

static void conversions_as_python_s_decimal(void **state)
{
    (void)state;
    static const struct {
        uint8_t base_digits, digits;
        int64_t amount, rate;
        uint8_t rate_scale;
        int code;
        int64_t minor;
    } rows[] = {
#include "conversions.inc"
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        rfm_money_conf conf = {.base = {"EUR", rows[i].base_digits, {1, 0}}, .other_count = 1};
        conf.other[0] = (rfm_currency){"XXX", rows[i].digits, {rows[i].rate, rows[i].rate_scale}};
        rfm_decimal amount = {rows[i].amount, rows[i].digits};
        int64_t minor = 0;
        assert_int_equal(rfm_money_convert(&conf, amount, rfm_text("XXX"), &minor), rows[i].code);
        assert_true(minor == rows[i].minor);
        amount.digits = -amount.digits;
        if (rows[i].code == 0) {
            assert_int_equal(rfm_money_convert(&conf, amount, rfm_text("XXX"), &minor), 0);
            assert_true(minor == -rows[i].minor);
        }
    }
}

static void a_currency_bounds_its_decimals(void **state)
{
    (void)state;
    rfm_money_conf conf = {.base = {"EUR", 2, {1, 0}}, .other_count = 2};
    conf.other[0] = (rfm_currency){"JPY", 0, {61, 4}};
    conf.other[1] = (rfm_currency){"KWD", 3, {3, 0}};
    int64_t minor;
    assert_int_equal(rfm_money_convert(&conf, decimal_of("129.90"), RFM_BYTES_NONE, &minor), 0);
    assert_int_equal(minor, 12990);
    assert_int_equal(rfm_money_convert(&conf, decimal_of("1.005"), rfm_text("EUR"), &minor), RFM_E_MALFORMED);
    assert_int_equal(rfm_money_convert(&conf, (rfm_decimal){1000, 3}, rfm_text("EUR"), &minor), 0);
    assert_int_equal(minor, 100);
    assert_int_equal(rfm_money_convert(&conf, decimal_of("1.5"), rfm_text("JPY"), &minor), RFM_E_MALFORMED);
    assert_int_equal(rfm_money_convert(&conf, decimal_of("2500"), rfm_text("JPY"), &minor), 0);
    assert_int_equal(minor, 1525);
    assert_int_equal(rfm_money_convert(&conf, decimal_of("1.005"), rfm_text("KWD"), &minor), 0);
    assert_int_equal(minor, 302); /* 3.015, half-even */
    assert_int_equal(rfm_money_convert(&conf, decimal_of("1"), rfm_text("USD"), &minor), RFM_E_NOT_FOUND);
    assert_int_equal(rfm_money_convert(&conf, decimal_of("1"), rfm_text("eur"), &minor), RFM_E_NOT_FOUND);
    assert_int_equal(rfm_money_convert(&conf, decimal_of("1"), rfm_text("EURO"), &minor), RFM_E_NOT_FOUND);
    assert_int_equal(rfm_money_convert(&conf, decimal_of("9223372036854775807"), rfm_text("EUR"), &minor), RFM_E_RANGE);
    assert_int_equal(rfm_money_convert(&conf, decimal_of("9223372036854775807"), rfm_text("KWD"), &minor), RFM_E_RANGE);
}

static void currencies_of_iso_4217(void **state)
{
    (void)state;
    assert_int_equal(rfm_currency_digits("EUR"), 2);
    assert_int_equal(rfm_currency_digits("JPY"), 0);
    assert_int_equal(rfm_currency_digits("BIF"), 0);
    assert_int_equal(rfm_currency_digits("XPF"), 0);
    assert_int_equal(rfm_currency_digits("TND"), 3);
    assert_int_equal(rfm_currency_digits("UYW"), 4);
    assert_int_equal(rfm_currency_digits("QQQ"), 2);
    assert_int_equal(rfm_currency_digits("eur"), -1);
    assert_int_equal(rfm_currency_digits((char[4]){"EU"}), -1);
    assert_int_equal(rfm_currency_digits("E R"), -1);
}

static void formats(void **state)
{
    (void)state;
    static const struct {
        int64_t minor;
        uint8_t digits;
        const char *text;
    } cases[] = {
        {12990, 2, "129.90"},
        {-5, 2, "-0.05"},
        {0, 2, "0.00"},
        {7, 0, "7"},
        {0, 0, "0"},
        {1234, 3, "1.234"},
        {12, 4, "0.0012"},
        {INT64_MAX, 2, "92233720368547758.07"},
        {INT64_MIN, 2, "-92233720368547758.08"},
        {INT64_MIN, 18, "-9.223372036854775808"},
        {-1, 18, "-0.000000000000000001"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[RFM_MONEY_TEXT];
        assert_int_equal(rfm_money_format(cases[i].minor, cases[i].digits, text), strlen(cases[i].text));
        assert_string_equal(text, cases[i].text);
    }
}

static void halves_go_to_the_even(void **state)
{
    (void)state;
    static const int64_t cases[][3] = {{5, 2, 2},  {7, 2, 4},   {-5, 2, -2}, {-7, 2, -4}, {1, 2, 0},  {3, 2, 2},
                                       {-1, 2, 0}, {-3, 2, -2}, {10, 4, 2},  {11, 4, 3},  {9, 4, 2},  {7, 3, 2},
                                       {8, 3, 3},  {0, 5, 0},   {6, 3, 2},   {-8, 3, -3}, {5, 10, 0}, {15, 10, 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(rfm_div_half_even(cases[i][0], cases[i][1]), cases[i][2]);
    assert_true(rfm_div_half_even(INT64_MIN, INT64_MAX) == -1);
    assert_true(rfm_div_half_even(INT64_MAX, 1) == INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decimals_as_python_s),
        cmocka_unit_test(bounds_of_decimals),
        cmocka_unit_test(numbers_are_json_s),
        cmocka_unit_test(conversions_as_python_s_decimal),
        cmocka_unit_test(a_currency_bounds_its_decimals),
        cmocka_unit_test(currencies_of_iso_4217),
        cmocka_unit_test(formats),
        cmocka_unit_test(halves_go_to_the_even),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
