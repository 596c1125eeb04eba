#include "engine/counters.h"

#include <rfm/engine/view.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { CLIENTS = 300, DAY_MIN = 7305 /* 1990-01-01 */ };

static uint32_t state_of_random = 3;

static uint32_t draw(uint32_t limit)
{
    state_of_random = state_of_random * 1664525u + 1013904223u;
    return (state_of_random >> 8) % limit;
}

static rfm_standing random_standing(void)
{
    rfm_standing standing = {.counted = draw(4) > 0};
    if (standing.counted) {
        standing.day = DAY_MIN + (int32_t)(draw(50) ? draw(20) : draw(200000)); /* also days beyond the table */
        standing.bucket = (uint16_t)draw(draw(5) ? 10 : RFM_BUCKETS);
        standing.orders = (uint16_t)draw(draw(5) ? 5 : RFM_ORDER_COUNTS);
    }
    return standing;
}

static void write_to(rfm__counters *counters, rfm_view *view)
{
    static const int64_t next[1] = {0};
    rfm_redo *redo = malloc(sizeof *redo);
    rfm_arena arena;
    const rfm_bytes *parts;
    assert_non_null(redo);
    rfm_arena_init(&arena);
    rfm_redo_init(redo, 0);
    rfm_redo_begin(redo, 1);
    rfm__counters_write(counters, redo);
    size_t count = rfm_redo_end(redo, 0, next, &arena, &parts);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(rfm_view_apply(view, parts[i]), RFM_OK);
    rfm_redo_release(redo);
    free(redo);
    rfm_arena_release(&arena);
}

static size_t hash_of(const rfm_view *view, rfm_counter kind, rfm_arena *arena, const rfm_bytes **values)
{
    rfm_bytes key = rfm_text(rfm_population_key[kind]);
    rfm_effect load = {.kind = RFM_OUT_LOAD, .load = {.what = RFM_LOAD_HASH, .keys = &key, .count = 1}};
    return rfm_view_load(view, &load, arena, values);
}

static uint32_t field_of(rfm_counter kind, const rfm_standing *standing)
{
    if (kind == RFM_COUNTER_DAY)
        return (uint32_t)standing->day;
    return kind == RFM_COUNTER_BUCKET ? standing->bucket : standing->orders;
}

/* A hash holds, for each field with clients and no other, how many there are. */
static void check_hash(const rfm_view *view, rfm_counter kind, const rfm_standing *standings)
{
    rfm_arena arena;
    const rfm_bytes *values;
    int64_t field, value, total = 0, counted = 0;
    rfm_arena_init(&arena);
    size_t count = hash_of(view, kind, &arena, &values);
    for (size_t i = 0; i < count; i += 2) {
        int64_t clients = 0;
        assert_int_equal(rfm_integer_parse(values[i], &field), RFM_OK);
        assert_int_equal(rfm_integer_parse(values[i + 1], &value), RFM_OK);
        for (size_t k = 0; k < CLIENTS; k++)
            clients += standings[k].counted && field_of(kind, &standings[k]) == field;
        assert_true(value > 0 && value == clients);
        total += value;
    }
    for (size_t k = 0; k < CLIENTS; k++)
        counted += standings[k].counted;
    assert_int_equal(total, counted);
    rfm_arena_release(&arena);
}

static void restore(rfm__counters *counters, const rfm_view *view)
{
    rfm_arena arena;
    const rfm_bytes *values;
    rfm_arena_init(&arena);
    rfm__counters_clear(counters);
    for (rfm_counter kind = 0; kind < RFM_COUNTERS; kind++) {
        size_t count = hash_of(view, kind, &arena, &values);
        assert_int_equal(rfm_population_restore(counters->population, kind, values, count), RFM_OK);
    }
    rfm_arena_release(&arena);
}

static void hashes_are_sums_over_clients(void **state)
{
    (void)state;
    rfm_standing standings[CLIENTS] = {0};
    rfm_view *view = rfm_view_new();
    rfm__counters counters;
    rfm__counters_init(&counters);
    for (int step = 0; step < 60; step++) {
        for (uint32_t i = draw(200); i > 0; i--) {
            rfm_standing *standing = &standings[draw(CLIENTS)], before = *standing;
            *standing = random_standing();
            rfm__counters_move(&counters, &before, standing);
        }
        write_to(&counters, view);
        for (rfm_counter kind = 0; kind < RFM_COUNTERS; kind++)
            check_hash(view, kind, standings);
        if (step % 10 == 9)
            restore(&counters, view);
    }
    rfm__counters_release(&counters);
    rfm_view_free(view);
}

static void restore_tally(rfm__counters *counters, const rfm_view *view)
{
    rfm_arena arena;
    const rfm_bytes *values;
    rfm_bytes key = rfm_text(RFM_KEY_KPI);
    rfm_effect load = {.kind = RFM_OUT_LOAD, .load = {.what = RFM_LOAD_HASH, .keys = &key, .count = 1}};
    rfm_arena_init(&arena);
    size_t count = rfm_view_load(view, &load, &arena, &values);
    assert_int_equal(rfm__tally_restore(counters, values, count), RFM_OK);
    rfm_arena_release(&arena);
}

/* What is stored is the tally: a worker that takes the task over goes on from the same cells, and one that is 0 is
 * none. */
static void the_tally_comes_back(void **state)
{
    (void)state;
    int64_t expected[200] = {0};
    rfm_view *view = rfm_view_new();
    rfm__counters counters;
    rfm__counters_init(&counters);
    for (int step = 0; step < 40; step++) {
        for (uint32_t i = draw(100); i > 0; i--) {
            uint32_t at = draw(200);
            int64_t amount = (int64_t)draw(5) - 2;
            rfm_tally_add(counters.tally, (rfm_cell){'B', (int32_t)at / 10, at % 10, 3}, amount);
            expected[at] += amount;
        }
        write_to(&counters, view);
        rfm__counters_clear(&counters);
        restore_tally(&counters, view);
        size_t cursor = 0, cells = 0, wanted = 0;
        rfm_cell cell;
        for (int64_t value; rfm_tally_next(counters.tally, &cursor, &cell, &value); cells++)
            assert_int_equal(value, expected[cell.period * 10 + cell.part]);
        for (size_t i = 0; i < 200; i++)
            wanted += expected[i] != 0;
        assert_int_equal(cells, wanted);
    }
    const rfm_bytes bad[][2] = {{rfm_text("B"), rfm_text("1")}, {rfm_text("B1"), rfm_text("1.5")}};
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(rfm__tally_restore(&counters, bad[i], 2), RFM_E_CORRUPT);
    rfm__counters_release(&counters);
    rfm_view_free(view);
}

static void what_cannot_be_read_is_refused(void **state)
{
    (void)state;
    rfm__counters counters;
    rfm__counters_init(&counters);
    const rfm_bytes bad[][2] = {{rfm_text("x"), rfm_text("1")},    {rfm_text("1"), rfm_text("-1")},
                                {rfm_text("1"), rfm_text("")},     {rfm_text("1"), rfm_text("12 ")},
                                {rfm_text("4096"), rfm_text("1")}, {rfm_text("-1"), rfm_text("1")}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(rfm_population_restore(counters.population, RFM_COUNTER_BUCKET, bad[i], 2), RFM_E_CORRUPT);
    rfm__counters_release(&counters);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_are_sums_over_clients),
        cmocka_unit_test(the_tally_comes_back),
        cmocka_unit_test(what_cannot_be_read_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
