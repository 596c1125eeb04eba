/* A client's wall clock: quiet hours, schedules, the moments of a day. Days on which clocks change need no care of the
 * caller: what the clock shows counts, whatever it jumped over or shows twice. */
#ifndef RFM_RULE_WALL_H
#define RFM_RULE_WALL_H

#include <rfm/rule/rules.h>

/* The first instant from now_ms on that is not in quiet hours: now_ms itself if they do not hold. Zone NULL: UTC. */
int64_t rfm__wall_quiet_end_ms(const rfm_quiet_hours *quiet, const rfm_zone *zone, int64_t now_ms);
/* The same plus the jitter, which is that of a client and of the end of these quiet hours; now_ms if they do not
 * hold. */
int64_t rfm__wall_release_ms(const rfm_quiet_hours *quiet, const rfm_zone *zone, rfm_bytes client_id, int64_t now_ms);
/* When the clock shows this time of that day for the first time; if it jumps over it, the instant of the jump. */
int64_t rfm__wall_moment_ms(const rfm_zone *zone, int32_t day, int32_t at_ms);
/* The anniversary in a year of a date: its day and month; of 29 February the 28th in a year that has none. */
int32_t rfm__wall_anniversary(int32_t date, int year);
static inline bool rfm__schedule_is_empty(const rfm_schedule *schedule)
{
    return schedule->days == 0 && schedule->from_day == 0 && schedule->to_day == 0;
}
bool rfm__wall_scheduled(const rfm_schedule *schedule, const rfm_zone *zone, int64_t now_ms);

#endif
