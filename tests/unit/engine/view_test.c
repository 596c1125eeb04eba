#include <rfm/engine/view.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static rfm_redo *redo_new(void)
{
    rfm_redo *redo = malloc(sizeof *redo);
    assert_non_null(redo);
    rfm_redo_init(redo, 0);
    rfm_redo_begin(redo, 1);
    return redo;
}

/* Ends the redo and applies all its parts. */
static size_t apply(rfm_redo *redo, rfm_view *view)
{
    const rfm_bytes *parts;
    int64_t next[RFM_INPUTS_MAX] = {-1};
    rfm_arena arena;
    rfm_arena_init(&arena);
    size_t count = rfm_redo_end(redo, -1, next, &arena, &parts);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(rfm_view_apply(view, parts[i]), RFM_OK);
    rfm_arena_release(&arena);
    rfm_redo_release(redo);
    free(redo);
    return count;
}

static void put(rfm_redo *redo, rfm_redo_op op, const char *key, const char *field, const char *value)
{
    rfm_redo_put(redo, &(rfm_redo_item){op, rfm_text(key), field ? rfm_text(field) : RFM_BYTES_NONE, rfm_text(value)});
}

static size_t load(const rfm_view *view, rfm_load_kind what, const char *key, int64_t from, const rfm_bytes **values)
{
    rfm_bytes name = rfm_text(key);
    rfm_effect effect = {.kind = RFM_OUT_LOAD,
                         .load = {.what = what, .keys = &name, .count = 1, .from = from, .length = 100}};
    return rfm_view_load(view, &effect, NULL, values);
}

static rfm_view *example(void)
{
    rfm_view *view = rfm_view_new();
    rfm_redo *redo = redo_new();
    put(redo, RFM_REDO_SET, "c:a", NULL, "first");
    put(redo, RFM_REDO_SET, "c:a", NULL, "state");
    put(redo, RFM_REDO_SET, "c:gone", NULL, "x");
    put(redo, RFM_REDO_DELETE, "c:gone", NULL, "");
    put(redo, RFM_REDO_HASH_SET, "names", "2", "email");
    put(redo, RFM_REDO_HASH_SET, "names", "1", "web");
    put(redo, RFM_REDO_LIST_ADD, "due:7", NULL, "one");
    put(redo, RFM_REDO_LIST_ADD, "due:7", NULL, "two");
    put(redo, RFM_REDO_LIST_ADD, "due:7", NULL, "three");
    put(redo, RFM_REDO_LIST_TRIM, "due:7", NULL, "1");
    apply(redo, view);
    return view;
}

static void check_example(const rfm_view *view)
{
    const rfm_bytes *values;
    assert_true(rfm_bytes_is(rfm_view_get(view, rfm_text("c:a")), "state"));
    assert_null(rfm_view_get(view, rfm_text("c:gone")).at);
    assert_int_equal(load(view, RFM_LOAD_HASH, "names", 0, &values), 4);
    assert_true(rfm_bytes_is(values[0], "1") && rfm_bytes_is(values[1], "web") && rfm_bytes_is(values[3], "email"));
    assert_int_equal(load(view, RFM_LOAD_LIST, "due:7", 0, &values), 2);
    assert_true(rfm_bytes_is(values[0], "two") && rfm_bytes_is(values[1], "three"));
}

static void a_dump_makes_the_same_keys(void **state)
{
    (void)state;
    rfm_view *view = example(), *copy = rfm_view_new();
    check_example(view);
    rfm_redo *redo = redo_new();
    rfm_view_dump(view, redo);
    apply(redo, copy);
    check_example(copy);
    rfm_view_free(view);
    rfm_view_free(copy);
}

static void a_walk_meets_strings_alone(void **state)
{
    (void)state;
    rfm_view *view = example();
    size_t cursor = 0;
    rfm_bytes key, value;
    assert_true(rfm_view_next(view, &cursor, &key, &value));
    assert_true(rfm_bytes_is(key, "c:a") && rfm_bytes_is(value, "state"));
    assert_false(rfm_view_next(view, &cursor, &key, &value));
    rfm_view_free(view);
}

static void a_large_one_takes_several_parts(void **state)
{
    (void)state;
    rfm_view *view = rfm_view_new(), *copy = rfm_view_new();
    rfm_redo *redo = redo_new();
    char text[1001] = {0}, key[16];
    memset(text, 'x', 1000);
    for (int i = 0; i < 3000; i++) {
        snprintf(key, sizeof key, "c:%d", i);
        put(redo, RFM_REDO_SET, key, NULL, text);
    }
    apply(redo, view);
    redo = redo_new();
    rfm_view_dump(view, redo);
    assert_true(apply(redo, copy) > 3);
    size_t cursor = 0, count = 0;
    rfm_bytes name, value;
    while (rfm_view_next(copy, &cursor, &name, &value))
        count += value.len == 1000;
    assert_int_equal(count, 3000);
    rfm_view_free(view);
    rfm_view_free(copy);
}

/* As Redis has it: SET replaces whatever there is, a list's or a hash's command refuses another kind. */
static void another_kind_is_refused(void **state)
{
    (void)state;
    static const struct {
        rfm_redo_op op;
        const char *field;
    } wrong[] = {{RFM_REDO_HASH_DELETE, "a"}, {RFM_REDO_HASH_SET, "a"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        rfm_view *view = rfm_view_new();
        rfm_redo *redo = redo_new();
        rfm_arena arena;
        const rfm_bytes *parts;
        const int64_t next[RFM_INPUTS_MAX] = {0};
        put(redo, RFM_REDO_LIST_ADD, "k", NULL, "a");
        put(redo, RFM_REDO_LIST_ADD, "k", NULL, "b");
        put(redo, RFM_REDO_LIST_TRIM, "k", NULL, "1");
        apply(redo, view);
        redo = redo_new();
        put(redo, wrong[i].op, "k", wrong[i].field, "x");
        rfm_arena_init(&arena);
        assert_int_equal(rfm_redo_end(redo, 0, next, &arena, &parts), 1);
        assert_int_equal(rfm_view_apply(view, parts[0]), RFM_E_CORRUPT);
        rfm_redo_release(redo);
        free(redo);
        redo = redo_new();
        put(redo, RFM_REDO_SET, "k", NULL, "state");
        apply(redo, view);
        assert_true(rfm_bytes_is(rfm_view_get(view, rfm_text("k")), "state"));
        rfm_arena_release(&arena);
        rfm_view_free(view);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dump_makes_the_same_keys),
        cmocka_unit_test(a_walk_meets_strings_alone),
        cmocka_unit_test(a_large_one_takes_several_parts),
        cmocka_unit_test(another_kind_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
