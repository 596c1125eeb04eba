#include "node.h"

#include <stdio.h>
#include <string.h>

enum { HEARTBEAT_US = 400000, FIRST_EDGES_US = 20000 };

/* -- the group */

struct leaving {
    uint64_t member;
    uint32_t generation;
};

static void send_rejoin(sim_world *sim, void *argument)
{
    const struct leaving *leaving = argument;
    sim_group_rejoin(sim, leaving->member, leaving->generation);
}

static void send_leave(sim_world *sim, void *argument)
{
    sim_group_leave(sim, ((const struct leaving *)argument)->member);
}

static void to_group(sim_world *sim, sim_node *node, sim_action act)
{
    struct leaving *leaving = sim_take(sim, sizeof *leaving);
    *leaving = (struct leaving){node->member, node->ended};
    sim_after(sim, sim_delay(sim), act, leaving);
}

static bool holds_any(const sim_node *node)
{
    for (size_t task = 0; task < SIM_TASKS; task++)
        if (node->held[task])
            return true;
    return false;
}

void sim_node_end(sim_world *sim, sim_node *node)
{
    const rfm_worker_stats *stats = rfm_worker_stats_of(node->worker);
#define X(name) sim->stats.name += stats->name;
    RFM_WORKER_STATS(X)
#undef X
    for (uint32_t task = 0; task < SIM_TASKS; task++) {
        sim__close_link(sim, node, task);
        sim__stop_fetching(node, task);
    }
    rfm_worker_free(node->worker);
    node->worker = NULL;
    node->alive = false;
    node->life++;
    node->first_job = node->last_job = NULL;
}

static void start_again(sim_world *sim, void *argument)
{
    if (sim->doom.held) {
        sim_after(sim, 100000 + (int64_t)sim_below(sim, 500000), start_again, argument);
        return;
    }
    sim_node_start(sim, argument);
}

static int64_t away_us(sim_world *sim)
{
    return 50000 + (int64_t)sim_below(sim, sim_one_in(sim, 4) ? 6000000 : 500000);
}

static void restart_later(sim_world *sim, sim_node *node)
{
    sim_after(sim, away_us(sim), start_again, node);
}

static void given_up(sim_world *sim, sim_node *node)
{
    if (!node->revoking || holds_any(node))
        return;
    node->revoking = false;
    if (!node->stopping) {
        to_group(sim, node, send_rejoin);
        return;
    }
    to_group(sim, node, send_leave);
    sim_node_end(sim, node);
    restart_later(sim, node);
}

static void released(sim_world *sim, sim_node *node, uint32_t task)
{
    node->held[task] = false;
    sim__stop_fetching(node, task);
    given_up(sim, node);
}

static void give_up(sim_world *sim, sim_node *node)
{
    node->revoking = true;
    for (uint32_t task = 0; task < SIM_TASKS; task++)
        if (node->held[task])
            sim__tell(sim, node, (rfm_input){.kind = RFM_IN_REVOKING, .task = task});
    given_up(sim, node);
}

static void lose_all(sim_world *sim, sim_node *node)
{
    node->member = 0;
    node->revoking = false;
    for (uint32_t task = 0; task < SIM_TASKS; task++) {
        if (!node->held[task])
            continue;
        node->held[task] = false;
        sim__stop_fetching(node, task);
        sim__tell(sim, node, (rfm_input){.kind = RFM_IN_LOST, .task = task});
    }
}

struct notice {
    uint64_t member;
    uint32_t generation;
    bool tasks[SIM_TASKS];
};

static int64_t group_channel(sim_world *sim, sim_node *node)
{
    return sim__after_last(sim, &node->group_us);
}

static void got_revoked(sim_world *sim, sim_node *node, void *argument)
{
    const struct notice *notice = argument;
    if (notice->member != node->member || node->stopping)
        return;
    node->ended = notice->generation;
    give_up(sim, node);
    if (node->alive)
        sim__turn(sim, node);
}

void sim_node_revoked(sim_world *sim, uint32_t number, uint64_t member, uint32_t generation)
{
    struct notice *notice = sim_take(sim, sizeof *notice);
    notice->member = member;
    notice->generation = generation;
    sim__post_at(sim, &sim->node[number], group_channel(sim, &sim->node[number]) + (int64_t)sim_below(sim, 300000),
                 got_revoked, notice);
    sim->node[number].group_us += 300000;
}

static void got_assigned(sim_world *sim, sim_node *node, void *argument)
{
    const struct notice *notice = argument;
    if (notice->member != node->member || node->stopping)
        return;
    node->assignment++;
    node->generation = notice->generation;
    for (uint32_t task = 0; task < SIM_TASKS; task++) {
        if (node->held[task])
            sim_fail(sim, "%s is assigned tasks before it has given up task %u", node->id, task);
        node->held[task] = notice->tasks[task];
        if (notice->tasks[task])
            sim__tell(sim, node, (rfm_input){.kind = RFM_IN_ASSIGNED, .task = task, .assignment = node->assignment});
    }
    sim__turn(sim, node);
}

void sim_node_assigned(sim_world *sim, uint32_t number, uint64_t member, uint32_t generation, const bool *tasks)
{
    struct notice *notice = sim_take(sim, sizeof *notice);
    notice->member = member;
    notice->generation = generation;
    memcpy(notice->tasks, tasks, sizeof notice->tasks);
    sim__post_at(sim, &sim->node[number], group_channel(sim, &sim->node[number]), got_assigned, notice);
}

struct heartbeat {
    sim_node *node;
    uint64_t member;
    bool is_member;
};

static void heard(sim_world *sim, sim_node *node, void *argument)
{
    const struct heartbeat *beat = argument;
    if (beat->is_member || beat->member != node->member)
        return;
    sim_trace(sim, "%s learns that it is no member", node->id);
    lose_all(sim, node);
    if (node->stopping) {
        sim_node_end(sim, node);
        restart_later(sim, node);
        return;
    }
    sim__turn(sim, node);
}

static void hear(sim_world *sim, void *argument)
{
    struct heartbeat *beat = argument;
    beat->is_member = sim_group_heartbeat(sim, beat->member);
    if (beat->node->alive)
        sim__post(sim, beat->node, sim_delay(sim), heard, beat);
}

/* Also when it is no member any more: that is how it learns, later. */
static void heartbeat(sim_world *sim, sim_node *node, void *argument)
{
    (void)argument;
    if (!node->member && !node->stopping)
        sim_group_join(sim, node->number, &node->member);
    if (node->member) {
        struct heartbeat *beat = sim_take(sim, sizeof *beat);
        *beat = (struct heartbeat){.node = node, .member = node->member};
        sim_after(sim, sim_delay(sim), hear, beat);
    }
    sim__post(sim, node, HEARTBEAT_US, heartbeat, NULL);
    sim__turn(sim, node);
}

/* -- the loop */

static void halt(sim_world *sim, sim_node *node, const rfm_effect *effect)
{
    sim_calamity_halted(sim, node, effect->reason);
}

static void carry_out_effect(sim_world *sim, sim_node *node, const rfm_effect *effect)
{
    switch (effect->kind) {
    case RFM_OUT_READ_POSITION:
    case RFM_OUT_READ_WAL:
    case RFM_OUT_READ_TAIL: sim__ask(sim, node, effect); break;
    case RFM_OUT_EVICT: sim__evict(sim, node, effect); break;
    case RFM_OUT_RENEW: sim__renew(sim, node, true); break;
    case RFM_OUT_OPEN: sim__open_link(sim, node, effect); break;
    case RFM_OUT_CLOSE: sim__close_link(sim, node, effect->task); break;
    case RFM_OUT_LOAD: sim__load(sim, node, effect); break;
    case RFM_OUT_STORE: sim__store(sim, node, effect); break;
    case RFM_OUT_PUBLISH: sim__publish(sim, node, effect->step); break;
    case RFM_OUT_CONSUME_FROM: sim__consume_from(sim, node, effect); break;
    case RFM_OUT_COMMIT:
        sim_broker_commit_offsets(sim, node->member, node->generation, effect->task, &effect->from);
        break;
    case RFM_OUT_RELEASED: released(sim, node, effect->task); break;
    case RFM_OUT_HALT: halt(sim, node, effect); break;
    }
}

static void trace_effect(sim_world *sim, const sim_node *node, const rfm_effect *effect)
{
    static const char *const name[] = {"READ_POSITION", "READ_WAL", "READ_TAIL", "EVICT", "RENEW",
                                       "OPEN",          "CLOSE",    "LOAD",      "STORE", "PUBLISH",
                                       "CONSUME_FROM",  "COMMIT",   "RELEASED",  "HALT"};
    if (!sim->trace)
        return;
    if (effect->kind == RFM_OUT_LOAD)
        sim_trace(sim, "%s -> LOAD %llu task %u term %u: %d, %zu keys, %.*s", node->id,
                  (unsigned long long)effect->load.load, effect->task, effect->term, (int)effect->load.what,
                  effect->load.count, effect->load.count ? (int)effect->load.keys[0].len : 0,
                  effect->load.count ? (const char *)effect->load.keys[0].at : "");
    else if (effect->kind == RFM_OUT_PUBLISH)
        sim_trace(sim, "%s -> PUBLISH step %llu, %zu messages, %zu changes, first task %u from %lld", node->id,
                  (unsigned long long)effect->step->number, effect->step->message_count, effect->step->change_count,
                  effect->step->changes[0].task, (long long)effect->step->changes[0].from.wal);
    else
        sim_trace(sim, "%s -> %s task %u term %u", node->id, name[effect->kind], effect->task, effect->term);
}

static void turn_mail(sim_world *sim, sim_node *node, void *argument)
{
    (void)argument;
    sim__turn(sim, node);
}

static void wake(sim_world *sim, sim_node *node, void *argument)
{
    (void)argument;
    if (node->wake_us > sim->now_us)
        return;
    node->wake_us = INT64_MAX;
    sim__tell(sim, node, (rfm_input){.kind = RFM_IN_TIME});
    sim__turn(sim, node);
}

static void set_wake(sim_world *sim, sim_node *node)
{
    int64_t wake_ms = rfm_worker_wake_ms(node->worker);
    if (wake_ms == INT64_MAX)
        return;
    if (wake_ms <= sim__node_now_ms(sim, node)) {
        sim_fail(sim, "%s wants to be woken at once, and again: its loop would spin", node->id);
        return;
    }
    int64_t wake_us = (wake_ms - node->skew_ms - SIM_START_MS) * 1000;
    if (wake_us >= node->wake_us)
        return;
    node->wake_us = wake_us;
    sim__post_at(sim, node, wake_us, wake, NULL);
}

/* Rules that are not in use any more are spoilt: whoever looks at them is seen. */
static void spoil_old_rules(sim_node *node)
{
    if (!node->old_rules || rfm_worker_rules(node->worker) != node->rules)
        return;
    memset(node->old_rules->rule, 0xa5, node->old_rules->count * sizeof *node->old_rules->rule);
    memset(node->old_rules, 0xa5, sizeof *node->old_rules);
    memset(node->old_conf, 0xa5, sizeof *node->old_conf);
    node->old_rules = NULL;
}

void sim__turn(sim_world *sim, sim_node *node)
{
    rfm_effect effect;
    spoil_old_rules(node);
    sim__tell(sim, node, (rfm_input){.kind = RFM_IN_TIME});
    if (sim_one_in(sim, 5)) { /* records may come before what has been decided is carried out */
        sim__feed(sim, node);
        sim__tell_ends(sim, node);
    }
    for (size_t count = 0;; count++) {
        if (!node->alive || sim->failed)
            return;
        if (count > 100000) {
            sim_fail(sim, "%s does not come to rest", node->id);
            return;
        }
        if (sim_one_in(sim, 30)) { /* something else comes first, while effects wait */
            sim__post(sim, node, (int64_t)sim_below(sim, 2000), turn_mail, NULL);
            return;
        }
        if (!rfm_worker_next(node->worker, &effect)) {
            sim_check_bounds(sim, node);
            bool fed = sim__feed(sim, node);
            sim__tell_ends(sim, node);
            if (!fed && !rfm_worker_next(node->worker, &effect))
                break;
            if (fed)
                continue;
        }
        trace_effect(sim, node, &effect);
        if (sim_fault_now(sim, SIM_FAULT_CRASH, 2 * sim->options.crash_in)) {
            sim_node_crash(sim, node);
            return;
        }
        carry_out_effect(sim, node, &effect);
        if (!node->alive)
            return;
        if (sim_fault_now(sim, SIM_FAULT_CRASH, 2 * sim->options.crash_in)) {
            sim_node_crash(sim, node);
            return;
        }
        if (sim_fault_now(sim, SIM_FAULT_PAUSE, sim->options.stall_in)) {
            sim_node_pause(sim, node, (int64_t)sim_below(sim, 9000000));
            sim__post(sim, node, 0, turn_mail, NULL);
            return;
        }
    }
    set_wake(sim, node);
}

/* Any population will do. */
static void tell_edges(sim_world *sim, sim_node *node)
{
    rfm_population *population = rfm_population_new();
    rfm_edges edges;
    for (uint64_t i = sim_below(sim, 50); i > 0; i--) {
        rfm_population_add_day(population, 20454 - (int32_t)sim_below(sim, 4), 1);
        rfm_population_add_bucket(population, rfm_monetary_bucket((int64_t)sim_below(sim, 40000)), 1);
        rfm_population_add_orders(population, (uint16_t)sim_below(sim, 6), 1);
    }
    rfm_population_edges(population, &edges);
    rfm_population_free(population);
    sim__tell(sim, node, (rfm_input){.kind = RFM_IN_EDGES, .edges = &edges});
}

/* As of a shop that has no clients yet. */
static void first_edges(sim_world *sim, sim_node *node, void *argument)
{
    (void)argument;
    sim__tell(sim, node, (rfm_input){.kind = RFM_IN_EDGES, .edges = &(rfm_edges){0}});
    sim__turn(sim, node);
}

void sim_node_start(sim_world *sim, sim_node *node)
{
    if (node->alive)
        return;
    uint32_t number = (uint32_t)(node - sim->node);
    *node = (sim_node){.number = number,
                       .life = node->life + 1,
                       .alive = true,
                       .wake_us = INT64_MAX,
                       .group_us = node->group_us,
                       .rules = node->rules,
                       .conf = node->conf,
                       .skew_ms = sim->options.calm ? 0
                                                    : (int64_t)sim_below(sim, 2 * (uint64_t)sim->options.skew_ms) -
                                                          sim->options.skew_ms};
    snprintf(node->id, sizeof node->id, "sim-%u", number);
    rfm_worker_conf conf = {.partition_count = SIM_TASKS,
                            .input_count = sim->options.inputs,
                            .input_topic = {"events", "more_events"},
                            .partitioner = RFM_PARTITIONER_MURMUR2,
                            .at_least_once = sim->options.at_least_once,
                            .mark = sim->options.at_least_once ? (uint32_t)sim_random(sim) : 0,
                            .check_records = true,
                            .clock = sim->options.clock,
                            .cache_bytes_max = sim->options.cache_bytes_max,
                            .dirty_bytes_max = sim->options.dirty_bytes_max,
                            .step_events_max = sim->options.step_events_max,
                            .part_bytes_max = sim->options.part_bytes_max,
                            .page_entries_max = sim->options.page_entries_max,
                            .wal_idle_ms = sim->options.wal_idle_ms,
                            .client = node->conf,
                            .rules = node->rules};
    rfm_error error;
    if (rfm_worker_new(&conf, &node->worker, &error) != RFM_OK) {
        sim_fail(sim, "no worker: %s", error.message);
        node->alive = false;
        return;
    }
    sim_trace(sim, "%s starts", node->id);
    sim__renew(sim, node, false);
    sim__post(sim, node, sim_delay(sim), heartbeat, NULL);
    if (sim->options.population)
        sim__post(sim, node, FIRST_EDGES_US, first_edges, NULL);
}

void sim_node_crash_for(sim_world *sim, sim_node *node, int64_t away_us)
{
    if (!node->alive)
        return;
    sim_trace(sim, "%s dies", node->id);
    sim_node_end(sim, node);
    sim_after(sim, away_us, start_again, node);
}

void sim_node_crash(sim_world *sim, sim_node *node)
{
    sim_node_crash_for(sim, node, away_us(sim));
}

void sim_node_pause(sim_world *sim, sim_node *node, int64_t pause_us)
{
    if (!node->alive || sim->now_us < node->paused_until_us) /* a longer one would put its mail out of order */
        return;
    sim_trace(sim, "%s sleeps for %lld ms", node->id, (long long)pause_us / 1000);
    node->paused_until_us = sim->now_us + pause_us;
}

static void stop(sim_world *sim, sim_node *node, void *argument)
{
    (void)argument;
    if (node->stopping)
        return;
    node->stopping = true;
    if (!node->revoking)
        give_up(sim, node);
    if (node->alive)
        sim__turn(sim, node);
}

void sim_node_stop(sim_world *sim, sim_node *node)
{
    if (!node->alive)
        return;
    sim_trace(sim, "%s is asked to stop", node->id);
    sim__post(sim, node, 0, stop, NULL);
}

static void reload(sim_world *sim, sim_node *node, void *argument)
{
    (void)argument;
    if (sim->options.population)
        tell_edges(sim, node);
    if (node->old_rules) /* not taken yet */
        return;
    node->old_rules = node->rules;
    node->old_conf = node->conf;
    node->rules = sim_shop_rules(sim, (unsigned)sim_below(sim, 3));
    node->conf = sim_take(sim, sizeof *node->conf);
    sim_shop_conf(sim, node->conf);
    sim__tell(sim, node, (rfm_input){.kind = RFM_IN_RULES, .rules = {.conf = node->conf, .rules = node->rules}});
    sim__turn(sim, node);
}

void sim_node_reload(sim_world *sim, sim_node *node)
{
    if (node->alive)
        sim__post(sim, node, 0, reload, NULL);
}
