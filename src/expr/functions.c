#include "functions.h"

#include "text.h"

#include <rfm/base/nearest.h>

#define BOOL      RFM_EXPR_BOOL
#define INT       RFM_EXPR_INT
#define DOUBLE    RFM_EXPR_DOUBLE
#define STRING    RFM_EXPR_STRING
#define TIMESTAMP RFM_EXPR_TIMESTAMP
#define DURATION  RFM_EXPR_DURATION
#define LIST      RFM_EXPR_LIST
#define MAP       RFM_EXPR_MAP

static const rfm__overload operators[] = {
    {"!", 1, {BOOL}, &rfm_expr_bool, RFM__OP_NOT, 0},
    {"-", 1, {INT}, &rfm_expr_int, RFM__OP_NEGATE_INT, 0},
    {"-", 1, {DOUBLE}, &rfm_expr_double, RFM__OP_NEGATE_DOUBLE, 0},
    {"+", 2, {INT, INT}, &rfm_expr_int, RFM__OP_ADD_INT, 0},
    {"-", 2, {INT, INT}, &rfm_expr_int, RFM__OP_SUBTRACT_INT, 0},
    {"*", 2, {INT, INT}, &rfm_expr_int, RFM__OP_MULTIPLY_INT, 0},
    {"/", 2, {INT, INT}, &rfm_expr_int, RFM__OP_DIVIDE_INT, 0},
    {"%", 2, {INT, INT}, &rfm_expr_int, RFM__OP_REMAINDER_INT, 0},
    {"+", 2, {DOUBLE, DOUBLE}, &rfm_expr_double, RFM__OP_ADD_DOUBLE, 0},
    {"-", 2, {DOUBLE, DOUBLE}, &rfm_expr_double, RFM__OP_SUBTRACT_DOUBLE, 0},
    {"*", 2, {DOUBLE, DOUBLE}, &rfm_expr_double, RFM__OP_MULTIPLY_DOUBLE, 0},
    {"/", 2, {DOUBLE, DOUBLE}, &rfm_expr_double, RFM__OP_DIVIDE_DOUBLE, 0},
    {"+", 2, {STRING, STRING}, &rfm_expr_string, RFM__OP_ADD_TEXT, 0},
    {"+", 2, {DURATION, DURATION}, &rfm_expr_duration, RFM__OP_ADD_DURATION, 0},
    {"-", 2, {DURATION, DURATION}, &rfm_expr_duration, RFM__OP_SUBTRACT_DURATION, 0},
    {"+", 2, {TIMESTAMP, DURATION}, &rfm_expr_timestamp, RFM__OP_ADD_TO_TIME, 0},
    {"+", 2, {DURATION, TIMESTAMP}, &rfm_expr_timestamp, RFM__OP_ADD_TIME_TO, 0},
    {"-", 2, {TIMESTAMP, DURATION}, &rfm_expr_timestamp, RFM__OP_TAKE_FROM_TIME, 0},
    {"-", 2, {TIMESTAMP, TIMESTAMP}, &rfm_expr_duration, RFM__OP_BETWEEN_TIMES, 0},
};

static const rfm__overload functions[] = {
    {"size", 1, {STRING}, &rfm_expr_int, RFM__OP_SIZE_TEXT, 0},
    {"size", 1, {LIST}, &rfm_expr_int, RFM__OP_SIZE_LIST, 0},
    {"size", 1, {MAP}, &rfm_expr_int, RFM__OP_SIZE_MAP, 0},
    {"int", 1, {INT}, &rfm_expr_int, RFM__OP_SAME, 0},
    {"int", 1, {DOUBLE}, &rfm_expr_int, RFM__OP_DOUBLE_TO_INT, 0},
    {"int", 1, {STRING}, &rfm_expr_int, RFM__OP_TEXT_TO_INT, 0},
    {"int", 1, {TIMESTAMP}, &rfm_expr_int, RFM__OP_TIME_TO_INT, 0},
    {"double", 1, {DOUBLE}, &rfm_expr_double, RFM__OP_SAME, 0},
    {"double", 1, {INT}, &rfm_expr_double, RFM__OP_INT_TO_DOUBLE, 0},
    {"double", 1, {STRING}, &rfm_expr_double, RFM__OP_TEXT_TO_DOUBLE, 0},
    {"string", 1, {STRING}, &rfm_expr_string, RFM__OP_SAME, 0},
    {"string", 1, {BOOL}, &rfm_expr_string, RFM__OP_BOOL_TO_TEXT, 0},
    {"string", 1, {INT}, &rfm_expr_string, RFM__OP_INT_TO_TEXT, 0},
    {"string", 1, {DOUBLE}, &rfm_expr_string, RFM__OP_DOUBLE_TO_TEXT, 0},
    {"string", 1, {TIMESTAMP}, &rfm_expr_string, RFM__OP_TIME_TO_TEXT, 0},
    {"string", 1, {DURATION}, &rfm_expr_string, RFM__OP_DURATION_TO_TEXT, 0},
    {"timestamp", 1, {TIMESTAMP}, &rfm_expr_timestamp, RFM__OP_SAME, 0},
    {"timestamp", 1, {INT}, &rfm_expr_timestamp, RFM__OP_INT_TO_TIME, 0},
    {"timestamp", 1, {STRING}, &rfm_expr_timestamp, RFM__OP_TEXT_TO_TIME, 0},
    {"duration", 1, {DURATION}, &rfm_expr_duration, RFM__OP_SAME, 0},
    {"duration", 1, {STRING}, &rfm_expr_duration, RFM__OP_TEXT_TO_DURATION, 0},
};

#define TIME_PART(name, part)                                                   \
    {name, 1, {TIMESTAMP}, &rfm_expr_int, RFM__OP_TIME_PART, part},             \
    {                                                                           \
        name, 2, {TIMESTAMP, STRING}, &rfm_expr_int, RFM__OP_TIME_PART_IN, part \
    }

static const rfm__overload methods[] = {
    {"size", 1, {STRING}, &rfm_expr_int, RFM__OP_SIZE_TEXT, 0},
    {"size", 1, {LIST}, &rfm_expr_int, RFM__OP_SIZE_LIST, 0},
    {"size", 1, {MAP}, &rfm_expr_int, RFM__OP_SIZE_MAP, 0},
    {"startsWith", 2, {STRING, STRING}, &rfm_expr_bool, RFM__OP_STARTS_WITH, 0},
    {"endsWith", 2, {STRING, STRING}, &rfm_expr_bool, RFM__OP_ENDS_WITH, 0},
    {"contains", 2, {STRING, STRING}, &rfm_expr_bool, RFM__OP_CONTAINS, 0},
    TIME_PART("getFullYear", RFM__YEAR),
    TIME_PART("getMonth", RFM__MONTH),
    TIME_PART("getDayOfYear", RFM__DAY_OF_YEAR),
    TIME_PART("getDayOfMonth", RFM__DAY_OF_MONTH),
    TIME_PART("getDate", RFM__DATE),
    TIME_PART("getDayOfWeek", RFM__DAY_OF_WEEK),
    TIME_PART("getHours", RFM__HOURS),
    TIME_PART("getMinutes", RFM__MINUTES),
    TIME_PART("getSeconds", RFM__SECONDS),
    TIME_PART("getMilliseconds", RFM__MILLISECONDS),
    {"getHours", 1, {DURATION}, &rfm_expr_int, RFM__OP_DURATION_PART, RFM__HOURS},
    {"getMinutes", 1, {DURATION}, &rfm_expr_int, RFM__OP_DURATION_PART, RFM__MINUTES},
    {"getSeconds", 1, {DURATION}, &rfm_expr_int, RFM__OP_DURATION_PART, RFM__SECONDS},
    {"getMilliseconds", 1, {DURATION}, &rfm_expr_int, RFM__OP_DURATION_PART, RFM__MILLISECONDS},
};

typedef struct call {
    const char *name;
    bool function, method;
    const char *written;
} call;

#define PART_CALL(name)                                                        \
    {                                                                          \
        name, false, true, "now." name "() or now." name "(\"Europe/Berlin\")" \
    }
static const call calls[] = {
    {"has", true, false, "has(client.nps)"},
    {"exists", false, true, "list.exists(x, x > 1)"},
    {"all", false, true, "list.all(x, x > 1)"},
    {"size", true, true, "size(x) of a string, a list or a map"},
    {"int", true, false, "int(x) of a double, string or timestamp"},
    {"double", true, false, "double(x) of an int or string"},
    {"string", true, false, "string(x) of a bool, int, double, timestamp or duration"},
    {"timestamp", true, false, "timestamp(\"2026-01-31T00:00:00Z\")"},
    {"duration", true, false, "duration(\"90d\")"},
    {"startsWith", false, true, "text.startsWith(\"a\")"},
    {"endsWith", false, true, "text.endsWith(\"a\")"},
    {"contains", false, true, "text.contains(\"a\")"},
    PART_CALL("getFullYear"),
    PART_CALL("getMonth"),
    PART_CALL("getDayOfYear"),
    PART_CALL("getDayOfMonth"),
    PART_CALL("getDate"),
    PART_CALL("getDayOfWeek"),
    PART_CALL("getHours"),
    PART_CALL("getMinutes"),
    PART_CALL("getSeconds"),
    PART_CALL("getMilliseconds"),
};
enum { CALLS = sizeof calls / sizeof *calls };

static const rfm__overload *find(const rfm__overload *overloads, size_t overload_count, rfm_bytes name,
                                 const rfm_expr_type *const *types, size_t count)
{
    for (size_t i = 0; i < overload_count; i++) {
        const rfm__overload *overload = &overloads[i];
        bool fits = overload->operands == count && rfm_bytes_is(name, overload->name);
        for (size_t j = 0; fits && j < count; j++)
            fits = types[j]->kind == overload->kinds[j];
        if (fits)
            return overload;
    }
    return NULL;
}

const rfm__overload *rfm__find_operator(rfm_bytes name, const rfm_expr_type *const *types, size_t count)
{
    return find(operators, sizeof operators / sizeof *operators, name, types, count);
}

const rfm__overload *rfm__find_function(rfm_bytes name, bool method, const rfm_expr_type *const *types, size_t count)
{
    if (method)
        return find(methods, sizeof methods / sizeof *methods, name, types, count);
    return find(functions, sizeof functions / sizeof *functions, name, types, count);
}

const char *rfm__call_of(rfm_bytes name, bool method)
{
    for (size_t i = 0; i < CALLS; i++) {
        if (rfm_bytes_is(name, calls[i].name) && (method ? calls[i].method : calls[i].function))
            return calls[i].written;
    }
    return NULL;
}

const char *rfm__nearest_function(const char *name)
{
    const char *names[CALLS + 1];
    for (size_t i = 0; i < CALLS; i++)
        names[i] = calls[i].name;
    names[CALLS] = NULL;
    return rfm_nearest(names, name);
}

bool rfm__is_left_out(rfm_bytes name)
{
    static const char *const names[] = {"matches", "map",   "filter", "exists_one", "existsOne",
                                        "uint",    "bytes", "type",   "dyn",        "bool"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (rfm_bytes_is(name, names[i]))
            return true;
    }
    return false;
}

unsigned rfm__mask_of(rfm_bytes name)
{
    static const struct {
        const char *name;
        unsigned mask;
    } masks[] = {{"<", RFM__LESS},    {"<=", RFM__LESS | RFM__SAME},
                 {">", RFM__GREATER}, {">=", RFM__GREATER | RFM__SAME},
                 {"==", RFM__SAME},   {"!=", RFM__LESS | RFM__GREATER}};
    for (size_t i = 0; i < sizeof masks / sizeof *masks; i++) {
        if (rfm_bytes_is(name, masks[i].name))
            return masks[i].mask;
    }
    return 0;
}

bool rfm__op_fallible(rfm__op op)
{
    static const bool fallible[] = {
#define X(NAME, operands, fails) fails,
        RFM__OPS(X)
#undef X
    };
    return op < RFM__OP_COUNT && fallible[op];
}

bool rfm__is_fixed_zone(rfm_bytes name)
{
    int32_t offset_s;
    return rfm_bytes_is(name, "UTC") || rfm__text_to_offset(name, &offset_s);
}
