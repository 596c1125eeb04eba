#include "scenario.h"

#include "config/config.h"
#include "config/loader.h"
#include "expectation.h"
#include "offline.h"
#include "record_text.h"

#include <rfm/base/grow.h>
#include <rfm/base/nearest.h>
#include <rfm/base/time.h>
#include <rfm/base/utf8.h>
#include <rfm/event/headers.h>
#include <stdio.h>
#include <stdlib.h>

enum { FILE_BYTES_MAX = 1 << 20, EVENTS_MAX = 10000 };
#define START_MS INT64_C(1767614400000) /* 2026-01-05T12:00:00Z, a Monday */

typedef struct scenario_event {
    int64_t time_ms;
    const rfm_yaml *node;
    rfm_bytes client_id, json;
} scenario_event;

typedef struct scenario {
    const rfm_config *config;
    const rfm_yaml *node;
    rfm_buffer *report;
    rfm_arena arena;
    int64_t start_ms, until_ms;
    scenario_event *events;
    size_t event_count;
    rfm_scenario_outcome *outcomes;
    size_t outcome_count, outcome_size;
    bool bad;
} scenario;

static void complain_at(rfm_buffer *report, const rfm_yaml *node, const char *what)
{
    rfm_write_format(report, "%s:%u:%u: %s\n", node->source->name, node->line, node->column, what);
}

static void refuse(scenario *s, const rfm_yaml *node, const char *what)
{
    complain_at(s->report, node, what);
    s->bad = true;
}

static bool keys_are_known(rfm_buffer *report, const rfm_yaml *map, const char *const *names)
{
    bool good = true;
    for (const rfm_yaml *child = map->first; child; child = child->next) {
        size_t i = 0;
        while (names[i] && strcmp(names[i], child->key) != 0)
            i++;
        if (names[i])
            continue;
        rfm_write_format(report, "%s:%u:%u: unknown key \"%.60s\"; the nearest known one is \"%s\"\n",
                         child->source->name, child->key_line, child->key_column, child->key,
                         rfm_nearest(names, child->key));
        good = false;
    }
    return good;
}

/* -- events, from YAML to JSON */

static bool is_number(const char *text)
{
    size_t sign = *text == '-', whole = strspn(text + sign, "0123456789");
    const char *rest = text + sign + whole;
    if (whole == 0 || (whole > 1 && text[sign] == '0'))
        return false;
    if (*rest == '.')
        rest += 1 + strspn(rest + 1, "0123456789");
    return *rest == 0 && rest[-1] != '.';
}

/* Ids may look like numbers. */
static bool is_id(const char *key)
{
    static const char *const ids[] = {"id", "client_id", "order_id", "cart_id", "trigger_id", "case_id", "sku"};
    for (size_t i = 0; key && i < sizeof ids / sizeof *ids; i++) {
        if (strcmp(key, ids[i]) == 0)
            return true;
    }
    return false;
}

static void write_json(rfm_buffer *json, const rfm_yaml *node, const char *key)
{
    if (node->kind == RFM_YAML_SCALAR) {
        bool raw = node->plain && !is_id(key) &&
                   (is_number(node->text) || strcmp(node->text, "true") == 0 || strcmp(node->text, "false") == 0);
        if (rfm_yaml_is_null(node))
            rfm_write_text(json, "null");
        else if (raw)
            rfm_write_text(json, node->text);
        else
            rfm_write_json_string(json, rfm_text(node->text));
        return;
    }
    bool list = node->kind == RFM_YAML_LIST, traits = key && strcmp(key, "traits") == 0; /* their names are anybody's */
    rfm_write_text(json, list ? "[" : "{");
    for (const rfm_yaml *child = node->first; child; child = child->next) {
        rfm_write_text(json, child == node->first ? "" : ",");
        if (!list) {
            rfm_write_json_string(json, rfm_text(child->key));
            rfm_write_text(json, ":");
        }
        write_json(json, child, list ? key : traits ? NULL : child->key);
    }
    rfm_write_text(json, list ? "]" : "}");
}

static void write_default(rfm_buffer *json, const rfm_yaml *node, const char *key, rfm_bytes value)
{
    if (rfm_yaml_find(node, rfm_text(key)))
        return;
    rfm_write_format(json, ",\"%s\":", key);
    rfm_write_json_string(json, value);
}

static bool is_type(const rfm_yaml *node, const char *type)
{
    const rfm_yaml *is = rfm_yaml_find(node, rfm_text("type"));
    return is && is->kind == RFM_YAML_SCALAR && strcmp(is->text, type) == 0;
}

/* What a test needs not say: id, client, an order's id, the currency. */
static void write_defaults(const scenario *s, rfm_buffer *json, const rfm_yaml *node, size_t i)
{
    char id[32];
    int len = snprintf(id, sizeof id, "e%zu", i + 1);
    rfm_bytes name = rfm_bytes_of(id, (size_t)len);
    const rfm_yaml *given = rfm_yaml_find(node, rfm_text("id"));
    write_default(json, node, "id", name);
    write_default(json, node, "client_id", rfm_text("client"));
    if (is_type(node, "purchase"))
        write_default(json, node, "order_id", given && given->kind == RFM_YAML_SCALAR ? rfm_text(given->text) : name);
    if (is_type(node, "purchase") || is_type(node, "cost"))
        write_default(json, node, "currency", rfm_text(s->config->client.money.base.code));
}

static void read_event(scenario *s, const rfm_yaml *node, size_t i)
{
    scenario_event *event = &s->events[s->event_count];
    const rfm_yaml *time = rfm_yaml_find(node, rfm_text("time")), *client = rfm_yaml_find(node, rfm_text("client_id"));
    if (node->kind != RFM_YAML_MAP || !time || !rfm_scenario_time(time, s->start_ms, &event->time_ms)) {
        refuse(s, time ? time : node,
               "an event needs a time: with an offset, 2026-01-31T09:00:00Z, or since the start, 3d");
        return;
    }
    rfm_buffer json;
    rfm_buffer_init(&json, FILE_BYTES_MAX);
    rfm_write_format(&json, "{\"time\":%lld", (long long)event->time_ms);
    for (const rfm_yaml *child = node->first; child; child = child->next) {
        if (child == time)
            continue;
        rfm_write_text(&json, ",");
        rfm_write_json_string(&json, rfm_text(child->key));
        rfm_write_text(&json, ":");
        write_json(&json, child, child->key);
    }
    write_defaults(s, &json, node, i);
    rfm_write_text(&json, "}");
    event->node = node;
    event->client_id = rfm_text(client && client->kind == RFM_YAML_SCALAR ? client->text : "client");
    event->json = rfm_arena_copy(&s->arena, rfm_buffer_view(&json));
    rfm_buffer_release(&json);
    s->event_count++;
}

/* By time; of one time in the order written. */
static void sort_events(scenario *s)
{
    for (size_t i = 1; i < s->event_count; i++) {
        scenario_event event = s->events[i];
        size_t at = i;
        for (; at > 0 && s->events[at - 1].time_ms > event.time_ms; at--)
            s->events[at] = s->events[at - 1];
        s->events[at] = event;
    }
}

static void read_events(scenario *s)
{
    const rfm_yaml *events = rfm_yaml_find(s->node, rfm_text("events"));
    if (!events || events->kind != RFM_YAML_LIST || events->count > EVENTS_MAX) {
        refuse(s, events ? events : s->node, "a scenario needs `events`, a list of them (10000 at most)");
        return;
    }
    s->events = rfm_arena_take(&s->arena, events->count * sizeof *s->events);
    size_t i = 0;
    for (const rfm_yaml *event = events->first; event; event = event->next)
        read_event(s, event, i++);
    sort_events(s);
}

static void read_clock(scenario *s)
{
    const rfm_yaml *start = rfm_yaml_find(s->node, rfm_text("start")),
                   *until = rfm_yaml_find(s->node, rfm_text("until"));
    s->start_ms = START_MS;
    if (start && !rfm_scenario_time(start, START_MS, &s->start_ms))
        refuse(s, start, "start is a time, such as 2026-01-05T12:00:00Z");
    read_events(s);
    s->until_ms = s->event_count ? s->events[s->event_count - 1].time_ms : s->start_ms;
    if (until && !rfm_scenario_time(until, s->start_ms, &s->until_ms))
        refuse(s, until, "until is a time, such as 2026-01-31T09:00:00Z, or a duration since the start, such as 30d");
    else if (s->event_count && s->events[s->event_count - 1].time_ms > s->until_ms)
        refuse(s, until, "until is before the last event");
}

/* -- the run */

static void take_dead_letter(scenario *s, const rfm_message *message)
{
    rfm_bytes reason = RFM_BYTES_NONE, detail = RFM_BYTES_NONE;
    (void)rfm_headers_find(message->headers, "rfmd.reason", &reason);
    (void)rfm_headers_find(message->headers, "rfmd.detail", &detail);
    rfm_write_format(s->report, "%s:%u:%u: an event is not taken: %.*s, %.*s: %.*s\n", s->node->source->name,
                     s->node->line, s->node->column, (int)reason.len, (const char *)reason.at, (int)detail.len,
                     (const char *)detail.at, (int)message->value.len, (const char *)message->value.at);
    s->bad = true;
}

static void take_message(void *owner, const rfm_message *message)
{
    scenario *s = owner;
    rfm_bytes time;
    if (message->topic == RFM_TOPIC_DEAD_LETTERS) {
        take_dead_letter(s, message);
        return;
    }
    s->outcomes = rfm_grow(s->outcomes, s->outcome_count, &s->outcome_size);
    rfm_scenario_outcome *outcome = &s->outcomes[s->outcome_count++];
    rfm_record_text(message, &s->arena, &outcome->value, &time);
    outcome->held_back = message->topic == RFM_TOPIC_AUDIT;
    RFM_ASSERT(rfm_time_parse(time, &outcome->time_ms) == RFM_OK);
}

/* Day by day, as replay goes. */
static int pass_time(rfm_offline *offline, int64_t *clock_ms, int64_t until_ms, rfm_error *error)
{
    int code = RFM_OK;
    int64_t day_ms = (rfm_div_floor(*clock_ms, RFM_DAY_MS) + 1) * RFM_DAY_MS;
    for (; code == RFM_OK && day_ms <= until_ms; day_ms += RFM_DAY_MS)
        code = rfm_offline_until(offline, day_ms - 1, error);
    *clock_ms = until_ms;
    return code;
}

static int compare_outcomes(const void *a, const void *b)
{
    const rfm_scenario_outcome *left = a, *right = b;
    if (left->time_ms != right->time_ms)
        return left->time_ms < right->time_ms ? -1 : 1;
    return rfm_bytes_compare(left->value, right->value);
}

static int run_events(scenario *s, rfm_error *error)
{
    rfm_offline *offline = NULL;
    rfm_offline_calls calls = {take_message, s};
    int64_t clock_ms = s->events[0].time_ms;
    int code = rfm_offline_new(s->config, 1, RFM_FORMAT_NATIVE, &calls, &offline, error);
    for (size_t i = 0; code == RFM_OK && i < s->event_count; i++) {
        const scenario_event *event = &s->events[i];
        code = pass_time(offline, &clock_ms, event->time_ms, error);
        if (code == RFM_OK)
            code = rfm_offline_event(offline, event->client_id, event->json, event->time_ms, error);
    }
    if (code == RFM_OK)
        code = pass_time(offline, &clock_ms, s->until_ms, error);
    if (code == RFM_OK)
        code = rfm_offline_until(offline, s->until_ms, error);
    rfm_offline_free(offline);
    if (s->outcome_count > 0)
        qsort(s->outcomes, s->outcome_count, sizeof *s->outcomes, compare_outcomes);
    return code;
}

static const rfm_yaml *expected_of(scenario *s)
{
    static const rfm_yaml nothing = {.kind = RFM_YAML_LIST};
    const rfm_yaml *expect = rfm_yaml_find(s->node, rfm_text("expect"));
    if (!expect)
        refuse(s, s->node, "a scenario needs `expect`, a list of triggers; an empty one for none");
    else if (expect->kind != RFM_YAML_LIST)
        refuse(s, expect, "`expect` is a list of triggers");
    for (const rfm_yaml *item = expect ? expect->first : NULL; item; item = item->next) {
        const rfm_yaml *time = rfm_yaml_find(item, rfm_text("time"));
        int64_t time_ms;
        if (item->kind != RFM_YAML_MAP)
            refuse(s, item, "what is expected is a map, such as {rule: welcome, time: 2d}");
        else if (time && !rfm_scenario_time(time, s->start_ms, &time_ms))
            refuse(s, time, "this is neither a time nor a duration since the start");
    }
    return expect ? expect : &nothing;
}

static const char *name_of(const rfm_yaml *node)
{
    const rfm_yaml *name = rfm_yaml_find(node, rfm_text("name"));
    return name && name->kind == RFM_YAML_SCALAR ? name->text : "";
}

/* True: as expected. */
static bool run_scenario(const rfm_config *config, const rfm_yaml *node, rfm_buffer *report)
{
    static const char *const keys[] = {"name", "start", "events", "until", "expect", NULL};
    scenario s = {.config = config, .node = node, .report = report};
    rfm_error error = {0};
    rfm_buffer differences;
    rfm_arena_init(&s.arena);
    rfm_buffer_init(&differences, 16 << 20);
    s.bad = !keys_are_known(report, node, keys);
    read_clock(&s);
    const rfm_yaml *expect = expected_of(&s);
    if (!s.bad && run_events(&s, &error) != RFM_OK)
        refuse(&s, node, error.message);
    if (!s.bad && !rfm_expectation_met(expect, s.start_ms, s.outcomes, s.outcome_count, &differences)) {
        rfm_write_format(report, "%s:%u:%u: \"%s\" did not go as expected:\n", node->source->name, node->line,
                         node->column, name_of(node));
        rfm_write_bytes(report, rfm_buffer_view(&differences));
        s.bad = true;
    }
    rfm_buffer_release(&differences);
    rfm_arena_release(&s.arena);
    free(s.outcomes);
    return !s.bad;
}

/* -- the file */

static void complain(void *context, const rfm_yaml_source *source, const rfm_yaml_complaint *complaint)
{
    rfm_write_format(context, "%s:%u:%u: %s\n", source->name, complaint->line, complaint->column, complaint->message);
}

static const char *directory_of(rfm_arena *arena, const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) + 1 : 0;
    char *directory = rfm_arena_take(arena, len + 1);
    memcpy(directory, path, len);
    directory[len] = 0;
    return directory;
}

static rfm_config *load_config(rfm_arena *arena, const rfm_yaml *node, rfm_buffer *report)
{
    extern char **environ;
    static char secret[] = "RFMD_PROMO__SECRET=rfmd-test"; /* for rules with promo codes: the same codes everywhere */
    char *const secrets[] = {secret, NULL};
    rfm_config *config = NULL;
    rfm_config_errors errors;
    rfm_config_errors_init(&errors);
    if (node->kind == RFM_YAML_MAP) {
        bool own_secret = rfm_yaml_find(rfm_yaml_find(node, rfm_text("promo")), rfm_text("secret_file")) != NULL;
        (void)rfm_config_load_map(node, own_secret ? NULL : secrets, &config, &errors);
    } else {
        size_t size = strlen(node->source->directory) + strlen(node->text) + 1;
        char *path = rfm_arena_take(arena, size);
        snprintf(path, size, "%s%s", *node->text == '/' ? "" : node->source->directory, node->text);
        (void)rfm_config_load(path, environ, &config, &errors);
    }
    rfm_config_errors_write(&errors, report);
    rfm_config_errors_release(&errors);
    return config;
}

static const rfm_yaml *parse_file(rfm_arena *arena, const char *path, rfm_buffer *report)
{
    rfm_bytes content;
    rfm_error error;
    rfm_yaml_source *source = rfm_arena_take(arena, sizeof *source);
    *source = (rfm_yaml_source){.name = path, .directory = directory_of(arena, path)};
    if (rfm__read_file(NULL, arena, path, FILE_BYTES_MAX, &content, &error) != RFM_OK) {
        rfm_write_format(report, "%s: %s\n", path, error.message);
        return NULL;
    }
    return rfm_yaml_parse(arena, source, content, complain, report);
}

static bool file_is_whole(const rfm_yaml *root, rfm_buffer *report)
{
    static const char *const keys[] = {"config", "scenarios", NULL};
    const rfm_yaml *config = rfm_yaml_find(root, rfm_text("config"));
    const rfm_yaml *scenarios = rfm_yaml_find(root, rfm_text("scenarios"));
    bool good = keys_are_known(report, root, keys);
    if (!config || config->kind == RFM_YAML_LIST) {
        complain_at(report, config ? config : root, "`config` is needed: a configuration's file, or its keys");
        good = false;
    }
    if (!scenarios || scenarios->kind != RFM_YAML_LIST || scenarios->count == 0) {
        complain_at(report, scenarios ? scenarios : root, "`scenarios` is needed, a list of them");
        good = false;
    }
    return good;
}

rfm_scenario_result rfm_scenarios_run(const char *path, rfm_buffer *report)
{
    rfm_scenario_result result = {.unreadable = true};
    rfm_arena arena;
    rfm_arena_init(&arena);
    const rfm_yaml *root = parse_file(&arena, path, report);
    rfm_config *config = NULL;
    if (root && file_is_whole(root, report))
        config = load_config(&arena, rfm_yaml_find(root, rfm_text("config")), report);
    if (config) {
        result.unreadable = false;
        const rfm_yaml *scenarios = rfm_yaml_find(root, rfm_text("scenarios"));
        for (const rfm_yaml *node = scenarios->first; node; node = node->next) {
            result.scenarios++;
            result.failed += !run_scenario(config, node, report);
        }
    }
    rfm_config_free(config);
    rfm_arena_release(&arena);
    return result;
}
