/* Instants are int64 milliseconds since 1970 UTC, names end in _ms; days are int32 days since 1970 in a zone. */
#ifndef RFM_BASE_TIME_H
#define RFM_BASE_TIME_H

#include <rfm/base/bytes.h>
#include <time.h>

#define RFM_SECOND_MS      INT64_C(1000)
#define RFM_MINUTE_MS      INT64_C(60000)
#define RFM_HOUR_MS        INT64_C(3600000)
#define RFM_DAY_MS         INT64_C(86400000)
#define RFM_TIME_1990_MS   INT64_C(631152000000)
#define RFM_TIME_YEAR_0_MS INT64_C(-62167219200000)
#define RFM_TIME_MAX_MS    INT64_C(253402300799999) /* the year 9999 ends: no later time can be written */
enum { RFM_TIME_TEXT = 32 };

/* RFC 3339 with an offset ("Z", "+02:00"; "T" or a space; fractions beyond ms are cut; a leap second counts as
 * :59.999). RFM_E_MALFORMED: anything else, also a day that its month does not have. */
int rfm_time_parse(rfm_bytes text, int64_t *time_ms);
/* "2026-11-22T07:11:05.000Z"; returns its length. Years 0 to 9999. */
size_t rfm_time_format(int64_t time_ms, char text[RFM_TIME_TEXT]);
int rfm_date_parse(rfm_bytes text, int32_t *day); /* "2026-11-22" */
int32_t rfm_day_of_civil(int year, int month, int day_of_month);
void rfm_civil_of_day(int32_t day, int *year, int *month, int *day_of_month);
/* Months since January 1970; of a month its first day. */
int32_t rfm_month_of_day(int32_t day);
int32_t rfm_month_first_day(int32_t month);
/* "90d", "12h", "15m", "30s", "250ms"; also sums such as "1h30m". A day is 86,400 s. Not negative. */
int rfm_duration_parse(rfm_bytes text, int64_t *duration_ms);
static inline int64_t rfm_div_floor(int64_t a, int64_t b)
{
    return a / b - (a % b != 0 && (a % b < 0) != (b < 0));
}
int64_t rfm_clock_wall_ms(void); /* the one place that reads a clock; for programs and adapters, never for the core */
int64_t rfm_clock_steady_ns(void);
int64_t rfm_clock_steady_ms(void);
struct timespec rfm_steady_after(int64_t ms); /* on that clock: so long from now */
void rfm_sleep_ms(int64_t ms);                /* or until a signal is caught */

/* The wall clock as the core wants it: it never stands still or goes back. Where the system's was set back, this one
 * goes on at half its speed until that has caught up, so that waits end and what has been decided stays past. All zero:
 * new. */
typedef struct rfm_even_clock {
    int64_t now_ms, steady_ns;
} rfm_even_clock;
int64_t rfm_even_clock_at(rfm_even_clock *clock, int64_t wall_ms, int64_t steady_ns);

#endif
