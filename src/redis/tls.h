/* TLS for both kinds of connection: TLS 1.2 or newer, the server's certificate and name always checked. */
#ifndef RFM_REDIS_TLS_H
#define RFM_REDIS_TLS_H

#include "store.h"

#include <openssl/ssl.h>

int rfm__tls_new(const rfm_store_conf *conf, SSL_CTX **tls,
                 rfm_error *error);                    /* RFM_E_IO, RFM_E_USAGE, RFM_E_NO_MEMORY */
SSL *rfm__tls_session(SSL_CTX *tls, const char *host); /* NULL: no memory */
/* Why the last call on this session failed; takes OpenSSL's queue of errors. */
void rfm__tls_why(const SSL *session, char *text, size_t size);

#endif
