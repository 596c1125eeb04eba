/* The engine's only connection to the world. It does no I/O and calls nobody: it is told inputs and asked for effects;
 * adapters, replay and simulator run the same loop. Views in an input last for the call; views in an effect until the
 * worker is called again (who needs them longer copies them), but a step to publish lasts until PUBLISHED. One thread.
 * What concerns a task carries the task's `term`, which grows with every take-over and every loss: an answer from an
 * older term is dropped by the engine, so that an adapter may answer late. */
#ifndef RFM_ENGINE_PORTS_H
#define RFM_ENGINE_PORTS_H

#include <rfm/client/population.h>
#include <rfm/rule/rules.h>

enum { RFM_INPUTS_MAX = 8, RFM_TASKS_MAX = 4096 };
#define RFM_OFFSET_NONE INT64_C(-1)

/* Where a task stands: the next offset of each of its input partitions and the WAL offset of its last redo record (the
 * last part's). In Kafka: committed offsets, whose metadata is the WAL offset in decimal. RFM_OFFSET_NONE: none. */
typedef struct rfm_position {
    int64_t next[RFM_INPUTS_MAX];
    int64_t wal;
} rfm_position;

typedef struct rfm_record {
    uint32_t task;
    uint8_t input;
    int64_t offset, append_ms; /* append_ms: the record's Kafka timestamp */
    rfm_bytes key, value;      /* at NULL: null */
    rfm_bytes headers;         /* as event/headers.h */
} rfm_record;

/* Topics of outgoing messages. */
enum { RFM_TOPIC_WAL, RFM_TOPIC_DEAD_LETTERS, RFM_TOPIC_AUDIT, RFM_TOPIC_TRIGGERS /* + index into rfm_rules.topic */ };
typedef struct rfm_message {
    uint8_t topic;
    int32_t partition; /* WAL: the task; else -1: murmur2 of the key */
    int32_t change;    /* WAL: the change whose redo this is a part of; else -1 */
    rfm_bytes key, value, headers;
} rfm_message;

typedef struct rfm_change { /* one task's part of a step */
    uint32_t task, term;
    rfm_position from, to; /* to.wal is filled in by the publisher: the highest offset of the change's WAL messages */
    const rfm_bytes *redo; /* the parts; the WAL messages' values and what is stored are these same bytes */
    size_t redo_count;
} rfm_change;

/* One Kafka transaction: the messages, in order, and for each change its offsets with metadata. */
typedef struct rfm_step {
    uint64_t number;
    uint32_t assignment; /* whose group metadata goes with the offsets */
    const rfm_message *messages;
    size_t message_count;
    rfm_change *changes;
    size_t change_count;
} rfm_step;

typedef enum rfm_answer {
    RFM_DONE,
    RFM_FENCED,           /* PUBLISHED: surely not committed */
    RFM_UNKNOWN,          /* PUBLISHED: may or may not be committed, or the producer reported trouble on the way */
    RFM_BLOCKED,          /* POSITION, WAL: an open transaction hides the end for a second already */
    RFM_NOT_STORED,       /* STORED: EXEC nil (somebody wrote) or an error reply (-OOM, -READONLY): nothing was written;
                       `wal` read again */
    RFM_REFUSED_FOR_GOOD, /* OPENED, POSITION, WAL: going on could give a wrong state; `reason` says why */
} rfm_answer;

typedef enum rfm_input_kind {
    RFM_IN_TIME,  /* only now_ms */
    RFM_IN_CLOCK, /* record clock only: every record up to now_ms has been fed, so moments up to it are due (replay) */
    RFM_IN_ASSIGNED,  /* task, assignment: ours from now on; deliver no records before CONSUME_FROM */
    RFM_IN_REVOKING,  /* task: give it up; RELEASED answers when nothing of it is in flight */
    RFM_IN_LOST,      /* task: no longer ours already */
    RFM_IN_POSITION,  /* answers READ_POSITION */
    RFM_IN_TAIL,      /* answers READ_TAIL: ids of transactions that are open there */
    RFM_IN_EVICTED,   /* answers EVICT */
    RFM_IN_WAL,       /* answers READ_WAL; `last`: nothing is left up to `until` */
    RFM_IN_OPENED,    /* answers OPEN, and again after every reconnection by itself */
    RFM_IN_CLOSED,    /* the task's connection to Redis broke: loads and stores under way get no answer */
    RFM_IN_LOADED,    /* answers LOAD */
    RFM_IN_PUBLISHED, /* answers PUBLISH */
    RFM_IN_RENEWED,   /* answers RENEW */
    RFM_IN_STORED,    /* answers STORE */
    RFM_IN_AT_END,    /* task, input: every record appended before now_ms has been fed */
    RFM_IN_EDGES,     /* a new population; where scores go by it, nothing is taken and no timer fires before */
    RFM_IN_RULES,     /* a new rule set and client configuration, from the next step on */
} rfm_input_kind;

typedef struct rfm_input {
    rfm_input_kind kind;
    uint32_t task, term;
    int64_t now_ms; /* the wall clock, never 0 */
    rfm_answer answer;
    const char *reason; /* REFUSED_FOR_GOOD: what is wrong and what to do */
    union {
        uint32_t assignment; /* ASSIGNED */
        struct {
            rfm_position committed;
            int64_t begin[RFM_INPUTS_MAX], end[RFM_INPUTS_MAX];
        } position; /* log start and end of each input */
        struct {
            const rfm_bytes *ids;
            size_t count;
        } tail;
        struct {
            const rfm_bytes *records;
            const int64_t *offsets;
            size_t count;
            int64_t begin;
            bool last;
        } wal;               /* begin: the log's start */
        rfm_bytes wal_value; /* OPENED, STORED: Redis `wal`, at NULL: absent */
        struct {
            uint64_t load;
            rfm_bytes wal_value;
            const rfm_bytes *values;
            size_t count;
        } loaded;
        rfm_step *step; /* PUBLISHED */
        /* AT_END: everything below next is fed; behind the last record there may be markers of transactions. */
        struct {
            uint8_t input;
            int64_t next;
        };
        const rfm_edges *edges; /* EDGES: copied */
        struct {
            const rfm_client_conf *conf;
            const rfm_rules *rules;
        } rules; /* must live until replaced */
    };
} rfm_input;

typedef enum rfm_effect_kind {
    RFM_OUT_READ_POSITION, /* committed offsets, stable (waits for pending commits up to 1 s, then BLOCKED), log starts
                              and ends */
    RFM_OUT_READ_WAL,      /* one batch of the task's WAL from read_wal.from on (committed records only), `last` when it
                              reaches past read_wal.until; the engine asks again for the rest. until INT64_MAX: until
                              the last stable offset is at the log's end; until at or beyond the log's end:
                              REFUSED_FOR_GOOD */
    RFM_OUT_READ_TAIL,     /* read_uncommitted from the WAL's last stable offset on: transactional ids found there (in
                              headers) */
    RFM_OUT_EVICT,         /* init_transactions under that id, on a throw-away producer */
    RFM_OUT_RENEW,         /* destroy the producer, make a new one under our id */
    RFM_OUT_OPEN,          /* connect for the task, check meta, WATCH wal, GET wal; stays until CLOSE */
    RFM_OUT_CLOSE,
    RFM_OUT_LOAD,  /* see rfm_load_kind; the reply holds `wal` as read after the values */
    RFM_OUT_STORE, /* under the standing WATCH: MULTI, the redo's commands, SET wal, EXEC; then WATCH, GET wal */
    RFM_OUT_PUBLISH,
    RFM_OUT_CONSUME_FROM,
    RFM_OUT_COMMIT, /* at_least_once: the group's offsets, after Redis has them; not answered */
    RFM_OUT_RELEASED,
    RFM_OUT_HALT, /* stop the process with this reason */
} rfm_effect_kind;

typedef enum rfm_load_kind {
    RFM_LOAD_VALUES, /* HGET key field or GET key each, then GET wal: one value each; count 0 is allowed: only wal */
    RFM_LOAD_LIST,   /* LRANGE keys[0] from from+length-1, then GET wal: values are the entries */
    RFM_LOAD_HASH,   /* HGETALL keys[0], then GET wal: values are field, value, field, value, ... */
} rfm_load_kind;

typedef struct rfm_effect {
    rfm_effect_kind kind;
    uint32_t task, term;
    union {
        struct {
            int64_t from, until;
        } read_wal;
        rfm_bytes transactional_id; /* EVICT */
        struct {
            uint64_t load;
            rfm_load_kind what;
            const rfm_bytes *keys;
            size_t count;
            int64_t from, length;
            const rfm_bytes *fields; /* VALUES: as keys, at NULL: the key itself has the value; NULL: all of them */
        } load;                      /* keys without prefix: "b:<bundle>" */
        rfm_step *step;              /* PUBLISH */
        struct {
            const rfm_bytes *redo;
            size_t redo_count;
            rfm_bytes wal_value;
            bool fenced;
        } store;            /* fenced false: only in builds that test the tests */
        rfm_position from;  /* CONSUME_FROM, COMMIT */
        const char *reason; /* HALT */
    };
} rfm_effect;

#endif
