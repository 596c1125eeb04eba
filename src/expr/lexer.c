#include "lexer.h"

#include "text.h"

#include <math.h>

#include <rfm/base/utf8.h>

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_name_start(uint8_t byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte == '_';
}

static bool is_name(uint8_t byte)
{
    return is_name_start(byte) || is_digit(byte);
}

static int hex_digit(uint8_t byte)
{
    return is_digit(byte)               ? byte - '0'
           : byte >= 'a' && byte <= 'f' ? byte - 'a' + 10
           : byte >= 'A' && byte <= 'F' ? byte - 'A' + 10
                                        : -1;
}

/* The byte at a place, 0 beyond the end. */
static uint8_t peek(const rfm__source *source, size_t at)
{
    return at < source->text.len ? source->text.at[at] : 0;
}

static size_t skip_blanks(const rfm__source *source, size_t at)
{
    for (;;) {
        uint8_t byte = peek(source, at);
        if (at < source->text.len && (byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r' || byte == '\f'))
            at++;
        else if (byte == '/' && peek(source, at + 1) == '/')
            while (at < source->text.len && source->text.at[at] != '\n')
                at++;
        else
            return at;
    }
}

/* A number's end; *real: it has a fraction or an exponent. */
static size_t number_end(const rfm__source *source, size_t at, bool *real)
{
    *real = false;
    while (is_digit(peek(source, at)))
        at++;
    if (peek(source, at) == '.' && is_digit(peek(source, at + 1))) {
        *real = true;
        for (at++; is_digit(peek(source, at)); at++)
            ;
    }
    if (peek(source, at) == 'e' || peek(source, at) == 'E') {
        size_t digits = at + 1;
        digits += peek(source, digits) == '+' || peek(source, digits) == '-';
        if (is_digit(peek(source, digits))) {
            *real = true;
            for (at = digits; is_digit(peek(source, at)); at++)
                ;
        }
    }
    return at;
}

static bool hexadecimal(rfm__source *source, size_t at, size_t end, bool negative, int64_t *integer)
{
    uint64_t value = 0, limit = negative ? UINT64_C(1) << 63 : INT64_MAX;
    for (; at < end; at++) {
        if (value > (limit >> 4))
            return false;
        value = value << 4 | (uint64_t)hex_digit(source->text.at[at]);
    }
    if (value > limit)
        return false;
    *integer = (int64_t)(negative ? 0 - value : value);
    return true;
}

static bool take_hexadecimal(rfm__source *source, size_t digits, bool negative, rfm__token *token)
{
    size_t end = digits;
    while (hex_digit(peek(source, end)) >= 0)
        end++;
    if (!hexadecimal(source, digits, end, negative, &token->value.integer))
        return rfm__complain(source, token->at, "the number is out of int's range");
    token->end = (uint16_t)end;
    token->type = &rfm_expr_int;
    return true;
}

static bool take_number(rfm__source *source, rfm__token *token)
{
    size_t at = token->at;
    bool negative = peek(source, at) == '-', real;
    at += negative;
    if (peek(source, at) == '0' && peek(source, at + 1) == 'x' && hex_digit(peek(source, at + 2)) >= 0)
        return take_hexadecimal(source, at + 2, negative, token);
    size_t end = number_end(source, at, &real);
    rfm_bytes text = rfm_bytes_of(source->text.at + token->at, end - token->at);
    token->end = (uint16_t)end;
    token->type = real ? &rfm_expr_double : &rfm_expr_int;
    if (real ? !rfm__text_to_double(text, &token->value.number) : !rfm__text_to_int(text, &token->value.integer))
        return rfm__complain(source, token->at, "the number is out of %s's range", real ? "double" : "int");
    return true;
}

static bool after_number(rfm__source *source, const rfm__token *token)
{
    uint8_t byte = peek(source, token->end);
    if (byte == 'u' || byte == 'U')
        return rfm__complain(source, token->end, "there are no unsigned numbers here: leave the u out");
    if (is_name(byte))
        return rfm__complain(source, token->end, "a number ends here, and a letter or digit follows");
    return true;
}

static void put_utf8(rfm_buffer *out, uint32_t code)
{
    if (code < 0x80) {
        rfm_write_u8(out, (uint8_t)code);
        return;
    }
    int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const uint8_t first[] = {0, 0xc0, 0xe0, 0xf0};
    rfm_write_u8(out, (uint8_t)(first[more] | code >> (6 * more)));
    while (more-- > 0)
        rfm_write_u8(out, (uint8_t)(0x80 | (code >> (6 * more) & 0x3f)));
}

/* `count` digits of 8 or 16 at `at`. */
static bool coded(rfm__source *source, size_t at, size_t count, int base, rfm_buffer *out)
{
    uint32_t code = 0;
    for (size_t i = 0; i < count; i++) {
        int digit = hex_digit(peek(source, at + i));
        if (digit < 0 || digit >= base)
            return rfm__complain(source, at, "%zu %s digits are needed here", count,
                                 base == 8 ? "octal" : "hexadecimal");
        code = code * (uint32_t)base + (uint32_t)digit;
    }
    if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        return rfm__complain(source, at, "this is no character of Unicode");
    put_utf8(out, code);
    return true;
}

/* The escape whose letter is at *at. */
static bool take_escape(rfm__source *source, size_t *at, rfm_buffer *out)
{
    static const char letters[] = "abfnrtv\\?\"'`", meanings[] = "\a\b\f\n\r\t\v\\?\"'`";
    uint8_t letter = peek(source, *at);
    const char *found = letter ? strchr(letters, letter) : NULL;
    size_t digits = letter == 'x' || letter == 'X' ? 2 : letter == 'u' ? 4 : letter == 'U' ? 8 : 0;
    if (found) {
        rfm_write_u8(out, (uint8_t)meanings[found - letters]);
        ++*at;
        return true;
    }
    if (letter >= '0' && letter <= '3') {
        *at += 3;
        return coded(source, *at - 3, 3, 8, out);
    }
    if (digits == 0)
        return rfm__complain(source, *at - 1, "unknown escape: write \\\\ for a backslash");
    *at += 1 + digits;
    return coded(source, *at - digits, digits, 16, out);
}

static bool closes(const rfm__source *source, size_t at, uint8_t quote, bool triple)
{
    return peek(source, at) == quote && (!triple || (peek(source, at + 1) == quote && peek(source, at + 2) == quote));
}

/* From the opening quote at `at`. */
static bool take_string(rfm__source *source, size_t at, bool raw, rfm__token *token)
{
    uint8_t quote = source->text.at[at];
    bool triple = closes(source, at, quote, true);
    size_t left = source->text.len - at;
    rfm_buffer out = rfm_buffer_over(rfm_arena_take(source->arena, left),
                                     left); /* an escape is longer than its meaning */
    at += triple ? 3 : 1;
    while (!closes(source, at, quote, triple)) {
        uint8_t byte = peek(source, at);
        if (at >= source->text.len || (!triple && (byte == '\n' || byte == '\r')))
            return rfm__complain(source, token->at, "the string has no end");
        at++;
        if (byte != '\\' || raw)
            rfm_write_u8(&out, byte);
        else if (!take_escape(source, &at, &out))
            return false;
    }
    token->end = (uint16_t)(at + (triple ? 3 : 1));
    token->type = &rfm_expr_string;
    token->value.text = rfm_buffer_view(&out);
    return true;
}

static size_t sign_len(const rfm__source *source, size_t at)
{
    static const char *const pairs[] = {"==", "!=", "<=", ">=", "&&", "||"};
    uint8_t byte = source->text.at[at], next = peek(source, at + 1);
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        if (byte == (uint8_t)pairs[i][0] && next == (uint8_t)pairs[i][1])
            return 2;
    }
    return byte && strchr("+-*/%!<>?:.,()[]", byte) ? 1 : 0;
}

static bool take_sign(rfm__source *source, rfm__token *token)
{
    size_t len = sign_len(source, token->at);
    uint8_t byte = source->text.at[token->at];
    if (len == 0 && (byte == '=' || byte == '&' || byte == '|'))
        return rfm__complain(source, token->at, "a single %c is no operator: write %c%c", byte, byte, byte);
    if (len == 0 && byte == '{')
        return rfm__complain(source, token->at, "maps cannot be written here");
    if (len == 0)
        return rfm__complain(source, token->at, "this character means nothing here");
    token->kind = RFM__TOKEN_SIGN;
    token->end = (uint16_t)(token->at + len);
    return true;
}

static bool take_name(rfm__source *source, rfm__token *token)
{
    size_t end = token->at;
    while (is_name(peek(source, end)))
        end++;
    token->kind = RFM__TOKEN_NAME;
    token->end = (uint16_t)end;
    return true;
}

static bool is_quote(uint8_t byte)
{
    return byte == '"' || byte == '\'';
}

static bool take_token(rfm__source *source, bool minus, rfm__token *token)
{
    size_t at = token->at;
    uint8_t byte = source->text.at[at], next = peek(source, at + 1);
    bool raw = (byte == 'r' || byte == 'R') && is_quote(next);
    if (raw || is_quote(byte))
        return token->kind = RFM__TOKEN_LITERAL, take_string(source, at + raw, raw, token);
    if ((byte == 'b' || byte == 'B') && is_quote(next))
        return rfm__complain(source, at, "there are no bytes here: leave the b out");
    if (is_name_start(byte))
        return take_name(source, token);
    size_t digit = at + (minus && byte == '-');
    if (is_digit(peek(source, digit)) || (peek(source, digit) == '.' && is_digit(peek(source, digit + 1))))
        return token->kind = RFM__TOKEN_LITERAL, take_number(source, token) && after_number(source, token);
    return take_sign(source, token);
}

bool rfm__next_token(rfm__source *source, size_t at, bool minus, rfm__token *token)
{
    at = skip_blanks(source, at);
    *token = (rfm__token){.kind = RFM__TOKEN_END, .at = (uint16_t)at, .end = (uint16_t)at};
    if (at < source->text.len && !take_token(source, minus, token))
        return false;
    token->text = rfm_bytes_of(source->text.at + token->at, (size_t)token->end - token->at);
    return true;
}
