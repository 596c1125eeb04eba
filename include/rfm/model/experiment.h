/* What an experiment's figures say: two arms compared by conversion and by revenue per client, several comparisons
 * together, a look before the end, whether the arms have their shares, and how long until an effect would show. Unit:
 * the client. */
#ifndef RFM_MODEL_EXPERIMENT_H
#define RFM_MODEL_EXPERIMENT_H

#include <stddef.h>
#include <stdint.h>

/* One arm: clients whose window is over, those of them who bought, their revenue and its squares. */
typedef struct rfm_arm_sums {
    uint64_t clients, converted;
    double revenue, squares;
} rfm_arm_sums;

/* Variant minus control. NAN where the arms are too small to say anything. */
typedef struct rfm_comparison {
    double difference, low, high; /* the interval of 95 % */
    double statistic, p;          /* two-sided */
} rfm_comparison;

/* Conversions: z of two proportions with a pooled variance; the interval by Newcombe's hybrid of Wilson's (1998, method
 * 10). */
rfm_comparison rfm_compare_conversion(const rfm_arm_sums *control, const rfm_arm_sums *variant);
/* Revenue per client: Welch's t with Satterthwaite's degrees of freedom. */
rfm_comparison rfm_compare_revenue(const rfm_arm_sums *control, const rfm_arm_sums *variant);
/* Holm's step-down: p becomes what may be read as if it were the only comparison. NANs are left out. */
void rfm_holm(double *p, size_t count);
/* A p of conversion that may be looked at as often as one likes: mixture SPRT with a normal prior of standard deviation
 * `tau` on the difference (Johari, Koomen, Pekelis & Walsh 2017). The least of all looks so far is valid. */
double rfm_sequential_p(const rfm_arm_sums *control, const rfm_arm_sums *variant, double tau);
/* Pearson's chi-square of clients by arm against the shares: below .001 something places clients wrongly. NAN: less
 * than two arms have a share, or there is nobody. */
double rfm_sample_ratio_p(const uint64_t *clients, const double *share, size_t count);
/* Clients an arm needs so that a conversion of `rate` that rises by the part `lift` of itself is seen at 5 % with a
 * chance of 80 %. INFINITY: never. */
double rfm_clients_needed(double rate, double lift);

#endif
