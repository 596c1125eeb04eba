#include "notes.h"

#include "trigger.h"

#include <rfm/base/hash.h>
#include <rfm/base/json.h>
#include <rfm/base/utf8.h>

static void add_note(rfm_note *notes, size_t *count, const rfm_note *note)
{
    size_t at = (*count)++;
    for (; at > 0; at--) {
        const rfm_note *before = &notes[at - 1];
        if (before->time_ms < note->time_ms ||
            (before->time_ms == note->time_ms && rfm_bytes_compare(before->rule, note->rule) <= 0))
            break;
        notes[at] = *before;
    }
    notes[at] = *note;
}

size_t rfm__notes_due(const rfm_slots *slots, const rfm_names *names, rfm_note notes[RFM_PENDING_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < slots->pending_count; i++) {
        rfm_note note = {.time_ms = slots->pending[i].due_ms, .rule = rfm_names_text(names, slots->pending[i].rule)};
        add_note(notes, &count, &note);
    }
    return count;
}

static void find_id(const rfm_remembered *sent, rfm_bytes rule, rfm_bytes client_id, uint8_t id[16])
{
    char uuid[RFM_UUID_TEXT + 1], text[RFM_CAUSE_BYTES_MAX];
    bool timer = sent->form == RFM_ID_OF_TIMER;
    if (sent->form == RFM_ID_GIVEN) {
        memcpy(id, sent->id, 16);
        return;
    }
    size_t len = rfm__cause_text(timer ? RFM_CAUSE_TIMER : sent->code, sent->cause_ms,
                                 timer ? RFM_BYTES_NONE : rfm__sent_event(sent, uuid), text);
    rfm__trigger_id(rule, client_id, rfm_bytes_of(text, len), id);
}

static rfm_note note_sent(const rfm_remembered *sent, const rfm_names *names, rfm_bytes client_id)
{
    uint8_t id[16];
    char text[33];
    rfm_note note = {.time_ms = sent->time_ms, .rule = rfm_names_text(names, sent->rule)};
    note.has_id = sent->form != RFM_ID_NONE;
    if (note.has_id) {
        find_id(sent, note.rule, client_id, id);
        rfm_hex(id, sizeof id, text);
        memcpy(note.id, text, sizeof note.id);
    }
    return note;
}

size_t rfm__notes_sent(const rfm_slots *slots, const rfm_names *names, rfm_bytes client_id,
                       rfm_note notes[RFM_REMEMBERED_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < slots->sent_count; i++) {
        const rfm_remembered *sent = &slots->sent[i];
        if (sent->is_virtual)
            continue;
        rfm_note note = note_sent(sent, names, client_id);
        add_note(notes, &count, &note);
    }
    return count;
}

/* -- JSON */

static void write_notes(rfm_buffer *json, const rfm_note *notes, size_t count, bool sent)
{
    rfm_write_text(json, "[");
    for (size_t i = 0; i < count; i++) {
        rfm_write_text(json, i == 0 ? "{" : ",{");
        if (sent && notes[i].has_id)
            rfm_write_format(json, "\"id\":\"%.32s\",", notes[i].id);
        else if (sent)
            rfm_write_text(json, "\"id\":null,");
        rfm_write_text(json, "\"rule\":");
        rfm_write_json_string(json, notes[i].rule);
        rfm_write_text(json, ",\"time\":");
        rfm_write_json_time(json, notes[i].time_ms);
        rfm_write_text(json, "}");
    }
    rfm_write_text(json, "]");
}

void rfm_notes_read(rfm_notes *notes, rfm_bytes client_id, const rfm_client *client, const rfm_names *names)
{
    rfm_slots slots;
    (void)rfm__slots_decode(rfm_bytes_of(client->slots, client->slots_len), &slots); /* unreadable: shown as none */
    notes->due_count = rfm__notes_due(&slots, names, notes->due);
    notes->sent_count = rfm__notes_sent(&slots, names, client_id, notes->sent);
}

void rfm_slots_json(rfm_buffer *json, rfm_bytes client_id, const rfm_client *client, const rfm_names *names)
{
    rfm_notes notes;
    rfm_notes_read(&notes, client_id, client, names);
    rfm_write_text(json, "\"due\":");
    write_notes(json, notes.due, notes.due_count, false);
    rfm_write_text(json, ",\"triggers\":");
    write_notes(json, notes.sent, notes.sent_count, true);
}

/* -- expressions */

static const rfm_expr_member due_members[] = {{"rule", &rfm_expr_string}, {"time", &rfm_expr_timestamp}, {NULL, NULL}};
static const rfm_expr_member trigger_members[] = {
    {"id", &rfm_expr_string}, {"rule", &rfm_expr_string}, {"time", &rfm_expr_timestamp}, {NULL, NULL}};
static const rfm_expr_type due_item = {.kind = RFM_EXPR_STRUCT, .members = due_members};
static const rfm_expr_type trigger_item = {.kind = RFM_EXPR_STRUCT, .members = trigger_members};
const rfm_expr_type rfm__due_type = {.kind = RFM_EXPR_LIST, .item = &due_item};
const rfm_expr_type rfm__triggers_type = {.kind = RFM_EXPR_LIST, .item = &trigger_item};

static bool find_member(void *context, const void *at, rfm_bytes key, rfm_expr_value *value)
{
    const rfm_note *note = at;
    (void)context;
    if (rfm_bytes_is(key, "rule"))
        value->text = note->rule;
    else if (rfm_bytes_is(key, "time"))
        value->time_ms = note->time_ms;
    else if (rfm_bytes_is(key, "id") && note->has_id)
        value->text = rfm_bytes_of(note->id, sizeof note->id);
    else
        return false;
    return true;
}

static bool member_entry(void *context, const void *at, size_t i, rfm_bytes *key, rfm_expr_value *value)
{
    const rfm_note *note = at;
    for (const rfm_expr_member *member = trigger_members + !note->has_id; member->name != NULL; member++) {
        if (i-- > 0)
            continue;
        *key = rfm_text(member->name);
        return find_member(context, at, *key, value);
    }
    return false;
}

void rfm__notes_list(const rfm_note *notes, size_t count, rfm_expr_value *items, rfm_expr_value *list)
{
    static const rfm_expr_class class_ = {find_member, member_entry};
    for (size_t i = 0; i < count; i++) {
        items[i].object.class_ = &class_;
        items[i].object.at = &notes[i];
    }
    list->list.at = items;
    list->list.count = count;
}
