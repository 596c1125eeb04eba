/* Where Redis is and as whom we come: a configuration, checked and copied. */
#ifndef RFM_REDIS_SITE_H
#define RFM_REDIS_SITE_H

#include "endpoint.h"
#include "request.h"

#include <openssl/ssl.h>

typedef struct rfm_site {
    rfm_address address;
    SSL_CTX *tls; /* NULL: none */
    rfm_store_limits limits;
    rfm_identity identity; /* its texts are the site's */
    rfm_store_field meta[RFM_STORE_META_MAX];
    uint32_t partition_count, timeout_ms, format;
} rfm_site;

/* As rfm_store_new. The site must not be moved. After a failure there is nothing to release. */
int rfm__site_init(rfm_site *site, const rfm_store_conf *conf, rfm_error *error);
void rfm__site_release(rfm_site *site);

#endif
