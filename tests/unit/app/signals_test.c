#include "app/signals.h"

#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct heard {
    int reloads, stops, lates;
    char name[16];
    sem_t told;
};

static void on_reload(void *owner)
{
    struct heard *heard = owner;
    heard->reloads++;
    sem_post(&heard->told);
}

static void on_stop(void *owner, const char *name)
{
    struct heard *heard = owner;
    heard->stops++;
    strncpy(heard->name, name, sizeof heard->name - 1);
    sem_post(&heard->told);
}

static void on_late(void *owner)
{
    struct heard *heard = owner;
    heard->lates++;
    sem_post(&heard->told);
}

static void begin(rfm_signals *signals, struct heard *heard, int64_t late_ms)
{
    *heard = (struct heard){0};
    sem_init(&heard->told, 0, 0);
    assert_true(rfm_signals_begin(signals, &(rfm_signal_calls){on_reload, on_stop, on_late, heard}, late_ms));
}

static void send(struct heard *heard, int number)
{
    kill(getpid(), number);
    sem_wait(&heard->told);
}

static void each_signal_calls_its_own(void **state)
{
    (void)state;
    rfm_signals signals;
    struct heard heard;
    begin(&signals, &heard, 3600000);
    send(&heard, SIGHUP);
    send(&heard, SIGHUP);
    send(&heard, SIGINT);
    kill(getpid(), SIGTERM); /* it is ending already */
    send(&heard, SIGHUP);
    rfm_signals_end(&signals);
    assert_int_equal(heard.reloads, 3);
    assert_int_equal(heard.stops, 1);
    assert_string_equal(heard.name, "SIGINT");
    assert_int_equal(heard.lates, 0);
}

/* Without the signal it would rest for an hour. */
static void who_rests_is_woken(void **state)
{
    (void)state;
    rfm_signals signals;
    struct heard heard;
    begin(&signals, &heard, 3600000);
    kill(getpid(), SIGHUP);
    rfm_signals_rest(&signals, 3600000);
    kill(getpid(), SIGTERM);
    rfm_signals_rest(&signals, 3600000);
    rfm_signals_end(&signals);
    assert_int_equal(heard.reloads, 1);
    assert_string_equal(heard.name, "SIGTERM");
}

static void an_end_that_takes_too_long_is_told(void **state)
{
    (void)state;
    rfm_signals signals;
    struct heard heard;
    begin(&signals, &heard, 1);
    send(&heard, SIGTERM);
    sem_wait(&heard.told);
    rfm_signals_end(&signals);
    assert_int_equal(heard.stops, 1);
    assert_int_equal(heard.lates, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_signal_calls_its_own),
        cmocka_unit_test(who_rests_is_woken),
        cmocka_unit_test(an_end_that_takes_too_long_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
