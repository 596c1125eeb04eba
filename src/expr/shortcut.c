#include "ast.h"

/* 2^53: whole numbers up to it are doubles exactly */
#define WHOLE_MAX (INT64_C(1) << 53)

/* Where a node goes on by its answer: numbers of tests, or ends. */
typedef struct exits {
    uint16_t no, yes;
} exits;

/* Tests are made from the last to the first, since each must know those after it. */
typedef struct tracing {
    rfm__test tests[RFM_EXPR_NODES_MAX];
    size_t first;
} tracing;

static bool is_known(const rfm__node *node)
{
    return node->constant && !node->fallible;
}

static uint16_t put(tracing *tracer, rfm__test test, exits ways)
{
    if (tracer->first == 0)
        return RFM__TEST_UNDECIDED;
    test.next[RFM__NO] = ways.no;
    test.next[RFM__YES] = ways.yes;
    test.next[RFM__UNSURE] = test.op == RFM__HAS_FIELD ? ways.no : RFM__TEST_UNDECIDED;
    tracer->tests[--tracer->first] = test;
    return (uint16_t)tracer->first;
}

static bool is_question(unsigned op)
{
#define X(NAME) || op == RFM__OP_##NAME
    return false RFM__QUESTIONS(X);
#undef X
}

/* Comparing a double with a whole number that is one exactly is comparing doubles. */
static rfm__test simplified(rfm__test test)
{
    int64_t whole = test.with.integer;
    if (test.op == RFM__OP_COMPARE_DOUBLE_INT && whole >= -WHOLE_MAX && whole <= WHOLE_MAX) {
        test.op = RFM__OP_COMPARE_DOUBLE;
        test.with.number = (double)whole;
    }
    return test;
}

static uint16_t trace_operation(tracing *tracer, const rfm__node *node, exits ways)
{
    const rfm__node *left = node->first, *right = node->last;
    if (!is_question(node->op) || !is_known(right))
        return RFM__TEST_UNDECIDED;
    rfm__test test = {.op = (uint8_t)node->op, .arg = (uint8_t)node->arg, .with = right->value};
    if (left->kind == RFM__NODE_OPERATOR && left->op == RFM__OP_BETWEEN_TIMES) {
        test.op = RFM__OP_BETWEEN_TIMES;
        right = left->last, left = left->first;
        if (right->kind != RFM__NODE_FIELD)
            return RFM__TEST_UNDECIDED;
        test.other = right->field;
    }
    test.field = left->field;
    return left->kind == RFM__NODE_FIELD ? put(tracer, simplified(test), ways) : RFM__TEST_UNDECIDED;
}

/* One comparison for each item. */
static uint16_t trace_in(tracing *tracer, const rfm__node *node, exits ways)
{
    static const uint8_t ops[] = {[RFM_EXPR_INT] = RFM__OP_COMPARE_INT,
                                  [RFM_EXPR_DOUBLE] = RFM__OP_COMPARE_DOUBLE,
                                  [RFM_EXPR_STRING] = RFM__OP_COMPARE_TEXT};
    const rfm__node *left = node->first, *list = node->last;
    rfm_expr_kind kind = node->left->kind;
    bool simple = left->kind == RFM__NODE_FIELD && is_known(list) && list->value.list.count > 0 &&
                  kind == node->right->kind && kind < sizeof ops && ops[kind] != 0;
    if (!simple)
        return RFM__TEST_UNDECIDED;
    for (size_t i = list->value.list.count; i-- > 0;) {
        rfm__test test = {.op = ops[kind], .arg = RFM__SAME, .field = left->field, .with = list->value.list.at[i]};
        ways.no = put(tracer, test, ways);
    }
    return ways.no;
}

static uint16_t trace(tracing *tracer, const rfm__node *node, exits ways)
{
    uint16_t otherwise;
    if (node->type->kind == RFM_EXPR_BOOL && is_known(node))
        return node->value.truth ? ways.yes : ways.no;
    switch (node->kind) {
    case RFM__NODE_AND: ways.yes = trace(tracer, node->last, ways); return trace(tracer, node->first, ways);
    case RFM__NODE_OR: ways.no = trace(tracer, node->last, ways); return trace(tracer, node->first, ways);
    case RFM__NODE_IF:
        otherwise = trace(tracer, node->last, ways);
        ways.yes = trace(tracer, node->first->next, ways);
        ways.no = otherwise;
        return trace(tracer, node->first, ways);
    case RFM__NODE_FIELD: return put(tracer, (rfm__test){.op = RFM__FIELD, .field = node->field}, ways);
    case RFM__NODE_HAS_FIELDS:
        if (node->first->kind != RFM__NODE_FIELD) /* a group */
            return RFM__TEST_UNDECIDED;
        return put(tracer, (rfm__test){.op = RFM__HAS_FIELD, .field = node->first->field}, ways);
    case RFM__NODE_OPERATOR:
    case RFM__NODE_CALL: break;
    default: return RFM__TEST_UNDECIDED;
    }
    if (node->op == RFM__OP_NOT)
        return trace(tracer, node->first, (exits){.no = ways.yes, .yes = ways.no});
    return node->op == RFM__OP_IN_LIST ? trace_in(tracer, node, ways) : trace_operation(tracer, node, ways);
}

size_t rfm__shortcut(rfm__source *source, const rfm__node *root, rfm__test **tests)
{
    if (root->type->kind != RFM_EXPR_BOOL)
        return 0;
    tracing *tracer = rfm_arena_take(source->arena, sizeof *tracer);
    tracer->first = RFM_EXPR_NODES_MAX;
    uint16_t start = trace(tracer, root, (exits){RFM__TEST_FALSE, RFM__TEST_TRUE});
    if (start >= RFM__TEST_FALSE)
        return 0;
    for (size_t i = start; i < RFM_EXPR_NODES_MAX; i++) {
        for (unsigned outcome = 0; outcome < RFM__OUTCOMES; outcome++) {
            if (tracer->tests[i].next[outcome] < RFM__TEST_FALSE)
                tracer->tests[i].next[outcome] -= start;
        }
    }
    *tests = tracer->tests + start;
    return RFM_EXPR_NODES_MAX - start;
}
