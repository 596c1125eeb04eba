/* An expression as a tree: made by the parser, typed in place by the checker, read by the compiler. */
#ifndef RFM_EXPR_AST_H
#define RFM_EXPR_AST_H

#include "ops.h"

typedef enum rfm__node_kind {
    RFM__NODE_LITERAL,  /* value, type */
    RFM__NODE_NAME,     /* name; checked: FIELD or LOCAL */
    RFM__NODE_SELECT,   /* name of the first child; checked: FIELD or KEY */
    RFM__NODE_CALL,     /* name; method: of the first child */
    RFM__NODE_OPERATOR, /* name, as it is written */
    RFM__NODE_AND,
    RFM__NODE_OR,
    RFM__NODE_IF,   /* condition, then, else */
    RFM__NODE_LIST, /* items */
    RFM__NODE_FIELD,
    RFM__NODE_LOCAL,      /* the variable of a loop */
    RFM__NODE_KEY,        /* the entry `name` of the first child */
    RFM__NODE_HAS_FIELDS, /* whether one of the fields under the path is there */
    RFM__NODE_HAS_KEY,
    RFM__NODE_LOOP, /* exists or all: list, body; name: the variable's */
} rfm__node_kind;

typedef struct rfm__node rfm__node;
struct rfm__node {
    rfm__node_kind kind;
    bool method, any;       /* any: of a loop, exists */
    bool constant;          /* its value is the same in every frame */
    bool fallible;          /* evaluating it can fail */
    uint16_t op, arg;       /* CALL, OPERATOR: rfm__op and its argument */
    uint16_t field;         /* FIELD */
    uint16_t at, end, mark; /* in the source; mark: what a message about it points at */
    uint16_t count;
    uint16_t height; /* LOOP: where its list lies on the stack */
    rfm_bytes name;
    rfm_expr_value value; /* LITERAL; emitted: of all that is constant and not fallible */
    const rfm_expr_type *type;
    const rfm__node *loop;             /* LOCAL */
    const rfm_expr_type *left, *right; /* EQUAL, UNEQUAL, IN_LIST: what is compared */
    rfm__node *first, *last, *next;
};

typedef struct rfm__source {
    rfm_bytes text;
    rfm_arena *arena; /* of the tree */
    rfm_expr_error *error;
    bool failed;
} rfm__source;

/* Notes the first mistake, at a byte of the source; returns NULL. */
void *rfm__complain(rfm__source *source, size_t at, const char *format, ...) __attribute__((format(printf, 3, 4)));
rfm__node *rfm__parse(rfm__source *source); /* NULL: complained */
/* false: complained. `wanted` NULL: any type. */
bool rfm__check(rfm__source *source, const rfm_expr_env *env, const rfm_expr_type *wanted, rfm__node *root);
/* The program in the arena; NULL: complained. */
const rfm_expr *rfm__emit(rfm__source *source, const rfm_expr_env *env, rfm__node *root, rfm_arena *arena);
/* The tests of what has been emitted, in the tree's arena; 0: it is no condition, or begins with no test. */
size_t rfm__shortcut(rfm__source *source, const rfm__node *root, rfm__test **tests);

#endif
