/* How librdkafka clients are made here, and how their queues wake a loop. */
#ifndef RFM_KAFKA_CLIENT_H
#define RFM_KAFKA_CLIENT_H

#include "conf.h"

#include <librdkafka/rdkafka.h>
#include <uv.h>

typedef enum rfm__role {
    RFM__MEMBER,   /* in the group, fetches nothing */
    RFM__FETCHER,  /* inputs and WAL, read_committed, in no group */
    RFM__TAILER,   /* the WAL, read_uncommitted */
    RFM__PRODUCER, /* of steps: transactional, or at_least_once */
    RFM__ADMIN,
} rfm__role;

/* What a role needs of librdkafka; the caller adds its own and passes it on or destroys it. `owner` is the pointer to
 * the configuration in the struct that owns the client, at its start if callbacks want that struct: it becomes
 * librdkafka's opaque and must live as long. Errors as rfm_kafka_conf_check. */
int rfm__client_conf(const rfm_kafka_conf **owner, rfm__role role, rd_kafka_conf_t **made, rfm_error *error);
/* One property of our own, which librdkafka must know. */
void rfm__client_set(rd_kafka_conf_t *made, const char *name, const char *value);
void rfm__threads_seen(void); /* c11_threads.c */
/* Takes over `made`, also on failure. */
int rfm__client_new(rfm__role role, rd_kafka_conf_t *made, rd_kafka_t **client, rfm_error *error);

void rfm__kafka_log(const rfm_kafka_conf *conf, rfm_kafka_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Which of the inputs a topic is; false: none. */
bool rfm__kafka_find_input(const rfm_kafka_conf *conf, const char *topic, size_t *input);

/* The broker is away, busy, or changes leaders: the same request may succeed later. */
bool rfm__kafka_passes(rd_kafka_resp_err_t code);
bool rfm__kafka_denied(rd_kafka_resp_err_t code); /* authorisation */
/* Also said of a connection that breaks while it logs in, or of a token that cannot be renewed just now: it is final
 * for who has never been let in, and passes otherwise. */
bool rfm__kafka_unauthenticated(rd_kafka_resp_err_t code);

/* Wakes the loop when a queue has something, at least every `tick_ms` besides. An eventfd to which any number of queues
 * write, so that librdkafka's threads never run our code. */
typedef struct rfm__wake {
    int event;
    uv_poll_t poll;
    uv_timer_t timer;
    void (*woken)(void *self);
    void *self;
    void (*closed)(void *self);
    int closing; /* handles that are not closed yet */
} rfm__wake;

int rfm__wake_init(rfm__wake *wake, uv_loop_t *loop, uint64_t tick_ms, void (*woken)(void *self), void *self,
                   rfm_error *error);
void rfm__wake_watch(rfm__wake *wake, rd_kafka_queue_t *queue);
void rfm__wake_now(rfm__wake *wake); /* once more, after this turn of the loop; from any thread */
/* No queue may write any more. `closed` is called from the loop; `wake` must live until then. */
void rfm__wake_close(rfm__wake *wake, void (*closed)(void *self));

#endif
