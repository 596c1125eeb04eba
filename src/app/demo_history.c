#include "demo_history.h"

#include "chance.h"

#include <stdlib.h>

enum {
    DAYS = 365,
    QUIET_MAX = 300,
    QUIET_PART = 20,
    QUIET_EVERY_MS = 2000,
    FLUSH_TIMEOUT_MS = 15000,
    PROGRESS_EVENTS = 2048
};
#define GROWTH 0.25

/* -- clients of whom something comes soon */

static const rfm_rule *rule_named(const rfm_config *config, const char *name)
{
    for (size_t i = 0; i < config->rules.count; i++)
        if (strcmp(config->rules.rule[i].name, name) == 0)
            return &config->rules.rule[i];
    return NULL;
}

enum { BOUGHT_MAX = 5 };

/* Up to 5 purchases, whole days apart and some weeks, the last one at last_ms; those before from_ms are left out. */
static size_t make_purchases(rfm_chance *chance, size_t count, int64_t last_ms, int64_t from_ms,
                             int64_t bought_ms[BOUGHT_MAX])
{
    int64_t time_ms = last_ms, back_ms[BOUGHT_MAX];
    size_t made = 0, kept = 0;
    while (made < count && time_ms > from_ms) {
        back_ms[made++] = time_ms;
        time_ms -= (9 + rfm_chance_below(chance, 17)) * RFM_DAY_MS;
    }
    while (made > 0)
        bought_ms[kept++] = back_ms[--made];
    return kept;
}

/* How long after the last of these purchases the activity ratio has fallen so far. */
static int64_t idle_ms(const rfm_config *config, const rfm_rule *rule, const int64_t *bought_ms, size_t count)
{
    double t_x_days = (double)(bought_ms[count - 1] - bought_ms[0]) / (double)RFM_DAY_MS;
    double days = rfm_model_idle_at_ratio(&config->client.model, (double)(count - 1), t_x_days,
                                          config->client.churn_horizon_days, rule->on.threshold);
    return days < 3 * DAYS ? (int64_t)(days * (double)RFM_DAY_MS) : 3 * DAYS * RFM_DAY_MS;
}

static bool add_fading(rfm_demo_history *history, const rfm_config *config, const rfm_rule *rule, rfm_chance *chance,
                       int64_t from_ms, int64_t moment_ms)
{
    int64_t bought_ms[BOUGHT_MAX], shift_ms;
    size_t count = make_purchases(chance, 1 + rfm_chance_below(chance, BOUGHT_MAX), moment_ms, from_ms, bought_ms);
    shift_ms = idle_ms(config, rule, bought_ms, count);
    if (bought_ms[0] - shift_ms < from_ms)
        return false;
    for (size_t i = 0; i < count; i++)
        bought_ms[i] -= shift_ms;
    rfm_shop_add_quiet(history->shop, bought_ms, count);
    return true;
}

static bool add_waiting(rfm_demo_history *history, const rfm_rule *rule, rfm_chance *chance, int64_t from_ms,
                        int64_t moment_ms)
{
    int64_t bought_ms[BOUGHT_MAX], last_ms = moment_ms - rule->delay_ms;
    size_t count = make_purchases(chance, 1 + rfm_chance_below(chance, 3), last_ms, from_ms, bought_ms);
    if (count > 1 &&
        last_ms - bought_ms[count - 2] < rule->delay_ms + rule->cooldown_ms) /* then it was sent not long ago */
        bought_ms[0] = last_ms, count = 1;
    if (count > 0)
        rfm_shop_add_quiet(history->shop, bought_ms, count);
    return count > 0;
}

static void add_quiet(rfm_demo_history *history, const rfm_config *config, uint32_t clients, uint64_t seed,
                      int64_t from_ms, int64_t until_ms)
{
    const rfm_rule *fading = rule_named(config, "win_back"), *waiting = rule_named(config, "review_request");
    rfm_chance chance = rfm_chance_of(seed, UINT64_MAX - 2);
    uint32_t each = clients / QUIET_PART < QUIET_MAX ? clients / QUIET_PART : QUIET_MAX;
    if (each == 0)
        each = 1;
    for (uint32_t i = 0; i < each; i++) {
        int64_t moment_ms = until_ms + 4000 + (int64_t)i * QUIET_EVERY_MS + rfm_chance_below(&chance, QUIET_EVERY_MS);
        if (fading != NULL && fading->on.kind == RFM_CAUSE_FALL_RATIO)
            history->quiet += add_fading(history, config, fading, &chance, from_ms, moment_ms);
        if (waiting != NULL && waiting->delay_ms > 0)
            history->quiet += add_waiting(history, waiting, &chance, from_ms, moment_ms - 1000);
    }
}

/* -- the year */

static int feed(rfm_demo_history *history, int64_t from_ms, int64_t until_ms, bool (*progress)(double share),
                rfm_error *error)
{
    rfm_shop_event event;
    int code = RFM_OK;
    while (code == RFM_OK && !history->stopped && rfm_shop_next(history->shop, until_ms, 0, &event)) {
        code = rfm_offline_event(history->offline, event.client_id, event.value, event.time_ms, error);
        if (++history->events % PROGRESS_EVENTS == 0)
            history->stopped = !progress((double)(event.time_ms - from_ms) / (double)(until_ms - from_ms));
    }
    if (code == RFM_OK && !history->stopped)
        code = rfm_offline_until(history->offline, until_ms, error);
    if (code == RFM_OK && !history->stopped)
        rfm_offline_sum_population(history->offline);
    return code;
}

int rfm_demo_history_run(rfm_demo_history *history, const rfm_config *config, uint32_t clients, uint64_t seed,
                         uint32_t partition_count, int64_t until_ms, bool (*progress)(double share), rfm_error *error)
{
    int64_t from_ms = until_ms - DAYS * RFM_DAY_MS, begun_ns = rfm_clock_steady_ns();
    rfm_shop_conf conf = {.seed = seed, .clients = clients, .start_ms = from_ms, .days = DAYS, .growth = GROWTH};
    *history = (rfm_demo_history){.shop = rfm_shop_new(&conf)};
    add_quiet(history, config, clients, seed, from_ms, until_ms);
    int code = rfm_offline_new(config, partition_count, RFM_FORMAT_NATIVE, &(rfm_offline_calls){0}, &history->offline,
                               error);
    if (code == RFM_OK)
        code = feed(history, from_ms, until_ms, progress, error);
    history->seconds = (double)(rfm_clock_steady_ns() - begun_ns) / 1e9;
    return code;
}

void rfm_demo_history_release(rfm_demo_history *history)
{
    rfm_shop_free(history->shop);
    rfm_offline_free(history->offline);
    *history = (rfm_demo_history){0};
}

/* -- its end as the service's beginning */

static int publish_view(const rfm_view *view, const rfm_config *config, uint32_t task, rfm_redo *redo, rfm_arena *arena,
                        rfm_producer *producer, rfm_error *error)
{
    int64_t next[RFM_INPUTS_MAX];
    const rfm_bytes *parts;
    for (size_t i = 0; i < RFM_INPUTS_MAX; i++)
        next[i] = RFM_OFFSET_NONE;
    rfm_redo_begin(redo, config->kafka.input_count);
    rfm_view_dump(view, redo);
    size_t count = rfm_redo_end(redo, RFM_OFFSET_NONE, next, arena, &parts);
    int code = RFM_OK;
    for (size_t i = 0; code == RFM_OK && i < count; i++)
        code = rfm_producer_send(producer, config->kafka.wal, (int32_t)task, RFM_BYTES_NONE, parts[i], 0, error);
    return code;
}

int rfm_demo_history_publish(const rfm_demo_history *history, const rfm_config *config, uint32_t partition_count,
                             rfm_producer *producer, rfm_error *error)
{
    rfm_redo *redo = malloc(sizeof *redo);
    rfm_arena arena;
    int code = RFM_OK;
    RFM_NEED(redo != NULL);
    rfm_redo_init(redo, 0);
    rfm_arena_init(&arena);
    for (uint32_t task = 0; code == RFM_OK && task < partition_count; task++)
        code = publish_view(rfm_offline_view(history->offline, task), config, task, redo, &arena, producer, error);
    if (code == RFM_OK)
        code = rfm_producer_flush(producer, FLUSH_TIMEOUT_MS, error);
    rfm_redo_release(redo);
    rfm_arena_release(&arena);
    free(redo);
    return code;
}
