#include "publisher.h"

#include "group_metadata.h"
#include "transaction.h"

#include <pthread.h>
#include <rfm/base/time.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { IDLE_MS = 500, BACKOFF_FIRST_MS = 100, BACKOFF_LAST_MS = 3000 };

typedef enum command_kind { PUBLISH, RENEW, EVICT, FATAL } command_kind;

/* Goes to the thread and comes back with its answer. FATAL only comes back. */
typedef struct command {
    struct command *after;
    command_kind kind;
    rfm_step *step;
    rfm_group *group;
    const rfm__topic_names *names;
    uint32_t task, term;
    char *id;
    rfm_answer answer;
    rfm_error error;
} command;

typedef struct commands {
    command *first, **end;
} commands;

struct rfm_publisher {
    const rfm_kafka_conf *conf;
    rfm_kafka_owner owner;
    uv_async_t answered;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wanted;
    commands asked, done; /* under the lock */
    atomic_bool stop;
    rfm__producer *producer; /* the thread's from here on */
    rfm__topic_names *names; /* the newest; a step has those of the moment when it was asked for */
    bool failed;
    atomic_uint_fast64_t steps, messages, fenced, unknown, commit_ns;
    atomic_bool ready;
};

static void count(atomic_uint_fast64_t *counter, uint64_t by)
{
    atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

/* -- lists of commands */

static void commands_init(commands *list)
{
    *list = (commands){NULL, &list->first};
}

static void commands_add(commands *list, command *added)
{
    added->after = NULL;
    *list->end = added;
    list->end = &added->after;
}

static command *commands_take(commands *list)
{
    command *first = list->first;
    if (first && (list->first = first->after) == NULL)
        list->end = &list->first;
    return first;
}

static void command_free(command *of)
{
    rfm_group_drop(of->group);
    free(of->id);
    free(of);
}

static void ask(rfm_publisher *publisher, command asked)
{
    command *added = malloc(sizeof *added);
    RFM_NEED(added);
    *added = asked;
    pthread_mutex_lock(&publisher->lock);
    commands_add(&publisher->asked, added);
    pthread_cond_signal(&publisher->wanted);
    pthread_mutex_unlock(&publisher->lock);
}

static void free_names(rfm__topic_names *names)
{
    for (size_t i = 0; i < RFM__TOPICS_MAX; i++)
        free(names->at[i]);
    free(names);
}

static void give_back(rfm_publisher *publisher, command *done)
{
    pthread_mutex_lock(&publisher->lock);
    commands_add(&publisher->done, done);
    pthread_mutex_unlock(&publisher->lock);
    uv_async_send(&publisher->answered);
}

static void report_fatal(rfm_publisher *publisher, const rfm_error *error)
{
    command *told = calloc(1, sizeof *told);
    RFM_NEED(told);
    told->kind = FATAL;
    told->error = *error;
    give_back(publisher, told);
}

static bool is_hopeless(const rfm_error *error)
{
    return error->code == RFM_E_DENIED || error->code == RFM_E_REFUSED || error->code == RFM_E_MALFORMED ||
           error->code == RFM_E_UNKNOWN_NAME;
}

/* -- the thread */

static bool is_stopped(rfm_publisher *publisher)
{
    return atomic_load_explicit(&publisher->stop, memory_order_relaxed);
}

static void pause_for(rfm_publisher *publisher, int64_t ms)
{
    struct timespec until = rfm_steady_after(ms);
    pthread_mutex_lock(&publisher->lock);
    while (!is_stopped(publisher) && pthread_cond_timedwait(&publisher->wanted, &publisher->lock, &until) == 0)
        continue;
    pthread_mutex_unlock(&publisher->lock);
}

static void drop_producer(rfm_publisher *publisher)
{
    atomic_store_explicit(&publisher->ready, false, memory_order_relaxed);
    rfm__producer_free(publisher->producer);
    publisher->producer = NULL;
}

static int make_producer(rfm_publisher *publisher, rfm_error *error)
{
    int code = rfm__producer_new(publisher->conf, &publisher->stop, &publisher->producer, error);
    if (code == RFM_OK)
        code = rfm__producer_begin(publisher->producer, error);
    if (code != RFM_OK)
        drop_producer(publisher);
    return code;
}

/* Until there is one; without, only if we are stopped or it is hopeless. */
static void renew(rfm_publisher *publisher)
{
    rfm_error error;
    int64_t pause_ms = BACKOFF_FIRST_MS;
    drop_producer(publisher);
    while (!is_stopped(publisher)) {
        if (make_producer(publisher, &error) == RFM_OK) {
            atomic_store_explicit(&publisher->ready, true, memory_order_relaxed);
            return;
        }
        if (is_hopeless(&error)) {
            report_fatal(publisher, &error);
            return;
        }
        rfm__kafka_log(publisher->conf, RFM_KAFKA_LOG_WARNING, "no producer yet: %s", error.message);
        pause_for(publisher, pause_ms);
        pause_ms = pause_ms * 2 < BACKOFF_LAST_MS ? pause_ms * 2 : BACKOFF_LAST_MS;
    }
}

static void count_step(rfm_publisher *publisher, const rfm_step *step, int64_t begun_ns)
{
    count(&publisher->steps, 1);
    count(&publisher->messages, step->message_count);
    count(&publisher->commit_ns, (uint64_t)(rfm_clock_steady_ns() - begun_ns));
}

/* Whatever is not clean ends the producer, before the answer: then nothing points to the step any more. */
static void end_badly(rfm_publisher *publisher, const command *of)
{
    drop_producer(publisher);
    count(of->answer == RFM_FENCED ? &publisher->fenced : &publisher->unknown, 1);
    rfm__kafka_log(publisher->conf, RFM_KAFKA_LOG_WARNING, "step %llu %s: %s", (unsigned long long)of->step->number,
                   of->answer == RFM_FENCED ? "was not committed" : "has an unknown outcome", of->error.message);
    if (is_hopeless(&of->error))
        report_fatal(publisher, &of->error);
}

static void publish(rfm_publisher *publisher, command *of)
{
    if (publisher->producer == NULL || (publisher->conf->transactional_id && of->group == NULL)) {
        of->answer = RFM_FENCED;
        count(&publisher->fenced, 1);
        return;
    }
    int64_t begun_ns = rfm_clock_steady_ns();
    rfm__publication publication = {of->step, of->group, of->names};
    of->answer = rfm__producer_publish(publisher->producer, &publication, &of->error);
    if (of->answer == RFM_DONE)
        count_step(publisher, of->step, begun_ns);
    else
        end_badly(publisher, of);
}

/* Others may have asked for the same meanwhile: one dead owner's transaction holds up many tasks, and an eviction takes
 * up to seconds, in which nothing is published. */
static void share_eviction(rfm_publisher *publisher, const char *id)
{
    commands left, same;
    command *of;
    commands_init(&left);
    commands_init(&same);
    pthread_mutex_lock(&publisher->lock);
    while ((of = commands_take(&publisher->asked)) != NULL)
        commands_add(of->kind == EVICT && strcmp(of->id, id) == 0 ? &same : &left, of);
    while ((of = commands_take(&left)) != NULL)
        commands_add(&publisher->asked, of);
    pthread_mutex_unlock(&publisher->lock);
    while ((of = commands_take(&same)) != NULL)
        give_back(publisher, of);
}

static void evict(rfm_publisher *publisher, command *of)
{
    rfm_error error;
    const char *own = publisher->conf->transactional_id;
    if (own && strcmp(own, of->id) == 0) {
        renew(publisher);
    } else if (rfm__producer_evict(publisher->conf, of->id, &publisher->stop, &error) == RFM_OK) {
        rfm__kafka_log(publisher->conf, RFM_KAFKA_LOG_INFO, "evicted '%s'", of->id);
    } else {
        rfm__kafka_log(publisher->conf, RFM_KAFKA_LOG_WARNING, "evicting '%s': %s", of->id, error.message);
        if (is_hopeless(&error))
            report_fatal(publisher, &error);
    }
    share_eviction(publisher, of->id);
}

static void carry_out(rfm_publisher *publisher, command *of)
{
    switch (of->kind) {
    case PUBLISH: publish(publisher, of); break;
    case RENEW: renew(publisher); break;
    case EVICT: evict(publisher, of); break;
    case FATAL: break;
    }
}

/* The next command, or NULL after a while without one. */
static command *next_command(rfm_publisher *publisher)
{
    struct timespec until = rfm_steady_after(IDLE_MS);
    pthread_mutex_lock(&publisher->lock);
    while (publisher->asked.first == NULL && !is_stopped(publisher))
        if (pthread_cond_timedwait(&publisher->wanted, &publisher->lock, &until) != 0)
            break;
    command *next = commands_take(&publisher->asked);
    pthread_mutex_unlock(&publisher->lock);
    return next;
}

static void *run(void *self)
{
    rfm_publisher *publisher = self;
    pthread_setname_np(pthread_self(), "rfmd-publish");
    renew(publisher);
    while (!is_stopped(publisher)) {
        command *next = next_command(publisher);
        if (next == NULL) {
            if (publisher->producer)
                rfm__producer_poll(publisher->producer);
            continue;
        }
        carry_out(publisher, next);
        give_back(publisher, next);
    }
    drop_producer(publisher);
    return NULL;
}

/* -- answers, on the loop */

static void tell(rfm_publisher *publisher, const command *of)
{
    rfm_input told = {.now_ms = rfm_clock_wall_ms(), .answer = of->answer, .task = of->task, .term = of->term};
    switch (of->kind) {
    case PUBLISH:
        told.kind = RFM_IN_PUBLISHED;
        told.step = of->step;
        break;
    case RENEW: told.kind = RFM_IN_RENEWED; break;
    case EVICT: told.kind = RFM_IN_EVICTED; break;
    case FATAL:
        if (!publisher->failed) {
            publisher->failed = true;
            publisher->owner.fatal(publisher->owner.self, &of->error);
        }
        return;
    }
    publisher->owner.tell(publisher->owner.self, &told);
}

static command *next_answer(rfm_publisher *publisher)
{
    pthread_mutex_lock(&publisher->lock);
    command *next = commands_take(&publisher->done);
    pthread_mutex_unlock(&publisher->lock);
    return next;
}

static void on_answered(uv_async_t *async)
{
    rfm_publisher *publisher = async->data;
    command *next;
    while ((next = next_answer(publisher)) != NULL) {
        tell(publisher, next);
        command_free(next);
    }
}

/* -- interface */

void rfm_publisher_publish(rfm_publisher *publisher, rfm_step *step, rfm_group *group)
{
    ask(publisher, (command){.kind = PUBLISH, .step = step, .group = group, .names = publisher->names});
}

void rfm_publisher_renew(rfm_publisher *publisher)
{
    ask(publisher, (command){.kind = RENEW});
}

void rfm_publisher_evict(rfm_publisher *publisher, uint32_t task, uint32_t term, rfm_bytes transactional_id)
{
    char *id = malloc(transactional_id.len + 1);
    RFM_NEED(id);
    memcpy(id, transactional_id.at, transactional_id.len);
    id[transactional_id.len] = '\0';
    ask(publisher, (command){.kind = EVICT, .task = task, .term = term, .id = id});
}

/* Names that are not the newest ones already make a new table, the older ones live on for steps and producers that have
 * them. */
static void add_names(rfm_publisher *publisher, const char *const *names, size_t first, size_t name_count)
{
    rfm__topic_names *newest = publisher->names, *made = calloc(1, sizeof *made);
    RFM_NEED(made);
    RFM_ASSERT(first + name_count <= RFM__TOPICS_MAX);
    bool changed = newest == NULL;
    for (size_t i = 0; i < RFM__TOPICS_MAX; i++) {
        const char *had = newest ? newest->at[i] : NULL;
        const char *name = i >= first && i < first + name_count ? names[i - first] : had;
        changed = changed || (name && (had == NULL || strcmp(had, name) != 0));
        made->at[i] = name ? strdup(name) : NULL;
        RFM_NEED(name == NULL || made->at[i]);
    }
    made->before = newest;
    if (changed)
        publisher->names = made;
    else
        free_names(made);
}

void rfm_publisher_set_trigger_topics(rfm_publisher *publisher, const char *const *topics, size_t topic_count)
{
    add_names(publisher, topics, RFM_TOPIC_TRIGGERS, topic_count);
}

static void name_all(rfm_publisher *publisher)
{
    const rfm_kafka_conf *conf = publisher->conf;
    const char *fixed[] = {conf->wal, conf->dead_letters, conf->audit};
    add_names(publisher, fixed, RFM_TOPIC_WAL, 3);
    rfm_publisher_set_trigger_topics(publisher, conf->trigger_topics, conf->trigger_topic_count);
}

static void init_lock(rfm_publisher *publisher)
{
    pthread_condattr_t steady;
    pthread_mutex_init(&publisher->lock, NULL);
    pthread_condattr_init(&steady);
    pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
    pthread_cond_init(&publisher->wanted, &steady);
    pthread_condattr_destroy(&steady);
}

static void release(rfm_publisher *publisher)
{
    command *left;
    while ((left = commands_take(&publisher->asked)) != NULL || (left = commands_take(&publisher->done)) != NULL)
        command_free(left);
    for (rfm__topic_names *names = publisher->names, *before; names; names = before) {
        before = names->before;
        free_names(names);
    }
    pthread_cond_destroy(&publisher->wanted);
    pthread_mutex_destroy(&publisher->lock);
    free(publisher);
}

static int check_conf(const rfm_kafka_conf *conf, rfm_error *error)
{
    rd_kafka_conf_t *made;
    int code = rfm__client_conf(&conf, RFM__PRODUCER, &made, error);
    if (code == RFM_OK)
        rd_kafka_conf_destroy(made);
    return code;
}

int rfm_publisher_new(const rfm_kafka_conf *conf, uv_loop_t *loop, const rfm_kafka_owner *owner, rfm_publisher **made,
                      rfm_error *error)
{
    int code = check_conf(conf, error);
    if (code != RFM_OK)
        return code;
    rfm_publisher *publisher = calloc(1, sizeof *publisher);
    RFM_NEED(publisher);
    publisher->conf = conf;
    publisher->owner = *owner;
    commands_init(&publisher->asked);
    commands_init(&publisher->done);
    init_lock(publisher);
    name_all(publisher);
    code = uv_async_init(loop, &publisher->answered, on_answered);
    if (code < 0) {
        release(publisher);
        return rfm_fail(error, RFM_E_IO, "uv_async_init: %s", uv_strerror(code));
    }
    publisher->answered.data = publisher;
    RFM_NEED(pthread_create(&publisher->thread, NULL, run, publisher) == 0);
    *made = publisher;
    return RFM_OK;
}

static void on_closed(uv_handle_t *handle)
{
    release(handle->data);
}

void rfm_publisher_free(rfm_publisher *publisher)
{
    if (publisher == NULL)
        return;
    pthread_mutex_lock(&publisher->lock);
    atomic_store(&publisher->stop, true);
    pthread_cond_signal(&publisher->wanted);
    pthread_mutex_unlock(&publisher->lock);
    pthread_join(publisher->thread, NULL);
    uv_close((uv_handle_t *)&publisher->answered, on_closed);
}

rfm_publisher_stats rfm_publisher_stats_of(const rfm_publisher *publisher)
{
    return (rfm_publisher_stats){
        .steps = atomic_load_explicit(&publisher->steps, memory_order_relaxed),
        .messages = atomic_load_explicit(&publisher->messages, memory_order_relaxed),
        .fenced = atomic_load_explicit(&publisher->fenced, memory_order_relaxed),
        .unknown = atomic_load_explicit(&publisher->unknown, memory_order_relaxed),
        .commit_ns = atomic_load_explicit(&publisher->commit_ns, memory_order_relaxed),
        .ready = atomic_load_explicit(&publisher->ready, memory_order_relaxed),
    };
}
