#include "wall.h"

#include <inttypes.h>
#include <rfm/base/hash.h>
#include <rfm/base/time.h>
#include <stdio.h>

enum {
    SPANS_MAX = 64,      /* of one offset, within a day: no zone has more than a few */
    OFFSET_S_MAX = 90000 /* a day and an hour */
};

static bool is_quiet(const rfm_quiet_hours *quiet, int64_t wall_ms)
{
    if (quiet->from_ms < quiet->to_ms)
        return wall_ms >= quiet->from_ms && wall_ms < quiet->to_ms;
    return wall_ms >= quiet->from_ms || wall_ms < quiet->to_ms;
}

static int64_t day_part_ms(int64_t wall_ms)
{
    return wall_ms - rfm_div_floor(wall_ms, RFM_DAY_MS) * RFM_DAY_MS;
}

/* From one change of the offset to the next: within each the clock runs evenly. */
int64_t rfm__wall_quiet_end_ms(const rfm_quiet_hours *quiet, const rfm_zone *zone, int64_t now_ms)
{
    int64_t at_ms = now_ms;
    if (!quiet->given)
        return now_ms;
    for (int i = 0; i < SPANS_MAX; i++) {
        rfm_zone_span span = rfm_zone_span_at(zone, rfm_div_floor(at_ms, RFM_SECOND_MS));
        int64_t wall_ms = day_part_ms(at_ms + span.offset_s * RFM_SECOND_MS);
        if (!is_quiet(quiet, wall_ms))
            return at_ms;
        int64_t end_ms = at_ms + day_part_ms(quiet->to_ms - wall_ms);
        if (rfm_div_floor(end_ms, RFM_SECOND_MS) < span.until_s)
            return end_ms;
        at_ms = span.until_s * RFM_SECOND_MS;
    }
    return at_ms;
}

static int64_t jitter_of(const rfm_quiet_hours *quiet, rfm_bytes client_id, int64_t end_ms)
{
    uint8_t text[RFM_CLIENT_ID_MAX + 24];
    if (quiet->jitter_ms == 0)
        return 0;
    rfm_buffer buffer = rfm_buffer_over(text, sizeof text);
    rfm_write_bytes(&buffer, client_id);
    rfm_write_u8(&buffer, 0x1f);
    rfm_write_format(&buffer, "%" PRId64, end_ms);
    RFM_ASSERT(!buffer.bad);
    return (int64_t)(rfm_hash64(rfm_buffer_view(&buffer)) % (uint64_t)quiet->jitter_ms);
}

int64_t rfm__wall_release_ms(const rfm_quiet_hours *quiet, const rfm_zone *zone, rfm_bytes client_id, int64_t now_ms)
{
    int64_t end_ms = rfm__wall_quiet_end_ms(quiet, zone, now_ms);
    return end_ms == now_ms ? now_ms : end_ms + jitter_of(quiet, client_id, end_ms);
}

int64_t rfm__wall_moment_ms(const rfm_zone *zone, int32_t day, int32_t at_ms)
{
    int64_t wall_s = day * (RFM_DAY_MS / RFM_SECOND_MS) + at_ms / RFM_SECOND_MS, time_s = wall_s - OFFSET_S_MAX;
    for (int i = 0; i < SPANS_MAX; i++) {
        rfm_zone_span span = rfm_zone_span_at(zone, time_s);
        int64_t moment_s = wall_s - span.offset_s;
        if (moment_s < time_s)
            moment_s = time_s;
        if (moment_s < span.until_s)
            return moment_s * RFM_SECOND_MS;
        time_s = span.until_s;
    }
    return time_s * RFM_SECOND_MS;
}

int32_t rfm__wall_anniversary(int32_t date, int year)
{
    int born, month, day_of_month;
    rfm_civil_of_day(date, &born, &month, &day_of_month);
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return rfm_day_of_civil(year, month, month == 2 && day_of_month == 29 && !leap ? 28 : day_of_month);
}

/* 1970-01-01 was a Thursday. */
static int weekday(int32_t day)
{
    int64_t since_monday = (int64_t)day + 3;
    return (int)(since_monday - rfm_div_floor(since_monday, 7) * 7);
}

bool rfm__wall_scheduled(const rfm_schedule *schedule, const rfm_zone *zone, int64_t now_ms)
{
    if (rfm__schedule_is_empty(schedule))
        return true;
    int32_t day = rfm_zone_day(zone, now_ms);
    return (schedule->days == 0 || (schedule->days >> weekday(day) & 1)) &&
           (schedule->from_day == 0 || day >= schedule->from_day) && (schedule->to_day == 0 || day <= schedule->to_day);
}
