#include <rfm/rule/decide.h>

#include "cap.h"
#include "channel.h"
#include "experiment.h"
#include "exposure.h"
#include "named.h"
#include "sight.h"
#include "trigger.h"
#include "wall.h"

#include <rfm/base/hash.h>
#include <rfm/base/time.h>

/* A decision waits for the next look if so few more would fit: what one instant can cause. */
enum { ROOM_PER_INSTANT = RFM_RULES_MAX + RFM_PENDING_MAX };

typedef struct rfm_hearing {
    rfm_turn turn;
    const rfm_moment *moment;
    rfm_decisions *decisions;
    size_t kept_count; /* as many of the event's causes have been put off */
    uint8_t kept[RFM_PENDING_MAX][RFM_KEPT_BYTES_MAX];
    rfm_sight sight;
} rfm_hearing;

/* A cause on its way to be sent. */
typedef struct rfm_offer {
    size_t rule;
    const rfm_cause *cause;
    int64_t deferred_ms; /* as in rfm_pending */
    rfm_choice choice;
} rfm_offer;

typedef struct rfm_taken {
    size_t rule;
    rfm_pending pending;
} rfm_taken;

const char *rfm_suppression_name(rfm_suppression suppression)
{
    static const char *const name[RFM_SUPPRESSION_COUNT] = {[RFM_SENT] = "sent",
#define X(NAME, text) [RFM_SUPPRESSED_##NAME] = #text,
                                                            RFM_SUPPRESSIONS(X)
#undef X
    };
    return name[suppression];
}

static void drop_unknown_rules(rfm_turn *turn)
{
    rfm_slots *slots = &turn->slots;
    for (size_t i = slots->sent_count; i-- > 0;) {
        if (rfm__binding_rule(turn->binding, slots->sent[i].rule) == RFM_RULE_NONE) {
            rfm__slots_forget(slots, &slots->sent[i]);
            turn->changed = true;
        }
    }
    for (size_t i = slots->met_count; i-- > 0;) {
        if (rfm__binding_rule(turn->binding, slots->met[i].rule) == RFM_RULE_NONE) {
            rfm__slots_forget_met(slots, slots->met[i].rule);
            turn->changed = true;
        }
    }
    for (size_t i = slots->pending_count; i-- > 0;) {
        if (rfm__binding_rule(turn->binding, slots->pending[i].rule) == RFM_RULE_NONE) {
            rfm__slots_drop(slots, &slots->pending[i]);
            turn->changed = true;
        }
    }
}

static void open_turn(rfm_turn *turn, const rfm_rules *rules, const rfm_binding *binding, const rfm_client_conf *conf,
                      const rfm_names *names, rfm_client *client, const rfm_edges *edges, rfm_tally *tally,
                      rfm_sight *sight)
{
    turn->rules = rules, turn->binding = binding, turn->conf = conf, turn->names = names;
    turn->client = client, turn->edges = edges, turn->sight = sight;
    turn->tally = tally;
    turn->inside = 0;
    turn->changed = turn->ratio_known = false;
    memset(&turn->holding, 0, sizeof turn->holding);
    int code = rfm__slots_decode(rfm_bytes_of(client->slots, client->slots_len), &turn->slots);
    RFM_ASSERT(code == 0);
    for (size_t i = 0; i < turn->slots.holding_count; i++) {
        int rule = rfm__binding_rule(binding, turn->slots.holding[i]);
        if (rule == RFM_RULE_NONE)
            rfm__named_take(turn, turn->slots.holding[i]);
        else
            rfm__rule_set_add(&turn->holding, (size_t)rule);
    }
    drop_unknown_rules(turn);
}

static void close_turn(rfm_turn *turn)
{
    uint8_t packed[RFM_SLOTS_BYTES_MAX];
    const rfm_rule_list *list = &turn->binding->by_number;
    rfm_slots *slots = &turn->slots;
    if (!turn->changed)
        return;
    slots->holding_count = 0;
    for (size_t i = 0; i < list->count; i++) {
        uint16_t number = turn->binding->number[list->rule[i]];
        if (rfm__rule_set_has(&turn->holding, list->rule[i]))
            slots->holding[slots->holding_count++] = number;
    }
    rfm__named_put(turn, slots);
    size_t len = rfm__slots_encode(slots, packed);
    memcpy(turn->client->slots, packed, len);
    turn->client->slots_len = (uint16_t)len;
}

/* Expressions are about this cause from now on. */
static void see(rfm_hearing *hearing, const rfm_cause *cause)
{
    if (hearing->sight.cause != cause)
        rfm__sight_turn_to(&hearing->sight, cause);
}

/* `data` is as the client is at the decision. */
static void add_data(rfm_hearing *hearing, rfm_decision *decision, const rfm_cause *cause)
{
    rfm_buffer *data = hearing->decisions->data;
    decision->data = RFM_BYTES_NONE;
    decision->data_at = data != NULL ? (uint32_t)data->len : 0;
    if (data == NULL || decision->rule->data == NULL || data->bad)
        return;
    see(hearing, cause);
    rfm__sight_write_data(&hearing->sight, decision->rule, data);
    if (data->bad)
        data->len = decision->data_at, data->bad = false;
    decision->data.len = data->len - decision->data_at;
}

/* The buffer moves while it grows. */
static void place_data(rfm_decisions *decisions)
{
    for (size_t i = 0; i < decisions->count; i++) {
        if (decisions->items[i].data.len > 0)
            decisions->items[i].data.at = decisions->data->at + decisions->items[i].data_at;
    }
}

static rfm_decision *add_decision(rfm_hearing *hearing, size_t rule, const rfm_cause *cause,
                                  rfm_suppression suppression)
{
    rfm_decisions *decisions = hearing->decisions;
    const rfm_turn *turn = &hearing->turn;
    RFM_ASSERT(decisions->count < decisions->size);
    rfm_decision *decision = &decisions->items[decisions->count++];
    decision->rule = &turn->rules->rule[rule];
    decision->suppression = suppression;
    decision->cause_len = (uint16_t)rfm__cause_text(cause->code, cause->time_ms, cause->id, decision->cause);
    rfm__trigger_id(rfm_text(decision->rule->name), hearing->moment->client_id,
                    rfm_bytes_of(decision->cause, decision->cause_len), decision->id);
    decision->channel = RFM_BYTES_NONE;
    decision->variant = UINT8_MAX;
    decision->segment = rfm__binding_segment(turn->binding, turn->conf, turn->client->marks.segment);
    decision->lifecycle = turn->client->marks.lifecycle;
    decision->time_ms = hearing->moment->now_ms;
    add_data(hearing, decision, cause);
    return decision;
}

static bool cooling(const rfm_rule *rule, const rfm_remembered *sent, int64_t now_ms)
{
    return rule->cooldown_ms > 0 && now_ms - sent->time_ms < rule->cooldown_ms;
}

/* Makes room by the oldest send that no rule asks for any more. */
static bool forget_oldest(rfm_turn *turn, int64_t now_ms)
{
    rfm_remembered *oldest = NULL;
    for (size_t i = 0; i < turn->slots.sent_count; i++) {
        rfm_remembered *sent = &turn->slots.sent[i];
        const rfm_rule *rule = &turn->rules->rule[rfm__binding_rule(turn->binding, sent->rule)];
        if (!rule->once && !cooling(rule, sent, now_ms) && (oldest == NULL || sent->time_ms < oldest->time_ms))
            oldest = sent;
    }
    if (oldest != NULL)
        rfm__slots_forget(&turn->slots, oldest);
    return oldest != NULL;
}

/* NULL: there is no room, which only matters to a rule that must know of its last send. */
static rfm_remembered *remember(rfm_turn *turn, size_t rule, int64_t now_ms)
{
    uint16_t number = turn->binding->number[rule];
    bool known = rfm__slots_sent(&turn->slots, number) != NULL;
    rfm_remembered *sent = rfm__slots_remember(&turn->slots, number);
    if (sent == NULL && forget_oldest(turn, now_ms))
        sent = rfm__slots_remember(&turn->slots, number);
    if (sent != NULL && !known)
        sent->is_virtual = true; /* until it is filled in: `data` sees what was sent before */
    return sent;
}

/* An offer that a later step than the choice of the channel holds back, or that is sent. */
static rfm_decision *add_offered(rfm_hearing *hearing, const rfm_offer *offer, rfm_suppression suppression)
{
    rfm_decision *decision = add_decision(hearing, offer->rule, offer->cause, suppression);
    decision->channel = offer->choice.text;
    return decision;
}

/* Of an event at hand what the rule will read of it; where there is no room for that, none for it. */
static bool keep_event(rfm_hearing *hearing, size_t index, rfm_cause *cause)
{
    const rfm_rule *rule = &hearing->turn.rules->rule[index];
    size_t len = 0;
    if (cause->event == NULL || (rule->event_parts | rule->event_traits) == 0)
        return true;
    if (hearing->kept_count == RFM_PENDING_MAX ||
        !rfm__sight_keep(&hearing->sight, rule, hearing->kept[hearing->kept_count], &len))
        return false;
    cause->kept = rfm_bytes_of(hearing->kept[hearing->kept_count], len);
    return true;
}

static bool put_off(rfm_hearing *hearing, size_t index, const rfm_cause *cause, int64_t due_ms, int64_t deferred_ms)
{
    rfm_turn *turn = &hearing->turn;
    rfm_pending pending = {
        .rule = turn->binding->number[index], .due_ms = due_ms, .deferred_ms = deferred_ms, .cause = *cause};
    see(hearing, cause);
    if (!keep_event(hearing, index, &pending.cause))
        return false;
    pending.cause.event = NULL;
    bool good = rfm__slots_defer(&turn->slots, &pending);
    hearing->kept_count += good && cause->event != NULL;
    turn->changed = turn->changed || good;
    rfm__sight_renew(&hearing->sight);
    return good;
}

/* Step 5. False: it waits, or has waited too long. */
static bool pass_quiet_hours(rfm_hearing *hearing, const rfm_offer *offer)
{
    rfm_turn *turn = &hearing->turn;
    const rfm_rule *rule = &turn->rules->rule[offer->rule];
    int64_t now_ms = hearing->moment->now_ms;
    int64_t since_ms = offer->deferred_ms == RFM_NOT_DEFERRED ? now_ms : offer->deferred_ms;
    if (rule->expires_ms > 0 && now_ms - since_ms > rule->expires_ms) {
        add_offered(hearing, offer, RFM_SUPPRESSED_EXPIRED);
        return false;
    }
    if (!turn->rules->quiet_hours.given)
        return true;
    int64_t release_ms = rfm__wall_release_ms(&turn->rules->quiet_hours, rfm__zone_of(turn), hearing->moment->client_id,
                                              now_ms);
    if (release_ms == now_ms)
        return true;
    if (!put_off(hearing, offer->rule, offer->cause, release_ms, since_ms))
        add_offered(hearing, offer, RFM_SUPPRESSED_SLOTS_FULL);
    return false;
}

/* 6 and 7 of docs/rules.md, "The order of a decision"; the variant of one that is sent. */
static rfm_suppression hold_back(const rfm_hearing *hearing, const rfm_offer *offer, uint8_t *variant)
{
    const rfm_turn *turn = &hearing->turn;
    const rfm_experiment *experiment = &turn->rules->rule[offer->rule].experiment;
    rfm_send send = {offer->rule, offer->choice.number};
    if (rfm__is_capped(turn, &send, hearing->moment->now_ms))
        return RFM_SUPPRESSED_CAP;
    if (rfm__is_held_out(&turn->rules->holdout, hearing->moment->client_id))
        return RFM_SUPPRESSED_HOLDOUT;
    if (!experiment->given)
        return RFM_SENT;
    int arm = rfm__arm_of(experiment, hearing->moment->client_id);
    if (arm == RFM_ARM_CONTROL)
        return RFM_SUPPRESSED_CONTROL;
    *variant = (uint8_t)arm;
    return RFM_SENT;
}

/* Step 8: sent, or as if it had been, by a hold-out or a control arm. */
static void send_offer(rfm_hearing *hearing, const rfm_offer *offer, rfm_suppression kind, uint8_t variant)
{
    rfm_turn *turn = &hearing->turn;
    const rfm_rule *rule = &turn->rules->rule[offer->rule];
    rfm_send send = {offer->rule, offer->choice.number};
    int64_t now_ms = hearing->moment->now_ms;
    bool in_caps = kind != RFM_SUPPRESSED_CONTROL;
    bool room = !in_caps || rfm__caps_make_room(turn, &send, now_ms);
    rfm_remembered *sent = room ? remember(turn, offer->rule, now_ms) : NULL;
    if (!room || (sent == NULL && (rule->once || rule->cooldown_ms > 0))) {
        add_offered(hearing, offer, RFM_SUPPRESSED_SLOTS_FULL);
        return;
    }
    if (in_caps)
        rfm__caps_note(turn, &send, now_ms);
    rfm_decision *decision = add_offered(hearing, offer, kind);
    decision->variant = variant;
    if (rule->experiment.given && kind != RFM_SUPPRESSED_HOLDOUT)
        rfm__expose(turn, offer->rule, variant == UINT8_MAX ? RFM_ARM_CONTROL : variant, now_ms);
    if (sent == NULL)
        return;
    *sent = (rfm_remembered){.rule = sent->rule, .is_virtual = kind != RFM_SENT, .time_ms = now_ms};
    if (kind == RFM_SENT)
        rfm__sent_by(sent, offer->cause, decision->id);
    turn->changed = true;
    rfm__sight_renew(&hearing->sight);
}

/* Steps 4 to 8. */
static void decide_offer(rfm_hearing *hearing, size_t index, const rfm_cause *cause, int64_t deferred_ms)
{
    const rfm_rule *rule = &hearing->turn.rules->rule[index];
    rfm_offer offer = {index, cause, deferred_ms, rfm__channel_choose(&hearing->turn, index)};
    rfm_suppression kind = RFM_SENT;
    uint8_t variant = UINT8_MAX;
    if (offer.choice.why_not != RFM_SENT) {
        add_decision(hearing, index, cause, offer.choice.why_not);
        return;
    }
    if (rule->class_ == RFM_CLASS_MARKETING) {
        if (!pass_quiet_hours(hearing, &offer))
            return;
        kind = hold_back(hearing, &offer, &variant);
    }
    if (kind == RFM_SENT || kind == RFM_SUPPRESSED_HOLDOUT || kind == RFM_SUPPRESSED_CONTROL)
        send_offer(hearing, &offer, kind, variant);
    else
        add_offered(hearing, &offer, kind);
}

static bool when_holds(rfm_hearing *hearing, size_t index, const rfm_cause *cause)
{
    const rfm_expr *when = hearing->turn.rules->rule[index].when.expr;
    if (when == NULL)
        return true;
    see(hearing, cause);
    rfm_truth truth = rfm__sight_holds(&hearing->sight, when);
    if (truth == RFM_FAILED && hearing->decisions->errors != NULL)
        hearing->decisions->errors[index]++;
    return truth == RFM_TRUE;
}

/* What the rule itself asks for at this moment. */
static bool condition_holds(rfm_hearing *hearing, size_t index, const rfm_cause *cause)
{
    const rfm_turn *turn = &hearing->turn;
    const rfm_schedule *schedule = &turn->rules->rule[index].schedule;
    bool scheduled = rfm__schedule_is_empty(schedule) ||
                     rfm__wall_scheduled(schedule, rfm__zone_of(turn), hearing->moment->now_ms);
    return scheduled && when_holds(hearing, index, cause);
}

static void delay_cause(rfm_hearing *hearing, size_t index, const rfm_cause *cause, int64_t moment_ms)
{
    int64_t due_ms;
    if (__builtin_add_overflow(moment_ms, hearing->turn.rules->rule[index].delay_ms, &due_ms))
        due_ms = INT64_MAX;
    if (!put_off(hearing, index, cause, due_ms, RFM_NOT_DEFERRED))
        add_decision(hearing, index, cause, RFM_SUPPRESSED_SLOTS_FULL);
}

/* What was put off is due: from step 3's `when` on again. */
static void decide_due(rfm_hearing *hearing, const rfm_taken *taken)
{
    const rfm_pending *pending = &taken->pending;
    rfm__sight_turn_to(&hearing->sight, &pending->cause); /* another was at the same place */
    if (condition_holds(hearing, taken->rule, &pending->cause))
        decide_offer(hearing, taken->rule, &pending->cause, pending->deferred_ms);
    else
        add_decision(hearing, taken->rule, &pending->cause, RFM_SUPPRESSED_CONDITION);
}

/* Without a delay nothing would replace what waits, unless quiet hours put off the new one too. */
static void drop_pending(rfm_turn *turn, uint16_t number, uint32_t cart)
{
    rfm_pending *pending = rfm__slots_pending(&turn->slots, number, cart);
    if (pending == NULL)
        return;
    rfm__slots_drop(&turn->slots, pending);
    turn->changed = true;
    rfm__sight_renew(turn->sight);
}

static rfm_suppression too_soon(rfm_hearing *hearing, size_t index, uint32_t cart)
{
    rfm_turn *turn = &hearing->turn;
    const rfm_rule *rule = &turn->rules->rule[index];
    uint16_t number = turn->binding->number[index];
    const rfm_remembered *sent = rfm__slots_sent(&turn->slots, number);
    if (number == RFM_NUMBER_NONE)
        return RFM_SUPPRESSED_SLOTS_FULL;
    if (sent != NULL && rule->once)
        return RFM_SUPPRESSED_ONCE;
    if (sent != NULL && cooling(rule, sent, hearing->moment->now_ms))
        return RFM_SUPPRESSED_COOLDOWN;
    if (!rule->restart && rfm__slots_pending(&turn->slots, number, cart) != NULL)
        return RFM_SUPPRESSED_PENDING;
    return RFM_SENT;
}

/* Steps 1 to 3: the condition; once, cooldown, pending; the delay. */
static void decide_cause(rfm_hearing *hearing, size_t index, const rfm_cause *cause, int64_t moment_ms)
{
    rfm_turn *turn = &hearing->turn;
    if (!condition_holds(hearing, index, cause))
        return;
    rfm_suppression why_not = too_soon(hearing, index, cause->cart);
    if (why_not != RFM_SENT) {
        add_decision(hearing, index, cause, why_not);
    } else if (turn->rules->rule[index].delay_ms > 0) {
        delay_cause(hearing, index, cause, moment_ms);
    } else {
        drop_pending(turn, turn->binding->number[index], cause->cart);
        decide_offer(hearing, index, cause, RFM_NOT_DEFERRED);
    }
}

static uint32_t cart_of(const rfm_event *event)
{
    if (event->cart_id.len == 0)
        return 0;
    uint32_t cart = (uint32_t)rfm_hash64(event->cart_id);
    return cart == 0 ? 1 : cart;
}

static bool cancels(const rfm_rule *rule, const rfm_event *event, uint32_t cart, const rfm_cause *cause)
{
    bool same_cart = cart == 0 || cause->cart == 0 || cart == cause->cart;
    return (rule->cancel_on >> event->type & 1) && event->time_ms >= cause->time_ms && same_cart;
}

static bool taken_before(const rfm_taken *a, const rfm_taken *b)
{
    if (a->rule != b->rule)
        return a->rule < b->rule;
    if (a->pending.due_ms != b->pending.due_ms)
        return a->pending.due_ms < b->pending.due_ms;
    if (a->pending.cause.time_ms != b->pending.cause.time_ms)
        return a->pending.cause.time_ms < b->pending.cause.time_ms;
    return a->pending.cause.cart < b->pending.cause.cart;
}

/* Takes out what the event cancels, in the order of rules. */
static size_t take_cancelled(rfm_turn *turn, const rfm_event *event, rfm_taken taken[RFM_PENDING_MAX])
{
    size_t count = 0;
    uint32_t cart = turn->slots.pending_count > 0 ? cart_of(event) : 0;
    for (size_t i = turn->slots.pending_count; i-- > 0;) {
        rfm_pending *pending = &turn->slots.pending[i];
        rfm_taken one = {(size_t)rfm__binding_rule(turn->binding, pending->rule), *pending};
        if (!cancels(&turn->rules->rule[one.rule], event, cart, &pending->cause))
            continue;
        rfm__slots_drop(&turn->slots, pending);
        turn->changed = true;
        size_t at = count++;
        for (; at > 0 && taken_before(&one, &taken[at - 1]); at--)
            taken[at] = taken[at - 1];
        taken[at] = one;
    }
    return count;
}

/* The first in the order of rules that is due; NULL: none. */
static rfm_pending *find_due(rfm_turn *turn, int64_t due_ms, rfm_taken *first)
{
    rfm_pending *found = NULL;
    for (size_t i = 0; i < turn->slots.pending_count; i++) {
        rfm_pending *pending = &turn->slots.pending[i];
        rfm_taken one = {(size_t)rfm__binding_rule(turn->binding, pending->rule), *pending};
        if (pending->due_ms > due_ms || (found != NULL && !taken_before(&one, first)))
            continue;
        found = pending;
        *first = one;
    }
    return found;
}

static bool too_old(const rfm_rules *rules, const rfm_moment *moment)
{
    int64_t age_ms;
    return !__builtin_sub_overflow(moment->moment_ms, moment->event->time_ms, &age_ms) &&
           age_ms > rules->max_trigger_age_ms;
}

static void decide_causes(rfm_hearing *hearing, rfm_rule_set *causes)
{
    const rfm_moment *moment = hearing->moment;
    const rfm_event *event = moment->event;
    if (rfm__rule_set_empty(causes) || moment->now_ms < hearing->turn.rules->silent_until_ms)
        return;
    bool drop = too_old(hearing->turn.rules, moment);
    rfm_cause cause = {.code = (uint8_t)(event->type + 1),
                       .cart = cart_of(event),
                       .time_ms = event->time_ms,
                       .id = event->id,
                       .event = event};
    if (!drop) {
        see(hearing, &cause);
        rfm__sight_sift(&hearing->sight, causes);
    }
    for (int i = rfm__rule_set_next(causes, 0); i != RFM_RULE_NONE; i = rfm__rule_set_next(causes, (size_t)i + 1)) {
        if (drop)
            hearing->decisions->too_old++;
        else
            decide_cause(hearing, (size_t)i, &cause, moment->moment_ms);
    }
}

static void decide_event(rfm_hearing *hearing)
{
    const rfm_moment *moment = hearing->moment;
    rfm_taken taken[RFM_PENDING_MAX];
    rfm_rule_set causes;
    rfm__exposures_of_event(&hearing->turn, moment->event, moment->bought);
    size_t count = take_cancelled(&hearing->turn, moment->event, taken);
    rfm__causes_of_event(&hearing->turn, moment, &causes);
    for (size_t i = 0; i < count; i++)
        add_decision(hearing, taken[i].rule, &taken[i].pending.cause, RFM_SUPPRESSED_CANCELLED);
    rfm__sight_turn_to(&hearing->sight, NULL);
    decide_causes(hearing, &causes);
    hearing->decisions->look_ms = rfm__next_moment(&hearing->turn, moment->review_ms);
}

/* What is due and what comes about at one instant, in the order of rules. What is due keeps its place until it is its
 * turn: quiet hours may put it off again. */
static void decide_instant(rfm_hearing *hearing, int64_t at_ms, int64_t until_ms, bool review)
{
    int64_t now_ms = hearing->moment->now_ms;
    rfm_turn *turn = &hearing->turn;
    rfm_taken due;
    rfm_rule_set causes;
    rfm_cause cause = {.code = RFM_CAUSE_TIMER, .time_ms = at_ms};
    rfm__sight_turn_to(turn->sight, NULL);
    rfm__exposures_end(turn, at_ms);
    rfm__causes_of_instant(turn, at_ms, now_ms, until_ms, review, &causes);
    if (now_ms < turn->rules->silent_until_ms)
        memset(&causes, 0, sizeof causes);
    rfm__sight_turn_to(turn->sight, NULL); /* marks have moved */
    int rule = rfm__rule_set_next(&causes, 0);
    for (;;) {
        rfm_pending *pending = find_due(turn, at_ms, &due);
        if (pending != NULL && (rule == RFM_RULE_NONE || due.rule <= (size_t)rule)) {
            rfm__slots_drop(&turn->slots, pending);
            turn->changed = true;
            decide_due(hearing, &due);
        } else if (rule != RFM_RULE_NONE) {
            decide_cause(hearing, (size_t)rule, &cause, at_ms);
            rule = rfm__rule_set_next(&causes, (size_t)rule + 1);
        } else {
            return;
        }
    }
}

/* Moments that were missed come one by one, so that each has the cause that it would have had in time. */
static void decide_look(rfm_hearing *hearing)
{
    const rfm_moment *moment = hearing->moment;
    rfm_turn *turn = &hearing->turn;
    int64_t until_ms = moment->review_ms > moment->moment_ms ? moment->review_ms : moment->moment_ms + 1;
    bool review = moment->is_review && (turn->binding->population || turn->binding->named_count > 0);
    if (rfm__marks_stale(
            turn)) /* as a second before: what comes about at this very moment is not the new version's doing */
        rfm__marks_renew(turn, moment->moment_ms - RFM_SECOND_MS, moment->now_ms);
    if (moment->is_review && turn->slots.recent_count > 0)
        rfm__caps_prune(turn, moment->now_ms);
    if (moment->is_review)
        rfm__exposures_prune(turn, moment->now_ms);
    int64_t last_ms = INT64_MIN, next_ms;
    while ((next_ms = rfm__next_moment(turn, until_ms)) <= moment->moment_ms && next_ms > last_ms) {
        if (hearing->decisions->size - hearing->decisions->count < ROOM_PER_INSTANT)
            break;
        bool now = next_ms == moment->moment_ms;
        decide_instant(hearing, next_ms, until_ms, now && review);
        review = review && !now;
        last_ms = next_ms;
    }
    if (review) {
        decide_instant(hearing, moment->moment_ms, until_ms, true);
        next_ms = rfm__next_moment(turn, until_ms);
    }
    hearing->decisions->look_ms = next_ms == last_ms ? INT64_MAX : next_ms;
}

void rfm_decide(const rfm_rules *rules, const rfm_binding *binding, const rfm_client_conf *conf, rfm_names *names,
                rfm_client *client, const rfm_moment *moment, rfm_decisions *decisions)
{
    rfm_hearing hearing;
    decisions->count = 0;
    decisions->too_old = 0;
    hearing.moment = moment;
    hearing.decisions = decisions;
    hearing.kept_count = 0;
    if (decisions->data != NULL)
        rfm_buffer_clear(decisions->data);
    open_turn(&hearing.turn, rules, binding, conf, names, client, moment->edges, decisions->tally, &hearing.sight);
    rfm__sight_open(&hearing.sight, &hearing.turn, moment->client_id, moment->now_ms);
    if (moment->event != NULL)
        decide_event(&hearing);
    else
        decide_look(&hearing);
    place_data(decisions);
    close_turn(&hearing.turn);
}

void rfm_decide_renew(const rfm_rules *rules, const rfm_binding *binding, const rfm_client_conf *conf,
                      const rfm_names *names, rfm_client *client, rfm_bytes client_id, const rfm_edges *edges,
                      int64_t now_ms, rfm_tally *tally)
{
    rfm_turn turn;
    rfm_sight sight;
    if (!client->marks.taken || client->marks.version == binding->version)
        return;
    open_turn(&turn, rules, binding, conf, names, client, edges, tally, &sight);
    rfm__sight_open(&sight, &turn, client_id, now_ms);
    rfm__marks_renew(&turn, now_ms, now_ms);
    close_turn(&turn);
}
