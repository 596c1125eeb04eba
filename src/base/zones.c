#include <rfm/base/zones.h>

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <rfm/base/grow.h>
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

static int add(rfm_zones *zones, const char *name, rfm_error *error)
{
    rfm_zone *zone;
    int code = rfm_zone_load(name, &zone, error);
    if (code != RFM_OK) /* the tables that lie beside the zones are none themselves */
        return code == RFM_E_IO ? code : RFM_OK;
    zones->items = rfm_grow(zones->items, zones->count, &zones->size);
    char *copy = strdup(name);
    RFM_NEED(copy);
    zones->items[zones->count++] = (named_zone){copy, zone};
    return RFM_OK;
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

static int add_directory(rfm_zones *zones, const char *root, const char *within, int depth, rfm_error *error);

static int add_entry(rfm_zones *zones, const char *root, const char *within, const char *entry, int depth,
                     rfm_error *error)
{
    char path[PATH_MAX], name[PATH_MAX];
    struct stat stat_of;
    int name_len = snprintf(name, sizeof name, "%s%s%s", within, *within ? "/" : "", entry);
    int path_len = snprintf(path, sizeof path, "%s/%s", root, name);
    if (is_left_out(entry) || name_len >= (int)sizeof name || path_len >= (int)sizeof path || stat(path, &stat_of) != 0)
        return RFM_OK;
    if (S_ISDIR(stat_of.st_mode) && depth < DEPTH_MAX)
        return add_directory(zones, root, name, depth + 1, error);
    return S_ISREG(stat_of.st_mode) ? add(zones, name, error) : RFM_OK;
}

static int add_directory(rfm_zones *zones, const char *root, const char *within, int depth, rfm_error *error)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", root, within);
    DIR *directory = opendir(path);
    RFM_NEED(directory || errno != ENOMEM);
    if (!directory)
        return errno == ENOENT || errno == ENOTDIR ? RFM_OK
                                                   : rfm_fail(error, RFM_E_IO, "%s: %s", path, strerror(errno));
    int code = RFM_OK;
    for (const struct dirent *entry;
         code == RFM_OK && zones->count < ZONES_MAX && (entry = readdir(directory)) != NULL;)
        code = add_entry(zones, root, within, entry->d_name, depth, error);
    closedir(directory);
    return code;
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

int rfm_zones_load(rfm_zones **zones, rfm_error *error)
{
    const char *tzdir = getenv("TZDIR");
    rfm_zones *made = calloc(1, sizeof *made);
    RFM_NEED(made);
    int code = add(made, "UTC", error);
    if (code == RFM_OK && tzdir && *tzdir)
        code = add_directory(made, tzdir, "", 1, error);
    if (code == RFM_OK)
        code = add_directory(made, "/usr/share/zoneinfo", "", 1, error);
    if (code != RFM_OK) {
        rfm_zones_free(made);
        return code;
    }
    qsort(made->items, made->count, sizeof *made->items, compare);
    drop_doubles(made);
    *zones = made;
    return RFM_OK;
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
