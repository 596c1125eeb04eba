#include "format.h"

#define ORDER "'order_id':'o-1','amount':'129.90','currency':'USD'"
#define ENVELOPE                                                                        \
    "'specversion':'1.0','id':'1','source':'/shop','type':'com.example.shop.purchase'," \
    "'time':'2026-01-01T01:00:00+01:00','subject':'c-1'"

static int start(void **state)
{
    reading = (rfm_reading){.format = RFM_FORMAT_CLOUDEVENTS};
    return set_up(state);
}

static void with_headers(const char *const (*pairs)[2], size_t count)
{
    rfm_buffer_clear(&headers);
    for (size_t i = 0; i < count; i++)
        rfm_headers_add(&headers, pairs[i][0], pairs[i][1] ? rfm_text(pairs[i][1]) : RFM_BYTES_NONE);
}
#define WITH_HEADERS(...)                                    \
    do {                                                     \
        static const char *const pairs[][2] = {__VA_ARGS__}; \
        with_headers(pairs, sizeof pairs / sizeof *pairs);   \
    } while (0)

static int without_headers(void **state)
{
    (void)state;
    rfm_buffer_clear(&headers);
    return 0;
}

static void is_the_purchase(const char *id)
{
    assert_int_equal(event.type, RFM_EVENT_PURCHASE);
    is_text(event.id, id);
    is_text(event.client_id, "c-1");
    assert_true(event.time_ms == MS_2026);
    is_text(event.order_id, "o-1");
    assert_int_equal(event.amount_minor, 11951); /* 129.90 * 0.92 = 119.508 */
}

static void binary_mode(void **state)
{
    (void)state;
    WITH_HEADERS({"content-type", "application/json"}, {"ce_specversion", "1.0"}, {"ce_id", "1"},
                 {"ce_source", "/shop"}, {"ce_type", "com.example.shop.purchase"},
                 {"ce_time", "2026-01-01T01:00:00+01:00"}, {"ce_subject", "c-1"}, {"ce_partitionkey", "c-1"},
                 {"traceparent", NULL});
    decodes("{" ORDER "}");
    is_the_purchase("/shop\x1f"
                    "1");
}

static void what_the_data_says_counts(void **state)
{
    (void)state;
    WITH_HEADERS({"ce_specversion", "1.0"}, {"ce_id", "1"}, {"ce_source", "/shop"}, {"ce_type", "refund"},
                 {"ce_time", "2027-01-01T00:00:00Z"}, {"ce_subject", "another"});
    decodes("{'type':'purchase','id':'p-1','client_id':'c-1','time':1767225600000," ORDER "}");
    is_the_purchase("p-1");
    decodes("{'type':'purchase','id':null,'client_id':'c-1','time':1767225600000," ORDER "}");
    is_the_purchase("/shop\x1f"
                    "1");
}

static void structured_mode(void **state)
{
    (void)state;
    decodes("{" ENVELOPE ",'datacontenttype':'application/json','data':{" ORDER "}}");
    is_the_purchase("/shop\x1f"
                    "1");
    WITH_HEADERS({"Content-Type", "x"}, {"content-type", "Application/CloudEvents+JSON; charset=utf-8"},
                 {"ce_type", "refund"});
    decodes("{" ENVELOPE ",'data':{" ORDER "}}");
    is_the_purchase("/shop\x1f"
                    "1");
    decodes("{" ENVELOPE ",'data':null,'data_base64':'"
            /* {"order_id":"o-1","amount":"129.90","currency":"USD"} */
            "eyJvcmRlcl9pZCI6Im8tMSIsImFtb3VudCI6IjEyOS45MCIsImN1cnJlbmN5IjoiVVNEIn0='}");
    is_the_purchase("/shop\x1f"
                    "1");
}

static void the_attributes_may_say_all(void **state)
{
    (void)state;
    decodes("{'specversion':'1.0','id':'1','source':'/s','type':'com.example.erase','time':'2026-01-01T00:00:00Z',"
            "'subject':'c-1'}");
    assert_int_equal(event.type, RFM_EVENT_ERASE);
    is_text(event.client_id, "c-1");
    assert_true(event.time_ms == MS_2026);
}

static void base64_ends_as_it_may(void **state)
{
    (void)state;
    decodes("{" ENVELOPE ",'data_base64':'"
            /* the same and one space */
            "eyJvcmRlcl9pZCI6Im8tMSIsImFtb3VudCI6IjEyOS45MCIsImN1cnJlbmN5IjoiVVNEIn0g'}");
    is_the_purchase("/shop\x1f"
                    "1");
    decodes("{" ENVELOPE ",'data_base64':'"
            /* and two */
            "eyJvcmRlcl9pZCI6Im8tMSIsImFtb3VudCI6IjEyOS45MCIsImN1cnJlbmN5IjoiVVNEIn0gIA=='}");
    is_the_purchase("/shop\x1f"
                    "1");
}

static void the_type_is_the_last_part(void **state)
{
    static const char *const types[] = {"visit", "com.example.visit", "com.example.visit.v2", ".visit", "a..visit.v10"};
    static const char *const unknown[] = {"visits", "com.example.visit.2", "visit.v", "visit.", "visit.v1.v1", "v1",
                                          ""};
    char json[512];
    (void)state;
    const char *format = "{'specversion':'1.0','id':'1','source':'/s','type':'%s','time':'2026-01-01T00:00:00Z',"
                         "'subject':'c','data':{}}";
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        snprintf(json, sizeof json, format, types[i]);
        decodes(json);
        assert_int_equal(event.type, RFM_EVENT_VISIT);
    }
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        snprintf(json, sizeof json, format, unknown[i]);
        rfm_reason reason = decode(json);
        if (reason != RFM_REASON_UNKNOWN_TYPE && reason != RFM_REASON_BAD_VALUE)
            fail_msg("%s: %s (%s)", json, rfm_reason_name(reason), fault.detail);
    }
}

#define ID      "'id':'1',"
#define SOURCE  "'source':'/s',"
#define TYPE    "'type':'visit',"
#define TIME    "'time':'2026-01-01T00:00:00Z',"
#define SUBJECT "'subject':'c',"
#define V1      "'specversion':'1.0',"
static const struct wrong wrong[] = {
    {RFM_REASON_MALFORMED, "", "no value"},
    {RFM_REASON_MISSING_FIELD, "{'data':{}}", "specversion"},
    {RFM_REASON_BAD_VALUE, "{'specversion':'0.3','data':{}}", "specversion"},
    {RFM_REASON_WRONG_TYPE, "{'specversion':1.0,'data':{}}", "specversion"},
    {RFM_REASON_MISSING_FIELD, "{" V1 ID SOURCE TIME SUBJECT "'data':{}}", "type"},
    {RFM_REASON_MISSING_FIELD, "{" V1 SOURCE TYPE TIME SUBJECT "'data':{}}", "id"},
    {RFM_REASON_MISSING_FIELD, "{" V1 ID TYPE TIME SUBJECT "'data':{}}", "source"},
    {RFM_REASON_MISSING_FIELD, "{" V1 ID SOURCE TYPE SUBJECT "'data':{}}", "time"},
    {RFM_REASON_MISSING_FIELD, "{" V1 ID SOURCE TYPE TIME "'data':{}}", "subject"},
    {RFM_REASON_WRONG_TYPE, "{" V1 "'id':1," SOURCE TYPE TIME SUBJECT "'data':{}}", "id"},
    {RFM_REASON_BAD_TIME, "{" V1 ID SOURCE TYPE SUBJECT "'time':'today','data':{}}", "time"},
    {RFM_REASON_MISSING_FIELD, "{" V1 ID SOURCE "'type':'refund'," TIME SUBJECT "'x':1}", "order_id"},
    {RFM_REASON_WRONG_TYPE, "{" V1 ID SOURCE TYPE TIME SUBJECT "'data':'{}'}", "data"},
    {RFM_REASON_WRONG_TYPE, "{" V1 ID SOURCE TYPE TIME SUBJECT "'data_base64':{}}", "data_base64"},
    {RFM_REASON_BAD_VALUE, "{" V1 ID SOURCE TYPE TIME SUBJECT "'data_base64':'e30'}", "data_base64"},
    {RFM_REASON_BAD_VALUE, "{" V1 ID SOURCE TYPE TIME SUBJECT "'data_base64':'e3*='}", "data_base64"},
    {RFM_REASON_BAD_VALUE, "{" V1 ID SOURCE TYPE TIME SUBJECT "'data_base64':'e31='}", "data_base64"},
    {RFM_REASON_BAD_VALUE, "{" V1 ID SOURCE TYPE TIME SUBJECT "'data_base64':'===='}", "data_base64"},
    {RFM_REASON_MALFORMED, "{" V1 ID SOURCE TYPE TIME SUBJECT "'data_base64':''}", "data_base64"},
    {RFM_REASON_MALFORMED, "{" V1 ID SOURCE TYPE TIME SUBJECT "'data_base64':'W10='}", "data_base64"},
    {RFM_REASON_BAD_AMOUNT, "{" ENVELOPE ",'data':{'order_id':'o','amount':-1,'currency':'EUR'}}", "amount"},
    {RFM_REASON_TOO_DEEP, "{" ENVELOPE ",'data':{'x':[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]}}", "16"},
};

static void what_is_wrong_has_its_reason(void **state)
{
    (void)state;
    are_wrong(wrong, sizeof wrong / sizeof *wrong);
}

static void headers_that_are_wrong(void **state)
{
    (void)state;
    WITH_HEADERS({"ce_specversion", "0.3"}, {"ce_id", "1"}, {"ce_source", "/s"}, {"ce_type", "visit"});
    assert_int_equal(decode("{}"), RFM_REASON_BAD_VALUE);
    assert_string_equal(fault.detail, "ce_specversion is not 1.0");
    WITH_HEADERS({"ce_specversion", "1.0"}, {"ce_id", "1"}, {"ce_source", "/s\xff"}, {"ce_type", "visit"});
    assert_int_equal(decode("{}"), RFM_REASON_BAD_VALUE);
    assert_string_equal(fault.detail, "ce_source is not UTF-8");
    WITH_HEADERS({"ce_specversion", "1.0"}, {"ce_id", "1"}, {"ce_source", NULL}, {"ce_type", "visit"});
    assert_int_equal(decode("{}"), RFM_REASON_MISSING_FIELD);
    assert_string_equal(fault.detail, "ce_source is missing");
    WITH_HEADERS({"ce_specversion", "1.0"}, {"ce_id", "1"}, {"ce_source", "/s"}, {"ce_type", "visit"});
    assert_int_equal(decode("{}"), RFM_REASON_MISSING_FIELD);
    assert_string_equal(fault.detail, "ce_subject is missing");
    WITH_HEADERS({"ce_specversion", "1.0"}, {"ce_type", "com.example.dance"});
    assert_int_equal(decode("{}"), RFM_REASON_UNKNOWN_TYPE);
    assert_string_equal(fault.detail, "ce_type is none of the known ones");
    WITH_HEADERS({"content-type", "application/cloudevents+json"});
    assert_int_equal(decode("{}"), RFM_REASON_MISSING_FIELD);
    rfm_buffer_clear(&headers);
    rfm_write_text(&headers, "\x05"
                             "ce_ty"); /* a broken block */
    assert_int_equal(decode("{}"), RFM_REASON_MISSING_FIELD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(binary_mode, without_headers),
        cmocka_unit_test_teardown(what_the_data_says_counts, without_headers),
        cmocka_unit_test_teardown(structured_mode, without_headers),
        cmocka_unit_test(the_attributes_may_say_all),
        cmocka_unit_test(base64_ends_as_it_may),
        cmocka_unit_test(the_type_is_the_last_part),
        cmocka_unit_test(what_is_wrong_has_its_reason),
        cmocka_unit_test_teardown(headers_that_are_wrong, without_headers),
    };
    return cmocka_run_group_tests(tests, start, tear_down);
}
