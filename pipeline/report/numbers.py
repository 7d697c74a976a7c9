"""The numbers of a report as plain records. The page and report.json are two renderings of one `ReportNumbers`."""

from dataclasses import asdict, dataclass
from typing import Any

import orjson

from pipeline.corpus.folder import FunnelStep
from pipeline.storage.manifest import Text

FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts by bin or category, in display order. `of` names the counted items, `axis` the quantity on the axis.

    `binned` tells bins, which have an order, from categories.
    """

    name: str
    title: str
    axis: str
    of: str
    labels: tuple[str, ...]
    counts: tuple[int, ...]
    note: str = ""
    binned: bool = False


@dataclass(frozen=True, slots=True)
class StageNumbers:
    """A finished stage: its manifest, and its run.json with time and versions (None if there is no such file)."""

    name: str
    items_in: int
    items_out: int
    dropped: dict[str, int]
    counters: dict[str, int]
    settings: dict[str, Any]
    inputs: dict[str, str]
    sha256: str
    files: int
    bytes: int
    run: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Site:
    """Documents of a site in this corpus and in WebText. WebText's list names sites without suffix (`bbc`)."""

    name: str
    documents: int
    share: float
    webtext_rank: int | None = None
    webtext_share: float | None = None


@dataclass(frozen=True, slots=True)
class SiteNumbers:
    """The most common sites. `webtext_sites_found` and `share_in_webtext_sites` are None without WebText's list."""

    top: tuple[Site, ...]
    distinct: int
    webtext_sites_found: int | None = None
    share_in_webtext_sites: float | None = None
    webtext_sites: int = 0


@dataclass(frozen=True, slots=True)
class DuplicateExample:
    """A removed document and the kept one, with the beginnings of their texts."""

    url: str
    kept_url: str
    reason: str
    similarity: float
    cluster_size: int
    text: str
    kept_text: str


@dataclass(frozen=True, slots=True)
class SplitNumbers:
    """Sums of a split. `unigram_entropy` is the loss, in nats per token, of a model that knows only token frequencies."""

    documents: int
    tokens: int
    text_bytes: int
    bytes: int
    unigram_entropy: float | None

    @property
    def bytes_per_token(self) -> float | None:
        """UTF-8 bytes of text per token; ends of text count as tokens."""
        return self.text_bytes / self.tokens if self.tokens else None


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a method without a network pays for held-out text: bits per byte, measured on `text_bytes` bytes of it."""

    method: str
    about: str
    bits_per_byte: float
    text_bytes: int


@dataclass(frozen=True, slots=True)
class Sample:
    """Text that a trained model wrote; `source` is the name of its file."""

    source: str
    text: str


@dataclass(frozen=True, slots=True)
class TokenNumbers:
    """The token shards by split, and their vocabulary."""

    splits: dict[str, SplitNumbers]
    vocab_size: int
    tokenizer_sha256: str
    baselines: tuple[Baseline, ...] = ()

    @property
    def tokens(self) -> int:
        """Tokens of all splits."""
        return sum(split.tokens for split in self.splits.values())

    @property
    def text_bytes(self) -> int:
        """UTF-8 bytes of text of all splits."""
        return sum(split.text_bytes for split in self.splits.values())

    @property
    def held_out(self) -> str | None:
        """The split that the trainer validates on; the training split if there is no other, None without splits."""
        return next((name for name in ("validation", "test", "train") if name in self.splits), None)

    @property
    def entropy_to_beat(self) -> float | None:
        """The held-out split's unigram entropy."""
        return self.splits[self.held_out].unigram_entropy if self.held_out else None


@dataclass(frozen=True, slots=True)
class Curve:
    """A quantity at each logged training step."""

    name: str
    steps: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """The log of a training run."""

    name: str
    config: dict[str, Any]
    curves: tuple[Curve, ...]
    tokens: int

    def curve(self, name: str) -> Curve | None:
        """The curve of this name, None if the log has none."""
        return next((c for c in self.curves if c.name == name), None)


@dataclass(frozen=True, slots=True)
class EvaluationFigure:
    """One figure of an evaluation. `paper` holds the paper's figures by column; it is empty if the paper has none."""

    source: str
    task: str
    metric: str
    protocol: str
    value: float
    standard_error: float | None
    examples: int | None
    paper: dict[str, float]


@dataclass(frozen=True, slots=True)
class OverlapNumbers:
    """Percentage of an evaluation set's n-grams that occur in the corpus; the paper's figures are None if it lacks the set."""

    name: Text
    grams: int
    percent: float
    paper_webtext_percent: float | None
    paper_own_train_percent: float | None


@dataclass(frozen=True, slots=True)
class ReportNumbers:
    """All numbers of a report; the field names are the keys of report.json."""

    title: str
    stages: tuple[StageNumbers, ...]
    funnel: tuple[FunnelStep, ...]
    histograms: tuple[Histogram, ...]
    sites: SiteNumbers | None
    pairs: tuple[DuplicateExample, ...]
    tokens: TokenNumbers | None
    runs: tuple[TrainingRun, ...]
    evaluations: tuple[EvaluationFigure, ...]
    overlap: tuple[OverlapNumbers, ...]
    samples: tuple[Sample, ...] = ()
    format_version: int = FORMAT_VERSION

    def to_json(self) -> bytes:
        """The bytes of report.json: sorted keys, so that equal numbers give equal bytes."""
        return orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY) + b"\n"

    def histogram(self, name: str) -> Histogram | None:
        """The histogram of this name, None if there is none."""
        return next((h for h in self.histograms if h.name == name), None)
