/* The examples of docs/expressions.md: each line of a block of cel is an expression, two slashes and what it comes
 * to. */
#include "world.h"

enum { LINE_MAX_BYTES = 512 };

static void check_line(test_world *world, char *line, size_t number)
{
    char *result = strstr(line, "// ");
    assert_non_null(result);
    *result = 0;
    result += 3;
    result[strcspn(result, "\n")] = 0;
    const char *said = say(world, line);
    bool failed = world->error.line == 0 && strchr(said, ':') && *said != '"';
    bool good = strcmp(result, "error") == 0 ? failed : strcmp(said, result) == 0;
    if (!good)
        print_error("docs/expressions.md:%zu: %s is %s, not %s\n", number, line, said, result);
    assert_true(good);
}

static void examples_come_to_what_the_page_says(void **state)
{
    test_world *world = *state;
    FILE *file = fopen("docs/expressions.md", "r");
    char line[LINE_MAX_BYTES];
    size_t number = 0, examples = 0;
    bool inside = false;
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        number++;
        if (strncmp(line, "```", 3) == 0) {
            inside = strcmp(line, "```cel\n") == 0;
            continue;
        }
        world->error.line = 0;
        if (inside)
            check_line(world, line, number), examples++;
    }
    fclose(file);
    assert_true(examples > 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples_come_to_what_the_page_says),
    };
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
