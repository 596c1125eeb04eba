/* A worker owns some tasks and works in steps: fetch, load, apply, publish, store. Everything that decides how events
 * become state and messages exactly once is in here; see ports.h for how it is driven:
 *
 *     loop: feed records; tell inputs; while (rfm_worker_next(worker, &effect)) carry the effect out; wait until
 *           something answers, records arrive, or rfm_worker_wake_ms
 *
 * While step n is in its transaction, n + 1 is loaded and applied on the cached states and n - 1 is stored. After an
 * abort or an unknown outcome the cached states are forgotten and the tasks taken over again: one path for everything
 * that goes wrong.
 *
 * `at_least_once`: Redis is the truth, and not a view of a WAL. A step's messages are published and acknowledged, then
 * each task's part is stored by the same rule, then its offsets are committed, for those who look at lags. `wal` in
 * Redis counts the changes: the upper bits by one each, the lower ones tell whose change it was, so that two owners
 * never make the same value. A take-over goes on from the offsets in Redis `wal`. What was published and not stored is
 * published again, with the same ids; a Redis that was rolled back goes on from where it is, as long as the inputs
 * reach back so far. */
#ifndef RFM_ENGINE_WORKER_H
#define RFM_ENGINE_WORKER_H

#include <rfm/engine/ports.h>
#include <rfm/rule/decide.h>

typedef enum rfm_clock { RFM_CLOCK_WALL, RFM_CLOCK_RECORD } rfm_clock;

typedef struct rfm_worker_conf {
    uint32_t partition_count; /* of every input topic and the WAL */
    size_t input_count;
    const char *input_topic[RFM_INPUTS_MAX]; /* for dead letters */
    rfm_reading input_reading[RFM_INPUTS_MAX];
    rfm_partitioner partitioner;
    bool at_least_once; /* no WAL, no transactions: see above */
    uint32_t mark;      /* at_least_once: random at each start of the process, another one in each worker */
    bool check_records; /* false in replay: files have no keys, partitions or append times to check against */
    rfm_clock clock;
    size_t cache_bytes_max, dirty_bytes_max, step_events_max;
    size_t part_bytes_max;   /* of a WAL message; 0: RFM_REDO_PART_BYTES_MAX */
    size_t page_entries_max; /* of timer lists and clients, read at a time; 0: 1,000 */
    int64_t wal_idle_ms;     /* an idle task writes a redo at least this often */
    const rfm_client_conf *client;
    const rfm_rules *rules;
} rfm_worker_conf;

/* Counters since the start; on the worker's thread. */
/* clang-format off */
#define RFM_WORKER_STATS(X) \
    X(records) X(repeats) X(dead_letters) X(ignored) X(triggers) X(suppressions) X(steps) \
    X(redo_bytes) X(stores) X(cache_hits) X(cache_misses) X(evictions) X(loads) \
    X(looks) X(timers_fired) X(takeovers) X(rollbacks) X(stalls) X(aborts) X(causes_too_old) \
    X(erasures) X(events_forgotten) X(traits_undeclared) X(traits_refused) X(zones_unknown)
/* clang-format on */
enum { RFM_STEP_TIMES = 64 };
typedef struct rfm_worker_stats {
#define X(name) uint64_t name;
    RFM_WORKER_STATS(X)
#undef X
    uint64_t events_by_type[RFM_INPUTS_MAX][RFM_EVENT_TYPE_COUNT], dead_by_reason[RFM_REASON_COUNT];
    uint64_t decided_by_rule[RFM_RULES_MAX][RFM_SUPPRESSION_COUNT]; /* [RFM_SENT]: sent */
    uint64_t errors_by_rule[RFM_RULES_MAX];                         /* conditions that failed */
    uint64_t cache_bytes, dirty_bytes;
    uint64_t steps_stored,
        step_ms[RFM_STEP_TIMES];         /* from closed to stored, the last so many: step n at n % RFM_STEP_TIMES */
    uint64_t timers_due, timers_late_ms; /* list entries whose moment has come; how long the oldest has waited */
} rfm_worker_stats;

typedef struct rfm_worker rfm_worker;
int rfm_worker_new(const rfm_worker_conf *conf, rfm_worker **worker, rfm_error *error); /* RFM_E_RANGE */
void rfm_worker_free(rfm_worker *worker);
/* Takes records of tasks that are being consumed, in the order of each partition; returns how many: fewer than `count`
 * means full, keep the rest and try again after the next effects. Views last for the call. */
size_t rfm_worker_feed(rfm_worker *worker, const rfm_record *records, size_t count, int64_t now_ms);
void rfm_worker_tell(rfm_worker *worker, const rfm_input *input);
bool rfm_worker_next(rfm_worker *worker, rfm_effect *effect); /* false: nothing to do now */
int64_t rfm_worker_wake_ms(const rfm_worker *worker);         /* when to tell TIME at the latest; INT64_MAX: no need */
bool rfm_worker_takes(const rfm_worker *worker);              /* feed would take something */
/* All taken-over tasks consume (readiness). */
bool rfm_worker_ready(const rfm_worker *worker);
bool rfm_worker_settled(const rfm_worker *worker);           /* nothing fed or due is unpublished or unstored */
const rfm_rules *rfm_worker_rules(const rfm_worker *worker); /* in use now */
const rfm_worker_stats *rfm_worker_stats_of(rfm_worker *worker);

#endif
