#include "slot.h"

#include <rfm/rule/decide.h>

enum { SLOTS_VERSION = 4, KIND_BITS = 4 };
enum {
    KIND_HOLDING = 1,
    KIND_SINCE,
    KIND_SENT,
    KIND_PENDING,
    KIND_VIRTUAL,
    KIND_RECENT,
    KIND_MET,
    KIND_EXPOSED,
    KIND_BOUGHT
};
static const uint8_t last_kind[SLOTS_VERSION + 1] = {0, KIND_PENDING, KIND_MET, KIND_BOUGHT, KIND_BOUGHT};
static const uint8_t kind_bits[SLOTS_VERSION + 1] = {0, 3, 3, KIND_BITS, KIND_BITS};

/* The head of a cause: whether there is a cart, the code, then what version 2 has added. */
enum { HEAD_CART = 1, HEAD_CODE = 0x3e, HEAD_DEFERRED = 0x40, HEAD_KEPT = 0x80 };
_Static_assert(RFM_EVENT_TYPE_COUNT <= HEAD_CODE >> 1, "every cause has a code");

/* Stored in states: a type keeps its number. */
_Static_assert(RFM_EVENT_PURCHASE == 0 && RFM_EVENT_REFUND == 1 && RFM_EVENT_VISIT == 2 && RFM_EVENT_MESSAGE == 3 &&
                   RFM_EVENT_CONSENT == 4 && RFM_EVENT_FEEDBACK == 5 && RFM_EVENT_PROFILE == 6 &&
                   RFM_EVENT_POINTS == 7 && RFM_EVENT_COST == 8 && RFM_EVENT_ERASE == 9,
               "new event types go to the end of the table");

#define SENT_TIME_MAX_MS (INT64_C(1) << 48)     /* beyond the year 9999 */
#define WINDOW_MAX_MS    (INT64_C(1) << 36)     /* two years */
#define SENT_FROM_MS     INT64_C(1767225600000) /* 2026: the times of sends are differences from it */

enum { FORM_SHARED = 7, FORM_BITS = 3 }; /* beside rfm_id_form, in states alone */
enum { CODE_BITS = 4, CODE_MASK = (1 << CODE_BITS) - 1, KEPT_MAX = 15 };
_Static_assert((int)RFM_EVENT_TYPE_COUNT <= (int)CODE_MASK, "every event's code fits");

/* The worst case of each section, every id of a send given up: entries' fields and their varints at full width. */
enum {
    RULE_BYTES = 3, /* a varint of 17 bits */
    HOLDING_BYTES = 2 + RFM_HOLDING_MAX + RFM_NAMES_MAX / 128,
    SINCE_BYTES = 2 + RFM_EVENT_TYPE_COUNT * 11,
    SENT_BYTES = 2 + RFM_REMEMBERED_MAX * (RULE_BYTES + 8),
    PENDING_BYTES = 2 + RFM_PENDING_BYTES_MAX,
    VIRTUAL_BYTES = 2 + RFM_REMEMBERED_MAX * RULE_BYTES,
    RECENT_BYTES = 2 + RFM_RECENT_MAX * (7 + RULE_BYTES + RULE_BYTES),
    MET_BYTES = 2 + RFM_ANNIVERSARIES_MAX * (RULE_BYTES + RULE_BYTES),
    EXPOSED_BYTES = 2 + RFM_EXPOSURES_MAX * (RULE_BYTES + 4 + RULE_BYTES + 7 + 6 + 5 + 9),
    BOUGHT_BYTES = 2 + RFM_BOUGHT_MAX * (6 + 8 + 9 + RULE_BYTES)
};
_Static_assert(1 + HOLDING_BYTES + SINCE_BYTES + SENT_BYTES + PENDING_BYTES + VIRTUAL_BYTES + RECENT_BYTES + MET_BYTES +
                       EXPOSED_BYTES + BOUGHT_BYTES <=
                   RFM_SLOTS_BYTES_MAX,
               "all slots fit");

size_t rfm__pending_bytes_max(const rfm_pending *pending)
{
    return RULE_BYTES + 1 + 10 + 10 + 10 + 4 + 2 + pending->cause.id.len + 1 + pending->cause.kept.len;
}

/* Rules as differences, which must grow. */
static uint16_t read_rule(rfm_reader *reader, uint32_t *before, bool may_repeat)
{
    uint64_t step = rfm_read_varint(reader);
    if (step > UINT16_MAX || *before + step > UINT16_MAX || (step == 0 && !may_repeat)) {
        reader->bad = true;
        return 0;
    }
    *before += (uint32_t)step;
    return (uint16_t)*before;
}

static void read_holding(rfm_reader *reader, uint64_t count, rfm_slots *slots)
{
    uint32_t rule = 0;
    if (count > RFM_HOLDING_MAX) {
        reader->bad = true;
        return;
    }
    for (uint64_t i = 0; i < count && !reader->bad; i++)
        slots->holding[i] = read_rule(reader, &rule, false);
    slots->holding_count = (uint16_t)count;
}

static void read_since(rfm_reader *reader, uint64_t count, rfm_slots *slots)
{
    int last = -1;
    for (uint64_t i = 0; i < count && !reader->bad; i++) {
        uint8_t type = rfm_read_u8(reader);
        int64_t time_ms = rfm_read_zigzag(reader);
        if (type >= RFM_EVENT_TYPE_COUNT || type <= last || time_ms == RFM_SINCE_NONE) {
            reader->bad = true;
            return;
        }
        slots->since_ms[type] = time_ms;
        last = type;
    }
}

/* Times as the span that they lie before another. */
static int64_t read_before(rfm_reader *reader, int64_t time_ms)
{
    return (int64_t)((uint64_t)time_ms - (uint64_t)rfm_read_zigzag(reader));
}

/* After the first `kept` bytes of it. */
static void read_id(rfm_reader *reader, size_t kept, size_t len, rfm_remembered *sent)
{
    rfm_bytes bytes = rfm_read_bytes(reader, len);
    if (kept + len > sizeof sent->id || bytes.len != len)
        reader->bad = true;
    if (reader->bad)
        return;
    if (len > 0)
        memcpy(sent->id + kept, bytes.at, len);
    sent->id_len = (uint8_t)(kept + len);
}

static bool is_time(int64_t time_ms)
{
    return time_ms >= 0 && time_ms <= SENT_TIME_MAX_MS;
}

/* As versions 1 to 3 have it. */
static void read_old_send(rfm_reader *reader, uint32_t *rule, rfm_remembered *sent)
{
    uint64_t head = rfm_read_varint(reader), step = head >> 1;
    *sent = (rfm_remembered){.form = head & 1 ? RFM_ID_GIVEN : RFM_ID_NONE};
    sent->time_ms = (int64_t)rfm_read_varint(reader);
    if (step == 0 || step > UINT16_MAX || *rule + step > UINT16_MAX || !is_time(sent->time_ms)) {
        reader->bad = true;
        return;
    }
    *rule += (uint32_t)step;
    sent->rule = (uint16_t)*rule;
    if (sent->form == RFM_ID_GIVEN)
        read_id(reader, 0, RFM_SENT_ID_BYTES, sent);
}

/* Sends follow each other at once or after whole seconds, as delays have them. */
static int64_t read_time_after(rfm_reader *reader, int64_t before_ms)
{
    uint64_t written = rfm_read_varint(reader), rest = written >> 1;
    int64_t step = (int64_t)(rest >> 1 ^ (0 - (rest & 1)));
    int64_t unit_ms = written & 1 ? RFM_SECOND_MS : 1, time_ms;
    if (__builtin_mul_overflow(step, unit_ms, &step) || __builtin_add_overflow(before_ms, step, &time_ms) ||
        !is_time(time_ms)) {
        reader->bad = true;
        return before_ms;
    }
    return time_ms;
}

/* Ids of one producer begin alike: the start is taken from the nearest send before that has one. */
static const rfm_remembered *model_of(const rfm_remembered *sent, size_t i)
{
    for (size_t back = 1; back <= i; back++) {
        if (sent[-(ptrdiff_t)back].form == RFM_ID_OF_EVENT)
            return sent - back;
    }
    return NULL;
}

static void read_event(rfm_reader *reader, rfm_remembered *sent, size_t i)
{
    uint8_t head = rfm_read_u8(reader);
    size_t kept = head >> CODE_BITS, len = RFM_SENT_ID_BYTES;
    sent->code = head & CODE_MASK;
    if (sent->form == RFM_ID_OF_EVENT) {
        const rfm_remembered *model = model_of(sent, i);
        len = rfm_read_u8(reader);
        if (kept > (model != NULL ? model->id_len : 0))
            reader->bad = true;
        else if (kept > 0)
            memcpy(sent->id, model->id, kept);
    }
    if (sent->code == RFM_CAUSE_TIMER || sent->code > RFM_EVENT_TYPE_COUNT ||
        (sent->form == RFM_ID_OF_UUID && kept > 0))
        reader->bad = true;
    if (!reader->bad)
        read_id(reader, kept, len, sent);
}

/* The cause of an earlier send, which is named by how far before this one it stands. */
static void read_shared(rfm_reader *reader, rfm_remembered *sent, size_t i)
{
    uint64_t back = rfm_read_varint(reader);
    if (back == 0 || back > i ||
        (sent[-(ptrdiff_t)back].form != RFM_ID_OF_EVENT && sent[-(ptrdiff_t)back].form != RFM_ID_OF_UUID)) {
        reader->bad = true;
        return;
    }
    const rfm_remembered *first = sent - back;
    sent->form = first->form, sent->code = first->code, sent->id_len = first->id_len;
    memcpy(sent->id, first->id, sizeof sent->id);
}

static void read_send(rfm_reader *reader, uint32_t *rule, int64_t before_ms, rfm_remembered *sent, size_t i)
{
    uint64_t head = rfm_read_varint(reader), step = head >> FORM_BITS, form = head & FORM_SHARED;
    *sent = (rfm_remembered){.form = (uint8_t)form, .time_ms = read_time_after(reader, before_ms)};
    if (step == 0 || step > UINT16_MAX || *rule + step > UINT16_MAX) {
        reader->bad = true;
        return;
    }
    *rule += (uint32_t)step;
    sent->rule = (uint16_t)*rule;
    switch (form) {
    case RFM_ID_NONE: break;
    case RFM_ID_GIVEN: read_id(reader, 0, RFM_SENT_ID_BYTES, sent); break;
    case RFM_ID_OF_TIMER: sent->cause_ms = read_before(reader, sent->time_ms); break;
    case RFM_ID_OF_EVENT:
    case RFM_ID_OF_UUID: read_event(reader, sent, i); break;
    case FORM_SHARED: read_shared(reader, sent, i); break;
    default: reader->bad = true;
    }
}

static void read_sent(rfm_reader *reader, uint64_t count, uint8_t version, rfm_slots *slots)
{
    uint32_t rule = 0;
    int64_t before_ms = SENT_FROM_MS;
    if (count > RFM_REMEMBERED_MAX) {
        reader->bad = true;
        return;
    }
    for (size_t i = 0; i < count && !reader->bad; i++) {
        rfm_remembered *sent = &slots->sent[i];
        if (version < 4)
            read_old_send(reader, &rule, sent);
        else
            read_send(reader, &rule, before_ms, sent, i);
        before_ms = sent->time_ms;
    }
    slots->sent_count = (uint16_t)count;
}

static void read_kept(rfm_reader *reader, uint8_t head, rfm_cause *cause)
{
    cause->kept = head & HEAD_KEPT ? rfm_read_sized(reader) : RFM_BYTES_NONE;
    if (cause->kept.len > RFM_KEPT_BYTES_MAX || (head & HEAD_KEPT && cause->kept.len == 0) ||
        (cause->kept.len > 0 && cause->code == RFM_CAUSE_TIMER))
        reader->bad = true;
}

static void read_cause(rfm_reader *reader, uint8_t version, rfm_pending *pending)
{
    rfm_cause *cause = &pending->cause;
    uint8_t head = rfm_read_u8(reader);
    cause->code = (head & HEAD_CODE) >> 1;
    cause->event = NULL;
    cause->time_ms = read_before(reader, pending->due_ms);
    cause->cart = head & HEAD_CART ? rfm_read_u32(reader) : 0;
    cause->id = cause->code == RFM_CAUSE_TIMER ? RFM_BYTES_NONE : rfm_read_sized(reader);
    read_kept(reader, head, cause);
    pending->deferred_ms = head & HEAD_DEFERRED ? read_before(reader, pending->due_ms) : RFM_NOT_DEFERRED;
    if (cause->code > RFM_EVENT_TYPE_COUNT || (head & HEAD_CART && cause->cart == 0) ||
        cause->id.len > RFM_EVENT_TEXT_MAX || (cause->code == RFM_CAUSE_TIMER && cause->cart != 0) ||
        (head & HEAD_DEFERRED && pending->deferred_ms == RFM_NOT_DEFERRED) ||
        (version < 2 && head & (HEAD_DEFERRED | HEAD_KEPT)))
        reader->bad = true;
}

static void read_pending(rfm_reader *reader, uint64_t count, uint8_t version, rfm_slots *slots)
{
    uint32_t rule = 0;
    size_t bytes = 0;
    if (count > RFM_PENDING_MAX) {
        reader->bad = true;
        return;
    }
    for (uint64_t i = 0; i < count && !reader->bad; i++) {
        rfm_pending *pending = &slots->pending[i];
        pending->rule = read_rule(reader, &rule, i > 0);
        pending->due_ms = (int64_t)rfm_read_varint(reader);
        read_cause(reader, version, pending);
        bytes += rfm__pending_bytes_max(pending);
        bool ordered = i == 0 || pending[-1].rule < pending->rule || pending[-1].cause.cart < pending->cause.cart;
        if (!ordered || bytes > RFM_PENDING_BYTES_MAX)
            reader->bad = true;
    }
    slots->pending_count = (uint16_t)count;
}

/* Rules that have been sent, each once. */
static void read_virtual(rfm_reader *reader, uint64_t count, rfm_slots *slots)
{
    uint32_t rule = 0;
    if (count > RFM_REMEMBERED_MAX) {
        reader->bad = true;
        return;
    }
    for (uint64_t i = 0; i < count && !reader->bad; i++) {
        rfm_remembered *sent = rfm__slots_sent(slots, read_rule(reader, &rule, false));
        if (sent == NULL)
            reader->bad = true;
        else
            sent->is_virtual = true;
    }
}

static void read_recent(rfm_reader *reader, uint64_t count, rfm_slots *slots)
{
    uint64_t time_ms = 0;
    if (count > RFM_RECENT_MAX) {
        reader->bad = true;
        return;
    }
    for (uint64_t i = 0; i < count && !reader->bad; i++) {
        rfm_recent *recent = &slots->recent[i];
        uint64_t step_ms = rfm_read_varint(reader), rule = rfm_read_varint(reader), medium = rfm_read_varint(reader);
        time_ms += step_ms;
        if (step_ms > SENT_TIME_MAX_MS || time_ms > SENT_TIME_MAX_MS || rule == 0 || rule > UINT16_MAX ||
            medium >> 1 > UINT16_MAX) {
            reader->bad = true;
            return;
        }
        *recent = (rfm_recent){(int64_t)time_ms, (uint16_t)rule, (uint16_t)(medium >> 1), (rfm_class)(medium & 1)};
        if (i > 0 && rfm__recent_compare(recent - 1, recent) > 0)
            reader->bad = true;
    }
    slots->recent_count = (uint16_t)count;
}

static void read_met(rfm_reader *reader, uint64_t count, rfm_slots *slots)
{
    uint32_t rule = 0;
    if (count > RFM_ANNIVERSARIES_MAX) {
        reader->bad = true;
        return;
    }
    for (uint64_t i = 0; i < count && !reader->bad; i++) {
        slots->met[i].rule = read_rule(reader, &rule, false);
        uint64_t year = rfm_read_varint(reader);
        slots->met[i].year = (uint16_t)year;
        if (year > UINT16_MAX)
            reader->bad = true;
    }
    slots->met_count = (uint16_t)count;
}

static void read_counts(rfm_reader *reader, rfm_exposure *exposure)
{
    uint64_t arm = rfm_read_varint(reader), time_ms = rfm_read_varint(reader), window_ms = rfm_read_varint(reader);
    uint64_t orders = rfm_read_varint(reader), revenue_minor = rfm_read_varint(reader);
    if (arm == 0 || arm > UINT16_MAX || time_ms > SENT_TIME_MAX_MS || window_ms == 0 || window_ms > WINDOW_MAX_MS ||
        orders > UINT32_MAX || revenue_minor > INT64_MAX) {
        reader->bad = true;
        return;
    }
    exposure->arm = (uint16_t)arm;
    exposure->time_ms = (int64_t)time_ms, exposure->window_ms = (int64_t)window_ms;
    exposure->orders = (uint32_t)orders, exposure->revenue_minor = (int64_t)revenue_minor;
}

static void read_exposed(rfm_reader *reader, uint64_t count, rfm_slots *slots)
{
    uint64_t rule = 0;
    if (count > RFM_EXPOSURES_MAX) {
        reader->bad = true;
        return;
    }
    for (uint64_t i = 0; i < count && !reader->bad; i++) {
        rfm_exposure *exposure = &slots->exposure[i];
        uint64_t step = rfm_read_varint(reader), salt = rfm_read_varint(reader), state = step & 3;
        if (step >> 2 > UINT16_MAX || (rule += step >> 2) > UINT16_MAX || rule == 0 || salt >> RFM_SALT_BITS != 0 ||
            state > RFM_EXPOSURE_SETTLED || (i > 0 && !rfm__exposure_before(exposure - 1, rule, salt))) {
            reader->bad = true;
            return;
        }
        *exposure = (rfm_exposure){.rule = (uint16_t)rule, .state = (rfm_exposure_state)state, .salt = (uint32_t)salt};
        if (state != RFM_EXPOSURE_SETTLED)
            read_counts(reader, exposure);
    }
    slots->exposure_count = (uint16_t)count;
}

static void read_bought(rfm_reader *reader, uint64_t count, rfm_slots *slots)
{
    int64_t time_ms = 0;
    if (count > RFM_BOUGHT_MAX) {
        reader->bad = true;
        return;
    }
    for (uint64_t i = 0; i < count && !reader->bad; i++) {
        rfm_bought *bought = &slots->bought[i];
        bought->id39 = rfm_id39(rfm_read_u48(reader)); /* of 48 bits before version 4 */
        int64_t step_ms = rfm_read_zigzag(reader);
        uint64_t left_minor = rfm_read_varint(reader), rule = rfm_read_varint(reader);
        if (__builtin_add_overflow(time_ms, step_ms, &time_ms) || time_ms < 0 || time_ms > SENT_TIME_MAX_MS ||
            left_minor > INT64_MAX || rule > UINT16_MAX) {
            reader->bad = true;
            return;
        }
        bought->time_ms = time_ms;
        bought->left_minor = (int64_t)left_minor;
        bought->rule = (uint16_t)rule;
    }
    slots->bought_count = (uint16_t)count;
}

static void read_section(rfm_reader *reader, uint64_t kind, uint64_t count, uint8_t version, rfm_slots *slots)
{
    if (kind > last_kind[version]) {
        reader->bad = true;
        return;
    }
    switch (kind) {
    case KIND_HOLDING: read_holding(reader, count, slots); break;
    case KIND_SINCE: read_since(reader, count, slots); break;
    case KIND_SENT: read_sent(reader, count, version, slots); break;
    case KIND_PENDING: read_pending(reader, count, version, slots); break;
    case KIND_VIRTUAL: read_virtual(reader, count, slots); break;
    case KIND_RECENT: read_recent(reader, count, slots); break;
    case KIND_MET: read_met(reader, count, slots); break;
    case KIND_EXPOSED: read_exposed(reader, count, slots); break;
    case KIND_BOUGHT: read_bought(reader, count, slots); break;
    default: reader->bad = true;
    }
}

static void clear(rfm_slots *slots)
{
    slots->holding_count = slots->sent_count = slots->pending_count = slots->recent_count = slots->met_count = 0;
    slots->exposure_count = slots->bought_count = 0;
    for (size_t i = 0; i < RFM_EVENT_TYPE_COUNT; i++)
        slots->since_ms[i] = RFM_SINCE_NONE;
}

int rfm__slots_decode(rfm_bytes packed, rfm_slots *slots)
{
    clear(slots);
    if (packed.len == 0)
        return 0;
    if (packed.len > RFM_SLOTS_BYTES_MAX)
        return RFM_E_CORRUPT;
    rfm_reader reader = rfm_reader_of(packed);
    uint8_t version = rfm_read_u8(&reader);
    if (version == 0 || version > SLOTS_VERSION)
        return version > SLOTS_VERSION ? RFM_E_VERSION : RFM_E_CORRUPT;
    uint64_t last = 0;
    do {
        uint64_t header = rfm_read_varint(&reader);
        uint64_t count = header >> kind_bits[version], kind = header - (count << kind_bits[version]);
        if (kind <= last || count == 0)
            reader.bad = true;
        last = kind;
        if (!reader.bad)
            read_section(&reader, kind, count, version, slots);
    } while (!reader.bad && rfm_reader_left(&reader) > 0);
    if (!reader.bad)
        return 0;
    clear(slots);
    return RFM_E_CORRUPT;
}

static void write_header(rfm_buffer *buffer, size_t count, int kind)
{
    rfm_write_varint(buffer, (uint64_t)count << KIND_BITS | (uint64_t)kind);
}

static void write_holding(rfm_buffer *buffer, const rfm_slots *slots)
{
    uint16_t before = 0;
    if (slots->holding_count == 0)
        return;
    write_header(buffer, slots->holding_count, KIND_HOLDING);
    for (size_t i = 0; i < slots->holding_count; i++) {
        rfm_write_varint(buffer, (uint64_t)(slots->holding[i] - before));
        before = slots->holding[i];
    }
}

static void write_since(rfm_buffer *buffer, const rfm_slots *slots)
{
    size_t count = 0;
    for (size_t i = 0; i < RFM_EVENT_TYPE_COUNT; i++)
        count += slots->since_ms[i] != RFM_SINCE_NONE;
    if (count == 0)
        return;
    write_header(buffer, count, KIND_SINCE);
    for (size_t i = 0; i < RFM_EVENT_TYPE_COUNT; i++) {
        if (slots->since_ms[i] == RFM_SINCE_NONE)
            continue;
        rfm_write_u8(buffer, (uint8_t)i);
        rfm_write_zigzag(buffer, slots->since_ms[i]);
    }
}

static void write_before(rfm_buffer *buffer, int64_t time_ms, int64_t before_ms)
{
    rfm_write_zigzag(buffer, (int64_t)((uint64_t)time_ms - (uint64_t)before_ms));
}

static void write_time_after(rfm_buffer *buffer, int64_t time_ms, int64_t before_ms)
{
    int64_t step = time_ms - before_ms;
    bool whole = step % RFM_SECOND_MS == 0;
    step = whole ? step / RFM_SECOND_MS : step;
    rfm_write_varint(buffer, ((uint64_t)step << 1 ^ (0 - ((uint64_t)step >> 63))) << 1 | whole);
}

/* How far before it the nearest send with the same event stands; 0: there is none. */
static size_t shared_back(const rfm_slots *slots, size_t i)
{
    const rfm_remembered *sent = &slots->sent[i];
    if (sent->form != RFM_ID_OF_EVENT && sent->form != RFM_ID_OF_UUID)
        return 0;
    for (size_t back = 1; back <= i; back++) {
        const rfm_remembered *other = sent - back;
        if (other->form == sent->form && other->code == sent->code && other->id_len == sent->id_len &&
            memcmp(other->id, sent->id, sizeof sent->id) == 0)
            return back;
    }
    return 0;
}

static void write_event(rfm_buffer *buffer, const rfm_remembered *sent, size_t i)
{
    const rfm_remembered *model = model_of(sent, i);
    size_t most = model == NULL ? 0 : model->id_len < sent->id_len ? model->id_len : sent->id_len, kept = 0;
    while (kept < most && kept < KEPT_MAX && model->id[kept] == sent->id[kept])
        kept++;
    rfm_write_u8(buffer, (uint8_t)(kept << CODE_BITS | sent->code));
    rfm_write_u8(buffer, (uint8_t)(sent->id_len - kept));
    rfm_write_bytes(buffer, rfm_bytes_of(sent->id + kept, sent->id_len - kept));
}

static void write_id(rfm_buffer *buffer, const rfm_remembered *sent, size_t i)
{
    switch (sent->form) {
    case RFM_ID_GIVEN: rfm_write_bytes(buffer, rfm_bytes_of(sent->id, sent->id_len)); break;
    case RFM_ID_OF_TIMER: write_before(buffer, sent->time_ms, sent->cause_ms); break;
    case RFM_ID_OF_EVENT: write_event(buffer, sent, i); break;
    case RFM_ID_OF_UUID:
        rfm_write_u8(buffer, sent->code);
        rfm_write_bytes(buffer, rfm_bytes_of(sent->id, sent->id_len));
        break;
    default: break;
    }
}

static void write_sent(rfm_buffer *buffer, const rfm_slots *slots)
{
    uint16_t before = 0;
    int64_t before_ms = SENT_FROM_MS;
    if (slots->sent_count == 0)
        return;
    write_header(buffer, slots->sent_count, KIND_SENT);
    for (size_t i = 0; i < slots->sent_count; i++) {
        const rfm_remembered *sent = &slots->sent[i];
        size_t back = shared_back(slots, i);
        rfm_write_varint(buffer, (uint64_t)(sent->rule - before) << FORM_BITS | (back > 0 ? FORM_SHARED : sent->form));
        write_time_after(buffer, sent->time_ms, before_ms);
        if (back > 0)
            rfm_write_varint(buffer, back);
        else
            write_id(buffer, sent, i);
        before = sent->rule, before_ms = sent->time_ms;
    }
}

static void write_cause(rfm_buffer *buffer, const rfm_pending *pending)
{
    const rfm_cause *cause = &pending->cause;
    bool deferred = pending->deferred_ms != RFM_NOT_DEFERRED;
    int head = cause->code << 1 | (cause->cart != 0 ? HEAD_CART : 0) | (deferred ? HEAD_DEFERRED : 0) |
               (cause->kept.len > 0 ? HEAD_KEPT : 0);
    rfm_write_u8(buffer, (uint8_t)head);
    write_before(buffer, pending->due_ms, cause->time_ms);
    if (cause->cart != 0)
        rfm_write_u32(buffer, cause->cart);
    if (cause->code != RFM_CAUSE_TIMER)
        rfm_write_sized(buffer, cause->id);
    if (cause->kept.len > 0)
        rfm_write_sized(buffer, cause->kept);
    if (deferred)
        write_before(buffer, pending->due_ms, pending->deferred_ms);
}

static void write_pending(rfm_buffer *buffer, const rfm_slots *slots)
{
    uint16_t before = 0;
    if (slots->pending_count == 0)
        return;
    write_header(buffer, slots->pending_count, KIND_PENDING);
    for (size_t i = 0; i < slots->pending_count; i++) {
        const rfm_pending *pending = &slots->pending[i];
        rfm_write_varint(buffer, (uint64_t)(pending->rule - before));
        rfm_write_varint(buffer, (uint64_t)pending->due_ms);
        write_cause(buffer, pending);
        before = pending->rule;
    }
}

static void write_virtual(rfm_buffer *buffer, const rfm_slots *slots)
{
    size_t count = 0;
    uint16_t before = 0;
    for (size_t i = 0; i < slots->sent_count; i++)
        count += slots->sent[i].is_virtual;
    if (count == 0)
        return;
    write_header(buffer, count, KIND_VIRTUAL);
    for (size_t i = 0; i < slots->sent_count; i++) {
        if (!slots->sent[i].is_virtual)
            continue;
        rfm_write_varint(buffer, (uint64_t)(slots->sent[i].rule - before));
        before = slots->sent[i].rule;
    }
}

static void write_recent(rfm_buffer *buffer, const rfm_slots *slots)
{
    int64_t before_ms = 0;
    if (slots->recent_count == 0)
        return;
    write_header(buffer, slots->recent_count, KIND_RECENT);
    for (size_t i = 0; i < slots->recent_count; i++) {
        const rfm_recent *recent = &slots->recent[i];
        rfm_write_varint(buffer, (uint64_t)(recent->time_ms - before_ms));
        rfm_write_varint(buffer, recent->rule);
        rfm_write_varint(buffer, (uint64_t)recent->channel << 1 | (uint64_t)recent->class_);
        before_ms = recent->time_ms;
    }
}

static void write_met(rfm_buffer *buffer, const rfm_slots *slots)
{
    uint16_t before = 0;
    if (slots->met_count == 0)
        return;
    write_header(buffer, slots->met_count, KIND_MET);
    for (size_t i = 0; i < slots->met_count; i++) {
        rfm_write_varint(buffer, (uint64_t)(slots->met[i].rule - before));
        rfm_write_varint(buffer, slots->met[i].year);
        before = slots->met[i].rule;
    }
}

static void write_exposed(rfm_buffer *buffer, const rfm_slots *slots)
{
    uint16_t before = 0;
    if (slots->exposure_count == 0)
        return;
    write_header(buffer, slots->exposure_count, KIND_EXPOSED);
    for (size_t i = 0; i < slots->exposure_count; i++) {
        const rfm_exposure *exposure = &slots->exposure[i];
        rfm_write_varint(buffer, (uint64_t)(exposure->rule - before) << 2 | (uint64_t)exposure->state);
        rfm_write_varint(buffer, exposure->salt);
        before = exposure->rule;
        if (exposure->state == RFM_EXPOSURE_SETTLED)
            continue;
        rfm_write_varint(buffer, exposure->arm);
        rfm_write_varint(buffer, (uint64_t)exposure->time_ms);
        rfm_write_varint(buffer, (uint64_t)exposure->window_ms);
        rfm_write_varint(buffer, exposure->orders);
        rfm_write_varint(buffer, (uint64_t)exposure->revenue_minor);
    }
}

static void write_bought(rfm_buffer *buffer, const rfm_slots *slots)
{
    int64_t before_ms = 0;
    if (slots->bought_count == 0)
        return;
    write_header(buffer, slots->bought_count, KIND_BOUGHT);
    for (size_t i = 0; i < slots->bought_count; i++) {
        const rfm_bought *bought = &slots->bought[i];
        rfm_write_u48(buffer, bought->id39);
        rfm_write_zigzag(buffer, bought->time_ms - before_ms);
        rfm_write_varint(buffer, (uint64_t)bought->left_minor);
        rfm_write_varint(buffer, bought->rule);
        before_ms = bought->time_ms;
    }
}

static bool give_up_oldest_id(rfm_slots *slots)
{
    rfm_remembered *oldest = NULL;
    for (size_t i = 0; i < slots->sent_count; i++) {
        rfm_remembered *sent = &slots->sent[i];
        if (sent->form != RFM_ID_NONE && (oldest == NULL || sent->time_ms < oldest->time_ms))
            oldest = sent;
    }
    if (oldest != NULL)
        *oldest = (rfm_remembered){.rule = oldest->rule, .is_virtual = oldest->is_virtual, .time_ms = oldest->time_ms};
    return oldest != NULL;
}

size_t rfm__slots_encode(rfm_slots *slots, uint8_t packed[RFM_SLOTS_BYTES_MAX])
{
    for (;;) {
        rfm_buffer buffer = rfm_buffer_over(packed, RFM_SLOTS_BYTES_MAX);
        rfm_write_u8(&buffer, SLOTS_VERSION);
        write_holding(&buffer, slots);
        write_since(&buffer, slots);
        write_sent(&buffer, slots);
        write_pending(&buffer, slots);
        write_virtual(&buffer, slots);
        write_recent(&buffer, slots);
        write_met(&buffer, slots);
        write_exposed(&buffer, slots);
        write_bought(&buffer, slots);
        if (!buffer.bad)
            return buffer.len == 1 ? 0 : buffer.len;
        bool gave_up = give_up_oldest_id(slots);
        RFM_ASSERT(gave_up);
    }
}

int rfm_slots_check(rfm_bytes packed)
{
    rfm_slots slots;
    return rfm__slots_decode(packed, &slots);
}
