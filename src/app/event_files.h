/* Events from NDJSON files: one after the other in file order, several files merged by `time` (equal times: the file
 * named first). A line that cannot be taken as an event stands where its time says, if that can be read, else with the
 * line before it. */
#ifndef RFM_APP_EVENT_FILES_H
#define RFM_APP_EVENT_FILES_H

#include <rfm/event/decode.h>

typedef struct rfm_event_line {
    rfm_bytes value;     /* without the line's end; lasts until the next call */
    rfm_bytes client_id; /* empty: not readable as an event */
    int64_t time_ms;     /* INT64_MIN: not readable */
    int64_t order_ms;    /* its place in the merge; INT64_MIN: before all others */
} rfm_event_line;

typedef struct rfm_event_files rfm_event_files;
/* "-" is standard input. RFM_E_NOT_FOUND, RFM_E_IO with the file's name. */
int rfm_event_files_open(const char *const *names, size_t count, const rfm_reading *reading,
                         const rfm_money_conf *money, rfm_event_files **files, rfm_error *error);
void rfm_event_files_close(rfm_event_files *files);
/* *more false: no line is left. RFM_E_IO. Empty lines are passed over. */
int rfm_event_files_next(rfm_event_files *files, rfm_event_line *line, bool *more, rfm_error *error);

#endif
