/* The report on the business: figures derived from the sums of all tasks (kpi.h), as sheets of rows that any writer can
 * put out. Pure: whoever has the hashes gives them, whoever wants text writes it. */
#ifndef RFM_CLIENT_KPI_REPORT_H
#define RFM_CLIENT_KPI_REPORT_H

#include <rfm/base/arena.h>
#include <rfm/client/kpi.h>
#include <rfm/client/population.h>

/* What all tasks come to. Their numbers of names differ: here they are those of `names`. */
typedef struct rfm_kpi_sums {
    rfm_tally *tally;
    rfm_names *names;
    rfm_population *population;
    double *predicted_minor; /* by source's number: what clients are expected to bring; NULL: not known */
} rfm_kpi_sums;
void rfm_kpi_sums_init(rfm_kpi_sums *sums);
void rfm_kpi_sums_release(rfm_kpi_sums *sums);
/* A task's hash `n:kpi`: field, value, ... RFM_E_CORRUPT. */
int rfm_kpi_sums_add(rfm_kpi_sums *sums, const rfm_names *names, const rfm_bytes *values, size_t count);
/* A client's expected value, for those who walk over the states: it depends on the clock and is kept nowhere. */
void rfm_kpi_sums_expect(rfm_kpi_sums *sums, const rfm_names *names, const rfm_client *client,
                         const rfm_client_conf *conf, int64_t as_of_ms);

typedef struct rfm_kpi_query {
    bool by_day;
    int32_t from, to;   /* days, or months since January 1970; both included */
    const char *source; /* NULL: all; not by day */
    double margin;      /* of revenue, for lifetime values */
    int64_t as_of_ms;
} rfm_kpi_query;
enum { RFM_KPI_PERIODS_MAX = 4000 };

typedef enum rfm_figure_kind {
    RFM_FIGURE_COUNT,
    RFM_FIGURE_MONEY,
    RFM_FIGURE_SHARE,
    RFM_FIGURE_NUMBER
} rfm_figure_kind;
typedef struct rfm_figure {
    bool known;
    int64_t whole; /* COUNT; MONEY: minor units */
    double number; /* SHARE, NUMBER */
} rfm_figure;
typedef struct rfm_column {
    const char *name;
    rfm_figure_kind kind;
} rfm_column;
typedef struct rfm_sheet {
    const char *name, *key; /* what the sheet is, and what its rows are */
    const rfm_column *columns;
    size_t column_count, row_count;
    rfm_bytes *keys;     /* at NULL: no name */
    rfm_figure *figures; /* row by row */
    /* Against the row before, which the first has as well: by how much of it counts, money and numbers have changed, by
     * how much shares differ. NULL: rows do not follow each other. */
    rfm_figure *changes;
} rfm_sheet;

enum { RFM_SHEETS_MAX = 9 };
typedef struct rfm_kpi_report {
    rfm_arena arena;
    rfm_kpi_query query;
    rfm_sheet sheets[RFM_SHEETS_MAX];
    size_t sheet_count;
} rfm_kpi_report;
/* RFM_E_NOT_FOUND: no client has come from this source; RFM_E_RANGE: no period, or too many. To be released in any
 * case. */
int rfm_kpi_report_init(rfm_kpi_report *report, const rfm_kpi_sums *sums, const rfm_kpi_query *query, rfm_error *error);
void rfm_kpi_report_release(rfm_kpi_report *report);
/* One object, one line, without its end: the sheets by their names, each a list of rows. */
void rfm_kpi_report_json(const rfm_kpi_report *report, const rfm_money_conf *money, rfm_buffer *json);

#endif
