#include "csv.h"

#include <rfm/base/utf8.h>
#include <stdlib.h>

enum { BUFFER_BYTES = 4 * RFM_CSV_RECORD_MAX };

struct rfm_csv {
    rfm_csv_read read;
    void *owner;
    uint8_t buffer[BUFFER_BYTES];
    size_t begin, end; /* of what was read and not given out */
    bool ended, begun;
    char separator;
    uint64_t line; /* of buffer[begin] */
    rfm_bytes fields[RFM_CSV_FIELDS_MAX];
};

rfm_csv *rfm_csv_new(rfm_csv_read read, void *owner)
{
    rfm_csv *csv = malloc(sizeof *csv);
    RFM_NEED(csv != NULL);
    csv->read = read;
    csv->owner = owner;
    csv->begin = csv->end = 0;
    csv->ended = csv->begun = false;
    csv->separator = 0;
    csv->line = 1;
    return csv;
}

void rfm_csv_free(rfm_csv *csv)
{
    free(csv);
}

static int fill(rfm_csv *csv, rfm_error *error)
{
    memmove(csv->buffer, csv->buffer + csv->begin, csv->end - csv->begin);
    csv->end -= csv->begin;
    csv->begin = 0;
    while (!csv->ended && csv->end < BUFFER_BYTES) {
        size_t len = 0;
        int code = csv->read(csv->owner, csv->buffer + csv->end, BUFFER_BYTES - csv->end, &len, error);
        if (code != RFM_OK)
            return code;
        csv->end += len;
        csv->ended = len == 0;
    }
    return RFM_OK;
}

static bool opens_field(const rfm_csv *csv, const uint8_t *from, const uint8_t *quote)
{
    return quote == from || quote[-1] == (uint8_t)csv->separator;
}

/* The end of the record that begins at `from`: its line feed outside of quotes, or `to` at the end of the file. NULL: a
 * quote stays open. */
static const uint8_t *record_end(const rfm_csv *csv, const uint8_t *from, const uint8_t *to)
{
    const uint8_t *feed = memchr(from, '\n', (size_t)(to - from)), *line_end = feed ? feed : to;
    if (!memchr(from, '"', (size_t)(line_end - from)))
        return line_end;
    bool quoted = false;
    for (const uint8_t *at = from; at < to; at++) {
        if (*at == '\n' && !quoted)
            return at;
        if (*at != '"')
            continue;
        if (!quoted)
            quoted = opens_field(csv, from, at);
        else if (at + 1 < to && at[1] == '"')
            at++;
        else
            quoted = false;
    }
    return quoted ? NULL : to;
}

/* The separator that stands most often in the first line outside of quotes. */
static char separator_of(const uint8_t *from, const uint8_t *to)
{
    size_t commas = 0, semicolons = 0, tabs = 0;
    bool quoted = false;
    for (; from < to && (quoted || *from != '\n'); from++) {
        quoted ^= *from == '"';
        commas += !quoted && *from == ',';
        semicolons += !quoted && *from == ';';
        tabs += !quoted && *from == '\t';
    }
    if (tabs > commas && tabs >= semicolons)
        return '\t';
    return semicolons > commas ? ';' : ',';
}

static int begin(rfm_csv *csv, rfm_error *error)
{
    int code = fill(csv, error);
    if (code != RFM_OK)
        return code;
    const uint8_t *at = csv->buffer;
    if (csv->end >= 2 && ((at[0] == 0xff && at[1] == 0xfe) || (at[0] == 0xfe && at[1] == 0xff)))
        return rfm_fail(error, RFM_E_MALFORMED, "the file is in UTF-16; save it as UTF-8");
    csv->begin = rfm_utf8_mark_len((rfm_bytes){at, csv->end});
    csv->separator = separator_of(csv->buffer + csv->begin, csv->buffer + csv->end);
    csv->begun = true;
    return RFM_OK;
}

/* Takes the quotes off in place. NULL: all is well, else what is wrong. *at is behind the field then. */
static const char *take_quoted(const rfm_csv *csv, uint8_t **at, const uint8_t *to, rfm_bytes *field)
{
    uint8_t *from = *at + 1, *out = *at + 1;
    const uint8_t *start = out;
    for (; from < to && (*from != '"' || (from + 1 < to && from[1] == '"')); from++) {
        from += *from == '"';
        *out++ = *from;
    }
    *field = rfm_bytes_of(start, (size_t)(out - start));
    *at = from + 1;
    return *at >= to || **at == (uint8_t)csv->separator ? NULL : "there is text behind a closing quote";
}

static const char *split(rfm_csv *csv, uint8_t *at, const uint8_t *to, size_t *count)
{
    *count = 0;
    for (;;) {
        if (*count == RFM_CSV_FIELDS_MAX)
            return "the row has more than 512 fields";
        rfm_bytes *field = &csv->fields[(*count)++];
        if (at < to && *at == '"') {
            const char *problem = take_quoted(csv, &at, to, field);
            if (problem)
                return problem;
        } else {
            uint8_t *end = memchr(at, csv->separator, (size_t)(to - at));
            size_t len = end ? (size_t)(end - at) : (size_t)(to - at);
            *field = rfm_bytes_of(at, len);
            at += len;
        }
        if (at >= to)
            return NULL;
        at++;
    }
}

static uint64_t lines_in(const uint8_t *from, const uint8_t *to)
{
    uint64_t lines = 0;
    while ((from = memchr(from, '\n', (size_t)(to - from))) != NULL) {
        lines++;
        from++;
    }
    return lines;
}

/* Gives up on the line at hand, which opens a quote that is never closed or has no end. */
static void give_up_line(rfm_csv *csv, rfm_csv_record *record)
{
    const uint8_t *from = csv->buffer + csv->begin, *feed = memchr(from, '\n', csv->end - csv->begin);
    bool quoted = memchr(from, '"', feed ? (size_t)(feed - from) : csv->end - csv->begin) != NULL;
    *record = (rfm_csv_record){.line = csv->line,
                               .problem = quoted ? "a quote is opened and not closed within 64 KiB"
                                                 : "the row is longer than 64 KiB"};
    csv->line += feed != NULL;
    csv->begin = feed ? (size_t)(feed - csv->buffer) + 1 : csv->end;
}

static void give_out(rfm_csv *csv, const uint8_t *end, rfm_csv_record *record)
{
    uint8_t *from = csv->buffer + csv->begin;
    const uint8_t *limit = csv->buffer + csv->end, *to = end > from && end[-1] == '\r' ? end - 1 : end;
    uint64_t lines = end < limit ? 1 + lines_in(from, end) : 0;
    *record = (rfm_csv_record){.fields = csv->fields, .line = csv->line};
    record->problem = split(csv, from, to, &record->count);
    if (record->problem)
        record->count = 0;
    csv->line += lines;
    csv->begin = (size_t)(end - csv->buffer) + (end < limit);
}

static void pass_empty_lines(rfm_csv *csv)
{
    while (csv->begin < csv->end) {
        size_t len = csv->buffer[csv->begin] == '\r' && csv->begin + 1 < csv->end ? 2 : 1;
        if (csv->buffer[csv->begin + len - 1] != '\n')
            return;
        csv->begin += len;
        csv->line++;
    }
}

int rfm_csv_next(rfm_csv *csv, rfm_csv_record *record, bool *more, rfm_error *error)
{
    int code = csv->begun ? RFM_OK : begin(csv, error);
    if (code == RFM_OK)
        pass_empty_lines(csv);
    /* A record of the greatest length is whole in the buffer, but at the end of the file. */
    if (code == RFM_OK && csv->end - csv->begin <= RFM_CSV_RECORD_MAX && !csv->ended) {
        code = fill(csv, error);
        pass_empty_lines(csv);
    }
    if (code != RFM_OK)
        return code;
    *more = csv->begin < csv->end;
    if (!*more)
        return RFM_OK;
    const uint8_t *from = csv->buffer + csv->begin;
    size_t len = csv->end - csv->begin, len_max = len < RFM_CSV_RECORD_MAX ? len : RFM_CSV_RECORD_MAX;
    const uint8_t *end = record_end(csv, from, from + len_max);
    if (end == NULL || (end == from + len_max && len > len_max && *end != '\n'))
        give_up_line(csv, record);
    else
        give_out(csv, end, record);
    return RFM_OK;
}
