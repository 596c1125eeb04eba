#include "signals.h"

#include <errno.h>
#include <poll.h>
#include <rfm/base/time.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* A full counter has rung already. */
static void ring(int event)
{
    const uint64_t once = 1;
    while (write(event, &once, sizeof once) < 0 && errno == EINTR)
        continue;
}

/* True: the first that ends. */
static bool take(rfm_signals *signals, uint32_t number, bool stopped)
{
    bool stops = number != SIGHUP && !stopped;
    if (number == SIGHUP)
        signals->calls.reload(signals->calls.owner);
    if (stops)
        signals->calls.stop(signals->calls.owner, number == SIGTERM ? "SIGTERM" : "SIGINT");
    ring(signals->wake);
    return stops;
}

static void *watch(void *self)
{
    rfm_signals *signals = self;
    struct pollfd fds[] = {{.fd = signals->taken, .events = POLLIN}, {.fd = signals->quit, .events = POLLIN}};
    struct signalfd_siginfo info;
    int64_t until_ms = INT64_MAX;
    while (fds[1].revents == 0) {
        int64_t left_ms = until_ms == INT64_MAX ? -1 : until_ms - rfm_clock_steady_ms();
        if (until_ms != INT64_MAX && left_ms <= 0) {
            signals->calls.late(signals->calls.owner);
            return NULL;
        }
        (void)poll(fds, 2, (int)left_ms);
        while (read(signals->taken, &info, sizeof info) == (ssize_t)sizeof info)
            if (take(signals, info.ssi_signo, until_ms != INT64_MAX))
                until_ms = rfm_clock_steady_ms() + signals->late_ms;
    }
    return NULL;
}

bool rfm_signals_begin(rfm_signals *signals, const rfm_signal_calls *calls, int64_t late_ms)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    *signals = (rfm_signals){.calls = *calls,
                             .late_ms = late_ms,
                             .taken = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC),
                             .wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
                             .quit = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    signals->watched = signals->taken >= 0 && signals->wake >= 0 && signals->quit >= 0 &&
                       pthread_create(&signals->thread, NULL, watch, signals) == 0;
    return signals->watched;
}

void rfm_signals_end(rfm_signals *signals)
{
    if (signals->watched) {
        ring(signals->quit);
        pthread_join(signals->thread, NULL);
    }
    close(signals->taken);
    close(signals->wake);
    close(signals->quit);
}

void rfm_signals_rest(rfm_signals *signals, int timeout_ms)
{
    struct pollfd poll_fd = {.fd = signals->wake, .events = POLLIN};
    uint64_t count;
    if (poll(&poll_fd, 1, timeout_ms) > 0)
        while (read(signals->wake, &count, sizeof count) == (ssize_t)sizeof count)
            continue;
}
