#include "endpoint.h"

#include <stdio.h>
#include <string.h>
#include <sys/un.h>

static bool number_of(rfm_bytes text, int64_t least, int64_t *number)
{
    return rfm_integer_parse(text, number) == RFM_OK && *number >= least && *number <= UINT16_MAX;
}

static int parse_database(const char *text, rfm_address *address, rfm_error *error)
{
    int64_t number = 0;
    if (*text && !number_of(rfm_text(text), 0, &number))
        return rfm_fail(error, RFM_E_MALFORMED, "redis.url: the database must be a number, as in redis://host:6379/0");
    address->database = (uint32_t)number;
    return RFM_OK;
}

static int parse_local(const char *path, rfm_address *address, rfm_error *error)
{
    static const struct sockaddr_un unix_address;
    rfm_endpoint *endpoint = &address->seed[0];
    size_t len = strcspn(path, "?");
    if (len == 0 || path[0] != '/')
        return rfm_fail(error, RFM_E_MALFORMED, "redis.url: unix:// needs a full path, as in unix:///run/redis.sock");
    if (len >= sizeof unix_address.sun_path)
        return rfm_fail(error, RFM_E_MALFORMED, "redis.url: the path of a unix socket has at most %zu bytes",
                        sizeof unix_address.sun_path - 1);
    address->seed_count = 1;
    endpoint->local = true;
    memcpy(endpoint->host, path, len);
    endpoint->host[len] = '\0';
    snprintf(endpoint->name, sizeof endpoint->name, "unix://%s", endpoint->host);
    if (path[len] == '\0')
        return RFM_OK;
    if (strncmp(path + len, "?db=", 4) != 0)
        return rfm_fail(error, RFM_E_MALFORMED, "redis.url: unknown parameter, only ?db=NUMBER is known");
    return parse_database(path + len + 4, address, error);
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

static void set_remote(rfm_endpoint *endpoint, const char *host, size_t host_len, int64_t port)
{
    memmove(endpoint->host, host, host_len);
    endpoint->host[host_len] = '\0';
    endpoint->local = false;
    endpoint->port = (uint16_t)port;
    rfm_buffer name = rfm_buffer_over(endpoint->name, sizeof endpoint->name - 1);
    rfm_write_text(&name, endpoint->host);
    rfm_write_u8(&name, ':');
    rfm_write_integer(&name, endpoint->port);
    endpoint->name[name.len] = '\0';
}

/* One host[:port]. */
static int parse_seed(const char *text, size_t len, rfm_address *address, rfm_error *error)
{
    const char *host, *port;
    if (address->seed_count == RFM_SEEDS_MAX)
        return rfm_fail(error, RFM_E_MALFORMED, "redis.url: at most %d hosts", RFM_SEEDS_MAX);
    size_t host_len = split_host(text, len, &host, &port);
    if (host_len == 0 || host_len >= RFM_HOST_MAX)
        return rfm_fail(error, RFM_E_MALFORMED, "redis.url: no host, as in redis://host:6379/0");
    int64_t number = address->layout == RFM_SENTINEL ? 26379 : 6379;
    size_t port_len = (size_t)(text + len - port);
    if (port_len && (*port != ':' || !number_of(rfm_bytes_of(port + 1, port_len - 1), 1, &number)))
        return rfm_fail(error, RFM_E_MALFORMED, "redis.url: the port must be a number from 1 to 65535");
    set_remote(&address->seed[address->seed_count++], host, host_len, number);
    return RFM_OK;
}

static int parse_seeds(const char *text, size_t len, rfm_address *address, rfm_error *error)
{
    const char *end = text + len;
    if (address->layout == RFM_ONE_SERVER && memchr(text, ',', len))
        return rfm_fail(error, RFM_E_MALFORMED,
                        "redis.url: several hosts are for redis+sentinel:// and redis+cluster://; name one");
    for (;;) {
        const char *comma = memchr(text, ',', (size_t)(end - text));
        int code = parse_seed(text, (size_t)((comma ? comma : end) - text), address, error);
        if (code || !comma)
            return code;
        text = comma + 1;
    }
}

/* What stands behind the hosts' slash in redis+sentinel://hosts/service[/database]. */
static int parse_service(const char *text, rfm_address *address, rfm_error *error)
{
    size_t len = strcspn(text, "/?#");
    if (len == 0 || len >= sizeof address->service)
        return rfm_fail(error, RFM_E_MALFORMED,
                        "redis.url: the master's name among the Sentinels is missing or too long, as in "
                        "redis+sentinel://host:26379/mymaster");
    memcpy(address->service, text, len);
    if (text[len] && text[len] != '/')
        return rfm_fail(error, RFM_E_MALFORMED, "redis.url: unknown parameters, only /DATABASE may follow the name");
    return text[len] ? parse_database(text + len + 1, address, error) : RFM_OK;
}

static int parse_remote(const char *text, rfm_address *address, rfm_error *error)
{
    size_t authority_len = strcspn(text, "/?#");
    if (strchr(text, '@'))
        return rfm_fail(error, RFM_E_MALFORMED,
                        "redis.url: no user or password here; use redis.username and redis.password_file");
    int code = parse_seeds(text, authority_len, address, error);
    if (code)
        return code;
    text += authority_len;
    if (address->layout == RFM_SENTINEL)
        return parse_service(*text == '/' ? text + 1 : "", address, error);
    if (*text == '\0')
        return RFM_OK;
    if (*text != '/')
        return rfm_fail(error, RFM_E_MALFORMED, "redis.url: unknown parameters, only /DATABASE may follow the port");
    code = parse_database(text + 1, address, error);
    if (!code && address->layout == RFM_CLUSTER && address->database)
        return rfm_fail(error, RFM_E_MALFORMED, "redis.url: a Redis Cluster has the database 0 alone");
    return code;
}

int rfm__address_parse(const char *url, rfm_address *address, rfm_error *error)
{
    static const struct {
        const char *name;
        rfm_layout layout;
        bool tls;
    } schemes[] = {
        {"redis", RFM_ONE_SERVER, false},        {"rediss", RFM_ONE_SERVER, true},
        {"redis+sentinel", RFM_SENTINEL, false}, {"rediss+sentinel", RFM_SENTINEL, true},
        {"redis+cluster", RFM_CLUSTER, false},   {"rediss+cluster", RFM_CLUSTER, true},
    };
    *address = (rfm_address){.layout = RFM_ONE_SERVER};
    const char *rest = url ? strstr(url, "://") : NULL;
    if (!rest)
        return rfm_fail(error, RFM_E_MALFORMED, "redis.url: no scheme, as in redis://host:6379/0");
    rfm_bytes scheme = rfm_bytes_of(url, (size_t)(rest - url));
    if (rfm_bytes_is(scheme, "unix"))
        return parse_local(rest + 3, address, error);
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        if (!rfm_bytes_is(scheme, schemes[i].name))
            continue;
        address->layout = schemes[i].layout;
        address->tls = schemes[i].tls;
        return parse_remote(rest + 3, address, error);
    }
    return rfm_fail(error, RFM_E_MALFORMED,
                    "redis.url: unknown scheme; redis://, unix://, redis+sentinel://, redis+cluster:// and, with TLS, "
                    "rediss://, rediss+sentinel://, rediss+cluster:// are known");
}

bool rfm__endpoint_set(rfm_endpoint *endpoint, rfm_bytes host, rfm_bytes port)
{
    int64_t number;
    if (host.len == 0 || host.len >= RFM_HOST_MAX || !number_of(port, 1, &number))
        return false;
    for (size_t i = 0; i < host.len; i++) {
        if (host.at[i] <= ' ' || host.at[i] >= 0x7f)
            return false;
    }
    set_remote(endpoint, (const char *)host.at, host.len, number);
    return true;
}

bool rfm__endpoint_moved(rfm_bytes error, const rfm_endpoint *from, rfm_endpoint *to)
{
    static const char start[] = "MOVED ";
    if (error.len < sizeof start || memcmp(error.at, start, sizeof start - 1) != 0)
        return false;
    const uint8_t *slot = error.at + sizeof start - 1, *end = error.at + error.len;
    const uint8_t *host = memchr(slot, ' ', (size_t)(end - slot)), *colon = memrchr(slot, ':', (size_t)(end - slot));
    if (!host || !colon || colon <= host)
        return false;
    rfm_bytes name = rfm_bytes_of(host + 1, (size_t)(colon - host) - 1);
    if ((name.len == 0 || rfm_bytes_is(name, "?")) && !from->local)
        name = rfm_text(from->host);
    return rfm__endpoint_set(to, name, rfm_bytes_of(colon + 1, (size_t)(end - colon) - 1));
}
