#include <rfm/client/kpi.h>

#include "activity.h"

rfm_kpi_standing rfm_client_kpi(const rfm_client *client)
{
    int64_t nps;
    double csat;
    return (rfm_kpi_standing){.known = true,
                              .lifecycle = client->marks.lifecycle,
                              .nps = rfm_client_nps(client, &nps) ? (int8_t)nps : -1,
                              .csat = rfm_client_csat(client, &csat) ? (int32_t)(csat * 100 + .5) : -1,
                              .segment = client->marks.segment,
                              .source = client->source,
                              .stages = client->stages,
                              .orders = client->orders,
                              .x = client->x,
                              .complaints = rfm_client_open_complaints(client),
                              .purchase_months = client->purchase_months,
                              .first_day = client->first_day,
                              .last_day = client->last_day,
                              .stage_month = client->stage_month,
                              .revenue_minor = client->revenue_minor};
}

static int32_t within(int32_t period)
{
    return period < 0 ? 0 : period > RFM_TALLY_PERIOD_MAX ? RFM_TALLY_PERIOD_MAX : period;
}

static void add(rfm_tally *tally, rfm_kpi_metric metric, int32_t period, unsigned part, uint16_t source, int64_t amount)
{
    rfm_tally_add(tally, (rfm_cell){(char)metric, within(period), (uint16_t)part, source}, amount);
}

/* What happened on a day, and by month for its source. */
static void add_dated(rfm_tally *tally, rfm_kpi_metric metric, rfm_kpi_metric metric_of, int32_t day, uint16_t source,
                      int64_t amount)
{
    add(tally, metric, day, 0, 0, amount);
    if (source > 0) {
        add(tally, metric_of, rfm_month_of_day(day), 0, source, amount);
    }
}

/* Events. */

static void count_revenue(rfm_tally *tally, const rfm_applied *applied, uint16_t source)
{
    for (size_t i = 0; i < applied->moved_count; i++) {
        add_dated(tally, RFM_KPI_REVENUE, RFM_KPI_REVENUE_OF, applied->moved[i].day, source,
                  applied->moved[i].amount_minor);
    }
}

static void count_purchase(rfm_tally *tally, const rfm_kpi_standing *before, const rfm_client *client,
                           const rfm_applied *applied)
{
    int64_t days_before = before->orders > 0 ? (int64_t)before->x + 1 : 0;
    add_dated(tally, RFM_KPI_ORDERS, RFM_KPI_ORDERS_OF, applied->day, before->source, 1);
    add(tally, RFM_KPI_BUYERS, applied->day, 0, 0, (int64_t)client->x + 1 - days_before);
}

static void count_visit(rfm_tally *tally, const rfm_event *event, int32_t day)
{
    unsigned stages = rfm__stages_of(event);
    for (unsigned stage = 0; stage < RFM_STAGE_COUNT; stage++) {
        add(tally, RFM_KPI_VISITS, day, stage, 0, stages >> stage & 1);
    }
}

/* What moves with the client's source is counted under the one that it had: rfm_kpi_move comes afterwards. */
void rfm_kpi_count(rfm_tally *tally, const rfm_kpi_standing *before, const rfm_client *client, const rfm_event *event,
                   const rfm_applied *applied, rfm_names *names)
{
    count_revenue(tally, applied, before->source);
    if (applied->bought) {
        count_purchase(tally, before, client, applied);
    } else if (event->type == RFM_EVENT_VISIT) {
        count_visit(tally, event, applied->day);
    } else if (event->type == RFM_EVENT_COST) {
        uint16_t campaign = event->campaign.len > 0 ? rfm_names_number(names, event->campaign) : 0;
        add_dated(tally, RFM_KPI_COST, RFM_KPI_COST_OF, applied->day, campaign, event->amount_minor);
    }
}

/* What clients are now. */

static void add_population(rfm_tally *tally, const rfm_kpi_standing *standing, int64_t clients)
{
    uint16_t source = standing->source;
    if (!standing->known) {
        return;
    }
    add(tally, RFM_KPI_LIFECYCLE, 0, standing->lifecycle, source, clients);
    add(tally, RFM_KPI_SEGMENT, 0, standing->segment, source, clients);
    add(tally, RFM_KPI_CLIENTS, 0, 0, source, standing->orders > 0 ? clients : 0);
    add(tally, RFM_KPI_TURNOVER, 0, 0, source, clients * standing->revenue_minor);
    add(tally, RFM_KPI_COMPLAINTS, 0, 0, source, clients * standing->complaints);
    if (standing->nps >= 0) {
        add(tally, RFM_KPI_NPS, 0, (unsigned)standing->nps, source, clients);
    }
    if (standing->csat >= 0) {
        add(tally, RFM_KPI_CSAT, 0, 0, source, clients);
        add(tally, RFM_KPI_CSAT_SUM, 0, 0, source, clients * standing->csat);
    }
}

/* The same as taking `before` out and putting `after` in, for the usual case: few of them differ. */
static void move_population(rfm_tally *tally, const rfm_kpi_standing *before, const rfm_kpi_standing *after)
{
    uint16_t source = after->source;
    if (!before->known || before->source != source || before->nps != after->nps || before->csat != after->csat ||
        before->complaints != after->complaints) {
        add_population(tally, before, -1);
        add_population(tally, after, 1);
        return;
    }
    if (before->lifecycle != after->lifecycle) {
        add(tally, RFM_KPI_LIFECYCLE, 0, before->lifecycle, source, -1);
        add(tally, RFM_KPI_LIFECYCLE, 0, after->lifecycle, source, 1);
    }
    if (before->segment != after->segment) {
        add(tally, RFM_KPI_SEGMENT, 0, before->segment, source, -1);
        add(tally, RFM_KPI_SEGMENT, 0, after->segment, source, 1);
    }
    add(tally, RFM_KPI_CLIENTS, 0, 0, source, (after->orders > 0) - (before->orders > 0));
    int64_t turnover = (int64_t)((uint64_t)after->revenue_minor - (uint64_t)before->revenue_minor);
    add(tally, RFM_KPI_TURNOVER, 0, 0, source, turnover);
}

/* Who did what when. */

static void move_first(rfm_tally *tally, const rfm_kpi_standing *before, const rfm_kpi_standing *after)
{
    bool same = before->source == after->source && before->first_day == after->first_day;
    if (!same || (before->orders > 0) != (after->orders > 0)) {
        add_dated(tally, RFM_KPI_NEW, RFM_KPI_NEW_OF, before->first_day, before->source, -(before->orders > 0));
        add_dated(tally, RFM_KPI_NEW, RFM_KPI_NEW_OF, after->first_day, after->source, after->orders > 0);
    }
    if (!same || (before->orders == 1) != (after->orders == 1)) {
        add_dated(tally, RFM_KPI_SOLE, RFM_KPI_SOLE_OF, before->first_day, before->source, -(before->orders == 1));
        add_dated(tally, RFM_KPI_SOLE, RFM_KPI_SOLE_OF, after->first_day, after->source, after->orders == 1);
    }
}

/* Months as bits: bit i is the month `newest` - i. */
typedef struct months {
    int32_t newest, first;
    uint16_t source;
} months;

static void add_buyers(rfm_tally *tally, const months *at, uint32_t bought, uint32_t kept, int64_t clients)
{
    for (; bought; bought &= bought - 1) {
        add(tally, RFM_KPI_BUYERS_OF, at->newest - __builtin_ctz(bought), 0, at->source, clients);
    }
    for (; kept; kept &= kept - 1) {
        add(tally, RFM_KPI_KEPT, at->newest - __builtin_ctz(kept), 0, at->source, clients);
    }
}

static void add_cohort(rfm_tally *tally, const months *at, uint32_t bought, int64_t clients)
{
    for (; bought; bought &= bought - 1) {
        int32_t later = at->newest - __builtin_ctz(bought) - at->first;
        if (later >= 0 && later < RFM_COHORT_MONTHS) {
            add(tally, RFM_KPI_COHORT, at->first, (unsigned)later, at->source, clients);
        }
    }
}

/* Bit i: bought in that month and in the one before. */
static uint32_t kept_of(uint32_t bought)
{
    return bought & bought >> 1;
}

static void move_months(rfm_tally *tally, const rfm_kpi_standing *before, const rfm_kpi_standing *after)
{
    bool same_days = before->first_day == after->first_day && before->last_day == after->last_day;
    if (after->orders == 0 ||
        (before->source == after->source && before->purchase_months == after->purchase_months && same_days)) {
        return;
    }
    months from = {rfm_month_of_day(before->last_day), rfm_month_of_day(before->first_day), before->source};
    months to = {rfm_month_of_day(after->last_day), rfm_month_of_day(after->first_day), after->source};
    int32_t ahead = to.newest - from.newest;
    uint32_t bought = after->purchase_months, bought_before = before->purchase_months;
    bought_before = before->orders > 0 && ahead >= 0 && ahead < RFM_PURCHASE_MONTHS ? bought_before << ahead : 0;
    uint32_t kept = kept_of(bought), kept_before = kept_of(bought_before);
    from.newest = to.newest;
    if (from.source != to.source) {
        add_buyers(tally, &from, bought_before, kept_before, -1);
        add_buyers(tally, &to, bought, kept, 1);
    } else {
        add_buyers(tally, &to, bought & ~bought_before, kept & ~kept_before, 1);
    }
    if (from.source != to.source || from.first != to.first) {
        add_cohort(tally, &from, bought_before, -1);
        add_cohort(tally, &to, bought, 1);
    } else {
        add_cohort(tally, &to, bought & ~bought_before, 1);
    }
}

static void add_stages(rfm_tally *tally, int32_t newest, uint16_t source, uint32_t stages, int64_t clients)
{
    for (; stages; stages &= stages - 1) {
        int32_t bit = __builtin_ctz(stages);
        add(tally, RFM_KPI_STAGE, newest - bit / RFM_STAGE_COUNT, (unsigned)(bit % RFM_STAGE_COUNT), source, clients);
    }
}

static void move_stages(rfm_tally *tally, const rfm_kpi_standing *before, const rfm_kpi_standing *after)
{
    bool same_source = before->source == after->source;
    if (after->stages == 0 ||
        (same_source && before->stages == after->stages && before->stage_month == after->stage_month)) {
        return;
    }
    int32_t ahead = after->stage_month - before->stage_month;
    uint32_t stages_before = before->stages > 0 && ahead >= 0 && ahead < RFM_STAGE_MONTHS
                                 ? (uint16_t)((uint32_t)before->stages << RFM_STAGE_COUNT * ahead)
                                 : 0;
    if (!same_source) {
        add_stages(tally, after->stage_month, before->source, stages_before, -1);
    }
    add_stages(tally, after->stage_month, after->source, after->stages & ~(same_source ? stages_before : 0), 1);
}

/* A client's source becomes another: the orders that it holds go with it. One of which nothing is left may have been of
 * 0 and not counted, unless those that are held are all that there are. */
static void move_orders(rfm_tally *tally, uint16_t from, const rfm_client *client, const rfm_zone *zone)
{
    const uint16_t sources[2] = {from, client->source};
    size_t arrived = 0;
    for (size_t i = 0; i < client->order_count; i++) {
        arrived += !client->order[i].waiting;
    }
    for (size_t i = 0; i < client->order_count; i++) {
        const rfm_order *order = &client->order[i];
        int32_t month = rfm_month_of_day(rfm_zone_day(zone, order->time_ms));
        bool counted = !order->waiting && (order->left_minor > 0 || arrived == client->orders);
        for (int side = 0; side < 2; side++) {
            int64_t revenue = order->waiting ? -order->refunded_minor : order->left_minor;
            if (sources[side] > 0) {
                add(tally, RFM_KPI_ORDERS_OF, month, 0, sources[side], side == 0 ? -counted : counted);
                add(tally, RFM_KPI_REVENUE_OF, month, 0, sources[side], side == 0 ? -revenue : revenue);
            }
        }
    }
}

void rfm_kpi_move(rfm_tally *tally, const rfm_kpi_standing *before, const rfm_client *client, const rfm_zone *zone)
{
    rfm_kpi_standing after = rfm_client_kpi(client);
    move_population(tally, before, &after);
    move_first(tally, before, &after);
    move_months(tally, before, &after);
    move_stages(tally, before, &after);
    if (before->source != after.source) {
        move_orders(tally, before->source, client, zone);
    }
}

void rfm_kpi_forget(rfm_tally *tally, const rfm_kpi_standing *before)
{
    add_population(tally, before, -1);
}
