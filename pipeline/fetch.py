"""The pages stage's work: a part's links to a WARC file, an index of pages, and drops, with a journal against crashes."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, Any

import apache_beam as beam
from apache_beam.pvalue import PCollection

from pipeline import files
from pipeline.addresses import AddressPolicy
from pipeline.client import PRODUCT, Client, Limits, user_agent
from pipeline.crawl import Crawl, Manners
from pipeline.files import InputError
from pipeline.journal import Journal
from pipeline.outcomes import Dropped, Outcome, Reason
from pipeline.parts import Part, PartWriter, Place, RunParts
from pipeline.records import Drop, Link, Page
from pipeline.settings import setting
from pipeline.warc import info_member, metadata_member, redacted

STAGE_NAME = "pages"
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
            pools=2 * self.threads,
        )


@dataclass(frozen=True, slots=True)
class FetchPart:
    """Fetches the links of one part; the part's work is the paths of its link shards."""

    settings: PagesSettings

    def __call__(self, part: Part, writer: PartWriter) -> None:
        """Fetch what the journal does not hold, then publish all it holds, sorted by URL."""
        links = {link.url: link for path in part.work for link in read_links(path)}
        with Journal(f"{writer.place.work_folder}/{part.key}.journal") as journal:
            writer.advance(len(journal.entries))
            self._fetch([url for url in links if url not in journal.entries], journal, links, writer)
            publish(journal, links, writer, self.settings)

    def _fetch(self, urls: list[str], journal: Journal, links: dict[str, Link], writer: PartWriter) -> None:
        def record(outcome: Outcome) -> None:
            head, blob = entry(outcome, links[outcome.url])
            journal.append(head, blob)
            writer.advance()

        if urls:
            with self.settings.client() as client:
                Crawl(client, self.settings.manners, record, self.settings.now).run(urls, self.settings.threads)


@dataclass
class Fetch(beam.PTransform[PCollection[Part], PCollection[str]]):
    """Parts of link shards to the keys of finished parts."""

    place: Place
    settings: PagesSettings

    def expand(self, parts: PCollection[Part]) -> PCollection[str]:
        """One step: a part's hosts are asked by no other part."""
        keys: PCollection[str] = parts | "FetchPages" >> RunParts(self.place, FetchPart(self.settings))
        return keys


def read_links(path: str) -> Iterator[Link]:
    """The links of one shard."""
    for batch in files.record_batches(path):
        for row in batch.to_pylist():
            yield Link.from_row(row)


def entry(outcome: Outcome, link: Link) -> tuple[dict[str, Any], bytes]:
    """What the journal keeps of an outcome: enough to publish it without the outcome."""
    if isinstance(outcome, Dropped):
        return {"key": outcome.url, "reason": str(outcome.reason), "detail": redacted(outcome.detail)}, b""
    answer = outcome.answer
    about = [("via", redacted(outcome.url))] if answer.url != outcome.url else []
    submissions = [("reddit-submission", f"{s.id} {s.subreddit} {s.karma}") for s in link.submissions]
    metadata = metadata_member(answer.url, outcome.fetched_at, outcome.exchange.response_id, [*about, *submissions])
    head = {
        "key": outcome.url,
        "final_url": redacted(answer.url),
        "fetched_at": outcome.fetched_at.isoformat(),
        "status": answer.status,
        "media_type": outcome.media_type,
        "charset": outcome.charset,
        "response_at": len(outcome.way),
        "response_length": outcome.exchange.response_length,
        "body_bytes": len(answer.body),
        "sha256": hashlib.sha256(answer.body).hexdigest(),
    }
    return head, outcome.way + outcome.exchange.members + metadata


def publish(journal: Journal, links: dict[str, Link], writer: PartWriter, settings: PagesSettings) -> None:
    """All outcomes, sorted by URL, so that bytes do not depend on the order in which hosts answered."""
    writer.items_in = len(links)
    fetched: list[str] = []
    for url in sorted(links):
        head = journal.head(url)
        if "reason" in head:
            writer.drop(Drop(STAGE_NAME, url, Reason(head["reason"]), head["detail"] or None))
        else:
            fetched.append(url)
    pages: list[Page] = []
    for number, urls in enumerate(_volumes(fetched, journal, settings.warc_bytes)):
        pages += _publish_warc(urls, number, journal, links, writer, settings)
    writer.items_out = len(pages)
    writer.counters["body_bytes"] = sum(page.body_bytes for page in pages)
    writer.publish_table("pages", Page.table(pages))


def _volumes(urls: Iterable[str], journal: Journal, limit_bytes: int) -> Iterator[list[str]]:
    """The URLs of each WARC file of the part."""
    volume: list[str] = []
    size = 0
    for url in urls:
        length = journal.entries[url][2]
        if volume and size + length > limit_bytes:
            yield volume
            volume, size = [], 0
        volume.append(url)
        size += length
    if volume:
        yield volume


def _publish_warc(
    urls: list[str], number: int, journal: Journal, links: dict[str, Link], writer: PartWriter, settings: PagesSettings
) -> list[Page]:
    name = writer.name("pages", f"-{number:02d}.warc.gz" if number else ".warc.gz")
    heads = {url: journal.head(url) for url in urls}
    written = max(datetime.fromisoformat(head["fetched_at"]) for head in heads.values())
    about = {
        "software": PRODUCT,
        "format": "WARC File Format 1.1",
        "conformsTo": "http://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/",
        "robots": "obey (RFC 9309)" if settings.robots else "ignore",
        "http-header-user-agent": settings.agent,
    }
    pages: list[Page] = []

    def write(file: IO[bytes]) -> None:
        info = info_member(name, written, about)
        file.write(info)
        offset = len(info)
        for url, head in heads.items():
            blob = journal.blob(url)
            file.write(blob)
            pages.append(_page(links[url], head, name, offset + head["response_at"]))
            offset += len(blob)

    writer.publish("warc", len(urls), write, name)
    return pages


def _page(link: Link, head: dict[str, Any], warc_file: str, offset: int) -> Page:
    return Page(
        url=link.url,
        dedup_key=link.dedup_key,
        domain=link.domain,
        karma=link.karma,
        submitted_at=link.submitted_at,
        final_url=head["final_url"],
        fetched_at=datetime.fromisoformat(head["fetched_at"]),
        status=head["status"],
        media_type=head["media_type"],
        charset=head["charset"],
        warc_file=warc_file,
        warc_offset=offset,
        warc_length=head["response_length"],
        body_bytes=head["body_bytes"],
        sha256=bytes.fromhex(head["sha256"]),
    )


def parts_of(shards: list[tuple[str, int]], links_a_part: int) -> list[tuple[tuple[str, ...], int]]:
    """Link shards (path, rows) in order, together until a part has its share: (paths, links) a part. Depends on the data alone."""
    grouped: list[tuple[tuple[str, ...], int]] = []
    for path, rows in shards:
        if grouped and grouped[-1][1] + rows <= links_a_part:
            paths, before = grouped[-1]
            grouped[-1] = ((*paths, path), before + rows)
        else:
            grouped.append(((path,), rows))
    return grouped


def check_reachable(settings: PagesSettings) -> None:
    """Raise InputError where the settings name files that cannot be used."""
    try:
        settings.client().close()
    except OSError as error:
        raise InputError(f"--ca_bundle {settings.ca_bundle}: not certificates in PEM form ({error})") from error
