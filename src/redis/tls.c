#include "tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>

static int no_passphrase(char *text, int size, int writing, void *owner)
{
    (void)text, (void)size, (void)writing, (void)owner;
    return 0; /* never asks on the terminal */
}

static int fail_with_file(rfm_error *error, const char *setting, const char *path)
{
    char reason[160];
    rfm__tls_why(NULL, reason, sizeof reason);
    return rfm_fail(error, RFM_E_IO, "%s: cannot use %s: %s", setting, path, reason);
}

static int load_files(SSL_CTX *tls, const rfm_store_conf *conf, rfm_error *error)
{
    ERR_clear_error();
    if (conf->ca_file ? !SSL_CTX_load_verify_locations(tls, conf->ca_file, NULL)
                      : !SSL_CTX_set_default_verify_paths(tls))
        return fail_with_file(error, "redis.ca_file", conf->ca_file ? conf->ca_file : "the system's authorities");
    if (!conf->cert_file != !conf->key_file)
        return rfm_fail(error, RFM_E_USAGE, "redis.cert_file and redis.key_file go together; one of them is missing");
    if (!conf->cert_file)
        return RFM_OK;
    if (SSL_CTX_use_certificate_chain_file(tls, conf->cert_file) != 1)
        return fail_with_file(error, "redis.cert_file", conf->cert_file);
    if (SSL_CTX_use_PrivateKey_file(tls, conf->key_file, SSL_FILETYPE_PEM) != 1)
        return fail_with_file(error, "redis.key_file", conf->key_file);
    return RFM_OK;
}

int rfm__tls_new(const rfm_store_conf *conf, SSL_CTX **tls, rfm_error *error)
{
    *tls = SSL_CTX_new(TLS_client_method());
    if (!*tls || !SSL_CTX_set_min_proto_version(*tls, TLS1_2_VERSION)) {
        SSL_CTX_free(*tls);
        *tls = NULL;
        return rfm_fail(error, RFM_E_NO_MEMORY, "TLS cannot be set up");
    }
    SSL_CTX_set_verify(*tls, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_default_passwd_cb(*tls, no_passphrase);
    SSL_CTX_set_mode(*tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    int code = load_files(*tls, conf, error);
    if (code) {
        SSL_CTX_free(*tls);
        *tls = NULL;
    }
    return code;
}

SSL *rfm__tls_session(SSL_CTX *tls, const char *host)
{
    SSL *session = SSL_new(tls);
    if (!session)
        return NULL;
    bool named = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session), host);
    if (!named)
        named = SSL_set1_host(session, host) && SSL_set_tlsext_host_name(session, (char *)(uintptr_t)host);
    if (!named) {
        SSL_free(session);
        return NULL;
    }
    SSL_set_connect_state(session);
    return session;
}

void rfm__tls_why(const SSL *session, char *text, size_t size)
{
    long verdict = session ? SSL_get_verify_result(session) : X509_V_OK;
    unsigned long code = ERR_get_error();
    if (verdict != X509_V_OK)
        snprintf(text, size, "the server's certificate: %s", X509_verify_cert_error_string(verdict));
    else if (code && ERR_SYSTEM_ERROR(code))
        snprintf(text, size, "%s", strerror(ERR_GET_REASON(code)));
    else if (code)
        snprintf(text, size, "%s", ERR_reason_error_string(code) ? ERR_reason_error_string(code) : "unknown reason");
    else
        snprintf(text, size, "%s", errno ? strerror(errno) : "the connection ended");
    ERR_clear_error();
}
