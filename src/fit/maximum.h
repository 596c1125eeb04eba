/* The maximum of a log-likelihood over positive parameters, looked for in their logarithms: from several starts by
 * NLopt's L-BFGS, then by Newton's method, whose Hessian (of differences of the gradient) is also the observed
 * information, from which the standard errors come. */
#ifndef RFM_FIT_MAXIMUM_H
#define RFM_FIT_MAXIMUM_H

#include <rfm/base/error.h>

#include <stdbool.h>
#include <stddef.h>

enum { RFM_PARAMETERS_MAX = 4, RFM_STARTS_MAX = 8 };

/* The value at positive parameters and its derivatives by them. `rough` asks for any sample that is quick to sum. */
typedef double (*rfm_likelihood)(void *owner, const double *at, bool rough, double *gradient);

typedef struct rfm_problem {
    const char *what;         /* "MBG/NBD", for messages */
    const char *const *names; /* of the parameters */
    size_t count;             /* of parameters */
    const double *low, *high; /* bounds; a maximum at one of them is none */
    const double *start[RFM_STARTS_MAX];
    size_t start_count;
    rfm_likelihood likelihood;
    void *owner;
} rfm_problem;

typedef struct rfm_maximum {
    double at[RFM_PARAMETERS_MAX], error[RFM_PARAMETERS_MAX]; /* parameters and their standard errors */
    double value;
    size_t starts, agreed; /* how many starts there were and led to it */
} rfm_maximum;

/* RFM_E_RANGE: the data do not tell the parameters; the message says which, and what that mostly means. */
int rfm_maximise(const rfm_problem *problem, rfm_maximum *maximum, rfm_error *error);

#endif
