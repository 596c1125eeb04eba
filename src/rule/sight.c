#include "sight.h"

#include <rfm/base/utf8.h>

enum { DATA_BYTES_MAX = 16 << 10 };

static const rfm_zone *find_zone(void *context, rfm_bytes name)
{
    const rfm_sight *sight = context;
    return rfm_zones_find(sight->turn->conf->zones, name);
}

void rfm__sight_open(rfm_sight *sight, const rfm_turn *turn, rfm_bytes client_id, int64_t now_ms)
{
    sight->turn = turn;
    sight->client_id = client_id;
    sight->now_ms = now_ms;
    sight->cause = NULL;
    sight->ready = sight->scored = false;
}

void rfm__sight_turn_to(rfm_sight *sight, const rfm_cause *cause)
{
    sight->cause = cause;
    sight->ready = false;
}

void rfm__sight_renew(rfm_sight *sight)
{
    sight->ready = false;
}

static rfm_expr_frame *frame_of(rfm_sight *sight)
{
    static const rfm_expr_host host = {.fetch = rfm__environment_fetch, .zone = find_zone};
    if (!sight->ready)
        rfm_expr_frame_init(&sight->frame, &host, sight);
    sight->ready = true;
    return &sight->frame;
}

static rfm_expr_result evaluate(rfm_sight *sight, const rfm_expr *expr)
{
    return rfm_expr_eval(expr, frame_of(sight));
}

rfm_truth rfm__sight_holds(rfm_sight *sight, const rfm_expr *condition)
{
    rfm_expr_result result = evaluate(sight, condition);
    if (result.fault != RFM_EXPR_OK)
        return RFM_FAILED;
    return result.value.truth ? RFM_TRUE : RFM_FALSE;
}

void rfm__sight_sift(rfm_sight *sight, rfm_rule_set *rules)
{
    rfm_expr_sift(sight->turn->binding->when, RFM_RULE_SET_WORDS, rules->word, frame_of(sight));
}

void rfm__sight_write_data(rfm_sight *sight, const rfm_rule *rule, rfm_buffer *json)
{
    size_t start = json->len;
    for (size_t i = 0; i < rule->data_count; i++) {
        const rfm_datum *datum = &rule->data[i];
        rfm_expr_result result = evaluate(sight, datum->value.expr);
        rfm_write_u8(json, i == 0 ? '{' : ',');
        rfm_write_json_string(json, rfm_text(datum->name));
        rfm_write_u8(json, ':');
        if (result.fault == RFM_EXPR_OK)
            rfm_expr_write_json(json, rfm_expr_type_of(datum->value.expr), &result.value, sight);
        else
            rfm_write_text(json, "null");
    }
    rfm_write_u8(json, '}');
    if (json->len - start > DATA_BYTES_MAX)
        json->len = start;
}

bool rfm__sight_keep(rfm_sight *sight, const rfm_rule *rule, uint8_t kept[RFM_KEPT_BYTES_MAX], size_t *len)
{
    rfm_buffer buffer = rfm_buffer_over(kept, RFM_KEPT_BYTES_MAX);
    rfm__environment_keep(sight, rule, &buffer);
    *len = buffer.len;
    return !buffer.bad;
}
