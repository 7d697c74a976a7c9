"""Functions compiled to machine code by numba."""

from collections.abc import Callable
from typing import TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """The function as machine code that holds no lock of Python's.

    The code is kept beside the source or in the user's cache folder, so that worker processes need not compile it again; where neither
    can be written, each process compiles for itself.
    """
    try:
        return cast("F", numba.njit(cache=True, nogil=True)(function))
    except RuntimeError:
        return cast("F", numba.njit(nogil=True)(function))
