/* A thread that owns the transactional producer, since committing blocks. Commands are carried out in order and
 * answered on the loop. The engine asks for one step at a time; besides, for as many evictions as it has tasks that
 * others' transactions hold up.
 *
 * Messages are produced without a copy: a step's memory is in librdkafka's hands until it is answered. Only a clean
 * step is answered with the producer alive; after anything else the producer is destroyed first, so that nothing points
 * there any more, and the next one is made by `renew`.
 *
 * DONE means clean: every transactional request sent was answered, and no transport error was seen while committing. A
 * request that was sent again could still be on its way and hit the next transaction (no KIP-890 in librdkafka):
 * UNKNOWN. */
#ifndef RFM_KAFKA_PUBLISHER_H
#define RFM_KAFKA_PUBLISHER_H

#include "consumer.h"

typedef struct rfm_publisher rfm_publisher;

/* The header of every WAL message: whose transaction it is in. */
#define RFM_WAL_HEADER "rfmd.transactional.id"

/* Starts the thread, which makes its producer at once and tries until it can. */
int rfm_publisher_new(const rfm_kafka_conf *conf, uv_loop_t *loop, const rfm_kafka_owner *owner,
                      rfm_publisher **publisher, rfm_error *error);
/* Effect PUBLISH -> IN_PUBLISHED. Takes over `group` (rfm_consumer_group); NULL: FENCED, the assignment is over. */
void rfm_publisher_publish(rfm_publisher *publisher, rfm_step *step, rfm_group *group);
/* Effect RENEW -> IN_RENEWED, once there is a new producer. */
void rfm_publisher_renew(rfm_publisher *publisher);
/* Effect EVICT -> IN_EVICTED, also when it failed: the engine looks again. The id is copied. */
void rfm_publisher_evict(rfm_publisher *publisher, uint32_t task, uint32_t term, rfm_bytes transactional_id);
/* After new rules: trigger topics by index, for the steps published from now on. A name should keep its index: a step
 * may have been made under the rules before. Copied. */
void rfm_publisher_set_trigger_topics(rfm_publisher *publisher, const char *const *topics, size_t count);

/* Stops the thread, which gives up what it does (an open transaction is aborted); blocks for about 5 s at most,
 * or 10 s for each of two requests that a broker does not answer. */
void rfm_publisher_free(rfm_publisher *publisher);

/* From any thread. */
typedef struct rfm_publisher_stats {
    uint64_t steps, messages, fenced, unknown;
    uint64_t commit_ns; /* sum over steps, from begin to committed */
    bool ready;         /* there is a producer */
} rfm_publisher_stats;
rfm_publisher_stats rfm_publisher_stats_of(const rfm_publisher *publisher);

#endif
