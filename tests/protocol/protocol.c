#include "protocol.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A move in the making. */
typedef struct board {
    const model_bounds *bounds;
    const model_state *from;
    model_move move;
    move_taker take;
    void *context;
} board;

static model_state *begin(board *at)
{
    memcpy(&at->move.to, at->from, sizeof *at->from);
    at->move.broken = NULL;
    at->move.fault = false;
    return &at->move.to;
}

static void end(board *at, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void end(board *at, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(at->move.text, sizeof at->move.text, format, list);
    va_end(list);
    at->take(at->context, &at->move);
}

static bool without(const board *at, model_rule rule)
{
    return at->bounds->without[rule];
}

/* -- the broker */

static void mark(model_state *to, size_t w, size_t t, entry_status status)
{
    for (size_t i = 0; i < to->log[t].count; i++) {
        model_entry *entry = &to->log[t].at[i];
        if (entry->worker == w && entry->status <= ENTRY_PREPARED)
            entry->status = status;
    }
}

static void abort_transaction(const model_bounds *bounds, model_state *to, size_t w)
{
    for (size_t t = 0; t < bounds->tasks; t++) {
        mark(to, w, t, ENTRY_ABORTED);
        to->worker[w].task[t].sent = 0;
    }
    to->worker[w].open = 0;
}

static bool has_unmarked(const board *at, const model_state *state, size_t w)
{
    if (state->worker[w].offsets_unmarked)
        return true;
    for (size_t t = 0; t < at->bounds->tasks; t++)
        for (size_t i = 0; i < state->log[t].count; i++)
            if (state->log[t].at[i].worker == w && state->log[t].at[i].status == ENTRY_PREPARED)
                return true;
    return false;
}

/* Decided from here on: each record follows the one before it, and its state has counted each input once. */
static void prepare(board *at, size_t w)
{
    model_state *to = &at->move.to;
    for (size_t t = 0; t < at->bounds->tasks; t++) {
        task_log *log = &to->log[t];
        for (uint8_t i = 0; i < log->count; i++) {
            const model_entry *entry = &log->at[i];
            if (entry->worker != w || entry->status != ENTRY_OPEN || entry->part)
                continue;
            uint8_t value = log->last ? log->at[log->last - 1].value : 0;
            if (entry->before != log->last)
                at->move.broken = "a record is committed that does not follow the last one";
            else if (entry->value != value + 1)
                at->move.broken = "a record is committed whose state has not counted each input once";
            log->last = (uint8_t)(i + 1);
        }
        mark(to, w, t, ENTRY_PREPARED);
    }
    to->worker[w].open = 0;
    to->worker[w].prepared = to->worker[w].offsets_unmarked = 1;
}

static void broker_moves(board *at, size_t w)
{
    const model_worker *before = &at->from->worker[w];
    if (before->commit_sent) {
        model_state *to = begin(at);
        to->worker[w].commit_sent = 0;
        bool good = before->open && before->valid;
        bool again = before->valid && before->outcome == WAITS &&
                     !before->open; /* decided before; the answer was lost */
        if (to->worker[w].outcome == WAITS)
            to->worker[w].outcome = good || again ? DONE : FENCED;
        if (good)
            prepare(at, w);
        end(at, "broker: worker %zu's commit %s", w, good ? "is decided" : again ? "was decided before" : "is refused");
    }
    if (before->open && at->from->timeouts > 0) {
        model_state *to = begin(at);
        at->move.fault = true;
        to->timeouts--;
        to->worker[w].valid = 0;
        abort_transaction(at->bounds, to, w);
        end(at, "broker: worker %zu's transaction times out", w);
    }
    if (!before->prepared)
        return;
    for (size_t t = 0; t < at->bounds->tasks; t++) {
        model_state *to = begin(at);
        mark(to, w, t, ENTRY_COMMITTED);
        if (memcmp(to, at->from, sizeof *to) == 0)
            continue;
        to->worker[w].prepared = has_unmarked(at, to, w);
        end(at, "broker: worker %zu's transaction is marked in WAL %zu", w, t);
    }
    if (before->offsets_unmarked) {
        model_state *to = begin(at);
        to->worker[w].offsets_unmarked = 0;
        for (size_t t = 0; t < at->bounds->tasks; t++) {
            model_held *held = &to->worker[w].task[t];
            if (!held->sent)
                continue;
            to->log[t].wal = held->made;
            to->log[t].next = to->log[t].at[held->made - 1].value;
            held->sent = 0;
        }
        to->worker[w].prepared = has_unmarked(at, to, w);
        end(at, "broker: worker %zu's offsets are marked", w);
    }
}

/* Another broker coordinates: what is decided stays so, what was under way between it and the workers is lost. */
static void fail_over(board *at)
{
    bool lost = false;
    if (at->from->fail_overs == 0)
        return;
    model_state *to = begin(at);
    at->move.fault = true;
    to->fail_overs--;
    for (size_t w = 0; w < at->bounds->workers; w++) {
        model_worker *worker = &to->worker[w];
        lost = lost || worker->commit_sent || worker->outcome != NO_OUTCOME;
        worker->commit_sent = 0;
        if (worker->outcome != NO_OUTCOME)
            worker->outcome = WAITS;
    }
    if (lost)
        end(at, "broker: fails over");
}

/* -- the group */

static bool wants_rebalance(const board *at)
{
    for (size_t w = 0; w < at->bounds->workers; w++)
        if (at->from->worker[w].alive)
            for (size_t t = 0; t < at->bounds->tasks; t++)
                if (at->from->log[t].owner == NOBODY)
                    return true;
    return false;
}

static void give_out(board *at, bool fault, size_t first, size_t second)
{
    model_state *to = begin(at);
    at->move.fault = fault;
    to->rebalances -= fault;
    for (size_t w = 0; w < at->bounds->workers; w++)
        to->worker[w].in_group = 0;
    to->log[0].owner = (uint8_t)first;
    to->log[1].owner = (uint8_t)second;
    if (at->bounds->tasks == 1)
        to->log[1].owner = NOBODY;
    if (at->bounds->tasks == 1)
        end(at, "group: a new generation, task 0 goes to worker %zu", first);
    else
        end(at, "group: a new generation, task 0 goes to worker %zu, task 1 to worker %zu", first, second);
}

static void group_moves(board *at)
{
    bool wanted = wants_rebalance(at);
    if (!wanted && at->from->rebalances == 0)
        return;
    for (size_t first = 0; first < at->bounds->workers; first++)
        for (size_t second = 0; second < (at->bounds->tasks > 1 ? at->bounds->workers : 1); second++)
            if (at->from->worker[first].alive && at->from->worker[second].alive)
                give_out(at, !wanted, first, second);
}

/* -- a worker */

static void forget_step(model_worker *worker)
{
    worker->stepping = 0;
    worker->outcome = NO_OUTCOME;
    for (size_t t = 0; t < TASKS_MAX; t++)
        worker->task[t].in_step = worker->task[t].half = worker->task[t].produced = worker->task[t].offered = 0;
}

/* One path for everything that goes wrong. */
static void reset(board *at, size_t w, bool renew)
{
    model_worker *worker = &at->move.to.worker[w];
    if (renew && !without(at, RULE_RENEW))
        worker->has_producer = 0;
    forget_step(worker);
    for (size_t t = 0; t < at->bounds->tasks; t++) {
        model_held *held = &worker->task[t];
        if (held->phase != IDLE)
            held->phase = POSITION;
        held->kept = 0;
        if (!without(at, RULE_FORGET))
            held->cached = 0;
        else
            held->kept = held->cached;
    }
}

static bool clean(const model_worker *worker)
{
    return !worker->stepping && worker->outcome == NO_OUTCOME;
}

static void take_assignment(board *at, size_t w)
{
    model_state *to = begin(at);
    model_worker *worker = &to->worker[w];
    if (worker->stepping)
        reset(at, w, true);
    worker->in_group = 1;
    for (size_t t = 0; t < at->bounds->tasks; t++) {
        model_held *held = &worker->task[t];
        bool kept = held->cached && held->phase == RUNNING && held->stored == held->wal;
        held->kept = kept;
        if (!kept)
            held->cached = 0;
        held->phase = to->log[t].owner == w ? POSITION : IDLE;
        held->watch = 0;
    }
    end(at, "worker %zu hears what it owns", w);
}

static void renew(board *at, size_t w)
{
    const model_worker *before = &at->from->worker[w];
    if (before->prepared)
        return;
    model_state *to = begin(at);
    abort_transaction(at->bounds, to, w);
    to->worker[w].has_producer = to->worker[w].valid = 1;
    to->worker[w].commit_sent = 0;
    end(at, "worker %zu makes a producer", w);
}

static bool offsets_pending(const board *at, size_t t)
{
    for (size_t w = 0; w < at->bounds->workers; w++)
        if (at->from->worker[w].task[t].sent)
            return true;
    return false;
}

/* Ends the open transactions that stand in the way; a decided one completes by itself. */
static void evict(board *at, size_t w, size_t t)
{
    for (size_t other = 0; other < at->bounds->workers; other++) {
        if (!at->from->worker[other].open)
            continue;
        model_state *to = begin(at);
        to->worker[other].valid = 0;
        abort_transaction(at->bounds, to, other);
        end(at, "worker %zu, blocked on task %zu, ends worker %zu's transaction", w, t, other);
    }
}

static void read_position(board *at, size_t w, size_t t)
{
    if (offsets_pending(at, t) && !without(at, RULE_STABLE)) {
        evict(at, w, t);
        return;
    }
    model_state *to = begin(at);
    model_held *held = &to->worker[w].task[t];
    if (held->kept && held->wal != to->log[t].wal && !without(at, RULE_KEPT))
        held->kept = held->cached = 0;
    held->wal = to->log[t].wal;
    held->next = to->log[t].next;
    held->phase = OPENING;
    end(at, "worker %zu reads task %zu's position: WAL %u, next %u", w, t, held->wal, held->next);
}

static void run(model_held *held)
{
    held->phase = RUNNING;
    if (!held->kept)
        held->cached = 0;
    held->kept = 0;
}

static void open_redis(board *at, size_t w, size_t t)
{
    model_state *to = begin(at);
    model_held *held = &to->worker[w].task[t];
    held->watch = 1;
    held->stored = to->log[t].redis;
    if (held->stored == held->wal || without(at, RULE_REPLAY)) {
        held->stored = held->wal;
        run(held);
    } else {
        held->phase = held->stored > held->wal ? POSITION : REPLAYING;
    }
    end(at, "worker %zu reads task %zu's wal in Redis: %u", w, t, to->log[t].redis);
}

/* Whoever watches sees it. */
static void set_redis(model_state *to, size_t t, uint8_t wal, uint8_t value)
{
    to->log[t].redis = wal;
    to->log[t].value = value;
    for (size_t w = 0; w < WORKERS_MAX; w++)
        to->worker[w].task[t].watch = 0;
}

/* False: the watch has gone. */
static bool exec(board *at, size_t w, size_t t, uint8_t offset)
{
    model_state *to = &at->move.to;
    model_held *held = &to->worker[w].task[t];
    const model_entry *entry = &to->log[t].at[offset - 1];
    if (!held->watch && !without(at, RULE_STORE_RULE))
        return false;
    if (entry->before != to->log[t].redis)
        at->move.broken =
            "Redis is not what a prefix of the WAL gives: a record is stored on another than its predecessor";
    else if (entry->status == ENTRY_OPEN || entry->status == ENTRY_ABORTED)
        at->move.broken = "Redis is not what a prefix of the WAL gives: what is stored is not committed";
    else if (entry->part)
        at->move.broken = "Redis is not what a prefix of the WAL gives: a part of a record is stored";
    set_redis(to, t, offset, entry->value);
    held->watch = 1;
    return true;
}

/* The next whole record after what Redis holds, among those that a read_committed reader sees; 0: none, `blocked` if
 * one may come. */
static uint8_t next_visible(const board *at, size_t t, const model_held *held, bool *blocked)
{
    const task_log *log = &at->from->log[t];
    *blocked = false;
    for (uint8_t i = 0; i < log->count && i < held->wal; i++) {
        if (log->at[i].status <= ENTRY_PREPARED)
            return *blocked = true, 0;
        if (i >= held->stored && log->at[i].status == ENTRY_COMMITTED && (!log->at[i].part || without(at, RULE_WHOLE)))
            return (uint8_t)(i + 1);
    }
    return 0;
}

static void replay(board *at, size_t w, size_t t)
{
    bool blocked;
    uint8_t offset = next_visible(at, t, &at->from->worker[w].task[t], &blocked);
    if (offset == 0 && blocked && !without(at, RULE_REPLAY_TO_M)) {
        evict(at, w, t);
        return;
    }
    model_state *to = begin(at);
    model_held *held = &to->worker[w].task[t];
    if (offset == 0) {
        if (!blocked)
            at->move.broken = "the WAL does not lead from what Redis holds to the position";
        run(held);
        end(at, "worker %zu finds no more of task %zu's WAL", w, t);
        return;
    }
    bool done = exec(at, w, t, offset);
    held->stored = done ? offset : held->stored;
    if (!done)
        held->phase = POSITION;
    else if (held->stored == held->wal)
        run(held);
    end(at, "worker %zu replays task %zu's record %u: %s", w, t, offset, done ? "stored" : "somebody has written");
}

static void load(board *at, size_t w, size_t t)
{
    model_state *to = begin(at);
    model_held *held = &to->worker[w].task[t];
    if (to->log[t].redis < held->stored && !without(at, RULE_LOAD_FENCE)) {
        reset(at, w, false);
        end(at, "worker %zu loads task %zu's client: Redis was rolled back", w, t);
        return;
    }
    held->cached = 1;
    held->value = to->log[t].value;
    end(at, "worker %zu loads task %zu's client: %u", w, t, held->value);
}

static bool may_step(const board *at, const model_held *held)
{
    return held->phase == RUNNING && held->cached && held->next < at->bounds->inputs;
}

static void begin_step(board *at, size_t w)
{
    model_state *to = begin(at);
    size_t count = 0;
    for (size_t t = 0; t < at->bounds->tasks; t++) {
        model_held *held = &to->worker[w].task[t];
        if (!may_step(at, held))
            continue;
        held->in_step = 1;
        held->value++;
        count++;
    }
    if (count == 0)
        return;
    to->worker[w].stepping = 1;
    end(at, "worker %zu makes a step of %zu task%s", w, count, count > 1 ? "s" : "");
}

static void produce(board *at, size_t w, size_t t)
{
    model_state *to = begin(at);
    model_worker *worker = &to->worker[w];
    if (!worker->valid) {
        reset(at, w, true);
        end(at, "worker %zu is fenced when it produces", w);
        return;
    }
    model_held *held = &worker->task[t];
    task_log *log = &to->log[t];
    if (worker->prepared || log->count == at->bounds->records * at->bounds->parts)
        return;
    worker->open = 1;
    bool more = at->bounds->parts > 1 && !held->half;
    log->at[log->count++] = (model_entry){
        .status = ENTRY_OPEN, .worker = w & 3, .part = more, .before = held->wal & 15, .value = held->value & 15};
    held->half = more;
    held->produced = !more;
    held->made = log->count;
    end(at, "worker %zu writes %s %u of task %zu, state %u", w, more ? "the first part of a record," : "record",
        held->made, t, held->value);
}

static void offer(board *at, size_t w, size_t t)
{
    model_state *to = begin(at);
    model_worker *worker = &to->worker[w];
    bool member = worker->in_group || without(at, RULE_GENERATION);
    if (!worker->valid || !member) {
        reset(at, w, true);
        end(at, "worker %zu is fenced when it sends offsets", w);
        return;
    }
    worker->task[t].offered = worker->task[t].sent = 1;
    if (without(at, RULE_OFFSETS_INSIDE)) {
        to->log[t].wal = worker->task[t].made;
        to->log[t].next = worker->task[t].value;
    }
    end(at, "worker %zu sends task %zu's offsets", w, t);
}

static void ask_for_commit(board *at, size_t w)
{
    model_state *to = begin(at);
    bool again = to->worker[w].outcome == WAITS;
    to->worker[w].commit_sent = 1;
    to->worker[w].outcome = WAITS;
    if (again && without(at, RULE_ANSWER)) {
        to->worker[w].commit_sent = 0;
        to->worker[w].outcome = DONE;
    }
    end(at, "worker %zu asks for its commit%s", w, again ? " again" : "");
}

static void step_on(board *at, size_t w)
{
    const model_worker *before = &at->from->worker[w];
    bool produced = true, offered = true;
    for (size_t t = 0; t < at->bounds->tasks; t++) {
        if (before->task[t].in_step && !before->task[t].produced) {
            produced = false;
            produce(at, w, t);
            break;
        }
    }
    for (size_t t = 0; t < at->bounds->tasks && produced; t++) {
        if (before->task[t].in_step && !before->task[t].offered) {
            offered = false;
            offer(at, w, t);
            break;
        }
    }
    bool lost = before->outcome == WAITS && !before->commit_sent;
    if (produced && offered && (before->outcome == NO_OUTCOME || lost))
        ask_for_commit(at, w);
}

static void learn(board *at, size_t w)
{
    model_state *to = begin(at);
    model_worker *worker = &to->worker[w];
    if (worker->outcome == FENCED) {
        reset(at, w, true);
        end(at, "worker %zu learns that its commit was refused", w);
        return;
    }
    for (size_t t = 0; t < at->bounds->tasks; t++) {
        model_held *held = &worker->task[t];
        if (!held->in_step)
            continue;
        held->wal = held->made;
        held->next++;
    }
    forget_step(worker);
    end(at, "worker %zu learns that its step is committed", w);
}

static void give_up(board *at, size_t w)
{
    if (at->from->unknowns == 0)
        return;
    model_state *to = begin(at);
    at->move.fault = true;
    to->unknowns--;
    reset(at, w, true);
    end(at, "worker %zu hears nothing of its commit and gives it up", w);
}

/* What was published and is not stored, in order. */
static uint8_t next_own(const board *at, size_t w, size_t t, const model_held *held)
{
    const task_log *log = &at->from->log[t];
    for (uint8_t i = held->stored; i < held->wal; i++)
        if (log->at[i].before == held->stored && !log->at[i].part && log->at[i].worker == w &&
            log->at[i].status != ENTRY_ABORTED)
            return (uint8_t)(i + 1);
    return 0;
}

static void store(board *at, size_t w, size_t t)
{
    uint8_t offset = next_own(at, w, t, &at->from->worker[w].task[t]);
    if (offset == 0)
        return;
    model_state *to = begin(at);
    model_held *held = &to->worker[w].task[t];
    bool done = exec(at, w, t, offset);
    uint8_t wal = to->log[t].redis;
    if (done || wal == offset || without(at, RULE_STORE_READ))
        held->stored = offset, held->watch = 1;
    else if (wal == held->stored)
        held->watch = 1;
    else
        reset(at, w, false);
    end(at, "worker %zu stores task %zu's record %u: %s", w, t, offset,
        done            ? "done"
        : wal == offset ? "it was done"
                        : "somebody has written");
}

/* An idle owner, and whoever has a new connection. */
static void check_redis(board *at, size_t w, size_t t)
{
    model_state *to = begin(at);
    if (to->log[t].redis == to->worker[w].task[t].stored)
        return;
    reset(at, w, false);
    end(at, "worker %zu sees that Redis holds %u of task %zu", w, to->log[t].redis, t);
}

static void task_moves(board *at, size_t w, size_t t)
{
    const model_worker *worker = &at->from->worker[w];
    const model_held *held = &worker->task[t];
    switch ((phase)held->phase) {
    case IDLE: break;
    case POSITION:
        if (clean(worker) && worker->has_producer)
            read_position(at, w, t);
        break;
    case OPENING: open_redis(at, w, t); break;
    case REPLAYING: replay(at, w, t); break;
    case RUNNING:
        if (held->stored != held->wal)
            store(at, w, t);
        if (clean(worker)) {
            check_redis(at, w, t);
            if (!held->cached && held->next < at->bounds->inputs)
                load(at, w, t);
        }
        break;
    }
    if (held->phase == RUNNING && held->cached && !held->in_step && at->from->evictions > 0 &&
        (held->stored == held->wal || without(at, RULE_DIRTY))) {
        model_state *to = begin(at);
        at->move.fault = true;
        to->evictions--;
        to->worker[w].task[t].cached = 0;
        end(at, "worker %zu's cache lets task %zu's client go", w, t);
    }
}

static void crash(board *at, size_t w)
{
    if (at->from->crashes == 0)
        return;
    model_state *to = begin(at);
    model_worker *worker = &to->worker[w];
    at->move.fault = true;
    to->crashes--;
    worker->alive = worker->in_group = worker->has_producer = 0;
    forget_step(worker);
    for (size_t t = 0; t < at->bounds->tasks; t++) {
        if (to->log[t].owner == w)
            to->log[t].owner = NOBODY;
        uint8_t made = worker->task[t].made, sent = worker->task[t].sent; /* the broker's */
        memset(&worker->task[t], 0, sizeof worker->task[t]);
        worker->task[t].made = made;
        worker->task[t].sent = sent & 1;
    }
    end(at, "worker %zu dies", w);
}

static void worker_moves(board *at, size_t w)
{
    const model_worker *worker = &at->from->worker[w];
    if (!worker->alive) {
        model_state *to = begin(at);
        to->worker[w].alive = 1;
        end(at, "worker %zu starts", w);
        return;
    }
    crash(at, w);
    bool told = worker->in_group;
    for (size_t t = 0; t < at->bounds->tasks && !told; t++)
        told = at->from->log[t].owner == NOBODY; /* no generation yet */
    if (!told)
        take_assignment(at, w);
    if (!worker->has_producer)
        renew(at, w);
    for (size_t t = 0; t < at->bounds->tasks; t++)
        task_moves(at, w, t);
    if (!worker->stepping && worker->has_producer)
        begin_step(at, w);
    if (worker->stepping)
        step_on(at, w);
    if (worker->outcome == DONE || worker->outcome == FENCED)
        learn(at, w);
    if (worker->stepping && worker->outcome != NO_OUTCOME)
        give_up(at, w);
}

static void roll_back(board *at, size_t t)
{
    const task_log *log = &at->from->log[t];
    for (uint8_t to_wal = log->redis; at->from->rollbacks > 0 && to_wal > 0;) {
        to_wal = log->at[to_wal - 1].before;
        model_state *to = begin(at);
        at->move.fault = true;
        to->rollbacks--;
        set_redis(to, t, to_wal, to_wal ? log->at[to_wal - 1].value : 0);
        end(at, "Redis: task %zu is rolled back to %u", t, to_wal);
    }
}

void protocol_start(const model_bounds *bounds, model_state *start)
{
    memset(start, 0, sizeof *start);
    for (size_t t = 0; t < TASKS_MAX; t++)
        start->log[t].owner = NOBODY;
    for (size_t w = 0; w < bounds->workers; w++)
        start->worker[w].alive = 1;
    start->crashes = bounds->crashes;
    start->rebalances = bounds->rebalances;
    start->rollbacks = bounds->rollbacks;
    start->unknowns = bounds->unknowns;
    start->timeouts = bounds->timeouts;
    start->evictions = bounds->evictions;
    start->fail_overs = bounds->fail_overs;
}

void protocol_moves(const model_bounds *bounds, const model_state *from, move_taker take, void *context)
{
    board at = {.bounds = bounds, .from = from, .take = take, .context = context};
    for (size_t w = 0; w < bounds->workers; w++) {
        broker_moves(&at, w);
        worker_moves(&at, w);
    }
    fail_over(&at);
    group_moves(&at);
    for (size_t t = 0; t < bounds->tasks; t++)
        roll_back(&at, t);
}

bool protocol_at_rest(const model_bounds *bounds, const model_state *state)
{
    for (size_t t = 0; t < bounds->tasks; t++) {
        const task_log *log = &state->log[t];
        if (log->next != bounds->inputs || log->redis != log->wal || log->value != bounds->inputs)
            return false;
    }
    return true;
}

bool protocol_is_cut(const model_bounds *bounds, const model_state *state)
{
    for (size_t t = 0; t < bounds->tasks; t++)
        if (state->log[t].count == bounds->records * bounds->parts && state->log[t].next != bounds->inputs)
            return true;
    return false;
}
