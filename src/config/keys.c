#include "keys.h"

#include <rfm/base/nearest.h>
#include <rfm/base/utf8.h>

#include <stdio.h>

const rfm_yaml *rfm__find_path(const rfm_yaml *map, const char *path)
{
    for (;;) {
        const char *dot = strchr(path, '.');
        map = rfm_yaml_find(map, rfm_bytes_of(path, dot ? (size_t)(dot - path) : strlen(path)));
        if (!dot || !map)
            return map;
        path = dot + 1;
    }
}

void rfm__table_init(const rfm__table *table, void *target)
{
    for (size_t i = 0; i < table->count; i++) {
        if (table->keys[i].kind->text)
            *(const char **)((char *)target + table->keys[i].at) = "";
    }
}

static const rfm__key *find_key(const rfm__table *table, const char *path)
{
    for (size_t i = 0; i < table->count; i++) {
        if (strcmp(table->keys[i].path, path) == 0)
            return &table->keys[i];
    }
    return NULL;
}

static bool is_under(const char *path, const char *section)
{
    size_t len = strlen(section);
    return strncmp(path, section, len) == 0 && path[len] == '.';
}

bool rfm__table_has_section(const rfm__table *table, const char *path)
{
    for (size_t i = 0; i < table->count; i++) {
        if (is_under(table->keys[i].path, path))
            return true;
    }
    return false;
}

/* A key of that very name in another section is nearer than any other: it was put in the wrong place. */
static const char *find_elsewhere(const rfm__table *table, const char *name)
{
    for (size_t i = 0; i < table->count; i++) {
        const char *path = table->keys[i].path, *dot = strrchr(path, '.');
        if (dot && strcmp(dot + 1, name) == 0)
            return path;
    }
    return NULL;
}

const char *rfm__table_nearest(const rfm__table *table, const char *prefix, const char *name, char nearest[128])
{
    const char *elsewhere = find_elsewhere(table, name);
    if (elsewhere) {
        snprintf(nearest, 128, "%s", elsewhere);
        return nearest;
    }
    unsigned best = UINT32_MAX;
    size_t prefix_len = strlen(prefix);
    for (size_t i = 0; i < table->count; i++) {
        const char *path = table->keys[i].path;
        if (strncmp(path, prefix, prefix_len) != 0)
            continue;
        char child[64];
        int child_len = (int)strcspn(path + prefix_len, ".");
        snprintf(child, sizeof child, "%.*s", child_len, path + prefix_len);
        unsigned distance = rfm_distance(name, child);
        if (distance < best) {
            best = distance;
            snprintf(nearest, 128, "%s%s", prefix, child);
        }
    }
    return nearest;
}

static void check_known(rfm__loader *loader, const rfm__table *table, const rfm_yaml *map, const char *prefix);

static void check_child(rfm__loader *loader, const rfm__table *table, const rfm_yaml *child, const char *prefix)
{
    char path[128], nearest[128];
    snprintf(path, sizeof path, "%s%.60s", prefix, child->key);
    bool dotted = strchr(child->key, '.') != NULL;
    if (!dotted && find_key(table, path))
        return;
    if (dotted || !rfm__table_has_section(table, path)) {
        rfm__report_key(loader, child, "unknown key \"%s\"; the nearest known one is \"%s\"",
                        rfm__show(child->key).text, rfm__table_nearest(table, prefix, child->key, nearest));
    } else if (child->kind == RFM_YAML_MAP) {
        snprintf(path, sizeof path, "%s%s.", prefix, child->key);
        check_known(loader, table, child, path);
    } else if (!rfm_yaml_is_null(child)) {
        rfm__report(loader, child, "%s must be a map of keys", path); /* what stands there may be a password */
    }
}

static void check_known(rfm__loader *loader, const rfm__table *table, const rfm_yaml *map, const char *prefix)
{
    for (const rfm_yaml *child = map->first; child; child = child->next)
        check_child(loader, table, child, prefix);
}

/* The map that holds the key, if it is there: where a missing key is reported. */
static const rfm_yaml *section_of(const rfm_yaml *map, const rfm__key *key)
{
    const char *dot = strrchr(key->path, '.');
    if (!dot)
        return map;
    char section[128];
    snprintf(section, sizeof section, "%.*s", (int)(dot - key->path), key->path);
    const rfm_yaml *node = rfm__find_path(map, section);
    return node && node->kind == RFM_YAML_MAP ? node : NULL;
}

static void report_missing(rfm__loader *loader, const rfm__key *key, const rfm_yaml *map)
{
    const rfm_yaml *section = section_of(map, key);
    if (key->flags & RFM__REQUIRED || (key->flags & RFM__REQUIRED_WITHIN && section))
        rfm__report(loader, section ? section : map, "%s is missing", key->path);
}

static void read_absent(rfm__loader *loader, const rfm__key *key, const rfm_yaml *map, void *at)
{
    if (!key->fallback) {
        report_missing(loader, key, map);
        return;
    }
    static const rfm_yaml_source defaults = {.name = "(default)", .directory = ""};
    rfm_yaml *node = key->kind->scalar ? rfm_yaml_scalar(&loader->scratch, &defaults, key->fallback)
                                       : rfm__parse_text(loader, &defaults, rfm_text(key->fallback));
    RFM_ASSERT(node);
    key->kind->read(loader, key, node, at);
}

void rfm__table_read(rfm__loader *loader, const rfm__table *table, const rfm_yaml *map, void *target)
{
    if (map->kind != RFM_YAML_MAP && !rfm_yaml_is_null(map)) {
        rfm__report(loader, map, "a map of keys is needed here, not %s", rfm__show_node(map).text);
        return;
    }
    const char *outer = loader->key;
    loader->key = NULL;
    check_known(loader, table, map, "");
    for (size_t i = 0; i < table->count; i++) {
        const rfm__key *key = &table->keys[i];
        void *at = (char *)target + key->at;
        const rfm_yaml *node = rfm__find_path(map, key->path);
        if (!node || rfm_yaml_is_null(node)) {
            read_absent(loader, key, map, at);
            continue;
        }
        loader->key = key->path;
        key->kind->read(loader, key, node, at);
        loader->key = NULL;
    }
    loader->key = outer;
}

/* How many leading sections two paths have in common, and where the rest of the second begins. */
static const char *shared_sections(const char *before, const char *path, unsigned *depth)
{
    const char *rest = path;
    *depth = 0;
    for (const char *dot = strchr(path, '.'); dot; dot = strchr(dot + 1, '.')) {
        size_t len = (size_t)(dot - path) + 1;
        if (strncmp(before, path, len) != 0)
            break;
        rest = dot + 1;
        ++*depth;
    }
    return rest;
}

static void print_key(const rfm__key *key, const char *before, const rfm_config *config, const void *target,
                      unsigned indent, rfm_buffer *yaml)
{
    unsigned depth;
    const char *rest = shared_sections(before, key->path, &depth);
    for (const char *dot; (dot = strchr(rest, '.')); rest = dot + 1, depth++)
        rfm_write_format(yaml, "%*s%.*s:\n", (int)(indent + 2 * depth), "", (int)(dot - rest), rest);
    rfm_write_format(yaml, "%*s%s: ", (int)(indent + 2 * depth), "", rest);
    key->kind->print(yaml, key, config, (const char *)target + key->at);
    rfm_write_text(yaml, "\n");
}

void rfm__table_print(const rfm__table *table, const rfm_config *config, const void *target, unsigned indent,
                      rfm_buffer *yaml)
{
    const char *before = "";
    for (size_t i = 0; i < table->count; i++) {
        const rfm__key *key = &table->keys[i];
        if (!key->kind->print || key->flags & RFM__SECRET)
            continue;
        print_key(key, before, config, target, indent, yaml);
        before = key->path;
    }
}

void rfm__table_canonical(const rfm__table *table, const rfm_config *config, const void *target, const void *defaults,
                          rfm_buffer *text)
{
    rfm_buffer value, fallback;
    rfm_buffer_init(&value, 1 << 20);
    rfm_buffer_init(&fallback, 1 << 20);
    for (size_t i = 0; i < table->count; i++) {
        const rfm__key *key = &table->keys[i];
        if (!key->kind->print || key->flags & RFM__SECRET)
            continue;
        rfm_buffer_clear(&value);
        rfm_buffer_clear(&fallback);
        key->kind->print(&value, key, config, (const char *)target + key->at);
        key->kind->print(&fallback, key, config, (const char *)defaults + key->at);
        if (rfm_bytes_equal(rfm_buffer_view(&value), rfm_buffer_view(&fallback)))
            continue;
        rfm_write_format(text, "%s=", key->path);
        rfm_write_bytes(text, rfm_buffer_view(&value));
        rfm_write_text(text, "\n");
    }
    rfm_buffer_release(&value);
    rfm_buffer_release(&fallback);
}

static void reference_range(const rfm__key *key, rfm_buffer *markdown)
{
    if (key->kind->text) {
        rfm_write_format(markdown, ", %.0f bytes at most", key->high);
        return;
    }
    const double bounds[] = {key->low, key->high};
    for (int i = 0; i < 2; i++) {
        rfm_write_text(markdown, i == 0 ? ", " : " to ");
        if (key->kind == &rfm__size)
            rfm__print_size(markdown, (uint64_t)bounds[i]);
        else if (key->kind == &rfm__duration || key->kind == &rfm__days)
            rfm__print_duration(markdown, (int64_t)(bounds[i] * 1000));
        else
            rfm_write_format(markdown, "%.15g", bounds[i]);
    }
}

static void reference_type(const rfm__key *key, rfm_buffer *markdown)
{
    rfm_write_text(markdown, key->kind->name);
    const char *separator = ": ";
    for (const char *const *choice = key->choices; choice && *choice; choice++) {
        if (**choice == '!')
            continue;
        rfm_write_format(markdown, "%s`%s`", separator, *choice);
        separator = ", ";
    }
    if (key->high > key->low)
        reference_range(key, markdown);
}

void rfm__table_reference(const rfm__table *table, rfm_buffer *markdown)
{
    rfm_write_text(markdown, "| key | type | default | |\n|---|---|---|---|\n");
    for (size_t i = 0; i < table->count; i++) {
        const rfm__key *key = &table->keys[i];
        rfm_write_format(markdown, "| `%s` | ", key->path);
        reference_type(key, markdown);
        if (key->flags & (RFM__REQUIRED | RFM__REQUIRED_WITHIN))
            rfm_write_text(markdown, " | required | ");
        else if (key->fallback)
            rfm_write_format(markdown, " | `%s` | ", key->fallback);
        else
            rfm_write_text(markdown, " | | ");
        rfm_write_format(markdown, "%s |\n", key->text);
    }
}
