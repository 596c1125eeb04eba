/* What the files that decode share: native.c (the fields of a native event and its types), decoder.c (memory, parsing,
 * the entry) and a file for each other format. */
#ifndef RFM_EVENT_RUN_H
#define RFM_EVENT_RUN_H

#include <rfm/base/arena.h>
#include <rfm/event/decode.h>

#include <stdarg.h>
#include <stdio.h>
#include <yyjson.h>

#define EVENT_FIELDS(X) \
    X(type)             \
    X(id)               \
    X(client_id)        \
    X(time)             \
    X(order_id)         \
    X(amount)           \
    X(currency)         \
    X(channel)          \
    X(coupon)           \
    X(cart_id)          \
    X(campaign)         \
    X(margin)           \
    X(items)            \
    X(action)           \
    X(page)             \
    X(sku)              \
    X(category)         \
    X(status)           \
    X(trigger_id)       \
    X(class)            \
    X(permanent)        \
    X(granted)          \
    X(source)           \
    X(quantity)         \
    X(price)            \
    X(kind)             \
    X(score)            \
    X(case_id)          \
    X(traits)           \
    X(timezone)         \
    X(language)         \
    X(delta)            \
    X(reason)

typedef enum field_id {
#define X(name) FIELD_##name,
    EVENT_FIELDS(X)
#undef X
        FIELD_COUNT,
    FIELD_UNKNOWN = FIELD_COUNT
} field_id;

enum {
    NAME_WORD_BYTES = 8, /* a name's first bytes decide, at most so many; no two names share them */
    NAME_SLOTS = 128,
};

typedef struct name_slot {
    uint64_t word;
    uint8_t len, field;
} name_slot;

struct rfm_decoder {
    const rfm_money_conf *money;
    rfm_arena arena;
    uint64_t multiplier; /* hashes each field's word to a slot of its own */
    name_slot names[NAME_SLOTS];
    void *scratch; /* the parser's nodes */
    size_t scratch_bytes;
    yyjson_alc allocator;
};

/* `at` is set where `seen` has the field's bit. */
typedef struct field_values {
    uint64_t seen;
    yyjson_val *at[FIELD_COUNT];
} field_values;
_Static_assert(FIELD_COUNT <= 64, "a bit for each field");

/* The first failure stays; what is read after it does no harm and counts for nothing. */
typedef struct decode_run {
    rfm_decoder *decoder;
    rfm_event *event;
    rfm_fault *fault;
    const rfm_reading *reading;
    rfm_bytes headers;
    int64_t append_ms;
    rfm_reason reason;
    const char *const *names; /* of the fields, for messages */
    const char **own_names;   /* the same where the format has names of its own: rfm__lay_begin */
    field_values fields;
} decode_run;

__attribute__((cold, format(printf, 3, 4))) static inline void refuse(decode_run *run, rfm_reason reason,
                                                                      const char *format, ...)
{
    if (run->reason != RFM_REASON_NONE)
        return;
    run->reason = reason;
    if (!run->fault)
        return;
    va_list args;
    va_start(args, format);
    run->fault->reason = reason;
    vsnprintf(run->fault->detail, sizeof run->fault->detail, format, args);
    va_end(args);
}

/* decoder.c */
/* The object in `text`; NULL and refused (the message begins with `what`): it is none. The nodes of the object before
 * are overwritten, its texts stay. */
yyjson_val *rfm__parse_object(decode_run *run, rfm_bytes text, const char *what);

/* native.c */
extern const char *const rfm__native_names[FIELD_COUNT];
void rfm__names_init(rfm_decoder *decoder);
void rfm__decode_native(decode_run *run, yyjson_val *root);
/* The same in two parts. */
void rfm__sort_event(decode_run *run, yyjson_val *root);
void rfm__decode_sorted(decode_run *run);
/* After the event's type is set and its values are laid out. */
void rfm__decode_laid_out(decode_run *run);
/* A native event's nesting is bounded as its fields are sorted; that of another format at once. */
void rfm__bound_depth(decode_run *run, yyjson_val *root);

/* A file for each other format. */
void rfm__decode_segment(decode_run *run, yyjson_val *root);
void rfm__decode_ga4(decode_run *run, yyjson_val *root);
void rfm__decode_cloudevent(decode_run *run, yyjson_val *root);
void rfm__decode_any(decode_run *run, yyjson_val *root); /* auto.c: whatever it is */
bool rfm__is_segment(yyjson_val *root);
bool rfm__is_ga4(yyjson_val *root);
bool rfm__is_cloudevent(const decode_run *run, yyjson_val *root);

#endif
