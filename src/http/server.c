#include "server.h"

#include <rfm/base/utf8.h>

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>

enum {
    CONNECTIONS_MAX = 64,
    IDLE_TIMEOUT_S = 10,
    REQUEST_BYTES_MAX = 16 * 1024, /* line and headers of one connection */
    BODY_BYTES_MAX = 64 << 20,
    BACKLOG = 64,
};

struct rfm_http {
    rfm_http_callbacks callbacks;
    struct MHD_Daemon *daemon;
    char *token; /* NULL: none */
    bool loopback;
    uint16_t port;
};

/* One answer: the body is filled before anything is sent. */
typedef struct http_answer {
    unsigned status;
    const char *content_type;
    rfm_buffer body;
} http_answer;

static const char json[] = "application/json", problem_json[] = "application/problem+json";

static const char *title_of(unsigned status)
{
    switch (status) {
    case MHD_HTTP_UNAUTHORIZED: return "Unauthorized";
    case MHD_HTTP_NOT_FOUND: return "Not Found";
    case MHD_HTTP_METHOD_NOT_ALLOWED: return "Method Not Allowed";
    case MHD_HTTP_SERVICE_UNAVAILABLE: return "Service Unavailable";
    default: return "Internal Server Error";
    }
}

static void problem(http_answer *answer, unsigned status, rfm_bytes detail)
{
    answer->status = status;
    answer->content_type = problem_json;
    rfm_buffer_clear(&answer->body);
    rfm_write_format(&answer->body,
                     "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%u,\"detail\":", title_of(status), status);
    rfm_write_json_string(&answer->body, detail);
    rfm_write_text(&answer->body, "}\n");
}

static void serve_metrics(const rfm_http *http, http_answer *answer)
{
    answer->content_type = "text/plain; version=0.0.4; charset=utf-8";
    http->callbacks.metrics(http->callbacks.context, &answer->body);
    if (answer->body.bad)
        problem(answer, MHD_HTTP_INTERNAL_SERVER_ERROR, rfm_text("the metrics are too large"));
}

static void serve_probe(const rfm_http *http, bool (*probe)(void *context, rfm_buffer *reason), http_answer *answer)
{
    rfm_buffer reason;
    rfm_buffer_init(&reason, 4096);
    if (probe(http->callbacks.context, &reason))
        rfm_write_text(&answer->body, "{\"status\":\"ok\"}\n");
    else
        problem(answer, MHD_HTTP_SERVICE_UNAVAILABLE, rfm_buffer_view(&reason));
    rfm_buffer_release(&reason);
}

static void serve_live(const rfm_http *http, http_answer *answer)
{
    serve_probe(http, http->callbacks.live, answer);
}

static void serve_ready(const rfm_http *http, http_answer *answer)
{
    serve_probe(http, http->callbacks.ready, answer);
}

static const struct route {
    const char *path;
    void (*serve)(const rfm_http *http, http_answer *answer);
} routes[] = {{"/metrics", serve_metrics}, {"/livez", serve_live}, {"/readyz", serve_ready}};

static const struct route *route_of(const char *path)
{
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        if (strcmp(routes[i].path, path) == 0)
            return &routes[i];
    }
    return NULL;
}

static bool is_guarded(const char *path)
{
    return strcmp(path, "/") == 0 || strcmp(path, "/v1") == 0 || strncmp(path, "/v1/", 4) == 0;
}

/* Takes the same time wherever the first difference is. */
static bool token_equal(const char *given, const char *token)
{
    size_t given_len = strlen(given), len = strlen(token);
    unsigned difference = given_len != len;
    for (size_t i = 0; i < len; i++)
        difference |= (unsigned char)token[i] ^ (unsigned char)given[given_len ? i % given_len : 0];
    return difference == 0;
}

static bool is_authorized(const rfm_http *http, struct MHD_Connection *connection)
{
    const char *header = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);
    return header && strncasecmp(header, "Bearer ", 7) == 0 && token_equal(header + 7, http->token);
}

static void decide(const rfm_http *http, struct MHD_Connection *connection, const char *path, const char *method,
                   http_answer *answer)
{
    const struct route *route = route_of(path);
    if (is_guarded(path) && http->token && !is_authorized(http, connection))
        problem(answer, MHD_HTTP_UNAUTHORIZED, rfm_text("a bearer token is needed: Authorization: Bearer <token>"));
    else if (is_guarded(path) && !http->token && !http->loopback)
        problem(answer, MHD_HTTP_NOT_FOUND, rfm_text("not served beyond this machine without http.token_file"));
    else if (!route)
        problem(answer, MHD_HTTP_NOT_FOUND, rfm_text("there is nothing here"));
    else if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        problem(answer, MHD_HTTP_METHOD_NOT_ALLOWED, rfm_text("only GET and HEAD are allowed here"));
    else
        route->serve(http, answer);
}

static enum MHD_Result send_answer(struct MHD_Connection *connection, http_answer *answer)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(answer->body.len, answer->body.at,
                                                                    MHD_RESPMEM_MUST_COPY);
    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->content_type);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    if (answer->status == MHD_HTTP_UNAUTHORIZED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
    if (answer->status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    enum MHD_Result queued = MHD_queue_response(connection, answer->status, response);
    MHD_destroy_response(response);
    return queued;
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *path, const char *method,
                              const char *version, const char *upload, size_t *upload_len, void **state)
{
    const rfm_http *http = context;
    http_answer answer = {.status = MHD_HTTP_OK, .content_type = json};
    (void)version, (void)upload, (void)upload_len, (void)state;
    rfm_buffer_init(&answer.body, BODY_BYTES_MAX);
    decide(http, connection, path, method, &answer);
    enum MHD_Result result = answer.body.bad ? MHD_NO : send_answer(connection, &answer);
    rfm_buffer_release(&answer.body);
    return result;
}

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr) >> 24 == 127;
    return address->sa_family == AF_INET6 &&
           IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr);
}

static uint16_t port_of(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = {.v6 = {0}};
    socklen_t len = sizeof address;
    if (getsockname(fd, &address.any, &len))
        return 0;
    return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}

static int listen_on(const struct addrinfo *info)
{
    int yes = 1, fd = socket(info->ai_family, info->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, info->ai_protocol);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd, info->ai_addr, info->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int reason = errno;
    close(fd);
    errno = reason;
    return -1;
}

static int open_socket(rfm_http *http, const rfm_http_conf *conf, int *fd, rfm_error *error)
{
    char port[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *info;
    snprintf(port, sizeof port, "%u", conf->port);
    int failed = getaddrinfo(conf->host, port, &hints, &info);
    if (failed)
        return rfm_fail(error, RFM_E_NOT_FOUND, "http.listen: %s is no address here: %s", conf->host,
                        gai_strerror(failed));
    for (const struct addrinfo *each = info; each && *fd < 0; each = each->ai_next) {
        *fd = listen_on(each);
        http->loopback = is_loopback(each->ai_addr);
    }
    int reason = errno;
    freeaddrinfo(info);
    if (*fd < 0)
        return rfm_fail(error, RFM_E_IO, "http.listen: cannot listen on %s:%u: %s", conf->host, conf->port,
                        strerror(reason));
    http->port = port_of(*fd);
    return RFM_OK;
}

static void silence(void *context, const char *format, va_list arguments)
{
    (void)context, (void)format, (void)arguments;
}

/* The thread inherits the mask: signals stay with the threads that wait for them. */
static void start_daemon(rfm_http *http, const rfm_http_conf *conf, int fd)
{
    unsigned connections_max = conf->connections_max ? conf->connections_max : CONNECTIONS_MAX;
    unsigned per_address_max = connections_max < 8 ? 1 : connections_max / 4; /* the others are not locked out by one */
    unsigned timeout_s = conf->idle_timeout_s ? conf->idle_timeout_s : IDLE_TIMEOUT_S;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    http->daemon = MHD_start_daemon(
        MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_ERROR_LOG, 0, NULL, NULL, handle, http,
        MHD_OPTION_EXTERNAL_LOGGER, silence, NULL, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
        connections_max, MHD_OPTION_PER_IP_CONNECTION_LIMIT, per_address_max, MHD_OPTION_CONNECTION_TIMEOUT, timeout_s,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)REQUEST_BYTES_MAX, MHD_OPTION_END);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

int rfm_http_start(const rfm_http_conf *conf, const rfm_http_callbacks *callbacks, rfm_http **http, rfm_error *error)
{
    int fd = -1;
    rfm_http *made = calloc(1, sizeof *made);
    bool guarded = conf->token && *conf->token;
    RFM_NEED(made);
    made->callbacks = *callbacks;
    made->token = guarded ? strdup(conf->token) : NULL;
    RFM_NEED(made->token || !guarded); /* without its token it would answer everybody */
    int code = open_socket(made, conf, &fd, error);
    if (code)
        goto failed;
    start_daemon(made, conf, fd);
    if (!made->daemon) {
        close(fd);
        code = rfm_fail(error, RFM_E_IO, "http: the server could not be started");
        goto failed;
    }
    *http = made;
    return RFM_OK;
failed:
    free(made->token);
    free(made);
    return code;
}

uint16_t rfm_http_port(const rfm_http *http)
{
    return http->port;
}

void rfm_http_stop(rfm_http *http)
{
    if (!http)
        return;
    MHD_stop_daemon(http->daemon);
    free(http->token);
    free(http);
}
