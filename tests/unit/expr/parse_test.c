#include "world.h"

static void literals(void **state)
{
    static const saying sayings[] = {
        {"[0, 007, 0x10, -0xff, 9223372036854775807]", "[0,7,16,-255,9223372036854775807]"},
        {"[1.5, .5, 1e3, 1E-3, 1.5e+2, -2.5]", "[1.5,0.5,1000,0.001,150,-2.5]"},
        {"[true, false]", "[true,false]"},
        {"null", "null"},
        {"[\"a\", 'b', \"'\", '\"', \"\"]", "[\"a\",\"b\",\"'\",\"\\\"\",\"\"]"},
        {"'''a'b''c''' + \"\"\"d\"e\"\"\"", "\"a'b''cd\\\"e\""},
        {"'''two\nlines'''", "\"two\\nlines\""},
        {"r\"a\\nb\" + R'c\\'", "\"a\\\\nbc\\\\\""},
        {"'\\n\\t\\r\\\\\\'\\\"\\`\\?'", "\"\\n\\t\\r\\\\'\\\"`?\""},
        {"'\\a\\b\\f\\v' == '\\x07\\x08\\014\\013'", "true"},
        {"'\\x41\\X5a\\u00e4\\U0001F389\\101\\377'", "\"AZ\xc3\xa4\xf0\x9f\x8e\x89\x41\xc3\xbf\""},
    };
    ASSERT_SAID(*state, sayings);
}

static void precedence(void **state)
{
    static const saying sayings[] = {
        {"true || false && false", "true"},
        {"(true || false) && false", "false"},
        {"1 + 1 == 2 && 2 * 3 > 5", "true"},
        {"false ? 1 : true ? 2 : 3", "2"},
        {"!true == false", "true"},
        {"-2 * -3 - -1", "7"},
        {"3 -1", "2"},
        {"- - 2", "2"},
        {"1 < 2 == true", "true"},
        {"2 in [1] + [2]", "true"},
        {"-client.visits[0]", "-10"},
        {"client . orders // a comment\n + 1", "4"},
        {"\t\n\f 1 // the end", "1"},
    };
    ASSERT_SAID(*state, sayings);
}

static void mistakes(void **state)
{
    static const saying sayings[] = {
        {"", "1:1: the expression is empty"},
        {"  // nothing", "1:1: the expression is empty"},
        {"1 +", "1:4: a value is missing at the end"},
        {"1 + * 2", "1:5: a value is needed here, not *"},
        {"(1 + 2", "1:7: ) is missing to match the ("},
        {"(1 2)", "1:4: ) is needed here to match the (, not 2"},
        {"[1, 2", "1:6: ] is missing after what is listed"},
        {"[1 2]", "1:4: ] is needed here after what is listed, not 2"},
        {"[,]", "1:2: a value is needed here, not ,"},
        {"client.visits[1", "1:16: ] is missing to match the ["},
        {"true ? 1", "1:9: : is missing to match the ?"},
        {"1 2", "1:3: the expression ends here, and 2 follows"},
        {"1 '''a\nb'''", "1:3: the expression ends here, and '''a follows"},
        {"1 '012345678901234567890123456789012345678\xc3\xa4'",
         "1:3: the expression ends here, and '012345678901234567890123456789012345678 follows"},
        {"1 '01234567890123456789012345678901234567\xc3\xa4'",
         "1:3: the expression ends here, and '01234567890123456789012345678901234567 follows"},
        {"client.", "1:8: a name is needed after the dot"},
        {"client.1", "1:7: the expression ends here, and .1 follows"},
        {"client.in", "1:8: in is a reserved word"},
        {"for == 1", "1:1: for is a reserved word"},
        {"a = 1", "1:3: a single = is no operator: write =="},
        {"true & false", "1:6: a single & is no operator: write &&"},
        {"{\"a\": 1}", "1:1: maps cannot be written here"},
        {"1 # 2", "1:3: this character means nothing here"},
        {"\"abc", "1:1: the string has no end"},
        {"\"a\nb\"", "1:1: the string has no end"},
        {"'''abc''", "1:1: the string has no end"},
        {"\"\\q\"", "1:2: unknown escape: write \\\\ for a backslash"},
        {"\"\\x1\"", "1:4: 2 hexadecimal digits are needed here"},
        {"\"\\ud800\"", "1:4: this is no character of Unicode"},
        {"\"\\U00110000\"", "1:4: this is no character of Unicode"},
        {"\"\\08\"", "1:3: 3 octal digits are needed here"},
        {"9223372036854775808", "1:1: the number is out of int's range"},
        {"-9223372036854775809", "1:1: the number is out of int's range"},
        {"0x8000000000000000", "1:1: the number is out of int's range"},
        {"1e999", "1:1: the number is out of double's range"},
        {"1u", "1:2: there are no unsigned numbers here: leave the u out"},
        {"12ab", "1:3: a number ends here, and a letter or digit follows"},
        {"b\"abc\"", "1:1: there are no bytes here: leave the b out"},
        {"\"\xff\"", "1:1: the expression is not valid UTF-8"},
    };
    ASSERT_SAID(*state, sayings);
}

static char *repeated(const char *text, int count, const char *after)
{
    static char whole[8192];
    size_t len = strlen(text);
    whole[0] = 0;
    for (int i = 0; i < count; i++)
        memcpy(whole + (size_t)i * len, text, len + 1);
    return strcat(whole, after);
}

static void limits(void **state)
{
    test_world *world = *state;
    char text[600];
    snprintf(text, sizeof text, "%s", repeated("(", 63, "1"));
    assert_string_equal(say(world, strcat(text, repeated(")", 63, ""))), "1");
    assert_string_equal(say(world, repeated("(", 64, "1")), "1:65: more than 64 levels in each other");
    assert_string_equal(say(world, repeated("!", 80, "true")), "1:64: more than 64 levels in each other");
    assert_string_equal(say(world, repeated("1 + ", 511, "1")), "512");
    assert_string_equal(say(world, repeated("1 + ", 600, "1")),
                        "1:2049: the expression is too long: more than 1024 names, values and operators");
    assert_string_equal(say(world, repeated("client.nps > 1 || ", 200, "true")), "true");
    assert_string_equal(say(world, repeated(" ", 4096, "1")), "1:1: the expression is longer than 4096 bytes");
    snprintf(text, sizeof text, "%s", repeated("client.vip ? 1 : (", 31, "2"));
    assert_string_equal(say(world, strcat(text, repeated(")", 31, ""))), "1");
    /* An && or || keeps a failure of its left side while the right one is looked at: 64 in each other at most. */
    static char nested[4096];
    strcpy(nested, repeated("client.nps > 1 || client.nps > 1 && (", 33, "true"));
    assert_string_equal(say(world, strcat(nested, repeated(")", 33, ""))),
                        "1:1: the expression is too complex: make it two");
    strcpy(nested, repeated("client.nps > 1 || client.nps > 1 && (", 31, "true"));
    assert_string_equal(say(world, strcat(nested, repeated(")", 31, " || true"))), "true");
    assert_string_equal(say(world, repeated("client.orders == 3 && ", 100, "true")), "true");
    char *list = repeated("client.orders,", 250, "");
    memmove(list + 1, list, strlen(list) + 1);
    list[0] = '[';
    strcat(list, "][249]");
    assert_string_equal(say(world, list), "3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals),
        cmocka_unit_test(precedence),
        cmocka_unit_test(mistakes),
        cmocka_unit_test(limits),
    };
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
