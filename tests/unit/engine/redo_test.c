/* What is written is read back, whatever the sizes of the parts; what is damaged is refused or read, never more. */
#include <rfm/engine/redo.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ITEMS = 200 };

static uint64_t seed = 1;

static uint64_t below(uint64_t limit)
{
    seed += 0x9e3779b97f4a7c15u; /* splitmix64 */
    uint64_t z = seed;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (z ^ z >> 31) % limit;
}

static rfm_bytes random_bytes(rfm_arena *arena, size_t len_min, size_t len_max)
{
    size_t len = len_min + below(len_max - len_min + 1);
    uint8_t *at = rfm_arena_take(arena, len + 1);
    for (size_t i = 0; i < len; i++)
        at[i] = (uint8_t)below(256);
    return rfm_bytes_of(at, len);
}

static bool has_field(rfm_redo_op op)
{
    return op == RFM_REDO_HASH_SET || op == RFM_REDO_HASH_DELETE;
}

static rfm_redo_item random_item(rfm_arena *arena)
{
    rfm_redo_item item = {.op = (rfm_redo_op)(1 + below(6)), .key = random_bytes(arena, 1, 40)};
    if (has_field(item.op))
        item.field = random_bytes(arena, 0, 20);
    if (item.op != RFM_REDO_DELETE && item.op != RFM_REDO_HASH_DELETE)
        item.value = random_bytes(arena, 0, 500);
    return item;
}

static size_t write_items(const rfm_redo_item *items, size_t count, size_t part_bytes_max, rfm_arena *arena,
                          const rfm_bytes **parts)
{
    static const int64_t next[2] = {17, INT64_MAX};
    rfm_redo *redo = malloc(sizeof *redo);
    assert_non_null(redo);
    rfm_redo_init(redo, part_bytes_max);
    rfm_redo_begin(redo, 2);
    for (size_t i = 0; i < count; i++)
        rfm_redo_put(redo, &items[i]);
    size_t part_count = rfm_redo_end(redo, 41, next, arena, parts);
    rfm_redo_release(redo);
    free(redo);
    return part_count;
}

static void check_header(const rfm_redo_header *header, size_t part, size_t parts)
{
    assert_int_equal(header->part, part + 1);
    assert_int_equal(header->parts, parts);
    assert_int_equal(header->before, 41);
    assert_int_equal(header->input_count, 2);
    assert_int_equal(header->next[0], 17);
    assert_true(header->next[1] == INT64_MAX);
    assert_true(header->next[2] == RFM_OFFSET_NONE);
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    static const size_t part_bytes_max[] = {1, 300, 1000, 0};
    rfm_arena arena;
    rfm_arena_init(&arena);
    rfm_redo_item items[ITEMS], item;
    for (size_t k = 0; k < sizeof part_bytes_max / sizeof *part_bytes_max; k++) {
        const rfm_bytes *parts;
        for (size_t i = 0; i < ITEMS; i++)
            items[i] = random_item(&arena);
        size_t count = write_items(items, ITEMS, part_bytes_max[k], &arena, &parts), at = 0;
        assert_int_equal(count == 1, part_bytes_max[k] == 0);
        for (size_t i = 0; i < count; i++) {
            rfm_redo_header header;
            rfm_bytes rest;
            assert_int_equal(rfm_redo_open(parts[i], &header, &rest), RFM_OK);
            check_header(&header, i, count);
            for (; rfm_redo_next(&rest, &item); at++) {
                assert_int_equal(item.op, items[at].op);
                assert_true(rfm_bytes_equal(item.key, items[at].key) && rfm_bytes_equal(item.field, items[at].field) &&
                            rfm_bytes_equal(item.value, items[at].value));
            }
            assert_int_equal(rest.len, 0);
        }
        assert_int_equal(at, ITEMS);
    }
    rfm_arena_release(&arena);
}

static void a_record_without_operations_has_one_part(void **state)
{
    (void)state;
    rfm_arena arena;
    const rfm_bytes *parts;
    rfm_redo_header header;
    rfm_redo_item item;
    rfm_bytes rest;
    rfm_arena_init(&arena);
    assert_int_equal(write_items(NULL, 0, 0, &arena, &parts), 1);
    assert_int_equal(rfm_redo_open(parts[0], &header, &rest), RFM_OK);
    check_header(&header, 0, 1);
    assert_false(rfm_redo_next(&rest, &item));
    rfm_arena_release(&arena);
}

/* Each from memory of its own, so that a sanitizer sees a read too far. */
static int read_all(const uint8_t *at, size_t len)
{
    uint8_t *exact = malloc(len + 1);
    assert_non_null(exact);
    memcpy(exact, at, len);
    rfm_redo_header header;
    rfm_redo_item item;
    rfm_bytes rest;
    int code = rfm_redo_open(rfm_bytes_of(exact, len), &header, &rest);
    if (code == RFM_OK) {
        while (rfm_redo_next(&rest, &item))
            continue;
        code = rest.len > 0 ? RFM_E_CORRUPT : RFM_OK;
    }
    free(exact);
    return code;
}

static void damage_is_harmless(void **state)
{
    (void)state;
    rfm_arena arena;
    const rfm_bytes *parts;
    rfm_redo_item items[20];
    rfm_arena_init(&arena);
    for (size_t i = 0; i < 20; i++)
        items[i] = random_item(&arena);
    assert_int_equal(write_items(items, 20, 0, &arena, &parts), 1);
    uint8_t *copy = rfm_arena_take(&arena, parts[0].len);
    for (size_t len = 0; len < 30; len++)
        assert_int_equal(read_all(parts[0].at, len) == RFM_OK, len == 14 + 2 * 8);
    assert_int_equal(read_all(parts[0].at, parts[0].len - 1), RFM_E_CORRUPT);
    for (size_t i = 0; i < parts[0].len; i++) {
        memcpy(copy, parts[0].at, parts[0].len);
        copy[i] ^= (uint8_t)(1 + below(255));
        (void)read_all(copy, parts[0].len);
    }
    memcpy(copy, parts[0].at, parts[0].len);
    copy[0] = 4;
    assert_int_equal(read_all(copy, parts[0].len), RFM_E_VERSION);
    copy[0] = 0;
    assert_int_equal(read_all(copy, parts[0].len), RFM_E_CORRUPT);
    rfm_arena_release(&arena);
}

static void the_wal_value_is_text(void **state)
{
    (void)state;
    char text[RFM_WAL_VALUE_MAX];
    rfm_position position = {.next = {5, RFM_OFFSET_NONE, INT64_MAX}, .wal = 12};
    size_t len = rfm_wal_value_format(&position, 3, text);
    assert_true(rfm_bytes_is(rfm_bytes_of(text, len), "12 5 -1 9223372036854775807"));
    assert_true(rfm_wal_value_parse(rfm_bytes_of(text, len)) == 12);
    assert_true(rfm_wal_value_parse(rfm_text("0")) == 0);
    assert_true(rfm_wal_value_parse(RFM_BYTES_NONE) == RFM_OFFSET_NONE);
    static const char *const bad[] = {"", " 1", "x", "1x", "-1", "9223372036854775808", "99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_true(rfm_wal_value_parse(rfm_text(bad[i])) == INT64_MIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(a_record_without_operations_has_one_part),
        cmocka_unit_test(damage_is_harmless),
        cmocka_unit_test(the_wal_value_is_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
