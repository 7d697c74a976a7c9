"""Histograms of links, pages and documents, read from a corpus column by column."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.corpus.folder import CorpusFolder
from pipeline.pages.latencies import NAMES as LATENCIES
from pipeline.pages.outcomes import MAY_PASS
from pipeline.report.numbers import Histogram
from pipeline.report.stage_numbers import read_run_record
from pipeline.report.tallies import CHARACTERS, DISTANCE, KARMA, NOT_KNOWN, BinTally, ValueTally
from pipeline.storage import files
from pipeline.storage.document_shards import DocumentShard

T = TypeVar("T")
LENGTH_SAMPLE_DOCUMENTS = 50_000
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


def document_histograms(shards: list[DocumentShard]) -> tuple[list[Histogram], ValueTally]:
    """Language, year of publication and length (from a sample) of documents; and the tally of their domains."""
    languages, published, domains = ValueTally(), ValueTally(), ValueTally()
    for shard in shards:
        for batch in shard.batches(["language", "published", "domain"], rows=1 << 16):
            languages.add(batch.column("language"))
            published.add(pc.year(batch.column("published")))
            domains.add(batch.column("domain"))
    histograms = [
        languages.histogram("language", "Language", "language", "documents"),
        published.in_order("published", "Year of publication", "year given by the page", "documents"),
        _length_histogram(shards),
    ]
    return histograms, domains


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
