#include "fit.h"

#include <math.h>

enum { ROUGH_ROWS = 20000 };

static const char *const nbd_names[] = {"r", "alpha", "a", "b"};
static const char *const spend_names[] = {"p", "q", "v"};

struct nbd_owner {
    const rfm_histories *histories;
    rfm_nbd_kind kind;
    double unit_days;
};

rfm_nbd rfm_nbd_of(rfm_nbd_kind kind, const double at[4])
{
    return (rfm_nbd){.kind = kind, .r = at[0], .alpha = at[1], .a = at[2], .b = at[3]};
}

/* Every `stride`-th row: they are sorted, so that it is a fair sample. */
static double sum_nbd(const rfm_nbd *nbd, const rfm_histories *histories, double unit_days, size_t stride,
                      double gradient[4])
{
    double sum = 0;
    uint32_t x = 0;
    rfm_nbd_part part;
    rfm_nbd_part_of(nbd, x, &part);
    gradient[0] = gradient[1] = gradient[2] = gradient[3] = 0;
    for (size_t i = stride / 2; i < histories->row_count; i += stride) {
        const rfm_history *row = &histories->rows[i];
        if (row->x != x) {
            x = row->x;
            rfm_nbd_part_of(nbd, x, &part);
        }
        sum += row->clients *
               rfm_nbd_part_at(nbd, &part, row->t_x / unit_days, row->age / unit_days, row->clients, gradient);
    }
    return sum;
}

double rfm_histories_log_likelihood(const rfm_nbd *nbd, const rfm_histories *histories, double unit_days,
                                    double gradient[4])
{
    return sum_nbd(nbd, histories, unit_days, 1, gradient);
}

static size_t stride_of(size_t rows, bool rough)
{
    return rough && rows > ROUGH_ROWS ? rows / ROUGH_ROWS : 1;
}

static double nbd_likelihood(void *owner, const double *at, bool rough, double *gradient)
{
    const struct nbd_owner *of = owner;
    rfm_nbd nbd = rfm_nbd_of(of->kind, at);
    return sum_nbd(&nbd, of->histories, of->unit_days, stride_of(of->histories->row_count, rough), gradient);
}

static double spend_likelihood(void *owner, const double *at, bool rough, double *gradient)
{
    const rfm_histories *histories = owner;
    const rfm_spend spend = {at[0], at[1], at[2]};
    size_t stride = stride_of(histories->repeat_count, rough);
    rfm_spend_part part = {0};
    double sum = 0;
    gradient[0] = gradient[1] = gradient[2] = 0;
    for (size_t i = stride / 2; i < histories->repeat_count; i += stride) {
        const rfm_repeat *repeat = &histories->repeats[i];
        if (repeat->x != (uint32_t)part.x)
            rfm_spend_part_of(&spend, repeat->x, &part);
        sum += rfm_spend_part_at(&spend, &part, repeat->mean, 1, gradient);
    }
    return sum;
}

static int check_repeats(const rfm_histories *histories, rfm_error *error)
{
    if (histories->clients == 0)
        return rfm_fail(error, RFM_E_RANGE, "nobody had bought by the end of observation");
    if (histories->repeaters == 0)
        return rfm_fail(
            error, RFM_E_RANGE,
            "none of the %llu clients bought on a second day: how often they buy, and when they are lost, cannot "
            "be told from that. Fit on a longer time",
            (unsigned long long)histories->clients);
    return RFM_OK;
}

int rfm_fit_nbd(rfm_nbd_kind kind, const rfm_histories *histories, double unit_days, rfm_maximum *maximum,
                rfm_error *error)
{
    static const double low[] = {1e-4, 1e-4, 1e-4, 1e-4}, high[] = {1e4, 1e7, 1e4, 1e4};
    int code = check_repeats(histories, error);
    if (code != RFM_OK)
        return code;
    /* Scales of time: that of the data, of which most of a client's gaps are a part, and others around it. */
    double age = 0;
    for (size_t i = 0; i < histories->row_count; i++)
        age += (double)histories->rows[i].age * histories->rows[i].clients;
    double scale = fmax(1, age / (double)histories->clients) / unit_days;
    const double starts[][4] = {{.5, scale / 4, 1, 2},
                                {.2, scale / 20, .3, 3},
                                {2, scale, .5, .5},
                                {1, scale / 2, 3, 20},
                                {5, scale / 4, .1, 1}};
    struct nbd_owner owner = {histories, kind, unit_days};
    rfm_problem problem = {.what = kind == RFM_NBD_MBG ? "MBG/NBD" : "BG/NBD",
                           .names = nbd_names,
                           .count = 4,
                           .low = low,
                           .high = high,
                           .start_count = sizeof starts / sizeof *starts,
                           .likelihood = nbd_likelihood,
                           .owner = &owner};
    for (size_t i = 0; i < problem.start_count; i++)
        problem.start[i] = starts[i];
    return rfm_maximise(&problem, maximum, error);
}

int rfm_fit_spend(const rfm_histories *histories, rfm_maximum *maximum, rfm_error *error)
{
    if (histories->repeat_count < RFM_SPEND_CLIENTS_MIN)
        return rfm_fail(error, RFM_E_RANGE,
                        "Gamma-Gamma: %zu clients have repeat purchases with an amount, at least %d are needed",
                        histories->repeat_count, RFM_SPEND_CLIENTS_MIN);
    double mean = 0;
    for (size_t i = 0; i < histories->repeat_count; i++)
        mean += histories->repeats[i].mean / (double)histories->repeat_count;
    const double low[] = {1e-3, 1e-3, mean * 1e-6}, high[] = {1e5, 1e4, mean * 1e6};
    const double starts[][3] = {{5, 4, mean * .6}, {1, 2, mean}, {20, 3, mean * .1}, {.5, 10, mean * 20}};
    rfm_problem problem = {.what = "Gamma-Gamma",
                           .names = spend_names,
                           .count = 3,
                           .low = low,
                           .high = high,
                           .start_count = sizeof starts / sizeof *starts,
                           .likelihood = spend_likelihood,
                           .owner = (void *)(uintptr_t)histories};
    for (size_t i = 0; i < problem.start_count; i++)
        problem.start[i] = starts[i];
    return rfm_maximise(&problem, maximum, error);
}
