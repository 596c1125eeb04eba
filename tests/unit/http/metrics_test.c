#include "http/metrics.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static char *written(rfm_metrics *metrics)
{
    rfm_buffer text;
    rfm_buffer_init(&text, 1 << 24);
    rfm_metrics_write(metrics, &text);
    rfm_write_u8(&text, 0);
    assert_false(text.bad);
    return (char *)text.at;
}

static void assert_line(const char *text, const char *line)
{
    char whole[256];
    snprintf(whole, sizeof whole, "\n%s\n", line);
    if (!strstr(text, whole))
        fail_msg("no line %s in\n%s", line, text);
}

static void test_sums_over_sources(void **unused)
{
    (void)unused;
    rfm_metrics *metrics = rfm_metrics_new(3);
    rfm_snapshot *first = rfm_snapshot_new(), *second = rfm_snapshot_new();
    rfm_snapshot_add(first, RFM_METRIC_EVENTS, "purchases", "purchase", 3);
    rfm_snapshot_add(first, RFM_METRIC_EVENTS, "purchases", "refund", 1);
    rfm_snapshot_add(first, RFM_METRIC_STEPS, NULL, NULL, 7);
    rfm_snapshot_add(first, RFM_METRIC_RULES_VERSION, "abc", NULL, 1);
    rfm_snapshot_add(second, RFM_METRIC_EVENTS, "purchases", "purchase", 4);
    rfm_snapshot_add(first, RFM_METRIC_TIMERS_LATE, NULL, NULL, 1.25);
    rfm_snapshot_add(second, RFM_METRIC_TIMERS_LATE, NULL, NULL, 1.5); /* the oldest of all */
    rfm_snapshot_add(second, RFM_METRIC_RULES_VERSION, "abc", NULL, 1);
    first = rfm_metrics_publish(metrics, 0, first);
    second = rfm_metrics_publish(metrics, 2, second);
    char *text = written(metrics);
    assert_line(text, "rfmd_events_total{topic=\"purchases\",type=\"purchase\"} 7");
    assert_line(text, "rfmd_events_total{topic=\"purchases\",type=\"refund\"} 1");
    assert_line(text, "rfmd_steps_total 7");
    assert_line(text, "rfmd_timers_late_seconds 1.5");
    assert_line(text, "rfmd_rules_version_info{version=\"abc\"} 1");
    assert_line(text, "# TYPE rfmd_events_total counter");
    assert_line(text, "# TYPE rfmd_rules_version_info gauge");
    assert_line(text, "# TYPE rfmd_latency_seconds histogram");
    free(text);
    rfm_snapshot_free(first);
    rfm_snapshot_free(second);
    rfm_metrics_free(metrics);
}

static void test_publishing_again_replaces(void **unused)
{
    (void)unused;
    rfm_metrics *metrics = rfm_metrics_new(1);
    rfm_snapshot *snapshot = rfm_snapshot_new();
    for (int i = 1; i <= 4; i++) {
        rfm_snapshot_add(snapshot, RFM_METRIC_STEPS, NULL, NULL, i);
        snapshot = rfm_metrics_publish(metrics, 0, snapshot);
    }
    char *text = written(metrics);
    assert_line(text, "rfmd_steps_total 4");
    free(text);
    rfm_snapshot_free(snapshot);
    rfm_metrics_free(metrics);
}

static void test_histogram(void **unused)
{
    (void)unused;
    rfm_metrics *metrics = rfm_metrics_new(2);
    rfm_histogram histogram = {0};
    rfm_histogram_observe(&histogram, 0.0005, 2);
    rfm_histogram_observe(&histogram, 0.001, 1); /* a bound belongs to its bucket */
    rfm_histogram_observe(&histogram, 0.2, 1);
    rfm_histogram_observe(&histogram, 61, 1);
    for (size_t i = 0; i < 2; i++) {
        rfm_snapshot *snapshot = rfm_snapshot_new();
        rfm_snapshot_add_histogram(snapshot, RFM_METRIC_REDIS, "load", &histogram);
        rfm_snapshot_free(rfm_metrics_publish(metrics, i, snapshot));
    }
    char *text = written(metrics);
    assert_line(text, "rfmd_redis_seconds_bucket{op=\"load\",le=\"0.001\"} 6");
    assert_line(text, "rfmd_redis_seconds_bucket{op=\"load\",le=\"0.1\"} 6");
    assert_line(text, "rfmd_redis_seconds_bucket{op=\"load\",le=\"0.25\"} 8");
    assert_line(text, "rfmd_redis_seconds_bucket{op=\"load\",le=\"60\"} 8");
    assert_line(text, "rfmd_redis_seconds_bucket{op=\"load\",le=\"+Inf\"} 10");
    assert_line(text, "rfmd_redis_seconds_count{op=\"load\"} 10");
    assert_line(text, "rfmd_redis_seconds_sum{op=\"load\"} 122.404");
    free(text);
    rfm_metrics_free(metrics);
}

static void test_label_values_are_escaped(void **unused)
{
    (void)unused;
    rfm_metrics *metrics = rfm_metrics_new(1);
    rfm_snapshot *snapshot = rfm_snapshot_new();
    rfm_snapshot_add(snapshot, RFM_METRIC_TRIGGERS, "a\"b\\c\nd", NULL, 1);
    rfm_snapshot_add(snapshot, RFM_METRIC_TRIGGERS, "caf\xc3\xa9", NULL, 2);
    rfm_snapshot_add(snapshot, RFM_METRIC_TRIGGERS, "caf\xe9", NULL, 3);
    rfm_snapshot_add(snapshot, RFM_METRIC_TRIGGERS, "", NULL, 4);
    rfm_snapshot_free(rfm_metrics_publish(metrics, 0, snapshot));
    char *text = written(metrics);
    assert_line(text, "rfmd_triggers_total{rule=\"a\\\"b\\\\c\\nd\"} 1");
    assert_line(text, "rfmd_triggers_total{rule=\"caf\xc3\xa9\"} 2");
    assert_line(text, "rfmd_triggers_total{rule=\"caf?\"} 3");
    assert_line(text, "rfmd_triggers_total{rule=\"\"} 4");
    free(text);
    rfm_metrics_free(metrics);
}

static void test_too_many_samples_are_left_out(void **unused)
{
    (void)unused;
    rfm_metrics *metrics = rfm_metrics_new(1);
    rfm_snapshot *snapshot = rfm_snapshot_new();
    for (int i = 0; i < 70000; i++) {
        char partition[16];
        snprintf(partition, sizeof partition, "%05d", i);
        rfm_snapshot_add(snapshot, RFM_METRIC_LAG, "t", partition, 1);
    }
    rfm_snapshot_free(rfm_metrics_publish(metrics, 0, snapshot));
    char *text = written(metrics);
    assert_line(text, "rfmd_lag_records{topic=\"t\",partition=\"65535\"} 1");
    assert_null(strstr(text, "65536"));
    free(text);
    rfm_metrics_free(metrics);
}

static void *publish_often(void *metrics)
{
    rfm_snapshot *snapshot = rfm_snapshot_new();
    for (int i = 0; i < 300; i++) {
        rfm_snapshot_add(snapshot, RFM_METRIC_STEPS, NULL, NULL, 1);
        rfm_snapshot_add(snapshot, RFM_METRIC_DEAD_LETTERS, "malformed", NULL, 1);
        snapshot = rfm_metrics_publish(metrics, 0, snapshot);
    }
    rfm_snapshot_free(snapshot);
    return NULL;
}

static void test_reading_while_publishing(void **unused)
{
    (void)unused;
    rfm_metrics *metrics = rfm_metrics_new(1);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, publish_often, metrics), 0);
    for (int i = 0; i < 100; i++) {
        char *text = written(metrics);
        assert_true(strstr(text, "\nrfmd_steps_total 1\n") || !strstr(text, "\nrfmd_steps_total "));
        free(text);
    }
    pthread_join(thread, NULL);
    rfm_metrics_free(metrics);
}

/* docs/metrics.md is made from the table; the test says when it must be made anew. */
static void test_reference_is_committed(void **unused)
{
    (void)unused;
    rfm_buffer markdown;
    rfm_buffer_init(&markdown, 1 << 20);
    rfm_metrics_reference(&markdown);
    FILE *file = fopen("docs/metrics.md", "r");
    assert_non_null(file);
    char *text = calloc(1, 1 << 20);
    size_t len = fread(text, 1, (1 << 20) - 1, file);
    fclose(file);
    assert_int_equal(len, markdown.len);
    assert_memory_equal(text, markdown.at, len);
    free(text);
    rfm_buffer_release(&markdown);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums_over_sources),
        cmocka_unit_test(test_publishing_again_replaces),
        cmocka_unit_test(test_histogram),
        cmocka_unit_test(test_label_values_are_escaped),
        cmocka_unit_test(test_too_many_samples_are_left_out),
        cmocka_unit_test(test_reading_while_publishing),
        cmocka_unit_test(test_reference_is_committed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
