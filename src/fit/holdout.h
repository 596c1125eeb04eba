/* How well scores told who would buy again: histories at the end of observation, and what their clients did in the
 * hold-out after it. Clients of equal history have equal scores, so that everything is summed over histories. */
#ifndef RFM_FIT_HOLDOUT_H
#define RFM_FIT_HOLDOUT_H

#include "purchases.h"

#include <rfm/model/mbg.h>
#include <rfm/model/nbd.h>

enum { RFM_DECILES = 10, RFM_TRIALS_MAX = 16 };

typedef struct rfm_decile {
    uint64_t clients;
    double predicted, observed; /* the mean chance, the share that bought; of no client: 0 */
} rfm_decile;

typedef struct rfm_quality {
    double auc;                     /* ties count a half; NAN: all bought, or none */
    double log_loss;                /* a client, in nats */
    double expected_buyers;         /* the sum of the chances */
    double expected_days;           /* purchase days expected in the hold-out; NAN: the score has none */
    rfm_decile decile[RFM_DECILES]; /* of clients by score, the lowest first; equal scores share one */
} rfm_quality;

/* P(active) within the hold-out by the model with its cap. */
void rfm_holdout_model(const rfm_histories *histories, const rfm_model *model, double holdout_days,
                       rfm_quality *quality);

/* The same by a model as published. */
void rfm_holdout_nbd(const rfm_histories *histories, const rfm_nbd *nbd, double unit_days, double holdout_days,
                     rfm_quality *quality);

/* Recency alone: the chance is logistic in the logarithm of the idle time. */
typedef struct rfm_recency {
    double constant, slope;
} rfm_recency;
/* RFM_E_RANGE: everybody bought, or nobody, or all last bought on one day. */
int rfm_recency_fit(const rfm_histories *histories, rfm_recency *recency, rfm_error *error);
void rfm_holdout_recency(const rfm_histories *histories, const rfm_recency *recency, rfm_quality *quality);

#endif
