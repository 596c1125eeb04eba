#include "world.h"

static void names(void **state)
{
    static const saying sayings[] = {
        {"clint.orders > 1", "1:1: no such name clint; the nearest is client"},
        {"client.order > 1", "1:8: client has no order; the nearest is orders"},
        {"client.rfm.x > 1", "1:12: client.rfm has no x; the nearest is r"},
        {"client.traits.nane == \"a\"", "1:15: client.traits has no nane; the nearest is name"},
        {"client.messages.email.snt > 1", "1:23: there is no snt in it; the nearest is sent"},
        {"client.orders.x > 1", "1:15: int has nothing that could be named .x"},
        {"client.rfm == 1", "1:8: client.rfm is a group of values: name one, such as client.rfm.r"},
        {"client", "1:1: client is a group of values: name one, such as client.nps"},
        {"orders > 1", "1:1: no such name orders; the nearest is client.orders"},
        {"sizes(client.tags) > 1", "1:1: no such function sizes(); the nearest is size()"},
        {"client.tags.exists(tag, tga == \"a\")", "1:25: no such name tga; the nearest is tag"},
        {"client.tags.exists(x, true) && x == \"a\"", "1:32: no such name x; the nearest is now"},
        {"now.year", "1:5: timestamp has nothing that could be named .year"},
    };
    ASSERT_SAID(*state, sayings);
}

static void types(void **state)
{
    static const saying sayings[] = {
        {"client.orders + 1.5", "1:15: + does not go with int and double: write double() around the int"},
        {"client.orders == \"3\"", "1:15: == does not go with int and string"},
        {"client.nps == null", "1:12: == does not go with int and null: ask has() whether there is a value"},
        {"now == null", "1:5: == does not go with timestamp and null: ask has() whether there is a value"},
        {"client.vip && client.orders", "1:22: bool beside && is needed here, this is int"},
        {"client.revenue || true", "1:8: bool beside || is needed here, this is double"},
        {"!client.orders", "1:1: ! does not go with int"},
        {"-client.traits.name", "1:1: - does not go with string"},
        {"client.orders ? 1 : 2", "1:8: bool before ? is needed here, this is int"},
        {"client.vip ? 1 : \"a\"", "1:12: the two sides of : must be of one type, these are int and string"},
        {"[1, \"a\"]", "1:5: the items of a list must be of one type, not int and string"},
        {"[1] == [1.0]", "1:5: == does not go with list(int) and list(double)"},
        {"client.messages == client.messages",
         "1:17: == does not go with map(string, a group of values) and map(string, a group of values)"},
        {"client.orders in client.tags", "1:15: in does not go with int and list(string)"},
        {"1 in 2", "1:3: in does not go with int and int"},
        {"client.tags[\"a\"]", "1:12: list(string) has no index of type string"},
        {"client.messages[0]", "1:16: map(string, a group of values) has no index of type int"},
        {"client.orders[0]", "1:14: int has no index of type int"},
        {"now < client.gap", "1:5: < does not go with timestamp and duration"},
        {"now + now", "1:5: + does not go with timestamp and timestamp"},
        {"[1] < [2]", "1:5: < does not go with list(int) and list(int)"},
        {"size(1)", "1:1: size() does not go with int: it is written size(x) of a string, a list or a map"},
        {"size()", "1:1: size() does not go with nothing: it is written size(x) of a string, a list or a map"},
        {"\"a\".contains(\"a\", \"b\")",
         "1:5: contains() does not go with string, string, string: it is written text.contains(\"a\")"},
        {"contains(\"a\", \"b\")", "1:1: contains() is written text.contains(\"a\")"},
        {"client.orders.exists(x, x > 1)", "1:8: a list is needed here, this is int"},
        {"client.tags.exists(x, x)", "1:23: bool is needed here, this is string"},
        {"client.tags.exists(x)", "1:13: exists() takes a name and a condition, as in list.exists(x, x > 1)"},
        {"has(client)", "1:1: has() takes one name with a dot, as in has(client.nps)"},
        {"has(client.nsp)", "1:12: client has no nsp; the nearest is nps"},
        {"\"a\".matches(\"b\")", "1:5: CEL's matches() is not there in rfmd"},
        {"[][0]", "1:3: an empty list has no items"},
    };
    ASSERT_SAID(*state, sayings);
}

static void texts_that_are_wrong_as_they_are_written(void **state)
{
    static const saying sayings[] = {
        {"now - client.last_purchase > duration(\"30 d\")",
         "1:39: duration() needs a text such as \"90d\", \"1h30m\" or \"-1.5s\""},
        {"duration(\"1us\")", "1:10: duration() needs a text such as \"90d\", \"1h30m\" or \"-1.5s\""},
        {"now > timestamp(\"2026-02-30T00:00:00Z\")",
         "1:17: timestamp() needs a text such as \"2026-01-31T08:00:00Z\""},
        {"int(\"1.5\")", "1:5: int() needs a text such as \"-12\""},
        {"double(\"x\")", "1:8: double() needs a text such as \"-1.5\""},
        {"now.getHours(\"Europe/Berlni\")", "1:14: no such time zone: names are as in Europe/Berlin or +02:00"},
        {"now.getHours(\"+25:00\")", "1:14: no such time zone: names are as in Europe/Berlin or +02:00"},
    };
    ASSERT_SAID(*state, sayings);
}

static void what_is_known_depends_on_the_scope(void **state)
{
    test_world *world = *state;
    static const saying purchase[] = {{"has(event.amount) || event.channel == \"email\"", "true"}};
    static const saying visit[] = {
        {"has(event.amount)", "1:11: event.amount is not there in this place"},
        {"event.channel == \"email\"", "true"},
        {"event.amonut > 1.0", "1:7: event has no amonut; the nearest is channel"},
    };
    static const saying neither[] = {{"event.channel == \"email\"", "1:1: event is not there in this place"}};
    ASSERT_SAID(world, purchase);
    world->env.scope = WORLD_VISIT;
    ASSERT_SAID(world, visit);
    world->env.scope = 0;
    ASSERT_SAID(world, neither);
    world->env.scope = WORLD_PURCHASE;
}

static void a_caret_shows_the_place(void **state)
{
    test_world *world = *state;
    say(world, "client.vip &&\n  client.oders > 2 &&\n  true");
    assert_string_equal(world->error.excerpt, "  client.oders > 2 &&\n         ^");
    assert_int_equal(world->error.line, 2);
    assert_int_equal(world->error.column, 10);
    say(world, "\"\xc3\xa4\xc3\xb6\xc3\xbc\" == 1");
    assert_string_equal(world->error.excerpt, "\"\xc3\xa4\xc3\xb6\xc3\xbc\" == 1\n      ^");
    char text[300];
    snprintf(text, sizeof text, "%0100d == client.x || true", 1);
    say(world, text);
    assert_int_equal(world->error.column, 112);
    assert_int_equal(strlen(strchr(world->error.excerpt, '\n') + 1), 41);
    memset(text, ' ', 150);
    strcpy(text + 150, "1 +");
    say(world, text);
    assert_int_equal(world->error.column, 154);
    const char *caret = strchr(world->error.excerpt, '\n');
    assert_non_null(caret);
    assert_int_equal(strlen(caret + 1), 41);
    assert_int_equal(caret - world->error.excerpt, 40);
    say(world, "client.vip\t&& 1");
    assert_string_equal(world->error.excerpt, "client.vip && 1\n              ^");
}

static void the_whole_has_the_type_that_is_wanted(void **state)
{
    test_world *world = *state;
    const rfm_expr *expr = NULL;
    assert_int_equal(
        rfm_expr_compile(&world->env, rfm_text("client.orders"), &rfm_expr_bool, &world->arena, &expr, &world->error),
        RFM_E_MALFORMED);
    assert_null(expr);
    assert_string_equal(world->error.message, "the whole must be bool, this is int");
    assert_int_equal(rfm_expr_compile(&world->env, rfm_text("client.orders > 1"), &rfm_expr_bool, &world->arena, &expr,
                                      &world->error),
                     RFM_OK);
    assert_int_equal(rfm_expr_type_of(expr)->kind, RFM_EXPR_BOOL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(types),
        cmocka_unit_test(texts_that_are_wrong_as_they_are_written),
        cmocka_unit_test(what_is_known_depends_on_the_scope),
        cmocka_unit_test(a_caret_shows_the_place),
        cmocka_unit_test(the_whole_has_the_type_that_is_wanted),
    };
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
