/* Whatever a server answers: a request takes it, gives the connection up, or refuses; and what it then hands on is
 * whole. The first byte chooses the request, the second how the bytes are cut. */
#include "redis/request.h"

#include <stdlib.h>

static const rfm_store_field meta[] = {{.name = "group", .value = "g"},
                                       {.name = "partitions", .value = "4"},
                                       {.name = "format", .value = "2", .is_format = true},
                                       {.name = "inputs", .value = "a b", .is_late = true}};
static const rfm_identity identity = {
    .username = "user",
    .password = "secret",
    .layout = RFM_SENTINEL,
    .service = "s",
    .sentinel_password = "secret",
    .database = 3,
    .prefix = "p",
    .meta = meta,
    .meta_count = 2,
};

static void write_load(rfm_request *request, uint8_t choice, const rfm_keyspace *space, rfm_buffer *out)
{
    enum { KEYS = 12 };
    static rfm_bytes keys[KEYS], fields[KEYS];
    for (size_t i = 0; i < KEYS; i++) {
        keys[i] = rfm_text("b:1");
        fields[i] = i % 3 ? rfm_text("a") : RFM_BYTES_NONE;
    }
    rfm_effect effect = {.kind = RFM_OUT_LOAD};
    effect.load.what = (rfm_load_kind)(choice % 3);
    effect.load.keys = keys;
    effect.load.fields = choice & 128 ? fields : NULL;
    effect.load.count = effect.load.what != RFM_LOAD_VALUES ? 1 : choice & 64 ? KEYS : choice >> 4 & 3;
    effect.load.length = choice >> 4 & 3;
    rfm__load_write(request, &effect, space, out);
}

static void write_change(rfm_request *request, bool fenced, const rfm_keyspace *space, rfm_buffer *out)
{
    static const int64_t next[RFM_INPUTS_MAX];
    static rfm_redo redo;
    rfm_effect effect = {.kind = RFM_OUT_STORE};
    rfm_redo_init(&redo, 0);
    rfm_redo_begin(&redo, 1);
    rfm_redo_put(&redo, &(rfm_redo_item){RFM_REDO_SET, rfm_text("c:a"), RFM_BYTES_NONE, rfm_text("v")});
    rfm_redo_put(&redo, &(rfm_redo_item){RFM_REDO_LIST_ADD, rfm_text("due:1"), RFM_BYTES_NONE, rfm_text("a")});
    effect.store.redo_count = rfm_redo_end(&redo, 1, next, &request->arena, &effect.store.redo);
    effect.store.wal_value = rfm_text("2 1");
    effect.store.fenced = fenced;
    RFM_ASSERT(rfm__change_write(request, &effect, space, out) == RFM_OK);
    rfm_redo_release(&redo);
}

static rfm_request *ask(rfm_spares *spares, uint8_t choice, rfm_buffer *out)
{
    rfm_keyspace space;
    rfm__keyspace_init(&space, "p", 1, 4);
    rfm_request_kind kind = choice == 255 ? RFM_REQUEST_LOCATE : (rfm_request_kind)(choice % 5);
    rfm_request *request = rfm__request_take(spares, kind);
    switch (request->kind) {
    case RFM_REQUEST_GREET: rfm__greet_write(request, &identity, choice & 64, true, out); break;
    case RFM_REQUEST_IDENTIFY: rfm__identify_write(request, &identity, choice & 64, out); break;
    case RFM_REQUEST_WATCH: rfm__watch_write(request, &space, out); break;
    case RFM_REQUEST_LOAD: write_load(request, choice / 5, &space, out); break;
    case RFM_REQUEST_CHANGE: write_change(request, !(choice & 64), &space, out); break;
    case RFM_REQUEST_LOCATE: rfm__locate_write(request, &identity, out); break;
    }
    return request;
}

/* Reads every byte of what would be handed to the engine. */
static void look_at(const rfm_request *request)
{
    volatile uint8_t sum = 0;
    const rfm_loading *loading = &request->loading;
    for (size_t i = 0; request->kind == RFM_REQUEST_LOAD && i < loading->count; i++) {
        for (size_t at = 0; at < loading->values[i].len; at++)
            sum = (uint8_t)(sum + loading->values[i].at[at]);
    }
    for (size_t at = 0; at < request->wal.len; at++)
        sum = (uint8_t)(sum + request->wal.at[at]);
    RFM_ASSERT(request->kind != RFM_REQUEST_CHANGE || request->changing.outcome != RFM_OUTCOME_NONE);
    RFM_ASSERT(request->kind != RFM_REQUEST_LOCATE || request->locating.master.port != 0);
}

/* False: nothing more is taken from this connection. */
static bool take_replies(rfm_reply_reader *reader, rfm_request *request)
{
    for (;;) {
        const rfm_reply *reply;
        rfm_error error;
        char why[RFM_WHY_MAX] = "";
        if (rfm__reply_next(reader, &reply, &error))
            return false;
        if (!reply)
            return true;
        rfm_endpoint node = {.host = "from", .port = 1};
        if (reply->kind == RFM_REPLY_ERROR && rfm__endpoint_moved(reply->text, &node, &node))
            RFM_ASSERT(node.port != 0 && node.host[0] && strlen(node.host) < sizeof node.host);
        rfm_verdict verdict = rfm__request_feed(request, reply, why);
        RFM_ASSERT(verdict == RFM_GOES_ON || why[0]);
        RFM_ASSERT(!strstr(why, "secret"));
        if (verdict != RFM_GOES_ON)
            return false;
        if (request->seen == request->expected) {
            look_at(request);
            return false;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const rfm_store_limits limits = {.elements_max = 5000, .value_bytes_max = 1 << 16, .reply_bytes_max = 1 << 18};
    rfm_spares spares = {0};
    rfm_reply_reader reader;
    rfm_buffer out;
    if (size < 2 || memmem(data, size, "secret", 6))
        return 0;
    rfm_buffer_init(&out, SIZE_MAX / 4);
    rfm_request *request = ask(&spares, data[0], &out);
    rfm__reply_reader_init(&reader, &limits);
    reader.arena = rfm__request_keeps(request) ? &request->arena : NULL;
    size_t step = data[1] ? data[1] : size;
    for (size_t at = 2; at < size; at += step) {
        size_t len = size - at < step ? size - at : step;
        if (rfm__reply_feed(&reader, rfm_bytes_of(data + at, len)) || !take_replies(&reader, request))
            break;
    }
    rfm__reply_reader_release(&reader);
    rfm__request_give(&spares, request);
    rfm__requests_release(&spares);
    rfm_buffer_release(&out);
    return 0;
}
