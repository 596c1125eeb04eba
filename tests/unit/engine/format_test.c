/* Redo records as every version of the format has written them, and the tables of a task, which have no version of
 * their own: that of `<prefix>:meta` is theirs. */
#include "fixture.h"

#include "engine/counters.h"
#include "engine/erased.h"
static const char *const files[] = {"redo-1.ndjson", "redo-2.ndjson", "redo-3.ndjson"};
static const char *const written = "redo-3.ndjson"; /* by the present code */

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
    mirror wanted = mirror_making(), made = mirror_making();
    mirror_record(&made, &into);
    memset(&into, 0, sizeof into);
    mirror_record(&(mirror){.in = of->meaning}, &into);
    mirror_record(&wanted, &into);
    assert_meaning(of, &wanted, &made);
}

static void check_written(const fixture *of)
{
    static uint8_t packed[FIXTURE_BYTES_MAX];
    static record taken;
    mirror wanted = mirror_making();
    memset(&taken, 0, sizeof taken);
    mirror_record(&(mirror){.in = of->meaning}, &taken);
    mirror_record(&wanted, &taken);
    assert_whole(of, &wanted);
    assert_packed(of, rfm_bytes_of(packed, pack(of->meaning, packed)));
}

/* Tables: what a client with so much revenue, a sum, or an erasure comes to in the redo. A fixture holds one of each at
 * most, so that their order does not matter. */
typedef struct table_entry {
    int64_t revenue_minor, value, time_ms, until_ms;
    uint64_t id48;
    int32_t day, period;
    uint16_t orders, part, source;
    rfm_bytes metric, client;
} table_entry;

static void mirror_tables(mirror *at, table_entry *of)
{
    MIRROR(at, of, revenue_minor);
    MIRROR(at, of, day);
    MIRROR(at, of, orders);
    mirror_text(at, "metric", &of->metric);
    MIRROR(at, of, period);
    MIRROR(at, of, part);
    MIRROR(at, of, source);
    MIRROR(at, of, value);
    mirror_text(at, "client", &of->client);
    MIRROR(at, of, time_ms);
    MIRROR(at, of, until_ms);
    MIRROR(at, of, id48);
}

static rfm_standing standing_of(const table_entry *of)
{
    return (rfm_standing){of->orders > 0, of->day, rfm_monetary_bucket(of->revenue_minor), of->orders};
}

static rfm_cell cell_of(const table_entry *of)
{
    return (rfm_cell){(char)of->metric.at[0], of->period, of->part, of->source};
}

static size_t pack_tables(yyjson_val *meaning, uint8_t packed[FIXTURE_BYTES_MAX])
{
    static rfm_redo redo;
    table_entry of = {0};
    rfm__counters counters;
    rfm__erased erased;
    mirror_tables(&(mirror){.in = meaning}, &of);
    rfm__counters_init(&counters);
    rfm__erased_init(&erased);
    rfm_redo_init(&redo, 0);
    rfm_redo_begin(&redo, 0);
    rfm_standing before = {0}, after = standing_of(&of);
    rfm__counters_move(&counters, &before, &after);
    if (of.metric.len > 0)
        rfm_tally_add(counters.tally, cell_of(&of), of.value);
    rfm__counters_write(&counters, &redo);
    if (of.client.len > 0)
        rfm__erased_put(&erased, of.client, of.time_ms, of.until_ms, of.id48, &redo);
    size_t len = redo.buffer.len - redo.part_at[0] - 14; /* behind the header of a record without inputs */
    memcpy(packed, redo.buffer.at + redo.part_at[0] + 14, len);
    rfm_redo_release(&redo);
    rfm__erased_release(&erased);
    rfm__counters_release(&counters);
    return len;
}

typedef struct tables {
    rfm__counters counters;
    rfm__erased erased;
} tables;

static int restore(tables *into, const rfm_redo_item *item)
{
    rfm_bytes pair[] = {item->field, item->value};
    for (size_t kind = 0; kind < RFM_COUNTERS; kind++)
        if (rfm_bytes_is(item->key, rfm_population_key[kind]))
            return rfm_population_restore(into->counters.population, (rfm_counter)kind, pair, 2);
    if (rfm_bytes_is(item->key, RFM_KEY_KPI))
        return rfm__tally_restore(&into->counters, pair, 2);
    return rfm_bytes_is(item->key, "erased") ? rfm__erased_restore(&into->erased, pair, 2) : RFM_E_CORRUPT;
}

static void compare_tables(const tables *found, const table_entry *of)
{
    rfm_standing standing = standing_of(of);
    const rfm_population *population = found->counters.population;
    assert_int_equal(rfm_population_day_count(population, standing.day), standing.counted);
    assert_int_equal(rfm_population_bucket_count(population, standing.bucket), standing.counted);
    assert_int_equal(rfm_population_orders_count(population, standing.orders), standing.counted);
    if (of->metric.len > 0)
        assert_int_equal(rfm_tally_get(found->counters.tally, cell_of(of)), of->value);
    if (of->client.len > 0) {
        const rfm__tombstone *tombstone = rfm__erased_find(&found->erased, of->client, of->until_ms - 1);
        assert_non_null(tombstone);
        assert_true(tombstone->time_ms == of->time_ms && tombstone->until_ms == of->until_ms &&
                    tombstone->id48 == of->id48);
    }
}

static void check_tables_read(const fixture *of)
{
    tables found;
    table_entry wanted = {0};
    rfm_redo_item item;
    rfm_bytes rest = of->packed;
    rfm__counters_init(&found.counters);
    rfm__erased_init(&found.erased);
    while (rfm_redo_next(&rest, &item))
        if (restore(&found, &item) != RFM_OK)
            fail_msg("%s, %s: %.*s cannot be read", of->file, of->name, (int)item.key.len, (const char *)item.key.at);
    assert_int_equal(rest.len, 0);
    mirror_tables(&(mirror){.in = of->meaning}, &wanted);
    compare_tables(&found, &wanted);
    rfm__erased_release(&found.erased);
    rfm__counters_release(&found.counters);
}

static void check_tables_written(const fixture *of)
{
    static uint8_t packed[FIXTURE_BYTES_MAX];
    assert_packed(of, rfm_bytes_of(packed, pack_tables(of->meaning, packed)));
}

static void tables_are_read_and_have_not_changed(void **state)
{
    (void)state;
    assert_true(fixture_each("tables-1.ndjson", check_tables_read) >= 5);
    assert_true(fixture_each("tables-1.ndjson", check_tables_written) >= 5);
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
    assert_true(fixture_each(written, check_written) >= 3);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_version_is_read),
        cmocka_unit_test(what_is_written_has_not_changed),
        cmocka_unit_test(tables_are_read_and_have_not_changed),
    };
    if (fixture_wanted(argc, argv))
        return fixture_write(argv[2], strstr(argv[2], "tables-") ? pack_tables : pack);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
