/* Record headers as one block of bytes, so that a message is three views: (varint name length, name, varint value
 * length + 1 or 0 for null, value)*. Used for dead letters (the original's headers plus rfmd.*), triggers
 * (CloudEvents) and WAL. */
#ifndef RFM_EVENT_HEADERS_H
#define RFM_EVENT_HEADERS_H

#include <rfm/event/decode.h>

void rfm_headers_add(rfm_buffer *headers, const char *name, rfm_bytes value); /* value.at NULL: a null value */
/* Walks a block: *rest starts as the whole block; false at its end or where it is broken. */
bool rfm_headers_next(rfm_bytes *rest, rfm_bytes *name, rfm_bytes *value);
bool rfm_headers_find(rfm_bytes headers, const char *name, rfm_bytes *value);

/* A dead letter's headers: the original's, then rfmd.reason, rfmd.detail, rfmd.topic, rfmd.partition, rfmd.offset. */
void rfm_dead_letter_headers(rfm_buffer *headers, rfm_bytes original, rfm_reason reason, const char *detail,
                             const char *topic, uint32_t partition, int64_t offset);

#endif
