#include "redis/keyspace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

/* Redis Cluster specification: CRC16("123456789") is 0x31C3; CLUSTER KEYSLOT foo is 12182. */
static void slots_are_those_of_redis(void **state)
{
    (void)state;
    assert_int_equal(rfm__slot_of(rfm_text("123456789")), 0x31C3);
    assert_int_equal(rfm__slot_of(rfm_text("foo")), 12182);
    assert_int_equal(rfm__slot_of(rfm_text("")), 0);
}

/* Computed by a program of its own over Python's binascii.crc_hqx. State is stored under these names: they never
 * change. */
static void tags_never_change(void **state)
{
    static const struct {
        uint32_t task, task_count, slot;
        const char *tag;
    } cases[] = {
        {0, 1, 8974, "0-2"},
        {0, 3, 2456, "0-a"},
        {1, 3, 7914, "1-c"},
        {2, 3, 13909, "2-l"},
        {0, 64, 139, "0-1v"},
        {17, 64, 4475, "17-3v"},
        {63, 64, 16264, "63-2q"},
        {0, 4096, 1, "0-2zw"},
        {4095, 4096, 16381, "4095-48a"},
        {1000, 1024, 16007, "1000-2ct"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char tag[RFM_TAG_MAX];
        size_t len = rfm__tag_format(cases[i].task, cases[i].task_count, tag);
        assert_int_equal(len, strlen(cases[i].tag));
        assert_string_equal(tag, cases[i].tag);
        assert_int_equal(rfm__slot_of(rfm_text(tag)), cases[i].slot);
    }
}

/* Of k nodes with equal ranges of slots each gets its share of the tasks, to one. */
static void tasks_spread_over_nodes(void **state)
{
    (void)state;
    for (uint32_t task_count = 1; task_count <= 96; task_count = task_count * 3 / 2 + 1) {
        uint32_t tasks_of[3] = {0, 0, 0};
        for (uint32_t task = 0; task < task_count; task++) {
            char tag[RFM_TAG_MAX];
            size_t len = rfm__tag_format(task, task_count, tag);
            tasks_of[rfm__slot_of(rfm_bytes_of(tag, len)) * 3 / RFM_SLOT_COUNT]++;
        }
        for (int node = 0; node < 3; node++)
            assert_in_range(tasks_of[node], task_count / 3, task_count / 3 + 1);
    }
}

static void keys_have_prefix_and_tag(void **state)
{
    (void)state;
    rfm_keyspace space;
    rfm__keyspace_init(&space, "rfm", 17, 64);
    assert_int_equal(space.start_len, strlen("rfm:{17-3v}:"));
    assert_memory_equal(space.start, "rfm:{17-3v}:", space.start_len);
}

static void prefixes_are_checked(void **state)
{
    (void)state;
    char long_prefix[140] = "";
    memset(long_prefix, 'p', 128);
    assert_int_equal(rfm__prefix_check("rfm:shop.eu", NULL), RFM_OK);
    assert_int_equal(rfm__prefix_check(long_prefix, NULL), RFM_OK);
    long_prefix[128] = 'p';
    assert_int_equal(rfm__prefix_check(long_prefix, NULL), RFM_E_TOO_LARGE);
    static const char *const wrong[] = {"", "a{b", "a}b", "a b", "a\nb", "\x7f"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(rfm__prefix_check(wrong[i], NULL), RFM_E_MALFORMED);
    assert_int_equal(rfm__prefix_check(NULL, NULL), RFM_E_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_are_those_of_redis), cmocka_unit_test(tags_never_change),
        cmocka_unit_test(tasks_spread_over_nodes),  cmocka_unit_test(keys_have_prefix_and_tag),
        cmocka_unit_test(prefixes_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
