"""Extraction as a transform for any Beam pipeline: pages in, documents and drops out."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import PCollection, TaggedOutput
from apache_beam.typehints.decorators import no_annotations

from pipeline.documents.limits import DEFAULT_LIMITS, SandboxLimits
from pipeline.documents.rules import DEFAULT_RULES, ExtractionRules
from pipeline.documents.sandbox_pool import borrow
from pipeline.records import Document, Drop, RawPage

DROPS: Final = "drops"


class ExtractOutputs(NamedTuple):
    """Each page is either a document or a drop; neither is in order."""

    documents: PCollection[Document]
    drops: PCollection[Drop]


@dataclass
class Extract(beam.PTransform[PCollection[RawPage], ExtractOutputs]):
    """The documents of pages, as the stage `documents` extracts them: each worker thread has a sandbox, which limits time and memory.

    `rules` say which pages become documents and what is cut from their text; `limits` what one page may use. A page's document depends on
    the page and the rules alone. `pipeline.extract.page_from_response` makes pages of HTTP responses.

    >>> pages = [RawPage("http://example.org/", b"<p>Too short.</p>")]
    >>> with beam.Pipeline("FnApiRunner") as pipeline:
    ...     documents, drops = pipeline | beam.Create(pages) | Extract()
    ...     _ = drops | beam.Map(lambda drop: print(drop.item, drop.reason))
    http://example.org/ too_short
    """

    rules: ExtractionRules = DEFAULT_RULES
    limits: SandboxLimits = DEFAULT_LIMITS

    @no_annotations  # type: ignore[untyped-decorator]  # without it Beam warns that it does not read a NamedTuple
    def expand(self, pages: PCollection[RawPage]) -> ExtractOutputs:
        """Extract each page in a sandbox."""
        results = pages | "Extract" >> beam.ParDo(_ExtractPage(self.rules, self.limits)).with_outputs(DROPS, main="documents")
        return ExtractOutputs(results.documents, results.drops)


class _ExtractPage(beam.DoFn):
    """Borrows a sandbox from the process's pool for its own lifetime; the sandbox starts with the first page."""

    def __init__(self, rules: ExtractionRules, limits: SandboxLimits) -> None:
        self._rules = rules
        self._limits = limits

    def setup(self) -> None:
        """Borrow a sandbox."""
        self._open = ExitStack()
        (self._sandbox,) = self._open.enter_context(borrow(self._rules, self._limits))

    def process(self, page: RawPage) -> Iterator[Document | TaggedOutput[Literal["drops"], Drop]]:
        """The page's document, or its drop by its tag."""
        result = self._sandbox.extract(page).result
        yield result if isinstance(result, Document) else TaggedOutput(DROPS, result)

    def teardown(self) -> None:
        """Give the sandbox back."""
        self._open.close()
