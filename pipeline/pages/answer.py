"""TODO-DOC."""

from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import version

PRODUCT = "webtext"


class Failure(StrEnum):
    """Why a request gave no whole answer."""

    TIMEOUT = "timeout"
    DNS = "dns"
    CONNECTION = "connection"
    TLS = "tls"
    PROXY = "proxy"
    FORBIDDEN_ADDRESS = "forbidden_address"
    BAD_URL = "bad_url"
    BAD_RESPONSE = "bad_response"
    TRUNCATED = "truncated"
    BAD_CODING = "bad_coding"
    UNKNOWN_CODING = "unknown_coding"
    TOO_LARGE = "too_large"


class RequestError(Exception):
    """A request that failed, by name."""

    def __init__(self, failure: Failure, detail: str = "") -> None:
        super().__init__(failure, detail)
        self.failure = failure
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response. `body` is decoded; `coded` is the body as it was sent, where that was in a content coding. `headers` are as sent,
    in their order; `request_headers` are ours.
    """

    url: str
    status: int
    phrase: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    request_headers: tuple[tuple[str, str], ...]
    coded: bytes | None = None

    @property
    def payload(self) -> bytes:
        """The body as it was sent, but for its transfer coding."""
        return self.body if self.coded is None else self.coded

    def header(self, name: str) -> str:
        """All values of a header, joined by commas; empty where there is none."""
        name = name.lower()
        return ", ".join(value for key, value in self.headers if key.lower() == name)


def user_agent(contact: str) -> str:
    """Who we are, and where to complain."""
    return f"{PRODUCT}/{version('webtext')} ({contact})" if contact else f"{PRODUCT}/{version('webtext')}"
