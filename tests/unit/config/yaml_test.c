#include "config/yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const rfm_yaml_source source = {.name = "f", .directory = ""};

typedef struct complaints {
    char text[1024];
} complaints;

static void complain(void *context, const rfm_yaml_source *from, const rfm_yaml_complaint *complaint)
{
    complaints *all = context;
    assert_ptr_equal(from, &source);
    size_t len = strlen(all->text);
    snprintf(all->text + len, sizeof all->text - len, "%u:%u: %s\n", complaint->line, complaint->column,
             complaint->message);
}

static void assert_complains(const char *text, size_t len, const char *begins)
{
    rfm_arena arena;
    complaints all = {""};
    rfm_arena_init(&arena);
    rfm_yaml_parse(&arena, &source, rfm_bytes_of(text, len), complain, &all);
    if (strncmp(all.text, begins, strlen(begins)) != 0 || !*all.text)
        fail_msg("%.60s: complained \"%s\", not \"%s\"", text, all.text, begins);
    rfm_arena_release(&arena);
}

static void assert_refused(const char *text, const char *begins)
{
    assert_complains(text, strlen(text), begins);
}

static const rfm_yaml *find(const rfm_yaml *map, const char *key)
{
    return rfm_yaml_find(map, rfm_text(key));
}

static void test_tree_with_places(void **state)
{
    (void)state;
    rfm_arena arena;
    complaints all = {""};
    rfm_arena_init(&arena);
    const char *text = "# a comment\na: 1\nb:\n  - x\n  - \"2\"\n  - {c: [], d: }\n";
    const rfm_yaml *root = rfm_yaml_parse(&arena, &source, rfm_text(text), complain, &all);
    assert_non_null(root);
    assert_int_equal(root->kind, RFM_YAML_MAP);
    assert_int_equal(root->count, 2);
    const rfm_yaml *a = find(root, "a"), *b = find(root, "b");
    assert_string_equal(a->text, "1");
    assert_true(a->plain);
    assert_int_equal(a->line, 2);
    assert_int_equal(a->column, 4);
    assert_int_equal(a->key_column, 1);
    assert_int_equal(b->kind, RFM_YAML_LIST);
    assert_int_equal(b->count, 3);
    const rfm_yaml *quoted = b->first->next, *map = quoted->next;
    assert_string_equal(quoted->text, "2");
    assert_false(quoted->plain);
    assert_int_equal(find(map, "c")->kind, RFM_YAML_LIST);
    assert_int_equal(find(map, "c")->count, 0);
    assert_true(rfm_yaml_is_null(find(map, "d")));
    assert_int_equal(find(map, "d")->key_line, 6);
    assert_int_equal(find(map, "d")->key_column, 13);
    assert_null(find(root, "c"));
    assert_null(find(b, "c"));
    rfm_arena_release(&arena);
}

static void test_empty_is_an_empty_map(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "# nothing\n", "---\n", "~\n", "null", "--- {}\n...\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        rfm_arena arena;
        complaints all = {""};
        rfm_arena_init(&arena);
        const rfm_yaml *root = rfm_yaml_parse(&arena, &source, rfm_text(texts[i]), complain, &all);
        assert_non_null(root);
        assert_int_equal(root->kind, RFM_YAML_MAP);
        assert_int_equal(root->count, 0);
        rfm_arena_release(&arena);
    }
}

static void test_what_is_refused(void **state)
{
    (void)state;
    assert_refused("a: [1\n", "2:1: not YAML: ");
    assert_refused("a: \"x\n", "2:1: not YAML: ");
    assert_refused("\ta: 1", "1:1: not YAML: ");
    assert_refused("a: *x\nb: &x 1\n", "1:4: there is no anchor of this name before");
    assert_refused("a: &x [*x]\n", "1:8: there is no anchor of this name before");
    assert_refused("*x : 1\n", "1:1: there is no anchor");
    assert_refused("a: !!str 1\n", "1:4: tags");
    assert_refused("a: !own {}\n", "1:4: tags");
    assert_refused("a: 1\n---\nb: 2\n", "2:1: a second document");
    assert_refused("[a]: 1\n", "1:1: a key must be a text");
    assert_refused("a: \"x\\0y\"\n", "1:4: a text may not hold a NUL");
    assert_refused("a: 1\nb: 2\na: 3\nb: 4\n",
                   "3:1: \"a\" is given twice, first at line 1, column 1\n4:1: \"b\" is given twice, first at line 2");
    assert_refused("a: caf\xe9\n", "1:");
    assert_complains("a: \0", 4, "1:");
}

static void test_aliases_are_copies(void **state)
{
    (void)state;
    rfm_arena arena;
    complaints all = {""};
    rfm_arena_init(&arena);
    const char *text = "a: &x {n: 1, l: [2]}\nb: *x\nc:\n  - &y 3\n  - *y\n  - *x\n";
    const rfm_yaml *root = rfm_yaml_parse(&arena, &source, rfm_text(text), complain, &all);
    assert_non_null(root);
    const rfm_yaml *a = find(root, "a"), *b = find(root, "b"), *c = find(root, "c");
    assert_int_equal(root->count, 3);
    assert_ptr_not_equal(a->first, b->first);
    assert_string_equal(find(b, "n")->text, "1");
    assert_string_equal(find(b, "l")->first->text, "2");
    assert_int_equal(b->line, 2);
    assert_int_equal(b->column, 4);
    assert_int_equal(b->key_line, 2);
    assert_int_equal(find(b, "n")->line, 1); /* what is wrong in it is wrong there */
    assert_string_equal(c->first->next->text, "3");
    assert_int_equal(c->last->count, 2);
    rfm_arena_release(&arena);
}

static void test_a_bomb_of_aliases_is_refused(void **state)
{
    (void)state;
    char text[1024] = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
    size_t len = strlen(text);
    for (int i = 1; i < 9; i++) {
        len += (size_t)snprintf(text + len, sizeof text - len, "a%d: &a%d [", i, i);
        for (int j = 0; j < 10; j++)
            len += (size_t)snprintf(text + len, sizeof text - len, "%s*a%d", j ? "," : "", i - 1);
        len += (size_t)snprintf(text + len, sizeof text - len, "]\n");
    }
    assert_refused(text, "5:"); /* 11,111 and then ten times as many */
    char deep[4096] = "a0: &a0 [x]\n";
    len = strlen(deep);
    for (int i = 1; i < 20; i++)
        len += (size_t)snprintf(deep + len, sizeof deep - len, "a%d: &a%d [*a%d]\n", i, i, i - 1);
    assert_refused(deep, "15:");
    len = 0;
    for (int i = 0; i < 257; i++)
        len += (size_t)snprintf(deep + len, sizeof deep - len, "%d: &a 1\n", i);
    assert_refused(deep, "257:6: more than 256 anchors");
}

static void test_bounds(void **state)
{
    (void)state;
    char *text = calloc(1, 1 << 20);
    memset(text, '[', 17);
    assert_refused(text, "1:17: nested too deeply");
    memset(text, '[', 500000);
    assert_refused(text, "1:17: nested too deeply");
    memset(text, 0, 1 << 20);
    size_t len = 0;
    text[len++] = '[';
    for (int i = 0; i < 100001; i++)
        text[len++] = 'x', text[len++] = ',';
    assert_refused(text, "1:200000: too many values");
    memset(text, 0, 1 << 20);
    len = 0;
    for (int i = 0; i < 1025; i++)
        len += (size_t)sprintf(text + len, "k%d: 1\n", i);
    assert_refused(text, "1025:1: more than 1024 keys");
    free(text);
}

static void test_put_merges_maps_and_replaces_all_else(void **state)
{
    (void)state;
    rfm_arena arena;
    complaints all = {""};
    rfm_arena_init(&arena);
    rfm_yaml *root = rfm_yaml_parse(&arena, &source, rfm_text("a: {x: 1, y: 2}\nl: [1, 2]\nz: 9\n"), complain, &all);
    rfm_yaml *over = rfm_yaml_parse(&arena, &source, rfm_text("{y: 3, w: {v: 4}}"), complain, &all);
    rfm_yaml_put(root, "a", over);
    rfm_yaml_put(root, "l", rfm_yaml_scalar(&arena, &source, "5"));
    rfm_yaml_put(root, "new", rfm_yaml_scalar(&arena, &source, "6"));
    assert_string_equal(find(find(root, "a"), "x")->text, "1");
    assert_string_equal(find(find(root, "a"), "y")->text, "3");
    assert_string_equal(find(find(find(root, "a"), "w"), "v")->text, "4");
    assert_string_equal(find(root, "l")->text, "5");
    assert_string_equal(find(root, "z")->text, "9");
    assert_string_equal(find(root, "new")->text, "6");
    assert_int_equal(root->count, 4);
    rfm_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tree_with_places),
        cmocka_unit_test(test_empty_is_an_empty_map),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_aliases_are_copies),
        cmocka_unit_test(test_a_bomb_of_aliases_is_refused),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_put_merges_maps_and_replaces_all_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
