"""Arrow string arrays as the bytes and offsets that compiled code reads."""

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


def _large_type(kind: pa.DataType) -> pa.DataType:
    return pa.large_binary() if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) else pa.large_string()
