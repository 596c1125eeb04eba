#include "sim.h"

#include <string.h>

const char *const sim_fault_name[SIM_FAULT_COUNT] = {
#define X(NAME, name) #name,
    SIM_FAULTS(X)
#undef X
};

enum { TICK_US = 100000, SNAPSHOT_US = 700000 };

bool sim_fault_now(sim_world *sim, sim_fault fault, uint32_t one_in)
{
    if (!sim->faults || !(sim->options.faults >> fault & 1) || !sim_one_in(sim, one_in))
        return false;
    sim->counts[fault]++;
    return true;
}

static sim_node *any_node(sim_world *sim)
{
    return &sim->node[sim_below(sim, sim->options.nodes)];
}

static void break_one(sim_world *sim)
{
    sim_connection *connection = any_node(sim)->link[sim_below(sim, SIM_TASKS)].connection;
    if (connection)
        sim_store_break(sim, connection);
}

/* The server, or a node of a Cluster for longer: the others' tasks must go on. */
static void take_down(sim_world *sim)
{
    uint32_t only = (uint32_t)sim_below(sim, 2 * SIM_TASKS);
    int64_t until_us = sim->now_us + (int64_t)sim_below(sim, only < SIM_TASKS ? 12000000 : 4000000);
    for (uint32_t task = 0; task < SIM_TASKS; task++)
        if (only >= SIM_TASKS || only == task)
            sim->store.down_until_us[task] = until_us;
}

static void strike(sim_world *sim, sim_fault fault)
{
    sim->counts[fault]++;
    switch (fault) {
    case SIM_FAULT_CRASH: sim_node_crash(sim, any_node(sim)); break;
    case SIM_FAULT_PAUSE: sim_node_pause(sim, any_node(sim), (int64_t)sim_below(sim, 9000000)); break;
    case SIM_FAULT_BREAK: break_one(sim); break;
    case SIM_FAULT_ROLL_BACK: sim_store_roll_back(sim, sim_one_in(sim, 2), !sim_one_in(sim, 3)); break;
    case SIM_FAULT_DOWN: take_down(sim); break;
    case SIM_FAULT_FULL: sim->store.full = !sim->store.full; break;
    case SIM_FAULT_REBALANCE: sim_group_rebalance(sim); break;
    case SIM_FAULT_STOP: sim_node_stop(sim, any_node(sim)); break;
    case SIM_FAULT_FAIL_OVER: sim_store_fail_over(sim, sim_one_in(sim, 2)); break;
    case SIM_FAULT_RELOAD: sim_node_reload(sim, any_node(sim)); break;
    default: break;
    }
}

/* The others come where something is under way. */
static bool fault_strikes(sim_fault fault)
{
    return fault != SIM_FAULT_LOSE && fault != SIM_FAULT_UNKNOWN && fault != SIM_FAULT_OPEN && fault != SIM_FAULT_LATE;
}

static void next_fault(sim_world *sim, void *argument)
{
    (void)argument;
    if (!sim->faults)
        return;
    sim_fault fault = (sim_fault)sim_below(sim, SIM_FAULT_COUNT);
    if (sim->options.faults >> fault & 1 && fault_strikes(fault))
        strike(sim, fault);
    sim_after(sim, (int64_t)sim_below(sim, (uint64_t)(2 * sim->options.fault_us)), next_fault, NULL);
}

/* From now on everything works, and must come to rest. */
static void end_faults(sim_world *sim, void *argument)
{
    (void)argument;
    sim_trace(sim, "faults end");
    sim->faults = false;
    sim->store.full = false;
    memset(sim->store.down_until_us, 0, sizeof sim->store.down_until_us);
}

static void tick(sim_world *sim, void *argument)
{
    (void)argument;
    sim_group_tick(sim);
    if (sim_check_settled(sim))
        sim->done = true;
    sim_after(sim, TICK_US, tick, NULL);
}

static void take_snapshot(sim_world *sim, void *argument)
{
    (void)argument;
    if (!sim->faults)
        return;
    sim_store_snapshot(sim);
    if (sim->options.expires && sim_one_in(sim, 3))
        sim_broker_expire(sim);
    sim_after(sim, SNAPSHOT_US, take_snapshot, NULL);
}

static void start_node(sim_world *sim, void *argument)
{
    sim_node_start(sim, argument);
}

void sim_faults_init(sim_world *sim)
{
    sim->faults = !sim->options.calm;
    for (size_t i = 0; i < sim->options.nodes; i++)
        sim_after(sim, (int64_t)sim_below(sim, 500000), start_node, &sim->node[i]);
    sim_after(sim, TICK_US, tick, NULL);
    sim_after(sim, SNAPSHOT_US, take_snapshot, NULL);
    if (!sim->faults)
        return;
    sim_calamity_init(sim);
    sim_after(sim, (int64_t)sim_below(sim, 1000000), next_fault, NULL);
    sim_after(sim, sim->options.busy_us + (int64_t)sim_below(sim, 5000000), end_faults, NULL);
}
