/* What the checker asks of types. Types are equal by their form. */
#ifndef RFM_EXPR_TYPES_H
#define RFM_EXPR_TYPES_H

#include <rfm/expr/expr.h>

/* list(item); made in the arena where there is no ready one. */
const rfm_expr_type *rfm__list_of(rfm_arena *arena, const rfm_expr_type *item);
/* The type that both are, taking [] as any list; NULL: there is none. */
const rfm_expr_type *rfm__unify(rfm_arena *arena, const rfm_expr_type *a, const rfm_expr_type *b);
static inline bool rfm__is_number(const rfm_expr_type *type)
{
    return type->kind == RFM_EXPR_INT || type->kind == RFM_EXPR_DOUBLE;
}
/* Whether == is defined: not for maps, structs and lists of them. */
bool rfm__has_equality(const rfm_expr_type *type);
/* The same type, the lists in it in another arena. */
const rfm_expr_type *rfm__keep_type(rfm_arena *arena, const rfm_expr_type *type);

typedef struct rfm__type_name {
    char text[64];
} rfm__type_name;
rfm__type_name rfm__name_type(const rfm_expr_type *type); /* as the documentation writes it */

#endif
