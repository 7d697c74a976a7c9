"""Functions compiled to machine code by numba."""

from collections.abc import Callable
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
    time of encoding and counting, five sixths of that of learning merges.
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
        return cast("F", njit(cache=True, nogil=True, **options)(function))
    except RuntimeError:
        return cast("F", njit(nogil=True, **options)(function))
