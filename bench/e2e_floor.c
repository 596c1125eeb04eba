/* The least that the work of `rfmd run` can cost: the same librdkafka, yyjson and hiredis calls with nothing around
 * them. Consumes batches, parses each event, writes for each one state of the size that rfmd's have (samples of rfmd's
 * own), as a WAL message and into Redis, sends a trigger (samples of rfmd's own) for each event of a type, and commits
 * offsets with metadata, all in one transaction a step. No cache, no facts, no decisions, no loads, no fences: it
 * cannot be used for anything but as a measure. Steps do not overlap.
 *
 * Usage: bench_e2e_floor BROKERS TOPIC EVENTS STEP SOCKET SAMPLES TYPE WAL TRIGGERS OFFSET...
 *
 * One OFFSET to begin at for each partition. Prints what it used as one line of JSON. See README.md. */
#include <librdkafka/rdkafka.h>
#include <rfm/base/bytes.h>
#include <rfm/base/error.h>
#include <rfm/base/hash.h>
#include <rfm/base/time.h>
#include <rfm/engine/keys.h>

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <yyjson.h>

enum {
    BATCH = 1000,
    PARTITIONS_MAX = 64,
    PART_BYTES = 900 * 1024,
    EVENT_BYTES = 1024,
    HEADERS_MAX = 16,
    TIMEOUT_MS = 60000,
};

typedef struct trigger {
    rfm_bytes value, name[HEADERS_MAX], header[HEADERS_MAX];
    size_t headers;
} trigger;

typedef struct samples {
    rfm_bytes *states;
    trigger *triggers;
    size_t state_count, trigger_count, state, trigger;
} samples;

typedef struct partition {
    rfm_buffer wal; /* all parts, one after the other */
    size_t part_at[1024], parts;
    int64_t next, wal_offset;
    rfm_bytes *ids, *values; /* of this step */
    size_t count;
} partition;

typedef struct floor {
    const char *topic_name, *type, *id;
    size_t events, step_events, partition_count, steps, sent;
    rd_kafka_t *consumer, *producer;
    rd_kafka_topic_t *topic, *wal, *triggers;
    rd_kafka_queue_t *queue;
    rd_kafka_consumer_group_metadata_t *group;
    redisContext *redis;
    samples samples;
    partition partition[PARTITIONS_MAX];
    rfm_buffer ids; /* of this step: reserved at the start, does not move */
    uint64_t wal_bytes;
    char nodes[64 * 1024];
} floor_;

static void stop(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static void must(const char *what, rd_kafka_error_t *error)
{
    if (error)
        stop(what, rd_kafka_error_string(error));
}

/* -- samples: count, states; count, triggers, each with its headers; all texts as u32 and bytes, little endian */

static rfm_bytes read_text(rfm_reader *in)
{
    return rfm_read_bytes(in, rfm_read_u32(in));
}

static void read_trigger(rfm_reader *in, trigger *of)
{
    of->value = read_text(in);
    of->headers = rfm_read_u32(in);
    RFM_ASSERT(of->headers <= HEADERS_MAX);
    for (size_t i = 0; i < of->headers; i++) {
        of->name[i] = read_text(in);
        of->header[i] = read_text(in);
    }
}

static rfm_bytes read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        stop(path, "cannot be read");
    fseek(file, 0, SEEK_END);
    size_t len = (size_t)ftell(file);
    rewind(file);
    uint8_t *at = malloc(len + 1);
    RFM_ASSERT(at && fread(at, 1, len, file) == len);
    fclose(file);
    return rfm_bytes_of(at, len);
}

static void read_samples(const char *path, samples *of)
{
    rfm_reader in = rfm_reader_of(read_file(path));
    of->state_count = rfm_read_u32(&in);
    of->states = calloc(of->state_count + 1, sizeof *of->states);
    RFM_ASSERT(of->states);
    for (size_t i = 0; i < of->state_count; i++)
        of->states[i] = read_text(&in);
    of->trigger_count = rfm_read_u32(&in);
    of->triggers = calloc(of->trigger_count + 1, sizeof *of->triggers);
    RFM_ASSERT(of->triggers);
    for (size_t i = 0; i < of->trigger_count; i++)
        read_trigger(&in, &of->triggers[i]);
    RFM_ASSERT(!in.bad && of->state_count > 0);
}

/* -- clients, set as src/kafka/client.c sets them */

static const char *const for_fetcher[][2] = {{"enable.auto.commit", "false"},
                                             {"enable.auto.offset.store", "false"},
                                             {"auto.offset.reset", "error"},
                                             {"isolation.level", "read_committed"},
                                             {"enable.partition.eof", "true"},
                                             {"fetch.wait.max.ms", "100"},
                                             {"fetch.queue.backoff.ms", "5"},
                                             {"queued.max.messages.kbytes", "32768"},
                                             {"fetch.message.max.bytes", "1048576"},
                                             {"message.max.bytes", "1048576"},
                                             {"fetch.max.bytes", "16777216"},
                                             {"receive.message.max.bytes", "104857600"},
                                             {NULL, NULL}};
static const char *const for_producer[][2] = {{"enable.idempotence", "true"},
                                              {"partitioner", "murmur2_random"},
                                              {"linger.ms", "5"},
                                              {"message.max.bytes", "16777216"},
                                              {"queue.buffering.max.messages", "2000000"},
                                              {"queue.buffering.max.kbytes", "1048576"},
                                              {"compression.codec", "lz4"},
                                              {"transaction.timeout.ms", "10000"},
                                              {NULL, NULL}};

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char why[512];
    if (rd_kafka_conf_set(conf, name, value, why, sizeof why) != RD_KAFKA_CONF_OK)
        stop(name, why);
}

static void on_delivered(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    (void)client, (void)opaque;
    partition *of = message->_private;
    if (message->err)
        stop("delivery", rd_kafka_err2str(message->err));
    if (of && message->offset > of->wal_offset)
        of->wal_offset = message->offset;
}

static rd_kafka_t *connect_client(const floor_ *bench, rd_kafka_type_t type, const char *brokers)
{
    char why[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    const char *const(*settings)[2] = type == RD_KAFKA_PRODUCER ? for_producer : for_fetcher;
    set(conf, "bootstrap.servers", brokers);
    set(conf, "socket.nagle.disable", "true");
    for (; (*settings)[0]; settings++)
        set(conf, (*settings)[0], (*settings)[1]);
    if (type == RD_KAFKA_PRODUCER) {
        set(conf, "transactional.id", bench->id);
        rd_kafka_conf_set_dr_msg_cb(conf, on_delivered);
    }
    rd_kafka_t *client = rd_kafka_new(type, conf, why, sizeof why);
    if (!client)
        stop("client", why);
    return client;
}

static rd_kafka_topic_t *open_topic(rd_kafka_t *client, const char *name)
{
    rd_kafka_topic_t *topic = rd_kafka_topic_new(client, name, NULL);
    if (!topic)
        stop(name, rd_kafka_err2str(rd_kafka_last_error()));
    return topic;
}

/* -- an event: parsed, its state put into the WAL and kept for Redis, its trigger sent */

static void begin_part(partition *of)
{
    static const uint8_t header[30];
    RFM_ASSERT(of->parts < sizeof of->part_at / sizeof *of->part_at - 1);
    of->part_at[of->parts++] = of->wal.len;
    rfm_write_bytes(&of->wal, rfm_bytes_of(header, sizeof header));
}

static rfm_bytes keep_id(floor_ *bench, const char *client_id, size_t len)
{
    size_t from = bench->ids.len;
    rfm_write_bytes(&bench->ids, rfm_bytes_of(client_id, len));
    return rfm_bytes_of(bench->ids.at + from, len);
}

static void put_state(floor_ *bench, partition *of, rfm_bytes id)
{
    char bundle[RFM_BUNDLE_KEY_MAX];
    rfm_bytes key = rfm_bundle_key(rfm_bundle_of(rfm_hash64(id)), bundle);
    rfm_bytes state = bench->samples.states[bench->samples.state++ % bench->samples.state_count];
    if (of->wal.len - of->part_at[of->parts - 1] + state.len + key.len + id.len + 32 > PART_BYTES)
        begin_part(of);
    rfm_write_u8(&of->wal, 1);
    rfm_write_sized(&of->wal, key);
    rfm_write_sized(&of->wal, id);
    rfm_write_sized(&of->wal, state);
    of->ids[of->count] = id;
    of->values[of->count++] = state;
}

static void *unconst(const void *at)
{
    return (void *)(uintptr_t)at;
}

static void produce(floor_ *bench, rd_kafka_topic_t *topic, int32_t to, rfm_bytes key, rfm_bytes value,
                    rd_kafka_headers_t *headers, partition *of)
{
    rd_kafka_resp_err_t code = rd_kafka_producev(bench->producer, RD_KAFKA_V_RKT(topic), RD_KAFKA_V_PARTITION(to),
                                                 RD_KAFKA_V_MSGFLAGS(0), RD_KAFKA_V_KEY(unconst(key.at), key.len),
                                                 RD_KAFKA_V_VALUE(unconst(value.at), value.len), RD_KAFKA_V_OPAQUE(of),
                                                 RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
    if (code)
        stop("produce", rd_kafka_err2str(code));
}

static void send_trigger(floor_ *bench, rfm_bytes client_id)
{
    samples *from = &bench->samples;
    if (from->trigger_count == 0)
        stop("samples", "there are no triggers in it, but events of their type");
    const trigger *of = &from->triggers[from->trigger++ % from->trigger_count];
    rd_kafka_headers_t *headers = rd_kafka_headers_new(8);
    for (size_t i = 0; i < of->headers; i++)
        rd_kafka_header_add(headers, (const char *)of->name[i].at, (ssize_t)of->name[i].len, of->header[i].at,
                            (ssize_t)of->header[i].len);
    produce(bench, bench->triggers, RD_KAFKA_PARTITION_UA, client_id, of->value, headers, NULL);
    bench->sent++;
}

static void take_event(floor_ *bench, const rd_kafka_message_t *message)
{
    static char copy[EVENT_BYTES + YYJSON_PADDING_SIZE];
    partition *of = &bench->partition[message->partition];
    yyjson_alc allocator;
    RFM_ASSERT(message->len <= EVENT_BYTES);
    memcpy(copy, message->payload, message->len);
    memset(copy + message->len, 0, YYJSON_PADDING_SIZE);
    yyjson_alc_pool_init(&allocator, bench->nodes, sizeof bench->nodes);
    yyjson_doc *event = yyjson_read_opts(copy, message->len, YYJSON_READ_INSITU | YYJSON_READ_NUMBER_AS_RAW, &allocator,
                                         NULL);
    yyjson_val *root = yyjson_doc_get_root(event), *id = yyjson_obj_get(root, "client_id");
    RFM_ASSERT(event && yyjson_is_str(id));
    rfm_bytes client_id = keep_id(bench, yyjson_get_str(id), yyjson_get_len(id));
    put_state(bench, of, client_id);
    if (yyjson_equals_str(yyjson_obj_get(root, "type"), bench->type))
        send_trigger(bench, client_id);
    of->next = message->offset + 1;
}

static size_t take_batch(floor_ *bench)
{
    rd_kafka_message_t *messages[BATCH];
    ssize_t count = rd_kafka_consume_batch_queue(bench->queue, 20, messages, BATCH);
    size_t taken = 0;
    for (ssize_t i = 0; i < count; i++) {
        if (messages[i]->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            take_event(bench, messages[i]);
            taken++;
        } else if (messages[i]->err != RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            stop("consume", rd_kafka_message_errstr(messages[i]));
        }
        rd_kafka_message_destroy(messages[i]);
    }
    return taken;
}

/* -- the end of a step */

static void send_wal(floor_ *bench, size_t number)
{
    partition *of = &bench->partition[number];
    of->part_at[of->parts] = of->wal.len;
    for (size_t i = 0; i < of->parts; i++) {
        rd_kafka_headers_t *headers = rd_kafka_headers_new(1);
        rd_kafka_header_add(headers, "rfmd.transactional.id", -1, bench->id, -1);
        rfm_bytes part = rfm_bytes_of(of->wal.at + of->part_at[i], of->part_at[i + 1] - of->part_at[i]);
        produce(bench, bench->wal, (int32_t)number, RFM_BYTES_NONE, part, headers, of);
        bench->wal_bytes += part.len;
    }
}

static void commit(floor_ *bench)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    for (size_t i = 0; i < bench->partition_count; i++) {
        char wal[24];
        partition *of = &bench->partition[i];
        rd_kafka_topic_partition_t *at = rd_kafka_topic_partition_list_add(list, bench->topic_name, (int32_t)i);
        at->offset = of->next;
        at->metadata_size = (size_t)snprintf(wal, sizeof wal, "%lld", (long long)of->wal_offset);
        at->metadata = strdup(wal);
    }
    must("offsets", rd_kafka_send_offsets_to_transaction(bench->producer, list, bench->group, TIMEOUT_MS));
    rd_kafka_topic_partition_list_destroy(list);
    must("commit", rd_kafka_commit_transaction(bench->producer, TIMEOUT_MS));
}

static void append_state(floor_ *bench, size_t number, rfm_bytes id, rfm_bytes state)
{
    char key[32], bundle[RFM_BUNDLE_KEY_MAX];
    rfm_bytes name = rfm_bundle_key(rfm_bundle_of(rfm_hash64(id)), bundle);
    int len = snprintf(key, sizeof key, "flo:{%04zu}:%.*s", number, (int)name.len, (const char *)name.at);
    const char *argv[] = {"HSET", key, (const char *)id.at, (const char *)state.at};
    const size_t lens[] = {4, (size_t)len, id.len, state.len};
    redisAppendCommandArgv(bench->redis, 4, argv, lens);
}

static size_t append_store(floor_ *bench, size_t number)
{
    const partition *of = &bench->partition[number];
    redisAppendCommand(bench->redis, "WATCH flo:{%04d}:wal", (int)number);
    redisAppendCommand(bench->redis, "MULTI");
    for (size_t i = 0; i < of->count; i++)
        append_state(bench, number, of->ids[i], of->values[i]);
    redisAppendCommand(bench->redis, "SET flo:{%04d}:wal %lld", (int)number, (long long)of->wal_offset);
    redisAppendCommand(bench->redis, "EXEC");
    return of->count + 4;
}

static void store(floor_ *bench)
{
    for (size_t number = 0; number < bench->partition_count; number++) {
        size_t commands = append_store(bench, number);
        for (size_t i = 0; i < commands; i++) {
            void *reply;
            if (redisGetReply(bench->redis, &reply) != REDIS_OK)
                stop("redis", bench->redis->errstr);
            if (((redisReply *)reply)->type == REDIS_REPLY_ERROR)
                stop("redis", ((redisReply *)reply)->str);
            freeReplyObject(reply);
        }
    }
}

static void begin_step(floor_ *bench)
{
    rfm_buffer_clear(&bench->ids);
    for (size_t i = 0; i < bench->partition_count; i++) {
        partition *of = &bench->partition[i];
        rfm_buffer_clear(&of->wal);
        of->count = of->parts = 0;
        begin_part(of);
    }
    must("begin", rd_kafka_begin_transaction(bench->producer));
}

static size_t run_step(floor_ *bench, size_t left)
{
    size_t events = 0, wanted = left < bench->step_events ? left : bench->step_events;
    begin_step(bench);
    while (events < wanted) {
        size_t taken = take_batch(bench);
        if (taken == 0 && events > 0)
            break;
        events += taken;
    }
    for (size_t i = 0; i < bench->partition_count; i++)
        send_wal(bench, i);
    if (rd_kafka_flush(bench->producer, TIMEOUT_MS))
        stop("flush", "not everything was delivered");
    commit(bench);
    store(bench);
    bench->steps++;
    return events;
}

/* -- */

static void open_all(floor_ *bench, char **argv, char **offsets)
{
    char *brokers = argv[1];
    bench->producer = connect_client(bench, RD_KAFKA_PRODUCER, brokers);
    bench->consumer = connect_client(bench, RD_KAFKA_CONSUMER, brokers);
    bench->wal = open_topic(bench->producer, argv[8]);
    bench->triggers = open_topic(bench->producer, argv[9]);
    bench->topic = open_topic(bench->consumer, bench->topic_name);
    bench->queue = rd_kafka_queue_new(bench->consumer);
    bench->group = rd_kafka_consumer_group_metadata_new("bench-floor");
    bench->redis = redisConnectUnix(argv[5]);
    if (!bench->redis || bench->redis->err)
        stop(argv[5], "no Redis answers");
    must("init", rd_kafka_init_transactions(bench->producer, TIMEOUT_MS));
    rfm_buffer_init(&bench->ids, SIZE_MAX);
    size_t most = bench->step_events + BATCH;
    RFM_ASSERT(rfm_buffer_reserve(&bench->ids, most * 132));
    for (size_t i = 0; i < bench->partition_count; i++) {
        partition *of = &bench->partition[i];
        rfm_buffer_init(&of->wal, SIZE_MAX);
        of->ids = calloc(most, sizeof *of->ids);
        of->values = calloc(most, sizeof *of->values);
        of->next = strtoll(offsets[i], NULL, 10);
        of->wal_offset = -1;
        RFM_ASSERT(of->ids && of->values);
    }
}

static double cpu_s(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

static void run(floor_ *bench)
{
    struct rusage usage;
    double cpu_before_s = cpu_s();
    int64_t begun_ns = rfm_clock_steady_ns();
    for (size_t i = 0; i < bench->partition_count; i++)
        if (rd_kafka_consume_start_queue(bench->topic, (int32_t)i, bench->partition[i].next, bench->queue) != 0)
            stop("consume", rd_kafka_err2str(rd_kafka_last_error()));
    size_t done = 0;
    while (done < bench->events)
        done += run_step(bench, bench->events - done);
    double wall_s = (double)(rfm_clock_steady_ns() - begun_ns) / 1e9, used_s = cpu_s() - cpu_before_s;
    getrusage(RUSAGE_SELF, &usage);
    printf(
        "{\"events\":%zu,\"cpu_s\":%.6f,\"wall_s\":%.6f,\"rss_kib\":%ld,\"steps\":%zu,\"wal_bytes\":%llu,\"triggers\":%zu}\n",
        done, used_s, wall_s, usage.ru_maxrss, bench->steps, (unsigned long long)bench->wal_bytes, bench->sent);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    if (argc < 11)
        stop("usage", "bench_e2e_floor BROKERS TOPIC EVENTS STEP SOCKET SAMPLES TYPE WAL TRIGGERS OFFSET...");
    static floor_ bench;
    bench.topic_name = argv[2];
    bench.events = strtoul(argv[3], NULL, 10);
    bench.step_events = strtoul(argv[4], NULL, 10);
    bench.type = argv[7];
    bench.id = "bench-floor-0";
    bench.partition_count = (size_t)argc - 10;
    RFM_ASSERT(bench.partition_count <= PARTITIONS_MAX);
    read_samples(argv[6], &bench.samples);
    open_all(&bench, argv, argv + 10);
    run(&bench);
    return 0;
}
