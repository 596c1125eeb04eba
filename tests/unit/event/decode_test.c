#include <rfm/base/time.h>
#include <rfm/event/decode.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

static const rfm_money_conf money = {
    .base = {"EUR", 2, {1, 0}},
    .other = {{"USD", 2, {92, 2}}, {"JPY", 0, {61, 4}}},
    .other_count = 2,
};

static rfm_decoder *decoder;
static rfm_event event;
static rfm_fault fault;

static int set_up(void **state)
{
    (void)state;
    decoder = rfm_decoder_new(&money);
    return decoder ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    rfm_decoder_free(decoder);
    return 0;
}

/* Quotes are written as ' in the cases. */
static rfm_reason decode_at(const char *json, int64_t append_ms)
{
    size_t len = strlen(json);
    char *value = malloc(len + 1); /* on its own, so that a sanitizer sees a read past the end */
    for (size_t i = 0; i < len; i++)
        value[i] = json[i] == '\'' ? '"' : json[i];
    memset(&event, 0xa5, sizeof event);
    fault = (rfm_fault){0};
    rfm_reason reason = rfm_decode(decoder, rfm_bytes_of(value, len), append_ms, &event, &fault);
    assert_int_equal(fault.reason, reason);
    free(value);
    return reason;
}

static rfm_reason decode(const char *json)
{
    return decode_at(json, INT64_MAX);
}

#define HEAD "'id':'e-1','client_id':'c','time':1767225600000"

static void is_text(rfm_bytes bytes, const char *text)
{
    if (!rfm_bytes_is(bytes, text))
        fail_msg("'%.*s', expected '%s'", (int)bytes.len, (const char *)bytes.at, text);
}

static void a_purchase(void **state)
{
    (void)state;
    assert_int_equal(decode("{'type':'purchase','id':'e-1','client_id':'c-1','time':'2026-01-01T01:00:00+01:00',"
                            "'order_id':'o-1','amount':'129.90','currency':'USD','channel':'web','coupon':'X',"
                            "'cart_id':'k','campaign':'spring','margin':0.3,'items':[]}"),
                     RFM_REASON_NONE);
    assert_int_equal(event.type, RFM_EVENT_PURCHASE);
    is_text(event.id, "e-1");
    is_text(event.client_id, "c-1");
    is_text(event.order_id, "o-1");
    is_text(event.channel, "web");
    is_text(event.cart_id, "k");
    is_text(event.campaign, "spring");
    is_text(event.currency, "USD");
    assert_true(event.time_ms == INT64_C(1767225600000));
    assert_true(event.has_amount);
    assert_int_equal(event.amount_minor, 11951); /* 129.90 * 0.92 = 119.508 */
    assert_true(event.amount.digits == 1299 && event.amount.scale == 1);
    assert_true(event.id48 == UINT64_C(0x4ed56379c634)); /* xxhash's XXH3-64 of "purchase\x1fe-1", low 48 bits */
    assert_true(event.order_id48 == UINT64_C(0x86d41eec32a2));
    assert_int_equal(event.category.len + event.action.len + event.sku.len + event.trigger_id.len, 0);
    assert_false(event.permanent || event.granted);
}

static void a_refund(void **state)
{
    (void)state;
    assert_int_equal(decode("{'type':'refund'," HEAD ",'order_id':'o'}"), RFM_REASON_NONE);
    assert_false(event.has_amount);
    assert_int_equal(decode("{'type':'refund'," HEAD ",'order_id':'o','amount':5}"), RFM_REASON_NONE);
    assert_true(event.has_amount);
    assert_int_equal(event.amount_minor, 500);
    assert_int_equal(event.currency.len, 0);
    assert_int_equal(decode("{'type':'refund'," HEAD ",'order_id':'o','amount':150,'currency':'JPY'}"),
                     RFM_REASON_NONE);
    assert_int_equal(event.amount_minor, 92); /* 0.915, to the even */
    assert_int_equal(decode("{'type':'refund'," HEAD ",'order_id':'o','amount':1.505}"), RFM_REASON_NONE);
    assert_true(event.has_amount && event.amount_minor == RFM_AMOUNT_NOT_BASE); /* its order may be in dinars */
    assert_int_equal(decode("{'type':'refund'," HEAD ",'order_id':'o','amount':null,'currency':null}"),
                     RFM_REASON_NONE);
    assert_false(event.has_amount);
}

static void a_purchase_has_categories_and_more(void **state)
{
    (void)state;
    assert_int_equal(decode("{'type':'purchase'," HEAD ",'order_id':'o','amount':10,'currency':'USD','coupon':'TEN',"
                            "'margin':'3.00','items':[{'category':'b','price':1},{'category':'a','price':5},{},"
                            "{'category':''},{'category':'b'},{'category':null}]}"),
                     RFM_REASON_NONE);
    assert_int_equal(event.category_count, 2);
    is_text(event.categories[0], "b");
    is_text(event.categories[1], "a");
    is_text(event.category, "a");
    is_text(event.coupon, "TEN");
    assert_true(event.has_margin);
    assert_int_equal(event.margin_minor, 276);
    assert_int_equal(decode("{'type':'purchase'," HEAD ",'order_id':'o','amount':10,'currency':'USD','margin':-0.125}"),
                     RFM_REASON_NONE);
    assert_false(event.has_margin); /* not exact: it is only weighed */
    assert_int_equal(event.category_count, 0);
    assert_int_equal(decode("{'type':'purchase'," HEAD ",'order_id':'o','amount':10,'currency':'USD','margin':-0.5}"),
                     RFM_REASON_NONE);
    assert_int_equal(event.margin_minor, -46);
}

static void a_purchase_has_its_items(void **state)
{
    (void)state;
    assert_int_equal(
        decode("{'type':'purchase'," HEAD ",'order_id':'o','amount':10,'currency':'USD','items':["
               "{'sku':'s','category':'c','quantity':2.5,'price':'19.90','colour':'red'},{},{'price':null}]}"),
        RFM_REASON_NONE);
    assert_int_equal(event.item_count, 3);
    const rfm_event_item *item = &event.items[0];
    is_text(item->sku, "s");
    is_text(item->category, "c");
    assert_true(item->quantity.digits == 25 && item->quantity.scale == 1);
    assert_true(item->has_price && item->price.digits == 199 && item->price.scale == 1);
    for (item++; item < event.items + 3; item++) {
        assert_int_equal(item->sku.len + item->category.len, 0);
        assert_true(!item->has_price && item->quantity.digits == 1 && item->quantity.scale == 0);
    }
    assert_int_equal(decode("{'type':'purchase'," HEAD ",'order_id':'o','amount':10,'currency':'USD'}"),
                     RFM_REASON_NONE);
    assert_int_equal(event.item_count, 0);
}

static void what_only_rules_read_is_cut(void **state)
{
    char json[2048], page[1500];
    (void)state;
    for (size_t i = 0; i + 2 < sizeof page; i += 2)
        memcpy(page + i, "\xc3\xa9", 3);
    snprintf(json, sizeof json, "{'type':'visit'," HEAD ",'page':'x%s'}", page);
    assert_int_equal(decode(json), RFM_REASON_NONE);
    assert_int_equal(event.page.len, RFM_EVENT_TEXT_MAX - 1); /* not within a character */
}

static void feedback_of_each_kind(void **state)
{
    (void)state;
    assert_int_equal(decode("{'type':'feedback'," HEAD ",'kind':'nps','score':10,'case_id':'k'}"), RFM_REASON_NONE);
    assert_int_equal(event.feedback, RFM_FEEDBACK_NPS);
    assert_true(event.has_score && event.score == 10);
    is_text(event.case_id, "k");
    assert_int_equal(decode("{'type':'feedback'," HEAD ",'kind':'csat','score':4.25}"), RFM_REASON_NONE);
    assert_true(event.score == 4.25);
    assert_int_equal(decode("{'type':'feedback'," HEAD ",'kind':'complaint'}"), RFM_REASON_NONE);
    assert_false(event.has_score);
    assert_int_equal(decode("{'type':'feedback'," HEAD ",'kind':'resolved','score':null}"), RFM_REASON_NONE);
    static const struct {
        rfm_reason reason;
        const char *rest;
    } bad[] = {
        {RFM_REASON_MISSING_FIELD, "'score':1"},
        {RFM_REASON_BAD_VALUE, "'kind':'praise','score':1"},
        {RFM_REASON_MISSING_FIELD, "'kind':'nps'"},
        {RFM_REASON_MISSING_FIELD, "'kind':'review','score':null"},
        {RFM_REASON_WRONG_TYPE, "'kind':'nps','score':'9'"},
        {RFM_REASON_BAD_VALUE, "'kind':'nps','score':11"},
        {RFM_REASON_BAD_VALUE, "'kind':'nps','score':-1"},
        {RFM_REASON_BAD_VALUE, "'kind':'nps','score':9.5"},
        {RFM_REASON_BAD_VALUE, "'kind':'csat','score':100.5"},
        {RFM_REASON_BAD_VALUE, "'kind':'csat','score':1e300"},
        {RFM_REASON_WRONG_TYPE, "'kind':'nps','score':9,'case_id':7"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char json[256];
        snprintf(json, sizeof json, "{'type':'feedback'," HEAD ",%s}", bad[i].rest);
        assert_int_equal(decode(json), bad[i].reason);
    }
}

static void a_profile(void **state)
{
    (void)state;
    assert_int_equal(decode("{'type':'profile'," HEAD
                            ",'traits':{'a':'x','b':-1.50,'c':true,'d':null,'e':{'f':[1]},'g':"
                            "[]},'timezone':'Europe/Berlin','language':'de'}"),
                     RFM_REASON_NONE);
    static const rfm_value_kind kinds[] = {RFM_VALUE_TEXT, RFM_VALUE_NUMBER, RFM_VALUE_BOOL,
                                           RFM_VALUE_NULL, RFM_VALUE_OTHER,  RFM_VALUE_OTHER};
    assert_int_equal(event.trait_count, 6);
    for (size_t i = 0; i < 6; i++) {
        is_text(event.traits[i].name, (const char[]){"abcdeg"[i], 0});
        assert_int_equal(event.traits[i].kind, kinds[i]);
    }
    is_text(event.traits[0].text, "x");
    is_text(event.traits[1].text, "-1.50");
    assert_true(event.traits[2].truth);
    is_text(event.timezone, "Europe/Berlin");
    is_text(event.language, "de");
    assert_int_equal(decode("{'type':'profile'," HEAD "}"), RFM_REASON_NONE);
    assert_int_equal(event.trait_count, 0);
    assert_int_equal(decode("{'type':'profile'," HEAD ",'traits':{}}"), RFM_REASON_NONE);
    assert_int_equal(decode("{'type':'profile'," HEAD ",'traits':['a']}"), RFM_REASON_WRONG_TYPE);
    assert_int_equal(decode("{'type':'profile'," HEAD ",'timezone':1}"), RFM_REASON_WRONG_TYPE);
    char json[4096] = "{'type':'profile'," HEAD ",'traits':{'t':1";
    for (int i = 0; i < RFM_EVENT_TRAITS_MAX; i++)
        snprintf(json + strlen(json), sizeof json - strlen(json), ",'t%d':1", i);
    assert_int_equal(decode(strcat(json, "}}")), RFM_REASON_TOO_LARGE);
}

static void points_cost_and_erase(void **state)
{
    (void)state;
    assert_int_equal(decode("{'type':'points'," HEAD ",'delta':-120,'reason':'spent'}"), RFM_REASON_NONE);
    assert_int_equal(event.delta, -120);
    is_text(event.reason, "spent");
    assert_int_equal(decode("{'type':'points'," HEAD "}"), RFM_REASON_MISSING_FIELD);
    assert_int_equal(decode("{'type':'points'," HEAD ",'delta':'5'}"), RFM_REASON_WRONG_TYPE);
    assert_int_equal(decode("{'type':'points'," HEAD ",'delta':1.5}"), RFM_REASON_BAD_VALUE);
    assert_int_equal(decode("{'type':'points'," HEAD ",'delta':1000000000000001}"), RFM_REASON_BAD_VALUE);
    assert_int_equal(decode("{'type':'points'," HEAD ",'delta':99999999999999999999}"), RFM_REASON_BAD_VALUE);
    assert_int_equal(decode("{'type':'cost'," HEAD ",'amount':'100','currency':'USD','channel':'web','campaign':'m'}"),
                     RFM_REASON_NONE);
    assert_int_equal(event.amount_minor, 9200);
    is_text(event.campaign, "m");
    is_text(event.channel, "web");
    assert_int_equal(decode("{'type':'cost'," HEAD ",'amount':1}"), RFM_REASON_MISSING_FIELD);
    assert_int_equal(decode("{'type':'cost'," HEAD ",'currency':'EUR'}"), RFM_REASON_MISSING_FIELD);
    assert_int_equal(decode("{'type':'cost'," HEAD ",'amount':-1,'currency':'EUR'}"), RFM_REASON_BAD_AMOUNT);
    assert_int_equal(decode("{'type':'erase'," HEAD ",'reason':7,'traits':[]}"), RFM_REASON_NONE); /* not its fields */
    assert_int_equal(event.type, RFM_EVENT_ERASE);
}

static void a_visit(void **state)
{
    (void)state;
    assert_int_equal(decode("{'type':'visit'," HEAD ",'channel':'app','action':'view_item','page':'/x','sku':'s',"
                            "'category':'shoes','cart_id':'k','campaign':'m','amount':{},'items':7}"),
                     RFM_REASON_NONE);
    is_text(event.channel, "app");
    is_text(event.action, "view_item");
    is_text(event.sku, "s");
    is_text(event.category, "shoes");
    is_text(event.cart_id, "k");
    is_text(event.campaign, "m");
    assert_int_equal(decode("{'type':'visit'," HEAD "}"), RFM_REASON_NONE);
    assert_int_equal(event.channel.len, 0);
    assert_true(event.id48 == UINT64_C(0x38b70691b052));
}

static void a_message(void **state)
{
    (void)state;
    assert_int_equal(decode("{'type':'message'," HEAD ",'status':'bounced','channel':'email','campaign':'m',"
                            "'trigger_id':'t','class':'transactional','permanent':false}"),
                     RFM_REASON_NONE);
    assert_int_equal(event.status, RFM_STATUS_BOUNCED);
    assert_int_equal(event.class_, RFM_CLASS_TRANSACTIONAL);
    assert_false(event.permanent);
    is_text(event.trigger_id, "t");
    for (int status = 0; status < RFM_STATUS_COUNT; status++) {
        char json[200];
        snprintf(json, sizeof json, "{'type':'message'," HEAD ",'status':'%s','channel':'sms'}",
                 rfm_message_status_name((rfm_message_status)status));
        assert_int_equal(decode(json), RFM_REASON_NONE);
        assert_int_equal(event.status, status);
        assert_int_equal(event.class_, RFM_CLASS_MARKETING);
        assert_true(event.permanent);
    }
}

static void a_consent(void **state)
{
    (void)state;
    assert_int_equal(decode("{'type':'consent'," HEAD ",'channel':'email','granted':true,'source':'form'}"),
                     RFM_REASON_NONE);
    assert_true(event.granted);
    assert_int_equal(event.class_, RFM_CLASS_MARKETING);
    assert_int_equal(decode("{'type':'consent'," HEAD ",'channel':'email','granted':false,'class':'transactional'}"),
                     RFM_REASON_NONE);
    assert_false(event.granted);
    assert_int_equal(event.class_, RFM_CLASS_TRANSACTIONAL);
}

typedef struct wrong_case {
    rfm_reason reason;
    const char *json;
    const char *detail; /* a part of it */
} wrong_case;

#define PURCHASE  "{'type':'purchase'," HEAD ",'order_id':'o',"
#define MESSAGE   "{'type':'message'," HEAD ","
#define CONSENT   "{'type':'consent'," HEAD ","
#define SIXTEEN   "[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]"
#define SEVENTEEN "[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]"

static const wrong_case wrong_cases[] = {
    {RFM_REASON_MALFORMED, "", "no value"},
    {RFM_REASON_MALFORMED, "null", "object"},
    {RFM_REASON_MALFORMED, "[]", "object"},
    {RFM_REASON_MALFORMED, "'text'", "object"},
    {RFM_REASON_MALFORMED, "1", "object"},
    {RFM_REASON_MALFORMED, "{", ""},
    {RFM_REASON_MALFORMED, "{}{}", ""},
    {RFM_REASON_MALFORMED, "{'a':01}", ""},
    {RFM_REASON_MALFORMED, "{'a':NaN}", ""},
    {RFM_REASON_MALFORMED, "{'a':1,}", ""},
    {RFM_REASON_MALFORMED, "{'a':'\xff'}", ""},
    {RFM_REASON_MALFORMED, "{'a':'\xed\xa0\x80'}", ""},
    {RFM_REASON_MALFORMED, "{'a':'\\ud800'}", ""},
    {RFM_REASON_MALFORMED, "\xef\xbb\xbf{}", ""},
    {RFM_REASON_MALFORMED, "{/**/}", ""},
    {RFM_REASON_MISSING_FIELD, "{}", "type"},
    {RFM_REASON_MISSING_FIELD, "{'type':null}", "type"},
    {RFM_REASON_WRONG_TYPE, "{'type':1}", "type"},
    {RFM_REASON_BAD_VALUE, "{'type':''}", "type"},
    {RFM_REASON_UNKNOWN_TYPE, "{'type':'dance'," HEAD "}", "type"},
    {RFM_REASON_UNKNOWN_TYPE, "{'type':'Purchase'," HEAD "}", "type"},
    {RFM_REASON_MISSING_FIELD, "{'type':'visit','client_id':'c','time':1767225600000}", "id"},
    {RFM_REASON_WRONG_TYPE, "{'type':'visit','id':7,'client_id':'c','time':1767225600000}", "id"},
    {RFM_REASON_BAD_VALUE, "{'type':'visit','id':'','client_id':'c','time':1767225600000}", "id"},
    {RFM_REASON_MISSING_FIELD, "{'type':'visit','id':'e','time':1767225600000}", "client_id"},
    {RFM_REASON_BAD_VALUE, "{'type':'visit','id':'e','client_id':'','time':1767225600000}", "client_id"},
    {RFM_REASON_WRONG_TYPE, "{'type':'visit','id':'e','client_id':{},'time':1767225600000}", "client_id"},
    {RFM_REASON_MISSING_FIELD, "{'type':'visit','id':'e','client_id':'c'}", "time"},
    {RFM_REASON_MISSING_FIELD, "{'type':'visit','id':'e','client_id':'c','time':null}", "time"},
    {RFM_REASON_BAD_TIME, "{'type':'visit','id':'e','client_id':'c','time':'yesterday'}", "time"},
    {RFM_REASON_BAD_TIME, "{'type':'visit','id':'e','client_id':'c','time':'2026-01-01T00:00:00'}", "time"},
    {RFM_REASON_BAD_TIME, "{'type':'visit','id':'e','client_id':'c','time':'1767225600000'}", "time"},
    {RFM_REASON_BAD_TIME, "{'type':'visit','id':'e','client_id':'c','time':1767225600000.5}", "time"},
    {RFM_REASON_BAD_TIME, "{'type':'visit','id':'e','client_id':'c','time':1.7672256e12}", "time"},
    {RFM_REASON_BAD_TIME, "{'type':'visit','id':'e','client_id':'c','time':99999999999999999999}", "time"},
    {RFM_REASON_BAD_TIME, "{'type':'visit','id':'e','client_id':'c','time':253402300800000}", "9999"},
    {RFM_REASON_BAD_TIME, "{'type':'visit','id':'e','client_id':'c','time':true}", "time"},
    {RFM_REASON_BAD_TIME, "{'type':'visit','id':'e','client_id':'c','time':[]}", "time"},
    {RFM_REASON_TIME_TOO_OLD, "{'type':'visit','id':'e','client_id':'c','time':'1989-12-31T23:59:59.999Z'}", "1990"},
    {RFM_REASON_TIME_TOO_OLD, "{'type':'visit','id':'e','client_id':'c','time':0}", "1990"},
    {RFM_REASON_TIME_TOO_OLD, "{'type':'visit','id':'e','client_id':'c','time':-5}", "1990"},
    {RFM_REASON_MISSING_FIELD, "{'type':'purchase'," HEAD ",'amount':1,'currency':'EUR'}", "order_id"},
    {RFM_REASON_BAD_VALUE, "{'type':'purchase'," HEAD ",'order_id':'','amount':1,'currency':'EUR'}", "order_id"},
    {RFM_REASON_MISSING_FIELD, PURCHASE "'currency':'EUR'}", "amount"},
    {RFM_REASON_MISSING_FIELD, PURCHASE "'amount':null,'currency':'EUR'}", "amount"},
    {RFM_REASON_MISSING_FIELD, PURCHASE "'amount':1}", "currency"},
    {RFM_REASON_WRONG_TYPE, PURCHASE "'amount':true,'currency':'EUR'}", "amount"},
    {RFM_REASON_WRONG_TYPE, PURCHASE "'amount':1,'currency':1}", "currency"},
    {RFM_REASON_BAD_VALUE, PURCHASE "'amount':1,'currency':''}", "currency"},
    {RFM_REASON_UNKNOWN_CURRENCY, PURCHASE "'amount':1,'currency':'GBP'}", "rate"},
    {RFM_REASON_UNKNOWN_CURRENCY, PURCHASE "'amount':1,'currency':'eur'}", "rate"},
    {RFM_REASON_BAD_AMOUNT, PURCHASE "'amount':-1,'currency':'EUR'}", "negative"},
    {RFM_REASON_BAD_AMOUNT, PURCHASE "'amount':'-0.01','currency':'EUR'}", "negative"},
    {RFM_REASON_BAD_AMOUNT, PURCHASE "'amount':1.005,'currency':'EUR'}", "decimals"},
    {RFM_REASON_BAD_AMOUNT, PURCHASE "'amount':0.5,'currency':'JPY'}", "decimals"},
    {RFM_REASON_BAD_AMOUNT, PURCHASE "'amount':'','currency':'EUR'}", "amount"},
    {RFM_REASON_BAD_AMOUNT, PURCHASE "'amount':'ten','currency':'EUR'}", "amount"},
    {RFM_REASON_BAD_AMOUNT, PURCHASE "'amount':'1,5','currency':'EUR'}", "amount"},
    {RFM_REASON_BAD_AMOUNT, PURCHASE "'amount':1e18,'currency':'EUR'}", "too large"},
    {RFM_REASON_BAD_AMOUNT, PURCHASE "'amount':1e300,'currency':'EUR'}", "too large"},
    {RFM_REASON_WRONG_TYPE, PURCHASE "'amount':1,'currency':'EUR','channel':1}", "channel"},
    {RFM_REASON_WRONG_TYPE, PURCHASE "'amount':1,'currency':'EUR','cart_id':[]}", "cart_id"},
    {RFM_REASON_WRONG_TYPE, PURCHASE "'amount':1,'currency':'EUR','campaign':{}}", "campaign"},
    {RFM_REASON_WRONG_TYPE, PURCHASE "'amount':1,'currency':'EUR','coupon':false}", "coupon"},
    {RFM_REASON_WRONG_TYPE, PURCHASE "'amount':1,'currency':'EUR','margin':false}", "margin"},
    {RFM_REASON_BAD_VALUE, PURCHASE "'amount':1,'currency':'EUR','margin':'x'}", "margin"},
    {RFM_REASON_WRONG_TYPE, PURCHASE "'amount':1,'currency':'EUR','items':{}}", "items"},
    {RFM_REASON_WRONG_TYPE, PURCHASE "'amount':1,'currency':'EUR','items':'x'}", "items"},
    {RFM_REASON_WRONG_TYPE, PURCHASE "'amount':1,'currency':'EUR','items':[null]}", "item"},
    {RFM_REASON_WRONG_TYPE, PURCHASE "'amount':1,'currency':'EUR','items':[{},[]]}", "item"},
    {RFM_REASON_WRONG_TYPE, PURCHASE "'amount':1,'currency':'EUR','items':[{'sku':1}]}", "sku"},
    {RFM_REASON_WRONG_TYPE, PURCHASE "'amount':1,'currency':'EUR','items':[{'category':1}]}", "category"},
    {RFM_REASON_WRONG_TYPE, PURCHASE "'amount':1,'currency':'EUR','items':[{'quantity':'1'}]}", "quantity"},
    {RFM_REASON_WRONG_TYPE, PURCHASE "'amount':1,'currency':'EUR','items':[{'price':true}]}", "price"},
    {RFM_REASON_BAD_VALUE, PURCHASE "'amount':1,'currency':'EUR','items':[{'price':'free'}]}", "price"},
    {RFM_REASON_MISSING_FIELD, "{'type':'refund'," HEAD "}", "order_id"},
    {RFM_REASON_BAD_AMOUNT, "{'type':'refund'," HEAD ",'order_id':'o','amount':-1}", "negative"},
    {RFM_REASON_BAD_VALUE, "{'type':'refund'," HEAD ",'order_id':'o','currency':''}", "currency"},
    {RFM_REASON_UNKNOWN_CURRENCY, "{'type':'refund'," HEAD ",'order_id':'o','amount':1,'currency':'GBP'}", "rate"},
    {RFM_REASON_WRONG_TYPE, "{'type':'visit'," HEAD ",'action':1}", "action"},
    {RFM_REASON_WRONG_TYPE, "{'type':'visit'," HEAD ",'page':1}", "page"},
    {RFM_REASON_WRONG_TYPE, "{'type':'visit'," HEAD ",'sku':1}", "sku"},
    {RFM_REASON_WRONG_TYPE, "{'type':'visit'," HEAD ",'category':1}", "category"},
    {RFM_REASON_MISSING_FIELD, MESSAGE "'channel':'sms'}", "status"},
    {RFM_REASON_MISSING_FIELD, MESSAGE "'status':'sent'}", "channel"},
    {RFM_REASON_BAD_VALUE, MESSAGE "'status':'lost','channel':'sms'}", "status"},
    {RFM_REASON_BAD_VALUE, MESSAGE "'status':'sent','channel':''}", "channel"},
    {RFM_REASON_WRONG_TYPE, MESSAGE "'status':'sent','channel':'sms','trigger_id':1}", "trigger_id"},
    {RFM_REASON_WRONG_TYPE, MESSAGE "'status':'sent','channel':'sms','permanent':'no'}", "permanent"},
    {RFM_REASON_WRONG_TYPE, MESSAGE "'status':'sent','channel':'sms','class':1}", "class"},
    {RFM_REASON_BAD_VALUE, MESSAGE "'status':'sent','channel':'sms','class':'spam'}", "class"},
    {RFM_REASON_MISSING_FIELD, CONSENT "'granted':true}", "channel"},
    {RFM_REASON_MISSING_FIELD, CONSENT "'channel':'sms'}", "granted"},
    {RFM_REASON_MISSING_FIELD, CONSENT "'channel':'sms','granted':null}", "granted"},
    {RFM_REASON_WRONG_TYPE, CONSENT "'channel':'sms','granted':'yes'}", "granted"},
    {RFM_REASON_WRONG_TYPE, CONSENT "'channel':'sms','granted':1}", "granted"},
    {RFM_REASON_BAD_VALUE, CONSENT "'channel':'sms','granted':true,'class':''}", "class"},
    {RFM_REASON_WRONG_TYPE, CONSENT "'channel':'sms','granted':true,'source':1}", "source"},
    {RFM_REASON_TOO_DEEP, "{'type':'visit'," HEAD ",'x':" SEVENTEEN "}", "16"},
    {RFM_REASON_TOO_DEEP, "{'type':'visit'," HEAD ",'items':" SEVENTEEN "}", "16"},
    {RFM_REASON_TOO_DEEP, "{'x':" SEVENTEEN "}", "16"},
    {RFM_REASON_TOO_DEEP, PURCHASE "'amount':1,'currency':'EUR','items':[{'x':[" SIXTEEN "]}]}", "16"},
    {RFM_REASON_TOO_DEEP, PURCHASE "'amount':1,'currency':'EUR','items':[{'items':[" SIXTEEN "]}]}", "16"},
};

static void what_is_wrong_has_its_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrong_cases / sizeof *wrong_cases; i++) {
        rfm_reason reason = decode(wrong_cases[i].json);
        if (reason != wrong_cases[i].reason || !strstr(fault.detail, wrong_cases[i].detail))
            fail_msg("%s: %s (%s)", wrong_cases[i].json, rfm_reason_name(reason), fault.detail);
    }
}

static void a_fault_is_not_needed(void **state)
{
    (void)state;
    assert_int_equal(rfm_decode(decoder, rfm_text("{}"), INT64_MAX, &event, NULL), RFM_REASON_MISSING_FIELD);
}

static void sixteen_levels_are_allowed(void **state)
{
    (void)state;
    assert_int_equal(decode("{'type':'visit'," HEAD ",'x':" SIXTEEN ",'y':" SIXTEEN "}"), RFM_REASON_NONE);
    assert_int_equal(decode("{'type':'visit'," HEAD ",'items':" SIXTEEN "}"), RFM_REASON_NONE);
    assert_int_equal(decode(PURCHASE "'amount':1,'currency':'EUR','items':[{'x':[[[[[[[[[[[[[1]]]]]]]]]]]]]}]}"),
                     RFM_REASON_NONE);
    assert_int_equal(decode(PURCHASE "'amount':1,'currency':'EUR','items':[{'x':[[[[[[[[[[[[[[1]]]]]]]]]]]]]]}]}"),
                     RFM_REASON_TOO_DEEP);
}

/* Depths of random values against counting brackets. */
static void depth_by_counting_brackets(void **state)
{
    (void)state;
    srand(5);
    for (int round = 0; round < 3000; round++) {
        char json[2000] = "{'type':'visit'," HEAD ",'x':";
        size_t len = strlen(json), depth = 1, deepest = 1;
        for (int step = 0; step < 60; step++) {
            if (depth < 20 && rand() % 5 < 3) {
                len += (size_t)snprintf(json + len, sizeof json - len, "[1,");
                deepest = ++depth > deepest ? depth : deepest;
            } else if (depth > 2) {
                len += (size_t)snprintf(json + len, sizeof json - len, "{}],[2],");
                deepest = depth + 1 > deepest ? depth + 1 : deepest;
                depth--;
            }
        }
        len += (size_t)snprintf(json + len, sizeof json - len, "3");
        for (; depth > 1; depth--)
            len += (size_t)snprintf(json + len, sizeof json - len, "]");
        if (json[strlen("{'type':'visit'," HEAD ",'x':")] == '3')
            continue;
        snprintf(json + len, sizeof json - len, "}");
        assert_int_equal(decode(json), deepest <= RFM_EVENT_DEPTH_MAX ? RFM_REASON_NONE : RFM_REASON_TOO_DEEP);
    }
}

/* A visit with one field of `len` bytes. */
static rfm_reason decode_long(const char *field, size_t len)
{
    size_t size = len + 200;
    char *json = malloc(size);
    int before = snprintf(json, size, "{'%s':'", field);
    memset(json + before, 'x', len);
    snprintf(json + before + len, size - (size_t)before - len, "','type':'visit'," HEAD "}");
    rfm_reason reason = decode(json);
    free(json);
    return reason;
}

static void lengths_are_bounded(void **state)
{
    (void)state;
    assert_int_equal(decode_long("client_id", 128), RFM_REASON_NONE);
    assert_int_equal(decode_long("client_id", 129), RFM_REASON_TOO_LARGE);
    assert_int_equal(decode_long("id", 512), RFM_REASON_NONE);
    assert_int_equal(event.id.len, 512);
    assert_int_equal(decode_long("id", 513), RFM_REASON_TOO_LARGE);
    assert_int_equal(decode_long("channel", 513), RFM_REASON_TOO_LARGE);
    assert_int_equal(decode_long("page", 5000), RFM_REASON_NONE);
    assert_int_equal(decode_long("unknown", 100000), RFM_REASON_NONE);
    assert_int_equal(decode_long("unknown", RFM_EVENT_BYTES_MAX), RFM_REASON_TOO_LARGE);
}

static void items_are_bounded(void **state)
{
    (void)state;
    static char json[8000];
    for (int count = RFM_EVENT_ITEMS_MAX; count <= RFM_EVENT_ITEMS_MAX + 1; count++) {
        size_t len = (size_t)snprintf(json, sizeof json, PURCHASE "'amount':1,'currency':'EUR','items':[{}");
        for (int i = 1; i < count; i++)
            len += (size_t)snprintf(json + len, sizeof json - len, ",{}");
        snprintf(json + len, sizeof json - len, "]}");
        assert_int_equal(decode(json), count > RFM_EVENT_ITEMS_MAX ? RFM_REASON_TOO_LARGE : RFM_REASON_NONE);
    }
}

static void has_category(const char *items, const char *category)
{
    char json[1000];
    snprintf(json, sizeof json, PURCHASE "'amount':1,'currency':'EUR','items':[%s]}", items);
    assert_int_equal(decode(json), RFM_REASON_NONE);
    is_text(event.category, category);
}

static void category_of_the_dearest_item(void **state)
{
    (void)state;
    has_category("", "");
    has_category("{}", "");
    has_category("{'category':'a'}", "a");
    has_category("{'category':'a'},{'category':'b'}", "a");
    has_category("{'category':'a'},{'category':'b','price':1}", "b");
    has_category("{'category':'a','price':2},{'category':'b','price':'2.01'}", "b");
    has_category("{'category':'a','price':2},{'category':'b','price':2.0}", "a");
    has_category("{'category':'a','price':2,'quantity':3},{'category':'b','price':5}", "a");
    has_category("{'category':'a','price':0.1,'quantity':3},{'category':'b','price':0.3}", "a"); /* not so in doubles */
    has_category("{'category':'a','price':0.3},{'category':'b','price':0.1,'quantity':3}", "a");
    has_category("{'category':'a','price':-1},{'category':'b','price':-2}", "a");
    has_category("{'category':'a','price':-2},{'category':'b','price':-1}", "b");
    has_category("{'category':'a','price':0.000000000000000001,'quantity':0.000000000000000001},"
                 "{'category':'b','price':9000000000000000000,'quantity':9000000000000000000}",
                 "b");
    has_category("{'category':'a','price':9000000000000000000,'quantity':9000000000000000000},"
                 "{'category':'b','price':0.000000000000000001,'quantity':0.000000000000000001}",
                 "a");
    has_category("{'category':'a','price':-9000000000000000000,'quantity':9000000000000000000},"
                 "{'category':'b','price':0.000000000000000001,'quantity':0.000000000000000001}",
                 "b");
    has_category("{'category':'a','price':1},{'category':'b','price':0.00030000000000000003}", "a");
    has_category("{'category':'a','price':0.1},{'category':'b','price':0.30000000000000004,'quantity':null}", "b");
}

static void the_first_of_repeated_keys_counts(void **state)
{
    (void)state;
    assert_int_equal(decode("{'type':'visit','type':'purchase'," HEAD ",'channel':'a','channel':7}"), RFM_REASON_NONE);
    is_text(event.channel, "a");
    assert_int_equal(decode("{'type':'visit'," HEAD ",'channel':null,'channel':'b'}"), RFM_REASON_NONE);
    assert_int_equal(event.channel.len, 0);
}

static void similar_names_are_unknown_fields(void **state)
{
    (void)state;
    assert_int_equal(decode("{'type':'visit'," HEAD ",'':1,'Channel':1,'channe':1,'channel ':1,'channel\\u0000':1,"
                            "'client_ix':1,'client_idx':1,'client_i':1,'trigger_ix':1,'permanenx':1,'t':1,'typ':1}"),
                     RFM_REASON_NONE);
    is_text(event.client_id, "c");
    assert_int_equal(decode("{'':'x','type':'visit'," HEAD "}"), RFM_REASON_NONE);
    assert_int_equal(decode("{'typ\\u0065':'visit'," HEAD "}"), RFM_REASON_NONE);
}

static void escapes_are_resolved(void **state)
{
    (void)state;
    assert_int_equal(decode("{'type':'visit','id':'\\u00e4\\n\\u0000\\ud83d\\ude00','client_id':'\\/c\\\\',"
                            "'time':1767225600000}"),
                     RFM_REASON_NONE);
    assert_int_equal(event.id.len, 8);
    assert_memory_equal(event.id.at, "\xc3\xa4\n\0\xf0\x9f\x98\x80", 8);
    is_text(event.client_id, "/c\\");
}

static void times_have_bounds(void **state)
{
    (void)state;
    static const char json[] = "{'type':'visit'," HEAD "}";
    const int64_t time_ms = INT64_C(1767225600000);
    assert_int_equal(decode_at(json, time_ms), RFM_REASON_NONE);
    assert_int_equal(decode_at(json, time_ms - 600000), RFM_REASON_NONE);
    assert_int_equal(decode_at(json, time_ms - 600001), RFM_REASON_TIME_IN_FUTURE);
    assert_int_equal(decode_at(json, 0), RFM_REASON_TIME_IN_FUTURE);
    assert_int_equal(decode_at("{'type':'visit','id':'e','client_id':'c','time':'1990-01-01T00:00:00Z'}", INT64_MAX),
                     RFM_REASON_NONE);
    assert_int_equal(decode_at("{'type':'visit','id':'e','client_id':'c','time':253402300799999}", INT64_MAX),
                     RFM_REASON_NONE);
    assert_int_equal(decode_at("{'type':'visit','id':'e','client_id':'c','time':1767225600000000}", time_ms),
                     RFM_REASON_TIME_IN_FUTURE);
    /* Of a record without a timestamp, which Kafka gives as -1. */
    assert_int_equal(decode_at("{'type':'visit','id':'e','client_id':'c','time':9223372036854775807}", -1),
                     RFM_REASON_TIME_IN_FUTURE);
}

static void amounts_are_exact(void **state)
{
    (void)state;
    static const struct {
        const char *amount, *currency;
        int64_t minor;
    } cases[] = {
        {"0", "EUR", 0},
        {"-0", "EUR", 0},
        {"'0.00'", "EUR", 0},
        {"129.9", "EUR", 12990},
        {"129.900000000000000000000000", "EUR", 12990},
        {"1.299e2", "EUR", 12990},
        {"0.29", "EUR", 29},
        {"92233720368547758.07", "EUR", INT64_MAX},
        {"'10'", "USD", 920},
        {"0.01", "USD", 1},
        {"50", "JPY", 30}, /* 0.305, to the even */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char json[300];
        snprintf(json, sizeof json, PURCHASE "'amount':%s,'currency':'%s'}", cases[i].amount, cases[i].currency);
        assert_int_equal(decode(json), RFM_REASON_NONE);
        assert_true(event.amount_minor == cases[i].minor);
    }
}

/* Events of one batch stay readable until the reset, whatever was decoded after them. */
static void events_live_until_the_reset(void **state)
{
    (void)state;
    enum { EVENTS = 3000 };
    static rfm_event events[EVENTS];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < EVENTS; i++) {
            char json[200];
            snprintf(json, sizeof json, "{'type':'visit','id':'id-%d','client_id':'c\\u0041%d','time':1767225600000}",
                     i, i);
            assert_int_equal(decode(json), RFM_REASON_NONE);
            events[i] = event;
            (void)decode("{'type':'visit',[]");
        }
        for (int i = 0; i < EVENTS; i++) {
            char text[40];
            snprintf(text, sizeof text, "id-%d", i);
            is_text(events[i].id, text);
            snprintf(text, sizeof text, "cA%d", i);
            is_text(events[i].client_id, text);
        }
        rfm_decoder_reset(decoder);
    }
}

static void names_and_texts(void **state)
{
    (void)state;
    assert_string_equal(rfm_reason_name(RFM_REASON_NONE), "none");
    assert_string_equal(rfm_reason_name(RFM_REASON_TIME_TOO_OLD), "time_too_old");
    assert_string_equal(rfm_reason_name(RFM_REASON_STATE_FULL), "state_full");
    assert_string_equal(rfm_reason_name(RFM_REASON_COUNT), "unknown");
    assert_non_null(strstr(rfm_reason_text(RFM_REASON_TIME_TOO_OLD), "1990"));
    assert_string_equal(rfm_event_type_name(RFM_EVENT_REFUND), "refund");
    assert_string_equal(rfm_message_status_name(RFM_STATUS_UNSUBSCRIBED), "unsubscribed");
    assert_string_equal(rfm_class_name(RFM_CLASS_TRANSACTIONAL), "transactional");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_purchase),
        cmocka_unit_test(a_refund),
        cmocka_unit_test(a_purchase_has_categories_and_more),
        cmocka_unit_test(a_purchase_has_its_items),
        cmocka_unit_test(what_only_rules_read_is_cut),
        cmocka_unit_test(feedback_of_each_kind),
        cmocka_unit_test(a_profile),
        cmocka_unit_test(points_cost_and_erase),
        cmocka_unit_test(a_visit),
        cmocka_unit_test(a_message),
        cmocka_unit_test(a_consent),
        cmocka_unit_test(what_is_wrong_has_its_reason),
        cmocka_unit_test(a_fault_is_not_needed),
        cmocka_unit_test(sixteen_levels_are_allowed),
        cmocka_unit_test(depth_by_counting_brackets),
        cmocka_unit_test(lengths_are_bounded),
        cmocka_unit_test(items_are_bounded),
        cmocka_unit_test(category_of_the_dearest_item),
        cmocka_unit_test(the_first_of_repeated_keys_counts),
        cmocka_unit_test(similar_names_are_unknown_fields),
        cmocka_unit_test(escapes_are_resolved),
        cmocka_unit_test(times_have_bounds),
        cmocka_unit_test(amounts_are_exact),
        cmocka_unit_test(events_live_until_the_reset),
        cmocka_unit_test(names_and_texts),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
