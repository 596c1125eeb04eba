/* Writes events into a topic in one transaction and commits it when told to, so that readers get them all at once.
 * Usage: bench_e2e_produce BROKERS TOPIC EVENTS CLIENTS FIRST PERMILLE TYPE
 * FIRST numbers the events; PERMILLE of them are of TYPE (visit, message), the rest purchases of about 300 bytes. With
 * EVENTS = CLIENTS each client gets one, else they are drawn at random. Prints "ready", waits for a line, commits. */
#include <librdkafka/rdkafka.h>
#include <rfm/base/error.h>
#include <rfm/base/time.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VALUE_BYTES = 400, ID_BYTES = 24, TIMEOUT_MS = 120000 };

static const char purchase[] =
    "{\"type\":\"purchase\",\"id\":\"evt-%010zu\",\"client_id\":\"%s\",\"time\":%lld,"
    "\"order_id\":\"order-%010zu\",\"amount\":\"%zu.%02zu\",\"currency\":\"EUR\",\"channel\":\"web\",\"items\":["
    "{\"sku\":\"SKU-%04zu\",\"category\":\"shoes\",\"quantity\":1,\"price\":\"%zu.90\"},"
    "{\"sku\":\"SKU-%04zu\",\"category\":\"socks\",\"quantity\":2,\"price\":\"9.95\"}]}";
static const char visit[] =
    "{\"type\":\"visit\",\"id\":\"evt-%010zu\",\"client_id\":\"%s\",\"time\":%lld,\"action\":\"page_view\","
    "\"page\":\"/shoes/SKU-%04zu\",\"channel\":\"web\"}";
static const char message[] =
    "{\"type\":\"message\",\"id\":\"evt-%010zu\",\"client_id\":\"%s\",\"time\":%lld,\"status\":\"delivered\","
    "\"subject\":\"/shoes/SKU-%04zu\",\"channel\":\"email\"}";

typedef struct source {
    size_t events, clients, first, permille;
    const char *other;
    uint64_t random;
} source;

static uint64_t next_random(source *from)
{
    from->random ^= from->random << 13;
    from->random ^= from->random >> 7;
    from->random ^= from->random << 17;
    return from->random;
}

static size_t write_event(source *from, size_t i, char id[ID_BYTES], char value[VALUE_BYTES])
{
    uint64_t random = next_random(from);
    size_t client = from->events == from->clients ? i : next_random(from) % from->clients, number = from->first + i;
    size_t sku = (random >> 16) % 10000, euros = random % 200 + 1, cents = (random >> 8) % 100;
    long long now_ms = (long long)rfm_clock_wall_ms();
    snprintf(id, ID_BYTES, "client-%07zu", client);
    if ((random >> 40) % 1000 < from->permille)
        return (size_t)snprintf(value, VALUE_BYTES, from->other, number, id, now_ms, sku);
    return (size_t)snprintf(value, VALUE_BYTES, purchase, number, id, now_ms, number, euros, cents, sku, euros,
                            (size_t)(random >> 24) % 10000);
}

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

static void on_delivered(rd_kafka_t *client, const rd_kafka_message_t *delivered, void *opaque)
{
    (void)client, (void)opaque;
    if (delivered->err)
        stop("delivery", rd_kafka_err2str(delivered->err));
}

static rd_kafka_t *connect_producer(const char *brokers, const char *topic)
{
    char id[256], why[512];
    snprintf(id, sizeof id, "bench-produce-%s", topic);
    const char *settings[][2] = {
        {"bootstrap.servers", brokers},    {"transactional.id", id}, {"transaction.timeout.ms", "600000"},
        {"partitioner", "murmur2_random"}, {"linger.ms", "20"},      {"queue.buffering.max.messages", "200000"}};
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], why, sizeof why) != RD_KAFKA_CONF_OK)
            stop(settings[i][0], why);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivered);
    rd_kafka_t *client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (!client)
        stop("producer", why);
    must("init", rd_kafka_init_transactions(client, TIMEOUT_MS));
    return client;
}

static void send_event(rd_kafka_t *client, rd_kafka_topic_t *topic, const char *id, char *value, size_t len)
{
    while (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, value, len, id, strlen(id), NULL) != 0) {
        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            stop("produce", rd_kafka_err2str(rd_kafka_last_error()));
        rd_kafka_poll(client, 10);
    }
}

int main(int argc, char **argv)
{
    if (argc != 8)
        stop("usage", "bench_e2e_produce BROKERS TOPIC EVENTS CLIENTS FIRST PERMILLE TYPE");
    source from = {strtoul(argv[3], NULL, 10),
                   strtoul(argv[4], NULL, 10),
                   strtoul(argv[5], NULL, 10),
                   strtoul(argv[6], NULL, 10),
                   strcmp(argv[7], "visit") == 0 ? visit : message,
                   0};
    from.random = 88172645463325252 + from.first;
    RFM_ASSERT(from.clients > 0);
    rd_kafka_t *client = connect_producer(argv[1], argv[2]);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(client, argv[2], NULL);
    must("begin", rd_kafka_begin_transaction(client));
    for (size_t i = 0; i < from.events; i++) {
        char id[ID_BYTES], value[VALUE_BYTES];
        size_t len = write_event(&from, i, id, value);
        send_event(client, topic, id, value, len);
        if (i % 1000 == 0)
            rd_kafka_poll(client, 0);
    }
    if (rd_kafka_flush(client, TIMEOUT_MS))
        stop("flush", "not everything was delivered");
    puts("ready");
    fflush(stdout);
    if (getchar() == EOF)
        return 1;
    must("commit", rd_kafka_commit_transaction(client, TIMEOUT_MS));
    puts("committed");
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(client);
    return 0;
}
