/* The whole service in one process: topics checked, workers started, HTTP served, the population summed every rfm.refresh,
 * rules reloaded, and everything brought to an end. `run` is made of it, and the demo. */
#ifndef RFM_APP_SERVICE_H
#define RFM_APP_SERVICE_H

#include "host.h"

typedef struct rfm_service_conf {
    const char *config_path; /* for reloads; NULL: none */
    rfm_config *config;      /* taken over */
    bool create_topics;
    uint32_t partitions;     /* of topics that are made; 0: the default */
    bool mock;               /* Kafka is librdkafka's mock cluster, whose topics have `partitions` */
    void (*published)(void *owner, const rfm_message *message); /* on a worker's thread; may be NULL */
    void *owner;
} rfm_service_conf;

enum { RFM_SERVICE_FAILED = 3 };
typedef struct rfm_service rfm_service;
/* Runs until SIGTERM, SIGINT, rfm_service_stop or a failure; returns an exit code. SIGHUP reloads. Signals are blocked in all
 * threads but this one. */
int rfm_service_run(const rfm_service_conf *conf, rfm_service **self);
/* Any thread, any time while rfm_service_run has not returned. */
void rfm_service_stop(rfm_service *service);
rfm_worker_stats rfm_service_stats(rfm_service *service); /* summed over workers */
bool rfm_service_ready(rfm_service *service);

#endif
