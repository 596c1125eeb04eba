#include <rfm/engine/view.h>

#include <rfm/base/hash.h>
#include <rfm/engine/keys.h>

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

static void a_walk_meets_each_client_once(void **state)
{
    (void)state;
    enum { COUNT = 30000 }; /* several in a bundle */
    rfm_view *view = example();
    rfm_redo *redo = redo_new();
    static uint8_t times[COUNT];
    char id[16], bundle[RFM_BUNDLE_KEY_MAX];
    for (int i = 0; i < COUNT; i++) {
        snprintf(id, sizeof id, "client %d", i);
        rfm_bytes key = rfm_bundle_key(rfm_bundle_of(rfm_hash64(rfm_text(id))), bundle);
        rfm_redo_put(redo, &(rfm_redo_item){RFM_REDO_HASH_SET, key, rfm_text(id), rfm_text(id + 7)});
        if (i % 3 == 0)
            rfm_redo_put(redo, &(rfm_redo_item){RFM_REDO_HASH_DELETE, key, rfm_text(id), RFM_BYTES_NONE});
    }
    apply(redo, view);
    rfm_view_cursor cursor = {0};
    rfm_bytes found, packed;
    while (rfm_view_next_client(view, &cursor, &found, &packed)) {
        snprintf(id, sizeof id, "%.*s", (int)packed.len, (const char *)packed.at);
        assert_true(found.len == packed.len + 7 && memcmp(found.at + 7, id, packed.len) == 0);
        times[atoi(id)]++;
    }
    for (int i = 0; i < COUNT; i++) {
        snprintf(id, sizeof id, "client %d", i);
        assert_int_equal(times[i], i % 3 != 0);
        packed = rfm_view_client(view, rfm_text(id));
        assert_true(i % 3 == 0 ? packed.at == NULL : rfm_bytes_is(packed, id + 7));
    }
    rfm_view_free(view);
}

static void values_of_keys_and_of_fields(void **state)
{
    (void)state;
    rfm_view *view = example();
    rfm_arena arena;
    const rfm_bytes *values;
    const rfm_bytes keys[] = {rfm_text("names"), rfm_text("c:a"), rfm_text("names"), rfm_text("c:a"), rfm_text("none")};
    const rfm_bytes fields[] = {rfm_text("2"), RFM_BYTES_NONE, rfm_text("3"), rfm_text("1"), rfm_text("1")};
    rfm_effect effect = {.kind = RFM_OUT_LOAD,
                         .load = {.what = RFM_LOAD_VALUES, .keys = keys, .fields = fields, .count = 5}};
    rfm_arena_init(&arena);
    assert_int_equal(rfm_view_load(view, &effect, &arena, &values), 5);
    assert_true(rfm_bytes_is(values[0], "email") && rfm_bytes_is(values[1], "state"));
    for (size_t i = 2; i < 5; i++)
        assert_null(values[i].at);
    rfm_arena_release(&arena);
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
    for (int i = 0; i < 3000; i++) {
        snprintf(key, sizeof key, "c:%d", i);
        assert_int_equal(rfm_view_get(copy, rfm_text(key)).len, 1000);
    }
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
        cmocka_unit_test(a_dump_makes_the_same_keys),   cmocka_unit_test(a_walk_meets_each_client_once),
        cmocka_unit_test(values_of_keys_and_of_fields), cmocka_unit_test(a_large_one_takes_several_parts),
        cmocka_unit_test(another_kind_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
