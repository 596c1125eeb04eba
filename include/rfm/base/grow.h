/* Arrays that grow one item at a time, by doubling: the owner keeps the items, how many there are and for how many
 * there is room (NULL, 0 and 0 at first), and frees the items. */
#ifndef RFM_BASE_GROW_H
#define RFM_BASE_GROW_H

#include <stddef.h>

/* `items` with room for one more behind `count`, perhaps elsewhere than before; no memory ends the program. */
#define rfm_grow(items, count, size) \
    ((count) < *(size) ? (void *)(items) : rfm__doubled((items), (size), sizeof *(items), __FILE__, __LINE__))
void *rfm__doubled(void *items, size_t *size, size_t item_bytes, const char *file, int line);

#endif
