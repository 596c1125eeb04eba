/* Deciding: one entry for events and due looks alike. Compares what the marks and slots remember with how things stand
 * at `now`, decides causes by priority then name, moves marks and slots, and says what is sent or held back and when
 * the client must be looked at again. Pure: no clock, no memory of its own. What it remembers of a client lies in
 * client->slots. */
#ifndef RFM_RULE_DECIDE_H
#define RFM_RULE_DECIDE_H

#include <rfm/client/client.h>
#include <rfm/client/tally.h>
#include <rfm/rule/rules.h>

/* A rule set joined to one task's names: the number of each rule, channel and segment in that task's table. */
typedef struct rfm_binding rfm_binding;
rfm_binding *rfm_binding_new(const rfm_rules *rules, const rfm_client_conf *conf, rfm_names *names); /* may add names */
void rfm_binding_free(rfm_binding *binding);

typedef struct rfm_moment {
    rfm_bytes client_id;
    const rfm_event *event; /* already applied; NULL: a look */
    bool bought;            /* the event is a purchase that counts */
    bool dates_changed;     /* the event is of the profile, and a date is another now */
    int64_t moment_ms;      /* a look's exact moment (ids keep it); an event: the clock */
    int64_t now_ms;         /* max(moment, clock) */
    int64_t review_ms;      /* the client's next daily look: moments at or after it need not be told */
    bool is_review;         /* this look is the daily one: segments by population move */
    const rfm_edges *edges;
} rfm_moment;

typedef enum rfm_suppression {
    RFM_SENT,
#define RFM_SUPPRESSIONS(X)   \
    X(ONCE, once)             \
    X(COOLDOWN, cooldown)     \
    X(PENDING, pending)       \
    X(SLOTS_FULL, slots_full) \
    X(CANCELLED, cancelled)   \
    X(CONDITION, condition)   \
    X(CONSENT, consent)       \
    X(NO_CHANNEL, no_channel) X(EXPIRED, expired) X(CAP, cap) X(HOLDOUT, holdout) X(CONTROL, control)
#define X(NAME, name) RFM_SUPPRESSED_##NAME,
    RFM_SUPPRESSIONS(X)
#undef X
        RFM_SUPPRESSION_COUNT
} rfm_suppression;
const char *rfm_suppression_name(rfm_suppression suppression);

enum { RFM_CAUSE_BYTES_MAX = 640, RFM_DECISIONS_MAX = 600 /* every rule's pending and cause in one instant fits */ };
typedef struct rfm_decision {
    const rfm_rule *rule;
    rfm_suppression suppression;
    uint8_t id[16];
    uint16_t cause_len;
    char cause[RFM_CAUSE_BYTES_MAX]; /* "purchase\x1f<event id>", or "due:<ms>" */
    rfm_bytes channel;               /* a view into the rule or the names, until either changes; empty: null */
    uint8_t variant;                 /* index into rule->experiment.variant; UINT8_MAX: null */
    uint8_t segment, lifecycle;      /* the marks at this decision; segment: index into conf->segments */
    int64_t time_ms;
    rfm_bytes data;   /* JSON, a view into decisions->data until that is written again; empty: null */
    uint32_t data_at; /* where it lies there */
} rfm_decision;
typedef struct rfm_decisions {
    rfm_decision *items; /* the caller's, room for `size` */
    size_t count, size;
    int64_t
        look_ms; /* the next look wanted before review_ms, or INT64_MAX; after an event perhaps not later than now */
    uint64_t too_old; /* causes dropped for max_trigger_age */
    rfm_buffer *data; /* the caller's, for what `data` comes to; NULL: it is not wanted */
    uint64_t *errors; /* the caller's, a count for each rule: conditions that failed; NULL: not wanted */
    rfm_tally *tally; /* the caller's: experiments, attribution, segments by condition are added; NULL: they are not */
} rfm_decisions;

/* Moves marks and slots; fills decisions (count is reset). An event moves what it can have changed, which is not what
 * time alone has: that waits for its look. A look catches up with every moment up to its own, each with its own
 * cause. */
void rfm_decide(const rfm_rules *rules, const rfm_binding *binding, const rfm_client_conf *conf, rfm_names *names,
                rfm_client *client, const rfm_moment *moment, rfm_decisions *decisions);

/* A client whose marks were taken under another version takes the new values here without transitions. To be called
 * before an event is applied, so that the event's own transitions are seen; rfm_decide does it too, but knows only the
 * facts after. */
void rfm_decide_renew(const rfm_rules *rules, const rfm_binding *binding, const rfm_client_conf *conf,
                      const rfm_names *names, rfm_client *client, rfm_bytes client_id, const rfm_edges *edges,
                      int64_t now_ms, rfm_tally *tally);
/* Counts the client `clients` times more in each segment by condition that its state has it in, as come by that source:
 * for what deciding does not see, another source (out of the one, into the other) and an erasure. */
void rfm_named_count(const rfm_client *client, const rfm_names *names, uint16_t source, int64_t clients,
                     rfm_tally *tally);

/* Slots as they come from a store: RFM_E_CORRUPT, RFM_E_VERSION. rfm_decide takes readable slots for granted. */
int rfm_slots_check(rfm_bytes packed);

/* The messages of a decision. Value and headers as in docs/rules.md, "Triggers", CloudEvents in binary or structured
 * mode; an audit record has `suppressed_by` besides. */
void rfm_trigger_encode(const rfm_rules *rules, const rfm_client_conf *conf, const rfm_names *names,
                        const rfm_decision *decision, const rfm_client *client, const rfm_moment *moment,
                        rfm_buffer *value, rfm_buffer *headers);
/* Promo code of a decision: PREFIX-XXXXXXXXXX. `code` has room for 64. */
void rfm_promo_code(const rfm_rules *rules, const rfm_decision *decision, rfm_bytes client_id, char code[64]);

#endif
