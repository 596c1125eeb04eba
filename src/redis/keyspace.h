/* The names of a task's keys: `<prefix>:{<tag>}:<key>`. Only the tag decides on the slot of a Redis Cluster, so that a
 * task's keys are on one node. The tag is `<task>-<suffix>` with the first suffix (0, 1, ... in base 36) that puts it
 * into the middle eighth of the task's share of the 16,384 slots. Tags name stored keys: how they are made must never
 * change. */
#ifndef RFM_REDIS_KEYSPACE_H
#define RFM_REDIS_KEYSPACE_H

#include <rfm/base/bytes.h>
#include <rfm/base/error.h>

enum { RFM_SLOT_COUNT = 16384, RFM_TAG_MAX = 24, RFM_KEY_START_MAX = 192 };

uint32_t rfm__slot_of(rfm_bytes tag); /* CRC-16/XMODEM mod 16,384 */
size_t rfm__tag_format(uint32_t task, uint32_t task_count, char tag[RFM_TAG_MAX]);

typedef struct rfm_keyspace {
    char start[RFM_KEY_START_MAX]; /* "<prefix>:{<tag>}:" */
    size_t start_len;
} rfm_keyspace;

/* RFM_E_MALFORMED, RFM_E_TOO_LARGE. */
int rfm__prefix_check(const char *prefix, rfm_error *error);
void rfm__keyspace_init(rfm_keyspace *space, const char *prefix, uint32_t task, uint32_t task_count);

#endif
