#include "complaint.h"

#include <rfm/base/hash.h>

/* A resolution of a case that nobody has complained of may be that of a complaint without a case, never of another
 * case. */
static bool is_unmatched(const rfm_case *case_)
{
    return !case_->open && !case_->complained;
}

/* It goes, and counts as what it has come to. */
static void let_go(rfm_client *client, const rfm_case *case_)
{
    if (case_->open) {
        client->complaints++;
    } else if (is_unmatched(case_) && client->complaints > 0) {
        client->complaints--;
    }
}

static void merge(rfm_case *case_, const rfm_case *said)
{
    if (said->time_ms > case_->time_ms) {
        case_->time_ms = said->time_ms;
        case_->open = said->open;
    } else if (said->time_ms == case_->time_ms) {
        case_->open = case_->open && said->open;
    }
    case_->complained = case_->complained || said->complained;
}

static size_t oldest_case(const rfm_client *client)
{
    size_t oldest = 0;
    for (size_t i = 1; i < client->case_count; i++) {
        oldest = client->cases[i].time_ms < client->cases[oldest].time_ms ? i : oldest;
    }
    return oldest;
}

/* The oldest of all makes room. */
static void put_case(rfm_client *client, const rfm_case *said)
{
    size_t place = 0;
    while (place < client->case_count && client->cases[place].id48 < said->id48) {
        place++;
    }
    if (place < client->case_count && client->cases[place].id48 == said->id48) {
        merge(&client->cases[place], said);
        return;
    }
    if (client->case_count == RFM_CASES_MAX) {
        size_t oldest = oldest_case(client);
        if (said->time_ms <= client->cases[oldest].time_ms) {
            let_go(client, said);
            return;
        }
        let_go(client, &client->cases[oldest]);
        client->case_count--;
        memmove(&client->cases[oldest], &client->cases[oldest + 1],
                (client->case_count - oldest) * sizeof client->cases[0]);
        place -= oldest < place;
    }
    memmove(&client->cases[place + 1], &client->cases[place], (client->case_count - place) * sizeof client->cases[0]);
    client->cases[place] = *said;
    client->case_count++;
}

void rfm__apply_complaint(rfm_client *client, const rfm_event *event)
{
    const uint64_t low48 = (UINT64_C(1) << 48) - 1;
    bool complaint = event->feedback == RFM_FEEDBACK_COMPLAINT;
    if (event->case_id.len == 0) {
        client->complaints += complaint ? 1 : -1;
        return;
    }
    put_case(client, &(rfm_case){.id48 = rfm_hash64(event->case_id) & low48,
                                 .time_ms = event->time_ms,
                                 .complained = complaint,
                                 .open = complaint});
}

uint32_t rfm_client_open_complaints(const rfm_client *client)
{
    int64_t open = client->complaints, open_cases = 0;
    for (size_t i = 0; i < client->case_count; i++) {
        open -= open > 0 && is_unmatched(&client->cases[i]);
        open_cases += client->cases[i].open;
    }
    open += open_cases;
    return open <= 0 ? 0 : open > UINT32_MAX ? UINT32_MAX : (uint32_t)open;
}
