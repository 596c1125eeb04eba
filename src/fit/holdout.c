#include "holdout.h"

#include <math.h>
#include <stdlib.h>

enum { NEWTON_STEPS = 50 };

/* The chance is kept off 0 and 1, so that one surprise does not cost all. */
#define CHANCE_MIN 1e-12

struct scored {
    double score; /* the chance */
    uint32_t clients, returned;
};

static int compare_scores(const void *left, const void *right)
{
    const struct scored *a = left, *b = right;
    return (a->score > b->score) - (a->score < b->score);
}

/* The share of pairs of one who bought and one who did not in which the former has the higher score. */
static double auc_of(const struct scored *sorted, size_t count)
{
    double pairs = 0, lower_misses = 0, hits = 0;
    for (size_t i = 0; i < count;) {
        double tied_hits = 0, tied_misses = 0;
        size_t first = i;
        for (; i < count && sorted[i].score == sorted[first].score; i++) {
            tied_hits += sorted[i].returned;
            tied_misses += sorted[i].clients - sorted[i].returned;
        }
        pairs += tied_hits * (lower_misses + tied_misses / 2);
        lower_misses += tied_misses;
        hits += tied_hits;
    }
    return pairs / (hits * lower_misses);
}

static double loss_of(const struct scored *scored)
{
    double chance = fmin(fmax(scored->score, CHANCE_MIN), 1 - CHANCE_MIN);
    return -(scored->returned * log(chance) + (scored->clients - scored->returned) * log1p(-chance));
}

/* As the RFM scores: by the number of clients strictly below, equal scores together. */
static void fill_deciles(const struct scored *sorted, size_t count, double clients, rfm_decile *decile)
{
    double below = 0;
    for (size_t i = 0; i < count;) {
        size_t first = i;
        rfm_decile *into = &decile[(size_t)(RFM_DECILES * below / clients)];
        for (; i < count && sorted[i].score == sorted[first].score; i++) {
            into->clients += sorted[i].clients;
            into->predicted += sorted[i].score * sorted[i].clients;
            into->observed += sorted[i].returned;
            below += sorted[i].clients;
        }
    }
    for (size_t i = 0; i < RFM_DECILES; i++) {
        double of = decile[i].clients > 0 ? (double)decile[i].clients : 1;
        decile[i].predicted /= of;
        decile[i].observed /= of;
    }
}

static void measure(struct scored *scored, size_t count, rfm_quality *quality)
{
    double clients = 0;
    *quality = (rfm_quality){.expected_days = NAN};
    qsort(scored, count, sizeof *scored, compare_scores);
    for (size_t i = 0; i < count; i++) {
        clients += scored[i].clients;
        quality->log_loss += loss_of(&scored[i]);
        quality->expected_buyers += scored[i].score * scored[i].clients;
    }
    quality->log_loss /= clients;
    quality->auc = auc_of(scored, count);
    fill_deciles(scored, count, clients, quality->decile);
}

static struct scored *scored_of(const rfm_histories *histories)
{
    struct scored *scored = malloc((histories->row_count + 1) * sizeof *scored);
    RFM_NEED(scored != NULL);
    for (size_t i = 0; i < histories->row_count; i++)
        scored[i] = (struct scored){.clients = histories->rows[i].clients, .returned = histories->rows[i].returned};
    return scored;
}

void rfm_holdout_model(const rfm_histories *histories, const rfm_model *model, double holdout_days,
                       rfm_quality *quality)
{
    struct scored *scored = scored_of(histories);
    double expected_days = 0;
    for (size_t i = 0; i < histories->row_count; i++) {
        const rfm_history *row = &histories->rows[i];
        double idle_days = row->age - row->t_x;
        scored[i].score = rfm_model_p_active(model, row->x, row->t_x, idle_days, holdout_days);
        expected_days += row->clients * rfm_model_expected_orders(model, row->x, row->t_x, idle_days, holdout_days);
    }
    measure(scored, histories->row_count, quality);
    quality->expected_days = expected_days;
    free(scored);
}

void rfm_holdout_nbd(const rfm_histories *histories, const rfm_nbd *nbd, double unit_days, double holdout_days,
                     rfm_quality *quality)
{
    struct scored *scored = scored_of(histories);
    double expected_days = 0, t = holdout_days / unit_days;
    for (size_t i = 0; i < histories->row_count; i++) {
        const rfm_history *row = &histories->rows[i];
        double t_x = row->t_x / unit_days, age = row->age / unit_days;
        scored[i].score = rfm_nbd_p_active(nbd, row->x, t_x, age, t);
        expected_days += row->clients * rfm_nbd_expected(nbd, row->x, t_x, age, t);
    }
    measure(scored, histories->row_count, quality);
    quality->expected_days = expected_days;
    free(scored);
}

static double log_idle(const rfm_history *row)
{
    return log1p(row->age - row->t_x);
}

static double chance_of(const rfm_recency *recency, double at)
{
    return 1 / (1 + exp(-recency->constant - recency->slope * at));
}

/* One step of Newton's method for the logistic likelihood; how far it went, or NAN: it has no top. */
static double improve(const rfm_histories *histories, rfm_recency *recency)
{
    double by_constant = 0, by_slope = 0, cc = 0, cs = 0, ss = 0;
    for (size_t i = 0; i < histories->row_count; i++) {
        const rfm_history *row = &histories->rows[i];
        double at = log_idle(row), chance = chance_of(recency, at);
        double rest = row->returned - row->clients * chance, weight = row->clients * chance * (1 - chance);
        by_constant += rest, by_slope += rest * at;
        cc += weight, cs += weight * at, ss += weight * at * at;
    }
    double determinant = cc * ss - cs * cs;
    if (!(determinant > 1e-9 * cc * ss))
        return NAN;
    double constant = (ss * by_constant - cs * by_slope) / determinant;
    double slope = (cc * by_slope - cs * by_constant) / determinant;
    recency->constant += constant;
    recency->slope += slope;
    return fabs(constant) + fabs(slope);
}

int rfm_recency_fit(const rfm_histories *histories, rfm_recency *recency, rfm_error *error)
{
    double moved = 1;
    *recency = (rfm_recency){0};
    for (int i = 0; i < NEWTON_STEPS && moved > 1e-10; i++)
        moved = improve(histories, recency);
    return moved <= 1e-6
               ? RFM_OK
               : rfm_fail(error, RFM_E_RANGE, "the time since the last purchase tells nothing, or everything");
}

void rfm_holdout_recency(const rfm_histories *histories, const rfm_recency *recency, rfm_quality *quality)
{
    struct scored *scored = scored_of(histories);
    for (size_t i = 0; i < histories->row_count; i++)
        scored[i].score = chance_of(recency, log_idle(&histories->rows[i]));
    measure(scored, histories->row_count, quality);
    free(scored);
}
