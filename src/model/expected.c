#include <rfm/model/expected.h>

#include <float.h>
#include <math.h>
#include <stdbool.h>

/* With C = a + b - 1, e = a - 1 and z = t / (beta + t) the expectation is (C / e) (1 - 2F1(s, b; C; z) (1 - z)^s). By
 * Euler's transformation that is (C / e) (1 - (1 - z)^e F), F = 2F1(C - s, e; C; z): no power of it is large. F is
 * written 1 + e S, so that nothing is divided by e where a is near 1. */

/* Where all terms of S are positive, few, and far from an overflow. */
#define Z_MAX         0.95
#define A_MAX         30.0
#define C_MIN         0.5
#define HALF_POINTS   400
#define TAIL_EXPONENT 45.0 /* e^-45: nothing beside the digits of a double */

static bool series_suits(double numerator, double a, double c, double z)
{
    return numerator >= 0 && c >= C_MIN && a <= A_MAX && z <= Z_MAX;
}

/* S = sum over k >= 1 of (C - s)_k (a)_(k-1) / ((C)_k k!) z^k; its terms fall at last like z^k. */
static double series(double numerator, double a, double c, double z)
{
    double term = numerator / c * z, sum = term;
    for (double k = 1; term > sum * (DBL_EPSILON / 32); k++) {
        term *= (numerator + k) * (a + k - 1) / ((c + k) * (k + 1)) * z;
        sum += term;
    }
    return sum;
}

static double by_series(double s, double beta, double a, double c, double t)
{
    double z = t / (beta + t), e = a - 1, log_rest = -log1p(t / beta), sum = series(c - s, a, c, z);
    if (e == 0) {
        return c * -(log_rest + sum);
    }
    return c * -expm1(e * log_rest + log1p(e * sum)) / e;
}

/* The mean over Beta(a, b) by the trapezoidal rule in v, logit p = log(a/b) + scale sinh v: the weight falls doubly
 * exponentially on both sides, and its sum over the same points stands for the Beta function. */
static double by_quadrature(double s, double beta, double a, double b, double t)
{
    double scale = fmin(1, sqrt(1 / a + 1 / b)), centre = log(a / b), ratio = t / beta;
    double peak = -a * log1p(b / a) - b * log1p(a / b);
    double step = asinh((TAIL_EXPONENT / fmin(a, b) + TAIL_EXPONENT) / scale) / HALF_POINTS, weights = 0, sum = 0;
    for (int i = -HALF_POINTS; i <= HALF_POINTS; i++) {
        double logit = centre + scale * sinh(i * step);
        double log_rest = logit > 0 ? -logit - log1p(exp(-logit)) : -log1p(exp(logit)), log_p = log_rest + logit;
        double weight = exp(a * log_p + b * log_rest - peak) * cosh(i * step), p = exp(log_p);
        weights += weight;
        sum += weight * (p > DBL_MIN ? -expm1(-s * log1p(p * ratio)) / p : s * ratio);
    }
    return sum / weights;
}

double rfm_expected_purchases(double s, double beta, double a, double b, double t)
{
    double c = a + b - 1;
    if (series_suits(c - s, a, c, t / (beta + t))) {
        return by_series(s, beta, a, c, t);
    }
    return by_quadrature(s, beta, a, b, t);
}
