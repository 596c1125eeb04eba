/* A whole configuration: the main file, a file of rules, one of segments, a model and a variable, divided by lines
 * "%%". Every file that is named is one of them, by the first letter of its name. What loads must print, and load again
 * to the same version. */
#include "config/keys.h"

#include <stdlib.h>

enum { PARTS = 5 };
typedef struct parts {
    rfm_bytes part[PARTS]; /* main, rules, segments, model, variable */
} parts;

static void split(rfm_bytes data, parts *all)
{
    for (size_t i = 0; i < PARTS; i++) {
        const uint8_t *end = data.len ? memmem(data.at, data.len, "\n%%\n", 4) : NULL;
        size_t len = end && i < PARTS - 1 ? (size_t)(end - data.at) + 1 : data.len;
        all->part[i] = rfm_bytes_of(data.at, len);
        size_t skip = len == data.len ? len : len + 3;
        data = rfm_bytes_of(data.at + skip, data.len - skip);
    }
}

static int read_part(void *context, rfm_arena *arena, const char *path, size_t bytes_max, rfm_bytes *content,
                     rfm_error *error)
{
    const parts *all = context;
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const char *letter = *name ? strchr("rsm", *name) : NULL;
    size_t i = letter ? (size_t)(strchr("rsm", *name) - "rsm") + 1 : strcmp(path, "Main") == 0 ? 0 : PARTS;
    if (i == PARTS)
        return rfm_fail(error, RFM_E_NOT_FOUND, "cannot read %s", path);
    if (all->part[i].len > bytes_max)
        return rfm_fail(error, RFM_E_TOO_LARGE, "too large");
    *content = rfm_arena_copy(arena, all->part[i]);
    return RFM_OK;
}

static void check_again(parts *all, const rfm_config *config)
{
    rfm_buffer yaml;
    rfm_config *again = NULL;
    rfm_config_errors errors;
    rfm_buffer_init(&yaml, 1 << 24);
    rfm_config_print(config, &yaml);
    RFM_ASSERT(!yaml.bad);
    all->part[0] = rfm_buffer_view(&yaml);
    rfm_config_errors_init(&errors);
    /* The environment's secrets are not printed: without them a promo rule may be an error. */
    if (config->rules.secret_len == 0) {
        RFM_ASSERT(rfm__config_load(read_part, all, "Main", NULL, &again, &errors) == 0);
        RFM_ASSERT(again->client.version == config->client.version);
        RFM_ASSERT(strcmp(again->rules.version, config->rules.version) == 0);
    }
    rfm_config_free(again);
    rfm_config_errors_release(&errors);
    rfm_buffer_release(&yaml);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    parts all;
    rfm_config *config = NULL;
    rfm_config_errors errors;
    split(rfm_bytes_of(data, size), &all);
    char *variable = calloc(1, all.part[4].len + 1);
    if (all.part[4].len)
        memcpy(variable, all.part[4].at, all.part[4].len);
    char *const environment[] = {variable, NULL};
    rfm_config_errors_init(&errors);
    int code = rfm__config_load(read_part, &all, "Main", environment, &config, &errors);
    RFM_ASSERT((code == 0) == (errors.count == 0));
    for (size_t i = 0; i < errors.count && i < RFM_CONFIG_ERRORS_MAX; i++)
        RFM_ASSERT(errors.items[i].line > 0 && errors.items[i].column > 0 &&
                   strcmp(errors.items[i].file, "(default)") != 0);
    if (config)
        check_again(&all, config);
    rfm_config_free(config);
    rfm_config_errors_release(&errors);
    free(variable);
    return 0;
}
