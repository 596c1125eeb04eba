#include <rfm/rule/environment.h>

#include "sight.h"

#include <math.h>
#include <rfm/base/time.h>
#include <stdio.h>

/* A field, and how it is fetched. `part`: of an event, its number where it is kept in states; there a number keeps its
 * meaning. 0: not kept, for the cause has it, or no event's. */
typedef struct environment_row {
    rfm_expr_field field;
    bool (*fetch)(rfm_sight *sight, rfm_expr_value *value);
    uint8_t part;
} environment_row;

enum { NO_EVENT = 31 };
#define ON(TYPE)  (UINT32_C(1) << RFM_EVENT_##TYPE)
#define ANY_EVENT ((UINT32_C(1) << RFM_EVENT_TYPE_COUNT) - 1)

static bool put_text(rfm_expr_value *value, rfm_bytes text)
{
    value->text = text;
    return text.len > 0;
}

static bool put_name(const rfm_sight *sight, rfm_expr_value *value, uint16_t number)
{
    return put_text(value, rfm_names_text(sight->turn->names, number));
}

static bool put_integer(rfm_expr_value *value, int64_t integer)
{
    value->integer = integer;
    return true;
}

static bool put_number(rfm_expr_value *value, double number)
{
    value->number = number;
    return !isnan(number);
}

static bool put_time(rfm_expr_value *value, bool known, int64_t time_ms)
{
    value->time_ms = time_ms;
    return known;
}

static double units(const rfm_sight *sight, double minor)
{
    static const double scale[] = {1, 10, 100, 1000, 10000};
    uint8_t digits = sight->turn->conf->money.base.digits;
    RFM_ASSERT(digits < sizeof scale / sizeof *scale);
    return minor / scale[digits];
}

static bool put_money(const rfm_sight *sight, rfm_expr_value *value, int64_t minor)
{
    return put_number(value, units(sight, (double)minor));
}

static const rfm_client *client_of(const rfm_sight *sight)
{
    return sight->turn->client;
}

static const rfm_scores *scores_of(rfm_sight *sight)
{
    if (!sight->scored)
        rfm_scores_at(client_of(sight), sight->turn->conf, sight->turn->edges, sight->now_ms, &sight->scores);
    sight->scored = true;
    return &sight->scores;
}

static bool is_buyer(const rfm_sight *sight)
{
    return client_of(sight)->orders > 0;
}

#define FETCH(name, ...)                                      \
    static bool name(rfm_sight *sight, rfm_expr_value *value) \
    {                                                         \
        const rfm_client *client = client_of(sight);          \
        (void)client;                                         \
        return __VA_ARGS__;                                   \
    }

#define OF_BUYER(name, ...) FETCH(name, is_buyer(sight) ? (__VA_ARGS__) : false)

FETCH(now, put_time(value, true, sight->now_ms))
FETCH(client_id, put_text(value, sight->client_id))
FETCH(orders, put_integer(value, client->orders))
FETCH(refunds, put_integer(value, client->refunds))
FETCH(revenue, put_money(sight, value, client->revenue_minor))
FETCH(currency, put_text(value, rfm_text(sight->turn->conf->money.base.code)))
OF_BUYER(avg_order, put_money(sight, value, rfm_div_half_even(client->revenue_minor, client->orders)))
FETCH(first_purchase, put_time(value, is_buyer(sight), client->first_ms))
FETCH(last_purchase, put_time(value, is_buyer(sight), client->last_ms))
FETCH(x, put_integer(value, client->x))
OF_BUYER(t_x, put_number(value, scores_of(sight)->t_x_days))
OF_BUYER(age, put_number(value, scores_of(sight)->t_x_days + scores_of(sight)->idle_days))
OF_BUYER(score_r, put_integer(value, scores_of(sight)->r))
OF_BUYER(score_f, put_integer(value, scores_of(sight)->f))
OF_BUYER(score_m, put_integer(value, scores_of(sight)->m))
FETCH(segment, put_name(sight, value, client->marks.segment))
FETCH(previous_segment, put_name(sight, value, client->marks.previous))
FETCH(segment_since, put_time(value, client->marks.taken, client->marks.since_ms))
FETCH(lifecycle, put_text(value, rfm_text(rfm_lifecycle_name((rfm_lifecycle)client->marks.lifecycle))))
OF_BUYER(p_alive, put_number(value, scores_of(sight)->p_alive))
OF_BUYER(p_active, put_number(value, scores_of(sight)->p_active))
OF_BUYER(churn_risk, put_number(value, rfm_client_risk_at(client, sight->turn->conf, sight->now_ms)))
OF_BUYER(activity_ratio, put_number(value, rfm_client_ratio_at(client, sight->turn->conf, sight->now_ms)))
FETCH(expected_orders, put_number(value, rfm_client_expected_orders_at(client, sight->turn->conf, sight->now_ms)))
FETCH(preferred_channel, put_name(sight, value, rfm_client_preferred_channel(client, sight->turn->names)))
FETCH(visits, put_integer(value, client->visits))
FETCH(last_visit, put_time(value, client->visits > 0, client->visit_last_ms))
FETCH(nps, rfm_client_nps(client, &value->integer))
FETCH(open_complaints, put_integer(value, rfm_client_open_complaints(client)))
FETCH(points, put_integer(value, client->points))
FETCH(timezone_name, put_name(sight, value, rfm_client_timezone(client)))
FETCH(language, put_name(sight, value, rfm_client_language(client)))
FETCH(source, put_name(sight, value, client->source))

static bool expected_next(rfm_sight *sight, rfm_expr_value *value)
{
    const rfm_client *client = client_of(sight);
    if (!is_buyer(sight) || client->x == 0)
        return false;
    double gap_ms = rfm_model_gap_days(&sight->turn->conf->model, client->x,
                                       (double)client->last_day - client->first_day, .5) *
                    (double)RFM_DAY_MS;
    bool known = gap_ms < (double)(RFM_TIME_MAX_MS - client->last_ms);
    return put_time(value, known, known ? client->last_ms + llround(gap_ms) : 0);
}

static bool ltv_predicted(rfm_sight *sight, rfm_expr_value *value)
{
    const rfm_client_conf *conf = sight->turn->conf;
    double orders = rfm_client_expected_orders_at(client_of(sight), conf, sight->now_ms);
    double minor = rint(rfm_client_predicted_minor(client_of(sight), conf, orders));
    return fabs(minor) < 9e18 && put_number(value, units(sight, minor));
}

static bool favourite(rfm_sight *sight, rfm_expr_value *value)
{
    uint8_t order[RFM_CATEGORIES_MAX];
    const rfm_client *client = client_of(sight);
    return rfm_client_favourites(client, sight->turn->names, order) > 0 &&
           put_name(sight, value, client->category[order[0]].name);
}

/* -- groups and lists of the client's */

static const rfm_expr_member category_members[] = {
    {"category", &rfm_expr_string}, {"orders", &rfm_expr_int}, {NULL, NULL}};
static const rfm_expr_type category_type = {.kind = RFM_EXPR_STRUCT, .members = category_members};
static const rfm_expr_type categories_type = {.kind = RFM_EXPR_LIST, .item = &category_type};

/* The i-th member of a group, by its find. */
static bool nth_member(const rfm_expr_member *members, const rfm_expr_class *class_, void *context, const void *at,
                       size_t i, rfm_bytes *key, rfm_expr_value *value)
{
    for (; members->name != NULL; members++) {
        if (!class_->find(context, at, rfm_text(members->name), value) || i-- > 0)
            continue;
        *key = rfm_text(members->name);
        return true;
    }
    return false;
}

static bool find_category(void *context, const void *at, rfm_bytes key, rfm_expr_value *value)
{
    const rfm_category *category = at;
    if (rfm_bytes_is(key, "orders"))
        return put_integer(value, category->orders);
    return rfm_bytes_is(key, "category") && put_name(context, value, category->name);
}
static bool category_entry(void *context, const void *at, size_t i, rfm_bytes *key, rfm_expr_value *value);
static const rfm_expr_class category_class = {find_category, category_entry};
static bool category_entry(void *context, const void *at, size_t i, rfm_bytes *key, rfm_expr_value *value)
{
    return nth_member(category_members, &category_class, context, at, i, key, value);
}

static bool favourites(rfm_sight *sight, rfm_expr_value *value)
{
    uint8_t order[RFM_CATEGORIES_MAX];
    const rfm_client *client = client_of(sight);
    size_t count = rfm_client_favourites(client, sight->turn->names, order);
    for (size_t i = 0; i < count; i++) {
        sight->favourites[i].object.class_ = &category_class;
        sight->favourites[i].object.at = &client->category[order[i]];
    }
    value->list.at = sight->favourites;
    value->list.count = count;
    return true;
}

static bool due(rfm_sight *sight, rfm_expr_value *value)
{
    size_t count = rfm__notes_due(&sight->turn->slots, sight->turn->names, sight->due);
    rfm__notes_list(sight->due, count, sight->due_items, value);
    return true;
}

static bool triggers(rfm_sight *sight, rfm_expr_value *value)
{
    size_t count = rfm__notes_sent(&sight->turn->slots, sight->turn->names, sight->client_id, sight->triggers);
    rfm__notes_list(sight->triggers, count, sight->trigger_items, value);
    return true;
}

static const rfm_expr_member status_members[] = {
#define X(NAME, name) {#name, &rfm_expr_int},
    RFM_MESSAGE_STATUSES(X)
#undef X
        {NULL, NULL}};
static const rfm_expr_type status_type = {.kind = RFM_EXPR_STRUCT, .members = status_members};
static const rfm_expr_type messages_type = {.kind = RFM_EXPR_MAP, .item = &status_type};

static bool find_status(void *context, const void *at, rfm_bytes key, rfm_expr_value *value)
{
    const rfm_channel_stats *stats = at;
    (void)context;
    for (size_t i = 0; i < RFM_STATUS_COUNT; i++) {
        if (rfm_bytes_is(key, rfm_message_status_name((rfm_message_status)i)))
            return stats->by_status[i] > 0 && put_integer(value, stats->by_status[i]);
    }
    return false;
}
static bool status_entry(void *context, const void *at, size_t i, rfm_bytes *key, rfm_expr_value *value);
static const rfm_expr_class status_class = {find_status, status_entry};
static bool status_entry(void *context, const void *at, size_t i, rfm_bytes *key, rfm_expr_value *value)
{
    return nth_member(status_members, &status_class, context, at, i, key, value);
}

/* Which of `count` channels is the i-th by its text, for numbers differ from task to task; -1: there are no more. */
static int nth_channel(const rfm_sight *sight, const uint16_t *number, size_t count, size_t i)
{
    const rfm_names *names = sight->turn->names;
    for (size_t k = 0; k < count; k++) {
        size_t before = 0;
        for (size_t other = 0; other < count; other++)
            before += rfm_bytes_compare(rfm_names_text(names, number[other]), rfm_names_text(names, number[k])) < 0;
        if (before == i)
            return (int)k;
    }
    return -1;
}

static bool messages_entry(void *context, const void *at, size_t i, rfm_bytes *key, rfm_expr_value *value)
{
    const rfm_sight *sight = context;
    const rfm_client *client = at;
    uint16_t number[RFM_CHANNELS_MAX + 1];
    for (size_t k = 0; k < client->channel_count; k++)
        number[k] = client->channel[k].name;
    int found = nth_channel(sight, number, client->channel_count, i);
    if (found < 0)
        return false;
    *key = rfm_names_text(sight->turn->names, number[found]);
    value->object.class_ = &status_class;
    value->object.at = &client->channel[found];
    return true;
}

static bool find_messages(void *context, const void *at, rfm_bytes key, rfm_expr_value *value)
{
    rfm_bytes name;
    for (size_t i = 0; messages_entry(context, at, i, &name, value); i++) {
        if (rfm_bytes_equal(name, key))
            return true;
    }
    return false;
}

static bool messages(rfm_sight *sight, rfm_expr_value *value)
{
    static const rfm_expr_class class_ = {find_messages, messages_entry};
    value->object.class_ = &class_;
    value->object.at = client_of(sight);
    return true;
}

static const rfm_expr_member consent_members[] = {
    {"marketing", &rfm_expr_bool}, {"transactional", &rfm_expr_bool}, {NULL, NULL}};
static const rfm_expr_type consent_type = {.kind = RFM_EXPR_STRUCT, .members = consent_members};
static const rfm_expr_type consents_type = {.kind = RFM_EXPR_MAP, .item = &consent_type};

/* A channel's consents, the one after the other: `at` is the first. */
static bool find_class(void *context, const void *at, rfm_bytes key, rfm_expr_value *value)
{
    const rfm_sight *sight = context;
    const rfm_client *client = client_of(sight);
    const rfm_consent *first = at, *end = client->consent + client->consent_count;
    for (const rfm_consent *consent = first; consent < end && consent->channel == first->channel; consent++) {
        if (!rfm_bytes_is(key, rfm_class_name((rfm_class)consent->class_)))
            continue;
        value->truth = consent->granted;
        return true;
    }
    return false;
}
static bool class_entry(void *context, const void *at, size_t i, rfm_bytes *key, rfm_expr_value *value);
static const rfm_expr_class class_class = {find_class, class_entry};
static bool class_entry(void *context, const void *at, size_t i, rfm_bytes *key, rfm_expr_value *value)
{
    return nth_member(consent_members, &class_class, context, at, i, key, value);
}

static bool consents_entry(void *context, const void *at, size_t i, rfm_bytes *key, rfm_expr_value *value)
{
    const rfm_sight *sight = context;
    const rfm_client *client = at;
    const rfm_consent *first[RFM_CONSENTS_MAX];
    uint16_t number[RFM_CONSENTS_MAX];
    size_t count = 0;
    for (size_t k = 0; k < client->consent_count; k++) {
        const rfm_consent *consent = &client->consent[k];
        if (k == 0 || consent->channel != consent[-1].channel)
            first[count] = consent, number[count++] = consent->channel;
    }
    int found = nth_channel(sight, number, count, i);
    if (found < 0)
        return false;
    *key = rfm_names_text(sight->turn->names, number[found]);
    value->object.class_ = &class_class;
    value->object.at = first[found];
    return true;
}

static bool find_consents(void *context, const void *at, rfm_bytes key, rfm_expr_value *value)
{
    rfm_bytes name;
    for (size_t i = 0; consents_entry(context, at, i, &name, value); i++) {
        if (rfm_bytes_equal(name, key))
            return true;
    }
    return false;
}

static bool consents(rfm_sight *sight, rfm_expr_value *value)
{
    static const rfm_expr_class class_ = {find_consents, consents_entry};
    value->object.class_ = &class_;
    value->object.at = client_of(sight);
    return true;
}

/* -- the event */

#define OF_EVENT(name, ...)                                   \
    static bool name(rfm_sight *sight, rfm_expr_value *value) \
    {                                                         \
        const rfm_event *event = sight->cause->event;         \
        (void)event;                                          \
        return __VA_ARGS__;                                   \
    }

OF_EVENT(event_type, put_text(value, rfm_text(rfm_event_type_name((rfm_event_type)(sight->cause->code - 1)))))
OF_EVENT(event_id, put_text(value, sight->cause->id))
OF_EVENT(event_time, put_time(value, true, sight->cause->time_ms))
OF_EVENT(event_order_id, put_text(value, event->order_id))
OF_EVENT(event_amount, event->has_amount ? put_money(sight, value, event->amount_minor) : false)
OF_EVENT(event_currency, put_text(value, event->currency))
OF_EVENT(event_channel, put_text(value, event->channel))
OF_EVENT(event_coupon, put_text(value, event->coupon))
OF_EVENT(event_cart_id, put_text(value, event->cart_id))
OF_EVENT(event_campaign, put_text(value, event->campaign))
OF_EVENT(event_margin, event->has_margin ? put_money(sight, value, event->margin_minor) : false)
OF_EVENT(event_action, put_text(value, event->action))
OF_EVENT(event_page, put_text(value, event->page))
OF_EVENT(event_sku, put_text(value, event->sku))
OF_EVENT(event_category, put_text(value, event->category))
OF_EVENT(event_status, put_text(value, rfm_text(rfm_message_status_name(event->status))))
OF_EVENT(event_trigger_id, put_text(value, event->trigger_id))
OF_EVENT(event_class, put_text(value, rfm_text(rfm_class_name(event->class_))))
OF_EVENT(event_kind, put_text(value, rfm_text(rfm_feedback_kind_name(event->feedback))))
OF_EVENT(event_score, event->has_score ? put_number(value, event->score) : false)
OF_EVENT(event_case_id, put_text(value, event->case_id))
OF_EVENT(event_source, put_text(value, event->source))
OF_EVENT(event_delta, put_integer(value, event->delta))
OF_EVENT(event_reason, put_text(value, event->reason))
OF_EVENT(event_timezone, put_text(value, event->timezone))
OF_EVENT(event_language, put_text(value, event->language))

static bool event_items(rfm_sight *sight, rfm_expr_value *value)
{
    sight->items.money = &sight->turn->conf->money;
    rfm__items_of_event(&sight->items, sight->cause->event, value);
    return true;
}

const rfm_items *rfm__items_context(void *context)
{
    const rfm_sight *sight = context;
    return &sight->items;
}

static bool event_permanent(rfm_sight *sight, rfm_expr_value *value)
{
    value->truth = sight->cause->event->permanent;
    return true;
}
static bool event_granted(rfm_sight *sight, rfm_expr_value *value)
{
    value->truth = sight->cause->event->granted;
    return true;
}

/* -- the table */

#define ALWAYS(path, type, fetch)                    \
    {                                                \
        {path, &rfm_expr_##type, false, 0}, fetch, 0 \
    }
#define PERHAPS(path, type, fetch)                  \
    {                                               \
        {path, &rfm_expr_##type, true, 0}, fetch, 0 \
    }
#define GROUP(path, type, fetch)          \
    {                                     \
        {path, &type, false, 0}, fetch, 0 \
    }
#define CAUSE(path, type, fetch)                             \
    {                                                        \
        {path, &rfm_expr_##type, false, ANY_EVENT}, fetch, 0 \
    }
#define PART(number, path, type, fetch, on)               \
    {                                                     \
        {path, &rfm_expr_##type, true, on}, fetch, number \
    }

/* Of an event's traits those that are read are kept, each by its name. */
enum { ITEMS_PART = 26, TRAIT_PART = 27 };

static const environment_row rows[] = {
    ALWAYS("now", timestamp, now),
    ALWAYS("client.client_id", string, client_id),
    ALWAYS("client.as_of", timestamp, now),
    ALWAYS("client.orders", int, orders),
    ALWAYS("client.refunds", int, refunds),
    ALWAYS("client.revenue", double, revenue),
    ALWAYS("client.currency", string, currency),
    PERHAPS("client.avg_order", double, avg_order),
    PERHAPS("client.first_purchase", timestamp, first_purchase),
    PERHAPS("client.last_purchase", timestamp, last_purchase),
    ALWAYS("client.x", int, x),
    PERHAPS("client.t_x", double, t_x),
    PERHAPS("client.age", double, age),
    PERHAPS("client.rfm.r", int, score_r),
    PERHAPS("client.rfm.f", int, score_f),
    PERHAPS("client.rfm.m", int, score_m),
    PERHAPS("client.segment", string, segment),
    PERHAPS("client.previous_segment", string, previous_segment),
    PERHAPS("client.segment_since", timestamp, segment_since),
    ALWAYS("client.lifecycle", string, lifecycle),
    PERHAPS("client.p_alive", double, p_alive),
    PERHAPS("client.p_active", double, p_active),
    PERHAPS("client.churn_risk", double, churn_risk),
    PERHAPS("client.activity_ratio", double, activity_ratio),
    PERHAPS("client.expected_next_purchase", timestamp, expected_next),
    PERHAPS("client.expected_orders", double, expected_orders),
    ALWAYS("client.ltv.historic", double, revenue),
    PERHAPS("client.ltv.predicted", double, ltv_predicted),
    PERHAPS("client.favourite_category", string, favourite),
    GROUP("client.favourite_categories", categories_type, favourites),
    PERHAPS("client.preferred_channel", string, preferred_channel),
    ALWAYS("client.visits", int, visits),
    PERHAPS("client.last_visit", timestamp, last_visit),
    GROUP("client.messages", messages_type, messages),
    GROUP("client.consent", consents_type, consents),
    PERHAPS("client.nps", int, nps),
    ALWAYS("client.open_complaints", int, open_complaints),
    ALWAYS("client.points", int, points),
    PERHAPS("client.timezone", string, timezone_name),
    PERHAPS("client.language", string, language),
    PERHAPS("client.source", string, source),
    GROUP("client.due", rfm__due_type, due),
    GROUP("client.triggers", rfm__triggers_type, triggers),

    CAUSE("event.type", string, event_type),
    CAUSE("event.id", string, event_id),
    CAUSE("event.client_id", string, client_id),
    CAUSE("event.time", timestamp, event_time),
    PART(1, "event.order_id", string, event_order_id, ON(PURCHASE) | ON(REFUND)),
    PART(2, "event.amount", double, event_amount, ON(PURCHASE) | ON(REFUND) | ON(COST)),
    PART(3, "event.currency", string, event_currency, ON(PURCHASE) | ON(REFUND) | ON(COST)),
    PART(4, "event.channel", string, event_channel, ON(PURCHASE) | ON(VISIT) | ON(MESSAGE) | ON(CONSENT) | ON(COST)),
    PART(5, "event.coupon", string, event_coupon, ON(PURCHASE)),
    PART(6, "event.cart_id", string, event_cart_id, ON(PURCHASE) | ON(VISIT)),
    PART(7, "event.campaign", string, event_campaign, ON(PURCHASE) | ON(VISIT) | ON(MESSAGE) | ON(COST)),
    PART(8, "event.margin", double, event_margin, ON(PURCHASE)),
    PART(9, "event.action", string, event_action, ON(VISIT)),
    PART(10, "event.page", string, event_page, ON(VISIT)),
    PART(11, "event.sku", string, event_sku, ON(VISIT)),
    PART(12, "event.category", string, event_category, ON(VISIT) | ON(PURCHASE)),
    PART(13, "event.status", string, event_status, ON(MESSAGE)),
    PART(14, "event.trigger_id", string, event_trigger_id, ON(MESSAGE)),
    PART(15, "event.class", string, event_class, ON(MESSAGE) | ON(CONSENT)),
    PART(16, "event.permanent", bool, event_permanent, ON(MESSAGE)),
    PART(17, "event.kind", string, event_kind, ON(FEEDBACK)),
    PART(18, "event.score", double, event_score, ON(FEEDBACK)),
    PART(19, "event.case_id", string, event_case_id, ON(FEEDBACK)),
    PART(20, "event.granted", bool, event_granted, ON(CONSENT)),
    PART(21, "event.source", string, event_source, ON(CONSENT)),
    PART(22, "event.delta", int, event_delta, ON(POINTS)),
    PART(23, "event.reason", string, event_reason, ON(POINTS)),
    PART(24, "event.timezone", string, event_timezone, ON(PROFILE)),
    PART(25, "event.language", string, event_language, ON(PROFILE)),
    {{"event.items", &rfm__items_type, true, ON(PURCHASE)}, event_items, ITEMS_PART},
};
enum { ROW_COUNT = sizeof rows / sizeof *rows };
_Static_assert(ROW_COUNT + 2 * RFM_TRAITS_MAX <= RFM_EXPR_FIELDS_MAX, "every field has an index");
_Static_assert(RFM_TRAITS_MAX <= 64, "a bit for each trait");

/* Behind the rows: of the i-th declared trait the client's, then the event's. */
static bool is_event_trait(size_t field)
{
    return field >= ROW_COUNT && (field - ROW_COUNT) % 2 == 1;
}
static size_t trait_of(size_t field)
{
    return (field - ROW_COUNT) / 2;
}

static const rfm_expr_type *type_of_trait(rfm_trait_type type)
{
    switch (type) {
    case RFM_TRAIT_STRING: return &rfm_expr_string;
    case RFM_TRAIT_INT: return &rfm_expr_int;
    case RFM_TRAIT_DOUBLE: return &rfm_expr_double;
    case RFM_TRAIT_BOOL: return &rfm_expr_bool;
    default: return &rfm_expr_timestamp; /* a date: its midnight in UTC */
    }
}

static const char *path_of(const char *group, const char *name, rfm_arena *arena)
{
    size_t size = strlen(group) + strlen(name) + 1;
    char *path = rfm_arena_take(arena, size);
    snprintf(path, size, "%s%s", group, name);
    return path;
}

const rfm_expr_field *rfm_environment_fields(const rfm_trait *traits, size_t trait_count, rfm_arena *arena,
                                             size_t *count)
{
    rfm_expr_field *fields = rfm_arena_take(arena, (ROW_COUNT + 2 * trait_count) * sizeof *fields);
    RFM_ASSERT(trait_count <= RFM_TRAITS_MAX);
    for (size_t i = 0; i < ROW_COUNT; i++)
        fields[i] = rows[i].field;
    for (size_t i = 0; i < trait_count; i++) {
        const rfm_expr_type *type = type_of_trait(traits[i].type);
        fields[ROW_COUNT + 2 * i] = (rfm_expr_field){path_of("client.traits.", traits[i].name, arena), type, true, 0};
        fields[ROW_COUNT + 2 * i + 1] = (rfm_expr_field){path_of("event.traits.", traits[i].name, arena), type, true,
                                                         ON(PROFILE)};
    }
    *count = ROW_COUNT + 2 * trait_count;
    return fields;
}

uint32_t rfm_environment_no_event(void)
{
    return UINT32_C(1) << NO_EVENT;
}

uint32_t rfm_environment_scope(const rfm_rule *rule)
{
    return rule->on.kind == RFM_CAUSE_EVENT ? UINT32_C(1) << rule->on.event : rfm_environment_no_event();
}

uint64_t rfm_environment_event_parts(const rfm_expr *expr)
{
    size_t count;
    const uint16_t *reads = rfm_expr_reads(expr, &count);
    uint64_t parts = 0;
    for (size_t i = 0; i < count; i++) {
        if (reads[i] < ROW_COUNT && rows[reads[i]].part != 0)
            parts |= UINT64_C(1) << rows[reads[i]].part;
    }
    return parts;
}

uint64_t rfm_environment_event_traits(const rfm_expr *expr)
{
    size_t count;
    const uint16_t *reads = rfm_expr_reads(expr, &count);
    uint64_t traits = 0;
    for (size_t i = 0; i < count; i++) {
        if (is_event_trait(reads[i]))
            traits |= UINT64_C(1) << trait_of(reads[i]);
    }
    return traits;
}

bool rfm_environment_reads_items(const rfm_expr *expr)
{
    return rfm_environment_event_parts(expr) >> ITEMS_PART & 1;
}

static void put_trait(rfm_expr_value *value, const rfm_latest *trait, rfm_bytes text)
{
    switch ((rfm_trait_type)trait->type) {
    case RFM_TRAIT_STRING: value->text = text; break;
    case RFM_TRAIT_DOUBLE: value->number = trait->number; break;
    case RFM_TRAIT_BOOL: value->truth = trait->integer != 0; break;
    case RFM_TRAIT_DATE: value->time_ms = trait->integer * RFM_DAY_MS; break;
    default: value->integer = trait->integer;
    }
}

static bool fetch_trait(const rfm_sight *sight, size_t i, rfm_expr_value *value)
{
    const rfm_trait *declared = &sight->turn->conf->traits[i];
    uint16_t number = rfm_names_find(sight->turn->names, rfm_text(declared->name));
    const rfm_latest *trait = rfm_client_trait(client_of(sight), number, declared->type);
    if (trait == NULL)
        return false;
    put_trait(value, trait, rfm_client_trait_text(client_of(sight), trait));
    return true;
}

/* As the event says it, the first of several. */
static bool event_trait(const rfm_event *event, const rfm_trait *declared, rfm_latest *trait, rfm_bytes *text)
{
    for (size_t i = 0; i < event->trait_count; i++) {
        if (rfm_bytes_is(event->traits[i].name, declared->name))
            return rfm_trait_read(&event->traits[i], declared->type, trait, text);
    }
    return false;
}

static bool fetch_event_trait(const rfm_sight *sight, size_t i, rfm_expr_value *value)
{
    rfm_latest trait;
    rfm_bytes text;
    if (!event_trait(sight->cause->event, &sight->turn->conf->traits[i], &trait, &text))
        return false;
    put_trait(value, &trait, text);
    return true;
}

/* -- what is kept of an event: (part, value)... */

enum { VALUE_HEAD = 2 };

static void write_number(rfm_buffer *kept, double number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    rfm_write_u64(kept, bits);
}

static double read_number(rfm_reader *reader)
{
    double number;
    uint64_t bits = rfm_read_u64(reader);
    memcpy(&number, &bits, sizeof number);
    return number;
}

static void write_part(rfm_buffer *kept, const environment_row *row, const rfm_expr_value *value)
{
    rfm_write_u8(kept, row->part);
    switch (row->field.type->kind) {
    case RFM_EXPR_BOOL: rfm_write_u8(kept, value->truth); break;
    case RFM_EXPR_INT: rfm_write_zigzag(kept, value->integer); break;
    case RFM_EXPR_DOUBLE: write_number(kept, value->number); break;
    default: rfm_write_sized(kept, value->text);
    }
}

static void write_items(rfm_buffer *kept, const rfm_event *event)
{
    uint8_t bytes[RFM_KEPT_BYTES_MAX];
    rfm_buffer items = rfm_buffer_over(bytes, sizeof bytes);
    rfm__items_keep(event, &items);
    rfm_write_u8(kept, ITEMS_PART);
    rfm_write_sized(kept, rfm_buffer_view(&items));
    kept->bad = kept->bad || items.bad;
}

static void write_trait(rfm_buffer *kept, const rfm_trait *declared, const rfm_latest *trait, rfm_bytes text)
{
    rfm_write_u8(kept, TRAIT_PART);
    rfm_write_sized(kept, rfm_text(declared->name));
    rfm_write_u8(kept, trait->type);
    if (trait->type == RFM_TRAIT_STRING)
        rfm_write_sized(kept, text);
    else if (trait->type == RFM_TRAIT_DOUBLE)
        write_number(kept, trait->number);
    else
        rfm_write_zigzag(kept, trait->integer);
}

static void keep_traits(const rfm_sight *sight, uint64_t traits, rfm_buffer *kept)
{
    rfm_latest trait;
    rfm_bytes text;
    for (; traits != 0; traits &= traits - 1) {
        const rfm_trait *declared = &sight->turn->conf->traits[__builtin_ctzll(traits)];
        if (event_trait(sight->cause->event, declared, &trait, &text))
            write_trait(kept, declared, &trait, text);
    }
}

/* Two bytes of each value say what it is and where it ends, and count for nothing. */
void rfm__environment_keep(rfm_sight *sight, const rfm_rule *rule, rfm_buffer *kept)
{
    rfm_expr_value value;
    uint64_t parts = rule->event_parts;
    size_t heads = 0;
    for (size_t i = 0; parts != 0 && i < ROW_COUNT; i++) {
        const environment_row *row = &rows[i];
        if (row->part == 0 || !(parts >> row->part & 1))
            continue;
        size_t before = kept->len;
        if (row->part == ITEMS_PART)
            write_items(kept, sight->cause->event);
        else if (row->fetch(sight, &value))
            write_part(kept, row, &value);
        heads += kept->len > before ? VALUE_HEAD : 0;
    }
    keep_traits(sight, rule->event_traits, kept);
    kept->bad = kept->bad || kept->len > RFM_KEPT_VALUES_MAX + heads;
}

static const environment_row *row_of_part(uint8_t part)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (part != 0 && rows[i].part == part)
            return &rows[i];
    }
    return NULL;
}

static void read_part(rfm_reader *reader, const environment_row *row, rfm_expr_value *value)
{
    switch (row->field.type->kind) {
    case RFM_EXPR_BOOL: value->truth = rfm_read_u8(reader) != 0; break;
    case RFM_EXPR_INT: value->integer = rfm_read_zigzag(reader); break;
    case RFM_EXPR_DOUBLE: value->number = read_number(reader); break;
    default: value->text = rfm_read_sized(reader);
    }
}

static rfm_bytes read_trait(rfm_reader *reader, rfm_latest *trait, rfm_bytes *text)
{
    rfm_bytes name = rfm_read_sized(reader);
    trait->type = rfm_read_u8(reader);
    if (trait->type == RFM_TRAIT_STRING)
        *text = rfm_read_sized(reader);
    else if (trait->type == RFM_TRAIT_DOUBLE)
        trait->number = read_number(reader);
    else
        trait->integer = rfm_read_zigzag(reader);
    return name;
}

/* The part's value, or with TRAIT_PART that of the declared trait. */
static bool find_kept(rfm_bytes kept, uint8_t part, const rfm_trait *declared, rfm_expr_value *value)
{
    rfm_reader reader = rfm_reader_of(kept);
    while (rfm_reader_left(&reader) > 0) {
        uint8_t found = rfm_read_u8(&reader);
        const environment_row *row = row_of_part(found);
        rfm_latest trait = {0};
        rfm_bytes name = RFM_BYTES_NONE, text = RFM_BYTES_NONE;
        if (found == TRAIT_PART)
            name = read_trait(&reader, &trait, &text);
        else if (row != NULL)
            read_part(&reader, row, value);
        else
            return false;
        if (reader.bad)
            return false;
        if (found != part)
            continue;
        if (declared == NULL)
            return true;
        if (rfm_bytes_is(name, declared->name) && trait.type == declared->type) {
            put_trait(value, &trait, text);
            return true;
        }
    }
    return false;
}

bool rfm__environment_kept(rfm_bytes kept, uint8_t part, rfm_expr_value *value)
{
    return part != TRAIT_PART && find_kept(kept, part, NULL, value);
}

static bool kept_items(rfm_sight *sight, rfm_expr_value *value)
{
    rfm_expr_value packed;
    sight->items.money = &sight->turn->conf->money;
    return rfm__environment_kept(sight->cause->kept, ITEMS_PART, &packed) &&
           rfm__items_of_kept(&sight->items, packed.text, value);
}

bool rfm__environment_fetch(void *context, size_t field, rfm_expr_value *value)
{
    rfm_sight *sight = context;
    if (is_event_trait(field) && sight->cause->event == NULL)
        return find_kept(sight->cause->kept, TRAIT_PART, &sight->turn->conf->traits[trait_of(field)], value);
    if (field >= ROW_COUNT)
        return is_event_trait(field) ? fetch_event_trait(sight, trait_of(field), value)
                                     : fetch_trait(sight, trait_of(field), value);
    const environment_row *row = &rows[field];
    if (row->part == ITEMS_PART && sight->cause->event == NULL)
        return kept_items(sight, value);
    if (row->part != 0 && sight->cause->event == NULL)
        return rfm__environment_kept(sight->cause->kept, row->part, value);
    return row->fetch(sight, value);
}
