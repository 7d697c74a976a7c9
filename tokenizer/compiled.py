"""Decorators that compile functions to machine code with numba."""

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
"""A machine integer in compiled code, as wide as the array item that it was read from."""

Boolean = Any
"""A truth value in compiled code. Pass np.bool_, not True: a function is compiled anew for a literal."""


def compiled(function: F) -> F:
    """The function as machine code that releases Python's global lock, and neither creates nor returns arrays.

    Callers pass all arrays that it needs. Without arrays of its own it needs no reference counting. Two atomic operations per
    array argument of each call in a loop took three quarters of the time of counting pre-tokens, and five sixths of the time of
    learning merges.
    """
    return _compiled(function, _nrt=False)


def compiled_into_callers(function: F) -> F:
    """The function as machine code like `compiled`, inlined into its callers.

    It is for functions called at every step of a loop: each array argument of a call is passed as seven numbers.
    """
    return _compiled(function, _nrt=False, forceinline=True)


def compiled_inner(function: F) -> F:
    """The function as machine code like `compiled`, for compiled callers alone: Python cannot call it.

    What Python needs to call a function is a fifth of the compiler's work on it, and more where it takes tuples of arrays.
    """
    return _compiled(function, _nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True)


def compiled_making_arrays(function: F) -> F:
    """The function as machine code like `compiled`, but it may create arrays, and counts references: call it rarely."""
    return _compiled(function, _nrt=True)


def compile_for(function: Callable[..., object], *arguments: object) -> None:
    """Load or compile a function for the types of some arguments, without a call: also one that Python cannot call."""
    cast("Any", function).compile(tuple(map(numba.typeof, arguments)))


def is_cached(function: Callable[..., object]) -> bool:
    """Whether machine code of a compiled function, for today's sources, is in its cache."""
    return cached_variants(function) > 0


def cached_variants(function: Callable[..., object]) -> int:
    """For how many types of its arguments the cache holds machine code of a compiled function, for today's sources."""
    cache_file = getattr(getattr(function, "_cache", None), "_cache_file", None)
    return 0 if cache_file is None else len(cache_file._load_index())


def _compiled(function: F, **options: bool) -> F:
    """The compiled function, cached beside the source or in the user's cache folder, for other processes.

    Where neither folder is writable, each process compiles for itself.
    """
    njit: Any = numba.njit
    try:
        dispatcher = njit(cache=True, nogil=True, **options)(function)
    except RuntimeError:
        return cast("F", njit(nogil=True, **options)(function))
    file = dispatcher._cache._cache_file
    file._source_stamp = file._source_stamp, _digest(__package__), _digest(function.__module__.partition(".")[0])
    return cast("F", dispatcher)


@cache
def _digest(package: str) -> str:
    """sha256 of all sources of a package.

    Compiled code contains functions and constants of other files, so it must be compiled again when one of those changes. numba
    itself checks only the function's own file.
    """
    digest = hashlib.sha256()
    for folder in getattr(sys.modules[package], "__path__", ()):
        for path in sorted(Path(folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()
