"""Texts as Arrow string arrays, and these as the bytes and offsets that compiled code reads."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def utf8(texts: pa.Array | pa.ChunkedArray) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """The concatenated bytes of all strings (uint8), and where each begins (int64); the last offset is the end.

    Both arrays are read-only, whether views or copies: compiled code then sees one type and is compiled once. Raises ValueError
    for nulls.
    """
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.chunk(0) if texts.num_chunks == 1 else texts.cast(_large_type(texts.type)).combine_chunks()
    if texts.null_count:
        raise ValueError(f"{texts.null_count} of {len(texts)} texts are null")
    large = texts.cast(_large_type(texts.type))
    _, offsets, data = large.buffers()
    if offsets is None or not len(large):
        return np.frombuffer(b"", np.uint8), np.frombuffer(bytes(8), np.int64)
    starts = np.frombuffer(offsets, np.int64, len(large) + 1, 8 * large.offset)
    text = np.frombuffer(data, np.uint8) if data is not None and data.size else np.frombuffer(b"", np.uint8)
    text, starts = text[starts[0] : starts[-1]], starts - starts[0] if starts[0] else starts[:]
    text.flags.writeable = starts.flags.writeable = False
    return text, starts


def string_array(texts: object, name: str = "texts") -> pa.Array:
    """Texts as one Arrow string array: an Arrow array stays as it is, any other iterable may hold str and None.

    Raises TypeError that names the argument, and the item that is no text.

    >>> string_array(["a", None]).null_count
    1
    """
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    if isinstance(texts, pa.Array):
        if not (pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type)):
            raise TypeError(f"{name}: an Arrow array of {texts.type}; give one of strings")
        return texts
    if isinstance(texts, str | bytes) or not isinstance(texts, Iterable):
        raise TypeError(f"{name}: a {type(texts).__name__}; give a list of str, such as [text]")
    items = list(texts)
    for i, item in enumerate(items):
        if item is not None and not isinstance(item, str):
            raise TypeError(f"{name}[{i}]: a {type(item).__name__}; each text must be a str")
    return pa.array(items, pa.large_string())


def _large_type(kind: pa.DataType) -> pa.DataType:
    return pa.large_binary() if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) else pa.large_string()
