/* The report on the business: what it is asked for, and its sums from wherever the tasks' keys are kept. */
#ifndef RFM_APP_REPORT_H
#define RFM_APP_REPORT_H

#include "command.h"

#include <rfm/client/kpi_report.h>
#include <rfm/engine/view.h>
#include <stdio.h>

typedef enum rfm_report_format { RFM_REPORT_TEXT, RFM_REPORT_CSV, RFM_REPORT_JSON } rfm_report_format;
/* Five options, in this order. */
enum { RFM_REPORT_BY, RFM_REPORT_FROM, RFM_REPORT_TO, RFM_REPORT_SOURCE, RFM_REPORT_FORMAT, RFM_REPORT_OPTIONS };
/* False: told on standard error. Without from and to: the 12 months, or 30 days, until as_of. */
bool rfm_report_query(const char *command, const rfm_option *options, const rfm_config *config, int64_t as_of_ms,
                      rfm_kpi_query *query);
bool rfm_report_format_of(const char *command, const rfm_option *option, rfm_report_format *format);

/* One task's sums and expectations. RFM_E_CORRUPT, RFM_E_VERSION. */
int rfm_report_add_view(rfm_kpi_sums *sums, const rfm_view *view, const rfm_config *config, int64_t as_of_ms,
                        rfm_error *error);
int rfm_report_write(FILE *file, const rfm_kpi_sums *sums, const rfm_kpi_query *query, const rfm_config *config,
                     rfm_report_format format, rfm_error *error);

#endif
