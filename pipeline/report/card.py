"""The dataset card: the README.md of a Hugging Face dataset, and a datasheet whose every figure is measured from this corpus."""

import argparse
import json
import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.corpus.folder import DATA_STAGES, Corpus
from pipeline.corpus.tool import Tool
from pipeline.report.gather import gather
from pipeline.report.numbers import Histogram, Numbers
from pipeline.report.tallies import NOT_KNOWN
from pipeline.storage import files
from pipeline.storage.manifest import NAME

logger = logging.getLogger(__name__)

README = "README.md"
SUMS = "SHA256SUMS"
ENOUGH_SHARE = 0.01
SHOWN = 10
SIZES = (
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"),
)
LARGEST = "100M<n<1B"
FILTERS = ("links", "pages", "documents", "dedup")


@dataclass(frozen=True, slots=True)
class Publisher:
    """Who answers for the corpus: what the card says that no file can."""

    name: str
    contact: str


def sums(corpus: Corpus) -> str:
    """The sha256 of every file of the corpus, as `sha256sum --check` reads them in the corpus folder."""
    lines = [
        f"{entry.sha256}  {stage}/{entry.name}\n" for stage, manifest in corpus.manifests.items() for entry in manifest.files
    ]
    manifests = {stage: files.fingerprint(files.join(folder, NAME)) for stage, folder in corpus.folders.items()}
    lines += [f"{sha256}  {stage}/{NAME}\n" for stage, sha256 in manifests.items()]
    return "".join(sorted(lines, key=lambda line: line[66:]))


def card(numbers: Numbers, corpus: Corpus, publisher: Publisher) -> str:
    """The whole README.md. The same corpus gives the same bytes."""
    sections = {
        "What it is": _about(numbers),
        "How to load it": _loading(numbers, corpus),
        "How it came about": _funnel(numbers),
        "Sources and dates": _sources(numbers, corpus),
        "Filters": _filters(corpus),
        "What is in it, and what is not": _skew(numbers),
        "Personal information": _personal(corpus),
        "Licences": _licences(),
        "Taking something down": _take_down(publisher),
        "Checking it": _hashes(corpus),
    }
    body = "".join(f"\n## {title}\n\n{text}" for title, text in sections.items())
    return f"---\n{header(numbers, corpus, publisher)}---\n\n# {publisher.name}\n{body}"


def header(numbers: Numbers, corpus: Corpus, publisher: Publisher) -> str:
    """The YAML of the card, a key a line, values as JSON (which YAML takes)."""
    fields: dict[str, Any] = {
        "pretty_name": publisher.name,
        "language": [name for name, share in _shares(numbers.histogram("language")) if len(name) == 2 and share >= ENOUGH_SHARE],
        "license": "other",
        "license_name": "texts-remain-their-publishers",
        "license_link": "#licences",
        "size_categories": [_size(numbers)],
        "task_categories": ["text-generation"],
        "task_ids": ["language-modeling"],
        "annotations_creators": ["no-annotation"],
        "language_creators": ["found"],
        "source_datasets": ["original"],
        "configs": _configs(corpus),
    }
    return "".join(f"{name}: {json.dumps(value, ensure_ascii=False)}\n" for name, value in fields.items())


def _configs(corpus: Corpus) -> list[dict[str, Any]]:
    """Of the documents alone: `datasets` reads all configs of a folder as one format, so the Arrow shards are loaded by name."""
    if "documents" not in corpus.manifests:
        return []
    documents = [{"split": "train", "path": "documents/documents-*.parquet"}]
    return [{"config_name": "documents", "data_files": documents, "default": True}]


def _size(numbers: Numbers) -> str:
    documents = numbers.funnel[-1].items if numbers.funnel else 0
    return next((name for most, name in SIZES if documents < most), LARGEST)


def _about(numbers: Numbers) -> str:
    documents = numbers.funnel[-1] if numbers.funnel else None
    text = (
        "The text of web pages that Reddit's users linked to and voted for, taken in the manner of WebText, GPT-2's training set."
    )
    if documents:
        text += f" {documents.items:,} {documents.name}"
        if numbers.tokens:
            text += f", {numbers.tokens.text_bytes:,} bytes of text, {numbers.tokens.tokens:,} tokens"
        text += "."
    return text + " Every figure on this page was measured from the files it comes with.\n"


def _loading(numbers: Numbers, corpus: Corpus) -> str:
    lines = ["from datasets import load_dataset", ""]
    if "documents" in corpus.manifests:
        lines.append('documents = load_dataset("FOLDER", "documents", split="train")')
    if numbers.tokens:
        shards = ", ".join(f'"{name}": "FOLDER/tokens/tokens-{name}-*.arrow"' for name in numbers.tokens.splits)
        lines.append(f'tokens = load_dataset("arrow", data_files={{{shards}}})')
    code = "\n".join(lines)
    said = f"```python\n{code}\n```\n\n`FOLDER` is where this file stands."
    if "dedup" in corpus.manifests:
        said += (
            " `documents` holds every extracted document; the rows that are kept after de-duplication stand in the keep lists"
            " `dedup/keep-*.parquet` (one a document file, in the same order: row, document_id). The tokens are those of the kept ones."
        )
    return said + "\n"


def _funnel(numbers: Numbers) -> str:
    rows = [(step.name, f"{step.items:,}", _counted(step.lost) or step.note) for step in numbers.funnel]
    return _table(("step", "items", "lost on the way to it"), rows)


def _counted(lost: Mapping[str, int]) -> str:
    return ", ".join(f"{items:,} {reason.replace('_', ' ')}" for reason, items in lost.items())


def _sources(numbers: Numbers, corpus: Corpus) -> str:
    said = ""
    if "links" in corpus.manifests:
        rows = [(f"`{name}`", f"`{entry.sha256}`") for name, entry in corpus.manifests["links"].inputs.items()]
        said += _table(("source of submissions", "sha256"), rows) + "\n" if rows else ""
    for name, what in (
        ("year", "Links by the year of their first submission"),
        ("published", "Documents by the year their page names"),
    ):
        if histogram := numbers.histogram(name):
            said += f"{what}: {_listed(histogram, len(histogram.labels))}.\n\n"
    return said


def _filters(corpus: Corpus) -> str:
    """Every setting that decided what is in; unset ones say nothing."""
    rows = [
        (stage, f"`{name}`", f"`{json.dumps(value, ensure_ascii=False)}`")
        for stage in FILTERS
        if stage in corpus.manifests
        for name, value in corpus.manifests[stage].settings.items()
        if value not in (None, [], "")
    ]
    return _table(("stage", "setting", "value"), rows)


def _skew(numbers: Numbers) -> str:
    """Which sites, languages, subreddits weigh how much: the biases of this corpus, in figures."""
    said = [
        "Reddit's users chose these pages, and what they choose is not the world. What it did to this corpus can be counted:\n"
    ]
    if numbers.sites and numbers.sites.top:
        top = numbers.sites.top[:SHOWN]
        together = sum(site.share for site in top)
        named = ", ".join(f"{site.name} {100 * site.share:.1f} %" for site in top)
        said.append(
            f"- **Sites.** {numbers.sites.distinct:,} domains; the {len(top)} commonest sites hold {100 * together:.1f} % of the"
            f" documents: {named}."
        )
        if numbers.sites.share_in_webtext_sites is not None:
            share = f"{100 * numbers.sites.share_in_webtext_sites:.1f} %"
            said.append(f"  Of WebText's {numbers.sites.webtext_sites:,} commonest sites come {share} of the documents.")
    for name, title, of in (("language", "Languages", "documents"), ("subreddits", "Topics, by subreddit", "submissions")):
        histogram = numbers.histogram(name)
        if histogram and sum(histogram.counts):
            even = effective(histogram.counts)
            said.append(f"- **{title}**, by {of}: {_listed(histogram, SHOWN)}. As uneven as {even:.1f} equal ones would be even.")
    if karma := numbers.histogram("karma"):
        said.append(f"- **Karma** of the links: {_listed(karma, len(karma.labels))}.")
    return "\n".join(said) + "\n"


def effective(counts: Iterable[int]) -> float:
    """How many equal shares would be as uncertain as these: the exponential of their entropy.

    >>> round(effective([5, 5, 0]), 6), round(effective([10]), 6)
    (2.0, 1.0)
    """
    whole = list(counts)
    total = sum(whole)
    return math.exp(-math.fsum(c / total * math.log(c / total) for c in whole if c)) if total else 0.0


def _listed(histogram: Histogram, most: int) -> str:
    return ", ".join(f"{name} {100 * share:.1f} %" for name, share in _shares(histogram)[:most])


def _shares(histogram: Histogram | None) -> list[tuple[str, float]]:
    """Labels and shares; what is not known is a label like any other."""
    if histogram is None or not sum(histogram.counts):
        return []
    total = sum(histogram.counts)
    return [(label or NOT_KNOWN, count / total) for label, count in zip(histogram.labels, histogram.counts, strict=True)]


def _personal(corpus: Corpus) -> str:
    settings = corpus.manifests["documents"].settings if "documents" in corpus.manifests else {}
    masked = {name: value for name, value in settings.items() if "pii" in name or "mask" in name}
    measures = (
        f"Masking was set so: `{json.dumps(masked)}`."
        if any(masked.values())
        else "Nothing was masked: names, addresses and telephone numbers that the pages print are in the texts."
    )
    return (
        f"{measures} The pages were public when they were fetched, which does not make what they say about people public for every"
        " use. Of Reddit only submission ids, subreddits, karma and dates are kept; no user name.\n"
    )


def _licences() -> str:
    return (
        "The texts belong to those who wrote them; no licence to them is given here, and `license: other` says so. What each source"
        " allows must be asked of it. Document ids, counts and the order of things are facts.\n"
    )


def _take_down(publisher: Publisher) -> str:
    return f"""Write to {publisher.contact} with the address of the page, the site, or the Reddit submission. Then:

```
python -m pipeline remove --corpus FOLDER --output NEXT --urls URL … --sites SITE … --submission_ids ID … --document_ids ID …
```

writes the next version of documents and token shards without them, leaves every other file as it was, and lists what went.
"""


def _hashes(corpus: Corpus) -> str:
    rows = [(stage, f"`{manifest.sha256}`", str(len(manifest.files))) for stage, manifest in corpus.manifests.items()]
    said = (
        f"`sha256sum --check {SUMS}` in this folder checks every file. The manifests, each of which names the one before it:\n\n"
    )
    return said + _table(("stage", "sha256 of its manifest", "files"), rows)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head)]
    lines += [["---"] * len(lines[0]), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", default="A WebText of our own", help="the dataset's name")
    parser.add_argument("--contact", required=True, help="whom to write to, for take-downs: an address that is read")
    parser.add_argument("--webtext_domains", metavar="FILE", help="OpenAI's domains.txt, to set the sites beside WebText's")


def _work(arguments: argparse.Namespace) -> None:
    """Write README.md and SHA256SUMS into the corpus folder."""
    corpus = Corpus.open({name: files.join(arguments.corpus, name) for name in DATA_STAGES})
    numbers = gather(corpus, webtext_domains=arguments.webtext_domains)
    text = card(numbers, corpus, Publisher(arguments.name, arguments.contact))
    files.publish_bytes(files.join(arguments.corpus, README), text.encode())
    files.publish_bytes(files.join(arguments.corpus, SUMS), sums(corpus).encode())
    logger.info("card: %s and %s in %s", README, SUMS, arguments.corpus)


TOOL = Tool("card", "README.md and SHA256SUMS of the corpus as a Hugging Face dataset, with a datasheet", _flags, _work)
