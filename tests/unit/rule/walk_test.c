/* A random walk of one client among random rules, against a model that remembers nothing but docs/rules.md's words:
 * facts before and after each event compared, moments searched by bisection over the values themselves. */
#include "scene.h"

#include <math.h>
#include <rfm/client/kpi.h>

static uint64_t random_state;

static uint32_t draw(uint32_t count)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(random_state >> 33) % count;
}

enum { MODEL_PENDING = 8 };
typedef struct model_pending {
    int64_t due_ms, time_ms;
    int64_t deferred_ms; /* -1: never */
    char cause[64], cart[8];
    const char *channel;  /* of its event */
    int64_t amount_minor; /* the same */
} model_pending;
typedef struct model_rule {
    int when; /* index into conditions */
    int met;  /* the year of the last anniversary */
    bool sent;
    int64_t sent_ms;
    size_t count;
    model_pending pending[MODEL_PENDING];
} model_rule;

/* Everything that was ever sent, virtual sends of the hold-out included. */
typedef struct model_send {
    size_t rule;
    char channel[16];
    int64_t time_ms;
} model_send;

enum { MODEL_SENDS = 4096 };
typedef struct model {
    scene *s;
    rfm_client client; /* its own facts */
    rfm_names *names;
    uint64_t offset;
    int64_t from_ms; /* everything up to here is done */
    bool any;
    int64_t last_consent_ms; /* INT64_MIN: never */
    model_rule rule[SCENE_RULES];
    int64_t zone_ms; /* of the latest event that says the client's zone; INT64_MIN: none has */
    const rfm_zone *zone;
    int64_t date_ms; /* of the latest event that says the client's date of birth; INT64_MIN: none has */
    int month, day_of_month, born;
    size_t send_count;
    model_send send[MODEL_SENDS];
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

/* "-": none is asked for; NULL: *reason says why not. */
static const char *model_channel(const model *m, const rfm_rule *rule, const char **reason)
{
    static const char *const known[] = {"email", "push", "sms"};
    const char *best = NULL;
    double best_response = -1, best_delivered = 0;
    *reason = "consent";
    if (rule->channel_count == 0 && !rule->best)
        return "-";
    for (size_t c = 0; c < (rule->best ? 3 : rule->channel_count); c++) {
        const char *channel = rule->best ? known[c] : rule->channel[c];
        uint16_t number = rfm_names_number(m->names, rfm_text(channel));
        rfm_permission permission = rfm_client_permission(&m->client, number, rule->class_);
        bool opt_in = rule->class_ == RFM_CLASS_MARKETING && m->s->rules.consent[rule->class_] != RFM_OPT_OUT;
        if (permission == RFM_PERMISSION_REFUSED || (opt_in && permission == RFM_PERMISSION_UNKNOWN))
            continue;
        if (rfm_client_bounces(&m->client, number)) {
            *reason = "no_channel";
            continue;
        }
        if (!rule->best)
            return channel;
        double clicked = 0, delivered = 0;
        for (size_t i = 0; i < m->client.channel_count; i++) {
            if (m->client.channel[i].name != number)
                continue;
            clicked = m->client.channel[i].by_status[RFM_STATUS_CLICKED];
            delivered = m->client.channel[i].by_status[RFM_STATUS_DELIVERED];
        }
        double response = clicked + delivered > 0 ? (clicked + 1) / (fmax(delivered, clicked) + 10) : 0;
        if (response > best_response || (response == best_response && delivered > best_delivered))
            best = channel, best_response = response, best_delivered = delivered;
    }
    return best;
}

static int64_t model_wall_ms(const model *m, int64_t at_ms)
{
    const rfm_zone *zone = m->zone_ms == INT64_MIN ? m->s->rules.default_zone : m->zone;
    return at_ms + rfm_zone_span_at(zone, rfm_div_floor(at_ms, 1000)).offset_s * INT64_C(1000);
}

static bool model_quiet(const model *m, int64_t at_ms)
{
    const rfm_quiet_hours *quiet = &m->s->rules.quiet_hours;
    int64_t minute = model_wall_ms(m, at_ms) / 60000 % 1440, from = quiet->from_ms / 60000, to = quiet->to_ms / 60000;
    return quiet->given && (from < to ? from <= minute && minute < to : from <= minute || minute < to);
}

/* Conditions of rules, and what the model makes of each. The last two are about an event; the first is none. */
static const char *const conditions[] = {NULL,
                                         "client.orders >= 2",
                                         "client.revenue > 100 || client.visits > 3",
                                         "now - client.last_purchase > duration(\"10d\")",
                                         "1 / client.visits > 0",
                                         "client.lifecycle != \"active\" && !(client.lifecycle in [\"lapsed\"])",
                                         "event.amount >= 150",
                                         "event.channel == \"email\" || client.orders == 1"};
enum { CONDITIONS = sizeof conditions / sizeof *conditions, CONDITIONS_ANYWHERE = CONDITIONS - 2 };
static rfm_lifecycle lifecycle(const model *m, int64_t at_ms);

static bool model_when(const model *m, size_t i, const model_pending *of, int64_t now_ms)
{
    const rfm_client *client = &m->client;
    switch (m->rule[i].when) {
    case 1: return client->orders >= 2;
    case 2: return client->revenue_minor > 10000 || client->visits > 3;
    case 3: return buyer(client) && now_ms - client->last_ms > 10 * DAY;
    case 4: return client->visits == 1; /* of none an error */
    case 5: {
        rfm_lifecycle now = lifecycle(m, now_ms);
        return now != RFM_LIFECYCLE_ACTIVE && now != RFM_LIFECYCLE_LAPSED;
    }
    case 6: return of->amount_minor >= 15000;
    case 7: return strcmp(of->channel, "email") == 0 || client->orders == 1;
    default: return true;
    }
}

static uint64_t model_hash(const char *first, const char *second)
{
    char text[128];
    int len = snprintf(text, sizeof text, "%s\x1f%s", first, second);
    return rfm_hash64(rfm_bytes_of(text, (size_t)len));
}

/* Minute by minute to the end, then the client's share of the jitter. */
static int64_t model_release(const model *m, int64_t now_ms)
{
    char end[32];
    if (!model_quiet(m, now_ms))
        return now_ms;
    int64_t at_ms = now_ms - now_ms % 60000, jitter_ms = m->s->rules.quiet_hours.jitter_ms;
    while (model_quiet(m, at_ms))
        at_ms += 60000;
    snprintf(end, sizeof end, "%" PRId64, at_ms);
    return at_ms + (jitter_ms ? (int64_t)(model_hash("alice", end) % (uint64_t)jitter_ms) : 0);
}

static bool model_open(const model *m, const rfm_schedule *schedule, int64_t now_ms)
{
    int32_t day = (int32_t)rfm_div_floor(model_wall_ms(m, now_ms), DAY);
    bool of_week = schedule->days == 0 ||
                   (schedule->days & 1 << (day - 4 + 700) % 7); /* the fifth of 1970 was a Monday */
    return of_week && (!schedule->from_day || day >= schedule->from_day) &&
           (!schedule->to_day || day <= schedule->to_day);
}

static bool model_capped(const model *m, size_t i, const char *channel, int64_t now_ms)
{
    for (size_t c = 0; c < m->s->rules.cap_count; c++) {
        const rfm_cap *cap = &m->s->rules.cap[c];
        size_t count = 0;
        for (size_t k = 0; k <= m->send_count; k++) { /* the last: this one */
            bool this = k == m->send_count;
            const rfm_rule *rule = &m->s->rule[this ? i : m->send[k].rule];
            const char *over = this ? channel : m->send[k].channel;
            bool matches = (!cap->has_class || cap->class_ == rule->class_) &&
                           (!*cap->channel || strcmp(cap->channel, over) == 0) &&
                           (!*cap->rule || strcmp(cap->rule, rule->name) == 0);
            bool within = this || m->send[k].time_ms > now_ms - cap->per_ms;
            if (this && !matches)
                count = 0; /* does not concern it */
            count += matches && within;
        }
        if (count > cap->max)
            return true;
    }
    return false;
}

/* NULL: sent. */
static const char *model_held_back(const model *m, size_t i, const char *channel, int64_t now_ms)
{
    const rfm_rule *rule = &m->s->rule[i];
    if (rule->class_ != RFM_CLASS_MARKETING)
        return NULL;
    if (model_capped(m, i, channel, now_ms))
        return "cap";
    if (model_hash(m->s->rules.holdout.salt, "alice") % 10000 < m->s->rules.holdout.buckets)
        return "holdout";
    if (rule->experiment.given && model_hash(rule->experiment.salt, "alice") % 10000 < rule->experiment.control_buckets)
        return "control";
    return NULL;
}

static void model_put(model *m, size_t i, const model_pending *pending, const char *channel, int64_t now_ms);

static void model_offer(model *m, size_t i, const model_pending *of, int64_t now_ms)
{
    const rfm_rule *rule = &m->s->rule[i];
    const char *reason, *channel = model_channel(m, rule, &reason);
    if (channel == NULL) {
        note(m, i, reason, of->cause, "-", now_ms);
        return;
    }
    if (rule->class_ == RFM_CLASS_MARKETING) {
        int64_t since_ms = of->deferred_ms < 0 ? now_ms : of->deferred_ms, release_ms = model_release(m, now_ms);
        if (rule->expires_ms && now_ms - since_ms > rule->expires_ms) {
            note(m, i, "expired", of->cause, channel, now_ms);
            return;
        }
        if (release_ms > now_ms) {
            model_pending again = *of;
            again.due_ms = release_ms, again.deferred_ms = since_ms;
            model_put(m, i, &again, channel, now_ms);
            return;
        }
    }
    const char *held = model_held_back(m, i, channel, now_ms);
    bool in_caps = held == NULL || strcmp(held, "holdout") == 0;
    if (in_caps || strcmp(held, "control") == 0)
        m->rule[i].sent = true, m->rule[i].sent_ms = now_ms;
    if (in_caps) {
        assert_true(m->send_count < MODEL_SENDS);
        m->send[m->send_count].rule = i, m->send[m->send_count].time_ms = now_ms;
        snprintf(m->send[m->send_count++].channel, sizeof m->send->channel, "%s", channel);
    }
    note(m, i, held ? held : "sent", of->cause, channel, now_ms);
}

static size_t all_pending(const model *m)
{
    size_t count = 0;
    for (size_t i = 0; i < m->s->rules.count; i++)
        count += m->rule[i].count;
    return count;
}

static model_pending *model_same(model_rule *state, const char *cart)
{
    for (size_t p = 0; p < state->count; p++) {
        if (strcmp(state->pending[p].cart, cart) == 0)
            return &state->pending[p];
    }
    return NULL;
}

static void model_put(model *m, size_t i, const model_pending *pending, const char *channel, int64_t now_ms)
{
    model_pending *same = model_same(&m->rule[i], pending->cart);
    if (same == NULL && all_pending(m) == MODEL_PENDING) {
        note(m, i, "slots_full", pending->cause, channel, now_ms);
        return;
    }
    *(same != NULL ? same : &m->rule[i].pending[m->rule[i].count++]) = *pending;
}

static void remove_pending(model_rule *state, size_t p)
{
    memmove(&state->pending[p], &state->pending[p + 1], (--state->count - p) * sizeof *state->pending);
}

static void model_cause(model *m, size_t i, const char *cause, int64_t now_ms, int64_t time_ms, const char *cart,
                        const rfm_event *event)
{
    const rfm_rule *rule = &m->s->rule[i];
    model_rule *state = &m->rule[i];
    model_pending *same = model_same(state, cart),
                  new = {.due_ms = now_ms + rule->delay_ms, .time_ms = time_ms, .deferred_ms = -1};
    snprintf(new.cause, sizeof new.cause, "%s", cause);
    snprintf(new.cart, sizeof new.cart, "%s", cart);
    new.amount_minor = event ? event->amount_minor : 0;
    new.channel = event ? (const char *)event->channel.at : "";
    if (!model_open(m, &rule->schedule, now_ms) || !model_when(m, i, &new, now_ms))
        return;
    if (state->sent && rule->once) {
        note(m, i, "once", cause, "-", now_ms);
    } else if (state->sent && now_ms < state->sent_ms + rule->cooldown_ms) {
        note(m, i, "cooldown", cause, "-", now_ms);
    } else if (same != NULL && !rule->restart) {
        note(m, i, "pending", cause, "-", now_ms);
    } else if (rule->delay_ms > 0) {
        model_put(m, i, &new, "-", now_ms);
    } else {
        if (same != NULL)
            remove_pending(state, (size_t)(same - state->pending));
        model_offer(m, i, &new, now_ms);
    }
}

/* Due after a delay or at the end of quiet hours. */
static void model_due(model *m, size_t i, const model_pending *pending, int64_t now_ms)
{
    if (model_open(m, &m->s->rule[i].schedule, now_ms) && model_when(m, i, pending, now_ms))
        model_offer(m, i, pending, now_ms);
    else
        note(m, i, "condition", pending->cause, "-", now_ms);
}

static bool sooner(const model_pending *a, const model_pending *b)
{
    return a->due_ms != b->due_ms ? a->due_ms < b->due_ms : a->time_ms < b->time_ms;
}

/* The due one that comes first by (due, time of the cause); -1: none at or before at_ms. */
static int first_due(const model_rule *state, int64_t at_ms)
{
    int first = -1;
    for (size_t p = 0; p < state->count; p++) {
        if (state->pending[p].due_ms <= at_ms && (first < 0 || sooner(&state->pending[p], &state->pending[first])))
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

static double model_idle_days(const rfm_client *client, int64_t at_ms)
{
    return (double)(at_ms - client->last_ms) / DAY;
}

/* models.md: the gap's posterior quantile. */
static double model_gap_days(const rfm_client *client, const rfm_client_conf *conf, const rfm_rule *rule)
{
    const rfm_model *fit = &conf->model;
    double x = client->x, f = 1 / (1 + x / fit->evidence_cap);
    double shape = fit->r + x * f, beta = fit->alpha + (client->last_day - client->first_day) / fit->unit_days * f;
    return fit->unit_days * beta * (pow(1 - rule->on.threshold, -1 / shape) - 1);
}

/* Named segments that only events move. */
static const char *const named_conditions[] = {"client.orders >= 3 && client.revenue < 500.0",
                                               "client.visits % 3 == 1"};

static bool named_holds(const model *m, uint8_t segment)
{
    const rfm_client *client = &m->client;
    if (segment == 0)
        return client->orders >= 3 && client->revenue_minor < 50000;
    return client->visits % 3 == 1;
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
    case RFM_CAUSE_LATE: return client->x > 0 && model_idle_days(client, at_ms) >= model_gap_days(client, conf, rule);
    case RFM_CAUSE_ENTER_NAMED:
    case RFM_CAUSE_LEAVE_NAMED: return m->any && named_holds(m, rule->on.segment);
    case RFM_CAUSE_ANNIVERSARY:
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
    case RFM_CAUSE_LATE: return m->client.x > 0;
    default: return true;
    }
}

static bool leaves(const rfm_rule *rule)
{
    return rule->on.kind == RFM_CAUSE_LEAVE_LIFECYCLE || rule->on.kind == RFM_CAUSE_LEAVE_SEGMENT ||
           rule->on.kind == RFM_CAUSE_LEAVE_NAMED;
}

/* Is it the day of the anniversary there, and `at` or later? The year, or 0. */
static int anniversary_of(const model *m, const rfm_rule *rule, int64_t at_ms)
{
    int year, month, day_of_month, wanted = m->day_of_month;
    int64_t wall_ms = model_wall_ms(m, at_ms);
    rfm_civil_of_day((int32_t)rfm_div_floor(wall_ms, DAY), &year, &month, &day_of_month);
    if (m->month == 2 && wanted == 29 && year % 4 != 0) /* 2023 to 2099 */
        wanted = 28;
    bool is_day = m->date_ms != INT64_MIN && month == m->month && day_of_month == wanted;
    return is_day && wall_ms % DAY >= rule->on.at_ms ? year : 0;
}

/* Hour by hour to the day, then minute by minute to the moment. */
static int64_t celebrates_at(const model *m, const rfm_rule *rule, int met, int64_t until_ms)
{
    int64_t hour_ms = m->from_ms - m->from_ms % HOUR;
    for (; hour_ms < until_ms; hour_ms += HOUR) {
        if (anniversary_of(m, rule, hour_ms + HOUR - 60000) <= met)
            continue;
        for (int64_t at_ms = hour_ms; at_ms < hour_ms + HOUR; at_ms += 60000) {
            if (anniversary_of(m, rule, at_ms) > met && at_ms > m->from_ms)
                return at_ms;
        }
    }
    return INT64_MAX;
}

/* What has gone by when a date is said, or corrected, is not made up for. */
static void model_date(model *m, const rfm_event *event, int64_t now_ms)
{
    if (event->trait_count > 0 && event->time_ms > m->date_ms) {
        int32_t day;
        assert_int_equal(rfm_date_parse(event->traits[0].text, &day), 0);
        rfm_civil_of_day(day, &m->born, &m->month, &m->day_of_month);
        m->date_ms = event->time_ms;
    }
    for (size_t i = 0; i < m->s->rules.count && m->date_ms != INT64_MIN; i++) {
        int met = m->rule[i].met > m->born ? m->rule[i].met : m->born;
        for (int64_t at_ms = now_ms - 367 * DAY; at_ms <= now_ms;
             at_ms += at_ms + HOUR > now_ms && at_ms < now_ms ? now_ms - at_ms : HOUR) {
            int year = anniversary_of(m, &m->s->rule[i], at_ms);
            met = year > met ? year : met;
        }
        m->rule[i].met = met;
    }
}

/* The first moment in (from, until) at which time alone makes the rule fire. Scores and lifecycle change at whole
 * seconds, segments at midnights, idleness at a millisecond; `step` is that grain. What holds is looked for hour by
 * hour, then by bisection: within an hour nothing that a rule names comes and goes again. */
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
        if (rule->on.kind == RFM_CAUSE_ANNIVERSARY)
            fires[i] = celebrates_at(m, rule, m->rule[i].met, until_ms);
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
                model_due(m, i, &pending, at_ms);
            }
            if (fires[i] == at_ms && m->s->rule[i].on.kind == RFM_CAUSE_ANNIVERSARY)
                m->rule[i].met = anniversary_of(m, &m->s->rule[i], at_ms);
            if (fires[i] == at_ms)
                model_cause(m, i, cause, at_ms, at_ms, "", NULL);
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
        for (;;) { /* in the order of their dues */
            int first = -1;
            for (size_t p = 0; p < state->count; p++) {
                const model_pending *pending = &state->pending[p];
                bool same = !cart[0] || !pending->cart[0] || strcmp(cart, pending->cart) == 0;
                bool cancels = event->time_ms >= pending->time_ms && same;
                if (cancels && (first < 0 || sooner(pending, &state->pending[first])))
                    first = (int)p;
            }
            if (first < 0)
                break;
            note(m, i, "cancelled", state->pending[first].cause, "-", now_ms);
            remove_pending(state, (size_t)first);
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
    if (event->timezone.len > 0 && event->time_ms > m->zone_ms) {
        m->zone_ms = event->time_ms;
        m->zone = rfm_zones_find(m->s->conf.zones, event->timezone);
    }
    if (event->type == RFM_EVENT_PROFILE)
        model_date(m, event, now_ms);
    snprintf(cause, sizeof cause, "%s/%.*s", rfm_event_type_name(event->type), (int)event->id.len,
             (const char *)event->id.at);
    for (size_t i = 0; i < m->s->rules.count; i++) {
        const rfm_rule *rule = &m->s->rule[i];
        bool now = holds(m, rule, now_ms);
        bool fires = rule->on.kind == RFM_CAUSE_EVENT ? rule->on.event == event->type
                     : leaves(rule)                   ? !first && held[i] && !now
                                                      : was_known[i] && !held[i] && now;
        if (fires)
            model_cause(m, i, cause, now_ms, event->time_ms, cart, event);
    }
}

static void random_schedule(rfm_schedule *schedule)
{
    int32_t first = (int32_t)(START_MS / DAY);
    schedule->days = draw(4) ? 0 : (uint8_t)(1 + draw(127));
    schedule->from_day = draw(8) ? 0 : first + (int32_t)draw(200);
    schedule->to_day = draw(8) ? 0 : first + 100 + (int32_t)draw(400);
}

static void random_experiment(rfm_rule *rule)
{
    rfm_experiment *experiment = &rule->experiment;
    if (draw(3) > 0 || rule->class_ != RFM_CLASS_MARKETING)
        return;
    *experiment = (rfm_experiment){.given = true, .control_buckets = (uint16_t)draw(10001), .variant_count = 1};
    snprintf(experiment->salt, sizeof experiment->salt, "salt %u", draw(1000));
    experiment->variant[0] = (rfm_variant){"a", (uint16_t)(10000 - experiment->control_buckets)};
}

static void random_cap(rfm_cap *cap)
{
    static const char *const channels[] = {"email", "push", "sms"};
    *cap = (rfm_cap){
        .has_class = draw(2), .class_ = (rfm_class)draw(2), .max = draw(4), .per_ms = (1 + draw(60 * 24)) * HOUR};
    if (draw(3) == 0)
        strcpy(cap->channel, channels[draw(3)]);
    if (draw(3) == 0)
        snprintf(cap->rule, sizeof cap->rule, "r%u", draw(12));
}

static const char *const zone_names[] = {"UTC", "Europe/Berlin", "Australia/Lord_Howe", "America/New_York"};

static rfm_zone *random_policies(scene *s)
{
    rfm_zone *zone = NULL;
    assert_int_equal(rfm_zone_load(zone_names[draw(4)], &zone, NULL), 0);
    s->rules.default_zone = zone;
    rfm_quiet_hours *quiet = &s->rules.quiet_hours;
    quiet->given = draw(3) > 0;
    quiet->from_ms = (int32_t)draw(1440) * 60000;
    quiet->to_ms = (quiet->from_ms + (int32_t)(1 + draw(1439)) * 60000) % (int32_t)DAY;
    quiet->jitter_ms = draw(2) ? 0 : 1 + draw(4 * 3600 * 1000);
    s->rules.cap_count = draw(2) ? 0 : draw(5);
    for (size_t c = 0; c < s->rules.cap_count; c++)
        random_cap(&s->rules.cap[c]);
    snprintf(s->rules.holdout.salt, sizeof s->rules.holdout.salt, "h%u", draw(100));
    s->rules.holdout.buckets = draw(4) ? 0 : (uint16_t)draw(10001);
    if (draw(4) == 0)
        s->rules.consent[RFM_CLASS_MARKETING] = RFM_OPT_OUT;
    return zone;
}

static void random_rule(scene *s, int i)
{
    static const char *const channels[] = {"email", "push", "sms"};
    static const rfm_event_type types[] = {RFM_EVENT_PURCHASE, RFM_EVENT_REFUND, RFM_EVENT_VISIT, RFM_EVENT_MESSAGE,
                                           RFM_EVENT_CONSENT};
    static const rfm_event_type idles[] = {RFM_EVENT_PURCHASE, RFM_EVENT_VISIT, RFM_EVENT_CONSENT};
    char name[8];
    snprintf(name, sizeof name, "r%d", i);
    rfm_rule *rule = scene_add(s, name);
    rule->on.kind = draw(3) ? (rfm_cause_kind)draw(RFM_CAUSE_LEAVE_NAMED + 1) : RFM_CAUSE_EVENT;
    rule->on.event = rule->on.kind == RFM_CAUSE_IDLE ? idles[draw(3)] : types[draw(5)];
    rule->on.segment = (uint8_t)draw(s->conf.segments.count);
    if (rule->on.kind == RFM_CAUSE_ENTER_NAMED || rule->on.kind == RFM_CAUSE_LEAVE_NAMED)
        rule->on.segment = (uint8_t)draw(2);
    rule->on.lifecycle = (rfm_lifecycle)draw(RFM_LIFECYCLE_COUNT);
    rule->on.threshold = (1 + draw(98)) / 100.0;
    rule->on.idle_ms = (1 + draw(40)) * DAY;
    strcpy(rule->on.trait, "birth_date");
    rule->on.at_ms = (int32_t)draw(1440) * 60000;
    rule->delay_ms = draw(2) ? 1 + draw(20 * 86400) * INT64_C(1000) : 0;
    rule->cancel_on = draw(3) ? 0 : draw(32);
    rule->once = draw(6) == 0;
    rule->restart = draw(3) == 0;
    rule->cooldown_ms = draw(3) ? 0 : (1 + draw(30)) * DAY;
    rule->class_ = (rfm_class)draw(2);
    rule->priority = (int32_t)draw(4) - 1;
    rule->expires_ms = draw(3) ? 0 : (1 + draw(40)) * HOUR;
    random_schedule(&rule->schedule);
    random_experiment(rule);
    rule->best = i > 0 && draw(5) == 0;
    rule->channel_count = rule->best ? 0
                          : i == 0   ? 3
                                     : (uint8_t)draw(4); /* the first names all that `best` chooses from */
    for (int c = 0; c < rule->channel_count; c++)
        strcpy(rule->channel[c], channels[c]);
}

/* Once the rules are in their order. */
static void random_conditions(scene *s, model *m)
{
    for (size_t i = 0; i < s->rules.count; i++) {
        rfm_rule *rule = &s->rule[i];
        bool amount = rule->on.event == RFM_EVENT_PURCHASE, channel = rule->on.event == RFM_EVENT_VISIT;
        int count = CONDITIONS_ANYWHERE;
        if (rule->on.kind == RFM_CAUSE_EVENT && (amount || channel))
            count = amount && draw(2) ? CONDITIONS - 1 : CONDITIONS;
        m->rule[i].when = draw(2) ? 0 : count > CONDITIONS_ANYWHERE && draw(2) ? count - 1 : (int)draw((uint32_t)count);
        if (channel && m->rule[i].when == CONDITIONS_ANYWHERE)
            m->rule[i].when = 0; /* a visit has no amount */
        if (m->rule[i].when > 0)
            scene_when(s, rule, conditions[m->rule[i].when]);
    }
}

static void random_date(rfm_event *event)
{
    static char text[16];
    static rfm_trait_value trait;
    int year, month, day_of_month;
    rfm_civil_of_day(rfm_day_of_civil(1960, 1, 1) + (int32_t)draw(25000), &year, &month, &day_of_month);
    snprintf(text, sizeof text, "%s", "1976-02-29");
    if (draw(4) > 0)
        snprintf(text, sizeof text, "%04d-%02d-%02d", year, month, day_of_month);
    trait = (rfm_trait_value){.name = rfm_text("birth_date"), .kind = RFM_VALUE_TEXT, .text = rfm_text(text)};
    event->traits = &trait;
    event->trait_count = 1;
}

static rfm_event random_event(char id[16], int i, int64_t now_ms)
{
    static const rfm_event_type types[] = {RFM_EVENT_PURCHASE, RFM_EVENT_PURCHASE, RFM_EVENT_VISIT,
                                           RFM_EVENT_VISIT,    RFM_EVENT_CONSENT,  RFM_EVENT_REFUND,
                                           RFM_EVENT_MESSAGE,  RFM_EVENT_FEEDBACK, RFM_EVENT_PROFILE,
                                           RFM_EVENT_POINTS,   RFM_EVENT_COST};
    static const char *const channels[] = {"email", "push", "sms"}, *const carts[] = {"", "", "a", "b", "c"};
    snprintf(id, 16, "e%d", i);
    rfm_event event = {
        .type = types[draw(draw(4) ? 7 : 11)], .id = rfm_text(id), .client_id = rfm_text("alice"), .has_amount = true};
    event.time_ms = now_ms - (draw(3) ? 0 : draw(30 * 86400) * INT64_C(1000) + draw(1000));
    event.id48 = event.order_id48 = (uint64_t)i + 1;
    event.order_id = event.id;
    event.cart_id = rfm_text(carts[draw(5)]);
    event.amount_minor = draw(8) ? draw(30000) : 0;
    event.channel = rfm_text(channels[draw(3)]);
    event.class_ = (rfm_class)draw(2);
    event.granted = draw(4) > 0;
    static const rfm_message_status statuses[] = {RFM_STATUS_DELIVERED, RFM_STATUS_DELIVERED, RFM_STATUS_CLICKED,
                                                  RFM_STATUS_UNSUBSCRIBED, RFM_STATUS_BOUNCED};
    event.status = statuses[draw(5)];
    event.permanent = true;
    if (event.type == RFM_EVENT_PROFILE && draw(2))
        event.timezone = rfm_text(zone_names[draw(4)]);
    if (event.type == RFM_EVENT_PROFILE)
        random_date(&event);
    return event;
}

/* The sums have the one client in those segments by condition in which the model has it. */
static void check_counts(const model *m, rfm_tally *tally)
{
    const scene *s = m->s;
    for (uint8_t i = 0; i < s->rules.named_count; i++) {
        char name[RFM_NAME_BYTES_MAX];
        snprintf(name, sizeof name, "segment:%s", s->named[i].name);
        rfm_cell cell = {RFM_KPI_NAMED, 0, rfm_names_find(s->names, rfm_text(name)), s->client.source};
        assert_int_equal(rfm_tally_get(tally, cell), m->any && named_holds(m, i));
    }
}

static void walk(uint64_t seed, const rfm_zones *zones, size_t *decisions)
{
    random_state = seed * 7919 + 1;
    scene *s = scene_new();
    static const rfm_trait date = {"birth_date", RFM_TRAIT_DATE};
    s->conf.zones = zones;
    s->conf.traits = &date, s->conf.trait_count = 1;
    model *m = calloc(1, sizeof *m);
    m->s = s, m->names = rfm_names_new(), m->last_consent_ms = m->zone_ms = m->date_ms = INT64_MIN,
    m->from_ms = START_MS - 1;
    rfm_client_init(&m->client);
    rfm_tally *tally = s->decisions.tally = rfm_tally_new();
    assert_non_null(tally);
    s->conf.lifecycle.at_risk = 0.4 + draw(40) / 100.0;
    for (int i = 0; i < 12; i++)
        random_rule(s, i);
    rfm_zone *zone = random_policies(s);
    scene_named(s, "few", named_conditions[0]);
    scene_named(s, "third", named_conditions[1]);
    scene_bind(s);
    random_conditions(s, m);
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
                             .dates_changed = applied.dates_changed,
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
        check_counts(m, tally);
        s->log_len = m->log_len = 0;
        s->log[0] = m->log[0] = 0;
    }
    rfm_zone_free(zone);
    rfm_tally_free(tally);
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
    rfm_zones *zones;
    assert_int_equal(rfm_zones_load(&zones, NULL), 0);
    assert_true(rfm_zones_count(zones) > 0);
    for (uint64_t seed = 1; seed <= walks; seed++)
        walk(seed, zones, &decisions);
    rfm_zones_free(zones);
    print_message("%zu decisions in %" PRIu64 " walks\n", decisions, walks);
    assert_true(decisions > walks * 25);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_walks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
