#include <rfm/client/population.h>

#include <stdlib.h>

enum { DAYS_MAX = 3000000 /* beyond the year 9999 */, DAYS_ROOM = 512 };

struct rfm_population {
    int64_t *days; /* clients by day, from first_day on */
    size_t day_count;
    int32_t first_day;
    int64_t bucket[RFM_BUCKETS], orders[RFM_ORDER_COUNTS];
};

rfm_standing rfm_client_standing(const rfm_client *client)
{
    if (client->orders == 0) {
        return (rfm_standing){.counted = false};
    }
    uint32_t orders = client->orders < RFM_ORDER_COUNTS ? client->orders : RFM_ORDER_COUNTS - 1;
    return (rfm_standing){true, client->last_day, rfm_monetary_bucket(client->revenue_minor), (uint16_t)orders};
}

rfm_population *rfm_population_new(void)
{
    rfm_population *population = calloc(1, sizeof *population);
    RFM_NEED(population);
    return population;
}

void rfm_population_free(rfm_population *population)
{
    if (population) {
        free(population->days);
        free(population);
    }
}

void rfm_population_clear(rfm_population *population)
{
    free(population->days);
    memset(population, 0, sizeof *population);
}

static int32_t within(int32_t day)
{
    return day < 0 ? 0 : day > DAYS_MAX ? DAYS_MAX : day;
}

/* Moves the window so that it holds `day`, with room on the side on which it grew. */
static void grow(rfm_population *population, int32_t day)
{
    int64_t from = population->first_day, until = from + (int64_t)population->day_count;
    if (population->day_count == 0) {
        from = day, until = day + 1;
    }
    int64_t room = DAYS_ROOM + (until - from) / 2;
    if (day < from) {
        from = day > room ? day - room : 0;
    }
    until = day >= until ? day + room : until;
    int64_t *days = calloc((size_t)(until - from), sizeof *days);
    RFM_NEED(days);
    if (population->day_count > 0) {
        memcpy(days + (population->first_day - from), population->days, population->day_count * sizeof *days);
    }
    free(population->days);
    population->days = days;
    population->day_count = (size_t)(until - from);
    population->first_day = (int32_t)from;
}

static bool holds(const rfm_population *population, int32_t day)
{
    return day >= population->first_day && (size_t)(day - population->first_day) < population->day_count;
}

void rfm_population_add_day(rfm_population *population, int32_t day, int64_t clients)
{
    day = within(day);
    if (!holds(population, day)) {
        grow(population, day);
    }
    population->days[day - population->first_day] += clients;
}

void rfm_population_add_bucket(rfm_population *population, uint16_t bucket, int64_t clients)
{
    RFM_ASSERT(bucket < RFM_BUCKETS);
    population->bucket[bucket] += clients;
}

void rfm_population_add_orders(rfm_population *population, uint16_t orders, int64_t clients)
{
    RFM_ASSERT(orders < RFM_ORDER_COUNTS);
    population->orders[orders] += clients;
}

static bool add(rfm_population *population, rfm_counter counter, int64_t field, int64_t clients)
{
    static const int64_t least[RFM_COUNTERS] = {INT32_MIN, 0, 0};
    static const int64_t most[RFM_COUNTERS] = {INT32_MAX, RFM_BUCKETS - 1, RFM_ORDER_COUNTS - 1};
    if (field < least[counter] || field > most[counter] || clients < 0)
        return false;
    switch (counter) {
    case RFM_COUNTER_DAY: rfm_population_add_day(population, (int32_t)field, clients); break;
    case RFM_COUNTER_BUCKET: rfm_population_add_bucket(population, (uint16_t)field, clients); break;
    default: rfm_population_add_orders(population, (uint16_t)field, clients);
    }
    return true;
}

int rfm_population_restore(rfm_population *population, rfm_counter counter, const rfm_bytes *values, size_t count)
{
    RFM_ASSERT(counter < RFM_COUNTERS);
    for (size_t i = 0; i + 1 < count; i += 2) {
        int64_t field, clients;
        if (rfm_integer_parse(values[i], &field) != RFM_OK || rfm_integer_parse(values[i + 1], &clients) != RFM_OK ||
            !add(population, counter, field, clients))
            return RFM_E_CORRUPT;
    }
    return RFM_OK;
}

int64_t rfm_population_day_count(const rfm_population *population, int32_t day)
{
    day = within(day);
    return holds(population, day) ? population->days[day - population->first_day] : 0;
}

int64_t rfm_population_bucket_count(const rfm_population *population, uint16_t bucket)
{
    return bucket < RFM_BUCKETS ? population->bucket[bucket] : 0;
}

int64_t rfm_population_orders_count(const rfm_population *population, uint16_t orders)
{
    return orders < RFM_ORDER_COUNTS ? population->orders[orders] : 0;
}

static int64_t sum(const int64_t *counts, size_t len)
{
    int64_t total = 0;
    for (size_t i = 0; i < len; i++) {
        total += counts[i];
    }
    return total;
}

/* edge[k] is the index of the least value v with 5 * (clients below v) >= (k + 1) * total: the one after the value
 * whose clients reach it. Indexes of edges that nothing reaches stay `none`. */
static void find_edges(const int64_t *counts, size_t len, int64_t none, int64_t edge[4])
{
    int64_t total = sum(counts, len), below = 0;
    int k = 0;
    for (size_t i = 0; i < len && k < 4 && total > 0; i++) {
        below += counts[i];
        while (k < 4 && 5 * below >= (k + 1) * total) {
            edge[k++] = (int64_t)i + 1;
        }
    }
    while (k < 4) {
        edge[k++] = none;
    }
}

void rfm_population_edges(const rfm_population *population, rfm_edges *edges)
{
    int64_t day[4], bucket[4], orders[4];
    find_edges(population->days, population->day_count, INT32_MAX, day);
    find_edges(population->bucket, RFM_BUCKETS, UINT16_MAX, bucket);
    find_edges(population->orders, RFM_ORDER_COUNTS, UINT16_MAX, orders);
    int64_t clients = sum(population->days, population->day_count);
    edges->clients = clients > 0 ? (uint64_t)clients : 0;
    for (int k = 0; k < 4; k++) {
        edges->day[k] = day[k] == INT32_MAX ? INT32_MAX : (int32_t)(day[k] + population->first_day);
        edges->revenue_minor[k] = rfm_monetary_least((uint16_t)bucket[k]);
        edges->orders[k] = (uint16_t)orders[k];
    }
}
