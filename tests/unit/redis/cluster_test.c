#include "driver.h"

#include "redis/reader.h"

/* Three masters, which share the slots, and a replica of the one that has TASK. */
enum { NODES = 4, REPLICA = 3, OWNER = 1 };
static test_server nodes[NODES];
static test_driver world;

static void start_node(test_server *node)
{
    char bus_port[16]; /* else the port and 10,000, which there may not be */
    snprintf(bus_port, sizeof bus_port, "%d", node->port > 20000 ? node->port - 10000 : node->port + 10000);
    server_start(node, (const char *const[]){"--cluster-enabled", "yes", "--cluster-port", bus_port,
                                             "--cluster-node-timeout", "500", "--repl-diskless-sync-delay", "0", NULL});
}

static void node_id(const test_server *node, char id[64])
{
    redisReply *reply = server_ask(node, "CLUSTER MYID");
    assert_int_equal(reply->type, REDIS_REPLY_STRING);
    snprintf(id, 64, "%s", reply->str);
    freeReplyObject(reply);
}

static void wait_for_cluster(void)
{
    for (int i = 0; i < NODES; i++) {
        server_wait(&nodes[i], "CLUSTER INFO", "cluster_state:ok");
        server_wait(&nodes[i], "CLUSTER INFO", "cluster_known_nodes:4");
    }
}

static void give_slots(void)
{
    char id[64];
    server_tell(&nodes[0], "CLUSTER ADDSLOTSRANGE 0 5460");
    server_tell(&nodes[1], "CLUSTER ADDSLOTSRANGE 5461 10922");
    server_tell(&nodes[2], "CLUSTER ADDSLOTSRANGE 10923 16383");
    node_id(&nodes[OWNER], id);
    server_wait(&nodes[REPLICA], "CLUSTER NODES", id);
    server_tell(&nodes[REPLICA], "CLUSTER REPLICATE %s", id);
    wait_for_cluster();
    server_wait(&nodes[REPLICA], "INFO replication", "master_link_status:up");
}

static int set_up_without_slots(void **state)
{
    (void)state;
    for (int i = 0; i < NODES; i++) {
        server_init(&nodes[i]);
        start_node(&nodes[i]);
    }
    for (int i = 1; i < NODES; i++) {
        int bus_port = nodes[i].port > 20000 ? nodes[i].port - 10000 : nodes[i].port + 10000;
        server_tell(&nodes[0], "CLUSTER MEET 127.0.0.1 %d %d", nodes[i].port, bus_port);
    }
    driver_init(&world, &nodes[0]);
    snprintf(world.url, sizeof world.url, "redis+cluster://127.0.0.1:%d,127.0.0.1:%d", nodes[REPLICA].port,
             nodes[0].port);
    world.conf.timeout_ms = 1000;
    return 0;
}

static int set_up(void **state)
{
    set_up_without_slots(state);
    give_slots();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    driver_stop(&world);
    for (int i = 0; i < NODES; i++)
        server_release(&nodes[i]);
    return 0;
}

static char *key(const char *name)
{
    static char text[256];
    return (char *)(uintptr_t)key_of(name, text);
}

static void assert_at(const test_server *node, const char *name, const char *value)
{
    redisReply *reply = server_ask(node, "GET %s", key(name));
    assert_int_equal(reply->type, REDIS_REPLY_STRING);
    assert_string_equal(reply->str, value);
    freeReplyObject(reply);
}

static const rfm_redo_item two_clients[] = {
    {RFM_REDO_SET, {(const uint8_t *)"c:a", 3}, {NULL, 0}, {(const uint8_t *)"A", 1}},
    {RFM_REDO_SET, {(const uint8_t *)"c:b", 3}, {NULL, 0}, {(const uint8_t *)"B", 1}},
};

static void load_clients(const char *a, const char *b, const char *wal)
{
    const rfm_bytes keys[] = {rfm_text("c:a"), rfm_text("c:b")};
    driver_load(&world, RFM_LOAD_VALUES, keys, 2, 0, 0);
    const rfm_input *loaded = &driver_expect(&world, RFM_IN_LOADED, RFM_DONE)->input;
    assert_bytes(loaded->loaded.values[0], a);
    assert_bytes(loaded->loaded.values[1], b);
    assert_bytes(loaded->loaded.wal_value, wal);
}

/* TASK's slot, as Redis counts it. */
static int slot_of_task(void)
{
    redisReply *reply = server_ask(&nodes[0], "CLUSTER KEYSLOT %s", key("wal"));
    int slot = (int)reply->integer;
    freeReplyObject(reply);
    assert_in_range(slot, 5461, 10922);
    return slot;
}

static void begin_to_move(int slot, const test_server *to)
{
    char from_id[64], to_id[64];
    node_id(&nodes[OWNER], from_id);
    node_id(to, to_id);
    server_tell(to, "CLUSTER SETSLOT %d IMPORTING %s", slot, from_id);
    server_tell(&nodes[OWNER], "CLUSTER SETSLOT %d MIGRATING %s", slot, to_id);
}

static void move(const char *name, const test_server *to)
{
    server_tell(&nodes[OWNER], "MIGRATE 127.0.0.1 %d %s 0 1000", to->port, key(name));
}

static void end_move(int slot, const test_server *to)
{
    char to_id[64];
    node_id(to, to_id);
    server_tell(to, "CLUSTER SETSLOT %d NODE %s", slot, to_id);
    server_tell(&nodes[OWNER], "CLUSTER SETSLOT %d NODE %s", slot, to_id);
}

static void a_task_is_at_the_node_of_its_slot(void **state)
{
    (void)state;
    driver_start(&world);
    assert_null(driver_opened(&world)->input.wal_value.at);
    driver_stored(&world, two_clients, 2, "1 0");
    assert_at(&nodes[OWNER], "c:a", "A");
    load_clients("A", "B", "1 0");
    size_t holders = 0;
    for (int i = 0; i < REPLICA; i++) { /* meta lives in a slot of its own */
        redisReply *reply = server_ask(&nodes[i], "HGET " PREFIX ":meta group");
        holders += reply->type == REDIS_REPLY_STRING && strcmp(reply->str, "shop") == 0;
        freeReplyObject(reply);
    }
    assert_int_equal(holders, 1);
    assert_int_equal(strlen(world.log), 0);
    world.term++; /* a new take-over looks at meta again, at its node, and comes back */
    assert_bytes(driver_opened(&world)->input.wal_value, "1 0");
    load_clients("A", "B", "1 0");
}

static void another_s_meta_is_refused(void **state)
{
    (void)state;
    driver_start(&world);
    driver_opened(&world);
    driver_stored(&world, two_clients, 2, "1 0");
    for (int i = 0; i < REPLICA; i++)
        freeReplyObject(server_ask(&nodes[i], "HSET " PREFIX ":meta group other"));
    driver_open(&world);
    assert_non_null(strstr(driver_expect(&world, RFM_IN_OPENED, RFM_REFUSED_FOR_GOOD)->reason, "group=other"));
}

static void a_slot_that_moves(void **state)
{
    (void)state;
    int slot = slot_of_task();
    driver_start(&world);
    driver_opened(&world);
    driver_stored(&world, two_clients, 2, "1 0");
    begin_to_move(slot, &nodes[2]);
    load_clients("A", "B", "1 0"); /* all is there still */
    move("c:b", &nodes[2]);
    const rfm_bytes keys[] = {rfm_text("c:a"), rfm_text("c:b")};
    driver_load(&world, RFM_LOAD_VALUES, keys, 2, 0, 0); /* one is not: no answer is better than that it is absent */
    driver_expect(&world, RFM_IN_CLOSED, RFM_DONE);
    driver_expect(&world, RFM_IN_OPENED, RFM_DONE);
    const rfm_redo_item next[] = {item_of(RFM_REDO_SET, "c:a", "", "A2"), item_of(RFM_REDO_SET, "c:b", "", "B2")};
    driver_store(&world, next, 2, "2 0");
    driver_expect(&world, RFM_IN_CLOSED, RFM_DONE);
    assert_bytes(driver_expect(&world, RFM_IN_OPENED, RFM_DONE)->input.wal_value, "1 0"); /* nothing of it was done */
    assert_at(&nodes[OWNER], "c:a", "A");
    move("c:a", &nodes[2]);
    move("wal", &nodes[2]); /* the watched key */
    driver_store(&world, next, 2, "2 0");
    driver_expect(&world, RFM_IN_CLOSED, RFM_DONE);
    assert_null(driver_next(&world, 300)); /* neither node has a word on it */
    end_move(slot, &nodes[2]);
    assert_bytes(driver_expect(&world, RFM_IN_OPENED, RFM_DONE)->input.wal_value, "1 0");
    load_clients("A", "B", "1 0");
    driver_stored(&world, next, 2, "2 0");
    assert_at(&nodes[2], "c:b", "B2");
    assert_non_null(strstr(world.log, "ASK"));
}

static void an_open_task_learns_that_its_slot_has_moved(void **state)
{
    (void)state;
    int slot = slot_of_task();
    driver_start(&world);
    driver_opened(&world);
    driver_stored(&world, two_clients, 2, "1 0");
    begin_to_move(slot, &nodes[0]);
    move("c:a", &nodes[0]);
    move("c:b", &nodes[0]);
    move("wal", &nodes[0]);
    end_move(slot, &nodes[0]);
    driver_load(&world, RFM_LOAD_VALUES, NULL, 0, 0, 0);
    driver_expect(&world, RFM_IN_CLOSED, RFM_DONE);
    assert_bytes(driver_expect(&world, RFM_IN_OPENED, RFM_DONE)->input.wal_value, "1 0");
    assert_non_null(strstr(world.log, "the keys of partition 1 have moved to another node"));
    load_clients("A", "B", "1 0");
}

static void a_replica_takes_over(void **state)
{
    (void)state;
    driver_start(&world);
    driver_opened(&world);
    driver_stored(&world, two_clients, 2, "1 0");
    char command[320];
    snprintf(command, sizeof command, "GET %s", key("wal"));
    server_wait(&nodes[REPLICA], command, "1 0");
    server_kill(&nodes[OWNER]);
    driver_expect(&world, RFM_IN_CLOSED, RFM_DONE);
    assert_bytes(driver_expect(&world, RFM_IN_OPENED, RFM_DONE)->input.wal_value, "1 0");
    load_clients("A", "B", "1 0");
    const rfm_redo_item next = item_of(RFM_REDO_SET, "c:a", "", "A2");
    driver_stored(&world, &next, 1, "2 0");
    assert_at(&nodes[REPLICA], "c:a", "A2");
}

static void a_cluster_without_slots_is_waited_for(void **state)
{
    (void)state;
    driver_start(&world);
    driver_open(&world);
    assert_null(driver_next(&world, 500));
    assert_non_null(strstr(world.log, "CLUSTERDOWN"));
    give_slots();
    driver_expect(&world, RFM_IN_OPENED, RFM_DONE);
}

static void the_url_and_the_server_must_fit(void **state)
{
    (void)state;
    test_server single;
    server_init(&single);
    server_start(&single, NULL);
    snprintf(world.url, sizeof world.url, "redis+cluster://127.0.0.1:%d", single.port);
    driver_start(&world);
    driver_open(&world);
    assert_non_null(strstr(driver_expect(&world, RFM_IN_OPENED, RFM_REFUSED_FOR_GOOD)->reason,
                           "it is no node of a Redis Cluster: set redis.url to redis://"));
    server_release(&single);
}

typedef struct seen {
    size_t count;
    char last[64];
} seen;

static bool see(void *owner, rfm_bytes id, rfm_bytes value)
{
    seen *all = owner;
    all->count++;
    assert_true(rfm_bytes_is(value, "1"));
    snprintf(all->last, sizeof all->last, "%.*s", (int)id.len, (const char *)id.at);
    return true;
}

typedef struct hashes {
    size_t number;
    const char *expected;
} hashes;

static bool see_hash(void *owner, const rfm_bytes *values, size_t count)
{
    hashes *all = owner;
    assert_int_equal(count, all->number == 0 ? 2 : 0);
    if (count > 0)
        assert_bytes(values[1], all->expected);
    all->number++;
    return true;
}

/* By hand: a client in every task, wherever its slot is. */
static void write_everywhere(void)
{
    for (uint32_t task = 0; task < TASK_COUNT; task++) {
        rfm_keyspace space;
        size_t holders = 0;
        rfm__keyspace_init(&space, PREFIX, task, TASK_COUNT);
        space.start[space.start_len] = '\0';
        for (int i = 0; i < REPLICA; i++) {
            redisReply *reply = server_ask(&nodes[i], "SET %sc:%u 1", space.start, task);
            holders += reply->type == REDIS_REPLY_STATUS;
            freeReplyObject(reply);
            freeReplyObject(server_ask(&nodes[i], "HSET %snames 1 %u", space.start, task));
        }
        assert_int_equal(holders, 1);
    }
}

static void a_reader_goes_over_all_nodes(void **state)
{
    (void)state;
    driver_start(&world);
    driver_opened(&world);
    write_everywhere();
    rfm_store_reader *reader;
    rfm_error error = {0};
    uint32_t partitions;
    world.conf.partition_count = 1;
    assert_int_equal(rfm_store_reader_new(&world.conf, &reader, &error), RFM_OK);
    assert_int_equal(rfm_store_reader_partitions(reader, &partitions, &error), RFM_OK);
    assert_int_equal(partitions, TASK_COUNT);
    for (uint32_t task = TASK_COUNT; task-- > 0;) {
        const rfm_bytes *values;
        size_t count;
        char expected[2] = {(char)('0' + task)};
        assert_int_equal(rfm_store_reader_hash(reader, task, rfm_text("names"), &values, &count, &error), RFM_OK);
        assert_int_equal(count, 2);
        assert_bytes(values[1], expected);
    }
    for (uint32_t task = 0; task < TASK_COUNT; task++) {
        seen one = {0};
        char expected[2] = {(char)('0' + task)};
        assert_int_equal(rfm_store_reader_scan(reader, task, rfm_text("c:"), see, &one, &error), RFM_OK);
        assert_int_equal(one.count, 1);
        assert_string_equal(one.last, expected);
        const rfm_bytes names[] = {rfm_text("names"), rfm_text("none")};
        hashes both = {.expected = expected};
        assert_int_equal(rfm_store_reader_hashes(reader, task, names, 2, see_hash, &both, &error), RFM_OK);
        assert_int_equal(both.number, 2);
    }
    /* Half of a task's keys are somewhere else: it must not look like all of them. */
    begin_to_move(slot_of_task(), &nodes[2]);
    move("c:1", &nodes[2]);
    seen part = {0};
    assert_int_equal(rfm_store_reader_scan(reader, TASK, rfm_text("c:"), see, &part, &error), RFM_E_AWAY);
    assert_non_null(strstr(error.message, "ASK"));
    move("names", &nodes[2]);
    end_move(slot_of_task(), &nodes[2]);
    assert_int_equal(rfm_store_reader_scan(reader, TASK, rfm_text("c:"), see, &part, &error), RFM_OK);
    assert_int_equal(part.count, 1);
    rfm_store_reader_free(reader);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_task_is_at_the_node_of_its_slot),
        TEST(another_s_meta_is_refused),
        TEST(a_slot_that_moves),
        TEST(an_open_task_learns_that_its_slot_has_moved),
        TEST(a_replica_takes_over),
        TEST(the_url_and_the_server_must_fit),
        TEST(a_reader_goes_over_all_nodes),
        cmocka_unit_test_setup_teardown(a_cluster_without_slots_is_waited_for, set_up_without_slots, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
