#include "fit/holdout.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const rfm_model MODEL = {
    .r = .52484, .alpha = 6.1831, .a = .89135, .b = 1.61399, .unit_days = 7, .evidence_cap = INFINITY};

static uint32_t next(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

static void fill(rfm_histories *histories, uint64_t seed)
{
    rfm_histories_init(histories);
    histories->until = 300;
    for (int i = 0; i < 400; i++) {
        uint32_t x = next(&seed) % 4;
        int32_t first = (int32_t)(next(&seed) % 5 * 20),
                last = x ? first + 10 + (int32_t)(next(&seed) % 5 * 40) : first;
        bool returned = next(&seed) % 300 < (uint32_t)last;
        rfm_histories_add(histories, x, first, last, 0, 0, returned ? 1 + next(&seed) % 3 : 0);
    }
    rfm_histories_seal(histories);
}

static double score_of(const rfm_history *row)
{
    return rfm_model_p_active(&MODEL, row->x, row->t_x, row->age - row->t_x, 100);
}

/* Over all pairs, of one row with itself too. */
static double auc_by_pairs(const rfm_histories *histories)
{
    double pairs = 0, right = 0;
    for (size_t i = 0; i < histories->row_count; i++)
        for (size_t j = 0; j < histories->row_count; j++) {
            const rfm_history *a = &histories->rows[i], *b = &histories->rows[j];
            double count = (double)a->returned * (b->clients - b->returned), higher = score_of(a), lower = score_of(b);
            pairs += count;
            right += higher > lower ? count : higher == lower ? count / 2 : 0;
        }
    return right / pairs;
}

static void figures_equal_brute_force(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        rfm_histories histories;
        rfm_quality quality;
        double loss = 0, sum = 0, days = 0;
        fill(&histories, seed);
        rfm_holdout_model(&histories, &MODEL, 100, &quality);
        assert_true(fabs(quality.auc - auc_by_pairs(&histories)) < 1e-12);
        for (size_t i = 0; i < histories.row_count; i++) {
            const rfm_history *row = &histories.rows[i];
            double p = score_of(row);
            loss -= row->returned * log(p) + (row->clients - row->returned) * log(1 - p);
            sum += row->clients * p;
            days += row->clients * rfm_model_expected_orders(&MODEL, row->x, row->t_x, row->age - row->t_x, 100);
        }
        assert_true(fabs(quality.log_loss - loss / 400) < 1e-12);
        assert_true(fabs(quality.expected_buyers - sum) < 1e-9 && fabs(quality.expected_days - days) < 1e-9);
        rfm_histories_release(&histories);
    }
}

static void deciles_hold_all_clients_in_order(void **state)
{
    (void)state;
    rfm_histories histories;
    rfm_quality quality;
    fill(&histories, 42);
    rfm_holdout_model(&histories, &MODEL, 100, &quality);
    uint64_t clients = 0;
    double predicted = 0, observed = 0, before = 0;
    for (size_t i = 0; i < RFM_DECILES; i++) {
        const rfm_decile *decile = &quality.decile[i];
        clients += decile->clients;
        predicted += decile->predicted * (double)decile->clients;
        observed += decile->observed * (double)decile->clients;
        assert_true(decile->clients == 0 || decile->predicted > before);
        before = decile->clients > 0 ? decile->predicted : before;
    }
    assert_int_equal(clients, 400);
    assert_true(fabs(predicted - quality.expected_buyers) < 1e-9);
    assert_true(fabs(observed - (double)histories.returned) < 1e-9);
    rfm_histories_release(&histories);
}

/* At the logistic maximum predictions and outcomes agree in sum and in first moment. */
static void recency_is_fitted(void **state)
{
    (void)state;
    rfm_histories histories;
    rfm_recency recency;
    fill(&histories, 5);
    assert_int_equal(rfm_recency_fit(&histories, &recency, NULL), 0);
    assert_true(recency.slope < 0);
    double rest = 0, moment = 0;
    for (size_t i = 0; i < histories.row_count; i++) {
        const rfm_history *row = &histories.rows[i];
        double at = log(1. + row->age - row->t_x);
        double missed = row->returned - row->clients / (1 + exp(-recency.constant - recency.slope * at));
        rest += missed;
        moment += missed * at;
    }
    assert_true(fabs(rest) < 1e-6 && fabs(moment) < 1e-6);
    rfm_quality quality;
    rfm_holdout_recency(&histories, &recency, &quality);
    assert_true(fabs(quality.expected_buyers - (double)histories.returned) < 1e-6 && isnan(quality.expected_days));
    rfm_histories_release(&histories);
}

static void recency_of_one_kind_is_refused(void **state)
{
    (void)state;
    for (uint32_t later = 0; later < 2; later++) {
        rfm_histories histories;
        rfm_recency recency;
        rfm_histories_init(&histories);
        histories.until = 100;
        for (int i = 0; i < 50; i++)
            rfm_histories_add(&histories, 0, i, i, 0, 0, later);
        rfm_histories_seal(&histories);
        assert_int_equal(rfm_recency_fit(&histories, &recency, NULL), RFM_E_RANGE);
        rfm_histories_release(&histories);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_equal_brute_force),
        cmocka_unit_test(deciles_hold_all_clients_in_order),
        cmocka_unit_test(recency_is_fitted),
        cmocka_unit_test(recency_of_one_kind_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
