/* Decoding: strict, bounded, exact. Everything that can be wrong with a record has a reason, a stable code that goes
 * to the dead letters; the table is the only list and generates its documentation. One decoder per thread; its memory
 * grows to what a batch needs and is kept over a reset. Unknown fields are ignored; a null field is an absent one;
 * repeated keys of one object: the first counts. Events of other formats are laid out as native ones (docs/events.md
 * has the tables) and checked as those are, in the names of their own fields. */
#ifndef RFM_EVENT_DECODE_H
#define RFM_EVENT_DECODE_H

#include <rfm/base/error.h>
#include <rfm/base/money.h>
#include <rfm/event/event.h>

#define RFM_DEAD_LETTER_REASONS(X)                                                                         \
    X(TOO_LARGE, too_large, "the value, a text or a list is larger than its limit")                        \
    X(TOO_DEEP, too_deep, "the value is nested deeper than 16 levels")                                     \
    X(MALFORMED, malformed, "the value is not one JSON object in UTF-8")                                   \
    X(MISSING_FIELD, missing_field, "a field that this type needs is absent")                              \
    X(WRONG_TYPE, wrong_type, "a field has the wrong JSON type")                                           \
    X(BAD_VALUE, bad_value, "a field's value is outside of what it may be")                                \
    X(UNKNOWN_TYPE, unknown_type, "the type of event is not known")                                        \
    X(BAD_TIME, bad_time, "time is neither RFC 3339 with an offset nor integer milliseconds")              \
    X(TIME_TOO_OLD, time_too_old, "time lies before 1990")                                                 \
    X(TIME_IN_FUTURE, time_in_future, "time lies more than 10 minutes after the record's Kafka timestamp") \
    X(BAD_AMOUNT, bad_amount, "an amount is negative, not exact in its currency, or too large")            \
    X(UNKNOWN_CURRENCY, unknown_currency, "no rate is configured for the currency")                        \
    X(WRONG_KEY, wrong_key, "the record's key differs from client_id")                                     \
    X(WRONG_PARTITION, wrong_partition, "the configured partitioner puts this key on another partition")   \
    X(UNKNOWN_ORDER, unknown_order, "a refund without amount whose order never came")                      \
    X(STATE_FULL, state_full, "the client's state has no room for this event")
typedef enum rfm_reason {
    RFM_REASON_NONE,
#define X(NAME, name, text) RFM_REASON_##NAME,
    RFM_DEAD_LETTER_REASONS(X)
#undef X
        RFM_REASON_COUNT,
    RFM_REASON_IGNORED = RFM_REASON_COUNT /* nothing is wrong and nothing is in it for us: counted, no dead letter */
} rfm_reason;
const char *rfm_reason_name(rfm_reason reason);
const char *rfm_reason_text(rfm_reason reason);

#define RFM_FORMATS(X) X(NATIVE, native) X(SEGMENT, segment) X(GA4, ga4) X(CLOUDEVENTS, cloudevents) X(AUTO, auto)
typedef enum rfm_format {
#define X(NAME, name) RFM_FORMAT_##NAME,
    RFM_FORMATS(X)
#undef X
        RFM_FORMAT_COUNT
} rfm_format;
const char *rfm_format_name(rfm_format format);

/* Which of an order's sums in the format segment is its amount. Where it is absent, the first of these that is
 * there. */
#define RFM_AMOUNT_FIELDS(X) X(REVENUE, revenue) X(SUBTOTAL, subtotal) X(TOTAL, total)
typedef enum rfm_amount_field {
#define X(NAME, name) RFM_AMOUNT_##NAME,
    RFM_AMOUNT_FIELDS(X)
#undef X
        RFM_AMOUNT_FIELD_COUNT
} rfm_amount_field;
const char *rfm_amount_field_name(rfm_amount_field field);

/* How an input's records are read; all zero: as native events. */
typedef struct rfm_reading {
    rfm_format format;
    rfm_amount_field amount_field;
} rfm_reading;

typedef struct rfm_decoder rfm_decoder;
typedef struct rfm_fault {
    rfm_reason reason;
    char detail[160]; /* names the field; plain ASCII */
} rfm_fault;

rfm_decoder *rfm_decoder_new(const rfm_money_conf *money); /* `money` must outlive it */
void rfm_decoder_free(rfm_decoder *decoder);
void rfm_decoder_reset(rfm_decoder *decoder); /* forgets all events decoded since the last reset */
/* Decodes one native event: RFM_REASON_NONE and *event, or the reason and *fault (may be NULL), and *event is
 * undefined. Key and partition are not looked at. `append_ms`: the record's Kafka timestamp; INT64_MAX: no limit. */
rfm_reason rfm_decode(rfm_decoder *decoder, rfm_bytes value, int64_t append_ms, rfm_event *event, rfm_fault *fault);
/* The same of a record in any format; also RFM_REASON_IGNORED. `headers` (see headers.h): where CloudEvents of the
 * binary mode have their attributes. */
rfm_reason rfm_decode_as(rfm_decoder *decoder, const rfm_reading *reading, rfm_bytes value, rfm_bytes headers,
                         int64_t append_ms, rfm_event *event, rfm_fault *fault);

typedef enum rfm_partitioner { RFM_PARTITIONER_MURMUR2, RFM_PARTITIONER_CRC32, RFM_PARTITIONER_NONE } rfm_partitioner;
/* The partition that the partitioner chooses for a key; NONE: UINT32_MAX (not checked). */
uint32_t rfm_partition_of(rfm_partitioner partitioner, rfm_bytes key, uint32_t partition_count);

#endif
