#include <rfm/model/nbd.h>

#include <math.h>
#include <stdbool.h>
#include <stddef.h>

#include <rfm/model/expected.h>
#include <rfm/model/gamma.h>

const char *rfm_nbd_name(rfm_nbd_kind kind)
{
    return kind == RFM_NBD_MBG ? "mbg_nbd" : "bg_nbd";
}

/* How often a client could have been lost, and was not: after every purchase, with BG but the first. */
static double survivals(const rfm_nbd *nbd, double x)
{
    return nbd->kind == RFM_NBD_MBG ? x + 1 : x;
}

void rfm_nbd_part_of(const rfm_nbd *nbd, double x, rfm_nbd_part *part)
{
    double r = nbd->r, a = nbd->a, b = nbd->b, survived = survivals(nbd, x), before = b + survived - 1;
    bool can_be_gone = survived > 0;
    double of_both = rfm_digamma(a + b) - rfm_digamma(a + b + survived);
    *part = (rfm_nbd_part){
        .rate = r + x,
        .value = rfm_log_gamma(r + x) - rfm_log_gamma(r) + r * log(nbd->alpha) + rfm_log_gamma(a + b) -
                 rfm_log_gamma(a + b + survived) + rfm_log_gamma(b + survived) - rfm_log_gamma(b),
        .by_r = rfm_digamma(r + x) - rfm_digamma(r) + log(nbd->alpha),
        .by_a = of_both,
        .by_b = of_both + rfm_digamma(b + survived) - rfm_digamma(b),
        .log_gone = can_be_gone ? log(a) - log(before) : -INFINITY,
        .gone_by_b = can_be_gone ? -1 / before : 0,
    };
}

double rfm_nbd_part_at(const rfm_nbd *nbd, const rfm_nbd_part *part, double t_x, double age, double weight,
                       double gradient[4])
{
    double log_age = log(nbd->alpha + age), log_t_x = log(nbd->alpha + t_x);
    double alive = -part->rate * log_age, gone = part->log_gone - part->rate * log_t_x;
    double odds = exp(gone - alive), p_alive = 1 / (1 + odds), p_gone = isinf(odds) ? 1 : odds * p_alive;
    if (gradient) {
        double rate = part->rate;
        gradient[0] += weight * (part->by_r - p_alive * log_age - p_gone * log_t_x);
        gradient[1] += weight *
                       (nbd->r / nbd->alpha - rate * (p_alive / (nbd->alpha + age) + p_gone / (nbd->alpha + t_x)));
        gradient[2] += weight * (part->by_a + p_gone / nbd->a);
        gradient[3] += weight * (part->by_b + p_gone * part->gone_by_b);
    }
    return part->value + (odds < 1 ? alive + log1p(odds) : gone + log1p(1 / odds));
}

double rfm_nbd_log_likelihood(const rfm_nbd *nbd, double x, double t_x, double age, double gradient[4])
{
    rfm_nbd_part part;
    rfm_nbd_part_of(nbd, x, &part);
    if (gradient) {
        gradient[0] = gradient[1] = gradient[2] = gradient[3] = 0;
    }
    return rfm_nbd_part_at(nbd, &part, t_x, age, 1, gradient);
}

double rfm_nbd_p_alive(const rfm_nbd *nbd, double x, double t_x, double age)
{
    double survived = survivals(nbd, x);
    if (survived == 0) {
        return 1;
    }
    return 1 / (1 + nbd->a / (nbd->b + survived - 1) * exp((nbd->r + x) * log1p((age - t_x) / (nbd->alpha + t_x))));
}

double rfm_nbd_p_active(const rfm_nbd *nbd, double x, double t_x, double age, double t)
{
    return rfm_nbd_p_alive(nbd, x, t_x, age) * -expm1(-(nbd->r + x) * log1p(t / (nbd->alpha + age)));
}

double rfm_nbd_expected(const rfm_nbd *nbd, double x, double t_x, double age, double t)
{
    return rfm_nbd_p_alive(nbd, x, t_x, age) *
           rfm_expected_purchases(nbd->r + x, nbd->alpha + age, nbd->a, nbd->b + survivals(nbd, x), t);
}
