#include "keys.h"

#include <rfm/base/time.h>
#include <rfm/base/utf8.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { TOPIC_BYTES_MAX = 249 };

const char *const rfm__class_names[] = {"marketing", "transactional", NULL};

bool rfm__text_of(rfm__loader *loader, const rfm_yaml *node, const char **text)
{
    if (node->kind != RFM_YAML_SCALAR) {
        rfm__report(loader, node, "a text is needed here, not %s", rfm__show_node(node).text);
        return false;
    }
    *text = node->text;
    return true;
}

static bool number_of_text(const char *text, size_t len, double *number)
{
    char digits[64], *end;
    if (len == 0 || len >= sizeof digits || !strchr("+-.0123456789", *text))
        return false;
    memcpy(digits, text, len);
    digits[len] = 0;
    if (strspn(digits, "+-.0123456789eE") != len)
        return false;
    *number = strtod(digits, &end);
    return *end == 0 && isfinite(*number);
}

bool rfm__number_of(rfm__loader *loader, const rfm_yaml *node, double *number)
{
    if (node->kind == RFM_YAML_SCALAR && number_of_text(node->text, strlen(node->text), number))
        return true;
    rfm__report(loader, node, "a number is needed here, not %s", rfm__show_node(node).text);
    return false;
}

bool rfm__share_of(rfm__loader *loader, const rfm_yaml *node, double *share)
{
    double number = 0;
    size_t len = strlen(node->text);
    bool percent = len && node->text[len - 1] == '%';
    bool good = node->kind == RFM_YAML_SCALAR && number_of_text(node->text, len - percent, &number);
    if (percent)
        number /= 100;
    if (good && number >= 0 && number <= 1) {
        *share = number;
        return true;
    }
    rfm__report(loader, node, "a share is needed here, such as 5%% or 0.05, from 0 to 1, not %s",
                rfm__show_node(node).text);
    return false;
}

bool rfm__integer_of(rfm__loader *loader, const rfm_yaml *node, int64_t low, int64_t high, int64_t *integer)
{
    int64_t value;
    if (node->kind != RFM_YAML_SCALAR || rfm_integer_parse(rfm_text(node->text), &value) != RFM_OK || value < low ||
        value > high) {
        rfm__report(loader, node, "a whole number from %lld to %lld is needed here, not %s", (long long)low,
                    (long long)high, rfm__show_node(node).text);
        return false;
    }
    *integer = value;
    return true;
}

bool rfm__duration_of(rfm__loader *loader, const rfm_yaml *node, int64_t *duration_ms)
{
    if (node->kind == RFM_YAML_SCALAR && rfm_duration_parse(rfm_text(node->text), duration_ms) == 0)
        return true;
    rfm__report(loader, node, "a duration is needed here, such as 90d, 12h, 15m or 30s, not %s",
                rfm__show_node(node).text);
    return false;
}

bool rfm__is_name(const char *text, size_t len_max, const char *more)
{
    size_t len = strlen(text);
    if (len == 0 || len > len_max)
        return false;
    for (; *text; text++) {
        bool letter = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z');
        if (!letter && !(*text >= '0' && *text <= '9') && !strchr(more, *text))
            return false;
    }
    return true;
}

void rfm__print_text(rfm_buffer *yaml, const char *text)
{
    if (*text)
        rfm_write_json_string(yaml, rfm_text(text));
    else
        rfm_write_text(yaml, "null");
}

void rfm__print_number(rfm_buffer *yaml, double number)
{
    char text[40];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, number);
        if (strtod(text, NULL) == number)
            break;
    }
    rfm_write_text(yaml, text);
}

void rfm__print_duration(rfm_buffer *yaml, int64_t duration_ms)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"d", RFM_DAY_MS}, {"h", RFM_HOUR_MS}, {"m", RFM_MINUTE_MS}, {"s", RFM_SECOND_MS}, {"ms", 1}};
    size_t i = 0;
    while (duration_ms % units[i].ms != 0)
        i++;
    if (duration_ms == 0)
        i = 3;
    rfm_write_format(yaml, "%lld%s", (long long)(duration_ms / units[i].ms), units[i].unit);
}

static void read_text(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    const char *text;
    if (!rfm__text_of(loader, node, &text))
        return;
    if (key->high > key->low && strlen(text) > key->high)
        rfm__report(loader, node, "longer than %.0f bytes", key->high);
    else
        *(const char **)at = rfm__keep(loader, text, strlen(text));
}

void rfm__print_text_at(rfm_buffer *yaml, const rfm__key *key, const rfm_config *config, const void *at)
{
    (void)key, (void)config;
    rfm__print_text(yaml, *(const char *const *)at);
}

const rfm__kind rfm__text = {"text", true, true, read_text, rfm__print_text_at};

static void read_name(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    const char *text;
    size_t len_max = key->high > key->low ? (size_t)key->high : TOPIC_BYTES_MAX;
    if (!rfm__text_of(loader, node, &text))
        return;
    if (rfm__is_name(text, len_max, "._-") && strcmp(text, ".") != 0 && strcmp(text, "..") != 0)
        *(const char **)at = rfm__keep(loader, text, strlen(text));
    else
        rfm__report(loader, node, "a name of letters, digits, '.', '_' and '-' is needed here (%zu at most), not %s",
                    len_max, rfm__show_node(node).text);
}

const rfm__kind rfm__name = {"name", true, true, read_name, rfm__print_text_at};

static void read_file(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    const char *text;
    (void)key;
    if (rfm__text_of(loader, node, &text))
        *(const char **)at = rfm__path_of(loader, node);
}

const rfm__kind rfm__file = {"file", true, true, read_file, rfm__print_text_at};

static void read_boolean(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    (void)key;
    bool yes = node->kind == RFM_YAML_SCALAR && strcmp(node->text, "true") == 0;
    if (yes || (node->kind == RFM_YAML_SCALAR && strcmp(node->text, "false") == 0))
        *(bool *)at = yes;
    else
        rfm__report(loader, node, "true or false is needed here, not %s", rfm__show_node(node).text);
}

static void print_boolean(rfm_buffer *yaml, const rfm__key *key, const rfm_config *config, const void *at)
{
    (void)key, (void)config;
    rfm_write_text(yaml, *(const bool *)at ? "true" : "false");
}

const rfm__kind rfm__boolean = {"true or false", true, false, read_boolean, print_boolean};

static void read_integer(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    int64_t value;
    RFM_ASSERT(key->low >= 0 && key->high <= UINT32_MAX);
    if (rfm__integer_of(loader, node, (int64_t)key->low, (int64_t)key->high, &value))
        *(uint32_t *)at = (uint32_t)value;
}

static void print_integer(rfm_buffer *yaml, const rfm__key *key, const rfm_config *config, const void *at)
{
    (void)key, (void)config;
    rfm_write_format(yaml, "%u", *(const uint32_t *)at);
}

const rfm__kind rfm__integer = {"integer", true, false, read_integer, print_integer};

static void read_signed(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    int64_t value;
    if (rfm__integer_of(loader, node, (int64_t)key->low, (int64_t)key->high, &value))
        *(int32_t *)at = (int32_t)value;
}

static void print_signed(rfm_buffer *yaml, const rfm__key *key, const rfm_config *config, const void *at)
{
    (void)key, (void)config;
    rfm_write_format(yaml, "%d", *(const int32_t *)at);
}

const rfm__kind rfm__signed = {"integer", true, false, read_signed, print_signed};

static bool size_of_text(const char *text, uint64_t *bytes)
{
    static const struct {
        const char *unit;
        uint64_t bytes;
    } units[] = {
        {"", 1},      {"B", 1},        {"KiB", 1 << 10},   {"MiB", 1 << 20},     {"GiB", 1 << 30}, {"TiB", 1ull << 40},
        {"kB", 1000}, {"MB", 1000000}, {"GB", 1000000000}, {"TB", 1000000000000}};
    size_t digits = strspn(text, "0123456789");
    const char *unit = text + digits + strspn(text + digits, " ");
    int64_t number;
    if (rfm_integer_parse(rfm_bytes_of(text, digits), &number) != RFM_OK)
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(unit, units[i].unit) == 0)
            return !__builtin_mul_overflow(number, units[i].bytes, bytes);
    }
    return false;
}

void rfm__print_size(rfm_buffer *yaml, uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t i = 0;
    while (i < 4 && bytes && bytes % 1024 == 0)
        bytes /= 1024, i++;
    rfm_write_format(yaml, "%llu%s", (unsigned long long)bytes, units[i]);
}

static void read_size(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    uint64_t bytes;
    if (node->kind != RFM_YAML_SCALAR || !size_of_text(node->text, &bytes)) {
        rfm__report(loader, node, "a size is needed here, such as 256MiB, not %s", rfm__show_node(node).text);
        return;
    }
    if (bytes >= key->low && bytes <= key->high) {
        *(size_t *)at = (size_t)bytes;
        return;
    }
    char range[64];
    rfm_buffer text = rfm_buffer_over(range, sizeof range - 1);
    rfm__print_size(&text, (uint64_t)key->low);
    rfm_write_text(&text, " to ");
    rfm__print_size(&text, (uint64_t)key->high);
    rfm__report(loader, node, "must be from %.*s", (int)text.len, range);
}

static void print_size(rfm_buffer *yaml, const rfm__key *key, const rfm_config *config, const void *at)
{
    (void)key, (void)config;
    rfm__print_size(yaml, *(const size_t *)at);
}

const rfm__kind rfm__size = {"size", true, false, read_size, print_size};

/* The range of a duration is in seconds. */
static bool duration_within(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, int64_t *duration_ms)
{
    if (!rfm__duration_of(loader, node, duration_ms))
        return false;
    if (key->high > key->low && (*duration_ms < key->low * 1000 || *duration_ms > key->high * 1000)) {
        char range[64];
        rfm_buffer text = rfm_buffer_over(range, sizeof range - 1);
        rfm__print_duration(&text, (int64_t)(key->low * 1000));
        rfm_write_text(&text, " to ");
        rfm__print_duration(&text, (int64_t)(key->high * 1000));
        rfm__report(loader, node, "must be from %.*s", (int)text.len, range);
        return false;
    }
    return true;
}

static void read_duration(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    int64_t duration_ms;
    if (duration_within(loader, key, node, &duration_ms))
        *(int64_t *)at = duration_ms;
}

static void print_duration(rfm_buffer *yaml, const rfm__key *key, const rfm_config *config, const void *at)
{
    (void)key, (void)config;
    rfm__print_duration(yaml, *(const int64_t *)at);
}

const rfm__kind rfm__duration = {"duration", true, false, read_duration, print_duration};

static void read_days(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    int64_t duration_ms;
    if (duration_within(loader, key, node, &duration_ms))
        *(double *)at = (double)duration_ms / (double)RFM_DAY_MS;
}

static void print_days(rfm_buffer *yaml, const rfm__key *key, const rfm_config *config, const void *at)
{
    (void)key, (void)config;
    rfm__print_duration(yaml, llround(*(const double *)at * (double)RFM_DAY_MS));
}

const rfm__kind rfm__days = {"duration", true, false, read_days, print_days};

static void read_number(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    double number;
    if (!rfm__number_of(loader, node, &number))
        return;
    if (key->high > key->low && !(number >= key->low && number <= key->high))
        rfm__report(loader, node, "must be from %.15g to %.15g", key->low, key->high);
    else
        *(double *)at = number;
}

void rfm__print_number_at(rfm_buffer *yaml, const rfm__key *key, const rfm_config *config, const void *at)
{
    (void)key, (void)config;
    rfm__print_number(yaml, *(const double *)at);
}

void rfm__print_chars_at(rfm_buffer *yaml, const rfm__key *key, const rfm_config *config, const void *at)
{
    (void)key, (void)config;
    rfm__print_text(yaml, at);
}

const rfm__kind rfm__number = {"number", true, false, read_number, rfm__print_number_at};

static void read_share(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    (void)key;
    (void)rfm__share_of(loader, node, at);
}

const rfm__kind rfm__share = {"share", true, false, read_share, rfm__print_number_at};

static void report_choice(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node)
{
    char list[256];
    rfm_buffer text = rfm_buffer_over(list, sizeof list - 1);
    for (const char *const *choice = key->choices; *choice; choice++) {
        if (**choice != '!')
            rfm_write_format(&text, "%s%s", text.len ? ", " : "", *choice);
    }
    rfm__report(loader, node, "may be %.*s; not %s", (int)text.len, list, rfm__show_node(node).text);
}

static void read_choice(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    const char *text = node->kind == RFM_YAML_SCALAR ? node->text : "";
    for (int i = 0; key->choices[i]; i++) {
        const char *choice = key->choices[i];
        if (strcmp(choice, text) == 0) {
            *(int *)at = i;
            return;
        }
        if (*choice == '!' && strcmp(choice + 1, text) == 0) {
            rfm__report(loader, node, "%s is not supported in this version", text);
            return;
        }
    }
    report_choice(loader, key, node);
}

static void print_choice(rfm_buffer *yaml, const rfm__key *key, const rfm_config *config, const void *at)
{
    (void)config;
    rfm_write_text(yaml, key->choices[*(const int *)at]);
}

const rfm__kind rfm__choice = {"one of", true, false, read_choice, print_choice};

static void read_unsupported(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    (void)key, (void)at;
    rfm__report_key(loader, node, "not supported in this version");
}

const rfm__kind rfm__unsupported = {"not supported in this version", false, false, read_unsupported, NULL};
