"""Candidate pairs: documents whose signatures agree in a band."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.dedup.census import ABSENT
from pipeline.dedup.clusters import Pairs
from pipeline.dedup.minhash import Words64
from pipeline.dedup.repeated_keys import may_repeat
from pipeline.engine import shuffle
from pipeline.engine.parts import Part
from pipeline.engine.shuffle import Pieces, RunSlices
from pipeline.engine.writer import PartWriter
from pipeline.storage import arrays
from tokenizer.compiled import compiled

MEMBERS_COMPARED = 128
"""Up to this many documents of one key are paired each with each. Of more, each with the first and with those shortly before it, so many
that the work grows no faster than the bucket; like documents agree in other bands too, and in one of them they are few."""
NEIGHBOURS = 8
_ENTRY = np.dtype((np.uint64, (2,)))


def load() -> None:
    """Fetch the compiled code."""
    pairs(np.zeros(2, np.uint64), np.arange(2, dtype=np.uint64))


@dataclass(frozen=True)
class PairUp:
    """The work of one bucket of bands: pairs of numbers with a key in common, not both of earlier months.

    `numbers` is a file: for each flat row the document's number, or ABSENT where it is not compared.
    """

    numbers: str
    earlier: int = 0

    def __call__(self, part: Part[Any], writer: PartWriter) -> None:
        """Sort, pair, spill."""
        keys, numbers = _numbered(part.work, np.asarray(arrays.load(self.numbers)))
        found = pairs(keys, numbers, self.earlier)
        writer.publish("pairs", len(found), lambda f: arrays.write(f, found), writer.spill_name(f"pairs-{part.key}.npy"))


def _numbered(work: Pieces | RunSlices, number_of: npt.NDArray[np.uint32]) -> tuple[Words64, Words64]:
    """Keys and numbers of a bucket's documents that are compared, of those alone whose key may be there twice."""
    entries = shuffle.entries(work, _ENTRY)
    met = entries[may_repeat(entries[:, 0].copy())]
    numbers = number_of[met[:, 1]]
    compared = numbers != ABSENT
    return met[compared, 0], numbers[compared].astype(np.uint64)


def pairs(keys: Words64, numbers: Words64, earlier: int = 0) -> Pairs:
    """The pairs of numbers that share a key, each once, ascending."""
    met = np.flatnonzero(may_repeat(keys))
    order = met[np.argsort(keys[met])]
    keys, numbers = keys[order], numbers[order]
    bucket = np.cumsum(keys != np.roll(keys, 1)).astype(np.uint64)
    members = np.sort(bucket << np.uint64(32) | numbers)  # one number to sort by, not two: several times quicker
    out = np.empty(_pair_up(members, earlier, MEMBERS_COMPARED, NEIGHBOURS, np.empty(0, np.uint64)), np.uint64)
    _pair_up(members, earlier, MEMBERS_COMPARED, NEIGHBOURS, out)
    return arrays.distinct(out)


@compiled
def _pair_up(members: Words64, earlier: int, compared: int, neighbours: int, out: Pairs) -> int:
    """Write the pairs if there is room for any; returns how many there are. `members`: those of a bucket in the high half, ascending."""
    count = 0
    start = 0
    while start < len(members):
        end = start
        while end < len(members) and members[end] >> np.uint64(32) == members[start] >> np.uint64(32):
            end += 1
        reach = max(neighbours, compared * compared // (end - start)) if end - start > compared else compared
        for second in range(start + 1, end):
            number = members[second] & np.uint64(0xFFFFFFFF)
            if number >= earlier:
                for first in range(max(start, second - reach), second):
                    if len(out):
                        out[count] = members[first] << np.uint64(32) | number
                    count += 1
                if second - reach > start:
                    if len(out):
                        out[count] = members[start] << np.uint64(32) | number
                    count += 1
        start = end
    return count
