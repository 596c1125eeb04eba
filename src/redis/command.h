/* Requests in Redis' protocol, written straight into the bytes that are sent. */
#ifndef RFM_REDIS_COMMAND_H
#define RFM_REDIS_COMMAND_H

#include "keyspace.h"

#include <rfm/engine/redo.h>

void rfm__command_begin(rfm_buffer *out, size_t argument_count); /* the name counts; so many arguments must follow */
void rfm__command_bytes(rfm_buffer *out, rfm_bytes argument);
void rfm__command_text(rfm_buffer *out, const char *argument);
void rfm__command_number(rfm_buffer *out, int64_t argument);
void rfm__command_key(rfm_buffer *out, const rfm_keyspace *space, rfm_bytes key);
/* A whole command of plain words, at most 64 bytes each: "CONFIG GET maxmemory-policy". */
void rfm__command_words(rfm_buffer *out, const char *words);

/* The operations of a redo record's parts, in their order; neighbours of one kind (and, but for SET and DEL, one key)
 * become one command. *command_count: how many. RFM_E_CORRUPT, RFM_E_VERSION: then nothing was written. */
int rfm__command_redo(rfm_buffer *out, const rfm_keyspace *space, const rfm_bytes *parts, size_t part_count,
                      size_t *command_count);

#endif
