/* The words of an expression. */
#ifndef RFM_EXPR_LEXER_H
#define RFM_EXPR_LEXER_H

#include "ast.h"

typedef enum rfm__token_kind {
    RFM__TOKEN_END,
    RFM__TOKEN_NAME,
    RFM__TOKEN_LITERAL, /* value, type */
    RFM__TOKEN_SIGN     /* text: an operator or a bracket */
} rfm__token_kind;
typedef struct rfm__token {
    rfm__token_kind kind;
    uint16_t at, end; /* in the source */
    rfm_bytes text;
    rfm_expr_value value;
    const rfm_expr_type *type;
} rfm__token;

/* The word at or after `at`; false: complained. `minus`: a number may begin with "-". */
bool rfm__next_token(rfm__source *source, size_t at, bool minus, rfm__token *token);

#endif
