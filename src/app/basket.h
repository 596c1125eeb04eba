/* What the made-up shop sells, and what is bought together. Sales go by Zipf's law, among categories as among the
 * products of one; prices are log-normal around their category's. Each product comes in five grades, of which a client
 * keeps to one. */
#ifndef RFM_APP_BASKET_H
#define RFM_APP_BASKET_H

#include "chance.h"

#include <stdbool.h>

enum { RFM_CATEGORIES = 12, RFM_PRODUCTS = 200 /* in each */, RFM_GRADES = 5, RFM_BASKET_ITEMS_MAX = 5 };

typedef struct rfm_taste {
    uint8_t favourite, second; /* categories */
    uint8_t grade;
} rfm_taste;

typedef struct rfm_item {
    uint8_t category, grade, quantity;
    uint16_t product;
    int32_t price_minor;
} rfm_item;

typedef struct rfm_basket {
    rfm_item item[RFM_BASKET_ITEMS_MAX];
    uint32_t count;
    int64_t amount_minor; /* to be paid: less than the items' sum with a coupon */
    bool coupon;
} rfm_basket;

typedef struct rfm_catalogue {
    double category_below[RFM_CATEGORIES], product_below[RFM_PRODUCTS]; /* cumulated shares */
    int32_t price_minor[RFM_CATEGORIES][RFM_PRODUCTS];                  /* of the middle grade */
} rfm_catalogue;

void rfm_catalogue_init(rfm_catalogue *catalogue, uint64_t seed);
const char *rfm_category_name(uint8_t category);
void rfm_taste_draw(const rfm_catalogue *catalogue, rfm_chance *chance, rfm_taste *taste);
void rfm_item_draw(const rfm_catalogue *catalogue, rfm_chance *chance, const rfm_taste *taste, rfm_item *item);
void rfm_basket_draw(const rfm_catalogue *catalogue, rfm_chance *chance, const rfm_taste *taste, rfm_basket *basket);

#endif
