/* SIGTERM, SIGINT and SIGHUP, taken by a thread of their own: the main one may be held up by a name server, by Kafka or
 * by Redis. It wakes who rests. SIGPIPE is ignored. */
#ifndef RFM_APP_SIGNALS_H
#define RFM_APP_SIGNALS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct rfm_signal_calls {                /* on that thread */
    void (*reload)(void *owner);                 /* SIGHUP */
    void (*stop)(void *owner, const char *name); /* the first SIGTERM or SIGINT */
    void (*late)(void *owner);                   /* `late_ms` after that: it is still there, and is to leave */
    void *owner;
} rfm_signal_calls;
typedef struct rfm_signals {
    rfm_signal_calls calls;
    int64_t late_ms;
    int taken, wake, quit; /* a signalfd; eventfds for who rests and for the thread */
    pthread_t thread;
    bool watched;
} rfm_signals;

/* Blocks the signals in this thread, and so in those that it starts from now on. False: no thread or file descriptor is
 * left, so that nothing is watched; it is to be ended all the same. */
bool rfm_signals_begin(rfm_signals *signals, const rfm_signal_calls *calls, int64_t late_ms);
void rfm_signals_end(rfm_signals *signals);
/* For so long, or until a signal has come. */
void rfm_signals_rest(rfm_signals *signals, int timeout_ms);

#endif
