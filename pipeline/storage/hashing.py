"""Choices by a document's id: the same for any number of workers, and unmoved when the corpus grows."""

import hashlib

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def mixed(ids: pa.Array, seed: int, salt: bytes) -> npt.NDArray[np.uint64]:
    """A 64-bit hash of each 16-byte id, evenly spread; other seeds and salts give unrelated ones.

    Ids are hashes of text already, so their first half is only mixed further (splitmix64's finish).
    """
    raw = np.frombuffer(ids.buffers()[1], "<u8", 2 * len(ids), 16 * ids.offset)[::2] if len(ids) else np.zeros(0, np.uint64)
    digest = hashlib.blake2b(salt + seed.to_bytes(8, "little", signed=True), digest_size=8).digest()
    value = raw ^ np.uint64(int.from_bytes(digest, "little"))
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        value = (value ^ (value >> np.uint64(shift))) * np.uint64(factor)
    return np.asarray(value ^ (value >> np.uint64(31)), np.uint64)


def chosen(ids: pa.Array, share: float, seed: int, salt: bytes) -> npt.NDArray[np.bool_]:
    """Whether each id falls into the seeded share (0 to 1)."""
    if share >= 1:
        return np.ones(len(ids), bool)
    return mixed(ids, seed, salt) < np.uint64(int(share * 2.0**64))
