"""MinHash over Arrow buffers: words, shingles, signatures, bands.

A text is never cut into Python strings: compiled passes walk its UTF-8 bytes. A shingle is a 64-bit hash of `shingle` consecutive units
(words, or characters of the folded text). Its low 32 bits go through datasketch's permutations ("affine32" of version 2), so that a
signature equals, bit for bit, that of `datasketch.MinHash(permutations, seed, hashfunc=hash_shingle)` updated with `shingles(text)`.
Its low 48 bits stand for the shingle in exact Jaccard similarities: two documents of a thousand shingles confuse a pair of different ones
once in 10^9 comparisons.
"""

from functools import cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.dedup import words
from tokenizer.compiled import compiled
from tokenizer.simd import WINDOW, bytes_between, fold_words, load_8, lowest_bit

Bytes: TypeAlias = npt.NDArray[np.uint8]
Words32: TypeAlias = npt.NDArray[np.uint32]
Words64: TypeAlias = npt.NDArray[np.uint64]
Offsets: TypeAlias = npt.NDArray[np.int64]

PERMUTATIONS = 144
SHINGLE = 5
SEED = 1
SHINGLE_BYTES = 6
EMPTY = np.uint32(0xFFFFFFFF)
"""What every minimum of a text without shingles is, as in datasketch; such texts are never compared."""

_BLOCK = 2048
_ROOM_BEYOND = 8
_WINDOW = np.uint64(WINDOW)
_UNIT = np.uint64(0x9E3779B97F4A7C15)
_CHAIN = np.uint64(0xD6E8FEB86659FD93)
_CHAIN_2 = np.uint64(0xA0761D6478BD642F)
_MIX_1 = np.uint64(0xFF51AFD7ED558CCD)
_MIX_2 = np.uint64(0xC4CEB9FE1A85EC53)
_SHIFT = np.uint64(33)
_SPACE = np.uint64(0x20)
_ONE = np.uint64(1)
_LOW_BITS = np.uint64(0x0101010101010101)
_HIGH_BITS = np.uint64(0x8080808080808080)
_CLASS_SHIFT = np.uint32(words.CLASS_SHIFT)
_FOLDED = np.uint32((1 << words.CLASS_SHIFT) - 1)
_beyond_ascii = bytes_between(0x80, 0xFF)


class _Spec(NamedTuple):
    length: int
    characters: bool


class _Scratch(NamedTuple):
    """The table of `words`, and room for one text: its folded bytes, where its words start in them, its units' hashes."""

    table: Words32
    folded: Bytes
    starts: Words64
    units: Words64


class Shingles(NamedTuple):
    """The hashed shingles of some texts, in their order, repeats included: those of text i are `hashes[starts[i]:starts[i + 1]]`.

    `texts` (texts, 2) is a 128-bit hash of each text's folded words; `units` counts them.
    """

    hashes: Words64
    starts: Offsets
    texts: Words64
    units: Offsets

    def counts(self) -> Offsets:
        """Shingles a text."""
        return self.starts[1:] - self.starts[:-1]  # many times as quick as `np.diff`


def hash_shingles(texts: pa.Array, shingle: int = SHINGLE, *, characters: bool = False) -> Shingles:
    """The shingles of an Arrow array of strings (null is the empty text), `shingle` words or characters each."""
    data, offsets = buffers(texts)
    room = int(offsets[-1] - offsets[0]) // (1 if characters else 2) + len(offsets)
    documents = len(offsets) - 1
    starts = np.zeros(documents + 1, np.int64)
    hashed = Shingles(np.empty(room, np.uint64), starts, np.zeros((documents, 2), np.uint64), np.zeros(documents, np.int64))
    scratch = _scratch(int((offsets[1:] - offsets[:-1]).max(initial=0)), characters=characters)
    _hash_shingles(data, offsets, _Spec(shingle, characters), scratch, hashed)
    return hashed._replace(hashes=hashed.hashes[: starts[-1]])


def _scratch(longest: int, *, characters: bool) -> _Scratch:
    units = longest + 1 if characters else longest // 2 + 1
    return _Scratch(
        words.table(), np.empty(2 * longest + _ROOM_BEYOND, np.uint8), np.empty(units + 1, np.uint64), np.empty(units, np.uint64)
    )


def signatures(texts: pa.Array, permutations: int = PERMUTATIONS, shingle: int = SHINGLE, seed: int = SEED) -> Words32:
    """The signatures (texts, permutations) of an Arrow array of strings, as uint32."""
    return minima(hash_shingles(texts, shingle), permutations, seed)


def minima(hashed: Shingles, permutations: int = PERMUTATIONS, seed: int = SEED) -> Words32:
    """The minimum of every permutation over each text's shingles (texts, permutations)."""
    out = np.full((len(hashed.starts) - 1, permutations), EMPTY, np.uint32)
    multipliers, addends = affine(permutations, seed)
    _minima(hashed.hashes, hashed.starts, multipliers, addends, np.empty(_BLOCK, np.uint32), out)
    return out


@cache
def affine(permutations: int, seed: int) -> tuple[Words32, Words32]:
    """The odd multipliers and the addends of datasketch's "affine32" scheme."""
    draw = np.random.RandomState(seed)  # the very generator, since its numbers are part of the scheme
    multipliers = draw.randint(0, 1 << 31, permutations, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    return multipliers, draw.randint(0, 1 << 32, permutations, dtype=np.uint32)


def band_keys(signed: Words32, bands: int, rows: int) -> Words64:
    """One 64-bit key for each band of each signature (texts, bands): equal where all `rows` minima of the band are."""
    keys = np.empty((len(signed), bands), np.uint64)
    _band_keys(signed, rows, keys)
    return keys


def shingles(text: str, shingle: int = SHINGLE) -> list[bytes]:
    """The word shingles of one text, readable: `shingles("To be, or not", 3) == [b"to be or", b"be or not"]`."""
    found = words.words(text)
    return [" ".join(found[i : i + shingle]).encode() for i in range(len(found) - shingle + 1)]


def hash_shingle(shingle: bytes) -> int:
    """The 32-bit hash of one word shingle: a `hashfunc` for datasketch."""
    units = max(1, len(words.words(shingle.decode())))
    hashed = hash_shingles(pa.array([shingle.decode()]), units).hashes
    return int(hashed[0]) & 0xFFFFFFFF if len(hashed) else 0


def buffers(texts: pa.Array) -> tuple[Bytes, Offsets]:
    """The UTF-8 bytes of an array of strings and where each begins in them, without a copy of the bytes."""
    if texts.null_count:
        texts = texts.fill_null("")
    if not pa.types.is_string(texts.type):
        texts = texts.cast(pa.large_string())
    kind = np.int32 if pa.types.is_string(texts.type) else np.int64
    _, offsets, data = texts.buffers()
    bounds = np.frombuffer(offsets, kind)[texts.offset : texts.offset + len(texts) + 1] if len(texts) else np.zeros(1, kind)
    return _read_only(np.frombuffer(data or b"", np.uint8)), _read_only(bounds.astype(np.int64, copy=False))


def _read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A view that compiled code meets as the same type, whatever the memory is."""
    view = array[:]
    view.flags.writeable = False
    return view


def hash_strings(texts: pa.Array) -> Words64:
    """A 128-bit hash of the bytes of each string (texts, 2)."""
    data, offsets = buffers(texts)
    keys = np.empty((len(offsets) - 1, 2), np.uint64)
    _hash_strings(data, offsets, keys)
    return keys


def pack(hashes: Words64) -> Bytes:
    """The low 48 bits of each hash, little-endian."""
    packed = np.empty((len(hashes), 3), np.uint16)
    _pack(hashes, packed)
    return packed.astype("<u2", copy=False).reshape(-1).view(np.uint8)


def unpack(data: Bytes, starts: Offsets, counts: Offsets, out: Words64, places: Offsets) -> None:
    """Put the hashes that `pack` wrote, runs of `counts` from `starts` on, at `places` of `out`."""
    _unpack(data.view("<u2").astype(np.uint16, copy=False), starts, counts, out, places)


@compiled
def mix(value: np.uint64) -> np.uint64:
    """The finish of MurmurHash3: every bit of the value moves every bit."""
    value = (value ^ (value >> _SHIFT)) * _MIX_1
    value = (value ^ (value >> _SHIFT)) * _MIX_2
    return value ^ (value >> _SHIFT)


@compiled
def decode(data: Bytes, at: np.uint64, end: np.uint64) -> tuple[np.uint32, np.uint64]:
    """The code point at a lead byte of several, and where the next begins. Places are unsigned: signed ones cost a test a byte."""
    lead = data[at]
    if lead < 0xE0:
        width, code = np.uint64(2), np.uint32(lead & 0x1F)
    elif lead < 0xF0:
        width, code = np.uint64(3), np.uint32(lead & 0x0F)
    else:
        width, code = np.uint64(4), np.uint32(lead & 0x07)
    after = min(at + width, end)
    at += _ONE
    while at < after:
        code = np.uint32(code << np.uint32(6)) | np.uint32(data[at] & np.uint8(0x3F))
        at += _ONE
    return code, after


@compiled
def _fold(data: Bytes, at: np.uint64, end: np.uint64, apart: bool, scratch: _Scratch) -> tuple[np.uint64, np.uint64]:
    """Fill `folded` with a text's words in their folded form, zeros between and after them, and `starts`; returns how many bytes and words.

    A code point is one byte, or three of seven bits each with the high bit set. `apart`: those that are words alone get zeros around.
    """
    count = found = np.uint64(0)
    before = np.uint8(0)
    while at < end:
        if data[at] < 0x80 and at + _WINDOW <= end:
            copied, found = _fold_ascii(data, at, before != 0, scratch, count, found)
            at += copied
            count += copied
            before = scratch.folded[count - _ONE]
            continue
        if data[at] < 0x80:
            byte = np.uint8(scratch.table[data[at]])
            at += _ONE
            scratch.folded[count] = byte
            scratch.starts[found] = count
            found += np.uint64((byte != 0) & (before == 0))
            count += _ONE
            before = byte
            continue
        code, at = decode(data, at, end)
        entry = scratch.table[code]
        kind = entry >> _CLASS_SHIFT
        if kind == words.PASSED_OVER:
            continue
        alone = apart and kind == words.ALONE
        if kind == words.SEPARATOR or (alone and before != 0):
            scratch.folded[count] = before = np.uint8(0)
            count += _ONE
        if kind != words.SEPARATOR:
            scratch.starts[found] = count
            found += np.uint64(before == 0)
            count, before = _append(scratch.folded, count, entry & _FOLDED)
        if alone:
            scratch.folded[count] = before = np.uint8(0)
            count += _ONE
    for i in range(_ROOM_BEYOND):
        scratch.folded[count + np.uint64(i)] = np.uint8(0)
    return count, found


@compiled
def _fold_ascii(
    data: Bytes, at: np.uint64, in_word: bool, scratch: _Scratch, count: np.uint64, found: np.uint64
) -> tuple[np.uint64, np.uint64]:
    """Fold what is ASCII of the next 64 bytes, at least the first; returns how many bytes, and how many words are found now."""
    word_bytes = fold_words(data, np.int64(at), scratch.folded, np.int64(count))
    foreign = _beyond_ascii(data, np.int64(at))
    before_foreign = ~foreign & (foreign - _ONE)
    firsts = word_bytes & ~(word_bytes << _ONE | np.uint64(in_word)) & before_foreign
    while firsts:
        scratch.starts[found] = count + np.uint64(lowest_bit(firsts))
        found += _ONE
        firsts &= firsts - _ONE
    return np.uint64(lowest_bit(foreign)), found


@compiled
def _append(folded: Bytes, count: np.uint64, code: np.uint32) -> tuple[np.uint64, np.uint8]:
    """Write a folded code point; returns how many bytes there are now, and the last."""
    if code < 0x80:
        folded[count] = np.uint8(code)
        return count + _ONE, np.uint8(code)
    for i in range(3):
        folded[count + np.uint64(i)] = np.uint8(code >> np.uint32(14 - 7 * i)) | np.uint8(0x80)
    return count + np.uint64(3), np.uint8(0x80)


@compiled
def _word_units(scratch: _Scratch, found: np.uint64) -> None:
    """Fill `units` with the hashes of the words at `starts`, eight bytes a step: few are longer, and no branch depends on a byte."""
    for i in range(found):
        at = scratch.starts[i]
        word = np.uint64(0)
        zero = np.uint64(0)
        while not zero:
            value = load_8(scratch.folded, np.int64(at))
            zero = (value - _LOW_BITS) & ~value & _HIGH_BITS  # its lowest bit marks the first zero byte
            before_zero = ((zero & (~zero + _ONE)) >> np.uint64(7)) - _ONE
            word = (word ^ (value & before_zero)) * _UNIT
            word ^= word >> _SHIFT
            at += np.uint64(8)
        scratch.units[i] = word * _MIX_1


@compiled
def _character_units(scratch: _Scratch, end: np.uint64) -> np.uint64:
    """Fill `units` with the hashes of the characters in `folded`, one space between words; returns how many."""
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
            scratch.units[count] = mix(_SPACE * _UNIT)
            count += _ONE
            between = False
        scratch.units[count] = mix(code * _UNIT)
        count += _ONE
    return count


@compiled
def _chain_units(units: Words64, count: np.uint64, length: np.uint64, hashes: Words64, used: np.uint64) -> np.uint64:
    """Append the hashes of all runs of `length` units, a rolling polynomial; returns how many are used now."""
    leaving = _CHAIN
    for _ in range(length):
        leaving *= _CHAIN
    chain = np.uint64(0)
    for i in range(count):
        chain = (chain + units[i]) * _CHAIN
        if i >= length:
            chain -= units[i - length] * leaving
        if i + _ONE >= length:
            hashes[used] = mix(chain)
            used += _ONE
    return used


@compiled
def _hash_units(units: Words64, count: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Two 64-bit hashes of all units in their order."""
    first = second = count
    for i in range(count):
        first = (first ^ units[i]) * _CHAIN
        second = (second + units[i]) * _CHAIN_2
    return mix(first), mix(second)


@compiled
def _hash_shingles(data: Bytes, offsets: Offsets, spec: _Spec, scratch: _Scratch, out: Shingles) -> None:
    """Fill `out`, a text at a time; `scratch` is room for the longest."""
    used = np.uint64(0)
    for text in range(len(offsets) - 1):
        length, count = _fold(data, np.uint64(offsets[text]), np.uint64(offsets[text + 1]), not spec.characters, scratch)
        if spec.characters:
            count = _character_units(scratch, length)
        else:
            _word_units(scratch, count)
        used = _chain_units(scratch.units, count, np.uint64(spec.length), out.hashes, used)
        out.texts[text, 0], out.texts[text, 1] = _hash_units(scratch.units, count)
        out.starts[text + 1] = used
        out.units[text] = count


@compiled
def _minima(hashes: Words64, starts: Offsets, multipliers: Words32, addends: Words32, block: Words32, out: Words32) -> None:
    """A permutation's multiplier and addend stay in registers while a block of shingles that fits the nearest cache passes by."""
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
def _band_keys(signed: Words32, rows: int, keys: Words64) -> None:
    for text in range(len(signed)):
        for band in range(keys.shape[1]):
            key = np.uint64(band + 1)
            for i in range(band * rows, (band + 1) * rows):
                key = (key ^ np.uint64(signed[text, i])) * _CHAIN
                key ^= key >> _SHIFT
            keys[text, band] = mix(key)


@compiled
def _hash_strings(data: Bytes, offsets: Offsets, keys: Words64) -> None:
    """Eight bytes a step; the length, which is hashed first, tells a short last step from one that ends in zeros."""
    for text in range(len(offsets) - 1):
        first = np.uint64(offsets[text + 1] - offsets[text])
        second = first
        at = offsets[text]
        while at < offsets[text + 1]:
            value = np.uint64(0)
            for i in range(min(8, offsets[text + 1] - at)):
                value |= np.uint64(data[at + i]) << np.uint64(8 * i)
            first = (first ^ value) * _CHAIN
            first ^= first >> _SHIFT
            second = (second + value) * _CHAIN_2
            second ^= second >> _SHIFT
            at += 8
        keys[text, 0] = mix(first)
        keys[text, 1] = mix(second)


@compiled
def _pack(hashes: Words64, packed: npt.NDArray[np.uint16]) -> None:
    for i in range(len(hashes)):
        packed[i, 0] = np.uint16(hashes[i] & np.uint64(0xFFFF))
        packed[i, 1] = np.uint16(hashes[i] >> np.uint64(16) & np.uint64(0xFFFF))
        packed[i, 2] = np.uint16(hashes[i] >> np.uint64(32) & np.uint64(0xFFFF))


@compiled
def _unpack(packed: npt.NDArray[np.uint16], starts: Offsets, counts: Offsets, out: Words64, places: Offsets) -> None:
    for run in range(len(starts)):
        for i in range(counts[run]):
            at = 3 * (starts[run] + i)
            low, middle, high = np.uint64(packed[at]), np.uint64(packed[at + 1]), np.uint64(packed[at + 2])
            out[places[run] + i] = high << np.uint64(32) | middle << np.uint64(16) | low
