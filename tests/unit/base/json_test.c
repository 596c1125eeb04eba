#include <rfm/base/json.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static size_t write(double value, char text[64])
{
    rfm_buffer json = rfm_buffer_over(text, 63);
    rfm_write_json_number(&json, value);
    assert_false(json.bad);
    text[json.len] = 0;
    return json.len;
}

static void numbers_are_the_shortest_that_read_back(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } rows[] = {{0, "0"},
                {1, "1"},
                {-17, "-17"},
                {.1, "0.1"},
                {1.0 / 3, "0.3333333333333333"},
                {30, "30"},
                {9007199254740992, "9007199254740992"},
                {1e300, "1e300"},
                {5e-324, "5e-324"},
                {0.1 + 0.2, "0.30000000000000004"},
                {NAN, "null"},
                {-INFINITY, "null"}};
    char text[64];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        write(rows[i].value, text);
        assert_string_equal(text, rows[i].text);
    }
}

static size_t digits_in(const char *text)
{
    size_t count = 0;
    for (; *text && *text != 'e'; text++)
        count += *text >= '0' && *text <= '9';
    return count;
}

/* As printf's of any precision. */
static void any_double_comes_back(void **state)
{
    (void)state;
    uint64_t seed = 1;
    for (int i = 0; i < 200000; i++) {
        char text[64], other[64];
        double value;
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        if (i % 2)
            value = (double)(seed >> 11) / 9007199254740992.0; /* such as a probability */
        else
            memcpy(&value, &seed, sizeof value);
        if (!isfinite(value))
            continue;
        write(value, text);
        assert_true(strtod(text, NULL) == value);
        if (fabs(value) > 1e15 || fabs(value) < 1e-4)
            continue;
        int digits = 1;
        do
            snprintf(other, sizeof other, "%.*e", digits - 1, value);
        while (strtod(other, NULL) != value && ++digits <= 17);
        double whole;
        size_t zeroes = fabs(value) < 1 ? 1 + (size_t)ceil(-log10(fabs(value))) : 0; /* before the first digit */
        if (modf(value, &whole) != 0)
            assert_true(digits_in(text) <= (size_t)digits + zeroes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_the_shortest_that_read_back),
        cmocka_unit_test(any_double_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
