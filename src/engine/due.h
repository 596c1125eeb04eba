/* A task's exact buckets: for each second the number of entries in its list `due:<second>`. A moment stands in the
 * bucket of the second that is not before it, so that a bucket whose second has come is due as a whole. Sorted by
 * second; bounded by the seconds of a day, since a moment is listed only when it lies before the client's next daily
 * look. */
#ifndef RFM_ENGINE_DUE_H
#define RFM_ENGINE_DUE_H

#include <stddef.h>
#include <stdint.h>

typedef struct rfm__bucket {
    int64_t second;
    uint64_t entries;
    uint64_t changed_step; /* the last step that adds to or trims its list: read it only when that is stored */
} rfm__bucket;
typedef struct rfm__due {
    rfm__bucket *buckets;
    size_t count, size;
} rfm__due;

static inline int64_t rfm__due_second(int64_t moment_ms)
{
    return (moment_ms + 999) / 1000;
}
void rfm__due_release(rfm__due *due);
static inline void rfm__due_clear(rfm__due *due)
{
    due->count = 0;
}
/* The bucket of a second, made if absent; the pointer lasts until the next call. */
rfm__bucket *rfm__due_bucket(rfm__due *due, int64_t second);
/* NULL: absent. */
rfm__bucket *rfm__due_find(const rfm__due *due, int64_t second);
void rfm__due_remove(rfm__due *due, int64_t second);

#endif
