"""The pages stage's work: a part's links to a WARC file, an index of pages, and drops, with a journal against crashes."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

import apache_beam as beam
from apache_beam.pvalue import PCollection

from pipeline import files
from pipeline.crawling.addresses import AddressPolicy
from pipeline.crawling.client import PRODUCT, Client, Limits, user_agent
from pipeline.crawling.crawl import Crawl, Manners, Visit
from pipeline.crawling.journal import Journal
from pipeline.crawling.outcomes import Outcome
from pipeline.crawling.volumes import entry, publish, read_links, read_moved
from pipeline.crawling.warc import redacted
from pipeline.files import InputError
from pipeline.links import PLACE_BITS, place_of
from pipeline.parts import Part, PartWriter, Place, RunParts
from pipeline.records import Link
from pipeline.settings import setting
from pipeline.urls import dedup_key, host_of

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[+-]\d\d:\d\d)")


@dataclass(frozen=True, slots=True)
class PagesSettings:
    """The flags of `pipeline pages`. Behind a proxy it is the proxy that looks names up: only literal addresses are vetted here."""

    contact: str = setting("", "who to complain to, shown in the User-Agent: a URL or an address")
    user_agent: str = setting("", "another User-Agent than webtext's own; robots.txt is read for its first word")
    host_delay: float = setting(1.0, "seconds between two requests to a host; robots.txt may ask for up to 30", recorded=False)
    threads: int = setting(32, "hosts asked at the same time, a part", recorded=False)
    robots: bool = setting(True, "heed robots.txt (RFC 9309)")
    retries: int = setting(2, "further tries after a time-out, a lost connection, 429 or 5xx")
    deadline_seconds: float = setting(60.0, "for one request and its whole answer")
    max_body_bytes: int = setting(10_000_000, "the largest page, decoded")
    allow_addresses: tuple[str, ...] = setting((), "networks beside the public Internet, such as 127.0.0.0/8", metavar="CIDR")
    proxy: str | None = setting(None, "HTTP proxy for all requests: http://host:port", recorded=False, metavar="URL")
    ca_bundle: str | None = setting(None, "certificates to trust instead of Mozilla's (PEM)", recorded=False, metavar="FILE")
    fetched_at: str = setting("", "the instant to write in place of the clock, for equal bytes: 2026-01-31T12:00:00Z")
    fetch_from: tuple[str, ...] = setting(
        (), "take pages from these WARC files or folders of them, not from the web", recorded=False, metavar="PATH"
    )
    warc_bytes: int = setting(1_000_000_000, "begin another WARC file of a part after so many bytes")

    def __post_init__(self) -> None:
        AddressPolicy.of(self.allow_addresses)
        for name in ("threads", "deadline_seconds", "max_body_bytes", "warc_bytes"):
            if getattr(self, name) <= 0:
                raise ValueError(f"--{name} {getattr(self, name)}: must be more than 0")
        for name in ("host_delay", "retries"):
            if getattr(self, name) < 0:
                raise ValueError(f"--{name} {getattr(self, name)}: must be 0 or more")
        if self.fetched_at and not _INSTANT.fullmatch(self.fetched_at):
            raise ValueError(f"--fetched_at {self.fetched_at}: not an instant such as 2026-01-31T12:00:00Z")
        if self.proxy and not re.match(r"https?://[^/\s]+/?$", self.proxy):
            raise ValueError(f"--proxy {redacted(self.proxy)}: not of the form http://host:port")
        if self.ca_bundle and not files.exists(self.ca_bundle):
            raise ValueError(f"--ca_bundle {self.ca_bundle}: no such file")
        for name in ("contact", "user_agent"):
            if not re.fullmatch(r"[\x20-\x7e]*", getattr(self, name)):
                raise ValueError(f"--{name}: printable ASCII only, it is sent in a header")

    @property
    def agent(self) -> str:
        """The User-Agent."""
        return self.user_agent or user_agent(self.contact)

    @property
    def manners(self) -> Manners:
        """How hosts are treated."""
        token = re.split(r"[/\s]", self.user_agent, maxsplit=1)[0] or PRODUCT
        return Manners(self.host_delay, self.robots, token, self.retries)

    @property
    def about(self) -> dict[str, str]:
        """What a WARC file says of its making."""
        return {"robots": "obey (RFC 9309)" if self.robots else "ignore", "http-header-user-agent": self.agent}

    def now(self) -> datetime:
        """The instant that is written down as the time of a fetch."""
        return datetime.fromisoformat(self.fetched_at).astimezone(UTC) if self.fetched_at else datetime.now(UTC)

    def client(self) -> Client:
        """A client of these settings."""
        limits = Limits(self.deadline_seconds, self.max_body_bytes)
        return Client(
            self.agent,
            AddressPolicy.of(self.allow_addresses),
            limits,
            proxy=self.proxy,
            ca_bundle=self.ca_bundle,
            pools=4 * self.threads,
        )


@dataclass(frozen=True, slots=True)
class Share:
    """The links of one part: shards of links, and what other parts handed over. Of `buckets` buckets of hosts, those from `first` to
    `last` (excluded) are its own.
    """

    shards: tuple[str, ...]
    first: int = 0
    last: int = 1
    buckets: int = 1
    handed_over: tuple[str, ...] = ()

    def owns(self, url: str) -> bool:
        """Whether the URL's host is asked by this part alone."""
        return self.first <= bucket_of(url, self.buckets) < self.last

    def read(self) -> tuple[dict[str, Link], dict[str, Visit]]:
        """The links and where each is to be asked for first, by the links' URLs."""
        links = {link.url: link for path in self.shards for link in read_links(path)}
        first = {url: Visit(url, url) for url in links}
        for path in self.handed_over:
            for link, moved in read_moved(path):
                if self.owns(moved.target):
                    links[link.url] = link
                    first[link.url] = Visit(link.url, moved.target, moved.redirects, way=moved.way)
        return links, first


def bucket_of(url: str, buckets: int) -> int:
    """The bucket of a URL's host, as the links stage deals them: all spellings of a host that fold together lie in one."""
    return place_of(host_of(dedup_key(url))) * buckets >> PLACE_BITS


@dataclass(frozen=True, slots=True)
class FetchPart:
    """Fetches the links of one part; the part's work is its Share."""

    settings: PagesSettings

    def __call__(self, part: Part, writer: PartWriter) -> None:
        """Fetch what the journal does not hold, then publish all it holds, sorted by URL."""
        share: Share = part.work
        links, first = share.read()
        with Journal.at(files.join(writer.place.work_folder, f"{part.key}.journal")) as journal:
            writer.advance(len(journal.entries))
            self._fetch([visit for url, visit in first.items() if url not in journal.entries], share, journal, links, writer)
            publish(journal, links, writer, self.settings.warc_bytes, self.settings.about)

    def _fetch(self, visits: list[Visit], share: Share, journal: Journal, links: dict[str, Link], writer: PartWriter) -> None:
        def record(outcome: Outcome) -> None:
            journal.append(*entry(outcome, links[outcome.url]))
            writer.advance()

        if visits:
            with self.settings.client() as client:
                crawl = Crawl(client, self.settings.manners, record, self.settings.now, share.owns)
                crawl.run(visits, self.settings.threads)
                writer.timings.update(crawl.latencies.counts())


@dataclass
class Fetch(beam.PTransform[PCollection[Part], PCollection[str]]):
    """Parts of link shards to the keys of finished parts."""

    place: Place
    settings: PagesSettings

    def expand(self, parts: PCollection[Part]) -> PCollection[str]:
        """One step: a part's hosts are asked by no other part."""
        keys: PCollection[str] = parts | "FetchPages" >> RunParts(self.place, FetchPart(self.settings))
        return keys


def shares(shards: list[tuple[str, int]], links_a_part: int) -> list[tuple[Share, int]]:
    """Link shards (path, rows), a bucket each, in order: together until a part has its share. (share, links) a part, by the data alone."""
    groups: list[list[int]] = []
    for bucket, (_, rows) in enumerate(shards):
        if groups and sum(shards[b][1] for b in groups[-1]) + rows <= links_a_part:
            groups[-1].append(bucket)
        else:
            groups.append([bucket])
    return [
        (Share(tuple(shards[b][0] for b in group), group[0], group[-1] + 1, len(shards)), sum(shards[b][1] for b in group))
        for group in groups
    ]


def check_reachable(settings: PagesSettings) -> None:
    """Raise InputError where the settings name files that cannot be used."""
    try:
        settings.client().close()
    except OSError as error:
        raise InputError(f"--ca_bundle {settings.ca_bundle}: not certificates in PEM form ({error})") from error
