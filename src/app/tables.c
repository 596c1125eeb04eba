#include "tables.h"

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

int rfm_tables_edges(rfm_store_reader *reader, rfm_view *const *views, uint32_t task_count, rfm_edges *edges,
                     rfm_error *error)
{
    rfm_population *population = rfm_population_new();
    RFM_NEED(population != NULL);
    int code = RFM_OK;
    for (uint32_t task = 0; code == RFM_OK && task < task_count; task++) {
        rfm_tables from = {.reader = reader, .view = views != NULL ? views[task] : NULL, .task = task};
        code = rfm_tables_population(&from, population, error);
    }
    if (code == RFM_OK)
        rfm_population_edges(population, edges);
    rfm_population_free(population);
    return code;
}
