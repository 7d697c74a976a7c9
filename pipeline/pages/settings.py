"""Settings of the pages stage."""

import hashlib
import re
import ssl
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime

from pipeline.archives.choose import SIDES, SUBMISSION, Window
from pipeline.archives.index_files import find_index_files
from pipeline.archives.service import Access
from pipeline.engine.settings import flag_of, setting
from pipeline.pages.addresses import AddressPolicy
from pipeline.pages.archive_files import archive_files
from pipeline.pages.client import Client, RequestLimits
from pipeline.pages.media import PAGE_AND_PDF_TYPES, PAGE_TYPES
from pipeline.pages.outage import OutageWatch
from pipeline.pages.politeness import MAX_REDIRECTS, Politeness, product_token, user_agent
from pipeline.pages.warc_reader import read_records
from pipeline.pages.warc_record import NotAnArchiveError, WarcError
from pipeline.redaction import redact
from pipeline.storage import files, takedown_list
from tokenizer.errors import InputError


def read_certificates(path: str) -> None:
    """Read a file of certificates. Raises InputError where it is missing or holds none."""
    try:
        ssl.create_default_context().load_verify_locations(path)
    except ssl.SSLError as error:
        raise InputError(f"--ca-bundle {path}: not certificates in PEM form ({error})") from error


def read_first_records(path: str) -> None:
    """Read the first record of each archive that a path of --fetch-from names. Raises InputError for what is no archive."""
    for archive in archive_files([path]):
        if archive == path and not files.size(archive):
            raise InputError(f"--fetch-from {archive}: empty; get the file anew, or leave it out")
        try:
            next(read_records(archive), None)
        except NotAnArchiveError as error:
            raise InputError(f"--fetch-from {archive}: {error}; give WARC or ARC files") from error
        except WarcError:  # damage is counted when the whole file is read
            continue


SOURCES = ("live", "commoncrawl", "wayback", "warc")
MOST_REQUESTS_PER_SECOND = 1_000


def rate_folder(work_folder: str, service: str) -> str:
    """Where the workers of a machine share the rate of a service: in the work folder, or in the machine's own temporary folder."""
    if files.is_local(work_folder):
        return files.join(work_folder, "rate", service)
    name = hashlib.sha256(work_folder.encode()).hexdigest()[:16]
    return files.join(tempfile.gettempdir(), f"webtext-rate-{name}", service)


def check_index(path: str) -> None:
    """Raise InputError for a local path of --archive-index that names no index. Remote ones are looked at when they are read."""
    if files.is_local(path):
        find_index_files([path], "")


MOST = {"host_delay": 86_400, "deadline_seconds": 86_400, "threads": 4_096, "retries": 100}
"""Above these a timer overflows, no thread starts, or a host is asked for ever."""
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[+-]\d\d:\d\d)")


def _check_most(settings: "PagesSettings") -> None:
    for name, most in MOST.items():
        if getattr(settings, name) > most:
            raise ValueError(f"{flag_of(name)} {getattr(settings, name)}: at most {most:,}")


@dataclass(frozen=True, slots=True)
class PagesSettings:
    """The flags of `pipeline pages`. Behind a proxy, the proxy looks names up: only literal addresses are checked here."""

    contact: str = setting("", "a URL or an address for complaints, shown in the User-Agent")
    user_agent: str = setting("", "User-Agent in place of webtext's own; robots.txt is read for its product")
    host_delay: float = setting(1.0, "seconds between two requests to a host; robots.txt may ask for up to 30", recorded=False)
    threads: int = setting(32, "number of hosts asked at the same time, per part; those that stall do not count", recorded=False)
    domain_requests: int = setting(
        8, "number of hosts of one registrable domain asked at the same time, per part", recorded=False
    )
    pdf: bool = setting(False, "also keep PDF files, by their text layer (needs pypdfium2: pip install '.[pdf]')")
    address_requests: int = setting(
        8, "number of hosts that resolve to one address asked at the same time, per part", recorded=False
    )
    stop_on_outage: bool = setting(
        True, "stop when nearly no site can be reached, for the network is down; off: drop the links", recorded=False
    )
    robots: bool = setting(True, "obey robots.txt (RFC 9309)")
    retries: int = setting(2, "further attempts after a time-out, a lost connection, 429 or 5xx")
    max_redirects: int = setting(MAX_REDIRECTS, "redirects followed per link; a page's refresh to another page is one")
    deadline_seconds: float = setting(60.0, "seconds for one request and its complete response")
    max_body_bytes: int = setting(10_000_000, "largest decoded page, in bytes")
    allow_addresses: tuple[str, ...] = setting(
        (), "networks to allow besides the public Internet, such as 127.0.0.0/8", metavar="CIDR"
    )
    proxy: str | None = setting(None, "HTTP proxy for all requests: http://host:port", recorded=False, metavar="URL")
    ca_bundle: str | None = setting(
        None, "certificates to trust instead of Mozilla's (PEM)", recorded=False, reads=read_certificates, metavar="FILE"
    )
    retry_failed: bool = setting(
        False, "ask the links of a finished folder again whose failure may pass: dns, timeout, 503 …", recorded=False
    )
    refetch: bool = setting(False, "ask everything anew, whatever the folder holds", recorded=False)
    fetched_at: str = setting("", "instant to record in place of the clock, for equal bytes: 2026-01-31T12:00:00Z")
    fetch_from: tuple[str, ...] = setting(
        (),
        "take pages from these WARC files, or folders of them, in place of the web",
        recorded=False,
        reads=read_first_records,
        metavar="PATH",
    )
    takedown: str | None = setting(
        None,
        takedown_list.HELP,
        file=True,
        reads=takedown_list.entries,
        metavar="FILE",
    )
    source: tuple[str, ...] = setting(
        (),
        "where pages come from, tried in this order for each link (default: live, or warc where --fetch-from is given)",
        choices=SOURCES,
    )
    archive_index: tuple[str, ...] = setting(
        (),
        "index of the archive commoncrawl: Parquet or CDXJ files, folders of them, or lists of files (*.paths.gz)",
        recorded=False,
        reads=check_index,
        metavar="PATH",
    )
    as_of: str = setting(SUBMISSION, "the day whose capture is wanted: 'submission', or a date such as 2013-06-30")
    within: int = setting(365, "days from that day at which a capture is still taken", metavar="DAYS")
    side: str = setting("either", "take captures of that day or before it, after it, or either", choices=SIDES)
    commoncrawl: str = setting(
        "https://data.commoncrawl.org/", "where the WARC files of the index lie: an address, or a folder", recorded=False
    )
    commoncrawl_rate: float = setting(4.0, "requests per second to that address, of all workers of a machine", recorded=False)
    wayback: str = setting("https://web.archive.org/web/", "address below which an archive replays captures", recorded=False)
    wayback_cdx: str = setting("https://web.archive.org/cdx/search/cdx", "address of that archive's CDX server", recorded=False)
    timegate: str = setting("", "Memento TimeGate (RFC 7089) to ask in place of the CDX server", recorded=False)
    wayback_rate: float = setting(0.25, "requests per second to that archive, one at a time", recorded=False)
    warc_bytes: int = setting(1_000_000_000, "largest WARC file, in bytes; a part begins another one beyond it")

    def __post_init__(self) -> None:
        AddressPolicy.of(self.allow_addresses)
        for name in ("threads", "domain_requests", "address_requests", "deadline_seconds", "max_body_bytes", "warc_bytes"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{flag_of(name)} {getattr(self, name)}: must be more than 0")
        for name in ("host_delay", "retries", "max_redirects"):
            if getattr(self, name) < 0:
                raise ValueError(f"{flag_of(name)} {getattr(self, name)}: must be 0 or more")
        _check_most(self)
        self._check_sources()
        if self.fetched_at and not _INSTANT.fullmatch(self.fetched_at):
            raise ValueError(f"--fetched-at {self.fetched_at}: not an instant such as 2026-01-31T12:00:00Z")
        if self.proxy and not re.match(r"https?://[^/\s]+/?$", self.proxy):
            raise ValueError(f"--proxy {redact(self.proxy)}: not of the form http://host:port")
        for name in ("contact", "user_agent"):
            if not re.fullmatch(r"[\x20-\x7e]*", getattr(self, name)):
                raise ValueError(f"{flag_of(name)}: printable ASCII only, it is sent in a header")

    def _check_sources(self) -> None:
        if len(set(self.source)) < len(self.source):
            raise ValueError(f"--source {' '.join(self.source)}: names a source twice")
        for source, flag, value in (
            ("warc", "--fetch-from PATH", self.fetch_from),
            ("commoncrawl", "--archive-index PATH", self.archive_index),
        ):
            if source in self.source and not value:
                raise ValueError(f"--source {source}: needs {flag}")
            if value and source not in self.sources:
                raise ValueError(
                    f"{flag.split()[0]}: --source {' '.join(self.source)} does not name {source}; add it, or leave the flag out"
                )
        for name in ("commoncrawl_rate", "wayback_rate"):
            if not 0 < getattr(self, name) <= MOST_REQUESTS_PER_SECOND:
                raise ValueError(
                    f"{flag_of(name)} {getattr(self, name):g}: must be more than 0, and at most {MOST_REQUESTS_PER_SECOND:,}"
                )
        for name in ("wayback", "wayback_cdx", "timegate"):
            if (value := getattr(self, name)) and not re.match(r"https?://[^/\s]+/", value):
                raise ValueError(f"{flag_of(name)} {redact(value)}: not an address such as https://archive.example/web/")
        _ = self.window

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources of pages, in their order."""
        return self.source or (("warc",) if self.fetch_from else ("commoncrawl",) if self.archive_index else ("live",))

    @property
    def window(self) -> Window:
        """The captures that archives' pages may be of. Raises ValueError."""
        return Window(self.as_of, self.within, self.side)

    def access(self, service: str, work_folder: str) -> Access:
        """How the servers of commoncrawl or wayback are asked."""
        rate = self.commoncrawl_rate if service == "commoncrawl" else self.wayback_rate
        folder = rate_folder(work_folder, service)
        return Access(
            self.agent, folder, rate, self.allow_addresses, self.proxy, self.ca_bundle, self.deadline_seconds, self.stop_on_outage
        )

    @property
    def kept_types(self) -> frozenset[str]:
        """The media types that are pages."""
        return PAGE_AND_PDF_TYPES if self.pdf else PAGE_TYPES

    @property
    def agent(self) -> str:
        """The User-Agent header."""
        return self.user_agent or user_agent(self.contact)

    @property
    def politeness(self) -> Politeness:
        """How hosts are treated."""
        token = product_token(self.user_agent)
        return Politeness(
            self.host_delay,
            self.robots,
            token,
            self.retries,
            max_redirects=self.max_redirects,
            domain_requests=self.domain_requests,
            address_requests=self.address_requests,
        )

    def outage_watch(self) -> OutageWatch | None:
        """A new watch for one crawl; None where the settings want none."""
        return OutageWatch() if self.stop_on_outage else None

    @property
    def about(self) -> dict[str, str]:
        """Fields of a WARC file's warcinfo record about the crawl."""
        return {"robots": "obey (RFC 9309)" if self.robots else "ignore", "http-header-user-agent": self.agent}

    def now(self) -> datetime:
        """The instant to record as the time of a fetch."""
        return datetime.fromisoformat(self.fetched_at).astimezone(UTC) if self.fetched_at else datetime.now(UTC)

    def client(self) -> Client:
        """A new client with these settings."""
        limits = RequestLimits(self.deadline_seconds, self.max_body_bytes)
        return Client(
            self.agent,
            AddressPolicy.of(self.allow_addresses),
            limits,
            proxy=self.proxy,
            ca_bundle=self.ca_bundle,
            pools=4 * self.threads,
        )
