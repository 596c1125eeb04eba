#include "trigger.h"

#include "slot.h"

#include <inttypes.h>
#include <rfm/base/hash.h>
#include <rfm/base/time.h>
#include <rfm/base/utf8.h>
#include <rfm/client/json.h>
#include <rfm/event/headers.h>
#include <stdio.h>

static void write_identity(rfm_buffer *identity, rfm_bytes rule, rfm_bytes client_id, rfm_bytes cause)
{
    rfm_write_bytes(identity, rule);
    rfm_write_u8(identity, 0x1f);
    rfm_write_bytes(identity, client_id);
    rfm_write_u8(identity, 0x1f);
    rfm_write_bytes(identity, cause);
    RFM_ASSERT(!identity->bad);
}

void rfm__decision_identity(rfm_buffer *identity, const rfm_decision *decision, rfm_bytes client_id)
{
    write_identity(identity, rfm_text(decision->rule->name), client_id,
                   rfm_bytes_of(decision->cause, decision->cause_len));
}

void rfm__trigger_id(rfm_bytes rule, rfm_bytes client_id, rfm_bytes cause, uint8_t id[16])
{
    uint8_t text[RFM_IDENTITY_BYTES_MAX];
    rfm_buffer identity = rfm_buffer_over(text, sizeof text);
    write_identity(&identity, rule, client_id, cause);
    rfm_hash128(rfm_buffer_view(&identity), id);
}

size_t rfm__cause_text(uint8_t code, int64_t time_ms, rfm_bytes id, char text[RFM_CAUSE_BYTES_MAX])
{
    if (code == RFM_CAUSE_TIMER)
        return (size_t)snprintf(text, RFM_CAUSE_BYTES_MAX, "due:%" PRId64, time_ms);
    rfm_buffer buffer = rfm_buffer_over(text, RFM_CAUSE_BYTES_MAX);
    rfm_write_text(&buffer, rfm_event_type_name((rfm_event_type)(code - 1)));
    rfm_write_u8(&buffer, 0x1f);
    rfm_write_bytes(&buffer, id);
    RFM_ASSERT(!buffer.bad);
    return buffer.len;
}

/* Splits at 0x1F, of an event, or at the colon, of a timer. True: an event. */
static bool split_cause(const rfm_decision *decision, rfm_bytes *type, rfm_bytes *id)
{
    const char *mark = memchr(decision->cause, 0x1f, decision->cause_len);
    bool event = mark != NULL;
    if (!event)
        mark = memchr(decision->cause, ':', decision->cause_len);
    RFM_ASSERT(mark != NULL);
    size_t len = (size_t)(mark - decision->cause);
    *type = rfm_bytes_of(decision->cause, len);
    *id = rfm_bytes_of(mark + 1, decision->cause_len - len - 1);
    return event;
}

/* `,"name":` and a text, null if it is empty. */
static void write_text_field(rfm_buffer *json, const char *name, rfm_bytes text)
{
    rfm_write_text(json, ",\"");
    rfm_write_text(json, name);
    rfm_write_text(json, "\":");
    if (text.len == 0)
        rfm_write_text(json, "null");
    else
        rfm_write_json_string(json, text);
}

static void write_cause(rfm_buffer *json, const rfm_decision *decision)
{
    rfm_bytes type, id;
    split_cause(decision, &type, &id);
    rfm_write_text(json, ",\"cause\":{\"type\":");
    rfm_write_json_string(json, type);
    rfm_write_text(json, ",\"id\":");
    rfm_write_json_string(json, id);
    rfm_write_text(json, "}");
}

static void write_promo(rfm_buffer *json, const rfm_rules *rules, const rfm_decision *decision, rfm_bytes client_id)
{
    const rfm_rule *rule = decision->rule;
    char code[64];
    int64_t until_ms;
    if (!rule->promo.given) {
        rfm_write_text(json, ",\"promo\":null");
        return;
    }
    rfm_promo_code(rules, decision, client_id, code);
    rfm_write_text(json, ",\"promo\":{\"code\":");
    rfm_write_json_string(json, rfm_text(code));
    rfm_write_text(json, ",\"percent\":");
    rfm_write_json_number(json, rule->promo.percent);
    rfm_write_text(json, ",\"valid_until\":");
    if (__builtin_add_overflow(decision->time_ms, rule->promo.valid_ms, &until_ms))
        rfm_write_text(json, "null");
    else
        rfm_write_json_time(json, until_ms);
    rfm_write_text(json, "}");
}

static void write_client(rfm_buffer *json, const rfm_client_conf *conf, const rfm_names *names,
                         const rfm_decision *decision, const rfm_client *client, const rfm_moment *moment)
{
    rfm_scores scores;
    rfm_scores_at(client, conf, moment->edges, decision->time_ms, &scores);
    rfm_write_text(json, ",\"client\":{\"segment\":");
    rfm_write_json_string(json, rfm_text(conf->segments.name[decision->segment]));
    write_text_field(json, "lifecycle", rfm_text(rfm_lifecycle_name((rfm_lifecycle)decision->lifecycle)));
    if (scores.buyer) {
        rfm_write_format(json, ",\"rfm\":{\"r\":%u,\"f\":%u,\"m\":%u},\"churn_risk\":", scores.r, scores.f, scores.m);
        rfm_write_json_number(json, scores.churn_risk);
    } else {
        rfm_write_text(json, ",\"rfm\":null,\"churn_risk\":null");
    }
    rfm_write_format(json, ",\"orders\":%u,\"revenue\":", client->orders);
    rfm_write_json_money(json, client->revenue_minor, conf->money.base.digits);
    write_text_field(json, "language", rfm_names_text(names, rfm_client_language(client)));
    write_text_field(json, "timezone", rfm_names_text(names, rfm_client_timezone(client)));
    rfm_write_text(json, "}");
}

static void write_value(rfm_buffer *json, const rfm_rules *rules, const rfm_client_conf *conf, const rfm_names *names,
                        const rfm_decision *decision, const rfm_client *client, const rfm_moment *moment)
{
    const rfm_rule *rule = decision->rule;
    char id[33];
    rfm_hex(decision->id, sizeof decision->id, id);
    rfm_write_text(json, "{\"id\":\"");
    rfm_write_text(json, id);
    rfm_write_text(json, "\"");
    write_text_field(json, "rule", rfm_text(rule->name));
    write_text_field(json, "class", rfm_text(rfm_class_name(rule->class_)));
    write_text_field(json, "client_id", moment->client_id);
    rfm_write_text(json, ",\"time\":");
    rfm_write_json_time(json, decision->time_ms);
    write_cause(json, decision);
    write_text_field(json, "channel", decision->channel);
    write_text_field(json, "template", rfm_text(rule->template_));
    bool has_variant = decision->variant < rule->experiment.variant_count;
    write_text_field(json, "variant",
                     has_variant ? rfm_text(rule->experiment.variant[decision->variant].name) : RFM_BYTES_NONE);
    write_promo(json, rules, decision, moment->client_id);
    rfm_write_text(json, ",\"data\":");
    if (decision->data.len > 0)
        rfm_write_bytes(json, decision->data);
    else
        rfm_write_text(json, "null");
    write_client(json, conf, names, decision, client, moment);
    write_text_field(json, "rules_version", rfm_text(rules->version));
    if (decision->suppression != RFM_SENT)
        write_text_field(json, "suppressed_by", rfm_text(rfm_suppression_name(decision->suppression)));
    rfm_write_text(json, "}");
}

/* What CloudEvents says of an event besides its data, as texts. */
typedef struct rfm_envelope {
    char id[33], type[sizeof((rfm_rules *)0)->type_prefix + RFM_RULE_NAME_MAX], time[RFM_TIME_TEXT];
    size_t time_len;
    rfm_bytes causation; /* the event that caused it; empty: a timer */
} rfm_envelope;

static void make_envelope(const rfm_rules *rules, const rfm_decision *decision, rfm_envelope *envelope)
{
    rfm_bytes cause_type, cause_id;
    rfm_hex(decision->id, sizeof decision->id, envelope->id);
    rfm_buffer type = rfm_buffer_over(envelope->type, sizeof envelope->type - 1);
    rfm_write_text(&type, rules->type_prefix);
    rfm_write_text(&type, decision->rule->name);
    envelope->type[type.len] = 0;
    envelope->time_len = rfm_time_format(decision->time_ms, envelope->time);
    envelope->causation = split_cause(decision, &cause_type, &cause_id) ? cause_id : RFM_BYTES_NONE;
}

static void write_headers(rfm_buffer *headers, const rfm_rules *rules, const rfm_envelope *envelope,
                          rfm_bytes client_id)
{
    rfm_headers_add(headers, "content-type", rfm_text("application/json"));
    rfm_headers_add(headers, "ce_specversion", rfm_text("1.0"));
    rfm_headers_add(headers, "ce_id", rfm_text(envelope->id));
    rfm_headers_add(headers, "ce_type", rfm_text(envelope->type));
    rfm_headers_add(headers, "ce_source", rfm_text(rules->source));
    rfm_headers_add(headers, "ce_subject", client_id);
    rfm_headers_add(headers, "ce_time", rfm_bytes_of(envelope->time, envelope->time_len));
    if (envelope->causation.len > 0)
        rfm_headers_add(headers, "ce_causationid", envelope->causation);
}

/* Up to the data, which comes next, and the closing brace. */
static void write_attributes(rfm_buffer *json, const rfm_rules *rules, const rfm_envelope *envelope,
                             rfm_bytes client_id)
{
    rfm_write_text(json, "{\"specversion\":\"1.0\"");
    write_text_field(json, "id", rfm_text(envelope->id));
    write_text_field(json, "type", rfm_text(envelope->type));
    write_text_field(json, "source", rfm_text(rules->source));
    write_text_field(json, "subject", client_id);
    write_text_field(json, "time", rfm_bytes_of(envelope->time, envelope->time_len));
    if (envelope->causation.len > 0)
        write_text_field(json, "causationid", envelope->causation);
    rfm_write_text(json, ",\"datacontenttype\":\"application/json\",\"data\":");
}

void rfm_trigger_encode(const rfm_rules *rules, const rfm_client_conf *conf, const rfm_names *names,
                        const rfm_decision *decision, const rfm_client *client, const rfm_moment *moment,
                        rfm_buffer *value, rfm_buffer *headers)
{
    rfm_envelope envelope;
    make_envelope(rules, decision, &envelope);
    if (!rules->structured) {
        write_value(value, rules, conf, names, decision, client, moment);
        write_headers(headers, rules, &envelope, moment->client_id);
        return;
    }
    write_attributes(value, rules, &envelope, moment->client_id);
    write_value(value, rules, conf, names, decision, client, moment);
    rfm_write_text(value, "}");
    rfm_headers_add(headers, "content-type", rfm_text("application/cloudevents+json; charset=UTF-8"));
}

/* One line of the client's JSON: what is due, what was sent. */
typedef struct rfm_note {
    int64_t time_ms;
    rfm_bytes rule;
    const rfm_remembered *sent; /* NULL: due */
} rfm_note;

static void add_note(rfm_note *notes, size_t *count, rfm_note note)
{
    size_t at = (*count)++;
    for (; at > 0; at--) {
        const rfm_note *before = &notes[at - 1];
        if (before->time_ms < note.time_ms ||
            (before->time_ms == note.time_ms && rfm_bytes_compare(before->rule, note.rule) <= 0))
            break;
        notes[at] = *before;
    }
    notes[at] = note;
}

/* By what the state remembers: the cause, of which the id follows, or the id. */
static void id_of(const rfm_note *note, rfm_bytes client_id, uint8_t id[16])
{
    char uuid[RFM_UUID_TEXT + 1], text[RFM_CAUSE_BYTES_MAX];
    const rfm_remembered *sent = note->sent;
    if (sent->form == RFM_ID_GIVEN) {
        memcpy(id, sent->id, 16);
        return;
    }
    bool timer = sent->form == RFM_ID_OF_TIMER;
    size_t len = rfm__cause_text(timer ? RFM_CAUSE_TIMER : sent->code, sent->cause_ms,
                                 timer ? RFM_BYTES_NONE : rfm__sent_event(sent, uuid), text);
    rfm__trigger_id(note->rule, client_id, rfm_bytes_of(text, len), id);
}

static void write_id(rfm_buffer *json, const rfm_note *note, rfm_bytes client_id)
{
    uint8_t id[16];
    char text[33];
    if (note->sent->form == RFM_ID_NONE) {
        rfm_write_text(json, "\"id\":null,");
        return;
    }
    id_of(note, client_id, id);
    rfm_hex(id, sizeof id, text);
    rfm_write_format(json, "\"id\":\"%s\",", text);
}

static void write_notes(rfm_buffer *json, rfm_bytes client_id, const rfm_note *notes, size_t count)
{
    rfm_write_text(json, "[");
    for (size_t i = 0; i < count; i++) {
        rfm_write_text(json, i == 0 ? "{" : ",{");
        if (notes[i].sent != NULL)
            write_id(json, &notes[i], client_id);
        rfm_write_text(json, "\"rule\":");
        rfm_write_json_string(json, notes[i].rule);
        rfm_write_text(json, ",\"time\":");
        rfm_write_json_time(json, notes[i].time_ms);
        rfm_write_text(json, "}");
    }
    rfm_write_text(json, "]");
}

void rfm_slots_json(rfm_buffer *json, rfm_bytes client_id, const rfm_client *client, const rfm_names *names)
{
    rfm_slots slots;
    rfm_note notes[RFM_REMEMBERED_MAX];
    size_t count = 0;
    (void)rfm__slots_decode(rfm_bytes_of(client->slots, client->slots_len), &slots); /* unreadable: shown as none */
    for (size_t i = 0; i < slots.pending_count; i++)
        add_note(notes, &count,
                 (rfm_note){slots.pending[i].due_ms, rfm_names_text(names, slots.pending[i].rule), NULL});
    rfm_write_text(json, "\"due\":");
    write_notes(json, client_id, notes, count);
    count = 0;
    for (size_t i = 0; i < slots.sent_count; i++) {
        const rfm_remembered *sent = &slots.sent[i];
        if (!sent->is_virtual)
            add_note(notes, &count, (rfm_note){sent->time_ms, rfm_names_text(names, sent->rule), sent});
    }
    rfm_write_text(json, ",\"triggers\":");
    write_notes(json, client_id, notes, count);
}
