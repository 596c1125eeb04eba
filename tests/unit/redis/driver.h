/* Drives a store as a worker would, and keeps copies of what it answers. */
#ifndef RFM_TESTS_REDIS_DRIVER_H
#define RFM_TESTS_REDIS_DRIVER_H

#include "change.h"
#include "server.h"

#include "redis/keyspace.h"
#include "redis/store.h"

enum { ANSWERS_MAX = 256, TASK = 1, TASK_COUNT = 4, WAIT_MS = 10000 };
#define PREFIX "t"

typedef struct test_answer {
    rfm_input input; /* its views are copies */
    char reason[512];
} test_answer;

typedef struct test_driver {
    uv_loop_t loop;
    uv_timer_t timer;
    bool timed_out;
    rfm_store_conf conf;
    rfm_store *store;
    test_answer answers[ANSWERS_MAX];
    size_t count, taken;
    char log[32 * 1024];
    rfm_arena arena;
    uint32_t timings[2];
    void (*hook)(struct test_driver *driver, const rfm_input *input); /* from within the answer; NULL: none */
    uint32_t term;
    char url[256];
} test_driver;

static const rfm_store_field driver__meta[] = {{.name = "group", .value = "shop"},
                                               {.name = "partitions", .value = "4"},
                                               {.name = "format", .value = "2", .is_format = true}};

static inline rfm_bytes driver__copy(test_driver *driver, rfm_bytes bytes)
{
    return bytes.at ? rfm_arena_copy(&driver->arena, bytes) : bytes;
}

static inline void driver__answer(void *owner, const rfm_input *input)
{
    test_driver *driver = owner;
    assert_true(driver->count < ANSWERS_MAX);
    assert_true(input->now_ms > 0);
    test_answer *answer = &driver->answers[driver->count++];
    answer->input = *input;
    snprintf(answer->reason, sizeof answer->reason, "%s", input->reason ? input->reason : "");
    if (input->kind == RFM_IN_OPENED || input->kind == RFM_IN_STORED)
        answer->input.wal_value = driver__copy(driver, input->wal_value);
    if (driver->hook)
        driver->hook(driver, input);
    if (input->kind != RFM_IN_LOADED)
        return;
    rfm_bytes *values = rfm_arena_take(&driver->arena, input->loaded.count * sizeof *values);
    for (size_t i = 0; i < input->loaded.count; i++)
        values[i] = driver__copy(driver, input->loaded.values[i]);
    answer->input.loaded.values = values;
    answer->input.loaded.wal_value = driver__copy(driver, input->loaded.wal_value);
}

static inline void driver__log(void *owner, const char *message)
{
    test_driver *driver = owner;
    size_t len = strlen(driver->log);
    snprintf(driver->log + len, sizeof driver->log - len, "%s\n", message);
}

static inline void driver__timing(void *owner, rfm_store_timing what, uint64_t us)
{
    test_driver *driver = owner;
    assert_true(us < 60 * 1000000);
    driver->timings[what]++;
}

static inline void driver__on_timer(uv_timer_t *timer)
{
    ((test_driver *)timer->data)->timed_out = true;
}

static inline void driver_init(test_driver *driver, const test_server *server)
{
    memset(driver, 0, sizeof *driver);
    snprintf(driver->url, sizeof driver->url, "unix://%s", server->socket);
    driver->conf = (rfm_store_conf){
        .url = driver->url,
        .prefix = PREFIX,
        .partition_count = TASK_COUNT,
        .format = 2,
        .meta = driver__meta,
        .meta_count = 3,
    };
    uv_loop_init(&driver->loop);
    uv_timer_init(&driver->loop, &driver->timer);
    driver->timer.data = driver;
    rfm_arena_init(&driver->arena);
    driver->term = 7;
}

static inline void driver_start(test_driver *driver)
{
    const rfm_store_calls calls = {driver__answer, driver__log, driver__timing, driver};
    rfm_error error = {0};
    if (rfm_store_new(&driver->loop, &driver->conf, &calls, &driver->store, &error))
        fail_msg("%s", error.message);
}

static inline void driver_stop(test_driver *driver)
{
    rfm_store_free(driver->store);
    uv_close((uv_handle_t *)&driver->timer, NULL);
    uv_run(&driver->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&driver->loop), 0);
    rfm_arena_release(&driver->arena);
}

/* A server of its own and a driver for it, not started yet. */
static inline void driver_begin(test_driver *driver, test_server *server)
{
    server_init(server);
    server_start(server, NULL);
    driver_init(driver, server);
}

static inline void driver_end(test_driver *driver, test_server *server)
{
    driver_stop(driver);
    server_release(server);
}

/* Runs the loop until there is an answer that was not taken, or for `ms`: then NULL. */
static inline const test_answer *driver_next(test_driver *driver, uint64_t ms)
{
    driver->timed_out = false;
    uv_timer_start(&driver->timer, driver__on_timer, ms, 0);
    while (driver->taken == driver->count && !driver->timed_out)
        uv_run(&driver->loop, UV_RUN_ONCE);
    uv_timer_stop(&driver->timer);
    return driver->taken < driver->count ? &driver->answers[driver->taken++] : NULL;
}

static inline const test_answer *driver_expect(test_driver *driver, rfm_input_kind kind, rfm_answer with)
{
    const test_answer *answer = driver_next(driver, WAIT_MS);
    if (!answer)
        fail_msg("no answer; log: %s", driver->log);
    if (answer->input.kind != kind || answer->input.answer != with)
        fail_msg("kind %d answer %d (%s) instead of %d %d; log: %s", (int)answer->input.kind, (int)answer->input.answer,
                 answer->reason, (int)kind, (int)with, driver->log);
    assert_int_equal(answer->input.task, TASK);
    return answer;
}

static inline void driver_open(test_driver *driver)
{
    rfm_store_do(driver->store, &(rfm_effect){.kind = RFM_OUT_OPEN, .task = TASK, .term = driver->term});
}

static inline const test_answer *driver_opened(test_driver *driver)
{
    driver_open(driver);
    return driver_expect(driver, RFM_IN_OPENED, RFM_DONE);
}

static inline void driver_store(test_driver *driver, const rfm_redo_item *items, size_t count, const char *wal)
{
    const rfm_bytes *parts;
    size_t part_count = redo_of(items, count, &driver->arena, &parts);
    rfm_store_do(driver->store, &(rfm_effect){
                                    .kind = RFM_OUT_STORE,
                                    .task = TASK,
                                    .term = driver->term,
                                    .store = {parts, part_count, rfm_text(wal), true},
                                });
}

static inline const test_answer *driver_stored(test_driver *driver, const rfm_redo_item *items, size_t count,
                                               const char *wal)
{
    driver_store(driver, items, count, wal);
    return driver_expect(driver, RFM_IN_STORED, RFM_DONE);
}

static inline void driver_load(test_driver *driver, rfm_load_kind what, const rfm_bytes *keys, size_t count,
                               int64_t from, int64_t length)
{
    rfm_store_do(driver->store, &(rfm_effect){
                                    .kind = RFM_OUT_LOAD,
                                    .task = TASK,
                                    .term = driver->term,
                                    .load = {42, what, keys, count, from, length, NULL},
                                });
}

static inline void driver_load_fields(test_driver *driver, const rfm_bytes *keys, const rfm_bytes *fields, size_t count)
{
    rfm_store_do(driver->store, &(rfm_effect){
                                    .kind = RFM_OUT_LOAD,
                                    .task = TASK,
                                    .term = driver->term,
                                    .load = {42, RFM_LOAD_VALUES, keys, count, 0, 0, fields},
                                });
}

/* The whole name of a key of TASK. */
static inline const char *key_of(const char *key, char name[256])
{
    rfm_keyspace space;
    rfm__keyspace_init(&space, PREFIX, TASK, TASK_COUNT);
    snprintf(name, 256, "%.*s%s", (int)space.start_len, space.start, key);
    return name;
}

#define assert_bytes(bytes, text)                                  \
    do {                                                           \
        rfm_bytes assert__bytes = (bytes);                         \
        assert_non_null(assert__bytes.at);                         \
        assert_int_equal(assert__bytes.len, strlen(text));         \
        assert_memory_equal(assert__bytes.at, text, strlen(text)); \
    } while (0)

#endif
