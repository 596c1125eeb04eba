/* Scores: what needs the clock, the model or the population, computed from facts when asked, never stored. */
#ifndef RFM_CLIENT_SCORES_H
#define RFM_CLIENT_SCORES_H

#include <rfm/client/population.h>

typedef struct rfm_scores {
    bool buyer; /* false: prospect; then all below but segment and lifecycle are zero */
    uint8_t r, f, m;
    uint8_t segment; /* index into conf->segments */
    rfm_lifecycle lifecycle;
    double idle_days, t_x_days, p_alive, p_active, churn_risk, activity_ratio;
} rfm_scores;

/* `edges` may be NULL or of few clients: then fixed thresholds (docs/models.md, "RFM"). */
void rfm_scores_at(const rfm_client *client, const rfm_client_conf *conf, const rfm_edges *edges, int64_t now_ms,
                   rfm_scores *scores);
uint8_t rfm_client_segment_at(const rfm_client *client, const rfm_client_conf *conf, const rfm_edges *edges,
                              int64_t now_ms);
rfm_lifecycle rfm_client_lifecycle_at(const rfm_client *client, const rfm_client_conf *conf, int64_t now_ms);
/* The same for a caller that has the ratio at that moment already; only of a buyer. */
rfm_lifecycle rfm_client_lifecycle_of(const rfm_client *client, const rfm_client_conf *conf, double ratio);
double rfm_client_ratio_at(const rfm_client *client, const rfm_client_conf *conf, int64_t now_ms);
/* The ratio, or, where that is above `threshold`, any value that is: as good for a comparison, and mostly much
 * cheaper. */
double rfm_client_ratio_beyond(const rfm_client *client, const rfm_client_conf *conf, int64_t now_ms, double threshold);
double rfm_client_risk_at(const rfm_client *client, const rfm_client_conf *conf, int64_t now_ms);
/* Purchase days to expect within ltv.horizon, and what they are worth by the model's `spend`, in minor units: dearer
 * than the scores above, and never stored. Both NAN: not a buyer; the value also: no `spend`, or its mean is
 * infinite. */
double rfm_client_expected_orders_at(const rfm_client *client, const rfm_client_conf *conf, int64_t now_ms);
double rfm_client_predicted_minor(const rfm_client *client, const rfm_client_conf *conf, double expected_orders);
const char *rfm_lifecycle_name(rfm_lifecycle lifecycle);

/* First whole second (as ms) at which activity_ratio <= threshold, churn_risk >= threshold: exactly the first for which
 * rfm_client_ratio_at / _risk_at says so. INT64_MAX: never, or not a buyer. Not before last_ms. */
int64_t rfm_client_ratio_moment_ms(const rfm_client *client, const rfm_client_conf *conf, double threshold);
int64_t rfm_client_risk_moment_ms(const rfm_client *client, const rfm_client_conf *conf, double threshold);
/* The next moment after now_ms at which the fixed recency score falls (a midnight in rfm.timezone), INT64_MAX: none;
 * only if no axis is taken from the population. */
int64_t rfm_client_segment_moment_ms(const rfm_client *client, const rfm_client_conf *conf, int64_t now_ms);

#endif
