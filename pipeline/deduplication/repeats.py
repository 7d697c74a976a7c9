"""Which of many hashes are there twice, without a sort of all the others."""

import numpy as np
import numpy.typing as npt

from pipeline.minhash import Words64
from tokenizer.compiled import compiled


def may_repeat(keys: Words64) -> npt.NDArray[np.bool_]:
    """False where no other key is equal; True where one is, and in a case in eight or fewer where only the low bits are."""
    found = np.empty(len(keys), np.bool_)
    _mark(keys, np.zeros(8 << len(keys).bit_length(), np.uint8), found)
    return found


@compiled
def _mark(keys: Words64, met: npt.NDArray[np.uint8], found: npt.NDArray[np.bool_]) -> None:
    """`met` (zeros, a power of two of them) counts up to two keys of the same low bits."""
    mask = np.uint64(len(met) - 1)
    for key in keys:
        met[key & mask] += met[key & mask] < 2
    for i in range(len(keys)):
        found[i] = met[keys[i] & mask] == 2
