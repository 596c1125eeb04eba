#include "protocol.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "Usage: protocol [--workers N] [--tasks N] [--inputs N] [--parts N] [--records N] [--crashes N] [--rebalances N] [--rollbacks N] [--unknowns N]\n"
    "             [--timeouts N] [--evictions N] [--fail-overs N] [--without RULE] [--rules] [--mutations] [--states-max N]\n"
    "\n"
    "All interleavings of the take-over and commit protocol within bounds, breadth first: that a broken property is\n"
    "shown by a shortest trace. Exit code 0 if no property breaks.\n"
    "\n"
    "  --without RULE  one of the protocol's rules left out\n"
    "  --mutations     each of them in turn: each must break a property that holds with all of them\n"
    "  --rules         says which there are\n";

static const char *const rule_name[] = {
#define X(NAME, name, text) #name,
    RULES(X)
#undef X
};
static const char *const rule_text[] = {
#define X(NAME, name, text) text,
    RULES(X)
#undef X
};

enum { NONE = UINT32_MAX };

/* All states found, in the order in which they were found; `parent`: from which. An edge without a fault is kept, to
 * see from where the world can come to rest. */
typedef struct search {
    const model_bounds *bounds;
    size_t states_max;
    model_state *states;
    uint32_t *parent;
    size_t count, size;
    uint32_t *table; /* by hash; NONE: free */
    size_t table_size;
    uint32_t (*edges)[2];
    size_t edge_count, edge_size;
    uint32_t at;        /* the state whose moves are being taken */
    const char *broken; /* the property, of the move from `at` to `broken_to` */
    model_state broken_to;
    bool full;
} model_search;

static void *must(void *memory)
{
    if (memory)
        return memory;
    fputs("protocol: no memory\n", stderr);
    exit(2);
}

static uint64_t hash_of(const model_state *state)
{
    const uint8_t *at = (const uint8_t *)state;
    uint64_t hash = 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < sizeof *state; i++)
        hash = (hash ^ at[i]) * 0x100000001b3u;
    hash ^= hash >> 32;
    return hash * 0xd6e8feb86659fd93u;
}

static size_t place_of(const model_search *search, const model_state *state)
{
    size_t i = hash_of(state) >> 20 & (search->table_size - 1);
    while (search->table[i] != NONE && memcmp(&search->states[search->table[i]], state, sizeof *state) != 0)
        i = (i + 1) & (search->table_size - 1);
    return i;
}

static void grow_table(model_search *search)
{
    search->table_size = search->table_size ? search->table_size * 2 : 1 << 16;
    search->table = must(realloc(search->table, search->table_size * sizeof *search->table));
    memset(search->table, 0xff, search->table_size * sizeof *search->table);
    for (uint32_t i = 0; i < search->count; i++)
        search->table[place_of(search, &search->states[i])] = i;
}

static uint32_t add(model_search *search, const model_state *state)
{
    size_t place = place_of(search, state);
    if (search->table[place] != NONE)
        return search->table[place];
    if (search->count == search->states_max) {
        search->full = true;
        return NONE;
    }
    if (search->count == search->size) {
        search->size = search->size ? search->size * 2 : 1 << 14;
        search->states = must(realloc(search->states, search->size * sizeof *search->states));
        search->parent = must(realloc(search->parent, search->size * sizeof *search->parent));
    }
    uint32_t index = (uint32_t)search->count++;
    search->states[index] = *state;
    search->parent[index] = search->at;
    search->table[place] = index;
    if (search->count * 2 > search->table_size)
        grow_table(search);
    return index;
}

static void take_move(void *context, const model_move *move)
{
    model_search *search = context;
    if (search->broken)
        return;
    if (move->broken) {
        search->broken = move->broken;
        search->broken_to = move->to;
        return;
    }
    uint32_t to = add(search, &move->to);
    if (to == NONE || move->fault || to == search->at)
        return;
    if (search->edge_count == search->edge_size) {
        search->edge_size = search->edge_size ? search->edge_size * 2 : 1 << 16;
        search->edges = must(realloc(search->edges, search->edge_size * sizeof *search->edges));
    }
    search->edges[search->edge_count][0] = search->at;
    search->edges[search->edge_count++][1] = to;
}

/* Once nothing goes wrong any more everything can come to rest, from wherever it is; else a state from which it
 * cannot. */
static uint32_t find_stuck(const model_search *search)
{
    uint8_t *good = must(calloc(search->count, 1));
    for (size_t i = 0; i < search->count; i++)
        good[i] = protocol_at_rest(search->bounds, &search->states[i]) ||
                  protocol_is_cut(search->bounds, &search->states[i]);
    for (bool more = true; more;) {
        more = false;
        for (size_t i = search->edge_count; i-- > 0;) {
            if (!good[search->edges[i][1]] || good[search->edges[i][0]])
                continue;
            good[search->edges[i][0]] = 1;
            more = true;
        }
    }
    uint32_t stuck = 0;
    while (stuck < search->count && good[stuck])
        stuck++;
    free(good);
    return stuck < search->count ? stuck : NONE;
}

/* -- traces: the moves are made again, from state to state */

typedef struct looking {
    const model_state *for_;
    const char *broken;
    bool found;
} model_looking;

static void say_move(void *context, const model_move *move)
{
    model_looking *looking = context;
    if (looking->found || memcmp(&move->to, looking->for_, sizeof move->to) != 0 ||
        (move->broken == NULL) != (looking->broken == NULL))
        return;
    looking->found = true;
    printf("    %s\n", move->text);
}

static void say_trace(const model_search *search, uint32_t last)
{
    uint32_t path[1024];
    size_t count = 0;
    for (uint32_t i = last; i != NONE && count < 1023; i = search->parent[i])
        path[count++] = i;
    for (size_t i = count - 1; i > 0; i--) {
        model_looking looking = {.for_ = &search->states[path[i - 1]]};
        protocol_moves(search->bounds, &search->states[path[i]], say_move, &looking);
    }
    if (search->broken) {
        model_looking looking = {.for_ = &search->broken_to, .broken = search->broken};
        protocol_moves(search->bounds, &search->states[last], say_move, &looking);
    }
}

static size_t depth_of(const model_search *search, uint32_t last)
{
    size_t depth = 0;
    for (uint32_t i = last; search->parent[i] != NONE; i = search->parent[i])
        depth++;
    return depth;
}

static void release(model_search *search)
{
    free(search->states);
    free(search->parent);
    free(search->table);
    free(search->edges);
}

/* 0: no property breaks; 1: one does; 2: not all states were seen. */
static int explore(const model_bounds *bounds, size_t states_max, bool brief)
{
    model_search search = {.bounds = bounds, .states_max = states_max, .at = NONE};
    model_state start;
    grow_table(&search);
    protocol_start(bounds, &start);
    add(&search, &start);
    for (search.at = 0; search.at < search.count && !search.broken; search.at++) {
        model_state from = search.states[search.at]; /* they move */
        protocol_moves(bounds, &from, take_move, &search);
    }
    uint32_t last = search.broken ? search.at - 1 : search.full ? NONE : find_stuck(&search);
    const char *broken = search.broken ? search.broken : "from here it never comes to rest";
    if (last != NONE && brief) {
        printf("%zu moves, %zu states: %s\n", depth_of(&search, last) + (search.broken != NULL), search.count, broken);
    } else if (last != NONE) {
        printf("broken: %s\n", broken);
        say_trace(&search, last);
    }
    if (last == NONE || !brief)
        printf("%zu states, %zu moves deep%s\n", search.count, depth_of(&search, (uint32_t)search.count - 1),
               search.full ? ", and there are more" : "");
    int code = last != NONE ? 1 : search.full ? 2 : 0;
    release(&search);
    return code;
}

/* The whole first: what breaks without a rule must not break with all of them, within the same bounds and as many
 * states. */
static int explore_mutations(const model_bounds *given, size_t states_max)
{
    printf("with all of them        ");
    fflush(stdout);
    int code = explore(given, states_max, true) == 1;
    for (size_t i = 0; i < RULE_COUNT; i++) {
        model_bounds bounds = *given;
        bounds.without[i] = true;
        printf("without %-15s ", rule_name[i]);
        fflush(stdout);
        if (explore(&bounds, states_max, true) != 1)
            code = 1;
    }
    return code;
}

static int list_rules(void)
{
    for (size_t i = 0; i < RULE_COUNT; i++)
        printf("%s\t%s\n", rule_name[i], rule_text[i]);
    return 0;
}

static uint8_t *bound_of(model_bounds *bounds, const char *name)
{
    const struct {
        const char *name;
        uint8_t *at;
    } all[] = {{"--workers", &bounds->workers},       {"--tasks", &bounds->tasks},
               {"--inputs", &bounds->inputs},         {"--parts", &bounds->parts},
               {"--records", &bounds->records},       {"--crashes", &bounds->crashes},
               {"--rebalances", &bounds->rebalances}, {"--rollbacks", &bounds->rollbacks},
               {"--unknowns", &bounds->unknowns},     {"--timeouts", &bounds->timeouts},
               {"--evictions", &bounds->evictions},   {"--fail-overs", &bounds->fail_overs}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i].name, name) == 0)
            return all[i].at;
    return NULL;
}

static bool leave_out(model_bounds *bounds, const char *name)
{
    bool found = false;
    for (size_t i = 0; i < RULE_COUNT; i++)
        if (strcmp(rule_name[i], name) == 0)
            bounds->without[i] = found = true;
    return found;
}

int main(int argc, char **argv)
{
    model_bounds bounds = {.workers = 2, .tasks = 1, .inputs = 2, .parts = 1, .records = 4};
    size_t states_max = 10000000;
    bool mutations = false;
    for (int i = 1; i < argc; i++) {
        bool more = i + 1 < argc;
        uint8_t *bound = bound_of(&bounds, argv[i]);
        if (bound && more)
            *bound = (uint8_t)atoi(argv[++i]);
        else if (strcmp(argv[i], "--states-max") == 0 && more)
            states_max = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--without") == 0 && more && leave_out(&bounds, argv[i + 1]))
            i++;
        else if (strcmp(argv[i], "--mutations") == 0)
            mutations = true;
        else if (strcmp(argv[i], "--rules") == 0)
            return list_rules();
        else {
            bool help = strcmp(argv[i], "--help") == 0;
            fputs(usage, help ? stdout : stderr);
            return help ? 0 : 2;
        }
    }
    if (bounds.workers < 1 || bounds.workers > WORKERS_MAX || bounds.tasks < 1 || bounds.tasks > TASKS_MAX ||
        bounds.parts < 1 || bounds.parts > 2 || bounds.inputs > 4 || bounds.records * bounds.parts > LOG_MAX ||
        bounds.records < bounds.inputs) {
        fprintf(
            stderr,
            "protocol: 1 to %d workers, 1 or %d tasks, 1 or 2 parts, at most 4 inputs, records for them and %d parts\n",
            WORKERS_MAX, TASKS_MAX, LOG_MAX);
        return 2;
    }
    return mutations ? explore_mutations(&bounds, states_max) : explore(&bounds, states_max, false);
}
