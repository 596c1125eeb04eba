#include "inquirer.h"

static void take(rfm__inquirer *inquirer, rd_kafka_t *client, bool is_own)
{
    inquirer->client = client;
    inquirer->is_own = is_own;
    inquirer->queue = rd_kafka_queue_new(client);
    rfm__wake_watch(inquirer->wake, inquirer->queue);
}

void rfm__inquirer_init(rfm__inquirer *inquirer, const rfm_kafka_conf *conf, rd_kafka_t *member, rfm__wake *wake)
{
    *inquirer = (rfm__inquirer){.conf = conf, .wake = wake};
    take(inquirer, member, false);
}

void rfm__inquirer_release(rfm__inquirer *inquirer)
{
    rd_kafka_queue_destroy(inquirer->queue);
    if (inquirer->is_own)
        rd_kafka_destroy_flags(inquirer->client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}

void rfm__inquirer_renew(rfm__inquirer *inquirer)
{
    rfm_error error;
    rd_kafka_conf_t *client_conf;
    rd_kafka_t *client;
    int code = rfm__client_conf(&inquirer->conf, RFM__MEMBER, &client_conf, &error);
    if (code == RFM_OK)
        code = rfm__client_new(RFM__MEMBER, client_conf, &client, &error);
    if (code != RFM_OK) {
        rfm__kafka_log(inquirer->conf, RFM_KAFKA_LOG_WARNING, "no client to ask for offsets: %s", error.message);
        return;
    }
    rfm__inquirer_release(inquirer);
    take(inquirer, client, true);
}
