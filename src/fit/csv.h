/* Records of comma-separated values as RFC 4180 has them, in a stream: quoted fields may hold separators, quotes
 * (doubled) and line ends. What files have beyond that is taken too: a byte order mark, CRLF or LF, `;` or tab in place
 * of the comma (whichever the first record has most of), quotes within a field that does not begin with one. Empty
 * lines are passed over. A record that cannot be split is given out with its problem; reading goes on in the line after
 * its first. */
#ifndef RFM_FIT_CSV_H
#define RFM_FIT_CSV_H

#include <rfm/base/bytes.h>
#include <rfm/base/error.h>

enum { RFM_CSV_RECORD_MAX = 64 * 1024, RFM_CSV_FIELDS_MAX = 512 };

/* Gives the next bytes of the file; 0: no more. RFM_E_IO with a message. */
typedef int (*rfm_csv_read)(void *owner, uint8_t *at, size_t size, size_t *len, rfm_error *error);

typedef struct rfm_csv_record {
    const rfm_bytes *fields; /* without their quotes; they last until the next call */
    size_t count;
    uint64_t line;       /* on which it begins, from 1 */
    const char *problem; /* NULL: none; else there are no fields */
} rfm_csv_record;

typedef struct rfm_csv rfm_csv;
rfm_csv *rfm_csv_new(rfm_csv_read read, void *owner);
void rfm_csv_free(rfm_csv *csv);
/* *more false: no record is left. RFM_E_IO; RFM_E_MALFORMED: the file is UTF-16. */
int rfm_csv_next(rfm_csv *csv, rfm_csv_record *record, bool *more, rfm_error *error);

#endif
