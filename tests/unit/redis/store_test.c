#include "driver.h"

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

static char *key(const char *name)
{
    static char text[256];
    return (char *)(uintptr_t)key_of(name, text);
}

static void set_wal(const char *value)
{
    server_tell(&server, "SET %s %s", key("wal"), value);
}

static void assert_redis(const char *name, const char *value)
{
    redisReply *reply = server_ask(&server, "GET %s", key(name));
    if (value) {
        assert_int_equal(reply->type, REDIS_REPLY_STRING);
        assert_string_equal(reply->str, value);
    } else {
        assert_int_equal(reply->type, REDIS_REPLY_NIL);
    }
    freeReplyObject(reply);
}

static const rfm_redo_item one_client = {
    RFM_REDO_SET, {(const uint8_t *)"c:a", 3}, {NULL, 0}, {(const uint8_t *)"A", 1}};

/* -- what goes in comes out */

static void a_new_task_has_no_wal(void **state)
{
    (void)state;
    driver_start(&world);
    const test_answer *opened = driver_opened(&world);
    assert_null(opened->input.wal_value.at);
    assert_int_equal(opened->input.term, world.term);
    redisReply *meta = server_ask(&server, "HGET " PREFIX ":meta group");
    assert_string_equal(meta->str, "shop");
    freeReplyObject(meta);
}

static void a_change_is_stored_and_loaded(void **state)
{
    (void)state;
    driver_start(&world);
    driver_opened(&world);
    const rfm_redo_item items[] = {
        item_of(RFM_REDO_SET, "c:a", "", "A"),           item_of(RFM_REDO_SET, "c:b", "", ""),
        item_of(RFM_REDO_SET, "c:gone", "", "x"),        item_of(RFM_REDO_DELETE, "c:gone", "", ""),
        item_of(RFM_REDO_HASH_SET, "names", "1", "one"), item_of(RFM_REDO_HASH_SET, "names", "2", "two"),
        item_of(RFM_REDO_HASH_DELETE, "names", "1", ""), item_of(RFM_REDO_LIST_ADD, "due:5", "", "p"),
        item_of(RFM_REDO_LIST_ADD, "due:5", "", "q"),    item_of(RFM_REDO_LIST_ADD, "due:5", "", "r"),
        item_of(RFM_REDO_LIST_TRIM, "due:5", "", "1"),
    };
    const test_answer *stored = driver_stored(&world, items, sizeof items / sizeof *items, "10 3");
    assert_bytes(stored->input.wal_value, "10 3");

    const rfm_bytes keys[] = {rfm_text("c:a"), rfm_text("c:b"), rfm_text("c:gone")};
    driver_load(&world, RFM_LOAD_VALUES, keys, 3, 0, 0);
    const rfm_input *loaded = &driver_expect(&world, RFM_IN_LOADED, RFM_DONE)->input;
    assert_int_equal(loaded->loaded.load, 42);
    assert_int_equal(loaded->loaded.count, 3);
    assert_bytes(loaded->loaded.wal_value, "10 3");
    assert_bytes(loaded->loaded.values[0], "A");
    assert_bytes(loaded->loaded.values[1], "");
    assert_null(loaded->loaded.values[2].at);

    const rfm_bytes mixed[] = {rfm_text("names"), rfm_text("c:a"), rfm_text("names")};
    const rfm_bytes fields[] = {rfm_text("2"), RFM_BYTES_NONE, rfm_text("1")};
    driver_load_fields(&world, mixed, fields, 3);
    loaded = &driver_expect(&world, RFM_IN_LOADED, RFM_DONE)->input;
    assert_int_equal(loaded->loaded.count, 3);
    assert_bytes(loaded->loaded.values[0], "two");
    assert_bytes(loaded->loaded.values[1], "A");
    assert_null(loaded->loaded.values[2].at);
    assert_bytes(loaded->loaded.wal_value, "10 3");

    const rfm_bytes list = rfm_text("due:5");
    driver_load(&world, RFM_LOAD_LIST, &list, 1, 1, 5);
    loaded = &driver_expect(&world, RFM_IN_LOADED, RFM_DONE)->input;
    assert_int_equal(loaded->loaded.count, 1);
    assert_bytes(loaded->loaded.values[0], "r");
    assert_bytes(loaded->loaded.wal_value, "10 3");

    const rfm_bytes hash = rfm_text("names");
    driver_load(&world, RFM_LOAD_HASH, &hash, 1, 0, 0);
    loaded = &driver_expect(&world, RFM_IN_LOADED, RFM_DONE)->input;
    assert_int_equal(loaded->loaded.count, 2);
    assert_bytes(loaded->loaded.values[0], "2");
    assert_bytes(loaded->loaded.values[1], "two");
    assert_int_equal(world.timings[RFM_STORE_LOADED], 4);
    assert_int_equal(world.timings[RFM_STORE_STORED], 1);
}

static void empty_loads(void **state)
{
    (void)state;
    driver_start(&world);
    driver_opened(&world);
    driver_stored(&world, &one_client, 1, "1 0");
    const rfm_bytes absent = rfm_text("due:9");
    driver_load(&world, RFM_LOAD_VALUES, NULL, 0, 0, 0);
    driver_load(&world, RFM_LOAD_LIST, &absent, 1, 0, 0); /* not the whole list */
    driver_load(&world, RFM_LOAD_LIST, &absent, 1, 0, INT64_MAX);
    driver_load(&world, RFM_LOAD_HASH, &absent, 1, 0, 0);
    for (int i = 0; i < 4; i++) {
        const test_answer *loaded = driver_expect(&world, RFM_IN_LOADED, RFM_DONE);
        assert_int_equal(loaded->input.loaded.count, 0);
        assert_bytes(loaded->input.loaded.wal_value, "1 0");
    }
}

static void a_list_page_of_length_zero_is_empty(void **state)
{
    (void)state;
    driver_start(&world);
    driver_opened(&world);
    server_tell(&server, "RPUSH %s a b c", key("due:1"));
    const rfm_bytes list = rfm_text("due:1");
    driver_load(&world, RFM_LOAD_LIST, &list, 1, 0, 0);
    assert_int_equal(driver_expect(&world, RFM_IN_LOADED, RFM_DONE)->input.loaded.count, 0);
    driver_load(&world, RFM_LOAD_LIST, &list, 1, 0, 2);
    assert_int_equal(driver_expect(&world, RFM_IN_LOADED, RFM_DONE)->input.loaded.count, 2);
}

/* Values of different sizes so that a slip in the places shows. */
static void a_large_load_and_a_large_change(void **state)
{
    enum { COUNT = 12345, VALUE_MAX = 700 };
    (void)state;
    driver_start(&world);
    driver_opened(&world);
    rfm_redo_item *items = calloc(COUNT, sizeof *items);
    rfm_bytes *keys = calloc(COUNT, sizeof *keys);
    char *names = calloc(COUNT, 16);
    static char filler[VALUE_MAX];
    memset(filler, 'v', sizeof filler);
    for (size_t i = 0; i < COUNT; i++) {
        snprintf(names + i * 16, 16, "c:%zu", i);
        keys[i] = rfm_text(names + i * 16);
        items[i] = (rfm_redo_item){RFM_REDO_SET, keys[i], {NULL, 0}, rfm_bytes_of(filler, i * 7 % VALUE_MAX)};
    }
    assert_bytes(driver_stored(&world, items, COUNT, "99 1")->input.wal_value, "99 1");
    driver_load(&world, RFM_LOAD_VALUES, keys, COUNT, 0, 0);
    const rfm_input *loaded = &driver_expect(&world, RFM_IN_LOADED, RFM_DONE)->input;
    assert_int_equal(loaded->loaded.count, COUNT);
    assert_bytes(loaded->loaded.wal_value, "99 1");
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(loaded->loaded.values[i].len, i * 7 % VALUE_MAX);
    free(items);
    free(keys);
    free(names);
}

/* -- the fence */

static void somebody_else_wrote(void **state)
{
    (void)state;
    set_wal("4 1");
    driver_start(&world);
    assert_bytes(driver_opened(&world)->input.wal_value, "4 1");
    set_wal("5 1");
    driver_store(&world, &one_client, 1, "6 1");
    assert_bytes(driver_expect(&world, RFM_IN_STORED, RFM_NOT_STORED)->input.wal_value, "5 1");
    assert_redis("c:a", NULL);
    assert_bytes(driver_stored(&world, &one_client, 1, "6 1")->input.wal_value, "6 1"); /* the watch was renewed */
    set_wal("7 1");                                                                     /* and again after a success */
    driver_store(&world, &one_client, 1, "8 1");
    assert_bytes(driver_expect(&world, RFM_IN_STORED, RFM_NOT_STORED)->input.wal_value, "7 1");
}

static void loads_leave_the_watch(void **state)
{
    (void)state;
    set_wal("4 1");
    driver_start(&world);
    driver_opened(&world);
    set_wal("5 1");
    const rfm_bytes client = rfm_text("c:a");
    driver_load(&world, RFM_LOAD_VALUES, &client, 1, 0, 0);
    assert_bytes(driver_expect(&world, RFM_IN_LOADED, RFM_DONE)->input.loaded.wal_value, "5 1");
    driver_store(&world, &one_client, 1, "6 1");
    driver_expect(&world, RFM_IN_STORED, RFM_NOT_STORED);
}

static void without_the_fence_it_writes_over(void **state)
{
    (void)state;
    driver_start(&world);
    driver_opened(&world);
    set_wal("5 1");
    const rfm_bytes *parts;
    size_t part_count = redo_of(&one_client, 1, &world.arena, &parts);
    rfm_store_do(world.store, &(rfm_effect){
                                  .kind = RFM_OUT_STORE,
                                  .task = TASK,
                                  .term = world.term,
                                  .store = {parts, part_count, rfm_text("2 1"), false},
                              });
    assert_bytes(driver_expect(&world, RFM_IN_STORED, RFM_DONE)->input.wal_value, "2 1");
    assert_redis("c:a", "A");
}

static void opened_again_under_a_new_term(void **state)
{
    (void)state;
    set_wal("4 1");
    driver_start(&world);
    driver_opened(&world);
    driver_store(&world, &one_client, 1, "5 1"); /* still under way */
    world.term++;
    driver_open(&world);
    const test_answer *stored = driver_expect(&world, RFM_IN_STORED, RFM_DONE);
    assert_int_equal(stored->input.term, world.term - 1);
    const test_answer *opened = driver_expect(&world, RFM_IN_OPENED, RFM_DONE);
    assert_int_equal(opened->input.term, world.term);
    assert_bytes(opened->input.wal_value, "5 1");
    driver_stored(&world, &one_client, 1, "6 1");
    assert_int_equal(rfm_store_stats_of(world.store)->tasks_open, 1);
}

static void older_terms_and_closed_tasks_get_no_answer(void **state)
{
    (void)state;
    driver_start(&world);
    driver_load(&world, RFM_LOAD_VALUES, NULL, 0, 0, 0); /* never opened */
    driver_opened(&world);
    world.term--;
    driver_load(&world, RFM_LOAD_VALUES, NULL, 0, 0, 0);
    driver_store(&world, &one_client, 1, "5 1");
    rfm_store_do(world.store, &(rfm_effect){.kind = RFM_OUT_CLOSE, .task = TASK, .term = world.term});
    assert_null(driver_next(&world, 200));
    assert_redis("c:a", NULL);
    assert_int_equal(rfm_store_stats_of(world.store)->tasks_open, 0);
}

static void close_in_the_answer(test_driver *driver, const rfm_input *input)
{
    if (input->kind != RFM_IN_LOADED)
        return;
    rfm_store_do(driver->store, &(rfm_effect){.kind = RFM_OUT_CLOSE, .task = TASK, .term = driver->term});
    driver->term++;
    driver_open(driver);
}

static void closed_and_opened_from_within_an_answer(void **state)
{
    (void)state;
    driver_start(&world);
    driver_opened(&world);
    driver_stored(&world, &one_client, 1, "1 1");
    const rfm_bytes client = rfm_text("c:a");
    world.hook = close_in_the_answer;
    for (int i = 0; i < 3; i++) /* the other two get no answer */
        driver_load(&world, RFM_LOAD_VALUES, &client, 1, 0, 0);
    const test_answer *loaded = driver_expect(&world, RFM_IN_LOADED, RFM_DONE);
    assert_bytes(loaded->input.loaded.values[0], "A"); /* still there after the hook */
    const test_answer *opened = driver_expect(&world, RFM_IN_OPENED, RFM_DONE);
    assert_int_equal(opened->input.term, world.term);
    assert_null(driver_next(&world, 100));
}

static void open_in_the_answer(test_driver *driver, const rfm_input *input)
{
    if (input->kind != RFM_IN_CLOSED)
        return;
    driver->term++;
    driver_open(driver);
}

static void opened_from_within_closed(void **state)
{
    (void)state;
    driver_start(&world);
    driver_opened(&world);
    world.hook = open_in_the_answer;
    server_tell(&server, "CLIENT KILL TYPE normal");
    driver_expect(&world, RFM_IN_CLOSED, RFM_DONE);
    assert_int_equal(driver_expect(&world, RFM_IN_OPENED, RFM_DONE)->input.term, world.term);
    assert_null(driver_next(&world, 200));
}

/* -- Redis goes and comes */

static void killed_and_started_again(void **state)
{
    (void)state;
    static const char *const durable[] = {"--appendonly", "yes", "--appendfsync", "always", NULL};
    server_kill(&server);
    server_start(&server, durable);
    driver_start(&world);
    driver_opened(&world);
    driver_stored(&world, &one_client, 1, "1 1");
    server_kill(&server);
    const rfm_bytes client = rfm_text("c:a");
    driver_load(&world, RFM_LOAD_VALUES, &client, 1, 0, 0); /* no answer */
    driver_expect(&world, RFM_IN_CLOSED, RFM_DONE);
    char trouble[512];
    assert_null(driver_next(&world, 300));
    rfm_store_trouble(world.store, trouble, sizeof trouble);
    assert_non_null(strstr(trouble, "No such file")); /* the socket */
    server_start(&server, durable);
    assert_bytes(driver_expect(&world, RFM_IN_OPENED, RFM_DONE)->input.wal_value, "1 1");
    rfm_store_trouble(world.store, trouble, sizeof trouble);
    assert_string_equal(trouble, "");
    assert_non_null(strstr(world.log, "all is well again"));
    driver_stored(&world, &one_client, 1, "2 1");
    assert_int_equal(rfm_store_stats_of(world.store)->connections_lost, 1);
}

static void a_restored_snapshot_shows_its_wal(void **state)
{
    (void)state;
    char command[256];
    driver_start(&world);
    driver_opened(&world);
    driver_stored(&world, &one_client, 1, "1 1");
    server_tell(&server, "SAVE");
    snprintf(command, sizeof command, "cp %s/dump.rdb %s/old.rdb", server.folder, server.folder);
    assert_int_equal(system(command), 0);
    driver_stored(&world, &one_client, 1, "2 1");
    server_kill(&server);
    driver_expect(&world, RFM_IN_CLOSED, RFM_DONE);
    server_start(&server, (const char *const[]){"--dbfilename", "old.rdb", NULL});
    assert_bytes(driver_expect(&world, RFM_IN_OPENED, RFM_DONE)->input.wal_value, "1 1");
}

static void not_there_at_first(void **state)
{
    (void)state;
    server_kill(&server);
    driver_start(&world);
    driver_open(&world);
    assert_null(driver_next(&world, 200)); /* neither CLOSED nor OPENED */
    server_start(&server, NULL);
    driver_expect(&world, RFM_IN_OPENED, RFM_DONE);
}

static void no_answer_is_a_broken_connection(void **state)
{
    (void)state;
    world.conf.timeout_ms = 300;
    driver_start(&world);
    driver_opened(&world);
    kill(server.pid, SIGSTOP);
    driver_store(&world, &one_client, 1, "1 1");
    driver_expect(&world, RFM_IN_CLOSED, RFM_DONE);
    assert_non_null(strstr(world.log, "no answer within 300 ms"));
    kill(server.pid, SIGCONT);
    driver_expect(&world, RFM_IN_OPENED, RFM_DONE);
}

static void a_connection_that_somebody_ends(void **state)
{
    (void)state;
    driver_start(&world);
    driver_opened(&world);
    server_tell(&server, "CLIENT KILL TYPE normal");
    driver_expect(&world, RFM_IN_CLOSED, RFM_DONE);
    driver_expect(&world, RFM_IN_OPENED, RFM_DONE);
}

static void a_busy_script_is_waited_for(void **state)
{
    (void)state;
    driver_start(&world);
    server_tell(&server, "CONFIG SET busy-reply-threshold 1");
    redisContext *other = server_connect(&server);
    redisAppendCommand(other, "EVAL %s 0",
                       "local t = redis.call('TIME')[1] while redis.call('TIME')[1] - t < 2 do end");
    int written = 0;
    while (!written)
        redisBufferWrite(other, &written);
    usleep(100000);
    driver_opened(&world);
    assert_non_null(strstr(world.log, "BUSY"));
    redisFree(other);
}

/* -- Redis refuses */

static void no_memory(void **state)
{
    (void)state;
    set_wal("1 1");
    driver_start(&world);
    driver_opened(&world);
    server_tell(&server, "CONFIG SET maxmemory 1");
    driver_store(&world, &one_client, 1, "2 1");
    assert_bytes(driver_expect(&world, RFM_IN_STORED, RFM_NOT_STORED)->input.wal_value, "1 1");
    assert_non_null(strstr(world.log, "OOM"));
    server_tell(&server, "CONFIG SET maxmemory 0");
    driver_stored(&world, &one_client, 1, "2 1");
    assert_int_equal(rfm_store_stats_of(world.store)->stores_refused, 1);
}

/* A refusal is told a little later each time; the connection's end comes first. */
static void a_held_answer_goes_with_its_connection(void **state)
{
    (void)state;
    driver_start(&world);
    driver_opened(&world);
    server_tell(&server, "CONFIG SET maxmemory 1");
    for (int i = 0; i < 4; i++) {
        driver_store(&world, &one_client, 1, "2 1");
        driver_expect(&world, RFM_IN_STORED, RFM_NOT_STORED);
    }
    driver_store(&world, &one_client, 1, "2 1");
    assert_null(driver_next(&world, 100));
    server_kill(&server);
    driver_expect(&world, RFM_IN_CLOSED, RFM_DONE);
    server_start(&server, NULL);
    driver_expect(&world, RFM_IN_OPENED, RFM_DONE);
    driver_stored(&world, &one_client, 1, "2 1");
}

static void a_master_that_becomes_a_replica(void **state)
{
    (void)state;
    driver_start(&world);
    driver_opened(&world);
    server_tell(&server, "REPLICAOF 127.0.0.1 1");
    driver_store(&world, &one_client, 1, "2 1");
    driver_expect(&world, RFM_IN_STORED, RFM_NOT_STORED);
    driver_expect(&world, RFM_IN_CLOSED, RFM_DONE);
    assert_null(driver_next(&world, 300));
    assert_non_null(strstr(world.log, "replica"));
    server_tell(&server, "REPLICAOF NO ONE");
    driver_expect(&world, RFM_IN_OPENED, RFM_DONE);
    driver_stored(&world, &one_client, 1, "2 1");
}

static void a_change_stored_in_part_is_for_good(void **state)
{
    (void)state;
    driver_start(&world);
    driver_opened(&world);
    server_tell(&server, "SET %s x", key("due:1")); /* no list */
    const rfm_redo_item items[] = {one_client, item_of(RFM_REDO_LIST_ADD, "due:1", "", "p")};
    driver_store(&world, items, 2, "2 1");
    driver_expect(&world, RFM_IN_CLOSED, RFM_DONE);
    const test_answer *refused = driver_expect(&world, RFM_IN_OPENED, RFM_REFUSED_FOR_GOOD);
    assert_non_null(strstr(refused->reason, "in part"));
    assert_non_null(strstr(refused->reason, "WRONGTYPE"));
    assert_null(driver_next(&world, 300));
    world.term++;
    driver_opened(&world); /* if the engine wants to */
}

static void a_change_that_cannot_be_read(void **state)
{
    (void)state;
    driver_start(&world);
    driver_opened(&world);
    const rfm_bytes part = rfm_text("\x01garbage");
    rfm_store_do(world.store, &(rfm_effect){
                                  .kind = RFM_OUT_STORE,
                                  .task = TASK,
                                  .term = world.term,
                                  .store = {&part, 1, rfm_text("2 1"), true},
                              });
    driver_expect(&world, RFM_IN_CLOSED, RFM_DONE);
    driver_expect(&world, RFM_IN_OPENED, RFM_REFUSED_FOR_GOOD);
    assert_redis("wal", NULL);
}

static void an_eviction_policy_is_refused(void **state)
{
    (void)state;
    server_tell(&server, "CONFIG SET maxmemory-policy allkeys-lru");
    driver_start(&world);
    driver_open(&world);
    const test_answer *refused = driver_expect(&world, RFM_IN_OPENED, RFM_REFUSED_FOR_GOOD);
    assert_non_null(strstr(refused->reason, "allkeys-lru"));
    assert_non_null(strstr(refused->reason, "noeviction"));
    redisReply *reply = server_ask(&server, "EXISTS " PREFIX ":meta");
    assert_int_equal(reply->integer, 0);
    freeReplyObject(reply);
}

/* It works all the same: said once, whatever the connections. Who may not ask is told nothing. */
static void settings_that_spread_states_are_said_once(void **state)
{
    (void)state;
    static const char said[] = "hash-max-listpack-value";
    driver_start(&world);
    driver_opened(&world);
    assert_null(strstr(world.log, said));
    server_tell(&server, "CONFIG SET hash-max-ziplist-value 64");
    for (int i = 0; i < 2; i++) {
        world.term++;
        driver_opened(&world);
    }
    const char *found = strstr(world.log, said);
    assert_non_null(found);
    assert_null(strstr(found + 1, said));
    server_tell(&server, "CONFIG SET hash-max-ziplist-value 4096");
}

static void an_eviction_policy_is_seen_without_config(void **state)
{
    (void)state;
    server_tell(&server, "CONFIG SET maxmemory-policy volatile-ttl");
    server_tell(&server, "ACL SETUSER rfmd on >secret allkeys +@all -config");
    world.conf.username = "rfmd";
    world.conf.password = "secret";
    driver_start(&world);
    driver_open(&world);
    const test_answer *refused = driver_expect(&world, RFM_IN_OPENED, RFM_REFUSED_FOR_GOOD);
    assert_non_null(strstr(refused->reason, "volatile-ttl"));
}

static void the_least_that_a_user_must_be_allowed(void **state)
{
    (void)state;
    server_tell(&server, "ACL SETUSER rfmd on >secret ~t:* -@all +@connection +info +get +mget +mset +set +del +hset "
                         "+hsetnx +hdel +hgetall +rpush +ltrim +lrem +lrange +multi +exec +watch");
    world.conf.username = "rfmd";
    world.conf.password = "secret";
    driver_start(&world);
    driver_opened(&world);
    const rfm_redo_item all[] = {
        item_of(RFM_REDO_SET, "c:a", "", "A"),       item_of(RFM_REDO_DELETE, "c:b", "", ""),
        item_of(RFM_REDO_HASH_SET, "h", "1", "one"), item_of(RFM_REDO_HASH_DELETE, "h", "2", ""),
        item_of(RFM_REDO_LIST_ADD, "l", "", "p"),    item_of(RFM_REDO_LIST_TRIM, "l", "", "1"),
        item_of(RFM_REDO_LIST_REMOVE, "l", "", "p"),
    };
    _Static_assert(sizeof all / sizeof *all == RFM_REDO_LIST_REMOVE, "every operation is tried");
    driver_stored(&world, all, sizeof all / sizeof *all, "2 1");
}

/* Nil to the EXEC of the opening, since the connection still watches what has been touched: that is no broken
 * server. */
static void opening_anew_after_wal_was_touched(void **state)
{
    (void)state;
    driver_start(&world);
    driver_opened(&world);
    set_wal("5 5");
    world.term++;
    assert_bytes(driver_opened(&world)->input.wal_value, "5 5");
    assert_null(strstr(world.log, "EXEC"));
    driver_stored(&world, &one_client, 1, "6 5");
}

/* The tombstones of a task that has erased as many clients as it may. */
static void a_hash_of_a_million(void **state)
{
    (void)state;
    driver_start(&world);
    driver_opened(&world);
    driver_stored(&world, &one_client, 1, "1 0");
    redisReply *reply = server_ask(&server, "EVAL %s 1 %s",
                                   "for i = 1, 1048576 do redis.call('HSET', KEYS[1], i, '') end", key("n:erased"));
    freeReplyObject(reply);
    const rfm_bytes hash = rfm_text("n:erased");
    driver_load(&world, RFM_LOAD_HASH, &hash, 1, 0, 0);
    assert_int_equal(driver_expect(&world, RFM_IN_LOADED, RFM_DONE)->input.loaded.count, 2097152);
}

static void a_cluster_node_is_refused(void **state)
{
    (void)state;
    server_kill(&server);
    /* The bus port would be the port and 10,000, which there may not be. */
    char bus_port[16];
    snprintf(bus_port, sizeof bus_port, "%d", server.port > 20000 ? server.port - 10000 : server.port + 10000);
    server_start(&server, (const char *const[]){"--cluster-enabled", "yes", "--cluster-port", bus_port, NULL});
    driver_start(&world);
    driver_open(&world);
    assert_non_null(strstr(driver_expect(&world, RFM_IN_OPENED, RFM_REFUSED_FOR_GOOD)->reason, "Cluster"));
}

static void another_meta_is_refused(void **state)
{
    (void)state;
    server_tell(&server, "HSET " PREFIX ":meta group other partitions 4 format 1");
    driver_start(&world);
    driver_open(&world);
    const test_answer *refused = driver_expect(&world, RFM_IN_OPENED, RFM_REFUSED_FOR_GOOD);
    assert_non_null(strstr(refused->reason, "group=other"));
    assert_non_null(strstr(refused->reason, "shop"));
}

static void an_incomplete_meta_is_refused_and_not_completed(void **state)
{
    (void)state;
    server_tell(&server, "HSET " PREFIX ":meta group shop");
    driver_start(&world);
    driver_open(&world);
    driver_expect(&world, RFM_IN_OPENED, RFM_REFUSED_FOR_GOOD);
    redisReply *reply = server_ask(&server, "HLEN " PREFIX ":meta");
    assert_int_equal(reply->integer, 1);
    freeReplyObject(reply);
}

static void set_format(const char *format)
{
    freeReplyObject(server_ask(&server, "HSET " PREFIX ":meta group shop partitions 4 format %s", format));
    world.term++; /* a new take-over looks at meta again */
}

static void assert_meta(const char *field, const char *value)
{
    redisReply *reply = server_ask(&server, "HGET " PREFIX ":meta %s", field);
    assert_string_equal(reply->str, value);
    freeReplyObject(reply);
}

static void an_older_format_is_raised_by_who_opens_it(void **state)
{
    (void)state;
    driver_start(&world);
    driver_opened(&world);
    assert_meta("format", "2"); /* made by us */
    assert_null(strstr(world.log, "format"));
    set_format("1");
    assert_null(driver_opened(&world)->input.wal_value.at);
    assert_meta("format", "2");
    assert_non_null(strstr(world.log, "was of format 1 and is now"));
    redisReply *reply = server_ask(&server, "HLEN " PREFIX ":meta");
    assert_int_equal(reply->integer, 3);
    freeReplyObject(reply);
    driver_stored(&world, &one_client, 1, "2 1");
}

static void what_older_versions_did_not_write_is_added_and_then_compared(void **state)
{
    (void)state;
    static const rfm_store_field with_inputs[] = {{.name = "group", .value = "shop"},
                                                  {.name = "format", .value = "2", .is_format = true},
                                                  {.name = "inputs", .value = "purchases visits", .is_late = true}};
    world.conf.meta = with_inputs;
    world.conf.meta_count = 3;
    for (const char *format = "1"; format != NULL; format = *format == '1' ? "2" : NULL) { /* raised too, or as it is */
        server_tell(&server, "DEL " PREFIX ":meta");
        set_format(format);
        if (world.store == NULL)
            driver_start(&world);
        driver_opened(&world);
        assert_meta("inputs", "purchases visits");
        assert_meta("format", "2");
    }
    server_tell(&server, "HSET " PREFIX ":meta inputs messages");
    world.term++;
    driver_open(&world);
    const test_answer *refused = driver_expect(&world, RFM_IN_OPENED, RFM_REFUSED_FOR_GOOD);
    assert_non_null(strstr(refused->reason, "meta says inputs=messages, but this configuration has purchases visits"));
    assert_meta("inputs", "messages");
}

static void a_format_that_cannot_be_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *format, *said;
    } wrong[] = {{"3", "format=3, which a newer rfmd has made"},
                 {"4294967297", "a newer rfmd"}, /* 1, in 32 bits */
                 {"10", "a newer rfmd"},
                 {"2_at_least_once", "another's"},
                 {"0", "another's"},
                 {"02", "another's"},
                 {"-1", "another's"},
                 {"two", "another's"}};
    driver_start(&world);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        set_format(wrong[i].format);
        driver_open(&world);
        const test_answer *refused = driver_expect(&world, RFM_IN_OPENED, RFM_REFUSED_FOR_GOOD);
        if (!strstr(refused->reason, wrong[i].said))
            fail_msg("%s: %s", wrong[i].format, refused->reason);
        assert_meta("format", wrong[i].format);
    }
}

/* -- login */

static void a_wrong_password_says_so_and_is_tried_again(void **state)
{
    (void)state;
    char trouble[512];
    server_tell(&server, "ACL SETUSER rfmd on >right allkeys allcommands");
    world.conf.username = "rfmd";
    world.conf.password = "hunter2";
    driver_start(&world);
    driver_open(&world);
    assert_null(driver_next(&world, 300));
    rfm_store_trouble(world.store, trouble, sizeof trouble);
    assert_non_null(strstr(trouble, "wrong user or password"));
    assert_non_null(strstr(trouble, "redis.password_file"));
    assert_null(strstr(world.log, "hunter2"));
    server_tell(&server, "ACL SETUSER rfmd >hunter2");
    driver_expect(&world, RFM_IN_OPENED, RFM_DONE);
    assert_null(strstr(world.log, "hunter2"));
}

static void a_missing_password_says_so(void **state)
{
    (void)state;
    redisContext *inside = server_connect(&server); /* who is in stays */
    freeReplyObject(redisCommand(inside, "CONFIG SET requirepass right"));
    driver_start(&world);
    driver_open(&world);
    assert_null(driver_next(&world, 300));
    assert_non_null(strstr(world.log, "NOAUTH"));
    assert_non_null(strstr(world.log, "redis.password_file"));
    freeReplyObject(redisCommand(inside, "CONFIG SET requirepass %s", ""));
    redisFree(inside);
    driver_expect(&world, RFM_IN_OPENED, RFM_DONE);
}

/* -- reply limits, ways to connect */

static void a_value_beyond_the_limit_breaks_the_connection(void **state)
{
    (void)state;
    world.conf.limits = (rfm_store_limits){.value_bytes_max = 100000};
    driver_start(&world);
    driver_opened(&world);
    server_tell(&server, "SETRANGE %s 5000000 x", key("c:big"));
    const rfm_bytes client = rfm_text("c:big");
    driver_load(&world, RFM_LOAD_VALUES, &client, 1, 0, 0);
    driver_expect(&world, RFM_IN_CLOSED, RFM_DONE);
    assert_non_null(strstr(world.log, "too large"));
    driver_expect(&world, RFM_IN_OPENED, RFM_DONE);
}

static void a_wrong_type_breaks_the_connection(void **state)
{
    (void)state;
    driver_start(&world);
    driver_opened(&world);
    server_tell(&server, "SET %s x", key("names"));
    const rfm_bytes hash = rfm_text("names");
    driver_load(&world, RFM_LOAD_HASH, &hash, 1, 0, 0);
    driver_expect(&world, RFM_IN_CLOSED, RFM_DONE);
    assert_non_null(strstr(world.log, "WRONGTYPE"));
    driver_expect(&world, RFM_IN_OPENED, RFM_DONE);
}

static void over_tcp_by_name_and_another_database(void **state)
{
    (void)state;
    snprintf(world.url, sizeof world.url, "redis://localhost:%d/3", server.port);
    driver_start(&world);
    driver_opened(&world);
    driver_stored(&world, &one_client, 1, "2 1");
    assert_redis("c:a", NULL); /* in database 0 */
}

static void many_tasks(void **state)
{
    (void)state;
    driver_start(&world);
    for (uint32_t task = 0; task < TASK_COUNT; task++)
        rfm_store_do(world.store, &(rfm_effect){.kind = RFM_OUT_OPEN, .task = task, .term = 1});
    for (uint32_t i = 0; i < TASK_COUNT; i++) {
        const test_answer *opened = driver_next(&world, WAIT_MS);
        assert_non_null(opened);
        assert_int_equal(opened->input.kind, RFM_IN_OPENED);
        assert_int_equal(opened->input.answer, RFM_DONE);
    }
    assert_int_equal(rfm_store_stats_of(world.store)->tasks_open, TASK_COUNT);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_new_task_has_no_wal),
        TEST(a_change_is_stored_and_loaded),
        TEST(empty_loads),
        TEST(a_list_page_of_length_zero_is_empty),
        TEST(a_large_load_and_a_large_change),
        TEST(somebody_else_wrote),
        TEST(loads_leave_the_watch),
        TEST(without_the_fence_it_writes_over),
        TEST(opened_again_under_a_new_term),
        TEST(older_terms_and_closed_tasks_get_no_answer),
        TEST(closed_and_opened_from_within_an_answer),
        TEST(opened_from_within_closed),
        TEST(killed_and_started_again),
        TEST(a_restored_snapshot_shows_its_wal),
        TEST(not_there_at_first),
        TEST(no_answer_is_a_broken_connection),
        TEST(a_connection_that_somebody_ends),
        TEST(a_busy_script_is_waited_for),
        TEST(no_memory),
        TEST(a_held_answer_goes_with_its_connection),
        TEST(a_master_that_becomes_a_replica),
        TEST(a_change_stored_in_part_is_for_good),
        TEST(a_change_that_cannot_be_read),
        TEST(an_eviction_policy_is_refused),
        TEST(settings_that_spread_states_are_said_once),
        TEST(an_eviction_policy_is_seen_without_config),
        TEST(the_least_that_a_user_must_be_allowed),
        TEST(opening_anew_after_wal_was_touched),
        TEST(a_hash_of_a_million),
        TEST(a_cluster_node_is_refused),
        TEST(another_meta_is_refused),
        TEST(an_incomplete_meta_is_refused_and_not_completed),
        TEST(an_older_format_is_raised_by_who_opens_it),
        TEST(what_older_versions_did_not_write_is_added_and_then_compared),
        TEST(a_format_that_cannot_be_is_refused),
        TEST(a_wrong_password_says_so_and_is_tried_again),
        TEST(a_missing_password_says_so),
        TEST(a_value_beyond_the_limit_breaks_the_connection),
        TEST(a_wrong_type_breaks_the_connection),
        TEST(over_tcp_by_name_and_another_database),
        TEST(many_tasks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
