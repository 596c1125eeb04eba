/* Which columns of a table are what: by its header, in which names are compared without case, and blanks, dots and
 * dashes are underscores. Also what stands in the cells: days and amounts as shops export them. */
#ifndef RFM_FIT_COLUMNS_H
#define RFM_FIT_COLUMNS_H

#include <rfm/base/zone.h>

/* The order, which is the last of them, may be absent: also in a row. */
typedef enum rfm_column {
    RFM_COLUMN_CLIENT,
    RFM_COLUMN_DAY,
    RFM_COLUMN_AMOUNT,
    RFM_COLUMN_ORDER,
    RFM_COLUMN_COUNT
} rfm_column;
#define RFM_COLUMN_ABSENT SIZE_MAX

/* at[column] is its place. Of several names for one column the first of the list below counts. RFM_E_NOT_FOUND: names
 * what is missing and what is there. */
int rfm_columns_find(const rfm_bytes *names, size_t count, size_t at[RFM_COLUMN_COUNT], rfm_error *error);
/* 2026-01-31, 20260131, 2026/01/31, 31.01.2026; a time with an offset or in s or ms since 1970, whose day is that of
 * `zone` (NULL: UTC); a time without offset, whose day is its own. RFM_E_MALFORMED. */
int rfm_cell_day(rfm_bytes text, const rfm_zone *zone, int32_t *day, rfm_error *error);
/* 1234.5, 1,234.50, 12,50 (a comma with one or two digits behind it), not negative. RFM_E_MALFORMED, RFM_E_RANGE. */
int rfm_cell_amount(rfm_bytes text, double *amount, rfm_error *error);
rfm_bytes rfm_cell_trim(rfm_bytes text);

#endif
