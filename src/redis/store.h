/* One worker's Redis side: carries out OPEN, CLOSE, LOAD and STORE of ports.h and answers with OPENED, CLOSED, LOADED
 * and STORED. Everything runs on the worker's loop; nothing here decides what a value of `wal` means.
 *
 * One connection a task, since a standing WATCH ends with any EXEC on its connection. A connection is opened by: login,
 * what the server is (a master, no eviction, new enough), `<prefix>:meta`, WATCH wal, GET wal. Where there are
 * Sentinels, they are asked each time which server to connect to; in a Cluster MOVED tells, first where `<prefix>:meta`
 * is, then where the task's keys are, and while their slot is on its way to another node (ASK, TRYAGAIN) the task
 * waits. One that breaks is made again by itself, 50 ms to 2 s apart, and answers OPENED anew; what was under way on it
 * gets no answer. A change that Redis may hold in part, and whatever else makes going on wrong, ends in OPENED with
 * REFUSED_FOR_GOOD, also long after the first OPENED; then only OPEN tries again.
 *
 * The process must ignore SIGPIPE. No secret is ever put into a message. */
#ifndef RFM_REDIS_STORE_H
#define RFM_REDIS_STORE_H

#include <rfm/engine/ports.h>
#include <uv.h>

enum { RFM_STORE_PREFIX_MAX = 128, RFM_STORE_META_MAX = 32 };

/* A field of the hash `<prefix>:meta` and what it must hold; written where there is no such hash yet. `is_format`: the
 * value begins with the number of the newest format that is known; whoever opens a state of an older one makes it this.
 * `is_late`: older versions did not write the field; whoever opens a state without it adds it. */
typedef struct rfm_store_field {
    const char *name, *value;
    bool is_format, is_late;
} rfm_store_field;

/* A reply beyond these is no reply: the connection is given up. 0: the default. */
typedef struct rfm_store_limits {
    size_t elements_max;    /* 2^22 */
    size_t value_bytes_max; /* 16 MiB */
    size_t reply_bytes_max; /* 256 MiB */
} rfm_store_limits;

typedef struct rfm_store_conf {
    /* redis://, rediss://host[:port][/database]; unix://path[?db=n]; redis+sentinel://,
     * rediss+sentinel://hosts/name[/database]; redis+cluster://, rediss+cluster://hosts */
    const char *url;
    const char *username, *password;            /* NULL: none */
    const char *sentinel_password;              /* for the Sentinels; NULL: none */
    const char *ca_file, *cert_file, *key_file; /* NULL: the system's authorities, no certificate of our own */
    const char *prefix;
    uint32_t timeout_ms; /* without a byte of an expected answer; 0: 5,000 */
    uint32_t partition_count;
    uint32_t format; /* the newest that is known, for those who read without comparing meta; 0: any will do */
    const rfm_store_field *meta; /* the identity: group, cluster, topic ids, partition count, format */
    size_t meta_count;
    rfm_store_limits limits;
} rfm_store_conf;

typedef enum rfm_store_timing { RFM_STORE_LOADED, RFM_STORE_STORED } rfm_store_timing;

typedef struct rfm_store_calls {
    void (*answer)(void *owner, const rfm_input *input);             /* may call rfm_store_do, not rfm_store_free */
    void (*log)(void *owner, const char *message);                   /* trouble, and its end; may be NULL */
    void (*timing)(void *owner, rfm_store_timing what, uint64_t us); /* may be NULL */
    void *owner;
} rfm_store_calls;

typedef struct rfm_store_stats {
    uint64_t stores_refused; /* NOT_STORED */
    uint64_t connections_lost;
    uint32_t tasks_open; /* now */
} rfm_store_stats;

typedef struct rfm_store rfm_store;

/* The configuration is copied. RFM_E_MALFORMED, RFM_E_USAGE, RFM_E_TOO_LARGE, RFM_E_IO (TLS files). */
int rfm_store_new(uv_loop_t *loop, const rfm_store_conf *conf, const rfm_store_calls *calls, rfm_store **store,
                  rfm_error *error);
/* Ends all connections at once. No call is made any more, but the loop must run until nothing of it is alive. */
void rfm_store_free(rfm_store *store);

/* OPEN, CLOSE, LOAD or STORE. What the effect points to is copied. At most one STORE a task at a time. A LOAD or STORE
 * for a task that is not open, or with another term than OPEN's, gets no answer: CLOSED has been or OPENED will be
 * told. */
void rfm_store_do(rfm_store *store, const rfm_effect *effect);

/* What keeps tasks closed, for readiness; empty if nothing does. From any thread. */
void rfm_store_trouble(rfm_store *store, char *text, size_t size);
/* On the loop's thread. */
const rfm_store_stats *rfm_store_stats_of(const rfm_store *store);

#endif
