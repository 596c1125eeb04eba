/* The client that asks for the group's committed offsets, and the queue of its answers. At first the member's.
 *
 * In librdkafka up to 2.8 at least, an admin request goes to the coordinator that its client knows of for as long as
 * that broker is up, even when it answers that it coordinates the group no more: a client that has been told so is of
 * no use. */
#ifndef RFM_KAFKA_INQUIRER_H
#define RFM_KAFKA_INQUIRER_H

#include "client.h"

typedef struct rfm__inquirer {
    const rfm_kafka_conf *conf; /* first: librdkafka's opaque points here */
    rfm__wake *wake;
    rd_kafka_t *client;
    rd_kafka_queue_t *queue;
    bool is_own; /* and not the member's */
} rfm__inquirer;

/* The inquirer must stay where it is, and be released before the member. */
void rfm__inquirer_init(rfm__inquirer *inquirer, const rfm_kafka_conf *conf, rd_kafka_t *member, rfm__wake *wake);
void rfm__inquirer_release(rfm__inquirer *inquirer);
/* Another client, which knows of no coordinator yet and joins no group. Nothing may be under way. If none can be made
 * the present one stays, and the log says so. */
void rfm__inquirer_renew(rfm__inquirer *inquirer);

#endif
