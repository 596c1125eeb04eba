/* A client's state as its public JSON, with what the rule layer remembers: the same for `client` and `replay`. */
#ifndef RFM_APP_STATE_JSON_H
#define RFM_APP_STATE_JSON_H

#include <rfm/client/json.h>
#include <rfm/rule/decide.h>

/* One line without its end. `packed` as stored. RFM_E_CORRUPT, RFM_E_VERSION; RFM_E_RANGE: as_of before the last
 * event. */
int rfm_state_json(rfm_buffer *json, rfm_bytes client_id, rfm_bytes packed, const rfm_client_conf *conf,
                   const rfm_names *names, const rfm_edges *edges, int64_t as_of_ms, rfm_error *error);

#endif
