/* The population behind the quintile scores: plain counters of clients per last-purchase day and per monetary bucket,
 * kept per task by deletes and adds, summed over tasks into edges. Buckets: e0 = 1 minor unit, e(k+1) = max(e(k)+1,
 * ceil(1.01 e(k))); bucket 0: revenue <= 0; bucket k >= 1: e(k-1) <= revenue < e(k). */
#ifndef RFM_CLIENT_POPULATION_H
#define RFM_CLIENT_POPULATION_H

#include <rfm/client/client.h>

enum { RFM_BUCKETS = 4096, RFM_ORDER_COUNTS = 1024 };
/* What a client counts as; `counted` false: no purchases. `orders` is capped at RFM_ORDER_COUNTS - 1. */
typedef struct rfm_standing {
    bool counted;
    int32_t day;
    uint16_t bucket, orders;
} rfm_standing;
rfm_standing rfm_client_standing(const rfm_client *client);
uint16_t rfm_monetary_bucket(int64_t revenue_minor);
int64_t rfm_monetary_least(uint16_t bucket); /* the least revenue of a bucket from 1 on; INT64_MAX: none is so large */

/* The counters, each of which Redis and the redo keep as a hash of its own: what is counted by -> clients. */
typedef enum rfm_counter { RFM_COUNTER_DAY, RFM_COUNTER_BUCKET, RFM_COUNTER_ORDERS, RFM_COUNTERS } rfm_counter;

/* Sums. Days are kept in a window that grows; init gives an empty one. */
typedef struct rfm_population rfm_population;
rfm_population *rfm_population_new(void);
void rfm_population_free(rfm_population *population);
void rfm_population_clear(rfm_population *population);
void rfm_population_add_day(rfm_population *population, int32_t day, int64_t clients); /* clients may be negative */
void rfm_population_add_bucket(rfm_population *population, uint16_t bucket, int64_t clients);
void rfm_population_add_orders(rfm_population *population, uint16_t orders, int64_t clients);
/* Adds such a hash: field, value, ... RFM_E_CORRUPT: it is no such hash. */
int rfm_population_restore(rfm_population *population, rfm_counter counter, const rfm_bytes *values, size_t count);
int64_t rfm_population_day_count(const rfm_population *population, int32_t day);
int64_t rfm_population_bucket_count(const rfm_population *population, uint16_t bucket);
int64_t rfm_population_orders_count(const rfm_population *population, uint16_t orders);

/* Score s >= k + 2 begins at edge[k]: score(v) = 1 + number of edges <= v. An unreachable score has edge INT32_MAX /
 * UINT16_MAX. */
typedef struct rfm_edges {
    uint64_t clients;
    int32_t day[4];
    int64_t revenue_minor[4]; /* the least of a bucket */
    uint16_t orders[4];
} rfm_edges;
/* Exactly min(5, 1 + floor(5 * strictly_below / N)) for every value. */
void rfm_population_edges(const rfm_population *population, rfm_edges *edges);

#endif
