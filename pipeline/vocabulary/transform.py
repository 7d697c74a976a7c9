"""CountWords: counts of GPT-2's pre-tokens as a Beam transform."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import PCollection
from apache_beam.transforms.window import BoundedWindow
from apache_beam.utils.windowed_value import WindowedValue

from pipeline.vocabulary.counts import add_up, partition
from tokenizer.bpe import COUNTS_SCHEMA
from tokenizer.counting import PreTokenCounter

BATCH_TEXTS = 1024
BATCH_CHARACTERS = 1 << 22


@dataclass
class CountWords(beam.PTransform[PCollection[str], PCollection[tuple[bytes, int]]]):
    """Texts in; each distinct pre-token (UTF-8 bytes) and how often it occurs out. `tokenizer.bpe.train` takes a dict of these.

    Each bundle is counted by the compiled counter. What is shuffled are the bundles' tables of counts, split into `partitions` by a
    hash of the pre-token; the number of partitions limits how many workers add up, and does not change the result. Windows are
    counted apart. Raises ValueError for a text with lone surrogates, which UTF-8 cannot encode.

        >>> with beam.Pipeline("FnApiRunner") as pipeline:
        ...     counts = pipeline | beam.Create(["to be or", "not to be"]) | CountWords()
        ...     _ = counts | beam.Filter(lambda count: count[1] > 1) | beam.Map(print)
        (b' be', 2)
    """

    partitions: int = 16

    def __post_init__(self) -> None:
        if self.partitions < 1:
            raise ValueError(f"partitions {self.partitions}: must be at least 1")

    def expand(self, texts: PCollection[str]) -> PCollection[tuple[bytes, int]]:
        """Count each bundle, group its tables by partition, add up each partition."""
        counts: PCollection[tuple[bytes, int]] = (
            texts
            | "Count" >> beam.ParDo(_CountBundle(self.partitions)).with_output_types(tuple[int, bytes])
            | "By partition" >> beam.GroupByKey()
            | "Add up" >> beam.FlatMap(_add_up).with_output_types(tuple[bytes, int])
        )
        return counts


class _TextCounter:
    """A counter that takes single texts and adds them in batches, as the compiled code wants them."""

    def __init__(self) -> None:
        self._counter = PreTokenCounter()
        self._texts: list[str] = []
        self._characters = 0

    def add(self, text: str) -> None:
        self._texts.append(text)
        self._characters += len(text)
        if len(self._texts) >= BATCH_TEXTS or self._characters >= BATCH_CHARACTERS:
            self._flush()

    def table(self) -> pa.Table:
        self._flush()
        return self._counter.table()

    def _flush(self) -> None:
        self._counter.add(pa.array(self._texts, pa.large_string()))
        self._texts, self._characters = [], 0


class _CountBundle(beam.DoFn):
    """Texts to a table of counts per bundle, window and partition, as an Arrow stream keyed by its partition."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions

    def start_bundle(self) -> None:
        """Begin with no counts."""
        self._counters: dict[BoundedWindow, _TextCounter] = {}

    def process(self, text: str, window: Any = beam.DoFn.WindowParam) -> None:
        """Count the text."""
        if window not in self._counters:
            self._counters[window] = _TextCounter()
        self._counters[window].add(text)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        """The tables that have rows."""
        for window, counter in self._counters.items():
            for number, table in enumerate(partition(counter.table(), self._partitions)):
                if table.num_rows:
                    yield WindowedValue((number, _write_stream(table)), window.max_timestamp(), (window,))


def _add_up(tables: tuple[int, Iterable[bytes]]) -> Iterator[tuple[bytes, int]]:
    for batch in add_up(map(_read_stream, tables[1])).table().to_batches():
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _write_stream(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, COUNTS_SCHEMA) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _read_stream(data: bytes) -> pa.Table:
    return pa.ipc.open_stream(data).read_all()
