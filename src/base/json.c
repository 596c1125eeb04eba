#include <rfm/base/json.h>

#include <rfm/base/error.h>
#include <rfm/base/time.h>

#include <math.h>
#include <yyjson.h>

enum { POOL_BYTES = 512 }; /* the parser's bookkeeping and the text, 32 bytes at most */

static rfm_bytes shortest(double value, char pool[POOL_BYTES])
{
    yyjson_alc allocator;
    yyjson_mut_val node = {0};
    size_t len = 0;
    bool room = yyjson_alc_pool_init(&allocator, pool, POOL_BYTES);
    unsafe_yyjson_set_real(&node, value);
    char *text = room ? yyjson_mut_val_write_opts(&node, YYJSON_WRITE_NOFLAG, &allocator, &len, NULL) : NULL;
    RFM_ASSERT(text);
    return rfm_bytes_of(text, len);
}

void rfm_write_json_number(rfm_buffer *json, double value)
{
    char pool[POOL_BYTES];
    if (!isfinite(value)) {
        rfm_write_text(json, "null");
        return;
    }
    rfm_bytes text = shortest(value, pool);
    if (text.len > 2 && memcmp(text.at + text.len - 2, ".0", 2) == 0)
        text.len -= 2;
    rfm_write_bytes(json, text);
}

void rfm_write_json_time(rfm_buffer *json, int64_t time_ms)
{
    char text[RFM_TIME_TEXT];
    size_t len = rfm_time_format(time_ms, text);
    rfm_write_u8(json, '"');
    rfm_write_bytes(json, rfm_bytes_of(text, len));
    rfm_write_u8(json, '"');
}
