/* Who is in which arm: XXH3-64(`salt 0x1F client_id`) mod 10000, ranges in the order written. The same client always
 * lands in the same arm, and anybody can compute which. */
#ifndef RFM_RULE_EXPERIMENT_H
#define RFM_RULE_EXPERIMENT_H

#include <rfm/client/kpi.h>
#include <rfm/rule/rules.h>

enum { RFM_ARM_CONTROL = -1, RFM_SALT_BITS = 24 };
uint16_t rfm__bucket_of(const char *salt, rfm_bytes client_id);
bool rfm__is_held_out(const rfm_holdout *holdout, rfm_bytes client_id);
/* By which figures of an experiment are told from those that its rule had before: the low RFM_SALT_BITS of
 * XXH3-64(salt). */
uint32_t rfm__experiment_salt(const rfm_experiment *experiment);
/* RFM_ARM_CONTROL or the index of a variant. */
int rfm__arm_of(const rfm_experiment *experiment, rfm_bytes client_id);
/* Who came to be in the experiment on that day: RFM_KPI_EXPOSED_ON. */
rfm_cell rfm__exposed_on(uint16_t rule, uint32_t salt, int64_t at_ms);

#endif
