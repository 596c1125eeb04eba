/* Expressions over declared fields: a typed subset of CEL (docs/expressions.md). A text is parsed, checked and compiled
 * once, against an environment that names the fields there are; the program is read-only and evaluates without
 * allocating. Fields have dense indexes (their place in the environment's table). A frame holds the fields' values for
 * one moment, shared by all programs: each value is fetched when a program first reads it, by the host's function. A
 * program only reads what `rfm_expr_reads` names. What fails at run time is a fault, a value like any other: && and ||
 * absorb it as CEL says.
 *
 *     static const rfm_expr_field FIELDS[] = {
 *         {.path = "client.orders", .type = &rfm_expr_int},
 *         {.path = "client.nps", .type = &rfm_expr_int, .optional = true},
 *         {.path = "event.channel", .type = &rfm_expr_string, .optional = true},
 *     };
 *     static bool fetch(void *context, size_t field, rfm_expr_value *value)
 *     {
 *         const shop *shop = context;
 *         switch (field) {
 *         case 0: value->integer = shop->orders; return true;
 *         case 1: value->integer = shop->nps; return shop->has_nps;
 *         default: value->text = shop->channel; return shop->channel.len > 0;
 *         }
 *     }
 *     rfm_expr_env env = {.fields = FIELDS, .field_count = 3};
 *     rfm_bytes text = rfm_text("client.orders >= 2 && has(client.nps)");
 *     if (rfm_expr_compile(&env, text, &rfm_expr_bool, arena, &expr, &error))
 *         printf("%u:%u: %s\n%s\n", error.line, error.column, error.message, error.excerpt);
 *     rfm_expr_frame_init(&frame, &(rfm_expr_host){.fetch = fetch}, &shop); // and _reset at each further moment
 *     rfm_expr_result result = rfm_expr_eval(expr, &frame);
 *     if (result.fault == RFM_EXPR_OK && result.value.truth) ...
 */
#ifndef RFM_EXPR_EXPR_H
#define RFM_EXPR_EXPR_H

#include <rfm/base/arena.h>
#include <rfm/base/error.h>
#include <rfm/base/zone.h>

enum {
    RFM_EXPR_BYTES_MAX = 4096,  /* of a text */
    RFM_EXPR_DEPTH_MAX = 64,    /* of parentheses, brackets, calls and signs in each other */
    RFM_EXPR_NODES_MAX = 1024,  /* names, values and operators */
    RFM_EXPR_FIELDS_MAX = 256,  /* of an environment */
    RFM_EXPR_MADE_MAX = 4096,   /* bytes of the texts and lists that one evaluation makes */
    RFM_EXPR_ROUNDS_MAX = 10000 /* of all loops of one evaluation */
};

typedef enum rfm_expr_kind {
    RFM_EXPR_ANY, /* the item type of [] */
    RFM_EXPR_NULL,
    RFM_EXPR_BOOL,
    RFM_EXPR_INT,
    RFM_EXPR_DOUBLE,
    RFM_EXPR_STRING,
    RFM_EXPR_TIMESTAMP,
    RFM_EXPR_DURATION,
    RFM_EXPR_LIST,
    RFM_EXPR_MAP,   /* of strings to items */
    RFM_EXPR_STRUCT /* named members, each of its type */
} rfm_expr_kind;
typedef struct rfm_expr_type rfm_expr_type;
typedef struct rfm_expr_member {
    const char *name;
    const rfm_expr_type *type;
} rfm_expr_member;
struct rfm_expr_type {
    rfm_expr_kind kind;
    const rfm_expr_type *item;      /* LIST, MAP */
    const rfm_expr_member *members; /* STRUCT; an entry without name ends them */
};
extern const rfm_expr_type rfm_expr_bool, rfm_expr_int, rfm_expr_double, rfm_expr_string, rfm_expr_timestamp,
    rfm_expr_duration, rfm_expr_strings; /* the last: list(string) */

/* A path has two names at least but for single values such as `now`: "client.rfm.r". No path may begin another. */
typedef struct rfm_expr_field {
    const char *path;
    const rfm_expr_type *type;
    bool optional;  /* may be absent: reading it can fail */
    uint32_t scope; /* bits; 0: known in every scope */
} rfm_expr_field;
typedef struct rfm_expr_env {
    const rfm_expr_field *fields; /* outlive the programs */
    size_t field_count;
    uint32_t scope; /* fields are known if they have one of these bits (or none) */
    /* Whether there is such a time zone, for names written in the text; NULL: not checked at load. */
    bool (*has_zone)(rfm_bytes name);
} rfm_expr_env;

/* By type; NULL has none. A map or struct is the host's own, behind its class. */
typedef union rfm_expr_value rfm_expr_value;
typedef struct rfm_expr_class {
    /* false: no such key or member, *value untouched */
    bool (*find)(void *context, const void *at, rfm_bytes key, rfm_expr_value *value);
    /* The i-th in the order of JSON; false: there are no more. */
    bool (*entry)(void *context, const void *at, size_t i, rfm_bytes *key, rfm_expr_value *value);
} rfm_expr_class;
union rfm_expr_value {
    bool truth;
    int64_t integer, time_ms, duration_ms;
    double number;
    rfm_bytes text;
    struct {
        const rfm_expr_value *at;
        size_t count;
    } list;
    struct {
        const rfm_expr_class *class_;
        const void *at;
    } object;
};

/* What is wrong with a text, and where: line and column from 1, in characters. */
typedef struct rfm_expr_error {
    uint32_t line, column;
    char message[256];
    char excerpt[416]; /* (a part of) the line, below it a caret at the column */
} rfm_expr_error;

typedef struct rfm_expr rfm_expr;
/* `wanted` NULL: any type. The program lies in the arena and is read-only: frames of several threads may share it.
 * RFM_E_MALFORMED: explained in *error. */
int rfm_expr_compile(const rfm_expr_env *env, rfm_bytes source, const rfm_expr_type *wanted, rfm_arena *arena,
                     const rfm_expr **expr, rfm_expr_error *error);
const rfm_expr_type *rfm_expr_type_of(const rfm_expr *expr);
/* Indexes of the fields that it may read, ascending. */
const uint16_t *rfm_expr_reads(const rfm_expr *expr, size_t *count);

typedef struct rfm_expr_host {
    /* false: absent. What *value points to lives until the frame's next reset. Times lie in the years 0 to 9999. */
    bool (*fetch)(void *context, size_t field, rfm_expr_value *value);
    /* NULL (or no such function): no such zone. "UTC" and offsets such as "+02:00" are not asked for. */
    const rfm_zone *(*zone)(void *context, rfm_bytes name);
} rfm_expr_host;
typedef struct rfm_expr_frame {
    rfm_expr_host host;
    void *context;
    size_t made_len;
    uint8_t state[RFM_EXPR_FIELDS_MAX]; /* 0: not fetched yet */
    rfm_expr_value value[RFM_EXPR_FIELDS_MAX];
    _Alignas(16) uint8_t made[RFM_EXPR_MADE_MAX];
} rfm_expr_frame;

void rfm_expr_frame_init(rfm_expr_frame *frame, const rfm_expr_host *host, void *context);
void rfm_expr_frame_reset(rfm_expr_frame *frame); /* forgets all values */

/* name, text */
#define RFM_EXPR_FAULTS(X)                                    \
    X(OK, "no error")                                         \
    X(ABSENT, "has no value (ask has() first)")               \
    X(NO_KEY, "no such key")                                  \
    X(NO_ITEM, "no such index")                               \
    X(OVERFLOW, "the result is out of range")                 \
    X(ZERO_DIVISION, "division by zero")                      \
    X(NAN_ORDER, "NaN is neither less nor greater")           \
    X(BAD_TEXT, "the text is not in the form that is needed") \
    X(NO_ZONE, "no such time zone")                           \
    X(TOO_LARGE, "made more text or lists than fit")          \
    X(TOO_LONG, "too many rounds of exists() and all()")
typedef enum rfm_expr_fault {
#define X(NAME, text) RFM_EXPR_##NAME,
    RFM_EXPR_FAULTS(X)
#undef X
        RFM_EXPR_FAULT_COUNT
} rfm_expr_fault;
const char *rfm_expr_fault_text(rfm_expr_fault fault);

typedef struct rfm_expr_result {
    rfm_expr_fault fault;
    uint16_t from, until; /* of a fault: the part of the source that failed, in bytes */
    rfm_expr_value value; /* else; texts and lists made by the evaluation live until the frame's next one */
} rfm_expr_result;
rfm_expr_result rfm_expr_eval(const rfm_expr *expr, rfm_expr_frame *frame);
/* Of many conditions at once: takes out of the set (`words` of 64 bits) those that are false, as far as comparisons of
 * fields with constants show; what remains may be anything. An entry may be NULL. Faster than one by one. */
void rfm_expr_sift(const rfm_expr *const *conditions, size_t words, uint64_t *set, rfm_expr_frame *frame);
/* As JSON, like the client's: times RFC 3339, durations "5400s", NaN and infinities null. */
void rfm_expr_write_json(rfm_buffer *json, const rfm_expr_type *type, const rfm_expr_value *value, void *context);

#endif
