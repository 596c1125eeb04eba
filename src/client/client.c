#include <rfm/client/client.h>

#include <stdlib.h>

#include "activity.h"
#include "complaint.h"
#include "favourite.h"
#include "latest.h"
#include "order.h"

#define REPEAT_WINDOW_S (48 * RFM_HOUR_MS / RFM_SECOND_MS)

void rfm_client_init(rfm_client *client)
{
    client->revenue_minor = client->first_day_minor = 0;
    client->first_ms = client->last_ms = client->before_last_ms = 0;
    client->first_day = client->last_day = 0;
    client->purchase_days = 0;
    client->orders = client->refunds = client->x = client->visits = 0;
    client->visit_last_ms = 0;
    client->purchase_months = 0;
    client->stage_month = 0, client->stages = 0;
    client->order_count = client->seen_count = client->channel_count = client->consent_count = 0;
    client->category_count = client->case_count = client->latest_count = client->stamp_count = 0;
    client->points = client->complaints = 0;
    client->source = 0, client->source_ms = 0;
    client->latest_text_len = 0;
    memset(&client->marks, 0, sizeof client->marks);
    client->left_count = 0;
    client->listed_ms = client->met_ms = 0;
    client->slots_len = 0;
}

static int64_t whole_second_ms(int64_t time_ms)
{
    return rfm_div_floor(time_ms, RFM_SECOND_MS) * RFM_SECOND_MS;
}

static void count_up(uint32_t *counter)
{
    *counter += *counter < UINT32_MAX;
}

/* The window of accepted events. */

static bool has_seen(const rfm_client *client, const rfm_event *event)
{
    int64_t time_ms = whole_second_ms(event->time_ms);
    uint64_t id39 = rfm_id39(event->id48);
    for (size_t i = 0; i < client->seen_count; i++) {
        const rfm_seen *seen = &client->seen[i];
        if (seen->id39 == id39 && llabs(seen->time_ms - time_ms) <= REPEAT_WINDOW_S * RFM_SECOND_MS) {
            return true;
        }
    }
    return false;
}

static void remember(rfm_client *client, const rfm_event *event)
{
    if (client->seen_count == RFM_SEEN_MAX) {
        memmove(&client->seen[0], &client->seen[1], (RFM_SEEN_MAX - 1) * sizeof client->seen[0]);
        client->seen_count--;
    }
    client->seen[client->seen_count++] = (rfm_seen){rfm_id39(event->id48), whole_second_ms(event->time_ms)};
}

static rfm_applied_kind refuse(rfm_applied *applied, rfm_reason reason)
{
    applied->reason = reason;
    return RFM_REFUSED;
}

/* Purchases. */

/* Order does not matter: before_last_ms and last_ms are maxima, and a day is counted once as long as the map shows
 * it. */
static void count_day(rfm_client *client, int32_t day, int64_t time_ms)
{
    int64_t ahead = (int64_t)day - client->last_day;
    if (ahead > 0) {
        client->before_last_ms = client->last_ms;
        client->purchase_days = ahead <= RFM_LATENESS_DAYS ? client->purchase_days << ahead | 1 : 1;
        client->last_day = day;
        count_up(&client->x);
        return;
    }
    if (ahead < 0 && time_ms > client->before_last_ms) {
        client->before_last_ms = time_ms;
    }
    if (ahead < -RFM_LATENESS_DAYS) {
        if (day != client->first_day) {
            count_up(&client->x);
        }
    } else if (!(client->purchase_days >> -ahead & 1)) {
        client->purchase_days |= UINT64_C(1) << -ahead;
        count_up(&client->x);
    }
}

static void count_first_purchase(rfm_client *client, int32_t day, int64_t time_ms, int64_t net_minor)
{
    client->first_ms = client->last_ms = time_ms;
    client->first_day = client->last_day = day;
    client->first_day_minor = net_minor;
    client->purchase_days = client->purchase_months = 1;
    client->x = 0;
    client->before_last_ms = 0;
}

static void count_purchase(rfm_client *client, int32_t day, int64_t time_ms, int64_t net_minor)
{
    if (client->orders == 0) {
        count_first_purchase(client, day, time_ms, net_minor);
    } else {
        rfm__note_purchase(client, day);
        count_day(client, day, time_ms);
        if (day < client->first_day) {
            client->first_day = day;
            client->first_day_minor = net_minor;
        } else if (day == client->first_day) {
            client->first_day_minor += net_minor;
        }
        client->first_ms = time_ms < client->first_ms ? time_ms : client->first_ms;
        client->last_ms = time_ms > client->last_ms ? time_ms : client->last_ms;
    }
    count_up(&client->orders);
}

static void move(rfm_applied *applied, int32_t day, int64_t amount_minor)
{
    RFM_ASSERT(applied->moved_count < RFM_MOVED_MAX);
    applied->moved[applied->moved_count++] = (rfm_moved){day, amount_minor};
}

/* What waiting refunds of the order took off the days on which they stood. */
static void give_back(const rfm_client *client, uint64_t id39, const rfm_client_conf *conf, rfm_applied *applied)
{
    for (size_t i = 0; i < client->order_count; i++) {
        const rfm_order *order = &client->order[i];
        if (order->id39 == id39 && order->waiting && order->refunded_minor > 0) {
            move(applied, rfm_zone_day(conf->zone, order->time_ms), order->refunded_minor);
        }
    }
}

/* An order of 0 is an event for rules only; among the orders it stands, to tell repeats and to bound its refunds. */
static rfm_applied_kind apply_purchase(rfm_client *client, const rfm_event *event, const rfm_client_conf *conf,
                                       rfm_names *names, rfm_applied *applied)
{
    RFM_ASSERT(event->amount_minor >= 0);
    uint64_t id39 = rfm_id39(event->order_id48);
    if (rfm__orders_repeats(client, id39, event->time_ms)) {
        return RFM_REPEAT;
    }
    uint16_t currency = rfm__currency_code(conf, event->currency);
    rfm__waiting waiting = rfm__orders_waiting(client, id39, currency, conf);
    int64_t amount = event->amount_minor, revenue, sum;
    int64_t net = waiting.refunds_full > 0 || waiting.refunded_minor > amount ? 0 : amount - waiting.refunded_minor;
    /* What waited with an amount has been taken off already: give it back and take what the order bears. */
    if (__builtin_add_overflow(client->revenue_minor, waiting.taken_minor, &revenue) ||
        __builtin_add_overflow(revenue, net, &revenue) || __builtin_add_overflow(client->first_day_minor, net, &sum)) {
        return refuse(applied, RFM_REASON_BAD_AMOUNT);
    }
    applied->day = rfm_zone_day(conf->zone, event->time_ms);
    give_back(client, id39, conf, applied);
    move(applied, applied->day, net);
    rfm__orders_drop_waiting(client, id39);
    client->revenue_minor = revenue;
    client->refunds += waiting.refunds_full;
    client->refunds -= waiting.refunds_unfit < client->refunds ? waiting.refunds_unfit : client->refunds;
    if (amount > 0) {
        count_purchase(client, applied->day, event->time_ms, net);
        rfm__apply_categories(client, event, names);
        rfm__apply_source(client, event, names);
    }
    rfm_order order = {
        .id39 = id39, .time_ms = whole_second_ms(event->time_ms), .left_minor = net, .currency = currency};
    rfm__orders_push(client, &order, applied);
    applied->bought = amount > 0;
    return RFM_APPLIED;
}

/* Refunds. */

/* A refund without currency has its order's. */
static rfm_reason refund_amount(const rfm_event *event, uint16_t currency, const rfm_client_conf *conf,
                                int64_t *amount_minor)
{
    *amount_minor = event->amount_minor;
    if (event->currency.len > 0) {
        return RFM_REASON_NONE;
    }
    if (currency == 0) {
        return event->amount_minor == RFM_AMOUNT_NOT_BASE ? RFM_REASON_BAD_AMOUNT : RFM_REASON_NONE;
    }
    int code = rfm__order_convert(conf, event->amount, currency, amount_minor);
    return code == RFM_E_NOT_FOUND ? RFM_REASON_UNKNOWN_CURRENCY : code ? RFM_REASON_BAD_AMOUNT : RFM_REASON_NONE;
}

static rfm_applied_kind refund_order(rfm_client *client, rfm_order *order, const rfm_event *event,
                                     const rfm_client_conf *conf, rfm_applied *applied)
{
    int64_t taken = order->left_minor, revenue, first_day_minor;
    if (event->has_amount) {
        rfm_reason reason = refund_amount(event, order->currency, conf, &applied->amount_minor);
        if (reason) {
            return refuse(applied, reason);
        }
        taken = applied->amount_minor < taken ? applied->amount_minor : taken;
    }
    if (__builtin_sub_overflow(client->revenue_minor, taken, &revenue) ||
        __builtin_sub_overflow(client->first_day_minor, taken, &first_day_minor)) {
        return refuse(applied, RFM_REASON_BAD_AMOUNT);
    }
    client->revenue_minor = revenue;
    order->left_minor -= taken;
    move(applied, rfm_zone_day(conf->zone, order->time_ms), -taken);
    if (client->orders > 0 && applied->moved[0].day == client->first_day) {
        client->first_day_minor = first_day_minor;
    }
    count_up(&client->refunds);
    return RFM_APPLIED;
}

/* What waits for an order stands on the day of its earliest refund, whatever their order. */
static void move_waiting(const rfm_order *before, const rfm_order *after, const rfm_client_conf *conf,
                         rfm_applied *applied)
{
    if (before && before->refunded_minor > 0) {
        move(applied, rfm_zone_day(conf->zone, before->time_ms), before->refunded_minor);
    }
    if (after->refunded_minor > 0) {
        move(applied, rfm_zone_day(conf->zone, after->time_ms), -after->refunded_minor);
    }
}

static rfm_applied_kind await_order(rfm_client *client, const rfm_event *event, uint64_t source,
                                    const rfm_client_conf *conf, rfm_applied *applied)
{
    rfm_order *waiting = rfm__orders_find_waiting(client, event, conf);
    rfm_order entry = {
        .id39 = rfm_id39(event->order_id48), .time_ms = whole_second_ms(event->time_ms), .waiting = true};
    rfm_order order = waiting ? *waiting : entry;
    if (event->has_amount) {
        int64_t revenue;
        if (event->amount_minor == RFM_AMOUNT_NOT_BASE ||
            __builtin_add_overflow(order.refunded_minor, event->amount_minor, &order.refunded_minor) ||
            __builtin_sub_overflow(client->revenue_minor, event->amount_minor, &revenue)) {
            return refuse(applied, RFM_REASON_BAD_AMOUNT);
        }
        order.unnamed = rfm__refund_is_unnamed(event, conf) ? event->amount : order.unnamed;
        client->revenue_minor = revenue;
        count_up(&client->refunds);
    } else {
        order.refunds_full = 1;
        order.source = source;
    }
    order.time_ms = entry.time_ms < order.time_ms ? entry.time_ms : order.time_ms;
    move_waiting(waiting, &order, conf, applied);
    if (waiting) {
        *waiting = order;
    } else if (order.refunds_full > 0 || order.refunded_minor > 0) {
        rfm__orders_push(client, &order, applied);
    }
    return RFM_APPLIED;
}

static rfm_applied_kind apply_refund(rfm_client *client, const rfm_event *event, uint64_t source,
                                     const rfm_client_conf *conf, rfm_applied *applied)
{
    RFM_ASSERT(!event->has_amount || event->amount_minor >= 0 || event->amount_minor == RFM_AMOUNT_NOT_BASE);
    applied->amount_minor = event->amount_minor;
    rfm_order *order = rfm__orders_find(client, rfm_id39(event->order_id48), event->time_ms);
    return order ? refund_order(client, order, event, conf, applied)
                 : await_order(client, event, source, conf, applied);
}

/* Visits. */

static rfm_applied_kind apply_visit(rfm_client *client, const rfm_event *event, const rfm_client_conf *conf,
                                    rfm_names *names, rfm_applied *applied)
{
    applied->day = rfm_zone_day(conf->zone, event->time_ms);
    rfm__note_visit(client, event, applied->day);
    rfm__apply_source(client, event, names);
    if (client->visits == 0 || event->time_ms > client->visit_last_ms) {
        client->visit_last_ms = event->time_ms;
    }
    count_up(&client->visits);
    return RFM_APPLIED;
}

/* Consent: entries by channel's number, then class. */

static size_t consent_place(const rfm_client *client, uint16_t channel, rfm_class class_, bool *found)
{
    size_t i = 0;
    for (; i < client->consent_count; i++) {
        const rfm_consent *consent = &client->consent[i];
        if (consent->channel > channel || (consent->channel == channel && consent->class_ >= class_)) {
            break;
        }
    }
    *found = i < client->consent_count && client->consent[i].channel == channel && client->consent[i].class_ == class_;
    return i;
}

/* `number` 0: a channel without a number yet, which can have no entries. */
static bool has_consent_room(const rfm_client *client, uint16_t number, bool marketing, bool transactional)
{
    bool has_marketing, has_transactional;
    (void)consent_place(client, number, RFM_CLASS_MARKETING, &has_marketing);
    (void)consent_place(client, number, RFM_CLASS_TRANSACTIONAL, &has_transactional);
    int missing = (marketing && !has_marketing) + (transactional && !has_transactional);
    return client->consent_count + missing <= RFM_CONSENTS_MAX;
}

static void put_consent(rfm_client *client, uint16_t channel, rfm_class class_, bool granted, int64_t time_ms)
{
    bool found;
    size_t place = consent_place(client, channel, class_, &found);
    rfm_consent *consent = &client->consent[place];
    if (found && (time_ms < consent->time_ms || (time_ms == consent->time_ms && granted))) {
        return;
    }
    if (!found) {
        memmove(consent + 1, consent, (client->consent_count - place) * sizeof *consent);
        client->consent_count++;
    }
    *consent = (rfm_consent){.channel = channel, .class_ = (uint8_t)class_, .granted = granted, .time_ms = time_ms};
}

static rfm_applied_kind apply_consent(rfm_client *client, const rfm_event *event, rfm_names *names,
                                      rfm_applied *applied)
{
    bool marketing = event->class_ == RFM_CLASS_MARKETING;
    if (!has_consent_room(client, rfm_names_find(names, event->channel), marketing, !marketing)) {
        return refuse(applied, RFM_REASON_STATE_FULL);
    }
    uint16_t channel = rfm_names_number(names, event->channel);
    put_consent(client, channel, event->class_, event->granted, event->time_ms);
    return RFM_APPLIED;
}

/* Messages: channels by name's number. */

static rfm_channel_stats *find_channel(rfm_client *client, uint16_t name)
{
    for (size_t i = 0; i < client->channel_count; i++) {
        if (client->channel[i].name == name) {
            return &client->channel[i];
        }
    }
    return NULL;
}

static rfm_channel_stats *add_channel(rfm_client *client, uint16_t name)
{
    RFM_ASSERT(client->channel_count <= RFM_CHANNELS_MAX);
    size_t place = 0;
    while (place < client->channel_count && client->channel[place].name < name) {
        place++;
    }
    rfm_channel_stats *stats = &client->channel[place];
    memmove(stats + 1, stats, (client->channel_count - place) * sizeof *stats);
    client->channel_count++;
    *stats = (rfm_channel_stats){.name = name};
    return stats;
}

static rfm_channel_stats *channel_of(rfm_client *client, uint16_t name, rfm_names *names)
{
    rfm_channel_stats *stats = find_channel(client, name);
    if (stats) {
        return stats;
    }
    if (client->channel_count < RFM_CHANNELS_MAX) {
        return add_channel(client, name);
    }
    uint16_t other = rfm_names_number(names, rfm_text("other"));
    stats = find_channel(client, other);
    if (client->channel_count == RFM_CHANNELS_MAX) {
        return add_channel(client, stats ? name : other);
    }
    return stats ? stats : &client->channel[RFM_CHANNELS_MAX];
}

static void note_reach(rfm_channel_stats *stats, rfm_reach reach, int64_t time_ms)
{
    if (stats->reach == RFM_REACH_UNKNOWN || time_ms > stats->reach_ms) {
        stats->reach = (uint8_t)reach;
        stats->reach_ms = time_ms;
    } else if (time_ms == stats->reach_ms && reach == RFM_REACH_BOUNCED) {
        stats->reach = RFM_REACH_BOUNCED;
    }
}

static rfm_applied_kind apply_message(rfm_client *client, const rfm_event *event, rfm_names *names,
                                      rfm_applied *applied)
{
    RFM_ASSERT(event->status < RFM_STATUS_COUNT);
    bool complained = event->status == RFM_STATUS_COMPLAINED;
    bool refuses = complained || event->status == RFM_STATUS_UNSUBSCRIBED;
    if (!has_consent_room(client, rfm_names_find(names, event->channel), refuses, complained)) {
        return refuse(applied, RFM_REASON_STATE_FULL);
    }
    uint16_t channel = rfm_names_number(names, event->channel);
    rfm_channel_stats *stats = channel_of(client, channel, names);
    count_up(&stats->by_status[event->status]);
    if (event->status == RFM_STATUS_DELIVERED) {
        note_reach(stats, RFM_REACH_DELIVERED, event->time_ms);
    } else if (event->status == RFM_STATUS_BOUNCED && event->permanent) {
        note_reach(stats, RFM_REACH_BOUNCED, event->time_ms);
    }
    if (refuses) {
        put_consent(client, channel, RFM_CLASS_MARKETING, false, event->time_ms);
    }
    if (complained) {
        put_consent(client, channel, RFM_CLASS_TRANSACTIONAL, false, event->time_ms);
    }
    rfm__apply_source(client, event, names);
    return RFM_APPLIED;
}

/* Feedback, profile, points, cost. */

/* A review is an event for rules only. */
static rfm_applied_kind apply_feedback(rfm_client *client, const rfm_event *event)
{
    if (event->feedback == RFM_FEEDBACK_COMPLAINT || event->feedback == RFM_FEEDBACK_RESOLVED) {
        rfm__apply_complaint(client, event);
    } else if (event->feedback != RFM_FEEDBACK_REVIEW) {
        rfm__apply_answer(client, event);
    }
    return RFM_APPLIED;
}

static rfm_applied_kind apply_points(rfm_client *client, const rfm_event *event, rfm_applied *applied)
{
    int64_t points;
    if (__builtin_add_overflow(client->points, event->delta, &points)) {
        return refuse(applied, RFM_REASON_BAD_VALUE);
    }
    client->points = points;
    return RFM_APPLIED;
}

static rfm_applied_kind apply_cost(rfm_client *client, const rfm_event *event, const rfm_client_conf *conf,
                                   rfm_names *names, rfm_applied *applied)
{
    applied->day = rfm_zone_day(conf->zone, event->time_ms);
    rfm__apply_source(client, event, names);
    return RFM_APPLIED;
}

/* All events. */

static rfm_applied_kind apply_by_type(rfm_client *client, const rfm_event *event, uint64_t source,
                                      const rfm_client_conf *conf, rfm_names *names, rfm_applied *applied)
{
    switch (event->type) {
    case RFM_EVENT_PURCHASE: return apply_purchase(client, event, conf, names, applied);
    case RFM_EVENT_REFUND: return apply_refund(client, event, source, conf, applied);
    case RFM_EVENT_VISIT: return apply_visit(client, event, conf, names, applied);
    case RFM_EVENT_MESSAGE: return apply_message(client, event, names, applied);
    case RFM_EVENT_CONSENT: return apply_consent(client, event, names, applied);
    case RFM_EVENT_FEEDBACK: return apply_feedback(client, event);
    case RFM_EVENT_PROFILE: rfm__apply_profile(client, event, conf, names, applied); return RFM_APPLIED;
    case RFM_EVENT_POINTS: return apply_points(client, event, applied);
    case RFM_EVENT_COST: return apply_cost(client, event, conf, names, applied);
    case RFM_EVENT_ERASE: /* the engine's: there is no client afterwards */
    default: return refuse(applied, RFM_REASON_UNKNOWN_TYPE);
    }
}

rfm_applied_kind rfm_client_apply(rfm_client *client, const rfm_event *event, uint64_t source,
                                  const rfm_client_conf *conf, rfm_names *names, rfm_applied *applied)
{
    memset(applied, 0, offsetof(rfm_applied, moved));
    if (event->time_ms < RFM_TIME_1990_MS || event->time_ms > RFM_TIME_MAX_MS) {
        return refuse(applied, event->time_ms < RFM_TIME_1990_MS ? RFM_REASON_TIME_TOO_OLD : RFM_REASON_BAD_TIME);
    }
    if (has_seen(client, event)) {
        return RFM_REPEAT;
    }
    rfm_applied_kind kind = apply_by_type(client, event, source, conf, names, applied);
    if (kind == RFM_APPLIED) {
        remember(client, event);
    }
    return kind;
}

static bool purchases_equal(const rfm_client *a, const rfm_client *b)
{
    if (a->orders != b->orders || a->refunds != b->refunds || a->revenue_minor != b->revenue_minor) {
        return false;
    }
    return a->orders == 0 || (a->first_ms == b->first_ms && a->last_ms == b->last_ms && a->first_day == b->first_day &&
                              a->last_day == b->last_day && a->purchase_days == b->purchase_days && a->x == b->x &&
                              a->first_day_minor == b->first_day_minor && a->purchase_months == b->purchase_months &&
                              (a->x == 0 || a->before_last_ms == b->before_last_ms));
}

static bool visits_equal(const rfm_client *a, const rfm_client *b)
{
    return a->visits == b->visits && (a->visits == 0 || (a->visit_last_ms == b->visit_last_ms &&
                                                         a->stage_month == b->stage_month && a->stages == b->stages));
}

static bool channels_equal(const rfm_channel_stats *a, const rfm_channel_stats *b)
{
    return a->name == b->name && a->reach == b->reach &&
           (a->reach == RFM_REACH_UNKNOWN || a->reach_ms == b->reach_ms) &&
           memcmp(a->by_status, b->by_status, sizeof a->by_status) == 0;
}

static bool consents_equal(const rfm_consent *a, const rfm_consent *b)
{
    return a->channel == b->channel && a->class_ == b->class_ && a->granted == b->granted && a->time_ms == b->time_ms;
}

static bool later_facts_equal(const rfm_client *a, const rfm_client *b)
{
    bool equal = a->category_count == b->category_count && a->points == b->points && a->complaints == b->complaints &&
                 a->case_count == b->case_count && a->source == b->source &&
                 (a->source == 0 || a->source_ms == b->source_ms) && rfm__latest_equal(a, b);
    for (size_t i = 0; equal && i < a->category_count; i++) {
        equal = a->category[i].name == b->category[i].name && a->category[i].orders == b->category[i].orders;
    }
    for (size_t i = 0; equal && i < a->case_count; i++) {
        equal = a->cases[i].id48 == b->cases[i].id48 && a->cases[i].time_ms == b->cases[i].time_ms &&
                a->cases[i].complained == b->cases[i].complained && a->cases[i].open == b->cases[i].open;
    }
    return equal;
}

bool rfm_client_facts_equal(const rfm_client *a, const rfm_client *b)
{
    if (!purchases_equal(a, b) || !visits_equal(a, b) || a->channel_count != b->channel_count ||
        a->consent_count != b->consent_count) {
        return false;
    }
    for (size_t i = 0; i < a->channel_count; i++) {
        if (!channels_equal(&a->channel[i], &b->channel[i])) {
            return false;
        }
    }
    for (size_t i = 0; i < a->consent_count; i++) {
        if (!consents_equal(&a->consent[i], &b->consent[i])) {
            return false;
        }
    }
    return later_facts_equal(a, b);
}

static int64_t later(int64_t a_ms, int64_t b_ms)
{
    return a_ms > b_ms ? a_ms : b_ms;
}

int64_t rfm_client_last_event_ms(const rfm_client *client)
{
    int64_t last_ms = client->orders > 0 ? client->last_ms : INT64_MIN;
    if (client->visits > 0) {
        last_ms = later(last_ms, client->visit_last_ms);
    }
    for (size_t i = 0; i < client->seen_count; i++) {
        last_ms = later(last_ms, client->seen[i].time_ms);
    }
    for (size_t i = 0; i < client->consent_count; i++) {
        last_ms = later(last_ms, client->consent[i].time_ms);
    }
    for (size_t i = 0; i < client->channel_count; i++) {
        last_ms = client->channel[i].reach ? later(last_ms, client->channel[i].reach_ms) : last_ms;
    }
    for (size_t i = 0; i < client->case_count; i++) {
        last_ms = later(last_ms, client->cases[i].time_ms);
    }
    if (client->stamp_count > 0) {
        last_ms = later(last_ms, client->stamp[client->stamp_count - 1].time_ms);
    }
    return client->source > 0 ? later(last_ms, client->source_ms) : last_ms;
}

rfm_permission rfm_client_permission(const rfm_client *client, uint16_t channel, rfm_class class_)
{
    bool found;
    size_t place = consent_place(client, channel, class_, &found);
    if (!found) {
        return RFM_PERMISSION_UNKNOWN;
    }
    return client->consent[place].granted ? RFM_PERMISSION_GRANTED : RFM_PERMISSION_REFUSED;
}

bool rfm_client_bounces(const rfm_client *client, uint16_t channel)
{
    for (size_t i = 0; i < client->channel_count; i++) {
        if (client->channel[i].name == channel) {
            return client->channel[i].reach == RFM_REACH_BOUNCED;
        }
    }
    return false;
}
