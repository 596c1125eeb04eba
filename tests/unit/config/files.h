/* Files of a test, in memory: what a configuration names is looked up here. */
#ifndef RFM_TESTS_CONFIG_FILES_H
#define RFM_TESTS_CONFIG_FILES_H

#include "config/keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { FILES = 8 };
typedef struct files {
    struct {
        const char *path, *content;
    } file[FILES];
    char *const *environment;
} files;

static inline int files_read(void *context, rfm_arena *arena, const char *path, size_t bytes_max, rfm_bytes *content,
                             rfm_error *error)
{
    const files *all = context;
    (void)arena, (void)bytes_max;
    for (size_t i = 0; i < FILES && all->file[i].path; i++) {
        if (strcmp(all->file[i].path, path) == 0) {
            *content = rfm_text(all->file[i].content);
            return RFM_OK;
        }
    }
    return rfm_fail(error, RFM_E_NOT_FOUND, "cannot read %s: it is not there", path);
}

/* NULL: errors, in `text`. */
static inline rfm_config *files_load(const files *all, char *text, size_t size)
{
    rfm_config *config = NULL;
    rfm_config_errors errors;
    rfm_config_errors_init(&errors);
    files copy = *all;
    int code = rfm__config_load(files_read, &copy, all->file[0].path, all->environment, &config, &errors);
    rfm_buffer buffer;
    rfm_buffer_init(&buffer, 1 << 20);
    rfm_config_errors_write(&errors, &buffer);
    snprintf(text, size, "%.*s", (int)buffer.len, buffer.len ? (const char *)buffer.at : "");
    assert_int_equal(code == RFM_OK, errors.count == 0);
    assert_true(code == RFM_OK || !config);
    rfm_buffer_release(&buffer);
    rfm_config_errors_release(&errors);
    return config;
}

static inline rfm_config *files_good(const files *all)
{
    char text[8192];
    rfm_config *config = files_load(all, text, sizeof text);
    if (!config)
        fail_msg("not loaded:\n%s", text);
    return config;
}

/* Exactly these lines. */
static inline void files_bad(const files *all, const char *expected)
{
    char text[8192];
    rfm_config *config = files_load(all, text, sizeof text);
    rfm_config_free(config);
    assert_string_equal(text, expected);
}

/* A main file of this text and a currency. */
static inline files files_of(const char *content)
{
    return (files){.file = {{"main.yaml", content}}};
}

#endif
