/* Against a real broker, since the mock cluster has no aborts, no stable offsets and no control records. KAFKA_BROKERS
 * names it (tests/e2e/test_kafka_adapter.py starts one); without it every test is skipped. */
#include "stand.h"

#include "kafka/topics.h"

#include <unistd.h>

enum { WAIT_MS = 30000 };

static const char *brokers;
static int number;

/* Names of their own for each test. */
typedef struct names {
    char input[64], second[64], wal[64], dead[64], audit[64], triggers[64], group[64], id[64];
    const char *trigger_topics[1];
} names;

static names new_names(void)
{
    names made;
    int of = ++number, run = (int)getpid();
    snprintf(made.input, sizeof made.input, "in-%d-%d", run, of);
    snprintf(made.second, sizeof made.second, "second-%d-%d", run, of);
    snprintf(made.wal, sizeof made.wal, "wal-%d-%d", run, of);
    snprintf(made.dead, sizeof made.dead, "dead-%d-%d", run, of);
    snprintf(made.audit, sizeof made.audit, "audit-%d-%d", run, of);
    snprintf(made.triggers, sizeof made.triggers, "triggers-%d-%d", run, of);
    snprintf(made.group, sizeof made.group, "group-%d-%d", run, of);
    snprintf(made.id, sizeof made.id, "id-%d-%d", run, of);
    return made;
}

static void set_conf(stand *at, names *with)
{
    with->trigger_topics[0] = with->triggers;
    at->conf.group = with->group;
    at->conf.transactional_id = with->id;
    at->conf.input_topic[0] = with->input;
    at->conf.input_count = 1;
    at->conf.wal = with->wal;
    at->conf.dead_letters = with->dead;
    at->conf.audit = with->audit;
    at->conf.trigger_topics = with->trigger_topics;
    at->conf.trigger_topic_count = 1;
}

static rfm_topics create_topics(const rfm_kafka_conf *conf, uint32_t partition_count)
{
    rfm_topics topics;
    rfm_error error = {0};
    rfm_topics_wish wish = {.create = true, .partition_count = partition_count};
    if (rfm_topics_check(conf, &wish, &topics, &error) != RFM_OK)
        fail_msg("%s", error.message);
    return topics;
}

static void set_up(stand *at, names *with, uint32_t partition_count)
{
    if (brokers == NULL)
        skip();
    *with = new_names();
    stand_init(at, brokers, with->group, partition_count);
    set_conf(at, with);
    create_topics(&at->conf, partition_count);
}

/* -- topics */

typedef struct heard {
    char text[8][512];
    size_t count;
} heard;

static void hear(void *owner, const char *message)
{
    heard *at = owner;
    if (at->count < 8)
        snprintf(at->text[at->count++], sizeof at->text[0], "%s", message);
}

static void test_topics(void **state)
{
    (void)state;
    if (brokers == NULL)
        skip();
    stand at;
    names with = new_names(), others = new_names();
    heard problems = {.count = 0};
    rfm_error error = {0};
    rfm_topics topics;
    rfm_topics_wish wish = {.problem = hear, .owner = &problems};
    stand_init(&at, brokers, with.group, 1);
    set_conf(&at, &with);
    assert_int_equal(rfm_topics_check(&at.conf, &wish, &topics, &error), RFM_E_REFUSED);
    assert_int_equal(problems.count, 5);
    assert_non_null(strstr(problems.text[1], "--create-topics"));
    assert_non_null(strstr(problems.text[1], "cleanup.policy=delete"));
    topics = create_topics(&at.conf, 5);
    assert_int_equal(topics.partition_count, 5);
    assert_true(strlen(topics.cluster_id) > 10);
    assert_true(strlen(topics.input_id[0]) == 22 && strlen(topics.wal_id) == 22);
    assert_string_not_equal(topics.input_id[0], topics.wal_id);
    assert_true(topics.wal_idle_ms > 0 && topics.wal_idle_ms <= RFM_DAY_MS);
    wish.create = false;
    assert_int_equal(rfm_topics_check(&at.conf, &wish, &topics, &error), RFM_OK);
    /* Another input with another number. */
    at.conf.input_topic[0] = others.input;
    at.conf.wal = others.wal;
    create_topics(&at.conf, 3);
    at.conf.wal = with.wal;
    problems.count = 0;
    assert_int_equal(rfm_topics_check(&at.conf, &wish, &topics, &error), RFM_E_REFUSED);
    assert_int_equal(problems.count, 1);
    assert_non_null(strstr(problems.text[0], "has 3 partitions"));
    at.conf.wal = others.input;
    assert_int_equal(rfm_topics_check(&at.conf, &wish, &topics, &error), RFM_E_REFUSED);
    assert_non_null(strstr(error.message, "two purposes"));
    at.conf.brokers = "127.0.0.1:1";
    wish.timeout_ms = 1000;
    assert_int_equal(rfm_topics_check(&at.conf, &wish, &topics, &error), RFM_E_AWAY);
    stand_release(&at);
}

/* -- steps */

/* One change of task 0 with a WAL message of two parts, and a trigger. */
typedef struct simple_step {
    rfm_step step;
    rfm_message messages[4];
    rfm_change change;
    char headers[64];
    char big[200000];
} simple_step;

static rfm_step *make_step(simple_step *made, uint64_t step_number, uint32_t assignment, int64_t next)
{
    memset(made, 0, sizeof *made);
    rfm_buffer headers = rfm_buffer_over(made->headers, sizeof made->headers);
    rfm_headers_add(&headers, "ce_id", rfm_text("abc"));
    memset(made->big, 'w', sizeof made->big);
    made->messages[0] = (rfm_message){RFM_TOPIC_TRIGGERS,       -1, -1, rfm_text("client"), rfm_text("{\"t\":1}"),
                                      rfm_buffer_view(&headers)};
    made->messages[1] = (rfm_message){RFM_TOPIC_WAL, 0, 0, RFM_BYTES_NONE, rfm_text("part 1"), RFM_BYTES_NONE};
    made->messages[2] = (rfm_message){RFM_TOPIC_WAL, 0, 0, RFM_BYTES_NONE, rfm_bytes_of(made->big, sizeof made->big),
                                      RFM_BYTES_NONE};
    made->messages[3] = (rfm_message){RFM_TOPIC_DEAD_LETTERS, -1, -1, RFM_BYTES_NONE, RFM_BYTES_NONE, RFM_BYTES_NONE};
    made->change = (rfm_change){.task = 0, .term = 1, .to = stand_from(RFM_OFFSET_NONE)};
    made->change.to.next[0] = next;
    made->step = (rfm_step){step_number, assignment, made->messages, 4, &made->change, 1};
    return &made->step;
}

static rfm_answer publish(stand *at, rfm_step *step)
{
    size_t before = stand_count(at, RFM_IN_PUBLISHED);
    rfm_publisher_publish(at->publisher, step, rfm_consumer_group(at->consumer, step->assignment));
    STAND_UNTIL(at, WAIT_MS, stand_count(at, RFM_IN_PUBLISHED) == before + 1);
    const rfm_input *answer = &stand_last(at, RFM_IN_PUBLISHED)->input;
    assert_ptr_equal(answer->step, step);
    return answer->answer;
}

static const told *ask_position(stand *at, uint32_t task, uint32_t term)
{
    size_t before = stand_count(at, RFM_IN_POSITION);
    rfm_wal_reader_position(at->reader, task, term);
    STAND_UNTIL(at, WAIT_MS, stand_count(at, RFM_IN_POSITION) == before + 1);
    const told *answer = stand_last(at, RFM_IN_POSITION);
    assert_int_equal(answer->input.task, task);
    assert_int_equal(answer->input.term, term);
    return answer;
}

static const told *ask_wal(stand *at, uint32_t task, int64_t from, int64_t until)
{
    size_t before = stand_count(at, RFM_IN_WAL);
    rfm_wal_reader_wal(at->reader, task, 7, from, until);
    STAND_UNTIL(at, WAIT_MS, stand_count(at, RFM_IN_WAL) == before + 1);
    return stand_last(at, RFM_IN_WAL);
}

static const told *ask_tail(stand *at, uint32_t task)
{
    size_t before = stand_count(at, RFM_IN_TAIL);
    rfm_wal_reader_tail(at->reader, task, 8);
    STAND_UNTIL(at, WAIT_MS, stand_count(at, RFM_IN_TAIL) == before + 1);
    return stand_last(at, RFM_IN_TAIL);
}

static void start_all(stand *at)
{
    stand_start_consumer(at);
    stand_start_reader(at);
    stand_start_publisher(at);
    STAND_UNTIL(at, WAIT_MS, at->assignment > 0 && rfm_publisher_stats_of(at->publisher).ready);
}

static void test_a_step_and_what_a_take_over_sees_of_it(void **state)
{
    (void)state;
    stand at;
    names with;
    static simple_step of;
    set_up(&at, &with, 2);
    other_fill(brokers, with.input, 1, 10, 20);
    at.consume = false;
    start_all(&at);
    const told *position = ask_position(&at, 0, 3);
    assert_int_equal(position->input.answer, RFM_DONE);
    assert_int_equal(position->input.position.committed.wal, RFM_OFFSET_NONE);
    assert_int_equal(position->input.position.committed.next[0], RFM_OFFSET_NONE);
    assert_int_equal(position->input.position.begin[0], 0);
    assert_int_equal(position->input.position.end[0], 10);
    const told *wal = ask_wal(&at, 0, 0, INT64_MAX); /* empty */
    assert_true(wal->input.answer == RFM_DONE && wal->input.wal.last && wal->input.wal.count == 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(publish(&at, make_step(&of, (uint64_t)i, at.assignment, 5 + i)), RFM_DONE);
    int64_t last = of.change.to.wal;
    assert_int_equal(last, 7); /* two messages and a commit marker each */
    position = ask_position(&at, 0, 4);
    assert_int_equal(position->input.position.committed.wal, 7);
    assert_int_equal(position->input.position.committed.next[0], 7);
    wal = ask_wal(&at, 0, 0, 7);
    assert_true(wal->input.wal.last);
    assert_int_equal(wal->input.wal.count, 6);
    assert_int_equal(wal->input.wal.begin, 0);
    assert_true(rfm_bytes_is(wal->input.wal.records[0], "part 1"));
    assert_int_equal(wal->input.wal.records[5].len, sizeof of.big);
    assert_int_equal(wal->input.wal.offsets[5], 7);
    wal = ask_wal(&at, 0, 5, 7); /* a control record */
    assert_true(wal->input.wal.last && wal->input.wal.count == 2);
    wal = ask_wal(&at, 0, 8, 7);
    assert_true(wal->input.wal.last && wal->input.wal.count == 0);
    wal = ask_wal(&at, 0, 0, INT64_MAX); /* ends behind a control record */
    assert_int_equal(wal->input.wal.count, 6);
    while (!wal->input.wal.last)
        wal = ask_wal(&at, 0, wal->input.wal.count ? wal->input.wal.offsets[wal->input.wal.count - 1] + 1 : 8,
                      INT64_MAX);
    wal = ask_wal(&at, 0, 0, 9);
    assert_int_equal(wal->input.answer, RFM_REFUSED_FOR_GOOD);
    assert_int_equal(ask_tail(&at, 0)->input.tail.count, 0);
    assert_false(at.has_fatal);
    rfm_publisher_stats stats = rfm_publisher_stats_of(at.publisher);
    assert_true(stats.steps == 3 && stats.messages == 12 && stats.fenced == 0 && stats.unknown == 0);
    stand_release(&at);
}

/* What consumers of the triggers and the dead letters get. */
static void test_messages_arrive_as_they_were(void **state)
{
    (void)state;
    stand at, reader;
    names with, unused;
    rfm_bytes value;
    static simple_step of;
    set_up(&at, &with, 2);
    at.consume = false;
    start_all(&at);
    assert_int_equal(publish(&at, make_step(&of, 1, at.assignment, 1)), RFM_DONE);
    set_up(&reader, &unused, 2);
    reader.conf.input_topic[0] = with.triggers;
    reader.conf.input_topic[1] = with.dead;
    reader.conf.input_count = 2;
    stand_start_consumer(&reader);
    STAND_UNTIL(&reader, WAIT_MS, reader.fed_count == 2);
    const fed *trigger = reader.fed[0].input == 0 ? &reader.fed[0] : &reader.fed[1];
    const fed *dead = reader.fed[0].input == 0 ? &reader.fed[1] : &reader.fed[0];
    assert_true(rfm_bytes_is(trigger->key, "client") && rfm_bytes_is(trigger->value, "{\"t\":1}"));
    assert_true(rfm_headers_find(trigger->headers, "ce_id", &value) && rfm_bytes_is(value, "abc"));
    assert_int_equal(dead->key.len + dead->value.len + dead->headers.len, 0);
    stand_release(&reader);
    stand_release(&at);
}

static void renew(stand *at)
{
    size_t before = stand_count(at, RFM_IN_RENEWED);
    rfm_publisher_renew(at->publisher);
    STAND_UNTIL(at, WAIT_MS, stand_count(at, RFM_IN_RENEWED) == before + 1);
}

static void test_fenced_by_id_and_by_generation(void **state)
{
    (void)state;
    stand at, other;
    names with;
    static simple_step of;
    set_up(&at, &with, 2);
    at.consume = false;
    start_all(&at);
    assert_int_equal(publish(&at, make_step(&of, 1, at.assignment, 1)), RFM_DONE);
    rd_kafka_t *thief = other_producer(brokers, with.id);
    assert_int_equal(publish(&at, make_step(&of, 2, at.assignment, 2)), RFM_FENCED);
    assert_false(rfm_publisher_stats_of(at.publisher).ready);
    assert_int_equal(publish(&at, make_step(&of, 3, at.assignment, 3)), RFM_FENCED); /* no producer */
    rd_kafka_destroy(thief);
    renew(&at);
    assert_int_equal(publish(&at, make_step(&of, 4, at.assignment, 4)), RFM_DONE);
    assert_int_equal(ask_position(&at, 0, 1)->input.position.committed.next[0], 4);
    /* A new generation: the old group object does not commit any more. */
    rfm_group *old = rfm_consumer_group(at.consumer, at.assignment);
    stand_init(&other, brokers, with.group, 2);
    set_conf(&other, &with);
    other.consume = false;
    stand_start_consumer(&other);
    STAND_UNTIL2(&at, &other, WAIT_MS, at.assignment == 2 && other.assignment == 1);
    make_step(&of, 5, 1, 5);
    rfm_publisher_publish(at.publisher, &of.step, old);
    size_t before = stand_count(&at, RFM_IN_PUBLISHED);
    STAND_UNTIL(&at, WAIT_MS, stand_count(&at, RFM_IN_PUBLISHED) == before + 1);
    assert_int_equal(stand_last(&at, RFM_IN_PUBLISHED)->input.answer, RFM_FENCED);
    assert_int_equal(ask_position(&at, 0, 2)->input.position.committed.next[0], 4);
    assert_null(rfm_consumer_group(at.consumer, 1));
    assert_int_equal(publish(&at, make_step(&of, 6, 1, 6)), RFM_FENCED); /* no group */
    assert_false(at.has_fatal);
    stand_release(&other);
    stand_release(&at);
}

/* An open transaction of another, with a WAL message and offsets: it blocks, is found, evicted, and blocks no more. */
static void test_blocked_found_evicted(void **state)
{
    (void)state;
    stand at;
    names with;
    char dead_id[80];
    static simple_step of;
    set_up(&at, &with, 2);
    at.consume = false;
    start_all(&at);
    assert_int_equal(publish(&at, make_step(&of, 1, at.assignment, 1)), RFM_DONE);
    int64_t committed = of.change.to.wal;
    snprintf(dead_id, sizeof dead_id, "dead-%s", with.id);
    rd_kafka_t *zombie = other_producer(brokers, dead_id);
    assert_null(rd_kafka_begin_transaction(zombie));
    other_send(zombie, with.wal, 0, NULL, "half", dead_id);
    other_flush(zombie);
    rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(offsets, with.input, 0)->offset = 9;
    rd_kafka_consumer_group_metadata_t *metadata = rd_kafka_consumer_group_metadata_new(with.group);
    rd_kafka_error_t *cause = rd_kafka_send_offsets_to_transaction(zombie, offsets, metadata, 10000);
    bool pending = cause == NULL; /* a broker that checks the generation refuses these */
    if (cause)
        rd_kafka_error_destroy(cause);
    int64_t begun_ms = rfm_clock_wall_ms();
    const told *position = ask_position(&at, 0, 2);
    assert_int_equal(position->input.answer, pending ? RFM_BLOCKED : RFM_DONE);
    if (pending)
        assert_in_range(rfm_clock_wall_ms() - begun_ms, 900, 5000);
    assert_int_equal(ask_position(&at, 1, 2)->input.answer, RFM_DONE); /* another task is not concerned */
    /* Up to what is committed nothing blocks; beyond, it does. */
    assert_true(ask_wal(&at, 0, 0, committed)->input.wal.last);
    const told *wal = ask_wal(&at, 0, 0, INT64_MAX);
    assert_int_equal(wal->input.answer, RFM_DONE);
    assert_int_equal(wal->input.wal.count, 2);
    assert_false(wal->input.wal.last);
    assert_int_equal(ask_wal(&at, 0, committed + 1, INT64_MAX)->input.answer, RFM_BLOCKED);
    const told *tail = ask_tail(&at, 0);
    assert_int_equal(tail->input.answer, RFM_DONE);
    assert_int_equal(tail->input.term, 8);
    assert_int_equal(tail->input.tail.count, 1);
    assert_true(rfm_bytes_is(tail->input.tail.ids[0], dead_id));
    rfm_publisher_evict(at.publisher, 0, 9, tail->input.tail.ids[0]);
    STAND_UNTIL(&at, WAIT_MS, stand_count(&at, RFM_IN_EVICTED) == 1);
    assert_int_equal(stand_last(&at, RFM_IN_EVICTED)->input.term, 9);
    position = ask_position(&at, 0, 3);
    assert_int_equal(position->input.answer, RFM_DONE);
    assert_int_equal(position->input.position.committed.next[0], 1);
    wal = ask_wal(&at, 0, committed + 1, INT64_MAX);
    assert_true(wal->input.answer == RFM_DONE && wal->input.wal.last && wal->input.wal.count == 0);
    cause = rd_kafka_commit_transaction(zombie, 10000);
    assert_non_null(cause); /* fenced */
    rd_kafka_error_destroy(cause);
    /* Our own id is evicted by making the producer anew. */
    rfm_publisher_evict(at.publisher, 0, 10, rfm_text(with.id));
    STAND_UNTIL(&at, WAIT_MS, stand_count(&at, RFM_IN_EVICTED) == 2);
    assert_int_equal(publish(&at, make_step(&of, 2, at.assignment, 2)), RFM_DONE);
    rd_kafka_consumer_group_metadata_destroy(metadata);
    rd_kafka_topic_partition_list_destroy(offsets);
    rd_kafka_destroy(zombie);
    stand_release(&at);
}

static void delete_before(const char *topic, int64_t offset)
{
    char text[128];
    rd_kafka_t *client = other_producer(brokers, NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, 0)->offset = offset;
    rd_kafka_DeleteRecords_t *request = rd_kafka_DeleteRecords_new(list);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(client, RD_KAFKA_ADMIN_OP_DELETERECORDS);
    rd_kafka_AdminOptions_set_operation_timeout(options, 10000, text, sizeof text);
    rd_kafka_DeleteRecords(client, &request, 1, options, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 20000);
    assert_non_null(event);
    assert_int_equal(rd_kafka_event_error(event), 0);
    rd_kafka_event_destroy(event);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_DeleteRecords_destroy(request);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(client);
}

static void test_a_long_wal_comes_in_batches(void **state)
{
    (void)state;
    stand at;
    names with;
    set_up(&at, &with, 1);
    other_fill(brokers, with.wal, 1, 5000, 2000);
    at.consume = false;
    stand_start_consumer(&at);
    stand_start_reader(&at);
    STAND_UNTIL(&at, WAIT_MS, at.assignment > 0);
    for (int round = 0; round < 2; round++) {
        int64_t next = 100, batches = 0;
        const told *wal;
        do {
            wal = ask_wal(&at, 0, next, 4900);
            assert_int_equal(wal->input.answer, RFM_DONE);
            assert_true(wal->input.wal.count <= 1100 && (wal->input.wal.count > 0 || wal->input.wal.last));
            for (size_t i = 0; i < wal->input.wal.count; i++)
                assert_int_equal(wal->input.wal.offsets[i], next++);
            batches++;
        } while (!wal->input.wal.last);
        assert_true(next > 4900 && batches > 3);
    }
    delete_before(with.wal, 3000);
    const told *wal = ask_wal(&at, 0, 100, 4999);
    assert_int_equal(wal->input.wal.begin, 3000);
    assert_int_equal(wal->input.wal.offsets[0], 3000);
    wal = ask_wal(&at, 0, 100, 2000); /* nothing of it is left */
    assert_true(wal->input.wal.last && wal->input.wal.count == 0 && wal->input.wal.begin == 3000);
    stand_release(&at);
}

/* Of more tasks than are read at a time: each comes to its end, also where another is forgotten half-way. */
static void test_the_wal_of_many_tasks(void **state)
{
    (void)state;
    enum { TASKS = 12, EACH = 3000, FORGOTTEN = 1 };
    stand at;
    names with;
    set_up(&at, &with, TASKS);
    other_fill(brokers, with.wal, TASKS, TASKS * EACH, 100);
    at.consume = false;
    stand_start_consumer(&at);
    stand_start_reader(&at);
    STAND_UNTIL(&at, WAIT_MS, at.assignment > 0);
    size_t seen = 0, ended = 0;
    int64_t next[TASKS] = {0};
    for (uint32_t task = 0; task < TASKS; task++)
        rfm_wal_reader_wal(at.reader, task, 7, 0, EACH - 1);
    while (ended < TASKS - 1) {
        STAND_UNTIL(&at, WAIT_MS, at.told_count > seen);
        const rfm_input *input = &at.told[seen++].input;
        if (input->kind != RFM_IN_WAL)
            continue;
        assert_int_equal(input->answer, RFM_DONE);
        for (size_t i = 0; i < input->wal.count; i++)
            assert_int_equal(input->wal.offsets[i], next[input->task]++);
        ended += input->wal.last;
        if (input->task == FORGOTTEN)
            rfm_wal_reader_forget(at.reader, FORGOTTEN);
        else if (!input->wal.last)
            rfm_wal_reader_wal(at.reader, input->task, 7, next[input->task], EACH - 1);
    }
    for (uint32_t task = 0; task < TASKS; task++)
        assert_true(task == FORGOTTEN ? next[task] < EACH : next[task] == EACH);
    stand_release(&at);
}

/* -- ends */

static bool ended_after(const stand *at, int64_t ms)
{
    const told *end = stand_last(at, RFM_IN_AT_END);
    return end && end->input.now_ms > ms;
}

static void test_the_end_behind_transactions(void **state)
{
    (void)state;
    stand at;
    names with;
    set_up(&at, &with, 1);
    stand_start_consumer(&at);
    STAND_UNTIL(&at, WAIT_MS, ended_after(&at, 0)); /* an empty log is at its end */
    rd_kafka_t *producer = other_producer(brokers, with.id);
    assert_null(rd_kafka_begin_transaction(producer));
    other_send(producer, with.input, 0, "k", "hidden", NULL);
    other_flush(producer);
    int64_t open_ms = rfm_clock_wall_ms();
    stand_run_for(&at, 700);
    assert_false(ended_after(&at, open_ms)); /* something was appended and is not fed */
    assert_int_equal(at.fed_count, 0);
    assert_null(rd_kafka_commit_transaction(producer, 10000));
    STAND_UNTIL(&at, WAIT_MS, at.fed_count == 1 && ended_after(&at, open_ms));
    assert_null(rd_kafka_begin_transaction(producer));
    other_send(producer, with.input, 0, "k", "aborted", NULL);
    other_flush(producer);
    assert_null(rd_kafka_abort_transaction(producer, 10000));
    int64_t aborted_ms = rfm_clock_wall_ms();
    STAND_UNTIL(&at, WAIT_MS, ended_after(&at, aborted_ms + 200));
    assert_int_equal(at.fed_count, 1);
    rd_kafka_destroy(producer);
    stand_release(&at);
}

static void test_an_expired_position_is_fatal(void **state)
{
    (void)state;
    stand at;
    names with;
    set_up(&at, &with, 1);
    other_fill(brokers, with.input, 1, 100, 20);
    delete_before(with.input, 50);
    at.from = stand_from(10);
    stand_start_consumer(&at);
    STAND_UNTIL(&at, WAIT_MS, at.has_fatal);
    assert_int_equal(at.fatal.code, RFM_E_REFUSED);
    assert_non_null(strstr(at.fatal.message, "deleted before they were read"));
    assert_int_equal(at.fed_count, 0);
    stand_release(&at);
    stand_init(&at, brokers, with.group, 1);
    set_conf(&at, &with);
    stand_start_consumer(&at); /* the log's beginning */
    STAND_UNTIL(&at, WAIT_MS, at.fed_count == 50);
    assert_int_equal(at.fed[0].offset, 50);
    stand_release(&at);
}

/* -- the group */

static void test_the_same_instance_twice(void **state)
{
    (void)state;
    stand first, second;
    names with;
    set_up(&first, &with, 1);
    first.conf.instance_id = "one-0";
    stand_start_consumer(&first);
    STAND_UNTIL(&first, WAIT_MS, first.assignment == 1);
    stand_init(&second, brokers, with.group, 1);
    set_conf(&second, &with);
    second.conf.instance_id = "one-0";
    stand_start_consumer(&second);
    STAND_UNTIL2(&first, &second, WAIT_MS, first.has_fatal);
    assert_int_equal(first.fatal.code, RFM_E_FENCED);
    assert_non_null(strstr(first.fatal.message, "one-0"));
    assert_non_null(strstr(first.fatal.message, "kafka.instance_id"));
    assert_false(second.has_fatal);
    stand_release(&second);
    stand_release(&first);
}

static void test_a_static_member_comes_back_without_a_rebalance(void **state)
{
    (void)state;
    stand stays, goes;
    names with;
    set_up(&stays, &with, 4);
    stays.conf.instance_id = "a-0";
    stand_start_consumer(&stays);
    STAND_UNTIL(&stays, WAIT_MS, stays.assignment == 1);
    stand_init(&goes, brokers, with.group, 4);
    set_conf(&goes, &with);
    goes.conf.instance_id = "b-0";
    stand_start_consumer(&goes);
    STAND_UNTIL2(&stays, &goes, WAIT_MS, stays.assignment == 2 && goes.assignment == 1);
    rfm_consumer_close(goes.consumer, stand_closed);
    STAND_UNTIL2(&stays, &goes, WAIT_MS, goes.closed);
    stand_release(&goes);
    stand_init(&goes, brokers, with.group, 4);
    set_conf(&goes, &with);
    goes.conf.instance_id = "b-0";
    stand_start_consumer(&goes);
    STAND_UNTIL2(&stays, &goes, WAIT_MS, goes.assignment == 1);
    stand_run_for(&stays, 1500);
    assert_int_equal(stays.assignment, 2);
    assert_int_equal(stand_count(&goes, RFM_IN_ASSIGNED), 2);
    stand_release(&goes);
    stand_release(&stays);
}

/* -- at least once */

static void test_at_least_once(void **state)
{
    (void)state;
    stand at;
    names with;
    static simple_step of;
    set_up(&at, &with, 2);
    at.conf.transactional_id = NULL;
    at.consume = false;
    start_all(&at);
    assert_int_equal(publish(&at, make_step(&of, 1, at.assignment, 42)), RFM_DONE);
    assert_int_equal(of.change.to.wal, 1);
    assert_int_equal(ask_position(&at, 0, 1)->input.position.committed.next[0], RFM_OFFSET_NONE);
    rfm_consumer_commit(at.consumer, 0, &of.change.to);
    const told *position;
    int64_t until_ms = rfm_clock_wall_ms() + WAIT_MS;
    do
        position = ask_position(&at, 0, 2);
    while (position->input.position.committed.next[0] < 0 && rfm_clock_wall_ms() < until_ms);
    assert_int_equal(position->input.position.committed.next[0], 42);
    assert_int_equal(position->input.position.committed.wal, 1);
    stand_release(&at);
}

static void test_a_message_that_is_too_large_is_fatal(void **state)
{
    (void)state;
    stand at;
    names with;
    static simple_step of;
    static char huge[3 << 20];
    set_up(&at, &with, 1);
    at.consume = false;
    static const rfm_kafka_property plain[] = {{"compression.codec", "none"}};
    at.conf.producer = (rfm_kafka_properties){plain, 1};
    start_all(&at);
    make_step(&of, 1, at.assignment, 1);
    of.messages[3].value = rfm_bytes_of(huge, sizeof huge);
    assert_int_equal(publish(&at, &of.step), RFM_FENCED);
    STAND_UNTIL(&at, WAIT_MS, at.has_fatal);
    assert_non_null(strstr(at.fatal.message, "max.message.bytes"));
    assert_non_null(strstr(at.fatal.message, with.dead));
    stand_release(&at);
}

int main(void)
{
    brokers = getenv("KAFKA_BROKERS");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_topics),
        cmocka_unit_test(test_a_step_and_what_a_take_over_sees_of_it),
        cmocka_unit_test(test_messages_arrive_as_they_were),
        cmocka_unit_test(test_fenced_by_id_and_by_generation),
        cmocka_unit_test(test_blocked_found_evicted),
        cmocka_unit_test(test_a_long_wal_comes_in_batches),
        cmocka_unit_test(test_the_wal_of_many_tasks),
        cmocka_unit_test(test_the_end_behind_transactions),
        cmocka_unit_test(test_an_expired_position_is_fatal),
        cmocka_unit_test(test_the_same_instance_twice),
        cmocka_unit_test(test_a_static_member_comes_back_without_a_rebalance),
        cmocka_unit_test(test_at_least_once),
        cmocka_unit_test(test_a_message_that_is_too_large_is_fatal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
