/* What storing and loading costs beside plain hiredis: batches of keys with 120-byte values, one task, over a unix
 * socket to a redis-server that this program starts.
 *
 * Usage: bench_e2e_store [KEYS_IN_A_BATCH] [BATCHES] */
#include "redis/store.h"

#include <rfm/base/hash.h>
#include <rfm/engine/keys.h>
#include <rfm/engine/redo.h>

#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { VALUE_BYTES = 120, CLIENTS = 200000, ID_BYTES = 24, BUNDLE_BYTES = 16 };

typedef struct store_bench {
    uv_loop_t loop;
    rfm_store *store;
    char folder[64], socket[96], url[112];
    pid_t server;
    size_t batch, batches;
    bool answered;
    char (*ids)[ID_BYTES], (*bundles)[BUNDLE_BYTES]; /* bundles: as keys */
    uint8_t value[VALUE_BYTES];
    rfm_arena arena;
} store_bench;

typedef struct stopwatch {
    double wall, cpu;
} stopwatch;

static stopwatch now(void)
{
    struct timespec wall, cpu;
    clock_gettime(CLOCK_MONOTONIC, &wall);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    return (stopwatch){(double)wall.tv_sec * 1e6 + (double)wall.tv_nsec / 1e3,
                       (double)cpu.tv_sec * 1e6 + (double)cpu.tv_nsec / 1e3};
}

static void report(const store_bench *bench, const char *what, stopwatch begun)
{
    stopwatch ended = now();
    double keys = (double)(bench->batch * bench->batches);
    printf("%-44s %6.3f us/key wall %6.3f us/key client CPU\n", what, (ended.wall - begun.wall) / keys,
           (ended.cpu - begun.cpu) / keys);
}

static void start_server(store_bench *bench)
{
    snprintf(bench->folder, sizeof bench->folder, "/tmp/rfm-bench-XXXXXX");
    RFM_ASSERT(mkdtemp(bench->folder));
    snprintf(bench->socket, sizeof bench->socket, "%s/redis.sock", bench->folder);
    snprintf(bench->url, sizeof bench->url, "unix://%s", bench->socket);
    bench->server = fork();
    if (bench->server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", bench->socket, "--dir", bench->folder,
               "--save", "", "--logfile", "redis.log", (char *)NULL);
        _exit(127);
    }
}

static redisContext *connect_plain(const store_bench *bench)
{
    for (int i = 0; i < 500; i++) {
        redisContext *connection = redisConnectUnix(bench->socket);
        if (connection && !connection->err)
            return connection;
        redisFree(connection);
        usleep(10000);
    }
    fprintf(stderr, "redis-server does not start; see %s\n", bench->folder);
    exit(3);
}

static size_t client_at(const store_bench *bench, size_t batch, size_t i)
{
    return (batch * bench->batch + i) * 7919 % CLIENTS;
}

/* HSET or HGET of each client of a batch, pipelined. */
static void plain(const store_bench *bench, redisContext *connection, bool sets)
{
    stopwatch begun = now();
    for (size_t k = 0; k < bench->batches; k++) {
        for (size_t i = 0; i < bench->batch; i++) {
            size_t client = client_at(bench, k, i);
            const char *argv[] = {sets ? "HSET" : "HGET", bench->bundles[client], bench->ids[client],
                                  (const char *)bench->value};
            const size_t lens[] = {4, strlen(argv[1]), strlen(argv[2]), VALUE_BYTES};
            redisAppendCommandArgv(connection, sets ? 4 : 3, argv, lens);
        }
        for (size_t i = 0; i < bench->batch; i++) {
            void *reply;
            RFM_ASSERT(redisGetReply(connection, &reply) == REDIS_OK &&
                       ((redisReply *)reply)->type != REDIS_REPLY_ERROR);
            freeReplyObject(reply);
        }
    }
    report(bench, sets ? "hiredis: HSET" : "hiredis: HGET", begun);
}

static void on_answer(void *owner, const rfm_input *input)
{
    store_bench *bench = owner;
    RFM_ASSERT(input->answer == RFM_DONE);
    bench->answered = true;
}

static void wait_for_answer(store_bench *bench)
{
    bench->answered = false;
    while (!bench->answered)
        uv_run(&bench->loop, UV_RUN_ONCE);
}

static void store_batches(store_bench *bench, size_t due_lists)
{
    static rfm_redo redo;
    static const int64_t next[RFM_INPUTS_MAX];
    rfm_redo_init(&redo, 0);
    stopwatch begun = now();
    for (size_t k = 0; k < bench->batches; k++) {
        char wal[32];
        const rfm_bytes *parts;
        rfm_arena_reset(&bench->arena);
        rfm_redo_begin(&redo, 1);
        for (size_t i = 0; i < bench->batch; i++)
            rfm_redo_put(&redo, &(rfm_redo_item){RFM_REDO_HASH_SET, rfm_text(bench->bundles[client_at(bench, k, i)]),
                                                 rfm_text(bench->ids[client_at(bench, k, i)]),
                                                 rfm_bytes_of(bench->value, VALUE_BYTES)});
        for (size_t i = 0; i < due_lists; i++) {
            char key[32];
            snprintf(key, sizeof key, "due:%zu", i);
            rfm_redo_put(&redo, &(rfm_redo_item){RFM_REDO_LIST_ADD, rfm_text(key), RFM_BYTES_NONE,
                                                 rfm_text(bench->ids[client_at(bench, k, i)])});
        }
        size_t count = rfm_redo_end(&redo, (int64_t)k, next, &bench->arena, &parts);
        snprintf(wal, sizeof wal, "%zu 0", k);
        rfm_store_do(bench->store,
                     &(rfm_effect){.kind = RFM_OUT_STORE, .term = 1, .store = {parts, count, rfm_text(wal), true}});
        wait_for_answer(bench);
    }
    report(bench,
           due_lists ? "store: the same and an RPUSH for each tenth" : "store: WATCH MULTI HSET SET EXEC, with redo",
           begun);
    rfm_redo_release(&redo);
}

static void load_batches(store_bench *bench)
{
    rfm_bytes *keys = calloc(bench->batch, sizeof *keys), *fields = calloc(bench->batch, sizeof *fields);
    stopwatch begun = now();
    for (size_t k = 0; k < bench->batches; k++) {
        for (size_t i = 0; i < bench->batch; i++) {
            keys[i] = rfm_text(bench->bundles[client_at(bench, k, i)]);
            fields[i] = rfm_text(bench->ids[client_at(bench, k, i)]);
        }
        rfm_store_do(bench->store, &(rfm_effect){.kind = RFM_OUT_LOAD,
                                                 .term = 1,
                                                 .load = {1, RFM_LOAD_VALUES, keys, bench->batch, 0, 0, fields}});
        wait_for_answer(bench);
    }
    report(bench, "store: load, HGET each and GET wal", begun);
    free(keys);
    free(fields);
}

static void open_store(store_bench *bench)
{
    const rfm_store_conf conf = {.url = bench->url, .prefix = "b", .partition_count = 1};
    const rfm_store_calls calls = {on_answer, NULL, NULL, bench};
    rfm_error error;
    uv_loop_init(&bench->loop);
    if (rfm_store_new(&bench->loop, &conf, &calls, &bench->store, &error)) {
        fprintf(stderr, "%s\n", error.message);
        exit(1);
    }
    rfm_store_do(bench->store, &(rfm_effect){.kind = RFM_OUT_OPEN, .term = 1});
    wait_for_answer(bench);
}

int main(int argc, char **argv)
{
    store_bench bench = {
        .batch = argc > 1 ? strtoul(argv[1], NULL, 10) : 500,
        .batches = argc > 2 ? strtoul(argv[2], NULL, 10) : 2000,
    };
    signal(SIGPIPE, SIG_IGN);
    rfm_arena_init(&bench.arena);
    bench.ids = calloc(CLIENTS, sizeof *bench.ids);
    bench.bundles = calloc(CLIENTS, sizeof *bench.bundles);
    RFM_ASSERT(bench.ids && bench.bundles);
    for (size_t i = 0; i < CLIENTS; i++) {
        snprintf(bench.ids[i], ID_BYTES, "client-%07zu", i);
        snprintf(bench.bundles[i], BUNDLE_BYTES, RFM_KEY_BUNDLE "%u",
                 rfm_bundle_of(rfm_hash64(rfm_text(bench.ids[i]))));
    }
    memset(bench.value, 'v', VALUE_BYTES);
    start_server(&bench);
    redisContext *connection = connect_plain(&bench);
    open_store(&bench);
    for (int round = 0; round < 2; round++) { /* the first fills Redis */
        plain(&bench, connection, true);
        store_batches(&bench, 0);
        store_batches(&bench, bench.batch / 10);
        plain(&bench, connection, false);
        load_batches(&bench);
    }
    rfm_store_free(bench.store);
    uv_run(&bench.loop, UV_RUN_DEFAULT);
    uv_loop_close(&bench.loop);
    redisFree(connection);
    rfm_arena_release(&bench.arena);
    free(bench.ids);
    free(bench.bundles);
    kill(bench.server, SIGKILL);
    waitpid(bench.server, NULL, 0);
    char command[96];
    snprintf(command, sizeof command, "rm -rf '%s'", bench.folder);
    return system(command) == 0 ? 0 : 3;
}
