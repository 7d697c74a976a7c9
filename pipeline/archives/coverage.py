"""How much of a corpus's links an archive's index covers, how near to their day, and what reading the captures would cost."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from pipeline.archives.choose import CAPTURE, MICROSECONDS_PER_DAY, CaptureRows, first_of_each, ranked, refusal
from pipeline.archives.lookups import NO_INSTANT
from pipeline.archives.match import CAPTURES, INDEX_BYTES, INDEX_BYTES_READ
from pipeline.archives.ranges import BYTES_PER_SECOND, MAX_PIECE_BYTES, gap_bytes
from pipeline.archives.rounds import Search
from pipeline.engine.shuffle import RunSlices, write_paths
from pipeline.storage import files

DISTANCES = (1, 7, 30, 90, 180, 365, 730, 1825, 3650)
"""Upper bounds of the histogram's bins, in days."""
DISTANCE_DAYS = "distance_days_up_to"


@dataclass(frozen=True, slots=True)
class CrawlCoverage:
    """A crawl: links with a capture in it, links whose nearest capture is in it, and the median distance of those in days."""

    crawl: str
    links: int
    nearest: int
    median_days: float | None


@dataclass(frozen=True, slots=True)
class Coverage:
    """What an index holds of some links. `distances` counts covered links by days, up to each of DISTANCES and beyond."""

    links: int
    covered: int
    crawls: tuple[CrawlCoverage, ...]
    missing: dict[str, int]
    distances: tuple[int, ...]
    requests: int
    bytes: int
    requests_per_second: float
    hours: float
    index_bytes: int
    index_bytes_read: int

    def to_json(self) -> dict[str, object]:
        """The numbers by name."""
        return {**asdict(self), DISTANCE_DAYS: [*DISTANCES, None]}


def measure(search: Search, links: int) -> Coverage:
    """Join the links with the index, and count. Nothing is fetched from the archive."""
    paths, rows = search.look_up()
    phase, receipts = search.match(0, paths, rows)
    crawls = sorted({entry.crawl for entry in search.index})
    runs = [
        (crawls.index(entry.crawl), receipt.path(phase, f"{CAPTURES}-0"))
        for entry, receipt in zip(search.index, receipts, strict=True)
    ]
    tally = _Tally(len(crawls))
    for bucket in range(search.link_buckets):
        tally.add(np.concatenate([np.empty(0, CAPTURE), *_captures(runs, bucket, files.join(phase.work_folder, "one.list"))]))
    rate = search.access.requests_per_second
    requests, size = tally.cost(gap_bytes(rate))
    counted = Counter({name: sum(r.counters.get(name, 0) for r in receipts) for name in (INDEX_BYTES, INDEX_BYTES_READ)})
    missing = dict(tally.missing) | {"not_archived": tally.missing["not_archived"] + links - tally.seen}
    return Coverage(
        links=links,
        covered=tally.covered,
        crawls=tuple(tally.crawl(number, name) for number, name in enumerate(crawls)),
        missing={reason: count for reason, count in sorted(missing.items()) if count},
        distances=tally.distances(),
        requests=requests,
        bytes=size,
        requests_per_second=rate,
        hours=(requests / rate + size / BYTES_PER_SECOND) / 3600,
        index_bytes=counted[INDEX_BYTES],
        index_bytes_read=counted[INDEX_BYTES_READ],
    )


def _captures(runs: Sequence[tuple[int, str]], bucket: int, listing: str) -> Iterator[CaptureRows]:
    """The captures of one bucket of links; their field `page` holds the number of the crawl."""
    for crawl, path in runs:
        write_paths(listing, [path])
        for found in RunSlices(listing, bucket).read(CAPTURE):
            captures = found.copy()
            captures["page"] = crawl
            yield captures


class _Tally:
    """Counts over buckets of links."""

    def __init__(self, crawls: int) -> None:
        self.covered = self.seen = 0
        self.missing: Counter[str] = Counter()
        self._links = np.zeros(crawls, np.int64)
        self._places: list[CaptureRows] = []
        self._days: list[npt.NDArray[np.float32]] = []

    def add(self, captures: CaptureRows) -> None:
        """Count the captures of one bucket of links."""
        useful = ranked(captures)
        best = first_of_each(useful, 0)
        pairs = np.unique(useful[["page", "link"]])
        self._links += np.bincount(pairs["page"].astype(np.int64), minlength=len(self._links))
        self.covered += len(best)
        self.seen += len(np.unique(captures["link"]))
        rest = captures[~np.isin(captures["link"], best["link"])]
        rest = rest[np.argsort(rest["link"], kind="stable")]
        for group in np.split(rest, np.flatnonzero(np.diff(rest["link"])) + 1) if len(rest) else []:
            self.missing[str(refusal(group)[0])] += 1
        self._places.append(best[["warc", "offset", "length", "page"]].copy())
        self._days.append((np.abs(best["distance"]) / MICROSECONDS_PER_DAY).astype(np.float32))

    def crawl(self, number: int, name: str) -> CrawlCoverage:
        """The coverage of one crawl."""
        places, days = np.concatenate(self._places), np.concatenate(self._days)
        nearest = days[places["page"] == number]
        known = nearest[nearest < NO_INSTANT / 2 / MICROSECONDS_PER_DAY]
        median = round(float(np.median(known)), 2) if len(known) else None
        return CrawlCoverage(name, int(self._links[number]), len(nearest), median)

    def distances(self) -> tuple[int, ...]:
        """Covered links by distance."""
        bins = np.searchsorted(np.array(DISTANCES, np.float32), np.concatenate(self._days))
        return tuple(np.bincount(bins, minlength=len(DISTANCES) + 1).tolist())

    def cost(self, gap: int) -> tuple[int, int]:
        """Requests and bytes that reading the nearest captures takes, neighbours in one request (`ranges.plan`)."""
        places = np.unique(np.concatenate(self._places)[["warc", "offset", "length"]])
        requests = size = 0
        warc, start, stop = -1, 0, 0
        for row in places.tolist():
            end = row[1] + row[2]
            if row[0] == warc and row[1] - stop <= gap and max(end, stop) - start <= MAX_PIECE_BYTES:
                size += max(0, end - stop)
                stop = max(stop, end)
            else:
                requests, size = requests + 1, size + row[2]
                warc, start, stop = row[0], row[1], end
        return requests, size


def table_lines(coverage: Coverage) -> Iterator[str]:
    """The coverage for a person."""
    width = max([len(one.crawl) for one in coverage.crawls] + [5])
    yield f"{'crawl':<{width}} {'links':>12} {'nearest':>12} {'median days':>12}"
    for one in coverage.crawls:
        days = "" if one.median_days is None else f"{one.median_days:,.1f}"
        yield f"{one.crawl:<{width}} {one.links:>12,} {one.nearest:>12,} {days:>12}"
    share = 100 * coverage.covered / coverage.links if coverage.links else 0.0
    yield f"covered: {coverage.covered:,} of {coverage.links:,} links ({share:.1f} %)"
    lost = ", ".join(f"{count:,} {reason}" for reason, count in coverage.missing.items())
    if lost:
        yield f"not covered: {lost}"
    labels = [f"up to {days:,} days" for days in DISTANCES] + ["farther"]
    shown = [f"{count:,} {label}" for label, count in zip(labels, coverage.distances, strict=True) if count]
    if shown:
        yield f"distance: {', '.join(shown)}"
    yield (
        f"reading them: {coverage.requests:,} requests, {coverage.bytes:,} bytes, {coverage.hours:,.2f} hours at"
        f" {coverage.requests_per_second:g} requests per second; redirects take further ones"
    )
    yield f"index: {coverage.index_bytes_read:,} of {coverage.index_bytes:,} bytes read"
