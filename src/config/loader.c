#include "loader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* `message` is changed in place: one line, whatever a file's name or value holds. */
static void add_error(rfm__loader *loader, const rfm_yaml_source *source, uint32_t line, uint32_t column, char *message)
{
    rfm_config_errors *errors = loader->errors;
    if (!errors->items)
        errors->items = rfm_arena_take(&errors->arena, RFM_CONFIG_ERRORS_MAX * sizeof *errors->items);
    if (errors->count++ >= RFM_CONFIG_ERRORS_MAX)
        return;
    for (char *at = message; *at; at++)
        *at = (unsigned char)*at < 0x20 || *at == 0x7f ? '?' : *at;
    rfm_bytes kept = rfm_arena_copy(&errors->arena, rfm_bytes_of(message, strlen(message) + 1));
    rfm_bytes name = rfm_arena_copy(&errors->arena, rfm_bytes_of(source->name, strlen(source->name) + 1));
    errors->items[errors->count - 1] = (rfm_config_error){.file = (const char *)name.at,
                                                          .line = line,
                                                          .column = column,
                                                          .source = source->order,
                                                          .message = (const char *)kept.at};
}

static __attribute__((format(printf, 5, 0))) void report(rfm__loader *loader, const rfm_yaml_source *source,
                                                         uint32_t line, uint32_t column, const char *format,
                                                         va_list arguments)
{
    char message[640];
    int len = loader->key ? snprintf(message, sizeof message, "%s: ", loader->key) : 0;
    vsnprintf(message + len, sizeof message - (size_t)len, format, arguments);
    add_error(loader, source, line, column, message);
}

void rfm__report(rfm__loader *loader, const rfm_yaml *node, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    report(loader, node->source, node->line, node->column, format, arguments);
    va_end(arguments);
}

void rfm__report_key(rfm__loader *loader, const rfm_yaml *node, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    report(loader, node->source, node->key_line, node->key_column, format, arguments);
    va_end(arguments);
}

rfm__shown rfm__show(const char *text)
{
    rfm__shown shown;
    size_t len = strlen(text), kept = len < 48 ? len : 48;
    while (kept < len && kept > 0 && ((unsigned char)text[kept] & 0xc0) == 0x80)
        kept--;
    for (size_t i = 0; i < kept; i++)
        shown.text[i] = text[i];
    snprintf(shown.text + kept, sizeof shown.text - kept, "%s", kept < len ? "..." : "");
    return shown;
}

rfm__shown rfm__show_node(const rfm_yaml *node)
{
    rfm__shown shown;
    if (node->kind != RFM_YAML_SCALAR)
        snprintf(shown.text, sizeof shown.text, "a %s", node->kind == RFM_YAML_LIST ? "list" : "map");
    else if (rfm_yaml_is_null(node))
        snprintf(shown.text, sizeof shown.text, "nothing");
    else
        snprintf(shown.text, sizeof shown.text, "\"%.60s\"", rfm__show(node->text).text);
    return shown;
}

void *rfm__keep_room(rfm__loader *loader, size_t len)
{
    return memset(rfm_arena_take(&loader->config->arena, len ? len : 1), 0, len);
}

const char *rfm__keep(rfm__loader *loader, const char *text, size_t len)
{
    char *kept = rfm__keep_room(loader, len + 1);
    memcpy(kept, text, len);
    return kept;
}

const rfm_yaml_source *rfm__source_new(rfm__loader *loader, const char *name, const char *directory)
{
    rfm_yaml_source *source = rfm_arena_take(&loader->scratch, sizeof *source);
    *source = (rfm_yaml_source){.name = name, .directory = directory, .order = loader->source_count++};
    return source;
}

const char *rfm__path_of(rfm__loader *loader, const rfm_yaml *node)
{
    const char *directory = *node->text == '/' ? "" : node->source->directory;
    size_t size = strlen(directory) + strlen(node->text) + 1;
    char *path = rfm__keep_room(loader, size);
    snprintf(path, size, "%s%s", directory, node->text);
    return path;
}

static void complain(void *context, const rfm_yaml_source *source, const rfm_yaml_complaint *complaint)
{
    rfm_yaml_complaint copy = *complaint;
    add_error(context, source, copy.line, copy.column, copy.message);
}

rfm_yaml *rfm__parse_text(rfm__loader *loader, const rfm_yaml_source *source, rfm_bytes text)
{
    return rfm_yaml_parse(&loader->scratch, source, text, complain, loader);
}

static void note_file(rfm__loader *loader, const char *path)
{
    for (size_t i = 0; i < loader->file_count; i++) {
        if (strcmp(loader->file[i], path) == 0)
            return;
    }
    if (loader->file_count < RFM__FILES_MAX)
        loader->file[loader->file_count++] = path;
}

bool rfm__read_named(rfm__loader *loader, const rfm_yaml *node, const char *path, rfm_bytes *content)
{
    rfm_error error;
    note_file(loader, path);
    int code = loader->read(loader->read_context, &loader->scratch, path, RFM_CONFIG_FILE_BYTES_MAX, content, &error);
    if (!code)
        return true;
    rfm__report(loader, node, "%s", error.message);
    return false;
}

const rfm_yaml *rfm__load_named(rfm__loader *loader, const rfm_yaml *node, const char *path)
{
    rfm_bytes content;
    if (!rfm__read_named(loader, node, path, &content))
        return NULL;
    const char *slash = strrchr(path, '/');
    const char *directory = slash ? rfm__keep(loader, path, (size_t)(slash - path) + 1) : "";
    return rfm__parse_text(loader, rfm__source_new(loader, path, directory), content);
}

static int read_all(int fd, rfm_buffer *buffer)
{
    for (;;) {
        uint8_t *at = rfm_buffer_reserve(buffer, 4096);
        ssize_t len = at ? read(fd, at, 4096) : 0;
        if (len < 0 && errno == EINTR)
            continue;
        if (len <= 0)
            return len < 0 ? RFM_E_IO : RFM_OK;
        buffer->len += (size_t)len;
    }
}

int rfm__read_file(void *context, rfm_arena *arena, const char *path, size_t bytes_max, rfm_bytes *content,
                   rfm_error *error)
{
    (void)context;
    int fd;
    do
        fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return rfm_fail(error, errno == ENOENT ? RFM_E_NOT_FOUND : RFM_E_IO, "cannot read %.300s: %s", path,
                        strerror(errno));
    rfm_buffer buffer;
    rfm_buffer_init(&buffer, bytes_max + 4096);
    int code = read_all(fd, &buffer), reason = errno;
    close(fd);
    if (code)
        rfm_fail(error, code, "cannot read %.300s: %s", path, strerror(reason));
    else if (buffer.len > bytes_max || buffer.bad)
        code = rfm_fail(error, RFM_E_TOO_LARGE, "%.300s is larger than %zu bytes", path, bytes_max);
    else
        *content = rfm_arena_copy(arena, rfm_buffer_view(&buffer));
    rfm_buffer_release(&buffer);
    return code;
}
