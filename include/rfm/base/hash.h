/* XXH3 with seed 0: placement, ids, buckets. The values are public (docs/rules.md, "Ids"), so never another hash. */
#ifndef RFM_BASE_HASH_H
#define RFM_BASE_HASH_H

#include <rfm/base/bytes.h>

uint64_t rfm_hash64(rfm_bytes bytes);
void rfm_hash128(rfm_bytes bytes, uint8_t id[16]);       /* canonical: high half first, big endian */
void rfm_hex(const uint8_t *at, size_t len, char *text); /* 2 * len lower-case digits and a zero */
/* As Kafka's Java client: seed 0x9747b28c. Masking with 0x7fffffff is left to the caller. */
uint32_t rfm_murmur2(rfm_bytes bytes);
uint32_t rfm_crc32(rfm_bytes bytes); /* IEEE, as librdkafka's consistent partitioner */

#endif
