#include <rfm/event/decode.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* murmur2 by the reference in Python (which gives Kafka's own vectors), CRC-32 by zlib. */
static void partitions_of_keys(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        uint32_t count, murmur2, crc32;
    } cases[] = {
        {"21", 1, 0, 0},
        {"21", 4, 0, 0},
        {"21", 12, 0, 4},
        {"client-1", 1, 0, 0},
        {"client-1", 4, 2, 2},
        {"client-1", 12, 6, 6},
        {"c", 1, 0, 0},
        {"c", 4, 2, 3},
        {"c", 12, 10, 3},
        {"K\303\266ln", 1, 0, 0},
        {"K\303\266ln", 4, 2, 3},
        {"K\303\266ln", 12, 10, 11},
        {"a-little-bit-longer-string", 1, 0, 0},
        {"a-little-bit-longer-string", 4, 3, 2},
        {"a-little-bit-longer-string", 12, 11, 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rfm_bytes key = rfm_text(cases[i].key);
        assert_int_equal(rfm_partition_of(RFM_PARTITIONER_MURMUR2, key, cases[i].count), cases[i].murmur2);
        assert_int_equal(rfm_partition_of(RFM_PARTITIONER_CRC32, key, cases[i].count), cases[i].crc32);
        assert_true(rfm_partition_of(RFM_PARTITIONER_NONE, key, cases[i].count) == UINT32_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(partitions_of_keys)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
