#include "truth.h"

#include "app/chance.h"

#include <rfm/base/error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define HOUR_MS     INT64_C(3600000)
#define DAY_MS      (24 * HOUR_MS)
#define START_MS    INT64_C(1772323200000) /* 2026-03-01 */
#define COMING_MS   (10 * DAY_MS)          /* clients come within this time */
#define DELAY_MS    HOUR_MS                /* the rule's */
#define WINDOW_MS   (14 * DAY_MS)          /* of attribution */
#define CONSENTS    0.95
#define OTHERS_BUY  0.9 /* those who are in no arm: they would be seen in the figures */
#define PART_BACK   0.2 /* half of an order is sent back */
#define EXPENSIVE   0.1 /* an order costs five times as much */
#define CENTS_MIN   500
#define CENTS_STEPS 4501 /* 500, 502, ..., 9500 */

typedef struct person {
    truth_run *run;
    rfm_chance chance;
    char id[40];
    int64_t exposed_ms; /* or would be */
    uint32_t made;
    truth_count count;
} person;

double truth_revenue(const truth_arm *arm)
{
    double order = (CENTS_MIN + CENTS_STEPS - 1) * (1 + EXPENSIVE * 4) * (1 - PART_BACK / 2) / 100;
    return arm->buys * (1 + arm->again) * order;
}

static bool happens(person *client, double chance)
{
    return rfm_chance_unit(&client->chance) < chance;
}

/* (from, to] */
static int64_t within(person *client, int64_t from_ms, int64_t to_ms)
{
    return to_ms - (int64_t)(rfm_chance_unit(&client->chance) * (double)(to_ms - from_ms));
}

static truth_event *next_event(truth_run *run)
{
    if (run->count == run->size) {
        run->size = run->size ? 2 * run->size : 4096;
        run->events = realloc(run->events, run->size * sizeof *run->events);
        RFM_ASSERT(run->events != NULL);
    }
    run->events[run->count].number = run->count;
    return &run->events[run->count++];
}

/* `rest`: further members, from their comma on. */
static truth_event *say(person *client, const char *type, int64_t time_ms, int64_t arrives_ms, const char *rest)
{
    char json[320];
    int len = snprintf(json, sizeof json, "{\"type\":\"%s\",\"id\":\"%u\",\"client_id\":\"%s\",\"time\":%lld%s}", type,
                       client->made++, client->id, (long long)time_ms, rest);
    RFM_ASSERT(len > 0 && (size_t)len < sizeof json);
    truth_event *event = next_event(client->run);
    event->arrives_ms = arrives_ms;
    event->client_id = rfm_arena_copy(&client->run->arena, rfm_text(client->id));
    event->json = rfm_arena_copy(&client->run->arena, rfm_bytes_of(json, (size_t)len));
    return event;
}

static void give_back(person *client, uint32_t order, int64_t after_ms, const char *amount)
{
    char rest[96];
    int64_t time_ms = within(client, after_ms, after_ms + 5 * DAY_MS);
    snprintf(rest, sizeof rest, ",\"order_id\":\"o%u\"%s", order, amount);
    say(client, "refund", time_ms, time_ms, rest);
}

/* An order, up to three days late and sometimes twice; returns its number. */
static uint32_t order(person *client, int64_t time_ms, int64_t cents)
{
    char rest[96];
    uint32_t number = client->made;
    int64_t arrives_ms = happens(client, 0.1) ? within(client, time_ms, time_ms + 3 * DAY_MS) : time_ms;
    snprintf(rest, sizeof rest, ",\"order_id\":\"o%u\",\"amount\":\"%lld.%02lld\",\"currency\":\"EUR\"", number,
             (long long)cents / 100, (long long)cents % 100);
    truth_event *first = say(client, "purchase", time_ms, arrives_ms, rest);
    if (happens(client, 0.05)) {
        rfm_bytes again = first->json;
        int64_t later_ms = within(client, arrives_ms, arrives_ms + DAY_MS);
        say(client, "visit", later_ms, later_ms, "")->json = again;
    }
    return number;
}

static int64_t price(person *client)
{
    int64_t cents = CENTS_MIN + 2 * (int64_t)rfm_chance_below(&client->chance, CENTS_STEPS);
    return happens(client, EXPENSIVE) ? 5 * cents : cents;
}

/* An order within the window, of which something is left. */
static void buy(person *client, int64_t time_ms)
{
    int64_t cents = price(client);
    uint32_t number = order(client, time_ms, cents);
    if (happens(client, PART_BACK)) {
        char amount[48];
        cents /= 2;
        snprintf(amount, sizeof amount, ",\"amount\":\"%lld.%02lld\"", (long long)cents / 100, (long long)cents % 100);
        give_back(client, number, time_ms, amount);
    }
    client->count.orders++;
    client->count.revenue_minor += cents;
}

/* What must not count: before the window, at its first moment, after it, for nothing, sent back. */
static void buy_beside(person *client)
{
    int64_t from_ms = client->exposed_ms, end_ms = from_ms + WINDOW_MS;
    if (happens(client, 0.3))
        order(client, within(client, from_ms - 5 * DAY_MS, from_ms), price(client));
    if (happens(client, 0.02))
        order(client, from_ms, price(client));
    if (happens(client, 0.3))
        order(client, within(client, end_ms, end_ms + 5 * DAY_MS), price(client));
    if (happens(client, 0.1))
        order(client, within(client, from_ms, end_ms), 0);
    if (happens(client, 0.1)) {
        int64_t time_ms = within(client, from_ms, end_ms);
        give_back(client, order(client, time_ms, price(client)), time_ms, "");
    }
}

static void live(person *client, double buys, double again, bool consents)
{
    int64_t comes_ms = within(client, START_MS, START_MS + COMING_MS), end_ms;
    client->exposed_ms = comes_ms + DELAY_MS, end_ms = client->exposed_ms + WINDOW_MS;
    say(client, "consent", comes_ms - DAY_MS, comes_ms - DAY_MS,
        consents ? ",\"channel\":\"email\",\"granted\":true" : ",\"channel\":\"email\",\"granted\":false");
    say(client, "visit", comes_ms, comes_ms, "");
    if (happens(client, 0.3)) { /* the first counts */
        int64_t back_ms = within(client, client->exposed_ms, client->exposed_ms + WINDOW_MS);
        say(client, "visit", back_ms, back_ms, "");
    }
    buy_beside(client);
    client->count.clients = 1;
    client->count.converted = happens(client, buys);
    if (!client->count.converted)
        return;
    bool at_the_end = happens(client, 0.02);
    buy(client, at_the_end ? end_ms : within(client, client->exposed_ms, end_ms));
    if (happens(client, again))
        buy(client, within(client, client->exposed_ms, end_ms));
}

static uint32_t bucket(const char *salt, const char *id)
{
    char text[128];
    int len = snprintf(text, sizeof text, "%s\x1f%s", salt, id);
    return (uint32_t)(XXH3_64bits(text, (size_t)len) % 10000);
}

static size_t arm_of(const truth_case *of, const char *id)
{
    uint32_t at = bucket(of->salt, id), end = of->arm[0].buckets;
    size_t arm = 0;
    while (at >= end)
        end += of->arm[++arm].buckets;
    return arm;
}

static void add(truth_count *sum, const truth_count *count)
{
    sum->clients += count->clients, sum->converted += count->converted;
    sum->orders += count->orders, sum->revenue_minor += count->revenue_minor;
    sum->squares += (double)count->revenue_minor * (double)count->revenue_minor;
}

static void make_client(truth_run *run, const truth_case *of, person *client)
{
    bool held_out = bucket(of->holdout_salt, client->id) < of->holdout_buckets, consents = happens(client, CONSENTS);
    size_t arm = arm_of(of, client->id);
    if (happens(client, of->arm[arm].lost))
        return;
    bool in_arm = consents && !held_out;
    live(client, in_arm ? of->arm[arm].buys : OTHERS_BUY, of->arm[arm].again, consents);
    if (in_arm)
        add(&run->counted[arm], &client->count);
}

static int by_arrival(const void *a, const void *b)
{
    const truth_event *left = a, *right = b;
    if (left->arrives_ms != right->arrives_ms)
        return left->arrives_ms < right->arrives_ms ? -1 : 1;
    return left->number < right->number ? -1 : 1;
}

void truth_run_init(truth_run *run)
{
    *run = (truth_run){0};
    rfm_arena_init(&run->arena);
}

void truth_run_release(truth_run *run)
{
    rfm_arena_release(&run->arena);
    free(run->events);
}

void truth_run_make(truth_run *run, const truth_case *of, uint64_t seed, uint64_t number, uint32_t clients)
{
    rfm_arena_reset(&run->arena);
    run->count = 0;
    memset(run->counted, 0, sizeof run->counted);
    run->first_end_ms = START_MS + WINDOW_MS;
    run->last_end_ms = START_MS + COMING_MS + DELAY_MS + WINDOW_MS;
    run->end_ms = run->last_end_ms + 10 * DAY_MS;
    for (uint32_t i = 0; i < clients; i++) {
        person client = {.run = run, .chance = rfm_chance_of(seed, number * clients + i)};
        snprintf(client.id, sizeof client.id, "run-%llu-%u", (unsigned long long)number, i);
        make_client(run, of, &client);
    }
    qsort(run->events, run->count, sizeof *run->events, by_arrival);
}
