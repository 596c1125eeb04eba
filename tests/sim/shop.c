#include "sim.h"

#include <rfm/base/hash.h>
#include <rfm/event/decode.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A client's orders, for refunds that name them. */
struct order {
    uint32_t number;
    int64_t left_minor;
};
struct customer {
    struct order order[12];
    size_t orders, events;
    int64_t erased_ms; /* what was said before has no effect; INT64_MIN: never erased */
};

enum { EVENTS_MAX = 28 /* of a client: fewer than the window of repeats */, LATE_MS = 20 * 3600 * 1000 };

static void name_clients(sim_world *sim)
{
    sim->shop.client_id = sim_take(sim, sim->options.clients * sizeof *sim->shop.client_id);
    for (size_t i = 0; i < sim->options.clients; i++) {
        char text[32];
        int len = snprintf(text, sizeof text, "c%zu", i);
        for (unsigned k = 0; sim->options.crowded && rfm_hash64(rfm_bytes_of(text, (size_t)len)) % 1440 % 180 != 7; k++)
            len = snprintf(text, sizeof text, "c%zu-%u", i, k);
        text[len] = 0;
        sim->shop.client_id[i] = rfm_arena_copy(&sim->arena, rfm_bytes_of(text, (size_t)len + 1));
        sim->shop.client_id[i].len--; /* the zero is for printing */
    }
}

void sim_shop_conf(const sim_world *sim, rfm_client_conf *conf)
{
    rfm_client_conf_defaults(conf);
    if (!sim->options.population)
        conf->rfm.r = conf->rfm.f = conf->rfm.m = RFM_AXIS_FIXED;
    conf->rfm.population_min = 5;
    /* Clients that buy and lapse within hours. */
    conf->model = (rfm_model){.r = 1, .alpha = .2, .a = .9, .b = 1.6, .unit_days = 1, .evidence_cap = 5};
    conf->churn_horizon_days = .25;
    memcpy(conf->rfm.recency_days, (int32_t[4]){0, 1, 2, 3}, sizeof conf->rfm.recency_days);
    conf->version = rfm_client_conf_version(conf);
}

static int by_priority(const void *a, const void *b)
{
    const rfm_rule *left = a, *right = b;
    if (left->priority != right->priority)
        return left->priority > right->priority ? -1 : 1;
    return strcmp(left->name, right->name);
}

static rfm_rule *add_rule(rfm_rules *rules, const char *name, rfm_cause_kind kind)
{
    rfm_rule *rule = &rules->rule[rules->count++];
    *rule = (rfm_rule){.on = {.kind = kind}, .class_ = RFM_CLASS_TRANSACTIONAL};
    snprintf(rule->name, sizeof rule->name, "%s", name);
    return rule;
}

rfm_rules *sim_shop_rules(sim_world *sim, unsigned variant)
{
    /* By the wall clock there are only the seconds of the run itself. */
    int64_t hour_ms = sim->options.clock == RFM_CLOCK_RECORD ? RFM_HOUR_MS : 1000;
    rfm_rules *rules = sim_take(sim, sizeof *rules);
    rules->rule = sim_take(sim, 16 * sizeof *rules->rule);
    rules->topic_count = 2;
    strcpy(rules->topic[0], "triggers");
    strcpy(rules->topic[1], "offers");
    strcpy(rules->version, "1");
    strcpy(rules->source, "rfmd/sim");
    strcpy(rules->type_prefix, "io.rfmd.trigger.");
    rules->secret_len = 6;
    memcpy(rules->secret, "secret", 6);
    rules->max_trigger_age_ms = INT64_MAX;
    rules->silent_until_ms = INT64_MIN;
    rfm_rule *rule = add_rule(rules, "thank_you", RFM_CAUSE_EVENT);
    rule->on.event = RFM_EVENT_PURCHASE;
    rule->attribution_ms = 6 * hour_ms;
    rule = add_rule(rules, "review", RFM_CAUSE_EVENT);
    rule->on.event = RFM_EVENT_PURCHASE;
    rule->delay_ms = 2 * hour_ms + 1234;
    rule->cancel_on = 1u << RFM_EVENT_PURCHASE;
    rule->topic = 1;
    rule = add_rule(rules, "follow_up", RFM_CAUSE_EVENT); /* more than one may wait */
    rule->on.event = RFM_EVENT_VISIT;
    rule->delay_ms = 3 * hour_ms;
    rule->restart = true;
    rule = add_rule(rules, "win_back", RFM_CAUSE_FALL_RATIO);
    rule->on.threshold = .3;
    rule->promo.given = true;
    rule->promo.percent = 15;
    rule->promo.valid_ms = RFM_DAY_MS;
    strcpy(rule->promo.prefix, "BACK");
    rule->topic = 1;
    rule = add_rule(rules, "welcome", RFM_CAUSE_ENTER_LIFECYCLE);
    rule->on.lifecycle = RFM_LIFECYCLE_NEW;
    rule->once = true;
    rule->priority = 5;
    rule = add_rule(rules, "at_risk", RFM_CAUSE_ENTER_LIFECYCLE);
    rule->on.lifecycle = RFM_LIFECYCLE_AT_RISK;
    rule->cooldown_ms = 20 * hour_ms;
    strcpy(rule->channel[rule->channel_count++], "email");
    rule = add_rule(rules, "quiet", RFM_CAUSE_IDLE);
    rule->on.event = RFM_EVENT_VISIT;
    rule->on.idle_ms = 7 * hour_ms;
    rule = add_rule(rules, "greeting", RFM_CAUSE_EVENT); /* an experiment, whose windows end in the middle of things */
    rule->on.event = RFM_EVENT_VISIT;
    rule->class_ = RFM_CLASS_MARKETING;
    rule->cooldown_ms = 4 * hour_ms;
    rule->attribution_ms = 9 * hour_ms;
    rule->experiment = (rfm_experiment){.given = true,
                                        .salt = "sim",
                                        .control_buckets = 3000,
                                        .variant_count = 2,
                                        .variant = {{"a", 3000}, {"b", 4000}}};
    rule = add_rule(rules, "moved", RFM_CAUSE_LEAVE_SEGMENT);
    rule->on.segment = 1;
    if (sim->options.clock == RFM_CLOCK_WALL && variant % 3 > 0) {
        snprintf(rules->version, sizeof rules->version, "%u", variant % 3);
        rules->count--;
        if (variant % 3 == 2)
            rules->rule[2] = rules->rule[rules->count - 1], rules->count--;
    }
    qsort(rules->rule, rules->count, sizeof *rules->rule, by_priority);
    return rules;
}

static void add_record(sim_world *sim, const char *client_id, const char *value, int64_t append_ms, bool wrong_key)
{
    sim_shop *shop = &sim->shop;
    rfm_bytes key = rfm_text(client_id);
    uint32_t task = rfm_partition_of(RFM_PARTITIONER_MURMUR2, key, SIM_TASKS);
    size_t at = shop->count++;
    shop->record[at].task = task;
    shop->record[at].input = (uint8_t)sim_below(sim, sim->options.inputs);
    shop->record[at].key = rfm_arena_copy(&sim->arena, wrong_key ? rfm_text("nobody") : key);
    shop->record[at].value = rfm_arena_copy(&sim->arena, rfm_text(value));
    shop->record[at].append_ms = append_ms;
    shop->record[at].offset = -1;
    shop->record[at].gap = (uint8_t)(!sim->options.gaps ? 0 : sim_one_in(sim, 8) ? 1 + sim_below(sim, 5) : 1);
    shop->bad += wrong_key;
}

static void thank(sim_world *sim, size_t event, const char *client_id)
{
    char identity[96];
    uint8_t id[16];
    int len = snprintf(identity, sizeof identity,
                       "thank_you\x1f%s\x1fpurchase\x1f"
                       "e%zu",
                       client_id, event);
    rfm_hash128(rfm_bytes_of(identity, (size_t)len), id);
    rfm_hex(id, sizeof id, sim->shop.thanks[sim->shop.purchases++]);
}

static size_t purchase(sim_world *sim, char *text, size_t size, size_t event, size_t client, struct customer *customer,
                       int64_t time_ms)
{
    const char *client_id = (const char *)sim->shop.client_id[client].at;
    sim_facts *facts = &sim->shop.facts[client];
    int64_t amount = 1 + (int64_t)sim_below(sim, 20000);
    customer->order[customer->orders++] = (struct order){.number = (uint32_t)event, .left_minor = amount};
    facts->orders++;
    facts->revenue_minor += amount;
    thank(sim, event, client_id);
    return (size_t)snprintf(
        text, size,
        "{\"type\":\"purchase\",\"id\":\"e%zu\",\"client_id\":\"%s\",\"time\":%lld,\"order_id\":\"o%zu\","
        "\"amount\":%lld.%02lld,\"currency\":\"EUR\"}",
        event, client_id, (long long)time_ms, event, (long long)amount / 100, (long long)amount % 100);
}

static size_t refund(sim_world *sim, char *text, size_t size, size_t event, size_t client, struct customer *customer,
                     int64_t time_ms)
{
    const char *client_id = (const char *)sim->shop.client_id[client].at;
    struct order *order = &customer->order[sim_below(sim, customer->orders)];
    int64_t amount = 1 + (int64_t)sim_below(sim, 10000),
            taken = amount < order->left_minor ? amount : order->left_minor;
    order->left_minor -= taken;
    sim->shop.facts[client].refunds++;
    sim->shop.facts[client].revenue_minor -= taken;
    return (size_t)snprintf(
        text, size,
        "{\"type\":\"refund\",\"id\":\"e%zu\",\"client_id\":\"%s\",\"time\":%lld,\"order_id\":\"o%u\","
        "\"amount\":%lld.%02lld}",
        event, client_id, (long long)time_ms, order->number, (long long)amount / 100, (long long)amount % 100);
}

static size_t other(sim_world *sim, char *text, size_t size, size_t event, size_t client, int64_t time_ms)
{
    const char *client_id = (const char *)sim->shop.client_id[client].at;
    if (sim_one_in(sim, 5)) {
        static const char *const channel[] = {"email", "push", "sms", "fax"};
        static const char *const status[] = {"delivered", "opened", "bounced"};
        return (size_t)snprintf(
            text, size,
            "{\"type\":\"message\",\"id\":\"e%zu\",\"client_id\":\"%s\",\"time\":%lld,\"channel\":\"%s\","
            "\"status\":\"%s\"}",
            event, client_id, (long long)time_ms, channel[sim_below(sim, 4)], status[sim_below(sim, 3)]);
    }
    sim->shop.facts[client].visits++;
    size_t visit = sim->shop.visits++;
    sim->shop.visit[visit].client = client;
    sim->shop.visit[visit].record = sim->shop.count; /* which follows */
    sim->shop.visit[visit].time_ms = time_ms;
    return (size_t)snprintf(
        text, size, "{\"type\":\"visit\",\"id\":\"e%zu\",\"client_id\":\"%s\",\"time\":%lld,\"channel\":\"web\"}",
        event, client_id, (long long)time_ms);
}

static void bad_record(sim_world *sim, const char *client_id, int64_t append_ms)
{
    static const char *const value[] = {"", "{", "{\"type\":\"purchase\"}", "[1,2]",
                                        "{\"type\":\"dance\",\"id\":\"1\",\"client_id\":\"c1\",\"time\":1}"};
    add_record(sim, client_id, value[sim_below(sim, 5)], append_ms, false);
    sim->shop.bad++;
}

static void erase(sim_world *sim, char *text, size_t size, size_t event, size_t client, struct customer *customer,
                  int64_t time_ms)
{
    const char *client_id = (const char *)sim->shop.client_id[client].at;
    sim->shop.facts[client] = (sim_facts){0};
    sim->shop.erased[client] = true;
    customer->orders = 0;
    customer->erased_ms = time_ms;
    snprintf(text, size, "{\"type\":\"erase\",\"id\":\"e%zu\",\"client_id\":\"%s\",\"time\":%lld}", event, client_id,
             (long long)time_ms);
}

static void say_too_late(const sim_world *sim, char *text, size_t size, size_t event, size_t client, int64_t time_ms)
{
    snprintf(text, size,
             "{\"type\":\"purchase\",\"id\":\"e%zu\",\"client_id\":\"%s\",\"time\":%lld,\"order_id\":\"o%zu\","
             "\"amount\":1,\"currency\":\"EUR\"}",
             event, (const char *)sim->shop.client_id[client].at, (long long)time_ms, event);
}

/* One event of a client, now and then twice, or something that is none. */
static void happen(sim_world *sim, struct customer *customers, size_t event, int64_t time_ms, int64_t append_ms)
{
    char text[512];
    size_t client = sim_below(sim, sim->options.clients);
    const char *client_id = (const char *)sim->shop.client_id[client].at;
    struct customer *customer = &customers[client];
    if (sim_one_in(sim, 40) || customer->events == EVENTS_MAX) {
        bad_record(sim, client_id, append_ms);
        return;
    }
    customer->events++;
    uint64_t what = sim_below(sim, 100);
    if (time_ms < customer->erased_ms)
        say_too_late(sim, text, sizeof text, event, client, time_ms);
    else if (sim->options.inputs == 1 && sim_one_in(sim, 40)) /* of several, any may be read first */
        erase(sim, text, sizeof text, event, client, customer, time_ms);
    else if (what < 40 && customer->orders < 12)
        purchase(sim, text, sizeof text, event, client, customer, time_ms);
    else if (what < 50 && customer->orders > 0)
        refund(sim, text, sizeof text, event, client, customer, time_ms);
    else
        other(sim, text, sizeof text, event, client, time_ms);
    add_record(sim, client_id, text, append_ms, false);
    for (uint64_t again = sim_one_in(sim, 12) ? 1 + sim_below(sim, 2) : 0; again > 0; again--)
        add_record(sim, client_id, text, append_ms, false);
    if (sim_one_in(sim, 60))
        add_record(sim, client_id, text, append_ms, true);
}

/* By the record clock time must go on for what waits to fall due: one more record a partition, of clients of their
 * own. */
static void add_markers(sim_world *sim, int64_t append_ms)
{
    char text[256], client_id[16];
    for (uint32_t task = 0; task < SIM_TASKS; task++) {
        for (size_t i = 0; i < 100; i++) {
            snprintf(client_id, sizeof client_id, "marker%zu", i);
            if (rfm_partition_of(RFM_PARTITIONER_MURMUR2, rfm_text(client_id), SIM_TASKS) != task)
                continue;
            for (uint8_t input = 0; input < sim->options.inputs; input++) {
                snprintf(text, sizeof text, "{\"type\":\"visit\",\"id\":\"m%u\",\"client_id\":\"%s\",\"time\":%lld}",
                         input, client_id, (long long)append_ms);
                add_record(sim, client_id, text, append_ms, false);
                sim->shop.record[sim->shop.count - 1].input = input;
            }
            break;
        }
    }
}

static void append_next(sim_world *sim, void *argument)
{
    sim_shop *shop = &sim->shop;
    bool wall = sim->options.clock == RFM_CLOCK_WALL;
    (void)argument;
    if (sim->doom.expected) /* what comes would hide it */
        return;
    for (uint64_t some = 1 + sim_below(sim, 8); some > 0 && shop->appended < shop->count; some--) {
        size_t at = shop->appended;
        if (wall && shop->record[at].append_ms > sim_now_ms(sim))
            break;
        shop->appended++;
        if (wall)
            shop->record[at].append_ms = sim_now_ms(sim);
        shop->record[at].offset = (int64_t)sim->broker.input[shop->record[at].task][shop->record[at].input].count;
        sim_broker_append(sim, shop->record[at].task, shop->record[at].input, shop->record[at].key,
                          shop->record[at].value, shop->record[at].append_ms);
        for (uint8_t i = 0; i < shop->record[at].gap; i++)
            sim_broker_append_gap(sim, shop->record[at].task, shop->record[at].input);
    }
    if (shop->appended < shop->count)
        sim_after(sim, (int64_t)sim_below(sim, (uint64_t)(sim->options.busy_us * 9 / (int64_t)shop->count) + 1),
                  append_next, NULL);
}

static int64_t late_ms(sim_world *sim)
{
    if (sim->options.clock == RFM_CLOCK_WALL && sim_one_in(sim, 3))
        return (int64_t)sim_below(sim, 4000);
    if (!sim_one_in(sim, 5))
        return 0;
    return (int64_t)sim_below(sim, sim_one_in(sim, 2) ? LATE_MS : 3 * RFM_HOUR_MS);
}

void sim_shop_init(sim_world *sim)
{
    sim_shop *shop = &sim->shop;
    const sim_options *options = &sim->options;
    name_clients(sim);
    shop->record = sim_take(sim, (options->events * 5 + 16) * sizeof *shop->record);
    shop->facts = sim_take(sim, options->clients * sizeof *shop->facts);
    shop->erased = sim_take(sim, options->clients * sizeof *shop->erased);
    shop->thanks = sim_take(sim, options->events * sizeof *shop->thanks + 1);
    shop->visit = sim_take(sim, options->events * sizeof *shop->visit + 1);
    struct customer *customers = sim_take(sim, options->clients * sizeof *customers);
    for (size_t i = 0; i < options->clients; i++)
        customers[i].erased_ms = INT64_MIN;
    for (size_t event = 0; event < options->events; event++) {
        bool record = options->clock == RFM_CLOCK_RECORD;
        int64_t append_ms = SIM_START_MS + options->span_ms * (int64_t)event / (int64_t)options->events;
        if (!record) /* the seconds of the run itself */
            append_ms = SIM_START_MS + options->busy_us / 1000 * (int64_t)event / (int64_t)options->events;
        else if (sim_one_in(sim, 4) != (options->grain_ms > RFM_MINUTE_MS)) /* some of one instant, or most */
            append_ms = append_ms / options->grain_ms * options->grain_ms;
        int64_t time_ms = append_ms - late_ms(sim);
        if (shop->count > 0 && append_ms < shop->record[shop->count - 1].append_ms)
            append_ms = shop->record[shop->count - 1].append_ms;
        happen(sim, customers, event, time_ms, append_ms);
    }
    if (options->clock == RFM_CLOCK_RECORD)
        add_markers(sim, SIM_START_MS + options->span_ms + 12 * RFM_HOUR_MS);
    sim_after(sim, 1000, append_next, NULL);
}
