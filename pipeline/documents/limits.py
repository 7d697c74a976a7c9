"""The limits within which a sandbox extracts a page."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class SandboxLimits:
    """What one page may use. CPU time decides: it is nearly the same on a busy machine, and the slowest of 809 real pages took 1.0 s."""

    cpu_seconds: float = 2.0
    wall_seconds: float = 5.0
    memory_bytes: int = 1_344 << 20
    pages: int = 2_000
    """Pages after which the worker is replaced, so that memory which a C library leaks does not add up."""


DEFAULT_LIMITS: Final = SandboxLimits()
