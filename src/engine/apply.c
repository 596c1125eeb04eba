#include "inside.h"

#include <rfm/client/kpi.h>
#include <rfm/event/headers.h>
#include <stdio.h>

/* What is being done to one client: its state is decoded once, meets its moments and at most one event, and is put back
 * once. */
typedef struct at_work {
    rfm_worker *worker;
    rfm__task *task;
    uint32_t index;
    const rfm_record *record; /* the event's; NULL: a look */
    rfm_bytes id;
    bool is_new;
    int64_t listed_before_ms;
    int64_t met_ms; /* decided on up to this moment: a daily look before it is not made again */
    rfm_standing standing_before;
    rfm_kpi_standing kpi_before;
    size_t messages_before;
} at_work;

static bool begin(at_work *work)
{
    rfm_worker *worker = work->worker;
    rfm__entry *entry = rfm__cache_at(&worker->cache, work->index);
    work->id = rfm__entry_key(entry);
    work->is_new = entry->packed_len == 0;
    work->messages_before = worker->making->messages.count;
    rfm_pool_prefetch(worker->cache.pool, entry->block); /* a state that grows moves */
    if (work->is_new) {
        rfm_client_init(&worker->client);
    } else if (rfm_client_decode(rfm__entry_packed(entry), &worker->client) != RFM_OK) {
        rfm__halt(worker,
                  "the state of client '%.*s' (task %u) cannot be read: it is damaged; restore Redis from a backup",
                  (int)work->id.len, (const char *)work->id.at, work->task->number);
        return false;
    }
    work->listed_before_ms = worker->client.listed_ms;
    work->met_ms = entry->touched_ms;
    if (worker->client.met_ms != 0 && worker->client.met_ms > work->met_ms)
        work->met_ms = worker->client.met_ms;
    work->standing_before = rfm_client_standing(&worker->client);
    if (!work->is_new)
        work->kpi_before = rfm_client_kpi(&worker->client);
    return true;
}

static void emit(at_work *work, const rfm_decision *decision, const rfm_moment *moment)
{
    rfm_worker *worker = work->worker;
    rfm_arena *arena = &worker->making->arena;
    rfm_buffer_clear(&worker->value);
    rfm_buffer_clear(&worker->headers);
    rfm_trigger_encode(worker->conf.rules, worker->conf.client, work->task->names, decision, &worker->client, moment,
                       &worker->value, &worker->headers);
    rfm_bytes trace;
    if (moment->event != NULL && rfm_headers_find(work->record->headers, "traceparent", &trace) &&
        trace.len <= RFM__TRACEPARENT_MAX)
        rfm_headers_add(&worker->headers, "traceparent", trace);
    RFM_ASSERT(!worker->value.bad && !worker->headers.bad);
    bool sent = decision->suppression == RFM_SENT;
    rfm__push(&worker->making->messages,
              (rfm_message){.topic = sent ? (uint8_t)(RFM_TOPIC_TRIGGERS + decision->rule->topic) : RFM_TOPIC_AUDIT,
                            .partition = -1,
                            .change = -1,
                            .key = rfm_arena_copy(arena, work->id),
                            .value = rfm_arena_copy(arena, rfm_buffer_view(&worker->value)),
                            .headers = rfm_arena_copy(arena, rfm_buffer_view(&worker->headers))});
    worker->stats.decided_by_rule[decision->rule - worker->conf.rules->rule][decision->suppression]++;
    *(sent ? &worker->stats.triggers : &worker->stats.suppressions) += 1;
}

static void decide(at_work *work, const rfm_moment *moment)
{
    rfm_worker *worker = work->worker;
    rfm_decisions *decisions = &worker->decisions;
    decisions->count = 0;
    decisions->tally = work->task->counters.tally;
    rfm_decide(worker->conf.rules, work->task->binding, worker->conf.client, work->task->names, &worker->client, moment,
               decisions);
    for (size_t i = 0; i < decisions->count; i++)
        emit(work, &decisions->items[i], moment);
    worker->stats.causes_too_old += decisions->too_old;
    worker->client.listed_ms = decisions->look_ms == INT64_MAX ? 0 : decisions->look_ms;
}

static int64_t later(int64_t a_ms, int64_t b_ms)
{
    return a_ms > b_ms ? a_ms : b_ms;
}

static rfm_moment moment_of(const at_work *work, int64_t moment_ms, int64_t now_ms)
{
    const rfm__entry *entry = rfm__cache_at(&work->worker->cache, work->index);
    return (rfm_moment){.client_id = work->id,
                        .moment_ms = moment_ms,
                        .now_ms = now_ms,
                        .review_ms = rfm__next_review_ms(entry->hash, later(moment_ms, work->met_ms)),
                        .edges = work->worker->edges_known ? &work->worker->edges : NULL};
}

/* The client's moments up to `until_ms`, due ones and daily looks, in their order; of one instant they are one look. */
static void meet_moments(at_work *work, int64_t until_ms)
{
    rfm_worker *worker = work->worker;
    rfm__entry *entry = rfm__cache_at(&worker->cache, work->index);
    if (work->is_new)
        return;
    for (;;) {
        int64_t done_ms = work->task->ring_minute * RFM_MINUTE_MS;
        int64_t review_ms = rfm__next_review_ms(entry->hash, later(work->met_ms, done_ms));
        int64_t listed_ms = worker->client.listed_ms ? worker->client.listed_ms : INT64_MAX;
        int64_t moment_ms = listed_ms < review_ms ? listed_ms : review_ms;
        if (moment_ms > until_ms)
            return;
        int64_t now_ms = moment_ms;
        if (worker->conf.clock == RFM_CLOCK_WALL)
            now_ms = later(moment_ms, later(worker->now_ms, work->task->clock_ms));
        rfm_moment moment = moment_of(work, moment_ms, now_ms);
        moment.is_review = moment_ms == review_ms;
        decide(work, &moment);
        work->met_ms = later(work->met_ms, moment_ms);
        worker->stats.looks++;
        if (moment_ms == listed_ms)
            worker->stats.timers_fired++;
    }
}

static void mark_changed(at_work *work)
{
    rfm__step *step = work->worker->making;
    rfm__entry *entry = rfm__cache_at(&work->worker->cache, work->index);
    entry->changed_step = step->step.number;
    if (!entry->in_step)
        rfm__push(&step->changed, work->index);
    entry->in_step = true;
}

/* A client may be met ahead of its minute list, by an event. Its state says so until the list has come that far, since
 * an entry that was evicted has forgotten it: if a daily look lies between, which would be made again. */
static int64_t met_ahead_ms(const at_work *work)
{
    int64_t done_ms = work->task->ring_minute * RFM_MINUTE_MS;
    const rfm__entry *entry = rfm__cache_at(&work->worker->cache, work->index);
    bool ahead = work->met_ms > done_ms + RFM_MINUTE_MS && rfm__next_review_ms(entry->hash, done_ms) <= work->met_ms;
    return ahead && !RFM_FAULT(MET_AHEAD) ? work->met_ms : 0;
}

/* Entries of earlier moments stay in their buckets until those are due. The state remembers where, should the client be
 * erased. */
static void leave_bucket(at_work *work)
{
    rfm_client *client = &work->worker->client;
    rfm__task *task = work->task;
    int64_t second = rfm__due_second(work->listed_before_ms);
    uint8_t kept = 0;
    bool moved = work->listed_before_ms != 0 &&
                 (client->listed_ms == 0 || second != rfm__due_second(client->listed_ms));
    for (size_t i = 0; i < client->left_count; i++)
        if (rfm__due_find(&task->due, client->left_s[i]) != NULL)
            client->left_s[kept++] = client->left_s[i];
    client->left_count = kept;
    if (!moved || rfm__due_find(&task->due, second) == NULL || rfm__in_page(task, second))
        return;
    if (client->left_count == RFM_LEFT_MAX) {
        rfm__unlist_client(work->worker, task, work->id, client->left_s[0]);
        memmove(client->left_s, client->left_s + 1, (size_t)--client->left_count * sizeof *client->left_s);
    }
    client->left_s[client->left_count++] = second;
}

/* What the engine notes in a state that has changed. False: nothing new. */
static bool note_places(at_work *work)
{
    rfm_client *client = &work->worker->client;
    bool leaves = client->left_count > 0 ||
                  (work->listed_before_ms != 0 && work->listed_before_ms != client->listed_ms);
    if (leaves)
        leave_bucket(work);
    int64_t met_ms = met_ahead_ms(work);
    if (!leaves && client->met_ms == met_ms)
        return false;
    client->met_ms = met_ms;
    return true;
}

/* Packs the state. False: it is as it was, and where it belongs. A moment that has moved is in the state, which then
 * has changed for certain and is packed once. */
static bool pack(at_work *work, rfm_bytes *packed)
{
    rfm_worker *worker = work->worker;
    rfm_client *client = &worker->client;
    const rfm__entry *entry = rfm__cache_at(&worker->cache, work->index);
    bool moved = work->is_new || work->listed_before_ms != client->listed_ms;
    if (moved) {
        rfm__join_step(worker, work->task);
        (void)note_places(work);
    }
    *packed = rfm_bytes_of(worker->packed, rfm_client_encode(client, worker->packed));
    if (!moved && !entry->loose && rfm_bytes_equal(*packed, rfm__entry_packed(entry)))
        return false;
    rfm__join_step(worker, work->task);
    if (!moved && note_places(work))
        packed->len = rfm_client_encode(client, worker->packed);
    return true;
}

/* Puts the state back if it changed, with everything that follows from it: its place in lists and counters. */
static void finish(at_work *work)
{
    rfm_worker *worker = work->worker;
    rfm_client *client = &worker->client;
    rfm_bytes packed;
    rfm__cache_at(&worker->cache, work->index)->touched_ms = work->met_ms;
    bool changed = pack(work, &packed);
    if (!changed && worker->making->messages.count == work->messages_before)
        return;
    worker->making->looks += work->record == NULL;
    if (!changed) {
        rfm__join_step(worker, work->task);
        return;
    }
    rfm_standing standing = rfm_client_standing(client);
    rfm__counters_move(&work->task->counters, &work->standing_before, &standing);
    rfm_kpi_move(work->task->counters.tally, &work->kpi_before, client, worker->conf.client->zone);
    if (work->is_new)
        rfm__list_minute(work->task, work->id, rfm__cache_at(&work->worker->cache, work->index)->hash);
    rfm__list_client(worker, work->task, work->id, work->listed_before_ms, client->listed_ms);
    rfm__cache_put(&worker->cache, work->index, packed);
    mark_changed(work);
}

void rfm__look(rfm_worker *worker, rfm__task *task, uint32_t index, int64_t until_ms)
{
    at_work work = {.worker = worker, .task = task, .index = index};
    if (!begin(&work))
        return;
    meet_moments(&work, until_ms);
    finish(&work);
}

static void lost_refund(at_work *work, const rfm_applied *applied)
{
    rfm_fault fault = {.reason = RFM_REASON_UNKNOWN_ORDER};
    snprintf(fault.detail, sizeof fault.detail,
             "order_id names none of the client's last orders, and none has come since");
    rfm_record record = {.task = work->task->number,
                         .input = (uint8_t)(applied->lost_source >> 56),
                         .offset = (int64_t)(applied->lost_source & ((UINT64_C(1) << 56) - 1)),
                         .key = work->id};
    rfm__dead_letter(work->worker, work->task, &record, &fault);
}

/* The event told of an earlier campaign. */
static void move_source(at_work *work)
{
    const rfm_client *client = &work->worker->client;
    uint16_t before = work->kpi_before.source;
    if (!work->kpi_before.known || before == client->source)
        return;
    rfm_named_count(client, work->task->names, before, -1, work->task->counters.tally);
    rfm_named_count(client, work->task->names, client->source, 1, work->task->counters.tally);
}

static void accepted(at_work *work, const rfm_event *event, const rfm_applied *applied, int64_t clock_ms)
{
    rfm_worker *worker = work->worker;
    rfm_event refund;
    if (event->type == RFM_EVENT_REFUND && event->has_amount && event->amount_minor != applied->amount_minor) {
        refund = *event;
        refund.amount_minor = applied->amount_minor;
        event = &refund;
    }
    rfm_kpi_count(work->task->counters.tally, &work->kpi_before, &worker->client, event, applied, work->task->names);
    move_source(work);
    rfm_moment moment = moment_of(work, clock_ms, clock_ms);
    moment.event = event;
    moment.bought = applied->bought;
    moment.dates_changed = applied->dates_changed;
    decide(work, &moment);
    work->met_ms = later(work->met_ms, clock_ms);
    worker->stats.events_by_type[work->record->input][event->type]++;
}

/* Said before the client was erased, or the erasure itself again. */
static bool is_forgotten(rfm_worker *worker, const rfm__task *task, const rfm_event *event, int64_t clock_ms)
{
    const int64_t repeat_ms = 48 * RFM_HOUR_MS;
    const rfm__tombstone *tombstone = rfm__erased_find(&task->erased, event->client_id, clock_ms);
    if (tombstone == NULL)
        return false;
    int64_t after_ms = event->time_ms - tombstone->time_ms;
    if (after_ms < 0) {
        worker->stats.events_forgotten++;
        return true;
    }
    bool again = event->type == RFM_EVENT_ERASE && event->id48 == tombstone->id48 && after_ms <= repeat_ms;
    worker->stats.repeats += again;
    return again;
}

/* Nothing of the client stays but a tombstone: not its state, nor its place in lists and counters. */
static void erase(at_work *work, const rfm_event *event, int64_t clock_ms)
{
    rfm_worker *worker = work->worker;
    rfm__task *task = work->task;
    rfm_client *client = &worker->client;
    rfm__entry *entry = rfm__cache_at(&worker->cache, work->index);
    const rfm_standing nothing = {0};
    int64_t remember_ms = worker->conf.client->erase_remember_ms;
    rfm__join_step(worker, task);
    if (remember_ms > 0)
        rfm__erased_put(&task->erased, work->id, event->time_ms, clock_ms + remember_ms, event->id48, &task->redo);
    worker->stats.erasures++;
    worker->stats.events_by_type[work->record->input][event->type]++;
    if (work->is_new)
        return;
    rfm__counters_move(&task->counters, &work->standing_before, &nothing);
    rfm_kpi_forget(task->counters.tally, &work->kpi_before);
    rfm_named_count(client, task->names, client->source, -1, task->counters.tally);
    rfm__unlist_minute(worker, task, work->id, entry->hash);
    if (work->listed_before_ms != 0)
        rfm__unlist_client(worker, task, work->id, rfm__due_second(work->listed_before_ms));
    for (size_t i = 0; i < client->left_count; i++)
        rfm__unlist_client(worker, task, work->id, client->left_s[i]);
    rfm__cache_put(&worker->cache, work->index, RFM_BYTES_NONE);
    entry->touched_ms = INT64_MIN;
    mark_changed(work);
}

static void count_dropped(rfm_worker_stats *stats, const rfm_applied *applied)
{
    stats->traits_undeclared += applied->traits_undeclared;
    stats->traits_refused += applied->traits_refused;
    stats->zones_unknown += applied->zone_unknown;
}

/* The event is as it should be; the client's state cannot take it. */
static rfm_fault refusal(rfm_reason reason)
{
    rfm_fault fault = {.reason = reason};
    const char *detail = reason == RFM_REASON_BAD_AMOUNT
                             ? "amount is not exact in its order's currency, or makes a sum too large"
                         : reason == RFM_REASON_STATE_FULL ? "the client has as many consents as its state can hold"
                         : reason == RFM_REASON_BAD_VALUE  ? "delta makes more points than can be counted"
                         : reason == RFM_REASON_TIME_TOO_OLD || reason == RFM_REASON_BAD_TIME
                             ? "time lies before 1990 or beyond the year 9999"
                             : "the client's state cannot take it";
    snprintf(fault.detail, sizeof fault.detail, "%s", detail);
    return fault;
}

void rfm__apply_record(rfm_worker *worker, rfm__task *task, const rfm_record *record, const rfm_event *event,
                       uint32_t index, int64_t clock_ms, int64_t until_ms)
{
    if (is_forgotten(worker, task, event, clock_ms))
        return;
    at_work work = {.worker = worker, .task = task, .index = index, .record = record};
    if (!begin(&work))
        return;
    int64_t bound_ms = rfm__timer_bound_ms(worker, task);
    meet_moments(&work, bound_ms < until_ms ? bound_ms : until_ms);
    if (event->type == RFM_EVENT_ERASE) {
        erase(&work, event, clock_ms);
        return;
    }
    const rfm_edges *edges = worker->edges_known ? &worker->edges : NULL;
    if (!work.is_new)
        rfm_decide_renew(worker->conf.rules, task->binding, worker->conf.client, task->names, &worker->client, work.id,
                         edges, clock_ms, task->counters.tally);
    rfm_applied applied = {0};
    uint64_t source = (uint64_t)record->input << 56 | (uint64_t)record->offset;
    rfm_fault fault;
    switch (rfm_client_apply(&worker->client, event, source, worker->conf.client, task->names, &applied)) {
    case RFM_APPLIED: accepted(&work, event, &applied, clock_ms); break;
    case RFM_REPEAT: worker->stats.repeats++; break;
    case RFM_REFUSED:
        fault = refusal(applied.reason);
        rfm__dead_letter(worker, task, record, &fault);
        break;
    }
    count_dropped(&worker->stats, &applied);
    bool untouched = work.is_new && worker->client.listed_ms == 0 && worker->client.seen_count == 0;
    if (applied.lost_refund)
        lost_refund(&work, &applied);
    if (!untouched)
        finish(&work);
}

/* A dead letter must fit where its original did, with our headers besides: what is larger than a broker takes by
 * default is cut, and says so. A key takes from the value's room. */
static void cut_dead_letter(rfm_buffer *headers, rfm_bytes *key, rfm_bytes *value)
{
    char len[24];
    size_t room = RFM__DEAD_LETTER_BYTES_MAX;
    if (key->len + value->len <= room)
        return;
    snprintf(len, sizeof len, "%zu", value->len);
    rfm_headers_add(headers, "rfmd.cut_from_bytes", rfm_text(len));
    if (key->len > room)
        key->len = room;
    if (value->len > room - key->len)
        value->len = room - key->len;
}

void rfm__dead_letter(rfm_worker *worker, rfm__task *task, const rfm_record *record, const rfm_fault *fault)
{
    rfm_arena *arena = &worker->making->arena;
    rfm_bytes key = record->key, value = record->value, original = record->headers;
    rfm__join_step(worker, task);
    rfm_buffer_clear(&worker->headers);
    if (original.len > RFM__DEAD_LETTER_HEADERS_MAX)
        original = RFM_BYTES_NONE;
    rfm_dead_letter_headers(&worker->headers, original, fault->reason, fault->detail,
                            worker->conf.input_topic[record->input], record->task, record->offset);
    cut_dead_letter(&worker->headers, &key, &value);
    RFM_ASSERT(!worker->headers.bad);
    rfm__push(&worker->making->messages,
              (rfm_message){.topic = RFM_TOPIC_DEAD_LETTERS,
                            .partition = -1,
                            .change = -1,
                            .key = key.at ? rfm_arena_copy(arena, key) : RFM_BYTES_NONE,
                            .value = value.at ? rfm_arena_copy(arena, value) : RFM_BYTES_NONE,
                            .headers = rfm_arena_copy(arena, rfm_buffer_view(&worker->headers))});
    worker->stats.dead_letters++;
    worker->stats.dead_by_reason[fault->reason]++;
}

void rfm__join_step(rfm_worker *worker, rfm__task *task)
{
    if (task->in_step)
        return;
    task->in_step = true;
    task->last_step = worker->making->step.number;
    rfm_redo_begin(&task->redo, worker->conf.input_count);
    task->buckets_touched.count = 0;
}
