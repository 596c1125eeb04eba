#include "command.h"
#include "host.h"
#include "kafka/topics.h"
#include "population.h"
#include "redis/reader.h"
#include "state_json.h"

#include <stdio.h>
#include <stdlib.h>

struct reading {
    const rfm_config *config;
    rfm_store_reader *reader;
    uint32_t partition_count;
    rfm_names *names; /* of the task at hand */
    rfm_edges edges;
    bool edges_known;
    int64_t as_of_ms;
    bool as_of_given;
    rfm_buffer json;
    rfm_error error;
    int code;
};

static int read_names(struct reading *reading, uint32_t task)
{
    const rfm_bytes *values;
    size_t count;
    rfm_names_clear(reading->names);
    int code = rfm_store_reader_hash(reading->reader, task, rfm_text("names"), &values, &count, &reading->error);
    if (code == RFM_OK && rfm_state_names(reading->names, values, count) != RFM_OK)
        code = rfm_fail(&reading->error, RFM_E_CORRUPT, "task %u: the Redis key 'names' cannot be read", task);
    return code;
}

static int read_population(struct reading *reading)
{
    rfm_population *population = rfm_population_new();
    RFM_NEED(population != NULL);
    int code = RFM_OK;
    for (uint32_t task = 0; code == RFM_OK && task < reading->partition_count; task++)
        for (size_t which = 0; code == RFM_OK && which < 3; which++) {
            const rfm_bytes *values;
            size_t count;
            code = rfm_store_reader_hash(reading->reader, task, rfm_text(rfm_population_key[which]), &values, &count,
                                         &reading->error);
            if (code == RFM_OK)
                rfm_population_add_hash(population, which, values, count);
        }
    rfm_population_edges(population, &reading->edges);
    reading->edges_known = code == RFM_OK;
    rfm_population_free(population);
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

static bool on_client(void *owner, uint32_t task, rfm_bytes key, rfm_bytes value)
{
    (void)task;
    struct reading *reading = owner;
    if (key.len > 2)
        reading->code = print_client(reading, rfm_bytes_of(key.at + 2, key.len - 2), value);
    return reading->code == RFM_OK;
}

static int print_all(struct reading *reading)
{
    for (uint32_t task = 0; task < reading->partition_count; task++) {
        int code = read_names(reading, task);
        if (code == RFM_OK)
            code = rfm_store_reader_scan(reading->reader, task, rfm_text("c:"), on_client, reading, &reading->error);
        if (code == RFM_OK)
            code = reading->code;
        if (code != RFM_OK)
            return code;
    }
    return RFM_OK;
}

static int find_client(struct reading *reading, uint32_t task, const char *id, bool *found)
{
    char key[3 + RFM_CLIENT_ID_MAX];
    rfm_bytes value;
    if (strlen(id) > RFM_CLIENT_ID_MAX)
        return RFM_OK;
    int len = snprintf(key, sizeof key, "c:%s", id);
    int code = rfm_store_reader_get(reading->reader, task, rfm_bytes_of(key, (size_t)len), &value, &reading->error);
    if (code != RFM_OK || value.at == NULL)
        return code;
    *found = true;
    uint8_t *copy = malloc(value.len + 1); /* names are read on the same connection */
    RFM_NEED(copy != NULL);
    memcpy(copy, value.at, value.len);
    size_t len_packed = value.len;
    code = read_names(reading, task);
    if (code == RFM_OK)
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

static int exit_code_of(int code)
{
    if (code == RFM_OK)
        return RFM_EXIT_DONE;
    return code == RFM_E_NOT_FOUND || code == RFM_E_RANGE ? RFM_EXIT_INPUT : RFM_EXIT_ENVIRONMENT;
}

static void say_error(struct reading *reading)
{
    if (reading->error.message[0])
        fprintf(stderr, "rfmd client: %s\n", reading->error.message);
    reading->error = (rfm_error){0};
}

/* One that is not known does not hold back the others. */
static int print_clients(struct reading *reading, char **ids, int id_count)
{
    int code = RFM_OK;
    for (int i = 0; i < id_count && exit_code_of(code) != RFM_EXIT_ENVIRONMENT; i++) {
        int own = print_client_by_id(reading, ids[i]);
        code = own != RFM_OK ? own : code;
        say_error(reading);
    }
    return code;
}

static int read_clients(struct reading *reading, bool all, char **ids, int id_count)
{
    rfm_store_conf conf;
    rfm_store_conf_of(reading->config, 1, &conf);
    int code = rfm_store_reader_new(&conf, &reading->reader, &reading->error);
    if (code != RFM_OK)
        return code;
    code = rfm_store_reader_partitions(reading->reader, &reading->partition_count, &reading->error);
    if (code != RFM_OK)
        return code;
    if (reading->config->client.rfm.r == RFM_AXIS_POPULATION || reading->config->client.rfm.f == RFM_AXIS_POPULATION ||
        reading->config->client.rfm.m == RFM_AXIS_POPULATION)
        code = read_population(reading);
    if (code != RFM_OK)
        return code;
    return all ? print_all(reading) : print_clients(reading, ids, id_count);
}

enum { CONFIG, ALL, AS_OF, OPTION_COUNT };

int rfm_client_command(int argc, char **argv)
{
    rfm_option options[OPTION_COUNT] = {
        {.name = "config", .letter = 'c'}, {.name = "all", .flag = true}, {.name = "as-of"}};
    struct reading reading = {.as_of_ms = rfm_clock_wall_ms()};
    int operand_at, exit_code = rfm_options_parse("client", argc, argv, options, OPTION_COUNT, &operand_at);
    if (exit_code >= 0)
        return exit_code;
    if (options[ALL].given == (operand_at < argc)) {
        fprintf(stderr, "rfmd client: give client ids, or --all\n");
        return RFM_EXIT_USAGE;
    }
    if (!rfm_option_time("client", &options[AS_OF], &reading.as_of_ms))
        return RFM_EXIT_USAGE;
    reading.as_of_given = options[AS_OF].given;
    rfm_config *config = rfm_command_config("client", &options[CONFIG], &exit_code);
    if (config == NULL)
        return exit_code;
    reading.config = config;
    reading.names = rfm_names_new();
    RFM_NEED(reading.names != NULL);
    rfm_buffer_init(&reading.json, 1 << 20);
    int code = read_clients(&reading, options[ALL].given, argv + operand_at, argc - operand_at);
    if (code != RFM_OK)
        say_error(&reading);
    rfm_store_reader_free(reading.reader);
    rfm_names_free(reading.names);
    rfm_buffer_release(&reading.json);
    rfm_config_free(config);
    return exit_code_of(code);
}
