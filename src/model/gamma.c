#include <rfm/model/gamma.h>

#include <math.h>
#include <stddef.h>

/* Where the series below has 15 digits. */
#define ASYMPTOTIC_FROM 10.0

double rfm_log_gamma(double x)
{
    int sign; /* lgamma would write a global */
    return lgamma_r(x, &sign);
}

/* psi(x) = psi(x + 1) - 1/x up to there; then ln x - 1/(2x) - sum of B(2k) / (2k x^2k) (NIST Handbook, 5.11.2). */
double rfm_digamma(double x)
{
    static const double coefficients[] = {-1. / 12, 1. / 120, -1. / 252, 1. / 240, -1. / 132, 691. / 32760, -1. / 12};
    double below = 0;
    while (x < ASYMPTOTIC_FROM) {
        below += 1 / x;
        x += 1;
    }
    double square = 1 / (x * x), sum = 0;
    for (size_t i = sizeof coefficients / sizeof *coefficients; i > 0; i--) {
        sum = (sum + coefficients[i - 1]) * square;
    }
    return log(x) - .5 / x + sum - below;
}
