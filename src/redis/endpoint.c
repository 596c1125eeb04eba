#include "endpoint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

static bool number_of(const char *text, size_t len, unsigned long max, unsigned long *number)
{
    if (len == 0 || len > 9)
        return false;
    *number = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        *number = *number * 10 + (unsigned long)(text[i] - '0');
    }
    return *number <= max;
}

static int parse_database(const char *text, rfm_endpoint *endpoint, rfm_error *error)
{
    unsigned long number = 0;
    if (*text && !number_of(text, strlen(text), 65535, &number))
        return rfm_fail(error, RFM_E_MALFORMED, "redis.url: the database must be a number, as in redis://host:6379/0");
    endpoint->database = (uint32_t)number;
    return RFM_OK;
}

static int parse_local(const char *path, rfm_endpoint *endpoint, rfm_error *error)
{
    static const struct sockaddr_un address;
    size_t len = strcspn(path, "?");
    if (len == 0 || path[0] != '/')
        return rfm_fail(error, RFM_E_MALFORMED, "redis.url: unix:// needs a full path, as in unix:///run/redis.sock");
    if (len >= sizeof address.sun_path)
        return rfm_fail(error, RFM_E_MALFORMED, "redis.url: the path of a unix socket has at most %zu bytes",
                        sizeof address.sun_path - 1);
    endpoint->local = true;
    memcpy(endpoint->host, path, len);
    endpoint->host[len] = '\0';
    snprintf(endpoint->name, sizeof endpoint->name, "unix://%s", endpoint->host);
    if (path[len] == '\0')
        return RFM_OK;
    if (strncmp(path + len, "?db=", 4) != 0)
        return rfm_fail(error, RFM_E_MALFORMED, "redis.url: unknown parameter, only ?db=NUMBER is known");
    return parse_database(path + len + 4, endpoint, error);
}

/* The host of host[:port] or [v6][:port], and where the port starts; 0 if there is none. */
static size_t split_host(const char *text, size_t len, const char **host, const char **port)
{
    const char *end = text + len, *host_end;
    if (len && *text == '[') {
        host_end = memchr(text, ']', len);
        if (!host_end)
            return 0;
        *host = text + 1;
        *port = host_end + 1;
    } else {
        host_end = memchr(text, ':', len);
        if (!host_end)
            host_end = end;
        *host = text;
        *port = host_end;
    }
    return (size_t)(host_end - *host);
}

static int parse_remote(const char *text, rfm_endpoint *endpoint, rfm_error *error)
{
    const char *host, *port;
    size_t authority_len = strcspn(text, "/?#");
    if (strchr(text, '@'))
        return rfm_fail(error, RFM_E_MALFORMED,
                        "redis.url: no user or password here; use redis.username and redis.password_file");
    if (memchr(text, ',', authority_len))
        return rfm_fail(error, RFM_E_USAGE, "redis.url: several hosts are not supported; name one");
    size_t host_len = split_host(text, authority_len, &host, &port);
    if (host_len == 0 || host_len >= sizeof endpoint->host)
        return rfm_fail(error, RFM_E_MALFORMED, "redis.url: no host, as in redis://host:6379/0");
    memcpy(endpoint->host, host, host_len);
    unsigned long number = 6379;
    size_t port_len = (size_t)(text + authority_len - port);
    if (port_len && (*port != ':' || !number_of(port + 1, port_len - 1, 65535, &number) || number == 0))
        return rfm_fail(error, RFM_E_MALFORMED, "redis.url: the port must be a number from 1 to 65535");
    endpoint->port = (uint16_t)number;
    snprintf(endpoint->name, sizeof endpoint->name, "%s:%u", endpoint->host, endpoint->port);
    if (text[authority_len] == '\0')
        return RFM_OK;
    if (text[authority_len] != '/')
        return rfm_fail(error, RFM_E_MALFORMED, "redis.url: unknown parameters, only /DATABASE may follow the port");
    return parse_database(text + authority_len + 1, endpoint, error);
}

int rfm__endpoint_parse(const char *url, rfm_endpoint *endpoint, rfm_error *error)
{
    *endpoint = (rfm_endpoint){0};
    const char *rest = url ? strstr(url, "://") : NULL;
    if (!rest)
        return rfm_fail(error, RFM_E_MALFORMED, "redis.url: no scheme, as in redis://host:6379/0");
    size_t scheme_len = (size_t)(rest - url);
    rest += 3;
#define SCHEME_IS(text) (scheme_len == sizeof(text) - 1 && memcmp(url, text, sizeof(text) - 1) == 0)
    if (SCHEME_IS("redis+cluster") || SCHEME_IS("redis+sentinel"))
        return rfm_fail(error, RFM_E_USAGE, "redis.url: %.*s:// is not supported yet; name one server", (int)scheme_len,
                        url);
    if (SCHEME_IS("unix"))
        return parse_local(rest, endpoint, error);
    endpoint->tls = SCHEME_IS("rediss");
    if (endpoint->tls || SCHEME_IS("redis"))
        return parse_remote(rest, endpoint, error);
#undef SCHEME_IS
    return rfm_fail(error, RFM_E_MALFORMED, "redis.url: unknown scheme; redis://, rediss:// and unix:// are known");
}
