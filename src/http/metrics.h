/* Metrics in Prometheus' text format. One table says what there is; it makes the exposition and docs/metrics.md.
 *
 * Each source (a worker, the process) fills a snapshot of its own when it likes and publishes it: a swap of pointers
 * under a mutex, so that nobody reads what another thread writes and nothing is allocated in the steady state. The
 * exposition adds up the samples of all sources that have the same labels (of an information metric it takes the
 * greatest). */
#ifndef RFM_HTTP_METRICS_H
#define RFM_HTTP_METRICS_H

#include <rfm/base/bytes.h>

/* id, name without rfmd_, type, label names ("" or "a" or "a,b"), help */
#define RFM_METRICS(X)                                                                                                \
    X(EVENTS, "events_total", COUNTER, "topic,type", "Events that were accepted; repeats are counted by themselves.") \
    X(REPEATS, "repeats_total", COUNTER, "", "Events that had no effect because they had come before.")               \
    X(IGNORED, "ignored_total", COUNTER, "", "Records of other formats in which nothing is for rfmd.")                \
    X(ERASURES, "erasures_total", COUNTER, "", "Clients that were erased.")                                           \
    X(FORGOTTEN, "events_forgotten_total", COUNTER, "", "Events from before their client's erasure, dropped.")        \
    X(TRAITS_DROPPED, "traits_dropped_total", COUNTER, "reason",                                                      \
      "Parts of profile events that were not kept: undeclared, refused (type, length, room), unknown_zone.")          \
    X(DEAD_LETTERS, "dead_letters_total", COUNTER, "reason", "Records sent to the dead letters.")                     \
    X(TRIGGERS, "triggers_total", COUNTER, "rule", "Triggers sent.")                                                  \
    X(SUPPRESSIONS, "suppressions_total", COUNTER, "rule,reason", "Triggers held back, as the audit topic has them.") \
    X(RULE_ERRORS, "rule_errors_total", COUNTER, "rule",                                                              \
      "Conditions that failed while they ran: the rule did not fire.")                                                \
    X(CAUSES_TOO_OLD, "causes_too_old_total", COUNTER, "", "Events too old to cause anything (max_trigger_age).")     \
    X(LAG, "lag_records", GAUGE, "topic,partition", "Records of an input partition that have not been read.")         \
    X(LATENCY, "latency_seconds", HISTOGRAM, "", "From an event's append on the broker to its commit.")               \
    X(STEPS, "steps_total", COUNTER, "", "Steps: one Kafka transaction each.")                                        \
    X(STEP, "step_seconds", HISTOGRAM, "", "A step, from its closing to its last byte in Redis.")                     \
    X(COMMIT, "commit_seconds", HISTOGRAM, "", "A step's Kafka transaction, from its begin to its commit.")           \
    X(ABORTS, "aborts_total", COUNTER, "", "Transactions that were aborted or whose outcome was unknown.")            \
    X(REDO_BYTES, "redo_bytes_total", COUNTER, "", "Bytes written to the WAL.")                                       \
    X(CACHE_HITS, "cache_hits_total", COUNTER, "", "Clients found in the cache.")                                     \
    X(CACHE_MISSES, "cache_misses_total", COUNTER, "", "Clients that had to be loaded from Redis.")                   \
    X(CACHE_EVICTIONS, "cache_evictions_total", COUNTER, "", "Clients that left the cache for others.")               \
    X(CACHE_BYTES, "cache_bytes", GAUGE, "", "Memory of the cached clients.")                                         \
    X(DIRTY_BYTES, "dirty_bytes", GAUGE, "", "Redo that Redis does not have yet.")                                    \
    X(REDIS, "redis_seconds", HISTOGRAM, "op", "A round trip to Redis: load, store.")                                 \
    X(REDIS_CONNECTED, "redis_connected", GAUGE, "", "Workers that have their connection to Redis.")                  \
    X(REDIS_LOST, "redis_connections_lost_total", COUNTER, "", "Connections of tasks to Redis that ended under way.") \
    X(REDIS_REFUSED, "redis_stores_refused_total", COUNTER, "",                                                       \
      "Stores without effect: Redis had no memory or was read-only, or another owner had been first.")                \
    X(LOOKS, "looks_total", COUNTER, "", "Clients looked at, each once a day and when a moment of theirs comes.")     \
    X(TIMERS_FIRED, "timers_fired_total", COUNTER, "", "Exact moments that came due and were acted on.")              \
    X(TIMERS_DUE, "timers_due", GAUGE, "",                                                                            \
      "Exact moments that have come and wait for the inputs to be read up to them.")                                  \
    X(TIMERS_LATE, "timers_late_seconds", HIGHEST, "", "How long the oldest of them has waited.")                     \
    X(TASKS, "tasks", GAUGE, "state", "Tasks: consuming; taking_over: all of a worker that is not ready.")            \
    X(REBALANCES, "rebalances_total", COUNTER, "", "Assignments received from the group.")                            \
    X(TAKEOVERS, "takeovers_total", COUNTER, "", "Tasks taken over.")                                                 \
    X(ROLLBACKS, "rollbacks_total", COUNTER, "", "Times that Redis was found behind what had been stored in it.")     \
    X(STALLS, "stalls_total", COUNTER, "",                                                                            \
      "Tasks put aside for 15 s: their Redis did not answer, that of others did.")                                    \
    X(RELOADS, "reloads_total", COUNTER, "result", "Reloads of the configuration: taken, refused.")                   \
    X(RULES_VERSION, "rules_version", INFO, "version", "The rule set in use.")                                        \
    X(BUILD, "build", INFO, "version", "The program's version.")                                                      \
    X(MEMORY, "memory_bytes", GAUGE, "kind",                                                                          \
      "Memory of the process: resident now, what the program holds of it (allocated), the most that was (peak).")     \
    X(CPU, "cpu_seconds_total", COUNTER, "", "Processor time of the process.")                                        \
    X(START, "start_time_seconds", GAUGE, "", "When the process started, seconds since 1970.")

typedef enum rfm_metric {
#define X(NAME, name, type, labels, help) RFM_METRIC_##NAME,
    RFM_METRICS(X)
#undef X
        RFM_METRIC_COUNT
} rfm_metric;

/* Upper bounds 1 ms, 2.5, 5, 10, ... 60 s; times are counted in them by one thread and copied into its snapshot. */
enum { RFM_HISTOGRAM_BOUNDS = 15, RFM_METRIC_LABELS_MAX = 2 };
typedef struct rfm_histogram {
    uint64_t bucket[RFM_HISTOGRAM_BOUNDS + 1]; /* each alone, not the sum of those below; the last: above all bounds */
    double sum_s;
} rfm_histogram;
void rfm_histogram_observe(rfm_histogram *histogram, double seconds, uint64_t times);
/* Seconds below which a share `q` of them lies, taken as even within a bucket; 0: nothing was counted. */
double rfm_histogram_quantile(const rfm_histogram *histogram, double q);

/* What one source has to say now. Labels are copied; any bytes are fine. */
typedef struct rfm_snapshot rfm_snapshot;
rfm_snapshot *rfm_snapshot_new(void);
void rfm_snapshot_free(rfm_snapshot *snapshot);
/* Labels in the table's order; NULL for those that the metric does not have. Beyond 65,536 samples: left out. */
void rfm_snapshot_add(rfm_snapshot *snapshot, rfm_metric metric, const char *label, const char *label2, double value);
void rfm_snapshot_add_histogram(rfm_snapshot *snapshot, rfm_metric metric, const char *label,
                                const rfm_histogram *histogram);

typedef struct rfm_metrics rfm_metrics;
rfm_metrics *rfm_metrics_new(size_t source_count);
void rfm_metrics_free(rfm_metrics *metrics); /* with the snapshots that were published */
/* Any thread, one at a time per source: gives `snapshot` away and returns another, cleared, to be filled next (the
 * source's earlier one; the first time a new one). */
rfm_snapshot *rfm_metrics_publish(rfm_metrics *metrics, size_t source, rfm_snapshot *snapshot);
void rfm_metrics_write(rfm_metrics *metrics, rfm_buffer *text); /* the exposition; any thread */
void rfm_metrics_reference(rfm_buffer *markdown);               /* docs/metrics.md */

#endif
