#include <rfm/model/spend.h>

#include <math.h>
#include <stddef.h>

#include <rfm/model/gamma.h>

void rfm_spend_part_of(const rfm_spend *spend, double x, rfm_spend_part *part)
{
    double px = spend->p * x;
    *part = (rfm_spend_part){
        .x = x,
        .value = rfm_log_gamma(px + spend->q) - rfm_log_gamma(px) - rfm_log_gamma(spend->q) + spend->q * log(spend->v) +
                 px * log(x),
        .by_p = x * (rfm_digamma(px + spend->q) - rfm_digamma(px) + log(x)),
        .by_q = rfm_digamma(px + spend->q) - rfm_digamma(spend->q) + log(spend->v),
    };
}

double rfm_spend_part_at(const rfm_spend *spend, const rfm_spend_part *part, double z, double weight,
                         double gradient[3])
{
    double x = part->x, px = spend->p * x, log_z = log(z), total = x * z + spend->v, log_total = log(total);
    if (gradient) {
        gradient[0] += weight * (part->by_p + x * (log_z - log_total));
        gradient[1] += weight * (part->by_q - log_total);
        gradient[2] += weight * (spend->q / spend->v - (px + spend->q) / total);
    }
    return part->value + (px - 1) * log_z - (px + spend->q) * log_total;
}

double rfm_spend_log_likelihood(const rfm_spend *spend, double x, double z, double gradient[3])
{
    rfm_spend_part part;
    rfm_spend_part_of(spend, x, &part);
    if (gradient) {
        gradient[0] = gradient[1] = gradient[2] = 0;
    }
    return rfm_spend_part_at(spend, &part, z, 1, gradient);
}

double rfm_spend_mean(const rfm_spend *spend, double x, double z)
{
    double below = spend->p * x + spend->q - 1;
    return below > 0 ? (spend->v + x * z) * spend->p / below : NAN;
}
