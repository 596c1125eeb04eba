#include "fit_state.h"
#include "tables.h"

enum { PROGRESS_CLIENTS = 65536 };

struct scan {
    rfm_fit_state *state;
    rfm_histories *histories;
    double scale;
    rfm_client client;
    rfm_error *error;
    int code;
};

static void add_client(struct scan *scan)
{
    const rfm_client *client = &scan->client;
    double repeat = (double)client->revenue_minor - (double)client->first_day_minor;
    if (client->orders == 0)
        scan->state->prospects++;
    else if (client->last_day > scan->histories->until)
        scan->state->ahead++;
    else
        rfm_histories_add(scan->histories, client->x, client->first_day, client->last_day,
                          client->x > 0 && repeat > 0 ? client->x : 0,
                          client->x > 0 ? repeat / scan->scale / client->x : 0, 0);
}

static bool on_client(void *owner, rfm_bytes id, rfm_bytes value)
{
    struct scan *scan = owner;
    scan->code = rfm_client_decode(value, &scan->client);
    if (scan->code != RFM_OK) {
        rfm_fail(scan->error, scan->code, "client '%.*s': %s", (int)id.len, (const char *)id.at,
                 rfm_error_text(scan->code));
        return false;
    }
    add_client(scan);
    if (++scan->state->clients % PROGRESS_CLIENTS == 0)
        scan->state->progress(scan->state->owner, scan->state->clients);
    return true;
}

static int scan_all(struct scan *scan, rfm_error *error)
{
    uint32_t partition_count = 0;
    rfm_store_reader *reader;
    int code = rfm_tables_open(scan->state->config, &reader, &partition_count, error);
    for (uint32_t task = 0; code == RFM_OK && task < partition_count; task++) {
        code = rfm_tables_clients(&(rfm_tables){.reader = reader, .task = task}, on_client, scan, error);
        code = code != RFM_OK ? code : scan->code;
    }
    rfm_store_reader_free(reader);
    return code;
}

int rfm_fit_state_read(rfm_fit_state *state, rfm_histories *histories, rfm_error *error)
{
    static _Thread_local struct scan scan; /* a client is large */
    scan = (struct scan){.state = state, .histories = histories, .scale = 1, .error = error};
    for (int i = 0; i < state->config->client.money.base.digits; i++)
        scan.scale *= 10;
    int code = scan_all(&scan, error);
    rfm_histories_seal(histories);
    return code;
}
