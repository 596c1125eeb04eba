/* What `rfmd fit` does with purchases: parameters at the end of observation, and with a hold-out how well they told
 * what came after it, with several evidence caps and beside recency alone. The cap is chosen within the observed time:
 * fitted on its beginning, by log loss on its end. */
#ifndef RFM_FIT_STUDY_H
#define RFM_FIT_STUDY_H

#include "fit.h"
#include "holdout.h"

#define RFM_CAP_DEFAULT 5.0

typedef struct rfm_study_conf {
    rfm_nbd_kind kind;
    double unit_days;     /* 1 or 7 */
    int32_t holdout_days; /* 0: none */
    double cap;           /* INFINITY: none; 0: the proposed one, without hold-out RFM_CAP_DEFAULT */
} rfm_study_conf;

typedef struct rfm_cap_trial {
    double cap; /* INFINITY: the plain model */
    rfm_quality quality;
    double inner_log_loss; /* NAN: there is no inner split */
} rfm_cap_trial;

typedef struct rfm_study {
    rfm_study_conf conf;
    rfm_histories histories;
    rfm_maximum nbd, spend;
    bool has_spend;
    char no_spend[256]; /* else: why */
    rfm_model model;    /* what is written */
    struct {
        int32_t until, days;
        bool known;
        char why[256]; /* else: why there is none */
    } inner;
    rfm_cap_trial trial[RFM_TRIALS_MAX]; /* BG/NBD: the plain one alone */
    size_t trial_count, chosen;          /* chosen: the trial of the model's cap */
    rfm_quality recency;
    bool has_recency; /* false: only its AUC is known */
} rfm_study;

void rfm_study_init(rfm_study *study, const rfm_study_conf *conf);
void rfm_study_release(rfm_study *study);
/* Over the purchases up to `until`. RFM_E_RANGE: the data do not tell the parameters. */
int rfm_study_purchases(rfm_study *study, rfm_purchases *purchases, int32_t until, rfm_error *error);
/* The trial without a cap: the model as published. */
const rfm_cap_trial *rfm_study_plain(const rfm_study *study);
/* Over study->histories, which the caller filled; without hold-out. */
int rfm_study_histories(rfm_study *study, rfm_error *error);

#endif
