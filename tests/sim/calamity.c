#include "sim.h"

#include <string.h>

const char *const sim_calamity_name[SIM_CALAMITIES] = {"none",      "offsets_gone", "wal_cut",
                                                       "input_cut", "input_anew",   "kafka_behind"};

enum { POLL_US = 200000, REST_US = 6000000 /* what dead processes have sent has arrived */ };

static int64_t last_offset(const sim_world *sim, uint32_t task)
{
    const sim_chain *chain = &sim->broker.chain[task];
    return chain->count > 0 ? chain->items[chain->count - 1].last : RFM_OFFSET_NONE;
}

static int64_t stored(const rfm_view *view)
{
    return rfm_wal_value_parse(rfm_view_wal(view));
}

static bool lose_offsets(sim_world *sim)
{
    for (uint32_t task = 0; task < SIM_TASKS; task++) {
        sim->broker.committed[task].wal = RFM_OFFSET_NONE;
        for (size_t i = 0; i < RFM_INPUTS_MAX; i++)
            sim->broker.committed[task].next[i] = RFM_OFFSET_NONE;
    }
    return true;
}

/* The record that follows the backup is gone, and perhaps all that follow it. */
static bool cut_wal(sim_world *sim, uint32_t task)
{
    sim_store *store = &sim->store;
    const sim_chain *chain = &sim->broker.chain[task];
    for (size_t i = 0; i < SIM_SNAPSHOTS && store->snapshot[i].view[task]; i++) {
        int64_t at = stored(store->snapshot[i].view[task]);
        if (at >= last_offset(sim, task))
            continue;
        size_t next = 0;
        while (chain->items[next].last <= at)
            next++;
        size_t cut = sim_one_in(sim, 3) ? chain->count - 1 : next;
        sim->broker.wal[task].begin = (size_t)chain->items[cut].last + 1;
        sim_store_restore(sim, task, &store->snapshot[i]);
        sim->doom.expected = "cannot be brought to";
        return true;
    }
    return false;
}

static bool cut_input(sim_world *sim, uint32_t task)
{
    sim_log *log = &sim->broker.input[task][sim_below(sim, sim->options.inputs)];
    int64_t next = sim->broker.committed[task].next[log - sim->broker.input[task]];
    if (next == RFM_OFFSET_NONE || next >= (int64_t)log->count)
        return false;
    log->begin = (size_t)next + 1 + sim_below(sim, log->count - (size_t)next);
    sim->doom.expected = "records were deleted before they were read";
    return true;
}

static bool make_input_anew(sim_world *sim, uint32_t task)
{
    sim_log *log = &sim->broker.input[task][sim_below(sim, sim->options.inputs)];
    if (sim->broker.committed[task].next[log - sim->broker.input[task]] <= 0)
        return false;
    log->count = log->begin = log->stable = 0;
    sim->doom.expected = "lies beyond the log's end";
    return true;
}

static bool set_kafka_back(sim_world *sim, uint32_t task)
{
    sim_chain *chain = &sim->broker.chain[task];
    sim_log *wal = &sim->broker.wal[task];
    if (chain->count < 2 || stored(sim->store.view[task]) != last_offset(sim, task))
        return false;
    chain->part_count -= chain->items[--chain->count].parts;
    const sim_link *link = &chain->items[chain->count - 1];
    wal->count = (size_t)link->last + 1;
    wal->stable = wal->count;
    sim->broker.committed[task].wal = link->last;
    memcpy(sim->broker.committed[task].next, link->next, sizeof link->next);
    sim->doom.expected = "beyond the last committed one";
    return true;
}

static bool happen(sim_world *sim, uint32_t task)
{
    switch (sim->options.calamity) {
    case SIM_OFFSETS_GONE: return lose_offsets(sim);
    case SIM_WAL_CUT: return cut_wal(sim, task);
    case SIM_INPUT_CUT: return cut_input(sim, task);
    case SIM_INPUT_ANEW: return make_input_anew(sim, task);
    case SIM_KAFKA_BEHIND: return set_kafka_back(sim, task);
    default: return false;
    }
}

/* All are dead, and nothing is under way. */
static void strike(sim_world *sim, void *argument)
{
    (void)argument;
    if (sim->broker.transactions_open > 0) {
        sim_after(sim, POLL_US, strike, NULL);
        return;
    }
    bool happened = false;
    for (uint32_t task = 0; task < SIM_TASKS && !happened; task++)
        happened = happen(sim, task);
    if (happened)
        sim->doom.since_us = sim->now_us;
    sim_trace(sim, "calamity %s: %s", sim_calamity_name[sim->options.calamity],
              happened ? "has happened" : "nothing to take");
    sim->doom.held = false;
}

static void hold(sim_world *sim, void *argument)
{
    (void)argument;
    if (!sim->faults)
        return;
    sim->doom.held = true;
    for (size_t i = 0; i < sim->options.nodes; i++)
        sim_node_crash(sim, &sim->node[i]);
    sim_after(sim, REST_US, strike, NULL);
}

void sim_calamity_init(sim_world *sim)
{
    if (sim->options.calamity != SIM_NO_CALAMITY)
        sim_after(sim, sim->options.busy_us / 4 + (int64_t)sim_below(sim, (uint64_t)sim->options.busy_us / 2), hold,
                  NULL);
}

void sim_calamity_halted(sim_world *sim, const sim_node *node, const char *reason)
{
    if (!sim->doom.expected || !strstr(reason, sim->doom.expected)) {
        sim_fail(sim, "%s halted: %s", node->id, reason);
        return;
    }
    sim_trace(sim, "%s halts, as it must: %s", node->id, reason);
    sim->doom.met = sim->done = true;
}
