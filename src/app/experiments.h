/* Experiments as tables for people, as CSV (rule, arm, figure, value) and as JSON. */
#ifndef RFM_APP_EXPERIMENTS_H
#define RFM_APP_EXPERIMENTS_H

#include "report.h"

#include <rfm/rule/evaluation.h>

int rfm_experiments_write(FILE *file, const rfm_kpi_sums *sums, int64_t as_of_ms, const rfm_config *config,
                          rfm_report_format format, rfm_error *error);

#endif
