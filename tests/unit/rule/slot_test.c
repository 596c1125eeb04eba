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
        assert_int_equal(a->sent[i].has_id, b->sent[i].has_id);
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
    sent->has_id = true;
    assert_int_equal(rfm__slots_encode(&slots, packed), 2 + 1 + 6 + 16);
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
        *sent = (rfm_remembered){sent->rule, draw(4) > 0, (int64_t)draw(UINT32_MAX) * 900, {0}};
        for (size_t k = 0; sent->has_id && k < sizeof sent->id; k++)
            sent->id[k] = (uint8_t)draw(256);
    }
    for (uint32_t i = draw(RFM_PENDING_MAX + 1); i > 0; i--) {
        rfm_pending pending = {.rule = (uint16_t)(1 + draw(5)), .due_ms = (int64_t)draw(UINT32_MAX) * 900};
        pending.cause.code = (uint8_t)draw(RFM_EVENT_TYPE_COUNT + 1);
        pending.cause.time_ms = (int64_t)draw(UINT32_MAX) * 900;
        if (pending.cause.code != RFM_CAUSE_TIMER) {
            pending.cause.cart = draw(3);
            for (size_t k = 0; k < 64; k++)
                ids[i - 1][k] = (uint8_t)draw(256);
            pending.cause.id = rfm_bytes_of(ids[i - 1], draw(65));
        }
        assert_true(rfm__slots_defer(slots, &pending));
    }
}

static void test_decodes_what_it_encodes(void **state)
{
    (void)state;
    for (int i = 0; i < 20000; i++) {
        uint8_t ids[RFM_PENDING_MAX][64], packed[RFM_SLOTS_BYTES_MAX], again[RFM_SLOTS_BYTES_MAX];
        rfm_slots slots, decoded;
        fill(&slots, ids);
        size_t len = rfm__slots_encode(&slots, packed);
        assert_int_equal(rfm__slots_decode(rfm_bytes_of(packed, len), &decoded), 0);
        assert_slots_equal(&slots, &decoded);
        assert_int_equal(rfm__slots_encode(&decoded, again), len);
        assert_memory_equal(packed, again, len);
        if (len > 0) {
            assert_int_equal(rfm_slots_check(rfm_bytes_of(packed, len - 1)), RFM_E_CORRUPT);
            packed[0] = 2;
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
        bytes[0] = 1;
        if (rfm__slots_decode(rfm_bytes_of(bytes, len), &slots) == 0)
            assert_true(rfm__slots_encode(&slots, again) <= len);
    }
}

static void test_the_fullest_slots_fit(void **state)
{
    (void)state;
    static uint8_t id[RFM_EVENT_TEXT_MAX];
    uint8_t packed[RFM_SLOTS_BYTES_MAX];
    rfm_slots slots;
    no_slots(&slots);
    for (uint32_t i = 0; i < RFM_RULES_MAX; i++)
        slots.holding[slots.holding_count++] = (uint16_t)(RFM_NAMES_MAX - RFM_RULES_MAX * 16 + 1 + i * 16);
    for (size_t i = 0; i < RFM_EVENT_TYPE_COUNT; i++)
        slots.since_ms[i] = INT64_MAX;
    for (uint16_t i = 0; i < RFM_REMEMBERED_MAX; i++) {
        rfm_remembered *sent = rfm__slots_remember(&slots, (uint16_t)(RFM_NAMES_MAX - i));
        *sent = (rfm_remembered){sent->rule, true, (INT64_C(1) << 48) - i, {1}};
    }
    assert_null(rfm__slots_remember(&slots, 1));
    rfm_pending pending = {
        .rule = RFM_NAMES_MAX, .due_ms = INT64_MAX, .cause = {1, 1, INT64_MIN, rfm_bytes_of(id, 512)}};
    assert_true(rfm__slots_defer(&slots, &pending));
    pending.cause.cart = 2;
    assert_false(rfm__slots_defer(&slots, &pending));
    for (size_t len = 512; len-- > 0 && slots.pending_count == 1;) {
        pending.cause.id.len = len;
        (void)rfm__slots_defer(&slots, &pending);
    }
    size_t len = rfm__slots_encode(&slots, packed);
    assert_true(len <= RFM_SLOTS_BYTES_MAX);
    assert_int_equal(rfm_slots_check(rfm_bytes_of(packed, len)), 0);
    /* What was given up are the ids of the oldest. */
    size_t with_id = 0;
    for (size_t i = 0; i < slots.sent_count; i++)
        with_id += slots.sent[i].has_id;
    assert_true(with_id > 0 && with_id < RFM_REMEMBERED_MAX);
    for (size_t i = 0; i < slots.sent_count; i++)
        assert_int_equal(slots.sent[i].has_id, slots.sent[i].time_ms > (INT64_C(1) << 48) - (int64_t)with_id);
}

static void test_one_pending_for_rule_and_cart(void **state)
{
    (void)state;
    rfm_slots slots;
    no_slots(&slots);
    for (uint32_t i = 0; i < RFM_PENDING_MAX; i++)
        assert_true(
            rfm__slots_defer(&slots, &(rfm_pending){.rule = 3, .due_ms = i, .cause = {1, 7 - i, 0, rfm_text("e")}}));
    assert_false(rfm__slots_defer(&slots, &(rfm_pending){.rule = 2, .due_ms = 9, .cause = {1, 0, 0, rfm_text("e")}}));
    assert_true(rfm__slots_defer(&slots, &(rfm_pending){.rule = 3, .due_ms = 99, .cause = {1, 5, 0, rfm_text("f")}}));
    assert_int_equal(slots.pending_count, RFM_PENDING_MAX);
    assert_int_equal(rfm__slots_pending(&slots, 3, 5)->due_ms, 99);
    rfm__slots_drop(&slots, rfm__slots_pending(&slots, 3, 5));
    assert_null(rfm__slots_pending(&slots, 3, 5));
    assert_int_equal(rfm__slots_pending(&slots, 3, 7)->due_ms, 0);
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
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_takes_no_bytes),          cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_decodes_what_it_encodes),         cmocka_unit_test(test_any_bytes_are_safe),
        cmocka_unit_test(test_the_fullest_slots_fit),           cmocka_unit_test(test_one_pending_for_rule_and_cart),
        cmocka_unit_test(test_refuses_what_it_would_not_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
