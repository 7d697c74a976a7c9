"""Candidate pairs: documents whose signatures agree in a band. 16-byte entries of key and number are shuffled, in arrays, by key prefix."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import apache_beam as beam
import numpy as np
import numpy.typing as npt
from apache_beam.pvalue import PCollection

from pipeline import arrays, files
from pipeline.census import ABSENT
from pipeline.compiled import compiled
from pipeline.minhash import Words64, band_keys
from pipeline.parts import Part, PartWriter, Place, run_part

Pairs = npt.NDArray[np.uint64]
"""Two numbers in one: the lesser in the high half."""

ENTRIES_A_BUCKET = 1 << 20
MEMBERS_COMPARED = 128
"""Up to this many documents of one key are paired each with each. Of more, each with the first and with those shortly before it, so many
that the work grows no faster than the bucket; like documents agree in other bands too, and in one of them they are few."""
NEIGHBOURS = 8


@dataclass(frozen=True, slots=True)
class BandShard:
    """A shard's signatures, and the numbers of its documents (ABSENT: not compared)."""

    signatures: str
    numbers: str


@dataclass(frozen=True, slots=True)
class Bucket:
    """The keys of one prefix; `entries` (n, 2) uint64 of key and number, in pieces."""

    pieces: tuple[bytes, ...] = ()


def bucket_count(entries: int) -> int:
    """A power of two that leaves about ENTRIES_A_BUCKET in each, at least four so that several workers share."""
    return 1 << max(2, (max(1, entries) // ENTRIES_A_BUCKET).bit_length())


@dataclass
class PairCandidates(beam.PTransform[PCollection[Part], PCollection[str]]):
    """Parts (a bucket each, `work` its number) to the keys of finished parts: the candidate pairs of each bucket as a spilled array."""

    place: Place
    shards: tuple[BandShard, ...]
    bands: int
    rows: int
    buckets: int
    earlier: int

    def expand(self, parts: PCollection[Part]) -> PCollection[str]:
        """A part waits for the entries of its bucket."""
        waiting = parts | "Name" >> beam.Map(_named)
        entries = (
            parts.pipeline
            | "Shards" >> beam.Create(self.shards, reshuffle=False)
            | "Bands" >> beam.FlatMap(band_entries, self.bands, self.rows, self.buckets)
        )
        keys: PCollection[str] = (
            (waiting, entries)
            | "Together" >> beam.Flatten()
            | "By prefix" >> beam.GroupByKey()
            | "Pairs" >> beam.ParDo(_PairBucket(self.place, PairUp(self.earlier)))
        )
        return keys


def band_entries(shard: BandShard, bands: int, rows: int, buckets: int) -> Iterator[tuple[str, bytes]]:
    """The entries of a shard's documents, by bucket."""
    numbers = arrays.load(shard.numbers)
    chosen = np.flatnonzero(numbers != ABSENT)
    keys = band_keys(arrays.load(shard.signatures)[chosen], bands, rows)
    entries = np.empty((keys.size, 2), np.uint64)
    entries[:, 0] = keys.reshape(-1)
    entries[:, 1] = np.repeat(numbers[chosen], bands)
    prefix = (entries[:, 0] >> np.uint64(64 - buckets.bit_length() + 1)).astype(np.int64)
    entries = entries[np.argsort(prefix, kind="stable")]
    ends = np.cumsum(np.bincount(prefix, minlength=buckets))
    for bucket, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
        if start < end:
            yield part_key(bucket, buckets), entries[start:end].tobytes()


def part_key(bucket: int, buckets: int) -> str:
    """As `parts.numbered` names them."""
    return f"{bucket:05d}-of-{buckets:05d}"


def _named(part: Part) -> tuple[str, bytes]:
    return part.key, b""


class _PairBucket(beam.DoFn):
    def __init__(self, place: Place, work: "PairUp") -> None:
        self._place = place
        self._work = work

    def process(self, element: tuple[str, Iterable[bytes]]) -> Iterator[str]:
        key, pieces = element
        if not files.exists(self._place.receipt_path(key)):
            run_part(self._place, self._work, Part(key, Bucket(tuple(pieces))))
        yield key


@dataclass(frozen=True)
class PairUp:
    """The work of one bucket: pairs of numbers with a key in common, not both of earlier months."""

    earlier: int

    def __call__(self, part: Part, writer: PartWriter) -> None:
        """Sort, pair, spill."""
        entries = np.frombuffer(b"".join(part.work.pieces), np.uint64).reshape(-1, 2)
        found = pairs(entries[:, 0], entries[:, 1], self.earlier)
        writer.publish("pairs", len(found), lambda f: arrays.write(f, found), writer.spill_name(f"pairs-{part.key}.npy"))


def pairs(keys: Words64, numbers: Words64, earlier: int = 0) -> Pairs:
    """The pairs of numbers that share a key, each once, ascending."""
    ordered = np.sort(keys)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(repeated):
        return np.empty(0, np.uint64)
    at = np.minimum(np.searchsorted(repeated, keys), len(repeated) - 1)
    met = np.flatnonzero(repeated[at] == keys)
    met = met[np.lexsort((numbers[met], keys[met]))]
    keys, numbers = keys[met], numbers[met]
    out = np.empty(_pair_up(keys, numbers, earlier, MEMBERS_COMPARED, NEIGHBOURS, np.empty(0, np.uint64)), np.uint64)
    _pair_up(keys, numbers, earlier, MEMBERS_COMPARED, NEIGHBOURS, out)
    return np.unique(out)


@compiled
def _pair_up(keys: Words64, numbers: Words64, earlier: int, compared: int, neighbours: int, out: Pairs) -> int:
    """Write the pairs if there is room for any; returns how many there are."""
    count = 0
    start = 0
    while start < len(keys):
        end = start
        while end < len(keys) and keys[end] == keys[start]:
            end += 1
        reach = max(neighbours, compared * compared // (end - start)) if end - start > compared else compared
        for second in range(start + 1, end):
            if numbers[second] >= earlier:
                for first in range(max(start, second - reach), second):
                    if len(out):
                        out[count] = numbers[first] << np.uint64(32) | numbers[second]
                    count += 1
                if second - reach > start:
                    if len(out):
                        out[count] = numbers[start] << np.uint64(32) | numbers[second]
                    count += 1
        start = end
    return count
