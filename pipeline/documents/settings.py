"""The settings of the stage `documents`: its flags, their validation, and the rules and limits that they give."""

from dataclasses import dataclass

from pipeline import paper
from pipeline.documents import bad_words, pdf, quality, takedown
from pipeline.documents.extractors import EXTRACTORS
from pipeline.documents.gates import DEFAULT_GATES, Gates
from pipeline.documents.language_codes import ALL_LANGUAGES, labels_of
from pipeline.documents.limits import DEFAULT_LIMITS, SandboxLimits
from pipeline.documents.rules import DEFAULT_RULES, EMPTY_TAKEDOWN, ExtractionRules
from pipeline.documents.site_lines import SiteLineRules
from pipeline.engine.settings import flag_of, setting
from pipeline.storage.takedown_list import HELP, entries
from pipeline.urls import canonical_host
from tokenizer.faults import install_command

DEFAULT_SITE_LINES = SiteLineRules()
MIN_PAGE_MEMORY_MB, MAX_PAGE_MEMORY_MB = 832, 1 << 20
MAX_PAGE_CPU_SECONDS = 86_400
LEAST_SITE_PAGES = 3


@dataclass(frozen=True, slots=True)
class DocumentsSettings:
    """How pages become documents. Raises ValueError for a value out of range."""

    extractor: str = setting(
        DEFAULT_RULES.extractor,
        "what extracts the main text: blocks chooses a page's blocks by a trained model and asks cascade where it is in doubt; "
        "cascade is trafilatura with fallbacks where its text is doubtful; trafilatura has no fallbacks; "
        "resiliparse is faster and coarser",
        choices=EXTRACTORS,
    )
    min_confidence: float = setting(
        DEFAULT_RULES.min_confidence, "the expected F1, 0 to 1, below which the extractor blocks asks cascade"
    )
    plain_text: bool = setting(False, "also keep pages of type text/plain")
    pdf: bool = setting(False, "also keep PDF files, by their text layer (needs pypdfium2: pip install '.[pdf]')")
    languages: tuple[str, ...] = setting(("en",), f"languages to keep: ISO 639 codes or BCP 47 tags, or '{ALL_LANGUAGES}'")
    min_characters: int = setting(paper.MIN_DOCUMENT_CHARACTERS, "drop shorter documents; dedup holds to it after its cuts")
    exclude_sites: tuple[str, ...] = setting(
        paper.REMOVED_SITES, "leave out links to these sites, and pages that redirect to them", metavar="SITE"
    )
    strip_title: bool = setting(True, "remove the title from the text, it has its own column")
    strip_boilerplate: bool = setting(True, "remove lines that are a site's furniture")
    site_lines: bool = setting(
        False, "also remove lines that repeat over many pages of one site; the table site_lines says which, from which documents"
    )
    site_line_pages: int = setting(DEFAULT_SITE_LINES.pages, "with --site-lines: on at least this many pages of the site")
    site_line_share: float = setting(
        DEFAULT_SITE_LINES.share, "with --site-lines: and on at least this share of the site's pages, 0 to 1"
    )
    site_line_prose: bool = setting(
        False, "with --site-lines: also lines that end as sentences do, such as the preface of a series"
    )
    filters: tuple[str, ...] = setting((), f"published quality filters to apply: {', '.join(quality.FILTERS)}")
    bad_words: str | None = setting(
        None,
        "file of words, one per line: drop documents that contain any, as C4 did with a published list",
        file=True,
        reads=bad_words.load,
        metavar="FILE",
    )
    mask_pii: bool = setting(False, "mask e-mail addresses, telephone numbers, IP addresses, bank accounts and payment cards")
    takedown: str | None = setting(
        None,
        HELP,
        file=True,
        reads=entries,
        metavar="FILE",
    )
    max_page_bytes: int = setting(DEFAULT_GATES.page_bytes, "drop larger pages")
    max_page_tags: int = setting(DEFAULT_GATES.page_tags, "drop pages with more tags")
    page_cpu_seconds: float = setting(DEFAULT_LIMITS.cpu_seconds, "drop pages that take more CPU time")
    page_memory_mb: int = setting(DEFAULT_LIMITS.memory_bytes >> 20, "drop pages that take more memory, in MiB")

    def __post_init__(self) -> None:
        self._check_site_lines()
        for name in ("min_characters", "max_page_bytes", "max_page_tags"):
            if getattr(self, name) < 0:
                raise ValueError(f"{flag_of(name)} {getattr(self, name)}: at least 0")
        if not 0 <= self.min_confidence <= 1:
            raise ValueError(f"--min-confidence {self.min_confidence}: from 0 to 1")
        if not 0 < self.page_cpu_seconds <= MAX_PAGE_CPU_SECONDS:
            raise ValueError(
                f"--page-cpu-seconds {self.page_cpu_seconds}: must be more than 0 and at most {MAX_PAGE_CPU_SECONDS:,}"
            )
        if self.page_memory_mb > MAX_PAGE_MEMORY_MB:
            raise ValueError(f"--page-memory-mb {self.page_memory_mb}: at most {MAX_PAGE_MEMORY_MB:,}")
        if self.page_memory_mb < MIN_PAGE_MEMORY_MB:
            raise ValueError(
                f"--page-memory-mb {self.page_memory_mb}: at least {MIN_PAGE_MEMORY_MB}, an idle worker has 690 MiB mapped"
            )
        quality.check_names(self.filters, "--filters")
        for site in self.exclude_sites:
            canonical_site(site)
        if self.pdf and not pdf.is_available():
            raise ValueError(f"--pdf: pypdfium2 is not installed; run {install_command('pdf')}")
        if not self.languages:
            raise ValueError(f"--languages: name at least one, or '{ALL_LANGUAGES}'")
        object.__setattr__(self, "languages", labels_of(self.languages, "--languages"))

    def _check_site_lines(self) -> None:
        if self.site_line_pages < LEAST_SITE_PAGES:
            raise ValueError(
                f"--site-line-pages {self.site_line_pages}: at least {LEAST_SITE_PAGES}, fewer pages show no habit of a site"
            )
        if not 0 < self.site_line_share <= 1:
            raise ValueError(f"--site-line-share {self.site_line_share}: must be more than 0 and at most 1")

    def rules(self) -> ExtractionRules:
        """The rules of extraction. Reads the word list and the take-down list; raises InputError for a bad one."""
        return ExtractionRules(
            extractor=self.extractor,
            min_confidence=self.min_confidence,
            languages=frozenset(self.languages),
            min_characters=self.min_characters,
            excluded_sites=frozenset(map(canonical_site, self.exclude_sites)),
            plain_text=self.plain_text,
            pdf=self.pdf,
            strip_title=self.strip_title,
            strip_boilerplate=self.strip_boilerplate,
            filters=tuple(name for name in quality.FILTERS if name in self.filters),
            bad_words=bad_words.load(self.bad_words) if self.bad_words else frozenset(),
            mask_pii=self.mask_pii,
            takedown=takedown.load(self.takedown) if self.takedown else EMPTY_TAKEDOWN,
            gates=Gates(self.max_page_bytes, self.max_page_tags),
        )

    def site_line_rules(self) -> SiteLineRules | None:
        """When a line is its site's furniture; None where no such line is removed."""
        rules = SiteLineRules(self.site_line_pages, self.site_line_share, self.site_line_prose)
        return rules if self.site_lines else None

    def limits(self) -> SandboxLimits:
        """What one page may use."""
        return SandboxLimits(cpu_seconds=self.page_cpu_seconds, memory_bytes=self.page_memory_mb << 20)


def canonical_site(site: str) -> str:
    """A site's canonical host. Raises ValueError where it is none."""
    try:
        return canonical_host(site)
    except ValueError as error:
        raise ValueError(f"--exclude-sites {site}: not a host ({error})") from error
