/* What expressions of rules see: each field beside what the client's JSON says, conditions that hold, fail and wait,
 * `data`. */
#include "scene.h"

#include <rfm/client/json.h>
#include <rfm/client/kpi.h>
#include <rfm/rule/notes.h>

static const rfm_trait traits[] = {{"born", RFM_TRAIT_DATE},   {"height", RFM_TRAIT_DOUBLE},  {"kids", RFM_TRAIT_INT},
                                   {"name", RFM_TRAIT_STRING}, {"seen", RFM_TRAIT_TIMESTAMP}, {"vip", RFM_TRAIT_BOOL}};

#define LITERAL(text)                             \
    {                                             \
        (const uint8_t *)(text), sizeof(text) - 1 \
    }

static scene *scene_with_traits(void)
{
    scene *s = scene_new();
    s->conf.traits = traits;
    s->conf.trait_count = sizeof traits / sizeof *traits;
    return s;
}

static rfm_datum *datum(scene *s, rfm_rule *rule, const char *name, const char *text)
{
    static rfm_datum data[RFM_DATA_MAX];
    rule->data = data;
    rfm_datum *added = &data[rule->data_count++];
    added->name = name;
    added->value = scene_expression(s, text, rfm_environment_scope(rule), NULL);
    rule->event_parts |= rfm_environment_event_parts(added->value.expr);
    rule->event_traits |= rfm_environment_event_traits(added->value.expr);
    return added;
}

static void expect_data(scene *s, const char *json)
{
    char text[4096];
    assert_int_equal(s->decisions.count, 1);
    snprintf(text, sizeof text, "%.*s", (int)s->items[0].data.len, (const char *)s->items[0].data.at);
    assert_string_equal(text, json);
}

static void apply_profile(scene *s, int64_t at_ms)
{
    static const rfm_trait_value values[] = {{LITERAL("born"), RFM_VALUE_TEXT, LITERAL("1980-02-29"), false},
                                             {LITERAL("height"), RFM_VALUE_NUMBER, LITERAL("1.75"), false},
                                             {LITERAL("kids"), RFM_VALUE_NUMBER, LITERAL("2"), false},
                                             {LITERAL("name"), RFM_VALUE_TEXT, LITERAL("Zo\xc3\xab"), false},
                                             {LITERAL("seen"), RFM_VALUE_TEXT, LITERAL("2023-01-02T03:04:05Z"), false},
                                             {LITERAL("vip"), RFM_VALUE_BOOL, {0}, true}};
    rfm_event profile = {.type = RFM_EVENT_PROFILE,
                         .id = rfm_text("t"),
                         .traits = values,
                         .trait_count = sizeof values / sizeof *values,
                         .language = rfm_text("de")};
    scene_event(s, at_ms, profile);
}

/* The state's JSON holds money as text; all else reads the same. */
static void test_fields_are_those_of_the_state(void **state)
{
    (void)state;
    scene *s = scene_with_traits();
    rfm_rule *rule = scene_on_event(s, "a", RFM_EVENT_POINTS);
    static const char *const fields[] = {"orders",
                                         "refunds",
                                         "currency",
                                         "first_purchase",
                                         "last_purchase",
                                         "x",
                                         "t_x",
                                         "age",
                                         "lifecycle",
                                         "segment",
                                         "p_alive",
                                         "p_active",
                                         "churn_risk",
                                         "activity_ratio",
                                         "expected_next_purchase",
                                         "expected_orders",
                                         "favourite_category",
                                         "favourite_categories",
                                         "visits",
                                         "last_visit",
                                         "messages",
                                         "consent",
                                         "nps",
                                         "open_complaints",
                                         "points",
                                         "language"};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        char *text = rfm_arena_take(&s->arena, 64);
        snprintf(text, 64, "client.%s", fields[i]);
        datum(s, rule, fields[i], text);
    }
    scene_bind(s);
    rfm_bytes categories[] = {rfm_text("shoes"), rfm_text("socks")};
    rfm_event bought = purchase("p1", 12990);
    bought.categories = categories, bought.category_count = 2;
    scene_event(s, 0, bought);
    bought = purchase("p2", 2000);
    bought.categories = categories, bought.category_count = 1;
    scene_event(s, 20 * DAY, bought);
    scene_event(s, 21 * DAY, visit("v"));
    scene_event(s, 21 * DAY, consent("c1", "sms", RFM_CLASS_MARKETING, false));
    scene_event(s, 21 * DAY, consent("c2", "email", RFM_CLASS_TRANSACTIONAL, true));
    scene_event(s, 21 * DAY, consent("c3", "email", RFM_CLASS_MARKETING, true));
    rfm_event message = {.type = RFM_EVENT_MESSAGE, .status = RFM_STATUS_DELIVERED};
    message.id = rfm_text("m1"), message.channel = rfm_text("email");
    scene_event(s, 21 * DAY, message);
    rfm_event nps = {.type = RFM_EVENT_FEEDBACK, .feedback = RFM_FEEDBACK_NPS, .has_score = true, .score = 9};
    nps.id = rfm_text("n");
    scene_event(s, 21 * DAY, nps);
    apply_profile(s, 21 * DAY);
    s->log_len = 0;
    scene_event(s, 30 * DAY, (rfm_event){.type = RFM_EVENT_POINTS, .id = rfm_text("q"), .delta = 70});
    assert_int_equal(s->decisions.count, 1);
    rfm_buffer json;
    rfm_buffer_init(&json, 1 << 16);
    assert_int_equal(
        rfm_client_json(&json, rfm_text("alice"), &s->client, &s->conf, s->names, &s->edges, START_MS + 30 * DAY, NULL),
        0);
    rfm_write_u8(&json, 0);
    char data[4096];
    snprintf(data, sizeof data, "%.*s", (int)s->items[0].data.len, (const char *)s->items[0].data.at);
    const char *at = data + 1;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) { /* `"name":value` stands in both */
        const char *end = data + strlen(data) - 1;
        if (i + 1 < sizeof fields / sizeof *fields) {
            char next[64];
            snprintf(next, sizeof next, ",\"%s\":", fields[i + 1]);
            end = strstr(at, next);
            assert_non_null(end);
        }
        char member[1024];
        snprintf(member, sizeof member, ",%.*s", (int)(end - at), at);
        if (strstr((const char *)json.at, member) == NULL)
            fail_msg("%s is not in %s", member, (const char *)json.at);
        at = end + 1;
    }
    rfm_buffer_release(&json);
    scene_free(s);
}

static void test_money_traits_and_groups(void **state)
{
    (void)state;
    scene *s = scene_with_traits();
    rfm_rule *rule = scene_on_event(s, "a", RFM_EVENT_POINTS);
    datum(s, rule, "revenue", "client.revenue + 0.5");
    datum(s, rule, "avg", "client.avg_order");
    datum(s, rule, "historic", "client.ltv.historic");
    datum(s, rule, "r", "client.rfm.r * 10 + client.rfm.f");
    datum(s, rule, "born", "client.traits.born.getFullYear()");
    datum(s, rule, "height", "client.traits.height > 1.7 && client.traits.vip");
    datum(s, rule, "kids", "client.traits.kids + size(client.traits.name)");
    datum(s, rule, "seen", "client.traits.seen");
    datum(s, rule, "delta", "event.delta");
    datum(s, rule, "why", "event.reason");
    datum(s, rule, "cause", "event.type + \"/\" + event.id");
    datum(s, rule, "then", "event.time");
    datum(s, rule, "who", "client.client_id");
    datum(s, rule, "whose", "event.client_id");
    datum(s, rule, "mail", "client.consent.email.marketing");
    scene_bind(s);
    scene_event(s, 0, purchase("p1", 12990));
    apply_profile(s, HOUR);
    scene_event(s, DAY, (rfm_event){.type = RFM_EVENT_POINTS, .id = rfm_text("q"), .delta = -7});
    expect_data(s, "{\"revenue\":130.4,\"avg\":129.9,\"historic\":129.9,\"r\":51,\"born\":1980,\"height\":true,"
                   "\"kids\":5,\"seen\":\"2023-01-02T03:04:05.000Z\",\"delta\":-7,\"why\":null,\"cause\":\"points/q\","
                   "\"then\":\"2023-11-16T00:00:00.000Z\",\"who\":\"alice\",\"whose\":\"alice\",\"mail\":null}");
    scene_free(s);
}

static void test_a_condition_that_fails_is_counted(void **state)
{
    (void)state;
    scene *s = scene_new();
    scene_when(s, scene_on_event(s, "a", RFM_EVENT_VISIT), "client.nps > 6");
    scene_when(s, scene_on_event(s, "b", RFM_EVENT_VISIT), "client.visits == 2");
    scene_bind(s);
    scene_event(s, 0, visit("v1"));
    scene_event(s, HOUR, visit("v2"));
    scene_expect(s, "b sent visit/v2 -@3600\n");
    assert_int_equal(s->errors[0], 2);
    assert_int_equal(s->errors[1], 0);
    scene_free(s);
}

/* Before the delay and after it; what is read of the event is kept. */
static void test_what_waits_is_asked_again(void **state)
{
    (void)state;
    scene *s = scene_new();
    rfm_rule *rule = scene_on_event(s, "a", RFM_EVENT_PURCHASE);
    rule->delay_ms = DAY;
    scene_when(s, rule, "event.amount >= 20 && event.channel != \"shop\" && client.orders < 4");
    datum(s, rule, "amount", "event.amount");
    datum(s, rule, "coupon", "event.coupon");
    scene_bind(s);
    rfm_event dear = purchase("p1", 2050), cheap = purchase("p2", 1999), late = purchase("p3", 9900);
    dear.channel = cheap.channel = late.channel = rfm_text("web");
    dear.cart_id = rfm_text("one"), dear.coupon = rfm_text("TEN");
    scene_event(s, 0, dear);
    scene_event(s, HOUR, cheap);
    scene_advance(s, START_MS + 24 * HOUR + 1);
    expect_data(s, "{\"amount\":20.5,\"coupon\":\"TEN\"}");
    scene_event(s, 48 * HOUR, late);
    rfm_event more = purchase("p4", 1);
    more.channel = rfm_text("shop");
    scene_event(s, 49 * HOUR, more);
    scene_advance(s, START_MS + 72 * HOUR + 1);
    scene_expect(s, "a sent purchase/p1 -@86400\na condition purchase/p3 -@259200\n");
    expect_data(s, "{\"amount\":99,\"coupon\":null}");
    scene_free(s);
}

static void test_an_event_that_is_too_large_to_keep(void **state)
{
    (void)state;
    scene *s = scene_new();
    rfm_rule *rule = scene_on_event(s, "a", RFM_EVENT_VISIT);
    rule->delay_ms = HOUR;
    scene_when(s, rule, "event.page != \"/\"");
    scene_bind(s);
    char page[65];
    memset(page, 'x', sizeof page);
    for (size_t len = 63; len <= 65; len++) {
        rfm_event event = visit(len == 63 ? "v1" : len == 64 ? "v2" : "v3");
        event.page = rfm_bytes_of(page, len);
        scene_event(s, (int64_t)len * DAY, event);
    }
    scene_advance(s, START_MS + 66 * DAY);
    scene_expect(s, "a sent visit/v1 -@5446800\na sent visit/v2 -@5533200\na slots_full visit/v3 -@5616000\n");
    scene_free(s);
}

/* A first value is an enter; what time alone does is seen at a look; a change of the rules causes nothing. */
static void test_segments_by_condition(void **state)
{
    (void)state;
    scene *s = scene_new();
    rfm_rule *enter = scene_add(s, "a"), *leave = scene_add(s, "b");
    enter->on.kind = RFM_CAUSE_ENTER_NAMED, leave->on.kind = RFM_CAUSE_LEAVE_NAMED;
    enter->on.segment = leave->on.segment = scene_named(
        s, "fresh", "client.revenue > 100 && now - client.last_purchase < duration(\"10d\")");
    scene_bind(s);
    scene_event(s, 0, visit("v"));
    scene_event(s, HOUR, purchase("p1", 20000));
    scene_event(s, 2 * HOUR, purchase("p2", 20000));
    scene_advance(s, START_MS + 20 * DAY);
    /* the first daily look at which ten days are over: at 05:00 of the eleventh day */
    scene_expect(s, "a sent purchase/p1 -@3600\nb sent due+882000 -@882000\n");
    s->conf.version++;
    scene_bind(s);
    scene_event(s, 21 * DAY, visit("v2"));
    scene_event(s, 22 * DAY, purchase("p3", 1));
    scene_expect(s, "a sent purchase/p3 -@1900800\n");
    scene_free(s);
    s = scene_new();
    enter = scene_add(s, "a");
    enter->on.kind = RFM_CAUSE_ENTER_NAMED;
    enter->on.segment = scene_named(s, "all", "client.orders >= 0");
    scene_bind(s);
    scene_event(s, 0, visit("v"));
    scene_event(s, HOUR, visit("w"));
    scene_expect(s, "a sent visit/v -@0\n");
    scene_free(s);
}

/* What waits and what was sent, as it is when a rule is asked: what a rule before it has just done is in there. */
static void test_due_and_triggers(void **state)
{
    (void)state;
    scene *s = scene_new();
    rfm_rule *first = scene_on_event(s, "first", RFM_EVENT_VISIT), *later = scene_on_event(s, "later", RFM_EVENT_VISIT);
    rfm_rule *third = scene_on_event(s, "third", RFM_EVENT_VISIT),
             *shown = scene_on_event(s, "shown", RFM_EVENT_POINTS);
    first->priority = 3, later->priority = 2, third->priority = 1;
    scene_when(s, first, "!client.triggers.exists(t, t.rule == \"first\" && now - t.time < duration(\"2d\"))");
    later->delay_ms = DAY;
    scene_when(s, later, "client.triggers.exists(t, t.rule == \"first\" && t.time == now) || size(client.due) == 0");
    scene_when(s, third, "client.due.all(d, d.rule == \"later\" && d.time - now == duration(\"24h\"))");
    datum(s, shown, "due", "client.due");
    datum(s, shown, "triggers", "client.triggers");
    datum(s, shown, "last", "client.triggers[0].rule");
    scene_bind(s);
    scene_event(s, 0, visit("v1"));
    scene_event(s, HOUR, visit("v2"));
    scene_event(s, 2 * HOUR, (rfm_event){.type = RFM_EVENT_POINTS, .id = rfm_text("q"), .delta = 1});
    rfm_buffer json;
    rfm_buffer_init(&json, 1 << 16);
    rfm_slots_json(&json, rfm_text("alice"), &s->client, s->names);
    rfm_write_u8(&json, 0);
    /* The state has the rule's own send, its data what was there before. */
    char expected[1024];
    const char *own = strstr((const char *)json.at, ",{\"id\":");
    own = strstr(own + 1, ",{\"id\":");
    assert_non_null(own);
    snprintf(expected, sizeof expected, "{%.*s],\"last\":\"first\"}", (int)(own - (const char *)json.at),
             (const char *)json.at);
    expect_data(s, expected);
    scene_advance(s, START_MS + 25 * HOUR);
    /* At its moment `later` has left the list, and `first` was not sent then: the list is empty, and so it holds. */
    scene_expect(s, "first sent visit/v1 -@0\nthird sent visit/v1 -@0\nshown sent points/q -@7200\n"
                    "later sent visit/v1 -@86400\n");
    rfm_buffer_release(&json);
    scene_free(s);
}

static rfm_event purchase_of_items(const char *id, const rfm_event_item *items, size_t count)
{
    rfm_event event = purchase(id, 5000);
    event.items = items, event.item_count = count;
    event.currency = rfm_text("USD");
    return event;
}

/* Prices in the base currency; what an item does not have is absent. */
static void test_items(void **state)
{
    (void)state;
    scene *s = scene_new();
    s->conf.money.other[0] = (rfm_currency){"USD", 2, {9, 1}};
    s->conf.money.other_count = 1;
    rfm_rule *rule = scene_on_event(s, "a", RFM_EVENT_PURCHASE);
    scene_when(s, rule, "event.items.exists(i, i.category == \"shoes\" && i.price * i.quantity > 30.0)");
    datum(s, rule, "items", "event.items");
    datum(s, rule, "count", "size(event.items)");
    datum(s, rule, "all", "event.items.all(i, i.sku.startsWith(\"s-\"))");
    scene_bind(s);
    rfm_event_item items[3] = {
        {rfm_text("s-1"), rfm_text("shoes"), {25, 1}, true, {2000, 2}}, /* 2.5 of 20.00 USD */
        {rfm_text("s-2"), RFM_BYTES_NONE, {1, 0}, false, {0, 0}},
        {RFM_BYTES_NONE, rfm_text("hats"), {1, 0}, true, {5, 0}},
    };
    scene_event(s, 0, purchase_of_items("p1", items, 3));
    expect_data(s, "{\"items\":[{\"sku\":\"s-1\",\"category\":\"shoes\",\"quantity\":2.5,\"price\":18},"
                   "{\"sku\":\"s-2\",\"quantity\":1},{\"category\":\"hats\",\"quantity\":1,\"price\":4.5}],"
                   "\"count\":3,\"all\":null}");
    items[0].price.digits = 1300; /* 2.5 x 11.70 EUR */
    scene_event(s, HOUR, purchase_of_items("p2", items, 3));
    assert_int_equal(s->decisions.count, 0);
    scene_event(s, 2 * HOUR, purchase("p3", 1)); /* no items: none of them is one */
    assert_int_equal(s->decisions.count, 0);
    scene_free(s);
}

/* Quiet hours put a rule off: few items are kept, more are too large. */
static void test_items_of_a_rule_that_waits(void **state)
{
    (void)state;
    scene *s = scene_new();
    s->conf.money.other[0] = (rfm_currency){"USD", 2, {9, 1}};
    s->conf.money.other_count = 1;
    s->rules.quiet_hours.given = true;
    s->rules.quiet_hours.to_ms = 8 * (int32_t)HOUR;
    rfm_rule *rule = scene_on_event(s, "a", RFM_EVENT_PURCHASE);
    rule->class_ = RFM_CLASS_MARKETING;
    datum(s, rule, "items", "event.items");
    scene_when(s, rule, "event.items.exists(i, i.category == \"shoes\")");
    assert_true(rfm_environment_reads_items(rule->when.expr));
    scene_bind(s);
    rfm_event_item items[8];
    for (size_t i = 0; i < 8; i++)
        items[i] = (rfm_event_item){rfm_text("s-1"), rfm_text("shoes"), {1, 0}, i == 0, {1999, 2}};
    scene_event(s, HOUR, purchase_of_items("p1", items, 3));
    scene_advance(s, START_MS + 9 * HOUR);
    scene_expect(s, "a sent purchase/p1 -@28800\n");
    expect_data(s, "{\"items\":[{\"sku\":\"s-1\",\"category\":\"shoes\",\"quantity\":1,\"price\":17.991},"
                   "{\"sku\":\"s-1\",\"category\":\"shoes\",\"quantity\":1},"
                   "{\"sku\":\"s-1\",\"category\":\"shoes\",\"quantity\":1}]}");
    scene_event(s, 25 * HOUR, purchase_of_items("p2", items, 8));
    scene_expect(s, "a slots_full purchase/p2 -@90000\n");
    scene_free(s);
}

/* What the event says, beside what the client is; those that are read are kept while a rule waits. */
static void test_traits_of_an_event(void **state)
{
    (void)state;
    scene *s = scene_with_traits();
    rfm_rule *now = scene_on_event(s, "now", RFM_EVENT_PROFILE), *later = scene_on_event(s, "later", RFM_EVENT_PROFILE);
    now->priority = 1, later->delay_ms = DAY;
    scene_when(s, now, "has(event.traits.vip) && !event.traits.vip");
    scene_when(s, later,
               "event.traits.kids == 2 && event.traits.name.size() == 3 && event.traits.height < 2.0 && "
               "event.traits.born == timestamp(\"1980-02-29T00:00:00Z\") && event.traits.vip");
    assert_int_equal(later->event_traits, 1 << 0 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 5);
    scene_bind(s);
    apply_profile(s, 0);
    static const rfm_trait_value changed[] = {{LITERAL("vip"), RFM_VALUE_BOOL, {0}, false},
                                              {LITERAL("kids"), RFM_VALUE_TEXT, LITERAL("three"), false}};
    rfm_event profile = {.type = RFM_EVENT_PROFILE, .id = rfm_text("u"), .traits = changed, .trait_count = 2};
    scene_event(s, HOUR, profile);
    scene_advance(s, START_MS + 2 * DAY);
    scene_expect(s, "now sent profile/u -@3600\nlater sent profile/t -@86400\n");
    scene_free(s);
}

static int64_t clients_in(const scene *s, const char *name, uint16_t source)
{
    char text[RFM_NAME_BYTES_MAX];
    snprintf(text, sizeof text, "segment:%s", name);
    uint16_t number = rfm_names_find(s->names, rfm_text(text));
    assert_true(number > 0);
    return rfm_tally_get(s->decisions.tally, (rfm_cell){RFM_KPI_NAMED, 0, number, source});
}

static void test_segments_by_condition_are_counted(void **state)
{
    (void)state;
    scene *s = scene_new();
    rfm_tally *tally = s->decisions.tally = rfm_tally_new();
    scene_on_event(s, "fresh", RFM_EVENT_VISIT); /* a rule of the same name is another thing */
    scene_named(s, "buyers", "client.orders > 0");
    scene_named(s, "fresh", "client.visits < 3");
    scene_bind(s);
    scene_event(s, 0, visit("v1"));
    assert_int_equal(clients_in(s, "buyers", 0), 0);
    assert_int_equal(clients_in(s, "fresh", 0), 1);
    rfm_event from_spring = purchase("p", 100);
    from_spring.campaign = rfm_text("spring");
    scene_event(s, HOUR, from_spring);
    uint16_t spring = s->client.source;
    assert_true(spring > 0);
    assert_int_equal(clients_in(s, "buyers", spring), 1);
    /* The engine, which alone knows that the source was another, moves those that were counted before. */
    assert_int_equal(clients_in(s, "fresh", 0), 1);
    rfm_named_count(&s->client, s->names, 0, -1, tally);
    rfm_named_count(&s->client, s->names, spring, 1, tally);
    assert_int_equal(clients_in(s, "fresh", 0), 0);
    assert_int_equal(clients_in(s, "fresh", spring), 1);
    scene_event(s, 2 * HOUR, visit("v2"));
    scene_event(s, 3 * HOUR, visit("v3"));
    assert_int_equal(clients_in(s, "fresh", spring), 0);
    scene_free(s);
    rfm_tally_free(tally);
}

/* One that is gone, one that means another thing, one that is new: as of the client's next look, and nothing twice. */
static void test_counts_follow_the_rules(void **state)
{
    (void)state;
    scene *s = scene_new();
    rfm_tally *tally = s->decisions.tally = rfm_tally_new();
    scene_named(s, "gone", "client.visits > 0");
    scene_named(s, "other", "client.visits > 0");
    scene_bind(s);
    scene_event(s, 0, visit("v1"));
    assert_int_equal(clients_in(s, "gone", 0), 1);
    assert_int_equal(clients_in(s, "other", 0), 1);
    s->rules.named_count = 0;
    scene_named(s, "fresh", "client.visits > 0");
    scene_named(s, "other", "client.visits > 5");
    s->conf.version++;
    scene_bind(s);
    scene_advance(s, START_MS + DAY + HOUR); /* a daily look lies between */
    assert_int_equal(clients_in(s, "gone", 0), 0);
    assert_int_equal(clients_in(s, "fresh", 0), 1);
    assert_int_equal(clients_in(s, "other", 0), 0);
    rfm_named_count(&s->client, s->names, 0, -1, tally); /* erased */
    assert_int_equal(clients_in(s, "fresh", 0), 0);
    scene_free(s);
    rfm_tally_free(tally);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields_are_those_of_the_state),
        cmocka_unit_test(test_money_traits_and_groups),
        cmocka_unit_test(test_a_condition_that_fails_is_counted),
        cmocka_unit_test(test_what_waits_is_asked_again),
        cmocka_unit_test(test_an_event_that_is_too_large_to_keep),
        cmocka_unit_test(test_segments_by_condition),
        cmocka_unit_test(test_segments_by_condition_are_counted),
        cmocka_unit_test(test_due_and_triggers),
        cmocka_unit_test(test_items),
        cmocka_unit_test(test_items_of_a_rule_that_waits),
        cmocka_unit_test(test_traits_of_an_event),
        cmocka_unit_test(test_counts_follow_the_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
