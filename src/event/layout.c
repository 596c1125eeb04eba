#include "layout.h"

void rfm__lay_names(decode_run *run)
{
    run->own_names = rfm_arena_take(&run->decoder->arena, FIELD_COUNT * sizeof *run->own_names);
    memcpy(run->own_names, run->names, FIELD_COUNT * sizeof *run->own_names);
    run->names = run->own_names;
}

void rfm__lay_begin(decode_run *run)
{
    run->names = rfm__native_names;
    run->fields.seen = 0;
    rfm__lay_names(run);
}

void rfm__lay(decode_run *run, field_id field, yyjson_val *value, const char *name)
{
    run->own_names[field] = name;
    run->fields.at[field] = value;
    if (value)
        run->fields.seen |= UINT64_C(1) << field;
    else
        run->fields.seen &= ~(UINT64_C(1) << field);
}

void rfm__lay_text(decode_run *run, field_id field, rfm_bytes text, const char *name)
{
    yyjson_val *value = NULL;
    if (text.at) {
        value = rfm_arena_take(&run->decoder->arena, sizeof *value);
        unsafe_yyjson_set_strn(value, (const char *)text.at, text.len);
    }
    rfm__lay(run, field, value, name);
}

void rfm__lay_page(decode_run *run, yyjson_val *value, const char *name)
{
    rfm_bytes address = rfm__string(value);
    size_t len = 0;
    while (len < address.len && address.at[len] != '?' && address.at[len] != '#')
        len++;
    if (address.at)
        rfm__lay_text(run, FIELD_page, rfm_bytes_of(address.at, len), name);
    else
        rfm__lay(run, FIELD_page, value, name);
}

void rfm__ignore(decode_run *run)
{
    if (run->reason != RFM_REASON_NONE)
        return;
    run->reason = RFM_REASON_IGNORED;
    if (run->fault)
        *run->fault = (rfm_fault){.reason = RFM_REASON_IGNORED};
}

static size_t index_of(const rfm_bytes *names, size_t count, yyjson_val *name)
{
    const char *text = unsafe_yyjson_get_str(name);
    size_t i = 0, len = unsafe_yyjson_get_len(name);
    while (i < count && (names[i].len != len || memcmp(names[i].at, text, len) != 0))
        i++;
    return i;
}

void rfm__pick(yyjson_val *object, const rfm_bytes *names, size_t count, yyjson_val **at)
{
    yyjson_val *name, *value;
    size_t place, places;
    memset(at, 0, count * sizeof *at);
    if (!object)
        return;
    yyjson_obj_foreach(object, place, places, name, value)
    {
        size_t i = index_of(names, count, name);
        if (i < count && !at[i])
            at[i] = value;
    }
    for (size_t i = 0; i < count; i++)
        if (at[i] && unsafe_yyjson_is_null(at[i]))
            at[i] = NULL;
}

yyjson_val *rfm__object(decode_run *run, yyjson_val *value, const char *name)
{
    if (!value || unsafe_yyjson_is_obj(value))
        return value;
    refuse(run, RFM_REASON_WRONG_TYPE, "%s is not an object", name);
    return NULL;
}

yyjson_val *rfm__array(decode_run *run, yyjson_val *value, const char *name)
{
    if (!value || unsafe_yyjson_is_arr(value))
        return value;
    refuse(run, RFM_REASON_WRONG_TYPE, "%s is not an array", name);
    return NULL;
}

rfm_bytes rfm__string(yyjson_val *value)
{
    if (!value || !unsafe_yyjson_is_str(value))
        return RFM_BYTES_NONE;
    return rfm_bytes_of(unsafe_yyjson_get_str(value), unsafe_yyjson_get_len(value));
}

yyjson_val *rfm__unless_empty(yyjson_val *value)
{
    return value && unsafe_yyjson_is_str(value) && unsafe_yyjson_get_len(value) == 0 ? NULL : value;
}

void rfm__unquote(yyjson_val *value)
{
    if (unsafe_yyjson_is_str(value))
        unsafe_yyjson_set_raw(value, unsafe_yyjson_get_str(value), unsafe_yyjson_get_len(value));
}

rfm_bytes rfm__join(decode_run *run, const rfm_bytes *parts, size_t count)
{
    size_t len = 0, at = 0;
    for (size_t i = 0; i < count; i++)
        len += parts[i].len + (i > 0);
    char *joined = rfm_arena_take(&run->decoder->arena, len);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            joined[at++] = 0x1f;
        if (parts[i].len > 0)
            memcpy(joined + at, parts[i].at, parts[i].len);
        at += parts[i].len;
    }
    return rfm_bytes_of(joined, len);
}
