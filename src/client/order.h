/* The window of the last 16 order ids by arrival: orders that came, which tell repeats and bound refunds, and refunds that
 * wait for theirs. Refunds of one order that wait share an entry, but for a second one without amount: each of those needs
 * a place to be reported from if it is pushed out. */
#ifndef RFM_CLIENT_ORDER_H
#define RFM_CLIENT_ORDER_H

#include <rfm/client/client.h>

/* Among the last 16 orders with a time within 90 days. */
bool rfm__orders_repeats(const rfm_client *client, uint64_t id48, int64_t time_ms);
/* The order that a refund of `time_ms` belongs to: the latest not after it, else the earliest. NULL: none has come. */
rfm_order *rfm__orders_find(rfm_client *client, uint64_t id48, int64_t time_ms);
/* An entry of the order in which a refund can wait; NULL: there is none. */
rfm_order *rfm__orders_find_waiting(rfm_client *client, uint64_t id48, bool has_amount);
/* What waits for an order: the sum of amounts (saturated) and the number of refunds without one. */
void rfm__orders_waiting(const rfm_client *client, uint64_t id48, int64_t *refunded_minor, uint32_t *refunds_full);
void rfm__orders_drop_waiting(rfm_client *client, uint64_t id48);
/* Makes the entry the newest; the oldest goes when there is no room, and a refund lost by that is told in `applied`. */
void rfm__orders_push(rfm_client *client, const rfm_order *order, rfm_applied *applied);

#endif
