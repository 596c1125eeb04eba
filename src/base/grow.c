#include <rfm/base/error.h>
#include <rfm/base/grow.h>

#include <stdlib.h>

void *rfm__doubled(void *items, size_t *size, size_t item_bytes, const char *file, int line)
{
    *size = *size ? *size * 2 : 2;
    void *doubled = realloc(items, *size * item_bytes);
    if (doubled == NULL)
        rfm_out_of_memory(file, line);
    return doubled;
}
