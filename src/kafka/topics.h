/* The topics as the broker has them, asked before the loops start: every problem is told with what to do about it.
 * Blocks. */
#ifndef RFM_KAFKA_TOPICS_H
#define RFM_KAFKA_TOPICS_H

#include "conf.h"

enum { RFM_TOPIC_ID_TEXT = 32, RFM_CLUSTER_ID_TEXT = 64 };

typedef struct rfm_topics {
    uint32_t partition_count; /* of every input and of the WAL */
    char cluster_id[RFM_CLUSTER_ID_TEXT];
    char input_id[RFM_INPUTS_MAX][RFM_TOPIC_ID_TEXT]; /* topic ids in base64; "" where the broker knows none */
    char wal_id[RFM_TOPIC_ID_TEXT];
    int64_t wal_idle_ms; /* a quarter of the WAL's retention, at most a day: how often an idle task writes */
} rfm_topics;

typedef struct rfm_topics_wish {
    bool create;                                       /* missing topics are made */
    uint32_t partition_count;                          /* of those made, where no input or WAL exists to go by; 0: 8 */
    int64_t timeout_ms;                                /* for all of it; 0: 30 s */
    void (*problem)(void *owner, const char *message); /* each problem by itself; NULL: only the first, in `error` */
    void *owner;
} rfm_topics_wish;

/* All topics exist, inputs and WAL have equal partition counts, the WAL keeps every record (no compaction), we may read
 * and write what we must. RFM_E_AWAY: no broker answers; RFM_E_DENIED; RFM_E_REFUSED: topics are not as they must
 * be. */
int rfm_topics_check(const rfm_kafka_conf *conf, const rfm_topics_wish *wish, rfm_topics *topics, rfm_error *error);

#endif
