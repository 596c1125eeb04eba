#include <rfm/base/zones.h>

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { DEPTH_MAX = 3, ZONES_MAX = 4096 };

typedef struct named_zone {
    char *name;
    rfm_zone *zone;
} named_zone;

struct rfm_zones {
    named_zone *items;
    size_t count, size;
};

static int compare(const void *a, const void *b)
{
    return strcmp(((const named_zone *)a)->name, ((const named_zone *)b)->name);
}

static void add(rfm_zones *zones, const char *name)
{
    rfm_zone *zone;
    char *copy = strdup(name);
    if (zones->count == zones->size) {
        size_t size = zones->size ? zones->size * 2 : 1024;
        named_zone *items = realloc(zones->items, size * sizeof *items);
        if (items)
            zones->items = items, zones->size = size;
    }
    if (!copy || zones->count == zones->size || rfm_zone_load(name, &zone, NULL) != RFM_OK) {
        free(copy); /* the tables that lie beside the zones are none themselves */
        return;
    }
    zones->items[zones->count++] = (named_zone){copy, zone};
}

/* Other forms of the same zones, and what this machine takes for its own. */
static bool is_left_out(const char *name)
{
    static const char *const names[] = {"posix", "right", "localtime", "posixrules"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return name[0] == '.';
}

static void add_directory(rfm_zones *zones, const char *root, const char *within, int depth)
{
    char path[PATH_MAX], name[PATH_MAX];
    struct stat stat_of;
    snprintf(path, sizeof path, "%s/%s", root, within);
    DIR *directory = opendir(path);
    if (!directory)
        return;
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL && zones->count < ZONES_MAX;) {
        int name_len = snprintf(name, sizeof name, "%s%s%s", within, *within ? "/" : "", entry->d_name);
        int path_len = snprintf(path, sizeof path, "%s/%s", root, name);
        if (is_left_out(entry->d_name) || name_len >= (int)sizeof name || path_len >= (int)sizeof path ||
            stat(path, &stat_of) != 0)
            continue;
        if (S_ISDIR(stat_of.st_mode) && depth < DEPTH_MAX)
            add_directory(zones, root, name, depth + 1);
        else if (S_ISREG(stat_of.st_mode))
            add(zones, name);
    }
    closedir(directory);
}

static void drop_doubles(rfm_zones *zones)
{
    size_t kept = 0;
    for (size_t i = 0; i < zones->count; i++) {
        if (kept > 0 && strcmp(zones->items[kept - 1].name, zones->items[i].name) == 0) {
            free(zones->items[i].name);
            rfm_zone_free(zones->items[i].zone);
        } else {
            zones->items[kept++] = zones->items[i];
        }
    }
    zones->count = kept;
}

rfm_zones *rfm_zones_load(void)
{
    const char *tzdir = getenv("TZDIR");
    rfm_zones *zones = calloc(1, sizeof *zones);
    if (!zones)
        return NULL;
    add(zones, "UTC");
    if (tzdir && *tzdir)
        add_directory(zones, tzdir, "", 1);
    add_directory(zones, "/usr/share/zoneinfo", "", 1);
    if (zones->count > 0)
        qsort(zones->items, zones->count, sizeof *zones->items, compare);
    drop_doubles(zones);
    return zones;
}

void rfm_zones_free(rfm_zones *zones)
{
    if (!zones)
        return;
    for (size_t i = 0; i < zones->count; i++) {
        free(zones->items[i].name);
        rfm_zone_free(zones->items[i].zone);
    }
    free(zones->items);
    free(zones);
}

size_t rfm_zones_count(const rfm_zones *zones)
{
    return zones->count;
}

const rfm_zone *rfm_zones_find(const rfm_zones *zones, rfm_bytes name)
{
    size_t low = 0, high = zones ? zones->count : 0;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = rfm_bytes_compare(rfm_text(zones->items[middle].name), name);
        if (order == 0)
            return zones->items[middle].zone;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

bool rfm_zones_has(const rfm_zones *zones, rfm_bytes name)
{
    return rfm_bytes_is(name, "UTC") || rfm_zones_find(zones, name) != NULL;
}
