#include "request.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

rfm_request *rfm__request_take(rfm_spares *spares, rfm_request_kind kind)
{
    rfm_request *request = rfm_spares_take(spares);
    if (!request) {
        request = malloc(sizeof *request);
        RFM_NEED(request);
        rfm_arena_init(&request->arena);
    }
    rfm_arena arena = request->arena;
    *request = (rfm_request){.kind = kind, .arena = arena};
    return request;
}

static void request_free(rfm_request *request)
{
    rfm_arena_release(&request->arena);
    free(request);
}

void rfm__request_give(rfm_spares *spares, rfm_request *request)
{
    rfm_arena_reset(&request->arena);
    rfm_spares_give(spares, request);
    while ((request = rfm_spares_surplus(spares)) != NULL)
        request_free(request);
}

void rfm__requests_release(rfm_spares *spares)
{
    for (rfm_request *request; (request = rfm_spares_take(spares)) != NULL;)
        request_free(request);
    rfm_spares_release(spares);
}

rfm_verdict rfm__verdict(rfm_verdict verdict, char why[RFM_WHY_MAX], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why, RFM_WHY_MAX, format, args);
    va_end(args);
    return verdict;
}

rfm_verdict rfm__unexpected(const char *command, const rfm_reply *reply, char why[RFM_WHY_MAX])
{
    char said[160];
    if (reply->kind != RFM_REPLY_ERROR)
        return rfm__verdict(RFM_GIVE_UP, why, "an answer to %s that cannot be one", command);
    rfm__reply_quote(reply->text, said, sizeof said);
    return rfm__verdict(RFM_GIVE_UP, why, "it answered %s with: %s", command, said);
}

bool rfm__is_ok(const rfm_reply *reply)
{
    return reply->kind == RFM_REPLY_STATUS && rfm_bytes_is(reply->text, "OK");
}

/* The server, or we on this connection, cannot serve now, whatever was asked. */
static bool is_away(rfm_bytes error)
{
    static const char *const codes[] = {"LOADING", "MASTERDOWN", "BUSY", "NOAUTH", "CLUSTERDOWN", "TRYAGAIN", "ASK"};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        if (rfm__reply_says(error, codes[i]))
            return true;
    }
    return false;
}

static rfm_verdict take(rfm_request *request, const rfm_reply *reply, char why[RFM_WHY_MAX])
{
    switch (request->kind) {
    case RFM_REQUEST_GREET:
    case RFM_REQUEST_IDENTIFY: return rfm__greet_take(request, reply, why);
    case RFM_REQUEST_WATCH: return rfm__watch_take(request, reply, why);
    case RFM_REQUEST_LOAD: return rfm__load_take(request, reply, why);
    case RFM_REQUEST_CHANGE: return rfm__change_take(request, reply, why);
    case RFM_REQUEST_LOCATE: return rfm__locate_take(request, reply, why);
    }
    RFM_ASSERT(false);
}

rfm_verdict rfm__request_feed(rfm_request *request, const rfm_reply *reply, char why[RFM_WHY_MAX])
{
    RFM_ASSERT(request->seen < request->expected);
    bool login = request->kind == RFM_REQUEST_GREET ||
                 request->kind == RFM_REQUEST_LOCATE; /* says more about a missing password */
    if (!login && reply->kind == RFM_REPLY_ERROR && is_away(reply->text))
        return rfm__unexpected("a request", reply, why);
    rfm_verdict verdict = take(request, reply, why);
    request->seen++;
    return verdict;
}
