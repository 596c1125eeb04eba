/* Maximum likelihood for the purchase models over histories: NBD parameters with times in `unit_days`, and Gamma-Gamma
 * over the repeat spend. */
#ifndef RFM_FIT_FIT_H
#define RFM_FIT_FIT_H

#include "maximum.h"
#include "purchases.h"

#include <rfm/model/mbg.h>
#include <rfm/model/nbd.h>

enum { RFM_SPEND_CLIENTS_MIN = 50 };

/* `maximum.at` in the order r, alpha, a, b. RFM_E_RANGE: the data do not tell them. */
int rfm_fit_nbd(rfm_nbd_kind kind, const rfm_histories *histories, double unit_days, rfm_maximum *maximum,
                rfm_error *error);
/* `maximum.at` in the order p, q, v. RFM_E_RANGE: too few clients with repeat spend, or as above. */
int rfm_fit_spend(const rfm_histories *histories, rfm_maximum *maximum, rfm_error *error);
rfm_nbd rfm_nbd_of(rfm_nbd_kind kind, const double at[4]);
double rfm_histories_log_likelihood(const rfm_nbd *nbd, const rfm_histories *histories, double unit_days,
                                    double gradient[4]);

#endif
