#include "slot.h"

#include <rfm/base/hash.h>

rfm_remembered *rfm__slots_sent(rfm_slots *slots, uint16_t rule)
{
    for (size_t i = 0; i < slots->sent_count; i++) {
        if (slots->sent[i].rule == rule)
            return &slots->sent[i];
    }
    return NULL;
}

rfm_remembered *rfm__slots_remember(rfm_slots *slots, uint16_t rule)
{
    size_t i = 0;
    while (i < slots->sent_count && slots->sent[i].rule < rule)
        i++;
    rfm_remembered *sent = &slots->sent[i];
    if (i < slots->sent_count && sent->rule == rule)
        return sent;
    if (slots->sent_count == RFM_REMEMBERED_MAX)
        return NULL;
    memmove(sent + 1, sent, (slots->sent_count++ - i) * sizeof *sent);
    *sent = (rfm_remembered){.rule = rule};
    return sent;
}

void rfm__slots_forget(rfm_slots *slots, rfm_remembered *sent)
{
    size_t i = (size_t)(sent - slots->sent);
    memmove(sent, sent + 1, (--slots->sent_count - i) * sizeof *sent);
}

static int hex_digit(uint8_t letter)
{
    return letter >= '0' && letter <= '9' ? letter - '0' : letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

static bool is_dash(size_t i)
{
    return i == 8 || i == 13 || i == 18 || i == 23;
}

/* "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", which rfm__sent_event writes again. */
static bool parse_uuid(rfm_bytes text, uint8_t uuid[16])
{
    size_t digits = 0;
    if (text.len != RFM_UUID_TEXT)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        int digit = hex_digit(text.at[i]);
        if (is_dash(i) ? text.at[i] != '-' : digit < 0)
            return false;
        if (is_dash(i))
            continue;
        uuid[digits / 2] = (uint8_t)(digits % 2 == 0 ? digit << 4 : uuid[digits / 2] | digit);
        digits++;
    }
    return true;
}

static void set_id(rfm_remembered *sent, rfm_id_form form, rfm_bytes id)
{
    sent->form = (uint8_t)form, sent->id_len = (uint8_t)id.len;
    if (id.len > 0)
        memcpy(sent->id, id.at, id.len);
}

void rfm__sent_by(rfm_remembered *sent, const rfm_cause *cause, const uint8_t id[16])
{
    uint8_t uuid[RFM_SENT_ID_BYTES];
    *sent = (rfm_remembered){.rule = sent->rule, .time_ms = sent->time_ms, .code = cause->code};
    if (cause->code == RFM_CAUSE_TIMER) {
        sent->form = RFM_ID_OF_TIMER, sent->cause_ms = cause->time_ms;
    } else if (cause->id.len <= RFM_SENT_CAUSE_MAX) {
        set_id(sent, RFM_ID_OF_EVENT, cause->id);
    } else if (parse_uuid(cause->id, uuid)) {
        set_id(sent, RFM_ID_OF_UUID, rfm_bytes_of(uuid, sizeof uuid));
    } else {
        set_id(sent, RFM_ID_GIVEN, rfm_bytes_of(id, RFM_SENT_ID_BYTES));
        sent->code = 0;
    }
}

rfm_bytes rfm__sent_event(const rfm_remembered *sent, char uuid[RFM_UUID_TEXT + 1])
{
    char digits[2 * RFM_SENT_ID_BYTES + 1];
    if (sent->form == RFM_ID_OF_EVENT)
        return rfm_bytes_of(sent->id, sent->id_len);
    rfm_hex(sent->id, RFM_SENT_ID_BYTES, digits);
    for (size_t i = 0, at = 0; i < RFM_UUID_TEXT; i++)
        uuid[i] = is_dash(i) ? '-' : digits[at++];
    return rfm_bytes_of(uuid, RFM_UUID_TEXT);
}

rfm_pending *rfm__slots_pending(rfm_slots *slots, uint16_t rule, uint32_t cart)
{
    for (size_t i = 0; i < slots->pending_count; i++) {
        if (slots->pending[i].rule == rule && slots->pending[i].cause.cart == cart)
            return &slots->pending[i];
    }
    return NULL;
}

static bool pending_before(const rfm_pending *a, const rfm_pending *b)
{
    return a->rule != b->rule ? a->rule < b->rule : a->cause.cart < b->cause.cart;
}

bool rfm__slots_defer(rfm_slots *slots, const rfm_pending *pending)
{
    rfm_pending *old = rfm__slots_pending(slots, pending->rule, pending->cause.cart);
    size_t bytes = rfm__pending_bytes_max(pending);
    for (size_t i = 0; i < slots->pending_count; i++)
        bytes += &slots->pending[i] == old ? 0 : rfm__pending_bytes_max(&slots->pending[i]);
    if (bytes > RFM_PENDING_BYTES_MAX || (old == NULL && slots->pending_count == RFM_PENDING_MAX))
        return false;
    if (old != NULL) {
        *old = *pending;
        return true;
    }
    size_t i = slots->pending_count++;
    for (; i > 0 && pending_before(pending, &slots->pending[i - 1]); i--)
        slots->pending[i] = slots->pending[i - 1];
    slots->pending[i] = *pending;
    return true;
}

void rfm__slots_drop(rfm_slots *slots, rfm_pending *pending)
{
    size_t i = (size_t)(pending - slots->pending);
    memmove(pending, pending + 1, (--slots->pending_count - i) * sizeof *pending);
}

int rfm__recent_compare(const rfm_recent *a, const rfm_recent *b)
{
    if (a->time_ms != b->time_ms)
        return a->time_ms < b->time_ms ? -1 : 1;
    if (a->rule != b->rule)
        return a->rule < b->rule ? -1 : 1;
    if (a->channel != b->channel)
        return a->channel < b->channel ? -1 : 1;
    return (int)a->class_ - (int)b->class_;
}

bool rfm__slots_note_recent(rfm_slots *slots, const rfm_recent *recent)
{
    if (slots->recent_count == RFM_RECENT_MAX)
        return false;
    size_t i = slots->recent_count++;
    for (; i > 0 && rfm__recent_compare(recent, &slots->recent[i - 1]) < 0; i--)
        slots->recent[i] = slots->recent[i - 1];
    slots->recent[i] = *recent;
    return true;
}

void rfm__slots_forget_recent(rfm_slots *slots, size_t i)
{
    memmove(&slots->recent[i], &slots->recent[i + 1], (--slots->recent_count - i) * sizeof *slots->recent);
}

static size_t find_met(const rfm_slots *slots, uint16_t rule)
{
    size_t i = 0;
    while (i < slots->met_count && slots->met[i].rule != rule)
        i++;
    return i;
}

int rfm__slots_met_year(const rfm_slots *slots, uint16_t rule)
{
    size_t i = find_met(slots, rule);
    return i < slots->met_count ? slots->met[i].year : -1;
}

void rfm__slots_meet(rfm_slots *slots, uint16_t rule, uint16_t year)
{
    size_t i = find_met(slots, rule);
    if (i == RFM_ANNIVERSARIES_MAX)
        return;
    if (i == slots->met_count) {
        slots->met_count++;
        for (; i > 0 && slots->met[i - 1].rule > rule; i--)
            slots->met[i] = slots->met[i - 1];
    }
    slots->met[i] = (rfm_met){rule, year};
}

void rfm__slots_forget_met(rfm_slots *slots, uint16_t rule)
{
    size_t i = find_met(slots, rule);
    if (i < slots->met_count)
        memmove(&slots->met[i], &slots->met[i + 1], (--slots->met_count - i) * sizeof *slots->met);
}

bool rfm__exposure_before(const rfm_exposure *exposure, uint64_t rule, uint64_t salt)
{
    return exposure->rule != rule ? exposure->rule < rule : exposure->salt < salt;
}

rfm_exposure *rfm__slots_exposure(rfm_slots *slots, uint16_t rule, uint32_t salt)
{
    for (size_t i = 0; i < slots->exposure_count; i++) {
        if (slots->exposure[i].rule == rule && slots->exposure[i].salt == salt)
            return &slots->exposure[i];
    }
    return NULL;
}

rfm_exposure *rfm__slots_expose(rfm_slots *slots, uint16_t rule, uint32_t salt)
{
    if (slots->exposure_count == RFM_EXPOSURES_MAX)
        return NULL;
    size_t i = slots->exposure_count++;
    for (; i > 0 && !rfm__exposure_before(&slots->exposure[i - 1], rule, salt); i--)
        slots->exposure[i] = slots->exposure[i - 1];
    slots->exposure[i] = (rfm_exposure){.rule = rule, .salt = salt};
    return &slots->exposure[i];
}

void rfm__slots_forget_exposure(rfm_slots *slots, size_t i)
{
    memmove(&slots->exposure[i], &slots->exposure[i + 1], (--slots->exposure_count - i) * sizeof *slots->exposure);
}

void rfm__slots_forget_bought(rfm_slots *slots, size_t i)
{
    memmove(&slots->bought[i], &slots->bought[i + 1], (--slots->bought_count - i) * sizeof *slots->bought);
}
