/* Rules as loaded: plain data that src/config fills from YAML and the rest only reads. First form: causes, delay and
 * cancellation, once, cooldown, class, channels, promo code, template, topic. */
#ifndef RFM_RULE_RULES_H
#define RFM_RULE_RULES_H

#include <rfm/client/scores.h>

enum {
    RFM_RULES_MAX = 256,
    RFM_RULE_NAME_MAX = 64,
    RFM_RULE_CHANNELS_MAX = 8,
    RFM_RULE_TEXT_MAX = 128,
    RFM_SECRET_MAX = 256
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
    RFM_CAUSE_FALL_RATIO, /* activity_ratio */
    RFM_CAUSE_IDLE,       /* no `event` for `idle_ms` since the last one */
} rfm_cause_kind;

typedef struct rfm_rule {
    char name[RFM_RULE_NAME_MAX]; /* [a-z][a-z0-9_]* */
    struct {
        rfm_cause_kind kind;
        rfm_event_type event;
        uint8_t segment;
        rfm_lifecycle lifecycle;
        double threshold;
        int64_t idle_ms;
    } on;
    int64_t delay_ms;
    uint32_t cancel_on; /* bit per rfm_event_type */
    bool once, restart;
    int64_t cooldown_ms;
    rfm_class class_;
    int32_t priority; /* higher first; default 0 */
    uint8_t channel_count;
    char channel[RFM_RULE_CHANNELS_MAX][RFM_NAME_BYTES_MAX + 1]; /* none: "" , then the trigger's channel is null */
    struct {
        bool given;
        char prefix[32];
        double percent;
        int64_t valid_ms;
    } promo;
    char template_[RFM_RULE_TEXT_MAX]; /* "": null */
    uint8_t topic;                     /* index into rfm_rules.topic */
} rfm_rule;

enum { RFM_TOPICS_MAX = 32 };
typedef struct rfm_rules {
    rfm_rule *rule; /* sorted by priority (higher first), then name */
    size_t count;
    char topic[RFM_TOPICS_MAX][250]; /* the trigger topics, each once */
    size_t topic_count;
    char version[33];     /* hex of a hash over the rules' canonical form */
    char source[160];     /* ce_source, "rfmd/<group>" */
    char type_prefix[64]; /* "io.rfmd.trigger." */
    uint8_t secret[RFM_SECRET_MAX];
    size_t secret_len;          /* promo.secret_file's content; 0: none (a rule with promo is then an error at load) */
    int64_t max_trigger_age_ms; /* INT64_MAX: none */
    int64_t silent_until_ms;    /* INT64_MIN: none */
} rfm_rules;

#endif
