/* The demo's folder for a while: the shipped configuration, a secret made up for it, and demo.yaml, which is the
 * shipped rfmd.yaml with what a demo must have otherwise. Removed with everything in it. */
#ifndef RFM_APP_DEMO_PLACE_H
#define RFM_APP_DEMO_PLACE_H

#include "config/config.h"

typedef struct rfm_demo_place {
    char folder[64], config_path[96];
    char socket_path[96]; /* of its Redis */
} rfm_demo_place;

int rfm_demo_place_make(rfm_demo_place *place, rfm_error *error); /* RFM_E_IO */
/* Writes demo.yaml. http_port 0: any, not to be used. */
int rfm_demo_place_configure(const rfm_demo_place *place, const char *brokers, uint16_t http_port, rfm_error *error);
/* Loads it; each call gives a configuration of its own. */
int rfm_demo_place_load(const rfm_demo_place *place, rfm_config **config, rfm_error *error);
void rfm_demo_place_remove(const rfm_demo_place *place);

#endif
