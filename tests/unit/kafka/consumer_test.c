#include "stand.h"

#include "kafka/clients.h"
#include "kafka/mock.h"

#include <librdkafka/rdkafka_mock.h>

static rfm_mock_cluster *cluster;
static int group_number;
static char group[32];
static const char *brokers;

static void give_inputs(stand *at, const char *first, const char *second)
{
    at->conf.input_topic[0] = first;
    at->conf.input_topic[1] = second;
    at->conf.input_count = second ? 2 : 1;
}

static void make_topic(const char *name, uint32_t partition_count)
{
    rfm_error error;
    assert_int_equal(rfm_mock_cluster_create(cluster, name, partition_count, &error), RFM_OK);
}

static int start(void **state)
{
    (void)state;
    rfm_error error;
    if (rfm_mock_cluster_new(&cluster, &error) != RFM_OK)
        return -1;
    brokers = rfm_mock_cluster_brokers(cluster);
    make_topic("wal", 4);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    rfm_mock_cluster_free(cluster);
    return 0;
}

static const char *new_group(void)
{
    snprintf(group, sizeof group, "group-%d", group_number++);
    return group;
}

/* Every partition's offsets from `from` on, each once and in order. */
static void assert_in_order(const stand *at, size_t first, uint32_t partition_count, int64_t from, size_t count)
{
    int64_t next[64];
    for (size_t i = 0; i < 64; i++)
        next[i] = from;
    assert_int_equal(at->fed_count - first, count);
    for (size_t i = first; i < at->fed_count; i++)
        assert_int_equal(at->fed[i].offset, next[at->fed[i].input * partition_count + at->fed[i].task]++);
}

static bool has_end(const stand *at, uint32_t task, uint8_t input, int64_t after_ms)
{
    for (size_t i = 0; i < at->told_count; i++) {
        const rfm_input *input_told = &at->told[i].input;
        if (input_told->kind == RFM_IN_AT_END && input_told->task == task && input_told->input == input &&
            input_told->now_ms > after_ms)
            return true;
    }
    return false;
}

static void test_feeds_all_inputs_in_order_and_tells_the_end(void **state)
{
    (void)state;
    stand at;
    make_topic("order-a", 2);
    make_topic("order-b", 2);
    other_fill(brokers, "order-a", 2, 3000, 100);
    other_fill(brokers, "order-b", 2, 10, 100);
    stand_init(&at, brokers, new_group(), 2);
    give_inputs(&at, "order-a", "order-b");
    stand_start_consumer(&at);
    STAND_UNTIL(&at, 20000, at.fed_count == 3010 && has_end(&at, 0, 0, 0) && has_end(&at, 1, 1, 0));
    assert_in_order(&at, 0, 2, 0, 3010);
    assert_int_equal(at.assignment, 1);
    assert_int_equal(stand_count(&at, RFM_IN_ASSIGNED), 2);
    for (size_t i = 0; i < at.told_count; i++) /* no end before what lay below it */
        assert_true(at.told[i].input.kind == RFM_IN_ASSIGNED || at.told[i].input.kind == RFM_IN_AT_END);
    /* It repeats while nothing comes, with later moments. */
    int64_t now_ms = rfm_clock_wall_ms();
    STAND_UNTIL(&at, 5000, has_end(&at, 0, 0, now_ms + 100) && has_end(&at, 1, 0, now_ms + 100));
    stand_run_for(&at, 1100);
    assert_int_equal(rfm_consumer_lag(at.consumer, 0, 0), 0);
    assert_int_equal(rfm_consumer_lag(at.consumer, 7, 0), -1);
    rfm_consumer_stats stats = rfm_consumer_stats_of(at.consumer);
    assert_int_equal(stats.records, 3010);
    assert_true(stats.joined);
    stand_release(&at);
}

static void test_keys_values_headers(void **state)
{
    (void)state;
    stand at;
    rfm_bytes value;
    make_topic("headers", 1);
    rd_kafka_t *producer = other_producer(brokers, NULL);
    other_send(producer, "headers", 0, "k", "v", "some id");
    other_send(producer, "headers", 0, NULL, NULL, NULL);
    other_flush(producer);
    stand_init(&at, brokers, new_group(), 1);
    give_inputs(&at, "headers", NULL);
    stand_start_consumer(&at);
    STAND_UNTIL(&at, 20000, at.fed_count == 2);
    assert_true(rfm_bytes_is(at.fed[0].key, "k"));
    assert_true(rfm_bytes_is(at.fed[0].value, "v"));
    assert_true(rfm_headers_find(at.fed[0].headers, RFM_WAL_HEADER, &value));
    assert_true(rfm_bytes_is(value, "some id"));
    assert_int_equal(at.fed[1].key.len + at.fed[1].value.len + at.fed[1].headers.len, 0);
    assert_int_equal(at.fed[1].offset, 1);
    stand_release(&at);
    rd_kafka_destroy(producer);
}

static void test_a_full_owner_holds_the_input_back(void **state)
{
    (void)state;
    stand at;
    make_topic("full", 2);
    other_fill(brokers, "full", 2, 5000, 50);
    stand_init(&at, brokers, new_group(), 2);
    give_inputs(&at, "full", NULL);
    at.room = 1234;
    stand_start_consumer(&at);
    STAND_UNTIL(&at, 20000, at.fed_count == 1234);
    size_t calls = at.calls;
    stand_run_for(&at, 300);
    assert_int_equal(at.fed_count, 1234);
    assert_true(at.calls <= calls + 1); /* not asked again and again */
    assert_int_equal(stand_count(&at, RFM_IN_AT_END), 0);
    at.room = SIZE_MAX;
    rfm_consumer_resume(at.consumer);
    STAND_UNTIL(&at, 20000, at.fed_count == 5000);
    assert_in_order(&at, 0, 2, 0, 5000);
    stand_release(&at);
}

static void test_starting_again_drops_what_was_fetched(void **state)
{
    (void)state;
    stand at;
    make_topic("again", 1);
    other_fill(brokers, "again", 1, 4000, 50);
    stand_init(&at, brokers, new_group(), 1);
    give_inputs(&at, "again", NULL);
    at.room = 700;
    stand_start_consumer(&at);
    STAND_UNTIL(&at, 20000, at.fed_count == 700);
    for (int i = 0; i < 5; i++) { /* in the midst of a batch */
        size_t first = at.fed_count;
        rfm_position from = stand_from(300 + i);
        at.room = 900;
        rfm_consumer_consume_from(at.consumer, 0, &from);
        STAND_UNTIL(&at, 20000, at.fed_count == first + 900);
        assert_in_order(&at, first, 1, 300 + i, 900);
    }
    stand_release(&at);
}

static void test_nothing_is_fetched_before_consume_from(void **state)
{
    (void)state;
    stand at;
    make_topic("wait", 1);
    other_fill(brokers, "wait", 1, 100, 50);
    stand_init(&at, brokers, new_group(), 1);
    give_inputs(&at, "wait", NULL);
    at.consume = false;
    stand_start_consumer(&at);
    STAND_UNTIL(&at, 20000, at.assignment == 1);
    stand_run_for(&at, 300);
    assert_int_equal(at.fed_count, 0);
    assert_int_equal(stand_count(&at, RFM_IN_AT_END), 0);
    rfm_position from = stand_from(40);
    rfm_consumer_consume_from(at.consumer, 0, &from);
    STAND_UNTIL(&at, 20000, at.fed_count == 60);
    assert_in_order(&at, 0, 1, 40, 60);
    stand_release(&at);
}

static uint32_t tasks_of(const stand *at, uint32_t partition_count)
{
    uint32_t count = 0;
    for (uint32_t task = 0; task < partition_count; task++)
        count += at->ours[task];
    return count;
}

static void test_a_rebalance_waits_for_the_release(void **state)
{
    (void)state;
    stand a, b;
    make_topic("share", 4);
    other_fill(brokers, "share", 4, 400, 50);
    stand_init(&a, brokers, new_group(), 4);
    stand_init(&b, brokers, group, 4);
    give_inputs(&a, "share", NULL);
    give_inputs(&b, "share", NULL);
    a.release = false;
    stand_start_consumer(&a);
    STAND_UNTIL(&a, 20000, tasks_of(&a, 4) == 4 && a.fed_count == 400);
    rfm_group *group_of_1 = rfm_consumer_group(a.consumer, 1);
    assert_non_null(group_of_1);
    assert_null(rfm_consumer_group(a.consumer, 0));
    stand_start_consumer(&b);
    STAND_UNTIL2(&a, &b, 30000, stand_count(&a, RFM_IN_REVOKING) == 4);
    other_fill(brokers, "share", 4, 40, 50);
    for (uint32_t task = 0; task < 3; task++)
        rfm_consumer_released(a.consumer, task);
    stand_run_for(&a, 300);
    assert_int_equal(a.fed_count, 400); /* given up, so nothing more is fed */
    assert_int_equal(stand_count(&b, RFM_IN_ASSIGNED), 0);
    rfm_group *later_of_1 = rfm_consumer_group(a.consumer, 1);
    assert_ptr_equal(later_of_1, group_of_1); /* what is in flight may still be committed */
    rfm_group_drop(later_of_1);
    rfm_group_drop(group_of_1);
    a.release = true;
    rfm_consumer_released(a.consumer, 3);
    STAND_UNTIL2(&a, &b, 30000, tasks_of(&a, 4) == 2 && tasks_of(&b, 4) == 2);
    assert_true(a.assignment >= 2);
    assert_null(rfm_consumer_group(a.consumer, 1));
    STAND_UNTIL2(&a, &b, 40000, a.fed_count >= 400 + 220 && b.fed_count >= 220);
    /* More, if the group needed another round: the stand consumes from where it was told at each assignment. */
    /* A dynamic member that closes leaves at once. */
    rfm_consumer_close(b.consumer, stand_closed);
    STAND_UNTIL2(&a, &b, 30000, b.closed && tasks_of(&a, 4) == 4);
    assert_int_equal(tasks_of(&b, 4), 0);
    stand_release(&b);
    stand_release(&a);
}

static void test_close_without_an_assignment(void **state)
{
    (void)state;
    stand at;
    make_topic("early", 1);
    stand_init(&at, brokers, new_group(), 1);
    give_inputs(&at, "early", NULL);
    stand_start_consumer(&at);
    rfm_consumer_close(at.consumer, stand_closed);
    STAND_UNTIL(&at, 20000, at.closed);
    stand_release(&at);
}

/* Also while an assignment is under way, whose answer librdkafka's group would no longer take: it hung for ever. */
static void test_close_at_any_moment_of_a_join(void **state)
{
    (void)state;
    make_topic("joins", 1);
    for (int i = 0; i < 60; i++) {
        stand at;
        stand_init(&at, brokers, new_group(), 1);
        give_inputs(&at, "joins", NULL);
        stand_start_consumer(&at);
        stand_run_for(&at, i / 4);
        rfm_consumer_close(at.consumer, stand_closed);
        STAND_UNTIL(&at, 20000, at.closed);
        assert_int_equal(at.ours[0], 0);
        stand_release(&at);
    }
}

static void test_a_broker_that_is_away_blocks_nothing(void **state)
{
    (void)state;
    stand at;
    stand_init(&at, "127.0.0.1:1", new_group(), 1);
    give_inputs(&at, "early", NULL);
    stand_start_consumer(&at);
    stand_start_reader(&at);
    at.conf.transactional_id = "away";
    stand_start_publisher(&at);
    rfm_wal_reader_position(at.reader, 0, 1);
    rfm_wal_reader_wal(at.reader, 0, 1, 0, 10);
    rfm_wal_reader_tail(at.reader, 0, 1);
    rfm_publisher_renew(at.publisher);
    int64_t begun_ms = rfm_clock_wall_ms();
    stand_run_for(&at, 300);
    assert_true(rfm_clock_wall_ms() - begun_ms < 1500);
    assert_int_equal(at.told_count, 0);
    assert_false(at.has_fatal);
    assert_false(rfm_publisher_stats_of(at.publisher).ready);
    stand_release(&at);
}

static size_t positions_known(const stand *at)
{
    size_t count = 0;
    for (size_t i = 0; i < at->told_count; i++)
        count += at->told[i].input.kind == RFM_IN_POSITION && at->told[i].input.answer == RFM_DONE;
    return count;
}

static rd_kafka_mock_cluster_t *start_pair(const char *topic, rd_kafka_t **owner)
{
    char text[256];
    *owner = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), text, sizeof text);
    assert_non_null(*owner);
    rd_kafka_mock_cluster_t *two = rd_kafka_mock_cluster_new(*owner, 2);
    assert_int_equal(rd_kafka_mock_topic_create(two, topic, 1, 2), 0);
    assert_int_equal(rd_kafka_mock_topic_create(two, "wal", 1, 2), 0);
    return two;
}

static void ask_for_end(const rfm__asker *asker, const char *topic, rd_kafka_queue_t *queue)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, 0);
    rfm__offsets_ask(asker, list, RFM__LOG_END, 0, queue);
    rd_kafka_topic_partition_list_destroy(list);
}

static rd_kafka_resp_err_t answered(rfm__asker *asker, rd_kafka_queue_t *queue)
{
    size_t count;
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 10000);
    const rd_kafka_topic_partition_t *end = rfm__offsets_at(asker, event, 0, &count);
    rd_kafka_resp_err_t code = end ? end->err : rd_kafka_event_error(event);
    rd_kafka_event_destroy(event);
    return code;
}

/* librdkafka forgets the leaders with that answer, and may crash if it is asked before it knows them again. */
static void test_leaders_are_looked_up_again_after_one_moved(void **state)
{
    (void)state;
    stand at;
    rd_kafka_t *owner;
    rd_kafka_mock_cluster_t *two = start_pair("led", &owner);
    rd_kafka_mock_partition_set_leader(two, "led", 0, 1);
    stand_init(&at, rd_kafka_mock_cluster_bootstraps(two), new_group(), 1);
    give_inputs(&at, "led", NULL);
    at.consume = false; /* nobody else asks */
    stand_start_consumer(&at);
    rfm__asker *asker = rfm__consumer_asker(at.consumer);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(asker->client);
    STAND_UNTIL(&at, 10000, rfm__asker_ready(asker));
    ask_for_end(asker, "led", queue);
    assert_int_equal(answered(asker, queue), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_mock_partition_set_leader(two, "led", 0, 2);
    ask_for_end(asker, "led", queue);
    assert_int_equal(answered(asker, queue), RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION);
    assert_int_equal(asker->known_ms, 0);
    STAND_UNTIL(&at, 10000, rfm__asker_ready(asker));
    ask_for_end(asker, "led", queue);
    assert_int_equal(answered(asker, queue), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_queue_destroy(queue);
    stand_release(&at);
    rd_kafka_mock_cluster_destroy(two);
    rd_kafka_destroy(owner);
}

/* An answer that takes longer than the first look-up waits was thrown away, and the next one too: no take-over
 * ended. */
static void test_leaders_are_found_where_the_broker_is_far(void **state)
{
    (void)state;
    stand at;
    rd_kafka_t *owner;
    rd_kafka_mock_cluster_t *two = start_pair("far", &owner);
    stand_init(&at, rd_kafka_mock_cluster_bootstraps(two), new_group(), 1);
    give_inputs(&at, "far", NULL);
    at.consume = false;
    stand_start_consumer(&at);
    rfm__asker *asker = rfm__consumer_asker(at.consumer);
    STAND_UNTIL(&at, 10000, rfm__asker_ready(asker));
    for (int32_t broker = 1; broker <= 2; broker++)
        rd_kafka_mock_broker_set_rtt(two, broker, 180);
    asker->known_ms = 0; /* as after a leader that moved */
    STAND_UNTIL(&at, 10000, rfm__asker_ready(asker));
    int64_t known_ms = asker->known_ms -= 61000; /* a refresh that comes to nothing takes nothing away */
    asker->timeout_ms = 1;
    asker->tried_ms = 0;
    assert_true(rfm__asker_ready(asker));
    assert_int_equal(asker->known_ms, known_ms);
    stand_release(&at);
    rd_kafka_mock_cluster_destroy(two);
    rd_kafka_destroy(owner);
}

enum { OFFSET_FETCH = 9 };

/* librdkafka's admin keeps to the coordinator that it knows, as long as that broker lives. */
static void test_positions_are_found_after_the_coordinator_moved(void **state)
{
    (void)state;
    stand at;
    rd_kafka_t *owner;
    rd_kafka_mock_cluster_t *two = start_pair("moved", &owner);
    assert_int_equal(rd_kafka_mock_coordinator_set(two, "group", new_group(), 1), 0);
    stand_init(&at, rd_kafka_mock_cluster_bootstraps(two), group, 1);
    give_inputs(&at, "moved", NULL);
    at.consume = false;
    stand_start_consumer(&at);
    stand_start_reader(&at);
    rfm_wal_reader_position(at.reader, 0, 1);
    STAND_UNTIL(&at, 10000, positions_known(&at) == 1);
    assert_int_equal(rd_kafka_mock_coordinator_set(two, "group", group, 2), 0);
    for (int i = 0; i < 1000; i++) /* the mock itself would answer from any broker */
        rd_kafka_mock_broker_push_request_error_rtts(two, 1, OFFSET_FETCH, 1, RD_KAFKA_RESP_ERR_NOT_COORDINATOR, 0);
    for (size_t times = 2; times <= 3; times++) {
        rfm_wal_reader_position(at.reader, 0, (uint32_t)times);
        STAND_UNTIL(&at, 10000, positions_known(&at) == times);
    }
    stand_release(&at);
    rd_kafka_mock_cluster_destroy(two);
    rd_kafka_destroy(owner);
}

static void check_refused(rfm_kafka_properties *list, const char *name, const char *value, int code, const char *says,
                          const char *never_says, rfm_kafka_conf *conf)
{
    rfm_error error = {0};
    rfm_kafka_property property = {name, value};
    *list = (rfm_kafka_properties){&property, 1};
    assert_int_equal(rfm_kafka_conf_check(conf, &error), code);
    if (says)
        assert_non_null(strstr(error.message, says));
    if (never_says)
        assert_null(strstr(error.message, never_says));
    *list = (rfm_kafka_properties){NULL, 0};
}

static void test_properties(void **state)
{
    (void)state;
    rfm_kafka_conf conf = {.brokers = "127.0.0.1:1",
                           .group = "g",
                           .transactional_id = "t",
                           .input_topic = {"a"},
                           .input_count = 1,
                           .wal = "w",
                           .dead_letters = "d",
                           .audit = "u",
                           .partition_count = 1};
    rfm_error error;
    assert_int_equal(rfm_kafka_conf_check(&conf, &error), RFM_OK);
    check_refused(&conf.properties, "no.such.thing", "1", RFM_E_UNKNOWN_NAME, "no.such.thing", NULL, &conf);
    check_refused(&conf.properties, "auto.offset.reset", "earliest", RFM_E_REFUSED, "auto.offset.reset", NULL, &conf);
    check_refused(&conf.consumer, "session.timeout.ms", "soon", RFM_E_MALFORMED, "session.timeout.ms", NULL, &conf);
    check_refused(&conf.producer, "enable.idempotence", "false", RFM_E_REFUSED, "producer", NULL, &conf);
    check_refused(&conf.properties, "ssl.key.password", "hunter2", RFM_OK, NULL, "hunter2", &conf);
    check_refused(&conf.producer, "linger.ms", "20", RFM_OK, NULL, NULL, &conf);
    check_refused(&conf.consumer, "fetch.max.bytes", "2000000", RFM_OK, NULL, NULL, &conf);
    conf.fetch_bytes_max = (size_t)4 << 30;
    assert_int_equal(rfm_kafka_conf_check(&conf, &error), RFM_OK);
    conf.fetch_bytes_max = 1;
    assert_int_equal(rfm_kafka_conf_check(&conf, &error), RFM_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_feeds_all_inputs_in_order_and_tells_the_end),
        cmocka_unit_test(test_keys_values_headers),
        cmocka_unit_test(test_a_full_owner_holds_the_input_back),
        cmocka_unit_test(test_starting_again_drops_what_was_fetched),
        cmocka_unit_test(test_nothing_is_fetched_before_consume_from),
        cmocka_unit_test(test_a_rebalance_waits_for_the_release),
        cmocka_unit_test(test_close_without_an_assignment),
        cmocka_unit_test(test_close_at_any_moment_of_a_join),
        cmocka_unit_test(test_a_broker_that_is_away_blocks_nothing),
        cmocka_unit_test(test_leaders_are_looked_up_again_after_one_moved),
        cmocka_unit_test(test_leaders_are_found_where_the_broker_is_far),
        cmocka_unit_test(test_positions_are_found_after_the_coordinator_moved),
        cmocka_unit_test(test_properties),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
