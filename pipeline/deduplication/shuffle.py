"""Arrays shuffled to the parts of a phase, never text, never one entry alone: in pieces by a GroupByKey on the part's key, or in files.

A local runner holds all that a GroupByKey shuffles, six times over. What may be large goes through files in sorted runs: each part of one
phase writes its entries sorted by destination, each part of the next reads its own of all.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt
from apache_beam.pvalue import PCollection

from pipeline import arrays, files
from pipeline.parts import Part, PartWriter, Place, Receipt, Work, run_part

Entries = npt.NDArray[Any]
Split = Callable[[Any], Iterator[tuple[str, bytes]]]
"""From a source (a shard, a file) to pieces of entries, each with the key of the part that it is for."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """What a part's work gets: (n, 2) entries in pieces, in no order."""

    pieces: tuple[bytes, ...]

    def entries(self, kind: type[np.generic]) -> Entries:
        """All entries."""
        return np.frombuffer(b"".join(self.pieces), kind).reshape(-1, 2)


@dataclass(frozen=True, slots=True)
class SortedRun:
    """Sorted entries as files: those for destination i are `entries[bounds[i]:bounds[i + 1]]`."""

    entries: str
    bounds: str


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a part's work gets from runs: the entries for one destination, in no order."""

    runs: tuple[SortedRun, ...]
    destination: int

    def entries(self, kind: Any) -> Entries:
        """All entries, of a structured kind or, of a plain one, (n, 2)."""
        found = [np.empty(0, kind) if np.dtype(kind).names else np.empty((0, 2), kind)]
        for run in self.runs:
            start, end = arrays.load(run.bounds)[self.destination : self.destination + 2]
            if start < end:
                found.append(np.array(arrays.load(run.entries)[start:end]))
        return np.concatenate(found)


def write_run(writer: PartWriter, kind: str, entries: Entries, destination: npt.NDArray[np.int64], destinations: int) -> None:
    """Spill entries by destination: a radix sort, where they are fewer than 65,536."""
    entries = entries[np.argsort(destination.astype(np.min_scalar_type(destinations)), kind="stable")]
    bounds = np.concatenate([[0], np.cumsum(np.bincount(destination, minlength=destinations))])
    for name, array in ((kind, entries), (f"{kind}_bounds", bounds)):
        path = writer.spill_name(f"{name}-{writer.key}.npy")
        writer.publish(name, len(array), lambda file, array=array: arrays.write(file, array), path)  # type: ignore[misc]


def runs(place: Place, kind: str, receipts: Sequence[Receipt]) -> tuple[SortedRun, ...]:
    """The runs that finished parts spilled."""
    return tuple(SortedRun(receipt.path(place, kind), receipt.path(place, f"{kind}_bounds")) for receipt in receipts)


@dataclass
class ShuffleToParts(beam.PTransform[PCollection[Part], PCollection[str]]):
    """Parts to the keys of finished parts: every part waits for the pieces that `split` makes of the `sources`; `work` gets Pieces."""

    place: Place
    sources: tuple[Any, ...]
    split: Split
    work: Work

    def expand(self, parts: PCollection[Part]) -> PCollection[str]:
        """An empty piece stands for each part, so that one without entries is worked too."""
        waiting = parts | "Name" >> beam.Map(_named)
        pieces = parts.pipeline | "Sources" >> beam.Create(self.sources, reshuffle=False) | "Split" >> beam.FlatMap(self.split)
        keys: PCollection[str] = (
            (waiting, pieces)
            | "Together" >> beam.Flatten()
            | "By part" >> beam.GroupByKey()
            | "Work" >> beam.ParDo(WorkPieces(self.place, self.work))
        )
        return keys


def split_by(entries: Entries, part: npt.NDArray[np.int64], parts: int) -> Iterator[tuple[str, bytes]]:
    """The entries of each part in one piece; `part` is each entry's."""
    entries = entries[np.argsort(part, kind="stable")]
    ends = np.cumsum(np.bincount(part, minlength=parts))
    for number, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
        if start < end:
            yield f"{number:05d}-of-{parts:05d}", entries[start:end].tobytes()


def _named(part: Part) -> tuple[str, bytes]:
    return part.key, b""


class WorkPieces(beam.DoFn):
    """Works grouped pieces to a receipt, unless it stands."""

    def __init__(self, place: Place, work: Work) -> None:
        self._place = place
        self._work = work

    def process(self, element: tuple[str, Iterable[bytes]]) -> Iterator[str]:
        """The key, once its part is done."""
        key, pieces = element
        if not files.exists(self._place.receipt_path(key)):
            run_part(self._place, self._work, Part(key, Pieces(tuple(pieces))))
        yield key
