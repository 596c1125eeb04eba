/* What the client tests share: random numbers, events by hand, and the facts that a set of events must give, computed
 * from the set as a whole and not event by event. */
#ifndef RFM_TESTS_CLIENT_WORLD_H
#define RFM_TESTS_CLIENT_WORLD_H

#include <rfm/client/client.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define T0 INT64_C(1767225600000) /* 2026-01-01T00:00:00Z, a midnight */
enum { T0_DAY = 20454 };

static inline uint64_t random_next(uint64_t *seed)
{
    *seed += 0x9e3779b97f4a7c15u; /* splitmix64 */
    uint64_t z = *seed;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static inline uint64_t random_below(uint64_t *seed, uint64_t limit)
{
    return random_next(seed) % limit;
}

static inline void shuffle(rfm_event *events, size_t count, uint64_t *seed)
{
    for (size_t i = count; i > 1; i--) {
        size_t j = (size_t)random_below(seed, i);
        rfm_event event = events[i - 1];
        events[i - 1] = events[j];
        events[j] = event;
    }
}

/* `id` tells the event apart, together with its type, as the real hash does. */
static inline rfm_event event_of(rfm_event_type type, uint64_t id, int64_t time_ms)
{
    return (rfm_event){.type = type, .time_ms = time_ms, .id48 = ((uint64_t)type + 1) << 35 | id};
}

static inline rfm_event purchase(uint64_t id, uint64_t order, int64_t time_ms, int64_t amount_minor)
{
    rfm_event event = event_of(RFM_EVENT_PURCHASE, id, time_ms);
    event.order_id48 = order, event.amount_minor = amount_minor, event.has_amount = true;
    return event;
}

static inline rfm_event refund(uint64_t id, uint64_t order, int64_t time_ms, int64_t amount_minor)
{
    rfm_event event = event_of(RFM_EVENT_REFUND, id, time_ms);
    event.order_id48 = order, event.amount_minor = amount_minor, event.has_amount = true;
    return event;
}

static inline rfm_event full_refund(uint64_t id, uint64_t order, int64_t time_ms)
{
    rfm_event event = event_of(RFM_EVENT_REFUND, id, time_ms);
    event.order_id48 = order;
    return event;
}

static inline rfm_event visit(uint64_t id, int64_t time_ms)
{
    return event_of(RFM_EVENT_VISIT, id, time_ms);
}

static inline rfm_event message(uint64_t id, const char *channel, rfm_message_status status, int64_t time_ms)
{
    rfm_event event = event_of(RFM_EVENT_MESSAGE, id, time_ms);
    event.channel = rfm_text(channel), event.status = status, event.permanent = true;
    return event;
}

static inline rfm_event consent(uint64_t id, const char *channel, rfm_class class_, bool granted, int64_t time_ms)
{
    rfm_event event = event_of(RFM_EVENT_CONSENT, id, time_ms);
    event.channel = rfm_text(channel), event.class_ = class_, event.granted = granted;
    return event;
}

#endif
