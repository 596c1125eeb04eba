#include "request.h"

#include <stdio.h>

enum { PACKED_FIELD_BYTES_MIN = 1024 }; /* hardly a state is larger */
enum { VERSION_MAJOR_MIN = 6 }; /* older ones may refuse MULTI alone, and then run what follows without a fence */

typedef enum greeting_step {
    LOGIN,
    DATABASE,
    NAME,
    INFO,
    POLICY,
    PACKING,
    META,
    MULTI,
    EXEC,
    SET_FIELD,
    IDENTIFIED,
    META_AGAIN
} greeting_step;

static void add_step(rfm_request *request, greeting_step step)
{
    RFM_ASSERT(request->expected < sizeof request->greeting.steps);
    request->greeting.steps[request->expected++] = (uint8_t)step;
}

void rfm__meta_key_write(const rfm_identity *identity, rfm_buffer *out)
{
    char key[RFM_STORE_PREFIX_MAX + 8];
    snprintf(key, sizeof key, "%s:meta", identity->prefix);
    rfm__command_text(out, key);
}

static void write_login(rfm_buffer *out, const rfm_identity *identity)
{
    rfm__command_begin(out, identity->username ? 3 : 2);
    rfm__command_text(out, "AUTH");
    if (identity->username)
        rfm__command_text(out, identity->username);
    rfm__command_text(out, identity->password ? identity->password : "");
}

static void write_read_meta(rfm_buffer *out, const rfm_identity *identity)
{
    rfm__command_begin(out, 2);
    rfm__command_text(out, "HGETALL");
    rfm__meta_key_write(identity, out);
}

static void write_arrival(rfm_request *request, const rfm_identity *identity, rfm_buffer *out)
{
    if (identity->password || identity->username) {
        write_login(out, identity);
        add_step(request, LOGIN);
    }
    if (identity->database) {
        rfm__command_begin(out, 2);
        rfm__command_text(out, "SELECT");
        rfm__command_number(out, identity->database);
        add_step(request, DATABASE);
    }
    rfm__command_words(out, "CLIENT SETNAME rfmd");
    add_step(request, NAME);
}

void rfm__greet_write(rfm_request *request, const rfm_identity *identity, bool login, bool meta, rfm_buffer *out)
{
    request->greeting.identity = identity;
    if (login)
        write_arrival(request, identity, out);
    rfm__command_words(out, "INFO");
    add_step(request, INFO);
    rfm__command_words(out, "CONFIG GET maxmemory-policy");
    add_step(request, POLICY);
    rfm__command_words(out, "CONFIG GET hash-max-*-value"); /* listpack; ziplist before 7 */
    add_step(request, PACKING);
    if (meta) {
        write_read_meta(out, identity);
        add_step(request, META);
    }
    rfm__command_words(out, "MULTI"); /* whether we may: changes rely on it */
    add_step(request, MULTI);
    rfm__command_words(out, "EXEC");
    add_step(request, EXEC);
}

void rfm__visit_write(rfm_request *request, const rfm_identity *identity, bool meta, rfm_buffer *out)
{
    request->greeting.identity = identity;
    write_arrival(request, identity, out);
    if (identity->layout == RFM_SENTINEL) { /* what a Sentinel says may be old */
        rfm__command_words(out, "INFO");
        add_step(request, INFO);
    }
    if (meta) {
        write_read_meta(out, identity);
        add_step(request, META);
    }
}

void rfm__identify_write(rfm_request *request, const rfm_identity *identity, bool raise, rfm_buffer *out)
{
    rfm__command_words(out, "MULTI");
    request->greeting.identity = identity;
    request->expected = 1 + identity->meta_count + 2; /* MULTI; EXEC and HGETALL */
    for (size_t i = 0; i < identity->meta_count; i++) {
        rfm__command_begin(out, 4);
        rfm__command_text(out, raise && identity->meta[i].is_format ? "HSET" : "HSETNX");
        rfm__meta_key_write(identity, out);
        rfm__command_text(out, identity->meta[i].name);
        rfm__command_text(out, identity->meta[i].value);
    }
    rfm__command_words(out, "EXEC");
    write_read_meta(out, identity);
}

static greeting_step step_of(const rfm_request *request)
{
    if (request->kind == RFM_REQUEST_GREET)
        return (greeting_step)request->greeting.steps[request->seen];
    if (request->seen == 0)
        return MULTI;
    size_t left = request->expected - request->seen;
    return left == 1 ? META_AGAIN : left == 2 ? IDENTIFIED : SET_FIELD;
}

/* The value of `name` in INFO's lines; at NULL: not there. */
static rfm_bytes info_field(rfm_bytes info, const char *name)
{
    size_t name_len = strlen(name);
    const uint8_t *at = info.at, *end = info.at + info.len;
    while (at < end) {
        const uint8_t *line_end = memchr(at, '\n', (size_t)(end - at));
        const uint8_t *next = line_end ? line_end + 1 : end;
        size_t len = (size_t)((line_end ? line_end : end) - at);
        if (len && at[len - 1] == '\r')
            len--;
        if (len > name_len && memcmp(at, name, name_len) == 0 && at[name_len] == ':')
            return rfm_bytes_of(at + name_len + 1, len - name_len - 1);
        at = next;
    }
    return RFM_BYTES_NONE;
}

static void keep_policy(rfm_greeting *greeting, rfm_bytes policy)
{
    rfm__reply_quote(policy, greeting->policy, sizeof greeting->policy);
}

static rfm_verdict take_login(const rfm_reply *reply, char why[RFM_WHY_MAX])
{
    if (rfm__is_ok(reply))
        return RFM_GOES_ON;
    /* Never what the server said: some repeat the arguments. */
    const char *said = reply->kind != RFM_REPLY_ERROR              ? "an odd answer"
                       : rfm__reply_says(reply->text, "WRONGPASS") ? "wrong user or password"
                       : rfm__reply_says(reply->text, "NOPERM")    ? "no permission"
                                                                   : "refused; does it have a password at all?";
    return rfm__verdict(RFM_GIVE_UP, why, "the login failed (%s): check redis.username and redis.password_file", said);
}

static rfm_verdict take_info(rfm_greeting *greeting, const rfm_reply *reply, char why[RFM_WHY_MAX])
{
    if (reply->kind == RFM_REPLY_ERROR && rfm__reply_says(reply->text, "NOAUTH"))
        return rfm__verdict(RFM_GIVE_UP, why, "it wants a password (NOAUTH): set redis.password_file");
    if (reply->kind == RFM_REPLY_ERROR && rfm__reply_says(reply->text, "NOPERM"))
        return rfm__verdict(RFM_GIVE_UP, why, "its user may not run INFO (NOPERM): allow it");
    if (reply->kind != RFM_REPLY_TEXT)
        return rfm__unexpected("INFO", reply, why);
    rfm_bytes version = info_field(reply->text, "redis_version");
    int major = 0;
    for (size_t i = 0; i < version.len && version.at[i] >= '0' && version.at[i] <= '9' && major < 1000; i++)
        major = major * 10 + (version.at[i] - '0');
    if (major < VERSION_MAJOR_MIN)
        return rfm__verdict(RFM_REFUSE, why, "its version is too old: %d or newer is needed", VERSION_MAJOR_MIN);
    bool cluster = greeting->identity->layout == RFM_CLUSTER;
    if (cluster != rfm_bytes_is(info_field(reply->text, "cluster_enabled"), "1"))
        return rfm__verdict(RFM_REFUSE, why,
                            cluster ? "it is no node of a Redis Cluster: set redis.url to redis://host:port"
                                    : "it is a node of a Redis Cluster: set redis.url to redis+cluster://host:port");
    /* A Cluster's replica sends us on with the first key. */
    if (!cluster && !rfm_bytes_is(info_field(reply->text, "role"), "master"))
        return rfm__verdict(RFM_GIVE_UP, why, "it is a replica; the master is needed");
    keep_policy(greeting, info_field(reply->text, "maxmemory_policy"));
    return RFM_GOES_ON;
}

static rfm_verdict take_policy(rfm_greeting *greeting, const rfm_reply *reply, char why[RFM_WHY_MAX])
{
    if (reply->kind == RFM_REPLY_ARRAY && reply->count == 2)
        keep_policy(greeting, reply->elements[1]);
    if (greeting->policy[0] == '\0')
        return rfm__verdict(RFM_GIVE_UP, why, "it does not tell its maxmemory-policy: allow CONFIG GET or INFO");
    if (strcmp(greeting->policy, "noeviction") == 0)
        return RFM_GOES_ON;
    return rfm__verdict(RFM_REFUSE, why,
                        "its maxmemory-policy is %s, by which it may throw state away: set it to noeviction",
                        greeting->policy);
}

uint32_t rfm__format_of(rfm_bytes text, rfm_bytes *rest)
{
    uint64_t format = 0;
    size_t i = 0;
    for (; i < text.len && text.at[i] >= '0' && text.at[i] <= '9'; i++)
        format = format < UINT32_MAX ? format * 10 + (uint64_t)(text.at[i] - '0') : format;
    *rest = i > 0 ? rfm_bytes_of(text.at + i, text.len - i) : text; /* which may be nil */
    return format < UINT32_MAX ? (uint32_t)format : UINT32_MAX;
}

/* Only a hint: a server that does not tell is not asked twice. */
static rfm_verdict take_packing(rfm_greeting *greeting, const rfm_reply *reply)
{
    rfm_bytes rest;
    bool told = reply->kind == RFM_REPLY_ARRAY && reply->count >= 2;
    greeting->spreads_states = told && rfm__format_of(reply->elements[1], &rest) < PACKED_FIELD_BYTES_MIN;
    return RFM_GOES_ON;
}

rfm_bytes rfm__meta_value(const rfm_bytes *values, size_t count, const char *name)
{
    for (size_t i = 0; i + 1 < count; i += 2)
        if (rfm_bytes_is(values[i], name))
            return values[i + 1];
    return RFM_BYTES_NONE;
}

/* How a value stands to what we would have written. */
typedef enum likeness { OTHER, SAME, OLDER, NEWER, LACKING } likeness;

static likeness likeness_of(const rfm_store_field *field, rfm_bytes value, uint32_t *format)
{
    rfm_bytes rest, own_rest;
    if (!value.at)
        return field->is_late ? LACKING : OTHER;
    if (rfm_bytes_is(value, field->value))
        return SAME;
    uint32_t own = rfm__format_of(rfm_text(field->value), &own_rest);
    *format = rfm__format_of(value, &rest);
    if (!field->is_format || *format == 0 || *format == own || !rfm_bytes_equal(rest, own_rest))
        return OTHER;
    return *format < own ? OLDER : NEWER;
}

/* An array of field, value, field, value against what meta must be. */
static rfm_verdict check_meta(rfm_greeting *greeting, const rfm_bytes *values, size_t count, char why[RFM_WHY_MAX])
{
    const rfm_identity *identity = greeting->identity;
    for (size_t i = 0; i < identity->meta_count; i++) {
        const rfm_store_field *field = &identity->meta[i];
        rfm_bytes value = rfm__meta_value(values, count, field->name);
        char found[96] = "nothing";
        uint32_t format;
        likeness is = likeness_of(field, value, &format);
        if (value.at)
            rfm__reply_quote(value, found, sizeof found);
        if (is == OLDER)
            greeting->older_format = format;
        if (is == LACKING)
            greeting->meta_lacks = true;
        if (is == NEWER)
            return rfm__verdict(RFM_REFUSE, why,
                                "%s:meta says %s=%s, which a newer rfmd has made; this one, %s, knows up to %.96s: run "
                                "the newer one",
                                identity->prefix, field->name, found, RFM_VERSION, field->value);
        if (is == OTHER)
            return rfm__verdict(
                RFM_REFUSE, why,
                "%s:meta says %s=%s, but this configuration has %.96s: the state under this prefix is "
                "another's; set another redis.prefix, or correct kafka.brokers, kafka.group or the topics",
                identity->prefix, field->name, found, field->value);
    }
    return RFM_GOES_ON;
}

static rfm_verdict take_meta(rfm_greeting *greeting, const rfm_reply *reply, bool again, char why[RFM_WHY_MAX])
{
    if (reply->kind != RFM_REPLY_ARRAY)
        return rfm__unexpected("HGETALL", reply, why);
    if (reply->count == 0 && !again) {
        greeting->meta_absent = greeting->identity->meta_count > 0;
        return RFM_GOES_ON;
    }
    return check_meta(greeting, reply->elements, reply->count, why);
}

rfm_verdict rfm__greet_take(rfm_request *request, const rfm_reply *reply, char why[RFM_WHY_MAX])
{
    rfm_greeting *greeting = &request->greeting;
    bool queued = reply->kind == RFM_REPLY_STATUS && rfm_bytes_is(reply->text, "QUEUED");
    bool executed = reply->kind == RFM_REPLY_ARRAY && !reply->error.at;
    switch (step_of(request)) {
    case LOGIN: return take_login(reply, why);
    case DATABASE: return rfm__is_ok(reply) ? RFM_GOES_ON : rfm__unexpected("SELECT", reply, why);
    case NAME: return RFM_GOES_ON; /* only for those who look at CLIENT LIST */
    case INFO: return take_info(greeting, reply, why);
    case POLICY: return take_policy(greeting, reply, why);
    case PACKING: return take_packing(greeting, reply);
    case META: return take_meta(greeting, reply, false, why);
    case META_AGAIN: return take_meta(greeting, reply, true, why);
    case MULTI: return rfm__is_ok(reply) ? RFM_GOES_ON : rfm__unexpected("MULTI", reply, why);
    case SET_FIELD: return queued ? RFM_GOES_ON : rfm__unexpected("HSETNX", reply, why);
    case EXEC: /* nil: what this connection still watched was touched; all that is asked is whether it may */
        return executed || reply->kind == RFM_REPLY_NIL ? RFM_GOES_ON : rfm__unexpected("EXEC", reply, why);
    case IDENTIFIED: return executed ? RFM_GOES_ON : rfm__unexpected("EXEC", reply, why);
    }
    RFM_ASSERT(false);
}

void rfm__watch_write(rfm_request *request, const rfm_keyspace *space, rfm_buffer *out)
{
    static const char *const names[] = {"WATCH", "GET"};
    for (int i = 0; i < 2; i++) {
        rfm__command_begin(out, 2);
        rfm__command_text(out, names[i]);
        rfm__command_key(out, space, rfm_text(RFM_KEY_WAL));
    }
    request->expected += 2;
}

rfm_verdict rfm__watch_take(rfm_request *request, const rfm_reply *reply, char why[RFM_WHY_MAX])
{
    bool last = request->seen + 1 == request->expected;
    if (!last)
        return rfm__is_ok(reply) ? RFM_GOES_ON : rfm__unexpected("WATCH", reply, why);
    if (!rfm__reply_is_text(reply))
        return rfm__unexpected("GET", reply, why);
    request->wal = reply->text;
    return RFM_GOES_ON;
}
