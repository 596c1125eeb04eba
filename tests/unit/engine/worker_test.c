/* The worker as its adapters see it, where the simulator's world does not go: what is refused, what stands still, what
 * is large. */
#include <rfm/base/hash.h>
#include <rfm/engine/keys.h>
#include <rfm/engine/redo.h>
#include <rfm/engine/view.h>
#include <rfm/engine/worker.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { NOW_MS = 1700000000, KINDS = RFM_OUT_HALT + 1, TABLES = 8 };

typedef struct desk {
    rfm_client_conf client;
    rfm_rules rules;
    rfm_worker *worker;
    size_t seen[KINDS];
    rfm_effect last[KINDS];
    rfm_effect loads[2048];
    size_t load_count, published, stored; /* published, stored: of those seen, carried out */
    size_t triggers, step_triggers_max;   /* of all steps to be published, of the one that had most */
    uint32_t task;                        /* that is told of */
    int64_t now_ms;                       /* where nothing else is said */
    int64_t next;                         /* the offset of the record to be fed, if `publish` feeds them */
} desk;

static void count_triggers(desk *at, const rfm_step *step)
{
    size_t count = 0;
    for (size_t i = 0; i < step->message_count; i++)
        count += step->messages[i].topic >= RFM_TOPIC_TRIGGERS;
    at->triggers += count;
    if (count > at->step_triggers_max)
        at->step_triggers_max = count;
}

/* Takes what the worker wants now. */
static void take(desk *at)
{
    rfm_effect effect;
    while (rfm_worker_next(at->worker, &effect)) {
        at->seen[effect.kind]++;
        at->last[effect.kind] = effect;
        if (effect.kind == RFM_OUT_PUBLISH)
            count_triggers(at, effect.step);
        if (effect.kind == RFM_OUT_LOAD && at->load_count < sizeof at->loads / sizeof *at->loads)
            at->loads[at->load_count++] = effect;
    }
}

static void tell(desk *at, rfm_input input)
{
    if (input.now_ms == 0)
        input.now_ms = at->now_ms;
    input.task = at->task;
    rfm_worker_tell(at->worker, &input);
    take(at);
}

/* The first of `partition_count` tasks is assigned. */
static desk *desk_with(uint32_t partition_count, size_t cache_bytes_max, size_t step_events_max, size_t input_count,
                       rfm_rule *rule, rfm_format format)
{
    rfm_error error = {0};
    desk *at = calloc(1, sizeof *at);
    assert_non_null(at);
    at->now_ms = NOW_MS;
    rfm_client_conf_defaults(&at->client);
    at->rules = (rfm_rules){.rule = rule,
                            .count = rule != NULL,
                            .topic_count = 1,
                            .max_trigger_age_ms = INT64_MAX,
                            .silent_until_ms = INT64_MIN};
    rfm_worker_conf conf = {.partition_count = partition_count,
                            .input_count = input_count,
                            .input_topic = {"visits", "more"},
                            .input_reading = {{.format = format}},
                            .check_records = partition_count == 1,
                            .cache_bytes_max = cache_bytes_max,
                            .dirty_bytes_max = 64 << 20,
                            .step_events_max = step_events_max,
                            .wal_idle_ms = RFM_DAY_MS,
                            .client = &at->client,
                            .rules = &at->rules};
    assert_int_equal(rfm_worker_new(&conf, &at->worker, &error), RFM_OK);
    tell(at, (rfm_input){.kind = RFM_IN_ASSIGNED, .assignment = 1});
    return at;
}

static desk *desk_without_edges(size_t cache_bytes_max, size_t input_count, rfm_rule *rule, rfm_format format)
{
    return desk_with(1, cache_bytes_max, 20000, input_count, rule, format);
}

static desk *desk_of(size_t cache_bytes_max, size_t input_count, rfm_rule *rule, rfm_format format)
{
    desk *at = desk_without_edges(cache_bytes_max, input_count, rule, format);
    tell(at, (rfm_input){.kind = RFM_IN_EDGES, .edges = &(rfm_edges){0}});
    return at;
}

static desk *desk_new(size_t cache_bytes_max)
{
    return desk_of(cache_bytes_max, 1, NULL, RFM_FORMAT_NATIVE);
}

static void desk_free(desk *at)
{
    rfm_worker_free(at->worker);
    free(at);
}

static void tell_position(desk *at, int64_t next, int64_t wal)
{
    rfm_input input = {.kind = RFM_IN_POSITION, .term = at->last[RFM_OUT_READ_POSITION].term};
    input.position.committed = (rfm_position){.next = {next, next < 0 ? next : 0}, .wal = wal};
    input.position.end[0] = 1000;
    tell(at, input);
}

static void tell_opened(desk *at, const char *wal)
{
    tell(at, (rfm_input){.kind = RFM_IN_OPENED,
                         .term = at->last[RFM_OUT_OPEN].term,
                         .wal_value = wal ? rfm_text(wal) : RFM_BYTES_NONE});
}

/* A new task of an empty log, up to where it consumes. */
static void begin_new(desk *at)
{
    size_t before = at->seen[RFM_OUT_CONSUME_FROM];
    tell_position(at, RFM_OFFSET_NONE, RFM_OFFSET_NONE);
    tell_opened(at, NULL);
    tell(at, (rfm_input){.kind = RFM_IN_WAL, .term = at->last[RFM_OUT_READ_WAL].term, .wal = {.last = true}});
    assert_int_equal(at->load_count, TABLES);
    for (size_t i = 0; i < TABLES; i++)
        tell(at, (rfm_input){.kind = RFM_IN_LOADED,
                             .term = at->last[RFM_OUT_LOAD].term,
                             .loaded = {.load = at->loads[i].load.load}});
    assert_int_equal(at->seen[RFM_OUT_CONSUME_FROM], before + 1);
    at->load_count = 0;
}

static rfm_record record_of(int64_t offset, rfm_bytes key, rfm_bytes value)
{
    return (rfm_record){.offset = offset, .append_ms = NOW_MS, .key = key, .value = value};
}

/* One WAL record of one part that follows `before`. */
static rfm_bytes redo_part(rfm_arena *arena, int64_t before)
{
    rfm_redo *redo = malloc(sizeof *redo);
    const rfm_bytes *parts;
    int64_t next[RFM_INPUTS_MAX] = {1};
    assert_non_null(redo);
    rfm_redo_init(redo, 0);
    rfm_redo_begin(redo, 1);
    rfm_redo_put(redo, &(rfm_redo_item){RFM_REDO_HASH_SET, rfm_text("names"), rfm_text("1"), rfm_text("web")});
    assert_int_equal(rfm_redo_end(redo, before, next, arena, &parts), 1);
    rfm_bytes part = parts[0];
    rfm_redo_release(redo);
    free(redo);
    return part;
}

/* Redis says while a take-over stores that it holds a change only in part. Its connection is closed first, by which the
 * take-over begins again; read anew, `wal` would look fine. */
static void test_a_refusal_is_heard_whenever_it_comes(void **state)
{
    (void)state;
    desk *at = desk_new(1 << 20);
    rfm_arena arena;
    rfm_arena_init(&arena);
    rfm_bytes part = redo_part(&arena, 4);
    int64_t offset = 7;
    tell_position(at, 1, 7);
    tell_opened(at, "4 0");
    tell(at, (rfm_input){.kind = RFM_IN_WAL,
                         .term = at->last[RFM_OUT_READ_WAL].term,
                         .wal = {.records = &part, .offsets = &offset, .count = 1, .last = true}});
    assert_int_equal(at->seen[RFM_OUT_STORE], 1);
    uint32_t term = at->last[RFM_OUT_STORE].term;
    tell(at, (rfm_input){.kind = RFM_IN_CLOSED, .term = term});
    assert_int_equal(at->seen[RFM_OUT_HALT], 0);
    tell(at,
         (rfm_input){.kind = RFM_IN_OPENED, .term = term, .answer = RFM_REFUSED_FOR_GOOD, .reason = "only in part"});
    assert_int_equal(at->seen[RFM_OUT_HALT], 1);
    assert_string_equal(at->last[RFM_OUT_HALT].reason, "only in part");
    rfm_arena_release(&arena);
    desk_free(at);
}

/* Who has lost a task and has not heard of it sees Redis ahead of what it read a moment ago, as long as its successor
 * works. */
static void test_redis_ahead_of_the_log_is_wrong_only_if_it_stands_still(void **state)
{
    (void)state;
    desk *at = desk_new(1 << 20);
    for (int64_t wal = 10; wal < 100; wal += 10) {
        char ahead[32];
        snprintf(ahead, sizeof ahead, "%lld 5", (long long)wal + 3);
        tell_position(at, 5, wal);
        tell_opened(at, ahead);
        assert_int_equal(at->seen[RFM_OUT_HALT], 0);
    }
    tell_position(at, 5, 90);
    tell_opened(at, "93 5");
    assert_int_equal(at->seen[RFM_OUT_HALT], 1);
    desk_free(at);
}

static void test_large_records_make_small_steps(void **state)
{
    (void)state;
    enum { COUNT = 1000, BYTES = 800 * 1024 };
    desk *at = desk_new(1 << 20);
    char *text = calloc(1, BYTES);
    rfm_record *records = calloc(COUNT, sizeof *records);
    assert_true(text && records);
    begin_new(at);
    for (int64_t i = 0; i < COUNT; i++)
        records[i] = record_of(i, rfm_text("c"), rfm_bytes_of(text, BYTES));
    size_t fed = 0, steps = 0;
    while (fed < COUNT) {
        size_t taken = 0, now;
        while ((now = rfm_worker_feed(at->worker, records + fed + taken, COUNT - fed - taken, NOW_MS)) > 0)
            taken += now;
        assert_in_range(taken, 1, 128); /* about 100 MB */
        fed += taken;
        take(at);
        assert_int_equal(at->seen[RFM_OUT_PUBLISH], ++steps);
        rfm_step *step = at->last[RFM_OUT_PUBLISH].step;
        step->changes[0].to.wal = (int64_t)steps;
        tell(at, (rfm_input){.kind = RFM_IN_PUBLISHED, .step = step});
        char wal[32];
        snprintf(wal, sizeof wal, "%zu 0", steps);
        tell(at, (rfm_input){.kind = RFM_IN_STORED, .term = at->last[RFM_OUT_STORE].term, .wal_value = rfm_text(wal)});
    }
    assert_int_equal(rfm_worker_stats_of(at->worker)->dead_letters, COUNT);
    free(records);
    free(text);
    desk_free(at);
}

/* Feeds visits of client after client until no more is taken. */
static int64_t feed_visits(desk *at, int64_t offset)
{
    for (;; offset++) {
        char id[32], value[200];
        snprintf(id, sizeof id, "client-%lld", (long long)offset);
        snprintf(value, sizeof value, "{\"type\":\"visit\",\"id\":\"v\",\"client_id\":\"%s\",\"time\":%lld}", id,
                 (long long)NOW_MS * 1000);
        rfm_record record = record_of(offset, rfm_text(id), rfm_text(value));
        record.append_ms = (int64_t)NOW_MS * 1000;
        if (rfm_worker_feed(at->worker, &record, 1, NOW_MS) == 0)
            return offset;
    }
}

/* Whoever feeds asks `takes` whether it is any use: true with no room would make it turn in circles. */
static void test_a_cache_without_room_takes_nothing_until_there_is(void **state)
{
    (void)state;
    desk *at = desk_new(64 << 10);
    begin_new(at);
    rfm_record bad = record_of(0, rfm_text("c"), rfm_text("no event"));
    assert_int_equal(rfm_worker_feed(at->worker, &bad, 1, NOW_MS), 1);
    take(at);
    assert_int_equal(at->seen[RFM_OUT_PUBLISH], 1); /* while it is under way, the next step is made */
    int64_t fed = feed_visits(at, 1);
    assert_in_range(fed, 50, 2000);
    assert_false(rfm_worker_takes(at->worker));
    take(at);
    assert_false(rfm_worker_takes(at->worker));
    rfm_bytes *none = calloc((size_t)fed, sizeof *none);
    assert_non_null(none);
    while (at->load_count > 0) {
        rfm_effect load = at->loads[--at->load_count];
        tell(at, (rfm_input){.kind = RFM_IN_LOADED,
                             .term = load.term,
                             .loaded = {.load = load.load.load, .values = none, .count = load.load.count}});
    }
    assert_true(rfm_worker_takes(at->worker)); /* nothing is being loaded any more: worth a try */
    free(none);
    desk_free(at);
}

static size_t lists_asked_for(const desk *at)
{
    size_t count = 0;
    for (size_t i = 0; i < at->load_count; i++)
        count += at->loads[i].load.what == RFM_LOAD_LIST;
    return count;
}

/* Redis has the WAL's last record, a moment at due_s and the clock at now_ms; input 0 has records up to 999. */
static void begin_with_moment(desk *at, int64_t now_ms, int64_t due_s)
{
    tell(at, (rfm_input){.kind = RFM_IN_TIME, .now_ms = now_ms});
    tell_position(at, 999, 7); /* of 1,000 */
    tell_opened(at, "7 999");
    char second[24], minute[24];
    snprintf(second, sizeof second, "%lld", (long long)due_s);
    snprintf(minute, sizeof minute, "%lld", (long long)(now_ms / RFM_MINUTE_MS));
    rfm_bytes due[] = {rfm_text(second), rfm_text("1")};
    rfm_bytes task[] = {rfm_text("0"), rfm_text(minute), rfm_text("2"), rfm_text("1")};
    assert_int_equal(at->load_count, TABLES);
    for (size_t i = 0; i < TABLES; i++) {
        bool is_due = rfm_bytes_equal(at->loads[i].load.keys[0], rfm_text("n:due"));
        bool is_task = rfm_bytes_equal(at->loads[i].load.keys[0], rfm_text("n:task"));
        rfm_input input = {
            .kind = RFM_IN_LOADED, .term = at->loads[i].term, .loaded = {.load = at->loads[i].load.load}};
        input.loaded.wal_value = rfm_text("7 999");
        input.loaded.values = is_due ? due : task;
        input.loaded.count = is_due ? 2 : is_task ? 4 : 0;
        tell(at, input);
    }
    assert_int_equal(at->seen[RFM_OUT_CONSUME_FROM], 1);
    at->load_count = 0;
}

static void feed_visit_at(desk *at, int64_t now_ms, int64_t append_ms)
{
    char value[200];
    snprintf(value, sizeof value, "{\"type\":\"visit\",\"id\":\"v\",\"client_id\":\"c\",\"time\":%lld}",
             (long long)now_ms);
    rfm_record record = record_of(999, rfm_text("c"), rfm_text(value));
    record.append_ms = append_ms;
    assert_int_equal(rfm_worker_feed(at->worker, &record, 1, now_ms), 1);
    take(at);
    assert_int_equal(at->load_count, 1);
    assert_int_equal(lists_asked_for(at), 0);
}

static void tell_no_client(desk *at)
{
    rfm_bytes none = RFM_BYTES_NONE;
    rfm_input loaded = {.kind = RFM_IN_LOADED, .term = at->loads[0].term, .loaded = {.load = at->loads[0].load.load}};
    loaded.loaded.wal_value = rfm_text("7 999");
    loaded.loaded.values = &none;
    loaded.loaded.count = 1;
    tell(at, loaded);
}

/* What an owner finds is met before the task's timers fire, also a record whose client has to be loaded first. It had
 * counted as read when it was taken: a client was sent a win-back although its purchase waited. */
static void test_a_backlog_that_waits_for_its_client_holds_timers_back(void **state)
{
    (void)state;
    const int64_t now_ms = (int64_t)NOW_MS * 1000;
    desk *at = desk_new(1 << 20);
    begin_with_moment(at, now_ms, now_ms / 1000 - 60);
    feed_visit_at(at, now_ms, now_ms);
    const rfm_worker_stats *stats = rfm_worker_stats_of(at->worker); /* it has come, and waits for what is to be read */
    assert_int_equal(stats->timers_due, 2);
    assert_int_equal(stats->timers_late_ms, 60000);
    tell_no_client(at);
    assert_int_equal(lists_asked_for(at), 1);
    desk_free(at);
}

/* Its timestamp is its producer's: it had let timers fire before what follows it was read. */
static void test_a_record_from_the_future_lets_no_timer_go_ahead(void **state)
{
    (void)state;
    const int64_t now_ms = (int64_t)NOW_MS * 1000;
    desk *at = desk_new(1 << 20);
    begin_with_moment(at, now_ms, now_ms / 1000 + 5);
    feed_visit_at(at, now_ms, now_ms + RFM_DAY_MS);
    tell_no_client(at);
    tell(at, (rfm_input){.kind = RFM_IN_TIME, .now_ms = now_ms + 10000});
    assert_int_equal(lists_asked_for(at), 0); /* more may have come by then */
    tell(at, (rfm_input){.kind = RFM_IN_AT_END, .now_ms = now_ms + 10000, .input = 0});
    assert_int_equal(lists_asked_for(at), 1);
    desk_free(at);
}

static void feed_two(desk *at, const char *const keys[2], const char *const values[2])
{
    rfm_record records[2];
    for (int i = 0; i < 2; i++) {
        records[i] = record_of(i, rfm_text(keys[i]), rfm_text(values[i]));
        records[i].append_ms = (int64_t)NOW_MS * 1000;
    }
    assert_int_equal(rfm_worker_feed(at->worker, records, 2, NOW_MS), 2);
}

static void test_a_key_that_is_not_the_client_is_wrong_in_every_format(void **state)
{
    (void)state;
    static const char *const values[RFM_FORMAT_COUNT] = {
        "{\"type\":\"visit\",\"id\":\"v\",\"client_id\":\"c\",\"time\":1700000000000}",
        "{\"type\":\"page\",\"messageId\":\"v\",\"userId\":\"c\",\"timestamp\":1700000000000}",
        "{\"event_name\":\"login\",\"user_id\":\"c\",\"event_timestamp\":1700000000000000}",
        "{\"specversion\":\"1.0\",\"type\":\"visit\",\"subject\":\"c\",\"data\":{\"id\":\"v\",\"time\":1700000000000}}",
        "{\"type\":\"screen\",\"messageId\":\"v\",\"anonymousId\":\"c\",\"timestamp\":1700000000000}",
    };
    for (int format = 0; format < RFM_FORMAT_COUNT; format++) {
        desk *at = desk_of(1 << 20, 1, NULL, (rfm_format)format);
        begin_new(at);
        feed_two(at, (const char *const[]){"c", "d"}, (const char *const[]){values[format], values[format]});
        const rfm_worker_stats *stats = rfm_worker_stats_of(at->worker);
        assert_int_equal(stats->dead_letters, 1);
        assert_int_equal(stats->dead_by_reason[RFM_REASON_WRONG_KEY], 1);
        desk_free(at);
    }
}

/* An input from another system carries much that is not for us: it moves on, and that is all. */
static void test_what_is_ignored_is_counted_and_no_dead_letter(void **state)
{
    (void)state;
    desk *at = desk_of(1 << 20, 1, NULL, RFM_FORMAT_SEGMENT);
    begin_new(at);
    feed_two(at, (const char *const[]){"c", "c"},
             (const char *const[]){"{\"type\":\"group\",\"groupId\":\"g\"}",
                                   "{\"type\":\"track\",\"event\":\"Song Played\"}"});
    const rfm_worker_stats *stats = rfm_worker_stats_of(at->worker);
    assert_int_equal(stats->ignored, 2);
    assert_int_equal(stats->records, 2);
    assert_int_equal(stats->dead_letters, 0);
    take(at);
    assert_int_equal(at->seen[RFM_OUT_PUBLISH], 1);
    const rfm_step *step = at->last[RFM_OUT_PUBLISH].step;
    assert_int_equal(step->changes[0].to.next[0], 2);
    for (size_t i = 0; i < step->message_count; i++)
        assert_int_equal(step->messages[i].topic, RFM_TOPIC_WAL);
    desk_free(at);
}

static void answer_loads(desk *at, const rfm_view *view, int64_t now_ms)
{
    rfm_arena arena;
    rfm_arena_init(&arena);
    size_t count = at->load_count;
    at->load_count = 0;
    for (size_t i = 0; i < count; i++) {
        const rfm_effect load = at->loads[i];
        rfm_input input = {
            .kind = RFM_IN_LOADED, .term = load.term, .now_ms = now_ms, .loaded = {.load = load.load.load}};
        if (load.task != at->task)
            continue;
        input.loaded.wal_value = rfm_view_wal(view);
        input.loaded.count = rfm_view_load(view, &load, &arena, &input.loaded.values);
        tell(at, input);
    }
    rfm_arena_release(&arena);
}

/* An event of client `c`; its text must live as long as the record. */
static rfm_record event_of(char text[200], uint8_t input, int64_t offset, const char *type, int64_t time_ms,
                           int64_t append_ms)
{
    snprintf(text, 200,
             "{\"type\":\"%s\",\"id\":\"%u-%lld\",\"client_id\":\"c\",\"time\":%lld,\"channel\":\"email\","
             "\"status\":\"opened\"}",
             type, input, (long long)offset, (long long)time_ms);
    rfm_record record = record_of(offset, rfm_text("c"), rfm_text(text));
    record.input = input;
    record.append_ms = append_ms;
    return record;
}

static void tell_ends(desk *at, int64_t now_ms)
{
    for (uint8_t input = 0; input < 2; input++)
        tell(at, (rfm_input){.kind = RFM_IN_AT_END, .now_ms = now_ms, .input = input});
}

/* An owner of the two inputs, whose client `c` has visited at start_ms, up to where it consumes. */
static desk *owner_of_two(rfm_rule *rule, rfm_view *view, int64_t start_ms)
{
    desk *first = desk_of(1 << 20, 2, rule, RFM_FORMAT_NATIVE);
    begin_new(first);
    char text[200];
    rfm_record visit = event_of(text, 0, 0, "visit", start_ms, start_ms);
    assert_int_equal(rfm_worker_feed(first->worker, &visit, 1, start_ms), 1);
    take(first);
    answer_loads(first, view, start_ms);
    assert_int_equal(first->seen[RFM_OUT_PUBLISH], 1);
    const rfm_change *change = &first->last[RFM_OUT_PUBLISH].step->changes[0];
    for (size_t i = 0; i < change->redo_count; i++)
        assert_int_equal(rfm_view_apply(view, change->redo[i]), RFM_OK);
    rfm_view_set_wal(view, rfm_text("1 1 0"));
    desk_free(first);
    desk *at = desk_of(1 << 20, 2, rule, RFM_FORMAT_NATIVE);
    tell_position(at, 1, 1);
    tell_opened(at, "1 1 0");
    answer_loads(at, view, start_ms + 1000);
    assert_int_equal(at->seen[RFM_OUT_CONSUME_FROM], 1);
    tell_ends(at, start_ms + 1000);
    at->load_count = 0;
    return at;
}

/* Of two inputs: a message of the 10th second, and behind it a visit of the 6th, both waiting for the client. The rule
 * of 7 seconds without a visit must not fire for the 7th in between. */
static void test_what_waits_behind_a_later_record_is_met_before_timers(void **state)
{
    (void)state;
    const int64_t start_ms = (int64_t)NOW_MS * 1000;
    char due[64], text[2][200];
    rfm_rule rule = {.name = "quiet",
                     .class_ = RFM_CLASS_TRANSACTIONAL,
                     .on = {.kind = RFM_CAUSE_IDLE, .event = RFM_EVENT_VISIT, .idle_ms = 7000}};
    rfm_view *view = rfm_view_new();
    desk *at = owner_of_two(&rule, view, start_ms);
    size_t published = at->seen[RFM_OUT_PUBLISH];
    rfm_record records[] = {event_of(text[0], 0, 1, "message", start_ms + 9000, start_ms + 10000),
                            event_of(text[1], 1, 0, "visit", start_ms + 5000, start_ms + 6000)};
    assert_int_equal(rfm_worker_feed(at->worker, records, 2, start_ms + 10000), 2);
    take(at);
    tell_ends(at, start_ms + 11000);
    answer_loads(at, view, start_ms + 11000);
    assert_int_equal(at->seen[RFM_OUT_PUBLISH], published + 1);
    const rfm_step *step = at->last[RFM_OUT_PUBLISH].step;
    snprintf(due, sizeof due, "\"id\":\"%lld\"", (long long)start_ms + 7000);
    for (size_t i = 0; i < step->message_count; i++)
        assert_null(memmem(step->messages[i].value.at, step->messages[i].value.len, due, strlen(due)));
    assert_int_equal(rfm_worker_stats_of(at->worker)->dead_letters, 0);
    assert_int_equal(step->changes[0].to.next[1], 1);
    desk_free(at);
    rfm_view_free(view);
}

/* Publishes and stores what the worker wants to, and answers its loads, until it wants nothing more. */
static void carry_out(desk *at, rfm_view *view, int64_t now_ms)
{
    int64_t wal = rfm_wal_value_parse(rfm_view_wal(view));
    tell(at, (rfm_input){.kind = RFM_IN_TIME, .now_ms = now_ms});
    for (;;) {
        if (at->load_count > 0) {
            answer_loads(at, view, now_ms);
        } else if (at->published < at->seen[RFM_OUT_PUBLISH]) {
            rfm_step *step = at->last[RFM_OUT_PUBLISH].step;
            step->changes[0].to.wal = ++wal;
            at->published++;
            tell(at, (rfm_input){.kind = RFM_IN_PUBLISHED, .now_ms = now_ms, .step = step});
        } else if (at->stored < at->seen[RFM_OUT_STORE]) {
            const rfm_effect store = at->last[RFM_OUT_STORE];
            for (size_t i = 0; i < store.store.redo_count; i++)
                assert_int_equal(rfm_view_apply(view, store.store.redo[i]), RFM_OK);
            rfm_view_set_wal(view, store.store.wal_value);
            at->stored++;
            tell(at, (rfm_input){
                         .kind = RFM_IN_STORED, .term = store.term, .now_ms = now_ms, .wal_value = rfm_view_wal(view)});
        } else {
            return;
        }
    }
}

/* What a release before 0.2 would have left: the client under a key of its own, and nothing said of bundles. */
static void make_loose(rfm_view *view)
{
    const rfm_bytes packed = rfm_view_client(view, rfm_text("c"));
    char bundle[RFM_BUNDLE_KEY_MAX];
    const int64_t next[RFM_INPUTS_MAX] = {0};
    const rfm_bytes *parts;
    rfm_arena arena;
    rfm_redo *redo = malloc(sizeof *redo);
    assert_non_null(redo);
    rfm_arena_init(&arena);
    rfm_redo_init(redo, 0);
    rfm_redo_begin(redo, 1);
    rfm_redo_put(redo, &(rfm_redo_item){RFM_REDO_SET, rfm_text("c:c"), RFM_BYTES_NONE, packed});
    rfm_redo_put(redo, &(rfm_redo_item){RFM_REDO_HASH_DELETE,
                                        rfm_bundle_key(rfm_bundle_of(rfm_hash64(rfm_text("c"))), bundle), rfm_text("c"),
                                        RFM_BYTES_NONE});
    rfm_redo_put(redo, &(rfm_redo_item){RFM_REDO_HASH_DELETE, rfm_text("n:task"), rfm_text("2"), RFM_BYTES_NONE});
    assert_int_equal(rfm_redo_end(redo, 0, next, &arena, &parts), 1);
    assert_int_equal(rfm_view_apply(view, parts[0]), RFM_OK);
    rfm_redo_release(redo);
    rfm_arena_release(&arena);
    free(redo);
}

static bool is_loose(const rfm_view *view)
{
    bool loose = rfm_view_get(view, rfm_text("c:c")).at != NULL;
    assert_true(loose != (rfm_view_client(view, rfm_text("c")).at != NULL)); /* in one place, always */
    return loose;
}

static uint32_t visits_of(const rfm_view *view)
{
    static rfm_client client;
    assert_int_equal(rfm_client_decode(rfm_view_client(view, rfm_text("c")), &client), RFM_OK);
    return (uint32_t)client.visits;
}

static size_t keys_asked_for(const desk *at)
{
    size_t count = 0;
    for (size_t i = 0; i < at->load_count; i++)
        if (at->loads[i].load.what == RFM_LOAD_VALUES)
            count += at->loads[i].load.count;
    return count;
}

static desk *owner_of_loose(rfm_view *view, int64_t start_ms)
{
    desk_free(owner_of_two(NULL, view, start_ms)); /* makes the client */
    make_loose(view);
    assert_true(is_loose(view));
    desk *at = desk_of(1 << 20, 2, NULL, RFM_FORMAT_NATIVE);
    tell_position(at, 1, 1);
    tell_opened(at, "1 1 0");
    answer_loads(at, view, start_ms + 1000);
    assert_int_equal(at->seen[RFM_OUT_CONSUME_FROM], 1);
    return at;
}

static void test_a_client_of_an_older_release_moves_with_its_next_event(void **state)
{
    (void)state;
    const int64_t start_ms = (int64_t)NOW_MS * 1000;
    char text[200];
    rfm_view *view = rfm_view_new();
    desk *at = owner_of_loose(view, start_ms);
    rfm_record visit = event_of(text, 0, 1, "visit", start_ms + 5000, start_ms + 5000);
    assert_int_equal(rfm_worker_feed(at->worker, &visit, 1, start_ms + 5000), 1);
    take(at);
    assert_int_equal(keys_asked_for(at), 2); /* looked for in both places */
    carry_out(at, view, start_ms + 5000);
    assert_false(is_loose(view));
    assert_int_equal(visits_of(view), 2);
    desk_free(at);
    rfm_view_free(view);
}

/* The connection goes and comes while a load waits to be handed out: found by the simulator, which let the first answer
 * free what the second question named. */
static void test_a_load_is_asked_once_over_each_connection(void **state)
{
    (void)state;
    const int64_t now_ms = (int64_t)NOW_MS * 1000;
    char text[200];
    desk *at = desk_new(1 << 20);
    begin_new(at);
    rfm_record visit = event_of(text, 0, 0, "visit", now_ms, now_ms);
    assert_int_equal(rfm_worker_feed(at->worker, &visit, 1, now_ms), 1);
    rfm_input link = {.kind = RFM_IN_CLOSED, .term = at->last[RFM_OUT_OPEN].term, .now_ms = now_ms};
    rfm_worker_tell(at->worker, &link);
    link.kind = RFM_IN_OPENED;
    link.wal_value = RFM_BYTES_NONE;
    rfm_worker_tell(at->worker, &link);
    take(at);
    assert_int_equal(keys_asked_for(at), 1);
    desk_free(at);
}

/* A transactional producer's marker has an offset too. It was never passed over: once all before it had expired, the
 * group's offset named what was in the log no more, and no owner would go on from it. */
static void test_what_follows_the_last_record_is_done_with(void **state)
{
    (void)state;
    const int64_t now_ms = (int64_t)NOW_MS * 1000;
    char text[200];
    rfm_view *view = rfm_view_new();
    desk *at = owner_of_two(NULL, view, now_ms);
    tell(at, (rfm_input){.kind = RFM_IN_AT_END, .now_ms = now_ms + 2000, .input = 0, .next = 5});
    tell(at, (rfm_input){.kind = RFM_IN_AT_END, .now_ms = now_ms + 2000, .input = 0, .next = 4}); /* an older answer */
    rfm_record visit = event_of(text, 1, 0, "visit", now_ms, now_ms + 2000);
    assert_int_equal(rfm_worker_feed(at->worker, &visit, 1, now_ms + 2000), 1);
    take(at);
    answer_loads(at, view, now_ms + 2000);
    assert_int_equal(at->seen[RFM_OUT_PUBLISH], 1);
    const rfm_position *to = &at->last[RFM_OUT_PUBLISH].step->changes[0].to;
    assert_int_equal(to->next[0], 5);
    assert_int_equal(to->next[1], 1);
    desk_free(at);
    rfm_view_free(view);
}

/* By thresholds, whoever is met meanwhile would move to another segment and back. */
static void test_nobody_is_met_before_the_population_is_known(void **state)
{
    (void)state;
    const int64_t now_ms = (int64_t)NOW_MS * 1000;
    char text[200];
    desk *at = desk_without_edges(1 << 20, 1, NULL, RFM_FORMAT_NATIVE);
    begin_new(at);
    rfm_record record = event_of(text, 0, 0, "visit", now_ms, now_ms);
    assert_false(rfm_worker_takes(at->worker));
    assert_int_equal(rfm_worker_feed(at->worker, &record, 1, now_ms), 0);
    assert_true(rfm_worker_ready(at->worker)); /* or nobody would read the population */
    tell(at, (rfm_input){.kind = RFM_IN_EDGES, .edges = &(rfm_edges){0}});
    assert_int_equal(rfm_worker_feed(at->worker, &record, 1, now_ms), 1);
    desk_free(at);
}

/* Neither place may have what is to be forgotten. */
static void test_a_client_of_an_older_release_is_erased(void **state)
{
    (void)state;
    const int64_t start_ms = (int64_t)NOW_MS * 1000;
    char text[200];
    rfm_view *view = rfm_view_new();
    desk *at = owner_of_loose(view, start_ms);
    rfm_record erase = event_of(text, 0, 1, "erase", start_ms + 5000, start_ms + 5000);
    assert_int_equal(rfm_worker_feed(at->worker, &erase, 1, start_ms + 5000), 1);
    take(at);
    carry_out(at, view, start_ms + 5000);
    assert_null(rfm_view_get(view, rfm_text("c:c")).at);
    assert_null(rfm_view_client(view, rfm_text("c")).at);
    desk_free(at);
    rfm_view_free(view);
}

/* And once the minute of everybody's look has come, nobody is looked for twice any more, by the next owner neither. */
static void test_a_client_of_an_older_release_moves_with_its_next_look(void **state)
{
    (void)state;
    const int64_t start_ms = (int64_t)NOW_MS * 1000, later_ms = start_ms + RFM_DAY_MS + 2 * RFM_MINUTE_MS;
    char text[2][200];
    rfm_view *view = rfm_view_new();
    desk *at = owner_of_loose(view, start_ms);
    tell_ends(at, later_ms);
    carry_out(at, view, later_ms);
    assert_false(is_loose(view));
    assert_int_equal(visits_of(view), 1);
    rfm_record visit = event_of(text[0], 0, 1, "visit", later_ms, later_ms); /* by which the minute is written */
    assert_int_equal(rfm_worker_feed(at->worker, &visit, 1, later_ms), 1);
    take(at);
    carry_out(at, view, later_ms);
    desk_free(at);
    at = desk_of(1 << 20, 2, NULL, RFM_FORMAT_NATIVE);
    tell_position(at, 2, rfm_wal_value_parse(rfm_view_wal(view)));
    tell(at, (rfm_input){.kind = RFM_IN_OPENED, .term = at->last[RFM_OUT_OPEN].term, .wal_value = rfm_view_wal(view)});
    answer_loads(at, view, later_ms);
    visit = event_of(text[1], 0, 2, "visit", later_ms, later_ms);
    assert_int_equal(rfm_worker_feed(at->worker, &visit, 1, later_ms), 1);
    take(at);
    assert_int_equal(keys_asked_for(at), 1);
    carry_out(at, view, later_ms);
    assert_int_equal(visits_of(view), 3);
    desk_free(at);
    rfm_view_free(view);
}

/* A client's visit comes, and Redis holds `state` for the client. */
static void meet_state(desk *at, rfm_bytes state)
{
    const int64_t now_ms = (int64_t)NOW_MS * 1000;
    char text[200];
    begin_new(at);
    rfm_record record = event_of(text, 0, 0, "visit", now_ms, now_ms);
    assert_int_equal(rfm_worker_feed(at->worker, &record, 1, now_ms), 1);
    take(at);
    size_t i = 0; /* the minute's list may be asked for as well */
    while (i < at->load_count && at->loads[i].load.what != RFM_LOAD_VALUES)
        i++;
    assert_true(i < at->load_count);
    rfm_input loaded = {.kind = RFM_IN_LOADED,
                        .term = at->loads[i].term,
                        .now_ms = now_ms,
                        .loaded = {.load = at->loads[i].load.load, .values = &state, .count = 1}};
    tell(at, loaded);
}

/* Neither counted as damaged, nor taken for another state, nor for a new client. */
static void test_a_state_of_a_newer_program_stops_it(void **state)
{
    (void)state;
    static const struct {
        const char *packed, *said;
        size_t len;
    } states[] = {
        {"\x63\x00", "client 'c' has version 99, which a newer rfmd has written", 2},
        {"\x01\x40\x62\x11", "client 'c' has version 98, which a newer rfmd has written", 4}, /* of slots */
        {"\x01\x40\x00\x11", "client 'c' cannot be read: it is damaged", 4},
        {"\x00\x00", "client 'c' cannot be read: it is damaged", 2},
    };
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        desk *at = desk_new(1 << 20);
        meet_state(at, rfm_bytes_of(states[i].packed, states[i].len));
        assert_int_equal(at->seen[RFM_OUT_HALT], 1);
        assert_int_equal(at->seen[RFM_OUT_PUBLISH] + at->seen[RFM_OUT_STORE], 0);
        if (strstr(at->last[RFM_OUT_HALT].reason, states[i].said) == NULL)
            fail_msg("%s", at->last[RFM_OUT_HALT].reason);
        desk_free(at);
    }
    desk *at = desk_new(1 << 20);
    meet_state(at, rfm_bytes_of("\x01\x00", 2));
    assert_int_equal(at->seen[RFM_OUT_HALT], 0);
    assert_int_equal(at->seen[RFM_OUT_PUBLISH], 1);
    desk_free(at);
}

/* Two tasks that consume. */
static desk *desk_of_two_tasks(int64_t now_ms)
{
    desk *at = desk_with(2, 1 << 20, 20000, 1, NULL, RFM_FORMAT_NATIVE);
    at->now_ms = now_ms;
    tell(at, (rfm_input){.kind = RFM_IN_EDGES, .edges = &(rfm_edges){0}});
    begin_new(at);
    at->task = 1;
    tell(at, (rfm_input){.kind = RFM_IN_ASSIGNED, .assignment = 1});
    begin_new(at);
    return at;
}

/* The first visit of each. */
static void feed_tasks(desk *at, uint32_t first, uint32_t last, int64_t now_ms)
{
    char text[2][200];
    rfm_record visits[2];
    size_t count = 0;
    for (uint32_t task = first; task <= last; task++, count++) {
        visits[count] = event_of(text[count], 0, 0, "visit", now_ms, now_ms);
        visits[count].task = task;
    }
    assert_int_equal(rfm_worker_feed(at->worker, visits, count, now_ms), count);
    take(at);
}

/* Of a Cluster one node is away. Its partition's client was waited for by the step that all share, and nothing moved in
 * the worker until the node was back. */
static void test_a_task_whose_redis_is_away_does_not_hold_up_the_others(void **state)
{
    (void)state;
    const int64_t now_ms = (int64_t)NOW_MS * 1000;
    rfm_view *view = rfm_view_new();
    desk *at = desk_of_two_tasks(now_ms);
    at->task = 0;
    tell(at, (rfm_input){.kind = RFM_IN_CLOSED, .term = at->last[RFM_OUT_OPEN].term, .now_ms = now_ms});
    feed_tasks(at, 0, 1, now_ms);
    at->task = 1;
    answer_loads(at, view, now_ms);
    tell(at, (rfm_input){.kind = RFM_IN_TIME, .now_ms = now_ms + 2500});
    assert_int_equal(at->seen[RFM_OUT_PUBLISH], 0);
    assert_int_equal(at->seen[RFM_OUT_READ_POSITION], 2);
    tell(at, (rfm_input){.kind = RFM_IN_TIME, .now_ms = now_ms + 3500});
    assert_int_equal(rfm_worker_stats_of(at->worker)->stalls, 1);
    assert_int_equal(at->seen[RFM_OUT_READ_POSITION], 3); /* the other one's */
    assert_int_equal(at->last[RFM_OUT_READ_POSITION].task, 1);
    at->load_count = 0;
    begin_new(at);
    feed_tasks(at, 1, 1, now_ms + 3500);
    answer_loads(at, view, now_ms + 3500);
    assert_int_equal(at->seen[RFM_OUT_PUBLISH], 1);
    assert_int_equal(at->last[RFM_OUT_PUBLISH].step->change_count, 1);
    tell(at, (rfm_input){.kind = RFM_IN_TIME, .now_ms = now_ms + 18000});
    assert_int_equal(at->seen[RFM_OUT_READ_POSITION], 3);
    tell(at, (rfm_input){.kind = RFM_IN_TIME, .now_ms = now_ms + 18500}); /* then it is tried again */
    assert_int_equal(at->seen[RFM_OUT_READ_POSITION], 4);
    assert_int_equal(at->last[RFM_OUT_READ_POSITION].task, 0);
    desk_free(at);
    rfm_view_free(view);
}

/* Where there is but one Redis, giving up a step would help nobody: all ask the same server again. */
static void test_where_all_wait_none_is_put_aside(void **state)
{
    (void)state;
    const int64_t now_ms = (int64_t)NOW_MS * 1000;
    desk *at = desk_of_two_tasks(now_ms);
    for (uint32_t task = 0; task < 2; task++) {
        at->task = task;
        tell(at, (rfm_input){.kind = RFM_IN_CLOSED, .term = at->last[RFM_OUT_OPEN].term, .now_ms = now_ms});
    }
    feed_tasks(at, 0, 1, now_ms);
    tell(at, (rfm_input){.kind = RFM_IN_TIME, .now_ms = now_ms + 60000});
    assert_int_equal(rfm_worker_stats_of(at->worker)->stalls, 0);
    assert_int_equal(at->seen[RFM_OUT_READ_POSITION], 2);
    desk_free(at);
}

enum { STEP_EVENTS_MAX = 64, SHOPPERS = 300 };

/* A worker of small steps that consumes. */
static desk *desk_of_small_steps(rfm_rule *rule, int64_t now_ms)
{
    desk *at = desk_with(1, 1 << 20, STEP_EVENTS_MAX, 1, rule, RFM_FORMAT_NATIVE);
    at->now_ms = now_ms;
    tell(at, (rfm_input){.kind = RFM_IN_EDGES, .edges = &(rfm_edges){0}});
    begin_new(at);
    return at;
}

/* The first visits of shoppers, as many as are taken. Returns how many that were. */
static size_t feed_shoppers(desk *at, size_t first)
{
    size_t number = first;
    for (; number < SHOPPERS; number++) {
        char id[32], text[200];
        snprintf(id, sizeof id, "shopper-%zu", number);
        snprintf(text, sizeof text, "{\"type\":\"visit\",\"id\":\"v\",\"client_id\":\"%s\",\"time\":%lld}", id,
                 (long long)at->now_ms);
        rfm_record record = record_of((int64_t)number, rfm_text(id), rfm_text(text));
        record.append_ms = at->now_ms;
        if (rfm_worker_feed(at->worker, &record, 1, at->now_ms) == 0)
            break;
    }
    take(at);
    return number - first;
}

/* The step under way ends after so many milliseconds; what it changed is stored if it was committed, and if not the
 * task is taken over again. */
static void end_step(desk *at, rfm_answer answer, int64_t took_ms)
{
    static int64_t wal;
    char text[32];
    rfm_step *step = at->last[RFM_OUT_PUBLISH].step;
    size_t renewals = at->seen[RFM_OUT_RENEW];
    at->now_ms += took_ms;
    step->changes[0].to.wal = ++wal;
    tell(at, (rfm_input){.kind = RFM_IN_PUBLISHED, .step = step, .answer = answer});
    if (answer == RFM_DONE) {
        snprintf(text, sizeof text, "%lld 0", (long long)wal);
        tell(at, (rfm_input){.kind = RFM_IN_STORED, .term = at->last[RFM_OUT_STORE].term, .wal_value = rfm_text(text)});
        return;
    }
    at->next = 0;
    assert_int_equal(at->seen[RFM_OUT_RENEW], renewals + 1);
    tell(at, (rfm_input){.kind = RFM_IN_RENEWED});
    begin_new(at);
}

/* Records that need no client, so many or as many as are taken: a step is published. Returns its size. */
static size_t publish(desk *at, size_t count_max)
{
    size_t count = 0;
    for (size_t taken = 1; taken > 0 && count < count_max; count += taken, at->next += (int64_t)taken) {
        rfm_record bad = record_of(at->next, rfm_text("c"), rfm_text("no event"));
        taken = rfm_worker_feed(at->worker, &bad, 1, at->now_ms);
    }
    size_t published = at->seen[RFM_OUT_PUBLISH];
    take(at);
    assert_int_equal(at->seen[RFM_OUT_PUBLISH], published + 1);
    return count;
}

/* Over a slow line its transaction times out. At its full size it had been tried again for ever. */
static void test_a_step_that_failed_is_half_as_large_the_next_time(void **state)
{
    (void)state;
    desk *at = desk_of_small_steps(NULL, (int64_t)NOW_MS * 1000);
    for (size_t size = STEP_EVENTS_MAX; size > 0; size /= 2) {
        assert_int_equal(publish(at, SIZE_MAX), size);
        end_step(at, RFM_UNKNOWN, 10000);
    }
    for (int i = 0; i < 3; i++) { /* never nothing; and no larger while it is slow */
        assert_int_equal(publish(at, SIZE_MAX), 1);
        end_step(at, RFM_DONE, 2600);
    }
    for (size_t size = 1; size <= STEP_EVENTS_MAX; size *= 2) {
        assert_int_equal(publish(at, SIZE_MAX), size);
        end_step(at, RFM_DONE, 2400);
    }
    assert_int_equal(publish(at, SIZE_MAX), STEP_EVENTS_MAX);
    desk_free(at);
}

/* The first step after every failure is small and quick: taken for a proof that the line is fast, it made every other
 * step too large again. */
static void test_a_small_step_says_little_of_the_line(void **state)
{
    (void)state;
    desk *at = desk_of_small_steps(NULL, (int64_t)NOW_MS * 1000);
    assert_int_equal(publish(at, SIZE_MAX), STEP_EVENTS_MAX);
    end_step(at, RFM_UNKNOWN, 3000); /* fenced, as by a rebalance: not for its size */
    assert_int_equal(publish(at, 2), 2);
    end_step(at, RFM_UNKNOWN, 10000); /* perhaps not for its size */
    assert_int_equal(publish(at, SIZE_MAX), STEP_EVENTS_MAX / 8);
    end_step(at, RFM_DONE, 10);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(publish(at, STEP_EVENTS_MAX / 8), STEP_EVENTS_MAX / 8);
        end_step(at, RFM_DONE, 10);
    }
    assert_int_equal(publish(at, SIZE_MAX), STEP_EVENTS_MAX / 4);
    desk_free(at);
}

/* Everybody's timer comes at once: they had been one step, whatever its size might be. */
static void test_timers_fill_no_step_beyond_its_size(void **state)
{
    (void)state;
    rfm_rule rule = {.name = "quiet",
                     .class_ = RFM_CLASS_TRANSACTIONAL,
                     .on = {.kind = RFM_CAUSE_IDLE, .event = RFM_EVENT_VISIT, .idle_ms = 7000}};
    rfm_view *view = rfm_view_new();
    desk *at = desk_of_small_steps(&rule, (int64_t)NOW_MS * 1000);
    for (size_t fed = 0, now; fed < SHOPPERS; fed += now) {
        now = feed_shoppers(at, fed);
        assert_in_range(now, 1, STEP_EVENTS_MAX);
        carry_out(at, view, at->now_ms);
    }
    assert_int_equal(at->triggers, 0);
    at->now_ms += 8000;
    tell(at, (rfm_input){.kind = RFM_IN_AT_END, .input = 0});
    carry_out(at, view, at->now_ms);
    assert_int_equal(at->triggers, SHOPPERS);
    assert_int_equal(at->step_triggers_max, STEP_EVENTS_MAX);
    assert_int_equal(rfm_worker_stats_of(at->worker)->timers_due, 0);
    desk_free(at);
    rfm_view_free(view);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_refusal_is_heard_whenever_it_comes),
        cmocka_unit_test(test_redis_ahead_of_the_log_is_wrong_only_if_it_stands_still),
        cmocka_unit_test(test_large_records_make_small_steps),
        cmocka_unit_test(test_a_cache_without_room_takes_nothing_until_there_is),
        cmocka_unit_test(test_a_backlog_that_waits_for_its_client_holds_timers_back),
        cmocka_unit_test(test_a_record_from_the_future_lets_no_timer_go_ahead),
        cmocka_unit_test(test_a_key_that_is_not_the_client_is_wrong_in_every_format),
        cmocka_unit_test(test_what_is_ignored_is_counted_and_no_dead_letter),
        cmocka_unit_test(test_what_waits_behind_a_later_record_is_met_before_timers),
        cmocka_unit_test(test_a_state_of_a_newer_program_stops_it),
        cmocka_unit_test(test_a_client_of_an_older_release_moves_with_its_next_event),
        cmocka_unit_test(test_a_client_of_an_older_release_is_erased),
        cmocka_unit_test(test_what_follows_the_last_record_is_done_with),
        cmocka_unit_test(test_a_load_is_asked_once_over_each_connection),
        cmocka_unit_test(test_nobody_is_met_before_the_population_is_known),
        cmocka_unit_test(test_a_client_of_an_older_release_moves_with_its_next_look),
        cmocka_unit_test(test_a_task_whose_redis_is_away_does_not_hold_up_the_others),
        cmocka_unit_test(test_where_all_wait_none_is_put_aside),
        cmocka_unit_test(test_a_step_that_failed_is_half_as_large_the_next_time),
        cmocka_unit_test(test_a_small_step_says_little_of_the_line),
        cmocka_unit_test(test_timers_fill_no_step_beyond_its_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
