/* An expression: its first byte says which values are there and what they are, the rest is the text. What compiles must
 * evaluate to the same twice, read only what it says it reads, and be written as JSON; a condition must come to the
 * same as an item of a list, where it has no shortcut, and be sifted out only if it is false; what does not compile
 * must say where. */
#include <rfm/expr/expr.h>

#include <stdlib.h>

static const rfm_expr_member status_members[] = {{"sent", &rfm_expr_int}, {"opened", &rfm_expr_int}, {NULL, NULL}};
static const rfm_expr_type statuses = {.kind = RFM_EXPR_STRUCT, .members = status_members};
static const rfm_expr_type channels = {.kind = RFM_EXPR_MAP, .item = &statuses};
static const rfm_expr_type integers = {.kind = RFM_EXPR_LIST, .item = &rfm_expr_int};

static const rfm_expr_field fields[] = {
    {"now", &rfm_expr_timestamp, false, 0},    {"client.n", &rfm_expr_int, true, 0},
    {"client.d", &rfm_expr_double, true, 0},   {"client.b", &rfm_expr_bool, true, 0},
    {"client.s", &rfm_expr_string, true, 0},   {"client.t", &rfm_expr_timestamp, true, 0},
    {"client.g", &rfm_expr_duration, true, 0}, {"client.l", &rfm_expr_strings, true, 0},
    {"client.i", &integers, true, 0},          {"client.m", &channels, true, 0},
    {"client.rfm.r", &rfm_expr_int, true, 0},  {"client.rfm.f", &rfm_expr_int, true, 0},
    {"event.s", &rfm_expr_string, true, 1},    {"event.hidden", &rfm_expr_string, true, 2},
};
enum { FIELDS = sizeof fields / sizeof *fields };

typedef struct test_world {
    uint8_t seed;
    bool fetched[FIELDS];
} test_world;

static bool find_status(void *context, const void *at, rfm_bytes key, rfm_expr_value *value)
{
    (void)context, (void)at;
    value->integer = 3;
    return rfm_bytes_is(key, "sent");
}
static bool status_at(void *context, const void *at, size_t i, rfm_bytes *key, rfm_expr_value *value)
{
    *key = rfm_text("sent");
    return i == 0 && find_status(context, at, *key, value);
}
static const rfm_expr_class status_class = {find_status, status_at};

static bool find_channel(void *context, const void *at, rfm_bytes key, rfm_expr_value *value)
{
    (void)context, (void)at;
    value->object.class_ = &status_class;
    value->object.at = NULL;
    return rfm_bytes_is(key, "email");
}
static bool channel_at(void *context, const void *at, size_t i, rfm_bytes *key, rfm_expr_value *value)
{
    *key = rfm_text("email");
    return i == 0 && find_channel(context, at, *key, value);
}

static bool fetch(void *context, size_t field, rfm_expr_value *value)
{
    static const rfm_expr_class channel_class = {find_channel, channel_at};
    static const int64_t values[] = {0, 1, -1, INT64_MAX, INT64_MIN, 3};
    static rfm_expr_value items[2];
    test_world *world = context;
    RFM_ASSERT(!world->fetched[field]);
    world->fetched[field] = true;
    if (world->seed >> (field % 8) & 1)
        return false;
    int64_t integer = values[(world->seed + field) % 6];
    switch (fields[field].type->kind) {
    case RFM_EXPR_BOOL: value->truth = integer & 1; break;
    case RFM_EXPR_DOUBLE: value->number = (double)integer / 2; break;
    case RFM_EXPR_STRING: value->text = rfm_text(integer & 1 ? "Europe/Berlin\xff" : ""); break;
    case RFM_EXPR_TIMESTAMP: value->time_ms = integer % INT64_C(60000000000000); break;
    case RFM_EXPR_DURATION: value->duration_ms = integer % INT64_C(300000000000000); break;
    case RFM_EXPR_LIST:
        if (fields[field].type->item->kind == RFM_EXPR_STRING)
            items[0].text = rfm_text("a"), items[1].text = RFM_BYTES_NONE;
        else
            items[0].integer = integer, items[1].integer = 2;
        value->list.at = items, value->list.count = world->seed % 3;
        break;
    case RFM_EXPR_MAP: value->object.class_ = &channel_class, value->object.at = NULL; break;
    default: value->integer = integer; break;
    }
    return true;
}

static rfm_expr_result evaluate(const rfm_expr *expr, rfm_expr_frame *frame, test_world *world, rfm_buffer *json)
{
    const rfm_expr_host host = {.fetch = fetch};
    memset(world->fetched, 0, sizeof world->fetched);
    rfm_expr_frame_init(frame, &host, world);
    rfm_expr_result result = rfm_expr_eval(expr, frame);
    if (!result.fault)
        rfm_expr_write_json(json, rfm_expr_type_of(expr), &result.value, world);
    return result;
}

static void check_reads(const rfm_expr *expr, const test_world *world)
{
    size_t count, i;
    const uint16_t *reads = rfm_expr_reads(expr, &count);
    for (size_t field = 0; field < FIELDS; field++) {
        for (i = 0; i < count && reads[i] != field; i++)
            ;
        RFM_ASSERT(!world->fetched[field] || i < count);
        RFM_ASSERT(i == count || fields[field].scope != 2);
    }
}

static void check_program(const rfm_expr *expr, uint8_t seed, size_t size)
{
    static rfm_expr_frame frame;
    test_world world = {.seed = seed};
    rfm_buffer first, second;
    rfm_buffer_init(&first, 1 << 20);
    rfm_buffer_init(&second, 1 << 20);
    rfm_expr_result one = evaluate(expr, &frame, &world, &first);
    check_reads(expr, &world);
    rfm_expr_result two = evaluate(expr, &frame, &world, &second);
    RFM_ASSERT(one.fault < RFM_EXPR_FAULT_COUNT && one.fault == two.fault);
    RFM_ASSERT(one.fault == RFM_EXPR_OK || (one.from < one.until && one.until <= size));
    RFM_ASSERT(!first.bad && rfm_bytes_equal(rfm_buffer_view(&first), rfm_buffer_view(&second)));
    rfm_buffer_release(&first);
    rfm_buffer_release(&second);
}

static rfm_expr_result result_of(const rfm_expr *expr, rfm_expr_frame *frame, uint8_t seed, uint64_t *sifted)
{
    test_world world = {.seed = seed};
    const rfm_expr_host host = {.fetch = fetch};
    rfm_expr_frame_init(frame, &host, &world);
    if (sifted) {
        const rfm_expr *conditions[64] = {[63] = expr};
        rfm_expr_sift(conditions, 1, sifted, frame);
    }
    return rfm_expr_eval(expr, frame);
}

static void check_condition(const rfm_expr_env *env, const rfm_expr *expr, uint8_t seed, rfm_bytes text,
                            rfm_arena *arena)
{
    static rfm_expr_frame frame;
    uint8_t bytes[RFM_EXPR_BYTES_MAX + 8];
    rfm_buffer item = rfm_buffer_over(bytes, sizeof bytes);
    const rfm_expr *plain;
    rfm_expr_error error;
    if (rfm_expr_type_of(expr)->kind != RFM_EXPR_BOOL)
        return;
    rfm_write_u8(&item, '[');
    rfm_write_bytes(&item, text);
    rfm_write_text(&item, "\n][0]");
    if (rfm_expr_compile(env, rfm_buffer_view(&item), &rfm_expr_bool, arena, &plain, &error))
        return; /* too large by now */
    uint64_t sifted = 1 | UINT64_C(1) << 63;
    rfm_expr_result one = result_of(expr, &frame, seed, &sifted), two = result_of(plain, &frame, seed, NULL);
    if (one.fault == RFM_EXPR_OK && two.fault == RFM_EXPR_TOO_LARGE)
        return; /* the list around it needs room of its own */
    RFM_ASSERT(one.fault == two.fault);
    if (one.fault == RFM_EXPR_OK)
        RFM_ASSERT(one.value.truth == two.value.truth);
    RFM_ASSERT((sifted & 1) && (sifted >> 63 || (one.fault == RFM_EXPR_OK && !one.value.truth)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const rfm_expr_env env = {.fields = fields, .field_count = FIELDS, .scope = 1};
    const rfm_expr *expr;
    rfm_expr_error error;
    rfm_arena arena;
    rfm_arena_init(&arena);
    if (rfm_expr_compile(&env, rfm_bytes_of(data + 1, size - 1), NULL, &arena, &expr, &error))
        RFM_ASSERT(error.line > 0 && error.column > 0 && *error.message && strchr(error.excerpt, '^'));
    else {
        check_program(expr, data[0], size - 1);
        check_condition(&env, expr, data[0], rfm_bytes_of(data + 1, size - 1), &arena);
    }
    rfm_arena_release(&arena);
    return 0;
}
