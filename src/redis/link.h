/* One task's connection, kept up: opened by its checks, opened again after every break, its requests answered in their
 * order. With Sentinels or a Cluster it may take several connections, one after the other, to come to the server that
 * the task belongs to; each way begins anew at a seed. */
#ifndef RFM_REDIS_LINK_H
#define RFM_REDIS_LINK_H

#include "site.h"
#include "wire.h"

typedef struct rfm_link rfm_link;

/* What the links of a store share. */
typedef struct rfm_link_world {
    uv_loop_t *loop;
    rfm_site site;
    rfm_store_calls calls;
    rfm_store_stats stats;
    rfm_spares requests; /* to be used again */
    bool said_spread;
    rfm_link *unsent; /* those that have something to send */
    uint64_t random;
    void (*trouble)(struct rfm_link_world *world,
                    const char *message);         /* a link is in trouble; told at every attempt */
    void (*relief)(struct rfm_link_world *world); /* no link is in trouble any more */
    void (*link_gone)(struct rfm_link_world *world);
    uint32_t troubled;
    uint32_t seed; /* the one that answered last, or the next to be asked */
} rfm_link_world;

rfm_link *rfm__link_new(rfm_link_world *world, uint32_t task); /* closed; no memory: stops the program */
void rfm__link_free(rfm_link *link);                           /* link_gone follows when the loop has let it go */
void rfm__link_open(rfm_link *link, uint32_t term);
void rfm__link_close(rfm_link *link);
void rfm__link_load(rfm_link *link, const rfm_effect *effect);
void rfm__link_store(rfm_link *link, const rfm_effect *effect);
void rfm__links_flush(rfm_link_world *world); /* sends what was asked for since the last call */

#endif
