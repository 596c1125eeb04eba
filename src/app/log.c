#include "log.h"

#include <poll.h>
#include <rfm/base/utf8.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

static _Atomic int level_least = RFM_LOG_INFO;
static _Atomic int line_format = RFM_LOG_LOGFMT;
static _Atomic uint64_t dropped; /* lines, since one was written */

enum { BLOCKED_MS = 1000 };

void rfm_log_setup(rfm_log_level level, rfm_log_format format)
{
    level_least = (int)level;
    line_format = (int)format;
}

/* A reader of the log that has stopped must not stop us: what cannot be written for a second is dropped. */
static bool may_write(void)
{
    static _Atomic bool is_blocked;
    struct pollfd output = {.fd = STDERR_FILENO, .events = POLLOUT};
    bool may = poll(&output, 1, is_blocked ? 0 : BLOCKED_MS) != 0;
    is_blocked = !may;
    return may;
}

static void write_line(rfm_log_level level, const char *message)
{
    char time[RFM_TIME_TEXT], line[4096];
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

void rfm_log(rfm_log_level level, const char *format, ...)
{
    if ((int)level < level_least)
        return;
    if (!may_write()) {
        dropped++;
        return;
    }
    char message[1024];
    uint64_t missing = atomic_exchange(&dropped, 0);
    if (missing > 0) {
        snprintf(message, sizeof message, "%llu lines are missing here: nobody read the log",
                 (unsigned long long)missing);
        write_line(RFM_LOG_WARN, message);
    }
    va_list list;
    va_start(list, format);
    vsnprintf(message, sizeof message, format, list);
    va_end(list);
    write_line(level, message);
}
