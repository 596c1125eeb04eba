#include <rfm/client/names.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static rfm_names *names;

static int set_up(void **state)
{
    (void)state;
    names = rfm_names_new();
    return names ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    rfm_names_free(names);
    return 0;
}

static void numbers_grow_from_one_and_stay(void **state)
{
    (void)state;
    assert_int_equal(rfm_names_find(names, rfm_text("email")), 0);
    assert_int_equal(rfm_names_number(names, rfm_text("email")), 1);
    assert_int_equal(rfm_names_number(names, rfm_text("push")), 2);
    assert_int_equal(rfm_names_number(names, rfm_text("email")), 1);
    assert_int_equal(rfm_names_find(names, rfm_text("push")), 2);
    assert_int_equal(rfm_names_count(names), 2);
    assert_true(rfm_bytes_is(rfm_names_text(names, 2), "push"));
    assert_int_equal(rfm_names_text(names, 0).len, 0);
    assert_int_equal(rfm_names_text(names, 3).len, 0);
    assert_int_equal(rfm_names_text(names, UINT16_MAX).len, 0);
}

static void no_text_is_number_zero(void **state)
{
    (void)state;
    assert_int_equal(rfm_names_number(names, RFM_BYTES_NONE), 0);
    assert_int_equal(rfm_names_find(names, RFM_BYTES_NONE), 0);
    assert_int_equal(rfm_names_count(names), 0);
}

static void long_texts_are_cut_between_characters(void **state)
{
    (void)state;
    char text[80];
    memset(text, 'a', sizeof text);
    memcpy(text + 63, "\xc3\xa4", 2); /* bytes 63 and 64: the second would be the 65th */
    uint16_t number = rfm_names_number(names, rfm_bytes_of(text, sizeof text));
    assert_int_equal(rfm_names_text(names, number).len, 63);
    assert_int_equal(rfm_names_find(names, rfm_bytes_of(text, sizeof text)), number);
    assert_int_equal(rfm_names_find(names, rfm_bytes_of(text, 70)), number);
}

static void give_many(int count)
{
    for (int i = 0; i < count; i++) {
        char text[16];
        (void)rfm_names_number(names, rfm_bytes_of(text, (size_t)snprintf(text, sizeof text, "n%d", i)));
    }
}

static void what_comes_beyond_shares_other(void **state)
{
    (void)state;
    give_many(RFM_NAMES_MAX + 10);
    assert_int_equal(rfm_names_count(names), RFM_NAMES_OF_EVENTS_MAX);
    uint16_t other = rfm_names_find(names, rfm_text("other"));
    assert_int_equal(other, RFM_NAMES_OF_EVENTS_MAX);
    assert_int_equal(rfm_names_number(names, rfm_text("one more")), other);
    assert_int_equal(rfm_names_number(names, rfm_text("n7")), 8);
}

static void other_keeps_a_number_it_had(void **state)
{
    (void)state;
    assert_int_equal(rfm_names_number(names, rfm_text("other")), 1);
    give_many(RFM_NAMES_MAX + 10);
    assert_int_equal(rfm_names_count(names), RFM_NAMES_OF_EVENTS_MAX);
    assert_int_equal(rfm_names_number(names, rfm_text("one more")), 1);
    assert_true(rfm_bytes_is(rfm_names_text(names, RFM_NAMES_OF_EVENTS_MAX), "n3070"));
}

/* Events with ever new campaigns must not keep a new rule from being known. */
static void the_configuration_s_names_find_room_when_events_have_none(void **state)
{
    (void)state;
    give_many(RFM_NAMES_MAX + 10);
    uint16_t rule = rfm_names_own(names, rfm_text("win_back"));
    assert_int_equal(rule, RFM_NAMES_OF_EVENTS_MAX + 1);
    assert_true(rfm_bytes_is(rfm_names_text(names, rule), "win_back"));
    assert_int_equal(rfm_names_number(names, rfm_text("one more")), RFM_NAMES_OF_EVENTS_MAX);
    for (int i = 0; i < RFM_NAMES_MAX; i++) {
        char text[16];
        (void)rfm_names_own(names, rfm_bytes_of(text, (size_t)snprintf(text, sizeof text, "own%d", i)));
    }
    assert_int_equal(rfm_names_count(names), RFM_NAMES_MAX);
    assert_int_equal(rfm_names_own(names, rfm_text("beyond")), RFM_NAMES_OF_EVENTS_MAX); /* other */
}

static void restoring_gives_the_same_table(void **state)
{
    (void)state;
    assert_int_equal(rfm_names_restore(names, 2, rfm_text("push")), 0);
    assert_int_equal(rfm_names_restore(names, 1, rfm_text("email")), 0);
    assert_int_equal(rfm_names_restore(names, 1, rfm_text("email")), 0);
    assert_int_equal(rfm_names_restore(names, 1, rfm_text("sms")), RFM_E_CORRUPT);
    assert_int_equal(rfm_names_restore(names, 3, rfm_text("email")), RFM_E_CORRUPT);
    assert_int_equal(rfm_names_restore(names, 0, rfm_text("sms")), RFM_E_CORRUPT);
    assert_int_equal(rfm_names_restore(names, RFM_NAMES_MAX + 1, rfm_text("sms")), RFM_E_CORRUPT);
    assert_int_equal(rfm_names_restore(names, 3, RFM_BYTES_NONE), RFM_E_CORRUPT);
    assert_int_equal(rfm_names_count(names), 2);
    assert_int_equal(rfm_names_number(names, rfm_text("push")), 2);
    assert_int_equal(rfm_names_number(names, rfm_text("sms")), 3);
}

static void clearing_forgets_all(void **state)
{
    (void)state;
    give_many(100);
    rfm_names_clear(names);
    assert_int_equal(rfm_names_count(names), 0);
    assert_int_equal(rfm_names_find(names, rfm_text("n5")), 0);
    assert_int_equal(rfm_names_text(names, 5).len, 0);
    assert_int_equal(rfm_names_number(names, rfm_text("n5")), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(numbers_grow_from_one_and_stay, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_text_is_number_zero, set_up, tear_down),
        cmocka_unit_test_setup_teardown(long_texts_are_cut_between_characters, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_comes_beyond_shares_other, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_keeps_a_number_it_had, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_configuration_s_names_find_room_when_events_have_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(restoring_gives_the_same_table, set_up, tear_down),
        cmocka_unit_test_setup_teardown(clearing_forgets_all, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
