"""Which partition a key goes to, as Java clients compute it."""
from __future__ import annotations


def murmur2(data: bytes) -> int:
    seed, m, mask = 0x9747B28C, 0x5BD1E995, 0xFFFFFFFF
    h = (seed ^ len(data)) & mask
    whole = len(data) & ~3
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at : at + 4], "little")
        k = (k * m) & mask
        k ^= k >> 24
        k = (k * m) & mask
        h = ((h * m) & mask) ^ k
    rest = data[whole:]
    if rest:
        h ^= int.from_bytes(rest, "little")
        h = (h * m) & mask
    h ^= h >> 13
    h = (h * m) & mask
    return h ^ (h >> 15)


def partition_of(key: bytes, count: int) -> int:
    return (murmur2(key) & 0x7FFFFFFF) % count


def key_on(partition: int, count: int, prefix: str = "marker") -> str:
    """Some key that lies on the partition."""
    number = 0
    while partition_of(f"{prefix}-{number}".encode(), count) != partition:
        number += 1
    return f"{prefix}-{number}"
