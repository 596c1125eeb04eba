/* What a task keeps in Redis, by its keys. Here and in the redo they stand without the prefix and the task's tag, which
 * the adapter of Redis puts before them. Whoever reads from outside (`rfmd client`, `rfmd report`) reads these; their
 * values are told where they are made: rfm/client/state_format.h, rfm/client/names.h, rfm/client/population.h,
 * rfm/client/tally.h. */
#ifndef RFM_ENGINE_KEYS_H
#define RFM_ENGINE_KEYS_H

#include <rfm/client/population.h>

/* Followed by the number of a bundle, a minute of the day, a second since 1970. */
#define RFM_KEY_BUNDLE "b:"    /* a hash: packed states by client */
#define RFM_KEY_MINUTE "ring:" /* a list: the ids of those whose daily look is in it */
#define RFM_KEY_SECOND "due:"  /* a list: the ids of those of whom something is due by then */
/* Followed by a client's id: a packed state, of a client that a release before 0.2 has left and nobody has written
 * since. The next event moves it into its bundle, or the next daily look. */
#define RFM_KEY_LOOSE "c:"

/* A key of its own takes about 90 bytes of Redis beside the state; one shared by a few clients makes that a few. More
 * in one, and Redis searches longer. */
enum { RFM_BUNDLES = 8192, RFM_BUNDLE_KEY_MAX = 8 };

static inline uint32_t rfm_bundle_of(uint64_t client_hash)
{
    return (uint32_t)(client_hash >> 32) % RFM_BUNDLES; /* the whole hash chooses the minute, by another divisor */
}

/* The bundle's key, in `text`. */
rfm_bytes rfm_bundle_key(uint32_t bundle, char text[RFM_BUNDLE_KEY_MAX]);

/* A text: the position of the task's state (rfm_wal_value_format), which every change looks at. */
#define RFM_KEY_WAL "wal"

/* Hashes; fields are decimal numbers but for those of RFM_KEY_KPI and RFM_KEY_ERASED. */
#define RFM_KEY_NAMES   "names"
#define RFM_KEY_DAYS    "n:day"    /* clients by the day of their last purchase, */
#define RFM_KEY_BUCKETS "n:bucket" /* by monetary bucket, */
#define RFM_KEY_ORDERS  "n:orders" /* by number of orders */
#define RFM_KEY_KPI     "n:kpi"
#define RFM_KEY_DUE     "n:due"  /* entries of the list of each second */
#define RFM_KEY_TASK    "n:task" /* rfm_task_field */
#define RFM_KEY_ERASED  "erased" /* tombstones */

typedef enum rfm_task_field {
    RFM_TASK_MINUTE = 0, /* the last one whose looks are done */
    RFM_TASK_CLOCK = 1,
    RFM_TASK_BUNDLED = 2, /* the minute with whose looks the last loose client is gone */
} rfm_task_field;

/* INT64_MIN: no minute is known, there is no client yet. */
static inline bool rfm_may_be_loose(int64_t minute, int64_t bundled_minute)
{
    return minute != INT64_MIN && minute < bundled_minute;
}

extern const char *const rfm_population_key[RFM_COUNTERS];

#endif
