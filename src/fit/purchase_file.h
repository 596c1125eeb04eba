/* Reads purchases from a file: CSV with a header, or NDJSON of rfmd's own events, of which the purchases count;
 * which of them it is shows in the first byte, behind a byte order mark if there is one. Rows that cannot be read
 * are told one by one and passed over, up to a limit. */
#ifndef RFM_FIT_PURCHASE_FILE_H
#define RFM_FIT_PURCHASE_FILE_H

#include "purchases.h"

#include <rfm/base/money.h>
#include <rfm/base/zone.h>

typedef struct rfm_purchase_file {
    const char *name;            /* "-": standard input */
    const rfm_money_conf *money; /* for NDJSON; NULL: all of its amounts must be in the currency of the first */
    const rfm_zone *zone;        /* NULL: UTC */
    uint64_t bad_rows_max;
    void (*bad_row)(void *owner, uint64_t line, const char *message);
    void (*progress)(void *owner, uint64_t rows); /* now and then */
    void *owner;
    uint64_t rows, bad_rows; /* told when it is read: rows without the bad ones */
    uint64_t others;         /* NDJSON: events of another type */
} rfm_purchase_file;

/* RFM_E_IO; RFM_E_NOT_FOUND: no such file, or a column is missing; RFM_E_MALFORMED: empty, or too many bad rows. */
int rfm_purchase_file_read(rfm_purchase_file *file, rfm_purchases *purchases, rfm_error *error);

#endif
