/* What an experiment has shown so far, from the sums of all tasks: its arms' figures, each variant beside control, and
 * whether the arms have their shares. Only clients whose window is over are in it. Methods and their sources:
 * model/experiment.h. */
#ifndef RFM_RULE_EVALUATION_H
#define RFM_RULE_EVALUATION_H

#include <rfm/client/kpi_report.h>
#include <rfm/model/experiment.h>
#include <rfm/rule/rules.h>

/* Of rfm_sequential_p: differences of some hundredths are expected. Below RFM_SAMPLE_RATIO_SUSPECT clients are placed
 * wrongly. */
#define RFM_SEQUENTIAL_TAU       0.02
#define RFM_SAMPLE_RATIO_SUSPECT 0.001

/* Conversions as parts of 1, revenue in units of the base currency; NAN: not known. A variant's are against control. */
#define RFM_ARM_FIGURES(X)                              \
    X(SHARE, share)                                     \
    X(CONVERSION, conversion)                           \
    X(REVENUE_PER_CLIENT, revenue_per_client)           \
    X(CONVERSION_DIFFERENCE, conversion_difference)     \
    X(CONVERSION_LOW, conversion_low)                   \
    X(CONVERSION_HIGH, conversion_high)                 \
    X(CONVERSION_LIFT, conversion_lift)                 \
    X(CONVERSION_Z, conversion_z)                       \
    X(CONVERSION_P, conversion_p)                       \
    X(CONVERSION_P_HOLM, conversion_p_holm)             \
    X(CONVERSION_P_SEQUENTIAL, conversion_p_sequential) \
    X(REVENUE_DIFFERENCE, revenue_difference)           \
    X(REVENUE_LOW, revenue_low)                         \
    X(REVENUE_HIGH, revenue_high)                       \
    X(REVENUE_LIFT, revenue_lift) X(REVENUE_T, revenue_t) X(REVENUE_P, revenue_p) X(REVENUE_P_HOLM, revenue_p_holm)
typedef enum rfm_arm_figure {
#define X(NAME, name) RFM_ARM_##NAME,
    RFM_ARM_FIGURES(X)
#undef X
        RFM_ARM_FIGURE_COUNT
} rfm_arm_figure;
const char *rfm_arm_figure_name(rfm_arm_figure figure);

typedef struct rfm_arm_result {
    const char *name;
    int64_t exposed, orders, revenue_minor; /* exposed: also those whose window is open */
    rfm_arm_sums sums;                      /* in units of the base currency */
    double figure[RFM_ARM_FIGURE_COUNT];
} rfm_arm_result;

enum { RFM_LIFTS = 3, RFM_PACE_DAYS = 28 };
extern const double rfm_lifts[RFM_LIFTS];
typedef struct rfm_evaluation {
    size_t arm_count;
    rfm_arm_result arm[1 + RFM_VARIANTS_MAX]; /* control first */
    double sample_ratio_p;
    bool suspicious;
    double clients_needed
        [RFM_LIFTS];        /* in each arm, so that control's conversion would be seen to rise by so much of itself */
    double exposed_per_day; /* in all arms, of the last RFM_PACE_DAYS whole days; NAN: there is none yet */
    double days_needed[RFM_LIFTS]; /* at that pace until each arm has clients_needed whose window is over; 0: it has */
} rfm_evaluation;
/* The rule has an experiment. */
void rfm_evaluate(const rfm_rule *rule, const rfm_kpi_sums *sums, uint8_t money_digits, int64_t as_of_ms,
                  rfm_evaluation *evaluation);

/* What purchases after the rule's last sends came to; a rule without attribution has none. */
typedef struct rfm_attributed {
    int64_t orders, revenue_minor;
} rfm_attributed;
rfm_attributed rfm_attributed_to(const rfm_rule *rule, const rfm_kpi_sums *sums);

/* All experiments and all rules with attribution: one object, one line, without its end. */
void rfm_experiments_json(const rfm_rules *rules, const rfm_kpi_sums *sums, const rfm_money_conf *money,
                          int64_t as_of_ms, rfm_buffer *json);

#endif
