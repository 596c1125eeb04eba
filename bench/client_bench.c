/* ns for what happens to one client: decode, apply, encode, and the scores. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rfm/base/time.h>
#include <rfm/client/json.h>

enum { CLIENTS = 1024, ROUNDS = 400 };
#define NOW INT64_C(1767225600000)

typedef struct packed_client {
    size_t len;
    uint8_t at[RFM_CLIENT_PACKED_MAX];
} packed_client;

static packed_client packed[CLIENTS];
static uint64_t seed = 1;

static uint64_t random_next(void)
{
    seed += 0x9e3779b97f4a7c15u; /* splitmix64 */
    uint64_t z = seed;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static rfm_event event_at(rfm_event_type type, int64_t time_ms)
{
    rfm_event event = {.type = type, .time_ms = time_ms, .id48 = random_next() >> 16};
    event.order_id48 = random_next() >> 16;
    event.amount_minor = 100 + (int64_t)(random_next() % 10000);
    event.has_amount = true;
    return event;
}

static void make_clients(int purchases, int visits, const rfm_client_conf *conf, rfm_names *names)
{
    for (size_t i = 0; i < CLIENTS; i++) {
        rfm_client client;
        rfm_applied applied;
        rfm_client_init(&client);
        for (int n = 0; n < purchases + visits; n++) {
            int64_t time_ms = NOW - (int64_t)(random_next() % (300 * (uint64_t)RFM_DAY_MS));
            rfm_event event = event_at(n < purchases ? RFM_EVENT_PURCHASE : RFM_EVENT_VISIT, time_ms);
            (void)rfm_client_apply(&client, &event, 0, conf, names, &applied);
        }
        client.marks.taken = true;
        client.marks.segment = 3;
        client.marks.since_ms = NOW - (int64_t)(random_next() % RFM_DAY_MS);
        packed[i].len = rfm_client_encode(&client, packed[i].at);
    }
}

static double ns_each(int64_t from_ns)
{
    return (double)(rfm_clock_steady_ns() - from_ns) / ((double)CLIENTS * ROUNDS);
}

static rfm_client decoded[CLIENTS];

static void bench_codec(void)
{
    static rfm_client client;
    static uint8_t out[RFM_CLIENT_PACKED_MAX];
    uint64_t sum = 0;
    int64_t from_ns = rfm_clock_steady_ns();
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < CLIENTS; i++) {
            sum += (uint64_t)rfm_client_decode(rfm_bytes_of(packed[i].at, packed[i].len), &client) + client.orders;
        }
    }
    printf("  decode %6.1f ns", ns_each(from_ns));
    for (size_t i = 0; i < CLIENTS; i++) {
        (void)rfm_client_decode(rfm_bytes_of(packed[i].at, packed[i].len), &decoded[i]);
    }
    from_ns = rfm_clock_steady_ns();
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < CLIENTS; i++) {
            sum += rfm_client_encode(&decoded[i], out);
        }
    }
    printf("  encode %6.1f ns", ns_each(from_ns));
    if (sum == 0) {
        puts("");
    }
}

static void bench_cycle(const rfm_client_conf *conf, rfm_names *names)
{
    static rfm_client client;
    static uint8_t out[RFM_CLIENT_PACKED_MAX];
    rfm_event events[CLIENTS];
    for (size_t i = 0; i < CLIENTS; i++) {
        events[i] = event_at(i % 2 ? RFM_EVENT_PURCHASE : RFM_EVENT_VISIT, NOW + 1000);
    }
    size_t sum = 0;
    int64_t from_ns = rfm_clock_steady_ns();
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < CLIENTS; i++) {
            rfm_applied applied;
            (void)rfm_client_decode(rfm_bytes_of(packed[i].at, packed[i].len), &client);
            (void)rfm_client_apply(&client, &events[i], 0, conf, names, &applied);
            sum += rfm_client_encode(&client, out);
        }
    }
    printf("  decode+apply+encode %6.1f ns (%zu bytes)\n", ns_each(from_ns), sum / CLIENTS / ROUNDS);
}

static void bench_scores(const rfm_client_conf *conf)
{
    double sum = 0;
    int64_t from_ns = rfm_clock_steady_ns();
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < CLIENTS; i++) {
            rfm_scores scores;
            rfm_scores_at(&decoded[i], conf, NULL, NOW + round, &scores);
            sum += scores.churn_risk;
        }
    }
    printf("  scores %6.1f ns", ns_each(from_ns));
    from_ns = rfm_clock_steady_ns();
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < CLIENTS; i++) {
            sum += rfm_client_segment_at(&decoded[i], conf, NULL, NOW + round);
        }
    }
    printf("  segment %6.1f ns", ns_each(from_ns));
    from_ns = rfm_clock_steady_ns();
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < CLIENTS; i++) {
            sum += rfm_client_lifecycle_at(&decoded[i], conf, NOW + round);
        }
    }
    printf("  lifecycle %6.1f ns", ns_each(from_ns));
    from_ns = rfm_clock_steady_ns();
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < CLIENTS; i++) {
            sum += rfm_client_standing(&decoded[i]).bucket;
        }
    }
    printf("  standing %6.1f ns\n", ns_each(from_ns));
    from_ns = rfm_clock_steady_ns();
    for (int round = 0; round < ROUNDS / 20; round++) {
        for (size_t i = 0; i < CLIENTS; i++) {
            sum += (double)rfm_client_ratio_moment_ms(&decoded[i], conf, .3);
        }
    }
    printf("  ratio moment %6.1f ns%s\n", 20 * ns_each(from_ns), sum == 0 ? " " : "");
}

int main(void)
{
    rfm_client_conf conf;
    rfm_client_conf_defaults(&conf);
    rfm_names *names = rfm_names_new();
    static const int sizes[][2] = {{1, 0}, {3, 0}, {3, 10}, {16, 30}};
    for (size_t i = 0; names && i < sizeof sizes / sizeof *sizes; i++) {
        make_clients(sizes[i][0], sizes[i][1], &conf, names);
        printf("%d purchases, %d visits: %zu bytes\n", sizes[i][0], sizes[i][1], packed[0].len);
        bench_codec();
        bench_cycle(&conf, names);
        bench_scores(&conf);
    }
    rfm_names_free(names);
    return 0;
}
