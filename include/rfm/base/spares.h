/* Objects of one kind kept to be used again, the last one given first. A burst leaves more of them than are needed
 * after it, each grown by what it was used for: of those that nobody needed for a while, half go at a time. */
#ifndef RFM_BASE_SPARES_H
#define RFM_BASE_SPARES_H

#include <stddef.h>

typedef struct rfm_spares {
    void **items;
    size_t count, size;
    size_t unneeded; /* the fewest there were since the last look */
    size_t leaving;  /* the first so many: not yet asked for by `surplus` */
    size_t given;    /* since the last look */
} rfm_spares;        /* zeroed: none */

/* NULL: there is none, make one. */
void *rfm_spares_take(rfm_spares *spares);
void rfm_spares_give(rfm_spares *spares, void *object);
/* One that can go, for the caller to free; NULL: none. To be asked after each `give`, until NULL. */
void *rfm_spares_surplus(rfm_spares *spares);
/* Take all of them before. */
void rfm_spares_release(rfm_spares *spares);

#endif
