"""Histograms of links, pages and documents, read from a corpus column by column."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.corpus.folder import CorpusFolder
from pipeline.pages.latencies import NAMES as LATENCIES
from pipeline.pages.outcomes import MAY_PASS
from pipeline.report.numbers import Histogram
from pipeline.report.stage_numbers import read_run_record
from pipeline.report.tallies import CHARACTERS, DISTANCE, KARMA, NOT_KNOWN, PERCENT, BinTally, ValueTally
from pipeline.storage import files
from pipeline.storage.document_shards import DocumentShard
from pipeline.storage.manifest import StageManifest

T = TypeVar("T")
LENGTH_SAMPLE_DOCUMENTS = 50_000
CONFIDENCE = "extraction_confidence"
EXTRACTED = "extracted_"
SUBREDDITS = "submissions.list.element.subreddit"


def link_histograms(corpus: CorpusFolder) -> list[Histogram]:
    """Karma, year of submission and subreddits of all links."""
    karma, years, subreddits = BinTally(KARMA), ValueTally(), ValueTally()
    for batch in _batches(corpus.paths("links", "links"), ["karma", "submitted_at", SUBREDDITS]):
        karma.add(batch.column("karma"))
        years.add(pc.year(batch.column("submitted_at")))
        subreddits.add(batch.column("submissions").flatten().field("subreddit"))
    return [
        karma.histogram("karma", "Karma", "karma per link", "links"),
        years.in_order("year", "Year of submission", "year of a link's first submission", "links"),
        subreddits.histogram("subreddits", "Subreddits", "subreddit", "submissions"),
    ]


def page_histograms(corpus: CorpusFolder) -> list[Histogram]:
    """Fetch results (pages and named failures), media types of the pages, request times if the run recorded them, and, where archives
    gave pages, the sources and the days from the submission to the capture.
    """
    manifest = corpus.manifests["pages"]
    media, sources, distances = ValueTally(), ValueTally(), BinTally(DISTANCE)
    for batch in _batches(corpus.paths("pages", "pages"), ["media_type", "source", "distance_days"]):
        media.add(batch.column("media_type"))
        if "source" in batch.schema.names:  # folders of earlier versions lack it
            sources.add(batch.column("source"))
            distances.add(pc.drop_null(pc.cast(pc.floor(batch.column("distance_days")), pa.int64())))
    fetched = {"fetched": corpus.rows("pages", "pages")}
    outcomes = Counter({k: n for k, n in (fetched | manifest.books.dropped).items() if n}).most_common()
    labels, counts = tuple(k for k, _ in outcomes), tuple(n for _, n in outcomes)
    histograms = [
        Histogram("outcomes", "Fetch results", "result", "links", labels, counts, _passing(outcomes)),
        media.histogram("media_types", "Media types", "media type", "pages", most=8),
    ]
    if any(source not in ("live", NOT_KNOWN) for source, _ in sources.pairs()):
        note = "days before the submission are negative"
        histograms.append(sources.histogram("sources", "Sources of pages", "source", "pages"))
        histograms.append(distances.histogram("distance", "From submission to capture", "days", "archived pages", note))
    timings = (read_run_record(corpus.folders["pages"]) or {}).get("timings")
    if timings:  # pages from archives have none
        names = tuple(name for name in LATENCIES if name in timings)
        requests = tuple(timings[name] for name in names)
        histograms.append(Histogram("latency", "Request times", "seconds", "requests", names, requests))
    return histograms


def _passing(outcomes: list[tuple[str, int]]) -> str:
    """The failures among the fetch results that are no answers."""
    passing = [(name, links) for name, links in outcomes if name in MAY_PASS]
    if not passing:
        return ""
    shown = ", ".join(f"{links:,} {name}" for name, links in passing)
    links = sum(links for _, links in passing)
    return (
        f"{links:,} links failed in a way that may pass ({shown}): pages --retry-failed asks them again. The others are answers."
    )


def document_histograms(corpus: CorpusFolder, shards: list[DocumentShard]) -> tuple[list[Histogram], ValueTally]:
    """Language, year of publication, confidence and length (from a sample) of documents; and the tally of their domains."""
    languages, published, domains, confidence = ValueTally(), ValueTally(), ValueTally(), BinTally(PERCENT)
    for shard in shards:
        for batch in shard.batches(["language", "published", "domain", CONFIDENCE], rows=1 << 16):
            if CONFIDENCE in batch.schema.names:  # folders of earlier versions lack it
                confidence.add(_percent(batch.column(CONFIDENCE)))
            languages.add(batch.column("language"))
            published.add(pc.year(batch.column("published")))
            domains.add(batch.column("domain"))
    histograms = [
        languages.histogram("language", "Language", "language", "documents"),
        published.in_order("published", "Year of publication", "year given by the page", "documents"),
        _length_histogram(shards),
        confidence.histogram(
            "confidence",
            "Confidence of extraction",
            "expected F1 of the text, in %",
            "documents",
            slow_path(corpus.manifests.get("documents")),
        ),
    ]
    return histograms, domains


def _percent(confidence: pa.Array) -> npt.NDArray[np.int64]:
    """Whole per cent, rounded down; nulls are left out. A float32 holds four digits."""
    values = confidence.drop_null().to_numpy(zero_copy_only=False).astype(np.float64)
    percent: npt.NDArray[np.int64] = np.floor(np.round(100 * values, 2)).astype(np.int64)
    return percent


def slow_path(manifest: StageManifest | None) -> str:
    """The share of pages that the extractor blocks did not decide by itself; empty where the stage had another extractor."""
    if manifest is None or manifest.settings.get("extractor") != "blocks":
        return ""
    methods = {
        name.removeprefix(EXTRACTED): pages
        for name, pages in sorted(manifest.counters.items())
        if name.startswith(EXTRACTED) and name != f"{EXTRACTED}pdf"
    }
    total, slow = sum(methods.values()), sum(methods.values()) - methods.get("blocks", 0) - methods.get("stated", 0)
    if not total:
        return ""
    shown = ", ".join(f"{pages:,} {name}" for name, pages in methods.items() if name not in ("blocks", "stated"))
    stated = f" In {methods['stated']:,} the article comes from JSON-LD." if methods.get("stated") else ""
    return (
        f"The slow path read {slow:,} of {total:,} extracted pages, {slow / total:.1%}{f' ({shown})' if shown else ''}.{stated}"
    )


def _length_histogram(shards: list[DocumentShard]) -> Histogram:
    total = sum(shard.rows for shard in shards)
    sample = evenly_spaced(shards, [shard.rows for shard in shards], LENGTH_SAMPLE_DOCUMENTS)
    characters = BinTally(CHARACTERS)
    for shard in sample:
        for batch in shard.batches(["text"]):
            characters.add(pc.utf8_length(batch.column("text")))
    measured = sum(shard.rows for shard in sample)
    note = "" if measured == total else f"measured on {measured:,} of {total:,} documents, in evenly spaced shards"
    return characters.histogram("characters", "Length", "characters per document", "documents", note)


def evenly_spaced(items: list[T], sizes: list[int], enough: int) -> list[T]:
    """Evenly spaced items whose sizes sum to about `enough`; all items if their sizes sum to no more.

    >>> evenly_spaced(["a", "b", "c", "d"], [10, 10, 10, 10], 20)
    ['a', 'c']
    """
    total = sum(sizes)
    if total <= enough:
        return items
    count = max(1, round(len(items) * enough / total))
    return [items[i * len(items) // count] for i in range(count)]


def _batches(paths: Iterable[str], columns: list[str]) -> Iterator[pa.RecordBatch]:
    for path in paths:
        yield from files.record_batches(path, columns, rows=1 << 16)
