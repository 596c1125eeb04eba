#include "site.h"

#include "tls.h"

#include <stdlib.h>

enum { TIMEOUT_MS = 5000 };

static void free_text(const char *text)
{
    free((char *)(uintptr_t)text);
}

/* Not left behind in freed memory. */
static void free_secret(const char *secret)
{
    char *at = (char *)(uintptr_t)secret;
    if (at)
        explicit_bzero(at, strlen(at));
    free(at);
}

static const char *copy_text(const char *text)
{
    char *copy = text ? strdup(text) : NULL;
    RFM_NEED(!text || copy);
    return copy;
}

static int check(const rfm_store_conf *conf, rfm_error *error)
{
    if (conf->partition_count == 0 || conf->partition_count > RFM_TASKS_MAX)
        return rfm_fail(error, RFM_E_RANGE, "from 1 to %d partitions are supported", RFM_TASKS_MAX);
    if (conf->meta_count > RFM_STORE_META_MAX)
        return rfm_fail(error, RFM_E_RANGE, "at most %d fields of meta are supported", RFM_STORE_META_MAX);
    return rfm__prefix_check(conf->prefix, error);
}

static void copy_texts(rfm_site *site, const rfm_store_conf *conf)
{
    rfm_identity *identity = &site->identity;
    identity->prefix = copy_text(conf->prefix);
    identity->username = copy_text(conf->username);
    identity->password = copy_text(conf->password);
    identity->sentinel_password = copy_text(conf->sentinel_password);
    identity->meta = site->meta;
    identity->meta_count = conf->meta_count;
    for (size_t i = 0; i < conf->meta_count; i++) {
        site->meta[i] = conf->meta[i];
        site->meta[i].name = copy_text(conf->meta[i].name);
        site->meta[i].value = copy_text(conf->meta[i].value);
    }
}

int rfm__site_init(rfm_site *site, const rfm_store_conf *conf, rfm_error *error)
{
    *site = (rfm_site){
        .limits = conf->limits,
        .partition_count = conf->partition_count,
        .format = conf->format,
        .timeout_ms = conf->timeout_ms ? conf->timeout_ms : TIMEOUT_MS,
    };
    int code = check(conf, error);
    if (!code)
        code = rfm__address_parse(conf->url, &site->address, error);
    if (!code && site->address.tls)
        code = rfm__tls_new(conf, &site->tls, error);
    site->identity.layout = site->address.layout;
    site->identity.service = site->address.service;
    site->identity.database = site->address.database;
    if (code)
        rfm__site_release(site);
    else
        copy_texts(site, conf);
    return code;
}

void rfm__site_release(rfm_site *site)
{
    SSL_CTX_free(site->tls);
    free_text(site->identity.prefix);
    free_secret(site->identity.username);
    free_secret(site->identity.password);
    free_secret(site->identity.sentinel_password);
    for (size_t i = 0; i < site->identity.meta_count; i++) {
        free_text(site->meta[i].name);
        free_text(site->meta[i].value);
    }
    *site = (rfm_site){.tls = NULL};
}
