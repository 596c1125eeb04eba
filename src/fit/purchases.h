/* Purchases as they come from a file, in any order: 24 bytes each (48 while they are sorted), and 40 a client. What the
 * models need of them is made for any end of observation: purchase days of a client (several purchases of a day are
 * one), from the first up to the end. */
#ifndef RFM_FIT_PURCHASES_H
#define RFM_FIT_PURCHASES_H

#include <rfm/base/bytes.h>
#include <rfm/base/error.h>

/* Clients of equal history, in whole days: the purchase days after the first, first to last purchase, first to the
 * end. */
typedef struct rfm_history {
    uint32_t x, t_x, age;
    uint32_t clients;
    uint32_t returned; /* of them, bought again in the hold-out */
    uint64_t later;    /* their purchase days in it */
} rfm_history;

/* What a client with repeat purchases spent on them: days with an amount, and their mean. */
typedef struct rfm_repeat {
    uint32_t x;
    double mean;
} rfm_repeat;

typedef struct rfm_histories {
    rfm_history *rows; /* by x, age, t_x */
    size_t row_count, row_size;
    rfm_repeat *repeats; /* by x, mean */
    size_t repeat_count, repeat_size;
    uint64_t clients, repeaters, repeat_days, returned, later;
    int32_t first_day, until;
} rfm_histories;

void rfm_histories_init(rfm_histories *histories);
void rfm_histories_release(rfm_histories *histories);
/* One client, `last_day` <= until; mean_spend 0: none. Then, once, _seal. */
void rfm_histories_add(rfm_histories *histories, uint32_t x, int32_t first_day, int32_t last_day, uint32_t spend_days,
                       double mean_spend, uint32_t later);
void rfm_histories_seal(rfm_histories *histories);

typedef struct rfm_purchases rfm_purchases;
rfm_purchases *rfm_purchases_new(void);
void rfm_purchases_free(rfm_purchases *purchases);
/* An amount of 0 counts as a purchase day, not for spend. `order`: a number of the order, of which one of a client and
 * day counts; 0: none. RFM_E_FULL: more than 4 billion. */
int rfm_purchases_add(rfm_purchases *purchases, rfm_bytes client_id, int32_t day, double amount, uint64_t order,
                      rfm_error *error);
uint64_t rfm_purchases_count(const rfm_purchases *purchases);
uint32_t rfm_purchases_clients(const rfm_purchases *purchases);
int32_t rfm_purchases_first_day(const rfm_purchases *purchases); /* of at least one purchase, as the next */
int32_t rfm_purchases_last_day(const rfm_purchases *purchases);
/* Histories at the end of `until`, of clients who had bought by then; the hold-out is the `holdout_days` after it. */
void rfm_purchases_histories(rfm_purchases *purchases, int32_t until, int32_t holdout_days, rfm_histories *histories);

#endif
