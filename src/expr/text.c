#include "text.h"

#include <float.h>
#include <math.h>
#include <rfm/base/error.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

/* The sign at the beginning, and what follows it. */
static bool take_minus(rfm_bytes *text)
{
    bool minus = text->len > 0 && text->at[0] == '-', sign = minus || (text->len > 0 && text->at[0] == '+');
    if (sign)
        *text = rfm_bytes_of(text->at + 1, text->len - 1);
    return minus;
}

static size_t digits_len(rfm_bytes text, size_t at)
{
    size_t end = at;
    while (end < text.len && is_digit(text.at[end]))
        end++;
    return end - at;
}

bool rfm__text_to_int(rfm_bytes text, int64_t *integer)
{
    if (text.len > 1 && text.at[0] == '+' && is_digit(text.at[1]))
        text = rfm_bytes_of(text.at + 1, text.len - 1);
    return rfm_integer_parse(text, integer) == RFM_OK;
}

/* Digits with a fraction and an exponent. */
static bool is_decimal(rfm_bytes text)
{
    size_t whole = digits_len(text, 0), at = whole, fraction = 0;
    if (at < text.len && text.at[at] == '.') {
        fraction = digits_len(text, at + 1);
        at += 1 + fraction;
    }
    if (whole + fraction == 0)
        return false;
    if (at < text.len && (text.at[at] == 'e' || text.at[at] == 'E')) {
        at++;
        at += at < text.len && (text.at[at] == '+' || text.at[at] == '-');
        size_t exponent = digits_len(text, at);
        if (exponent == 0)
            return false;
        at += exponent;
    }
    return at == text.len;
}

bool rfm__text_to_double(rfm_bytes text, double *number)
{
    enum { LEN_MAX = 128 };
    char copy[LEN_MAX + 1];
    rfm_bytes unsigned_ = text;
    take_minus(&unsigned_);
    if (text.len == 0 || text.len > LEN_MAX)
        return false;
    memcpy(copy, text.at, text.len);
    copy[text.len] = 0;
    const char *name = copy + (text.len - unsigned_.len);
    bool infinite = strcasecmp(name, "inf") == 0 || strcasecmp(name, "infinity") == 0;
    bool nan = strcasecmp(copy, "nan") == 0;
    if (!infinite && !nan && !is_decimal(unsigned_))
        return false;
    double value = strtod(copy, NULL);
    if (isinf(value) && !infinite)
        return false;
    *number = value;
    return true;
}

bool rfm__text_to_time(rfm_bytes text, int64_t *time_ms)
{
    int64_t value_ms;
    if (rfm_time_parse(text, &value_ms) || value_ms < RFM__TIME_MIN_MS || value_ms > RFM_TIME_MAX_MS)
        return false;
    *time_ms = value_ms;
    return true;
}

/* The unit at `at` in nanoseconds; 0: none. */
static int64_t unit_ns(rfm_bytes text, size_t at, size_t *len)
{
    static const struct {
        const char *name;
        int64_t ns;
    } units[] = {{"ns", 1},         {"us", 1000},       {"\xc2\xb5s", 1000},  {"\xce\xbcs", 1000},  {"ms", 1000000},
                 {"s", 1000000000}, {"m", 60000000000}, {"h", 3600000000000}, {"d", 86400000000000}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        *len = strlen(units[i].name);
        if (text.len - at >= *len && memcmp(text.at + at, units[i].name, *len) == 0)
            return units[i].ns;
    }
    return 0;
}

/* "1.5h" at *at in nanoseconds; false: malformed or beyond all range. */
static bool take_part(rfm_bytes text, size_t *at, __int128 *ns)
{
    enum { WHOLE_MAX = 18, FRACTION_MAX = 15 };
    __int128 digits = 0, scale = 1;
    size_t whole = digits_len(text, *at), point = *at + whole, unit_len;
    bool pointed = point < text.len && text.at[point] == '.';
    size_t fraction = pointed ? digits_len(text, point + 1) : 0;
    if (whole + fraction == 0 || whole > WHOLE_MAX || fraction > FRACTION_MAX)
        return false;
    for (size_t i = 0; i < whole; i++)
        digits = digits * 10 + (text.at[*at + i] - '0');
    for (size_t i = 0; i < fraction; i++, scale *= 10)
        digits = digits * 10 + (text.at[point + 1 + i] - '0');
    *at = point + pointed + fraction;
    int64_t unit = unit_ns(text, *at, &unit_len);
    if (unit == 0 || digits > ((__int128)1 << 126) / unit)
        return false;
    *at += unit_len;
    *ns = digits * unit / scale;
    return digits * unit % scale == 0;
}

bool rfm__text_to_duration(rfm_bytes text, int64_t *duration_ms)
{
    enum { NS_PER_MS = 1000000 };
    const __int128 limit_ns = (__int128)RFM__DURATION_MAX_MS * NS_PER_MS;
    __int128 sum_ns = 0, part_ns;
    bool minus = take_minus(&text);
    if (text.len == 0)
        return false;
    for (size_t at = 0; at < text.len && !rfm_bytes_is(text, "0");) {
        if (!take_part(text, &at, &part_ns) || part_ns > limit_ns - sum_ns)
            return false;
        sum_ns += part_ns;
    }
    if (sum_ns % NS_PER_MS != 0)
        return false;
    *duration_ms = (int64_t)(sum_ns / NS_PER_MS) * (minus ? -1 : 1);
    return true;
}

bool rfm__text_to_offset(rfm_bytes text, int32_t *offset_s)
{
    bool minus = take_minus(&text);
    size_t hours = digits_len(text, 0);
    if (hours < 1 || hours > 2 || text.len != hours + 3 || text.at[hours] != ':' || digits_len(text, hours + 1) != 2)
        return false;
    int32_t hour = 0, minute = (text.at[hours + 1] - '0') * 10 + text.at[hours + 2] - '0';
    for (size_t i = 0; i < hours; i++)
        hour = hour * 10 + text.at[i] - '0';
    if (hour > 23 || minute > 59)
        return false;
    *offset_s = (hour * 3600 + minute * 60) * (minus ? -1 : 1);
    return true;
}

/* The shortest "d.ddde+xx". Up to 15 digits come back as they were written but for the smallest numbers, so that none
 * but those can do with fewer than what 15 digits leave without their zeros. */
static void shortest(double number, char text[RFM__VALUE_TEXT])
{
    for (int digits = fabs(number) < DBL_MIN ? 1 : 15; digits <= 17; digits++) {
        snprintf(text, RFM__VALUE_TEXT, "%.*e", digits - 1, number);
        if (strtod(text, NULL) == number)
            break;
    }
}

/* 0.00012, 1.5, 12000: `count` digits, of which the first stands for 10^power. */
static size_t place_digits(const char *digits, int count, int power, char *text)
{
    char *at = text;
    if (power < 0) {
        at += sprintf(at, "0.%.*s", -1 - power, "000");
        memcpy(at, digits, (size_t)count);
        at += count;
    }
    for (int i = 0; power >= 0 && (i < count || i <= power); i++) {
        if (i == power + 1)
            *at++ = '.';
        *at++ = i < count ? digits[i] : '0';
    }
    *at = 0;
    return (size_t)(at - text);
}

size_t rfm__double_to_text(double number, char text[RFM__VALUE_TEXT])
{
    char digits[RFM__VALUE_TEXT];
    int count = 0;
    if (!isfinite(number))
        return (size_t)snprintf(text, RFM__VALUE_TEXT, "%s", isnan(number) ? "NaN" : number > 0 ? "+Inf" : "-Inf");
    shortest(number, text);
    bool minus = *text == '-';
    char *exponent = strchr(text, 'e'), *end = exponent;
    int power = atoi(exponent + 1);
    while (end[-1] == '0' && end - 1 > text + minus)
        end--;
    end -= end[-1] == '.';
    for (const char *at = text + minus; at < end; at++) {
        if (*at != '.')
            digits[count++] = *at;
    }
    if (power >= -4 && power < 21)
        return minus + place_digits(digits, count, power, text + minus);
    memmove(end, exponent, strlen(exponent) + 1);
    return strlen(text);
}

/* ".25" of 250 ms, "" of 0. */
static size_t fraction_to_text(int fraction_ms, char text[8])
{
    size_t len = fraction_ms ? (size_t)snprintf(text, 8, ".%03d", fraction_ms) : 0;
    while (len > 0 && text[len - 1] == '0')
        len--;
    text[len] = 0;
    return len;
}

size_t rfm__time_to_text(int64_t time_ms, char text[RFM__VALUE_TEXT])
{
    enum { SECONDS_LEN = sizeof "2026-11-22T07:11:05" - 1 };
    char fraction[8];
    rfm_time_format(time_ms, text);
    fraction_to_text((int)(time_ms - rfm_div_floor(time_ms, 1000) * 1000), fraction);
    return SECONDS_LEN + (size_t)snprintf(text + SECONDS_LEN, RFM__VALUE_TEXT - SECONDS_LEN, "%sZ", fraction);
}

size_t rfm__duration_to_text(int64_t duration_ms, char text[RFM__VALUE_TEXT])
{
    char fraction[8];
    int64_t size_ms = duration_ms < 0 ? -duration_ms : duration_ms;
    fraction_to_text((int)(size_ms % 1000), fraction);
    return (size_t)snprintf(text, RFM__VALUE_TEXT, "%s%lld%ss", duration_ms < 0 ? "-" : "", (long long)(size_ms / 1000),
                            fraction);
}
