"""TODO-DOC."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.documents.forkserver import Limits
from pipeline.documents.page_ranges import PageRange
from pipeline.documents.rules import Rules
from pipeline.documents.sandbox import Sandbox
from pipeline.documents.sandbox_pool import answers, borrowed
from pipeline.engine.parts import Part
from pipeline.engine.writer import PartWriter
from pipeline.records import Document, RawPage

DOCUMENTS_A_BATCH = 256
"""Documents in memory, and in a row group."""


@dataclass(frozen=True, slots=True)
class ExtractPages:
    """The documents of one range of pages, by so many sandboxes at once."""

    rules: Rules
    limits: Limits
    sandboxes: int = 1

    def __call__(self, part: Part[Any], writer: PartWriter) -> None:
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
