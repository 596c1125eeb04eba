#include "lexer.h"

#include <stdarg.h>
#include <stdio.h>

#include <rfm/base/utf8.h>

typedef struct parsing {
    rfm__source *source;
    rfm__token token; /* the one that is not taken yet */
    unsigned depth, nodes;
} parsing;

static rfm__node *parse_expression(parsing *parser);
static rfm__node *parse_unary(parsing *parser);

static bool is_sign(const parsing *parser, const char *sign)
{
    return parser->token.kind == RFM__TOKEN_SIGN && rfm_bytes_is(parser->token.text, sign);
}

static bool advance(parsing *parser)
{
    return rfm__next_token(parser->source, parser->token.end, false, &parser->token);
}

/* As much of the next word as a message shows: of one line, and not half a character. */
static int shown_len(const parsing *parser)
{
    enum { SHOWN_MAX = 40 };
    rfm_bytes text = parser->token.text;
    size_t len = 0;
    while (len < text.len && len < SHOWN_MAX && text.at[len] != '\n' && text.at[len] != '\r')
        len++;
    while (len > 0 && len < text.len && (text.at[len] & 0xc0) == 0x80)
        len--;
    return (int)len;
}

static bool expect(parsing *parser, const char *sign, const char *where)
{
    if (is_sign(parser, sign))
        return advance(parser);
    if (parser->token.kind == RFM__TOKEN_END)
        return rfm__complain(parser->source, parser->token.at, "%s is missing %s", sign, where);
    return rfm__complain(parser->source, parser->token.at, "%s is needed here %s, not %.*s", sign, where,
                         shown_len(parser), parser->token.text.at);
}

/* One level more, which the caller leaves again by depth--. */
static bool deeper(parsing *parser)
{
    if (++parser->depth <= RFM_EXPR_DEPTH_MAX)
        return true;
    return rfm__complain(parser->source, parser->token.at, "more than %d levels in each other", RFM_EXPR_DEPTH_MAX);
}

static rfm__node *node_new(parsing *parser, rfm__node_kind kind, size_t at)
{
    if (++parser->nodes > RFM_EXPR_NODES_MAX)
        return rfm__complain(parser->source, at, "the expression is too long: more than %d names, values and operators",
                             RFM_EXPR_NODES_MAX);
    rfm__node *node = rfm_arena_take(parser->source->arena, sizeof *node);
    *node = (rfm__node){.kind = kind, .at = (uint16_t)at, .mark = (uint16_t)at, .end = parser->token.end};
    return node;
}

static rfm__node *append(rfm__node *parent, rfm__node *child)
{
    if (parent->last)
        parent->last->next = child;
    else
        parent->first = child;
    parent->last = child;
    parent->count++;
    parent->at = child->at < parent->at ? child->at : parent->at;
    parent->end = child->end > parent->end ? child->end : parent->end;
    return parent;
}

/* A node of the word that is next, which is taken. */
static rfm__node *word_node(parsing *parser, rfm__node_kind kind)
{
    rfm__node *node = node_new(parser, kind, parser->token.at);
    if (node)
        node->name = parser->token.text;
    return node && advance(parser) ? node : NULL;
}

/* Expressions up to the sign that closes, which is taken. */
static bool parse_items(parsing *parser, rfm__node *parent, const char *closing)
{
    while (!is_sign(parser, closing)) {
        rfm__node *item = parse_expression(parser);
        if (!item)
            return false;
        append(parent, item);
        if (is_sign(parser, ",") ? !advance(parser) : !is_sign(parser, closing))
            return !is_sign(parser, ",") && expect(parser, closing, "after what is listed");
    }
    parent->end = parser->token.end;
    return advance(parser);
}

static bool is_reserved(rfm_bytes name)
{
    static const char *const words[] = {"in",      "as",        "break",  "const",  "continue", "else",
                                        "for",     "function",  "if",     "import", "let",      "loop",
                                        "package", "namespace", "return", "var",    "void",     "while"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (rfm_bytes_is(name, words[i]))
            return true;
    }
    return false;
}

static rfm__node *parse_constant(parsing *parser)
{
    static const rfm_expr_type null_type = {.kind = RFM_EXPR_NULL};
    rfm__node *node = node_new(parser, RFM__NODE_LITERAL, parser->token.at);
    if (!node)
        return NULL;
    if (parser->token.kind == RFM__TOKEN_LITERAL) {
        node->value = parser->token.value;
        node->type = parser->token.type;
    } else {
        node->type = rfm_bytes_is(parser->token.text, "null") ? &null_type : &rfm_expr_bool;
        node->value.truth = rfm_bytes_is(parser->token.text, "true");
    }
    return advance(parser) ? node : NULL;
}

static rfm__node *parse_name(parsing *parser)
{
    rfm_bytes name = parser->token.text;
    if (rfm_bytes_is(name, "true") || rfm_bytes_is(name, "false") || rfm_bytes_is(name, "null"))
        return parse_constant(parser);
    if (is_reserved(name))
        return rfm__complain(parser->source, parser->token.at, "%.*s is a reserved word", (int)name.len, name.at);
    rfm__node *node = word_node(parser, RFM__NODE_NAME);
    if (!node || !is_sign(parser, "("))
        return node;
    node->kind = RFM__NODE_CALL;
    return advance(parser) && parse_items(parser, node, ")") ? node : NULL;
}

static rfm__node *parse_list(parsing *parser)
{
    rfm__node *node = node_new(parser, RFM__NODE_LIST, parser->token.at);
    return node && advance(parser) && parse_items(parser, node, "]") ? node : NULL;
}

/* They leave no node, but a message shows them. */
static rfm__node *parse_parentheses(parsing *parser)
{
    uint16_t at = parser->token.at;
    rfm__node *node = advance(parser) ? parse_expression(parser) : NULL;
    if (!node)
        return NULL;
    node->at = at;
    node->end = parser->token.end;
    return expect(parser, ")", "to match the (") ? node : NULL;
}

static rfm__node *parse_primary(parsing *parser)
{
    if (parser->token.kind == RFM__TOKEN_LITERAL)
        return parse_constant(parser);
    if (parser->token.kind == RFM__TOKEN_NAME)
        return parse_name(parser);
    if (is_sign(parser, "["))
        return parse_list(parser);
    if (is_sign(parser, "("))
        return parse_parentheses(parser);
    if (parser->token.kind == RFM__TOKEN_END)
        return rfm__complain(parser->source, parser->token.at, "a value is missing at the end");
    return rfm__complain(parser->source, parser->token.at, "a value is needed here, not %.*s",
                         (int)parser->token.text.len, parser->token.text.at);
}

/* ".name" or ".name(...)" of `target`. */
static rfm__node *parse_select(parsing *parser, rfm__node *target)
{
    if (!advance(parser))
        return NULL;
    if (parser->token.kind != RFM__TOKEN_NAME)
        return rfm__complain(parser->source, parser->token.at, "a name is needed after the dot");
    if (rfm_bytes_is(parser->token.text, "in"))
        return rfm__complain(parser->source, parser->token.at, "in is a reserved word");
    rfm__node *node = word_node(parser, RFM__NODE_SELECT);
    if (!node)
        return NULL;
    append(node, target);
    if (!is_sign(parser, "("))
        return node;
    node->kind = RFM__NODE_CALL;
    node->method = true;
    return advance(parser) && parse_items(parser, node, ")") ? node : NULL;
}

static rfm__node *parse_index(parsing *parser, rfm__node *target)
{
    rfm__node *node = word_node(parser, RFM__NODE_OPERATOR);
    rfm__node *index = node ? parse_expression(parser) : NULL;
    if (!index)
        return NULL;
    append(append(node, target), index);
    node->end = parser->token.end;
    return expect(parser, "]", "to match the [") ? node : NULL;
}

static rfm__node *parse_member(parsing *parser)
{
    rfm__node *node = parse_primary(parser);
    while (node && (is_sign(parser, ".") || is_sign(parser, "[")))
        node = is_sign(parser, ".") ? parse_select(parser, node) : parse_index(parser, node);
    return node;
}

/* A "-" just before a number belongs to it, so that the least int can be written. */
static bool is_negative_number(const parsing *parser)
{
    size_t next = parser->token.end;
    const rfm_bytes text = parser->source->text;
    return is_sign(parser, "-") && next < text.len &&
           ((text.at[next] >= '0' && text.at[next] <= '9') || text.at[next] == '.');
}

static rfm__node *parse_sign(parsing *parser)
{
    rfm__node *node = deeper(parser) ? word_node(parser, RFM__NODE_OPERATOR) : NULL;
    rfm__node *operand = node ? parse_unary(parser) : NULL;
    parser->depth--;
    return operand ? append(node, operand) : NULL;
}

static rfm__node *parse_unary(parsing *parser)
{
    if (is_negative_number(parser))
        return rfm__next_token(parser->source, parser->token.at, true, &parser->token) ? parse_member(parser) : NULL;
    return is_sign(parser, "-") || is_sign(parser, "!") ? parse_sign(parser) : parse_member(parser);
}

/* How tightly a binary operator binds; 0: none. */
static int binding_of(const parsing *parser)
{
    static const char *const operators[][7] = {
        {"||"}, {"&&"}, {"<", "<=", ">", ">=", "==", "!=", "in"}, {"+", "-"}, {"*", "/", "%"}};
    if (parser->token.kind != RFM__TOKEN_SIGN && !rfm_bytes_is(parser->token.text, "in"))
        return 0;
    for (int level = 0; level < 5; level++) {
        for (int i = 0; i < 7 && operators[level][i]; i++) {
            if (rfm_bytes_is(parser->token.text, operators[level][i]))
                return level + 1;
        }
    }
    return 0;
}

/* Operators that bind at least so tightly, from left to right. */
static rfm__node *parse_binary(parsing *parser, int binding_min)
{
    rfm__node *left = parse_unary(parser);
    int binding;
    while (left && (binding = binding_of(parser)) >= binding_min && binding > 0) {
        rfm__node_kind kind = binding == 1 ? RFM__NODE_OR : binding == 2 ? RFM__NODE_AND : RFM__NODE_OPERATOR;
        rfm__node *node = word_node(parser, kind);
        rfm__node *right = node ? parse_binary(parser, binding + 1) : NULL;
        left = right ? append(append(node, left), right) : NULL;
    }
    return left;
}

static rfm__node *parse_choice(parsing *parser, rfm__node *condition)
{
    rfm__node *node = word_node(parser, RFM__NODE_IF);
    rfm__node *yes = node ? parse_binary(parser, 1) : NULL;
    rfm__node *no = yes && expect(parser, ":", "to match the ?") ? parse_expression(parser) : NULL;
    return no ? append(append(append(node, condition), yes), no) : NULL;
}

static rfm__node *parse_expression(parsing *parser)
{
    rfm__node *node = deeper(parser) ? parse_binary(parser, 1) : NULL;
    if (node && is_sign(parser, "?"))
        node = parse_choice(parser, node);
    parser->depth--;
    return node;
}

rfm__node *rfm__parse(rfm__source *source)
{
    parsing parser = {.source = source};
    if (source->text.len > RFM_EXPR_BYTES_MAX)
        return rfm__complain(source, 0, "the expression is longer than %d bytes", RFM_EXPR_BYTES_MAX);
    if (!rfm_utf8_valid(source->text)) {
        source->text = rfm_text(""); /* nothing of it is shown */
        return rfm__complain(source, 0, "the expression is not valid UTF-8");
    }
    if (!rfm__next_token(source, 0, false, &parser.token))
        return NULL;
    if (parser.token.kind == RFM__TOKEN_END)
        return rfm__complain(source, 0, "the expression is empty");
    rfm__node *node = parse_expression(&parser);
    if (node && parser.token.kind != RFM__TOKEN_END)
        return rfm__complain(source, parser.token.at, "the expression ends here, and %.*s follows", shown_len(&parser),
                             parser.token.text.at);
    return node;
}
