/* A world for the engine in one thread and in simulated time: a Kafka and a Redis in memory, a few workers, and
 * what goes wrong between them. Everything that happens is an event at a moment; one seed decides all of it, so that a
 * seed that fails can be run again.
 *
 *     shop.c    what happens in the shop: records for the inputs, the rules, and the facts that must come out
 *     broker.c  logs, transactions, committed offsets (Kafka's rules, as far as exactly-once rests on them)
 *     group.c   members, generations, assignments
 *     store.c   Redis: one view a task, WATCH, EXEC, snapshots
 *     node.c    a process: a worker and what adapters do for it; delays, lost answers (node.h: its parts)
 *     faults.c  when what is broken
 *     calamity.c  what no retry mends: expired logs, lost offsets
 *     check.c   what must hold, all along and at the end
 *     idle.c    the same of timers by the wall clock
 *
 * What is sent arrives later, unless it is lost; the same channel keeps its order. A process that dies leaves behind
 * what it has sent. */
#ifndef RFM_TESTS_SIM_H
#define RFM_TESTS_SIM_H

#include <rfm/base/table.h>
#include <rfm/engine/view.h>
#include <rfm/engine/worker.h>

enum { SIM_TASKS = 3, SIM_INPUTS = 2, SIM_NODES = 3, SIM_TOPICS = RFM_TOPIC_TRIGGERS + 2, SIM_SNAPSHOTS = 8 };
#define SIM_START_MS INT64_C(1767225600000) /* 2026-01-01T00:00:00Z */

typedef struct sim_world sim_world;
typedef void (*sim_action)(sim_world *sim, void *argument);

/* Once in a world, all processes are dead and something is gone that none of them has deleted. */
typedef enum sim_calamity {
    SIM_NO_CALAMITY,
    SIM_OFFSETS_GONE, /* the group's committed offsets: the WAL and Redis have them */
    SIM_WAL_CUT,      /* Redis restored from a backup that is older than the WAL's beginning */
    SIM_INPUT_CUT,    /* records expired unread */
    SIM_INPUT_ANEW,   /* a topic made anew */
    SIM_KAFKA_BEHIND, /* Kafka restored from a backup that is older than Redis */
    SIM_CALAMITIES
} sim_calamity;

/* What a seed chooses; `calm`: none of what goes wrong. */
typedef struct sim_options {
    size_t nodes, inputs, events, clients;
    rfm_clock clock;
    bool calm, at_least_once;
    int64_t busy_us, span_ms; /* how long records come; how much of the shop's time they cover */
    size_t cache_bytes_max, dirty_bytes_max, step_events_max, part_bytes_max, page_entries_max;
    bool population; /* scores by population, edges told now and then; wall clock only */
    bool crowded;    /* the clients share a few minutes of the day */
    int64_t wal_idle_ms, transaction_ms;
    int64_t message_us;          /* that a message takes to the broker: a step may be too large for its transaction */
    uint32_t crash_in, stall_in; /* one in so many effects; 0: never */
    int64_t fault_us;            /* from one thing that goes wrong to the next, in the mean */
    uint32_t faults;             /* bit per sim_fault */
    sim_calamity calamity;
    bool static_members;
    int64_t skew_ms;  /* clocks are wrong by so much at most, in either direction */
    int64_t grain_ms; /* record clock: some records are of one such instant */
    bool gaps;        /* the inputs' producers use transactions: offsets of markers and of what was aborted */
    bool expires;     /* what nobody needs any more goes from the logs */
} sim_options;

/* -- broker */

typedef struct sim_transaction sim_transaction;
typedef struct sim_record {
    rfm_bytes key, value, headers;
    int64_t append_ms;
    sim_transaction *transaction; /* NULL: none */
    bool control;
} sim_record;
typedef struct sim_log {
    sim_record *items;
    size_t count, size, stable; /* stable: the last stable offset */
    size_t begin;               /* what comes before has expired */
} sim_log;

typedef enum sim_outcome { SIM_OPEN, SIM_COMMITTED, SIM_ABORTED } sim_outcome;
typedef struct sim_place {
    sim_log *log;
    size_t at;
} sim_place;
/* What says to a log, or to a task's committed offsets, what has become of a transaction. */
typedef struct sim_marker {
    sim_transaction *transaction;
    sim_log *log; /* NULL: the offsets */
    uint32_t task;
    bool written;
} sim_marker;
struct sim_transaction {
    sim_outcome outcome; /* from the decision on; the markers follow one by one */
    uint32_t producer;
    sim_place *records;
    size_t count, size;
    bool has_offsets[SIM_TASKS];
    rfm_position offsets[SIM_TASKS];
    sim_marker markers[SIM_TASKS * 2 + SIM_TOPICS];
    size_t marker_count, markers_left;
};
typedef struct sim_producer {
    uint32_t epoch;
    sim_transaction *transaction; /* the present one */
} sim_producer;

/* A whole redo record in a task's WAL that is committed. */
typedef struct sim_link {
    int64_t last;             /* the offset of its last part */
    size_t first_part, parts; /* in sim_broker.part */
    int64_t next[RFM_INPUTS_MAX];
    int64_t committed_us;
} sim_link;
typedef struct sim_chain {
    sim_link *items;
    size_t count, size;
    rfm_bytes *part; /* all parts one after the other */
    size_t part_count, part_size;
} sim_chain;

typedef struct sim_broker {
    sim_log input[SIM_TASKS][SIM_INPUTS], wal[SIM_TASKS], out[SIM_TOPICS];
    sim_producer producer[SIM_NODES];
    rfm_position committed[SIM_TASKS];
    sim_chain chain[SIM_TASKS];
    size_t transactions_open; /* or not marked everywhere */
} sim_broker;

typedef enum sim_reply { SIM_OK, SIM_AGAIN, SIM_FENCED } sim_reply;
void sim_broker_init(sim_world *sim);
void sim_broker_release(sim_world *sim);
void sim_broker_append(sim_world *sim, uint32_t task, uint8_t input, rfm_bytes key, rfm_bytes value, int64_t append_ms);
void sim_broker_append_gap(sim_world *sim, uint32_t task, uint8_t input); /* an offset that no reader is given */
/* Aborts what is open, waits (AGAIN) until it is marked everywhere. */
sim_reply sim_broker_init_producer(sim_world *sim, uint32_t producer, uint32_t *epoch);
sim_reply sim_broker_produce(sim_world *sim, uint32_t producer, uint32_t epoch, const rfm_message *message,
                             int64_t *offset);
sim_reply sim_broker_send_offsets(sim_world *sim, uint32_t producer, uint32_t epoch, uint64_t member,
                                  uint32_t generation, uint32_t task, const rfm_position *to);
/* at_least_once: messages in no transaction, offsets committed by themselves. */
void sim_broker_send(sim_world *sim, const rfm_message *message);
void sim_broker_commit_offsets(sim_world *sim, uint64_t member, uint32_t generation, uint32_t task,
                               const rfm_position *to);
sim_reply sim_broker_commit(sim_world *sim, uint32_t producer, uint32_t epoch);
bool sim_broker_offsets_pending(const sim_world *sim, uint32_t task);
bool sim_record_visible(const sim_record *record); /* to read_committed, below the last stable offset */
size_t sim_log_stable(sim_log *log);
/* Input records that are counted, and WAL records that lead on from what no snapshot of Redis is older than. */
void sim_broker_expire(sim_world *sim);

/* -- group */

typedef struct sim_member {
    uint64_t id; /* 0: none */
    uint32_t node;
    bool joined, tasks[SIM_TASKS];
    int64_t heard_us;
} sim_member;
typedef struct sim_group {
    uint32_t generation;
    uint64_t last_member;
    sim_member member[SIM_NODES * 2];
    bool rebalancing;
    int64_t deadline_us;
} sim_group;
void sim_group_join(sim_world *sim, uint32_t node, uint64_t *member);        /* a new member */
void sim_group_rejoin(sim_world *sim, uint64_t member, uint32_t generation); /* the one that has ended */
void sim_group_leave(sim_world *sim, uint64_t member);
bool sim_group_heartbeat(sim_world *sim, uint64_t member); /* false: not a member */
void sim_group_rebalance(sim_world *sim);
void sim_group_tick(sim_world *sim);
bool sim_group_accepts(const sim_world *sim, uint64_t member, uint32_t generation);

/* -- store */

typedef struct sim_connection {
    uint32_t node, life, task;
    bool broken;           /* the client knows or will know */
    int64_t drop_after_us; /* what reaches the server later than this is lost */
    bool deposed;          /* at a primary that is none any more */
    uint64_t watched;
    int64_t command_us, reply_us; /* of the last */
} sim_connection;
typedef struct sim_snapshot {
    rfm_view *view[SIM_TASKS];
} sim_snapshot;
typedef struct sim_store {
    rfm_view *view[SIM_TASKS];
    uint64_t version[SIM_TASKS]; /* of the key `wal` */
    rfm_view *replica[SIM_TASKS];
    int64_t replica_us[SIM_TASKS]; /* when it has what was sent to it last */
    uint32_t replica_life[SIM_TASKS];
    rfm_view
        *deposed[SIM_TASKS]; /* the last primary, which may take writes for a while that nobody will know of; or NULL */
    sim_snapshot snapshot[SIM_SNAPSHOTS];
    size_t snapshots; /* taken so far */
    bool full;
    int64_t down_until_us[SIM_TASKS]; /* the server, or a Cluster's node */
} sim_store;
void sim_store_init(sim_world *sim);
void sim_store_release(sim_world *sim);
void sim_store_snapshot(sim_world *sim);
int64_t sim_store_oldest(const sim_world *sim, uint32_t task); /* the least `wal` that it may hold from now on */
void sim_store_restore(sim_world *sim, uint32_t task, const sim_snapshot *snapshot);
/* To the replica, which has not got everything. Connections break now, or stay with the primary that was for a
 * while. */
void sim_store_fail_over(sim_world *sim, bool splits);
rfm_view *sim_store_view(const sim_world *sim, const sim_connection *connection);
void sim_store_roll_back(sim_world *sim, bool one_task, bool breaks);
bool sim_store_is_down(const sim_world *sim, uint32_t task);
void sim_store_break(sim_world *sim, sim_connection *connection);
rfm_answer sim_store_exec(sim_world *sim, sim_connection *connection, const rfm_effect *store);

/* -- node */

typedef struct sim_fetch {
    bool on;
    uint32_t version;
    int64_t fetched, fed, end;
    int64_t end_ms; /* the end was asked for then; 0: nothing is known */
} sim_fetch;
typedef struct sim_job sim_job;
typedef struct sim_node {
    uint32_t number, life;
    bool alive, stopping;
    int64_t paused_until_us, wake_us;
    int64_t skew_ms;                        /* of its clock */
    uint32_t position_term[SIM_TASKS];      /* of the last question for it */
    int64_t log_end[SIM_TASKS][SIM_INPUTS]; /* as answered to that */
    rfm_worker *worker;
    size_t step_bytes_max; /* of redo, of all steps so far */
    char id[16];
    /* group */
    uint64_t member;
    uint32_t generation, ended, assignment; /* ended: the generation that is being given up */
    bool held[SIM_TASKS], revoking;
    int64_t group_us;
    /* publisher */
    uint32_t epoch;
    bool has_producer;
    sim_job *first_job, *last_job;
    /* consumer, Redis */
    sim_fetch fetch[SIM_TASKS][SIM_INPUTS];
    struct {
        sim_connection *connection;
        uint32_t term;
        bool wanted;
    } link[SIM_TASKS];
    rfm_rules *rules, *old_rules;
    rfm_client_conf *conf, *old_conf;
} sim_node;
void sim_node_start(sim_world *sim, sim_node *node);
void sim_node_end(sim_world *sim, sim_node *node); /* the process is gone */
void sim_node_crash(sim_world *sim, sim_node *node);
void sim_node_crash_for(sim_world *sim, sim_node *node, int64_t away_us);
void sim_node_pause(sim_world *sim, sim_node *node, int64_t pause_us);
void sim_node_stop(sim_world *sim, sim_node *node); /* as by SIGTERM */
void sim_node_reload(sim_world *sim, sim_node *node);
/* From the group. */
void sim_node_revoked(sim_world *sim, uint32_t node, uint64_t member, uint32_t generation);
void sim_node_assigned(sim_world *sim, uint32_t node, uint64_t member, uint32_t generation, const bool *tasks);
/* From the server. */
void sim_node_disconnected(sim_world *sim, sim_connection *connection);

/* -- shop */

typedef struct sim_facts {
    uint32_t orders, refunds, visits;
    int64_t revenue_minor;
} sim_facts;
typedef struct sim_shop {
    struct {
        uint32_t task;
        uint8_t input;
        rfm_bytes key, value;
        int64_t append_ms; /* planned, then that of the log */
        int64_t offset;    /* in its log; -1: not appended */
        uint8_t gap;       /* so many offsets after it are not for readers */
    } * record;
    size_t count, appended;
    size_t bad;       /* of the records: they go to the dead letters */
    size_t purchases; /* accepted ones */
    rfm_bytes *client_id;
    sim_facts *facts;   /* by client */
    bool *erased;       /* by client: ever; then nothing is known of its timers */
    char (*thanks)[33]; /* the ids of thank_you's triggers */
    struct {
        size_t client, record;
        int64_t time_ms;
    } * visit;
    size_t visits;
} sim_shop;
void sim_shop_init(sim_world *sim);
void sim_shop_conf(const sim_world *sim, rfm_client_conf *conf);
rfm_rules *sim_shop_rules(sim_world *sim, unsigned variant); /* by the wall clock variants differ */

/* -- faults */

// clang-format off
#define SIM_FAULTS(X) \
    X(CRASH, crash) \
    X(PAUSE, pause) \
    X(BREAK, break) \
    X(ROLL_BACK, roll_back) \
    X(DOWN, down) \
    X(FULL, full) \
    X(REBALANCE, rebalance) \
    X(STOP, stop) \
    X(LOSE, lose) \
    X(UNKNOWN, unknown) \
    X(RELOAD, reload) \
    X(FAIL_OVER, fail_over) \
    X(OPEN, open) \
    X(LATE, late)
// clang-format on
typedef enum sim_fault {
#define X(NAME, name) SIM_FAULT_##NAME,
    SIM_FAULTS(X)
#undef X
        SIM_FAULT_COUNT
} sim_fault;
void sim_faults_init(sim_world *sim);
extern const char *const sim_fault_name[SIM_FAULT_COUNT];
bool sim_fault_now(sim_world *sim, sim_fault fault, uint32_t one_in); /* while faults are on and this one is chosen */

/* -- calamities */

typedef struct sim_doom {
    bool held;            /* processes stay dead until it has happened */
    const char *expected; /* a process must halt and say so; NULL: none must */
    int64_t since_us;
    bool met;
} sim_doom;
extern const char *const sim_calamity_name[SIM_CALAMITIES];
void sim_calamity_init(sim_world *sim);
void sim_calamity_halted(sim_world *sim, const sim_node *node, const char *reason);

/* -- checks */

typedef struct sim_seen {
    rfm_table table;
    rfm_bytes *id, *what;
    size_t count, size, what_size;
} sim_seen;
typedef struct sim_checks {
    sim_seen triggers, dead_letters, audits;
    size_t removals;                /* entries taken out of lists other than by trimming, which n:due does not count */
    size_t changes, changes_before; /* committed redo records but for heartbeats; when it was last looked */
    int64_t quiet_since_us;
} sim_checks;
void sim_checks_init(sim_world *sim);
void sim_checks_release(sim_world *sim);
void sim_check_committed(sim_world *sim, const sim_transaction *transaction);
void sim_check_sent(sim_world *sim, size_t topic, const sim_record *record);
void sim_check_stored(sim_world *sim, const rfm_view *view, const rfm_effect *store); /* `view`: before it */
void sim_check_bounds(sim_world *sim, const sim_node *node);                          /* of memory */
bool sim_check_settled(sim_world *sim);
uint32_t sim_seen_find(const sim_seen *seen, rfm_bytes id); /* RFM_TABLE_NONE: not there */
/* By the wall clock: the rule `quiet` is never early, never misses a backlog, never forgets. */
void sim_check_published(sim_world *sim, const sim_node *node, const rfm_message *message);
void sim_check_idle_end(sim_world *sim);
/* Invariants of a world that has come to rest, and the same clients and triggers as `reference` if that is not NULL. */
void sim_check_end(sim_world *here, sim_world *reference);

/* -- the world */

typedef struct sim_event {
    int64_t at_us;
    uint64_t order;
    sim_action act;
    void *argument;
} sim_event;
struct sim_world {
    uint64_t seed, random;
    sim_options options;
    int64_t now_us;
    uint64_t order, turns;
    sim_event *heap;
    size_t heap_count, heap_size;
    rfm_arena arena; /* lives as long as the world */
    bool faults, failed, done, trace;
    char failure[4096];
    sim_broker broker;
    sim_group group;
    sim_store store;
    sim_node node[SIM_NODES];
    sim_shop shop;
    sim_checks checks;
    sim_doom doom;
    uint64_t counts[SIM_FAULT_COUNT];
    rfm_worker_stats stats; /* sums over all lives */
};
uint64_t sim_random(sim_world *sim);
uint64_t sim_below(sim_world *sim, uint64_t limit);
bool sim_one_in(sim_world *sim, uint32_t n);  /* n 0: never */
int64_t sim_delay(sim_world *sim);            /* mostly short, now and then long */
void *sim_take(sim_world *sim, size_t bytes); /* zeroed */
void sim_at(sim_world *sim, int64_t at_us, sim_action act, void *argument);
static inline void sim_after(sim_world *sim, int64_t delay_us, sim_action act, void *argument)
{
    sim_at(sim, sim->now_us + delay_us, act, argument);
}
static inline int64_t sim_now_ms(const sim_world *sim)
{
    return SIM_START_MS + sim->now_us / 1000;
}
void sim_fail(sim_world *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sim_trace(sim_world *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
void *sim_grow(void *items, size_t *size, size_t item_bytes);
#define sim_push(items, count, size, ...)                          \
    do {                                                           \
        if ((count) == (size))                                     \
            (items) = sim_grow((items), &(size), sizeof *(items)); \
        (items)[(count)++] = __VA_ARGS__;                          \
    } while (0)
/* Runs a world to its end. */
sim_world *sim_new(uint64_t seed, const sim_options *options, bool trace);
void sim_run(sim_world *sim);
void sim_end_lives(sim_world *sim); /* counts what the engines have counted */
void sim_free(sim_world *sim);

#endif
