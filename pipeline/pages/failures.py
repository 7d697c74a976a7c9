"""Names for failed requests."""

from enum import StrEnum


class RequestFailure(StrEnum):
    """Why a request gave no complete response."""

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
    """A request failed; `failure` names the kind, `detail` the particular.

    `connected` says whether the server, or the proxy, took the connection; None where the network was not asked for one.
    """

    def __init__(self, failure: RequestFailure, detail: str = "", *, connected: bool | None = True) -> None:
        super().__init__(failure, detail)
        self.failure = failure
        self.detail = detail
        self.connected = None if failure in (RequestFailure.FORBIDDEN_ADDRESS, RequestFailure.BAD_URL) else connected


class AddressBusyError(Exception):
    """The address that a host resolves to has as many open requests as it may have; the request was not sent."""
