/* CloudEvents 1.0 over Kafka whose data is a native event. Binary mode: the value is the data, the attributes are
 * headers `ce_`; structured mode: both are members of the value. What the data does not say of type, id, client_id and
 * time the attributes do: type (its last part, but for a version), source 0x1F id, subject, time. */
#include "layout.h"

#include <rfm/base/utf8.h>
#include <rfm/event/headers.h>

#include <strings.h>

#define ATTRIBUTES(X) X(specversion) X(id) X(source) X(type) X(time) X(subject)
enum {
#define X(name) ATTRIBUTE_##name,
    ATTRIBUTES(X)
#undef X
        ATTRIBUTE_COUNT
};
enum { DATA = ATTRIBUTE_COUNT, DATA_BASE64, MEMBER_COUNT };

static const rfm_bytes member_names[] = {ATTRIBUTES(RFM__NAME) RFM__NAME(data) RFM__NAME(data_base64)};
#define X(name) "ce_" #name,
static const char *const header_names[] = {ATTRIBUTES(X)};
#undef X
#define X(name) #name,
static const char *const attribute_names[] = {ATTRIBUTES(X)};
#undef X

struct attributes {
    const char *const *names; /* for messages */
    rfm_bytes at[ATTRIBUTE_COUNT];
};

static bool says_structured(const decode_run *run)
{
    static const char prefix[] = "application/cloudevents";
    const size_t len = sizeof prefix - 1;
    rfm_bytes type;
    return rfm_headers_find(run->headers, "content-type", &type) && type.len >= len &&
           strncasecmp((const char *)type.at, prefix, len) == 0;
}

/* How many were there. */
static size_t read_headers(const decode_run *run, struct attributes *attributes)
{
    rfm_bytes rest = run->headers, name, value;
    size_t count = 0;
    attributes->names = header_names;
    memset(attributes->at, 0, sizeof attributes->at);
    while (rfm_headers_next(&rest, &name, &value)) {
        for (size_t i = 0; i < ATTRIBUTE_COUNT; i++) {
            if (attributes->at[i].at || !value.at || !rfm_bytes_is(name, header_names[i]))
                continue;
            attributes->at[i] = value;
            count++;
        }
    }
    return count;
}

static void read_members(decode_run *run, yyjson_val *const *members, struct attributes *attributes)
{
    attributes->names = attribute_names;
    for (size_t i = 0; i < ATTRIBUTE_COUNT; i++) {
        attributes->at[i] = rfm__string(members[i]);
        if (members[i] && !attributes->at[i].at)
            refuse(run, RFM_REASON_WRONG_TYPE, "%s is not a string", attribute_names[i]);
    }
}

static void check_attributes(decode_run *run, const struct attributes *attributes)
{
    rfm_bytes version = attributes->at[ATTRIBUTE_specversion];
    for (size_t i = 0; i < ATTRIBUTE_COUNT; i++)
        if (!rfm_utf8_valid(attributes->at[i]))
            refuse(run, RFM_REASON_BAD_VALUE, "%s is not UTF-8", attributes->names[i]);
    if (version.at && !rfm_bytes_is(version, "1.0"))
        refuse(run, RFM_REASON_BAD_VALUE, "%s is not 1.0", attributes->names[ATTRIBUTE_specversion]);
}

/* Data */

static int sextet(uint8_t c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+'             ? 62
           : c == '/'             ? 63
                                  : -1;
}

/* RFC 4648, section 4, with padding; bits that padding leaves over are zero. False: it is none. */
static bool decode_base64(rfm_bytes text, uint8_t *to, size_t *len)
{
    size_t padding = 0;
    if (text.len % 4 != 0)
        return false;
    while (padding < 2 && padding < text.len && text.at[text.len - 1 - padding] == '=')
        padding++;
    uint32_t bits = 0;
    *len = 0;
    for (size_t i = 0; i < text.len - padding; i++) {
        int six = sextet(text.at[i]);
        if (six < 0)
            return false;
        bits = bits << 6 | (uint32_t)six;
        if (i % 4 != 0)
            to[(*len)++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
    }
    return padding == 0 || (bits & ((1u << 2 * padding) - 1)) == 0;
}

static yyjson_val *parse_base64(decode_run *run, yyjson_val *value)
{
    rfm_bytes text = rfm__string(value);
    size_t len;
    if (!text.at) {
        refuse(run, RFM_REASON_WRONG_TYPE, "data_base64 is not a string");
        return NULL;
    }
    uint8_t *data = rfm_arena_take(&run->decoder->arena, text.len / 4 * 3 + 3);
    if (!decode_base64(text, data, &len)) {
        refuse(run, RFM_REASON_BAD_VALUE, "data_base64 is not base64");
        return NULL;
    }
    return rfm__parse_object(run, rfm_bytes_of(data, len), "data_base64: ");
}

static yyjson_val *data_of(decode_run *run, yyjson_val *const *members)
{
    if (!members[DATA] && members[DATA_BASE64])
        return parse_base64(run, members[DATA_BASE64]);
    if (!members[DATA]) /* the attributes may say all */
        return rfm__parse_object(run, rfm_text("{}"), "data: ");
    return rfm__object(run, members[DATA], "data");
}

/* Layout */

static bool is_version(rfm_bytes part)
{
    for (size_t i = 1; i < part.len; i++)
        if (part.at[i] < '0' || part.at[i] > '9')
            return false;
    return part.len > 1 && part.at[0] == 'v';
}

static rfm_bytes cut_at_last_dot(rfm_bytes *type)
{
    const uint8_t *dot = type->len ? memrchr(type->at, '.', type->len) : NULL;
    if (!dot)
        return *type;
    rfm_bytes part = rfm_bytes_of(dot + 1, type->len - (size_t)(dot + 1 - type->at));
    *type = rfm_bytes_of(type->at, (size_t)(dot - type->at));
    return part;
}

/* "com.example.shop.purchase.v2": "purchase". */
static rfm_bytes last_part(rfm_bytes type)
{
    rfm_bytes rest = type, part = cut_at_last_dot(&rest);
    return is_version(part) ? cut_at_last_dot(&rest) : part;
}

static void lay_missing(decode_run *run, field_id field, rfm_bytes text, const char *name)
{
    yyjson_val *value = run->fields.seen >> field & 1 ? run->fields.at[field] : NULL;
    if (!value || unsafe_yyjson_is_null(value))
        rfm__lay_text(run, field, text, name);
}

static void lay_id(decode_run *run, const struct attributes *attributes)
{
    const rfm_bytes parts[] = {attributes->at[ATTRIBUTE_source], attributes->at[ATTRIBUTE_id]};
    if (parts[0].len > 0 && parts[1].len > 0)
        lay_missing(run, FIELD_id, rfm__join(run, parts, 2), attributes->names[ATTRIBUTE_id]);
    else
        lay_missing(run, FIELD_id, RFM_BYTES_NONE, attributes->names[parts[0].len ? ATTRIBUTE_id : ATTRIBUTE_source]);
}

static void decode_data(decode_run *run, yyjson_val *data, const struct attributes *attributes)
{
    rfm__sort_event(run, data);
    rfm__lay_names(run);
    lay_missing(run, FIELD_type, last_part(attributes->at[ATTRIBUTE_type]), attributes->names[ATTRIBUTE_type]);
    lay_id(run, attributes);
    lay_missing(run, FIELD_client_id, attributes->at[ATTRIBUTE_subject], attributes->names[ATTRIBUTE_subject]);
    lay_missing(run, FIELD_time, attributes->at[ATTRIBUTE_time], attributes->names[ATTRIBUTE_time]);
    rfm__decode_sorted(run);
}

static void decode_structured(decode_run *run, yyjson_val *const *members)
{
    struct attributes attributes;
    read_members(run, members, &attributes);
    check_attributes(run, &attributes);
    yyjson_val *data = run->reason == RFM_REASON_NONE ? data_of(run, members) : NULL;
    if (data)
        decode_data(run, data, &attributes);
}

void rfm__decode_cloudevent(decode_run *run, yyjson_val *root)
{
    yyjson_val *members[MEMBER_COUNT];
    struct attributes attributes;
    rfm__bound_depth(run, root);
    rfm__pick(root, member_names, MEMBER_COUNT, members);
    if (says_structured(run)) {
        decode_structured(run, members);
    } else if (read_headers(run, &attributes) > 0) {
        check_attributes(run, &attributes);
        decode_data(run, root, &attributes);
    } else if (members[ATTRIBUTE_specversion]) {
        decode_structured(run, members);
    } else {
        refuse(run, RFM_REASON_MISSING_FIELD, "specversion is missing, and there are no headers ce_");
    }
}

bool rfm__is_cloudevent(const decode_run *run, yyjson_val *root)
{
    yyjson_val *members[MEMBER_COUNT];
    struct attributes attributes;
    rfm__pick(root, member_names, MEMBER_COUNT, members);
    return members[ATTRIBUTE_specversion] || read_headers(run, &attributes) > 0 || says_structured(run);
}
