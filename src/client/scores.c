#include <rfm/client/scores.h>

#define SECOND_DAYS (1.0 / 86400)
#define TIME_MAX_S  (RFM_TIME_MAX_MS / RFM_SECOND_MS)

static double days_of(int64_t duration_ms)
{
    return (double)duration_ms / (double)RFM_DAY_MS;
}

/* A clock behind the last purchase (which may lie a little ahead of it) counts as no idle time. */
static double idle_days_at(const rfm_client *client, int64_t now_ms)
{
    return now_ms > client->last_ms ? days_of(now_ms - client->last_ms) : 0;
}

static double t_x_days_of(const rfm_client *client)
{
    return client->last_day > client->first_day ? (double)client->last_day - client->first_day : 0;
}

double rfm_client_ratio_at(const rfm_client *client, const rfm_client_conf *conf, int64_t now_ms)
{
    if (client->orders == 0) {
        return 0;
    }
    return rfm_model_activity_ratio(&conf->model, client->x, t_x_days_of(client), idle_days_at(client, now_ms),
                                    conf->churn_horizon_days);
}

double rfm_client_ratio_beyond(const rfm_client *client, const rfm_client_conf *conf, int64_t now_ms, double threshold)
{
    if (client->orders > 0) {
        double least = rfm_model_activity_ratio_least(&conf->model, client->x, t_x_days_of(client),
                                                      idle_days_at(client, now_ms));
        if (least > threshold) {
            return least;
        }
    }
    return rfm_client_ratio_at(client, conf, now_ms);
}

static double p_active_at(const rfm_client *client, const rfm_client_conf *conf, int64_t now_ms)
{
    return rfm_model_p_active(&conf->model, client->x, t_x_days_of(client), idle_days_at(client, now_ms),
                              conf->churn_horizon_days);
}

double rfm_client_risk_at(const rfm_client *client, const rfm_client_conf *conf, int64_t now_ms)
{
    return client->orders > 0 ? 1 - p_active_at(client, conf, now_ms) : 0;
}

double rfm_client_expected_orders_at(const rfm_client *client, const rfm_client_conf *conf, int64_t now_ms)
{
    if (client->orders == 0) {
        return NAN;
    }
    return rfm_model_expected_orders(&conf->model, client->x, t_x_days_of(client), idle_days_at(client, now_ms),
                                     conf->ltv_horizon_days);
}

/* The first day's amount is no repeat spend: what brings somebody in is worth another sum than what keeps them. */
double rfm_client_predicted_minor(const rfm_client *client, const rfm_client_conf *conf, double expected_orders)
{
    if (client->orders == 0 || !(conf->model.spend.p > 0)) {
        return NAN;
    }
    double scale = pow(10, conf->money.base.digits);
    double repeat = fmax(0, (double)client->revenue_minor - (double)client->first_day_minor) / scale;
    double mean = rfm_spend_mean(&conf->model.spend, client->x, client->x > 0 ? repeat / client->x : 0);
    return mean * expected_orders * scale;
}

/* Lifecycle. */

static const char *const lifecycle_names[RFM_LIFECYCLE_COUNT] = {
    [RFM_LIFECYCLE_PROSPECT] = "prospect", [RFM_LIFECYCLE_NEW] = "new",
    [RFM_LIFECYCLE_ACTIVE] = "active",     [RFM_LIFECYCLE_AT_RISK] = "at_risk",
    [RFM_LIFECYCLE_LAPSED] = "lapsed",     [RFM_LIFECYCLE_REACTIVATED] = "reactivated",
};

const char *rfm_lifecycle_name(rfm_lifecycle lifecycle)
{
    return (size_t)lifecycle < RFM_LIFECYCLE_COUNT ? lifecycle_names[lifecycle] : "";
}

/* Was the client lapsed at the end of the day before the last purchase day, as things stood then? */
static bool had_lapsed(const rfm_client *client, const rfm_client_conf *conf)
{
    if (client->x == 0) {
        return false;
    }
    double idle_days = days_of(rfm_zone_day_start_ms(conf->zone, client->last_day) - client->before_last_ms);
    double t_x_days = (double)rfm_zone_day(conf->zone, client->before_last_ms) - client->first_day;
    t_x_days = t_x_days > 0 ? t_x_days : 0;
    idle_days = idle_days > 0 ? idle_days : 0;
    if (rfm_model_activity_ratio_least(&conf->model, client->x - 1, t_x_days, idle_days) > conf->lifecycle.lapsed) {
        return false;
    }
    double ratio = rfm_model_activity_ratio(&conf->model, client->x - 1, t_x_days, idle_days, conf->churn_horizon_days);
    return ratio <= conf->lifecycle.lapsed;
}

rfm_lifecycle rfm_client_lifecycle_of(const rfm_client *client, const rfm_client_conf *conf, double ratio)
{
    if (ratio <= conf->lifecycle.lapsed) {
        return RFM_LIFECYCLE_LAPSED;
    }
    if (had_lapsed(client, conf)) {
        return RFM_LIFECYCLE_REACTIVATED;
    }
    if (ratio <= conf->lifecycle.at_risk) {
        return RFM_LIFECYCLE_AT_RISK;
    }
    return client->x == 0 ? RFM_LIFECYCLE_NEW : RFM_LIFECYCLE_ACTIVE;
}

rfm_lifecycle rfm_client_lifecycle_at(const rfm_client *client, const rfm_client_conf *conf, int64_t now_ms)
{
    if (client->orders == 0) {
        return RFM_LIFECYCLE_PROSPECT;
    }
    return rfm_client_lifecycle_of(client, conf, rfm_client_ratio_at(client, conf, now_ms));
}

/* RFM. */

static int64_t recency_days_at(const rfm_client *client, const rfm_client_conf *conf, int64_t now_ms)
{
    int64_t days = (int64_t)rfm_zone_day(conf->zone, now_ms) - client->last_day;
    return days > 0 ? days : 0;
}

static uint8_t recency_score(const rfm_client *client, const rfm_client_conf *conf, const rfm_edges *edges,
                             int64_t now_ms)
{
    int score = 1;
    if (edges && conf->rfm.r == RFM_AXIS_POPULATION) {
        for (int k = 0; k < 4; k++) {
            score += edges->day[k] <= client->last_day;
        }
        return (uint8_t)score;
    }
    int64_t days = recency_days_at(client, conf, now_ms);
    for (int k = 0; k < 4; k++) {
        score += days <= conf->rfm.recency_days[k];
    }
    return (uint8_t)score;
}

static uint8_t frequency_score(const rfm_client *client, const rfm_client_conf *conf, const rfm_edges *edges)
{
    bool by_population = edges && conf->rfm.f == RFM_AXIS_POPULATION;
    uint32_t orders = client->orders;
    if (by_population && orders >= RFM_ORDER_COUNTS) {
        orders = RFM_ORDER_COUNTS - 1;
    }
    int score = 1;
    for (int k = 0; k < 4; k++) {
        score += (by_population ? edges->orders[k] : conf->rfm.frequency[k]) <= orders;
    }
    return (uint8_t)score;
}

static uint8_t monetary_score(const rfm_client *client, const rfm_client_conf *conf, const rfm_edges *edges)
{
    bool by_population = edges && conf->rfm.m == RFM_AXIS_POPULATION;
    const int64_t *least_minor = by_population ? edges->revenue_minor : conf->rfm.monetary_minor;
    int score = 1;
    for (int k = 0; k < 4; k++) {
        score += least_minor[k] <= client->revenue_minor;
    }
    return (uint8_t)score;
}

static uint8_t score_segment(const rfm_client *client, const rfm_client_conf *conf, const rfm_edges *edges,
                             int64_t now_ms, rfm_scores *scores)
{
    edges = edges && edges->clients >= conf->rfm.population_min && edges->clients > 0 ? edges : NULL;
    scores->r = recency_score(client, conf, edges, now_ms);
    scores->f = frequency_score(client, conf, edges);
    scores->m = monetary_score(client, conf, edges);
    return conf->segments.cell[scores->r - 1][scores->f - 1][scores->m - 1];
}

uint8_t rfm_client_segment_at(const rfm_client *client, const rfm_client_conf *conf, const rfm_edges *edges,
                              int64_t now_ms)
{
    rfm_scores scores;
    return client->orders > 0 ? score_segment(client, conf, edges, now_ms, &scores) : RFM_SEGMENT_PROSPECT;
}

void rfm_scores_at(const rfm_client *client, const rfm_client_conf *conf, const rfm_edges *edges, int64_t now_ms,
                   rfm_scores *scores)
{
    *scores = (rfm_scores){.segment = RFM_SEGMENT_PROSPECT, .lifecycle = RFM_LIFECYCLE_PROSPECT};
    if (client->orders == 0) {
        return;
    }
    scores->buyer = true;
    scores->segment = score_segment(client, conf, edges, now_ms, scores);
    scores->idle_days = idle_days_at(client, now_ms);
    scores->t_x_days = t_x_days_of(client);
    scores->p_alive = rfm_model_p_alive(&conf->model, client->x, scores->t_x_days, scores->idle_days);
    scores->p_active = p_active_at(client, conf, now_ms);
    scores->churn_risk = 1 - scores->p_active;
    scores->activity_ratio = rfm_client_ratio_at(client, conf, now_ms);
    scores->lifecycle = rfm_client_lifecycle_of(client, conf, scores->activity_ratio);
}

/* Moments. The root of the formula is only where to look: what counts is what the formula says at whole seconds. */

typedef bool reached_at(const rfm_client *client, const rfm_client_conf *conf, double threshold, int64_t second);

static bool ratio_reached(const rfm_client *client, const rfm_client_conf *conf, double threshold, int64_t second)
{
    return rfm_client_ratio_at(client, conf, second * RFM_SECOND_MS) <= threshold;
}

static bool risk_reached(const rfm_client *client, const rfm_client_conf *conf, double threshold, int64_t second)
{
    return rfm_client_risk_at(client, conf, second * RFM_SECOND_MS) >= threshold;
}

/* The first second from the last purchase on at which `reached`, which then stays so; near `idle_days` after it. */
static int64_t first_second_ms(const rfm_client *client, const rfm_client_conf *conf, double threshold,
                               reached_at *reached, double idle_days)
{
    int64_t first = -rfm_div_floor(-client->last_ms, RFM_SECOND_MS);
    if (!(idle_days < (double)(TIME_MAX_S - first) * SECOND_DAYS)) {
        return INT64_MAX;
    }
    int64_t not_yet = first - 1, reached_s = TIME_MAX_S, second = first + (int64_t)(idle_days / SECOND_DAYS);
    /* Steps that double, from the root outwards, until it lies between two seconds. */
    for (int64_t step = 1; second > not_yet && second < reached_s; step *= 2) {
        if (reached(client, conf, threshold, second)) {
            reached_s = second;
            second -= step;
        } else {
            not_yet = second;
            second += step;
        }
    }
    while (reached_s - not_yet > 1) {
        int64_t middle = not_yet + (reached_s - not_yet) / 2;
        if (reached(client, conf, threshold, middle)) {
            reached_s = middle;
        } else {
            not_yet = middle;
        }
    }
    return reached_s < TIME_MAX_S ? reached_s * RFM_SECOND_MS : INT64_MAX;
}

int64_t rfm_client_ratio_moment_ms(const rfm_client *client, const rfm_client_conf *conf, double threshold)
{
    if (client->orders == 0 || !(threshold > 0)) {
        return INT64_MAX;
    }
    double idle_days = threshold < 1 ? rfm_model_idle_at_ratio(&conf->model, client->x, t_x_days_of(client),
                                                               conf->churn_horizon_days, threshold)
                                     : 0;
    return first_second_ms(client, conf, threshold, ratio_reached, idle_days);
}

int64_t rfm_client_risk_moment_ms(const rfm_client *client, const rfm_client_conf *conf, double threshold)
{
    if (client->orders == 0 || !(threshold < 1)) {
        return INT64_MAX;
    }
    double idle_days = threshold > 0 ? rfm_model_idle_at_p_active(&conf->model, client->x, t_x_days_of(client),
                                                                  conf->churn_horizon_days, 1 - threshold)
                                     : 0;
    return first_second_ms(client, conf, threshold, risk_reached, idle_days);
}

int64_t rfm_client_segment_moment_ms(const rfm_client *client, const rfm_client_conf *conf, int64_t now_ms)
{
    if (client->orders == 0 || rfm_client_conf_needs_population(conf)) {
        return INT64_MAX;
    }
    int64_t days = recency_days_at(client, conf, now_ms), nearest = INT64_MAX;
    for (int k = 0; k < 4; k++) {
        int64_t threshold = conf->rfm.recency_days[k];
        nearest = threshold >= days && threshold < nearest ? threshold : nearest;
    }
    int64_t day = nearest < INT64_MAX ? client->last_day + nearest + 1 : INT64_MAX;
    return day <= TIME_MAX_S / 86400 ? rfm_zone_day_start_ms(conf->zone, (int32_t)day) : INT64_MAX;
}
