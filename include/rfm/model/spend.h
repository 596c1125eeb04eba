/* Gamma-Gamma (Fader & Hardie 2013): what a purchase of a client is worth varies by Gamma(p, .) around their own mean,
 * means vary among clients by q and v. x: purchases that were seen, z > 0: their mean. */
#ifndef RFM_MODEL_SPEND_H
#define RFM_MODEL_SPEND_H

typedef struct rfm_spend {
    double p, q, v; /* p 0: absent */
} rfm_spend;

/* What a likelihood has of x alone: clients of equal x share it. */
typedef struct rfm_spend_part {
    double x, value, by_p, by_q;
} rfm_spend_part;

void rfm_spend_part_of(const rfm_spend *spend, double x, rfm_spend_part *part); /* x > 0 */
/* The log-likelihood of one client; adds `weight` times its derivatives to gradient (p, q, v; may be NULL). */
double rfm_spend_part_at(const rfm_spend *spend, const rfm_spend_part *part, double z, double weight,
                         double gradient[3]);
double rfm_spend_log_likelihood(const rfm_spend *spend, double x, double z, double gradient[3]);
/* The client's expected mean; at x 0 that of all. NAN: infinite, where p x + q <= 1. */
double rfm_spend_mean(const rfm_spend *spend, double x, double z);

#endif
