/* The worker's structure, shared by the files that make it: worker.c (inputs and effects), load.c (what Redis is asked
 * for), intake.c (records), apply.c (one client meets an event or a moment), timer.c (minute lists and due buckets),
 * step.c (closing, publishing, storing), stall.c (a task that holds up the others), takeover.c.
 *
 * Invariants. (1) The cached states of a running task are: committed by published steps, plus the step being published,
 * plus the step in the making; nothing else. (2) A step's redo is fixed when it is closed. (3) `stored_wal` of a task
 * is a value that Redis was seen to hold under this term. (4) Whatever breaks (1) or (3) ends in rfm__reset: all tasks
 * of the worker are taken over again; a publish under way is awaited first, and the producer renewed if its outcome was
 * not a clean commit. */
#ifndef RFM_ENGINE_INSIDE_H
#define RFM_ENGINE_INSIDE_H

#include "cache.h"
#include "counters.h"
#include "due.h"
#include "erased.h"
#include "fault.h"
#include <rfm/base/arena.h>
#include <rfm/base/grow.h>
#include <rfm/base/spares.h>
#include <rfm/engine/keys.h>
#include <rfm/engine/worker.h>
#include <rfm/rule/decide.h>

enum {
    RFM__PAGE_ENTRIES = 1000,                 /* of timer lists, read at a time; clients loaded at a time */
    RFM__MINUTES = 1440,                      /* of a day */
    RFM__PAGE_LISTS = 256,                    /* so many lists at most */
    RFM__DEAD_LETTER_BYTES_MAX = 900 * 1024,  /* of key and value */
    RFM__DEAD_LETTER_HEADERS_MAX = 64 * 1024, /* of the original's headers: beyond, they are left out */
    RFM__TRACEPARENT_MAX = 256,               /* W3C: 55 bytes */
    RFM__STEP_BYTES_MAX = 32 << 20,           /* of messages and waiting records: large ones make smaller steps */
    RFM__STEP_SLOW_MS = 4000,                 /* one that failed earlier was not too large */
    RFM__WINDOW = 32,                         /* records decoded and prefetched ahead */
    RFM__RETRY_MS = 1000,                     /* a take-over that is blocked, a store that was refused */
    RFM__STALLED_RETRY_MS = 15000,            /* a task that held up the others */
    RFM__CHECK_MS = 1000,                     /* an idle task compares Redis `wal` */
    RFM__SKEW_MS = 60000, /* an earlier owner's clock may have been ahead by so much; beyond, it was wrong */
};

/* Growing arrays of the worker, kept over their clearing. */
#define RFM__VECTOR(type)   \
    struct {                \
        type *items;        \
        size_t count, size; \
    }
#define rfm__push(vector, ...)                                                         \
    do {                                                                               \
        (vector)->items = rfm_grow((vector)->items, (vector)->count, &(vector)->size); \
        (vector)->items[(vector)->count++] = __VA_ARGS__;                              \
    } while (0)

typedef enum rfm__load_purpose { RFM__FOR_CLIENTS, RFM__FOR_PAGE, RFM__FOR_TABLE, RFM__FOR_CHECK } rfm__load_purpose;
typedef struct rfm__load {
    uint64_t number;
    uint32_t task;
    rfm__load_purpose purpose;
    rfm_load_kind what;
    bool sent;     /* asked for on the present connection */
    uint8_t table; /* FOR_TABLE: which */
    uint32_t list; /* FOR_PAGE: which of the page's */
    int64_t made_ms;
    int64_t known_wal; /* stored, as known when it was asked */
    int64_t from, length;
    rfm_arena arena;
    RFM__VECTOR(rfm_bytes) keys, fields; /* fields: VALUES, as keys */
    RFM__VECTOR(uint32_t) entries;       /* FOR_CLIENTS: cache indexes; a key each, or two: `loose` */
    bool loose;                          /* FOR_CLIENTS: each is looked for on its own, too */
} rfm__load;

typedef struct rfm__waiting {
    rfm_record record;
    uint32_t entry;
    int64_t clock_ms;
    int64_t earliest_ms; /* append time, of this record and those of its task that wait after it */
} rfm__waiting;          /* bytes lie in the step's arena */

typedef struct rfm__step {
    rfm_step step;
    rfm_arena arena;
    RFM__VECTOR(rfm_message) messages;
    RFM__VECTOR(uint32_t) changed;     /* cache indexes of the clients that it changed */
    RFM__VECTOR(rfm__waiting) waiting; /* records whose clients are being loaded, in order of arrival */
    RFM__VECTOR(rfm_change) changes;
    size_t records, looks; /* looks: of timers, with an effect */
    size_t redo_bytes, stores_left;
    int64_t closed_ms;
} rfm__step;

typedef enum rfm__phase {
    RFM__IDLE,     /* not ours */
    RFM__HELD,     /* ours, waits for the producer to be renewed */
    RFM__POSITION, /* (1) reading the committed offsets */
    RFM__TAIL,     /* blocked: reading which transactions are open */
    RFM__EVICTING,
    RFM__RESTING,   /* until retry_ms, then begin again */
    RFM__OPENING,   /* (2) reading Redis `wal` */
    RFM__REPLAYING, /* WAL records are being read */
    RFM__RESTORING, /* WAL records are being stored */
    RFM__TABLES,    /* names, counters, buckets are being loaded */
    RFM__RUNNING,
} rfm__phase;

typedef enum rfm__page_state {
    RFM__PAGE_NONE,
    RFM__PAGE_BARRIER,
    RFM__PAGE_LISTING,
    RFM__PAGE_LOADING
} rfm__page_state;
/* What is known of a minute's list. Only the task's owner adds to it, so that one that was seen empty stays so until it
 * does. */
typedef enum rfm__minute_list { RFM__MINUTE_UNKNOWN, RFM__MINUTE_EMPTY, RFM__MINUTE_ADDED } rfm__minute_list;
typedef struct rfm__list {
    bool ring;         /* a minute list, else a due bucket */
    int64_t moment_ms; /* the minute, the end of the bucket's second */
    int64_t from;      /* entries of a minute list already seen */
    size_t read;       /* entries that it gave */
    uint64_t counted;  /* the bucket's entries when it was asked for them */
} rfm__list;
typedef struct rfm__listed {
    rfm_bytes id;
    uint32_t list;
} rfm__listed;
typedef struct rfm__page {
    rfm__page_state state;
    uint64_t barrier_step; /* read it when this step is stored */
    rfm_arena arena;
    RFM__VECTOR(rfm__list) lists; /* by their moments */
    RFM__VECTOR(rfm__listed) ids;
    RFM__VECTOR(rfm__listed) removals; /* from buckets of the page, to be done when it has trimmed them */
    size_t lists_left;                 /* not answered */
    bool moved; /* a minute list of the page has lost an entry since: places in it have changed */
} rfm__page;

typedef struct rfm__pending_store {
    rfm__step *step;
    size_t change;
} rfm__pending_store;

typedef struct rfm__task {
    uint32_t number, term, assignment;
    rfm__phase phase;
    bool stalled;     /* held up the others when it was last looked: see stall.c */
    bool revoking;    /* to be released when nothing of it is in flight */
    bool linked;      /* Redis can be asked */
    bool consuming;   /* told from where; records and ends that come before were meant for an earlier term */
    bool in_step;     /* has a part in the step in the making */
    bool tables_kept; /* cache and tables are those of `position` (a rebalance may give the task back) */
    bool store_under_way, store_refused; /* refused: the last one was, as by a Redis that is full */
    rfm_position position;               /* of the last published step */
    int64_t next[RFM_INPUTS_MAX];        /* of the step in the making */
    uint64_t last_step;                  /* the last step it has a part in */
    int64_t stored_wal;
    char wal_value[RFM_WAL_VALUE_MAX]; /* of the store under way */
    int64_t published_ms, checked_ms, retry_ms;
    /* Clock and timers. The clock does not go back, whoever owns the task: to one whose clock is behind what has been
     * decided would lie in the future, and be decided again. */
    int64_t clock_ms, seen_ms[RFM_INPUTS_MAX],
        end_ms[RFM_INPUTS_MAX]; /* end_ms: at its end as of then; INT64_MIN: not */
    int64_t closed_ms;          /* record clock: no more records of this instant or before it */
    int64_t catch_up_end[RFM_INPUTS_MAX];
    int64_t earliest_ms; /* while waiting records are gone through */
    bool catching_up;
    int64_t ring_minute; /* minutes up to this one are done; INT64_MIN: not known yet */
    int64_t ring_minute_written;
    int64_t bundled_minute; /* once this one is done nobody is loose; INT64_MIN: not known yet */
    int64_t bundled_minute_written;
    int64_t ring_from;                 /* entries of the next minute's list already seen */
    uint64_t ring_lists, ring_entries; /* read so far, for how many there may be */
    uint8_t minute_list[RFM__MINUTES]; /* rfm__minute_list; since the tables were loaded */
    rfm__due due;
    rfm__page page;
    /* tables */
    rfm_names *names;
    size_t names_written;
    rfm_binding *binding;
    rfm__counters counters;
    rfm__erased erased;
    rfm_redo redo;
    RFM__VECTOR(int64_t) buckets_touched; /* seconds whose counts this step writes */
    RFM__VECTOR(rfm__pending_store) stores;
    /* take-over */
    rfm_position committed; /* its wal is M */
    bool target_known;      /* false: no committed offsets, M is to be found in the WAL */
    int64_t wal_begin;
    int64_t log_begin[RFM_INPUTS_MAX], log_end[RFM_INPUTS_MAX];
    rfm_position replayed; /* what the records read so far lead to */
    int64_t replay_from;
    rfm_arena replay_arena;
    RFM__VECTOR(rfm_bytes) replay_parts; /* whole records, to be stored in one EXEC */
    size_t replay_whole;                 /* so many of the parts make whole records */
    bool replay_last, reread;
    int64_t misfit_wal; /* reread: what was committed when it did not fit */
    size_t evictions_left, tables_left;
} rfm__task;

struct rfm_worker {
    rfm_worker_conf conf;
    rfm_worker_stats stats;
    rfm__cache cache;
    rfm__cache_owner *owners; /* by task number */
    rfm__task **tasks;        /* by task number; NULL: never ours */
    RFM__VECTOR(rfm__task *) owned;
    rfm__step *making, *publishing;
    RFM__VECTOR(rfm__step *) storing; /* in order of their numbers */
    uint64_t step_number, load_number;
    size_t step_size_max;           /* records, and looks of timers, of the step in the making */
    int64_t step_failed_ms;         /* what the last one took that was too large; 0: none was */
    RFM__VECTOR(rfm__load *) loads; /* not answered */
    rfm_table load_places;          /* their indexes by number */
    rfm_spares spare_steps, spare_loads;
    RFM__VECTOR(uint32_t) loaded;    /* entries whose values have come, not yet used */
    RFM__VECTOR(rfm_effect) effects; /* decided, not handed out; from effects_at on */
    size_t effects_at, client_loads_left, dirty_bytes;
    rfm_decoder *decoder;
    rfm_client client; /* the one at work, decoded */
    rfm_decisions decisions;
    rfm_edges edges;
    bool edges_known, resetting, renew, renewing, halted;
    const rfm_client_conf *new_client;
    const rfm_rules *new_rules;
    int64_t now_ms, looked_ms; /* looked_ms: for tasks that hold up the others */
    char reason[512];
    uint8_t packed[RFM_CLIENT_PACKED_MAX];
    rfm_buffer value, headers, data;
};

/* Scores go by a population that is not known yet: nobody is scored, since whoever is moves to another segment and
 * back. */
static inline bool rfm__awaits_edges(const rfm_worker *worker)
{
    return !worker->edges_known && rfm_client_conf_needs_population(worker->conf.client);
}

static inline rfm__task *rfm__task_at(const rfm_worker *worker, uint32_t number)
{
    return number < worker->conf.partition_count ? worker->tasks[number] : NULL;
}

/* stall.c */
void rfm__leave_stalled(rfm_worker *worker);

/* worker.c */
void rfm__effect(rfm_worker *worker, const rfm_effect *effect);
void rfm__halt(rfm_worker *worker, const char *format, ...) __attribute__((format(printf, 2, 3)));
void rfm__effects_purge(rfm_worker *worker);     /* after terms have grown */
void rfm__reset(rfm_worker *worker, bool renew); /* invariant (4) */

/* load.c */
enum { RFM__LOOSE_KEY_MAX = sizeof RFM_KEY_LOOSE + RFM_CLIENT_ID_MAX };
rfm_bytes rfm__loose_key(rfm_bytes client_id, uint8_t text[RFM__LOOSE_KEY_MAX]);
rfm__load *rfm__load_new(rfm_worker *worker, rfm__task *task, rfm__load_purpose purpose, rfm_load_kind what);
void rfm__load_key(rfm__load *load, rfm_bytes key, rfm_bytes field); /* field at NULL: the key's own value */
/* A load of clients, and one more client of it, whose entry waits for it. */
rfm__load *rfm__client_load_new(rfm_worker *worker, rfm__task *task);
void rfm__load_client(rfm_worker *worker, rfm__load *load, uint32_t entry);
void rfm__load_send(rfm_worker *worker, rfm__load *load); /* now, or when the task is linked again */
void rfm__loads_forget(rfm_worker *worker, const rfm__task *task);
void rfm__load_free(rfm__load *load);
bool rfm__has_client_loads(const rfm_worker *worker, const rfm__task *task);
void rfm__loaded(rfm_worker *worker, rfm__task *task, const rfm_input *input);

/* intake.c */
void rfm__set_now(rfm_worker *worker, int64_t now_ms);
/* All loads have come: the records that waited are applied, in the order in which they arrived. */
void rfm__meet_waiting(rfm_worker *worker);
void rfm__see_caught_up(const rfm_worker *worker, rfm__task *task);

/* apply.c */
/* One record of a task whose client is at hand. Its moments up to until_ms, as far as they may fire, come first. */
void rfm__apply_record(rfm_worker *worker, rfm__task *task, const rfm_record *record, const rfm_event *event,
                       uint32_t entry, int64_t clock_ms, int64_t until_ms);
void rfm__dead_letter(rfm_worker *worker, rfm__task *task, const rfm_record *record, const rfm_fault *fault);
/* All moments of a client up to until_ms, in their order. */
void rfm__look(rfm_worker *worker, rfm__task *task, uint32_t entry, int64_t until_ms);
void rfm__join_step(rfm_worker *worker, rfm__task *task);

/* timer.c */
int64_t rfm__next_review_ms(uint64_t hash, int64_t after_ms);
/* Moments up to this one may fire: all records before it have been met (docs/rules.md, "Delay and cancellation"). */
int64_t rfm__timer_bound_ms(const rfm_worker *worker, const rfm__task *task);
void rfm__timers_advance(rfm_worker *worker, rfm__task *task);
void rfm__page_loaded(rfm_worker *worker, rfm__task *task, uint32_t list, const rfm_bytes *values, size_t count);
/* Entries of lists whose moment has come, and one more while any list waits to be read. */
uint64_t rfm__timers_due(const rfm_worker *worker, const rfm__task *task, int64_t *late_ms);
int64_t rfm__timers_wake_ms(const rfm_worker *worker, const rfm__task *task);
void rfm__list_client(rfm_worker *worker, rfm__task *task, rfm_bytes client_id, int64_t old_ms, int64_t new_ms);
/* Takes a client out of a bucket, as often as it stands there; the bucket's count may then be too high, never too
 * low. */
void rfm__unlist_client(rfm_worker *worker, rfm__task *task, rfm_bytes client_id, int64_t second);
/* Whether the bucket is trimmed when the page at work comes to its end. */
bool rfm__in_page(const rfm__task *task, int64_t second);
/* Puts a client into its minute list, or takes it out. */
void rfm__list_minute(rfm__task *task, rfm_bytes client_id, uint64_t hash);
void rfm__unlist_minute(rfm_worker *worker, rfm__task *task, rfm_bytes client_id, uint64_t hash);

/* step.c */
rfm__step *rfm__step_new(rfm_worker *worker);
void rfm__step_free(rfm__step *step);
void rfm__step_drop_changes(rfm_worker *worker, rfm__step *step);
bool rfm__step_is_empty(const rfm_worker *worker);
void rfm__step_try_close(rfm_worker *worker);
void rfm__step_published(rfm_worker *worker, const rfm_input *input);
void rfm__stores_advance(rfm_worker *worker, rfm__task *task);
void rfm__stored(rfm_worker *worker, rfm__task *task, const rfm_input *input);
void rfm__store_done(rfm_worker *worker, rfm__task *task); /* the oldest pending store has taken effect */
void rfm__stores_forget(rfm_worker *worker, rfm__task *task);

/* takeover.c */
void rfm__takeover_begin(rfm_worker *worker, rfm__task *task);
void rfm__takeover_begin_later(rfm_worker *worker, rfm__task *task, int64_t delay_ms);
void rfm__takeover_tell(rfm_worker *worker, rfm__task *task, const rfm_input *input);
void rfm__takeover_wake(rfm_worker *worker, rfm__task *task);
void rfm__table_loaded(rfm_worker *worker, rfm__task *task, const rfm__load *load, const rfm_bytes *values,
                       size_t count);
void rfm__bind_rules(rfm_worker *worker, rfm__task *task);

#endif
