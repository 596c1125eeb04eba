/* Slots as every version of the format has packed them, since its first. */
#include "fixture.h"

#include "rule/slot.h"

#include <rfm/rule/decide.h>

static const char *const files[] = {"slots-1.ndjson", "slots-2.ndjson", "slots-3.ndjson", "slots-4.ndjson"};
static const char *const written[] = {"slots-4.ndjson"}; /* by the present code */

static uint8_t kept[RFM_PENDING_MAX][RFM_KEPT_BYTES_MAX]; /* what a meaning's pending ones keep */

static void mirror_holding(mirror *at, rfm_slots *slots)
{
    mirror list;
    slots->holding_count = (uint16_t)mirror_list(at, "holding", slots->holding_count, RFM_RULES_MAX, &list);
    for (size_t i = 0; i < slots->holding_count; i++) {
        mirror entry = mirror_entry(&list, i);
        mirror_number(&entry, "rule", &slots->holding[i], sizeof slots->holding[i], false);
    }
}

/* By the type's number: 0 is a time like any other, and nothing is known where a type has no entry. */
static void mirror_since(mirror *at, rfm_slots *slots)
{
    mirror list;
    size_t count = 0;
    for (size_t type = 0; type < RFM_EVENT_TYPE_COUNT && !at->in; type++)
        count += slots->since_ms[type] != RFM_SINCE_NONE;
    count = mirror_list(at, "since", count, RFM_EVENT_TYPE_COUNT, &list);
    for (size_t i = 0, type = 0; i < count; i++, type++) {
        while (!at->in && slots->since_ms[type] == RFM_SINCE_NONE)
            type++;
        mirror entry = mirror_entry(&list, i);
        mirror_number(&entry, "type", &type, sizeof type, false);
        assert_true(type < RFM_EVENT_TYPE_COUNT);
        mirror_number(&entry, "time_ms", &slots->since_ms[type], sizeof slots->since_ms[type], true);
    }
}

static void mirror_sent(mirror *at, rfm_slots *slots)
{
    mirror list;
    slots->sent_count = (uint16_t)mirror_list(at, "sent", slots->sent_count, RFM_REMEMBERED_MAX, &list);
    for (size_t i = 0; i < slots->sent_count; i++) {
        mirror entry = mirror_entry(&list, i);
        rfm_remembered *sent = &slots->sent[i];
        MIRROR(&entry, sent, rule);
        MIRROR(&entry, sent, time_ms);
        MIRROR(&entry, sent, form);
        MIRROR(&entry, sent, code);
        MIRROR(&entry, sent, cause_ms);
        MIRROR(&entry, sent, is_virtual);
        if (entry.in && yyjson_obj_get(entry.in, "has_id")) /* before version 4 */
            sent->form = RFM_ID_GIVEN;
        sent->id_len = (uint8_t)mirror_hex(&entry, "id", sent->id, sent->id_len, sizeof sent->id);
    }
}

static void mirror_pending(mirror *at, rfm_slots *slots)
{
    mirror list;
    slots->pending_count = (uint16_t)mirror_list(at, "pending", slots->pending_count, RFM_PENDING_MAX, &list);
    for (size_t i = 0; i < slots->pending_count; i++) {
        mirror entry = mirror_entry(&list, i);
        rfm_pending *pending = &slots->pending[i];
        rfm_cause *cause = &pending->cause;
        MIRROR(&entry, pending, rule);
        MIRROR(&entry, pending, due_ms);
        mirror_number(&entry, "code", &cause->code, sizeof cause->code, false);
        mirror_number(&entry, "cart", &cause->cart, sizeof cause->cart, false);
        mirror_number(&entry, "time_ms", &cause->time_ms, sizeof cause->time_ms, true);
        mirror_text(&entry, "id", &cause->id);
        if (cause->kept.len > 0 && !at->in)
            memcpy(kept[i], cause->kept.at, cause->kept.len);
        size_t len = mirror_hex(&entry, "kept", kept[i], cause->kept.len, RFM_KEPT_BYTES_MAX);
        cause->kept = rfm_bytes_of(kept[i], len);
        int64_t deferred_ms = pending->deferred_ms == RFM_NOT_DEFERRED ? 0 : pending->deferred_ms;
        mirror_number(&entry, "deferred_ms", &deferred_ms, sizeof deferred_ms, true);
        pending->deferred_ms = deferred_ms == 0 ? RFM_NOT_DEFERRED : deferred_ms;
    }
}

static void mirror_recent(mirror *at, rfm_slots *slots)
{
    mirror list;
    slots->recent_count = (uint16_t)mirror_list(at, "recent", slots->recent_count, RFM_RECENT_MAX, &list);
    for (size_t i = 0; i < slots->recent_count; i++) {
        mirror entry = mirror_entry(&list, i);
        MIRROR(&entry, &slots->recent[i], time_ms);
        MIRROR(&entry, &slots->recent[i], rule);
        MIRROR(&entry, &slots->recent[i], channel);
        MIRROR(&entry, &slots->recent[i], class_);
    }
}

static void mirror_met(mirror *at, rfm_slots *slots)
{
    mirror list;
    slots->met_count = (uint16_t)mirror_list(at, "met", slots->met_count, RFM_ANNIVERSARIES_MAX, &list);
    for (size_t i = 0; i < slots->met_count; i++) {
        mirror entry = mirror_entry(&list, i);
        MIRROR(&entry, &slots->met[i], rule);
        MIRROR(&entry, &slots->met[i], year);
    }
}

static void mirror_exposed(mirror *at, rfm_slots *slots)
{
    mirror list;
    slots->exposure_count = (uint16_t)mirror_list(at, "exposed", slots->exposure_count, RFM_EXPOSURES_MAX, &list);
    for (size_t i = 0; i < slots->exposure_count; i++) {
        mirror entry = mirror_entry(&list, i);
        rfm_exposure *exposure = &slots->exposure[i];
        MIRROR(&entry, exposure, rule);
        MIRROR(&entry, exposure, salt);
        MIRROR(&entry, exposure, state);
        MIRROR(&entry, exposure, arm);
        MIRROR(&entry, exposure, time_ms);
        MIRROR(&entry, exposure, window_ms);
        MIRROR(&entry, exposure, orders);
        MIRROR(&entry, exposure, revenue_minor);
    }
}

static void mirror_bought(mirror *at, rfm_slots *slots)
{
    mirror list;
    slots->bought_count = (uint16_t)mirror_list(at, "bought", slots->bought_count, RFM_BOUGHT_MAX, &list);
    for (size_t i = 0; i < slots->bought_count; i++) {
        mirror entry = mirror_entry(&list, i);
        mirror_id(&entry, "id39", "id48", &slots->bought[i].id39, RFM_ID_BITS);
        MIRROR(&entry, &slots->bought[i], time_ms);
        MIRROR(&entry, &slots->bought[i], left_minor);
        MIRROR(&entry, &slots->bought[i], rule);
    }
}

static void mirror_slots(mirror *at, rfm_slots *slots)
{
    mirror_holding(at, slots);
    mirror_since(at, slots);
    mirror_sent(at, slots);
    mirror_pending(at, slots);
    mirror_recent(at, slots);
    mirror_met(at, slots);
    mirror_exposed(at, slots);
    mirror_bought(at, slots);
}

static void take_meaning(yyjson_val *meaning, rfm_slots *slots)
{
    memset(slots, 0, sizeof *slots);
    assert_int_equal(rfm__slots_decode(RFM_BYTES_NONE, slots), 0);
    mirror_slots(&(mirror){.in = meaning}, slots);
}

static size_t pack(yyjson_val *meaning, uint8_t packed[FIXTURE_BYTES_MAX])
{
    static rfm_slots slots;
    take_meaning(meaning, &slots);
    return rfm__slots_encode(&slots, packed);
}

static void check_read(const fixture *of)
{
    static rfm_slots slots;
    memset(&slots, 0x5a, sizeof slots);
    int code = rfm__slots_decode(of->packed, &slots);
    if (code != RFM_OK)
        fail_msg("%s, %s: %s", of->file, of->name, rfm_error_text(code));
    assert_int_equal(rfm_slots_check(of->packed), RFM_OK);
    mirror wanted = mirror_making(), made = mirror_making();
    mirror_slots(&made, &slots);
    take_meaning(of->meaning, &slots);
    mirror_slots(&wanted, &slots);
    assert_meaning(of, &wanted, &made);
}

static void check_written(const fixture *of)
{
    static uint8_t packed[FIXTURE_BYTES_MAX];
    static rfm_slots taken;
    mirror wanted = mirror_making();
    take_meaning(of->meaning, &taken);
    mirror_slots(&wanted, &taken);
    assert_whole(of, &wanted);
    assert_packed(of, rfm_bytes_of(packed, pack(of->meaning, packed)));
}

static void test_every_version_is_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        assert_true(fixture_each(files[i], check_read) >= 10);
}

static void test_what_is_written_has_not_changed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof written / sizeof *written; i++)
        assert_true(fixture_each(written[i], check_written) >= 10);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_version_is_read),
        cmocka_unit_test(test_what_is_written_has_not_changed),
    };
    if (fixture_wanted(argc, argv))
        return fixture_write(argv[2], pack);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
