"""Functions compiled to machine code by numba."""

import hashlib
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy.typing as npt

F = TypeVar("F", bound=Callable[..., object])

Array = npt.NDArray[Any]
Integer = Any
"""A machine integer inside compiled code, of the width of what it was read from."""


def compiled(function: F) -> F:
    """The function as machine code that holds no lock of Python's, makes no array and returns none: its caller lends it all it needs.

    So references need no counting. Two atomic steps for each array handed to each function called in a loop were three quarters of the
    time of counting pieces, five sixths of that of learning merges.
    """
    return _compiled(function, _nrt=False)


def compiled_into_callers(function: F) -> F:
    """The same, put into its callers' code: for what every step of a loop calls, since an array is handed over as seven numbers."""
    return _compiled(function, _nrt=False, forceinline=True)


def compiled_making_arrays(function: F) -> F:
    """The same for a function that makes arrays for itself, and is called seldom: its references are counted."""
    return _compiled(function, _nrt=True)


def _compiled(function: F, **options: bool) -> F:
    """The code is kept beside the source or in the user's cache folder, so that worker processes need not compile it again; where neither
    can be written, each process compiles for itself.
    """
    njit: Any = numba.njit
    try:
        kept = njit(cache=True, nogil=True, **options)(function)
    except RuntimeError:
        return cast("F", njit(nogil=True, **options)(function))
    file = kept._cache._cache_file
    file._source_stamp = file._source_stamp, _digest(__package__), _digest(function.__module__.partition(".")[0])
    return cast("F", kept)


@cache
def _digest(package: str) -> str:
    """Of all sources of a package.

    Compiled code holds that of functions and constants of other files, and must be made anew where one of them changes: numba looks at
    the function's own file alone.
    """
    digest = hashlib.sha256()
    for folder in getattr(sys.modules[package], "__path__", ()):
        for path in sorted(Path(folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()
