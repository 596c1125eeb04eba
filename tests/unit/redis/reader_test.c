#include "driver.h"

#include "redis/reader.h"

static test_server server;
static test_driver world;

static int set_up(void **state)
{
    (void)state;
    driver_begin(&world, &server);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    driver_end(&world, &server);
    return 0;
}

static rfm_store_reader *reader_new(void)
{
    rfm_store_reader *reader;
    rfm_error error = {0};
    if (rfm_store_reader_new(&world.conf, &reader, &error))
        fail_msg("%s", error.message);
    return reader;
}

static void write_state(void)
{
    driver_start(&world);
    driver_opened(&world);
    const rfm_redo_item items[] = {
        item_of(RFM_REDO_SET, "c:a", "", "A"),
        item_of(RFM_REDO_HASH_SET, "names", "1", "one"),
        item_of(RFM_REDO_SET, "other", "", "x"),
    };
    driver_stored(&world, items, 3, "1 1");
}

static void a_value_and_a_hash(void **state)
{
    (void)state;
    write_state();
    rfm_store_reader *reader = reader_new();
    rfm_bytes value;
    const rfm_bytes *values;
    size_t count;
    assert_int_equal(rfm_store_reader_get(reader, TASK, rfm_text("c:a"), &value, NULL), RFM_OK);
    assert_bytes(value, "A");
    assert_int_equal(rfm_store_reader_get(reader, TASK, rfm_text("c:b"), &value, NULL), RFM_OK);
    assert_null(value.at);
    assert_int_equal(rfm_store_reader_hash(reader, TASK, rfm_text("names"), &values, &count, NULL), RFM_OK);
    assert_int_equal(count, 2);
    assert_bytes(values[1], "one");
    assert_int_equal(rfm_store_reader_hash(reader, 0, rfm_text("names"), &values, &count, NULL), RFM_OK);
    assert_int_equal(count, 0);
    assert_int_equal(rfm_store_reader_field(reader, TASK, rfm_text("names"), rfm_text("1"), &value, NULL), RFM_OK);
    assert_bytes(value, "one");
    assert_int_equal(rfm_store_reader_field(reader, TASK, rfm_text("names"), rfm_text("2"), &value, NULL), RFM_OK);
    assert_null(value.at);
    assert_int_equal(rfm_store_reader_field(reader, TASK, rfm_text("c:a"), rfm_text("1"), &value, NULL), RFM_E_CORRUPT);
    rfm_store_reader_free(reader);
}

enum { CLIENTS = 5000 };
typedef struct seen {
    uint8_t times[CLIENTS];
    size_t count, wanted;
} seen;

static bool see(void *owner, rfm_bytes id, rfm_bytes value)
{
    seen *all = owner;
    char text[32];
    assert_true(id.len < sizeof text);
    snprintf(text, sizeof text, "%.*s", (int)id.len, (const char *)id.at);
    assert_bytes(value, text); /* written so below */
    size_t number = strtoul(text, NULL, 10);
    assert_true(number < CLIENTS);
    all->times[number]++;
    return ++all->count != all->wanted;
}

static void fill(void)
{
    redisContext *connection = server_connect(&server);
    for (uint32_t task = 0; task < TASK_COUNT; task++) {
        rfm_keyspace space;
        rfm__keyspace_init(&space, PREFIX, task, TASK_COUNT);
        for (int i = 0; i < CLIENTS; i++) {
            char id[16];
            int len = snprintf(id, sizeof id, "%d", i);
            redisAppendCommand(connection, "SET %b%s%s %b", space.start, space.start_len, "c:", id, id, (size_t)len);
        }
        for (int i = 0; i < CLIENTS; i++) {
            void *reply;
            assert_int_equal(redisGetReply(connection, &reply), REDIS_OK);
            freeReplyObject(reply);
        }
        freeReplyObject(redisCommand(connection, "SET %bwal 1", space.start, space.start_len));
        freeReplyObject(redisCommand(connection, "RPUSH %bc:list 1", space.start, space.start_len));
    }
    freeReplyObject(redisCommand(connection, "SET " PREFIX "{9-x}:c:1 x"));
    freeReplyObject(redisCommand(connection, "SET " PREFIX ":{1-other}:c:1 x"));
    redisFree(connection);
}

static void all_strings_of_a_task(void **state)
{
    (void)state;
    write_state();
    server_tell(&server, "DEL %s", key_of("c:a", (char[256]){""}));
    fill();
    static seen all;
    rfm_store_reader *reader = reader_new();
    assert_int_equal(rfm_store_reader_scan(reader, TASK, rfm_text("c:"), see, &all, NULL), RFM_OK);
    assert_int_equal(all.count, CLIENTS);
    for (int i = 0; i < CLIENTS; i++)
        assert_int_equal(all.times[i], 1);
    all.count = 0;
    all.wanted = 10;
    assert_int_equal(rfm_store_reader_scan(reader, TASK, rfm_text("c:"), see, &all, NULL), RFM_OK);
    assert_int_equal(all.count, 10);
    rfm_store_reader_free(reader);
}

typedef struct hashes {
    size_t number, fields, wanted;
} hashes;

/* The hash of number n has the fields 0 to n % 7 - 1, each with its own name as value; all but the multiples of 7
 * exist. */
static bool see_hash(void *owner, const rfm_bytes *values, size_t count)
{
    hashes *all = owner;
    char text[16];
    assert_int_equal(count, 2 * (all->number % 7));
    for (size_t i = 0; i < count; i += 2) {
        snprintf(text, sizeof text, "%zu-%c", all->number, values[i].at[values[i].len - 1]);
        assert_bytes(values[i], text);
        assert_bytes(values[i + 1], text);
        all->fields++;
    }
    return ++all->number != all->wanted;
}

static void many_hashes_in_their_order(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    static char text[COUNT][16];
    static rfm_bytes keys[COUNT];
    hashes all = {0};
    write_state();
    for (int i = 0; i < COUNT; i++) {
        snprintf(text[i], sizeof text[i], "b:%d", i);
        keys[i] = rfm_text(text[i]);
        for (int k = 0; k < i % 7; k++)
            server_tell(&server, "HSET %s %d-%d %d-%d", key_of(text[i], (char[256]){""}), i, k, i, k);
    }
    rfm_store_reader *reader = reader_new();
    assert_int_equal(rfm_store_reader_hashes(reader, TASK, keys, COUNT, see_hash, &all, NULL), RFM_OK);
    assert_int_equal(all.number, COUNT);
    assert_int_equal(all.fields, 2997); /* the sum of i % 7 */
    all = (hashes){.wanted = 100};
    assert_int_equal(rfm_store_reader_hashes(reader, TASK, keys, COUNT, see_hash, &all, NULL), RFM_OK);
    assert_int_equal(all.number, 100);
    keys[500] = rfm_text("c:a"); /* a string */
    all = (hashes){0};
    rfm_error error = {0};
    assert_int_equal(rfm_store_reader_hashes(reader, TASK, keys, COUNT, see_hash, &all, &error), RFM_E_CORRUPT);
    assert_non_null(strstr(error.message, "HGETALL"));
    rfm_store_reader_free(reader);
}

static void a_prefix_is_no_pattern(void **state)
{
    (void)state;
    world.conf.prefix = "[a*]?\\";
    write_state();
    rfm_store_reader *reader = reader_new();
    rfm_bytes value;
    static seen all;
    assert_int_equal(rfm_store_reader_get(reader, TASK, rfm_text("c:a"), &value, NULL), RFM_OK);
    assert_bytes(value, "A");
    all.wanted = 1;
    server_tell(&server, "FLUSHALL");
    const rfm_redo_item item = item_of(RFM_REDO_SET, "c:7", "", "7");
    driver_store(&world, &item, 1, "2 1");
    driver_expect(&world, RFM_IN_STORED, RFM_NOT_STORED); /* the flush touched the watched key */
    driver_stored(&world, &item, 1, "2 1");
    assert_int_equal(rfm_store_reader_scan(reader, TASK, rfm_text("c:"), see, &all, NULL), RFM_OK);
    assert_int_equal(all.count, 1);
    rfm_store_reader_free(reader);
}

static void no_state_anothers_state_no_server(void **state)
{
    (void)state;
    rfm_store_reader *reader;
    rfm_error error = {0};
    assert_int_equal(rfm_store_reader_new(&world.conf, &reader, &error), RFM_E_NOT_FOUND);
    assert_non_null(strstr(error.message, "are redis.url and redis.prefix the service's?"));
    server_tell(&server, "HSET " PREFIX ":meta group other partitions 4 format 1");
    assert_int_equal(rfm_store_reader_new(&world.conf, &reader, &error), RFM_E_REFUSED);
    assert_non_null(strstr(error.message, "group=other"));
    server_tell(&server, "CONFIG SET requirepass right");
    assert_int_equal(rfm_store_reader_new(&world.conf, &reader, &error), RFM_E_DENIED);
    world.conf.password = "wrong";
    assert_int_equal(rfm_store_reader_new(&world.conf, &reader, &error), RFM_E_DENIED);
    assert_null(strstr(error.message, "wrong\n"));
    server_kill(&server);
    assert_int_equal(rfm_store_reader_new(&world.conf, &reader, &error), RFM_E_AWAY);
    driver_start(&world);
}

static void set_format(const char *format)
{
    freeReplyObject(server_ask(&server, "HSET " PREFIX ":meta partitions 4 format %s", format));
}

static void a_newer_state_is_not_read(void **state)
{
    (void)state;
    write_state();
    rfm_store_reader *reader = reader_new();
    rfm_error error = {0};
    uint32_t count;
    assert_int_equal(rfm_store_reader_partitions(reader, &count, &error), RFM_OK);
    assert_int_equal(count, 4);
    set_format("3 at_least_once");
    assert_int_equal(rfm_store_reader_partitions(reader, &count, &error), RFM_E_VERSION);
    assert_non_null(strstr(error.message, "format=3, which a newer rfmd has made"));
    set_format("1");
    assert_int_equal(rfm_store_reader_partitions(reader, &count, &error), RFM_OK);
    rfm_store_reader_free(reader);
}

static void it_connects_anew(void **state)
{
    (void)state;
    world.conf.timeout_ms = 300;
    write_state();
    rfm_store_reader *reader = reader_new();
    rfm_bytes value;
    rfm_error error = {0};
    kill(server.pid, SIGSTOP);
    assert_int_equal(rfm_store_reader_get(reader, TASK, rfm_text("c:a"), &value, &error), RFM_E_AWAY);
    kill(server.pid, SIGCONT);
    assert_int_equal(rfm_store_reader_get(reader, TASK, rfm_text("c:a"), &value, &error), RFM_OK);
    assert_bytes(value, "A");
    assert_int_equal(rfm_store_reader_get(reader, TASK, rfm_text("names"), &value, &error), RFM_E_CORRUPT);
    assert_int_equal(rfm_store_reader_get(reader, TASK, rfm_text("c:a"), &value, &error), RFM_OK);
    rfm_store_reader_free(reader);
}

/* Its loop's clock stands still between two calls. */
static void it_waits_as_long_after_a_rest(void **state)
{
    (void)state;
    world.conf.timeout_ms = 300;
    write_state();
    rfm_store_reader *reader = reader_new();
    rfm_bytes value;
    rfm_error error = {0};
    uv_sleep(400);
    assert_int_equal(rfm_store_reader_get(reader, TASK, rfm_text("c:a"), &value, &error), RFM_OK);
    assert_bytes(value, "A");
    rfm_store_reader_free(reader);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_value_and_a_hash),
        TEST(all_strings_of_a_task),
        TEST(many_hashes_in_their_order),
        TEST(a_prefix_is_no_pattern),
        TEST(no_state_anothers_state_no_server),
        TEST(it_connects_anew),
        TEST(it_waits_as_long_after_a_rest),
        TEST(it_connects_anew),
        TEST(a_newer_state_is_not_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
