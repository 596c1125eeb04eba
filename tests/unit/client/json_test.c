#include <rfm/client/json.h>

#include <math.h>

#include "world.h"

static rfm_client_conf conf;
static rfm_names *names;
static rfm_client client;
static rfm_buffer json;
static uint64_t next_id;

static int set_up(void **state)
{
    (void)state;
    rfm_client_conf_defaults(&conf);
    names = rfm_names_new();
    rfm_client_init(&client);
    rfm_buffer_init(&json, 65536);
    return names ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    rfm_names_free(names);
    rfm_buffer_release(&json);
    return 0;
}

static void apply(rfm_event event)
{
    rfm_applied applied;
    assert_int_equal(rfm_client_apply(&client, &event, 0, &conf, names, &applied), RFM_APPLIED);
}

static const char *text_at(int64_t as_of_ms)
{
    rfm_error error;
    rfm_buffer_clear(&json);
    int code = rfm_client_json(&json, rfm_text("c\"1"), &client, &conf, names, NULL, as_of_ms, &error);
    assert_int_equal(code, 0);
    rfm_write_u8(&json, 0);
    return (const char *)json.at;
}

static void assert_holds(const char *text, const char *part)
{
    if (!strstr(text, part)) {
        print_error("%s\nis not in %s\n", part, text);
        fail();
    }
}

static void a_prospect_in_full(void **state)
{
    (void)state;
    assert_string_equal(
        text_at(T0),
        "{\"client_id\":\"c\\\"1\",\"as_of\":\"2026-01-01T00:00:00.000Z\",\"orders\":0,\"refunds\":0,"
        "\"revenue\":\"0.00\",\"currency\":\"EUR\",\"avg_order\":null,\"first_purchase\":null,"
        "\"last_purchase\":null,\"x\":0,\"t_x\":null,\"age\":null,\"rfm\":null,\"segment\":\"prospect\","
        "\"previous_segment\":null,\"segment_since\":null,\"lifecycle\":\"prospect\",\"p_alive\":null,"
        "\"p_active\":null,\"churn_risk\":null,\"activity_ratio\":null,\"expected_next_purchase\":null,"
        "\"expected_orders\":null,\"ltv\":{\"historic\":\"0.00\",\"predicted\":null},"
        "\"favourite_category\":null,\"favourite_categories\":[],\"preferred_channel\":null,\"visits\":0,"
        "\"last_visit\":null,\"messages\":{},\"consent\":{},\"nps\":null,\"open_complaints\":0,\"points\":0,"
        "\"traits\":{},\"timezone\":null,\"language\":null,\"source\":null");
}

static void a_buyer(void **state)
{
    (void)state;
    apply(purchase(1, 1, T0 + 1, 10000));
    apply(purchase(2, 2, T0 + 30 * RFM_DAY_MS, 2985));
    apply(purchase(3, 3, T0 + 30 * RFM_DAY_MS + 5, 10));
    apply(refund(4, 3, T0 + 31 * RFM_DAY_MS, 5));
    apply(visit(5, T0 + 32 * RFM_DAY_MS));
    const char *text = text_at(T0 + 60 * RFM_DAY_MS + 5);
    assert_holds(text,
                 "\"orders\":3,\"refunds\":1,\"revenue\":\"129.90\",\"currency\":\"EUR\",\"avg_order\":\"43.30\","
                 "\"first_purchase\":\"2026-01-01T00:00:00.001Z\",\"last_purchase\":\"2026-01-31T00:00:00.005Z\","
                 "\"x\":1,\"t_x\":30,\"age\":60,\"rfm\":{\"r\":5,\"f\":3,\"m\":3},\"segment\":\"potential_loyalist\","
                 "\"previous_segment\":null,\"segment_since\":null,\"lifecycle\":\"active\",\"p_alive\":0.");
    assert_holds(text, "\"ltv\":{\"historic\":\"129.90\",\"predicted\":null}");
    assert_holds(text, "\"visits\":1,\"last_visit\":\"2026-02-02T00:00:00.000Z\"");
    /* last + g_.5: beta = 6.1831 + 30/7/1.2, s = .52484 + 1/1.2, in weeks */
    double gap_ms = (6.1831 + 30 / 7.0 / 1.2) * (pow(2, 1 / (.52484 + 1 / 1.2)) - 1) * 7 * 86400000;
    char expected[RFM_TIME_TEXT], part[80];
    (void)rfm_time_format(client.last_ms + llround(gap_ms), expected);
    snprintf(part, sizeof part, "\"expected_next_purchase\":\"%s\"", expected);
    assert_holds(text, part);
}

/* By 2F1 (scipy): the mean of the repeat days is (29.85 + 10) / 2, the first day's 75 stand apart. */
static void a_buyer_s_predicted_value(void **state)
{
    (void)state;
    conf.model.spend = (rfm_spend){6.2497, 3.7442, 15.4432};
    apply(purchase(1, 1, T0, 10000));
    apply(purchase(2, 2, T0 + 30 * RFM_DAY_MS, 2985));
    apply(purchase(3, 3, T0 + 50 * RFM_DAY_MS, 1000));
    apply(refund(4, 1, T0 + 51 * RFM_DAY_MS, 2500));
    const char *text = text_at(T0 + 60 * RFM_DAY_MS);
    assert_holds(text, "\"expected_orders\":3.53536661891");
    assert_holds(text, "\"ltv\":{\"historic\":\"114.85\",\"predicted\":\"80.15\"}");
    conf.model.spend.p = 0;
    assert_holds(text_at(T0 + 60 * RFM_DAY_MS), "\"predicted\":null}");
}

static void the_average_is_rounded_half_even(void **state)
{
    (void)state;
    apply(purchase(1, 1, T0, 100));
    apply(purchase(2, 2, T0, 105));
    assert_holds(text_at(T0), "\"avg_order\":\"1.02\""); /* 102.5 */
    apply(refund(3, 2, T0, 4));
    assert_holds(text_at(T0), "\"avg_order\":\"1.00\""); /* 100.5 */
    apply(refund(4, 9, T0, 202));
    assert_holds(text_at(T0), "\"avg_order\":\"0.00\""); /* -0.5 */
}

static void marks_tell_since_when_if_they_still_hold(void **state)
{
    (void)state;
    apply(purchase(1, 1, T0, 100));
    client.marks.taken = true;
    client.marks.segment = rfm_names_number(names, rfm_text("new_customers"));
    client.marks.previous = rfm_names_number(names, rfm_text("lost"));
    client.marks.since_ms = T0;
    const char *text = text_at(T0);
    assert_holds(
        text,
        "\"segment\":\"new_customers\",\"previous_segment\":\"lost\",\"segment_since\":\"2026-01-01T00:00:00.000Z\"");
    client.marks.segment = client.marks.previous;
    client.marks.previous = 0;
    assert_holds(text_at(T0), "\"segment\":\"new_customers\",\"previous_segment\":\"lost\",\"segment_since\":null");
}

static void channels_come_in_the_order_of_their_texts(void **state)
{
    (void)state;
    apply(message(++next_id, "sms", RFM_STATUS_SENT, T0));
    apply(message(++next_id, "email", RFM_STATUS_SENT, T0));
    apply(message(++next_id, "email", RFM_STATUS_SENT, T0));
    apply(message(++next_id, "email", RFM_STATUS_COMPLAINED, T0));
    apply(consent(++next_id, "sms", RFM_CLASS_TRANSACTIONAL, true, T0));
    apply(consent(++next_id, "a\x01", RFM_CLASS_MARKETING, true, T0));
    const char *text = text_at(T0);
    assert_holds(
        text, "\"messages\":{\"email\":{\"sent\":2,\"complained\":1},\"sms\":{\"sent\":1}},"
              "\"consent\":{\"a\\u0001\":{\"marketing\":true},\"email\":{\"marketing\":false,\"transactional\":false},"
              "\"sms\":{\"transactional\":true}},");
}

static void the_past_is_not_kept(void **state)
{
    (void)state;
    rfm_error error;
    apply(visit(++next_id, T0));
    assert_int_equal(rfm_client_json(&json, rfm_text("c"), &client, &conf, names, NULL, T0 - 1, &error), RFM_E_RANGE);
    assert_int_equal(json.len, 0);
    apply(consent(++next_id, "sms", RFM_CLASS_MARKETING, true, T0 + 5000));
    assert_int_equal(rfm_client_json(&json, rfm_text("c"), &client, &conf, names, NULL, T0 + 4999, &error),
                     RFM_E_RANGE);
    assert_int_equal(rfm_client_json(&json, rfm_text("c"), &client, &conf, names, NULL, T0 + 5000, &error), 0);
}

static void too_little_room_is_told(void **state)
{
    (void)state;
    uint8_t room[100];
    rfm_buffer small = rfm_buffer_over(room, sizeof room);
    assert_int_equal(rfm_client_json(&small, rfm_text("c"), &client, &conf, names, NULL, T0, NULL), RFM_E_FULL);
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_prospect_in_full),
        T(a_buyer),
        T(a_buyer_s_predicted_value),
        T(the_average_is_rounded_half_even),
        T(marks_tell_since_when_if_they_still_hold),
        T(channels_come_in_the_order_of_their_texts),
        T(the_past_is_not_kept),
        T(too_little_room_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
