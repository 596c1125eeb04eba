#include "counters.h"
#include "fault.h"

#include <rfm/base/grow.h>
#include <stdio.h>
#include <stdlib.h>

enum { DAYS = 65536, DAY_ZERO = 7305 /* 1990-01-01; before it no event is taken */ };
static const size_t field_count[RFM_COUNTERS] = {DAYS, RFM_BUCKETS, RFM_ORDER_COUNTS};

void rfm__counters_init(rfm__counters *counters)
{
    *counters = (rfm__counters){.stamp = 1, .population = rfm_population_new(), .tally = rfm_tally_new()};
    for (size_t kind = 0; kind < RFM_COUNTERS; kind++) {
        counters->stamps[kind] = calloc(field_count[kind], sizeof *counters->stamps[kind]);
        RFM_NEED(counters->stamps[kind] != NULL);
    }
}

void rfm__counters_release(rfm__counters *counters)
{
    rfm_population_free(counters->population);
    rfm_tally_free(counters->tally);
    free(counters->touched);
    for (size_t kind = 0; kind < RFM_COUNTERS; kind++)
        free(counters->stamps[kind]);
    *counters = (rfm__counters){0};
}

void rfm__counters_clear(rfm__counters *counters)
{
    rfm_population_clear(counters->population);
    rfm_tally_clear(counters->tally);
    counters->count = 0;
    counters->stamp++;
}

static void touch(rfm__counters *counters, rfm_counter kind, int32_t field)
{
    size_t at = (size_t)(kind == RFM_COUNTER_DAY ? field - DAY_ZERO : field);
    if (at < field_count[kind]) {
        if (counters->stamps[kind][at] == counters->stamp)
            return;
        counters->stamps[kind][at] = counters->stamp;
    }
    counters->touched = rfm_grow(counters->touched, counters->count, &counters->size);
    counters->touched[counters->count++] = (rfm__touched){(uint8_t)kind, field};
}

static void add(rfm__counters *counters, const rfm_standing *standing, int64_t clients)
{
    if (!standing->counted)
        return;
    rfm_population_add_day(counters->population, standing->day, clients);
    rfm_population_add_bucket(counters->population, standing->bucket, clients);
    rfm_population_add_orders(counters->population, standing->orders, clients);
    touch(counters, RFM_COUNTER_DAY, standing->day);
    touch(counters, RFM_COUNTER_BUCKET, standing->bucket);
    touch(counters, RFM_COUNTER_ORDERS, standing->orders);
}

void rfm__counters_move(rfm__counters *counters, const rfm_standing *before, const rfm_standing *after)
{
    if (before->counted == after->counted && before->day == after->day && before->bucket == after->bucket &&
        before->orders == after->orders)
        return;
    add(counters, before, -1);
    add(counters, after, 1);
}

static int64_t value_of(const rfm_population *population, const rfm__touched *touched)
{
    switch (touched->kind) {
    case RFM_COUNTER_DAY: return rfm_population_day_count(population, touched->field);
    case RFM_COUNTER_BUCKET: return rfm_population_bucket_count(population, (uint16_t)touched->field);
    default: return rfm_population_orders_count(population, (uint16_t)touched->field);
    }
}

static void write_tally(rfm_tally *tally, rfm_redo *redo)
{
    char field[RFM_TALLY_FIELD_MAX], text[24];
    rfm_cell cell;
    int64_t value;
    while (rfm_tally_take(tally, &cell, &value)) {
        rfm_bytes name = rfm_bytes_of(field, rfm_cell_format(cell, field));
        snprintf(text, sizeof text, "%lld", (long long)value);
        rfm_redo_put(redo, &(rfm_redo_item){.op = value == 0 ? RFM_REDO_HASH_DELETE : RFM_REDO_HASH_SET,
                                            .key = rfm_text(RFM_KEY_KPI),
                                            .field = name,
                                            .value = rfm_text(text)});
    }
}

void rfm__counters_write(rfm__counters *counters, rfm_redo *redo)
{
    char field[24], text[24];
    for (size_t i = 0; i < counters->count && !RFM_FAULT(COUNTERS); i++) {
        int64_t value = value_of(counters->population, &counters->touched[i]);
        snprintf(field, sizeof field, "%d", counters->touched[i].field);
        snprintf(text, sizeof text, "%lld", (long long)value);
        rfm_redo_put(redo, &(rfm_redo_item){.op = value == 0 ? RFM_REDO_HASH_DELETE : RFM_REDO_HASH_SET,
                                            .key = rfm_text(rfm_population_key[counters->touched[i].kind]),
                                            .field = rfm_text(field),
                                            .value = rfm_text(text)});
    }
    counters->count = 0;
    counters->stamp++;
    write_tally(counters->tally, redo);
}

int rfm__tally_restore(rfm__counters *counters, const rfm_bytes *values, size_t count)
{
    for (size_t i = 0; i + 1 < count; i += 2) {
        rfm_cell cell;
        int64_t value;
        if (rfm_cell_parse(values[i], &cell) != RFM_OK || rfm_integer_parse(values[i + 1], &value) != RFM_OK)
            return RFM_E_CORRUPT;
        rfm_tally_add(counters->tally, cell, value);
    }
    rfm_tally_settle(counters->tally);
    return RFM_OK;
}
