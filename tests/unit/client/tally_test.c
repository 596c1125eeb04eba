#include "world.h"

#include <rfm/client/tally.h>

enum { CELLS = 4000 };

static rfm_cell random_cell(uint64_t *seed)
{
    return (rfm_cell){"orB"[random_below(seed, 3)], (int32_t)random_below(seed, 10) * 100,
                      (uint16_t)random_below(seed, 10), (uint16_t)random_below(seed, 10)};
}

static size_t index_of(rfm_cell cell)
{
    size_t metric = cell.metric == 'o' ? 0 : cell.metric == 'r' ? 1 : 2;
    return ((metric * 10 + (size_t)cell.period / 100) * 10 + cell.part) * 10 + cell.source;
}

static void cells_hold_what_was_added(void **state)
{
    (void)state;
    uint64_t seed = 5;
    static int64_t expected[CELLS], written[CELLS];
    rfm_tally *tally = rfm_tally_new();
    rfm_cell cell;
    int64_t value;
    for (int step = 0; step < 50; step++) {
        static bool touched[CELLS];
        memset(touched, 0, sizeof touched);
        for (int i = 0; i < 2000; i++) {
            cell = random_cell(&seed);
            int64_t amount = (int64_t)random_below(&seed, 7) - 3;
            rfm_tally_add(tally, cell, amount);
            expected[index_of(cell)] += amount;
            touched[index_of(cell)] |= amount != 0;
        }
        while (rfm_tally_take(tally, &cell, &value)) {
            assert_true(touched[index_of(cell)]);
            touched[index_of(cell)] = false;
            written[index_of(cell)] = value;
        }
        for (size_t i = 0; i < CELLS; i++) {
            assert_false(touched[i]);
        }
        assert_memory_equal(written, expected, sizeof expected);
    }
    int64_t total = 0, sum = 0;
    for (size_t cursor = 0; rfm_tally_next(tally, &cursor, &cell, &value); sum += value) {
        assert_true(value != 0 && value == expected[index_of(cell)] && value == rfm_tally_get(tally, cell));
    }
    for (size_t i = 0; i < CELLS; i++) {
        total += expected[i];
    }
    assert_int_equal(total, sum);
    rfm_tally_clear(tally);
    assert_int_equal(rfm_tally_get(tally, cell), 0);
    rfm_tally_free(tally);
}

static void sums_beyond_their_range_come_back(void **state)
{
    (void)state;
    rfm_tally *tally = rfm_tally_new();
    rfm_cell cell = {.metric = 'r', .period = RFM_TALLY_PERIOD_MAX};
    rfm_tally_add(tally, cell, INT64_MAX);
    rfm_tally_add(tally, cell, INT64_MAX);
    rfm_tally_add(tally, cell, -INT64_MAX);
    assert_int_equal(rfm_tally_get(tally, cell), INT64_MAX);
    rfm_tally_settle(tally);
    int64_t value;
    assert_false(rfm_tally_take(tally, &cell, &value));
    rfm_tally_free(tally);
}

static void fields_name_cells(void **state)
{
    (void)state;
    char text[RFM_TALLY_FIELD_MAX];
    rfm_cell cell;
    const struct {
        rfm_cell cell;
        const char *text;
    } rows[] = {
        {{'o', 20454, 0, 0}, "o20454"},
        {{'H', 648, 3, 17}, "H648.3:17"},
        {{'l', 0, 65535, 0}, "l0.65535"},
        {{'b', RFM_TALLY_PERIOD_MAX, 0, 65535}, "b16777215:65535"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(rfm_cell_format(rows[i].cell, text), strlen(rows[i].text));
        assert_string_equal(text, rows[i].text);
        assert_int_equal(rfm_cell_parse(rfm_text(text), &cell), RFM_OK);
        assert_true(cell.metric == rows[i].cell.metric && cell.period == rows[i].cell.period &&
                    cell.part == rows[i].cell.part && cell.source == rows[i].cell.source);
    }
    const char *const bad[] = {"",     "o",        "1",      " 1",      "o1.",       "o1:", "o1.0",
                               "o1:0", "o1.65536", "o1:1.2", "o1.2:3 ", "o16777216", "o-1", "o99999999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(rfm_cell_parse(rfm_text(bad[i]), &cell), RFM_E_CORRUPT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cells_hold_what_was_added),
        cmocka_unit_test(sums_beyond_their_range_come_back),
        cmocka_unit_test(fields_name_cells),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
