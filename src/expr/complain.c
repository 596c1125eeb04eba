#include "ast.h"

#include <stdarg.h>
#include <stdio.h>

enum { SHOWN_MAX = 80 }; /* characters of the line */

static bool begins_character(uint8_t byte)
{
    return (byte & 0xc0) != 0x80;
}

static size_t characters(rfm_bytes text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++)
        count += begins_character(text.at[i]);
    return count;
}

static rfm_bytes line_of(rfm_bytes text, size_t at)
{
    size_t from = at, until = at;
    while (from > 0 && text.at[from - 1] != '\n')
        from--;
    while (until < text.len && text.at[until] != '\n')
        until++;
    return rfm_bytes_of(text.at + from, until - from);
}

/* The text less `count` characters at its beginning. */
static rfm_bytes without(rfm_bytes text, size_t count)
{
    size_t at = 0;
    for (; at < text.len && count > 0; count--) {
        for (at++; at < text.len && !begins_character(text.at[at]); at++)
            ;
    }
    return rfm_bytes_of(text.at + at, text.len - at);
}

/* The line from which the place is seen, and the caret under it; a long line begins later. */
static void show(rfm_expr_error *error, rfm_bytes line, size_t before)
{
    size_t skipped = before > SHOWN_MAX / 2 && characters(line) > SHOWN_MAX ? before - SHOWN_MAX / 2 : 0;
    rfm_bytes shown = without(line, skipped);
    shown.len -= without(shown, SHOWN_MAX).len;
    _Static_assert(sizeof error->excerpt >= 4 * SHOWN_MAX + SHOWN_MAX + 3, "a line of the longest characters");
    snprintf(error->excerpt, sizeof error->excerpt, "%.*s\n%*s^", (int)shown.len, shown.at, (int)(before - skipped),
             "");
    for (char *at = error->excerpt; *at; at++) { /* a tab is as wide as the blank below it */
        if (*at == '\t' || *at == '\r')
            *at = ' ';
    }
}

void *rfm__complain(rfm__source *source, size_t at, const char *format, ...)
{
    if (source->failed)
        return NULL;
    source->failed = true;
    rfm_expr_error *error = source->error;
    rfm_bytes text = source->text;
    at = at > text.len ? text.len : at;
    rfm_bytes line = line_of(text, at);
    size_t before = characters(rfm_bytes_of(line.at, (size_t)(text.at + at - line.at)));
    error->line = 1;
    for (const uint8_t *byte = text.at; byte < line.at; byte++)
        error->line += *byte == '\n';
    error->column = (uint32_t)before + 1;
    va_list args;
    va_start(args, format);
    vsnprintf(error->message, sizeof error->message, format, args);
    va_end(args);
    show(error, line, before);
    return NULL;
}
