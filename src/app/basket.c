#include "basket.h"

static const struct {
    const char *name;
    double price; /* median */
} categories[RFM_CATEGORIES] = {
    {"shirts", 29}, {"shoes", 75},  {"trousers", 49}, {"sport", 39}, {"bags", 65},   {"home", 27},
    {"beauty", 19}, {"coats", 120}, {"books", 14},    {"toys", 22},  {"garden", 33}, {"electronics", 110},
};

const char *rfm_category_name(uint8_t category)
{
    return categories[category].name;
}

static void make_zipf(double *below, uint32_t count)
{
    double sum = 0, sofar = 0;
    for (uint32_t i = 0; i < count; i++)
        sum += 1.0 / (i + 1);
    for (uint32_t i = 0; i < count; i++)
        below[i] = (sofar += 1.0 / (i + 1)) / sum;
    below[count - 1] = 1;
}

static uint32_t draw_zipf(const double *below, uint32_t count, rfm_chance *chance)
{
    double u = rfm_chance_unit(chance);
    uint32_t low = 0, high = count - 1;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (u < below[middle])
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* A shop's price: ends in 90 cents, from 1.90 on. */
static int32_t draw_price(rfm_chance *chance, double median)
{
    int64_t euros = (int64_t)rfm_chance_lognormal(chance, median, 0.5);
    return (int32_t)(euros < 1 ? 190 : euros > 5000 ? 500090 : euros * 100 + 90);
}

void rfm_catalogue_init(rfm_catalogue *catalogue, uint64_t seed)
{
    rfm_chance chance = rfm_chance_of(seed, UINT64_MAX);
    make_zipf(catalogue->category_below, RFM_CATEGORIES);
    make_zipf(catalogue->product_below, RFM_PRODUCTS);
    for (uint32_t i = 0; i < RFM_CATEGORIES; i++)
        for (uint32_t k = 0; k < RFM_PRODUCTS; k++)
            catalogue->price_minor[i][k] = draw_price(&chance, categories[i].price);
}

void rfm_taste_draw(const rfm_catalogue *catalogue, rfm_chance *chance, rfm_taste *taste)
{
    taste->favourite = (uint8_t)draw_zipf(catalogue->category_below, RFM_CATEGORIES, chance);
    taste->second = (uint8_t)draw_zipf(catalogue->category_below, RFM_CATEGORIES, chance);
    double grade = 2.5 + rfm_chance_normal(chance);
    taste->grade = (uint8_t)(grade < 0 ? 0 : grade >= RFM_GRADES ? RFM_GRADES - 1 : grade);
}

void rfm_item_draw(const rfm_catalogue *catalogue, rfm_chance *chance, const rfm_taste *taste, rfm_item *item)
{
    static const int percent[RFM_GRADES] = {55, 75, 100, 140, 200};
    double u = rfm_chance_unit(chance);
    item->category = u < 0.6   ? taste->favourite
                     : u < 0.8 ? taste->second
                               : (uint8_t)draw_zipf(catalogue->category_below, RFM_CATEGORIES, chance);
    item->product = (uint16_t)draw_zipf(catalogue->product_below, RFM_PRODUCTS, chance);
    item->grade = taste->grade;
    item->quantity = rfm_chance_unit(chance) < 0.85 ? 1 : (uint8_t)(2 + rfm_chance_below(chance, 2));
    item->price_minor = catalogue->price_minor[item->category][item->product] * percent[item->grade] / 100;
}

void rfm_basket_draw(const rfm_catalogue *catalogue, rfm_chance *chance, const rfm_taste *taste, rfm_basket *basket)
{
    int64_t sum_minor = 0;
    basket->count = 1;
    while (basket->count < RFM_BASKET_ITEMS_MAX && rfm_chance_unit(chance) < 0.35)
        basket->count++;
    for (uint32_t i = 0; i < basket->count; i++) {
        rfm_item_draw(catalogue, chance, taste, &basket->item[i]);
        sum_minor += (int64_t)basket->item[i].price_minor * basket->item[i].quantity;
    }
    basket->coupon = rfm_chance_unit(chance) < 0.08;
    basket->amount_minor = basket->coupon ? sum_minor * 9 / 10 : sum_minor;
}
