/* Where Redis is: `redis.url`, taken apart. */
#ifndef RFM_REDIS_ENDPOINT_H
#define RFM_REDIS_ENDPOINT_H

#include <rfm/base/error.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct rfm_endpoint {
    bool local; /* a unix socket: `host` is its path */
    bool tls;
    uint16_t port;
    uint32_t database;
    char host[256];
    char name[288]; /* for messages */
} rfm_endpoint;

/* Names and passwords in a URL are refused: they belong into settings that are never printed. RFM_E_MALFORMED; RFM_E_USAGE
 * for what is not supported. The URL is not repeated in the message. */
int rfm__endpoint_parse(const char *url, rfm_endpoint *endpoint, rfm_error *error);

#endif
