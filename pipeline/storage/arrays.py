"""NumPy arrays as files (.npy) on any Beam file system."""

import tempfile
import threading
from typing import IO, Any, TypeVar

import numpy as np
import numpy.typing as npt

from pipeline.storage import files
from tokenizer.errors import InputError

T = TypeVar("T", bound=np.generic)
_PARSING = threading.Lock()
"""NumPy parses a header by `ast`. CPython 3.11 counts the parser's depth for all threads together: if garbage collection lets
another thread run meanwhile, the count is wrong (SystemError)."""


def write(file: IO[bytes], array: npt.NDArray[Any]) -> None:
    """Write an array in NumPy's format, without the copy that `numpy.lib.format.write_array` makes."""
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
    """Map the array of a file. A file that is not local is copied first; the copy lives as long as the array.

    Raises InputError for a file that is no array, and for one that holds less than its header says.
    """
    if files.is_local(path):
        return _mapped(path)
    with tempfile.NamedTemporaryFile(suffix=".npy") as copy:
        copy.write(files.read_bytes(path))
        copy.flush()
        return _mapped(copy.name)


def _mapped(path: str) -> npt.NDArray[Any]:
    with _PARSING:
        try:
            array: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        except FileNotFoundError as error:
            raise InputError(f"{path}: missing, though its manifest names it; run its stage again") from error
        except (ValueError, EOFError, SyntaxError, TypeError, OverflowError, MemoryError, RecursionError) as error:
            raise InputError(f"{path}: not an array that this program wrote ({str(error)[:120]}); run its stage again") from error
    return array


def distinct(values: npt.NDArray[T]) -> npt.NDArray[T]:
    """The distinct values, ascending. Several times faster than `np.unique`, which hashes integers."""
    ordered = np.sort(values, axis=None)
    new = np.ones(len(ordered), bool)
    new[1:] = ordered[1:] != ordered[:-1]
    return ordered[new]
