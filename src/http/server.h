/* The HTTP endpoint: its own thread, which never waits for a worker, Kafka or Redis. Serves GET and HEAD of /metrics,
 * /livez and /readyz; everything else is an RFC 9457 problem. Connections, request sizes and times are bounded. */
#ifndef RFM_HTTP_SERVER_H
#define RFM_HTTP_SERVER_H

#include <rfm/base/bytes.h>
#include <rfm/base/error.h>

typedef struct rfm_http_conf {
    const char *host;         /* an address ("127.0.0.1", "::1", "0.0.0.0") or a name */
    uint16_t port;            /* 0: a free one */
    const char *token;        /* bearer token of what is guarded; NULL or "": none */
    unsigned connections_max; /* 0: 64; a quarter of them, at least one, from one address */
    unsigned idle_timeout_s;  /* without a byte; 0: 10 */
} rfm_http_conf;

/* Called on the server's thread, one at a time; they take no long locks. */
typedef struct rfm_http_callbacks {
    void *context;
    void (*metrics)(void *context, rfm_buffer *text);
    /* Alive, ready? If not, why: text for people. */
    bool (*live)(void *context, rfm_buffer *reason);
    bool (*ready)(void *context, rfm_buffer *reason);
} rfm_http_callbacks;

typedef struct rfm_http rfm_http;
/* RFM_E_NOT_FOUND: no such address; RFM_E_IO: the port is taken or may not be used. */
int rfm_http_start(const rfm_http_conf *conf, const rfm_http_callbacks *callbacks, rfm_http **http, rfm_error *error);
uint16_t rfm_http_port(const rfm_http *http);
void rfm_http_stop(rfm_http *http); /* waits for answers under way; NULL is fine */

#endif
