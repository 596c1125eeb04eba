/* What conditions cost, each beside the same written in C over the same struct (the floor). The fields are those of one
 * client; between rounds they change, as from event to event. */
#include <rfm/base/time.h>
#include <rfm/expr/expr.h>

#include <stdio.h>

enum { ROUNDS = 30, EVALUATIONS = 200000, CLIENTS = 64 };

typedef struct shopper {
    int64_t orders, nps, last_ms, now_ms;
    double revenue, churn_risk;
    bool has_nps;
    rfm_bytes channel, category;
} shopper;

static const rfm_expr_field fields[] = {
    {"client.orders", &rfm_expr_int, false, 0},
    {"client.nps", &rfm_expr_int, true, 0},
    {"client.revenue", &rfm_expr_double, false, 0},
    {"client.churn_risk", &rfm_expr_double, true, 0},
    {"client.last_purchase", &rfm_expr_timestamp, false, 0},
    {"now", &rfm_expr_timestamp, false, 0},
    {"event.channel", &rfm_expr_string, true, 0},
    {"client.favourite_category", &rfm_expr_string, true, 0},
};

static bool fetch(void *context, size_t field, rfm_expr_value *value)
{
    const shopper *client = *(const shopper *const *)context;
    switch (field) {
    case 0: value->integer = client->orders; return true;
    case 1: value->integer = client->nps; return client->has_nps;
    case 2: value->number = client->revenue; return true;
    case 3: value->number = client->churn_risk; return true;
    case 4: value->time_ms = client->last_ms; return true;
    case 5: value->time_ms = client->now_ms; return true;
    case 6: value->text = client->channel; return true;
    default: value->text = client->category; return true;
    }
}

static __attribute__((noinline)) bool is_buyer(const shopper *client)
{
    return client->orders >= 2 && client->revenue > 100;
}
static __attribute__((noinline)) bool is_risky(const shopper *client)
{
    return client->revenue > 1000 && client->churn_risk > .5;
}
static __attribute__((noinline)) bool is_detractor(const shopper *client)
{
    return client->has_nps && client->nps <= 6;
}
static __attribute__((noinline)) bool is_channels(const shopper *client)
{
    return rfm_bytes_is(client->channel, "email") || rfm_bytes_is(client->channel, "push");
}
static __attribute__((noinline)) bool is_listed(const shopper *client)
{
    return rfm_bytes_is(client->category, "shoes") || rfm_bytes_is(client->category, "socks") ||
           rfm_bytes_is(client->category, "hats");
}
static __attribute__((noinline)) bool is_idle(const shopper *client)
{
    return client->now_ms - client->last_ms > 30 * RFM_DAY_MS;
}
static __attribute__((noinline)) bool is_long(const shopper *client)
{
    return client->orders >= 2 && client->revenue / (double)client->orders > 50 && client->churn_risk < .9 &&
           client->now_ms - client->last_ms < 400 * RFM_DAY_MS && !rfm_bytes_is(client->channel, "sms");
}

static const struct condition {
    const char *text;
    bool (*floor)(const shopper *client);
} conditions[] = {
    {"client.orders >= 2 && client.revenue > 100", is_buyer},
    {"client.revenue > 1000.0 && client.churn_risk > 0.5", is_risky},
    {"has(client.nps) && client.nps <= 6", is_detractor},
    {"event.channel == \"email\" || event.channel == \"push\"", is_channels},
    {"client.favourite_category in [\"shoes\", \"socks\", \"hats\"]", is_listed},
    {"now - client.last_purchase > duration(\"30d\")", is_idle},
    {"client.orders >= 2 && client.revenue / double(client.orders) > 50.0 && "
     "client.churn_risk < 0.9 && now - client.last_purchase < duration(\"400d\") && event.channel != \"sms\"",
     is_long},
};

static shopper clients[CLIENTS];

static void make_clients(void)
{
    static const char *const channels[] = {"email", "push", "sms", "web"};
    static const char *const categories[] = {"shoes", "socks", "hats", "coats", "bags"};
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = (shopper){.orders = i * 7919 % 5,
                               .nps = i % 11,
                               .has_nps = i % 3 != 0,
                               .revenue = i * 104729 % 3000,
                               .churn_risk = i % 100 / 100.,
                               .last_ms = INT64_C(1767225600000) - i * RFM_DAY_MS,
                               .now_ms = INT64_C(1767225600000),
                               .channel = rfm_text(channels[i * 31 % 4]),
                               .category = rfm_text(categories[i * 17 % 5])};
    }
}

typedef struct ns {
    double floor, alone, shared; /* shared: the fields were fetched by another condition already */
} ns;

static void keep_least(double *least, int64_t start_ns)
{
    double each = (double)(rfm_clock_steady_ns() - start_ns) / EVALUATIONS;
    *least = *least == 0 || each < *least ? each : *least;
}

static ns measure(const struct condition *condition, const rfm_expr *expr, rfm_expr_frame *frame, const shopper **at)
{
    ns least = {0, 0, 0};
    size_t floor_true = 0, expr_true = 0;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t start_ns = rfm_clock_steady_ns();
        for (int i = 0; i < EVALUATIONS; i++)
            floor_true += condition->floor(&clients[i % CLIENTS]);
        keep_least(&least.floor, start_ns);
        start_ns = rfm_clock_steady_ns();
        for (int i = 0; i < EVALUATIONS; i++) {
            *at = &clients[i % CLIENTS];
            rfm_expr_frame_reset(frame);
            expr_true += rfm_expr_eval(expr, frame).value.truth;
        }
        keep_least(&least.alone, start_ns);
        start_ns = rfm_clock_steady_ns();
        for (int i = 0; i < EVALUATIONS; i++)
            (void)rfm_expr_eval(expr, frame);
        keep_least(&least.shared, start_ns);
    }
    RFM_ASSERT(floor_true == expr_true);
    return least;
}

int main(void)
{
    static rfm_expr_frame frame;
    const shopper *at = clients;
    const rfm_expr_host host = {.fetch = fetch};
    const rfm_expr_env env = {.fields = fields, .field_count = sizeof fields / sizeof *fields};
    rfm_arena arena;
    rfm_arena_init(&arena);
    make_clients();
    rfm_expr_frame_init(&frame, &host, &at);
    printf("ns an evaluation, best of %d rounds of %d: in C, alone, its fields fetched before\n", ROUNDS, EVALUATIONS);
    for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++) {
        const rfm_expr *expr;
        rfm_expr_error error;
        if (rfm_expr_compile(&env, rfm_text(conditions[i].text), &rfm_expr_bool, &arena, &expr, &error))
            return fprintf(stderr, "%s\n%s\n", error.message, error.excerpt), 1;
        ns each = measure(&conditions[i], expr, &frame, &at);
        printf("%6.1f %6.1f %6.1f  %.90s\n", each.floor, each.alone, each.shared, conditions[i].text);
    }
    rfm_arena_release(&arena);
    return 0;
}
