#include <rfm/base/hash.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

typedef struct expected {
    const char *text;
    size_t len;
    uint64_t hash64;
    const char *hash128;
    uint32_t crc32;
} expected;

static const expected rows[] = {
#include "hashes.inc"
};

static void as_the_reference_libraries(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        rfm_bytes bytes = rfm_bytes_of(rows[i].text, rows[i].len);
        uint8_t id[16];
        char hex[33];
        rfm_hash128(bytes, id);
        rfm_hex(id, sizeof id, hex);
        assert_true(rfm_hash64(bytes) == rows[i].hash64);
        assert_string_equal(hex, rows[i].hash128);
        assert_true(rfm_crc32(bytes) == rows[i].crc32);
    }
}

/* Apache Kafka, org.apache.kafka.common.utils.UtilsTest, testMurmur2. */
static void murmur2_is_kafka_s(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int32_t hash;
    } cases[] = {
        {"21", -973932308},
        {"foobar", -790332482},
        {"a-little-bit-long-string", -985981536},
        {"a-little-bit-longer-string", -1486304829},
        {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
        {"abc", 479470107},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal((int32_t)rfm_murmur2(rfm_text(cases[i].text)), cases[i].hash);
}

/* The check value of CRC-32/ISO-HDLC. */
static void crc32_of_the_digits(void **state)
{
    (void)state;
    assert_true(rfm_crc32(rfm_text("123456789")) == 0xcbf43926);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_the_reference_libraries),
        cmocka_unit_test(murmur2_is_kafka_s),
        cmocka_unit_test(crc32_of_the_digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
