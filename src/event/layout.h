/* How an event of another format is laid out as a native one: its values are put under the native fields, each with the
 * name that its own format gives it, and the types' own code takes and checks them from there. So one strictness holds
 * for all formats, and messages speak of what the sender wrote. */
#ifndef RFM_EVENT_LAYOUT_H
#define RFM_EVENT_LAYOUT_H

#include "run.h"

void rfm__lay_begin(decode_run *run);
/* Names of its own from now on, what is laid out already stays. */
void rfm__lay_names(decode_run *run);
/* Absent (NULL, null): so is the field, but it has that name now. `name` outlives the run. */
void rfm__lay(decode_run *run, field_id field, yyjson_val *value, const char *name);
void rfm__lay_text(decode_run *run, field_id field, rfm_bytes text, const char *name); /* what no member holds */

void rfm__lay_page(decode_run *run, yyjson_val *value, const char *name); /* an address without query and fragment */
void rfm__ignore(decode_run *run);

/* The members of an object that have these names, each at its name's index; absent or null: NULL. Of a name that comes
 * twice the first counts. */
void rfm__pick(yyjson_val *object, const rfm_bytes *names, size_t count, yyjson_val **at);
#define RFM__NAME(name) {(const uint8_t *)#name, sizeof #name - 1},

/* A number that stands in a string becomes one. */
void rfm__unquote(yyjson_val *value);
/* The value if it is an object or array; NULL: absent, or refused. */
yyjson_val *rfm__object(decode_run *run, yyjson_val *value, const char *name);
yyjson_val *rfm__array(decode_run *run, yyjson_val *value, const char *name);
/* Empty where it is absent or no string. */
rfm_bytes rfm__string(yyjson_val *value);
yyjson_val *rfm__unless_empty(yyjson_val *value); /* NULL for "" */

/* a 0x1F b 0x1F c, in the decoder's memory. */
rfm_bytes rfm__join(decode_run *run, const rfm_bytes *parts, size_t count);

#endif
