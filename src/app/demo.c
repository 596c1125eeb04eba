#include "adapter_conf.h"
#include "command.h"
#include "demo_history.h"
#include "demo_place.h"
#include "demo_redis.h"
#include "demo_screen.h"
#include "demo_summary.h"
#include "kafka/mock.h"
#include "service.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <rfm/base/time.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* The parts, in the order in which they are made, and ended in the other: folder, Redis, Kafka, history, service. The
 * service runs on the main thread, which gets the signals; one thread makes the traffic, one shows what happens and
 * ends it. */
enum {
    PARTITIONS = 4,
    CLIENTS_MAX = 20000,
    PORT = 9464,
    TICK_MS = 10,
    SHOW_MS = 200,
    READY_TIMEOUT_MS = 30000,
    DRAIN_MS = 3000,
    FLUSH_TIMEOUT_MS = 5000,
    FOR_EVER = INT32_MAX,
    SECONDS_WITHOUT_TERMINAL = 20
};

struct demo {
    int64_t seconds, rate, clients, seed, port;
    bool terminal, port_given;
    rfm_demo_place place;
    rfm_demo_redis redis;
    rfm_mock_cluster *kafka;
    rfm_config *config;
    const char *trigger_topics[RFM_TOPICS_MAX];
    rfm_kafka_conf kafka_conf;
    rfm_producer *producer;
    rfm_demo_history history;
    uint64_t history_events;
    uint32_t history_clients;
    rfm_demo_screen *screen;
    rfm_service *service;
    pthread_t traffic, show;
    int64_t begun_ms, ended_ms;         /* of live traffic, steady; the showing thread's */
    _Atomic bool flows, ended, unready; /* traffic may flow; the service has ended; it did not become ready */
    _Atomic uint64_t sent;
    _Atomic uint32_t clients_now;
    rfm_error traffic_error; /* the traffic thread's until it is joined */
};

/* -- traffic */

static const char *topic_for(const rfm_config *config, rfm_event_type type)
{
    size_t input = type == RFM_EVENT_PURCHASE || type == RFM_EVENT_REFUND ? 0 : type == RFM_EVENT_VISIT ? 1 : 2;
    return config->kafka.input[input < config->kafka.input_count ? input : 0].topic;
}

static int send_next(struct demo *demo)
{
    rfm_shop_event event;
    int64_t now_ms = rfm_clock_wall_ms();
    if (!rfm_shop_next(demo->history.shop, INT64_MAX, now_ms, &event))
        return rfm_fail(&demo->traffic_error, RFM_E_NOT_FOUND, "the shop has closed");
    int code = rfm_producer_send(demo->producer, topic_for(demo->config, event.type), -1, event.client_id, event.value,
                                 now_ms, &demo->traffic_error);
    if (code == RFM_OK)
        demo->sent++;
    return code;
}

static void *make_traffic(void *argument)
{
    struct demo *demo = argument;
    while (!demo->flows && !demo->ended)
        rfm_sleep_ms(TICK_MS);
    int64_t begun_ns = rfm_clock_steady_ns();
    int code = RFM_OK;
    while (code == RFM_OK && demo->flows && !demo->ended) {
        double due = (double)(rfm_clock_steady_ns() - begun_ns) / 1e9 * (double)demo->rate;
        while (code == RFM_OK && demo->flows && !demo->ended && (double)demo->sent < due)
            code = send_next(demo);
        demo->clients_now = rfm_shop_clients(demo->history.shop);
        rfm_sleep_ms(TICK_MS);
    }
    if (code == RFM_OK)
        rfm_producer_flush(demo->producer, FLUSH_TIMEOUT_MS, &demo->traffic_error);
    return NULL;
}

/* -- showing */

static void show_numbers(struct demo *demo)
{
    rfm_worker_stats stats = rfm_service_stats(demo->service);
    rfm_demo_numbers numbers = {.seconds = (double)(rfm_clock_steady_ms() - demo->begun_ms) / 1e3,
                                .events = stats.records,
                                .dead_letters = stats.dead_letters,
                                .clients = demo->clients_now,
                                .latency = rfm_service_latency(demo->service)};
    rfm_demo_screen_show(demo->screen, &numbers);
}

static bool await_ready(struct demo *demo)
{
    int64_t until_ms = rfm_clock_steady_ms() + READY_TIMEOUT_MS;
    while (!demo->ended && !rfm_service_ready(demo->service)) {
        if (rfm_clock_steady_ms() > until_ms) {
            demo->unready = true;
            return false;
        }
        rfm_sleep_ms(TICK_MS);
    }
    return !demo->ended;
}

/* What was sent is taken before the service is stopped, so that the summary's numbers are whole. */
static void drain(struct demo *demo)
{
    int64_t until_ms = rfm_clock_steady_ms() + DRAIN_MS;
    while (!demo->ended && rfm_service_stats(demo->service).records < demo->sent && rfm_clock_steady_ms() < until_ms)
        rfm_sleep_ms(TICK_MS);
}

static void *show(void *argument)
{
    struct demo *demo = argument;
    if (await_ready(demo)) {
        printf("Live traffic of %lld events a second%s. Triggers as they are sent:\n\n", (long long)demo->rate,
               demo->seconds == FOR_EVER ? ", until Ctrl-C" : "");
        demo->begun_ms = rfm_clock_steady_ms();
        demo->flows = true;
        while (!demo->ended && rfm_clock_steady_ms() - demo->begun_ms < demo->seconds * 1000) {
            show_numbers(demo);
            rfm_sleep_ms(SHOW_MS);
        }
        demo->ended_ms = rfm_clock_steady_ms();
        demo->flows = false;
        drain(demo);
        rfm_demo_screen_end(demo->screen);
    }
    rfm_service_stop(demo->service);
    return NULL;
}

/* -- making the parts */

/* Goes on unless a signal to stop waits. */
static bool show_progress(double share)
{
    sigset_t waiting;
    if (isatty(STDOUT_FILENO)) {
        printf("\r\033[KA year of the shop's history: %.0f %%", 100 * share);
        fflush(stdout);
    }
    sigpending(&waiting);
    return !sigismember(&waiting, SIGINT) && !sigismember(&waiting, SIGTERM);
}

static int free_port(bool any, uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(any ? 0 : port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(probe, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    bool good = bind(probe, (struct sockaddr *)&address, len) == 0 &&
                getsockname(probe, (struct sockaddr *)&address, &len) == 0;
    close(probe);
    return good ? ntohs(address.sin_port) : -1;
}

/* The usual port, or if it is taken and was not asked for, another one. */
static int choose_port(struct demo *demo, rfm_error *error)
{
    if (demo->port == 0)
        return RFM_OK;
    int port = free_port(false, (uint16_t)demo->port);
    if (port < 0 && demo->port_given)
        return rfm_fail(error, RFM_E_IO, "port %lld of 127.0.0.1 is taken: choose another with --http",
                        (long long)demo->port);
    if (port < 0)
        port = free_port(true, 0);
    demo->port = port > 0 ? port : 0;
    return RFM_OK;
}

static int make_kafka(struct demo *demo, rfm_error *error)
{
    int code = rfm_mock_cluster_new(&demo->kafka, error);
    if (code == RFM_OK)
        code = rfm_demo_place_configure(&demo->place, rfm_mock_cluster_brokers(demo->kafka), (uint16_t)demo->port,
                                        error);
    if (code == RFM_OK)
        code = rfm_demo_place_load(&demo->place, &demo->config, error);
    if (code != RFM_OK)
        return code;
    const rfm_config *config = demo->config;
    const char *const own[] = {config->kafka.wal, config->kafka.dead_letters, config->kafka.audit};
    for (size_t i = 0; code == RFM_OK && i < config->kafka.input_count; i++)
        code = rfm_mock_cluster_create(demo->kafka, config->kafka.input[i].topic, PARTITIONS, error);
    for (size_t i = 0; code == RFM_OK && i < sizeof own / sizeof *own; i++)
        code = rfm_mock_cluster_create(demo->kafka, own[i], PARTITIONS, error);
    for (size_t i = 0; code == RFM_OK && i < config->rules.topic_count; i++)
        code = rfm_mock_cluster_create(demo->kafka, config->rules.topic[i], PARTITIONS, error);
    if (code != RFM_OK)
        return code;
    rfm_kafka_conf_of(config, &demo->kafka_conf, demo->trigger_topics);
    return rfm_producer_new(&demo->kafka_conf, config->kafka.partitioner, &demo->producer, error);
}

static int make_history(struct demo *demo, rfm_error *error)
{
    rfm_demo_history *history = &demo->history;
    char events[32], clients[32], sent[32];
    int code = rfm_demo_history_run(history, demo->config, (uint32_t)demo->clients, (uint64_t)demo->seed, PARTITIONS,
                                    rfm_clock_wall_ms(), show_progress, error);
    if (isatty(STDOUT_FILENO))
        fputs("\r\033[K", stdout);
    if (code != RFM_OK || history->stopped)
        return code;
    demo->history_events = history->events;
    demo->history_clients = rfm_shop_clients(history->shop);
    demo->clients_now = demo->history_clients;
    printf("A year of the shop's history: %s events of %s clients, taken in %.1f s; it would have sent %s triggers.\n",
           rfm_demo_grouped(history->events, events), rfm_demo_grouped(demo->clients_now, clients), history->seconds,
           rfm_demo_grouped(rfm_offline_stats(history->offline)->triggers, sent));
    printf(
        "So that there is something to see, %u of them bought last just long enough ago for a win_back or a review_request soon.\n",
        history->quiet);
    code = rfm_demo_history_publish(history, demo->config, PARTITIONS, demo->producer, error);
    rfm_offline_free(history->offline);
    history->offline = NULL;
    return code;
}

static int make_parts(struct demo *demo, rfm_error *error)
{
    int code = choose_port(demo, error);
    if (code == RFM_OK)
        code = rfm_demo_place_make(&demo->place, error);
    if (code == RFM_OK)
        code = rfm_demo_redis_start(&demo->redis, demo->place.folder, demo->place.socket_path, error);
    if (code == RFM_OK)
        code = make_kafka(demo, error);
    if (code != RFM_OK)
        return code;
    printf(
        "Kafka: librdkafka's mock cluster in this process, %s\nRedis: %s\nConfiguration: %s (change its rules and watch)\n",
        rfm_mock_cluster_brokers(demo->kafka), demo->config->redis.url, demo->place.config_path);
    if (demo->port > 0)
        printf("Metrics: http://127.0.0.1:%lld/metrics\n", (long long)demo->port);
    fflush(stdout);
    return make_history(demo, error);
}

static void end_parts(struct demo *demo)
{
    rfm_service_free(demo->service);
    rfm_producer_free(demo->producer);
    rfm_kafka_conf_drop(&demo->kafka_conf);
    rfm_demo_history_release(&demo->history);
    rfm_demo_screen_free(demo->screen);
    rfm_config_free(demo->config);
    rfm_mock_cluster_free(demo->kafka);
    rfm_demo_redis_stop(&demo->redis);
    rfm_demo_place_remove(&demo->place);
}

/* -- running */

static void print_summary(struct demo *demo, rfm_error *error)
{
    rfm_worker_stats stats = rfm_service_stats(demo->service);
    rfm_histogram latency = rfm_service_latency(demo->service);
    double seconds = (double)(demo->ended_ms - demo->begun_ms) / 1e3;
    char history[32], live[32], clients[32], came[32];
    printf("\nSummary\n  %-24s %10s\n  %-24s %10s  in %.1f s; %llu repeats, %llu dead letters\n", "events of history",
           rfm_demo_grouped(demo->history_events, history), "live events", rfm_demo_grouped(stats.records, live),
           seconds, (unsigned long long)stats.repeats, (unsigned long long)stats.dead_letters);
    printf("  %-24s %10s  of whom %s came live\n", "clients", rfm_demo_grouped(demo->clients_now, clients),
           rfm_demo_grouped(demo->clients_now - demo->history_clients, came));
    printf("  %-24s %10.1f  ms in the median, %.1f for 90 %%, %.1f for 99 %% (from Kafka to committed)\n", "latency",
           rfm_histogram_quantile(&latency, 0.5) * 1e3, rfm_histogram_quantile(&latency, 0.9) * 1e3,
           rfm_histogram_quantile(&latency, 0.99) * 1e3);
    printf("\nTriggers sent live\n");
    rfm_demo_screen_counts(demo->screen);
    rfm_demo_summary_clients(demo->config, PARTITIONS, rfm_demo_screen_client(demo->screen, "win_back"), error);
}

static int run_service(struct demo *demo, rfm_error *error)
{
    rfm_service_conf conf = {.config_path = demo->place.config_path,
                             .partitions = PARTITIONS,
                             .mock = true,
                             .published = rfm_demo_screen_published};
    int code = rfm_demo_place_load(&demo->place, &conf.config, error);
    if (code != RFM_OK)
        return code;
    if (demo->port == 0)
        conf.config->http.host = "";
    conf.owner = demo->screen = rfm_demo_screen_new(&conf.config->rules, demo->terminal);
    demo->service = rfm_service_new(&conf);
    RFM_NEED(pthread_create(&demo->traffic, NULL, make_traffic, demo) == 0);
    RFM_NEED(pthread_create(&demo->show, NULL, show, demo) == 0);
    int exit_code = rfm_service_run(demo->service);
    demo->ended = true;
    pthread_join(demo->traffic, NULL);
    pthread_join(demo->show, NULL);
    if (exit_code != 0)
        return rfm_fail(error, RFM_E_IO, "the service has failed");
    if (demo->unready)
        return rfm_fail(error, RFM_E_IO, "the service was not ready within %d s", READY_TIMEOUT_MS / 1000);
    if (demo->traffic_error.code != RFM_OK)
        return rfm_fail(error, demo->traffic_error.code, "%s", demo->traffic_error.message);
    return RFM_OK;
}

/* Signals wait until the service takes them; threads and the Redis that start before it inherit that. */
static void hold_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static int run_demo(struct demo *demo)
{
    rfm_error error = {0};
    hold_signals();
    int code = make_parts(demo, &error);
    if (code == RFM_OK && !demo->history.stopped)
        code = run_service(demo, &error);
    if (code == RFM_OK && demo->begun_ms > 0)
        print_summary(demo, &error);
    if (error.code != RFM_OK)
        fprintf(stderr, "rfmd demo: %s\n", error.message);
    fflush(stdout);
    end_parts(demo);
    return error.code == RFM_OK ? RFM_EXIT_DONE : RFM_EXIT_ENVIRONMENT;
}

enum { SECONDS, RATE, CLIENTS, HTTP, SEED, OPTION_COUNT };

int rfm_demo_command(int argc, char **argv)
{
    rfm_option options[OPTION_COUNT] = {
        {.name = "seconds"}, {.name = "rate"}, {.name = "clients"}, {.name = "http"}, {.name = "seed"}};
    int operand_at, exit_code = rfm_options_parse("demo", argc, argv, options, OPTION_COUNT, &operand_at);
    if (exit_code >= 0)
        return exit_code;
    bool terminal = isatty(STDOUT_FILENO) == 1;
    struct demo demo = {.seconds = terminal ? FOR_EVER : SECONDS_WITHOUT_TERMINAL,
                        .rate = 200,
                        .clients = 5000,
                        .seed = 1,
                        .port = PORT,
                        .terminal = terminal,
                        .port_given = options[HTTP].given};
    if (!rfm_option_number("demo", &options[SECONDS], 1, FOR_EVER, &demo.seconds) ||
        !rfm_option_number("demo", &options[RATE], 1, 20000, &demo.rate) ||
        !rfm_option_number("demo", &options[CLIENTS], 10, CLIENTS_MAX, &demo.clients) ||
        !rfm_option_number("demo", &options[HTTP], 0, 65535, &demo.port) ||
        !rfm_option_number("demo", &options[SEED], 0, INT64_MAX, &demo.seed))
        return RFM_EXIT_USAGE;
    return rfm_options_end("demo", argc, argv, operand_at) ? run_demo(&demo) : RFM_EXIT_USAGE;
}
