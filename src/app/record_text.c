#include "record_text.h"

#include <rfm/event/headers.h>
#include <stdlib.h>

yyjson_val *rfm_record_in(yyjson_val *root)
{
    yyjson_val *data = yyjson_obj_get(root, "data");
    return yyjson_obj_get(root, "specversion") != NULL && yyjson_is_obj(data) ? data : root;
}

/* Without headers of its own it has an envelope. */
static void take_from_envelope(rfm_bytes value, rfm_arena *arena, rfm_bytes *text, rfm_bytes *time)
{
    size_t len;
    yyjson_doc *doc = yyjson_read((const char *)value.at, value.len, YYJSON_READ_NUMBER_AS_RAW);
    RFM_NEED(doc != NULL);
    yyjson_val *record = rfm_record_in(yyjson_doc_get_root(doc)), *at = yyjson_obj_get(record, "time");
    char *written = yyjson_val_write(record, 0, &len);
    RFM_NEED(written != NULL);
    RFM_ASSERT(yyjson_is_str(at));
    *text = rfm_arena_copy(arena, rfm_bytes_of(written, len));
    *time = rfm_arena_copy(arena, rfm_bytes_of(yyjson_get_str(at), yyjson_get_len(at)));
    free(written);
    yyjson_doc_free(doc);
}

void rfm_record_text(const rfm_message *message, rfm_arena *arena, rfm_bytes *text, rfm_bytes *time)
{
    if (!rfm_headers_find(message->headers, "ce_time", time)) {
        take_from_envelope(message->value, arena, text, time);
        return;
    }
    *text = rfm_arena_copy(arena, message->value);
    *time = rfm_arena_copy(arena, *time);
}
