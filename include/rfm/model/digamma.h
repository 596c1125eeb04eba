/* The derivative of ln Gamma. */
#ifndef RFM_MODEL_DIGAMMA_H
#define RFM_MODEL_DIGAMMA_H

/* For x > 0, to 1e-14 of the larger of 1 and the value. */
double rfm_digamma(double x);

#endif
