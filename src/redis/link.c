#include "link.h"

#include <rfm/base/time.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    RETRY_MS_MIN = 50,
    RETRY_MS_MAX = 2000,
    HOPS_MAX = 8,        /* from a seed to the server that the task belongs to; two do, unless slots are on the move */
    SECOND_LOOK_MS = 20, /* after a time-out: the loop itself may have been held up, with the answer waiting */
};

typedef enum state { IDLE, WAITING, CONNECTING, GREETING, OPEN } state;

struct rfm_link {
    rfm_link_world *world;
    uint32_t task, term;
    state state;
    rfm_wire *wire;
    const rfm_endpoint *peer; /* the wire's, or the last one's: a seed or `node` */
    rfm_endpoint node;        /* where we were sent */
    uint32_t seed, hops;
    bool met; /* meta was looked at on this way */
    rfm_keyspace space;
    rfm_request *first, *last; /* sent or to be sent, not answered */
    rfm_request *held;         /* a refused change, whose answer waits a little */
    bool told_open, storing, troubled, suspect;
    uint32_t attempts, refusals; /* in a row */
    bool unsent;
    rfm_link *next_unsent;
    uv_timer_t later, watchdog;
    int handles;
    char reason[RFM_WHY_MAX + 320];
};

static uint64_t us_since(uint64_t begun_ns)
{
    return (uv_hrtime() - begun_ns) / 1000;
}

static rfm_input input_of(const rfm_link *link, rfm_input_kind kind, uint32_t term, rfm_answer answer)
{
    return (rfm_input){
        .kind = kind,
        .task = link->task,
        .term = term,
        .now_ms = rfm_clock_wall_ms(),
        .answer = answer,
    };
}

static void tell(const rfm_link *link, const rfm_input *input)
{
    link->world->calls.answer(link->world->calls.owner, input);
}

static bool at_sentinel(const rfm_link *link)
{
    return link->world->site.address.layout == RFM_SENTINEL && link->peer != &link->node;
}

static void in_trouble(rfm_link *link, const char *why)
{
    rfm_link_world *world = link->world;
    snprintf(link->reason, sizeof link->reason, "%s at %s: %s", at_sentinel(link) ? "Sentinel" : "Redis",
             link->peer->name, why);
    if (!link->troubled)
        world->troubled++;
    link->troubled = true;
    world->trouble(world, link->reason);
}

static void out_of_trouble(rfm_link *link)
{
    rfm_link_world *world = link->world;
    if (!link->troubled)
        return;
    link->troubled = false;
    if (--world->troubled == 0)
        world->relief(world);
}

/* Doubles from 50 ms to 2 s; somewhere in its upper half, so that tasks do not come all at once. */
static uint64_t pause_ms(rfm_link_world *world, uint32_t attempts)
{
    uint64_t full = attempts < 6 ? (uint64_t)RETRY_MS_MIN << attempts : RETRY_MS_MAX;
    if (full > RETRY_MS_MAX)
        full = RETRY_MS_MAX;
    world->random ^= world->random << 13;
    world->random ^= world->random >> 7;
    world->random ^= world->random << 17;
    return full / 2 + world->random % (full / 2 + 1);
}

static void on_watchdog(uv_timer_t *timer);

static void look_after(rfm_link *link, uint64_t ms)
{
    uv_timer_start(&link->watchdog, on_watchdog, ms, 0);
}

static void drop_held(rfm_link *link)
{
    if (!link->held)
        return;
    rfm__request_give(&link->world->requests, link->held);
    uv_timer_stop(&link->later);
    link->held = NULL;
    link->storing = false;
}

static void drop_requests(rfm_link *link)
{
    drop_held(link);
    for (rfm_request *request = link->first, *next; request; request = next) {
        next = request->next;
        rfm__request_give(&link->world->requests, request);
    }
    link->first = link->last = NULL;
    link->storing = false;
}

static void hang_up(rfm_link *link)
{
    drop_requests(link);
    uv_timer_stop(&link->later);
    uv_timer_stop(&link->watchdog);
    if (link->wire)
        rfm__wire_close(link->wire);
    link->wire = NULL;
    if (link->state == OPEN)
        link->world->stats.tasks_open--;
    link->state = IDLE;
    link->suspect = false;
}

/* Last in whatever calls it: the engine may answer with anything. */
static void tell_closed(rfm_link *link)
{
    bool was_open = link->told_open;
    link->told_open = false;
    if (!was_open)
        return;
    rfm_input input = input_of(link, RFM_IN_CLOSED, link->term, RFM_DONE);
    link->world->stats.connections_lost++;
    tell(link, &input);
}

static void on_retry(uv_timer_t *timer);

static void lose(rfm_link *link, const char *why)
{
    rfm_link_world *world = link->world;
    if (link->state != OPEN && world->seed == link->seed) /* else another link has turned to the next one already */
        world->seed = (link->seed + 1) % (uint32_t)world->site.address.seed_count;
    hang_up(link);
    link->state = WAITING;
    in_trouble(link, why);
    uv_timer_start(&link->later, on_retry, pause_ms(world, link->attempts++), 0);
    tell_closed(link);
}

/* Nothing more from here until the engine opens the task anew. */
static void refuse(rfm_link *link, const char *why)
{
    hang_up(link);
    in_trouble(link, why);
    tell_closed(link);
    if (link->state != IDLE || !link->troubled)
        return; /* opened or closed by the engine meanwhile */
    rfm_input input = input_of(link, RFM_IN_OPENED, link->term, RFM_REFUSED_FOR_GOOD);
    input.reason = link->reason;
    tell(link, &input);
}

/* What an open connection is answered with, a new one may be answered with, too: such as that keys are being moved. */
static void give_up(rfm_link *link, const char *why)
{
    if (link->state == OPEN)
        link->attempts = link->refusals++;
    lose(link, why);
}

/* A request in flight gets no byte for too long. */
static void on_watchdog(uv_timer_t *timer)
{
    rfm_link *link = timer->data;
    uint64_t timeout_ns = (uint64_t)link->world->site.timeout_ms * 1000000;
    uint64_t since = link->wire ? rfm__wire_moved_ns(link->wire) : 0;
    if (!link->wire || (link->state > CONNECTING && !link->first))
        return;
    if (link->first && link->first->begun_ns > since)
        since = link->first->begun_ns;
    uint64_t idle_ns = uv_hrtime() - since;
    if (idle_ns < timeout_ns) {
        link->suspect = false;
        look_after(link, (timeout_ns - idle_ns) / 1000000 + 1);
    } else if (!link->suspect) {
        link->suspect = true;
        look_after(link, SECOND_LOOK_MS);
    } else {
        char why[64];
        snprintf(why, sizeof why, "no answer within %u ms", link->world->site.timeout_ms);
        lose(link, why);
    }
}

static void make_room(rfm_link *link)
{
    if (link->wire)
        rfm__wire_room(link->wire, link->first && rfm__request_keeps(link->first) ? &link->first->arena : NULL);
}

/* To be called when its commands are in the outgoing bytes. */
static void queue(rfm_link *link, rfm_request *request)
{
    rfm_link_world *world = link->world;
    request->begun_ns = uv_hrtime();
    request->term = link->term;
    if (link->last)
        link->last->next = request;
    else
        link->first = request;
    link->last = request;
    if (link->first == request)
        make_room(link);
    if (!link->unsent) {
        link->unsent = true;
        link->next_unsent = world->unsent;
        world->unsent = link;
    }
    if (!uv_is_active((uv_handle_t *)&link->watchdog))
        look_after(link, world->site.timeout_ms);
}

void rfm__links_flush(rfm_link_world *world)
{
    rfm_link *next = world->unsent;
    world->unsent = NULL;
    for (rfm_link *link = next; link; link = next) {
        next = link->next_unsent;
        link->unsent = false;
        if (link->wire)
            rfm__wire_flush(link->wire);
    }
}

static void ask_greeting(rfm_link *link, bool login)
{
    rfm_request *request = rfm__request_take(&link->world->requests, RFM_REQUEST_GREET);
    if (link->state == OPEN)
        link->world->stats.tasks_open--;
    link->state = GREETING;
    rfm__greet_write(request, &link->world->site.identity, login, !link->met, rfm__wire_out(link->wire));
    queue(link, request);
}

static void ask_sentinel(rfm_link *link)
{
    rfm_request *request = rfm__request_take(&link->world->requests, RFM_REQUEST_LOCATE);
    link->state = GREETING;
    rfm__locate_write(request, &link->world->site.identity, rfm__wire_out(link->wire));
    queue(link, request);
}

static void ask_identity(rfm_link *link, bool raise)
{
    rfm_request *request = rfm__request_take(&link->world->requests, RFM_REQUEST_IDENTIFY);
    rfm__identify_write(request, &link->world->site.identity, raise, rfm__wire_out(link->wire));
    queue(link, request);
}

static void say_raised(const rfm_link *link, uint32_t from)
{
    char message[RFM_STORE_PREFIX_MAX + 160];
    const rfm_store_calls *calls = &link->world->calls;
    snprintf(message, sizeof message,
             "the state under %s was of format %u and is now of that of rfmd %s: no older rfmd can go on with it",
             link->world->site.identity.prefix, from, RFM_VERSION);
    if (calls->log)
        calls->log(calls->owner, message);
}

static void say_spread(rfm_link_world *world)
{
    if (!world->said_spread && world->calls.log)
        world->calls.log(
            world->calls.owner,
            "Redis keeps each state for itself, which takes a quarter more of its memory than need be: set "
            "hash-max-listpack-value to 4096 and hash-max-listpack-entries to 512");
    world->said_spread = true;
}

static void ask_watch(rfm_link *link)
{
    rfm_request *request = rfm__request_take(&link->world->requests, RFM_REQUEST_WATCH);
    rfm__watch_write(request, &link->space, rfm__wire_out(link->wire));
    queue(link, request);
}

static void opened(rfm_link *link, const rfm_request *request)
{
    link->state = OPEN;
    link->told_open = true;
    link->attempts = 0;
    link->world->stats.tasks_open++;
    out_of_trouble(link);
    rfm_input input = input_of(link, RFM_IN_OPENED, link->term, RFM_DONE);
    input.wal_value = request->wal;
    tell(link, &input);
}

static void observe(rfm_link *link, rfm_store_timing what, uint64_t us)
{
    const rfm_store_calls *calls = &link->world->calls;
    if (calls->timing)
        calls->timing(calls->owner, what, us);
}

static void loaded(rfm_link *link, const rfm_request *request)
{
    const rfm_loading *loading = &request->loading;
    observe(link, RFM_STORE_LOADED, us_since(request->begun_ns));
    rfm_input input = input_of(link, RFM_IN_LOADED, request->term, RFM_DONE);
    input.loaded.load = loading->load;
    input.loaded.wal_value = loading->wal;
    input.loaded.values = loading->values;
    input.loaded.count = loading->count;
    tell(link, &input);
}

static void tell_stored(rfm_link *link, const rfm_request *request)
{
    bool done = request->changing.outcome == RFM_OUTCOME_DONE;
    rfm_input input = input_of(link, RFM_IN_STORED, request->term, done ? RFM_DONE : RFM_NOT_STORED);
    link->world->stats.stores_refused += !done;
    link->storing = false;
    input.wal_value = request->wal;
    tell(link, &input);
}

static void on_held(uv_timer_t *timer)
{
    rfm_link *link = timer->data;
    rfm_request *request = link->held;
    link->held = NULL;
    tell_stored(link, request);
    rfm__request_give(&link->world->requests, request);
}

/* The server has no room or may not write: whoever is told tries again, so not at once. The watch stands meanwhile, so
 * that the value of `wal` cannot become wrong unnoticed. */
static void hold(rfm_link *link, rfm_request *request)
{
    request->wal = request->wal.at ? rfm_arena_copy(&request->arena, request->wal) : RFM_BYTES_NONE;
    link->held = request;
    uv_timer_start(&link->later, on_held, pause_ms(link->world, link->refusals++), 0);
}

/* True: the request is given back by the caller. */
static bool stored(rfm_link *link, rfm_request *request)
{
    const rfm_changing *changing = &request->changing;
    observe(link, RFM_STORE_STORED, us_since(request->begun_ns));
    if (changing->outcome != RFM_OUTCOME_ERROR) {
        link->refusals = 0;
        out_of_trouble(link);
        tell_stored(link, request);
        return true;
    }
    char why[RFM_WHY_MAX];
    snprintf(why, sizeof why, "it refused a change: %s", changing->error);
    if (!changing->read_only && request->term == link->term) {
        in_trouble(link, why);
        hold(link, request);
        return false;
    }
    rfm_wire *wire = link->wire;
    tell_stored(link, request);
    if (changing->read_only && link->wire == wire)
        lose(link, why);
    return true;
}

static void connect_to(rfm_link *link, const rfm_endpoint *peer);

/* To the server that `node` names. */
static void go_on(rfm_link *link)
{
    if (++link->hops > HOPS_MAX) {
        lose(link, "its nodes send us from one to the other: CLUSTER SLOTS tells what each of them believes");
        return;
    }
    hang_up(link);
    connect_to(link, &link->node);
}

/* MOVED; what was under way is answered as after any other break. */
static void moved(rfm_link *link)
{
    char why[RFM_WHY_MAX];
    if (link->state != OPEN) {
        go_on(link);
        return;
    }
    snprintf(why, sizeof why, "the keys of partition %u have moved to another node", link->task);
    give_up(link, why);
}

static void met(rfm_link *link, const rfm_request *request)
{
    const rfm_greeting *greeting = &request->greeting;
    if (request->kind == RFM_REQUEST_GREET && greeting->spreads_states)
        say_spread(link->world);
    bool older = greeting->older_format > 0;
    if (request->kind == RFM_REQUEST_GREET && (greeting->meta_absent || greeting->meta_lacks || older)) {
        if (older)
            say_raised(link, greeting->older_format);
        ask_identity(link, older);
        return;
    }
    link->met = true;
    ask_watch(link);
}

/* True: the request is given back by the caller. */
static bool finish(rfm_link *link, rfm_request *request)
{
    switch (request->kind) {
    case RFM_REQUEST_LOCATE:
        link->node = request->locating.master;
        go_on(link);
        return true;
    case RFM_REQUEST_GREET:
    case RFM_REQUEST_IDENTIFY: met(link, request); return true;
    case RFM_REQUEST_WATCH: opened(link, request); return true;
    case RFM_REQUEST_LOAD: loaded(link, request); return true;
    case RFM_REQUEST_CHANGE: return stored(link, request);
    }
    RFM_ASSERT(false);
}

static void on_reply(void *owner, const rfm_reply *reply)
{
    rfm_link *link = owner;
    rfm_request *request = link->first;
    char why[RFM_WHY_MAX];
    if (!request) { /* such as that there are too many connections */
        rfm__unexpected("nothing", reply, why);
        lose(link, why);
        return;
    }
    if (reply->kind == RFM_REPLY_ERROR && link->world->site.address.layout == RFM_CLUSTER &&
        rfm__endpoint_moved(reply->text, link->peer, &link->node)) {
        moved(link);
        return;
    }
    rfm_verdict verdict = rfm__request_feed(request, reply, why);
    if (verdict == RFM_REFUSE)
        refuse(link, why);
    else if (verdict == RFM_GIVE_UP)
        give_up(link, why);
    if (verdict != RFM_GOES_ON)
        return;
    if (request->seen < request->expected)
        return;
    link->first = request->next;
    if (!link->first)
        link->last = NULL;
    request->next = NULL;
    make_room(link);
    if (finish(link, request))
        rfm__request_give(&link->world->requests, request);
}

static void on_ready(void *owner)
{
    rfm_link *link = owner;
    if (at_sentinel(link))
        ask_sentinel(link);
    else
        ask_greeting(link, true);
}

static void on_broken(void *owner, const char *why)
{
    lose(owner, why);
}

static void connect_to(rfm_link *link, const rfm_endpoint *peer)
{
    static const rfm_wire_calls calls = {on_ready, on_reply, on_broken};
    rfm_link_world *world = link->world;
    uint32_t round = link->attempts / (uint32_t)world->site.address.seed_count;
    rfm_wire_conf conf = {peer, world->site.tls, &world->site.limits, round};
    rfm_error error;
    link->state = CONNECTING;
    link->peer = peer;
    if (rfm__wire_new(world->loop, &conf, &calls, link, &link->wire, &error)) {
        link->wire = NULL;
        lose(link, error.message);
        return;
    }
    look_after(link, world->site.timeout_ms);
}

static void connect_now(rfm_link *link)
{
    link->seed = link->world->seed;
    link->hops = 0;
    link->met = false;
    connect_to(link, &link->world->site.address.seed[link->seed]);
}

static void on_retry(uv_timer_t *timer)
{
    connect_now(timer->data);
}

void rfm__link_open(rfm_link *link, uint32_t term)
{
    link->term = term;
    link->told_open = false;
    drop_held(link);
    if (link->state == IDLE) {
        connect_now(link);
    } else if (link->state == OPEN) {
        link->hops = 0;
        link->met = false;
        ask_greeting(link, false);
    }
}

void rfm__link_close(rfm_link *link)
{
    hang_up(link);
    link->told_open = false;
    link->attempts = 0;
    out_of_trouble(link);
}

void rfm__link_load(rfm_link *link, const rfm_effect *effect)
{
    if (link->state != OPEN || effect->term != link->term)
        return;
    rfm_request *request = rfm__request_take(&link->world->requests, RFM_REQUEST_LOAD);
    rfm__load_write(request, effect, &link->space, rfm__wire_out(link->wire));
    queue(link, request);
}

void rfm__link_store(rfm_link *link, const rfm_effect *effect)
{
    if (link->state != OPEN || effect->term != link->term)
        return;
    RFM_ASSERT(!link->storing); /* the second would run under a watch that the first one's failure has renewed */
    rfm_request *request = rfm__request_take(&link->world->requests, RFM_REQUEST_CHANGE);
    int code = rfm__change_write(request, effect, &link->space, rfm__wire_out(link->wire));
    if (code) {
        char why[96];
        snprintf(why, sizeof why, "a change cannot be read and was not stored: %s", rfm_error_text(code));
        rfm__request_give(&link->world->requests, request);
        refuse(link, why);
        return;
    }
    link->storing = true;
    queue(link, request);
}

rfm_link *rfm__link_new(rfm_link_world *world, uint32_t task)
{
    rfm_link *link = calloc(1, sizeof *link);
    RFM_NEED(link);
    link->world = world;
    link->task = task;
    link->peer = &world->site.address.seed[0];
    rfm__keyspace_init(&link->space, world->site.identity.prefix, task, world->site.partition_count);
    uv_timer_init(world->loop, &link->later);
    uv_timer_init(world->loop, &link->watchdog);
    link->later.data = link->watchdog.data = link;
    link->handles = 2;
    return link;
}

static void on_timer_closed(uv_handle_t *handle)
{
    rfm_link *link = handle->data;
    if (--link->handles)
        return;
    rfm_link_world *world = link->world;
    free(link);
    world->link_gone(world);
}

void rfm__link_free(rfm_link *link)
{
    hang_up(link);
    uv_close((uv_handle_t *)&link->later, on_timer_closed);
    uv_close((uv_handle_t *)&link->watchdog, on_timer_closed);
}
