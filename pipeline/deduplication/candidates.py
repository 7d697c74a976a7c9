"""Candidate pairs: documents whose signatures agree in a band. 16-byte entries of key and number are shuffled by key prefix."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline import arrays
from pipeline.deduplication.census import ABSENT
from pipeline.deduplication.shuffle import Drawn, Entries, Pieces, write_run
from pipeline.minhash import Words64, band_keys
from pipeline.parts import Part, PartWriter
from tokenizer.compiled import compiled

Pairs = npt.NDArray[np.uint64]
"""Two numbers in one: the lesser in the high half."""

ENTRIES_A_BUCKET = 1 << 18
MEMBERS_COMPARED = 128
"""Up to this many documents of one key are paired each with each. Of more, each with the first and with those shortly before it, so many
that the work grows no faster than the bucket; like documents agree in other bands too, and in one of them they are few."""
NEIGHBOURS = 8


@dataclass(frozen=True, slots=True)
class BandShard:
    """A shard's signatures, and the numbers of its documents (ABSENT: not compared)."""

    signatures: str
    numbers: str


def bucket_count(entries: int) -> int:
    """A power of two that leaves about ENTRIES_A_BUCKET in each, at least four so that several workers share."""
    return 1 << max(2, (max(1, entries) // ENTRIES_A_BUCKET).bit_length())


@dataclass(frozen=True, slots=True)
class Bands:
    """How signatures are cut, and over how many buckets their keys are spread."""

    bands: int
    rows: int
    buckets: int


@dataclass(frozen=True)
class SpreadBands:
    """The work of one shard (BandShard): its documents' entries, sorted by bucket."""

    spec: Bands

    def __call__(self, part: Part, writer: PartWriter) -> None:
        """Hash, spill."""
        entries, bucket = band_entries(part.work, self.spec)
        write_run(writer, "bands", entries, bucket, self.spec.buckets)


def band_entries(shard: BandShard, spec: Bands) -> tuple[Entries, npt.NDArray[np.int64]]:
    """The entries of a shard's documents, and the bucket of each by the first bits of its key."""
    numbers = arrays.load(shard.numbers)
    compared = np.flatnonzero(numbers != ABSENT)
    keys = band_keys(arrays.load(shard.signatures)[compared], spec.bands, spec.rows).reshape(-1)
    entries = np.stack([keys, np.repeat(numbers[compared], spec.bands).astype(np.uint64)], axis=1)
    return entries, (keys >> np.uint64(65 - spec.buckets.bit_length())).astype(np.int64)


@dataclass(frozen=True)
class PairUp:
    """The work of one bucket: pairs of numbers with a key in common, not both of earlier months."""

    earlier: int = 0

    def __call__(self, part: Part, writer: PartWriter) -> None:
        """Sort, pair, spill."""
        work: Pieces | Drawn = part.work
        entries = work.entries(np.uint64)
        found = pairs(entries[:, 0], entries[:, 1], self.earlier)
        writer.publish("pairs", len(found), lambda f: arrays.write(f, found), writer.spill_name(f"pairs-{part.key}.npy"))


def pairs(keys: Words64, numbers: Words64, earlier: int = 0) -> Pairs:
    """The pairs of numbers that share a key, each once, ascending."""
    met = np.flatnonzero(_perhaps_repeated(keys, np.zeros(8 << len(keys).bit_length(), np.uint8)))
    order = met[np.argsort(keys[met])]
    keys, numbers = keys[order], numbers[order]
    bucket = np.cumsum(keys != np.roll(keys, 1)).astype(np.uint64)
    members = np.sort(bucket << np.uint64(32) | numbers)  # one number to sort by, not two: several times quicker
    out = np.empty(_pair_up(members, earlier, MEMBERS_COMPARED, NEIGHBOURS, np.empty(0, np.uint64)), np.uint64)
    _pair_up(members, earlier, MEMBERS_COMPARED, NEIGHBOURS, out)
    return arrays.distinct(out)


@compiled
def _perhaps_repeated(keys: Words64, met: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """False for keys that are there once, but for the few whose place in `met` (a power of two) another key has."""
    mask = np.uint64(len(met) - 1)
    for key in keys:
        met[key & mask] += met[key & mask] < 2
    found = np.empty(len(keys), np.bool_)
    for i in range(len(keys)):
        found[i] = met[keys[i] & mask] == 2
    return found


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
