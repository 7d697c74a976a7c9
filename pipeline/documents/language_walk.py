"""py3langid's walk over a text's bytes, compiled: it is the larger part of naming a language. The features and their order are the same."""

import inspect
from collections import Counter
from typing import Any, Final

import numpy as np
from py3langid import langid
from py3langid.langid import LanguageIdentifier

from tokenizer.compiled import Array, Integer, compiled

PARAMETERS: Final = ("nm", "rowbase", "out", "text")
"""The parameters of the function that is replaced; a release in which it has others keeps its own."""


class Walk:
    """Stands in place of `langid.visit_counts`: the count of each feature of a text, in the order of their first occurrence."""

    def __init__(self) -> None:
        self._model: tuple[Any, ...] = ()
        self._arrays: tuple[Array, Array, Array] = (np.empty(0, np.int64),) * 3

    def __call__(self, nm: Any, rowbase: Any, out: Any, text: bytes) -> "Counter[int] | None":
        """The features of a text's bytes; None where it has none."""
        if not self._model or self._model[0] is not nm or self._model[1] is not rowbase or self._model[2] is not out:
            self._model = (nm, rowbase, out)
            self._arrays = (np.asarray(nm), np.asarray(rowbase, np.int32), np.asarray(out, np.int32))
        found = np.empty(len(text), np.int32)
        count = walk(*self._arrays, np.frombuffer(text, np.uint8), found)
        return Counter(found[:count].tolist()) if count else None


@compiled
def walk(next_states: Array, rows: Array, features: Array, data: Array, found: Array) -> Integer:
    """Write the feature of each state that has one; returns their number."""
    state, count = np.int64(0), np.int64(0)
    for byte in data:
        state = np.int64(next_states[rows[state] + byte])
        feature = features[state]
        if feature >= 0:
            found[count] = feature
            count += 1
    return count


def install() -> bool:
    """Replace the walk of the language model; returns whether this release of py3langid has the one that it stands for."""
    own = getattr(langid, "visit_counts", None)
    if isinstance(own, Walk):
        return True
    if own is None or tuple(inspect.signature(own).parameters) != PARAMETERS:
        return False
    langid.visit_counts = Walk()
    return True


def shrink(model: LanguageIdentifier) -> None:
    """Hold the automaton's lists of Python integers as arrays, which the compiled walk reads as they are: 6 MB less in each process."""
    model._rowbase = np.asarray(model._rowbase, np.int32)
    model.tk_output = np.asarray(model.tk_output, np.int32)
