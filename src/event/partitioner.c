#include <rfm/base/hash.h>
#include <rfm/event/decode.h>

uint32_t rfm_partition_of(rfm_partitioner partitioner, rfm_bytes key, uint32_t partition_count)
{
    RFM_ASSERT(partition_count > 0);
    switch (partitioner) {
    case RFM_PARTITIONER_MURMUR2: return (rfm_murmur2(key) & 0x7fffffff) % partition_count;
    case RFM_PARTITIONER_CRC32: return rfm_crc32(key) % partition_count;
    case RFM_PARTITIONER_NONE: break;
    }
    return UINT32_MAX;
}
