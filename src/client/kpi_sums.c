#include <rfm/client/kpi_report.h>
#include <rfm/client/scores.h>

#include <math.h>
#include <stdlib.h>

void rfm_kpi_sums_init(rfm_kpi_sums *sums)
{
    *sums = (rfm_kpi_sums){.tally = rfm_tally_new(), .names = rfm_names_new(), .population = rfm_population_new()};
}

void rfm_kpi_sums_release(rfm_kpi_sums *sums)
{
    rfm_tally_free(sums->tally);
    rfm_names_free(sums->names);
    rfm_population_free(sums->population);
    free(sums->predicted_minor);
    *sums = (rfm_kpi_sums){0};
}

/* A task's number of a name as one of ours. */
static uint16_t translated(rfm_kpi_sums *sums, const rfm_names *names, uint16_t number)
{
    rfm_bytes text = rfm_names_text(names, number);
    return text.len > 0 ? rfm_names_number(sums->names, text) : 0;
}

static bool has_name_as_part(char metric)
{
    return metric == RFM_KPI_SEGMENT || metric == RFM_KPI_NAMED ||
           (rfm_kpi_is_of_rule(metric) && metric != RFM_KPI_EXPOSED_ON);
}

int rfm_kpi_sums_add(rfm_kpi_sums *sums, const rfm_names *names, const rfm_bytes *values, size_t count)
{
    for (size_t i = 0; i + 1 < count; i += 2) {
        rfm_cell cell;
        int64_t value;
        if (rfm_cell_parse(values[i], &cell) != RFM_OK || rfm_integer_parse(values[i + 1], &value) != RFM_OK)
            return RFM_E_CORRUPT;
        cell.source = translated(sums, names, cell.source);
        if (has_name_as_part(cell.metric)) {
            cell.part = translated(sums, names, cell.part);
        }
        rfm_tally_add(sums->tally, cell, value);
    }
    return RFM_OK;
}

/* In parts of a minor unit that add up exactly, so that the order of clients does not show. */
static double in_parts(double amount_minor)
{
    return rint(amount_minor * 64) / 64;
}

void rfm_kpi_sums_expect(rfm_kpi_sums *sums, const rfm_names *names, const rfm_client *client,
                         const rfm_client_conf *conf, int64_t as_of_ms)
{
    if (sums->predicted_minor == NULL) {
        sums->predicted_minor = calloc(RFM_NAMES_MAX + 1, sizeof *sums->predicted_minor);
        RFM_NEED(sums->predicted_minor);
    }
    if (client->orders > 0) {
        int64_t at_ms = as_of_ms > client->last_ms ? as_of_ms : client->last_ms;
        double expected_orders = rfm_client_expected_orders_at(client, conf, at_ms);
        sums->predicted_minor[translated(sums, names, client->source)] += in_parts(
            rfm_client_predicted_minor(client, conf, expected_orders));
    }
}
