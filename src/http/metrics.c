#include "metrics.h"

#include <rfm/base/arena.h>
#include <rfm/base/error.h>
#include <rfm/base/grow.h>
#include <rfm/base/utf8.h>

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { SAMPLES_MAX = 65536, TEXT_BYTES_MAX = 16 << 20 };

/* HIGHEST: a gauge of which not the sum of the sources counts. */
typedef enum metric_type { COUNTER, GAUGE, HIGHEST, HISTOGRAM, INFO } metric_type;
typedef struct metric_row {
    const char *name;
    metric_type type;
    const char *labels, *help;
} metric_row;

static const metric_row rows[RFM_METRIC_COUNT] = {
#define X(NAME, name, type, labels, help) {name, type, labels, help},
    RFM_METRICS(X)
#undef X
};

static const double bounds[RFM_HISTOGRAM_BOUNDS] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                                    0.5,   1,      2.5,   5,    10,    30,   60};

void rfm_histogram_observe(rfm_histogram *histogram, double seconds, uint64_t times)
{
    size_t i = 0;
    while (i < RFM_HISTOGRAM_BOUNDS && seconds > bounds[i])
        i++;
    histogram->bucket[i] += times;
    histogram->sum_s += seconds * (double)times;
}

double rfm_histogram_quantile(const rfm_histogram *histogram, double q)
{
    double count = 0, below = 0;
    for (size_t i = 0; i <= RFM_HISTOGRAM_BOUNDS; i++)
        count += (double)histogram->bucket[i];
    for (size_t i = 0; i < RFM_HISTOGRAM_BOUNDS; i++) {
        double here = (double)histogram->bucket[i], from = i > 0 ? bounds[i - 1] : 0;
        if (here > 0 && below + here >= q * count)
            return from + (bounds[i] - from) * (q * count - below) / here;
        below += here;
    }
    return count > 0 ? bounds[RFM_HISTOGRAM_BOUNDS - 1] : 0;
}

/* The labels of a sample are texts that end with a zero, one after the other, in the snapshot's text. */
typedef struct sample {
    uint32_t metric, histogram; /* histogram: its index + 1 */
    uint32_t labels, labels_len;
    double value;
} sample;

struct rfm_snapshot {
    sample *samples;
    size_t count, size;
    rfm_histogram *histograms;
    size_t histogram_count, histogram_size;
    rfm_buffer text;
};

rfm_snapshot *rfm_snapshot_new(void)
{
    rfm_snapshot *snapshot = calloc(1, sizeof *snapshot);
    RFM_NEED(snapshot);
    rfm_buffer_init(&snapshot->text, TEXT_BYTES_MAX);
    return snapshot;
}

void rfm_snapshot_free(rfm_snapshot *snapshot)
{
    if (!snapshot)
        return;
    free(snapshot->samples);
    free(snapshot->histograms);
    rfm_buffer_release(&snapshot->text);
    free(snapshot);
}

static void clear_snapshot(rfm_snapshot *snapshot)
{
    snapshot->count = 0;
    snapshot->histogram_count = 0;
    rfm_buffer_clear(&snapshot->text);
}

static size_t label_count(rfm_metric metric)
{
    const char *labels = rows[metric].labels;
    return !*labels ? 0 : strchr(labels, ',') ? 2 : 1;
}

static sample *add(rfm_snapshot *snapshot, rfm_metric metric, const char *label, const char *label2)
{
    RFM_ASSERT(metric < RFM_METRIC_COUNT && label_count(metric) == (size_t)(label != NULL) + (label2 != NULL));
    if (snapshot->count == SAMPLES_MAX)
        return NULL;
    size_t at = snapshot->text.len;
    if (label)
        rfm_write_bytes(&snapshot->text, rfm_bytes_of(label, strlen(label) + 1));
    if (label2)
        rfm_write_bytes(&snapshot->text, rfm_bytes_of(label2, strlen(label2) + 1));
    if (snapshot->text.bad)
        return NULL;
    snapshot->samples = rfm_grow(snapshot->samples, snapshot->count, &snapshot->size);
    sample *added = &snapshot->samples[snapshot->count++];
    *added = (sample){.metric = metric, .labels = (uint32_t)at, .labels_len = (uint32_t)(snapshot->text.len - at)};
    return added;
}

void rfm_snapshot_add(rfm_snapshot *snapshot, rfm_metric metric, const char *label, const char *label2, double value)
{
    RFM_ASSERT(rows[metric].type != HISTOGRAM);
    sample *added = add(snapshot, metric, label, label2);
    if (added)
        added->value = value;
}

void rfm_snapshot_add_histogram(rfm_snapshot *snapshot, rfm_metric metric, const char *label,
                                const rfm_histogram *histogram)
{
    RFM_ASSERT(rows[metric].type == HISTOGRAM);
    sample *added = add(snapshot, metric, label, NULL);
    if (!added)
        return;
    snapshot->histograms = rfm_grow(snapshot->histograms, snapshot->histogram_count, &snapshot->histogram_size);
    snapshot->histograms[snapshot->histogram_count++] = *histogram;
    added->histogram = (uint32_t)snapshot->histogram_count;
}

struct rfm_metrics {
    pthread_mutex_t lock; /* guards the array and what it points to */
    size_t source_count;
    rfm_snapshot *snapshot[];
};

rfm_metrics *rfm_metrics_new(size_t source_count)
{
    rfm_metrics *metrics = calloc(1, sizeof *metrics + source_count * sizeof(rfm_snapshot *));
    RFM_NEED(metrics);
    metrics->source_count = source_count;
    pthread_mutex_init(&metrics->lock, NULL);
    return metrics;
}

void rfm_metrics_free(rfm_metrics *metrics)
{
    if (!metrics)
        return;
    for (size_t i = 0; i < metrics->source_count; i++)
        rfm_snapshot_free(metrics->snapshot[i]);
    pthread_mutex_destroy(&metrics->lock);
    free(metrics);
}

rfm_snapshot *rfm_metrics_publish(rfm_metrics *metrics, size_t source, rfm_snapshot *snapshot)
{
    RFM_ASSERT(source < metrics->source_count);
    pthread_mutex_lock(&metrics->lock);
    rfm_snapshot *earlier = metrics->snapshot[source];
    metrics->snapshot[source] = snapshot;
    pthread_mutex_unlock(&metrics->lock);
    if (!earlier)
        return rfm_snapshot_new();
    clear_snapshot(earlier);
    return earlier;
}

/* One sample of one source, copied out so that the lock is short. */
typedef struct entry {
    rfm_metric metric;
    rfm_bytes labels;
    double value;
    const rfm_histogram *histogram;
} entry;

static void copy_entries(const rfm_snapshot *snapshot, rfm_arena *arena, entry *entries)
{
    rfm_bytes text = rfm_arena_copy(arena, rfm_buffer_view(&snapshot->text));
    rfm_bytes histograms = rfm_arena_copy(
        arena, rfm_bytes_of(snapshot->histograms, snapshot->histogram_count * sizeof *snapshot->histograms));
    for (size_t i = 0; i < snapshot->count; i++) {
        const sample *from = &snapshot->samples[i];
        const void *histogram = from->histogram ? histograms.at + (from->histogram - 1) * sizeof(rfm_histogram) : NULL;
        entries[i] = (entry){(rfm_metric)from->metric,
                             from->labels_len ? rfm_bytes_of(text.at + from->labels, from->labels_len) : RFM_BYTES_NONE,
                             from->value, histogram};
    }
}

static entry *copy_all(rfm_metrics *metrics, rfm_arena *arena, size_t *count)
{
    *count = 0;
    pthread_mutex_lock(&metrics->lock);
    size_t total = 0;
    for (size_t i = 0; i < metrics->source_count; i++)
        total += metrics->snapshot[i] ? metrics->snapshot[i]->count : 0;
    entry *entries = rfm_arena_take(arena, (total + 1) * sizeof *entries);
    for (size_t i = 0; i < metrics->source_count; i++) {
        const rfm_snapshot *snapshot = metrics->snapshot[i];
        if (!snapshot)
            continue;
        copy_entries(snapshot, arena, entries + *count);
        *count += snapshot->count;
    }
    pthread_mutex_unlock(&metrics->lock);
    return entries;
}

static int compare_entries(const void *a, const void *b)
{
    const entry *left = a, *right = b;
    if (left->metric != right->metric)
        return left->metric < right->metric ? -1 : 1;
    return rfm_bytes_compare(left->labels, right->labels);
}

static void write_label_value(rfm_buffer *text, rfm_bytes value)
{
    bool utf8 = rfm_utf8_valid(value);
    for (size_t i = 0; i < value.len; i++) {
        uint8_t c = value.at[i];
        if (c == '\n')
            rfm_write_text(text, "\\n");
        else if (c == '"' || c == '\\')
            rfm_write_format(text, "\\%c", c);
        else
            rfm_write_u8(text, c >= 0x80 && !utf8 ? '?' : c);
    }
}

/* {a="x",b="y"}, with `le` last if it is not NULL. */
static void write_labels(rfm_buffer *text, const entry *line, const char *le)
{
    const char *name = rows[line->metric].labels, *open = "{";
    rfm_bytes rest = line->labels;
    while (rest.len) {
        size_t name_len = strcspn(name, ","), len = strlen((const char *)rest.at);
        rfm_write_format(text, "%s%.*s=\"", open, (int)name_len, name);
        write_label_value(text, rfm_bytes_of(rest.at, len));
        rfm_write_text(text, "\"");
        rest = rfm_bytes_of(rest.at + len + 1, rest.len - len - 1);
        name += name_len + (name[name_len] == ',');
        open = ",";
    }
    if (le)
        rfm_write_format(text, "%sle=\"%s\"", open, le);
    if (le || line->labels.len)
        rfm_write_text(text, "}");
}

static void write_number(rfm_buffer *text, double number)
{
    if (isnan(number))
        rfm_write_text(text, "NaN");
    else if (isinf(number))
        rfm_write_text(text, number > 0 ? "+Inf" : "-Inf");
    else if (number == floor(number) && fabs(number) < 9e15)
        rfm_write_format(text, "%.0f", number);
    else
        rfm_write_format(text, "%.17g", number);
}

static const char *suffix_of(rfm_metric metric)
{
    return rows[metric].type == INFO ? "_info" : "";
}

static void write_sample(rfm_buffer *text, const entry *line, const char *suffix, const char *le, double value)
{
    rfm_write_format(text, "rfmd_%s%s", rows[line->metric].name, suffix);
    write_labels(text, line, le);
    rfm_write_text(text, " ");
    write_number(text, value);
    rfm_write_text(text, "\n");
}

static void write_histogram(rfm_buffer *text, const entry *line, const rfm_histogram *sum)
{
    uint64_t count = 0;
    for (size_t i = 0; i <= RFM_HISTOGRAM_BOUNDS; i++) {
        char le[32] = "+Inf";
        if (i < RFM_HISTOGRAM_BOUNDS)
            snprintf(le, sizeof le, "%g", bounds[i]);
        count += sum->bucket[i];
        write_sample(text, line, "_bucket", le, (double)count);
    }
    write_sample(text, line, "_sum", NULL, sum->sum_s);
    write_sample(text, line, "_count", NULL, (double)count);
}

static void add_histogram(rfm_histogram *sum, const rfm_histogram *histogram)
{
    for (size_t i = 0; i <= RFM_HISTOGRAM_BOUNDS; i++)
        sum->bucket[i] += histogram->bucket[i];
    sum->sum_s += histogram->sum_s;
}

/* Writes what all sources say of one metric and its labels; returns how many entries that were. */
static size_t write_sum(rfm_buffer *text, const entry *entries, size_t count)
{
    metric_type type = rows[entries->metric].type;
    rfm_histogram histogram = {0};
    double value = entries->value;
    size_t i = 0;
    for (; i < count && compare_entries(&entries[i], entries) == 0; i++) {
        if (type == HISTOGRAM)
            add_histogram(&histogram, entries[i].histogram);
        else if (i && (type == INFO || type == HIGHEST))
            value = fmax(value, entries[i].value);
        else if (i)
            value += entries[i].value;
    }
    if (type == HISTOGRAM)
        write_histogram(text, entries, &histogram);
    else
        write_sample(text, entries, suffix_of(entries->metric), NULL, value);
    return i;
}

static const char *type_name(metric_type type)
{
    return type == COUNTER ? "counter" : type == HISTOGRAM ? "histogram" : "gauge";
}

void rfm_metrics_write(rfm_metrics *metrics, rfm_buffer *text)
{
    rfm_arena arena;
    size_t count, next = 0;
    rfm_arena_init(&arena);
    entry *entries = copy_all(metrics, &arena, &count);
    qsort(entries, count, sizeof *entries, compare_entries);
    for (int metric = 0; metric < RFM_METRIC_COUNT; metric++) {
        const metric_row *row = &rows[metric];
        const char *suffix = suffix_of((rfm_metric)metric);
        rfm_write_format(text, "# HELP rfmd_%s%s %s\n# TYPE rfmd_%s%s %s\n", row->name, suffix, row->help, row->name,
                         suffix, type_name(row->type));
        while (next < count && (int)entries[next].metric == metric)
            next += write_sum(text, entries + next, count - next);
    }
    rfm_arena_release(&arena);
}

void rfm_metrics_reference(rfm_buffer *markdown)
{
    rfm_write_text(markdown,
                   "# Metrics\n\n`GET /metrics`, in Prometheus' text format. This page is made from the program's own "
                   "table.\n\nBuckets of histograms, in seconds: ");
    for (size_t i = 0; i < RFM_HISTOGRAM_BOUNDS; i++)
        rfm_write_format(markdown, "%g, ", bounds[i]);
    rfm_write_text(markdown, "infinity.\n\n| metric | type | labels | |\n|---|---|---|---|\n");
    for (int metric = 0; metric < RFM_METRIC_COUNT; metric++)
        rfm_write_format(markdown, "| `rfmd_%s%s` | %s | %s | %s |\n", rows[metric].name, suffix_of((rfm_metric)metric),
                         type_name(rows[metric].type), rows[metric].labels, rows[metric].help);
}
