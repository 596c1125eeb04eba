#include "fit/purchases.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { CLIENTS = 60, DAYS = 80, ROWS = 600 };

static uint32_t next(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

/* A table of clients and days is the brute force: [0, until] is observed, what follows is the hold-out. */
struct shop {
    bool bought[CLIENTS][DAYS];
    double amount[CLIENTS][DAYS];
};

static void check_client(const struct shop *shop, size_t client, int until, int holdout_days,
                         const rfm_histories *histories, rfm_histories *expected)
{
    int first = -1, last = -1, x = -1, later = 0, spend_days = 0;
    double sum = 0;
    for (int day = 0; day < DAYS && day <= until + holdout_days; day++) {
        if (!shop->bought[client][day])
            continue;
        if (day > until) {
            later++;
            continue;
        }
        first = first < 0 ? day : first;
        last = day;
        if (x++ >= 0 && shop->amount[client][day] > 0) {
            spend_days++;
            sum += shop->amount[client][day];
        }
    }
    if (first < 0)
        return;
    expected->clients++;
    expected->repeaters += x > 0;
    expected->repeat_days += (uint64_t)x;
    expected->returned += later > 0;
    expected->later += (uint64_t)later;
    bool found = false;
    for (size_t i = 0; i < histories->row_count; i++) {
        const rfm_history *row = &histories->rows[i];
        found = found || (row->x == (uint32_t)x && row->t_x == (uint32_t)(last - first) &&
                          row->age == (uint32_t)(until - first) && row->clients >= row->returned);
    }
    assert_true(found);
    found = spend_days == 0;
    for (size_t i = 0; i < histories->repeat_count; i++)
        found = found || (histories->repeats[i].x == (uint32_t)spend_days &&
                          fabs(histories->repeats[i].mean - sum / spend_days) < 1e-9);
    assert_true(found);
}

static void histories_equal_brute_force(void **state)
{
    (void)state;
    uint64_t seed = 1;
    for (int round = 0; round < 30; round++) {
        struct shop shop = {0};
        rfm_purchases *purchases = rfm_purchases_new();
        for (int i = 0; i < ROWS; i++) {
            uint32_t client = next(&seed) % CLIENTS, day = next(&seed) % DAYS, cents = next(&seed) % 4 * 125;
            char id[16];
            snprintf(id, sizeof id, "client-%u", client);
            shop.bought[client][day] = true;
            shop.amount[client][day] += cents / 100.;
            assert_int_equal(rfm_purchases_add(purchases, rfm_text(id), (int32_t)day, cents / 100., 0, NULL), 0);
        }
        for (int until = 10; until < DAYS; until += 23) {
            rfm_histories histories, expected = {0};
            int holdout_days = round % 3 * 10;
            rfm_purchases_histories(purchases, until, holdout_days, &histories);
            for (size_t client = 0; client < CLIENTS; client++)
                check_client(&shop, client, until, holdout_days, &histories, &expected);
            uint64_t clients = 0, returned = 0, later = 0;
            for (size_t i = 0; i < histories.row_count; i++) {
                clients += histories.rows[i].clients;
                returned += histories.rows[i].returned;
                later += histories.rows[i].later;
            }
            assert_true(clients == expected.clients && histories.clients == expected.clients);
            assert_true(returned == expected.returned && histories.returned == expected.returned);
            assert_true(later == expected.later && histories.later == expected.later);
            assert_true(histories.repeaters == expected.repeaters && histories.repeat_days == expected.repeat_days);
            rfm_histories_release(&histories);
        }
        assert_int_equal(rfm_purchases_count(purchases), ROWS);
        rfm_purchases_free(purchases);
    }
}

static void equal_histories_are_one_row(void **state)
{
    (void)state;
    rfm_purchases *purchases = rfm_purchases_new();
    for (int i = 0; i < 1000; i++) {
        char id[16];
        snprintf(id, sizeof id, "%d", i);
        assert_int_equal(rfm_purchases_add(purchases, rfm_text(id), 5, 1, 0, NULL), 0);
        assert_int_equal(rfm_purchases_add(purchases, rfm_text(id), 5 + i % 2 * 3, 2, 0, NULL), 0);
    }
    rfm_histories histories;
    rfm_purchases_histories(purchases, 20, 0, &histories);
    assert_int_equal(histories.row_count, 2);
    assert_true(histories.rows[0].x == 0 && histories.rows[0].clients == 500);
    assert_true(histories.rows[1].x == 1 && histories.rows[1].t_x == 3 && histories.rows[1].age == 15);
    assert_int_equal(histories.repeat_count, 500);
    rfm_histories_release(&histories);
    rfm_purchases_free(purchases);
}

static void an_order_of_a_day_counts_once(void **state)
{
    (void)state;
    static const struct {
        int32_t day;
        double amount;
        uint64_t order;
    } rows[] = {{1, 5, 1}, {9, 7, 3}, {9, 20, 2}, {9, 7, 3}, {9, 1, 0}, {9, 1, 0}, {12, 7, 3}};
    rfm_purchases *purchases = rfm_purchases_new();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(rfm_purchases_add(purchases, rfm_text("c"), rows[i].day, rows[i].amount, rows[i].order, NULL),
                         0);
    rfm_histories histories;
    rfm_purchases_histories(purchases, 20, 0, &histories);
    assert_true(histories.repeat_count == 1 && histories.repeats[0].x == 2);
    assert_true(histories.repeats[0].mean == (7 + 20 + 1 + 1 + 7) / 2.);
    rfm_histories_release(&histories);
    rfm_purchases_free(purchases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(histories_equal_brute_force),
        cmocka_unit_test(equal_histories_are_one_row),
        cmocka_unit_test(an_order_of_a_day_counts_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
