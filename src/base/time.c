#include <rfm/base/error.h>
#include <rfm/base/time.h>

/* Years are counted from March, in eras of 400 years, so that the leap day is the last of its year and all else is
 * integer arithmetic (the proleptic Gregorian calendar). 719468: days from 0000-03-01 to 1970-01-01. */
int32_t rfm_day_of_civil(int year, int month, int day_of_month)
{
    int64_t march_year = (int64_t)year - (month <= 2);
    int64_t era = rfm_div_floor(march_year, 400), year_of_era = march_year - era * 400;
    int64_t month_from_march = (month + 9) % 12;
    int64_t day_of_year = (153 * month_from_march + 2) / 5 + day_of_month - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return (int32_t)(era * 146097 + day_of_era - 719468);
}

void rfm_civil_of_day(int32_t day, int *year, int *month, int *day_of_month)
{
    int64_t from_march = (int64_t)day + 719468;
    int64_t era = rfm_div_floor(from_march, 146097), day_of_era = from_march - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    *day_of_month = (int)(day_of_year - (153 * month_from_march + 2) / 5 + 1);
    *month = (int)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
    *year = (int)(era * 400 + year_of_era + (*month <= 2));
}

/* By multiplications: of a number of days within a century or a year, in quarters, the quotient is the year or month
 * (C. Neri, L. Schneider, Euclidean affine functions and their application to calendar algorithms, 2023). */
int32_t rfm_month_of_day(int32_t day)
{
    enum { ERA_DAYS = 146097, ERAS = 15000, MARCH_0 = 719468 }; /* so many eras more: no day is negative */
    uint64_t quarters = (uint64_t)((int64_t)day + MARCH_0 + (int64_t)ERAS * ERA_DAYS) * 4 + 3;
    uint64_t century = quarters / ERA_DAYS, in_century = quarters % ERA_DAYS | 3;
    uint64_t years = in_century * 2939745;
    uint32_t day_of_year = (uint32_t)years / 2939745 / 4;
    uint32_t month_from_march = (2141 * day_of_year + 197913) >> 16; /* March is 3, February 14 */
    int64_t march_year = (int64_t)(century * 100 + (years >> 32));
    return (int32_t)((march_year - 400 * (int64_t)ERAS - 1970) * 12 + month_from_march - 1);
}

int32_t rfm_month_first_day(int32_t month)
{
    int32_t years = (int32_t)rfm_div_floor(month, 12);
    return rfm_day_of_civil(1970 + years, month - years * 12 + 1, 1);
}

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

/* Two digits; `wrong` is set where they are none. */
static inline int two_digits(const uint8_t *at, unsigned *wrong)
{
    unsigned tens = at[0] - (unsigned)'0', ones = at[1] - (unsigned)'0';
    *wrong |= (tens > 9) | (ones > 9);
    return (int)(tens * 10 + ones);
}

static int days_in_month(int year, int month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap);
}

/* The ten bytes of "2026-11-22". */
static int parse_date(const uint8_t *at, int32_t *day)
{
    unsigned wrong = (at[4] != '-') | (at[7] != '-');
    int year = two_digits(at, &wrong) * 100 + two_digits(at + 2, &wrong);
    int month = two_digits(at + 5, &wrong), day_of_month = two_digits(at + 8, &wrong);
    if (wrong || month < 1 || month > 12 || day_of_month < 1 || day_of_month > days_in_month(year, month))
        return RFM_E_MALFORMED;
    *day = rfm_day_of_civil(year, month, day_of_month);
    return 0;
}

int rfm_date_parse(rfm_bytes text, int32_t *day)
{
    return text.len == 10 ? parse_date(text.at, day) : RFM_E_MALFORMED;
}

/* "Z" or "+02:00", all that is left. */
static int parse_offset(const uint8_t *at, const uint8_t *end, int64_t *offset_s)
{
    if (end - at == 1 && (*at == 'Z' || *at == 'z'))
        return *offset_s = 0, 0;
    if (end - at != 6 || (*at != '+' && *at != '-'))
        return RFM_E_MALFORMED;
    unsigned wrong = at[3] != ':';
    int sign = at[0] == '-' ? -1 : 1, hours = two_digits(at + 1, &wrong), minutes = two_digits(at + 4, &wrong);
    if (wrong || hours > 23 || minutes > 59)
        return RFM_E_MALFORMED;
    *offset_s = sign * (hours * 3600 + minutes * 60);
    return 0;
}

/* ".123456" cut to milliseconds; no fraction is 0. */
static int parse_fraction(const uint8_t **at, const uint8_t *end, int64_t *fraction_ms)
{
    *fraction_ms = 0;
    if (*at == end || **at != '.')
        return 0;
    const uint8_t *start = ++*at;
    for (int weight = 100; *at < end && is_digit(**at); ++*at, weight /= 10)
        *fraction_ms += (**at - '0') * weight;
    return *at == start ? RFM_E_MALFORMED : 0;
}

int rfm_time_parse(rfm_bytes text, int64_t *time_ms)
{
    const uint8_t *at = text.at;
    int32_t day;
    int64_t fraction_ms, offset_s;
    if (text.len < sizeof "2026-11-22T07:11:05Z" - 1 || parse_date(at, &day))
        return RFM_E_MALFORMED;
    unsigned wrong = ((at[10] != 'T') & (at[10] != 't') & (at[10] != ' ')) | (at[13] != ':') | (at[16] != ':');
    int hour = two_digits(at + 11, &wrong), minute = two_digits(at + 14, &wrong), second = two_digits(at + 17, &wrong);
    if (wrong || hour > 23 || minute > 59 || second > 60)
        return RFM_E_MALFORMED;
    at += 19;
    if (parse_fraction(&at, text.at + text.len, &fraction_ms) || parse_offset(at, text.at + text.len, &offset_s))
        return RFM_E_MALFORMED;
    int64_t minute_s = day * INT64_C(86400) + hour * 3600 + minute * 60 - offset_s;
    if (second == 60) { /* only the last minute of a UTC day has one */
        if (rfm_div_floor(minute_s, 86400) * 86400 + 86340 != minute_s)
            return RFM_E_MALFORMED;
        second = 59, fraction_ms = 999;
    }
    *time_ms = (minute_s + second) * RFM_SECOND_MS + fraction_ms;
    return 0;
}

static char *put_digits(char *text, int value, int width)
{
    for (int i = width; i-- > 0; value /= 10)
        text[i] = (char)('0' + value % 10);
    return text + width;
}

size_t rfm_time_format(int64_t time_ms, char text[RFM_TIME_TEXT])
{
    const int64_t first_ms = RFM_TIME_YEAR_0_MS;
    time_ms = time_ms < first_ms ? first_ms : time_ms > RFM_TIME_MAX_MS ? RFM_TIME_MAX_MS : time_ms;
    int64_t day = rfm_div_floor(time_ms, RFM_DAY_MS);
    int of_day_ms = (int)(time_ms - day * RFM_DAY_MS), year, month, day_of_month;
    char *at = text;
    rfm_civil_of_day((int32_t)day, &year, &month, &day_of_month);
    at = put_digits(at, year, 4), *at++ = '-';
    at = put_digits(at, month, 2), *at++ = '-';
    at = put_digits(at, day_of_month, 2), *at++ = 'T';
    at = put_digits(at, of_day_ms / 3600000, 2), *at++ = ':';
    at = put_digits(at, of_day_ms / 60000 % 60, 2), *at++ = ':';
    at = put_digits(at, of_day_ms / 1000 % 60, 2), *at++ = '.';
    at = put_digits(at, of_day_ms % 1000, 3), *at++ = 'Z';
    *at = 0;
    return (size_t)(at - text);
}

/* Takes the unit at `*at`; 0: none. */
static int64_t take_unit_ms(const uint8_t **at, const uint8_t *end)
{
    size_t left = (size_t)(end - *at);
    if (left >= 2 && (*at)[0] == 'm' && (*at)[1] == 's')
        return *at += 2, 1;
    switch (left ? *(*at)++ : 0) {
    case 's': return RFM_SECOND_MS;
    case 'm': return RFM_MINUTE_MS;
    case 'h': return RFM_HOUR_MS;
    case 'd': return RFM_DAY_MS;
    default: return 0;
    }
}

int rfm_duration_parse(rfm_bytes text, int64_t *duration_ms)
{
    const uint8_t *at = text.at, *end = text.len ? at + text.len : at;
    int64_t sum_ms = 0;
    if (text.len == 0)
        return RFM_E_MALFORMED;
    while (at < end) {
        int64_t count = 0, part_ms;
        const uint8_t *start = at;
        for (; at < end && is_digit(*at); at++) {
            if (__builtin_mul_overflow(count, 10, &count) || __builtin_add_overflow(count, *at - '0', &count)) {
                return RFM_E_RANGE;
            }
        }
        int64_t unit_ms = at == start ? 0 : take_unit_ms(&at, end);
        if (unit_ms == 0)
            return RFM_E_MALFORMED;
        if (__builtin_mul_overflow(count, unit_ms, &part_ms) || __builtin_add_overflow(sum_ms, part_ms, &sum_ms)) {
            return RFM_E_RANGE;
        }
    }
    *duration_ms = sum_ms;
    return 0;
}

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t rfm_clock_wall_ms(void)
{
    return clock_ns(CLOCK_REALTIME) / 1000000;
}
int64_t rfm_clock_steady_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}
int64_t rfm_clock_steady_ms(void)
{
    return rfm_clock_steady_ns() / 1000000;
}

struct timespec rfm_steady_after(int64_t ms)
{
    int64_t until_ns = rfm_clock_steady_ns() + ms * 1000000;
    return (struct timespec){.tv_sec = (time_t)(until_ns / 1000000000), .tv_nsec = (long)(until_ns % 1000000000)};
}

void rfm_sleep_ms(int64_t ms)
{
    const struct timespec pause = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&pause, NULL);
}

int64_t rfm_even_clock_at(rfm_even_clock *clock, int64_t wall_ms, int64_t steady_ns)
{
    int64_t half_ms = (steady_ns - clock->steady_ns) / 2000000;
    if (wall_ms >= clock->now_ms) {
        clock->now_ms = wall_ms;
        clock->steady_ns = steady_ns;
    } else if (half_ms > 0) {
        clock->now_ms += half_ms;
        clock->steady_ns += half_ms * 2000000;
    }
    return clock->now_ms;
}
