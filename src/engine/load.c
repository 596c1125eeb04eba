#include "inside.h"

#include <stdlib.h>

/* What is asked of Redis: clients, pages of lists, tables, or only `wal`. Each answer is compared with what was known
 * to be stored when it was asked for. */

/* Numbers follow each other, which the table would make one long run of. */
static uint64_t place_of(uint64_t number)
{
    number *= UINT64_C(0x9e3779b97f4a7c15);
    return number ^ number >> 32;
}

/* -- questions */

rfm__load *rfm__load_new(rfm_worker *worker, rfm__task *task, rfm__load_purpose purpose, rfm_load_kind what)
{
    rfm__load *load = rfm_spares_take(&worker->spare_loads);
    if (load == NULL) {
        load = calloc(1, sizeof *load);
        RFM_NEED(load != NULL);
        rfm_arena_init(&load->arena);
    }
    load->number = ++worker->load_number;
    load->task = task->number;
    load->purpose = purpose;
    load->what = what;
    load->sent = false;
    load->made_ms = worker->now_ms;
    load->from = load->length = 0;
    load->keys.count = load->fields.count = load->entries.count = 0;
    rfm_table_add(&worker->load_places, place_of(load->number), (uint32_t)worker->loads.count);
    rfm__push(&worker->loads, load);
    return load;
}

void rfm__load_key(rfm__load *load, rfm_bytes key, rfm_bytes field)
{
    rfm__push(&load->keys, rfm_arena_copy(&load->arena, key));
    rfm__push(&load->fields, field.at == NULL ? RFM_BYTES_NONE : rfm_arena_copy(&load->arena, field));
}

rfm_bytes rfm__loose_key(rfm_bytes client_id, uint8_t text[RFM__LOOSE_KEY_MAX])
{
    rfm_buffer key = rfm_buffer_over(text, RFM__LOOSE_KEY_MAX);
    rfm_write_text(&key, RFM_KEY_LOOSE);
    rfm_write_bytes(&key, client_id);
    return rfm_buffer_view(&key);
}

rfm__load *rfm__client_load_new(rfm_worker *worker, rfm__task *task)
{
    rfm__load *load = rfm__load_new(worker, task, RFM__FOR_CLIENTS, RFM_LOAD_VALUES);
    load->loose = rfm_may_be_loose(task->ring_minute, task->bundled_minute);
    worker->client_loads_left++;
    return load;
}

void rfm__load_client(rfm_worker *worker, rfm__load *load, uint32_t index)
{
    const rfm__entry *entry = rfm__cache_at(&worker->cache, index);
    rfm_bytes id = rfm__entry_key(entry);
    char bundle[RFM_BUNDLE_KEY_MAX];
    uint8_t loose[RFM__LOOSE_KEY_MAX];
    rfm__push(&load->entries, index);
    rfm__load_key(load, rfm_bundle_key(rfm_bundle_of(entry->hash), bundle), id);
    if (load->loose)
        rfm__load_key(load, rfm__loose_key(id, loose), RFM_BYTES_NONE);
}

void rfm__load_send(rfm_worker *worker, rfm__load *load)
{
    rfm__task *task = worker->tasks[load->task];
    if (load->sent || !task->linked)
        return;
    load->sent = true;
    load->known_wal = task->stored_wal;
    worker->stats.loads++;
    rfm__effect(worker, &(rfm_effect){.kind = RFM_OUT_LOAD,
                                      .task = task->number,
                                      .term = task->term,
                                      .load = {.load = load->number,
                                               .what = load->what,
                                               .keys = load->keys.items,
                                               .fields = load->fields.items,
                                               .count = load->keys.count,
                                               .from = load->from,
                                               .length = load->length}});
}

static void drop_load(rfm_worker *worker, size_t at)
{
    rfm__load *load = worker->loads.items[at], *last = worker->loads.items[--worker->loads.count];
    (void)rfm_table_remove(&worker->load_places, place_of(load->number), (uint32_t)at);
    if (last != load) { /* the last one moves into its place */
        (void)rfm_table_remove(&worker->load_places, place_of(last->number), (uint32_t)worker->loads.count);
        rfm_table_add(&worker->load_places, place_of(last->number), (uint32_t)at);
        worker->loads.items[at] = last;
    }
    rfm_arena_reset(&load->arena);
    rfm_spares_give(&worker->spare_loads, load);
    while ((load = rfm_spares_surplus(&worker->spare_loads)) != NULL)
        rfm__load_free(load);
}

void rfm__loads_forget(rfm_worker *worker, const rfm__task *task)
{
    for (size_t i = worker->loads.count; i-- > 0;)
        if (worker->loads.items[i]->task == task->number)
            drop_load(worker, i);
}

void rfm__load_free(rfm__load *load)
{
    rfm_arena_release(&load->arena);
    free(load->keys.items);
    free(load->fields.items);
    free(load->entries.items);
    free(load);
}

bool rfm__has_client_loads(const rfm_worker *worker, const rfm__task *task)
{
    for (size_t i = 0; i < worker->loads.count; i++)
        if (worker->loads.items[i]->task == task->number && worker->loads.items[i]->purpose == RFM__FOR_CLIENTS)
            return true;
    return false;
}

/* -- answers */

/* States are checked once, where they come in. RFM_E_VERSION: *version is the one that is not known. */
static int check_state(rfm_worker *worker, rfm_bytes packed, uint8_t *version)
{
    if (packed.len == 0)
        return RFM_OK;
    *version = packed.at[0];
    int code = packed.len > RFM_CLIENT_PACKED_MAX ? RFM_E_CORRUPT : rfm_client_decode(packed, &worker->client);
    if (code != RFM_OK)
        return code;
    *version = worker->client.slots_len > 0 ? worker->client.slots[0] : 0;
    return rfm_slots_check(rfm_bytes_of(worker->client.slots, worker->client.slots_len));
}

static void cannot_read(rfm_worker *worker, uint32_t task, rfm_bytes id, int code, uint8_t version)
{
    if (code == RFM_E_VERSION)
        rfm__halt(
            worker,
            "task %u: the state of client '%.*s' has version %u, which a newer rfmd has written; this one, %s, does not "
            "know it: run the newer one",
            task, (int)id.len, (const char *)id.at, version, RFM_VERSION);
    else
        rfm__halt(worker,
                  "task %u: the state of client '%.*s' cannot be read: it is damaged; restore Redis from a backup",
                  task, (int)id.len, (const char *)id.at);
}

/* Where a client is looked for twice its bundle comes first: it is in one of the two. */
static rfm_bytes state_at(const rfm__load *load, const rfm_bytes *values, size_t i, bool *loose)
{
    *loose = load->loose && values[2 * i].at == NULL && values[2 * i + 1].at != NULL;
    return values[load->loose ? 2 * i + *loose : i];
}

static void clients_loaded(rfm_worker *worker, rfm__load *load, const rfm_bytes *values)
{
    for (size_t i = 0; i < load->entries.count; i++) {
        uint32_t index = load->entries.items[i];
        rfm__entry *entry = rfm__cache_at(&worker->cache, index);
        uint8_t version;
        rfm_bytes packed = state_at(load, values, i, &entry->loose);
        int code = check_state(worker, packed, &version);
        if (code != RFM_OK) {
            cannot_read(worker, load->task, rfm__entry_key(entry), code, version);
            return;
        }
        rfm__cache_put(&worker->cache, index, packed);
        rfm__push(&worker->loaded, index);
    }
    worker->client_loads_left--;
    rfm__meet_waiting(worker);
}

/* RFM_TABLE_NONE: nobody waits for it any more. */
static uint32_t find_load(const rfm_worker *worker, uint64_t number)
{
    size_t cursor = RFM_TABLE_START;
    return rfm_table_find(&worker->load_places, place_of(number), &cursor);
}

/* at_least_once: no transaction keeps back what follows from another owner's state. */
static bool is_own(const rfm__task *task, const rfm__load *load, int64_t wal)
{
    return wal == load->known_wal || wal == task->stored_wal ||
           (task->store_under_way &&
            wal == task->stores.items[0].step->changes.items[task->stores.items[0].change].to.wal);
}

void rfm__loaded(rfm_worker *worker, rfm__task *task, const rfm_input *input)
{
    uint32_t at = find_load(worker, input->loaded.load);
    if (at == RFM_TABLE_NONE || !worker->loads.items[at]->sent)
        return;
    rfm__load *load = worker->loads.items[at];
    int64_t wal = rfm_wal_value_parse(input->loaded.wal_value);
    bool old = wal < load->known_wal || (worker->conf.at_least_once && !is_own(task, load, wal));
    if (old && !RFM_FAULT(LOAD_FENCE)) { /* Redis was rolled back: use nothing */
        worker->stats.rollbacks++;
        rfm__reset(worker, false);
        return;
    }
    RFM_ASSERT(load->what != RFM_LOAD_VALUES || input->loaded.count == load->keys.count);
    task->checked_ms = worker->now_ms;
    if (load->purpose == RFM__FOR_CLIENTS)
        clients_loaded(worker, load, input->loaded.values);
    else if (load->purpose == RFM__FOR_PAGE)
        rfm__page_loaded(worker, task, load->list, input->loaded.values, input->loaded.count);
    else if (load->purpose == RFM__FOR_TABLE)
        rfm__table_loaded(worker, task, load, input->loaded.values, input->loaded.count);
    at = find_load(worker, input->loaded.load);
    if (at != RFM_TABLE_NONE)
        drop_load(worker, at);
}
