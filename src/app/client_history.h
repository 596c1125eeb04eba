/* What clients were sent, what was held back and why, and what waits: the records on the trigger topics and the audit
 * topic, and what the state remembers besides. An entry is one line of JSON: the record as it stands on its topic, then
 *
 *   status: sent | held_back | due     suppressed_by: null unless held back     topic, partition, offset
 *
 * What only the state knows (a send whose record is gone, a trigger that is due) has null for what the state does not
 * keep. Take the states first: then what they remember is on the topics by the time that those are asked for their
 * ends. */
#ifndef RFM_APP_CLIENT_HISTORY_H
#define RFM_APP_CLIENT_HISTORY_H

#include "config/config.h"

#include <rfm/client/client.h>

typedef struct rfm_client_history rfm_client_history;

/* The configuration must outlive it. */
rfm_client_history *rfm_client_history_new(const rfm_config *config);
void rfm_client_history_free(rfm_client_history *history);

/* Asks for a client; a second time for the same: nothing. */
void rfm_client_history_ask(rfm_client_history *history, const char *client_id);
/* The state of one that is asked for, as stored, and its task's names. RFM_E_CORRUPT, RFM_E_VERSION. */
int rfm_client_history_state(rfm_client_history *history, const char *client_id, rfm_bytes packed,
                             const rfm_names *names, rfm_error *error);

typedef struct rfm_history_wish {
    int64_t since_ms;     /* only records written to their topics, and what was sent, from then on; INT64_MIN: all */
    bool every_partition; /* not only those where the keys belong: topics that were given partitions later */
} rfm_history_wish;
/* Reads the topics to their ends. Blocks. RFM_E_AWAY, RFM_E_NOT_FOUND (a topic), RFM_E_DENIED, RFM_E_REFUSED,
 * RFM_E_FULL (more records than are kept). */
int rfm_client_history_read(rfm_client_history *history, const rfm_history_wish *wish, rfm_error *error);

/* Entries of all clients, in the order asked for, each client's by time, to standard output. RFM_E_NOT_FOUND: one or
 * more have neither a state nor an entry, each told on standard error. */
int rfm_client_history_print(const rfm_client_history *history);

#endif
