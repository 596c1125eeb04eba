#include "cap.h"

static bool matches(const rfm_cap *cap, const rfm_cap_numbers *numbers, const rfm_recent *recent)
{
    return (!cap->has_class || cap->class_ == recent->class_) &&
           (numbers->channel == RFM_NUMBER_NONE || numbers->channel == recent->channel) &&
           (numbers->rule == RFM_NUMBER_NONE || numbers->rule == recent->rule);
}

/* Also what lies after now_ms, where another machine's clock was ahead of ours. */
static bool is_within(const rfm_cap *cap, const rfm_recent *recent, int64_t now_ms)
{
    return recent->time_ms > now_ms - cap->per_ms;
}

static rfm_recent recent_of(const rfm_turn *turn, const rfm_send *send, int64_t now_ms)
{
    return (rfm_recent){.time_ms = now_ms,
                        .rule = turn->binding->number[send->rule],
                        .channel = send->channel,
                        .class_ = turn->rules->rule[send->rule].class_};
}

static uint32_t count_within(const rfm_turn *turn, size_t cap, int64_t now_ms)
{
    uint32_t count = 0;
    for (size_t i = 0; i < turn->slots.recent_count; i++) {
        const rfm_recent *recent = &turn->slots.recent[i];
        count += matches(&turn->rules->cap[cap], &turn->binding->cap[cap], recent) &&
                 is_within(&turn->rules->cap[cap], recent, now_ms);
    }
    return count;
}

bool rfm__is_capped(const rfm_turn *turn, const rfm_send *send, int64_t now_ms)
{
    rfm_recent candidate = recent_of(turn, send, now_ms);
    for (size_t i = 0; i < turn->rules->cap_count; i++) {
        const rfm_cap *cap = &turn->rules->cap[i];
        if (matches(cap, &turn->binding->cap[i], &candidate) && count_within(turn, i, now_ms) >= cap->max)
            return true;
    }
    return false;
}

static bool is_counted(const rfm_turn *turn, const rfm_recent *recent)
{
    for (size_t i = 0; i < turn->rules->cap_count; i++) {
        if (matches(&turn->rules->cap[i], &turn->binding->cap[i], recent))
            return true;
    }
    return false;
}

/* Does a cap still need this one, of which it has seen so many newer ones? */
static bool is_needed(const rfm_turn *turn, const rfm_recent *recent, int64_t now_ms, uint32_t newer[RFM_CAPS_MAX])
{
    bool needed = false;
    for (size_t i = 0; i < turn->rules->cap_count; i++) {
        const rfm_cap *cap = &turn->rules->cap[i];
        if (matches(cap, &turn->binding->cap[i], recent) && is_within(cap, recent, now_ms))
            needed = newer[i]++ < cap->max || needed;
    }
    return needed;
}

void rfm__caps_prune(rfm_turn *turn, int64_t now_ms)
{
    uint32_t newer[RFM_CAPS_MAX] = {0};
    for (size_t i = turn->slots.recent_count; i-- > 0;) {
        if (is_needed(turn, &turn->slots.recent[i], now_ms, newer))
            continue;
        rfm__slots_forget_recent(&turn->slots, i);
        turn->changed = true;
    }
}

bool rfm__caps_make_room(rfm_turn *turn, const rfm_send *send, int64_t now_ms)
{
    rfm_recent recent = recent_of(turn, send, now_ms);
    if (!is_counted(turn, &recent))
        return true;
    rfm__caps_prune(turn, now_ms);
    if (turn->slots.recent_count < RFM_RECENT_MAX)
        return true;
    if (recent.class_ == RFM_CLASS_MARKETING)
        return false;
    rfm__slots_forget_recent(&turn->slots, 0);
    return true;
}

void rfm__caps_note(rfm_turn *turn, const rfm_send *send, int64_t now_ms)
{
    rfm_recent recent = recent_of(turn, send, now_ms);
    if (!is_counted(turn, &recent))
        return;
    bool noted = rfm__slots_note_recent(&turn->slots, &recent);
    RFM_ASSERT(noted);
    turn->changed = true;
}
