/* librdkafka's mock cluster in this process, for the demo and for tests. It proves nothing about exactly-once: it
 * ignores aborts, keeps no offsets of transactions and about 5 MB a partition. */
#ifndef RFM_KAFKA_MOCK_H
#define RFM_KAFKA_MOCK_H

#include <rfm/base/error.h>

#include <stdint.h>

typedef struct rfm_mock_cluster rfm_mock_cluster;

int rfm_mock_cluster_new(rfm_mock_cluster **cluster, rfm_error *error);
void rfm_mock_cluster_free(rfm_mock_cluster *cluster);
const char *rfm_mock_cluster_brokers(const rfm_mock_cluster *cluster); /* bootstrap servers */
int rfm_mock_cluster_create(rfm_mock_cluster *cluster, const char *topic, uint32_t partition_count, rfm_error *error);

#endif
