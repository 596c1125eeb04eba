/* A report as tables for people and as CSV: sheet, row, figure, value, change. */
#ifndef RFM_APP_REPORT_TEXT_H
#define RFM_APP_REPORT_TEXT_H

#include <rfm/client/kpi_report.h>

void rfm_report_text(const rfm_kpi_report *report, const rfm_money_conf *money, rfm_buffer *text);
void rfm_report_csv(const rfm_kpi_report *report, const rfm_money_conf *money, rfm_buffer *csv);

#endif
