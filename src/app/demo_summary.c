#include "demo_summary.h"

#include "adapter_conf.h"
#include "demo_screen.h"
#include "state_json.h"
#include "tables.h"

#include <stdio.h>
#include <stdlib.h>

struct census {
    const rfm_config *config;
    rfm_store_reader *reader;
    uint32_t partition_count;
    rfm_edges edges;
    int64_t now_ms;
    uint64_t clients, segments[RFM_SEGMENTS_MAX], lifecycles[RFM_LIFECYCLE_COUNT];
    char most[RFM_CLIENT_ID_MAX + 1]; /* the client with most orders */
    uint32_t most_orders;
    rfm_client client;
};

static bool count_client(void *owner, rfm_bytes id, rfm_bytes value)
{
    struct census *census = owner;
    rfm_client *client = &census->client;
    rfm_scores scores;
    if (rfm_client_decode(value, client) != RFM_OK)
        return true;
    rfm_scores_at(client, &census->config->client, &census->edges, census->now_ms, &scores);
    census->clients++;
    census->segments[scores.segment]++;
    census->lifecycles[scores.lifecycle]++;
    if (client->orders > census->most_orders && id.len <= RFM_CLIENT_ID_MAX) {
        census->most_orders = client->orders;
        snprintf(census->most, sizeof census->most, "%.*s", (int)id.len, (const char *)id.at);
    }
    return true;
}

static void print_share(const char *name, uint64_t count, uint64_t of)
{
    char number[32];
    int bar = of > 0 ? (int)(count * 40 / of) : 0;
    printf("  %-24s %10s  %5.1f %%  %.*s\n", name, rfm_demo_grouped(count, number),
           of > 0 ? 100.0 * (double)count / (double)of : 0, bar, "########################################");
}

static void print_census(const struct census *census)
{
    const rfm_segments *segments = &census->config->client.segments;
    printf("\nSegments (by recency, frequency and monetary value)\n");
    for (size_t i = 0; i < segments->count; i++)
        if (census->segments[i] > 0)
            print_share(segments->name[i], census->segments[i], census->clients);
    printf("\nLifecycle (by the chance to buy again)\n");
    for (size_t i = 0; i < RFM_LIFECYCLE_COUNT; i++)
        if (census->lifecycles[i] > 0)
            print_share(rfm_lifecycle_name((rfm_lifecycle)i), census->lifecycles[i], census->clients);
}

static int print_client(struct census *census, const char *id, rfm_error *error)
{
    rfm_bytes value;
    rfm_buffer json, packed;
    rfm_names *names = rfm_names_new();
    rfm_buffer_init(&json, 1 << 20);
    rfm_buffer_init(&packed, RFM_CLIENT_PACKED_MAX);
    uint32_t task = rfm_partition_of(census->config->kafka.partitioner, rfm_text(id), census->partition_count);
    rfm_tables from = {.reader = census->reader, .task = task};
    int code = rfm_tables_client(&from, rfm_text(id), &value, error);
    if (code == RFM_OK && value.at != NULL) {
        rfm_write_bytes(&packed, value); /* the reader's memory is used again for the names */
        code = rfm_tables_names(&from, names, error);
        if (code == RFM_OK)
            code = rfm_state_json(&json, rfm_text(id), rfm_buffer_view(&packed), &census->config->client, names,
                                  &census->edges, census->now_ms, error);
        if (code == RFM_OK)
            printf("\nA client, as `rfmd client` shows it\n%.*s\n", (int)json.len, (const char *)json.at);
    }
    rfm_buffer_release(&packed);
    rfm_buffer_release(&json);
    rfm_names_free(names);
    return code;
}

int rfm_demo_summary_clients(const rfm_config *config, uint32_t partition_count, const char *client_id,
                             rfm_error *error)
{
    struct census *census = calloc(1, sizeof *census);
    rfm_store_conf conf;
    RFM_NEED(census != NULL);
    census->config = config;
    census->partition_count = partition_count;
    census->now_ms = rfm_clock_wall_ms();
    rfm_store_conf_of(config, partition_count, &conf);
    int code = rfm_store_reader_new(&conf, &census->reader, error);
    if (code == RFM_OK)
        code = rfm_tables_edges(census->reader, NULL, partition_count, NULL, &census->edges, error);
    for (uint32_t task = 0; code == RFM_OK && task < partition_count; task++)
        code = rfm_tables_clients(&(rfm_tables){.reader = census->reader, .task = task}, count_client, census, error);
    if (code == RFM_OK) {
        print_census(census);
        const char *id = *client_id != 0 ? client_id : census->most;
        if (*id != 0)
            code = print_client(census, id, error);
    }
    rfm_store_reader_free(census->reader);
    free(census);
    return code;
}
