/* Where Redis is: `redis.url`, taken apart. One server, or where to ask which one: Sentinels, nodes of a Cluster. */
#ifndef RFM_REDIS_ENDPOINT_H
#define RFM_REDIS_ENDPOINT_H

#include <rfm/base/bytes.h>
#include <rfm/base/error.h>
#include <stdbool.h>
#include <stdint.h>

enum { RFM_HOST_MAX = 256, RFM_SEEDS_MAX = 16, RFM_SERVICE_MAX = 128 };

typedef struct rfm_endpoint {
    bool local; /* a unix socket: `host` is its path */
    uint16_t port;
    char host[RFM_HOST_MAX];
    char name[RFM_HOST_MAX + 32]; /* for messages */
} rfm_endpoint;

typedef enum rfm_layout {
    RFM_ONE_SERVER,
    RFM_SENTINEL, /* the seeds are Sentinels, which know the master of `service` */
    RFM_CLUSTER,  /* the seeds are nodes, which know the owner of every slot */
} rfm_layout;

typedef struct rfm_address {
    rfm_layout layout;
    bool tls;
    uint32_t database;
    char service[RFM_SERVICE_MAX];
    rfm_endpoint seed[RFM_SEEDS_MAX];
    size_t seed_count;
} rfm_address;

/* Names and passwords in a URL are refused: they belong into settings that are never printed. RFM_E_MALFORMED. The URL
 * is not repeated in the message. */
int rfm__address_parse(const char *url, rfm_address *address, rfm_error *error);

/* The endpoint of a host and port as a server names them; false if they cannot be ones, then it is as it was. */
bool rfm__endpoint_set(rfm_endpoint *endpoint, rfm_bytes host, rfm_bytes port);
/* The node of "MOVED <slot> <host>:<port>", as `from` answered; without a host it is `from`'s. False: it says something
 * else, then `to` is as it was. `to` may be `from`. */
bool rfm__endpoint_moved(rfm_bytes error, const rfm_endpoint *from, rfm_endpoint *to);

#endif
