/* A rule set joined to one task's names: which rules wait for what, as sets and lists that deciding walks, and the
 * numbers under which states know rules, channels and segments. Rules are meant by their index, which is their order. A
 * rule for whose name the table had no room cannot be remembered: it watches nothing, and what it is asked for ends as
 * slots_full. */
#ifndef RFM_RULE_BINDING_H
#define RFM_RULE_BINDING_H

#include <rfm/rule/decide.h>

enum { RFM_RULE_SET_WORDS = RFM_RULES_MAX / 64, RFM_RULE_NONE = -1, RFM_NUMBER_NONE = 0 };
typedef struct rfm_rule_set {
    uint64_t word[RFM_RULE_SET_WORDS];
} rfm_rule_set;

static inline void rfm__rule_set_add(rfm_rule_set *set, size_t rule)
{
    set->word[rule / 64] |= UINT64_C(1) << (rule % 64);
}
static inline void rfm__rule_set_remove(rfm_rule_set *set, size_t rule)
{
    set->word[rule / 64] &= ~(UINT64_C(1) << (rule % 64));
}
static inline bool rfm__rule_set_has(const rfm_rule_set *set, size_t rule)
{
    return set->word[rule / 64] >> (rule % 64) & 1;
}
static inline bool rfm__rule_set_empty(const rfm_rule_set *set)
{
    _Static_assert(sizeof set->word / sizeof *set->word == 4, "all of them");
    return (set->word[0] | set->word[1] | set->word[2] | set->word[3]) == 0;
}
/* The first rule of the set at or after `rule`, or RFM_RULE_NONE. */
int rfm__rule_set_next(const rfm_rule_set *set, size_t rule);

typedef struct rfm_rule_list {
    uint16_t count;
    uint8_t rule[RFM_RULES_MAX];
} rfm_rule_list;

/* A cap's names as numbers; RFM_NUMBER_NONE: any. */
typedef struct rfm_cap_numbers {
    uint16_t channel, rule;
} rfm_cap_numbers;

enum { RFM_BEST_CHANNELS_MAX = 64 };
struct rfm_binding {
    uint32_t version; /* of conf and rules: what marks and slots were taken under */
    bool population;  /* an axis is scored by population: segments move at events and reviews only */
    rfm_rule_set on_event[RFM_EVENT_TYPE_COUNT];
    double ratio_max;     /* of all thresholds that an activity_ratio is compared with */
    uint32_t since_types; /* event types whose last time has to be kept in the slots */
    rfm_rule_list segments, lifecycles, ratios, risks, idles, lates, anniversaries,
        named;                           /* rules by what they watch */
    rfm_rule_list by_number;             /* those that can hold, in ascending order of their numbers */
    const rfm_expr *when[RFM_RULES_MAX]; /* NULL: none */
    uint16_t number[RFM_RULES_MAX];      /* RFM_NUMBER_NONE: no room for the name */
    uint16_t channel[RFM_RULES_MAX][RFM_RULE_CHANNELS_MAX];
    uint16_t segment[RFM_SEGMENTS_MAX];
    uint16_t trait[RFM_RULES_MAX];                     /* of an anniversary */
    uint32_t salt[RFM_RULES_MAX];                      /* of an experiment, hashed */
    uint16_t arm[RFM_RULES_MAX][1 + RFM_VARIANTS_MAX]; /* control first; RFM_NUMBER_NONE: no room for the name */
    rfm_cap_numbers cap[RFM_CAPS_MAX];
    size_t named_count; /* as rules.named */
    uint16_t named_number[RFM_NAMED_MAX];
    size_t best_count; /* the channels that rules name, each once: what `best` chooses from first */
    uint16_t best_number[RFM_BEST_CHANNELS_MAX];
    rfm_bytes best_text[RFM_BEST_CHANNELS_MAX]; /* views into the rules */
    int16_t rule_of[RFM_NAMES_MAX + 1];         /* by number; RFM_RULE_NONE */
};

/* The rule that a number stands for, or RFM_RULE_NONE. */
static inline int rfm__binding_rule(const rfm_binding *binding, uint16_t number)
{
    return number <= RFM_NAMES_MAX ? binding->rule_of[number] : RFM_RULE_NONE;
}
/* Index of the segment with this name's number in conf->segments; RFM_SEGMENT_PROSPECT if it is none of them. */
uint8_t rfm__binding_segment(const rfm_binding *binding, const rfm_client_conf *conf, uint16_t number);

#endif
