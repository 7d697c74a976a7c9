"""What the report says, as plain records: the page and report.json are two renderings of one `Numbers`."""

from dataclasses import asdict, dataclass
from typing import Any

import orjson

from pipeline.corpus.folder import FunnelStep

FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts by bin or category, in the order to show. `of` is what is counted, `axis` what the labels are."""

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
    """A finished stage's manifest, and what its run.json says of time and versions (None where there is none)."""

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
    """A site's documents here and in WebText, whose list names sites without their suffix (`bbc`)."""

    name: str
    documents: int
    share: float
    webtext_rank: int | None = None
    webtext_share: float | None = None


@dataclass(frozen=True, slots=True)
class Sites:
    """The commonest sites. The last two are None without WebText's own list."""

    top: tuple[Site, ...]
    distinct: int
    webtext_sites_found: int | None = None
    share_in_webtext_sites: float | None = None
    webtext_sites: int = 0


@dataclass(frozen=True, slots=True)
class Pair:
    """A removed document beside the kept one: the beginnings of their texts."""

    url: str
    kept_url: str
    reason: str
    similarity: float
    cluster_size: int
    text: str
    kept_text: str


@dataclass(frozen=True, slots=True)
class SplitNumbers:
    """A split's sums. `unigram_entropy` is what a model scores that knows only how common each token is, in nats a token."""

    documents: int
    tokens: int
    text_bytes: int
    bytes: int
    unigram_entropy: float | None

    @property
    def bytes_a_token(self) -> float | None:
        """UTF-8 bytes of text a token, the ends of text counted as tokens."""
        return self.text_bytes / self.tokens if self.tokens else None


@dataclass(frozen=True, slots=True)
class TokenNumbers:
    """The token shards by split, and the vocabulary that made them."""

    splits: dict[str, SplitNumbers]
    vocab_size: int
    tokenizer_sha256: str

    @property
    def tokens(self) -> int:
        """Of all splits."""
        return sum(split.tokens for split in self.splits.values())

    @property
    def text_bytes(self) -> int:
        """Of all splits."""
        return sum(split.text_bytes for split in self.splits.values())

    @property
    def held_out(self) -> str | None:
        """The split that the trainer validates on; the training split where there is no other."""
        return next((name for name in ("validation", "test", "train") if name in self.splits), None)

    @property
    def entropy_to_beat(self) -> float | None:
        """The held-out split's unigram entropy."""
        return self.splits[self.held_out].unigram_entropy if self.held_out else None


@dataclass(frozen=True, slots=True)
class Curve:
    """A quantity by training step."""

    name: str
    steps: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """A training run's log."""

    name: str
    config: dict[str, Any]
    curves: tuple[Curve, ...]
    tokens: int

    def curve(self, name: str) -> Curve | None:
        """The curve of that name, if the log has it."""
        return next((c for c in self.curves if c.name == name), None)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One figure of an evaluation; `paper` holds the paper's columns where they are known."""

    source: str
    task: str
    metric: str
    protocol: str
    value: float
    standard_error: float | None
    examples: int | None
    paper: dict[str, float]


@dataclass(frozen=True, slots=True)
class Overlap:
    """How much of an evaluation set's n-grams stands in the corpus, in percent; the paper's figures where it has that set."""

    name: str
    grams: int
    percent: float
    paper_webtext_percent: float | None
    paper_own_train_percent: float | None


@dataclass(frozen=True, slots=True)
class Numbers:
    """All of it."""

    title: str
    stages: tuple[StageNumbers, ...]
    funnel: tuple[FunnelStep, ...]
    histograms: tuple[Histogram, ...]
    sites: Sites | None
    pairs: tuple[Pair, ...]
    tokens: TokenNumbers | None
    runs: tuple[Run, ...]
    evaluations: tuple[Evaluation, ...]
    overlap: tuple[Overlap, ...]
    format_version: int = FORMAT_VERSION

    def to_json(self) -> bytes:
        """Canonical JSON."""
        return orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY) + b"\n"

    def histogram(self, name: str) -> Histogram | None:
        """The histogram of that name, if there is one."""
        return next((h for h in self.histograms if h.name == name), None)
