#include "tables.h"

#include "adapter_conf.h"
#include <rfm/base/hash.h>
#include <rfm/base/table.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

int rfm_tables_open(const rfm_config *config, rfm_store_reader **reader, uint32_t *partition_count, rfm_error *error)
{
    rfm_store_conf conf;
    rfm_store_conf_of(config, 1, &conf);
    signal(SIGPIPE, SIG_IGN);
    int code = rfm_store_reader_new(&conf, reader, error);
    return code != RFM_OK ? code : rfm_store_reader_partitions(*reader, partition_count, error);
}

static int hash_of(const rfm_tables *from, const char *key, const rfm_bytes **values, size_t *count, rfm_error *error)
{
    rfm_bytes name = rfm_text(key);
    if (from->reader != NULL)
        return rfm_store_reader_hash(from->reader, from->task, name, values, count, error);
    rfm_effect load = {.kind = RFM_OUT_LOAD, .load = {.what = RFM_LOAD_HASH, .keys = &name, .count = 1}};
    *count = rfm_view_load(from->view, &load, NULL, values);
    return RFM_OK;
}

static int fail_damaged(const rfm_tables *from, const char *key, rfm_error *error)
{
    return rfm_fail(error, RFM_E_CORRUPT, "task %u: the Redis key '%s' cannot be read: it is damaged", from->task, key);
}

int rfm_tables_names(const rfm_tables *from, rfm_names *names, rfm_error *error)
{
    const rfm_bytes *values;
    size_t count;
    rfm_names_clear(names);
    int code = hash_of(from, RFM_KEY_NAMES, &values, &count, error);
    if (code == RFM_OK && rfm_names_restore_all(names, values, count) != RFM_OK)
        code = fail_damaged(from, RFM_KEY_NAMES, error);
    return code;
}

int rfm_tables_kpi(const rfm_tables *from, rfm_kpi_sums *sums, const rfm_names *names, rfm_error *error)
{
    const rfm_bytes *values;
    size_t count;
    int code = hash_of(from, RFM_KEY_KPI, &values, &count, error);
    if (code == RFM_OK && rfm_kpi_sums_add(sums, names, values, count) != RFM_OK)
        code = fail_damaged(from, RFM_KEY_KPI, error);
    return code;
}

int rfm_tables_population(const rfm_tables *from, rfm_population *population, rfm_error *error)
{
    int code = RFM_OK;
    for (rfm_counter counter = 0; code == RFM_OK && counter < RFM_COUNTERS; counter++) {
        const rfm_bytes *values;
        size_t count;
        code = hash_of(from, rfm_population_key[counter], &values, &count, error);
        if (code == RFM_OK && rfm_population_restore(population, counter, values, count) != RFM_OK)
            code = fail_damaged(from, rfm_population_key[counter], error);
    }
    return code;
}

/* -- clients */

/* Whether an older release may have left some of the task's clients under keys of their own. */
static int may_be_loose(const rfm_tables *from, bool *loose, rfm_error *error)
{
    const rfm_bytes *values;
    size_t count;
    int64_t field, value, minute = INT64_MIN, bundled = INT64_MAX;
    int code = hash_of(from, RFM_KEY_TASK, &values, &count, error);
    for (size_t i = 0; code == RFM_OK && i + 1 < count; i += 2) {
        if (rfm_integer_parse(values[i], &field) != RFM_OK || rfm_integer_parse(values[i + 1], &value) != RFM_OK)
            return fail_damaged(from, RFM_KEY_TASK, error);
        if (field == RFM_TASK_MINUTE)
            minute = value;
        if (field == RFM_TASK_BUNDLED)
            bundled = value;
    }
    *loose = rfm_may_be_loose(minute, bundled);
    return code;
}

static int loose_client(const rfm_tables *from, rfm_bytes id, rfm_bytes *packed, rfm_error *error)
{
    char key[sizeof RFM_KEY_LOOSE + RFM_CLIENT_ID_MAX];
    int len = snprintf(key, sizeof key, RFM_KEY_LOOSE "%.*s", (int)id.len, (const char *)id.at);
    return rfm_store_reader_get(from->reader, from->task, rfm_bytes_of(key, (size_t)len), packed, error);
}

int rfm_tables_client(const rfm_tables *from, rfm_bytes id, rfm_bytes *packed, rfm_error *error)
{
    char bundle[RFM_BUNDLE_KEY_MAX];
    *packed = RFM_BYTES_NONE;
    if (id.len > RFM_CLIENT_ID_MAX)
        return RFM_OK;
    rfm_bytes key = rfm_bundle_key(rfm_bundle_of(rfm_hash64(id)), bundle);
    int code = rfm_store_reader_field(from->reader, from->task, key, id, packed, error);
    if (code == RFM_OK && packed->at == NULL)
        code = loose_client(from, id, packed, error);
    if (code == RFM_OK && packed->at == NULL) /* it may have moved between the two */
        code = rfm_store_reader_field(from->reader, from->task, key, id, packed, error);
    return code;
}

typedef struct client_walk {
    rfm_tables_each each;
    void *owner;
    rfm_table loose; /* hashes of ids that have come: they may since have moved into bundles */
    bool ended;
} client_walk;

static bool on_loose(void *owner, rfm_bytes id, rfm_bytes packed)
{
    client_walk *walk = owner;
    rfm_table_add(&walk->loose, rfm_hash64(id), 0);
    walk->ended = !walk->each(walk->owner, id, packed);
    return !walk->ended;
}

static bool on_bundle(void *owner, const rfm_bytes *values, size_t count)
{
    client_walk *walk = owner;
    for (size_t i = 0; i < count && !walk->ended; i += 2) {
        size_t cursor = RFM_TABLE_START;
        if (rfm_table_find(&walk->loose, rfm_hash64(values[i]), &cursor) == RFM_TABLE_NONE)
            walk->ended = !walk->each(walk->owner, values[i], values[i + 1]);
    }
    return !walk->ended;
}

static int walk_bundles(const rfm_tables *from, client_walk *walk, rfm_error *error)
{
    char(*text)[RFM_BUNDLE_KEY_MAX] = malloc(RFM_BUNDLES * sizeof *text);
    rfm_bytes *keys = malloc(RFM_BUNDLES * sizeof *keys);
    RFM_NEED(text != NULL && keys != NULL);
    for (uint32_t i = 0; i < RFM_BUNDLES; i++)
        keys[i] = rfm_bundle_key(i, text[i]);
    int code = rfm_store_reader_hashes(from->reader, from->task, keys, RFM_BUNDLES, on_bundle, walk, error);
    free(keys);
    free(text);
    return code;
}

static int walk_redis(const rfm_tables *from, client_walk *walk, rfm_error *error)
{
    bool loose = false;
    int code = may_be_loose(from, &loose, error);
    if (code == RFM_OK && loose)
        code = rfm_store_reader_scan(from->reader, from->task, rfm_text(RFM_KEY_LOOSE), on_loose, walk, error);
    return code == RFM_OK && !walk->ended ? walk_bundles(from, walk, error) : code;
}

int rfm_tables_clients(const rfm_tables *from, rfm_tables_each each, void *owner, rfm_error *error)
{
    client_walk walk = {.each = each, .owner = owner};
    rfm_table_init(&walk.loose, 0);
    int code = walk_redis(from, &walk, error);
    rfm_table_release(&walk.loose);
    return code;
}

/* -- edges */

int rfm_tables_edges(rfm_store_reader *reader, rfm_view *const *views, uint32_t task_count, const _Atomic bool *stop,
                     rfm_edges *edges, rfm_error *error)
{
    rfm_population *population = rfm_population_new();
    int code = RFM_OK;
    for (uint32_t task = 0; code == RFM_OK && task < task_count; task++) {
        rfm_tables from = {.reader = reader, .view = views != NULL ? views[task] : NULL, .task = task};
        code = stop != NULL && *stop ? rfm_fail(error, RFM_E_AWAY, "stopped before all partitions were read")
                                     : rfm_tables_population(&from, population, error);
    }
    if (code == RFM_OK)
        rfm_population_edges(population, edges);
    rfm_population_free(population);
    return code;
}
