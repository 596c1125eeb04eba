#include "population.h"

#include <stdlib.h>

const char *const rfm_population_key[3] = {"n:day", "n:bucket", "n:orders"};

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

void rfm_population_add_hash(rfm_population *population, size_t which, const rfm_bytes *values, size_t count)
{
    for (size_t i = 0; i + 1 < count; i += 2) {
        int64_t field, clients;
        if (!number_of(values[i], &field) || !number_of(values[i + 1], &clients))
            continue;
        if (which == 0 && field >= INT32_MIN && field <= INT32_MAX)
            rfm_population_add_day(population, (int32_t)field, clients);
        if (which == 1 && field >= 0 && field < RFM_BUCKETS)
            rfm_population_add_bucket(population, (uint16_t)field, clients);
        if (which == 2 && field >= 0 && field < RFM_ORDER_COUNTS)
            rfm_population_add_orders(population, (uint16_t)field, clients);
    }
}

void rfm_population_add_view(rfm_population *population, const rfm_view *view)
{
    for (size_t which = 0; which < 3; which++) {
        rfm_bytes key = rfm_text(rfm_population_key[which]);
        rfm_effect load = {.kind = RFM_OUT_LOAD, .load = {.what = RFM_LOAD_HASH, .keys = &key, .count = 1}};
        const rfm_bytes *values;
        size_t count = rfm_view_load(view, &load, NULL, &values);
        rfm_population_add_hash(population, which, values, count);
    }
}
