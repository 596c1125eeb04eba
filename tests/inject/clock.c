/* A wall clock that is set while the program runs. Whoever waits until a moment of it is told when it comes, or when
 * the clock has been set beyond it, as by the system's own. */
#include "inject.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

enum { SLICE_NS = 20 * 1000 * 1000, STEADY_S_MAX = 1000000000 };

NEXT(clock_gettime)
NEXT(pthread_cond_timedwait)
NEXT(cnd_timedwait)

static int64_t moved_ns(void)
{
    static const int64_t still, *volatile offset;
    if (offset)
        return *offset;
    const char *path = getenv("INJECT_CLOCK");
    long file = path ? syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC) : -1;
    void *at = file >= 0 ? mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, (int)file, 0) : MAP_FAILED;
    if (file >= 0)
        syscall(SYS_close, file);
    offset = at == MAP_FAILED ? &still : at;
    return *offset;
}

static struct timespec plus(struct timespec time, int64_t ns)
{
    int64_t sum = (int64_t)time.tv_sec * 1000000000 + time.tv_nsec + ns;
    return (struct timespec){sum / 1000000000, sum % 1000000000};
}

static int64_t ns_of(struct timespec time)
{
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = clock_gettime_of_system()(clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        *now = plus(*now, moved_ns());
    return result;
}

int gettimeofday(struct timeval *now, void *zone)
{
    struct timespec time;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &time);
    *now = (struct timeval){time.tv_sec, time.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *now)
{
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    if (now)
        *now = time.tv_sec;
    return time.tv_sec;
}

int timespec_get(struct timespec *now, int base)
{
    return base == TIME_UTC && clock_gettime(CLOCK_REALTIME, now) == 0 ? base : 0;
}

/* The end of the next slice by the system's own clock; false: it is the last, as the moment lies within it. */
static bool next_slice(const struct timespec *until, struct timespec *end)
{
    struct timespec now;
    clock_gettime_of_system()(CLOCK_REALTIME, &now);
    int64_t left = ns_of(*until) - ns_of(plus(now, moved_ns()));
    *end = plus(now, left < SLICE_NS ? left : SLICE_NS);
    return left > SLICE_NS;
}

/* Conditions of the monotonic clock have moments soon after its beginning. */
int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *until)
{
    struct timespec end;
    bool more;
    int result;
    if (until->tv_sec < STEADY_S_MAX)
        return pthread_cond_timedwait_of_system()(condition, mutex, until);
    do {
        more = next_slice(until, &end);
        result = pthread_cond_timedwait_of_system()(condition, mutex, &end);
    } while (result == ETIMEDOUT && more);
    return result;
}

int cnd_timedwait(cnd_t *condition, mtx_t *mutex, const struct timespec *until)
{
    struct timespec end;
    bool more;
    int result;
    do {
        more = next_slice(until, &end);
        result = cnd_timedwait_of_system()(condition, mutex, &end);
    } while (result == thrd_timedout && more);
    return result;
}
