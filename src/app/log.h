/* The program's log: one line each on standard error, logfmt or JSON. Any thread. Never given a secret. */
#ifndef RFM_APP_LOG_H
#define RFM_APP_LOG_H

#include "config/config.h"

void rfm_log_setup(rfm_log_level level, rfm_log_format format);
void rfm_log(rfm_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
