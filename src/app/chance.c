#include "chance.h"

#include <math.h>
#include <string.h>

static uint64_t mix(uint64_t z)
{
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint64_t rfm_chance_bits(rfm_chance *chance)
{
    return mix(*chance += UINT64_C(0x9e3779b97f4a7c15));
}

rfm_chance rfm_chance_of(uint64_t seed, uint64_t number)
{
    return mix(mix(seed + UINT64_C(0x9e3779b97f4a7c15)) + number * UINT64_C(0xd1342543de82ef95));
}

/* x = m 2^e with m about 1, and log m = 2 artanh((m - 1) / (m + 1)) as its series. */
double rfm_chance_log(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int exponent = (int)(bits >> 52 & 2047) - 1023;
    bits = (bits & UINT64_C(0xfffffffffffff)) | UINT64_C(0x3ff0000000000000);
    double m;
    memcpy(&m, &bits, sizeof m);
    if (m > 1.4142135623730951) {
        m *= 0.5;
        exponent++;
    }
    double s = (m - 1) / (m + 1), square = s * s, sum = 0;
    for (int k = 17; k >= 1; k -= 2)
        sum = sum * square + 1.0 / k;
    return 2 * s * sum + exponent * 0.6931471805599453;
}

double rfm_chance_exp(double x)
{
    int exponent = (int)(x * 1.4426950408889634 + (x < 0 ? -0.5 : 0.5));
    double rest = x - exponent * 0.6931471805599453, sum = 1;
    for (int k = 13; k >= 1; k--)
        sum = 1 + sum * rest / k;
    uint64_t bits = (uint64_t)(exponent + 1023) << 52;
    double power;
    memcpy(&power, &bits, sizeof power);
    return sum * power;
}

double rfm_chance_exponential(rfm_chance *chance)
{
    return -rfm_chance_log(1 - rfm_chance_unit(chance));
}

/* Marsaglia's polar method. */
double rfm_chance_normal(rfm_chance *chance)
{
    double u, v, square;
    do {
        u = 2 * rfm_chance_unit(chance) - 1;
        v = 2 * rfm_chance_unit(chance) - 1;
        square = u * u + v * v;
    } while (square >= 1 || square == 0);
    return u * sqrt(-2 * rfm_chance_log(square) / square);
}

/* Marsaglia & Tsang 2000; a shape below 1 by way of shape + 1. */
double rfm_chance_gamma(rfm_chance *chance, double shape)
{
    if (shape < 1) {
        double more = rfm_chance_gamma(chance, shape + 1);
        return more * rfm_chance_exp(rfm_chance_log(1 - rfm_chance_unit(chance)) / shape);
    }
    double d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        double x = rfm_chance_normal(chance), v = 1 + c * x;
        if (v <= 0)
            continue;
        v = v * v * v;
        double u = 1 - rfm_chance_unit(chance);
        if (rfm_chance_log(u) < 0.5 * x * x + d - d * v + d * rfm_chance_log(v))
            return d * v;
    }
}

double rfm_chance_beta(rfm_chance *chance, double a, double b)
{
    double x = rfm_chance_gamma(chance, a), y = rfm_chance_gamma(chance, b);
    return x + y > 0 ? x / (x + y) : 0.5;
}

double rfm_chance_lognormal(rfm_chance *chance, double median, double sigma)
{
    return median * rfm_chance_exp(sigma * rfm_chance_normal(chance));
}
