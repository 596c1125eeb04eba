/* The adapters' configurations, from ours. */
#ifndef RFM_APP_ADAPTER_CONF_H
#define RFM_APP_ADAPTER_CONF_H

#include "config/config.h"
#include "kafka/conf.h"
#include "redis/store.h"

/* Views into `config`, and memory of its own until it is dropped. */
void rfm_kafka_conf_of(const rfm_config *config, rfm_kafka_conf *kafka, const char *trigger_topics[RFM_TOPICS_MAX]);
void rfm_kafka_conf_drop(rfm_kafka_conf *kafka);
void rfm_store_conf_of(const rfm_config *config, uint32_t partition_count, rfm_store_conf *conf); /* views */

#endif
