/* Open complaints: complaints less resolutions. Those that name a case are matched by it; what is left of resolutions
 * takes complaints without a case. */
#ifndef RFM_CLIENT_COMPLAINT_H
#define RFM_CLIENT_COMPLAINT_H

#include <rfm/client/client.h>

void rfm__apply_complaint(rfm_client *client, const rfm_event *event); /* a complaint or a resolution */

#endif
