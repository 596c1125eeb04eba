/* One purchase in all formats is one event; and a record is told by what it is. */
#include "format.h"

#define NATIVE                                                                                                       \
    "{'type':'purchase','id':'n','client_id':'c-1','time':'2026-01-01T00:00:00Z','order_id':'o-1','amount':'49.90'," \
    "'currency':'USD','coupon':'X','items':[{'sku':'s1','category':'shoes','quantity':2,'price':'10.50'},"           \
    "{'sku':'s2','category':'hats','quantity':1,'price':28.90}]}"
#define SEGMENT                                                                                             \
    "{'type':'track','event':'Order Completed','messageId':'m','userId':'c-1','anonymousId':'a',"           \
    "'timestamp':'2026-01-01T01:00:00+01:00','properties':{'order_id':'o-1','revenue':49.90,'total':60,"    \
    "'currency':'USD','coupon':'X','products':[{'sku':'s1','category':'shoes','quantity':2,'price':10.50}," \
    "{'product_id':'s2','category':'hats','quantity':1,'price':28.90}]}}"
#define EXPORT                                                                                            \
    "{'event_name':'purchase','event_timestamp':'1767225600000000','user_id':'c-1','user_pseudo_id':'p'," \
    "'event_params':[{'key':'transaction_id','value':{'string_value':'o-1'}},"                            \
    "{'key':'value','value':{'double_value':49.9}},{'key':'currency','value':{'string_value':'USD'}},"    \
    "{'key':'coupon','value':{'string_value':'X'}}],"                                                     \
    "'items':[{'item_id':'s1','item_category':'shoes','quantity':'2','price':10.5},"                      \
    "{'item_id':'s2','item_category':'hats','quantity':'1','price':28.9}]}"
#define REQUEST                                                                                          \
    "{'client_id':'p','user_id':'c-1','timestamp_micros':1767225600000000,'events':[{'name':'purchase'," \
    "'params':{'transaction_id':'o-1','value':49.9,'currency':'USD','coupon':'X',"                       \
    "'items':[{'item_id':'s1','item_category':'shoes','quantity':2,'price':10.5},"                       \
    "{'item_id':'s2','item_category':'hats','quantity':1,'price':28.9}]}}]}"
#define DATA                                                                                 \
    "{'order_id':'o-1','amount':'49.90','currency':'USD','coupon':'X','items':[{'sku':'s1'," \
    "'category':'shoes','quantity':2,'price':'10.50'},{'sku':'s2','category':'hats','quantity':1,'price':28.90}]}"
#define STRUCTURED                                                                  \
    "{'specversion':'1.0','id':'1','source':'/shop','type':'com.example.purchase'," \
    "'time':'2026-01-01T00:00:00Z','subject':'c-1','data':" DATA "}"

static const struct {
    rfm_format format;
    const char *json;
    bool headers; /* of CloudEvents' binary mode */
} same[] = {
    {RFM_FORMAT_NATIVE, NATIVE, false},
    {RFM_FORMAT_SEGMENT, SEGMENT, false},
    {RFM_FORMAT_GA4, EXPORT, false},
    {RFM_FORMAT_GA4, REQUEST, false},
    {RFM_FORMAT_CLOUDEVENTS, STRUCTURED, false},
    {RFM_FORMAT_CLOUDEVENTS, DATA, true},
    {RFM_FORMAT_NATIVE, NATIVE, true},
};

static void binary_headers(bool there)
{
    rfm_buffer_clear(&headers);
    if (!there)
        return;
    rfm_headers_add(&headers, "ce_specversion", rfm_text("1.0"));
    rfm_headers_add(&headers, "ce_id", rfm_text("1"));
    rfm_headers_add(&headers, "ce_source", rfm_text("/shop"));
    rfm_headers_add(&headers, "ce_type", rfm_text("com.example.purchase"));
    rfm_headers_add(&headers, "ce_time", rfm_text("2026-01-01T00:00:00Z"));
    rfm_headers_add(&headers, "ce_subject", rfm_text("c-1"));
    rfm_headers_add(&headers, "content-type", rfm_text("application/json"));
}

static void is_the_purchase(void)
{
    assert_int_equal(event.type, RFM_EVENT_PURCHASE);
    is_text(event.client_id, "c-1");
    assert_true(event.time_ms == MS_2026);
    is_text(event.order_id, "o-1");
    assert_true(event.order_id48 == UINT64_C(0x86d41eec32a2)); /* xxhash's XXH3-64 of "o-1", low 48 bits */
    assert_true(event.has_amount && event.amount.digits == 499 && event.amount.scale == 1);
    assert_int_equal(event.amount_minor, 4591); /* 49.90 * 0.92 = 45.908 */
    is_text(event.currency, "USD");
    is_text(event.coupon, "X");
    is_text(event.category, "hats"); /* 28.90 > 2 * 10.50 */
    assert_int_equal(event.category_count, 2);
    is_text(event.categories[0], "shoes");
    is_text(event.categories[1], "hats");
    assert_int_equal(event.channel.len + event.cart_id.len + event.campaign.len, 0);
    assert_false(event.has_margin);
}

static void one_purchase_in_all_formats(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        binary_headers(same[i].headers);
        reading.format = same[i].format;
        decodes(same[i].json);
        is_the_purchase();
    }
}

static void each_is_told_by_what_it_is(void **state)
{
    (void)state;
    reading.format = RFM_FORMAT_AUTO;
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        binary_headers(same[i].headers);
        decodes(same[i].json);
        is_the_purchase();
    }
    binary_headers(false);
    rfm_headers_add(&headers, "content-type", rfm_text("application/cloudevents+json"));
    decodes(STRUCTURED);
    is_the_purchase();
    binary_headers(false);
}

/* Each format's own reason for what lacks something. */
static void what_is_wrong_has_its_formats_reason(void **state)
{
    static const struct wrong wrong[] = {
        {RFM_REASON_MISSING_FIELD, "{}", "type is missing"},
        {RFM_REASON_MALFORMED, "[]", "object"},
        {RFM_REASON_MISSING_FIELD, "{'type':'visit','id':'e','time':1767225600000}", "client_id is missing"},
        {RFM_REASON_MISSING_FIELD, "{'type':'visit','id':'e','client_id':null,'time':1767225600000}", "client_id"},
        {RFM_REASON_UNKNOWN_TYPE, "{'type':'dance','id':'e','client_id':'c','time':1767225600000}", "type"},
        {RFM_REASON_UNKNOWN_TYPE, "{'type':'dance'}", "type is none"},
        {RFM_REASON_WRONG_TYPE, "{'type':7}", "type is not a string"},
        {RFM_REASON_MISSING_FIELD, "{'type':'page'}", "messageId is missing"},
        {RFM_REASON_IGNORED, "{'type':'group'}", ""},
        {RFM_REASON_MISSING_FIELD, "{'event_name':'login'}", "user_pseudo_id is missing"},
        {RFM_REASON_IGNORED, "{'event_name':'scroll'}", ""},
        {RFM_REASON_BAD_VALUE, "{'client_id':'c','events':[]}", "events has 0"},
        {RFM_REASON_MISSING_FIELD, "{'specversion':'1.0','type':'purchase','id':'1'}", "source is missing"},
        {RFM_REASON_TOO_DEEP, "{'x':[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}", "16"},
    };
    (void)state;
    reading.format = RFM_FORMAT_AUTO;
    are_wrong(wrong, sizeof wrong / sizeof *wrong);
}

static void names(void **state)
{
    static const char *const formats[] = {"native", "segment", "ga4", "cloudevents", "auto"};
    (void)state;
    for (int i = 0; i < RFM_FORMAT_COUNT; i++)
        assert_string_equal(rfm_format_name((rfm_format)i), formats[i]);
    assert_string_equal(rfm_format_name(RFM_FORMAT_COUNT), "unknown");
    assert_string_equal(rfm_amount_field_name(RFM_AMOUNT_TOTAL), "total");
    assert_string_equal(rfm_amount_field_name(RFM_AMOUNT_FIELD_COUNT), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_purchase_in_all_formats),
        cmocka_unit_test(each_is_told_by_what_it_is),
        cmocka_unit_test(what_is_wrong_has_its_formats_reason),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
