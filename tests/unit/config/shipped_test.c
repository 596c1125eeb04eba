/* What is in conf/ and docs/: it loads, and says what the program does. Run in the root of the sources. */
#include "files.h"

#include <unistd.h>

static char secret_variable[] = "RFMD_PROMO__SECRET=for the test", brokers_variable[] = "RFMD_KAFKA__BROKERS=a:1";
static char all_rules_variable[] =
    "RFMD_RULES=[conf/rules/welcome.yaml, conf/rules/thank_you.yaml, conf/rules/win_back.yaml, "
    "conf/rules/review_request.yaml, conf/rules/policies.yaml]";

static rfm_config *load(const char *path, char *const *environment)
{
    rfm_config *config = NULL;
    rfm_config_errors errors;
    rfm_config_errors_init(&errors);
    if (rfm_config_load(path, environment, &config, &errors))
        fail_msg("%s:%u: %s", errors.items[0].file, errors.items[0].line, errors.items[0].message);
    rfm_config_errors_release(&errors);
    return config;
}

static void test_main_file_is_of_defaults(void **state)
{
    (void)state;
    char *const environment[] = {brokers_variable, NULL};
    rfm_config *config = load("conf/rfmd.yaml", environment);
    rfm_client_conf defaults;
    rfm_client_conf_defaults(&defaults);
    assert_string_equal(config->kafka.brokers, "a:1");
    assert_string_equal(config->client.money.base.code, "EUR");
    assert_memory_equal(&config->client.segments, &defaults.segments, sizeof defaults.segments);
    assert_memory_equal(&config->client.rfm, &defaults.rfm, sizeof defaults.rfm);
    assert_int_equal(config->rules.count, 3);
    rfm_config_free(config);
}

static void test_rules(void **state)
{
    (void)state;
    char *const environment[] = {secret_variable, all_rules_variable, NULL};
    rfm_config *config = load("conf/rfmd.yaml", environment);
    assert_int_equal(config->rules.count, 4);
    const rfm_rule *review = &config->rules.rule[0], *thanks = &config->rules.rule[1];
    const rfm_rule *welcome = &config->rules.rule[2], *win_back = &config->rules.rule[3];
    assert_string_equal(review->name, "review_request");
    assert_int_equal(review->on.kind, RFM_CAUSE_EVENT);
    assert_int_equal(review->on.event, RFM_EVENT_PURCHASE);
    assert_int_equal(review->delay_ms, 10 * RFM_DAY_MS);
    assert_string_equal(thanks->name, "thank_you");
    assert_int_equal(thanks->on.event, RFM_EVENT_PURCHASE);
    assert_int_equal(thanks->class_, RFM_CLASS_TRANSACTIONAL);
    assert_string_equal(welcome->name, "welcome");
    assert_int_equal(welcome->on.kind, RFM_CAUSE_ENTER_LIFECYCLE);
    assert_int_equal(welcome->on.lifecycle, RFM_LIFECYCLE_NEW);
    assert_string_equal(win_back->name, "win_back");
    assert_int_equal(win_back->on.kind, RFM_CAUSE_FALL_RATIO);
    assert_true(win_back->on.threshold == 0.3);
    assert_int_equal(win_back->class_, RFM_CLASS_MARKETING);
    assert_int_equal(win_back->cooldown_ms, 90 * RFM_DAY_MS);
    assert_string_equal(win_back->promo.prefix, "BACK");
    assert_true(win_back->promo.percent == 15);
    assert_int_equal(win_back->promo.valid_ms, 14 * RFM_DAY_MS);
    for (size_t i = 0; i < 4; i++) {
        assert_true(*config->rules.rule[i].template_ && config->rules.rule[i].channel_count > 0);
        assert_string_equal(config->rules.topic[config->rules.rule[i].topic], "triggers");
    }
    assert_int_equal(config->rules.max_trigger_age_ms, 72 * RFM_HOUR_MS);
    assert_true(!config->rules.quiet_hours.given && config->rules.cap_count == 0 && config->rules.holdout.buckets == 0);
    rfm_config_free(config);
}

static void test_segment_files_are_the_presets(void **state)
{
    (void)state;
    static char files_[][64] = {"RFMD_SEGMENTS=conf/segments/classic-11.yaml",
                                "RFMD_SEGMENTS=conf/segments/rf-10.yaml"};
    static const char *const presets[] = {"classic-11", "rf-10"};
    for (size_t i = 0; i < 2; i++) {
        char *const environment[] = {files_[i], NULL};
        rfm_segments preset;
        rfm_config *config = load("conf/rfmd.yaml", environment);
        assert_int_equal(rfm_segments_preset(&preset, presets[i]), 0);
        assert_int_equal(config->client.segments.count, preset.count);
        assert_memory_equal(config->client.segments.cell, preset.cell, sizeof preset.cell);
        for (size_t j = 0; j < preset.count; j++)
            assert_string_equal(config->client.segments.name[j], preset.name[j]);
        rfm_config_free(config);
    }
}

/* The published figures of the CDNOW sample. */
static void test_model_file(void **state)
{
    (void)state;
    char *const environment[] = {NULL};
    rfm_config *config = load("conf/rfmd.yaml", environment);
    const rfm_model *model = &config->client.model;
    assert_true(model->r == .52484 && model->alpha == 6.1831 && model->a == .89135 && model->b == 1.61399);
    assert_true(model->unit_days == 7 && model->evidence_cap == 5);
    assert_true(model->spend.p == 6.2497 && model->spend.q == 3.7442 && model->spend.v == 15.4432);
    rfm_config_free(config);
}

static void test_reference_is_committed(void **state)
{
    (void)state;
    rfm_buffer markdown;
    rfm_bytes committed;
    rfm_arena arena;
    rfm_error error;
    rfm_arena_init(&arena);
    rfm_buffer_init(&markdown, 1 << 20);
    rfm_config_reference(&markdown);
    assert_int_equal(rfm__read_file(NULL, &arena, "docs/configuration.md", 1 << 20, &committed, &error), 0);
    assert_true(rfm_bytes_equal(committed, rfm_buffer_view(&markdown)));
    rfm_buffer_release(&markdown);
    rfm_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_main_file_is_of_defaults),      cmocka_unit_test(test_rules),
        cmocka_unit_test(test_segment_files_are_the_presets), cmocka_unit_test(test_model_file),
        cmocka_unit_test(test_reference_is_committed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
