#include "client_history.h"
#include "command.h"
#include "kafka/topics.h"
#include "state_json.h"
#include "tables.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct reading {
    const rfm_config *config;
    rfm_store_reader *reader;
    uint32_t partition_count;
    rfm_names *names; /* of the task at hand */
    rfm_edges edges;
    bool edges_known;
    int64_t as_of_ms;
    bool as_of_given;
    rfm_client_history *history; /* wanted instead of the states; NULL: not */
    rfm_history_wish wish;
    rfm_buffer json;
    rfm_error error;
    int code;
    bool any_ahead; /* a client's last event is after --as-of */
};

static int read_names(struct reading *reading, uint32_t task)
{
    rfm_tables from = {.reader = reading->reader, .task = task};
    return rfm_tables_names(&from, reading->names, &reading->error);
}

static int read_edges(struct reading *reading)
{
    if (!rfm_client_conf_needs_population(&reading->config->client))
        return RFM_OK;
    int code = rfm_tables_edges(reading->reader, NULL, reading->partition_count, NULL, &reading->edges,
                                &reading->error);
    reading->edges_known = code == RFM_OK;
    return code;
}

/* Producers' clocks may be ahead of ours: without --as-of a client's last event is not before its state. */
static int64_t as_of_for(const struct reading *reading, rfm_bytes packed)
{
    static rfm_client client;
    if (reading->as_of_given || rfm_client_decode(packed, &client) != RFM_OK)
        return reading->as_of_ms;
    int64_t last_ms = rfm_client_last_event_ms(&client);
    return last_ms > reading->as_of_ms ? last_ms : reading->as_of_ms;
}

static int print_client(struct reading *reading, rfm_bytes id, rfm_bytes packed)
{
    rfm_buffer_clear(&reading->json);
    int code = rfm_state_json(&reading->json, id, packed, &reading->config->client, reading->names,
                              reading->edges_known ? &reading->edges : NULL, as_of_for(reading, packed),
                              &reading->error);
    if (code != RFM_OK)
        return code;
    rfm_write_u8(&reading->json, '\n');
    fwrite(reading->json.at, 1, reading->json.len, stdout);
    return RFM_OK;
}

static void say_error(struct reading *reading)
{
    if (reading->error.message[0])
        fprintf(stderr, "rfmd client: %s\n", reading->error.message);
    reading->error = (rfm_error){0};
}

/* One whose last event is after --as-of does not hold back the others. */
static bool on_client(void *owner, rfm_bytes id, rfm_bytes value)
{
    struct reading *reading = owner;
    int code = print_client(reading, id, value);
    if (code == RFM_E_RANGE) {
        reading->any_ahead = true;
        say_error(reading);
        return true;
    }
    reading->code = code;
    return code == RFM_OK && !ferror(stdout);
}

static int print_task(struct reading *reading, uint32_t task)
{
    int code = read_names(reading, task);
    if (code == RFM_OK)
        code = rfm_tables_clients(&(rfm_tables){.reader = reading->reader, .task = task}, on_client, reading,
                                  &reading->error);
    return code == RFM_OK ? reading->code : code;
}

static int print_all(struct reading *reading)
{
    int code = RFM_OK;
    bool shown = !isatty(STDOUT_FILENO);
    for (uint32_t task = 0; code == RFM_OK && task < reading->partition_count && !ferror(stdout); task++) {
        if (shown)
            rfm_show_partition(task, reading->partition_count);
        code = print_task(reading, task);
    }
    if (shown)
        rfm_show_partition(reading->partition_count, reading->partition_count);
    return code == RFM_OK && reading->any_ahead ? RFM_E_RANGE : code;
}

static int find_client(struct reading *reading, uint32_t task, const char *id, bool *found)
{
    rfm_bytes value;
    rfm_tables from = {.reader = reading->reader, .task = task};
    int code = rfm_tables_client(&from, rfm_text(id), &value, &reading->error);
    if (code != RFM_OK || value.at == NULL)
        return code;
    *found = true;
    uint8_t *copy = malloc(value.len + 1); /* names are read on the same connection */
    RFM_NEED(copy != NULL);
    memcpy(copy, value.at, value.len);
    size_t len_packed = value.len;
    code = read_names(reading, task);
    if (code == RFM_OK && reading->history != NULL)
        code = rfm_client_history_state(reading->history, id, rfm_bytes_of(copy, len_packed), reading->names,
                                        &reading->error);
    else if (code == RFM_OK)
        code = print_client(reading, rfm_text(id), rfm_bytes_of(copy, len_packed));
    free(copy);
    return code;
}

/* Where the partitioner puts the client; a partitioner that is not known to us: everywhere. */
static int print_client_by_id(struct reading *reading, const char *id)
{
    uint32_t task = rfm_partition_of(reading->config->kafka.partitioner, rfm_text(id), reading->partition_count);
    uint32_t first = task == UINT32_MAX ? 0 : task, last = task == UINT32_MAX ? reading->partition_count - 1 : task;
    bool found = false;
    for (uint32_t i = first; !found && i <= last; i++) {
        int code = find_client(reading, i, id, &found);
        if (code != RFM_OK)
            return code;
    }
    return found ? RFM_OK : rfm_fail(&reading->error, RFM_E_NOT_FOUND, "client '%s' is not known", id);
}

/* One that is not known does not hold back the others. */
static int print_clients(struct reading *reading, char **ids, int id_count)
{
    int code = RFM_OK;
    for (int i = 0; i < id_count && rfm_exit_code_of(code) != RFM_EXIT_ENVIRONMENT; i++) {
        int own = print_client_by_id(reading, ids[i]);
        code = own != RFM_OK ? own : code;
        say_error(reading);
    }
    return code;
}

/* A client without a state may have records all the same: one that was erased. */
static int print_histories(struct reading *reading, char **ids, int id_count)
{
    int code = RFM_OK;
    for (int i = 0; i < id_count; i++)
        rfm_client_history_ask(reading->history, ids[i]);
    for (int i = 0; i < id_count && (code == RFM_OK || code == RFM_E_NOT_FOUND); i++)
        code = print_client_by_id(reading, ids[i]);
    if (code != RFM_OK && code != RFM_E_NOT_FOUND)
        return code;
    reading->error = (rfm_error){0};
    code = rfm_client_history_read(reading->history, &reading->wish, &reading->error);
    if (code == RFM_OK)
        return rfm_client_history_print(reading->history);
    return code == RFM_E_NOT_FOUND ? RFM_E_REFUSED : code; /* a topic */
}

static int read_clients(struct reading *reading, bool all, char **ids, int id_count)
{
    int code = rfm_tables_open(reading->config, &reading->reader, &reading->partition_count, &reading->error);
    if (code != RFM_OK)
        return code;
    if (reading->history != NULL)
        return print_histories(reading, ids, id_count);
    code = read_edges(reading);
    if (code != RFM_OK)
        return code;
    return all ? print_all(reading) : print_clients(reading, ids, id_count);
}

enum { CONFIG, ALL, AS_OF, HISTORY, SINCE, EVERY_PARTITION, OPTION_COUNT };

static bool is_usage_right(const rfm_option *options, bool has_ids)
{
    const char *wrong = NULL;
    if (options[HISTORY].given && options[ALL].given)
        wrong = "--history is of the clients that you name; for everybody read the topics of triggers and the audit";
    else if (options[ALL].given == has_ids)
        wrong = "give client ids, or --all";
    else if (options[HISTORY].given && options[AS_OF].given)
        wrong = "--as-of is for scores, and a history has none; --since TIME leaves out what is older";
    else if (!options[HISTORY].given && (options[SINCE].given || options[EVERY_PARTITION].given))
        wrong = "--since and --every-partition go with --history";
    if (wrong != NULL)
        fprintf(stderr, "rfmd client: %s\n", wrong);
    return wrong == NULL;
}

int rfm_client_command(int argc, char **argv)
{
    rfm_option options[OPTION_COUNT] = {{.name = "config", .letter = 'c'},
                                        {.name = "all", .flag = true},
                                        {.name = "as-of"},
                                        {.name = "history", .flag = true},
                                        {.name = "since"},
                                        {.name = "every-partition", .flag = true}};
    struct reading reading = {.as_of_ms = rfm_clock_wall_ms(), .wish.since_ms = INT64_MIN};
    int operand_at, exit_code = rfm_options_parse("client", argc, argv, options, OPTION_COUNT, &operand_at);
    if (exit_code >= 0)
        return exit_code;
    if (!is_usage_right(options, operand_at < argc) || !rfm_option_time("client", &options[AS_OF], &reading.as_of_ms) ||
        !rfm_option_time("client", &options[SINCE], &reading.wish.since_ms))
        return RFM_EXIT_USAGE;
    reading.as_of_given = options[AS_OF].given;
    reading.wish.every_partition = options[EVERY_PARTITION].given;
    rfm_config *config = rfm_command_config("client", &options[CONFIG], &exit_code);
    if (config == NULL)
        return exit_code;
    reading.config = config;
    reading.history = options[HISTORY].given ? rfm_client_history_new(config) : NULL;
    reading.names = rfm_names_new();
    rfm_buffer_init(&reading.json, 1 << 20);
    int code = read_clients(&reading, options[ALL].given, argv + operand_at, argc - operand_at);
    if (code != RFM_OK)
        say_error(&reading);
    rfm_store_reader_free(reading.reader);
    rfm_client_history_free(reading.history);
    rfm_names_free(reading.names);
    rfm_buffer_release(&reading.json);
    rfm_config_free(config);
    return rfm_exit_code_of(code);
}
