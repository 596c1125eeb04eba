#include "sim.h"

#include <rfm/base/hash.h>
#include <rfm/event/headers.h>
#include <stdio.h>
#include <string.h>

/* The shop's rule `quiet`: IDLE_MS without a visit, and by the wall clock, where there is no second run to compare
 * with. What must have been read before it fires is known from the inputs: each visit that was appended before its
 * moment, and all that its owner found there when it took the task over. */
enum { IDLE_MS = 7000, PATIENCE_MS = 5000 };

static size_t client_of(const sim_world *sim, rfm_bytes id)
{
    size_t i = 0;
    while (i < sim->options.clients && !rfm_bytes_equal(sim->shop.client_id[i], id))
        i++;
    return i;
}

static void check_visit(sim_world *sim, const sim_node *node, size_t visit, int64_t moment_ms)
{
    size_t at = sim->shop.visit[visit].record;
    if (sim->shop.record[at].offset < 0 || sim->shop.visit[visit].time_ms <= moment_ms - IDLE_MS ||
        sim->shop.erased[sim->shop.visit[visit].client])
        return;
    bool before = sim->shop.record[at].append_ms + sim->options.skew_ms < moment_ms;
    bool found = sim->shop.record[at].offset < node->log_end[sim->shop.record[at].task][sim->shop.record[at].input];
    if (before || found)
        sim_fail(sim, "%s: quiet of %s fires for %lld, but there was a visit at %lld, appended at %lld%s", node->id,
                 (const char *)sim->shop.client_id[sim->shop.visit[visit].client].at, (long long)moment_ms,
                 (long long)sim->shop.visit[visit].time_ms, (long long)sim->shop.record[at].append_ms,
                 found ? ", which was there when the task was taken over" : "");
}

/* The digits at `at`; the value goes on behind them. */
static int64_t number_at(const char *at)
{
    int64_t number = 0;
    for (; *at >= '0' && *at <= '9'; at++)
        number = number * 10 + (*at - '0');
    return number;
}

void sim_check_published(sim_world *sim, const sim_node *node, const rfm_message *message)
{
    static const char due[] = "\"cause\":{\"type\":\"due\",\"id\":\"", quiet[] = "\"rule\":\"quiet\"";
    if (message->topic < RFM_TOPIC_TRIGGERS || sim->options.clock != RFM_CLOCK_WALL)
        return;
    const char *at = memmem(message->value.at, message->value.len, due, sizeof due - 1);
    if (!at || !memmem(message->value.at, message->value.len, quiet, sizeof quiet - 1))
        return;
    int64_t moment_ms = number_at(at + sizeof due - 1);
    size_t client = client_of(sim, message->key);
    for (size_t i = 0; i < sim->shop.visits; i++)
        if (sim->shop.visit[i].client == client)
            check_visit(sim, node, i, moment_ms);
}

/* When the step that read a record was committed. */
static int64_t committed_ms(const sim_world *sim, size_t record)
{
    const sim_chain *chain = &sim->broker.chain[sim->shop.record[record].task];
    for (size_t i = 0; i < chain->count; i++)
        if (chain->items[i].next[sim->shop.record[record].input] > sim->shop.record[record].offset)
            return SIM_START_MS + chain->items[i].committed_us / 1000;
    return INT64_MAX;
}

static size_t last_visit(const sim_world *sim, size_t client)
{
    size_t last = SIZE_MAX;
    for (size_t i = 0; i < sim->shop.visits; i++)
        if (sim->shop.visit[i].client == client &&
            (last == SIZE_MAX || sim->shop.visit[i].time_ms > sim->shop.visit[last].time_ms))
            last = i;
    return last;
}

/* A client's last visit, in time, is followed by `quiet`, if it was read before that moment. */
static void check_last_visit(sim_world *sim, size_t client, size_t visit)
{
    char identity[96], id[33];
    uint8_t hash[16];
    const char *client_id = (const char *)sim->shop.client_id[client].at;
    int64_t moment_ms = sim->shop.visit[visit].time_ms + IDLE_MS;
    int64_t read_ms = committed_ms(sim, sim->shop.visit[visit].record);
    if (read_ms == INT64_MAX || read_ms + 2 * sim->options.skew_ms >= moment_ms ||
        moment_ms + PATIENCE_MS > sim_now_ms(sim))
        return;
    int len = snprintf(identity, sizeof identity, "quiet\x1f%s\x1f%s:%lld", client_id, "due", (long long)moment_ms);
    rfm_hash128(rfm_bytes_of(identity, (size_t)len), hash);
    rfm_hex(hash, sizeof hash, id);
    if (sim_seen_find(&sim->checks.triggers, rfm_text(id)) == RFM_TABLE_NONE)
        sim_fail(sim, "quiet was never sent for %s, whose last visit was at %lld", client_id,
                 (long long)sim->shop.visit[visit].time_ms);
}

void sim_check_idle_end(sim_world *sim)
{
    if (sim->options.clock != RFM_CLOCK_WALL ||
        sim->counts[SIM_FAULT_RELOAD] > 0) /* new rules take a client as it is */
        return;
    for (size_t client = 0; client < sim->options.clients; client++) {
        size_t visit = last_visit(sim, client);
        if (visit != SIZE_MAX && !sim->shop.erased[client])
            check_last_visit(sim, client, visit);
    }
}
