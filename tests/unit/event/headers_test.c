#include <rfm/event/headers.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void is_text(rfm_bytes bytes, const char *text)
{
    assert_true(rfm_bytes_is(bytes, text));
}

static void headers_come_back_in_order(void **state)
{
    (void)state;
    rfm_buffer headers;
    rfm_bytes rest, name, value;
    rfm_buffer_init(&headers, 1000);
    rfm_headers_add(&headers, "a", rfm_text("1"));
    rfm_headers_add(&headers, "null", RFM_BYTES_NONE);
    rfm_headers_add(&headers, "empty", rfm_text(""));
    rfm_headers_add(&headers, "a", rfm_text("2"));
    rest = rfm_buffer_view(&headers);
    assert_true(rfm_headers_next(&rest, &name, &value));
    is_text(name, "a"), is_text(value, "1");
    assert_true(rfm_headers_next(&rest, &name, &value));
    is_text(name, "null"), assert_null(value.at);
    assert_true(rfm_headers_next(&rest, &name, &value));
    is_text(name, "empty"), assert_non_null(value.at), assert_int_equal(value.len, 0);
    assert_true(rfm_headers_next(&rest, &name, &value));
    is_text(name, "a"), is_text(value, "2");
    assert_false(rfm_headers_next(&rest, &name, &value));
    assert_true(rfm_headers_find(rfm_buffer_view(&headers), "a", &value));
    is_text(value, "1");
    assert_false(rfm_headers_find(rfm_buffer_view(&headers), "b", &value));
    assert_false(rfm_headers_find(RFM_BYTES_NONE, "a", &value));
    rfm_buffer_release(&headers);
}

static void broken_blocks_end_the_walk(void **state)
{
    (void)state;
    static const char *const broken[] = {"\x05"
                                         "ab",
                                         "\x01"
                                         "a",
                                         "\x01"
                                         "a\x05"
                                         "b",
                                         "\x80", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        rfm_bytes rest = rfm_text(broken[i]), name, value;
        assert_false(rfm_headers_next(&rest, &name, &value));
    }
}

static void a_header_is_whole_or_absent(void **state)
{
    (void)state;
    uint8_t bytes[8];
    rfm_buffer headers = rfm_buffer_over(bytes, sizeof bytes);
    rfm_headers_add(&headers, "abc", rfm_text("d"));
    rfm_headers_add(&headers, "e", rfm_text("f"));
    assert_true(headers.bad);
    assert_int_equal(headers.len, 6);
}

static void dead_letters_keep_what_was_there(void **state)
{
    (void)state;
    rfm_buffer original, headers;
    rfm_bytes value;
    rfm_buffer_init(&original, 1000);
    rfm_buffer_init(&headers, 1000);
    rfm_headers_add(&original, "traceparent", rfm_text("00-1"));
    rfm_dead_letter_headers(&headers, rfm_buffer_view(&original), RFM_REASON_BAD_TIME, "time is late", "purchases", 11,
                            INT64_C(9007199254740993));
    static const char *const expected[][2] = {{"traceparent", "00-1"},         {"rfmd.reason", "bad_time"},
                                              {"rfmd.detail", "time is late"}, {"rfmd.topic", "purchases"},
                                              {"rfmd.partition", "11"},        {"rfmd.offset", "9007199254740993"}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        assert_true(rfm_headers_find(rfm_buffer_view(&headers), expected[i][0], &value));
        is_text(value, expected[i][1]);
    }
    rfm_buffer_release(&original);
    rfm_buffer_release(&headers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_come_back_in_order),
        cmocka_unit_test(broken_blocks_end_the_walk),
        cmocka_unit_test(a_header_is_whole_or_absent),
        cmocka_unit_test(dead_letters_keep_what_was_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
