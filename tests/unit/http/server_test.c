#include "http/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct state {
    _Atomic bool ready;
    size_t metrics_len;
};

static void metrics(void *context, rfm_buffer *text)
{
    const struct state *state = context;
    rfm_write_text(text, "rfmd_up 1\n");
    for (size_t i = 0; i < state->metrics_len; i++)
        rfm_write_text(text, "x");
}

static bool live(void *context, rfm_buffer *reason)
{
    (void)context, (void)reason;
    return true;
}

static bool ready(void *context, rfm_buffer *reason)
{
    const struct state *state = context;
    if (!state->ready)
        rfm_write_text(reason, "not \"joined\" yet");
    return state->ready;
}

static rfm_http *start(struct state *state, rfm_http_conf conf)
{
    rfm_http *http = NULL;
    rfm_error error;
    const rfm_http_callbacks callbacks = {state, metrics, live, ready};
    assert_int_equal(rfm_http_start(&conf, &callbacks, &http, &error), 0);
    return http;
}

static int connect_from(const char *source, uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(source)};
    assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof from), 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = 20};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static int connect_to(uint16_t port)
{
    return connect_from("127.0.0.1", port);
}

/* What comes until the server closes. */
static char *read_rest(int fd)
{
    size_t len = 0, size = 1 << 20;
    char *text = malloc(size);
    ssize_t more;
    while ((more = read(fd, text + len, size - len - 1)) > 0)
        len += (size_t)more;
    assert_true(more == 0);
    text[len] = 0;
    close(fd);
    return text;
}

static char *ask(rfm_http *http, const char *method, const char *path, const char *headers)
{
    int fd = connect_to(rfm_http_port(http));
    dprintf(fd, "%s %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n%s\r\n", method, path, headers);
    return read_rest(fd);
}

#define assert_begins(text, begin)  assert_memory_equal(text, begin, strlen(begin))
#define assert_contains(text, part) assert_non_null(strstr(text, part))

static const rfm_http_conf local = {.host = "127.0.0.1"};

static void expect(rfm_http *http, const char *method, const char *path, const char *headers, const char *status,
                   const char *part)
{
    char *answer = ask(http, method, path, headers);
    assert_begins(answer, status);
    assert_contains(answer, part);
    free(answer);
}

static void test_probes(void **unused)
{
    (void)unused;
    struct state state = {.ready = false};
    rfm_http *http = start(&state, local);
    expect(http, "GET", "/livez", "", "HTTP/1.1 200 ", "{\"status\":\"ok\"}");
    expect(http, "GET", "/readyz", "", "HTTP/1.1 503 ", "application/problem+json");
    expect(http, "GET", "/readyz", "", "HTTP/1.1 503 ",
           "{\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,"
           "\"detail\":\"not \\\"joined\\\" yet\"}");
    state.ready = true;
    expect(http, "GET", "/readyz", "", "HTTP/1.1 200 ", "application/json");
    rfm_http_stop(http);
}

static void test_metrics(void **unused)
{
    (void)unused;
    struct state state = {.metrics_len = 300000};
    rfm_http *http = start(&state, local);
    char *answer = ask(http, "GET", "/metrics?x=1", "");
    assert_begins(answer, "HTTP/1.1 200 ");
    assert_contains(answer, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n");
    assert_contains(answer, "Content-Length: 300010\r\n");
    assert_contains(answer, "\r\n\r\nrfmd_up 1\nxxx");
    free(answer);
    answer = ask(http, "HEAD", "/metrics", "");
    assert_contains(answer, "Content-Length: 300010\r\n");
    assert_string_equal(strstr(answer, "\r\n\r\n"), "\r\n\r\n");
    free(answer);
    rfm_http_stop(http);
}

static void test_problems(void **unused)
{
    (void)unused;
    struct state state = {0};
    rfm_http *http = start(&state, local);
    expect(http, "GET", "/nothing", "", "HTTP/1.1 404 ", "\"status\":404");
    expect(http, "GET", "/v1/clients/7", "", "HTTP/1.1 404 ", "application/problem+json");
    expect(http, "GET", "/metrics/", "", "HTTP/1.1 404 ", "\"status\":404");
    expect(http, "DELETE", "/metrics", "", "HTTP/1.1 405 ", "Allow: GET, HEAD");
    expect(http, "POST", "/livez", "Content-Length: 0\r\n", "HTTP/1.1 405 ", "\"title\":\"Method Not Allowed\"");
    rfm_http_stop(http);
}

static void test_token(void **unused)
{
    (void)unused;
    struct state state = {0};
    rfm_http *http = start(&state, (rfm_http_conf){.host = "127.0.0.1", .token = "sesame"});
    expect(http, "GET", "/v1/status", "", "HTTP/1.1 401 ", "WWW-Authenticate: Bearer");
    expect(http, "GET", "/", "Authorization: Bearer sesam\r\n", "HTTP/1.1 401 ", "\"status\":401");
    expect(http, "GET", "/", "Authorization: Bearer \r\n", "HTTP/1.1 401 ", "\"status\":401");
    expect(http, "GET", "/", "Authorization: Bearer sesamesesame\r\n", "HTTP/1.1 401 ", "\"status\":401");
    expect(http, "GET", "/", "Authorization: Basic sesame\r\n", "HTTP/1.1 401 ", "\"status\":401");
    expect(http, "GET", "/v1/status", "Authorization: Bearer sesame\r\n", "HTTP/1.1 404 ", "\"status\":404");
    expect(http, "GET", "/livez", "", "HTTP/1.1 200 ", "ok");
    rfm_http_stop(http);
}

static void test_beyond_loopback(void **unused)
{
    (void)unused;
    struct state state = {0};
    rfm_http *http = start(&state, (rfm_http_conf){.host = "0.0.0.0"});
    expect(http, "GET", "/v1/status", "", "HTTP/1.1 404 ", "token_file");
    expect(http, "GET", "/metrics", "", "HTTP/1.1 200 ", "rfmd_up 1");
    rfm_http_stop(http);
}

static void test_bad_requests_do_not_stop_it(void **unused)
{
    (void)unused;
    struct state state = {0};
    rfm_http *http = start(&state, local);
    int fd = connect_to(rfm_http_port(http));
    dprintf(fd, "GET /livez HTTP/1.1\r\nHost: test\r\nX-Long: ");
    char long_header[40000];
    memset(long_header, 'a', sizeof long_header);
    (void)!send(fd, long_header, sizeof long_header, MSG_NOSIGNAL);
    char text[64] = "";
    ssize_t len = read(fd, text, sizeof text - 1); /* an answer, or a reset */
    assert_true(len <= 0 || strncmp(text, "HTTP/1.1 4", 10) == 0);
    close(fd);
    fd = connect_to(rfm_http_port(http));
    dprintf(fd, "\x01\x02 nonsense\r\n\r\n");
    free(read_rest(fd));
    expect(http, "GET", "/livez", "", "HTTP/1.1 200 ", "ok");
    rfm_http_stop(http);
}

/* A connection whose request does not come to its end. */
static int begin_request(rfm_http *http, const char *source)
{
    int fd = connect_from(source, rfm_http_port(http));
    dprintf(fd, "GET /livez HTTP/1.1\r\n");
    return fd;
}

static void test_limits(void **unused)
{
    (void)unused;
    struct state state = {0};
    rfm_http *http = start(&state, (rfm_http_conf){.host = "127.0.0.1", .connections_max = 2, .idle_timeout_s = 1});
    int idle[2] = {begin_request(http, "127.0.0.1"), begin_request(http, "127.0.0.2")};
    /* Beyond the limit one waits or is closed; the idle ones are closed after their time, and then there is room. */
    for (int i = 0; i < 2; i++)
        free(read_rest(idle[i]));
    expect(http, "GET", "/livez", "", "HTTP/1.1 200 ", "ok");
    rfm_http_stop(http);
}

/* A host that sends a byte now and then never counts as idle: it has a part of the connections, and no more. */
static void test_one_address_does_not_take_all_connections(void **unused)
{
    (void)unused;
    struct state state = {0};
    rfm_http *http = start(&state, (rfm_http_conf){.host = "127.0.0.1", .connections_max = 12, .idle_timeout_s = 60});
    int slow[3];
    for (int i = 0; i < 3; i++)
        slow[i] = begin_request(http, "127.0.0.1");
    char byte;
    int beyond = connect_to(rfm_http_port(http));
    ssize_t got = read(beyond, &byte, 1);
    assert_true(got == 0 || (got < 0 && errno == ECONNRESET)); /* closed at once, not after a while */
    close(beyond);
    int other = connect_from("127.0.0.2", rfm_http_port(http));
    dprintf(other, "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    char *answer = read_rest(other);
    assert_contains(answer, "HTTP/1.1 200 ");
    free(answer);
    for (int i = 0; i < 3; i++)
        close(slow[i]);
    rfm_http_stop(http);
}

static void test_port_taken(void **unused)
{
    (void)unused;
    struct state state = {0};
    rfm_http *http = start(&state, local), *second = NULL;
    rfm_error error;
    const rfm_http_callbacks callbacks = {&state, metrics, live, ready};
    const rfm_http_conf taken = {.host = "127.0.0.1", .port = rfm_http_port(http)};
    assert_int_equal(rfm_http_start(&taken, &callbacks, &second, &error), RFM_E_IO);
    assert_contains(error.message, "cannot listen on 127.0.0.1:");
    const rfm_http_conf nowhere = {.host = "no such host"};
    assert_int_equal(rfm_http_start(&nowhere, &callbacks, &second, &error), RFM_E_NOT_FOUND);
    assert_null(second);
    rfm_http_stop(http);
    rfm_http_stop(NULL);
}

static void *ask_often(void *http)
{
    for (int i = 0; i < 20; i++)
        expect(http, "GET", i % 2 ? "/metrics" : "/readyz", "", "HTTP/1.1 200 ", i % 2 ? "rfmd_up" : "ok");
    return NULL;
}

static void test_many_at_once(void **unused)
{
    (void)unused;
    struct state state = {.ready = true};
    pthread_t thread[4];
    rfm_http *http = start(&state, local);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, ask_often, http), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    rfm_http_stop(http);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_probes),          cmocka_unit_test(test_metrics),
        cmocka_unit_test(test_problems),        cmocka_unit_test(test_token),
        cmocka_unit_test(test_beyond_loopback), cmocka_unit_test(test_bad_requests_do_not_stop_it),
        cmocka_unit_test(test_limits),          cmocka_unit_test(test_port_taken),
        cmocka_unit_test(test_many_at_once),    cmocka_unit_test(test_one_address_does_not_take_all_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
