#include "yaml.h"

#include <stdarg.h>
#include <stdio.h>

#include <yaml.h>

struct builder {
    rfm_arena *arena;
    const rfm_yaml_source *source;
    rfm_yaml_complain complain;
    void *context;
    yaml_parser_t parser;
    size_t node_count, anchor_count;
    struct {
        const char *name;
        const rfm_yaml *node;
    } anchor[RFM_YAML_ANCHORS_MAX];
};

static __attribute__((format(printf, 4, 5))) void complain(struct builder *builder, size_t line, size_t column,
                                                           const char *format, ...)
{
    rfm_yaml_complaint complaint = {.line = (uint32_t)line + 1, .column = (uint32_t)column + 1};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(complaint.message, sizeof complaint.message, format, arguments);
    va_end(arguments);
    builder->complain(builder->context, builder->source, &complaint);
}

static rfm_yaml *new_node(rfm_arena *arena, const rfm_yaml_source *source, rfm_yaml_kind kind, yaml_mark_t mark)
{
    rfm_yaml *node = rfm_arena_take(arena, sizeof *node);
    *node = (rfm_yaml){.kind = kind,
                       .text = "",
                       .source = source,
                       .line = (uint32_t)mark.line + 1,
                       .column = (uint32_t)mark.column + 1};
    return node;
}

static const char *copy_text(rfm_arena *arena, const void *text, size_t len)
{
    char *copy = rfm_arena_take(arena, len + 1);
    if (len)
        memcpy(copy, text, len);
    copy[len] = 0;
    return copy;
}

static void append(rfm_yaml *parent, rfm_yaml *child)
{
    if (parent->last)
        parent->last->next = child;
    else
        parent->first = child;
    parent->last = child;
    parent->count++;
}

static bool next_event(struct builder *builder, yaml_event_t *event)
{
    if (yaml_parser_parse(&builder->parser, event))
        return true;
    const yaml_parser_t *parser = &builder->parser;
    RFM_NEED(parser->error != YAML_MEMORY_ERROR);
    yaml_mark_t mark = parser->error == YAML_READER_ERROR ? parser->mark : parser->problem_mark;
    const char *problem = parser->problem ? parser->problem : "cannot be read";
    complain(builder, mark.line, mark.column, "not YAML: %s%s%s", problem, parser->context ? " " : "",
             parser->context ? parser->context : "");
    return false;
}

/* The anchor (&name) or, of an alias, the name; NULL: neither. */
static const char *name_of(const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_ALIAS_EVENT: return (const char *)event->data.alias.anchor;
    case YAML_SCALAR_EVENT: return (const char *)event->data.scalar.anchor;
    case YAML_SEQUENCE_START_EVENT: return (const char *)event->data.sequence_start.anchor;
    case YAML_MAPPING_START_EVENT: return (const char *)event->data.mapping_start.anchor;
    default: return NULL;
    }
}

static bool has_tag(const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT: return event->data.scalar.tag;
    case YAML_SEQUENCE_START_EVENT: return event->data.sequence_start.tag;
    case YAML_MAPPING_START_EVENT: return event->data.mapping_start.tag;
    default: return false;
    }
}

/* Of anchors of one name the last counts. */
static const rfm_yaml *find_anchor(const struct builder *builder, const char *name)
{
    for (size_t i = builder->anchor_count; i-- > 0;) {
        if (strcmp(builder->anchor[i].name, name) == 0)
            return builder->anchor[i].node;
    }
    return NULL;
}

/* What stands in the way of one more value at this depth; NULL: nothing. */
static const char *refusal_of(struct builder *builder, int depth)
{
    if (depth > RFM_YAML_DEPTH_MAX)
        return "nested too deeply";
    return ++builder->node_count > RFM_YAML_NODES_MAX ? "too many values" : NULL;
}

/* NULL: *refusal. */
static rfm_yaml *copy_tree(struct builder *builder, const rfm_yaml *node, int depth, const char **refusal)
{
    *refusal = refusal_of(builder, depth);
    if (*refusal)
        return NULL;
    rfm_yaml *copy = rfm_arena_take(builder->arena, sizeof *copy);
    *copy = *node;
    copy->first = copy->last = copy->next = NULL;
    copy->count = 0;
    for (const rfm_yaml *child = node->first; child; child = child->next) {
        rfm_yaml *copied = copy_tree(builder, child, depth + 1, refusal);
        if (!copied)
            return NULL;
        append(copy, copied);
    }
    return copy;
}

/* Within what it names itself an anchor is not known yet, so that no tree holds itself. */
static rfm_yaml *build_alias(struct builder *builder, const yaml_event_t *event, int depth)
{
    const char *refusal = "there is no anchor of this name before";
    size_t line = event->start_mark.line, column = event->start_mark.column;
    const rfm_yaml *anchored = find_anchor(builder, name_of(event));
    rfm_yaml *copy = anchored ? copy_tree(builder, anchored, depth, &refusal) : NULL;
    if (!copy) {
        complain(builder, line, column, "%s", refusal);
        return NULL;
    }
    copy->key = NULL;
    copy->line = (uint32_t)line + 1, copy->column = (uint32_t)column + 1;
    return copy;
}

static bool keep_anchor(struct builder *builder, const yaml_event_t *event, const rfm_yaml *node)
{
    const char *name = name_of(event);
    if (!name)
        return true;
    if (builder->anchor_count == RFM_YAML_ANCHORS_MAX) {
        complain(builder, event->start_mark.line, event->start_mark.column, "more than %d anchors",
                 RFM_YAML_ANCHORS_MAX);
        return false;
    }
    builder->anchor[builder->anchor_count].name = copy_text(builder->arena, name, strlen(name));
    builder->anchor[builder->anchor_count++].node = node;
    return true;
}

static rfm_yaml *build(struct builder *builder, const yaml_event_t *event, int depth);

static rfm_yaml *build_scalar(struct builder *builder, const yaml_event_t *event)
{
    const char *value = (const char *)event->data.scalar.value;
    size_t len = event->data.scalar.length;
    if (memchr(value, 0, len)) {
        complain(builder, event->start_mark.line, event->start_mark.column, "a text may not hold a NUL character");
        return NULL;
    }
    rfm_yaml *node = new_node(builder->arena, builder->source, RFM_YAML_SCALAR, event->start_mark);
    node->text = copy_text(builder->arena, value, len);
    node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    node->folded = event->start_mark.line != event->end_mark.line;
    return node;
}

static bool build_list(struct builder *builder, rfm_yaml *list, int depth)
{
    for (;;) {
        yaml_event_t event;
        if (!next_event(builder, &event))
            return false;
        bool end = event.type == YAML_SEQUENCE_END_EVENT;
        rfm_yaml *item = end ? NULL : build(builder, &event, depth + 1);
        yaml_event_delete(&event);
        if (end)
            return true;
        if (!item)
            return false;
        append(list, item);
    }
}

static bool take_pair(struct builder *builder, rfm_yaml *map, const rfm_yaml *key, rfm_yaml *value)
{
    const rfm_yaml *before = rfm_yaml_find(map, rfm_text(key->text));
    if (before) {
        complain(builder, key->line - 1, key->column - 1, "\"%.100s\" is given twice, first at line %u, column %u",
                 key->text, before->key_line, before->key_column);
        return true;
    }
    if (map->count == RFM_YAML_KEYS_MAX) {
        complain(builder, key->line - 1, key->column - 1, "more than %d keys in one map", RFM_YAML_KEYS_MAX);
        return false;
    }
    value->key = key->text, value->key_line = key->line, value->key_column = key->column;
    append(map, value);
    return true;
}

/* Builds the node that the next event starts; NULL at *end, where the map ends, or complained. */
static rfm_yaml *build_next(struct builder *builder, int depth, bool *end)
{
    yaml_event_t event;
    if (!next_event(builder, &event))
        return NULL;
    *end = event.type == YAML_MAPPING_END_EVENT;
    rfm_yaml *node = *end ? NULL : build(builder, &event, depth);
    yaml_event_delete(&event);
    return node;
}

static bool build_map(struct builder *builder, rfm_yaml *map, int depth)
{
    for (;;) {
        bool end = false;
        rfm_yaml *key = build_next(builder, depth + 1, &end);
        if (!key)
            return end;
        if (key->kind != RFM_YAML_SCALAR) {
            complain(builder, key->line - 1, key->column - 1, "a key must be a text");
            return false;
        }
        rfm_yaml *value = build_next(builder, depth + 1, &end);
        if (!value || !take_pair(builder, map, key, value))
            return false;
    }
}

static rfm_yaml *build(struct builder *builder, const yaml_event_t *event, int depth)
{
    if (event->type == YAML_ALIAS_EVENT)
        return build_alias(builder, event, depth);
    const char *refusal = has_tag(event) ? "tags (!name) are not allowed" : refusal_of(builder, depth);
    if (refusal) {
        complain(builder, event->start_mark.line, event->start_mark.column, "%s", refusal);
        return NULL;
    }
    rfm_yaml *node;
    bool built = true;
    if (event->type == YAML_SCALAR_EVENT) {
        node = build_scalar(builder, event);
        built = node != NULL;
    } else {
        bool list = event->type == YAML_SEQUENCE_START_EVENT;
        node = new_node(builder->arena, builder->source, list ? RFM_YAML_LIST : RFM_YAML_MAP, event->start_mark);
        built = list ? build_list(builder, node, depth) : build_map(builder, node, depth);
    }
    return built && keep_anchor(builder, event, node) ? node : NULL;
}

/* Stream start and document start are passed; the first other event is the content's, or the stream's end. */
static rfm_yaml *build_document(struct builder *builder)
{
    rfm_yaml *root = NULL;
    for (;;) {
        yaml_event_t event;
        if (!next_event(builder, &event))
            return NULL;
        yaml_event_type_t type = event.type;
        bool second = root && type == YAML_DOCUMENT_START_EVENT, content = false;
        if (second) {
            complain(builder, event.start_mark.line, event.start_mark.column, "a second document; one is allowed");
        } else if (type != YAML_STREAM_START_EVENT && type != YAML_DOCUMENT_START_EVENT &&
                   type != YAML_DOCUMENT_END_EVENT && type != YAML_STREAM_END_EVENT) {
            content = true;
            root = build(builder, &event, 1);
        }
        yaml_event_delete(&event);
        if (second || (content && !root))
            return NULL;
        if (type == YAML_STREAM_END_EVENT)
            return root ? root : rfm_yaml_map(builder->arena, builder->source);
    }
}

rfm_yaml *rfm_yaml_parse(rfm_arena *arena, const rfm_yaml_source *source, rfm_bytes text, rfm_yaml_complain complain_,
                         void *context)
{
    struct builder builder = {.arena = arena, .source = source, .complain = complain_, .context = context};
    RFM_NEED(yaml_parser_initialize(&builder.parser));
    yaml_parser_set_encoding(&builder.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&builder.parser, text.len ? text.at : (const uint8_t *)"", text.len);
    rfm_yaml *root = build_document(&builder);
    yaml_parser_delete(&builder.parser);
    return root && rfm_yaml_is_null(root) ? rfm_yaml_map(arena, source) : root;
}

rfm_yaml *rfm_yaml_scalar(rfm_arena *arena, const rfm_yaml_source *source, const char *text)
{
    rfm_yaml *node = new_node(arena, source, RFM_YAML_SCALAR, (yaml_mark_t){0});
    node->text = copy_text(arena, text, strlen(text));
    node->plain = true;
    return node;
}

rfm_yaml *rfm_yaml_map(rfm_arena *arena, const rfm_yaml_source *source)
{
    return new_node(arena, source, RFM_YAML_MAP, (yaml_mark_t){0});
}

rfm_yaml *rfm_yaml_find(const rfm_yaml *map, rfm_bytes key)
{
    if (!map || map->kind != RFM_YAML_MAP)
        return NULL;
    for (rfm_yaml *child = map->first; child; child = child->next) {
        if (rfm_bytes_is(key, child->key))
            return child;
    }
    return NULL;
}

static void merge(rfm_yaml *map, const rfm_yaml *over)
{
    for (rfm_yaml *child = over->first, *next; child; child = next) {
        next = child->next;
        child->next = NULL;
        rfm_yaml_put(map, child->key, child);
    }
}

/* The value takes the old one's place in the list of children: its links stay, all else is the value's. */
static void replace(rfm_yaml *old, const rfm_yaml *value)
{
    rfm_yaml *next = old->next;
    const char *key = old->key;
    *old = *value;
    old->next = next, old->key = key;
}

void rfm_yaml_put(rfm_yaml *map, const char *key, rfm_yaml *value)
{
    rfm_yaml *old = rfm_yaml_find(map, rfm_text(key));
    if (!value->key)
        value->key_line = value->line, value->key_column = value->column;
    value->key = key;
    if (!old)
        append(map, value);
    else if (old->kind == RFM_YAML_MAP && value->kind == RFM_YAML_MAP)
        merge(old, value);
    else
        replace(old, value);
}

bool rfm_yaml_is_null(const rfm_yaml *node)
{
    return node->kind == RFM_YAML_SCALAR && node->plain &&
           (!*node->text || strcmp(node->text, "~") == 0 || strcmp(node->text, "null") == 0);
}
