#include "types.h"

#include <stdio.h>

static const rfm_expr_type any = {.kind = RFM_EXPR_ANY};
const rfm_expr_type rfm_expr_bool = {.kind = RFM_EXPR_BOOL};
const rfm_expr_type rfm_expr_int = {.kind = RFM_EXPR_INT};
const rfm_expr_type rfm_expr_double = {.kind = RFM_EXPR_DOUBLE};
const rfm_expr_type rfm_expr_string = {.kind = RFM_EXPR_STRING};
const rfm_expr_type rfm_expr_timestamp = {.kind = RFM_EXPR_TIMESTAMP};
const rfm_expr_type rfm_expr_duration = {.kind = RFM_EXPR_DURATION};
const rfm_expr_type rfm_expr_strings = {.kind = RFM_EXPR_LIST, .item = &rfm_expr_string};

const rfm_expr_type *rfm__list_of(rfm_arena *arena, const rfm_expr_type *item)
{
    rfm_expr_type *type = rfm_arena_take(arena, sizeof *type);
    *type = (rfm_expr_type){.kind = RFM_EXPR_LIST, .item = item ? item : &any};
    return type;
}

const rfm_expr_type *rfm__unify(rfm_arena *arena, const rfm_expr_type *a, const rfm_expr_type *b)
{
    if (a == b || b->kind == RFM_EXPR_ANY)
        return a;
    if (a->kind == RFM_EXPR_ANY)
        return b;
    if (a->kind != b->kind || a->kind == RFM_EXPR_STRUCT)
        return NULL;
    if (a->kind != RFM_EXPR_LIST && a->kind != RFM_EXPR_MAP)
        return a;
    const rfm_expr_type *item = rfm__unify(arena, a->item, b->item);
    if (a->kind == RFM_EXPR_MAP)
        return item ? a : NULL;
    return item ? rfm__list_of(arena, item) : NULL;
}

bool rfm__has_equality(const rfm_expr_type *type)
{
    while (type->kind == RFM_EXPR_LIST)
        type = type->item;
    return type->kind != RFM_EXPR_MAP && type->kind != RFM_EXPR_STRUCT;
}

const rfm_expr_type *rfm__keep_type(rfm_arena *arena, const rfm_expr_type *type)
{
    if (type == &rfm_expr_strings || type->kind == RFM_EXPR_ANY)
        return type->kind == RFM_EXPR_ANY ? &any : type;
    return type->kind == RFM_EXPR_LIST ? rfm__list_of(arena, rfm__keep_type(arena, type->item)) : type;
}

rfm__type_name rfm__name_type(const rfm_expr_type *type)
{
    static const char *const names[] = {[RFM_EXPR_ANY] = "anything",
                                        [RFM_EXPR_NULL] = "null",
                                        [RFM_EXPR_BOOL] = "bool",
                                        [RFM_EXPR_INT] = "int",
                                        [RFM_EXPR_DOUBLE] = "double",
                                        [RFM_EXPR_STRING] = "string",
                                        [RFM_EXPR_TIMESTAMP] = "timestamp",
                                        [RFM_EXPR_DURATION] = "duration",
                                        [RFM_EXPR_LIST] = "list",
                                        [RFM_EXPR_MAP] = "map(string, ",
                                        [RFM_EXPR_STRUCT] = "a group of values"};
    rfm__type_name name;
    if (type->kind == RFM_EXPR_LIST && type->item->kind == RFM_EXPR_ANY)
        snprintf(name.text, sizeof name.text, "an empty list");
    else if (type->kind == RFM_EXPR_LIST)
        snprintf(name.text, sizeof name.text, "list(%.50s)", rfm__name_type(type->item).text);
    else if (type->kind == RFM_EXPR_MAP)
        snprintf(name.text, sizeof name.text, "map(string, %.40s)", rfm__name_type(type->item).text);
    else
        snprintf(name.text, sizeof name.text, "%s", names[type->kind]);
    return name;
}
