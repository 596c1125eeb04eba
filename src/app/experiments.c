#include "experiments.h"

#include <math.h>
#include <rfm/base/json.h>
#include <rfm/base/time.h>

/* -- for people */

static const char *share_text(double share, const char *format, char text[32])
{
    if (isfinite(share))
        snprintf(text, 32, format, 100 * share);
    else
        snprintf(text, 32, "-");
    return text;
}

static void put_arm(rfm_buffer *text, const rfm_arm_result *arm, uint8_t digits)
{
    char share[32], conversion[32], revenue[RFM_MONEY_TEXT], each[32] = "-";
    rfm_money_format(arm->revenue_minor, digits, revenue);
    if (arm->sums.clients > 0)
        snprintf(each, sizeof each, "%.2f", arm->figure[RFM_ARM_REVENUE_PER_CLIENT]);
    rfm_write_format(text, "%-16s%8s%9lld%9llu%11llu%12s%8lld%14s%12s\n", arm->name,
                     share_text(arm->figure[RFM_ARM_SHARE], "%.4g%%", share), (long long)arm->exposed,
                     (unsigned long long)arm->sums.clients, (unsigned long long)arm->sums.converted,
                     share_text(arm->figure[RFM_ARM_CONVERSION], "%.2f%%", conversion), (long long)arm->orders, revenue,
                     each);
}

static void put_conversion(rfm_buffer *text, const rfm_arm_result *arm)
{
    const double *figure = arm->figure;
    char lift[32];
    if (!isfinite(figure[RFM_ARM_CONVERSION_P]))
        return;
    rfm_write_format(
        text,
        "%s against control: conversion %+.2fpt (%+.2f to %+.2f, Newcombe 1998), lift %s, p %.4f (z, pooled), "
        "%.4f of all (Holm 1979), %.4f at any time (mSPRT, Johari et al. 2017)\n",
        arm->name, 100 * figure[RFM_ARM_CONVERSION_DIFFERENCE], 100 * figure[RFM_ARM_CONVERSION_LOW],
        100 * figure[RFM_ARM_CONVERSION_HIGH], share_text(figure[RFM_ARM_CONVERSION_LIFT], "%+.1f%%", lift),
        figure[RFM_ARM_CONVERSION_P], figure[RFM_ARM_CONVERSION_P_HOLM], figure[RFM_ARM_CONVERSION_P_SEQUENTIAL]);
}

static void put_revenue(rfm_buffer *text, const rfm_arm_result *arm)
{
    const double *figure = arm->figure;
    char lift[32];
    if (!isfinite(figure[RFM_ARM_REVENUE_P]))
        return;
    rfm_write_format(text,
                     "%s against control: revenue per client %+.2f (%+.2f to %+.2f), lift %s, p %.4f (Welch 1947), "
                     "%.4f of all (Holm 1979)\n",
                     arm->name, figure[RFM_ARM_REVENUE_DIFFERENCE], figure[RFM_ARM_REVENUE_LOW],
                     figure[RFM_ARM_REVENUE_HIGH], share_text(figure[RFM_ARM_REVENUE_LIFT], "%+.1f%%", lift),
                     figure[RFM_ARM_REVENUE_P], figure[RFM_ARM_REVENUE_P_HOLM]);
}

static void put_days(rfm_buffer *text, double days)
{
    if (days == 0)
        rfm_write_text(text, " (there)");
    else if (isfinite(days))
        rfm_write_format(text, " (in %.0f days)", ceil(days));
}

static void put_checks(rfm_buffer *text, const rfm_evaluation *evaluation)
{
    const char *separator = "clients that an arm needs to show a rise of conversion (5%, power 80%):";
    if (isfinite(evaluation->sample_ratio_p))
        rfm_write_format(text, "sizes of the arms: p %.4f (chi-square)%s\n", evaluation->sample_ratio_p,
                         evaluation->suspicious
                             ? ": SUSPICIOUS, clients are not placed by their shares; do not use these "
                               "figures before you know why"
                             : "");
    for (size_t i = 0; i < RFM_LIFTS; i++) {
        if (!isfinite(evaluation->clients_needed[i]))
            continue;
        rfm_write_format(text, "%s %.0f for %+g%%", separator, evaluation->clients_needed[i], 100 * rfm_lifts[i]);
        put_days(text, evaluation->days_needed[i]);
        separator = ",";
    }
    rfm_write_text(text, *separator == ',' ? "\n" : "");
}

static void put_experiment(rfm_buffer *text, const rfm_rule *rule, const rfm_kpi_sums *sums, uint8_t digits,
                           int64_t as_of_ms)
{
    rfm_evaluation evaluation;
    rfm_evaluate(rule, sums, digits, as_of_ms, &evaluation);
    rfm_write_format(text, "\n%s (salt %s): purchases within %.4g days\n", rule->name, rule->experiment.salt,
                     (double)rfm_rule_attribution_ms(rule) / (double)RFM_DAY_MS);
    rfm_write_format(text, "%-16s%8s%9s%9s%11s%12s%8s%14s%12s\n", "arm", "share", "exposed", "clients", "converted",
                     "conversion", "orders", "revenue", "per client");
    for (size_t i = 0; i < evaluation.arm_count; i++)
        put_arm(text, &evaluation.arm[i], digits);
    for (size_t i = 1; i < evaluation.arm_count; i++) {
        put_conversion(text, &evaluation.arm[i]);
        put_revenue(text, &evaluation.arm[i]);
    }
    put_checks(text, &evaluation);
}

static void put_text(rfm_buffer *text, const rfm_kpi_sums *sums, int64_t as_of_ms, const rfm_config *config)
{
    const rfm_rules *rules = &config->rules;
    const rfm_currency *base = &config->client.money.base;
    char as_of[RFM_TIME_TEXT], revenue[RFM_MONEY_TEXT];
    rfm_time_format(as_of_ms, as_of);
    rfm_write_format(text, "as of %s, money in %s; clients: those whose window is over\n", as_of, base->code);
    for (size_t i = 0; i < rules->count; i++) {
        if (rules->rule[i].experiment.given)
            put_experiment(text, &rules->rule[i], sums, base->digits, as_of_ms);
    }
    rfm_write_format(text, "\n%-32s%8s%14s\n", "attributed to the last send of", "orders", "revenue");
    for (size_t i = 0; i < rules->count; i++) {
        rfm_attributed attributed = rfm_attributed_to(&rules->rule[i], sums);
        rfm_money_format(attributed.revenue_minor, base->digits, revenue);
        if (rfm_rule_attribution_ms(&rules->rule[i]) > 0)
            rfm_write_format(text, "%-32s%8lld%14s\n", rules->rule[i].name, (long long)attributed.orders, revenue);
    }
}

/* -- CSV: names of rules, arms and figures need no quotes */

static void put_record(rfm_buffer *csv, const char *rule, const char *arm, const char *figure, double value)
{
    rfm_write_format(csv, "%s,%s,%s,", rule, arm, figure);
    if (isfinite(value))
        rfm_write_json_number(csv, value);
    rfm_write_u8(csv, '\n');
}

static void put_count(rfm_buffer *csv, const char *rule, const char *arm, const char *figure, long long value)
{
    rfm_write_format(csv, "%s,%s,%s,%lld\n", rule, arm, figure, value);
}

static void put_money(rfm_buffer *csv, const char *rule, const char *arm, const char *figure, int64_t amount_minor,
                      uint8_t digits)
{
    char text[RFM_MONEY_TEXT];
    rfm_money_format(amount_minor, digits, text);
    rfm_write_format(csv, "%s,%s,%s,%s\n", rule, arm, figure, text);
}

static void put_csv_arm(rfm_buffer *csv, const char *rule, const rfm_arm_result *arm, uint8_t digits)
{
    put_count(csv, rule, arm->name, "exposed", arm->exposed);
    put_count(csv, rule, arm->name, "clients", (long long)arm->sums.clients);
    put_count(csv, rule, arm->name, "converted", (long long)arm->sums.converted);
    put_count(csv, rule, arm->name, "orders", arm->orders);
    put_money(csv, rule, arm->name, "revenue", arm->revenue_minor, digits);
    for (size_t i = 0; i < RFM_ARM_FIGURE_COUNT; i++)
        put_record(csv, rule, arm->name, rfm_arm_figure_name((rfm_arm_figure)i), arm->figure[i]);
}

static void put_csv_experiment(rfm_buffer *csv, const rfm_rule *rule, const rfm_kpi_sums *sums, uint8_t digits,
                               int64_t as_of_ms)
{
    rfm_evaluation evaluation;
    rfm_evaluate(rule, sums, digits, as_of_ms, &evaluation);
    for (size_t i = 0; i < evaluation.arm_count; i++)
        put_csv_arm(csv, rule->name, &evaluation.arm[i], digits);
    put_record(csv, rule->name, "", "sample_ratio_p", evaluation.sample_ratio_p);
    put_count(csv, rule->name, "", "suspicious", evaluation.suspicious);
    for (size_t i = 0; i < RFM_LIFTS; i++) {
        char name[40];
        snprintf(name, sizeof name, "clients_needed_%g%%", 100 * rfm_lifts[i]);
        put_record(csv, rule->name, "", name, evaluation.clients_needed[i]);
        snprintf(name, sizeof name, "days_needed_%g%%", 100 * rfm_lifts[i]);
        put_record(csv, rule->name, "", name, evaluation.days_needed[i]);
    }
    put_record(csv, rule->name, "", "exposed_per_day", evaluation.exposed_per_day);
}

static void put_csv(rfm_buffer *csv, const rfm_kpi_sums *sums, int64_t as_of_ms, const rfm_config *config)
{
    const rfm_rules *rules = &config->rules;
    uint8_t digits = config->client.money.base.digits;
    rfm_write_text(csv, "rule,arm,figure,value\n");
    for (size_t i = 0; i < rules->count; i++) {
        const rfm_rule *rule = &rules->rule[i];
        rfm_attributed attributed = rfm_attributed_to(rule, sums);
        if (rule->experiment.given)
            put_csv_experiment(csv, rule, sums, digits, as_of_ms);
        if (rfm_rule_attribution_ms(rule) == 0)
            continue;
        put_count(csv, rule->name, "", "attributed_orders", attributed.orders);
        put_money(csv, rule->name, "", "attributed_revenue", attributed.revenue_minor, digits);
    }
}

int rfm_experiments_write(FILE *file, const rfm_kpi_sums *sums, int64_t as_of_ms, const rfm_config *config,
                          rfm_report_format format, rfm_error *error)
{
    rfm_buffer text;
    rfm_buffer_init(&text, 64 << 20);
    if (format == RFM_REPORT_JSON) {
        rfm_experiments_json(&config->rules, sums, &config->client.money, as_of_ms, &text);
        rfm_write_u8(&text, '\n');
    } else if (format == RFM_REPORT_CSV) {
        put_csv(&text, sums, as_of_ms, config);
    } else {
        put_text(&text, sums, as_of_ms, config);
    }
    int code = text.bad ? rfm_fail(error, RFM_E_FULL, "the report on experiments is too large") : RFM_OK;
    if (code == RFM_OK)
        fwrite(text.at, 1, text.len, file);
    rfm_buffer_release(&text);
    return code;
}
