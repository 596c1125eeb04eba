/* Events of Google Analytics 4, as its export to BigQuery writes them (a row: event_name, event_params) and as the
 * Measurement Protocol sends them (a request: events, of which there must be one). Parameters may also stand in an
 * object `params` or beside the event's name. What an event means is in `meanings`; the others are ignored. */
#include "layout.h"

#include <rfm/base/time.h>

#define ROOT(X)        \
    X(event_name)      \
    X(event_timestamp) \
    X(user_id)         \
    X(user_pseudo_id)  \
    X(event_params)    \
    X(params)          \
    X(ecommerce)       \
    X(events)          \
    X(client_id)       \
    X(app_instance_id) \
    X(timestamp_micros)

#define PARAMS(X)     \
    X(transaction_id) \
    X(value)          \
    X(currency)       \
    X(coupon)         \
    X(campaign)       \
    X(page_location)  \
    X(items)

#define MP_EVENT(X)  X(name) X(params) X(timestamp_micros)
#define ECOMMERCE(X) X(transaction_id) X(purchase_revenue) X(refund_value)
#define TYPED(X)     X(string_value) X(int_value) X(float_value) X(double_value)
#define ENTRY(X)     X(key) X(value)
#define ITEM(X)      X(item_id) X(item_category) X(price) X(quantity)

enum {
#define X(name) ROOT_##name,
    ROOT(X)
#undef X
        ROOT_COUNT
};
enum {
#define X(name) PARAM_##name,
    PARAMS(X)
#undef X
        PARAM_COUNT
};
enum { MP_name, MP_params, MP_timestamp_micros, MP_COUNT };
enum { ECOMMERCE_transaction_id, ECOMMERCE_purchase_revenue, ECOMMERCE_refund_value, ECOMMERCE_COUNT };
enum { ENTRY_key, ENTRY_value, ENTRY_COUNT };
enum { ITEM_id, ITEM_category, ITEM_price, ITEM_quantity, ITEM_COUNT };
enum { TYPED_string_value, TYPED_int_value, TYPED_float_value, TYPED_double_value, TYPED_COUNT };

static const rfm_bytes root_names[] = {ROOT(RFM__NAME)};
static const rfm_bytes param_names[] = {PARAMS(RFM__NAME)};
static const rfm_bytes mp_names[] = {MP_EVENT(RFM__NAME)};
static const rfm_bytes ecommerce_names[] = {ECOMMERCE(RFM__NAME)};
static const rfm_bytes typed_names[] = {TYPED(RFM__NAME)};
static const rfm_bytes entry_names[] = {ENTRY(RFM__NAME)};
static const rfm_bytes item_names[] = {ITEM(RFM__NAME)};

/* The parameters' names by where they stand, for messages. */
#define X(name) #name,
static const char *const names_beside[] = {PARAMS(X)};
#undef X
#define X(name) "event_params." #name,
static const char *const names_in_event_params[] = {PARAMS(X)};
#undef X
#define X(name) "params." #name,
static const char *const names_in_params[] = {PARAMS(X)};
#undef X

struct hit {
    rfm_bytes name;
    yyjson_val *user, *timestamp;
    const char *user_name, *timestamp_name;
    rfm_bytes micros; /* the timestamp's digits */
    yyjson_val *params[PARAM_COUNT];
    const char *param_names[PARAM_COUNT];
};

static const struct {
    const char *name;
    rfm_event_type type;
} meanings[] = {
    {"purchase", RFM_EVENT_PURCHASE},      {"refund", RFM_EVENT_REFUND},
    {"page_view", RFM_EVENT_VISIT},        {"screen_view", RFM_EVENT_VISIT},
    {"view_item", RFM_EVENT_VISIT},        {"add_to_cart", RFM_EVENT_VISIT},
    {"remove_from_cart", RFM_EVENT_VISIT}, {"view_cart", RFM_EVENT_VISIT},
    {"begin_checkout", RFM_EVENT_VISIT},   {"login", RFM_EVENT_VISIT},
};

/* False: refused or ignored. */
static bool decode_name(decode_run *run, struct hit *hit, yyjson_val *value, const char *name)
{
    hit->name = rfm__string(value);
    if (!value)
        refuse(run, RFM_REASON_MISSING_FIELD, "%s is missing", name);
    else if (!hit->name.at)
        refuse(run, RFM_REASON_WRONG_TYPE, "%s is not a string", name);
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++) {
        if (!rfm_bytes_is(hit->name, meanings[i].name))
            continue;
        run->event->type = meanings[i].type;
        return true;
    }
    rfm__ignore(run);
    return false;
}

/* Parameters */

/* What the export writes where there is nothing is nothing. */
static yyjson_val *if_set(yyjson_val *value)
{
    return value && rfm_bytes_is(rfm__string(value), "(not set)") ? NULL : value;
}

/* Shops that number their orders have the number where a text belongs. */
static void take_digits_as_text(yyjson_val *value)
{
    if (!value || !unsafe_yyjson_is_raw(value))
        return;
    rfm_bytes digits = rfm_bytes_of(unsafe_yyjson_get_raw(value), unsafe_yyjson_get_len(value));
    for (size_t i = 0; i < digits.len; i++)
        if (digits.at[i] < '0' || digits.at[i] > '9')
            return;
    unsafe_yyjson_set_strn(value, unsafe_yyjson_get_raw(value), digits.len);
}

static void take_param(struct hit *hit, size_t i, yyjson_val *given, const char *name)
{
    if (i == PARAM_transaction_id)
        take_digits_as_text(given);
    yyjson_val *value = if_set(i == PARAM_transaction_id ? rfm__unless_empty(given) : given);
    if (!value || hit->params[i])
        return;
    hit->params[i] = value;
    hit->param_names[i] = name;
}

static void take_object(struct hit *hit, yyjson_val *object, const char *const *names)
{
    yyjson_val *values[PARAM_COUNT];
    rfm__pick(object, param_names, PARAM_COUNT, values);
    for (size_t i = 0; i < PARAM_COUNT; i++)
        take_param(hit, i, values[i], names[i]);
}

/* {key, value: {string_value, int_value, ...}}, one of which is there. */
static void take_entry(struct hit *hit, yyjson_val *entry)
{
    yyjson_val *parts[ENTRY_COUNT], *typed[TYPED_COUNT];
    rfm__pick(entry, entry_names, ENTRY_COUNT, parts);
    if (!parts[ENTRY_value] || !unsafe_yyjson_is_obj(parts[ENTRY_value]))
        return;
    rfm__pick(parts[ENTRY_value], typed_names, TYPED_COUNT, typed);
    size_t kind = 0, i = 0;
    while (kind < TYPED_COUNT && !typed[kind])
        kind++;
    rfm_bytes key = rfm__string(parts[ENTRY_key]);
    while (i < PARAM_COUNT && !rfm_bytes_equal(key, param_names[i]))
        i++;
    if (kind < TYPED_COUNT && i < PARAM_COUNT)
        take_param(hit, i, typed[kind], names_in_event_params[i]);
}

static void take_entries(decode_run *run, struct hit *hit, yyjson_val *entries)
{
    yyjson_val *entry;
    size_t place, places;
    yyjson_arr_foreach(entries, place, places, entry)
    {
        if (unsafe_yyjson_is_obj(entry))
            take_entry(hit, entry);
        else
            refuse(run, RFM_REASON_WRONG_TYPE, "one of event_params is not an object");
    }
}

static void take_event_params(decode_run *run, struct hit *hit, yyjson_val *params)
{
    if (params && unsafe_yyjson_is_arr(params))
        take_entries(run, hit, params);
    else
        take_object(hit, rfm__object(run, params, "event_params"), names_in_event_params);
}

static void take_ecommerce(decode_run *run, struct hit *hit, yyjson_val *ecommerce)
{
    yyjson_val *values[ECOMMERCE_COUNT];
    rfm__pick(rfm__object(run, ecommerce, "ecommerce"), ecommerce_names, ECOMMERCE_COUNT, values);
    take_param(hit, PARAM_transaction_id, values[ECOMMERCE_transaction_id], "ecommerce.transaction_id");
    if (run->event->type == RFM_EVENT_PURCHASE)
        take_param(hit, PARAM_value, values[ECOMMERCE_purchase_revenue], "ecommerce.purchase_revenue");
    else if (run->event->type == RFM_EVENT_REFUND)
        take_param(hit, PARAM_value, values[ECOMMERCE_refund_value], "ecommerce.refund_value");
}

/* Shapes. False: refused or ignored. */

static bool open_row(decode_run *run, struct hit *hit, yyjson_val *object, yyjson_val *const *root)
{
    yyjson_val *user = rfm__unless_empty(root[ROOT_user_id]);
    if (!decode_name(run, hit, root[ROOT_event_name], "event_name"))
        return false;
    hit->user = user ? user : root[ROOT_user_pseudo_id];
    hit->user_name = user ? "user_id" : "user_pseudo_id";
    hit->timestamp = root[ROOT_event_timestamp];
    hit->timestamp_name = "event_timestamp";
    take_event_params(run, hit, root[ROOT_event_params]);
    take_object(hit, rfm__object(run, root[ROOT_params], "params"), names_in_params);
    take_object(hit, object, names_beside);
    take_ecommerce(run, hit, root[ROOT_ecommerce]);
    return true;
}

static void lay_request_user(struct hit *hit, yyjson_val *const *root)
{
    static const int users[] = {ROOT_user_id, ROOT_client_id, ROOT_app_instance_id};
    static const char *const names[] = {"user_id", "client_id", "app_instance_id"};
    size_t i = 0;
    while (i + 1 < sizeof users / sizeof *users && !rfm__unless_empty(root[users[i]]))
        i++;
    hit->user = root[users[i]];
    hit->user_name = hit->user ? names[i] : "client_id";
}

static bool open_request(decode_run *run, struct hit *hit, yyjson_val *const *root)
{
    yyjson_val *parts[MP_COUNT], *events = rfm__array(run, root[ROOT_events], "events");
    if (events && unsafe_yyjson_get_len(events) != 1)
        refuse(run, RFM_REASON_BAD_VALUE, "events has %zu: a record must hold one event",
               unsafe_yyjson_get_len(events));
    if (run->reason != RFM_REASON_NONE)
        return false;
    yyjson_val *event = rfm__object(run, unsafe_yyjson_get_first(events), "the one of events");
    rfm__pick(event, mp_names, MP_COUNT, parts);
    if (!event || !decode_name(run, hit, parts[MP_name], "events.name"))
        return false;
    lay_request_user(hit, root);
    hit->timestamp = parts[MP_timestamp_micros] ? parts[MP_timestamp_micros] : root[ROOT_timestamp_micros];
    hit->timestamp_name = "timestamp_micros";
    take_object(hit, rfm__object(run, parts[MP_params], "events.params"), names_in_params);
    return true;
}

/* Layout */

/* Microseconds as a number, or as the string in which the export writes it. */
static void lay_time(decode_run *run, struct hit *hit)
{
    yyjson_val *value = hit->timestamp;
    rfm_decimal micros;
    rfm__lay(run, FIELD_time, value, hit->timestamp_name);
    if (!value)
        return;
    if (!unsafe_yyjson_is_str(value) && !unsafe_yyjson_is_raw(value)) {
        refuse(run, RFM_REASON_BAD_TIME, "%s is not a number", hit->timestamp_name);
        return;
    }
    hit->micros = rfm_bytes_of(unsafe_yyjson_get_str(value), unsafe_yyjson_get_len(value));
    if (rfm_decimal_parse(hit->micros, &micros) != RFM_OK || micros.scale != 0) {
        refuse(run, RFM_REASON_BAD_TIME, "%s is not an integer of microseconds", hit->timestamp_name);
        return;
    }
    char *ms = rfm_arena_take(&run->decoder->arena, 24);
    int len = snprintf(ms, 24, "%lld", (long long)rfm_div_floor(micros.digits, 1000));
    unsafe_yyjson_set_raw(value, ms, (size_t)len);
}

/* A transaction is one event, but may be refunded in parts: two refunds of one instant are told apart by it. */
static void lay_ids(decode_run *run, const struct hit *hit)
{
    yyjson_val *transaction = hit->params[PARAM_transaction_id];
    bool once = run->event->type == RFM_EVENT_PURCHASE ||
                (run->event->type == RFM_EVENT_REFUND && !hit->params[PARAM_value]);
    rfm__lay(run, FIELD_client_id, hit->user, hit->user_name);
    if (transaction && once) {
        rfm__lay(run, FIELD_id, transaction, hit->param_names[PARAM_transaction_id]);
        return;
    }
    rfm_bytes user = rfm__string(hit->user);
    if (!user.at)
        refuse(run, hit->user ? RFM_REASON_WRONG_TYPE : RFM_REASON_MISSING_FIELD, "%s is %s", hit->user_name,
               hit->user ? "not a string" : "missing");
    else if (!hit->timestamp)
        refuse(run, RFM_REASON_MISSING_FIELD, "%s is missing", hit->timestamp_name);
    rfm_bytes parts[] = {hit->name, user, hit->micros, rfm__string(transaction)};
    bool part = run->event->type == RFM_EVENT_REFUND && parts[3].len > 0;
    rfm__lay_text(run, FIELD_id, rfm__join(run, parts, part ? 4 : 3), hit->user_name);
}

static void lay_param(decode_run *run, const struct hit *hit, field_id field, size_t param)
{
    rfm__lay(run, field, hit->params[param],
             hit->param_names[param] ? hit->param_names[param] : (const char *)param_names[param].at);
}

/* An item's members get the names of a native one's, those without a native name none; the export writes integers as
 * strings. The names are read by eight bytes. */
static void rename_member(yyjson_val *name)
{
    static const char names[ITEM_COUNT][16] = {"sku", "category", "price", "quantity"};
    rfm_bytes text = rfm__string(name);
    yyjson_val *value = name + 1;
    size_t i = 0;
    while (i < ITEM_COUNT && !rfm_bytes_equal(text, item_names[i]))
        i++;
    if (i < ITEM_COUNT && if_set(value))
        unsafe_yyjson_set_str(name, names[i]);
    else
        unsafe_yyjson_set_strn(name, names[0], 0);
    if (i == ITEM_quantity)
        rfm__unquote(value);
}

static void rename_members(yyjson_val *items)
{
    yyjson_val *item, *name, *value;
    size_t i, count, place, places;
    yyjson_arr_foreach(items, i, count, item)
    {
        yyjson_obj_foreach(item, place, places, name, value) rename_member(name);
    }
}

static void lay_order(decode_run *run, const struct hit *hit)
{
    lay_param(run, hit, FIELD_order_id, PARAM_transaction_id);
    if (run->event->type == RFM_EVENT_PURCHASE && !hit->params[PARAM_transaction_id])
        rfm__lay(run, FIELD_order_id, run->fields.at[FIELD_id], "transaction_id");
    lay_param(run, hit, FIELD_amount, PARAM_value);
    lay_param(run, hit, FIELD_currency, PARAM_currency);
    lay_param(run, hit, FIELD_coupon, PARAM_coupon);
    if (run->event->type == RFM_EVENT_PURCHASE)
        lay_param(run, hit, FIELD_items, PARAM_items);
    rename_members(hit->params[PARAM_items]);
    run->own_names[FIELD_category] = "item_category";
    run->own_names[FIELD_sku] = "item_id";
}

/* Of the first item, which is the only one but for a cart. */
static void lay_visit(decode_run *run, const struct hit *hit)
{
    yyjson_val *items = rfm__array(run, hit->params[PARAM_items], "items"), *values[ITEM_COUNT];
    yyjson_val *item = items && unsafe_yyjson_get_len(items) > 0 ? unsafe_yyjson_get_first(items) : NULL;
    rfm__pick(rfm__object(run, item, "one of items"), item_names, ITEM_COUNT, values);
    rfm__lay_text(run, FIELD_action, hit->name, "event_name");
    rfm__lay(run, FIELD_sku, if_set(values[ITEM_id]), "item_id");
    rfm__lay(run, FIELD_category, if_set(values[ITEM_category]), "item_category");
    rfm__lay_page(run, hit->params[PARAM_page_location], "page_location");
}

void rfm__decode_ga4(decode_run *run, yyjson_val *root)
{
    yyjson_val *parts[ROOT_COUNT];
    struct hit hit = {.user = NULL};
    rfm__bound_depth(run, root);
    rfm__pick(root, root_names, ROOT_COUNT, parts);
    if (!(parts[ROOT_events] ? open_request(run, &hit, parts) : open_row(run, &hit, root, parts)))
        return;
    rfm__lay_begin(run);
    lay_time(run, &hit);
    lay_ids(run, &hit);
    lay_param(run, &hit, FIELD_campaign, PARAM_campaign);
    if (run->event->type == RFM_EVENT_VISIT)
        lay_visit(run, &hit);
    else
        lay_order(run, &hit);
    rfm__decode_laid_out(run);
}

bool rfm__is_ga4(yyjson_val *root)
{
    yyjson_val *parts[ROOT_COUNT];
    rfm__pick(root, root_names, ROOT_COUNT, parts);
    return parts[ROOT_event_name] || parts[ROOT_events];
}
