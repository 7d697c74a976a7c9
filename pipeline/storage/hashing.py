"""Pseudo-random choices by document id: independent of the number of workers, and stable when the corpus grows."""

import hashlib

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def hash_ids(ids: pa.Array, seed: int, salt: bytes) -> npt.NDArray[np.uint64]:
    """Uniform 64-bit hashes of 16-byte ids; another seed or salt gives unrelated hashes.

    Ids are hashes of text already, so only their first half is mixed further (the finalizer of splitmix64).
    """
    raw = np.frombuffer(ids.buffers()[1], "<u8", 2 * len(ids), 16 * ids.offset)[::2] if len(ids) else np.zeros(0, np.uint64)
    digest = hashlib.blake2b(salt + seed.to_bytes(8, "little", signed=True), digest_size=8).digest()
    return mix(raw ^ np.uint64(int.from_bytes(digest, "little")))


def mix(value: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Unrelated 64-bit numbers for different ones: the finalizer of splitmix64."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        value = (value ^ (value >> np.uint64(shift))) * np.uint64(factor)
    return np.asarray(value ^ (value >> np.uint64(31)), np.uint64)


def in_sample(ids: pa.Array, share: float, seed: int, salt: bytes) -> npt.NDArray[np.bool_]:
    """Whether each id falls into the seeded sample. `share` is the expected share of ids in it, 0 to 1."""
    if share >= 1:
        return np.ones(len(ids), bool)
    return hash_ids(ids, seed, salt) < np.uint64(int(share * 2.0**64))
