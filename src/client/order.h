/* The window of the last 16 order ids by arrival: orders that came, which tell repeats and bound refunds, and refunds
 * that wait for theirs. Refunds of one order that wait share an entry, with two exceptions that stand by themselves: a
 * second one without amount, which needs a place to be reported from if it is pushed out; and, if there are other
 * currencies than the base, a second one that names none, since each is converted by itself when its order tells the
 * currency. */
#ifndef RFM_CLIENT_ORDER_H
#define RFM_CLIENT_ORDER_H

#include <rfm/client/client.h>

/* Among the last 16 orders with a time within 90 days. */
bool rfm__orders_repeats(const rfm_client *client, uint64_t id39, int64_t time_ms);
/* The order that a refund of `time_ms` belongs to: the latest not after it, else the earliest. NULL: none has come. */
rfm_order *rfm__orders_find(rfm_client *client, uint64_t id39, int64_t time_ms);
/* Three letters as a number; 0: the base currency, or none given. */
uint16_t rfm__currency_code(const rfm_client_conf *conf, rfm_bytes currency);
/* An amount that names no currency, of an order in `currency`, as base minor units; codes of rfm_money_convert. */
int rfm__order_convert(const rfm_client_conf *conf, rfm_decimal amount, uint16_t currency, int64_t *amount_minor);

/* An entry of the order in which this refund can wait; NULL: there is none. */
rfm_order *rfm__orders_find_waiting(rfm_client *client, const rfm_event *event, const rfm_client_conf *conf);
/* Has the refund's amount to wait as a decimal until its order tells the currency? */
bool rfm__refund_is_unnamed(const rfm_event *event, const rfm_client_conf *conf);
/* All that waits for an order; sums are saturated. */
typedef struct rfm__waiting {
    int64_t taken_minor;    /* what has been taken off the revenue already */
    int64_t refunded_minor; /* what it comes to in the order's currency */
    uint32_t refunds_full;  /* refunds without amount */
    uint32_t refunds_unfit; /* refunds that name no currency and cannot be of the order's: they have been none */
} rfm__waiting;
rfm__waiting rfm__orders_waiting(const rfm_client *client, uint64_t id39, uint16_t currency,
                                 const rfm_client_conf *conf);
void rfm__orders_drop_waiting(rfm_client *client, uint64_t id39);
/* Makes the entry the newest; the oldest goes when there is no room, and a refund lost by that is told in `applied`. */
void rfm__orders_push(rfm_client *client, const rfm_order *order, rfm_applied *applied);

#endif
