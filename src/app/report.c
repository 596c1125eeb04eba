#include "report.h"

#include "experiments.h"
#include "report_text.h"
#include "tables.h"

enum { MONTHS_SHOWN = 12, DAYS_SHOWN = 30 };

/* -- what is asked for */

/* "2026-11" or "2026-11-22", as the first and the last day that it means. */
static bool parse_period(const char *text, int32_t *first_day, int32_t *last_day)
{
    char day[16];
    int32_t month_day;
    if (rfm_date_parse(rfm_text(text), first_day) == RFM_OK) {
        *last_day = *first_day;
        return true;
    }
    if (strlen(text) != 7 || snprintf(day, sizeof day, "%s-01", text) != 10 ||
        rfm_date_parse(rfm_text(day), &month_day) != RFM_OK)
        return false;
    *first_day = month_day;
    *last_day = rfm_month_first_day(rfm_month_of_day(month_day) + 1) - 1;
    return true;
}

static bool option_period(const char *command, const rfm_option *option, int32_t *first_day, int32_t *last_day)
{
    if (!option->given || parse_period(option->value, first_day, last_day))
        return true;
    fprintf(stderr, "rfmd %s: --%s '%s' is neither a month (2026-01) nor a day (2026-01-31)\n", command, option->name,
            option->value);
    return false;
}

bool rfm_report_query(const char *command, const rfm_option *options, const rfm_config *config, int64_t as_of_ms,
                      rfm_kpi_query *query)
{
    const rfm_option *by = &options[RFM_REPORT_BY], *source = &options[RFM_REPORT_SOURCE];
    const rfm_option *from = &options[RFM_REPORT_FROM], *to = &options[RFM_REPORT_TO];
    int32_t today = rfm_zone_day(config->client.zone, as_of_ms), first[2] = {today, today}, last[2] = {today, today};
    bool by_day = by->given && strcmp(by->value, "day") == 0;
    if (by->given && !by_day && strcmp(by->value, "month") != 0) {
        fprintf(stderr, "rfmd %s: --%s '%s' is neither month nor day\n", command, by->name, by->value);
        return false;
    }
    if (by_day && source->given) {
        fprintf(stderr, "rfmd %s: --%s: figures by source are kept by month, not by day\n", command, source->name);
        return false;
    }
    if (!option_period(command, from, &first[0], &last[0]) || !option_period(command, to, &first[1], &last[1]))
        return false;
    *query = (rfm_kpi_query){.by_day = by_day,
                             .to = by_day ? last[1] : rfm_month_of_day(last[1]),
                             .source = source->given ? source->value : NULL,
                             .margin = config->margin,
                             .as_of_ms = as_of_ms};
    query->from = query->to - (by_day ? DAYS_SHOWN : MONTHS_SHOWN) + 1;
    if (from->given)
        query->from = by_day ? first[0] : rfm_month_of_day(first[0]);
    return true;
}

bool rfm_report_format_of(const char *command, const rfm_option *option, rfm_report_format *format)
{
    static const char *const names[] = {"text", "csv", "json"};
    if (!option->given)
        return true;
    for (int i = 0; i < 3; i++)
        if (strcmp(option->value, names[i]) == 0) {
            *format = (rfm_report_format)i;
            return true;
        }
    fprintf(stderr, "rfmd %s: --%s '%s' is neither text, csv nor json\n", command, option->name, option->value);
    return false;
}

/* -- sums */

static int add_client(rfm_kpi_sums *sums, const rfm_names *names, rfm_bytes id, rfm_bytes packed,
                      const rfm_config *config, int64_t as_of_ms, rfm_error *error)
{
    static _Thread_local rfm_client client;
    int code = rfm_client_decode(packed, &client);
    if (code != RFM_OK)
        return rfm_fail(error, code, "client '%.*s': %s", (int)id.len, (const char *)id.at, rfm_error_text(code));
    rfm_kpi_sums_expect(sums, names, &client, &config->client, as_of_ms);
    return RFM_OK;
}

static int add_tables(const rfm_tables *from, rfm_names *names, rfm_kpi_sums *sums, rfm_error *error)
{
    int code = rfm_tables_names(from, names, error);
    if (code == RFM_OK)
        code = rfm_tables_kpi(from, sums, names, error);
    return code == RFM_OK ? rfm_tables_population(from, sums->population, error) : code;
}

int rfm_report_add_view(rfm_kpi_sums *sums, const rfm_view *view, const rfm_config *config, int64_t as_of_ms,
                        rfm_error *error)
{
    rfm_names *names = rfm_names_new();
    rfm_bytes id, state;
    rfm_view_cursor cursor = {0};
    int code = add_tables(&(rfm_tables){.view = view}, names, sums, error);
    while (code == RFM_OK && rfm_view_next_client(view, &cursor, &id, &state))
        code = add_client(sums, names, id, state, config, as_of_ms, error);
    rfm_names_free(names);
    return code;
}

int rfm_report_write(FILE *file, const rfm_kpi_sums *sums, const rfm_kpi_query *query, const rfm_config *config,
                     rfm_report_format format, rfm_error *error)
{
    const rfm_money_conf *money = &config->client.money;
    rfm_kpi_report report;
    rfm_buffer text;
    rfm_buffer_init(&text, 256 << 20);
    int code = rfm_kpi_report_init(&report, sums, query, error);
    if (code == RFM_OK && format == RFM_REPORT_JSON) {
        rfm_kpi_report_json(&report, money, &text);
        rfm_write_u8(&text, '\n');
    } else if (code == RFM_OK) {
        (format == RFM_REPORT_CSV ? rfm_report_csv : rfm_report_text)(&report, money, &text);
    }
    if (code == RFM_OK && text.bad)
        code = rfm_fail(error, RFM_E_FULL, "the report is too large: ask for fewer periods");
    if (code == RFM_OK)
        fwrite(text.at, 1, text.len, file);
    rfm_kpi_report_release(&report);
    rfm_buffer_release(&text);
    return code;
}

/* -- the command: from Redis */

struct reading {
    const rfm_config *config;
    rfm_store_reader *reader;
    rfm_kpi_sums sums;
    rfm_names *names; /* of the task at hand */
    int64_t as_of_ms;
    bool experiments; /* instead of the business: they need no clients */
    rfm_error error;
    int code;
};

static bool on_client(void *owner, rfm_bytes id, rfm_bytes value)
{
    struct reading *reading = owner;
    reading->code = add_client(&reading->sums, reading->names, id, value, reading->config, reading->as_of_ms,
                               &reading->error);
    return reading->code == RFM_OK;
}

static int read_all(struct reading *reading)
{
    uint32_t partitions = 0;
    int code = rfm_tables_open(reading->config, &reading->reader, &partitions, &reading->error);
    for (uint32_t task = 0; code == RFM_OK && task < partitions; task++) {
        rfm_show_partition(task, partitions);
        rfm_tables from = {.reader = reading->reader, .task = task};
        code = add_tables(&from, reading->names, &reading->sums, &reading->error);
        if (code == RFM_OK && !reading->experiments)
            code = rfm_tables_clients(&from, on_client, reading, &reading->error);
        if (code == RFM_OK)
            code = reading->code;
    }
    rfm_show_partition(partitions, partitions);
    return code;
}

static int report(struct reading *reading, const rfm_kpi_query *query, rfm_report_format format)
{
    reading->names = rfm_names_new();
    rfm_kpi_sums_init(&reading->sums);
    int code = read_all(reading);
    if (code == RFM_OK && reading->experiments)
        code = rfm_experiments_write(stdout, &reading->sums, reading->as_of_ms, reading->config, format,
                                     &reading->error);
    else if (code == RFM_OK)
        code = rfm_report_write(stdout, &reading->sums, query, reading->config, format, &reading->error);
    if (code != RFM_OK)
        fprintf(stderr, "rfmd report: %s\n", reading->error.message);
    rfm_store_reader_free(reading->reader);
    rfm_kpi_sums_release(&reading->sums);
    rfm_names_free(reading->names);
    return code;
}

int rfm_report_command(int argc, char **argv)
{
    enum { CONFIG, EXPERIMENTS, QUERY, OPTION_COUNT = QUERY + RFM_REPORT_OPTIONS };
    rfm_option options[OPTION_COUNT] = {{.name = "config", .letter = 'c'},
                                        {.name = "experiments", .flag = true},
                                        {.name = "by"},
                                        {.name = "from"},
                                        {.name = "to"},
                                        {.name = "source"},
                                        {.name = "format"}};
    struct reading reading = {.as_of_ms = rfm_clock_wall_ms()};
    rfm_report_format format = RFM_REPORT_TEXT;
    rfm_kpi_query query;
    int operand_at, exit_code = rfm_options_parse("report", argc, argv, options, OPTION_COUNT, &operand_at);
    if (exit_code >= 0)
        return exit_code;
    if (!rfm_options_end("report", argc, argv, operand_at))
        return RFM_EXIT_USAGE;
    rfm_config *config = rfm_command_config("report", &options[CONFIG], &exit_code);
    if (config == NULL)
        return exit_code;
    reading.config = config;
    reading.experiments = options[EXPERIMENTS].given;
    exit_code = RFM_EXIT_USAGE;
    if (rfm_report_query("report", &options[QUERY], config, reading.as_of_ms, &query) &&
        rfm_report_format_of("report", &options[QUERY + RFM_REPORT_FORMAT], &format))
        exit_code = rfm_exit_code_of(report(&reading, &query, format));
    rfm_config_free(config);
    return exit_code;
}
