/* One event, decoded: plain values and views. Strings are views into the decoder's memory (or the record's key) and
 * live until that decoder's reset. Amounts are exact and already in the base currency's minor units. */
#ifndef RFM_EVENT_EVENT_H
#define RFM_EVENT_EVENT_H

#include <rfm/base/bytes.h>
#include <rfm/base/money.h>

#define RFM_EVENT_TYPES(X) \
    X(PURCHASE, purchase)  \
    X(REFUND, refund)      \
    X(VISIT, visit)        \
    X(MESSAGE, message)    \
    X(CONSENT, consent)    \
    X(FEEDBACK, feedback)  \
    X(PROFILE, profile)    \
    X(POINTS, points)      \
    X(COST, cost)          \
    X(ERASE, erase)
typedef enum rfm_event_type {
#define X(NAME, name) RFM_EVENT_##NAME,
    RFM_EVENT_TYPES(X)
#undef X
        RFM_EVENT_TYPE_COUNT
} rfm_event_type;

#define RFM_MESSAGE_STATUSES(X) \
    X(SENT, sent)               \
    X(DELIVERED, delivered)     \
    X(OPENED, opened)           \
    X(CLICKED, clicked) X(REPLIED, replied) X(BOUNCED, bounced) X(COMPLAINED, complained) X(UNSUBSCRIBED, unsubscribed)
typedef enum rfm_message_status {
#define X(NAME, name) RFM_STATUS_##NAME,
    RFM_MESSAGE_STATUSES(X)
#undef X
        RFM_STATUS_COUNT
} rfm_message_status;

typedef enum rfm_class { RFM_CLASS_MARKETING, RFM_CLASS_TRANSACTIONAL, RFM_CLASS_COUNT } rfm_class;

#define RFM_FEEDBACK_KINDS(X) X(NPS, nps) X(CSAT, csat) X(REVIEW, review) X(COMPLAINT, complaint) X(RESOLVED, resolved)
typedef enum rfm_feedback_kind {
#define X(NAME, name) RFM_FEEDBACK_##NAME,
    RFM_FEEDBACK_KINDS(X)
#undef X
        RFM_FEEDBACK_COUNT
} rfm_feedback_kind;

enum {
    RFM_CLIENT_ID_MAX = 128,
    RFM_EVENT_BYTES_MAX = 256 * 1024,
    RFM_EVENT_DEPTH_MAX = 16, /* of objects and arrays in each other, the event itself included */
    RFM_EVENT_TEXT_MAX = 512, /* of what the event keeps */
    RFM_EVENT_ITEMS_MAX = 256,
    RFM_EVENT_TRAITS_MAX = 64,
};
#define RFM_AMOUNT_NOT_BASE (-1)

/* One trait as it was sent, whatever the configuration declares: that is the client layer's to compare. */
typedef enum rfm_value_kind {
    RFM_VALUE_NULL,
    RFM_VALUE_TEXT,
    RFM_VALUE_NUMBER,
    RFM_VALUE_BOOL,
    RFM_VALUE_OTHER /* an object or an array: no trait's */
} rfm_value_kind;
typedef struct rfm_trait_value {
    rfm_bytes name;
    rfm_value_kind kind; /* NULL: the trait is taken away */
    rfm_bytes text;      /* TEXT: the string; NUMBER: as written */
    bool truth;          /* BOOL */
} rfm_trait_value;

/* One of a purchase's, as it was sent. */
typedef struct rfm_event_item {
    rfm_bytes sku, category; /* empty: none */
    rfm_decimal quantity;    /* 1 where none is given */
    bool has_price;
    rfm_decimal price; /* of one, in the event's currency */
} rfm_event_item;

typedef struct rfm_event {
    rfm_event_type type;
    rfm_bytes id, client_id;
    int64_t time_ms;
    uint64_t id48;       /* low 48 bits of XXH3-64(type 0x1F id): what repeats are known by */
    uint64_t order_id48; /* of order_id alone; purchase, refund */
    /* category: a visit's own; a purchase's is that of the item with the highest price * quantity, first of equals */
    rfm_bytes order_id, channel, cart_id, campaign, action, sku, category, trigger_id;
    bool has_amount;
    int64_t amount_minor;      /* purchase: always; refund: if has_amount, as base currency where it names none, or
                                * RFM_AMOUNT_NOT_BASE if it has too many decimals for that */
    rfm_decimal amount;        /* as given: a refund that names no currency has its order's, which the client knows */
    rfm_bytes currency;        /* as given; empty: none */
    rfm_message_status status; /* message */
    rfm_class class_;          /* message, consent */
    bool permanent;            /* message: bounce */
    bool granted;              /* consent */
    rfm_bytes page, coupon, case_id, source, reason, timezone, language; /* source: consent's; reason: points' */
    const rfm_bytes *categories; /* purchase: the distinct ones of its items, in their order */
    size_t category_count;
    const rfm_event_item *items; /* purchase */
    size_t item_count;
    bool has_margin;
    int64_t margin_minor;       /* purchase */
    rfm_feedback_kind feedback; /* feedback */
    bool has_score;
    double score;                  /* feedback */
    int64_t delta;                 /* points */
    const rfm_trait_value *traits; /* profile */
    size_t trait_count;
} rfm_event;

const char *rfm_event_type_name(rfm_event_type type);
const char *rfm_message_status_name(rfm_message_status status);
const char *rfm_class_name(rfm_class class_);
const char *rfm_feedback_kind_name(rfm_feedback_kind kind);

#endif
