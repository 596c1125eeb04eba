#include <rfm/base/spares.h>

#include <rfm/base/error.h>
#include <rfm/base/grow.h>
#include <stdlib.h>

/* Between two looks every one of them has its turn several times, also where many are taken and then many given. */
enum { TURNS = 4, GIVEN_MIN = 64 };

void *rfm_spares_take(rfm_spares *spares)
{
    if (spares->count == 0)
        return NULL;
    if (--spares->count < spares->unneeded)
        spares->unneeded = spares->count;
    return spares->items[spares->count];
}

void rfm_spares_give(rfm_spares *spares, void *object)
{
    spares->items = rfm_grow(spares->items, spares->count, &spares->size);
    spares->items[spares->count++] = object;
    if (++spares->given < GIVEN_MIN + TURNS * spares->count)
        return;
    spares->leaving = (spares->unneeded + 1) / 2;
    spares->unneeded = spares->count - spares->leaving;
    spares->given = 0;
}

/* Those that have lain longest stand first; into their places come some that were used of late. */
void *rfm_spares_surplus(rfm_spares *spares)
{
    if (spares->leaving == 0)
        return NULL;
    RFM_ASSERT(spares->leaving <= spares->count);
    void *gone = spares->items[--spares->leaving];
    spares->items[spares->leaving] = spares->items[--spares->count];
    return gone;
}

void rfm_spares_release(rfm_spares *spares)
{
    RFM_ASSERT(spares->count == 0);
    free(spares->items);
    *spares = (rfm_spares){0};
}
