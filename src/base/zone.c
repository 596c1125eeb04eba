#include <rfm/base/zone.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    NAME_MAX_LEN = 128,
    FILE_BYTES_MAX = 256 * 1024, /* the largest of tzdata has 4 KB */
    HEADER_BYTES = 44,
    OFFSET_S_MIN = -89999, /* RFC 9636, section 3.2: what readers must support */
    OFFSET_S_MAX = 93599,
    DAY_S = 86400,
};

/* When a rule of the footer changes the clock (POSIX TZ): Jn, n or Mm.w.d, at a local time that may exceed a day. */
typedef enum date_form { DATE_JULIAN, DATE_ZERO_BASED, DATE_WEEKDAY } date_form;
typedef struct change_date {
    date_form form;
    int day, month, week; /* day: of the year, or of the week from Sunday; week 5: the last */
    int32_t time_s;
} change_date;

typedef struct footer_rule {
    bool present, has_dst;
    int32_t std_offset_s, dst_offset_s;
    change_date dst_start, dst_end;
} footer_rule;

/* Offsets hold from their transition on; transitions that do not change the offset are left out. */
struct rfm_zone {
    int32_t first_offset_s;
    footer_rule footer; /* holds from the last transition on */
    size_t count;
    int64_t *times_s;
    int32_t *offsets_s;
    int64_t footer_from_s;
};

/* The footer: a POSIX TZ string. Each `take_` moves `*at` on, or fails. */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}
static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int take_number(const char **at, int max, int *number)
{
    const char *start = *at;
    int value = 0;
    for (; is_digit(**at); ++*at) {
        value = value * 10 + (**at - '0');
        if (value > max)
            return RFM_E_MALFORMED;
    }
    *number = value;
    return *at == start ? RFM_E_MALFORMED : 0;
}

/* [+-]h[h[h]][:mm[:ss]] */
static int take_time(const char **at, int hours_max, int32_t *time_s)
{
    int hours, minutes = 0, seconds = 0, sign = **at == '-' ? -1 : 1;
    if (**at == '-' || **at == '+')
        ++*at;
    if (take_number(at, hours_max, &hours))
        return RFM_E_MALFORMED;
    if (**at == ':') {
        ++*at;
        if (take_number(at, 59, &minutes))
            return RFM_E_MALFORMED;
        if (**at == ':') {
            ++*at;
            if (take_number(at, 59, &seconds))
                return RFM_E_MALFORMED;
        }
    }
    *time_s = sign * (hours * 3600 + minutes * 60 + seconds);
    return 0;
}

static int take_name(const char **at)
{
    const char *start = *at;
    if (*start == '<') {
        for (++*at; is_alpha(**at) || is_digit(**at) || **at == '+' || **at == '-';)
            ++*at;
        return *(*at)++ == '>' && *at - start >= 5 ? 0 : RFM_E_MALFORMED;
    }
    while (is_alpha(**at))
        ++*at;
    return *at - start >= 3 ? 0 : RFM_E_MALFORMED;
}

static int take_weekday(const char **at, change_date *date)
{
    if (take_number(at, 12, &date->month) || date->month < 1 || *(*at)++ != '.')
        return RFM_E_MALFORMED;
    if (take_number(at, 5, &date->week) || date->week < 1 || *(*at)++ != '.')
        return RFM_E_MALFORMED;
    return take_number(at, 6, &date->day);
}

static int take_change(const char **at, change_date *date)
{
    int code;
    if (*(*at)++ != ',')
        return RFM_E_MALFORMED;
    date->form = **at == 'M' ? DATE_WEEKDAY : **at == 'J' ? DATE_JULIAN : DATE_ZERO_BASED;
    if (date->form != DATE_ZERO_BASED)
        ++*at;
    if (date->form == DATE_WEEKDAY)
        code = take_weekday(at, date);
    else
        code = take_number(at, 365, &date->day);
    if (code || (date->form == DATE_JULIAN && date->day < 1))
        return RFM_E_MALFORMED;
    date->time_s = 7200;
    if (**at != '/')
        return 0;
    ++*at;
    return take_time(at, 167, &date->time_s);
}

static int parse_footer(const char *text, footer_rule *rule)
{
    int32_t west_s;
    if (take_name(&text) || take_time(&text, 24, &west_s))
        return RFM_E_MALFORMED;
    *rule = (footer_rule){.present = true, .std_offset_s = -west_s};
    if (*text == 0)
        return 0;
    rule->has_dst = true;
    rule->dst_offset_s = rule->std_offset_s + 3600;
    if (take_name(&text))
        return RFM_E_MALFORMED;
    if (*text != ',') {
        if (take_time(&text, 24, &west_s))
            return RFM_E_MALFORMED;
        rule->dst_offset_s = -west_s;
    }
    if (take_change(&text, &rule->dst_start) || take_change(&text, &rule->dst_end))
        return RFM_E_MALFORMED;
    return *text == 0 ? 0 : RFM_E_MALFORMED;
}

static int32_t day_of_change(const change_date *date, int year)
{
    int32_t new_year = rfm_day_of_civil(year, 1, 1);
    if (date->form == DATE_ZERO_BASED)
        return new_year + date->day;
    if (date->form == DATE_JULIAN) { /* never counts 29 February */
        bool leap = rfm_day_of_civil(year + 1, 1, 1) - new_year == 366;
        return new_year + date->day - 1 + (leap && date->day >= 60);
    }
    int32_t first = rfm_day_of_civil(year, date->month, 1);
    int32_t after = date->month == 12 ? rfm_day_of_civil(year + 1, 1, 1) : rfm_day_of_civil(year, date->month + 1, 1);
    int weekday = (int)(((int64_t)first + 4) % 7); /* 1970-01-01 was a Thursday; `first` is not before it */
    int32_t day = first + (date->day - weekday + 7) % 7 + (date->week - 1) * 7;
    return day >= after ? day - 7 : day;
}

typedef struct change {
    int64_t time_s;
    int32_t offset_s;
} change;

static int64_t add_clamped(int64_t a, int64_t b)
{
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? (b < 0 ? INT64_MIN : INT64_MAX) : sum;
}

/* The changes of the years around are laid out and sorted. A rule may reach 7 days into another year, hence two years
 * each side; of changes at one instant the later year's holds ("all the year DST" ends and begins again at once). */
static rfm_zone_span footer_span(const footer_rule *rule, int64_t time_s)
{
    enum { YEARS_AROUND = 2, CHANGES = 2 * (2 * YEARS_AROUND + 1) };
    const int64_t cycle_s = INT64_C(146097) * DAY_S; /* the calendar repeats after 400 years, weekdays too */
    if (!rule->has_dst)
        return (rfm_zone_span){INT64_MIN, INT64_MAX, rule->std_offset_s};
    int64_t within_s = (time_s % cycle_s + cycle_s) % cycle_s + cycle_s; /* in 2370..2769, away from 1970 */
    int year, month, day_of_month, count = 0;
    change changes[CHANGES];
    rfm_civil_of_day((int32_t)rfm_div_floor(within_s, DAY_S), &year, &month, &day_of_month);
    for (int i = year - YEARS_AROUND; i <= year + YEARS_AROUND; i++) {
        for (int to_dst = 1; to_dst >= 0; to_dst--) {
            const change_date *date = to_dst ? &rule->dst_start : &rule->dst_end;
            int64_t local_s = (int64_t)day_of_change(date, i) * DAY_S + date->time_s;
            change added = {local_s - (to_dst ? rule->std_offset_s : rule->dst_offset_s),
                            to_dst ? rule->dst_offset_s : rule->std_offset_s};
            int at = count++;
            for (; at > 0 && changes[at - 1].time_s > added.time_s; at--)
                changes[at] = changes[at - 1];
            changes[at] = added;
        }
    }
    int now = 0;
    while (now + 2 < CHANGES && changes[now + 1].time_s <= within_s)
        now++;
    return (rfm_zone_span){add_clamped(time_s, changes[now].time_s - within_s),
                           add_clamped(time_s, changes[now + 1].time_s - within_s), changes[now].offset_s};
}

/* The file: RFC 9636, section 3. */

typedef struct block {
    uint32_t isut_count, isstd_count, leap_count, time_count, type_count, char_count;
} block;

static uint32_t be32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static int64_t be_time(const uint8_t *at, size_t time_bytes)
{
    if (time_bytes == 4)
        return (int32_t)be32(at);
    return (int64_t)((uint64_t)be32(at) << 32 | be32(at + 4));
}

static int read_header(rfm_reader *reader, block *counts, uint8_t *version)
{
    rfm_bytes header = rfm_read_bytes(reader, HEADER_BYTES);
    if (reader->bad || memcmp(header.at, "TZif", 4) != 0)
        return RFM_E_MALFORMED;
    const uint8_t *at = header.at + 20;
    *version = header.at[4];
    *counts = (block){be32(at), be32(at + 4), be32(at + 8), be32(at + 12), be32(at + 16), be32(at + 20)};
    return 0;
}

static size_t block_bytes(const block *counts, size_t time_bytes)
{ /* 32-bit counts cannot overflow 64 bits */
    return (size_t)counts->time_count * (time_bytes + 1) + (size_t)counts->type_count * 6 + counts->char_count +
           (size_t)counts->leap_count * (time_bytes + 4) + counts->isstd_count + counts->isut_count;
}

static const char *check_counts(const block *counts)
{
    if (counts->type_count == 0 || counts->type_count > 256)
        return "it has no or too many local time types";
    if (counts->char_count == 0)
        return "it has no designations";
    if (counts->isut_count != 0 && counts->isut_count != counts->type_count)
        return "its UT indicators are miscounted";
    if (counts->isstd_count != 0 && counts->isstd_count != counts->type_count)
        return "its standard indicators are miscounted";
    if (counts->leap_count != 0)
        return "it counts leap seconds (a \"right\" zone); use the one without";
    return NULL;
}

static void zone_reserve(rfm_zone *zone, size_t count)
{
    zone->times_s = malloc((count + 1) * sizeof *zone->times_s);
    zone->offsets_s = malloc((count + 1) * sizeof *zone->offsets_s);
    RFM_NEED(zone->times_s && zone->offsets_s);
}

static void zone_append(rfm_zone *zone, int64_t time_s, int32_t offset_s)
{
    int32_t before_s = zone->count ? zone->offsets_s[zone->count - 1] : zone->first_offset_s;
    if (offset_s == before_s)
        return;
    zone->times_s[zone->count] = time_s;
    zone->offsets_s[zone->count++] = offset_s;
}

static const char *read_types(rfm_bytes types, const block *counts, int32_t *offsets_s)
{
    for (size_t i = 0; i < counts->type_count; i++) {
        const uint8_t *type = types.at + i * 6;
        offsets_s[i] = (int32_t)be32(type);
        if (offsets_s[i] < OFFSET_S_MIN || offsets_s[i] > OFFSET_S_MAX)
            return "an offset is out of range";
        if (type[4] > 1 || type[5] >= counts->char_count)
            return "a local time type is broken";
    }
    return NULL;
}

/* What is wrong with the block, or NULL. */
static const char *read_block(rfm_reader *reader, const block *counts, size_t time_bytes, rfm_zone *zone)
{
    int32_t offsets_s[256];
    const char *wrong = check_counts(counts);
    if (wrong)
        return wrong;
    if (block_bytes(counts, time_bytes) > rfm_reader_left(reader))
        return "it is cut off";
    rfm_bytes times = rfm_read_bytes(reader, counts->time_count * time_bytes);
    rfm_bytes indices = rfm_read_bytes(reader, counts->time_count);
    rfm_bytes types = rfm_read_bytes(reader, (size_t)counts->type_count * 6);
    (void)rfm_read_bytes(reader, (size_t)counts->char_count + counts->isstd_count + counts->isut_count);
    if ((wrong = read_types(types, counts, offsets_s)))
        return wrong;
    zone_reserve(zone, counts->time_count);
    zone->first_offset_s = offsets_s[0];
    for (size_t i = 0; i < counts->time_count; i++) {
        int64_t time_s = be_time(times.at + i * time_bytes, time_bytes);
        if (i > 0 && time_s <= zone->footer_from_s)
            return "its transitions are not in order";
        if (indices.at[i] >= counts->type_count)
            return "a transition names a type that is not there";
        zone_append(zone, time_s, offsets_s[indices.at[i]]);
        zone->footer_from_s = time_s;
    }
    if (counts->time_count == 0)
        zone->footer_from_s = INT64_MIN;
    return NULL;
}

static const char *read_footer(rfm_reader *reader, rfm_zone *zone)
{
    char text[128];
    size_t len = 0;
    if (rfm_read_u8(reader) != '\n')
        return "its footer is missing";
    for (uint8_t byte; (byte = rfm_read_u8(reader)) != '\n'; text[len++] = (char)byte) {
        if (reader->bad || byte == 0 || len == sizeof text - 1)
            return "its footer is cut off or too long";
    }
    text[len] = 0;
    if (len == 0)
        return NULL;
    return parse_footer(text, &zone->footer) ? "its footer is not a POSIX TZ rule" : NULL;
}

static const char *read_file(rfm_bytes tzif, rfm_zone *zone)
{
    rfm_reader reader = rfm_reader_of(tzif);
    block counts;
    uint8_t version;
    if (read_header(&reader, &counts, &version))
        return "it does not begin with a TZif header";
    if (version == 0)
        return read_block(&reader, &counts, 4, zone);
    if (version < '2')
        return "its version is unknown";
    (void)rfm_read_bytes(&reader, block_bytes(&counts, 4));
    if (reader.bad || read_header(&reader, &counts, &version))
        return "its 64-bit part is missing";
    const char *wrong = read_block(&reader, &counts, 8, zone);
    return wrong ? wrong : read_footer(&reader, zone);
}

int rfm_zone_of_bytes(rfm_bytes tzif, rfm_zone **zone, rfm_error *error)
{
    rfm_zone *made = calloc(1, sizeof *made);
    RFM_NEED(made);
    const char *wrong = read_file(tzif, made);
    if (wrong) {
        rfm_zone_free(made);
        return rfm_fail(error, RFM_E_MALFORMED, "not a time zone file (RFC 9636): %s", wrong);
    }
    *zone = made;
    return 0;
}

void rfm_zone_free(rfm_zone *zone)
{
    if (!zone)
        return;
    free(zone->times_s);
    free(zone->offsets_s);
    free(zone);
}

static bool name_valid(const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len > NAME_MAX_LEN || name[0] == '/' || strstr(name, ".."))
        return false;
    for (; *name; name++) {
        if (!is_alpha(*name) && !is_digit(*name) && !strchr("_+-/.", *name))
            return false;
    }
    return true;
}

/* The file's bytes into `*file`, which the caller releases. RFM_E_NOT_FOUND: no such regular file; RFM_E_IO: errno says
 * why. */
static int read_whole(const char *path, rfm_buffer *file)
{
    int fd, code = RFM_E_NOT_FOUND;
    struct stat stat;
    ssize_t got = 0;
    do
        fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? RFM_E_NOT_FOUND : RFM_E_IO;
    if (fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode)) {
        do {
            file->len += (size_t)got;
            uint8_t *room = rfm_buffer_reserve(file, 4096);
            if (!room)
                break;
            do
                got = read(fd, room, 4096);
            while (got < 0 && errno == EINTR);
        } while (got > 0);
        code = file->bad ? RFM_E_TOO_LARGE : got < 0 ? RFM_E_IO : 0;
    }
    int reason = errno;
    close(fd);
    errno = reason;
    return code;
}

static int load_from(const char *directory, const char *name, rfm_zone **zone, rfm_error *error)
{
    char path[PATH_MAX];
    rfm_buffer file;
    int len = snprintf(path, sizeof path, "%s/%s", directory, name);
    if (len < 0 || (size_t)len >= sizeof path)
        return RFM_E_NOT_FOUND;
    rfm_buffer_init(&file, FILE_BYTES_MAX);
    int code = read_whole(path, &file);
    if (code == 0) {
        code = rfm_zone_of_bytes(rfm_buffer_view(&file), zone, error);
        if (code)
            code = rfm_fail_within(error, code, "%s", path);
    } else if (code != RFM_E_NOT_FOUND) {
        code = rfm_fail(error, code, "%s: %s", path, code == RFM_E_IO ? strerror(errno) : rfm_error_text(code));
    }
    rfm_buffer_release(&file);
    return code;
}

int rfm_zone_load(const char *name, rfm_zone **zone, rfm_error *error)
{
    const char *tzdir = getenv("TZDIR");
    int code = RFM_E_NOT_FOUND;
    if (!name_valid(name))
        return rfm_fail(error, RFM_E_MALFORMED, "'%.64s' is not the name of a time zone", name);
    if (strcmp(name, "UTC") == 0) {
        *zone = calloc(1, sizeof **zone);
        RFM_NEED(*zone);
        (*zone)->footer = (footer_rule){.present = true};
        (*zone)->footer_from_s = INT64_MIN;
        return 0;
    }
    if (tzdir && *tzdir)
        code = load_from(tzdir, name, zone, error);
    if (code == RFM_E_NOT_FOUND)
        code = load_from("/usr/share/zoneinfo", name, zone, error);
    if (code != RFM_E_NOT_FOUND)
        return code;
    return rfm_fail(error, code,
                    "time zone '%s' is unknown; names are like Europe/Berlin, and tzdata must be installed", name);
}

rfm_zone_span rfm_zone_span_at(const rfm_zone *zone, int64_t time_s)
{
    if (!zone)
        return (rfm_zone_span){INT64_MIN, INT64_MAX, 0};
    if (zone->footer.present && time_s >= zone->footer_from_s) {
        rfm_zone_span span = footer_span(&zone->footer, time_s);
        if (span.from_s < zone->footer_from_s)
            span.from_s = zone->footer_from_s;
        return span;
    }
    size_t low = 0, high = zone->count; /* how many transitions are at or before `time_s` */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (zone->times_s[middle] <= time_s)
            low = middle + 1;
        else
            high = middle;
    }
    int64_t end_s = zone->footer.present ? zone->footer_from_s : INT64_MAX;
    return (rfm_zone_span){low ? zone->times_s[low - 1] : INT64_MIN, low < zone->count ? zone->times_s[low] : end_s,
                           low ? zone->offsets_s[low - 1] : zone->first_offset_s};
}

int32_t rfm_zone_day(const rfm_zone *zone, int64_t time_ms)
{
    int64_t time_s = rfm_div_floor(time_ms, RFM_SECOND_MS);
    if (zone)
        time_s += rfm_zone_span_at(zone, time_s).offset_s;
    int64_t day = rfm_div_floor(time_s, DAY_S);
    return day < INT32_MIN ? INT32_MIN : day > INT32_MAX ? INT32_MAX : (int32_t)day;
}

int64_t rfm_zone_day_start_ms(const rfm_zone *zone, int32_t day)
{
    int64_t midnight_s = (int64_t)day * DAY_S;
    if (!zone)
        return midnight_s * RFM_SECOND_MS;
    for (int64_t time_s = midnight_s - OFFSET_S_MAX;;) {
        rfm_zone_span span = rfm_zone_span_at(zone, time_s);
        int64_t start_s = midnight_s - span.offset_s;
        if (start_s < time_s)
            start_s = time_s; /* a change jumped over midnight */
        if (start_s < span.until_s)
            return start_s * RFM_SECOND_MS;
        time_s = span.until_s;
    }
}
