#include "member.h"

#include "group_metadata.h"

#include <rfm/base/time.h>
#include <stdlib.h>

enum { LEAVE_MS = 2000 };

/* librdkafka's group ends its close without waiting for the answer to an event that was under way when the close began;
 * such an answer, then given, may wait for ever for one that has ended. So the close begins only when nothing can be
 * under way: the subscription is given up first, whose events are in the queue when that returns, and all is answered.
 *
 * A static member does not leave the group, whereas giving up its subscription would make it: it ends without a
 * close. */
typedef enum member_stage {
    MEMBER_SUBSCRIBED,
    MEMBER_LEAVING,   /* asked to leave */
    MEMBER_RELEASING, /* what it holds, no longer subscribed */
    MEMBER_CLOSING,
    MEMBER_LEFT,
} member_stage;

struct rfm__member {
    const rfm_kafka_conf *conf;
    rfm__member_owner owner;
    rd_kafka_t *client;
    rd_kafka_queue_t *queue;
    rfm__asker asker;
    uint8_t *inputs_of; /* by partition: how many inputs the assignment has it of */
    uint32_t *tasks;
    member_stage stage;
    bool was_assigned; /* ever: brokers have let us in */
    bool owes;         /* the owner was told of a revocation and has not given up yet */
};

static void fail(rfm__member *member, rfm_error *error)
{
    member->owner.failed(member->owner.self, error);
}

/* Counts for each partition of how many inputs we have it. */
static int count_inputs(rfm__member *member, const rd_kafka_topic_partition_list_t *partitions, rfm_error *error)
{
    const rfm_kafka_conf *conf = member->conf;
    size_t input;
    memset(member->inputs_of, 0, conf->partition_count);
    for (int i = 0; i < partitions->cnt; i++) {
        const rd_kafka_topic_partition_t *at = &partitions->elems[i];
        if (!rfm__kafka_find_input(conf, at->topic, &input))
            return rfm_fail(error, RFM_E_REFUSED,
                            "group '%s' gave us '%s', which is no input: another program with "
                            "other topics is in this group; give rfmd a group of its own",
                            conf->group, at->topic);
        if ((uint32_t)at->partition >= conf->partition_count)
            return rfm_fail(error, RFM_E_REFUSED,
                            "topic '%s' has more than the %u partitions that it had at the start: "
                            "give all inputs and the WAL equal numbers, then start again",
                            at->topic, conf->partition_count);
        member->inputs_of[at->partition]++;
    }
    return RFM_OK;
}

static int tasks_of(rfm__member *member, const rd_kafka_topic_partition_list_t *partitions, size_t *count,
                    rfm_error *error)
{
    int code = count_inputs(member, partitions, error);
    if (code != RFM_OK)
        return code;
    *count = 0;
    for (uint32_t task = 0; task < member->conf->partition_count; task++) {
        if (member->inputs_of[task] == 0)
            continue;
        if (member->inputs_of[task] != member->conf->input_count)
            return rfm_fail(error, RFM_E_REFUSED,
                            "group '%s' gave us partition %u of only %u of %zu inputs: all members "
                            "must read the same inputs, with equal partition counts, by the range assignor",
                            member->conf->group, task, member->inputs_of[task], member->conf->input_count);
        member->tasks[(*count)++] = task;
    }
    return RFM_OK;
}

static void assign(rfm__member *member, rd_kafka_topic_partition_list_t *none)
{
    rd_kafka_resp_err_t code = rd_kafka_assign(member->client, none);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        rfm__kafka_log(member->conf, RFM_KAFKA_LOG_WARNING, "group '%s': %s", member->conf->group,
                       rd_kafka_err2str(code));
}

/* A generation below 0 would not be fenced by the broker: then the assignment is over already, and offsets of it must
 * not be sent. */
static rfm_group *take_group(rfm__member *member)
{
    rd_kafka_consumer_group_metadata_t *metadata = rd_kafka_consumer_group_metadata(member->client);
    if (metadata && rd_kafka_consumer_group_metadata_generation_id(metadata) >= 0 &&
        rd_kafka_consumer_group_metadata_member_id(metadata)[0] != '\0')
        return rfm__group_new(metadata);
    if (metadata)
        rd_kafka_consumer_group_metadata_destroy(metadata);
    return NULL;
}

static void on_assigned(rfm__member *member, const rd_kafka_topic_partition_list_t *partitions)
{
    rfm_error error;
    size_t count = 0;
    rd_kafka_topic_partition_list_t *none = rd_kafka_topic_partition_list_new(0);
    int code = tasks_of(member, partitions, &count, &error);
    rfm_group *group = take_group(member);
    assign(member, none);
    rd_kafka_topic_partition_list_destroy(none);
    member->was_assigned = true;
    if (code == RFM_OK) {
        member->owner.assigned(member->owner.self, member->tasks, count, group);
    } else {
        rfm_group_drop(group);
        fail(member, &error);
    }
}

static bool is_static(const rfm__member *member)
{
    return member->conf->instance_id != NULL;
}

static void revoke_all(rfm__member *member, bool lost)
{
    if (member->owes && !lost)
        return;
    member->owes = true;
    member->owner.revoked(member->owner.self, lost);
}

static void on_rebalance(rfm__member *member, rd_kafka_event_t *event)
{
    if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS)
        revoke_all(member, rfm__member_is_lost(member));
    else if (member->stage == MEMBER_SUBSCRIBED)
        on_assigned(member, rd_kafka_event_topic_partition_list(event));
}

static void on_fatal(rfm__member *member)
{
    const rfm_kafka_conf *conf = member->conf;
    char text[256] = "";
    rfm_error error;
    rd_kafka_resp_err_t code = rd_kafka_fatal_error(member->client, text, sizeof text);
    if (code == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID)
        rfm_fail(&error, RFM_E_FENCED,
                 "group '%s': another process has joined as instance '%s'; kafka.instance_id must be "
                 "different in each process that runs",
                 conf->group, conf->instance_id ? conf->instance_id : "");
    else
        rfm_fail(&error, RFM_E_REFUSED, "group '%s': %s: %s", conf->group, rd_kafka_err2name(code), text);
    fail(member, &error);
}

static void on_error(rfm__member *member, rd_kafka_event_t *event)
{
    const char *group = member->conf->group, *text = rd_kafka_event_error_string(event);
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    rfm_error error;
    if (rd_kafka_event_error_is_fatal(event) || code == RD_KAFKA_RESP_ERR__FATAL) {
        on_fatal(member);
    } else if (rfm__kafka_unauthenticated(code) && !member->was_assigned) {
        rfm_fail(&error, RFM_E_DENIED, "group '%s': %s; check security.protocol, sasl.* and ssl.* of kafka.properties",
                 group, text);
        fail(member, &error);
    } else if (rfm__kafka_denied(code)) {
        rfm_fail(&error, RFM_E_DENIED, "group '%s': %s; grant READ on the group and on the inputs", group, text);
        fail(member, &error);
    } else if (code == RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL) {
        rfm_fail(&error, RFM_E_REFUSED,
                 "group '%s' has members with another assignor than range: give rfmd a group of its "
                 "own (%s)",
                 group, text);
        fail(member, &error);
    } else if (code != RD_KAFKA_RESP_ERR__TRANSPORT &&
               code != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) { /* logged already */
        rfm__kafka_log(member->conf, RFM_KAFKA_LOG_WARNING, "group '%s': %s", group, text);
    }
}

static void on_event(rfm__member *member, rd_kafka_event_t *event)
{
    switch (rd_kafka_event_type(event)) {
    case RD_KAFKA_EVENT_REBALANCE: on_rebalance(member, event); break;
    case RD_KAFKA_EVENT_ERROR: on_error(member, event); break;
    default: break;
    }
}

static void begin_release(rfm__member *member)
{
    member->stage = MEMBER_RELEASING;
    if (is_static(member))
        revoke_all(member, false);
    else
        rd_kafka_unsubscribe(member->client);
}

static void begin_close(rfm__member *member)
{
    member->stage = MEMBER_CLOSING;
    rd_kafka_error_t *error = rd_kafka_consumer_close_queue(member->client, member->queue);
    if (error)
        rfm__kafka_log(member->conf, RFM_KAFKA_LOG_WARNING, "leaving group '%s': %s", member->conf->group,
                       rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
}

/* The next stage of a leave, if it may come. All events must have been taken. */
static void proceed(rfm__member *member)
{
    if (member->owes)
        return;
    switch (member->stage) {
    case MEMBER_LEAVING: begin_release(member); break;
    case MEMBER_RELEASING:
        if (is_static(member))
            member->stage = MEMBER_LEFT;
        else
            begin_close(member);
        break;
    case MEMBER_CLOSING:
        if (rd_kafka_consumer_closed(member->client))
            member->stage = MEMBER_LEFT;
        break;
    case MEMBER_SUBSCRIBED:
    case MEMBER_LEFT: break;
    }
}

void rfm__member_serve(rfm__member *member)
{
    if (member->stage == MEMBER_LEFT)
        return;
    rd_kafka_event_t *event;
    while ((event = rd_kafka_queue_poll(member->queue, 0)) != NULL) {
        on_event(member, event);
        rd_kafka_event_destroy(event);
    }
    proceed(member);
    if (member->stage == MEMBER_LEFT)
        member->owner.left(member->owner.self);
}

void rfm__member_give_up(rfm__member *member)
{
    member->owes = false;
    if (member->stage != MEMBER_RELEASING || !is_static(member))
        assign(member, NULL); /* which for a static member that ends would mean to join again */
}

bool rfm__member_is_lost(const rfm__member *member)
{
    return rd_kafka_assignment_lost(member->client) != 0;
}

void rfm__member_leave(rfm__member *member)
{
    if (member->stage == MEMBER_SUBSCRIBED)
        member->stage = MEMBER_LEAVING;
}

rd_kafka_t *rfm__member_client(rfm__member *member)
{
    return member->client;
}

rfm__asker *rfm__member_asker(rfm__member *member)
{
    return &member->asker;
}

static int subscribe(rfm__member *member, rfm_error *error)
{
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new((int)member->conf->input_count);
    for (size_t i = 0; i < member->conf->input_count; i++)
        rd_kafka_topic_partition_list_add(topics, member->conf->input_topic[i], RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t code = rd_kafka_subscribe(member->client, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return RFM_OK;
    return rfm_fail(error, RFM_E_MALFORMED, "kafka.inputs: cannot subscribe: %s", rd_kafka_err2str(code));
}

int rfm__member_new(const rfm_kafka_conf *conf, const rfm__member_owner *owner, rfm__wake *wake, rfm__member **made,
                    rfm_error *error)
{
    rd_kafka_conf_t *client_conf;
    rfm__member *member = calloc(1, sizeof *member);
    RFM_NEED(member);
    *member = (rfm__member){.conf = conf, .owner = *owner};
    member->inputs_of = calloc(conf->partition_count, sizeof *member->inputs_of);
    member->tasks = calloc(conf->partition_count, sizeof *member->tasks);
    RFM_NEED(member->inputs_of && member->tasks);
    int code = rfm__client_conf(&member->conf, RFM__MEMBER, &client_conf, error);
    if (code == RFM_OK) {
        rd_kafka_conf_set_events(client_conf, RD_KAFKA_EVENT_REBALANCE | RD_KAFKA_EVENT_ERROR);
        code = rfm__client_new(RFM__MEMBER, client_conf, &member->client, error);
    }
    if (code == RFM_OK) {
        rd_kafka_poll_set_consumer(member->client);
        member->queue = rd_kafka_queue_get_consumer(member->client);
        rfm__wake_watch(wake, member->queue);
        code = subscribe(member, error);
    }
    if (code == RFM_OK)
        code = rfm__asker_init(&member->asker, conf, member->client, error);
    if (code != RFM_OK) {
        rfm__member_free(member);
        return code;
    }
    *made = member;
    return RFM_OK;
}

static void no_revoked(void *self, bool lost)
{
    (void)self;
    (void)lost;
}

static void no_failed(void *self, const rfm_error *error)
{
    (void)self;
    (void)error;
}

static void no_left(void *self)
{
    (void)self;
}

/* A leave that was begun must come to its end, or destroying the client would wait for it: tasks that nobody released
 * go now. The owner is told no more. */
static void finish_leaving(rfm__member *member)
{
    int64_t until_ms = rfm_clock_steady_ms() + LEAVE_MS;
    member->owner = (rfm__member_owner){.revoked = no_revoked, .failed = no_failed, .left = no_left};
    while (member->stage != MEMBER_LEFT && rfm_clock_steady_ms() < until_ms) {
        rfm__member_serve(member);
        if (member->owes)
            rfm__member_give_up(member);
        else if (member->stage == MEMBER_CLOSING)
            rd_kafka_event_destroy(rd_kafka_queue_poll(member->queue, 10));
    }
}

void rfm__member_free(rfm__member *member)
{
    if (member == NULL)
        return;
    if (member->stage != MEMBER_SUBSCRIBED)
        finish_leaving(member);
    if (member->queue)
        rd_kafka_queue_destroy(member->queue);
    rfm__asker_release(&member->asker);
    if (member->client)
        rd_kafka_destroy_flags(member->client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    free(member->inputs_of);
    free(member->tasks);
    free(member);
}
