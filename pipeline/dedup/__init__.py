"""The stage `dedup`: one document of each set of equal or nearly equal ones is kept.

`Deduplicate` is loaded when it is asked for: it imports Beam, which the modules below do not need.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.dedup.transform import Deduplicate

__all__ = ["Deduplicate"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("pipeline.dedup.transform"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
