/* The public JSON of a client's state (docs/state.md): one object, one line, fields in that page's order. */
#ifndef RFM_CLIENT_JSON_H
#define RFM_CLIENT_JSON_H

#include <rfm/base/json.h>
#include <rfm/client/scores.h>

/* Writes everything but the closing brace and the fields of the rule layer (`due`, `triggers`), which the caller adds
 * after a comma. RFM_E_RANGE: as_of lies before the client's last event. */
int rfm_client_json(rfm_buffer *json, rfm_bytes client_id, const rfm_client *client, const rfm_client_conf *conf,
                    const rfm_names *names, const rfm_edges *edges, int64_t as_of_ms, rfm_error *error);
void rfm_write_json_money(rfm_buffer *json, int64_t amount_minor, uint8_t digits);

#endif
