/* Rules as loaded: plain data that src/config fills from YAML and the rest only reads. */
#ifndef RFM_RULE_RULES_H
#define RFM_RULE_RULES_H

#include <rfm/client/scores.h>
#include <rfm/expr/expr.h>

enum {
    RFM_RULES_MAX = 256,
    RFM_RULE_NAME_MAX = 64,
    RFM_RULE_CHANNELS_MAX = 8,
    RFM_RULE_TEXT_MAX = 128,
    RFM_SECRET_MAX = 256,
    RFM_SALT_MAX = 64,
    RFM_VARIANTS_MAX = 16,
    RFM_VARIANT_NAME_MAX = 32,
    RFM_CAPS_MAX = 64,
    RFM_ANNIVERSARIES_MAX = 16, /* rules */
    RFM_CAP_SENDS_MAX = 64,     /* the `max` of a cap */
    RFM_BUCKETS_OF_CLIENTS = 10000,
    RFM_NAMED_MAX = 64,
    RFM_NAMED_BYTES_MAX = 48,
    RFM_DATA_MAX = 32
};

typedef enum rfm_cause_kind {
    RFM_CAUSE_EVENT, /* each accepted event of `event` type */
    RFM_CAUSE_ENTER_SEGMENT,
    RFM_CAUSE_LEAVE_SEGMENT, /* segment: index into conf->segments */
    RFM_CAUSE_ENTER_LIFECYCLE,
    RFM_CAUSE_LEAVE_LIFECYCLE, /* lifecycle */
    RFM_CAUSE_RISE_RISK,
    RFM_CAUSE_FALL_RISK, /* churn_risk crosses `threshold` */
    RFM_CAUSE_RISE_RATIO,
    RFM_CAUSE_FALL_RATIO,  /* activity_ratio */
    RFM_CAUSE_IDLE,        /* no `event` for `idle_ms` since the last one */
    RFM_CAUSE_LATE,        /* no purchase within the `threshold` quantile of the client's own gap */
    RFM_CAUSE_ANNIVERSARY, /* of the date in `trait`, each year at `at_ms` of the client's day */
    RFM_CAUSE_ENTER_NAMED,
    RFM_CAUSE_LEAVE_NAMED, /* segment: index into rfm_rules.named */
} rfm_cause_kind;

/* When a rule is in force, by the client's calendar; all zero: always. */
typedef struct rfm_schedule {
    uint8_t days;             /* bit 0: Monday; 0: every day */
    int32_t from_day, to_day; /* both are within; 0: without end */
} rfm_schedule;

/* Arms of clients by bucket, in this order: control, then the variants; together RFM_BUCKETS_OF_CLIENTS. */
typedef struct rfm_variant {
    char name[RFM_VARIANT_NAME_MAX + 1];
    uint16_t buckets;
} rfm_variant;
typedef struct rfm_experiment {
    bool given;
    char salt[RFM_SALT_MAX + 1];
    uint16_t control_buckets;
    uint8_t variant_count;
    rfm_variant variant[RFM_VARIANTS_MAX];
} rfm_experiment;

/* An expression as it was written; `expr` NULL: none. */
typedef struct rfm_written {
    const char *text;
    const rfm_expr *expr;
} rfm_written;
/* A segment by condition: a client of whom it holds is in it. */
typedef struct rfm_named {
    char name[RFM_NAMED_BYTES_MAX];
    rfm_written condition;
} rfm_named;
/* A member of a trigger's `data`. */
typedef struct rfm_datum {
    const char *name;
    rfm_written value;
} rfm_datum;

typedef struct rfm_rule {
    char name[RFM_RULE_NAME_MAX]; /* [a-z][a-z0-9_]* */
    struct {
        rfm_cause_kind kind;
        rfm_event_type event;
        uint8_t segment;
        rfm_lifecycle lifecycle;
        double threshold;
        int64_t idle_ms;
        char trait[RFM_NAME_BYTES_MAX + 1];
        int32_t at_ms;
    } on;
    rfm_written when;
    int64_t delay_ms;
    uint32_t cancel_on; /* bit per rfm_event_type */
    bool once, restart;
    int64_t cooldown_ms;
    rfm_class class_;
    int32_t priority;   /* higher first; default 0 */
    int64_t expires_ms; /* how long quiet hours may put one off; 0: without end */
    rfm_schedule schedule;
    bool best;             /* channels: the client's, by response; channel_count is 0 then */
    uint8_t channel_count; /* none, and not `best`: the trigger's channel is null */
    char channel[RFM_RULE_CHANNELS_MAX][RFM_NAME_BYTES_MAX + 1];
    struct {
        bool given;
        char prefix[32];
        double percent;
        int64_t valid_ms;
    } promo;
    rfm_experiment experiment;
    int64_t attribution_ms;            /* as written; 0: not. See rfm_rule_attribution_ms */
    char template_[RFM_RULE_TEXT_MAX]; /* "": null */
    uint8_t topic;                     /* index into rfm_rules.topic */
    rfm_datum *data;                   /* NULL: null */
    size_t data_count;
    uint64_t event_parts;  /* what its expressions read of the event (rfm_environment_event_parts) */
    uint64_t event_traits; /* and of its traits (rfm_environment_event_traits) */
} rfm_rule;

#define RFM_ATTRIBUTION_DEFAULT_MS (INT64_C(14) * 86400000)
/* How long a purchase counts for a send; 0: none does. An experiment has no effect to show without, so it has a
 * default. */
static inline int64_t rfm_rule_attribution_ms(const rfm_rule *rule)
{
    bool by_default = rule->experiment.given && rule->attribution_ms == 0;
    return by_default ? RFM_ATTRIBUTION_DEFAULT_MS : rule->attribution_ms;
}

/* At most `max` sends within `per_ms` of those that match all that is given. */
typedef struct rfm_cap {
    bool has_class;
    rfm_class class_;
    char channel[RFM_NAME_BYTES_MAX + 1]; /* "": any */
    char rule[RFM_RULE_NAME_MAX];         /* "": any */
    uint32_t max;
    int64_t per_ms;
} rfm_cap;

/* [from, to) on the client's wall clock, in ms since midnight; from > to: over midnight. */
typedef struct rfm_quiet_hours {
    bool given;
    int32_t from_ms, to_ms;
    int64_t jitter_ms;
} rfm_quiet_hours;

typedef struct rfm_holdout {
    char salt[RFM_SALT_MAX + 1];
    uint16_t buckets; /* 0: nobody */
} rfm_holdout;

/* What holds where a client has not said anything; by class: marketing opts in, transactional opts out. */
typedef enum rfm_consent_policy { RFM_OPT_BY_CLASS, RFM_OPT_IN, RFM_OPT_OUT } rfm_consent_policy;

enum { RFM_TOPICS_MAX = 32 };
typedef struct rfm_rules {
    rfm_rule *rule; /* sorted by priority (higher first), then name */
    size_t count;
    char topic[RFM_TOPICS_MAX][250]; /* the trigger topics, each once */
    size_t topic_count;
    char version[33];     /* hex of a hash over the rules' canonical form */
    char source[160];     /* ce_source, "rfmd/<group>" */
    char type_prefix[64]; /* "io.rfmd.trigger." */
    bool structured;      /* CloudEvents mode: else binary */
    uint8_t secret[RFM_SECRET_MAX];
    size_t secret_len;          /* promo.secret_file's content; 0: none (a rule with promo is then an error at load) */
    int64_t max_trigger_age_ms; /* INT64_MAX: none */
    int64_t silent_until_ms;    /* INT64_MIN: none */
    rfm_consent_policy consent[RFM_CLASS_COUNT];
    rfm_cap cap[RFM_CAPS_MAX];
    size_t cap_count;
    rfm_quiet_hours quiet_hours;
    const rfm_zone *default_zone; /* of a client whose zone is not known; NULL: UTC */
    rfm_holdout holdout;
    const rfm_named *named; /* in the order of names */
    size_t named_count;
} rfm_rules;

#endif
