#include <rfm/model/mbg.h>

#include <float.h>
#include <stdbool.h>
#include <stddef.h>

#include <rfm/model/expected.h>

enum { ROOT_STEPS_MAX = 100 };

/* One history as the formulas see it, in the model's unit. w = log1p(idle / beta) is the scale on which the logarithm
 * of P(active) is nearly straight: roots are looked for there. */
struct history {
    double s, beta, d;
};

static struct history history_of(const rfm_model *model, double x, double t_x_days)
{
    double fade = 1 / (1 + x / model->evidence_cap);
    return (struct history){
        .s = model->r + x * fade,
        .beta = model->alpha + t_x_days / model->unit_days * fade,
        .d = model->a / (model->b + x),
    };
}

static double p_alive_of(const struct history *history, double idle)
{
    return 1 / (1 + history->d * exp(history->s * log1p(idle / history->beta)));
}

static double p_active_of(const struct history *history, double idle, double horizon)
{
    return p_alive_of(history, idle) * -expm1(-history->s * log1p(horizon / (history->beta + idle)));
}

static int check_positive(const char *name, double value, rfm_error *error)
{
    if (isfinite(value) && value > 0) {
        return RFM_OK;
    }
    return rfm_fail(error, RFM_E_RANGE, "model: %s is %g, it must be a finite number above 0", name, value);
}

int rfm_model_check(const rfm_model *model, rfm_error *error)
{
    const struct {
        const char *name;
        double value;
    } parameters[] = {
        {"r", model->r},
        {"alpha", model->alpha},
        {"a", model->a},
        {"b", model->b},
        {"unit", model->unit_days},
        {"evidence_cap", isinf(model->evidence_cap) && model->evidence_cap > 0 ? 1 : model->evidence_cap},
    };
    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++) {
        int code = check_positive(parameters[i].name, parameters[i].value, error);
        if (code) {
            return code;
        }
    }
    return RFM_OK;
}

double rfm_model_p_alive(const rfm_model *model, double x, double t_x_days, double idle_days)
{
    struct history history = history_of(model, x, t_x_days);
    return p_alive_of(&history, idle_days / model->unit_days);
}

double rfm_model_p_active(const rfm_model *model, double x, double t_x_days, double idle_days, double horizon_days)
{
    struct history history = history_of(model, x, t_x_days);
    return p_active_of(&history, idle_days / model->unit_days, horizon_days / model->unit_days);
}

double rfm_model_activity_ratio(const rfm_model *model, double x, double t_x_days, double idle_days,
                                double horizon_days)
{
    struct history history = history_of(model, x, t_x_days);
    double horizon = horizon_days / model->unit_days;
    return p_active_of(&history, idle_days / model->unit_days, horizon) / p_active_of(&history, 0, horizon);
}

/* P(alive) has fallen to no less than (1 + v)^-s of what it was, v = idle / beta. P(a purchase within the horizon,
 * given alive) is a concave function of horizon / (beta + idle), 0 at 0, and so has fallen to no less than 1 / (1 + v).
 * Together (1 + v)^-(s + 1), which is no less than 1 - (s + 1) v (Bernoulli). */
double rfm_model_activity_ratio_least(const rfm_model *model, double x, double t_x_days, double idle_days)
{
    const double rounding = 1e-9; /* far more than the formulas above err */
    struct history history = history_of(model, x, t_x_days);
    return 1 - rounding - (history.s + 1) * (idle_days / model->unit_days) / history.beta;
}

double rfm_model_expected_orders(const rfm_model *model, double x, double t_x_days, double idle_days,
                                 double horizon_days)
{
    struct history history = history_of(model, x, t_x_days);
    double idle = idle_days / model->unit_days;
    return p_alive_of(&history, idle) * rfm_expected_purchases(history.s, history.beta + idle, model->a,
                                                               model->b + x + 1, horizon_days / model->unit_days);
}

/* w at which P(alive) = threshold; below 0 if it is lower from the start. */
static double w_at_p_alive(const struct history *history, double threshold)
{
    return (log1p(-threshold) - log(threshold) - log(history->d)) / history->s;
}

/* w at which P(a purchase within the horizon, given alive) = threshold. */
static double w_at_purchase(const struct history *history, double horizon, double threshold)
{
    return log(horizon / history->beta) - log(expm1(-log1p(-threshold) / history->s));
}

static double log_p_active(const struct history *history, double horizon, double w)
{
    double purchase = -expm1(-history->s * log1p(horizon / history->beta * exp(-w)));
    return log(purchase) - log1p(history->d * exp(history->s * w));
}

/* The root of log P(active) - log_threshold in [low, high], where it is above 0 at `low` and falls; by Brent's method
 * (Algorithms for Minimization without Derivatives, 1973, chapter 4), to the last digits of w. */
static double root(const struct history *history, double horizon, double log_threshold, double low, double high)
{
    double other = low, other_value = log_p_active(history, horizon, low) - log_threshold;
    double best = high, best_value = log_p_active(history, horizon, high) - log_threshold;
    if (best_value >= 0) {
        return high;
    }
    double last = other, last_value = other_value, step = best - other, step_before = step;
    for (int i = 0; i < ROOT_STEPS_MAX; i++) {
        /* `other` and `best` hold the root between them, `best` being nearer; `last` is the best before. */
        if ((best_value > 0) == (other_value > 0)) {
            other = last, other_value = last_value;
            step = step_before = best - last;
        }
        if (fabs(other_value) < fabs(best_value)) {
            last = best, last_value = best_value;
            best = other, best_value = other_value;
            other = last, other_value = last_value;
        }
        double tolerance = 2 * DBL_EPSILON * fabs(best) + DBL_MIN, half = (other - best) / 2;
        if (fabs(half) <= tolerance || best_value == 0) {
            break;
        }
        bool bisect = fabs(step_before) < tolerance || fabs(last_value) <= fabs(best_value);
        if (!bisect) {
            double p, q, s = best_value / last_value;
            if (last == other) {
                p = 2 * half * s, q = 1 - s;
            } else {
                double t = last_value / other_value, u = best_value / other_value;
                p = s * (2 * half * t * (t - u) - (best - last) * (u - 1));
                q = (t - 1) * (u - 1) * (s - 1);
            }
            q = p > 0 ? -q : q;
            p = fabs(p);
            bisect = 2 * p >= 3 * half * q - fabs(tolerance * q) || p >= fabs(step_before * q / 2);
            step_before = step;
            step = p / q;
        }
        if (bisect) {
            step = step_before = half;
        }
        last = best, last_value = best_value;
        best += fabs(step) > tolerance ? step : copysign(tolerance, half);
        best_value = log_p_active(history, horizon, best) - log_threshold;
    }
    return best;
}

/* Idle time, in the model's unit, at which P(active) has fallen to `threshold`. */
static double idle_at_p_active(const struct history *history, double horizon, double threshold)
{
    if (p_active_of(history, 0, horizon) <= threshold) {
        return 0;
    }
    double high = fmin(w_at_p_alive(history, threshold), w_at_purchase(history, horizon, threshold));
    if (!(high > 0)) {
        return 0;
    }
    return history->beta * expm1(root(history, horizon, log(threshold), 0, high));
}

double rfm_model_idle_at_p_alive(const rfm_model *model, double x, double t_x_days, double threshold)
{
    struct history history = history_of(model, x, t_x_days);
    double w = w_at_p_alive(&history, threshold);
    return w > 0 ? model->unit_days * history.beta * expm1(w) : 0;
}

double rfm_model_idle_at_p_active(const rfm_model *model, double x, double t_x_days, double horizon_days,
                                  double threshold)
{
    struct history history = history_of(model, x, t_x_days);
    return model->unit_days * idle_at_p_active(&history, horizon_days / model->unit_days, threshold);
}

double rfm_model_idle_at_ratio(const rfm_model *model, double x, double t_x_days, double horizon_days, double threshold)
{
    struct history history = history_of(model, x, t_x_days);
    double horizon = horizon_days / model->unit_days;
    return model->unit_days * idle_at_p_active(&history, horizon, threshold * p_active_of(&history, 0, horizon));
}

double rfm_model_gap_days(const rfm_model *model, double x, double t_x_days, double q)
{
    struct history history = history_of(model, x, t_x_days);
    return model->unit_days * history.beta * expm1(-log1p(-q) / history.s);
}
