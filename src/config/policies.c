/* Kinds of keys that say when and to whom: schedules, experiments, quiet hours, caps, the hold-out. */
#include "keys.h"

#include <rfm/base/nearest.h>
#include <rfm/base/time.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const weekdays[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun", NULL};

static void read_weekdays(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    (void)key;
    if (node->kind != RFM_YAML_LIST || node->count == 0) {
        rfm__report(loader, node, "a list of days is needed here, such as [mon, tue], not %s",
                    rfm__show_node(node).text);
        return;
    }
    for (const rfm_yaml *item = node->first; item; item = item->next) {
        const char *text = item->kind == RFM_YAML_SCALAR ? item->text : "";
        int day = 0;
        while (weekdays[day] && strcmp(weekdays[day], text) != 0)
            day++;
        if (weekdays[day])
            *(uint8_t *)at |= (uint8_t)(1 << day);
        else
            rfm__report(loader, item, "no such day %s; they are mon, tue, wed, thu, fri, sat, sun",
                        rfm__show_node(item).text);
    }
}

static void print_weekdays(rfm_buffer *yaml, const rfm__key *key, const rfm_config *config, const void *at)
{
    const char *separator = "";
    (void)key, (void)config;
    rfm_write_text(yaml, "[");
    for (int day = 0; weekdays[day]; day++) {
        if (*(const uint8_t *)at >> day & 1) {
            rfm_write_format(yaml, "%s%s", separator, weekdays[day]);
            separator = ", ";
        }
    }
    rfm_write_text(yaml, "]");
}

const rfm__kind rfm__weekdays = {"list of days", false, false, read_weekdays, print_weekdays};

static void read_date(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    int32_t day;
    (void)key;
    if (node->kind == RFM_YAML_SCALAR && rfm_date_parse(rfm_text(node->text), &day) == 0 && day > 0)
        *(int32_t *)at = day;
    else
        rfm__report(loader, node, "a date after 1970-01-01 is needed here, such as 2026-12-31, not %s",
                    rfm__show_node(node).text);
}

static void print_date(rfm_buffer *yaml, const rfm__key *key, const rfm_config *config, const void *at)
{
    int year, month, day_of_month;
    (void)key, (void)config;
    rfm_civil_of_day(*(const int32_t *)at, &year, &month, &day_of_month);
    rfm_write_format(yaml, "%04d-%02d-%02d", year, month, day_of_month);
}

const rfm__kind rfm__date = {"date", true, false, read_date, print_date};

static void read_salt(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    const char *text;
    (void)key;
    if (!rfm__text_of(loader, node, &text))
        return;
    size_t len = strlen(text);
    if (len > 0 && len <= RFM_SALT_MAX && strchr(text, 0x1f) == NULL)
        memcpy(at, text, len + 1);
    else
        rfm__report(loader, node, "1 to %d bytes are needed here, not %s", RFM_SALT_MAX, rfm__show_node(node).text);
}

const rfm__kind rfm__salt = {"text", true, false, read_salt, rfm__print_chars_at};

/* A share of clients is a number of buckets of ten thousand. */
static bool buckets_of(rfm__loader *loader, const rfm_yaml *node, uint16_t *buckets)
{
    double share;
    if (!rfm__share_of(loader, node, &share))
        return false;
    double exact = share * RFM_BUCKETS_OF_CLIENTS;
    if (fabs(exact - round(exact)) > 1e-6) {
        rfm__report(loader, node, "a share of clients is a multiple of 0.01%%, unlike %s", rfm__show_node(node).text);
        return false;
    }
    *buckets = (uint16_t)lround(exact);
    return true;
}

static void read_buckets(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    (void)key;
    (void)buckets_of(loader, node, at);
}

static void print_percent_of(rfm_buffer *yaml, uint16_t buckets)
{
    rfm_write_format(yaml, "%g%%", buckets / 100.);
}

static void print_buckets(rfm_buffer *yaml, const rfm__key *key, const rfm_config *config, const void *at)
{
    (void)key, (void)config;
    print_percent_of(yaml, *(const uint16_t *)at);
}

const rfm__kind rfm__buckets = {"share", true, false, read_buckets, print_buckets};

static void read_variant_name(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    const char *text;
    (void)key;
    if (!rfm__text_of(loader, node, &text))
        return;
    if (rfm__is_name(text, RFM_VARIANT_NAME_MAX, "_-"))
        memcpy(at, text, strlen(text) + 1);
    else
        rfm__report(loader, node, "1 to %d letters, digits, '_' and '-' are needed here, not %s", RFM_VARIANT_NAME_MAX,
                    rfm__show_node(node).text);
}

static const rfm__kind variant_name = {"name", true, false, read_variant_name, rfm__print_chars_at};

static const rfm__key variant_keys[] = {
    {"name", &variant_name, offsetof(rfm_variant, name), .flags = RFM__REQUIRED, .text = "The trigger's `variant`"},
    {"share", &rfm__buckets, offsetof(rfm_variant, buckets), .flags = RFM__REQUIRED, .text = "Of the clients"},
};
static const rfm__table variant_table = {variant_keys, sizeof variant_keys / sizeof *variant_keys};

static void read_variant(rfm__loader *loader, const rfm_yaml *node, rfm_experiment *experiment)
{
    rfm_variant *variant = &experiment->variant[experiment->variant_count];
    *variant = (rfm_variant){.buckets = 0};
    rfm__table_read(loader, &variant_table, node, variant);
    if (rfm_yaml_is_null(node))
        rfm__report(loader, node, "a variant is needed here");
    bool taken = *variant->name && strcmp(variant->name, "control") == 0;
    for (size_t i = 0; i < experiment->variant_count && *variant->name; i++)
        taken = taken || strcmp(experiment->variant[i].name, variant->name) == 0;
    if (taken)
        rfm__report(loader, node, "there is an arm %s already", variant->name);
    experiment->variant_count++;
}

static void read_variants(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    rfm_experiment *experiment = (rfm_experiment *)((char *)at - offsetof(rfm_experiment, variant));
    (void)key;
    if (node->kind != RFM_YAML_LIST || node->count == 0 || node->count > RFM_VARIANTS_MAX) {
        rfm__report(loader, node, "a list of 1 to %d variants is needed here, such as [{name: a, share: 90%%}]",
                    RFM_VARIANTS_MAX);
        return;
    }
    for (const rfm_yaml *item = node->first; item; item = item->next)
        read_variant(loader, item, experiment);
}

static void print_variants(rfm_buffer *yaml, const rfm__key *key, const rfm_config *config, const void *at)
{
    const rfm_experiment *experiment = (const rfm_experiment *)((const char *)at - offsetof(rfm_experiment, variant));
    (void)key, (void)config;
    rfm_write_text(yaml, "[");
    for (size_t i = 0; i < experiment->variant_count; i++) {
        rfm_write_format(yaml, "%s{name: ", i ? ", " : "");
        rfm__print_text(yaml, experiment->variant[i].name);
        rfm_write_text(yaml, ", share: ");
        print_percent_of(yaml, experiment->variant[i].buckets);
        rfm_write_text(yaml, "}");
    }
    rfm_write_text(yaml, "]");
}

const rfm__kind rfm__variants = {"list of `{name, share}`", false, false, read_variants, print_variants};

void rfm__experiment_check(rfm__loader *loader, const rfm_yaml *node, bool readable, rfm_rule *rule)
{
    rfm_experiment *experiment = &rule->experiment;
    const rfm_yaml *at = rfm_yaml_find(node, rfm_text("experiment"));
    if (!at || at->kind != RFM_YAML_MAP)
        return;
    experiment->given = true;
    if (rule->class_ != RFM_CLASS_MARKETING)
        rfm__report_key(loader, at, "experiments are for rules of the class marketing");
    uint32_t sum = experiment->control_buckets;
    for (size_t i = 0; i < experiment->variant_count; i++)
        sum += experiment->variant[i].buckets;
    if (readable && sum != RFM_BUCKETS_OF_CLIENTS)
        rfm__report_key(loader, at, "the shares of control and variants are %g%% together, not 100%%", sum / 100.);
}

void rfm__schedule_check(rfm__loader *loader, const rfm_yaml *node, const rfm_schedule *schedule)
{
    const rfm_yaml *at = rfm_yaml_find(node, rfm_text("schedule"));
    if (at && schedule->from_day != 0 && schedule->to_day != 0 && schedule->from_day > schedule->to_day)
        rfm__report_key(loader, at, "it ends before it begins");
}

/* "HH:MM" as ms since midnight. */
static void read_wall_time(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    const char *text = node->kind == RFM_YAML_SCALAR ? node->text : "";
    bool good = strlen(text) == 5 && text[2] == ':' && strspn(text, "0123456789:") == 5 && text[0] != ':' &&
                text[1] != ':' && text[3] != ':' && text[4] != ':';
    int hours = good ? (text[0] - '0') * 10 + text[1] - '0' : 24,
        minutes = good ? (text[3] - '0') * 10 + text[4] - '0' : 0;
    (void)key;
    if (hours < 24 && minutes < 60)
        *(int32_t *)at = (int32_t)(hours * RFM_HOUR_MS + minutes * RFM_MINUTE_MS);
    else
        rfm__report(loader, node, "a time of day is needed here, \"00:00\" to \"23:59\", not %s",
                    rfm__show_node(node).text);
}

static void print_wall_time(rfm_buffer *yaml, const rfm__key *key, const rfm_config *config, const void *at)
{
    int minutes = (int)(*(const int32_t *)at / RFM_MINUTE_MS);
    (void)key, (void)config;
    rfm_write_format(yaml, "\"%02d:%02d\"", minutes / 60, minutes % 60);
}

const rfm__kind rfm__wall_time = {"time of day", true, false, read_wall_time, print_wall_time};

static void read_default_zone(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    rfm_config *config = loader->config;
    const char *text;
    rfm_error error;
    (void)key;
    if (!rfm__text_of(loader, node, &text))
        return;
    rfm_zone_free(config->default_zone);
    config->default_zone = NULL;
    if (strcmp(text, "UTC") != 0 && rfm_zone_load(text, &config->default_zone, &error)) {
        rfm__report(loader, node, "%s", error.message);
        return;
    }
    config->rules.default_zone = config->default_zone;
    *(const char **)at = strcmp(text, "UTC") == 0 ? NULL : rfm__keep(loader, text, strlen(text));
}

static void print_default_zone(rfm_buffer *yaml, const rfm__key *key, const rfm_config *config, const void *at)
{
    const char *name = *(const char *const *)at;
    (void)key, (void)config;
    rfm__print_text(yaml, name ? name : "UTC");
}

const rfm__kind rfm__default_zone = {"time zone", true, false, read_default_zone, print_default_zone};

static void read_cap_rule(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    const char *text;
    (void)key;
    if (!rfm__text_of(loader, node, &text))
        return;
    if (*text && strlen(text) < RFM_RULE_NAME_MAX)
        memcpy(at, text, strlen(text) + 1);
    else
        rfm__report(loader, node, "the name of a rule is needed here, not %s", rfm__show_node(node).text);
}

static void read_cap_channel(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    const char *text;
    (void)key;
    if (!rfm__text_of(loader, node, &text))
        return;
    if (*text && strlen(text) <= RFM_NAME_BYTES_MAX)
        memcpy(at, text, strlen(text) + 1);
    else
        rfm__report(loader, node, "the name of a channel is needed here, not %s", rfm__show_node(node).text);
}

static const rfm__kind cap_rule = {"name of a rule", true, false, read_cap_rule, rfm__print_chars_at};
static const rfm__kind cap_channel = {"text", true, false, read_cap_channel, rfm__print_chars_at};

#define CAP_AT(member) offsetof(rfm_cap, member)
static const rfm__key cap_keys[] = {
    {"class", &rfm__choice, CAP_AT(class_), .choices = rfm__class_names, .text = "Counts those of this class"},
    {"channel", &cap_channel, CAP_AT(channel), .text = "Counts those over this channel"},
    {"rule", &cap_rule, CAP_AT(rule), .text = "Counts those of this rule"},
    {"max", &rfm__integer, CAP_AT(max), .flags = RFM__REQUIRED, .low = 0, .high = RFM_CAP_SENDS_MAX,
     .text = "So many are sent"},
    {"per", &rfm__duration, CAP_AT(per_ms), .flags = RFM__REQUIRED, .low = 1, .high = RFM__TEN_YEARS_S,
     .text = "Within so long, at any moment"},
};
static const rfm__table cap_table = {cap_keys, sizeof cap_keys / sizeof *cap_keys};

static void read_caps(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    rfm_rules *rules = &loader->config->rules;
    (void)key, (void)at;
    if (node->kind != RFM_YAML_LIST || node->count > RFM_CAPS_MAX) {
        rfm__report(loader, node, "a list of %d caps at most is needed here, such as [{max: 2, per: 7d}], not %s",
                    RFM_CAPS_MAX, rfm__show_node(node).text);
        return;
    }
    if (!rfm__policy_taken(loader, node, &loader->frequency_caps))
        return;
    for (const rfm_yaml *item = node->first; item; item = item->next) {
        rfm_cap *cap = &rules->cap[rules->cap_count];
        *cap = (rfm_cap){.max = 0};
        if (rfm_yaml_is_null(item))
            rfm__report(loader, item, "a cap is needed here");
        rfm__table_read(loader, &cap_table, item, cap);
        const rfm_yaml *class_ = rfm_yaml_find(item, rfm_text("class"));
        cap->has_class = class_ && !rfm_yaml_is_null(class_);
        loader->cap_node[rules->cap_count++] = item;
    }
}

static void print_cap(rfm_buffer *yaml, const rfm_cap *cap)
{
    rfm_write_text(yaml, "{");
    if (cap->has_class)
        rfm_write_format(yaml, "class: %s, ", rfm__class_names[cap->class_]);
    if (*cap->channel) {
        rfm_write_text(yaml, "channel: ");
        rfm__print_text(yaml, cap->channel);
        rfm_write_text(yaml, ", ");
    }
    if (*cap->rule)
        rfm_write_format(yaml, "rule: %s, ", cap->rule);
    rfm_write_format(yaml, "max: %u, per: ", cap->max);
    rfm__print_duration(yaml, cap->per_ms);
    rfm_write_text(yaml, "}");
}

static void print_caps(rfm_buffer *yaml, const rfm__key *key, const rfm_config *config, const void *at)
{
    const rfm_cap *cap = at;
    (void)key, (void)config;
    rfm_write_text(yaml, "[");
    for (size_t i = 0; i < RFM_CAPS_MAX && cap[i].per_ms > 0; i++) {
        rfm_write_text(yaml, i ? ", " : "");
        print_cap(yaml, &cap[i]);
    }
    rfm_write_text(yaml, "]");
}

const rfm__kind rfm__caps = {"list of `{class, channel, rule, max, per}`", false, false, read_caps, print_caps};

void rfm__caps_check(rfm__loader *loader)
{
    const rfm_rules *rules = &loader->config->rules;
    const char *names[RFM_RULES_MAX + 1];
    for (size_t i = 0; i < rules->count; i++)
        names[i] = rules->rule[i].name;
    names[rules->count] = NULL;
    for (size_t i = 0; i < rules->cap_count; i++) {
        const char *rule = rules->cap[i].rule, *nearest = rfm_nearest(names, rule);
        if (*rule && (!nearest || strcmp(nearest, rule) != 0))
            rfm__report(loader, rfm_yaml_find(loader->cap_node[i], rfm_text("rule")),
                        "no such rule %s; the nearest is %s", rfm__show(rule).text, nearest ? nearest : "none");
    }
}

/* A policy of several keys stands in one file, whole. */
static void take_section(rfm__loader *loader, const rfm_yaml *map, const char *name, const rfm_yaml **taken)
{
    const rfm_yaml *node = rfm__find_path(map, name);
    if (!node || node->kind != RFM_YAML_MAP)
        return;
    loader->key = name;
    (void)rfm__policy_taken(loader, node, taken);
    loader->key = NULL;
}

void rfm__policies_check(rfm__loader *loader, const rfm_yaml *map)
{
    const rfm_yaml *quiet = rfm__find_path(map, "policies.quiet_hours");
    take_section(loader, map, "policies.quiet_hours", &loader->quiet_hours);
    take_section(loader, map, "policies.holdout", &loader->holdout);
    if (!quiet || quiet->kind != RFM_YAML_MAP)
        return;
    loader->config->rules.quiet_hours.given = true;
    const rfm_yaml *from = rfm_yaml_find(quiet, rfm_text("from")), *to = rfm_yaml_find(quiet, rfm_text("to"));
    bool both = from && to && from->kind == RFM_YAML_SCALAR && to->kind == RFM_YAML_SCALAR;
    if (both && strcmp(from->text, to->text) == 0)
        rfm__report_key(loader, quiet, "policies.quiet_hours: from and to are the same");
}
