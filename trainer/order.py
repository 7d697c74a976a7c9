"""The order of windows: a keyed permutation that is computed, not stored.

A Feistel network over the smallest even number of bits that holds `size`, walked until it falls below `size` (Black and Rogaway 2002).
Its round function mixes by multiplying and shifting: one that only multiplies and adds leaks its low bits (measured on a peer: the low
bits of the output could be predicted without error).
"""

import hashlib

import numpy as np
import numpy.typing as npt

ROUNDS = 6
"""Two fail a chi-squared test of successive pairs, three pass; six leave room."""

Indices = npt.NDArray[np.uint64]


class Permutation:
    """A bijection of 0 … size-1 chosen by `seed` and `epoch`."""

    def __init__(self, size: int, seed: int, epoch: int) -> None:
        if size < 1:
            raise ValueError(f"a permutation of {size} things: at least 1")
        self.size = size
        self._half = np.uint64(max(1, -(-(size - 1).bit_length() // 2)))
        self._mask = np.uint64((1 << int(self._half)) - 1)
        digest = hashlib.blake2b(f"{seed} {epoch}".encode(), digest_size=8 * ROUNDS, person=b"webtext order").digest()
        self._keys = np.frombuffer(digest, "<u8").astype(np.uint64)

    def __call__(self, indices: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """The images of `indices`, each at least 0 and below `size`."""
        images = self._network(np.asarray(indices, np.uint64))
        while (outside := images >= self.size).any():
            images[outside] = self._network(images[outside])
        return images.astype(np.int64)

    def _network(self, values: Indices) -> Indices:
        left, right = values >> self._half, values & self._mask
        for key in self._keys:
            left, right = right, left ^ (_mix(right ^ key) & self._mask)
        return (left << self._half) | right


def _mix(values: Indices) -> Indices:
    """SplitMix64's finaliser (Steele, Lea and Flood 2014): every bit of the result hangs on every bit given."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
