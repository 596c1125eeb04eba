/* What a client likes: categories by orders, and where the client came from. */
#ifndef RFM_CLIENT_FAVOURITE_H
#define RFM_CLIENT_FAVOURITE_H

#include <rfm/client/client.h>

/* One order's categories, each once. */
void rfm__apply_categories(rfm_client *client, const rfm_event *event, rfm_names *names);
/* The event's campaign, if it is the first known one. */
void rfm__apply_source(rfm_client *client, const rfm_event *event, rfm_names *names);

#endif
