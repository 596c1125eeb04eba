#include "columns.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const clients[] = {
    "client_id", "customer_id", "user_id",    "client",   "customer",   "customerid",     "clientid", "userid",
    "user",      "member_id",   "contact_id", "buyer_id", "account_id", "customer_email", "email",    NULL};
static const char *const days[] = {
    "date",      "time",       "order_date", "purchase_date", "invoice_date", "transaction_date", "invoicedate",
    "orderdate", "created_at", "ordered_at", "paid_at",       "processed_at", "completed_at",     "datetime",
    "timestamp", "day",        NULL};
static const char *const amounts[] = {"amount",       "total",       "value",          "order_total", "total_price",
                                      "total_amount", "order_value", "revenue",        "price_total", "sales",
                                      "spend",        "grand_total", "monetary_value", "price",       NULL};

static const char *const orders[] = {"order_id", "orderid", "order_number", "order_no", NULL};

static const struct {
    const char *what, *name;
    const char *const *names;
} columns[RFM_COLUMN_COUNT] = {
    [RFM_COLUMN_CLIENT] = {"the client", "client_id", clients},
    [RFM_COLUMN_DAY] = {"the day", "date", days},
    [RFM_COLUMN_AMOUNT] = {"the amount", "amount", amounts},
    [RFM_COLUMN_ORDER] = {"the order", "order_id", orders},
};

rfm_bytes rfm_cell_trim(rfm_bytes text)
{
    while (text.len > 0 && isspace(text.at[0]))
        text.at++, text.len--;
    while (text.len > 0 && isspace(text.at[text.len - 1]))
        text.len--;
    return text;
}

static bool is_named(rfm_bytes cell, const char *name)
{
    cell = rfm_cell_trim(cell);
    if (cell.len != strlen(name))
        return false;
    for (size_t i = 0; i < cell.len; i++) {
        char letter = (char)tolower(cell.at[i]);
        if ((letter == ' ' || letter == '.' || letter == '-' ? '_' : letter) != name[i])
            return false;
    }
    return true;
}

static size_t find_column(const rfm_bytes *names, size_t count, const char *const *wanted)
{
    for (; *wanted; wanted++)
        for (size_t i = 0; i < count; i++)
            if (is_named(names[i], *wanted))
                return i;
    return count;
}

/* The names as they stand, a few of them. */
static void show_names(const rfm_bytes *names, size_t count, char *text, size_t size)
{
    size_t len = 0;
    for (size_t i = 0; i < count && len + 8 < size; i++)
        len += (size_t)snprintf(text + len, size - len, "%s%.*s", i > 0 ? ", " : "",
                                names[i].len < 40 ? (int)names[i].len : 40, (const char *)names[i].at);
    if (len >= size - 8)
        snprintf(text + size - 8, 8, ", ...");
}

int rfm_columns_find(const rfm_bytes *names, size_t count, size_t at[RFM_COLUMN_COUNT], rfm_error *error)
{
    size_t found[RFM_COLUMN_COUNT];
    for (size_t i = 0; i < RFM_COLUMN_COUNT; i++) {
        found[i] = find_column(names, count, columns[i].names);
        if (found[i] == count && i == RFM_COLUMN_ORDER) {
            found[i] = RFM_COLUMN_ABSENT;
        } else if (found[i] == count) {
            char seen[320];
            show_names(names, count, seen, sizeof seen);
            return rfm_fail(error, RFM_E_NOT_FOUND, "no column of %s, such as '%s' or '%s'; the first line has: %s",
                            columns[i].what, columns[i].name, columns[i].names[1], seen);
        }
    }
    memcpy(at, found, sizeof found);
    return RFM_OK;
}

/* `pattern` has a digit of year, month, day for each of Y, M, D, and other characters as they are. */
static bool match_date(rfm_bytes text, const char *pattern, int32_t *day)
{
    char iso[] = "0000-00-00";
    size_t year = 0, month = 5, day_of_month = 8;
    if (text.len != strlen(pattern))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        bool digit = isdigit(text.at[i]);
        if (pattern[i] == 'Y' && digit)
            iso[year++] = (char)text.at[i];
        else if (pattern[i] == 'M' && digit)
            iso[month++] = (char)text.at[i];
        else if (pattern[i] == 'D' && digit)
            iso[day_of_month++] = (char)text.at[i];
        else if (pattern[i] != (char)text.at[i])
            return false;
    }
    return rfm_date_parse(rfm_text(iso), day) == RFM_OK;
}

/* ":MM" once or twice, with a fraction after the second. */
static bool is_clock(rfm_bytes text)
{
    if (text.len < 5 || !isdigit(text.at[0]) || !isdigit(text.at[1]) || text.at[2] != ':')
        return false;
    for (size_t i = 3; i < text.len; i++)
        if (!isdigit(text.at[i]) && text.at[i] != ':' && text.at[i] != '.')
            return false;
    return true;
}

static bool match_local_time(rfm_bytes text, int32_t *day)
{
    if (text.len < 16 || (text.at[10] != ' ' && text.at[10] != 'T'))
        return false;
    return is_clock(rfm_bytes_of(text.at + 11, text.len - 11)) &&
           rfm_date_parse(rfm_bytes_of(text.at, 10), day) == RFM_OK;
}

/* 9 or 10 digits are seconds, 12 to 14 milliseconds since 1970. */
static bool match_epoch(rfm_bytes text, const rfm_zone *zone, int32_t *day)
{
    int64_t number = 0;
    if (text.len < 9 || text.len > 14 || text.len == 11)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (!isdigit(text.at[i]))
            return false;
        number = number * 10 + (text.at[i] - '0');
    }
    *day = rfm_zone_day(zone, text.len <= 10 ? number * RFM_SECOND_MS : number);
    return true;
}

static int show_len(rfm_bytes text)
{
    return text.len < 40 ? (int)text.len : 40;
}

int rfm_cell_day(rfm_bytes text, const rfm_zone *zone, int32_t *day, rfm_error *error)
{
    static const char *const patterns[] = {"YYYY-MM-DD", "YYYYMMDD", "YYYY/MM/DD", "DD.MM.YYYY"};
    int64_t time_ms;
    text = rfm_cell_trim(text);
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        if (match_date(text, patterns[i], day))
            return RFM_OK;
    if (rfm_time_parse(text, &time_ms) == RFM_OK) {
        *day = rfm_zone_day(zone, time_ms);
        return RFM_OK;
    }
    if (match_local_time(text, day) || match_epoch(text, zone, day))
        return RFM_OK;
    if (memchr(text.at ? text.at : (const uint8_t *)"", '/', text.len))
        return rfm_fail(error, RFM_E_MALFORMED,
                        "'%.*s' leaves open which is the day and which the month; write it as 2026-01-31",
                        show_len(text), (const char *)text.at);
    return rfm_fail(error, RFM_E_MALFORMED, "'%.*s' is not a date, such as 2026-01-31 or 2026-01-31T12:00:00Z",
                    show_len(text), (const char *)text.at);
}

/* Digits with at most one point, or NULL. Commas between groups of three go; one before one or two last digits is a
 * point. */
static const char *plain_number(rfm_bytes text, char plain[32])
{
    const uint8_t *point = memchr(text.at, '.', text.len), *comma = memchr(text.at, ',', text.len);
    size_t len = 0, behind = comma ? text.len - (size_t)(comma - text.at) - 1 : 0;
    bool decimal_comma = comma && !point && behind >= 1 && behind <= 2;
    size_t whole = point ? (size_t)(point - text.at) : text.len;
    for (size_t i = 0; i < text.len; i++) {
        char letter = (char)text.at[i];
        if (letter == ',' && !decimal_comma && i > 0 && i < whole && (whole - i) % 4 == 0)
            continue;
        if (letter == ',' && decimal_comma)
            letter = '.';
        if (!isdigit((unsigned char)letter) && letter != '.' && !(letter == '-' && i == 0))
            return NULL;
        plain[len++] = letter;
    }
    plain[len] = 0;
    return plain;
}

int rfm_cell_amount(rfm_bytes text, double *amount, rfm_error *error)
{
    char plain[32], *end;
    text = rfm_cell_trim(text);
    if (text.len == 0 || text.len >= sizeof plain || !plain_number(text, plain))
        return rfm_fail(error, RFM_E_MALFORMED, "'%.*s' is not an amount, such as 129.90", show_len(text),
                        (const char *)text.at);
    double value = strtod(plain, &end);
    if (*end != 0 || end == plain)
        return rfm_fail(error, RFM_E_MALFORMED, "'%.*s' is not an amount, such as 129.90", show_len(text),
                        (const char *)text.at);
    if (value < 0)
        return rfm_fail(error, RFM_E_RANGE, "the amount %s is negative: a refund is no purchase", plain);
    *amount = value;
    return RFM_OK;
}
