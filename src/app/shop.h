/* A made-up shop: clients who arrive, buy at rates of their own and lapse, products that sell by Zipf's law, and every
 * event about it in the native format, in the order of time, without end and without holding them.
 *
 * Buyers are as MBG/NBD assumes: purchases of a client come as a Poisson process with a gamma distributed rate, and
 * after each, the first included, the client is gone with a beta distributed probability of his own. Around them:
 * consent at sign-up, visits with what was done there, newsletters with what became of them, refunds, and now and then
 * an event that comes twice. The same conf gives the same bytes with every compiler. Each client has a random stream of
 * its own.
 *
 * Within `days` of the start `clients` clients arrive, evenly; who has lapsed stays away. After that time those come
 * back after months, and with `growth` new ones arrive, so that traffic can go on for ever. */
#ifndef RFM_APP_SHOP_H
#define RFM_APP_SHOP_H

#include <rfm/event/event.h>

typedef struct rfm_shop_conf {
    uint64_t seed;
    uint32_t clients;
    int64_t start_ms;
    int64_t days;
    uint64_t events; /* how many to aim at within the days (by more or fewer visits and messages); 0: as it comes */
    double growth;   /* arrivals after the days, relative to those within; 0: none */
} rfm_shop_conf;

typedef struct rfm_shop_event {
    rfm_event_type type;
    rfm_bytes client_id, value; /* both last until the next call; value: one JSON object without the line's end */
    int64_t time_ms; /* of the shop's clock, rising; that of `value` differs in a repeat, and if it was stamped */
} rfm_shop_event;

typedef struct rfm_shop rfm_shop;
rfm_shop *rfm_shop_new(const rfm_shop_conf *conf);
void rfm_shop_free(rfm_shop *shop);
/* The next event before until_ms of the shop's clock; false: none. stamp_ms: the event's `time`; 0: the shop's. */
bool rfm_shop_next(rfm_shop *shop, int64_t until_ms, int64_t stamp_ms, rfm_shop_event *event);
/* Another client, who signs up just before the first of these moments (rising, none before the shop's clock), may be
 * written to by e-mail, buys at these moments and does nothing else. */
void rfm_shop_add_quiet(rfm_shop *shop, const int64_t *bought_ms, size_t count);
uint32_t rfm_shop_clients(const rfm_shop *shop); /* who have arrived */

#endif
