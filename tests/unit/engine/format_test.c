/* Redo records as every version of the format has written them, and the tables of a task, which have no version of their own:
 * that of `<prefix>:meta` is theirs. */
#include "../../fixtures/fixture.h"

#include "engine/counters.h"
#include "engine/erased.h"

#include <rfm/client/names.h>

static const char *const files[] = {"redo-1.ndjson", "redo-2.ndjson"};
static const char *const written[] = {"redo-1.ndjson", "redo-2.ndjson"}; /* by the present code, each where it will do */

enum { ITEMS_MAX = 64 };
typedef struct record {
    int64_t before, next[RFM_INPUTS_MAX];
    size_t input_count, part_bytes_max, item_count;
    rfm_redo_item items[ITEMS_MAX];
} record;

static void mirror_next(mirror *at, record *of)
{
    mirror list;
    of->input_count = mirror_list(at, "next", of->input_count, RFM_INPUTS_MAX, &list);
    for (size_t i = 0; i < of->input_count; i++) {
        mirror entry = mirror_entry(&list, i);
        mirror_number(&entry, "offset", &of->next[i], sizeof of->next[i], true);
    }
}

static void mirror_items(mirror *at, record *of)
{
    mirror list;
    of->item_count = mirror_list(at, "items", of->item_count, ITEMS_MAX, &list);
    for (size_t i = 0; i < of->item_count; i++) {
        mirror entry = mirror_entry(&list, i);
        rfm_redo_item *item = &of->items[i];
        uint32_t op = item->op;
        mirror_number(&entry, "op", &op, sizeof op, false);
        item->op = (rfm_redo_op)op;
        mirror_text(&entry, "key", &item->key);
        mirror_text(&entry, "field", &item->field);
        mirror_text(&entry, "value", &item->value);
    }
}

static void mirror_record(mirror *at, record *of)
{
    MIRROR(at, of, before);
    MIRROR(at, of, part_bytes_max);
    mirror_next(at, of);
    mirror_items(at, of);
}

/* A fixture holds a record's parts one after the other, each behind its length in four bytes. */
static size_t pack(yyjson_val *meaning, uint8_t packed[FIXTURE_BYTES_MAX])
{
    static rfm_redo redo;
    static record of;
    rfm_buffer out = rfm_buffer_over(packed, FIXTURE_BYTES_MAX);
    rfm_arena arena;
    const rfm_bytes *parts;
    memset(&of, 0, sizeof of);
    mirror_record(&(mirror){.in = meaning}, &of);
    rfm_arena_init(&arena);
    rfm_redo_init(&redo, of.part_bytes_max);
    rfm_redo_begin(&redo, of.input_count);
    for (size_t i = 0; i < of.item_count; i++)
        rfm_redo_put(&redo, &of.items[i]);
    size_t count = rfm_redo_end(&redo, of.before, of.next, &arena, &parts);
    for (size_t i = 0; i < count; i++) {
        rfm_write_u32(&out, (uint32_t)parts[i].len);
        rfm_write_bytes(&out, parts[i]);
    }
    assert_false(out.bad);
    rfm_redo_release(&redo);
    rfm_arena_release(&arena);
    return out.len;
}

static void read_part(const fixture *of, rfm_bytes part, size_t number, size_t left, record *into)
{
    rfm_redo_header header;
    rfm_bytes rest;
    int code = rfm_redo_open(part, &header, &rest);
    if (code != RFM_OK)
        fail_msg("%s, %s, part %zu: %s", of->file, of->name, number, rfm_error_text(code));
    assert_int_equal(header.part, number);
    assert_int_equal(header.parts - number == 0, left == 0);
    into->before = header.before, into->input_count = header.input_count;
    memcpy(into->next, header.next, sizeof header.next);
    while (rfm_redo_next(&rest, &into->items[into->item_count]))
        assert_true(++into->item_count < ITEMS_MAX);
    assert_int_equal(rest.len, 0);
}

static void check_read(const fixture *of)
{
    static record into;
    memset(&into, 0, sizeof into);
    into.part_bytes_max = yyjson_get_uint(yyjson_obj_get(of->meaning, "part_bytes_max"));
    rfm_reader in = rfm_reader_of(of->packed);
    for (size_t number = 1; rfm_reader_left(&in) > 0; number++) {
        rfm_bytes part = rfm_read_bytes(&in, rfm_read_u32(&in));
        assert_false(in.bad);
        read_part(of, part, number, rfm_reader_left(&in), &into);
    }
    mirror made = mirror_making();
    mirror_record(&made, &into);
    assert_meaning(of, &made);
    yyjson_mut_doc_free(made.doc);
}

static void check_written(const fixture *of)
{
    static uint8_t packed[FIXTURE_BYTES_MAX];
    assert_packed(of, rfm_bytes_of(packed, pack(of->meaning, packed)));
}

static void every_version_is_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        assert_true(fixture_each(files[i], check_read) >= 3);
}

static void what_is_written_has_not_changed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof written / sizeof *written; i++)
        assert_true(fixture_each(written[i], check_written) >= 3);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_version_is_read),
        cmocka_unit_test(what_is_written_has_not_changed),
    };
    if (fixture_wanted(argc, argv))
        return fixture_write(argv[2], pack);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
