/* Rules of the protocol that builds which test the tests leave out, one at a time. In what is shipped RFM_FAULT(NAME)
 * is a constant false and leaves nothing behind.
 *
 *     -DRFM_FAULT=name           (CMake) a build without that rule: tests/e2e/faults.sh
 *     RFM_FAULTS_SELECTABLE      the program says which: tests/sim, `sim_mutants --fault NAME` */
#ifndef RFM_ENGINE_FAULT_H
#define RFM_ENGINE_FAULT_H

#include <stdbool.h>

// clang-format off
#define RFM__FAULTS(X) \
    X(STORE_RULE, store_rule, "stores without the one rule: no WATCH, any `wal` will do") \
    X(STORED_ANSWER, stored_answer, "EXEC's answer believed, not the `wal` that was read after it") \
    X(REFUSED_AS_STORED, refused_as_stored, "an EXEC that was refused taken as done") \
    X(REOPEN_CHECK, reopen_check, "`wal` not compared on a new connection") \
    X(LOAD_FENCE, load_fence, "loads without comparing `wal`") \
    X(TERM, term, "answers of an earlier take-over not dropped") \
    X(CONSUMING, consuming, "records fetched for an earlier take-over not dropped") \
    X(TAKEOVER_REPLAY, takeover_replay, "Redis said to be at M without replaying") \
    X(REPLAY_TO_STABLE, replay_to_stable, "the WAL replayed to the last stable offset only") \
    X(REPLAY_PARTS, replay_parts, "parts of a redo record stored as they come") \
    X(REPLAY_GAP, replay_gap, "a redo record replayed on another than its predecessor") \
    X(RESTORED_ANSWER, restored_answer, "a replay believed stored, whatever `wal` says after it") \
    X(REDIS_AHEAD, redis_ahead, "work goes on although R > M") \
    X(MISFIT_REREAD, misfit_reread, "what does not fit is not read once more") \
    X(POSITION_RANGE, position_range, "work goes on from offsets outside of the input's log") \
    X(NEXT_OF_REDIS, next_of_redis, "without committed offsets: Redis' next offsets are not used") \
    X(OFFSETS, offsets, "a step without records commits no offsets") \
    X(OFFSETS_OUTSIDE, offsets_outside, "offsets committed by themselves, not with the transaction (the simulator's publisher)") \
    X(TROUBLE, trouble, "a commit that succeeded at a second attempt taken as done") \
    X(UNKNOWN_AS_DONE, unknown_as_done, "a commit in doubt taken as done") \
    X(RENEW, renew, "the producer kept after a step that failed") \
    X(CACHE_AFTER_RESET, cache_after_reset, "cached states kept after a step that failed") \
    X(CACHE_OF_OTHERS, cache_of_others, "a task that comes back keeps its cache, whoever had it meanwhile") \
    X(EVICT_DIRTY, evict_dirty, "states that are not stored leave the cache") \
    X(RELEASE_IN_FLIGHT, release_in_flight, "a task given up with a step in flight") \
    X(LOST_IN_FLIGHT, lost_in_flight, "a task lost with a step in flight, and the step goes on") \
    X(NAMES, names, "names not in the redo") \
    X(COUNTERS, counters, "counters not in the redo") \
    X(DUE_LISTS, due_lists, "due lists not in the redo") \
    X(DUE_COUNTS, due_counts, "counts of due lists not in the redo") \
    X(TRIM, trim, "trims of due lists not in the redo") \
    X(TRIM_COUNTED, trim_counted, "a due list trimmed by what it is said to hold, not by what was read") \
    X(MINUTE_ADDED, minute_added, "a minute list that was empty is skipped, whoever was put into it since") \
    X(MINUTE_STORED, minute_stored, "empty minute lists are skipped while clients may be on their way into them") \
    X(MINUTE, minute, "the minute that is done not in the redo") \
    X(CLOCK, clock, "the task's clock not in the redo: a new owner's may go back") \
    X(LISTS_STORED, lists_stored, "lists read before what was put into them is stored") \
    X(BACKLOG, backlog, "timers fire before the backlog is read") \
    X(BACKLOG_WAITING, backlog_waiting, "a record that waits for its client counts as met") \
    X(INSTANT, instant, "record clock: an instant's timers fire before its last record") \
    X(MET_AHEAD, met_ahead, "an evicted client is looked at again for what it has met") \
    X(END_OF_REVOKED, end_of_revoked, "the offset at an input's end taken for a task that is given up, whose records are dropped") \
    X(WAL_IDLE, wal_idle, "an idle task writes no redo record") \
    X(STEP_SIZE, step_size, "a step that failed is tried again at its full size") \
    X(STEP_BOUND, step_bound, "timers that come at once make one step of any size") \
    X(DIRTY_BOUND, dirty_bound, "records are taken however much waits to be stored") \
    X(CACHE_BOUND, cache_bound, "the cache takes clients beyond its limit")
// clang-format on

typedef enum rfm__fault {
#define X(NAME, name, text) RFM__FAULT_##NAME,
    RFM__FAULTS(X)
#undef X
        RFM__FAULT_COUNT
} rfm__fault;

#ifdef RFM_FAULTS_SELECTABLE
extern rfm__fault rfm__fault_chosen; /* defined by the test; COUNT: none */
#define RFM_FAULT(NAME) (rfm__fault_chosen == RFM__FAULT_##NAME)
#else
/* RFM_FAULT_<NAME> is 1 where the build chose it: its text is then "1", else its own name. */
#define RFM__FAULT_TEXT(definition)   #definition
#define RFM__FAULT_IS_ONE(definition) (RFM__FAULT_TEXT(definition)[0] == '1')
#define RFM_FAULT(NAME)               (RFM__FAULT_##NAME < RFM__FAULT_COUNT && RFM__FAULT_IS_ONE(RFM_FAULT_##NAME))
#endif

#endif
