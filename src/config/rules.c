#include "cause.h"
#include "keys.h"

#include <rfm/base/hash.h>
#include <rfm/base/time.h>
#include <rfm/base/utf8.h>

#include <stdio.h>
#include <stdlib.h>

#define AT(member) offsetof(rfm_rule, member)

/* Texts that a rule holds in itself: at most `size` - 1 bytes. */
static bool copy_text(rfm__loader *loader, const rfm_yaml *node, char *at, size_t size)
{
    const char *text;
    if (!rfm__text_of(loader, node, &text))
        return false;
    size_t len = strlen(text);
    bool good = len > 0 && len < size;
    for (size_t i = 0; i < len; i++)
        good = good && (unsigned char)text[i] >= 0x20 && text[i] != 0x7f;
    if (good)
        memcpy(at, text, len + 1);
    else
        rfm__report(loader, node, "1 to %zu bytes without control characters are needed here, not %s", size - 1,
                    rfm__show_node(node).text);
    return good;
}

static void read_name(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    const char *text;
    (void)key;
    if (!rfm__text_of(loader, node, &text))
        return;
    size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_");
    if (text[0] >= 'a' && text[0] <= 'z' && !text[len] && len < RFM_RULE_NAME_MAX)
        memcpy(at, text, len + 1);
    else
        rfm__report(loader, node, "a name has a-z, 0-9 and _ (%d at most) and starts with a letter, unlike %s",
                    RFM_RULE_NAME_MAX - 1, rfm__show_node(node).text);
}

static const rfm__kind rule_name = {"name: `[a-z][a-z0-9_]*`", true, false, read_name, rfm__print_chars_at};

static void read_template(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    (void)key;
    (void)copy_text(loader, node, at, RFM_RULE_TEXT_MAX);
}

static const rfm__kind template_text = {"text", true, false, read_template, rfm__print_chars_at};

static void read_channels(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    rfm_rule *rule = (rfm_rule *)((char *)at - AT(channel));
    (void)key;
    rule->best = node->kind == RFM_YAML_SCALAR && strcmp(node->text, "best") == 0;
    if (rule->best)
        return;
    if (node->kind != RFM_YAML_LIST) {
        rfm__report(loader, node, "a list of channels is needed here, such as [email, sms], or best, not %s",
                    rfm__show_node(node).text);
        return;
    }
    for (const rfm_yaml *item = node->first; item; item = item->next) {
        if (rule->channel_count == RFM_RULE_CHANNELS_MAX) {
            rfm__report(loader, item, "more than %d channels", RFM_RULE_CHANNELS_MAX);
            return;
        }
        char *channel = rule->channel[rule->channel_count];
        if (!copy_text(loader, item, channel, sizeof rule->channel[0]))
            continue;
        for (size_t i = 0; i < rule->channel_count; i++) {
            if (strcmp(rule->channel[i], channel) == 0)
                rfm__report(loader, item, "channel %s is given twice", rfm__show_node(item).text);
        }
        rule->channel_count++;
    }
}

static void print_channels(rfm_buffer *yaml, const rfm__key *key, const rfm_config *config, const void *at)
{
    const rfm_rule *rule = (const rfm_rule *)((const char *)at - AT(channel));
    (void)key, (void)config;
    if (rule->best) {
        rfm_write_text(yaml, "best");
        return;
    }
    rfm_write_text(yaml, "[");
    for (size_t i = 0; i < rule->channel_count; i++) {
        rfm_write_text(yaml, i ? ", " : "");
        rfm__print_text(yaml, rule->channel[i]);
    }
    rfm_write_text(yaml, "]");
}

static const rfm__kind channels = {"list of texts, or `best`", false, false, read_channels, print_channels};

static void read_prefix(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    const char *text;
    (void)key;
    if (!rfm__text_of(loader, node, &text))
        return;
    if (rfm__is_name(text, 31, "_-"))
        memcpy(at, text, strlen(text) + 1);
    else
        rfm__report(loader, node, "1 to 31 letters, digits, '_' and '-' are needed here, not %s",
                    rfm__show_node(node).text);
}

static const rfm__kind promo_prefix = {"text", true, false, read_prefix, rfm__print_chars_at};

static void read_percent(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    double percent;
    (void)key;
    if (!rfm__number_of(loader, node, &percent))
        return;
    if (percent > 0 && percent <= 100)
        *(double *)at = percent;
    else
        rfm__report(loader, node, "a number above 0 and up to 100 is needed here, not %s", rfm__show_node(node).text);
}

static const rfm__kind promo_percent = {"number above 0, up to 100", true, false, read_percent, rfm__print_number_at};

static void read_topic(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    rfm_rules *rules = &loader->config->rules;
    const char *text = NULL;
    size_t topic = 0;
    rfm__name.read(loader, key, node, &text);
    if (!text)
        return;
    while (topic < rules->topic_count && strcmp(rules->topic[topic], text) != 0)
        topic++;
    if (topic == RFM_TOPICS_MAX) {
        rfm__report(loader, node, "more than %d topics", RFM_TOPICS_MAX);
        return;
    }
    if (topic == rules->topic_count) {
        memcpy(rules->topic[topic], text, strlen(text) + 1);
        rules->topic_count++;
    }
    *(uint8_t *)at = (uint8_t)topic;
}

static void print_topic(rfm_buffer *yaml, const rfm__key *key, const rfm_config *config, const void *at)
{
    (void)key;
    rfm__print_text(yaml, config->rules.topic[*(const uint8_t *)at]);
}

static const rfm__kind topic_name = {"name", true, false, read_topic, print_topic};

#define YEAR_S (365. * 86400)

static const rfm__key rule_keys[] = {
    {"name", &rule_name, AT(name), .flags = RFM__REQUIRED, .text = "Unique. Part of triggers' ids"},
    {"on", &rfm__cause, AT(on), .flags = RFM__REQUIRED,
     .text = "The cause, one of: `{event: TYPE}`; `{enter: {segment: NAME}}`, `{enter: {lifecycle: "
             "NAME}}`, `leave` alike; `{rise: {churn_risk: 0.7}}`, `{fall: {activity_ratio: 0.3}}`; "
             "`{idle: {since: TYPE, for: 60d}}`; `{late: 0.9}`; `{anniversary: "
             "TRAIT, at: \"09:00\"}`"},
    {"when", &rfm__condition, AT(when),
     .text = "Condition, over `client`, `event` (on an event) and `now`; see [expressions.md](expressions.md)"},
    {"delay", &rfm__duration, AT(delay_ms), "0s", .low = 0, .high = RFM__TEN_YEARS_S,
     .text = "From the cause to the decision"},
    {"restart", &rfm__boolean, AT(restart), "false",
     .text = "A further cause while one is pending: `false` keeps the first, `true` the last"},
    {"cancel_on", &rfm__events, AT(cancel_on), .text = "Events that cancel what is pending"},
    {"class", &rfm__choice, AT(class_), "marketing", .choices = rfm__class_names,
     .text = "What consent is asked about"},
    {"channels", &channels, AT(channel),
     .text = "The first that consent allows and that does not bounce is taken; `best`: of those the one on which the "
             "client answers most; none: the trigger's channel is null"},
    {"once", &rfm__boolean, AT(once), "false", .text = "Once for each client, for ever"},
    {"cooldown", &rfm__duration, AT(cooldown_ms), "0s", .low = 0, .high = RFM__TEN_YEARS_S,
     .text = "Least time between two for one client"},
    {"priority", &rfm__signed, AT(priority), "0", .low = -1000000, .high = 1000000,
     .text = "Of the causes of one instant the higher is decided first"},
    {"expires", &rfm__duration, AT(expires_ms), .low = 1, .high = RFM__TEN_YEARS_S,
     .text = "What quiet hours have put off for longer is dropped"},
    {"schedule.days", &rfm__weekdays, AT(schedule.days),
     .text = "In force on these days only, by the client's calendar: `[mon, tue, wed, thu, fri, sat, sun]`"},
    {"schedule.from", &rfm__date, AT(schedule.from_day), .text = "In force from this day on"},
    {"schedule.to", &rfm__date, AT(schedule.to_day), .text = "In force up to and with this day"},
    {"promo.prefix", &promo_prefix, AT(promo.prefix), .flags = RFM__REQUIRED_WITHIN,
     .text = "The code is this, `-` and ten characters that nobody can guess"},
    {"promo.percent", &promo_percent, AT(promo.percent), .flags = RFM__REQUIRED_WITHIN,
     .text = "Discount, for the receiver of the trigger"},
    {"promo.valid", &rfm__duration, AT(promo.valid_ms), .flags = RFM__REQUIRED_WITHIN, .low = 1,
     .high = RFM__TEN_YEARS_S, .text = "From the trigger's time to `valid_until`"},
    {"experiment.salt", &rfm__salt, AT(experiment.salt), .flags = RFM__REQUIRED_WITHIN,
     .text = "Places the clients: the same salt, the same arms; another, others"},
    {"experiment.control", &rfm__buckets, AT(experiment.control_buckets),
     .text = "Share of the clients who get nothing; none if not given"},
    {"experiment.variants", &rfm__variants, AT(experiment.variant), .flags = RFM__REQUIRED_WITHIN,
     .text = "`[{name: a, share: 45%}, {name: b, share: 45%}]`; with `control` 100% together"},
    {"attribution", &rfm__duration, AT(attribution_ms), .low = 1, .high = YEAR_S,
     .text =
         "A purchase so long after a send, or after what control did not get, counts for it; `14d` for an experiment "
         "that does not say"},
    {"topic", &topic_name, AT(topic), "triggers", .text = "Kafka topic of the trigger"},
    {"template", &template_text, AT(template_), .text = "For the receiver: which message this is; null if not given"},
    {"data", &rfm__data, AT(data), .text = "The trigger's `data`: names and expressions, 32 at most"},
};
const rfm__table rfm__rule_table = {rule_keys, sizeof rule_keys / sizeof *rule_keys};

static const rfm_yaml *find_rule(const rfm__loader *loader, const char *name)
{
    const rfm_rules *rules = &loader->config->rules;
    for (size_t i = 0; i < rules->count; i++) {
        if (strcmp(rules->rule[i].name, name) == 0)
            return loader->rule_node[i];
    }
    return NULL;
}

static void check_promo(rfm__loader *loader, const rfm_yaml *node, rfm_rule *rule)
{
    const rfm_config *config = loader->config;
    const rfm_yaml *promo = rfm_yaml_find(node, rfm_text("promo"));
    if (!promo || promo->kind != RFM_YAML_MAP)
        return;
    rule->promo.given = true;
    if (config->rules.secret_len == 0 && !*config->promo_secret_file)
        rfm__report_key(loader, promo, "a promo code needs promo.secret_file in the main configuration");
}

static void read_rule(rfm__loader *loader, const rfm_yaml *node)
{
    rfm_rules *rules = &loader->config->rules;
    rfm_rule rule = {0};
    if (rules->count == RFM_RULES_MAX) {
        rfm__report(loader, node, "more than %d rules", RFM_RULES_MAX);
        return;
    }
    size_t errors = loader->errors->count;
    rfm__table_read(loader, &rfm__rule_table, node, &rule);
    bool readable = loader->errors->count == errors;
    if (rfm_yaml_is_null(node))
        rfm__report(loader, node, "a rule is needed here");
    check_promo(loader, node, &rule);
    rfm__experiment_check(loader, node, readable, &rule);
    rfm__schedule_check(loader, node, &rule.schedule);
    const rfm_yaml *before = *rule.name ? find_rule(loader, rule.name) : NULL;
    if (before)
        rfm__report(loader, node, "there is a rule %s already, at %.200s:%u:%u", rule.name, before->source->name,
                    before->line, before->column);
    loader->rule_node[rules->count] = node;
    rules->rule[rules->count++] = rule;
}

static void read_rules(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    (void)key, (void)at;
    if (node->kind != RFM_YAML_LIST) {
        rfm__report(loader, node, "a list of rules is needed here, not %s", rfm__show_node(node).text);
        return;
    }
    loader->key = NULL;
    for (const rfm_yaml *rule = node->first; rule; rule = rule->next)
        read_rule(loader, rule);
}

static const rfm__kind rule_list = {"list of rules", false, false, read_rules, NULL};

bool rfm__policy_taken(rfm__loader *loader, const rfm_yaml *node, const rfm_yaml **taken)
{
    if (*taken) {
        rfm__report_key(loader, node, "given already at %.200s:%u:%u", (*taken)->source->name, (*taken)->key_line,
                        (*taken)->key_column);
        return false;
    }
    *taken = node;
    return true;
}

static void read_age(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    bool off = node->kind == RFM_YAML_SCALAR && strcmp(node->text, "off") == 0;
    if (!rfm__policy_taken(loader, node, &loader->max_trigger_age))
        return;
    if (off)
        *(int64_t *)at = INT64_MAX;
    else
        rfm__duration.read(loader, key, node, at);
}

static const rfm__kind trigger_age = {"duration or `off`", true, false, read_age, NULL};

static void read_time(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    (void)key;
    if (!rfm__policy_taken(loader, node, &loader->silent_until))
        return;
    if (node->kind != RFM_YAML_SCALAR || rfm_time_parse(rfm_text(node->text), at))
        rfm__report(loader, node, "a time is needed here, such as 2026-01-01T00:00:00Z, not %s",
                    rfm__show_node(node).text);
}

static const rfm__kind timestamp = {"time", true, false, read_time, NULL};

static void read_consent(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    ptrdiff_t class_ = (rfm_consent_policy *)at - loader->config->rules.consent;
    int choice = -1;
    if (rfm__policy_taken(loader, node, &loader->consent[class_]))
        rfm__choice.read(loader, key, node, &choice);
    if (choice >= 0)
        *(rfm_consent_policy *)at = choice == 0 ? RFM_OPT_IN : RFM_OPT_OUT;
}

static const rfm__kind consent_policy = {"one of", true, false, read_consent, NULL};
static const char *const consent_policies[] = {"opt_in", "opt_out", NULL};

#define CONFIG_AT(member) offsetof(rfm_config, member)

static const rfm__key file_keys[] = {
    {"rules", &rule_list, .text = "See below"},
    {"segments", &rfm__named, CONFIG_AT(rules.named),
     .text =
         "Segments by condition, 64 at most: `{vip_at_risk: \"client.revenue > 1000 && client.churn_risk > 0.5\"}`"},
    {"policies.max_trigger_age", &trigger_age, CONFIG_AT(rules.max_trigger_age_ms),
     .text = "An event older than this when it is read causes nothing; its state counts"},
    {"policies.silent_until", &timestamp, CONFIG_AT(rules.silent_until_ms),
     .text = "Before, states are built and nothing is caused"},
    {"policies.consent.marketing", &consent_policy, CONFIG_AT(rules.consent[RFM_CLASS_MARKETING]),
     .choices = consent_policies,
     .text = "Without a consent event: `opt_in` (if not given): no marketing; `opt_out`: allowed"},
    {"policies.consent.transactional", &consent_policy, CONFIG_AT(rules.consent[RFM_CLASS_TRANSACTIONAL]),
     .choices = consent_policies, .text = "The same for transactional rules; `opt_out` if not given"},
    {"policies.frequency_caps", &rfm__caps, CONFIG_AT(rules.cap),
     .text =
         "At most `max` (up to 64) sends within `per`, of those that match `class`, `channel` and `rule` as far as they are "
         "given; what would be more is held back, if it is marketing"},
    {"policies.quiet_hours.from", &rfm__wall_time, CONFIG_AT(rules.quiet_hours.from_ms), .flags = RFM__REQUIRED_WITHIN,
     .text = "Marketing waits from this time of the client's day"},
    {"policies.quiet_hours.to", &rfm__wall_time, CONFIG_AT(rules.quiet_hours.to_ms), .flags = RFM__REQUIRED_WITHIN,
     .text = "... until this one; over midnight if it is the earlier"},
    {"policies.quiet_hours.default_timezone", &rfm__default_zone, CONFIG_AT(default_timezone),
     .text = "The zone of clients whose own is not known; UTC if not given"},
    {"policies.quiet_hours.jitter", &rfm__duration, CONFIG_AT(rules.quiet_hours.jitter_ms), .low = 0, .high = 86400,
     .text = "What has waited is spread over so long after the end"},
    {"policies.holdout.salt", &rfm__salt, CONFIG_AT(rules.holdout.salt), .flags = RFM__REQUIRED_WITHIN,
     .text = "Places the clients"},
    {"policies.holdout.share", &rfm__buckets, CONFIG_AT(rules.holdout.buckets), .flags = RFM__REQUIRED_WITHIN,
     .text = "Share of the clients who get no marketing at all"},
};
const rfm__table rfm__rules_file_table = {file_keys, sizeof file_keys / sizeof *file_keys};

struct rule_file {
    const char *path;
    const rfm_yaml *map;
};

/* Loads a file and its segments by condition, which rules of every file may name. */
static struct rule_file load_rule_file(rfm__loader *loader, const rfm_yaml *node)
{
    const char *text;
    struct rule_file file = {0};
    if (!rfm__text_of(loader, node, &text))
        return file;
    file.path = rfm__path_of(loader, node);
    file.map = rfm__load_named(loader, node, file.path);
    if (file.map)
        rfm__named_read(loader, file.map);
    return file;
}

static void read_rule_files(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    (void)key;
    const rfm_yaml *item = node->kind == RFM_YAML_LIST ? node->first : node;
    if (node->kind == RFM_YAML_MAP || node->count > RFM_RULE_FILES_MAX) {
        rfm__report(loader, node, "a list of files is needed here, %d at most", RFM_RULE_FILES_MAX);
        return;
    }
    const char **files = rfm__keep_room(loader, (node->count + 1) * sizeof *files);
    struct rule_file file[RFM_RULE_FILES_MAX];
    size_t count = 0;
    for (; item; item = item == node ? NULL : item->next) {
        file[count] = load_rule_file(loader, item);
        loader->key = "rules";
        if (file[count].path)
            files[count] = file[count].path, count++;
    }
    for (size_t i = 0; i < count; i++) {
        if (!file[i].map)
            continue;
        rfm__table_read(loader, &rfm__rules_file_table, file[i].map, loader->config);
        rfm__policies_check(loader, file[i].map);
        loader->key = "rules";
    }
    *(rfm_texts *)at = (rfm_texts){files, count};
}

static void print_rule_files(rfm_buffer *yaml, const rfm__key *key, const rfm_config *config, const void *at)
{
    const rfm_texts *files = at;
    (void)key, (void)config;
    rfm_write_text(yaml, "[");
    for (size_t i = 0; i < files->count; i++) {
        rfm_write_text(yaml, i ? ", " : "");
        rfm__print_text(yaml, files->items[i]);
    }
    rfm_write_text(yaml, "]");
}

const rfm__kind rfm__rule_files = {"list of files", false, false, read_rule_files, print_rule_files};

static void read_type_prefix(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    (void)key;
    (void)copy_text(loader, node, ((rfm_rules *)at)->type_prefix, sizeof((rfm_rules *)at)->type_prefix);
}

static void print_type_prefix(rfm_buffer *yaml, const rfm__key *key, const rfm_config *config, const void *at)
{
    (void)key, (void)config;
    rfm__print_text(yaml, ((const rfm_rules *)at)->type_prefix);
}

const rfm__kind rfm__type_prefix = {"text", true, false, read_type_prefix, print_type_prefix};

static int compare_rules(const void *a, const void *b)
{
    const rfm_rule *left = a, *right = b;
    if (left->priority != right->priority)
        return left->priority > right->priority ? -1 : 1;
    return strcmp(left->name, right->name);
}

/* The version is that of what the rules say: comments, order and the split into files do not matter, nor does a key
 * that a later version adds as long as it is not given. */
static void set_version(rfm_config *config)
{
    static const rfm_rule defaults = {.topic = 0};
    static const rfm_config no_policies[1];
    rfm_rules *rules = &config->rules;
    rfm_buffer text;
    rfm_buffer_init(&text, 128 << 20);
    rfm_write_format(&text, "max_trigger_age=%lld\nsilent_until=%lld\n", (long long)rules->max_trigger_age_ms,
                     (long long)rules->silent_until_ms);
    if (rules->consent[RFM_CLASS_MARKETING] == RFM_OPT_OUT)
        rfm_write_text(&text, "consent.marketing=opt_out\n");
    if (rules->consent[RFM_CLASS_TRANSACTIONAL] == RFM_OPT_IN)
        rfm_write_text(&text, "consent.transactional=opt_in\n");
    rfm__table_canonical(&rfm__rules_file_table, config, config, no_policies, &text);
    for (size_t i = 0; i < rules->count; i++) {
        rfm_write_format(&text, "rule\ntopic=%s\n", rules->topic[rules->rule[i].topic]);
        rfm_rule rule = rules->rule[i];
        rule.topic = 0; /* the number goes by the order of reading; the name is written */
        rfm__table_canonical(&rfm__rule_table, config, &rule, &defaults, &text);
    }
    RFM_ASSERT(!text.bad);
    uint8_t hash[16];
    rfm_hash128(rfm_buffer_view(&text), hash);
    rfm_hex(hash, sizeof hash, rules->version);
    rfm_buffer_release(&text);
}

void rfm__rules_finish(rfm__loader *loader)
{
    rfm_config *config = loader->config;
    snprintf(config->rules.source, sizeof config->rules.source, "rfmd/%s", config->kafka.group);
    config->rules.structured = config->output == RFM_OUTPUT_STRUCTURED;
    rfm__caps_check(loader);
    rfm__expressions_compile(loader);
    qsort(config->rules.rule, config->rules.count, sizeof *config->rules.rule, compare_rules);
    if (loader->errors->count == 0) /* else nothing asks for it */
        set_version(config);
}
