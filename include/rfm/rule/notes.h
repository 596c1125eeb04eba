/* What a client's slots show to others: which rules wait until when, and the last send of each rule. By time, those of
 * one moment by the rule's name. */
#ifndef RFM_RULE_NOTES_PUBLIC_H
#define RFM_RULE_NOTES_PUBLIC_H

#include <rfm/client/client.h>
#include <rfm/client/names.h>

enum { RFM_NOTES_DUE_MAX = 8, RFM_NOTES_SENT_MAX = 64, RFM_NOTE_ID_LEN = 32 };

typedef struct rfm_note {
    int64_t time_ms;
    rfm_bytes rule; /* in the names */
    bool has_id;    /* of one that was sent, if there was room for it */
    char id[RFM_NOTE_ID_LEN];
} rfm_note;

typedef struct rfm_notes {
    size_t due_count, sent_count; /* virtual sends are none */
    rfm_note due[RFM_NOTES_DUE_MAX], sent[RFM_NOTES_SENT_MAX];
} rfm_notes;

/* None of slots that cannot be read. */
void rfm_notes_read(rfm_notes *notes, rfm_bytes client_id, const rfm_client *client, const rfm_names *names);
/* The rule layer's fields of a client's JSON: `"due":[...],"triggers":[...]`. */
void rfm_slots_json(rfm_buffer *json, rfm_bytes client_id, const rfm_client *client, const rfm_names *names);

#endif
