#include "command.h"
#include "event_files.h"
#include "experiments.h"
#include "offline.h"
#include "record_text.h"
#include "state_json.h"
#include "tables.h"

#include <errno.h>
#include <rfm/base/grow.h>
#include <rfm/base/utf8.h>
#include <rfm/event/headers.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* One output: lines are gathered over a stretch of the clock and written in the order of (time, client, decision), so
 * that neither the number of partitions nor the size of batches shows. */
struct line {
    rfm_bytes time, client, text;
    size_t number; /* among those gathered: a client's lines come as they were decided */
};
struct output {
    const char *name;
    FILE *file; /* NULL: not asked for */
    struct line *lines;
    size_t count, size;
    uint64_t written;
};

struct replay {
    rfm_config *config;
    rfm_offline *offline;
    struct output triggers, audit, dead_letters, clients, report, experiments;
    const rfm_option *report_options;
    rfm_arena arena; /* of the lines that are gathered */
    rfm_arena early; /* unreadable lines before the first event */
    rfm_bytes *early_lines;
    size_t early_count, early_size;
    int64_t clock_ms, until_ms;
    rfm_format format;
    uint64_t events;
};

static bool open_output(struct output *output, const rfm_option *option)
{
    output->name = option->value;
    if (!option->given)
        return true;
    output->file = strcmp(option->value, "-") == 0 ? stdout : fopen(option->value, "w");
    if (output->file == NULL)
        fprintf(stderr, "rfmd replay: --%s %s: %s\n", option->name, option->value, strerror(errno));
    return output->file != NULL;
}

static bool close_output(struct output *output)
{
    free(output->lines);
    if (output->file == NULL)
        return true;
    bool good = !ferror(output->file) && fflush(output->file) == 0;
    if (output->file != stdout)
        good = fclose(output->file) == 0 && good;
    if (!good)
        fprintf(stderr, "rfmd replay: %s: %s\n", output->name, strerror(errno));
    return good;
}

static int compare_lines(const void *left, const void *right)
{
    const struct line *a = left, *b = right;
    int order = rfm_bytes_compare(a->time, b->time);
    if (order == 0)
        order = rfm_bytes_compare(a->client, b->client);
    return order != 0 ? order : (a->number > b->number) - (a->number < b->number);
}

static void write_lines(struct output *output)
{
    if (output->file == NULL || output->count == 0)
        return;
    if (output->lines[0].time.len > 0)
        qsort(output->lines, output->count, sizeof *output->lines, compare_lines);
    for (size_t i = 0; i < output->count; i++) {
        fwrite(output->lines[i].text.at, 1, output->lines[i].text.len, output->file);
        fputc('\n', output->file);
    }
    output->written += output->count;
    output->count = 0;
}

static void add_line(struct output *output, const struct line *added)
{
    output->lines = rfm_grow(output->lines, output->count, &output->size);
    output->lines[output->count] = *added;
    output->lines[output->count].number = output->count;
    output->count++;
}

static void write_sized_json(rfm_buffer *json, rfm_bytes text)
{
    if (text.at == NULL)
        rfm_write_text(json, "null");
    else
        rfm_write_json_string(json, text);
}

/* {"key": ..., "value": ..., "headers": {...}}; bytes that are not UTF-8 become U+FFFD. The partition is 0 and the
 * offset the number of the event, since results do not depend on --partitions. */
static rfm_bytes dead_letter_json(struct replay *replay, const rfm_message *message)
{
    rfm_buffer json;
    rfm_bytes rest = message->headers, name, value;
    rfm_buffer_init(&json, 8 << 20);
    rfm_write_text(&json, "{\"key\":");
    write_sized_json(&json, message->key);
    rfm_write_text(&json, ",\"value\":");
    write_sized_json(&json, message->value);
    rfm_write_text(&json, ",\"headers\":{");
    for (bool first = true; rfm_headers_next(&rest, &name, &value); first = false) {
        if (!first)
            rfm_write_u8(&json, ',');
        rfm_write_json_string(&json, name);
        rfm_write_u8(&json, ':');
        write_sized_json(&json, rfm_bytes_is(name, "rfmd.partition") ? rfm_text("0") : value);
    }
    rfm_write_text(&json, "}}");
    rfm_bytes copy = rfm_arena_copy(&replay->arena, rfm_buffer_view(&json));
    rfm_buffer_release(&json);
    return copy;
}

static void take_message(void *owner, const rfm_message *message)
{
    struct replay *replay = owner;
    if (message->topic == RFM_TOPIC_DEAD_LETTERS) {
        if (replay->dead_letters.file != NULL)
            add_line(&replay->dead_letters, &(struct line){.text = dead_letter_json(replay, message)});
        return;
    }
    struct output *output = message->topic == RFM_TOPIC_AUDIT ? &replay->audit : &replay->triggers;
    if (output->file == NULL)
        return;
    struct line line = {.client = rfm_arena_copy(&replay->arena, message->key)};
    rfm_record_text(message, &replay->arena, &line.text, &line.time);
    if (replay->config->rules.structured)
        line.text = rfm_arena_copy(&replay->arena, message->value);
    add_line(output, &line);
}

/* Writes what was gathered up to a moment that the clock has wholly passed. */
static void flush_lines(struct replay *replay)
{
    write_lines(&replay->triggers);
    write_lines(&replay->audit);
    write_lines(&replay->dead_letters);
    rfm_arena_reset(&replay->arena);
}

static int feed(struct replay *replay, const rfm_event_line *event, rfm_error *error)
{
    replay->events++;
    return rfm_offline_event(replay->offline, event->client_id, event->value, replay->clock_ms, error);
}

static int feed_early(struct replay *replay, rfm_error *error)
{
    for (size_t i = 0; i < replay->early_count; i++) {
        int code = feed(replay, &(rfm_event_line){.value = replay->early_lines[i]}, error);
        if (code != RFM_OK)
            return code;
    }
    replay->early_count = 0;
    return RFM_OK;
}

static void keep_early(struct replay *replay, rfm_bytes value)
{
    replay->early_lines = rfm_grow(replay->early_lines, replay->early_count, &replay->early_size);
    replay->early_lines[replay->early_count++] = rfm_arena_copy(&replay->early, value);
}

/* Every day of the clock is brought to its end before the next one begins, which bounds what is gathered. */
static int pass_day(struct replay *replay, int64_t time_ms, rfm_error *error)
{
    int64_t day_ms = rfm_div_floor(time_ms, RFM_DAY_MS) * RFM_DAY_MS;
    if (replay->clock_ms == INT64_MIN || day_ms <= replay->clock_ms)
        return RFM_OK;
    int code = rfm_offline_until(replay->offline, day_ms - 1, error);
    flush_lines(replay);
    return code;
}

static int take_line(struct replay *replay, const rfm_event_line *event, rfm_error *error)
{
    if (event->order_ms > replay->until_ms)
        return RFM_OK;
    if (event->time_ms == INT64_MIN && replay->clock_ms == INT64_MIN) {
        keep_early(replay, event->value);
        return RFM_OK;
    }
    if (event->time_ms > replay->clock_ms) {
        int code = pass_day(replay, event->time_ms, error);
        if (code != RFM_OK)
            return code;
        replay->clock_ms = event->time_ms;
        code = feed_early(replay, error);
        if (code != RFM_OK)
            return code;
    }
    return feed(replay, event, error);
}

static int run_days(struct replay *replay, int64_t until_ms, rfm_error *error)
{
    for (int64_t day_ms = rfm_div_floor(replay->clock_ms, RFM_DAY_MS) * RFM_DAY_MS + RFM_DAY_MS; day_ms <= until_ms;
         day_ms += RFM_DAY_MS) {
        int code = rfm_offline_until(replay->offline, day_ms - 1, error);
        if (code != RFM_OK)
            return code;
        flush_lines(replay);
    }
    return rfm_offline_until(replay->offline, until_ms, error);
}

static int finish_clock(struct replay *replay, rfm_error *error)
{
    if (replay->clock_ms == INT64_MIN) { /* no event at all: only dead letters */
        replay->clock_ms = replay->until_ms == INT64_MAX ? 0 : replay->until_ms;
        int code = feed_early(replay, error);
        if (code == RFM_OK)
            code = rfm_offline_until(replay->offline, replay->clock_ms, error);
        flush_lines(replay);
        return code;
    }
    int64_t until_ms = replay->until_ms == INT64_MAX ? replay->clock_ms : replay->until_ms;
    int code = run_days(replay, until_ms, error);
    replay->clock_ms = until_ms;
    rfm_offline_sum_population(replay->offline);
    flush_lines(replay);
    return code;
}

static int add_client(struct replay *replay, rfm_bytes id, rfm_bytes packed, const rfm_names *names, rfm_error *error)
{
    rfm_buffer json;
    rfm_buffer_init(&json, 1 << 20);
    int code = rfm_state_json(&json, id, packed, &replay->config->client, names, rfm_offline_edges(replay->offline),
                              replay->clock_ms, error);
    if (code == RFM_OK)
        add_line(&replay->clients, &(struct line){.time = rfm_text("-"),
                                                  .client = rfm_arena_copy(&replay->arena, id),
                                                  .text = rfm_arena_copy(&replay->arena, rfm_buffer_view(&json))});
    rfm_buffer_release(&json);
    return code;
}

static int add_clients_of(struct replay *replay, const rfm_view *view, rfm_error *error)
{
    rfm_names *names = rfm_names_new();
    rfm_bytes id, packed;
    rfm_view_cursor cursor = {0};
    int code = rfm_tables_names(&(rfm_tables){.view = view}, names, error);
    while (code == RFM_OK && rfm_view_next_client(view, &cursor, &id, &packed))
        code = add_client(replay, id, packed, names, error);
    rfm_names_free(names);
    return code;
}

static int write_clients(struct replay *replay, uint32_t partitions, rfm_error *error)
{
    int code = RFM_OK;
    if (replay->clients.file == NULL)
        return code;
    for (uint32_t i = 0; code == RFM_OK && i < partitions; i++)
        code = add_clients_of(replay, rfm_offline_view(replay->offline, i), error);
    write_lines(&replay->clients);
    return code;
}

static bool ends_in(const char *name, const char *end)
{
    size_t len = strlen(name), end_len = strlen(end);
    return len >= end_len && strcmp(name + len - end_len, end) == 0;
}

static bool asked_well(const struct replay *replay, int64_t as_of_ms, rfm_kpi_query *query, rfm_report_format *format)
{
    return rfm_report_query("replay", replay->report_options, replay->config, as_of_ms, query) &&
           rfm_report_format_of("replay", &replay->report_options[RFM_REPORT_FORMAT], format);
}

static rfm_report_format format_of(const struct output *output)
{
    if (output->name != NULL && ends_in(output->name, ".csv"))
        return RFM_REPORT_CSV;
    return output->name != NULL && ends_in(output->name, ".json") ? RFM_REPORT_JSON : RFM_REPORT_TEXT;
}

static int write_report(struct replay *replay, uint32_t partitions, rfm_error *error)
{
    rfm_kpi_sums sums;
    rfm_kpi_query query;
    rfm_report_format format = format_of(&replay->report);
    if (replay->report.file == NULL && replay->experiments.file == NULL)
        return RFM_OK;
    if (!asked_well(replay, replay->clock_ms, &query, &format))
        return RFM_E_USAGE;
    rfm_kpi_sums_init(&sums);
    int code = RFM_OK;
    for (uint32_t i = 0; code == RFM_OK && i < partitions; i++)
        code = rfm_report_add_view(&sums, rfm_offline_view(replay->offline, i), replay->config, replay->clock_ms,
                                   error);
    if (code == RFM_OK && replay->report.file != NULL)
        code = rfm_report_write(replay->report.file, &sums, &query, replay->config, format, error);
    if (code == RFM_OK && replay->experiments.file != NULL)
        code = rfm_experiments_write(replay->experiments.file, &sums, replay->clock_ms, replay->config,
                                     format_of(&replay->experiments), error);
    rfm_kpi_sums_release(&sums);
    return code;
}

static void say_summary(const struct replay *replay)
{
    const rfm_worker_stats *stats = rfm_offline_stats(replay->offline);
    char until[RFM_TIME_TEXT];
    rfm_time_format(replay->clock_ms, until);
    fprintf(stderr, "%llu events until %s: %llu repeats, %llu dead letters, %llu triggers, %llu held back\n",
            (unsigned long long)replay->events, until, (unsigned long long)stats->repeats,
            (unsigned long long)stats->dead_letters, (unsigned long long)stats->triggers,
            (unsigned long long)stats->suppressions);
    if (stats->ignored > 0)
        fprintf(stderr, "%llu of them ignored: nothing in them is for rfmd\n", (unsigned long long)stats->ignored);
}

static void show_progress(const struct replay *replay)
{
    char clock[RFM_TIME_TEXT];
    if (replay->events % 65536 != 0 || !isatty(STDERR_FILENO) || replay->clock_ms == INT64_MIN)
        return;
    rfm_time_format(replay->clock_ms, clock);
    fprintf(stderr, "\r%llu events, %.10s", (unsigned long long)replay->events, clock);
}

static int run_files(struct replay *replay, const char *const *names, size_t count, uint32_t partitions,
                     rfm_error *error)
{
    rfm_event_files *files = NULL;
    rfm_event_line event;
    bool more = true;
    const rfm_reading reading = {replay->format, replay->config->amount_field};
    int code = rfm_event_files_open(names, count, &reading, &replay->config->client.money, &files, error);
    rfm_offline_calls calls = {take_message, replay};
    if (code == RFM_OK)
        code = rfm_offline_new(replay->config, partitions, replay->format, &calls, &replay->offline, error);
    while (code == RFM_OK && (code = rfm_event_files_next(files, &event, &more, error)) == RFM_OK && more) {
        code = take_line(replay, &event, error);
        show_progress(replay);
    }
    if (code == RFM_OK)
        code = finish_clock(replay, error);
    if (code == RFM_OK)
        code = write_clients(replay, partitions, error);
    if (code == RFM_OK)
        code = write_report(replay, partitions, error);
    if (code == RFM_OK)
        say_summary(replay);
    rfm_event_files_close(files);
    return code;
}

static void release(struct replay *replay)
{
    rfm_offline_free(replay->offline);
    rfm_config_free(replay->config);
    rfm_arena_release(&replay->arena);
    rfm_arena_release(&replay->early);
    free(replay->early_lines);
}

static bool read_format(const rfm_option *option, rfm_format *format)
{
    if (!option->given)
        return true;
    for (int i = 0; i < RFM_FORMAT_COUNT; i++) {
        if (strcmp(option->value, rfm_format_name((rfm_format)i)) != 0)
            continue;
        *format = (rfm_format)i;
        return true;
    }
    fprintf(stderr, "rfmd replay: --format '%s' is none of native, segment, ga4, cloudevents and auto\n",
            option->value);
    return false;
}

enum {
    CONFIG,
    EVENTS,
    UNTIL,
    TRIGGERS,
    AUDIT,
    DEAD_LETTERS,
    CLIENTS,
    PARTITIONS,
    FORMAT,
    EXPERIMENTS,
    REPORT,
    REPORT_QUERY,
    OPTION_COUNT = REPORT_QUERY + RFM_REPORT_OPTIONS
};

/* Operands are events too: --events A B. */
static bool take_operands(const rfm_option *option, int argc, char **argv, int operand_at)
{
    if (!option->given)
        fprintf(stderr, "rfmd replay: no events: give files with --events FILE...\n");
    bool taken = option->given;
    while (taken && operand_at < argc)
        taken = rfm_option_add("replay", option, argv[operand_at++]);
    return taken;
}

int rfm_replay_command(int argc, char **argv)
{
    rfm_option_values events = {.count = 0};
    rfm_option options[OPTION_COUNT] = {{.name = "config", .letter = 'c'},
                                        {.name = "events", .values = &events},
                                        {.name = "until"},
                                        {.name = "triggers"},
                                        {.name = "audit"},
                                        {.name = "dead-letters"},
                                        {.name = "clients"},
                                        {.name = "partitions"},
                                        {.name = "format"},
                                        {.name = "experiments"},
                                        {.name = "report"},
                                        {.name = "report-by"},
                                        {.name = "report-from"},
                                        {.name = "report-to"},
                                        {.name = "report-source"},
                                        {.name = "report-format"}};
    struct replay replay = {.clock_ms = INT64_MIN,
                            .until_ms = INT64_MAX,
                            .format = RFM_FORMAT_AUTO,
                            .report_options = &options[REPORT_QUERY]};
    int64_t partitions = 1;
    int operand_at, exit_code = rfm_options_parse("replay", argc, argv, options, OPTION_COUNT, &operand_at);
    if (exit_code >= 0)
        return exit_code;
    if (!take_operands(&options[EVENTS], argc, argv, operand_at) ||
        !rfm_option_time("replay", &options[UNTIL], &replay.until_ms) ||
        !rfm_option_number("replay", &options[PARTITIONS], 1, RFM_TASKS_MAX, &partitions) ||
        !read_format(&options[FORMAT], &replay.format))
        return RFM_EXIT_USAGE;
    replay.config = rfm_command_config("replay", &options[CONFIG], &exit_code);
    if (replay.config == NULL)
        return exit_code;
    rfm_kpi_query query;
    rfm_report_format format;
    if (!asked_well(&replay, 0, &query, &format)) {
        rfm_config_free(replay.config);
        return RFM_EXIT_USAGE;
    }
    rfm_arena_init(&replay.arena);
    rfm_arena_init(&replay.early);
    bool opened = open_output(&replay.triggers, &options[TRIGGERS]) && open_output(&replay.audit, &options[AUDIT]) &&
                  open_output(&replay.dead_letters, &options[DEAD_LETTERS]) &&
                  open_output(&replay.clients, &options[CLIENTS]) && open_output(&replay.report, &options[REPORT]) &&
                  open_output(&replay.experiments, &options[EXPERIMENTS]);
    rfm_error error = {0};
    int code = opened ? run_files(&replay, events.at, events.count, (uint32_t)partitions, &error) : RFM_E_IO;
    if (opened && code != RFM_OK)
        fprintf(stderr, "rfmd replay: %s\n", error.message);
    struct output *outputs[] = {&replay.triggers, &replay.audit,  &replay.dead_letters,
                                &replay.clients,  &replay.report, &replay.experiments};
    bool closed = true;
    for (size_t i = 0; i < sizeof outputs / sizeof *outputs; i++)
        closed = close_output(outputs[i]) && closed;
    release(&replay);
    if (code == RFM_E_NOT_FOUND || code == RFM_E_RANGE)
        return RFM_EXIT_INPUT;
    return code != RFM_OK ? RFM_EXIT_ENVIRONMENT : closed ? RFM_EXIT_DONE : RFM_EXIT_ENVIRONMENT;
}
