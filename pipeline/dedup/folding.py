"""A compiled pass that folds the UTF-8 bytes of a text to words, 64 ASCII bytes per step. `words.words` is the reference."""

from typing import NamedTuple

import numpy as np

from pipeline.dedup import words
from pipeline.dedup.string_hashes import UInt32Array, UInt64Array, Utf8Bytes
from tokenizer.compiled import compiled
from tokenizer.simd import WINDOW, bytes_between, fold_words, lowest_bit

PADDING_BYTES = 8
"""Zeros after the folded text: it is read eight bytes per step."""

_WINDOW = np.uint64(WINDOW)
_ONE = np.uint64(1)
_CLASS_SHIFT = np.uint32(words.CLASS_SHIFT)
_PAIR = np.uint32(words.PAIR)
_FOLD_MASK = np.uint32((1 << words.CLASS_SHIFT) - 1)
_non_ascii = bytes_between(0x80, 0xFF)


class FoldBuffers(NamedTuple):
    """The table of `words`, and buffers for one text: its folded bytes, the words' offsets in them, the hashes of its units."""

    table: UInt32Array
    folded: Utf8Bytes
    starts: UInt64Array
    units: UInt64Array


def fold_buffers(longest: int, *, characters: bool) -> FoldBuffers:
    """Buffers for texts of up to `longest` bytes, whose units are words, or characters."""
    units = longest + 1 if characters else longest // 2 + 1
    folded = np.empty(2 * longest + PADDING_BYTES, np.uint8)
    return FoldBuffers(words.table(), folded, np.empty(units + 1, np.uint64), np.empty(units, np.uint64))


@compiled
def decode(data: Utf8Bytes, at: np.uint64, end: np.uint64) -> tuple[np.uint32, np.uint64]:
    """The code point at the lead byte of a multi-byte sequence, and the offset after it.

    Offsets are unsigned: numba tests signed ones for negative values at every access.
    """
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
def ligature_letter(entry: np.uint32, place: int) -> np.uint32:
    """The code point of a ligature's letter at a place from 0 to 2; 0 where it has none. `words.letters` is the reference."""
    if not entry & _PAIR:
        return (entry >> np.uint32(14 - 7 * place)) & np.uint32(0x7F)
    if place == 2:
        return np.uint32(0)
    return (entry >> np.uint32(11 - 11 * place)) & np.uint32(0x7FF)


@compiled
def fold(data: Utf8Bytes, at: np.uint64, end: np.uint64, split: bool, out: FoldBuffers) -> tuple[np.uint64, np.uint64]:
    """Write the folded words of `data[at:end]` to `out.folded` and their offsets to `out.starts`.

    Returns the counts of bytes and words. Zeros separate the words. A folded code point takes one byte, or three bytes of seven
    bits each with the high bit set. `split` puts zeros around each code point that is a word by itself.
    """
    count = word_count = np.uint64(0)
    before = np.uint8(0)
    while at < end:
        if data[at] < 0x80 and at + _WINDOW <= end:
            copied, word_count = _fold_ascii(data, at, before != 0, out, count, word_count)
            at += copied
            count += copied
            before = out.folded[count - _ONE]
            continue
        if data[at] < 0x80:
            byte = np.uint8(out.table[data[at]])
            at += _ONE
            out.folded[count] = byte
            out.starts[word_count] = count
            word_count += np.uint64((byte != 0) & (before == 0))
            count += _ONE
            before = byte
            continue
        code, at = decode(data, at, end)
        entry = out.table[code]
        kind = entry >> _CLASS_SHIFT
        if kind == words.IGNORED:
            continue
        alone = split and kind == words.ALONE
        if kind == words.SEPARATOR or (alone and before != 0):
            out.folded[count] = before = np.uint8(0)
            count += _ONE
        if kind != words.SEPARATOR:
            out.starts[word_count] = count
            word_count += np.uint64(before == 0)
            count, before = _append_entry(out.folded, count, entry)
        if alone:
            out.folded[count] = before = np.uint8(0)
            count += _ONE
    for i in range(PADDING_BYTES):
        out.folded[count + np.uint64(i)] = np.uint8(0)
    return count, word_count


@compiled
def _fold_ascii(
    data: Utf8Bytes, at: np.uint64, in_word: bool, out: FoldBuffers, count: np.uint64, word_count: np.uint64
) -> tuple[np.uint64, np.uint64]:
    """Fold the ASCII bytes that begin the next 64, at least one; returns how many, and the count of words so far."""
    word_bytes = fold_words(data, np.int64(at), out.folded, np.int64(count))
    non_ascii = _non_ascii(data, np.int64(at))
    ascii_run = ~non_ascii & (non_ascii - _ONE)
    firsts = word_bytes & ~(word_bytes << _ONE | np.uint64(in_word)) & ascii_run
    while firsts:
        out.starts[word_count] = count + np.uint64(lowest_bit(firsts))
        word_count += _ONE
        firsts &= firsts - _ONE
    return np.uint64(lowest_bit(non_ascii)), word_count


@compiled
def _append_entry(folded: Utf8Bytes, count: np.uint64, entry: np.uint32) -> tuple[np.uint64, np.uint8]:
    """Write an entry's folded code point, or a ligature's letters; returns the count of bytes so far, and the last byte."""
    if entry >> _CLASS_SHIFT != words.LIGATURE:
        return _append(folded, count, entry & _FOLD_MASK)
    before = np.uint8(0)
    for place in range(3):
        code = ligature_letter(entry, place)
        if code:
            count, before = _append(folded, count, code)
    return count, before


@compiled
def _append(folded: Utf8Bytes, count: np.uint64, code: np.uint32) -> tuple[np.uint64, np.uint8]:
    """Write a folded code point; returns the count of bytes so far, and the last byte."""
    if code < 0x80:
        folded[count] = np.uint8(code)
        return count + _ONE, np.uint8(code)
    for i in range(3):
        folded[count + np.uint64(i)] = np.uint8(code >> np.uint32(14 - 7 * i)) | np.uint8(0x80)
    return count + np.uint64(3), np.uint8(0x80)
