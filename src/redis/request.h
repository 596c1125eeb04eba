/* What is asked of Redis in one go, and what becomes of the replies, without any I/O: `write` puts the commands into
 * the bytes that are sent and says how many replies follow; `take` is given them one by one. */
#ifndef RFM_REDIS_REQUEST_H
#define RFM_REDIS_REQUEST_H

#include "command.h"
#include "endpoint.h"
#include "reply.h"
#include <rfm/base/spares.h>
#include <rfm/engine/keys.h>

enum { RFM_WHY_MAX = 400, RFM_POLICY_MAX = 32 };

typedef enum rfm_request_kind {
    RFM_REQUEST_GREET,    /* login; what the server is; meta */
    RFM_REQUEST_IDENTIFY, /* writes meta where there is none, or the format where it is older, and reads it again */
    RFM_REQUEST_WATCH,
    RFM_REQUEST_LOAD,
    RFM_REQUEST_CHANGE, /* STORE */
    RFM_REQUEST_LOCATE, /* asks a Sentinel for the master */
} rfm_request_kind;

typedef enum rfm_verdict {
    RFM_GOES_ON,
    RFM_GIVE_UP, /* this connection; another one may do */
    RFM_REFUSE,  /* going on could give a wrong state */
} rfm_verdict;

typedef struct rfm_identity {
    const char *username, *password; /* NULL: none */
    rfm_layout layout;
    const char *service, *sentinel_password; /* NULL: none */
    uint32_t database;
    const char *prefix;
    const rfm_store_field *meta;
    size_t meta_count;
} rfm_identity;

typedef struct rfm_greeting {
    const rfm_identity *identity;
    uint8_t steps[12];
    bool spreads_states; /* it keeps each field of a bundle for itself */
    char policy[RFM_POLICY_MAX];
    bool meta_absent, meta_lacks; /* lacks: a field that older versions did not write */
    uint32_t older_format;        /* which meta says; 0: it says ours */
} rfm_greeting;

typedef struct rfm_locating {
    const rfm_identity *identity;
    rfm_endpoint master;
} rfm_locating;

typedef struct rfm_loading {
    rfm_load_kind what;
    uint64_t load;
    rfm_bytes *values;
    size_t count;
    rfm_bytes wal;
} rfm_loading;

typedef enum rfm_outcome { RFM_OUTCOME_NONE, RFM_OUTCOME_DONE, RFM_OUTCOME_BEATEN, RFM_OUTCOME_ERROR } rfm_outcome;
typedef struct rfm_changing {
    size_t multi, queued; /* the index of MULTI's reply; commands between it and EXEC */
    rfm_outcome outcome;
    bool read_only;
    char error[160];
} rfm_changing;

typedef struct rfm_request rfm_request;
struct rfm_request {
    rfm_request *next;
    rfm_request_kind kind;
    uint32_t term;
    size_t expected, seen;
    uint64_t begun_ns;
    rfm_arena arena; /* what the answer views; see rfm__request_keeps */
    rfm_bytes wal;   /* WATCH, CHANGE: the last reply */
    union {
        rfm_greeting greeting;
        rfm_loading loading;
        rfm_changing changing;
        rfm_locating locating;
    };
};

/* Of recycled ones. */
rfm_request *rfm__request_take(rfm_spares *spares, rfm_request_kind kind); /* no memory: stops the program */
void rfm__request_give(rfm_spares *spares, rfm_request *request);
void rfm__requests_release(rfm_spares *spares);

/* Whether replies must stay until the last of them: they go into the request's arena. */
static inline bool rfm__request_keeps(const rfm_request *request)
{
    return request->kind != RFM_REQUEST_CHANGE;
}

void rfm__meta_key_write(const rfm_identity *identity, rfm_buffer *out); /* one argument: `<prefix>:meta` */
/* Without `meta`: at a node of a Cluster when another one has it and was asked. */
void rfm__greet_write(rfm_request *request, const rfm_identity *identity, bool login, bool meta, rfm_buffer *out);
/* The same without what only an owner needs: login and meta, for those who read. */
void rfm__visit_write(rfm_request *request, const rfm_identity *identity, bool meta, rfm_buffer *out);
void rfm__locate_write(rfm_request *request, const rfm_identity *identity, rfm_buffer *out);
/* Fields that meta lacks; `raise`: and the format, which is older. */
void rfm__identify_write(rfm_request *request, const rfm_identity *identity, bool raise, rfm_buffer *out);
void rfm__watch_write(rfm_request *request, const rfm_keyspace *space, rfm_buffer *out);
void rfm__load_write(rfm_request *request, const rfm_effect *effect, const rfm_keyspace *space, rfm_buffer *out);
/* RFM_E_CORRUPT, RFM_E_VERSION: the redo cannot be read, nothing was written. */
int rfm__change_write(rfm_request *request, const rfm_effect *effect, const rfm_keyspace *space, rfm_buffer *out);

/* Counts the reply as seen. Other verdicts than GOES_ON fill `why`, which never holds a secret. */
rfm_verdict rfm__request_feed(rfm_request *request, const rfm_reply *reply, char why[RFM_WHY_MAX]);
/* The parts of it, by kind; request->seen is the index of this reply. */
rfm_verdict rfm__greet_take(rfm_request *request, const rfm_reply *reply, char why[RFM_WHY_MAX]);
rfm_verdict rfm__watch_take(rfm_request *request, const rfm_reply *reply, char why[RFM_WHY_MAX]);
rfm_verdict rfm__load_take(rfm_request *request, const rfm_reply *reply, char why[RFM_WHY_MAX]);
rfm_verdict rfm__change_take(rfm_request *request, const rfm_reply *reply, char why[RFM_WHY_MAX]);
rfm_verdict rfm__locate_take(rfm_request *request, const rfm_reply *reply, char why[RFM_WHY_MAX]);

rfm_verdict rfm__verdict(rfm_verdict verdict, char why[RFM_WHY_MAX], const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* GIVE_UP, with what Redis said to `command`. */
rfm_verdict rfm__unexpected(const char *command, const rfm_reply *reply, char why[RFM_WHY_MAX]);
bool rfm__is_ok(const rfm_reply *reply);
rfm_bytes rfm__meta_value(const rfm_bytes *values, size_t count, const char *name); /* at NULL: there is none */
/* A format's number and what follows it; 0: it begins with none. */
uint32_t rfm__format_of(rfm_bytes text, rfm_bytes *rest);

#endif
