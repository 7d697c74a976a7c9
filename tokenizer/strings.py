"""Arrow string arrays as the bytes and offsets that compiled code reads."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def utf8(texts: pa.Array | pa.ChunkedArray) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """All strings' bytes one after the other, and where each begins; the last offset is the end. No null may be among them.

    Both are read-only, whether they are views or copies, so that compiled code meets one type and is made once.
    """
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.chunk(0) if texts.num_chunks == 1 else texts.cast(_wide(texts.type)).combine_chunks()
    if texts.null_count:
        raise ValueError(f"{texts.null_count} of {len(texts)} texts are null")
    wide = texts.cast(_wide(texts.type))
    _, offsets, data = wide.buffers()
    if offsets is None or not len(wide):
        return np.frombuffer(b"", np.uint8), np.frombuffer(bytes(8), np.int64)
    places = np.frombuffer(offsets, np.int64, len(wide) + 1, 8 * wide.offset)
    text = np.frombuffer(data, np.uint8) if data is not None and data.size else np.frombuffer(b"", np.uint8)
    text, places = text[places[0] : places[-1]], places - places[0] if places[0] else places[:]
    text.flags.writeable = places.flags.writeable = False
    return text, places


def _wide(kind: pa.DataType) -> pa.DataType:
    return pa.large_binary() if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) else pa.large_string()
