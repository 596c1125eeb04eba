/* The core without I/O: an engine's worker, driven in memory by a host that answers at once. A million clients,
 * purchases of about 300 bytes, steps of 20,000; times are this thread's processor time. See README.md for the columns.
 * Usage: bench_step [CLIENTS] [EVENTS] [ROW], the rows from 0 on, the last: what rules add */
#include <rfm/base/time.h>
#include <rfm/engine/redo.h>
#include <rfm/engine/worker.h>
#include <rfm/rule/environment.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TASKS = 4, STEP_EVENTS = 20000, VALUE_BYTES = 400, ID_BYTES = 16, EVENTS_A_MS = 500, VALUES_MAX = 1001 };

static const char format[] =
    "{\"type\":\"purchase\",\"id\":\"evt-%010zu\",\"client_id\":\"%s\",\"time\":%lld,"
    "\"order_id\":\"order-%010zu\",\"amount\":\"%zu.%02zu\",\"currency\":\"EUR\",\"channel\":\"web\",\"items\":["
    "{\"sku\":\"SKU-%04zu\",\"category\":\"shoes\",\"quantity\":1,\"price\":\"%zu.90\"},"
    "{\"sku\":\"SKU-%04zu\",\"category\":\"socks\",\"quantity\":2,\"price\":\"9.95\"}]}";

typedef enum rule_set {
    NO_RULES,
    FOLLOW_UPS, /* looks and pendings at each purchase, but nothing sent */
    SHIPPED,    /* and thank_you: a trigger at each purchase */
    ONE_WHEN,   /* follow-ups, the first with a condition that holds */
    FIFTY_WHENS /* only fifty rules on purchases, whose conditions do not hold */
} rule_set;

typedef struct step_bench {
    size_t clients, events;
    bool prefetch;
    rfm_client_conf client;
    rfm_rules rules;
    rfm_rule rule[64];
    rfm_arena arena; /* of conditions */
    rfm_worker *worker;
    rfm_record records[STEP_EVENTS];
    char keys[STEP_EVENTS][ID_BYTES], (*values)[VALUE_BYTES];
    int64_t next_offset[TASKS], wal_end[TASKS], now_ms;
    char wal[TASKS][RFM_WAL_VALUE_MAX];
    size_t wal_len[TASKS];
    uint64_t random, event_number;
    size_t messages;
    uint64_t redo_bytes_before;
    int64_t decode_ns, feed_ns, close_ns, answer_ns;
} step_bench;

static int64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static uint64_t next_random(step_bench *bench)
{
    bench->random ^= bench->random << 13;
    bench->random ^= bench->random >> 7;
    bench->random ^= bench->random << 17;
    return bench->random;
}

/* -- rules, as conf/rules has them */

static rfm_rule *add_rule(rfm_rules *rules, const char *name, rfm_cause_kind kind)
{
    rfm_rule *rule = &rules->rule[rules->count++];
    *rule = (rfm_rule){.on = {.kind = kind}, .class_ = RFM_CLASS_TRANSACTIONAL, .channel_count = 1};
    snprintf(rule->name, sizeof rule->name, "%s", name);
    snprintf(rule->template_, sizeof rule->template_, "%s", name);
    strcpy(rule->channel[0], "email");
    return rule;
}

static void add_when(step_bench *bench, rfm_rule *rule, const char *text)
{
    rfm_expr_env env = {.scope = rfm_environment_scope(rule)};
    rfm_expr_error error;
    env.fields = rfm_environment_fields(NULL, 0, &bench->arena, &env.field_count);
    rule->when.text = text;
    int code = rfm_expr_compile(&env, rfm_text(text), &rfm_expr_bool, &bench->arena, &rule->when.expr, &error);
    RFM_ASSERT(code == RFM_OK);
    rule->event_parts = rfm_environment_event_parts(rule->when.expr);
}

/* Fifty that differ, of ten kinds: of some it is the first comparison that is false, of some the last. */
static void add_fifty(step_bench *bench)
{
    static const char *const kinds[] = {
        "client.orders >= %zu000 && client.revenue > 100",
        "client.orders >= 1 && client.revenue > 1%zu000.0",
        "event.amount < 0.%zu || client.visits > 3",
        "client.churn_risk > 0.%zu && client.lifecycle == \"lapsed\"",
        "event.channel == \"shop\" && now - client.last_purchase < duration(\"%zud\")",
        "has(client.nps) && client.nps <= %zu",
        "client.lifecycle in [\"at_risk\", \"lapsed\"] && client.orders > %zu",
        "client.segment != \"champions\" && event.amount >= %zu00.5 && has(event.coupon)",
        "!(client.open_complaints > 0 || client.visits < %zu) && client.churn_risk < 0.5",
        "(event.channel == \"app\" || has(client.language) && client.language == \"de\") && client.points >= %zu00",
    };
    for (size_t i = 0; i < 50; i++) {
        char name[16], text[160];
        snprintf(name, sizeof name, "rule_%zu", i);
        snprintf(text, sizeof text, kinds[i % 10], 40 + i);
        rfm_rule *rule = add_rule(&bench->rules, name, RFM_CAUSE_EVENT);
        rule->on.event = RFM_EVENT_PURCHASE;
        add_when(bench, rule, (const char *)rfm_arena_copy(&bench->arena, rfm_bytes_of(text, strlen(text) + 1)).at);
    }
}

static void make_rules(step_bench *bench, rule_set set)
{
    rfm_rules *rules = &bench->rules;
    *rules = (rfm_rules){.rule = bench->rule,
                         .topic = {"triggers"},
                         .topic_count = 1,
                         .source = "rfmd/bench",
                         .type_prefix = "io.rfmd.trigger.",
                         .version = "0123456789abcdef0123456789abcdef",
                         .max_trigger_age_ms = INT64_MAX,
                         .silent_until_ms = INT64_MIN};
    if (set == FIFTY_WHENS)
        add_fifty(bench);
    if (set == NO_RULES || set == FIFTY_WHENS)
        return;
    rfm_rule *rule = add_rule(rules, "review_request", RFM_CAUSE_EVENT);
    rule->on.event = RFM_EVENT_PURCHASE;
    rule->delay_ms = 10 * RFM_DAY_MS;
    rule->restart = true;
    rule->cancel_on = 1u << RFM_EVENT_REFUND;
    rule->class_ = RFM_CLASS_MARKETING;
    rule->cooldown_ms = 30 * RFM_DAY_MS;
    if (set == ONE_WHEN)
        add_when(bench, rule, "client.orders >= 1 && client.revenue > 0");
    if (set == SHIPPED)
        add_rule(rules, "thank_you", RFM_CAUSE_EVENT)->on.event = RFM_EVENT_PURCHASE;
    rule = add_rule(rules, "welcome", RFM_CAUSE_ENTER_LIFECYCLE);
    rule->on.lifecycle = RFM_LIFECYCLE_NEW;
    rule->once = true;
    rule = add_rule(rules, "win_back", RFM_CAUSE_FALL_RATIO);
    rule->on.threshold = .3;
    rule->class_ = RFM_CLASS_MARKETING;
    rule->cooldown_ms = 90 * RFM_DAY_MS;
    rule->cancel_on = 1u << RFM_EVENT_PURCHASE;
}

/* -- the host: what Kafka and Redis would answer */

static void tell(step_bench *bench, const rfm_effect *effect, rfm_input *input)
{
    input->task = effect->task;
    input->term = effect->term;
    input->now_ms = bench->now_ms;
    rfm_worker_tell(bench->worker, input);
}

static void answer_position(step_bench *bench, const rfm_effect *effect)
{
    rfm_input input = {.kind = RFM_IN_POSITION, .position = {.committed = {.wal = RFM_OFFSET_NONE}}};
    for (size_t i = 0; i < RFM_INPUTS_MAX; i++)
        input.position.committed.next[i] = RFM_OFFSET_NONE;
    tell(bench, effect, &input);
}

static rfm_bytes stored_wal(const step_bench *bench, uint32_t task)
{
    return bench->wal_len[task] ? rfm_bytes_of(bench->wal[task], bench->wal_len[task]) : RFM_BYTES_NONE;
}

/* Nobody is asked for a second time, and no list comes due: Redis may be empty for ever. */
static void answer_load(step_bench *bench, const rfm_effect *effect)
{
    static const rfm_bytes nothing[VALUES_MAX];
    size_t count = effect->load.what == RFM_LOAD_VALUES ? effect->load.count : 0;
    RFM_ASSERT(count <= VALUES_MAX);
    tell(bench, effect,
         &(rfm_input){.kind = RFM_IN_LOADED,
                      .loaded = {.load = effect->load.load,
                                 .wal_value = stored_wal(bench, effect->task),
                                 .values = nothing,
                                 .count = count}});
}

static void answer_publish(step_bench *bench, const rfm_effect *effect)
{
    rfm_step *step = effect->step;
    for (size_t i = 0; i < step->message_count; i++) {
        const rfm_message *message = &step->messages[i];
        if (message->topic == RFM_TOPIC_WAL)
            step->changes[message->change].to.wal = bench->wal_end[message->partition]++;
        else
            bench->messages++;
    }
    tell(bench, effect, &(rfm_input){.kind = RFM_IN_PUBLISHED, .step = step});
}

static void answer_store(step_bench *bench, const rfm_effect *effect)
{
    bench->wal_len[effect->task] = effect->store.wal_value.len;
    memcpy(bench->wal[effect->task], effect->store.wal_value.at, effect->store.wal_value.len);
    tell(bench, effect, &(rfm_input){.kind = RFM_IN_STORED, .wal_value = effect->store.wal_value});
}

static void answer(step_bench *bench, const rfm_effect *effect)
{
    switch (effect->kind) {
    case RFM_OUT_READ_POSITION: answer_position(bench, effect); break;
    case RFM_OUT_OPEN: tell(bench, effect, &(rfm_input){.kind = RFM_IN_OPENED}); break;
    case RFM_OUT_READ_WAL: tell(bench, effect, &(rfm_input){.kind = RFM_IN_WAL, .wal = {.last = true}}); break;
    case RFM_OUT_LOAD: answer_load(bench, effect); break;
    case RFM_OUT_PUBLISH: answer_publish(bench, effect); break;
    case RFM_OUT_STORE: answer_store(bench, effect); break;
    case RFM_OUT_HALT: fprintf(stderr, "%s\n", effect->reason); exit(1);
    default: break;
    }
}

static void drive(step_bench *bench)
{
    rfm_effect effect;
    for (;;) {
        int64_t from_ns = cpu_ns();
        bool more = rfm_worker_next(bench->worker, &effect);
        int64_t asked_ns = cpu_ns();
        bool closed = more && effect.kind == RFM_OUT_PUBLISH;
        *(closed ? &bench->close_ns : &bench->answer_ns) += asked_ns - from_ns;
        if (!more)
            return;
        answer(bench, &effect);
        bench->answer_ns += cpu_ns() - asked_ns;
    }
}

/* -- events */

static void make_record(step_bench *bench, size_t i, size_t client)
{
    uint64_t random = next_random(bench), number = bench->event_number++;
    rfm_record *record = &bench->records[i];
    size_t key_len = (size_t)snprintf(bench->keys[i], ID_BYTES, "client-%07zu", client);
    int64_t append_ms = bench->now_ms + (int64_t)(i / EVENTS_A_MS);
    int len = snprintf(bench->values[i], VALUE_BYTES, format, (size_t)number, bench->keys[i],
                       (long long)(append_ms - (int64_t)(random >> 40) % 5000), (size_t)number,
                       (size_t)(random % 200 + 1), (size_t)(random >> 8) % 100, (size_t)(random >> 16) % 10000,
                       (size_t)(random >> 24) % 200 + 1, (size_t)(random >> 32) % 10000);
    rfm_bytes key = rfm_bytes_of(bench->keys[i], key_len);
    uint32_t task = rfm_partition_of(RFM_PARTITIONER_MURMUR2, key, TASKS);
    *record = (rfm_record){.task = task,
                           .offset = bench->next_offset[task]++,
                           .append_ms = append_ms,
                           .key = key,
                           .value = rfm_bytes_of(bench->values[i], (size_t)len)};
}

/* In chunks as a consumer's batches; one at a time, nothing can be fetched ahead. */
static void feed(step_bench *bench, size_t count)
{
    int64_t now_ms = bench->records[count - 1].append_ms;
    for (size_t fed = 0; fed < count;) {
        int64_t from_ns = cpu_ns();
        for (size_t taken = 1; fed < count && taken > 0; fed += taken) {
            size_t chunk = !bench->prefetch ? 1 : count - fed < 1000 ? count - fed : 1000;
            taken = rfm_worker_feed(bench->worker, bench->records + fed, chunk, now_ms);
        }
        bench->feed_ns += cpu_ns() - from_ns;
        if (fed < count) /* it waits for clients */
            drive(bench);
    }
    bench->now_ms = now_ms + 1;
}

static void decode_alone(step_bench *bench, size_t count)
{
    rfm_decoder *decoder = rfm_decoder_new(&bench->client.money);
    int64_t from_ns = cpu_ns();
    for (size_t i = 0; i < count; i++) {
        rfm_event event;
        rfm_fault fault;
        if (i % 32 == 0)
            rfm_decoder_reset(decoder);
        RFM_ASSERT(rfm_decode(decoder, bench->records[i].value, bench->records[i].append_ms, &event, &fault) == 0);
    }
    bench->decode_ns += cpu_ns() - from_ns;
    rfm_decoder_free(decoder);
}

static void make_clients(step_bench *bench)
{
    for (size_t client = 0; client < bench->clients;) {
        size_t count = 0;
        for (; count < STEP_EVENTS && client < bench->clients; count++)
            make_record(bench, count, client++);
        feed(bench, count);
        drive(bench);
    }
}

static void run_step(step_bench *bench)
{
    for (size_t i = 0; i < STEP_EVENTS; i++)
        make_record(bench, i, next_random(bench) % bench->clients);
    feed(bench, STEP_EVENTS);
    drive(bench);
}

static void run_steps(step_bench *bench)
{
    for (size_t done = 0; done < bench->events; done += STEP_EVENTS) {
        run_step(bench);
        if (done < 20 * STEP_EVENTS)
            decode_alone(bench, STEP_EVENTS);
    }
}

/* -- one row */

static void start_worker(step_bench *bench)
{
    rfm_worker_conf conf = {.partition_count = TASKS,
                            .input_count = 1,
                            .input_topic = {"events"},
                            .check_records = true,
                            .clock = RFM_CLOCK_WALL,
                            .cache_bytes_max = SIZE_MAX / 2,
                            .dirty_bytes_max = 64 << 20,
                            .step_events_max = STEP_EVENTS,
                            .wal_idle_ms = INT64_MAX / 2,
                            .client = &bench->client,
                            .rules = &bench->rules};
    rfm_error error;
    if (rfm_worker_new(&conf, &bench->worker, &error) != RFM_OK) {
        fprintf(stderr, "%s\n", error.message);
        exit(1);
    }
    for (uint32_t task = 0; task < TASKS; task++)
        rfm_worker_tell(bench->worker,
                        &(rfm_input){.kind = RFM_IN_ASSIGNED, .task = task, .now_ms = bench->now_ms, .assignment = 1});
    rfm_worker_tell(bench->worker,
                    &(rfm_input){.kind = RFM_IN_EDGES, .now_ms = bench->now_ms, .edges = &(rfm_edges){0}});
    drive(bench);
}

static void print_row(const step_bench *bench, const char *name, size_t events, size_t decoded)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    const rfm_worker_stats *stats = rfm_worker_stats_of(bench->worker);
    double each = (double)events, feed_ns = (double)bench->feed_ns / each, close_ns = (double)bench->close_ns / each;
    double answer_ns = (double)bench->answer_ns / each, total_ns = feed_ns + close_ns + answer_ns;
    printf("%-34s %8.0f %8.0f %8.0f %8.0f %8.0f %10.0f %9.2f %8.0f %9.0f %7.0f\n", name,
           decoded ? (double)bench->decode_ns / (double)decoded : 0, feed_ns, close_ns, answer_ns, total_ns,
           1e9 / total_ns, (double)bench->messages / each,
           (double)(stats->redo_bytes - bench->redo_bytes_before) / each,
           (double)stats->cache_bytes / (double)bench->clients, (double)usage.ru_maxrss / 1024);
    fflush(stdout);
}

typedef struct row {
    const char *name;
    rule_set rules;
    bool prefetch;
} bench_row;

static const bench_row rows[] = {
    {"no rules", NO_RULES, true},
    {"no rules, nothing fetched ahead", NO_RULES, false},
    {"follow-ups, nothing sent", FOLLOW_UPS, true},
    {"follow-ups, nothing fetched ahead", FOLLOW_UPS, false},
    {"shipped rules, each event sends", SHIPPED, true},
    {"follow-ups, one with a condition", ONE_WHEN, true},
    {"50 conditions in vain", FIFTY_WHENS, true},
};

static step_bench *bench_new(const bench_row *row, size_t clients, size_t events)
{
    step_bench *bench = calloc(1, sizeof *bench);
    RFM_ASSERT(bench);
    bench->values = calloc(STEP_EVENTS, sizeof *bench->values);
    RFM_ASSERT(bench->values);
    bench->clients = clients;
    bench->events = (events + STEP_EVENTS - 1) / STEP_EVENTS * STEP_EVENTS;
    bench->prefetch = row->prefetch;
    bench->random = 88172645463325252;
    bench->now_ms = INT64_C(1767225630000); /* 2026-01-01T00:00:30Z */
    rfm_client_conf_defaults(&bench->client);
    rfm_arena_init(&bench->arena);
    make_rules(bench, row->rules);
    start_worker(bench);
    make_clients(bench);
    return bench;
}

static void bench_free(step_bench *bench)
{
    rfm_worker_free(bench->worker);
    rfm_arena_release(&bench->arena);
    free(bench->values);
    free(bench);
}

static void run_row(const bench_row *row, size_t clients, size_t events)
{
    step_bench *bench = bench_new(row, clients, events);
    if (row == rows)
        print_row(bench, "clients that are new", clients, 0);
    bench->decode_ns = bench->feed_ns = bench->close_ns = bench->answer_ns = 0;
    bench->messages = 0;
    bench->redo_bytes_before = rfm_worker_stats_of(bench->worker)->redo_bytes;
    run_steps(bench);
    print_row(bench, row->name, bench->events, bench->events < 20 * STEP_EVENTS ? bench->events : 20 * STEP_EVENTS);
    bench_free(bench);
}

/* -- what rules add */

typedef struct addition {
    const char *name;
    rule_set rules, beside;
} addition;

static const addition additions[] = {
    {"50 conditions in vain", FIFTY_WHENS, NO_RULES},
    {"one trigger with headers", SHIPPED, FOLLOW_UPS},
};

static double step_ns(step_bench *bench)
{
    int64_t before_ns = bench->feed_ns + bench->close_ns + bench->answer_ns;
    run_step(bench);
    return (double)(bench->feed_ns + bench->close_ns + bench->answer_ns - before_ns) / STEP_EVENTS;
}

static int compare_ns(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

/* Two workers take the same steps in turns, so that both see the same machine. */
static void run_addition(const addition *added, size_t clients, size_t events)
{
    const bench_row with = {added->name, added->rules, true}, without = {added->name, added->beside, true};
    step_bench *first = bench_new(&without, clients, events), *second = bench_new(&with, clients, events);
    size_t steps = first->events / STEP_EVENTS;
    double *added_ns = calloc(steps, sizeof *added_ns);
    RFM_ASSERT(added_ns);
    for (size_t i = 0; i < steps; i++) {
        double without_ns = step_ns(first);
        added_ns[i] = step_ns(second) - without_ns;
    }
    qsort(added_ns, steps, sizeof *added_ns, compare_ns);
    printf("%-34s %8.0f %8.0f %8.0f\n", added->name, added_ns[steps / 4], added_ns[steps / 2], added_ns[steps * 3 / 4]);
    fflush(stdout);
    free(added_ns);
    bench_free(first);
    bench_free(second);
}

static void run_additions(size_t clients, size_t events)
{
    printf("\n%-34s %8s %8s %8s\n", "ns an event that rules add", "quarter", "median", "quarter");
    for (size_t i = 0; i < sizeof additions / sizeof *additions; i++)
        run_addition(&additions[i], clients, events);
}

/* Each row in a process of its own, so that its memory is its own; NULL: what rules add. */
static void fork_row(const bench_row *row, size_t clients, size_t events)
{
    pid_t child = fork();
    RFM_ASSERT(child >= 0);
    if (child == 0) {
        if (row != NULL)
            run_row(row, clients, events);
        else
            run_additions(clients, events);
        exit(0);
    }
    int status;
    if (waitpid(child, &status, 0) != child || status != 0)
        exit(1);
}

int main(int argc, char **argv)
{
    size_t clients = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;
    size_t events = argc > 2 ? strtoul(argv[2], NULL, 10) : 2000000;
    RFM_ASSERT(clients > 0 && events > 0);
    printf("%zu clients, %zu purchases by random clients, %d tasks, steps of %d; ns of processor time an event\n\n",
           clients, events, TASKS, STEP_EVENTS);
    printf("%-34s %8s %8s %8s %8s %8s %10s %9s %8s %9s %7s\n", "", "decode", "feed", "close", "answers", "in all",
           "events/s", "messages", "redo B", "cache B", "RSS");
    printf("%-34s %8s %8s %8s %8s %8s %10s %9s %8s %9s %7s\n", "", "alone", "", "", "", "", "", "an event", "an event",
           "a client", "MiB");
    fflush(stdout);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (argc <= 3 || i == strtoul(argv[3], NULL, 10))
            fork_row(&rows[i], clients, events);
    if (argc <= 3 || strtoul(argv[3], NULL, 10) == sizeof rows / sizeof *rows)
        fork_row(NULL, clients, events);
    return 0;
}
