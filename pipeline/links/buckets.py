"""Buckets of hosts: a hash of the host decides the file of its links, whatever the number of workers.

The number of buckets is a power of two: the highest bits of the hash are the bucket. A spill has 256 buckets, called slots.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache

HASH_BITS = 32
SLOT_BITS = 8
LINKS_PER_BUCKET = 20_000
SINGLE_BUCKET_LINKS = 200
"""Up to this many submissions go to one bucket."""


@lru_cache(maxsize=1 << 16)
def host_hash(host: str) -> int:
    """A hash of 32 bits: buckets and slots are its highest bits."""
    return int.from_bytes(hashlib.blake2b(host.encode(), digest_size=HASH_BITS // 8).digest(), "big")


@dataclass(frozen=True, slots=True)
class BucketRange:
    """The buckets of one part of the fold: `first` to `last` (excluded) of `buckets`.

    Their hosts are in the slots `low` to `high` (excluded) of a spill.
    """

    first: int
    last: int
    buckets: int
    low: int
    high: int


def bucket_count(submissions: int) -> int:
    """The number of files of links: a power of two that depends on the data alone, at least four so that workers can share.

    >>> [bucket_count(submissions) for submissions in (200, 201, 80_001)]
    [1, 4, 8]
    """
    if submissions <= SINGLE_BUCKET_LINKS:
        return 1
    return max(4, 1 << (-(-submissions // LINKS_PER_BUCKET) - 1).bit_length())


def bucket_ranges(buckets: int) -> list[BucketRange]:
    """The parts of a fold: one per bucket, or one per slot where there are more buckets than slots."""
    slots = 1 << SLOT_BITS
    parts = min(buckets, slots)
    return [
        BucketRange(i * buckets // parts, (i + 1) * buckets // parts, buckets, i * slots // parts, (i + 1) * slots // parts)
        for i in range(parts)
    ]
