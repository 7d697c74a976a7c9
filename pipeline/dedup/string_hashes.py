"""Arrow string arrays as UTF-8 bytes and offsets, without a copy, and 128-bit hashes of their strings."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tokenizer.compiled import compiled

Utf8Bytes: TypeAlias = npt.NDArray[np.uint8]
TextOffsets: TypeAlias = npt.NDArray[np.int64]
UInt32Array: TypeAlias = npt.NDArray[np.uint32]
UInt64Array: TypeAlias = npt.NDArray[np.uint64]

UNIT = np.uint64(0x9E3779B97F4A7C15)
CHAIN = np.uint64(0xD6E8FEB86659FD93)
CHAIN_2 = np.uint64(0xA0761D6478BD642F)
MIX_1 = np.uint64(0xFF51AFD7ED558CCD)
MIX_2 = np.uint64(0xC4CEB9FE1A85EC53)
SHIFT = np.uint64(33)


def buffers(texts: pa.Array) -> tuple[Utf8Bytes, TextOffsets]:
    """The UTF-8 bytes of a string array and the offset of each string in them, without a copy of the bytes."""
    if texts.null_count:
        texts = texts.fill_null("")
    if not pa.types.is_string(texts.type):
        texts = texts.cast(pa.large_string())
    kind = np.int32 if pa.types.is_string(texts.type) else np.int64
    _, offsets, data = texts.buffers()
    bounds = np.frombuffer(offsets, kind)[texts.offset : texts.offset + len(texts) + 1] if len(texts) else np.zeros(1, kind)
    return _read_only(np.frombuffer(data or b"", np.uint8)), _read_only(bounds.astype(np.int64, copy=False))


def _read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A read-only view: compiled code then sees one type, whether or not the memory is writable."""
    view = array[:]
    view.flags.writeable = False
    return view


def hash_strings(texts: pa.Array) -> UInt64Array:
    """A 128-bit hash of the bytes of each string: shape (texts, 2)."""
    data, offsets = buffers(texts)
    keys = np.empty((len(offsets) - 1, 2), np.uint64)
    _hash_strings(data, offsets, keys)
    return keys


@compiled
def mix(value: np.uint64) -> np.uint64:
    """The finalizer of MurmurHash3: every input bit affects every output bit."""
    value = (value ^ (value >> SHIFT)) * MIX_1
    value = (value ^ (value >> SHIFT)) * MIX_2
    return value ^ (value >> SHIFT)


@compiled
def _hash_strings(data: Utf8Bytes, offsets: TextOffsets, keys: UInt64Array) -> None:
    """Hash eight bytes per step. The length is hashed first, so that a short last step differs from one that ends in zeros."""
    for text in range(len(offsets) - 1):
        first = np.uint64(offsets[text + 1] - offsets[text])
        second = first
        at = offsets[text]
        while at < offsets[text + 1]:
            value = np.uint64(0)
            for i in range(min(8, offsets[text + 1] - at)):
                value |= np.uint64(data[at + i]) << np.uint64(8 * i)
            first = (first ^ value) * CHAIN
            first ^= first >> SHIFT
            second = (second + value) * CHAIN_2
            second ^= second >> SHIFT
            at += 8
        keys[text, 0] = mix(first)
        keys[text, 1] = mix(second)
