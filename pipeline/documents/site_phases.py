"""The pass over a site's pages: count their lines by site, decide which are furniture, write the documents without them.

Only hashes are shuffled, through files; each phase's parts are independent, so their number of workers changes no byte.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa

from pipeline.documents import cleaning
from pipeline.documents.drops import STAGE_NAME, ExtractDrop
from pipeline.documents.extract import document_id
from pipeline.documents.rules import ExtractionRules
from pipeline.documents.site_lines import ENTRY, LINE, SiteLineRules, by_site, entries_of, furniture_of, hash_of, strip
from pipeline.engine.parts import Part, PhaseFolder, Receipt, numbered
from pipeline.engine.runner import Engine
from pipeline.engine.shuffle import RunSlices, entries, gather, read_paths, run_paths, write_paths, write_run
from pipeline.engine.writer import PartWriter
from pipeline.records import Document, Drop, required
from pipeline.storage import files

logger = logging.getLogger(__name__)

EXTRACTED: Final = "extracted"
"""The kind of the spilled documents before the pass."""

KIND: Final = "site_lines"
REMOVED: Final = pa.schema(
    [
        required("document_id", pa.binary(16)),
        required("url", pa.string()),
        required("lines", pa.int64()),
        required("characters", pa.int64()),
        required("removed", pa.large_string()),
    ]
)
"""What was removed from a document: its new id, and the lines, joined by line ends."""

DOCUMENTS_PER_DESTINATION: Final = 50_000
"""A destination of the shuffle has the lines of about that many documents: at 50 lines each, 60 MB."""

ROWS_PER_BATCH: Final = 256


@dataclass(frozen=True, slots=True)
class CountLines:
    """Spills the entries of a part's documents (the path of a spill), by destination."""

    rules: SiteLineRules
    destinations: int

    def __call__(self, part: Part[str], writer: PartWriter) -> None:
        """Read the texts once; only hashes are kept."""
        found = [np.empty(0, ENTRY)]
        for batch in files.record_batches(part.work, ["domain", "text"], ROWS_PER_BATCH):
            pairs = zip(batch.column("domain").to_pylist(), batch.column("text").to_pylist(), strict=True)
            found += [entries_of(domain, text, self.rules) for domain, text in pairs]
            writer.advance(batch.num_rows)
        whole = np.concatenate(found)
        write_run(writer, KIND, whole, (whole["site"] % self.destinations).astype(np.int64), self.destinations)


@dataclass(frozen=True, slots=True)
class FindFurniture:
    """Spills the lines that are furniture of a destination's sites."""

    rules: SiteLineRules

    def __call__(self, part: Part[RunSlices], writer: PartWriter) -> None:
        """Count, and keep what the rules call furniture."""
        found = furniture_of(entries(part.work, ENTRY), self.rules)
        writer.counters["site_lines_found"] = len(found)
        writer.counters["sites_with_lines"] = len(np.unique(found["site"]))
        writer.publish(KIND, len(found), lambda file: file.write(found.tobytes()), writer.spill_name(f"furniture-{writer.key}"))


@dataclass(frozen=True, slots=True)
class StripLines:
    """Writes the documents of a part without their sites' furniture. `listing` is a file of the furniture's paths."""

    listing: str
    site_rules: SiteLineRules
    rules: ExtractionRules

    def __call__(self, part: Part[str], writer: PartWriter) -> None:
        """Write the documents in their order, a batch at a time, and what was removed from each."""
        furniture = self._furniture(part.work)
        documents, removed = writer.table("documents", Document.SCHEMA), writer.table(KIND, REMOVED)
        writer.counters["text_bytes"] = 0
        for batch in files.record_batches(part.work, Document.SCHEMA.names, ROWS_PER_BATCH):
            kept, changes = [], []
            for row in batch.to_pylist():
                writer.items_in += 1
                document, lines = self._stripped(Document.from_row(row), furniture)
                if drop := self._drop(document):
                    writer.drop(drop)
                    continue
                kept.append(document)
                count(writer, document)
                if lines:
                    changes.append((document.document_id, document.url, len(lines), sum(map(len, lines)), "\n".join(lines)))
            writer.advance(batch.num_rows)
            if kept:
                documents.write(Document.table(kept))
            if changes:
                removed.write(pa.Table.from_arrays([pa.array(column) for column in zip(*changes, strict=True)], REMOVED.names))
                writer.counters["site_line_documents"] += len(changes)
                writer.counters["site_line_characters"] += sum(change[3] for change in changes)

    def _furniture(self, path: str) -> dict[int, frozenset[int]]:
        """The furniture of the sites in a spill: no other site's is held in memory."""
        domains: set[str] = set()
        for batch in files.record_batches(path, ["domain"]):
            domains.update(batch.column("domain").unique().to_pylist())
        sites = np.array(sorted(map(hash_of, domains)), np.uint64)
        return by_site((np.frombuffer(files.read_bytes(path), LINE) for path in read_paths(self.listing)), sites)

    def _stripped(self, document: Document, furniture: dict[int, frozenset[int]]) -> tuple[Document, tuple[str, ...]]:
        lines = furniture.get(hash_of(document.domain))
        if not lines:
            return document, ()
        text, removed = strip(document.text, lines, self.site_rules)
        return replace(document, text=text, document_id=document_id(text)) if removed else document, removed

    def _drop(self, document: Document) -> Drop | None:
        if detail := cleaning.too_short(document.text, self.rules.min_characters):
            return Drop(STAGE_NAME, document.url, ExtractDrop.TOO_SHORT, f"{detail}, without lines of its site")
        if document.document_id in self.rules.takedown.document_ids:
            return Drop(STAGE_NAME, document.url, ExtractDrop.TAKEN_DOWN, f"document {document.document_id.hex()}")
        return None


def count(writer: PartWriter, document: Document) -> None:
    """Count a document that is kept."""
    writer.items_out += 1
    writer.counters["text_bytes"] += len(document.text.encode())
    writer.counters[f"language_{document.language}"] += 1


def strip_site_lines(
    phase: PhaseFolder, extracted: Sequence[Receipt], engine: Engine, site_rules: SiteLineRules, rules: ExtractionRules
) -> list[Receipt]:
    """The receipts of the pass over the documents that `extracted` spilled; it publishes under the names that extraction has."""
    spills = [receipt.path(phase, EXTRACTED) for receipt in extracted]
    sizes = [receipt.books.items_out for receipt in extracted]
    destinations = max(1, -(-sum(sizes) // DOCUMENTS_PER_DESTINATION))
    counting = phase.sibling("lines")
    counted = engine.work(counting, _parts(spills, sizes), CountLines(site_rules, destinations), "documents")
    finding = gather(phase, "furniture", KIND, run_paths(counting, KIND, counted), destinations, engine.work)
    found = engine.work(phase.sibling("furniture"), finding, FindFurniture(site_rules), "sites' lines")
    paths = [receipt.path(phase, KIND) for receipt in found]
    listing = write_paths(files.join(phase.work_folder, "furniture.list"), paths)
    stripped = engine.work(phase, _parts(spills, sizes), StripLines(listing, site_rules, rules), "documents")
    _report(found, stripped)
    return [*found, *stripped]


def _parts(spills: Sequence[str], sizes: Sequence[int]) -> list[Part[Any]]:
    return [replace(part, items=size) for part, size in zip(numbered(spills), sizes, strict=True)]


def _report(found: Sequence[Receipt], stripped: Sequence[Receipt]) -> None:
    def total(receipts: Sequence[Receipt], name: str) -> int:
        return sum(_counts(receipts, name))

    logger.info(
        "%s: --site-lines removed %s characters from %s documents: %s lines of %s sites",
        STAGE_NAME,
        *(f"{total(stripped, f'site_line_{name}'):,}" for name in ("characters", "documents")),
        *(f"{total(found, name):,}" for name in ("site_lines_found", "sites_with_lines")),
    )


def _counts(receipts: Sequence[Receipt], name: str) -> Iterator[int]:
    return (receipt.counters.get(name, 0) for receipt in receipts)
