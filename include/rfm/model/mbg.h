/* MBG/NBD (Batislam, Denizel & Filiztekin 2007) with an evidence cap that fades a long history at scoring time: f =
 * 1/(1 + x/c), s = r + x f, beta = alpha + t_x f, d = a/(b + x). All times here are in days and are converted to the
 * model's unit inside. x: purchase days after the first; t_x: first to last purchase; idle: last purchase to now. */
#ifndef RFM_MODEL_MBG_H
#define RFM_MODEL_MBG_H

#include <rfm/base/error.h>
#include <rfm/model/spend.h>

#include <math.h>

typedef struct rfm_model {
    double r, alpha, a, b;
    double unit_days;    /* 1 or 7: what alpha is counted in */
    double evidence_cap; /* c; INFINITY: none, exactly MBG/NBD */
    rfm_spend spend;
} rfm_model;

/* RFM_E_RANGE with a message that names the parameter: all of r, alpha, a, b, unit, cap finite (cap may be INFINITY)
 * and > 0. */
int rfm_model_check(const rfm_model *model, rfm_error *error);
double rfm_model_p_alive(const rfm_model *model, double x, double t_x_days, double idle_days);
/* P(at least one purchase in the next `horizon_days`). Churn risk is 1 - this. */
double rfm_model_p_active(const rfm_model *model, double x, double t_x_days, double idle_days, double horizon_days);
/* P(active) now over P(active) just after the last purchase: 1 down to 0. */
double rfm_model_activity_ratio(const rfm_model *model, double x, double t_x_days, double idle_days,
                                double horizon_days);
/* A value below activity_ratio, whatever the horizon, at hardly any cost: where it is above a threshold, so is the
 * ratio. */
double rfm_model_activity_ratio_least(const rfm_model *model, double x, double t_x_days, double idle_days);
/* Expected purchase days in the next `horizon_days`. */
double rfm_model_expected_orders(const rfm_model *model, double x, double t_x_days, double idle_days,
                                 double horizon_days);
/* Idle days at which the value has fallen to `threshold` in (0, 1): 0 if it is there from the start; the root to 1e-9
 * relative by Brent's method within the bounds of the closed forms. */
double rfm_model_idle_at_p_alive(const rfm_model *model, double x, double t_x_days, double threshold);
double rfm_model_idle_at_p_active(const rfm_model *model, double x, double t_x_days, double horizon_days,
                                  double threshold);
double rfm_model_idle_at_ratio(const rfm_model *model, double x, double t_x_days, double horizon_days,
                               double threshold);
/* Days after the last purchase within which the next one comes with probability q in (0, 1), if the client is alive:
 * the gap's posterior quantile with the cap's s and beta. Says nothing at x = 0. */
double rfm_model_gap_days(const rfm_model *model, double x, double t_x_days, double q);

#endif
