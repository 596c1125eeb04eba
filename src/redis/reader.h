/* Reading a worker's state from outside of it: own connection, one call after the other, blocking. Never writes. For
 * the `client` command and for the sums over all tasks' counters; what it sees may be a step behind or in the middle of
 * one. */
#ifndef RFM_REDIS_READER_H
#define RFM_REDIS_READER_H

#include "store.h"

typedef struct rfm_store_reader rfm_store_reader;

/* RFM_E_AWAY (cannot be reached now), RFM_E_DENIED (login), RFM_E_REFUSED (another's state: meta differs),
 * RFM_E_NOT_FOUND (no state under this prefix), and rfm_store_new's. */
int rfm_store_reader_new(const rfm_store_conf *conf, rfm_store_reader **reader, rfm_error *error);
void rfm_store_reader_free(rfm_store_reader *reader);

/* After RFM_E_AWAY or RFM_E_CORRUPT the next call connects anew. Keys are without prefix, as in ports.h. */
/* *value lasts until the next call; at NULL: absent. */
int rfm_store_reader_get(rfm_store_reader *reader, uint32_t task, rfm_bytes key, rfm_bytes *value, rfm_error *error);
int rfm_store_reader_field(rfm_store_reader *reader, uint32_t task, rfm_bytes key, rfm_bytes field, rfm_bytes *value,
                           rfm_error *error); /* of a hash */
/* field, value, field, value, ...; they last until the next call. */
int rfm_store_reader_hash(rfm_store_reader *reader, uint32_t task, rfm_bytes key, const rfm_bytes **values,
                          size_t *count, rfm_error *error);
/* The same of many keys, one after the other, several asked for at a time; of one that is absent `count` is 0. False
 * from `each`, which must not use the reader, ends it. */
typedef bool (*rfm_store_reader_each_hash)(void *owner, const rfm_bytes *values, size_t count);
int rfm_store_reader_hashes(rfm_store_reader *reader, uint32_t task, const rfm_bytes *keys, size_t count,
                            rfm_store_reader_each_hash each, void *owner, rfm_error *error);
/* All string keys of the task that start with `start`, by a pass over the server's keys: `rest` is what follows it. A
 * key that is there throughout comes once. */
typedef bool (*rfm_store_reader_each)(void *owner, rfm_bytes rest, rfm_bytes value);
int rfm_store_reader_scan(rfm_store_reader *reader, uint32_t task, rfm_bytes start, rfm_store_reader_each each,
                          void *owner, rfm_error *error);

/* The number of partitions that the state was made for, as `<prefix>:meta` has it; the reader goes by it from then on.
 * For whom does not ask Kafka: conf's partition_count may then be 1. RFM_E_VERSION: a newer program has made the
 * state. */
int rfm_store_reader_partitions(rfm_store_reader *reader, uint32_t *count, rfm_error *error);

#endif
