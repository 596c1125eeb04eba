/* What has become of the demo's clients, read from Redis as anybody else would. */
#ifndef RFM_APP_DEMO_SUMMARY_H
#define RFM_APP_DEMO_SUMMARY_H

#include "config/config.h"

/* Prints how many clients are in each segment and lifecycle, and the state of `client_id` ("": of the one with most
 * orders). */
int rfm_demo_summary_clients(const rfm_config *config, uint32_t partition_count, const char *client_id,
                             rfm_error *error);

#endif
