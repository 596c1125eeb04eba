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
        {"{late: 90%}", RFM_CAUSE_LATE, 0, 0.9},
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
        {"name: a, on: {event: visit}, when: client.ordrs > 1", "52: when: client has no ordrs; the nearest is orders"},
        {"name: a, on: {event: visit}, when: 'client.ordrs > 1'",
         "53: when: client has no ordrs; the nearest is orders"},
        {"name: a, on: {event: visit}, when: event.amount > 1", "51: when: event.amount is not there in this place"},
        {"name: a, on: {enter: {lifecycle: new}}, when: has(event.channel)",
         "60: when: event is not there in this place"},
        {"name: a, on: {event: visit}, when: client.orders", "45: when: the whole must be bool, this is int"},
        {"name: a, on: {event: visit}, when: client.traits.tier == 'gold'",
         "52: when: client has no traits; the nearest is visits"},
        {"name: a, on: {event: visit}, when: [x]", "45: when: a text is needed here, not a list"},
        {"name: a, on: {event: visit}, data: {x: client.orders * 1.5}",
         "63: data.x: * does not go with int and double"},
        {"name: a, on: {event: visit}, data: {2x: now}", "46: data: a name has letters, digits and '_', unlike"},
        {"name: a, on: {event: visit}, data: [now]", "45: data: a map of names to expressions is needed here"},
        {"name: a, on: {event: visit}, experiment: {}", "51: experiment.salt is missing"},
        {"name: a, on: {event: visit}, experiment: {}", "51: experiment.variants is missing"},
        {"name: a, on: {event: visit}, experiment: {salt: s, variants: [{name: x, share: 99.99%}]}",
         "39: the shares of control and variants are 99.99% together, not 100%"},
        {"name: a, on: {event: visit}, experiment: {salt: s, control: 50.001%, variants: [{name: x, share: 49.999%}]}",
         "70: experiment.control: a share of clients is a multiple of 0.01%, unlike \"50.001%\""},
        {"name: a, on: {event: visit}, class: transactional, experiment: {salt: s, variants: [{name: x, share: 1}]}",
         "61: experiments are for rules of the class marketing"},
        {"name: a, on: {event: visit}, experiment: {salt: s, variants: [{name: x, share: 50%}, {name: x, share: 50%}]}",
         "95: experiment.variants: there is an arm x already"},
        {"name: a, on: {event: visit}, experiment: {salt: s, variants: [{name: control, share: 100%}]}",
         "72: experiment.variants: there is an arm control already"},
        {"name: a, on: {event: visit}, experiment: {salt: s, variants: []}",
         "71: experiment.variants: a list of 1 to 16 variants is needed here"},
        {"name: a, on: {event: visit}, experiment: {salt: s, variants: [{nane: x, share: 100%}]}",
         "73: unknown key \"nane\"; the nearest known one is \"name\""},
        {"name: a, on: {event: visit}, experiment: {salt: '', variants: [{name: x, share: 100%}]}",
         "58: experiment.salt: 1 to 64 bytes are needed here"},
        {"name: a, on: {event: visit}, schedule: {days: [mon, funday]}", "62: schedule.days: no such day \"funday\""},
        {"name: a, on: {event: visit}, schedule: {days: []}", "56: schedule.days: a list of days is needed here"},
        {"name: a, on: {event: visit}, schedule: {from: 2026-02-29}", "56: schedule.from: a date after 1970-01-01"},
        {"name: a, on: {event: visit}, schedule: {from: 2026-02-02, to: 2026-02-01}", "39: it ends before it begins"},
        {"name: a, on: {event: visit}, expires: 0s", "48: expires: must be from 1s to 3650d"},
        {"name: a, on: {event: visit}, attribution: soon", "52: attribution: a duration is needed here"},
        {"name: a, on: {event: visit}, attribution: 366d", "52: attribution: must be from 1s to 365d"},
        {"name: a, on: {anniversary: birth_date, at: \"09:00\"}",
         "37: on: no trait \"birth_date\" of type date is declared"},
        {"name: a, on: {late: 1}", "30: on: a number between 0 and 1 is needed here"},
        {"name: a, on: {late: soon}", "30: on: a share is needed here"},
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
        char rules[512], text[4096];
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

static void test_timing_and_experiment_of_a_rule(void **state)
{
    (void)state;
    files all = with_rules("rules:\n  - name: a\n    on: {event: visit}\n    channels: best\n    expires: 24h\n"
                           "    schedule: {days: [mon, sun], from: 2026-01-01, to: 2026-12-31}\n"
                           "    experiment: {salt: winback-1, control: 10%, variants: [{name: a, share: 45%}, "
                           "{name: b, share: 0.45}]}\n");
    rfm_config *config = files_good(&all);
    const rfm_rule *rule = &config->rules.rule[0];
    assert_true(rule->best && rule->channel_count == 0);
    assert_int_equal(rule->expires_ms, RFM_DAY_MS);
    assert_int_equal(rule->schedule.days, 1 | 64);
    assert_int_equal(rule->schedule.from_day, rfm_day_of_civil(2026, 1, 1));
    assert_int_equal(rule->schedule.to_day, rfm_day_of_civil(2026, 12, 31));
    assert_true(rule->experiment.given);
    assert_string_equal(rule->experiment.salt, "winback-1");
    assert_int_equal(rule->experiment.control_buckets, 1000);
    assert_int_equal(rule->experiment.variant_count, 2);
    assert_string_equal(rule->experiment.variant[1].name, "b");
    assert_int_equal(rule->experiment.variant[1].buckets, 4500);
    rfm_config_free(config);
}

/* An experiment that does not say how long has 14 days, which is no key that was given. */
static void test_attribution(void **state)
{
    (void)state;
    static const struct {
        const char *keys;
        int64_t days;
    } rows[] = {{"", 0},
                {", attribution: 3d", 3},
                {", experiment: {salt: s, variants: [{name: x, share: 1}]}", 14},
                {", attribution: 7d, experiment: {salt: s, variants: [{name: x, share: 1}]}", 7}};
    char version[2][33] = {"", ""};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char rules[256];
        snprintf(rules, sizeof rules, "rules: [{name: a, on: {event: visit}%s}]\n", rows[i].keys);
        files all = with_rules(rules);
        rfm_config *config = files_good(&all);
        assert_int_equal(rfm_rule_attribution_ms(&config->rules.rule[0]), rows[i].days * RFM_DAY_MS);
        if (i < 2)
            memcpy(version[i], config->rules.version, sizeof version[i]);
        rfm_config_free(config);
    }
    assert_string_not_equal(version[0], version[1]);
}

static void test_anniversary(void **state)
{
    (void)state;
    const char *main_file = "money: {base_currency: EUR}\nrules: [r.yaml]\n"
                            "traits: {name: {type: string}, birth_date: {type: date}}\n";
    files all = {.file = {{"main.yaml", main_file},
                          {"r.yaml", "rules:\n- {name: a, on: {anniversary: birth_date, at: \"09:30\"}}\n"
                                     "- {name: b, on: {anniversary: birth_date}}\n"}}};
    rfm_config *config = files_good(&all);
    assert_int_equal(config->rules.rule[0].on.kind, RFM_CAUSE_ANNIVERSARY);
    assert_string_equal(config->rules.rule[0].on.trait, "birth_date");
    assert_int_equal(config->rules.rule[0].on.at_ms, 9 * RFM_HOUR_MS + 30 * RFM_MINUTE_MS);
    assert_int_equal(config->rules.rule[1].on.at_ms, 0);
    rfm_config_free(config);
    all.file[1].content = "rules:\n- {name: a, on: {anniversary: name, at: \"09:30\"}}\n"
                          "- {name: b, on: {anniversary: birth_date, at: 9, on: x}}\n";
    files_bad(&all,
              "r.yaml:2:31: on: no trait \"name\" of type date is declared under traits; the nearest is birth_date\n"
              "r.yaml:3:47: on: a time of day is needed here, \"00:00\" to \"23:59\", not \"9\"\n"
              "r.yaml:3:50: on: unknown key \"on\"; the nearest known one is \"at\"\n");
}

static void test_policies(void **state)
{
    (void)state;
    files all = with_rules("rules: [{name: win_back, on: {event: visit}}]\npolicies:\n"
                           "  frequency_caps: [{class: marketing, max: 2, per: 7d}, {channel: sms, max: 1, per: 7d},\n"
                           "    {rule: win_back, max: 3, per: 365d}, {max: 5, per: 1d}]\n"
                           "  quiet_hours: {from: \"21:00\", to: 09:30, default_timezone: Europe/Berlin, jitter: 15m}\n"
                           "  holdout: {salt: global-1, share: 5%}\n"
                           "  consent: {marketing: opt_out, transactional: opt_in}\n");
    rfm_config *config = files_good(&all);
    const rfm_rules *rules = &config->rules;
    assert_int_equal(rules->cap_count, 4);
    assert_true(rules->cap[0].has_class && rules->cap[0].class_ == RFM_CLASS_MARKETING && rules->cap[0].max == 2);
    assert_int_equal(rules->cap[0].per_ms, 7 * RFM_DAY_MS);
    assert_true(!rules->cap[1].has_class && !*rules->cap[1].rule);
    assert_string_equal(rules->cap[1].channel, "sms");
    assert_string_equal(rules->cap[2].rule, "win_back");
    assert_true(!rules->cap[3].has_class && !*rules->cap[3].rule && !*rules->cap[3].channel);
    assert_true(rules->quiet_hours.given);
    assert_int_equal(rules->quiet_hours.from_ms, 21 * RFM_HOUR_MS);
    assert_int_equal(rules->quiet_hours.to_ms, 9 * RFM_HOUR_MS + 30 * RFM_MINUTE_MS);
    assert_int_equal(rules->quiet_hours.jitter_ms, 15 * RFM_MINUTE_MS);
    assert_int_equal(rfm_zone_span_at(rules->default_zone, 0).offset_s, 3600);
    assert_string_equal(rules->holdout.salt, "global-1");
    assert_int_equal(rules->holdout.buckets, 500);
    assert_int_equal(rules->consent[RFM_CLASS_MARKETING], RFM_OPT_OUT);
    assert_int_equal(rules->consent[RFM_CLASS_TRANSACTIONAL], RFM_OPT_IN);
    rfm_config_free(config);
    all = with_rules("rules: []\n");
    config = files_good(&all);
    assert_true(!config->rules.quiet_hours.given && config->rules.cap_count == 0 && config->rules.holdout.buckets == 0);
    assert_null(config->rules.default_zone);
    assert_int_equal(config->rules.consent[RFM_CLASS_MARKETING], RFM_OPT_BY_CLASS);
    assert_int_equal(config->rules.consent[RFM_CLASS_TRANSACTIONAL], RFM_OPT_BY_CLASS);
    rfm_config_free(config);
}

/* Rules may name segments by condition of any file, before or after; where they stand goes into the version. */
static void test_expressions(void **state)
{
    (void)state;
    files all = with_rules("rules:\n"
                           "  - name: a\n"
                           "    on: {event: purchase}\n"
                           "    when: >-\n"
                           "      event.amount > 10 &&\n"
                           "      client.orders > 1\n"
                           "    data: {first: client.first_purchase, how: event.channel}\n"
                           "  - {name: b, on: {enter: {segment: vip}}}\n"
                           "  - {name: c, on: {leave: {segment: lost}}}\n"
                           "segments: {vip: client.revenue > 100, early: now < timestamp('2020-01-01T00:00:00Z')}\n");
    rfm_config *config = files_good(&all);
    const rfm_rules *rules = &config->rules;
    assert_int_equal(rules->named_count, 2);
    assert_string_equal(rules->named[1].name, "vip");
    assert_non_null(rules->named[0].condition.expr);
    assert_non_null(rules->rule[0].when.expr);
    assert_int_equal(rules->rule[0].data_count, 2);
    assert_string_equal(rules->rule[0].data[1].name, "how");
    assert_int_equal(rules->rule[0].event_parts, 1 << 2 | 1 << 4); /* amount, channel */
    assert_int_equal(rules->rule[1].on.kind, RFM_CAUSE_ENTER_NAMED);
    assert_int_equal(rules->rule[1].on.segment, 1);
    assert_int_equal(rules->rule[2].on.kind, RFM_CAUSE_LEAVE_SEGMENT);
    char version[33];
    memcpy(version, rules->version, sizeof version);
    rfm_config_free(config);
    static const char *const others[] = {
        "rules: [{name: a, on: {event: visit}, when: client.orders > 1}]\n",
        "rules: [{name: a, on: {event: visit}, when: client.orders > 2}]\n",
        "rules: [{name: a, on: {event: visit}, data: {x: client.orders > 1}}]\n",
        "rules: [{name: a, on: {event: visit}}]\nsegments: {vip: client.orders > 1}\n",
        "rules: [{name: a, on: {event: visit}}]\nsegments: {vip: client.orders > 2}\n"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        all = with_rules(others[i]);
        config = files_good(&all);
        assert_string_not_equal(config->rules.version, version);
        memcpy(version, config->rules.version, sizeof version);
        rfm_config_free(config);
    }
    all = with_rules("rules:\n  - name: a\n    on: {event: visit}\n    when: |\n      true &&\n      client.x2\n");
    files_bad(&all, "r.yaml:4:11: when: client has no x2; the nearest is x (line 2, column 8 of the expression)\n");
    all = with_rules("rules:\n  - {name: a, on: {event: purchase}, delay: 1s, when: size(event.items) > 1}\n"
                     "  - {name: b, on: {event: purchase}, delay: 1s, data: {x: event.items}}\n"
                     "  - {name: c, on: {event: purchase}, when: size(event.items) > 1, data: {x: event.items}}\n"
                     "  - {name: d, on: {event: visit}, when: size(event.items) > 1}\n");
#define NOT_KEPT                                                                                      \
    "event.items is not there after a delay: a rule that waits keeps 64 bytes of its event; ask for " \
    "event.category or client.favourite_categories, or leave the delay out\n"
    files_bad(&all, "r.yaml:2:55: when: " NOT_KEPT "r.yaml:3:59: data.x: " NOT_KEPT
                    "r.yaml:5:52: when: event.items is not there in this place\n");
#undef NOT_KEPT
}

static void test_bad_policies(void **state)
{
    (void)state;
    files all = with_rules(
        "rules: [{name: win_back, on: {event: visit}}]\nsegments: {vip: 'client.revenu > 1', lost: 'true', Vip: 'true'}\npolicies:\n"
        "  frequency_caps:\n    - {max: 65, per: 1d}\n    - {per: 1d}\n    - {rule: winback, max: 1, per: 1d}\n"
        "    - {chanel: sms, max: 1, per: 0s}\n"
        "  quiet_hours: {from: 9, to: \"24:00\", default_timezone: Mars/Base}\n  holdout: {share: 5}\n"
        "  consent: {marketing: maybe}\n  silent_until: tomorrow\n");
    files_bad(
        &all,
        "r.yaml:2:25: segments.vip: client has no revenu; the nearest is revenue\n"
        "r.yaml:2:38: segments: there is a segment lost already\n"
        "r.yaml:2:52: segments: a name has a-z, 0-9 and _ (47 at most) and starts with a letter, unlike \"Vip\"\n"
        "r.yaml:5:13: max: a whole number from 0 to 64 is needed here, not \"65\"\n"
        "r.yaml:6:7: max is missing\n"
        "r.yaml:7:14: no such rule winback; the nearest is win_back\n"
        "r.yaml:8:8: unknown key \"chanel\"; the nearest known one is \"channel\"\n"
        "r.yaml:8:34: per: must be from 1s to 3650d\n"
        "r.yaml:9:23: policies.quiet_hours.from: a time of day is needed here, \"00:00\" to \"23:59\", not \"9\"\n"
        "r.yaml:9:30: policies.quiet_hours.to: a time of day is needed here, \"00:00\" to \"23:59\", not \"24:00\"\n"
        "r.yaml:9:57: policies.quiet_hours.default_timezone: time zone 'Mars/Base' is unknown; names are like "
        "Europe/Berlin, and tzdata must be installed\n"
        "r.yaml:10:12: policies.holdout.salt is missing\n"
        "r.yaml:10:20: policies.holdout.share: a share is needed here, such as 5% or 0.05, from 0 to 1, not \"5\"\n"
        "r.yaml:11:24: policies.consent.marketing: may be opt_in, opt_out; not \"maybe\"\n"
        "r.yaml:12:17: policies.silent_until: a time is needed here, such as 2026-01-01T00:00:00Z, not "
        "\"tomorrow\"\n");
    all = with_rules("policies: {quiet_hours: {from: \"09:00\", to: \"09:00\"}}\n");
    files_bad(&all, "r.yaml:1:12: policies.quiet_hours: from and to are the same\n");
}

static void test_a_policy_stands_once(void **state)
{
    (void)state;
    files all = {.file = {{"main.yaml", "money: {base_currency: EUR}\nrules: [a.yaml, b.yaml]\n"},
                          {"a.yaml", "policies: {quiet_hours: {from: \"21:00\", to: \"09:00\", jitter: 5m}}\n"},
                          {"b.yaml", "rules: []\n"}}};
    rfm_config *config = files_good(&all);
    assert_int_equal(config->rules.quiet_hours.jitter_ms, 5 * RFM_MINUTE_MS); /* b.yaml, without any, changes nothing */
    rfm_config_free(config);
    all.file[2].content = "policies:\n  quiet_hours: {from: \"21:00\", to: \"09:00\"}\n";
    files_bad(&all, "b.yaml:2:3: policies.quiet_hours: given already at a.yaml:1:12\n");
    all.file[1].content = all.file[2].content =
        "policies: {frequency_caps: [{max: 1, per: 1d}], holdout: {salt: s, share: 1%},\n"
        "  consent: {marketing: opt_in}}\n";
    files_bad(&all, "b.yaml:1:12: policies.frequency_caps: given already at a.yaml:1:12\n"
                    "b.yaml:1:49: policies.holdout: given already at a.yaml:1:49\n"
                    "b.yaml:2:13: policies.consent.marketing: given already at a.yaml:2:13\n");
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

#define BOTH     "rules:\n- {name: a, on: {event: visit}, topic: x}\n- {name: b, on: {enter: {segment: lost}}, topic: y}\n"
#define ONE(key) "rules:\n- {name: a, on: {event: visit}, topic: x, " key "}\n"

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
        BOTH "policies: {frequency_caps: [{max: 1, per: 1d}]}\n",
        BOTH "policies: {frequency_caps: [{max: 1, per: 2d}]}\n",
        BOTH "policies: {frequency_caps: [{channel: sms, max: 1, per: 1d}]}\n",
        BOTH "policies: {frequency_caps: [{rule: a, max: 1, per: 1d}]}\n",
        BOTH "policies: {frequency_caps: [{class: marketing, max: 1, per: 1d}]}\n",
        BOTH "policies: {quiet_hours: {from: '21:00', to: '09:00'}}\n",
        BOTH "policies: {quiet_hours: {from: '21:00', to: '09:00', jitter: 1m}}\n",
        BOTH "policies: {quiet_hours: {from: '21:00', to: '09:00', default_timezone: Asia/Tokyo}}\n",
        BOTH "policies: {holdout: {salt: s, share: 1%}}\n",
        BOTH "policies: {holdout: {salt: t, share: 1%}}\n",
        BOTH "policies: {consent: {marketing: opt_out}}\n",
        BOTH "policies: {consent: {transactional: opt_in}}\n",
        ONE("expires: 1d"),
        ONE("schedule: {days: [mon]}"),
        ONE("schedule: {from: 2026-01-01}"),
        ONE("schedule: {to: 2026-01-01}"),
        ONE("channels: best"),
        "rules:\n- {name: a, on: {event: visit}, topic: x, experiment: {salt: s, variants: [{name: a, share: 1}]}}\n",
        "rules:\n- {name: a, on: {event: visit}, topic: x, experiment: {salt: s, variants: [{name: b, share: 1}]}}\n",
        "rules:\n- {name: a, on: {event: visit}, topic: x, experiment: {salt: t, variants: [{name: b, share: 1}]}}\n",
    };
    char seen[sizeof different / sizeof *different][33];
    for (size_t i = 0; i < sizeof different / sizeof *different; i++) {
        version_of(different[i], NULL, seen[i]);
        assert_string_not_equal(seen[i], first);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(seen[i], seen[j]);
    }
    version_of(BOTH "policies: {consent: {marketing: opt_in, transactional: opt_out}}\n", NULL, other);
    assert_string_equal(other, first);
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
        cmocka_unit_test(test_timing_and_experiment_of_a_rule),
        cmocka_unit_test(test_attribution),
        cmocka_unit_test(test_anniversary),
        cmocka_unit_test(test_policies),
        cmocka_unit_test(test_expressions),
        cmocka_unit_test(test_bad_policies),
        cmocka_unit_test(test_a_policy_stands_once),
        cmocka_unit_test(test_version),
        cmocka_unit_test(test_client_version_covers_rules_and_scores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
