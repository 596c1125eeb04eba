#include "sim.h"

#include <string.h>

void sim_store_init(sim_world *sim)
{
    for (size_t task = 0; task < SIM_TASKS; task++) {
        sim->store.view[task] = rfm_view_new();
        sim->store.replica[task] = rfm_view_new();
    }
    sim_store_snapshot(sim);
}

static void forget_snapshot(sim_snapshot *snapshot)
{
    for (size_t task = 0; task < SIM_TASKS; task++)
        rfm_view_free(snapshot->view[task]);
    memset(snapshot, 0, sizeof *snapshot);
}

void sim_store_release(sim_world *sim)
{
    for (size_t task = 0; task < SIM_TASKS; task++) {
        rfm_view_free(sim->store.view[task]);
        rfm_view_free(sim->store.replica[task]);
        rfm_view_free(sim->store.deposed[task]);
    }
    for (size_t i = 0; i < SIM_SNAPSHOTS; i++)
        forget_snapshot(&sim->store.snapshot[i]);
}

void sim_store_snapshot(sim_world *sim)
{
    sim_snapshot *snapshot = &sim->store.snapshot[sim->store.snapshots++ % SIM_SNAPSHOTS];
    forget_snapshot(snapshot);
    for (size_t task = 0; task < SIM_TASKS; task++)
        snapshot->view[task] = rfm_view_copy(sim->store.view[task]);
}

static int64_t wal_of(const rfm_view *view)
{
    return rfm_wal_value_parse(rfm_view_wal(view));
}

int64_t sim_store_oldest(const sim_world *sim, uint32_t task)
{
    const sim_store *store = &sim->store;
    int64_t oldest = wal_of(store->replica[task]);
    for (size_t i = 0; i < SIM_SNAPSHOTS && store->snapshot[i].view[task]; i++)
        if (wal_of(store->snapshot[i].view[task]) < oldest)
            oldest = wal_of(store->snapshot[i].view[task]);
    return oldest;
}

/* What was sent may still arrive; the client learns of it later. */
void sim_store_break(sim_world *sim, sim_connection *connection)
{
    if (connection->broken)
        return;
    connection->broken = true;
    connection->drop_after_us = sim->now_us + (sim_one_in(sim, 2) ? 0 : (int64_t)sim_below(sim, 20000));
    sim_node_disconnected(sim, connection);
}

bool sim_store_is_down(const sim_world *sim, uint32_t task)
{
    return sim->now_us < sim->store.down_until_us[task];
}

static void break_all(sim_world *sim, uint32_t task)
{
    for (size_t i = 0; i < SIM_NODES; i++) {
        sim_connection *connection = sim->node[i].link[task].connection;
        if (!connection)
            continue;
        sim_store_break(sim, connection);
        connection->drop_after_us = sim->now_us; /* the server is another one */
    }
}

/* -- the replica: what is done to the primary reaches it in order, later */

struct replication {
    uint32_t task, life;
    const rfm_effect *effect;
};

static void replicate(sim_world *sim, void *argument)
{
    const struct replication *at = argument;
    sim_store *store = &sim->store;
    if (at->life != store->replica_life[at->task])
        return;
    for (size_t i = 0; i < at->effect->store.redo_count; i++)
        RFM_ASSERT(rfm_view_apply(store->replica[at->task], at->effect->store.redo[i]) == RFM_OK);
    rfm_view_set_wal(store->replica[at->task], at->effect->store.wal_value);
}

static void replicate_later(sim_world *sim, uint32_t task, const rfm_effect *effect)
{
    sim_store *store = &sim->store;
    struct replication *at = sim_take(sim, sizeof *at);
    *at = (struct replication){task, store->replica_life[task], effect};
    int64_t at_us = sim->now_us + sim_delay(sim);
    if (at_us > store->replica_us[task])
        store->replica_us[task] = at_us;
    sim_at(sim, store->replica_us[task], replicate, at);
}

/* Primary and replica are both `view` from now on. */
static void set_view(sim_world *sim, uint32_t task, rfm_view *view)
{
    sim_store *store = &sim->store;
    rfm_view_free(store->view[task]);
    rfm_view_free(store->replica[task]);
    store->view[task] = view;
    store->replica[task] = rfm_view_copy(view);
    store->replica_life[task]++;
    store->version[task]++;
}

void sim_store_restore(sim_world *sim, uint32_t task, const sim_snapshot *snapshot)
{
    set_view(sim, task, rfm_view_copy(snapshot->view[task]));
}

/* It learns that it is none any more, and closes what it has. */
static void step_down(sim_world *sim, void *argument)
{
    (void)argument;
    for (uint32_t task = 0; task < SIM_TASKS; task++)
        for (size_t i = 0; i < SIM_NODES; i++)
            if (sim->node[i].link[task].connection && sim->node[i].link[task].connection->deposed)
                sim_store_break(sim, sim->node[i].link[task].connection);
}

static void depose(sim_world *sim, uint32_t task)
{
    rfm_view_free(sim->store.deposed[task]);
    sim->store.deposed[task] = rfm_view_copy(sim->store.view[task]);
    for (size_t i = 0; i < SIM_NODES; i++)
        if (sim->node[i].link[task].connection)
            sim->node[i].link[task].connection->deposed = true;
}

void sim_store_fail_over(sim_world *sim, bool splits)
{
    step_down(sim, NULL); /* of an earlier one */
    for (uint32_t task = 0; task < SIM_TASKS; task++) {
        if (splits)
            depose(sim, task);
        set_view(sim, task, rfm_view_copy(sim->store.replica[task]));
        sim_trace(sim, "store: the replica takes over%s, task %u at %lld", splits ? ", the primary goes on" : "", task,
                  (long long)wal_of(sim->store.view[task]));
        if (!splits)
            break_all(sim, task);
    }
    if (splits)
        sim_after(sim, (int64_t)sim_below(sim, 2000000), step_down, NULL);
}

rfm_view *sim_store_view(const sim_world *sim, const sim_connection *connection)
{
    return (connection->deposed ? sim->store.deposed : sim->store.view)[connection->task];
}

void sim_store_roll_back(sim_world *sim, bool one_task, bool breaks)
{
    sim_store *store = &sim->store;
    size_t kept = store->snapshots < SIM_SNAPSHOTS ? store->snapshots : SIM_SNAPSHOTS;
    const sim_snapshot *snapshot = &store->snapshot[(store->snapshots - 1 - sim_below(sim, kept)) % SIM_SNAPSHOTS];
    size_t only = sim_below(sim, SIM_TASKS);
    if (sim->doom.expected)
        return; /* a newer snapshot could mend what nothing is to mend */
    for (uint32_t task = 0; task < SIM_TASKS; task++) {
        if (one_task && task != only)
            continue;
        if (!breaks && wal_of(snapshot->view[task]) > wal_of(store->view[task]))
            continue; /* back and forth under the eyes of one load: docs/exactly-once.md, what it rests on */
        sim_store_restore(sim, task, snapshot);
        sim_trace(sim, "store: task %u rolled back to %lld%s", task, (long long)wal_of(store->view[task]),
                  breaks ? "" : ", connections stay");
        if (breaks)
            break_all(sim, task);
    }
}

rfm_answer sim_store_exec(sim_world *sim, sim_connection *connection, const rfm_effect *effect)
{
    sim_store *store = &sim->store;
    uint32_t task = effect->task;
    if (store->full || (effect->store.fenced && connection->watched != store->version[task]))
        return RFM_NOT_STORED;
    rfm_view *view = sim_store_view(sim, connection);
    sim_check_stored(sim, view, effect);
    for (size_t i = 0; i < effect->store.redo_count; i++)
        if (rfm_view_apply(view, effect->store.redo[i]) != RFM_OK)
            sim_fail(sim, "task %u: a redo that cannot be read was stored", task);
    rfm_view_set_wal(view, effect->store.wal_value);
    store->version[task]++;
    if (!connection->deposed)
        replicate_later(sim, task, effect);
    return RFM_DONE;
}
