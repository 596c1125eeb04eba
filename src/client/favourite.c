#include "favourite.h"

static int compare_names(const rfm_names *names, uint16_t a, uint16_t b)
{
    return rfm_bytes_compare(rfm_names_text(names, a), rfm_names_text(names, b));
}

/* The one with the fewest orders; of equals the last by its text, since numbers differ from task to task. */
static size_t least_ordered(const rfm_client *client, const rfm_names *names)
{
    size_t least = 0;
    for (size_t i = 1; i < client->category_count; i++) {
        const rfm_category *category = &client->category[i], *best = &client->category[least];
        if (category->orders < best->orders ||
            (category->orders == best->orders && compare_names(names, category->name, best->name) > 0)) {
            least = i;
        }
    }
    return least;
}

static void take_out(rfm_client *client, size_t place)
{
    client->category_count--;
    memmove(&client->category[place], &client->category[place + 1],
            (client->category_count - place) * sizeof client->category[0]);
}

static void count_category(rfm_client *client, uint16_t name, const rfm_names *names)
{
    size_t place = 0;
    uint32_t orders = 0;
    while (place < client->category_count && client->category[place].name < name) {
        place++;
    }
    if (place < client->category_count && client->category[place].name == name) {
        client->category[place].orders += client->category[place].orders < UINT32_MAX;
        return;
    }
    if (client->category_count == RFM_CATEGORIES_MAX) {
        size_t least = least_ordered(client, names);
        orders = client->category[least].orders;
        take_out(client, least);
        place -= least < place;
    }
    memmove(&client->category[place + 1], &client->category[place],
            (client->category_count - place) * sizeof client->category[0]);
    client->category[place] = (rfm_category){name, orders + (orders < UINT32_MAX)};
    client->category_count++;
}

/* Two texts may have one number: those that are cut, or of a full table. */
void rfm__apply_categories(rfm_client *client, const rfm_event *event, rfm_names *names)
{
    uint16_t counted[RFM_EVENT_ITEMS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < event->category_count && count < RFM_EVENT_ITEMS_MAX; i++) {
        uint16_t name = rfm_names_number(names, event->categories[i]);
        bool again = name == 0;
        for (size_t k = 0; k < count && !again; k++) {
            again = counted[k] == name;
        }
        if (!again) {
            counted[count++] = name;
            count_category(client, name, names);
        }
    }
}

void rfm__apply_source(rfm_client *client, const rfm_event *event, rfm_names *names)
{
    if (event->campaign.len == 0 || (client->source > 0 && event->time_ms > client->source_ms)) {
        return;
    }
    uint16_t name = rfm_names_number(names, event->campaign);
    if (name > 0 &&
        (client->source == 0 || event->time_ms < client->source_ms || compare_names(names, name, client->source) < 0)) {
        client->source = name;
        client->source_ms = event->time_ms;
    }
}

size_t rfm_client_favourites(const rfm_client *client, const rfm_names *names, uint8_t order[RFM_CATEGORIES_MAX])
{
    for (size_t i = 0; i < client->category_count; i++) {
        const rfm_category *category = &client->category[i];
        size_t place = i;
        for (; place > 0; place--) {
            const rfm_category *before = &client->category[order[place - 1]];
            if (before->orders > category->orders ||
                (before->orders == category->orders && compare_names(names, before->name, category->name) < 0)) {
                break;
            }
            order[place] = order[place - 1];
        }
        order[place] = (uint8_t)i;
    }
    return client->category_count;
}

/* Channels */

static uint64_t answers_of(const rfm_channel_stats *stats)
{
    return (uint64_t)stats->by_status[RFM_STATUS_CLICKED] + stats->by_status[RFM_STATUS_REPLIED];
}

/* A message may be answered more than once, and its delivery not be told: an answer is a trial at least. */
static uint64_t trials_of(const rfm_channel_stats *stats)
{
    uint64_t delivered = stats->by_status[RFM_STATUS_DELIVERED], answers = answers_of(stats);
    return delivered > answers ? delivered : answers;
}

static double response_of(const rfm_channel_stats *stats)
{
    return (RFM_RESPONSE_ALPHA + (double)answers_of(stats)) /
           (RFM_RESPONSE_ALPHA + RFM_RESPONSE_BETA + (double)trials_of(stats));
}

double rfm_client_response(const rfm_client *client, uint16_t channel)
{
    for (size_t i = 0; i < client->channel_count; i++) {
        if (client->channel[i].name == channel) {
            return response_of(&client->channel[i]);
        }
    }
    return (double)RFM_RESPONSE_ALPHA / (RFM_RESPONSE_ALPHA + RFM_RESPONSE_BETA);
}

/* Without rounding: the means as fractions. */
static int compare_responses(const rfm_channel_stats *a, const rfm_channel_stats *b, const rfm_names *names)
{
    const uint64_t alpha = RFM_RESPONSE_ALPHA, both = RFM_RESPONSE_ALPHA + RFM_RESPONSE_BETA;
    __int128 of_a = (__int128)(alpha + answers_of(a)) * (both + trials_of(b));
    __int128 of_b = (__int128)(alpha + answers_of(b)) * (both + trials_of(a));
    if (of_a != of_b) {
        return of_a < of_b ? -1 : 1;
    }
    uint32_t delivered_a = a->by_status[RFM_STATUS_DELIVERED], delivered_b = b->by_status[RFM_STATUS_DELIVERED];
    if (delivered_a != delivered_b) {
        return delivered_a < delivered_b ? -1 : 1;
    }
    return compare_names(names, b->name, a->name);
}

uint16_t rfm_client_preferred_channel(const rfm_client *client, const rfm_names *names)
{
    const rfm_channel_stats *best = NULL;
    for (size_t i = 0; i < client->channel_count; i++) {
        const rfm_channel_stats *stats = &client->channel[i];
        if (trials_of(stats) > 0 && (!best || compare_responses(stats, best, names) > 0)) {
            best = stats;
        }
    }
    return best ? best->name : 0;
}
