#include "node.h"

#include <engine/fault.h>
#include <rfm/engine/outcome.h>

enum { SAID_EACH_MAX = 24 }; /* messages of a record and of a look together, more than any have */

/* One job after the other, each in stages, each stage a request and its reply */

typedef enum job_kind { JOB_PUBLISH, JOB_RENEW, JOB_EVICT } job_kind;
typedef enum job_stage { STAGE_PRODUCE, STAGE_OFFSETS, STAGE_COMMIT } job_stage;
struct sim_job {
    sim_job *next;
    job_kind kind;
    sim_node *node;
    uint32_t life, number, task, term, epoch;
    job_stage stage;
    sim_reply reply;
    rfm_attempt attempt;
    rfm_step *step; /* the engine's; only while the process lives */
    rfm_message *messages;
    rfm_position *to;
    uint32_t *tasks;
    size_t message_count, change_count, at;
    uint64_t member;
    uint32_t generation;
};

static void job_next(sim_world *sim, sim_node *node);

static void job_over(sim_world *sim, sim_node *node, rfm_input input)
{
    sim_job *job = node->first_job;
    node->first_job = job->next;
    if (!node->first_job)
        node->last_job = NULL;
    if (job->number != UINT32_MAX) /* the first producer was not asked for */
        sim__tell(sim, node, input);
    job_next(sim, node);
    sim__turn(sim, node);
}

static void published(sim_world *sim, sim_node *node, sim_job *job)
{
    rfm_answer outcome = rfm_outcome_of(&job->attempt);
    for (size_t i = 0; i < job->change_count; i++)
        job->step->changes[i].to.wal = job->to[i].wal;
    if (outcome != RFM_DONE)
        node->has_producer = false;
    job_over(sim, node, (rfm_input){.kind = RFM_IN_PUBLISHED, .answer = outcome, .step = job->step});
}

static void commit_late(sim_world *sim, void *argument)
{
    sim_job *job = argument;
    sim_reply reply = sim_broker_commit(sim, job->node->number, job->epoch);
    sim_trace(sim, "broker: a late commit of sim-%u: %s", job->node->number, reply == SIM_OK ? "done" : "fenced");
}

static void give_up_commit(sim_world *sim, sim_node *node, void *argument)
{
    published(sim, node, argument);
}

/* The answer is lost for good; or a first request got none and is still on its way when the second succeeds. */
static void committed(sim_world *sim, sim_node *node, sim_job *job)
{
    job->attempt.succeeded = !sim_fault_now(sim, SIM_FAULT_UNKNOWN, 40);
    job->attempt.troubled = job->stage == STAGE_COMMIT && sim_fault_now(sim, SIM_FAULT_UNKNOWN, 40);
    if (job->attempt.troubled)
        sim_after(sim, (int64_t)sim_below(sim, 1000000), commit_late, job);
    published(sim, node, job);
}

static void request(sim_world *sim, sim_node *node, sim_job *job);

static void publish_reply(sim_world *sim, sim_node *node, sim_job *job)
{
    if (job->reply == SIM_AGAIN) {
        request(sim, node, job);
        return;
    }
    if (job->reply == SIM_FENCED || (job->stage != STAGE_COMMIT && sim_fault_now(sim, SIM_FAULT_UNKNOWN, 200))) {
        job->attempt.asked = job->stage == STAGE_COMMIT;
        published(sim, node, job);
        return;
    }
    if (job->stage == STAGE_COMMIT || (sim->options.at_least_once && job->at == job->message_count)) {
        job->attempt.asked = true;
        committed(sim, node, job);
        return;
    }
    if (job->stage == STAGE_PRODUCE && job->at == job->message_count) {
        if (sim_fault_now(sim, SIM_FAULT_OPEN, 80)) { /* the transaction stays open, and nobody comes back for it */
            sim_node_crash_for(sim, node, 4000000 + (int64_t)sim_below(sim, 20000000));
            return;
        }
        job->stage = STAGE_OFFSETS;
        job->at = 0;
    } else if (job->stage == STAGE_OFFSETS && job->at == job->change_count) {
        job->stage = STAGE_COMMIT;
        if (sim_fault_now(sim, SIM_FAULT_UNKNOWN, 40)) { /* it is on its way for so long that it is given up */
            job->attempt.asked = true;
            sim_after(sim, (int64_t)sim_below(sim, 3000000), commit_late, job);
            sim__post(sim, node, (int64_t)sim_below(sim, 1000000), give_up_commit, job);
            return;
        }
    }
    request(sim, node, job);
}

static void replied(sim_world *sim, sim_node *node, void *argument)
{
    sim_job *job = argument;
    switch (job->kind) {
    case JOB_PUBLISH: publish_reply(sim, node, job); break;
    case JOB_RENEW:
        if (job->reply == SIM_AGAIN) {
            request(sim, node, job);
            break;
        }
        node->epoch = job->epoch;
        node->has_producer = true;
        job_over(sim, node, (rfm_input){.kind = RFM_IN_RENEWED});
        break;
    case JOB_EVICT:
        if (job->reply == SIM_AGAIN)
            request(sim, node, job);
        else
            job_over(sim, node, (rfm_input){.kind = RFM_IN_EVICTED, .task = job->task, .term = job->term});
        break;
    }
}

static sim_reply produce_some(sim_world *sim, sim_job *job)
{
    sim_reply reply = SIM_OK;
    for (size_t left = 1 + sim_below(sim, 20); left > 0 && job->at < job->message_count && reply == SIM_OK; left--) {
        const rfm_message *message = &job->messages[job->at];
        int64_t offset;
        if (sim->options.at_least_once) {
            sim_broker_send(sim, message);
            job->at++;
            continue;
        }
        reply = sim_broker_produce(sim, job->node->number, job->epoch, message, &offset);
        if (reply != SIM_OK)
            break;
        job->at++;
        if (message->topic == RFM_TOPIC_WAL)
            job->to[message->change].wal = offset;
    }
    return reply;
}

static sim_reply send_offsets(sim_world *sim, const sim_job *job)
{
    uint32_t task = job->tasks[job->at];
    const rfm_position *to = &job->to[job->at];
    if (!RFM_FAULT(OFFSETS_OUTSIDE))
        return sim_broker_send_offsets(sim, job->node->number, job->epoch, job->member, job->generation, task, to);
    sim_broker_commit_offsets(sim, job->member, job->generation, task, to);
    return SIM_OK;
}

/* At the broker. The process may be dead or asleep. */
static void carry_out(sim_world *sim, void *argument)
{
    sim_job *job = argument;
    uint32_t producer = job->node->number;
    int64_t took_us = 0;
    if (job->kind == JOB_RENEW) {
        job->reply = sim_broker_init_producer(sim, producer, &job->epoch);
    } else if (job->kind == JOB_EVICT) {
        uint32_t epoch;
        job->reply = sim_broker_init_producer(sim, job->number, &epoch);
    } else if (job->stage == STAGE_PRODUCE) {
        size_t before = job->at;
        job->reply = produce_some(sim, job);
        took_us = (int64_t)(job->at - before) * sim->options.message_us;
    } else if (job->stage == STAGE_OFFSETS) {
        job->reply = send_offsets(sim, job);
        job->at += job->reply == SIM_OK;
    } else {
        job->reply = sim_broker_commit(sim, producer, job->epoch);
    }
    if (job->node->alive && job->node->life == job->life)
        sim__post(sim, job->node, took_us + sim_delay(sim), replied, job);
}

static void request(sim_world *sim, sim_node *node, sim_job *job)
{
    (void)node;
    sim_after(sim, job->reply == SIM_AGAIN ? 5000 + sim_delay(sim) : sim_delay(sim), carry_out, job);
}

static void not_sent(sim_world *sim, sim_node *node, void *argument)
{
    published(sim, node, argument);
}

static void job_next(sim_world *sim, sim_node *node)
{
    sim_job *job = node->first_job;
    if (!job)
        return;
    if (job->kind == JOB_PUBLISH && !sim->options.at_least_once) {
        if (!node->member || job->step->assignment != node->assignment) { /* the assignment is over */
            sim__post(sim, node, 0, not_sent, job);
            return;
        }
        job->epoch = node->epoch;
        job->member = node->member;
        job->generation = node->generation;
        if (!node->has_producer && !RFM_FAULT(RENEW) &&
            !RFM_FAULT(UNKNOWN_AS_DONE)) /* theirs is to be seen by its effect */
            sim_fail(sim, "%s publishes although its producer is not to be used any more", node->id);
    }
    request(sim, node, job);
}

static sim_job *add_job(sim_world *sim, sim_node *node, job_kind kind)
{
    sim_job *job = sim_take(sim, sizeof *job);
    job->kind = kind;
    job->node = node;
    job->life = node->life;
    if (node->last_job)
        node->last_job->next = job;
    else
        node->first_job = job;
    node->last_job = job;
    return job;
}

static void start_jobs(sim_world *sim, sim_node *node, const sim_job *added)
{
    if (node->first_job == added)
        job_next(sim, node);
}

void sim__publish(sim_world *sim, sim_node *node, rfm_step *step)
{
    sim_job *job = add_job(sim, node, JOB_PUBLISH);
    job->step = step;
    job->message_count = step->message_count;
    job->messages = sim_take(sim, step->message_count * sizeof *job->messages + 1);
    size_t redo_bytes = 0, said = 0;
    for (size_t i = 0; i < step->message_count; i++) {
        sim_check_published(sim, node, &step->messages[i]);
        redo_bytes += step->messages[i].topic == RFM_TOPIC_WAL ? step->messages[i].value.len : 0;
        said += step->messages[i].topic != RFM_TOPIC_WAL;
        job->messages[i] = step->messages[i];
        job->messages[i].key = sim__copy_of(sim, step->messages[i].key);
        job->messages[i].value = sim__copy_of(sim, step->messages[i].value);
        job->messages[i].headers = sim__copy_of(sim, step->messages[i].headers);
    }
    job->change_count = step->change_count;
    job->to = sim_take(sim, step->change_count * sizeof *job->to);
    job->tasks = sim_take(sim, step->change_count * sizeof *job->tasks);
    for (size_t i = 0; i < step->change_count; i++) {
        job->to[i] = step->changes[i].to;
        job->to[i].wal = RFM_OFFSET_NONE;
        job->tasks[i] = step->changes[i].task;
        if (!node->held[job->tasks[i]])
            sim_trace(sim, "%s publishes for task %u, which it does not hold", node->id, job->tasks[i]);
    }
    if (said > SAID_EACH_MAX * sim->options.step_events_max)
        sim_fail(sim, "%s: a step of %zu messages, of at most %zu records and looks of timers each", node->id, said,
                 sim->options.step_events_max);
    if (redo_bytes > node->step_bytes_max)
        node->step_bytes_max = redo_bytes;
    start_jobs(sim, node, job);
}

void sim__renew(sim_world *sim, sim_node *node, bool asked)
{
    sim_job *job = add_job(sim, node, JOB_RENEW);
    job->number = asked ? 0 : UINT32_MAX;
    start_jobs(sim, node, job);
}

void sim__evict(sim_world *sim, sim_node *node, const rfm_effect *effect)
{
    sim_job *job = add_job(sim, node, JOB_EVICT);
    job->task = effect->task;
    job->term = effect->term;
    while (!rfm_bytes_equal(sim__id_of(sim, job->number), effect->transactional_id))
        job->number++;
    start_jobs(sim, node, job);
}
