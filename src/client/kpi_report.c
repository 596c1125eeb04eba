#include <rfm/client/kpi_report.h>
#include <rfm/client/scores.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { VISITS_OF = 'V' /* of a month, in `selected` only */, STAGES = RFM_STAGE_COUNT + 1 /* and purchases */ };

/* -- what the query asks for: the cells of all sources together, or of one, with source 0 */

/* Days also as their months, under the letter that cells by source have. */
static void select_day(rfm_tally *selected, rfm_cell cell, int64_t value)
{
    rfm_tally_add(selected, cell, value);
    if (cell.metric != RFM_KPI_BUYERS) {
        cell.metric = (char)(cell.metric - 'a' + 'A');
        cell.period = rfm_month_of_day(cell.period);
        rfm_tally_add(selected, cell, value);
    }
}

static bool is_by_day(char metric)
{
    return memchr("ordnscv", metric, 7) != NULL;
}

/* Of months, of sources other than none: for all together there are the days. */
static bool is_of_source(char metric)
{
    return memchr("ORNSC", metric, 5) != NULL;
}

static rfm_tally *select_cells(const rfm_kpi_sums *sums, uint16_t source)
{
    rfm_tally *selected = rfm_tally_new();
    rfm_cell cell;
    int64_t value;
    for (size_t cursor = 0; rfm_tally_next(sums->tally, &cursor, &cell, &value);) {
        if (source > 0 ? cell.source != source : is_of_source(cell.metric)) {
            continue;
        }
        cell.source = 0;
        if (is_by_day(cell.metric)) {
            select_day(selected, cell, value);
        } else {
            rfm_tally_add(selected, cell, value);
        }
    }
    return selected;
}

/* -- making sheets */

struct making {
    rfm_kpi_report *report;
    const rfm_kpi_sums *sums;
    const rfm_kpi_query *query;
    rfm_tally *selected;
    uint16_t source;
};

static int64_t cell_of(const struct making *making, int metric, int32_t period, unsigned part)
{
    if (period < 0 || period > RFM_TALLY_PERIOD_MAX) {
        return 0;
    }
    return rfm_tally_get(making->selected, (rfm_cell){(char)metric, period, (uint16_t)part, 0});
}

static rfm_sheet *add_sheet(rfm_kpi_report *report, const char *name, const char *key, const rfm_column *columns,
                            size_t column_count, size_t rows_max)
{
    RFM_ASSERT(report->sheet_count < RFM_SHEETS_MAX);
    rfm_sheet *sheet = &report->sheets[report->sheet_count++];
    size_t bytes = (rows_max * column_count + 1) * sizeof *sheet->figures;
    *sheet = (rfm_sheet){.name = name,
                         .key = key,
                         .columns = columns,
                         .column_count = column_count,
                         .keys = rfm_arena_take(&report->arena, (rows_max + 1) * sizeof *sheet->keys),
                         .figures = rfm_arena_take(&report->arena, bytes)};
    memset(sheet->figures, 0, bytes);
    return sheet;
}

static rfm_figure *add_row(rfm_sheet *sheet, rfm_bytes key)
{
    sheet->keys[sheet->row_count] = key;
    return sheet->figures + sheet->row_count++ * sheet->column_count;
}

static rfm_figure count(int64_t whole)
{
    return (rfm_figure){.known = true, .whole = whole};
}

static rfm_figure number(double number)
{
    return (rfm_figure){.known = isfinite(number), .number = isfinite(number) ? number : 0};
}

/* Of nothing there is no share. */
static rfm_figure share(double part, double whole)
{
    return number(whole > 0 ? part / whole : NAN);
}

static rfm_figure money(double amount_minor)
{
    bool known = isfinite(amount_minor) && fabs(amount_minor) < 9e18;
    return (rfm_figure){.known = known, .whole = known ? llrint(amount_minor) : 0};
}

/* -- periods */

struct period {
    int64_t orders, revenue_minor, buyers, sole, fresh, cost_minor;
    int64_t kept, buyers_before; /* -1: not of days */
    int64_t clients[STAGES], events[STAGES];
};

static void sum_period(const struct making *making, int32_t at, struct period *out)
{
    bool by_day = making->query->by_day;
    *out = (struct period){
        .orders = cell_of(making, by_day ? RFM_KPI_ORDERS : RFM_KPI_ORDERS_OF, at, 0),
        .revenue_minor = cell_of(making, by_day ? RFM_KPI_REVENUE : RFM_KPI_REVENUE_OF, at, 0),
        .buyers = cell_of(making, by_day ? RFM_KPI_BUYERS : RFM_KPI_BUYERS_OF, at, 0),
        .sole = cell_of(making, by_day ? RFM_KPI_SOLE : RFM_KPI_SOLE_OF, at, 0),
        .fresh = cell_of(making, by_day ? RFM_KPI_NEW : RFM_KPI_NEW_OF, at, 0),
        .cost_minor = cell_of(making, by_day ? RFM_KPI_COST : RFM_KPI_COST_OF, at, 0),
        .kept = by_day ? -1 : cell_of(making, RFM_KPI_KEPT, at, 0),
        .buyers_before = by_day ? -1 : cell_of(making, RFM_KPI_BUYERS_OF, at - 1, 0),
    };
    for (unsigned stage = 0; stage < RFM_STAGE_COUNT; stage++) {
        out->clients[stage] = cell_of(making, RFM_KPI_STAGE, at, stage);
        out->events[stage] = cell_of(making, by_day ? RFM_KPI_VISITS : VISITS_OF, at, stage);
    }
    out->clients[RFM_STAGE_COUNT] = out->buyers;
    out->events[RFM_STAGE_COUNT] = out->orders;
}

static const rfm_column period_columns[] = {
    {"orders", RFM_FIGURE_COUNT},         {"revenue", RFM_FIGURE_MONEY},    {"average_order", RFM_FIGURE_MONEY},
    {"buyers", RFM_FIGURE_COUNT},         {"frequency", RFM_FIGURE_NUMBER}, {"new_clients", RFM_FIGURE_COUNT},
    {"returning_rate", RFM_FIGURE_SHARE}, {"retention", RFM_FIGURE_SHARE},  {"churn_rate", RFM_FIGURE_SHARE},
    {"cost", RFM_FIGURE_MONEY},           {"cac", RFM_FIGURE_MONEY},
};
enum { PERIOD_COLUMNS = sizeof period_columns / sizeof *period_columns };

static void period_figures(const struct period *at, rfm_figure *figures)
{
    rfm_figure kept = share((double)at->kept, at->kept < 0 ? 0 : (double)at->buyers_before);
    rfm_figure average = {0};
    if (at->orders > 0) {
        average = count(rfm_div_half_even(at->revenue_minor, at->orders));
    }
    const rfm_figure row[PERIOD_COLUMNS] = {
        count(at->orders),
        count(at->revenue_minor),
        average,
        count(at->buyers),
        number(at->buyers > 0 ? (double)at->orders / (double)at->buyers : NAN),
        count(at->fresh),
        share((double)(at->buyers - at->sole), (double)at->buyers),
        kept,
        number(kept.known ? 1 - kept.number : NAN),
        count(at->cost_minor),
        money(at->fresh > 0 ? (double)at->cost_minor / (double)at->fresh : NAN),
    };
    memcpy(figures, row, sizeof row);
}

/* Clients in each stage, and of those in the one before. */
static const rfm_column funnel_columns[] = {
    {"visit", RFM_FIGURE_COUNT},          {"view_item", RFM_FIGURE_COUNT},         {"add_to_cart", RFM_FIGURE_COUNT},
    {"begin_checkout", RFM_FIGURE_COUNT}, {"purchase", RFM_FIGURE_COUNT},          {"to_view_item", RFM_FIGURE_SHARE},
    {"to_add_to_cart", RFM_FIGURE_SHARE}, {"to_begin_checkout", RFM_FIGURE_SHARE}, {"to_purchase", RFM_FIGURE_SHARE},
    {"conversion", RFM_FIGURE_SHARE},
};
enum { FUNNEL_COLUMNS = sizeof funnel_columns / sizeof *funnel_columns };
_Static_assert(FUNNEL_COLUMNS == 2 * STAGES, "stages, the steps between them, and the whole way");

static void funnel_figures(const struct period *at, rfm_figure *figures)
{
    for (size_t stage = 0; stage < STAGES; stage++) {
        figures[stage] = count(at->clients[stage]);
    }
    for (size_t stage = 1; stage < STAGES; stage++) {
        figures[STAGES + stage - 1] = share((double)at->clients[stage], (double)at->clients[stage - 1]);
    }
    figures[FUNNEL_COLUMNS - 1] = share((double)at->clients[STAGES - 1], (double)at->clients[0]);
}

static const rfm_column event_columns[STAGES] = {
    {"visits", RFM_FIGURE_COUNT},         {"view_item", RFM_FIGURE_COUNT}, {"add_to_cart", RFM_FIGURE_COUNT},
    {"begin_checkout", RFM_FIGURE_COUNT}, {"orders", RFM_FIGURE_COUNT},
};

static void event_figures(const struct period *at, rfm_figure *figures)
{
    for (size_t stage = 0; stage < STAGES; stage++) {
        figures[stage] = count(at->events[stage]);
    }
}

static rfm_figure change_of(rfm_figure_kind kind, rfm_figure before, rfm_figure now)
{
    if (!before.known || !now.known) {
        return (rfm_figure){0};
    }
    bool whole = kind == RFM_FIGURE_COUNT || kind == RFM_FIGURE_MONEY;
    double from = whole ? (double)before.whole : before.number, to = whole ? (double)now.whole : now.number;
    return number(kind == RFM_FIGURE_SHARE ? to - from : from != 0 ? (to - from) / fabs(from) : NAN);
}

/* "2026-11", "2026-11-22". */
static rfm_bytes period_text(rfm_arena *arena, bool by_day, int32_t period)
{
    char text[32];
    int year, month, day_of_month;
    rfm_civil_of_day(by_day ? period : rfm_month_first_day(period), &year, &month, &day_of_month);
    int len = by_day ? snprintf(text, sizeof text, "%04d-%02d-%02d", year, month, day_of_month)
                     : snprintf(text, sizeof text, "%04d-%02d", year, month);
    return rfm_arena_copy(arena, rfm_bytes_of(text, (size_t)len));
}

static void add_periods(struct making *making, const char *name, const rfm_column *columns, size_t column_count,
                        void (*figures_of)(const struct period *at, rfm_figure *figures))
{
    const rfm_kpi_query *query = making->query;
    rfm_kpi_report *report = making->report;
    size_t rows = (size_t)((int64_t)query->to - query->from) + 1;
    rfm_sheet *sheet = add_sheet(report, name, query->by_day ? "day" : "month", columns, column_count, rows);
    rfm_figure *before = rfm_arena_take(&report->arena, column_count * sizeof *before);
    sheet->changes = rfm_arena_take(&report->arena, rows * column_count * sizeof *sheet->changes);
    struct period sums;
    sum_period(making, query->from - 1, &sums);
    figures_of(&sums, before);
    for (size_t row = 0; row < rows; row++) {
        int32_t at = query->from + (int32_t)row;
        sum_period(making, at, &sums);
        rfm_figure *now = add_row(sheet, period_text(&report->arena, query->by_day, at));
        figures_of(&sums, now);
        for (size_t i = 0; i < column_count; i++) {
            sheet->changes[row * column_count + i] = change_of(columns[i].kind, before[i], now[i]);
        }
        before = now;
    }
}

/* -- clients as they are */

static const rfm_column client_columns[] = {{"clients", RFM_FIGURE_COUNT}, {"share", RFM_FIGURE_SHARE}};

static int64_t count_clients(const struct making *making)
{
    int64_t clients = 0;
    for (unsigned lifecycle = 0; lifecycle < RFM_LIFECYCLE_COUNT; lifecycle++) {
        clients += cell_of(making, RFM_KPI_LIFECYCLE, 0, lifecycle);
    }
    return clients;
}

static void add_clients(rfm_sheet *sheet, rfm_bytes key, int64_t clients, int64_t all)
{
    rfm_figure *row = add_row(sheet, key);
    row[0] = count(clients);
    row[1] = share((double)clients, (double)all);
}

static void add_lifecycle(struct making *making)
{
    rfm_sheet *sheet = add_sheet(making->report, "lifecycle", "lifecycle", client_columns, 2, RFM_LIFECYCLE_COUNT);
    int64_t all = count_clients(making);
    for (unsigned lifecycle = 0; lifecycle < RFM_LIFECYCLE_COUNT; lifecycle++) {
        add_clients(sheet, rfm_text(rfm_lifecycle_name((rfm_lifecycle)lifecycle)),
                    cell_of(making, RFM_KPI_LIFECYCLE, 0, lifecycle), all);
    }
}

struct counted {
    rfm_bytes name;
    int64_t clients;
    uint16_t number;
};

/* Most clients first, of equals by name. */
static int compare_counted(const void *left, const void *right)
{
    const struct counted *a = left, *b = right;
    if (a->clients != b->clients) {
        return a->clients > b->clients ? -1 : 1;
    }
    return rfm_bytes_compare(a->name, b->name);
}

/* A segment without a name is that of clients who have not been looked at: prospects, like those who were and are. */
static void add_segments(struct making *making)
{
    size_t names = rfm_names_count(making->sums->names), found = 0;
    struct counted *segments = rfm_arena_take(&making->report->arena, (names + 1) * sizeof *segments);
    int64_t nameless = cell_of(making, RFM_KPI_SEGMENT, 0, 0);
    for (size_t i = 1; i <= names; i++) {
        rfm_bytes name = rfm_names_text(making->sums->names, (uint16_t)i);
        int64_t clients = cell_of(making, RFM_KPI_SEGMENT, 0, (unsigned)i);
        if (rfm_bytes_is(name, "prospect")) {
            clients += nameless, nameless = 0;
        }
        if (clients != 0) {
            segments[found++] = (struct counted){name, clients, (uint16_t)i};
        }
    }
    if (nameless != 0) {
        segments[found++] = (struct counted){rfm_text("prospect"), nameless, 0};
    }
    qsort(segments, found, sizeof *segments, compare_counted);
    rfm_sheet *sheet = add_sheet(making->report, "segments", "segment", client_columns, 2, found);
    for (size_t i = 0; i < found; i++) {
        add_clients(sheet, segments[i].name, segments[i].clients, count_clients(making));
    }
}

/* Segments by condition: a client may be in several, or in none. */
static void add_named(struct making *making)
{
    const size_t prefix = strlen(RFM_KPI_NAMED_PREFIX);
    size_t names = rfm_names_count(making->sums->names), found = 0;
    struct counted *segments = rfm_arena_take(&making->report->arena, (names + 1) * sizeof *segments);
    for (size_t i = 1; i <= names; i++) {
        rfm_bytes name = rfm_names_text(making->sums->names, (uint16_t)i);
        int64_t clients = cell_of(making, RFM_KPI_NAMED, 0, (unsigned)i);
        if (clients != 0 && name.len > prefix) {
            segments[found++] = (struct counted){rfm_bytes_of(name.at + prefix, name.len - prefix), clients,
                                                 (uint16_t)i};
        }
    }
    qsort(segments, found, sizeof *segments, compare_counted);
    rfm_sheet *sheet = add_sheet(making->report, "named_segments", "segment", client_columns, 2, found);
    for (size_t i = 0; i < found; i++) {
        add_clients(sheet, segments[i].name, segments[i].clients, count_clients(making));
    }
}

/* -- cohorts */

#define LATER(X) \
    X(1)         \
    X(2)         \
    X(3)         \
    X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15) X(16) X(17) X(18) X(19) X(20) X(21) X(22) X(23)
static const rfm_column cohort_columns[] = {{"clients", RFM_FIGURE_COUNT},
#define X(number) {"m" #number, RFM_FIGURE_SHARE},
                                            LATER(X)
#undef X
};
_Static_assert(sizeof cohort_columns / sizeof *cohort_columns == RFM_COHORT_MONTHS, "a column for each month");

static void add_cohorts(struct making *making)
{
    const rfm_kpi_query *query = making->query;
    int32_t to = query->by_day ? rfm_month_of_day(query->to) : query->to;
    rfm_sheet *sheet = add_sheet(making->report, "cohorts", "month", cohort_columns, RFM_COHORT_MONTHS,
                                 RFM_COHORT_MONTHS);
    for (int32_t first = to - RFM_COHORT_MONTHS + 1; first <= to; first++) {
        int64_t clients = cell_of(making, RFM_KPI_COHORT, first, 0);
        if (clients == 0) {
            continue;
        }
        rfm_figure *row = add_row(sheet, period_text(&making->report->arena, false, first));
        row[0] = count(clients);
        for (int32_t later = 1; later < RFM_COHORT_MONTHS && first + later <= to; later++) {
            int64_t bought = cell_of(making, RFM_KPI_COHORT, first, (unsigned)later);
            row[later] = share((double)bought, (double)clients);
        }
    }
}

/* -- value */

static const rfm_column value_columns[] = {
    {"clients", RFM_FIGURE_COUNT},      {"buyers", RFM_FIGURE_COUNT},          {"revenue", RFM_FIGURE_MONEY},
    {"ltv_historic", RFM_FIGURE_MONEY}, {"ltv_predicted", RFM_FIGURE_MONEY},   {"ltv", RFM_FIGURE_MONEY},
    {"cac", RFM_FIGURE_MONEY},          {"ltv_to_cac", RFM_FIGURE_NUMBER},     {"top_share", RFM_FIGURE_SHARE},
    {"nps", RFM_FIGURE_NUMBER},         {"nps_answers", RFM_FIGURE_COUNT},     {"csat", RFM_FIGURE_NUMBER},
    {"csat_answers", RFM_FIGURE_COUNT}, {"open_complaints", RFM_FIGURE_COUNT},
};
enum { VALUE_COLUMNS = sizeof value_columns / sizeof *value_columns };

/* What clients now are, in one place. */
struct standings {
    int64_t clients, buyers, turnover_minor, promoters, detractors, nps_answers, csat_answers, csat_sum, complaints;
    double predicted_minor;
};

static void sum_standings(const rfm_tally *tally, uint16_t source, struct standings *out)
{
    *out = (struct standings){.buyers = rfm_tally_get(tally, (rfm_cell){RFM_KPI_CLIENTS, 0, 0, source}),
                              .turnover_minor = rfm_tally_get(tally, (rfm_cell){RFM_KPI_TURNOVER, 0, 0, source}),
                              .csat_answers = rfm_tally_get(tally, (rfm_cell){RFM_KPI_CSAT, 0, 0, source}),
                              .csat_sum = rfm_tally_get(tally, (rfm_cell){RFM_KPI_CSAT_SUM, 0, 0, source}),
                              .complaints = rfm_tally_get(tally, (rfm_cell){RFM_KPI_COMPLAINTS, 0, 0, source}),
                              .predicted_minor = NAN};
    for (unsigned lifecycle = 0; lifecycle < RFM_LIFECYCLE_COUNT; lifecycle++) {
        out->clients += rfm_tally_get(tally, (rfm_cell){RFM_KPI_LIFECYCLE, 0, (uint16_t)lifecycle, source});
    }
    for (unsigned score = 0; score <= 10; score++) {
        int64_t clients = rfm_tally_get(tally, (rfm_cell){RFM_KPI_NPS, 0, (uint16_t)score, source});
        out->nps_answers += clients;
        out->promoters += score >= 9 ? clients : 0;
        out->detractors += score <= 6 ? clients : 0;
    }
}

static double mean_of(double sum, int64_t clients)
{
    return clients > 0 ? sum / (double)clients : NAN;
}

static rfm_figure nps_of(const struct standings *at)
{
    return number(100 * mean_of((double)(at->promoters - at->detractors), at->nps_answers));
}

/* What all sources expect, or the one. */
static double predicted_of(const struct making *making)
{
    const double *predicted = making->sums->predicted_minor;
    if (predicted == NULL || making->source > 0) {
        return predicted ? predicted[making->source] : NAN;
    }
    double sum = 0;
    for (size_t i = 0; i <= RFM_NAMES_MAX; i++) {
        sum += predicted[i];
    }
    return sum;
}

/* The smallest share of the clients with purchases that brings 80 % of what all of them do, the dearest first: each
 * bucket's at its middle, which is within 1 % of what they bring. */
static double top_share(const rfm_population *population, int64_t turnover_minor)
{
    double sum = 0, goal = .8 * (double)turnover_minor;
    int64_t all = 0, top = -1, dearer = 0;
    for (unsigned bucket = RFM_BUCKETS; bucket-- > 0;) {
        int64_t clients = rfm_population_bucket_count(population, (uint16_t)bucket);
        all += clients;
        if (clients == 0 || bucket == 0 || top >= 0) {
            continue;
        }
        double least = (double)rfm_monetary_least((uint16_t)bucket);
        double middle = (least + fmax(least, (double)rfm_monetary_least((uint16_t)(bucket + 1)) - 1)) / 2;
        if (sum + middle * (double)clients >= goal) {
            top = dearer + (int64_t)ceil((goal - sum) / middle);
        }
        sum += middle * (double)clients;
        dearer += clients;
    }
    top = top < 0 ? dearer : top;
    return turnover_minor > 0 && all > 0 ? (double)top / (double)all : NAN;
}

/* Costs and new clients of the report's periods. */
static double cac_of(const struct making *making)
{
    int64_t cost_minor = 0, fresh = 0;
    for (int64_t at = making->query->from; at <= making->query->to; at++) {
        struct period sums;
        sum_period(making, (int32_t)at, &sums);
        cost_minor += sums.cost_minor;
        fresh += sums.fresh;
    }
    return mean_of((double)cost_minor, fresh);
}

static void add_value(struct making *making)
{
    struct standings at;
    sum_standings(making->selected, 0, &at);
    double margin = making->query->margin, cac = cac_of(making);
    double historic = margin * mean_of((double)at.turnover_minor, at.buyers);
    double predicted = margin * mean_of(predicted_of(making), at.buyers);
    double ltv = historic + predicted;
    rfm_sheet *sheet = add_sheet(making->report, "value", "of", value_columns, VALUE_COLUMNS, 1);
    const rfm_figure row[VALUE_COLUMNS] = {
        count(at.clients),
        count(at.buyers),
        count(at.turnover_minor),
        money(historic),
        money(predicted),
        money(ltv),
        money(cac),
        number(cac > 0 ? ltv / cac : NAN),
        number(making->source > 0 ? NAN : top_share(making->sums->population, at.turnover_minor)),
        nps_of(&at),
        count(at.nps_answers),
        number(mean_of((double)at.csat_sum / 100, at.csat_answers)),
        count(at.csat_answers),
        count(at.complaints),
    };
    memcpy(add_row(sheet, rfm_text(making->query->source ? making->query->source : "all")), row, sizeof row);
}

/* -- sources */

static const rfm_column source_columns[] = {
    {"clients", RFM_FIGURE_COUNT}, {"buyers", RFM_FIGURE_COUNT},          {"new_clients", RFM_FIGURE_COUNT},
    {"orders", RFM_FIGURE_COUNT},  {"revenue", RFM_FIGURE_MONEY},         {"cost", RFM_FIGURE_MONEY},
    {"cac", RFM_FIGURE_MONEY},     {"ltv_historic", RFM_FIGURE_MONEY},    {"ltv_predicted", RFM_FIGURE_MONEY},
    {"ltv", RFM_FIGURE_MONEY},     {"ltv_to_cac", RFM_FIGURE_NUMBER},     {"nps", RFM_FIGURE_NUMBER},
    {"csat", RFM_FIGURE_NUMBER},   {"open_complaints", RFM_FIGURE_COUNT},
};
enum { SOURCE_COLUMNS = sizeof source_columns / sizeof *source_columns };

/* Of one source within the months of the report. */
struct source_sums {
    int64_t orders, revenue_minor, fresh, cost_minor;
};

static struct source_sums sum_source(const rfm_tally *tally, int32_t from, int32_t to, uint16_t source)
{
    struct source_sums sums = {0};
    for (int32_t month = from < 0 ? 0 : from; month <= to; month++) {
        sums.orders += rfm_tally_get(tally, (rfm_cell){RFM_KPI_ORDERS_OF, month, 0, source});
        sums.revenue_minor += rfm_tally_get(tally, (rfm_cell){RFM_KPI_REVENUE_OF, month, 0, source});
        sums.fresh += rfm_tally_get(tally, (rfm_cell){RFM_KPI_NEW_OF, month, 0, source});
        sums.cost_minor += rfm_tally_get(tally, (rfm_cell){RFM_KPI_COST_OF, month, 0, source});
    }
    return sums;
}

static void source_row(const struct making *making, const struct counted *source, const struct source_sums *sums,
                       rfm_figure *figures)
{
    struct standings at;
    sum_standings(making->sums->tally, source->number, &at);
    const double *expected = making->sums->predicted_minor;
    double cac = mean_of((double)sums->cost_minor, sums->fresh), margin = making->query->margin;
    double historic = margin * mean_of((double)at.turnover_minor, at.buyers);
    double predicted = margin * mean_of(expected ? expected[source->number] : NAN, at.buyers);
    const rfm_figure row[SOURCE_COLUMNS] = {
        count(at.clients),
        count(at.buyers),
        count(sums->fresh),
        count(sums->orders),
        count(sums->revenue_minor),
        count(sums->cost_minor),
        money(cac),
        money(historic),
        money(predicted),
        money(historic + predicted),
        number(cac > 0 ? (historic + predicted) / cac : NAN),
        nps_of(&at),
        number(mean_of((double)at.csat_sum / 100, at.csat_answers)),
        count(at.complaints),
    };
    memcpy(figures, row, sizeof row);
}

/* Those that any cell names; RFM_NAMES_MAX at most. */
static size_t find_sources(struct making *making, struct counted *sources)
{
    bool *named = calloc(RFM_NAMES_MAX + 1, sizeof *named);
    RFM_NEED(named);
    rfm_cell cell;
    int64_t value;
    size_t found = 0;
    for (size_t cursor = 0; rfm_tally_next(making->sums->tally, &cursor, &cell, &value);) {
        named[cell.source] = named[cell.source] || !rfm_kpi_is_of_rule(cell.metric);
    }
    for (size_t i = 1; i <= RFM_NAMES_MAX; i++) {
        if (named[i]) {
            struct standings at;
            sum_standings(making->sums->tally, (uint16_t)i, &at);
            sources[found++] = (struct counted){rfm_names_text(making->sums->names, (uint16_t)i), at.clients,
                                                (uint16_t)i};
        }
    }
    free(named);
    qsort(sources, found, sizeof *sources, compare_counted);
    return found;
}

/* The last row is of clients without a source: what is left of all. */
static void add_sources(struct making *making)
{
    const rfm_kpi_query *query = making->query;
    int32_t from = query->by_day ? rfm_month_of_day(query->from) : query->from;
    int32_t to = query->by_day ? rfm_month_of_day(query->to) : query->to;
    struct counted *sources = rfm_arena_take(&making->report->arena, RFM_NAMES_MAX * sizeof *sources);
    size_t found = find_sources(making, sources);
    rfm_sheet *sheet = add_sheet(making->report, "sources", "source", source_columns, SOURCE_COLUMNS, found + 1);
    struct source_sums left = sum_source(making->selected, from, to, 0);
    for (size_t i = 0; i < found; i++) {
        struct source_sums sums = sum_source(making->sums->tally, from, to, sources[i].number);
        source_row(making, &sources[i], &sums, add_row(sheet, sources[i].name));
        left.orders -= sums.orders;
        left.revenue_minor -= sums.revenue_minor;
        left.fresh -= sums.fresh;
        left.cost_minor -= sums.cost_minor;
    }
    source_row(making, &(struct counted){.number = 0}, &left, add_row(sheet, RFM_BYTES_NONE));
}

/* -- the whole */

static int check_query(const rfm_kpi_sums *sums, const rfm_kpi_query *query, uint16_t *source, rfm_error *error)
{
    int64_t periods = (int64_t)query->to - query->from + 1;
    *source = query->source ? rfm_names_find(sums->names, rfm_text(query->source)) : 0;
    if (periods < 1 || periods > RFM_KPI_PERIODS_MAX) {
        return rfm_fail(error, RFM_E_RANGE, "%s: a report has 1 to %d periods",
                        periods < 1 ? "it would end before it begins" : "too many periods", RFM_KPI_PERIODS_MAX);
    }
    if (query->source && *source == 0) {
        return rfm_fail(error, RFM_E_NOT_FOUND, "no client has come from source '%s'", query->source);
    }
    return RFM_OK;
}

int rfm_kpi_report_init(rfm_kpi_report *report, const rfm_kpi_sums *sums, const rfm_kpi_query *query, rfm_error *error)
{
    struct making making = {.report = report, .sums = sums, .query = query};
    *report = (rfm_kpi_report){.query = *query};
    rfm_arena_init(&report->arena);
    int code = check_query(sums, query, &making.source, error);
    if (code != RFM_OK) {
        return code;
    }
    making.selected = select_cells(sums, making.source);
    add_periods(&making, "periods", period_columns, PERIOD_COLUMNS, period_figures);
    add_value(&making);
    add_lifecycle(&making);
    add_segments(&making);
    add_named(&making);
    if (!query->by_day) {
        add_periods(&making, "funnel", funnel_columns, FUNNEL_COLUMNS, funnel_figures);
    }
    if (making.source == 0) {
        add_periods(&making, "events", event_columns, STAGES, event_figures);
    }
    add_cohorts(&making);
    if (making.source == 0) {
        add_sources(&making);
    }
    rfm_tally_free(making.selected);
    return RFM_OK;
}

void rfm_kpi_report_release(rfm_kpi_report *report)
{
    rfm_arena_release(&report->arena);
}
