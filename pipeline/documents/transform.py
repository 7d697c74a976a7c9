"""TODO-DOC."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.pvalue import PCollection

from pipeline.documents.forkserver import DEFAULT_LIMITS, Limits
from pipeline.documents.page_ranges import PageRange
from pipeline.documents.rules import DEFAULT_RULES, RawPage, Rules
from pipeline.documents.sandbox import Sandbox
from pipeline.documents.sandbox_pool import answers, borrowed
from pipeline.engine.parts import Part, Place
from pipeline.engine.transform import RunParts
from pipeline.engine.writer import PartWriter
from pipeline.records import Document

DOCUMENTS_A_BATCH = 256
"""Documents in memory, and in a row group."""


@dataclass(frozen=True, slots=True)
class ExtractPages:
    """The documents of one range of pages, by so many sandboxes at once."""

    rules: Rules
    limits: Limits
    sandboxes: int = 1

    def __call__(self, part: Part, writer: PartWriter) -> None:
        """Write them in the pages' order, a batch at a time."""
        sink = writer.table("documents", Document.SCHEMA)
        batch: list[Document] = []
        writer.counters["text_bytes"] = 0
        with borrowed(self.rules, self.limits, self.sandboxes) as sandboxes:
            for document in self._documents(part.work, sandboxes, writer):
                batch.append(document)
                if len(batch) == DOCUMENTS_A_BATCH:
                    sink.write(Document.table(batch))
                    batch = []
        if batch:
            sink.write(Document.table(batch))

    def _documents(self, pages: PageRange, sandboxes: Sequence[Sandbox], writer: PartWriter) -> Iterator[Document]:
        for answer in answers(sandboxes, pages.pages(), lambda page: RawPage.of(page, pages.body(page))):
            writer.items_in += 1
            writer.advance()
            writer.counters.update(answer.counts)
            if not isinstance(answer.result, Document):
                writer.drop(answer.result)
                continue
            writer.items_out += 1
            writer.counters["text_bytes"] += len(answer.result.text.encode())
            writer.counters[f"language_{answer.result.language}"] += 1
            yield answer.result


@dataclass
class Extract(beam.PTransform[PCollection[Part], PCollection[str]]):
    """Parts of `PageRange`s to the keys of finished parts: their documents and drops stand in `place`."""

    place: Place
    rules: Rules = DEFAULT_RULES
    limits: Limits = DEFAULT_LIMITS
    sandboxes: int = 1

    def expand(self, parts: PCollection[Part]) -> PCollection[str]:
        """One step: text never enters a shuffle."""
        finished: PCollection[str] = parts | "Extract" >> RunParts(
            self.place, ExtractPages(self.rules, self.limits, self.sandboxes)
        )
        return finished
