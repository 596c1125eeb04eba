// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "rule/slot.h"

#include <rfm/rule/decide.h>
#include <stdlib.h>

static uint32_t random_state = 1;

static uint32_t draw(uint32_t count)
{
    random_state ^= random_state << 13, random_state ^= random_state >> 17, random_state ^= random_state << 5;
    return random_state % count;
}

static void no_slots(rfm_slots *slots)
{
    assert_int_equal(rfm__slots_decode(RFM_BYTES_NONE, slots), 0);
}

static void assert_slots_equal(const rfm_slots *a, const rfm_slots *b)
{
    assert_int_equal(a->holding_count, b->holding_count);
    assert_memory_equal(a->holding, b->holding, a->holding_count * sizeof *a->holding);
    assert_memory_equal(a->since_ms, b->since_ms, sizeof a->since_ms);
    assert_int_equal(a->sent_count, b->sent_count);
    for (size_t i = 0; i < a->sent_count; i++) {
        assert_int_equal(a->sent[i].rule, b->sent[i].rule);
        assert_int_equal(a->sent[i].form, b->sent[i].form);
        assert_int_equal(a->sent[i].code, b->sent[i].code);
        assert_int_equal(a->sent[i].cause_ms, b->sent[i].cause_ms);
        assert_int_equal(a->sent[i].id_len, b->sent[i].id_len);
        assert_int_equal(a->sent[i].is_virtual, b->sent[i].is_virtual);
        assert_int_equal(a->sent[i].time_ms, b->sent[i].time_ms);
        assert_memory_equal(a->sent[i].id, b->sent[i].id, sizeof a->sent[i].id);
    }
    assert_int_equal(a->pending_count, b->pending_count);
    for (size_t i = 0; i < a->pending_count; i++) {
        assert_int_equal(a->pending[i].rule, b->pending[i].rule);
        assert_int_equal(a->pending[i].due_ms, b->pending[i].due_ms);
        assert_int_equal(a->pending[i].cause.code, b->pending[i].cause.code);
        assert_int_equal(a->pending[i].cause.cart, b->pending[i].cause.cart);
        assert_int_equal(a->pending[i].cause.time_ms, b->pending[i].cause.time_ms);
        assert_true(rfm_bytes_equal(a->pending[i].cause.id, b->pending[i].cause.id));
        assert_true(rfm_bytes_equal(a->pending[i].cause.kept, b->pending[i].cause.kept));
        assert_int_equal(a->pending[i].deferred_ms, b->pending[i].deferred_ms);
    }
    assert_int_equal(a->met_count, b->met_count);
    for (size_t i = 0; i < a->met_count; i++) {
        assert_int_equal(a->met[i].rule, b->met[i].rule);
        assert_int_equal(a->met[i].year, b->met[i].year);
    }
    assert_int_equal(a->exposure_count, b->exposure_count);
    for (size_t i = 0; i < a->exposure_count; i++) {
        const rfm_exposure *left = &a->exposure[i], *right = &b->exposure[i];
        assert_int_equal(left->rule, right->rule);
        assert_int_equal(left->salt, right->salt);
        assert_int_equal(left->state, right->state);
        assert_int_equal(left->arm, right->arm);
        assert_int_equal(left->time_ms, right->time_ms);
        assert_int_equal(left->window_ms, right->window_ms);
        assert_int_equal(left->orders, right->orders);
        assert_int_equal(left->revenue_minor, right->revenue_minor);
    }
    assert_int_equal(a->bought_count, b->bought_count);
    for (size_t i = 0; i < a->bought_count; i++) {
        assert_int_equal(a->bought[i].id39, b->bought[i].id39);
        assert_int_equal(a->bought[i].time_ms, b->bought[i].time_ms);
        assert_int_equal(a->bought[i].left_minor, b->bought[i].left_minor);
        assert_int_equal(a->bought[i].rule, b->bought[i].rule);
    }
    assert_int_equal(a->recent_count, b->recent_count);
    for (size_t i = 0; i < a->recent_count; i++) {
        assert_int_equal(a->recent[i].time_ms, b->recent[i].time_ms);
        assert_int_equal(a->recent[i].rule, b->recent[i].rule);
        assert_int_equal(a->recent[i].channel, b->recent[i].channel);
        assert_int_equal(a->recent[i].class_, b->recent[i].class_);
    }
}

static void test_nothing_takes_no_bytes(void **state)
{
    (void)state;
    uint8_t packed[RFM_SLOTS_BYTES_MAX];
    rfm_slots slots;
    no_slots(&slots);
    assert_int_equal(rfm__slots_encode(&slots, packed), 0);
}

static void test_sizes(void **state)
{
    (void)state;
    uint8_t packed[RFM_SLOTS_BYTES_MAX];
    rfm_slots slots;
    no_slots(&slots);
    slots.holding_count = 1;
    slots.holding[0] = 17;
    assert_int_equal(rfm__slots_encode(&slots, packed), 3); /* version, header, rule */
    no_slots(&slots);
    rfm_remembered *sent = rfm__slots_remember(&slots, 17);
    sent->time_ms = INT64_C(1700000000000);
    rfm__sent_by(sent, &(rfm_cause){.code = 1, .id = rfm_text("an id that is longer")}, (const uint8_t[16]){0});
    assert_int_equal(rfm__slots_encode(&slots, packed), 2 + 2 + 5 + 2 + 20);
    rfm__sent_by(sent, &(rfm_cause){.code = 1, .id = rfm_text("an id that is longer.")}, (const uint8_t[16]){0});
    assert_int_equal(rfm__slots_encode(&slots, packed), 2 + 2 + 5 + 16);
    rfm__sent_by(sent, &(rfm_cause){.code = RFM_CAUSE_TIMER, .time_ms = sent->time_ms}, (const uint8_t[16]){0});
    assert_int_equal(rfm__slots_encode(&slots, packed), 2 + 2 + 5 + 1);
    rfm__sent_by(sent, &(rfm_cause){.code = 1, .id = rfm_text("e-123456")}, (const uint8_t[16]){0});
    for (uint16_t i = 18; i <= 19; i++) {
        rfm_remembered *next = rfm__slots_remember(&slots, i);
        next->time_ms = slots.sent[i - 18].time_ms + 10 * RFM_DAY_MS;
        rfm__sent_by(next, &(rfm_cause){.code = 1, .id = rfm_text(i == 18 ? "e-123456" : "e-12400")},
                     (const uint8_t[16]){0});
    }
    /* The second has the cause of the first, that of the third begins as that of the second. */
    assert_int_equal(rfm__slots_encode(&slots, packed), 2 + (2 + 5 + 2 + 8) + (1 + 4 + 1) + (1 + 4 + 2 + 3));
}

/* Few different events, so that sends share them. */
static void draw_id(rfm_remembered *sent)
{
    static const char *const causes[] = {"",
                                         "12",
                                         "e-1234666",
                                         "twenty bytes and not",
                                         "twenty bytes and two",
                                         "1",
                                         "e-1234567",
                                         "01890a5d-ac96-774b-bcce-b302099a8057",
                                         "01890A5D-AC96-774B-BCCE-B302099A8057",
                                         "an id that is longer than most"};
    const rfm_cause cause = {.code = (uint8_t)draw(3),
                             .time_ms = sent->time_ms - draw(1000000),
                             .id = rfm_text(causes[draw(sizeof causes / sizeof *causes)])};
    uint8_t id[16];
    for (size_t k = 0; k < sizeof id; k++)
        id[k] = (uint8_t)draw(256);
    rfm__sent_by(sent, &cause, id);
}

static void fill(rfm_slots *slots, uint8_t ids[RFM_PENDING_MAX][64])
{
    no_slots(slots);
    for (uint32_t rule = draw(40); slots->holding_count < RFM_RULES_MAX && draw(6) != 0; rule += 1 + draw(300)) {
        if (rule > 0 && rule <= RFM_NAMES_MAX)
            slots->holding[slots->holding_count++] = (uint16_t)rule;
    }
    for (size_t i = 0; i < RFM_EVENT_TYPE_COUNT; i++) {
        if (draw(3) == 0)
            slots->since_ms[i] = (int64_t)draw(UINT32_MAX) * 900;
    }
    for (uint32_t i = draw(8); i > 0; i--) {
        rfm_remembered *sent = rfm__slots_remember(slots, (uint16_t)(1 + draw(RFM_NAMES_MAX)));
        *sent = (rfm_remembered){.rule = sent->rule, .time_ms = (int64_t)draw(UINT32_MAX) * (draw(2) ? 900 : 1000)};
        sent->is_virtual = draw(4) == 0;
        if (!sent->is_virtual)
            draw_id(sent);
    }
    for (uint32_t i = draw(RFM_PENDING_MAX + 1); i > 0; i--) {
        rfm_pending pending = {.rule = (uint16_t)(1 + draw(5)), .due_ms = (int64_t)draw(UINT32_MAX) * 900};
        pending.deferred_ms = draw(2) ? RFM_NOT_DEFERRED : pending.due_ms - draw(40000000);
        pending.cause.code = (uint8_t)draw(RFM_EVENT_TYPE_COUNT + 1);
        pending.cause.time_ms = (int64_t)draw(UINT32_MAX) * 900;
        if (pending.cause.code != RFM_CAUSE_TIMER) {
            pending.cause.cart = draw(3);
            for (size_t k = 0; k < 64; k++)
                ids[i - 1][k] = (uint8_t)draw(256);
            pending.cause.id = rfm_bytes_of(ids[i - 1], draw(65));
            pending.cause.kept = rfm_bytes_of(ids[i - 1] + 32, draw(2) ? draw(32) : 0);
        }
        assert_true(rfm__slots_defer(slots, &pending));
    }
    for (uint32_t i = draw(3) ? 0 : draw(RFM_ANNIVERSARIES_MAX + 4); i > 0; i--)
        rfm__slots_meet(slots, (uint16_t)(1 + draw(RFM_NAMES_MAX)), (uint16_t)draw(10000));
    for (uint32_t i = draw(3) ? 0 : draw(RFM_RECENT_MAX + 1); i > 0; i--) {
        rfm_recent recent = {(int64_t)draw(UINT32_MAX) * draw(900), (uint16_t)(1 + draw(3)), (uint16_t)draw(3),
                             (rfm_class)draw(2)};
        assert_true(rfm__slots_note_recent(slots, &recent));
    }
}

static void fill_counts(rfm_slots *slots)
{
    for (uint32_t i = draw(3) ? 0 : draw(RFM_EXPOSURES_MAX + 4); i > 0; i--) {
        uint16_t rule = (uint16_t)(1 + draw(12));
        uint32_t salt = draw(1 << RFM_SALT_BITS) * draw(2);
        bool room = slots->exposure_count < RFM_EXPOSURES_MAX;
        if (rfm__slots_exposure(slots, rule, salt) != NULL)
            continue;
        rfm_exposure *exposure = rfm__slots_expose(slots, rule, salt);
        assert_true(room == (exposure != NULL));
        if (!room)
            continue;
        exposure->state = (rfm_exposure_state)draw(3);
        if (exposure->state == RFM_EXPOSURE_SETTLED)
            continue;
        exposure->arm = (uint16_t)(1 + draw(RFM_NAMES_MAX));
        exposure->time_ms = (int64_t)draw(UINT32_MAX) * 900, exposure->window_ms = 1 + (int64_t)draw(UINT32_MAX);
        exposure->orders = draw(5), exposure->revenue_minor = (int64_t)draw(UINT32_MAX) << draw(31);
    }
    for (slots->bought_count = 0; slots->bought_count < RFM_BOUGHT_MAX && draw(4) != 0;)
        slots->bought[slots->bought_count++] = (rfm_bought){(uint64_t)draw(UINT32_MAX) << 7 | draw(128),
                                                            (int64_t)draw(UINT32_MAX) * 900,
                                                            (int64_t)draw(UINT32_MAX) << draw(31), (uint16_t)draw(9)};
}

static void test_decodes_what_it_encodes(void **state)
{
    (void)state;
    for (int i = 0; i < 20000; i++) {
        uint8_t ids[RFM_PENDING_MAX][64], packed[RFM_SLOTS_BYTES_MAX], again[RFM_SLOTS_BYTES_MAX];
        rfm_slots slots, decoded;
        fill(&slots, ids);
        fill_counts(&slots);
        size_t len = rfm__slots_encode(&slots, packed);
        assert_int_equal(rfm__slots_decode(rfm_bytes_of(packed, len), &decoded), 0);
        assert_slots_equal(&slots, &decoded);
        assert_int_equal(rfm__slots_encode(&decoded, again), len);
        assert_memory_equal(packed, again, len);
        if (len > 0) {
            assert_int_equal(rfm_slots_check(rfm_bytes_of(packed, len - 1)), RFM_E_CORRUPT);
            packed[0] = 5;
            assert_int_equal(rfm_slots_check(rfm_bytes_of(packed, len)), RFM_E_VERSION);
        }
    }
}

static void test_any_bytes_are_safe(void **state)
{
    (void)state;
    for (int i = 0; i < 200000; i++) {
        uint8_t bytes[96], again[RFM_SLOTS_BYTES_MAX];
        rfm_slots slots;
        size_t len = 1 + draw(sizeof bytes);
        for (size_t k = 0; k < len; k++)
            bytes[k] = (uint8_t)draw(draw(3) ? 40 : 256);
        bytes[0] = (uint8_t)(1 + draw(4));
        if (rfm__slots_decode(rfm_bytes_of(bytes, len), &slots) != 0)
            continue;
        size_t wider = bytes[0] < 4 ? 7u + 8u * slots.sent_count : 0u; /* headers, sends */
        assert_true(rfm__slots_encode(&slots, again) <= len + wider);
    }
}

/* What version 1 wrote, byte by byte: HOLDING 17, SENT of rule 18 with an id, PENDING of rule 19 with a cart. */
static void test_reads_version_1(void **state)
{
    (void)state;
    uint8_t old[] = {1,  0x09, 17, 0x0b, 18 << 1 | 1, 0x64, 1,    2,    3,          4,    5,    6, 7, 8, 9, 10, 11, 12,
                     13, 14,   15, 16,   0x0c,        19,   0xc8, 0x01, 1 << 1 | 1, 0xc8, 0x01, 7, 0, 0, 0, 1,  'e'};
    uint8_t packed[RFM_SLOTS_BYTES_MAX];
    rfm_slots slots;
    assert_int_equal(rfm__slots_decode(rfm_bytes_of(old, sizeof old), &slots), 0);
    assert_int_equal(slots.holding[0], 17);
    assert_int_equal(slots.sent[0].time_ms, 100);
    assert_int_equal(slots.sent[0].id[15], 16);
    assert_false(slots.sent[0].is_virtual);
    assert_int_equal(slots.pending[0].due_ms, 200);
    assert_int_equal(slots.pending[0].cause.time_ms, 100);
    assert_int_equal(slots.pending[0].cause.cart, 7);
    assert_int_equal(slots.pending[0].deferred_ms, RFM_NOT_DEFERRED);
    assert_int_equal(slots.pending[0].cause.kept.len, 0);
    assert_int_equal(slots.recent_count, 0);
    /* Version 3 has wider headers, version 4 the time otherwise. */
    static const uint8_t now[] = {4,  0x11, 17, 0x13, 0x91, 1,          0xee, 0xbc, 0xaa, 0xdb, 0xdd, 0xcd, 1,  1,
                                  2,  3,    4,  5,    6,    7,          8,    9,    10,   11,   12,   13,   14, 15,
                                  16, 0x14, 19, 0xc8, 1,    1 << 1 | 1, 0xc8, 1,    7,    0,    0,    0,    1,  'e'};
    assert_int_equal(rfm__slots_encode(&slots, packed), sizeof now);
    assert_memory_equal(packed, now, sizeof now);
}

/* What version 2 wrote: eight rules that hold, whose header takes a byte more since version 3; VIRTUAL of rule 18; MET
 * of rule 2. */
static void test_reads_version_2(void **state)
{
    (void)state;
    uint8_t old[] = {2, 0x41, 1, 1, 1, 1, 1, 1, 1, 1, 0x0b, 18 << 1, 0x64, 0x0d, 18, 0x0f, 2, 0xe8, 0x0f};
    uint8_t now[] = {4,    0x81, 0x01, 1,    1,    1,    1,    1,    1,  1,    1, 0x13, 0x90, 1,
                     0xee, 0xbc, 0xaa, 0xdb, 0xdd, 0xcd, 0x01, 0x15, 18, 0x17, 2, 0xe8, 0x0f};
    uint8_t packed[RFM_SLOTS_BYTES_MAX];
    rfm_slots slots;
    assert_int_equal(rfm__slots_decode(rfm_bytes_of(old, sizeof old), &slots), 0);
    assert_int_equal(slots.holding_count, 8);
    assert_int_equal(slots.holding[7], 8);
    assert_true(slots.sent[0].is_virtual);
    assert_int_equal(rfm__slots_met_year(&slots, 2), 2024);
    assert_int_equal(slots.exposure_count + slots.bought_count, 0);
    assert_int_equal(rfm__slots_encode(&slots, packed), sizeof now);
    assert_memory_equal(packed, now, sizeof now);
    /* A kind that it did not have. */
    uint8_t later[] = {2, 0x08, 1};
    assert_int_equal(rfm_slots_check(rfm_bytes_of(later, sizeof later)), RFM_E_CORRUPT);
}

/* Four sends as version 3 wrote them, the second virtual: the ids stay as they are. */
static void test_reads_version_3(void **state)
{
    (void)state;
    uint8_t packed[RFM_SLOTS_BYTES_MAX],
        old[] = {3,  0x23,   17 << 1 | 1, 0x80, 0x88, 0xd6, 0xb9, 0xad, 0x33, 1,  2,  3,
                 4,  5,      6,           7,    8,    9,    10,   11,   12,   13, 14, 15,
                 16, 1 << 1, 0x80,        0x88, 0xd6, 0xb9, 0xad, 0x33, 0x15, 18};
    rfm_slots slots, again;
    assert_int_equal(rfm__slots_decode(rfm_bytes_of(old, sizeof old), &slots), 0);
    assert_int_equal(slots.sent_count, 2);
    assert_int_equal(slots.sent[0].rule, 17);
    assert_int_equal(slots.sent[0].form, RFM_ID_GIVEN);
    assert_int_equal(slots.sent[0].id[15], 16);
    assert_int_equal(slots.sent[0].time_ms, INT64_C(1764547200000));
    assert_int_equal(slots.sent[1].form, RFM_ID_NONE);
    assert_true(slots.sent[1].is_virtual);
    size_t len = rfm__slots_encode(&slots, packed);
    assert_int_equal(packed[0], 4);
    assert_int_equal(rfm__slots_decode(rfm_bytes_of(packed, len), &again), 0);
    assert_slots_equal(&slots, &again);
}

/* What the id is made of is kept where that is shorter, and the text of a UUID comes out as it went in. */
static void test_causes_of_sends(void **state)
{
    (void)state;
    static const char upper[] = "01890A5D-AC96-774B-BCCE-B302099A8057",
                      lower[] = "01890a5d-ac96-774b-bcce-b302099a8057";
    const uint8_t id[16] = {1, 2, 3};
    char uuid[RFM_UUID_TEXT + 1];
    rfm_remembered sent = {.rule = 1, .time_ms = 5};
    rfm__sent_by(&sent, &(rfm_cause){.code = 1, .id = rfm_text(lower)}, id);
    assert_int_equal(sent.form, RFM_ID_OF_UUID);
    assert_true(rfm_bytes_is(rfm__sent_event(&sent, uuid), lower));
    rfm__sent_by(&sent, &(rfm_cause){.code = 1, .id = rfm_text(upper)}, id);
    assert_int_equal(sent.form, RFM_ID_GIVEN);
    assert_memory_equal(sent.id, id, sizeof id);
    rfm__sent_by(&sent, &(rfm_cause){.code = 1, .id = rfm_text("01890a5d-ac96-774b-bcce_b302099a8057")}, id);
    assert_int_equal(sent.form, RFM_ID_GIVEN);
    rfm__sent_by(&sent, &(rfm_cause){.code = 3, .id = rfm_text("twenty bytes, no more")}, id);
    assert_int_equal(sent.form, RFM_ID_GIVEN);
    rfm__sent_by(&sent, &(rfm_cause){.code = 3, .id = rfm_text("twenty bytes and not")}, id);
    assert_int_equal(sent.form, RFM_ID_OF_EVENT);
    assert_true(rfm_bytes_is(rfm__sent_event(&sent, uuid), "twenty bytes and not"));
    rfm__sent_by(&sent, &(rfm_cause){.code = RFM_CAUSE_TIMER, .time_ms = 7}, id);
    assert_int_equal(sent.form, RFM_ID_OF_TIMER);
    assert_int_equal(sent.cause_ms, 7);
    assert_int_equal(sent.rule, 1);
    assert_int_equal(sent.time_ms, 5);
}

/* Two experiments of one rule, the second settled, and a purchase, byte by byte. */
static void test_exposures_as_bytes(void **state)
{
    (void)state;
    const uint8_t expected[] = {4,    0x28, 5 << 2 | 1, 7, 9, 100, 50, 2,    0xac, 0x02, 2, 8,
                                0x19, 1,    2,          3, 4, 5,   0,  0xf0, 0x01, 99,   5};
    uint8_t packed[RFM_SLOTS_BYTES_MAX];
    rfm_slots slots;
    no_slots(&slots);
    rfm__slots_expose(&slots, 5, 8)->state = RFM_EXPOSURE_SETTLED;
    *rfm__slots_expose(&slots, 5, 7) = (rfm_exposure){5, 9, RFM_EXPOSURE_ENDED, 7, 100, 50, 2, 300};
    slots.bought[slots.bought_count++] = (rfm_bought){UINT64_C(0x0504030201), 120, 99, 5};
    assert_int_equal(rfm__slots_encode(&slots, packed), sizeof expected);
    assert_memory_equal(packed, expected, sizeof expected);
    rfm__slots_forget_exposure(&slots, 0);
    assert_null(rfm__slots_exposure(&slots, 5, 7));
    assert_int_equal(rfm__slots_exposure(&slots, 5, 8)->state, RFM_EXPOSURE_SETTLED);
}

static void fill_to_the_brim(rfm_slots *slots)
{
    no_slots(slots);
    for (uint32_t i = 0; i < RFM_RULES_MAX; i++)
        slots->holding[slots->holding_count++] = (uint16_t)(RFM_NAMES_MAX - RFM_RULES_MAX * 16 + 1 + i * 16);
    for (size_t i = 0; i < RFM_EVENT_TYPE_COUNT; i++)
        slots->since_ms[i] = INT64_MAX;
    for (uint16_t i = 0; i < RFM_REMEMBERED_MAX; i++) {
        rfm_remembered *sent = rfm__slots_remember(slots, (uint16_t)(RFM_NAMES_MAX - i));
        *sent = (rfm_remembered){.rule = sent->rule,
                                 .form = RFM_ID_GIVEN,
                                 .id_len = 16,
                                 .time_ms = i % 2 ? i : (INT64_C(1) << 48) - i,
                                 .id = {1}};
    }
    assert_null(rfm__slots_remember(slots, 1));
    for (int64_t i = 0; i < RFM_RECENT_MAX; i++)
        assert_true(rfm__slots_note_recent(
            slots, &(rfm_recent){(i + 1) << 41, UINT16_MAX, UINT16_MAX, RFM_CLASS_TRANSACTIONAL}));
    assert_false(rfm__slots_note_recent(slots, &(rfm_recent){1, 1, 1, RFM_CLASS_MARKETING}));
    for (uint16_t i = 0; i <= RFM_ANNIVERSARIES_MAX; i++)
        rfm__slots_meet(slots, (uint16_t)(UINT16_MAX - i), UINT16_MAX);
    assert_int_equal(slots->met_count, RFM_ANNIVERSARIES_MAX);
    for (uint16_t i = 0; i < RFM_EXPOSURES_MAX; i++) {
        rfm_exposure *exposure = rfm__slots_expose(slots, (uint16_t)(UINT16_MAX - i), (1 << RFM_SALT_BITS) - 1);
        exposure->arm = UINT16_MAX;
        exposure->time_ms = INT64_C(1) << 48, exposure->window_ms = INT64_C(1) << 36;
        exposure->orders = UINT32_MAX, exposure->revenue_minor = INT64_MAX;
        slots->bought[slots->bought_count++] = (rfm_bought){(UINT64_C(1) << 48) - 1, i % 2 ? INT64_C(1) << 48 : 0,
                                                            INT64_MAX, UINT16_MAX};
    }
    assert_null(rfm__slots_expose(slots, 1, 1));
}

static void test_the_fullest_slots_fit(void **state)
{
    (void)state;
    static uint8_t id[RFM_EVENT_TEXT_MAX];
    uint8_t packed[RFM_SLOTS_BYTES_MAX];
    rfm_slots slots;
    fill_to_the_brim(&slots);
    rfm_pending pending = {
        .rule = RFM_NAMES_MAX,
        .due_ms = INT64_MAX,
        .deferred_ms = INT64_MIN + 1,
        .cause = {1, 1, INT64_MIN, rfm_bytes_of(id, 512), rfm_bytes_of(id, RFM_KEPT_BYTES_MAX), NULL}};
    for (; pending.cause.cart <= 2; pending.cause.cart++)
        assert_true(rfm__slots_defer(&slots, &pending));
    assert_false(rfm__slots_defer(&slots, &pending));
    for (size_t len = 512; len-- > 0 && slots.pending_count == 2;) {
        pending.cause.id.len = len;
        (void)rfm__slots_defer(&slots, &pending);
    }
    assert_int_equal(slots.pending_count, 3);
    size_t len = rfm__slots_encode(&slots, packed);
    assert_true(len <= RFM_SLOTS_BYTES_MAX);
    assert_int_equal(rfm_slots_check(rfm_bytes_of(packed, len)), 0);
    /* What was given up are the ids of the oldest. */
    size_t with_id = 0;
    for (size_t i = 0; i < slots.sent_count; i++)
        with_id += slots.sent[i].form != RFM_ID_NONE;
    assert_true(with_id > 0 && with_id < RFM_REMEMBERED_MAX);
    for (size_t i = 0; i < slots.sent_count; i++) {
        size_t older = 0;
        for (size_t k = 0; k < slots.sent_count; k++)
            older += slots.sent[k].time_ms < slots.sent[i].time_ms;
        assert_int_equal(slots.sent[i].form != RFM_ID_NONE, older >= RFM_REMEMBERED_MAX - with_id);
    }
}

/* A delayed one that was taken in must find room when quiet hours put it off further. */
static void test_what_is_delayed_can_be_deferred(void **state)
{
    (void)state;
    static uint8_t id[RFM_EVENT_TEXT_MAX];
    rfm_slots slots;
    no_slots(&slots);
    rfm_pending pending = {.rule = 1,
                           .due_ms = 1,
                           .deferred_ms = RFM_NOT_DEFERRED,
                           .cause = {1, 1, 0, rfm_bytes_of(id, 512), RFM_BYTES_NONE, NULL}};
    for (; pending.cause.cart <= 8 && rfm__slots_defer(&slots, &pending); pending.cause.cart++)
        pending.cause.id.len = 512;
    for (uint32_t i = 0; i < slots.pending_count; i++) {
        rfm_pending later = slots.pending[i];
        later.deferred_ms = 0;
        assert_true(rfm__slots_defer(&slots, &later));
    }
    assert_int_equal(slots.pending_count, 2);
}

static void test_recent_ones_are_in_order(void **state)
{
    (void)state;
    rfm_slots slots;
    no_slots(&slots);
    static const int64_t times[] = {5, 3, 9, 3, 4};
    for (size_t i = 0; i < 5; i++)
        assert_true(rfm__slots_note_recent(&slots, &(rfm_recent){times[i], (uint16_t)(i + 1), 0, RFM_CLASS_MARKETING}));
    static const uint16_t rules[] = {2, 4, 5, 1, 3};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(slots.recent[i].rule, rules[i]);
    rfm__slots_forget_recent(&slots, 1);
    assert_int_equal(slots.recent_count, 4);
    assert_int_equal(slots.recent[1].rule, 5);
}

static void test_one_pending_for_rule_and_cart(void **state)
{
    (void)state;
    rfm_slots slots;
    no_slots(&slots);
    for (uint32_t i = 0; i < RFM_PENDING_MAX; i++)
        assert_true(rfm__slots_defer(
            &slots,
            &(rfm_pending){.rule = 3, .due_ms = i, .cause = {1, 7 - i, 0, rfm_text("e"), RFM_BYTES_NONE, NULL}}));
    assert_false(rfm__slots_defer(
        &slots, &(rfm_pending){.rule = 2, .due_ms = 9, .cause = {1, 0, 0, rfm_text("e"), RFM_BYTES_NONE, NULL}}));
    assert_true(rfm__slots_defer(
        &slots, &(rfm_pending){.rule = 3, .due_ms = 99, .cause = {1, 5, 0, rfm_text("f"), RFM_BYTES_NONE, NULL}}));
    assert_int_equal(slots.pending_count, RFM_PENDING_MAX);
    assert_int_equal(rfm__slots_pending(&slots, 3, 5)->due_ms, 99);
    rfm__slots_drop(&slots, rfm__slots_pending(&slots, 3, 5));
    assert_null(rfm__slots_pending(&slots, 3, 5));
    assert_int_equal(rfm__slots_pending(&slots, 3, 7)->due_ms, 0);
}

static void test_one_year_for_a_rule(void **state)
{
    (void)state;
    rfm_slots slots;
    no_slots(&slots);
    rfm__slots_meet(&slots, 7, 2025);
    rfm__slots_meet(&slots, 5, 2024);
    rfm__slots_meet(&slots, 7, 2026);
    assert_int_equal(slots.met_count, 2);
    assert_int_equal(slots.met[0].rule, 5);
    assert_int_equal(rfm__slots_met_year(&slots, 7), 2026);
    assert_int_equal(rfm__slots_met_year(&slots, 6), -1);
    rfm__slots_forget_met(&slots, 5);
    rfm__slots_forget_met(&slots, 6);
    assert_int_equal(slots.met_count, 1);
    assert_int_equal(rfm__slots_met_year(&slots, 7), 2026);
}

static void assert_corrupt(const char *bytes, size_t len)
{
    assert_int_equal(rfm_slots_check(rfm_bytes_of(bytes, len)), RFM_E_CORRUPT);
}

static void test_refuses_what_it_would_not_write(void **state)
{
    (void)state;
    assert_corrupt("\x00", 1);                                 /* no version */
    assert_corrupt("\x01", 1);                                 /* nothing after it */
    assert_corrupt("\x01\x01", 2);                             /* an empty section */
    assert_corrupt("\x01\x09\x00", 3);                         /* rule 0 */
    assert_corrupt("\x01\x11\x05\x00", 4);                     /* a rule twice */
    assert_corrupt("\x01\x09\x05\x09\x05", 5);                 /* a section twice */
    assert_corrupt("\x01\x0f\x05", 3);                         /* an unknown kind */
    assert_corrupt("\x01\x0a\x0a\x02", 4);                     /* an unknown type */
    assert_corrupt("\x01\x12\x02\x02\x02\x02", 6);             /* a type twice */
    assert_corrupt("\x01\x0c\x05\x0a\x02\x02\x01\x65\x00", 9); /* a byte too many */
    assert_int_equal(rfm_slots_check(rfm_bytes_of("\x01\x0c\x05\x0a\x02\x02\x01\x65", 8)), 0);
    assert_corrupt("\x01\x0c\x05\x0a\x03\x02\x00\x00\x00\x00\x01\x65", 12); /* a cart that is none */
    assert_corrupt("\x01\x0c\x05\x0a\x42\x02\x01\x65\x02", 9);              /* what version 1 did not have */
    assert_int_equal(rfm_slots_check(rfm_bytes_of("\x02\x0c\x05\x0a\x42\x02\x01\x65\x02", 9)), 0);
    assert_corrupt("\x02\x0c\x05\x0a\x82\x02\x01\x65\x00", 9); /* nothing kept */
    assert_corrupt("\x01\x0b\x0a\x05\x0d\x05", 6);             /* a virtual send in version 1 */
    assert_int_equal(rfm_slots_check(rfm_bytes_of("\x02\x0b\x0a\x05\x0d\x05", 6)), 0);
    assert_corrupt("\x02\x0b\x0a\x05\x0d\x06", 6);     /* of a rule that was not sent */
    assert_corrupt("\x01\x0e\x05\x05\x00", 5);         /* a recent one in version 1 */
    assert_corrupt("\x02\x0e\x05\x00\x00", 5);         /* of no rule */
    assert_corrupt("\x04\x13\x0c\x01\x01\x15\x78", 7); /* an event of more than 20 bytes */
    assert_corrupt("\x04\x13\x0b\x01\x00\x01\x78", 7); /* an event of no type */
    assert_corrupt("\x04\x13\x0f\x01\x01", 5);         /* the cause of the send before the first */
    assert_corrupt("\x04\x23\x08\x01\x0f\x01\x01", 7); /* of a send without */
    assert_corrupt("\x04\x13\x0d\x01\x01", 5);         /* an unknown form */
    assert_int_equal(rfm_slots_check(rfm_bytes_of("\x04\x23\x0b\x01\x01\x01\x78\x0f\x01\x01", 10)), 0);
    assert_corrupt("\x02\x16\x05\x05\x00\x00\x04\x00", 8); /* out of order */
    assert_int_equal(rfm_slots_check(rfm_bytes_of("\x02\x16\x05\x05\x00\x00\x05\x00", 8)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_takes_no_bytes),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_decodes_what_it_encodes),
        cmocka_unit_test(test_any_bytes_are_safe),
        cmocka_unit_test(test_the_fullest_slots_fit),
        cmocka_unit_test(test_one_pending_for_rule_and_cart),
        cmocka_unit_test(test_refuses_what_it_would_not_write),
        cmocka_unit_test(test_reads_version_1),
        cmocka_unit_test(test_reads_version_2),
        cmocka_unit_test(test_reads_version_3),
        cmocka_unit_test(test_causes_of_sends),
        cmocka_unit_test(test_exposures_as_bytes),
        cmocka_unit_test(test_one_year_for_a_rule),
        cmocka_unit_test(test_what_is_delayed_can_be_deferred),
        cmocka_unit_test(test_recent_ones_are_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
