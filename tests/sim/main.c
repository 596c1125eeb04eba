#include "sim.h"

#include <engine/fault.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SEEDS_CI = 1000, SEED_S_MAX = 120 };
#ifdef RFM_FAULTS_SELECTABLE
#define PROGRAM "sim_mutants"
#else
#define PROGRAM "sim"
#endif

static const char usage[] =
    "Usage: sim [--seeds N] [--first S] [--seed S] [--at-least-once] [--calm] [--twice] [--stop] [--trace] [--verbose]\n"
    "\n"
    "The engine in a simulated world of crashes, lost replies, rebalances, sleeping processes and Redis rolled\n"
    "back; each seed another one. Exit code 0 if nothing was lost, repeated or wrong.\n"
    "\n"
    "  --seeds N   as many seeds (default 1000)\n"
    "  --first S   the first of them (default 1)\n"
    "  --seed S    this one alone\n"
    "  --at-least-once   without transactions and WAL: repeats are allowed, nothing else is\n"
    "  --calm      nothing goes wrong\n"
    "  --twice     each seed again: the same must happen\n"
    "  --stop      at the first that fails\n"
    "  --trace     says what happens\n"
    "  --verbose   a line for each seed\n"
#ifdef RFM_FAULTS_SELECTABLE
    "  --fault F   without this rule of the protocol\n"
    "  --faults    says which there are\n"
#endif
    ;

#ifdef RFM_FAULTS_SELECTABLE
rfm__fault rfm__fault_chosen = RFM__FAULT_COUNT;

static const char *const fault_name[] = {
#define X(NAME, name, text) #name,
    RFM__FAULTS(X)
#undef X
};
static const char *const fault_text[] = {
#define X(NAME, name, text) text,
    RFM__FAULTS(X)
#undef X
};

static bool choose_fault(const char *name)
{
    for (size_t i = 0; i < RFM__FAULT_COUNT; i++)
        if (strcmp(name, fault_name[i]) == 0)
            rfm__fault_chosen = (rfm__fault)i;
    return rfm__fault_chosen != RFM__FAULT_COUNT;
}

static int list_faults(void)
{
    for (size_t i = 0; i < RFM__FAULT_COUNT; i++)
        printf("%s\t%s\n", fault_name[i], fault_text[i]);
    return 0;
}
#endif

typedef struct sim_how {
    bool at_least_once, calm, twice, trace, verbose;
} sim_how;

/* How to see the present seed again: also said when an assertion stops the program, or an endless loop the clock. */
static char again[160];

static void note_again(uint64_t seed, const sim_how *how)
{
    const char *without = "", *name = "";
#ifdef RFM_FAULTS_SELECTABLE
    if (rfm__fault_chosen != RFM__FAULT_COUNT)
        without = " --fault ", name = fault_name[rfm__fault_chosen];
#endif
    snprintf(again, sizeof again, "to see it again: %s%s%s%s%s --seed %llu --trace\n", PROGRAM, without, name,
             how->at_least_once ? " --at-least-once" : "", how->calm ? " --calm" : "", (unsigned long long)seed);
}

static void say_again(int signal_number)
{
    if (write(STDERR_FILENO, again, strlen(again)) < 0)
        _exit(1);
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static uint64_t pick(uint64_t *random, const uint64_t *of, size_t count)
{
    *random += 0x9e3779b97f4a7c15u;
    uint64_t z = (*random ^ *random >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return of[(z ^ z >> 31) % count];
}
#define PICK(...) \
    pick(&random, (const uint64_t[]){__VA_ARGS__}, sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

static sim_options options_of(uint64_t seed, const sim_how *how)
{
    uint64_t random = seed * 0x2545f4914f6cdd1du;
    sim_options options = {.transaction_ms = 4000, .busy_us = 20000000};
    options.clock = PICK(0, 1, 1, 1, 1) ? RFM_CLOCK_RECORD : RFM_CLOCK_WALL;
    options.inputs = options.clock == RFM_CLOCK_RECORD ? PICK(1, 1, 1, 2) : PICK(1, 2);
    options.nodes = PICK(1, 2, 2, 3, 3);
    options.events = PICK(100, 300, 600);
    options.clients = options.events / PICK(4, 8, 14);
    options.span_ms = (int64_t)PICK(6, 20, 40, 70) * RFM_HOUR_MS;
    options.cache_bytes_max = PICK(4096, 8192, 16384, 1 << 20);
    options.dirty_bytes_max = PICK(2000, 20000, 1 << 20);
    options.step_events_max = PICK(1, 5, 50, 1000);
    options.part_bytes_max = PICK(300, 1000, 0);
    options.page_entries_max = PICK(0, 2, 5, 40);
    options.crowded = PICK(0, 1);
    options.population = options.clock == RFM_CLOCK_WALL && PICK(0, 1);
    options.wal_idle_ms = (int64_t)PICK(2500, 10000, 60000);
    options.crash_in = (uint32_t)PICK(0, 300, 1500);
    options.stall_in = (uint32_t)PICK(0, 800, 3000);
    options.fault_us = (int64_t)PICK(300000, 1000000, 4000000);
    for (size_t fault = 0; fault < SIM_FAULT_COUNT; fault++)
        options.faults |= (uint32_t)PICK(0, 1, 1) << fault;
    options.calamity = (sim_calamity)PICK(0, 0, 0, 0, 0, 0, SIM_OFFSETS_GONE, SIM_OFFSETS_GONE, SIM_WAL_CUT,
                                          SIM_INPUT_CUT, SIM_INPUT_ANEW, SIM_KAFKA_BEHIND);
    options.static_members = PICK(0, 0, 1);
    options.skew_ms = options.clock == RFM_CLOCK_WALL ? (int64_t)PICK(0, 2000) : 2000;
    options.grain_ms = (int64_t)PICK(60000, 1800000);
    options.gaps = PICK(0, 1);
    options.expires = PICK(0, 1) && options.calamity <= SIM_OFFSETS_GONE;
    options.message_us = (int64_t)(PICK(0, 0, 0, 15000000) / options.events);
    options.calm = how->calm;
    options.at_least_once = how->at_least_once;
    if (how->at_least_once) { /* these are about the WAL, and what goes with it */
        options.calamity = SIM_NO_CALAMITY;
        options.expires = false;
    }
    return options;
}

/* How often each fault came, over all seeds, and how long the longest world took to come to rest. */
static uint64_t fault_counts[SIM_FAULT_COUNT], calamities[SIM_CALAMITIES];
static int64_t longest_us;

static void say_faults(void)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < SIM_FAULT_COUNT; i++)
        sum += fault_counts[i];
    printf("%llu faults:", (unsigned long long)sum);
    for (size_t i = 0; i < SIM_FAULT_COUNT; i++)
        printf(" %s %llu%s", sim_fault_name[i], (unsigned long long)fault_counts[i],
               i + 1 < SIM_FAULT_COUNT ? "," : "");
    printf("\ncalamities:");
    for (size_t i = SIM_NO_CALAMITY + 1; i < SIM_CALAMITIES; i++)
        printf(" %s %llu%s", sim_calamity_name[i], (unsigned long long)calamities[i],
               i + 1 < SIM_CALAMITIES ? "," : "");
    printf("; at rest after %.0f s at the latest\n", (double)longest_us / 1e6);
}

static sim_world *run_world(uint64_t seed, const sim_options *options, sim_world *reference, bool trace)
{
    sim_world *sim = sim_new(seed, options, trace);
    sim_run(sim);
    if (!sim->failed)
        sim_check_end(sim, reference);
    sim_end_lives(sim);
    return sim;
}

/* One process with room for everything. NULL: what happens when is not the shop's alone. */
static sim_world *run_reference(uint64_t seed, sim_options quiet, bool trace)
{
    if (quiet.clock != RFM_CLOCK_RECORD || quiet.inputs != 1)
        return NULL;
    quiet.calm = true;
    quiet.nodes = 1;
    quiet.cache_bytes_max = quiet.dirty_bytes_max = 1 << 24;
    quiet.step_events_max = 1000;
    quiet.part_bytes_max = quiet.page_entries_max = 0;
    quiet.message_us = 0;
    sim_world *reference = run_world(seed, &quiet, NULL, false);
    if (!reference->failed)
        return reference;
    printf(PROGRAM ": seed %llu: the run without faults: %s\n", (unsigned long long)seed, reference->failure);
    if (trace) /* what is looked for is there */
        sim_free(run_world(seed, &quiet, NULL, true));
    return reference;
}

/* Nothing but the seed decides: not an address, not the machine's time. */
static void check_repeats(sim_world *sim, sim_world *reference)
{
    sim_world *second = run_world(sim->seed, &sim->options, reference, false);
    if (second->random != sim->random || second->turns != sim->turns || second->now_us != sim->now_us)
        sim_fail(sim, "a second run goes another way: %llu events instead of %llu", (unsigned long long)second->turns,
                 (unsigned long long)sim->turns);
    sim_free(second);
}

static void say_world(const sim_world *sim)
{
    const sim_options *options = &sim->options;
    printf("seed %llu: %zu nodes, %zu inputs, %s clock, %zu events, %.1f s, %llu turns, %zu triggers, %llu take-overs"
           ", %llu aborts, %llu rollbacks, %llu evictions\n",
           (unsigned long long)sim->seed, options->nodes, options->inputs,
           options->clock == RFM_CLOCK_RECORD ? "record" : "wall", options->events, (double)sim->now_us / 1e6,
           (unsigned long long)sim->turns, sim->checks.triggers.count, (unsigned long long)sim->stats.takeovers,
           (unsigned long long)sim->stats.aborts, (unsigned long long)sim->stats.rollbacks,
           (unsigned long long)sim->stats.evictions);
}

static bool run_seed(uint64_t seed, const sim_how *how)
{
    sim_options options = options_of(seed, how);
    note_again(seed, how);
    alarm(SEED_S_MAX);
    sim_world *reference = run_reference(seed, options, how->trace);
    sim_world *sim = run_world(seed, &options, reference, how->trace);
    if (how->twice && !sim->failed)
        check_repeats(sim, reference);
    for (size_t i = 0; i < SIM_FAULT_COUNT; i++)
        fault_counts[i] += sim->counts[i];
    if (sim->doom.since_us > 0)
        calamities[options.calamity]++;
    if (sim->now_us > longest_us)
        longest_us = sim->now_us;
    bool good = !sim->failed && !(reference && reference->failed);
    if (how->verbose)
        say_world(sim);
    if (sim->failed)
        printf(PROGRAM ": seed %llu, after %.4f s: %s\n", (unsigned long long)seed, (double)sim->now_us / 1e6,
               sim->failure);
    if (!good)
        fputs(again, stdout);
    if (reference)
        sim_free(reference);
    sim_free(sim);
    fflush(stdout);
    return good;
}

int main(int argc, char **argv)
{
    uint64_t first = 1, seeds = SEEDS_CI, failed = 0;
    sim_how how = {0};
    bool stop = false;
    for (int i = 1; i < argc; i++) {
        bool more = i + 1 < argc;
        if (strcmp(argv[i], "--seeds") == 0 && more)
            seeds = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--first") == 0 && more)
            first = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--seed") == 0 && more)
            first = strtoull(argv[++i], NULL, 10), seeds = 1;
        else if (strcmp(argv[i], "--at-least-once") == 0)
            how.at_least_once = true;
        else if (strcmp(argv[i], "--calm") == 0)
            how.calm = true;
        else if (strcmp(argv[i], "--twice") == 0)
            how.twice = true;
        else if (strcmp(argv[i], "--stop") == 0)
            stop = true;
        else if (strcmp(argv[i], "--trace") == 0)
            how.trace = true;
        else if (strcmp(argv[i], "--verbose") == 0)
            how.verbose = true;
#ifdef RFM_FAULTS_SELECTABLE
        else if (strcmp(argv[i], "--faults") == 0)
            return list_faults();
        else if (strcmp(argv[i], "--fault") == 0 && more && choose_fault(argv[i + 1]))
            i++;
#endif
        else {
            bool help = strcmp(argv[i], "--help") == 0;
            fputs(usage, help ? stdout : stderr);
            return help ? 0 : 2;
        }
    }
    signal(SIGABRT, say_again);
    signal(SIGSEGV, say_again);
    signal(SIGALRM, say_again);
    for (uint64_t seed = first; seed < first + seeds && !(stop && failed); seed++)
        failed += !run_seed(seed, &how);
    say_faults();
    printf("%llu seeds, %llu failed\n", (unsigned long long)seeds, (unsigned long long)failed);
    return failed > 0;
}
