#include "redis/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "change.h"

static rfm_keyspace space;

static void expect(const rfm_redo_item *items, size_t item_count, const char *bytes, size_t command_count)
{
    rfm_arena arena;
    rfm_buffer out;
    const rfm_bytes *parts;
    size_t count;
    rfm_arena_init(&arena);
    rfm_buffer_init(&out, SIZE_MAX / 4);
    size_t part_count = redo_of(items, item_count, &arena, &parts);
    assert_int_equal(rfm__command_redo(&out, &space, parts, part_count, &count), RFM_OK);
    assert_int_equal(count, command_count);
    rfm_write_u8(&out, 0);
    assert_string_equal((char *)out.at, bytes);
    rfm_buffer_release(&out);
    rfm_arena_release(&arena);
}

/* The bytes by hand after the Redis protocol specification. Keys are p:{0-2}:<key>. */
static void neighbours_become_one_command(void **state)
{
    (void)state;
    const rfm_redo_item sets[] = {item_of(RFM_REDO_SET, "a", "", "1"), item_of(RFM_REDO_SET, "b", "", "")};
    expect(sets, 2, "*5\r\n$4\r\nMSET\r\n$9\r\np:{0-2}:a\r\n$1\r\n1\r\n$9\r\np:{0-2}:b\r\n$0\r\n\r\n", 1);
    const rfm_redo_item fields[] = {item_of(RFM_REDO_HASH_SET, "h", "f", "1"),
                                    item_of(RFM_REDO_HASH_SET, "h", "g", "22")};
    expect(fields, 2, "*6\r\n$4\r\nHSET\r\n$9\r\np:{0-2}:h\r\n$1\r\nf\r\n$1\r\n1\r\n$1\r\ng\r\n$2\r\n22\r\n", 1);
    const rfm_redo_item adds[] = {item_of(RFM_REDO_LIST_ADD, "l", "", "x"), item_of(RFM_REDO_LIST_ADD, "l", "", "y"),
                                  item_of(RFM_REDO_LIST_ADD, "m", "", "z")};
    expect(adds, 3,
           "*4\r\n$5\r\nRPUSH\r\n$9\r\np:{0-2}:l\r\n$1\r\nx\r\n$1\r\ny\r\n"
           "*3\r\n$5\r\nRPUSH\r\n$9\r\np:{0-2}:m\r\n$1\r\nz\r\n",
           2);
    const rfm_redo_item gone[] = {item_of(RFM_REDO_DELETE, "a", "", ""), item_of(RFM_REDO_DELETE, "b", "", ""),
                                  item_of(RFM_REDO_HASH_DELETE, "h", "f", ""),
                                  item_of(RFM_REDO_HASH_DELETE, "h", "g", "")};
    expect(gone, 4,
           "*3\r\n$3\r\nDEL\r\n$9\r\np:{0-2}:a\r\n$9\r\np:{0-2}:b\r\n"
           "*4\r\n$4\r\nHDEL\r\n$9\r\np:{0-2}:h\r\n$1\r\nf\r\n$1\r\ng\r\n",
           2);
    const rfm_redo_item trims[] = {item_of(RFM_REDO_LIST_TRIM, "l", "", "3"),
                                   item_of(RFM_REDO_LIST_TRIM, "l", "", "4")};
    expect(trims, 2,
           "*4\r\n$5\r\nLTRIM\r\n$9\r\np:{0-2}:l\r\n$1\r\n3\r\n$2\r\n-1\r\n"
           "*4\r\n$5\r\nLTRIM\r\n$9\r\np:{0-2}:l\r\n$1\r\n4\r\n$2\r\n-1\r\n",
           2);
}

static void order_is_kept(void **state)
{
    (void)state;
    const rfm_redo_item mixed[] = {item_of(RFM_REDO_SET, "a", "", "1"), item_of(RFM_REDO_DELETE, "a", "", ""),
                                   item_of(RFM_REDO_SET, "a", "", "2"), item_of(RFM_REDO_HASH_SET, "h", "f", "1"),
                                   item_of(RFM_REDO_HASH_SET, "i", "f", "1")};
    expect(mixed, 5,
           "*3\r\n$4\r\nMSET\r\n$9\r\np:{0-2}:a\r\n$1\r\n1\r\n"
           "*2\r\n$3\r\nDEL\r\n$9\r\np:{0-2}:a\r\n"
           "*3\r\n$4\r\nMSET\r\n$9\r\np:{0-2}:a\r\n$1\r\n2\r\n"
           "*4\r\n$4\r\nHSET\r\n$9\r\np:{0-2}:h\r\n$1\r\nf\r\n$1\r\n1\r\n"
           "*4\r\n$4\r\nHSET\r\n$9\r\np:{0-2}:i\r\n$1\r\nf\r\n$1\r\n1\r\n",
           5);
}

static void broken_redo_writes_nothing(void **state)
{
    (void)state;
    rfm_arena arena;
    rfm_buffer out;
    const rfm_bytes *parts;
    size_t count;
    rfm_arena_init(&arena);
    rfm_buffer_init(&out, SIZE_MAX / 4);
    rfm_write_text(&out, "before");
    const rfm_redo_item sets[] = {item_of(RFM_REDO_SET, "key", "", "value"), item_of(RFM_REDO_SET, "k", "", "v")};
    assert_int_equal(redo_of(sets, 2, &arena, &parts), 1);
    size_t broken = 0;
    for (size_t len = 0; len < parts[0].len; len++) {
        rfm_bytes cut = rfm_bytes_of(parts[0].at, len);
        int code = rfm__command_redo(&out, &space, &cut, 1, &count);
        assert_true(code == RFM_OK || code == RFM_E_CORRUPT);
        if (code) {
            assert_int_equal(out.len, strlen("before"));
            broken++;
        }
        out.len = strlen("before");
    }
    assert_true(broken > 0);
    rfm_buffer_release(&out);
    rfm_arena_release(&arena);
}

static void commands_have_a_bound(void **state)
{
    enum { COUNT = 2500 };
    (void)state;
    rfm_arena arena;
    rfm_buffer out;
    const rfm_bytes *parts;
    size_t count;
    rfm_arena_init(&arena);
    rfm_buffer_init(&out, SIZE_MAX / 4);
    rfm_redo_item sets[COUNT];
    for (int i = 0; i < COUNT; i++)
        sets[i] = item_of(RFM_REDO_SET, "key", "", "value");
    size_t part_count = redo_of(sets, COUNT, &arena, &parts);
    assert_int_equal(rfm__command_redo(&out, &space, parts, part_count, &count), RFM_OK);
    assert_int_equal(count, 3);
    rfm_buffer_release(&out);
    rfm_arena_release(&arena);
}

static void words_and_numbers(void **state)
{
    (void)state;
    rfm_buffer out;
    rfm_buffer_init(&out, SIZE_MAX / 4);
    rfm__command_words(&out, "CONFIG GET x");
    rfm__command_number(&out, INT64_MIN);
    rfm_write_u8(&out, 0);
    assert_string_equal((char *)out.at,
                        "*3\r\n$6\r\nCONFIG\r\n$3\r\nGET\r\n$1\r\nx\r\n$20\r\n-9223372036854775808\r\n");
    rfm_buffer_release(&out);
}

int main(void)
{
    rfm__keyspace_init(&space, "p", 0, 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(neighbours_become_one_command),
        cmocka_unit_test(order_is_kept),
        cmocka_unit_test(broken_redo_writes_nothing),
        cmocka_unit_test(commands_have_a_bound),
        cmocka_unit_test(words_and_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
