#include "adapter_conf.h"
#include "command.h"
#include "kafka/producer.h"
#include "shop.h"

#include <errno.h>
#include <fcntl.h>
#include <rfm/base/time.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    WRITE_BYTES = 256 * 1024,
    CHECK_TIMEOUT_MS = 15000,
    FLUSH_TIMEOUT_MS = 30000,
    TICK_MS = 5,
    PROGRESS_EVENTS = 1 << 16
};
#define FILE_START_MS INT64_C(1735689600000) /* 2025-01-01 */

struct gen {
    rfm_shop_conf shop_conf;
    int64_t events_max, rate; /* rate 0: as fast as it goes */
    rfm_shop *shop;
    bool progress;
    uint64_t events;
    int64_t begun_ns;
};

static volatile sig_atomic_t stopped;

static void on_stop(int number)
{
    (void)number;
    stopped = 1;
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_stop};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static void show_progress(const struct gen *gen)
{
    if (gen->progress)
        fprintf(stderr, "\r%llu events ", (unsigned long long)gen->events);
}

static void say_summary(const struct gen *gen, const char *where)
{
    double seconds = (double)(rfm_clock_steady_ns() - gen->begun_ns) / 1e9;
    fprintf(stderr, "%s%llu events of %u clients to %s in %.1f s (%.0f a second)\n", gen->progress ? "\r" : "",
            (unsigned long long)gen->events, rfm_shop_clients(gen->shop), where, seconds,
            seconds > 0 ? (double)gen->events / seconds : 0);
}

static bool goes_on(const struct gen *gen)
{
    return !stopped && (int64_t)gen->events < gen->events_max;
}

/* How many events are to be out by now. */
static int64_t due_events(const struct gen *gen)
{
    if (gen->rate == 0)
        return gen->events_max;
    int64_t passed_ns = rfm_clock_steady_ns() - gen->begun_ns;
    int64_t due = (int64_t)((double)passed_ns / 1e9 * (double)gen->rate) + 1;
    return due < gen->events_max ? due : gen->events_max;
}

/* -- to a file */

/* Writes all; false: errno tells. A signal does not cut a line. */
static bool write_all(int file, const uint8_t *at, size_t len)
{
    while (len > 0) {
        ssize_t written = write(file, at, len);
        if (written < 0 && errno != EINTR)
            return false;
        if (written > 0)
            at += written, len -= (size_t)written;
    }
    return true;
}

static bool write_events(struct gen *gen, int file)
{
    rfm_shop_event event;
    rfm_buffer lines;
    bool good = true;
    rfm_buffer_init(&lines, 2 * WRITE_BYTES);
    RFM_NEED(rfm_buffer_reserve(&lines, WRITE_BYTES + 4096) != NULL);
    while (good && goes_on(gen) && rfm_shop_next(gen->shop, INT64_MAX, 0, &event)) {
        rfm_write_bytes(&lines, event.value);
        rfm_write_u8(&lines, '\n');
        if (++gen->events % PROGRESS_EVENTS == 0)
            show_progress(gen);
        bool ahead = (int64_t)gen->events >= due_events(gen);
        if (lines.len < WRITE_BYTES && !ahead)
            continue;
        good = write_all(file, lines.at, lines.len);
        rfm_buffer_clear(&lines);
        while (good && goes_on(gen) && (int64_t)gen->events >= due_events(gen))
            rfm_sleep_ms(TICK_MS);
    }
    int code = errno;
    good = good && write_all(file, lines.at, lines.len);
    if (good)
        code = 0;
    else if (code == 0)
        code = errno;
    rfm_buffer_release(&lines);
    errno = code;
    return good;
}

static int gen_file(struct gen *gen, const char *name)
{
    bool standard = strcmp(name, "-") == 0;
    int file = standard ? STDOUT_FILENO : open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    bool good = file >= 0 && write_events(gen, file);
    int code = errno;
    if (file >= 0 && !standard && close(file) != 0 && good)
        good = false, code = errno;
    if (!good && standard && code == EPIPE)
        return RFM_EXIT_DONE; /* the reader has had enough */
    if (!good) {
        fprintf(stderr, "rfmd gen: %s: %s\n", name, strerror(code));
        return RFM_EXIT_ENVIRONMENT;
    }
    if (gen->progress)
        say_summary(gen, standard ? "standard output" : name);
    return RFM_EXIT_DONE;
}

/* -- to Kafka */

static const char *input_named(const rfm_config *config, const char *name)
{
    for (size_t i = 0; i < config->kafka.input_count; i++)
        if (strcmp(config->kafka.input[i].name, name) == 0)
            return config->kafka.input[i].topic;
    return config->kafka.input[0].topic;
}

static void find_topics(const rfm_config *config, const char *topics[RFM_EVENT_TYPE_COUNT])
{
    static const char *const inputs[RFM_EVENT_TYPE_COUNT] = {[RFM_EVENT_PURCHASE] = "purchases",
                                                             [RFM_EVENT_REFUND] = "purchases",
                                                             [RFM_EVENT_VISIT] = "visits",
                                                             [RFM_EVENT_MESSAGE] = "messages",
                                                             [RFM_EVENT_CONSENT] = "messages"};
    for (size_t i = 0; i < RFM_EVENT_TYPE_COUNT; i++)
        topics[i] = input_named(config, inputs[i] != NULL ? inputs[i] : "messages");
}

static int send_events(struct gen *gen, rfm_producer *producer, const char *const topics[RFM_EVENT_TYPE_COUNT],
                       rfm_error *error)
{
    rfm_shop_event event;
    int code = RFM_OK;
    while (code == RFM_OK && goes_on(gen)) {
        int64_t due = due_events(gen);
        while (code == RFM_OK && !stopped && (int64_t)gen->events < due) {
            int64_t now_ms = rfm_clock_wall_ms();
            if (!rfm_shop_next(gen->shop, INT64_MAX, now_ms, &event))
                return RFM_OK;
            code = rfm_producer_send(producer, topics[event.type], -1, event.client_id, event.value, now_ms, error);
            gen->events++;
        }
        show_progress(gen);
        rfm_sleep_ms(TICK_MS);
    }
    return code;
}

static int send_all(struct gen *gen, rfm_producer *producer, const rfm_config *config, rfm_error *error)
{
    const char *topics[RFM_EVENT_TYPE_COUNT];
    find_topics(config, topics);
    int code = RFM_OK;
    for (size_t i = 0; code == RFM_OK && i < RFM_EVENT_TYPE_COUNT; i++)
        code = rfm_producer_check(producer, topics[i], CHECK_TIMEOUT_MS, error);
    gen->begun_ns = rfm_clock_steady_ns();
    if (code == RFM_OK)
        code = send_events(gen, producer, topics, error);
    return code == RFM_OK ? rfm_producer_flush(producer, FLUSH_TIMEOUT_MS, error) : code;
}

static int gen_kafka(struct gen *gen, const rfm_config *config)
{
    const char *trigger_topics[RFM_TOPICS_MAX];
    rfm_kafka_conf kafka;
    rfm_producer *producer = NULL;
    rfm_error error = {0};
    rfm_kafka_conf_of(config, &kafka, trigger_topics);
    int code = rfm_producer_new(&kafka, config->kafka.partitioner, &producer, &error);
    if (code == RFM_OK)
        code = send_all(gen, producer, config, &error);
    rfm_producer_free(producer);
    rfm_kafka_conf_drop(&kafka);
    if (code == RFM_OK)
        say_summary(gen, config->kafka.brokers);
    else
        fprintf(stderr, "%srfmd gen: %s\n", gen->progress ? "\n" : "", error.message);
    return code == RFM_OK ? RFM_EXIT_DONE : RFM_EXIT_ENVIRONMENT;
}

/* -- the command */

enum { CLIENTS, EVENTS, SEED, START, DAYS, OUTPUT, CONFIG, RATE, OPTION_COUNT };

static bool read_options(struct gen *gen, rfm_option *options)
{
    int64_t clients = 10000, seed = 1, now_ms = rfm_clock_wall_ms();
    gen->events_max = 100000;
    gen->rate = options[CONFIG].given ? 1000 : 0;
    gen->shop_conf.days = 365;
    gen->shop_conf.start_ms = options[CONFIG].given ? now_ms : FILE_START_MS;
    if (!rfm_option_number("gen", &options[CLIENTS], 1, 100000000, &clients) ||
        !rfm_option_number("gen", &options[EVENTS], 1, INT64_C(1000000000000), &gen->events_max) ||
        !rfm_option_number("gen", &options[SEED], 0, INT64_MAX, &seed) ||
        !rfm_option_time("gen", &options[START], &gen->shop_conf.start_ms) ||
        !rfm_option_number("gen", &options[DAYS], 1, 36500, &gen->shop_conf.days) ||
        !rfm_option_number("gen", &options[RATE], 1, 10000000, &gen->rate))
        return false;
    gen->shop_conf.clients = (uint32_t)clients;
    gen->shop_conf.seed = (uint64_t)seed;
    gen->shop_conf.events = (uint64_t)gen->events_max;
    const int64_t *start_ms = &gen->shop_conf.start_ms;
    bool sound = *start_ms >= RFM_TIME_1990_MS && *start_ms < INT64_C(200) * 365 * RFM_DAY_MS;
    if (!sound)
        fprintf(stderr, "rfmd gen: --start must lie between 1990 and 2169\n");
    return sound;
}

static bool check_usage(const rfm_option *options, int argc, char **argv, int operand_at)
{
    const char *wrong = NULL;
    if (options[CONFIG].given && (options[OUTPUT].given || options[START].given))
        wrong = options[OUTPUT].given
                    ? "-c sends to Kafka and --output writes a file: give one of them"
                    : "with -c events are stamped with the time at which they are sent: leave out --start";
    if (wrong != NULL)
        fprintf(stderr, "rfmd gen: %s\n", wrong);
    return wrong == NULL && rfm_options_end("gen", argc, argv, operand_at);
}

int rfm_gen_command(int argc, char **argv)
{
    rfm_option options[OPTION_COUNT] = {{.name = "clients"},
                                        {.name = "events"},
                                        {.name = "seed"},
                                        {.name = "start"},
                                        {.name = "days"},
                                        {.name = "output", .value = "-"},
                                        {.name = "config", .letter = 'c'},
                                        {.name = "rate"}};
    struct gen gen = {.progress = isatty(STDERR_FILENO) == 1};
    int operand_at, exit_code = rfm_options_parse("gen", argc, argv, options, OPTION_COUNT, &operand_at);
    if (exit_code >= 0)
        return exit_code;
    if (!check_usage(options, argc, argv, operand_at) || !read_options(&gen, options))
        return RFM_EXIT_USAGE;
    rfm_config *config = options[CONFIG].given ? rfm_command_config("gen", &options[CONFIG], &exit_code) : NULL;
    if (options[CONFIG].given && config == NULL)
        return exit_code;
    gen.progress = gen.progress &&
                   (config != NULL || strcmp(options[OUTPUT].value, "-") != 0 || !isatty(STDOUT_FILENO));
    catch_signals();
    gen.begun_ns = rfm_clock_steady_ns();
    gen.shop = rfm_shop_new(&gen.shop_conf);
    exit_code = config != NULL ? gen_kafka(&gen, config) : gen_file(&gen, options[OUTPUT].value);
    rfm_shop_free(gen.shop);
    rfm_config_free(config);
    return exit_code;
}
