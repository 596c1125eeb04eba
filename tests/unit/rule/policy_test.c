/* Policies, sentence by sentence of docs/rules.md, "The order of a decision". The client is alice; her buckets, and her
 * jitter, by Python's xxhash: "global-1" 54, "winback-1" 7403. */
#include "rule/slot.h"
#include "scene.h"

#include <rfm/rule/notes.h>

#include <math.h>

static rfm_rule *marketing(scene *s, const char *name, rfm_event_type event)
{
    rfm_rule *rule = scene_on_event(s, name, event);
    rule->class_ = RFM_CLASS_MARKETING;
    return rule;
}

static void over(rfm_rule *rule, const char *channel)
{
    strcpy(rule->channel[rule->channel_count++], channel);
}

static void agree(scene *s, int64_t at_ms, const char *channel)
{
    char id[32];
    snprintf(id, sizeof id, "yes-%s", channel);
    rfm_event event = consent(id, channel, RFM_CLASS_MARKETING, true);
    scene_event(s, at_ms, event);
}

static rfm_event message(const char *id, const char *channel, rfm_message_status status)
{
    return (rfm_event){.type = RFM_EVENT_MESSAGE,
                       .id = rfm_text(id),
                       .channel = rfm_text(channel),
                       .status = status,
                       .permanent = true};
}

/* From 21 to 9 o'clock; the scene begins at midnight UTC. */
static void be_quiet(scene *s, int64_t jitter_ms)
{
    s->rules.quiet_hours = (rfm_quiet_hours){true, 21 * HOUR, 9 * HOUR, jitter_ms};
}

static rfm_cap *cap(scene *s, uint32_t max, int64_t per_ms)
{
    rfm_cap *made = &s->rules.cap[s->rules.cap_count++];
    *made = (rfm_cap){.max = max, .per_ms = per_ms};
    return made;
}

/* -- 2 */

static void test_a_virtual_send_counts_for_once_and_cooldown(void **state)
{
    (void)state;
    scene *s = scene_new();
    s->rules.holdout = (rfm_holdout){"global-1", 55};
    marketing(s, "cool", RFM_EVENT_VISIT)->cooldown_ms = DAY;
    marketing(s, "once", RFM_EVENT_VISIT)->once = true;
    scene_bind(s);
    scene_event(s, 0, visit("1"));
    scene_event(s, DAY - 1, visit("2"));
    scene_event(s, DAY, visit("3"));
    scene_expect(s, "cool holdout visit/1 -@0\nonce holdout visit/1 -@0\n"
                    "cool cooldown visit/2 -@86399\nonce once visit/2 -@86399\n"
                    "cool holdout visit/3 -@86400\nonce once visit/3 -@86400\n");
    scene_free(s);
}

static void test_what_quiet_hours_put_off_is_pending(void **state)
{
    (void)state;
    for (int restart = 0; restart < 2; restart++) {
        scene *s = scene_new();
        be_quiet(s, 0);
        marketing(s, "m", RFM_EVENT_VISIT)->restart = restart;
        scene_bind(s);
        scene_event(s, HOUR, visit("1"));
        scene_event(s, 2 * HOUR, visit("2"));
        scene_event(s, 3 * HOUR, in_cart(visit("3"), "a"));
        scene_advance(s, START_MS + DAY);
        scene_expect(s, restart ? "m sent visit/2 -@32400\nm sent visit/3 -@32400\n"
                                : "m pending visit/2 -@7200\nm sent visit/1 -@32400\nm sent visit/3 -@32400\n");
        scene_free(s);
    }
}

static void test_restart_replaces_what_waits_even_if_the_new_one_goes_at_once(void **state)
{
    (void)state;
    scene *s = scene_new();
    be_quiet(s, 20 * HOUR);
    marketing(s, "m", RFM_EVENT_VISIT)->restart = true;
    scene_bind(s);
    scene_event(s, 8 * HOUR, visit("1"));
    assert_true(s->decisions.look_ms > START_MS + 10 * HOUR); /* the jitter puts it off further */
    scene_event(s, 10 * HOUR, visit("2"));
    scene_advance(s, START_MS + 5 * DAY);
    scene_expect(s, "m sent visit/2 -@36000\n");
    scene_free(s);
}

/* -- 3 */

static void test_quiet_hours_wait_can_be_cancelled(void **state)
{
    (void)state;
    scene *s = scene_new();
    be_quiet(s, 0);
    marketing(s, "m", RFM_EVENT_VISIT)->cancel_on = 1u << RFM_EVENT_PURCHASE;
    scene_bind(s);
    scene_event(s, HOUR, in_cart(visit("1"), "a"));
    scene_event(s, 2 * HOUR, in_cart(purchase("p", 100), "b")); /* another cart */
    scene_event(s, 3 * HOUR, at(purchase("q", 100), HOUR - 1)); /* before the cause */
    scene_expect(s, "");
    scene_event(s, 4 * HOUR, in_cart(purchase("r", 100), "a"));
    scene_advance(s, START_MS + DAY);
    scene_expect(s, "m cancelled visit/1 -@14400\n");
    scene_free(s);
}

static rfm_schedule on_days(uint8_t days)
{
    return (rfm_schedule){.days = days};
}

enum { MON = 1, TUE = 2, WED = 4, THU = 8, FRI = 16, SAT = 32, SUN = 64 };

/* The scene begins on a Wednesday. */
static void test_outside_its_schedule_a_rule_does_nothing(void **state)
{
    (void)state;
    scene *s = scene_new();
    scene_on_event(s, "days", RFM_EVENT_VISIT)->schedule = on_days(THU | SUN);
    scene_on_event(s, "from", RFM_EVENT_VISIT)->schedule.from_day = rfm_day_of_civil(2023, 11, 16);
    scene_on_event(s, "to", RFM_EVENT_VISIT)->schedule.to_day = rfm_day_of_civil(2023, 11, 16);
    scene_bind(s);
    scene_event(s, DAY - 1, visit("1"));
    scene_event(s, DAY, visit("2"));
    scene_event(s, 2 * DAY - 1, visit("3"));
    scene_event(s, 2 * DAY, visit("4"));
    scene_event(s, 4 * DAY, visit("5"));
    scene_expect(s, "to sent visit/1 -@86399\n"
                    "days sent visit/2 -@86400\nfrom sent visit/2 -@86400\nto sent visit/2 -@86400\n"
                    "days sent visit/3 -@172799\nfrom sent visit/3 -@172799\nto sent visit/3 -@172799\n"
                    "from sent visit/4 -@172800\n"
                    "days sent visit/5 -@345600\nfrom sent visit/5 -@345600\n");
    scene_free(s);
}

static void test_a_schedule_goes_by_the_wall(void **state)
{
    (void)state;
    scene *s = scene_new();
    rfm_zone *zone;
    assert_int_equal(rfm_zone_load("Asia/Tokyo", &zone, NULL), 0);
    s->rules.default_zone = zone;
    scene_on_event(s, "m", RFM_EVENT_VISIT)->schedule = on_days(THU);
    scene_bind(s);
    scene_event(s, 15 * HOUR - 1, visit("1"));
    scene_event(s, 15 * HOUR, visit("2")); /* Thursday in Tokyo */
    scene_expect(s, "m sent visit/2 -@54000\n");
    scene_free(s);
    rfm_zone_free(zone);
}

static void test_after_a_delay_the_condition_is_asked_again(void **state)
{
    (void)state;
    scene *s = scene_new();
    rfm_rule *rule = scene_on_event(s, "m", RFM_EVENT_VISIT);
    rule->schedule = on_days(WED);
    rule->delay_ms = DAY;
    rule->once = true;
    scene_bind(s);
    scene_event(s, HOUR, visit("1"));
    scene_event(s, 26 * HOUR, visit("2")); /* Thursday: nothing, not even an audit */
    scene_advance(s, START_MS + 6 * DAY);
    scene_expect(s, "m condition visit/1 -@90000\n");
    rule->delay_ms = HOUR; /* held back is not sent: `once` is free */
    scene_event(s, 7 * DAY, visit("3"));
    scene_advance(s, START_MS + 8 * DAY);
    scene_expect(s, "m sent visit/3 -@608400\n");
    scene_free(s);
}

/* -- 4 */

static void test_consent_policies(void **state)
{
    (void)state;
    scene *s = scene_new();
    s->rules.consent[RFM_CLASS_MARKETING] = RFM_OPT_OUT;
    s->rules.consent[RFM_CLASS_TRANSACTIONAL] = RFM_OPT_IN;
    over(marketing(s, "m", RFM_EVENT_VISIT), "email");
    over(scene_on_event(s, "t", RFM_EVENT_VISIT), "email");
    scene_bind(s);
    scene_event(s, 0, visit("1"));
    scene_event(s, 1, message("u", "email", RFM_STATUS_UNSUBSCRIBED));
    scene_event(s, 2, consent("c", "email", RFM_CLASS_TRANSACTIONAL, true));
    scene_event(s, 3, visit("2"));
    scene_event(s, 4, message("x", "email", RFM_STATUS_COMPLAINED));
    scene_event(s, 5, visit("3"));
    scene_expect(s, "m sent visit/1 email@0\nt consent visit/1 -@0\n"
                    "m consent visit/2 -@0\nt sent visit/2 email@0\n"
                    "m consent visit/3 -@0\nt consent visit/3 -@0\n");
    scene_free(s);
}

static void test_a_bounce_blocks_until_something_is_delivered(void **state)
{
    (void)state;
    scene *s = scene_new();
    rfm_rule *rule = marketing(s, "m", RFM_EVENT_VISIT);
    over(rule, "email");
    over(rule, "sms");
    scene_bind(s);
    agree(s, 0, "email");
    agree(s, 0, "sms");
    scene_event(s, 1 * SECOND, message("b", "email", RFM_STATUS_BOUNCED));
    scene_event(s, 2 * SECOND, visit("1"));
    scene_event(s, 3 * SECOND, message("c", "sms", RFM_STATUS_BOUNCED));
    scene_event(s, 4 * SECOND, visit("2"));
    scene_event(s, 5 * SECOND, message("u", "sms", RFM_STATUS_UNSUBSCRIBED));
    scene_event(s, 6 * SECOND, message("v", "email", RFM_STATUS_UNSUBSCRIBED));
    scene_event(s, 7 * SECOND, visit("3"));
    scene_event(s, 8 * SECOND, consent("again", "email", RFM_CLASS_MARKETING, true));
    scene_event(s, 9 * SECOND, message("d", "email", RFM_STATUS_DELIVERED));
    scene_event(s, 10 * SECOND, visit("4"));
    scene_expect(s, "m sent visit/1 sms@2\nm no_channel visit/2 -@4\nm consent visit/3 -@7\nm sent visit/4 email@10\n");
    scene_free(s);
}

static void test_best_is_the_channel_that_is_answered(void **state)
{
    (void)state;
    scene *s = scene_new();
    marketing(s, "m", RFM_EVENT_VISIT)->best = true;
    rfm_rule *other = scene_on_event(s, "other", RFM_EVENT_COST); /* names channels, in this order */
    over(other, "push");
    over(other, "email");
    scene_bind(s);
    scene_event(s, 0, visit("1"));
    agree(s, 1, "email");
    agree(s, 2, "push");
    agree(s, 3, "app"); /* which no rule names */
    scene_event(s, 4, visit("2"));
    scene_event(s, 5, message("d", "email", RFM_STATUS_DELIVERED));
    scene_event(s, 6, message("e", "email", RFM_STATUS_CLICKED));
    scene_event(s, 7, message("f", "app", RFM_STATUS_DELIVERED));
    scene_event(s, 8, visit("3"));
    scene_event(s, 9, message("g", "email", RFM_STATUS_UNSUBSCRIBED));
    scene_event(s, 10, visit("4"));
    scene_event(s, 11, message("h", "app", RFM_STATUS_BOUNCED));
    scene_event(s, 12, message("i", "push", RFM_STATUS_BOUNCED));
    scene_event(s, 13, visit("5"));
    scene_expect(s, "m consent visit/1 -@0\nm sent visit/2 push@0\nm sent visit/3 email@0\nm sent visit/4 app@0\n"
                    "m no_channel visit/5 -@0\n");
    scene_free(s);
}

/* -- 5 */

static void test_marketing_waits_for_the_end_of_quiet_hours(void **state)
{
    (void)state;
    scene *s = scene_new();
    be_quiet(s, 0);
    marketing(s, "m", RFM_EVENT_VISIT);
    scene_on_event(s, "t", RFM_EVENT_VISIT);
    scene_bind(s);
    scene_event(s, 9 * HOUR - 1, in_cart(visit("1"), "a"));
    scene_event(s, 9 * HOUR, in_cart(visit("2"), "b")); /* 9:00 is not quiet; and events go before timers */
    scene_event(s, 21 * HOUR - 1, in_cart(visit("3"), "c"));
    scene_event(s, 21 * HOUR, in_cart(visit("4"), "d"));
    scene_advance(s, START_MS + 3 * DAY);
    scene_expect(s, "t sent visit/1 -@32399\n"
                    "m sent visit/2 -@32400\nt sent visit/2 -@32400\nm sent visit/1 -@32400\n"
                    "m sent visit/3 -@75599\nt sent visit/3 -@75599\n"
                    "t sent visit/4 -@75600\nm sent visit/4 -@118800\n");
    scene_free(s);
}

static void test_quiet_hours_within_a_day(void **state)
{
    (void)state;
    scene *s = scene_new();
    s->rules.quiet_hours = (rfm_quiet_hours){true, 13 * HOUR, 15 * HOUR, 0};
    marketing(s, "m", RFM_EVENT_VISIT);
    scene_bind(s);
    scene_event(s, 12 * HOUR, visit("1"));
    scene_event(s, 13 * HOUR, visit("2"));
    scene_event(s, 23 * HOUR, visit("3"));
    scene_expect(s, "m sent visit/1 -@43200\nm sent visit/2 -@54000\nm sent visit/3 -@82800\n");
    scene_free(s);
}

static void test_the_release_is_spread_and_the_same_for_all_of_a_client(void **state)
{
    (void)state;
    scene *s = scene_new();
    be_quiet(s, 15 * RFM_MINUTE_MS);
    marketing(s, "b", RFM_EVENT_VISIT);
    marketing(s, "a", RFM_EVENT_VISIT)->priority = -1;
    scene_bind(s);
    scene_event(s, HOUR, visit("1"));
    scene_event(s, 22 * HOUR, visit("2"));
    scene_advance(s, START_MS + 3 * DAY);
    /* XXH3-64("alice" 0x1F "1700038800000") mod 900000 = 747087; of the next day's 732860 */
    scene_expect(s,
                 "b sent visit/1 -@33147\na sent visit/1 -@33147\nb sent visit/2 -@119532\na sent visit/2 -@119532\n");
    assert_int_equal(s->items[0].time_ms, INT64_C(1700125200000) + 732860);
    scene_free(s);
}

static void test_a_release_asks_again(void **state)
{
    (void)state;
    scene *s = scene_new();
    be_quiet(s, 0);
    rfm_rule *rule = marketing(s, "m", RFM_EVENT_VISIT);
    over(rule, "email");
    over(rule, "sms");
    marketing(s, "n", RFM_EVENT_VISIT)->schedule = on_days(WED);
    scene_bind(s);
    agree(s, 0, "email");
    agree(s, 0, "sms");
    scene_event(s, 22 * HOUR, visit("1"));
    scene_event(s, 23 * HOUR, message("u", "email", RFM_STATUS_UNSUBSCRIBED));
    scene_advance(s, START_MS + 2 * DAY);
    scene_expect(s, "m sent visit/1 sms@118800\nn condition visit/1 -@118800\n");
    scene_event(s, 70 * HOUR, visit("2"));
    scene_event(s, 71 * HOUR, message("v", "sms", RFM_STATUS_UNSUBSCRIBED));
    scene_advance(s, START_MS + 4 * DAY);
    scene_expect(s, "m consent visit/2 -@291600\n");
    scene_free(s);
}

static void test_a_deferral_after_a_delay_has_no_new_delay(void **state)
{
    (void)state;
    scene *s = scene_new();
    be_quiet(s, 0);
    marketing(s, "m", RFM_EVENT_VISIT)->delay_ms = 12 * HOUR;
    scene_bind(s);
    scene_event(s, 12 * HOUR, visit("1"));
    scene_advance(s, START_MS + 2 * DAY);
    scene_expect(s, "m sent visit/1 -@118800\n");
    scene_free(s);
}

static void test_what_waited_longer_than_expires_is_dropped(void **state)
{
    (void)state;
    for (int exact = 0; exact < 2; exact++) {
        scene *s = scene_new();
        be_quiet(s, 0);
        marketing(s, "m", RFM_EVENT_VISIT)->expires_ms = 10 * HOUR;
        scene_bind(s);
        scene_event(s, 23 * HOUR - !exact, visit("1"));
        scene_advance(s, START_MS + 2 * DAY);
        scene_expect(s, exact ? "m sent visit/1 -@118800\n" : "m expired visit/1 -@118800\n");
        scene_free(s);
    }
}

static void test_quiet_again_at_a_late_release(void **state)
{
    (void)state;
    for (int expires = 0; expires < 2; expires++) {
        scene *s = scene_new();
        be_quiet(s, 0);
        marketing(s, "m", RFM_EVENT_VISIT)->expires_ms = expires ? 30 * HOUR : 40 * HOUR;
        scene_bind(s);
        s->review_ms = START_MS + 10 * DAY;
        rfm_event event = at(visit("1"), 23 * HOUR);
        scene_apply(s, &event, START_MS + 23 * HOUR);
        assert_int_equal(s->look_ms, START_MS + 33 * HOUR);
        scene_look(s, s->look_ms, START_MS + 47 * HOUR, false); /* the service was away until 23:00 */
        scene_expect(s, "");
        assert_int_equal(s->look_ms, START_MS + 57 * HOUR);
        scene_look(s, s->look_ms, START_MS + 57 * HOUR, false);
        scene_expect(s, expires ? "m expired visit/1 -@205200\n" : "m sent visit/1 -@205200\n");
        scene_free(s);
    }
}

static void test_a_late_timer_waits_in_quiet_hours_by_the_clock(void **state)
{
    (void)state;
    scene *s = scene_new();
    be_quiet(s, 0);
    rfm_rule *rule = marketing(s, "m", RFM_EVENT_VISIT);
    rule->on.kind = RFM_CAUSE_IDLE;
    rule->on.idle_ms = DAY;
    scene_bind(s);
    s->review_ms = START_MS + 10 * DAY;
    rfm_event event = at(visit("1"), 12 * HOUR);
    scene_apply(s, &event, START_MS + 12 * HOUR);
    scene_look(s, START_MS + 36 * HOUR, START_MS + 46 * HOUR, false);
    scene_expect(s, "");
    scene_look(s, s->look_ms, s->look_ms, false);
    scene_expect(s, "m sent due+129600 -@205200\n"); /* its id keeps the moment */
    scene_free(s);
}

static void test_a_ninth_deferral_has_no_room(void **state)
{
    (void)state;
    scene *s = scene_new();
    be_quiet(s, 0);
    marketing(s, "m", RFM_EVENT_VISIT);
    scene_bind(s);
    for (int i = 0; i < 9; i++) {
        char id[2][8];
        snprintf(id[0], 8, "v%d", i), snprintf(id[1], 8, "c%d", i);
        scene_event(s, i * SECOND, in_cart(visit(id[0]), id[1]));
    }
    scene_expect(s, "m slots_full visit/v8 -@8\n");
    scene_free(s);
}

/* -- 6 */

static void test_caps_slide(void **state)
{
    (void)state;
    scene *s = scene_new();
    cap(s, 2, DAY);
    marketing(s, "m", RFM_EVENT_VISIT);
    scene_bind(s);
    scene_event(s, 0, visit("1"));
    scene_event(s, HOUR, visit("2"));
    scene_event(s, DAY - 1, visit("3"));
    scene_event(s, DAY, visit("4")); /* (now - per, now]: the first is out */
    scene_event(s, DAY + 1, visit("5"));
    scene_event(s, DAY + HOUR, visit("6"));
    scene_expect(s, "m sent visit/1 -@0\nm sent visit/2 -@3600\nm cap visit/3 -@86399\nm sent visit/4 -@86400\n"
                    "m cap visit/5 -@86400\nm sent visit/6 -@90000\n");
    scene_free(s);
}

static void test_caps_by_class_channel_rule_and_all(void **state)
{
    (void)state;
    scene *s = scene_new();
    rfm_cap *of = cap(s, 1, DAY);
    strcpy(of->channel, "sms");
    of = cap(s, 2, DAY);
    strcpy(of->rule, "b");
    of = cap(s, 3, DAY);
    of->has_class = true;
    of->class_ = RFM_CLASS_MARKETING;
    cap(s, 6, DAY);
    over(marketing(s, "a", RFM_EVENT_VISIT), "sms");
    over(marketing(s, "b", RFM_EVENT_PURCHASE), "email");
    over(marketing(s, "c", RFM_EVENT_REFUND), "email");
    over(scene_on_event(s, "t", RFM_EVENT_CONSENT), "email");
    scene_bind(s);
    agree(s, 0, "sms");
    agree(s, 0, "email");
    scene_expect(s, "t sent consent/yes-sms email@0\nt sent consent/yes-email email@0\n");
    scene_event(s, 1, visit("1"));
    scene_event(s, 2, visit("2"));
    scene_expect(s, "a sent visit/1 sms@0\na cap visit/2 sms@0\n"); /* by channel, and no fall to another */
    for (int i = 0; i < 3; i++) {
        char id[8];
        snprintf(id, sizeof id, "p%d", i);
        scene_event(s, 3 + i, purchase(id, 100));
    }
    scene_expect(s, "b sent purchase/p0 email@0\nb sent purchase/p1 email@0\nb cap purchase/p2 email@0\n");
    rfm_event refund = {.type = RFM_EVENT_REFUND, .id = rfm_text("r"), .order_id = rfm_text("p0")};
    scene_event(s, 10, refund);
    scene_expect(s, "c cap refund/r email@0\n"); /* by class: three of marketing */
    scene_event(s, 11, consent("c1", "x", RFM_CLASS_MARKETING, true));
    scene_event(s, 12, consent("c2", "x", RFM_CLASS_MARKETING, true));
    scene_event(s, 13, consent("c3", "x", RFM_CLASS_MARKETING, true)); /* transactional passes them all */
    scene_expect(s, "t sent consent/c1 email@0\nt sent consent/c2 email@0\nt sent consent/c3 email@0\n");
    scene_free(s);
}

static void test_transactional_counts_where_a_cap_has_no_class(void **state)
{
    (void)state;
    scene *s = scene_new();
    cap(s, 2, DAY);
    scene_on_event(s, "t", RFM_EVENT_PURCHASE);
    marketing(s, "m", RFM_EVENT_VISIT);
    scene_bind(s);
    scene_event(s, 0, purchase("p", 100));
    scene_event(s, 1, visit("1"));
    scene_event(s, 2, visit("2"));
    for (int i = 0; i < 3 * RFM_RECENT_MAX; i++) {
        char id[8];
        snprintf(id, sizeof id, "p%d", i);
        scene_event(s, DAY + i, purchase(id, 100));
    }
    s->log_len = 0;
    scene_event(s, 2 * DAY, visit("3"));
    scene_expect(s, "m cap visit/3 -@172800\n");
    assert_true(s->client.slots_len < 64); /* of so many only the newest two matter */
    scene_event(s, 3 * DAY, visit("4"));
    scene_expect(s, "m sent visit/4 -@259200\n");
    scene_free(s);
}

static void test_many_at_one_moment_go_by_priority_and_name(void **state)
{
    (void)state;
    scene *s = scene_new();
    be_quiet(s, 0);
    cap(s, 2, DAY);
    marketing(s, "d", RFM_EVENT_VISIT)->priority = 1;
    marketing(s, "c", RFM_EVENT_VISIT);
    marketing(s, "b", RFM_EVENT_PURCHASE);
    marketing(s, "a", RFM_EVENT_VISIT)->priority = -1;
    scene_bind(s);
    scene_event(s, HOUR, visit("1"));
    scene_event(s, 2 * HOUR, purchase("p", 100));
    scene_advance(s, START_MS + DAY);
    scene_expect(s,
                 "d sent visit/1 -@32400\nb sent purchase/p -@32400\nc cap visit/1 -@32400\na cap visit/1 -@32400\n");
    scene_free(s);
}

static void test_a_cap_of_none(void **state)
{
    (void)state;
    scene *s = scene_new();
    cap(s, 0, DAY);
    marketing(s, "m", RFM_EVENT_VISIT)->cooldown_ms = DAY;
    scene_bind(s);
    scene_event(s, 0, visit("1"));
    scene_event(s, 1, visit("2")); /* held back is not sent: no cooldown */
    scene_expect(s, "m cap visit/1 -@0\nm cap visit/2 -@0\n");
    assert_int_equal(s->client.slots_len, 0);
    scene_free(s);
}

static void test_caps_that_overflow_the_slots_hold_back(void **state)
{
    (void)state;
    scene *s = scene_new();
    for (int i = 0; i < 3; i++) {
        char name[8];
        snprintf(name, sizeof name, "m%d", i);
        marketing(s, name,
                  (rfm_event_type)(i == 0   ? RFM_EVENT_VISIT
                                   : i == 1 ? RFM_EVENT_PURCHASE
                                            : RFM_EVENT_CONSENT));
        strcpy(cap(s, RFM_CAP_SENDS_MAX, 365 * DAY)->rule, name);
    }
    scene_bind(s);
    char id[8];
    for (int i = 0; i < RFM_CAP_SENDS_MAX; i++) {
        snprintf(id, sizeof id, "e%d", i);
        scene_event(s, 2 * i * SECOND, visit(id));
        id[0] = 'p';
        scene_event(s, (2 * i + 1) * SECOND, purchase(id, 100));
    }
    s->log_len = 0;
    scene_event(s, 1000 * SECOND, consent("c", "x", RFM_CLASS_MARKETING, true));
    scene_event(s, 1001 * SECOND, visit("v"));
    scene_expect(s, "m2 slots_full consent/c -@1000\nm0 cap visit/v -@1001\n");
    scene_event(s, 365 * DAY + 5 * SECOND, consent("d", "x", RFM_CLASS_MARKETING, true));
    scene_expect(s, "m2 sent consent/d -@31536005\n");
    scene_free(s);
}

static void test_sends_that_no_cap_counts_are_forgotten(void **state)
{
    (void)state;
    scene *s = scene_new();
    cap(s, 1, 7 * DAY);
    marketing(s, "m", RFM_EVENT_VISIT);
    scene_bind(s);
    scene_event(s, 0, visit("1"));
    size_t with = s->client.slots_len;
    scene_advance(s, START_MS + 6 * DAY);
    assert_int_equal(s->client.slots_len, with);
    scene_advance(s, START_MS + 9 * DAY); /* a daily look later */
    assert_true(s->client.slots_len < with);
    scene_free(s);
}

static void test_sends_of_a_rule_that_is_gone_still_count(void **state)
{
    (void)state;
    scene *s = scene_new();
    cap(s, 1, 7 * DAY);
    marketing(s, "old", RFM_EVENT_PURCHASE);
    marketing(s, "m", RFM_EVENT_VISIT);
    scene_bind(s);
    scene_event(s, 0, purchase("p", 100));
    strcpy(s->rule[strcmp(s->rule[0].name, "old") == 0 ? 0 : 1].name, "new");
    scene_bind(s);
    scene_event(s, DAY, visit("1"));
    scene_expect(s, "old sent purchase/p -@0\nm cap visit/1 -@86400\n");
    scene_free(s);
}

/* A clock that steps back, or another machine's that is behind, opens no window. */
static void test_a_send_in_the_future_counts(void **state)
{
    (void)state;
    scene *s = scene_new();
    cap(s, 1, HOUR);
    marketing(s, "m", RFM_EVENT_VISIT);
    scene_bind(s);
    rfm_event event = at(visit("1"), DAY);
    scene_apply(s, &event, START_MS + DAY);
    event = at(visit("2"), DAY);
    scene_apply(s, &event, START_MS + DAY - 2 * HOUR);
    scene_expect(s, "m sent visit/1 -@86400\nm cap visit/2 -@79200\n");
    scene_free(s);
}

/* -- 7 */

static void test_the_hold_out_counts_in_caps(void **state)
{
    (void)state;
    scene *s = scene_new();
    s->rules.holdout = (rfm_holdout){"global-1", 55};
    cap(s, 1, DAY);
    marketing(s, "m", RFM_EVENT_VISIT);
    scene_bind(s);
    scene_event(s, 0, visit("1"));
    scene_event(s, 1, visit("2"));
    scene_expect(s, "m holdout visit/1 -@0\nm cap visit/2 -@0\n");
    scene_free(s);
}

static rfm_rule *experiment(scene *s, uint16_t control)
{
    rfm_rule *rule = marketing(s, "m", RFM_EVENT_VISIT);
    rule->experiment = (rfm_experiment){
        .given = true, .salt = "winback-1", .control_buckets = control, .variant_count = 2};
    rule->experiment.variant[0] = (rfm_variant){"a", (uint16_t)(8000 - control)};
    rule->experiment.variant[1] = (rfm_variant){"b", 2000};
    return rule;
}

static void test_the_control_does_not_count_in_caps(void **state)
{
    (void)state;
    scene *s = scene_new();
    cap(s, 1, DAY);
    experiment(s, 7404);
    marketing(s, "n", RFM_EVENT_VISIT);
    scene_bind(s);
    scene_event(s, 0, visit("1"));
    scene_event(s, 1, visit("2"));
    scene_expect(s, "m control visit/1 -@0\nn sent visit/1 -@0\nm cap visit/2 -@0\nn cap visit/2 -@0\n");
    scene_free(s);
}

static void test_arms_in_the_order_written(void **state)
{
    (void)state;
    static const struct {
        uint16_t control, a;
        rfm_suppression suppression;
        uint8_t variant;
    } rows[] = {{7404, 96, RFM_SUPPRESSED_CONTROL, UINT8_MAX},
                {7403, 97, RFM_SENT, 0},
                {0, 7404, RFM_SENT, 0},
                {0, 7403, RFM_SENT, 1},
                {1, 7402, RFM_SENT, 1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        scene *s = scene_new();
        rfm_rule *rule = experiment(s, rows[i].control);
        rule->experiment.variant[0].buckets = rows[i].a;
        rule->experiment.variant[1].buckets = (uint16_t)(10000 - rows[i].control - rows[i].a);
        scene_bind(s);
        scene_event(s, 0, visit("1"));
        assert_int_equal(s->items[0].suppression, rows[i].suppression);
        assert_int_equal(s->items[0].variant, rows[i].variant);
        scene_free(s);
    }
}

static void test_a_hold_out_client_is_in_no_experiment(void **state)
{
    (void)state;
    for (uint16_t share = 54; share <= 55; share++) {
        scene *s = scene_new();
        s->rules.holdout = (rfm_holdout){"global-1", share};
        experiment(s, 8000);
        scene_bind(s);
        scene_event(s, 0, visit("1"));
        scene_expect(s, share == 55 ? "m holdout visit/1 -@0\n" : "m control visit/1 -@0\n");
        scene_free(s);
    }
}

static void test_a_control_s_virtual_send_is_no_trigger(void **state)
{
    (void)state;
    scene *s = scene_new();
    experiment(s, 8000)->cooldown_ms = DAY;
    scene_bind(s);
    scene_event(s, 0, visit("1"));
    scene_event(s, 1, visit("2"));
    scene_expect(s, "m control visit/1 -@0\nm cooldown visit/2 -@0\n");
    rfm_buffer json;
    rfm_buffer_init(&json, 4096);
    rfm_slots_json(&json, rfm_text("alice"), &s->client, s->names);
    assert_true(rfm_bytes_is(rfm_buffer_view(&json), "\"due\":[],\"triggers\":[]"));
    rfm_buffer_release(&json);
    scene_free(s);
}

static void test_transactional_passes_hold_out_quiet_hours_and_caps(void **state)
{
    (void)state;
    scene *s = scene_new();
    be_quiet(s, 0);
    cap(s, 0, DAY);
    s->rules.holdout = (rfm_holdout){"global-1", 10000};
    scene_on_event(s, "t", RFM_EVENT_VISIT);
    scene_bind(s);
    scene_event(s, 0, visit("1"));
    scene_expect(s, "t sent visit/1 -@0\n");
    scene_free(s);
}

/* -- the causes that are new with policies */

static void test_late_is_after_the_client_s_own_gap(void **state)
{
    (void)state;
    scene *s = scene_new();
    rfm_rule *rule = scene_add(s, "late");
    rule->on.kind = RFM_CAUSE_LATE;
    rule->on.threshold = 0.9;
    scene_bind(s);
    scene_event(s, 0, purchase("p", 100)); /* one purchase: no gap is known */
    scene_advance(s, START_MS + 30 * DAY);
    scene_expect(s, "");
    scene_event(s, 30 * DAY, purchase("q", 100));
    /* models.md, with CDNOW's parameters in weeks and cap 5: beta (( 1 - q)^(-1/s) - 1) */
    const rfm_model *m = &s->conf.model;
    double f = 1 / (1 + 1 / m->evidence_cap), shape = m->r + f, beta = m->alpha + 30 / m->unit_days * f;
    int64_t late_s = (int64_t)ceil(m->unit_days * beta * (pow(0.1, -1 / shape) - 1) * 86400) + 30 * 86400;
    scene_advance(s, START_MS + 2000 * DAY);
    char expected[64];
    snprintf(expected, sizeof expected, "late sent due+%" PRId64 " -@%" PRId64 "\n", late_s, late_s);
    scene_expect(s, expected);
    scene_event(s, 2000 * DAY, purchase("r", 100));
    scene_advance(s, START_MS + 9000 * DAY);
    assert_non_null(strstr(s->log, "late sent due+")); /* again, after another purchase */
    scene_free(s);
}

static void test_a_late_that_is_known_from_the_start_is_no_cause(void **state)
{
    (void)state;
    scene *s = scene_new();
    rfm_rule *rule = scene_add(s, "late");
    rule->on.kind = RFM_CAUSE_LATE;
    rule->on.threshold = 0.1;
    scene_bind(s);
    scene_event(s, 0, at(purchase("p", 100), -300 * DAY));
    scene_event(s, HOUR, at(purchase("q", 100), -299 * DAY));
    scene_advance(s, START_MS + 500 * DAY);
    scene_expect(s, "");
    scene_free(s);
}

static rfm_event born(const char *id, const char *date, const char *zone)
{
    static rfm_trait_value trait;
    trait = (rfm_trait_value){.name = rfm_text("birth_date"), .kind = RFM_VALUE_TEXT, .text = rfm_text(date)};
    rfm_event event = {
        .type = RFM_EVENT_PROFILE, .id = rfm_text(id), .traits = &trait, .trait_count = 1, .timezone = rfm_text(zone)};
    return event;
}

/* The scene begins on 15 November 2023; at nine on the day that `birth_date` names. */
static scene *scene_of_birthdays(rfm_zones **zones)
{
    static const rfm_trait dates[] = {{"birth_date", RFM_TRAIT_DATE}, {"joined", RFM_TRAIT_DATE}};
    scene *s = scene_new();
    assert_int_equal(rfm_zones_load(zones, NULL), 0);
    s->conf.zones = *zones, s->conf.traits = dates, s->conf.trait_count = 2;
    rfm_rule *rule = scene_add(s, "birthday");
    rule->on.kind = RFM_CAUSE_ANNIVERSARY;
    rule->on.at_ms = 9 * HOUR;
    strcpy(rule->on.trait, "birth_date");
    scene_bind(s);
    return s;
}

static void expect_birthday(scene *s, int64_t unix_s)
{
    char expected[128];
    int64_t after_s = unix_s - START_MS / SECOND;
    snprintf(expected, sizeof expected, "birthday sent due+%" PRId64 " -@%" PRId64 "\n", after_s, after_s);
    scene_expect(s, expected);
}

/* Whoever sends all traits of a client again and again says nothing new: in the backlog of an outage, it cost the
 * day's. */
static void test_a_date_that_is_said_again_loses_no_anniversary(void **state)
{
    (void)state;
    const int64_t nine = INT64_C(1709215200); /* 2024-02-29T09:00:00-05:00 */
    rfm_zones *zones;
    scene *s = scene_of_birthdays(&zones);
    scene_event(s, 0, born("p1", "1976-02-29", "America/New_York"));
    scene_advance(s, (nine - 3600) * SECOND);
    rfm_event again = born("p2", "1976-02-29", "America/New_York");
    again.time_ms = (nine - 1800) * SECOND;
    scene_apply(s, &again, (nine + 3900) * SECOND);
    scene_advance(s, (nine + 86400) * SECOND);
    expect_birthday(s, nine);
    scene_free(s);
    rfm_zones_free(zones);
}

static void test_a_date_corrected_to_one_that_is_to_come(void **state)
{
    (void)state;
    const int64_t first = INT64_C(1872320400); /* 2029-05-01T09:00:00Z */
    rfm_zones *zones;
    scene *s = scene_of_birthdays(&zones);
    scene_event(s, 0, born("p1", "2020-05-01", "UTC"));
    scene_event(s, DAY, born("p2", "2028-05-01", "UTC"));
    scene_advance(s, first * SECOND);
    scene_expect(s, "");
    scene_advance(s, first * SECOND + DAY);
    expect_birthday(s, first);
    scene_free(s);
    rfm_zones_free(zones);
}

/* A changed rule takes what it finds: the other date's day of this year has gone by. */
static void test_a_rule_that_goes_by_another_date_makes_up_for_nothing(void **state)
{
    (void)state;
    const int64_t next = INT64_C(1740992400); /* 2025-03-03T09:00:00Z */
    rfm_zones *zones;
    scene *s = scene_of_birthdays(&zones);
    rfm_trait_value traits[] = {
        {.name = rfm_text("birth_date"), .kind = RFM_VALUE_TEXT, .text = rfm_text("1990-10-20")},
        {.name = rfm_text("joined"), .kind = RFM_VALUE_TEXT, .text = rfm_text("2019-03-03")}};
    scene_event(s, 0, (rfm_event){.type = RFM_EVENT_PROFILE, .id = rfm_text("p"), .traits = traits, .trait_count = 2});
    scene_advance(s, INT64_C(1719792000) * SECOND); /* July 2024 */
    scene_expect(s, "");
    strcpy(s->rule[0].on.trait, "joined");
    s->conf.version++;
    scene_bind(s);
    scene_advance(s, next * SECOND);
    scene_expect(s, "");
    scene_advance(s, next * SECOND + DAY);
    expect_birthday(s, next);
    scene_free(s);
    rfm_zones_free(zones);
}

static void test_anniversaries_by_the_client_s_clock(void **state)
{
    (void)state;
    for (int renewed = 0; renewed < 2; renewed++) {
        rfm_zones *zones;
        scene *s = scene_of_birthdays(&zones);
        scene_event(s, 0, born("p1", "1976-02-29", "America/New_York"));
        if (renewed) { /* another version takes what it finds, without causes */
            s->conf.version++;
            scene_bind(s);
            rfm_decide_renew(&s->rules, s->binding, &s->conf, s->names, &s->client, rfm_text("alice"), &s->edges,
                             START_MS + HOUR, NULL);
        }
        scene_advance(s, START_MS + 3 * 366 * DAY);
        char expected[256];
        int64_t leap = (INT64_C(1709215200000) - START_MS) / SECOND;  /* 2024-02-29T09:00:00-05:00 */
        int64_t plain = (INT64_C(1740751200000) - START_MS) / SECOND; /* 2025-02-28T09:00:00-05:00 */
        int64_t next = (INT64_C(1772287200000) - START_MS) / SECOND;  /* 2026-02-28T09:00:00-05:00 */
        snprintf(expected, sizeof expected,
                 "birthday sent due+%" PRId64 " -@%" PRId64 "\nbirthday sent due+%" PRId64 " -@%" PRId64
                 "\nbirthday sent due+%" PRId64 " -@%" PRId64 "\n",
                 leap, leap, plain, plain, next, next);
        scene_expect(s, expected);
        scene_event(s, 3 * 366 * DAY,
                    born("p2", "1976-01-01", "UTC")); /* corrected: has gone by, and this year had one */
        scene_advance(s, START_MS + 3 * 366 * DAY + 30 * DAY);
        scene_expect(s, "");
        scene_free(s);
        rfm_zones_free(zones);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_virtual_send_counts_for_once_and_cooldown),
        cmocka_unit_test(test_what_quiet_hours_put_off_is_pending),
        cmocka_unit_test(test_restart_replaces_what_waits_even_if_the_new_one_goes_at_once),
        cmocka_unit_test(test_quiet_hours_wait_can_be_cancelled),
        cmocka_unit_test(test_outside_its_schedule_a_rule_does_nothing),
        cmocka_unit_test(test_a_schedule_goes_by_the_wall),
        cmocka_unit_test(test_after_a_delay_the_condition_is_asked_again),
        cmocka_unit_test(test_consent_policies),
        cmocka_unit_test(test_a_bounce_blocks_until_something_is_delivered),
        cmocka_unit_test(test_best_is_the_channel_that_is_answered),
        cmocka_unit_test(test_marketing_waits_for_the_end_of_quiet_hours),
        cmocka_unit_test(test_quiet_hours_within_a_day),
        cmocka_unit_test(test_the_release_is_spread_and_the_same_for_all_of_a_client),
        cmocka_unit_test(test_a_release_asks_again),
        cmocka_unit_test(test_a_deferral_after_a_delay_has_no_new_delay),
        cmocka_unit_test(test_what_waited_longer_than_expires_is_dropped),
        cmocka_unit_test(test_quiet_again_at_a_late_release),
        cmocka_unit_test(test_a_late_timer_waits_in_quiet_hours_by_the_clock),
        cmocka_unit_test(test_a_ninth_deferral_has_no_room),
        cmocka_unit_test(test_caps_slide),
        cmocka_unit_test(test_caps_by_class_channel_rule_and_all),
        cmocka_unit_test(test_transactional_counts_where_a_cap_has_no_class),
        cmocka_unit_test(test_many_at_one_moment_go_by_priority_and_name),
        cmocka_unit_test(test_a_cap_of_none),
        cmocka_unit_test(test_caps_that_overflow_the_slots_hold_back),
        cmocka_unit_test(test_sends_that_no_cap_counts_are_forgotten),
        cmocka_unit_test(test_sends_of_a_rule_that_is_gone_still_count),
        cmocka_unit_test(test_a_send_in_the_future_counts),
        cmocka_unit_test(test_the_hold_out_counts_in_caps),
        cmocka_unit_test(test_the_control_does_not_count_in_caps),
        cmocka_unit_test(test_arms_in_the_order_written),
        cmocka_unit_test(test_a_hold_out_client_is_in_no_experiment),
        cmocka_unit_test(test_a_control_s_virtual_send_is_no_trigger),
        cmocka_unit_test(test_transactional_passes_hold_out_quiet_hours_and_caps),
        cmocka_unit_test(test_anniversaries_by_the_client_s_clock),
        cmocka_unit_test(test_a_date_that_is_said_again_loses_no_anniversary),
        cmocka_unit_test(test_a_date_corrected_to_one_that_is_to_come),
        cmocka_unit_test(test_a_rule_that_goes_by_another_date_makes_up_for_nothing),
        cmocka_unit_test(test_late_is_after_the_client_s_own_gap),
        cmocka_unit_test(test_a_late_that_is_known_from_the_start_is_no_cause),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
