/* ThreadSanitizer knows POSIX threads, but librdkafka uses those of C11, of which it sees nothing: it crashes in the
 * first thread. In its builds these definitions, which take precedence over the C library's, lead from the one to the
 * other. */
#include "client.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#endif

#if defined(UNDER_TSAN)

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <threads.h>

_Static_assert(sizeof(mtx_t) == sizeof(pthread_mutex_t), "a mutex is the same in both");
_Static_assert(sizeof(cnd_t) == sizeof(pthread_cond_t), "a condition is the same in both");
_Static_assert(sizeof(thrd_t) == sizeof(pthread_t), "a thread is the same in both");

/* librdkafka synchronizes by atomics that ThreadSanitizer does not see: to it, the last one to let go frees what others
 * hold, and a lock is taken before it was made. So the accesses that librdkafka itself makes through intercepted calls
 * are not looked at, nor those to its locks below. Its locks are seen all the same, and so is what it calls of ours. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "called_from_lib:librdkafka.so\nrace:^mtx_\nrace:^cnd_\n";
}

typedef struct beginning {
    thrd_start_t function;
    void *argument;
} beginning;

static int result_of(int code)
{
    return code == 0 ? thrd_success : code == ETIMEDOUT ? thrd_timedout : code == EBUSY ? thrd_busy : thrd_error;
}

static void *begin(void *given)
{
    beginning of = *(beginning *)given;
    free(given);
    return (void *)(intptr_t)of.function(of.argument);
}

int thrd_create(thrd_t *thread, thrd_start_t function, void *argument)
{
    beginning *given = malloc(sizeof *given);
    if (given == NULL)
        return thrd_nomem;
    *given = (beginning){function, argument};
    int code = pthread_create(thread, NULL, begin, given);
    if (code != 0)
        free(given);
    return result_of(code);
}

int thrd_join(thrd_t thread, int *result)
{
    void *given;
    int code = pthread_join(thread, &given);
    if (code == 0 && result)
        *result = (int)(intptr_t)given;
    return result_of(code);
}

thrd_t thrd_current(void)
{
    return pthread_self();
}

int mtx_init(mtx_t *mutex, int type)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    if (type & mtx_recursive)
        pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    int code = pthread_mutex_init((pthread_mutex_t *)mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
    return result_of(code);
}

int mtx_lock(mtx_t *mutex)
{
    return result_of(pthread_mutex_lock((pthread_mutex_t *)mutex));
}

int mtx_trylock(mtx_t *mutex)
{
    return result_of(pthread_mutex_trylock((pthread_mutex_t *)mutex));
}

int mtx_unlock(mtx_t *mutex)
{
    return result_of(pthread_mutex_unlock((pthread_mutex_t *)mutex));
}

void mtx_destroy(mtx_t *mutex)
{
    pthread_mutex_destroy((pthread_mutex_t *)mutex);
}

int cnd_init(cnd_t *condition)
{
    return result_of(pthread_cond_init((pthread_cond_t *)condition, NULL));
}

int cnd_signal(cnd_t *condition)
{
    return result_of(pthread_cond_signal((pthread_cond_t *)condition));
}

int cnd_broadcast(cnd_t *condition)
{
    return result_of(pthread_cond_broadcast((pthread_cond_t *)condition));
}

int cnd_wait(cnd_t *condition, mtx_t *mutex)
{
    return result_of(pthread_cond_wait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex));
}

int cnd_timedwait(cnd_t *condition, mtx_t *mutex, const struct timespec *until)
{
    return result_of(pthread_cond_timedwait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex, until));
}

void cnd_destroy(cnd_t *condition)
{
    pthread_cond_destroy((pthread_cond_t *)condition);
}

#endif

/* Called, so that the linker takes this file along. */
void rfm__threads_seen(void)
{
}
