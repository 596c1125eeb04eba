/* Experiments whose effect is known beforehand: clients are made whose chance to buy depends on their arm, the real
 * engine takes what they do, and what it says about the arms is held against the chances. Arms, hold-out, windows and
 * what counts are computed here anew, from docs/experiments.md. */
#ifndef TRUTH_H
#define TRUTH_H

#include <rfm/base/arena.h>

enum { TRUTH_ARMS_MAX = 4 };

typedef struct truth_arm {
    const char *name;
    uint32_t buckets;
    double buys, again; /* the chance to buy within the window; and then a second time */
    double lost;        /* the chance that nothing is ever heard of a client: a defect */
} truth_arm;

typedef struct truth_case {
    const char *name, *config;
    const char *salt, *holdout_salt;
    uint32_t holdout_buckets;
    bool looks; /* somebody looks at the figures all the time, not in the end alone */
    size_t arm_count;
    truth_arm arm[TRUTH_ARMS_MAX]; /* control first */
} truth_case;

/* What is to be expected of a client of the arm. */
double truth_revenue(const truth_arm *arm);

/* What the clients of a run really did. */
typedef struct truth_count {
    uint64_t clients, converted;
    int64_t orders, revenue_minor;
    double squares; /* of each client's revenue */
} truth_count;

typedef struct truth_event {
    int64_t arrives_ms;
    uint64_t number; /* of one moment the order in which they were made */
    rfm_bytes client_id, json;
} truth_event;

typedef struct truth_run {
    rfm_arena arena;
    truth_event *events; /* by arrival */
    size_t count, size;
    int64_t first_end_ms, last_end_ms; /* when the first window can be over, and when all are */
    int64_t end_ms;                    /* nothing comes any more */
    truth_count counted[TRUTH_ARMS_MAX];
} truth_run;

void truth_run_init(truth_run *run);
void truth_run_release(truth_run *run);
/* `number` is the run's: clients of other runs have other names and draws. */
void truth_run_make(truth_run *run, const truth_case *of, uint64_t seed, uint64_t number, uint32_t clients);

#endif
