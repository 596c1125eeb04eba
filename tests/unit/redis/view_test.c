/* Two pieces of code carry out a redo: the engine's view, on which replay and the simulator stand, and this adapter
 * over a real Redis. After the same changes both hold the same. */
#include "driver.h"

#include <rfm/engine/view.h>

enum { ROUNDS = 200, ITEMS_MAX = 400, KEYS = 9, LONG_LEN = 3000 };
static const char *const names[KEYS] = {"c:1", "c:2", "b:1", "names", "kpi", "due:5", "due:6", "ring:7", "task"};
typedef enum kind { NONE, STRING, HASH, LIST } kind;

static test_server server;
static test_driver world;
static uint64_t drawn = 20261127;

static uint32_t draw(uint32_t below) /* xorshift64 (Marsaglia 2003) */
{
    drawn ^= drawn << 13, drawn ^= drawn >> 7, drawn ^= drawn << 17;
    return (uint32_t)(drawn >> 32) % below;
}

static rfm_bytes draw_text(void)
{
    static char long_text[LONG_LEN];
    static const char binary[] = "b\0\r\n$5\r\n\xff";
    const rfm_bytes texts[] = {rfm_text(""),
                               rfm_text("a"),
                               rfm_text("b"),
                               rfm_text("-1"),
                               rfm_text("1"),
                               rfm_text("12"),
                               rfm_bytes_of(binary, sizeof binary - 1),
                               rfm_bytes_of(long_text, LONG_LEN)};
    return texts[draw(sizeof texts / sizeof *texts)];
}

/* Another operation that Redis takes: only SET and DEL do not mind what a key holds. */
static rfm_redo_item draw_item(kind kinds[KEYS])
{
    static const char *const counts[] = {"0", "1", "2", "5", "1000"};
    uint32_t at = draw(KEYS), what = draw(20);
    rfm_redo_item item = {.key = rfm_text(names[at]), .field = rfm_text(""), .value = rfm_text("")};
    if (kinds[at] == NONE)
        kinds[at] = (kind)(1 + draw(3));
    if (what == 0) {
        kinds[at] = NONE;
        item.op = RFM_REDO_DELETE;
    } else if (what == 1 || kinds[at] == STRING) {
        kinds[at] = STRING;
        item.op = RFM_REDO_SET;
        item.value = draw_text();
    } else if (kinds[at] == HASH) {
        item.op = what < 13 ? RFM_REDO_HASH_SET : RFM_REDO_HASH_DELETE;
        item.field = draw_text();
        item.value = what < 13 ? draw_text() : rfm_text("");
    } else {
        item.op = what < 13 ? RFM_REDO_LIST_ADD : what < 16 ? RFM_REDO_LIST_REMOVE : RFM_REDO_LIST_TRIM;
        item.value = what < 16 ? draw_text() : rfm_text(counts[draw(sizeof counts / sizeof *counts)]);
    }
    return item;
}

static void apply_to_view(rfm_view *view, const rfm_redo_item *items, size_t count)
{
    const rfm_bytes *parts;
    size_t part_count = redo_of(items, count, &world.arena, &parts);
    for (size_t i = 0; i < part_count; i++)
        assert_int_equal(rfm_view_apply(view, parts[i]), RFM_OK);
}

static bool holds(const redisReply *element, rfm_bytes text)
{
    return text.at != NULL && rfm_bytes_equal(rfm_bytes_of(element->str, element->len), text);
}

static void compare_list(const rfm_view *view, rfm_bytes key, const redisReply *reply)
{
    const rfm_bytes *values;
    rfm_effect load = {.load = {.what = RFM_LOAD_LIST, .keys = &key, .count = 1, .length = INT64_MAX}};
    assert_int_equal(rfm_view_load(view, &load, &world.arena, &values), reply->elements);
    for (size_t i = 0; i < reply->elements; i++)
        assert_true(holds(reply->element[i], values[i]));
}

static void compare_hash(const rfm_view *view, rfm_bytes key, const redisReply *reply)
{
    const rfm_bytes *values;
    rfm_effect load = {.load = {.what = RFM_LOAD_HASH, .keys = &key, .count = 1}};
    assert_int_equal(rfm_view_load(view, &load, &world.arena, &values), reply->elements);
    for (size_t i = 0; i < reply->elements; i += 2) {
        rfm_bytes field = rfm_bytes_of(reply->element[i]->str, reply->element[i]->len);
        load.load = (__typeof__(load.load)){.what = RFM_LOAD_VALUES, .keys = &key, .fields = &field, .count = 1};
        assert_int_equal(rfm_view_load(view, &load, &world.arena, &values), 1);
        assert_true(holds(reply->element[i + 1], values[0]));
    }
}

static void compare(const rfm_view *view, const char *name)
{
    char whole[256];
    rfm_bytes key = rfm_text(name);
    redisReply *type = server_ask(&server, "TYPE %s", key_of(name, whole));
    bool list = strcmp(type->str, "list") == 0, hash = strcmp(type->str, "hash") == 0;
    if (list || hash) {
        redisReply *reply = server_ask(&server, list ? "LRANGE %s 0 -1" : "HGETALL %s", whole);
        (list ? compare_list : compare_hash)(view, key, reply);
        freeReplyObject(reply);
    } else {
        redisReply *reply = server_ask(&server, "GET %s", whole);
        rfm_bytes text = rfm_view_get(view, key);
        assert_true(reply->type == REDIS_REPLY_NIL ? text.at == NULL : holds(reply, text));
        freeReplyObject(reply);
    }
    freeReplyObject(type);
}

static void any_changes_leave_the_same(void **state)
{
    (void)state;
    kind kinds[KEYS] = {NONE};
    rfm_redo_item *items = calloc(ITEMS_MAX, sizeof *items);
    rfm_view *view = rfm_view_new();
    for (int round = 0; round < ROUNDS; round++) {
        size_t count = 1 + draw(round % 2 ? ITEMS_MAX : 10);
        for (size_t i = 0; i < count; i++)
            items[i] = draw_item(kinds);
        driver_stored(&world, items, count, "7 7");
        apply_to_view(view, items, count);
        for (size_t i = 0; i < KEYS; i++)
            compare(view, names[i]);
    }
    rfm_view_free(view);
    free(items);
}

static int set_up(void **state)
{
    (void)state;
    driver_begin(&world, &server);
    driver_start(&world);
    driver_opened(&world);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    driver_end(&world, &server);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_changes_leave_the_same),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
