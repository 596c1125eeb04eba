#include "study.h"

#include <math.h>
#include <stdio.h>

static const double caps[] = {1, 2, 3, 5, 8, 13, 20, 50, INFINITY};

void rfm_study_init(rfm_study *study, const rfm_study_conf *conf)
{
    *study = (rfm_study){.conf = *conf};
    rfm_histories_init(&study->histories);
}

void rfm_study_release(rfm_study *study)
{
    rfm_histories_release(&study->histories);
}

static rfm_model model_of(const rfm_study *study, const rfm_maximum *nbd, double cap)
{
    return (rfm_model){.r = nbd->at[0],
                       .alpha = nbd->at[1],
                       .a = nbd->at[2],
                       .b = nbd->at[3],
                       .unit_days = study->conf.unit_days,
                       .evidence_cap = cap};
}

int rfm_study_histories(rfm_study *study, rfm_error *error)
{
    int code = rfm_fit_nbd(study->conf.kind, &study->histories, study->conf.unit_days, &study->nbd, error);
    if (code != RFM_OK)
        return code;
    rfm_error no_spend;
    study->has_spend = rfm_fit_spend(&study->histories, &study->spend, &no_spend) == RFM_OK;
    snprintf(study->no_spend, sizeof study->no_spend, "%s", study->has_spend ? "" : no_spend.message);
    study->model = model_of(study, &study->nbd, study->conf.cap > 0 ? study->conf.cap : RFM_CAP_DEFAULT);
    if (study->has_spend)
        study->model.spend = (rfm_spend){study->spend.at[0], study->spend.at[1], study->spend.at[2]};
    return RFM_OK;
}

/* The inner split: as long a hold-out as the outer one if it leaves as much time before it, else half of the time. */
static void split_inner(rfm_study *study)
{
    int32_t span = study->histories.until - study->histories.first_day, days = study->conf.holdout_days;
    study->inner.days = days < span / 2 ? days : span / 2;
    study->inner.until = study->histories.until - study->inner.days;
}

static void try_inner(rfm_study *study, rfm_purchases *purchases)
{
    rfm_histories inner;
    rfm_maximum nbd = {0};
    rfm_error error;
    split_inner(study);
    rfm_purchases_histories(purchases, study->inner.until, study->inner.days, &inner);
    study->inner.known = rfm_fit_nbd(RFM_NBD_MBG, &inner, study->conf.unit_days, &nbd, &error) == RFM_OK;
    if (!study->inner.known)
        snprintf(study->inner.why, sizeof study->inner.why, "%s", error.message);
    for (size_t i = 0; i < study->trial_count; i++) {
        rfm_quality quality = {.log_loss = NAN};
        rfm_model model = model_of(study, &nbd, study->trial[i].cap);
        if (study->inner.known)
            rfm_holdout_model(&inner, &model, study->inner.days, &quality);
        study->trial[i].inner_log_loss = quality.log_loss;
    }
    rfm_histories_release(&inner);
}

static size_t trial_of(const rfm_study *study, double cap)
{
    size_t i = 0;
    while (i < study->trial_count && study->trial[i].cap != cap)
        i++;
    return i;
}

const rfm_cap_trial *rfm_study_plain(const rfm_study *study)
{
    return &study->trial[trial_of(study, INFINITY)];
}

/* The caps to try, the one that the user named among them. */
static void list_trials(rfm_study *study)
{
    for (size_t i = 0; i < sizeof caps / sizeof *caps; i++)
        study->trial[study->trial_count++].cap = caps[i];
    if (study->conf.cap > 0 && trial_of(study, study->conf.cap) == study->trial_count)
        study->trial[study->trial_count++].cap = study->conf.cap;
}

static size_t proposed(const rfm_study *study)
{
    size_t best = trial_of(study, RFM_CAP_DEFAULT);
    for (size_t i = 0; study->inner.known && i < study->trial_count; i++)
        best = study->trial[i].inner_log_loss < study->trial[best].inner_log_loss ? i : best;
    return best;
}

static void try_caps(rfm_study *study)
{
    for (size_t i = 0; i < study->trial_count; i++) {
        rfm_model model = model_of(study, &study->nbd, study->trial[i].cap);
        rfm_holdout_model(&study->histories, &model, study->conf.holdout_days, &study->trial[i].quality);
    }
    study->chosen = study->conf.cap > 0 ? trial_of(study, study->conf.cap) : proposed(study);
    study->model.evidence_cap = study->trial[study->chosen].cap;
}

static void try_plain(rfm_study *study)
{
    rfm_nbd nbd = rfm_nbd_of(study->conf.kind, study->nbd.at);
    rfm_cap_trial *trial = &study->trial[study->trial_count++];
    *trial = (rfm_cap_trial){.cap = INFINITY, .inner_log_loss = NAN};
    rfm_holdout_nbd(&study->histories, &nbd, study->conf.unit_days, study->conf.holdout_days, &trial->quality);
}

/* In its favour, its two parameters are fitted to the hold-out itself. */
static void try_recency(rfm_study *study)
{
    rfm_recency recency;
    rfm_error error;
    study->has_recency = rfm_recency_fit(&study->histories, &recency, &error) == RFM_OK;
    if (!study->has_recency)
        recency = (rfm_recency){0, -1};
    rfm_holdout_recency(&study->histories, &recency, &study->recency);
}

int rfm_study_purchases(rfm_study *study, rfm_purchases *purchases, int32_t until, rfm_error *error)
{
    rfm_purchases_histories(purchases, until, study->conf.holdout_days, &study->histories);
    int code = rfm_study_histories(study, error);
    if (code != RFM_OK || study->conf.holdout_days == 0)
        return code;
    if (study->conf.kind == RFM_NBD_MBG) {
        list_trials(study);
        try_inner(study, purchases);
        try_caps(study);
    } else {
        try_plain(study);
    }
    try_recency(study);
    return RFM_OK;
}
