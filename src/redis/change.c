#include "request.h"

int rfm__change_write(rfm_request *request, const rfm_effect *effect, const rfm_keyspace *space, rfm_buffer *out)
{
    rfm_changing *changing = &request->changing;
    size_t len_before = out->len;
    *changing = (rfm_changing){.outcome = RFM_OUTCOME_NONE};
    if (!effect->store.fenced) {
        rfm__command_words(out, "UNWATCH");
        changing->multi = 1;
    }
    rfm__command_words(out, "MULTI");
    int code = rfm__command_redo(out, space, effect->store.redo, effect->store.redo_count, &changing->queued);
    if (code) {
        out->len = len_before;
        return code;
    }
    rfm__command_begin(out, 3);
    rfm__command_text(out, "SET");
    rfm__command_key(out, space, rfm_text(RFM_KEY_WAL));
    rfm__command_bytes(out, effect->store.wal_value);
    changing->queued++;
    rfm__command_words(out, "EXEC");
    request->expected = changing->multi + 1 + changing->queued + 1;
    rfm__watch_write(request, space, out);
    return RFM_OK;
}

static void keep_error(rfm_changing *changing, rfm_bytes error)
{
    changing->read_only = changing->read_only || rfm__reply_says(error, "READONLY");
    if (changing->error[0] == '\0')
        rfm__reply_quote(error, changing->error, sizeof changing->error);
}

static rfm_verdict take_queued(rfm_changing *changing, const rfm_reply *reply, char why[RFM_WHY_MAX])
{
    if (reply->kind == RFM_REPLY_STATUS && rfm_bytes_is(reply->text, "QUEUED"))
        return RFM_GOES_ON;
    if (reply->kind != RFM_REPLY_ERROR)
        return rfm__verdict(RFM_REFUSE, why,
                            "it ran a command of a change outside of MULTI: the state may be wrong; restore it");
    keep_error(changing, reply->text);
    return RFM_GOES_ON;
}

static rfm_verdict take_exec(rfm_changing *changing, const rfm_reply *reply, char why[RFM_WHY_MAX])
{
    char said[160];
    switch (reply->kind) {
    case RFM_REPLY_NIL: changing->outcome = RFM_OUTCOME_BEATEN; return RFM_GOES_ON;
    case RFM_REPLY_ERROR:
        changing->outcome = RFM_OUTCOME_ERROR;
        keep_error(changing, reply->text);
        return RFM_GOES_ON;
    case RFM_REPLY_ARRAY:
        changing->outcome = RFM_OUTCOME_DONE;
        if (!reply->error.at && !changing->error[0] && reply->count == changing->queued)
            return RFM_GOES_ON;
        rfm__reply_quote(reply->error, said, sizeof said);
        return rfm__verdict(RFM_REFUSE, why,
                            "it holds a change only in part (%s): somebody else writes under this prefix; restore the "
                            "state",
                            said[0] ? said : changing->error);
    default: return rfm__unexpected("EXEC", reply, why);
    }
}

rfm_verdict rfm__change_take(rfm_request *request, const rfm_reply *reply, char why[RFM_WHY_MAX])
{
    rfm_changing *changing = &request->changing;
    if (request->seen < changing->multi)
        return rfm__is_ok(reply) ? RFM_GOES_ON : rfm__unexpected("UNWATCH", reply, why);
    size_t index = request->seen - changing->multi;
    if (index == 0 && !rfm__is_ok(reply)) { /* what followed was run, without its fence */
        rfm__unexpected("MULTI", reply, why);
        return RFM_REFUSE;
    }
    if (index == 0)
        return RFM_GOES_ON;
    if (index <= changing->queued)
        return take_queued(changing, reply, why);
    if (index == changing->queued + 1)
        return take_exec(changing, reply, why);
    return rfm__watch_take(request, reply, why);
}
