#include "state_json.h"

#include <rfm/rule/notes.h>

#include <stdlib.h>

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

int rfm_state_names(rfm_names *names, const rfm_bytes *values, size_t count)
{
    for (size_t i = 0; i + 1 < count; i += 2) {
        char number[8] = {0};
        if (values[i].len == 0 || values[i].len >= sizeof number)
            return RFM_E_CORRUPT;
        memcpy(number, values[i].at, values[i].len);
        int value = atoi(number);
        if (value < 1 || value > RFM_NAMES_MAX || rfm_names_restore(names, (uint16_t)value, values[i + 1]) != RFM_OK)
            return RFM_E_CORRUPT;
    }
    return RFM_OK;
}
