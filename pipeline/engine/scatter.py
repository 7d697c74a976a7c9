"""Compiled code that scatters shuffle entries to their destinations."""

from typing import Any

import numpy as np
import numpy.typing as npt

from tokenizer.compiled import compiled


@compiled
def scatter_words(
    words: npt.NDArray[np.uint32],
    destination: npt.NDArray[np.integer[Any]],
    positions: npt.NDArray[np.int64],
    out: npt.NDArray[np.uint32],
) -> None:
    """Copy each row of `words` (entries, words per entry) to the next row of its destination in `out`.

    `positions[d]` is the row of the first entry of destination `d`; it is advanced in place.
    """
    for i in range(len(words)):
        at = positions[destination[i]]
        positions[destination[i]] += 1
        for j in range(words.shape[1]):
            out[at, j] = words[i, j]
