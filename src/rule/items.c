#include "items.h"

#include <math.h>

static const rfm_expr_member members[] = {{"sku", &rfm_expr_string},
                                          {"category", &rfm_expr_string},
                                          {"quantity", &rfm_expr_double},
                                          {"price", &rfm_expr_double},
                                          {NULL, NULL}};
static const rfm_expr_type item_type = {.kind = RFM_EXPR_STRUCT, .members = members};
const rfm_expr_type rfm__items_type = {.kind = RFM_EXPR_LIST, .item = &item_type};

static double number_of(rfm_decimal decimal)
{
    return (double)decimal.digits / pow(10, decimal.scale);
}

/* Base units for a unit of the currency; events of others are refused. */
static double rate_of(const rfm_money_conf *money, rfm_bytes currency)
{
    for (size_t i = 0; i < money->other_count; i++)
        if (rfm_bytes_is(currency, money->other[i].code))
            return number_of(money->other[i].rate);
    return 1;
}

static bool find_member(void *context, const void *at, rfm_bytes key, rfm_expr_value *value)
{
    const rfm_items *items = rfm__items_context(context);
    const rfm_event_item *item = at;
    if (rfm_bytes_is(key, "sku")) {
        value->text = item->sku;
        return item->sku.len > 0;
    }
    if (rfm_bytes_is(key, "category")) {
        value->text = item->category;
        return item->category.len > 0;
    }
    if (rfm_bytes_is(key, "quantity")) {
        value->number = number_of(item->quantity);
        return true;
    }
    if (!item->has_price || !rfm_bytes_is(key, "price"))
        return false;
    value->number = number_of(item->price) * rate_of(items->money, items->currency);
    return true;
}

static bool member_entry(void *context, const void *at, size_t i, rfm_bytes *key, rfm_expr_value *value)
{
    for (const rfm_expr_member *member = members; member->name != NULL; member++) {
        if (!find_member(context, at, rfm_text(member->name), value) || i-- > 0)
            continue;
        *key = rfm_text(member->name);
        return true;
    }
    return false;
}

static void list(rfm_items *items, const rfm_event_item *at, size_t count, rfm_expr_value *list)
{
    static const rfm_expr_class class_ = {find_member, member_entry};
    for (size_t i = 0; i < count; i++) {
        items->values[i].object.class_ = &class_;
        items->values[i].object.at = &at[i];
    }
    list->list.at = items->values;
    list->list.count = count;
}

void rfm__items_of_event(rfm_items *items, const rfm_event *event, rfm_expr_value *value)
{
    items->currency = event->currency;
    list(items, event->items, event->item_count, value);
}

/* -- while a rule waits */

static void write_decimal(rfm_buffer *kept, rfm_decimal decimal)
{
    rfm_write_u8(kept, decimal.scale);
    rfm_write_zigzag(kept, decimal.digits);
}

static rfm_decimal read_decimal(rfm_reader *reader)
{
    rfm_decimal decimal = {.scale = rfm_read_u8(reader)};
    decimal.digits = rfm_read_zigzag(reader);
    reader->bad = reader->bad || decimal.scale > 18;
    return decimal;
}

void rfm__items_keep(const rfm_event *event, rfm_buffer *kept)
{
    rfm_write_sized(kept, event->currency);
    for (size_t i = 0; i < event->item_count; i++) {
        const rfm_event_item *item = &event->items[i];
        rfm_write_sized(kept, item->sku);
        rfm_write_sized(kept, item->category);
        write_decimal(kept, item->quantity);
        rfm_write_u8(kept, item->has_price);
        if (item->has_price)
            write_decimal(kept, item->price);
    }
}

bool rfm__items_of_kept(rfm_items *items, rfm_bytes kept, rfm_expr_value *value)
{
    rfm_reader reader = rfm_reader_of(kept);
    size_t count = 0;
    items->currency = rfm_read_sized(&reader);
    while (!reader.bad && rfm_reader_left(&reader) > 0 && count < RFM_KEPT_ITEMS_MAX) {
        rfm_event_item *item = &items->kept[count++];
        *item = (rfm_event_item){.sku = rfm_read_sized(&reader), .category = RFM_BYTES_NONE};
        item->category = rfm_read_sized(&reader);
        item->quantity = read_decimal(&reader);
        item->has_price = rfm_read_u8(&reader) != 0;
        if (item->has_price)
            item->price = read_decimal(&reader);
    }
    if (reader.bad || rfm_reader_left(&reader) > 0)
        return false;
    list(items, items->kept, count, value);
    return true;
}
