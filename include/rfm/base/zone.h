/* Time zones from the system's TZif files (RFC 9636, version 2+ with its footer rule). A zone answers with the offset
 * and the interval in which it holds, so that a hot path asks once per interval. "UTC" needs no file. */
#ifndef RFM_BASE_ZONE_H
#define RFM_BASE_ZONE_H

#include <rfm/base/error.h>
#include <rfm/base/time.h>

typedef struct rfm_zone rfm_zone;
typedef struct rfm_zone_span {
    int64_t from_s, until_s;
    int32_t offset_s;
} rfm_zone_span; /* [from, until) */

/* `name` is IANA ("Europe/Berlin"); RFM_E_NOT_FOUND, RFM_E_MALFORMED with a message. The caller frees it. */
int rfm_zone_load(const char *name, rfm_zone **zone, rfm_error *error);
int rfm_zone_of_bytes(rfm_bytes tzif, rfm_zone **zone, rfm_error *error);
void rfm_zone_free(rfm_zone *zone);
rfm_zone_span rfm_zone_span_at(const rfm_zone *zone, int64_t time_s); /* zone NULL: UTC */
/* The calendar day of an instant in the zone (NULL: UTC). */
int32_t rfm_zone_day(const rfm_zone *zone, int64_t time_ms);
/* First instant (ms) of a calendar day in the zone. */
int64_t rfm_zone_day_start_ms(const rfm_zone *zone, int32_t day);

#endif
