/* Questions to the cluster that block: one request, one answer. */
#ifndef RFM_KAFKA_ADMIN_H
#define RFM_KAFKA_ADMIN_H

#include "topics.h"

#include <librdkafka/rdkafka.h>

typedef struct rfm__admin {
    const rfm_kafka_conf *conf; /* first: librdkafka's opaque points here */
    rd_kafka_t *client;
    rd_kafka_queue_t *queue;
    int64_t until_ms; /* steady: all of it must be done by then */
} rfm__admin;

typedef struct rfm__topic_state {
    const char *name;         /* set by the caller, the rest is filled in */
    rd_kafka_resp_err_t code; /* UNKNOWN_TOPIC_OR_PART: there is none */
    uint32_t partition_count;
    bool led; /* every partition has a leader */
    bool can_read, can_write;
    char id[RFM_TOPIC_ID_TEXT];
} rfm__topic_state;

int rfm__admin_open(rfm__admin *admin, const rfm_kafka_conf *conf, int64_t timeout_ms, rfm_error *error);
void rfm__admin_close(rfm__admin *admin);

/* All return RFM_OK, RFM_E_AWAY (no answer in time) or RFM_E_DENIED. */
int rfm__admin_cluster_id(rfm__admin *admin, char id[RFM_CLUSTER_ID_TEXT], rfm_error *error);
int rfm__admin_describe(rfm__admin *admin, rfm__topic_state *topics, size_t count, rfm_error *error);
/* A topic that is there already is no failure. RFM_E_REFUSED: the cluster does not want to. */
int rfm__admin_create(rfm__admin *admin, const char *name, uint32_t partition_count, bool is_wal, rfm_error *error);
/* Calls `each` with the topic's settings. */
int rfm__admin_settings(rfm__admin *admin, const char *topic,
                        void (*each)(void *self, const char *name, const char *value), void *self, rfm_error *error);

#endif
