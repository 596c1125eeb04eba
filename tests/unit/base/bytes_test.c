#include <rfm/base/bytes.h>
#include <rfm/base/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void numbers_come_back(void **state)
{
    (void)state;
    static const uint64_t values[] = {0, 1, 127, 128, 300, 16383, 16384, UINT32_MAX, UINT64_MAX >> 1, UINT64_MAX};
    rfm_buffer buffer;
    rfm_buffer_init(&buffer, 4096);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        rfm_buffer_clear(&buffer);
        rfm_write_u8(&buffer, (uint8_t)values[i]);
        rfm_write_u16(&buffer, (uint16_t)values[i]);
        rfm_write_u32(&buffer, (uint32_t)values[i]);
        rfm_write_u48(&buffer, values[i]);
        rfm_write_u64(&buffer, values[i]);
        rfm_write_varint(&buffer, values[i]);
        rfm_write_zigzag(&buffer, (int64_t)values[i]);
        rfm_write_zigzag(&buffer, -(int64_t)(values[i] >> 1) - 1);
        assert_false(buffer.bad);
        rfm_reader reader = rfm_reader_of(rfm_buffer_view(&buffer));
        assert_int_equal(rfm_read_u8(&reader), (uint8_t)values[i]);
        assert_int_equal(rfm_read_u16(&reader), (uint16_t)values[i]);
        assert_int_equal(rfm_read_u32(&reader), (uint32_t)values[i]);
        assert_true(rfm_read_u48(&reader) == (values[i] & 0xffffffffffff));
        assert_true(rfm_read_u64(&reader) == values[i]);
        assert_true(rfm_read_varint(&reader) == values[i]);
        assert_true(rfm_read_zigzag(&reader) == (int64_t)values[i]);
        assert_true(rfm_read_zigzag(&reader) == -(int64_t)(values[i] >> 1) - 1);
        assert_int_equal(rfm_reader_left(&reader), 0);
        assert_false(reader.bad);
    }
    rfm_buffer_release(&buffer);
}

static void integers_are_decimal_digits(void **state)
{
    (void)state;
    static const int64_t values[] = {
        0, 1, -1, 9, 10, -10, 1234567890123, INT64_MAX, INT64_MAX - 1, INT64_MIN, INT64_MIN + 1};
    int64_t integer;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char text[24];
        snprintf(text, sizeof text, "%lld", (long long)values[i]);
        assert_int_equal(rfm_integer_parse(rfm_text(text), &integer), RFM_OK);
        assert_true(integer == values[i]);
    }
    assert_int_equal(rfm_integer_parse(rfm_text("-007"), &integer), RFM_OK);
    assert_int_equal(integer, -7);
}

static void what_is_no_integer_is_told(void **state)
{
    (void)state;
    static const char *const malformed[] = {"", "-", "+1", " 1", "1 ", "1.0", "1e3", "--1", "0x10", "1-", "٣"};
    static const char *const far[] = {"9223372036854775808", "-9223372036854775809", "18446744073709551616",
                                      "100000000000000000000000000000"};
    int64_t integer = 5;
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++)
        assert_int_equal(rfm_integer_parse(rfm_text(malformed[i]), &integer), RFM_E_MALFORMED);
    for (size_t i = 0; i < sizeof far / sizeof *far; i++)
        assert_int_equal(rfm_integer_parse(rfm_text(far[i]), &integer), RFM_E_RANGE);
    assert_int_equal(rfm_integer_parse(RFM_BYTES_NONE, &integer), RFM_E_MALFORMED);
    assert_int_equal(rfm_integer_parse(rfm_bytes_of("12345", 3), &integer), RFM_OK);
    assert_int_equal(integer, 123);
}

/* The examples of the DWARF 5 standard, figure C.1, and of Protocol Buffers' encoding page. */
static void varints_are_leb128(void **state)
{
    (void)state;
    uint8_t bytes[16];
    rfm_buffer buffer = rfm_buffer_over(bytes, sizeof bytes);
    rfm_write_varint(&buffer, 2);
    rfm_write_varint(&buffer, 127);
    rfm_write_varint(&buffer, 128);
    rfm_write_varint(&buffer, 12857);
    rfm_write_zigzag(&buffer, -1);
    rfm_write_zigzag(&buffer, 1);
    rfm_write_zigzag(&buffer, -2);
    static const uint8_t expected[] = {2, 127, 0x80, 1, 57 + 0x80, 100, 1, 2, 3};
    assert_int_equal(buffer.len, sizeof expected);
    assert_memory_equal(bytes, expected, sizeof expected);
}

static void fixed_widths_are_little_endian(void **state)
{
    (void)state;
    uint8_t bytes[6];
    rfm_buffer buffer = rfm_buffer_over(bytes, sizeof bytes);
    rfm_write_u48(&buffer, UINT64_C(0x060504030201));
    assert_memory_equal(bytes, "\1\2\3\4\5\6", 6);
}

static void reader_stays_bad_after_its_end(void **state)
{
    (void)state;
    rfm_reader reader = rfm_reader_of(rfm_text("ab"));
    assert_int_equal(rfm_read_u32(&reader), 0);
    assert_true(reader.bad);
    assert_int_equal(rfm_read_u8(&reader), 0);
    assert_int_equal(rfm_read_varint(&reader), 0);
    assert_null(rfm_read_bytes(&reader, 1).at);
    reader = rfm_reader_of(RFM_BYTES_NONE);
    assert_int_equal(rfm_read_u8(&reader), 0);
    assert_true(reader.bad);
}

static void overlong_varints_are_bad(void **state)
{
    (void)state;
    static const char *const broken[] = {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", "\x80", "\xff\xff",
                                         "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        rfm_reader reader = rfm_reader_of(rfm_text(broken[i]));
        assert_true(rfm_read_varint(&reader) == 0);
        assert_true(reader.bad);
    }
}

static void sized_bytes_may_not_reach_past_the_end(void **state)
{
    (void)state;
    rfm_reader reader = rfm_reader_of(rfm_text("\x03"
                                               "abc"));
    assert_true(rfm_bytes_is(rfm_read_sized(&reader), "abc"));
    reader = rfm_reader_of(rfm_text("\x04"
                                    "abc"));
    assert_null(rfm_read_sized(&reader).at);
    assert_true(reader.bad);
    reader = rfm_reader_of(rfm_text("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
                                    "abc"));
    assert_null(rfm_read_sized(&reader).at);
    assert_true(reader.bad);
}

static void a_write_beyond_the_limit_leaves_nothing(void **state)
{
    (void)state;
    rfm_buffer buffer;
    rfm_buffer_init(&buffer, 10);
    rfm_write_text(&buffer, "12345678");
    rfm_write_sized(&buffer, rfm_text("ab"));
    assert_true(buffer.bad);
    assert_true(rfm_bytes_is(rfm_buffer_view(&buffer), "12345678"));
    rfm_write_u8(&buffer, 'x');
    assert_int_equal(buffer.len, 8);
    rfm_buffer_clear(&buffer);
    rfm_write_format(&buffer, "%05d%s", 42, "abcde");
    assert_false(buffer.bad);
    assert_true(rfm_bytes_is(rfm_buffer_view(&buffer), "00042abcde"));
    rfm_buffer_release(&buffer);
}

static void long_formats_are_whole(void **state)
{
    (void)state;
    rfm_buffer buffer;
    rfm_buffer_init(&buffer, 1000);
    rfm_write_format(&buffer, "%1000d", 7);
    assert_int_equal(buffer.len, 1000);
    assert_int_equal(buffer.at[999], '7');
    rfm_write_format(&buffer, "%300d", 7);
    assert_true(buffer.bad);
    assert_int_equal(buffer.len, 1000);
    rfm_buffer_release(&buffer);
}

static void reserving_gives_room_to_fill(void **state)
{
    (void)state;
    rfm_buffer buffer;
    rfm_buffer_init(&buffer, 100000);
    assert_non_null(rfm_buffer_reserve(&buffer, 0));
    for (size_t i = 0; i < 100; i++) {
        uint8_t *at = rfm_buffer_reserve(&buffer, 1000);
        assert_non_null(at);
        memset(at, (int)i, 1000);
        buffer.len += 1000;
    }
    assert_null(rfm_buffer_reserve(&buffer, 1));
    assert_int_equal(buffer.at[99999], 99);
    rfm_buffer_release(&buffer);
}

static void comparing_is_bytewise_then_by_length(void **state)
{
    (void)state;
    assert_true(rfm_bytes_compare(rfm_text("a"), rfm_text("b")) < 0);
    assert_true(rfm_bytes_compare(rfm_text("b"), rfm_text("ab")) > 0);
    assert_true(rfm_bytes_compare(rfm_text("ab"), rfm_text("abc")) < 0);
    assert_true(rfm_bytes_compare(rfm_text("\xff"), rfm_text("a")) > 0);
    assert_true(rfm_bytes_compare(RFM_BYTES_NONE, rfm_text("")) == 0);
    assert_true(rfm_bytes_equal(RFM_BYTES_NONE, rfm_text("")));
}

static void integers_as_printf_has_them(void **state)
{
    (void)state;
    static const int64_t edges[] = {0, 1, -1, 9, 10, -10, 99, 100, INT64_MAX, INT64_MIN, INT64_MIN + 1};
    uint64_t seed = 1;
    for (size_t i = 0; i < 20000; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        int64_t value = i < sizeof edges / sizeof *edges ? edges[i] : (int64_t)seed >> i % 63;
        char expected[32], text[32] = {0};
        snprintf(expected, sizeof expected, "%lld", (long long)value);
        rfm_buffer buffer = rfm_buffer_over(text, sizeof text - 1);
        rfm_write_integer(&buffer, value);
        assert_string_equal(text, expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_come_back),
        cmocka_unit_test(integers_are_decimal_digits),
        cmocka_unit_test(what_is_no_integer_is_told),
        cmocka_unit_test(varints_are_leb128),
        cmocka_unit_test(fixed_widths_are_little_endian),
        cmocka_unit_test(reader_stays_bad_after_its_end),
        cmocka_unit_test(overlong_varints_are_bad),
        cmocka_unit_test(sized_bytes_may_not_reach_past_the_end),
        cmocka_unit_test(a_write_beyond_the_limit_leaves_nothing),
        cmocka_unit_test(integers_as_printf_has_them),
        cmocka_unit_test(long_formats_are_whole),
        cmocka_unit_test(reserving_gives_room_to_fill),
        cmocka_unit_test(comparing_is_bytewise_then_by_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
