#include <rfm/base/json.h>
#include <rfm/base/time.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

void rfm_write_json_number(rfm_buffer *json, double value)
{
    if (!isfinite(value)) {
        rfm_write_text(json, "null");
        return;
    }
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    rfm_write_text(json, text);
}

void rfm_write_json_time(rfm_buffer *json, int64_t time_ms)
{
    char text[RFM_TIME_TEXT];
    size_t len = rfm_time_format(time_ms, text);
    rfm_write_u8(json, '"');
    rfm_write_bytes(json, rfm_bytes_of(text, len));
    rfm_write_u8(json, '"');
}
