"""`webtext card`: the README.md of the corpus as a Hugging Face dataset, with a datasheet of figures measured from it."""

import argparse
import json
import logging
import math
import re
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from pipeline.corpus.folder import CorpusFolder, stage_folders
from pipeline.corpus.tool import Tool
from pipeline.dedup.removals import DUPLICATE_REASONS, EXACT, NEAR, NONE
from pipeline.report.gather import gather
from pipeline.report.numbers import Histogram, ReportNumbers, SiteNumbers
from pipeline.report.tallies import NOT_KNOWN
from pipeline.storage import files, private_addresses
from pipeline.storage.document_shards import CLUSTERS
from pipeline.storage.manifest import NAME
from tokenizer.errors import InputError
from tokenizer.folder_lock import folder_lock
from tokenizer.labels import markdown, markdown_code, printable

logger = logging.getLogger(__name__)

README = "README.md"
LICENSE = "texts-remain-their-publishers"
"""The licence's name in the header, by which a card of this command is known."""
CHECKSUMS = "SHA256SUMS"
LANGUAGE_MIN_SHARE = 0.01
_LANGUAGE = re.compile("[a-z]{2}")
_LINK = re.compile(r"https?://[\w.~:/?#@!$&()*+,;=%-]+", re.ASCII)
_MAIL = re.compile(r"[A-Za-z0-9.+-]+@[A-Za-z0-9.-]+")
_NOT_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
CATEGORIES_SHOWN = 10
SIZE_CATEGORIES = (
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"),
)
LARGEST_SIZE = "100M<n<1B"
REMOVED = {
    NEAR: "Of documents with one address, the same words or nearly the same words, one was kept.",
    EXACT: "Of documents with one address or the same words, one was kept. Near duplicates were kept.",
    NONE: "No document was removed as a duplicate.",
}
"""What dedup did, by its rule."""
FILTERING_STAGES = ("links", "pages", "documents", "dedup")


@dataclass(frozen=True, slots=True)
class Publisher:
    """The name of the dataset, and the address for take-down requests."""

    name: str
    contact: str


def checksum_lines(corpus: CorpusFolder) -> str:
    """SHA256SUMS: one line per file of the corpus, for `sha256sum --check` in the corpus folder."""
    lines = [
        f"{entry.sha256}  {stage}/{entry.name}\n" for stage, manifest in corpus.manifests.items() for entry in manifest.files
    ]
    manifests = {stage: files.fingerprint(files.join(folder, NAME)) for stage, folder in corpus.folders.items()}
    lines += [f"{sha256}  {stage}/{NAME}\n" for stage, sha256 in manifests.items()]
    return "".join(sorted(lines, key=lambda line: line[66:]))


def card(numbers: ReportNumbers, corpus: CorpusFolder, publisher: Publisher) -> str:
    """The README.md; equal corpora give equal bytes."""
    sections = {
        "Contents": _about(numbers),
        "Loading": _loading(corpus),
        "From submissions to documents": _funnel(numbers),
        "Sources and dates": _sources(numbers, corpus),
        "Duplicates": _duplicates(corpus),
        "Filters": _filters(corpus),
        "Composition and bias": _composition(numbers),
        "Personal information": _personal(corpus),
        "Licences": _licences(),
        "Take-down requests": _take_down(publisher),
        "Checksums": _checksums(corpus),
    }
    body = "".join(f"\n## {title}\n\n{text}" for title, text in sections.items())
    return f"---\n{header(numbers, corpus, publisher)}---\n\n# {markdown(publisher.name)}\n{body}"


def header(numbers: ReportNumbers, corpus: CorpusFolder, publisher: Publisher) -> str:
    """The YAML header of the card: one key per line, values as JSON, which is valid YAML."""
    fields: dict[str, Any] = {
        "pretty_name": printable(publisher.name),
        "language": [
            name
            for name, share in _shares(numbers.histogram("language"))
            if _LANGUAGE.fullmatch(name) and share >= LANGUAGE_MIN_SHARE
        ],
        "license": "other",
        "license_name": LICENSE,
        "license_link": "#licences",
        "size_categories": [_size(numbers)],
        "task_categories": ["text-generation"],
        "task_ids": ["language-modeling"],
        "annotations_creators": ["no-annotation"],
        "language_creators": ["found"],
        "source_datasets": ["original"],
        "configs": _configs(corpus),
    }
    return "".join(f"{name}: {yaml_value(value)}\n" for name, value in fields.items())


def yaml_value(value: Any) -> str:
    r"""A value as JSON that is YAML too: characters that YAML does not take, or takes for line ends, are escaped.

    >>> print(yaml_value("a\x7fb\u2028"))
    "a\u007fb\u2028"
    """
    return _NOT_YAML.sub(lambda match: f"\\u{ord(match[0]):04x}", json.dumps(value, ensure_ascii=False))


def _configs(corpus: CorpusFolder) -> list[dict[str, Any]]:
    """The config of the documents. `datasets` reads all configs of a folder in one format, so the Arrow shards have none."""
    if not _has_documents(corpus):
        return []
    documents = [{"split": "train", "path": "documents/documents-*.parquet"}]
    return [{"config_name": "documents", "data_files": documents, "default": True}]


def _has_documents(corpus: CorpusFolder) -> bool:
    """Whether there is a document to load: a loader refuses a pattern that finds no row."""
    return "documents" in corpus.manifests and corpus.rows("documents", "documents") > 0


def _splits(corpus: CorpusFolder) -> list[str]:
    """The splits that hold a document: a removal may have emptied one."""
    dataset = corpus.manifests["tokens"].dataset if "tokens" in corpus.manifests else None
    return [name for name, split in (dataset or {}).get("splits", {}).items() if split["documents"]]


def _size(numbers: ReportNumbers) -> str:
    documents = numbers.funnel[-1].items if numbers.funnel else 0
    return next((name for most, name in SIZE_CATEGORIES if documents < most), LARGEST_SIZE)


def _about(numbers: ReportNumbers) -> str:
    documents = numbers.funnel[-1] if numbers.funnel else None
    text = "The text of web pages that Reddit's users linked to and upvoted, built like WebText, GPT-2's training set."
    if documents:
        text += f" {documents.items:,} {markdown(documents.name)}"
        if numbers.tokens:
            text += f", {numbers.tokens.text_bytes:,} bytes of text, {numbers.tokens.tokens:,} tokens"
        text += "."
    return text + " Every figure on this page is measured from the files beside it.\n"


def _loading(corpus: CorpusFolder) -> str:
    if not _has_documents(corpus) and not _splits(corpus):
        return "This version holds no document.\n"
    lines = ["from datasets import load_dataset", ""]
    if _has_documents(corpus):
        lines.append('documents = load_dataset("FOLDER", "documents", split="train")')
    if splits := _splits(corpus):
        shards = ", ".join(f"{_quoted(name)}: {_quoted(f'FOLDER/tokens/tokens-{name}-*.arrow')}" for name in splits)
        lines.append(f'tokens = load_dataset("arrow", data_files={{{shards}}})')
    if _has_documents(corpus):
        pattern = "FOLDER/documents/documents-*.parquet"
        lines += ["", "import duckdb", "import polars", "", f'table = polars.read_parquet("{pattern}")']
        lines.append(f'relation = duckdb.read_parquet("{pattern}")')
    code = "\n".join(lines)
    text = f"```python\n{code}\n```\n\n`FOLDER` is the folder of this file."
    if "dedup" in corpus.manifests:
        text += (
            " `documents` holds every extracted document. The keep lists `dedup/keep-*.parquet`, one per document file and in the"
            " same order, name the rows that de-duplication kept (row, document_id). The tokens are those of the kept documents."
        )
    return text + "\n"


def _funnel(numbers: ReportNumbers) -> str:
    rows = [(markdown(step.name), f"{step.items:,}", _loss_text(step.lost) or markdown(step.note)) for step in numbers.funnel]
    return _table(("step", "items", "lost since the step before"), rows)


def _loss_text(lost: Mapping[str, int]) -> str:
    return ", ".join(f"{items:,} {markdown(reason.replace('_', ' '))}" for reason, items in lost.items())


def _sources(numbers: ReportNumbers, corpus: CorpusFolder) -> str:
    text = ""
    if "links" in corpus.manifests:
        rows = [(markdown_code(name), markdown_code(entry.sha256)) for name, entry in corpus.manifests["links"].inputs.items()]
        text += _table(("source of submissions", "sha256"), rows) + "\n" if rows else ""
    for name, title in (
        ("sources", "Pages by source (live: fetched from the web as it was on that day; others: captures of web archives)"),
        ("distance", "Pages of archives by days from the first submission to the capture (negative: before it)"),
        ("year", "Links by the year of their first submission"),
        ("published", "Documents by the year given on their page"),
    ):
        if histogram := numbers.histogram(name):
            text += f"{title}: {_share_text(histogram, len(histogram.labels))}.\n\n"
    return text


def _duplicates(corpus: CorpusFolder) -> str:
    """What was removed as a duplicate, and what was kept although it is one."""
    if "dedup" not in corpus.manifests:
        return "The documents have not been de-duplicated.\n"
    manifest = corpus.manifests["dedup"]
    settings, dropped = manifest.settings, manifest.books.dropped
    removed = {str(reason): dropped[reason] for reason in DUPLICATE_REASONS if reason in dropped}
    remove = settings.get("remove_duplicates", NEAR)
    text = REMOVED.get(str(remove), f"Duplicates were removed by the rule {markdown_code(json.dumps(remove))}.")
    text += f" Removed: {_loss_text(removed)}." if removed else ""
    if remove != NEAR:
        kept = corpus.rows("dedup", CLUSTERS)
        repeat = "document repeats" if kept == 1 else "documents repeat"
        text += (
            f" {kept:,} kept {repeat} another one, in the same or in similar words (a Jaccard similarity of {settings.get('threshold')} or"
            " more), directly or over others; `dedup/clusters-*.parquet` names them. All documents of such a cluster are in one split."
        )
    if spans := {name: settings[name] for name in ("substring", "paragraphs") if settings.get(name)}:
        text += f" Repeated passages were cut from the texts ({markdown_code(json.dumps(spans))})."
    return text + "\n"


def _filters(corpus: CorpusFolder) -> str:
    """Every setting of the stages that filter; unset ones are left out."""
    rows = [
        (markdown(stage), markdown_code(name), markdown_code(json.dumps(value, ensure_ascii=False)))
        for stage in FILTERING_STAGES
        if stage in corpus.manifests
        for name, value in corpus.manifests[stage].settings.items()
        if value not in (None, [], "")
    ]
    return _table(("stage", "setting", "value"), rows)


def _composition(numbers: ReportNumbers) -> str:
    """Shares of sites, languages, subreddits and karma: the corpus's biases in figures."""
    lines = [
        "Reddit's users chose these pages, so the corpus is biased towards what they like. The figures below measure that bias.\n"
    ]
    if numbers.sites and numbers.sites.top:
        lines += _site_lines(numbers.sites)
    for name, title, of in (("language", "Languages", "documents"), ("subreddits", "Topics, by subreddit", "submissions")):
        histogram = numbers.histogram(name)
        if histogram and sum(histogram.counts):
            number = f"{effective_number(histogram.counts):.1f}"
            shares = _share_text(histogram, CATEGORIES_SHOWN)
            lines.append(f"- **{title}**, by {of}: {shares}. Effective number of categories: {number}.")
    if karma := numbers.histogram("karma"):
        lines.append(f"- **Karma** of the links: {_share_text(karma, len(karma.labels))}.")
    return "\n".join(lines) + "\n"


def _site_lines(sites: SiteNumbers) -> list[str]:
    top = sites.top[:CATEGORIES_SHOWN]
    total = sum(site.share for site in top)
    shares = ", ".join(f"{markdown(site.name)} {100 * site.share:.1f} %" for site in top)
    lines = [
        f"- **Sites.** {sites.distinct:,} domains. The {len(top)} most common sites hold {100 * total:.1f} % of the documents: {shares}."
    ]
    if sites.share_in_webtext_sites is not None:
        share = f"{100 * sites.share_in_webtext_sites:.1f} %"
        lines.append(f"  {share} of the documents are from WebText's {sites.webtext_sites:,} most common sites.")
    return lines


def effective_number(counts: Iterable[int]) -> float:
    """The number of equally common categories with the same entropy: the exponential of the entropy.

    >>> round(effective_number([5, 5, 0]), 6), round(effective_number([10]), 6)
    (2.0, 1.0)
    """
    values = list(counts)
    total = sum(values)
    return math.exp(-math.fsum(c / total * math.log(c / total) for c in values if c)) if total else 0.0


def _share_text(histogram: Histogram, most: int) -> str:
    return ", ".join(f"{markdown(name)} {100 * share:.1f} %" for name, share in _shares(histogram)[:most])


def _shares(histogram: Histogram | None) -> list[tuple[str, float]]:
    """Labels and shares; NOT_KNOWN counts as a label."""
    if histogram is None or not sum(histogram.counts):
        return []
    total = sum(histogram.counts)
    return [(label or NOT_KNOWN, count / total) for label, count in zip(histogram.labels, histogram.counts, strict=True)]


def _personal(corpus: CorpusFolder) -> str:
    settings = corpus.manifests["documents"].settings if "documents" in corpus.manifests else {}
    masked = {name: value for name, value in settings.items() if "pii" in name or "mask" in name}
    measures = (
        f"Personal information was masked with these settings: {markdown_code(json.dumps(masked))}."
        if any(masked.values())
        else "Nothing is masked: the texts contain the names, addresses and telephone numbers that the pages print."
    )
    return (
        f"{measures} The pages were public when they were fetched. That does not make what they say about people free for every use."
        " Of Reddit, only submission ids, subreddits, karma and dates are kept, no user names: submissions to users' profiles have the"
        " subreddit `u_`. Passwords, keys, tokens and session ids are removed from all addresses.\n"
    )


def _licences() -> str:
    return (
        "The texts belong to their authors. This card grants no licence to them, which is why the header says `license: other`."
        " Ask each source what it allows. Document ids, counts and order are facts.\n"
    )


def _take_down(publisher: Publisher) -> str:
    return f"""Write to {_contact(publisher.contact)} and name the page, the site or the Reddit submission. This command then

```
webtext remove --corpus FOLDER --output NEXT --urls URL … --sites SITE … --submission-ids ID … --document-ids ID …
```

writes the next version of the documents and token shards without them, keeps every other file as it is, and lists the removed
documents. `webtext inspect --corpus FOLDER --like FILE` finds copies and near copies of a text.
"""


def _contact(contact: str) -> str:
    """The publisher's address, as a link if it is one."""
    return f"<{contact}>" if _LINK.fullmatch(contact) else printable(contact) if _MAIL.fullmatch(contact) else markdown(contact)


def _quoted(text: str) -> str:
    """A string literal of Python, on one line."""
    return json.dumps(printable(text), ensure_ascii=False)


def _checksums(corpus: CorpusFolder) -> str:
    rows = [
        (markdown(stage), markdown_code(manifest.sha256), str(len(manifest.files)))
        for stage, manifest in corpus.manifests.items()
    ]
    text = f"In this folder, `sha256sum --check {CHECKSUMS}` checks every file. Each manifest names the manifests before it:\n\n"
    return text + _table(("stage", "sha256 of its manifest", "files"), rows)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head)]
    lines += [["---"] * len(lines[0]), *map(list, rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _check_own(corpus: str) -> None:
    """Raise InputError where a README.md, or a SHA256SUMS without an earlier card beside it, is someone else's."""
    readme, checksums = files.join(corpus, README), files.join(corpus, CHECKSUMS)
    has_card = files.exists(readme)
    if has_card and LICENSE.encode() not in files.read_bytes(readme):
        raise InputError(f"{readme}: not a card of this command; move it elsewhere, then run the same command again")
    if files.exists(checksums) and not has_card:
        raise InputError(f"{checksums}: not written by this command; move it elsewhere, then run the same command again")


def _flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", default="A WebText of our own", help="name of the dataset")
    parser.add_argument("--contact", required=True, help="address for take-down requests")
    parser.add_argument("--webtext-domains", metavar="FILE", help="OpenAI's domains.txt, to compare the sites with WebText's")


def _work(arguments: argparse.Namespace) -> None:
    """Write README.md and SHA256SUMS into the corpus folder.

    Raises InputError while it holds addresses with credentials, and where a file of someone else's is in the way.
    """
    private = files.join(arguments.corpus, "links", private_addresses.FOLDER)
    if files.exists(private):
        raise InputError(f"{private}: holds addresses with credentials until pages are fetched; run pages, or remove this folder")
    _check_own(arguments.corpus)
    corpus = CorpusFolder.open(stage_folders(arguments.corpus))
    numbers = gather(corpus, webtext_domains=arguments.webtext_domains)
    text = card(numbers, corpus, Publisher(arguments.name, arguments.contact))
    checksums = checksum_lines(corpus)
    with folder_lock(arguments.corpus) if files.is_local(arguments.corpus) else nullcontext():
        files.publish_bytes(files.join(arguments.corpus, README), text.encode())
        files.publish_bytes(files.join(arguments.corpus, CHECKSUMS), checksums.encode())
    logger.info("card: wrote %s and %s in %s", README, CHECKSUMS, arguments.corpus)


TOOL = Tool("card", _flags, _work)
