/* Slots: what the rule layer remembers of one client, decoded. Packed they are opaque bytes in rfm_client:
 *
 *     nothing remembered: no bytes; else: version 4, then sections of ascending kind, each once and not empty:
 *     header: varint(count << 4 | kind), then `count` entries in ascending order of their key
 *       HOLDING  rule: of a crossing or an idle rule whose condition holds now. A known side that does not hold needs
 *                no entry: every such rule of a client is known once its value is (marks.version covers changes of the
 *                rules).
 *                Or segment by condition, by the number of RFM_KPI_NAMED_PREFIX and its name: the client is in it
 *       SINCE    event type, time: the last event of a type whose time is no fact
 *       SENT     rule << 3 | how its id is known, time, that: the last send or virtual send. Ids follow from the rule,
 *                the client and the cause: a timer's moment is written, an event's type and id if that is short or a
 *                UUID, once for several sends, else the send's id. Version 4; before, rule << 1 | has id, time, id
 *       PENDING  rule, due, cause, what is kept of the cause's event, when it was deferred: one that is delayed or
 *                waits for the end of quiet hours; key (rule, cart)
 *       VIRTUAL  rule: its SENT is a virtual send. Version 2
 *       RECENT   time, rule, channel << 1 | transactional: what caps may ask for; by time. Version 2
 *       MET      rule, year: the last anniversary that is done with. Version 2
 *       EXPOSED  rule << 2 | state, salt; unless settled: arm, time, window, orders, revenue: what the client is for an
 *                experiment; key (rule, salt). Version 3
 *       BOUGHT   order id, time, what is left of it, rule: a purchase that experiments or attribution count, as long as
 *                it can change; by arrival. Version 3
 *
 * Rules, channels and arms are the numbers of their names in the task's table, rules each as the difference to the one
 * before, but in RECENT and BOUGHT, where times are; in SENT times too, in seconds where that is a whole number. An
 * event's id begins with so many bytes of the one before as it says. Versions 1 and 2 have headers of varint(count << 3
 * | kind); what older versions could say is said the same way by version 4 but for these. A new kind of entry is a new
 * version; old ones are read forever. Bounds make every combination fit into RFM_SLOTS_BYTES_MAX. */
#ifndef RFM_RULE_SLOT_H
#define RFM_RULE_SLOT_H

#include "experiment.h"

#include <rfm/client/client.h>
#include <rfm/rule/rules.h>

enum {
    RFM_HOLDING_MAX = RFM_RULES_MAX + RFM_NAMED_MAX,
    RFM_PENDING_MAX = 8,
    RFM_PENDING_BYTES_MAX = 1536,
    RFM_KEPT_BYTES_MAX = 96, /* values of RFM_KEPT_VALUES_MAX, and what tells them apart */
    RFM_KEPT_VALUES_MAX = 64,
    RFM_SENT_CAUSE_MAX = 20, /* beyond it the id of a send is shorter */
    RFM_SENT_ID_BYTES = 16,
    RFM_UUID_TEXT = 36,
    RFM_REMEMBERED_MAX = 64,
    RFM_RECENT_MAX = 128,
    RFM_EXPOSURES_MAX = 16,
    RFM_BOUGHT_MAX = RFM_ORDERS_MAX,
    RFM_CAUSE_TIMER = 0
};
#define RFM_SINCE_NONE   INT64_MIN
#define RFM_NOT_DEFERRED INT64_MIN

/* Why a rule fires: an event (code: its type + 1) or a timer. */
typedef struct rfm_cause {
    uint8_t code;
    uint32_t cart;          /* of the event's cart_id; 0: none */
    int64_t time_ms;        /* the event's time; the timer's moment */
    rfm_bytes id;           /* the event's; a view */
    rfm_bytes kept;         /* what the rule's expressions will read of the event, RFM_KEPT_BYTES_MAX at most; a view */
    const rfm_event *event; /* while it is at hand; NULL: a timer, or an event of which there is what was kept */
} rfm_cause;

typedef struct rfm_pending {
    uint16_t rule;
    int64_t due_ms;
    int64_t deferred_ms; /* since when it waits for the end of quiet hours; RFM_NOT_DEFERRED: its delay runs */
    rfm_cause cause;
} rfm_pending;

/* How the id of a send is known: as it is, or by its cause. */
typedef enum rfm_id_form {
    RFM_ID_NONE, /* a virtual send; or given up: ids go first where there is no room */
    RFM_ID_GIVEN,
    RFM_ID_OF_TIMER,
    RFM_ID_OF_EVENT,
    RFM_ID_OF_UUID /* of an event whose id is one in lower case */
} rfm_id_form;
typedef struct rfm_remembered {
    uint16_t rule;
    uint8_t form;    /* rfm_id_form */
    uint8_t code;    /* the cause's, where that is an event */
    bool is_virtual; /* held back by a hold-out or a control arm, which counts for once and cooldown */
    int64_t time_ms;
    int64_t cause_ms; /* OF_TIMER */
    uint8_t id_len;
    uint8_t id[RFM_SENT_CAUSE_MAX]; /* GIVEN; OF_UUID: the UUID; OF_EVENT: the event's; zeros after its end */
} rfm_remembered;

typedef struct rfm_recent {
    int64_t time_ms;
    uint16_t rule, channel; /* channel 0: none */
    rfm_class class_;
} rfm_recent;

typedef struct rfm_met {
    uint16_t rule, year;
} rfm_met;

/* A client in an experiment: exposure.h. Of a settled one only the key is known. */
typedef enum rfm_exposure_state { RFM_EXPOSURE_OPEN, RFM_EXPOSURE_ENDED, RFM_EXPOSURE_SETTLED } rfm_exposure_state;
typedef struct rfm_exposure {
    uint16_t rule, arm;
    rfm_exposure_state state;
    uint32_t salt;              /* RFM_SALT_BITS of its hash */
    int64_t time_ms, window_ms; /* purchases in (time, time + window] count */
    uint32_t orders;            /* those that BOUGHT no longer holds, and their revenue */
    int64_t revenue_minor;
} rfm_exposure;

typedef struct rfm_bought {
    uint64_t id39;
    int64_t time_ms, left_minor;
    uint16_t rule; /* whose send it is attributed to; 0: none */
} rfm_bought;

typedef struct rfm_slots {
    uint16_t holding_count, sent_count, pending_count, recent_count, met_count, exposure_count, bought_count;
    uint16_t holding[RFM_HOLDING_MAX];
    int64_t since_ms[RFM_EVENT_TYPE_COUNT]; /* RFM_SINCE_NONE: not known */
    rfm_remembered sent[RFM_REMEMBERED_MAX];
    rfm_pending pending[RFM_PENDING_MAX]; /* causes' ids are views into the packed bytes or an event */
    rfm_recent recent[RFM_RECENT_MAX];    /* the oldest first */
    rfm_met met[RFM_ANNIVERSARIES_MAX];
    rfm_exposure exposure[RFM_EXPOSURES_MAX];
    rfm_bought bought[RFM_BOUGHT_MAX];
} rfm_slots;

/* RFM_E_CORRUPT, RFM_E_VERSION. Any bytes are safe. */
int rfm__slots_decode(rfm_bytes packed, rfm_slots *slots);
/* Canonical: equal slots give equal bytes. Gives up ids of the oldest sends if there is no room for them. `packed` may
 * not be where the causes' ids lie. */
size_t rfm__slots_encode(rfm_slots *slots, uint8_t packed[RFM_SLOTS_BYTES_MAX]);

rfm_remembered *rfm__slots_sent(rfm_slots *slots, uint16_t rule); /* NULL: never */
/* The entry of a rule, new if need be; NULL: no room. */
rfm_remembered *rfm__slots_remember(rfm_slots *slots, uint16_t rule);
void rfm__slots_forget(rfm_slots *slots, rfm_remembered *sent);
/* What its id is known by: the cause, as long as that is at hand, or the id. */
void rfm__sent_by(rfm_remembered *sent, const rfm_cause *cause, const uint8_t id[16]);
/* The id of the event that caused it, OF_EVENT or OF_UUID: a view of it or of `uuid`. */
rfm_bytes rfm__sent_event(const rfm_remembered *sent, char uuid[RFM_UUID_TEXT + 1]);

rfm_pending *rfm__slots_pending(rfm_slots *slots, uint16_t rule, uint32_t cart); /* NULL: none */
/* Replaces what is pending for the rule and cart. False: no room, nothing has changed. */
bool rfm__slots_defer(rfm_slots *slots, const rfm_pending *pending);
void rfm__slots_drop(rfm_slots *slots, rfm_pending *pending);

/* False: no room, nothing has changed. */
bool rfm__slots_note_recent(rfm_slots *slots, const rfm_recent *recent);
void rfm__slots_forget_recent(rfm_slots *slots, size_t i);

/* The year in which the rule's last anniversary was; -1: none is known. */
int rfm__slots_met_year(const rfm_slots *slots, uint16_t rule);
/* Sets it; without effect where RFM_ANNIVERSARIES_MAX rules have theirs. */
void rfm__slots_meet(rfm_slots *slots, uint16_t rule, uint16_t year);
void rfm__slots_forget_met(rfm_slots *slots, uint16_t rule);

rfm_exposure *rfm__slots_exposure(rfm_slots *slots, uint16_t rule, uint32_t salt); /* NULL: none */
/* A new one, to be filled; NULL: no room. There may be none of this key. */
rfm_exposure *rfm__slots_expose(rfm_slots *slots, uint16_t rule, uint32_t salt);
void rfm__slots_forget_exposure(rfm_slots *slots, size_t i);
void rfm__slots_forget_bought(rfm_slots *slots, size_t i);

/* The orders and the bound that the packed form keeps to. A delayed one takes as much room as if it were deferred. */
size_t rfm__pending_bytes_max(const rfm_pending *pending);
int rfm__recent_compare(const rfm_recent *a, const rfm_recent *b);
bool rfm__exposure_before(const rfm_exposure *exposure, uint64_t rule, uint64_t salt);

#endif
