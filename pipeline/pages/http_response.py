"""A complete HTTP response, from the web or from an archive."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A complete response to a GET of `url`.

    `body` is decoded of its content coding; `coded` holds the body as sent where it had a coding. `headers` are as sent, in their
    order. `request_headers` are the crawler's; a response from an archive has none.
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
        """The body as sent, without its transfer coding."""
        return self.body if self.coded is None else self.coded

    def header(self, name: str) -> str:
        """All values of a header, joined by commas; empty where the header is absent.

        >>> HttpResponse("http://a.example/", 200, "OK", (("Vary", "a"), ("vary", "b")), b"", ()).header("Vary")
        'a, b'
        """
        name = name.lower()
        return ", ".join(value for key, value in self.headers if key.lower() == name)
