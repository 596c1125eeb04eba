/* Kinds of keys that are expressions: conditions, `data`, segments by condition. They are read as texts and compiled
 * when all that they may name is known. */
#include "keys.h"

#include <rfm/base/utf8.h>
#include <rfm/rule/environment.h>

#include <ctype.h>
#include <stdio.h>

static bool read_expression(rfm__loader *loader, const rfm_yaml *node, rfm_written *written)
{
    const char *text;
    if (!rfm__text_of(loader, node, &text))
        return false;
    size_t len = strlen(text);
    if (len == 0 || len > RFM_EXPR_BYTES_MAX) {
        rfm__report(loader, node, "an expression of at most %d bytes is needed here, not %s", RFM_EXPR_BYTES_MAX,
                    rfm__show_node(node).text);
        return false;
    }
    written->text = rfm__keep(loader, text, len);
    return true;
}

static void read_condition(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    (void)key;
    (void)read_expression(loader, node, at);
}

static void print_expression(rfm_buffer *yaml, const rfm__key *key, const rfm_config *config, const void *at)
{
    const rfm_written *written = at;
    (void)key, (void)config;
    rfm__print_text(yaml, written->text ? written->text : "");
}

const rfm__kind rfm__condition = {"expression", true, false, read_condition, print_expression};

static bool is_member_name(const char *text)
{
    return rfm__is_name(text, RFM_NAME_BYTES_MAX, "_") && !isdigit((unsigned char)*text);
}

static void read_data(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    rfm_rule *rule = (rfm_rule *)((char *)at - offsetof(rfm_rule, data));
    (void)key;
    if (node->kind != RFM_YAML_MAP || node->count > RFM_DATA_MAX) {
        rfm__report(loader, node, "a map of names to expressions is needed here, %d at most", RFM_DATA_MAX);
        return;
    }
    rfm_datum *data = rfm__keep_room(loader, node->count * sizeof *data);
    for (const rfm_yaml *child = node->first; child; child = child->next) {
        if (!is_member_name(child->key))
            rfm__report_key(loader, child, "a name has letters, digits and '_', unlike \"%s\"",
                            rfm__show(child->key).text);
        else if (read_expression(loader, child, &data[rule->data_count].value))
            data[rule->data_count++].name = rfm__keep(loader, child->key, strlen(child->key));
    }
    rule->data = rule->data_count ? data : NULL;
}

static void print_data(rfm_buffer *yaml, const rfm__key *key, const rfm_config *config, const void *at)
{
    const rfm_rule *rule = (const rfm_rule *)((const char *)at - offsetof(rfm_rule, data));
    rfm_write_text(yaml, "{");
    for (size_t i = 0; i < rule->data_count; i++) {
        rfm_write_format(yaml, "%s%s: ", i ? ", " : "", rule->data[i].name);
        print_expression(yaml, key, config, &rule->data[i].value);
    }
    rfm_write_text(yaml, "}");
}

const rfm__kind rfm__data = {"map of names to expressions", false, false, read_data, print_data};

int rfm__named_find(const rfm_rules *rules, const char *name)
{
    for (size_t i = 0; i < rules->named_count; i++) {
        if (strcmp(rules->named[i].name, name) == 0)
            return (int)i;
    }
    return -1;
}

static bool named_is_new(rfm__loader *loader, const rfm_yaml *node)
{
    const rfm_rules *rules = &loader->config->rules;
    size_t len = strspn(node->key, "abcdefghijklmnopqrstuvwxyz0123456789_");
    if (node->key[len] || len >= RFM_NAMED_BYTES_MAX || !islower((unsigned char)*node->key)) {
        rfm__report_key(loader, node, "a name has a-z, 0-9 and _ (%d at most) and starts with a letter, unlike \"%s\"",
                        RFM_NAMED_BYTES_MAX - 1, rfm__show(node->key).text);
        return false;
    }
    if (rfm_segments_find(&loader->config->client.segments, rfm_text(node->key)) >= 0 ||
        rfm__named_find(rules, node->key) >= 0) {
        rfm__report_key(loader, node, "there is a segment %s already", rfm__show(node->key).text);
        return false;
    }
    if (rules->named_count < RFM_NAMED_MAX)
        return true;
    rfm__report_key(loader, node, "more than %d segments", RFM_NAMED_MAX);
    return false;
}

static void add_named(rfm__loader *loader, const rfm_yaml *node)
{
    rfm_rules *rules = &loader->config->rules;
    rfm_named named = {0};
    if (!named_is_new(loader, node) || !read_expression(loader, node, &named.condition))
        return;
    memcpy(named.name, node->key, strlen(node->key) + 1);
    size_t at = rules->named_count++;
    for (; at > 0 && strcmp(loader->named[at - 1].name, named.name) > 0; at--) {
        loader->named[at] = loader->named[at - 1];
        loader->named_node[at] = loader->named_node[at - 1];
    }
    loader->named[at] = named;
    loader->named_node[at] = node;
}

void rfm__named_read(rfm__loader *loader, const rfm_yaml *map)
{
    const rfm_yaml *node = rfm_yaml_find(map, rfm_text("segments"));
    if (!node || rfm_yaml_is_null(node))
        return;
    if (!loader->named) {
        loader->named = rfm__keep_room(loader, RFM_NAMED_MAX * sizeof *loader->named);
        loader->config->rules.named = loader->named;
    }
    loader->key = "segments";
    if (node->kind != RFM_YAML_MAP)
        rfm__report(loader, node, "a map of names to expressions is needed here, not %s", rfm__show_node(node).text);
    for (const rfm_yaml *child = node->first; node->kind == RFM_YAML_MAP && child; child = child->next)
        add_named(loader, child);
    loader->key = NULL;
}

static void read_nothing(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    (void)loader, (void)key, (void)node, (void)at; /* before all rules: rfm__named_read */
}

static void print_named(rfm_buffer *yaml, const rfm__key *key, const rfm_config *config, const void *at)
{
    const rfm_rules *rules = (const rfm_rules *)((const char *)at - offsetof(rfm_rules, named));
    rfm_write_text(yaml, "{");
    for (size_t i = 0; i < rules->named_count; i++) {
        rfm_write_format(yaml, "%s%s: ", i ? ", " : "", rules->named[i].name);
        print_expression(yaml, key, config, &rules->named[i].condition);
    }
    rfm_write_text(yaml, "}");
}

const rfm__kind rfm__named = {"map of names to expressions", false, false, read_nothing, print_named};

/* -- compiling */

static bool has_zone(rfm_bytes name)
{
    char text[64];
    rfm_zone *zone = NULL;
    if (name.len == 0 || name.len >= sizeof text)
        return false;
    memcpy(text, name.at, name.len);
    text[name.len] = 0;
    bool known = rfm_zone_load(text, &zone, NULL) == RFM_OK;
    rfm_zone_free(zone);
    return known;
}

/* Within one line of its file a place of the expression is one of the file; else it is told beside the node's. */
static void report_error(rfm__loader *loader, const rfm_yaml *node, const rfm_expr_error *error)
{
    rfm_yaml place = *node;
    bool quoted = !node->plain;
    if (error->line == 1 && !node->folded) {
        place.column += error->column - 1 + quoted;
        rfm__report(loader, &place, "%s", error->message);
    } else {
        rfm__report(loader, node, "%s (line %u, column %u of the expression)", error->message, error->line,
                    error->column);
    }
}

static void compile(rfm__loader *loader, const rfm_expr_env *env, const rfm_yaml *node, const rfm_expr_type *wanted,
                    rfm_written *written)
{
    rfm_expr_error error;
    if (written->text && rfm_expr_compile(env, rfm_text(written->text), wanted, &loader->config->arena, &written->expr,
                                          &error) != RFM_OK)
        report_error(loader, node, &error);
}

/* What a waiting rule has to keep of its event; that it cannot is known at once where it waits for certain. */
static void note_event(rfm__loader *loader, const rfm_yaml *node, const rfm_expr *expr, rfm_rule *rule)
{
    if (expr == NULL)
        return;
    rule->event_parts |= rfm_environment_event_parts(expr);
    rule->event_traits |= rfm_environment_event_traits(expr);
    if (rule->delay_ms > 0 && rfm_environment_reads_items(expr))
        rfm__report(loader, node,
                    "event.items is not there after a delay: a rule that waits keeps 64 bytes of its event; ask for "
                    "event.category or client.favourite_categories, or leave the delay out");
}

static void compile_data(rfm__loader *loader, const rfm_expr_env *env, const rfm_yaml *node, rfm_rule *rule)
{
    char path[RFM_NAME_BYTES_MAX + 8];
    for (size_t i = 0; i < rule->data_count; i++) {
        rfm_datum *datum = &rule->data[i];
        snprintf(path, sizeof path, "data.%s", datum->name);
        loader->key = path;
        compile(loader, env, rfm_yaml_find(node, rfm_text(datum->name)), NULL, &datum->value);
        note_event(loader, rfm_yaml_find(node, rfm_text(datum->name)), datum->value.expr, rule);
    }
    loader->key = NULL;
}

static void compile_rule(rfm__loader *loader, rfm_expr_env *env, const rfm_yaml *node, rfm_rule *rule)
{
    env->scope = rfm_environment_scope(rule);
    loader->key = "when";
    compile(loader, env, rfm_yaml_find(node, rfm_text("when")), &rfm_expr_bool, &rule->when);
    note_event(loader, rfm_yaml_find(node, rfm_text("when")), rule->when.expr, rule);
    loader->key = NULL;
    compile_data(loader, env, rfm_yaml_find(node, rfm_text("data")), rule);
}

void rfm__expressions_compile(rfm__loader *loader)
{
    rfm_config *config = loader->config;
    rfm_rules *rules = &config->rules;
    rfm_expr_env env = {.has_zone = has_zone, .scope = rfm_environment_no_event()};
    env.fields = rfm_environment_fields(config->traits, config->trait_count, &config->arena, &env.field_count);
    for (size_t i = 0; i < rules->named_count; i++) {
        char path[RFM_NAMED_BYTES_MAX + 16];
        snprintf(path, sizeof path, "segments.%s", loader->named[i].name);
        loader->key = path;
        compile(loader, &env, loader->named_node[i], &rfm_expr_bool, &loader->named[i].condition);
    }
    for (size_t i = 0; i < rules->count; i++)
        compile_rule(loader, &env, loader->rule_node[i], &rules->rule[i]);
}
