"""Beam's side of a stage: transforms that work parts to receipts, each part once."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import apache_beam as beam
from apache_beam.metrics.metric import Metrics
from apache_beam.pvalue import PCollection
from apache_beam.transforms.window import GlobalWindows
from apache_beam.utils.windowed_value import WindowedValue

from pipeline.engine.execute import Work, compute_part, publish_part
from pipeline.engine.parts import PhaseFolder, Receipt, is_done
from pipeline.engine.shared_folders import SharedFolder
from pipeline.storage.manifest import Books
from tokenizer.errors import InputError, OutageError

T = TypeVar("T")


@dataclass
class RunParts(beam.PTransform[PCollection[Any], PCollection[str]]):
    """Runs `work` for each part that has no receipt, spread over all workers. Parts in, keys of finished parts out.

    Each worker first checks that it sees the `shared` folder, if one is given.

    Annotated with Any: Beam takes `Part[Any]` for a type hint that no `Part` matches.
    """

    phase: PhaseFolder
    work: Work[Any]
    shared: SharedFolder | None = None

    def expand(self, parts: PCollection[Any]) -> PCollection[str]:
        """Spread by a GroupByKey on the part's key: it is not random, so a retry finds the same one."""
        keys: PCollection[str] = (
            parts
            | "Key" >> beam.Map(_keyed)
            | "Spread" >> beam.GroupByKey()
            | "Work" >> beam.ParDo(RunPart(self.phase, self.work, self.shared))
        )
        return keys


def _keyed(part: Any) -> tuple[str, Any]:
    return part.key, part


class RunPart(beam.DoFn):
    """Works a part while the files of the previous one are published: publishing waits for the disk, some 5 ms per part."""

    def __init__(self, phase: PhaseFolder, work: Work[Any], shared: SharedFolder | None = None) -> None:
        self._phase = phase
        self._work = work
        self._shared = shared

    def setup(self) -> None:
        """Check that this worker sees the shared folder, and start the thread that publishes."""
        if self._shared:
            self._shared.check()
        self._publisher = ThreadPoolExecutor(1, "publisher")

    def start_bundle(self) -> None:
        """Begin with nothing to publish."""
        self._previous: Callable[[], Receipt] | None = None

    def process(self, element: tuple[str, Iterable[Any]]) -> Iterator[str]:
        """The key of the previous part, once it is published; this one's where its receipt exists."""
        key, (part, *_) = element
        if is_done(self._phase, key):
            yield key
            return
        failed = self._phase.has_errors()
        writer = None if failed else self._unless_failed(lambda: compute_part(self._phase, self._work, part))
        with writer or nullcontext():
            yield from self._published()
        if writer:
            self._previous = self._publisher.submit(publish_part, writer).result

    def finish_bundle(self) -> Iterator[WindowedValue]:
        """The key of the last part."""
        for key in self._published():
            yield GlobalWindows.windowed_value(key)

    def teardown(self) -> None:
        """End the thread that publishes."""
        self._publisher.shutdown()

    def _published(self) -> Iterator[str]:
        """The key of the previous part, if it ended well."""
        previous, self._previous = self._previous, None
        if previous and (receipt := self._unless_failed(previous)):
            _count(self._phase.stage, receipt.books)
            yield receipt.key

    def _unless_failed(self, step: Callable[[], T]) -> T | None:
        """The step's result, or None after an InputError, an OutageError or a disk error: the driver reads it from a file, a
        runner would bury its line."""
        try:
            return step()
        except (InputError, OutageError):
            return None
        except OSError:
            if not self._phase.disk_errors():
                raise
            return None


def _count(stage: str, books: Books) -> None:
    Metrics.counter(stage, "in").inc(books.items_in)
    Metrics.counter(stage, "out").inc(books.items_out)
    for reason, items in books.dropped.items():
        Metrics.counter(stage, f"dropped_{reason}").inc(items)
