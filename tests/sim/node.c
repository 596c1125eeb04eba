#include "sim.h"

#include <rfm/event/headers.h>
#include <stdio.h>
#include <string.h>

enum { FETCH_MAX = 40, FEED_MAX = 64, HEARTBEAT_US = 400000, BLOCKED_US = 1000000 };

/* -- what reaches a process: nothing if it is another one by then, later while it is paused */

typedef void (*handler)(sim_world *sim, sim_node *node, void *argument);
struct mail {
    sim_node *node;
    uint32_t life;
    handler handle;
    void *argument;
};

static void deliver(sim_world *sim, void *argument)
{
    struct mail *mail = argument;
    sim_node *node = mail->node;
    if (!node->alive || node->life != mail->life)
        return;
    if (sim->now_us < node->paused_until_us) {
        sim_at(sim, node->paused_until_us, deliver, mail);
        return;
    }
    mail->handle(sim, node, mail->argument);
}

static void post_at(sim_world *sim, sim_node *node, int64_t at_us, handler handle, void *argument)
{
    struct mail *mail = sim_take(sim, sizeof *mail);
    mail->node = node;
    mail->life = node->life;
    mail->handle = handle;
    mail->argument = argument;
    sim_at(sim, at_us, deliver, mail);
}

static void post(sim_world *sim, sim_node *node, int64_t delay_us, handler handle, void *argument)
{
    post_at(sim, node, sim->now_us + delay_us, handle, argument);
}

static void turn(sim_world *sim, sim_node *node);

static int64_t node_now_ms(const sim_world *sim, const sim_node *node)
{
    return sim_now_ms(sim) + node->skew_ms;
}

static void tell(sim_world *sim, sim_node *node, rfm_input input)
{
    static const char *const name[] = {"TIME",      "CLOCK",   "ASSIGNED", "REVOKING", "LOST",   "POSITION",
                                       "TAIL",      "EVICTED", "WAL",      "OPENED",   "CLOSED", "LOADED",
                                       "PUBLISHED", "RENEWED", "STORED",   "AT_END",   "EDGES",  "RULES"};
    if (input.kind != RFM_IN_TIME && input.kind != RFM_IN_AT_END)
        sim_trace(sim, "%s <- %s task %u term %u answer %d", node->id, name[input.kind], input.task, input.term,
                  (int)input.answer);
    input.now_ms = input.now_ms ? input.now_ms : node_now_ms(sim, node);
    rfm_worker_tell(node->worker, &input);
}

static void tell_mail(sim_world *sim, sim_node *node, void *argument)
{
    tell(sim, node, *(const rfm_input *)argument);
    turn(sim, node);
}

static void tell_later(sim_world *sim, sim_node *node, int64_t delay_us, const rfm_input *input)
{
    rfm_input *copy = sim_take(sim, sizeof *copy);
    *copy = *input;
    post(sim, node, delay_us, tell_mail, copy);
}

/* -- questions to the broker */

struct question {
    sim_node *node;
    uint32_t life, task, term;
    int64_t from, until, began_us;
};

static void answer(sim_world *sim, const struct question *question, rfm_input *input)
{
    input->task = question->task;
    input->term = question->term;
    if (question->node->alive && question->node->life == question->life)
        tell_later(sim, question->node, sim_delay(sim), input);
}

static bool wait_on(sim_world *sim, struct question *question, sim_action again)
{
    if (sim->now_us - question->began_us >= BLOCKED_US)
        return false;
    sim_after(sim, 20000 + (int64_t)sim_below(sim, 80000), again, question);
    return true;
}

static void ask(sim_world *sim, sim_node *node, const rfm_effect *effect, sim_action act)
{
    struct question *question = sim_take(sim, sizeof *question);
    question->node = node;
    question->life = node->life;
    question->task = effect->task;
    question->term = effect->term;
    if (effect->kind == RFM_OUT_READ_WAL) {
        question->from = effect->read_wal.from;
        question->until = effect->read_wal.until;
    }
    question->began_us = sim->now_us;
    sim_after(sim, sim_delay(sim), act, question);
}

static void read_position(sim_world *sim, void *argument)
{
    struct question *question = argument;
    rfm_input input = {.kind = RFM_IN_POSITION, .answer = RFM_BLOCKED};
    if (sim_broker_offsets_pending(sim, question->task)) {
        if (wait_on(sim, question, read_position))
            return;
    } else {
        input.answer = RFM_DONE;
        input.position.committed = sim->broker.committed[question->task];
        for (size_t i = 0; i < sim->options.inputs; i++)
            input.position.end[i] = (int64_t)sim->broker.input[question->task][i].count;
    }
    answer(sim, question, &input);
}

static void read_wal(sim_world *sim, void *argument)
{
    struct question *question = argument;
    sim_log *log = &sim->broker.wal[question->task];
    rfm_input input = {.kind = RFM_IN_WAL, .answer = RFM_DONE};
    if (question->until != INT64_MAX && question->until >= (int64_t)log->count) {
        input.answer = RFM_REFUSED_FOR_GOOD;
        input.reason = "beyond the log's end";
        answer(sim, question, &input);
        return;
    }
    size_t stable = sim_log_stable(log), limit = 1 + sim_below(sim, 6), at = (size_t)question->from;
    rfm_bytes *records = sim_take(sim, limit * sizeof *records);
    int64_t *offsets = sim_take(sim, limit * sizeof *offsets);
    for (; at < stable && input.wal.count < limit && (int64_t)at <= question->until; at++) {
        if (!sim_record_visible(&log->items[at]))
            continue;
        records[input.wal.count] = log->items[at].value;
        offsets[input.wal.count++] = (int64_t)at;
    }
    input.wal.records = records;
    input.wal.offsets = offsets;
    input.wal.last = question->until == INT64_MAX ? at == log->count : (int64_t)at > question->until;
    if (input.wal.count == 0 && !input.wal.last) {
        if (wait_on(sim, question, read_wal))
            return;
        input.answer = RFM_BLOCKED;
    }
    answer(sim, question, &input);
}

static rfm_bytes id_of(sim_world *sim, uint32_t producer)
{
    char *text = sim_take(sim, 16);
    return rfm_bytes_of(text, (size_t)snprintf(text, 16, "sim-%u", producer));
}

/* Read uncommitted: who has written from the last stable offset on, whatever has become of it. */
static void read_tail(sim_world *sim, void *argument)
{
    struct question *question = argument;
    sim_log *log = &sim->broker.wal[question->task];
    bool found[SIM_NODES] = {false};
    for (size_t at = sim_log_stable(log); at < log->count; at++)
        if (!log->items[at].control)
            found[log->items[at].transaction->producer] = true;
    rfm_bytes *ids = sim_take(sim, SIM_NODES * sizeof *ids);
    rfm_input input = {.kind = RFM_IN_TAIL, .answer = RFM_DONE, .tail = {.ids = ids}};
    for (uint32_t i = 0; i < SIM_NODES; i++)
        if (found[i])
            ids[input.tail.count++] = id_of(sim, i);
    answer(sim, question, &input);
}

/* -- the publisher: one job after the other, each in stages, each stage a request and its reply */

typedef enum job_kind { JOB_PUBLISH, JOB_RENEW, JOB_EVICT } job_kind;
typedef enum job_stage { STAGE_PRODUCE, STAGE_OFFSETS, STAGE_COMMIT } job_stage;
struct sim_job {
    sim_job *next;
    job_kind kind;
    sim_node *node;
    uint32_t life, number, task, term, epoch;
    job_stage stage;
    sim_reply reply;
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
        tell(sim, node, input);
    job_next(sim, node);
    turn(sim, node);
}

static void published(sim_world *sim, sim_node *node, sim_job *job, rfm_answer outcome)
{
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
    published(sim, node, argument, RFM_UNKNOWN);
}

static void request(sim_world *sim, sim_node *node, sim_job *job);

static void publish_reply(sim_world *sim, sim_node *node, sim_job *job)
{
    if (job->reply == SIM_AGAIN) {
        request(sim, node, job);
        return;
    }
    if (job->reply == SIM_FENCED || (job->stage != STAGE_COMMIT && sim_fault_now(sim, SIM_FAULT_UNKNOWN, 200))) {
        published(sim, node, job, RFM_FENCED);
        return;
    }
    if (job->stage == STAGE_COMMIT) {
        published(sim, node, job, sim_fault_now(sim, SIM_FAULT_UNKNOWN, 40) ? RFM_UNKNOWN : RFM_DONE);
        return;
    }
    if (sim->options.at_least_once && job->at == job->message_count) {
        published(sim, node, job, sim_fault_now(sim, SIM_FAULT_UNKNOWN, 40) ? RFM_UNKNOWN : RFM_DONE);
        return;
    }
    if (job->stage == STAGE_PRODUCE && job->at == job->message_count) {
        job->stage = STAGE_OFFSETS;
        job->at = 0;
    } else if (job->stage == STAGE_OFFSETS && job->at == job->change_count) {
        job->stage = STAGE_COMMIT;
        if (sim_fault_now(sim, SIM_FAULT_UNKNOWN, 40)) { /* it is on its way for so long that it is given up */
            sim_after(sim, (int64_t)sim_below(sim, 3000000), commit_late, job);
            post(sim, node, (int64_t)sim_below(sim, 1000000), give_up_commit, job);
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

/* At the broker. The process may be dead or asleep. */
static void carry_out(sim_world *sim, void *argument)
{
    sim_job *job = argument;
    uint32_t producer = job->node->number;
    if (job->kind == JOB_RENEW) {
        job->reply = sim_broker_init_producer(sim, producer, &job->epoch);
    } else if (job->kind == JOB_EVICT) {
        uint32_t epoch;
        job->reply = sim_broker_init_producer(sim, job->number, &epoch);
    } else if (job->stage == STAGE_PRODUCE) {
        job->reply = produce_some(sim, job);
    } else if (job->stage == STAGE_OFFSETS) {
        job->reply = sim_broker_send_offsets(sim, producer, job->epoch, job->member, job->generation,
                                             job->tasks[job->at], &job->to[job->at]);
        job->at += job->reply == SIM_OK;
    } else {
        job->reply = sim_broker_commit(sim, producer, job->epoch);
    }
    if (job->node->alive && job->node->life == job->life)
        post(sim, job->node, sim_delay(sim), replied, job);
}

static void request(sim_world *sim, sim_node *node, sim_job *job)
{
    (void)node;
    sim_after(sim, job->reply == SIM_AGAIN ? 5000 + sim_delay(sim) : sim_delay(sim), carry_out, job);
}

static void not_sent(sim_world *sim, sim_node *node, void *argument)
{
    published(sim, node, argument, RFM_FENCED);
}

static void job_next(sim_world *sim, sim_node *node)
{
    sim_job *job = node->first_job;
    if (!job)
        return;
    if (job->kind == JOB_PUBLISH && !sim->options.at_least_once) {
        if (!node->member || job->step->assignment != node->assignment) { /* the assignment is over */
            post(sim, node, 0, not_sent, job);
            return;
        }
        job->epoch = node->epoch;
        job->member = node->member;
        job->generation = node->generation;
        if (!node->has_producer)
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

static rfm_bytes copy_of(sim_world *sim, rfm_bytes bytes)
{
    return bytes.at ? rfm_arena_copy(&sim->arena, bytes) : bytes;
}

static void publish(sim_world *sim, sim_node *node, rfm_step *step)
{
    sim_job *job = add_job(sim, node, JOB_PUBLISH);
    job->step = step;
    job->message_count = step->message_count;
    job->messages = sim_take(sim, step->message_count * sizeof *job->messages + 1);
    for (size_t i = 0; i < step->message_count; i++) {
        job->messages[i] = step->messages[i];
        job->messages[i].key = copy_of(sim, step->messages[i].key);
        job->messages[i].value = copy_of(sim, step->messages[i].value);
        job->messages[i].headers = copy_of(sim, step->messages[i].headers);
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
    start_jobs(sim, node, job);
}

static void renew(sim_world *sim, sim_node *node, bool asked)
{
    sim_job *job = add_job(sim, node, JOB_RENEW);
    job->number = asked ? 0 : UINT32_MAX;
    start_jobs(sim, node, job);
}

static void evict(sim_world *sim, sim_node *node, const rfm_effect *effect)
{
    sim_job *job = add_job(sim, node, JOB_EVICT);
    job->task = effect->task;
    job->term = effect->term;
    while (!rfm_bytes_equal(id_of(sim, job->number), effect->transactional_id))
        job->number++;
    start_jobs(sim, node, job);
}

/* -- Redis: one connection a task, whose commands and replies keep their order */

struct command;
typedef void (*command_action)(sim_world *sim, struct command *command);
struct command {
    sim_connection *connection;
    sim_node *node;
    command_action act; /* at the server */
    rfm_effect effect;
    rfm_input input;
};

static void connect_later(sim_world *sim, sim_node *node, uint32_t task, int64_t delay_us);

static void at_server(sim_world *sim, void *argument)
{
    struct command *command = argument;
    if (sim->now_us < sim->store.down_until_us && !command->connection->broken)
        sim_store_break(sim, command->connection);
    if (command->connection->broken && sim->now_us > command->connection->drop_after_us)
        return;
    if (sim->now_us >= sim->store.down_until_us)
        command->act(sim, command);
}

static int64_t after_last(sim_world *sim, int64_t *last_us)
{
    int64_t at_us = sim->now_us + sim_delay(sim);
    *last_us = at_us > *last_us ? at_us : *last_us;
    return *last_us;
}

static void send_command(sim_world *sim, struct command *command, command_action act)
{
    command->act = act;
    sim_at(sim, after_last(sim, &command->connection->command_us), at_server, command);
}

static void got_reply(sim_world *sim, sim_node *node, void *argument)
{
    struct command *command = argument;
    if (command->connection->broken)
        return;
    tell(sim, node, command->input);
    turn(sim, node);
}

static void reply(sim_world *sim, struct command *command)
{
    sim_node *node = command->node;
    if (!node->alive || node->life != command->connection->life)
        return;
    int64_t at_us = after_last(sim, &command->connection->reply_us);
    if (sim_fault_now(sim, SIM_FAULT_LOSE, 150)) { /* the connection breaks just before it */
        sim_store_break(sim, command->connection);
        return;
    }
    post_at(sim, node, at_us, got_reply, command);
}

static rfm_bytes wal_now(sim_world *sim, uint32_t task)
{
    return copy_of(sim, rfm_view_wal(sim->store.view[task]));
}

static struct command *new_command(sim_world *sim, sim_node *node, sim_connection *connection, const rfm_effect *effect)
{
    struct command *command = sim_take(sim, sizeof *command);
    command->connection = connection;
    command->node = node;
    command->effect = *effect;
    command->input.task = effect->task;
    command->input.term = effect->term;
    return command;
}

static void do_get(sim_world *sim, struct command *command)
{
    command->input.wal_value = wal_now(sim, command->connection->task);
    reply(sim, command);
}

static void do_watch(sim_world *sim, struct command *command)
{
    command->connection->watched = sim->store.version[command->connection->task];
    if (sim_one_in(sim, 20))
        sim_after(sim, (int64_t)sim_below(sim, 3000), at_server, (command->act = do_get, command));
    else
        do_get(sim, command);
}

static void do_exec(sim_world *sim, struct command *command)
{
    command->input.answer = sim_store_exec(sim, command->connection, &command->effect);
    sim_trace(sim, "store: task %u EXEC of %s by node %u: %s", command->effect.task,
              (const char *)command->effect.store.wal_value.at, command->node->number,
              command->input.answer == RFM_DONE ? "done" : "not done");
    command->connection->watched = UINT64_MAX;
    if (sim_fault_now(sim, SIM_FAULT_ROLL_BACK, 150))
        sim_store_roll_back(sim, true, false);
    if (sim_one_in(sim, 20))
        sim_after(sim, (int64_t)sim_below(sim, 3000), at_server, (command->act = do_watch, command));
    else
        do_watch(sim, command);
}

static void do_load_wal(sim_world *sim, struct command *command)
{
    command->input.loaded.wal_value = wal_now(sim, command->connection->task);
    reply(sim, command);
}

static void do_load(sim_world *sim, struct command *command)
{
    const rfm_bytes *values;
    size_t count = rfm_view_load(sim->store.view[command->connection->task], &command->effect, &sim->arena, &values);
    rfm_bytes *copies = sim_take(sim, count * sizeof *copies + 1);
    for (size_t i = 0; i < count; i++)
        copies[i] = copy_of(sim, values[i]);
    command->input.loaded.values = copies;
    command->input.loaded.count = count;
    if (sim_fault_now(sim, SIM_FAULT_ROLL_BACK, 600))
        sim_store_roll_back(sim, true, false);
    if (command->effect.load.what != RFM_LOAD_KEYS && sim_one_in(sim, 20))
        sim_after(sim, (int64_t)sim_below(sim, 3000), at_server, (command->act = do_load_wal, command));
    else
        do_load_wal(sim, command);
}

static void open_on(sim_world *sim, sim_node *node, uint32_t task)
{
    rfm_effect effect = {.kind = RFM_OUT_OPEN, .task = task, .term = node->link[task].term};
    struct command *command = new_command(sim, node, node->link[task].connection, &effect);
    command->input.kind = RFM_IN_OPENED;
    send_command(sim, command, do_watch);
}

static void connect_now(sim_world *sim, sim_node *node, void *argument)
{
    uint32_t task = *(const uint32_t *)argument;
    if (!node->link[task].wanted || node->link[task].connection)
        return;
    if (sim->now_us < sim->store.down_until_us) {
        connect_later(sim, node, task, 50000 + (int64_t)sim_below(sim, 500000));
        return;
    }
    sim_connection *connection = sim_take(sim, sizeof *connection);
    *connection = (sim_connection){.node = node->number, .life = node->life, .task = task};
    node->link[task].connection = connection;
    open_on(sim, node, task);
}

static void connect_later(sim_world *sim, sim_node *node, uint32_t task, int64_t delay_us)
{
    uint32_t *argument = sim_take(sim, sizeof *argument);
    *argument = task;
    post(sim, node, delay_us, connect_now, argument);
}

static void notice_broken(sim_world *sim, sim_node *node, void *argument)
{
    sim_connection *connection = argument;
    uint32_t task = connection->task;
    if (node->link[task].connection != connection)
        return;
    node->link[task].connection = NULL;
    tell(sim, node, (rfm_input){.kind = RFM_IN_CLOSED, .task = task, .term = node->link[task].term});
    connect_later(sim, node, task, 50000 + (int64_t)sim_below(sim, 200000));
    turn(sim, node);
}

void sim_node_disconnected(sim_world *sim, sim_connection *connection)
{
    sim_node *node = &sim->node[connection->node];
    if (node->alive && node->life == connection->life)
        post(sim, node, (int64_t)sim_below(sim, 10000), notice_broken, connection);
}

static void open_link(sim_world *sim, sim_node *node, const rfm_effect *effect)
{
    uint32_t task = effect->task;
    node->link[task].wanted = true;
    node->link[task].term = effect->term;
    if (node->link[task].connection)
        open_on(sim, node, task);
    else
        connect_later(sim, node, task, sim_delay(sim));
}

static void close_link(sim_world *sim, sim_node *node, uint32_t task)
{
    sim_connection *connection = node->link[task].connection;
    node->link[task].wanted = false;
    node->link[task].connection = NULL;
    if (connection && !connection->broken) {
        connection->broken = true;
        connection->drop_after_us = sim->now_us + (int64_t)sim_below(sim, 20000);
    }
}

static void load(sim_world *sim, sim_node *node, const rfm_effect *effect)
{
    sim_connection *connection = node->link[effect->task].connection;
    if (!connection || node->link[effect->task].term != effect->term)
        return;
    struct command *command = new_command(sim, node, connection, effect);
    rfm_bytes *keys = sim_take(sim, effect->load.count * sizeof *keys + 1);
    for (size_t i = 0; i < effect->load.count; i++)
        keys[i] = copy_of(sim, effect->load.keys[i]);
    command->effect.load.keys = keys;
    command->input.kind = RFM_IN_LOADED;
    command->input.loaded.load = effect->load.load;
    send_command(sim, command, do_load);
}

static void store(sim_world *sim, sim_node *node, const rfm_effect *effect)
{
    sim_connection *connection = node->link[effect->task].connection;
    if (!connection || node->link[effect->task].term != effect->term)
        return;
    struct command *command = new_command(sim, node, connection, effect);
    rfm_bytes *redo = sim_take(sim, effect->store.redo_count * sizeof *redo + 1);
    for (size_t i = 0; i < effect->store.redo_count; i++)
        redo[i] = copy_of(sim, effect->store.redo[i]);
    command->effect.store.redo = redo;
    char *text = sim_take(sim, effect->store.wal_value.len + 1);
    memcpy(text, effect->store.wal_value.at, effect->store.wal_value.len);
    command->effect.store.wal_value = rfm_bytes_of(text, effect->store.wal_value.len);
    command->input.kind = RFM_IN_STORED;
    send_command(sim, command, do_exec);
}

/* -- the consumer */

struct fetching {
    uint32_t task, version;
    uint8_t input;
};

static void fetch_more(sim_world *sim, sim_node *node, void *argument)
{
    const struct fetching *at = argument;
    sim_fetch *fetch = &node->fetch[at->task][at->input];
    if (!fetch->on || fetch->version != at->version)
        return;
    int64_t count = (int64_t)sim->broker.input[at->task][at->input].count;
    int64_t more = 1 + (int64_t)sim_below(sim, FETCH_MAX);
    if (fetch->fetched - fetch->fed < FETCH_MAX)
        fetch->fetched = fetch->fetched + more < count ? fetch->fetched + more : count;
    post(sim, node, 1000 + (int64_t)sim_below(sim, 30000) + sim_delay(sim), fetch_more, argument);
    turn(sim, node);
}

static void ask_end(sim_world *sim, sim_node *node, void *argument)
{
    const struct fetching *at = argument;
    sim_fetch *fetch = &node->fetch[at->task][at->input];
    if (!fetch->on || fetch->version != at->version)
        return;
    if (!fetch->end_ms) {
        fetch->end = (int64_t)sim->broker.input[at->task][at->input].count;
        fetch->end_ms = node_now_ms(sim, node);
    }
    post(sim, node, 20000 + (int64_t)sim_below(sim, 150000), ask_end, argument);
    turn(sim, node);
}

static void stop_fetching(sim_node *node, uint32_t task)
{
    for (size_t i = 0; i < SIM_INPUTS; i++) {
        node->fetch[task][i].on = false;
        node->fetch[task][i].version++;
    }
}

static void consume_from(sim_world *sim, sim_node *node, const rfm_effect *effect)
{
    stop_fetching(node, effect->task);
    for (uint8_t i = 0; i < sim->options.inputs; i++) {
        sim_fetch *fetch = &node->fetch[effect->task][i];
        int64_t next = effect->from.next[i] == RFM_OFFSET_NONE ? 0 : effect->from.next[i];
        *fetch = (sim_fetch){.on = true, .version = fetch->version, .fetched = next, .fed = next};
        struct fetching *argument = sim_take(sim, sizeof *argument);
        *argument = (struct fetching){.task = effect->task, .version = fetch->version, .input = i};
        post(sim, node, sim_delay(sim), fetch_more, argument);
        post(sim, node, sim_delay(sim), ask_end, argument);
    }
}

static void tell_ends(sim_world *sim, sim_node *node)
{
    for (uint32_t task = 0; task < SIM_TASKS; task++) {
        for (uint8_t i = 0; i < sim->options.inputs; i++) {
            sim_fetch *fetch = &node->fetch[task][i];
            if (!fetch->on || !fetch->end_ms || fetch->fed < fetch->end)
                continue;
            tell(sim, node, (rfm_input){.kind = RFM_IN_AT_END, .task = task, .now_ms = fetch->end_ms, .input = i});
            fetch->end_ms = 0;
        }
    }
}

/* False: nothing was taken. */
static bool feed(sim_world *sim, sim_node *node)
{
    rfm_record records[FEED_MAX];
    sim_fetch *from[FEED_MAX];
    size_t count = 0, limit = 1 + sim_below(sim, FEED_MAX);
    for (size_t k = sim_below(sim, SIM_TASKS * SIM_INPUTS), left = SIM_TASKS * SIM_INPUTS; left > 0; left--, k++) {
        uint32_t task = (uint32_t)(k / SIM_INPUTS % SIM_TASKS);
        uint8_t input = (uint8_t)(k % SIM_INPUTS);
        sim_fetch *fetch = &node->fetch[task][input];
        for (int64_t at = fetch->fed; fetch->on && at < fetch->fetched && count < limit; at++) {
            const sim_record *record = &sim->broker.input[task][input].items[at];
            records[count] = (rfm_record){.task = task,
                                          .input = input,
                                          .offset = at,
                                          .append_ms = record->append_ms,
                                          .key = record->key,
                                          .value = record->value};
            from[count++] = fetch;
        }
    }
    if (count == 0 || !rfm_worker_takes(node->worker) || sim_one_in(sim, 4))
        return false;
    size_t taken = rfm_worker_feed(node->worker, records, count, node_now_ms(sim, node));
    for (size_t i = 0; i < taken; i++)
        from[i]->fed++;
    return taken > 0;
}

/* -- the group */

struct leaving {
    uint64_t member;
    uint32_t generation;
};

static void send_rejoin(sim_world *sim, void *argument)
{
    const struct leaving *leaving = argument;
    sim_group_rejoin(sim, leaving->member, leaving->generation);
}

static void send_leave(sim_world *sim, void *argument)
{
    sim_group_leave(sim, ((const struct leaving *)argument)->member);
}

static void to_group(sim_world *sim, sim_node *node, sim_action act)
{
    struct leaving *leaving = sim_take(sim, sizeof *leaving);
    *leaving = (struct leaving){node->member, node->ended};
    sim_after(sim, sim_delay(sim), act, leaving);
}

static bool holds_any(const sim_node *node)
{
    for (size_t task = 0; task < SIM_TASKS; task++)
        if (node->held[task])
            return true;
    return false;
}

void sim_node_end(sim_world *sim, sim_node *node)
{
    const rfm_worker_stats *stats = rfm_worker_stats_of(node->worker);
#define X(name) sim->stats.name += stats->name;
    RFM_WORKER_STATS(X)
#undef X
    for (uint32_t task = 0; task < SIM_TASKS; task++) {
        close_link(sim, node, task);
        stop_fetching(node, task);
    }
    rfm_worker_free(node->worker);
    node->worker = NULL;
    node->alive = false;
    node->life++;
    node->first_job = node->last_job = NULL;
}

static void start_again(sim_world *sim, void *argument)
{
    sim_node_start(sim, argument);
}

static void restart_later(sim_world *sim, sim_node *node)
{
    sim_after(sim, 50000 + (int64_t)sim_below(sim, sim_one_in(sim, 4) ? 6000000 : 500000), start_again, node);
}

static void given_up(sim_world *sim, sim_node *node)
{
    if (!node->revoking || holds_any(node))
        return;
    node->revoking = false;
    if (!node->stopping) {
        to_group(sim, node, send_rejoin);
        return;
    }
    to_group(sim, node, send_leave);
    sim_node_end(sim, node);
    restart_later(sim, node);
}

static void released(sim_world *sim, sim_node *node, uint32_t task)
{
    node->held[task] = false;
    stop_fetching(node, task);
    given_up(sim, node);
}

static void give_up(sim_world *sim, sim_node *node)
{
    node->revoking = true;
    for (uint32_t task = 0; task < SIM_TASKS; task++)
        if (node->held[task])
            tell(sim, node, (rfm_input){.kind = RFM_IN_REVOKING, .task = task});
    given_up(sim, node);
}

static void lose_all(sim_world *sim, sim_node *node)
{
    node->member = 0;
    node->revoking = false;
    for (uint32_t task = 0; task < SIM_TASKS; task++) {
        if (!node->held[task])
            continue;
        node->held[task] = false;
        stop_fetching(node, task);
        tell(sim, node, (rfm_input){.kind = RFM_IN_LOST, .task = task});
    }
}

struct notice {
    uint64_t member;
    uint32_t generation;
    bool tasks[SIM_TASKS];
};

static int64_t group_channel(sim_world *sim, sim_node *node)
{
    return after_last(sim, &node->group_us);
}

static void got_revoked(sim_world *sim, sim_node *node, void *argument)
{
    const struct notice *notice = argument;
    if (notice->member != node->member || node->stopping)
        return;
    node->ended = notice->generation;
    give_up(sim, node);
    if (node->alive)
        turn(sim, node);
}

void sim_node_revoked(sim_world *sim, uint32_t number, uint64_t member, uint32_t generation)
{
    struct notice *notice = sim_take(sim, sizeof *notice);
    notice->member = member;
    notice->generation = generation;
    post_at(sim, &sim->node[number], group_channel(sim, &sim->node[number]) + (int64_t)sim_below(sim, 300000),
            got_revoked, notice);
    sim->node[number].group_us += 300000;
}

static void got_assigned(sim_world *sim, sim_node *node, void *argument)
{
    const struct notice *notice = argument;
    if (notice->member != node->member || node->stopping)
        return;
    node->assignment++;
    node->generation = notice->generation;
    for (uint32_t task = 0; task < SIM_TASKS; task++) {
        node->held[task] = notice->tasks[task];
        if (notice->tasks[task])
            tell(sim, node, (rfm_input){.kind = RFM_IN_ASSIGNED, .task = task, .assignment = node->assignment});
    }
    turn(sim, node);
}

void sim_node_assigned(sim_world *sim, uint32_t number, uint64_t member, uint32_t generation, const bool *tasks)
{
    struct notice *notice = sim_take(sim, sizeof *notice);
    notice->member = member;
    notice->generation = generation;
    memcpy(notice->tasks, tasks, sizeof notice->tasks);
    post_at(sim, &sim->node[number], group_channel(sim, &sim->node[number]), got_assigned, notice);
}

/* Also when it is no member any more: that is how it learns. */
static void heartbeat(sim_world *sim, sim_node *node, void *argument)
{
    (void)argument;
    if (!node->member) {
        if (!node->stopping)
            sim_group_join(sim, node->number, &node->member);
    } else if (!sim_group_heartbeat(sim, node->member)) {
        sim_trace(sim, "%s learns that it is no member", node->id);
        lose_all(sim, node);
        if (node->stopping) {
            sim_node_end(sim, node);
            restart_later(sim, node);
            return;
        }
    }
    post(sim, node, HEARTBEAT_US, heartbeat, NULL);
    turn(sim, node);
}

/* -- the loop */

static void halt(sim_world *sim, sim_node *node, const rfm_effect *effect)
{
    sim_fail(sim, "%s halted: %s", node->id, effect->reason);
}

static void carry_out_effect(sim_world *sim, sim_node *node, const rfm_effect *effect)
{
    switch (effect->kind) {
    case RFM_OUT_READ_POSITION: ask(sim, node, effect, read_position); break;
    case RFM_OUT_READ_WAL: ask(sim, node, effect, read_wal); break;
    case RFM_OUT_READ_TAIL: ask(sim, node, effect, read_tail); break;
    case RFM_OUT_EVICT: evict(sim, node, effect); break;
    case RFM_OUT_RENEW: renew(sim, node, true); break;
    case RFM_OUT_OPEN: open_link(sim, node, effect); break;
    case RFM_OUT_CLOSE: close_link(sim, node, effect->task); break;
    case RFM_OUT_LOAD: load(sim, node, effect); break;
    case RFM_OUT_STORE: store(sim, node, effect); break;
    case RFM_OUT_PUBLISH: publish(sim, node, effect->step); break;
    case RFM_OUT_CONSUME_FROM: consume_from(sim, node, effect); break;
    case RFM_OUT_COMMIT:
        sim_broker_commit_offsets(sim, node->member, node->generation, effect->task, &effect->from);
        break;
    case RFM_OUT_RELEASED: released(sim, node, effect->task); break;
    case RFM_OUT_HALT: halt(sim, node, effect); break;
    }
}

static void trace_effect(sim_world *sim, const sim_node *node, const rfm_effect *effect)
{
    static const char *const name[] = {"READ_POSITION", "READ_WAL", "READ_TAIL", "EVICT", "RENEW",
                                       "OPEN",          "CLOSE",    "LOAD",      "STORE", "PUBLISH",
                                       "CONSUME_FROM",  "COMMIT",   "RELEASED",  "HALT"};
    if (!sim->trace)
        return;
    if (effect->kind == RFM_OUT_LOAD)
        sim_trace(sim, "%s -> LOAD %llu task %u term %u: %d, %zu keys, %.*s", node->id,
                  (unsigned long long)effect->load.load, effect->task, effect->term, (int)effect->load.what,
                  effect->load.count, effect->load.count ? (int)effect->load.keys[0].len : 0,
                  effect->load.count ? (const char *)effect->load.keys[0].at : "");
    else if (effect->kind == RFM_OUT_PUBLISH)
        sim_trace(sim, "%s -> PUBLISH step %llu, %zu messages, %zu changes, first task %u from %lld", node->id,
                  (unsigned long long)effect->step->number, effect->step->message_count, effect->step->change_count,
                  effect->step->changes[0].task, (long long)effect->step->changes[0].from.wal);
    else
        sim_trace(sim, "%s -> %s task %u term %u", node->id, name[effect->kind], effect->task, effect->term);
}

static void turn_mail(sim_world *sim, sim_node *node, void *argument)
{
    (void)argument;
    turn(sim, node);
}

static void wake(sim_world *sim, sim_node *node, void *argument)
{
    (void)argument;
    if (node->wake_us > sim->now_us)
        return;
    node->wake_us = INT64_MAX;
    tell(sim, node, (rfm_input){.kind = RFM_IN_TIME});
    turn(sim, node);
}

static void set_wake(sim_world *sim, sim_node *node)
{
    int64_t wake_ms = rfm_worker_wake_ms(node->worker);
    if (wake_ms == INT64_MAX)
        return;
    if (wake_ms <= node_now_ms(sim, node)) {
        sim_fail(sim, "%s wants to be woken at once, and again: its loop would spin", node->id);
        return;
    }
    int64_t wake_us = (wake_ms - node->skew_ms - SIM_START_MS) * 1000;
    if (wake_us >= node->wake_us)
        return;
    node->wake_us = wake_us;
    post_at(sim, node, wake_us, wake, NULL);
}

/* Rules that are not in use any more are spoilt: whoever looks at them is seen. */
static void spoil_old_rules(sim_node *node)
{
    if (!node->old_rules || rfm_worker_rules(node->worker) != node->rules)
        return;
    memset(node->old_rules->rule, 0xa5, node->old_rules->count * sizeof *node->old_rules->rule);
    memset(node->old_rules, 0xa5, sizeof *node->old_rules);
    memset(node->old_conf, 0xa5, sizeof *node->old_conf);
    node->old_rules = NULL;
}

static void turn(sim_world *sim, sim_node *node)
{
    rfm_effect effect;
    spoil_old_rules(node);
    tell(sim, node, (rfm_input){.kind = RFM_IN_TIME});
    if (sim_one_in(sim, 5)) { /* records may come before what has been decided is carried out */
        feed(sim, node);
        tell_ends(sim, node);
    }
    for (size_t count = 0;; count++) {
        if (!node->alive || sim->failed)
            return;
        if (count > 100000) {
            sim_fail(sim, "%s does not come to rest", node->id);
            return;
        }
        if (sim_one_in(sim, 30)) { /* something else comes first, while effects wait */
            post(sim, node, (int64_t)sim_below(sim, 2000), turn_mail, NULL);
            return;
        }
        if (!rfm_worker_next(node->worker, &effect)) {
            bool fed = feed(sim, node);
            tell_ends(sim, node);
            if (!fed && !rfm_worker_next(node->worker, &effect))
                break;
            if (fed)
                continue;
        }
        trace_effect(sim, node, &effect);
        if (sim_fault_now(sim, SIM_FAULT_CRASH, 2 * sim->options.crash_in)) {
            sim_node_crash(sim, node);
            return;
        }
        carry_out_effect(sim, node, &effect);
        if (!node->alive)
            return;
        if (sim_fault_now(sim, SIM_FAULT_CRASH, 2 * sim->options.crash_in)) {
            sim_node_crash(sim, node);
            return;
        }
        if (sim_fault_now(sim, SIM_FAULT_PAUSE, sim->options.stall_in)) {
            sim_node_pause(sim, node, (int64_t)sim_below(sim, 9000000));
            post(sim, node, 0, turn_mail, NULL);
            return;
        }
    }
    set_wake(sim, node);
}

void sim_node_start(sim_world *sim, sim_node *node)
{
    if (node->alive)
        return;
    uint32_t number = (uint32_t)(node - sim->node);
    *node = (sim_node){.number = number,
                       .life = node->life + 1,
                       .alive = true,
                       .wake_us = INT64_MAX,
                       .group_us = node->group_us,
                       .rules = node->rules,
                       .conf = node->conf,
                       .skew_ms = sim->options.calm ? 0 : (int64_t)sim_below(sim, 4000) - 2000};
    snprintf(node->id, sizeof node->id, "sim-%u", number);
    rfm_worker_conf conf = {.transactional_id = node->id,
                            .partition_count = SIM_TASKS,
                            .input_count = sim->options.inputs,
                            .input_topic = {"events", "more_events"},
                            .partitioner = RFM_PARTITIONER_MURMUR2,
                            .at_least_once = sim->options.at_least_once,
                            .mark = sim->options.at_least_once ? (uint32_t)sim_random(sim) : 0,
                            .check_records = true,
                            .clock = sim->options.clock,
                            .cache_bytes_max = sim->options.cache_bytes_max,
                            .dirty_bytes_max = sim->options.dirty_bytes_max,
                            .step_events_max = sim->options.step_events_max,
                            .part_bytes_max = sim->options.part_bytes_max,
                            .page_entries_max = sim->options.page_entries_max,
                            .wal_idle_ms = sim->options.wal_idle_ms,
                            .client = node->conf,
                            .rules = node->rules};
    rfm_error error;
    if (rfm_worker_new(&conf, &node->worker, &error) != RFM_OK) {
        sim_fail(sim, "no worker: %s", error.message);
        node->alive = false;
        return;
    }
    sim_trace(sim, "%s starts", node->id);
    renew(sim, node, false);
    post(sim, node, sim_delay(sim), heartbeat, NULL);
}

void sim_node_crash(sim_world *sim, sim_node *node)
{
    if (!node->alive)
        return;
    sim_trace(sim, "%s dies", node->id);
    sim_node_end(sim, node);
    restart_later(sim, node);
}

void sim_node_pause(sim_world *sim, sim_node *node, int64_t pause_us)
{
    if (!node->alive || sim->now_us + pause_us <= node->paused_until_us)
        return;
    sim_trace(sim, "%s sleeps for %lld ms", node->id, (long long)pause_us / 1000);
    node->paused_until_us = sim->now_us + pause_us;
}

static void stop(sim_world *sim, sim_node *node, void *argument)
{
    (void)argument;
    if (node->stopping)
        return;
    node->stopping = true;
    if (!node->revoking)
        give_up(sim, node);
    if (node->alive)
        turn(sim, node);
}

void sim_node_stop(sim_world *sim, sim_node *node)
{
    if (!node->alive)
        return;
    sim_trace(sim, "%s is asked to stop", node->id);
    post(sim, node, 0, stop, NULL);
}

/* Any population will do. */
static void tell_edges(sim_world *sim, sim_node *node)
{
    rfm_population *population = rfm_population_new();
    rfm_edges edges;
    for (uint64_t i = sim_below(sim, 50); i > 0; i--) {
        rfm_population_add_day(population, 20454 - (int32_t)sim_below(sim, 4), 1);
        rfm_population_add_bucket(population, rfm_monetary_bucket((int64_t)sim_below(sim, 40000)), 1);
        rfm_population_add_orders(population, (uint16_t)sim_below(sim, 6), 1);
    }
    rfm_population_edges(population, &edges);
    rfm_population_free(population);
    tell(sim, node, (rfm_input){.kind = RFM_IN_EDGES, .edges = &edges});
}

static void reload(sim_world *sim, sim_node *node, void *argument)
{
    (void)argument;
    if (sim->options.population)
        tell_edges(sim, node);
    if (node->old_rules) /* not taken yet */
        return;
    node->old_rules = node->rules;
    node->old_conf = node->conf;
    node->rules = sim_shop_rules(sim, (unsigned)sim_below(sim, 3));
    node->conf = sim_take(sim, sizeof *node->conf);
    sim_shop_conf(sim, node->conf);
    tell(sim, node, (rfm_input){.kind = RFM_IN_RULES, .rules = {.conf = node->conf, .rules = node->rules}});
    turn(sim, node);
}

void sim_node_reload(sim_world *sim, sim_node *node)
{
    if (node->alive)
        post(sim, node, 0, reload, NULL);
}
