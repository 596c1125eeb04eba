/* Random draws that have the same digits with every compiler and C library: whole numbers, the four operations of IEEE
 * 754 and its square root, no libm. The generator is SplitMix64 (Steele, Lea & Flood 2014): one word of state, so that
 * each of a million clients has a stream of its own. Not for secrets. */
#ifndef RFM_APP_CHANCE_H
#define RFM_APP_CHANCE_H

#include <stdint.h>

typedef uint64_t rfm_chance;

/* A stream that has nothing to do with those of other numbers. */
rfm_chance rfm_chance_of(uint64_t seed, uint64_t number);
uint64_t rfm_chance_bits(rfm_chance *chance);

static inline double rfm_chance_unit(rfm_chance *chance)
{ /* [0, 1) */
    return (double)(rfm_chance_bits(chance) >> 11) * 0x1p-53;
}
static inline uint32_t rfm_chance_below(rfm_chance *chance, uint32_t count)
{ /* 0 to count - 1; off by 2^-32 at most */
    return (uint32_t)((rfm_chance_bits(chance) >> 32) * count >> 32);
}

double rfm_chance_exponential(rfm_chance *chance);         /* mean 1 */
double rfm_chance_normal(rfm_chance *chance);              /* mean 0, variance 1 */
double rfm_chance_gamma(rfm_chance *chance, double shape); /* scale 1 */
double rfm_chance_beta(rfm_chance *chance, double a, double b);
double rfm_chance_lognormal(rfm_chance *chance, double median, double sigma);

double rfm_chance_log(double x); /* x > 0 and normal; relative error below 1e-12 */
double rfm_chance_exp(double x); /* |x| < 700 */

#endif
