#include "inside.h"

/* A partition whose Redis does not answer, as a Cluster's node that is away or a slot that is being moved: a step that
 * waits for its clients waits with all its tasks, and what cannot be stored fills the room that all share. Then the
 * step is given up and the task rests, so that the others go on. Not where all wait: they ask the same Redis. */

enum { STALLED_MS = 3000, LOOK_MS = 1000 };

static bool waits_for_clients(const rfm_worker *worker, const rfm__task *task)
{
    for (size_t i = 0; i < worker->loads.count; i++) {
        const rfm__load *load = worker->loads.items[i];
        if (load->task == task->number && load->purpose == RFM__FOR_CLIENTS &&
            worker->now_ms - load->made_ms >= STALLED_MS)
            return true;
    }
    return false;
}

static bool fills_the_room(const rfm_worker *worker, const rfm__task *task)
{
    return worker->dirty_bytes >= worker->conf.dirty_bytes_max && task->stores.count > 0 &&
           worker->now_ms - task->stores.items[0].step->closed_ms >= STALLED_MS;
}

void rfm__leave_stalled(rfm_worker *worker)
{
    size_t running = 0, stalled = 0;
    int64_t since_ms = worker->now_ms - worker->looked_ms;
    if (worker->resetting || (since_ms >= 0 && since_ms < LOOK_MS))
        return;
    worker->looked_ms = worker->now_ms;
    for (size_t i = 0; i < worker->owned.count; i++) {
        rfm__task *task = worker->owned.items[i];
        if (task->phase != RFM__RUNNING)
            continue;
        task->stalled = waits_for_clients(worker, task) || fills_the_room(worker, task);
        stalled += task->stalled;
        running++;
    }
    if (stalled == 0 || stalled == running)
        return;
    worker->stats.stalls += stalled;
    rfm__reset(worker, false);
}
