/* The operations of ops.h, each on its operands v[0], v[1]: the result in v[0] and RFM_EXPR_OK, or a fault. Inlined
 * into the machine, which alone includes this. */
#ifndef RFM_EXPR_OPERATE_H
#define RFM_EXPR_OPERATE_H

#include "ops.h"
#include "text.h"

#include <math.h>
#include <stdio.h>

typedef struct rfm__call {
    const rfm_expr *expr;
    rfm_expr_frame *frame;
    unsigned arg;
} rfm__call;

#define OPERATION(NAME) \
    static inline rfm_expr_fault rfm__operate_##NAME(const rfm__call *call __attribute__((unused)), rfm_expr_value *v)

/* -- numbers */

OPERATION(NOT)
{
    v->truth = !v->truth;
    return RFM_EXPR_OK;
}
OPERATION(NEGATE_INT)
{
    return __builtin_sub_overflow(0, v->integer, &v->integer) ? RFM_EXPR_OVERFLOW : RFM_EXPR_OK;
}
OPERATION(NEGATE_DOUBLE)
{
    v->number = -v->number;
    return RFM_EXPR_OK;
}
OPERATION(ADD_INT)
{
    return __builtin_add_overflow(v->integer, v[1].integer, &v->integer) ? RFM_EXPR_OVERFLOW : RFM_EXPR_OK;
}
OPERATION(SUBTRACT_INT)
{
    return __builtin_sub_overflow(v->integer, v[1].integer, &v->integer) ? RFM_EXPR_OVERFLOW : RFM_EXPR_OK;
}
OPERATION(MULTIPLY_INT)
{
    return __builtin_mul_overflow(v->integer, v[1].integer, &v->integer) ? RFM_EXPR_OVERFLOW : RFM_EXPR_OK;
}
static inline rfm_expr_fault rfm__divisor_fault(const rfm_expr_value *v)
{
    if (v[1].integer == 0)
        return RFM_EXPR_ZERO_DIVISION;
    return v[0].integer == INT64_MIN && v[1].integer == -1 ? RFM_EXPR_OVERFLOW : RFM_EXPR_OK;
}
OPERATION(DIVIDE_INT)
{
    rfm_expr_fault fault = rfm__divisor_fault(v);
    if (!fault)
        v->integer /= v[1].integer;
    return fault;
}
OPERATION(REMAINDER_INT)
{
    rfm_expr_fault fault = rfm__divisor_fault(v);
    if (!fault)
        v->integer %= v[1].integer;
    return fault;
}
OPERATION(ADD_DOUBLE)
{
    v->number += v[1].number;
    return RFM_EXPR_OK;
}
OPERATION(SUBTRACT_DOUBLE)
{
    v->number -= v[1].number;
    return RFM_EXPR_OK;
}
OPERATION(MULTIPLY_DOUBLE)
{
    v->number *= v[1].number;
    return RFM_EXPR_OK;
}
OPERATION(DIVIDE_DOUBLE)
{
    v->number /= v[1].number;
    return RFM_EXPR_OK;
}

/* -- questions: whether it is so of two values, by what `arg` says; of a comparison, the mask of what counts as true */

#define QUESTION(NAME)                                                                                        \
    static inline rfm__outcome rfm__ask_##NAME(unsigned arg __attribute__((unused)), const rfm_expr_value *a, \
                                               const rfm_expr_value *b)
/* RFM__LESS, RFM__SAME or RFM__GREATER, without branches that would be guessed wrongly. */
#define RFM__ORDER(a, b) (RFM__SAME + RFM__SAME * (unsigned)((a) > (b)) - (unsigned)((a) < (b)))

static inline rfm__outcome rfm__outcome_of(bool truth)
{
    return truth ? RFM__YES : RFM__NO;
}
/* NaN equals nothing, and has no order. */
static inline rfm__outcome rfm__outcome_of_nan(unsigned arg)
{
    if (arg != RFM__SAME && arg != (RFM__LESS | RFM__GREATER))
        return RFM__UNSURE;
    return rfm__outcome_of(arg != RFM__SAME);
}
QUESTION(COMPARE_BOOL)
{
    return rfm__outcome_of(arg & RFM__ORDER(a->truth, b->truth));
}
QUESTION(COMPARE_INT)
{
    return rfm__outcome_of(arg & RFM__ORDER(a->integer, b->integer));
}
QUESTION(COMPARE_DOUBLE)
{
    if (isunordered(a->number, b->number))
        return rfm__outcome_of_nan(arg);
    return rfm__outcome_of(arg & RFM__ORDER(a->number, b->number));
}
QUESTION(COMPARE_INT_DOUBLE)
{
    if (isnan(b->number))
        return rfm__outcome_of_nan(arg);
    return rfm__outcome_of(arg & rfm__order_int_double(a->integer, b->number));
}
QUESTION(COMPARE_DOUBLE_INT)
{
    if (isnan(a->number))
        return rfm__outcome_of_nan(arg);
    unsigned order = rfm__order_int_double(b->integer, a->number);
    return rfm__outcome_of(arg & (order == RFM__SAME ? order : order ^ (RFM__LESS | RFM__GREATER)));
}
/* Most texts that differ differ in their length or first byte: no call for these. */
static inline bool rfm__same_text(rfm_bytes a, rfm_bytes b)
{
    return a.len == b.len && (a.len == 0 || (*a.at == *b.at && memcmp(a.at, b.at, a.len) == 0));
}
QUESTION(COMPARE_TEXT)
{
    if (arg == RFM__SAME || arg == (RFM__LESS | RFM__GREATER))
        return rfm__outcome_of(arg & (rfm__same_text(a->text, b->text) ? RFM__SAME : RFM__LESS));
    int order = rfm_bytes_compare(a->text, b->text);
    return rfm__outcome_of(arg & RFM__ORDER(order, 0));
}
QUESTION(STARTS_WITH)
{
    rfm_bytes text = a->text, part = b->text;
    return rfm__outcome_of(text.len >= part.len && rfm_bytes_equal(rfm_bytes_of(text.at, part.len), part));
}
QUESTION(ENDS_WITH)
{
    rfm_bytes text = a->text, part = b->text;
    if (part.len == 0 || text.len < part.len)
        return rfm__outcome_of(part.len == 0);
    return rfm__outcome_of(rfm_bytes_equal(rfm_bytes_of(text.at + (text.len - part.len), part.len), part));
}
QUESTION(CONTAINS)
{
    rfm_bytes text = a->text, part = b->text;
    return rfm__outcome_of(part.len == 0 ||
                           (text.len >= part.len && memmem(text.at, text.len, part.at, part.len) != NULL));
}

#define X(NAME)                                                           \
    OPERATION(NAME)                                                       \
    {                                                                     \
        rfm__outcome outcome = rfm__ask_##NAME(call->arg, &v[0], &v[1]);  \
        v->truth = outcome == RFM__YES;                                   \
        return outcome == RFM__UNSURE ? RFM_EXPR_NAN_ORDER : RFM_EXPR_OK; \
    }
RFM__QUESTIONS(X)
#undef X

OPERATION(EQUAL)
{
    const rfm__types *types = &call->expr->types[call->arg];
    v->truth = rfm__equal(types->left, &v[0], types->right, &v[1]);
    return RFM_EXPR_OK;
}
OPERATION(UNEQUAL)
{
    const rfm__types *types = &call->expr->types[call->arg];
    v->truth = !rfm__equal(types->left, &v[0], types->right, &v[1]);
    return RFM_EXPR_OK;
}

/* -- texts, lists, maps */

OPERATION(ADD_TEXT)
{
    size_t len = v[0].text.len + v[1].text.len;
    uint8_t *at = rfm__make(call->frame, len);
    if (!at)
        return RFM_EXPR_TOO_LARGE;
    if (v[0].text.len)
        memcpy(at, v[0].text.at, v[0].text.len);
    if (v[1].text.len)
        memcpy(at + v[0].text.len, v[1].text.at, v[1].text.len);
    v->text = rfm_bytes_of(at, len);
    return RFM_EXPR_OK;
}
OPERATION(ADD_LIST)
{
    size_t first = v[0].list.count, second = v[1].list.count;
    rfm_expr_value *at = rfm__make(call->frame, (first + second) * sizeof *at);
    if (!at)
        return RFM_EXPR_TOO_LARGE;
    if (first)
        memcpy(at, v[0].list.at, first * sizeof *at);
    if (second)
        memcpy(at + first, v[1].list.at, second * sizeof *at);
    v->list.at = at;
    v->list.count = first + second;
    return RFM_EXPR_OK;
}
OPERATION(IN_LIST)
{
    const rfm__types *types = &call->expr->types[call->arg];
    size_t i = 0, count = v[1].list.count;
    const rfm_expr_value *items = v[1].list.at;
    while (i < count && !rfm__equal(types->left, &v[0], types->right, &items[i]))
        i++;
    v->truth = i < count;
    return RFM_EXPR_OK;
}
static inline bool rfm__find(const rfm__call *call, const rfm_expr_value *map, rfm_bytes key, rfm_expr_value *value)
{
    return map->object.class_->find(call->frame->context, map->object.at, key, value);
}
OPERATION(IN_MAP)
{
    rfm_expr_value found;
    v->truth = rfm__find(call, &v[1], v[0].text, &found);
    return RFM_EXPR_OK;
}
OPERATION(ITEM)
{
    int64_t index = v[1].integer;
    if (index < 0 || (uint64_t)index >= v[0].list.count)
        return RFM_EXPR_NO_ITEM;
    *v = v[0].list.at[index];
    return RFM_EXPR_OK;
}
OPERATION(ENTRY)
{
    rfm_expr_value found;
    if (!rfm__find(call, &v[0], v[1].text, &found))
        return RFM_EXPR_NO_KEY;
    *v = found;
    return RFM_EXPR_OK;
}
OPERATION(SIZE_TEXT)
{
    int64_t count = 0;
    for (size_t i = 0; i < v->text.len; i++)
        count += (v->text.at[i] & 0xc0) != 0x80;
    v->integer = count;
    return RFM_EXPR_OK;
}
OPERATION(SIZE_LIST)
{
    v->integer = (int64_t)v->list.count;
    return RFM_EXPR_OK;
}
OPERATION(SIZE_MAP)
{
    rfm_bytes key;
    rfm_expr_value value;
    size_t count = 0;
    while (v->object.class_->entry(call->frame->context, v->object.at, count, &key, &value))
        count++;
    v->integer = (int64_t)count;
    return RFM_EXPR_OK;
}

/* -- times */

static inline rfm_expr_fault rfm__in_range(int64_t value, int64_t low, int64_t high)
{
    return value < low || value > high ? RFM_EXPR_OVERFLOW : RFM_EXPR_OK;
}
/* Neither side is beyond 10,000 years, so that the sums below fit. */
OPERATION(ADD_DURATION)
{
    v->duration_ms += v[1].duration_ms;
    return rfm__in_range(v->duration_ms, -RFM__DURATION_MAX_MS, RFM__DURATION_MAX_MS);
}
OPERATION(SUBTRACT_DURATION)
{
    v->duration_ms -= v[1].duration_ms;
    return rfm__in_range(v->duration_ms, -RFM__DURATION_MAX_MS, RFM__DURATION_MAX_MS);
}
OPERATION(ADD_TO_TIME)
{
    v->time_ms += v[1].duration_ms;
    return rfm__in_range(v->time_ms, RFM__TIME_MIN_MS, RFM_TIME_MAX_MS);
}
OPERATION(ADD_TIME_TO)
{
    v->time_ms = v[0].duration_ms + v[1].time_ms;
    return rfm__in_range(v->time_ms, RFM__TIME_MIN_MS, RFM_TIME_MAX_MS);
}
OPERATION(TAKE_FROM_TIME)
{
    v->time_ms -= v[1].duration_ms;
    return rfm__in_range(v->time_ms, RFM__TIME_MIN_MS, RFM_TIME_MAX_MS);
}
OPERATION(BETWEEN_TIMES)
{
    v->duration_ms = v[0].time_ms - v[1].time_ms;
    return RFM_EXPR_OK;
}
OPERATION(TIME_PART)
{
    v->integer = rfm__part_of(v->time_ms, (rfm__part)call->arg);
    return RFM_EXPR_OK;
}
OPERATION(TIME_PART_IN)
{
    int32_t offset_s;
    if (!rfm__zone_offset(call->frame, v[1].text, v->time_ms, &offset_s))
        return RFM_EXPR_NO_ZONE;
    v->integer = rfm__part_of(v->time_ms + offset_s * RFM_SECOND_MS, (rfm__part)call->arg);
    return RFM_EXPR_OK;
}
OPERATION(DURATION_PART)
{
    static const int64_t units_ms[] = {[RFM__HOURS] = RFM_HOUR_MS,
                                       [RFM__MINUTES] = RFM_MINUTE_MS,
                                       [RFM__SECONDS] = RFM_SECOND_MS,
                                       [RFM__MILLISECONDS] = 1};
    v->integer = v->duration_ms / units_ms[call->arg];
    return RFM_EXPR_OK;
}

/* -- conversions */

OPERATION(SAME)
{
    (void)v;
    return RFM_EXPR_OK;
}
OPERATION(DOUBLE_TO_INT)
{
    double number = v->number;
    if (!(number > -0x1p63 && number < 0x1p63)) /* CEL's range leaves out the least int */
        return RFM_EXPR_OVERFLOW;
    v->integer = (int64_t)number;
    return RFM_EXPR_OK;
}
OPERATION(TEXT_TO_INT)
{
    return rfm__text_to_int(v->text, &v->integer) ? RFM_EXPR_OK : RFM_EXPR_BAD_TEXT;
}
OPERATION(TIME_TO_INT)
{
    v->integer = rfm_div_floor(v->time_ms, RFM_SECOND_MS);
    return RFM_EXPR_OK;
}
OPERATION(INT_TO_DOUBLE)
{
    v->number = (double)v->integer;
    return RFM_EXPR_OK;
}
OPERATION(TEXT_TO_DOUBLE)
{
    return rfm__text_to_double(v->text, &v->number) ? RFM_EXPR_OK : RFM_EXPR_BAD_TEXT;
}
OPERATION(BOOL_TO_TEXT)
{
    v->text = v->truth ? rfm_text("true") : rfm_text("false");
    return RFM_EXPR_OK;
}
static inline rfm_expr_fault rfm__make_text(const rfm__call *call, rfm_expr_value *v, const char *text, size_t len)
{
    uint8_t *at = rfm__make(call->frame, len);
    if (!at)
        return RFM_EXPR_TOO_LARGE;
    memcpy(at, text, len);
    v->text = rfm_bytes_of(at, len);
    return RFM_EXPR_OK;
}
OPERATION(INT_TO_TEXT)
{
    char text[RFM__VALUE_TEXT];
    size_t len = (size_t)snprintf(text, sizeof text, "%lld", (long long)v->integer);
    return rfm__make_text(call, v, text, len);
}
OPERATION(DOUBLE_TO_TEXT)
{
    char text[RFM__VALUE_TEXT];
    return rfm__make_text(call, v, text, rfm__double_to_text(v->number, text));
}
OPERATION(TIME_TO_TEXT)
{
    char text[RFM__VALUE_TEXT];
    return rfm__make_text(call, v, text, rfm__time_to_text(v->time_ms, text));
}
OPERATION(DURATION_TO_TEXT)
{
    char text[RFM__VALUE_TEXT];
    return rfm__make_text(call, v, text, rfm__duration_to_text(v->duration_ms, text));
}
OPERATION(INT_TO_TIME)
{
    int64_t seconds = v->integer;
    if (rfm__in_range(seconds, RFM__TIME_MIN_MS / 1000, RFM_TIME_MAX_MS / 1000))
        return RFM_EXPR_OVERFLOW;
    v->time_ms = seconds * RFM_SECOND_MS;
    return RFM_EXPR_OK;
}
OPERATION(TEXT_TO_TIME)
{
    return rfm__text_to_time(v->text, &v->time_ms) ? RFM_EXPR_OK : RFM_EXPR_BAD_TEXT;
}
OPERATION(TEXT_TO_DURATION)
{
    return rfm__text_to_duration(v->text, &v->duration_ms) ? RFM_EXPR_OK : RFM_EXPR_BAD_TEXT;
}

#undef OPERATION
#undef QUESTION
#undef RFM__ORDER

#endif
