"""The Beam transform `Links`: submissions to links, for any pipeline, by the rules and the fold of the stage `links`."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import PCollection, TaggedOutput
from apache_beam.transforms.window import GlobalWindows
from apache_beam.utils.windowed_value import WindowedValue

from pipeline.links.fold import fold, select
from pipeline.links.intake import RowBuffer, accept
from pipeline.links.rules import LinkRules
from pipeline.links.settings import LinksSettings, SourceKind
from pipeline.links.spill import SPILL, by_slot
from pipeline.records import Drop, Link
from pipeline.reddit import Post

__all__ = ["LinkOutputs", "Links"]

DROPS = "drops"
PASSED = "passed"


class LinkOutputs(NamedTuple):
    """The outputs of `Links`: a link per page, and a drop per submission that no link names."""

    links: PCollection[Link]
    drops: PCollection[Drop]


@dataclass
class Links(beam.PTransform[PCollection[Post], LinkOutputs]):
    """Links of the submissions that pass the rules: the submissions of one page become one link.

    The submissions are a bounded collection in the global window. `settings` give the rules; their sources (`submissions`,
    `urls`, `subreddits`) are not read. `kind` chooses the defaults: the paper's date for dumps, no required karma for lists of
    URLs. Files of sites and subreddits are read when the pipeline is built. A worker holds the submissions of 1/256 of the hosts
    in memory.

        with beam.Pipeline(FnApiRunner()) as pipeline:
            dumps = pipeline | beam.Create(["RS_2016-01.zst", "RS_2016-02.zst"])
            links, drops = dumps | beam.FlatMap(read_submissions) | Links(LinksSettings(min_karma=5))
    """

    settings: LinksSettings = field(default_factory=LinksSettings)
    kind: SourceKind = SourceKind.DUMP

    def expand(self, submissions: PCollection[Post]) -> LinkOutputs:
        """Judge each submission, group the accepted ones by the slots of their hosts, fold each slot."""
        rules = LinkRules.of(self.settings, self.kind)
        accepted = submissions | "Accept" >> beam.ParDo(_Accept(rules)).with_outputs(DROPS, main=PASSED)
        folded = (
            accepted[PASSED]
            | "By slot" >> beam.GroupByKey()
            | "Fold" >> beam.FlatMap(partial(_fold, self.settings)).with_outputs(DROPS, main=PASSED)
        )
        drops = (accepted[DROPS], folded[DROPS]) | "All drops" >> beam.Flatten()
        return LinkOutputs(folded[PASSED], drops)


class _Accept(beam.DoFn):
    """Submissions to drops and to (slot, serialized batch of the spill): an element per slot and block, never per submission."""

    def __init__(self, rules: LinkRules) -> None:
        self._rules = rules

    def start_bundle(self) -> None:
        self._buffer = RowBuffer()

    def process(self, post: Post) -> Iterator[Any]:
        row = accept(post, self._rules)
        if isinstance(row, Drop):
            yield TaggedOutput(DROPS, row)
        elif (block := self._buffer.add(row)) is not None:
            yield from _slots(block)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        if (block := self._buffer.take()) is not None:
            for element in _slots(block):
                yield GlobalWindows.windowed_value(element)


def _slots(block: pa.Table) -> Iterator[tuple[int, bytes]]:
    for slot, batch in enumerate(by_slot(block)):
        if batch.num_rows:
            yield slot, batch.serialize().to_pybytes()


def _fold(settings: LinksSettings, group: tuple[int, Iterable[bytes]]) -> Iterator[Any]:
    """The links of a slot, and the drops of its submissions that no link names."""
    _, batches = group
    read = [pa.ipc.read_record_batch(pa.py_buffer(batch), SPILL) for batch in batches]
    kept, drops = select(pa.Table.from_batches(read, schema=SPILL), settings)
    yield from (TaggedOutput(DROPS, drop) for drop in drops)
    for batch in fold(kept, settings.karma).to_batches():
        yield from map(Link.from_row, batch.to_pylist())
