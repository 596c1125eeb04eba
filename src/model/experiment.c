#include <rfm/model/experiment.h>

#include <float.h>
#include <math.h>
#include <stdbool.h>

#define Z_975 1.9599639845400545 /* quantiles of the normal distribution */
#define Z_80  0.8416212335729143
#define TINY  1e-300
enum { FRACTION_STEPS_MAX = 10000 };

static const rfm_comparison unknown = {NAN, NAN, NAN, NAN, NAN};

static double normal_two_sided(double z)
{
    return erfc(fabs(z) / sqrt(2));
}

/* One arm's conversion by Wilson's score interval. */
typedef struct interval {
    double rate, low, high;
} interval;

static interval wilson(const rfm_arm_sums *arm)
{
    double n = (double)arm->clients, rate = (double)arm->converted / n, z2 = Z_975 * Z_975;
    double middle = (rate + z2 / (2 * n)) / (1 + z2 / n);
    double half = Z_975 * sqrt(rate * (1 - rate) / n + z2 / (4 * n * n)) / (1 + z2 / n);
    return (interval){rate, middle - half, middle + half};
}

rfm_comparison rfm_compare_conversion(const rfm_arm_sums *control, const rfm_arm_sums *variant)
{
    if (control->clients == 0 || variant->clients == 0)
        return unknown;
    interval c = wilson(control), v = wilson(variant);
    double n_c = (double)control->clients, n_v = (double)variant->clients;
    double pooled = ((double)control->converted + (double)variant->converted) / (n_c + n_v);
    double error = sqrt(pooled * (1 - pooled) * (1 / n_c + 1 / n_v)), difference = v.rate - c.rate;
    rfm_comparison comparison = {.difference = difference, .statistic = error > 0 ? difference / error : 0};
    comparison.low = difference - hypot(v.rate - v.low, c.high - c.rate);
    comparison.high = difference + hypot(v.high - v.rate, c.rate - c.low);
    comparison.p = normal_two_sided(comparison.statistic);
    return comparison;
}

/* The continued fraction of the incomplete beta function, by Lentz's method. */
static double beta_fraction(double a, double b, double x)
{
    double c = 1, d = 1 / (1 - (a + b) * x / (a + 1)), fraction = d;
    for (int m = 1; m <= FRACTION_STEPS_MAX; m++) {
        double before = fraction;
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        d = 1 / (1 + even * d), c = 1 + even / c, fraction *= c * d;
        d = 1 / (1 + odd * d), c = 1 + odd / c, fraction *= c * d;
        if (fabs(fraction - before) <= DBL_EPSILON * fabs(fraction))
            break;
    }
    return fraction;
}

static double log_gamma(double x)
{
    int sign;
    return lgamma_r(x, &sign);
}

/* The regularised incomplete beta function. */
static double beta_part(double a, double b, double x)
{
    if (x <= 0 || x >= 1)
        return x <= 0 ? 0 : 1;
    double front = exp(log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * log(x) + b * log1p(-x));
    return x < (a + 1) / (a + b + 2) ? front * beta_fraction(a, b, x) / a : 1 - front * beta_fraction(b, a, 1 - x) / b;
}

static double t_two_sided(double t, double freedom)
{
    return beta_part(freedom / 2, 0.5, freedom / (freedom + t * t));
}

/* Beyond which a twentieth lies, on both sides together. */
static double t_quantile(double freedom)
{
    double low = 0, high = 1e4;
    for (int i = 0; i < 200 && high - low > 1e-13 * high; i++) {
        double middle = (low + high) / 2;
        if (t_two_sided(middle, freedom) > 0.05)
            low = middle;
        else
            high = middle;
    }
    return high;
}

/* The variance of an arm's mean. */
static double error_of_mean(const rfm_arm_sums *arm)
{
    double n = (double)arm->clients, variance = (arm->squares - arm->revenue * arm->revenue / n) / (n - 1);
    return (variance > 0 ? variance : 0) / n;
}

rfm_comparison rfm_compare_revenue(const rfm_arm_sums *control, const rfm_arm_sums *variant)
{
    if (control->clients < 2 || variant->clients < 2)
        return unknown;
    double n_c = (double)control->clients, n_v = (double)variant->clients;
    double of_c = error_of_mean(control), of_v = error_of_mean(variant), both = of_c + of_v;
    double difference = variant->revenue / n_v - control->revenue / n_c;
    if (!(both > 0))
        return (rfm_comparison){difference, NAN, NAN, NAN, NAN};
    double freedom = both * both / (of_c * of_c / (n_c - 1) + of_v * of_v / (n_v - 1));
    double half = t_quantile(freedom) * sqrt(both), t = difference / sqrt(both);
    return (rfm_comparison){difference, difference - half, difference + half, t, t_two_sided(t, freedom)};
}

/* The least p above the one that was taken last; ties by place. */
static size_t next_smallest(const double *p, const bool *taken, size_t count)
{
    size_t found = count;
    for (size_t i = 0; i < count; i++) {
        if (!taken[i] && !isnan(p[i]) && (found == count || p[i] < p[found]))
            found = i;
    }
    return found;
}

void rfm_holm(double *p, size_t count)
{
    enum { HOLM_MAX = 64 };
    bool taken[HOLM_MAX] = {false};
    double least = 0;
    size_t left = 0, i;
    count = count < HOLM_MAX ? count : HOLM_MAX;
    for (i = 0; i < count; i++)
        left += !isnan(p[i]);
    while ((i = next_smallest(p, taken, count)) < count) {
        taken[i] = true;
        p[i] = fmin(1, fmax(least, p[i] * (double)left--));
        least = p[i];
    }
}

double rfm_sequential_p(const rfm_arm_sums *control, const rfm_arm_sums *variant, double tau)
{
    if (control->clients == 0 || variant->clients == 0)
        return NAN;
    double n_c = (double)control->clients, n_v = (double)variant->clients;
    double c = (double)control->converted / n_c, v = (double)variant->converted / n_v;
    double variance = c * (1 - c) / n_c + v * (1 - v) / n_v, prior = tau * tau;
    if (!(variance > 0))
        return 1;
    double log_ratio = 0.5 * log(variance / (variance + prior)) +
                       prior * (v - c) * (v - c) / (2 * variance * (variance + prior));
    return fmin(1, exp(-log_ratio));
}

/* The upper incomplete gamma function, regularised: by its series below, by Lentz's fraction above a + 1. */
static double gamma_above(double a, double x)
{
    double front = exp(a * log(x) - x - log_gamma(a));
    if (x < a + 1) {
        double term = 1 / a, sum = term;
        for (int n = 1; n <= FRACTION_STEPS_MAX && term > DBL_EPSILON * sum; n++)
            term *= x / (a + n), sum += term;
        return 1 - front * sum;
    }
    double b = x + 1 - a, c = 1 / TINY, d = 1 / b, fraction = d;
    for (int n = 1; n <= FRACTION_STEPS_MAX; n++) {
        double before = fraction, part = -n * (n - a);
        b += 2;
        d = 1 / (part * d + b), c = b + part / c, fraction *= c * d;
        if (fabs(fraction - before) <= DBL_EPSILON * fabs(fraction))
            break;
    }
    return front * fraction;
}

double rfm_sample_ratio_p(const uint64_t *clients, const double *share, size_t count)
{
    double all = 0, shares = 0, chi_square = 0, arms = 0;
    for (size_t i = 0; i < count; i++)
        all += (double)clients[i], shares += share[i], arms += share[i] > 0;
    if (all == 0 || arms < 2)
        return NAN;
    for (size_t i = 0; i < count; i++) {
        double expected = all * share[i] / shares, off = (double)clients[i] - expected;
        if (expected == 0 && clients[i] > 0)
            return 0;
        chi_square += expected > 0 ? off * off / expected : 0;
    }
    return chi_square > 0 ? gamma_above((arms - 1) / 2, chi_square / 2) : 1;
}

double rfm_clients_needed(double rate, double lift)
{
    double other = rate * (1 + lift), middle = (rate + other) / 2, difference = other - rate;
    if (!(rate > 0 && rate < 1 && other >= 0 && other <= 1) || difference == 0)
        return INFINITY;
    double null = Z_975 * sqrt(2 * middle * (1 - middle)), real = Z_80 * sqrt(rate * (1 - rate) + other * (1 - other));
    return ceil((null + real) * (null + real) / (difference * difference));
}
