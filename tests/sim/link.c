#include "node.h"

#include <string.h>

/* One connection a task, whose commands and replies keep their order */

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
    bool down = sim_store_is_down(sim, command->connection->task);
    if (down && !command->connection->broken)
        sim_store_break(sim, command->connection);
    if (command->connection->broken && sim->now_us > command->connection->drop_after_us)
        return;
    if (!down)
        command->act(sim, command);
}

static void send_command(sim_world *sim, struct command *command, command_action act)
{
    command->act = act;
    sim_at(sim, sim__after_last(sim, &command->connection->command_us), at_server, command);
}

static void got_reply(sim_world *sim, sim_node *node, void *argument)
{
    struct command *command = argument;
    if (command->connection->broken)
        return;
    sim__tell(sim, node, command->input);
    sim__turn(sim, node);
}

static void reply(sim_world *sim, struct command *command)
{
    sim_node *node = command->node;
    if (!node->alive || node->life != command->connection->life)
        return;
    int64_t at_us = sim__after_last(sim, &command->connection->reply_us);
    if (sim_fault_now(sim, SIM_FAULT_LOSE, 150)) { /* the connection breaks just before it */
        sim_store_break(sim, command->connection);
        return;
    }
    sim__post_at(sim, node, at_us, got_reply, command);
}

static rfm_bytes wal_now(sim_world *sim, const sim_connection *connection)
{
    return sim__copy_of(sim, rfm_view_wal(sim_store_view(sim, connection)));
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
    command->input.wal_value = wal_now(sim, command->connection);
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
    command->input.loaded.wal_value = wal_now(sim, command->connection);
    reply(sim, command);
}

/* What is asked for in several commands is read in several moments, and `wal` in the last. */
static void do_load(sim_world *sim, struct command *command)
{
    const rfm_bytes *values;
    size_t done = command->input.loaded.count;
    size_t count = rfm_view_load(sim_store_view(sim, command->connection), &command->effect, &sim->arena, &values);
    bool torn = command->effect.load.what == RFM_LOAD_VALUES && count > done + 1 && sim_one_in(sim, 10);
    size_t now = torn ? done + 1 + sim_below(sim, count - done - 1) : count;
    rfm_bytes *copies = sim_take(sim, count * sizeof *copies + 1);
    for (size_t i = 0; i < now; i++)
        copies[i] = i < done ? command->input.loaded.values[i] : sim__copy_of(sim, values[i]);
    command->input.loaded.values = copies;
    command->input.loaded.count = now;
    if (sim_fault_now(sim, SIM_FAULT_ROLL_BACK, 600))
        sim_store_roll_back(sim, true, false);
    if (torn || sim_one_in(sim, 20))
        sim_after(sim, (int64_t)sim_below(sim, 3000), at_server,
                  (command->act = torn ? do_load : do_load_wal, command));
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
    if (sim_store_is_down(sim, task)) {
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
    sim__post(sim, node, delay_us, connect_now, argument);
}

static void notice_broken(sim_world *sim, sim_node *node, void *argument)
{
    sim_connection *connection = argument;
    uint32_t task = connection->task;
    if (node->link[task].connection != connection)
        return;
    node->link[task].connection = NULL;
    sim__tell(sim, node, (rfm_input){.kind = RFM_IN_CLOSED, .task = task, .term = node->link[task].term});
    connect_later(sim, node, task, 50000 + (int64_t)sim_below(sim, 200000));
    sim__turn(sim, node);
}

void sim_node_disconnected(sim_world *sim, sim_connection *connection)
{
    sim_node *node = &sim->node[connection->node];
    if (node->alive && node->life == connection->life)
        sim__post(sim, node, (int64_t)sim_below(sim, 10000), notice_broken, connection);
}

void sim__open_link(sim_world *sim, sim_node *node, const rfm_effect *effect)
{
    uint32_t task = effect->task;
    node->link[task].wanted = true;
    node->link[task].term = effect->term;
    if (node->link[task].connection)
        open_on(sim, node, task);
    else
        connect_later(sim, node, task, sim_delay(sim));
}

void sim__close_link(sim_world *sim, sim_node *node, uint32_t task)
{
    sim_connection *connection = node->link[task].connection;
    node->link[task].wanted = false;
    node->link[task].connection = NULL;
    if (connection && !connection->broken) {
        connection->broken = true;
        connection->drop_after_us = sim->now_us + (int64_t)sim_below(sim, 20000);
    }
}

void sim__load(sim_world *sim, sim_node *node, const rfm_effect *effect)
{
    sim_connection *connection = node->link[effect->task].connection;
    if (!connection || node->link[effect->task].term != effect->term)
        return;
    struct command *command = new_command(sim, node, connection, effect);
    rfm_bytes *keys = sim_take(sim, effect->load.count * sizeof *keys + 1);
    for (size_t i = 0; i < effect->load.count; i++)
        keys[i] = sim__copy_of(sim, effect->load.keys[i]);
    command->effect.load.keys = keys;
    rfm_bytes *fields = sim_take(sim, effect->load.count * sizeof *fields + 1);
    for (size_t i = 0; effect->load.fields && i < effect->load.count; i++)
        fields[i] = sim__copy_of(sim, effect->load.fields[i]);
    command->effect.load.fields = effect->load.fields ? fields : NULL;
    command->input.kind = RFM_IN_LOADED;
    command->input.loaded.load = effect->load.load;
    send_command(sim, command, do_load);
}

void sim__store(sim_world *sim, sim_node *node, const rfm_effect *effect)
{
    sim_connection *connection = node->link[effect->task].connection;
    if (!connection || node->link[effect->task].term != effect->term)
        return;
    struct command *command = new_command(sim, node, connection, effect);
    rfm_bytes *redo = sim_take(sim, effect->store.redo_count * sizeof *redo + 1);
    for (size_t i = 0; i < effect->store.redo_count; i++)
        redo[i] = sim__copy_of(sim, effect->store.redo[i]);
    command->effect.store.redo = redo;
    char *text = sim_take(sim, effect->store.wal_value.len + 1);
    memcpy(text, effect->store.wal_value.at, effect->store.wal_value.len);
    command->effect.store.wal_value = rfm_bytes_of(text, effect->store.wal_value.len);
    command->input.kind = RFM_IN_STORED;
    send_command(sim, command, do_exec);
}
