/* UTF-8 as RFC 3629: no overlong forms, no surrogates. */
#ifndef RFM_BASE_UTF8_H
#define RFM_BASE_UTF8_H
#include <rfm/base/bytes.h>
bool rfm_utf8_valid(rfm_bytes bytes);
#define RFM_UTF8_MARK "\xef\xbb\xbf"       /* U+FEFF, the byte order mark with which a file may begin */
size_t rfm_utf8_mark_len(rfm_bytes bytes); /* of the mark that they begin with; 0: they have none */
/* Appends a JSON string with quotes; control characters, quotes and backslashes escaped; invalid UTF-8 as U+FFFD. */
void rfm_write_json_string(rfm_buffer *buffer, rfm_bytes text);
#endif
