#include "cause.h"

#include <stdio.h>

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
                    rfm__nearest(event_names, text));
    return found >= 0 && !erases;
}

static bool segment_of(rfm__loader *loader, const rfm_yaml *node, uint8_t *segment)
{
    const rfm_segments *segments = &loader->config->client.segments;
    const char *text, *names[RFM_SEGMENTS_MAX + 1];
    if (!rfm__text_of(loader, node, &text))
        return false;
    int found = rfm_segments_find(segments, rfm_text(text));
    if (found < 0) {
        for (size_t i = 0; i < segments->count; i++)
            names[i] = segments->name[i];
        names[segments->count] = NULL;
        rfm__report(loader, node, "no such segment %s; the nearest is %s", rfm__show_node(node).text,
                    rfm__nearest(names, text));
        return false;
    }
    *segment = (uint8_t)found;
    return true;
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
                    rfm__nearest(names, text));
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
                    rfm__nearest(names, child->key));
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
        rule->on.kind = enter ? RFM_CAUSE_ENTER_SEGMENT : RFM_CAUSE_LEAVE_SEGMENT;
        (void)segment_of(loader, child, &rule->on.segment);
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

static void read_later(rfm__loader *loader, const rfm_yaml *node, rfm_rule *rule)
{
    (void)rule;
    rfm__report_key(loader, node, "%s is not supported in this version", node->key);
}

static void read_cause_key(rfm__loader *loader, const rfm_yaml *child, rfm_rule *rule)
{
    static const char *const names[] = {"event", "enter", "leave", "rise", "fall", "idle", "anniversary", "late", NULL};
    static void (*const read[])(rfm__loader *, const rfm_yaml *, rfm_rule *) = {
        read_event, read_change, read_change, read_crossing, read_crossing, read_idle, read_later, read_later};
    int found = index_of(names, child->key);
    if (found >= 0)
        read[found](loader, child, rule);
    else
        report_unknown(loader, child, names);
}

/* `at` of `anniversary` is its second key: whatever stands beside that one, the message is the same. */
static void read_cause(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    rfm_rule *rule = (rfm_rule *)((char *)at - offsetof(rfm_rule, on));
    (void)key;
    const rfm_yaml *child = rfm_yaml_find(node, rfm_text("anniversary"));
    if (!child)
        child = only_child(loader, node, "", "{event: purchase}");
    if (child)
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
    const char *segment = config->client.segments.name[rule->on.segment];
    const char *lifecycle = rfm_lifecycle_name(rule->on.lifecycle);
    (void)key;
    switch (rule->on.kind) {
    case RFM_CAUSE_EVENT: rfm_write_format(yaml, "{event: %s}", event_names[rule->on.event]); break;
    case RFM_CAUSE_ENTER_SEGMENT: rfm_write_format(yaml, "{enter: {segment: %s}}", segment); break;
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
