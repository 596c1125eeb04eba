#include "order.h"

#define REPEAT_WINDOW_S (90 * RFM_DAY_MS / RFM_SECOND_MS)

static int64_t distance_s(int64_t a_ms, int64_t b_ms)
{
    int64_t distance = rfm_div_floor(a_ms, RFM_SECOND_MS) - rfm_div_floor(b_ms, RFM_SECOND_MS);
    return distance < 0 ? -distance : distance;
}

bool rfm__orders_repeats(const rfm_client *client, uint64_t id39, int64_t time_ms)
{
    for (size_t i = 0; i < client->order_count; i++) {
        const rfm_order *order = &client->order[i];
        if (order->id39 == id39 && !order->waiting && distance_s(order->time_ms, time_ms) <= REPEAT_WINDOW_S) {
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

rfm_order *rfm__orders_find(rfm_client *client, uint64_t id39, int64_t time_ms)
{
    rfm_order *best = NULL;
    for (size_t i = 0; i < client->order_count; i++) {
        rfm_order *order = &client->order[i];
        if (order->id39 == id39 && !order->waiting && (!best || is_nearer(order, best, time_ms))) {
            best = order;
        }
    }
    return best;
}

uint16_t rfm__currency_code(const rfm_client_conf *conf, rfm_bytes currency)
{
    if (currency.len != 3 || rfm_bytes_is(currency, conf->money.base.code)) {
        return 0;
    }
    unsigned code = 0;
    for (size_t i = 0; i < 3; i++) {
        if (currency.at[i] < 'A' || currency.at[i] > 'Z') {
            return 0;
        }
        code = code * 26 + currency.at[i] - 'A';
    }
    return (uint16_t)(code + 1);
}

int rfm__order_convert(const rfm_client_conf *conf, rfm_decimal amount, uint16_t currency, int64_t *amount_minor)
{
    unsigned code = currency - 1u;
    const uint8_t text[3] = {(uint8_t)('A' + code / 676 % 26), (uint8_t)('A' + code / 26 % 26),
                             (uint8_t)('A' + code % 26)};
    return rfm_money_convert(&conf->money, amount, rfm_bytes_of(text, currency > 0 ? sizeof text : 0), amount_minor);
}

bool rfm__refund_is_unnamed(const rfm_event *event, const rfm_client_conf *conf)
{
    return event->has_amount && event->currency.len == 0 && conf->money.other_count > 0;
}

rfm_order *rfm__orders_find_waiting(rfm_client *client, const rfm_event *event, const rfm_client_conf *conf)
{
    bool unnamed = rfm__refund_is_unnamed(event, conf);
    uint64_t id39 = rfm_id39(event->order_id48);
    for (size_t i = 0; i < client->order_count; i++) {
        rfm_order *order = &client->order[i];
        if (order->id39 == id39 && order->waiting && (event->has_amount || order->refunds_full == 0) &&
            (!unnamed || order->unnamed.digits == 0)) {
            return order;
        }
    }
    return NULL;
}

static void add_saturated(int64_t *sum, int64_t value)
{
    if (__builtin_add_overflow(*sum, value, sum)) {
        *sum = INT64_MAX;
    }
}

/* Adds what the entry's refunds come to, now that their order's currency is known. One that cannot be in that currency,
 * for its decimals or for want of a rate, comes to nothing, as if it had come after the order. */
static void add_refunded(rfm__waiting *sum, const rfm_order *waiting, uint16_t currency, const rfm_client_conf *conf)
{
    int64_t refunded = waiting->refunded_minor, as_base, as_order;
    if (waiting->unnamed.digits != 0 && currency != 0 && !rfm__order_convert(conf, waiting->unnamed, 0, &as_base) &&
        as_base <= refunded) {
        bool fits = !rfm__order_convert(conf, waiting->unnamed, currency, &as_order);
        refunded -= as_base;
        add_saturated(&refunded, fits ? as_order : 0);
        sum->refunds_unfit += !fits;
    }
    add_saturated(&sum->refunded_minor, refunded);
}

rfm__waiting rfm__orders_waiting(const rfm_client *client, uint64_t id39, uint16_t currency,
                                 const rfm_client_conf *conf)
{
    rfm__waiting waiting = {0};
    for (size_t i = 0; i < client->order_count; i++) {
        const rfm_order *order = &client->order[i];
        if (order->id39 == id39 && order->waiting) {
            add_saturated(&waiting.taken_minor, order->refunded_minor);
            add_refunded(&waiting, order, currency, conf);
            waiting.refunds_full += order->refunds_full;
        }
    }
    return waiting;
}

void rfm__orders_drop_waiting(rfm_client *client, uint64_t id39)
{
    uint8_t kept = 0;
    for (size_t i = 0; i < client->order_count; i++) {
        if (client->order[i].id39 != id39 || !client->order[i].waiting) {
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
