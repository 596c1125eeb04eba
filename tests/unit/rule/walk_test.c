/* A random walk of one client among random rules, against a model that remembers nothing but the contract's words: facts
 * before and after each event compared, moments searched by bisection over the values themselves. */
#include "scene.h"

static uint64_t random_state;

static uint32_t draw(uint32_t count)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(random_state >> 33) % count;
}

enum { MODEL_PENDING = 8 };
typedef struct model_pending {
    int64_t due_ms, time_ms;
    char cause[64], cart[8];
} model_pending;
typedef struct model_rule {
    bool sent;
    int64_t sent_ms;
    size_t count;
    model_pending pending[MODEL_PENDING];
} model_rule;

typedef struct model {
    scene *s;
    rfm_client client; /* its own facts */
    rfm_names *names;
    uint64_t offset;
    int64_t from_ms; /* everything up to here is done */
    bool any;
    int64_t last_consent_ms; /* INT64_MIN: never */
    model_rule rule[SCENE_RULES];
    size_t log_len;
    char log[SCENE_LOG];
} model;

static bool buyer(const rfm_client *client)
{
    return client->orders > 0;
}

static void note(model *m, size_t i, const char *reason, const char *cause, const char *channel, int64_t now_ms)
{
    m->log_len += (size_t)snprintf(m->log + m->log_len, sizeof m->log - m->log_len, "%s %s %s %s@%" PRId64 "\n",
                                   m->s->rule[i].name, reason, cause, channel, (now_ms - START_MS) / SECOND);
    assert_true(m->log_len < sizeof m->log);
}

static void model_send(model *m, size_t i, const char *cause, int64_t now_ms)
{
    const rfm_rule *rule = &m->s->rule[i];
    const char *channel = rule->channel_count == 0 ? "-" : NULL;
    for (size_t c = 0; c < rule->channel_count && channel == NULL; c++) {
        uint16_t number = rfm_names_number(m->names, rfm_text(rule->channel[c]));
        rfm_permission permission = rfm_client_permission(&m->client, number, rule->class_);
        bool marketing = rule->class_ == RFM_CLASS_MARKETING;
        if (permission == RFM_PERMISSION_GRANTED || (!marketing && permission == RFM_PERMISSION_UNKNOWN))
            channel = rule->channel[c];
    }
    if (channel == NULL) {
        note(m, i, "consent", cause, "-", now_ms);
        return;
    }
    m->rule[i].sent = true;
    m->rule[i].sent_ms = now_ms;
    note(m, i, "sent", cause, channel, now_ms);
}

static size_t all_pending(const model *m)
{
    size_t count = 0;
    for (size_t i = 0; i < m->s->rules.count; i++)
        count += m->rule[i].count;
    return count;
}

static void model_cause(model *m, size_t i, const char *cause, int64_t now_ms, int64_t time_ms, const char *cart)
{
    const rfm_rule *rule = &m->s->rule[i];
    model_rule *state = &m->rule[i];
    model_pending *same = NULL;
    for (size_t p = 0; p < state->count; p++)
        same = strcmp(state->pending[p].cart, cart) == 0 ? &state->pending[p] : same;
    if (state->sent && rule->once) {
        note(m, i, "once", cause, "-", now_ms);
    } else if (state->sent && now_ms < state->sent_ms + rule->cooldown_ms) {
        note(m, i, "cooldown", cause, "-", now_ms);
    } else if (same != NULL && !rule->restart) {
        note(m, i, "pending", cause, "-", now_ms);
    } else if (rule->delay_ms == 0) {
        model_send(m, i, cause, now_ms);
    } else if (same == NULL && all_pending(m) == MODEL_PENDING) {
        note(m, i, "slots_full", cause, "-", now_ms);
    } else {
        same = same != NULL ? same : &state->pending[state->count++];
        same->due_ms = now_ms + rule->delay_ms;
        same->time_ms = time_ms;
        snprintf(same->cause, sizeof same->cause, "%s", cause);
        snprintf(same->cart, sizeof same->cart, "%s", cart);
    }
}

static void remove_pending(model_rule *state, size_t p)
{
    memmove(&state->pending[p], &state->pending[p + 1], (--state->count - p) * sizeof *state->pending);
}

/* The due one that comes first by (due, hash of the cart); -1: none at or before at_ms. */
static int first_due(const model_rule *state, int64_t at_ms)
{
    int first = -1;
    for (size_t p = 0; p < state->count; p++) {
        if (state->pending[p].due_ms <= at_ms && (first < 0 || state->pending[p].due_ms < state->pending[first].due_ms))
            first = (int)p;
    }
    return first;
}

static rfm_lifecycle lifecycle(const model *m, int64_t at_ms)
{
    return rfm_client_lifecycle_at(&m->client, &m->s->conf, at_ms);
}

static uint8_t segment_of(const model *m, int64_t at_ms)
{
    return rfm_client_segment_at(&m->client, &m->s->conf, NULL, at_ms);
}

static int64_t idle_since(const model *m, rfm_event_type type)
{
    const rfm_client *client = &m->client;
    switch (type) {
    case RFM_EVENT_PURCHASE: return buyer(client) ? client->last_ms : INT64_MIN;
    case RFM_EVENT_VISIT: return client->visits > 0 ? client->visit_last_ms : INT64_MIN;
    default: return m->last_consent_ms;
    }
}

/* Does the rule's condition (for enter and leave: being in what it names) hold? */
static bool holds(const model *m, const rfm_rule *rule, int64_t at_ms)
{
    const rfm_client *client = &m->client;
    const rfm_client_conf *conf = &m->s->conf;
    switch (rule->on.kind) {
    case RFM_CAUSE_ENTER_LIFECYCLE:
    case RFM_CAUSE_LEAVE_LIFECYCLE: return m->any && lifecycle(m, at_ms) == rule->on.lifecycle;
    case RFM_CAUSE_ENTER_SEGMENT:
    case RFM_CAUSE_LEAVE_SEGMENT: return m->any && segment_of(m, at_ms) == rule->on.segment;
    case RFM_CAUSE_FALL_RATIO: return buyer(client) && rfm_client_ratio_at(client, conf, at_ms) <= rule->on.threshold;
    case RFM_CAUSE_RISE_RATIO: return buyer(client) && rfm_client_ratio_at(client, conf, at_ms) >= rule->on.threshold;
    case RFM_CAUSE_FALL_RISK: return buyer(client) && rfm_client_risk_at(client, conf, at_ms) <= rule->on.threshold;
    case RFM_CAUSE_RISE_RISK: return buyer(client) && rfm_client_risk_at(client, conf, at_ms) >= rule->on.threshold;
    case RFM_CAUSE_IDLE: {
        int64_t since_ms = idle_since(m, rule->on.event);
        return since_ms != INT64_MIN && since_ms + rule->on.idle_ms <= at_ms;
    }
    case RFM_CAUSE_EVENT: return false;
    }
    return false;
}

/* Is there a value at all, before which nothing can be crossed? */
static bool known(const model *m, const rfm_rule *rule)
{
    switch (rule->on.kind) {
    case RFM_CAUSE_FALL_RATIO:
    case RFM_CAUSE_RISE_RATIO:
    case RFM_CAUSE_FALL_RISK:
    case RFM_CAUSE_RISE_RISK: return buyer(&m->client);
    case RFM_CAUSE_IDLE: return idle_since(m, rule->on.event) != INT64_MIN;
    default: return true;
    }
}

static bool leaves(const rfm_rule *rule)
{
    return rule->on.kind == RFM_CAUSE_LEAVE_LIFECYCLE || rule->on.kind == RFM_CAUSE_LEAVE_SEGMENT;
}

/* The first moment in (from, until) at which time alone makes the rule fire. Scores and lifecycle change at whole seconds,
 * segments at midnights, idleness at a millisecond; `step` is that grain. What holds is looked for hour by hour, then by
 * bisection: within an hour nothing that a rule names comes and goes again. */
static int64_t fires_at(const model *m, const rfm_rule *rule, int64_t until_ms)
{
    int64_t step = rule->on.kind == RFM_CAUSE_IDLE ? 1 : SECOND;
    int64_t low = rfm_div_floor(m->from_ms, step), last = rfm_div_floor(until_ms - 1, step);
    bool before = holds(m, rule, m->from_ms), wanted = !leaves(rule);
    while (low < last) {
        int64_t high = low + 86400 * SECOND / step < last ? low + 86400 * SECOND / step : last;
        bool after = holds(m, rule, high * step);
        if (before != wanted && after == wanted) {
            while (high - low > 1) {
                int64_t middle = low + (high - low) / 2;
                if (holds(m, rule, middle * step) == wanted)
                    high = middle;
                else
                    low = middle;
            }
            return high * step;
        }
        before = after;
        low = high;
    }
    return INT64_MAX;
}

static int64_t next_instant(const model *m, int64_t until_ms, int64_t fires[SCENE_RULES])
{
    int64_t next_ms = INT64_MAX;
    for (size_t i = 0; i < m->s->rules.count; i++) {
        const rfm_rule *rule = &m->s->rule[i];
        fires[i] = rule->on.kind == RFM_CAUSE_EVENT || !m->any ? INT64_MAX : fires_at(m, rule, until_ms);
        next_ms = fires[i] < next_ms ? fires[i] : next_ms;
        int due = first_due(&m->rule[i], until_ms - 1);
        if (due >= 0 && m->rule[i].pending[due].due_ms < next_ms)
            next_ms = m->rule[i].pending[due].due_ms;
    }
    return next_ms;
}

static void model_advance(model *m, int64_t until_ms)
{
    int64_t fires[SCENE_RULES], at_ms;
    while ((at_ms = next_instant(m, until_ms, fires)) < until_ms) {
        char cause[64];
        snprintf(cause, sizeof cause, "due+%" PRId64, (at_ms - START_MS) / SECOND);
        for (size_t i = 0; i < m->s->rules.count; i++) {
            for (int due = first_due(&m->rule[i], at_ms); due >= 0; due = first_due(&m->rule[i], at_ms)) {
                model_pending pending = m->rule[i].pending[due];
                remove_pending(&m->rule[i], (size_t)due);
                model_send(m, i, pending.cause, at_ms);
            }
            if (fires[i] == at_ms)
                model_cause(m, i, cause, at_ms, at_ms, "");
        }
        m->from_ms = at_ms;
    }
    m->from_ms = until_ms;
}

static void model_cancel(model *m, const rfm_event *event, const char *cart, int64_t now_ms)
{
    for (size_t i = 0; i < m->s->rules.count; i++) {
        model_rule *state = &m->rule[i];
        if (!(m->s->rule[i].cancel_on >> event->type & 1))
            continue;
        for (int64_t due_ms = 0; due_ms != INT64_MAX;) { /* in the order of their dues */
            due_ms = INT64_MAX;
            size_t first = 0;
            for (size_t p = 0; p < state->count; p++) {
                const model_pending *pending = &state->pending[p];
                bool same = !cart[0] || !pending->cart[0] || strcmp(cart, pending->cart) == 0;
                if (event->time_ms >= pending->time_ms && same && pending->due_ms < due_ms)
                    due_ms = pending->due_ms, first = p;
            }
            if (due_ms != INT64_MAX) {
                note(m, i, "cancelled", state->pending[first].cause, "-", now_ms);
                remove_pending(state, first);
            }
        }
    }
}

static void model_event(model *m, const rfm_event *event, const char *cart, int64_t now_ms)
{
    rfm_applied applied;
    bool was_known[SCENE_RULES], held[SCENE_RULES], first = !m->any;
    char cause[64];
    model_advance(m, now_ms);
    for (size_t i = 0; i < m->s->rules.count; i++)
        was_known[i] = known(m, &m->s->rule[i]), held[i] = holds(m, &m->s->rule[i], now_ms);
    model_cancel(m, event, cart, now_ms);
    assert_int_equal(rfm_client_apply(&m->client, event, ++m->offset, &m->s->conf, m->names, &applied), RFM_APPLIED);
    m->any = true;
    if (event->type == RFM_EVENT_CONSENT && event->time_ms > m->last_consent_ms)
        m->last_consent_ms = event->time_ms;
    snprintf(cause, sizeof cause, "%s/%.*s", rfm_event_type_name(event->type), (int)event->id.len,
             (const char *)event->id.at);
    for (size_t i = 0; i < m->s->rules.count; i++) {
        const rfm_rule *rule = &m->s->rule[i];
        bool now = holds(m, rule, now_ms);
        bool fires = rule->on.kind == RFM_CAUSE_EVENT ? rule->on.event == event->type
                     : leaves(rule)                   ? !first && held[i] && !now
                                                      : was_known[i] && !held[i] && now;
        if (fires)
            model_cause(m, i, cause, now_ms, event->time_ms, cart);
    }
}

static void random_rule(scene *s, int i)
{
    static const char *const channels[] = {"email", "push", "sms"};
    static const rfm_event_type idles[] = {RFM_EVENT_PURCHASE, RFM_EVENT_VISIT, RFM_EVENT_CONSENT};
    char name[8];
    snprintf(name, sizeof name, "r%d", i);
    rfm_rule *rule = scene_add(s, name);
    rule->on.kind = draw(3) ? (rfm_cause_kind)draw(RFM_CAUSE_IDLE + 1) : RFM_CAUSE_EVENT;
    rule->on.event = rule->on.kind == RFM_CAUSE_IDLE ? idles[draw(3)] : (rfm_event_type)draw(draw(4) ? RFM_EVENT_FEEDBACK : RFM_EVENT_ERASE);
    rule->on.segment = (uint8_t)draw(s->conf.segments.count);
    rule->on.lifecycle = (rfm_lifecycle)draw(RFM_LIFECYCLE_COUNT);
    rule->on.threshold = (1 + draw(98)) / 100.0;
    rule->on.idle_ms = (1 + draw(40)) * DAY;
    rule->delay_ms = draw(2) ? 1 + draw(20 * 86400) * INT64_C(1000) : 0;
    rule->cancel_on = draw(3) ? 0 : draw(32);
    rule->once = draw(6) == 0;
    rule->restart = draw(3) == 0;
    rule->cooldown_ms = draw(3) ? 0 : (1 + draw(30)) * DAY;
    rule->class_ = (rfm_class)draw(2);
    rule->priority = (int32_t)draw(4) - 1;
    rule->channel_count = (uint8_t)draw(4);
    for (int c = 0; c < rule->channel_count; c++)
        strcpy(rule->channel[c], channels[c]);
}

static rfm_event random_event(char id[16], int i, int64_t now_ms)
{
    static const rfm_event_type types[] = {RFM_EVENT_PURCHASE, RFM_EVENT_PURCHASE, RFM_EVENT_VISIT,   RFM_EVENT_VISIT,
                                           RFM_EVENT_CONSENT,  RFM_EVENT_REFUND,   RFM_EVENT_MESSAGE, RFM_EVENT_FEEDBACK,
                                           RFM_EVENT_PROFILE,  RFM_EVENT_POINTS,   RFM_EVENT_COST};
    static const char *const channels[] = {"email", "push", "sms"}, *const carts[] = {"", "", "a", "b", "c"};
    snprintf(id, 16, "e%d", i);
    rfm_event event = {.type = types[draw(draw(4) ? 7 : 11)], .id = rfm_text(id), .client_id = rfm_text("alice"), .has_amount = true};
    event.time_ms = now_ms - (draw(3) ? 0 : draw(30 * 86400) * INT64_C(1000) + draw(1000));
    event.id48 = event.order_id48 = (uint64_t)i + 1;
    event.order_id = event.id;
    event.cart_id = rfm_text(carts[draw(5)]);
    event.amount_minor = draw(8) ? draw(30000) : 0;
    event.channel = rfm_text(channels[draw(3)]);
    event.class_ = (rfm_class)draw(2);
    event.granted = draw(4) > 0;
    event.status = draw(2) ? RFM_STATUS_OPENED : RFM_STATUS_UNSUBSCRIBED;
    return event;
}

static void walk(uint64_t seed, size_t *decisions)
{
    random_state = seed * 7919 + 1;
    scene *s = scene_new();
    model *m = calloc(1, sizeof *m);
    m->s = s, m->names = rfm_names_new(), m->last_consent_ms = INT64_MIN, m->from_ms = START_MS - 1;
    rfm_client_init(&m->client);
    s->conf.lifecycle.at_risk = 0.4 + draw(40) / 100.0;
    for (int i = 0; i < 12; i++)
        random_rule(s, i);
    scene_bind(s);
    int64_t now_ms = START_MS + 12345;
    for (int i = 0; i < 40; i++) {
        char id[16];
        now_ms += draw(5) ? draw(5 * 86400) * INT64_C(1000) + draw(1000) : draw(200 * 86400) * INT64_C(1000) + 7;
        rfm_event event = random_event(id, i, now_ms);
        model_event(m, &event, event.cart_id.len ? (const char *)event.cart_id.at : "", now_ms);
        scene_advance(s, now_ms);
        rfm_applied applied;
        assert_int_equal(rfm_client_apply(&s->client, &event, ++s->offset, &s->conf, s->names, &applied), RFM_APPLIED);
        rfm_moment moment = {.client_id = event.client_id,
                             .event = &event,
                             .bought = applied.bought,
                             .moment_ms = now_ms,
                             .now_ms = now_ms,
                             .review_ms = s->review_ms};
        scene_decide(s, &moment);
        if (strcmp(s->log, m->log) != 0)
            print_message("seed %" PRIu64 ", event %d: rules, then the model:\n%s--\n%s--\n", seed, i, s->log, m->log);
        assert_string_equal(s->log, m->log);
        if (getenv("RFM_WALK_LOG") != NULL)
            print_message("%s", s->log);
        for (const char *at = s->log; *at; at++)
            *decisions += *at == '\n';
        s->log_len = m->log_len = 0;
        s->log[0] = m->log[0] = 0;
    }
    rfm_names_free(m->names);
    free(m);
    scene_free(s);
}

static void test_walks(void **state)
{
    (void)state;
    size_t decisions = 0;
    const char *count = getenv("RFM_WALKS");
    uint64_t walks = count != NULL ? strtoull(count, NULL, 10) : 300;
    for (uint64_t seed = 1; seed <= walks; seed++)
        walk(seed, &decisions);
    print_message("%zu decisions in %" PRIu64 " walks\n", decisions, walks);
    assert_true(decisions > walks * 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_walks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
