/* What all Kafka clients of the process are made of: names, properties, and the two things that never change while it
 * runs, the inputs and their number of partitions. Everything pointed to must outlive the clients. */
#ifndef RFM_KAFKA_CONF_H
#define RFM_KAFKA_CONF_H

#include <rfm/base/error.h>
#include <rfm/engine/ports.h>

typedef struct rfm_kafka_property {
    const char *name, *value;
} rfm_kafka_property;
typedef struct rfm_kafka_properties {
    const rfm_kafka_property *at;
    size_t count;
} rfm_kafka_properties;

typedef enum rfm_kafka_log_level {
    RFM_KAFKA_LOG_ERROR,
    RFM_KAFKA_LOG_WARNING,
    RFM_KAFKA_LOG_INFO,
    RFM_KAFKA_LOG_DEBUG,
} rfm_kafka_log_level;

typedef struct rfm_kafka_conf {
    const char *brokers, *group;
    const char *instance_id;      /* this worker's group.instance.id (static membership); NULL: a dynamic member */
    const char *transactional_id; /* NULL: at_least_once, no transactions */
    const char *input_topic[RFM_INPUTS_MAX];
    size_t input_count;
    const char *wal, *dead_letters, *audit;
    const char *const *trigger_topics; /* as rfm_rules.topic */
    size_t trigger_topic_count;
    uint32_t partition_count; /* from rfm_topics_check; sizes the fetch buffers */
    size_t fetch_bytes_max;   /* fetched and not yet fed, of one worker; 0: 64 MiB */
    /* Handed to librdkafka last, so that they win; those that would break a promise are refused by name. */
    rfm_kafka_properties properties, consumer, producer;
    /* From any thread, never with a secret in it. NULL: silence. */
    void (*log)(rfm_kafka_log_level level, const char *message);
} rfm_kafka_conf;

/* Checks all properties against librdkafka, without a connection: an unknown name, a bad value, one that is not ours to
 * change. RFM_E_UNKNOWN_NAME, RFM_E_MALFORMED, RFM_E_REFUSED; values of secrets are not in the message. */
int rfm_kafka_conf_check(const rfm_kafka_conf *conf, rfm_error *error);
/* "2.8.0", of librdkafka. */
const char *rfm_kafka_version(void);

#endif
