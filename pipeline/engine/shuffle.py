"""Arrays shuffled to the parts of a phase by way of files; text is never shuffled.

A local runner holds everything that a GroupByKey shuffles six times over. Therefore each part of one phase writes a run, its entries sorted
by destination, and each part of the next phase reads its own entries from all runs. Many runs are merged into fewer first.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.engine.execute import Work
from pipeline.engine.parts import Part, PhaseFolder, Receipt, numbered
from pipeline.engine.writer import PartWriter
from pipeline.storage import files

Entries = npt.NDArray[Any]
Destinations = npt.NDArray[np.integer[Any]]

RUNS_READ_BY_EACH = 256
"""More runs than this are merged first: parts times runs are so many openings of a file."""
RUNS_MERGED = 32
_BOUND_BYTES = 8


@dataclass(frozen=True, slots=True)
class Gathered:
    """What a part's work gets from the runs of a `listing`: the entries for one destination."""

    listing: str
    destination: int

    def read(self, kind: Any) -> Iterator[Entries]:
        """The entries of each run that has any."""
        for path in listed(self.listing):
            with files.open_input(path, buffered=False) as file:
                file.seek(_BOUND_BYTES * self.destination)
                start, stop = np.frombuffer(file.read(2 * _BOUND_BYTES), "<i8").tolist()
                if start < stop:
                    file.seek(start)
                    yield np.frombuffer(file.read(stop - start), kind)


def entries(work: Gathered, kind: Any) -> Entries:
    """All entries that a part's work gets."""
    return np.concatenate([np.empty(0, kind), *work.read(kind)])


def write_run(writer: PartWriter, kind: str, found: Entries, destination: Destinations, destinations: int) -> None:
    """Spill entries by destination."""
    ordered, sizes = scatter(found, destination, destinations)
    _write(writer, kind, len(ordered), sizes * ordered[:1].nbytes, [ordered.reshape(-1).view(np.uint8).data])


def scatter(found: Entries, destination: Destinations, destinations: int) -> tuple[Entries, npt.NDArray[np.int64]]:
    """Entries by destination, in their order in each, and how many each gets."""
    from pipeline.engine.scatter import (
        scatter_words,  # with it comes numba: 40 MB that the stages without a shuffle need not hold
    )

    sizes = np.bincount(destination, minlength=destinations)
    ordered = np.empty_like(found)
    width = found.itemsize * math.prod(found.shape[1:]) // 4
    words, out = (entries.view(np.uint32).reshape(-1, width) for entries in (found, ordered))
    scatter_words(words, destination, np.cumsum(sizes) - sizes, out)
    return ordered, sizes


def _write(writer: PartWriter, kind: str, rows: int, sizes: npt.NDArray[np.int64], pieces: Sequence[memoryview]) -> None:
    """A run is the bytes where each destination's entries begin and the last's end, then all entries."""
    bounds = np.concatenate([[0], np.cumsum(sizes)]) + _BOUND_BYTES * (len(sizes) + 1)
    writer.publish(
        kind,
        rows,
        lambda file: file.writelines([bounds.astype("<i8").tobytes(), *pieces]),
        writer.spill_name(f"{kind}-{writer.key}.run"),
    )


@dataclass(frozen=True)
class MergeRuns:
    """The work of some runs (a tuple of paths): one run of all their entries."""

    kind: str
    destinations: int

    def __call__(self, part: Part[Any], writer: PartWriter) -> None:
        """Read all, write by destination."""
        runs = [memoryview(files.read_bytes(path)) for path in part.work]
        bounds = np.stack([np.frombuffer(run, "<i8", self.destinations + 1) for run in runs])
        cuts = bounds.T.tolist()
        pieces = [
            run[start:stop]
            for starts, stops in pairwise(cuts)
            for run, start, stop in zip(runs, starts, stops, strict=True)
            if start < stop
        ]
        _write(writer, self.kind, 0, np.diff(bounds).sum(axis=0), pieces)


def list_paths(path: str, paths: Sequence[str]) -> str:
    """Write down paths, a line each; returns where."""
    files.publish(path, lambda file: file.write("\n".join(paths).encode()), kept=False)
    return path


def listed(listing: str) -> list[str]:
    """The paths of a listing."""
    return files.read_bytes(listing).decode().splitlines()


def run_paths(place: PhaseFolder, kind: str, receipts: Iterable[Receipt]) -> list[str]:
    """The runs that finished parts spilled."""
    return [receipt.path(place, kind) for receipt in receipts]


WorkParts = Callable[[PhaseFolder, list[Part[Any]], Work[Any], str], list[Receipt]]
"""Work parts in a place to their receipts; the last argument names what their items are, for the progress line."""


def gather(place: PhaseFolder, phase: str, kind: str, runs: list[str], destinations: int, run: WorkParts) -> list[Part[Any]]:
    """One part of the phase per destination: its work reads that destination's entries from all runs.

    More than RUNS_READ_BY_EACH runs are merged into fewer first.
    """
    if len(runs) > RUNS_READ_BY_EACH:
        merging = place.sibling(f"merged-{kind}")
        groups = numbered(tuple(runs[i : i + RUNS_MERGED]) for i in range(0, len(runs), RUNS_MERGED))
        runs = run_paths(merging, kind, run(merging, groups, MergeRuns(kind, destinations), f"groups of {kind}"))
    listing = list_paths(files.join(place.sibling(phase).work_folder, f"{kind}.list"), runs)
    return numbered(Gathered(listing, i) for i in range(destinations))
