#include "mock.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdlib.h>

struct rfm_mock_cluster {
    rd_kafka_t *client; /* lives in it, and only owns it */
    rd_kafka_mock_cluster_t *cluster;
};

int rfm_mock_cluster_new(rfm_mock_cluster **made, rfm_error *error)
{
    char text[256] = "";
    rfm_mock_cluster *mock = calloc(1, sizeof *mock);
    RFM_NEED(mock);
    rd_kafka_conf_t *client_conf = rd_kafka_conf_new();
    rd_kafka_conf_set(client_conf, "log_level", "0", text, sizeof text);
    mock->client = rd_kafka_new(RD_KAFKA_PRODUCER, client_conf, text, sizeof text);
    if (mock->client == NULL)
        rd_kafka_conf_destroy(client_conf);
    else
        mock->cluster = rd_kafka_mock_cluster_new(mock->client, 1);
    if (mock->cluster == NULL) {
        rfm_mock_cluster_free(mock);
        return rfm_fail(error, RFM_E_IO, "librdkafka's mock cluster does not start: %s", text);
    }
    rd_kafka_mock_group_initial_rebalance_delay_ms(mock->cluster, 0);
    *made = mock;
    return RFM_OK;
}

void rfm_mock_cluster_free(rfm_mock_cluster *mock)
{
    if (mock == NULL)
        return;
    if (mock->cluster)
        rd_kafka_mock_cluster_destroy(mock->cluster);
    if (mock->client)
        rd_kafka_destroy(mock->client);
    free(mock);
}

const char *rfm_mock_cluster_brokers(const rfm_mock_cluster *mock)
{
    return rd_kafka_mock_cluster_bootstraps(mock->cluster);
}

int rfm_mock_cluster_create(rfm_mock_cluster *mock, const char *topic, uint32_t partition_count, rfm_error *error)
{
    rd_kafka_resp_err_t code = rd_kafka_mock_topic_create(mock->cluster, topic, (int)partition_count, 1);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return RFM_OK;
    return rfm_fail(error, RFM_E_REFUSED, "mock topic '%s': %s", topic, rd_kafka_err2str(code));
}
