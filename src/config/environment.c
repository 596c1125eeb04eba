#include "keys.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

enum { VARIABLES_MAX = 1024, PATH_BYTES_MAX = 128 };

/* kafka.brokers for KAFKA__BROKERS; false: too long to be a key. */
static bool path_of(const char *name, size_t len, char path[PATH_BYTES_MAX])
{
    size_t out = 0;
    if (len >= PATH_BYTES_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        bool nested = name[i] == '_' && i + 1 < len && name[i + 1] == '_';
        path[out++] = nested ? '.' : (char)tolower((unsigned char)name[i]);
        i += nested;
    }
    path[out] = 0;
    return true;
}

/* Currencies are the only names of our own with capitals: money.rates.USD for MONEY__RATES__USD. */
static void restore_case(const rfm__key *key, char *name)
{
    for (; key->kind == &rfm__rates && *name; name++)
        *name = (char)toupper((unsigned char)*name);
}

/* The key whose path is `path` or its beginning, up to a dot; *rest is what follows. */
static const rfm__key *key_of(const char *path, const char **rest)
{
    const rfm__table *table = &rfm__config_table;
    for (size_t i = 0; i < table->count; i++) {
        size_t len = strlen(table->keys[i].path);
        if (strncmp(path, table->keys[i].path, len) == 0 && (path[len] == 0 || path[len] == '.')) {
            *rest = path + len + (path[len] == '.');
            return &table->keys[i];
        }
    }
    return NULL;
}

static void put_path(rfm__loader *loader, rfm_yaml *map, const rfm_yaml_source *source, const char *path,
                     rfm_yaml *value)
{
    for (const char *dot; (dot = strchr(path, '.')); path = dot + 1) {
        const char *name = rfm__keep(loader, path, (size_t)(dot - path));
        rfm_yaml *child = rfm_yaml_find(map, rfm_text(name));
        if (!child || child->kind != RFM_YAML_MAP) {
            rfm_yaml_put(map, name, rfm_yaml_map(&loader->scratch, source));
            child = rfm_yaml_find(map, rfm_text(name));
        }
        map = child;
    }
    rfm_yaml_put(map, rfm__keep(loader, path, strlen(path)), value);
}

void rfm__variable_of(const char *path, char name[RFM__VARIABLE_MAX])
{
    size_t len = (size_t)snprintf(name, RFM__VARIABLE_MAX, "RFMD_");
    for (; *path && len + 3 < RFM__VARIABLE_MAX; path++) {
        name[len++] = *path == '.' ? '_' : (char)toupper((unsigned char)*path);
        if (*path == '.')
            name[len++] = '_';
    }
    name[len] = 0;
}

static void report_section(rfm__loader *loader, const rfm_yaml *node, const char *section)
{
    char variable[RFM__VARIABLE_MAX];
    const rfm__table *table = &rfm__config_table;
    size_t i = 0, len = strlen(section);
    while (strncmp(table->keys[i].path, section, len) != 0 || table->keys[i].path[len] != '.')
        i++;
    rfm__variable_of(table->keys[i].path, variable);
    rfm__report(loader, node, "%s is a section, not a key: set its keys, such as %s", section, variable);
}

/* A variable without a double underscore may be somebody else's (Kubernetes sets RFMD_PORT and the like for a service
 * named rfmd): it is ours only if it names a key or a section, and an error only if it nearly does. */
static void report_unknown(rfm__loader *loader, const rfm_yaml *node, const char *path)
{
    char nearest[PATH_BYTES_MAX], flat[PATH_BYTES_MAX];
    const rfm__table *table = &rfm__config_table;
    bool nested = strchr(path, '.') != NULL;
    if (rfm__table_has_section(table, path)) {
        if (*node->text)
            report_section(loader, node, path);
        return;
    }
    for (size_t i = 0; !nested && i < table->count; i++) {
        snprintf(flat, sizeof flat, "%s", table->keys[i].path);
        for (char *dot = flat; (dot = strchr(dot, '.'));)
            *dot = '_';
        if (strcmp(flat, path) == 0)
            rfm__report(loader, node, "two underscores stand for a level: this is %s", table->keys[i].path);
    }
    if (!nested)
        return;
    const char *dot = strchr(path, '.');
    snprintf(flat, sizeof flat, "%.*s", (int)(dot - path), path);
    bool section = rfm__table_has_section(table, flat);
    snprintf(flat, sizeof flat, "%.*s", section ? (int)(dot - path) + 1 : 0, path);
    rfm__report(loader, node, "unknown key \"%s\"; the nearest known one is \"%s\"", path,
                rfm__table_nearest(table, flat, section ? dot + 1 : path, nearest));
}

static void apply_variable(rfm__loader *loader, rfm_yaml *root, const char *variable)
{
    const char *equals = strchr(variable, '='), *rest, *value = equals + 1;
    char path[PATH_BYTES_MAX];
    if (!path_of(variable + 5, (size_t)(equals - variable) - 5, path))
        return;
    rfm_yaml_source *source = rfm_arena_take(&loader->scratch, sizeof *source);
    *source = *rfm__source_new(loader, rfm__keep(loader, variable, (size_t)(equals - variable)), "");
    source->environment = true;
    rfm_yaml *node = rfm_yaml_scalar(&loader->scratch, source, value);
    const rfm__key *key = key_of(path, &rest);
    if (!key || (key->kind->scalar && *rest)) {
        report_unknown(loader, node, path);
        return;
    }
    restore_case(key, path + (rest - path));
    if (strlen(value) > RFM_CONFIG_FILE_BYTES_MAX) {
        rfm__report(loader, rfm_yaml_map(&loader->scratch, source), "longer than %d bytes", RFM_CONFIG_FILE_BYTES_MAX);
        return;
    }
    bool list = key->kind == &rfm__brokers && *value == '[';
    if (*value && (!key->kind->scalar || list))
        node = rfm__parse_text(loader, source, rfm_text(value));
    if (node)
        put_path(loader, root, source, path, node);
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void rfm__environment_apply(rfm__loader *loader, rfm_yaml *root, char *const *environment)
{
    const char *variables[VARIABLES_MAX];
    size_t count = 0;
    for (; environment && *environment && count < VARIABLES_MAX; environment++) {
        if (strncmp(*environment, "RFMD_", 5) == 0 && strchr(*environment, '='))
            variables[count++] = *environment;
    }
    qsort(variables, count, sizeof *variables, compare_texts);
    for (size_t i = 0; i < count; i++)
        apply_variable(loader, root, variables[i]);
}
