"""Which of many hashes occur twice, without sorting all of them."""

from typing import Any

import numpy as np
import numpy.typing as npt

from tokenizer.compiled import compiled

KeyArray = npt.NDArray[np.unsignedinteger[Any]]


def may_repeat(keys: KeyArray) -> npt.NDArray[np.bool_]:
    """True for each key that occurs twice, and by chance for at most one in eight others; False for all else."""
    repeats = np.empty(len(keys), np.bool_)
    _mark(keys, np.zeros(2 << len(keys).bit_length(), np.uint8), repeats)
    return repeats


@compiled
def _mark(keys: KeyArray, seen: npt.NDArray[np.uint8], repeats: npt.NDArray[np.bool_]) -> None:
    """`seen` (zeros, a power of two long) holds four two-bit counts per byte: up to two keys with equal low bits."""
    mask = np.uint64(4 * len(seen) - 1)
    for key in keys:
        place = np.uint64(key) & mask
        shift = np.uint8(2 * (place & np.uint64(3)))
        if (seen[place >> np.uint64(2)] >> shift) & 2 == 0:
            seen[place >> np.uint64(2)] += np.uint8(1) << shift
    for i in range(len(keys)):
        place = np.uint64(keys[i]) & mask
        repeats[i] = (seen[place >> np.uint64(2)] >> np.uint8(2 * (place & np.uint64(3)))) & 2 != 0
