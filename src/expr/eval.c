#include "operate.h"

typedef struct failure {
    uint8_t fault;
    uint16_t at; /* the instruction that failed */
} failure;

/* What an evaluation has seen fail and not used yet. A slot's faults are those of its place; inner places have higher
 * numbers, so that to settle one settles all within it. */
typedef struct seen {
    uint64_t pending; /* bit: slot */
    failure saved[RFM__SLOTS_MAX];
} seen;

static void settle(seen *faults, unsigned slot)
{
    faults->pending &= (UINT64_C(1) << slot) - 1;
}

static bool is_pending(const seen *faults, unsigned slot)
{
    return faults->pending >> slot & 1;
}

/* The handler that takes a failure, which it keeps; NULL: none does. */
static __attribute__((noinline)) const rfm__handler *absorb(const rfm_expr *expr, seen *faults, failure failed,
                                                            size_t pc)
{
    for (size_t i = 0; i < expr->handler_count; i++) {
        const rfm__handler *handler = &expr->handlers[i];
        if (pc < handler->from || pc >= handler->until)
            continue;
        settle(faults, handler->slot);
        faults->pending |= UINT64_C(1) << handler->slot;
        faults->saved[handler->slot] = failed;
        return handler;
    }
    return NULL;
}

/* The first of the failures that were waiting for one that would make up for them. */
static rfm_expr_result result_of(const rfm_expr *expr, const seen *faults, failure last)
{
    failure first = faults->pending ? faults->saved[__builtin_ctzll(faults->pending)] : last;
    return (rfm_expr_result){.fault = (rfm_expr_fault)first.fault,
                             .from = expr->places[first.at].from,
                             .until = expr->places[first.at].until};
}

enum { UNKNOWN, PRESENT, ABSENT };

static __attribute__((noinline)) bool fetch(rfm_expr_frame *frame, size_t field)
{
    if (frame->state[field] == UNKNOWN) {
        bool present = frame->host.fetch && frame->host.fetch(frame->context, field, &frame->value[field]);
        frame->state[field] = present ? PRESENT : ABSENT;
    }
    return frame->state[field] == PRESENT;
}

static inline bool has(rfm_expr_frame *frame, size_t field)
{
    return frame->state[field] == PRESENT || fetch(frame, field);
}

static rfm_expr_fault make_list(rfm_expr_frame *frame, rfm_expr_value *items, size_t count)
{
    rfm_expr_value *at = rfm__make(frame, count * sizeof *at);
    if (!at)
        return RFM_EXPR_TOO_LARGE;
    if (count)
        memcpy(at, items, count * sizeof *at);
    items->list.at = at;
    items->list.count = count;
    return RFM_EXPR_OK;
}

static rfm_expr_fault take_key(rfm_expr_frame *frame, rfm_expr_value *top, rfm_bytes key)
{
    rfm_expr_value found;
    if (!top->object.class_->find(frame->context, top->object.at, key, &found))
        return RFM_EXPR_NO_KEY;
    *top = found;
    return RFM_EXPR_OK;
}

static bool has_key(rfm_expr_frame *frame, const rfm_expr_value *top, rfm_bytes key)
{
    rfm_expr_value found;
    return top->object.class_->find(frame->context, top->object.at, key, &found);
}

/* Joins the sides of && or ||: the right one's value is on the top, and decides if it is `decisive`. */
static inline rfm_expr_fault join(seen *faults, unsigned slot, bool top, bool decisive, uint16_t *at)
{
    if (!is_pending(faults, slot))
        return RFM_EXPR_OK;
    settle(faults, slot);
    if (top == decisive)
        return RFM_EXPR_OK;
    *at = faults->saved[slot].at;
    return (rfm_expr_fault)faults->saved[slot].fault;
}

/* Above its list a loop keeps the index. */
static inline rfm_expr_value item_of(const rfm_expr_value *list)
{
    return list[0].list.at[list[1].integer];
}

/* The loop whose index is on the top goes on with its next item, or at `end`. */
static inline rfm_expr_fault next_item(const rfm_expr_value *sp, unsigned *rounds, const rfm__instruction *end,
                                       const rfm__instruction **pc)
{
    if (++*rounds > RFM_EXPR_ROUNDS_MAX)
        return RFM_EXPR_TOO_LONG;
    if (sp[-1].integer >= (int64_t)sp[-2].list.count)
        *pc = end;
    return RFM_EXPR_OK;
}

rfm_expr_result rfm__run(const rfm_expr *expr, rfm_expr_frame *frame, size_t start)
{
    rfm_expr_value stack[RFM__STACK_MAX], *sp = stack;
    const rfm__instruction *const code = expr->code, *pc = code + start;
    rfm__call call = {.expr = expr, .frame = frame};
    seen faults;
    unsigned rounds = 0;
    faults.pending = 0;
    for (;;) {
        const uint16_t here = (uint16_t)(pc - code);
        const unsigned arg = pc->arg, slot = pc->slot;
        uint16_t at = here;
        rfm_expr_fault fault = RFM_EXPR_OK;
        switch (pc++->op) {
#define X(NAME, operands, fallible) \
    case RFM__OP_##NAME: sp -= (operands)-1, call.arg = arg, fault = rfm__operate_##NAME(&call, sp - 1); break;
            RFM__OPS(X)
#undef X
        case RFM__CONST: *sp++ = expr->constants[arg]; break;
        case RFM__FIELD:
            fault = has(frame, arg) ? RFM_EXPR_OK : RFM_EXPR_ABSENT;
            *sp++ = frame->value[arg];
            break;
        case RFM__HAS_FIELD: (sp++)->truth = has(frame, arg); break;
        case RFM__OR_HAS_FIELD: sp[-1].truth = sp[-1].truth || has(frame, arg); break;
        case RFM__KEY: fault = take_key(frame, sp - 1, expr->constants[arg].text); break;
        case RFM__HAS_KEY: sp[-1].truth = has_key(frame, sp - 1, expr->constants[arg].text); break;
        case RFM__MAKE_LIST: sp -= arg, fault = make_list(frame, sp++, arg); break;
        case RFM__JUMP: pc = code + arg; break;
        case RFM__BRANCH: pc = (--sp)->truth ? pc : code + arg; break;
        case RFM__SKIP_IF_FALSE: sp[-1].truth ? (void)sp-- : (void)(pc = code + arg); break;
        case RFM__SKIP_IF_TRUE: sp[-1].truth ? (void)(pc = code + arg) : (void)sp--; break;
        case RFM__JOIN_AND: fault = join(&faults, slot, sp[-1].truth, false, &at); break;
        case RFM__JOIN_OR: fault = join(&faults, slot, sp[-1].truth, true, &at); break;
        case RFM__LOCAL: *sp++ = item_of(stack + arg); break;
        case RFM__LOOP_START: (sp++)->integer = 0; break;
        case RFM__LOOP_NEXT: fault = next_item(sp, &rounds, code + arg, &pc); break;
        case RFM__LOOP_STEP: sp[-1].integer++, pc = code + arg; break;
        case RFM__LOOP_END: (--sp)[-1].truth = arg, fault = join(&faults, slot, !arg, arg, &at); break;
        case RFM__LOOP_FOUND: settle(&faults, slot), sp[-3] = sp[-1], sp -= 2; break;
        default: return (rfm_expr_result){.fault = RFM_EXPR_OK, .value = sp[-1]}; /* RFM__RETURN */
        }
        if (__builtin_expect(fault != RFM_EXPR_OK, 0)) {
            const failure last = {(uint8_t)fault, at};
            const rfm__handler *handler = absorb(expr, &faults, last, here);
            if (!handler)
                return result_of(expr, &faults, last);
            pc = code + handler->to, sp = stack + handler->height;
        }
    }
}

static rfm__outcome ask_between(const rfm__test *test, rfm_expr_frame *frame)
{
    if (!has(frame, test->other))
        return RFM__UNSURE;
    int64_t between_ms = frame->value[test->field].time_ms - frame->value[test->other].time_ms;
    return rfm__ask_COMPARE_INT(test->arg, &(rfm_expr_value){.duration_ms = between_ms}, &test->with);
}

static inline rfm__outcome take_test(const rfm__test *test, rfm_expr_frame *frame)
{
    const rfm_expr_value *value = &frame->value[test->field];
    if (!has(frame, test->field))
        return RFM__UNSURE;
    switch (test->op) {
#define X(NAME) \
    case RFM__OP_##NAME: return rfm__ask_##NAME(test->arg, value, &test->with);
        RFM__QUESTIONS(X)
#undef X
    case RFM__OP_BETWEEN_TIMES: return ask_between(test, frame);
    case RFM__FIELD: return rfm__outcome_of(value->truth);
    default: return RFM__YES; /* RFM__HAS_FIELD */
    }
}

/* How the tests end. */
static inline unsigned take_shortcut(const rfm__test *tests, rfm_expr_frame *frame)
{
    unsigned at = 0;
    do
        at = tests[at].next[take_test(&tests[at], frame)];
    while (at < RFM__TEST_FALSE);
    return at;
}

rfm_expr_result rfm_expr_eval(const rfm_expr *expr, rfm_expr_frame *frame)
{
    unsigned end = expr->test_count ? take_shortcut(expr->tests, frame) : RFM__TEST_UNDECIDED;
    if (end != RFM__TEST_UNDECIDED)
        return (rfm_expr_result){.fault = RFM_EXPR_OK, .value.truth = end == RFM__TEST_TRUE};
    frame->made_len = 0;
    return rfm__run(expr, frame, 0);
}

void rfm_expr_sift(const rfm_expr *const *conditions, size_t words, uint64_t *set, rfm_expr_frame *frame)
{
    for (size_t word = 0; word < words; word++, conditions += 64) {
        for (uint64_t left = set[word]; left != 0; left &= left - 1) {
            const rfm_expr *condition = conditions[__builtin_ctzll(left)];
            if (condition && condition->test_count && take_shortcut(condition->tests, frame) == RFM__TEST_FALSE)
                set[word] &= ~(left & -left);
        }
    }
}

void rfm_expr_frame_init(rfm_expr_frame *frame, const rfm_expr_host *host, void *context)
{
    frame->host = *host;
    frame->context = context;
    rfm_expr_frame_reset(frame);
}

void rfm_expr_frame_reset(rfm_expr_frame *frame)
{
    memset(frame->state, UNKNOWN, sizeof frame->state);
}
