/* Ids from Python's xxhash, promo codes from its hmac. */
#include "scene.h"

#include <rfm/client/json.h>
#include <rfm/event/headers.h>
#include <rfm/rule/notes.h>

static char *value_of(scene *s, size_t i, const rfm_moment *moment, rfm_buffer *headers)
{
    static char text[4096];
    rfm_buffer value;
    rfm_buffer_init(&value, sizeof text - 1);
    rfm_buffer_clear(headers);
    rfm_trigger_encode(&s->rules, &s->conf, s->names, &s->items[i], &s->client, moment, &value, headers);
    assert_false(value.bad || headers->bad);
    memcpy(text, value.at, value.len);
    text[value.len] = 0;
    rfm_buffer_release(&value);
    return text;
}

static void expect_header(const rfm_buffer *headers, const char *name, const char *expected)
{
    rfm_bytes value;
    bool found = rfm_headers_find(rfm_buffer_view(headers), name, &value);
    assert_int_equal(found, expected != NULL);
    if (found)
        assert_true(rfm_bytes_is(value, expected));
}

static void test_an_event_causes_a_trigger(void **state)
{
    (void)state;
    scene *s = scene_new();
    rfm_rule *rule = scene_on_event(s, "thank_you", RFM_EVENT_PURCHASE);
    rule->promo.given = true;
    rule->promo.percent = 12.5;
    rule->promo.valid_ms = 14 * DAY;
    strcpy(rule->promo.prefix, "BACK");
    strcpy(rule->template_, "than\"ks");
    strcpy(rule->channel[rule->channel_count++], "email");
    scene_bind(s);
    scene_event(s, 5 * SECOND, at(purchase("e-1", 12990), 0));
    assert_int_equal(s->decisions.count, 1);
    rfm_moment moment = {.client_id = rfm_text("alice"), .moment_ms = s->now_ms, .now_ms = s->now_ms};
    rfm_buffer headers;
    rfm_buffer_init(&headers, 4096);
    uint8_t number[40] = "";
    rfm_buffer risk = rfm_buffer_over(number, sizeof number - 1);
    rfm_write_json_number(&risk, rfm_client_risk_at(&s->client, &s->conf, s->now_ms));
    char expected[2048];
    snprintf(
        expected, sizeof expected,
        "{\"id\":\"2e66ed2895726fac50cdfadbeec08a24\",\"rule\":\"thank_you\",\"class\":\"transactional\","
        "\"client_id\":\"alice\",\"time\":\"2023-11-15T00:00:05.000Z\",\"cause\":{\"type\":\"purchase\",\"id\":\"e-1\"},"
        "\"channel\":\"email\",\"template\":\"than\\\"ks\",\"variant\":null,\"promo\":{\"code\":\"BACK-SKGGTJY1FT\","
        "\"percent\":12.5,\"valid_until\":\"2023-11-29T00:00:05.000Z\"},\"data\":null,\"client\":{\"segment\":"
        "\"promising\",\"lifecycle\":\"new\",\"rfm\":{\"r\":5,\"f\":1,\"m\":3},\"churn_risk\":%s,\"orders\":1,"
        "\"revenue\":\"129.90\",\"language\":null,\"timezone\":null},\"rules_version\":\"v1\"}",
        (const char *)number);
    assert_string_equal(value_of(s, 0, &moment, &headers), expected);
    expect_header(&headers, "content-type", "application/json");
    expect_header(&headers, "ce_specversion", "1.0");
    expect_header(&headers, "ce_id", "2e66ed2895726fac50cdfadbeec08a24");
    expect_header(&headers, "ce_type", "io.rfmd.trigger.thank_you");
    expect_header(&headers, "ce_source", "rfmd/test");
    expect_header(&headers, "ce_subject", "alice");
    expect_header(&headers, "ce_time", "2023-11-15T00:00:05.000Z");
    expect_header(&headers, "ce_causationid", "e-1");
    rfm_buffer_release(&headers);
    scene_free(s);
}

static void test_a_timer_causes_one_that_is_held_back(void **state)
{
    (void)state;
    scene *s = scene_new();
    rfm_rule *rule = scene_add(s, "quiet");
    rule->on.kind = RFM_CAUSE_IDLE;
    rule->on.event = RFM_EVENT_VISIT;
    rule->on.idle_ms = 2 * DAY;
    rule->class_ = RFM_CLASS_MARKETING;
    strcpy(rule->channel[rule->channel_count++], "sms");
    scene_bind(s);
    scene_event(s, 0, visit("v"));
    scene_advance(s, START_MS + 2 * DAY + 1);
    rfm_moment moment = {.client_id = rfm_text("alice"), .moment_ms = START_MS + 2 * DAY, .now_ms = START_MS + 2 * DAY};
    rfm_buffer headers;
    rfm_buffer_init(&headers, 4096);
    assert_int_equal(s->decisions.count, 1);
    const char *value = value_of(s, 0, &moment, &headers);
    assert_non_null(strstr(value,
                           "\"class\":\"marketing\",\"client_id\":\"alice\",\"time\":\"2023-11-17T00:00:00.000Z\","
                           "\"cause\":{\"type\":\"due\",\"id\":\"1700179200000\"},\"channel\":null,\"template\":null,"
                           "\"variant\":null,\"promo\":null,\"data\":null,\"client\":{\"segment\":\"prospect\","
                           "\"lifecycle\":\"prospect\",\"rfm\":null,\"churn_risk\":null,\"orders\":0,"
                           "\"revenue\":\"0.00\",\"language\":null,\"timezone\":null},\"rules_version\":\"v1\","
                           "\"suppressed_by\":\"consent\"}"));
    expect_header(&headers, "ce_causationid", NULL);
    rfm_buffer_release(&headers);
    scene_free(s);
}

static void test_structured_mode(void **state)
{
    (void)state;
    scene *s = scene_new();
    s->rules.structured = true;
    rfm_rule *rule = scene_on_event(s, "hello", RFM_EVENT_PROFILE);
    rule->class_ = RFM_CLASS_MARKETING;
    rule->experiment = (rfm_experiment){.given = true, .salt = "winback-1", .variant_count = 1};
    rule->experiment.variant[0] = (rfm_variant){"only", RFM_BUCKETS_OF_CLIENTS};
    scene_bind(s);
    rfm_zones *zones;
    assert_int_equal(rfm_zones_load(&zones, NULL), 0);
    s->conf.zones = zones;
    scene_event(s, 0,
                (rfm_event){.type = RFM_EVENT_PROFILE,
                            .id = rfm_text("e-\"1"),
                            .language = rfm_text("pt-BR"),
                            .timezone = rfm_text("America/Sao_Paulo")});
    rfm_moment moment = {.client_id = rfm_text("alice"), .moment_ms = s->now_ms, .now_ms = s->now_ms};
    rfm_buffer headers;
    rfm_buffer_init(&headers, 4096);
    const char *value = value_of(s, 0, &moment, &headers), *rest;
    char id[33], start[512];
    rfm_hex(s->items[0].id, sizeof s->items[0].id, id);
    snprintf(start, sizeof start,
             "{\"specversion\":\"1.0\",\"id\":\"%s\",\"type\":\"io.rfmd.trigger.hello\",\"source\":\"rfmd/test\","
             "\"subject\":\"alice\",\"time\":\"2023-11-15T00:00:00.000Z\",\"causationid\":\"e-\\\"1\","
             "\"datacontenttype\":\"application/json\",\"data\":{\"id\":\"%s\",\"rule\":\"hello\"",
             id, id);
    assert_int_equal(strncmp(value, start, strlen(start)), 0);
    assert_non_null(strstr(value, "\"variant\":\"only\""));
    rest = strstr(value, "\"language\":\"pt-BR\",\"timezone\":\"America/Sao_Paulo\"},\"rules_version\":\"v1\"}}");
    assert_non_null(rest);
    assert_string_equal(strchr(rest, '}'), "},\"rules_version\":\"v1\"}}");
    expect_header(&headers, "content-type", "application/cloudevents+json; charset=UTF-8");
    expect_header(&headers, "ce_id", NULL);
    rfm_buffer_release(&headers);
    rfm_zones_free(zones);
    scene_free(s);
}

static void expect_id(const char *name, const char *client_id, rfm_event event, const char *expected)
{
    scene *s = scene_new();
    char hex[33];
    scene_on_event(s, name, event.type);
    scene_bind(s);
    rfm_moment moment = {.client_id = rfm_text(client_id),
                         .event = &event,
                         .moment_ms = START_MS,
                         .now_ms = START_MS,
                         .review_ms = START_MS + DAY};
    rfm_decide(&s->rules, s->binding, &s->conf, s->names, &s->client, &moment, &s->decisions);
    assert_int_equal(s->decisions.count, 1);
    rfm_hex(s->items[0].id, sizeof s->items[0].id, hex);
    assert_string_equal(hex, expected);
    scene_free(s);
}

static void test_ids(void **state)
{
    (void)state;
    char id[513] = "";
    memset(id, 'x', 512);
    expect_id("thank_you", "alice", at(purchase("e-1", 1), 0), "2e66ed2895726fac50cdfadbeec08a24");
    expect_id("welcome", "Zo\xc3\xab \xe2\x98\x82", at(visit(id), 0), "5db61561e595563e716dd1556f98752c");
    /* A timer's id comes from its moment, however late it is looked at. */
    scene *s = scene_new();
    char hex[33];
    rfm_rule *rule = scene_add(s, "win_back");
    rule->on.kind = RFM_CAUSE_IDLE;
    rule->on.event = RFM_EVENT_VISIT;
    rule->on.idle_ms = 1700000000000;
    scene_bind(s);
    s->client.visits = 1;
    s->client.visit_last_ms = 0;
    s->client.marks.taken = true;
    s->client.marks.lifecycle = RFM_LIFECYCLE_PROSPECT;
    rfm_decide_renew(&s->rules, s->binding, &s->conf, s->names, &s->client, rfm_text("alice"), NULL,
                     INT64_C(1600000000000), NULL);
    rfm_moment moment = {.client_id = rfm_text("client-42"),
                         .moment_ms = START_MS,
                         .now_ms = START_MS + DAY,
                         .review_ms = START_MS + DAY};
    rfm_decide(&s->rules, s->binding, &s->conf, s->names, &s->client, &moment, &s->decisions);
    assert_int_equal(s->decisions.count, 1);
    rfm_hex(s->items[0].id, sizeof s->items[0].id, hex);
    assert_string_equal(hex, "b1bf46d19647888ca75d0ff9fdf57cf0");
    scene_free(s);
}

static void expect_json(scene *s, const char *expected)
{
    rfm_buffer json;
    rfm_buffer_init(&json, 65536);
    rfm_slots_json(&json, rfm_text("alice"), &s->client, s->names);
    assert_int_equal(json.len, strlen(expected));
    assert_memory_equal(json.at, expected, json.len);
    rfm_buffer_release(&json);
}

static void test_json_of_slots(void **state)
{
    (void)state;
    scene *s = scene_new();
    scene_on_event(s, "thank_you", RFM_EVENT_PURCHASE);
    scene_on_event(s, "review", RFM_EVENT_PURCHASE)->delay_ms = 5 * DAY;
    scene_on_event(s, "ask", RFM_EVENT_PURCHASE)->delay_ms = 5 * DAY;
    scene_bind(s);
    expect_json(s, "\"due\":[],\"triggers\":[]");
    scene_event(s, 0, purchase("e-1", 100));
    expect_json(s, "\"due\":[{\"rule\":\"ask\",\"time\":\"2023-11-20T00:00:00.000Z\"},{\"rule\":\"review\",\"time\":"
                   "\"2023-11-20T00:00:00.000Z\"}],\"triggers\":[{\"id\":\"2e66ed2895726fac50cdfadbeec08a24\",\"rule\":"
                   "\"thank_you\",\"time\":\"2023-11-15T00:00:00.000Z\"}]");
    scene_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_event_causes_a_trigger),
        cmocka_unit_test(test_a_timer_causes_one_that_is_held_back),
        cmocka_unit_test(test_structured_mode),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_json_of_slots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
