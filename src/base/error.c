#include <rfm/base/bytes.h>
#include <rfm/base/error.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct error_entry {
    const char *name, *text;
    rfm_error_class class_;
} error_entry;

static const error_entry *entry_of(int code)
{
    static const error_entry entries[] = {
#define X(name, class, text) {#name, text, RFM_ERROR_##class},
        RFM_ERRORS(X)
#undef X
    };
    return code > RFM_E__FIRST && code < RFM_E__LAST ? &entries[code - RFM_E__FIRST - 1] : NULL;
}

const char *rfm_error_name(int code)
{
    const error_entry *entry = entry_of(code);
    return entry ? entry->name : code == RFM_OK ? "OK" : "UNKNOWN";
}

const char *rfm_error_text(int code)
{
    const error_entry *entry = entry_of(code);
    return entry ? entry->text : code == RFM_OK ? "success" : "unknown error";
}

rfm_error_class rfm_error_class_of(int code)
{
    const error_entry *entry = entry_of(code);
    return entry ? entry->class_ : RFM_ERROR_FATAL;
}

int rfm_fail(rfm_error *error, int code, const char *format, ...)
{
    if (!error)
        return code;
    char message[sizeof error->message]; /* the arguments may point into the message that is there */
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    error->code = code;
    memcpy(error->message, message, sizeof message);
    return code;
}

/* As much of the text as there is room for. */
static void append(rfm_buffer *buffer, const char *text)
{
    size_t len = strlen(text), room = buffer->size - buffer->len;
    rfm_write_bytes(buffer, rfm_bytes_of(text, len < room ? len : room));
}

int rfm_fail_within(rfm_error *error, int code, const char *format, ...)
{
    if (!error)
        return code;
    char message[sizeof error->message];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (len >= 0 && (size_t)len < sizeof message) {
        rfm_buffer rest = rfm_buffer_over(message + len, sizeof message - 1 - (size_t)len);
        append(&rest, ": ");
        append(&rest, error->message);
        message[(size_t)len + rest.len] = 0;
    }
    memcpy(error->message, message, sizeof message);
    if (error->code == RFM_OK)
        error->code = code;
    return error->code;
}

void rfm_assert_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, condition);
    abort();
}

/* Neither stdio, which may want memory, nor what is to be done at the end, which may wait for the thread that is
 * here. */
void rfm_out_of_memory(const char *file, int line)
{
    char message[256];
    int len = snprintf(message, sizeof message, "rfmd: out of memory (%s:%d)\n", file, line);
    ssize_t written = write(STDERR_FILENO, message, len < (int)sizeof message ? (size_t)len : sizeof message - 1);
    (void)written;
    _exit(3);
}
