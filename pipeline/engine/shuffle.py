"""Shuffles of arrays between the parts of two phases, through files. Text is never shuffled.

A local runner holds everything that a GroupByKey shuffles, six times over. Therefore each part of one phase spills a run, its
entries sorted by destination, and each part of the next phase reads its slice of every run. Many runs are first merged into
fewer.
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

MAX_RUNS_PER_PART = 256
"""More runs than this are merged first: every part opens every run."""
RUNS_PER_MERGE = 32
_BOUND_BYTES = 8


@dataclass(frozen=True, slots=True)
class RunSlices:
    """Work of a part whose entries come from runs: one destination's slice of each. `listing` is a file of the runs' paths."""

    listing: str
    destination: int

    def read(self, kind: Any) -> Iterator[Entries]:
        """The entries of each run that has any for this destination."""
        for path in read_paths(self.listing):
            with files.open_input(path, buffered=False) as file:
                file.seek(_BOUND_BYTES * self.destination)
                start, stop = np.frombuffer(file.read(2 * _BOUND_BYTES), "<i8").tolist()
                if start < stop:
                    file.seek(start)
                    yield np.frombuffer(file.read(stop - start), kind)


def entries(work: RunSlices, kind: Any) -> Entries:
    """All entries of a part's work, as one array of dtype `kind`."""
    return np.concatenate([np.empty(0, kind), *work.read(kind)])


def scatter(found: Entries, destination: Destinations, destinations: int) -> tuple[Entries, npt.NDArray[np.int64]]:
    """The entries sorted by destination, stably, and the number of entries per destination."""
    from pipeline.engine.scatter import scatter_words  # imports numba: 40 MB that stages without a shuffle need not hold

    sizes = np.bincount(destination, minlength=destinations)
    ordered = np.empty_like(found)
    width = found.itemsize * math.prod(found.shape[1:]) // 4
    words, out = (array.view(np.uint32).reshape(-1, width) for array in (found, ordered))
    scatter_words(words, destination, np.cumsum(sizes) - sizes, out)
    return ordered, sizes


def write_run(writer: PartWriter, kind: str, found: Entries, destination: Destinations, destinations: int) -> None:
    """Spill entries as a run, sorted by destination."""
    ordered, sizes = scatter(found, destination, destinations)
    _write_run(writer, kind, len(ordered), sizes * ordered[:1].nbytes, [ordered.reshape(-1).view(np.uint8).data])


def _write_run(writer: PartWriter, kind: str, rows: int, sizes: npt.NDArray[np.int64], pieces: Sequence[memoryview]) -> None:
    """A run: the byte offset of each destination's first entry, the offset of the end, then all entries. `sizes` are bytes."""
    bounds = np.concatenate([[0], np.cumsum(sizes)]) + _BOUND_BYTES * (len(sizes) + 1)
    writer.publish(
        kind,
        rows,
        lambda file: file.writelines([bounds.astype("<i8").tobytes(), *pieces]),
        writer.spill_name(f"{kind}-{writer.key}.run"),
    )


@dataclass(frozen=True)
class MergeRuns:
    """Work that merges a group of runs (a tuple of paths) into one."""

    kind: str
    destinations: int

    def __call__(self, part: Part[tuple[str, ...]], writer: PartWriter) -> None:
        """Read all runs, write their entries by destination."""
        runs = [memoryview(files.read_bytes(path)) for path in part.work]
        bounds = np.stack([np.frombuffer(run, "<i8", self.destinations + 1) for run in runs])
        pieces = [
            run[start:stop]
            for starts, stops in pairwise(bounds.T.tolist())
            for run, start, stop in zip(runs, starts, stops, strict=True)
            if start < stop
        ]
        _write_run(writer, self.kind, 0, np.diff(bounds).sum(axis=0), pieces)


def write_paths(listing: str, paths: Sequence[str]) -> str:
    """Write paths to the file `listing`, one per line. Returns `listing`."""
    files.publish(listing, lambda file: file.write("\n".join(paths).encode()), kept=False)
    return listing


def read_paths(listing: str) -> list[str]:
    """The paths in a file of `write_paths`."""
    return files.read_bytes(listing).decode().splitlines()


def run_paths(phase: PhaseFolder, kind: str, receipts: Iterable[Receipt]) -> list[str]:
    """The runs that finished parts of a phase spilled."""
    return [receipt.path(phase, kind) for receipt in receipts]


WorkParts = Callable[[PhaseFolder, list[Part[Any]], Work[Any], str], list[Receipt]]
"""`Engine.work`, or a function with its first four parameters."""


def gather(phase: PhaseFolder, reader: str, kind: str, runs: list[str], destinations: int, run: WorkParts) -> list[Part[Any]]:
    """Parts for the phase named `reader`, one per destination: the work of each is that destination's slice of all runs.

    More than MAX_RUNS_PER_PART runs are merged into fewer first, by `run`. `phase` is any phase of the stage.
    """
    if len(runs) > MAX_RUNS_PER_PART:
        merging = phase.sibling(f"merged-{kind}")
        groups = numbered(tuple(runs[i : i + RUNS_PER_MERGE]) for i in range(0, len(runs), RUNS_PER_MERGE))
        runs = run_paths(merging, kind, run(merging, groups, MergeRuns(kind, destinations), f"groups of {kind}"))
    listing = write_paths(files.join(phase.sibling(reader).work_folder, f"{kind}.list"), runs)
    return numbered(RunSlices(listing, i) for i in range(destinations))
