/* Programs: instructions for a stack of values. Types were settled at load, so values carry none. An operation takes
 * its operands from the stack and leaves one result there; the others move values, jump, or hold && || and loops
 * together. Where an operation fails, the innermost handler around it (the left side of an && or ||, the body of a
 * loop) keeps the fault under its number and goes on; who joins the sides then sees it pending. */
#ifndef RFM_EXPR_OPS_H
#define RFM_EXPR_OPS_H

#include <rfm/expr/expr.h>

/* name, operands, whether it can fail */
#define RFM__OPS(X)                \
    X(NOT, 1, false)               \
    X(NEGATE_INT, 1, true)         \
    X(NEGATE_DOUBLE, 1, false)     \
    X(ADD_INT, 2, true)            \
    X(SUBTRACT_INT, 2, true)       \
    X(MULTIPLY_INT, 2, true)       \
    X(DIVIDE_INT, 2, true)         \
    X(REMAINDER_INT, 2, true)      \
    X(ADD_DOUBLE, 2, false)        \
    X(SUBTRACT_DOUBLE, 2, false)   \
    X(MULTIPLY_DOUBLE, 2, false)   \
    X(DIVIDE_DOUBLE, 2, false)     \
    X(ADD_TEXT, 2, true)           \
    X(ADD_LIST, 2, true)           \
    X(ADD_DURATION, 2, true)       \
    X(SUBTRACT_DURATION, 2, true)  \
    X(ADD_TO_TIME, 2, true)        \
    X(ADD_TIME_TO, 2, true)        \
    X(TAKE_FROM_TIME, 2, true)     \
    X(BETWEEN_TIMES, 2, false)     \
    X(COMPARE_BOOL, 2, false)      \
    X(COMPARE_INT, 2, false)       \
    X(COMPARE_DOUBLE, 2, true)     \
    X(COMPARE_INT_DOUBLE, 2, true) \
    X(COMPARE_DOUBLE_INT, 2, true) \
    X(COMPARE_TEXT, 2, false)      \
    X(EQUAL, 2, false)             \
    X(UNEQUAL, 2, false)           \
    X(IN_LIST, 2, false)           \
    X(IN_MAP, 2, false)            \
    X(ITEM, 2, true)               \
    X(ENTRY, 2, true)              \
    X(SIZE_TEXT, 1, false)         \
    X(SIZE_LIST, 1, false)         \
    X(SIZE_MAP, 1, false)          \
    X(STARTS_WITH, 2, false)       \
    X(ENDS_WITH, 2, false)         \
    X(CONTAINS, 2, false)          \
    X(TIME_PART, 1, false)         \
    X(TIME_PART_IN, 2, true)       \
    X(DURATION_PART, 1, false)     \
    X(SAME, 1, false)              \
    X(DOUBLE_TO_INT, 1, true)      \
    X(TEXT_TO_INT, 1, true)        \
    X(TIME_TO_INT, 1, false)       \
    X(INT_TO_DOUBLE, 1, false)     \
    X(TEXT_TO_DOUBLE, 1, true)     \
    X(BOOL_TO_TEXT, 1, false)      \
    X(INT_TO_TEXT, 1, true)        \
    X(DOUBLE_TO_TEXT, 1, true)     \
    X(TIME_TO_TEXT, 1, true)       \
    X(DURATION_TO_TEXT, 1, true)   \
    X(INT_TO_TIME, 1, true)        \
    X(TEXT_TO_TIME, 1, true)       \
    X(TEXT_TO_DURATION, 1, true)

typedef enum rfm__op {
#define X(NAME, operands, fallible) RFM__OP_##NAME,
    RFM__OPS(X)
#undef X
        RFM__OP_COUNT,
    RFM__CONST = RFM__OP_COUNT, /* pushes constant `arg` */
    RFM__FIELD,                 /* pushes field `arg` */
    RFM__HAS_FIELD,             /* pushes whether it is there */
    RFM__OR_HAS_FIELD,          /* or that one, which adds to the top */
    RFM__KEY,                   /* the top's entry under the text of constant `arg` */
    RFM__HAS_KEY,
    RFM__MAKE_LIST,     /* of the `arg` values on the top */
    RFM__JUMP,          /* to `arg` */
    RFM__BRANCH,        /* pops; to `arg` if it was false */
    RFM__SKIP_IF_FALSE, /* to `arg` if the top is false, else pops */
    RFM__SKIP_IF_TRUE,
    RFM__JOIN_AND, /* the right side is on the top: if it is no answer, the fault pending under `slot` is raised */
    RFM__JOIN_OR,
    RFM__LOCAL,      /* the item of the loop whose list lies at height `arg` */
    RFM__LOOP_START, /* above a list: pushes the index */
    RFM__LOOP_NEXT,  /* to `arg` if all items are done */
    RFM__LOOP_STEP,  /* the next item: to `arg` */
    RFM__LOOP_END,   /* no item decided: raises what is pending under `slot`, else leaves `arg` for list and index */
    RFM__LOOP_FOUND, /* an item decided: leaves the top for list and index */
    RFM__RETURN
} rfm__op;

/* What the three ways to compare answer: bits for less, equal, greater. */
enum { RFM__LESS = 1, RFM__SAME = 2, RFM__GREATER = 4 };
enum { RFM__STACK_MAX = 320, RFM__SLOTS_MAX = 64 };

typedef enum rfm__part {
    RFM__YEAR,
    RFM__MONTH, /* from 0, as in CEL */
    RFM__DAY_OF_YEAR,
    RFM__DAY_OF_MONTH,
    RFM__DATE,        /* the day of the month from 1 */
    RFM__DAY_OF_WEEK, /* Sunday is 0 */
    RFM__HOURS,
    RFM__MINUTES,
    RFM__SECONDS,
    RFM__MILLISECONDS
} rfm__part;

typedef struct rfm__instruction {
    uint8_t op, slot;
    uint16_t arg;
} rfm__instruction;
typedef struct rfm__place {
    uint16_t from, until;
} rfm__place;
/* A failure in [from, until) goes on at `to` with `height` values on the stack; inner ones stand before outer ones. */
typedef struct rfm__handler {
    uint16_t from, until, to, height;
    uint8_t slot;
} rfm__handler;
typedef struct rfm__types {
    const rfm_expr_type *left, *right;
} rfm__types;

/* Operations on two values that answer yes or no, or UNSURE, which is a fault. */
#define RFM__QUESTIONS(X) \
    X(COMPARE_BOOL)       \
    X(COMPARE_INT)        \
    X(COMPARE_DOUBLE)     \
    X(COMPARE_INT_DOUBLE) \
    X(COMPARE_DOUBLE_INT) \
    X(COMPARE_TEXT)       \
    X(STARTS_WITH)        \
    X(ENDS_WITH)          \
    X(CONTAINS)
typedef enum rfm__outcome { RFM__NO, RFM__YES, RFM__UNSURE, RFM__OUTCOMES } rfm__outcome;

/* Beside its program, a condition has a shortcut: a graph of tests, each a question about one field and a constant. Of
 * && || ! and ?: nothing remains but where a test goes on by its outcome. Whatever is not so simple (a field that is
 * absent, a fault, other operands) is not decided by the tests, but by the program. */
enum { RFM__TEST_FALSE = RFM_EXPR_NODES_MAX, RFM__TEST_TRUE, RFM__TEST_UNDECIDED };
typedef struct rfm__test {
    uint8_t
        op; /* a question; FIELD: a bool; HAS_FIELD; BETWEEN_TIMES: COMPARE_INT of what is between field and other */
    uint8_t arg; /* the question's */
    uint16_t field, other;
    uint16_t next[RFM__OUTCOMES]; /* the number of the test to go on with, or how it ends */
    rfm_expr_value with;
} rfm__test;

struct rfm_expr {
    const rfm__instruction *code;
    const rfm_expr_value *constants;
    const rfm__handler *handlers;
    const rfm__types *types;  /* of the operands of EQUAL, UNEQUAL, IN_LIST */
    const rfm__place *places; /* of each instruction in the source */
    const uint16_t *reads;
    const rfm_expr_type *type;
    uint16_t handler_count, read_count;
    uint16_t test_count; /* 0: there is no shortcut */
    rfm__test tests[];
};

/* Runs from instruction `pc` on. */
rfm_expr_result rfm__run(const rfm_expr *expr, rfm_expr_frame *frame, size_t pc);

/* What operations share. */
bool rfm__equal(const rfm_expr_type *a_type, const rfm_expr_value *a, const rfm_expr_type *b_type,
                const rfm_expr_value *b);
/* Exactly, as if both were real numbers; not NaN. */
unsigned rfm__order_int_double(int64_t integer, double number);
int64_t rfm__part_of(int64_t local_ms, rfm__part part);
/* false: no such zone */
bool rfm__zone_offset(rfm_expr_frame *frame, rfm_bytes zone, int64_t time_ms, int32_t *offset_s);
/* Room within the frame for what an evaluation makes; NULL: none left. */
void *rfm__make(rfm_expr_frame *frame, size_t size);

#endif
