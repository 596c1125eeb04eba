#include "request.h"

static void write_key_command(rfm_buffer *out, const char *name, const rfm_keyspace *space, rfm_bytes key)
{
    rfm__command_begin(out, 2);
    rfm__command_text(out, name);
    rfm__command_key(out, space, key);
}

static void write_values(rfm_request *request, const rfm_effect *effect, const rfm_keyspace *space, rfm_buffer *out)
{
    rfm_loading *loading = &request->loading;
    loading->count = effect->load.count;
    loading->values = rfm_arena_take(&request->arena, loading->count * sizeof *loading->values);
    for (size_t i = 0; i < loading->count; i++) {
        if (effect->load.fields == NULL || effect->load.fields[i].at == NULL) {
            write_key_command(out, "GET", space, effect->load.keys[i]);
            continue;
        }
        rfm__command_begin(out, 3);
        rfm__command_text(out, "HGET");
        rfm__command_key(out, space, effect->load.keys[i]);
        rfm__command_bytes(out, effect->load.fields[i]);
    }
    write_key_command(out, "GET", space, rfm_text(RFM_KEY_WAL));
    request->expected = loading->count + 1;
}

static void write_list(rfm_request *request, const rfm_effect *effect, const rfm_keyspace *space, rfm_buffer *out)
{
    int64_t last;
    RFM_ASSERT(effect->load.from >= 0 && effect->load.length >= 0);
    if (__builtin_add_overflow(effect->load.from, effect->load.length - 1, &last))
        last = INT64_MAX;
    request->loading.count = (size_t)effect->load.length;
    if (effect->load.length > 0) { /* of none, the last index would be one before the first, and -1 means the end */
        rfm__command_begin(out, 4);
        rfm__command_text(out, "LRANGE");
        rfm__command_key(out, space, effect->load.keys[0]);
        rfm__command_number(out, effect->load.from);
        rfm__command_number(out, last);
        request->expected++;
    }
    write_key_command(out, "GET", space, rfm_text(RFM_KEY_WAL));
    request->expected++;
}

void rfm__load_write(rfm_request *request, const rfm_effect *effect, const rfm_keyspace *space, rfm_buffer *out)
{
    request->loading = (rfm_loading){.what = effect->load.what, .load = effect->load.load};
    switch (effect->load.what) {
    case RFM_LOAD_VALUES: write_values(request, effect, space, out); break;
    case RFM_LOAD_LIST:
        RFM_ASSERT(effect->load.count == 1);
        write_list(request, effect, space, out);
        break;
    case RFM_LOAD_HASH:
        RFM_ASSERT(effect->load.count == 1);
        write_key_command(out, "HGETALL", space, effect->load.keys[0]);
        write_key_command(out, "GET", space, rfm_text(RFM_KEY_WAL));
        request->expected = 2;
        break;
    }
}

static bool is_last(const rfm_request *request)
{
    return request->seen + 1 == request->expected;
}

static rfm_verdict take_wal(rfm_request *request, const rfm_reply *reply, char why[RFM_WHY_MAX])
{
    rfm_loading *loading = &request->loading;
    if (!rfm__reply_is_text(reply))
        return rfm__unexpected("GET", reply, why);
    loading->wal = reply->text;
    if (loading->what == RFM_LOAD_LIST && request->expected == 1)
        loading->count = 0;
    return RFM_GOES_ON;
}

static rfm_verdict take_value(rfm_request *request, const rfm_reply *reply, char why[RFM_WHY_MAX])
{
    if (!rfm__reply_is_text(reply))
        return rfm__unexpected("GET or HGET", reply, why);
    request->loading.values[request->seen] = reply->text;
    return RFM_GOES_ON;
}

/* `wal` comes last: whoever has written meanwhile has moved it. */
rfm_verdict rfm__load_take(rfm_request *request, const rfm_reply *reply, char why[RFM_WHY_MAX])
{
    rfm_loading *loading = &request->loading;
    if (is_last(request))
        return take_wal(request, reply, why);
    if (loading->what == RFM_LOAD_VALUES)
        return take_value(request, reply, why);
    bool list = loading->what == RFM_LOAD_LIST;
    bool fits = reply->kind == RFM_REPLY_ARRAY && !reply->error.at &&
                (list ? reply->count <= loading->count : reply->count % 2 == 0);
    if (!fits)
        return rfm__unexpected(list ? "LRANGE" : "HGETALL", reply, why);
    loading->values = reply->elements;
    loading->count = reply->count;
    return RFM_GOES_ON;
}
