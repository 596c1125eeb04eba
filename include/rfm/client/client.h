/* A client: facts, marks, slots. Facts are a function of the set of accepted events whatever their order (within a
 * lateness of 63 days); marks are what the last look saw; slots belong to the rule layer and are opaque here. Decoded
 * while it is worked on, packed in cache, WAL and Redis. An all-zero rfm_client is a client without events. */
#ifndef RFM_CLIENT_CLIENT_H
#define RFM_CLIENT_CLIENT_H

#include <rfm/client/conf.h>
#include <rfm/client/names.h>
#include <rfm/event/decode.h>

enum {
    RFM_ORDERS_MAX = 16,
    RFM_SEEN_MAX = 32,
    RFM_CHANNELS_MAX = 8,
    RFM_CONSENTS_MAX = 16,
    RFM_CATEGORIES_MAX = 8,
    RFM_CASES_MAX = 8,
    RFM_LATEST_MAX = RFM_TRAITS_MAX + 4,
    RFM_STAMP_ID_MAX = 32,
    RFM_LATEST_TEXT_MAX = 1024, /* of all text traits of a client together */
    RFM_TRAIT_TEXT_MAX = 256,
    RFM_LEFT_MAX = 4,
    RFM_SLOTS_BYTES_MAX = 5760,
    RFM_CLIENT_PACKED_MAX = 15744,
    RFM_LATENESS_DAYS = 63,
    RFM_PURCHASE_MONTHS = 32,
    RFM_STAGE_MONTHS = 4,
    RFM_MOVED_MAX = RFM_ORDERS_MAX + 1
};

/* What is kept of an event's or an order's id, RFM_ID_BITS of its hash: two different ones are taken for the same with
 * a probability of 2^-39 for each that is within reach. Of an event that are those of the last 32 within 48 hours, of a
 * purchase those of the last 16 orders within 90 days besides: at most 48 in 2^39, 9e-11, and with a handful within
 * reach 1e-11. */
enum { RFM_ID_BITS = 39 };
static inline uint64_t rfm_id39(uint64_t id48)
{
    return id48 & ((UINT64_C(1) << RFM_ID_BITS) - 1);
}

/* One of the last 16 order ids that came, by arrival. An order that has come: left_minor is what refunds may still
 * take. A refund that waits for its order (waiting true): refunded_minor, or refunds_full > 0 when without an
 * amount. */
typedef struct rfm_order {
    uint64_t id39;
    int64_t time_ms; /* whole seconds: the order's time; while waiting that of its earliest refund */
    int64_t left_minor;
    int64_t refunded_minor;
    uint64_t source;     /* where the waiting refund came from (input << 56 | offset), for its dead letter */
    rfm_decimal unnamed; /* one waiting refund that named no currency, of refunded_minor: it has its order's; 0: none */
    uint16_t currency;   /* the order's, as rfm__currency_code; 0: the base */
    uint8_t
        refunds_full; /* refunds without amount that wait: 0 or 1, the next one of the same order stands by itself */
    bool waiting;
} rfm_order;
typedef struct rfm_seen {
    uint64_t id39;
    int64_t time_ms; /* whole seconds */
} rfm_seen;
/* The latest of its permanent bounces and deliveries says whether a channel is blocked; a tie: it is. */
typedef enum rfm_reach { RFM_REACH_UNKNOWN, RFM_REACH_DELIVERED, RFM_REACH_BOUNCED } rfm_reach;
typedef struct rfm_channel_stats {
    uint16_t name;
    uint8_t reach; /* rfm_reach */
    uint32_t by_status[RFM_STATUS_COUNT];
    int64_t reach_ms;
} rfm_channel_stats;
/* Latest wins by time, a tie: refusal. */
typedef struct rfm_consent {
    uint16_t channel;
    uint8_t class_;
    bool granted;
    int64_t time_ms;
} rfm_consent;

/* Orders of a category: exact while a client has at most RFM_CATEGORIES_MAX of them; then Space-Saving (Metwally,
 * Agrawal, El Abbadi 2005): the category with the fewest orders makes room, and the new one starts from its count. */
typedef struct rfm_category {
    uint16_t name;
    uint32_t orders;
} rfm_category;

/* A complaint's case, from complaints and resolutions that name it: open if the latest of them is a complaint; a tie:
 * not. */
typedef struct rfm_case {
    uint64_t id48;
    int64_t time_ms;
    bool complained, open; /* complained: a complaint has named it, not only a resolution */
} rfm_case;

/* When and by which event a latest-wins fact was said: the later time wins, of one time the greater id by its bytes. An
 * id of more than RFM_STAMP_ID_MAX bytes is kept as its first bytes and 8 of its hash. */
typedef struct rfm_stamp {
    int64_t time_ms;
    uint8_t id_len;
    uint8_t id[RFM_STAMP_ID_MAX];
} rfm_stamp;

/* A latest-wins fact: a trait, by its name's number, or one of the keys below, which no name has. */
enum { RFM_LATEST_NPS = 0xfff0, RFM_LATEST_CSAT, RFM_LATEST_TIMEZONE, RFM_LATEST_LANGUAGE };
typedef struct rfm_latest {
    uint16_t key;
    uint8_t type;  /* rfm_trait_type, or RFM_LATEST_NOTHING; the own keys: INT, csat in hundredths, names */
    uint8_t stamp; /* index */
    uint16_t text_at, text_len; /* STRING: in latest_text */
    union {
        int64_t integer; /* INT, BOOL, DATE (a day), TIMESTAMP (ms) */
        double number;   /* DOUBLE */
    };
} rfm_latest;
enum { RFM_LATEST_NOTHING = 7 /* a trait that was taken away */ };

/* How far a client went in a month. Purchases are known for longer: purchase_months. */
#define RFM_STAGES(X) \
    X(VISIT, visit) X(VIEW_ITEM, view_item) X(ADD_TO_CART, add_to_cart) X(BEGIN_CHECKOUT, begin_checkout)
typedef enum rfm_stage {
#define X(NAME, name) RFM_STAGE_##NAME,
    RFM_STAGES(X)
#undef X
        RFM_STAGE_COUNT /* as many as a month has bits in rfm_client.stages */
} rfm_stage;

typedef enum rfm_lifecycle {
    RFM_LIFECYCLE_PROSPECT,
    RFM_LIFECYCLE_NEW,
    RFM_LIFECYCLE_ACTIVE,
    RFM_LIFECYCLE_AT_RISK,
    RFM_LIFECYCLE_LAPSED,
    RFM_LIFECYCLE_REACTIVATED,
    RFM_LIFECYCLE_COUNT
} rfm_lifecycle;

typedef struct rfm_client {
    /* facts */
    int64_t revenue_minor, first_day_minor; /* net of refunds */
    int64_t first_ms, last_ms;              /* first and last purchase */
    int32_t first_day, last_day;            /* the same as calendar days in rfm.timezone */
    int64_t before_last_ms; /* the latest purchase on a day before last_day (for `reactivated`); x 0: none */
    uint64_t purchase_days; /* bit i: bought on last_day - i; beyond RFM_LATENESS_DAYS: not known */
    uint32_t orders, refunds, x, visits;
    int64_t visit_last_ms;
    uint32_t purchase_months; /* bit i: bought in the month of last_day less i */
    int32_t stage_month;      /* of the newest visit, since 1970 in rfm.timezone */
    uint16_t stages;          /* its visits' stages, RFM_STAGE_COUNT bits; then of the months before it */
    uint8_t order_count, seen_count, channel_count, consent_count;
    rfm_order order[RFM_ORDERS_MAX]; /* oldest arrival first */
    rfm_seen seen[RFM_SEEN_MAX];
    rfm_channel_stats
        channel[RFM_CHANNELS_MAX + 1];     /* by name's number; the one too many is "other", which all further share */
    rfm_consent consent[RFM_CONSENTS_MAX]; /* by channel's number, then class */
    uint8_t category_count, case_count, latest_count, stamp_count;
    rfm_category category[RFM_CATEGORIES_MAX]; /* by name's number */
    int64_t points;
    int64_t complaints; /* those without a case less such resolutions; of cases too old to be kept what they came to */
    rfm_case cases[RFM_CASES_MAX]; /* by id48; the latest */
    uint16_t source;               /* the first known campaign's name, by time, then text; 0: none */
    int64_t source_ms;
    rfm_latest latest[RFM_LATEST_MAX];   /* by key */
    rfm_stamp stamp[RFM_LATEST_MAX + 1]; /* from the earliest; none that no fact has, but for a moment */
    uint16_t latest_text_len;
    uint8_t latest_text[RFM_LATEST_TEXT_MAX]; /* of the facts that are texts, in their order */
    /* marks */
    struct {
        bool taken;
        uint8_t lifecycle;
        uint16_t segment, previous; /* names' numbers, previous 0: none */
        int64_t since_ms;
        uint32_t version;
    } marks;
    int64_t listed_ms; /* the due moment under which the client stands in a bucket; 0: in none (engine) */
    int64_t
        met_ms; /* decided on up to this moment, if the task's minute lists have not come that far; else 0 (engine) */
    uint8_t left_count; /* buckets in which an entry of the client stands that is not looked at any more (engine) */
    int64_t left_s[RFM_LEFT_MAX]; /* their seconds, as they were left */
    /* slots: rule/slot.h owns the meaning */
    uint16_t slots_len;
    uint8_t slots[RFM_SLOTS_BYTES_MAX];
} rfm_client;

void rfm_client_init(rfm_client *client); /* cheap: does not clear the arrays */
/* RFM_E_CORRUPT, RFM_E_VERSION. Any bytes are safe. */
int rfm_client_decode(rfm_bytes packed, rfm_client *client);
/* Returns the length, at most RFM_CLIENT_PACKED_MAX; canonical: equal clients give equal bytes. */
size_t rfm_client_encode(const rfm_client *client, uint8_t packed[RFM_CLIENT_PACKED_MAX]);

/* Revenue that came to a calendar day or was taken off it. */
typedef struct rfm_moved {
    int32_t day;
    int64_t amount_minor;
} rfm_moved;
typedef enum rfm_applied_kind { RFM_APPLIED, RFM_REPEAT, RFM_REFUSED } rfm_applied_kind;
typedef struct rfm_applied {
    rfm_reason reason; /* REFUSED: why (dead letter) */
    bool bought;       /* a purchase that counts (amount > 0) changed the facts */
    bool lost_refund;  /* a waiting refund without amount was pushed out: dead letter unknown_order for its record */
    uint64_t lost_source;
    int64_t lost_time_ms;
    uint32_t traits_undeclared,
        traits_refused;   /* dropped: not in the configuration; of another type, too long, no room */
    bool zone_unknown;    /* dropped: the time zone is in no database of this process */
    bool dates_changed;   /* a trait that is a date now has another value, or had none */
    int32_t day;          /* a purchase's, a visit's, a cost's: in rfm.timezone */
    int64_t amount_minor; /* a refund's, if it has one: by its own currency or its order's */
    uint8_t moved_count;
    rfm_moved moved[RFM_MOVED_MAX]; /* whose sum is the change of revenue_minor; only those counted are set */
} rfm_applied;
/* Changes the facts by one event. `source`: input << 56 | offset of its record. On REPEAT and REFUSED nothing has
 * changed. */
rfm_applied_kind rfm_client_apply(rfm_client *client, const rfm_event *event, uint64_t source,
                                  const rfm_client_conf *conf, rfm_names *names, rfm_applied *applied);
/* The facts alone: neither the windows for repeats and refunds, which go by arrival, nor marks and slots. */
bool rfm_client_facts_equal(const rfm_client *a, const rfm_client *b);
/* The latest time that any fact or the window of repeats holds; INT64_MIN: nothing has happened. */
int64_t rfm_client_last_event_ms(const rfm_client *client);

typedef enum rfm_permission { RFM_PERMISSION_UNKNOWN, RFM_PERMISSION_GRANTED, RFM_PERMISSION_REFUSED } rfm_permission;
/* Consent facts and unsubscribed / complained messages together (docs/rules.md, "Consent"), the latest by time; a tie:
 * refusal. */
rfm_permission rfm_client_permission(const rfm_client *client, uint16_t channel, rfm_class class_);
/* A permanent bounce after the last delivery (docs/rules.md, "Channels"). */
bool rfm_client_bounces(const rfm_client *client, uint16_t channel);

/* Response to messages on a channel: the mean of a Beta(RFM_RESPONSE_ALPHA, RFM_RESPONSE_BETA) prior after so many
 * clicks and replies of so many delivered; of a channel without messages the prior's. */
enum { RFM_RESPONSE_ALPHA = 1, RFM_RESPONSE_BETA = 9 };
double rfm_client_response(const rfm_client *client, uint16_t channel);
/* The channel with the best response among those on which something was delivered or answered; of equals the one with
 * more delivered, then by text. 0: none. */
uint16_t rfm_client_preferred_channel(const rfm_client *client, const rfm_names *names);
/* Indexes into `category`, most orders first, of equals by text. Returns how many. */
size_t rfm_client_favourites(const rfm_client *client, const rfm_names *names, uint8_t order[RFM_CATEGORIES_MAX]);
uint32_t rfm_client_open_complaints(const rfm_client *client);
/* A trait by its name's number as the configuration declares it; NULL: not known, taken away, or kept under another
 * type. */
const rfm_latest *rfm_client_trait(const rfm_client *client, uint16_t name, rfm_trait_type type);
rfm_bytes rfm_client_trait_text(const rfm_client *client, const rfm_latest *trait); /* of a STRING */
/* What an event says of a trait, as if it were kept: false: not as declared, or taken away. `text`: of a STRING. */
bool rfm_trait_read(const rfm_trait_value *value, rfm_trait_type type, rfm_latest *latest, rfm_bytes *text);
bool rfm_client_nps(const rfm_client *client, int64_t *nps);  /* 0 to 10; false: none */
bool rfm_client_csat(const rfm_client *client, double *csat); /* 0 to 100; false: none */
uint16_t rfm_client_timezone(const rfm_client *client);       /* the name's number; 0: not known */
uint16_t rfm_client_language(const rfm_client *client);

#endif
