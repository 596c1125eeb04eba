#include "wire.h"

#include "tls.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    READ_BYTES = 64 * 1024,
    READS_MAX = 16,                    /* then the loop's other handles have a turn */
    OUT_BYTES_KEPT_MAX = 1 << 20,      /* a larger buffer is given back once it is sent */
    OUT_BYTES_TO_MOVE_MIN = 64 * 1024, /* sent bytes stay in the buffer until there are so many */
};

typedef enum phase { CONNECTING, GREETING, READY, BROKEN, CLOSED } phase;

struct rfm_wire {
    uv_loop_t *loop;
    const rfm_endpoint *endpoint;
    SSL_CTX *tls;
    const rfm_wire_calls *calls;
    void *owner;
    uint32_t attempt;
    phase phase;
    int fd, events;
    bool polled, looked_up; /* the handle, the request is the loop's */
    bool write_waits_for_input, read_waits_for_room, answered;
    uv_poll_t poll;
    uv_getaddrinfo_t lookup;
    SSL *session;
    rfm_buffer out;
    size_t sent;
    rfm_reply_reader replies;
    uint64_t moved_ns;
};

static void break_off(rfm_wire *wire, const char *why)
{
    char text[256];
    if (wire->phase >= BROKEN)
        return;
    /* In TLS 1.3 a server that misses a certificate ends a connection that seemed to be made, often without a word. */
    if (wire->session && wire->phase == READY && !wire->answered && !SSL_get_certificate(wire->session)) {
        snprintf(text, sizeof text, "%s (if it asks for a certificate: redis.cert_file)", why);
        why = text;
    }
    wire->phase = BROKEN;
    if (wire->polled)
        uv_poll_stop(&wire->poll);
    wire->calls->broken(wire->owner, why);
}

static void free_when_let_go(rfm_wire *wire)
{
    if (wire->phase != CLOSED || wire->polled || wire->looked_up)
        return;
    SSL_free(wire->session);
    if (wire->fd >= 0)
        close(wire->fd);
    rfm__reply_reader_release(&wire->replies);
    rfm_buffer_release(&wire->out);
    free(wire);
}

static void on_poll_closed(uv_handle_t *handle)
{
    rfm_wire *wire = handle->data;
    wire->polled = false;
    free_when_let_go(wire);
}

void rfm__wire_close(rfm_wire *wire)
{
    RFM_ASSERT(wire->phase != CLOSED);
    wire->phase = CLOSED;
    if (wire->polled) {
        uv_poll_stop(&wire->poll);
        uv_close((uv_handle_t *)&wire->poll, on_poll_closed);
    }
    if (wire->looked_up)
        uv_cancel((uv_req_t *)&wire->lookup);
    free_when_let_go(wire);
}

static void on_poll(uv_poll_t *poll, int status, int events);

static void watch(rfm_wire *wire)
{
    bool waits = wire->phase == CONNECTING || wire->read_waits_for_room ||
                 (wire->phase == READY && wire->sent < wire->out.len && !wire->write_waits_for_input);
    int events = (wire->phase == CONNECTING ? 0 : UV_READABLE) | (waits ? UV_WRITABLE : 0);
    if (wire->phase >= BROKEN || events == wire->events)
        return;
    wire->events = events;
    uv_poll_start(&wire->poll, events, on_poll);
}

/* Bytes moved, 0: not now, -1: broken off. */
static ssize_t moved(rfm_wire *wire, ssize_t count)
{
    if (count > 0) {
        wire->moved_ns = uv_hrtime();
        return count;
    }
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return 0;
    break_off(wire, count == 0 ? "it closed the connection" : strerror(errno));
    return -1;
}

static ssize_t tls_moved(rfm_wire *wire, int result, bool in)
{
    char why[160];
    if (result > 0)
        return moved(wire, result);
    switch (SSL_get_error(wire->session, result)) {
    case SSL_ERROR_WANT_READ: wire->write_waits_for_input = !in; return 0;
    case SSL_ERROR_WANT_WRITE: wire->read_waits_for_room = in; return 0;
    case SSL_ERROR_ZERO_RETURN: break_off(wire, "it closed the connection"); return -1;
    default:
        rfm__tls_why(wire->session, why, sizeof why);
        break_off(wire, why);
        return -1;
    }
}

static ssize_t receive(rfm_wire *wire, uint8_t *at, size_t size)
{
    if (!wire->session)
        return moved(wire, recv(wire->fd, at, size, 0));
    wire->read_waits_for_room = false;
    ERR_clear_error();
    errno = 0;
    return tls_moved(wire, SSL_read(wire->session, at, (int)size), true);
}

static ssize_t transmit(rfm_wire *wire, const uint8_t *at, size_t len)
{
    enum { AT_ONCE_MAX = 1 << 24 };
    if (len > AT_ONCE_MAX)
        len = AT_ONCE_MAX;
    if (!wire->session)
        return moved(wire, send(wire->fd, at, len, MSG_NOSIGNAL));
    wire->write_waits_for_input = false;
    ERR_clear_error();
    errno = 0;
    return tls_moved(wire, SSL_write(wire->session, at, (int)len), false);
}

void rfm__wire_flush(rfm_wire *wire)
{
    if (wire->phase != READY)
        return;
    if (wire->out.bad) {
        break_off(wire, "more is to be sent than has room in memory");
        return;
    }
    while (wire->sent < wire->out.len) {
        ssize_t count = transmit(wire, wire->out.at + wire->sent, wire->out.len - wire->sent);
        if (count < 0)
            return;
        if (count == 0)
            break;
        wire->sent += (size_t)count;
    }
    if (wire->sent == wire->out.len) {
        wire->sent = 0;
        rfm_buffer_clear(&wire->out);
        if (wire->out.size > OUT_BYTES_KEPT_MAX)
            rfm_buffer_release(&wire->out);
    }
    watch(wire);
}

rfm_buffer *rfm__wire_out(rfm_wire *wire)
{
    if (wire->sent >= OUT_BYTES_TO_MOVE_MIN && wire->sent > wire->out.len / 2) {
        wire->out.len -= wire->sent;
        memmove(wire->out.at, wire->out.at + wire->sent, wire->out.len);
        wire->sent = 0;
    }
    return &wire->out;
}

static bool hand_over(rfm_wire *wire)
{
    for (;;) {
        const rfm_reply *reply;
        rfm_error error;
        if (rfm__reply_next(&wire->replies, &reply, &error)) {
            break_off(wire, error.message);
            return false;
        }
        if (!reply)
            return true;
        wire->answered = true;
        wire->calls->reply(wire->owner, reply);
        if (wire->phase != READY)
            return false;
    }
}

static void read_replies(rfm_wire *wire)
{
    uint8_t bytes[READ_BYTES];
    for (int i = 0; i < READS_MAX || (wire->session && SSL_pending(wire->session) > 0); i++) {
        ssize_t count = receive(wire, bytes, sizeof bytes);
        if (count <= 0)
            return;
        if (rfm__reply_feed(&wire->replies, rfm_bytes_of(bytes, (size_t)count))) {
            break_off(wire, "a reply is too large");
            return;
        }
        if (!hand_over(wire))
            return;
        if ((size_t)count < sizeof bytes && !wire->session)
            return;
    }
}

static void become_ready(rfm_wire *wire)
{
    wire->phase = READY;
    wire->moved_ns = uv_hrtime();
    watch(wire);
    wire->calls->ready(wire->owner);
}

static void greet(rfm_wire *wire)
{
    ERR_clear_error();
    errno = 0;
    int result = SSL_do_handshake(wire->session);
    if (result == 1) {
        wire->read_waits_for_room = false;
        become_ready(wire);
        return;
    }
    char why[160], text[192];
    switch (SSL_get_error(wire->session, result)) {
    case SSL_ERROR_WANT_READ: wire->read_waits_for_room = false; break;
    case SSL_ERROR_WANT_WRITE: wire->read_waits_for_room = true; break;
    default:
        rfm__tls_why(wire->session, why, sizeof why);
        snprintf(text, sizeof text, "TLS: %s", why);
        break_off(wire, text);
        return;
    }
    watch(wire);
}

static void on_connected(rfm_wire *wire)
{
    int trouble = 0;
    socklen_t len = sizeof trouble;
    if (getsockopt(wire->fd, SOL_SOCKET, SO_ERROR, &trouble, &len) != 0)
        trouble = errno;
    if (trouble) {
        break_off(wire, strerror(trouble));
        return;
    }
    if (!wire->tls) {
        become_ready(wire);
        return;
    }
    wire->session = rfm__tls_session(wire->tls, wire->endpoint->host);
    if (!wire->session || !SSL_set_fd(wire->session, wire->fd)) {
        break_off(wire, "TLS: out of memory");
        return;
    }
    wire->phase = GREETING;
    greet(wire);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    rfm_wire *wire = poll->data;
    int trouble = 0;
    socklen_t len = sizeof trouble;
    if (status < 0) /* libuv says EBADF for every error of a socket; the socket knows better */
        getsockopt(wire->fd, SOL_SOCKET, SO_ERROR, &trouble, &len);
    if (status < 0)
        break_off(wire, trouble != 0 ? strerror(trouble) : uv_strerror(status));
    else if (wire->phase == CONNECTING)
        on_connected(wire);
    else if (wire->phase == GREETING)
        greet(wire);
    else if (wire->phase == READY) {
        bool both = wire->session != NULL; /* a read may have been what a write waited for, and the other way round */
        if (events & UV_READABLE || both)
            read_replies(wire);
        if (wire->phase == READY && (events & UV_WRITABLE || both))
            rfm__wire_flush(wire);
    }
    if (wire->phase < BROKEN)
        watch(wire);
}

/* 0: connected or under way; else errno. */
static int connect_to(rfm_wire *wire, const struct sockaddr *address, socklen_t len)
{
    int on = 1;
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    if (address->sa_family != AF_UNIX) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    }
    int trouble = connect(fd, address, len) == 0 || errno == EINPROGRESS ? 0 : errno;
    if (!trouble && uv_poll_init(wire->loop, &wire->poll, fd) != 0)
        trouble = EMFILE;
    if (trouble) {
        close(fd);
        return trouble;
    }
    wire->fd = fd;
    wire->polled = true;
    wire->poll.data = wire;
    watch(wire);
    return 0;
}

static void on_found(uv_getaddrinfo_t *lookup, int status, struct addrinfo *addresses)
{
    rfm_wire *wire = lookup->data;
    wire->looked_up = false;
    if (wire->phase == CLOSED) {
        uv_freeaddrinfo(addresses);
        free_when_let_go(wire);
        return;
    }
    uint32_t count = 0, skipped = 0;
    int trouble = EADDRNOTAVAIL;
    for (const struct addrinfo *at = addresses; at; at = at->ai_next)
        count++;
    for (uint32_t i = 0; i < count && trouble; i++) {
        const struct addrinfo *at = addresses;
        for (skipped = (wire->attempt + i) % count; skipped; skipped--)
            at = at->ai_next;
        trouble = connect_to(wire, at->ai_addr, at->ai_addrlen);
    }
    uv_freeaddrinfo(addresses);
    if (trouble)
        break_off(wire, status < 0 ? uv_strerror(status) : strerror(trouble));
}

static int connect_local(rfm_wire *wire)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", wire->endpoint->host);
    return connect_to(wire, (const struct sockaddr *)&address, sizeof address);
}

static int connect_remote(rfm_wire *wire)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    char port[8];
    if (uv_ip4_addr(wire->endpoint->host, wire->endpoint->port, &v4) == 0)
        return connect_to(wire, (const struct sockaddr *)&v4, sizeof v4);
    if (uv_ip6_addr(wire->endpoint->host, wire->endpoint->port, &v6) == 0)
        return connect_to(wire, (const struct sockaddr *)&v6, sizeof v6);
    static const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    snprintf(port, sizeof port, "%u", wire->endpoint->port);
    wire->lookup.data = wire;
    if (uv_getaddrinfo(wire->loop, &wire->lookup, on_found, wire->endpoint->host, port, &hints) != 0)
        return EINVAL;
    wire->looked_up = true;
    return 0;
}

int rfm__wire_new(uv_loop_t *loop, const rfm_wire_conf *conf, const rfm_wire_calls *calls, void *owner, rfm_wire **wire,
                  rfm_error *error)
{
    rfm_wire *made = calloc(1, sizeof *made);
    RFM_NEED(made);
    rfm__reply_reader_init(&made->replies, conf->limits);
    made->loop = loop;
    made->endpoint = conf->endpoint;
    made->tls = conf->tls;
    made->calls = calls;
    made->owner = owner;
    made->attempt = conf->attempt;
    made->fd = -1;
    made->moved_ns = uv_hrtime();
    rfm_buffer_init(&made->out, SIZE_MAX / 4);
    int trouble = conf->endpoint->local ? connect_local(made) : connect_remote(made);
    if (trouble) {
        rfm__wire_close(made);
        return rfm_fail(error, RFM_E_AWAY, "%s", strerror(trouble));
    }
    *wire = made;
    return RFM_OK;
}

void rfm__wire_room(rfm_wire *wire, rfm_arena *arena)
{
    wire->replies.arena = arena;
}

uint64_t rfm__wire_moved_ns(const rfm_wire *wire)
{
    return wire->moved_ns;
}
