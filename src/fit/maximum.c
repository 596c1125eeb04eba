#include "maximum.h"

#include <math.h>
#include <nlopt.h>
#include <stdio.h>
#include <string.h>

enum { N = RFM_PARAMETERS_MAX, EVALUATIONS_MAX = 400, NEWTON_STEPS_MAX = 30 };

/* Twice the log-likelihood that Newton's next step promises to gain: where it is trusted unseen, and where it is the
 * last. */
#define NEAR  1e-4
#define THERE 1e-12
/* A standard error of a logarithm beyond which the parameter may as well be twenty times as large. */
#define ERROR_MAX 3.0
#define STEP      1e-4

struct matrix {
    double of[N][N];
};

struct search {
    const rfm_problem *problem;
    bool rough;
};

static double value_at(const struct search *search, const double *logs, double *gradient)
{
    const rfm_problem *problem = search->problem;
    double at[N], by[N] = {0};
    for (size_t i = 0; i < problem->count; i++)
        at[i] = exp(logs[i]);
    double value = problem->likelihood(problem->owner, at, search->rough, by);
    for (size_t i = 0; gradient && i < problem->count; i++)
        gradient[i] = by[i] * at[i];
    return value;
}

static double objective(unsigned count, const double *logs, double *gradient, void *owner)
{
    (void)count;
    return value_at(owner, logs, gradient);
}

/* From `logs` uphill; they are left where it ends, which is what counts: NLopt's own verdict differs by rounding. */
static double climb(const struct search *search, double *logs)
{
    const rfm_problem *problem = search->problem;
    double low[N], high[N], value;
    for (size_t i = 0; i < problem->count; i++) {
        low[i] = log(problem->low[i]);
        high[i] = log(problem->high[i]);
        logs[i] = fmin(fmax(logs[i], low[i]), high[i]);
    }
    struct search own = *search;
    nlopt_opt nlopt = nlopt_create(NLOPT_LD_LBFGS, (unsigned)problem->count);
    RFM_NEED(nlopt != NULL);
    nlopt_set_max_objective(nlopt, objective, &own);
    nlopt_set_lower_bounds(nlopt, low);
    nlopt_set_upper_bounds(nlopt, high);
    nlopt_set_ftol_rel(nlopt, 1e-10);
    nlopt_set_maxeval(nlopt, EVALUATIONS_MAX);
    (void)nlopt_optimize(nlopt, logs, &value);
    nlopt_destroy(nlopt);
    return value_at(search, logs, NULL);
}

/* The negative Hessian by central differences of the gradient, made symmetric. */
static void information_at(const struct search *search, const double *logs, struct matrix *information)
{
    size_t count = search->problem->count;
    double by[N][N];
    for (size_t i = 0; i < count; i++) {
        double moved[N], above[N], below[N];
        memcpy(moved, logs, sizeof moved);
        moved[i] = logs[i] + STEP;
        (void)value_at(search, moved, above);
        moved[i] = logs[i] - STEP;
        (void)value_at(search, moved, below);
        for (size_t j = 0; j < count; j++)
            by[i][j] = (below[j] - above[j]) / (2 * STEP);
    }
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < count; j++)
            information->of[i][j] = (by[i][j] + by[j][i]) / 2;
}

/* Cholesky's root of a matrix, lower. false: it is not positive definite. */
static bool root_of(const struct matrix *matrix, size_t count, struct matrix *root)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j <= i; j++) {
            double rest = matrix->of[i][j];
            for (size_t k = 0; k < j; k++)
                rest -= root->of[i][k] * root->of[j][k];
            if (i == j && !(rest > 1e-12 * fabs(matrix->of[i][i])))
                return false;
            root->of[i][j] = i == j ? sqrt(rest) : rest / root->of[j][j];
        }
    return true;
}

static void solve(const struct matrix *root, size_t count, const double *right, double *solution)
{
    for (size_t i = 0; i < count; i++) {
        double rest = right[i];
        for (size_t k = 0; k < i; k++)
            rest -= root->of[i][k] * solution[k];
        solution[i] = rest / root->of[i][i];
    }
    for (size_t i = count; i-- > 0;) {
        double rest = solution[i];
        for (size_t k = i + 1; k < count; k++)
            rest -= root->of[k][i] * solution[k];
        solution[i] = rest / root->of[i][i];
    }
}

static double dot(const double *a, const double *b, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += a[i] * b[i];
    return sum;
}

/* Along Newton's step, halved until it gains. false: not even a tiny step does. */
static bool step_up(const struct search *search, double *logs, const double *step, double *value)
{
    size_t count = search->problem->count;
    for (double part = 1; part > 1e-6; part /= 2) {
        double moved[N] = {0};
        for (size_t i = 0; i < count; i++)
            moved[i] = logs[i] + part * step[i];
        double there = value_at(search, moved, NULL);
        if (there > *value) {
            memcpy(logs, moved, sizeof moved);
            *value = there;
            return true;
        }
    }
    return false;
}

/* To the top of the hill, as far as digits go: what a last full step promises is below them. false: it has no top here
 * (a ridge, or a bound). */
static bool reach_top(const struct search *search, double *logs, double *value, struct matrix *root)
{
    size_t count = search->problem->count;
    for (int i = 0; i < NEWTON_STEPS_MAX; i++) {
        struct matrix information;
        double gradient[N], step[N];
        information_at(search, logs, &information);
        (void)value_at(search, logs, gradient);
        if (!root_of(&information, count, root))
            return false;
        solve(root, count, gradient, step);
        double decrement = dot(gradient, step, count);
        if (decrement < NEAR && decrement >= 0) {
            for (size_t j = 0; j < count; j++)
                logs[j] += step[j];
            *value = value_at(search, logs, NULL);
            if (decrement < THERE)
                return true;
        } else if (!step_up(search, logs, step, value)) {
            return false;
        }
    }
    return false;
}

static void write_names(const rfm_problem *problem, const bool *which, char *text, size_t size)
{
    size_t len = 0;
    text[0] = 0;
    for (size_t i = 0; i < problem->count; i++)
        if (which[i] && len < size)
            len += (size_t)snprintf(text + len, size - len, "%s%s", len > 0 ? ", " : "", problem->names[i]);
}

static int say_not_told(const rfm_problem *problem, const bool *which, const char *how, rfm_error *error)
{
    char names[64];
    write_names(problem, which, names, sizeof names);
    return rfm_fail(error, RFM_E_RANGE, "%s: the data do not tell %s: %s. Fit on more clients or a longer time",
                    problem->what, names[0] ? names : "the parameters", how);
}

static int check_bounds(const rfm_problem *problem, const double *logs, rfm_error *error)
{
    bool at_bound[N] = {false};
    bool any = false;
    for (size_t i = 0; i < problem->count; i++) {
        at_bound[i] = logs[i] < log(problem->low[i]) + .1 || logs[i] > log(problem->high[i]) - .1;
        any = any || at_bound[i];
    }
    return any ? say_not_told(problem, at_bound, "the likelihood rises up to the bound of what is tried", error)
               : RFM_OK;
}

static int take_errors(const rfm_problem *problem, const double *logs, const struct matrix *root, rfm_maximum *maximum,
                       rfm_error *error)
{
    bool wide[N] = {false};
    bool any = false;
    for (size_t i = 0; i < problem->count; i++) {
        double unit[N] = {0}, column[N];
        unit[i] = 1;
        solve(root, problem->count, unit, column);
        double log_error = sqrt(column[i]);
        wide[i] = !(log_error <= ERROR_MAX);
        any = any || wide[i];
        maximum->at[i] = exp(logs[i]);
        maximum->error[i] = maximum->at[i] * log_error;
    }
    return any ? say_not_told(problem, wide, "the likelihood is all but flat", error) : RFM_OK;
}

/* The best of all starts, on the rough sum; how many came to it. */
static void explore(const rfm_problem *problem, double *best, rfm_maximum *maximum)
{
    const struct search search = {problem, true};
    double values[RFM_STARTS_MAX], top = -INFINITY;
    for (size_t i = 0; i < problem->start_count; i++) {
        double logs[N] = {0};
        for (size_t j = 0; j < problem->count; j++)
            logs[j] = log(problem->start[i][j]);
        values[i] = climb(&search, logs);
        if (values[i] > top) {
            top = values[i];
            memcpy(best, logs, sizeof logs);
        }
    }
    maximum->starts = problem->start_count;
    maximum->agreed = 0;
    for (size_t i = 0; i < problem->start_count; i++)
        maximum->agreed += values[i] > top - 1e-3 * fmax(1, fabs(top) * 1e-4);
}

int rfm_maximise(const rfm_problem *problem, rfm_maximum *maximum, rfm_error *error)
{
    const struct search search = {problem, false};
    double logs[N] = {0};
    struct matrix root;
    explore(problem, logs, maximum);
    maximum->value = climb(&search, logs);
    int code = check_bounds(problem, logs, error);
    if (code != RFM_OK)
        return code;
    if (!reach_top(&search, logs, &maximum->value, &root)) {
        code = check_bounds(problem, logs, error);
        return code != RFM_OK ? code
                              : say_not_told(problem, (const bool[N]){false},
                                             "the likelihood has no top, or is flat around it", error);
    }
    return take_errors(problem, logs, &root, maximum, error);
}
