#include "adapter_conf.h"

#include "log.h"
#include <rfm/client/state_format.h>
#include <stdlib.h>

static void on_kafka_log(rfm_kafka_log_level level, const char *message)
{
    static const rfm_log_level levels[] = {RFM_LOG_ERROR, RFM_LOG_WARN, RFM_LOG_INFO, RFM_LOG_DEBUG};
    rfm_log(levels[level], "kafka: %s", message);
}

static rfm_kafka_properties properties_of(const rfm_settings *settings)
{
    rfm_kafka_property *at = calloc(settings->count + 1, sizeof *at);
    RFM_NEED(at != NULL);
    for (size_t i = 0; i < settings->count; i++)
        at[i] = (rfm_kafka_property){settings->items[i].name, settings->items[i].value};
    return (rfm_kafka_properties){at, settings->count};
}

void rfm_kafka_conf_of(const rfm_config *config, rfm_kafka_conf *kafka, const char *trigger_topics[RFM_TOPICS_MAX])
{
    *kafka = (rfm_kafka_conf){.brokers = config->kafka.brokers,
                              .group = config->kafka.group,
                              .input_count = config->kafka.input_count,
                              .wal = config->kafka.wal,
                              .dead_letters = config->kafka.dead_letters,
                              .audit = config->kafka.audit,
                              .trigger_topics = trigger_topics,
                              .trigger_topic_count = config->rules.topic_count,
                              .log = on_kafka_log};
    for (size_t i = 0; i < kafka->input_count; i++)
        kafka->input_topic[i] = config->kafka.input[i].topic;
    for (size_t i = 0; i < kafka->trigger_topic_count; i++)
        trigger_topics[i] = config->rules.topic[i];
    kafka->properties = properties_of(&config->kafka.properties);
    kafka->consumer = properties_of(&config->kafka.consumer);
    kafka->producer = properties_of(&config->kafka.producer);
}

void rfm_kafka_conf_drop(rfm_kafka_conf *kafka)
{
    free((void *)(uintptr_t)kafka->properties.at);
    free((void *)(uintptr_t)kafka->consumer.at);
    free((void *)(uintptr_t)kafka->producer.at);
}

static const char *none_if_empty(const char *text)
{
    return text[0] == 0 ? NULL : text;
}

void rfm_store_conf_of(const rfm_config *config, uint32_t partition_count, rfm_store_conf *conf)
{
    *conf = (rfm_store_conf){.url = config->redis.url,
                             .username = none_if_empty(config->redis.username),
                             .password = none_if_empty(config->redis.password),
                             .sentinel_password = none_if_empty(config->redis.sentinel_password),
                             .ca_file = none_if_empty(config->redis.ca_file),
                             .cert_file = none_if_empty(config->redis.cert_file),
                             .key_file = none_if_empty(config->redis.key_file),
                             .prefix = config->redis.prefix,
                             .timeout_ms = (uint32_t)config->redis.timeout_ms,
                             .partition_count = partition_count,
                             .format = RFM_STATE_FORMAT};
}
