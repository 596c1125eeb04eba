#include <rfm/base/pages.h>

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

static size_t round_up(size_t size, size_t unit)
{
    return (size + unit - 1) / unit * unit;
}

void *rfm_pages_alloc(size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    if (size < RFM_HUGE_PAGE_BYTES)
        return aligned_alloc(64, round_up(size ? size : 1, 64));
    void *at = aligned_alloc(RFM_HUGE_PAGE_BYTES, round_up(size, RFM_HUGE_PAGE_BYTES));
    if (at) /* only a wish: a kernel without huge pages is slower */
        madvise(at, size / RFM_HUGE_PAGE_BYTES * RFM_HUGE_PAGE_BYTES, MADV_HUGEPAGE);
    return at;
}
