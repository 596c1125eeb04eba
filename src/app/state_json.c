#include "state_json.h"

#include <rfm/rule/notes.h>

int rfm_state_json(rfm_buffer *json, rfm_bytes client_id, rfm_bytes packed, const rfm_client_conf *conf,
                   const rfm_names *names, const rfm_edges *edges, int64_t as_of_ms, rfm_error *error)
{
    static _Thread_local rfm_client client;
    int code = rfm_client_decode(packed, &client);
    if (code == RFM_OK)
        code = rfm_slots_check(rfm_bytes_of(client.slots, client.slots_len));
    if (code != RFM_OK)
        return rfm_fail(error, code, "client '%.*s': %s", (int)client_id.len, (const char *)client_id.at,
                        rfm_error_text(code));
    size_t start = json->len;
    code = rfm_client_json(json, client_id, &client, conf, names, edges, as_of_ms, error);
    if (code != RFM_OK) {
        json->len = start;
        return code;
    }
    rfm_write_u8(json, ',');
    rfm_slots_json(json, client_id, &client, names);
    rfm_write_u8(json, '}');
    return RFM_OK;
}
