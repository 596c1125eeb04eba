#include "shop_text.h"

#include <rfm/base/time.h>

static void write_number(rfm_buffer *text, uint64_t number, size_t digits_min)
{
    uint8_t digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (uint8_t)('0' + number % 10);
        number /= 10;
    } while (number > 0 || sizeof digits - at < digits_min);
    rfm_write_bytes(text, rfm_bytes_of(digits + at, sizeof digits - at));
}

static void write_money(rfm_buffer *text, int64_t amount_minor)
{
    write_number(text, (uint64_t)amount_minor / 100, 1);
    rfm_write_u8(text, '.');
    write_number(text, (uint64_t)amount_minor % 100, 2);
}

rfm_bytes rfm__shop_client_id(uint32_t client, uint8_t at[RFM__SHOP_CLIENT_MAX])
{
    rfm_buffer text = rfm_buffer_over(at, RFM__SHOP_CLIENT_MAX);
    rfm_write_u8(&text, 'c');
    write_number(&text, client, 7);
    return rfm_buffer_view(&text);
}

#define WRITE(text, literal) rfm_write_bytes(text, rfm_bytes_of(literal, sizeof literal - 1))

static void begin(rfm_buffer *text, const rfm__head *head)
{
    uint8_t id[RFM__SHOP_CLIENT_MAX];
    char time[RFM_TIME_TEXT];
    rfm_buffer_clear(text);
    WRITE(text, "{\"type\":\"");
    rfm_write_text(text, rfm_event_type_name(head->type));
    WRITE(text, "\",\"id\":\"");
    rfm_write_bytes(text, rfm_bytes_of(head->tag, RFM__SHOP_TAG_LEN));
    rfm_write_u8(text, '-');
    write_number(text, head->number, 1);
    WRITE(text, "\",\"client_id\":\"");
    rfm_write_bytes(text, rfm__shop_client_id(head->client, id));
    WRITE(text, "\",\"time\":\"");
    rfm_write_bytes(text, rfm_bytes_of(time, rfm_time_format(head->time_ms, time)));
    rfm_write_u8(text, '"');
}

static void end(rfm_buffer *text)
{
    rfm_write_u8(text, '}');
}

static void write_field(rfm_buffer *text, const char *name, const char *value)
{
    if (value == NULL)
        return;
    WRITE(text, ",\"");
    rfm_write_text(text, name);
    WRITE(text, "\":\"");
    rfm_write_text(text, value);
    rfm_write_u8(text, '"');
}

/* "<tag>-<client>-<order>", for orders and carts alike. */
static void write_order(rfm_buffer *text, const rfm__head *head, uint32_t order)
{
    rfm_write_bytes(text, rfm_bytes_of(head->tag, RFM__SHOP_TAG_LEN));
    rfm_write_u8(text, '-');
    write_number(text, head->client, 1);
    rfm_write_u8(text, '-');
    write_number(text, order, 1);
}

static void write_product(rfm_buffer *text, const rfm_item *item)
{
    WRITE(text, "\"sku\":\"");
    rfm_write_text(text, rfm_category_name(item->category));
    rfm_write_u8(text, '-');
    write_number(text, item->product, 3);
    rfm_write_u8(text, "abcde"[item->grade]);
    WRITE(text, "\",\"category\":\"");
    rfm_write_text(text, rfm_category_name(item->category));
    rfm_write_u8(text, '"');
}

void rfm__shop_write_purchase(rfm_buffer *text, const rfm__head *head, uint32_t order, const rfm_basket *basket,
                              const char *channel, const char *campaign)
{
    begin(text, head);
    WRITE(text, ",\"order_id\":\"");
    write_order(text, head, order);
    WRITE(text, "\",\"amount\":\"");
    write_money(text, basket->amount_minor);
    WRITE(text, "\",\"currency\":\"EUR\"");
    write_field(text, "channel", channel);
    write_field(text, "campaign", campaign);
    if (basket->coupon)
        WRITE(text, ",\"coupon\":\"TEN\"");
    WRITE(text, ",\"cart_id\":\"");
    write_order(text, head, order);
    WRITE(text, "\",\"items\":[");
    for (uint32_t i = 0; i < basket->count; i++) {
        if (i > 0)
            rfm_write_u8(text, ',');
        rfm_write_u8(text, '{');
        write_product(text, &basket->item[i]);
        WRITE(text, ",\"quantity\":");
        write_number(text, basket->item[i].quantity, 1);
        WRITE(text, ",\"price\":\"");
        write_money(text, basket->item[i].price_minor);
        WRITE(text, "\"}");
    }
    rfm_write_u8(text, ']');
    end(text);
}

void rfm__shop_write_refund(rfm_buffer *text, const rfm__head *head, uint32_t order, int64_t amount_minor)
{
    begin(text, head);
    WRITE(text, ",\"order_id\":\"");
    write_order(text, head, order);
    rfm_write_u8(text, '"');
    if (amount_minor >= 0) {
        WRITE(text, ",\"amount\":\"");
        write_money(text, amount_minor);
        WRITE(text, "\",\"currency\":\"EUR\"");
    }
    end(text);
}

void rfm__shop_write_visit(rfm_buffer *text, const rfm__head *head, const rfm__visit *visit)
{
    begin(text, head);
    write_field(text, "channel", visit->channel);
    write_field(text, "action", visit->action);
    if (visit->item != NULL) {
        rfm_write_u8(text, ',');
        write_product(text, visit->item);
    }
    if (visit->cart) {
        WRITE(text, ",\"cart_id\":\"");
        write_order(text, head, visit->order);
        rfm_write_u8(text, '"');
    }
    write_field(text, "campaign", visit->campaign);
    end(text);
}

void rfm__shop_write_message(rfm_buffer *text, const rfm__head *head, const char *status, const char *channel,
                             uint32_t campaign, bool permanent)
{
    begin(text, head);
    write_field(text, "status", status);
    write_field(text, "channel", channel);
    WRITE(text, ",\"campaign\":\"news-");
    write_number(text, campaign, 1);
    WRITE(text, "\",\"class\":\"marketing\"");
    if (!permanent)
        WRITE(text, ",\"permanent\":false");
    end(text);
}

void rfm__shop_write_consent(rfm_buffer *text, const rfm__head *head, const char *channel, bool granted)
{
    begin(text, head);
    write_field(text, "channel", channel);
    rfm_write_text(text, granted ? ",\"granted\":true" : ",\"granted\":false");
    WRITE(text, ",\"class\":\"marketing\",\"source\":\"sign-up\"");
    end(text);
}

static void write_int(rfm_buffer *text, const char *name, uint64_t number)
{
    WRITE(text, ",\"");
    rfm_write_text(text, name);
    WRITE(text, "\":");
    write_number(text, number, 1);
}

void rfm__shop_write_profile(rfm_buffer *text, const rfm__head *head, rfm_chance *chance)
{
    static const char *const zones[] = {"Europe/Berlin", "Europe/Berlin", "Europe/Berlin", "Europe/Vienna",
                                        "Europe/Zurich", "Europe/Paris",  "Europe/London", "America/New_York"};
    static const char *const languages[] = {"de", "de", "de", "de", "de", "fr", "en", "en"};
    uint32_t home = rfm_chance_below(chance, sizeof zones / sizeof *zones);
    begin(text, head);
    WRITE(text, ",\"traits\":{\"birth_date\":\"");
    write_number(text, 1945 + rfm_chance_below(chance, 60), 4);
    rfm_write_u8(text, '-');
    write_number(text, 1 + rfm_chance_below(chance, 12), 2);
    rfm_write_u8(text, '-');
    write_number(text, 1 + rfm_chance_below(chance, 28), 2);
    WRITE(text, "\"}");
    write_field(text, "timezone", zones[home]);
    write_field(text, "language", languages[home]);
    end(text);
}

void rfm__shop_write_cost(rfm_buffer *text, const rfm__head *head, rfm_chance *chance)
{
    static const char *const campaigns[] = {"search", "search", "spring", "friends"};
    begin(text, head);
    WRITE(text, ",\"amount\":\"");
    write_money(text, 150 + rfm_chance_below(chance, 1500));
    WRITE(text, "\",\"currency\":\"EUR\"");
    write_field(text, "channel", "web");
    write_field(text, "campaign", campaigns[rfm_chance_below(chance, sizeof campaigns / sizeof *campaigns)]);
    end(text);
}

/* Most are content; 0 to 10 or 1 to 5. */
void rfm__shop_write_feedback(rfm_buffer *text, const rfm__head *head, uint32_t order, rfm_feedback_kind kind,
                              rfm_chance *chance)
{
    begin(text, head);
    write_field(text, "kind", rfm_feedback_kind_name(kind));
    uint32_t least = rfm_chance_below(chance, 11), other = rfm_chance_below(chance, 11);
    uint32_t score = least > other ? least : other;
    if (kind == RFM_FEEDBACK_NPS)
        write_int(text, "score", score);
    else if (kind == RFM_FEEDBACK_CSAT || kind == RFM_FEEDBACK_REVIEW)
        write_int(text, "score", 1 + score * 4 / 10);
    if (kind == RFM_FEEDBACK_COMPLAINT || kind == RFM_FEEDBACK_RESOLVED) {
        WRITE(text, ",\"case_id\":\"");
        write_order(text, head, order);
        rfm_write_u8(text, '"');
    }
    end(text);
}

void rfm__shop_write_points(rfm_buffer *text, const rfm__head *head, int64_t delta)
{
    begin(text, head);
    write_int(text, "delta", (uint64_t)delta);
    write_field(text, "reason", "order");
    end(text);
}

void rfm__shop_write_erase(rfm_buffer *text, const rfm__head *head)
{
    begin(text, head);
    end(text);
}
