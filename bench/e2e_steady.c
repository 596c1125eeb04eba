/* Writes events at a steady rate until its standard input ends; then waits for what is under way and prints their
 * number.
 *
 * Usage: bench_e2e_steady BROKERS RATE CLIENTS
 *
 * The clients are a fixed population, and the fewer a client's number, the more often it comes. Of 1000 events 50 are
 * purchases, 760 visits (20 of them begin a checkout), 180 messages, 10 come a second time. */
#include <librdkafka/rdkafka.h>
#include <rfm/base/error.h>
#include <rfm/base/time.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { VALUE_BYTES = 400, ID_BYTES = 24, TICK_MS = 5, FLUSH_MS = 60000, BEHIND_MAX_S = 5 };
enum { PURCHASE, VISIT, MESSAGE, TOPIC_COUNT };

static const char purchase[] =
    "{\"type\":\"purchase\",\"id\":\"evt-%010zu\",\"client_id\":\"%s\",\"time\":%lld,"
    "\"order_id\":\"order-%010zu\",\"amount\":\"%zu.%02zu\",\"currency\":\"EUR\",\"channel\":\"web\",\"items\":["
    "{\"sku\":\"SKU-%04zu\",\"category\":\"%s\",\"quantity\":1,\"price\":\"9.90\"}]}";
static const char visit[] =
    "{\"type\":\"visit\",\"id\":\"evt-%010zu\",\"client_id\":\"%s\",\"time\":%lld,\"action\":\"%s\","
    "\"page\":\"/shoes/SKU-%04zu\",\"channel\":\"web\"}";
static const char message[] =
    "{\"type\":\"message\",\"id\":\"evt-%010zu\",\"client_id\":\"%s\",\"time\":%lld,\"status\":\"%s\","
    "\"channel\":\"email\",\"campaign\":\"spring\"}";
static const char *const categories[] = {"shoes", "socks", "shirts", "hats", "bags", "belts"};
static const char *const statuses[] = {"sent", "delivered", "opened", "clicked"};

typedef struct source {
    size_t clients, count;
    uint64_t random;
    int topic; /* of the last event, which may come again */
    char id[ID_BYTES], value[VALUE_BYTES];
} source;

typedef struct sink {
    rd_kafka_t *client;
    rd_kafka_topic_t *topic[TOPIC_COUNT];
} sink;

static uint64_t next_random(source *from)
{
    from->random ^= from->random << 13;
    from->random ^= from->random >> 7;
    from->random ^= from->random << 17;
    return from->random;
}

static void stop(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

/* The square of a number drawn evenly: a tenth of the clients has a third of the events. */
static size_t choose_client(source *from)
{
    double drawn = (double)(next_random(from) >> 11) * 0x1p-53;
    return (size_t)(drawn * drawn * (double)from->clients);
}

static void make_purchase(source *from, long long now_ms, uint64_t random)
{
    from->topic = PURCHASE;
    snprintf(from->value, VALUE_BYTES, purchase, from->count, from->id, now_ms, from->count, (size_t)(random % 200 + 1),
             (size_t)((random >> 8) % 100), (size_t)((random >> 16) % 10000),
             categories[(random >> 32) % (sizeof categories / sizeof *categories)]);
}

static void make_event(source *from)
{
    uint64_t random = next_random(from), kind = next_random(from) % 1000;
    if (from->count > 0 && kind >= 990)
        return; /* the last one again */
    long long now_ms = (long long)rfm_clock_wall_ms();
    snprintf(from->id, ID_BYTES, "client-%07zu", choose_client(from));
    if (kind < 50) {
        make_purchase(from, now_ms, random);
    } else if (kind < 810) {
        from->topic = VISIT;
        snprintf(from->value, VALUE_BYTES, visit, from->count, from->id, now_ms,
                 kind < 70 ? "begin_checkout" : "page_view", (size_t)((random >> 16) % 10000));
    } else {
        from->topic = MESSAGE;
        snprintf(from->value, VALUE_BYTES, message, from->count, from->id, now_ms, statuses[random % 4]);
    }
}

static void on_delivered(rd_kafka_t *client, const rd_kafka_message_t *delivered, void *opaque)
{
    (void)client, (void)opaque;
    if (delivered->err)
        stop("delivery", rd_kafka_err2str(delivered->err));
}

static sink connect_sink(const char *brokers)
{
    static const char *const topics[TOPIC_COUNT] = {"purchases", "visits", "messages"};
    const char *settings[][2] = {{"bootstrap.servers", brokers},
                                 {"enable.idempotence", "true"},
                                 {"partitioner", "murmur2_random"},
                                 {"linger.ms", "5"},
                                 {"queue.buffering.max.messages", "200000"}};
    char why[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], why, sizeof why) != RD_KAFKA_CONF_OK)
            stop(settings[i][0], why);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivered);
    sink to = {.client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why)};
    if (!to.client)
        stop("producer", why);
    for (int i = 0; i < TOPIC_COUNT; i++)
        to.topic[i] = rd_kafka_topic_new(to.client, topics[i], NULL);
    return to;
}

static void send_event(const sink *to, source *from)
{
    make_event(from);
    while (rd_kafka_produce(to->topic[from->topic], RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, from->value,
                            strlen(from->value), from->id, strlen(from->id), NULL) != 0) {
        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            stop("produce", rd_kafka_err2str(rd_kafka_last_error()));
        rd_kafka_poll(to->client, 10);
    }
    from->count++;
}

static bool input_ended(void)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&input, 1, TICK_MS) > 0;
}

/* After a while in which nothing went (the machine slept) the rate goes on from there: it is not made up for. */
static void send_steadily(const sink *to, source *from, double rate)
{
    int64_t begun_ns = rfm_clock_steady_ns();
    double skipped = 0;
    do {
        double due = (double)(rfm_clock_steady_ns() - begun_ns) / 1e9 * rate - skipped;
        double behind = due - (double)from->count;
        if (behind > BEHIND_MAX_S * rate)
            skipped += behind, due -= behind;
        while ((double)from->count < due)
            send_event(to, from);
        rd_kafka_poll(to->client, 0);
    } while (!input_ended());
}

int main(int argc, char **argv)
{
    if (argc != 4)
        stop("usage", "bench_e2e_steady BROKERS RATE CLIENTS");
    double rate = strtod(argv[2], NULL);
    source from = {.clients = strtoul(argv[3], NULL, 10), .random = 88172645463325252};
    if (!(rate > 0) || from.clients == 0)
        stop("usage", "RATE and CLIENTS must be above 0");
    sink to = connect_sink(argv[1]);
    send_steadily(&to, &from, rate);
    if (rd_kafka_flush(to.client, FLUSH_MS))
        stop("flush", "not everything was delivered");
    printf("%zu\n", from.count);
    for (int i = 0; i < TOPIC_COUNT; i++)
        rd_kafka_topic_destroy(to.topic[i]);
    rd_kafka_destroy(to.client);
    return 0;
}
