#include "report.h"

#include <math.h>
#include <rfm/base/time.h>
#include <stdio.h>
#include <stdlib.h>

struct date {
    char text[16];
};

static struct date date_of(int32_t day)
{
    struct date date;
    int year, month, day_of_month;
    rfm_civil_of_day(day, &year, &month, &day_of_month);
    snprintf(date.text, sizeof date.text, "%04d-%02d-%02d", year, month, day_of_month);
    return date;
}

struct cap {
    char text[16];
};

static struct cap cap_of(double value)
{
    struct cap cap;
    if (isinf(value))
        snprintf(cap.text, sizeof cap.text, "none");
    else
        snprintf(cap.text, sizeof cap.text, "%g", value);
    return cap;
}

/* The shortest digits that mean the number to nine of them: more than any standard error asks for. */
struct number {
    char text[32];
};

static struct number number_of(double value)
{
    struct number number;
    snprintf(number.text, sizeof number.text, "%.9g", value);
    return number;
}

static void write_parameters(rfm_buffer *text, const rfm_maximum *maximum, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        rfm_write_format(text, "  %-6s %-12.6g standard error %.3g\n", names[i], maximum->at[i], maximum->error[i]);
    rfm_write_format(text, "  log-likelihood %.4f; %zu of %zu starts led there\n", maximum->value, maximum->agreed,
                     maximum->starts);
}

static void write_fit(const rfm_study *study, rfm_buffer *text)
{
    static const char *const nbd_names[] = {"r", "alpha", "a", "b"}, *const spend_names[] = {"p", "q", "v"};
    const rfm_histories *histories = &study->histories;
    rfm_write_format(
        text, "Observed from %s to %s: %llu clients, %llu of them bought on one day only; %llu repeat purchase days\n",
        date_of(histories->first_day).text, date_of(histories->until).text, (unsigned long long)histories->clients,
        (unsigned long long)(histories->clients - histories->repeaters), (unsigned long long)histories->repeat_days);
    rfm_write_format(text, "\n%s, time in %s\n", study->conf.kind == RFM_NBD_MBG ? "MBG/NBD" : "BG/NBD",
                     study->conf.unit_days == 7 ? "weeks" : "days");
    write_parameters(text, &study->nbd, nbd_names, 4);
    if (study->has_spend) {
        rfm_write_format(text, "\nGamma-Gamma: spend of %zu clients with repeat purchases\n", histories->repeat_count);
        write_parameters(text, &study->spend, spend_names, 3);
    } else {
        rfm_write_format(text, "\nNo spend: %s\n", study->no_spend);
    }
}

static void write_optional(rfm_buffer *text, int width, int digits, double value)
{
    if (isnan(value))
        rfm_write_format(text, "  %*s", width, "-");
    else
        rfm_write_format(text, "  %*.*f", width, digits, value);
}

static void write_quality(rfm_buffer *text, const char *name, const rfm_quality *quality, bool has_chances,
                          double inner_log_loss)
{
    rfm_write_format(text, "  %-13s", name);
    write_optional(text, 10, 8, quality->auc);
    write_optional(text, 8, 6, has_chances ? quality->log_loss : NAN);
    write_optional(text, 9, 2, has_chances ? quality->expected_buyers : NAN);
    write_optional(text, 9, 2, quality->expected_days);
    write_optional(text, 8, 6, inner_log_loss);
    rfm_write_u8(text, '\n');
}

static void write_proposal(const rfm_study *study, rfm_buffer *text)
{
    struct cap cap = cap_of(study->model.evidence_cap);
    const char *chosen = cap.text;
    if (study->conf.cap > 0)
        rfm_write_format(text, "\nEvidence cap: %s, as you said\n", chosen);
    else if (study->inner.known)
        rfm_write_format(
            text,
            "\nProposed evidence cap: %s (lowest log loss when fitted until %s and tried on the %d days after it)\n",
            chosen, date_of(study->inner.until).text, (int)study->inner.days);
    else
        rfm_write_format(text, "\nEvidence cap: %s, the default; none can be proposed: %s\n", chosen, study->inner.why);
}

static void write_deciles(const rfm_study *study, rfm_buffer *text)
{
    const rfm_cap_trial *plain = rfm_study_plain(study), *chosen = &study->trial[study->chosen];
    const rfm_decile *sets[3] = {plain->quality.decile};
    char names[3][24] = {"plain model"};
    size_t count = 1;
    if (chosen != plain) {
        snprintf(names[count], sizeof names[count], "cap %s", cap_of(chosen->cap).text);
        sets[count++] = chosen->quality.decile;
    }
    if (study->has_recency) {
        snprintf(names[count], sizeof names[count], "recency alone");
        sets[count++] = study->recency.decile;
    }
    rfm_write_text(text, "\nCalibration by decile of the chance (lowest first; equal chances stay together)\n      ");
    for (size_t j = 0; j < count; j++)
        rfm_write_format(text, "  %27s", names[j]);
    rfm_write_text(text, "\n      ");
    for (size_t j = 0; j < count; j++)
        rfm_write_format(text, "  %8s %9s %8s", "clients", "predicted", "observed");
    rfm_write_u8(text, '\n');
    for (size_t i = 0; i < RFM_DECILES; i++) {
        rfm_write_format(text, "  %2zu  ", i + 1);
        for (size_t j = 0; j < count; j++)
            rfm_write_format(text, "  %8llu %9.4f %8.4f", (unsigned long long)sets[j][i].clients, sets[j][i].predicted,
                             sets[j][i].observed);
        rfm_write_u8(text, '\n');
    }
}

static void write_holdout(const rfm_study *study, rfm_buffer *text)
{
    const rfm_histories *histories = &study->histories;
    rfm_write_format(
        text, "\nHold-out: the %d days from %s to %s, in which %llu of the %llu clients bought, on %llu days in all\n",
        (int)study->conf.holdout_days, date_of(histories->until + 1).text,
        date_of(histories->until + study->conf.holdout_days).text, (unsigned long long)histories->returned,
        (unsigned long long)histories->clients, (unsigned long long)histories->later);
    rfm_write_text(text, "  evidence cap         AUC  log loss     buyers       days  inner log loss\n");
    for (size_t i = 0; i < study->trial_count; i++)
        write_quality(text, cap_of(study->trial[i].cap).text, &study->trial[i].quality, true,
                      study->trial[i].inner_log_loss);
    write_quality(text, "recency alone", &study->recency, study->has_recency, NAN);
    rfm_write_text(text,
                   "  (AUC: ties count a half. Recency's chances are fitted to this very hold-out, in its favour)\n");
    if (study->conf.kind == RFM_NBD_MBG)
        write_proposal(study, text);
    write_deciles(study, text);
}

void rfm_study_report(const rfm_study *study, rfm_buffer *text)
{
    write_fit(study, text);
    if (study->conf.holdout_days > 0)
        write_holdout(study, text);
}

static void write_value(rfm_buffer *yaml, const char *name, double value)
{
    rfm_write_format(yaml, "%s: %s\n", name, number_of(value).text);
}

void rfm_study_model_file(const rfm_study *study, const char *source, rfm_buffer *yaml)
{
    const rfm_model *model = &study->model;
    rfm_write_text(yaml, "# Written by rfmd fit, from ");
    for (const char *at = source; *at; at++)
        rfm_write_u8(yaml, (unsigned char)*at < ' ' ? '?' : (uint8_t)*at);
    rfm_write_format(yaml, "\nmodel: %s\nunit: %s\n", rfm_nbd_name(study->conf.kind),
                     model->unit_days == 7 ? "week" : "day");
    write_value(yaml, "r", model->r);
    write_value(yaml, "alpha", model->alpha);
    write_value(yaml, "a", model->a);
    write_value(yaml, "b", model->b);
    if (study->conf.kind == RFM_NBD_MBG)
        rfm_write_format(yaml, "evidence_cap: %s\n", cap_of(model->evidence_cap).text);
    if (study->has_spend)
        rfm_write_format(yaml, "spend: {p: %s, q: %s, v: %s}\n", number_of(model->spend.p).text,
                         number_of(model->spend.q).text, number_of(model->spend.v).text);
    rfm_write_format(yaml, "fitted: {clients: %llu, log_likelihood: %.4f, until: %s}\n",
                     (unsigned long long)study->histories.clients, study->nbd.value,
                     date_of(study->histories.until).text);
    rfm_write_format(yaml, "# standard errors: r %.3g, alpha %.3g, a %.3g, b %.3g\n", study->nbd.error[0],
                     study->nbd.error[1], study->nbd.error[2], study->nbd.error[3]);
}
