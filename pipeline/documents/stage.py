"""The stage `documents`: the text of every page, in the pages' order; what has none is dropped with its reason."""

from dataclasses import dataclass, replace

from pipeline import paper
from pipeline.documents import bad_words, extractors, html, pdf, quality, takedown
from pipeline.documents.explain import explain_page
from pipeline.documents.forkserver import DEFAULT_LIMITS, Limits
from pipeline.documents.page_ranges import page_ranges
from pipeline.documents.rules import ALL_LANGUAGES, DEFAULT_RULES, NOTHING_TAKEN_DOWN, Rules
from pipeline.documents.transform import ExtractPages
from pipeline.engine.parts import PhaseFolder, numbered
from pipeline.engine.runner import WORKER_PROCESS, Engine
from pipeline.engine.settings import setting
from pipeline.engine.stage import Call, Stage, StageResult
from pipeline.storage.manifest import load_stage

SANDBOXES_A_PROCESS = 4
"""What one process can feed: its own share of a page is 1.2 ms, a twentieth of the time in the sandbox, a quarter with resiliparse."""


@dataclass(frozen=True, slots=True)
class DocumentsSettings:
    """How pages become documents."""

    extractor: str = setting(
        DEFAULT_RULES.extractor,
        "what finds the main text: trafilatura, with fallbacks where in doubt; without; or resiliparse, faster and coarser",
        choices=extractors.EXTRACTORS,
    )
    plain_text: bool = setting(False, "take pages of type text/plain too")
    pdf: bool = setting(False, "take PDF files too, by their text layer (needs pypdf: pip install 'webtext[pdf]')")
    languages: tuple[str, ...] = setting(("en",), "ISO 639-1 codes of the languages to keep, or 'all'")
    min_characters: int = setting(paper.MIN_DOCUMENT_CHARACTERS, "drop shorter documents")
    exclude_sites: tuple[str, ...] = setting(
        paper.REMOVED_SITES, "leave out links to these sites, and pages that redirect to them", metavar="SITE"
    )
    strip_title: bool = setting(True, "take the title out of the text, it has its own column")
    strip_boilerplate: bool = setting(True, "remove lines that are a site's furniture")
    filters: tuple[str, ...] = setting((), f"published quality filters to apply: {', '.join(quality.FILTERS)}")
    bad_words: str | None = setting(
        None,
        "file of words, one a line: drop documents that hold any, as C4 did with a published list",
        file=True,
        metavar="FILE",
    )
    mask_pii: bool = setting(False, "mask e-mail addresses, telephone numbers and IP addresses")
    takedown: str | None = setting(
        None, "file of what must not be in the corpus: URLs, domains, document ids, one a line", file=True, metavar="FILE"
    )
    max_page_bytes: int = setting(html.DEFAULT_GATES.page_bytes, "drop larger pages")
    max_page_tags: int = setting(html.DEFAULT_GATES.page_tags, "drop pages with more tags")
    page_cpu_seconds: float = setting(DEFAULT_LIMITS.cpu_seconds, "drop pages that take more CPU time")
    page_memory_mb: int = setting(DEFAULT_LIMITS.memory_bytes >> 20, "drop pages that take more memory, in MiB")

    def __post_init__(self) -> None:
        for name in ("min_characters", "max_page_bytes", "max_page_tags"):
            if getattr(self, name) < 0:
                raise ValueError(f"--{name} {getattr(self, name)}: at least 0")
        if self.page_cpu_seconds <= 0:
            raise ValueError(f"--page_cpu_seconds {self.page_cpu_seconds}: must be more than 0")
        if self.page_memory_mb < 512:
            raise ValueError(f"--page_memory_mb {self.page_memory_mb}: at least 512, an idle worker has 350 mapped")
        if unknown := sorted(set(self.filters) - set(quality.FILTERS)):
            raise ValueError(f"--filters {unknown[0]}: not one of {', '.join(quality.FILTERS)}")
        if self.pdf and not pdf.is_available():
            raise ValueError("--pdf: pypdf is not installed; pip install 'webtext[pdf]'")
        if not self.languages:
            raise ValueError(f"--languages: name at least one, or '{ALL_LANGUAGES}'")

    def rules(self) -> Rules:
        """The same as extraction takes it."""
        return Rules(
            extractor=self.extractor,
            languages=frozenset() if ALL_LANGUAGES in self.languages else frozenset(self.languages),
            min_characters=self.min_characters,
            excluded_sites=frozenset(self.exclude_sites),
            plain_text=self.plain_text,
            pdf=self.pdf,
            strip_title=self.strip_title,
            strip_boilerplate=self.strip_boilerplate,
            filters=tuple(name for name in quality.FILTERS if name in self.filters),
            bad_words=bad_words.load(self.bad_words) if self.bad_words else frozenset(),
            mask_pii=self.mask_pii,
            takedown=takedown.load(self.takedown) if self.takedown else NOTHING_TAKEN_DOWN,
            gates=html.Gates(self.max_page_bytes, self.max_page_tags),
        )

    def limits(self) -> Limits:
        """What one page may take."""
        return Limits(cpu_seconds=self.page_cpu_seconds, memory_bytes=self.page_memory_mb << 20)


def work(call: Call[DocumentsSettings], place: PhaseFolder) -> StageResult:
    """Extract every page of the pages folder."""
    settings = call.settings
    folder = call.inputs["pages"]
    ranges = page_ranges(folder, load_stage(folder, "pages"))
    parts = numbered(ranges, lambda r: r.stop - r.start)
    engine, sandboxes = spread(call.engine)
    extract = ExtractPages(settings.rules(), settings.limits(), sandboxes)
    return StageResult(engine.work(place, parts, extract, "pages"))


def spread(engine: Engine) -> tuple[Engine, int]:
    """The engine with as few local processes as keep its workers' sandboxes busy, and the sandboxes of each.

    The work is done in the sandboxes: one process hands several of them page after page, where processes would be dealt whole parts
    beforehand, wait for the slowest, and each import Beam. They do not stand beyond the stage: their sandboxes are theirs.
    """
    if not engine.is_local:
        return engine, 1
    processes = -(-engine.workers // SANDBOXES_A_PROCESS)
    return replace(engine, workers=processes, worker=WORKER_PROCESS), -(-engine.workers // processes)


def explain(folder: str, url: str, settings: DocumentsSettings) -> str:
    """What the stage does to one page of a pages folder, a step a line."""
    return explain_page(folder, url, settings.rules(), settings.limits())


STAGE = Stage(
    name="documents",
    text="extract the main text of every page, clean it, keep the wanted languages",
    settings=DocumentsSettings,
    inputs=("pages",),
    work=work,
    unit="pages",
    explain_input=explain,
)
