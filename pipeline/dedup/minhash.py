"""MinHash: the signatures of texts, and the keys of their bands.

The low 32 bits of each shingle go through datasketch's permutations ("affine32" of version 2). A signature therefore equals, bit
for bit, that of `datasketch.MinHash(permutations, seed, hashfunc=hash_shingle)` updated with `shingles(text)`; both functions are
in `pipeline.dedup.shingles`.
"""

from collections.abc import Iterable
from functools import cache

import numpy as np
import pyarrow as pa

from pipeline.dedup.shingles import SHINGLE, Shingles, hash_shingles
from pipeline.dedup.string_hashes import CHAIN, SHIFT, TextOffsets, UInt32Array, UInt64Array, mix
from tokenizer.compiled import compiled
from tokenizer.strings import string_array

PERMUTATIONS = 144
SEED = 1
EMPTY = np.uint32(0xFFFFFFFF)
"""Every minimum of a text without shingles, as in datasketch; such texts are never compared."""

_BLOCK = 2048


def signatures(
    texts: pa.Array | Iterable[str | None], permutations: int = PERMUTATIONS, shingle: int = SHINGLE, seed: int = SEED
) -> UInt32Array:
    """The MinHash signatures of texts, a list or an Arrow string array: uint32 of shape (texts, permutations).

    `shingle` is the number of words per shingle. Null is the empty text; a text without shingles has 0xFFFFFFFF everywhere. The
    share of equal places of two rows estimates the Jaccard similarity of their texts. Raises TypeError for what is no text, ValueError
    for a number below 1.

    >>> ours, theirs = signatures(["To be, or not to be: that is the question", "To be or not to be, that is a question"], shingle=2)
    >>> bool(0.5 < (ours == theirs).mean() < 0.9)
    True
    """
    for name, value in (("permutations", permutations), ("shingle", shingle)):
        if value < 1:
            raise ValueError(f"{name} {value}: must be at least 1")
    return minima(hash_shingles(string_array(texts), shingle), permutations, seed)


def minima(hashed: Shingles, permutations: int = PERMUTATIONS, seed: int = SEED) -> UInt32Array:
    """The minimum of each permutation over each text's shingles: shape (texts, permutations)."""
    out = np.full((len(hashed.starts) - 1, permutations), EMPTY, np.uint32)
    multipliers, addends = affine(permutations, seed)
    _minima(hashed.hashes, hashed.starts, multipliers, addends, np.empty(_BLOCK, np.uint32), out)
    return out


@cache
def affine(permutations: int, seed: int) -> tuple[UInt32Array, UInt32Array]:
    """The odd multipliers and the addends of datasketch's "affine32" scheme."""
    draw = np.random.RandomState(seed)  # datasketch's own generator: its numbers are part of the scheme
    multipliers = draw.randint(0, 1 << 31, permutations, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    return multipliers, draw.randint(0, 1 << 32, permutations, dtype=np.uint32)


def band_keys(signature_table: UInt32Array, bands: int, rows: int) -> UInt64Array:
    """A 64-bit key per band of each signature, shape (texts, bands): two are equal where all `rows` minima of the band are."""
    keys = np.empty((len(signature_table), bands), np.uint64)
    _band_keys(signature_table, rows, keys)
    return keys


@compiled
def _minima(
    hashes: UInt64Array, starts: TextOffsets, multipliers: UInt32Array, addends: UInt32Array, block: UInt32Array, out: UInt32Array
) -> None:
    """Keep a permutation's multiplier and addend in registers for a block of shingles that fits the first-level cache."""
    for text in range(len(starts) - 1):
        start = starts[text]
        while start < starts[text + 1]:
            count = min(len(block), starts[text + 1] - start)
            for i in range(count):
                value = np.uint32(hashes[start + i] & np.uint64(0xFFFFFFFF))
                value = np.uint32((value ^ (value >> np.uint32(16))) * np.uint32(0x85EBCA6B))
                value = np.uint32((value ^ (value >> np.uint32(13))) * np.uint32(0xC2B2AE35))
                block[i] = value ^ (value >> np.uint32(16))
            for permutation in range(len(multipliers)):
                multiplier = multipliers[permutation]
                addend = addends[permutation]
                low = out[text, permutation]
                for i in range(count):
                    low = min(low, np.uint32(np.uint32(multiplier * block[i]) + addend))
                out[text, permutation] = low
            start += count


@compiled
def _band_keys(signature_table: UInt32Array, rows: int, keys: UInt64Array) -> None:
    for text in range(len(signature_table)):
        for band in range(keys.shape[1]):
            key = np.uint64(band + 1)
            for i in range(band * rows, (band + 1) * rows):
                key = (key ^ np.uint64(signature_table[text, i])) * CHAIN
                key ^= key >> SHIFT
            keys[text, band] = mix(key)
