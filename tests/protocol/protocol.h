/* The take-over and commit protocol of docs/exactly-once.md as a small world of its own: workers, a group,
 * transactions, a WAL and a Redis for each task, and nothing else. It shares no code with the engine.
 *
 * A worker moves when it moves: one that sleeps is one that is not chosen. A question and its answer are one move, what
 * is done with the answer another; each part of a record and each marker of a transaction is a move of its own. A
 * client's state is the number of inputs that it has counted. What goes wrong has a budget. A broker that fails over
 * keeps what is decided and loses the requests and answers that are under way (Kafka's, with acks=all and no unclean
 * election). */
#ifndef RFM_TESTS_MODEL_PROTOCOL_H
#define RFM_TESTS_MODEL_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WORKERS_MAX = 3, NOBODY = WORKERS_MAX, TASKS_MAX = 2, LOG_MAX = 12, TRACE_MAX = 160 };

// clang-format off
#define RULES(X) \
    X(STORE_RULE, store_rule, "EXEC under WATCH of `wal`") \
    X(STORE_READ, store_read, "after an EXEC that failed, `wal` decides what has become of it") \
    X(LOAD_FENCE, load_fence, "what is loaded below the `wal` that was known is not used") \
    X(REPLAY, replay, "the WAL is replayed before a task is gone on with") \
    X(REPLAY_TO_M, replay_to_m, "replayed up to M, not to the last stable offset") \
    X(WHOLE, whole, "a record's parts are stored together") \
    X(STABLE, stable, "the position is read when no commit of it is pending") \
    X(GENERATION, generation, "offsets are committed under the group's generation") \
    X(RENEW, renew, "after an unknown outcome the producer is made anew") \
    X(FORGET, forget, "after an unknown outcome the cached states are forgotten") \
    X(KEPT, kept, "a cache is kept over a rebalance only if the position is mine") \
    X(DIRTY, dirty, "states that are not stored are not evicted") \
    X(OFFSETS_INSIDE, offsets_inside, "offsets are committed with the transaction") \
    X(ANSWER, answer, "a commit without an answer is asked for again or given up, not taken as done")
// clang-format on

typedef enum rule {
#define X(NAME, name, text) RULE_##NAME,
    RULES(X)
#undef X
        RULE_COUNT
} model_rule;

typedef struct bounds {
    uint8_t workers, tasks, inputs, parts;
    uint8_t records; /* that a WAL has room for, aborted ones too: what would go on is cut off there */
    uint8_t crashes, rebalances, rollbacks, unknowns, timeouts, evictions, fail_overs;
    bool without[RULE_COUNT];
} model_bounds;

typedef enum entry_status { ENTRY_OPEN, ENTRY_PREPARED, ENTRY_COMMITTED, ENTRY_ABORTED } entry_status;
typedef struct entry {
    uint8_t status : 2, worker : 2, part : 1; /* part: it is the first of two */
    uint8_t before : 4, value : 4;            /* value: the client's state */
} model_entry;

/* Offsets count from 1; 0: none. */
typedef struct task_log {
    model_entry at[LOG_MAX];
    uint8_t count;
    uint8_t wal, next;    /* the group's committed position */
    uint8_t last;         /* of the chain: the last record whose transaction is decided */
    uint8_t redis, value; /* what Redis holds */
    uint8_t owner;        /* in the present generation; NOBODY: none */
} task_log;

typedef enum phase { IDLE, POSITION, OPENING, REPLAYING, RUNNING } phase;
typedef struct held {
    uint8_t phase : 3, watch : 1, cached : 1, in_step : 1, produced : 1, offered : 1;
    uint8_t kept : 1, sent : 1; /* kept: the cache may be that of `wal`; sent: the broker has the step's offsets */
    uint8_t half : 1;           /* the first of the record's two parts is written */
    uint8_t wal, next, stored, value;
    uint8_t made; /* offset of the step's record */
} model_held;

typedef enum outcome { NO_OUTCOME, WAITS, DONE, FENCED } outcome;
typedef struct worker {
    uint8_t alive : 1, in_group : 1, has_producer : 1, valid : 1; /* valid: the broker knows no later epoch */
    uint8_t commit_sent : 1;                                      /* the request is on its way */
    uint8_t open : 1, prepared : 1;                               /* its transaction, at the broker */
    uint8_t offsets_unmarked : 1;
    uint8_t stepping : 1;
    uint8_t outcome : 2;
    model_held task[TASKS_MAX];
} model_worker;

typedef struct state {
    task_log log[TASKS_MAX];
    model_worker worker[WORKERS_MAX];
    uint8_t crashes, rebalances, rollbacks, unknowns, timeouts, evictions, fail_overs; /* left */
} model_state;

/* One move: what it is and where it leads. */
typedef struct move {
    model_state to;
    char text[TRACE_MAX];
    const char *broken; /* a property that it breaks */
    bool fault;         /* uses up a budget */
} model_move;

typedef void (*move_taker)(void *context, const model_move *move);
void protocol_start(const model_bounds *bounds, model_state *start);
void protocol_moves(const model_bounds *bounds, const model_state *from, move_taker take, void *context);
bool protocol_at_rest(const model_bounds *bounds, const model_state *state); /* all inputs counted, all stored */
bool protocol_is_cut(const model_bounds *bounds, const model_state *state);  /* a log's bound stops it */

#endif
