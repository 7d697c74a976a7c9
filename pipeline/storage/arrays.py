"""NumPy arrays as files (.npy) on any Beam file system."""

import tempfile
import threading
from typing import IO, Any, TypeVar

import numpy as np
import numpy.typing as npt

from pipeline.storage import files

T = TypeVar("T", bound=np.generic)
_PARSING = threading.Lock()
"""NumPy reads a header by `ast`, which counts its depth for all threads together in CPython 3.11: where garbage is collected in the midst
of it, another thread may go on, and the count is wrong (SystemError)."""


def write(file: IO[bytes], array: npt.NDArray[Any]) -> None:
    """Write an array in NumPy's own format, without the copy that `write_array` makes."""
    array = np.ascontiguousarray(array)
    np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
    if array.size:
        file.write(array.reshape(-1).view(np.uint8).data)


def save(path: str, array: npt.NDArray[Any]) -> None:
    """Publish an array as a file."""
    files.publish(path, lambda file: write(file, array))


def spill(path: str, array: npt.NDArray[Any]) -> str:
    """Write an array to a file of a work folder; returns its path."""
    files.publish(path, lambda file: write(file, array), kept=False)
    return path


def load(path: str) -> npt.NDArray[Any]:
    """The array of a file, mapped, not read; of one that is not local a copy is, which goes with the array."""
    if files.is_local(path):
        return _mapped(path)
    with tempfile.NamedTemporaryFile(suffix=".npy") as copy:
        copy.write(files.read_bytes(path))
        copy.flush()
        return _mapped(copy.name)


def _mapped(path: str) -> npt.NDArray[Any]:
    with _PARSING:
        array: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def distinct(values: npt.NDArray[T]) -> npt.NDArray[T]:
    """The values ascending, each once; `np.unique` hashes integers, which takes several times as long."""
    ordered = np.sort(values, axis=None)
    new = np.ones(len(ordered), bool)
    new[1:] = ordered[1:] != ordered[:-1]
    return ordered[new]
