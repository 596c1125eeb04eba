#include "keys.h"

static bool from_environment(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node)
{
    if (node->source->environment)
        return true;
    char variable[RFM__VARIABLE_MAX];
    rfm__variable_of(key->path, variable);
    rfm__report_key(loader, node, "may not stand in a file such as this: use %s_file or the variable %s", key->path,
                    variable);
    return false;
}

static void read_secret(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    const char *text;
    if (from_environment(loader, key, node) && rfm__text_of(loader, node, &text))
        *(const char **)at = rfm__keep(loader, text, strlen(text));
}

const rfm__kind rfm__secret = {"text", true, true, read_secret, NULL};

/* The file's content without the line end that editors put after it. */
static bool read_content(rfm__loader *loader, const rfm_yaml *node, const char **path, rfm_bytes *content)
{
    const char *text;
    if (!rfm__text_of(loader, node, &text))
        return false;
    *path = rfm__path_of(loader, node);
    if (!rfm__read_named(loader, node, *path, content))
        return false;
    if (content->len && content->at[content->len - 1] == '\n')
        content->len--;
    if (content->len && content->at[content->len - 1] == '\r')
        content->len--;
    if (content->len == 0)
        rfm__report(loader, node, "%.300s is empty", *path);
    return content->len > 0;
}

/* The environment's secret stands before the file's. */
static void read_text_file(rfm__loader *loader, const rfm_yaml *node, const char **path, const char **secret)
{
    rfm_bytes content;
    if (!read_content(loader, node, path, &content) || **secret)
        return;
    bool control = false;
    for (size_t i = 0; i < content.len; i++)
        control = control || content.at[i] < 0x20;
    if (control || content.len > 1024)
        rfm__report(loader, node, "%.300s must hold one line of 1024 bytes at most", *path);
    else
        *secret = rfm__keep(loader, (const char *)content.at, content.len);
}

static void read_password_file(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    (void)key;
    read_text_file(loader, node, at, &loader->config->redis.password);
}

const rfm__kind rfm__password_file = {"file", true, true, read_password_file, rfm__print_text_at};

static void read_sentinel_file(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    (void)key;
    read_text_file(loader, node, at, &loader->config->redis.sentinel_password);
}

const rfm__kind rfm__sentinel_file = {"file", true, true, read_sentinel_file, rfm__print_text_at};

static void read_token_file(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    (void)key;
    read_text_file(loader, node, at, &loader->config->http.token);
}

const rfm__kind rfm__token_file = {"file", true, true, read_token_file, rfm__print_text_at};

static void take_promo_secret(rfm__loader *loader, const rfm_yaml *node, rfm_bytes secret)
{
    rfm_rules *rules = &loader->config->rules;
    if (secret.len == 0 || secret.len > RFM_SECRET_MAX) {
        rfm__report(loader, node, "the secret of promo codes must be 1 to %d bytes", RFM_SECRET_MAX);
        return;
    }
    memcpy(rules->secret, secret.at, secret.len);
    rules->secret_len = secret.len;
}

static void read_promo_secret(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    const char *text;
    (void)at;
    if (from_environment(loader, key, node) && rfm__text_of(loader, node, &text))
        take_promo_secret(loader, node, rfm_text(text));
}

const rfm__kind rfm__promo_secret = {"text", true, false, read_promo_secret, NULL};

static void read_promo_secret_file(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    rfm_bytes content;
    (void)key;
    if (read_content(loader, node, at, &content) && loader->config->rules.secret_len == 0)
        take_promo_secret(loader, node, content);
}

const rfm__kind rfm__promo_secret_file = {"file", true, true, read_promo_secret_file, rfm__print_text_at};
