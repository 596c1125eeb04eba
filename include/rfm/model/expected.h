/* How often a client who is alive now will buy in a time t: their rate has a Gamma(s, beta) distribution, and after
 * each purchase they are gone with a probability p from Beta(a, b), so that E = E[(1 - (1 + p t / beta)^-s) / p]. */
#ifndef RFM_MODEL_EXPECTED_H
#define RFM_MODEL_EXPECTED_H

/* All parameters > 0, t >= 0 in beta's unit. To 1e-9 relative, finite for every finite argument, never falling in t. */
double rfm_expected_purchases(double s, double beta, double a, double b, double t);

#endif
