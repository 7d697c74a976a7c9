"""Shingles: 64-bit hashes of every run of words (or characters) of a text, computed over Arrow buffers, and their packed form.

A text is never split into Python strings: compiled passes walk its UTF-8 bytes. A shingle is the hash of `shingle` consecutive
units (words, or characters of the folded text). Signatures use its low 32 bits; exact Jaccard similarities use its low 48 bits.
With 48 bits, two documents of a thousand shingles each confuse two different shingles once in 10^9 comparisons.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.dedup import words
from pipeline.dedup.folding import FoldBuffers, fold, fold_buffers
from pipeline.dedup.string_hashes import CHAIN, CHAIN_2, MIX_1, SHIFT, UNIT, TextOffsets, UInt64Array, Utf8Bytes, buffers, mix
from tokenizer.compiled import compiled
from tokenizer.simd import load_8

SHINGLE = 5
PACKED_BYTES = 6
"""Bytes per shingle in the packed form."""

_SPACE = np.uint64(0x20)
_ONE = np.uint64(1)
_LOW_BITS = np.uint64(0x0101010101010101)
_HIGH_BITS = np.uint64(0x8080808080808080)


class Shingling(NamedTuple):
    """The shingle's length, and whether its units are characters."""

    length: int
    characters: bool


class Shingles(NamedTuple):
    """The hashed shingles of some texts, in text order, repeats included: text i has `hashes[starts[i]:starts[i + 1]]`.

    `texts` (texts, 2) is a 128-bit hash of each text's folded words; `units` counts its words (or characters).
    """

    hashes: UInt64Array
    starts: TextOffsets
    texts: UInt64Array
    units: TextOffsets

    def counts(self) -> TextOffsets:
        """Shingles per text."""
        return self.starts[1:] - self.starts[:-1]  # many times faster than `np.diff`


def hash_shingles(texts: pa.Array, shingle: int = SHINGLE, *, characters: bool = False) -> Shingles:
    """The shingles of an Arrow string array, `shingle` words (or characters) each; null is the empty text."""
    data, offsets = buffers(texts)
    room = int(offsets[-1] - offsets[0]) // (1 if characters else 2) + len(offsets)
    documents = len(offsets) - 1
    starts = np.zeros(documents + 1, np.int64)
    hashed = Shingles(np.empty(room, np.uint64), starts, np.zeros((documents, 2), np.uint64), np.zeros(documents, np.int64))
    longest = int((offsets[1:] - offsets[:-1]).max(initial=0))
    _hash_shingles(data, offsets, Shingling(shingle, characters), fold_buffers(longest, characters=characters), hashed)
    return hashed._replace(hashes=hashed.hashes[: starts[-1]])


def shingles(text: str, shingle: int = SHINGLE) -> list[bytes]:
    """The word shingles of one text in readable form.

    >>> shingles("To be, or not", 3)
    [b'to be or', b'be or not']
    """
    folded = words.words(text)
    return [" ".join(folded[i : i + shingle]).encode() for i in range(len(folded) - shingle + 1)]


def hash_shingle(shingle: bytes) -> int:
    """The 32-bit hash of one readable word shingle: a `hashfunc` for datasketch."""
    units = max(1, len(words.words(shingle.decode())))
    hashed = hash_shingles(pa.array([shingle.decode()]), units).hashes
    return int(hashed[0]) & 0xFFFFFFFF if len(hashed) else 0


def pack(hashes: UInt64Array) -> Utf8Bytes:
    """The low 48 bits of each hash, little-endian."""
    packed = np.empty((len(hashes), 3), np.uint16)
    _pack(hashes, packed)
    return packed.astype("<u2", copy=False).reshape(-1).view(np.uint8)


def unpack(data: Utf8Bytes, starts: TextOffsets, counts: TextOffsets, out: UInt64Array, places: TextOffsets) -> None:
    """Read `counts[i]` packed hashes from `starts[i]` on into `out` at `places[i]`."""
    _unpack(data.view("<u2").astype(np.uint16, copy=False), starts, counts, out, places)


@compiled
def _word_units(scratch: FoldBuffers, count: np.uint64) -> None:
    """Fill `units` with the hashes of the words at `starts`, eight bytes per step.

    Few words are longer, and no branch depends on a byte.
    """
    for i in range(count):
        at = scratch.starts[i]
        word = np.uint64(0)
        zero = np.uint64(0)
        while not zero:
            value = load_8(scratch.folded, np.int64(at))
            zero = (value - _LOW_BITS) & ~value & _HIGH_BITS  # its lowest bit marks the first zero byte
            before_zero = ((zero & (~zero + _ONE)) >> np.uint64(7)) - _ONE
            word = (word ^ (value & before_zero)) * UNIT
            word ^= word >> SHIFT
            at += np.uint64(8)
        scratch.units[i] = word * MIX_1


@compiled
def _character_units(scratch: FoldBuffers, end: np.uint64) -> np.uint64:
    """Fill `units` with the hashes of the characters in `folded`, with one space between words; returns the count."""
    count = at = np.uint64(0)
    between = False
    while at < end:
        code = np.uint64(scratch.folded[at])
        at += _ONE
        if not code:
            between = bool(count > 0)
            continue
        if code >= 0x80:
            code = code << np.uint64(16) | np.uint64(scratch.folded[at]) << np.uint64(8) | np.uint64(scratch.folded[at + _ONE])
            at += np.uint64(2)
        if between:
            scratch.units[count] = mix(_SPACE * UNIT)
            count += _ONE
            between = False
        scratch.units[count] = mix(code * UNIT)
        count += _ONE
    return count


@compiled
def _chain_units(units: UInt64Array, count: np.uint64, length: np.uint64, hashes: UInt64Array, used: np.uint64) -> np.uint64:
    """Append the hash of every run of `length` units, a rolling polynomial; returns how many hashes are used so far."""
    leaving = CHAIN
    for _ in range(length):
        leaving *= CHAIN
    chain = np.uint64(0)
    for i in range(count):
        chain = (chain + units[i]) * CHAIN
        if i >= length:
            chain -= units[i - length] * leaving
        if i + _ONE >= length:
            hashes[used] = mix(chain)
            used += _ONE
    return used


@compiled
def _hash_units(units: UInt64Array, count: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Two 64-bit hashes of all units in order."""
    first = second = count
    for i in range(count):
        first = (first ^ units[i]) * CHAIN
        second = (second + units[i]) * CHAIN_2
    return mix(first), mix(second)


@compiled
def _hash_shingles(data: Utf8Bytes, offsets: TextOffsets, shingling: Shingling, scratch: FoldBuffers, out: Shingles) -> None:
    """Fill `out` text by text; `scratch` holds the longest text."""
    used = np.uint64(0)
    for text in range(len(offsets) - 1):
        length, count = fold(data, np.uint64(offsets[text]), np.uint64(offsets[text + 1]), not shingling.characters, scratch)
        if shingling.characters:
            count = _character_units(scratch, length)
        else:
            _word_units(scratch, count)
        used = _chain_units(scratch.units, count, np.uint64(shingling.length), out.hashes, used)
        out.texts[text, 0], out.texts[text, 1] = _hash_units(scratch.units, count)
        out.starts[text + 1] = used
        out.units[text] = count


@compiled
def _pack(hashes: UInt64Array, packed: npt.NDArray[np.uint16]) -> None:
    for i in range(len(hashes)):
        packed[i, 0] = np.uint16(hashes[i] & np.uint64(0xFFFF))
        packed[i, 1] = np.uint16(hashes[i] >> np.uint64(16) & np.uint64(0xFFFF))
        packed[i, 2] = np.uint16(hashes[i] >> np.uint64(32) & np.uint64(0xFFFF))


@compiled
def _unpack(
    packed: npt.NDArray[np.uint16], starts: TextOffsets, counts: TextOffsets, out: UInt64Array, places: TextOffsets
) -> None:
    for run in range(len(starts)):
        for i in range(counts[run]):
            at = 3 * (starts[run] + i)
            low, middle, high = np.uint64(packed[at]), np.uint64(packed[at + 1]), np.uint64(packed[at + 2])
            out[places[run] + i] = high << np.uint64(32) | middle << np.uint64(16) | low
