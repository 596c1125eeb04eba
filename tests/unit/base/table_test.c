#include <rfm/base/table.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

enum { PAIRS_MAX = 3000 };

typedef struct pair {
    uint64_t hash;
    uint32_t index;
} pair;

/* The model: a list of pairs, searched through. */
typedef struct pair_list {
    pair pairs[PAIRS_MAX];
    size_t count;
} pair_list;

static size_t model_count(const pair_list *model, uint64_t hash, uint32_t index, bool any_index)
{
    size_t count = 0;
    for (size_t i = 0; i < model->count; i++)
        count += model->pairs[i].hash == hash && (any_index || model->pairs[i].index == index);
    return count;
}

static bool model_remove(pair_list *model, uint64_t hash, uint32_t index)
{
    for (size_t i = 0; i < model->count; i++) {
        if (model->pairs[i].hash != hash || model->pairs[i].index != index)
            continue;
        model->pairs[i] = model->pairs[--model->count];
        return true;
    }
    return false;
}

static void check_hash(const rfm_table *table, const pair_list *model, uint64_t hash)
{
    size_t cursor = RFM_TABLE_START, found = 0;
    for (uint32_t index; (index = rfm_table_find(table, hash, &cursor)) != RFM_TABLE_NONE; found++)
        assert_true(model_count(model, hash, index, false) > 0);
    assert_int_equal(found, model_count(model, hash, 0, true));
    assert_int_equal(rfm_table_find(table, hash, &cursor), RFM_TABLE_NONE);
}

/* `spread`: how many different hashes; few make long probe chains of equal and of neighbouring hashes. */
static void behaves_as_the_model(uint64_t spread, unsigned shift)
{
    static pair_list model;
    rfm_table table;
    model.count = 0;
    srand(11);
    rfm_table_init(&table, 0);
    for (int step = 0; step < 30000; step++) {
        uint64_t hash = (uint64_t)rand() % spread << shift;
        uint32_t index = (uint32_t)rand() % 50;
        bool filling = step / 5000 % 2 == 0;
        if (rand() % 3 < (filling ? 2 : 1) && model.count < PAIRS_MAX) {
            rfm_table_add(&table, hash, index);
            model.pairs[model.count++] = (pair){hash, index};
        } else {
            assert_int_equal(rfm_table_remove(&table, hash, index), model_remove(&model, hash, index));
        }
        assert_int_equal(table.count, model.count);
        if (step % 16 == 0)
            check_hash(&table, &model, hash);
    }
    for (uint64_t hash = 0; hash < spread && hash < 5000; hash++)
        check_hash(&table, &model, hash << shift);
    rfm_table_release(&table);
}

static void crowded(void **state)
{
    (void)state;
    behaves_as_the_model(100, 0);
}

static void sparse(void **state)
{
    (void)state;
    behaves_as_the_model(100000, 0);
}

static void all_from_one_home(void **state)
{
    (void)state;
    behaves_as_the_model(300, 32);
}

static void around_the_end(void **state)
{
    (void)state;
    rfm_table table;
    rfm_table_init(&table, 10);
    uint64_t last = table.mask;
    rfm_table_add(&table, last, 1);
    rfm_table_add(&table, last, 2);
    rfm_table_add(&table, 0, 3);
    assert_true(rfm_table_remove(&table, last, 1));
    size_t cursor = RFM_TABLE_START;
    assert_int_equal(rfm_table_find(&table, last, &cursor), 2);
    assert_int_equal(rfm_table_find(&table, last, &cursor), RFM_TABLE_NONE);
    cursor = RFM_TABLE_START;
    assert_int_equal(rfm_table_find(&table, 0, &cursor), 3);
    rfm_table_release(&table);
}

static void expected_counts_do_not_grow_it(void **state)
{
    (void)state;
    rfm_table table;
    for (size_t expected = 0; expected < 200; expected += 7) {
        rfm_table_init(&table, expected);
        size_t mask = table.mask;
        for (uint32_t i = 0; i < expected; i++)
            rfm_table_add(&table, i * UINT64_C(0x9e3779b97f4a7c15), i);
        assert_int_equal(table.mask, mask);
        rfm_table_release(&table);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crowded),
        cmocka_unit_test(sparse),
        cmocka_unit_test(all_from_one_home),
        cmocka_unit_test(around_the_end),
        cmocka_unit_test(expected_counts_do_not_grow_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
