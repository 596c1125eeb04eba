#include "scene.h"

#include <math.h>

/* The model of models.md, written down once more, for moments by brute force. */
static double ratio_after(const rfm_client_conf *conf, double x, double t_x_days, double idle_days)
{
    const rfm_model *m = &conf->model;
    double f = 1 / (1 + x / m->evidence_cap), s = m->r + x * f, beta = m->alpha + t_x_days / m->unit_days * f;
    double d = m->a / (m->b + x), h = conf->churn_horizon_days / m->unit_days, u = idle_days / m->unit_days;
    double now = 1 / (1 + d * pow((beta + u) / beta, s)) * (1 - pow((beta + u) / (beta + u + h), s));
    return now / (1 / (1 + d) * (1 - pow(beta / (beta + h), s)));
}

/* The first whole second after a purchase at START + at_ms at which the ratio is at most `threshold`, since the
 * start. */
static int64_t fall_s(const rfm_client_conf *conf, double x, double t_x_days, int64_t at_ms, double threshold)
{
    int64_t low = at_ms / SECOND, high = low + 4000 * 86400;
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (ratio_after(conf, x, t_x_days, (double)(middle * SECOND - at_ms) / DAY) <= threshold)
            high = middle;
        else
            low = middle;
    }
    return high;
}

__attribute__((format(printf, 1, 2))) static char *line(const char *format, ...)
{
    static char text[4][512];
    static int turn;
    va_list arguments;
    va_start(arguments, format);
    char *at = text[turn++ % 4];
    vsnprintf(at, sizeof text[0], format, arguments);
    va_end(arguments);
    return at;
}

static void test_causes_in_the_order_of_priority_and_name(void **state)
{
    (void)state;
    scene *s = scene_new();
    scene_on_event(s, "b", RFM_EVENT_PURCHASE);
    scene_on_event(s, "c", RFM_EVENT_PURCHASE)->priority = 5;
    scene_on_event(s, "a", RFM_EVENT_PURCHASE);
    scene_on_event(s, "v", RFM_EVENT_VISIT);
    scene_bind(s);
    scene_event(s, 0, purchase("p", 100));
    scene_expect(s, "c sent purchase/p -@0\na sent purchase/p -@0\nb sent purchase/p -@0\n");
    scene_event(s, 1, visit("v"));
    scene_expect(s, "v sent visit/v -@0\n");
    scene_event(s, 2, purchase("zero", 0)); /* changes no fact, but is an event */
    scene_expect(s, "c sent purchase/zero -@0\na sent purchase/zero -@0\nb sent purchase/zero -@0\n");
    scene_free(s);
}

static rfm_rule *on_lifecycle(scene *s, const char *name, rfm_cause_kind kind, rfm_lifecycle lifecycle)
{
    rfm_rule *rule = scene_add(s, name);
    rule->on.kind = kind;
    rule->on.lifecycle = lifecycle;
    return rule;
}

static void test_a_first_purchase_enters_new(void **state)
{
    (void)state;
    scene *s = scene_new();
    on_lifecycle(s, "welcome", RFM_CAUSE_ENTER_LIFECYCLE, RFM_LIFECYCLE_NEW);
    on_lifecycle(s, "hello", RFM_CAUSE_ENTER_LIFECYCLE, RFM_LIFECYCLE_PROSPECT);
    on_lifecycle(s, "won", RFM_CAUSE_LEAVE_LIFECYCLE, RFM_LIFECYCLE_PROSPECT);
    scene_bind(s);
    scene_event(s, 0, purchase("p", 100));
    scene_expect(s, "welcome sent purchase/p -@0\n");
    scene_event(s, HOUR, purchase("q", 100));
    scene_expect(s, "");
    rfm_client_init(&s->client);
    scene_event(s, 2 * HOUR, visit("v"));
    scene_expect(s, "hello sent visit/v -@7200\n");
    scene_event(s, 3 * HOUR, purchase("r", 100));
    scene_expect(s, "welcome sent purchase/r -@10800\nwon sent purchase/r -@10800\n");
    scene_free(s);
}

static void test_lifecycle_moves_at_its_second(void **state)
{
    (void)state;
    scene *s = scene_new();
    on_lifecycle(s, "leaves", RFM_CAUSE_LEAVE_LIFECYCLE, RFM_LIFECYCLE_NEW);
    on_lifecycle(s, "risk", RFM_CAUSE_ENTER_LIFECYCLE, RFM_LIFECYCLE_AT_RISK);
    on_lifecycle(s, "lapsed", RFM_CAUSE_ENTER_LIFECYCLE, RFM_LIFECYCLE_LAPSED);
    on_lifecycle(s, "back", RFM_CAUSE_ENTER_LIFECYCLE, RFM_LIFECYCLE_REACTIVATED);
    scene_bind(s);
    scene_event(s, 1234, purchase("p", 100));
    int64_t risk = fall_s(&s->conf, 0, 0, 1234, 0.5), lapsed = fall_s(&s->conf, 0, 0, 1234, 0.2);
    scene_advance(s, START_MS + risk * SECOND);
    scene_expect(s, "");
    scene_advance(s, START_MS + risk * SECOND + 1);
    scene_expect(s, line("leaves sent due+%ld -@%ld\nrisk sent due+%ld -@%ld\n", risk, risk, risk, risk));
    scene_advance(s, START_MS + lapsed * SECOND + 1);
    scene_expect(s, line("lapsed sent due+%ld -@%ld\n", lapsed, lapsed));
    int64_t again_ms = (lapsed / 86400 + 7) * DAY + HOUR;
    scene_event(s, again_ms, purchase("q", 100));
    scene_expect(s, line("back sent purchase/q -@%ld\n", again_ms / SECOND));
    lapsed = fall_s(&s->conf, 1, (double)(again_ms / DAY), again_ms, 0.2);
    scene_advance(s, START_MS + 3000 * DAY);
    scene_expect(s, line("lapsed sent due+%ld -@%ld\n", lapsed, lapsed));
    scene_free(s);
}

static rfm_rule *on_score(scene *s, const char *name, rfm_cause_kind kind, double threshold)
{
    rfm_rule *rule = scene_add(s, name);
    rule->on.kind = kind;
    rule->on.threshold = threshold;
    return rule;
}

static void test_a_ratio_falls_and_rises(void **state)
{
    (void)state;
    scene *s = scene_new();
    on_score(s, "win_back", RFM_CAUSE_FALL_RATIO, 0.3);
    on_score(s, "sooner", RFM_CAUSE_FALL_RATIO, 0.6);
    on_score(s, "again", RFM_CAUSE_RISE_RATIO, 0.3);
    scene_bind(s);
    scene_event(s, -HOUR, visit("v"));
    scene_event(s, 999, purchase("p", 100)); /* first values are no crossings */
    scene_expect(s, "");
    int64_t fall = fall_s(&s->conf, 0, 0, 999, 0.3), sooner = fall_s(&s->conf, 0, 0, 999, 0.6);
    assert_int_equal(fall / 86400, 141); /* models.md */
    scene_advance(s, START_MS + fall * SECOND + 1);
    scene_expect(s, line("sooner sent due+%ld -@%ld\nwin_back sent due+%ld -@%ld\n", sooner, sooner, fall, fall));
    scene_event(s, fall * SECOND + DAY, visit("w"));
    scene_event(s, fall * SECOND + 2 * DAY, purchase("q", 100));
    scene_expect(s, line("again sent purchase/q -@%ld\n", fall + 2 * 86400));
    scene_event(s, fall * SECOND + 3 * DAY, purchase("r", 100)); /* still above */
    scene_expect(s, "");
    scene_free(s);
}

static void test_a_second_purchase_brings_the_fall_nearer(void **state)
{
    (void)state;
    scene *s = scene_new();
    on_score(s, "win_back", RFM_CAUSE_FALL_RATIO, 0.3);
    scene_bind(s);
    scene_event(s, 0, purchase("p", 100));
    scene_event(s, DAY, purchase("q", 100));
    int64_t fall = fall_s(&s->conf, 1, 1, DAY, 0.3);
    assert_int_equal(fall / 86400, 103); /* models.md */
    scene_advance(s, START_MS + 400 * DAY);
    scene_expect(s, line("win_back sent due+%ld -@%ld\n", fall, fall));
    scene_free(s);
}

static void test_a_late_purchase_can_make_a_ratio_fall(void **state)
{
    (void)state;
    scene *s = scene_new();
    on_score(s, "win_back", RFM_CAUSE_FALL_RATIO, 0.3);
    scene_bind(s);
    scene_event(s, 0, purchase("p", 100));
    scene_event(s, 135 * DAY, visit("v"));
    scene_event(s, 136 * DAY, at(purchase("late", 100), -DAY)); /* x = 1: .3 was reached long ago */
    scene_expect(s, line("win_back sent purchase/late -@%d\n", 136 * 86400));
    scene_advance(s, START_MS + 400 * DAY);
    scene_expect(s, "");
    scene_free(s);
}

static void test_a_risk_rises_and_falls(void **state)
{
    (void)state;
    scene *s = scene_new();
    on_score(s, "high", RFM_CAUSE_RISE_RISK, 0.9);
    on_score(s, "low", RFM_CAUSE_FALL_RISK, 0.8);
    scene_bind(s);
    scene_event(s, 0, purchase("p", 100));
    scene_advance(s, START_MS + 1000 * DAY);
    int64_t high = 0;
    for (int64_t step = 1 << 26; step > 0; step /= 2) {
        int64_t next = high + step;
        if (1 - ratio_after(&s->conf, 0, 0, next / 86400.0) * (1 - rfm_client_risk_at(&s->client, &s->conf, START_MS)) <
            0.9)
            high = next;
    }
    high++;
    scene_expect(s, line("high sent due+%ld -@%ld\n", high, high));
    double risk = 1;
    int day = 1000;
    for (; risk > 0.8; day++) { /* each day's purchase brings it down a little */
        scene_expect(s, "");
        scene_event(s, day * DAY, purchase(line("p%d", day), 100));
        risk = rfm_client_risk_at(&s->client, &s->conf, s->now_ms);
        assert_true(day < 1100);
    }
    assert_non_null(strstr(s->log, "low sent purchase/p10"));
    s->log_len = 0, s->log[0] = 0;
    scene_event(s, day * DAY, purchase("q", 100));
    scene_expect(s, "");
    scene_free(s);
}

static uint8_t segment(const scene *s, const char *name)
{
    int found = rfm_segments_find(&s->conf.segments, rfm_text(name));
    assert_true(found > 0);
    return (uint8_t)found;
}

static void on_segment(scene *s, const char *name, rfm_cause_kind kind, const char *of)
{
    rfm_rule *rule = scene_add(s, name);
    rule->on.kind = kind;
    rule->on.segment = segment(s, of);
}

static void test_fixed_segments_move_at_midnight(void **state)
{
    (void)state;
    scene *s = scene_new();
    on_segment(s, "enter_new", RFM_CAUSE_ENTER_SEGMENT, "new_customers"); /* 511, 411, 311 */
    on_segment(s, "leave_new", RFM_CAUSE_LEAVE_SEGMENT, "new_customers");
    on_segment(s, "hiding", RFM_CAUSE_ENTER_SEGMENT, "hibernating"); /* 211 */
    on_segment(s, "lost", RFM_CAUSE_ENTER_SEGMENT, "lost");          /* 111 */
    scene_bind(s);
    scene_event(s, 10 * HOUR, purchase("p", 100));
    scene_expect(s, line("enter_new sent purchase/p -@%d\n", 36000));
    scene_advance(s, START_MS + 181 * DAY);
    scene_expect(s, "");
    uint16_t before = s->client.marks.segment;
    scene_advance(s, START_MS + 181 * DAY + 1);
    scene_expect(s, line("hiding sent due+%d -@%d\nleave_new sent due+%d -@%d\n", 181 * 86400, 181 * 86400, 181 * 86400,
                         181 * 86400));
    assert_int_equal(s->client.marks.previous, before);
    assert_int_equal(s->client.marks.since_ms, START_MS + 181 * DAY);
    scene_advance(s, START_MS + 2000 * DAY);
    scene_expect(s, line("lost sent due+%d -@%d\n", 366 * 86400, 366 * 86400));
    scene_free(s);
}

static void test_population_segments_move_at_events_and_reviews(void **state)
{
    (void)state;
    scene *s = scene_new();
    s->conf.rfm.r = RFM_AXIS_POPULATION;
    s->conf.rfm.population_min = 1;
    s->edges = (rfm_edges){.clients = 1000, .day = {INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX}};
    on_segment(s, "new", RFM_CAUSE_ENTER_SEGMENT, "new_customers");
    on_segment(s, "lost", RFM_CAUSE_ENTER_SEGMENT, "lost");
    rfm_rule *rule = scene_on_event(s, "timer", RFM_EVENT_PURCHASE);
    rule->delay_ms = HOUR;
    scene_bind(s);
    scene_event(s, 0, purchase("p", 100));
    scene_expect(s, "lost sent purchase/p -@0\n");
    memset(s->edges.day, 0, sizeof s->edges.day); /* now all days score 5 */
    s->review_ms = START_MS + 5 * HOUR;
    scene_advance(s, START_MS + 5 * HOUR);
    scene_expect(s, "timer sent purchase/p -@3600\n"); /* a look, but no review */
    scene_advance(s, START_MS + 5 * HOUR + 1);
    scene_expect(s, "new sent due+18000 -@18000\n");
    for (size_t i = 0; i < 4; i++)
        s->edges.day[i] = INT32_MAX;
    scene_event(s, 6 * HOUR, visit("v"));
    scene_expect(s, "lost sent visit/v -@21600\n");
    scene_free(s);
}

static void test_idle(void **state)
{
    (void)state;
    static const rfm_event_type type[] = {RFM_EVENT_PURCHASE, RFM_EVENT_VISIT, RFM_EVENT_CONSENT};
    static const char *const name[] = {"no_purchase", "no_visit", "no_consent"};
    scene *s = scene_new();
    for (size_t i = 0; i < 3; i++) {
        rfm_rule *rule = scene_add(s, name[i]);
        rule->on.kind = RFM_CAUSE_IDLE;
        rule->on.event = type[i];
        rule->on.idle_ms = 60 * DAY;
    }
    scene_bind(s);
    scene_event(s, 1, visit("v"));
    scene_event(s, DAY, purchase("p", 100));
    scene_event(s, 2 * DAY, consent("c", "email", RFM_CLASS_MARKETING, true));
    scene_event(s, 3 * DAY, consent("c2", "sms", RFM_CLASS_MARKETING, true));
    scene_event(s, 10 * DAY, at(consent("c3", "push", RFM_CLASS_MARKETING, true), DAY)); /* an old one moves nothing */
    scene_advance(s, START_MS + 60 * DAY + 1);
    scene_expect(s, "");
    scene_advance(s, START_MS + 200 * DAY);
    scene_expect(s, line("no_visit sent due+%d -@%d\nno_purchase sent due+%d -@%d\nno_consent sent due+%d -@%d\n",
                         60 * 86400, 60 * 86400, 61 * 86400, 61 * 86400, 63 * 86400, 63 * 86400));
    scene_event(s, 200 * DAY, at(visit("old"), 100 * DAY)); /* 60 days after it have gone by already */
    scene_event(s, 201 * DAY, visit("w"));
    scene_advance(s, START_MS + 400 * DAY);
    scene_expect(s, line("no_visit sent due+%d -@%d\n", 261 * 86400, 261 * 86400));
    scene_free(s);
}

static void test_an_old_first_event_is_not_idle_at_once(void **state)
{
    (void)state;
    scene *s = scene_new();
    rfm_rule *rule = scene_add(s, "no_visit");
    rule->on.kind = RFM_CAUSE_IDLE;
    rule->on.event = RFM_EVENT_VISIT;
    rule->on.idle_ms = 60 * DAY;
    scene_bind(s);
    scene_event(s, 0, at(visit("v"), -61 * DAY));
    scene_event(s, 1, at(visit("w"), -60 * DAY));
    scene_advance(s, START_MS + 100 * DAY);
    scene_expect(s, "");
    scene_free(s);
}

static void test_consent_chooses_the_channel(void **state)
{
    (void)state;
    scene *s = scene_new();
    rfm_rule *rule = scene_on_event(s, "m", RFM_EVENT_VISIT);
    rule->class_ = RFM_CLASS_MARKETING;
    rule->channel_count = 2;
    strcpy(rule->channel[0], "push");
    strcpy(rule->channel[1], "email");
    *scene_on_event(s, "t", RFM_EVENT_VISIT) = *rule;
    strcpy(s->rule[1].name, "t");
    s->rule[1].class_ = RFM_CLASS_TRANSACTIONAL;
    scene_on_event(s, "u", RFM_EVENT_VISIT)->class_ = RFM_CLASS_MARKETING; /* no channels: nobody is asked */
    scene_bind(s);
    scene_event(s, 0, visit("1"));
    scene_expect(s, "m consent visit/1 -@0\nt sent visit/1 push@0\nu sent visit/1 -@0\n");
    scene_event(s, 1, consent("a", "email", RFM_CLASS_MARKETING, true));
    scene_event(s, 2, consent("b", "push", RFM_CLASS_TRANSACTIONAL, false));
    scene_event(s, 3, visit("2"));
    scene_expect(s, "m sent visit/2 email@0\nt sent visit/2 email@0\nu sent visit/2 -@0\n");
    rfm_event bounce = {.type = RFM_EVENT_MESSAGE,
                        .id = rfm_text("x"),
                        .channel = rfm_text("email"),
                        .status = RFM_STATUS_BOUNCED,
                        .permanent = true};
    scene_event(s, 4, bounce);
    scene_event(s, 5, visit("3"));
    scene_expect(s, "m no_channel visit/3 -@0\nt no_channel visit/3 -@0\nu sent visit/3 -@0\n");
    scene_free(s);
}

static void test_once_and_cooldown(void **state)
{
    (void)state;
    scene *s = scene_new();
    scene_on_event(s, "cool", RFM_EVENT_VISIT)->cooldown_ms = DAY;
    scene_on_event(s, "once", RFM_EVENT_VISIT)->once = true;
    scene_bind(s);
    scene_event(s, 0, visit("1"));
    scene_expect(s, "cool sent visit/1 -@0\nonce sent visit/1 -@0\n");
    scene_event(s, DAY - 1, visit("2"));
    scene_expect(s, "cool cooldown visit/2 -@86399\nonce once visit/2 -@86399\n");
    scene_event(s, DAY, visit("3"));
    scene_expect(s, "cool sent visit/3 -@86400\nonce once visit/3 -@86400\n");
    scene_event(s, 2 * DAY - 1, visit("4"));
    scene_expect(s, "cool cooldown visit/4 -@172799\nonce once visit/4 -@172799\n");
    scene_free(s);
}

/* A client remembers 64 sends: another rule waits until one of them needs no memory any more, and never gets that of a
 * `once`. */
static void test_64_rules_are_remembered(void **state)
{
    (void)state;
    scene *s = scene_new();
    for (int i = 0; i < 64; i++)
        scene_on_event(s, line("r%02d", i), RFM_EVENT_VISIT)->cooldown_ms = i == 7 ? DAY : 2 * DAY;
    for (int i = 0; i < 3; i++)
        s->rule[i].once = true;
    scene_on_event(s, "more", RFM_EVENT_PURCHASE)->cooldown_ms = 30 * DAY;
    scene_on_event(s, "most", RFM_EVENT_PURCHASE)->cooldown_ms = 30 * DAY;
    scene_bind(s);
    scene_event(s, 0, visit("1"));
    s->log_len = 0;
    scene_event(s, DAY - SECOND, purchase("a", 100));
    scene_expect(s, "more slots_full purchase/a -@86399\nmost slots_full purchase/a -@86399\n");
    scene_event(s, DAY, purchase("b", 100));
    scene_expect(s, "more sent purchase/b -@86400\nmost slots_full purchase/b -@86400\n");
    scene_event(s, 2 * DAY, purchase("c", 100));
    scene_expect(s, "more cooldown purchase/c -@172800\nmost sent purchase/c -@172800\n");
    scene_event(s, 2 * DAY + SECOND, visit("2"));
    assert_non_null(strstr(s->log, "r00 once visit/2 -@172801\n"));
    assert_null(strstr(s->log, "r02 sent"));
    s->log_len = 0;
    scene_free(s);
}

static void test_held_back_is_not_sent(void **state)
{
    (void)state;
    scene *s = scene_new();
    rfm_rule *rule = scene_on_event(s, "m", RFM_EVENT_VISIT);
    rule->class_ = RFM_CLASS_MARKETING;
    rule->once = true;
    rule->channel_count = 1;
    strcpy(rule->channel[0], "email");
    scene_bind(s);
    scene_event(s, 0, visit("1"));
    scene_event(s, 1, consent("a", "email", RFM_CLASS_MARKETING, true));
    scene_event(s, 2, visit("2"));
    scene_expect(s, "m consent visit/1 -@0\nm sent visit/2 email@0\n");
    scene_free(s);
}

static rfm_rule *review(scene *s)
{
    rfm_rule *rule = scene_on_event(s, "review", RFM_EVENT_PURCHASE);
    rule->delay_ms = 5 * DAY;
    scene_bind(s);
    return rule;
}

static void test_a_delay_keeps_the_cause(void **state)
{
    (void)state;
    scene *s = scene_new();
    review(s);
    scene_event(s, 0, purchase("p", 100));
    assert_int_equal(s->decisions.look_ms, INT64_MAX); /* after the next daily look */
    scene_event(s, DAY, purchase("q", 100));
    scene_expect(s, "review pending purchase/q -@86400\n");
    scene_event(s, 5 * DAY, visit("v")); /* at its very moment: events go first */
    scene_expect(s, "");
    scene_advance(s, START_MS + 9 * DAY);
    scene_expect(s, "review sent purchase/p -@432000\n");
    scene_event(s, 9 * DAY, purchase("r", 100));
    scene_advance(s, START_MS + 20 * DAY);
    scene_expect(s, line("review sent purchase/r -@%d\n", 14 * 86400));
    scene_free(s);
}

static void test_restart_keeps_the_last(void **state)
{
    (void)state;
    scene *s = scene_new();
    review(s)->restart = true;
    scene_event(s, 0, purchase("p", 100));
    scene_event(s, 3 * DAY, purchase("q", 100));
    scene_advance(s, START_MS + 20 * DAY);
    scene_expect(s, line("review sent purchase/q -@%d\n", 8 * 86400));
    scene_free(s);
}

static void test_consent_is_asked_when_a_delay_ends(void **state)
{
    (void)state;
    scene *s = scene_new();
    rfm_rule *rule = review(s);
    rule->channel_count = 1;
    strcpy(rule->channel[0], "email");
    scene_bind(s);
    scene_event(s, 0, purchase("p", 100));
    scene_event(s, DAY, consent("c", "email", RFM_CLASS_TRANSACTIONAL, false));
    scene_advance(s, START_MS + 20 * DAY);
    scene_expect(s, "review consent purchase/p -@432000\n");
    scene_free(s);
}

static void test_events_cancel(void **state)
{
    (void)state;
    scene *s = scene_new();
    rfm_rule *rule = scene_on_event(s, "cart", RFM_EVENT_VISIT);
    rule->delay_ms = DAY;
    rule->cancel_on = 1u << RFM_EVENT_PURCHASE;
    scene_bind(s);
    scene_event(s, HOUR, visit("1"));
    scene_event(s, 2 * HOUR, at(purchase("before", 100), HOUR - 1));
    scene_expect(s, "");
    scene_event(s, 3 * HOUR, at(purchase("p", 100), HOUR));
    scene_expect(s, "cart cancelled visit/1 -@10800\n");
    scene_event(s, 4 * HOUR, visit("2"));
    scene_advance(s, START_MS + 3 * DAY);
    scene_expect(s, line("cart sent visit/2 -@%d\n", 28 * 3600));
    scene_free(s);
}

static void test_carts_are_apart(void **state)
{
    (void)state;
    scene *s = scene_new();
    rfm_rule *rule = scene_on_event(s, "cart", RFM_EVENT_VISIT);
    rule->delay_ms = DAY;
    rule->cancel_on = 1u << RFM_EVENT_PURCHASE;
    scene_bind(s);
    scene_event(s, 1 * SECOND, in_cart(visit("1"), "a"));
    scene_event(s, 2 * SECOND, in_cart(visit("2"), "b"));
    scene_event(s, 3 * SECOND, visit("3"));
    scene_event(s, 4 * SECOND, in_cart(visit("4"), "a"));
    scene_expect(s, "cart pending visit/4 -@4\n");
    scene_event(s, 5 * SECOND, in_cart(purchase("p", 100), "a")); /* of a's and the one without a cart */
    scene_expect(s, "cart cancelled visit/1 -@5\ncart cancelled visit/3 -@5\n");
    scene_event(s, 6 * SECOND, in_cart(visit("5"), "c"));
    scene_event(s, 7 * SECOND, purchase("q", 100)); /* of all */
    scene_expect(s, "cart cancelled visit/2 -@7\ncart cancelled visit/5 -@7\n");
    scene_free(s);
}

static void test_the_cause_does_not_cancel_itself(void **state)
{
    (void)state;
    scene *s = scene_new();
    review(s)->cancel_on = 1u << RFM_EVENT_PURCHASE;
    scene_event(s, 0, purchase("p", 100));
    scene_expect(s, "");
    scene_event(s, DAY, purchase("q", 100));
    scene_expect(s, "review cancelled purchase/p -@86400\n");
    scene_advance(s, START_MS + 20 * DAY);
    scene_expect(s, line("review sent purchase/q -@%d\n", 6 * 86400));
    scene_free(s);
}

static void test_a_timer_can_be_delayed_and_cancelled(void **state)
{
    (void)state;
    for (int cancelled = 0; cancelled < 2; cancelled++) {
        scene *s = scene_new();
        rfm_rule *rule = scene_add(s, "no_visit");
        rule->on.kind = RFM_CAUSE_IDLE;
        rule->on.event = RFM_EVENT_VISIT;
        rule->on.idle_ms = 10 * DAY;
        rule->delay_ms = 2 * DAY;
        rule->cancel_on = 1u << RFM_EVENT_VISIT;
        scene_bind(s);
        scene_event(s, 0, visit("v"));
        scene_event(s, 11 * DAY, at(visit("old"), 10 * DAY - 1)); /* before the moment: no cancelling */
        scene_expect(s, "");
        if (cancelled)
            scene_event(s, 12 * DAY - 1, at(visit("w"), 10 * DAY));
        scene_advance(s, START_MS + 13 * DAY);
        scene_expect(s, cancelled ? line("no_visit cancelled due+%d -@%d\n", 864000, 12 * 86400 - 1)
                                  : line("no_visit sent due+%d -@%d\n", 864000, 12 * 86400));
        scene_free(s);
    }
}

static void test_at_most_eight_are_pending(void **state)
{
    (void)state;
    scene *s = scene_new();
    review(s);
    for (int i = 0; i < 9; i++)
        scene_event(s, i * SECOND, in_cart(purchase(line("p%d", i), 100), line("cart%d", i)));
    scene_expect(s, "review slots_full purchase/p8 -@8\n");
    scene_free(s);
}

static void test_long_ids_fill_the_slots(void **state)
{
    (void)state;
    scene *s = scene_new();
    char id[513] = "";
    review(s);
    for (int i = 0; i < 3; i++) {
        memset(id, 'a' + i, 512);
        scene_event(s, i * SECOND, in_cart(purchase(id, 100), line("%d", i)));
    }
    assert_int_equal(s->decisions.count, 1);
    assert_int_equal(s->items[0].suppression, RFM_SUPPRESSED_SLOTS_FULL);
    s->log_len = 0;
    scene_event(s, DAY, in_cart(purchase("p", 100), "c")); /* a short one has room */
    scene_advance(s, START_MS + 20 * DAY);
    assert_int_equal(s->decisions.count, 0);
    assert_non_null(strstr(s->log, "review sent purchase/p -@518400\n"));
    scene_free(s);
}

static void test_old_events_cause_nothing(void **state)
{
    (void)state;
    scene *s = scene_new();
    s->rules.max_trigger_age_ms = 72 * HOUR;
    scene_on_event(s, "thank_you", RFM_EVENT_PURCHASE);
    on_lifecycle(s, "welcome", RFM_CAUSE_ENTER_LIFECYCLE, RFM_LIFECYCLE_NEW);
    scene_bind(s);
    scene_event(s, 0, at(purchase("old", 100), -72 * HOUR - 1));
    scene_expect(s, "");
    assert_int_equal(s->decisions.too_old, 2);
    scene_event(s, 1, at(purchase("p", 100), 1 - 72 * HOUR));
    scene_expect(s, "thank_you sent purchase/p -@0\n");
    assert_int_equal(s->decisions.too_old, 0);
    scene_free(s);
}

static void test_silence_builds_state(void **state)
{
    (void)state;
    scene *s = scene_new();
    s->rules.silent_until_ms = START_MS + 150 * DAY;
    scene_on_event(s, "thank_you", RFM_EVENT_PURCHASE);
    on_score(s, "win_back", RFM_CAUSE_FALL_RATIO, 0.3);
    scene_bind(s);
    scene_event(s, 0, purchase("p", 100));
    scene_event(s, 149 * DAY, purchase("q", 100));
    scene_expect(s, "");
    scene_event(s, 150 * DAY, purchase("r", 100));
    scene_expect(s, line("thank_you sent purchase/r -@%d\n", 150 * 86400));
    scene_advance(s, START_MS + 1000 * DAY);
    int64_t fall = fall_s(&s->conf, 2, 150, 150 * DAY, 0.3);
    scene_expect(s, line("win_back sent due+%ld -@%ld\n", fall, fall));
    scene_free(s);
}

static void test_a_new_version_takes_values_without_transitions(void **state)
{
    (void)state;
    scene *s = scene_new();
    on_lifecycle(s, "risk", RFM_CAUSE_ENTER_LIFECYCLE, RFM_LIFECYCLE_AT_RISK);
    rfm_rule *rule = on_score(s, "win_back", RFM_CAUSE_FALL_RATIO, 0.3);
    scene_bind(s);
    scene_event(s, 0, purchase("p", 100));
    rule->on.threshold = 0.999;
    s->conf.lifecycle.at_risk = 0.9;
    s->conf.version++;
    scene_bind(s);
    scene_advance(s, START_MS + 60 * DAY);
    s->log_len = 0, s->log[0] = 0; /* .999 and .9 fell on the way, after the first look under the new version */
    rule->on.threshold = 0.5;
    s->conf.lifecycle.at_risk = 0.5;
    strcpy(s->rules.version, "v2");
    scene_bind(s);
    scene_event(s, 60 * DAY, visit("v"));
    scene_expect(s, "");
    assert_int_equal(s->client.marks.lifecycle, RFM_LIFECYCLE_NEW);
    int64_t fall = fall_s(&s->conf, 0, 0, 0, 0.5);
    scene_advance(s, START_MS + 200 * DAY);
    scene_expect(s, line("risk sent due+%ld -@%ld\nwin_back sent due+%ld -@%ld\n", fall, fall, fall, fall));
    s->conf.lifecycle.lapsed = 0.49;
    rule->on.threshold = 0.2;
    s->conf.version++;
    scene_bind(s);
    scene_event(s, 200 * DAY, visit("w"));
    assert_int_equal(s->client.marks.lifecycle, RFM_LIFECYCLE_LAPSED);
    scene_expect(s, "");
    scene_free(s);
}

static void test_a_crossing_at_the_first_look_of_a_version_counts(void **state)
{
    (void)state;
    scene *s = scene_new();
    on_score(s, "win_back", RFM_CAUSE_FALL_RATIO, 0.3);
    scene_bind(s);
    scene_event(s, 0, purchase("p", 100));
    int64_t fall = fall_s(&s->conf, 0, 0, 0, 0.3);
    scene_advance(s, START_MS + fall * SECOND);
    s->conf.version++;
    scene_bind(s);
    scene_advance(s, START_MS + fall * SECOND + 1);
    scene_expect(s, line("win_back sent due+%ld -@%ld\n", fall, fall));
    scene_free(s);
}

static void test_renewed_before_an_event_its_own_transitions_count(void **state)
{
    (void)state;
    for (int renew = 0; renew < 2; renew++) {
        scene *s = scene_new();
        on_segment(s, "many", RFM_CAUSE_ENTER_SEGMENT, "potential_loyalist");
        scene_bind(s);
        scene_event(s, 0, purchase("p", 100));
        s->conf.version++;
        scene_bind(s);
        if (renew)
            rfm_decide_renew(&s->rules, s->binding, &s->conf, s->names, &s->client, rfm_text("alice"), &s->edges,
                             START_MS + HOUR, NULL);
        scene_event(s, HOUR, purchase("q", 60000));
        scene_event(s, 2 * HOUR, purchase("r", 1));
        scene_expect(s, "");
        scene_free(s);
    }
    scene *s = scene_new();
    on_lifecycle(s, "welcome", RFM_CAUSE_ENTER_LIFECYCLE, RFM_LIFECYCLE_NEW);
    scene_bind(s);
    scene_event(s, 0, visit("v"));
    s->conf.version++;
    scene_bind(s);
    scene_event(s, HOUR, purchase("p", 100)); /* a prospect was one under the new version too */
    scene_expect(s, "welcome sent purchase/p -@3600\n");
    scene_free(s);
}

static void test_rules_that_are_gone_are_forgotten(void **state)
{
    (void)state;
    scene *s = scene_new();
    scene_on_event(s, "thank_you", RFM_EVENT_PURCHASE);
    review(s);
    scene_event(s, 0, purchase("p", 100));
    assert_true(s->client.slots_len > 0);
    s->log_len = 0, s->log[0] = 0;
    s->rules.count = 0;
    scene_bind(s);
    scene_event(s, 1, visit("v"));
    assert_int_equal(s->client.slots_len, 0);
    scene_advance(s, START_MS + 20 * DAY);
    scene_expect(s, "");
    scene_free(s);
}

static void test_what_waits_goes_by_the_changed_rule(void **state)
{
    (void)state;
    for (int holds = 0; holds < 2; holds++) {
        scene *s = scene_new();
        rfm_rule *rule = scene_on_event(s, "tips", RFM_EVENT_PURCHASE);
        rule->delay_ms = 5 * DAY;
        scene_bind(s);
        scene_event(s, 0, purchase("p", 100));
        s->rule[0].delay_ms = HOUR; /* for causes from now on */
        scene_when(s, &s->rule[0], holds ? "client.visits == 0" : "client.visits == 1");
        s->conf.version++;
        scene_bind(s);
        scene_event(s, DAY, purchase("q", 100));
        scene_advance(s, START_MS + 20 * DAY);
        scene_expect(s, holds ? "tips pending purchase/q -@86400\ntips sent purchase/p -@432000\n"
                              : "tips condition purchase/p -@432000\n");
        scene_free(s);
    }
}

/* Nobody looked at the client while it was gone. */
static void test_a_rule_that_is_back_in_time_forgets_nothing(void **state)
{
    (void)state;
    for (int looked = 0; looked < 2; looked++) {
        scene *s = scene_new();
        scene_on_event(s, "tips", RFM_EVENT_PURCHASE)->delay_ms = 5 * DAY;
        scene_bind(s);
        scene_event(s, 0, purchase("p", 100));
        s->rules.count = 0;
        scene_bind(s);
        if (looked)
            scene_event(s, HOUR, visit("v"));
        s->rules.count = 1;
        scene_bind(s);
        scene_advance(s, START_MS + 20 * DAY);
        scene_expect(s, looked ? "" : "tips sent purchase/p -@432000\n");
        scene_free(s);
    }
}

static void test_an_event_leaves_to_time_what_is_due(void **state)
{
    (void)state;
    for (int buys = 0; buys < 2; buys++) {
        scene *s = scene_new();
        on_score(s, "win_back", RFM_CAUSE_FALL_RATIO, 0.3);
        on_lifecycle(s, "risk", RFM_CAUSE_ENTER_LIFECYCLE, RFM_LIFECYCLE_AT_RISK);
        scene_bind(s);
        scene_event(s, 0, purchase("p", 100));
        int64_t risk = fall_s(&s->conf, 0, 0, 0, 0.5), fall = fall_s(&s->conf, 0, 0, 0, 0.3);
        /* After an outage the backlog comes before the timers, on a clock that is past them. */
        int64_t now_ms = START_MS + (fall + 1000) * SECOND;
        s->review_ms = now_ms + HOUR;
        rfm_event seen = at(visit("v"), 100 * DAY), bought = at(purchase("q", 100), 100 * DAY);
        scene_apply(s, &seen, now_ms);
        scene_expect(s, "");
        assert_int_equal(s->look_ms, START_MS + risk * SECOND);
        if (buys)
            scene_apply(s, &bought, now_ms);
        if (buys) {
            assert_int_equal(s->look_ms, INT64_MAX);
        } else {
            scene_look(s, s->look_ms, now_ms, false);
            scene_look(s, s->look_ms, now_ms, false);
        }
        scene_expect(s, buys ? ""
                             : line("risk sent due+%ld -@%ld\nwin_back sent due+%ld -@%ld\n", risk, fall + 1000, fall,
                                    fall + 1000));
        scene_free(s);
    }
}

static void test_an_old_event_does_not_end_what_is_overdue(void **state)
{
    (void)state;
    scene *s = scene_new();
    rfm_rule *rule = scene_add(s, "no_visit");
    rule->on.kind = RFM_CAUSE_IDLE;
    rule->on.event = RFM_EVENT_VISIT;
    rule->on.idle_ms = 10 * DAY;
    scene_bind(s);
    scene_event(s, 0, visit("v"));
    s->review_ms = START_MS + 31 * DAY;
    rfm_event old = at(visit("w"), DAY);
    scene_apply(s, &old, START_MS + 30 * DAY);
    assert_int_equal(s->look_ms, START_MS + 11 * DAY);
    scene_look(s, s->look_ms, START_MS + 30 * DAY, false);
    scene_expect(s, line("no_visit sent due+%d -@%d\n", 11 * 86400, 30 * 86400));
    scene_free(s);
}

static void test_of_one_instant_and_rule_the_older_cause_comes_first(void **state)
{
    (void)state;
    scene *s = scene_new();
    rfm_rule *rule = scene_add(s, "no_visit");
    rule->on.kind = RFM_CAUSE_IDLE;
    rule->on.event = RFM_EVENT_VISIT;
    rule->on.idle_ms = rule->delay_ms = 10 * DAY;
    rule->cooldown_ms = DAY;
    scene_bind(s);
    scene_event(s, 0, visit("v"));
    scene_event(s, 10 * DAY + 1, at(visit("w"), 10 * DAY));
    scene_advance(s, START_MS + 21 * DAY);
    scene_expect(s, line("no_visit sent due+%d -@%d\nno_visit cooldown due+%d -@%d\n", 864000, 2 * 864000, 2 * 864000,
                         2 * 864000));
    scene_free(s);
}

static void test_a_late_look_catches_up(void **state)
{
    (void)state;
    scene *s = scene_new();
    on_score(s, "win_back", RFM_CAUSE_FALL_RATIO, 0.3);
    on_lifecycle(s, "a_lapsed", RFM_CAUSE_ENTER_LIFECYCLE, RFM_LIFECYCLE_LAPSED);
    on_lifecycle(s, "risk", RFM_CAUSE_ENTER_LIFECYCLE, RFM_LIFECYCLE_AT_RISK);
    scene_on_event(s, "review", RFM_EVENT_PURCHASE)->delay_ms = DAY;
    scene_bind(s);
    scene_event(s, 0, purchase("p", 100));
    s->review_ms = START_MS + 401 * DAY;
    scene_look(s, START_MS + 400 * DAY, START_MS + 400 * DAY, true);
    int64_t risk = fall_s(&s->conf, 0, 0, 0, 0.5), fall = fall_s(&s->conf, 0, 0, 0, 0.3),
            lapsed = fall_s(&s->conf, 0, 0, 0, 0.2);
    int64_t now = 400 * 86400;
    scene_expect(
        s,
        line(
            "review sent purchase/p -@%ld\nrisk sent due+%ld -@%ld\nwin_back sent due+%ld -@%ld\na_lapsed sent due+%ld -@%ld\n",
            now, risk, now, fall, now, lapsed, now));
    scene_free(s);
}

static void test_quiet_clients_remember_nothing(void **state)
{
    (void)state;
    scene *s = scene_new();
    on_score(s, "win_back", RFM_CAUSE_FALL_RATIO, 0.3);
    on_score(s, "risk", RFM_CAUSE_RISE_RISK, 0.9);
    on_lifecycle(s, "lapsed", RFM_CAUSE_ENTER_LIFECYCLE, RFM_LIFECYCLE_LAPSED);
    scene_bind(s);
    scene_event(s, 0, purchase("p", 100));
    scene_event(s, 1, visit("v"));
    assert_int_equal(s->client.slots_len, 0);
    scene_free(s);
}

static void test_names_that_have_no_room(void **state)
{
    (void)state;
    scene *s = scene_new();
    for (int i = 0; i < RFM_NAMES_MAX; i++)
        (void)rfm_names_own(s->names, rfm_text(line("channel %d", i)));
    scene_on_event(s, "thank_you", RFM_EVENT_PURCHASE);
    on_score(s, "win_back", RFM_CAUSE_FALL_RATIO, 0.3);
    scene_bind(s);
    scene_event(s, 0, purchase("p", 100));
    scene_advance(s, START_MS + 400 * DAY);
    scene_expect(s, "thank_you slots_full purchase/p -@0\n");
    scene_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_causes_in_the_order_of_priority_and_name),
        cmocka_unit_test(test_a_first_purchase_enters_new),
        cmocka_unit_test(test_lifecycle_moves_at_its_second),
        cmocka_unit_test(test_a_ratio_falls_and_rises),
        cmocka_unit_test(test_a_second_purchase_brings_the_fall_nearer),
        cmocka_unit_test(test_a_late_purchase_can_make_a_ratio_fall),
        cmocka_unit_test(test_a_risk_rises_and_falls),
        cmocka_unit_test(test_fixed_segments_move_at_midnight),
        cmocka_unit_test(test_population_segments_move_at_events_and_reviews),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_an_old_first_event_is_not_idle_at_once),
        cmocka_unit_test(test_consent_chooses_the_channel),
        cmocka_unit_test(test_once_and_cooldown),
        cmocka_unit_test(test_64_rules_are_remembered),
        cmocka_unit_test(test_held_back_is_not_sent),
        cmocka_unit_test(test_a_delay_keeps_the_cause),
        cmocka_unit_test(test_restart_keeps_the_last),
        cmocka_unit_test(test_consent_is_asked_when_a_delay_ends),
        cmocka_unit_test(test_events_cancel),
        cmocka_unit_test(test_carts_are_apart),
        cmocka_unit_test(test_the_cause_does_not_cancel_itself),
        cmocka_unit_test(test_a_timer_can_be_delayed_and_cancelled),
        cmocka_unit_test(test_at_most_eight_are_pending),
        cmocka_unit_test(test_long_ids_fill_the_slots),
        cmocka_unit_test(test_old_events_cause_nothing),
        cmocka_unit_test(test_silence_builds_state),
        cmocka_unit_test(test_a_new_version_takes_values_without_transitions),
        cmocka_unit_test(test_a_crossing_at_the_first_look_of_a_version_counts),
        cmocka_unit_test(test_renewed_before_an_event_its_own_transitions_count),
        cmocka_unit_test(test_rules_that_are_gone_are_forgotten),
        cmocka_unit_test(test_what_waits_goes_by_the_changed_rule),
        cmocka_unit_test(test_a_rule_that_is_back_in_time_forgets_nothing),
        cmocka_unit_test(test_an_event_leaves_to_time_what_is_due),
        cmocka_unit_test(test_an_old_event_does_not_end_what_is_overdue),
        cmocka_unit_test(test_of_one_instant_and_rule_the_older_cause_comes_first),
        cmocka_unit_test(test_a_late_look_catches_up),
        cmocka_unit_test(test_quiet_clients_remember_nothing),
        cmocka_unit_test(test_names_that_have_no_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
