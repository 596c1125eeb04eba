/* A year of the shop, taken by the engine without Kafka and Redis, and how a service begins with it: each task's view
 * is written to the WAL as its first record, which whoever takes the task over stores in Redis by the protocol
 * itself. */
#ifndef RFM_APP_DEMO_HISTORY_H
#define RFM_APP_DEMO_HISTORY_H

#include "kafka/producer.h"
#include "offline.h"
#include "shop.h"

typedef struct rfm_demo_history {
    rfm_shop *shop; /* at the history's end; goes on from there */
    rfm_offline *offline;
    uint64_t events;
    uint32_t quiet; /* clients of whom a moment comes soon after the end */
    double seconds; /* that it took */
    bool stopped;   /* by `progress`: it is not whole */
} rfm_demo_history;

/* Some clients bought last just so long ago that their win_back or review_request comes within minutes of until_ms: a
 * shop of a demo's size would see one in hours. `progress` is called now and then with the share done; false stops it.
 * RFM_E_REFUSED. */
int rfm_demo_history_run(rfm_demo_history *history, const rfm_config *config, uint32_t clients, uint64_t seed,
                         uint32_t partition_count, int64_t until_ms, bool (*progress)(double share), rfm_error *error);
/* Before any worker starts. */
int rfm_demo_history_publish(const rfm_demo_history *history, const rfm_config *config, uint32_t partition_count,
                             rfm_producer *producer, rfm_error *error);
void rfm_demo_history_release(rfm_demo_history *history);

#endif
