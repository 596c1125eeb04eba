#include "ast.h"
#include "functions.h"
#include "types.h"

#include <stdio.h>

#include <rfm/base/nearest.h>

typedef struct checking {
    rfm__source *source;
    const rfm_expr_env *env;
    const rfm__node *loop[RFM_EXPR_DEPTH_MAX]; /* around the node that is being checked */
    size_t loop_count;
} checking;

static bool check(checking *checker, rfm__node *node);

static void *complain_type(checking *checker, const rfm__node *node, const char *wanted)
{
    return rfm__complain(checker->source, node->mark, "%s is needed here, this is %s", wanted,
                         rfm__name_type(node->type).text);
}

/* -- fields */

static bool is_known(const checking *checker, const rfm_expr_field *field)
{
    return field->scope == 0 || (field->scope & checker->env->scope);
}

typedef enum match { NO_MATCH, IS_FIELD, IS_GROUP } match;

static match match_path(const rfm_expr_field *field, rfm_bytes path)
{
    size_t len = strlen(field->path);
    if (len < path.len || memcmp(field->path, path.at, path.len) != 0)
        return NO_MATCH;
    return len == path.len ? IS_FIELD : field->path[path.len] == '.' ? IS_GROUP : NO_MATCH;
}

static match find_path(const checking *checker, rfm_bytes path, bool known, size_t *index)
{
    for (size_t i = 0; i < checker->env->field_count; i++) {
        match found = match_path(&checker->env->fields[i], path);
        if (found != NO_MATCH && is_known(checker, &checker->env->fields[i]) == known)
            return *index = i, found;
    }
    return NO_MATCH;
}

static const char *text_of(checking *checker, rfm_bytes bytes)
{
    char *text = rfm_arena_take(checker->source->arena, bytes.len + 1);
    if (bytes.len)
        memcpy(text, bytes.at, bytes.len);
    text[bytes.len] = 0;
    return text;
}

/* Of the names that may follow the path ("": at the beginning) the nearest; NULL: there are none. */
static const char *nearest_field(checking *checker, rfm_bytes path, rfm_bytes name)
{
    size_t count = 0, room = checker->env->field_count + checker->loop_count + 1;
    const char **names = rfm_arena_take(checker->source->arena, room * sizeof *names);
    for (size_t i = 0; path.len == 0 && i < checker->loop_count; i++)
        names[count++] = text_of(checker, checker->loop[i]->name);
    for (size_t i = 0; i < checker->env->field_count; i++) {
        const rfm_expr_field *field = &checker->env->fields[i];
        if (!is_known(checker, field) || (path.len && match_path(field, path) != IS_GROUP))
            continue;
        const char *rest = field->path + path.len + (path.len > 0);
        names[count++] = text_of(checker, rfm_bytes_of(rest, strcspn(rest, ".")));
    }
    names[count] = NULL;
    return rfm_nearest(names, text_of(checker, name));
}

/* A field of that name in a group: the group was forgotten. NULL: there is none. */
static const char *find_elsewhere(checking *checker, rfm_bytes name)
{
    for (size_t i = 0; i < checker->env->field_count; i++) {
        const char *path = checker->env->fields[i].path, *dot = strrchr(path, '.');
        if (dot && rfm_bytes_is(name, dot + 1) && is_known(checker, &checker->env->fields[i]))
            return path;
    }
    return NULL;
}

static bool complain_unknown(checking *checker, const rfm__node *node, rfm_bytes group, rfm_bytes path)
{
    size_t index;
    rfm_bytes name = node->kind == RFM__NODE_NAME ? node->name
                                                  : rfm_bytes_of(path.at + group.len + 1, path.len - group.len - 1);
    if (find_path(checker, path, false, &index) != NO_MATCH)
        return rfm__complain(checker->source, node->mark, "%.*s is not there in this place", (int)path.len, path.at);
    const char *elsewhere = find_elsewhere(checker, name);
    const char *nearest = elsewhere && !group.len ? elsewhere : nearest_field(checker, group, name);
    if (group.len)
        return rfm__complain(checker->source, node->mark, "%.*s has no %.*s; the nearest is %s", (int)group.len,
                             group.at, (int)name.len, name.at, nearest);
    return rfm__complain(checker->source, node->mark, "no such name %.*s; the nearest is %s", (int)name.len, name.at,
                         nearest ? nearest : "none");
}

/* The node is a field, or a group of fields (then without a type), whose path becomes its name. */
static bool take_path(checking *checker, rfm__node *node, rfm_bytes group, rfm_bytes path)
{
    size_t index;
    match found = find_path(checker, path, true, &index);
    if (found == NO_MATCH)
        return complain_unknown(checker, node, group, path);
    node->name = path;
    if (found == IS_GROUP)
        return true;
    node->kind = RFM__NODE_FIELD;
    node->field = (uint16_t)index;
    node->type = checker->env->fields[index].type;
    node->fallible = checker->env->fields[index].optional;
    return true;
}

static bool check_name(checking *checker, rfm__node *node)
{
    for (size_t i = checker->loop_count; i-- > 0;) {
        if (rfm_bytes_equal(checker->loop[i]->name, node->name)) {
            node->kind = RFM__NODE_LOCAL;
            node->loop = checker->loop[i];
            node->type = node->loop->first->type->item;
            return true;
        }
    }
    return take_path(checker, node, RFM_BYTES_NONE, node->name);
}

/* A name, a field, or a group of fields. */
static bool check_target(checking *checker, rfm__node *node);

static rfm_bytes joined(checking *checker, rfm_bytes group, rfm_bytes name)
{
    size_t len = group.len + 1 + name.len;
    uint8_t *path = rfm_arena_take(checker->source->arena, len);
    memcpy(path, group.at, group.len);
    path[group.len] = '.';
    memcpy(path + group.len + 1, name.at, name.len);
    return rfm_bytes_of(path, len);
}

static const rfm_expr_type *member_type(checking *checker, const rfm__node *node, const rfm_expr_type *type)
{
    size_t count = 0;
    for (const rfm_expr_member *member = type->members; member->name; member++, count++) {
        if (rfm_bytes_is(node->name, member->name))
            return member->type;
    }
    const char **names = rfm_arena_take(checker->source->arena, (count + 1) * sizeof *names);
    for (size_t i = 0; i <= count; i++)
        names[i] = type->members[i].name;
    return rfm__complain(checker->source, node->mark, "there is no %.*s in it; the nearest is %s", (int)node->name.len,
                         node->name.at, rfm_nearest(names, text_of(checker, node->name)));
}

static bool check_select(checking *checker, rfm__node *node)
{
    rfm__node *target = node->first;
    if (!check_target(checker, target))
        return false;
    if (!target->type)
        return take_path(checker, node, target->name, joined(checker, target->name, node->name));
    if (target->type->kind != RFM_EXPR_MAP && target->type->kind != RFM_EXPR_STRUCT)
        return rfm__complain(checker->source, node->mark, "%s has nothing that could be named .%.*s",
                             rfm__name_type(target->type).text, (int)node->name.len, node->name.at);
    node->kind = RFM__NODE_KEY;
    node->fallible = true;
    node->type = target->type->kind == RFM_EXPR_MAP ? target->type->item : member_type(checker, node, target->type);
    return node->type;
}

static bool check_target(checking *checker, rfm__node *node)
{
    if (node->kind == RFM__NODE_NAME)
        return check_name(checker, node);
    return node->kind == RFM__NODE_SELECT ? check_select(checker, node) : check(checker, node);
}

static bool check_path(checking *checker, rfm__node *node)
{
    if (!check_target(checker, node))
        return false;
    if (node->type)
        return true;
    const char *example = nearest_field(checker, node->name, RFM_BYTES_NONE);
    return rfm__complain(checker->source, node->mark, "%.*s is a group of values: name one, such as %.*s.%s",
                         (int)node->name.len, node->name.at, (int)node->name.len, node->name.at, example);
}

/* -- macros */

static bool check_has(checking *checker, rfm__node *node)
{
    rfm__node *field = node->first;
    if (node->count != 1 || field->kind != RFM__NODE_SELECT)
        return rfm__complain(checker->source, node->mark, "has() takes one name with a dot, as in has(client.nps)");
    if (!check_select(checker, field))
        return false;
    node->name = field->name;
    node->type = &rfm_expr_bool;
    node->kind = field->kind == RFM__NODE_KEY ? RFM__NODE_HAS_KEY : RFM__NODE_HAS_FIELDS;
    if (field->kind == RFM__NODE_KEY) {
        node->first = node->last = field->first;
        node->fallible = node->first->fallible;
    }
    return true;
}

static bool check_loop(checking *checker, rfm__node *node)
{
    rfm__node *list = node->first, *variable = list->next, *body = node->last;
    if (node->count != 3 || variable->kind != RFM__NODE_NAME)
        return rfm__complain(checker->source, node->mark,
                             "%.*s() takes a name and a condition, as in list.%.*s(x, x > 1)", (int)node->name.len,
                             node->name.at, (int)node->name.len, node->name.at);
    if (!check(checker, list))
        return false;
    if (list->type->kind != RFM_EXPR_LIST)
        return complain_type(checker, list, "a list");
    node->kind = RFM__NODE_LOOP;
    node->any = rfm_bytes_is(node->name, "exists");
    node->name = variable->name;
    list->next = body;
    node->type = &rfm_expr_bool;
    node->fallible = true;
    if (checker->loop_count == RFM_EXPR_DEPTH_MAX)
        return rfm__complain(checker->source, node->mark, "too many loops in each other");
    checker->loop[checker->loop_count++] = node;
    bool good = check(checker, body);
    checker->loop_count--;
    return good && (body->type->kind == RFM_EXPR_BOOL || complain_type(checker, body, "bool"));
}

/* -- operators and functions */

static void settle(rfm__node *node, const rfm__overload *overload)
{
    node->op = overload->op;
    node->arg = overload->arg;
    node->type = overload->result;
    node->fallible = node->fallible || rfm__op_fallible(overload->op);
}

static bool check_children(checking *checker, rfm__node *node)
{
    node->constant = true;
    for (rfm__node *child = node->first; child; child = child->next) {
        if (!check(checker, child))
            return false;
        node->constant = node->constant && child->constant;
        node->fallible = node->fallible || child->fallible;
    }
    return true;
}

static bool complain_operator(checking *checker, const rfm__node *node)
{
    const rfm_expr_type *left = node->first->type, *right = node->last->type;
    const char *hint = "";
    if (rfm__is_number(left) && rfm__is_number(right) && left->kind != right->kind)
        hint = ": write double() around the int";
    else if (left->kind == RFM_EXPR_NULL || right->kind == RFM_EXPR_NULL)
        hint = ": ask has() whether there is a value";
    if (node->count == 1)
        return rfm__complain(checker->source, node->mark, "%.*s does not go with %s", (int)node->name.len,
                             node->name.at, rfm__name_type(left).text);
    return rfm__complain(checker->source, node->mark, "%.*s does not go with %s and %s%s", (int)node->name.len,
                         node->name.at, rfm__name_type(left).text, rfm__name_type(right).text, hint);
}

static bool check_order(checking *checker, rfm__node *node, unsigned mask)
{
    const rfm_expr_kind left = node->first->type->kind, right = node->last->type->kind;
    static const uint8_t ops[] = {
        [RFM_EXPR_BOOL] = RFM__OP_COMPARE_BOOL,     [RFM_EXPR_INT] = RFM__OP_COMPARE_INT,
        [RFM_EXPR_DOUBLE] = RFM__OP_COMPARE_DOUBLE, [RFM_EXPR_STRING] = RFM__OP_COMPARE_TEXT,
        [RFM_EXPR_TIMESTAMP] = RFM__OP_COMPARE_INT, [RFM_EXPR_DURATION] = RFM__OP_COMPARE_INT};
    bool numbers = rfm__is_number(node->first->type) && rfm__is_number(node->last->type);
    bool ordered = left >= RFM_EXPR_BOOL && left <= RFM_EXPR_DURATION, equality = !rfm__mask_orders(mask);
    if ((!numbers && left != right) || !ordered)
        return complain_operator(checker, node);
    node->op = left == right          ? ops[left]
               : left == RFM_EXPR_INT ? RFM__OP_COMPARE_INT_DOUBLE
                                      : RFM__OP_COMPARE_DOUBLE_INT;
    node->arg = (uint16_t)mask;
    node->fallible = node->fallible || (!equality && rfm__op_fallible(node->op));
    node->type = &rfm_expr_bool;
    return true;
}

/* == and != of what has no order: lists and null. */
static bool check_equality(checking *checker, rfm__node *node, unsigned mask)
{
    const rfm_expr_type *left = node->first->type, *right = node->last->type;
    bool unordered = left->kind == RFM_EXPR_LIST || left->kind == RFM_EXPR_NULL;
    if (!unordered)
        return check_order(checker, node, mask);
    if (!rfm__unify(checker->source->arena, left, right) || !rfm__has_equality(left) || !rfm__has_equality(right))
        return complain_operator(checker, node);
    node->op = mask == RFM__SAME ? RFM__OP_EQUAL : RFM__OP_UNEQUAL;
    node->left = left;
    node->right = right;
    node->type = &rfm_expr_bool;
    return true;
}

static bool check_in(checking *checker, rfm__node *node)
{
    const rfm_expr_type *left = node->first->type, *right = node->last->type;
    node->type = &rfm_expr_bool;
    if (right->kind == RFM_EXPR_MAP && left->kind == RFM_EXPR_STRING)
        return node->op = RFM__OP_IN_MAP, true;
    if (right->kind != RFM_EXPR_LIST)
        return complain_operator(checker, node);
    bool numbers = rfm__is_number(left) && rfm__is_number(right->item);
    if (!numbers && (!rfm__unify(checker->source->arena, left, right->item) || !rfm__has_equality(left)))
        return complain_operator(checker, node);
    node->op = RFM__OP_IN_LIST;
    node->left = left;
    node->right = right->item;
    return true;
}

static bool check_index(checking *checker, rfm__node *node)
{
    const rfm_expr_type *target = node->first->type, *index = node->last->type;
    bool list = target->kind == RFM_EXPR_LIST && index->kind == RFM_EXPR_INT;
    if (!list && (target->kind != RFM_EXPR_MAP || index->kind != RFM_EXPR_STRING))
        return rfm__complain(checker->source, node->mark, "%s has no index of type %s", rfm__name_type(target).text,
                             rfm__name_type(index).text);
    if (target->item->kind == RFM_EXPR_ANY)
        return rfm__complain(checker->source, node->mark, "an empty list has no items");
    node->op = list ? RFM__OP_ITEM : RFM__OP_ENTRY;
    node->fallible = true;
    node->type = target->item;
    return true;
}

static bool check_add_lists(checking *checker, rfm__node *node)
{
    node->type = rfm__unify(checker->source->arena, node->first->type, node->last->type);
    node->op = RFM__OP_ADD_LIST;
    node->fallible = true;
    return node->type || complain_operator(checker, node);
}

static bool check_operator(checking *checker, rfm__node *node)
{
    if (!check_children(checker, node))
        return false;
    unsigned mask = rfm__mask_of(node->name);
    if (mask)
        return rfm__mask_orders(mask) ? check_order(checker, node, mask) : check_equality(checker, node, mask);
    if (rfm_bytes_is(node->name, "in"))
        return check_in(checker, node);
    if (rfm_bytes_is(node->name, "["))
        return check_index(checker, node);
    if (rfm_bytes_is(node->name, "+") && node->first->type->kind == RFM_EXPR_LIST)
        return check_add_lists(checker, node);
    const rfm_expr_type *types[RFM__OPERANDS_MAX] = {node->first->type, node->last->type};
    const rfm__overload *overload = rfm__find_operator(node->name, types, node->count);
    if (!overload)
        return complain_operator(checker, node);
    settle(node, overload);
    return true;
}

static bool complain_call(checking *checker, const rfm__node *node)
{
    const int len = (int)node->name.len;
    const char *name = (const char *)node->name.at;
    char types[160] = "";
    const char *taken = rfm__call_of(node->name, node->method);
    if (rfm__is_left_out(node->name))
        return rfm__complain(checker->source, node->mark, "CEL's %.*s() is not there in rfmd", len, name);
    if (!taken && rfm__call_of(node->name, !node->method))
        return rfm__complain(checker->source, node->mark, "%.*s() is written %s", len, name,
                             rfm__call_of(node->name, !node->method));
    if (!taken)
        return rfm__complain(checker->source, node->mark, "no such function %.*s(); the nearest is %s()", len, name,
                             rfm__nearest_function(text_of(checker, node->name)));
    for (const rfm__node *child = node->first; child; child = child->next) {
        size_t used = strlen(types);
        snprintf(types + used, sizeof types - used, "%s%s", used ? ", " : "", rfm__name_type(child->type).text);
    }
    return rfm__complain(checker->source, node->mark, "%.*s() does not go with %s: it is written %s", len, name,
                         *types ? types : "nothing", taken);
}

static bool check_zone(checking *checker, const rfm__node *node)
{
    const rfm_expr_env *env = checker->env;
    const rfm__node *zone = node->last;
    if (node->op != RFM__OP_TIME_PART_IN || zone->kind != RFM__NODE_LITERAL || !env->has_zone)
        return true;
    return rfm__is_fixed_zone(zone->value.text) || env->has_zone(zone->value.text) ||
           rfm__complain(checker->source, zone->mark, "no such time zone: names are as in Europe/Berlin or +02:00");
}

static bool check_call(checking *checker, rfm__node *node)
{
    if (!node->method && rfm_bytes_is(node->name, "has"))
        return check_has(checker, node);
    if (node->method && (rfm_bytes_is(node->name, "exists") || rfm_bytes_is(node->name, "all")))
        return check_loop(checker, node);
    if (!rfm__call_of(node->name, node->method))
        return complain_call(checker, node);
    if (!check_children(checker, node))
        return false;
    const rfm_expr_type *types[RFM__OPERANDS_MAX];
    const rfm__overload *overload = NULL;
    if (node->count >= 1 && node->count <= RFM__OPERANDS_MAX) {
        types[0] = node->first->type;
        types[1] = node->last->type;
        overload = rfm__find_function(node->name, node->method, types, node->count);
    }
    if (!overload)
        return complain_call(checker, node);
    settle(node, overload);
    return check_zone(checker, node);
}

/* -- the rest */

static bool check_logic(checking *checker, rfm__node *node)
{
    if (!check_children(checker, node))
        return false;
    node->type = &rfm_expr_bool;
    for (const rfm__node *child = node->first; child; child = child->next) {
        if (child->type->kind != RFM_EXPR_BOOL)
            return complain_type(checker, child, node->kind == RFM__NODE_AND ? "bool beside &&" : "bool beside ||");
    }
    return true;
}

static bool check_if(checking *checker, rfm__node *node)
{
    if (!check_children(checker, node))
        return false;
    const rfm__node *yes = node->first->next, *no = node->last;
    if (node->first->type->kind != RFM_EXPR_BOOL)
        return complain_type(checker, node->first, "bool before ?");
    node->type = rfm__unify(checker->source->arena, yes->type, no->type);
    return node->type ||
           rfm__complain(checker->source, node->mark, "the two sides of : must be of one type, these are %s and %s",
                         rfm__name_type(yes->type).text, rfm__name_type(no->type).text);
}

static bool check_list(checking *checker, rfm__node *node)
{
    const rfm_expr_type *item = NULL;
    if (!check_children(checker, node))
        return false;
    for (const rfm__node *child = node->first; child; child = child->next) {
        const rfm_expr_type *both = item ? rfm__unify(checker->source->arena, item, child->type) : child->type;
        if (!both)
            return rfm__complain(checker->source, child->mark, "the items of a list must be of one type, not %s and %s",
                                 rfm__name_type(item).text, rfm__name_type(child->type).text);
        item = both;
    }
    node->type = rfm__list_of(checker->source->arena, item);
    node->fallible = true;
    return true;
}

static bool check(checking *checker, rfm__node *node)
{
    switch (node->kind) {
    case RFM__NODE_NAME:
    case RFM__NODE_SELECT: return check_path(checker, node);
    case RFM__NODE_CALL: return check_call(checker, node);
    case RFM__NODE_OPERATOR: return check_operator(checker, node);
    case RFM__NODE_AND:
    case RFM__NODE_OR: return check_logic(checker, node);
    case RFM__NODE_IF: return check_if(checker, node);
    case RFM__NODE_LIST: return check_list(checker, node);
    case RFM__NODE_LITERAL: node->constant = true; return true;
    default: return true; /* checked before */
    }
}

bool rfm__check(rfm__source *source, const rfm_expr_env *env, const rfm_expr_type *wanted, rfm__node *root)
{
    checking checker = {.source = source, .env = env};
    if (!check(&checker, root))
        return false;
    if (!wanted || rfm__unify(source->arena, root->type, wanted))
        return true;
    return rfm__complain(source, root->at, "the whole must be %s, this is %s", rfm__name_type(wanted).text,
                         rfm__name_type(root->type).text);
}
