/* A client's wall clock against one that is read minute by minute. */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "rule/wall.h"

#include <rfm/base/time.h>

#define HOUR   RFM_HOUR_MS
#define MINUTE RFM_MINUTE_MS

static int64_t time_of(const char *text)
{
    int64_t time_ms;
    assert_int_equal(rfm_time_parse(rfm_text(text), &time_ms), 0);
    return time_ms;
}

static rfm_zone *zone_of(const char *name)
{
    rfm_zone *zone;
    rfm_error error;
    if (rfm_zone_load(name, &zone, &error) != 0)
        fail_msg("%s", error.message);
    return zone;
}

static void assert_end(const char *zone_name, int from_hour, int to_minutes, const char *now, const char *end)
{
    rfm_zone *zone = zone_of(zone_name);
    rfm_quiet_hours quiet = {true, (int32_t)(from_hour * HOUR), (int32_t)(to_minutes * MINUTE), 0};
    int64_t end_ms = rfm__wall_quiet_end_ms(&quiet, zone, time_of(now));
    char text[RFM_TIME_TEXT];
    rfm_time_format(end_ms, text);
    if (end_ms != time_of(end))
        fail_msg("%s at %s: %.24s, not %s", zone_name, now, text, end);
    rfm_zone_free(zone);
}

static void test_ends_by_hand(void **state)
{
    (void)state;
    assert_end("UTC", 21, 9 * 60, "2026-03-01T20:59:59.999Z", "2026-03-01T20:59:59.999Z");
    assert_end("UTC", 21, 9 * 60, "2026-03-01T21:00:00Z", "2026-03-02T09:00:00Z");
    assert_end("UTC", 21, 9 * 60, "2026-03-01T08:59:59.999Z", "2026-03-01T09:00:00Z");
    assert_end("UTC", 21, 9 * 60, "2026-03-01T09:00:00Z", "2026-03-01T09:00:00Z");
    /* Berlin: clocks go from 2:00 to 3:00 on 29 March 2026, from 3:00 to 2:00 on 25 October. */
    assert_end("Europe/Berlin", 21, 9 * 60, "2026-03-28T22:00:00+01:00", "2026-03-29T09:00:00+02:00");
    assert_end("Europe/Berlin", 21, 9 * 60, "2026-10-24T22:00:00+02:00", "2026-10-25T09:00:00+01:00");
    assert_end("Europe/Berlin", 21, 2 * 60 + 30, "2026-03-29T01:00:00+01:00",
               "2026-03-29T03:00:00+02:00"); /* no 2:30 */
    assert_end("Europe/Berlin", 21, 2 * 60 + 30, "2026-10-25T01:00:00+02:00",
               "2026-10-25T02:30:00+02:00"); /* the first */
    assert_end("Europe/Berlin", 21, 2 * 60 + 30, "2026-10-25T02:10:00+01:00",
               "2026-10-25T02:30:00+01:00"); /* the second */
    assert_end("Europe/Berlin", 2, 3 * 60, "2026-03-29T01:59:59+01:00", "2026-03-29T01:59:59+01:00");
    assert_end("Europe/Berlin", 2, 3 * 60, "2026-10-25T02:59:00+02:00", "2026-10-25T03:00:00+01:00"); /* 2 to 3 twice */
    assert_end("Australia/Lord_Howe", 21, 9 * 60, "2026-04-04T23:00:00+11:00", "2026-04-05T09:00:00+10:30");
}

/* Counted on from `from` minute by minute: whether `to` or the clock comes first. */
static bool is_quiet(const rfm_quiet_hours *quiet, const rfm_zone *zone, int64_t at_ms)
{
    int64_t wall_ms = at_ms + rfm_zone_span_at(zone, at_ms / 1000).offset_s * INT64_C(1000);
    int64_t since_from = (wall_ms / MINUTE - quiet->from_ms / MINUTE + 1440) % 1440;
    return since_from < (quiet->to_ms / MINUTE - quiet->from_ms / MINUTE + 1440) % 1440;
}

/* The weeks in which clocks change, from the last minute backwards: the end of a quiet minute is that of the next
 * one. */
static void walk_week(const rfm_zone *zone, const rfm_quiet_hours *quiet, int64_t from_ms)
{
    int64_t end_ms = from_ms + 9 * RFM_DAY_MS;
    while (is_quiet(quiet, zone, end_ms))
        end_ms += MINUTE;
    for (int64_t now_ms = from_ms + 9 * RFM_DAY_MS; now_ms >= from_ms; now_ms -= MINUTE) {
        end_ms = is_quiet(quiet, zone, now_ms) ? end_ms : now_ms;
        if (now_ms / MINUTE % 15 == 0)
            assert_int_equal(rfm__wall_quiet_end_ms(quiet, zone, now_ms), end_ms);
    }
}

static void test_minute_by_minute(void **state)
{
    (void)state;
    static const char *const zones[] = {"UTC",
                                        "Europe/Berlin",
                                        "America/New_York",
                                        "Australia/Lord_Howe",
                                        "Asia/Beirut",
                                        "America/Havana",
                                        "Antarctica/Troll",
                                        "Africa/Casablanca",
                                        "Asia/Kathmandu",
                                        "Pacific/Apia"};
    static const int minutes[][2] = {{21 * 60, 9 * 60}, {23 * 60, 30},      {150, 160},
                                     {0, 1439},         {13 * 60, 15 * 60}, {185, 170}};
    static const char *const weeks[] = {"2026-02-13T00:00:00Z", "2026-03-06T00:00:00Z", "2026-03-26T00:00:00Z",
                                        "2026-04-02T00:00:00Z", "2026-10-01T00:00:00Z", "2026-10-22T00:00:00Z",
                                        "2026-10-30T00:00:00Z", "2011-12-27T00:00:00Z"};
    for (size_t z = 0; z < sizeof zones / sizeof *zones; z++) {
        rfm_zone *zone = zone_of(zones[z]);
        for (size_t m = 0; m < sizeof minutes / sizeof *minutes; m++) {
            rfm_quiet_hours quiet = {true, (int32_t)(minutes[m][0] * MINUTE), (int32_t)(minutes[m][1] * MINUTE), 0};
            for (size_t w = 0; w < sizeof weeks / sizeof *weeks; w++)
                walk_week(zone, &quiet, time_of(weeks[w]));
        }
        rfm_zone_free(zone);
    }
}

static void test_jitter(void **state)
{
    (void)state;
    rfm_quiet_hours quiet = {true, (int32_t)(21 * HOUR), (int32_t)(9 * HOUR), 15 * MINUTE};
    int64_t night_ms = time_of("2023-11-15T01:00:00Z");
    /* XXH3-64("alice" 0x1F "1700038800000") mod 900000 and mod 86400000, by Python's xxhash. */
    assert_int_equal(rfm__wall_release_ms(&quiet, NULL, rfm_text("alice"), night_ms), INT64_C(1700038800000) + 747087);
    assert_int_equal(rfm__wall_release_ms(&quiet, NULL, rfm_text("alice"), night_ms + HOUR),
                     INT64_C(1700038800000) + 747087);
    quiet.jitter_ms = RFM_DAY_MS;
    assert_int_equal(rfm__wall_release_ms(&quiet, NULL, rfm_text("alice"), night_ms),
                     INT64_C(1700038800000) + 50247087);
    quiet.jitter_ms = 0;
    assert_int_equal(rfm__wall_release_ms(&quiet, NULL, rfm_text("alice"), night_ms), INT64_C(1700038800000));
    assert_int_equal(rfm__wall_release_ms(&quiet, NULL, rfm_text("alice"), night_ms + 12 * HOUR), night_ms + 12 * HOUR);
    quiet.given = false;
    assert_int_equal(rfm__wall_release_ms(&quiet, NULL, rfm_text("alice"), night_ms), night_ms);
}

static void test_moments_of_a_day(void **state)
{
    (void)state;
    static const struct {
        const char *zone, *date, *moment;
        int minutes;
    } rows[] = {
        {"UTC", "2026-05-01", "2026-05-01T09:00:00Z", 540},
        {"America/New_York", "2026-05-01", "2026-05-01T09:00:00-04:00", 540},
        {"Europe/Berlin", "2026-03-29", "2026-03-29T03:00:00+02:00", 150}, /* there is no 2:30 */
        {"Europe/Berlin", "2026-10-25", "2026-10-25T02:30:00+02:00", 150}, /* there are two: the first */
        {"Europe/Berlin", "2026-10-25", "2026-10-25T03:00:00+01:00", 180},
        {"Asia/Beirut", "2026-03-29", "2026-03-29T01:00:00+03:00", 0}, /* the day begins at one */
        {"Pacific/Kiritimati", "2026-05-01", "2026-05-01T00:00:00+14:00", 0},
        {"Pacific/Niue", "2026-05-01", "2026-05-01T23:59:00-11:00", 1439},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        rfm_zone *zone = zone_of(rows[i].zone);
        int32_t day;
        assert_int_equal(rfm_date_parse(rfm_text(rows[i].date), &day), 0);
        assert_int_equal(rfm__wall_moment_ms(zone, day, (int32_t)(rows[i].minutes * MINUTE)), time_of(rows[i].moment));
        rfm_zone_free(zone);
    }
}

static void test_anniversaries(void **state)
{
    (void)state;
    int32_t leap = rfm_day_of_civil(1976, 2, 29), plain = rfm_day_of_civil(1950, 12, 31);
    assert_int_equal(rfm__wall_anniversary(leap, 2024), rfm_day_of_civil(2024, 2, 29));
    assert_int_equal(rfm__wall_anniversary(leap, 2025), rfm_day_of_civil(2025, 2, 28));
    assert_int_equal(rfm__wall_anniversary(leap, 2100), rfm_day_of_civil(2100, 2, 28));
    assert_int_equal(rfm__wall_anniversary(leap, 2000), rfm_day_of_civil(2000, 2, 29));
    assert_int_equal(rfm__wall_anniversary(plain, 2025), rfm_day_of_civil(2025, 12, 31));
}

static void test_schedules(void **state)
{
    (void)state;
    rfm_zone *zone = zone_of("America/New_York");
    rfm_schedule weekdays = {.days = 0x1f}, none = {0},
                 span = {0, rfm_day_of_civil(2026, 1, 1), rfm_day_of_civil(2026, 12, 31)};
    assert_true(rfm__wall_scheduled(&none, zone, 0));
    assert_true(rfm__wall_scheduled(&weekdays, zone, time_of("2026-11-27T23:59:59.999-05:00"))); /* a Friday */
    assert_false(rfm__wall_scheduled(&weekdays, zone, time_of("2026-11-28T00:00:00-05:00")));
    assert_false(rfm__wall_scheduled(&weekdays, zone, time_of("2026-11-29T23:59:59-05:00")));
    assert_true(rfm__wall_scheduled(&weekdays, zone, time_of("2026-11-30T00:00:00-05:00")));
    assert_true(rfm__wall_scheduled(&weekdays, NULL, time_of("1969-12-29T00:00:00Z"))); /* a Monday */
    assert_false(rfm__wall_scheduled(&weekdays, NULL, time_of("1969-12-28T23:59:59Z")));
    assert_false(rfm__wall_scheduled(&span, zone, time_of("2025-12-31T23:59:59.999-05:00")));
    assert_true(rfm__wall_scheduled(&span, zone, time_of("2026-01-01T00:00:00-05:00")));
    assert_true(rfm__wall_scheduled(&span, zone, time_of("2026-12-31T23:59:59-05:00")));
    assert_false(rfm__wall_scheduled(&span, zone, time_of("2027-01-01T00:00:00-05:00")));
    rfm_zone_free(zone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ends_by_hand),  cmocka_unit_test(test_minute_by_minute),
        cmocka_unit_test(test_jitter),        cmocka_unit_test(test_moments_of_a_day),
        cmocka_unit_test(test_anniversaries), cmocka_unit_test(test_schedules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
