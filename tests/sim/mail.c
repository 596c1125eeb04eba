#include "node.h"

#include <stdio.h>

struct mail {
    sim_node *node;
    uint32_t life;
    sim_handler handle;
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

void sim__post_at(sim_world *sim, sim_node *node, int64_t at_us, sim_handler handle, void *argument)
{
    struct mail *mail = sim_take(sim, sizeof *mail);
    mail->node = node;
    mail->life = node->life;
    mail->handle = handle;
    mail->argument = argument;
    sim_at(sim, at_us, deliver, mail);
}

void sim__post(sim_world *sim, sim_node *node, int64_t delay_us, sim_handler handle, void *argument)
{
    sim__post_at(sim, node, sim->now_us + delay_us, handle, argument);
}

int64_t sim__node_now_ms(const sim_world *sim, const sim_node *node)
{
    return sim_now_ms(sim) + node->skew_ms;
}

/* With the offsets that a take-over goes by. */
static void trace_input(sim_world *sim, const sim_node *node, const rfm_input *input)
{
    static const char *const name[] = {"TIME",      "CLOCK",   "ASSIGNED", "REVOKING", "LOST",   "POSITION",
                                       "TAIL",      "EVICTED", "WAL",      "OPENED",   "CLOSED", "LOADED",
                                       "PUBLISHED", "RENEWED", "STORED",   "AT_END",   "EDGES",  "RULES"};
    char more[128] = "";
    if (input->kind == RFM_IN_POSITION)
        snprintf(more, sizeof more, ", M %lld, next %lld of %lld..%lld", (long long)input->position.committed.wal,
                 (long long)input->position.committed.next[0], (long long)input->position.begin[0],
                 (long long)input->position.end[0]);
    else if (input->kind == RFM_IN_WAL && input->wal.count > 0)
        snprintf(more, sizeof more, ", %lld..%lld%s", (long long)input->wal.offsets[0],
                 (long long)input->wal.offsets[input->wal.count - 1], input->wal.last ? ", the last" : "");
    else if (input->kind == RFM_IN_OPENED || input->kind == RFM_IN_STORED || input->kind == RFM_IN_LOADED)
        snprintf(
            more, sizeof more, ", R %lld",
            (long long)rfm_wal_value_parse(input->kind == RFM_IN_LOADED ? input->loaded.wal_value : input->wal_value));
    sim_trace(sim, "%s <- %s task %u term %u answer %d%s", node->id, name[input->kind], input->task, input->term,
              (int)input->answer, more);
}

void sim__tell(sim_world *sim, sim_node *node, rfm_input input)
{
    if (sim->trace && input.kind != RFM_IN_TIME && input.kind != RFM_IN_AT_END)
        trace_input(sim, node, &input);
    input.now_ms = input.now_ms ? input.now_ms : sim__node_now_ms(sim, node);
    if (input.kind == RFM_IN_POSITION && input.answer == RFM_DONE && input.term == node->position_term[input.task])
        for (size_t i = 0; i < sim->options.inputs; i++)
            node->log_end[input.task][i] = input.position.end[i];
    rfm_worker_tell(node->worker, &input);
}

static void tell_mail(sim_world *sim, sim_node *node, void *argument)
{
    sim__tell(sim, node, *(const rfm_input *)argument);
    sim__turn(sim, node);
}

void sim__tell_later(sim_world *sim, sim_node *node, int64_t delay_us, const rfm_input *input)
{
    rfm_input *copy = sim_take(sim, sizeof *copy);
    *copy = *input;
    sim__post(sim, node, delay_us, tell_mail, copy);
}

int64_t sim__after_last(sim_world *sim, int64_t *last_us)
{
    int64_t at_us = sim->now_us + sim_delay(sim);
    *last_us = at_us > *last_us ? at_us : *last_us;
    return *last_us;
}

rfm_bytes sim__copy_of(sim_world *sim, rfm_bytes bytes)
{
    return bytes.at ? rfm_arena_copy(&sim->arena, bytes) : bytes;
}

rfm_bytes sim__id_of(sim_world *sim, uint32_t producer)
{
    char *text = sim_take(sim, 16);
    return rfm_bytes_of(text, (size_t)snprintf(text, 16, "sim-%u", producer));
}
