#include <rfm/base/money.h>

static const int64_t powers[19] = {
    1,
    10,
    100,
    1000,
    10000,
    100000,
    1000000,
    10000000,
    100000000,
    1000000000,
    10000000000,
    100000000000,
    1000000000000,
    10000000000000,
    100000000000000,
    1000000000000000,
    10000000000000000,
    100000000000000000,
    1000000000000000000,
};

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

/* digits * 10^exponent, without trailing zeros */
typedef struct significand {
    uint64_t digits;
    int64_t exponent;
} significand;

static int times_power(uint64_t *digits, int64_t power)
{
    if (*digits == 0 || power == 0)
        return 0;
    if (power >= 20)
        return RFM_E_RANGE;
    for (; power > 0; power--) {
        if (__builtin_mul_overflow(*digits, 10, digits))
            return RFM_E_RANGE;
    }
    return 0;
}

/* Appends the digits at `*at`, which moves behind them; zeros count only once another digit follows. */
static int take_digits(const uint8_t **at, const uint8_t *end, int64_t *zeros, significand *number)
{
    for (; *at < end && is_digit(**at); ++*at) {
        ++*zeros;
        if (**at == '0')
            continue;
        if (times_power(&number->digits, *zeros))
            return RFM_E_RANGE;
        if (__builtin_add_overflow(number->digits, (uint64_t)(**at - '0'), &number->digits))
            return RFM_E_RANGE;
        *zeros = 0;
    }
    return 0;
}

static int64_t take_exponent(const uint8_t **at, const uint8_t *end)
{
    bool negative = *at < end && **at == '-';
    int64_t exponent = 0;
    if (*at < end && (**at == '-' || **at == '+'))
        ++*at;
    for (; *at < end && is_digit(**at); ++*at) {
        if (exponent < INT64_C(1000000000000))
            exponent = exponent * 10 + (**at - '0'); /* beyond any text's length */
    }
    return negative ? -exponent : exponent;
}

/* JSON's grammar (RFC 8259, section 6) is checked here as the number is read. */
static int take_number(const uint8_t *at, const uint8_t *end, significand *number)
{
    int64_t zeros = 0;
    const uint8_t *start = at;
    *number = (significand){0, 0};
    int code = take_digits(&at, end, &zeros, number);
    if (at == start || (*start == '0' && at - start > 1))
        return RFM_E_MALFORMED;
    const uint8_t *point = at;
    if (!code && at < end && *at == '.') {
        at++;
        code = take_digits(&at, end, &zeros, number);
        if (at - point == 1)
            return RFM_E_MALFORMED;
        number->exponent = point + 1 - at;
    }
    if (code)
        return code;
    number->exponent += zeros;
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        number->exponent += take_exponent(&at, end);
        if (!is_digit(at[-1]))
            return RFM_E_MALFORMED;
    }
    return at == end ? 0 : RFM_E_MALFORMED;
}

/* What nearly all numbers are: up to 18 bytes of digits and a point. False: look closer. */
static bool parse_plain(rfm_bytes text, rfm_decimal *decimal)
{
    const uint8_t *point = NULL, *end = text.at + text.len;
    int64_t digits = 0;
    if (text.len > 18 || (text.at[0] == '0' && text.len > 1 && text.at[1] != '.'))
        return false;
    for (const uint8_t *at = text.at; at < end; at++) {
        if (is_digit(*at))
            digits = digits * 10 + (*at - '0');
        else if (*at == '.' && !point && at > text.at)
            point = at;
        else
            return false;
    }
    if (point == end - 1)
        return false;
    int scale = point ? (int)(end - 1 - point) : 0;
    for (; scale > 0 && digits % 10 == 0; scale--)
        digits /= 10;
    *decimal = (rfm_decimal){digits, (uint8_t)scale};
    return true;
}

int rfm_decimal_parse(rfm_bytes text, rfm_decimal *decimal)
{
    if (text.len == 0)
        return RFM_E_MALFORMED;
    if (parse_plain(text, decimal))
        return 0;
    const uint8_t *at = text.at, *end = at + text.len;
    bool negative = *at == '-';
    significand number;
    int code = take_number(at + negative, end, &number);
    if (code)
        return code;
    if (number.digits == 0)
        return *decimal = (rfm_decimal){0, 0}, 0;
    if (number.exponent > 0 && times_power(&number.digits, number.exponent))
        return RFM_E_RANGE;
    if (number.exponent < -18 || number.digits > (uint64_t)INT64_MAX + negative)
        return RFM_E_RANGE;
    decimal->digits = (int64_t)(negative ? 0 - number.digits : number.digits);
    decimal->scale = (uint8_t)(number.exponent < 0 ? -number.exponent : 0);
    return 0;
}

int rfm_currency_digits(const char code[4])
{
    static const char none[] = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF";
    static const char three[] = "BHD IQD JOD KWD LYD OMR TND";
    static const char four[] = "CLF UYW";
    for (int i = 0; i < 3; i++) {
        if (code[i] < 'A' || code[i] > 'Z')
            return -1;
    }
    if (code[3] != 0)
        return -1;
    return strstr(none, code) ? 0 : strstr(three, code) ? 3 : strstr(four, code) ? 4 : 2;
}

static const rfm_currency *currency_of(const rfm_money_conf *conf, rfm_bytes code)
{
    if (code.len == 0)
        return &conf->base;
    if (code.len != 3)
        return NULL;
    if (memcmp(conf->base.code, code.at, 3) == 0)
        return &conf->base;
    for (size_t i = 0; i < conf->other_count; i++) {
        if (memcmp(conf->other[i].code, code.at, 3) == 0)
            return &conf->other[i];
    }
    return NULL;
}

static __int128 div_half_even(__int128 a, __int128 b)
{
    __int128 quotient = a / b, rest = a % b;
    if (rest < 0)
        rest = -rest;
    bool up = rest > b - rest || (rest == b - rest && quotient % 2 != 0);
    return up ? quotient + (a < 0 ? -1 : 1) : quotient;
}

int64_t rfm_div_half_even(int64_t a, int64_t b)
{
    RFM_ASSERT(b > 0);
    return (int64_t)div_half_even(a, b);
}

/* value * 10^power, half-even, with -36 <= power <= 18 */
static int scale_minor(__int128 value, int power, int64_t *minor)
{
    if (power >= 0) {
        if (__builtin_mul_overflow(value, (__int128)powers[power], &value))
            return RFM_E_RANGE;
    } else {
        int first = power < -18 ? 18 : -power;
        value = div_half_even(value, (__int128)powers[first] * powers[-power - first]);
    }
    if (value > INT64_MAX || value < INT64_MIN)
        return RFM_E_RANGE;
    *minor = (int64_t)value;
    return 0;
}

int rfm_money_convert(const rfm_money_conf *conf, rfm_decimal amount, rfm_bytes currency, int64_t *amount_minor)
{
    const rfm_currency *from = currency_of(conf, currency);
    RFM_ASSERT(conf->base.digits <= 18 && amount.scale <= 18);
    if (!from)
        return RFM_E_NOT_FOUND;
    while (amount.scale > 0 && amount.digits % 10 == 0)
        amount.digits /= 10, amount.scale--;
    if (amount.scale > from->digits)
        return RFM_E_MALFORMED;
    if (from == &conf->base)
        return scale_minor(amount.digits, conf->base.digits - amount.scale, amount_minor);
    RFM_ASSERT(from->rate.scale <= 18);
    __int128 product = (__int128)amount.digits * from->rate.digits;
    return scale_minor(product, conf->base.digits - amount.scale - from->rate.scale, amount_minor);
}

size_t rfm_money_format(int64_t amount_minor, uint8_t digits, char text[RFM_MONEY_TEXT])
{
    char reversed[RFM_MONEY_TEXT];
    size_t count = 0, len = 0;
    uint64_t rest = amount_minor < 0 ? 0 - (uint64_t)amount_minor : (uint64_t)amount_minor;
    RFM_ASSERT(digits <= 18);
    for (size_t i = 0; rest > 0 || i <= digits; i++, rest /= 10) {
        if (i == digits && digits > 0)
            reversed[count++] = '.';
        reversed[count++] = (char)('0' + rest % 10);
    }
    if (amount_minor < 0)
        text[len++] = '-';
    while (count > 0)
        text[len++] = reversed[--count];
    text[len] = 0;
    return len;
}
