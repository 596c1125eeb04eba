/* All time zones of the system's database, read once: what a client's zone may be. Read-only after that, shared by
 * threads. Without a database there is only UTC. */
#ifndef RFM_BASE_ZONES_H
#define RFM_BASE_ZONES_H

#include <rfm/base/zone.h>

typedef struct rfm_zones rfm_zones;
/* From $TZDIR and /usr/share/zoneinfo, where they exist. RFM_E_IO: one of them cannot be read, as when no descriptor is
 * left; clients would not have the zones that they have elsewhere. */
int rfm_zones_load(rfm_zones **zones, rfm_error *error);
void rfm_zones_free(rfm_zones *zones);
size_t rfm_zones_count(const rfm_zones *zones);
/* By the exact IANA name; NULL: not in the database. `zones` NULL: an empty one. */
const rfm_zone *rfm_zones_find(const rfm_zones *zones, rfm_bytes name);
/* True also of "UTC" without a database. */
bool rfm_zones_has(const rfm_zones *zones, rfm_bytes name);

#endif
