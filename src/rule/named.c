#include "named.h"

#include <rfm/client/kpi.h>
#include <stdio.h>

enum { PREFIX_LEN = sizeof RFM_KPI_NAMED_PREFIX - 1 };
_Static_assert(PREFIX_LEN + RFM_NAMED_BYTES_MAX - 1 <= RFM_NAME_BYTES_MAX, "names are not cut");

static bool is_named(const rfm_names *names, uint16_t number)
{
    rfm_bytes text = rfm_names_text(names, number);
    return text.len > PREFIX_LEN && memcmp(text.at, RFM_KPI_NAMED_PREFIX, PREFIX_LEN) == 0;
}

static void count(rfm_tally *tally, uint16_t number, uint16_t source, int64_t clients)
{
    rfm_tally_add(tally, (rfm_cell){RFM_KPI_NAMED, 0, number, source}, clients);
}

uint16_t rfm__named_number(const rfm_named *named, rfm_names *names)
{
    char text[PREFIX_LEN + RFM_NAMED_BYTES_MAX];
    snprintf(text, sizeof text, "%s%s", RFM_KPI_NAMED_PREFIX, named->name);
    uint16_t number = rfm_names_own(names, rfm_text(text));
    return is_named(names, number) ? number : RFM_NUMBER_NONE;
}

void rfm__named_take(rfm_turn *turn, uint16_t number)
{
    const rfm_binding *binding = turn->binding;
    for (size_t i = 0; i < binding->named_count; i++) {
        if (binding->named_number[i] == number) {
            turn->inside |= UINT64_C(1) << i;
            return;
        }
    }
    turn->changed = true;
    if (turn->tally != NULL && is_named(turn->names, number))
        count(turn->tally, number, turn->client->source, -1);
}

void rfm__named_move(rfm_turn *turn, uint64_t inside)
{
    uint64_t moved = inside ^ turn->inside;
    for (; moved != 0; moved &= moved - 1) {
        size_t i = (size_t)__builtin_ctzll(moved);
        uint16_t number = turn->binding->named_number[i];
        if (number == RFM_NUMBER_NONE)
            continue;
        turn->inside ^= UINT64_C(1) << i;
        turn->changed = true;
        if (turn->tally != NULL)
            count(turn->tally, number, turn->client->source, inside >> i & 1 ? 1 : -1);
    }
}

void rfm__named_put(const rfm_turn *turn, rfm_slots *slots)
{
    for (uint64_t inside = turn->inside; inside != 0; inside &= inside - 1) {
        uint16_t number = turn->binding->named_number[__builtin_ctzll(inside)];
        size_t at = slots->holding_count++;
        for (; at > 0 && slots->holding[at - 1] > number; at--)
            slots->holding[at] = slots->holding[at - 1];
        slots->holding[at] = number;
    }
}

void rfm_named_count(const rfm_client *client, const rfm_names *names, uint16_t source, int64_t clients,
                     rfm_tally *tally)
{
    rfm_slots slots;
    int code = rfm__slots_decode(rfm_bytes_of(client->slots, client->slots_len), &slots);
    RFM_ASSERT(code == 0);
    for (size_t i = 0; i < slots.holding_count; i++) {
        if (is_named(names, slots.holding[i]))
            count(tally, slots.holding[i], source, clients);
    }
}
