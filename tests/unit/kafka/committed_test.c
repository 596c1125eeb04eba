#include "kafka/committed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static int64_t wal_of(const char *metadata, size_t len)
{
    rd_kafka_topic_partition_t at = {.metadata = (void *)(uintptr_t)metadata, .metadata_size = len};
    return rfm__committed_wal(&at);
}
#define WAL_OF(text) wal_of(text, sizeof(text) - 1)

static void what_is_added_names_its_wal_offset(void **state)
{
    (void)state;
    const rfm_kafka_conf conf = {.input_topic = {"purchases", "visits", "messages"}, .input_count = 3};
    const rfm_position position = {.next = {7, -1, 0}, .wal = INT64_MAX};
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rfm__committed_add(&conf, 5, &position, list);
    assert_int_equal(list->cnt, 2); /* what is not known is left as it is */
    assert_string_equal(list->elems[0].topic, "purchases");
    assert_int_equal(list->elems[0].offset, 7);
    assert_string_equal(list->elems[1].topic, "messages");
    assert_int_equal(list->elems[1].offset, 0);
    for (int i = 0; i < list->cnt; i++) {
        assert_int_equal(list->elems[i].partition, 5);
        assert_int_equal(list->elems[i].metadata_size, 19);
        assert_memory_equal(list->elems[i].metadata, "9223372036854775807", 19);
        assert_true(rfm__committed_wal(&list->elems[i]) == INT64_MAX);
    }
    rd_kafka_topic_partition_list_destroy(list);
}

static void what_others_have_committed_names_none(void **state)
{
    (void)state;
    assert_int_equal(WAL_OF("0"), 0);
    assert_int_equal(WAL_OF("1234"), 1234);
    assert_int_equal(WAL_OF("1234\0"), 1234); /* as Kafka's Java clients put it back */
    static const char *const none[] = {"",
                                       "-",
                                       "-0",
                                       "-5",
                                       "+5",
                                       " 5",
                                       "5 ",
                                       "5 6",
                                       "5,",
                                       "0x5",
                                       "five",
                                       "9223372036854775808",
                                       "00000000000000000005"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_int_equal(wal_of(none[i], strlen(none[i])), RFM_OFFSET_NONE);
    assert_int_equal(wal_of(NULL, 0), RFM_OFFSET_NONE);
    assert_int_equal(WAL_OF("\0"), RFM_OFFSET_NONE);
    assert_int_equal(WAL_OF("5\0\0"), RFM_OFFSET_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_added_names_its_wal_offset),
        cmocka_unit_test(what_others_have_committed_names_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
