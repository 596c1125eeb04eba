#include "sim.h"

#include <engine/fault.h>
#include <rfm/base/hash.h>
#include <rfm/client/json.h>
#include <rfm/client/kpi.h>
#include <rfm/event/headers.h>
#include <rfm/rule/decide.h>
#include <rfm/rule/notes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { QUIET_US = 1500000, PATIENCE_US = 120000000, SLOWLY_US = 80000000, HALT_US = 30000000, SLACK_US = 2000000 };
/* Of the cache beyond its limit, at rest; at any time what a step has changed and what is being loaded may not leave
 * it. */
enum { REST_BYTES_MAX = 16384, HELD_BYTES_MAX = 65536 };

/* -- sets of ids */

uint32_t sim_seen_find(const sim_seen *seen, rfm_bytes id)
{
    size_t cursor = RFM_TABLE_START;
    for (uint32_t i; (i = rfm_table_find(&seen->table, rfm_hash64(id), &cursor)) != RFM_TABLE_NONE;)
        if (rfm_bytes_equal(seen->id[i], id))
            return i;
    return RFM_TABLE_NONE;
}

static void see(sim_world *sim, sim_seen *seen, rfm_bytes id, rfm_bytes what, const char *name)
{
    uint32_t before = sim_seen_find(seen, id);
    if (before != RFM_TABLE_NONE && sim->options.at_least_once)
        return;
    if (before != RFM_TABLE_NONE) {
        sim_fail(sim, "%s is committed twice: %.*s\n  %.*s\n  %.*s", name, (int)id.len, (const char *)id.at,
                 (int)seen->what[before].len, (const char *)seen->what[before].at, (int)what.len,
                 (const char *)what.at);
        return;
    }
    size_t count = seen->count;
    sim_push(seen->id, seen->count, seen->size, rfm_arena_copy(&sim->arena, id));
    sim_push(seen->what, count, seen->what_size, what);
    rfm_table_add(&seen->table, rfm_hash64(id), (uint32_t)(seen->count - 1));
}

void sim_checks_init(sim_world *sim)
{
    rfm_table_init(&sim->checks.triggers.table, 64);
    rfm_table_init(&sim->checks.dead_letters.table, 64);
    rfm_table_init(&sim->checks.audits.table, 64);
}

static void release_seen(sim_seen *seen)
{
    rfm_table_release(&seen->table);
    free(seen->id);
    free(seen->what);
}

void sim_checks_release(sim_world *sim)
{
    release_seen(&sim->checks.triggers);
    release_seen(&sim->checks.dead_letters);
    release_seen(&sim->checks.audits);
}

/* -- what is committed */

static int64_t last_link(const sim_chain *chain)
{
    return chain->count > 0 ? chain->items[chain->count - 1].last : RFM_OFFSET_NONE;
}

static void check_next(sim_world *sim, uint32_t task, const rfm_redo_header *header)
{
    const sim_chain *chain = &sim->broker.chain[task];
    for (size_t i = 0; i < sim->options.inputs; i++) {
        int64_t count = (int64_t)sim->broker.input[task][i].count;
        int64_t before = chain->count > 0 ? chain->items[chain->count - 1].next[i] : RFM_OFFSET_NONE;
        if (header->next[i] < before || header->next[i] > count)
            sim_fail(sim, "task %u: input %zu goes from %lld to %lld of %lld", task, i, (long long)before,
                     (long long)header->next[i], (long long)count);
    }
}

/* A heartbeat changes neither clients nor lists. */
static bool changes_something(rfm_bytes rest)
{
    rfm_redo_item item;
    while (rfm_redo_next(&rest, &item))
        if (!rfm_bytes_is(item.key, "n:task"))
            return true;
    return false;
}

/* A redo record follows the one that was committed before it, its parts one another. */
static void commit_part(sim_world *sim, uint32_t task, const sim_record *record, size_t offset, size_t *parts)
{
    sim_chain *chain = &sim->broker.chain[task];
    rfm_redo_header header;
    rfm_bytes rest;
    if (rfm_redo_open(record->value, &header, &rest) != RFM_OK) {
        sim_fail(sim, "WAL [%u] %zu cannot be read", task, offset);
        return;
    }
    if (header.before != last_link(chain) || header.part != *parts + 1) {
        sim_fail(sim, "WAL [%u] %zu follows %lld (part %u), but %lld (part %zu) was committed last", task, offset,
                 (long long)header.before, header.part, (long long)last_link(chain), *parts);
        return;
    }
    check_next(sim, task, &header);
    sim->checks.changes += changes_something(rest);
    sim_push(chain->part, chain->part_count, chain->part_size, record->value);
    if (++*parts < header.parts)
        return;
    sim_link link = {.last = (int64_t)offset,
                     .first_part = chain->part_count - *parts,
                     .parts = *parts,
                     .committed_us = sim->now_us};
    memcpy(link.next, header.next, sizeof link.next);
    sim_push(chain->items, chain->count, chain->size, link);
    *parts = 0;
}

static void check_offsets(sim_world *sim, const sim_transaction *transaction, uint32_t task, bool has_redo)
{
    const sim_chain *chain = &sim->broker.chain[task];
    if (RFM_FAULT(OFFSETS_OUTSIDE)) /* what comes of it is to be seen */
        return;
    if (has_redo != transaction->has_offsets[task]) {
        sim_fail(sim, "task %u: a transaction has %s", task,
                 has_redo ? "a redo record but no offsets" : "offsets but no redo record");
        return;
    }
    if (!has_redo)
        return;
    const rfm_position *to = &transaction->offsets[task];
    bool same = to->wal == last_link(chain);
    for (size_t i = 0; i < sim->options.inputs; i++)
        same = same && to->next[i] == chain->items[chain->count - 1].next[i];
    if (!same)
        sim_fail(sim, "task %u: offsets are committed that the redo record does not lead to", task);
}

static void commit_message(sim_world *sim, size_t topic, const sim_record *record)
{
    rfm_bytes id = RFM_BYTES_NONE, partition, offset, why;
    char text[256];
    if (topic == RFM_TOPIC_DEAD_LETTERS) {
        if (!rfm_headers_find(record->headers, "rfmd.topic", &id) ||
            !rfm_headers_find(record->headers, "rfmd.partition", &partition) ||
            !rfm_headers_find(record->headers, "rfmd.offset", &offset)) {
            sim_fail(sim, "a dead letter without its position");
            return;
        }
        int len = snprintf(text, sizeof text, "%.*s [%.*s] %.*s", (int)id.len, (const char *)id.at, (int)partition.len,
                           (const char *)partition.at, (int)offset.len, (const char *)offset.at);
        see(sim, &sim->checks.dead_letters, rfm_bytes_of(text, (size_t)len), record->value, "a dead letter");
        return;
    }
    if (!rfm_headers_find(record->headers, "ce_id", &id)) {
        sim_fail(sim, "a trigger without an id");
        return;
    }
    if (topic >= RFM_TOPIC_TRIGGERS) {
        see(sim, &sim->checks.triggers, id, record->value, "a trigger");
        return;
    }
    const char *at = memmem(record->value.at, record->value.len, "\"suppressed_by\":", 16);
    why = at ? rfm_bytes_of(at, (size_t)((const char *)record->value.at + record->value.len - at)) : RFM_BYTES_NONE;
    int len = snprintf(text, sizeof text, "%.*s %.*s", (int)id.len, (const char *)id.at, (int)why.len,
                       why.len ? (const char *)why.at : "");
    see(sim, &sim->checks.audits, rfm_bytes_of(text, (size_t)len), record->value, "an audit record");
}

void sim_check_sent(sim_world *sim, size_t topic, const sim_record *record)
{
    commit_message(sim, topic, record);
}

void sim_check_committed(sim_world *sim, const sim_transaction *transaction)
{
    size_t parts[SIM_TASKS] = {0};
    bool has_redo[SIM_TASKS] = {false};
    for (size_t i = 0; i < transaction->count && !sim->failed; i++) {
        sim_log *log = transaction->records[i].log;
        size_t at = transaction->records[i].at;
        if (log >= sim->broker.wal && log < sim->broker.wal + SIM_TASKS) {
            uint32_t task = (uint32_t)(log - sim->broker.wal);
            has_redo[task] = true;
            commit_part(sim, task, &log->items[at], at, &parts[task]);
        } else {
            commit_message(sim, (size_t)(log - sim->broker.out), &log->items[at]);
        }
    }
    for (uint32_t task = 0; task < SIM_TASKS && !sim->failed; task++) {
        if (parts[task] > 0)
            sim_fail(sim, "task %u: a redo record is committed in part", task);
        else
            check_offsets(sim, transaction, task, has_redo[task]);
    }
}

/* -- what is stored: the redo records that follow what Redis holds, whole ones, committed, nothing left out */

/* at_least_once: one whole change, made on what Redis holds, which gets a value above that. */
static void check_change(sim_world *sim, const rfm_view *view, const rfm_effect *store)
{
    int64_t before = rfm_wal_value_parse(rfm_view_wal(view)), after = rfm_wal_value_parse(store->store.wal_value);
    bool good = after > before && store->store.redo_count > 0;
    for (size_t i = 0; i < store->store.redo_count; i++) {
        rfm_redo_header header = {0};
        rfm_bytes rest;
        good = good && rfm_redo_open(store->store.redo[i], &header, &rest) == RFM_OK && header.part == i + 1 &&
               header.parts == store->store.redo_count && header.before == before;
        sim->checks.changes += good && changes_something(rest);
    }
    if (!good)
        sim_fail(sim, "task %u: what is stored on %lld and makes it %lld was not made on it", store->task,
                 (long long)before, (long long)after);
}

static void count_removals(sim_world *sim, const rfm_effect *store)
{
    rfm_redo_header header;
    rfm_redo_item item;
    for (size_t i = 0; i < store->store.redo_count; i++) {
        rfm_bytes rest;
        if (rfm_redo_open(store->store.redo[i], &header, &rest) != RFM_OK)
            return;
        while (rfm_redo_next(&rest, &item))
            sim->checks.removals += item.op == RFM_REDO_LIST_REMOVE;
    }
}

void sim_check_stored(sim_world *sim, const rfm_view *view, const rfm_effect *store)
{
    uint32_t task = store->task;
    count_removals(sim, store);
    if (sim->options.at_least_once) {
        check_change(sim, view, store);
        return;
    }
    const sim_chain *chain = &sim->broker.chain[task];
    int64_t before = rfm_wal_value_parse(rfm_view_wal(view)), after = rfm_wal_value_parse(store->store.wal_value);
    size_t at = 0, part = 0;
    while (at < chain->count && chain->items[at].last <= before)
        at++;
    if (before != (at == 0 ? RFM_OFFSET_NONE : chain->items[at - 1].last)) {
        sim_fail(sim, "task %u: Redis holds %lld, which is not committed", task, (long long)before);
        return;
    }
    int64_t reached = before;
    for (; at < chain->count && part < store->store.redo_count; at++) {
        for (size_t i = 0; i < chain->items[at].parts; i++, part++) {
            if (part < store->store.redo_count &&
                rfm_bytes_equal(store->store.redo[part], chain->part[chain->items[at].first_part + i]))
                continue;
            sim_fail(sim, "task %u: what is stored on %lld is not the redo that was committed after it", task,
                     (long long)before);
            return;
        }
        reached = chain->items[at].last;
    }
    if (part < store->store.redo_count || reached != after)
        sim_fail(sim, "task %u: stored on %lld, Redis is said to hold %lld, but the redo leads to %lld", task,
                 (long long)before, (long long)after, (long long)reached);
}

/* -- has all come to rest? */

/* No record is left; markers may be, until the next heartbeat. */
static bool is_read(const sim_log *log, int64_t next)
{
    if (next == RFM_OFFSET_NONE)
        return log->count == 0;
    for (size_t at = (size_t)next; at < log->count; at++)
        if (sim_record_visible(&log->items[at]))
            return false;
    return true;
}

static bool task_done(const sim_world *sim, uint32_t task)
{
    for (size_t i = 0; i < sim->options.inputs; i++)
        if (!is_read(&sim->broker.input[task][i], sim->broker.committed[task].next[i]))
            return false;
    if (sim->options.at_least_once) /* the offsets were committed after Redis had them, with its value */
        return rfm_wal_value_parse(rfm_view_wal(sim->store.view[task])) == sim->broker.committed[task].wal;
    return rfm_wal_value_parse(rfm_view_wal(sim->store.view[task])) == last_link(&sim->broker.chain[task]);
}

/* Every task has an owner that has taken it over. */
static bool all_owned(const sim_world *sim)
{
    size_t held = 0;
    for (size_t i = 0; i < sim->options.nodes; i++) {
        const sim_node *node = &sim->node[i];
        for (size_t task = 0; task < SIM_TASKS; task++)
            held += node->held[task];
        if (!node->alive || node->paused_until_us > sim->now_us || !rfm_worker_ready(node->worker))
            return false;
    }
    return held == SIM_TASKS && !sim->group.rebalancing;
}

static bool all_done(const sim_world *sim)
{
    if (sim->broker.transactions_open > 0)
        return false;
    for (size_t i = 0; i < sim->options.nodes;
         i++) /* between two pages of lists there is a moment without anything under way */
        if (!rfm_worker_settled(sim->node[i].worker) || rfm_worker_stats_of(sim->node[i].worker)->timers_due > 0)
            return false;
    for (uint32_t task = 0; task < SIM_TASKS; task++)
        if (!task_done(sim, task))
            return false;
    return true;
}

static void say_what_waits(sim_world *sim)
{
    char text[1024] = "";
    size_t len = 0;
    for (uint32_t task = 0; task < SIM_TASKS; task++)
        len += (size_t)snprintf(text + len, sizeof text - len, " task %u: next %lld of %zu, WAL %lld, Redis %lld;",
                                task, (long long)sim->broker.committed[task].next[0], sim->broker.input[task][0].count,
                                (long long)last_link(&sim->broker.chain[task]),
                                (long long)rfm_wal_value_parse(rfm_view_wal(sim->store.view[task])));
    for (size_t i = 0; i < sim->options.nodes; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, " node %zu: %s, ready %d, settled %d, takes %d;", i,
                                sim->node[i].alive ? "alive" : "dead",
                                sim->node[i].alive && rfm_worker_ready(sim->node[i].worker),
                                sim->node[i].alive && rfm_worker_settled(sim->node[i].worker),
                                sim->node[i].alive && rfm_worker_takes(sim->node[i].worker));
    sim_fail(sim, "it does not come to rest:%s %zu of %zu records appended, %zu transactions open", text,
             sim->shop.appended, sim->shop.count, sim->broker.transactions_open);
}

/* At any time: what waits for Redis ends the intake, but for the step in the making and the one under way. */
void sim_check_bounds(sim_world *sim, const sim_node *node)
{
    const rfm_worker_stats *stats = rfm_worker_stats_of(node->worker);
    if (!sim->options.at_least_once && stats->dirty_bytes > sim->options.dirty_bytes_max + 2 * node->step_bytes_max)
        sim_fail(sim, "%s: %llu bytes wait to be stored, of %zu, and the largest step has %zu", node->id,
                 (unsigned long long)stats->dirty_bytes, sim->options.dirty_bytes_max, node->step_bytes_max);
    if (stats->cache_bytes > sim->options.cache_bytes_max + HELD_BYTES_MAX)
        sim_fail(sim, "%s: the cache holds %llu bytes of %zu", node->id, (unsigned long long)stats->cache_bytes,
                 sim->options.cache_bytes_max);
}

/* What rests is in its bounds, and says with every quarter of the WAL's retention that it is there. */
static void check_at_rest(sim_world *sim)
{
    for (size_t i = 0; i < sim->options.nodes; i++) {
        const rfm_worker_stats *stats = rfm_worker_stats_of(sim->node[i].worker);
        if (stats->dirty_bytes != 0)
            sim_fail(sim, "%s: all is stored, but %llu bytes are said to wait", sim->node[i].id,
                     (unsigned long long)stats->dirty_bytes);
        if (stats->cache_bytes > sim->options.cache_bytes_max + REST_BYTES_MAX)
            sim_fail(sim, "%s: the cache holds %llu bytes of %zu", sim->node[i].id,
                     (unsigned long long)stats->cache_bytes, sim->options.cache_bytes_max);
    }
    for (uint32_t task = 0; task < SIM_TASKS && !sim->options.at_least_once; task++) {
        const sim_chain *chain = &sim->broker.chain[task];
        int64_t last_us = chain->count > 0 ? chain->items[chain->count - 1].committed_us : 0;
        last_us = last_us > sim->checks.quiet_since_us ? last_us : sim->checks.quiet_since_us;
        if (sim->now_us - last_us > sim->options.wal_idle_ms * 1000 + SLACK_US)
            sim_fail(sim, "task %u: nothing was written to the WAL for %lld ms", task,
                     (long long)(sim->now_us - last_us) / 1000);
    }
}

/* Long enough for an idle owner to write, where that is soon. */
static int64_t quiet_us(const sim_world *sim)
{
    return sim->options.wal_idle_ms < 5000 ? sim->options.wal_idle_ms * 1000 + SLACK_US + QUIET_US : QUIET_US;
}

bool sim_check_settled(sim_world *sim)
{
    sim_checks *checks = &sim->checks;
    if (sim->doom.met)
        return true;
    if (sim->doom.expected && sim->now_us - sim->doom.since_us > HALT_US)
        sim_fail(sim, "it goes on, but should have halted: ...%s...", sim->doom.expected);
    if (sim->now_us > PATIENCE_US + (sim->options.message_us ? SLOWLY_US : 0))
        say_what_waits(sim);
    bool owned = all_owned(sim);
    if (!owned || checks->changes != checks->changes_before || sim->faults || sim->shop.appended < sim->shop.count)
        checks->quiet_since_us = sim->now_us;
    checks->changes_before = checks->changes;
    if (!owned || sim->now_us - checks->quiet_since_us < quiet_us(sim) || !all_done(sim))
        return false;
    check_at_rest(sim);
    return true;
}

/* -- the end */

static size_t load(sim_world *sim, uint32_t task, rfm_load_kind what, const char *key, const rfm_bytes **values)
{
    rfm_bytes name = rfm_text(key);
    rfm_effect effect = {.kind = RFM_OUT_LOAD, .load = {.what = what, .keys = &name, .count = 1, .length = INT64_MAX}};
    return rfm_view_load(sim->store.view[task], &effect, &sim->arena, values);
}

static int64_t number_of(rfm_bytes text)
{
    char copy[32];
    snprintf(copy, sizeof copy, "%.*s", (int)text.len, (const char *)text.at);
    return strtoll(copy, NULL, 10);
}

static rfm_names *names_of(sim_world *sim, uint32_t task)
{
    const rfm_bytes *values;
    size_t count = load(sim, task, RFM_LOAD_HASH, "names", &values);
    rfm_names *names = rfm_names_new();
    for (size_t i = 0; i + 1 < count; i += 2)
        if (rfm_names_restore(names, (uint16_t)number_of(values[i]), values[i + 1]) != RFM_OK)
            sim_fail(sim, "task %u: the names cannot be read", task);
    return names;
}

static bool state_of(sim_world *sim, uint32_t task, rfm_bytes client_id, rfm_client *client)
{
    rfm_bytes packed = rfm_view_client(sim->store.view[task], client_id);
    if (!packed.at)
        return false;
    if (rfm_client_decode(packed, client) != RFM_OK)
        sim_fail(sim, "the state of %.*s cannot be read", (int)client_id.len, (const char *)client_id.at);
    return true;
}

/* Everything in a state, but with names for their numbers, which may differ from run to run. */
static void describe(sim_world *sim, rfm_buffer *text, rfm_bytes client_id, const rfm_client *client,
                     const rfm_names *names)
{
    rfm_client_conf *conf = sim_take(sim, sizeof *conf);
    rfm_error error = {0};
    sim_shop_conf(sim, conf);
    int64_t as_of_ms = SIM_START_MS + sim->options.span_ms + RFM_DAY_MS;
    if (rfm_client_json(text, client_id, client, conf, names, NULL, as_of_ms, &error) != RFM_OK)
        sim_fail(sim, "%s", error.message);
    rfm_write_u8(text, ',');
    rfm_slots_json(text, client_id, client, names);
    rfm_write_format(text, "} marks %d %d %lld %u listed %lld", client->marks.taken, client->marks.lifecycle,
                     (long long)client->marks.since_ms, client->marks.version, (long long)client->listed_ms);
    for (size_t i = 0; i < client->order_count; i++)
        rfm_write_format(text, " %llx:%lld", (unsigned long long)client->order[i].id39,
                         (long long)client->order[i].left_minor);
    for (size_t i = 0; i < client->seen_count; i++)
        rfm_write_format(text, " %llx", (unsigned long long)client->seen[i].id39);
    rfm_write_u8(text, 0);
}

static uint32_t task_of(rfm_bytes client_id)
{
    return rfm_partition_of(RFM_PARTITIONER_MURMUR2, client_id, SIM_TASKS);
}

static void check_client(sim_world *sim, sim_world *reference, size_t number, rfm_names *const *names,
                         rfm_names *const *names_there)
{
    static const sim_facts nothing;
    rfm_client client, there;
    rfm_bytes client_id = sim->shop.client_id[number];
    const char *id = (const char *)client_id.at;
    uint32_t task = task_of(client_id);
    const sim_facts *facts = &sim->shop.facts[number];
    bool known = state_of(sim, task, client_id, &client);
    if (!known) {
        if (memcmp(facts, &nothing, sizeof nothing) != 0)
            sim_fail(sim, "%s: no state, but %u orders and %u visits", id, facts->orders, facts->visits);
        return;
    }
    if (client.orders != facts->orders || client.refunds != facts->refunds || client.visits != facts->visits ||
        client.revenue_minor != facts->revenue_minor)
        sim_fail(sim, "%s: %u orders, %u refunds, %u visits, revenue %lld; there were %u, %u, %u and %lld", id,
                 client.orders, client.refunds, client.visits, (long long)client.revenue_minor, facts->orders,
                 facts->refunds, facts->visits, (long long)facts->revenue_minor);
    if (!reference || sim->failed)
        return;
    rfm_buffer text, text_there;
    rfm_buffer_init(&text, 1 << 16);
    rfm_buffer_init(&text_there, 1 << 16);
    describe(sim, &text, client_id, &client, names[task]);
    bool same = state_of(reference, task, client_id, &there);
    if (same)
        describe(reference, &text_there, client_id, &there, names_there[task]);
    if (!same || strcmp((char *)text.at, (char *)text_there.at) != 0)
        sim_fail(sim, "%s differs from the run without faults:\n  %s\n  %s", id, (char *)text.at,
                 same ? (char *)text_there.at : "absent there");
    rfm_buffer_release(&text);
    rfm_buffer_release(&text_there);
}

static void check_clients(sim_world *sim, sim_world *reference)
{
    rfm_names *names[SIM_TASKS], *names_there[SIM_TASKS] = {NULL};
    for (uint32_t task = 0; task < SIM_TASKS; task++) {
        names[task] = names_of(sim, task);
        names_there[task] = reference ? names_of(reference, task) : NULL;
    }
    for (size_t i = 0; i < sim->options.clients && !sim->failed; i++)
        check_client(sim, reference, i, names, names_there);
    for (uint32_t task = 0; task < SIM_TASKS; task++) {
        rfm_names_free(names[task]);
        rfm_names_free(names_there[task]);
    }
}

/* The population's counters are what the states sum up to. */
static void check_counter(sim_world *sim, uint32_t task, const char *key, const rfm_population *sum,
                          int64_t (*count_of)(const rfm_population *population, int64_t field), int64_t clients)
{
    const rfm_bytes *values;
    size_t count = load(sim, task, RFM_LOAD_HASH, key, &values);
    int64_t total = 0;
    for (size_t i = 0; i + 1 < count; i += 2) {
        int64_t field = number_of(values[i]), value = number_of(values[i + 1]);
        total += value;
        if (value != count_of(sum, field))
            sim_fail(sim, "task %u: %s counts %lld clients at %lld, there are %lld", task, key, (long long)value,
                     (long long)field, (long long)count_of(sum, field));
    }
    if (total != clients)
        sim_fail(sim, "task %u: %s counts %lld clients, there are %lld", task, key, (long long)total,
                 (long long)clients);
}

static int64_t day_count(const rfm_population *population, int64_t field)
{
    return rfm_population_day_count(population, (int32_t)field);
}
static int64_t bucket_count(const rfm_population *population, int64_t field)
{
    return rfm_population_bucket_count(population, (uint16_t)field);
}
static int64_t orders_count(const rfm_population *population, int64_t field)
{
    return rfm_population_orders_count(population, (uint16_t)field);
}

static rfm_tally *tally_of(sim_world *sim, uint32_t task)
{
    const rfm_bytes *values;
    rfm_tally *tally = rfm_tally_new();
    rfm_cell cell;
    size_t count = load(sim, task, RFM_LOAD_HASH, "n:kpi", &values);
    for (size_t i = 0; i + 1 < count; i += 2) {
        if (rfm_cell_parse(values[i], &cell) != RFM_OK)
            sim_fail(sim, "task %u: n:kpi has a field %.*s", task, (int)values[i].len, (const char *)values[i].at);
        else
            rfm_tally_add(tally, cell, number_of(values[i + 1]));
    }
    return tally;
}

/* Every cell of one that the other does not hold; of clients as they are now, which have no period, or of what
 * happened. */
static void compare_tallies(sim_world *sim, uint32_t task, bool now, const rfm_tally *here, const rfm_tally *there)
{
    char text[RFM_TALLY_FIELD_MAX];
    rfm_cell cell;
    int64_t value;
    for (size_t cursor = 0; rfm_tally_next(here, &cursor, &cell, &value) && !sim->failed;) {
        bool of_now = cell.period == 0 && !rfm_kpi_is_of_rule(cell.metric);
        if (of_now != now || rfm_tally_get(there, cell) == value)
            continue;
        rfm_cell_format(cell, text);
        sim_fail(sim, "task %u: n:kpi %s is %lld on one side, %lld on the other", task, text, (long long)value,
                 (long long)rfm_tally_get(there, cell));
    }
}

/* What clients are now is what the states sum up to; what happened is what happened in the run without faults. */
static void check_tally(sim_world *sim, sim_world *reference, uint32_t task, const rfm_tally *states)
{
    rfm_tally *tally = tally_of(sim, task);
    compare_tallies(sim, task, true, tally, states);
    compare_tallies(sim, task, true, states, tally);
    if (reference) {
        rfm_tally *there = tally_of(reference, task);
        compare_tallies(sim, task, false, tally, there);
        compare_tallies(sim, task, false, there, tally);
        rfm_tally_free(there);
    }
    rfm_tally_free(tally);
}

static bool is_listed(sim_world *sim, uint32_t task, const char *key, rfm_bytes client_id, size_t *times)
{
    const rfm_bytes *values;
    size_t count = load(sim, task, RFM_LOAD_LIST, key, &values);
    *times = 0;
    for (size_t i = 0; i < count; i++)
        *times += rfm_bytes_equal(values[i], client_id);
    return *times > 0;
}

static void check_lists(sim_world *sim, uint32_t task, rfm_bytes client_id, const rfm_client *client)
{
    char key[48];
    size_t times;
    snprintf(key, sizeof key, "ring:%d", (int)(rfm_hash64(client_id) % 1440));
    is_listed(sim, task, key, client_id, &times);
    if (times != 1)
        sim_fail(sim, "task %u: %s holds %.*s %zu times", task, key, (int)client_id.len, (const char *)client_id.at,
                 times);
    if (!client->listed_ms)
        return;
    snprintf(key, sizeof key, "due:%lld", (long long)((client->listed_ms + 999) / 1000));
    if (!is_listed(sim, task, key, client_id, &times))
        sim_fail(sim, "task %u: %.*s is due at %lld, but not in %s", task, (int)client_id.len,
                 (const char *)client_id.at, (long long)client->listed_ms, key);
}

static void check_unknown(sim_world *sim, uint32_t task, rfm_bytes value);

/* How many entries all minute lists have together, and how many due lists there are. */
static void count_lists(sim_world *sim, uint32_t task, size_t *in_minutes, size_t *due_lists)
{
    rfm_redo redo;
    rfm_redo_item item;
    const rfm_bytes *parts;
    rfm_bytes due = RFM_BYTES_NONE;
    int64_t next[RFM_INPUTS_MAX] = {0};
    rfm_redo_init(&redo, 0);
    rfm_redo_begin(&redo, 1);
    rfm_view_dump(sim->store.view[task], &redo);
    size_t count = rfm_redo_end(&redo, 0, next, &sim->arena, &parts);
    *in_minutes = *due_lists = 0;
    for (size_t i = 0; i < count; i++) {
        rfm_redo_header header;
        rfm_bytes rest;
        RFM_ASSERT(rfm_redo_open(parts[i], &header, &rest) == RFM_OK);
        while (rfm_redo_next(&rest, &item)) {
            if (item.op == RFM_REDO_LIST_ADD)
                check_unknown(sim, task, item.value);
            *in_minutes += item.key.len > 5 && memcmp(item.key.at, "ring:", 5) == 0;
            if (item.key.len < 5 || memcmp(item.key.at, "due:", 4) != 0 || rfm_bytes_equal(item.key, due))
                continue;
            due = item.key;
            (*due_lists)++;
        }
    }
    rfm_redo_release(&redo);
}

static void check_buckets(sim_world *sim, uint32_t task, size_t lists)
{
    const rfm_bytes *values, *entries;
    size_t count = load(sim, task, RFM_LOAD_HASH, "n:due", &values);
    char text[48];
    for (size_t i = 0; i + 1 < count; i += 2) {
        snprintf(text, sizeof text, "due:%lld", (long long)number_of(values[i]));
        int64_t listed = (int64_t)load(sim, task, RFM_LOAD_LIST, text, &entries);
        /* Who is erased, or has left too many buckets, may have stood there. */
        if (listed > number_of(values[i + 1]) || (listed < number_of(values[i + 1]) && !sim->checks.removals))
            sim_fail(sim, "task %u: %s has %lld entries, n:due says %lld", task, text, (long long)listed,
                     (long long)number_of(values[i + 1]));
    }
    if (lists > count / 2 || (lists < count / 2 && !sim->checks.removals))
        sim_fail(sim, "task %u: there are %zu due lists, n:due knows %zu", task, lists, count / 2);
}

/* Who has no state is in no list either. */
static void check_unknown(sim_world *sim, uint32_t task, rfm_bytes value)
{
    rfm_client client;
    for (size_t i = 0; i < sim->options.clients; i++)
        if (rfm_bytes_equal(sim->shop.client_id[i], value) && !state_of(sim, task, value, &client))
            sim_fail(sim, "task %u: %.*s has no state, but is listed", task, (int)value.len, (const char *)value.at);
}

static void check_task(sim_world *sim, sim_world *reference, uint32_t task)
{
    const rfm_kpi_standing nobody = {0};
    rfm_population *sum = rfm_population_new();
    rfm_tally *states = rfm_tally_new();
    rfm_bytes client_id, packed;
    rfm_view_cursor cursor = {0};
    size_t listed, due_lists, clients = 0;
    int64_t buyers = 0;
    while (rfm_view_next_client(sim->store.view[task], &cursor, &client_id, &packed) && !sim->failed) {
        rfm_client client;
        clients++;
        if (!state_of(sim, task, client_id, &client) || sim->failed)
            break;
        rfm_standing standing = rfm_client_standing(&client);
        if (standing.counted) {
            buyers++;
            rfm_population_add_day(sum, standing.day, 1);
            rfm_population_add_bucket(sum, standing.bucket, 1);
            rfm_population_add_orders(sum, standing.orders, 1);
        }
        rfm_kpi_move(states, &nobody, &client, NULL);
        check_lists(sim, task, client_id, &client);
    }
    count_lists(sim, task, &listed, &due_lists);
    if (listed != clients)
        sim_fail(sim, "task %u: %zu clients, but the minute lists hold %zu", task, clients, listed);
    check_counter(sim, task, "n:day", sum, day_count, buyers);
    check_counter(sim, task, "n:bucket", sum, bucket_count, buyers);
    check_counter(sim, task, "n:orders", sum, orders_count, buyers);
    check_buckets(sim, task, due_lists);
    check_tally(sim, reference, task, states);
    rfm_population_free(sum);
    rfm_tally_free(states);
}

static void check_thanks(sim_world *sim)
{
    const sim_seen *triggers = &sim->checks.triggers;
    size_t count = 0;
    for (size_t i = 0; i < sim->shop.purchases; i++)
        if (sim_seen_find(triggers, rfm_text(sim->shop.thanks[i])) == RFM_TABLE_NONE)
            sim_fail(sim, "thank_you %s was never sent", sim->shop.thanks[i]);
    for (size_t i = 0; i < triggers->count; i++)
        count += memmem(triggers->what[i].at, triggers->what[i].len, "\"rule\":\"thank_you\"", 18) != NULL;
    if (count != sim->shop.purchases)
        sim_fail(sim, "thank_you was sent %zu times for %zu purchases", count, sim->shop.purchases);
}

static void compare_seen(sim_world *sim, const sim_seen *here, const sim_seen *there, const char *name)
{
    for (size_t i = 0; i < here->count; i++) {
        uint32_t k = sim_seen_find(there, here->id[i]);
        if (k == RFM_TABLE_NONE)
            sim_fail(sim, "%s that the run without faults does not have: %.*s", name, (int)here->what[i].len,
                     (const char *)here->what[i].at);
        else if (!rfm_bytes_equal(here->what[i], there->what[k]))
            sim_fail(sim, "%s differs from the run without faults:\n  %.*s\n  %.*s", name, (int)here->what[i].len,
                     (const char *)here->what[i].at, (int)there->what[k].len, (const char *)there->what[k].at);
    }
    for (size_t i = 0; i < there->count; i++)
        if (sim_seen_find(here, there->id[i]) == RFM_TABLE_NONE)
            sim_fail(sim, "%s that only the run without faults has: %.*s", name, (int)there->what[i].len,
                     (const char *)there->what[i].at);
}

void sim_check_end(sim_world *here, sim_world *reference)
{
    if (here->doom.met)
        return;
    if (here->checks.dead_letters.count != here->shop.bad)
        sim_fail(here, "%zu dead letters for %zu bad records", here->checks.dead_letters.count, here->shop.bad);
    check_thanks(here);
    for (uint32_t task = 0; task < SIM_TASKS && !here->failed; task++)
        check_task(here, reference, task);
    if (here->failed)
        return;
    check_clients(here, reference);
    sim_check_idle_end(here);
    if (!reference)
        return;
    compare_seen(here, &here->checks.triggers, &reference->checks.triggers, "a trigger");
    compare_seen(here, &here->checks.audits, &reference->checks.audits, "an audit record");
}
