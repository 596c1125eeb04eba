#include "sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t sim_random(sim_world *sim)
{
    uint64_t z = sim->random += 0x9e3779b97f4a7c15u; /* splitmix64 */
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint64_t sim_below(sim_world *sim, uint64_t limit)
{
    return limit > 0 ? sim_random(sim) % limit : 0;
}

bool sim_one_in(sim_world *sim, uint32_t n)
{
    return n > 0 && sim_below(sim, n) == 0;
}

int64_t sim_delay(sim_world *sim)
{
    uint64_t kind = sim_below(sim, 100);
    if (kind < 70)
        return 100 + (int64_t)sim_below(sim, 900);
    if (kind < 95)
        return 1000 + (int64_t)sim_below(sim, 4000);
    if (kind < 99 || !sim->faults)
        return 5000 + (int64_t)sim_below(sim, 45000);
    return 50000 + (int64_t)sim_below(sim, 1500000);
}

void *sim_take(sim_world *sim, size_t bytes)
{
    void *at = rfm_arena_take(&sim->arena, bytes);
    memset(at, 0, bytes);
    return at;
}

void *sim_grow(void *items, size_t *size, size_t item_bytes)
{
    *size = *size ? *size * 2 : 16;
    void *grown = realloc(items, *size * item_bytes);
    RFM_ASSERT(grown != NULL);
    return grown;
}

void sim_fail(sim_world *sim, const char *format, ...)
{
    if (sim->failed)
        return;
    sim->failed = true;
    va_list list;
    va_start(list, format);
    vsnprintf(sim->failure, sizeof sim->failure, format, list);
    va_end(list);
    sim_trace(sim, "FAILED: %s", sim->failure);
}

void sim_trace(sim_world *sim, const char *format, ...)
{
    if (!sim->trace)
        return;
    printf("%10.4f ", (double)sim->now_us / 1e6);
    va_list list;
    va_start(list, format);
    vprintf(format, list);
    va_end(list);
    putchar('\n');
}

/* -- events, a binary heap by moment, those of one moment in the order in which they were made */

static bool before(const sim_event *a, const sim_event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

void sim_at(sim_world *sim, int64_t at_us, sim_action act, void *argument)
{
    sim_event event = {
        .at_us = at_us > sim->now_us ? at_us : sim->now_us, .order = sim->order++, .act = act, .argument = argument};
    sim_push(sim->heap, sim->heap_count, sim->heap_size, event);
    size_t at = sim->heap_count - 1;
    for (; at > 0 && before(&event, &sim->heap[(at - 1) / 2]); at = (at - 1) / 2)
        sim->heap[at] = sim->heap[(at - 1) / 2];
    sim->heap[at] = event;
}

static sim_event take_first(sim_world *sim)
{
    sim_event first = sim->heap[0], last = sim->heap[--sim->heap_count];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < sim->heap_count; at = child) {
        if (child + 1 < sim->heap_count && before(&sim->heap[child + 1], &sim->heap[child]))
            child++;
        if (!before(&sim->heap[child], &last))
            break;
        sim->heap[at] = sim->heap[child];
    }
    sim->heap[at] = last;
    return first;
}

sim_world *sim_new(uint64_t seed, const sim_options *options, bool trace)
{
    sim_world *made = calloc(1, sizeof *made);
    RFM_ASSERT(made != NULL);
    made->seed = seed;
    made->random = seed;
    made->options = *options;
    made->trace = trace;
    rfm_arena_init(&made->arena);
    sim_checks_init(made);
    sim_shop_init(made); /* first, so that the shop is the seed's alone */
    sim_broker_init(made);
    sim_store_init(made);
    for (size_t i = 0; i < SIM_NODES; i++) {
        made->node[i].rules = sim_shop_rules(made, 0);
        made->node[i].conf = sim_take(made, sizeof *made->node[i].conf);
        sim_shop_conf(made, made->node[i].conf);
    }
    sim_faults_init(made);
    return made;
}

void sim_run(sim_world *sim)
{
    while (!sim->failed && !sim->done) {
        sim_event event = take_first(sim);
        sim->now_us = event.at_us;
        sim->turns++;
        event.act(sim, event.argument);
    }
}

void sim_end_lives(sim_world *sim)
{
    for (size_t i = 0; i < SIM_NODES; i++)
        if (sim->node[i].alive)
            sim_node_end(sim, &sim->node[i]);
}

void sim_free(sim_world *sim)
{
    sim_end_lives(sim);
    sim_broker_release(sim);
    sim_store_release(sim);
    sim_checks_release(sim);
    rfm_arena_release(&sim->arena);
    free(sim->heap);
    free(sim);
}
