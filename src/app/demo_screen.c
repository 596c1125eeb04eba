#include "demo_screen.h"

#include <pthread.h>
#include <rfm/event/headers.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include <yyjson.h>

enum { LINES_MAX = 64, LINE_BYTES_MAX = 2048, PERIOD_MS = 5000, RATE_MS = 2000 };

/* One line of a rule at most every so often, so that frequent ones leave room for the others. */
enum { LINE_EVERY_TERMINAL_MS = 600, LINE_EVERY_MS = 1500 };

struct tally {
    char rule[RFM_RULE_NAME_MAX], client[RFM_CLIENT_ID_MAX + 1];
    uint64_t sent, shown;
    int64_t shown_ms;
};

struct line {
    size_t len;
    uint8_t value[LINE_BYTES_MAX];
};

struct rfm_demo_screen {
    bool terminal;
    struct tally tally[RFM_RULES_MAX];
    size_t rule_count;
    int64_t line_every_ms;
    pthread_mutex_t mutex; /* guards tally and lines */
    struct line lines[LINES_MAX];
    size_t line_count;
    /* of the showing thread */
    struct line showing[LINES_MAX];
    bool status_shown;
    int64_t status_ms, rated_ms;
    uint64_t rated_events;
    double rate;
};

rfm_demo_screen *rfm_demo_screen_new(const rfm_rules *rules, bool terminal)
{
    rfm_demo_screen *screen = calloc(1, sizeof *screen);
    RFM_NEED(screen != NULL);
    screen->terminal = terminal;
    screen->rule_count = rules->count;
    screen->line_every_ms = terminal ? LINE_EVERY_TERMINAL_MS : LINE_EVERY_MS;
    for (size_t i = 0; i < rules->count; i++)
        snprintf(screen->tally[i].rule, RFM_RULE_NAME_MAX, "%s", rules->rule[i].name);
    pthread_mutex_init(&screen->mutex, NULL);
    return screen;
}

void rfm_demo_screen_free(rfm_demo_screen *screen)
{
    if (screen == NULL)
        return;
    pthread_mutex_destroy(&screen->mutex);
    free(screen);
}

/* -- triggers as they come */

/* The rule stands at the end of ce_type; NULL: one that came with a reload and finds no room. */
static struct tally *tally_of(rfm_demo_screen *screen, const rfm_message *message)
{
    rfm_bytes type;
    if (!rfm_headers_find(message->headers, "ce_type", &type))
        return NULL;
    size_t from = type.len;
    while (from > 0 && type.at[from - 1] != '.')
        from--;
    rfm_bytes rule = rfm_bytes_of(type.at + from, type.len - from);
    for (size_t i = 0; i < screen->rule_count; i++)
        if (rfm_bytes_is(rule, screen->tally[i].rule))
            return &screen->tally[i];
    if (screen->rule_count == RFM_RULES_MAX || rule.len >= RFM_RULE_NAME_MAX)
        return NULL;
    struct tally *tally = &screen->tally[screen->rule_count++];
    snprintf(tally->rule, sizeof tally->rule, "%.*s", (int)rule.len, (const char *)rule.at);
    return tally;
}

static void keep_line(rfm_demo_screen *screen, struct tally *tally, const rfm_message *message)
{
    int64_t now_ms = rfm_clock_steady_ms();
    bool shown = now_ms - tally->shown_ms >= screen->line_every_ms && screen->line_count < LINES_MAX &&
                 message->value.len <= LINE_BYTES_MAX;
    if (!shown)
        return;
    tally->shown++;
    tally->shown_ms = now_ms;
    memcpy(screen->lines[screen->line_count].value, message->value.at, message->value.len);
    screen->lines[screen->line_count++].len = message->value.len;
}

void rfm_demo_screen_published(void *owner, const rfm_message *message)
{
    rfm_demo_screen *screen = owner;
    if (message->topic < RFM_TOPIC_TRIGGERS)
        return;
    pthread_mutex_lock(&screen->mutex);
    struct tally *tally = tally_of(screen, message);
    if (tally != NULL) {
        tally->sent++;
        if (message->key.len <= RFM_CLIENT_ID_MAX)
            snprintf(tally->client, sizeof tally->client, "%.*s", (int)message->key.len, (const char *)message->key.at);
        keep_line(screen, tally, message);
    }
    pthread_mutex_unlock(&screen->mutex);
}

/* -- lines */

static const char *text_of(yyjson_val *object, const char *name)
{
    const char *text = yyjson_get_str(yyjson_obj_get(object, name));
    return text != NULL ? text : "-";
}

static void format_clock(const char *time, char text[16])
{
    int64_t time_ms;
    struct tm local;
    snprintf(text, 16, "--:--:--");
    if (rfm_time_parse(rfm_text(time), &time_ms) != RFM_OK)
        return;
    time_t seconds = (time_t)(time_ms / 1000);
    if (localtime_r(&seconds, &local) != NULL)
        strftime(text, 16, "%H:%M:%S", &local);
}

static void format_client(yyjson_val *client, char *text, size_t size)
{
    yyjson_val *rfm = yyjson_obj_get(client, "rfm");
    char scores[32] = "";
    double risk = yyjson_get_num(yyjson_obj_get(client, "churn_risk"));
    if (yyjson_is_obj(rfm))
        snprintf(scores, sizeof scores, ", rfm %d%d%d, risk %.2f", yyjson_get_int(yyjson_obj_get(rfm, "r")),
                 yyjson_get_int(yyjson_obj_get(rfm, "f")), yyjson_get_int(yyjson_obj_get(rfm, "m")), risk);
    unsigned orders = (unsigned)yyjson_get_uint(yyjson_obj_get(client, "orders"));
    snprintf(text, size, "%s%s; %u order%s, %s", text_of(client, "segment"), scores, orders, orders == 1 ? "" : "s",
             text_of(client, "revenue"));
}

static void print_trigger(const struct line *line)
{
    yyjson_doc *doc = yyjson_read((const char *)line->value, line->len, 0);
    yyjson_val *root = yyjson_doc_get_root(doc), *promo = yyjson_obj_get(root, "promo");
    char clock[16], client[160], code[64] = "";
    if (yyjson_is_obj(root)) {
        format_clock(text_of(root, "time"), clock);
        format_client(yyjson_obj_get(root, "client"), client, sizeof client);
        if (yyjson_is_obj(promo))
            snprintf(code, sizeof code, "  code %s", text_of(promo, "code"));
        printf("%s  %-14s  %-9s  %-5s  %s%s\n", clock, text_of(root, "rule"), text_of(root, "client_id"),
               text_of(root, "channel"), client, code);
    }
    yyjson_doc_free(doc);
}

static void clear_status(rfm_demo_screen *screen)
{
    if (screen->status_shown)
        fputs("\r\033[K", stdout);
    screen->status_shown = false;
}

static void print_lines(rfm_demo_screen *screen)
{
    pthread_mutex_lock(&screen->mutex);
    size_t count = screen->line_count;
    memcpy(screen->showing, screen->lines, count * sizeof *screen->lines);
    screen->line_count = 0;
    pthread_mutex_unlock(&screen->mutex);
    if (count > 0)
        clear_status(screen);
    for (size_t i = 0; i < count; i++)
        print_trigger(&screen->showing[i]);
}

/* -- numbers */

const char *rfm_demo_grouped(uint64_t number, char text[32])
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)number), out = 0;
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            text[out++] = ',';
        text[out++] = digits[i];
    }
    text[out] = 0;
    return text;
}

static void take_rate(rfm_demo_screen *screen, const rfm_demo_numbers *numbers, int64_t now_ms)
{
    if (now_ms - screen->rated_ms < RATE_MS)
        return;
    if (screen->rated_ms > 0)
        screen->rate = (double)(numbers->events - screen->rated_events) * 1e3 / (double)(now_ms - screen->rated_ms);
    screen->rated_ms = now_ms;
    screen->rated_events = numbers->events;
}

static void write_status(rfm_demo_screen *screen, const rfm_demo_numbers *numbers, rfm_buffer *line)
{
    char events[32], clients[32];
    uint64_t hidden = 0;
    rfm_write_format(line, "[%3.0f s] %s events, %.0f/s; %s clients;", numbers->seconds,
                     rfm_demo_grouped(numbers->events, events), screen->rate,
                     rfm_demo_grouped(numbers->clients, clients));
    pthread_mutex_lock(&screen->mutex);
    for (size_t i = 0; i < screen->rule_count; i++) {
        rfm_write_format(line, "%s %s %llu", i > 0 ? "," : "", screen->tally[i].rule,
                         (unsigned long long)screen->tally[i].sent);
        hidden += screen->tally[i].sent - screen->tally[i].shown;
    }
    pthread_mutex_unlock(&screen->mutex);
    if (hidden > 0)
        rfm_write_format(line, " (%llu not shown)", (unsigned long long)hidden);
    rfm_write_format(line, "; latency %.0f ms", rfm_histogram_quantile(&numbers->latency, 0.5) * 1e3);
    if (numbers->dead_letters > 0)
        rfm_write_format(line, "; %llu dead letters", (unsigned long long)numbers->dead_letters);
}

/* A line that a terminal would break could not be cleared, so it is cut. */
static void print_status(rfm_demo_screen *screen, const rfm_demo_numbers *numbers)
{
    uint8_t text[1024];
    rfm_buffer line = rfm_buffer_over(text, sizeof text);
    struct winsize window = {0};
    write_status(screen, numbers, &line);
    size_t len = line.len;
    if (screen->terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 1 && len >= window.ws_col)
        len = window.ws_col - 1u;
    fwrite(text, 1, len, stdout);
}

void rfm_demo_screen_show(rfm_demo_screen *screen, const rfm_demo_numbers *numbers)
{
    int64_t now_ms = rfm_clock_steady_ms();
    take_rate(screen, numbers, now_ms);
    print_lines(screen);
    if (screen->terminal) {
        clear_status(screen);
        print_status(screen, numbers);
        screen->status_shown = true;
    } else if (now_ms - screen->status_ms >= PERIOD_MS) {
        if (screen->status_ms > 0)
            print_status(screen, numbers), putchar('\n');
        screen->status_ms = now_ms;
    }
    fflush(stdout);
}

void rfm_demo_screen_end(rfm_demo_screen *screen)
{
    print_lines(screen);
    clear_status(screen);
    fflush(stdout);
}

void rfm_demo_screen_counts(rfm_demo_screen *screen)
{
    char sent[32];
    pthread_mutex_lock(&screen->mutex);
    for (size_t i = 0; i < screen->rule_count; i++)
        printf("  %-24s %10s\n", screen->tally[i].rule, rfm_demo_grouped(screen->tally[i].sent, sent));
    pthread_mutex_unlock(&screen->mutex);
}

const char *rfm_demo_screen_client(const rfm_demo_screen *screen, const char *rule)
{
    for (size_t i = 0; i < screen->rule_count; i++)
        if (strcmp(screen->tally[i].rule, rule) == 0)
            return screen->tally[i].client;
    return "";
}
