#include "node.h"

enum { FETCH_MAX = 40, FEED_MAX = 64 };

struct fetching {
    uint32_t task, version;
    uint8_t input;
};

static void fetch_more(sim_world *sim, sim_node *node, void *argument)
{
    const struct fetching *at = argument;
    sim_fetch *fetch = &node->fetch[at->task][at->input];
    if (!fetch->on || fetch->version != at->version)
        return;
    const sim_log *log = &sim->broker.input[at->task][at->input];
    int64_t count = (int64_t)log->count;
    int64_t more = 1 + (int64_t)sim_below(sim, FETCH_MAX);
    bool in_range = fetch->fetched >= (int64_t)log->begin && fetch->fetched <= count;
    if (in_range && fetch->fetched - fetch->fed < FETCH_MAX)
        fetch->fetched = fetch->fetched + more < count ? fetch->fetched + more : count;
    sim__post(sim, node, 1000 + (int64_t)sim_below(sim, 30000) + sim_delay(sim), fetch_more, argument);
    sim__turn(sim, node);
}

static void ask_end(sim_world *sim, sim_node *node, void *argument)
{
    const struct fetching *at = argument;
    sim_fetch *fetch = &node->fetch[at->task][at->input];
    if (!fetch->on || fetch->version != at->version)
        return;
    if (!fetch->end_ms) {
        fetch->end = (int64_t)sim->broker.input[at->task][at->input].count;
        fetch->end_ms = sim__node_now_ms(sim, node);
    }
    sim__post(sim, node, 20000 + (int64_t)sim_below(sim, 150000), ask_end, argument);
    sim__turn(sim, node);
}

void sim__stop_fetching(sim_node *node, uint32_t task)
{
    for (size_t i = 0; i < SIM_INPUTS; i++) {
        node->fetch[task][i].on = false;
        node->fetch[task][i].version++;
    }
}

void sim__consume_from(sim_world *sim, sim_node *node, const rfm_effect *effect)
{
    sim__stop_fetching(node, effect->task);
    for (uint8_t i = 0; i < sim->options.inputs; i++) {
        sim_fetch *fetch = &node->fetch[effect->task][i];
        int64_t next = effect->from.next[i] == RFM_OFFSET_NONE ? 0 : effect->from.next[i];
        *fetch = (sim_fetch){.on = true, .version = fetch->version, .fetched = next, .fed = next};
        struct fetching *argument = sim_take(sim, sizeof *argument);
        *argument = (struct fetching){.task = effect->task, .version = fetch->version, .input = i};
        sim__post(sim, node, sim_delay(sim), fetch_more, argument);
        sim__post(sim, node, sim_delay(sim), ask_end, argument);
    }
}

/* Past what no reader is given, as far as it was fetched. */
static void skip_gap(const sim_log *log, sim_fetch *fetch)
{
    while (fetch->fed < fetch->fetched && !sim_record_visible(&log->items[fetch->fed]))
        fetch->fed++;
}

void sim__tell_ends(sim_world *sim, sim_node *node)
{
    for (uint32_t task = 0; task < SIM_TASKS; task++) {
        for (uint8_t i = 0; i < sim->options.inputs; i++) {
            sim_fetch *fetch = &node->fetch[task][i];
            if (!fetch->on || !fetch->end_ms)
                continue;
            skip_gap(&sim->broker.input[task][i], fetch);
            if (fetch->fed < fetch->end)
                continue;
            sim__tell(
                sim, node,
                (rfm_input){
                    .kind = RFM_IN_AT_END, .task = task, .now_ms = fetch->end_ms, .input = i, .next = fetch->fed});
            fetch->end_ms = 0;
        }
    }
}

/* False: nothing was taken. */
bool sim__feed(sim_world *sim, sim_node *node)
{
    rfm_record records[FEED_MAX];
    sim_fetch *from[FEED_MAX];
    size_t count = 0, limit = 1 + sim_below(sim, FEED_MAX);
    for (size_t k = sim_below(sim, SIM_TASKS * SIM_INPUTS), left = SIM_TASKS * SIM_INPUTS; left > 0; left--, k++) {
        uint32_t task = (uint32_t)(k / SIM_INPUTS % SIM_TASKS);
        uint8_t input = (uint8_t)(k % SIM_INPUTS);
        sim_fetch *fetch = &node->fetch[task][input];
        for (int64_t at = fetch->fed; fetch->on && at < fetch->fetched && count < limit; at++) {
            const sim_record *record = &sim->broker.input[task][input].items[at];
            if (!sim_record_visible(record))
                continue;
            records[count] = (rfm_record){.task = task,
                                          .input = input,
                                          .offset = at,
                                          .append_ms = record->append_ms,
                                          .key = record->key,
                                          .value = record->value};
            from[count++] = fetch;
        }
    }
    if (count == 0 || !rfm_worker_takes(node->worker) || sim_one_in(sim, 4))
        return false;
    size_t taken = rfm_worker_feed(node->worker, records, count, sim__node_now_ms(sim, node));
    for (size_t i = 0; i < taken; i++)
        from[i]->fed = records[i].offset + 1;
    return taken > 0;
}
