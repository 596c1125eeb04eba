#include <rfm/base/utf8.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Bounds of each length, and what lies just beyond them: RFC 3629, section 4. */
static void only_well_formed_sequences(void **state)
{
    (void)state;
    static const char *const valid[] = {"",
                                        "abc",
                                        "\x7f",
                                        "\xc2\x80",
                                        "\xdf\xbf",
                                        "\xe0\xa0\x80",
                                        "\xed\x9f\xbf",
                                        "\xee\x80\x80",
                                        "\xef\xbf\xbf",
                                        "\xf0\x90\x80\x80",
                                        "\xf4\x8f\xbf\xbf",
                                        "12345678901234567\xc3\xa4",
                                        "K\xc3\xb6ln\xc3\x9f"};
    static const char *const invalid[] = {"\x80",
                                          "\xbf",
                                          "\xc0\x80",
                                          "\xc1\xbf",
                                          "\xc2",
                                          "\xc2\x20",
                                          "\xe0\x9f\xbf",
                                          "\xe0\xa0",
                                          "\xed\xa0\x80",
                                          "\xed\xbf\xbf",
                                          "\xf0\x8f\xbf\xbf",
                                          "\xf0\x90\x80",
                                          "\xf4\x90\x80\x80",
                                          "\xf5\x80\x80\x80",
                                          "\xff",
                                          "\xfe",
                                          "abcdefg\x80",
                                          "abcdefgh\xc3",
                                          "\xe2\x82\xe2"};
    for (size_t i = 0; i < sizeof valid / sizeof *valid; i++)
        assert_true(rfm_utf8_valid(rfm_text(valid[i])));
    for (size_t i = 0; i < sizeof invalid / sizeof *invalid; i++)
        assert_false(rfm_utf8_valid(rfm_text(invalid[i])));
}

static void a_byte_order_mark_is_three_bytes_at_the_start(void **state)
{
    (void)state;
    assert_int_equal(rfm_utf8_mark_len(rfm_text("\xef\xbb\xbf")), 3);
    assert_int_equal(rfm_utf8_mark_len(rfm_text("\xef\xbb\xbf{}")), 3);
    static const char *const without[] = {"", "{}", "\xef", "\xef\xbb", "\xef\xbc\xa9\xef\xbb\xbf", "a\xef\xbb\xbf"};
    for (size_t i = 0; i < sizeof without / sizeof *without; i++)
        assert_int_equal(rfm_utf8_mark_len(rfm_text(without[i])), 0);
}

static void writes(const char *text, size_t len, const char *expected)
{
    rfm_buffer buffer;
    rfm_buffer_init(&buffer, 1000);
    rfm_write_json_string(&buffer, rfm_bytes_of(text, len));
    assert_int_equal(buffer.len, strlen(expected));
    assert_memory_equal(buffer.at, expected, buffer.len);
    rfm_buffer_release(&buffer);
}

static void json_strings(void **state)
{
    (void)state;
    writes("", 0, "\"\"");
    writes("plain", 5, "\"plain\"");
    writes("a\"b\\c/d", 7, "\"a\\\"b\\\\c/d\"");
    writes("\b\f\n\r\t\x01\x1f\x7f", 8, "\"\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\"");
    writes("a\0b", 3, "\"a\\u0000b\"");
    writes("\xc3\xa4\xf0\x9f\x98\x80", 6, "\"\xc3\xa4\xf0\x9f\x98\x80\"");
}

/* As many U+FFFD as Python's bytes.decode("utf-8", "replace") gives. */
static void broken_text_is_replaced(void **state)
{
    (void)state;
    writes("a\xff"
           "b",
           3,
           "\"a\xef\xbf\xbd"
           "b\"");
    writes("\xe2\x82", 2, "\"\xef\xbf\xbd\"");
    writes("\xe2\x82x", 3, "\"\xef\xbf\xbdx\"");
    writes("\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    writes("\xf0\x90\x80\xf0", 4, "\"\xef\xbf\xbd\xef\xbf\xbd\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_well_formed_sequences),
        cmocka_unit_test(a_byte_order_mark_is_three_bytes_at_the_start),
        cmocka_unit_test(json_strings),
        cmocka_unit_test(broken_text_is_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
