#include "node.h"

enum { BLOCKED_US = 1000000 };

struct question {
    sim_node *node;
    uint32_t life, task, term;
    int64_t from, until, began_us;
};

static void answer(sim_world *sim, const struct question *question, rfm_input *input)
{
    input->task = question->task;
    input->term = question->term;
    if (question->node->alive && question->node->life == question->life)
        sim__tell_later(sim, question->node,
                        sim_fault_now(sim, SIM_FAULT_LATE, 8) ? (int64_t)sim_below(sim, 8000000) : sim_delay(sim),
                        input);
}

static bool wait_on(sim_world *sim, struct question *question, sim_action again)
{
    if (sim->now_us - question->began_us >= BLOCKED_US)
        return false;
    sim_after(sim, 20000 + (int64_t)sim_below(sim, 80000), again, question);
    return true;
}

static void read_position(sim_world *sim, void *argument)
{
    struct question *question = argument;
    rfm_input input = {.kind = RFM_IN_POSITION, .answer = RFM_BLOCKED};
    if (sim_broker_offsets_pending(sim, question->task)) {
        if (wait_on(sim, question, read_position))
            return;
    } else {
        input.answer = RFM_DONE;
        input.position.committed = sim->broker.committed[question->task];
        for (size_t i = 0; i < sim->options.inputs; i++) {
            input.position.begin[i] = (int64_t)sim->broker.input[question->task][i].begin;
            input.position.end[i] = (int64_t)sim->broker.input[question->task][i].count;
        }
    }
    answer(sim, question, &input);
}

static void read_wal(sim_world *sim, void *argument)
{
    struct question *question = argument;
    sim_log *log = &sim->broker.wal[question->task];
    rfm_input input = {.kind = RFM_IN_WAL, .answer = RFM_DONE};
    if (question->until != INT64_MAX && question->until >= (int64_t)log->count) {
        input.answer = RFM_REFUSED_FOR_GOOD;
        input.reason = "beyond the log's end";
        answer(sim, question, &input);
        return;
    }
    size_t stable = sim_log_stable(log), limit = 1 + sim_below(sim, 6), at = (size_t)question->from;
    if (at < log->begin)
        at = log->begin;
    rfm_bytes *records = sim_take(sim, limit * sizeof *records);
    int64_t *offsets = sim_take(sim, limit * sizeof *offsets);
    for (; at < stable && input.wal.count < limit && (int64_t)at <= question->until; at++) {
        if (!sim_record_visible(&log->items[at]))
            continue;
        records[input.wal.count] = log->items[at].value;
        offsets[input.wal.count++] = (int64_t)at;
    }
    input.wal.begin = (int64_t)log->begin;
    input.wal.records = records;
    input.wal.offsets = offsets;
    input.wal.last = question->until == INT64_MAX ? at == log->count : (int64_t)at > question->until;
    if (input.wal.count == 0 && !input.wal.last) {
        if (wait_on(sim, question, read_wal))
            return;
        input.answer = RFM_BLOCKED;
    }
    answer(sim, question, &input);
}

/* Read uncommitted: who has written from the last stable offset on, whatever has become of it. */
static void read_tail(sim_world *sim, void *argument)
{
    struct question *question = argument;
    sim_log *log = &sim->broker.wal[question->task];
    bool found[SIM_NODES] = {false};
    for (size_t at = sim_log_stable(log); at < log->count; at++)
        if (!log->items[at].control)
            found[log->items[at].transaction->producer] = true;
    rfm_bytes *ids = sim_take(sim, SIM_NODES * sizeof *ids);
    rfm_input input = {.kind = RFM_IN_TAIL, .answer = RFM_DONE, .tail = {.ids = ids}};
    for (uint32_t i = 0; i < SIM_NODES; i++)
        if (found[i])
            ids[input.tail.count++] = sim__id_of(sim, i);
    answer(sim, question, &input);
}

void sim__ask(sim_world *sim, sim_node *node, const rfm_effect *effect)
{
    struct question *question = sim_take(sim, sizeof *question);
    question->node = node;
    question->life = node->life;
    question->task = effect->task;
    question->term = effect->term;
    if (effect->kind == RFM_OUT_READ_POSITION)
        node->position_term[effect->task] = effect->term;
    if (effect->kind == RFM_OUT_READ_WAL) {
        question->from = effect->read_wal.from;
        question->until = effect->read_wal.until;
    }
    question->began_us = sim->now_us;
    sim_action act = effect->kind == RFM_OUT_READ_POSITION ? read_position
                     : effect->kind == RFM_OUT_READ_WAL    ? read_wal
                                                           : read_tail;
    sim_after(sim, sim_delay(sim), act, question);
}
