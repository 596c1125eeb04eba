#include <rfm/rule/evaluation.h>

#include "experiment.h"

#include <math.h>
#include <rfm/base/json.h>
#include <rfm/base/time.h>
#include <rfm/base/utf8.h>
#include <rfm/client/json.h>

const double rfm_lifts[RFM_LIFTS] = {0.05, 0.1, 0.2};

const char *rfm_arm_figure_name(rfm_arm_figure figure)
{
    static const char *const name[RFM_ARM_FIGURE_COUNT] = {
#define X(NAME, text) [RFM_ARM_##NAME] = #text,
        RFM_ARM_FIGURES(X)
#undef X
    };
    return name[figure];
}

static int64_t cell_of(const rfm_kpi_sums *sums, const rfm_cell *at, rfm_kpi_metric metric)
{
    rfm_cell cell = *at;
    cell.metric = (char)metric;
    return rfm_tally_get(sums->tally, cell);
}

static uint64_t count_of(int64_t value)
{
    return value > 0 ? (uint64_t)value : 0;
}

static void sum_arm(const rfm_kpi_sums *sums, const rfm_cell *at, double unit, rfm_arm_result *arm)
{
    arm->exposed = cell_of(sums, at, RFM_KPI_EXPOSED);
    arm->orders = cell_of(sums, at, RFM_KPI_ARM_ORDERS);
    arm->revenue_minor = cell_of(sums, at, RFM_KPI_ARM_REVENUE);
    double squares = ldexp((double)cell_of(sums, at, RFM_KPI_SQUARES_HIGH), 32) +
                     (double)cell_of(sums, at, RFM_KPI_SQUARES_LOW);
    arm->sums = (rfm_arm_sums){count_of(cell_of(sums, at, RFM_KPI_ENDED)),
                               count_of(cell_of(sums, at, RFM_KPI_CONVERTED)), (double)arm->revenue_minor / unit,
                               squares / (unit * unit)};
}

static double part_of(double part, double whole)
{
    return whole > 0 ? part / whole : NAN;
}

static void describe(rfm_arm_result *arm, double share)
{
    for (size_t i = 0; i < RFM_ARM_FIGURE_COUNT; i++)
        arm->figure[i] = NAN;
    arm->figure[RFM_ARM_SHARE] = share;
    arm->figure[RFM_ARM_CONVERSION] = part_of((double)arm->sums.converted, (double)arm->sums.clients);
    arm->figure[RFM_ARM_REVENUE_PER_CLIENT] = part_of(arm->sums.revenue, (double)arm->sums.clients);
}

static void compare(const rfm_arm_result *control, rfm_arm_result *arm)
{
    rfm_comparison conversion = rfm_compare_conversion(&control->sums, &arm->sums);
    rfm_comparison revenue = rfm_compare_revenue(&control->sums, &arm->sums);
    double *figure = arm->figure;
    figure[RFM_ARM_CONVERSION_DIFFERENCE] = conversion.difference;
    figure[RFM_ARM_CONVERSION_LOW] = conversion.low, figure[RFM_ARM_CONVERSION_HIGH] = conversion.high;
    figure[RFM_ARM_CONVERSION_LIFT] = part_of(conversion.difference, control->figure[RFM_ARM_CONVERSION]);
    figure[RFM_ARM_CONVERSION_Z] = conversion.statistic, figure[RFM_ARM_CONVERSION_P] = conversion.p;
    figure[RFM_ARM_CONVERSION_P_SEQUENTIAL] = rfm_sequential_p(&control->sums, &arm->sums, RFM_SEQUENTIAL_TAU);
    figure[RFM_ARM_REVENUE_DIFFERENCE] = revenue.difference;
    figure[RFM_ARM_REVENUE_LOW] = revenue.low, figure[RFM_ARM_REVENUE_HIGH] = revenue.high;
    figure[RFM_ARM_REVENUE_LIFT] = part_of(revenue.difference, control->figure[RFM_ARM_REVENUE_PER_CLIENT]);
    figure[RFM_ARM_REVENUE_T] = revenue.statistic, figure[RFM_ARM_REVENUE_P] = revenue.p;
}

static void hold(rfm_evaluation *evaluation, rfm_arm_figure from, rfm_arm_figure to)
{
    double p[RFM_VARIANTS_MAX];
    for (size_t i = 1; i < evaluation->arm_count; i++)
        p[i - 1] = evaluation->arm[i].figure[from];
    rfm_holm(p, evaluation->arm_count - 1);
    for (size_t i = 1; i < evaluation->arm_count; i++)
        evaluation->arm[i].figure[to] = p[i - 1];
}

static void check_shares(rfm_evaluation *evaluation)
{
    uint64_t clients[1 + RFM_VARIANTS_MAX];
    double share[1 + RFM_VARIANTS_MAX];
    for (size_t i = 0; i < evaluation->arm_count; i++) {
        clients[i] = evaluation->arm[i].sums.clients;
        share[i] = evaluation->arm[i].figure[RFM_ARM_SHARE];
    }
    evaluation->sample_ratio_p = rfm_sample_ratio_p(clients, share, evaluation->arm_count);
    evaluation->suspicious = evaluation->sample_ratio_p < RFM_SAMPLE_RATIO_SUSPECT;
}

/* An experiment that is younger has had as many days as since its first client. */
static double pace_of(const rfm_kpi_sums *sums, const rfm_evaluation *evaluation, uint16_t rule, uint32_t salt,
                      int64_t as_of_ms)
{
    int64_t in_window = 0, all = 0, days = 0;
    for (size_t i = 0; i < evaluation->arm_count; i++)
        all += evaluation->arm[i].exposed;
    all -= rfm_tally_get(sums->tally, rfm__exposed_on(rule, salt, as_of_ms));
    for (int64_t day = 1; day <= RFM_PACE_DAYS; day++) {
        int64_t clients = rfm_tally_get(sums->tally, rfm__exposed_on(rule, salt, as_of_ms - day * RFM_DAY_MS));
        in_window += clients;
        days = clients > 0 ? day : days;
    }
    if (all > in_window)
        days = RFM_PACE_DAYS;
    return days > 0 ? (double)in_window / (double)days : NAN;
}

/* Who is exposed today is known a window later. */
static double days_until(const rfm_evaluation *evaluation, double needed, double window_days)
{
    double days = isfinite(needed) ? 0 : NAN;
    for (size_t i = 0; i < evaluation->arm_count; i++) {
        const rfm_arm_result *arm = &evaluation->arm[i];
        if ((double)arm->sums.clients >= needed)
            continue;
        double pace = evaluation->exposed_per_day * arm->figure[RFM_ARM_SHARE];
        double lacking = fmax(needed - (double)arm->exposed, 0);
        double wait = lacking > 0 ? (pace > 0 ? lacking / pace : NAN) : 0;
        days = isnan(wait) || isnan(days) ? NAN : fmax(days, wait + window_days);
    }
    return days;
}

static void foresee(const rfm_rule *rule, const rfm_kpi_sums *sums, const rfm_cell *at, int64_t as_of_ms,
                    rfm_evaluation *evaluation)
{
    double window_days = (double)rfm_rule_attribution_ms(rule) / (double)RFM_DAY_MS;
    evaluation->exposed_per_day = pace_of(sums, evaluation, at->source, (uint32_t)at->period, as_of_ms);
    for (size_t i = 0; i < RFM_LIFTS; i++) {
        double needed = rfm_clients_needed(evaluation->arm[0].figure[RFM_ARM_CONVERSION], rfm_lifts[i]);
        evaluation->clients_needed[i] = needed;
        evaluation->days_needed[i] = days_until(evaluation, needed, window_days);
    }
}

void rfm_evaluate(const rfm_rule *rule, const rfm_kpi_sums *sums, uint8_t money_digits, int64_t as_of_ms,
                  rfm_evaluation *evaluation)
{
    const rfm_experiment *experiment = &rule->experiment;
    RFM_ASSERT(experiment->given);
    rfm_cell at = {.period = (int32_t)rfm__experiment_salt(experiment),
                   .source = rfm_names_find(sums->names, rfm_text(rule->name))};
    evaluation->arm_count = 1 + (size_t)experiment->variant_count;
    for (size_t i = 0; i < evaluation->arm_count; i++) {
        rfm_arm_result *arm = &evaluation->arm[i];
        const rfm_variant *variant = i == 0 ? NULL : &experiment->variant[i - 1];
        double buckets = variant ? variant->buckets : experiment->control_buckets;
        arm->name = variant ? variant->name : "control";
        at.part = rfm_names_find(sums->names, rfm_text(arm->name));
        sum_arm(sums, &at, pow(10, money_digits), arm);
        describe(arm, buckets / RFM_BUCKETS_OF_CLIENTS);
        if (variant)
            compare(&evaluation->arm[0], arm);
    }
    hold(evaluation, RFM_ARM_CONVERSION_P, RFM_ARM_CONVERSION_P_HOLM);
    hold(evaluation, RFM_ARM_REVENUE_P, RFM_ARM_REVENUE_P_HOLM);
    check_shares(evaluation);
    foresee(rule, sums, &at, as_of_ms, evaluation);
}

rfm_attributed rfm_attributed_to(const rfm_rule *rule, const rfm_kpi_sums *sums)
{
    rfm_cell at = {.source = rfm_names_find(sums->names, rfm_text(rule->name))};
    return (rfm_attributed){cell_of(sums, &at, RFM_KPI_ATTRIBUTED_ORDERS), cell_of(sums, &at, RFM_KPI_ATTRIBUTED)};
}

static void put_number(rfm_buffer *json, double number)
{
    if (isfinite(number))
        rfm_write_json_number(json, number);
    else
        rfm_write_text(json, "null");
}

static void put_arm(rfm_buffer *json, const rfm_arm_result *arm, uint8_t digits)
{
    rfm_write_format(
        json,
        "{\"arm\":\"%s\",\"exposed\":%lld,\"clients\":%llu,\"converted\":%llu,\"orders\":%lld,\"revenue\":", arm->name,
        (long long)arm->exposed, (unsigned long long)arm->sums.clients, (unsigned long long)arm->sums.converted,
        (long long)arm->orders);
    rfm_write_json_money(json, arm->revenue_minor, digits);
    for (size_t i = 0; i < RFM_ARM_FIGURE_COUNT; i++) {
        rfm_write_format(json, ",\"%s\":", rfm_arm_figure_name((rfm_arm_figure)i));
        put_number(json, arm->figure[i]);
    }
    rfm_write_u8(json, '}');
}

static void put_lifts(rfm_buffer *json, const char *name, const double figures[RFM_LIFTS])
{
    rfm_write_format(json, ",\"%s\":{", name);
    for (size_t i = 0; i < RFM_LIFTS; i++) {
        rfm_write_format(json, "%s\"%g%%\":", i > 0 ? "," : "", 100 * rfm_lifts[i]);
        put_number(json, figures[i]);
    }
    rfm_write_u8(json, '}');
}

static void put_experiment(rfm_buffer *json, const rfm_rule *rule, const rfm_kpi_sums *sums, uint8_t digits,
                           int64_t as_of_ms)
{
    rfm_evaluation evaluation;
    rfm_evaluate(rule, sums, digits, as_of_ms, &evaluation);
    rfm_write_format(json, "{\"rule\":\"%s\",\"salt\":", rule->name);
    rfm_write_json_string(json, rfm_text(rule->experiment.salt));
    rfm_write_text(json, ",\"attribution_days\":");
    put_number(json, (double)rfm_rule_attribution_ms(rule) / (double)RFM_DAY_MS);
    rfm_write_text(json, ",\"arms\":[");
    for (size_t i = 0; i < evaluation.arm_count; i++) {
        rfm_write_text(json, i > 0 ? "," : "");
        put_arm(json, &evaluation.arm[i], digits);
    }
    rfm_write_text(json, "],\"sample_ratio_p\":");
    put_number(json, evaluation.sample_ratio_p);
    rfm_write_format(json, ",\"suspicious\":%s", evaluation.suspicious ? "true" : "false");
    put_lifts(json, "clients_needed", evaluation.clients_needed);
    rfm_write_text(json, ",\"exposed_per_day\":");
    put_number(json, evaluation.exposed_per_day);
    put_lifts(json, "days_needed", evaluation.days_needed);
    rfm_write_u8(json, '}');
}

static void put_attributed(rfm_buffer *json, const rfm_rule *rule, const rfm_kpi_sums *sums, uint8_t digits)
{
    rfm_attributed attributed = rfm_attributed_to(rule, sums);
    rfm_write_format(json, "{\"rule\":\"%s\",\"orders\":%lld,\"revenue\":", rule->name, (long long)attributed.orders);
    rfm_write_json_money(json, attributed.revenue_minor, digits);
    rfm_write_u8(json, '}');
}

void rfm_experiments_json(const rfm_rules *rules, const rfm_kpi_sums *sums, const rfm_money_conf *money,
                          int64_t as_of_ms, rfm_buffer *json)
{
    const char *separator = "";
    rfm_write_text(json, "{\"as_of\":");
    rfm_write_json_time(json, as_of_ms);
    rfm_write_format(json, ",\"currency\":\"%s\",\"experiments\":[", money->base.code);
    for (size_t i = 0; i < rules->count; i++) {
        if (!rules->rule[i].experiment.given)
            continue;
        rfm_write_text(json, separator);
        put_experiment(json, &rules->rule[i], sums, money->base.digits, as_of_ms);
        separator = ",";
    }
    separator = "";
    rfm_write_text(json, "],\"attribution\":[");
    for (size_t i = 0; i < rules->count; i++) {
        if (rfm_rule_attribution_ms(&rules->rule[i]) == 0)
            continue;
        rfm_write_text(json, separator);
        put_attributed(json, &rules->rule[i], sums, money->base.digits);
        separator = ",";
    }
    rfm_write_text(json, "]}");
}
