#include "driver.h"

#include "redis/reader.h"

/* One master, its replica, and the one Sentinel that watches them. */
static test_server master, replica, sentinel;
static test_driver world;

static void follow_master(void)
{
    char port[16];
    snprintf(port, sizeof port, "%d", master.port);
    server_start(&replica, (const char *const[]){"--replicaof", "127.0.0.1", port, NULL});
}

static int set_up(void **state)
{
    (void)state;
    server_init(&master);
    server_init(&replica);
    server_start(&master, (const char *const[]){"--repl-diskless-sync-delay", "0", NULL});
    follow_master();
    server_init_sentinel(&sentinel, master.port, "");
    server_start(&sentinel, NULL);
    server_wait(&replica, "INFO replication", "master_link_status:up");
    driver_init(&world, &master);
    snprintf(world.url, sizeof world.url, "redis+sentinel://127.0.0.1:%d/master", sentinel.port);
    world.conf.timeout_ms = 1000;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    driver_stop(&world);
    server_release(&sentinel);
    server_release(&replica);
    server_release(&master);
    return 0;
}

static const rfm_redo_item one_client = {
    RFM_REDO_SET, {(const uint8_t *)"c:a", 3}, {NULL, 0}, {(const uint8_t *)"A", 1}};

static char *key(const char *name)
{
    static char text[256];
    return (char *)(uintptr_t)key_of(name, text);
}

static void assert_at(const test_server *server, const char *name, const char *value)
{
    redisReply *reply = server_ask(server, "GET %s", key(name));
    assert_int_equal(reply->type, REDIS_REPLY_STRING);
    assert_string_equal(reply->str, value);
    freeReplyObject(reply);
}

/* Until the log has the words: trouble is told at every attempt. */
static void wait_for_log(const char *words)
{
    for (int i = 0; i < 100 && !strstr(world.log, words); i++)
        assert_null(driver_next(&world, 100));
    if (!strstr(world.log, words))
        fail_msg("no %s in: %s", words, world.log);
}

/* With the password that the server has by now. */
static void server_tell_as(const char *password, const test_server *server, const char *command)
{
    redisContext *connection = server_connect(server);
    freeReplyObject(redisCommand(connection, "AUTH %s", password));
    redisReply *reply = redisCommand(connection, command);
    assert_non_null(reply);
    assert_int_not_equal(reply->type, REDIS_REPLY_ERROR);
    freeReplyObject(reply);
    redisFree(connection);
}

static void wait_for_copy(const char *wal)
{
    char command[320];
    snprintf(command, sizeof command, "GET %s", key("wal"));
    server_wait(&replica, command, wal);
}

static void a_failover_is_followed(void **state)
{
    (void)state;
    driver_start(&world);
    driver_opened(&world);
    driver_stored(&world, &one_client, 1, "1 0");
    assert_at(&master, "c:a", "A");
    wait_for_copy("1 0");
    server_wait(&sentinel, "INFO sentinel", "slaves=1");
    server_wait(&sentinel, "SENTINEL failover master", "OK"); /* not before it knows enough of the replica */
    /* The old master does not know yet that it is none: the Sentinel may take 8 s and more to tell it. */
    const test_answer *closed = driver_next(&world, 30000);
    assert_non_null(closed);
    assert_int_equal(closed->input.kind, RFM_IN_CLOSED);
    assert_bytes(driver_expect(&world, RFM_IN_OPENED, RFM_DONE)->input.wal_value, "1 0");
    const rfm_redo_item next = item_of(RFM_REDO_SET, "c:a", "", "B");
    driver_stored(&world, &next, 1, "2 0");
    assert_at(&replica, "c:a", "B");
}

/* What the master had acknowledged and not passed on is lost: whoever owns the task sees it by the older `wal`. */
static void a_dead_master_is_replaced_by_what_the_replica_has(void **state)
{
    (void)state;
    driver_start(&world);
    driver_opened(&world);
    driver_stored(&world, &one_client, 1, "1 0");
    wait_for_copy("1 0");
    server_wait(&sentinel, "INFO sentinel", "slaves=1");
    server_tell(&master, "CONFIG SET requirepass x"); /* those who are in stay, but the replica cannot come again */
    server_tell_as("x", &master, "CLIENT KILL TYPE replica");
    const rfm_redo_item lost = item_of(RFM_REDO_SET, "c:a", "", "lost");
    driver_stored(&world, &lost, 1, "2 0");
    server_kill(&master);
    driver_expect(&world, RFM_IN_CLOSED, RFM_DONE);
    server_wait(&replica, "INFO replication", "role:master");
    assert_bytes(driver_expect(&world, RFM_IN_OPENED, RFM_DONE)->input.wal_value, "1 0");
    const rfm_bytes keys[] = {rfm_text("c:a")};
    driver_load(&world, RFM_LOAD_VALUES, keys, 1, 0, 0);
    const rfm_input *loaded = &driver_expect(&world, RFM_IN_LOADED, RFM_DONE)->input;
    assert_bytes(loaded->loaded.values[0], "A");
    assert_bytes(loaded->loaded.wal_value, "1 0");
}

static void one_that_is_away_and_one_that_is_behind_are_passed_over(void **state)
{
    (void)state;
    test_server behind;
    server_init_sentinel(&behind, replica.port, "sentinel down-after-milliseconds master 60000\n");
    server_start(&behind, NULL);
    snprintf(world.url, sizeof world.url, "redis+sentinel://127.0.0.1:%d,127.0.0.1:%d,127.0.0.1:%d/master",
             server__free_port(), behind.port, sentinel.port);
    driver_start(&world);
    driver_opened(&world);
    driver_stored(&world, &one_client, 1, "1 0");
    assert_at(&master, "c:a", "A");
    char sentence[96];
    snprintf(sentence, sizeof sentence, "Redis at 127.0.0.1:%d: it is a replica", replica.port);
    assert_non_null(strstr(world.log, sentence));
    assert_non_null(strstr(world.log, "Sentinel at 127.0.0.1:"));
    assert_non_null(strstr(world.log, "Redis at master: all is well again"));
    server_release(&behind);
}

static void a_replica_that_was_a_master_is_left(void **state)
{
    (void)state;
    driver_start(&world);
    driver_opened(&world);
    driver_stored(&world, &one_client, 1, "1 0");
    server_tell(&master, "CONFIG SET replica-read-only yes");
    server_tell(&sentinel, "SENTINEL remove master"); /* else it would mend what follows */
    server_tell(&replica, "REPLICAOF NO ONE");
    server_tell(&master, "REPLICAOF 127.0.0.1 %d", replica.port);
    server_tell(&sentinel, "SENTINEL monitor master 127.0.0.1 %d 1", replica.port);
    driver_store(&world, &one_client, 1, "2 0");
    driver_expect(&world, RFM_IN_STORED, RFM_NOT_STORED);
    driver_expect(&world, RFM_IN_CLOSED, RFM_DONE);
    driver_expect(&world, RFM_IN_OPENED, RFM_DONE);
    assert_non_null(strstr(world.log, "READONLY"));
    driver_stored(&world, &one_client, 1, "2 0");
    assert_at(&replica, "wal", "2 0");
}

static void messages_tell_what_to_do(void **state)
{
    (void)state;
    snprintf(world.url, sizeof world.url, "redis+sentinel://127.0.0.1:%d/other", sentinel.port);
    driver_start(&world);
    driver_open(&world);
    wait_for_log("it knows no master 'other': check the name in redis.url");
    rfm_store_reader *reader;
    rfm_error error = {0};
    snprintf(world.url, sizeof world.url, "redis+sentinel://127.0.0.1:%d/master", master.port);
    assert_int_equal(rfm_store_reader_new(&world.conf, &reader, &error), RFM_E_AWAY);
    assert_non_null(strstr(error.message, "it is no Sentinel: name the Sentinels of master in redis.url"));
}

static void the_sentinel_s_password_is_another(void **state)
{
    (void)state;
    test_server guarded;
    server_init_sentinel(&guarded, master.port, "requirepass halt\nsentinel auth-pass master open\n");
    server_start(&guarded, NULL);
    server_tell(&master, "CONFIG SET requirepass open");
    snprintf(world.url, sizeof world.url, "redis+sentinel://127.0.0.1:%d/master", guarded.port);
    rfm_store_reader *reader;
    rfm_error error = {0};
    world.conf.password = "open";
    assert_int_equal(rfm_store_reader_new(&world.conf, &reader, &error), RFM_E_DENIED);
    assert_non_null(strstr(error.message, "it wants a password (NOAUTH): set redis.sentinel_password_file"));
    world.conf.sentinel_password = "hunter2";
    assert_int_equal(rfm_store_reader_new(&world.conf, &reader, &error), RFM_E_DENIED);
    assert_non_null(strstr(error.message, "the login failed: check redis.sentinel_password_file"));
    assert_null(strstr(error.message, "hunter2"));
    world.conf.sentinel_password = "halt";
    driver_start(&world);
    driver_opened(&world);
    server_release(&guarded);
}

static void a_reader_finds_the_master(void **state)
{
    (void)state;
    driver_start(&world);
    driver_opened(&world);
    driver_stored(&world, &one_client, 1, "1 0");
    rfm_store_reader *reader;
    rfm_error error = {0};
    rfm_bytes value;
    assert_int_equal(rfm_store_reader_new(&world.conf, &reader, &error), RFM_OK);
    assert_int_equal(rfm_store_reader_get(reader, TASK, rfm_text("c:a"), &value, &error), RFM_OK);
    assert_bytes(value, "A");
    rfm_store_reader_free(reader);
    server_tell(&sentinel, "SENTINEL remove master");
    server_tell(&sentinel, "SENTINEL monitor master 127.0.0.1 %d 1", replica.port);
    assert_int_equal(rfm_store_reader_new(&world.conf, &reader, &error), RFM_E_AWAY);
    assert_non_null(strstr(error.message, "it is a replica; the master is needed"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_failover_is_followed),
        TEST(a_dead_master_is_replaced_by_what_the_replica_has),
        TEST(one_that_is_away_and_one_that_is_behind_are_passed_over),
        TEST(a_replica_that_was_a_master_is_left),
        TEST(messages_tell_what_to_do),
        TEST(the_sentinel_s_password_is_another),
        TEST(a_reader_finds_the_master),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
