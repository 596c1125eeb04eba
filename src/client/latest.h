/* Facts of which the latest counts: traits, time zone, language, the last answers. Each has a stamp, the event that
 * said it; events often say several at once, so that stamps are a table of their own. */
#ifndef RFM_CLIENT_LATEST_H
#define RFM_CLIENT_LATEST_H

#include <rfm/client/client.h>

/* traits, timezone, language of a profile event; what cannot be kept is dropped and counted in `applied`. */
void rfm__apply_profile(rfm_client *client, const rfm_event *event, const rfm_client_conf *conf, rfm_names *names,
                        rfm_applied *applied);
/* An answer: nps, csat. */
void rfm__apply_answer(rfm_client *client, const rfm_event *event);
bool rfm__latest_equal(const rfm_client *a, const rfm_client *b);

#endif
