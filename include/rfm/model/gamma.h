/* ln Gamma and its derivative, psi. */
#ifndef RFM_MODEL_GAMMA_H
#define RFM_MODEL_GAMMA_H

double rfm_log_gamma(double x); /* x > 0; safe in threads */
/* For x > 0, to 1e-14 of the larger of 1 and the value. */
double rfm_digamma(double x);

#endif
