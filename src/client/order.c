#include "order.h"

#define REPEAT_WINDOW_S (90 * RFM_DAY_MS / RFM_SECOND_MS)

static int64_t distance_s(int64_t a_ms, int64_t b_ms)
{
    int64_t distance = rfm_div_floor(a_ms, RFM_SECOND_MS) - rfm_div_floor(b_ms, RFM_SECOND_MS);
    return distance < 0 ? -distance : distance;
}

bool rfm__orders_repeats(const rfm_client *client, uint64_t id48, int64_t time_ms)
{
    for (size_t i = 0; i < client->order_count; i++) {
        const rfm_order *order = &client->order[i];
        if (order->id48 == id48 && !order->waiting && distance_s(order->time_ms, time_ms) <= REPEAT_WINDOW_S) {
            return true;
        }
    }
    return false;
}

static bool is_nearer(const rfm_order *order, const rfm_order *best, int64_t time_ms)
{
    bool before = order->time_ms <= time_ms, best_before = best->time_ms <= time_ms;
    if (before != best_before) {
        return before;
    }
    return before ? order->time_ms > best->time_ms : order->time_ms < best->time_ms;
}

rfm_order *rfm__orders_find(rfm_client *client, uint64_t id48, int64_t time_ms)
{
    rfm_order *best = NULL;
    for (size_t i = 0; i < client->order_count; i++) {
        rfm_order *order = &client->order[i];
        if (order->id48 == id48 && !order->waiting && (!best || is_nearer(order, best, time_ms))) {
            best = order;
        }
    }
    return best;
}

rfm_order *rfm__orders_find_waiting(rfm_client *client, uint64_t id48, bool has_amount)
{
    for (size_t i = 0; i < client->order_count; i++) {
        rfm_order *order = &client->order[i];
        if (order->id48 == id48 && order->waiting && (has_amount || order->refunds_full == 0)) {
            return order;
        }
    }
    return NULL;
}

void rfm__orders_waiting(const rfm_client *client, uint64_t id48, int64_t *refunded_minor, uint32_t *refunds_full)
{
    *refunded_minor = 0;
    *refunds_full = 0;
    for (size_t i = 0; i < client->order_count; i++) {
        const rfm_order *order = &client->order[i];
        if (order->id48 == id48 && order->waiting) {
            if (__builtin_add_overflow(*refunded_minor, order->refunded_minor, refunded_minor)) {
                *refunded_minor = INT64_MAX;
            }
            *refunds_full += order->refunds_full;
        }
    }
}

void rfm__orders_drop_waiting(rfm_client *client, uint64_t id48)
{
    uint8_t kept = 0;
    for (size_t i = 0; i < client->order_count; i++) {
        if (client->order[i].id48 != id48 || !client->order[i].waiting) {
            client->order[kept++] = client->order[i];
        }
    }
    client->order_count = kept;
}

void rfm__orders_push(rfm_client *client, const rfm_order *order, rfm_applied *applied)
{
    if (client->order_count == RFM_ORDERS_MAX) {
        const rfm_order *oldest = &client->order[0];
        if (oldest->waiting && oldest->refunds_full > 0) {
            applied->lost_refund = true;
            applied->lost_source = oldest->source;
            applied->lost_time_ms = oldest->time_ms;
        }
        memmove(&client->order[0], &client->order[1], (RFM_ORDERS_MAX - 1) * sizeof client->order[0]);
        client->order_count--;
    }
    client->order[client->order_count++] = *order;
}
