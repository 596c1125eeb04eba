#include "format.h"

#define ENVELOPE   "'messageId':'m-1','userId':'c-1','timestamp':'2026-01-01T01:00:00+01:00'"
#define TRACK      "{'type':'track'," ENVELOPE ",'event':"
#define ORDER(...) TRACK "'Order Completed','properties':{'order_id':'o-1'," __VA_ARGS__ "}}"

static int start(void **state)
{
    reading = (rfm_reading){RFM_FORMAT_SEGMENT, RFM_AMOUNT_REVENUE};
    return set_up(state);
}

static void an_order_is_a_purchase(void **state)
{
    (void)state;
    decodes("{'type':'track'," ENVELOPE ",'anonymousId':'a-1','event':'Order Completed','channel':'server',"
            "'context':{'campaign':{'name':'spring','source':'newsletter'},'ip':'192.0.2.1'},"
            "'properties':{'order_id':'o-1','checkout_id':'k-9','revenue':129.90,'total':160,'currency':'USD',"
            "'coupon':'X','cart_id':'k','products':["
            "{'product_id':'p1','sku':'s1','category':'shoes','price':10,'quantity':3,'brand':'b'},"
            "{'product_id':'p2','sku':'s2','category':'hats','price':99.90,'quantity':1}]}}");
    assert_int_equal(event.type, RFM_EVENT_PURCHASE);
    is_text(event.id, "m-1");
    is_text(event.client_id, "c-1");
    assert_true(event.time_ms == MS_2026);
    is_text(event.order_id, "o-1");
    assert_true(event.has_amount);
    assert_int_equal(event.amount_minor, 11951); /* 129.90 * 0.92 = 119.508 */
    is_text(event.currency, "USD");
    is_text(event.campaign, "spring");
    is_text(event.coupon, "X");
    is_text(event.cart_id, "k");
    is_text(event.category, "hats");
    assert_int_equal(event.category_count, 2);
    is_text(event.categories[0], "shoes");
    assert_int_equal(event.channel.len, 0);
}

static void a_product_has_its_sku_or_id(void **state)
{
    (void)state;
    decodes(ORDER(
        "'revenue':1,'currency':'EUR','products':[{'product_id':'p1','sku':'s1'},{'product_id':'p2','quantity':'3'},"
        "{'sku':null,'product_id':'p3'},{'quantity':2}]"));
    assert_int_equal(event.item_count, 4);
    is_text(event.items[0].sku, "s1");
    is_text(event.items[1].sku, "p2");
    assert_int_equal(event.items[1].quantity.digits, 3);
    is_text(event.items[2].sku, "p3");
    assert_int_equal(event.items[3].sku.len, 0);
    assert_int_equal(decode(ORDER("'revenue':1,'currency':'EUR','products':[1]")), RFM_REASON_WRONG_TYPE);
    assert_int_equal(decode(ORDER("'revenue':1,'currency':'EUR','products':[{'quantity':'x'}]")), RFM_REASON_BAD_VALUE);
    assert_int_equal(decode(ORDER("'revenue':1,'currency':'EUR','products':[{'product_id':7}]")),
                     RFM_REASON_WRONG_TYPE);
    assert_int_equal(decode(ORDER("'revenue':1,'currency':'EUR','products':{'product_id':'p'}")),
                     RFM_REASON_WRONG_TYPE);
}

static void the_ids_are_those_of_a_native_event(void **state)
{
    (void)state;
    decodes("{'type':'track','messageId':'e-1','userId':'c','timestamp':'2026-01-01T00:00:00Z',"
            "'event':'Order Completed','properties':{'order_id':'o-1','revenue':1,'currency':'EUR'}}");
    assert_true(event.id48 == UINT64_C(0x4ed56379c634)); /* xxhash's XXH3-64 of "purchase\x1fe-1", low 48 bits */
    assert_true(event.order_id48 == UINT64_C(0x86d41eec32a2));
}

static void one_of_the_sums_is_the_amount(void **state)
{
    static const int64_t expected[RFM_AMOUNT_FIELD_COUNT] = {1000, 1100, 1200};
    (void)state;
    for (int field = 0; field < RFM_AMOUNT_FIELD_COUNT; field++) {
        reading.amount_field = (rfm_amount_field)field;
        decodes(ORDER("'total':12,'subtotal':'11.00','revenue':10,'currency':'EUR'"));
        assert_int_equal(event.amount_minor, expected[field]);
        decodes(ORDER("'total':12,'currency':'EUR'"));
        assert_int_equal(event.amount_minor, 1200);
    }
    decodes(ORDER("'subtotal':11,'revenue':null,'currency':'EUR'")); /* total is chosen */
    assert_int_equal(event.amount_minor, 1100);
    reading.amount_field = RFM_AMOUNT_REVENUE;
}

static void refunds(void **state)
{
    (void)state;
    decodes(TRACK "'Order Refunded','properties':{'order_id':'o-1'}}");
    assert_int_equal(event.type, RFM_EVENT_REFUND);
    is_text(event.order_id, "o-1");
    assert_false(event.has_amount);
    decodes(TRACK "'Order Refunded','properties':{'order_id':'o-1','total':5,'currency':'EUR','products':[]}}");
    assert_true(event.has_amount);
    assert_int_equal(event.amount_minor, 500);
    decodes(TRACK "'Order Refunded','properties':{'order_id':'o-1','revenue':5}}"); /* in the order's currency */
    assert_true(event.has_amount && event.currency.len == 0);
    decodes(TRACK "'Order Cancelled','properties':{'order_id':'o-1','revenue':25,'total':30,'currency':'XXX'}}");
    assert_int_equal(event.type, RFM_EVENT_REFUND);
    assert_false(event.has_amount);
}

static void visits(void **state)
{
    static const char *const actions[][2] = {
        {"Page Viewed", "page_view"},     {"Product Viewed", "view_item"},
        {"Product Added", "add_to_cart"}, {"Product Removed", "remove_from_cart"},
        {"Cart Viewed", "view_cart"},     {"Checkout Started", "begin_checkout"},
        {"product viewed", "view_item"},  {"Signed In", "login"},
    };
    char json[512];
    (void)state;
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        snprintf(json, sizeof json,
                 TRACK "'%s','properties':{'product_id':'p1','sku':'s1','category':'shoes','cart_id':'k',"
                       "'url':'https://shop.example/p1?utm_source=x#top'}}",
                 actions[i][0]);
        decodes(json);
        assert_int_equal(event.type, RFM_EVENT_VISIT);
        is_text(event.action, actions[i][1]);
        is_text(event.sku, "s1");
        is_text(event.category, "shoes");
        is_text(event.cart_id, "k");
        is_text(event.page, "https://shop.example/p1");
    }
    decodes(TRACK "'Product Added','properties':{'product_id':'p1'}}");
    is_text(event.sku, "p1");
}

static void pages_and_screens(void **state)
{
    (void)state;
    decodes("{'type':'page'," ENVELOPE ",'name':'Home','properties':{'path':'/','url':'https://shop.example/'},"
            "'context':{'campaign':{'name':'spring'}}}");
    assert_int_equal(event.type, RFM_EVENT_VISIT);
    is_text(event.action, "page_view");
    is_text(event.page, "/");
    is_text(event.campaign, "spring");
    decodes("{'type':'page'," ENVELOPE ",'name':'Home','context':{'page':{'url':'https://shop.example/a?b'}}}");
    is_text(event.page, "https://shop.example/a");
    decodes("{'type':'screen'," ENVELOPE ",'name':'Basket'}");
    is_text(event.action, "screen_view");
    is_text(event.page, "Basket");
}

static void messages(void **state)
{
    static const struct {
        const char *event, *channel;
        rfm_message_status status;
    } cases[] = {
        {"Email Delivered", "email", RFM_STATUS_DELIVERED},
        {"Email Opened", "email", RFM_STATUS_OPENED},
        {"Email Link Clicked", "email", RFM_STATUS_CLICKED},
        {"Email Bounced", "email", RFM_STATUS_BOUNCED},
        {"Email Marked as Spam", "email", RFM_STATUS_COMPLAINED},
        {"Unsubscribed", "email", RFM_STATUS_UNSUBSCRIBED},
        {"Push Notification Received", "push", RFM_STATUS_DELIVERED},
        {"Push Notification Tapped", "push", RFM_STATUS_CLICKED},
        {"Push Notification Bounced", "push", RFM_STATUS_BOUNCED},
    };
    char json[512];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(json, sizeof json,
                 TRACK "'%s','properties':{'email_id':'x','campaign_id':'7','campaign_name':'spring'}}",
                 cases[i].event);
        decodes(json);
        assert_int_equal(event.type, RFM_EVENT_MESSAGE);
        assert_int_equal(event.status, cases[i].status);
        is_text(event.channel, cases[i].channel);
        is_text(event.campaign, "spring");
        assert_true(event.permanent);
    }
    decodes(TRACK "'Unsubscribed','properties':{'channel':'sms','campaign_id':'7','trigger_id':'t'}}");
    is_text(event.channel, "sms");
    is_text(event.campaign, "7");
    is_text(event.trigger_id, "t");
    decodes(TRACK "'Email Opened'}");
    is_text(event.channel, "email");
}

static void identify_is_a_profile(void **state)
{
    (void)state;
    decodes("{'type':'identify'," ENVELOPE ",'traits':{'plan':'gold','logins':7,'vip':true,'phone':null,"
            "'address':{'city':'Delft'}},'context':{'timezone':'Europe/Amsterdam','locale':'nl-NL',"
            "'traits':{'plan':'old'}}}");
    assert_int_equal(event.type, RFM_EVENT_PROFILE);
    is_text(event.client_id, "c-1");
    is_text(event.timezone, "Europe/Amsterdam");
    is_text(event.language, "nl-NL");
    assert_int_equal(event.trait_count, 5);
    is_text(event.traits[0].name, "plan");
    is_text(event.traits[0].text, "gold");
    assert_int_equal(event.traits[1].kind, RFM_VALUE_NUMBER);
    is_text(event.traits[1].text, "7");
    assert_true(event.traits[2].kind == RFM_VALUE_BOOL && event.traits[2].truth);
    assert_int_equal(event.traits[3].kind, RFM_VALUE_NULL);
    assert_int_equal(event.traits[4].kind, RFM_VALUE_OTHER);
    decodes("{'type':'identify'," ENVELOPE ",'context':{'traits':{'plan':'old'},'locale':'','timezone':null}}");
    assert_int_equal(event.trait_count, 1);
    assert_int_equal(event.language.len + event.timezone.len, 0);
    decodes("{'type':'identify'," ENVELOPE "}");
    assert_int_equal(event.trait_count, 0);
}

static void who_and_when(void **state)
{
    (void)state;
    decodes("{'type':'page','messageId':'m','userId':null,'anonymousId':'a-1','sentAt':'2026-01-01T00:00:00Z',"
            "'receivedAt':'2026-01-02T00:00:00Z'}");
    is_text(event.client_id, "a-1");
    assert_true(event.time_ms == MS_2026);
    decodes("{'type':'page','messageId':'m','userId':'','anonymousId':'a-1','receivedAt':'2026-01-01T00:00:00Z'}");
    is_text(event.client_id, "a-1");
    assert_true(event.time_ms == MS_2026);
    decodes("{'type':'page','messageId':'m','userId':'u','originalTimestamp':'2026-01-01T00:00:00Z',"
            "'sentAt':'2026-01-02T00:00:00Z'}");
    assert_true(event.time_ms == MS_2026);
    assert_int_equal(decode_at("{'type':'page'," ENVELOPE "}", MS_2026 - 600000), RFM_REASON_NONE);
    assert_int_equal(decode_at("{'type':'page'," ENVELOPE "}", MS_2026 - 600001), RFM_REASON_TIME_IN_FUTURE);
    assert_non_null(strstr(fault.detail, "timestamp"));
}

static void what_has_nothing_for_us_is_ignored(void **state)
{
    static const char *const calls[] = {
        "{'type':'group','groupId':'g'}",
        "{'type':'alias','previousId':'p','userId':'u'}",
        TRACK "'Song Played'}",
        TRACK "'Order Updated','properties':{'order_id':'o-1'}}",
        "{'type':'track','event':'Order','properties':7}",
        TRACK "''}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (decode(calls[i]) != RFM_REASON_IGNORED)
            fail_msg("%s: %s (%s)", calls[i], rfm_reason_name(fault.reason), fault.detail);
}

#define FIVE(x) x x x x x
#define DEEP    FIVE("[") FIVE("[") FIVE("[") "[" FIVE("]") FIVE("]") FIVE("]") "]"
static const struct wrong wrong[] = {
    {RFM_REASON_MALFORMED, "", "no value"},
    {RFM_REASON_MALFORMED, "[]", "object"},
    {RFM_REASON_MISSING_FIELD, "{}", "type"},
    {RFM_REASON_WRONG_TYPE, "{'type':7}", "type"},
    {RFM_REASON_UNKNOWN_TYPE, "{'type':'purchase'}", "track"},
    {RFM_REASON_MISSING_FIELD, "{'type':'track'}", "event"},
    {RFM_REASON_WRONG_TYPE, "{'type':'track','event':{}}", "event"},
    {RFM_REASON_MISSING_FIELD, "{'type':'page','userId':'u','timestamp':1767225600000}", "messageId"},
    {RFM_REASON_WRONG_TYPE, "{'type':'page','messageId':1,'userId':'u','timestamp':1767225600000}", "messageId"},
    {RFM_REASON_MISSING_FIELD, "{'type':'page','messageId':'m','timestamp':1767225600000}", "userId"},
    {RFM_REASON_WRONG_TYPE, "{'type':'page','messageId':'m','userId':7,'timestamp':1767225600000}", "userId"},
    {RFM_REASON_WRONG_TYPE, "{'type':'page','messageId':'m','anonymousId':7,'timestamp':1767225600000}", "anonymousId"},
    {RFM_REASON_BAD_VALUE, "{'type':'page','messageId':'m','anonymousId':'','timestamp':1767225600000}", "anonymousId"},
    {RFM_REASON_MISSING_FIELD, "{'type':'page','messageId':'m','userId':'u'}", "timestamp"},
    {RFM_REASON_BAD_TIME, "{'type':'page','messageId':'m','userId':'u','timestamp':'now'}", "timestamp"},
    {RFM_REASON_BAD_TIME, "{'type':'page','messageId':'m','userId':'u','sentAt':'2026-01-01T00:00:00'}", "sentAt"},
    {RFM_REASON_TIME_TOO_OLD, "{'type':'page','messageId':'m','userId':'u','receivedAt':0}", "receivedAt"},
    {RFM_REASON_WRONG_TYPE, "{'type':'page'," ENVELOPE ",'properties':[]}", "properties"},
    {RFM_REASON_WRONG_TYPE, "{'type':'page'," ENVELOPE ",'context':'x'}", "context"},
    {RFM_REASON_WRONG_TYPE, "{'type':'page'," ENVELOPE ",'context':{'campaign':'x'}}", "context.campaign"},
    {RFM_REASON_WRONG_TYPE, "{'type':'page'," ENVELOPE ",'context':{'campaign':{'name':1}}}", "context.campaign.name"},
    {RFM_REASON_WRONG_TYPE, "{'type':'page'," ENVELOPE ",'context':{'page':1}}", "context.page"},
    {RFM_REASON_WRONG_TYPE, "{'type':'page'," ENVELOPE ",'properties':{'url':1}}", "properties.url"},
    {RFM_REASON_TOO_DEEP, "{'type':'page'," ENVELOPE ",'x':" DEEP "}", "16"},
    {RFM_REASON_MISSING_FIELD, TRACK "'Order Completed'}", "properties.order_id"},
    {RFM_REASON_WRONG_TYPE, TRACK "'Order Completed','properties':{'order_id':17}}", "properties.order_id"},
    {RFM_REASON_MISSING_FIELD, ORDER("'revenue':1"), "properties.currency"},
    {RFM_REASON_MISSING_FIELD, ORDER("'currency':'EUR'"), "properties.revenue"},
    {RFM_REASON_UNKNOWN_CURRENCY, ORDER("'revenue':1,'currency':'GBP'"), "rate"},
    {RFM_REASON_BAD_AMOUNT, ORDER("'revenue':-1,'currency':'EUR'"), "properties.revenue is negative"},
    {RFM_REASON_BAD_AMOUNT, ORDER("'revenue':0.30000000000000004,'currency':'EUR'"), "properties.revenue"},
    {RFM_REASON_WRONG_TYPE, ORDER("'total':true,'currency':'EUR'"), "properties.total"},
    {RFM_REASON_WRONG_TYPE, ORDER("'total':1,'currency':'EUR','products':{}"), "properties.products"},
    {RFM_REASON_WRONG_TYPE, ORDER("'total':1,'currency':'EUR','products':['x']"), "properties.products"},
    {RFM_REASON_WRONG_TYPE, ORDER("'total':1,'currency':'EUR','products':[{'price':[]}]"), "price"},
    {RFM_REASON_WRONG_TYPE, ORDER("'total':1,'currency':'EUR','coupon':1"), "properties.coupon"},
    {RFM_REASON_MISSING_FIELD, TRACK "'Order Refunded','properties':{'total':1}}", "properties.order_id"},
    {RFM_REASON_MISSING_FIELD, TRACK "'Order Cancelled'}", "properties.order_id"},
    {RFM_REASON_BAD_AMOUNT, TRACK "'Order Refunded','properties':{'order_id':'o','total':-1}}", "properties.total"},
    {RFM_REASON_WRONG_TYPE, TRACK "'Product Viewed','properties':{'sku':1}}", "properties.sku"},
    {RFM_REASON_WRONG_TYPE, TRACK "'Product Viewed','properties':{'product_id':1}}", "properties.product_id"},
    {RFM_REASON_WRONG_TYPE, TRACK "'Email Opened','properties':{'campaign_id':1}}", "properties.campaign_id"},
    {RFM_REASON_BAD_VALUE, TRACK "'Unsubscribed','properties':{'channel':''}}", "properties.channel"},
    {RFM_REASON_WRONG_TYPE, "{'type':'identify'," ENVELOPE ",'traits':[]}", "traits"},
    {RFM_REASON_WRONG_TYPE, "{'type':'identify'," ENVELOPE ",'context':{'traits':1}}", "context.traits"},
    {RFM_REASON_WRONG_TYPE, "{'type':'identify'," ENVELOPE ",'context':{'timezone':1}}", "context.timezone"},
    {RFM_REASON_WRONG_TYPE, "{'type':'identify'," ENVELOPE ",'context':{'locale':1}}", "context.locale"},
};

static void what_is_wrong_has_its_reason(void **state)
{
    (void)state;
    are_wrong(wrong, sizeof wrong / sizeof *wrong);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_order_is_a_purchase),
        cmocka_unit_test(a_product_has_its_sku_or_id),
        cmocka_unit_test(the_ids_are_those_of_a_native_event),
        cmocka_unit_test(one_of_the_sums_is_the_amount),
        cmocka_unit_test(refunds),
        cmocka_unit_test(visits),
        cmocka_unit_test(pages_and_screens),
        cmocka_unit_test(messages),
        cmocka_unit_test(identify_is_a_profile),
        cmocka_unit_test(who_and_when),
        cmocka_unit_test(what_has_nothing_for_us_is_ignored),
        cmocka_unit_test(what_is_wrong_has_its_reason),
    };
    return cmocka_run_group_tests(tests, start, tear_down);
}
