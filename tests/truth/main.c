#include "app/offline.h"
#include "app/tables.h"
#include "config/config.h"
#include "truth.h"

#include <math.h>
#include <rfm/base/time.h>
#include <rfm/rule/evaluation.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARTITIONS = 2 };
#define RUNS_FULL 2000
#define LOOK_MS   (6 * RFM_HOUR_MS) /* how often somebody looks who stops when it pleases */
#define ALPHA     0.05

static const char usage[] =
    "Usage: experiment_truth [--runs N] [--clients N] [--seed S] [--verbose]\n"
    "\n"
    "Experiments with a known effect through the real engine: the intervals cover the truth as often as they say,\n"
    "no effect is seldom found, however often somebody looks, and lost clients are seen. Exit code 0 if so.\n"
    "\n"
    "  --runs N      with an effect, as many without, a quarter with lost clients (default 2000); the fewer, the wider\n"
    "                are the bounds\n"
    "  --clients N   of each run (default 2000)\n"
    "  --seed S      another one (default 1)\n"
    "  --verbose     a line for each run whose figures are not those of its clients\n";

typedef struct options {
    uint64_t runs, clients, seed;
    bool verbose;
} options;

static const truth_case effect = {
    .name = "effect",
    .config = "tests/truth/effect.yaml",
    .salt = "truth-1",
    .holdout_salt = "truth-out",
    .holdout_buckets = 500,
    .arm_count = 3,
    .arm = {{"control", 4000, 0.12, 0.25, 0}, {"better", 3000, 0.18, 0.35, 0}, {"same", 3000, 0.12, 0.25, 0}}};
static const truth_case no_effect = {.name = "no effect",
                                     .looks = true,
                                     .config = "tests/truth/no_effect.yaml",
                                     .salt = "truth-2",
                                     .holdout_salt = "truth-out",
                                     .holdout_buckets = 500,
                                     .arm_count = 4,
                                     .arm = {{"control", 2500, 0.15, 0.3, 0},
                                             {"a", 2500, 0.15, 0.3, 0},
                                             {"b", 2500, 0.15, 0.3, 0},
                                             {"c", 2500, 0.15, 0.3, 0}}};
/* A third of a variant's clients is lost on the way. */
static const truth_case broken = {
    .name = "broken split",
    .config = "tests/truth/effect.yaml",
    .salt = "truth-1",
    .holdout_salt = "truth-out",
    .holdout_buckets = 500,
    .arm_count = 3,
    .arm = {{"control", 4000, 0.12, 0.25, 0}, {"better", 3000, 0.18, 0.35, 1.0 / 3}, {"same", 3000, 0.12, 0.25, 0}}};

/* In how many runs. */
typedef struct arm_tally {
    uint64_t conversion_covered, revenue_covered, conversion_found, revenue_found;
    uint64_t found_at_any_look, sequential_found;
} arm_tally;

typedef struct tally {
    uint64_t runs, looks, events, wrong_figures, suspicious;
    uint64_t any_conversion, any_conversion_holm, any_revenue, any_revenue_holm;
    arm_tally arm[TRUTH_ARMS_MAX];
} tally;

/* -- what the engine says */

/* As `rfmd report --experiments` reads it. */
static void evaluate(const rfm_offline *offline, const rfm_config *config, rfm_evaluation *evaluation)
{
    rfm_kpi_sums sums;
    rfm_kpi_sums_init(&sums);
    rfm_names *names = rfm_names_new();
    for (uint32_t task = 0; task < PARTITIONS; task++) {
        rfm_tables from = {.view = rfm_offline_view(offline, task)};
        RFM_ASSERT(rfm_tables_names(&from, names, NULL) == RFM_OK);
        RFM_ASSERT(rfm_tables_kpi(&from, &sums, names, NULL) == RFM_OK);
    }
    rfm_evaluate(&config->rules.rule[0], &sums, config->client.money.base.digits, 0, evaluation);
    rfm_names_free(names);
    rfm_kpi_sums_release(&sums);
}

static void must(int code, const rfm_error *error)
{
    if (code == RFM_OK)
        return;
    fprintf(stderr, "experiment_truth: %s\n", error->message);
    exit(3);
}

static void look(const rfm_evaluation *evaluation, double *least, double *least_sequential)
{
    for (size_t i = 1; i < evaluation->arm_count; i++) {
        const double *figure = evaluation->arm[i].figure;
        least[i] = fmin(least[i], figure[RFM_ARM_CONVERSION_P]); /* of NAN and a number: the number */
        least_sequential[i] = fmin(least_sequential[i], figure[RFM_ARM_CONVERSION_P_SEQUENTIAL]);
    }
}

static size_t feed(rfm_offline *offline, const truth_run *run, size_t next, int64_t until_ms)
{
    rfm_error error = {0};
    for (; next < run->count && run->events[next].arrives_ms <= until_ms; next++) {
        const truth_event *event = &run->events[next];
        must(rfm_offline_event(offline, event->client_id, event->json, event->arrives_ms, &error), &error);
    }
    must(rfm_offline_until(offline, until_ms, &error), &error);
    return next;
}

/* All that the run's clients do; where it is asked for with looks while windows end, and one in the end. */
static void carry_out(const truth_case *of, const truth_run *run, const rfm_config *config, tally *sum,
                      rfm_evaluation *evaluation)
{
    rfm_error error = {0};
    rfm_offline *offline = NULL;
    double least[TRUTH_ARMS_MAX] = {1, 1, 1, 1}, least_sequential[TRUTH_ARMS_MAX] = {1, 1, 1, 1};
    must(rfm_offline_new(config, PARTITIONS, RFM_FORMAT_NATIVE, &(rfm_offline_calls){0}, &offline, &error), &error);
    size_t next = 0;
    for (int64_t at_ms = run->first_end_ms; of->looks && at_ms <= run->last_end_ms; at_ms += LOOK_MS) {
        next = feed(offline, run, next, at_ms);
        evaluate(offline, config, evaluation);
        look(evaluation, least, least_sequential);
        sum->looks++;
    }
    next = feed(offline, run, next, run->end_ms);
    RFM_ASSERT(next == run->count);
    evaluate(offline, config, evaluation);
    look(evaluation, least, least_sequential);
    sum->looks++;
    for (size_t i = 1; i < evaluation->arm_count; i++) {
        sum->arm[i].found_at_any_look += least[i] <= ALPHA;
        sum->arm[i].sequential_found += least_sequential[i] <= ALPHA;
    }
    rfm_offline_free(offline);
}

/* -- beside the truth */

static bool figures_are_right(const truth_run *run, const rfm_evaluation *evaluation)
{
    bool right = true;
    for (size_t i = 0; i < evaluation->arm_count; i++) {
        const truth_count *real = &run->counted[i];
        const rfm_arm_result *said = &evaluation->arm[i];
        right = right && said->sums.clients == real->clients && (uint64_t)said->exposed == real->clients &&
                said->sums.converted == real->converted && said->orders == real->orders &&
                said->revenue_minor == real->revenue_minor &&
                fabs(said->sums.squares * 1e4 / real->squares - 1) < 1e-12;
    }
    return right;
}

static void compare(const truth_case *of, size_t i, const rfm_evaluation *evaluation, arm_tally *sum)
{
    const double *figure = evaluation->arm[i].figure;
    double conversion = of->arm[i].buys - of->arm[0].buys;
    double revenue = truth_revenue(&of->arm[i]) - truth_revenue(&of->arm[0]);
    sum->conversion_covered += figure[RFM_ARM_CONVERSION_LOW] <= conversion &&
                               conversion <= figure[RFM_ARM_CONVERSION_HIGH];
    sum->revenue_covered += figure[RFM_ARM_REVENUE_LOW] <= revenue && revenue <= figure[RFM_ARM_REVENUE_HIGH];
    sum->conversion_found += figure[RFM_ARM_CONVERSION_P] <= ALPHA;
    sum->revenue_found += figure[RFM_ARM_REVENUE_P] <= ALPHA;
}

static bool any(const rfm_evaluation *evaluation, rfm_arm_figure p)
{
    bool found = false;
    for (size_t i = 1; i < evaluation->arm_count; i++)
        found = found || evaluation->arm[i].figure[p] <= ALPHA;
    return found;
}

static void add_run(const truth_case *of, const truth_run *run, const rfm_evaluation *evaluation, tally *sum)
{
    sum->runs++;
    sum->events += run->count;
    sum->suspicious += evaluation->suspicious;
    sum->any_conversion += any(evaluation, RFM_ARM_CONVERSION_P);
    sum->any_conversion_holm += any(evaluation, RFM_ARM_CONVERSION_P_HOLM);
    sum->any_revenue += any(evaluation, RFM_ARM_REVENUE_P);
    sum->any_revenue_holm += any(evaluation, RFM_ARM_REVENUE_P_HOLM);
    for (size_t i = 1; i < of->arm_count; i++)
        compare(of, i, evaluation, &sum->arm[i]);
}

static rfm_config *load(const char *path)
{
    rfm_config *config = NULL;
    rfm_config_errors errors;
    rfm_buffer text;
    rfm_config_errors_init(&errors);
    rfm_buffer_init(&text, 1 << 16);
    if (rfm_config_load(path, NULL, &config, &errors) != RFM_OK) {
        rfm_config_errors_write(&errors, &text);
        fprintf(stderr, "%.*s", (int)text.len, (const char *)text.at);
        exit(3);
    }
    rfm_buffer_release(&text);
    rfm_config_errors_release(&errors);
    return config;
}

static void run_case(const truth_case *of, const options *given, tally *sum)
{
    rfm_config *config = load(of->config);
    truth_run run;
    truth_run_init(&run);
    for (uint64_t number = 0; number < given->runs; number++) {
        rfm_evaluation evaluation;
        truth_run_make(&run, of, given->seed, number, (uint32_t)given->clients);
        carry_out(of, &run, config, sum, &evaluation);
        add_run(of, &run, &evaluation, sum);
        if (figures_are_right(&run, &evaluation))
            continue;
        sum->wrong_figures++;
        if (given->verbose)
            printf("%s, run %llu: the figures are not those of its clients\n", of->name, (unsigned long long)number);
    }
    truth_run_release(&run);
    rfm_config_free(config);
}

/* -- verdict */

static bool all_good = true;

/* `around`: how far off 2,000 runs may be; the fewer there are, the farther. */
static void judge(const tally *sum, const char *arm, const char *what, uint64_t count, double low, double high,
                  double around)
{
    double share = (double)count / (double)sum->runs;
    bool full = sum->runs >= RUNS_FULL || around == 0;
    double wider = full ? around : around * sqrt(RUNS_FULL / (double)sum->runs) + 0.5 / (double)sum->runs;
    bool good = share >= low - wider && share <= high + wider;
    all_good = all_good && good;
    printf("  %-8s %-52s %7.2f%%  (%.2f to %.2f)%s\n", arm, what, 100 * share, 100 * fmax(low - wider, 0),
           100 * fmin(high + wider, 1), good ? "" : "  WRONG");
}

static void head(const truth_case *of, const tally *sum, const options *given)
{
    printf("%s: %llu runs of %llu clients, %llu events, %llu looks\n", of->name, (unsigned long long)sum->runs,
           (unsigned long long)given->clients, (unsigned long long)sum->events, (unsigned long long)sum->looks);
    judge(sum, "", "clients, orders, revenue not those of the clients", sum->wrong_figures, 0, 0, 0);
}

/* The 1 % that is promised for 2,000 runs is two standard errors; whoever makes fewer, as CI does, gets three. */
static double around_alpha(const tally *sum)
{
    return sum->runs >= RUNS_FULL ? 0.01 : 0.015;
}

static void judge_effect(const tally *sum)
{
    for (size_t i = 1; i < effect.arm_count; i++) {
        const char *name = effect.arm[i].name;
        judge(sum, name, "interval of conversion covers the truth (Newcombe)", sum->arm[i].conversion_covered, 0.95,
              0.95, 0.015);
        judge(sum, name, "interval of revenue covers the truth (Welch)", sum->arm[i].revenue_covered, 0.95, 0.95,
              0.015);
    }
    judge(sum, "better", "effect on conversion found", sum->arm[1].conversion_found, 0.75, 1, 0.03);
    judge(sum, "better", "effect on revenue found", sum->arm[1].revenue_found, 0.6, 1, 0.03);
    judge(sum, "better", "effect on conversion found (mSPRT)", sum->arm[1].sequential_found, 0.2, 1, 0.03);
    judge(sum, "same", "effect on conversion found where none is", sum->arm[2].conversion_found, 0, ALPHA,
          around_alpha(sum));
    judge(sum, "same", "effect on revenue found where none is", sum->arm[2].revenue_found, 0, ALPHA, around_alpha(sum));
    judge(sum, "", "sizes of the arms are called suspicious", sum->suspicious, 0, 0.001, 0.0021);
}

static void judge_no_effect(const tally *sum)
{
    for (size_t i = 1; i < no_effect.arm_count; i++) {
        const char *name = no_effect.arm[i].name;
        const arm_tally *arm = &sum->arm[i];
        judge(sum, name, "interval of conversion covers 0 (Newcombe)", arm->conversion_covered, 0.95, 0.95, 0.015);
        judge(sum, name, "interval of revenue covers 0 (Welch)", arm->revenue_covered, 0.95, 0.95, 0.015);
        judge(sum, name, "effect on conversion found (z)", arm->conversion_found, 0.045, ALPHA, around_alpha(sum));
        judge(sum, name, "effect on revenue found (Welch)", arm->revenue_found, 0.045, ALPHA, around_alpha(sum));
        judge(sum, name, "effect found at any of the looks (mSPRT)", arm->sequential_found, 0, ALPHA,
              around_alpha(sum));
        judge(sum, name, "the same by a p for one look, which is too many", arm->found_at_any_look, 0.2, 1, 0.03);
    }
    judge(sum, "any", "effect on conversion found (Holm)", sum->any_conversion_holm, 0, ALPHA, around_alpha(sum));
    judge(sum, "any", "effect on revenue found (Holm)", sum->any_revenue_holm, 0, ALPHA, around_alpha(sum));
    judge(sum, "any", "the same of conversion without Holm, too many", sum->any_conversion, 0.09, 1, 0.02);
    judge(sum, "any", "the same of revenue without Holm, too many", sum->any_revenue, 0.09, 1, 0.02);
    judge(sum, "", "sizes of the arms are called suspicious", sum->suspicious, 0, 0.001, 0.0021);
}

static bool read_number(const char *text, uint64_t *number)
{
    char *end;
    *number = text ? strtoull(text, &end, 10) : 0;
    return text && *text >= '0' && *text <= '9' && *end == 0 && *number > 0 && *number <= 1000000;
}

static bool read_options(int argc, char **argv, options *given)
{
    for (int i = 1; i < argc; i++) {
        const struct {
            const char *name;
            uint64_t *number;
        } numbers[] = {{"--runs", &given->runs}, {"--clients", &given->clients}, {"--seed", &given->seed}};
        size_t k = 0;
        while (k < 3 && strcmp(argv[i], numbers[k].name) != 0)
            k++;
        if (k < 3 && read_number(argv[i + 1], numbers[k].number))
            i++;
        else if (strcmp(argv[i], "--verbose") == 0)
            given->verbose = true;
        else
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    options given = {.runs = RUNS_FULL, .clients = 2000, .seed = 1};
    if (!read_options(argc, argv, &given)) {
        bool help = argc == 2 && strcmp(argv[1], "--help") == 0;
        fputs(usage, help ? stdout : stderr);
        return help ? 0 : 2;
    }
    tally with = {0}, without = {0}, lost = {0};
    run_case(&effect, &given, &with);
    head(&effect, &with, &given);
    judge_effect(&with);
    run_case(&no_effect, &given, &without);
    head(&no_effect, &without, &given);
    judge_no_effect(&without);
    given.runs = (given.runs + 3) / 4; /* it is seen every time */
    run_case(&broken, &given, &lost);
    head(&broken, &lost, &given);
    judge(&lost, "", "sizes of the arms are called suspicious", lost.suspicious, 0.995, 1, 0.003);
    puts(all_good ? "GREEN: all within their bounds" : "RED: not all within their bounds");
    return !all_good;
}
