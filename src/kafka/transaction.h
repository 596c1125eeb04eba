/* A producer with its transactions, for the publisher's thread: everything here blocks. After a result that is not
 * clean the producer is spent and must be freed, which takes back every message that librdkafka still points to. */
#ifndef RFM_KAFKA_TRANSACTION_H
#define RFM_KAFKA_TRANSACTION_H

#include "client.h"
#include "group.h"

#include <stdatomic.h>

typedef struct rfm__producer rfm__producer;

/* Makes a client; no connection yet. `stop`: gives up soon when it becomes true. */
int rfm__producer_new(const rfm_kafka_conf *conf, const atomic_bool *stop, rfm__producer **producer, rfm_error *error);
void rfm__producer_free(rfm__producer *producer);

/* init_transactions, which fences and aborts whatever the id had open. RFM_OK; RFM_E_AWAY: make a new producer and try
 * again; RFM_E_DENIED, RFM_E_REFUSED: no use. At least once: nothing to do. */
int rfm__producer_begin(rfm__producer *producer, rfm_error *error);

enum { RFM__TOPICS_MAX = UINT8_MAX + 1 };
/* Topics by index; never changes once made, so that its names' addresses tell them apart. */
typedef struct rfm__topic_names {
    struct rfm__topic_names *before;
    char *at[RFM__TOPICS_MAX];
} rfm__topic_names;

/* Carries out a step. RFM_DONE, RFM_FENCED, RFM_UNKNOWN; `error` says why, with the code RFM_E_DENIED or RFM_E_REFUSED
 * where trying again cannot help. */
typedef struct rfm__publication {
    rfm_step *step;
    const rfm_group *group; /* NULL at least once */
    const rfm__topic_names *names;
} rfm__publication;
rfm_answer rfm__producer_publish(rfm__producer *producer, const rfm__publication *publication, rfm_error *error);

void rfm__producer_poll(rfm__producer *producer);
/* Aborts whatever `id` has open, by a producer that lives no longer. */
int rfm__producer_evict(const rfm_kafka_conf *conf, const char *id, const atomic_bool *stop, rfm_error *error);

#endif
