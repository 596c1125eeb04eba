#include "request.h"

static void write_key_command(rfm_buffer *out, const char *name, const rfm_keyspace *space, rfm_bytes key)
{
    rfm__command_begin(out, 2);
    rfm__command_text(out, name);
    rfm__command_key(out, space, key);
}

static size_t chunk_of(const rfm_loading *loading)
{
    size_t left = loading->count - loading->filled;
    return left < RFM_LOAD_KEYS_MAX ? left : RFM_LOAD_KEYS_MAX;
}

/* `wal` comes with each command, so that every value is fenced by one that was read with it. */
static void write_keys(rfm_request *request, const rfm_effect *effect, const rfm_keyspace *space, rfm_buffer *out)
{
    rfm_loading *loading = &request->loading;
    loading->count = effect->load.count;
    loading->values = rfm_arena_take(&request->arena, loading->count * sizeof *loading->values);
    do {
        size_t chunk = chunk_of(loading);
        rfm__command_begin(out, 2 + chunk);
        rfm__command_text(out, "MGET");
        rfm__command_key(out, space, rfm_text("wal"));
        for (size_t i = 0; i < chunk; i++)
            rfm__command_key(out, space, effect->load.keys[loading->filled + i]);
        loading->filled += chunk;
        request->expected++;
    } while (loading->filled < loading->count);
    loading->filled = 0;
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
    write_key_command(out, "GET", space, rfm_text("wal"));
    request->expected++;
}

void rfm__load_write(rfm_request *request, const rfm_effect *effect, const rfm_keyspace *space, rfm_buffer *out)
{
    request->loading = (rfm_loading){.what = effect->load.what, .load = effect->load.load, .wal_offset = INT64_MAX};
    switch (effect->load.what) {
    case RFM_LOAD_KEYS: write_keys(request, effect, space, out); break;
    case RFM_LOAD_LIST:
        RFM_ASSERT(effect->load.count == 1);
        write_list(request, effect, space, out);
        break;
    case RFM_LOAD_HASH:
        RFM_ASSERT(effect->load.count == 1);
        write_key_command(out, "HGETALL", space, effect->load.keys[0]);
        write_key_command(out, "GET", space, rfm_text("wal"));
        request->expected = 2;
        break;
    }
}

static void see_wal(rfm_loading *loading, rfm_bytes wal)
{
    int64_t offset = rfm_wal_value_parse(wal);
    if (offset >= loading->wal_offset)
        return;
    loading->wal_offset = offset;
    loading->wal = wal;
}

static rfm_verdict take_keys(rfm_loading *loading, const rfm_reply *reply, char why[RFM_WHY_MAX])
{
    size_t chunk = chunk_of(loading);
    if (reply->kind != RFM_REPLY_ARRAY || reply->count != 1 + chunk || reply->error.at)
        return rfm__unexpected("MGET", reply, why);
    see_wal(loading, reply->elements[0]);
    if (chunk)
        memcpy(loading->values + loading->filled, reply->elements + 1, chunk * sizeof *reply->elements);
    loading->filled += chunk;
    return RFM_GOES_ON;
}

rfm_verdict rfm__load_take(rfm_request *request, const rfm_reply *reply, char why[RFM_WHY_MAX])
{
    rfm_loading *loading = &request->loading;
    if (loading->what == RFM_LOAD_KEYS)
        return take_keys(loading, reply, why);
    bool list = loading->what == RFM_LOAD_LIST, last = request->seen + 1 == request->expected;
    if (last) {
        if (!rfm__reply_is_text(reply))
            return rfm__unexpected("GET", reply, why);
        see_wal(loading, reply->text);
        if (list && request->expected == 1)
            loading->count = 0;
        return RFM_GOES_ON;
    }
    bool fits = reply->kind == RFM_REPLY_ARRAY && !reply->error.at &&
                (list ? reply->count <= loading->count : reply->count % 2 == 0);
    if (!fits)
        return rfm__unexpected(list ? "LRANGE" : "HGETALL", reply, why);
    loading->values = reply->elements;
    loading->count = reply->count;
    return RFM_GOES_ON;
}
