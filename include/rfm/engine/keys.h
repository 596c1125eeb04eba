/* What a task keeps in Redis, by its keys. Here and in the redo they stand without the prefix and the task's tag, which the
 * adapter of Redis puts before them. Whoever reads from outside (`rfmd client`, `rfmd report`) reads these; their values are told
 * where they are made: rfm/client/state_format.h, rfm/client/names.h, rfm/client/population.h, rfm/client/tally.h. */
#ifndef RFM_ENGINE_KEYS_H
#define RFM_ENGINE_KEYS_H

/* Followed by a client's id, a minute of the day, a second since 1970. */
#define RFM_KEY_CLIENT "c:"    /* a packed state */
#define RFM_KEY_MINUTE "ring:" /* a list: the ids of those whose daily look is in it */
#define RFM_KEY_SECOND "due:"  /* a list: the ids of those of whom something is due by then */

/* Hashes; fields are decimal numbers but for those of RFM_KEY_KPI and RFM_KEY_ERASED. */
#define RFM_KEY_NAMES   "names"
#define RFM_KEY_DAYS    "n:day"    /* clients by the day of their last purchase, */
#define RFM_KEY_BUCKETS "n:bucket" /* by monetary bucket, */
#define RFM_KEY_ORDERS  "n:orders" /* by number of orders */
#define RFM_KEY_KPI     "n:kpi"
#define RFM_KEY_DUE     "n:due"  /* entries of the list of each second */
#define RFM_KEY_TASK    "n:task" /* 0: the last minute whose looks are done; 1: the clock */
#define RFM_KEY_ERASED  "erased" /* tombstones */

enum { RFM_POPULATION_KEYS = 3 };
extern const char *const rfm_population_key[RFM_POPULATION_KEYS]; /* days, buckets, orders */

#endif
