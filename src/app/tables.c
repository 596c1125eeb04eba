#include "tables.h"

#include <rfm/base/hash.h>
#include <rfm/base/table.h>
#include <stdio.h>
#include <stdlib.h>

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

static bool number_of(rfm_bytes text, int64_t *number)
{
    char copy[24], *end;
    if (text.len == 0 || text.len >= sizeof copy)
        return false;
    memcpy(copy, text.at, text.len);
    copy[text.len] = 0;
    *number = strtoll(copy, &end, 10);
    return *end == 0;
}

int rfm_tables_names(const rfm_tables *from, rfm_names *names, rfm_error *error)
{
    const rfm_bytes *values;
    size_t count;
    rfm_names_clear(names);
    int code = hash_of(from, RFM_KEY_NAMES, &values, &count, error);
    for (size_t i = 0; code == RFM_OK && i + 1 < count; i += 2) {
        int64_t number;
        if (!number_of(values[i], &number) || number < 1 || number > RFM_NAMES_MAX ||
            rfm_names_restore(names, (uint16_t)number, values[i + 1]) != RFM_OK)
            code = fail_damaged(from, RFM_KEY_NAMES, error);
    }
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

static bool add_to_population(rfm_population *population, size_t which, int64_t field, int64_t clients)
{
    static const int64_t least[] = {INT32_MIN, 0, 0},
                         beyond[] = {(int64_t)INT32_MAX + 1, RFM_BUCKETS, RFM_ORDER_COUNTS};
    if (field < least[which] || field >= beyond[which])
        return false;
    switch (which) {
    case 0: rfm_population_add_day(population, (int32_t)field, clients); break;
    case 1: rfm_population_add_bucket(population, (uint16_t)field, clients); break;
    default: rfm_population_add_orders(population, (uint16_t)field, clients);
    }
    return true;
}

int rfm_tables_population(const rfm_tables *from, rfm_population *population, rfm_error *error)
{
    int code = RFM_OK;
    for (size_t which = 0; code == RFM_OK && which < RFM_POPULATION_KEYS; which++) {
        const rfm_bytes *values;
        size_t count;
        code = hash_of(from, rfm_population_key[which], &values, &count, error);
        for (size_t i = 0; code == RFM_OK && i + 1 < count; i += 2) {
            int64_t field, clients;
            if (!number_of(values[i], &field) || !number_of(values[i + 1], &clients) ||
                !add_to_population(population, which, field, clients))
                code = fail_damaged(from, rfm_population_key[which], error);
        }
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
        if (!number_of(values[i], &field) || !number_of(values[i + 1], &value))
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
    RFM_NEED(rfm_table_add(&walk->loose, rfm_hash64(id), 0) == RFM_OK);
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
    RFM_NEED(rfm_table_init(&walk.loose, 0) == RFM_OK);
    int code = walk_redis(from, &walk, error);
    rfm_table_release(&walk.loose);
    return code;
}

/* -- edges */

int rfm_tables_edges(rfm_store_reader *reader, rfm_view *const *views, uint32_t task_count, const _Atomic bool *stop,
                     rfm_edges *edges, rfm_error *error)
{
    rfm_population *population = rfm_population_new();
    RFM_NEED(population != NULL);
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
