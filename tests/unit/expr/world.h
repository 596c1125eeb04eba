/* One client as expressions see it, and what an expression comes to, in words. */
#ifndef TESTS_EXPR_WORLD_H
#define TESTS_EXPR_WORLD_H

#include <rfm/expr/expr.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static const rfm_expr_member world_statuses_members[] = {
    {"sent", &rfm_expr_int}, {"opened", &rfm_expr_int}, {NULL, NULL}};
static const rfm_expr_type world_statuses = {.kind = RFM_EXPR_STRUCT, .members = world_statuses_members};
static const rfm_expr_type world_channels = {.kind = RFM_EXPR_MAP, .item = &world_statuses};
static const rfm_expr_type world_integers = {.kind = RFM_EXPR_LIST, .item = &rfm_expr_int};

enum { WORLD_PURCHASE = 1, WORLD_VISIT = 2 };
enum {
    WORLD_NOW,
    WORLD_ORDERS,
    WORLD_NPS,
    WORLD_REVENUE,
    WORLD_RISK,
    WORLD_VIP,
    WORLD_NAME,
    WORLD_ZONE,
    WORLD_LAST,
    WORLD_GAP,
    WORLD_TAGS,
    WORLD_VISITS,
    WORLD_MESSAGES,
    WORLD_R,
    WORLD_F,
    WORLD_CHANNEL,
    WORLD_AMOUNT
};
static const rfm_expr_field world_fields[] = {
    [WORLD_NOW] = {"now", &rfm_expr_timestamp, false, 0},
    [WORLD_ORDERS] = {"client.orders", &rfm_expr_int, false, 0},
    [WORLD_NPS] = {"client.nps", &rfm_expr_int, true, 0}, /* absent */
    [WORLD_REVENUE] = {"client.revenue", &rfm_expr_double, false, 0},
    [WORLD_RISK] = {"client.churn_risk", &rfm_expr_double, true, 0},
    [WORLD_VIP] = {"client.vip", &rfm_expr_bool, false, 0},
    [WORLD_NAME] = {"client.traits.name", &rfm_expr_string, true, 0},
    [WORLD_ZONE] = {"client.timezone", &rfm_expr_string, true, 0},
    [WORLD_LAST] = {"client.last_purchase", &rfm_expr_timestamp, false, 0},
    [WORLD_GAP] = {"client.gap", &rfm_expr_duration, false, 0},
    [WORLD_TAGS] = {"client.tags", &rfm_expr_strings, false, 0},
    [WORLD_VISITS] = {"client.visits", &world_integers, false, 0},
    [WORLD_MESSAGES] = {"client.messages", &world_channels, false, 0},
    [WORLD_R] = {"client.rfm.r", &rfm_expr_int, true, 0}, /* absent */
    [WORLD_F] = {"client.rfm.f", &rfm_expr_int, true, 0},
    [WORLD_CHANNEL] = {"event.channel", &rfm_expr_string, true, WORLD_PURCHASE | WORLD_VISIT},
    [WORLD_AMOUNT] = {"event.amount", &rfm_expr_double, true, WORLD_PURCHASE}, /* absent */
};
enum { WORLD_FIELDS = sizeof world_fields / sizeof *world_fields };

typedef struct test_world {
    rfm_arena arena;
    rfm_expr_env env;
    rfm_expr_frame frame;
    const rfm_expr *expr; /* of the last text */
    rfm_expr_error error;
    unsigned fetched[WORLD_FIELDS];
    rfm_zone *zone;
    char said[1024];
} test_world;

/* email: {sent: 3, opened: 1}, sms: {sent: 2} */
static bool world_find_status(void *context, const void *at, rfm_bytes key, rfm_expr_value *value)
{
    bool email = rfm_bytes_is(rfm_text(at), "email");
    (void)context;
    if (!rfm_bytes_is(key, "sent") && !(email && rfm_bytes_is(key, "opened")))
        return false;
    value->integer = rfm_bytes_is(key, "opened") ? 1 : email ? 3 : 2;
    return true;
}

static bool world_status(void *context, const void *at, size_t i, rfm_bytes *key, rfm_expr_value *value)
{
    if (i > 1)
        return false;
    *key = i ? rfm_text("opened") : rfm_text("sent");
    return world_find_status(context, at, *key, value);
}

static const rfm_expr_class world_status_class = {world_find_status, world_status};

static bool world_find_channel(void *context, const void *at, rfm_bytes key, rfm_expr_value *value)
{
    (void)context, (void)at;
    if (!rfm_bytes_is(key, "email") && !rfm_bytes_is(key, "sms"))
        return false;
    value->object.class_ = &world_status_class;
    value->object.at = rfm_bytes_is(key, "sms") ? "sms" : "email";
    return true;
}

static bool world_channel(void *context, const void *at, size_t i, rfm_bytes *key, rfm_expr_value *value)
{
    if (i > 1)
        return false;
    *key = i ? rfm_text("sms") : rfm_text("email");
    return world_find_channel(context, at, *key, value);
}

static bool world_fetch(void *context, size_t field, rfm_expr_value *value)
{
    static const rfm_expr_class channel_class = {world_find_channel, world_channel};
    static rfm_expr_value tags[2], visits[3];
    test_world *world = context;
    world->fetched[field]++;
    tags[0].text = rfm_text("red"), tags[1].text = rfm_text("blue");
    for (int i = 0; i < 3; i++)
        visits[i].integer = 10 * (i + 1);
    switch (field) {
    case WORLD_NOW: value->time_ms = INT64_C(1774746000123); return true; /* 2026-03-29T01:00:00.123Z */
    case WORLD_ORDERS: value->integer = 3; return true;
    case WORLD_REVENUE: value->number = 129.9; return true;
    case WORLD_RISK: value->number = 0.75; return true;
    case WORLD_VIP: value->truth = true; return true;
    case WORLD_NAME: value->text = rfm_text("Zo\xc3\xab"); return true;
    case WORLD_ZONE: value->text = rfm_text("Europe/Berlin"); return true;
    case WORLD_LAST: value->time_ms = INT64_C(1774746000123) - 40 * RFM_DAY_MS; return true;
    case WORLD_GAP: value->duration_ms = 90 * RFM_MINUTE_MS; return true;
    case WORLD_TAGS: value->list.at = tags, value->list.count = 2; return true;
    case WORLD_VISITS: value->list.at = visits, value->list.count = 3; return true;
    case WORLD_MESSAGES: value->object.class_ = &channel_class, value->object.at = NULL; return true;
    case WORLD_F: value->integer = 4; return true;
    case WORLD_CHANNEL: value->text = rfm_text("email"); return true;
    default: return false;
    }
}

static const rfm_zone *world_zone(void *context, rfm_bytes name)
{
    const test_world *world = context;
    return rfm_bytes_is(name, "Europe/Berlin") ? world->zone : NULL;
}

static bool world_has_zone(rfm_bytes name)
{
    return rfm_bytes_is(name, "Europe/Berlin");
}

static int world_setup(void **state)
{
    static test_world world;
    const rfm_expr_host host = {world_fetch, world_zone};
    memset(&world, 0, sizeof world);
    rfm_arena_init(&world.arena);
    world.env = (rfm_expr_env){
        .fields = world_fields, .field_count = WORLD_FIELDS, .scope = WORLD_PURCHASE, .has_zone = world_has_zone};
    rfm_expr_frame_init(&world.frame, &host, &world);
    /* Berlin's rule of today, for all times */
    static const char footer[] = "\nCET-1CEST,M3.5.0,M10.5.0/3\n";
    uint8_t tzif[256] = "TZif2";
    tzif[39] = 1, tzif[43] = 4;      /* one type, four bytes of names */
    memcpy(tzif + 44 + 6, "CET", 4); /* its block of version 1 */
    memcpy(tzif + 54, tzif, 54);     /* and of version 2 */
    memcpy(tzif + 108, footer, sizeof footer - 1);
    assert_int_equal(rfm_zone_of_bytes(rfm_bytes_of(tzif, 108 + sizeof footer - 1), &world.zone, NULL), 0);
    *state = &world;
    return 0;
}

static int world_teardown(void **state)
{
    test_world *world = *state;
    rfm_arena_release(&world->arena);
    rfm_zone_free(world->zone);
    return 0;
}

/* The result as JSON; of a fault its text, a colon and the part that failed; of a mistake line:column: message. */
static const char *say(test_world *world, const char *text)
{
    rfm_buffer out = rfm_buffer_over(world->said, sizeof world->said - 1);
    if (rfm_expr_compile(&world->env, rfm_text(text), NULL, &world->arena, &world->expr, &world->error)) {
        rfm_write_format(&out, "%u:%u: %s", world->error.line, world->error.column, world->error.message);
    } else {
        rfm_expr_result result = rfm_expr_eval(world->expr, &world->frame);
        if (result.fault)
            rfm_write_format(&out, "%s: %.*s", rfm_expr_fault_text(result.fault), result.until - result.from,
                             text + result.from);
        else
            rfm_expr_write_json(&out, rfm_expr_type_of(world->expr), &result.value, world);
    }
    world->said[out.len] = 0;
    return world->said;
}

typedef struct saying {
    const char *text, *said;
} saying;

static inline void assert_said(test_world *world, const saying *sayings, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *said = say(world, sayings[i].text);
        if (strcmp(said, sayings[i].said) != 0)
            print_error("%s\n", sayings[i].text);
        assert_string_equal(said, sayings[i].said);
    }
}
#define ASSERT_SAID(world, sayings) assert_said(world, sayings, sizeof sayings / sizeof *sayings)

#endif
