/* What the tests of the formats share: one decoder, records written with ' for ", and what they must give. */
#ifndef RFM_TESTS_EVENT_FORMAT_H
#define RFM_TESTS_EVENT_FORMAT_H

#include <rfm/event/headers.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define MS_2026 INT64_C(1767225600000) /* 2026-01-01T00:00:00Z */

static const rfm_money_conf money = {
    .base = {"EUR", 2, {1, 0}},
    .other = {{"USD", 2, {92, 2}}, {"JPY", 0, {61, 4}}},
    .other_count = 2,
};

static rfm_decoder *decoder;
static rfm_event event;
static rfm_fault fault;
static rfm_reading reading;
static rfm_buffer headers;

static inline int set_up(void **state)
{
    (void)state;
    decoder = rfm_decoder_new(&money);
    rfm_buffer_init(&headers, 1 << 20);
    return decoder ? 0 : -1;
}

static inline int tear_down(void **state)
{
    (void)state;
    rfm_decoder_free(decoder);
    rfm_buffer_release(&headers);
    return 0;
}

static inline rfm_reason decode_at(const char *json, int64_t append_ms)
{
    size_t len = strlen(json);
    char *value = malloc(len + 1); /* on its own, so that a sanitizer sees a read past the end */
    for (size_t i = 0; i < len; i++)
        value[i] = json[i] == '\'' ? '"' : json[i];
    memset(&event, 0xa5, sizeof event);
    fault = (rfm_fault){0};
    rfm_reason reason = rfm_decode_as(decoder, &reading, rfm_bytes_of(value, len), rfm_buffer_view(&headers), append_ms,
                                      &event, &fault);
    assert_int_equal(fault.reason, reason);
    free(value);
    return reason;
}

static inline rfm_reason decode(const char *json)
{
    return decode_at(json, INT64_MAX);
}

static inline void decodes(const char *json)
{
    rfm_reason reason = decode(json);
    if (reason == RFM_REASON_IGNORED)
        fail_msg("%s: ignored", json);
    if (reason != RFM_REASON_NONE)
        fail_msg("%s: %s (%s)", json, rfm_reason_name(reason), fault.detail);
}

static inline void is_text(rfm_bytes bytes, const char *text)
{
    if (!rfm_bytes_is(bytes, text))
        fail_msg("'%.*s', expected '%s'", (int)bytes.len, (const char *)bytes.at, text);
}

struct wrong {
    rfm_reason reason;
    const char *json, *detail; /* what the message must have in it */
};

static inline void are_wrong(const struct wrong *wrong, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        rfm_reason reason = decode(wrong[i].json);
        if (reason != wrong[i].reason || !strstr(fault.detail, wrong[i].detail))
            fail_msg("%s: %s (%s)", wrong[i].json, rfm_reason_name(reason), fault.detail);
    }
}

#endif
