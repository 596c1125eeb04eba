#include "due.h"

#include <rfm/base/grow.h>
#include <stdlib.h>
#include <string.h>

void rfm__due_release(rfm__due *due)
{
    free(due->buckets);
    *due = (rfm__due){0};
}

static size_t place_of(const rfm__due *due, int64_t second)
{
    size_t low = 0, high = due->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (due->buckets[middle].second < second)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

rfm__bucket *rfm__due_bucket(rfm__due *due, int64_t second)
{
    size_t at = place_of(due, second);
    if (at < due->count && due->buckets[at].second == second)
        return &due->buckets[at];
    due->buckets = rfm_grow(due->buckets, due->count, &due->size);
    memmove(due->buckets + at + 1, due->buckets + at, (due->count - at) * sizeof *due->buckets);
    due->buckets[at] = (rfm__bucket){.second = second};
    due->count++;
    return &due->buckets[at];
}

rfm__bucket *rfm__due_find(const rfm__due *due, int64_t second)
{
    size_t at = place_of(due, second);
    return at < due->count && due->buckets[at].second == second ? &due->buckets[at] : NULL;
}

void rfm__due_remove(rfm__due *due, int64_t second)
{
    size_t at = place_of(due, second);
    if (at == due->count || due->buckets[at].second != second)
        return;
    due->count--;
    memmove(due->buckets + at, due->buckets + at + 1, (due->count - at) * sizeof *due->buckets);
}
