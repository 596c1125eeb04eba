#include "ast.h"

int rfm_expr_compile(const rfm_expr_env *env, rfm_bytes text, const rfm_expr_type *wanted, rfm_arena *arena,
                     const rfm_expr **expr, rfm_expr_error *error)
{
    rfm_arena tree;
    rfm_arena_init(&tree);
    RFM_ASSERT(env->field_count <= RFM_EXPR_FIELDS_MAX);
    rfm__source source = {.text = text.len ? text : rfm_text(""), .arena = &tree, .error = error};
    rfm__node *root = rfm__parse(&source);
    const rfm_expr *made = root && rfm__check(&source, env, wanted, root) ? rfm__emit(&source, env, root, arena) : NULL;
    if (made)
        *expr = made;
    rfm_arena_release(&tree);
    return made ? RFM_OK : RFM_E_MALFORMED;
}

const rfm_expr_type *rfm_expr_type_of(const rfm_expr *expr)
{
    return expr->type;
}

const uint16_t *rfm_expr_reads(const rfm_expr *expr, size_t *count)
{
    *count = expr->read_count;
    return expr->reads;
}

const char *rfm_expr_fault_text(rfm_expr_fault fault)
{
    static const char *const texts[] = {
#define X(NAME, text) text,
        RFM_EXPR_FAULTS(X)
#undef X
    };
    RFM_ASSERT(fault < RFM_EXPR_FAULT_COUNT);
    return texts[fault];
}
