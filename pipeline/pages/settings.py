"""TODO-DOC."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from pipeline.engine.settings import setting
from pipeline.pages.addresses import AddressPolicy
from pipeline.pages.answer import PRODUCT, user_agent
from pipeline.pages.client import Client, Limits
from pipeline.pages.crawl import Manners
from pipeline.pages.warc import redacted
from pipeline.storage import files
from pipeline.storage.files import InputError

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


def check_reachable(settings: PagesSettings) -> None:
    """Raise InputError where the settings name files that cannot be used."""
    try:
        settings.client().close()
    except OSError as error:
        raise InputError(f"--ca_bundle {settings.ca_bundle}: not certificates in PEM form ({error})") from error
