"""Which of many hashes are there twice, without a sort of all the others."""

from typing import Any

import numpy as np
import numpy.typing as npt

from tokenizer.compiled import compiled

Hashes = npt.NDArray[np.unsignedinteger[Any]]


def may_repeat(keys: Hashes) -> npt.NDArray[np.bool_]:
    """False where no other key is equal; True where one is, and in a case in eight or fewer where only the low bits are."""
    found = np.empty(len(keys), np.bool_)
    _mark(keys, np.zeros(2 << len(keys).bit_length(), np.uint8), found)
    return found


@compiled
def _mark(keys: Hashes, met: npt.NDArray[np.uint8], found: npt.NDArray[np.bool_]) -> None:
    """`met` (zeros, a power of two of them) has four counts of two bits each, up to two keys of the same low bits."""
    mask = np.uint64(4 * len(met) - 1)
    for key in keys:
        place = np.uint64(key) & mask
        shift = np.uint8(2 * (place & np.uint64(3)))
        if (met[place >> np.uint64(2)] >> shift) & 2 == 0:
            met[place >> np.uint64(2)] += np.uint8(1) << shift
    for i in range(len(keys)):
        place = np.uint64(keys[i]) & mask
        found[i] = (met[place >> np.uint64(2)] >> np.uint8(2 * (place & np.uint64(3)))) & 2 != 0
