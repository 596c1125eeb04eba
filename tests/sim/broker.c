#include "sim.h"

#include <stdlib.h>
#include <string.h>

void sim_broker_init(sim_world *sim)
{
    for (size_t task = 0; task < SIM_TASKS; task++) {
        sim->broker.committed[task].wal = RFM_OFFSET_NONE;
        for (size_t i = 0; i < RFM_INPUTS_MAX; i++)
            sim->broker.committed[task].next[i] = RFM_OFFSET_NONE;
    }
}

void sim_broker_release(sim_world *sim)
{
    sim_broker *broker = &sim->broker;
    for (size_t task = 0; task < SIM_TASKS; task++) {
        for (size_t i = 0; i < SIM_INPUTS; i++)
            free(broker->input[task][i].items);
        free(broker->wal[task].items);
        free(broker->chain[task].items);
        free(broker->chain[task].part);
    }
    for (size_t i = 0; i < SIM_TOPICS; i++)
        free(broker->out[i].items);
    for (size_t i = 0; i < SIM_NODES; i++)
        if (broker->producer[i].transaction)
            free(broker->producer[i].transaction->records);
}

static void append(sim_log *log, const sim_record *record)
{
    sim_push(log->items, log->count, log->size, *record);
}

void sim_broker_append(sim_world *sim, uint32_t task, uint8_t input, rfm_bytes key, rfm_bytes value, int64_t append_ms)
{
    append(&sim->broker.input[task][input], &(sim_record){.key = key, .value = value, .append_ms = append_ms});
}

void sim_broker_append_gap(sim_world *sim, uint32_t task, uint8_t input)
{
    append(&sim->broker.input[task][input], &(sim_record){.control = true});
}

/* Until its log has the marker, whatever is decided. */
static bool is_open(const sim_log *log, const sim_record *record)
{
    const sim_transaction *transaction = record->transaction;
    if (!transaction || record->control)
        return false;
    for (size_t i = 0; i < transaction->marker_count; i++)
        if (transaction->markers[i].log == log)
            return !transaction->markers[i].written;
    return true;
}

size_t sim_log_stable(sim_log *log)
{
    while (log->stable < log->count && !is_open(log, &log->items[log->stable]))
        log->stable++;
    return log->stable;
}

bool sim_record_visible(const sim_record *record)
{
    return !record->control && (!record->transaction || record->transaction->outcome == SIM_COMMITTED);
}

/* Its producer may begin another. */
static void complete(sim_world *sim, sim_transaction *transaction)
{
    sim_trace(sim, "broker: the transaction of sim-%u is %s everywhere", transaction->producer,
              transaction->outcome == SIM_COMMITTED ? "committed" : "aborted");
    sim->broker.transactions_open--;
    free(transaction->records);
    transaction->records = NULL;
    transaction->count = 0;
    sim->broker.producer[transaction->producer].transaction = NULL;
}

static void write_marker(sim_world *sim, void *argument)
{
    sim_marker *marker = argument;
    sim_transaction *transaction = marker->transaction;
    marker->written = true;
    if (marker->log)
        append(marker->log, &(sim_record){.transaction = transaction, .control = true});
    else if (transaction->outcome == SIM_COMMITTED)
        sim->broker.committed[marker->task] = transaction->offsets[marker->task];
    if (--transaction->markers_left == 0)
        complete(sim, transaction);
}

static void add_marker(sim_transaction *transaction, sim_log *log, uint32_t task)
{
    for (size_t i = 0; log && i < transaction->marker_count; i++)
        if (transaction->markers[i].log == log)
            return;
    RFM_ASSERT(transaction->marker_count < sizeof transaction->markers / sizeof *transaction->markers);
    transaction->markers[transaction->marker_count++] = (sim_marker){
        .transaction = transaction, .log = log, .task = task};
}

/* From here on it is so. Each log, and each task's offsets, learns of it at a time of its own. */
static void decide(sim_world *sim, sim_transaction *transaction, sim_outcome outcome)
{
    transaction->outcome = outcome;
    for (size_t i = 0; i < transaction->count; i++)
        add_marker(transaction, transaction->records[i].log, 0);
    for (uint32_t task = 0; task < SIM_TASKS; task++)
        if (transaction->has_offsets[task])
            add_marker(transaction, NULL, task);
    transaction->markers_left = transaction->marker_count;
    for (size_t i = 0; i < transaction->marker_count; i++)
        sim_after(sim, sim_delay(sim), write_marker, &transaction->markers[i]);
    if (transaction->marker_count == 0)
        complete(sim, transaction);
}

static void time_out(sim_world *sim, void *argument)
{
    sim_transaction *transaction = argument;
    if (transaction->outcome != SIM_OPEN)
        return;
    sim_trace(sim, "broker: the transaction of sim-%u timed out", transaction->producer);
    sim->broker.producer[transaction->producer].epoch++;
    decide(sim, transaction, SIM_ABORTED);
}

sim_reply sim_broker_init_producer(sim_world *sim, uint32_t producer, uint32_t *epoch)
{
    sim_producer *at = &sim->broker.producer[producer];
    if (at->transaction && at->transaction->outcome == SIM_OPEN) {
        at->epoch++;
        decide(sim, at->transaction, SIM_ABORTED);
    }
    if (at->transaction)
        return SIM_AGAIN;
    *epoch = ++at->epoch;
    return SIM_OK;
}

static sim_reply open_transaction(sim_world *sim, uint32_t producer, uint32_t epoch)
{
    sim_producer *at = &sim->broker.producer[producer];
    if (at->epoch != epoch)
        return SIM_FENCED;
    if (at->transaction)
        return at->transaction->outcome == SIM_OPEN ? SIM_OK : SIM_AGAIN;
    at->transaction = sim_take(sim, sizeof *at->transaction);
    at->transaction->producer = producer;
    sim->broker.transactions_open++;
    /* The broker looks for them only now and then. */
    sim_after(sim, (sim->options.transaction_ms + (int64_t)sim_below(sim, 10000)) * 1000, time_out, at->transaction);
    return SIM_OK;
}

sim_reply sim_broker_produce(sim_world *sim, uint32_t producer, uint32_t epoch, const rfm_message *message,
                             int64_t *offset)
{
    sim_reply reply = open_transaction(sim, producer, epoch);
    if (reply != SIM_OK)
        return reply;
    sim_log *log = message->topic == RFM_TOPIC_WAL ? &sim->broker.wal[message->partition]
                                                   : &sim->broker.out[message->topic];
    sim_transaction *transaction = sim->broker.producer[producer].transaction;
    sim_push(transaction->records, transaction->count, transaction->size, (sim_place){log, log->count});
    *offset = (int64_t)log->count;
    append(log,
           &(sim_record){
               .key = message->key, .value = message->value, .headers = message->headers, .transaction = transaction});
    return SIM_OK;
}

void sim_broker_send(sim_world *sim, const rfm_message *message)
{
    if (message->topic == RFM_TOPIC_WAL)
        sim_fail(sim, "a WAL message without a transaction");
    sim_record record = {.key = message->key, .value = message->value, .headers = message->headers};
    append(&sim->broker.out[message->topic], &record);
    sim_check_sent(sim, message->topic, &record);
}

void sim_broker_commit_offsets(sim_world *sim, uint64_t member, uint32_t generation, uint32_t task,
                               const rfm_position *to)
{
    if (sim_group_accepts(sim, member, generation))
        sim->broker.committed[task] = *to;
}

sim_reply sim_broker_send_offsets(sim_world *sim, uint32_t producer, uint32_t epoch, uint64_t member,
                                  uint32_t generation, uint32_t task, const rfm_position *to)
{
    sim_reply reply = open_transaction(sim, producer, epoch);
    if (reply != SIM_OK)
        return reply;
    bool none = true;
    for (size_t i = 0; i < sim->options.inputs; i++)
        none = none && to->next[i] == RFM_OFFSET_NONE;
    if (none) /* Kafka looks at the generation only where there is an offset */
        sim_fail(sim, "task %u: a step without an offset, which nothing fences", task);
    if (!sim_group_accepts(sim, member, generation))
        return SIM_FENCED;
    sim_transaction *transaction = sim->broker.producer[producer].transaction;
    transaction->has_offsets[task] = true;
    transaction->offsets[task] = *to;
    return SIM_OK;
}

sim_reply sim_broker_commit(sim_world *sim, uint32_t producer, uint32_t epoch)
{
    sim_producer *at = &sim->broker.producer[producer];
    if (at->epoch != epoch || !at->transaction || at->transaction->outcome != SIM_OPEN)
        return SIM_FENCED;
    sim_check_committed(sim, at->transaction);
    decide(sim, at->transaction, SIM_COMMITTED);
    return SIM_OK;
}

static bool offsets_marked(const sim_transaction *transaction, uint32_t task)
{
    for (size_t i = 0; i < transaction->marker_count; i++)
        if (!transaction->markers[i].log && transaction->markers[i].task == task)
            return transaction->markers[i].written;
    return false;
}

bool sim_broker_offsets_pending(const sim_world *sim, uint32_t task)
{
    for (size_t i = 0; i < SIM_NODES; i++) {
        const sim_transaction *transaction = sim->broker.producer[i].transaction;
        if (transaction && transaction->has_offsets[task] && !offsets_marked(transaction, task))
            return true;
    }
    return false;
}

static void expire_until(sim_log *log, int64_t offset)
{
    if (offset > (int64_t)log->begin)
        log->begin = (size_t)offset;
}

void sim_broker_expire(sim_world *sim)
{
    for (uint32_t task = 0; task < SIM_TASKS; task++) {
        int64_t oldest = sim_store_oldest(sim, task);
        for (size_t i = 0; i < sim->options.inputs; i++)
            expire_until(&sim->broker.input[task][i], sim->broker.committed[task].next[i]);
        expire_until(&sim->broker.wal[task], oldest + 1);
    }
}
