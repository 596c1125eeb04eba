/* Memory that is met in no order, such as tables: from 2 MiB on it asks for huge pages, since otherwise each meeting
 * also misses the processor's list of pages. Given back by free(). */
#ifndef RFM_BASE_PAGES_H
#define RFM_BASE_PAGES_H

#include <stddef.h>

enum { RFM_HUGE_PAGE_BYTES = 2 * 1024 * 1024 };

void *rfm_pages_alloc(size_t size); /* aligned to 64 bytes at least; not zeroed; NULL: no memory */

#endif
