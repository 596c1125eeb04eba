#include <rfm/base/utf8.h>

/* Length of the well-formed sequence at `at` (RFC 3629, section 4); 0 with *broken_len (the maximal well-formed start,
 * at least 1) where there is none. */
static size_t sequence_len(const uint8_t *at, size_t left, size_t *broken_len)
{
    uint8_t first = at[0], low = 0x80, high = 0xbf;
    size_t len;
    if (first < 0x80)
        return 1;
    if (first >= 0xc2 && first <= 0xdf)
        len = 2;
    else if (first >= 0xe0 && first <= 0xef)
        len = 3;
    else if (first >= 0xf0 && first <= 0xf4)
        len = 4;
    else
        return *broken_len = 1, 0;
    if (first == 0xe0)
        low = 0xa0; /* overlong below */
    if (first == 0xed)
        high = 0x9f; /* surrogates above */
    if (first == 0xf0)
        low = 0x90;
    if (first == 0xf4)
        high = 0x8f; /* beyond U+10FFFF above */
    for (size_t i = 1; i < len; i++, low = 0x80, high = 0xbf) {
        if (i == left || at[i] < low || at[i] > high)
            return *broken_len = i, 0;
    }
    return len;
}

size_t rfm_utf8_mark_len(rfm_bytes bytes)
{
    const size_t len = sizeof RFM_UTF8_MARK - 1;
    return bytes.len >= len && memcmp(bytes.at, RFM_UTF8_MARK, len) == 0 ? len : 0;
}

bool rfm_utf8_valid(rfm_bytes bytes)
{
    size_t i = 0, broken_len;
    while (i < bytes.len) {
        uint64_t eight;
        if (bytes.len - i >= sizeof eight) {
            memcpy(&eight, bytes.at + i, sizeof eight);
            if ((eight & UINT64_C(0x8080808080808080)) == 0) {
                i += sizeof eight;
                continue;
            }
        }
        size_t len = sequence_len(bytes.at + i, bytes.len - i, &broken_len);
        if (len == 0)
            return false;
        i += len;
    }
    return true;
}

static bool is_plain(uint8_t byte)
{
    return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
}

static void write_escape(rfm_buffer *buffer, uint8_t byte)
{
    static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt"; /* pairs: the byte, its letter */
    for (const char *pair = shorts; *pair; pair += 2) {
        if ((uint8_t)pair[0] != byte)
            continue;
        rfm_write_bytes(buffer, rfm_bytes_of((char[]){'\\', pair[1]}, 2));
        return;
    }
    rfm_write_format(buffer, "\\u%04x", byte);
}

void rfm_write_json_string(rfm_buffer *buffer, rfm_bytes text)
{
    rfm_write_u8(buffer, '"');
    for (size_t i = 0; i < text.len;) {
        size_t start = i, broken_len = 0;
        while (i < text.len && is_plain(text.at[i]))
            i++;
        if (i > start)
            rfm_write_bytes(buffer, rfm_bytes_of(text.at + start, i - start));
        if (i == text.len)
            break;
        size_t len = text.at[i] < 0x80 ? 0 : sequence_len(text.at + i, text.len - i, &broken_len);
        if (text.at[i] < 0x80)
            write_escape(buffer, text.at[i++]);
        else if (len)
            rfm_write_bytes(buffer, rfm_bytes_of(text.at + i, len)), i += len;
        else
            rfm_write_text(buffer, "\xef\xbf\xbd"), i += broken_len;
    }
    rfm_write_u8(buffer, '"');
}
