/* Any bytes as a time zone file: what is accepted answers for every instant, without gaps. */
#include <rfm/base/zone.h>

#include <stdlib.h>

#define CHECK(condition) ((condition) ? (void)0 : abort())

static void check_instant(const rfm_zone *zone, int64_t time_s)
{
    rfm_zone_span span = rfm_zone_span_at(zone, time_s);
    CHECK(span.from_s <= time_s && (time_s < span.until_s || span.until_s == INT64_MAX));
    CHECK(span.offset_s > -90000 && span.offset_s < 180000);
    rfm_zone_span first = rfm_zone_span_at(zone, span.from_s);
    CHECK(first.from_s == span.from_s && first.until_s == span.until_s && first.offset_s == span.offset_s);
    if (span.until_s != INT64_MAX)
        CHECK(rfm_zone_span_at(zone, span.until_s).from_s == span.until_s);
}

static void check_day(const rfm_zone *zone, int32_t day)
{
    int64_t start_ms = rfm_zone_day_start_ms(zone, day);
    CHECK(rfm_zone_day(zone, start_ms) >= day);
    CHECK(rfm_zone_day(zone, start_ms - 1) < day);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rfm_zone *zone;
    rfm_error error;
    if (rfm_zone_of_bytes(rfm_bytes_of(data, size), &zone, &error) != 0)
        return 0;
    static const int64_t instants[] = {INT64_MIN,  INT64_MIN + 1, -5000000000,   -1,
                                       0,          1700000000,    2000000000,    2000010000,
                                       9000000000, 250000000000,  INT64_MAX - 1, INT64_MAX};
    for (size_t i = 0; i < sizeof instants / sizeof *instants; i++)
        check_instant(zone, instants[i]);
    for (int32_t day = 19000; day < 19400; day += 7)
        check_day(zone, day);
    rfm_zone_free(zone);
    return 0;
}
