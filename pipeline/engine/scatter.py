"""Entries of a shuffle dealt to where they go, in compiled code."""

from typing import Any

import numpy as np
import numpy.typing as npt

from tokenizer.compiled import compiled


@compiled
def scatter_words(
    words: npt.NDArray[np.uint32], to: npt.NDArray[np.integer[Any]], places: npt.NDArray[np.int64], out: npt.NDArray[np.uint32]
) -> None:
    """Put entry i, `words[i]`, at the next place of `to[i]` in `out`; `places` says where the first of each goes."""
    for i in range(len(words)):
        at = places[to[i]]
        places[to[i]] += 1
        for j in range(words.shape[1]):
            out[at, j] = words[i, j]
