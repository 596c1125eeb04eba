#include "channel.h"

enum { CANDIDATES_MAX = RFM_BEST_CHANNELS_MAX + RFM_CHANNELS_MAX + 1 + RFM_CONSENTS_MAX };

typedef struct rfm_candidates {
    size_t count;
    uint16_t number[CANDIDATES_MAX];
    rfm_bytes text[CANDIDATES_MAX];
} rfm_candidates;

static bool consents(const rfm_turn *turn, uint16_t channel, rfm_class class_)
{
    rfm_permission permission = rfm_client_permission(turn->client, channel, class_);
    rfm_consent_policy policy = turn->rules->consent[class_];
    bool opt_in = policy == RFM_OPT_IN || (policy == RFM_OPT_BY_CLASS && class_ == RFM_CLASS_MARKETING);
    return opt_in ? permission == RFM_PERMISSION_GRANTED : permission != RFM_PERMISSION_REFUSED;
}

/* `why_not` goes from consent, where none is allowed, to no_channel, where one is. */
static bool is_usable(const rfm_turn *turn, uint16_t channel, rfm_class class_, rfm_suppression *why_not)
{
    if (!consents(turn, channel, class_))
        return false;
    if (!rfm_client_bounces(turn->client, channel))
        return true;
    *why_not = RFM_SUPPRESSED_NO_CHANNEL;
    return false;
}

static rfm_choice choose_first(const rfm_turn *turn, size_t index)
{
    const rfm_rule *rule = &turn->rules->rule[index];
    rfm_choice none = {.why_not = RFM_SUPPRESSED_CONSENT};
    for (size_t i = 0; i < rule->channel_count; i++) {
        uint16_t number = turn->binding->channel[index][i];
        if (is_usable(turn, number, rule->class_, &none.why_not))
            return (rfm_choice){RFM_SENT, number, rfm_text(rule->channel[i])};
    }
    return none;
}

static void add_candidate(rfm_candidates *candidates, size_t first, uint16_t number, rfm_bytes text)
{
    for (size_t i = 0; i < candidates->count; i++) {
        if (candidates->number[i] == number)
            return;
    }
    if (number == RFM_NUMBER_NONE || candidates->count == CANDIDATES_MAX)
        return;
    size_t at = candidates->count++;
    for (; at > first && rfm_bytes_compare(candidates->text[at - 1], text) > 0; at--) {
        candidates->number[at] = candidates->number[at - 1];
        candidates->text[at] = candidates->text[at - 1];
    }
    candidates->number[at] = number;
    candidates->text[at] = text;
}

/* "other" is what channels are counted as for which there was no room. */
static void add_known(const rfm_turn *turn, rfm_candidates *candidates, size_t first, uint16_t number)
{
    rfm_bytes text = rfm_names_text(turn->names, number);
    if (!rfm_bytes_is(text, "other"))
        add_candidate(candidates, first, number, text);
}

/* The channels that rules name, in their order, then what the client's own events name besides, by name: numbers would
 * go by the order in which a task has met them. */
static void gather_candidates(const rfm_turn *turn, rfm_candidates *candidates)
{
    const rfm_client *client = turn->client;
    const rfm_binding *binding = turn->binding;
    candidates->count = 0;
    for (size_t i = 0; i < binding->best_count; i++)
        add_candidate(candidates, i, binding->best_number[i], binding->best_text[i]);
    size_t first = candidates->count;
    for (size_t i = 0; i < client->channel_count; i++)
        add_known(turn, candidates, first, client->channel[i].name);
    for (size_t i = 0; i < client->consent_count; i++)
        add_known(turn, candidates, first, client->consent[i].channel);
}

/* What a client answers on a channel, to be compared; nothing delivered or answered: below all that is. */
typedef struct rfm_liking {
    double response;
    uint32_t delivered;
} rfm_liking;

static rfm_liking liking_of(const rfm_client *client, uint16_t channel)
{
    for (size_t i = 0; i < client->channel_count; i++) {
        const uint32_t *by_status = client->channel[i].by_status;
        uint64_t known = (uint64_t)by_status[RFM_STATUS_DELIVERED] + by_status[RFM_STATUS_CLICKED] +
                         by_status[RFM_STATUS_REPLIED];
        if (client->channel[i].name == channel && known > 0)
            return (rfm_liking){rfm_client_response(client, channel), by_status[RFM_STATUS_DELIVERED]};
    }
    return (rfm_liking){-1, 0};
}

static bool is_above(const rfm_liking *a, const rfm_liking *b)
{
    return a->response > b->response || (a->response == b->response && a->delivered > b->delivered);
}

/* The preferred one of those that may be used; without any response, and among equals, by order. */
static rfm_choice choose_best(const rfm_turn *turn, rfm_class class_)
{
    rfm_candidates candidates;
    rfm_suppression why_not = RFM_SUPPRESSED_CONSENT;
    rfm_choice best = {.why_not = RFM_SUPPRESSED_CONSENT};
    rfm_liking highest = {-2, 0};
    gather_candidates(turn, &candidates);
    for (size_t i = 0; i < candidates.count; i++) {
        if (!is_usable(turn, candidates.number[i], class_, &why_not))
            continue;
        rfm_liking liking = liking_of(turn->client, candidates.number[i]);
        if (!is_above(&liking, &highest))
            continue;
        best = (rfm_choice){RFM_SENT, candidates.number[i], candidates.text[i]};
        highest = liking;
    }
    return best.why_not == RFM_SENT ? best : (rfm_choice){.why_not = why_not};
}

rfm_choice rfm__channel_choose(const rfm_turn *turn, size_t index)
{
    const rfm_rule *rule = &turn->rules->rule[index];
    if (rule->best)
        return choose_best(turn, rule->class_);
    if (rule->channel_count == 0)
        return (rfm_choice){.why_not = RFM_SENT};
    return choose_first(turn, index);
}
