#include "files.h"

#define MAIN "money: {base_currency: EUR}\nrules: [r.yaml]\n"

static files with_rules(const char *rules)
{
    return (files){.file = {{"main.yaml", MAIN}, {"r.yaml", rules}}};
}

static void test_every_key_of_a_rule(void **state)
{
    (void)state;
    files all = {.file = {{"main.yaml", "money: {base_currency: EUR}\nrules: [r.yaml]\npromo: {secret_file: s}\n"},
                          {"s", "secret"},
                          {"r.yaml", "rules:\n"
                                     "  - name: win_back\n"
                                     "    on: {fall: {activity_ratio: 30%}}\n"
                                     "    delay: 1h\n    restart: true\n    cancel_on: [purchase, message]\n"
                                     "    class: transactional\n    channels: [push, email, 'sms ']\n"
                                     "    once: true\n    cooldown: 90d\n    priority: -10\n"
                                     "    promo: {prefix: BACK, percent: 12.5, valid: 14d}\n"
                                     "    topic: some.topic\n    template: we miss you\n"
                                     "policies: {max_trigger_age: 72h, silent_until: '2026-01-01T00:00:00Z',\n"
                                     "  consent: {marketing: opt_in, transactional: opt_out}}\n"}}};
    rfm_config *config = files_good(&all);
    assert_int_equal(config->rules.count, 1);
    const rfm_rule *rule = &config->rules.rule[0];
    assert_string_equal(rule->name, "win_back");
    assert_int_equal(rule->on.kind, RFM_CAUSE_FALL_RATIO);
    assert_true(rule->on.threshold == 0.3);
    assert_int_equal(rule->delay_ms, RFM_HOUR_MS);
    assert_true(rule->restart && rule->once);
    assert_int_equal(rule->cancel_on, 1u << RFM_EVENT_PURCHASE | 1u << RFM_EVENT_MESSAGE);
    assert_int_equal(rule->class_, RFM_CLASS_TRANSACTIONAL);
    assert_int_equal(rule->channel_count, 3);
    assert_string_equal(rule->channel[0], "push");
    assert_string_equal(rule->channel[2], "sms ");
    assert_int_equal(rule->cooldown_ms, 90 * RFM_DAY_MS);
    assert_int_equal(rule->priority, -10);
    assert_true(rule->promo.given && rule->promo.percent == 12.5);
    assert_string_equal(rule->promo.prefix, "BACK");
    assert_int_equal(rule->promo.valid_ms, 14 * RFM_DAY_MS);
    assert_string_equal(config->rules.topic[rule->topic], "some.topic");
    assert_string_equal(rule->template_, "we miss you");
    assert_int_equal(config->rules.max_trigger_age_ms, 72 * RFM_HOUR_MS);
    assert_int_equal(config->rules.silent_until_ms, INT64_C(1767225600000));
    rfm_config_free(config);
}

static void test_defaults_of_a_rule(void **state)
{
    (void)state;
    files all = with_rules("rules: [{name: a, on: {event: visit}, promo: , policies: }]\n");
    all.file[1].content = "rules: [{name: a, on: {event: visit}, promo: }]\npolicies: {max_trigger_age: off}\n";
    rfm_config *config = files_good(&all);
    const rfm_rule *rule = &config->rules.rule[0];
    assert_int_equal(rule->on.kind, RFM_CAUSE_EVENT);
    assert_int_equal(rule->on.event, RFM_EVENT_VISIT);
    assert_true(rule->delay_ms == 0 && rule->cooldown_ms == 0 && rule->priority == 0 && rule->cancel_on == 0);
    assert_true(!rule->once && !rule->restart && !rule->promo.given && rule->channel_count == 0);
    assert_int_equal(rule->class_, RFM_CLASS_MARKETING);
    assert_string_equal(rule->template_, "");
    assert_string_equal(config->rules.topic[rule->topic], "triggers");
    assert_true(config->rules.max_trigger_age_ms == INT64_MAX);
    rfm_config_free(config);
}

static void test_causes(void **state)
{
    (void)state;
    static const struct {
        const char *on;
        rfm_cause_kind kind;
        int what; /* event, segment or lifecycle */
        double threshold;
    } rows[] = {
        {"{event: refund}", RFM_CAUSE_EVENT, RFM_EVENT_REFUND, 0},
        {"{event: consent}", RFM_CAUSE_EVENT, RFM_EVENT_CONSENT, 0},
        {"{enter: {segment: champions}}", RFM_CAUSE_ENTER_SEGMENT, 1, 0},
        {"{leave: {segment: prospect}}", RFM_CAUSE_LEAVE_SEGMENT, 0, 0},
        {"{enter: {lifecycle: lapsed}}", RFM_CAUSE_ENTER_LIFECYCLE, RFM_LIFECYCLE_LAPSED, 0},
        {"{leave: {lifecycle: new}}", RFM_CAUSE_LEAVE_LIFECYCLE, RFM_LIFECYCLE_NEW, 0},
        {"{rise: {churn_risk: 0.7}}", RFM_CAUSE_RISE_RISK, 0, 0.7},
        {"{fall: {churn_risk: 0.7}}", RFM_CAUSE_FALL_RISK, 0, 0.7},
        {"{rise: {activity_ratio: 5%}}", RFM_CAUSE_RISE_RATIO, 0, 0.05},
        {"{fall: {activity_ratio: 3e-1}}", RFM_CAUSE_FALL_RATIO, 0, 0.3},
        {"{idle: {since: purchase, for: 60d}}", RFM_CAUSE_IDLE, RFM_EVENT_PURCHASE, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char rules[256];
        snprintf(rules, sizeof rules, "rules: [{name: a, on: %s}]\n", rows[i].on);
        files all = with_rules(rules);
        rfm_config *config = files_good(&all);
        const rfm_rule *rule = &config->rules.rule[0];
        assert_int_equal(rule->on.kind, rows[i].kind);
        int what = (int)rule->on.event + rule->on.segment + (int)rule->on.lifecycle;
        assert_int_equal(what, rows[i].what);
        assert_true(rule->on.threshold == rows[i].threshold);
        assert_int_equal(rule->on.idle_ms, rule->on.kind == RFM_CAUSE_IDLE ? 60 * RFM_DAY_MS : 0);
        rfm_config_free(config);
    }
}

static void test_bad_rules(void **state)
{
    (void)state;
    static const struct {
        const char *rule, *error; /* after "r.yaml:1:" */
    } rows[] = {
        {"name: a", "9: on is missing"},
        {"on: {event: visit}", "9: name is missing"},
        {"name: Bad Name, on: {event: visit}", "16: name: a name has a-z, 0-9 and _"},
        {"name: a, on: {event: visit}, colour: red", "39: unknown key \"colour\"; the nearest known one is \"class\""},
        {"name: a, on: {event: visit}, when: x", "39: when: not supported in this version"},
        {"name: a, on: {event: visit}, experiment: {}", "39: experiment: not supported in this version"},
        {"name: a, on: {event: visit}, schedule: {}", "39: schedule: not supported in this version"},
        {"name: a, on: {event: visit}, data: {}", "39: data: not supported in this version"},
        {"name: a, on: {event: visit}, expires: 1d", "39: expires: not supported in this version"},
        {"name: a, on: {event: visit}, attribution: 1d", "39: attribution: not supported in this version"},
        {"name: a, on: {anniversary: birth_date, at: \"09:00\"}", "24: on: anniversary is not supported"},
        {"name: a, on: {late: 0.9}", "24: on: late is not supported in this version"},
        {"name: a, on: {event: erase}", "31: on: event erase can cause or cancel nothing: there is no client left"},
        {"name: a, on: {event: buy}", "31: on: no such event \"buy\"; the nearest is"},
        {"name: a, on: {}", "23: on: exactly one key is needed here, such as {event: purchase}"},
        {"name: a, on: {event: visit, idle: {}}", "23: on: exactly one key is needed here"},
        {"name: a, on: purchase", "23: on: exactly one key is needed here"},
        {"name: a, on: {evnt: visit}", "24: on: unknown key \"evnt\"; the nearest known one is \"event\""},
        {"name: a, on: {enter: {segment: champion}}", "41: on: no such segment \"champion\"; the nearest is champions"},
        {"name: a, on: {enter: {lifecycle: dead}}", "43: on: no such lifecycle \"dead\"; the nearest is"},
        {"name: a, on: {enter: {state: dead}}", "32: on: unknown key \"state\""},
        {"name: a, on: {enter: lapsed}", "31: on: enter: exactly one key is needed here, such as {segment:"},
        {"name: a, on: {fall: {activity_ratio: low}}", "47: on.fall.activity_ratio: a share is needed here"},
        {"name: a, on: {rise: {churn_risk: 1}}", "43: on.rise.churn_risk: a number between 0 and 1"},
        {"name: a, on: {rise: {rsik: 0.5}}", "31: on: unknown key \"rsik\"; the nearest known one is \"churn_risk\""},
        {"name: a, on: {idle: {since: purchase}}", "30: on: idle needs both keys"},
        {"name: a, on: {idle: {since: purchase, for: 0s}}", "53: on: a duration of a second or more"},
        {"name: a, on: {idle: {since: purchase, for: 1d, of: 1}}", "57: on: unknown key \"of\""},
        {"name: a, on: {event: visit}, class: spam", "46: class: may be marketing, transactional; not \"spam\""},
        {"name: a, on: {event: visit}, channels: best", "49: channels: best is not supported in this version"},
        {"name: a, on: {event: visit}, channels: email", "49: channels: a list of channels is needed here"},
        {"name: a, on: {event: visit}, channels: [x, x]", "53: channels: channel \"x\" is given twice"},
        {"name: a, on: {event: visit}, channels: [1,2,3,4,5,6,7,8,9]", "66: channels: more than 8 channels"},
        {"name: a, on: {event: visit}, cancel_on: [dance]", "51: cancel_on: no such event \"dance\""},
        {"name: a, on: {event: visit}, delay: soon", "46: delay: a duration is needed here"},
        {"name: a, on: {event: visit}, once: maybe", "45: once: true or false is needed here"},
        {"name: a, on: {event: visit}, priority: 1.5", "49: priority: a whole number from -1000000 to 1000000"},
        {"name: a, on: {event: visit}, topic: a b", "46: topic: a name of letters"},
        {"name: a, on: {event: visit}, promo: {prefix: A, percent: 5, valid: 1d}",
         "39: a promo code needs promo.secret_file in the main configuration"},
        {"name: a, on: {event: visit}, topic: rfmd-wal",
         "kafka.wal: topic rfmd-wal is one that rules send triggers to"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char rules[256], text[4096];
        snprintf(rules, sizeof rules, "rules: [{%s}]\n", rows[i].rule);
        files all = with_rules(rules);
        rfm_config *config = files_load(&all, text, sizeof text);
        if (config || !strstr(text, rows[i].error))
            fail_msg("%s: \"%s\", not \"%s\"", rows[i].rule, text, rows[i].error);
    }
}

static void test_promo_must_be_whole(void **state)
{
    (void)state;
    files all = {.file = {{"main.yaml", "money: {base_currency: EUR}\nrules: r.yaml\npromo: {secret_file: s}\n"},
                          {"r.yaml", "rules: [{name: a, on: {event: visit}, promo: {percent: 0}}]\n"},
                          {"s", "x"}}};
    files_bad(&all, "r.yaml:1:46: promo.prefix is missing\n"
                    "r.yaml:1:46: promo.valid is missing\n"
                    "r.yaml:1:56: promo.percent: a number above 0 and up to 100 is needed here, not \"0\"\n");
}

static void test_files_of_rules(void **state)
{
    (void)state;
    files all = {.file = {{"etc/main.yaml", "money: {base_currency: EUR}\nrules: [r/one.yaml, /two.yaml]\n"},
                          {"etc/r/one.yaml", "rules:\n- {name: b, on: {event: visit}}\n"
                                             "- {name: c, on: {event: visit}, priority: 5, topic: t2}\n"
                                             "policies: {max_trigger_age: 1d}\n"},
                          {"/two.yaml", "rules:\n- {name: a, on: {event: visit}}\n- {name: d, on: {event: visit}, "
                                        "priority: -1}\n"}}};
    rfm_config *config = files_good(&all);
    assert_int_equal(config->rules.count, 4);
    static const char *const order[] = {"c", "a", "b", "d"}; /* by priority, then name */
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(config->rules.rule[i].name, order[i]);
    assert_int_equal(config->rules.topic_count, 2);
    assert_string_equal(config->rules.topic[config->rules.rule[0].topic], "t2");
    assert_string_equal(config->rules.topic[config->rules.rule[1].topic], "triggers");
    assert_int_equal(config->rule_files.count, 2);
    assert_int_equal(config->files.count, 3);
    assert_string_equal(config->files.items[1], "etc/r/one.yaml");
    rfm_config_free(config);
    all.file[2].content = "rules:\n- {name: b, on: {event: visit}}\npolicies: {max_trigger_age: 2d}\nrule: 1\n";
    files_bad(&all, "/two.yaml:2:3: there is a rule b already, at etc/r/one.yaml:2:3\n"
                    "/two.yaml:3:12: policies.max_trigger_age: given already at etc/r/one.yaml:4:12\n"
                    "/two.yaml:4:1: unknown key \"rule\"; the nearest known one is \"rules\"\n");
}

static void test_policies_that_are_not_there_yet(void **state)
{
    (void)state;
    files all = with_rules("rules: []\nsegments: {vip: 'client.revenue > 1'}\npolicies:\n  frequency_caps: []\n"
                           "  quiet_hours: {}\n  holdout: {}\n  consent: {marketing: opt_out}\n"
                           "  silent_until: tomorrow\n");
    files_bad(&all, "r.yaml:2:1: segments: not supported in this version\n"
                    "r.yaml:4:3: policies.frequency_caps: not supported in this version\n"
                    "r.yaml:5:3: policies.quiet_hours: not supported in this version\n"
                    "r.yaml:6:3: policies.holdout: not supported in this version\n"
                    "r.yaml:7:24: policies.consent.marketing: opt_out is not supported in this version\n"
                    "r.yaml:8:17: policies.silent_until: a time is needed here, such as 2026-01-01T00:00:00Z, not "
                    "\"tomorrow\"\n");
}

static void version_of(const char *rules, const char *more, char version[33])
{
    files all = {.file = {{"main.yaml", more ? "money: {base_currency: EUR}\nrules: [m.yaml, r.yaml]\n" : MAIN},
                          {"r.yaml", rules},
                          {"m.yaml", more}}};
    rfm_config *config = files_good(&all);
    memcpy(version, config->rules.version, 33);
    assert_int_equal(strlen(version), 32);
    rfm_config_free(config);
}

static void test_version(void **state)
{
    (void)state;
    char first[33], other[33];
    version_of(
        "rules:\n- {name: a, on: {event: visit}, topic: x}\n- {name: b, on: {enter: {segment: lost}}, topic: y}\n",
        NULL, first);
    version_of("# words\nrules:\n- name: b\n  topic: y\n  on: {enter: {segment: lost}}\n  delay: 0s\n  priority: 0\n"
               "- on: {event: visit}\n  topic: 'x'\n  name: a\n  class: marketing\n",
               NULL, other);
    assert_string_equal(other, first);
    version_of("rules:\n- {name: a, on: {event: visit}, topic: x}\n",
               "rules:\n- {name: b, on: {enter: {segment: lost}}, topic: y}\n", other);
    assert_string_equal(other, first);
    static const char *const different[] = {
        "rules:\n- {name: a, on: {event: visit}, topic: y}\n- {name: b, on: {enter: {segment: lost}}, topic: x}\n",
        "rules:\n- {name: a, on: {event: visit}, topic: x}\n- {name: b, on: {enter: {segment: loyal}}, topic: y}\n",
        "rules:\n- {name: a, on: {event: visit}, topic: x}\n",
        "rules:\n- {name: a, on: {event: visit}, topic: x, delay: 1ms}\n- {name: b, on: {enter: {segment: lost}}, topic: "
        "y}\n",
        "rules:\n- {name: a, on: {event: visit}, topic: x}\n- {name: b, on: {enter: {segment: lost}}, topic: y}\n"
        "policies: {max_trigger_age: 1d}\n",
    };
    for (size_t i = 0; i < sizeof different / sizeof *different; i++) {
        version_of(different[i], NULL, other);
        assert_string_not_equal(other, first);
    }
    /* XXH3-128 of "max_trigger_age=9223372036854775807\nsilent_until=-9223372036854775808\n" by Python's xxhash. */
    version_of("rules: []\n", NULL, other);
    assert_string_equal(other, "306fd0e250d4d0dac17180770906a900");
}

static uint32_t client_version_of(const char *main_file, const char *rules)
{
    files all = {.file = {{"main.yaml", main_file}, {"r.yaml", rules}}};
    rfm_config *config = files_good(&all);
    uint32_t version = config->client.version;
    rfm_config_free(config);
    return version;
}

/* What makes the next look take the new values without transitions. */
static void test_client_version_covers_rules_and_scores(void **state)
{
    (void)state;
    const char *rules = "rules: [{name: a, on: {event: visit}}]\n";
    uint32_t first = client_version_of(MAIN, rules);
    assert_int_equal(client_version_of(MAIN "http: {listen: 'a:1'}\n", rules), first);
    assert_int_not_equal(client_version_of(MAIN, "rules: [{name: b, on: {event: visit}}]\n"), first);
    assert_int_not_equal(client_version_of(MAIN "lifecycle: {lapsed: 0.1}\n", rules), first);
    assert_int_not_equal(client_version_of(MAIN "segments: rf-10\n", rules), first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_key_of_a_rule),
        cmocka_unit_test(test_defaults_of_a_rule),
        cmocka_unit_test(test_causes),
        cmocka_unit_test(test_bad_rules),
        cmocka_unit_test(test_promo_must_be_whole),
        cmocka_unit_test(test_files_of_rules),
        cmocka_unit_test(test_policies_that_are_not_there_yet),
        cmocka_unit_test(test_version),
        cmocka_unit_test(test_client_version_covers_rules_and_scores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
