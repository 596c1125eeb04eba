#include "keys.h"

#include <rfm/base/utf8.h>

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* A port of digits alone; -1: it is none. */
static int port_of(const char *text, size_t len)
{
    int port = 0;
    if (len == 0 || len > 5)
        return -1;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        port = port * 10 + text[i] - '0';
    }
    return port <= UINT16_MAX ? port : -1;
}

/* What librdkafka takes in front of a host; it drops a broker with any other, at the start, and says so in its log
 * alone. */
static size_t protocol_len(const char *text, size_t len)
{
    static const char *const known[] = {"plaintext://", "ssl://", "sasl_plaintext://", "sasl_ssl://"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (len >= strlen(known[i]) && strncasecmp(text, known[i], strlen(known[i])) == 0)
            return strlen(known[i]);
    return 0;
}

static bool is_broker(const char *text, size_t len)
{
    size_t before = protocol_len(text, len);
    text += before, len -= before;
    const char *colon = memrchr(text, ':', len);
    if (!colon || colon == text || memchr(text, ' ', len) || memchr(text, '/', len))
        return false;
    return port_of(colon + 1, len - (size_t)(colon - text) - 1) > 0;
}

static bool check_brokers(rfm__loader *loader, const rfm_yaml *node, const char *text)
{
    for (const char *part = text;; part++) {
        size_t len = strcspn(part, ",");
        if (!is_broker(part, len)) {
            rfm__report(loader, node, "a broker is needed here as host:port, not %s", rfm__show_node(node).text);
            return false;
        }
        part += len;
        if (!*part)
            return true;
    }
}

static void read_brokers(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    (void)key;
    rfm_buffer list;
    rfm_buffer_init(&list, 1 << 16);
    const rfm_yaml *item = node->kind == RFM_YAML_LIST ? node->first : node;
    bool good = item != NULL;
    if (!item)
        rfm__report(loader, node, "the list is empty");
    for (; good && item; item = node == item ? NULL : item->next) {
        const char *text;
        good = rfm__text_of(loader, item, &text) && check_brokers(loader, item, text);
        if (good)
            rfm_write_format(&list, "%s%s", list.len ? "," : "", text);
    }
    if (good && !list.bad)
        *(const char **)at = rfm__keep(loader, (const char *)list.at, list.len);
    rfm_buffer_release(&list);
}

const rfm__kind rfm__brokers = {"text or list", true, true, read_brokers, rfm__print_text_at};

/* One input, as a table of its own. */
struct input {
    const char *topic;
    int format;
};
static const char *const formats[] = {
#define X(NAME, name) #name,
    RFM_FORMATS(X)
#undef X
        NULL};
static const rfm__key input_keys[] = {
    {"topic", &rfm__name, offsetof(struct input, topic), .text = ""},
    {"format", &rfm__choice, offsetof(struct input, format), "native", .choices = formats, .text = ""},
};
static const rfm__table input_table = {input_keys, sizeof input_keys / sizeof *input_keys};

static void read_input(rfm__loader *loader, const rfm_yaml *node)
{
    rfm_config *config = loader->config;
    struct input input = {.topic = node->key};
    if (!rfm__is_name(node->key, 64, "_-")) {
        rfm__report_key(loader, node, "an input's name has letters, digits, '_' and '-' (64 at most), unlike \"%s\"",
                        rfm__show(node->key).text);
        return;
    }
    if (config->kafka.input_count == RFM_INPUTS_MAX) {
        rfm__report_key(loader, node, "more than %d inputs", RFM_INPUTS_MAX);
        return;
    }
    rfm__table_read(loader, &input_table, node, &input);
    size_t i = config->kafka.input_count++;
    config->kafka.input[i].name = rfm__keep(loader, node->key, strlen(node->key));
    config->kafka.input[i].topic = rfm__keep(loader, input.topic, strlen(input.topic));
    config->kafka.input[i].format = (rfm_format)input.format;
}

static void read_inputs(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    (void)key;
    (void)at;
    if (node->kind != RFM_YAML_MAP || !node->first) {
        rfm__report(loader, node, "a map NAME: {topic, format} with at least one input is needed here");
        return;
    }
    for (const rfm_yaml *input = node->first; input; input = input->next)
        read_input(loader, input);
}

static void print_inputs(rfm_buffer *yaml, const rfm__key *key, const rfm_config *config, const void *at)
{
    (void)key, (void)at;
    for (size_t i = 0; i < config->kafka.input_count; i++)
        rfm_write_format(yaml, "%s%s: {topic: %s, format: %s}", i ? ", " : "{", config->kafka.input[i].name,
                         config->kafka.input[i].topic, rfm_format_name(config->kafka.input[i].format));
    rfm_write_text(yaml, "}");
}

const rfm__kind rfm__inputs = {"map", false, false, read_inputs, print_inputs};

static void read_settings(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    (void)key;
    if (node->kind != RFM_YAML_MAP) {
        /* What stands there instead may be a password. */
        rfm__report(loader, node, "a map of librdkafka properties is needed here, {NAME: VALUE, ...}");
        return;
    }
    rfm_setting *items = rfm__keep_room(loader, node->count * sizeof *items);
    size_t count = 0;
    for (const rfm_yaml *child = node->first; child; child = child->next) {
        const char *value;
        if (!rfm__text_of(loader, child, &value))
            continue;
        items[count++] = (rfm_setting){.name = rfm__keep(loader, child->key, strlen(child->key)),
                                       .value = rfm__keep(loader, value, strlen(value))};
    }
    *(rfm_settings *)at = (rfm_settings){items, count};
}

/* Passwords, keys and tokens: what names only a file or an address is not among them. */
static bool is_secret(const char *name)
{
    static const char *const parts[] = {"password",           "secret",  "pem",       "jaas", "token",
                                        "oauthbearer.config", "ssl_key", "passphrase"};
    size_t len = strlen(name);
    if (len > 9 && (strcmp(name + len - 9, ".location") == 0 || strcmp(name + len - 4, ".url") == 0))
        return false;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (strstr(name, parts[i]))
            return true;
    }
    return false;
}

static void print_settings(rfm_buffer *yaml, const rfm__key *key, const rfm_config *config, const void *at)
{
    const rfm_settings *settings = at;
    (void)key, (void)config;
    for (size_t i = 0; i < settings->count; i++) {
        const rfm_setting *setting = &settings->items[i];
        rfm_write_text(yaml, i ? ", " : "{");
        rfm_write_json_string(yaml, rfm_text(setting->name));
        rfm_write_text(yaml, ": ");
        rfm_write_json_string(yaml, rfm_text(is_secret(setting->name) ? "(redacted)" : setting->value));
    }
    rfm_write_text(yaml, settings->count ? "}" : "{}");
}

const rfm__kind rfm__settings = {"map", false, false, read_settings, print_settings};

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* A part of a URL with its %XX resolved. */
static const char *keep_decoded(rfm__loader *loader, const char *text, size_t len)
{
    char *decoded = rfm__keep_room(loader, len + 1);
    size_t out = 0;
    for (size_t i = 0; i < len; i++) {
        int high = text[i] == '%' && i + 2 < len ? hex_digit(text[i + 1]) : -1,
            low = high < 0 ? -1 : hex_digit(text[i + 2]);
        bool escape = high >= 0 && low >= 0 && high + low > 0;
        decoded[out++] = escape ? (char)(high * 16 + low) : text[i];
        i += escape ? 2 : 0;
    }
    return decoded;
}

/* user:password@ becomes redis.username and redis.password, so that the URL can be shown. */
static const char *take_userinfo(rfm__loader *loader, const char *url)
{
    rfm_config *config = loader->config;
    const char *authority = strstr(url, "://") + 3, *end = authority + strcspn(authority, "/?#");
    const char *at = memrchr(authority, '@', (size_t)(end - authority));
    if (!at)
        return rfm__keep(loader, url, strlen(url));
    const char *colon = memchr(authority, ':', (size_t)(at - authority));
    const char *user_end = colon ? colon : at;
    config->redis.username = keep_decoded(loader, authority, (size_t)(user_end - authority));
    if (colon)
        config->redis.password = keep_decoded(loader, colon + 1, (size_t)(at - colon) - 1);
    size_t scheme_len = (size_t)(authority - url), rest_len = strlen(at + 1);
    char *shown = rfm__keep_room(loader, scheme_len + rest_len + 1);
    memcpy(shown, url, scheme_len);
    memcpy(shown + scheme_len, at + 1, rest_len);
    return shown;
}

static bool is_number(const char *text, size_t len, unsigned long min, unsigned long max)
{
    unsigned long number = 0;
    if (len == 0 || len > 5)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        number = number * 10 + (unsigned long)(text[i] - '0');
    }
    return number >= min && number <= max;
}

/* host, host:port, [v6] or [v6]:port */
static bool is_host(const char *text, size_t len)
{
    const char *end = text + len, *close = len > 0 && *text == '[' ? memchr(text, ']', len) : NULL;
    const char *colon = memchr(close ? close : text, ':', (size_t)(end - (close ? close : text)));
    if ((len > 0 && *text == '[' && !close) || (close && close + 1 != end && close + 1 != colon))
        return false;
    return len > 0 && colon != text && (!colon || is_number(colon + 1, (size_t)(end - colon) - 1, 1, 65535));
}

/* Whether hosts and database of a URL of TCP (what follows the scheme and the user) can be meant so. */
static bool names_hosts(const char *rest, bool has_service)
{
    const char *end = rest + strcspn(rest, "/?#"), *tail = end;
    for (const char *host = rest;;) {
        const char *comma = memchr(host, ',', (size_t)(end - host));
        if (!is_host(host, (size_t)((comma ? comma : end) - host)))
            return false;
        if (!comma)
            break;
        host = comma + 1;
    }
    if (has_service && *tail == '/')
        tail += 1 + strcspn(tail + 1, "/?#");
    return !*tail || (*tail == '/' && (!tail[1] || is_number(tail + 1, strlen(tail + 1), 0, 65535)));
}

/* In what follows redis+sentinel://. */
static bool names_master(const char *rest)
{
    const char *slash = strchr(rest, '/');
    return slash && slash > rest && slash[1] && slash[1] != '/';
}

static void read_redis_url(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    static const char *const schemes[] = {
        "redis://",          "rediss://", "redis+sentinel://", "rediss+sentinel://", "redis+cluster://",
        "rediss+cluster://", "unix://"};
    enum { SCHEMES = sizeof schemes / sizeof *schemes, UNIX = SCHEMES - 1 };
    const char *text;
    (void)key;
    if (!rfm__text_of(loader, node, &text))
        return;
    for (size_t i = 0; i < SCHEMES; i++) {
        size_t len = strlen(schemes[i]);
        if (strncmp(text, schemes[i], len) != 0 || !text[len] || strlen(text) >= 1024 || strpbrk(text, " \t\n"))
            continue;
        if (strstr(schemes[i], "sentinel") && !names_master(text + len)) {
            rfm__report(loader, node,
                        "the master's name among the Sentinels is missing, as in "
                        "redis+sentinel://host:26379,host:26379/mymaster");
            return;
        }
        const char *url = i == UNIX ? rfm__keep(loader, text, strlen(text)) : take_userinfo(loader, text);
        if (i != UNIX && !names_hosts(url + len, strstr(schemes[i], "sentinel") != NULL))
            break;
        *(const char **)at = url;
        return;
    }
    rfm__report(loader, node,
                "redis://host:port/db, rediss://host:port/db, unix:///path, redis+sentinel://hosts/name or "
                "redis+cluster://hosts is needed here");
}

const rfm__kind rfm__redis_url = {"URL", true, true, read_redis_url, rfm__print_text_at};

static void read_redis_prefix(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    (void)key;
    const char *text;
    if (!rfm__text_of(loader, node, &text))
        return;
    size_t len = strlen(text);
    bool good = len > 0 && len <= 64;
    for (size_t i = 0; i < len; i++)
        good = good && (unsigned char)text[i] > ' ' && text[i] != '{' && text[i] != '}' && text[i] != 0x7f;
    if (good)
        *(const char **)at = rfm__keep(loader, text, len);
    else
        rfm__report(loader, node, "1 to 64 bytes without blanks, { and } are needed here, not %s",
                    rfm__show_node(node).text);
}

const rfm__kind rfm__redis_prefix = {"text", true, true, read_redis_prefix, rfm__print_text_at};

/* host:port or [address]:port; *host_len is without the brackets. */
static bool split_listen(const char *text, const char **host, size_t *host_len, int *port)
{
    const char *colon = strrchr(text, ':');
    if (!colon)
        return false;
    *host = text, *host_len = (size_t)(colon - text);
    bool bracketed = *text == '[' && *host_len >= 2 && colon[-1] == ']';
    if (bracketed)
        ++*host, *host_len -= 2;
    *port = port_of(colon + 1, strlen(colon + 1));
    return *host_len > 0 && *port >= 0 && (bracketed || !memchr(*host, ':', *host_len));
}

static void read_listen(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    const char *text, *host;
    size_t host_len;
    int port;
    (void)key, (void)at;
    if (!rfm__text_of(loader, node, &text))
        return;
    if (!split_listen(text, &host, &host_len, &port)) {
        rfm__report(loader, node, "host:port or [address]:port is needed here, not %s", rfm__show_node(node).text);
        return;
    }
    loader->config->http.host = rfm__keep(loader, host, host_len);
    loader->config->http.port = (uint16_t)port;
}

static void print_listen(rfm_buffer *yaml, const rfm__key *key, const rfm_config *config, const void *at)
{
    char text[300];
    (void)key, (void)at;
    const char *host = config->http.host;
    snprintf(text, sizeof text, strchr(host, ':') ? "[%.255s]:%u" : "%.255s:%u", host, config->http.port);
    rfm__print_text(yaml, text);
}

const rfm__kind rfm__listen = {"address", true, false, read_listen, print_listen};
