#include "event_files.h"

#include <errno.h>
#include <rfm/base/time.h>
#include <rfm/base/utf8.h>
#include <stdio.h>
#include <stdlib.h>

struct source {
    const char *name;
    FILE *file;
    char *text;
    size_t text_size;
    rfm_decoder *decoder; /* holds what the line's views point to */
    rfm_reading reading;
    rfm_event_line line;
    bool begun, ended;
};

struct rfm_event_files {
    struct source *sources;
    size_t count;
    struct source *last; /* whose line was given out: it is read on at the next call */
};

/* Without its end, and without the mark with which the first line of a file may begin. */
static rfm_bytes line_of(const char *text, size_t len, bool first)
{
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
        len--;
    rfm_bytes line = rfm_bytes_of(text, len);
    size_t mark_len = first ? rfm_utf8_mark_len(line) : 0;
    return rfm_bytes_of(line.at + mark_len, line.len - mark_len);
}

static int read_line(struct source *source, rfm_error *error)
{
    rfm_bytes value = RFM_BYTES_NONE;
    while (value.len == 0) {
        errno = 0;
        ssize_t len = getline(&source->text, &source->text_size, source->file);
        if (len < 0) {
            source->ended = true; /* not ferror: of a line that it has no memory for getline says nothing else */
            return feof(source->file) ? RFM_OK : rfm_fail(error, RFM_E_IO, "%s: %s", source->name, strerror(errno));
        }
        value = line_of(source->text, (size_t)len, !source->begun);
        source->begun = true;
    }
    rfm_event event;
    rfm_decoder_reset(source->decoder);
    rfm_event_line *line = &source->line;
    *line = (rfm_event_line){.value = value, .time_ms = INT64_MIN, .order_ms = line->order_ms};
    rfm_reason reason = rfm_decode_as(source->decoder, &source->reading, line->value, RFM_BYTES_NONE, INT64_MAX, &event,
                                      NULL);
    if (reason == RFM_REASON_NONE || event.time_ms >= RFM_TIME_1990_MS)
        line->order_ms = event.time_ms;
    if (reason == RFM_REASON_NONE)
        line->client_id = event.client_id, line->time_ms = event.time_ms;
    return RFM_OK;
}

static int open_source(struct source *source, const char *name, const rfm_reading *reading, const rfm_money_conf *money,
                       rfm_error *error)
{
    source->name = name;
    source->reading = *reading;
    source->line.order_ms = INT64_MIN;
    source->file = strcmp(name, "-") == 0 ? stdin : fopen(name, "r");
    if (source->file == NULL)
        return rfm_fail(error, errno == EMFILE || errno == ENFILE || errno == ENOMEM ? RFM_E_IO : RFM_E_NOT_FOUND,
                        "%s: %s", name, strerror(errno));
    source->decoder = rfm_decoder_new(money);
    return read_line(source, error);
}

int rfm_event_files_open(const char *const *names, size_t count, const rfm_reading *reading,
                         const rfm_money_conf *money, rfm_event_files **out, rfm_error *error)
{
    rfm_event_files *files = calloc(1, sizeof *files);
    RFM_NEED(files != NULL);
    files->sources = calloc(count, sizeof *files->sources);
    RFM_NEED(files->sources != NULL);
    for (; files->count < count; files->count++) {
        int code = open_source(&files->sources[files->count], names[files->count], reading, money, error);
        if (code != RFM_OK) {
            files->count++;
            rfm_event_files_close(files);
            return code;
        }
    }
    *out = files;
    return RFM_OK;
}

void rfm_event_files_close(rfm_event_files *files)
{
    if (files == NULL)
        return;
    for (size_t i = 0; i < files->count; i++) {
        struct source *source = &files->sources[i];
        if (source->file != NULL && source->file != stdin)
            fclose(source->file);
        rfm_decoder_free(source->decoder);
        free(source->text);
    }
    free(files->sources);
    free(files);
}

int rfm_event_files_next(rfm_event_files *files, rfm_event_line *line, bool *more, rfm_error *error)
{
    int code = files->last == NULL || files->last->ended ? RFM_OK : read_line(files->last, error);
    if (code != RFM_OK)
        return code;
    struct source *first = NULL;
    for (size_t i = 0; i < files->count; i++) {
        struct source *source = &files->sources[i];
        if (!source->ended && (first == NULL || source->line.order_ms < first->line.order_ms))
            first = source;
    }
    files->last = first;
    *more = first != NULL;
    if (first != NULL)
        *line = first->line;
    return RFM_OK;
}
