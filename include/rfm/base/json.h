/* Values as JSON writes them; strings are in utf8.h. */
#ifndef RFM_BASE_JSON_H
#define RFM_BASE_JSON_H

#include <rfm/base/bytes.h>

/* The shortest text that reads back as the same double; a whole one without a point; null if not finite. */
void rfm_write_json_number(rfm_buffer *json, double value);
void rfm_write_json_time(rfm_buffer *json, int64_t time_ms); /* a string, RFC 3339 UTC with milliseconds */

#endif
