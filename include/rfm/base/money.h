/* Exact money: int64 minor units of a currency, never a double. A decimal is digits * 10^-scale. */
#ifndef RFM_BASE_MONEY_H
#define RFM_BASE_MONEY_H

#include <rfm/base/bytes.h>
#include <rfm/base/error.h>

typedef struct rfm_decimal {
    int64_t digits;
    uint8_t scale; /* <= 18 */
} rfm_decimal;
enum { RFM_MONEY_TEXT = 32, RFM_CURRENCIES_MAX = 64 };

/* "12", "12.90", "-3", "1e2": a number as JSON writes it. RFM_E_MALFORMED, or RFM_E_RANGE: beyond int64 or 18 decimals
 * once trailing zeros are removed. */
int rfm_decimal_parse(rfm_bytes text, rfm_decimal *decimal);

/* rate: base units per unit */
typedef struct rfm_currency {
    char code[4];
    uint8_t digits;
    rfm_decimal rate;
} rfm_currency;
typedef struct rfm_money_conf {
    rfm_currency base;
    rfm_currency other[RFM_CURRENCIES_MAX];
    size_t other_count;
} rfm_money_conf;

/* ISO 4217 minor digits: 0, 2, 3 or 4; 2 for an unknown code of three capitals; -1: not a code. */
int rfm_currency_digits(const char code[4]);
/* An amount in `currency` (empty: base) as base minor units, half-even. RFM_E_NOT_FOUND: no rate for the currency;
 * RFM_E_MALFORMED: more decimals than its currency has; RFM_E_RANGE: overflow. */
int rfm_money_convert(const rfm_money_conf *conf, rfm_decimal amount, rfm_bytes currency, int64_t *amount_minor);
/* "129.90", "-0.05"; returns its length. `digits` <= 18. */
size_t rfm_money_format(int64_t amount_minor, uint8_t digits, char text[RFM_MONEY_TEXT]);
int64_t rfm_div_half_even(int64_t a, int64_t b); /* b > 0 */

#endif
