/* What decoding a purchase costs, on an input of native events and on one whose formats are told apart, beside what the
 * JSON parser alone takes for the same bytes (the floor). */
#include <rfm/base/time.h>
#include <rfm/event/decode.h>

#include <stdio.h>
#include <stdlib.h>
#include <yyjson.h>

enum { EVENTS = 20000, ROUNDS = 40, VALUE_BYTES = 400 };

static const char purchase[] =
    "{\"type\":\"purchase\",\"id\":\"evt-%08d\",\"client_id\":\"client-%07d\",\"time\":\"2026-03-%02dT10:%02d:05.123Z\","
    "\"order_id\":\"order-%08d\",\"amount\":\"%d.%02d\",\"currency\":\"EUR\",\"channel\":\"web\",\"items\":["
    "{\"sku\":\"SKU-%04d\",\"category\":\"shoes\",\"quantity\":1,\"price\":\"%d.90\"},"
    "{\"sku\":\"SKU-%04d\",\"category\":\"socks\",\"quantity\":2,\"price\":\"9.95\"}]}";

static rfm_bytes values[EVENTS];

static size_t make_values(void)
{
    char *text = malloc((size_t)EVENTS * VALUE_BYTES);
    size_t total = 0;
    if (!text)
        exit(3);
    for (int i = 0; i < EVENTS; i++) {
        char *at = text + (size_t)i * VALUE_BYTES;
        int len = snprintf(at, VALUE_BYTES, purchase, i, i * 7919 % 1000000, i % 28 + 1, i % 60, i, i % 900, i % 100,
                           i % 10000, i % 200, i * 31 % 10000);
        values[i] = rfm_bytes_of(at, (size_t)len);
        total += (size_t)len;
    }
    return total / EVENTS;
}

static double decode_ns(rfm_decoder *decoder, rfm_format format, int64_t *check)
{
    const rfm_reading reading = {.format = format};
    double best = 1e9;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t start_ns = rfm_clock_steady_ns();
        rfm_decoder_reset(decoder);
        for (int i = 0; i < EVENTS; i++) {
            rfm_event event;
            if (rfm_decode_as(decoder, &reading, values[i], RFM_BYTES_NONE, INT64_MAX, &event, NULL) != RFM_REASON_NONE)
                exit(1);
            *check += event.amount_minor + (int64_t)event.category.len;
        }
        double ns = (double)(rfm_clock_steady_ns() - start_ns) / EVENTS;
        best = ns < best ? ns : best;
    }
    return best;
}

static double parse_ns(void)
{
    static char nodes[64 * 1024], copy[VALUE_BYTES + YYJSON_PADDING_SIZE];
    double best = 1e9;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t start_ns = rfm_clock_steady_ns();
        for (int i = 0; i < EVENTS; i++) {
            yyjson_alc allocator;
            yyjson_alc_pool_init(&allocator, nodes, sizeof nodes);
            memcpy(copy, values[i].at, values[i].len);
            memset(copy + values[i].len, 0, YYJSON_PADDING_SIZE);
            if (!yyjson_read_opts(copy, values[i].len, YYJSON_READ_INSITU | YYJSON_READ_NUMBER_AS_RAW, &allocator,
                                  NULL))
                exit(1);
        }
        double ns = (double)(rfm_clock_steady_ns() - start_ns) / EVENTS;
        best = ns < best ? ns : best;
    }
    return best;
}

int main(void)
{
    rfm_money_conf money = {.base = {"EUR", 2, {1, 0}}};
    rfm_decoder *decoder = rfm_decoder_new(&money);
    int64_t check = 0;
    size_t bytes = make_values();
    if (!decoder)
        return 3;
    double floor = parse_ns(), native = decode_ns(decoder, RFM_FORMAT_NATIVE, &check),
           any = decode_ns(decoder, RFM_FORMAT_AUTO, &check);
    printf("purchase of %zu bytes, two items, best of %d rounds of %d: parser alone %.0f ns, decoded %.0f ns, "
           "format told %.0f ns (%lld)\n",
           bytes, ROUNDS, EVENTS, floor, native, any, (long long)check);
    rfm_decoder_free(decoder);
    return 0;
}
