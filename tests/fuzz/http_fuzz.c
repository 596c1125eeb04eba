/* Any bytes as what a client of the HTTP endpoint sends, over a real connection: the server answers with HTTP or
 * closes, what is guarded is never served without its token, and it still serves the next one. */
#include "http/server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { ANSWER_MAX = 1 << 16 };
static const char token[] = "a token that no input holds 7f3b";

static void write_metrics(void *context, rfm_buffer *text)
{
    (void)context;
    rfm_write_text(text, "rfmd_up 1\n");
}

static bool says_yes(void *context, rfm_buffer *reason)
{
    (void)context, (void)reason;
    return true;
}

static uint16_t start_once(void)
{
    static rfm_http *http;
    if (http == NULL) {
        rfm_error error;
        const rfm_http_conf conf = {.host = "127.0.0.1", .token = token, .idle_timeout_s = 2};
        const rfm_http_callbacks callbacks = {.metrics = write_metrics, .live = says_yes, .ready = says_yes};
        RFM_ASSERT(rfm_http_start(&conf, &callbacks, &http, &error) == RFM_OK);
    }
    return rfm_http_port(http);
}

/* Where the server has closed first, the pair of ports stays taken for a minute: each connection comes from another
 * address. */
static int open_connection(uint16_t port)
{
    static uint32_t number;
    const uint32_t host = INADDR_LOOPBACK + ++number % (1 << 16);
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(host)};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    RFM_ASSERT(fd >= 0 && bind(fd, (const struct sockaddr *)&from, sizeof from) == 0);
    RFM_ASSERT(connect(fd, (const struct sockaddr *)&to, sizeof to) == 0);
    return fd;
}

static size_t ask(uint16_t port, const uint8_t *data, size_t size, char *answer)
{
    const struct timeval patience = {.tv_usec = 20000}; /* what is cut off is waited for, and not for long by us */
    const struct linger at_once = {.l_onoff = 1};       /* thousands of connections a second: none may linger */
    int fd = open_connection(port);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    for (size_t sent = 0; sent < size;) {
        ssize_t n = send(fd, data + sent, size - sent, MSG_NOSIGNAL);
        if (n <= 0)
            break;
        sent += (size_t)n;
    }
    shutdown(fd, SHUT_WR);
    size_t len = 0;
    for (ssize_t n; len < ANSWER_MAX && (n = recv(fd, answer + len, ANSWER_MAX - len, 0)) > 0;)
        len += (size_t)n;
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(fd);
    return len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char answer[ANSWER_MAX];
    static const char live[] = "GET /livez HTTP/1.0\r\n\r\n";
    if (size > 32 * 1024 || memmem(data, size, token, sizeof token - 1))
        return 0;
    uint16_t port = start_once();
    size_t len = ask(port, data, size, answer);
    RFM_ASSERT(len == 0 || (len > 12 && memcmp(answer, "HTTP/1.", 7) == 0));
    for (int tries = 0; tries < 100 && (len = ask(port, (const uint8_t *)live, sizeof live - 1, answer)) == 0; tries++)
        continue; /* a busy machine */
    RFM_ASSERT(len > 12 && memcmp(answer + 9, "200", 3) == 0);
    return 0;
}
