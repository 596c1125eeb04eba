/* System calls that fail as the system's may. Kinds of INJECT_CALLS:
 *
 *   eintr    a signal came before anything was done: calls that may wait, on sockets and files
 *   eagain   a socket that does not block has nothing, or no room, although it was said to
 *   short    less than asked for is read or written: streams and files
 *   reset    the connection is gone: ECONNRESET, EPIPE, ETIMEDOUT or its end, and the socket is really shut
 *   refuse   connect: ECONNREFUSED, ETIMEDOUT or EADDRNOTAVAIL
 *   emfile   no descriptor is left for a socket or what one waits by: EMFILE or ENFILE
 *   files    the same of files
 *   enospc   no room on the disk, of files only
 *   eio      fsync and reads of files
 *   names    getaddrinfo: EAI_AGAIN
 *   threads  pthread_create: EAGAIN
 *   delay    up to 20 ms pass first
 *
 * Not what a kernel never does: eventfds and pipes, of which a lost write is a lost wake-up, have no faults of reading
 * and writing. */
#include "inject.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum kind { EINTR_, EAGAIN_, SHORT_, RESET_, REFUSE_, EMFILE_, FILES_, ENOSPC_, EIO_, NAMES_, THREADS_, DELAY_, KINDS };
static const char *const kind_names[KINDS] = {"eintr", "eagain", "short", "reset", "refuse",  "emfile",
                                              "files", "enospc", "eio",   "names", "threads", "delay"};
static uint32_t per_million[KINDS];
static bool wanted;

enum sort { OTHER, STREAM, REGULAR }; /* of descriptors */

static __attribute__((constructor)) void read_kinds(void)
{
    const char *text = getenv("INJECT_CALLS");
    for (int kind = 0; text && kind < KINDS; kind++) {
        const char *at = strstr(text, kind_names[kind]);
        if (at)
            per_million[kind] = (uint32_t)strtoul(at + strlen(kind_names[kind]) + 1, NULL, 10);
    }
    wanted = text != NULL;
}

static bool strikes(enum kind kind)
{
    if (!wanted || !inject_roll(per_million[kind]) || !inject_armed())
        return false;
    inject_report(kind_names[kind], 0, NULL, 0);
    return true;
}

static void dawdle(void)
{
    if (!strikes(DELAY_))
        return;
    struct timespec pause = {0, (long)inject_draw(20000) * 1000};
    nanosleep(&pause, NULL);
}

static int fail(int code)
{
    errno = code;
    return -1;
}

static int one_of(const int *codes, uint32_t count)
{
    return codes[inject_draw(count)];
}

static enum sort sort_of(int file)
{
    struct stat of;
    int type;
    socklen_t len = sizeof type;
    if (!wanted || fstat(file, &of) != 0)
        return OTHER;
    if (S_ISREG(of.st_mode))
        return REGULAR;
    if (S_ISSOCK(of.st_mode) && getsockopt(file, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM)
        return STREAM;
    return OTHER;
}

/* What befalls reading or writing: 0 nothing, -1 with errno, 1 the end of the stream (of reads). `len` may be made
 * less. */
static int befalls(int file, bool writing, size_t *len)
{
    static const int gone[] = {ECONNRESET, ETIMEDOUT, EPIPE};
    enum sort sort = sort_of(file);
    if (sort == OTHER)
        return 0;
    dawdle();
    if (sort == STREAM && strikes(RESET_)) {
        shutdown(file, SHUT_RDWR);
        uint32_t way = inject_draw(writing ? 3 : 2); /* reads know no broken pipe, but an end */
        return !writing && way == 1 ? 1 : fail(gone[way]);
    }
    if (sort == STREAM && (fcntl(file, F_GETFL) & O_NONBLOCK) && strikes(EAGAIN_))
        return fail(EAGAIN);
    if (sort == REGULAR && writing && strikes(ENOSPC_))
        return fail(ENOSPC);
    if (sort == REGULAR && !writing && strikes(EIO_))
        return fail(EIO);
    if (strikes(EINTR_))
        return fail(EINTR);
    if (*len > 1 && strikes(SHORT_))
        *len = 1 + inject_draw((uint32_t)(*len - 1 < 1 << 20 ? *len - 1 : 1 << 20));
    return 0;
}

/* A single transfer, in the ways in which it may be asked for; the checked ones are what fortified programs call. */
#define TRANSFER(name, writing, declared, given) \
    ssize_t name declared;                       \
    NEXT(name)                                   \
    ssize_t name declared                        \
    {                                            \
        int fate = befalls(file, writing, &len); \
        if (fate != 0)                           \
            return fate < 0 ? -1 : 0;            \
        return name##_of_system() given;         \
    }
TRANSFER(read, false, (int file, void *at, size_t len), (file, at, len))
TRANSFER(__read_chk, false, (int file, void *at, size_t len, size_t room), (file, at, len, room))
TRANSFER(write, true, (int file, const void *at, size_t len), (file, at, len))
TRANSFER(recv, false, (int file, void *at, size_t len, int flags), (file, at, len, flags))
TRANSFER(__recv_chk, false, (int file, void *at, size_t len, size_t room, int flags), (file, at, len, room, flags))
TRANSFER(send, true, (int file, const void *at, size_t len, int flags), (file, at, len, flags))

/* Of several pieces, a short one moves part of the first. */
static int befalls_pieces(int file, bool writing, const struct iovec *pieces, int *count, struct iovec *first)
{
    *first = *count > 0 ? pieces[0] : (struct iovec){NULL, 0};
    size_t len = first->iov_len;
    int fate = befalls(file, writing, &len);
    if (fate == 0 && len < first->iov_len)
        first->iov_len = len, *count = 1;
    return fate;
}

NEXT(readv)
ssize_t readv(int file, const struct iovec *pieces, int count)
{
    struct iovec first;
    int all = count, fate = befalls_pieces(file, false, pieces, &count, &first);
    if (fate != 0)
        return fate < 0 ? -1 : 0;
    return readv_of_system()(file, count < all || all == 1 ? &first : pieces, count);
}

NEXT(writev)
ssize_t writev(int file, const struct iovec *pieces, int count)
{
    struct iovec first;
    int all = count;
    if (befalls_pieces(file, true, pieces, &count, &first) != 0)
        return -1;
    return writev_of_system()(file, count < all || all == 1 ? &first : pieces, count);
}

static int befalls_message(int file, bool writing, struct msghdr *message, struct iovec *first)
{
    int count = (int)message->msg_iovlen, fate = befalls_pieces(file, writing, message->msg_iov, &count, first);
    if (fate == 0 && first->iov_len < (message->msg_iovlen > 0 ? message->msg_iov[0].iov_len : 0))
        message->msg_iov = first, message->msg_iovlen = 1;
    return fate;
}

NEXT(sendmsg)
ssize_t sendmsg(int file, const struct msghdr *message, int flags)
{
    struct msghdr copy = *message;
    struct iovec first;
    if (befalls_message(file, true, &copy, &first) != 0)
        return -1;
    return sendmsg_of_system()(file, &copy, flags);
}

NEXT(recvmsg)
ssize_t recvmsg(int file, struct msghdr *message, int flags)
{
    struct msghdr copy = *message;
    struct iovec first;
    int fate = befalls_message(file, false, &copy, &first);
    if (fate != 0)
        return fate < 0 ? -1 : 0;
    ssize_t got = recvmsg_of_system()(file, &copy, flags);
    copy.msg_iov = message->msg_iov, copy.msg_iovlen = message->msg_iovlen;
    *message = copy;
    return got;
}

NEXT(poll)
int poll(struct pollfd *files, nfds_t count, int timeout_ms)
{
    return strikes(EINTR_) ? fail(EINTR) : poll_of_system()(files, count, timeout_ms);
}

NEXT(epoll_wait)
int epoll_wait(int file, struct epoll_event *events, int count, int timeout_ms)
{
    return strikes(EINTR_) ? fail(EINTR) : epoll_wait_of_system()(file, events, count, timeout_ms);
}

NEXT(epoll_pwait)
int epoll_pwait(int file, struct epoll_event *events, int count, int timeout_ms, const sigset_t *mask)
{
    return strikes(EINTR_) ? fail(EINTR) : epoll_pwait_of_system()(file, events, count, timeout_ms, mask);
}

NEXT(connect)
int connect(int file, const struct sockaddr *address, socklen_t len)
{
    static const int refused[] = {ECONNREFUSED, ETIMEDOUT, EADDRNOTAVAIL};
    dawdle();
    return strikes(REFUSE_) ? fail(one_of(refused, 3)) : connect_of_system()(file, address, len);
}

static bool no_descriptor(enum kind kind)
{
    static const int full[] = {EMFILE, ENFILE};
    return strikes(kind) && fail(one_of(full, 2));
}

NEXT(accept)
int accept(int file, struct sockaddr *restrict address, socklen_t *restrict address_len)
{
    return no_descriptor(EMFILE_) ? -1 : accept_of_system()(file, address, address_len);
}

NEXT(accept4)
int accept4(int file, struct sockaddr *restrict address, socklen_t *restrict address_len, int flags)
{
    return no_descriptor(EMFILE_) ? -1 : accept4_of_system()(file, address, address_len, flags);
}

NEXT(socket)
int socket(int domain, int type, int protocol)
{
    return no_descriptor(EMFILE_) ? -1 : socket_of_system()(domain, type, protocol);
}

NEXT(eventfd)
int eventfd(unsigned value, int flags)
{
    return no_descriptor(EMFILE_) ? -1 : eventfd_of_system()(value, flags);
}

NEXT(epoll_create1)
int epoll_create1(int flags)
{
    return no_descriptor(EMFILE_) ? -1 : epoll_create1_of_system()(flags);
}

NEXT(pipe2)
int pipe2(int files[2], int flags)
{
    return no_descriptor(EMFILE_) ? -1 : pipe2_of_system()(files, flags);
}

static mode_t mode_of(int flags, va_list list)
{
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0;
}

#define OPEN(name)                                                                 \
    NEXT(name)                                                                     \
    int name(const char *path, int flags, ...)                                     \
    {                                                                              \
        va_list list;                                                              \
        va_start(list, flags);                                                     \
        mode_t mode = mode_of(flags, list);                                        \
        va_end(list);                                                              \
        if (strikes(EINTR_))                                                       \
            return fail(EINTR);                                                    \
        return no_descriptor(FILES_) ? -1 : name##_of_system()(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

NEXT(fsync)
int fsync(int file)
{
    return strikes(EIO_) ? fail(EIO) : fsync_of_system()(file);
}

NEXT(getaddrinfo)
int getaddrinfo(const char *restrict host, const char *restrict service, const struct addrinfo *restrict hints,
                struct addrinfo **restrict found)
{
    dawdle();
    return strikes(NAMES_) ? EAI_AGAIN : getaddrinfo_of_system()(host, service, hints, found);
}

NEXT(pthread_create)
int pthread_create(pthread_t *restrict thread, const pthread_attr_t *restrict attributes, void *(*begin)(void *),
                   void *restrict argument)
{
    return strikes(THREADS_) ? EAGAIN : pthread_create_of_system()(thread, attributes, begin, argument);
}
