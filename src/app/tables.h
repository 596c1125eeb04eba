/* A task's tables as commands read them: out of Redis, or out of the view that a replay has made. */
#ifndef RFM_APP_TABLES_H
#define RFM_APP_TABLES_H

#include "config/config.h"
#include "redis/reader.h"

#include <rfm/client/kpi_report.h>
#include <rfm/engine/keys.h>
#include <rfm/engine/view.h>

typedef struct rfm_tables {
    rfm_store_reader *reader; /* NULL: the view's */
    const rfm_view *view;
    uint32_t task;
} rfm_tables;

/* Connects to the configuration's Redis and asks for how many partitions its state was made. The reader's errors;
 * *reader, which may be set all the same, is then to be freed too. SIGPIPE is ignored from now on. */
int rfm_tables_open(const rfm_config *config, rfm_store_reader **reader, uint32_t *partition_count, rfm_error *error);
/* The reader's errors; RFM_E_CORRUPT. */
int rfm_tables_names(const rfm_tables *from, rfm_names *names, rfm_error *error); /* which are cleared before */
/* Added to what is there. */
int rfm_tables_kpi(const rfm_tables *from, rfm_kpi_sums *sums, const rfm_names *names, rfm_error *error);
int rfm_tables_population(const rfm_tables *from, rfm_population *population, rfm_error *error);

/* The two below: out of Redis alone; a view is walked by itself (rfm_view_next_client).
 * A client's packed state, until the next call; at NULL: unknown. */
int rfm_tables_client(const rfm_tables *from, rfm_bytes id, rfm_bytes *packed, rfm_error *error);
/* All clients, in no order, each of those that are there throughout once. False from `each`, which must not use the
 * reader, ends it. */
typedef bool (*rfm_tables_each)(void *owner, rfm_bytes id, rfm_bytes packed);
int rfm_tables_clients(const rfm_tables *from, rfm_tables_each each, void *owner, rfm_error *error);

/* Edges of the tasks from 0 on; views NULL: of Redis. `stop`, which may be NULL, is looked at between tasks:
 * RFM_E_AWAY. */
int rfm_tables_edges(rfm_store_reader *reader, rfm_view *const *views, uint32_t task_count, const _Atomic bool *stop,
                     rfm_edges *edges, rfm_error *error);

#endif
