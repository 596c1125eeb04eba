#include <rfm/rule/decide.h>

#include "cause.h"
#include "trigger.h"

#include <inttypes.h>
#include <rfm/base/hash.h>
#include <rfm/base/time.h>
#include <stdio.h>

/* A decision waits for the next look if so few more would fit: what one instant can cause. */
enum { ROOM_PER_INSTANT = RFM_RULES_MAX + RFM_PENDING_MAX };

typedef struct rfm_hearing {
    rfm_turn turn;
    const rfm_moment *moment;
    rfm_decisions *decisions;
} rfm_hearing;

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
    for (size_t i = slots->pending_count; i-- > 0;) {
        if (rfm__binding_rule(turn->binding, slots->pending[i].rule) == RFM_RULE_NONE) {
            rfm__slots_drop(slots, &slots->pending[i]);
            turn->changed = true;
        }
    }
}

static void open_turn(rfm_turn *turn, const rfm_rules *rules, const rfm_binding *binding, const rfm_client_conf *conf,
                      rfm_client *client, const rfm_edges *edges)
{
    turn->rules = rules, turn->binding = binding, turn->conf = conf, turn->client = client, turn->edges = edges;
    turn->changed = turn->ratio_known = false;
    memset(&turn->holding, 0, sizeof turn->holding);
    int code = rfm__slots_decode(rfm_bytes_of(client->slots, client->slots_len), &turn->slots);
    RFM_ASSERT(code == 0);
    for (size_t i = 0; i < turn->slots.holding_count; i++) {
        int rule = rfm__binding_rule(binding, turn->slots.holding[i]);
        if (rule == RFM_RULE_NONE)
            turn->changed = true;
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
    size_t len = rfm__slots_encode(slots, packed);
    memcpy(turn->client->slots, packed, len);
    turn->client->slots_len = (uint16_t)len;
}

static size_t cause_text(const rfm_cause *cause, char text[RFM_CAUSE_BYTES_MAX])
{
    if (cause->code == RFM_CAUSE_TIMER)
        return (size_t)snprintf(text, RFM_CAUSE_BYTES_MAX, "due:%" PRId64, cause->time_ms);
    rfm_buffer buffer = rfm_buffer_over(text, RFM_CAUSE_BYTES_MAX);
    rfm_write_text(&buffer, rfm_event_type_name((rfm_event_type)(cause->code - 1)));
    rfm_write_u8(&buffer, 0x1f);
    rfm_write_bytes(&buffer, cause->id);
    RFM_ASSERT(!buffer.bad);
    return buffer.len;
}

static void make_id(rfm_decision *decision, rfm_bytes client_id)
{
    uint8_t text[RFM_IDENTITY_BYTES_MAX];
    rfm_buffer identity = rfm_buffer_over(text, sizeof text);
    rfm__decision_identity(&identity, decision, client_id);
    rfm_hash128(rfm_buffer_view(&identity), decision->id);
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
    decision->cause_len = (uint16_t)cause_text(cause, decision->cause);
    make_id(decision, hearing->moment->client_id);
    decision->channel = UINT8_MAX;
    decision->segment = rfm__binding_segment(turn->binding, turn->conf, turn->client->marks.segment);
    decision->lifecycle = turn->client->marks.lifecycle;
    decision->time_ms = hearing->moment->now_ms;
    return decision;
}

static bool consents(const rfm_client *client, uint16_t channel, rfm_class class_)
{
    rfm_permission permission = rfm_client_permission(client, channel, class_);
    return class_ == RFM_CLASS_MARKETING ? permission == RFM_PERMISSION_GRANTED : permission != RFM_PERMISSION_REFUSED;
}

/* The first channel that consent allows and that does not bounce, as an index; UINT8_MAX: the rule has none. */
static rfm_suppression choose_channel(const rfm_turn *turn, size_t index, uint8_t *channel)
{
    const rfm_rule *rule = &turn->rules->rule[index];
    rfm_suppression why_not = RFM_SUPPRESSED_CONSENT;
    *channel = UINT8_MAX;
    if (rule->channel_count == 0)
        return RFM_SENT;
    for (uint8_t i = 0; i < rule->channel_count; i++) {
        uint16_t number = turn->binding->channel[index][i];
        if (!consents(turn->client, number, rule->class_))
            continue;
        if (!rfm_client_bounces(turn->client, number)) {
            *channel = i;
            return RFM_SENT;
        }
        why_not = RFM_SUPPRESSED_NO_CHANNEL;
    }
    return why_not;
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
    rfm_remembered *sent = rfm__slots_remember(&turn->slots, turn->binding->number[rule]);
    if (sent == NULL && forget_oldest(turn, now_ms))
        sent = rfm__slots_remember(&turn->slots, turn->binding->number[rule]);
    return sent;
}

/* Steps 4 and 8 of deciding: the channel, the send. */
static void send_trigger(rfm_hearing *hearing, size_t index, const rfm_cause *cause)
{
    rfm_turn *turn = &hearing->turn;
    const rfm_rule *rule = &turn->rules->rule[index];
    uint8_t channel;
    rfm_suppression why_not = choose_channel(turn, index, &channel);
    if (why_not != RFM_SENT) {
        add_decision(hearing, index, cause, why_not);
        return;
    }
    rfm_remembered *sent = remember(turn, index, hearing->moment->now_ms);
    if (sent == NULL && (rule->once || rule->cooldown_ms > 0)) {
        add_decision(hearing, index, cause, RFM_SUPPRESSED_SLOTS_FULL);
        return;
    }
    rfm_decision *decision = add_decision(hearing, index, cause, RFM_SENT);
    decision->channel = channel;
    if (sent == NULL)
        return;
    sent->time_ms = decision->time_ms;
    sent->has_id = true;
    memcpy(sent->id, decision->id, sizeof sent->id);
    turn->changed = true;
}

static void defer(rfm_hearing *hearing, size_t index, const rfm_cause *cause, int64_t moment_ms)
{
    rfm_turn *turn = &hearing->turn;
    rfm_pending pending = {.rule = turn->binding->number[index], .cause = *cause};
    if (__builtin_add_overflow(moment_ms, turn->rules->rule[index].delay_ms, &pending.due_ms))
        pending.due_ms = INT64_MAX;
    if (rfm__slots_defer(&turn->slots, &pending))
        turn->changed = true;
    else
        add_decision(hearing, index, cause, RFM_SUPPRESSED_SLOTS_FULL);
}

/* Steps 2 and 3: once, cooldown, pending; delay. */
static void decide_cause(rfm_hearing *hearing, size_t index, const rfm_cause *cause, int64_t moment_ms)
{
    rfm_turn *turn = &hearing->turn;
    const rfm_rule *rule = &turn->rules->rule[index];
    uint16_t number = turn->binding->number[index];
    const rfm_remembered *sent = rfm__slots_sent(&turn->slots, number);
    if (number == RFM_NUMBER_NONE)
        add_decision(hearing, index, cause, RFM_SUPPRESSED_SLOTS_FULL);
    else if (sent != NULL && rule->once)
        add_decision(hearing, index, cause, RFM_SUPPRESSED_ONCE);
    else if (sent != NULL && cooling(rule, sent, hearing->moment->now_ms))
        add_decision(hearing, index, cause, RFM_SUPPRESSED_COOLDOWN);
    else if (!rule->restart && rfm__slots_pending(&turn->slots, number, cause->cart) != NULL)
        add_decision(hearing, index, cause, RFM_SUPPRESSED_PENDING);
    else if (rule->delay_ms > 0)
        defer(hearing, index, cause, moment_ms);
    else
        send_trigger(hearing, index, cause);
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
    return a->pending.cause.cart < b->pending.cause.cart;
}

/* Takes out what the event cancels, or, without an event, what is due; in the order of rules. */
static size_t take_pending(rfm_turn *turn, const rfm_event *event, int64_t due_ms, rfm_taken taken[RFM_PENDING_MAX])
{
    size_t count = 0;
    uint32_t cart = event != NULL && turn->slots.pending_count > 0 ? cart_of(event) : 0;
    for (size_t i = turn->slots.pending_count; i-- > 0;) {
        rfm_pending *pending = &turn->slots.pending[i];
        rfm_taken one = {(size_t)rfm__binding_rule(turn->binding, pending->rule), *pending};
        const rfm_rule *rule = &turn->rules->rule[one.rule];
        if (event != NULL ? !cancels(rule, event, cart, &pending->cause) : pending->due_ms > due_ms)
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

static bool too_old(const rfm_rules *rules, const rfm_moment *moment)
{
    int64_t age_ms;
    return !__builtin_sub_overflow(moment->moment_ms, moment->event->time_ms, &age_ms) &&
           age_ms > rules->max_trigger_age_ms;
}

static void decide_causes(rfm_hearing *hearing, const rfm_rule_set *causes)
{
    const rfm_moment *moment = hearing->moment;
    const rfm_event *event = moment->event;
    if (rfm__rule_set_empty(causes) || moment->now_ms < hearing->turn.rules->silent_until_ms)
        return;
    bool drop = too_old(hearing->turn.rules, moment);
    rfm_cause cause = {(uint8_t)(event->type + 1), cart_of(event), event->time_ms, event->id};
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
    size_t count = take_pending(&hearing->turn, moment->event, 0, taken);
    rfm__causes_of_event(&hearing->turn, moment->event, moment->bought, moment->now_ms, &causes);
    for (size_t i = 0; i < count; i++)
        add_decision(hearing, taken[i].rule, &taken[i].pending.cause, RFM_SUPPRESSED_CANCELLED);
    decide_causes(hearing, &causes);
    hearing->decisions->look_ms = rfm__next_moment(&hearing->turn, moment->review_ms);
}

/* What is due and what comes about at one instant, in the order of rules. */
static void decide_instant(rfm_hearing *hearing, int64_t at_ms, int64_t until_ms, bool review)
{
    int64_t now_ms = hearing->moment->now_ms;
    rfm_taken taken[RFM_PENDING_MAX];
    rfm_rule_set causes;
    rfm_cause cause = {.code = RFM_CAUSE_TIMER, .time_ms = at_ms};
    size_t count = take_pending(&hearing->turn, NULL, at_ms, taken), i = 0;
    rfm__causes_of_instant(&hearing->turn, at_ms, now_ms, until_ms, review, &causes);
    if (now_ms < hearing->turn.rules->silent_until_ms)
        memset(&causes, 0, sizeof causes);
    int rule = rfm__rule_set_next(&causes, 0);
    while (i < count || rule != RFM_RULE_NONE) {
        if (i < count && (rule == RFM_RULE_NONE || taken[i].rule <= (size_t)rule)) {
            send_trigger(hearing, taken[i].rule, &taken[i].pending.cause);
            i++;
        } else {
            decide_cause(hearing, (size_t)rule, &cause, at_ms);
            rule = rfm__rule_set_next(&causes, (size_t)rule + 1);
        }
    }
}

/* Moments that were missed come one by one, so that each has the cause that it would have had in time. */
static void decide_look(rfm_hearing *hearing)
{
    const rfm_moment *moment = hearing->moment;
    rfm_turn *turn = &hearing->turn;
    int64_t until_ms = moment->review_ms > moment->moment_ms ? moment->review_ms : moment->moment_ms + 1;
    bool review = moment->is_review && turn->binding->population;
    if (rfm__marks_stale(
            turn)) /* as a second before: what comes about at this very moment is not the new version's doing */
        rfm__marks_renew(turn, moment->moment_ms - RFM_SECOND_MS, moment->now_ms);
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
    (void)names; /* the binding knows all that are needed */
    decisions->count = 0;
    decisions->too_old = 0;
    hearing.moment = moment;
    hearing.decisions = decisions;
    open_turn(&hearing.turn, rules, binding, conf, client, moment->edges);
    if (moment->event != NULL)
        decide_event(&hearing);
    else
        decide_look(&hearing);
    close_turn(&hearing.turn);
}

void rfm_decide_renew(const rfm_rules *rules, const rfm_binding *binding, const rfm_client_conf *conf,
                      rfm_client *client, const rfm_edges *edges, int64_t now_ms)
{
    rfm_turn turn;
    if (!client->marks.taken || client->marks.version == binding->version)
        return;
    open_turn(&turn, rules, binding, conf, client, edges);
    rfm__marks_renew(&turn, now_ms, now_ms);
    close_turn(&turn);
}
