#include "request.h"

void rfm__locate_write(rfm_request *request, const rfm_identity *identity, rfm_buffer *out)
{
    request->locating.identity = identity;
    if (identity->sentinel_password) {
        rfm__command_begin(out, 2);
        rfm__command_text(out, "AUTH");
        rfm__command_text(out, identity->sentinel_password);
        request->expected++;
    }
    rfm__command_begin(out, 3);
    rfm__command_text(out, "SENTINEL");
    rfm__command_text(out, "get-master-addr-by-name");
    rfm__command_text(out, identity->service);
    request->expected++;
}

static rfm_verdict take_error(const rfm_identity *identity, const rfm_reply *reply, char why[RFM_WHY_MAX])
{
    if (rfm__reply_says(reply->text, "NOAUTH"))
        return rfm__verdict(RFM_GIVE_UP, why, "it wants a password (NOAUTH): set redis.sentinel_password_file");
    if (rfm__reply_says(reply->text, "NOPERM"))
        return rfm__verdict(RFM_GIVE_UP, why, "its user may not run SENTINEL (NOPERM): allow it");
    if (rfm__reply_says(reply->text, "ERR"))
        return rfm__verdict(RFM_GIVE_UP, why,
                            "it is no Sentinel: name the Sentinels of %s in redis.url, not its servers",
                            identity->service);
    return rfm__unexpected("SENTINEL", reply, why);
}

rfm_verdict rfm__locate_take(rfm_request *request, const rfm_reply *reply, char why[RFM_WHY_MAX])
{
    const rfm_identity *identity = request->locating.identity;
    bool last = request->seen + 1 == request->expected;
    if (!last) /* never what it said: some repeat the arguments */
        return rfm__is_ok(reply)
                   ? RFM_GOES_ON
                   : rfm__verdict(RFM_GIVE_UP, why, "the login failed: check redis.sentinel_password_file");
    if (reply->kind == RFM_REPLY_ERROR)
        return take_error(identity, reply, why);
    if (reply->kind == RFM_REPLY_NIL)
        return rfm__verdict(RFM_GIVE_UP, why, "it knows no master '%s': check the name in redis.url",
                            identity->service);
    if (reply->kind != RFM_REPLY_ARRAY || reply->count != 2 || reply->error.at ||
        !rfm__endpoint_set(&request->locating.master, reply->elements[0], reply->elements[1]))
        return rfm__unexpected("SENTINEL", reply, why);
    return RFM_GOES_ON;
}
