#include "ast.h"
#include "types.h"

#include <stdlib.h>

enum { CODE_MAX = 6 * RFM_EXPR_NODES_MAX, CONSTANTS_MAX = RFM_EXPR_NODES_MAX, HANDLERS_MAX = RFM_EXPR_NODES_MAX };

typedef struct emission {
    rfm__source *source;
    const rfm_expr_env *env;
    rfm_arena *arena; /* the program's */
    rfm__instruction code[CODE_MAX];
    rfm__place places[CODE_MAX];
    rfm_expr_value constants[CONSTANTS_MAX];
    rfm__handler handlers[HANDLERS_MAX];
    rfm__types types[RFM_EXPR_NODES_MAX];
    bool reads[RFM_EXPR_FIELDS_MAX];
    size_t code_count, constant_count, handler_count, type_count;
    size_t height; /* values on the stack at this point */
    bool full;
    rfm_expr_frame frame; /* for what is computed at load */
} emission;

static void emit(emission *emitter, rfm__node *node, unsigned slot);

/* Returns the instruction's number. */
static size_t put(emission *emitter, const rfm__node *node, unsigned op, unsigned slot, size_t arg)
{
    if (emitter->code_count == CODE_MAX) {
        emitter->full = true;
        return 0;
    }
    emitter->code[emitter->code_count] = (rfm__instruction){(uint8_t)op, (uint8_t)slot, (uint16_t)arg};
    emitter->places[emitter->code_count] = (rfm__place){node->at, node->end};
    return emitter->code_count++;
}

/* The same for what leaves one value more on the stack. */
static void push(emission *emitter, const rfm__node *node, unsigned op, size_t arg)
{
    put(emitter, node, op, 0, arg);
    emitter->full |= ++emitter->height >= RFM__STACK_MAX;
}

/* The jump at `from` goes to what comes next. */
static void land(emission *emitter, size_t from)
{
    emitter->code[from].arg = (uint16_t)emitter->code_count;
}

static void handle(emission *emitter, size_t from, size_t until, unsigned slot)
{
    emitter->full |= slot >= RFM__SLOTS_MAX;
    if (emitter->full)
        return;
    emitter->handlers[emitter->handler_count++] = (rfm__handler){.from = (uint16_t)from,
                                                                 .until = (uint16_t)until,
                                                                 .to = (uint16_t)emitter->code_count,
                                                                 .height = (uint16_t)emitter->height,
                                                                 .slot = (uint8_t)slot};
}

/* The value with all that it points to in the program's arena. */
static rfm_expr_value keep(rfm_arena *arena, const rfm_expr_type *type, rfm_expr_value value)
{
    if (type->kind == RFM_EXPR_STRING)
        value.text = rfm_arena_copy(arena, value.text);
    if (type->kind != RFM_EXPR_LIST)
        return value;
    rfm_expr_value *items = rfm_arena_take(arena, value.list.count * sizeof *items);
    for (size_t i = 0; i < value.list.count; i++)
        items[i] = keep(arena, type->item, value.list.at[i]);
    value.list.at = items;
    return value;
}

/* A constant's number; each node makes one at most. */
static size_t constant(emission *emitter, const rfm_expr_type *type, rfm_expr_value value)
{
    if (emitter->constant_count == CONSTANTS_MAX) {
        emitter->full = true;
        return 0;
    }
    emitter->constants[emitter->constant_count] = keep(emitter->arena, type, value);
    return emitter->constant_count++;
}

static size_t constant_of(emission *emitter, rfm__node *node, rfm_expr_value value)
{
    size_t number = constant(emitter, node->type, value);
    node->value = emitter->constants[number];
    return number;
}

static void emit_key(emission *emitter, const rfm__node *node, unsigned slot)
{
    emit(emitter, node->first, slot);
    size_t key = constant(emitter, &rfm_expr_string, (rfm_expr_value){.text = node->name});
    put(emitter, node, node->kind == RFM__NODE_KEY ? RFM__KEY : RFM__HAS_KEY, 0, key);
}

static void emit_field(emission *emitter, const rfm__node *node)
{
    emitter->reads[node->field] = true;
    push(emitter, node, RFM__FIELD, node->field);
}

/* The fields that the path names, one or a group. */
static void emit_has(emission *emitter, const rfm__node *node)
{
    bool first = true;
    for (size_t i = 0; i < emitter->env->field_count; i++) {
        const rfm_expr_field *field = &emitter->env->fields[i];
        size_t len = node->name.len;
        bool under = strncmp(field->path, (const char *)node->name.at, len) == 0 && strchr(".", field->path[len]);
        if (!under || (field->scope && !(field->scope & emitter->env->scope)))
            continue;
        emitter->reads[i] = true;
        put(emitter, node, first ? RFM__HAS_FIELD : RFM__OR_HAS_FIELD, 0, i);
        first = false;
    }
    emitter->full |= ++emitter->height >= RFM__STACK_MAX;
}

static void emit_children(emission *emitter, const rfm__node *node, unsigned slot)
{
    for (rfm__node *child = node->first; child; child = child->next)
        emit(emitter, child, slot);
}

static void emit_operation(emission *emitter, const rfm__node *node, unsigned slot)
{
    size_t arg = node->arg;
    emit_children(emitter, node, slot);
    emitter->height -= (size_t)node->count - 1;
    if (node->op == RFM__OP_EQUAL || node->op == RFM__OP_UNEQUAL || node->op == RFM__OP_IN_LIST) {
        arg = emitter->type_count++;
        emitter->types[arg] = (rfm__types){rfm__keep_type(emitter->arena, node->left),
                                           rfm__keep_type(emitter->arena, node->right)};
    }
    if (node->op != RFM__OP_SAME)
        put(emitter, node, node->op, 0, arg);
}

static void emit_list(emission *emitter, const rfm__node *node, unsigned slot)
{
    emit_children(emitter, node, slot);
    emitter->height -= node->count;
    push(emitter, node, RFM__MAKE_LIST, node->count);
}

/* left; skip if it decides; right; join. A failure of the left side goes on with the right one. */
static void emit_logic(emission *emitter, const rfm__node *node, unsigned slot)
{
    bool both = node->kind == RFM__NODE_AND;
    size_t from = emitter->code_count;
    emit(emitter, node->first, slot);
    size_t skip = put(emitter, node, both ? RFM__SKIP_IF_FALSE : RFM__SKIP_IF_TRUE, 0, 0);
    emitter->height--;
    const bool fallible = node->first->fallible;
    if (fallible)
        handle(emitter, from, skip, slot);
    emit(emitter, node->last, slot + 1);
    if (fallible)
        put(emitter, node, both ? RFM__JOIN_AND : RFM__JOIN_OR, slot, 0);
    land(emitter, skip);
}

static void emit_if(emission *emitter, const rfm__node *node, unsigned slot)
{
    emit(emitter, node->first, slot);
    size_t branch = put(emitter, node, RFM__BRANCH, 0, 0);
    emitter->height--;
    emit(emitter, node->first->next, slot);
    size_t jump = put(emitter, node, RFM__JUMP, 0, 0);
    emitter->height--;
    land(emitter, branch);
    emit(emitter, node->last, slot);
    land(emitter, jump);
}

/* list; start; next or end; body; found; step, again; end. A failure of the body goes on with the next item. */
static void emit_loop(emission *emitter, rfm__node *node, unsigned slot)
{
    node->height = (uint16_t)emitter->height;
    emit(emitter, node->first, slot);
    push(emitter, node, RFM__LOOP_START, 0);
    size_t next = put(emitter, node, RFM__LOOP_NEXT, 0, 0), from = emitter->code_count;
    emit(emitter, node->last, slot + 1);
    size_t decide = put(emitter, node, node->any ? RFM__SKIP_IF_TRUE : RFM__SKIP_IF_FALSE, 0, 0);
    emitter->height--;
    handle(emitter, from, decide, slot);
    put(emitter, node, RFM__LOOP_STEP, 0, next);
    land(emitter, next);
    put(emitter, node, RFM__LOOP_END, slot, !node->any);
    emitter->height--;
    size_t jump = put(emitter, node, RFM__JUMP, 0, 0);
    land(emitter, decide);
    put(emitter, node, RFM__LOOP_FOUND, slot, 0);
    land(emitter, jump);
}

static void complain_text(emission *emitter, const rfm__node *node)
{
    static const struct {
        uint16_t op;
        const char *needed;
    } forms[] = {{RFM__OP_TEXT_TO_DURATION, "duration() needs a text such as \"90d\", \"1h30m\" or \"-1.5s\""},
                 {RFM__OP_TEXT_TO_TIME, "timestamp() needs a text such as \"2026-01-31T08:00:00Z\""},
                 {RFM__OP_TEXT_TO_INT, "int() needs a text such as \"-12\""},
                 {RFM__OP_TEXT_TO_DOUBLE, "double() needs a text such as \"-1.5\""}};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (forms[i].op == node->op)
            rfm__complain(emitter->source, node->first->mark, "%s", forms[i].needed);
    }
}

/* What is always the same is computed now, its instructions replaced by the result; what always fails is left to fail
 * when it is reached, but for a text that is wrong as it is written. */
static void fold(emission *emitter, rfm__node *node, size_t from)
{
    size_t until = emitter->code_count;
    put(emitter, node, RFM__RETURN, 0, 0);
    if (emitter->full)
        return;
    const rfm_expr program = {.code = emitter->code,
                              .constants = emitter->constants,
                              .handlers = emitter->handlers,
                              .types = emitter->types,
                              .places = emitter->places,
                              .handler_count = (uint16_t)emitter->handler_count};
    emitter->frame.made_len = 0;
    rfm_expr_result result = rfm__run(&program, &emitter->frame, from);
    emitter->code_count = until;
    if (result.fault == RFM_EXPR_BAD_TEXT && node->first->kind == RFM__NODE_LITERAL)
        complain_text(emitter, node);
    if (result.fault)
        return;
    emitter->code_count = from;
    while (emitter->handler_count > 0 && emitter->handlers[emitter->handler_count - 1].from >= from)
        emitter->handler_count--;
    node->fallible = false;
    put(emitter, node, RFM__CONST, 0, constant_of(emitter, node, result.value));
}

static void emit_code(emission *emitter, rfm__node *node, unsigned slot)
{
    switch (node->kind) {
    case RFM__NODE_LITERAL: push(emitter, node, RFM__CONST, constant_of(emitter, node, node->value)); break;
    case RFM__NODE_FIELD: emit_field(emitter, node); break;
    case RFM__NODE_LOCAL: push(emitter, node, RFM__LOCAL, node->loop->height); break;
    case RFM__NODE_HAS_FIELDS: emit_has(emitter, node); break;
    case RFM__NODE_KEY:
    case RFM__NODE_HAS_KEY: emit_key(emitter, node, slot); break;
    case RFM__NODE_LIST: emit_list(emitter, node, slot); break;
    case RFM__NODE_AND:
    case RFM__NODE_OR: emit_logic(emitter, node, slot); break;
    case RFM__NODE_IF: emit_if(emitter, node, slot); break;
    case RFM__NODE_LOOP: emit_loop(emitter, node, slot); break;
    default: emit_operation(emitter, node, slot);
    }
}

static void emit(emission *emitter, rfm__node *node, unsigned slot)
{
    size_t from = emitter->code_count;
    if (emitter->full)
        return;
    emit_code(emitter, node, slot);
    if (node->constant && node->kind != RFM__NODE_LITERAL && !emitter->full)
        fold(emitter, node, from);
}

static const void *copied(rfm_arena *arena, const void *at, size_t size)
{
    return rfm_arena_copy(arena, rfm_bytes_of(at, size)).at;
}

static const rfm_expr *program_of(const emission *emitter, const rfm__node *root)
{
    rfm_arena *arena = emitter->arena;
    uint16_t reads[RFM_EXPR_FIELDS_MAX];
    size_t read_count = 0;
    for (size_t i = 0; i < emitter->env->field_count; i++) {
        if (emitter->reads[i])
            reads[read_count++] = (uint16_t)i;
    }
    rfm__test *tests = NULL;
    size_t test_count = rfm__shortcut(emitter->source, root, &tests);
    rfm_expr *expr = rfm_arena_take(arena, sizeof *expr + test_count * sizeof *tests);
    *expr = (rfm_expr){
        .code = copied(arena, emitter->code, emitter->code_count * sizeof *emitter->code),
        .constants = copied(arena, emitter->constants, emitter->constant_count * sizeof *emitter->constants),
        .handlers = copied(arena, emitter->handlers, emitter->handler_count * sizeof *emitter->handlers),
        .types = copied(arena, emitter->types, emitter->type_count * sizeof *emitter->types),
        .places = copied(arena, emitter->places, emitter->code_count * sizeof *emitter->places),
        .reads = copied(arena, reads, read_count * sizeof *reads),
        .type = rfm__keep_type(arena, root->type),
        .handler_count = (uint16_t)emitter->handler_count,
        .read_count = (uint16_t)read_count,
        .test_count = (uint16_t)test_count};
    for (size_t i = 0; i < test_count; i++)
        expr->tests[i] = tests[i];
    return expr;
}

const rfm_expr *rfm__emit(rfm__source *source, const rfm_expr_env *env, rfm__node *root, rfm_arena *arena)
{
    emission *emitter = rfm_arena_take(source->arena, sizeof *emitter);
    memset(emitter, 0, sizeof *emitter);
    emitter->source = source;
    emitter->env = env;
    emitter->arena = arena;
    emit(emitter, root, 0);
    put(emitter, root, RFM__RETURN, 0, 0);
    if (emitter->full)
        return rfm__complain(source, root->at, "the expression is too complex: make it two");
    return source->failed ? NULL : program_of(emitter, root);
}
