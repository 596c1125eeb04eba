#include "exposure.h"

#include "experiment.h"

#include <rfm/base/time.h>
#include <rfm/client/kpi.h>

#define LATENESS_MS (RFM_LATENESS_DAYS * RFM_DAY_MS)

/* What a client is worth to an arm. */
typedef struct rfm_worth {
    int64_t orders, revenue_minor;
} rfm_worth;

static int64_t end_ms(const rfm_exposure *exposure)
{
    return exposure->time_ms + exposure->window_ms;
}

static bool counts(const rfm_exposure *exposure, const rfm_bought *bought)
{
    return exposure->state != RFM_EXPOSURE_SETTLED && bought->time_ms > exposure->time_ms &&
           bought->time_ms <= end_ms(exposure);
}

/* Saturated, as that of a client who has bought for more than there is. */
static int64_t sum_of(int64_t a_minor, int64_t b_minor)
{
    int64_t sum;
    return __builtin_add_overflow(a_minor, b_minor, &sum) ? INT64_MAX : sum;
}

static rfm_worth worth_of(const rfm_slots *slots, const rfm_exposure *exposure)
{
    rfm_worth worth = {exposure->orders, exposure->revenue_minor};
    for (size_t i = 0; i < slots->bought_count; i++) {
        const rfm_bought *bought = &slots->bought[i];
        if (!counts(exposure, bought))
            continue;
        worth.orders += bought->left_minor > 0;
        worth.revenue_minor = sum_of(worth.revenue_minor, bought->left_minor);
    }
    return worth;
}

static void add(rfm_turn *turn, const rfm_exposure *exposure, rfm_kpi_metric metric, int64_t amount)
{
    rfm_cell cell = {(char)metric, (int32_t)exposure->salt, exposure->arm, exposure->rule};
    if (turn->tally != NULL)
        rfm_tally_add(turn->tally, cell, amount);
}

/* The square in two parts, each of which can be added up for many clients. */
static void add_worth(rfm_turn *turn, const rfm_exposure *exposure, const rfm_worth *worth, int64_t sign)
{
    uint64_t root = (uint64_t)(worth->revenue_minor < RFM_KPI_SQUARED_MAX ? worth->revenue_minor : RFM_KPI_SQUARED_MAX);
    unsigned __int128 square = (unsigned __int128)root * root;
    add(turn, exposure, RFM_KPI_CONVERTED, worth->orders > 0 ? sign : 0);
    add(turn, exposure, RFM_KPI_ARM_ORDERS, sign * worth->orders);
    add(turn, exposure, RFM_KPI_ARM_REVENUE, sign * worth->revenue_minor);
    add(turn, exposure, RFM_KPI_SQUARES_LOW, sign * (int64_t)(square & UINT32_MAX));
    add(turn, exposure, RFM_KPI_SQUARES_HIGH, sign * (int64_t)(square >> 32));
}

static void attribute(rfm_turn *turn, uint16_t rule, int64_t orders, int64_t revenue_minor)
{
    if (turn->tally == NULL || rule == RFM_NUMBER_NONE)
        return;
    rfm_tally_add(turn->tally, (rfm_cell){RFM_KPI_ATTRIBUTED_ORDERS, 0, 0, rule}, orders);
    rfm_tally_add(turn->tally, (rfm_cell){RFM_KPI_ATTRIBUTED, 0, 0, rule}, revenue_minor);
}

/* Of sends at one moment the one that was decided last. */
static uint16_t last_sent(const rfm_turn *turn, int64_t time_ms)
{
    int found = RFM_RULE_NONE;
    int64_t found_ms = INT64_MIN;
    for (size_t i = 0; i < turn->slots.sent_count; i++) {
        const rfm_remembered *sent = &turn->slots.sent[i];
        int rule = rfm__binding_rule(turn->binding, sent->rule);
        if (rule == RFM_RULE_NONE || sent->is_virtual || sent->time_ms >= time_ms)
            continue;
        int64_t window_ms = rfm_rule_attribution_ms(&turn->rules->rule[rule]);
        bool later = sent->time_ms > found_ms || (sent->time_ms == found_ms && rule > found);
        if (window_ms > 0 && time_ms - sent->time_ms <= window_ms && later)
            found = rule, found_ms = sent->time_ms;
    }
    return found == RFM_RULE_NONE ? RFM_NUMBER_NONE : turn->binding->number[found];
}

static bool counts_for_any(const rfm_slots *slots, const rfm_bought *bought)
{
    for (size_t i = 0; i < slots->exposure_count; i++) {
        if (counts(&slots->exposure[i], bought))
            return true;
    }
    return false;
}

static bool is_same(const rfm_bought *bought, uint64_t id39, int64_t time_ms)
{
    return bought->id39 == id39 &&
           rfm_div_floor(bought->time_ms, RFM_SECOND_MS) == rfm_div_floor(time_ms, RFM_SECOND_MS);
}

/* NULL: it has left the client's window of orders. */
static const rfm_order *order_of(const rfm_client *client, const rfm_bought *bought)
{
    for (size_t i = 0; i < client->order_count; i++) {
        const rfm_order *order = &client->order[i];
        if (!order->waiting && is_same(bought, order->id39, order->time_ms))
            return order;
    }
    return NULL;
}

/* No refund can reach it any more. */
static void fold(rfm_slots *slots, size_t i)
{
    const rfm_bought *bought = &slots->bought[i];
    for (size_t k = 0; k < slots->exposure_count; k++) {
        rfm_exposure *exposure = &slots->exposure[k];
        if (!counts(exposure, bought))
            continue;
        exposure->orders += bought->left_minor > 0 && exposure->orders < UINT32_MAX;
        exposure->revenue_minor = sum_of(exposure->revenue_minor, bought->left_minor);
    }
    rfm__slots_forget_bought(slots, i);
}

/* What refunds have left of purchases. */
static void follow_orders(rfm_turn *turn)
{
    rfm_slots *slots = &turn->slots;
    for (size_t i = slots->bought_count; i-- > 0;) {
        rfm_bought *bought = &slots->bought[i];
        const rfm_order *order = order_of(turn->client, bought);
        if (order == NULL) {
            fold(slots, i);
            turn->changed = true;
        } else if (order->left_minor != bought->left_minor) {
            attribute(turn, bought->rule, (order->left_minor > 0) - (bought->left_minor > 0),
                      order->left_minor - bought->left_minor);
            bought->left_minor = order->left_minor;
            turn->changed = true;
        }
    }
}

/* Each is in the client's window of orders, which has no more: there is room, if the state is as we left it. */
static void note(rfm_turn *turn, const rfm_bought *bought)
{
    if (turn->slots.bought_count == RFM_BOUGHT_MAX)
        fold(&turn->slots, 0);
    turn->slots.bought[turn->slots.bought_count++] = *bought;
    turn->changed = true;
}

static void note_purchase(rfm_turn *turn, const rfm_event *event)
{
    rfm_bought bought = {rfm_id39(event->order_id48), event->time_ms, 0, last_sent(turn, event->time_ms)};
    const rfm_order *order = order_of(turn->client, &bought);
    RFM_ASSERT(order != NULL);
    bought.left_minor = order->left_minor;
    if (bought.rule == RFM_NUMBER_NONE && !counts_for_any(&turn->slots, &bought))
        return;
    attribute(turn, bought.rule, bought.left_minor > 0, bought.left_minor);
    note(turn, &bought);
}

void rfm__exposures_of_event(rfm_turn *turn, const rfm_event *event, bool bought)
{
    rfm_slots *slots = &turn->slots;
    rfm_worth before[RFM_EXPOSURES_MAX];
    if (event->type != RFM_EVENT_PURCHASE && event->type != RFM_EVENT_REFUND)
        return;
    for (size_t i = 0; i < slots->exposure_count; i++)
        before[i] = worth_of(slots, &slots->exposure[i]);
    follow_orders(turn);
    if (bought)
        note_purchase(turn, event);
    for (size_t i = 0; i < slots->exposure_count; i++) {
        rfm_worth after = worth_of(slots, &slots->exposure[i]);
        bool same = before[i].orders == after.orders && before[i].revenue_minor == after.revenue_minor;
        if (same || slots->exposure[i].state != RFM_EXPOSURE_ENDED)
            continue;
        add_worth(turn, &slots->exposure[i], &before[i], -1);
        add_worth(turn, &slots->exposure[i], &after, 1);
    }
}

/* Purchases whose time lies after the exposure although they came before it: of these the second is known. */
static void note_early(rfm_turn *turn, const rfm_exposure *exposure)
{
    const rfm_client *client = turn->client;
    for (size_t i = 0; i < client->order_count; i++) {
        const rfm_order *order = &client->order[i];
        rfm_bought bought = {order->id39, order->time_ms, order->left_minor, RFM_NUMBER_NONE};
        bool known = order->waiting || order->left_minor == 0 || !counts(exposure, &bought);
        for (size_t k = 0; k < turn->slots.bought_count; k++)
            known = known || is_same(&turn->slots.bought[k], order->id39, order->time_ms);
        if (!known)
            note(turn, &bought);
    }
}

void rfm__expose(rfm_turn *turn, size_t rule, int arm, int64_t now_ms)
{
    uint16_t number = turn->binding->number[rule], arm_number = turn->binding->arm[rule][arm + 1];
    uint32_t salt = turn->binding->salt[rule];
    if (number == RFM_NUMBER_NONE || arm_number == RFM_NUMBER_NONE ||
        rfm__slots_exposure(&turn->slots, number, salt) != NULL)
        return;
    rfm_exposure *exposure = rfm__slots_expose(&turn->slots, number, salt);
    if (exposure == NULL)
        return;
    exposure->arm = arm_number;
    exposure->time_ms = now_ms;
    exposure->window_ms = rfm_rule_attribution_ms(&turn->rules->rule[rule]);
    turn->changed = true;
    add(turn, exposure, RFM_KPI_EXPOSED, 1);
    note_early(turn, exposure);
}

int64_t rfm__exposures_moment(const rfm_turn *turn)
{
    int64_t next_ms = INT64_MAX;
    for (size_t i = 0; i < turn->slots.exposure_count; i++) {
        const rfm_exposure *exposure = &turn->slots.exposure[i];
        if (exposure->state == RFM_EXPOSURE_OPEN && end_ms(exposure) < next_ms)
            next_ms = end_ms(exposure);
    }
    return next_ms;
}

void rfm__exposures_end(rfm_turn *turn, int64_t at_ms)
{
    for (size_t i = 0; i < turn->slots.exposure_count; i++) {
        rfm_exposure *exposure = &turn->slots.exposure[i];
        if (exposure->state != RFM_EXPOSURE_OPEN || end_ms(exposure) > at_ms)
            continue;
        rfm_worth worth = worth_of(&turn->slots, exposure);
        exposure->state = RFM_EXPOSURE_ENDED;
        turn->changed = true;
        add(turn, exposure, RFM_KPI_ENDED, 1);
        add_worth(turn, exposure, &worth, 1);
    }
}

/* The client would be exposed to it anew if it were forgotten. */
static bool is_current(const rfm_turn *turn, const rfm_exposure *exposure)
{
    int rule = rfm__binding_rule(turn->binding, exposure->rule);
    return rule != RFM_RULE_NONE && turn->rules->rule[rule].experiment.given &&
           turn->binding->salt[rule] == exposure->salt;
}

void rfm__exposures_prune(rfm_turn *turn, int64_t now_ms)
{
    rfm_slots *slots = &turn->slots;
    for (size_t i = slots->exposure_count; i-- > 0;) {
        rfm_exposure *exposure = &slots->exposure[i];
        if (exposure->state == RFM_EXPOSURE_ENDED && now_ms - end_ms(exposure) > LATENESS_MS) {
            *exposure = (rfm_exposure){.rule = exposure->rule, .salt = exposure->salt, .state = RFM_EXPOSURE_SETTLED};
            turn->changed = true;
        }
        if (exposure->state == RFM_EXPOSURE_SETTLED && !is_current(turn, exposure)) {
            rfm__slots_forget_exposure(slots, i);
            turn->changed = true;
        }
    }
    for (size_t i = slots->bought_count; i-- > 0;) {
        const rfm_bought *bought = &slots->bought[i];
        if (now_ms - bought->time_ms > LATENESS_MS && !counts_for_any(slots, bought)) {
            rfm__slots_forget_bought(slots, i);
            turn->changed = true;
        }
    }
}
