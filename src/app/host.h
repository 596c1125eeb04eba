/* One worker in the world: a thread with its loop, its consumer, its Redis connections, its publisher, and the engine's
 * worker between them. It decides nothing: what the engine asks for is handed to the adapter that can do it, and
 * answers back. */
#ifndef RFM_APP_HOST_H
#define RFM_APP_HOST_H

#include "config/config.h"
#include "http/metrics.h"
#include "kafka/topics.h"
#include "redis/store.h"

enum { RFM_META_FIELDS_MAX = RFM_INPUTS_MAX + 8 };

/* What all hosts of a process share, read-only while they run. */
typedef struct rfm_host_conf {
    const rfm_config *config;
    const rfm_topics *topics;
    const char *instance; /* stable name of this process: instance_id, or one made up for its life */
    uint32_t number, count;
    rfm_store_field meta[RFM_META_FIELDS_MAX];
    size_t meta_count;
    rfm_metrics *metrics; /* source `number` is this host's */
    /* On the host's thread: it cannot go on. */
    void (*failed)(void *owner, const char *reason);
    /* For the demo: every published message. May be NULL. */
    void (*published)(void *owner, const rfm_message *message);
    void *owner;
} rfm_host_conf;

typedef struct rfm_host rfm_host;
/* Starts its thread. Any error of the adapters, RFM_E_IO: no descriptor or thread is left. *host may be set all the
 * same, and is then to be joined and freed. What `conf` points to outlives it. */
int rfm_host_start(const rfm_host_conf *conf, rfm_host **host, rfm_error *error);
/* Any thread. */
void rfm_host_set_edges(rfm_host *host, const rfm_edges *edges);
void rfm_host_set_rules(rfm_host *host, const rfm_client_conf *conf, const rfm_rules *rules);
bool rfm_host_ready(rfm_host *host, rfm_buffer *reason);
int64_t rfm_host_moved_ms(const rfm_host *host);       /* steady clock at which its loop last turned */
const rfm_rules *rfm_host_rules(const rfm_host *host); /* those that the worker uses now */
uint64_t rfm_host_rebalances(const rfm_host *host);
rfm_worker_stats rfm_host_stats(rfm_host *host);
rfm_histogram rfm_host_latency(rfm_host *host); /* from an event's append to its commit */
void rfm_host_stop(rfm_host *host);             /* asks it to finish what is in flight; does not wait */
/* Waits until it has ended; false: not within timeout_ms (then it must not be freed). */
bool rfm_host_join(rfm_host *host, int64_t timeout_ms);
void rfm_host_free(rfm_host *host);

#endif
