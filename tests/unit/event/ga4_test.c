#include "format.h"

#define WHO            "'event_timestamp':1767225600123456,'user_id':'c-1','user_pseudo_id':'p.1'"
#define TEXT(k, v)     "{'key':'" k "','value':{'string_value':'" v "'}}"
#define VALUE(k, v)    "{'key':'" k "','value':{'string_value':null,'int_value':null,'double_value':" v "}}"
#define ROW(name, ...) "{'event_name':'" name "'," WHO ",'event_params':[" __VA_ARGS__ "]}"
#define REQUEST(...)   "{'client_id':'p.1','timestamp_micros':1767225600123456,'events':[" __VA_ARGS__ "]}"

static int start(void **state)
{
    reading = (rfm_reading){.format = RFM_FORMAT_GA4};
    return set_up(state);
}

static void is_the_purchase(void)
{
    assert_int_equal(event.type, RFM_EVENT_PURCHASE);
    is_text(event.id, "T-1");
    is_text(event.client_id, "c-1");
    assert_true(event.time_ms == MS_2026 + 123);
    is_text(event.order_id, "T-1");
    assert_true(event.has_amount);
    assert_int_equal(event.amount_minor, 11951); /* 129.90 * 0.92 = 119.508 */
    is_text(event.currency, "USD");
    is_text(event.coupon, "X");
    is_text(event.category, "hats");
    assert_int_equal(event.category_count, 2);
    is_text(event.categories[0], "shoes");
}

static void a_purchase_of_the_export(void **state)
{
    (void)state;
    decodes(
        "{'event_date':'20260101','event_timestamp':'1767225600123456','event_name':'purchase','user_id':'c-1',"
        "'user_pseudo_id':'p.1','event_params':[" TEXT("transaction_id", "T-1") "," VALUE(
            "value",
            "129.9") ","
                     "{'key':'ga_session_id','value':{'int_value':'77'}}," TEXT("currency", "USD") "," TEXT(
                         "coupon",
                         "X") "],"
                              "'ecommerce':{'transaction_id':'(not set)','purchase_revenue':1},"
                              "'items':[{'item_id':'s1','item_category':'shoes','price':10.0,'quantity':'3','category':'socks'},"
                              "{'item_id':'s2','item_category':'hats','price':99.9,'quantity':'1'},"
                              "{'item_id':'s3','item_category':'(not set)','price':1.0,'quantity':null}]}");
    is_the_purchase();
}

static void a_purchase_of_the_measurement_protocol(void **state)
{
    (void)state;
    decodes("{'client_id':'p.1','user_id':'c-1','timestamp_micros':'1767225600123999','events':[{'name':'purchase',"
            "'params':{'transaction_id':'T-1','value':129.90,'currency':'USD','coupon':'X','tax':3,'items':["
            "{'item_id':'s1','item_category':'shoes','price':10,'quantity':3},"
            "{'item_id':'s2','item_category':'hats','price':99.9,'quantity':1}]}}]}");
    is_the_purchase();
}

static void parameters_in_an_object_or_beside(void **state)
{
    (void)state;
    decodes("{'event_name':'purchase'," WHO ",'event_params':{'transaction_id':'T-1','value':'129.90','currency':'USD',"
            "'coupon':'X'},'items':[{'item_category':'shoes'},{'item_category':'hats','price':1}]}");
    is_the_purchase();
    decodes("{'event_name':'purchase'," WHO ",'params':{'transaction_id':'T-1','value':129.9},'currency':'USD',"
            "'coupon':'X','items':[{'item_category':'shoes'},{'item_category':'hats','price':1}],'value':7}");
    is_the_purchase();
    decodes("{'event_name':'purchase'," WHO ",'ecommerce':{'transaction_id':'T-1','purchase_revenue':129.9},"
            "'currency':'USD','coupon':'X','items':[{'item_category':'shoes'},{'item_category':'hats','price':1}]}");
    is_the_purchase();
}

static void an_order_whose_number_was_taken_for_an_integer(void **state)
{
    (void)state;
    static const char *const values[] = {"'string_value':null,'int_value':5012", "'int_value':'5012'",
                                         "'string_value':'5012'"};
    for (size_t i = 0; i < 3; i++) {
        char text[512];
        snprintf(text, sizeof text,
                 "{'event_name':'purchase'," WHO ",'value':1,'currency':'EUR',"
                 "'event_params':[{'key':'transaction_id','value':{%s}}]}",
                 values[i]);
        decodes(text);
        is_text(event.id, "5012");
        assert_true(event.order_id48 == UINT64_C(0xd7075c9a88f4)); /* xxhash's XXH3-64 of "5012", low 48 bits */
    }
}

/* An empty transaction_id would make one order of all that have none. */
static void an_order_without_id_is_its_event(void **state)
{
    static const char *const empty[] = {"", TEXT("transaction_id", ""), TEXT("transaction_id", "(not set)"),
                                        "{'key':'transaction_id','value':{'string_value':null}}"};
    char json[512];
    (void)state;
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        snprintf(json, sizeof json, ROW("purchase", VALUE("value", "1") "," TEXT("currency", "EUR") "%s%s"),
                 i > 0 ? "," : "", empty[i]);
        decodes(json);
        is_text(event.id, "purchase\x1f"
                          "c-1\x1f"
                          "1767225600123456");
        is_text(event.order_id, "purchase\x1f"
                                "c-1\x1f"
                                "1767225600123456");
    }
    decodes(REQUEST("{'name':'purchase','params':{'transaction_id':5012,'value':1,'currency':'EUR'}}"));
    is_text(event.order_id, "5012");
    decodes("{'event_name':'purchase'," WHO
            ",'ecommerce':{'transaction_id':5012,'purchase_revenue':1},'currency':'EUR'}");
    is_text(event.order_id, "5012");
}

static void refunds(void **state)
{
    (void)state;
    decodes(ROW("refund", TEXT("transaction_id", "T-1")));
    assert_int_equal(event.type, RFM_EVENT_REFUND);
    assert_false(event.has_amount);
    is_text(event.order_id, "T-1");
    is_text(event.id, "T-1");
    /* Two of one order are two events. */
    decodes(ROW("refund", TEXT("transaction_id", "T-1") "," VALUE("value", "5") "," TEXT("currency", "EUR")));
    assert_true(event.has_amount);
    assert_int_equal(event.amount_minor, 500);
    is_text(event.id, "refund\x1f"
                      "c-1\x1f"
                      "1767225600123456\x1fT-1");
    decodes("{'event_name':'refund'," WHO
            ",'ecommerce':{'transaction_id':'T-1','refund_value':5,'purchase_revenue':9}}");
    assert_int_equal(event.amount_minor, 500);
}

static void visits(void **state)
{
    static const char *const names[] = {"page_view",        "screen_view", "view_item",      "add_to_cart",
                                        "remove_from_cart", "view_cart",   "begin_checkout", "login"};
    char json[1024];
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(json, sizeof json,
                 "{'event_name':'%s'," WHO
                 ",'event_params':[" TEXT("page_location", "https://shop.example/p?gclid=1") "," TEXT(
                     "campaign", "spring") "],"
                                           "'items':[{'item_id':'s1','item_category':'shoes'},{'item_id':'s2'}]}",
                 names[i]);
        decodes(json);
        assert_int_equal(event.type, RFM_EVENT_VISIT);
        is_text(event.action, names[i]);
        is_text(event.sku, "s1");
        is_text(event.category, "shoes");
        is_text(event.page, "https://shop.example/p");
        is_text(event.campaign, "spring");
        assert_int_equal(event.id.len, strlen(names[i]) + 1 + 3 + 1 + 16);
    }
    decodes(ROW("login", TEXT("campaign", "(not set)")));
    assert_int_equal(event.campaign.len + event.sku.len + event.page.len, 0);
    decodes(REQUEST("{'name':'view_item','params':{'items':[]}}"));
    is_text(event.client_id, "p.1");
}

static void who_and_when(void **state)
{
    (void)state;
    decodes("{'event_name':'login','event_timestamp':1767225600000999,'user_id':null,'user_pseudo_id':'p.1'}");
    is_text(event.client_id, "p.1");
    assert_true(event.time_ms == MS_2026);
    decodes("{'event_name':'login','event_timestamp':1767225600000999,'user_id':'','user_pseudo_id':'p.1'}");
    is_text(event.client_id, "p.1");
    decodes("{'app_instance_id':'i','timestamp_micros':1,'events':[{'name':'login','params':{},"
            "'timestamp_micros':1767225600000000}]}");
    is_text(event.client_id, "i");
    assert_true(event.time_ms == MS_2026);
    assert_int_equal(decode_at(ROW("login", ""), MS_2026 - 600000), RFM_REASON_TIME_IN_FUTURE);
    assert_int_equal(decode_at(ROW("login", ""), MS_2026 - 599000), RFM_REASON_NONE);
}

static void what_has_nothing_for_us_is_ignored(void **state)
{
    static const char *const events[] = {
        ROW("session_start", ""),
        "{'event_name':'scroll'}",
        "{'event_name':''}",
        REQUEST("{'name':'tutorial_begin','params':7}"),
    };
    (void)state;
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        if (decode(events[i]) != RFM_REASON_IGNORED)
            fail_msg("%s: %s (%s)", events[i], rfm_reason_name(fault.reason), fault.detail);
}

#define SALE(...) ROW("purchase", TEXT("transaction_id", "T-1") "," __VA_ARGS__)
#define EUR       TEXT("currency", "EUR")
static const struct wrong wrong[] = {
    {RFM_REASON_MALFORMED, "7", "object"},
    {RFM_REASON_MISSING_FIELD, "{}", "event_name"},
    {RFM_REASON_WRONG_TYPE, "{'event_name':1}", "event_name"},
    {RFM_REASON_MISSING_FIELD, "{'event_name':'login','user_id':'u'}", "event_timestamp"},
    {RFM_REASON_MISSING_FIELD, "{'event_name':'login','event_timestamp':1767225600000000}", "user_pseudo_id"},
    {RFM_REASON_WRONG_TYPE, "{'event_name':'login','event_timestamp':1767225600000000,'user_id':5}", "user_id"},
    {RFM_REASON_BAD_VALUE, "{'event_name':'login','event_timestamp':1767225600000000,'user_pseudo_id':''}",
     "user_pseudo_id"},
    {RFM_REASON_BAD_TIME, "{'event_name':'login','user_id':'u','event_timestamp':'2026-01-01T00:00:00Z'}",
     "event_timestamp"},
    {RFM_REASON_BAD_TIME, "{'event_name':'login','user_id':'u','event_timestamp':1767225600000000.5}",
     "event_timestamp"},
    {RFM_REASON_BAD_TIME, "{'event_name':'login','user_id':'u','event_timestamp':[]}", "event_timestamp"},
    {RFM_REASON_BAD_TIME, "{'event_name':'login','user_id':'u','event_timestamp':9e99}", "event_timestamp"},
    {RFM_REASON_TIME_TOO_OLD, "{'event_name':'login','user_id':'u','event_timestamp':1767225600000}",
     "event_timestamp"},
    {RFM_REASON_TIME_TOO_OLD, "{'event_name':'login','user_id':'u','event_timestamp':-1}", "event_timestamp"},
    {RFM_REASON_WRONG_TYPE, "{'event_name':'login'," WHO ",'event_params':'x'}", "event_params"},
    {RFM_REASON_WRONG_TYPE, ROW("login", "1"), "event_params"},
    {RFM_REASON_WRONG_TYPE, "{'event_name':'login'," WHO ",'params':[]}", "params"},
    {RFM_REASON_WRONG_TYPE, "{'event_name':'login'," WHO ",'ecommerce':[]}", "ecommerce"},
    {RFM_REASON_WRONG_TYPE, "{'event_name':'login'," WHO ",'items':{}}", "items"},
    {RFM_REASON_WRONG_TYPE, "{'event_name':'login'," WHO ",'items':[1]}", "items"},
    {RFM_REASON_WRONG_TYPE, "{'event_name':'view_item'," WHO ",'items':[{'item_id':1}]}", "item_id"},
    {RFM_REASON_MISSING_FIELD, SALE(EUR), "value is missing"},
    {RFM_REASON_MISSING_FIELD, SALE(VALUE("value", "1")), "currency is missing"},
    {RFM_REASON_WRONG_TYPE, ROW("purchase", VALUE("transaction_id", "17.5")), "event_params.transaction_id"},
    {RFM_REASON_BAD_AMOUNT, SALE(EUR "," VALUE("value", "-1")), "event_params.value is negative"},
    {RFM_REASON_BAD_AMOUNT, SALE(EUR "," VALUE("value", "49.900000000000006")), "event_params.value"},
    {RFM_REASON_UNKNOWN_CURRENCY, SALE(VALUE("value", "1") "," TEXT("currency", "GBP")), "rate"},
    {RFM_REASON_WRONG_TYPE, SALE(VALUE("value", "1") "," EUR "," VALUE("items", "1")), "event_params.items"},
    {RFM_REASON_WRONG_TYPE, "{'event_name':'purchase'," WHO ",'value':1,'currency':'EUR','items':[[]]}", "items"},
    {RFM_REASON_WRONG_TYPE,
     "{'event_name':'purchase'," WHO ",'value':1,'currency':'EUR','items':[{'item_category':1}]}", "item_category"},
    {RFM_REASON_BAD_VALUE, "{'event_name':'purchase'," WHO ",'value':1,'currency':'EUR','items':[{'quantity':'x'}]}",
     "quantity"},
    {RFM_REASON_MISSING_FIELD, ROW("refund", VALUE("value", "1")), "transaction_id"},
    {RFM_REASON_WRONG_TYPE, "{'client_id':'p','events':{}}", "events"},
    {RFM_REASON_BAD_VALUE, "{'client_id':'p','events':[]}", "events has 0"},
    {RFM_REASON_BAD_VALUE, REQUEST("{'name':'login'},{'name':'login'}"), "events has 2"},
    {RFM_REASON_WRONG_TYPE, REQUEST("null"), "events"},
    {RFM_REASON_MISSING_FIELD, REQUEST("{}"), "events.name"},
    {RFM_REASON_WRONG_TYPE, REQUEST("{'name':'login','params':1}"), "events.params"},
    {RFM_REASON_MISSING_FIELD, "{'client_id':'p','events':[{'name':'login'}]}", "timestamp_micros"},
    {RFM_REASON_MISSING_FIELD, "{'timestamp_micros':1767225600000000,'events':[{'name':'login'}]}", "client_id"},
    {RFM_REASON_TOO_DEEP, ROW("login", "[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]"), "16"},
};

static void what_is_wrong_has_its_reason(void **state)
{
    (void)state;
    are_wrong(wrong, sizeof wrong / sizeof *wrong);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_purchase_of_the_export),
        cmocka_unit_test(a_purchase_of_the_measurement_protocol),
        cmocka_unit_test(parameters_in_an_object_or_beside),
        cmocka_unit_test(an_order_without_id_is_its_event),
        cmocka_unit_test(an_order_whose_number_was_taken_for_an_integer),
        cmocka_unit_test(refunds),
        cmocka_unit_test(visits),
        cmocka_unit_test(who_and_when),
        cmocka_unit_test(what_has_nothing_for_us_is_ignored),
        cmocka_unit_test(what_is_wrong_has_its_reason),
    };
    return cmocka_run_group_tests(tests, start, tear_down);
}
