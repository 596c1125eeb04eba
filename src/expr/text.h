/* Values from and to text, as CEL's conversions have it. Times and durations are whole milliseconds. */
#ifndef RFM_EXPR_TEXT_H
#define RFM_EXPR_TEXT_H

#include <rfm/base/time.h>

#define RFM__TIME_MIN_MS     INT64_C(-62135596800000) /* the year 1 */
#define RFM__DURATION_MAX_MS INT64_C(315576000000000) /* 10,000 years, as protobuf has it */
enum { RFM__VALUE_TEXT = 40 };

/* false: not in that form, or out of range. */
bool rfm__text_to_int(rfm_bytes text, int64_t *integer);
bool rfm__text_to_double(rfm_bytes text, double *number); /* also inf and nan; finite text of more than that: false */
bool rfm__text_to_time(rfm_bytes text, int64_t *time_ms);
/* "1h30m", "-1.5s", "90d": days are ours. A part of a millisecond: false. */
bool rfm__text_to_duration(rfm_bytes text, int64_t *duration_ms);
/* "+02:00", "-8:30" in seconds; false: another form, so a name. */
bool rfm__text_to_offset(rfm_bytes text, int32_t *offset_s);

/* The fewest digits that read back the same, with an exponent below 1e-4 and from 1e21. */
size_t rfm__double_to_text(double number, char text[RFM__VALUE_TEXT]);
size_t rfm__time_to_text(int64_t time_ms, char text[RFM__VALUE_TEXT]);         /* "2026-11-22T07:11:05.5Z" */
size_t rfm__duration_to_text(int64_t duration_ms, char text[RFM__VALUE_TEXT]); /* "5400.25s" */

#endif
