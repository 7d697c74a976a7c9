"""Order of the windows: a keyed permutation that is computed instead of stored.

It is a Feistel network over the smallest even number of bits that can represent `size`, applied again while its output is `size`
or more (cycle walking, Black and Rogaway 2002). Its round function multiplies and shifts. Multiplication and addition alone leak
low bits: in another implementation the low bits of the output were fully predictable.
"""

import hashlib

import numpy as np
import numpy.typing as npt

ROUNDS = 6
"""Two rounds fail a chi-squared test of successive pairs, three pass it; six are a safety margin."""

Indices = npt.NDArray[np.uint64]


class Permutation:
    """Bijection of 0 … size-1, selected by `seed` and `epoch`."""

    def __init__(self, size: int, seed: int, epoch: int) -> None:
        if size < 1:
            raise ValueError(f"size {size}: a permutation needs at least 1 element")
        self.size = size
        self._half = np.uint64(max(1, -(-(size - 1).bit_length() // 2)))
        self._mask = np.uint64((1 << int(self._half)) - 1)
        digest = hashlib.blake2b(f"{seed} {epoch}".encode(), digest_size=8 * ROUNDS, person=b"webtext order").digest()
        self._keys = np.frombuffer(digest, "<u8").astype(np.uint64)

    def __call__(self, indices: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Images of `indices`, which are at least 0 and below `size`."""
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
    """SplitMix64's finalizer (Steele, Lea and Flood 2014): every output bit depends on every input bit."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
