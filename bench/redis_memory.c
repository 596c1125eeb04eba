/* What a population costs in Redis, made for redis_memory.py: the states of a year of `gen`'s shop as the engine keeps
 * them, a task for each 125,000 clients, as Redis commands on the standard output; on the standard error what states
 * are made of.
 *
 * Usage: bench_redis_memory CONFIG CLIENTS EVENTS CLIENTS_FILE
 *
 * One line a client in the file: its kind, the bytes of its id and of its state. */
#include "app/offline.h"
#include "app/shop.h"
#include "redis/command.h"

#include <rfm/engine/keys.h>
#include <rfm/rule/decide.h>
#include <stdio.h>
#include <stdlib.h>

enum { SHOP_CLIENTS = 125000, TASKS = 64, DAYS = 365 };
#define START_MS INT64_C(1735689600000)

typedef enum client_kind { PROSPECT, ONE_ORDER, FEW_ORDERS, MANY_ORDERS, SCHEDULED, KINDS } client_kind;
static const char *const kind_names[] = {"prospect", "one_order", "2-4_orders", "5+_orders", "scheduled"};
_Static_assert(sizeof kind_names / sizeof *kind_names == KINDS, "a name for each");

/* Sections of a state, measured by leaving them out. */
typedef enum part {
    SEEN, /* times elsewhere are places in it, as long as it is there */
    ORDERS,
    MONEY,
    VISITS,
    CHANNELS,
    CONSENTS,
    CATEGORIES,
    SOURCE,
    PROFILE,
    BALANCES,
    MARKS,
    SLOTS,
    PARTS
} part;
static const char *const part_names[] = {"event window", "order window", "money",      "visits",
                                         "channels",     "consents",     "categories", "source",
                                         "profile",      "balances",     "marks",      "timers and slots"};
_Static_assert(sizeof part_names / sizeof *part_names == PARTS, "a name for each");

typedef struct tally {
    uint64_t clients, bytes, parts[PARTS];
} tally;

static tally tallies[KINDS];

static client_kind kind_of(const rfm_client *client)
{
    if (client->listed_ms != 0)
        return SCHEDULED; /* something comes within the day */
    return client->orders == 0   ? PROSPECT
           : client->orders == 1 ? ONE_ORDER
           : client->orders < 5  ? FEW_ORDERS
                                 : MANY_ORDERS;
}

static void leave_out(rfm_client *client, part which)
{
    switch (which) {
    case SEEN: break;
    case ORDERS: client->order_count = 0; break;
    case MONEY:
        client->orders = client->refunds = client->x = client->purchase_months = 0, client->revenue_minor = 0;
        break;
    case VISITS: client->visits = client->stages = 0; break;
    case CHANNELS: client->channel_count = 0; break;
    case CONSENTS: client->consent_count = 0; break;
    case CATEGORIES: client->category_count = 0; break;
    case SOURCE: client->source = 0; break;
    case PROFILE: client->latest_count = client->stamp_count = 0; break;
    case BALANCES: client->points = client->complaints = 0, client->case_count = 0; break;
    case MARKS: client->marks.taken = false; break;
    case SLOTS: client->slots_len = 0, client->listed_ms = client->met_ms = 0, client->left_count = 0; break;
    case PARTS: break;
    }
}

/* Part after part is left out; what each took with it is what it costs beside those that stay. The event window is the
 * rest. */
static client_kind weigh(rfm_bytes packed)
{
    static rfm_client client;
    static uint8_t again[RFM_CLIENT_PACKED_MAX];
    RFM_ASSERT(rfm_client_decode(packed, &client) == RFM_OK);
    client_kind kind = kind_of(&client);
    tally *of = &tallies[kind];
    size_t len = packed.len;
    of->clients++;
    of->bytes += len;
    for (int i = PARTS - 1; i > SEEN; i--) {
        leave_out(&client, (part)i);
        size_t less = rfm_client_encode(&client, again);
        of->parts[i] += len - less;
        len = less;
    }
    of->parts[SEEN] += len;
    return kind;
}

static void report(void)
{
    fprintf(stderr, "%-18s %9s %7s", "kind", "clients", "bytes");
    for (int i = 0; i < PARTS; i++)
        fprintf(stderr, " %*s", (int)strlen(part_names[i]) > 7 ? (int)strlen(part_names[i]) : 7, part_names[i]);
    fputc('\n', stderr);
    for (int kind = 0; kind < KINDS; kind++) {
        const tally *of = &tallies[kind];
        if (of->clients == 0)
            continue;
        fprintf(stderr, "%-18s %9llu %7.1f", kind_names[kind], (unsigned long long)of->clients,
                (double)of->bytes / (double)of->clients);
        for (int i = 0; i < PARTS; i++)
            fprintf(stderr, " %*.1f", (int)strlen(part_names[i]) > 7 ? (int)strlen(part_names[i]) : 7,
                    (double)of->parts[i] / (double)of->clients);
        fputc('\n', stderr);
    }
}

/* The shop's ids have 8 bytes: two more make 10, and the shops' clients different ones. */
static rfm_bytes with_longer_id(rfm_bytes value, int shop, rfm_buffer *room)
{
    static const char name[] = "\"client_id\":\"";
    const uint8_t *at = memmem(value.at, value.len, name, sizeof name - 1);
    RFM_ASSERT(at != NULL);
    size_t before = (size_t)(at - value.at) + sizeof name - 1;
    rfm_buffer_clear(room);
    rfm_write_bytes(room, rfm_bytes_of(value.at, before));
    rfm_write_format(room, "%x-", shop);
    rfm_write_bytes(room, rfm_bytes_of(value.at + before, value.len - before));
    return rfm_buffer_view(room);
}

static void run_shop(rfm_offline *offline, int number, uint32_t clients, uint64_t events)
{
    rfm_shop_conf conf = {
        .seed = 1 + (uint64_t)number, .clients = clients, .start_ms = START_MS, .days = DAYS, .events = events};
    rfm_shop *shop = rfm_shop_new(&conf);
    rfm_shop_event event;
    rfm_error error;
    rfm_buffer room;
    char id[32];
    rfm_buffer_init(&room, 1 << 16);
    while (rfm_shop_next(shop, START_MS + DAYS * RFM_DAY_MS, 0, &event)) {
        snprintf(id, sizeof id, "%x-%.*s", number, (int)event.client_id.len, (const char *)event.client_id.at);
        RFM_ASSERT(rfm_offline_event(offline, rfm_text(id), with_longer_id(event.value, number, &room), event.time_ms,
                                     &error) == RFM_OK);
    }
    RFM_ASSERT(rfm_offline_until(offline, START_MS + DAYS * RFM_DAY_MS, &error) == RFM_OK);
    rfm_buffer_release(&room);
    rfm_shop_free(shop);
}

static void write_view(const rfm_view *view, const rfm_keyspace *space)
{
    static rfm_redo redo;
    int64_t next[RFM_INPUTS_MAX] = {0};
    const rfm_bytes *parts;
    rfm_arena arena;
    rfm_buffer out;
    size_t commands;
    rfm_arena_init(&arena);
    rfm_redo_init(&redo, 0);
    rfm_redo_begin(&redo, 1);
    rfm_view_dump(view, &redo);
    size_t count = rfm_redo_end(&redo, 0, next, &arena, &parts);
    for (size_t i = 0; i < count; i++) {
        rfm_buffer_init(&out, SIZE_MAX / 4);
        RFM_ASSERT(rfm__command_redo(&out, space, &parts[i], 1, &commands) == RFM_OK);
        RFM_ASSERT(fwrite(out.at, 1, out.len, stdout) == out.len);
        rfm_buffer_release(&out);
    }
    rfm_redo_release(&redo);
    rfm_arena_release(&arena);
}

static void write_clients(const rfm_view *view, FILE *clients)
{
    rfm_view_cursor cursor = {0};
    rfm_bytes id, packed;
    while (rfm_view_next_client(view, &cursor, &id, &packed))
        fprintf(clients, "%s %zu %zu\n", kind_names[weigh(packed)], id.len, packed.len);
}

int main(int argc, char **argv)
{
    rfm_config *config;
    rfm_config_errors errors;
    rfm_error error;
    rfm_config_errors_init(&errors);
    if (argc != 5 || rfm_config_load(argv[1], NULL, &config, &errors) != RFM_OK) {
        fprintf(stderr, "Usage: bench_redis_memory CONFIG CLIENTS EVENTS CLIENTS_FILE\n");
        return 2;
    }
    FILE *each = fopen(argv[4], "w");
    RFM_ASSERT(each != NULL);
    uint32_t clients = (uint32_t)strtoul(argv[2], NULL, 10);
    int shops = (int)((clients + SHOP_CLIENTS - 1) / SHOP_CLIENTS);
    uint64_t events = strtoull(argv[3], NULL, 10);
    RFM_ASSERT(clients > 0 && shops <= TASKS);
    for (int task = 0; task < shops; task++) {
        rfm_offline *offline;
        rfm_keyspace space;
        rfm__keyspace_init(&space, config->redis.prefix, (uint32_t)task, TASKS);
        RFM_ASSERT(rfm_offline_new(config, 1, RFM_FORMAT_NATIVE, &(rfm_offline_calls){0}, &offline, &error) == RFM_OK);
        run_shop(offline, task, clients / (uint32_t)shops, events / (uint64_t)shops);
        write_view(rfm_offline_view(offline, 0), &space);
        write_clients(rfm_offline_view(offline, 0), each);
        rfm_offline_free(offline);
        fprintf(stderr, "shop %d of %d\n", task + 1, shops);
    }
    report();
    fclose(each);
    rfm_config_free(config);
    return 0;
}
