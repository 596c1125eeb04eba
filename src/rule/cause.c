#include "cause.h"

#include "exposure.h"
#include "named.h"
#include "sight.h"
#include "wall.h"

#include <math.h>
#include <rfm/base/time.h>

enum { LATE_DAYS_MAX = 100 * 366, ANNIVERSARY_YEAR_MAX = 9999 };

static bool is_buyer(const rfm_client *client)
{
    return client->orders > 0;
}

const rfm_zone *rfm__zone_of(const rfm_turn *turn)
{
    uint16_t number = rfm_client_timezone(turn->client);
    if (number == RFM_NUMBER_NONE)
        return turn->rules->default_zone;
    rfm_bytes name = rfm_names_text(turn->names, number);
    const rfm_zone *zone = rfm_zones_find(turn->conf->zones, name);
    return zone != NULL || rfm_bytes_is(name, "UTC") ? zone : turn->rules->default_zone;
}

static void set_holding(rfm_turn *turn, size_t rule, bool holds)
{
    if (rfm__rule_set_has(&turn->holding, rule) == holds)
        return;
    if (holds)
        rfm__rule_set_add(&turn->holding, rule);
    else
        rfm__rule_set_remove(&turn->holding, rule);
    turn->changed = true;
}

/* A condition that begins to hold is a cause; `causes` NULL: it is a first value, and only noted. */
static void note_side(rfm_turn *turn, size_t rule, bool holds, rfm_rule_set *causes)
{
    if (holds && causes != NULL && !rfm__rule_set_has(&turn->holding, rule))
        rfm__rule_set_add(causes, rule);
    set_holding(turn, rule, holds);
}

/* Why sides are looked at. Time alone lets a fall begin to hold and a rise cease to; the other way round only an event
 * does: an instant that lies before an event that has been decided on already sees the past, which is not to come
 * back. */
typedef enum side_look {
    SIDES_BY_EVENT,
    SIDES_BY_TIME,
    SIDES_ENDED, /* what holds no more is forgotten */
    SIDES_TAKEN, /* what holds is noted */
} side_look;

static void note_look(rfm_turn *turn, size_t rule, bool holds, bool begins_by_time, side_look look,
                      rfm_rule_set *causes)
{
    switch (look) {
    case SIDES_BY_EVENT: note_side(turn, rule, holds, causes); break;
    case SIDES_BY_TIME:
        if (holds == begins_by_time)
            note_side(turn, rule, holds, causes);
        break;
    case SIDES_ENDED:
        if (!holds)
            set_holding(turn, rule, false);
        break;
    case SIDES_TAKEN:
        if (holds)
            set_holding(turn, rule, true);
        break;
    }
}

static double ratio_at(rfm_turn *turn, int64_t at_ms)
{
    if (!turn->ratio_known || turn->ratio_ms != at_ms) {
        turn->ratio = rfm_client_ratio_beyond(turn->client, turn->conf, at_ms, turn->binding->ratio_max);
        turn->ratio_ms = at_ms;
        turn->ratio_known = true;
    }
    return turn->ratio;
}

static void cross_ratios(rfm_turn *turn, int64_t at_ms, side_look look, rfm_rule_set *causes)
{
    const rfm_rule_list *list = &turn->binding->ratios;
    if (list->count == 0)
        return;
    double ratio = ratio_at(turn, at_ms);
    for (size_t i = 0; i < list->count; i++) {
        const rfm_rule *rule = &turn->rules->rule[list->rule[i]];
        bool falls = rule->on.kind == RFM_CAUSE_FALL_RATIO;
        bool holds = falls ? ratio <= rule->on.threshold : ratio >= rule->on.threshold;
        note_look(turn, list->rule[i], holds, falls, look, causes);
    }
}

static void cross_risks(rfm_turn *turn, int64_t at_ms, side_look look, rfm_rule_set *causes)
{
    const rfm_rule_list *list = &turn->binding->risks;
    if (list->count == 0)
        return;
    double risk = rfm_client_risk_at(turn->client, turn->conf, at_ms);
    for (size_t i = 0; i < list->count; i++) {
        const rfm_rule *rule = &turn->rules->rule[list->rule[i]];
        bool rises = rule->on.kind == RFM_CAUSE_RISE_RISK;
        bool holds = rises ? risk >= rule->on.threshold : risk <= rule->on.threshold;
        note_look(turn, list->rule[i], holds, rises, look, causes);
    }
}

/* The first whole second at which the client's own gap has been as long as the rule's quantile of it; INT64_MAX: there
 * is no gap yet, or never. */
static int64_t late_moment(const rfm_turn *turn, const rfm_rule *rule)
{
    const rfm_client *client = turn->client;
    if (client->orders == 0 || client->x == 0)
        return INT64_MAX;
    double t_x_days = (double)client->last_day - client->first_day;
    double gap_days = rfm_model_gap_days(&turn->conf->model, client->x, t_x_days, rule->on.threshold);
    if (!(gap_days < LATE_DAYS_MAX))
        return INT64_MAX;
    int64_t moment_ms = client->last_ms + (int64_t)ceil(gap_days * (double)RFM_DAY_MS);
    return (rfm_div_floor(moment_ms - 1, RFM_SECOND_MS) + 1) * RFM_SECOND_MS;
}

/* A value with the second purchase day is a first one, which crosses nothing. */
static void cross_lates(rfm_turn *turn, int64_t at_ms, side_look look, rfm_rule_set *causes)
{
    const rfm_rule_list *list = &turn->binding->lates;
    if (look == SIDES_BY_EVENT && turn->client->x <= 1)
        causes = NULL;
    for (size_t i = 0; i < list->count; i++) {
        const rfm_rule *rule = &turn->rules->rule[list->rule[i]];
        note_look(turn, list->rule[i], late_moment(turn, rule) <= at_ms, true, look, causes);
    }
}

static void cross_scores(rfm_turn *turn, int64_t at_ms, side_look look, rfm_rule_set *causes)
{
    if (!is_buyer(turn->client))
        return;
    cross_ratios(turn, at_ms, look, causes);
    cross_risks(turn, at_ms, look, causes);
    cross_lates(turn, at_ms, look, causes);
}

/* The moment at which an idle rule fires unless its event comes first; INT64_MAX: that event has never come. */
static int64_t idle_moment(const rfm_turn *turn, const rfm_rule *rule)
{
    const rfm_client *client = turn->client;
    int64_t since_ms, moment_ms;
    switch (rule->on.event) {
    case RFM_EVENT_PURCHASE: since_ms = is_buyer(client) ? client->last_ms : RFM_SINCE_NONE; break;
    case RFM_EVENT_VISIT: since_ms = client->visits > 0 ? client->visit_last_ms : RFM_SINCE_NONE; break;
    default: since_ms = turn->slots.since_ms[rule->on.event];
    }
    if (since_ms == RFM_SINCE_NONE || __builtin_add_overflow(since_ms, rule->on.idle_ms, &moment_ms))
        return INT64_MAX;
    return moment_ms;
}

static void cross_idles(rfm_turn *turn, int64_t at_ms, side_look look, rfm_rule_set *causes)
{
    const rfm_rule_list *list = &turn->binding->idles;
    for (size_t i = 0; i < list->count; i++) {
        const rfm_rule *rule = &turn->rules->rule[list->rule[i]];
        note_look(turn, list->rule[i], idle_moment(turn, rule) <= at_ms, true, look, causes);
    }
}

static const rfm_latest *date_of(const rfm_turn *turn, size_t rule)
{
    return rfm_client_trait(turn->client, turn->binding->trait[rule], RFM_TRAIT_DATE);
}

static int64_t anniversary_ms(const rfm_turn *turn, size_t rule, const rfm_latest *date, int year)
{
    int32_t day = rfm__wall_anniversary((int32_t)date->integer, year);
    return rfm__wall_moment_ms(rfm__zone_of(turn), day, turn->rules->rule[rule].on.at_ms);
}

/* The year of the last anniversary up to at_ms; the date's own year, which has none, if there was none yet. */
static uint16_t year_met(const rfm_turn *turn, size_t rule, const rfm_latest *date, int64_t at_ms)
{
    int born, year, month, day_of_month;
    rfm_civil_of_day((int32_t)date->integer, &born, &month, &day_of_month);
    rfm_civil_of_day(rfm_zone_day(rfm__zone_of(turn), at_ms), &year, &month, &day_of_month);
    if (anniversary_ms(turn, rule, date, year) > at_ms)
        year--;
    year = year > born ? year : born;
    return (uint16_t)(year < 0 ? 0 : year > ANNIVERSARY_YEAR_MAX ? ANNIVERSARY_YEAR_MAX : year);
}

/* The next anniversary, also one that is overdue; INT64_MAX: no date is known. */
static int64_t next_anniversary(const rfm_turn *turn, size_t rule)
{
    const rfm_latest *date = date_of(turn, rule);
    int met = rfm__slots_met_year(&turn->slots, turn->binding->number[rule]);
    if (date == NULL || met < 0 || met >= ANNIVERSARY_YEAR_MAX)
        return INT64_MAX;
    return anniversary_ms(turn, rule, date, met + 1);
}

static void meet_anniversary(rfm_turn *turn, size_t rule, const rfm_latest *date, int64_t at_ms)
{
    rfm__slots_meet(&turn->slots, turn->binding->number[rule], year_met(turn, rule, date, at_ms));
    turn->changed = true;
}

static void cross_anniversaries(rfm_turn *turn, int64_t at_ms, rfm_rule_set *causes)
{
    const rfm_rule_list *list = &turn->binding->anniversaries;
    for (size_t i = 0; i < list->count; i++) {
        size_t rule = list->rule[i];
        if (next_anniversary(turn, rule) > at_ms)
            continue;
        rfm__rule_set_add(causes, rule);
        meet_anniversary(turn, rule, date_of(turn, rule), at_ms);
    }
}

/* A date that is new, or corrected, makes up for no anniversary, and there is one a year. */
static void note_date(rfm_turn *turn, size_t rule, bool corrected, int64_t until_ms)
{
    const rfm_latest *date = date_of(turn, rule);
    int met = rfm__slots_met_year(&turn->slots, turn->binding->number[rule]);
    if (date == NULL && met >= 0) {
        rfm__slots_forget_met(&turn->slots, turn->binding->number[rule]);
        turn->changed = true;
    } else if (date != NULL && (met < 0 || (corrected && year_met(turn, rule, date, until_ms) > met))) {
        meet_anniversary(turn, rule, date, until_ms);
    }
}

static bool said_by(const rfm_client *client, const rfm_latest *latest, const rfm_moment *moment)
{
    return moment->dates_changed && latest != NULL && client->stamp[latest->stamp].time_ms == moment->event->time_ms;
}

static void note_dates(rfm_turn *turn, const rfm_moment *moment)
{
    const rfm_rule_list *list = &turn->binding->anniversaries;
    for (size_t i = 0; i < list->count; i++) {
        size_t rule = list->rule[i];
        note_date(turn, rule, said_by(turn->client, date_of(turn, rule), moment), moment->now_ms);
    }
}

/* The rule may go by another date than before. Its own is looked at each day: what is overdue for longer is none of
 * it. */
static void renew_dates(rfm_turn *turn, int64_t at_ms)
{
    const rfm_rule_list *list = &turn->binding->anniversaries;
    for (size_t i = 0; i < list->count; i++) {
        size_t rule = list->rule[i];
        bool overdue = next_anniversary(turn, rule) <= at_ms - RFM_DAY_MS;
        note_date(turn, rule, overdue, at_ms);
    }
}

/* An event ends the idleness that it is waited for. One so old that its time has run out already is caught by the
 * timer, unless it is the first. */
static void end_idles(rfm_turn *turn, rfm_event_type type, bool first, int64_t now_ms)
{
    const rfm_rule_list *list = &turn->binding->idles;
    for (size_t i = 0; i < list->count; i++) {
        const rfm_rule *rule = &turn->rules->rule[list->rule[i]];
        if (rule->on.event != type)
            continue;
        bool over = idle_moment(turn, rule) <= now_ms;
        if (!over || first)
            set_holding(turn, list->rule[i], over);
    }
}

static void move_lifecycle(rfm_turn *turn, rfm_lifecycle lifecycle, rfm_rule_set *causes)
{
    rfm_client *client = turn->client;
    bool taken = client->marks.taken;
    rfm_lifecycle before = (rfm_lifecycle)client->marks.lifecycle;
    client->marks.lifecycle = (uint8_t)lifecycle;
    if (causes == NULL || (taken && before == lifecycle))
        return;
    const rfm_rule_list *list = &turn->binding->lifecycles;
    for (size_t i = 0; i < list->count; i++) {
        const rfm_rule *rule = &turn->rules->rule[list->rule[i]];
        bool entered = rule->on.kind == RFM_CAUSE_ENTER_LIFECYCLE;
        if (entered ? rule->on.lifecycle == lifecycle : taken && rule->on.lifecycle == before)
            rfm__rule_set_add(causes, list->rule[i]);
    }
}

static void move_segment(rfm_turn *turn, uint8_t segment, int64_t now_ms, rfm_rule_set *causes)
{
    rfm_client *client = turn->client;
    bool taken = client->marks.taken;
    uint16_t before = client->marks.segment, after = turn->binding->segment[segment];
    if (taken && before == after)
        return;
    client->marks.previous = taken ? before : 0;
    client->marks.segment = after;
    client->marks.since_ms = now_ms;
    if (causes == NULL)
        return;
    const rfm_rule_list *list = &turn->binding->segments;
    for (size_t i = 0; i < list->count; i++) {
        const rfm_rule *rule = &turn->rules->rule[list->rule[i]];
        bool entered = rule->on.kind == RFM_CAUSE_ENTER_SEGMENT;
        uint16_t number = turn->binding->segment[rule->on.segment];
        if (entered ? number == after : taken && number == before)
            rfm__rule_set_add(causes, list->rule[i]);
    }
}

/* Segments by condition: what an expression sees has no moments that could be told ahead, so they move when the client
 * is decided on. An error is not inside. A rule holds while its client is inside; `causes` NULL: only noted. */
static void move_named(rfm_turn *turn, rfm_rule_set *causes)
{
    const rfm_rule_list *list = &turn->binding->named;
    uint64_t inside = 0;
    for (size_t i = 0; i < turn->binding->named_count; i++)
        if (rfm__sight_holds(turn->sight, turn->rules->named[i].condition.expr) == RFM_TRUE)
            inside |= UINT64_C(1) << i;
    rfm__named_move(turn, inside);
    for (size_t i = 0; i < list->count; i++) {
        const rfm_rule *rule = &turn->rules->rule[list->rule[i]];
        bool was = rfm__rule_set_has(&turn->holding, list->rule[i]), is = inside >> rule->on.segment & 1;
        if (causes != NULL && was != is && is == (rule->on.kind == RFM_CAUSE_ENTER_NAMED))
            rfm__rule_set_add(causes, list->rule[i]);
        set_holding(turn, list->rule[i], is);
    }
}

static uint8_t segment_at(const rfm_turn *turn, int64_t at_ms)
{
    return rfm_client_segment_at(turn->client, turn->conf, turn->edges, at_ms);
}

static rfm_lifecycle lifecycle_at(rfm_turn *turn, int64_t at_ms)
{
    if (!is_buyer(turn->client))
        return RFM_LIFECYCLE_PROSPECT;
    return rfm_client_lifecycle_of(turn->client, turn->conf, ratio_at(turn, at_ms));
}

static void sign_marks(rfm_turn *turn)
{
    turn->client->marks.taken = true;
    turn->client->marks.version = turn->binding->version;
}

/* Times that no rule waits for any more. */
static void drop_times(rfm_turn *turn)
{
    for (size_t i = 0; i < RFM_EVENT_TYPE_COUNT; i++) {
        if (turn->slots.since_ms[i] == RFM_SINCE_NONE || turn->binding->since_types >> i & 1)
            continue;
        turn->slots.since_ms[i] = RFM_SINCE_NONE;
        turn->changed = true;
    }
}

bool rfm__marks_stale(const rfm_turn *turn)
{
    return turn->client->marks.taken && turn->client->marks.version != turn->binding->version;
}

/* What holds still, and is known to, has had its effect: at_ms may lie before that. */
static void renew_sides(rfm_turn *turn, int64_t at_ms, int64_t now_ms)
{
    drop_times(turn);
    cross_scores(turn, now_ms, SIDES_ENDED, NULL);
    cross_idles(turn, now_ms, SIDES_ENDED, NULL);
    cross_scores(turn, at_ms, SIDES_TAKEN, NULL);
    cross_idles(turn, at_ms, SIDES_TAKEN, NULL);
    renew_dates(turn, at_ms);
}

void rfm__marks_renew(rfm_turn *turn, int64_t at_ms, int64_t now_ms)
{
    if (turn->client->marks.lifecycle != lifecycle_at(turn, now_ms))
        move_lifecycle(turn, lifecycle_at(turn, at_ms), NULL);
    if (turn->client->marks.segment != turn->binding->segment[segment_at(turn, now_ms)])
        move_segment(turn, segment_at(turn, at_ms), now_ms, NULL);
    renew_sides(turn, at_ms, now_ms);
    move_named(turn, NULL);
    sign_marks(turn);
}

/* True: the first of its type. */
static bool note_time(rfm_turn *turn, const rfm_event *event)
{
    if (!(turn->binding->since_types >> event->type & 1))
        return false;
    int64_t *since_ms = &turn->slots.since_ms[event->type];
    bool first = *since_ms == RFM_SINCE_NONE;
    if (first || event->time_ms > *since_ms) {
        *since_ms = event->time_ms;
        turn->changed = true;
    }
    return first;
}

/* The first event of a client, or of one whose marks are of another version. A prospect is one under every version. */
static void first_causes(rfm_turn *turn, int64_t now_ms, rfm_rule_set *causes)
{
    bool silent = turn->client->marks.taken && turn->client->marks.lifecycle != RFM_LIFECYCLE_PROSPECT;
    move_lifecycle(turn, lifecycle_at(turn, now_ms), silent ? NULL : causes);
    move_segment(turn, segment_at(turn, now_ms), now_ms, silent ? NULL : causes);
    renew_sides(turn, now_ms, now_ms);
    move_named(turn, silent ? NULL : causes);
    sign_marks(turn);
}

void rfm__causes_of_event(rfm_turn *turn, const rfm_moment *moment, rfm_rule_set *causes)
{
    const rfm_event *event = moment->event;
    const bool bought = moment->bought;
    const int64_t now_ms = moment->now_ms;
    rfm_client *client = turn->client;
    *causes = turn->binding->on_event[event->type];
    bool first = note_time(turn, event);
    if (!client->marks.taken || rfm__marks_stale(turn)) {
        first_causes(turn, now_ms, causes);
        return;
    }
    bool was_buyer = client->marks.lifecycle != RFM_LIFECYCLE_PROSPECT;
    note_dates(turn, moment);
    if (bought) {
        move_lifecycle(turn, lifecycle_at(turn, now_ms), causes);
        cross_scores(turn, now_ms, SIDES_BY_EVENT, was_buyer ? causes : NULL);
        first = !was_buyer;
    }
    if (bought || event->type == RFM_EVENT_REFUND || turn->binding->population)
        move_segment(turn, segment_at(turn, now_ms), now_ms, causes);
    if (event->type == RFM_EVENT_VISIT)
        first = client->visits == 1;
    if (bought || event->type != RFM_EVENT_PURCHASE)
        end_idles(turn, event->type, first, now_ms);
    move_named(turn, causes);
}

static int64_t earlier(int64_t a_ms, int64_t b_ms)
{
    return a_ms < b_ms ? a_ms : b_ms;
}

static int64_t pending_moment(const rfm_turn *turn)
{
    int64_t next_ms = INT64_MAX;
    for (size_t i = 0; i < turn->slots.pending_count; i++)
        next_ms = earlier(next_ms, turn->slots.pending[i].due_ms);
    return next_ms;
}

static int64_t idles_moment(const rfm_turn *turn)
{
    const rfm_rule_list *list = &turn->binding->idles;
    int64_t next_ms = INT64_MAX;
    for (size_t i = 0; i < list->count; i++) {
        if (!rfm__rule_set_has(&turn->holding, list->rule[i]))
            next_ms = earlier(next_ms, idle_moment(turn, &turn->rules->rule[list->rule[i]]));
    }
    return next_ms;
}

static int64_t lates_moment(const rfm_turn *turn)
{
    const rfm_rule_list *list = &turn->binding->lates;
    int64_t next_ms = INT64_MAX;
    for (size_t i = 0; i < list->count; i++) {
        if (!rfm__rule_set_has(&turn->holding, list->rule[i]))
            next_ms = earlier(next_ms, late_moment(turn, &turn->rules->rule[list->rule[i]]));
    }
    return next_ms;
}

static int64_t anniversaries_moment(const rfm_turn *turn)
{
    const rfm_rule_list *list = &turn->binding->anniversaries;
    int64_t next_ms = INT64_MAX;
    for (size_t i = 0; i < list->count; i++)
        next_ms = earlier(next_ms, next_anniversary(turn, list->rule[i]));
    return next_ms;
}

/* The ratio below which the lifecycle is another by time alone; -1: never. */
static double lifecycle_threshold(const rfm_turn *turn)
{
    double at_risk = turn->conf->lifecycle.at_risk, lapsed = turn->conf->lifecycle.lapsed;
    switch ((rfm_lifecycle)turn->client->marks.lifecycle) {
    case RFM_LIFECYCLE_NEW:
    case RFM_LIFECYCLE_ACTIVE: return at_risk > lapsed ? at_risk : lapsed;
    case RFM_LIFECYCLE_AT_RISK:
    case RFM_LIFECYCLE_REACTIVATED: return lapsed;
    default: return -1;
    }
}

/* The moment at which the falling ratio meets the highest threshold that is still below it. A rule on its rise is
 * watched as well: it must be known again when it has ceased to hold. */
static int64_t ratio_moment(const rfm_turn *turn, int64_t until_ms)
{
    const rfm_rule_list *list = &turn->binding->ratios;
    double threshold = lifecycle_threshold(turn);
    for (size_t i = 0; i < list->count; i++) {
        const rfm_rule *rule = &turn->rules->rule[list->rule[i]];
        bool above = rfm__rule_set_has(&turn->holding, list->rule[i]) == (rule->on.kind == RFM_CAUSE_RISE_RATIO);
        if (above && rule->on.threshold > threshold)
            threshold = rule->on.threshold;
    }
    if (threshold < 0 || rfm_client_ratio_beyond(turn->client, turn->conf, until_ms - 1, threshold) > threshold)
        return INT64_MAX;
    return rfm_client_ratio_moment_ms(turn->client, turn->conf, threshold);
}

static int64_t risk_moment(const rfm_turn *turn, int64_t until_ms)
{
    const rfm_rule_list *list = &turn->binding->risks;
    double threshold = 2;
    for (size_t i = 0; i < list->count; i++) {
        const rfm_rule *rule = &turn->rules->rule[list->rule[i]];
        bool below = rfm__rule_set_has(&turn->holding, list->rule[i]) == (rule->on.kind == RFM_CAUSE_FALL_RISK);
        if (below && rule->on.threshold < threshold)
            threshold = rule->on.threshold;
    }
    if (threshold > 1 || rfm_client_risk_at(turn->client, turn->conf, until_ms - 1) < threshold)
        return INT64_MAX;
    return rfm_client_risk_moment_ms(turn->client, turn->conf, threshold);
}

/* Recency by fixed thresholds falls at most four times after a purchase. The moment is the first of these after the
 * last at which the mark was right. */
static int64_t segment_moment(const rfm_turn *turn, int64_t until_ms)
{
    const rfm_client *client = turn->client;
    const uint16_t *number = turn->binding->segment;
    if (turn->binding->population || number[segment_at(turn, until_ms - 1)] == client->marks.segment)
        return INT64_MAX;
    int64_t found_ms = INT64_MAX, at_ms = client->last_ms;
    while ((at_ms = rfm_client_segment_moment_ms(client, turn->conf, at_ms)) < until_ms) {
        if (number[segment_at(turn, at_ms)] == client->marks.segment)
            found_ms = INT64_MAX;
        else if (found_ms == INT64_MAX)
            found_ms = at_ms;
    }
    return found_ms;
}

/* By time alone an active client becomes one at risk, and everybody lapses. */
static bool declines(const rfm_turn *turn, rfm_lifecycle lifecycle)
{
    rfm_lifecycle before = (rfm_lifecycle)turn->client->marks.lifecycle;
    bool active = before == RFM_LIFECYCLE_NEW || before == RFM_LIFECYCLE_ACTIVE;
    return lifecycle == RFM_LIFECYCLE_LAPSED || (lifecycle == RFM_LIFECYCLE_AT_RISK && active);
}

void rfm__causes_of_instant(rfm_turn *turn, int64_t at_ms, int64_t now_ms, int64_t until_ms, bool review,
                            rfm_rule_set *causes)
{
    memset(causes, 0, sizeof *causes);
    if (!turn->client->marks.taken)
        return;
    rfm_lifecycle lifecycle = lifecycle_at(turn, at_ms);
    if (declines(turn, lifecycle))
        move_lifecycle(turn, lifecycle, causes);
    if (review && turn->binding->population)
        move_segment(turn, segment_at(turn, now_ms), now_ms, causes);
    else if (segment_moment(turn, until_ms) <= at_ms)
        move_segment(turn, segment_at(turn, at_ms), now_ms, causes);
    cross_scores(turn, at_ms, SIDES_BY_TIME, causes);
    cross_idles(turn, at_ms, SIDES_BY_TIME, causes);
    cross_anniversaries(turn, at_ms, causes);
    move_named(turn, causes);
}

int64_t rfm__next_moment(const rfm_turn *turn, int64_t until_ms)
{
    int64_t next_ms = earlier(earlier(pending_moment(turn), idles_moment(turn)), anniversaries_moment(turn));
    next_ms = earlier(next_ms, rfm__exposures_moment(turn));
    if (turn->client->marks.taken && is_buyer(turn->client)) {
        next_ms = earlier(next_ms, ratio_moment(turn, until_ms));
        next_ms = earlier(next_ms, risk_moment(turn, until_ms));
        next_ms = earlier(next_ms, lates_moment(turn));
        next_ms = earlier(next_ms, segment_moment(turn, until_ms));
    }
    return next_ms < until_ms ? next_ms : INT64_MAX;
}
