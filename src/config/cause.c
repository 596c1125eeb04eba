#include "cause.h"

#include <stdio.h>

#include <rfm/base/nearest.h>

static const char *const event_names[] = {
#define X(NAME, name) #name,
    RFM_EVENT_TYPES(X)
#undef X
        NULL};

static int index_of(const char *const *names, const char *text)
{
    for (int i = 0; names[i]; i++) {
        if (strcmp(names[i], text) == 0)
            return i;
    }
    return -1;
}

static bool event_of(rfm__loader *loader, const rfm_yaml *node, rfm_event_type *event)
{
    const char *text;
    if (!rfm__text_of(loader, node, &text))
        return false;
    int found = index_of(event_names, text);
    bool erases = found == (int)RFM_EVENT_ERASE;
    if (erases)
        rfm__report(loader, node, "event erase can cause or cancel nothing: there is no client left");
    else if (found >= 0)
        *event = (rfm_event_type)found;
    else
        rfm__report(loader, node, "no such event %s; the nearest is %s", rfm__show_node(node).text,
                    rfm_nearest(event_names, text));
    return found >= 0 && !erases;
}

static void report_segment(rfm__loader *loader, const rfm_yaml *node, const char *text)
{
    const rfm_segments *segments = &loader->config->client.segments;
    const rfm_rules *rules = &loader->config->rules;
    const char *names[RFM_SEGMENTS_MAX + RFM_NAMED_MAX + 1];
    size_t count = 0;
    for (size_t i = 0; i < segments->count; i++)
        names[count++] = segments->name[i];
    for (size_t i = 0; i < rules->named_count; i++)
        names[count++] = rules->named[i].name;
    names[count] = NULL;
    rfm__report(loader, node, "no such segment %s; the nearest is %s", rfm__show_node(node).text,
                rfm_nearest(names, text));
}

/* One of the table, or one by condition. */
static void segment_of(rfm__loader *loader, const rfm_yaml *node, bool enter, rfm_rule *rule)
{
    const char *text;
    rule->on.kind = enter ? RFM_CAUSE_ENTER_SEGMENT : RFM_CAUSE_LEAVE_SEGMENT;
    if (!rfm__text_of(loader, node, &text))
        return;
    int found = rfm_segments_find(&loader->config->client.segments, rfm_text(text));
    if (found < 0) {
        found = rfm__named_find(&loader->config->rules, text);
        rule->on.kind = enter ? RFM_CAUSE_ENTER_NAMED : RFM_CAUSE_LEAVE_NAMED;
    }
    if (found < 0)
        report_segment(loader, node, text);
    else
        rule->on.segment = (uint8_t)found;
}

static bool lifecycle_of(rfm__loader *loader, const rfm_yaml *node, rfm_lifecycle *lifecycle)
{
    const char *text, *names[RFM_LIFECYCLE_COUNT + 1] = {NULL};
    if (!rfm__text_of(loader, node, &text))
        return false;
    for (int i = 0; i < RFM_LIFECYCLE_COUNT; i++)
        names[i] = rfm_lifecycle_name((rfm_lifecycle)i);
    int found = index_of(names, text);
    if (found < 0)
        rfm__report(loader, node, "no such lifecycle %s; the nearest is %s", rfm__show_node(node).text,
                    rfm_nearest(names, text));
    else
        *lifecycle = (rfm_lifecycle)found;
    return found >= 0;
}

/* The only child of a map; NULL: reported. */
static const rfm_yaml *only_child(rfm__loader *loader, const rfm_yaml *node, const char *of, const char *example)
{
    if (node->kind == RFM_YAML_MAP && node->count == 1)
        return node->first;
    rfm__report(loader, node, "%sexactly one key is needed here, such as %s", of, example);
    return NULL;
}

static void report_unknown(rfm__loader *loader, const rfm_yaml *child, const char *const *names)
{
    rfm__report_key(loader, child, "unknown key \"%s\"; the nearest known one is \"%s\"", rfm__show(child->key).text,
                    rfm_nearest(names, child->key));
}

static void read_event(rfm__loader *loader, const rfm_yaml *node, rfm_rule *rule)
{
    rule->on.kind = RFM_CAUSE_EVENT;
    (void)event_of(loader, node, &rule->on.event);
}

static void read_change(rfm__loader *loader, const rfm_yaml *node, rfm_rule *rule)
{
    static const char *const names[] = {"segment", "lifecycle", NULL};
    bool enter = strcmp(node->key, "enter") == 0;
    const char *of = enter ? "enter: " : "leave: ";
    const rfm_yaml *child = only_child(loader, node, of, "{segment: champions} or {lifecycle: lapsed}");
    if (!child)
        return;
    if (strcmp(child->key, "segment") == 0) {
        segment_of(loader, child, enter, rule);
    } else if (strcmp(child->key, "lifecycle") == 0) {
        rule->on.kind = enter ? RFM_CAUSE_ENTER_LIFECYCLE : RFM_CAUSE_LEAVE_LIFECYCLE;
        (void)lifecycle_of(loader, child, &rule->on.lifecycle);
    } else {
        report_unknown(loader, child, names);
    }
}

static void read_crossing(rfm__loader *loader, const rfm_yaml *node, rfm_rule *rule)
{
    static const char *const names[] = {"churn_risk", "activity_ratio", NULL};
    bool rise = strcmp(node->key, "rise") == 0;
    const char *of = rise ? "rise: " : "fall: ";
    const rfm_yaml *child = only_child(loader, node, of, "{churn_risk: 0.7} or {activity_ratio: 0.3}");
    if (!child)
        return;
    int found = index_of(names, child->key);
    if (found < 0) {
        report_unknown(loader, child, names);
        return;
    }
    rule->on.kind = found == 0 ? (rise ? RFM_CAUSE_RISE_RISK : RFM_CAUSE_FALL_RISK)
                               : (rise ? RFM_CAUSE_RISE_RATIO : RFM_CAUSE_FALL_RATIO);
    char path[40];
    snprintf(path, sizeof path, "on.%s.%s", node->key, child->key);
    loader->key = path;
    bool good = rfm__share_of(loader, child, &rule->on.threshold);
    if (good && !(rule->on.threshold > 0 && rule->on.threshold < 1))
        rfm__report(loader, child, "a number between 0 and 1 is needed here, not %s", rfm__show_node(child).text);
    loader->key = "on";
}

static void read_idle(rfm__loader *loader, const rfm_yaml *node, rfm_rule *rule)
{
    static const char *const names[] = {"since", "for", NULL};
    const rfm_yaml *since = rfm_yaml_find(node, rfm_text("since")), *time = rfm_yaml_find(node, rfm_text("for"));
    if (!since || !time) {
        rfm__report(loader, node, "idle needs both keys, as in {since: purchase, for: 60d}");
        return;
    }
    for (const rfm_yaml *child = node->first; child; child = child->next) {
        if (child != since && child != time)
            report_unknown(loader, child, names);
    }
    rule->on.kind = RFM_CAUSE_IDLE;
    (void)event_of(loader, since, &rule->on.event);
    if (rfm__duration_of(loader, time, &rule->on.idle_ms) && rule->on.idle_ms < RFM_SECOND_MS)
        rfm__report(loader, time, "a duration of a second or more is needed here");
}

static void read_late(rfm__loader *loader, const rfm_yaml *node, rfm_rule *rule)
{
    rule->on.kind = RFM_CAUSE_LATE;
    if (rfm__share_of(loader, node, &rule->on.threshold) && !(rule->on.threshold > 0 && rule->on.threshold < 1))
        rfm__report(loader, node, "a number between 0 and 1 is needed here, not %s", rfm__show_node(node).text);
}

static bool date_trait_of(rfm__loader *loader, const rfm_yaml *node, char trait[RFM_NAME_BYTES_MAX + 1])
{
    const rfm_config *config = loader->config;
    const char *text, *names[RFM_TRAITS_MAX + 1];
    size_t count = 0;
    if (!rfm__text_of(loader, node, &text))
        return false;
    for (size_t i = 0; i < config->trait_count; i++) {
        if (config->traits[i].type == RFM_TRAIT_DATE && strlen(config->traits[i].name) <= RFM_NAME_BYTES_MAX)
            names[count++] = config->traits[i].name;
    }
    names[count] = NULL;
    if (index_of(names, text) < 0) {
        rfm__report(loader, node, "no trait %s of type date is declared under traits%s%s", rfm__show_node(node).text,
                    count ? "; the nearest is " : "", count ? rfm_nearest(names, text) : "");
        return false;
    }
    memcpy(trait, text, strlen(text) + 1);
    return true;
}

/* `at` stands beside it. */
static void read_anniversary(rfm__loader *loader, const rfm_yaml *node, const rfm_yaml *on, rfm_rule *rule)
{
    static const char *const names[] = {"anniversary", "at", NULL};
    rule->on.kind = RFM_CAUSE_ANNIVERSARY;
    (void)date_trait_of(loader, node, rule->on.trait);
    for (const rfm_yaml *child = on->first; child; child = child->next) {
        if (strcmp(child->key, "at") == 0)
            rfm__wall_time.read(loader, NULL, child, &rule->on.at_ms);
        else if (child != node)
            report_unknown(loader, child, names);
    }
    size_t count = 0;
    for (size_t i = 0; i < loader->config->rules.count; i++)
        count += loader->config->rules.rule[i].on.kind == RFM_CAUSE_ANNIVERSARY;
    if (count >= RFM_ANNIVERSARIES_MAX)
        rfm__report(loader, node, "more than %d rules with an anniversary", RFM_ANNIVERSARIES_MAX);
}

static void read_cause_key(rfm__loader *loader, const rfm_yaml *child, rfm_rule *rule)
{
    static const char *const names[] = {"event", "enter", "leave", "rise", "fall", "idle", "late", "anniversary", NULL};
    static void (*const read[])(rfm__loader *, const rfm_yaml *, rfm_rule *) = {
        read_event, read_change, read_change, read_crossing, read_crossing, read_idle, read_late};
    int found = index_of(names, child->key);
    if (found >= 0 && (size_t)found < sizeof read / sizeof *read) /* an anniversary has a form of its own */
        read[found](loader, child, rule);
    else
        report_unknown(loader, child, names);
}

static void read_cause(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    rfm_rule *rule = (rfm_rule *)((char *)at - offsetof(rfm_rule, on));
    (void)key;
    const rfm_yaml *anniversary = rfm_yaml_find(node, rfm_text("anniversary"));
    const rfm_yaml *child = anniversary ? NULL : only_child(loader, node, "", "{event: purchase}");
    if (anniversary)
        read_anniversary(loader, anniversary, node, rule);
    else if (child)
        read_cause_key(loader, child, rule);
}

static void print_crossing(rfm_buffer *yaml, const char *way, const char *score, double threshold)
{
    rfm_write_format(yaml, "{%s: {%s: ", way, score);
    rfm__print_number(yaml, threshold);
    rfm_write_text(yaml, "}}");
}

static void print_cause(rfm_buffer *yaml, const rfm__key *key, const rfm_config *config, const void *at)
{
    const rfm_rule *rule = (const rfm_rule *)((const char *)at - offsetof(rfm_rule, on));
    bool named = rule->on.kind == RFM_CAUSE_ENTER_NAMED || rule->on.kind == RFM_CAUSE_LEAVE_NAMED;
    const char *segment = named ? config->rules.named[rule->on.segment].name
                                : config->client.segments.name[rule->on.segment];
    const char *lifecycle = rfm_lifecycle_name(rule->on.lifecycle);
    (void)key;
    switch (rule->on.kind) {
    case RFM_CAUSE_EVENT: rfm_write_format(yaml, "{event: %s}", event_names[rule->on.event]); break;
    case RFM_CAUSE_ENTER_NAMED:
    case RFM_CAUSE_ENTER_SEGMENT: rfm_write_format(yaml, "{enter: {segment: %s}}", segment); break;
    case RFM_CAUSE_LEAVE_NAMED:
    case RFM_CAUSE_LEAVE_SEGMENT: rfm_write_format(yaml, "{leave: {segment: %s}}", segment); break;
    case RFM_CAUSE_ENTER_LIFECYCLE: rfm_write_format(yaml, "{enter: {lifecycle: %s}}", lifecycle); break;
    case RFM_CAUSE_LEAVE_LIFECYCLE: rfm_write_format(yaml, "{leave: {lifecycle: %s}}", lifecycle); break;
    case RFM_CAUSE_RISE_RISK: print_crossing(yaml, "rise", "churn_risk", rule->on.threshold); break;
    case RFM_CAUSE_FALL_RISK: print_crossing(yaml, "fall", "churn_risk", rule->on.threshold); break;
    case RFM_CAUSE_RISE_RATIO: print_crossing(yaml, "rise", "activity_ratio", rule->on.threshold); break;
    case RFM_CAUSE_FALL_RATIO: print_crossing(yaml, "fall", "activity_ratio", rule->on.threshold); break;
    case RFM_CAUSE_IDLE:
        rfm_write_format(yaml, "{idle: {since: %s, for: ", event_names[rule->on.event]);
        rfm__print_duration(yaml, rule->on.idle_ms);
        rfm_write_text(yaml, "}}");
        break;
    case RFM_CAUSE_LATE:
        rfm_write_text(yaml, "{late: ");
        rfm__print_number(yaml, rule->on.threshold);
        rfm_write_text(yaml, "}");
        break;
    case RFM_CAUSE_ANNIVERSARY:
        rfm_write_text(yaml, "{anniversary: ");
        rfm__print_text(yaml, rule->on.trait);
        rfm_write_text(yaml, ", at: ");
        rfm__wall_time.print(yaml, key, config, &rule->on.at_ms);
        rfm_write_text(yaml, "}");
        break;
    }
}

const rfm__kind rfm__cause = {"map", false, false, read_cause, print_cause};

static void read_events(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    rfm_event_type event;
    (void)key;
    if (node->kind != RFM_YAML_LIST) {
        rfm__report(loader, node, "a list of events is needed here, such as [purchase], not %s",
                    rfm__show_node(node).text);
        return;
    }
    for (const rfm_yaml *item = node->first; item; item = item->next) {
        if (event_of(loader, item, &event))
            *(uint32_t *)at |= 1u << event;
    }
}

static void print_events(rfm_buffer *yaml, const rfm__key *key, const rfm_config *config, const void *at)
{
    const char *separator = "";
    (void)key, (void)config;
    rfm_write_text(yaml, "[");
    for (int i = 0; i < RFM_EVENT_TYPE_COUNT; i++) {
        if (*(const uint32_t *)at >> i & 1) {
            rfm_write_format(yaml, "%s%s", separator, event_names[i]);
            separator = ", ";
        }
    }
    rfm_write_text(yaml, "]");
}

const rfm__kind rfm__events = {"list of events", false, false, read_events, print_events};
