"""Numbers of a corpus folder: what its manifests say, and what its files hold, read a column at a time."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
from tld import Result, get_tld

from pipeline.corpus.folder import Corpus
from pipeline.pages.latencies import NAMES as LATENCIES
from pipeline.report.numbers import Histogram, Site, Sites, StageNumbers
from pipeline.report.tallies import CHARACTERS, KARMA, NOT_KNOWN, BinTally, ValueTally
from pipeline.storage import files
from pipeline.storage.document_shards import DocumentShard
from pipeline.storage.files import InputError
from pipeline.storage.manifest import StageManifest

LENGTH_SAMPLE_DOCUMENTS = 50_000
SITES_MATCHED = 20_000
SITES_SHOWN = 25
SUBREDDITS = "submissions.list.element.subreddit"


def stage_numbers(corpus: Corpus) -> tuple[StageNumbers, ...]:
    """Every stage's manifest and run.json."""
    return tuple(_stage_numbers(name, corpus.folders[name], manifest) for name, manifest in corpus.manifests.items())


def _stage_numbers(name: str, folder: str, manifest: StageManifest) -> StageNumbers:
    return StageNumbers(
        name,
        manifest.books.items_in,
        manifest.books.items_out,
        dict(manifest.books.dropped),
        dict(manifest.counters),
        dict(manifest.settings),
        {key: entry.sha256 for key, entry in manifest.inputs.items()},
        manifest.sha256,
        len(manifest.files),
        sum(entry.bytes for entry in manifest.files),
        _run(folder),
    )


def link_histograms(corpus: Corpus) -> list[Histogram]:
    """Of all links: karma, year of submission, subreddits."""
    karma, years, subreddits = BinTally(KARMA), ValueTally(), ValueTally()
    for batch in _batches(corpus.paths("links", "links"), ["karma", "submitted_at", SUBREDDITS]):
        karma.add(batch.column("karma"))
        years.add(pc.year(batch.column("submitted_at")))
        subreddits.add(batch.column("submissions").flatten().field("subreddit"))
    return [
        karma.histogram("karma", "Karma", "karma of a link", "links"),
        years.in_order("year", "Year of submission", "year of a link's first submission", "links"),
        subreddits.histogram("subreddits", "Subreddits", "subreddit", "submissions"),
    ]


def page_histograms(corpus: Corpus) -> list[Histogram]:
    """What came of fetching: pages and named failures; media types of the pages; how long requests took."""
    manifest = corpus.manifests["pages"]
    media = ValueTally()
    for batch in _batches(corpus.paths("pages", "pages"), ["media_type"]):
        media.add(batch.column("media_type"))
    fetched = {"fetched": corpus.rows("pages", "pages")}
    outcomes = Counter({k: n for k, n in (fetched | manifest.books.dropped).items() if n}).most_common()
    labels, counts = tuple(k for k, _ in outcomes), tuple(n for _, n in outcomes)
    found = [
        Histogram("outcomes", "What came of fetching", "outcome", "links", labels, counts),
        media.histogram("media_types", "Media types", "media type", "pages", most=8),
    ]
    took = (_run(corpus.folders["pages"]) or {}).get("timings")
    if took:  # pages from archives took none
        shown = [name for name in LATENCIES if name in took]
        requests = tuple(took[name] for name in shown)
        found.append(Histogram("latency", "How long a request took", "seconds", "requests", tuple(shown), requests))
    return found


def _run(folder: str) -> dict[str, Any] | None:
    """A stage's run.json: what clocks said."""
    beside = files.join(folder, "run.json")
    return orjson.loads(files.read_bytes(beside)) if files.exists(beside) else None


def document_histograms(shards: list[DocumentShard]) -> tuple[list[Histogram], ValueTally]:
    """Of the unique documents: language, year of publication, length (a sample); and the tally of their domains."""
    languages, published, domains = ValueTally(), ValueTally(), ValueTally()
    for shard in shards:
        for batch in shard.batches(["language", "published", "domain"], rows=1 << 16):
            languages.add(batch.column("language"))
            published.add(pc.year(batch.column("published")))
            domains.add(batch.column("domain"))
    of = "documents"
    found = [
        languages.histogram("language", "Language", "language", of),
        published.in_order("published", "Year of publication", "year that the page names", of),
        _length_histogram(shards),
    ]
    return found, domains


def _length_histogram(shards: list[DocumentShard]) -> Histogram:
    total = sum(shard.rows for shard in shards)
    chosen = evenly(shards, [shard.rows for shard in shards], LENGTH_SAMPLE_DOCUMENTS)
    characters = BinTally(CHARACTERS)
    for shard in chosen:
        for batch in shard.batches(["text"]):
            characters.add(pc.utf8_length(batch.column("text")))
    seen = sum(shard.rows for shard in chosen)
    note = "" if seen == total else f"measured on {seen:,} of {total:,} documents: every so many-th shard, whole"
    return characters.histogram("characters", "Length", "characters of a document", "documents", note)


def evenly(items: list[Any], sizes: list[int], enough: int) -> list[Any]:
    """Some of `items`, evenly spaced, whose sizes sum to about `enough`; all of them where they sum to no more.

    >>> evenly(["a", "b", "c", "d"], [10, 10, 10, 10], 20)
    ['a', 'c']
    """
    total = sum(sizes)
    if total <= enough:
        return items
    count = max(1, round(len(items) * enough / total))
    return [items[i * len(items) // count] for i in range(count)]


def site_name(domain: str) -> str:
    """A host's site as OpenAI's list names it: no subdomain, no suffix. An address or local name stays as it is.

    >>> site_name("news.bbc.co.uk")
    'bbc'
    """
    found = get_tld(f"http://{domain}/", as_object=True, fail_silently=True, search_private=False)
    return found.domain if isinstance(found, Result) and found.domain else domain


def sites(domains: ValueTally, webtext_domains: str | None) -> Sites:
    """The commonest sites, beside WebText's own list (`count name` a line) where its path is given."""
    pairs = [(domain, items) for domain, items in domains.pairs() if domain != NOT_KNOWN]
    total = sum(items for _, items in pairs)
    ours: Counter[str] = Counter()
    for domain, items in pairs[:SITES_MATCHED]:
        ours[site_name(domain)] += items
    theirs = read_webtext_domains(webtext_domains) if webtext_domains else {}
    rank = {name: i for i, name in enumerate(theirs, start=1)}
    known = sum(theirs.values())
    commonest = sorted(ours.items(), key=lambda pair: (-pair[1], pair[0]))[:SITES_SHOWN]
    top = tuple(
        Site(name, items, items / total, rank.get(name), theirs[name] / known if name in theirs else None)
        for name, items in commonest
    )
    if not theirs:
        return Sites(top, len(pairs))
    found = [items for name, items in ours.items() if name in theirs]
    return Sites(top, len(pairs), len(found), sum(found) / total if total else 0.0, len(theirs))


def read_webtext_domains(path: str) -> dict[str, int]:
    """Site to documents in WebText, the commonest first. Raises InputError on a line that is not `count name`.

    OpenAI's own list has one line without a name: addresses without a suffix, it seems. It counts for no site.
    """
    if not files.exists(path):
        raise InputError(f"{path}: no such file; --webtext_domains takes OpenAI's domains.txt")
    found: dict[str, int] = {}
    for number, line in enumerate(files.read_bytes(path).decode().splitlines(), start=1):
        count, _, name = line.strip().partition(" ")
        if not count.isdecimal():
            raise InputError(f"{path}:{number}: {line[:40]!r} is not `count name`; --webtext_domains takes OpenAI's domains.txt")
        found[name.strip()] = int(count)
    found.pop("", None)
    return found


def _batches(paths: Iterable[str], columns: list[str]) -> Iterator[pa.RecordBatch]:
    for path in paths:
        yield from files.record_batches(path, columns, rows=1 << 16)
