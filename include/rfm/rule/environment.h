/* What the expressions of rules may read: `client.*` as the client's JSON has it (money as double), `event.*` by the
 * type of the event that a rule is on, `now`. */
#ifndef RFM_RULE_ENVIRONMENT_H
#define RFM_RULE_ENVIRONMENT_H

#include <rfm/rule/rules.h>

/* The fields to compile against, those of the declared traits the last, the client's and the event's in turn; they lie
 * in the arena. */
const rfm_expr_field *rfm_environment_fields(const rfm_trait *traits, size_t trait_count, rfm_arena *arena,
                                             size_t *count);
/* In which scope a rule's expressions are; that of a named segment, which sees no event. */
uint32_t rfm_environment_scope(const rfm_rule *rule);
uint32_t rfm_environment_no_event(void);
/* Which parts of the event it reads that a rule that waits must keep: bit per part. */
uint64_t rfm_environment_event_parts(const rfm_expr *expr);
/* And which of the declared traits. */
uint64_t rfm_environment_event_traits(const rfm_expr *expr);
/* It reads the event's items: too many bytes for a rule that is known to wait. */
bool rfm_environment_reads_items(const rfm_expr *expr);

#endif
