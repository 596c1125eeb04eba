/* The table of functions and of operators on settled types. */
#ifndef RFM_EXPR_FUNCTIONS_H
#define RFM_EXPR_FUNCTIONS_H

#include "ops.h"

enum { RFM__OPERANDS_MAX = 2 };

typedef struct rfm__overload {
    const char *name;
    uint8_t operands;
    rfm_expr_kind kinds[RFM__OPERANDS_MAX];
    const rfm_expr_type *result;
    rfm__op op;
    uint16_t arg;
} rfm__overload;

/* NULL: there is none for these types. */
const rfm__overload *rfm__find_operator(rfm_bytes name, const rfm_expr_type *const *types, size_t count);
const rfm__overload *rfm__find_function(rfm_bytes name, bool method, const rfm_expr_type *const *types, size_t count);
/* How a call is written, for messages; NULL: no such function or method. */
const char *rfm__call_of(rfm_bytes name, bool method);
const char *rfm__nearest_function(const char *name);
/* A function of CEL that is not there on purpose. */
bool rfm__is_left_out(rfm_bytes name);

/* The mask of a comparison; 0: the operator is none. */
unsigned rfm__mask_of(rfm_bytes name);
static inline bool rfm__mask_orders(unsigned mask)
{
    return mask != RFM__SAME && mask != (RFM__LESS | RFM__GREATER);
}
bool rfm__op_fallible(rfm__op op);
/* "UTC" or an offset: needs no file. */
bool rfm__is_fixed_zone(rfm_bytes name);

#endif
