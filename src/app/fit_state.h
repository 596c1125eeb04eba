/* The histories of all clients in Redis, read beside a running rfmd, which does not notice: for `rfmd fit
 * --from-state`. */
#ifndef RFM_APP_FIT_STATE_H
#define RFM_APP_FIT_STATE_H

#include "config/config.h"
#include "fit/purchases.h"

typedef struct rfm_fit_state {
    const rfm_config *config;
    void (*progress)(void *owner, uint64_t clients); /* now and then */
    void *owner;
    uint64_t clients, prospects, ahead; /* told: clients read; without a purchase; whose last lies after `until` */
} rfm_fit_state;

/* Up to histories->until. The reader's errors; RFM_E_CORRUPT, RFM_E_VERSION with the client's id. */
int rfm_fit_state_read(rfm_fit_state *state, rfm_histories *histories, rfm_error *error);

#endif
