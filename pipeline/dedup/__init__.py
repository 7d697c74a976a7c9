"""The stage `dedup`: it keeps one document of each set of equal or nearly equal ones.

`Deduplicate` and its outputs are loaded at first use, since they import Beam, which the pure modules do not need.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.dedup.transform import Deduplicate, DeduplicateOutputs, DuplicatePair

__all__ = ["Deduplicate", "DeduplicateOutputs", "DuplicatePair"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("pipeline.dedup.transform"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
