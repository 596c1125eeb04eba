/* One client among rules, driven as the engine drives it: timers strictly before the next event, a look a day. What is
 * decided goes to a log, a line each: "rule reason cause channel@seconds since the start", the cause's 0x1F as '/'. */
#ifndef RFM_TEST_SCENE_H
#define RFM_TEST_SCENE_H

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <inttypes.h>
#include <rfm/base/hash.h>
#include <rfm/base/time.h>
#include <rfm/rule/decide.h>
#include <rfm/rule/environment.h>
#include <stdio.h>
#include <stdlib.h>

#define START_MS INT64_C(1700006400000) /* 2023-11-15T00:00:00Z */
#define DAY      RFM_DAY_MS
#define HOUR     RFM_HOUR_MS
#define SECOND   RFM_SECOND_MS

enum { SCENE_RULES = 66, SCENE_LOG = 1 << 16 };

typedef struct scene {
    rfm_client_conf conf;
    rfm_rule rule[SCENE_RULES];
    rfm_rules rules;
    rfm_names *names;
    rfm_binding *binding;
    rfm_client client;
    rfm_edges edges;
    rfm_decision items[RFM_DECISIONS_MAX];
    rfm_decisions decisions;
    rfm_buffer data;
    uint64_t errors[RFM_RULES_MAX];
    rfm_arena arena; /* of expressions */
    rfm_named named[4];
    int64_t look_ms, review_ms, now_ms;
    uint64_t offset;
    size_t log_len;
    char log[SCENE_LOG];
} scene;

static inline int scene_rule_order(const void *a, const void *b)
{
    const rfm_rule *left = a, *right = b;
    if (left->priority != right->priority)
        return left->priority > right->priority ? -1 : 1;
    return strcmp(left->name, right->name);
}

/* Fixed scores, so that nothing but the client moves it. */
static inline scene *scene_new(void)
{
    scene *s = calloc(1, sizeof *s);
    assert_non_null(s);
    rfm_client_conf_defaults(&s->conf);
    s->conf.rfm.r = s->conf.rfm.f = s->conf.rfm.m = RFM_AXIS_FIXED;
    s->conf.version = 7;
    s->rules = (rfm_rules){.rule = s->rule,
                           .topic_count = 1,
                           .version = "v1",
                           .source = "rfmd/test",
                           .type_prefix = "io.rfmd.trigger.",
                           .secret = "secret",
                           .secret_len = 6,
                           .max_trigger_age_ms = INT64_MAX,
                           .silent_until_ms = INT64_MIN};
    s->names = rfm_names_new();
    rfm_arena_init(&s->arena);
    rfm_buffer_init(&s->data, 1 << 20);
    s->rules.named = s->named;
    s->decisions = (rfm_decisions){.items = s->items, .size = RFM_DECISIONS_MAX, .data = &s->data, .errors = s->errors};
    rfm_client_init(&s->client);
    s->look_ms = INT64_MAX;
    s->review_ms = START_MS - 10 * 365 * DAY + 5 * HOUR;
    return s;
}

static inline void scene_free(scene *s)
{
    rfm_binding_free(s->binding);
    rfm_names_free(s->names);
    rfm_arena_release(&s->arena);
    rfm_buffer_release(&s->data);
    free(s);
}

/* As the configuration compiles it, once the traits are there. */
static inline rfm_written scene_expression(scene *s, const char *text, uint32_t scope, const rfm_expr_type *wanted)
{
    rfm_expr_env env = {.scope = scope};
    rfm_expr_error error;
    rfm_written written = {.text = text};
    env.fields = rfm_environment_fields(s->conf.traits, s->conf.trait_count, &s->arena, &env.field_count);
    if (rfm_expr_compile(&env, rfm_text(text), wanted, &s->arena, &written.expr, &error) != 0)
        fail_msg("%s\n%s", error.message, error.excerpt);
    return written;
}

static inline void scene_when(scene *s, rfm_rule *rule, const char *text)
{
    rule->when = scene_expression(s, text, rfm_environment_scope(rule), &rfm_expr_bool);
    rule->event_parts |= rfm_environment_event_parts(rule->when.expr);
    rule->event_traits |= rfm_environment_event_traits(rule->when.expr);
}

/* Returns the named segment's index. */
static inline uint8_t scene_named(scene *s, const char *name, const char *text)
{
    rfm_named *named = &s->named[s->rules.named_count];
    snprintf(named->name, sizeof named->name, "%s", name);
    named->condition = scene_expression(s, text, rfm_environment_no_event(), &rfm_expr_bool);
    return (uint8_t)s->rules.named_count++;
}

static inline rfm_rule *scene_add(scene *s, const char *name)
{
    assert_true(s->rules.count < SCENE_RULES);
    rfm_rule *rule = &s->rule[s->rules.count++];
    *rule = (rfm_rule){.class_ = RFM_CLASS_TRANSACTIONAL};
    snprintf(rule->name, sizeof rule->name, "%s", name);
    return rule;
}

static inline rfm_rule *scene_on_event(scene *s, const char *name, rfm_event_type event)
{
    rfm_rule *rule = scene_add(s, name);
    rule->on.kind = RFM_CAUSE_EVENT;
    rule->on.event = event;
    return rule;
}

/* After all rules are there, or have changed. */
static inline void scene_bind(scene *s)
{
    qsort(s->rule, s->rules.count, sizeof *s->rule, scene_rule_order);
    rfm_binding_free(s->binding);
    s->binding = rfm_binding_new(&s->rules, &s->conf, s->names);
    assert_non_null(s->binding);
}

static inline void scene_note(scene *s, const rfm_decision *decision)
{
    char cause[RFM_CAUSE_BYTES_MAX + 1];
    memcpy(cause, decision->cause, decision->cause_len);
    cause[decision->cause_len] = 0;
    for (char *at = cause; *at; at++)
        *at = *at == 0x1f ? '/' : *at;
    if (strncmp(cause, "due:", 4) == 0)
        snprintf(cause, sizeof cause, "due+%" PRId64, ((int64_t)strtoll(cause + 4, NULL, 10) - START_MS) / SECOND);
    char channel[RFM_NAME_BYTES_MAX + 1] = "-";
    if (decision->channel.len > 0)
        snprintf(channel, sizeof channel, "%.*s", (int)decision->channel.len, (const char *)decision->channel.at);
    int64_t at_ms = decision->time_ms - START_MS;
    s->log_len += (size_t)snprintf(s->log + s->log_len, sizeof s->log - s->log_len, "%s %s %s %s@%" PRId64 "\n",
                                   decision->rule->name, rfm_suppression_name(decision->suppression), cause, channel,
                                   at_ms / SECOND);
    assert_true(s->log_len < sizeof s->log);
}

static inline void scene_decide(scene *s, const rfm_moment *moment)
{
    rfm_decide(&s->rules, s->binding, &s->conf, s->names, &s->client, moment, &s->decisions);
    assert_int_equal(rfm_slots_check(rfm_bytes_of(s->client.slots, s->client.slots_len)), 0);
    for (size_t i = 0; i < s->decisions.count; i++)
        scene_note(s, &s->items[i]);
    s->look_ms = s->decisions.look_ms;
    assert_true(s->look_ms == INT64_MAX || s->look_ms < moment->review_ms);
}

/* A look at the moment, not later than the clock. */
static inline void scene_look(scene *s, int64_t moment_ms, int64_t now_ms, bool is_review)
{
    rfm_moment moment = {.client_id = rfm_text("alice"),
                         .moment_ms = moment_ms,
                         .now_ms = now_ms,
                         .review_ms = s->review_ms,
                         .is_review = is_review,
                         .edges = &s->edges};
    scene_decide(s, &moment);
    assert_true(s->look_ms > moment_ms);
}

/* Everything that is due before until_ms. */
static inline void scene_advance(scene *s, int64_t until_ms)
{
    for (;;) {
        bool is_review = s->review_ms <= s->look_ms;
        int64_t moment_ms = is_review ? s->review_ms : s->look_ms;
        if (moment_ms >= until_ms)
            break;
        s->review_ms += is_review ? DAY : 0;
        if (s->client.marks.taken)
            scene_look(s, moment_ms, moment_ms, is_review);
    }
    s->now_ms = until_ms;
}

static inline void scene_apply(scene *s, const rfm_event *event, int64_t now_ms)
{
    rfm_applied applied;
    rfm_event copy = *event;
    copy.client_id = rfm_text("alice");
    copy.id48 = rfm_hash64(copy.id) >> 16;
    if (copy.order_id.len == 0)
        copy.order_id = copy.id;
    copy.order_id48 = rfm_hash64(copy.order_id) >> 16;
    assert_int_equal(rfm_client_apply(&s->client, &copy, ++s->offset, &s->conf, s->names, &applied), RFM_APPLIED);
    rfm_moment moment = {.client_id = copy.client_id,
                         .event = &copy,
                         .bought = applied.bought,
                         .dates_changed = applied.dates_changed,
                         .moment_ms = now_ms,
                         .now_ms = now_ms,
                         .review_ms = s->review_ms,
                         .edges = &s->edges};
    scene_decide(s, &moment);
    s->now_ms = now_ms;
}

/* At START + at_ms on the clock; an event without a time has that one. */
static inline void scene_event(scene *s, int64_t at_ms, rfm_event event)
{
    int64_t now_ms = START_MS + at_ms;
    if (event.time_ms == 0)
        event.time_ms = now_ms;
    scene_advance(s, now_ms);
    scene_apply(s, &event, now_ms);
}

static inline rfm_event purchase(const char *id, int64_t amount_minor)
{
    return (rfm_event){
        .type = RFM_EVENT_PURCHASE, .id = rfm_text(id), .has_amount = true, .amount_minor = amount_minor};
}

static inline rfm_event visit(const char *id)
{
    return (rfm_event){.type = RFM_EVENT_VISIT, .id = rfm_text(id)};
}

static inline rfm_event consent(const char *id, const char *channel, rfm_class class_, bool granted)
{
    return (rfm_event){.type = RFM_EVENT_CONSENT,
                       .id = rfm_text(id),
                       .channel = rfm_text(channel),
                       .class_ = class_,
                       .granted = granted};
}

static inline rfm_event at(rfm_event event, int64_t time_ms)
{
    event.time_ms = START_MS + time_ms;
    return event;
}

static inline rfm_event in_cart(rfm_event event, const char *cart_id)
{
    event.cart_id = rfm_text(cart_id);
    return event;
}

/* What has been logged since the last call. */
static inline void scene_expect(scene *s, const char *log)
{
    assert_string_equal(s->log, log);
    s->log_len = 0;
    s->log[0] = 0;
}

#endif
