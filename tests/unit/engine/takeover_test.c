/* Taking a task over, where there is nothing to be done but to say what is wrong; and the steps that a simulated world
 * takes too rarely. */
#include <rfm/engine/redo.h>
#include <rfm/engine/worker.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { NOW_MS = 1700000000, KINDS = RFM_OUT_HALT + 1 };

typedef struct desk {
    rfm_client_conf client;
    rfm_rules rules;
    rfm_worker *worker;
    rfm_arena arena;
    size_t seen[KINDS];
    rfm_effect last[KINDS];
} desk;

static void tell(desk *at, rfm_input input)
{
    rfm_effect effect;
    if (input.now_ms == 0)
        input.now_ms = NOW_MS;
    rfm_worker_tell(at->worker, &input);
    while (rfm_worker_next(at->worker, &effect)) {
        at->seen[effect.kind]++;
        at->last[effect.kind] = effect;
    }
}

static desk *desk_new_for(bool at_least_once)
{
    desk *at = calloc(1, sizeof *at);
    rfm_error error = {0};
    assert_non_null(at);
    rfm_arena_init(&at->arena);
    rfm_client_conf_defaults(&at->client);
    rfm_worker_conf conf = {.at_least_once = at_least_once,
                            .partition_count = 1,
                            .input_count = 1,
                            .input_topic = {"visits"},
                            .cache_bytes_max = 1 << 20,
                            .dirty_bytes_max = 1 << 20,
                            .step_events_max = 1000,
                            .wal_idle_ms = RFM_DAY_MS,
                            .client = &at->client,
                            .rules = &at->rules};
    assert_int_equal(rfm_worker_new(&conf, &at->worker, &error), RFM_OK);
    tell(at, (rfm_input){.kind = RFM_IN_EDGES, .edges = &(rfm_edges){0}});
    tell(at, (rfm_input){.kind = RFM_IN_ASSIGNED, .assignment = 1});
    assert_int_equal(at->seen[RFM_OUT_READ_POSITION], 1);
    return at;
}

static desk *desk_new(void)
{
    return desk_new_for(false);
}

static void desk_free(desk *at)
{
    rfm_worker_free(at->worker);
    rfm_arena_release(&at->arena);
    free(at);
}

static void tell_position(desk *at, int64_t next, int64_t wal)
{
    rfm_input input = {.kind = RFM_IN_POSITION, .term = at->last[RFM_OUT_READ_POSITION].term};
    input.position.committed = (rfm_position){.next = {next}, .wal = wal};
    input.position.begin[0] = 10;
    input.position.end[0] = 1000;
    tell(at, input);
}

static void tell_opened(desk *at, const char *wal)
{
    tell(at, (rfm_input){.kind = RFM_IN_OPENED,
                         .term = at->last[RFM_OUT_OPEN].term,
                         .wal_value = wal ? rfm_text(wal) : RFM_BYTES_NONE});
}

static void tell_wal(desk *at, const rfm_bytes *records, const int64_t *offsets, size_t count, int64_t begin, bool last)
{
    tell(at,
         (rfm_input){.kind = RFM_IN_WAL,
                     .term = at->last[RFM_OUT_READ_WAL].term,
                     .wal = {.records = records, .offsets = offsets, .count = count, .begin = begin, .last = last}});
}

/* The parts of a record of some operations that follows `before`. */
static size_t redo_parts(desk *at, int64_t before, size_t part_bytes_max, const rfm_bytes **parts)
{
    rfm_redo *redo = malloc(sizeof *redo);
    int64_t next[RFM_INPUTS_MAX] = {20};
    assert_non_null(redo);
    rfm_redo_init(redo, part_bytes_max);
    rfm_redo_begin(redo, 1);
    for (int i = 0; i < 3; i++)
        rfm_redo_put(redo,
                     &(rfm_redo_item){.op = RFM_REDO_LIST_ADD, .key = rfm_text("ring:1"), .value = rfm_text("c")});
    size_t count = rfm_redo_end(redo, before, next, &at->arena, parts);
    rfm_redo_release(redo);
    free(redo);
    return count;
}

static void expect_halt(desk *at, const char *said)
{
    assert_int_equal(at->seen[RFM_OUT_HALT], 1);
    assert_non_null(strstr(at->last[RFM_OUT_HALT].reason, said));
    desk_free(at);
}

static void a_gap_in_the_wal_is_not_jumped(void **state)
{
    (void)state;
    desk *at = desk_new();
    const rfm_bytes *parts;
    int64_t offset = 40;
    assert_int_equal(redo_parts(at, 35, 0, &parts), 1); /* Redis is at 30: 35 is gone */
    for (int reading = 0; reading < 2; reading++) {
        assert_int_equal(at->seen[RFM_OUT_HALT], 0);
        tell_position(at, 20, 40);
        tell_opened(at, "30 15");
        tell_wal(at, parts, &offset, 1, 34, true);
    }
    assert_int_equal(at->seen[RFM_OUT_STORE], 0);
    expect_halt(at, "restore a newer backup");
}

static void a_wal_that_is_gone_is_missed(void **state)
{
    (void)state;
    desk *at = desk_new();
    for (int reading = 0; reading < 2; reading++) {
        tell_position(at, 20, 40);
        tell_opened(at, "30 15");
        tell_wal(at, NULL, NULL, 0, 50, true);
    }
    expect_halt(at, "no record follows");
}

static void a_new_task_needs_a_whole_log(void **state)
{
    (void)state;
    desk *at = desk_new();
    tell_position(at, RFM_OFFSET_NONE, RFM_OFFSET_NONE);
    tell_opened(at, NULL);
    tell_wal(at, NULL, NULL, 0, 5, true);
    expect_halt(at, "begins at 5");
    at = desk_new();
    tell_position(at, RFM_OFFSET_NONE, RFM_OFFSET_NONE);
    tell_opened(at, "7 15");
    tell_wal(at, NULL, NULL, 0, 20, true);
    expect_halt(at, "begins at 20");
}

static void positions_that_cannot_be_are_refused(void **state)
{
    (void)state;
    desk *at = desk_new();
    tell_position(at, 9, 40);
    expect_halt(at, "expired");
    at = desk_new();
    tell_position(at, 1001, 40);
    expect_halt(at, "beyond the log's end");
    at = desk_new();
    tell_position(at, 20, RFM_OFFSET_NONE);
    expect_halt(at, "does not name a WAL offset");
}

static void a_record_of_a_newer_program_is_not_replayed(void **state)
{
    (void)state;
    desk *at = desk_new();
    const rfm_bytes *parts;
    static const int64_t offsets[] = {31, 33, 34};
    assert_int_equal(redo_parts(at, 30, 1, &parts), 3);
    uint8_t newer[256];
    assert_true(parts[2].len <= sizeof newer);
    memcpy(newer, parts[2].at, parts[2].len);
    newer[0] = 200;
    const rfm_bytes read[] = {parts[0], parts[1], rfm_bytes_of(newer, parts[2].len)};
    tell_position(at, 20, 34);
    tell_opened(at, "30 15");
    tell_wal(at, read, offsets, 3, 0, true);
    assert_int_equal(at->seen[RFM_OUT_STORE], 0);
    expect_halt(at, "WAL [0] offset 34: it has version 200, which a newer rfmd has written");
}

/* Parts come in batches of their own; they are stored in one EXEC, and what comes after them apart. */
static void parts_are_stored_together(void **state)
{
    (void)state;
    desk *at = desk_new();
    const rfm_bytes *parts;
    static const int64_t offsets[] = {31, 33, 34};
    assert_int_equal(redo_parts(at, 30, 1, &parts), 3);
    tell_position(at, 20, 34);
    tell_opened(at, "30 15");
    tell_wal(at, parts, offsets, 1, 0, false);
    assert_int_equal(at->last[RFM_OUT_READ_WAL].read_wal.from, 32);
    assert_int_equal(at->seen[RFM_OUT_STORE], 0);
    tell_wal(at, parts + 1, offsets + 1, 2, 0, true);
    assert_int_equal(at->seen[RFM_OUT_STORE], 1);
    const rfm_effect *store = &at->last[RFM_OUT_STORE];
    assert_int_equal(store->store.redo_count, 3);
    assert_true(store->store.fenced && rfm_bytes_is(store->store.wal_value, "34 20"));
    rfm_input stored = {.kind = RFM_IN_STORED, .term = store->term, .wal_value = rfm_text("34 20")};
    tell(at, stored);
    assert_int_equal(at->seen[RFM_OUT_LOAD], 8); /* the tables */
    desk_free(at);
}

/* Redis was rolled back right after it had stored: what was answered as done is not. */
static void what_is_read_after_storing_counts(void **state)
{
    (void)state;
    desk *at = desk_new();
    const rfm_bytes *parts;
    int64_t offset = 31;
    assert_int_equal(redo_parts(at, 30, 0, &parts), 1);
    tell_position(at, 20, 31);
    tell_opened(at, "30 15");
    tell_wal(at, parts, &offset, 1, 0, true);
    tell(at, (rfm_input){.kind = RFM_IN_STORED, .term = at->last[RFM_OUT_STORE].term, .wal_value = rfm_text("12 3")});
    assert_int_equal(at->seen[RFM_OUT_LOAD], 0);
    assert_int_equal(at->seen[RFM_OUT_READ_POSITION], 2);
    desk_free(at);
}

static void who_is_in_the_way_is_evicted(void **state)
{
    (void)state;
    desk *at = desk_new();
    const rfm_bytes ids[] = {rfm_text("one"), rfm_text("two")};
    tell(at, (rfm_input){.kind = RFM_IN_POSITION, .term = at->last[RFM_OUT_READ_POSITION].term, .answer = RFM_BLOCKED});
    assert_int_equal(at->seen[RFM_OUT_READ_TAIL], 1);
    uint32_t term = at->last[RFM_OUT_READ_TAIL].term;
    tell(at, (rfm_input){.kind = RFM_IN_TAIL, .term = term, .tail = {.ids = ids, .count = 2}});
    assert_int_equal(at->seen[RFM_OUT_EVICT], 2);
    tell(at, (rfm_input){.kind = RFM_IN_EVICTED, .term = term});
    assert_int_equal(at->seen[RFM_OUT_READ_POSITION], 1);
    tell(at, (rfm_input){.kind = RFM_IN_EVICTED, .term = term});
    assert_int_equal(at->seen[RFM_OUT_READ_POSITION], 2);
    /* Nobody there any more: it will pass; but not at once. */
    tell(at, (rfm_input){.kind = RFM_IN_POSITION, .term = at->last[RFM_OUT_READ_POSITION].term, .answer = RFM_BLOCKED});
    tell(at, (rfm_input){.kind = RFM_IN_TAIL, .term = at->last[RFM_OUT_READ_TAIL].term});
    assert_int_equal(at->seen[RFM_OUT_READ_POSITION], 2);
    assert_int_equal(rfm_worker_wake_ms(at->worker), NOW_MS + 1000);
    tell(at, (rfm_input){.kind = RFM_IN_TIME, .now_ms = NOW_MS + 1000});
    assert_int_equal(at->seen[RFM_OUT_READ_POSITION], 3);
    desk_free(at);
}

/* What was asked for before is answered afterwards. */
static void answers_of_an_earlier_term_are_dropped(void **state)
{
    (void)state;
    desk *at = desk_new();
    uint32_t term = at->last[RFM_OUT_READ_POSITION].term;
    tell(at, (rfm_input){.kind = RFM_IN_LOST});
    tell(at, (rfm_input){.kind = RFM_IN_ASSIGNED, .assignment = 2});
    assert_int_equal(at->seen[RFM_OUT_READ_POSITION], 2);
    rfm_input late = {.kind = RFM_IN_POSITION, .term = term, .position = {.committed = {.next = {20}, .wal = 3}}};
    late.position.end[0] = 1000;
    tell(at, late);
    assert_int_equal(at->seen[RFM_OUT_OPEN], 0);
    tell_position(at, 20, 40);
    assert_int_equal(at->seen[RFM_OUT_OPEN], 1);
    desk_free(at);
}

/* -- at least once: Redis says where to go on, whatever the group says */

static void at_least_once_goes_on_from_redis(void **state)
{
    (void)state;
    desk *at = desk_new_for(true);
    tell_position(at, 500, 42);
    tell_opened(at, "16777217 300");
    assert_int_equal(at->seen[RFM_OUT_HALT], 0);
    assert_int_equal(at->seen[RFM_OUT_READ_WAL], 0);
    assert_true(at->seen[RFM_OUT_LOAD] > 0);
    assert_int_equal(at->last[RFM_OUT_COMMIT].from.next[0], 300); /* the group's offset goes back with it */
    desk_free(at);
}

static void at_least_once_a_new_task_begins_where_the_log_begins(void **state)
{
    (void)state;
    desk *at = desk_new_for(true);
    tell_position(at, RFM_OFFSET_NONE, RFM_OFFSET_NONE);
    tell_opened(at, NULL);
    assert_int_equal(at->seen[RFM_OUT_HALT], 0);
    assert_true(at->seen[RFM_OUT_LOAD] > 0);
    assert_int_equal(at->seen[RFM_OUT_COMMIT], 0);
    desk_free(at);
}

/* Read again first: the log's end may have been older than what Redis says. */
static void at_least_once_what_the_log_does_not_have_is_said(void **state)
{
    static const struct {
        const char *wal, *said;
    } rows[] = {
        {"16777217 5", "visits [0]: Redis goes on from offset 5, but the log has 10 to 1000: restore a newer backup"},
        {"16777217 1001", "visits [0]: Redis goes on from offset 1001, but the log has 10 to 1000"},
        {NULL, "visits [0]: Redis goes on from offset 0, but the log has 10 to 1000"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        desk *at = desk_new_for(true);
        tell_position(at, 500, 42);
        tell_opened(at, rows[i].wal);
        assert_int_equal(at->seen[RFM_OUT_HALT], 0);
        assert_int_equal(at->seen[RFM_OUT_READ_POSITION], 2);
        tell_position(at, 500, 42);
        tell_opened(at, rows[i].wal);
        expect_halt(at, rows[i].said);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gap_in_the_wal_is_not_jumped),
        cmocka_unit_test(a_wal_that_is_gone_is_missed),
        cmocka_unit_test(a_new_task_needs_a_whole_log),
        cmocka_unit_test(positions_that_cannot_be_are_refused),
        cmocka_unit_test(a_record_of_a_newer_program_is_not_replayed),
        cmocka_unit_test(parts_are_stored_together),
        cmocka_unit_test(what_is_read_after_storing_counts),
        cmocka_unit_test(who_is_in_the_way_is_evicted),
        cmocka_unit_test(answers_of_an_earlier_term_are_dropped),
        cmocka_unit_test(at_least_once_goes_on_from_redis),
        cmocka_unit_test(at_least_once_a_new_task_begins_where_the_log_begins),
        cmocka_unit_test(at_least_once_what_the_log_does_not_have_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
