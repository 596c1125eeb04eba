/* One connection: finds the host, connects, speaks TLS, sends what was written into `out`, hands replies over one by
 * one. `broken` may come from within rfm__wire_flush; else calls come from the loop. After `broken` comes no other. */
#ifndef RFM_REDIS_WIRE_H
#define RFM_REDIS_WIRE_H

#include "endpoint.h"
#include "reply.h"

#include <openssl/ssl.h>
#include <uv.h>

typedef struct rfm_wire rfm_wire;

typedef struct rfm_wire_calls {
    void (*ready)(void *owner);
    void (*reply)(void *owner, const rfm_reply *reply); /* may close the wire */
    void (*broken)(void *owner, const char *why);       /* the wire must still be closed */
} rfm_wire_calls;

typedef struct rfm_wire_conf {
    const rfm_endpoint *endpoint; /* must outlive the wire, as must limits */
    SSL_CTX *tls;                 /* NULL: none */
    const rfm_store_limits *limits;
    uint32_t attempt; /* which of the host's addresses comes first */
} rfm_wire_conf;

int rfm__wire_new(uv_loop_t *loop, const rfm_wire_conf *conf, const rfm_wire_calls *calls, void *owner, rfm_wire **wire,
                  rfm_error *error);  /* RFM_E_AWAY */
void rfm__wire_close(rfm_wire *wire); /* no call any more; its memory goes when the loop has let it go */

rfm_buffer *rfm__wire_out(rfm_wire *wire);
void rfm__wire_flush(rfm_wire *wire); /* sends what there is, as far as it goes; the rest follows by itself */
void rfm__wire_room(rfm_wire *wire, rfm_arena *arena); /* for the texts of the replies from now on */
uint64_t rfm__wire_moved_ns(const rfm_wire *wire);     /* uv_hrtime when bytes last went either way */

#endif
