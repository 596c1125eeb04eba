#include <rfm/base/zone.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

typedef struct expected_offset {
    const char *zone;
    int64_t time_s;
    int32_t offset_s;
} expected_offset;

static const expected_offset offsets[] = {
#include "zone_offsets.inc"
};

typedef struct expected_day {
    const char *zone;
    int32_t day;
    int64_t start_ms;
} expected_day;

static const expected_day days[] = {
#include "zone_days.inc"
};

static rfm_zone *load(const char *name)
{
    rfm_zone *zone = NULL;
    rfm_error error = {0};
    if (rfm_zone_load(name, &zone, &error) != 0)
        fail_msg("%s: %s", name, error.message);
    return zone;
}

static void offsets_as_python_s_zoneinfo(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        rfm_zone *zone = load(offsets[i].zone);
        rfm_zone_span span = rfm_zone_span_at(zone, offsets[i].time_s);
        if (span.offset_s != offsets[i].offset_s)
            fail_msg("%s at %lld: %d, expected %d", offsets[i].zone, (long long)offsets[i].time_s, span.offset_s,
                     offsets[i].offset_s);
        assert_true(span.from_s <= offsets[i].time_s && offsets[i].time_s < span.until_s);
        rfm_zone_free(zone);
    }
}

/* Spans follow each other without gaps, and hold the same at both of their ends. */
static void spans_partition_time(void **state)
{
    (void)state;
    const char *name = "";
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        if (strcmp(name, offsets[i].zone) == 0)
            continue;
        name = offsets[i].zone;
        rfm_zone *zone = load(name);
        rfm_zone_span span = rfm_zone_span_at(zone, INT64_MIN);
        assert_true(span.from_s == INT64_MIN);
        for (int count = 0; count < 700 && span.until_s != INT64_MAX; count++) {
            rfm_zone_span last = rfm_zone_span_at(zone, span.until_s - 1);
            assert_true(last.from_s == span.from_s && last.until_s == span.until_s && last.offset_s == span.offset_s);
            rfm_zone_span next = rfm_zone_span_at(zone, span.until_s);
            assert_true(next.from_s == span.until_s && next.until_s > next.from_s);
            span = next;
        }
        span = rfm_zone_span_at(zone, INT64_MAX);
        assert_true(span.from_s < INT64_MAX && abs(span.offset_s) <= 50400);
        rfm_zone_free(zone);
    }
}

static void days_begin_where_python_finds_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof days / sizeof *days; i++) {
        rfm_zone *zone = load(days[i].zone);
        int64_t start_ms = rfm_zone_day_start_ms(zone, days[i].day);
        if (start_ms != days[i].start_ms)
            fail_msg("%s, day %d: %lld", days[i].zone, days[i].day, (long long)start_ms);
        assert_true(rfm_zone_day(zone, start_ms) >= days[i].day);
        assert_true(rfm_zone_day(zone, start_ms - 1) < days[i].day);
        rfm_zone_free(zone);
    }
}

static void utc_needs_no_file(void **state)
{
    (void)state;
    rfm_zone *utc = load("UTC");
    const rfm_zone *zones[] = {utc, NULL};
    for (size_t i = 0; i < 2; i++) {
        rfm_zone_span span = rfm_zone_span_at(zones[i], 1234567890);
        assert_true(span.from_s == INT64_MIN && span.until_s == INT64_MAX && span.offset_s == 0);
        assert_int_equal(rfm_zone_day(zones[i], -1), -1);
        assert_int_equal(rfm_zone_day(zones[i], 86400000), 1);
        assert_true(rfm_zone_day_start_ms(zones[i], -2) == -172800000);
        assert_int_equal(rfm_zone_day(zones[i], INT64_MAX), INT32_MAX);
        assert_int_equal(rfm_zone_day(zones[i], INT64_MIN), INT32_MIN);
        assert_true(rfm_zone_day_start_ms(zones[i], INT32_MAX) == INT32_MAX * INT64_C(86400000));
    }
    rfm_zone_free(utc);
    rfm_zone_free(NULL);
}

static void names_cannot_leave_the_folder(void **state)
{
    (void)state;
    static const char *const malformed[] = {"",    "/etc/passwd", "../../etc/passwd", "Europe/../Berlin",
                                            "a b", "a\nb",        ":Europe/Berlin",   "Europe\\Berlin",
                                            "..",  "\xc3\xa4"};
    rfm_zone *zone = NULL;
    rfm_error error;
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++)
        assert_int_equal(rfm_zone_load(malformed[i], &zone, &error), RFM_E_MALFORMED);
    assert_int_equal(rfm_zone_load("Europe/Atlantis", &zone, &error), RFM_E_NOT_FOUND);
    assert_non_null(strstr(error.message, "Europe/Atlantis"));
    assert_int_equal(rfm_zone_load("Europe", &zone, &error), RFM_E_NOT_FOUND);
    assert_null(zone);
}

static size_t read_file(const char *name, uint8_t *bytes, size_t size)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", getenv("TZDIR"), name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t len = fread(bytes, 1, size, file);
    fclose(file);
    return len;
}

/* Cut anywhere, a file is refused. */
static void cut_files_are_malformed(void **state)
{
    (void)state;
    static const char *const names[] = {"Europe/Berlin", "Asia/Tokyo", "Test/Version1", "Test/AllYearDst"};
    uint8_t bytes[8192];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t len = read_file(names[i], bytes, sizeof bytes);
        for (size_t cut = 0; cut < len; cut++) {
            rfm_zone *zone = NULL;
            rfm_error error;
            uint8_t *exact = malloc(cut + 1); /* so that a sanitizer sees a read past the end */
            memcpy(exact, bytes, cut);
            assert_int_equal(rfm_zone_of_bytes(rfm_bytes_of(exact, cut), &zone, &error), RFM_E_MALFORMED);
            free(exact);
        }
    }
}

static int with_footer(const char *footer)
{
    static const char head[] = "TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                               "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\4\0\0\0\0\0\0UTC";
    char file[512];
    size_t len = 0;
    for (int i = 0; i < 2; i++, len += sizeof head)
        memcpy(file + len, head, sizeof head);
    len += (size_t)snprintf(file + len, sizeof file - len, "\n%s\n", footer);
    rfm_zone *zone = NULL;
    int code = rfm_zone_of_bytes(rfm_bytes_of(file, len), &zone, NULL);
    rfm_zone_free(zone);
    return code;
}

static void footers_are_posix_rules(void **state)
{
    (void)state;
    static const char *const good[] = {"",
                                       "UTC0",
                                       "<-03>3",
                                       "CET-1CEST,M3.5.0,M10.5.0/3",
                                       "AAA-24:59:59",
                                       "IST-1GMT0,M10.5.0,M3.5.0/1",
                                       "ABC+1:30DEF,J1,J365/167:59:59",
                                       "ABC1DEF,0/-167,365"};
    static const char *const bad[] = {"AB1",
                                      "ABC",
                                      "ABC25",
                                      "ABC1DEF",
                                      "ABC1DEF,M3.5.0",
                                      "ABC1DEF,M13.1.0,M1.1.0",
                                      "ABC1DEF,M1.6.0,M1.1.0",
                                      "ABC1DEF,M1.0.0,M1.1.0",
                                      "ABC1DEF,M1.1.7,M1.1.0",
                                      "ABC1DEF,J0,J1",
                                      "ABC1DEF,J1,J366",
                                      "ABC1DEF,366,1",
                                      "ABC1DEF,1/168,2",
                                      "<AB>1",
                                      "<ABC1",
                                      "ABC1DEF,1,2x",
                                      "ABC1:60",
                                      "ABC1DEF,,",
                                      "ABC--1",
                                      ":ABC1"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_int_equal(with_footer(good[i]), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(with_footer(bad[i]), RFM_E_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offsets_as_python_s_zoneinfo),
        cmocka_unit_test(spans_partition_time),
        cmocka_unit_test(days_begin_where_python_finds_them),
        cmocka_unit_test(utc_needs_no_file),
        cmocka_unit_test(names_cannot_leave_the_folder),
        cmocka_unit_test(cut_files_are_malformed),
        cmocka_unit_test(footers_are_posix_rules),
    };
    setenv("TZDIR", "tests/unit/base/zoneinfo", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
