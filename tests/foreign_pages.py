"""Answers of servers for archives of other writers, and what each of them means: the page, or the reason why there is none.

All choices come from a seeded generator. An answer is spelled in any way that RFC 9110 and RFC 9112 allow.
"""

import gzip
import random
import zlib
from dataclasses import dataclass, replace

WORDS = b"the of a page and words in an archive that someone else wrote for readers of today with care".split()
KINDS = (
    # Content-Type as sent, its media type, its charset, the text's encoding
    ("text/html; charset=utf-8", "text/html", "utf-8", "utf-8"),
    ("text/html", "text/html", None, "utf-8"),
    ("text/html;charset=ISO-8859-1", "text/html", "iso-8859-1", "latin-1"),
    ('text/html; charset="windows-1252"', "text/html", "windows-1252", "cp1252"),
    ("TEXT/HTML ; Charset=UTF-8", "text/html", "utf-8", "utf-8"),
    ("application/xhtml+xml; charset=utf-8", "application/xhtml+xml", "utf-8", "utf-8"),
    ("text/plain; charset=us-ascii", "text/plain", "us-ascii", "ascii"),
    ("text/html; charset=Shift_JIS", "text/html", "shift_jis", "shift_jis"),
    ("text/html; charset=utf-16le", "text/html", "utf-16le", "utf-16-le"),
    ("application/octet-stream", "text/html", None, "utf-8"),
    ("", "text/html", None, "utf-8"),
)
SPECIAL = {"utf-8": "naïve – 日本語", "latin-1": "naïve", "cp1252": "naïve – “so”", "ascii": "plain", "shift_jis": "日本語"}
TAILS = (
    b"",
    b"\r\n\r\n<pre>a\n\nb</pre>",
    b"\nWARC/1.0\r\nWARC-Type: response\r\nContent-Length: 5\r\n\r\n",
    b"\n5\r\nhello\r\n0\r\n\r\n",
    b"\r\n\r\n\r\n",
    b"\nhttp://a.example/ 192.0.2.7 20120101000000 text/html 99\n",
)
FAILURES = ((404, "Not Found"), (410, "Gone"), (403, "Forbidden"), (500, "Internal Server Error"), (503, "Busy"), (429, "Slow"))
FURTHER_FIELDS = (
    ("Server", "Apache/2.2.3 (Unix)  PHP/5"),
    ("Set-Cookie", "a=b; path=/"),
    ("Set-Cookie", "c=d, e=f"),
    ("X-Empty", ""),
    ("Date", "Sun, 01 May 2016 00:00:00 GMT"),
    ("Vary", "Accept-Encoding"),
    ("ETag", 'W/"1-2"'),
    ("Link", '</>; rel="a:b"'),
)


@dataclass(frozen=True)
class Meaning:
    """The page that a capture holds."""

    final_url: str
    status: int
    media_type: str
    charset: str | None
    body: bytes


@dataclass(frozen=True)
class Answer:
    """A response: `coded` is its body in `coding` where it has one. `reason` says why it is no page."""

    status: int
    phrase: str
    fields: tuple[tuple[str, str], ...]
    body: bytes
    coding: str = ""
    coded: bytes = b""
    media_type: str = ""
    charset: str | None = None
    reason: str = ""

    @property
    def payload(self) -> bytes:
        """The body as sent."""
        return self.coded if self.coding else self.body

    def meaning(self, url: str) -> Meaning | str:
        """What a capture of this answer to `url` gives."""
        return self.reason or Meaning(url, self.status, self.media_type, self.charset, self.body)


def page(chance: random.Random, *, coding: bool = True) -> Answer:
    """An answer with a page."""
    content_type, media_type, charset, encoding = chance.choice(KINDS)
    words = b" ".join(chance.choices(WORDS, k=chance.choice((20, 60, 300, 2000)))).decode()
    text = f"<!doctype html><title>{words[:20]}</title><p>{words} {chance.random()} {SPECIAL.get(encoding, '')}"
    body = text.encode(encoding) + ("" if encoding == "utf-16-le" else chance.choice(TAILS).decode()).encode(encoding)
    fields = [("Content-Type", content_type)] if content_type else []
    answer = Answer(200, "OK", tuple(fields), body, media_type=media_type, charset=charset)
    return with_coding(chance, answer) if coding and chance.random() < 0.5 else answer


def with_coding(chance: random.Random, answer: Answer) -> Answer:
    """The answer with its body in a content coding."""
    coding = chance.choice(("gzip", "x-gzip", "GZIP", "deflate", "raw deflate", "two members"))
    body = answer.body
    coded = {
        "deflate": lambda: zlib.compress(body),
        "raw deflate": lambda: zlib.compress(body)[2:-4],
        "two members": lambda: gzip.compress(body[:9], mtime=0) + gzip.compress(body[9:], mtime=0),
    }.get(coding, lambda: gzip.compress(body, mtime=0))()
    name = {"raw deflate": "deflate", "two members": "gzip"}.get(coding, coding)
    return replace(answer, coding=name, coded=coded)


def failure(chance: random.Random) -> Answer:
    """An answer without a page."""
    kind = chance.randrange(4)
    if kind == 0:
        return Answer(200, "OK", (("Content-Type", "image/png"),), b"\x89PNG\r\n\x1a\n" + chance.randbytes(90), reason="not_html")
    if kind == 1:
        return Answer(200, "OK", (("Content-Type", "text/html"),), b"", reason="empty")
    status, phrase = chance.choice(FAILURES)
    return Answer(status, phrase, (("Content-Type", "text/html"),), b"<p>No", reason=f"http_{status}")


def redirect(chance: random.Random, location: str) -> Answer:
    """A redirect to `location`."""
    status, phrase = chance.choice(((301, "Moved Permanently"), (302, "Found"), (303, "See Other"), (307, "X"), (308, "X")))
    return Answer(status, phrase, (("Location", location),), chance.choice((b"", b"<a>here</a>")))


def sent(
    chance: random.Random, answer: Answer, *, end: str = "\r\n", framings: tuple[str, ...] = ("length", "chunks", "")
) -> bytes:
    """The answer as a server sends it, byte for byte. Without a framing it ends with the connection."""
    fields = [*answer.fields, *chance.sample(FURTHER_FIELDS, chance.randrange(5))]
    payload = answer.payload
    if answer.coding:
        fields.append(("Content-Encoding", answer.coding))
    framing = chance.choice(framings)
    if framing == "length":
        fields.append(("Content-Length", f"{len(payload)}"))
    elif framing == "chunks":
        fields.append(("Transfer-Encoding", chance.choice(("chunked", "Chunked", "identity, chunked"))))
        payload = chunked(chance, payload)
    chance.shuffle(fields)
    return head(chance, answer, fields, end) + payload


def stored_decoded(chance: random.Random, answer: Answer) -> bytes:
    """The answer as Common Crawl stored it before August 2018: head as sent, body without its codings."""
    framing = chance.choice((("Content-Length", f"{len(answer.payload)}"), ("Transfer-Encoding", "chunked")))
    coding = [("Content-Encoding", answer.coding)] if answer.coding else []
    return head(chance, answer, [*answer.fields, *coding, framing], "\r\n") + answer.body


def stored_renamed(chance: random.Random, answer: Answer, prefix: str = "X-Crawl-") -> bytes:
    """The answer with its codings undone and their headers renamed, as Common Crawl has stored it since, and Browsertrix does."""
    coding = [(f"{prefix}Content-Encoding", answer.coding)] if answer.coding else []
    framing = chance.choice((("Content-Length", f"{len(answer.payload)}"), ("Transfer-Encoding", "chunked")))
    fields = [*answer.fields, *coding, (f"{prefix}{framing[0]}", framing[1]), ("Content-Length", f"{len(answer.body)}")]
    return head(chance, answer, fields, "\r\n") + answer.body


def head(chance: random.Random, answer: Answer, fields: list[tuple[str, str]], end: str) -> bytes:
    """Status line and fields in any legal spelling, and in some that browsers read as well."""
    version = chance.choice(("HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2"))
    lines = [f"{version} {answer.status} {answer.phrase}" if chance.random() < 0.8 else f"{version} {answer.status} "]
    for name, value in fields:
        spelled = chance.choice((name, name.lower(), name.upper()))
        before, after = chance.choice(("", " ", " ", "  ", "\t")), chance.choice(("", "", " ", "\t"))
        lines.append(f"{spelled}:{before}{value}{after}")
    extra = chance.randrange(6)
    if extra == 0:
        lines.append(f"X-Folded: one{end} two{end}\tthree")
    elif extra == 1:
        lines.append("X-Name: caf\xe9 \x85 Content-Encoding: br")
    return end.join([*lines, "", ""]).encode("latin-1")


def chunked(chance: random.Random, data: bytes) -> bytes:
    """The data in chunks (RFC 9112, 7.1)."""
    parts = []
    while data:
        size = chance.randrange(1, max(2, len(data) + 1))
        spelled = chance.choice((f"{size:x}", f"{size:X}", f"{size:06x}", f"{size:x} ", f"{size:x};name", f'{size:x} ; a="b;c"'))
        parts.append(spelled.encode() + b"\r\n" + data[:size] + b"\r\n")
        data = data[size:]
    end = chance.choice((b"0\r\n\r\n", b"0000\r\n\r\n", b"0;last\r\n\r\n", b"0\r\nX-Check: 1\r\nX-More: 2\r\n\r\n"))
    return b"".join(parts) + end
