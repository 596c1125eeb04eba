/* Calls of Segment and RudderStack: track, page, screen and identify. What a call means is in `tracks`; the others have
 * nothing for us and are ignored, as are group and alias. */
#include "layout.h"

#include <strings.h>

#define ENVELOPE(X)      \
    X(type)              \
    X(event)             \
    X(messageId)         \
    X(userId)            \
    X(anonymousId)       \
    X(timestamp)         \
    X(originalTimestamp) \
    X(sentAt)            \
    X(receivedAt)        \
    X(name)              \
    X(properties)        \
    X(traits)            \
    X(context)

#define PROPERTIES(X) \
    X(order_id)       \
    X(currency)       \
    X(revenue)        \
    X(subtotal)       \
    X(total)          \
    X(coupon)         \
    X(cart_id)        \
    X(channel)        \
    X(products)       \
    X(product_id)     \
    X(sku)            \
    X(category)       \
    X(path)           \
    X(url)            \
    X(campaign_id)    \
    X(campaign_name)  \
    X(trigger_id)

#define CONTEXT(X) X(campaign) X(timezone) X(locale) X(traits) X(page)
#define PAGE(X)    X(path) X(url)

enum {
#define X(name) ENVELOPE_##name,
    ENVELOPE(X)
#undef X
        ENVELOPE_COUNT
};
enum {
#define X(name) PROPERTY_##name,
    PROPERTIES(X)
#undef X
        PROPERTY_COUNT
};
enum {
#define X(name) CONTEXT_##name,
    CONTEXT(X)
#undef X
        CONTEXT_COUNT
};
enum { PAGE_path, PAGE_url, PAGE_COUNT };
_Static_assert((int)RFM_AMOUNT_FIELD_COUNT == PROPERTY_total - PROPERTY_revenue + 1, "the sums are in one order");

static const rfm_bytes envelope_names[] = {ENVELOPE(RFM__NAME)};
static const rfm_bytes property_names[] = {PROPERTIES(RFM__NAME)};
static const rfm_bytes context_names[] = {CONTEXT(RFM__NAME)};
static const rfm_bytes page_names[] = {PAGE(RFM__NAME)};
static const rfm_bytes campaign_name = {(const uint8_t *)"name", 4};

struct call {
    yyjson_val *envelope[ENVELOPE_COUNT], *properties[PROPERTY_COUNT], *context[CONTEXT_COUNT], *page[PAGE_COUNT];
    yyjson_val *campaign; /* context.campaign.name */
};

/* What a track call means. `what`: a visit's action, a message's status. */
struct meaning {
    const char *event;
    rfm_event_type type;
    const char *what, *channel;
    bool whole; /* a refund of all that is left, whatever sums the call names */
};

static const struct meaning tracks[] = {
    {"Order Completed", RFM_EVENT_PURCHASE, NULL, NULL, false},
    {"Order Refunded", RFM_EVENT_REFUND, NULL, NULL, false},
    {"Order Cancelled", RFM_EVENT_REFUND, NULL, NULL, true},
    {"Page Viewed", RFM_EVENT_VISIT, "page_view", NULL, false},
    {"Product Viewed", RFM_EVENT_VISIT, "view_item", NULL, false},
    {"Product Added", RFM_EVENT_VISIT, "add_to_cart", NULL, false},
    {"Product Removed", RFM_EVENT_VISIT, "remove_from_cart", NULL, false},
    {"Cart Viewed", RFM_EVENT_VISIT, "view_cart", NULL, false},
    {"Checkout Started", RFM_EVENT_VISIT, "begin_checkout", NULL, false},
    {"Signed In", RFM_EVENT_VISIT, "login", NULL, false},
    {"Email Delivered", RFM_EVENT_MESSAGE, "delivered", "email", false},
    {"Email Opened", RFM_EVENT_MESSAGE, "opened", "email", false},
    {"Email Link Clicked", RFM_EVENT_MESSAGE, "clicked", "email", false},
    {"Email Bounced", RFM_EVENT_MESSAGE, "bounced", "email", false},
    {"Email Marked as Spam", RFM_EVENT_MESSAGE, "complained", "email", false},
    {"Unsubscribed", RFM_EVENT_MESSAGE, "unsubscribed", "email", false},
    {"Push Notification Received", RFM_EVENT_MESSAGE, "delivered", "push", false},
    {"Push Notification Tapped", RFM_EVENT_MESSAGE, "clicked", "push", false},
    {"Push Notification Bounced", RFM_EVENT_MESSAGE, "bounced", "push", false},
};
static const struct meaning a_page = {.type = RFM_EVENT_VISIT, .what = "page_view"};
static const struct meaning a_screen = {.type = RFM_EVENT_VISIT, .what = "screen_view"};
static const struct meaning an_identify = {.type = RFM_EVENT_PROFILE};

static const struct meaning *meaning_of_track(decode_run *run, const struct call *call)
{
    yyjson_val *event = call->envelope[ENVELOPE_event];
    rfm_bytes name = rfm__string(event);
    if (!event)
        refuse(run, RFM_REASON_MISSING_FIELD, "event is missing");
    else if (!name.at)
        refuse(run, RFM_REASON_WRONG_TYPE, "event is not a string");
    for (size_t i = 0; name.at && i < sizeof tracks / sizeof *tracks; i++)
        if (name.len == strlen(tracks[i].event) && strncasecmp((const char *)name.at, tracks[i].event, name.len) == 0)
            return &tracks[i];
    rfm__ignore(run);
    return NULL;
}

/* NULL: refused or ignored. */
static const struct meaning *meaning_of(decode_run *run, const struct call *call)
{
    yyjson_val *type = call->envelope[ENVELOPE_type];
    rfm_bytes name = rfm__string(type);
    if (rfm_bytes_is(name, "track"))
        return meaning_of_track(run, call);
    if (rfm_bytes_is(name, "page"))
        return &a_page;
    if (rfm_bytes_is(name, "screen"))
        return &a_screen;
    if (rfm_bytes_is(name, "identify"))
        return &an_identify;
    if (rfm_bytes_is(name, "group") || rfm_bytes_is(name, "alias"))
        rfm__ignore(run);
    else if (!type)
        refuse(run, RFM_REASON_MISSING_FIELD, "type is missing");
    else if (!name.at)
        refuse(run, RFM_REASON_WRONG_TYPE, "type is not a string");
    else
        refuse(run, RFM_REASON_UNKNOWN_TYPE, "type is none of track, page, screen, identify, group and alias");
    return NULL;
}

static void open_parts(decode_run *run, struct call *call)
{
    yyjson_val *properties = rfm__object(run, call->envelope[ENVELOPE_properties], "properties");
    yyjson_val *context = rfm__object(run, call->envelope[ENVELOPE_context], "context");
    rfm__pick(properties, property_names, PROPERTY_COUNT, call->properties);
    rfm__pick(context, context_names, CONTEXT_COUNT, call->context);
    yyjson_val *page = rfm__object(run, call->context[CONTEXT_page], "context.page");
    yyjson_val *campaign = rfm__object(run, call->context[CONTEXT_campaign], "context.campaign");
    rfm__pick(page, page_names, PAGE_COUNT, call->page);
    rfm__pick(campaign, &campaign_name, 1, &call->campaign);
}

static void lay_time(decode_run *run, const struct call *call)
{
    static const int times[] = {ENVELOPE_timestamp, ENVELOPE_originalTimestamp, ENVELOPE_sentAt, ENVELOPE_receivedAt};
    size_t i = 0;
    while (i < 4 && !call->envelope[times[i]])
        i++;
    i = i < 4 ? i : 0;
    rfm__lay(run, FIELD_time, call->envelope[times[i]], (const char *)envelope_names[times[i]].at);
}

static void lay_head(decode_run *run, const struct call *call)
{
    yyjson_val *user = rfm__unless_empty(call->envelope[ENVELOPE_userId]);
    yyjson_val *anonymous = call->envelope[ENVELOPE_anonymousId];
    bool known = user || !anonymous;
    rfm__lay(run, FIELD_id, call->envelope[ENVELOPE_messageId], "messageId");
    rfm__lay(run, FIELD_client_id, known ? user : anonymous, known ? "userId" : "anonymousId");
    lay_time(run, call);
}

/* The configured sum, else the first that is there. */
static void lay_amount(decode_run *run, const struct call *call)
{
    static const char *const names[] = {"properties.revenue", "properties.subtotal", "properties.total"};
    yyjson_val *const *sums = &call->properties[PROPERTY_revenue];
    size_t chosen = run->reading->amount_field;
    for (size_t i = 0; !sums[chosen] && i < RFM_AMOUNT_FIELD_COUNT; i++)
        if (sums[i])
            chosen = i;
    rfm__lay(run, FIELD_amount, sums[chosen], names[chosen]);
}

static void lay_order(decode_run *run, const struct call *call, const struct meaning *meaning)
{
    rfm__lay(run, FIELD_order_id, call->properties[PROPERTY_order_id], "properties.order_id");
    if (meaning->whole)
        return;
    rfm__lay(run, FIELD_currency, call->properties[PROPERTY_currency], "properties.currency");
    lay_amount(run, call);
}

/* A product's id gets the name of a native item's where that is absent or null; some libraries write a quantity as a
 * string. The names are read by eight bytes. */
static void lay_product(yyjson_val *product)
{
    static const char sku[16] = "sku";
    static const rfm_bytes names[] = {RFM__NAME(sku) RFM__NAME(product_id) RFM__NAME(quantity)};
    yyjson_val *given[3], *null = yyjson_obj_getn(product, sku, 3);
    rfm__pick(product, names, 3, given);
    if (given[1] && !given[0]) {
        if (null)
            unsafe_yyjson_set_strn(null - 1, sku, 0); /* a name stands before its value */
        unsafe_yyjson_set_str(given[1] - 1, sku);
    }
    if (given[2])
        rfm__unquote(given[2]);
}

static void lay_products(yyjson_val *products)
{
    yyjson_val *product;
    size_t i, count;
    yyjson_arr_foreach(products, i, count, product) if (unsafe_yyjson_is_obj(product)) lay_product(product);
}

static void lay_purchase(decode_run *run, const struct call *call)
{
    lay_products(call->properties[PROPERTY_products]);
    rfm__lay(run, FIELD_coupon, call->properties[PROPERTY_coupon], "properties.coupon");
    rfm__lay(run, FIELD_items, call->properties[PROPERTY_products], "properties.products");
}

static void lay_page(decode_run *run, const struct call *call)
{
    const struct {
        yyjson_val *value;
        const char *name;
    } pages[] = {{call->properties[PROPERTY_path], "properties.path"},
                 {call->properties[PROPERTY_url], "properties.url"},
                 {call->page[PAGE_path], "context.page.path"},
                 {call->page[PAGE_url], "context.page.url"},
                 {call->envelope[ENVELOPE_name], "name"}};
    size_t i = 0;
    while (i + 1 < sizeof pages / sizeof *pages && !pages[i].value)
        i++;
    rfm__lay_page(run, pages[i].value, pages[i].name);
}

static void lay_visit(decode_run *run, const struct call *call, const struct meaning *meaning)
{
    yyjson_val *sku = call->properties[PROPERTY_sku];
    rfm__lay_text(run, FIELD_action, rfm_text(meaning->what), "event");
    rfm__lay(run, FIELD_sku, sku ? sku : call->properties[PROPERTY_product_id],
             sku ? "properties.sku" : "properties.product_id");
    rfm__lay(run, FIELD_category, call->properties[PROPERTY_category], "properties.category");
    lay_page(run, call);
}

static void lay_message(decode_run *run, const struct call *call, const struct meaning *meaning)
{
    yyjson_val *name = call->properties[PROPERTY_campaign_name], *id = call->properties[PROPERTY_campaign_id];
    rfm__lay_text(run, FIELD_status, rfm_text(meaning->what), "event");
    rfm__lay(run, FIELD_trigger_id, call->properties[PROPERTY_trigger_id], "properties.trigger_id");
    if (!call->properties[PROPERTY_channel])
        rfm__lay_text(run, FIELD_channel, rfm_text(meaning->channel), "event");
    if (name || id)
        rfm__lay(run, FIELD_campaign, name ? name : id, name ? "properties.campaign_name" : "properties.campaign_id");
}

/* RudderStack's libraries have the traits in the context. */
static void lay_profile(decode_run *run, const struct call *call)
{
    yyjson_val *traits = call->envelope[ENVELOPE_traits];
    rfm__lay(run, FIELD_traits, traits ? traits : call->context[CONTEXT_traits], traits ? "traits" : "context.traits");
    rfm__lay(run, FIELD_timezone, rfm__unless_empty(call->context[CONTEXT_timezone]), "context.timezone");
    rfm__lay(run, FIELD_language, rfm__unless_empty(call->context[CONTEXT_locale]), "context.locale");
}

static void lay_call(decode_run *run, const struct call *call, const struct meaning *meaning)
{
    rfm__lay(run, FIELD_channel, call->properties[PROPERTY_channel], "properties.channel");
    rfm__lay(run, FIELD_cart_id, call->properties[PROPERTY_cart_id], "properties.cart_id");
    rfm__lay(run, FIELD_campaign, call->campaign, "context.campaign.name");
    if (meaning->type == RFM_EVENT_PURCHASE || meaning->type == RFM_EVENT_REFUND)
        lay_order(run, call, meaning);
    if (meaning->type == RFM_EVENT_PURCHASE)
        lay_purchase(run, call);
    else if (meaning->type == RFM_EVENT_VISIT)
        lay_visit(run, call, meaning);
    else if (meaning->type == RFM_EVENT_MESSAGE)
        lay_message(run, call, meaning);
    else if (meaning->type == RFM_EVENT_PROFILE)
        lay_profile(run, call);
}

void rfm__decode_segment(decode_run *run, yyjson_val *root)
{
    struct call call;
    rfm__bound_depth(run, root);
    rfm__pick(root, envelope_names, ENVELOPE_COUNT, call.envelope);
    const struct meaning *meaning = meaning_of(run, &call);
    if (!meaning)
        return;
    run->event->type = meaning->type;
    open_parts(run, &call);
    rfm__lay_begin(run);
    lay_head(run, &call);
    lay_call(run, &call, meaning);
    rfm__decode_laid_out(run);
}

bool rfm__is_segment(yyjson_val *root)
{
    static const char *const calls[] = {"track", "page", "screen", "identify", "group", "alias"};
    yyjson_val *envelope[ENVELOPE_COUNT];
    rfm__pick(root, envelope_names, ENVELOPE_COUNT, envelope);
    rfm_bytes type = rfm__string(envelope[ENVELOPE_type]);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (rfm_bytes_is(type, calls[i]))
            return true;
    return false;
}
