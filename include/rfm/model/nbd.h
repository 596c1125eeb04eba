/* MBG/NBD (Batislam, Denizel & Filiztekin 2007) and BG/NBD (Fader, Hardie & Lee 2005) as published, for fitting and
 * comparison; scoring, with its evidence cap, is mbg.h. The two differ in when clients may be lost: MBG after any
 * purchase, BG after any but the first. Times in the unit of alpha: t_x from the first to the last purchase, age from
 * the first to now. x: purchase days after the first. */
#ifndef RFM_MODEL_NBD_H
#define RFM_MODEL_NBD_H

typedef enum rfm_nbd_kind { RFM_NBD_MBG, RFM_NBD_BG } rfm_nbd_kind;
typedef struct rfm_nbd {
    rfm_nbd_kind kind;
    double r, alpha, a, b; /* > 0 */
} rfm_nbd;

/* What a likelihood has of x alone: histories of equal x share it. */
typedef struct rfm_nbd_part {
    double rate; /* r + x */
    double value, by_r, by_a, by_b;
    double log_gone, gone_by_b; /* of the client having been lost at t_x; -INFINITY: cannot have been */
} rfm_nbd_part;

const char *rfm_nbd_name(rfm_nbd_kind kind); /* "mbg_nbd", "bg_nbd" */
void rfm_nbd_part_of(const rfm_nbd *nbd, double x, rfm_nbd_part *part);
/* The log-likelihood of one history; adds `weight` times its derivatives to gradient (r, alpha, a, b; may be NULL). */
double rfm_nbd_part_at(const rfm_nbd *nbd, const rfm_nbd_part *part, double t_x, double age, double weight,
                       double gradient[4]);
double rfm_nbd_log_likelihood(const rfm_nbd *nbd, double x, double t_x, double age, double gradient[4]);
double rfm_nbd_p_alive(const rfm_nbd *nbd, double x, double t_x, double age);
/* P(at least one purchase in the next t). */
double rfm_nbd_p_active(const rfm_nbd *nbd, double x, double t_x, double age, double t);
/* Expected purchases in the next t. */
double rfm_nbd_expected(const rfm_nbd *nbd, double x, double t_x, double age, double t);

#endif
