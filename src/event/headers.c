#include <rfm/event/headers.h>

static void add_header(rfm_buffer *headers, rfm_bytes name, rfm_bytes value)
{
    size_t len_before = headers->len;
    rfm_write_sized(headers, name);
    rfm_write_varint(headers, value.at ? (uint64_t)value.len + 1 : 0);
    rfm_write_bytes(headers, value);
    if (headers->bad)
        headers->len = len_before;
}

void rfm_headers_add(rfm_buffer *headers, const char *name, rfm_bytes value)
{
    add_header(headers, rfm_text(name), value);
}

bool rfm_headers_next(rfm_bytes *rest, rfm_bytes *name, rfm_bytes *value)
{
    if (rest->len == 0)
        return false;
    rfm_reader reader = rfm_reader_of(*rest);
    rfm_bytes name_read = rfm_read_sized(&reader), value_read = RFM_BYTES_NONE;
    uint64_t value_len = rfm_read_varint(&reader);
    if (value_len > 0)
        value_read = rfm_read_bytes(&reader, (size_t)value_len - 1);
    if (reader.bad)
        return false;
    *name = name_read;
    *value = value_read;
    *rest = rfm_bytes_of(reader.at, rfm_reader_left(&reader));
    return true;
}

bool rfm_headers_find(rfm_bytes headers, const char *name, rfm_bytes *value)
{
    rfm_bytes name_found, value_found;
    while (rfm_headers_next(&headers, &name_found, &value_found)) {
        if (!rfm_bytes_is(name_found, name))
            continue;
        *value = value_found;
        return true;
    }
    return false;
}

static void add_number(rfm_buffer *headers, const char *name, int64_t number)
{
    char text[24];
    rfm_buffer digits = rfm_buffer_over(text, sizeof text);
    rfm_write_format(&digits, "%lld", (long long)number);
    rfm_headers_add(headers, name, rfm_buffer_view(&digits));
}

void rfm_dead_letter_headers(rfm_buffer *headers, rfm_bytes original, rfm_reason reason, const char *detail,
                             const char *topic, uint32_t partition, int64_t offset)
{
    rfm_write_bytes(headers, original);
    rfm_headers_add(headers, "rfmd.reason", rfm_text(rfm_reason_name(reason)));
    rfm_headers_add(headers, "rfmd.detail", rfm_text(detail));
    rfm_headers_add(headers, "rfmd.topic", rfm_text(topic));
    add_number(headers, "rfmd.partition", partition);
    add_number(headers, "rfmd.offset", offset);
}
