#include <rfm/client/population.h>

#include "world.h"

/* The definition, by hand: e0 = 1, e(k+1) = max(e(k) + 1, ceil(1.01 e(k))). */
static void buckets_follow_their_edges(void **state)
{
    (void)state;
    assert_int_equal(rfm_monetary_bucket(INT64_MIN), 0);
    assert_int_equal(rfm_monetary_bucket(-1), 0);
    assert_int_equal(rfm_monetary_bucket(0), 0);
    unsigned __int128 edge = 1;
    uint16_t bucket = 1;
    while (edge < INT64_MAX) {
        unsigned __int128 next = (edge * 101 + 99) / 100;
        next = next > edge + 1 ? next : edge + 1;
        assert_int_equal(rfm_monetary_bucket((int64_t)edge), bucket);
        assert_int_equal(rfm_monetary_least(bucket), (int64_t)edge);
        int64_t last = next > INT64_MAX ? INT64_MAX : (int64_t)next - 1;
        assert_int_equal(rfm_monetary_bucket(last), bucket);
        edge = next;
        bucket++;
    }
    assert_true(bucket <= RFM_BUCKETS);
    assert_int_equal(rfm_monetary_bucket(INT64_MAX), bucket - 1);
    assert_int_equal(rfm_monetary_least(RFM_BUCKETS - 1), INT64_MAX);
}

static void a_standing_is_day_bucket_and_orders(void **state)
{
    (void)state;
    rfm_client client = {0};
    assert_false(rfm_client_standing(&client).counted);
    client.revenue_minor = -5;
    assert_false(rfm_client_standing(&client).counted);
    client.orders = 3, client.last_day = T0_DAY;
    rfm_standing standing = rfm_client_standing(&client);
    assert_true(standing.counted);
    assert_int_equal(standing.day, T0_DAY);
    assert_int_equal(standing.bucket, 0);
    assert_int_equal(standing.orders, 3);
    client.orders = 1000000, client.revenue_minor = 2;
    standing = rfm_client_standing(&client);
    assert_int_equal(standing.bucket, 2);
    assert_int_equal(standing.orders, RFM_ORDER_COUNTS - 1);
}

enum { CLIENTS_MAX = 400 };
typedef struct member {
    int32_t day;
    uint16_t bucket, orders;
} member;

static int compare(const void *a, const void *b)
{
    return (*(const int64_t *)a > *(const int64_t *)b) - (*(const int64_t *)a < *(const int64_t *)b);
}

static int score_by_sort(const int64_t *sorted, size_t count, int64_t value)
{
    size_t below = 0;
    while (below < count && sorted[below] < value) {
        below++;
    }
    size_t score = 1 + 5 * below / count;
    return score < 5 ? (int)score : 5;
}

static int score_by_edges(const int64_t edge[4], int64_t value)
{
    return 1 + (edge[0] <= value) + (edge[1] <= value) + (edge[2] <= value) + (edge[3] <= value);
}

static void assert_axis(int64_t *values, size_t count, const int64_t edge[4], int64_t from, int64_t until)
{
    qsort(values, count, sizeof *values, compare);
    for (int64_t value = from; value < until; value++) {
        assert_int_equal(score_by_edges(edge, value), score_by_sort(values, count, value));
    }
}

/* That nobody is in, for an edge that nobody reaches. */
static int64_t bucket_of(int64_t revenue_minor)
{
    return revenue_minor == INT64_MAX ? INT64_MAX : rfm_monetary_bucket(revenue_minor);
}

static void assert_edges(const rfm_population *population, const member *members, size_t count)
{
    rfm_edges edges;
    rfm_population_edges(population, &edges);
    assert_int_equal(edges.clients, count);
    int64_t day[CLIENTS_MAX], bucket[CLIENTS_MAX], orders[CLIENTS_MAX], of_day[4], of_bucket[4], of_orders[4];
    for (size_t i = 0; i < count; i++) {
        day[i] = members[i].day, bucket[i] = members[i].bucket, orders[i] = members[i].orders;
    }
    for (size_t k = 0; k < 4; k++) {
        of_day[k] = edges.day[k], of_bucket[k] = bucket_of(edges.revenue_minor[k]), of_orders[k] = edges.orders[k];
    }
    assert_axis(day, count, of_day, T0_DAY - 1200, T0_DAY + 20);
    assert_axis(bucket, count, of_bucket, 0, 120);
    assert_axis(orders, count, of_orders, 0, 30);
}

static member random_member(uint64_t *seed, unsigned spread)
{
    return (member){.day = T0_DAY - (int32_t)random_below(seed, 1 + spread * 10),
                    .bucket = (uint16_t)random_below(seed, 1 + spread),
                    .orders = (uint16_t)(1 + random_below(seed, 1 + spread / 10) * random_below(seed, 2))};
}

static void count(rfm_population *population, member of, int64_t clients)
{
    rfm_population_add_day(population, of.day, clients);
    rfm_population_add_bucket(population, of.bucket, clients);
    rfm_population_add_orders(population, of.orders, clients);
}

static void edges_equal_a_full_sort(void **state)
{
    (void)state;
    uint64_t seed = 11;
    rfm_population *population = rfm_population_new();
    for (int round = 0; round < 40; round++) {
        unsigned spread = (unsigned)random_below(&seed, 100);
        member members[CLIENTS_MAX];
        size_t len = 0;
        for (int step = 0; step < 600; step++) {
            if (len > 0 && (len == CLIENTS_MAX || random_below(&seed, 3) == 0)) {
                size_t gone = random_below(&seed, len);
                count(population, members[gone], -1);
                members[gone] = members[--len];
            } else {
                members[len] = random_member(&seed, spread);
                count(population, members[len++], 1);
            }
            if (len > 0 && (step < 12 || step % 150 == 149)) {
                assert_edges(population, members, len);
            }
        }
        rfm_population_clear(population);
    }
    rfm_population_free(population);
}

/* 100,000 clients who buy and send back, or are forgotten, a million times: as the engine does, the counters move from
 * where each stood to where it stands. The order of days and of buckets is then looked for by a full sort. */
enum { MANY = 100000, UPDATES = 1000000 };

static void move(rfm_population *population, const rfm_standing *of, int64_t clients)
{
    if (of->counted) {
        count(population, (member){of->day, of->bucket, of->orders}, clients);
    }
}

static void update(rfm_client *client, uint64_t *seed)
{
    uint64_t what = random_below(seed, 20);
    if (what == 0) {
        *client = (rfm_client){0}; /* erased */
        return;
    }
    if (what < 3) {
        client->revenue_minor -= (int64_t)random_below(seed, 20000);
        return;
    }
    client->orders++;
    client->last_day = T0_DAY - (int32_t)random_below(seed, 900);
    client->revenue_minor += (int64_t)(random_next(seed) >> (40 + random_below(seed, 24)));
}

static void assert_sorted_alike(const rfm_population *population, const rfm_standing *standing)
{
    static int64_t day[MANY], bucket[MANY], orders[MANY];
    int64_t of_day[4], of_bucket[4], of_orders[4];
    size_t buyers = 0;
    rfm_edges edges;
    for (size_t i = 0; i < MANY; i++) {
        if (standing[i].counted) {
            day[buyers] = standing[i].day, bucket[buyers] = standing[i].bucket, orders[buyers] = standing[i].orders;
            buyers++;
        }
    }
    rfm_population_edges(population, &edges);
    assert_int_equal(edges.clients, buyers); /* the counters sum to the clients */
    for (size_t k = 0; k < 4; k++) {
        of_day[k] = edges.day[k], of_bucket[k] = bucket_of(edges.revenue_minor[k]), of_orders[k] = edges.orders[k];
    }
    assert_axis(day, buyers, of_day, T0_DAY - 905, T0_DAY + 5);
    assert_axis(bucket, buyers, of_bucket, 0, RFM_BUCKETS);
    assert_axis(orders, buyers, of_orders, 0, 60);
    int64_t sum = 0;
    for (int32_t of = T0_DAY - 905; of < T0_DAY + 5; of++) {
        sum += rfm_population_day_count(population, of);
    }
    assert_int_equal(sum, buyers);
}

static void a_million_updates_equal_a_full_sort(void **state)
{
    (void)state;
    uint64_t seed = 17;
    rfm_population *population = rfm_population_new();
    static rfm_client client;
    rfm_standing *standing = calloc(MANY, sizeof *standing);
    struct {
        int64_t revenue_minor;
        uint32_t orders;
        int32_t last_day;
    } *kept = calloc(MANY, sizeof *kept);
    assert_true(standing && kept);
    for (int i = 0; i < UPDATES; i++) {
        size_t who = (size_t)random_below(&seed, MANY);
        client.revenue_minor = kept[who].revenue_minor, client.orders = kept[who].orders;
        client.last_day = kept[who].last_day;
        update(&client, &seed);
        rfm_standing now = rfm_client_standing(&client);
        move(population, &standing[who], -1);
        move(population, &now, 1);
        standing[who] = now;
        kept[who].revenue_minor = client.revenue_minor, kept[who].orders = client.orders;
        kept[who].last_day = client.last_day;
        if (i % (UPDATES / 4) == UPDATES / 4 - 1) {
            assert_sorted_alike(population, standing);
        }
    }
    free(kept);
    free(standing);
    rfm_population_free(population);
}

static void an_empty_population_has_no_edges(void **state)
{
    (void)state;
    rfm_population *population = rfm_population_new();
    rfm_edges edges;
    for (int round = 0; round < 2; round++) {
        rfm_population_edges(population, &edges);
        assert_int_equal(edges.clients, 0);
        for (int k = 0; k < 4; k++) {
            assert_int_equal(edges.day[k], INT32_MAX);
            assert_int_equal(edges.revenue_minor[k], INT64_MAX);
            assert_int_equal(edges.orders[k], UINT16_MAX);
        }
        count(population, (member){T0_DAY, 3, 4}, 5);
        count(population, (member){T0_DAY, 3, 4}, -5);
    }
    rfm_population_free(population);
}

static void the_window_of_days_grows_both_ways(void **state)
{
    (void)state;
    rfm_population *population = rfm_population_new();
    static const int32_t days[] = {T0_DAY,  T0_DAY + 5000, T0_DAY - 5000, 7305,
                                   2932896, T0_DAY + 1,    INT32_MAX,     INT32_MIN};
    for (size_t i = 0; i < sizeof days / sizeof *days; i++) {
        rfm_population_add_day(population, days[i], (int64_t)i + 1);
    }
    for (size_t i = 0; i < sizeof days / sizeof *days; i++) {
        assert_int_equal(rfm_population_day_count(population, days[i]), i + 1);
    }
    assert_int_equal(rfm_population_day_count(population, T0_DAY + 2), 0);
    rfm_population_add_bucket(population, 17, 3);
    rfm_population_add_orders(population, 2, 4);
    assert_int_equal(rfm_population_bucket_count(population, 17), 3);
    assert_int_equal(rfm_population_orders_count(population, 2), 4);
    rfm_population_clear(population);
    assert_int_equal(rfm_population_day_count(population, T0_DAY), 0);
    assert_int_equal(rfm_population_bucket_count(population, 17), 0);
    rfm_population_free(population);
    rfm_population_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets_follow_their_edges),       cmocka_unit_test(a_standing_is_day_bucket_and_orders),
        cmocka_unit_test(edges_equal_a_full_sort),          cmocka_unit_test(a_million_updates_equal_a_full_sort),
        cmocka_unit_test(an_empty_population_has_no_edges), cmocka_unit_test(the_window_of_days_grows_both_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
