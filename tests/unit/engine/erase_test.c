/* Erasure in a small world: one task, records at once, its WAL and what Redis would hold. Clients that were erased are
 * compared with clients of another world in which nothing that was forgotten has ever been said. */
#include <rfm/base/hash.h>
#include <rfm/client/json.h>
#include <rfm/engine/view.h>
#include <rfm/engine/worker.h>
#include <rfm/rule/notes.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define START_MS INT64_C(1767225600000)
enum { CLIENTS = 40, SAID = 4000, RULES = 3, SPAN_DAYS = 12 };

typedef struct world {
    rfm_client_conf conf;
    rfm_rule rule[RULES];
    rfm_rules rules;
    rfm_worker *worker;
    rfm_view *view;
    rfm_position at; /* committed */
    rfm_bytes *wal;  /* every part that was written */
    size_t wal_count, wal_size;
    rfm_arena arena, load_arena;
    int64_t offset, clock_ms;
    size_t triggers;
} world;

static void make_rules(world *of)
{
    of->rules = (rfm_rules){.rule = of->rule,
                            .count = RULES,
                            .topic_count = 1,
                            .max_trigger_age_ms = INT64_MAX,
                            .silent_until_ms = INT64_MIN,
                            .version = "1",
                            .source = "rfmd/test",
                            .type_prefix = "t."};
    strcpy(of->rules.topic[0], "triggers");
    of->rule[0] = (rfm_rule){.name = "cart",
                             .on = {.kind = RFM_CAUSE_EVENT, .event = RFM_EVENT_VISIT},
                             .delay_ms = 2 * RFM_HOUR_MS,
                             .restart = true,
                             .cancel_on = 1u << RFM_EVENT_PURCHASE};
    of->rule[1] = (rfm_rule){.name = "idle",
                             .on = {.kind = RFM_CAUSE_IDLE, .event = RFM_EVENT_PURCHASE, .idle_ms = 4 * RFM_HOUR_MS}};
    of->rule[2] = (rfm_rule){.name = "thanks", .on = {.kind = RFM_CAUSE_EVENT, .event = RFM_EVENT_PURCHASE}};
}

static void start(world *of)
{
    rfm_error error;
    rfm_worker_conf conf = {.partition_count = 1,
                            .input_count = 1,
                            .input_topic = {"events"},
                            .partitioner = RFM_PARTITIONER_NONE,
                            .clock = RFM_CLOCK_RECORD,
                            .cache_bytes_max = 8192, /* so that clients come and go */
                            .dirty_bytes_max = 1 << 20,
                            .step_events_max = 50,
                            .page_entries_max = 3, /* so that lists take several pages */
                            .wal_idle_ms = INT64_MAX / 2,
                            .client = &of->conf,
                            .rules = &of->rules};
    assert_int_equal(rfm_worker_new(&conf, &of->worker, &error), RFM_OK);
    rfm_worker_tell(of->worker, &(rfm_input){.kind = RFM_IN_ASSIGNED, .now_ms = 1, .assignment = 1});
}

static world *world_new(void)
{
    world *of = calloc(1, sizeof *of);
    assert_non_null(of);
    rfm_client_conf_defaults(&of->conf);
    of->conf.rfm.r = of->conf.rfm.m = RFM_AXIS_FIXED;
    of->conf.model = (rfm_model){.r = 1, .alpha = .2, .a = .9, .b = 1.6, .unit_days = 1, .evidence_cap = 5};
    of->conf.version = rfm_client_conf_version(&of->conf);
    make_rules(of);
    of->view = rfm_view_new();
    of->at.wal = RFM_OFFSET_NONE;
    for (size_t i = 0; i < RFM_INPUTS_MAX; i++)
        of->at.next[i] = RFM_OFFSET_NONE;
    rfm_arena_init(&of->arena);
    rfm_arena_init(&of->load_arena);
    start(of);
    return of;
}

static void world_free(world *of)
{
    rfm_worker_free(of->worker);
    rfm_view_free(of->view);
    rfm_arena_release(&of->arena);
    rfm_arena_release(&of->load_arena);
    free(of->wal);
    free(of);
}

static void tell(world *of, const rfm_effect *effect, rfm_input input)
{
    input.task = effect->task, input.term = effect->term, input.now_ms = 1;
    rfm_worker_tell(of->worker, &input);
}

static void publish(world *of, const rfm_effect *effect)
{
    rfm_step *step = effect->step;
    for (size_t i = 0; i < step->message_count; i++) {
        const rfm_message *message = &step->messages[i];
        of->triggers += message->topic >= RFM_TOPIC_TRIGGERS;
        if (message->topic != RFM_TOPIC_WAL)
            continue;
        if (of->wal_count == of->wal_size) {
            of->wal_size = of->wal_size ? of->wal_size * 2 : 256;
            of->wal = realloc(of->wal, of->wal_size * sizeof *of->wal);
            assert_non_null(of->wal);
        }
        step->changes[message->change].to.wal = (int64_t)of->wal_count;
        of->wal[of->wal_count++] = rfm_arena_copy(&of->arena, message->value);
    }
    of->at = step->changes[0].to;
    tell(of, effect, (rfm_input){.kind = RFM_IN_PUBLISHED, .step = step});
}

static void store(world *of, const rfm_effect *effect)
{
    for (size_t i = 0; i < effect->store.redo_count; i++)
        assert_int_equal(rfm_view_apply(of->view, effect->store.redo[i]), RFM_OK);
    rfm_view_set_wal(of->view, effect->store.wal_value);
    tell(of, effect, (rfm_input){.kind = RFM_IN_STORED, .wal_value = rfm_view_wal(of->view)});
}

static void load(world *of, const rfm_effect *effect)
{
    const rfm_bytes *values;
    rfm_arena_reset(&of->load_arena);
    size_t count = rfm_view_load(of->view, effect, &of->load_arena, &values);
    tell(of, effect,
         (rfm_input){.kind = RFM_IN_LOADED,
                     .loaded = {effect->load.load, rfm_view_wal(of->view), .values = values, .count = count}});
}

static void position(world *of, const rfm_effect *effect)
{
    rfm_input input = {.kind = RFM_IN_POSITION, .position = {.committed = of->at}};
    input.position.end[0] = of->offset;
    tell(of, effect, input);
}

static void drive(world *of)
{
    rfm_effect effect;
    while (rfm_worker_next(of->worker, &effect)) {
        switch (effect.kind) {
        case RFM_OUT_READ_POSITION: position(of, &effect); break;
        case RFM_OUT_OPEN:
            tell(of, &effect, (rfm_input){.kind = RFM_IN_OPENED, .wal_value = rfm_view_wal(of->view)});
            break;
        case RFM_OUT_READ_WAL: tell(of, &effect, (rfm_input){.kind = RFM_IN_WAL, .wal = {.last = true}}); break;
        case RFM_OUT_LOAD: load(of, &effect); break;
        case RFM_OUT_STORE: store(of, &effect); break;
        case RFM_OUT_PUBLISH: publish(of, &effect); break;
        case RFM_OUT_HALT: fail_msg("%s", effect.reason); break;
        default: break;
        }
    }
}

static void reach(world *of, int64_t clock_ms)
{
    rfm_worker_tell(of->worker, &(rfm_input){.kind = RFM_IN_CLOCK, .now_ms = clock_ms});
    drive(of);
}

/* The record is fed once the effects of what was before are under way, all or a few of them. */
static void hear(world *of, const char *id, const char *value, int64_t clock_ms)
{
    rfm_record record = {.offset = of->offset++, .append_ms = clock_ms, .key = rfm_text(id), .value = rfm_text(value)};
    of->clock_ms = clock_ms;
    while (rfm_worker_feed(of->worker, &record, 1, 1) == 0)
        drive(of);
}

/* What is said: by whom, when, and whether a client who is erased in the end shall have never said it. */
typedef struct saying {
    char value[256];
    int client;
    int64_t time_ms, clock_ms;
    bool erases, forgotten;
} saying;

static uint64_t seed;

static uint64_t below(uint64_t limit)
{
    seed += 0x9e3779b97f4a7c15u; /* splitmix64 */
    uint64_t z = seed;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (z ^ z >> 31) % limit;
}

/* Ids of few minutes of the day, so that minute lists take several pages. */
static void name(int client, char id[24])
{
    unsigned k = 0;
    do
        snprintf(id, 24, "person-%03d-secret-%u", client, k++);
    while (rfm_hash64(rfm_text(id)) % 1440 % 480 != 7);
}

static void write_said(saying *said, size_t number)
{
    char id[24], rest[128] = "";
    const char *type = "visit";
    name(said->client, id);
    if (said->erases) {
        type = "erase";
    } else if (below(3) == 0) {
        type = "purchase";
        snprintf(rest, sizeof rest,
                 ",\"order_id\":\"o%zu\",\"amount\":%d,\"currency\":\"EUR\",\"items\":[{\"category\":\"c%d\"}]", number,
                 (int)below(100), (int)below(5));
    } else if (below(4) == 0) {
        type = "points";
        snprintf(rest, sizeof rest, ",\"delta\":%d", (int)below(50));
    } else if (below(6) == 0) {
        type = "feedback";
        snprintf(rest, sizeof rest, ",\"kind\":\"nps\",\"score\":%d", (int)below(11));
    }
    snprintf(said->value, sizeof said->value, "{\"type\":\"%s\",\"id\":\"e%zu\",\"client_id\":\"%s\",\"time\":%lld%s}",
             type, number, id, (long long)said->time_ms, rest);
}

/* A third of the clients is erased now and then, most of them at last; some of what they say comes late. */
static void make_said(saying *all)
{
    int64_t erased_ms[CLIENTS];
    for (int i = 0; i < CLIENTS; i++)
        erased_ms[i] = INT64_MIN;
    for (size_t i = 0; i < SAID; i++) {
        saying *said = &all[i];
        *said = (saying){.client = (int)below(CLIENTS)};
        said->clock_ms = START_MS + (int64_t)i * SPAN_DAYS * RFM_DAY_MS / SAID;
        if (below(4)) /* some of one instant: so are their timers */
            said->clock_ms = said->clock_ms / (30 * RFM_MINUTE_MS) * 30 * RFM_MINUTE_MS;
        if (i > 0 && said->clock_ms < all[i - 1].clock_ms)
            said->clock_ms = all[i - 1].clock_ms;
        said->time_ms = said->clock_ms - (below(4) ? 0 : (int64_t)below(2 * RFM_DAY_MS));
        said->erases = said->client < CLIENTS / 3 && below(i > SAID - SAID / 10 ? 2 : 15) == 0;
        said->forgotten = said->time_ms < erased_ms[said->client];
        if (said->erases && !said->forgotten) {
            erased_ms[said->client] = said->time_ms;
            for (size_t k = 0; k <= i; k++)
                all[k].forgotten = all[k].forgotten || all[k].client == said->client;
        }
        write_said(said, i);
    }
}

static void tell_all(world *of, const saying *all, bool forgotten_too, size_t restart_at)
{
    char id[24];
    for (size_t i = 0; i < SAID; i++) {
        if (all[i].forgotten && !forgotten_too)
            continue;
        name(all[i].client, id);
        hear(of, id, all[i].value, all[i].clock_ms);
        if (all[i].erases && below(2)) /* again, at once and later */
            hear(of, id, all[i].value, all[i].clock_ms);
        if (below(3) == 0)
            drive(of);
        if (i == restart_at) { /* another takes the task over, with what Redis holds */
            drive(of);
            rfm_worker_free(of->worker);
            start(of);
            drive(of);
        }
    }
    reach(of, START_MS + SPAN_DAYS * RFM_DAY_MS);
}

static uint16_t number_of(rfm_bytes text)
{
    unsigned number = 0;
    for (size_t i = 0; i < text.len; i++)
        number = number * 10 + text.at[i] - '0';
    return (uint16_t)number;
}

/* Names for their numbers, which differ. */
static rfm_names *names_of(world *of)
{
    rfm_bytes key = rfm_text("names");
    const rfm_bytes *values;
    rfm_effect effect = {.load = {.what = RFM_LOAD_HASH, .keys = &key, .count = 1}};
    size_t count = rfm_view_load(of->view, &effect, &of->load_arena, &values);
    rfm_names *names = rfm_names_new();
    for (size_t i = 0; i + 1 < count; i += 2)
        assert_int_equal(rfm_names_restore(names, number_of(values[i]), values[i + 1]), RFM_OK);
    return names;
}

static bool describe(world *of, const char *id, rfm_buffer *text)
{
    rfm_client client;
    rfm_bytes packed = rfm_view_client(of->view, rfm_text(id));
    rfm_buffer_clear(text);
    if (packed.at == NULL)
        return false;
    rfm_names *names = names_of(of);
    assert_int_equal(rfm_client_decode(packed, &client), RFM_OK);
    assert_int_equal(
        rfm_client_json(text, rfm_text(id), &client, &of->conf, names, NULL, START_MS + SPAN_DAYS * RFM_DAY_MS, NULL),
        RFM_OK);
    rfm_write_u8(text, ',');
    rfm_slots_json(text, rfm_text(id), &client, names);
    rfm_write_u8(text, 0);
    rfm_names_free(names);
    return true;
}

static bool holds(rfm_bytes bytes, const char *text)
{
    return bytes.len > 0 && memmem(bytes.at, bytes.len, text, strlen(text)) != NULL;
}

/* How often a text stands anywhere in what Redis holds. */
static size_t count_in_dump(const rfm_view *view, const char *text)
{
    rfm_redo *redo = malloc(sizeof *redo);
    rfm_arena arena;
    rfm_redo_item item;
    const rfm_bytes *parts;
    int64_t next[RFM_INPUTS_MAX] = {0};
    size_t found = 0;
    assert_non_null(redo);
    rfm_arena_init(&arena);
    rfm_redo_init(redo, 0);
    rfm_redo_begin(redo, 1);
    rfm_view_dump(view, redo);
    size_t count = rfm_redo_end(redo, 0, next, &arena, &parts);
    for (size_t i = 0; i < count; i++) {
        rfm_redo_header header;
        rfm_bytes rest;
        assert_int_equal(rfm_redo_open(parts[i], &header, &rest), RFM_OK);
        while (rfm_redo_next(&rest, &item))
            found += holds(item.key, text) + holds(item.field, text) + holds(item.value, text);
    }
    rfm_redo_release(redo);
    free(redo);
    rfm_arena_release(&arena);
    return found;
}

/* Redis is lost and made again of the whole WAL. */
static void replay_wal(world *of)
{
    rfm_view_free(of->view);
    of->view = rfm_view_new();
    for (size_t i = 0; i < of->wal_count; i++)
        assert_int_equal(rfm_view_apply(of->view, of->wal[i]), RFM_OK);
}

/* Says where, since the texts are long. */
static void assert_same(const char *here, const char *there)
{
    size_t at = 0;
    while (here[at] && here[at] == there[at])
        at++;
    size_t from = at < 80 ? 0 : at - 80;
    if (here[at] != there[at])
        fail_msg("\n%.200s\n%.200s", here + from, there + from);
}

static size_t compare(world *of, world *there, size_t *known)
{
    rfm_buffer here_text, there_text;
    size_t gone = 0;
    rfm_buffer_init(&here_text, 1 << 16);
    rfm_buffer_init(&there_text, 1 << 16);
    for (int i = 0; i < CLIENTS; i++) {
        char id[24];
        name(i, id);
        bool is_here = describe(of, id, &here_text), is_there = describe(there, id, &there_text);
        assert_int_equal(is_here, is_there);
        *known += is_here;
        if (is_here) {
            assert_same((char *)here_text.at, (char *)there_text.at);
            assert_true(count_in_dump(of->view, id) >= 2); /* its state and its minute list, at least */
        } else {
            assert_int_equal(count_in_dump(of->view, id), 0);
            gone++;
        }
    }
    rfm_buffer_release(&here_text);
    rfm_buffer_release(&there_text);
    return gone;
}

static void an_erased_client_has_never_been(void **state)
{
    (void)state;
    static saying all[SAID];
    size_t gone = 0, known = 0, triggers = 0, forgotten = 0;
    for (int round = 0; round < 6; round++) {
        seed = 100 + (uint64_t)round;
        world *of = world_new(), *there = world_new();
        drive(of);
        drive(there);
        make_said(all);
        tell_all(of, all, true, SAID / 2);
        tell_all(there, all, false, SAID);
        gone += compare(of, there, &known);
        replay_wal(of);
        compare(of, there, &known);
        triggers += of->triggers;
        forgotten += rfm_worker_stats_of(of->worker)->events_forgotten;
        world_free(of);
        world_free(there);
    }
    print_message("%zu clients gone, %zu triggers, %zu events forgotten\n", gone, triggers, forgotten);
    assert_true(known > 0 && gone > 25 && triggers > 100 && forgotten > 25);
}

static void say(world *of, const char *type, const char *id, int64_t time_ms, int64_t clock_ms)
{
    char value[256];
    snprintf(value, sizeof value, "{\"type\":\"%s\",\"id\":\"%s\",\"client_id\":\"q-77\",\"time\":%lld}", type, id,
             (long long)time_ms);
    hear(of, "q-77", value, clock_ms);
    drive(of);
}

static void assert_visits(world *of, uint32_t visits)
{
    rfm_client client = {0};
    rfm_bytes packed = rfm_view_client(of->view, rfm_text("q-77"));
    if (packed.at != NULL)
        assert_int_equal(rfm_client_decode(packed, &client), RFM_OK);
    assert_int_equal(client.visits, visits);
}

static void an_erasure_is_remembered_for_a_while(void **state)
{
    (void)state;
    const int64_t day = RFM_DAY_MS;
    world *of = world_new();
    drive(of);
    say(of, "erase", "1", START_MS, START_MS); /* of somebody who is not known */
    assert_int_equal(count_in_dump(of->view, "q-77"), 0);
    say(of, "visit", "2", START_MS - 1, START_MS + day);
    assert_visits(of, 0);
    assert_int_equal(count_in_dump(of->view, "q-77"), 0);
    say(of, "visit", "3", START_MS, START_MS + day); /* not before it */
    assert_visits(of, 1);
    say(of, "erase", "1", START_MS, START_MS + 2 * day); /* the same again: nothing new */
    say(of, "erase", "0", START_MS - 5, START_MS + 2 * day);
    assert_visits(of, 1);
    say(of, "erase", "4", START_MS + 3 * day, START_MS + 3 * day);
    assert_visits(of, 0);
    say(of, "visit", "5", START_MS + 2 * day, START_MS + 32 * day); /* the 30 days begin with the last one */
    assert_visits(of, 0);
    say(of, "visit", "6", START_MS + 2 * day, START_MS + 33 * day);
    assert_visits(of, 1);
    assert_int_equal(count_in_dump(of->view, "erased"), 0); /* the tombstone has gone */
    const rfm_worker_stats *stats = rfm_worker_stats_of(of->worker);
    assert_int_equal(stats->erasures, 2);
    assert_int_equal(stats->events_forgotten, 3);
    assert_int_equal(stats->repeats, 1);
    of->conf.erase_remember_ms = 0;
    say(of, "erase", "7", START_MS + 34 * day, START_MS + 34 * day);
    assert_int_equal(count_in_dump(of->view, "erased") + count_in_dump(of->view, "q-77"), 0);
    world_free(of);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_erased_client_has_never_been),
        cmocka_unit_test(an_erasure_is_remembered_for_a_while),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
