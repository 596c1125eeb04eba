/* Reading topics from outside of any worker: some of their partitions, from the log's beginning or a time on, to its
 * end as it was when it was asked. A client of its own, in no group; only what is committed. Blocks. */
#ifndef RFM_KAFKA_LOG_READER_H
#define RFM_KAFKA_LOG_READER_H

#include "conf.h"

typedef struct rfm_log_record {
    const char *topic;
    uint32_t partition;
    int64_t offset;
    rfm_bytes key, value; /* views for the call; at NULL: null */
} rfm_log_record;

typedef struct rfm_log_wish {
    int64_t
        since_ms; /* from the first record with that Kafka timestamp or a later one; INT64_MIN: from the beginning */
    /* Each record, those of a partition in order. Other than RFM_OK ends the reading with that. */
    int (*each)(void *owner, const rfm_log_record *record, rfm_error *error);
    void (*progress)(void *owner, int64_t read, int64_t all); /* now and then, in offsets */
    void *owner;
} rfm_log_wish;

typedef struct rfm_log_reader rfm_log_reader;

/* Of `conf` the brokers, properties and log count; it must outlive the reader. RFM_E_UNKNOWN_NAME, RFM_E_MALFORMED,
 * RFM_E_REFUSED (properties). */
int rfm_log_reader_new(const rfm_kafka_conf *conf, rfm_log_reader **reader, rfm_error *error);
void rfm_log_reader_free(rfm_log_reader *reader);

/* How many partitions the topic has. RFM_E_AWAY, RFM_E_NOT_FOUND, RFM_E_DENIED. */
int rfm_log_reader_partitions(rfm_log_reader *reader, const char *topic, uint32_t *count, rfm_error *error);
/* That partition is to be read; one that is added again is read once. */
void rfm_log_reader_add(rfm_log_reader *reader, const char *topic, uint32_t partition);
/* Reads all that was added. RFM_E_AWAY (also: no progress for 30 s), RFM_E_DENIED, RFM_E_REFUSED (the log cannot be
 * read), and what `each` returned. */
int rfm_log_reader_run(rfm_log_reader *reader, const rfm_log_wish *wish, rfm_error *error);

#endif
