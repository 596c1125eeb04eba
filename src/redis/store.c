#include "store.h"

#include "link.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SAME_MESSAGE_MS = 1000, TROUBLE_MAX = 768 };

struct rfm_store {
    rfm_link_world world; /* first: calls of links give it */
    rfm_link *links[RFM_TASKS_MAX];
    uv_prepare_t prepare;
    uint32_t handles;
    char *said; /* the last message, and when */
    uint64_t said_ms;
    pthread_mutex_t mutex; /* over `trouble` */
    char trouble[TROUBLE_MAX];
};

static void set_trouble(rfm_store *store, const char *text)
{
    pthread_mutex_lock(&store->mutex);
    snprintf(store->trouble, sizeof store->trouble, "%s", text);
    pthread_mutex_unlock(&store->mutex);
}

static void say(rfm_store *store, const char *message)
{
    const rfm_store_calls *calls = &store->world.calls;
    uint64_t now = uv_hrtime() / 1000000;
    bool same = store->said && strcmp(store->said, message) == 0;
    if (!calls->log || (same && now - store->said_ms < SAME_MESSAGE_MS))
        return; /* many tasks say the same at once */
    if (!same) {
        free(store->said);
        store->said = strdup(message);
    }
    store->said_ms = now;
    calls->log(calls->owner, message);
}

static void on_trouble(rfm_link_world *world, const char *message)
{
    rfm_store *store = (rfm_store *)world;
    set_trouble(store, message);
    say(store, message);
}

static void on_relief(rfm_link_world *world)
{
    rfm_store *store = (rfm_store *)world;
    char message[320];
    set_trouble(store, "");
    const rfm_address *address = &world->site.address;
    snprintf(message, sizeof message, "Redis at %s: all is well again",
             address->layout == RFM_SENTINEL ? address->service : address->seed[0].name);
    say(store, message);
}

static void release(rfm_store *store)
{
    rfm__site_release(&store->world.site);
    rfm__requests_release(&store->world.requests);
    free(store->said);
    pthread_mutex_destroy(&store->mutex);
    free(store);
}

static void let_go(rfm_store *store)
{
    if (--store->handles == 0)
        release(store);
}

static void on_link_gone(rfm_link_world *world)
{
    let_go((rfm_store *)world);
}

static void on_prepare_closed(uv_handle_t *handle)
{
    let_go(handle->data);
}

static void on_prepare(uv_prepare_t *prepare)
{
    rfm_store *store = prepare->data;
    rfm__links_flush(&store->world);
}

static void set_up(rfm_store *store, uv_loop_t *loop, const rfm_store_calls *calls)
{
    rfm_link_world *world = &store->world;
    world->loop = loop;
    world->calls = *calls;
    world->trouble = on_trouble;
    world->relief = on_relief;
    world->link_gone = on_link_gone;
    world->random = (uv_hrtime() ^ (uint64_t)getpid() << 32) | 1;
    pthread_mutex_init(&store->mutex, NULL);
    uv_prepare_init(loop, &store->prepare);
    uv_prepare_start(&store->prepare, on_prepare);
    uv_unref((uv_handle_t *)&store->prepare);
    store->prepare.data = store;
    store->handles = 1;
}

int rfm_store_new(uv_loop_t *loop, const rfm_store_conf *conf, const rfm_store_calls *calls, rfm_store **store,
                  rfm_error *error)
{
    *store = NULL;
    rfm_store *made = calloc(1, sizeof *made);
    RFM_NEED(made);
    int code = rfm__site_init(&made->world.site, conf, error);
    if (code) {
        free(made);
        return code;
    }
    set_up(made, loop, calls);
    *store = made;
    return RFM_OK;
}

void rfm_store_free(rfm_store *store)
{
    if (!store)
        return;
    for (size_t i = 0; i < RFM_TASKS_MAX; i++) {
        if (store->links[i])
            rfm__link_free(store->links[i]);
    }
    uv_ref((uv_handle_t *)&store->prepare);
    uv_close((uv_handle_t *)&store->prepare, on_prepare_closed);
}

static rfm_link *link_of(rfm_store *store, uint32_t task)
{
    RFM_ASSERT(task < store->world.site.partition_count);
    if (!store->links[task]) {
        store->links[task] = rfm__link_new(&store->world, task);
        store->handles++;
    }
    return store->links[task];
}

void rfm_store_do(rfm_store *store, const rfm_effect *effect)
{
    rfm_link *link = link_of(store, effect->task);
    switch (effect->kind) {
    case RFM_OUT_OPEN: rfm__link_open(link, effect->term); break;
    case RFM_OUT_CLOSE: rfm__link_close(link); break;
    case RFM_OUT_LOAD: rfm__link_load(link, effect); break;
    case RFM_OUT_STORE: rfm__link_store(link, effect); break;
    default: RFM_ASSERT(!"an effect on Redis");
    }
}

void rfm_store_trouble(rfm_store *store, char *text, size_t size)
{
    pthread_mutex_lock(&store->mutex);
    snprintf(text, size, "%s", store->trouble);
    pthread_mutex_unlock(&store->mutex);
}

const rfm_store_stats *rfm_store_stats_of(const rfm_store *store)
{
    return &store->world.stats;
}
