#include <rfm/base/hash.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t rfm_hash64(rfm_bytes bytes)
{
    return XXH3_64bits(bytes.at, bytes.len);
}

void rfm_hash128(rfm_bytes bytes, uint8_t id[16])
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes.at, bytes.len));
    memcpy(id, canonical.digest, sizeof canonical.digest);
}

void rfm_hex(const uint8_t *at, size_t len, char *text)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        *text++ = digits[at[i] >> 4];
        *text++ = digits[at[i] & 15];
    }
    *text = 0;
}

uint32_t rfm_murmur2(rfm_bytes bytes)
{
    const uint32_t m = 0x5bd1e995;
    const uint8_t *at = bytes.at;
    uint32_t hash = 0x9747b28c ^ (uint32_t)bytes.len;
    size_t left = bytes.len;
    for (; left >= 4; left -= 4, at += 4) {
        uint32_t word = (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
        word *= m;
        word ^= word >> 24;
        hash = hash * m ^ word * m;
    }
    if (left >= 3)
        hash ^= (uint32_t)at[2] << 16;
    if (left >= 2)
        hash ^= (uint32_t)at[1] << 8;
    if (left >= 1)
        hash = (hash ^ at[0]) * m;
    hash = (hash ^ hash >> 13) * m;
    return hash ^ hash >> 15;
}

uint32_t rfm_crc32(rfm_bytes bytes)
{
    /* The remainders of the 16 half-bytes; keys are too short for a larger table to pay. */
    static const uint32_t remainders[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
        0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < bytes.len; i++) {
        crc ^= bytes.at[i];
        crc = crc >> 4 ^ remainders[crc & 15];
        crc = crc >> 4 ^ remainders[crc & 15];
    }
    return ~crc;
}
