/* Slots: what can be read is written again in one way only, and says the same. */
#include "rule/sight.h"

#include <rfm/base/error.h>

/* What is kept of an event is read whatever it is; a text lies within it. */
static void read_kept(rfm_bytes kept)
{
    for (uint8_t part = 0; part < 64; part++) {
        rfm_expr_value value = {.text = RFM_BYTES_NONE};
        if (!rfm__environment_kept(kept, part, &value) || (part != 1 && part != 4))
            continue; /* 1 and 4 are texts: order_id, channel */
        RFM_ASSERT(value.text.len <= kept.len);
        RFM_ASSERT(value.text.len == 0 ||
                   (value.text.at > kept.at && value.text.at + value.text.len <= kept.at + kept.len));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t packed[RFM_SLOTS_BYTES_MAX], again[RFM_SLOTS_BYTES_MAX];
    rfm_slots slots, other;
    if (rfm__slots_decode(rfm_bytes_of(data, size), &slots) != 0)
        return 0;
    size_t len = rfm__slots_encode(&slots, packed);
    RFM_ASSERT(len <=
               size + (data[0] < 4 ? 7u + 8u * slots.sent_count : 0u)); /* headers and sends of before version 4 */
    RFM_ASSERT(rfm__slots_decode(rfm_bytes_of(packed, len), &other) == 0);
    RFM_ASSERT(other.holding_count == slots.holding_count && other.sent_count == slots.sent_count);
    RFM_ASSERT(other.pending_count == slots.pending_count && other.recent_count == slots.recent_count);
    RFM_ASSERT(other.exposure_count == slots.exposure_count && other.bought_count == slots.bought_count);
    for (size_t i = 0; i < slots.exposure_count; i++)
        RFM_ASSERT(other.exposure[i].state == slots.exposure[i].state &&
                   other.exposure[i].revenue_minor == slots.exposure[i].revenue_minor);
    for (size_t i = 0; i < slots.bought_count; i++)
        RFM_ASSERT(other.bought[i].left_minor == slots.bought[i].left_minor);
    for (size_t i = 0; i < slots.pending_count; i++)
        read_kept(slots.pending[i].cause.kept);
    for (size_t i = 0; i < slots.pending_count; i++)
        RFM_ASSERT(other.pending[i].deferred_ms == slots.pending[i].deferred_ms &&
                   rfm_bytes_equal(other.pending[i].cause.kept, slots.pending[i].cause.kept));
    RFM_ASSERT(rfm__slots_encode(&other, again) == len && memcmp(packed, again, len) == 0);
    return 0;
}
