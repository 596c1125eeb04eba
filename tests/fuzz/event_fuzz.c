/* Any bytes as an event: a refusal explains itself in ASCII, an accepted event keeps every promise of event.h. A first
 * byte S, G, C or A is no part of the value: it says segment, ga4, cloudevents or auto; c and a say the latter two of a
 * record with headers, whose length is the next byte. What auto takes, one of the formats takes by its name, as the
 * same event. */
#include <rfm/base/hash.h>
#include <rfm/base/time.h>
#include <rfm/base/utf8.h>
#include <rfm/event/decode.h>

#include <stdlib.h>

#define CHECK(condition) ((condition) ? (void)0 : abort())

static const rfm_money_conf money = {
    .base = {"EUR", 2, {1, 0}},
    .other = {{"USD", 2, {92, 2}}, {"JPY", 0, {61, 4}}, {"KWD", 3, {300000001, 8}}},
    .other_count = 3,
};

static void check_text(rfm_bytes text, size_t len_min)
{
    CHECK(text.len >= len_min && text.len <= RFM_EVENT_TEXT_MAX);
    CHECK(rfm_utf8_valid(text));
}

static void check_event(const rfm_event *event, int64_t append_ms)
{
    bool is_order = event->type == RFM_EVENT_PURCHASE || event->type == RFM_EVENT_REFUND;
    CHECK(event->type < RFM_EVENT_TYPE_COUNT && event->status < RFM_STATUS_COUNT && event->class_ < RFM_CLASS_COUNT);
    check_text(event->id, 1);
    check_text(event->client_id, 1);
    CHECK(event->client_id.len <= RFM_CLIENT_ID_MAX);
    check_text(event->order_id, is_order);
    check_text(event->channel, event->type == RFM_EVENT_MESSAGE || event->type == RFM_EVENT_CONSENT);
    check_text(event->currency, event->type == RFM_EVENT_PURCHASE);
    check_text(event->cart_id, 0);
    check_text(event->campaign, 0);
    check_text(event->action, 0);
    check_text(event->sku, 0);
    check_text(event->category, 0);
    check_text(event->trigger_id, 0);
    check_text(event->page, 0);
    check_text(event->coupon, 0);
    check_text(event->case_id, 0);
    check_text(event->source, 0);
    check_text(event->reason, 0);
    check_text(event->timezone, 0);
    check_text(event->language, 0);
    CHECK(event->category_count <= RFM_EVENT_ITEMS_MAX && event->trait_count <= RFM_EVENT_TRAITS_MAX);
    for (size_t i = 0; i < event->category_count; i++)
        check_text(event->categories[i], 1);
    for (size_t i = 0; i < event->trait_count; i++) {
        CHECK(rfm_utf8_valid(event->traits[i].name) && event->traits[i].kind <= RFM_VALUE_OTHER);
        CHECK(rfm_utf8_valid(event->traits[i].text));
    }
    CHECK(event->feedback < RFM_FEEDBACK_COUNT);
    CHECK(!event->has_score || (event->score >= 0 && event->score <= 100) || event->feedback >= RFM_FEEDBACK_COMPLAINT);
    CHECK(event->delta <= INT64_C(1000000000000000) && event->delta >= -INT64_C(1000000000000000));
    CHECK(event->time_ms >= RFM_TIME_1990_MS && (append_ms == INT64_MAX || event->time_ms <= append_ms + 600000));
    CHECK(event->id48 >> 48 == 0 && event->order_id48 >> 48 == 0);
    CHECK(event->amount_minor >= 0 && (event->has_amount || event->type != RFM_EVENT_PURCHASE));
}

struct input {
    rfm_reading reading;
    rfm_bytes headers, value;
};

static struct input input_of(const uint8_t *data, size_t size)
{
    static const char letters[] = "SGCAca";
    static const rfm_format formats[] = {RFM_FORMAT_SEGMENT, RFM_FORMAT_GA4,         RFM_FORMAT_CLOUDEVENTS,
                                         RFM_FORMAT_AUTO,    RFM_FORMAT_CLOUDEVENTS, RFM_FORMAT_AUTO};
    struct input input = {.value = rfm_bytes_of(data, size)};
    const char *letter = size > 0 && data[0] ? strchr(letters, data[0]) : NULL;
    if (!letter)
        return input;
    input.reading.format = formats[letter - letters];
    input.reading.amount_field = (rfm_amount_field)(size % RFM_AMOUNT_FIELD_COUNT);
    size_t headers_at = letter - letters >= 4 && size > 1 ? 2 : 1, len = headers_at == 2 ? data[1] : 0;
    len = len < size - headers_at ? len : size - headers_at;
    input.headers = rfm_bytes_of(data + headers_at, len);
    input.value = rfm_bytes_of(data + headers_at + len, size - headers_at - len);
    return input;
}

static uint64_t sum_of(const rfm_event *event)
{
    const rfm_bytes texts[] = {event->id,      event->client_id, event->order_id, event->channel,
                               event->cart_id, event->campaign,  event->sku,      event->category};
    uint64_t sum = event->type;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        sum = sum * 31 + rfm_hash64(texts[i]);
    return ((sum * 31 + (uint64_t)event->time_ms) * 31 + (uint64_t)event->amount_minor) * 31 + event->id48;
}

static bool is_taken_by_name(rfm_decoder *decoder, const struct input *in, int64_t append_ms, uint64_t sum)
{
    static const rfm_format named[] = {RFM_FORMAT_NATIVE, RFM_FORMAT_SEGMENT, RFM_FORMAT_GA4, RFM_FORMAT_CLOUDEVENTS};
    for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
        rfm_reading reading = in->reading;
        rfm_event event;
        reading.format = named[i];
        if (rfm_decode_as(decoder, &reading, in->value, in->headers, append_ms, &event, NULL) == RFM_REASON_NONE &&
            sum_of(&event) == sum)
            return true;
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static rfm_decoder *decoder;
    const int64_t append_ms = size % 2 ? INT64_MAX : INT64_C(1767225600000);
    const struct input in = input_of(data, size);
    rfm_event event, again;
    rfm_fault fault = {.reason = RFM_REASON_NONE};
    if (!decoder)
        decoder = rfm_decoder_new(&money);
    CHECK(decoder);
    rfm_reason reason = rfm_decode_as(decoder, &in.reading, in.value, in.headers, append_ms, &event, &fault);
    CHECK(reason == fault.reason && reason <= RFM_REASON_IGNORED);
    CHECK(reason != RFM_REASON_IGNORED || in.reading.format != RFM_FORMAT_NATIVE);
    if (reason == RFM_REASON_NONE)
        check_event(&event, append_ms);
    else if (reason != RFM_REASON_IGNORED)
        CHECK(fault.detail[0] && memchr(fault.detail, 0, sizeof fault.detail));
    for (const char *at = fault.detail; *at; at++)
        CHECK(*at >= ' ' && *at <= '~');
    CHECK(rfm_decode_as(decoder, &in.reading, in.value, in.headers, append_ms, &again, NULL) == reason);
    CHECK(reason != RFM_REASON_NONE || (again.id48 == event.id48 && rfm_bytes_equal(again.category, event.category)));
    if (reason == RFM_REASON_NONE && in.reading.format == RFM_FORMAT_AUTO)
        CHECK(is_taken_by_name(decoder, &in, append_ms, sum_of(&event)));
    rfm_decoder_reset(decoder);
    return 0;
}
