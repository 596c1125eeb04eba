/* Evaluates cases of expressions and compares the results with those of another implementation (tests/conform/main.go).
 * Usage: expr_conform [FILE]   (default: standard input)
 *
 * A case is a line: expression, expected result, then values, divided by tabs; other bytes than printable ASCII, and %,
 * are %XX. Results: `refused`, `failed`, or a type, a colon and the value: int:-5, double: and the bits in hex,
 * bool:true, string:text, timestamp: and duration: in ms, null:, list:[...]. Values: path=value, and map/key=value or
 * map/key/member=value or map/key= for an entry of a map. A field without a value is absent. */
#include <rfm/expr/expr.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { ENTRIES_MAX = 16, MEMBERS_MAX = 4, ITEMS_MAX = 16, ZONES_MAX = 64, TEXT_MAX = 1 << 16 };

typedef struct entry {
    rfm_bytes key;
    bool has_value;
    int64_t value;
    struct entry *inner; /* of a map of structs */
    size_t inner_count;
} entry;

static const rfm_expr_type integers = {.kind = RFM_EXPR_LIST, .item = &rfm_expr_int};
static const rfm_expr_type doubles = {.kind = RFM_EXPR_LIST, .item = &rfm_expr_double};
static const rfm_expr_member members[] = {{"sent", &rfm_expr_int}, {"opened", &rfm_expr_int}, {NULL, NULL}};
static const rfm_expr_type statuses = {.kind = RFM_EXPR_STRUCT, .members = members};
static const rfm_expr_type counts = {.kind = RFM_EXPR_MAP, .item = &rfm_expr_int};
static const rfm_expr_type channels = {.kind = RFM_EXPR_MAP, .item = &statuses};

static const rfm_expr_field fields[] = {
    {"now", &rfm_expr_timestamp, false, 0},         {"client.orders", &rfm_expr_int, false, 0},
    {"client.points", &rfm_expr_int, true, 0},      {"client.revenue", &rfm_expr_double, false, 0},
    {"client.risk", &rfm_expr_double, true, 0},     {"client.vip", &rfm_expr_bool, false, 0},
    {"client.active", &rfm_expr_bool, true, 0},     {"client.name", &rfm_expr_string, false, 0},
    {"client.city", &rfm_expr_string, true, 0},     {"client.zone", &rfm_expr_string, false, 0},
    {"client.last", &rfm_expr_timestamp, false, 0}, {"client.first", &rfm_expr_timestamp, true, 0},
    {"client.gap", &rfm_expr_duration, false, 0},   {"client.wait", &rfm_expr_duration, true, 0},
    {"client.tags", &rfm_expr_strings, false, 0},   {"client.visits", &integers, false, 0},
    {"client.scores", &doubles, true, 0},           {"client.counts", &counts, false, 0},
    {"client.messages", &channels, false, 0},       {"client.rfm.r", &rfm_expr_int, true, 0},
    {"client.rfm.f", &rfm_expr_int, true, 0},       {"event.kind", &rfm_expr_string, true, 0},
    {"event.amount", &rfm_expr_double, true, 0},
};
enum { FIELDS = sizeof fields / sizeof *fields };

typedef struct test_world {
    bool present[FIELDS];
    rfm_expr_value value[FIELDS];
    rfm_arena arena;
    struct {
        char name[64];
        rfm_zone *zone;
    } zones[ZONES_MAX];
    size_t zone_count;
    rfm_expr_frame frame;
} test_world;

/* -- the host */

static const entry *find_entry(const entry *map, rfm_bytes key)
{
    for (size_t i = 0; i < map->inner_count; i++) {
        if (rfm_bytes_equal(map->inner[i].key, key))
            return &map->inner[i];
    }
    return NULL;
}

static bool find(void *context, const void *at, rfm_bytes key, rfm_expr_value *value);
static bool entry_at(void *context, const void *at, size_t i, rfm_bytes *key, rfm_expr_value *value);
static const rfm_expr_class class_ = {find, entry_at};

static void value_of(const entry *found, rfm_expr_value *value)
{
    if (found->has_value) {
        value->integer = found->value;
    } else {
        value->object.class_ = &class_;
        value->object.at = found;
    }
}

static bool find(void *context, const void *at, rfm_bytes key, rfm_expr_value *value)
{
    const entry *found = find_entry(at, key);
    (void)context;
    if (found)
        value_of(found, value);
    return found != NULL;
}

static bool entry_at(void *context, const void *at, size_t i, rfm_bytes *key, rfm_expr_value *value)
{
    const entry *map = at;
    (void)context;
    if (i >= map->inner_count)
        return false;
    *key = map->inner[i].key;
    value_of(&map->inner[i], value);
    return true;
}

static bool fetch(void *context, size_t field, rfm_expr_value *value)
{
    const test_world *world = context;
    *value = world->value[field];
    return world->present[field];
}

static const rfm_zone *zone_of(void *context, rfm_bytes name)
{
    test_world *world = context;
    rfm_zone *zone;
    char text[64];
    for (size_t i = 0; i < world->zone_count; i++) {
        if (rfm_bytes_is(name, world->zones[i].name))
            return world->zones[i].zone;
    }
    if (name.len >= sizeof text || world->zone_count == ZONES_MAX)
        return NULL;
    snprintf(text, sizeof text, "%.*s", (int)name.len, name.at);
    if (rfm_zone_load(text, &zone, NULL))
        return NULL;
    memcpy(world->zones[world->zone_count].name, text, sizeof text);
    world->zones[world->zone_count].zone = zone;
    return world->zones[world->zone_count++].zone;
}

/* -- cases */

static rfm_bytes decoded(rfm_arena *arena, const char *text, size_t len)
{
    uint8_t *at = rfm_arena_take(arena, len + 1);
    size_t count = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned byte = (unsigned char)text[i];
        if (byte == '%' && i + 2 < len && sscanf(text + i + 1, "%2x", &byte) == 1)
            i += 2;
        at[count++] = (uint8_t)byte;
    }
    at[count] = 0;
    return rfm_bytes_of(at, count);
}

static void bits_to_double(const char *text, double *number)
{
    uint64_t bits = strtoull(text, NULL, 16);
    memcpy(number, &bits, sizeof *number);
}

static void read_scalar(test_world *world, rfm_expr_kind kind, const char *text, size_t len, rfm_expr_value *value)
{
    if (kind == RFM_EXPR_BOOL)
        value->truth = *text == 't';
    else if (kind == RFM_EXPR_DOUBLE)
        bits_to_double(text, &value->number);
    else if (kind == RFM_EXPR_STRING)
        value->text = decoded(&world->arena, text, len);
    else
        value->integer = strtoll(text, NULL, 10);
}

/* Items divided by commas. */
static void read_list(test_world *world, rfm_expr_kind kind, const char *text, rfm_expr_value *value)
{
    rfm_expr_value *items = rfm_arena_take(&world->arena, ITEMS_MAX * sizeof *items);
    size_t count = 0;
    for (const char *at = text + 1; *at && *at != ']' && count < ITEMS_MAX;) {
        size_t len = strcspn(at, ",]");
        read_scalar(world, kind, at, len, &items[count++]);
        at += len + (at[len] == ',');
    }
    value->list.at = items;
    value->list.count = count;
}

static entry *entry_new(test_world *world, entry *map, rfm_bytes key)
{
    entry *found = NULL;
    for (size_t i = 0; i < map->inner_count; i++)
        found = rfm_bytes_equal(map->inner[i].key, key) ? &map->inner[i] : found;
    if (found)
        return found;
    if (!map->inner)
        map->inner = rfm_arena_take(&world->arena, ENTRIES_MAX * sizeof *map->inner);
    RFM_ASSERT(map->inner_count < ENTRIES_MAX);
    found = &map->inner[map->inner_count++];
    *found = (entry){.key = key};
    return found;
}

/* "email/sent=3", "email=": below the map's path. */
static void read_entry(test_world *world, entry *map, const char *text)
{
    while (*text) {
        size_t len = strcspn(text, "/=");
        map = entry_new(world, map, decoded(&world->arena, text, len));
        text += len;
        if (*text++ == '=') {
            map->has_value = *text != 0;
            map->value = strtoll(text, NULL, 10);
            return;
        }
    }
}

static void read_value(test_world *world, const char *text)
{
    size_t path_len = strcspn(text, "/="), field = 0;
    while (field < FIELDS &&
           (strlen(fields[field].path) != path_len || strncmp(fields[field].path, text, path_len) != 0))
        field++;
    RFM_ASSERT(field < FIELDS);
    const rfm_expr_type *type = fields[field].type;
    const char *rest = text + path_len + 1;
    world->present[field] = true;
    if (type->kind == RFM_EXPR_MAP)
        read_entry(world, (entry *)(uintptr_t)world->value[field].object.at, rest);
    else if (type->kind == RFM_EXPR_LIST)
        read_list(world, type->item->kind, rest, &world->value[field]);
    else
        read_scalar(world, type->kind, rest, strlen(rest), &world->value[field]);
}

static void forget(test_world *world)
{
    for (size_t i = 0; i < FIELDS; i++) {
        bool map = fields[i].type->kind == RFM_EXPR_MAP;
        world->present[i] = map;
        if (!map)
            continue;
        entry *root = rfm_arena_take(&world->arena, sizeof *root);
        *root = (entry){.inner = NULL};
        world->value[i].object.class_ = &class_;
        world->value[i].object.at = root;
    }
}

/* -- results */

static void write_text(rfm_buffer *out, rfm_bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] > 0x20 && text.at[i] < 0x7f && !strchr("%,[]", text.at[i]))
            rfm_write_u8(out, text.at[i]);
        else
            rfm_write_format(out, "%%%02X", text.at[i]);
    }
}

static void write_value(rfm_buffer *out, const rfm_expr_type *type, const rfm_expr_value *value)
{
    static const char *const names[] = {"any",    "null",      "bool",     "int", "double",
                                        "string", "timestamp", "duration", "list"};
    uint64_t bits;
    memcpy(&bits, &value->number, sizeof bits);
    rfm_write_format(out, "%s:", names[type->kind]);
    if (type->kind == RFM_EXPR_BOOL) {
        rfm_write_text(out, value->truth ? "true" : "false");
    } else if (type->kind == RFM_EXPR_DOUBLE) {
        rfm_write_format(out, isnan(value->number) ? "nan" : "%016" PRIx64, bits);
    } else if (type->kind == RFM_EXPR_STRING) {
        write_text(out, value->text);
    } else if (type->kind == RFM_EXPR_LIST) {
        rfm_write_text(out, "[");
        for (size_t i = 0; i < value->list.count; i++) {
            rfm_write_text(out, i ? "," : "");
            write_value(out, type->item, &value->list.at[i]);
        }
        rfm_write_text(out, "]");
    } else if (type->kind != RFM_EXPR_NULL) {
        rfm_write_format(out, "%" PRId64, value->integer);
    }
}

static void evaluate(test_world *world, rfm_bytes text, rfm_buffer *out)
{
    const rfm_expr_env env = {.fields = fields, .field_count = FIELDS};
    const rfm_expr_host host = {fetch, zone_of};
    const rfm_expr *expr;
    rfm_expr_error error;
    if (rfm_expr_compile(&env, text, NULL, &world->arena, &expr, &error)) {
        rfm_write_text(out, "refused");
        return;
    }
    rfm_expr_frame_init(&world->frame, &host, world);
    rfm_expr_result result = rfm_expr_eval(expr, &world->frame);
    if (result.fault)
        rfm_write_text(out, "failed");
    else
        write_value(out, rfm_expr_type_of(expr), &result.value);
}

/* Whether the case comes out as expected. */
static bool run_case(test_world *world, char *line)
{
    char *rest = line, *expression = strsep(&rest, "\t"), *expected = strsep(&rest, "\t");
    rfm_buffer out;
    if (!expected)
        return false;
    rfm_arena_reset(&world->arena);
    forget(world);
    for (char *value; (value = strsep(&rest, "\t"));)
        read_value(world, value);
    rfm_bytes text = decoded(&world->arena, expression, strlen(expression));
    rfm_buffer_init(&out, TEXT_MAX);
    evaluate(world, text, &out);
    bool good = rfm_bytes_is(rfm_buffer_view(&out), expected);
    if (!good) {
        printf("%.*s\n  expected %s\n  is       %.*s\n", (int)text.len, (const char *)text.at, expected, (int)out.len,
               (const char *)out.at);
    }
    rfm_buffer_release(&out);
    return good;
}

int main(int argc, char **argv)
{
    FILE *file = argc > 1 ? fopen(argv[1], "r") : stdin;
    char *line = NULL;
    size_t size = 0, cases = 0, refused = 0, failed = 0, wrong = 0;
    static test_world world;
    if (!file) {
        fprintf(stderr, "%s: cannot be read\n", argv[1]);
        return 2;
    }
    rfm_arena_init(&world.arena);
    for (ssize_t len; (len = getline(&line, &size, file)) > 0; cases++) {
        line[len - (line[len - 1] == '\n')] = 0;
        refused += strstr(line, "\trefused") != NULL;
        failed += strstr(line, "\tfailed") != NULL;
        wrong += !run_case(&world, line);
    }
    printf("%zu cases (%zu to be refused, %zu to fail), %zu differ\n", cases, refused, failed, wrong);
    for (size_t i = 0; i < world.zone_count; i++)
        rfm_zone_free(world.zones[i].zone);
    rfm_arena_release(&world.arena);
    free(line);
    if (argc > 1)
        fclose(file);
    return wrong > 0 || cases == 0;
}
