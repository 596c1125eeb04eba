/* A double as JSON text. */
#ifndef RFM_EVENT_NUMBER_H
#define RFM_EVENT_NUMBER_H

#include <rfm/base/bytes.h>

/* The shortest text that reads back as the same double; a whole one without a point; null if not finite. */
void rfm_write_json_number(rfm_buffer *json, double value);

#endif
