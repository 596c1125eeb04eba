/* The whole service in one process: topics checked, workers started, HTTP served, the population summed every
 * rfm.refresh, rules reloaded, and everything brought to an end. `run` is made of it, and the demo. */
#ifndef RFM_APP_SERVICE_H
#define RFM_APP_SERVICE_H

#include "host.h"

typedef struct rfm_service_conf {
    const char *config_path; /* for reloads; NULL: none */
    rfm_config *config;      /* taken over */
    bool create_topics;
    uint32_t partitions; /* of topics that are made; 0: the default */
    bool mock;           /* Kafka is librdkafka's mock cluster, whose topics have `partitions` */
    void (*published)(void *owner,
                      const rfm_message *message); /* on a worker's thread, before the commit; may be NULL */
    void *owner;
} rfm_service_conf;

enum { RFM_SERVICE_MISCONFIGURED = 1, RFM_SERVICE_FAILED = 3 }; /* what librdkafka does not take; all else */
typedef struct rfm_service rfm_service;
/* Blocks the signals below in this thread, and so in those that it starts from now on. */
rfm_service *rfm_service_new(const rfm_service_conf *conf);
/* Runs until SIGTERM, SIGINT, rfm_service_stop or a failure; returns an exit code. SIGHUP reloads. */
int rfm_service_run(rfm_service *service);
void rfm_service_free(rfm_service *service);
/* Any thread; also after the run, as it was at its end. */
void rfm_service_stop(rfm_service *service);
bool rfm_service_ready(rfm_service *service);
rfm_worker_stats rfm_service_stats(rfm_service *service); /* the counters of RFM_WORKER_STATS, summed over workers */
rfm_histogram rfm_service_latency(rfm_service *service);  /* from an event's append to its commit */

#endif
