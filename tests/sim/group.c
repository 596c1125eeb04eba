#include "sim.h"

#include <string.h>

/* Eager rebalances, as with the range assignor: all give up everything and join again, then everything is given out
 * anew. Who has not joined again in time is no member any more and will be told so when next heard of. */
enum { SESSION_US = 2500000, REBALANCE_US = 4000000 };
enum { MEMBERS = SIM_NODES * 2 };

static sim_member *find(sim_world *sim, uint64_t id)
{
    for (size_t i = 0; id && i < MEMBERS; i++)
        if (sim->group.member[i].id == id)
            return &sim->group.member[i];
    return NULL;
}

void sim_group_rebalance(sim_world *sim)
{
    sim_group *group = &sim->group;
    if (group->rebalancing)
        return;
    sim_trace(sim, "group: rebalancing, generation %u ends", group->generation);
    group->rebalancing = true;
    group->deadline_us = sim->now_us + REBALANCE_US;
    for (size_t i = 0; i < MEMBERS; i++) {
        if (!group->member[i].id)
            continue;
        group->member[i].joined = false;
        sim_node_revoked(sim, group->member[i].node, group->member[i].id, group->generation);
    }
}

/* A static member whose session has not ended gets a new id in its old place; who had the old one is fenced. */
static bool come_back(sim_world *sim, uint32_t node, uint64_t *id)
{
    sim_group *group = &sim->group;
    for (size_t i = 0; i < MEMBERS; i++) {
        sim_member *member = &group->member[i];
        if (!member->id || member->node != node)
            continue;
        member->id = *id = ++group->last_member;
        member->joined = true;
        member->heard_us = sim->now_us;
        sim_trace(sim, "group: static member %u is back%s", node, group->rebalancing ? ", in a rebalance" : "");
        if (!group->rebalancing)
            sim_node_assigned(sim, node, member->id, group->generation, member->tasks);
        return true;
    }
    return false;
}

void sim_group_join(sim_world *sim, uint32_t node, uint64_t *member)
{
    sim_group *group = &sim->group;
    if (sim->options.static_members && come_back(sim, node, member))
        return;
    sim_group_rebalance(sim);
    for (size_t i = 0; i < MEMBERS; i++) {
        if (group->member[i].id)
            continue;
        group->member[i] = (sim_member){
            .id = ++group->last_member, .node = node, .joined = true, .heard_us = sim->now_us};
        *member = group->member[i].id;
        return;
    }
    *member = 0; /* full of the dead: later */
}

void sim_group_rejoin(sim_world *sim, uint64_t id, uint32_t generation)
{
    sim_member *member = find(sim, id);
    if (!member)
        return;
    if (generation == sim->group.generation)
        member->joined = true;
    member->heard_us = sim->now_us;
}

void sim_group_leave(sim_world *sim, uint64_t id)
{
    sim_member *member = find(sim, id);
    if (!member || sim->options.static_members)
        return;
    member->id = 0;
    sim_group_rebalance(sim);
}

bool sim_group_heartbeat(sim_world *sim, uint64_t id)
{
    sim_member *member = find(sim, id);
    if (member)
        member->heard_us = sim->now_us;
    return member != NULL;
}

bool sim_group_accepts(const sim_world *sim, uint64_t id, uint32_t generation)
{
    for (size_t i = 0; id && i < MEMBERS; i++)
        if (sim->group.member[i].id == id)
            return generation == sim->group.generation;
    return false;
}

static void assign(sim_world *sim)
{
    sim_group *group = &sim->group;
    size_t count = 0, at = 0;
    for (size_t i = 0; i < MEMBERS; i++)
        count += group->member[i].id != 0;
    group->rebalancing = false;
    group->generation++;
    for (size_t node = 0; node < SIM_NODES; node++) {
        for (size_t i = 0; i < MEMBERS; i++) {
            if (!group->member[i].id || group->member[i].node != node)
                continue;
            bool tasks[SIM_TASKS] = {false};
            for (size_t task = 0; task < SIM_TASKS; task++)
                tasks[task] = task * count / SIM_TASKS == at;
            at++;
            memcpy(group->member[i].tasks, tasks, sizeof tasks);
            group->member[i].heard_us = sim->now_us;
            sim_node_assigned(sim, group->member[i].node, group->member[i].id, group->generation, tasks);
        }
    }
    sim_trace(sim, "group: generation %u of %zu members", group->generation, count);
}

void sim_group_tick(sim_world *sim)
{
    sim_group *group = &sim->group;
    bool all_joined = true, expired = false;
    for (size_t i = 0; i < MEMBERS; i++) {
        sim_member *member = &group->member[i];
        if (member->id && sim->now_us - member->heard_us > SESSION_US) {
            sim_trace(sim, "group: the session of node %u ended", member->node);
            member->id = 0;
            expired = true;
        }
        if (member->id && !member->joined)
            all_joined = false;
    }
    if (expired)
        sim_group_rebalance(sim);
    if (!group->rebalancing || (!all_joined && sim->now_us < group->deadline_us))
        return;
    for (size_t i = 0; i < MEMBERS; i++)
        if (!group->member[i].joined)
            group->member[i].id = 0;
    assign(sim);
}
