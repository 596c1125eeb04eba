/* The publisher against the mock cluster with injected errors: what each does to the answer. */
#include "stand.h"

#include <librdkafka/rdkafka_mock.h>

enum {
    WAIT_MS = 40000,
    PRODUCE = 0,
    TXN_OFFSET_COMMIT = 28,
    END_TXN = 26,
    ADD_OFFSETS = 25,
    ADD_PARTITIONS = 24,
    INIT_PRODUCER_ID = 22
};

static rd_kafka_t *owner;
static rd_kafka_mock_cluster_t *cluster;

typedef struct work {
    rfm_step step;
    rfm_message *messages; /* in memory of its own, which is freed with the answer */
    rfm_change changes[2];
    char *values;
} work;

static const char *const triggers[] = {"triggers"};

static int start(void **state)
{
    (void)state;
    char text[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "log_level", "0", text, sizeof text);
    owner = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    cluster = rd_kafka_mock_cluster_new(owner, 1);
    rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, 0);
    static const char *const names[] = {"in", "wal", "dead", "audit", "triggers", "later"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        rd_kafka_mock_topic_create(cluster, names[i], 2, 1);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(owner);
    return 0;
}

static int test_number;

static void set_up(stand *at)
{
    static char group[32], id[32];
    snprintf(group, sizeof group, "group-%d", ++test_number);
    snprintf(id, sizeof id, "id-%d", test_number);
    stand_init(at, rd_kafka_mock_cluster_bootstraps(cluster), group, 2);
    at->conf.input_topic[0] = "in";
    at->conf.input_count = 1;
    at->conf.trigger_topics = triggers;
    at->conf.trigger_topic_count = 1;
    at->conf.transactional_id = id;
    at->consume = false;
    stand_start_consumer(at);
    stand_start_publisher(at);
    STAND_UNTIL(at, WAIT_MS, at->assignment > 0 && rfm_publisher_stats_of(at->publisher).ready);
}

static work *new_work(const stand *at, size_t count)
{
    work *of = calloc(1, sizeof *of);
    of->messages = calloc(count, sizeof *of->messages);
    of->values = malloc(count * 100);
    memset(of->values, 'v', count * 100);
    for (size_t i = 0; i < count; i++) {
        rfm_bytes value = rfm_bytes_of(of->values + 100 * i, 100);
        int32_t task = (int32_t)(i % 2);
        of->messages[i] = i < 6 ? (rfm_message){RFM_TOPIC_WAL, task, task, RFM_BYTES_NONE, value, RFM_BYTES_NONE}
                                : (rfm_message){RFM_TOPIC_TRIGGERS, -1, -1, rfm_text("key"), value, RFM_BYTES_NONE};
    }
    for (uint32_t task = 0; task < 2; task++) {
        of->changes[task] = (rfm_change){.task = task, .to = stand_from(RFM_OFFSET_NONE)};
        of->changes[task].to.next[0] = 5;
    }
    of->step = (rfm_step){1, at->assignment, of->messages, count, of->changes, 2};
    return of;
}

static void free_work(work *of)
{
    free(of->messages);
    free(of->values);
    free(of);
}

/* Frees the step at once when it is answered, as the engine may. */
static rfm_answer publish(stand *at, size_t count, int64_t wal[2])
{
    work *of = new_work(at, count);
    size_t before = stand_count(at, RFM_IN_PUBLISHED);
    rfm_publisher_publish(at->publisher, &of->step, rfm_consumer_group(at->consumer, at->assignment));
    STAND_UNTIL(at, WAIT_MS, stand_count(at, RFM_IN_PUBLISHED) == before + 1);
    for (size_t task = 0; wal && task < 2; task++)
        wal[task] = of->changes[task].to.wal;
    free_work(of);
    return stand_last(at, RFM_IN_PUBLISHED)->input.answer;
}

static void renew(stand *at)
{
    size_t before = stand_count(at, RFM_IN_RENEWED);
    rfm_publisher_renew(at->publisher);
    STAND_UNTIL(at, WAIT_MS, stand_count(at, RFM_IN_RENEWED) == before + 1);
}

static void fail_next(int16_t api, rd_kafka_resp_err_t code)
{
    rd_kafka_mock_push_request_errors(cluster, api, 1, code);
}

/* What the answer is when the next such request fails so, and that a renewed producer goes on. */
static void expect(int16_t api, rd_kafka_resp_err_t code, rfm_answer answer, bool fatal)
{
    stand at;
    set_up(&at);
    assert_int_equal(publish(&at, 10, NULL), RFM_DONE);
    fail_next(api, code);
    assert_int_equal(publish(&at, 1000, NULL), answer);
    rd_kafka_mock_clear_request_errors(cluster, api);
    if (fatal)
        STAND_UNTIL(&at, WAIT_MS, at.has_fatal);
    stand_run_for(&at, 50);
    assert_int_equal(at.has_fatal, fatal);
    assert_int_equal(rfm_publisher_stats_of(at.publisher).ready, answer == RFM_DONE);
    if (answer != RFM_DONE)
        renew(&at);
    assert_int_equal(publish(&at, 10, NULL), RFM_DONE);
    stand_release(&at);
}

static void test_done(void **state)
{
    (void)state;
    stand at;
    int64_t first[2], second[2];
    set_up(&at);
    assert_int_equal(publish(&at, 6, first), RFM_DONE);
    assert_int_equal(publish(&at, 20000, second), RFM_DONE);
    for (size_t task = 0; task < 2; task++)
        assert_int_equal(second[task], first[task] + 3);
    rfm_publisher_stats stats = rfm_publisher_stats_of(at.publisher);
    assert_true(stats.steps == 2 && stats.messages == 20006 && stats.commit_ns > 0);
    stand_release(&at);
}

static void test_a_lost_answer_to_the_commit_is_unknown(void **state)
{
    (void)state;
    expect(END_TXN, RD_KAFKA_RESP_ERR__TRANSPORT, RFM_UNKNOWN, false);
}

static void test_a_refused_commit_is_unknown(void **state)
{
    (void)state;
    expect(END_TXN, RD_KAFKA_RESP_ERR_PRODUCER_FENCED, RFM_UNKNOWN, false);
}

/* Answered, so nothing is on its way: done after all. */
static void test_a_commit_that_was_told_to_try_again_is_clean(void **state)
{
    (void)state;
    expect(END_TXN, RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS, RFM_DONE, false);
    expect(END_TXN, RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, RFM_DONE, false);
}

/* Slower than the publisher looks at whether it is to stop: it is one commit all the same. */
static void test_a_slow_commit_is_clean(void **state)
{
    (void)state;
    stand at;
    set_up(&at);
    assert_int_equal(publish(&at, 10, NULL), RFM_DONE);
    rd_kafka_mock_broker_push_request_error_rtts(cluster, 1, END_TXN, 1, RD_KAFKA_RESP_ERR_NO_ERROR, 2500);
    assert_int_equal(publish(&at, 10, NULL), RFM_DONE);
    assert_true(rfm_publisher_stats_of(at.publisher).commit_ns > 2500000000);
    assert_int_equal(publish(&at, 10, NULL), RFM_DONE);
    stand_release(&at);
}

static size_t requests_of(int16_t api)
{
    size_t count, found = 0;
    rd_kafka_mock_request_t **requests = rd_kafka_mock_get_requests(cluster, &count);
    for (size_t i = 0; i < count; i++)
        found += rd_kafka_mock_request_api_key(requests[i]) == api;
    rd_kafka_mock_request_destroy_array(requests, count);
    return found;
}

/* One for all that ask while it goes on, each of which is answered. */
static void test_evictions_of_one_id_are_one(void **state)
{
    (void)state;
    stand at;
    set_up(&at);
    rd_kafka_mock_start_request_tracking(cluster);
    for (uint32_t task = 0; task < 20; task++)
        rfm_publisher_evict(at.publisher, task, 100 + task, rfm_text(task % 10 == 9 ? "another" : "dead"));
    STAND_UNTIL(&at, WAIT_MS, stand_count(&at, RFM_IN_EVICTED) == 20);
    bool answered[20] = {false};
    for (size_t i = 0; i < at.told_count; i++) {
        const rfm_input *input = &at.told[i].input;
        if (input->kind != RFM_IN_EVICTED)
            continue;
        assert_true(input->term == 100 + input->task && !answered[input->task]);
        answered[input->task] = true;
    }
    assert_in_range(requests_of(INIT_PRODUCER_ID), 2, 4);
    rd_kafka_mock_stop_request_tracking(cluster);
    assert_int_equal(publish(&at, 10, NULL), RFM_DONE);
    stand_release(&at);
}

static void test_lost_offsets_are_unknown(void **state)
{
    (void)state;
    expect(TXN_OFFSET_COMMIT, RD_KAFKA_RESP_ERR__TRANSPORT, RFM_UNKNOWN, false);
    expect(ADD_OFFSETS, RD_KAFKA_RESP_ERR__TRANSPORT, RFM_UNKNOWN, false);
}

static void test_offsets_of_an_older_generation_are_fenced(void **state)
{
    (void)state;
    expect(TXN_OFFSET_COMMIT, RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION, RFM_FENCED, false);
    expect(TXN_OFFSET_COMMIT, RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID, RFM_FENCED, false);
}

static void test_messages_that_fail(void **state)
{
    (void)state;
    expect(PRODUCE, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, RFM_DONE, false);
    expect(PRODUCE, RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, RFM_FENCED, false);
    expect(PRODUCE, RD_KAFKA_RESP_ERR_INVALID_RECORD, RFM_FENCED, true);
    expect(PRODUCE, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, RFM_FENCED, true);
}

/* What a coordinator says that is about to answer, or no longer the one, is asked again: nothing was decided. */
static void test_what_is_to_be_tried_again_is_done(void **state)
{
    (void)state;
    static const rd_kafka_resp_err_t codes[] = {RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
                                                RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
                                                RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE};
    static const int16_t apis[] = {ADD_PARTITIONS, ADD_OFFSETS, TXN_OFFSET_COMMIT, END_TXN};
    for (size_t i = 0; i < sizeof apis / sizeof *apis; i++)
        expect(apis[i], codes[i % 3], RFM_DONE, false);
    expect(ADD_PARTITIONS, RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS, RFM_DONE, false);
    expect(ADD_OFFSETS, RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS, RFM_DONE, false);
}

/* What ends the producer before the commit is asked for is certain: nothing of the step is there. */
static void test_what_ends_the_producer_before_the_commit(void **state)
{
    (void)state;
    expect(ADD_PARTITIONS, RD_KAFKA_RESP_ERR_PRODUCER_FENCED, RFM_FENCED, false);
    expect(ADD_OFFSETS, RD_KAFKA_RESP_ERR_PRODUCER_FENCED, RFM_FENCED, false);
    expect(TXN_OFFSET_COMMIT, RD_KAFKA_RESP_ERR_PRODUCER_FENCED, RFM_FENCED, false);
    expect(ADD_OFFSETS, RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, RFM_FENCED, true);
}

static void test_without_a_group_it_is_fenced(void **state)
{
    (void)state;
    stand at;
    set_up(&at);
    work *of = new_work(&at, 3);
    rfm_publisher_publish(at.publisher, &of->step, NULL);
    STAND_UNTIL(&at, WAIT_MS, stand_count(&at, RFM_IN_PUBLISHED) == 1);
    assert_int_equal(stand_last(&at, RFM_IN_PUBLISHED)->input.answer, RFM_FENCED);
    assert_true(rfm_publisher_stats_of(at.publisher).ready); /* nothing was sent */
    free_work(of);
    stand_release(&at);
}

static int64_t end_of(const char *topic)
{
    int64_t low, high, sum = 0;
    for (int32_t partition = 0; partition < 2; partition++) {
        rd_kafka_t *client = other_producer(rd_kafka_mock_cluster_bootstraps(cluster), NULL);
        assert_int_equal(rd_kafka_query_watermark_offsets(client, topic, partition, &low, &high, 10000), 0);
        rd_kafka_destroy(client);
        sum += high;
    }
    return sum;
}

static void test_topics_that_new_rules_name(void **state)
{
    (void)state;
    stand at;
    static const char *const more[] = {"triggers", "later"}, *const other[] = {"later"};
    set_up(&at);
    int64_t before = end_of("later");
    rfm_publisher_set_trigger_topics(at.publisher, more, 2);
    assert_int_equal(publish(&at, 10, NULL), RFM_DONE);
    assert_int_equal(end_of("later"), before);
    rfm_publisher_set_trigger_topics(at.publisher, other, 1);
    assert_int_equal(publish(&at, 10, NULL), RFM_DONE);
    assert_int_equal(end_of("later"), before + 4);
    stand_release(&at);
}

static void test_freed_in_the_midst_of_a_step(void **state)
{
    (void)state;
    stand at;
    set_up(&at);
    work *of = new_work(&at, 20000);
    rfm_publisher_publish(at.publisher, &of->step, rfm_consumer_group(at.consumer, at.assignment));
    rfm_publisher_renew(at.publisher);
    stand_release(&at);
    free_work(of);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_done),
        cmocka_unit_test(test_a_lost_answer_to_the_commit_is_unknown),
        cmocka_unit_test(test_a_refused_commit_is_unknown),
        cmocka_unit_test(test_a_commit_that_was_told_to_try_again_is_clean),
        cmocka_unit_test(test_a_slow_commit_is_clean),
        cmocka_unit_test(test_evictions_of_one_id_are_one),
        cmocka_unit_test(test_lost_offsets_are_unknown),
        cmocka_unit_test(test_offsets_of_an_older_generation_are_fenced),
        cmocka_unit_test(test_messages_that_fail),
        cmocka_unit_test(test_what_is_to_be_tried_again_is_done),
        cmocka_unit_test(test_what_ends_the_producer_before_the_commit),
        cmocka_unit_test(test_without_a_group_it_is_fenced),
        cmocka_unit_test(test_topics_that_new_rules_name),
        cmocka_unit_test(test_freed_in_the_midst_of_a_step),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
