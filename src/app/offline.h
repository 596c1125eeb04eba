/* A worker without Kafka and Redis: its effects are carried out at once, in memory. Replay is made of it, and the
 * demo's history. The clock is that of the records (RFM_CLOCK_RECORD), moved on by rfm_offline_until. */
#ifndef RFM_APP_OFFLINE_H
#define RFM_APP_OFFLINE_H

#include "config/config.h"

#include <rfm/engine/view.h>

typedef struct rfm_offline_calls {
    void (*message)(void *owner, const rfm_message *message); /* triggers, audit, dead letters, as they are published */
    void *owner;
} rfm_offline_calls;

typedef struct rfm_offline rfm_offline;
/* `config` must outlive it; `format` is that of the events. */
int rfm_offline_new(const rfm_config *config, uint32_t partition_count, rfm_format format,
                    const rfm_offline_calls *calls, rfm_offline **offline, rfm_error *error);
void rfm_offline_free(rfm_offline *offline);
/* Takes one event, whose clock (append_ms) must not be lower than any before it; the client's partition is found by its
 * id, an event that cannot be read goes to task 0; its offset is its number, from 0, among all of them. The bytes last
 * for the call. RFM_E_REFUSED: the worker has halted (message). */
int rfm_offline_event(rfm_offline *offline, rfm_bytes client_id, rfm_bytes value, int64_t clock_ms, rfm_error *error);
/* Everything up to this moment happens: records so far, then timers; the population is summed at multiples of
 * rfm.refresh. */
int rfm_offline_until(rfm_offline *offline, int64_t clock_ms, rfm_error *error);
void rfm_offline_sum_population(rfm_offline *offline);
const rfm_edges *rfm_offline_edges(const rfm_offline *offline); /* NULL: not summed yet */
const rfm_view *rfm_offline_view(const rfm_offline *offline, uint32_t task);
const rfm_worker_stats *rfm_offline_stats(const rfm_offline *offline);

#endif
