/* A trigger or an audit record as its message has it, in either mode of CloudEvents. */
#ifndef RFM_APP_RECORD_TEXT_H
#define RFM_APP_RECORD_TEXT_H

#include <rfm/base/arena.h>
#include <rfm/engine/ports.h>
#include <yyjson.h>

/* The record within its value: of the structured mode the envelope's data. */
yyjson_val *rfm_record_in(yyjson_val *root);
/* The record's JSON without an envelope, and its `time` as written; in the arena. What rfmd itself has written. */
void rfm_record_text(const rfm_message *message, rfm_arena *arena, rfm_bytes *text, rfm_bytes *time);

#endif
