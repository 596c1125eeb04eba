#include "ops.h"
#include "text.h"

#include <math.h>

#include <rfm/base/json.h>
#include <rfm/base/utf8.h>

unsigned rfm__order_int_double(int64_t integer, double number)
{
    if (number >= 0x1p63)
        return RFM__LESS;
    if (number < -0x1p63)
        return RFM__GREATER;
    int64_t whole = (int64_t)number; /* towards zero; what is cut off decides among equals */
    if (integer != whole)
        return integer < whole ? RFM__LESS : RFM__GREATER;
    double rest = number - (double)whole;
    return rest > 0 ? RFM__LESS : rest < 0 ? RFM__GREATER : RFM__SAME;
}

static bool equal_numbers(const rfm_expr_type *a_type, const rfm_expr_value *a, const rfm_expr_value *b)
{
    int64_t integer = a_type->kind == RFM_EXPR_INT ? a->integer : b->integer;
    double number = a_type->kind == RFM_EXPR_INT ? b->number : a->number;
    return !isnan(number) && rfm__order_int_double(integer, number) == RFM__SAME;
}

static bool equal_lists(const rfm_expr_type *a_type, const rfm_expr_value *a, const rfm_expr_type *b_type,
                        const rfm_expr_value *b)
{
    if (a->list.count != b->list.count)
        return false;
    for (size_t i = 0; i < a->list.count; i++) {
        if (!rfm__equal(a_type->item, &a->list.at[i], b_type->item, &b->list.at[i]))
            return false;
    }
    return true;
}

bool rfm__equal(const rfm_expr_type *a_type, const rfm_expr_value *a, const rfm_expr_type *b_type,
                const rfm_expr_value *b)
{
    if (a_type->kind != b_type->kind)
        return a_type->kind != RFM_EXPR_ANY && b_type->kind != RFM_EXPR_ANY && equal_numbers(a_type, a, b);
    switch (a_type->kind) {
    case RFM_EXPR_ANY:
    case RFM_EXPR_NULL: return true;
    case RFM_EXPR_BOOL: return a->truth == b->truth;
    case RFM_EXPR_DOUBLE: return a->number == b->number;
    case RFM_EXPR_STRING: return rfm_bytes_equal(a->text, b->text);
    case RFM_EXPR_LIST: return equal_lists(a_type, a, b_type, b);
    default: return a->integer == b->integer; /* int, timestamp, duration */
    }
}

int64_t rfm__part_of(int64_t local_ms, rfm__part part)
{
    int32_t day = (int32_t)rfm_div_floor(local_ms, RFM_DAY_MS);
    int64_t of_day_ms = local_ms - day * RFM_DAY_MS;
    int year, month, day_of_month;
    rfm_civil_of_day(day, &year, &month, &day_of_month);
    switch (part) {
    case RFM__YEAR: return year;
    case RFM__MONTH: return month - 1;
    case RFM__DAY_OF_YEAR: return day - rfm_day_of_civil(year, 1, 1);
    case RFM__DAY_OF_MONTH: return day_of_month - 1;
    case RFM__DATE: return day_of_month;
    case RFM__DAY_OF_WEEK: return (day % 7 + 7 + 4) % 7; /* 1970 began on a Thursday */
    case RFM__HOURS: return of_day_ms / RFM_HOUR_MS;
    case RFM__MINUTES: return of_day_ms / RFM_MINUTE_MS % 60;
    case RFM__SECONDS: return of_day_ms / RFM_SECOND_MS % 60;
    default: return of_day_ms % RFM_SECOND_MS;
    }
}

bool rfm__zone_offset(rfm_expr_frame *frame, rfm_bytes zone, int64_t time_ms, int32_t *offset_s)
{
    if (rfm_bytes_is(zone, "UTC"))
        return *offset_s = 0, true;
    if (rfm__text_to_offset(zone, offset_s))
        return true;
    const rfm_zone *found = frame->host.zone ? frame->host.zone(frame->context, zone) : NULL;
    if (found)
        *offset_s = rfm_zone_span_at(found, rfm_div_floor(time_ms, RFM_SECOND_MS)).offset_s;
    return found != NULL;
}

void *rfm__make(rfm_expr_frame *frame, size_t size)
{
    enum { ALIGNMENT = 16 };
    size_t at = (frame->made_len + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (at > sizeof frame->made || size > sizeof frame->made - at)
        return NULL;
    frame->made_len = at + size;
    return frame->made + at;
}

static void write_list(rfm_buffer *json, const rfm_expr_type *type, const rfm_expr_value *value, void *context)
{
    rfm_write_u8(json, '[');
    for (size_t i = 0; i < value->list.count; i++) {
        rfm_write_text(json, i ? "," : "");
        rfm_expr_write_json(json, type->item, &value->list.at[i], context);
    }
    rfm_write_u8(json, ']');
}

static const rfm_expr_type *entry_type(const rfm_expr_type *type, rfm_bytes key)
{
    if (type->kind == RFM_EXPR_MAP)
        return type->item;
    const rfm_expr_member *member = type->members;
    while (member->name && !rfm_bytes_is(key, member->name))
        member++;
    return member->type;
}

static void write_object(rfm_buffer *json, const rfm_expr_type *type, const rfm_expr_value *value, void *context)
{
    rfm_bytes key;
    rfm_expr_value entry;
    rfm_write_u8(json, '{');
    for (size_t i = 0; value->object.class_->entry(context, value->object.at, i, &key, &entry); i++) {
        const rfm_expr_type *of = entry_type(type, key);
        RFM_ASSERT(of && "the host's class has a member that its type does not name");
        rfm_write_text(json, i ? "," : "");
        rfm_write_json_string(json, key);
        rfm_write_u8(json, ':');
        rfm_expr_write_json(json, of, &entry, context);
    }
    rfm_write_u8(json, '}');
}

void rfm_expr_write_json(rfm_buffer *json, const rfm_expr_type *type, const rfm_expr_value *value, void *context)
{
    char text[RFM__VALUE_TEXT];
    switch (type->kind) {
    case RFM_EXPR_ANY:
    case RFM_EXPR_NULL: rfm_write_text(json, "null"); break;
    case RFM_EXPR_BOOL: rfm_write_text(json, value->truth ? "true" : "false"); break;
    case RFM_EXPR_INT: rfm_write_format(json, "%lld", (long long)value->integer); break;
    case RFM_EXPR_DOUBLE: rfm_write_json_number(json, value->number); break;
    case RFM_EXPR_STRING: rfm_write_json_string(json, value->text); break;
    case RFM_EXPR_TIMESTAMP: rfm_write_json_time(json, value->time_ms); break;
    case RFM_EXPR_DURATION:
        rfm__duration_to_text(value->duration_ms, text);
        rfm_write_json_string(json, rfm_text(text));
        break;
    case RFM_EXPR_LIST: write_list(json, type, value, context); break;
    case RFM_EXPR_MAP:
    case RFM_EXPR_STRUCT: write_object(json, type, value, context); break;
    }
}
