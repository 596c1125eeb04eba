/* What comes of sends: expected figures are added up by hand, or by a model that knows all purchases and refunds. */
#include "scene.h"

#include <rfm/client/kpi.h>

#include "rule/experiment.h"
#include "rule/slot.h"

#define FORTNIGHT (14 * DAY)

/* Everybody is in the only variant, or in control. */
static rfm_rule *add_experiment(scene *s, const char *name, rfm_event_type event, const char *salt, bool control)
{
    rfm_rule *rule = scene_on_event(s, name, event);
    rule->class_ = RFM_CLASS_MARKETING;
    rule->experiment = (rfm_experiment){.given = true, .variant_count = 1};
    snprintf(rule->experiment.salt, sizeof rule->experiment.salt, "%s", salt);
    rule->experiment.control_buckets = control ? RFM_BUCKETS_OF_CLIENTS : 0;
    rule->experiment.variant[0] = (rfm_variant){"a", control ? 0 : RFM_BUCKETS_OF_CLIENTS};
    return rule;
}

static scene *scene_counting(void)
{
    scene *s = scene_new();
    s->decisions.tally = rfm_tally_new();
    assert_non_null(s->decisions.tally);
    return s;
}

static void scene_done(scene *s)
{
    rfm_tally_free(s->decisions.tally);
    scene_free(s);
}

static int64_t figure(const scene *s, rfm_kpi_metric metric, const char *rule, const char *salt, const char *arm)
{
    rfm_experiment experiment = {.given = true};
    snprintf(experiment.salt, sizeof experiment.salt, "%s", salt);
    return rfm_tally_get(s->decisions.tally,
                         (rfm_cell){(char)metric, (int32_t)rfm__experiment_salt(&experiment),
                                    rfm_names_find(s->names, rfm_text(arm)), rfm_names_find(s->names, rfm_text(rule))});
}

static int64_t attributed(const scene *s, const char *rule)
{
    return rfm_tally_get(s->decisions.tally,
                         (rfm_cell){RFM_KPI_ATTRIBUTED, 0, 0, rfm_names_find(s->names, rfm_text(rule))});
}

/* "clients exposed, ended, converted, orders, revenue, its squares" */
static void expect_arm(const scene *s, const char *rule, const char *arm, const char *expected)
{
    char text[160];
    int64_t squares = (int64_t)((uint64_t)figure(s, RFM_KPI_SQUARES_HIGH, rule, "one", arm) << 32) +
                      figure(s, RFM_KPI_SQUARES_LOW, rule, "one", arm);
    snprintf(text, sizeof text, "%lld %lld %lld %lld %lld %lld",
             (long long)figure(s, RFM_KPI_EXPOSED, rule, "one", arm),
             (long long)figure(s, RFM_KPI_ENDED, rule, "one", arm),
             (long long)figure(s, RFM_KPI_CONVERTED, rule, "one", arm),
             (long long)figure(s, RFM_KPI_ARM_ORDERS, rule, "one", arm),
             (long long)figure(s, RFM_KPI_ARM_REVENUE, rule, "one", arm), (long long)squares);
    assert_string_equal(text, expected);
}

static rfm_event refund(const char *id, const char *order_id, int64_t amount_minor)
{
    return (rfm_event){.type = RFM_EVENT_REFUND,
                       .id = rfm_text(id),
                       .order_id = rfm_text(order_id),
                       .has_amount = amount_minor > 0,
                       .amount_minor = amount_minor};
}

static void test_edges_of_the_window(void **state)
{
    (void)state;
    scene *s = scene_counting();
    add_experiment(s, "hello", RFM_EVENT_VISIT, "one", false);
    scene_bind(s);
    scene_event(s, 5, visit("v1"));
    scene_event(s, HOUR, at(purchase("at the send", 1), 5));
    scene_event(s, HOUR, at(purchase("a millisecond later", 10), 6));
    scene_event(s, 5 + FORTNIGHT, purchase("as it ends", 100));
    expect_arm(s, "hello", "a", "1 0 0 0 0 0");
    scene_advance(s, START_MS + 5 + FORTNIGHT);
    expect_arm(s, "hello", "a", "1 0 0 0 0 0");
    scene_advance(s, START_MS + 5 + FORTNIGHT + 1);
    expect_arm(s, "hello", "a", "1 1 1 2 110 12100");
    scene_event(s, 6 + FORTNIGHT, purchase("too late", 1000));
    scene_event(s, 7 + FORTNIGHT, visit("a second send is no second exposure"));
    scene_event(s, 8 + FORTNIGHT, purchase("after that", 10000));
    scene_advance(s, START_MS + 80 * DAY);
    expect_arm(s, "hello", "a", "1 1 1 2 110 12100");
    scene_done(s);
}

static void test_who_buys_nothing_counts(void **state)
{
    (void)state;
    scene *s = scene_counting();
    add_experiment(s, "hello", RFM_EVENT_VISIT, "one", false);
    scene_bind(s);
    scene_event(s, 0, visit("v1"));
    scene_event(s, DAY, purchase("of nothing", 0));
    scene_advance(s, START_MS + 20 * DAY);
    expect_arm(s, "hello", "a", "1 1 0 0 0 0");
    scene_done(s);
}

static void test_control_converts(void **state)
{
    (void)state;
    scene *s = scene_counting();
    add_experiment(s, "hello", RFM_EVENT_VISIT, "one", true);
    scene_bind(s);
    scene_event(s, 0, visit("v1"));
    scene_expect(s, "hello control visit/v1 -@0\n");
    scene_event(s, DAY, purchase("o1", 70));
    scene_advance(s, START_MS + 20 * DAY);
    expect_arm(s, "hello", "control", "1 1 1 1 70 4900");
    assert_int_equal(attributed(s, "hello"), 0); /* nothing was sent */
    scene_done(s);
}

static void test_the_hold_out_is_in_no_experiment(void **state)
{
    (void)state;
    scene *s = scene_counting();
    add_experiment(s, "hello", RFM_EVENT_VISIT, "one", false);
    s->rules.holdout = (rfm_holdout){"h", RFM_BUCKETS_OF_CLIENTS};
    scene_bind(s);
    scene_event(s, 0, visit("v1"));
    scene_expect(s, "hello holdout visit/v1 -@0\n");
    scene_event(s, DAY, purchase("o1", 70));
    scene_advance(s, START_MS + 20 * DAY);
    expect_arm(s, "hello", "a", "0 0 0 0 0 0");
    expect_arm(s, "hello", "control", "0 0 0 0 0 0");
    scene_done(s);
}

static void test_refunds_undo(void **state)
{
    (void)state;
    scene *s = scene_counting();
    add_experiment(s, "hello", RFM_EVENT_VISIT, "one", false);
    scene_bind(s);
    scene_event(s, 0, visit("v1"));
    scene_event(s, DAY, purchase("o1", 100));
    scene_event(s, 2 * DAY, purchase("o2", 50));
    assert_int_equal(attributed(s, "hello"), 150);
    scene_event(s, 3 * DAY, refund("r1", "o1", 30));
    assert_int_equal(attributed(s, "hello"), 120);
    scene_advance(s, START_MS + 20 * DAY);
    expect_arm(s, "hello", "a", "1 1 1 2 120 14400");
    scene_event(s, 30 * DAY, refund("r2", "o1", 0));
    expect_arm(s, "hello", "a", "1 1 1 1 50 2500");
    scene_event(s, 31 * DAY, refund("r3", "o2", 50));
    expect_arm(s, "hello", "a", "1 1 0 0 0 0");
    assert_int_equal(attributed(s, "hello"), 0);
    scene_done(s);
}

/* A refund that came before its order. */
static void test_a_refund_waits_for_its_order(void **state)
{
    (void)state;
    scene *s = scene_counting();
    add_experiment(s, "hello", RFM_EVENT_VISIT, "one", false);
    scene_bind(s);
    scene_event(s, 0, visit("v1"));
    scene_event(s, DAY, refund("r1", "o1", 30));
    scene_event(s, 2 * DAY, purchase("o1", 100));
    scene_event(s, 3 * DAY, refund("r2", "o2", 0));
    scene_event(s, 4 * DAY, purchase("o2", 500));
    scene_advance(s, START_MS + 20 * DAY);
    expect_arm(s, "hello", "a", "1 1 1 1 70 4900");
    assert_int_equal(attributed(s, "hello"), 70);
    scene_done(s);
}

static void test_late_purchases_count_until_it_is_settled(void **state)
{
    (void)state;
    scene *s = scene_counting();
    rfm_rule *rule = add_experiment(s, "hello", RFM_EVENT_VISIT, "one", false);
    scene_bind(s);
    scene_event(s, 0, visit("v1"));
    scene_event(s, 70 * DAY, at(purchase("o1", 100), 3 * DAY));
    expect_arm(s, "hello", "a", "1 1 1 1 100 10000");
    size_t before = s->client.slots_len;
    scene_advance(s, START_MS + 79 * DAY);
    assert_true(s->client.slots_len < before);
    scene_event(s, 79 * DAY, at(purchase("o2", 100), 4 * DAY));
    scene_event(s, 79 * DAY, refund("r1", "o1", 0));
    expect_arm(s, "hello", "a", "1 1 1 1 100 10000");
    scene_event(s, 80 * DAY, visit("v2"));
    scene_advance(s, START_MS + 100 * DAY);
    expect_arm(s, "hello", "a", "1 1 1 1 100 10000");
    /* Another salt is another experiment, and the one that is over is forgotten. */
    snprintf(rule->experiment.salt, sizeof rule->experiment.salt, "two");
    s->rules.version[1] = '2';
    scene_bind(s);
    scene_advance(s, START_MS + 102 * DAY);
    scene_event(s, 102 * DAY, visit("v3"));
    assert_int_equal(figure(s, RFM_KPI_EXPOSED, "hello", "two", "a"), 1);
    uint16_t hello = rfm_names_find(s->names, rfm_text("hello"));
    uint32_t salt = rfm__experiment_salt(&rule->experiment);
    for (int64_t day = 0; day < 110; day++) /* of this salt only that one */
        assert_int_equal(rfm_tally_get(s->decisions.tally, rfm__exposed_on(hello, salt, START_MS + day * DAY)),
                         day == 102);
    rfm_slots slots;
    assert_int_equal(rfm__slots_decode(rfm_bytes_of(s->client.slots, s->client.slots_len), &slots), 0);
    assert_int_equal(slots.exposure_count, 1);
    scene_done(s);
}

/* Not while its window is open: it ends as it began, though its rule is gone. */
static void test_an_experiment_that_is_taken_away(void **state)
{
    (void)state;
    scene *s = scene_counting();
    add_experiment(s, "hello", RFM_EVENT_VISIT, "one", false);
    scene_on_event(s, "other", RFM_EVENT_REFUND);
    scene_bind(s);
    scene_event(s, 0, visit("v1"));
    s->rules.count = 1;
    s->rule[0] = s->rule[1];
    s->rules.version[1] = '2';
    scene_bind(s);
    scene_event(s, DAY, purchase("o1", 100));
    scene_advance(s, START_MS + 20 * DAY);
    expect_arm(s, "hello", "a", "1 1 1 1 100 10000");
    scene_advance(s, START_MS + 90 * DAY);
    assert_int_equal(s->client.slots_len, 0);
    scene_done(s);
}

static void test_overlapping_experiments_and_attribution(void **state)
{
    (void)state;
    scene *s = scene_counting();
    add_experiment(s, "first", RFM_EVENT_VISIT, "one", false);
    add_experiment(s, "second", RFM_EVENT_POINTS, "one", false);
    scene_on_event(s, "third", RFM_EVENT_CONSENT)->attribution_ms = 2 * DAY;
    scene_on_event(s, "without", RFM_EVENT_PROFILE);
    scene_bind(s);
    scene_event(s, 0, visit("v1"));
    scene_event(s, DAY, (rfm_event){.type = RFM_EVENT_POINTS, .id = rfm_text("p1")});
    scene_event(s, 2 * DAY, purchase("o1", 100)); /* both; attributed to second */
    scene_event(s, 3 * DAY, consent("c1", "email", RFM_CLASS_MARKETING, true));
    scene_event(s, 3 * DAY + 1, (rfm_event){.type = RFM_EVENT_PROFILE, .id = rfm_text("t1")});
    scene_event(s, 5 * DAY, purchase("o2", 10));                    /* as third's window ends */
    scene_event(s, 5 * DAY + 1, purchase("o3", 1));                 /* after it: second's again */
    scene_event(s, 5 * DAY + 2, at(purchase("o4", 1000), 3 * DAY)); /* not after third, but after second */
    scene_event(s, 5 * DAY + 3, at(purchase("o5", 10000), DAY));    /* first's: the time of second's send */
    scene_advance(s, START_MS + 30 * DAY);
    expect_arm(s, "first", "a", "1 1 1 5 11111 123454321");
    expect_arm(s, "second", "a", "1 1 1 4 1111 1234321");
    assert_int_equal(attributed(s, "first"), 10000);
    assert_int_equal(attributed(s, "second"), 1101);
    assert_int_equal(attributed(s, "third"), 10);
    assert_int_equal(attributed(s, "without"), 0);
    scene_done(s);
}

/* The squares of a client who has bought for more than they have room for. */
static void test_great_amounts(void **state)
{
    (void)state;
    scene *s = scene_counting();
    add_experiment(s, "hello", RFM_EVENT_VISIT, "one", false);
    scene_bind(s);
    scene_event(s, 0, visit("v1"));
    scene_event(s, DAY, purchase("o1", INT64_C(3000000001)));
    scene_advance(s, START_MS + 15 * DAY);
    /* 3000000001^2 = 9000000006000000001 = 2095475794 * 2^32 + 1210366977 */
    assert_int_equal(figure(s, RFM_KPI_SQUARES_HIGH, "hello", "one", "a"), 2095475794);
    assert_int_equal(figure(s, RFM_KPI_SQUARES_LOW, "hello", "one", "a"), 1210366977);
    scene_event(s, 16 * DAY, at(purchase("o2", INT64_C(1) << 62), DAY));
    assert_int_equal(figure(s, RFM_KPI_SQUARES_HIGH, "hello", "one", "a"), INT64_C(1) << 48);
    assert_int_equal(figure(s, RFM_KPI_SQUARES_LOW, "hello", "one", "a"), 0);
    assert_int_equal(figure(s, RFM_KPI_ARM_REVENUE, "hello", "one", "a"), (INT64_C(1) << 62) + INT64_C(3000000001));
    scene_done(s);
}

/* All that happened, and what experiments should make of it. */
typedef struct model {
    struct {
        int64_t time_ms, left_minor;
    } order[512];
    size_t count;
} model;

static void expect_by_model(const scene *s, const model *m, const char *rule, int64_t exposed_ms)
{
    int64_t orders = 0, revenue = 0;
    char expected[160];
    for (size_t i = 0; i < m->count; i++) {
        int64_t after_ms = m->order[i].time_ms - exposed_ms;
        bool counts = after_ms > 0 && after_ms <= FORTNIGHT && m->order[i].left_minor > 0;
        orders += counts;
        revenue += counts ? m->order[i].left_minor : 0;
    }
    snprintf(expected, sizeof expected, "1 1 %d %lld %lld %lld", orders > 0, (long long)orders, (long long)revenue,
             (long long)(revenue * revenue));
    expect_arm(s, rule, "a", expected);
}

/* Up to forty orders, out of order, with refunds of those that the client's window still has. */
static void test_against_the_model(void **state)
{
    (void)state;
    srand(5);
    for (int round = 0; round < 300; round++) {
        scene *s = scene_counting();
        static model m;
        m.count = 0;
        add_experiment(s, "first", RFM_EVENT_VISIT, "one", false);
        add_experiment(s, "second", RFM_EVENT_POINTS, "one", false);
        scene_bind(s);
        int64_t now_ms = 0, exposed_ms[2];
        scene_event(s, exposed_ms[0] = rand() % 5000, visit("v"));
        scene_event(s, exposed_ms[1] = 6000 + rand() % (int)(5 * DAY),
                    (rfm_event){.type = RFM_EVENT_POINTS, .id = rfm_text("p")});
        now_ms = exposed_ms[1];
        int count = rand() % 60;
        for (int i = 0; i < count; i++) {
            char id[2][16];
            now_ms += rand() % (int)(2 * DAY);
            now_ms = now_ms < 70 * DAY ? now_ms : 70 * DAY;
            snprintf(id[0], sizeof id[0], "e%d", i);
            if (m.count > 0 && rand() % 3 == 0) {
                size_t back = (size_t)rand() % (m.count < 16 ? m.count : 16), at_order = m.count - 1 - back;
                int64_t amount = rand() % 2 ? 0 : 1 + rand() % 200, *left = &m.order[at_order].left_minor;
                snprintf(id[1], sizeof id[1], "o%zu", at_order);
                scene_event(s, now_ms, refund(id[0], id[1], amount));
                *left -= amount == 0 || amount > *left ? *left : amount;
            } else {
                int64_t late_ms = rand() % 2 ? 0 : rand() % (int)(20 * DAY);
                int64_t time_ms = now_ms > late_ms ? now_ms - late_ms : now_ms, amount = 1 + rand() % 300;
                rfm_event event = at(purchase(id[0], amount), time_ms);
                snprintf(id[1], sizeof id[1], "o%zu", m.count);
                event.order_id = rfm_text(id[1]);
                scene_event(s, now_ms, event);
                m.order[m.count].time_ms = time_ms;
                m.order[m.count++].left_minor = amount;
            }
        }
        scene_advance(s, START_MS + now_ms + 20 * DAY);
        expect_by_model(s, &m, "first", exposed_ms[0]);
        expect_by_model(s, &m, "second", exposed_ms[1]);
        scene_done(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_edges_of_the_window),
        cmocka_unit_test(test_who_buys_nothing_counts),
        cmocka_unit_test(test_control_converts),
        cmocka_unit_test(test_the_hold_out_is_in_no_experiment),
        cmocka_unit_test(test_refunds_undo),
        cmocka_unit_test(test_a_refund_waits_for_its_order),
        cmocka_unit_test(test_late_purchases_count_until_it_is_settled),
        cmocka_unit_test(test_an_experiment_that_is_taken_away),
        cmocka_unit_test(test_overlapping_experiments_and_attribution),
        cmocka_unit_test(test_great_amounts),
        cmocka_unit_test(test_against_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
