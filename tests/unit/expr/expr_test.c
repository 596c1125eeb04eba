#include "world.h"

static void a_program_says_what_it_reads(void **state)
{
    test_world *world = *state;
    size_t count;
    say(world, "client.orders > 2 && has(client.rfm) && event.channel in client.tags && client.orders < 9");
    const uint16_t *reads = rfm_expr_reads(world->expr, &count);
    static const uint16_t expected[] = {WORLD_ORDERS, WORLD_TAGS, WORLD_R, WORLD_F, WORLD_CHANNEL};
    assert_int_equal(count, sizeof expected / sizeof *expected);
    assert_memory_equal(reads, expected, sizeof expected);
    say(world, "1 + 1 == 2");
    rfm_expr_reads(world->expr, &count);
    assert_int_equal(count, 0);
}

static void a_field_is_fetched_once_and_only_if_it_is_reached(void **state)
{
    test_world *world = *state;
    rfm_expr_frame_reset(&world->frame);
    memset(world->fetched, 0, sizeof world->fetched);
    assert_string_equal(say(world, "client.orders > 100 && client.revenue > 1.0"), "false");
    assert_string_equal(say(world, "client.orders + client.orders"), "6");
    assert_string_equal(say(world, "has(client.nps) || has(client.nps)"), "false");
    assert_int_equal(world->fetched[WORLD_ORDERS], 1);
    assert_int_equal(world->fetched[WORLD_REVENUE], 0);
    assert_int_equal(world->fetched[WORLD_NPS], 1);
    rfm_expr_frame_reset(&world->frame);
    say(world, "client.orders");
    assert_int_equal(world->fetched[WORLD_ORDERS], 2);
}

static void without_a_host_nothing_is_there(void **state)
{
    test_world *world = *state;
    static rfm_expr_frame frame;
    const rfm_expr_host host = {NULL, NULL};
    say(world, "client.orders > 1");
    rfm_expr_frame_init(&frame, &host, NULL);
    assert_int_equal(rfm_expr_eval(world->expr, &frame).fault, RFM_EXPR_ABSENT);
    say(world, "timestamp(0).getHours(\"Europe/Berlin\")");
    assert_int_equal(rfm_expr_eval(world->expr, &frame).fault, RFM_EXPR_NO_ZONE);
}

static void made_values_live_until_the_next_evaluation(void **state)
{
    test_world *world = *state;
    say(world, "client.traits.name + \"!\"");
    const rfm_expr *expr = world->expr;
    rfm_expr_result result = rfm_expr_eval(expr, &world->frame);
    assert_int_equal(result.fault, RFM_EXPR_OK);
    assert_true(rfm_bytes_is(result.value.text, "Zo\xc3\xab!"));
    for (int i = 0; i < 10000; i++) /* each begins with the whole room */
        assert_int_equal(rfm_expr_eval(expr, &world->frame).fault, RFM_EXPR_OK);
}

static void what_never_changes_is_computed_at_load(void **state)
{
    test_world *world = *state;
    static rfm_expr_frame frame; /* without a host: nothing is fetched */
    const rfm_expr_host host = {NULL, NULL};
    rfm_expr_frame_init(&frame, &host, NULL);
    say(world, "[\"a\" + \"b\", string(1 + 2 * 3)] + (true && 1 < 2 ? [\"c\"] : [])");
    rfm_expr_result result = rfm_expr_eval(world->expr, &frame);
    assert_int_equal(frame.made_len, 0);
    assert_int_equal(result.value.list.count, 3);
    assert_true(rfm_bytes_is(result.value.list.at[1].text, "7"));
}

static void errors_leave_the_output_alone(void **state)
{
    test_world *world = *state;
    const rfm_expr *expr = (const rfm_expr *)world;
    assert_int_equal(rfm_expr_compile(&world->env, RFM_BYTES_NONE, NULL, &world->arena, &expr, &world->error),
                     RFM_E_MALFORMED);
    assert_ptr_equal(expr, world);
    assert_string_equal(world->error.excerpt, "\n^");
}

static void every_fault_has_its_text(void **state)
{
    (void)state;
    for (int fault = 0; fault < RFM_EXPR_FAULT_COUNT; fault++)
        assert_non_null(rfm_expr_fault_text((rfm_expr_fault)fault));
}

static void json(void **state)
{
    static const saying sayings[] = {
        {"[1.5, 0.1, 1e300]", "[1.5,0.1,1e300]"},
        {"[0.0 / 0.0, 1.0 / 0.0]", "[null,null]"},
        {"\"\\\"\\\\\\n\"", "\"\\\"\\\\\\n\""},
        {"[now]", "[\"2026-03-29T01:00:00.123Z\"]"},
        {"[duration(\"1.5s\"), duration(\"0\"), duration(\"-1ms\")]", "[\"1.5s\",\"0s\",\"-0.001s\"]"},
        {"[[]]", "[[]]"},
        {"client.messages.sms", "{\"sent\":2}"},
    };
    ASSERT_SAID(*state, sayings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_says_what_it_reads),
        cmocka_unit_test(a_field_is_fetched_once_and_only_if_it_is_reached),
        cmocka_unit_test(without_a_host_nothing_is_there),
        cmocka_unit_test(made_values_live_until_the_next_evaluation),
        cmocka_unit_test(what_never_changes_is_computed_at_load),
        cmocka_unit_test(errors_leave_the_output_alone),
        cmocka_unit_test(every_fault_has_its_text),
        cmocka_unit_test(json),
    };
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
