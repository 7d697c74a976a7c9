"""The stage `documents`: the text of every page, in the pages' order. Pages without a document are dropped with their reasons."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pyarrow.compute as pc

from pipeline.documents import extractors, filter_notes, takedown
from pipeline.documents.blocks import compilation
from pipeline.documents.drops import STAGE_NAME, ExtractDrop
from pipeline.documents.explain import explain_page, explain_page_html
from pipeline.documents.limits import SandboxLimits
from pipeline.documents.page_ranges import PageRange, PageReader, page_ranges
from pipeline.documents.rules import ExtractionRules
from pipeline.documents.sandbox import Sandbox
from pipeline.documents.sandbox_pool import borrow, extract_in_order
from pipeline.documents.settings import DocumentsSettings
from pipeline.documents.site_phases import EXTRACTED, count, strip_site_lines
from pipeline.engine.parts import Part, PhaseFolder, Receipt, numbered
from pipeline.engine.runner import WORKER_PROCESS, Engine
from pipeline.engine.stage import Call, Stage, StageResult
from pipeline.engine.writer import PartWriter
from pipeline.records import Document
from pipeline.storage import files
from pipeline.storage.link_shards import keys_of_submissions
from pipeline.storage.manifest import Books, check_room, input_folder, load_stage
from pipeline.storage.takedown_list import SUBMISSION, Entry, entries
from tokenizer.errors import InputError

logger = logging.getLogger(__name__)

DOCUMENTS_PER_BATCH = 256
"""Documents in memory, and in a row group."""

SANDBOXES_PER_PROCESS = 4
"""The sandboxes that one process can feed: it spends 1.2 ms per page, a twentieth of the sandbox's time, a quarter with resiliparse."""


@dataclass(frozen=True, slots=True)
class ExtractPages:
    """Extracts the documents of a range of pages, in that number of sandboxes at once. They are spilled for a later phase, or published."""

    rules: ExtractionRules
    limits: SandboxLimits
    sandboxes: int = 1
    spilled: bool = False

    def __call__(self, part: Part[PageRange], writer: PartWriter) -> None:
        """Write the documents in the pages' order, a batch at a time."""
        name = writer.spill_name(writer.name(EXTRACTED)) if self.spilled else None
        sink = writer.table(EXTRACTED if self.spilled else "documents", Document.SCHEMA, name)
        batch: list[Document] = []
        if not self.spilled:
            writer.counters["text_bytes"] = 0
        with borrow(self.rules, self.limits, self.sandboxes) as sandboxes:
            for document in self._documents(part.work, sandboxes, writer):
                batch.append(document)
                if len(batch) == DOCUMENTS_PER_BATCH:
                    sink.write(Document.table(batch))
                    batch = []
        if batch:
            sink.write(Document.table(batch))

    def _documents(self, pages: PageRange, sandboxes: Sequence[Sandbox], writer: PartWriter) -> Iterator[Document]:
        """The documents, with drops and counts in the writer."""
        with PageReader(pages) as reader:
            for extraction in extract_in_order(sandboxes, pages.pages(), reader.read):
                writer.items_in += 1
                writer.advance()
                writer.counters.update(extraction.counts)
                if not isinstance(extraction.result, Document):
                    writer.drop(extraction.result)
                    continue
                if self.spilled:
                    writer.items_out += 1
                else:
                    count(writer, extraction.result)
                yield extraction.result


def work(call: Call[DocumentsSettings], phase: PhaseFolder) -> StageResult:
    """Extract every page of the pages folder. Raises InputError where no page's record can be read."""
    settings = call.settings
    folder = call.inputs["pages"]
    parts = numbered(page_ranges(folder, load_stage(folder, "pages")), lambda pages: pages.stop - pages.start)
    check_room(phase.folder, len(parts), 4 if settings.site_line_rules() else 2)  # documents and drops, of one or two passes
    compile_extractor(settings)
    filter_notes.warn_of_english(settings)
    listed = entries(settings.takedown) if settings.takedown else []
    takedown.warn_of_dead_lines(settings.takedown or "", listed)
    engine, sandboxes = spread_sandboxes(call.engine)
    rules = settings.rules()
    if any(entry.kind == SUBMISSION for entry in listed):
        rules = replace(rules, takedown=takedown.of(listed, _submission_keys(folder, listed)))
    site_rules = settings.site_line_rules()
    extract = ExtractPages(rules, settings.limits(), sandboxes, spilled=site_rules is not None)
    if site_rules is not None:  # its drops have file names of their own
        parts = [replace(part, key=f"{EXTRACTED}-{part.key}") for part in parts]
    extracted = engine.work(phase.sibling(EXTRACTED) if site_rules else phase, parts, extract, "pages")
    _check_records(folder, extracted)
    books = Books.total(receipt.books for receipt in extracted)
    filter_notes.warn_of_emptying(rules.filters, books)
    receipts = list(extracted)
    if site_rules is not None:
        stripped = strip_site_lines(phase, extracted, call.engine, site_rules, rules)
        receipts, books = [*extracted, *stripped], _one_after_the_other(books, Books.total(receipt.books for receipt in stripped))
    if settings.takedown:
        takedown.report_matches(settings.takedown, listed, _details_of(phase, receipts, ExtractDrop.TAKEN_DOWN))
    return StageResult(receipts, books)


def _one_after_the_other(first: Books, second: Books) -> Books:
    """The books of two passes, of which the second takes what the first gives."""
    return Books(first.items_in, second.items_out, dict(sorted((Counter(first.dropped) + Counter(second.dropped)).items())))


def _submission_keys(folder: str, listed: Sequence[Entry]) -> dict[str, set[str]]:
    """The dedup keys of the links of listed submissions, from the links that the pages were fetched from.

    Raises InputError where that folder is gone: the pages do not say who linked to them.
    """
    ids = {entry.value for entry in listed if entry.kind == SUBMISSION}
    links = input_folder(folder, load_stage(folder, "pages"), "links")
    paths = [files.join(links, entry.name) for entry in load_stage(links, "links").of_kind("links")]
    return keys_of_submissions(paths, ids)


def _details_of(phase: PhaseFolder, receipts: Sequence[Receipt], reason: ExtractDrop) -> Counter[str]:
    """How often each detail is given for a reason, in the drops that the parts have published."""
    details: Counter[str] = Counter()
    for entry in (entry for receipt in receipts for entry in receipt.files if entry.kind == "drops"):
        for batch in files.record_batches(files.join(phase.folder, entry.name), ["reason", "detail"]):
            hits = batch.filter(pc.equal(batch.column("reason"), str(reason)))
            details.update(hits.column("detail").to_pylist())
    return details


def compile_extractor(settings: DocumentsSettings) -> None:
    """Compile the extractor where its cache has no code of this version, once and not in each sandbox; say so first."""
    if settings.extractor != extractors.RESILIPARSE and not compilation.is_compiled():
        logger.info("%s: compiling the extractor, once for this version: 20 CPU seconds in two processes", STAGE_NAME)
        compilation.compile_extractor()


def _check_records(folder: str, receipts: Sequence[Receipt]) -> None:
    """Raise InputError where every page is a drop for its record: the fault is the folder's, not the pages'."""
    books = Books.total(receipt.books for receipt in receipts)
    if books.items_in and books.dropped.get(ExtractDrop.BAD_RECORD) == books.items_in:
        raise InputError(f"{folder}: no record of its {books.items_in:,} pages can be read; fetch the pages again")


def spread_sandboxes(engine: Engine) -> tuple[Engine, int]:
    """The engine with as few local processes as keep its workers' sandboxes busy, and the number of sandboxes in each process.

    The work is done in the sandboxes. One process hands pages to several of them one by one, while processes would get whole parts in
    advance, wait for the slowest, and each import Beam. The processes end with the stage, and their sandboxes with them.
    """
    if not engine.is_local:
        return engine, 1
    processes = -(-engine.workers // SANDBOXES_PER_PROCESS)
    return replace(engine, workers=processes, worker=WORKER_PROCESS), -(-engine.workers // processes)


def explain(source: str, url: str, settings: DocumentsSettings) -> str:
    """What the stage does to one page of a pages folder, or to a file of HTML, one step per line."""
    return explain_page(source, url, settings.rules(), settings.limits())


def explain_html(source: str, url: str, settings: DocumentsSettings) -> str:
    """What the stage does to one page, and to each of its blocks, as an HTML page."""
    return explain_page_html(source, url, settings.rules(), settings.limits())


STAGE = Stage(
    name=STAGE_NAME,
    settings=DocumentsSettings,
    inputs=("pages",),
    work=work,
    unit="pages",
    explain_input=explain,
    explain_html=explain_html,
)
