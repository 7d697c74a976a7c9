"""TODO-DOC."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.metrics.metric import Metrics
from apache_beam.pvalue import PCollection
from apache_beam.transforms.window import GlobalWindows
from apache_beam.utils.windowed_value import WindowedValue

from pipeline.engine.execute import Work, publish_part, work_part
from pipeline.engine.parts import Part, Place, Receipt, T, stands
from pipeline.storage import files
from pipeline.storage.manifest import Books


@dataclass
class RunParts(beam.PTransform[PCollection[Part], PCollection[str]]):
    """Parts to the keys of finished parts: `work` for each part that has no receipt, spread over all workers."""

    place: Place
    work: Work

    def expand(self, parts: PCollection[Part]) -> PCollection[str]:
        """Spread by a GroupByKey on the part's key: no random key, so a retry finds the same one."""
        keys: PCollection[str] = (
            parts
            | "Key" >> beam.Map(_keyed)
            | "Spread" >> beam.GroupByKey()
            | "Work" >> beam.ParDo(_RunPart(self.place, self.work))
        )
        return keys


def _keyed(part: Part) -> tuple[str, Part]:
    return part.key, part


class _RunPart(beam.DoFn):
    """Works a part while the files of the one before are published: that waits for the disk, some 5 ms a part, and computes nothing."""

    def __init__(self, place: Place, work: Work) -> None:
        self._place = place
        self._work = work

    def setup(self) -> None:
        self._publisher = ThreadPoolExecutor(1, "publisher")

    def start_bundle(self) -> None:
        self._before: Callable[[], Receipt] | None = None

    def process(self, element: tuple[str, Iterable[Part]]) -> Iterator[str]:
        key, (part, *_) = element
        if stands(self._place, key):
            yield key
            return
        writer = self._unless_told(lambda: work_part(self._place, self._work, part))
        with writer or nullcontext():
            yield from self._published()
        if writer:
            self._before = self._publisher.submit(publish_part, writer).result

    def finish_bundle(self) -> Iterator[WindowedValue]:
        for key in self._published():
            yield GlobalWindows.windowed_value(key)

    def teardown(self) -> None:
        self._publisher.shutdown()

    def _published(self) -> Iterator[str]:
        """The key of the part before, if it ended well."""
        before, self._before = self._before, None
        if before and (receipt := self._unless_told(before)):
            _count(self._place.stage, receipt.books)
            yield receipt.key

    def _unless_told(self, step: Callable[[], T]) -> T | None:
        """None where an input is bad or a disk full: a file tells the driver, a runner would bury the one line."""
        if self._place.told_errors() or self._place.disk_errors():
            return None
        try:
            return step()
        except files.InputError:
            return None
        except OSError:
            if not self._place.disk_errors():
                raise
            return None


def _count(stage: str, books: Books) -> None:
    Metrics.counter(stage, "in").inc(books.items_in)
    Metrics.counter(stage, "out").inc(books.items_out)
    for reason, items in books.dropped.items():
        Metrics.counter(stage, f"dropped_{reason}").inc(items)
