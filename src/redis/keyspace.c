#include "keyspace.h"

#include "store.h"

#include <stdio.h>

/* x^16 + x^12 + x^5 + 1, started at 0: Redis Cluster specification, "Keys distribution model". Four bits at a time. */
static uint16_t crc16(uint16_t crc, rfm_bytes bytes)
{
    static const uint16_t steps[16] = {
        0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5, 0x60c6, 0x70e7,
        0x8108, 0x9129, 0xa14a, 0xb16b, 0xc18c, 0xd1ad, 0xe1ce, 0xf1ef,
    };
    for (size_t i = 0; i < bytes.len; i++) {
        crc = (uint16_t)(crc << 4 ^ steps[(crc >> 12 ^ bytes.at[i] >> 4) & 15]);
        crc = (uint16_t)(crc << 4 ^ steps[(crc >> 12 ^ bytes.at[i]) & 15]);
    }
    return crc;
}

uint32_t rfm__slot_of(rfm_bytes tag)
{
    return crc16(0, tag) % RFM_SLOT_COUNT;
}

static size_t base36(uint32_t number, char text[8])
{
    char reversed[8];
    size_t len = 0;
    do {
        reversed[len++] = "0123456789abcdefghijklmnopqrstuvwxyz"[number % 36];
        number /= 36;
    } while (number);
    for (size_t i = 0; i < len; i++)
        text[i] = reversed[len - 1 - i];
    return len;
}

size_t rfm__tag_format(uint32_t task, uint32_t task_count, char tag[RFM_TAG_MAX])
{
    RFM_ASSERT(task < task_count && task_count <= RFM_TASKS_MAX);
    uint32_t first = task * RFM_SLOT_COUNT / task_count, share = RFM_SLOT_COUNT / task_count;
    uint32_t from = first + share * 7 / 16, until = from + (share < 16 ? 1 : share / 8);
    size_t head_len = (size_t)snprintf(tag, RFM_TAG_MAX, "%u-", task), suffix_len;
    uint16_t head = crc16(0, rfm_bytes_of(tag, head_len));
    uint32_t slot, number = 0;
    do {
        suffix_len = base36(number++, tag + head_len);
        slot = crc16(head, rfm_bytes_of(tag + head_len, suffix_len)) % RFM_SLOT_COUNT;
    } while (slot < from || slot >= until);
    tag[head_len + suffix_len] = '\0';
    return head_len + suffix_len;
}

int rfm__prefix_check(const char *prefix, rfm_error *error)
{
    size_t len = prefix ? strlen(prefix) : 0;
    if (len == 0)
        return rfm_fail(error, RFM_E_MALFORMED, "redis.prefix: must not be empty");
    if (len > RFM_STORE_PREFIX_MAX)
        return rfm_fail(error, RFM_E_TOO_LARGE, "redis.prefix: at most %d bytes", RFM_STORE_PREFIX_MAX);
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)prefix[i] <= ' ' || prefix[i] == 0x7f || prefix[i] == '{' || prefix[i] == '}')
            return rfm_fail(error, RFM_E_MALFORMED, "redis.prefix: no '{', '}', white space or control characters");
    }
    return RFM_OK;
}

void rfm__keyspace_init(rfm_keyspace *space, const char *prefix, uint32_t task, uint32_t task_count)
{
    char tag[RFM_TAG_MAX];
    rfm__tag_format(task, task_count, tag);
    int len = snprintf(space->start, sizeof space->start, "%s:{%s}:", prefix, tag);
    RFM_ASSERT(len > 0 && (size_t)len < sizeof space->start);
    space->start_len = (size_t)len;
}
