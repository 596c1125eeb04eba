/* Asking brokers for log offsets and taking the answers apart. */
#ifndef RFM_KAFKA_OFFSETS_H
#define RFM_KAFKA_OFFSETS_H

#include "client.h"

typedef enum rfm__which {
    RFM__LOG_START,
    RFM__LOG_END,    /* the high watermark */
    RFM__STABLE_END, /* the last stable offset */
} rfm__which;

/* A client that fetches nothing, and knows who leads the inputs and the WAL. It has to know before it is asked: in
 * librdkafka up to 2.8 at least, a list of offsets whose leaders are not cached is begun in the caller's thread and may
 * be ended in the client's own while that still works on it (a crash). */
typedef struct rfm__asker {
    const rfm_kafka_conf *conf;
    rd_kafka_t *client;
    rd_kafka_topic_t *topics[RFM_INPUTS_MAX + 1]; /* held, so that their leaders are kept current */
    bool *led; /* by topic, partition: it has a leader; who has none is not asked for */
    bool all_led;
    int64_t known_ms, tried_ms; /* steady; 0: never */
    int64_t timeout_ms;         /* of the next look-up; 0: none yet */
} rfm__asker;

/* RFM_E_MALFORMED: a topic's name. */
int rfm__asker_init(rfm__asker *asker, const rfm_kafka_conf *conf, rd_kafka_t *client, rfm_error *error);
void rfm__asker_release(rfm__asker *asker); /* before the client */
/* Whether it may be asked now; false: try again on a later turn. Looks after the leaders at times, which takes the
 * broker's round trip, and where it is away 50 ms at first, up to 2 s later. */
bool rfm__asker_ready(rfm__asker *asker);

/* Asks for one of them of all the partitions; the answer comes to the queue, an event with `tag` as its opaque. */
void rfm__offsets_ask(const rfm__asker *asker, const rd_kafka_topic_partition_list_t *partitions, rfm__which which,
                      uintptr_t tag, rd_kafka_queue_t *queue);
/* A partition of an answer, by index below *count; its err is set where it has no offset. One whose leader was another
 * makes the asker look up the leaders again before it is ready. */
const rd_kafka_topic_partition_t *rfm__offsets_at(rfm__asker *asker, rd_kafka_event_t *event, size_t i, size_t *count);

/* Several of them of the same partitions at once; one round at a time. */
typedef struct rfm__round {
    rfm__asker *asker;
    rd_kafka_queue_t *queue;
    int waiting;               /* answers still to come */
    rd_kafka_resp_err_t error; /* of the whole or of a partition, the last one seen */
    char why[256];
} rfm__round;

void rfm__round_init(rfm__round *round, rfm__asker *asker, rfm__wake *wake);
void rfm__round_release(rfm__round *round);
void rfm__round_ask(rfm__round *round, const rd_kafka_topic_partition_list_t *partitions, const rfm__which *which,
                    size_t which_count);
/* Hands on each partition that has an answer; true: that was the last of the round. */
bool rfm__round_take(rfm__round *round,
                     void (*each)(void *self, rfm__which which, const rd_kafka_topic_partition_t *partition),
                     void *self);

#endif
