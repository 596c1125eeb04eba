#include "log.h"

#include <rfm/base/utf8.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

static _Atomic int level_least = RFM_LOG_INFO;
static _Atomic int line_format = RFM_LOG_LOGFMT;

void rfm_log_setup(rfm_log_level level, rfm_log_format format)
{
    level_least = (int)level;
    line_format = (int)format;
}

void rfm_log(rfm_log_level level, const char *format, ...)
{
    if ((int)level < level_least)
        return;
    char message[1024], time[RFM_TIME_TEXT], line[4096];
    va_list list;
    va_start(list, format);
    vsnprintf(message, sizeof message, format, list);
    va_end(list);
    rfm_time_format(rfm_clock_wall_ms(), time);
    bool json = line_format == RFM_LOG_JSON;
    rfm_buffer out = rfm_buffer_over(line, sizeof line);
    rfm_write_format(&out, json ? "{\"time\":\"%s\",\"level\":\"%s\",\"msg\":" : "time=%s level=%s msg=", time,
                     rfm_log_level_name(level));
    rfm_write_json_string(&out, rfm_text(message));
    rfm_write_text(&out, json ? "}\n" : "\n");
    if (out.bad)
        return; /* cannot be: a message of 1 KiB takes at most 3 KiB more */
    ssize_t written = write(STDERR_FILENO, out.at, out.len); /* one call, so that lines of threads do not mix */
    (void)written;
}
