"""Candidate pairs: documents whose signatures agree in a band."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.dedup.census import ABSENT
from pipeline.dedup.clusters import Pairs
from pipeline.dedup.repeated_keys import may_repeat
from pipeline.dedup.string_hashes import UInt64Array
from pipeline.engine import shuffle
from pipeline.engine.parts import Part
from pipeline.engine.shuffle import RunSlices
from pipeline.engine.writer import PartWriter
from pipeline.storage import arrays
from tokenizer.compiled import compiled

MEMBERS_COMPARED = 128
"""Up to this many documents with one key are all paired with each other. In a larger group each is paired with the first and with
a few before it, so that the work grows no faster than the group; similar documents also agree in other bands, where their groups
are small."""
NEIGHBOURS = 8
_ENTRY = np.dtype((np.uint64, (2,)))


def load() -> None:
    """Load the compiled code."""
    pairs(np.zeros(2, np.uint64), np.arange(2, dtype=np.uint64))


@dataclass(frozen=True)
class PairUp:
    """Work on one bucket of bands: the pairs of document numbers that share a key, except two documents of earlier months.

    `numbers` is a file with the document's number for each flat row, or ABSENT where it is not compared.
    """

    numbers: str
    earlier: int = 0

    def __call__(self, part: Part[RunSlices], writer: PartWriter) -> None:
        """Sort, pair, spill."""
        keys, numbers = _number_entries(part.work, np.asarray(arrays.load(self.numbers)))
        paired = pairs(keys, numbers, self.earlier)
        writer.publish("pairs", len(paired), lambda f: arrays.write(f, paired), writer.spill_name(f"pairs-{part.key}.npy"))


def _number_entries(work: RunSlices, number_of: npt.NDArray[np.uint32]) -> tuple[UInt64Array, UInt64Array]:
    """Keys and numbers of a bucket's compared documents, only those whose key may occur twice."""
    entries = shuffle.entries(work, _ENTRY)
    repeated = entries[may_repeat(entries[:, 0].copy())]
    numbers = number_of[repeated[:, 1]]
    compared = numbers != ABSENT
    return repeated[compared, 0], numbers[compared].astype(np.uint64)


def pairs(keys: UInt64Array, numbers: UInt64Array, earlier: int = 0) -> Pairs:
    """The pairs of numbers that share a key, each once, ascending. Numbers below `earlier` are not paired with each other."""
    repeated = np.flatnonzero(may_repeat(keys))
    order = repeated[np.argsort(keys[repeated])]
    keys, numbers = keys[order], numbers[order]
    group = np.cumsum(keys != np.roll(keys, 1)).astype(np.uint64)
    members = np.sort(group << np.uint64(32) | numbers)  # one number to sort by is several times faster than two
    out = np.empty(_pair_up(members, earlier, MEMBERS_COMPARED, NEIGHBOURS, np.empty(0, np.uint64)), np.uint64)
    _pair_up(members, earlier, MEMBERS_COMPARED, NEIGHBOURS, out)
    return arrays.distinct(out)


@compiled
def _pair_up(members: UInt64Array, earlier: int, compared: int, neighbours: int, out: Pairs) -> int:
    """Write the pairs, unless `out` is empty; returns their count. `members` ascend and have their group in the high half."""
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
