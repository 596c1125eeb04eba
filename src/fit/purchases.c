#include "purchases.h"

#include <rfm/base/grow.h>
#include <rfm/base/hash.h>
#include <rfm/base/table.h>
#include <stdlib.h>

struct purchase {
    uint32_t client;
    int32_t day;
    double amount;
    uint64_t order;
};

/* A client is known by 128 bits of hash: at a billion of them, two are taken for one with a chance of 10^-21. */
struct rfm_purchases {
    struct purchase *items;
    size_t count, size;
    bool sorted; /* by client, day, order */
    uint8_t (*ids)[16];
    size_t client_count, client_size;
    rfm_table by_id;
    int32_t first_day, last_day;
};

rfm_purchases *rfm_purchases_new(void)
{
    rfm_purchases *purchases = calloc(1, sizeof *purchases);
    RFM_NEED(purchases != NULL);
    rfm_table_init(&purchases->by_id, 1024);
    return purchases;
}

void rfm_purchases_free(rfm_purchases *purchases)
{
    if (purchases == NULL)
        return;
    rfm_table_release(&purchases->by_id);
    free(purchases->items);
    free(purchases->ids);
    free(purchases);
}

static uint32_t client_of(rfm_purchases *purchases, rfm_bytes client_id)
{
    uint8_t id[16];
    uint64_t hash;
    rfm_hash128(client_id, id);
    memcpy(&hash, id, sizeof hash);
    size_t cursor = RFM_TABLE_START;
    for (uint32_t index; (index = rfm_table_find(&purchases->by_id, hash, &cursor)) != RFM_TABLE_NONE;)
        if (memcmp(purchases->ids[index], id, sizeof id) == 0)
            return index;
    purchases->ids = rfm_grow(purchases->ids, purchases->client_count, &purchases->client_size);
    memcpy(purchases->ids[purchases->client_count], id, sizeof id);
    rfm_table_add(&purchases->by_id, hash, (uint32_t)purchases->client_count);
    return (uint32_t)purchases->client_count++;
}

int rfm_purchases_add(rfm_purchases *purchases, rfm_bytes client_id, int32_t day, double amount, uint64_t order,
                      rfm_error *error)
{
    if (purchases->count == UINT32_MAX)
        return rfm_fail(error, RFM_E_FULL, "more than %u purchases: fit on a part of your clients", UINT32_MAX);
    purchases->items = rfm_grow(purchases->items, purchases->count, &purchases->size);
    purchases->first_day = purchases->count == 0 || day < purchases->first_day ? day : purchases->first_day;
    purchases->last_day = purchases->count == 0 || day > purchases->last_day ? day : purchases->last_day;
    purchases->items[purchases->count++] = (struct purchase){
        .client = client_of(purchases, client_id), .day = day, .amount = amount, .order = order};
    purchases->sorted = false;
    return RFM_OK;
}

uint64_t rfm_purchases_count(const rfm_purchases *purchases)
{
    return purchases->count;
}

uint32_t rfm_purchases_clients(const rfm_purchases *purchases)
{
    return (uint32_t)purchases->client_count;
}

int32_t rfm_purchases_first_day(const rfm_purchases *purchases)
{
    return purchases->first_day;
}

int32_t rfm_purchases_last_day(const rfm_purchases *purchases)
{
    return purchases->last_day;
}

static int compare_days(const void *left, const void *right)
{
    const struct purchase *a = left, *b = right;
    if (a->day != b->day)
        return a->day < b->day ? -1 : 1;
    return (a->order > b->order) - (a->order < b->order);
}

/* By client by counting, which a file of millions needs, then each client's few by day and order. */
static void sort(rfm_purchases *purchases)
{
    if (purchases->sorted || purchases->count == 0)
        return;
    size_t *next = calloc(purchases->client_count + 1, sizeof *next);
    struct purchase *sorted = malloc(purchases->count * sizeof *sorted);
    RFM_NEED(next != NULL && sorted != NULL);
    for (size_t i = 0; i < purchases->count; i++)
        next[purchases->items[i].client + 1]++;
    for (size_t i = 0; i < purchases->client_count; i++)
        next[i + 1] += next[i];
    for (size_t i = 0; i < purchases->count; i++)
        sorted[next[purchases->items[i].client]++] = purchases->items[i];
    for (size_t i = 0, begin = 0; i < purchases->client_count; begin = next[i++])
        qsort(sorted + begin, next[i] - begin, sizeof *sorted, compare_days);
    free(purchases->items);
    free(next);
    purchases->items = sorted;
    purchases->size = purchases->count;
    purchases->sorted = true;
}

/* Histories. */

void rfm_histories_init(rfm_histories *histories)
{
    *histories = (rfm_histories){0};
}

void rfm_histories_release(rfm_histories *histories)
{
    free(histories->rows);
    free(histories->repeats);
    *histories = (rfm_histories){0};
}

static void add_repeat(rfm_histories *histories, uint32_t spend_days, double mean_spend)
{
    histories->repeats = rfm_grow(histories->repeats, histories->repeat_count, &histories->repeat_size);
    histories->repeats[histories->repeat_count++] = (rfm_repeat){spend_days, mean_spend};
}

void rfm_histories_add(rfm_histories *histories, uint32_t x, int32_t first_day, int32_t last_day, uint32_t spend_days,
                       double mean_spend, uint32_t later)
{
    histories->rows = rfm_grow(histories->rows, histories->row_count, &histories->row_size);
    histories->rows[histories->row_count++] = (rfm_history){.x = x,
                                                            .t_x = (uint32_t)(last_day - first_day),
                                                            .age = (uint32_t)(histories->until - first_day),
                                                            .clients = 1,
                                                            .returned = later > 0,
                                                            .later = later};
    if (histories->clients == 0 || first_day < histories->first_day)
        histories->first_day = first_day;
    histories->clients++;
    histories->repeaters += x > 0;
    histories->repeat_days += x;
    histories->returned += later > 0;
    histories->later += later;
    if (spend_days > 0 && mean_spend > 0)
        add_repeat(histories, spend_days, mean_spend);
}

static int compare_rows(const void *left, const void *right)
{
    const rfm_history *a = left, *b = right;
    if (a->x != b->x)
        return a->x < b->x ? -1 : 1;
    if (a->age != b->age)
        return a->age < b->age ? -1 : 1;
    return (a->t_x > b->t_x) - (a->t_x < b->t_x);
}

static int compare_repeats(const void *left, const void *right)
{
    const rfm_repeat *a = left, *b = right;
    if (a->x != b->x)
        return a->x < b->x ? -1 : 1;
    return (a->mean > b->mean) - (a->mean < b->mean);
}

void rfm_histories_seal(rfm_histories *histories)
{
    size_t count = 0;
    rfm_history *rows = histories->rows;
    if (histories->row_count > 0)
        qsort(rows, histories->row_count, sizeof *rows, compare_rows);
    for (size_t i = 0; i < histories->row_count; i++) {
        if (count > 0 && compare_rows(&rows[count - 1], &rows[i]) == 0) {
            rows[count - 1].clients += rows[i].clients;
            rows[count - 1].returned += rows[i].returned;
            rows[count - 1].later += rows[i].later;
        } else {
            rows[count++] = rows[i];
        }
    }
    histories->row_count = count;
    if (histories->repeat_count > 0)
        qsort(histories->repeats, histories->repeat_count, sizeof *histories->repeats, compare_repeats);
}

/* One client's purchases, by day. */
static void add_client(rfm_histories *histories, const struct purchase *items, size_t count, int32_t holdout_end)
{
    uint32_t days = 0, later = 0, spend_days = 0;
    int32_t last_day = 0;
    double sum = 0;
    for (size_t i = 0; i < count && items[i].day <= holdout_end;) {
        int32_t day = items[i].day;
        double amount = 0;
        for (size_t first = i; i < count && items[i].day == day; i++)
            if (items[i].order == 0 || i == first || items[i].order != items[i - 1].order)
                amount += items[i].amount;
        if (day > histories->until) {
            later++;
            continue;
        }
        last_day = day;
        if (days++ > 0 && amount > 0) {
            spend_days++;
            sum += amount;
        }
    }
    if (days > 0)
        rfm_histories_add(histories, days - 1, items[0].day, last_day, spend_days,
                          spend_days > 0 ? sum / spend_days : 0, later);
}

void rfm_purchases_histories(rfm_purchases *purchases, int32_t until, int32_t holdout_days, rfm_histories *histories)
{
    rfm_histories_init(histories);
    histories->until = until;
    sort(purchases);
    for (size_t i = 0, begin = 0; begin < purchases->count; begin = i) {
        while (i < purchases->count && purchases->items[i].client == purchases->items[begin].client)
            i++;
        add_client(histories, purchases->items + begin, i - begin, until + holdout_days);
    }
    rfm_histories_seal(histories);
}
